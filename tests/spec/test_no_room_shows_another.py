"""Nobody sees a room through another: every operation, with every other room's ids, cursors, slices, offsets, keys and tags.

Six rooms, half of them private, are tried with everything from one home; all fifty with the plainest reads and with hellos. For more:
``CHATSYNC_CANARY_HOMES=4`` tries everything at all fifty rooms from so many homes, some minutes each. Source: security-and-privacy §3.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.typing import Origin

from tests.canaries import (
    FOR_ADMINISTRATORS,
    OPERATIONS,
    SUBJECTS,
    Answered,
    Ask,
    Canary,
    Subject,
    Wire,
    disguised,
    ghost_of,
    marks_in,
    planted,
    wired,
)
from tests.stage import Stage

HOMES = int(os.environ.get("CHATSYNC_CANARY_HOMES", "0"))  # 0: one home, and not everything at every room
ROOMS = 50
FULL = 6  # rooms that are tried with everything: public and private, with streams and without
HOME = 3  # private, with a stream, among those with the prefix of a token
FEW = {1, 2, HOME}  # of those, the ones that everybody tries
THOROUGH = {"guest": 1, "host": 1, "prefix": HOME}  # who try all of them, and at one put their reads in every other way
AT_ROOMS = [operation for operation in OPERATIONS if "{room}" in operation]
PLAIN = ("GET /v1/rooms/{room}", "GET /v1/rooms/{room}/chat.json")

pytestmark = pytest.mark.timeout(120 if HOMES == 0 else 7_200)


class Crawl:
    """Asks as a subject, and holds each answer to what that subject may know."""

    def __init__(self, wire: Wire, canaries: list[Canary], home: Canary, tokens: dict[str, str | None]) -> None:
        self._wire, self._home, self._tokens = wire, home, tokens
        self._owners = {mark: one.room for one in canaries for mark in (one.mark, one.author_key, one.author_key[::-1])}
        self._secrets = {mark for one in canaries for mark in (one.hidden, one.reason)}
        self._ghosts: dict[Any, Answered] = {}
        self._canaries = canaries
        self.shown: Counter[str] = (
            Counter()
        )  # by operation: how often a room's own mark was seen, as it would be out of place

    async def try_room(
        self, subject: Subject, operation: str, target: Canary, *, in_disguise: bool = False, plainly: bool = False
    ) -> None:
        """All that the table has of an operation, at a room and with what it holds; plainly: the first of it."""
        is_known = subject.knows(operation, target, self._home)
        for index, ask in enumerate(OPERATIONS[operation](target)):
            if ask.changes and is_known:
                continue
            if plainly and index > 0:
                return
            await self._try(subject, operation, index, (ask, ask), target)
            if not in_disguise or ask.method != "GET" or index > 0:
                continue
            ghosts = disguised(OPERATIONS[operation](target)[index], ghost_of(target), self._home)
            others = disguised(ask, target, self._home)
            for (name, other), (_, ghost) in zip(others, ghosts, strict=True):
                await self._try(subject, operation, name, (other, ghost), target)

    async def try_at_home(self, subject: Subject, operation: str, target: Canary) -> None:
        """What another room holds, asked of one's own room."""
        for index, ask in enumerate(OPERATIONS[operation](target)):
            if not ask.changes:
                answer = await self._wire.answer(ask, self._home.room, self._tokens[subject.name])
                self._hold(
                    answer, self._known_through(subject, operation, self._home), (subject.name, ask, target.room)
                )
                tagged = replace(ask, headers=(*ask.headers, f"If-None-Match: {', '.join(target.tags)}"))
                if target is not self._home and index == 0:
                    again = await self._wire.answer(tagged, self._home.room, self._tokens[subject.name])
                    assert 304 != again.status, (subject.name, ask, target.room)

    async def _try(
        self, subject: Subject, operation: str, which: int | str, asks: tuple[Ask, Ask], target: Canary
    ) -> None:
        """One request, and the same at a room that is not there."""
        ask, ghost = asks
        token = self._tokens[subject.name]
        answer = await self._wire.answer(ask, target.room, token)
        case = (subject.name, operation, which, target.room)
        self._hold(answer, self._known_through(subject, operation, target), case)
        if subject.knows(operation, target, self._home):
            if ask.shows and isinstance(which, int):
                assert (200, True) == (answer.status, target.mark in answer.text), case
            self.shown[operation] += target.mark in answer.text
            return
        if "{room}" not in operation:
            return
        key = (subject.name, operation, which, target.origin if which == "its page" else None)
        if key not in self._ghosts:
            self._ghosts[key] = await self._wire.answer(ghost, ghost_of(target).room, token)
        nobody = self._ghosts[key]
        assert (nobody.status, nobody.fields, nobody.body) == (answer.status, answer.fields, answer.body), case

    def _known_through(self, subject: Subject, operation: str, target: Canary) -> set[str]:
        """Rooms of which an answer may tell."""
        tried = self._canaries if "{room}" not in operation else [target]
        return {one.room for one in tried if subject.knows(operation, one, self._home)}

    def _hold(self, answer: Answered, known: set[str], case: Any) -> None:
        assert "cache-control" in answer.fields, case
        found = marks_in(answer.text)
        if found:
            assert set() == found & self._secrets, case
            assert set() == {self._owners[mark] for mark in found if mark in self._owners} - known, case


async def test_every_operation_has_its_row(tmp_path: Path) -> None:
    """What the running relay says it can do is what is tried, and nothing else."""
    async with planted(tmp_path, 1) as (it, _), wired(it) as wire:
        document = json.loads((await wire.answer(Ask("GET", "/openapi.json"), "")).body)
        found = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
        assert found == set(OPERATIONS)
        assert FOR_ADMINISTRATORS <= found


async def test_no_answer_holds_anything_of_another_room(tmp_path: Path) -> None:
    """Ten subjects ask for everything: no mark out of place, and a room one may not see is answered like one that is not there."""
    async with planted(tmp_path, ROOMS) as (it, canaries), wired(it) as wire:
        for home in [canaries[HOME], *canaries[HOME + 1 : HOME + HOMES]]:
            tokens = {subject.name: subject.token(it, home.room) for subject in SUBJECTS}
            crawl = Crawl(wire, canaries, home, tokens)
            for subject in SUBJECTS:
                for number, target in enumerate(canaries):
                    if HOMES or (number < FULL if subject.name in THOROUGH else number in FEW):
                        in_disguise = HOMES > 0 or number == THOROUGH.get(subject.name)
                        for operation in OPERATIONS if HOMES or number == 1 else AT_ROOMS:
                            await crawl.try_room(subject, operation, target, in_disguise=in_disguise)
                            if subject.sees(home, home):
                                await crawl.try_at_home(subject, operation, target)
                    elif subject.name in THOROUGH:
                        for operation in PLAIN:
                            await crawl.try_room(subject, operation, target, plainly=True)
            assert {one for one in OPERATIONS if any(ask.shows for ask in OPERATIONS[one](home))} <= set(+crawl.shown)
        print(f"\n{wire.asked} requests")


async def test_no_hello_opens_another_room(tmp_path: Path) -> None:
    """With any token and any position: a welcome to one's own room, or the goodbye of a room that is not there."""
    async with planted(tmp_path, ROOMS) as (it, canaries):
        home = canaries[HOME]
        owners = {mark: one.room for one in canaries for mark in (one.mark, one.author_key, one.author_key[::-1])}
        secrets = {mark for one in canaries for mark in (one.hidden, one.reason)}
        for subject in SUBJECTS:
            token = subject.token(it, home.room)
            goodbye = await _greeted(it, "law-nobody", token, None)
            for number, target in enumerate(canaries):
                if number >= FULL and not HOMES and subject.name not in THOROUGH:
                    break
                position = {"epoch": "1", "offset": target.offset}
                for after in (position, None) if number < FULL else (position,):
                    greeted = await _greeted(it, target.room, token, after)
                    found = marks_in(str(greeted))
                    assert set() == found & secrets
                    if subject.sees(target, home):
                        assert {target.room} == {owners[mark] for mark in found if mark in owners}
                    else:
                        assert goodbye == greeted, (subject.name, target.room)
                if number < FULL and subject.sees(home, home):
                    at_home = marks_in(str(await _greeted(it, home.room, token, position)))
                    assert {home.room} >= {owners[mark] for mark in at_home if mark in owners}


async def _greeted(it: Stage, room: str, token: str | None, after: dict[str, Any] | None) -> tuple[list[Any], Any, Any]:
    """What comes after a hello, up to the welcome or the end: frames, close code, reason."""
    frames: list[Any] = []
    async with it.connected(room) as client:
        await client.send({"type": "hello", "token": token, "after": after, "last": 200})
        try:
            while not frames or frames[-1]["type"] != "welcome":
                frames.append(json.loads(await client._socket.recv()))
        except websockets.ConnectionClosed as closed:
            return frames, closed.rcvd and closed.rcvd.code, closed.rcvd and closed.rcvd.reason
        return frames, None, None


async def test_an_export_holds_nothing_of_another_room(tmp_path: Path) -> None:
    """A host's file of one room has its own words and no others; made by a process of its own, it is asked for once."""
    async with planted(tmp_path, 4) as (it, canaries):
        home = canaries[HOME]
        await it.settled()
        answer = await it.get(f"/v1/rooms/{home.room}/export.ndjson", it.token(home.room, "a host", "host"))
        assert 200 == answer.status_code
        assert home.mark in answer.text
        assert home.hidden not in answer.text
        assert not any(
            mark in answer.text for one in canaries if one is not home for mark in (one.mark, one.hidden, one.room)
        )


async def test_no_deed_reaches_another_room(tmp_path: Path) -> None:
    """Host, moderator and feed of one room, and a host of many, do all they may with another room's ids: that room stays as it was."""
    async with planted(tmp_path, 4) as (it, canaries), wired(it) as wire:
        home, target = canaries[HOME], canaries[1]
        before = await _view(it, target)
        for subject in SUBJECTS:
            if subject.sees(target, home) or not subject.sees(home, home):
                continue
            token = subject.token(it, home.room)
            for operation, asks in OPERATIONS.items():
                for ask in _deeds(operation, asks(target)):
                    answer = await wire.answer(ask, home.room, token)
                    leaked = marks_in(answer.text) & {target.mark, target.hidden, target.reason}
                    assert set() == leaked - marks_in(ask.path + ask.body.decode()), (subject.name, operation)
        assert before == await _view(it, target)


def _deeds(operation: str, asks: Sequence[Ask]) -> Iterator[Ask]:
    if operation not in FOR_ADMINISTRATORS:
        yield from (ask for ask in asks if ask.changes and b"broadcast_close" not in ask.body)  # it names nothing


async def _view(it: Stage, canary: Canary) -> Any:
    """Everything a host of the room reads of it, without clocks."""
    await it.settled()
    token = it.token(canary.room, "a host", "host")
    events = await it.replayed(canary.room, token=token)
    recordings = (await it.get(f"/v1/rooms/{canary.room}/recordings", token)).json()
    at = (await it.get(f"/v1/rooms/{canary.room}/at?program_ms={it.now_us // 1_000}", token)).json()
    return [(event["offset"], event["id"], event.get("text")) for event in events], recordings, at


async def test_a_listed_page_cannot_tell_which_rooms_there_are(tmp_path: Path) -> None:
    """A page that one private room lists is answered alike at that room and at none: to reads, to preflights, and to a handshake."""
    async with planted(tmp_path, 4) as (it, canaries), wired(it) as wire:
        target = canaries[1]
        page = f"Origin: {target.origin}"
        preflight = (page, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")
        asks = [
            Ask("GET", "/v1/rooms/{room}", (page,)),
            Ask("GET", "/v1/rooms/{room}/chat.json", (page, "Authorization: Bearer x")),
            Ask("OPTIONS", "/v1/rooms/{room}/chat.json", preflight),
        ]
        for ask in asks:
            for room in (target.room, canaries[HOME].room):
                seen, nobody = await wire.answer(ask, room), await wire.answer(ask, "art-nobody")
                assert (nobody.status, nobody.fields, nobody.body) == (seen.status, seen.fields, seen.body), ask.method
        token = it.token(target.room, "reader")
        own = await wire.answer(Ask("GET", "/v1/rooms/{room}", (page,)), target.room, token)
        assert target.origin == own.fields["access-control-allow-origin"]
        token = it.token(canaries[HOME].room, "reader")
        foreign = await wire.answer(Ask("GET", "/v1/rooms/{room}", (page,)), canaries[HOME].room, token)
        assert (200, False) == (foreign.status, "access-control-allow-origin" in foreign.fields)
        for origin in (target.origin, "https://elsewhere.example", "null"):
            statuses = {
                await _handshaken(it, room, origin) for room in (target.room, canaries[HOME].room, "art-nobody")
            }
            assert 1 == len(statuses), origin


async def test_a_page_of_another_room_gets_no_further_than_the_hello(tmp_path: Path) -> None:
    """A page that another private room lists may knock, and is sent away with a good token too; the room's own page is let in."""
    async with planted(tmp_path, 4) as (it, canaries):
        home, other = canaries[HOME], canaries[1]
        token = it.token(home.room, "reader")
        uri = f"ws://relay/v1/rooms/{home.room}/live"
        hello = json.dumps({"type": "hello", "token": token, "after": None})
        async with websockets.connect(uri, sock=await it.plug(), origin=Origin(home.origin)) as socket:
            await socket.send(hello)
            assert "welcome" == json.loads(await socket.recv())["type"]
        async with websockets.connect(uri, sock=await it.plug(), origin=Origin(other.origin)) as socket:
            await socket.send(hello)
            await socket.wait_closed()
            assert (4501, "there is no such room") == (socket.close_code, socket.close_reason)


async def _handshaken(it: Stage, room: str, origin: str) -> int:
    """The status of a handshake."""
    try:
        uri = f"ws://relay/v1/rooms/{room}/live"
        async with websockets.connect(uri, sock=await it.plug(), origin=Origin(origin)):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code
