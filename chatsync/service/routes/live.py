"""The live socket's door: origin check before the handshake, then one connection object. Source: contract §5."""

from __future__ import annotations

from fastapi import APIRouter, Response, WebSocket

from chatsync.chat.wire import CloseCode
from chatsync.service.hub import Hub
from chatsync.service.origins import is_allowed_origin
from chatsync.service.relay import LiveConnection

__all__ = ["router"]

router = APIRouter()


@router.websocket("/v1/rooms/{room}/live")
async def live(websocket: WebSocket, room: str) -> None:
    """One live connection."""
    hub: Hub = websocket.app.state.hub
    origins = websocket.headers.getlist("origin")
    running = hub.rooms.get(room)
    allow_list = () if running is None else running.live.settings.origins
    if not is_allowed_origin(origins, host=websocket.headers.get("host", ""), allowed=allow_list):
        await websocket.close()  # before accept: the handshake is answered with 403
        return
    if len(hub.connections) >= hub.settings.limits.sockets_max:
        retry = {"Retry-After": "5", "Cache-Control": "no-store"}
        await websocket.send_denial_response(Response(status_code=503, headers=retry))
        return
    connection = LiveConnection(websocket, hub, room)
    if hub.is_stopping:
        await websocket.accept()
        await websocket.close(int(CloseCode.SHUTTING_DOWN), "come back in a moment")
        return
    # A room that does not exist waits for a hello too: closing it sooner would tell which private rooms do.
    hub.connections.add(connection)
    try:
        await connection.run()
    finally:
        hub.note_gone(connection)
