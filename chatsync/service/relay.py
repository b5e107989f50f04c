"""The live socket: one connection from handshake to close.

Owns: hello, the send queue and its limits, turning frames into acts and results into acks. Does not know: how an act becomes
durable (``live_room``), which frame may come when (``chat.session``). Source: contract §5; limits of security-and-privacy §9.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from chatsync.chat.event import Author, Position
from chatsync.chat.policy import may, permitted
from chatsync.chat.room import Recovery, changed_by
from chatsync.chat.session import Close, Session
from chatsync.chat.wire import (
    SUBPROTOCOL,
    ActFrame,
    CloseCode,
    HelloFrame,
    PingFrame,
    PlayheadFrame,
    SayFrame,
    SayPlayhead,
    TypingFrame,
    UnknownFrame,
    encoded,
    position_to_wire,
)
from chatsync.errors import (
    ChatsyncError,
    MessageRejectedError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    RoomRestartingError,
    TokenError,
    UnknownRoomError,
)
from chatsync.instants import SECOND_US, ms_from_us
from chatsync.service.acts import Act, Seen, act_of, say_of
from chatsync.service.live_room import BACK_EVENTS_MAX, LiveRoom
from chatsync.store.journal import Appended

if TYPE_CHECKING:
    from chatsync.service.hub import Hub

__all__ = ["RECOVERY_EVENTS_MAX", "LiveConnection", "acked"]

RECOVERY_EVENTS_MAX = 10_000  # from the journal; more than that is a reset (contract §5)
_LAST_MAX = 200  # what a hello may ask for as `last`

_log = structlog.get_logger(__name__)


def acked(act_id: str, appended: Appended) -> dict[str, Any]:
    """What an author is told once their act is durable."""
    event = appended.event
    return {
        "id": act_id,
        "offset": event.offset,
        "program_ms": ms_from_us(event.program_us),
        "stamp": event.stamp.stamp,
        "durable": "fsync",
    }


@dataclass(slots=True)
class _Queue:
    """Frames on their way to one peer, bounded in bytes."""

    frames: deque[tuple[str, int]] = field(default_factory=deque)  # and what each counts against the bound
    size_bytes: int = 0
    filled: asyncio.Event = field(default_factory=asyncio.Event)


class LiveConnection:
    """One live socket. Call :meth:`run` once; it returns when the socket is closed."""

    def __init__(self, websocket: WebSocket, hub: Hub, room_id: str) -> None:
        self._socket, self._hub, self._room_id = websocket, hub, room_id
        self._limits = hub.settings.limits
        self._session = Session(now_us=hub.clock.monotonic_us())
        self._queue = _Queue()
        self._closing: Close | None = None
        self._closed = asyncio.Event()
        self._room: LiveRoom | None = None
        self._author: Author | None = None
        self._person = ""
        self._seen = Seen()
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self.is_staff = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection until either side closes it."""
        offered = self._socket.scope.get("subprotocols") or []
        await self._socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        reading = asyncio.create_task(self._read(), name="read")
        writing = asyncio.create_task(self._write(), name="write")
        closing = asyncio.create_task(self._closed.wait(), name="closing")
        try:
            await asyncio.wait({reading, writing, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave()
            for task in (reading, writing, closing, *self._tasks):
                task.cancel()
            ends = await asyncio.gather(reading, writing, closing, *self._tasks, return_exceptions=True)
            self._note_failures(ends)
            await self._say_goodbye()

    def _note_failures(self, ends: Sequence[object]) -> None:
        """Whatever ended a connection without being meant to is logged, and the peer comes back."""
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect):
                _log.error("connection_failed", room=self._room_id, error=type(end).__name__)
                self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")

    async def _say_goodbye(self) -> None:
        if self._closing is None:
            return
        self._hub.metrics.closed.labels(str(int(self._closing.code))).inc()
        try:
            async with asyncio.timeout(1):
                await self._socket.close(code=int(self._closing.code), reason=self._closing.reason)
        except (RuntimeError, TimeoutError, OSError, WebSocketDisconnect):
            return  # the peer is gone already

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket with a documented code; the first reason given stands."""
        if self._closing is None:
            self._closing = Close(code, reason)
        self._closed.set()

    def send_away(self, *, gone: bool) -> None:
        """The room stops, for good or for now."""
        if gone:
            self.close(CloseCode.UNKNOWN_ROOM, "the room is gone")
        else:
            self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")

    def _leave(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        if self._room is not None:
            self._room.receivers.discard(self)
            self._hub.leave(self._person)
            self._hub.metrics.connections.labels(self._room.room).dec()

    # --- reading --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while self._closing is None:
            message = await self._receive()
            if message is None or message["type"] == "websocket.disconnect":
                return
            data = message.get("text")
            if data is None:
                data = message.get("bytes") or b""
            if len(data) > self._limits.frame_bytes_max:
                self.close(CloseCode.MALFORMED, "the frame is too large")
                return
            await self._receive_frame(data)

    async def _receive(self) -> Any:
        due_us = self._session.wake_at_us()
        if due_us is None:
            return await self._socket.receive()
        left_s = max(0.0, (due_us - self._hub.clock.monotonic_us()) / SECOND_US)
        try:
            async with asyncio.timeout(left_s):
                return await self._socket.receive()
        except TimeoutError:
            late = self._session.receive_time(self._hub.clock.monotonic_us() + SECOND_US)
            if late is not None:
                self.close(late.code, late.reason)
            return None

    async def _receive_frame(self, data: bytes | str) -> None:
        match self._session.receive_frame(data):
            case Close(code=code, reason=reason):
                self.close(code, reason)
            case HelloFrame() as hello:
                await self._receive_hello(hello)
            case PingFrame():
                self._send({"type": "pong", "wall_ms": ms_from_us(self._hub.clock.system_wall_us())})
            case PlayheadFrame() as report:
                self._receive_playhead(report)
            case TypingFrame():
                self._here.note_typing()
            case UnknownFrame(id=frame_id):
                self._send({"type": "error", "id": frame_id, "code": "unknown_type"})
            case SayFrame() as say:
                self._receive_act(say)
            case ActFrame() as act:
                self._receive_act(act)

    @property
    def _here(self) -> LiveRoom:
        assert self._room is not None
        return self._room

    # --- hello ----------------------------------------------------------------------------------------------------

    async def _receive_hello(self, hello: HelloFrame) -> None:
        try:
            room, identity = await self._hub.admitted(self._room_id, hello.token)
        except TokenError:
            self.close(CloseCode.TOKEN, "the token was not accepted")
            return
        except RoomRestartingError:
            self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")
            return
        except UnknownRoomError:
            self.close(CloseCode.UNKNOWN_ROOM, "there is no such room")
            return
        if not self._hub.enter(identity.person(self._room_id)):
            self.close(CloseCode.TOO_SLOW, "too many connections of this person")
            return
        self._person = identity.person(self._room_id)
        self._author = self._hub.author_of(identity, self._room_id)
        self.is_staff = may(self._author.role, "read_staff")
        self._hub.metrics.connections.labels(room.room).inc()
        self._room = room
        if identity.expires_us is not None:
            left_s = (identity.expires_us - self._hub.clock.system_wall_us()) / SECOND_US
            self._expiry = asyncio.get_running_loop().call_later(
                max(0.0, left_s), self.close, CloseCode.TOKEN, "the token has expired"
            )
        after = None if hello.after is None else hello.after.to_position()
        lost = hello.after is not None and after is None
        recovery = None if lost else await self._recovered(after, min(max(hello.last, 0), _LAST_MAX))
        if room.is_stopped:  # while the journal was read; what comes now goes to those in the room that follows
            self.send_away(gone=False)
            return
        room.flush()
        if recovery is not None and recovery.through != room.log.position:
            recovery = None  # something was committed while the journal was read and memory no longer reaches back
        self._session.welcome()
        if recovery is None:
            self._send_reset("too_old")
        room.receivers.add(self)
        self._send_welcome(self._welcome(recovery))

    async def _recovered(self, after: Position | None, last: int) -> Recovery | None:
        """What the client missed; None when it must start afresh. Nothing is awaited after the last look at memory."""
        room = self._here
        if after is None:
            room.flush()
            return room.log.last(last)
        for _ in range(3):  # the journal is read while the log grows: memory must reach back to where reading ended
            room.flush()
            recovery = room.log.recovered(after)
            if recovery is not None:
                return recovery
            missed = room.log.position.offset - after.offset
            if after.epoch != room.log.position.epoch or not 0 <= missed <= RECOVERY_EVENTS_MAX:
                return None
            read = await asyncio.to_thread(room.read_missed, after, RECOVERY_EVENTS_MAX)
            if len(read.back) > BACK_EVENTS_MAX:
                return None
            room.flush()
            rest = room.log.recovered(read.through)
            if rest is not None:
                gone, back = changed_by([(read.gone, read.back), (rest.gone, rest.back)])
                return Recovery(read.public + rest.public, read.events + rest.events, gone, back, rest.through)
        return None

    def _welcome(self, recovery: Recovery | None) -> str:
        room, author = self._here, self._author
        assert author is not None
        sealed_until_us = room.sealed_until_us()
        back = () if recovery is None else room.events_as_they_stand(recovery.back)
        frame = {
            "type": "welcome",
            "position": position_to_wire(room.log.position),
            "wall_ms": ms_from_us(self._hub.clock.system_wall_us()),
            "clock_ms": room.clock_ms(),
            "broadcast": room.broadcasts.current.number,
            "state": room.state_to_wire(),
            "you": {
                "key": author.key,
                "name": author.name,
                "role": author.role,
                "may": list(permitted(author.role)),
            },
            "sealed_until_ms": None if sealed_until_us is None else ms_from_us(sealed_until_us),
            "events": [] if recovery is None else [msgspec.Raw(event) for event in recovery.public],
            "through": position_to_wire(room.log.position),
            "gone": [] if recovery is None else list(recovery.gone),
            "back": back,
        }
        return encoded(frame).decode()

    # --- acts -----------------------------------------------------------------------------------------------------

    def _receive_playhead(self, report: PlayheadFrame) -> None:
        playhead = SayPlayhead(
            report.broadcast, report.program_ms, report.media_sequence, report.into_segment_ms, report.at_live
        )
        self._here.receive_playhead(self._seen, self._person, playhead, rate=report.rate, paused=report.paused)

    def _receive_act(self, frame: SayFrame | ActFrame) -> None:
        """Check, stamp and submit; the ack goes out when it is durable. Acts keep the order in which they came."""
        started_us = self._hub.clock.monotonic_us()
        try:
            self._hub.take_token(self._person)
            assert self._author is not None
            if isinstance(frame, ActFrame) and frame.action == "broadcast_close":
                self._spawn(self._close_broadcast(frame))
                return
            act = say_of(frame, self._author) if isinstance(frame, SayFrame) else act_of(frame, self._author)
            act = replace(act, seen=self._seen)
            if act.target is None:
                future = self._here.submit(act)
                future.add_done_callback(partial(self._answer_future, frame.id, started_us))
            else:
                self._spawn(self._answer_act(frame.id, act, started_us))
        except ChatsyncError as error:
            self._refuse(frame.id, error)

    async def _close_broadcast(self, frame: ActFrame) -> None:
        assert self._author is not None
        if not may(self._author.role, "broadcast_close"):
            self._refuse(frame.id, NotAllowedError("broadcast_close"))
            return
        try:
            await self._here.close_broadcast()
        except ChatsyncError as error:
            self._refuse(frame.id, error)
            return
        self._send({"type": "ack", "id": frame.id})

    async def _answer_act(self, frame_id: str, act: Act, started_us: int) -> None:
        try:
            appended = await self._here.act(act)
        except Exception as error:
            self._note_failed(frame_id, error)
        else:
            self._ack(frame_id, appended, started_us)

    def _answer_future(self, frame_id: str, started_us: int, future: asyncio.Future[Appended]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._ack(frame_id, future.result(), started_us)
        else:
            self._note_failed(frame_id, error)

    def _note_failed(self, frame_id: str, error: BaseException) -> None:
        if isinstance(error, ChatsyncError):
            self._refuse(frame_id, error)
        else:
            _log.error("act_failed", room=self._room_id, error=type(error).__name__)
            self._send({"type": "error", "id": frame_id, "code": "internal"})

    def _ack(self, frame_id: str, appended: Appended, started_us: int) -> None:
        self._hub.metrics.commit_s.observe((self._hub.clock.monotonic_us() - started_us) / SECOND_US)
        self._send({"type": "ack", **acked(frame_id, appended)})

    def _refuse(self, frame_id: str, error: ChatsyncError) -> None:
        code = error.reason if isinstance(error, MessageRejectedError) else error.code
        self._hub.metrics.refused.labels(code).inc()
        frame: dict[str, Any] = {"type": "error", "id": frame_id, "code": code}
        if isinstance(error, RateLimitedError):
            frame["retry_after_ms"] = error.retry_after_ms
        if isinstance(error, NotFoundError):
            frame["code"] = "not_found"
        self._send(frame)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- writing --------------------------------------------------------------------------------------------------

    def _send(self, frame: dict[str, Any]) -> None:
        self.receive_frames((encoded(frame).decode(),))

    def receive_reset(self, reason: str) -> None:
        """Tell the peer to start afresh; a welcome without events follows (contract §5)."""
        self._send_reset(reason)
        self._send_welcome(self._welcome(None))

    def _send_reset(self, reason: str) -> None:
        self._send({"type": "reset", "reason": reason, "position": position_to_wire(self._here.log.position)})

    def _send_welcome(self, frame: str) -> None:
        # It may be larger than the queue's bound, being the peer's own request, answered once. It does not count: else the
        # next event would close whoever missed much, again at each return.
        self._queue.frames.append((frame, 0))
        self._queue.filled.set()

    def receive_frames(self, frames: Sequence[str]) -> None:
        """Queue frames for the peer; one that reads too slowly is closed and comes back later."""
        queue = self._queue
        # What waits already is judged, not what comes: a busy room's batch behind one's own ack is no sign of a slow reader.
        if queue.size_bytes > self._limits.send_queue_bytes_max:
            self.close(CloseCode.TOO_SLOW, "the connection reads too slowly")
            return
        queue.frames.extend((frame, len(frame)) for frame in frames)
        queue.size_bytes += sum(map(len, frames))
        queue.filled.set()

    async def _write(self) -> None:
        queue = self._queue
        try:
            while True:
                await queue.filled.wait()
                queue.filled.clear()
                while queue.frames:
                    frame, size_bytes = queue.frames[0]
                    async with asyncio.timeout(self._limits.write_stall_s):
                        await self._socket.send({"type": "websocket.send", "text": frame})
                    queue.frames.popleft()
                    queue.size_bytes -= size_bytes
        except TimeoutError:
            self.close(CloseCode.TOO_SLOW, "the connection does not read")
        except (RuntimeError, OSError):
            self._closed.set()  # the peer went away
