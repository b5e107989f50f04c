"""One connection's life: hello first, in time, once (contract §5)."""

from __future__ import annotations

import pytest

from chatsync.chat.session import HELLO_US_MAX, Close, Session, SessionState
from chatsync.chat.wire import CloseCode, HelloFrame, PingFrame, SayFrame, UnknownFrame

HELLO = b'{"type":"hello","token":null}'
SAY = b'{"type":"say","id":"a","text":"x"}'


def test_hello_opens_and_then_everything_else_may_come() -> None:
    """After the welcome a say is a say."""
    session = Session(now_us=0)
    assert isinstance(session.receive_frame(HELLO), HelloFrame)
    session.welcome()
    assert isinstance(session.receive_frame(SAY), SayFrame)
    assert session.wake_at_us() is None


@pytest.mark.parametrize("data", [SAY, b'{"type":"playhead","broadcast":1}', b'{"type":"typing"}', b'{"type":"wave"}'])
def test_nothing_but_hello_and_ping_may_come_first(data: bytes) -> None:
    """A frame before its time closes with 4500."""
    session = Session(now_us=0)
    assert isinstance(session.receive_frame(b'{"type":"ping"}'), PingFrame)
    closed = session.receive_frame(data)
    assert isinstance(closed, Close)
    assert CloseCode.MALFORMED == closed.code
    assert SessionState.CLOSED is session.state


def test_a_second_hello_closes() -> None:
    """One connection is one person."""
    session = Session(now_us=0)
    session.receive_frame(HELLO)
    session.welcome()
    assert isinstance(session.receive_frame(HELLO), Close)


def test_hello_must_come_within_five_seconds() -> None:
    """At the deadline the connection closes with 4505, not before."""
    session = Session(now_us=10)
    assert 10 + HELLO_US_MAX == session.wake_at_us()
    assert session.receive_time(9 + HELLO_US_MAX) is None
    late = session.receive_time(10 + HELLO_US_MAX)
    assert late is not None
    assert CloseCode.HELLO_TOO_LATE == late.code


def test_a_frame_of_a_later_version_is_answered() -> None:
    """Unknown types do not close a welcomed connection."""
    session = Session(now_us=0)
    session.receive_frame(HELLO)
    session.welcome()
    assert UnknownFrame("wave", None) == session.receive_frame(b'{"type":"wave"}')


def test_a_reason_fits_a_close_frame() -> None:
    """The reason has at most 123 bytes, whatever was sent."""
    session = Session(now_us=0)
    closed = session.receive_frame('{"type":"say","id":"a","text":7,"' + "ü" * 500 + '":1}')
    assert isinstance(closed, Close)
    assert len(closed.reason.encode()) <= 123
