"""HTTP: what each path answers, and with which headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

LECTURE = Scenario(START_US)
OPEN: dict[str, dict[str, Any]] = {"class": {"public": True}}


def _message(message_id: str, text: str = "hi", **given: Any) -> dict[str, Any]:
    return {"id": message_id, "author": {"id": "u1", "name": "Ada"}, "text": text} | given


async def _post(it: Stage, body: Any) -> httpx2.Response:
    return await it.post("/v1/rooms/class/messages", body, it.token("class", "feed", None, ("ingest",)))


async def _lines(it: Stage, body: bytes) -> httpx2.Response:
    headers = {
        "Authorization": f"Bearer {it.token('class', 'feed', None, ('ingest',))}",
        "Content-Type": "application/x-ndjson",
    }
    return await it.http.post("/v1/rooms/class/messages", content=body, headers=headers)


async def test_many_messages_get_one_result_each(tmp_path: Path) -> None:
    """NDJSON with good, bad and repeated lines: results in the order of the lines; the good ones are stored once."""
    async with stage(tmp_path, OPEN) as it:
        lines = [_message("a"), _message("b", ""), _message("a"), _message("a", "other"), _message("c", "x" * 501)]
        body = b"\n".join(
            [*(json.dumps(line).encode() for line in lines), b"{", b"", json.dumps(_message("d")).encode()]
        )
        results = (await _lines(it, body)).json()["results"]
        codes = [result.get("code", "stored") for result in results]
        assert ["stored", "empty", "stored", "id_reused", "too_long", "malformed", "stored"] == codes
        assert results[0]["offset"] == results[2]["offset"]
        assert ["hi", "hi"] == [event["text"] for event in await it.replayed() if event["kind"] == "message"]


async def test_feeding_needs_its_scope(tmp_path: Path) -> None:
    """A participant's token may not feed; a guest may not; a feeder may not moderate."""
    async with stage(tmp_path, OPEN) as it:
        path = "/v1/rooms/class/messages"
        assert 403 == (await it.post(path, _message("a"), it.token("class", "student"))).status_code
        assert 403 == (await it.post(path, _message("a"), None)).status_code
        feeder = it.token("class", "feed", None, ("ingest",))
        hide = {"id": "1", "action": "hide", "target": 1}
        assert 403 == (await it.post("/v1/rooms/class/actions", hide, feeder)).status_code


async def test_pages_of_messages_have_each_once(tmp_path: Path) -> None:
    """Cursors lead through all of a broadcast; a forged cursor is refused, and another room's too."""
    async with stage(tmp_path, OPEN | {"other": {"public": True}}) as it:
        for number in range(25):
            await it.say(f"{number}")
        seen, query = [], "limit=10"
        while True:
            page = (await it.get(f"/v1/rooms/class/messages?{query}")).json()
            seen += [event["offset"] for event in page["messages"]]
            if page["cursor"] is None:
                break
            query = f"limit=10&cursor={page['cursor']}"
            foreign = await it.get(f"/v1/rooms/other/messages?cursor={page['cursor']}")
            assert "cursor" == foreign.json()["code"]
        assert list(range(1, 27)) == seen
        assert "cursor" == (await it.get("/v1/rooms/class/messages?cursor=AAAA")).json()["code"]


async def test_the_room_at_an_instant(tmp_path: Path) -> None:
    """`before` ends at the instant, exclusive, newest last; `after` begins there; state is as of then."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        for second in (10, 20, 30, 40):
            await it.said_at(START_US + second * SECOND_US, f"at {second}", kind="question")
        at_ms = (START_US + 30 * SECOND_US) // 1000
        body = (await it.get(f"/v1/rooms/class/at?program_ms={at_ms}&last=2&ahead_ms=10000")).json()
        assert ["at 10", "at 20"] == [event["text"] for event in body["before"]]
        assert ["at 30"] == [event["text"] for event in body["after"]]
        assert ["at 10", "at 20"] == [question["text"] for question in body["state"]["questions"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rooms/class/at?program_ms=99999999999999999999", 422),
        ("/v1/rooms/class/at?program_ms=9223372036854775807", 422),
        ("/v1/rooms/class/chat.json?from_ms=9223372036854775807", 422),
        ("/v1/rooms/class/chat.json?from_ms=-9223372036854775808", 422),
        ("/v1/rooms/class/messages?to_ms=9223372036854775807", 422),
        ("/v1/rooms/class/slices/1/open.json?from_ms=9223372036854775807", 422),
        ("/v1/rooms/class/slices/99999999999999999999/open.json?from_ms=0", 404),
        ("/v1/rooms/class/slices/1/..%2f..%2fheads", 404),
        ("/v1/rooms/class/slices/1/9999999999999999-9999999999999999.e1.r1.json", 404),
        ("/v1/rooms/class/recordings/..%2fx", 404),
        ("/v1/rooms/NEVER", 404),
        ("/v1/rooms/class/chat.json?broadcast=0", 422),
        ("/nowhere", 404),
    ],
)
async def test_odd_addresses_are_answered_in_problem_json(tmp_path: Path, path: str, status: int) -> None:
    """Numbers nobody can mean and paths that lead nowhere: a problem, never a 500."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await it.seal()
        answer = await it.get(path)
        assert status == answer.status_code, answer.text
        assert "application/problem+json" == answer.headers["content-type"]


async def test_an_unchanged_chat_playlist_is_304(tmp_path: Path) -> None:
    """The ETag of an answer asks for it again at no cost; after a change it does not match."""
    async with stage(tmp_path, OPEN) as it:
        first = await it.get("/v1/rooms/class/chat.json")
        tag = first.headers["etag"]
        again = await it.get("/v1/rooms/class/chat.json", **{"If-None-Match": tag})
        assert (304, b"") == (again.status_code, again.content)
        await it.say("news")
        assert 200 == (await it.get("/v1/rooms/class/chat.json", **{"If-None-Match": tag})).status_code


async def test_the_timeline_maps_media_to_program_time(tmp_path: Path) -> None:
    """Runs, segments and the room's latency; `from_media_sequence` bounds what is sent."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 40)
        body = (await it.get("/v1/rooms/class/timeline?from_media_sequence=15")).json()
        assert [15, 16, 17, 18, 19] == [segment["media_sequence"] for segment in body["segments"]]
        assert START_US // 1000 + 30_000 == body["segments"][0]["program_ms"]
        assert [1] == [run["run"] for run in body["runs"]]


async def test_a_recording_is_mapped_by_its_dates(tmp_path: Path) -> None:
    """A host gives a playlist; anyone in the room reads its spans; a playlist that fits nothing is refused with the reason."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        host = {"Authorization": f"Bearer {it.token('class', 'teacher', 'host')}"}
        ended = Scenario(START_US, ends_after=10)
        body = {"playlist": playlist_at(ended, it.now_us)}
        made = await it.http.put("/v1/rooms/class/recordings/week-1", json=body, headers=host)
        assert 200 == made.status_code
        assert made.json() == (await it.get("/v1/rooms/class/recordings/week-1")).json()
        strange = Scenario(START_US, ends_after=10, dated=False, name="strange")
        undated = {"playlist": playlist_at(strange, it.now_us)}
        refused = await it.http.put("/v1/rooms/class/recordings/week-2", json=undated, headers=host)
        assert (422, "not_aligned") == (refused.status_code, refused.json()["reason"])
        student = {"Authorization": f"Bearer {it.token('class', 'student')}"}
        assert 403 == (await it.http.put("/v1/rooms/class/recordings/x", json=body, headers=student)).status_code
        assert 422 == (await it.http.put("/v1/rooms/class/recordings/x", json={}, headers=host)).status_code


async def test_the_admin_api_makes_and_removes_rooms(tmp_path: Path) -> None:
    """Only an administrator; unknown settings are refused; a removed room answers 404."""
    async with stage(tmp_path, OPEN) as it:
        wall_us = it.clock.system_wall_us()
        admin = {"Authorization": f"Bearer {it.hub.authority.mint('op', wall_us=wall_us, admin=True)}"}
        student = {"Authorization": f"Bearer {it.token('class', 'student', 'host')}"}
        path = "/v1/rooms/seminar"
        for headers, status in ((None, 401), (student, 401), (admin, 200)):
            answer = await it.http.put(path, json={"public": True, "title": "Seminar"}, headers=headers)
            assert answer.status_code in {status, 403} if headers is student else status == answer.status_code
        assert 422 == (await it.http.put(path, json={"colour": "red"}, headers=admin)).status_code
        assert "Seminar" == (await it.get(path)).json()["title"]
        assert {"class", "seminar"} == {
            room["room"] for room in (await it.http.get("/v1/rooms", headers=admin)).json()["rooms"]
        }
        assert 200 == (await it.http.delete(path, headers=admin)).status_code
        assert 404 == (await it.get(path)).status_code
        bad = await it.http.put("/v1/rooms/No%20Room", json={"public": True}, headers=admin)
        assert bad.status_code in {404, 422}


async def test_what_a_room_screens_by_is_set_over_http_but_for_files(tmp_path: Path) -> None:
    """Words and patterns are; a pattern that cannot be used and a file of the server are refused, and nothing is changed."""
    async with stage(tmp_path, OPEN) as it:
        admin = {
            "Authorization": f"Bearer {it.hub.authority.mint('op', wall_us=it.clock.system_wall_us(), admin=True)}"
        }
        path = "/v1/rooms/seminar"
        file = {"filter_url": "https://x.example/", "filter_secret_file": "/etc/hostname"}
        for screening, status in (
            ({"languages": ["en"], "held_words": ["exam"], "refused_patterns": [r"\d{6}"]}, 200),
            ({"refused_patterns": ["(?=x)"]}, 422),
            (file, 422),
        ):
            answer = await it.http.put(path, json={"screening": screening}, headers=admin)
            assert status == answer.status_code
        assert "headers_file" == answer.json()["reason"]
        settings = it.hub.settings_of("seminar")
        assert settings is not None
        assert (("en",), ("exam",)) == (settings.screening.languages, settings.screening.held_words)


async def test_health_says_nothing_of_rooms(tmp_path: Path) -> None:
    """Alive, ready and metrics: no names of people, no texts."""
    async with stage(tmp_path, OPEN) as it:
        await it.say("a private thought")
        assert {"live": True} == (await it.get("/livez")).json()
        ready = (await it.get("/readyz")).json()
        assert (True, [], "fsync") == (ready["ready"], ready["failing"], ready["durability"])
        metrics = (await it.get("/metrics")).text
        assert "chatsync" in metrics
        assert "private thought" not in metrics
        assert "Student 5" not in metrics
