"""Frames of the live socket and the JSON of an event: what travels, and the close codes.

Owns: shapes on the wire, their decoding and encoding. Does not know: sockets, rooms, clocks.
Units: ms since the Unix epoch (``_ms``), named for their clock. Source: contract §2 and §5.

Unknown fields are ignored; a frame of an unknown ``type`` is answered, not fatal; anything else that does not fit is
:class:`~chatsync.errors.WireError`. msgspec refuses what ``json`` lets through: NaN, huge exponents, lone surrogates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any

import msgspec

from chatsync.chat.event import Author, Event, Position
from chatsync.chat.text import fragments
from chatsync.errors import WireError
from chatsync.instants import ms_from_us

__all__ = [
    "ID_CHARACTERS_MAX",
    "JSON_DEPTH_MAX",
    "SUBPROTOCOL",
    "ActFrame",
    "ClientFrame",
    "CloseCode",
    "HelloFrame",
    "Id",
    "Number",
    "PingFrame",
    "PlayheadFrame",
    "Rate",
    "SayFrame",
    "SayPlayhead",
    "TypingFrame",
    "UnknownFrame",
    "WirePosition",
    "decoded_frame",
    "encoded",
    "event_to_wire",
    "events_frame",
    "is_id",
    "is_shallow",
    "joined_events_frame",
    "position_to_wire",
]

SUBPROTOCOL = "chatsync.v1"


class CloseCode(IntEnum):
    """Why the server closes a socket. 4000-4499 come back, 4500-4999 do not."""

    SHUTTING_DOWN = 4001
    TOO_SLOW = 4008
    MALFORMED = 4500
    UNKNOWN_ROOM = 4501
    TOKEN = 4502
    BANNED = 4504
    HELLO_TOO_LATE = 4505

    @property
    def comes_back(self) -> bool:
        """Whether the client should connect again."""
        return self < 4500


JSON_DEPTH_MAX = 32  # objects and lists within each other; ours need 4
ID_CHARACTERS_MAX = 64
_NUMBER_MAX = 2**53 - 1  # what JavaScript can say exactly
_AS_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(range(256)).translate(None, b"[]{}")

_ID = r"\A[^\x00-\x1f\x7f-\x9f]+\Z"  # whatever reads it later, an id is one line and ends where it ends

Id = Annotated[
    str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX, pattern=_ID)
]  # UUIDv7 as text; any other text without control characters is taken as it is
Number = Annotated[int, msgspec.Meta(ge=-_NUMBER_MAX, le=_NUMBER_MAX)]  # so that ms can be told in µs in 64 bits
Rate = Annotated[float, msgspec.Meta(ge=0, le=16)]


def is_id(text: str, characters_max: int = ID_CHARACTERS_MAX) -> bool:
    """Whether a text may be an id: not empty, not too long, no control characters."""
    return len(text) <= characters_max and _is_id(text) is not None


_is_id = re.compile(_ID).match


class WirePosition(msgspec.Struct, frozen=True):
    """A position in the log as it travels: the epoch is an ordered number in a decimal string."""

    epoch: str
    offset: Number

    def to_position(self) -> Position | None:
        """The position, or None if the epoch is not a number of ours: then the client starts afresh."""
        if not self.epoch.isascii() or not self.epoch.isdigit() or len(self.epoch) > 19:
            return None
        return Position(int(self.epoch), self.offset)


class HelloFrame(msgspec.Struct, tag="hello", frozen=True):
    """First frame of a client: who it is and where it left off."""

    token: str | None = None
    after: WirePosition | None = None
    last: Number = 50
    human: Annotated[str, msgspec.Meta(max_length=4_096)] | None = (
        None  # what a CAPTCHA gave, of a guest who wants to write
    )


class SayPlayhead(msgspec.Struct, frozen=True):
    """What the author's player showed at the very moment of writing."""

    broadcast: Number
    program_ms: Number | None = None
    media_sequence: Number | None = None
    into_segment_ms: Number | None = None
    at_live: bool = False


class SayFrame(msgspec.Struct, tag="say", frozen=True):
    """An utterance."""

    id: Id
    text: str
    kind: str = "message"
    reply_to: Number | None = None
    playhead: SayPlayhead | None = None
    to: tuple[str, ...] | None = None  # read so that what is meant for few is never taken for everyone's


class ActFrame(msgspec.Struct, tag="act", frozen=True):
    """A deed, such as hide, pin or upvote."""

    id: Id
    action: str
    target: Number | None = None
    author: str | None = None
    text: str | None = None
    reason: str | None = None
    how: str | None = None
    until_ms: Number | None = None  # wall time at which a mute or a ban ends; None: when somebody ends it
    mode: dict[str, Any] | None = None
    poll: Id | None = None
    question: str | None = None
    choices: tuple[str | int, ...] | None = None  # texts when a poll opens, indexes in a vote
    multiple: bool = False
    answer: tuple[int, ...] | None = None  # the right choices of a quiz, by index
    emoji: str | None = None
    playhead: SayPlayhead | None = None


class PlayheadFrame(msgspec.Struct, tag="playhead", frozen=True):
    """What the player shows now; sent on every change and every 10 s."""

    broadcast: Number
    program_ms: Number | None = None
    media_sequence: Number | None = None
    into_segment_ms: Number | None = None
    rate: Rate = 1.0
    paused: bool = False
    at_live: bool = False


class TypingFrame(msgspec.Struct, tag="typing", frozen=True):
    """Somebody types; never stored."""


class PingFrame(msgspec.Struct, tag="ping", frozen=True):
    """Asks for a ``pong`` with the relay's wall time."""


class UnknownFrame(msgspec.Struct, frozen=True):
    """A frame of a type this version does not know."""

    type: str
    id: str | None = None


ClientFrame = HelloFrame | SayFrame | ActFrame | PlayheadFrame | TypingFrame | PingFrame

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ClientFrame)
_unknown_decoder = msgspec.json.Decoder(UnknownFrame)
_encoder = msgspec.json.Encoder()
_KNOWN_TYPES = {"hello", "say", "act", "playhead", "typing", "ping"}


def is_shallow(data: bytes | str) -> bool:
    """Whether JSON stays within ``JSON_DEPTH_MAX``, what is in unknown fields included. What is no JSON may pass: decoding refuses it.

    Cost: two counts for the texts people send; else linear, with no recursion and no loop in Python.
    """
    held = data.encode(errors="replace") if isinstance(data, str) else data
    if held.count(b"[") + held.count(b"{") <= JSON_DEPTH_MAX:
        return True
    plain = held.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]  # what is not within strings
    brackets = b"".join(plain).translate(_AS_ONE_KIND, _NO_BRACKETS)
    for _ in range(JSON_DEPTH_MAX):  # each round takes the innermost pairs away
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return True
    return False


def decoded_frame(data: bytes | str) -> ClientFrame | UnknownFrame:
    """Decode a client's frame.

    Raises:
        WireError: not JSON, not an object of a known shape, nested too deep, a number no player can mean, or an id that is too long.
    """
    if not is_shallow(data):
        raise WireError("nested too deep")
    try:
        frame: ClientFrame = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        return _unknown(data, error)
    except (UnicodeError, RecursionError) as error:
        raise WireError("not UTF-8 JSON") from error
    return frame


def _unknown(data: bytes | str, error: msgspec.MsgspecError) -> UnknownFrame:
    try:
        unknown = _unknown_decoder.decode(data)
    except msgspec.MsgspecError as unreadable:
        raise WireError(_plain(unreadable)) from error
    except (UnicodeError, RecursionError):
        raise WireError("not UTF-8 JSON") from error
    if unknown.type in _KNOWN_TYPES:
        raise WireError(_plain(error)) from error
    return unknown


def _plain(error: msgspec.MsgspecError) -> str:
    """The decoder's own words; they name the field and the type, never the value."""
    return str(error)[:120]


def encoded(frame: Mapping[str, Any]) -> bytes:
    """A server's frame as UTF-8 JSON."""
    return _encoder.encode(frame)


def position_to_wire(position: Position) -> dict[str, Any]:
    """``{"epoch": "1", "offset": 18420}``."""
    return {"epoch": str(position.epoch), "offset": position.offset}


def event_to_wire(
    event: Event, *, author: int | Author | None = None, with_broadcast: bool = True, as_staff: bool = False
) -> dict[str, Any]:
    """An event as JSON values.

    Args:
        event: of any kind; the caller has decided that the reader may see it.
        author: how the author is printed: an index into a slice's table, the author itself, or None to leave it out.
        with_broadcast: False inside a slice, which says it once.
        as_staff: print details that only staff may see (reasons, authors of a deed).
    """
    stamp = event.stamp
    wire: dict[str, Any] = {"offset": event.offset, "kind": event.kind, "id": event.id}
    if with_broadcast:
        wire["broadcast"] = stamp.broadcast
    wire |= {
        "program_ms": ms_from_us(stamp.program_us),
        "wall_ms": ms_from_us(event.wall_us),
        "stamp": stamp.stamp,
        "uncertainty_ms": -(-stamp.uncertainty_us // 1000),
    }
    if stamp.behind_live_us >= 1000:
        wire["behind_live_ms"] = ms_from_us(stamp.behind_live_us)
    if author is not None:
        wire["author"] = msgspec.to_builtins(author) if isinstance(author, Author) else author
    if event.text is not None:
        wire["text"] = event.text
        parts = fragments(event.text, event.details.get("emotes") or {})
        if len(parts) > 1 or (parts and parts[0]["type"] != "text"):
            wire["fragments"] = list(parts)
    if event.reply_to is not None:
        wire["reply_to"] = event.reply_to
    if event.target is not None:
        wire["target"] = event.target
    for name, value in event.details.items():
        is_told = as_staff or name not in _STAFF_DETAILS or (name == "answer" and event.kind == "poll_closed")
        if name not in wire and name != "emotes" and is_told:
            wire[name] = value
    if event.kind == "hand_lowered" and "author" in event.details:
        wire["hand"] = event.details["author"]  # by somebody else, who is the author: whose hand it was
    return wire


_STAFF_DETAILS = frozenset({"reason_text", "moderator", "by", "held", "answer", "imported"})


def events_frame(events: Iterable[Event], through: Position) -> bytes:
    """An ``events`` frame for everyone; the author stands inside each event."""
    return joined_events_frame([encoded(event_to_wire(event, author=event.author)) for event in events], through)


def joined_events_frame(encoded_events: Sequence[bytes], through: Position) -> bytes:
    """An ``events`` frame from events that are encoded already: each is encoded once for the whole room."""
    return b'{"type":"events","events":[%b],"through":%b}' % (
        b",".join(encoded_events),
        _encoder.encode(position_to_wire(through)),
    )
