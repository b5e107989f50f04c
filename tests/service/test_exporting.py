"""Exports over HTTP: what comes, for whom, how many at a time, and that half a file never looks whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatsync.errors import NotFoundError, RateLimitedError, StorageFailedError
from chatsync.service.exporting import Exporter
from chatsync.service.limit_table import EXPORTS_MAX, EXPORTS_PER_PERSON_MAX
from chatsync.service.room_settings import RoomSettings
from chatsync.store.opening import open_store
from tests.stage import stage
from tests.store.deeds import placed, said

ROOM = "class"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with one message."""
    with open_store(tmp_path / "data") as store:
        said(store, placed("a", 0, "hello"))
    return tmp_path / "data"


async def test_a_host_gets_names_and_an_analyst_pseudonyms(tmp_path: Path) -> None:
    """The same lines, but of no few people; who may not is refused, and so is what is not there."""
    async with stage(tmp_path, {ROOM: {"public": True}}) as it:
        await it.say("why?", ROOM, kind="question")
        path = f"/v1/rooms/{ROOM}/export"
        teacher, analyst = it.token(ROOM, "teacher", "host"), it.token(ROOM, "study", None, ("analyst",))
        host = await it.get(f"{path}.ndjson", teacher)
        assert (200, "application/x-ndjson") == (host.status_code, host.headers["content-type"])
        assert f'attachment; filename="{ROOM}.ndjson"' == host.headers["content-disposition"]
        [told] = [json.loads(line) for line in host.text.splitlines()]
        assert ("question", "why?") == (told["kind"], told["text"])
        assert told["author"]["name"] != ""
        refused = await it.get(f"{path}.ndjson", analyst)
        assert (403, "too_few_people") == (refused.status_code, refused.json()["code"])
        await it.hub.put_room(ROOM, RoomSettings(public=True, analysts_people_min=1))
        studied = await it.get(f"{path}.ndjson?broadcast=1", analyst)
        assert "" == json.loads(studied.text)["author"]["name"]
        assert 403 == (await it.get(f"{path}.ndjson", it.token(ROOM, "ann"))).status_code
        for missing in (".docx", ".srt?broadcast=9", ".srt?recording=none"):
            assert 404 == (await it.get(path + missing, teacher)).status_code, missing
        assert 422 == (await it.get(f"{path}.srt?recording=x&broadcast=1", teacher)).status_code
        late = await it.get(f"{path}.ndjson?from_ms=253402300799999", teacher)
        assert (200, "") == (late.status_code, late.text)


async def test_so_many_at_a_time(folder: Path) -> None:
    """One more than may be is told to come again; a reader who goes away gives their place back, and the process is gone."""
    exporter = Exporter(folder)
    running = [await exporter.export("math", ["--format=ndjson"], person=f"p{n}") for n in range(EXPORTS_MAX)]
    with pytest.raises(RateLimitedError):
        await exporter.export("math", ["--format=ndjson"], person="another")
    for pieces in running:
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
    again = await exporter.export("math", ["--format=ndjson"], person="another")
    assert b"hello" in b"".join([piece async for piece in again])


async def test_one_person_does_not_take_all_places(folder: Path) -> None:
    """Who has as many as one person may waits, while somebody else is served."""
    exporter = Exporter(folder)
    slow = [await exporter.export("math", ["--format=ndjson"], person="p") for _ in range(EXPORTS_PER_PERSON_MAX)]
    with pytest.raises(RateLimitedError):
        await exporter.export("math", ["--format=ndjson"], person="p")
    other = await exporter.export("math", ["--format=ndjson"], person="q")
    assert b"hello" in b"".join([piece async for piece in other])
    for pieces in slow:
        await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]


async def test_what_goes_wrong_is_an_error_and_no_empty_file(folder: Path) -> None:
    """A room without chat is not found; a damaged folder is an error; neither keeps a place."""
    exporter = Exporter(folder)
    with pytest.raises(NotFoundError):
        await exporter.export("art", ["--format=ndjson"], person="p")
    (folder / "chatsync.db").write_bytes(b"x" * 10_000)
    for _ in range(EXPORTS_MAX + 1):
        with pytest.raises(StorageFailedError):
            await exporter.export("math", ["--format=ndjson"], person="p")
