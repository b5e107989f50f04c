"""The live connection for readers, as server-sent events. Source: contract §5.

Owns: headers and the query. Does not know: who may come in, what is told: it is the same as over a socket.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from chatsync.chat.wire import HelloFrame
from chatsync.errors import NotAllowedError, RoomRestartingError
from chatsync.service.auth import bearer_token
from chatsync.service.event_stream import EVENT_STREAM, EventStream, head_of_stream, resumed_from
from chatsync.service.limit_table import HELLO_LAST_MAX
from chatsync.service.origins import foreign_page, is_allowed_origin
from chatsync.service.problems import problem
from chatsync.service.routes.entry import hub_of, reader
from chatsync.service.short_path import HEAD, TRANSPORT

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["live"])

_FULL_RETRY_MS = 5_000


@router.get(
    "/events",
    summary="The live connection for readers",
    response_class=Response,
    responses={200: {"content": {EVENT_STREAM: {}}, "description": "Events, until one of the two has had enough."}},
)
async def get_events(
    request: Request, room: str, last: Annotated[int, Query(ge=0, le=HELLO_LAST_MAX)] = 50
) -> Response:
    """The frames that a socket gets, as server-sent events; ``Last-Event-ID`` resumes."""
    hub, headers = hub_of(request), request.headers
    token = bearer_token(headers)
    if request.scope.get(HEAD):
        await reader(request, room)
        return head_of_stream()
    origins, host = headers.getlist("origin"), headers.get("host") or ""
    if not is_allowed_origin(origins, host=host, allowed=hub.pages_that_may_knock(room)):
        raise NotAllowedError("read")
    if hub.is_stopping:
        raise RoomRestartingError
    if len(hub.connections) >= hub.settings.limits.sockets_max:
        detail = "The node has as many live connections as it may: poll chat.json and open.json."
        return problem(503, "unavailable", detail, temporary=True, retry_after_ms=_FULL_RETRY_MS)
    address = "" if request.client is None else request.client.host
    transport = request.scope.get("state", {}).get(TRANSPORT)
    hello = HelloFrame(token=token, after=resumed_from(headers.get("last-event-id")), last=last)
    page = foreign_page(origins, host=host)
    return EventStream(hub, room, hello, address=address, page=page, transport=transport)
