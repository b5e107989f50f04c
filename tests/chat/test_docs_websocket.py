"""docs/websocket.md tells every frame, field, action and close code, and its examples are frames."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from chatsync.chat.event import KINDS
from chatsync.chat.wire import (
    ClientFrame,
    CloseCode,
    SayPlayhead,
    UnknownFrame,
    WirePosition,
    decoded_frame,
    event_to_wire,
)
from chatsync.service.acts import DEEDS, OTHER_DEEDS, SAYINGS
from tests.builders import BASE_US, event, stamp

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "websocket.md").read_text()
PARTS = dict(re.findall(r"^## (.+?)$\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SOURCES = [
    "chat/wire.py",
    "chat/room.py",
    "service/relay.py",
    "service/edge.py",
    "service/live_room.py",
    "service/stream_events.py",
    "service/sync_alarm.py",
]
CLIENT_FRAMES = {str(frame.__struct_config__.tag): frame for frame in get_args(ClientFrame)}
ADDED = {
    "sync": {"ok", "cause", "since_ms", "detail"},
    "ack": {"offset", "program_ms", "stamp", "durable"},
    "error": {"retry_after_ms"},
    "broadcast": {"reason"},
}
INSIDE: dict[str, list[Any]] = {"hello": [WirePosition], "say": [SayPlayhead]}


def sections(part: str) -> dict[str, str]:
    """Sections of a part of the page by the frame they are about."""
    return dict(re.findall(r"^### `(\w+)`$(.*?)(?=^### |\Z)", PARTS[part], re.MULTILINE | re.DOTALL))


FROM_CLIENT, FROM_RELAY = sections("From the client"), sections("From the relay")


def examples(text: str) -> list[dict[str, Any]]:
    """JSON blocks of a section."""
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def printed() -> Iterator[tuple[str, set[str]]]:
    """Type and fields of every frame that the relay's code writes."""
    for source in SOURCES:
        text = (ROOT / "chatsync" / source).read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Dict):
                literal = {
                    k.value: v for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
                }
                name = literal.get("type")
                if isinstance(name, ast.Constant) and str(name.value).isidentifier():
                    yield str(name.value), {str(key) for key in literal} - {"type"}
            elif isinstance(node, ast.Constant) and isinstance(node.value, bytes) and b'{"type":' in node.value:
                names = re.findall(r'"(\w+)":', node.value.decode())
                yield re.findall(r'"type":"(\w+)"', node.value.decode())[0], set(names) - {"type"}


RELAY_FRAMES: dict[str, set[str]] = {}
for _name, _fields in printed():
    RELAY_FRAMES[_name] = RELAY_FRAMES.get(_name, set()) | _fields


def names_in(section: str) -> set[str]:
    """Words that stand in backticks or as a field of an example."""
    return set(re.findall(r"`(\w+)`", section)) | set(re.findall(r'"(\w+)":', section))


def test_the_page_tells_the_frames_that_exist() -> None:
    """A section for every frame that can be sent or come, and none for another."""
    assert set(CLIENT_FRAMES) == set(FROM_CLIENT)
    assert set(RELAY_FRAMES) == set(FROM_RELAY)


@pytest.mark.parametrize("name", CLIENT_FRAMES)
def test_every_field_of_a_clients_frame_is_told_in_its_section(name: str) -> None:
    """Field by field, those of what stands inside it as well."""
    fields = set(CLIENT_FRAMES[name].__struct_fields__)
    for inside in INSIDE.get(name, []):
        fields |= set(inside.__struct_fields__)
    assert set() == fields - names_in(FROM_CLIENT[name])


@pytest.mark.parametrize("name", RELAY_FRAMES)
def test_every_field_of_the_relays_frames_is_told_in_its_section(name: str) -> None:
    """As far as the code names them."""
    assert set() == RELAY_FRAMES[name] - names_in(FROM_RELAY[name])


@pytest.mark.parametrize("name", CLIENT_FRAMES)
def test_examples_of_a_clients_frames_are_understood(name: str) -> None:
    """The relay reads each as the frame it stands under, and knows every field of it."""
    shown = examples(FROM_CLIENT[name])
    assert shown
    for example in shown:
        frame = decoded_frame(json.dumps(example))
        assert not isinstance(frame, UnknownFrame)
        assert CLIENT_FRAMES[name] is type(frame)
        assert set(example) - {"type"} <= set(frame.__struct_fields__)


@pytest.mark.parametrize("name", RELAY_FRAMES)
def test_examples_of_the_relays_frames_are_json(name: str) -> None:
    """Each is of the type it stands under, with fields that the code names."""
    shown = examples(FROM_RELAY[name])
    assert shown
    for example in shown:
        assert name == example["type"]
        assert set(example) - {"type"} <= RELAY_FRAMES[name] | ADDED.get(name, set())


def test_events_are_shown_with_fields_they_have() -> None:
    """The example of an event is one that could be printed."""
    full = event(
        1, text="x", reply_to=1, stamp=msgspec.structs.replace(stamp(BASE_US), behind_live_us=16_200_000), target=2
    )
    for example in examples(FROM_RELAY["events"]) + examples(FROM_RELAY["back"]):
        for one in example["events"]:
            assert set(one) <= set(event_to_wire(full, author=full.author))
            assert one["kind"] in KINDS


def test_every_action_and_kind_is_told() -> None:
    """With what it needs and who may."""
    rows = re.findall(r"^\| (`.+?`) \|", FROM_CLIENT["act"], re.MULTILINE)
    told = {word for row in rows for word in re.findall(r"`(\w+)`", row)} - {"action"}
    assert {*DEEDS, *OTHER_DEEDS} == told
    assert set() == set(SAYINGS) - names_in(FROM_CLIENT["say"])


def test_every_close_code_is_told() -> None:
    """Ours are all there, with what they mean; two more are the protocol's own, for broken framing and what is too large."""
    rows = re.findall(r"^\| (\d{4}) \| (.+) \|$", PARTS["Close codes"], re.MULTILINE)
    assert {int(code) for code in CloseCode} | {1002, 1009} == {int(code) for code, _ in rows}
    assert all(meaning for _, meaning in rows)
