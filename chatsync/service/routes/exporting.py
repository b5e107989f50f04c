"""``GET …/export.{format}``: a room's chat as a file of another tool's format. Source: contract §4.

Owns: query parameters, the file's name. Does not know: formats beyond their table, how files are made.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from chatsync.chat.policy import may
from chatsync.errors import MessageRejectedError, NotFoundError
from chatsync.instants import iso_from_us, us_from_ms
from chatsync.service.routes.entry import allowed, entry, people_min
from chatsync.transfer.exporters.formats import FORMATS

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["messages"])

_MS_MAX = 253_402_300_799_999  # the end of the year 9999, after which no instant can be written

Broadcast = Annotated[int | None, Query(ge=1, le=2**31)]
Recording = Annotated[str | None, Query(max_length=64)]
Instant = Annotated[int, Query(ge=0, le=_MS_MAX)]


@router.get("/export.{name}", summary="The chat as a file")
async def get_export(
    request: Request,
    room: str,
    name: str,
    broadcast: Broadcast = None,
    recording: Recording = None,
    from_ms: Instant | None = None,
    to_ms: Instant | None = None,
) -> StreamingResponse:
    """All that was said and stands, in a format of ``docs/formats.md``; with names for hosts; for others with pseudonyms, where enough people wrote."""
    entered = allowed(await entry(request, room), "export")
    form = FORMATS.get(name)
    if form is None:
        raise NotFoundError("format")
    if recording is not None and broadcast is not None:
        raise MessageRejectedError("needs_one_place", "A recording says itself which broadcast it shows.")
    options = [f"--format={form.name}"]
    if recording is not None:
        if await asyncio.to_thread(entered.hub.catalog.recording, room, recording) is None:
            raise NotFoundError("recording")
        options.append(f"--recording={recording}")
    elif broadcast is not None or form.by_position:
        options.append(f"--broadcast={entered.broadcast(broadcast)}")
    options += [f"--from={iso_from_us(us_from_ms(from_ms))}"] if from_ms is not None else []
    options += [f"--to={iso_from_us(us_from_ms(to_ms))}"] if to_ms is not None else []
    options += [] if may(entered.identity.role, "read_names") else ["--no-names"]
    options.append(f"--people-min={people_min(entered)}")
    pieces = await entered.hub.reading.exporter.export(room, options, person=entered.identity.subject)
    file = f"{room}{'' if recording is None else '.' + recording}{form.suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "private, no-store"}
    return StreamingResponse(pieces, media_type=form.media_type, headers=headers)
