"""Frames: what is understood, what is refused, what is printed (contract §2, §5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsync.chat.event import Position, Stamp
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
    WirePosition,
    decoded_frame,
    event_to_wire,
    events_frame,
)
from chatsync.errors import WireError
from tests.builders import BASE_US, author, event


def sent(**frame: Any) -> bytes:
    """A frame as a client would send it."""
    return json.dumps(frame).encode()


def test_each_frame_of_the_contract_is_understood() -> None:
    """Hello, say, act, playhead, typing and ping decode to their shapes."""
    position = {"epoch": "1", "offset": 7}
    assert HelloFrame("t", WirePosition("1", 7), 20) == decoded_frame(
        sent(type="hello", token="t", after=position, last=20)
    )
    playhead = {"broadcast": 3, "program_ms": 5, "media_sequence": 9, "into_segment_ms": 345, "at_live": True}
    say = decoded_frame(sent(type="say", id="a", kind="question", text="why?", reply_to=4, playhead=playhead))
    assert SayFrame("a", "why?", "question", 4, SayPlayhead(3, 5, 9, 345, True)) == say
    assert ActFrame("a", "hide", 4, reason="rude") == decoded_frame(
        sent(type="act", id="a", action="hide", target=4, reason="rude")
    )
    assert PlayheadFrame(3, 5, rate=2.0) == decoded_frame(sent(type="playhead", broadcast=3, program_ms=5, rate=2))
    assert isinstance(decoded_frame(sent(type="typing")), TypingFrame)
    assert isinstance(decoded_frame(sent(type="ping")), PingFrame)


def test_unknown_fields_are_ignored() -> None:
    """A newer client's extra fields do no harm."""
    assert SayFrame("a", "x") == decoded_frame(sent(type="say", id="a", text="x", mood="sunny"))


def test_an_unknown_type_is_told_apart_from_damage() -> None:
    """A frame of a later version is answered, not fatal."""
    assert UnknownFrame("wave", "q") == decoded_frame(sent(type="wave", id="q"))


MALFORMED = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"hello"',
    b"{",
    b"{}",
    b"\xff\xfe",
    b'{"type":7}',
    b'{"type":"say"}',
    b'{"type":"say","id":"a"}',
    b'{"type":"say","id":"","text":"x"}',
    b'{"type":"say","id":7,"text":"x"}',
    b'{"type":"say","id":"a","text":null}',
    b'{"type":"say","id":"a","text":["x"]}',
    b'{"type":"say","id":"a","text":"\\ud800"}',
    b'{"type":"say","id":"a","text":"x","reply_to":"4"}',
    b'{"type":"say","id":"a","text":"x","reply_to":1.5}',
    b'{"type":"say","id":"a","text":"x","reply_to":99999999999999999999}',
    b'{"type":"say","id":"a","text":"x","playhead":7}',
    b'{"type":"say","id":"a","text":"x","playhead":{}}',
    b'{"type":"say","id":"a","text":"x","playhead":{"broadcast":"3"}}',
    b'{"type":"say","id":"a","text":"x","playhead":{"broadcast":1,"program_ms":1e999}}',
    b'{"type":"say","id":"a","text":"x","playhead":{"broadcast":1,"program_ms":9007199254740993}}',
    b'{"type":"playhead"}',
    b'{"type":"playhead","broadcast":1,"rate":NaN}',
    b'{"type":"playhead","broadcast":1,"rate":-1}',
    b'{"type":"playhead","broadcast":1,"rate":17}',
    b'{"type":"playhead","broadcast":1,"rate":"2"}',
    b'{"type":"playhead","broadcast":1,"paused":"yes"}',
    b'{"type":"playhead","broadcast":1,"media_sequence":-9007199254740993}',
    b'{"type":"hello","token":7}',
    b'{"type":"hello","after":{"epoch":1,"offset":2}}',
    b'{"type":"hello","after":{"epoch":"1"}}',
    b'{"type":"hello","after":"1:2"}',
    b'{"type":"hello","last":"many"}',
    b'{"type":"act","id":"a"}',
    b'{"type":"act","id":"a","action":7}',
    b'{"type":"act","id":"a","action":"hide","target":"x"}',
    b'{"type":"act","action":"hide","target":4}',
    b'{"type":"ping"} trailing',
    b"[" * 5_000,
    b'{"type":"say","id":"' + b"a" * 65 + b'","text":"x"}',
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_frame_is_refused(data: bytes) -> None:
    """Whatever does not fit the contract is one error, never another exception."""
    with pytest.raises(WireError):
        decoded_frame(data)


@pytest.mark.parametrize("epoch", ["", "x", "-1", "1.5", "²", "9" * 20])
def test_an_epoch_that_is_no_number_of_ours_starts_the_client_afresh(epoch: str) -> None:
    """Such a position is nobody's."""
    assert WirePosition(epoch, 3).to_position() is None
    assert Position(12, 3) == WirePosition("12", 3).to_position()


def test_an_event_prints_its_stamp_in_milliseconds() -> None:
    """Units and names of the wire; what is zero or empty is left out."""
    stamped = Stamp(
        stamp="playhead", broadcast=2, program_us=BASE_US + 1_000, uncertainty_us=40_001, behind_live_us=16_000_000
    )
    wire = event_to_wire(event(5, stamp=stamped, text="see https://example.org", reply_to=3), author=author())
    assert {
        "offset": 5,
        "kind": "message",
        "id": "id-5",
        "broadcast": 2,
        "program_ms": BASE_US // 1000 + 1,
        "wall_ms": BASE_US // 1000,
        "stamp": "playhead",
        "uncertainty_ms": 41,
        "behind_live_ms": 16_000,
        "author": {"key": "key-ann", "name": "Ann", "role": "participant", "badges": ()},
        "text": "see https://example.org",
        "fragments": [{"type": "text", "text": "see "}, {"type": "link", "text": "https://example.org"}],
        "reply_to": 3,
    } == wire


def test_details_never_overwrite_a_field() -> None:
    """What a kind adds cannot forge offset, author or text."""
    forged = event(5, details={"offset": 1, "text": "forged", "extra": 7})
    wire = event_to_wire(forged)
    assert (5, "text 5", 7) == (wire["offset"], wire["text"], wire["extra"])


def test_an_events_frame_says_through_where_it_goes() -> None:
    """Holes included."""
    frame = json.loads(events_frame([event(5)], Position(1, 8)))
    assert ("events", {"epoch": "1", "offset": 8}, [5]) == (
        frame["type"],
        frame["through"],
        [one["offset"] for one in frame["events"]],
    )


def test_close_codes_say_who_comes_back() -> None:
    """4000 to 4499 come back, the others do not."""
    assert {4001, 4008} == {int(code) for code in CloseCode if code.comes_back}
    assert {4500, 4501, 4502, 4504, 4505} == {int(code) for code in CloseCode if not code.comes_back}
