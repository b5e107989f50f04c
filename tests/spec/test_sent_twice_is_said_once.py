"""Exactly once for each id of a sender: sent again, a message is the one that is there; with another body it is refused (reliability G2)."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

from chatsync.instants import DAY_US, SECOND_US
from chatsync.service.clock import ManualClock
from tests.stage import START_US, Stage, stage

ROOMS = {"class": {"public": True}}


async def _feed(it: Stage, text: str, message_id: str, *, person: str = "s5", **fields: Any) -> dict[str, Any]:
    """A platform posts a message of somebody's; what was answered for it."""
    body = {"id": message_id, "author": {"id": person, "name": person}, "text": text} | fields
    answer = await it.post("/v1/rooms/class/messages", body, it.token("class", "feed", None, ("ingest",)))
    (result,) = answer.json()["results"]
    return dict(result)


async def _texts(it: Stage) -> list[str]:
    answer = await it.get("/v1/rooms/class/messages?limit=1000")
    return [event["text"] for event in answer.json()["messages"] if event["kind"] == "message"]


async def test_every_repetition_gets_the_first_ack(tmp_path: Path) -> None:
    """Over the socket, sent again at once, later, after sealing, and after a restart: one message, the same offset and stamp."""
    message_id = str(uuid.uuid4())
    async with stage(tmp_path, ROOMS) as it:
        async with it.connected() as client:
            await client.hello(it.token("class", "ann"))
            first = await client.say("why?", id=message_id)
            client.answers.clear()
            assert first == await client.say("why?", id=message_id)
        it.advance(300)
        await it.seal()
        async with it.connected() as client:
            await client.hello(it.token("class", "ann"))
            assert first == await client.say("why?", id=message_id)
        later_us = it.now_us
    async with stage(tmp_path, ROOMS, clock=ManualClock(wall_us=later_us + SECOND_US)) as it:
        async with it.connected() as client:
            await client.hello(it.token("class", "ann"))
            assert first == await client.say("why?", id=message_id)
        assert ["why?"] == await _texts(it)


async def test_repetitions_that_travel_together_are_one(tmp_path: Path) -> None:
    """Sixteen requests with the same message at once: one message, and the same answer for all."""
    message_id = str(uuid.uuid4())
    async with stage(tmp_path, ROOMS) as it:
        answers = await asyncio.gather(*(_feed(it, "once", message_id) for _ in range(16)))
        assert [answers[0]] * 16 == answers
        assert ["once"] == await _texts(it)


async def test_another_body_under_the_same_id_is_refused(tmp_path: Path) -> None:
    """`id_reused`, and the first message stays as it was."""
    message_id = str(uuid.uuid4())
    async with stage(tmp_path, ROOMS) as it:
        await _feed(it, "one thing", message_id)
        assert "id_reused" == (await _feed(it, "another thing", message_id))["code"]
        assert "id_reused" == (await _feed(it, "one thing", message_id, kind="question"))["code"]
        assert ["one thing"] == await _texts(it)


async def test_two_people_may_use_the_same_id(tmp_path: Path) -> None:
    """Ids are each sender's own: nobody can take another's message away by guessing its id."""
    message_id = str(uuid.uuid4())
    async with stage(tmp_path, ROOMS) as it:
        first = await _feed(it, "mine", message_id, person="s5")
        second = await _feed(it, "also mine", message_id, person="s6")
        assert first["offset"] + 1 == second["offset"]


async def test_a_day_counts_from_when_the_relay_received_it(tmp_path: Path) -> None:
    """Within 24 h of receipt it is the same message, whatever time the sender's clock says; after that it is a new one."""
    message_id = str(uuid.uuid4())
    async with stage(tmp_path, ROOMS) as it:
        first = await _feed(it, "hello", message_id, wall_ms=START_US // 1000 - 3_600_000)
        it.advance(DAY_US / SECOND_US - 60)
        assert first == await _feed(it, "hello", message_id)
        it.advance(120)
        assert first["offset"] < (await _feed(it, "hello", message_id))["offset"]
