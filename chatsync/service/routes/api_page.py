"""``/docs``: the HTTP API as a plain page, made from its OpenAPI document. No script, nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

from chatsync.service.answer_headers import page_headers
from chatsync.service.routes.entry import hub_of

__all__ = ["router"]

router = APIRouter()


@router.get("/docs", include_in_schema=False)
async def api_page(request: Request) -> Response:
    """Every operation with its parameters; ``/openapi.json`` has the same for machines."""
    document: dict[str, Any] = request.app.openapi()
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>chatsync: HTTP API</title>",
        '<h1>chatsync: HTTP API</h1><p>For machines: <a href="/openapi.json">openapi.json</a>.',
    ]
    for path, operations in sorted(document["paths"].items()):
        for method, operation in operations.items():
            names = ", ".join(parameter["name"] for parameter in operation.get("parameters", []))
            parts.append(
                f"<h2>{escape(method.upper())} <code>{escape(path)}</code></h2>"
                f"<p><b>{escape(operation.get('summary', ''))}.</b> {escape(operation.get('description', ''))}"
                f"<p>Parameters: {escape(names) or 'none'}."
            )
    headers = page_headers(hub_of(request).settings.framed_by) | {"Cache-Control": "public, max-age=300"}
    return Response("\n".join(parts), media_type="text/html", headers=headers)
