"""chatsync.chat.wire: what travels on the live socket, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Position
from chatsync.chat.wire import (
    JSON_DEPTH_MAX,
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
    encoded,
    event_to_wire,
    events_frame,
    is_id,
    is_shallow,
    joined_events_frame,
    position_to_wire,
)
from chatsync.errors import WireError
from tests.builders import BASE_US, author, event, stamp

NUMBER_MAX = 2**53 - 1

FRAMES: list[tuple[dict[str, Any], msgspec.Struct]] = [
    ({"type": "hello"}, HelloFrame()),
    (
        {"type": "hello", "token": "t", "after": {"epoch": "1", "offset": 7}, "last": 10},
        HelloFrame("t", WirePosition("1", 7), 10),
    ),
    ({"type": "hello", "token": None, "after": None}, HelloFrame()),
    ({"type": "say", "id": "a", "text": "why?"}, SayFrame("a", "why?")),
    (
        {
            "type": "say",
            "id": "a",
            "kind": "question",
            "text": "",
            "reply_to": 1790,
            "playhead": {
                "broadcast": 3,
                "program_ms": 1764000012345,
                "media_sequence": 5126,
                "into_segment_ms": 345,
                "at_live": True,
            },
        },
        SayFrame("a", "", "question", 1790, SayPlayhead(3, 1764000012345, 5126, 345, True)),
    ),
    (
        {"type": "say", "id": "a", "text": "x", "playhead": {"broadcast": 1}},
        SayFrame("a", "x", playhead=SayPlayhead(1)),
    ),
    ({"type": "act", "id": "a", "action": "hide", "target": 5}, ActFrame("a", "hide", 5)),
    (
        {"type": "act", "id": "a", "action": "hide", "author": "key", "reason": "rude", "text": "t", "how": "live"},
        ActFrame("a", "hide", None, "key", "t", "rude", "live"),
    ),
    (
        {"type": "act", "id": "a", "action": "upvote", "target": 5, "playhead": {"broadcast": 1, "program_ms": 9}},
        ActFrame("a", "upvote", 5, playhead=SayPlayhead(1, 9)),
    ),
    ({"type": "playhead", "broadcast": 1}, PlayheadFrame(1)),
    (
        {
            "type": "playhead",
            "broadcast": 1,
            "program_ms": 1764000012345,
            "media_sequence": 7,
            "into_segment_ms": 8,
            "rate": 2,
            "paused": True,
            "at_live": True,
        },
        PlayheadFrame(1, 1764000012345, 7, 8, 2.0, True, True),
    ),
    ({"type": "typing"}, TypingFrame()),
    ({"type": "ping"}, PingFrame()),
    ({"type": "shiny", "id": "a", "x": [1]}, UnknownFrame("shiny", "a")),
    ({"type": "Ping"}, UnknownFrame("Ping")),
    ({"type": ""}, UnknownFrame("")),
]


@pytest.mark.parametrize(
    ("sent", "expected"), FRAMES, ids=lambda value: json.dumps(value) if type(value) is dict else ""
)
def test_every_frame_is_read(sent: dict[str, Any], expected: msgspec.Struct) -> None:
    """From text as from bytes, with its defaults; a type of a later version is told apart."""
    text = json.dumps(sent)
    assert expected == decoded_frame(text) == decoded_frame(text.encode())


@pytest.mark.parametrize(
    ("sent", "expected"), FRAMES, ids=lambda value: json.dumps(value) if type(value) is dict else ""
)
def test_unknown_fields_are_ignored(sent: dict[str, Any], expected: msgspec.Struct) -> None:
    """A newer client may say more than we know, at every level."""
    more = sent | {"zz": {"deep": [1, {"er": None}]}, "Text": 5}
    for name in ("playhead", "after"):
        if isinstance(sent.get(name), dict):
            more[name] = sent[name] | {"zz": 1}
    assert expected == decoded_frame(json.dumps(more))


SAY = '{"type":"say","id":"a","text":"x"'
MALFORMED: list[bytes | str] = [
    "",
    " ",
    b"\x00",
    b"\xff",
    "\ufeff" + '{"type":"ping"}',
    "null",
    "true",
    "5",
    '"ping"',
    "[]",
    '[{"type":"ping"}]',
    "{}",
    "{",
    '{"type"}',
    "{'type':'ping'}",
    '{"type":"ping",}',
    '{"type":"ping"} x',
    '{"type":"ping"}{"type":"ping"}',
    '{"type":"ping"',
    '{"type":null}',
    '{"type":5}',
    '{"type":["ping"]}',
    '{"type":"shiny","id":5}',
    '{"type":"shiny","id":"a","x":NaN}',
    '{"id":"a","text":"x"}',
    '{"type":"say"}',
    '{"type":"say","id":"a"}',
    '{"type":"say","text":"x"}',
    '{"type":"say","id":null,"text":"x"}',
    '{"type":"say","id":5,"text":"x"}',
    '{"type":"say","id":"","text":"x"}',
    '{"type":"say","id":"' + "a" * 65 + '","text":"x"}',
    '{"type":"say","id":"a","text":null}',
    '{"type":"say","id":"a","text":["x"]}',
    SAY + ',"kind":5}',
    SAY + ',"reply_to":"7"}',
    SAY + ',"reply_to":7.5}',
    SAY + ',"reply_to":true}',
    SAY + f',"reply_to":{NUMBER_MAX + 1}}}',
    SAY + ',"playhead":5}',
    SAY + ',"playhead":{}}',
    SAY + ',"playhead":{"broadcast":"1"}}',
    SAY + ',"playhead":{"broadcast":1,"program_ms":1e3}}',
    SAY + ',"playhead":{"broadcast":1,"program_ms":NaN}}',
    SAY + ',"playhead":{"broadcast":1,"program_ms":Infinity}}',
    SAY + f',"playhead":{{"broadcast":1,"program_ms":{NUMBER_MAX + 1}}}}}',
    SAY + f',"playhead":{{"broadcast":1,"program_ms":{-NUMBER_MAX - 1}}}}}',
    SAY + f',"playhead":{{"broadcast":{NUMBER_MAX + 1}}}}}',
    SAY + f',"playhead":{{"broadcast":1,"media_sequence":{2**64}}}}}',
    SAY + f',"playhead":{{"broadcast":1,"into_segment_ms":{2**80}}}}}',
    SAY + ',"playhead":{"broadcast":1,"at_live":1}}',
    '{"type":"act","id":"a"}',
    '{"type":"act","action":"hide"}',
    '{"type":"act","id":"","action":"hide"}',
    '{"type":"act","id":"a","action":"hide","target":"5"}',
    f'{{"type":"act","id":"a","action":"hide","target":{NUMBER_MAX + 1}}}',
    '{"type":"playhead"}',
    '{"type":"playhead","broadcast":null}',
    '{"type":"playhead","broadcast":1.5}',
    '{"type":"playhead","broadcast":1,"rate":"2"}',
    '{"type":"playhead","broadcast":1,"rate":true}',
    '{"type":"playhead","broadcast":1,"rate":NaN}',
    '{"type":"playhead","broadcast":1,"rate":Infinity}',
    '{"type":"playhead","broadcast":1,"rate":1e999}',
    '{"type":"playhead","broadcast":1,"rate":-0.1}',
    '{"type":"playhead","broadcast":1,"rate":16.1}',
    '{"type":"playhead","broadcast":1,"paused":"no"}',
    '{"type":"hello","token":5}',
    '{"type":"hello","last":"50"}',
    '{"type":"hello","last":1' + "0" * 30 + "}",
    '{"type":"hello","last":1' + "0" * 5000 + "}",
    '{"type":"hello","after":7}',
    '{"type":"hello","after":{"offset":7}}',
    '{"type":"hello","after":{"epoch":1,"offset":7}}',
    '{"type":"hello","after":{"epoch":"1","offset":"7"}}',
    f'{{"type":"hello","after":{{"epoch":"1","offset":{NUMBER_MAX + 1}}}}}',
    '{"type":"say","id":"a","text":"\\ud800"}',
    '{"type":"say","id":"a","text":"\\udc00\\ud800"}',
    '{"type":"say","id":"a","text":"\\ud83dx"}',
    '{"type":"say","id":"\\ud800","text":"x"}',
    '{"type":"say","id":"a","text":"\ud800"}',
    b'{"type":"say","id":"a","text":"\xed\xa0\x80"}',
    b'{"type":"say","id":"a","text":"\xc0\xaf"}',
    b'{"type":"say","id":"a","text":"\xf5\x80\x80\x80"}',
    '{"type":"say","id":"a","text":"\\x41"}',
    '{"type":"say","id":"a","text":"line\nbreak"}',
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"type":"hello","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"type":"shiny","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"type":"shiny","x":' + '{"x":' * 100_000 + "1" + "}" * 100_000 + "}",
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: ascii(data)[:60])
def test_what_is_malformed_is_refused(data: bytes | str) -> None:
    """Every way to be wrong is a WireError, with a reason that is short and says nothing of the content."""
    with pytest.raises(WireError) as raised:
        decoded_frame(data)
    assert len(raised.value.reason) <= 120


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_noise_is_refused_and_nothing_else(data: bytes | str) -> None:
    """Whatever comes, the answer is a frame or a WireError."""
    try:
        frame = decoded_frame(data)
    except WireError:
        return
    assert isinstance(frame, msgspec.Struct)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = [
    "id",
    "text",
    "kind",
    "reply_to",
    "playhead",
    "action",
    "target",
    "author",
    "rate",
    "broadcast",
    "after",
    "last",
]
near_frames = st.builds(
    lambda name, values: {"type": name} | values,
    st.sampled_from(["hello", "say", "act", "playhead", "typing", "ping", "shiny"]),
    st.dictionaries(st.sampled_from(fields), json_values, max_size=6),
)


@given(near_frames)
def test_values_of_any_type_in_any_field_are_read_or_refused(sent: dict[str, Any]) -> None:
    """Nothing but a frame or a WireError comes of a frame with wrong values; numbers that pass can be computed with."""
    try:
        frame = decoded_frame(json.dumps(sent))
    except WireError:
        return
    if isinstance(frame, PlayheadFrame):
        assert 0 <= frame.rate <= 16
        assert abs(frame.program_ms or 0) * 1000 < 2**63


@pytest.mark.parametrize("number", [NUMBER_MAX, -NUMBER_MAX, 0])
def test_numbers_that_javascript_can_say_are_taken(number: int) -> None:
    """Up to 2**53 - 1 either way."""
    frame = decoded_frame(json.dumps({"type": "playhead", "broadcast": 1, "program_ms": number}))
    assert isinstance(frame, PlayheadFrame)
    assert number == frame.program_ms


@pytest.mark.parametrize("rate", [0, 0.25, 1, 16])
def test_rates_of_players_are_taken(rate: float) -> None:
    """From standing still to sixteen times."""
    frame = decoded_frame(json.dumps({"type": "playhead", "broadcast": 1, "rate": rate}))
    assert isinstance(frame, PlayheadFrame)
    assert rate == frame.rate


@pytest.mark.parametrize("text", ["\U0001f600", "שלום", "a\u0000b", "\\", "x" * 4000])
def test_text_travels_as_it_is(text: str) -> None:
    """Whether a text may be said is not this module's question; it is read letter by letter."""
    frame = decoded_frame(json.dumps({"type": "say", "id": "a" * 64, "text": text}))
    assert isinstance(frame, SayFrame)
    assert text == frame.text


@pytest.mark.parametrize("message_id", ["a", "$abc:server", "a" * 64, "\u05d0", "0192f0c4-7d1e-7cc1-8a55-3f0d4c6b2a10"])
def test_what_may_be_an_id(message_id: str) -> None:
    """Any text of 1 to 64 characters without controls, as other platforms make them."""
    assert is_id(message_id)
    assert isinstance(decoded_frame(json.dumps({"type": "say", "id": message_id, "text": "x"})), SayFrame)


@pytest.mark.parametrize("message_id", ["", "a" * 65, "a\0", "a\n", "\x1b[2J", "\x85", "a\x7fb"])
def test_what_may_not(message_id: str) -> None:
    """Nothing, too much, or what a terminal or a line-wise reader takes for something else."""
    assert not is_id(message_id)
    with pytest.raises(WireError):
        decoded_frame(json.dumps({"type": "say", "id": message_id, "text": "x"}))


@pytest.mark.parametrize(
    ("epoch", "position"),
    [
        ("1", Position(1, 7)),
        ("0007", Position(7, 7)),
        ("9" * 19, Position(10**19 - 1, 7)),
        ("", None),
        ("-1", None),
        ("1.0", None),
        ("x", None),
        (" 1", None),
        ("²", None),
        ("١", None),
        ("1" * 20, None),
    ],
)
def test_an_epoch_that_is_no_number_is_no_position(epoch: str, position: Position | None) -> None:
    """A client that brings one starts afresh; it is not malformed."""
    assert position == WirePosition(epoch, 7).to_position()


def test_a_position_survives_the_wire() -> None:
    """Out and in again it is the same; the epoch is text, so that no reader rounds it."""
    wire = position_to_wire(Position(12, 18420))
    assert {"epoch": "12", "offset": 18420} == wire
    assert Position(12, 18420) == WirePosition(**wire).to_position()


def test_close_codes_say_whether_to_come_back() -> None:
    """4000 to 4499 come back, 4500 to 4999 do not (contract §5)."""
    assert {4001: True, 4008: True, 4500: False, 4501: False, 4502: False, 4504: False, 4505: False} == {
        int(code): code.comes_back for code in CloseCode
    }


def test_an_event_prints_its_fields() -> None:
    """Times in ms, rounded down; uncertainty rounded up; the author inside."""
    one = event(
        7,
        text="why?",
        stamp=msgspec.structs.replace(stamp(BASE_US + 12_345_000), uncertainty_us=40_001, behind_live_us=2_345_678),
        reply_to=3,
        target=4,
        details={"how": "live"},
    )
    assert {
        "offset": 7,
        "kind": "message",
        "id": "id-7",
        "broadcast": 1,
        "program_ms": BASE_US // 1000 + 12_345,
        "wall_ms": BASE_US // 1000,
        "stamp": "playhead",
        "uncertainty_ms": 41,
        "behind_live_ms": 2_345,
        "author": {"key": "key-ann", "name": "Ann", "role": "participant", "badges": []},
        "text": "why?",
        "reply_to": 3,
        "target": 4,
        "how": "live",
    } == json.loads(encoded(event_to_wire(one, author=one.author)))


def test_what_there_is_not_is_left_out() -> None:
    """No nulls: an absent field says it."""
    bare = event_to_wire(event(7, "hand_raised", author=None))
    assert not {"author", "text", "fragments", "reply_to", "target", "behind_live_ms"} & set(bare)


def test_a_hand_that_staff_lowered_says_whose_it_was() -> None:
    """The author is who lowered it; one's own needs no more than that."""
    by_staff = event(7, "hand_lowered", author=author("Eve"), details={"author": "key-ann"})
    wire = event_to_wire(by_staff, author=by_staff.author)
    assert ("key-ann", "key-eve") == (wire["hand"], wire["author"]["key"])
    assert "hand" not in event_to_wire(event(7, "hand_lowered"))


def test_links_and_mentions_come_as_fragments_besides_the_text() -> None:
    """Plain text has none; the pieces joined are the text."""
    text = "see https://example.org/x @Ben"
    wire = event_to_wire(event(7, text=text))
    assert text == "".join(part["text"] for part in wire["fragments"])
    assert "fragments" not in event_to_wire(event(7, text="plain"))


def test_an_index_of_an_author_is_printed_even_if_it_is_zero() -> None:
    """The first author of a slice's table has index 0."""
    assert 0 == event_to_wire(event(7), author=0, with_broadcast=False)["author"]


def test_details_never_overwrite_a_field() -> None:
    """What a kind adds cannot pretend to be an offset, a text or an author."""
    sly = {"offset": 1, "kind": "announcement", "text": "forged", "program_ms": 0, "id": "x", "stamp": "origin"}
    wire = event_to_wire(event(7, text="mine", details=sly))
    assert (7, "message", "mine", "id-7", "playhead") == tuple(
        wire[name] for name in ("offset", "kind", "text", "id", "stamp")
    )


def test_staff_sees_reasons_and_deeds() -> None:
    """Who did it, and why in words, is printed for staff only."""
    deed = event(7, "hidden", details={"reason_text": "rude", "by": "m", "moderator": "m", "n": 1})
    assert {"reason_text", "by", "moderator", "n"} <= set(event_to_wire(deed, as_staff=True))
    assert not {"reason_text", "by", "moderator"} & set(event_to_wire(deed))


def test_a_joined_frame_is_the_frame() -> None:
    """Events that were encoded one by one make the same JSON as encoded together; none is a frame too."""
    events = [event(1, text='quo"te \\ \u2028'), event(2, author=author("Ben"))]
    joined = joined_events_frame([encoded(event_to_wire(one, author=one.author)) for one in events], Position(1, 9))
    assert events_frame(events, Position(1, 9)) == joined
    assert [1, 2] == [one["offset"] for one in json.loads(joined)["events"]]
    nothing = {"type": "events", "events": [], "through": {"epoch": "1", "offset": 9}}
    assert nothing == json.loads(events_frame([], Position(1, 9)))


def test_whom_a_message_is_for_is_read() -> None:
    """What is addressed to few must never be taken for everyone's by being ignored."""
    frame = decoded_frame('{"type":"say","id":"a","text":"psst","to":["host"]}')
    assert isinstance(frame, SayFrame)
    assert ("host",) == frame.to
    for wrong in ('"host"', "[5]", "{}"):
        with pytest.raises(WireError):
            decoded_frame(SAY + f',"to":{wrong}}}')


@pytest.mark.parametrize("data", [b"[" * 33, b'{"a":' * 33 + b"1" + b"}" * 33, b'[{"a":' * 17 + b"1" + b"}]" * 17])
def test_what_is_nested_too_deep_is_refused_before_it_is_decoded(data: bytes) -> None:
    """Also in a field that nobody reads, and with both kinds of brackets in turn."""
    assert not is_shallow(data)
    with pytest.raises(WireError, match="nested too deep"):
        decoded_frame(b'{"type":"ping","unknown":' + data + b"}")


@given(
    st.recursive(
        st.none() | st.text('[]{}"\\a', max_size=6),
        lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text('[{"', max_size=2), inside, max_size=3),
        max_leaves=40,
    ),
    st.integers(0, 34),
)
def test_brackets_in_texts_are_not_nesting(value: Any, deeper: int) -> None:
    """Depth is that of objects and lists alone, whatever texts hold."""
    for _ in range(deeper):
        value = [value, "]["]
    assert (_depth(value) <= JSON_DEPTH_MAX) == is_shallow(json.dumps(value))


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(one) for one in value.values()), default=0)
    return 1 + max((_depth(one) for one in value), default=0) if isinstance(value, list) else 0
