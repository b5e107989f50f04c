"""``/host/{room}``: the host's live panel, a page for a tablet on the lectern.

Owns: the page's frame and what it may load. Does not know: the room, which the page's script takes from its own address; whether there is one is told to
nobody here. The token is given to the page by hand or by the platform that frames it, never in an address.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from chatsync.service.answer_headers import page_headers
from chatsync.service.routes.entry import hub_of

__all__ = ["router"]

router = APIRouter()

_SOURCES = {"script-src": "'self'", "style-src": "'self'", "connect-src": "'self'", "img-src": "'self' https: data:"}
_TRUSTED_TYPES = ("lit-html",)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Host's panel</title>
<link rel="icon" href="data:,">
<script src="/player/chatsync-host.js" defer></script>
<chatsync-host-panel></chatsync-host-panel>
<noscript>This page needs JavaScript.</noscript>
"""


@router.get("/host/{room}", include_in_schema=False)
async def host_page(request: Request, room: str) -> Response:
    """The same page for every room, whether there is one or not."""
    del room
    headers = page_headers(hub_of(request).settings.framed_by, sources=_SOURCES, types=_TRUSTED_TYPES)
    return Response(_PAGE, media_type="text/html", headers=headers | {"Cache-Control": "public, max-age=300"})
