"""The demo's page and the few routes behind it: the stream's files, a token to write with, the stop button.

Owns: what the demo adds to the relay. Nothing here is part of ``chatsync serve``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field
from starlette.staticfiles import StaticFiles

from chatsync.chat.text import clean_name
from chatsync.media import BLOCKS
from chatsync.service.answer_headers import page_headers

__all__ = ["add_page"]

_SOURCES = {
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self' blob:",  # hls.js hands the video what it has put together
    "worker-src": "blob:",  # of hls.js, which makes it itself
    "connect-src": "'self'",
}
_TRUSTED_TYPES = ("lit-html", "default")  # lit's own, and the one that lets hls.js have its worker (demo.js)
_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t"}


class Joining(BaseModel):
    """Who wants to write."""

    name: str = Field(min_length=1, max_length=64)
    role: str = Field(default="participant", pattern="^(participant|host)$")


def add_page(
    app: FastAPI,
    *,
    stream_folder: Path,
    mint: Callable[[str, str, Any], str],
    stop: Callable[[], None],
    room: str,
) -> None:
    """Add the demo's routes to the relay.

    Args:
        app: the relay.
        stream_folder: ffmpeg's files.
        mint: makes a token of (subject, name, role).
        stop: ends the stream.
        room: the demo's room.
    """
    page = Path(str(package_files("chatsync.demo.page")))

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        headers = page_headers(sources=_SOURCES, types=_TRUSTED_TYPES) | {"Cache-Control": "no-store"}
        return FileResponse(page / "index.html", headers=headers)

    @app.get("/demo/stream/{name}", include_in_schema=False)
    async def stream_file(name: str) -> Response:
        path = stream_folder / Path(name).name
        if path.suffix not in _TYPES or not path.is_file():
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        if path.suffix == ".m3u8":
            # Read whole at once: ffmpeg puts a longer file in its place at any moment, and a length told before would be wrong.
            body = await asyncio.to_thread(path.read_bytes)
            return Response(body, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-store"})
        return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "public, max-age=600"})

    @app.get("/demo/setup.json", include_in_schema=False)
    async def setup() -> Response:
        body = {"room": room, "playlist": "/demo/stream/stream.m3u8", "blocks": BLOCKS._asdict()}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    @app.post("/demo/token", include_in_schema=False)
    async def token(joining: Joining) -> Response:
        minted = mint(f"visitor-{secrets.token_hex(8)}", clean_name(joining.name), joining.role)
        return JSONResponse({"token": minted}, headers={"Cache-Control": "no-store"})

    @app.post("/demo/stop", include_in_schema=False)
    async def stop_stream() -> Response:
        stop()
        return JSONResponse({"stopping": True}, headers={"Cache-Control": "no-store"})

    app.mount("/demo/page", StaticFiles(directory=str(page)), name="demo page")
