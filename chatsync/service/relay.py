"""One live connection from hello to close, over a socket or as server-sent events.

Owns: hello, the send queue and its limits, turning frames into acts and results into acks. Does not know: how an act becomes
durable (``live_room``), which frame may come when (``chat.session``), how frames travel (``sockets``, ``event_stream``). Source: contract §5; limits of security-and-privacy §9.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from chatsync.chat.event import Author, Position
from chatsync.chat.policy import may, permitted
from chatsync.chat.room import Recovery, changed_by
from chatsync.chat.session import Close, Session
from chatsync.chat.wire import (
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
    BannedError,
    ChatsyncError,
    MessageRejectedError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    RoomRestartingError,
    SanctionedError,
    TokenError,
    UnknownRoomError,
)
from chatsync.instants import SECOND_US, ms_from_us
from chatsync.replay.stamping import Playhead
from chatsync.service.acts import Act, Seen
from chatsync.service.closing import close_once
from chatsync.service.framing import Batch
from chatsync.service.limit_table import BACK_EVENTS_MAX, HELLO_LAST_MAX, RECOVERY_EVENTS_MAX
from chatsync.service.live_room import LiveRoom
from chatsync.store.journal import Appended

if TYPE_CHECKING:
    from chatsync.service.auth import Identity
    from chatsync.service.hub import Hub

__all__ = ["LiveConnection", "Outlet", "acked"]

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


class Outlet(Protocol):
    """Where a live connection's frames go: a socket, or a stream of server-sent events."""

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not taken yet, without what it asked for itself."""

    @property
    def buffered_bytes(self) -> int:
        """All that the peer has not taken yet."""

    @property
    def is_closing(self) -> bool:
        """Whether the goodbye was said or the connection is gone."""

    def send_batch(self, batch: Batch, *, excused: bool = False) -> None:
        """Frames that others get too; excused ones do not count as waiting."""

    def send_frame(self, payload: bytes) -> None:
        """One frame that is the peer's alone."""

    def close(self, code: CloseCode, reason: str) -> None:
        """Say goodbye with a documented code, once."""

    def pause_reading(self) -> None:
        """Take nothing more from the peer for now."""

    def resume_reading(self) -> None:
        """Take from the peer again."""


class LiveConnection:
    """One live connection: give it messages, and it tells its socket what to send. Not a coroutine: nothing runs while nobody speaks.

    Attributes:
        room_id: the room it wants to be in.
        identity: who it is, once it was let in.
        is_staff: whether it is told what only staff may see.
    """

    __slots__ = (
        "_author",
        "_early",
        "_expiry",
        "_hub",
        "_human",
        "_is_guest",
        "_is_human",
        "_page",
        "_person",
        "_room",
        "_seen",
        "_session",
        "_socket",
        "_tasks",
        "address",
        "author_key",
        "identity",
        "is_staff",
        "room_id",
    )

    def __init__(self, socket: Outlet, hub: Hub, room_id: str, address: str, page: str | None = None) -> None:
        self._socket, self._hub, self.room_id, self.address = socket, hub, room_id, address
        self._page = page  # origin of a web page that is not ours
        self.identity: Identity | None = None
        self._session = Session(now_us=hub.clock.monotonic_us())
        self._room: LiveRoom | None = None
        self._author: Author | None = None
        self._person = ""
        self._human: str | None = None  # what a CAPTCHA gave
        self._is_human = False
        self._is_guest = False  # and counted as one of its address
        self._seen = Seen()
        self._early: list[bytes] | None = None  # what came while the hello is being answered; None else
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self.is_staff = False
        self.author_key = ""
        hub.connections.add(self)

    # --- life -----------------------------------------------------------------------------------------------------

    def lost(self) -> None:
        """The socket is closed: leave the room."""
        if self._expiry is not None:
            self._expiry.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        if self._is_guest:
            self._hub.doors.leave(self.address)
            if self._author is not None:
                self._hub.people.release(self.room_id, self._author)
        if self._room is not None:
            self._room.receivers.discard(self)
            self._hub.leave(self._person)
            self._hub.metrics.connections.labels(self._room.room).dec()
            self._room = None
        self._hub.note_gone(self)

    @property
    def author(self) -> Author | None:
        """Who is at the other end; None before the hello was accepted."""
        return self._author

    @property
    def playhead(self) -> Playhead | None:
        """Where the picture at the other end was when it last said so."""
        return self._seen.playhead

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the socket with a documented code; the first reason given stands."""
        if self._room is not None:
            self._room.receivers.discard(self)
        self._socket.close(code, reason)

    def receive_time(self, now_us: int) -> None:
        """Give up a connection that never said hello."""
        late = self._session.receive_time(now_us)
        if late is not None and self._early is None:
            self.close(late.code, late.reason)

    def send_banned(self) -> None:
        """Whoever is at the other end was banned."""
        self.close(CloseCode.BANNED, "you may not enter this room for now")

    def send_away(self, *, gone: bool) -> None:
        """The room stops, for good or for now."""
        if gone:
            self.close(CloseCode.UNKNOWN_ROOM, "the room is gone")
        else:
            self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")

    # --- reading --------------------------------------------------------------------------------------------------

    def receive_message(self, data: bytes) -> None:
        """One message of the peer. Whatever goes wrong in it is logged, and the peer comes back."""
        if self._early is not None:
            self._early.append(data)
            return
        try:
            self._receive_frame(data)
        except Exception as error:
            self._note_failure(error)

    def _note_failure(self, error: BaseException) -> None:
        _log.error("connection_failed", room=self.room_id, error=type(error).__name__)
        self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")

    def _receive_frame(self, data: bytes) -> None:
        match self._session.receive_frame(data):
            case SayFrame() | ActFrame() as act:
                self._receive_act(act)
            case PlayheadFrame() as report:
                self._receive_playhead(report)
            case Close(code=code, reason=reason):
                self.close(code, reason)
            case HelloFrame() as hello:
                self.receive_hello(hello)
            case PingFrame():
                self._send({"type": "pong", "wall_ms": ms_from_us(self._hub.clock.system_wall_us())})
            case TypingFrame():
                self._here.edge.typing += 1
            case UnknownFrame(id=frame_id):
                self._send({"type": "error", "id": frame_id, "code": "unknown_type"})

    @property
    def _here(self) -> LiveRoom:
        assert self._room is not None
        return self._room

    # --- hello ----------------------------------------------------------------------------------------------------

    def receive_hello(self, hello: HelloFrame) -> None:
        """The peer says who it is, and where it left off: let it in, or close."""
        self._early = []
        self._socket.pause_reading()
        self._spawn(self._answer_hello(hello))

    async def _answer_hello(self, hello: HelloFrame) -> None:
        try:
            await self._enter(hello)
        except Exception as error:
            self._note_failure(error)
        early, self._early = self._early or [], None
        for data in early:
            if not self._socket.is_closing:
                self.receive_message(data)
        self._socket.resume_reading()

    def _close_as_unknown(self) -> None:
        self.close(CloseCode.UNKNOWN_ROOM, "there is no such room")

    def _may_knock(self) -> bool:
        """Whether one more stranger of this address may try; a good token is never counted."""
        if self._hub.doors.knock(self.address, self._hub.clock.monotonic_us()):
            return True
        self.close(CloseCode.TOO_SLOW, "too many strangers of this address try at once")
        return False

    async def _enter(self, hello: HelloFrame) -> None:
        if hello.token is None and not self._may_knock():
            return
        try:
            room, identity = await self._hub.admitted(self.room_id, hello.token)
        except TokenError:
            if self._may_knock():
                self.close(CloseCode.TOKEN, "the token was not accepted")
            return
        except RoomRestartingError:
            self.close(CloseCode.SHUTTING_DOWN, "come back in a moment")
            return
        except BannedError:
            self.send_banned()
            return
        except UnknownRoomError:
            self._close_as_unknown()
            return
        if self._page is not None and self._page not in room.settings.origins:
            self._close_as_unknown()
            return
        author = self._hub.author_of(identity, self.room_id)
        room.floor.note_staff(author)
        if hello.token is None:
            if not self._hub.doors.enter(self.address):
                self._hub.people.release(self.room_id, author)
                self.close(CloseCode.TOO_SLOW, "too many guests of this address")
                return
            self._is_guest = True
        if not self._hub.enter(identity.person(self.room_id)):
            self.close(CloseCode.TOO_SLOW, "too many connections of this person")
            return
        self.identity, self._person = identity, identity.person(self.room_id)
        self._author, self.author_key, self._human = author, author.key, hello.human
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
        recovery = None if lost else await self._recovered(after, min(max(hello.last, 0), HELLO_LAST_MAX))
        if room.is_stopped:  # while the journal was read; what comes now goes to those in the room that follows
            self.send_away(gone=False)
            return
        room.flush()
        if recovery is not None and recovery.through != room.log.position:
            recovery = None  # something was committed while the journal was read and memory no longer reaches back
        self._session.welcome()
        if recovery is None:
            self._send_reset("too_old", room.log.position)
        if self._socket.is_closing:  # it went away meanwhile
            return
        room.receivers.add(self)
        self._send_welcome(self._welcome(recovery), room.log.position)

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
            # Asked afterwards, since rows may leave the journal while it is read.
            if after.offset < room.journal.pruned.through(room.room) or len(read.back) > BACK_EVENTS_MAX:
                return None
            room.flush()
            rest = room.log.recovered(read.through)
            if rest is not None:
                gone, back = changed_by([(read.gone, read.back), (rest.gone, rest.back)])
                return Recovery(read.public + rest.public, read.events + rest.events, gone, back, rest.through)
        return None

    def _welcome(self, recovery: Recovery | None, position: Position | None = None) -> bytes:
        room, author = self._here, self._author
        assert author is not None
        through = position_to_wire(position or room.log.position)
        sealed_until_us = room.sealed_until_us()
        standing = {} if recovery is None else room.events_as_they_stand(recovery.back)
        gone = {offset for offset, body in standing.items() if body is None} | set(
            () if recovery is None else recovery.gone
        )
        frame = {
            "type": "welcome",
            "position": through,
            "wall_ms": ms_from_us(self._hub.clock.system_wall_us()),
            "clock_ms": room.clock_ms(),
            "broadcast": room.broadcasts.current.number,
            "state": room.edge.to_wire(),
            "you": {
                "key": author.key,
                "name": author.name,
                "role": author.role,
                "may": list(permitted(author.role, room.edge.mode)),
            },
            "reactions": list(room.settings.reactions),
            "sealed_until_ms": None if sealed_until_us is None else ms_from_us(sealed_until_us),
            "events": [] if recovery is None else self._told_at_first(recovery),
            "through": through,
            "gone": sorted(gone),
            "back": [body for body in standing.values() if body is not None],
        }
        return encoded(frame)

    def _told_at_first(self, recovery: Recovery) -> list[msgspec.Raw]:
        """Events of a welcome by offset; those who run the room are told what still waits for them, too."""
        told = {event.offset: body for event, body in zip(recovery.events, recovery.public, strict=True)}
        if self.is_staff:
            told |= dict(self._here.log.waiting())
        return [msgspec.Raw(body) for _, body in sorted(told.items())]

    # --- acts -----------------------------------------------------------------------------------------------------

    def _receive_playhead(self, report: PlayheadFrame) -> None:
        playhead = SayPlayhead(
            report.broadcast, report.program_ms, report.media_sequence, report.into_segment_ms, report.at_live
        )
        self._here.receive_playhead(
            self._seen, self._person, playhead, rate=report.rate, paused=report.paused, author_key=self.author_key
        )

    def _receive_act(self, frame: SayFrame | ActFrame) -> None:
        """Check, stamp and submit; the ack goes out when it is durable. Acts keep the order in which they came."""
        started_us = self._hub.clock.monotonic_us()
        try:
            self._hub.take_token(self._person)
            assert self._author is not None
            if isinstance(frame, ActFrame) and frame.action == "broadcast_close":
                self._spawn(self._close_broadcast(frame))
                return
            floor = self._here.floor
            if isinstance(frame, ActFrame) and frame.action == "react":
                floor.react(frame.emoji, self._author, self._seen, frame.playhead)
                self._send({"type": "ack", "id": frame.id})
                return
            if isinstance(frame, SayFrame):
                act = floor.say(frame, self._author, self._seen)
            else:
                act = floor.act(frame, self._author, self._seen)
            if isinstance(frame, SayFrame) and floor.asks_others(self._author):
                self._spawn(self._answer_checked(frame.id, act, started_us))
            elif act.target is None:
                self._here.hand_in(floor.draft(act, None), partial(self._answer, frame.id, started_us))
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
            await close_once(self._here, frame.id, self._author.key)
        except ChatsyncError as error:
            self._refuse(frame.id, error)
            return
        self._send({"type": "ack", "id": frame.id})

    async def _answer_checked(self, frame_id: str, act: Act, started_us: int) -> None:
        """As :meth:`_answer_act`, once others have been asked: whether this is a person, and what the operator's filter says."""
        room = self._here
        try:
            await self._prove_human(room)
            act = await room.floor.filtered(act, frame_id)
            room.hand_in(room.floor.draft(act, None), partial(self._answer, frame_id, started_us))
        except Exception as error:
            self._note_failed(frame_id, error)

    async def _prove_human(self, room: LiveRoom) -> None:
        """A guest who writes shows once that they are a person, where the room asks for it."""
        check = room.floor.human_check
        if check is None or not self._is_guest or self._is_human:
            return
        self._is_human = bool(self._human) and await check.check(str(self._human), self.address)
        if not self._is_human:
            raise MessageRejectedError(
                "human_check", "Show that you are a person: solve the page's CAPTCHA and connect again."
            )

    async def _answer_act(self, frame_id: str, act: Act, started_us: int) -> None:
        try:
            appended = await self._here.act(act)
        except Exception as error:
            self._note_failed(frame_id, error)
        else:
            self._ack(frame_id, appended, started_us)

    def _answer(self, frame_id: str, started_us: int, result: Appended | BaseException) -> None:
        if isinstance(result, Appended):
            self._ack(frame_id, result, started_us)
        else:
            self._note_failed(frame_id, result)

    def _note_failed(self, frame_id: str, error: BaseException) -> None:
        if isinstance(error, ChatsyncError):
            self._refuse(frame_id, error)
        else:
            _log.error("act_failed", room=self.room_id, error=type(error).__name__)
            self._send({"type": "error", "id": frame_id, "code": "internal"})

    def _ack(self, frame_id: str, appended: Appended, started_us: int) -> None:
        self._hub.metrics.commit_s.observe((self._hub.clock.monotonic_us() - started_us) / SECOND_US)
        if appended.event.kind == "held":
            self._send({"type": "held", "id": frame_id})
            return
        self._send({"type": "ack", **acked(frame_id, appended)})

    def _refuse(self, frame_id: str, error: ChatsyncError) -> None:
        code = error.reason if isinstance(error, MessageRejectedError) else error.code
        self._hub.metrics.refused.labels(code).inc()
        frame: dict[str, Any] = {"type": "error", "id": frame_id, "code": code}
        if isinstance(error, RateLimitedError):
            frame["retry_after_ms"] = error.retry_after_ms
        if isinstance(error, SanctionedError) and error.until_ms is not None:
            frame["until_ms"] = error.until_ms
        if isinstance(error, NotFoundError):
            frame["code"] = "not_found"
        self._send(frame)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- writing --------------------------------------------------------------------------------------------------

    def _send(self, frame: dict[str, Any]) -> None:
        if self._is_too_slow():
            return
        self._socket.send_frame(encoded(frame))

    def receive_reset(self, reason: str, position: Position) -> None:
        """Tell the peer to start afresh; a welcome without events follows (contract §5)."""
        if self._socket.is_closing or self._room is None:
            return
        self._send_reset(reason, position)
        self._send_welcome(self._welcome(None, position), position)

    def _send_reset(self, reason: str, position: Position) -> None:
        self._send({"type": "reset", "reason": reason, "position": position_to_wire(position)})

    def _send_welcome(self, frame: bytes, through: Position) -> None:
        # It may be larger than the bound on what waits, being the peer's own request, answered once. It does not count: else
        # the next event would close whoever missed much, again at each return.
        self._socket.send_batch(Batch((frame,), through), excused=True)

    def receive_batch(self, batch: Batch) -> None:
        """Send frames to the peer; one that reads too slowly is closed and comes back later."""
        if not self._is_too_slow():
            self._socket.send_batch(batch)

    def _is_too_slow(self) -> bool:
        """Whether too much waits for the peer; then it is closed."""
        # What waits already is judged, not what comes: a busy room's batch behind one's own ack is no sign of a slow reader.
        if self._socket.waiting_bytes > self._hub.settings.limits.send_queue_bytes_max:
            self.close(CloseCode.TOO_SLOW, "the connection reads too slowly")
            return True
        return False
