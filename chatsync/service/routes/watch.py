"""``/watch/{room}``: a public room's chat beside its video, live or of a recording. A page; its data come by the API.

Owns: which page there is, its headers. Does not know: what the page does. A room that not everybody may read has no page.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

from chatsync.errors import ChatsyncError, NotFoundError, UnknownRoomError
from chatsync.service.answer_headers import page_headers
from chatsync.service.routes.entry import entry, hub_of
from chatsync.service.watch_page import FOLDER, TRUSTED_TYPES, WatchPage, sources_of

__all__ = ["PageFiles", "router"]

router = APIRouter()

_ASSETS = {
    "watch.css": "/watch-page/watch.css",
    "watch.js": "/watch-page/watch.js",
    "hls.min.js": "/player/hls.min.js",
    "chatsync-player.js": "/player/chatsync-player.js",
    "chatsync-more.js": "/player/chatsync-more.js",
}
_NOT_HERE = "<!doctype html><meta charset=utf-8><title>chatsync</title><p>There is nothing to watch here, or it is not open to everybody."


class PageFiles(StaticFiles):
    """The page's own script and styles."""

    def __init__(self) -> None:
        super().__init__(directory=str(FOLDER))

    async def get_response(self, path: str, scope: object) -> Response:
        """A file of the page, no other of its folder."""
        response: Response = await super().get_response(path if path in {"watch.css", "watch.js"} else "none", scope)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=300"
        return response


@router.get("/watch/{room}", include_in_schema=False)
async def watch_room(request: Request, room: str) -> Response:
    """The latest broadcast, live if it is, and the room's recordings."""
    return await _page(request, room, None)


@router.get("/watch/{room}/{recording}", include_in_schema=False)
async def watch_recording(request: Request, room: str, recording: str) -> Response:
    """One recording."""
    return await _page(request, room, recording)


async def _page(request: Request, room: str, recording: str | None) -> Response:
    framed_by = hub_of(request).settings.framed_by
    try:
        entered = await entry(request, room)
        live = entered.room
        if not live.settings.public:  # a token that came with the request is no right of the page's own requests
            raise UnknownRoomError
        media_url = live.settings.media_url
        if recording is not None:
            record = await asyncio.to_thread(entered.hub.catalog.recording, live.room, recording)
            if record is None:
                raise NotFoundError("recording")
            # The stream that has just ended is its own first recording.
            is_latest = recording == f"broadcast-{live.broadcasts.current.number}"
            media_url = record.get("media_url") or (media_url if is_latest else None)
    except ChatsyncError as error:
        headers = page_headers(framed_by) | {"Cache-Control": "private, no-store"}
        return Response(_NOT_HERE, status_code=error.status, media_type="text/html", headers=headers)
    page = WatchPage(
        room=live.room,
        title=live.settings.title,
        recording=recording,
        media_url=media_url,
        assets=_ASSETS,
        link=f"/watch/{live.room}/{{}}",
        home=f"/watch/{live.room}",
    )
    headers = page_headers(framed_by, sources=sources_of(media_url), types=TRUSTED_TYPES)
    return Response(page.html(), media_type="text/html", headers=headers | {"Cache-Control": "public, max-age=30"})
