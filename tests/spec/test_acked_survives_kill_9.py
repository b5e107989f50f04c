"""What was acked survives kill -9 at any moment (reliability G1, G2, G4).

The ledger of acks is kept here, outside the process that is killed. ``CHATSYNC_KILLS=200`` for the long form.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.relay import Client, Relay, connected, token

KILLS = int(os.environ.get("CHATSYNC_KILLS", "25"))
# Each kill is followed by a check of the whole log, which grows.
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 12 * KILLS)]
WRITERS = 2
IN_FLIGHT = 16
RESENT = 20
ROOM = "class"
SAME = ("id", "offset", "program_ms", "stamp", "durable")


class Ledger:
    """What the authors know: what they were acked, and what they sent and heard nothing of."""

    def __init__(self) -> None:
        self.acks: dict[str, dict[str, Any]] = {}
        self.sent: dict[str, dict[str, Any]] = {}
        self.author: dict[str, str] = {}
        self.open: set[str] = set()

    def frame(self, author: str) -> dict[str, Any]:
        """A new message, noted before it is sent."""
        message_id = str(uuid.uuid4())
        text = f"{author}: {len(self.sent)} \N{LATIN SMALL LETTER E WITH ACUTE} \N{ARABIC LETTER SHEEN}"
        frame = {"type": "say", "id": message_id, "kind": "message", "text": text}
        self.sent[message_id], self.author[message_id] = frame, author
        self.open.add(message_id)
        return frame

    def note(self, answer: dict[str, Any]) -> None:
        """An answer came: the first ack stands, a later one must say the same."""
        assert "ack" == answer["type"], answer
        ack = {name: answer[name] for name in SAME}
        assert self.acks.setdefault(answer["id"], ack) == ack
        self.open.discard(answer["id"])


async def _write_until_cut(client: Client, ledger: Ledger, author: str) -> None:
    """Write with many messages under way until the connection breaks; every ack that came is noted."""
    flying: set[asyncio.Future[dict[str, Any]]] = set()
    try:
        while not client.is_over:
            while len(flying) < IN_FLIGHT:
                frame = ledger.frame(author)
                flying.add(client.ask(frame))
                await client.send(frame)
            answered, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            _note_all(ledger, answered)
    except websockets.ConnectionClosed:
        await asyncio.wait_for(client.finished(), 10)
    _note_all(ledger, flying)


def _note_all(ledger: Ledger, answers: Iterable[asyncio.Future[dict[str, Any]]]) -> None:
    for answer in answers:
        if answer.done() and answer.exception() is None:
            ledger.note(answer.result())


async def _resend(client: Client, ledger: Ledger, ids: list[str]) -> None:
    for message_id in ids:
        frame = ledger.sent[message_id]
        answer = client.ask(frame)
        await client.send(frame)
        ledger.note(await asyncio.wait_for(answer, 10))


async def _one_life(relay: Relay, ledger: Ledger, readers: dict[str, dict[str, Any]], chance: random.Random) -> None:
    """Everyone comes back, resends what was not answered, checks what was, writes on, and is cut off."""
    async with connected(relay, ROOM) as first, connected(relay, ROOM) as second:
        clients = dict(zip([f"writer-{number}" for number in range(WRITERS)], (first, second), strict=True))
        for author, client in clients.items():
            known = readers.setdefault(author, {"through": None, "events": {}})
            await client.hello(token(ROOM, author), after=known["through"], last=0)
            unanswered = sorted(i for i in ledger.open if ledger.author[i] == author)
            answered = sorted(i for i in ledger.acks if ledger.author[i] == author)
            await _resend(client, ledger, unanswered + chance.sample(answered, min(RESENT, len(answered))))
        writing = [asyncio.create_task(_write_until_cut(c, ledger, a)) for a, c in clients.items()]
        await asyncio.sleep(chance.uniform(0.02, 0.4))
        relay.kill()
        await asyncio.gather(*writing)
        for author, client in clients.items():
            await asyncio.wait_for(client.finished(), 10)
            _take_in(readers[author], client)


def _take_in(known: dict[str, Any], client: Client) -> None:
    """What a reader holds now: nothing twice, nothing left out, in order."""
    assert not any(frame["type"] == "reset" for frame in client.frames)
    offsets = [event["offset"] for event in client.events]
    begun = 0 if known["through"] is None else known["through"]["offset"]
    assert client.through is not None
    if known["through"] is not None:
        assert list(range(begun + 1, client.through["offset"] + 1)) == offsets
    known["events"] |= {event["offset"]: (event["id"], event.get("text")) for event in client.events}
    known["through"] = client.through


def _logged(relay: Relay) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    latest = relay.get(f"/v1/rooms/{ROOM}").json()["broadcast"]
    for broadcast in range(1, latest + 1):
        cursor: str | None = ""
        while cursor is not None:
            query = f"broadcast={broadcast}&limit=5000" + (f"&cursor={cursor}" if cursor else "")
            page = relay.get(f"/v1/rooms/{ROOM}/messages?{query}").json()
            events += page["messages"]
            cursor = page["cursor"]
    return sorted(events, key=lambda event: int(event["offset"]))


def _check(relay: Relay, ledger: Ledger) -> None:
    events = _logged(relay)
    assert list(range(1, len(events) + 1)) == [event["offset"] for event in events]
    said = {event["id"]: event for event in events if event["kind"] == "message"}
    assert len(said) == sum(event["kind"] == "message" for event in events), "an id stands twice"
    for message_id, ack in ledger.acks.items():
        event = said[message_id]
        assert (ack["offset"], ack["program_ms"], ack["stamp"]) == (
            event["offset"],
            event["program_ms"],
            event["stamp"],
        )
        assert ledger.sent[message_id]["text"] == event["text"]


async def test_what_was_acked_survives_kills_at_random_moments(tmp_path: Path) -> None:
    """After each kill every acked message is in the log once, at its offset, with its stamp; resending gives the first ack."""
    chance = random.Random(KILLS)
    ledger, readers = Ledger(), dict[str, dict[str, Any]]()
    fast = {"commands_per_s": 10_000, "commands_burst": 100_000}
    relay = Relay(tmp_path, {ROOM: {"public": True, "batch_ms": 5}}, limits=fast)
    with relay:
        for _ in range(KILLS):
            await _one_life(relay, ledger, readers, chance)
            relay.start()
            _check(relay, ledger)
        async with connected(relay, ROOM) as client:
            await client.hello(token(ROOM, "writer-0"))
            await _resend(client, ledger, sorted(i for i in ledger.open if ledger.author[i] == "writer-0"))
    assert KILLS * 10 < len(ledger.acks)
    print(f"\n{KILLS} kills, {len(ledger.acks)} acks, {len(ledger.open)} never answered")
