"""Whatever a peer sends, the answer is the one that docs/websocket.md tells, and a healthy client beside it notices nothing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode

from tests.crowd import handshake
from tests.limit_trials import send
from tests.stage import Stage, stage

ROOM = "class"
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "websocket.md").read_text("utf-8")
SECTION = PAGE.partition("## What is wrong, and what is answered")[2].partition("\n## ")[0]
ROWS = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", SECTION, re.MULTILINE))

JSON = "what is no JSON object in UTF-8"
DEEP = "nested more than 32 deep"
TYPE = "an object without a `type` that is text"
FIELD = "a field that is needed and missing, or of another kind"
NUMBER = "a number beyond ±(2⁵³ − 1), a `rate` that is not from 0 to 16"
ID = "an `id` that is empty or longer than 64 characters"
TURN = "any frame but `hello` and `ping` before the welcome, and a second `hello`"
LONG = "a message over 16 KiB"
FRAMING = "a frame against RFC 6455: not masked, reserved bits or opcodes, a control frame that is long or in pieces, pieces out of turn"
UNKNOWN = "a `type` that this version does not know"
TEXT = "a text that cannot be said"
WORD = "a `kind` or an `action` that this version does not know"
MAY = "what your role may not do"
TARGET = "an `act` without the target it needs, or about one that is not there"
REUSED = "an `id` of yours again with another body"
TOKEN = "a `hello` with a token that is not accepted"


def text(payload: Any, **frame: Any) -> bytes:
    """A client's text frame."""
    given = json.dumps(payload) if isinstance(payload, dict) else payload
    data = given.encode() if isinstance(given, str) else given
    return bytes(Frame(Opcode.TEXT, data, **frame).serialize(mask=True))


def raw(first: int, second: int, payload: bytes = b"") -> bytes:
    """A frame whose two first bytes are given, masked with zeros if they say so."""
    return bytes([first, second]) + (b"\0\0\0\0" if second & 0x80 else b"") + payload


def say(**given: Any) -> bytes:
    """A message; a field that is ``...`` is left out."""
    frame = {"type": "say", "id": "m-1", "text": "hi", **given}
    return text({name: value for name, value in frame.items() if value is not ...})


def act(**given: Any) -> bytes:
    """A deed, as :func:`say`."""
    frame = {"type": "act", "id": "a-1", **given}
    return text({name: value for name, value in frame.items() if value is not ...})


HELLO = {"type": "hello", "token": None, "last": 0}

# By what is sent: the row of the page, the bytes, the answer: a close code, or the code of an error after which all goes on.
BEFORE_HELLO: dict[str, tuple[str, bytes, int | str]] = {
    "say first": (TURN, say(), 4500),
    "act first": (TURN, act(action="raise_hand"), 4500),
    "typing first": (TURN, text({"type": "typing"}), 4500),
    "playhead first": (TURN, text({"type": "playhead", "broadcast": 1}), 4500),
    "an unknown type first": (TURN, text({"type": "dance"}), 4500),
    "token of nobody": (TOKEN, text(HELLO | {"token": "a.b.c"}), 4502),
    "empty token": (TOKEN, text(HELLO | {"token": ""}), 4502),
    "token of 9 KiB": (TOKEN, text(HELLO | {"token": "x" * 9_000}), 4502),
    "token of a number": (FIELD, text(HELLO | {"token": 7}), 4500),
    "last as text": (FIELD, text(HELLO | {"last": "50"}), 4500),
    "last of a half": (FIELD, text(HELLO | {"last": 0.5}), 4500),
    "after without epoch": (FIELD, text(HELLO | {"after": {"offset": 1}}), 4500),
    "after as text": (FIELD, text(HELLO | {"after": "1:5"}), 4500),
    "epoch as number": (FIELD, text(HELLO | {"after": {"epoch": 1, "offset": 1}}), 4500),
    "offset beyond": (NUMBER, text(HELLO | {"after": {"epoch": "1", "offset": 2**53}}), 4500),
}
AFTER_HELLO: dict[str, tuple[str, bytes, int | str]] = {
    "no JSON": (JSON, text("hello"), 4500),
    "empty": (JSON, text(""), 4500),
    "cut off": (JSON, text('{"type":"ping"'), 4500),
    "two values": (JSON, text('{"type":"ping"}{"type":"ping"}'), 4500),
    "single quotes": (JSON, text("{'type':'ping'}"), 4500),
    "a comma too many": (JSON, text('{"type":"ping",}'), 4500),
    "a list": (JSON, text("[]"), 4500),
    "a number": (JSON, text("17"), 4500),
    "null": (JSON, text("null"), 4500),
    "NaN": (JSON, text('{"type":"playhead","broadcast":1,"rate":NaN}'), 4500),
    "a number without end": (JSON, text('{"type":"playhead","broadcast":1,"rate":1e999}'), 4500),
    "a lone surrogate": (JSON, text('{"type":"say","id":"1","text":"\\ud800"}'), 4500),
    "no UTF-8": (JSON, text(b'{"type":"ping","x":"\xff"}'), 4500),
    "no UTF-8, binary": (JSON, bytes(Frame(Opcode.BINARY, b"\x80\x81").serialize(mask=True)), 4500),
    "a byte order mark": (JSON, text(b'\xef\xbb\xbf{"type":"ping"}'), 4500),
    "33 lists": (DEEP, text('{"type":"ping","x":' + "[" * 33 + "]" * 33 + "}"), 4500),
    "5,000 lists": (DEEP, text("[" * 5_000), 4500),
    "5,000 objects": (DEEP, text('{"a":' * 2_500), 4500),
    "no type": (TYPE, text({}), 4500),
    "type null": (TYPE, text({"type": None}), 4500),
    "type a number": (TYPE, text({"type": 1}), 4500),
    "type a list": (TYPE, text({"type": ["say"]}), 4500),
    "say without id": (FIELD, say(id=...), 4500),
    "say without text": (FIELD, say(text=...), 4500),
    "text a number": (FIELD, say(text=5), 4500),
    "text null": (FIELD, say(text=None), 4500),
    "id a number": (FIELD, say(id=5), 4500),
    "kind a list": (FIELD, say(kind=["message"]), 4500),
    "reply to a text": (FIELD, say(reply_to="1"), 4500),
    "reply to a half": (FIELD, say(reply_to=1.5), 4500),
    "playhead a number": (FIELD, say(playhead=7), 4500),
    "playhead without broadcast": (FIELD, say(playhead={"program_ms": 1}), 4500),
    "act without action": (FIELD, act(), 4500),
    "action null": (FIELD, act(action=None), 4500),
    "target a text": (FIELD, act(action="upvote", target="1"), 4500),
    "report without broadcast": (FIELD, text({"type": "playhead"}), 4500),
    "paused a number": (FIELD, text({"type": "playhead", "broadcast": 1, "paused": 1}), 4500),
    "rate as text": (FIELD, text({"type": "playhead", "broadcast": 1, "rate": "1"}), 4500),
    "target beyond": (NUMBER, act(action="upvote", target=2**53), 4500),
    "program time beyond": (NUMBER, text({"type": "playhead", "broadcast": 1, "program_ms": -(2**53)}), 4500),
    "backwards": (NUMBER, text({"type": "playhead", "broadcast": 1, "rate": -1}), 4500),
    "17 times as fast": (NUMBER, text({"type": "playhead", "broadcast": 1, "rate": 17}), 4500),
    "empty id": (ID, say(id=""), 4500),
    "id of 65": (ID, say(id="x" * 65), 4500),
    "id of 65 of a deed": (ID, act(action="raise_hand", id="x" * 65), 4500),
    "hello again": (TURN, text(HELLO), 4500),
    "a byte too long": (LONG, text("x" * (16 * 1024 + 1)), 1009),
    "long in pieces": (
        LONG,
        text("x" * 9_000, fin=False) + bytes(Frame(Opcode.CONT, b"x" * 9_000).serialize(mask=True)),
        1009,
    ),
    "a gigabyte declared": (LONG, bytes([0x81, 0xFF]) + (1 << 30).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    "not masked": (FRAMING, raw(0x81, 0x02, b"{}"), 1002),
    "first reserved bit": (FRAMING, raw(0xC1, 0x82, b"{}"), 1002),
    "second reserved bit": (FRAMING, raw(0xA1, 0x82, b"{}"), 1002),
    "third reserved bit": (FRAMING, raw(0x91, 0x82, b"{}"), 1002),
    "opcode 3": (FRAMING, raw(0x83, 0x80), 1002),
    "opcode 11": (FRAMING, raw(0x8B, 0x80), 1002),
    "nothing to continue": (FRAMING, raw(0x80, 0x80), 1002),
    "another in the middle of one": (FRAMING, text("{", fin=False) + text("{}"), 1002),
    "a ping in pieces": (FRAMING, raw(0x09, 0x80), 1002),
    "a ping of 126": (FRAMING, raw(0x89, 0xFE, b"")[:2] + (126).to_bytes(2, "big") + b"\0\0\0\0" + b"x" * 126, 1002),
    "a close of one byte": (FRAMING, raw(0x88, 0x81, b"\x03"), 1002),
    "a close with a code of nobody": (FRAMING, raw(0x88, 0x82, (999).to_bytes(2, "big")), 1002),
    "dance": (UNKNOWN, text({"type": "dance", "id": "d-1"}), "unknown_type"),
    "dance without id": (UNKNOWN, text({"type": "dance"}), "unknown_type"),
    "empty type": (UNKNOWN, text({"type": ""}), "unknown_type"),
    "type in capitals": (UNKNOWN, text({"type": "SAY", "id": "m-2"}), "unknown_type"),
    "a frame of ours": (UNKNOWN, text({"type": "welcome"}), "unknown_type"),
    "nothing to read": (TEXT, say(text="  \u200b\n"), "empty"),
    "501 characters": (TEXT, say(text="x" * 501), "too_long"),
    "NUL": (TEXT, say(text="a\0b"), "control_characters"),
    "escape": (TEXT, say(text="\x1b[31mred"), "control_characters"),
    "no character": (TEXT, say(text="a\ufdd0"), "invalid_unicode"),
    "unknown kind": (WORD, say(kind="novel"), "unknown_kind"),
    "a kind of events": (WORD, say(kind="hidden"), "unknown_kind"),
    "unknown action": (WORD, act(action="fly"), "unknown_action"),
    "announcement": (MAY, say(kind="announcement"), "not_allowed"),
    "hide": (MAY, act(action="hide", target=1), "not_allowed"),
    "end of the broadcast": (MAY, act(action="broadcast_close"), "not_allowed"),
    "upvote of nothing": (TARGET, act(action="upvote"), "needs_target"),
    "upvote of what is not there": (TARGET, act(action="upvote", target=99_999), "not_found"),
    "answer of what is not there": (MAY, act(action="answer", target=99_999), "not_allowed"),
}
CASES = BEFORE_HELLO | AFTER_HELLO


class Peer:
    """The raw end of a live connection."""

    def __init__(self, plug: socket.socket) -> None:
        self._plug, self._received = plug, b""
        plug.setblocking(False)

    async def open(self) -> None:
        """Ask for the upgrade."""
        await self.send(handshake(ROOM))
        while b"\r\n\r\n" not in self._received:
            await self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        assert b" 101 " in head.partition(b"\r\n")[0]

    async def send(self, data: bytes) -> None:
        """Bytes to the relay."""
        await send(self._plug, data)

    async def _receive(self) -> None:
        async with asyncio.timeout(15):
            more = await asyncio.get_running_loop().sock_recv(self._plug, 65_536)
        assert more, "closed without a word"
        self._received += more

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """Whole frames that have come, as opcode and payload."""
        while len(self._received) >= 2:
            length, begin = self._received[1], 2
            if length >= 126:
                begin = 4 if length == 126 else 10
                length = int.from_bytes(self._received[2:begin], "big")
            if len(self._received) < begin + length:
                return
            opcode, payload = self._received[0] & 0x0F, self._received[begin : begin + length]
            self._received = self._received[begin + length :]
            yield opcode, payload

    async def until(self, *wanted: str) -> tuple[str, Any]:
        """The next frame of these types, or the close: its type and what it says."""
        while True:
            for opcode, payload in self._frames():
                if opcode == Opcode.CLOSE:
                    return "close", int.from_bytes(payload[:2], "big")
                if opcode == Opcode.TEXT and json.loads(payload)["type"] in wanted:
                    return json.loads(payload)["type"], json.loads(payload)
            await self._receive()


async def answer_to(it: Stage, data: bytes, *, is_welcome: bool) -> int | str:
    """What bytes are answered: a close code, or the code of an error, after which the connection goes on."""
    plug = await it.plug()
    try:
        peer = Peer(plug)
        await peer.open()
        if is_welcome:
            await peer.send(text(HELLO | {"token": it.token(ROOM, "careless")}))
            assert "welcome" == (await peer.until("welcome"))[0]
        await peer.send(data)
        kind, told = await peer.until("error", "ack")
        if kind == "close":
            return int(told)
        assert "error" == kind, told
        await peer.send(text({"type": "ping"}))
        assert "pong" == (await peer.until("pong"))[0]
        return str(told["code"])
    finally:
        plug.close()


async def test_every_bad_frame_gets_the_documented_answer_and_disturbs_nobody(tmp_path: Path) -> None:
    """One after the other; a healthy client speaks and hears after each, and the relay keeps nothing of the others."""
    answers: dict[str, int | str] = {}
    async with stage(tmp_path, {ROOM: {"public": True}}) as it, it.connected() as healthy:
        await healthy.hello(it.token(ROOM, "healthy"))
        said = []
        for name, (_, data, _) in CASES.items():
            answers[name] = await answer_to(it, data, is_welcome=name in AFTER_HELLO)
            ack = await healthy.say(f"beside {name}")
            assert "ack" == ack["type"], name
            said.append(ack["offset"])
        await healthy.until(lambda: said[-1] in {event["offset"] for event in healthy.events})
        messages = [event["offset"] for event in healthy.events if event["kind"] == "message"]
        assert said == messages
        async with asyncio.timeout(15):
            while len(it.hub.connections) > 1:  # noqa: ASYNC110 - the loop takes a turn to hear of it
                await asyncio.sleep(0)
    assert {name: answer for name, (_, _, answer) in CASES.items()} == answers


async def test_an_id_that_is_used_again_is_told(tmp_path: Path) -> None:
    """With the same body it is the first ack again, with another one an error."""
    async with stage(tmp_path, {ROOM: {"public": True}}) as it, it.connected() as client:
        await client.hello(it.token(ROOM, "careless"))
        first = await client.say("once", id="m-9")
        client.answers.clear()
        assert first == await client.say("once", id="m-9")
        client.answers.clear()
        assert "id_reused" == (await client.say("twice", id="m-9"))["code"]


def test_the_page_tells_each_answer_and_each_row_is_tried() -> None:
    """Sixty cases at least; none whose row is missing or says another answer, and no row without a case."""
    assert len(CASES) >= 60
    tried = {REUSED: {"id_reused"}}
    for row, _, answer in CASES.values():
        tried.setdefault(row, set()).add(str(answer))
    assert set(tried) == set(ROWS) - {"what comes", "---"}
    told = {row: {"".join(one) for one in re.findall(r"`(\w+)`|\b(\d{4})\b", ROWS[row])} for row in tried}
    assert tried == told
