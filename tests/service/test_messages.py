"""Feeding a room over HTTP: many at once, again, dated by the platform."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from chatsync.instants import HOUR_US
from chatsync.service.app import create_app
from chatsync.service.auth import TokenAuthority
from chatsync.service.clock import ManualClock
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings

SECRET = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"


class Fed:
    """A relay in this process with a room without a stream, and a platform that feeds it."""

    def __init__(self, http: httpx2.AsyncClient, clock: ManualClock) -> None:
        self.http, self.clock = http, clock
        mint = TokenAuthority(SECRET.encode()).mint
        self._headers = {
            "Authorization": "Bearer " + mint("lms", wall_us=clock.wall_us(), rooms=["math"], scopes=["ingest"])
        }
        host = mint("host", wall_us=clock.wall_us(), rooms=["math"], role="host", name="Host")
        self._host = {"Authorization": f"Bearer {host}"}

    async def feed(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Results of an NDJSON body."""
        body = "\n".join(json.dumps(message) for message in messages)
        headers = self._headers | {"Content-Type": "application/x-ndjson"}
        answer = await self.http.post("/v1/rooms/math/messages", content=body, headers=headers)
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    async def act(self, **action: Any) -> dict[str, Any]:
        """A deed of the host."""
        answer = await self.http.post("/v1/rooms/math/actions", json={"id": "a1"} | action, headers=self._host)
        done: dict[str, Any] = answer.json()
        return done

    async def state(self) -> dict[str, Any]:
        """The room's state an hour from now."""
        at_ms = self.clock.wall_us() // 1000 + 3_600_000
        state: dict[str, Any] = (await self.http.get("/v1/rooms/math/at", params={"program_ms": at_ms})).json()["state"]
        return state


@pytest.fixture
async def fed(tmp_path: Path) -> AsyncIterator[Fed]:
    """A relay, started and stopped."""
    clock = ManualClock()
    settings = Settings(data_folder=tmp_path, token_secret=SecretStr(SECRET), rooms={"math": RoomSettings(public=True)})
    app = create_app(settings, clock)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://relay") as http,
    ):
        yield Fed(http, clock)


def message(id_: str, text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A message of the platform's own chat."""
    return {"id": id_, "author": {"id": "u7", "name": "Ann"}, "text": text} | fields


async def test_each_message_has_its_own_result(fed: Fed) -> None:
    """Good ones are durable, a bad one says why, none spoils the others."""
    results = await fed.feed(message("m1"), message("m2", text=""), {"id": "m3"}, message("m4"))
    assert ["fsync", None, None, "fsync"] == [result.get("durable") for result in results]
    assert ["empty", "malformed"] == [result["code"] for result in results[1:3]]


async def test_feeding_again_gives_the_first_answer_again(fed: Fed) -> None:
    """A platform that is not sure sends everything once more."""
    first = await fed.feed(message("m1"), message("m2"))
    assert first == await fed.feed(message("m1"), message("m2"))
    assert "id_reused" == (await fed.feed(message("m1", text="other")))[0]["code"]


@pytest.mark.parametrize(("back_us", "code"), [(24 * HOUR_US, None), (24 * HOUR_US + 1_000, "too_old")])
async def test_a_platform_dates_a_message_by_its_receipt_within_a_day(fed: Fed, back_us: int, code: str | None) -> None:
    """At the bound it is taken, past it refused; it stands where the platform received it."""
    wall_ms = (fed.clock.wall_us() - back_us) // 1000
    result = (await fed.feed(message("m1", wall_ms=wall_ms)))[0]
    assert code == result.get("code")
    if code is None:
        assert wall_ms == result["program_ms"]


async def test_a_pinned_message_carries_its_text_and_goes_when_it_is_hidden(fed: Fed) -> None:
    """The state has everything needed to show the pin, and nothing of what is hidden."""
    offset = (await fed.feed(message("m1", text="exercise 7")))[0]["offset"]
    await fed.act(action="pin", target=offset)
    assert ["exercise 7"] == [pin["text"] for pin in (await fed.state())["pinned"]]
    await fed.act(id="a2", action="hide", target=offset)
    assert [] == (await fed.state())["pinned"]
