"""A name between colons is an image of the room's own list, everywhere and as it was written; no message brings an address."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from chatsync.instants import SECOND_US
from chatsync.service.room_settings import RoomSettings
from chatsync.simulation import Scenario
from tests.stage import START_US, URL, Stage, stage

PARTY, WAVE = "https://cdn.example/party.png", "/emotes/wave.webp"
ROOMS: dict[str, dict[str, Any]] = {
    "class": {"public": True, "playlist_url": URL, "emotes": {"party": PARTY, "wave": WAVE}}
}
SAID = "done :party: :unknown: :wave:"
SHOWN = [
    {"type": "text", "text": "done "},
    {"type": "emote", "text": ":party:", "name": "party", "url": PARTY},
    {"type": "text", "text": " :unknown: "},
    {"type": "emote", "text": ":wave:", "name": "wave", "url": WAVE},
]


async def _put(it: Stage, **changed: Any) -> None:
    """The room's settings are others from now on."""
    await it.hub.put_room("class", RoomSettings(**(ROOMS["class"] | changed)))


async def _listed(it: Stage, query: str = "", token: str | None = None) -> list[Any]:
    return list((await it.get(f"/v1/rooms/class/messages?{query}", token)).json()["messages"])


def _archived(folder: Path) -> list[dict[str, Any]]:
    paths = folder.rglob("archive/events/**/*.parquet")
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


async def test_an_emote_is_a_fragment_wherever_a_message_is_read(tmp_path: Path) -> None:
    """On the socket, in the open slice, in a sealed one and in lists, also once it has left the list; in the archive by its address."""
    async with stage(tmp_path, ROOMS) as it:
        await it.stream(Scenario(START_US), 10)
        async with it.connected() as viewer:
            await viewer.hello(None)
            offset = await it.said_at(START_US + 4 * SECOND_US, SAID)
            await viewer.until(lambda: offset in [one["offset"] for one in viewer.events])
            assert [SHOWN] == [one["fragments"] for one in viewer.events if one["offset"] == offset]
        (in_open,) = [one for one in await it.replayed() if one["offset"] == offset]
        assert {"party": PARTY, "wave": WAVE} == (await it.get("/v1/rooms/class")).json()["emotes"]
        await _put(it, emotes={"party": "https://elsewhere.example/other.png"})
        await it.stream(Scenario(START_US), 625, step_s=10)
        await it.seal()
        (sealed,) = [one for one in await it.replayed() if one["offset"] == offset]
        (listed,) = [one for one in await _listed(it) if one["offset"] == offset]
        assert [SHOWN] * 3 == [one["fragments"] for one in (in_open, sealed, listed)]
        assert not any("emotes" in one for one in (in_open, sealed, listed))
        await asyncio.to_thread(it.hub.archiving._archive.archive_now, "class")
    (row,) = [row for row in _archived(tmp_path) if row["offset"] == offset]
    assert (SAID, {"party": PARTY, "wave": WAVE}) == (row["text"], json.loads(row["details"])["emotes"])


async def test_no_message_brings_an_address(tmp_path: Path) -> None:
    """What is sent beside the text is not read."""
    evil = {"party": "https://evil.example/track.png"}
    forged = [{"type": "emote", "text": ":x_x:", "name": "x_x", "url": evil["party"]}]
    async with stage(tmp_path, ROOMS) as it:
        body = {"id": "m1", "author": {"id": "u", "name": "U"}, "text": ":party: :x_x:"}
        token = it.token("class", "feed", None, ("ingest",))
        await it.post("/v1/rooms/class/messages", body | {"emotes": evil, "fragments": forged, "details": evil}, token)
        async with it.connected() as pupil:
            await pupil.hello(it.token("class", "pupil"))
            await pupil.say(":party: :x_x:", emotes=evil, fragments=forged)
        said = [one for one in await _listed(it) if one["kind"] == "message"]
    assert [PARTY, PARTY] == [part["url"] for one in said for part in one["fragments"] if part["type"] == "emote"]
    assert "evil" not in str(said)


async def test_what_was_held_shows_its_emotes_once_it_is_approved(tmp_path: Path) -> None:
    """As all that it was when it was written."""
    async with stage(tmp_path, ROOMS) as it:
        await it.act("mode", mode={"approval": True})
        async with it.connected() as pupil:
            await pupil.hello(it.token("class", "pupil"))
            assert "held" == (await pupil.say(SAID))["type"]
        staff = await _listed(it, "class=staff", it.token("class", "mod", "moderator"))
        (held,) = [one["offset"] for one in staff if one["kind"] == "held"]
        await it.act("approve", target=held)
        (approved,) = [one for one in await _listed(it) if one["kind"] == "message"]
    assert SHOWN == approved["fragments"]


async def test_sent_again_after_the_list_changed_it_is_the_same_message(tmp_path: Path) -> None:
    """Which images there are is the room's word, not the author's."""
    async with stage(tmp_path, ROOMS) as it:
        again = str(uuid.uuid4())
        first = await it.say(SAID, id=again)
        await _put(it, emotes={})
        assert first == await it.say(SAID, id=again)


async def test_a_hide_takes_the_emotes_too(tmp_path: Path) -> None:
    """Their names are words of the message; a restore brings them back."""
    async with stage(tmp_path, ROOMS) as it:
        said = await it.say(SAID)
        await it.act("hide", target=said["offset"])
        held = it.room().journal.event("class", said["offset"])
        assert held is not None
        assert {} == held.details
        await it.act("restore", target=said["offset"])
        assert [SHOWN] == [one["fragments"] for one in await _listed(it) if one["kind"] == "message"]


@pytest.mark.parametrize(
    "emotes",
    [
        {"x": PARTY},
        {"Party": PARTY},
        {"a-b": PARTY},
        {"party": "http://cdn.example/party.png"},
        {"party": "//cdn.example/party.png"},
        {"party": "party.png"},
        {"party": ""},
        {"party": "https://"},
        {"party": "https://user:secret@cdn.example/party.png"},
        {"party": "javascript:alert(1)"},
        {"party": "data:image/svg+xml,<svg/>"},
        {"party": "https://cdn.example/a b.png"},
        {"party": 'https://cdn.example/"onerror=x'},
        {"party": "/\\evil.example/x.png"},
        {"party": "https://cdn.example/\u202egnp.png"},
    ],
)
def test_an_emote_has_a_plain_name_and_an_https_image(emotes: dict[str, str]) -> None:
    """Anything else is refused when the room is made."""
    with pytest.raises(ValidationError):
        RoomSettings(emotes=emotes)
