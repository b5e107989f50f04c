"""chatsync.chat.session: which frame may come when on one connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsync.chat.session import HELLO_US_MAX, Close, Session, SessionState
from chatsync.chat.wire import (
    ActFrame,
    CloseCode,
    HelloFrame,
    PingFrame,
    PlayheadFrame,
    SayFrame,
    TypingFrame,
    UnknownFrame,
)

START_US = 5_000_000

FRAMES: dict[str, tuple[type, dict[str, Any]]] = {
    "hello": (HelloFrame, {}),
    "say": (SayFrame, {"id": "a", "text": "hi"}),
    "act": (ActFrame, {"id": "a", "action": "hide", "target": 1}),
    "playhead": (PlayheadFrame, {"broadcast": 1, "program_ms": 5}),
    "typing": (TypingFrame, {}),
    "ping": (PingFrame, {}),
    "shiny": (UnknownFrame, {"id": "a"}),
}


def frame(name: str) -> str:
    """A frame as a client sends it."""
    return json.dumps({"type": name} | FRAMES[name][1])


def session(state: SessionState) -> Session:
    """A session in a state, by the way that leads there."""
    made = Session(now_us=START_US)
    if state is not SessionState.NEW:
        assert isinstance(made.receive_frame(frame("hello")), HelloFrame)
        made.welcome()
    if state is SessionState.CLOSED:
        made.receive_frame("no frame")
    assert state is made.state
    return made


ALLOWED = {
    SessionState.NEW: {"hello", "ping"},
    SessionState.READY: {"say", "act", "playhead", "typing", "ping", "shiny"},
    SessionState.CLOSED: set(),
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("state", SessionState, ids=lambda state: state.value)
def test_the_table_of_frames(state: SessionState, name: str) -> None:
    """Hello first and once, everything else after it, nothing after the close; what may not come now is 4500."""
    here = session(state)
    command = here.receive_frame(frame(name))
    if name in ALLOWED[state]:
        assert isinstance(command, FRAMES[name][0])
        assert state is here.state
    else:
        assert isinstance(command, Close)
        assert CloseCode.MALFORMED is command.code
        assert SessionState.CLOSED is here.state


@pytest.mark.parametrize("state", SessionState, ids=lambda state: state.value)
@pytest.mark.parametrize("data", [b"", b"\xff\xfe", "{", "[]", '{"type":"say"}', '{"type":5}', "\ud800"])
def test_what_is_no_frame_closes_in_every_state(state: SessionState, data: bytes | str) -> None:
    """A malformed frame is 4500, never an exception."""
    here = session(state)
    command = here.receive_frame(data)
    assert isinstance(command, Close)
    assert CloseCode.MALFORMED is command.code
    assert SessionState.CLOSED is here.state


def test_hello_is_due_within_five_seconds() -> None:
    """Exactly then the connection is given up; not before."""
    here = session(SessionState.NEW)
    assert START_US + HELLO_US_MAX == here.wake_at_us()
    assert 5_000_000 == HELLO_US_MAX
    assert here.receive_time(START_US + HELLO_US_MAX - 1) is None
    late = here.receive_time(START_US + HELLO_US_MAX)
    assert late is not None
    assert CloseCode.HELLO_TOO_LATE is late.code
    assert SessionState.CLOSED is here.state


def test_pings_do_not_put_the_hello_off() -> None:
    """A connection that only pings is given up too."""
    here = session(SessionState.NEW)
    here.receive_frame(frame("ping"))
    assert START_US + HELLO_US_MAX == here.wake_at_us()


@pytest.mark.parametrize("state", [SessionState.READY, SessionState.CLOSED], ids=lambda state: state.value)
def test_after_the_welcome_or_the_close_nothing_is_due(state: SessionState) -> None:
    """The machine wants to be called no more."""
    here = session(state)
    assert here.wake_at_us() is None
    assert here.receive_time(START_US + 10**12) is None


def test_a_hello_that_is_not_welcomed_yet_is_still_due() -> None:
    """Whoever checks tokens has as long as the client had."""
    here = session(SessionState.NEW)
    here.receive_frame(frame("hello"))
    assert here.wake_at_us() is not None


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"say","id":5,"text":"secret words"}',
        '{"type":"hello","token":["secret"]}',
        '{"type":"shiny","id":{"secret":1}}',
        '{"type":"act","id":"' + "secret" * 40 + '","action":"hide"}',
        '{"type":"say","id":"a","text":"\\ud800 secret"}',
        '{"type":["' + "secret" * 100 + '"]}',
    ],
)
def test_the_reason_of_a_close_fits_its_frame_and_repeats_nothing(data: str) -> None:
    """At most 123 bytes (RFC 6455 §5.5), and none of what was sent."""
    closed = session(SessionState.READY).receive_frame(data)
    assert isinstance(closed, Close)
    assert 0 < len(closed.reason.encode()) <= 123
    assert "secret" not in closed.reason
