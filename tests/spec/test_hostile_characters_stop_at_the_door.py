"""Characters that are no text are refused with the documented code or taken out, in every field where people write; others notice nothing.

Every field is tried with every sort, on the socket and over HTTP; a participant who came first is still there at the end, and of all that
was shown to them nothing holds such a character. Source: security-and-privacy §6; docs/errors.md "rejected".
"""

from __future__ import annotations

import json
import unicodedata
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from chatsync.chat.event import Author
from chatsync.chat.text import REASON_CHARACTERS_MAX, TEXT_CODE_POINTS_MAX
from chatsync.chat.wire import ID_CHARACTERS_MAX
from chatsync.service.limit_table import SUBJECT_CHARACTERS_MAX
from tests.relay import Client
from tests.stage import Stage, stage

ROOM = "class"
OPEN = {ROOM: {"public": True}}

HOSTILE = {
    "lone surrogate": "a\ud83db",
    "two of them the wrong way round": "a\ude00\ud83db",
    "NUL": "a\0b",
    "terminal": "a\x1b[2Jb",
    "C1": "a\x85\x9bb",
    "noncharacter": "a\uffffb",
    "noncharacter of another plane": "a\U0010fffeb",
    "override": "a\u202eb",
    "override closed elsewhere": "a\u202eb\n\u202cc",
    "override that a cut would part": "\u202e" + "x" * 300 + "\u202c",
    "isolate left open": "a\u2067b",
    "closing what was not open": "a\u202c\u2069b",
    "zalgo": "e" + "\u0301" * 40 + "b",
    "zalgo in between": "e" + "\u200d\u0301" * 40 + "b",
    "tags": "a\U000e0001\U000e0062\U000e007fb",
    "byte order mark": "a\ufeffb",
    "annotation": "a\ufff9b\ufffac\ufffb",
    "nothing to see": "\u200b\u2060\u200e",
    "too long": "x" * (TEXT_CODE_POINTS_MAX + 1),
    "too long by far": "x" * 5_000,
    "too long when composed": "\u0958" * (TEXT_CODE_POINTS_MAX // 2 + 1),  # two code points each in NFC
}

TEXT = {
    "lone surrogate": "malformed",
    "two of them the wrong way round": "malformed",
    "NUL": "control_characters",
    "terminal": "control_characters",
    "C1": "control_characters",
    "noncharacter": "invalid_unicode",
    "noncharacter of another plane": "invalid_unicode",
    "override": "=ab",
    "override closed elsewhere": "=ab\nc",
    "override that a cut would part": "=\u202e" + "x" * 300 + "\u202c",
    "isolate left open": "=ab",
    "closing what was not open": "=ab",
    "zalgo": "=\u00e9\u0301\u0301\u0301b",
    "zalgo in between": "=e" + "\u200d\u0301" * 3 + "\u200d" * 37 + "b",
    "tags": "=ab",
    "byte order mark": "=ab",
    "annotation": "=abc",
    "nothing to see": "empty",
    "too long": "too_long",
    "too long by far": "too_long",
    "too long when composed": "too_long",
}
"""What becomes of a text: the code it is refused with, or after = what is kept."""

NAME = TEXT | {
    "override closed elsewhere": "=ab c",
    "override that a cut would part": "too_long",
    "zalgo in between": "=\u00e9\u0301\u0301\u0301b",
}
REASON = TEXT | {"override that a cut would part": "=" + "x" * (REASON_CHARACTERS_MAX - 1)}
TITLE = TEXT | {
    "NUL": "=a b",
    "terminal": "=a [2Jb",
    "C1": "=a b",
    "noncharacter": "=a b",
    "noncharacter of another plane": "=a b",
    "override closed elsewhere": "=a\u202eb \u202cc",  # in one line they are partners
    "override that a cut would part": "invalid_request",
    "lone surrogate": "invalid_request",
    "two of them the wrong way round": "invalid_request",
    "nothing to see": "=",
    "too long": "invalid_request",
    "too long by far": "invalid_request",
    "too long when composed": "invalid_request",
}
SURROGATES = dict.fromkeys(("lone surrogate", "two of them the wrong way round"), "malformed")
CONTROLS = ("NUL", "terminal", "C1", "override closed elsewhere")  # a line break is one
IDS = {sort: "=" if len(text) <= ID_CHARACTERS_MAX else "malformed" for sort, text in HOSTILE.items()}
IDS |= dict.fromkeys(CONTROLS, "malformed") | SURROGATES
"""Ids are never shown; what is kept of them is not looked at here."""
FED_IDS = {sort: "bad_id" if code == "malformed" else code for sort, code in IDS.items()} | SURROGATES
FED_AUTHORS = {sort: "=" if len(text) <= SUBJECT_CHARACTERS_MAX else "bad_id" for sort, text in HOSTILE.items()}
FED_AUTHORS |= dict.fromkeys(CONTROLS, "bad_id") | SURROGATES
KEYS = dict.fromkeys(HOSTILE, "bad_id") | SURROGATES
FEW = ("NUL", "noncharacter", "nothing to see", "override")  # an erasure takes a second
IN_ADDRESSES = {sort: TEXT[sort] for sort in FEW} | {
    sort: "invalid_request" for sort, text in HOSTILE.items() if len(text) > REASON_CHARACTERS_MAX
}

Try = Callable[[Stage, str], Awaitable[str]]


def _json(body: Any) -> bytes:
    """As an attacker writes it: lone surrogates as escapes, which every JSON library writes and few refuse."""
    return json.dumps(body, ensure_ascii=True).encode()


# --- ways in ------------------------------------------------------------------------------------------------------------


async def _frame(it: Stage, role: Any, frame: dict[str, Any]) -> dict[str, Any]:
    """What a frame is answered with; a socket that is closed for it counts as malformed."""
    async with it.connected() as client:
        await client.hello(it.token(ROOM, f"a {role}", role))
        answer = client.ask({"id": frame["id"]})
        await client._socket.send(_json(frame).decode())
        try:
            return await answer
        except ConnectionError:
            assert 4500 == await client.closed_with()
            return {"type": "error", "code": "malformed"}


async def _kept(it: Stage, answer: dict[str, Any], what: Callable[[Any], Any]) -> str:
    if answer["type"] == "error":
        return str(answer["code"])
    event = it.hub.journal.event(ROOM, answer["offset"])
    return f"={what(event)}"


def _text(event: Any) -> Any:
    return event.text


def _saying(kind: str) -> Try:
    async def tried(it: Stage, text: str) -> str:
        frame = {"type": "say", "id": str(uuid.uuid4()), "kind": kind, "text": text}
        return await _kept(it, await _frame(it, "host", frame), _text)

    return tried


async def _pinning(it: Stage, text: str) -> str:
    frame = {"type": "act", "id": str(uuid.uuid4()), "action": "pin", "text": text}
    return await _kept(it, await _frame(it, "host", frame), _text)


async def _hiding(it: Stage, text: str) -> str:
    target = (await it.say("to be hidden"))["offset"]
    frame = {"type": "act", "id": str(uuid.uuid4()), "action": "hide", "target": target, "reason": text}
    return await _kept(it, await _frame(it, "moderator", frame), lambda event: event.details["reason"])


async def _noting(it: Stage, text: str) -> str:
    frame = {"type": "act", "id": str(uuid.uuid4()), "action": "note", "author": "a" * 16, "text": text}
    return await _kept(it, await _frame(it, "moderator", frame), _text)


def _in_a_poll(field: str) -> Try:
    async def tried(it: Stage, text: str) -> str:
        poll = {"poll": str(uuid.uuid4()), "question": "?", "choices": ["a", "b"]}
        poll |= {"question": text} if field == "question" else {"choices": ["a", text]}
        opening = {"type": "act", "id": str(uuid.uuid4()), "action": "poll_open"}
        answer = await _frame(it, "host", opening | poll)
        if answer["type"] == "ack":
            closing = {"type": "act", "id": str(uuid.uuid4()), "action": "poll_close", "poll": poll["poll"]}
            await _frame(it, "host", closing)
        return await _kept(
            it, answer, lambda event: event.details[field] if field == "question" else event.details[field][1]
        )

    return tried


async def _id_of_a_frame(it: Stage, text: str) -> str:
    answer = await _frame(it, "participant", {"type": "say", "id": text, "text": "x"})
    return "=" if answer["type"] == "ack" else str(answer["code"])


async def _author_of_a_deed(it: Stage, text: str) -> str:
    frame = {"type": "act", "id": str(uuid.uuid4()), "action": "hide", "author": text}
    return str((await _frame(it, "moderator", frame)).get("code", "="))


async def _posted(it: Stage, tail: str, body: Any, role: Any = "host", scopes: Any = ()) -> Any:
    headers = {"Authorization": f"Bearer {it.token(ROOM, 'poster', role, scopes)}", "Content-Type": "application/json"}
    answer = await it.http.post(f"/v1/rooms/{ROOM}{tail}", content=_json(body), headers=headers)
    return answer.json()


def _fed(field: str) -> Try:
    async def tried(it: Stage, text: str) -> str:
        author = {"id": "u7", "name": "Ann"}
        body: dict[str, Any] = {"id": str(uuid.uuid4()), "author": author, "text": "x"}
        if field in {"author.name", "author.id"}:
            author[field.partition(".")[2]] = text
        else:
            body[field] = text
        (result,) = (await _posted(it, "/messages", body, None, ("ingest",)))["results"]
        if "code" in result:
            return str(result["code"])
        event = it.hub.journal.event(ROOM, result["offset"])
        assert event is not None
        assert event.author is not None
        kept: dict[str, Any] = {"text": event.text, "author.name": event.author.name}
        return f"={kept.get(field, '')}"

    return tried


def _acted(field: str) -> Try:
    async def tried(it: Stage, text: str) -> str:
        body = {"id": str(uuid.uuid4()), "action": "pin"}
        if field == "reason":
            body |= {"action": "hide", "target": (await it.say("to be hidden"))["offset"]}
        answer = await _posted(it, "/actions", body | {field: text})
        if "code" in answer:
            return str(answer.get("reason", answer["code"]))
        event = it.hub.journal.event(ROOM, answer["offset"])
        assert event is not None
        return f"={event.text if field == 'text' else event.details['reason']}"

    return tried


async def _named(it: Stage, text: str) -> str:
    """A token with such a name, and who its bearer is."""
    wall_us = it.clock.system_wall_us()
    try:
        token = it.hub.authority.mint("u7", wall_us=wall_us, rooms=(ROOM,), role="participant", name=text)
    except ValueError:  # whoever reads it refuses it
        return "token"
    return f"={it.hub.authority.identify(token, wall_us=wall_us).name}"


async def _titled(it: Stage, text: str) -> str:
    wall_us = it.clock.system_wall_us()
    headers = {"Authorization": f"Bearer {it.hub.authority.mint('op', wall_us=wall_us, admin=True)}"}
    headers["Content-Type"] = "application/json"
    answer = await it.http.put("/v1/rooms/titled", content=_json({"title": text, "public": True}), headers=headers)
    if answer.status_code != 200:
        return str(answer.json()["code"])
    kept = it.hub.settings_of("titled")
    assert kept is not None
    return f"={kept.title}"


async def _erasing(it: Stage, text: str) -> str:
    author = uuid.uuid4().hex
    await it.say("x", author=Author(author, "Ann"))
    wall_us = it.clock.system_wall_us()
    headers = {"Authorization": f"Bearer {it.hub.authority.mint('op', wall_us=wall_us, admin=True)}"}
    answer = await it.http.delete(f"/v1/rooms/{ROOM}/authors/{author}", params={"reason": text}, headers=headers)
    body = answer.json()
    if answer.status_code != 200:
        return str(body.get("reason", body["code"]))
    event = it.hub.journal.event(ROOM, body["offset"])
    assert event is not None
    return f"={event.details['reason']}"


FIELDS: dict[str, tuple[Try, dict[str, str]]] = {
    "say.text of a message": (_saying("message"), TEXT),
    "say.text of a question": (_saying("question"), TEXT),
    "say.text of an announcement": (_saying("announcement"), TEXT),
    "say.id": (_id_of_a_frame, IDS),
    "act.text of a pin": (_pinning, TEXT),
    "act.text of a note": (_noting, TEXT),
    "act.question of a poll": (_in_a_poll("question"), TEXT),
    "act.reason": (_hiding, REASON),
    "act.author": (_author_of_a_deed, KEYS),
    "messages.text": (_fed("text"), TEXT),
    "messages.id": (_fed("id"), FED_IDS),
    "messages.author.name": (_fed("author.name"), NAME),
    "messages.author.id": (_fed("author.id"), FED_AUTHORS),
    "actions.text": (_acted("text"), TEXT),
    "actions.reason": (_acted("reason"), REASON),
    "name of a token": (_named, {sort: kept if kept[0] == "=" else "token" for sort, kept in NAME.items()}),
    "rooms.title": (_titled, TITLE),
    "authors.reason": (_erasing, IN_ADDRESSES),
}
"""Every field of every frame and body in which there is text of somebody's own, and what becomes of it there."""


async def test_fields_take_text_and_nothing_else(tmp_path: Path) -> None:
    """Each sort of hostile character in each field is refused with its code or taken out; who listens is told what is left, and goes on."""
    async with stage(tmp_path, OPEN) as it, it.connected() as healthy:
        await healthy.hello(it.token(ROOM, "healthy"))
        for field, (tried, becomes) in FIELDS.items():
            assert field == "authors.reason" or set(HOSTILE) == set(becomes)
            assert (field, becomes) == (field, {sort: await tried(it, HOSTILE[sort]) for sort in becomes})
        ack = await healthy.say("still here")
        assert "ack" == ack["type"]
        await healthy.until(lambda: any(event.get("text") == "still here" for event in healthy.events))
        _hold(healthy)


def _hold(healthy: Client) -> None:
    shown = "".join((event.get("text") or "") + event.get("author", {}).get("name", "") for event in healthy.events)
    shown = shown.replace("\n", "")
    assert {"Cs", "Cn", "Cc"}.isdisjoint(map(unicodedata.category, shown))
    assert {"\ufeff", "\u2067", "\U000e0062"}.isdisjoint(shown)
