"""``chatsync import``: from a file to what viewers and analysts see, through a real relay."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import chatsync
from chatsync.cli import app
from tests.relay import SECRET, Relay
from tests.stage import URL, stage
from tests.transfer.files import T0_US, sample

RUNNER = CliRunner()
T0_MS = T0_US // 1_000


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", SECRET)


def _run(*words: str | Path) -> tuple[int, str]:
    result = RUNNER.invoke(app, ["import", *map(str, words)])
    return result.exit_code, result.output


def _report(*words: str | Path) -> dict[str, Any]:
    status, told = _run(*words, "--json")
    assert 0 == status, told
    report: dict[str, Any] = json.loads(told.splitlines()[-1])
    return report


def _twitch(path: Path, *said: tuple[float, str]) -> Path:
    comments = [
        {
            "_id": f"id{at_s}",
            "created_at": chatsync_iso(at_s),
            "content_offset_seconds": int(at_s),
            "commenter": {"_id": "7001", "name": "amina", "display_name": "Amina"},
            "message": {"body": text, "user_badges": []},
        }
        for at_s, text in said
    ]
    path.write_text(json.dumps({"streamer": {"name": "P", "id": 1}, "video": {}, "comments": comments}))
    return path


def chatsync_iso(at_s: float) -> str:
    """An instant so many seconds after the samples' position 0, as a file writes it."""
    from chatsync.instants import iso_from_us

    return iso_from_us(T0_US + round(at_s * 1_000_000))


def test_what_was_imported_is_seen_by_viewers_and_analysts(tmp_path: Path) -> None:
    """Slices of a relay, SQL over journal and Parquet; a room that was in use goes on with its own broadcast."""
    relay = Relay(tmp_path, {"class": {"public": True}})
    with relay:
        before = relay.get("/v1/rooms/class/chat.json").json()["broadcast"]
        file = _twitch(tmp_path / "chat", (12.34, "hello"), (70, "why?"))
        status, told = _run(file, "--room", "class", "--config", tmp_path / "chatsync.toml")
        assert (2, True) == (status, "stop the relay" in told)
        relay.stop()
        report = _report(file, "--room", "class", "--config", tmp_path / "chatsync.toml")
        number = report["broadcasts"][0]["broadcast"]
        assert (2, before + 1, True) == (report["imported"], number, report["broadcasts"][0]["new"])
        relay.start()
        assert before == relay.get("/v1/rooms/class/chat.json").json()["broadcast"]
        printed = _printed(relay, number, 2)
        assert ["hello", "why?"] == [event["text"] for event in printed]
        assert {"stamp": "import", "program_ms": T0_MS + 12_340} == {
            name: printed[0][name] for name in ("stamp", "program_ms")
        }
        assert "imported" not in printed[0]
        relay.stop()
    for archived in (False, True):
        if archived:
            assert 0 == RUNNER.invoke(app, ["archive", "--now", "--data", str(tmp_path / "data")]).exit_code
            assert 0 == RUNNER.invoke(app, ["verify", "--data", str(tmp_path / "data")]).exit_code
        with chatsync.open_archive(tmp_path / "data") as archive:
            rows = archive.sql("SELECT text, source, broadcast FROM messages ORDER BY program_us").fetchall()
            assert [(text, "import:twitch_downloader", number) for text in ("hello", "why?")] == rows


async def test_what_comes_late_revises_its_slice(tmp_path: Path) -> None:
    """A second file of the same time goes into the broadcast of the first, and into slices that were cut."""
    rooms = {"class": {"public": True}}
    where = ("--room", "class", "--data", tmp_path / "data")
    _report(_twitch(tmp_path / "chat", (12.34, "hello"), (70, "why?")), *where)
    path = "/v1/rooms/class/chat.json?broadcast=1&from_ms=0"
    async with stage(tmp_path, rooms) as it:
        await it.seal()
        (cut,) = (await it.get(path)).json()["slices"]
        assert (2, 1) == (cut["events"], cut["revision"])
    assert [{"broadcast": 1, "messages": 1, "new": False}] == _report(_twitch(tmp_path / "late", (30, "late")), *where)[
        "broadcasts"
    ]
    async with stage(tmp_path, rooms) as it:
        await it.seal()
        it.advance(6)
        await it.seal()
        (cut,) = (await it.get(path)).json()["slices"]
        assert (3, 2) == (cut["events"], cut["revision"])


@pytest.mark.parametrize("own", [{}, {"playlist_url": URL}])
async def test_an_imported_broadcast_is_asked_like_any_other(own: dict[str, Any], tmp_path: Path) -> None:
    """At an instant, how much when, page by page, by a recording's dates; what is said now goes into the room's own."""
    _report(_twitch(tmp_path / "chat", (12.34, "hello"), (70, "why?")), "--room", "class", "--data", tmp_path / "data")
    async with stage(tmp_path, {"class": {"public": True, **own}}) as it:
        await it.seal()
        host = it.token("class", "host", "host")
        at = (await it.get(f"/v1/rooms/class/at?broadcast=1&program_ms={T0_MS + 60_000}")).json()
        assert (["hello"], ["why?"]) == tuple([event["text"] for event in at[side]] for side in ("before", "after"))
        activity = (await it.get("/v1/rooms/class/activity?broadcast=1&bucket_ms=60000")).json()
        assert 2 == sum(activity["counts"])
        page = (await it.get("/v1/rooms/class/messages?broadcast=1")).json()
        assert ["import", "import"] == [event["stamp"] for event in page["messages"]]
        dated = "#EXTM3U\n#EXT-X-TARGETDURATION:90\n#EXT-X-PROGRAM-DATE-TIME:2026-03-09T14:00:10Z\n#EXTINF:90,\na.ts\n#EXT-X-ENDLIST\n"
        answer = await it.http.put(
            "/v1/rooms/class/recordings/r", json={"playlist": dated}, headers={"Authorization": f"Bearer {host}"}
        )
        (span,) = answer.json()["spans"]
        assert (1, T0_MS + 10_000, "program_date_time") == (span["broadcast"], span["program_ms"], span["method"])
        listed = (await it.get("/v1/rooms/class/chat.json")).json()["broadcasts"]
        assert [(1, T0_MS + 71_000), (2, None)] == [(one["broadcast"], one.get("end_ms")) for one in listed]
        said = await it.say("live")
        assert 2 == said["stamp"].broadcast


def _printed(relay: Relay, broadcast: int, events: int) -> list[dict[str, Any]]:
    """What slices print of a broadcast, once they hold so many events."""
    deadline = time.monotonic() + 20
    while True:
        playlist = relay.get(f"/v1/rooms/class/chat.json?broadcast={broadcast}&from_ms=0").json()
        if sum(entry["events"] for entry in playlist["slices"]) >= events or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    printed = []
    for entry in playlist["slices"]:
        name = f"{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"
        printed += relay.get(f"{playlist['base']}{broadcast}/{name}").json()["events"]
    return printed


def test_a_report_is_told_to_people(tmp_path: Path) -> None:
    """What was read, what stayed out and why, and what to do next."""
    file = _twitch(tmp_path / "chat", (1, "x" * 9_000), (2, ""), (3, "b"))
    status, told = _run(file, "--room", "class", "--data", tmp_path / "data", "--t0", "2026-03-09T14:00:00Z")
    assert 0 == status
    for words in (
        "3 entries read, 2 imported into class",
        "1 left out: it has nothing to read in it",
        "1 texts shortened",
        "0 ms after their positions",
        "next: ",
    ):
        assert words in told
    assert (
        "3 entries read, 0 imported into class, 2 already there"
        in _run(file, "--room", "class", "--data", tmp_path / "data")[1]
    )


def test_positions_are_placed_by_what_is_named(tmp_path: Path) -> None:
    """An instant, a playlist, the map of a recording."""
    vtt = tmp_path / "x.vtt"
    vtt.write_text("WEBVTT\n\n00:00:12.000 --> 00:00:17.000\n<v Amina>hello\n")
    playlist = tmp_path / "x.m3u8"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PROGRAM-DATE-TIME:2026-03-09T14:00:00Z\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n"
    )
    where = ("--room", "class", "--data", tmp_path / "data")
    assert 2 == _run(vtt, *where)[0]
    assert T0_MS + 12_000 == _report(vtt, *where, "--t0", "2026-03-09T14:00:00Z")["start_ms"]
    assert 1 == _report(vtt, *where, "--playlist", playlist)["already_there"]
    assert 2 == _run(vtt, *where, "--recording", "none")[0]


@pytest.mark.parametrize(
    "words",
    [
        ("--room", "NO"),
        ("--room", "a", "--t0", "never"),
        ("--room", "a", "--t0", "2026-03-09T14:00:00Z", "--recording", "x"),
        ("--room", "a", "--format", "vhs"),
        ("--room", "a", "--tz", "UTC"),
        ("--room", "a", "--date", "today"),
        ("--room", "a", "--date", "2026-03-09", "--tz", "Nowhere/Land"),
        ("--room", "a", "--playlist", "/nowhere"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(words: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is opened."""
    file = _twitch(tmp_path / "chat", (1, "a"))
    status, told = _run(file, *words, "--data", tmp_path / "data")
    assert (2, True) == (status, told.startswith("chatsync: ")) or (1, True) == (status, "cannot be read" in told)
    assert not (tmp_path / "data").exists()


def test_numbered_names_stay_numbers(tmp_path: Path) -> None:
    """In a room where nobody sees names, none comes in by a file; the same person is the same number."""
    (tmp_path / "chatsync.toml").write_text(f'data_folder = "{tmp_path / "data"}"\n[rooms.class]\nnames = "numbered"\n')
    from chatsync.service.settings import load_settings

    assert load_settings(tmp_path / "chatsync.toml").rooms["class"].has_numbered_names
    file = _twitch(tmp_path / "chat", (1, "a"), (2, "b"))
    _report(file, "--room", "class", "--config", tmp_path / "chatsync.toml")
    names = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("identity.db*"))
    assert b"Amina" not in names


def test_a_saved_zoom_chat_needs_a_day(tmp_path: Path) -> None:
    """And takes a zone."""
    file = sample("zoom_saved_chat.txt")
    where = ("--room", "class", "--data", tmp_path / "data")
    assert 2 == _run(file, *where)[0]
    assert (
        T0_MS + 12_000 - 3 * 3_600_000
        == _report(file, *where, "--date", "2026-03-09", "--tz", "Africa/Nairobi")["start_ms"]
    )
    assert T0_MS + 12_000 == _report(file, *where, "--date", "2026-03-09", "--tz", "+00:00", "--dry-run")["start_ms"]
