"""Activity and search over HTTP: from the journal and from the archive, of broadcasts and recordings, and what nobody may find."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chatsync.instants import SECOND_US, Range
from chatsync.simulation import Scenario
from chatsync.store.finding import _COMPARED, compared
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)
START_MS = START_US // 1000
BASE = "/v1/rooms/class"


async def found(it: Stage, query: str, room: str = "class") -> Any:
    """The answer to a search."""
    answer = await it.get(f"/v1/rooms/{room}/search?{query}")
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def texts(it: Stage, query: str) -> list[str]:
    """Texts of all hits, page by page."""
    hits: list[str] = []
    answer = await found(it, query)
    while True:
        hits += [hit["text"] for hit in answer["hits"]]
        if answer["cursor"] is None:
            return hits
        answer = await found(it, f"{query}&cursor={answer['cursor']}")


async def archived(it: Stage) -> None:
    """Everything so far is in Parquet files."""
    await it.settled()
    await asyncio.to_thread(it.hub.archiving.store.archive.archive_now, "class")


async def spoken(it: Stage) -> dict[str, int]:
    """A minute of a lecture with something said; offsets by text."""
    await it.stream(LECTURE, 60)
    said = {}
    for second, text, kind in (
        (3, "Die Größe des Kreises", "message"),
        (4, "CAFÉ or cafe?", "question"),
        (5, "secret plan", "message"),
        (25, "nothing of it", "message"),
    ):
        said[text] = await it.said_at(START_US + second * SECOND_US, text, kind=kind)
    await it.act("hide", target=said["secret plan"], reason="x")
    await it.settled()
    return said


@pytest.mark.parametrize("is_archived", [False, True])
async def test_activity_counts_what_everyone_sees(tmp_path: Path, is_archived: bool) -> None:
    """By bucket from the broadcast's start; what is hidden or private never counts, in the journal or in the archive."""
    async with stage(tmp_path) as it:
        await spoken(it)
        if is_archived:
            await archived(it)
        answer = await it.get(f"{BASE}/activity?bucket_ms=10000")
        body = answer.json()
        assert (10_000, START_MS) == (body["bucket_ms"], body["start_ms"])
        assert [2, 0, 1] == body["counts"][:3]
        assert [1, 0, 0] == body["kinds"]["question"][:3]
        (question,) = body["questions"]
        assert ("CAFÉ or cafe?", START_MS + 4_000, 0) == (question["text"], question["program_ms"], question["upvotes"])
        assert "public, max-age=5" == answer.headers["cache-control"]
        again = await it.http.get(f"{BASE}/activity?bucket_ms=10000", headers={"If-None-Match": answer.headers["etag"]})
        assert 304 == again.status_code


async def test_a_gap_is_null(tmp_path: Path) -> None:
    """Where the stream had a gap or the service was down there is null, with the reason beside it."""
    async with stage(tmp_path) as it:
        await spoken(it)

        it.room().records.put_gap(1, Range(START_US + 30 * SECOND_US, START_US + 50 * SECOND_US), "service")
        body = (await it.get(f"{BASE}/activity?bucket_ms=10000")).json()
        assert [2, 0, 1, None, None] == body["counts"][:5]
        assert [{"start_ms": START_MS + 30_000, "end_ms": START_MS + 50_000, "reason": "service"}] == body["gaps"]


@pytest.mark.parametrize("is_archived", [False, True])
async def test_words_are_found_whatever_their_case_and_accents(tmp_path: Path, is_archived: bool) -> None:
    """All words, in any order, also within words; never what is hidden."""
    async with stage(tmp_path) as it:
        said = await spoken(it)
        if is_archived:
            await archived(it)
        assert ["Die Größe des Kreises"] == await texts(it, "q=grosse")
        assert ["Die Größe des Kreises"] == await texts(it, "q=KREIS%20grösse")
        assert ["CAFÉ or cafe?"] == await texts(it, "q=café")
        assert [] == await texts(it, "q=secret")
        assert [] == await texts(it, "q=cafe%20plan")
        (hit,) = (await found(it, "q=nothing"))["hits"]
        assert (1, said["nothing of it"], START_MS + 25_000) == (hit["broadcast"], hit["offset"], hit["program_ms"])
        assert "Student 5" == hit["author"]["name"]


async def test_hits_come_in_pages(tmp_path: Path) -> None:
    """Half archived, half in the journal, each once and in order; a cursor opens no other search."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        for number in range(6):
            await it.said_at(START_US + number * SECOND_US, f"word {number}")
        await archived(it)
        for number in range(6, 9):
            await it.said_at(START_US + number * SECOND_US, f"word {number}")
        await it.settled()
        assert [f"word {number}" for number in range(9)] == await texts(it, "q=word&limit=2")
        cursor = (await found(it, "q=word&limit=2"))["cursor"]
        other = await it.get(f"{BASE}/search?q=other&cursor={cursor}")
        assert (400, "cursor") == (other.status_code, other.json()["code"])


async def test_a_recording_is_found_in_by_position(tmp_path: Path) -> None:
    """Hits and counts lie where the recording shows them; what it cut is neither found nor counted, and its inserts are null."""
    async with stage(tmp_path) as it:
        await spoken(it)
        spans = [
            {"position_ms": 20_000, "duration_ms": 10_000, "broadcast": 1, "program_ms": START_MS},
            {"position_ms": 30_000, "duration_ms": 10_000, "broadcast": 1, "program_ms": START_MS + 20_000},
        ]
        headers = {"Authorization": f"Bearer {it.token('class', 'teacher', 'host')}"}
        made = await it.http.put(f"{BASE}/recordings/film", json={"spans": spans}, headers=headers)
        assert 200 == made.status_code, made.text
        hits = (await found(it, "q=of%20it&recording=film"))["hits"]
        assert [("nothing of it", 35_000)] == [(hit["text"], hit["position_ms"]) for hit in hits]
        body = (await it.get(f"{BASE}/activity?recording=film")).json()
        assert [None, None, 2, 1] == body["counts"]
        assert [24_000] == [question["position_ms"] for question in body["questions"]]
        assert [{"start_position_ms": 0, "end_position_ms": 20_000, "reason": "cut"}] == body["gaps"]
        assert 404 == (await it.get(f"{BASE}/search?q=x&recording=none")).status_code


async def test_a_private_room_is_kept_by_nobody(tmp_path: Path) -> None:
    """Neither answer may be stored, and strangers get none."""
    async with stage(tmp_path, {"class": {"public": False}}) as it:
        await it.say("hush")
        headers = {"Authorization": f"Bearer {it.token('class', 'ann')}"}
        for path in ("activity", "search?q=hush"):
            assert 404 == (await it.get(f"{BASE}/{path}")).status_code
            answer = await it.http.get(f"{BASE}/{path}", headers=headers)
            assert (200, "private, no-store") == (answer.status_code, answer.headers["cache-control"])


def test_the_archive_compares_as_the_journal_does() -> None:
    """Case and marks go the same way in DuckDB and here, in scripts that have them."""
    samples = ["Straße", "CAFÉ Ǆ", "Ελλάς ΣΟΦΌΣ", "مُحَمَّد", "İstanbul", "हिन्दी की", "Việt Nam", "ÅNGSTRÖM", "ёЁ", "가각"]
    rows = duckdb.execute(f"SELECT {_COMPARED} FROM (SELECT unnest(?) AS text)", [samples]).fetchall()
    assert [compared(one) for one in samples] == [one for (one,) in rows]
