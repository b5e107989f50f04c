"""How long players wait before they ask again, and what a chat playlist keeps of what it encoded."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chatsync.service.chat_playlist import READS_PER_S, RELOAD_MS, RELOAD_MS_MAX, reload_ms
from chatsync.simulation import Scenario
from chatsync.store.catalog import SliceRow
from tests.stage import START_US, Stage, stage

SLICES = 720  # twelve hours of a minute each


@pytest.mark.parametrize(
    ("reads_per_s", "expected_ms"),
    [
        (0, RELOAD_MS),
        (READS_PER_S, RELOAD_MS),
        (2 * READS_PER_S, 2 * RELOAD_MS),
        (5 * READS_PER_S, 5 * RELOAD_MS),
        (1_000 * READS_PER_S, RELOAD_MS_MAX),
    ],
)
def test_the_more_ask_the_longer_they_wait(reads_per_s: int, expected_ms: int) -> None:
    """Below what a core can bear nothing changes; above it, the wait grows with the load, up to a bound."""
    assert expected_ms == reload_ms(reads_per_s)


def test_on_a_full_node_they_wait_longer_but_see_messages_within_three_seconds() -> None:
    """What a cache may add included; under more load it grows as ever."""
    assert RELOAD_MS < reload_ms(0, is_full=True) < 3_000 - 1_000
    assert reload_ms(5 * READS_PER_S) == reload_ms(5 * READS_PER_S, is_full=True)


async def _twelve_hours(it: Stage) -> None:
    """A broadcast with a slice for each minute of twelve hours, as the catalog would list it."""
    await it.stream(Scenario(START_US), 20)
    index = await it.sealer().index(1)
    first_ms = START_US // 1_000 - 12 * 3_600_000
    for number in range(SLICES):
        row = SliceRow(
            broadcast=1,
            start_ms=first_ms + number * 60_000,
            end_ms=first_ms + (number + 1) * 60_000,
            epoch=1,
            revision=1,
            events=300,
            messages=280,
            as_of_offset=300 * (number + 1),
            version=number + 1,
            sha256="",
            size_bytes=0,
        )
        index.put(row)
        index.version = row.version


async def test_a_delta_of_twelve_hours_is_small(tmp_path: Path) -> None:
    """Who has all but the last slice gets that one, in at most 2 kB; the whole list is there for who wants it."""
    async with stage(tmp_path) as it:
        await _twelve_hours(it)
        delta = await it.get(f"/v1/rooms/class/chat.json?broadcast=1&since={SLICES - 1}")
        assert len(delta.content) <= 2_000
        assert [SLICES] == [SLICES - 1 + len(delta.json()["slices"])]
        assert [] == delta.json()["removed"]
        assert SLICES == len((await it.chat(query="from_ms=0"))["slices"])


async def test_an_answer_is_the_same_whether_it_was_kept_or_not(tmp_path: Path) -> None:
    """The second asker gets the first one's bytes; when a slice changes, the position moves, or time passes, the answer does too."""
    async with stage(tmp_path) as it:
        await _twelve_hours(it)
        path = "/v1/rooms/class/chat.json?from_ms=0"
        first, second = await it.get(path), await it.get(path)
        assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
        said = await it.say("something")
        third = (await it.get(path)).json()
        assert said["offset"] == third["as_of"]["offset"]
        it.advance(1)
        fourth = (await it.get(path)).json()
        assert 1_000 == fourth["clock_ms"] - third["clock_ms"]
        index = await it.sealer().index(1)
        index.put(msgspec.structs.replace(index.entries[0], revision=2, version=SLICES + 1))
        index.version = SLICES + 1
        assert 2 == (await it.get(path)).json()["slices"][0]["revision"]
