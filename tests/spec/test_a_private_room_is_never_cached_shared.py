"""Nothing of a private room may be kept by a shared cache, and without a token it does not exist (security-and-privacy §3.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, URL, Stage, quiet, slice_path, stage

PRIVATE: dict[str, dict[str, Any]] = {"class": {"public": False, "playlist_url": URL}}
LECTURE = Scenario(START_US)


async def _lesson(it: Stage) -> str:
    """Something is said and sealed, and there is a recording; a reader's token."""
    await it.stream(LECTURE, 10)
    await it.said_at(START_US + 4 * SECOND_US, "hello")
    await it.stream(LECTURE, 700, step_s=10)
    await it.seal()
    token = it.token("class", "student")
    body = {"playlist": playlist_at(Scenario(START_US, ends_after=20), it.now_us)}
    host = {"Authorization": f"Bearer {it.token('class', 'teacher', 'host')}"}
    made = await it.http.put("/v1/rooms/class/recordings/one", json=body, headers=host)
    assert 200 == made.status_code, made.text
    return token


async def _paths(it: Stage, token: str) -> list[str]:
    """Every kind of GET there is in a room, with answers of every status."""
    playlist = await it.chat(query="from_ms=0", token=token)
    (entry,) = playlist["slices"]
    present = slice_path(playlist, entry)
    await it.said_at(START_US + 300 * SECOND_US, "late")
    it.advance(5)
    await it.seal()
    (revised,) = (await it.chat(query="from_ms=0", token=token))["slices"]
    room = "/v1/rooms/class"
    return [
        room,
        f"{room}/chat.json",
        f"{room}/chat.json?since=0",
        f"{room}/chat.json?broadcast=99",
        present,
        slice_path(playlist, revised),
        f"{room}/slices/1/0-1000.e1.r1.json",
        f"{room}/slices/1/open.json?from_ms={(await it.chat(token=token))['sealed_until_ms']}",
        f"{room}/slices/1/open.json?from_ms=5",
        f"{room}/at?program_ms={START_US // 1000}",
        f"{room}/at?program_ms=soon",
        f"{room}/messages",
        f"{room}/messages?cursor=forged",
        f"{room}/timeline",
        f"{room}/recordings/one",
        f"{room}/recordings/none",
    ]


def _is_private(cache_control: str) -> bool:
    words = {word.strip().split("=")[0] for word in cache_control.split(",")}
    return {"private", "no-store"} <= words and not words & {"public", "s-maxage", "must-revalidate", "immutable"}


async def test_no_answer_of_a_private_room_may_be_kept_by_a_shared_cache(tmp_path: Path) -> None:
    """Every GET, whatever its status: private, no-store; never public, s-maxage, must-revalidate or immutable."""
    async with stage(tmp_path, PRIVATE) as it:
        token = await _lesson(it)
        seen = {}
        for path in await _paths(it, token):
            answer = await it.get(path, token)
            seen[path] = answer.status_code
            if answer.status_code < 400:
                assert _is_private(answer.headers["cache-control"]), path
            else:
                assert "no-store" in answer.headers["cache-control"], path
                assert not {"public", "s-maxage"} & set(answer.headers["cache-control"].replace("=", ",").split(",")), (
                    path
                )
        assert {200, 404, 410} <= set(seen.values())


async def test_an_unchanged_answer_of_a_private_room_is_private_too(tmp_path: Path) -> None:
    """304 carries the same headers as 200."""
    async with stage(tmp_path, PRIVATE) as it:
        token = await _lesson(it)
        playlist = await it.chat(query="from_ms=0", token=token)
        path = slice_path(playlist, playlist["slices"][0])
        tag = (await it.get(path, token)).headers["etag"]
        answer = await it.get(path, token, **{"If-None-Match": tag})
        assert 304 == answer.status_code
        assert _is_private(answer.headers["cache-control"])


async def test_without_a_token_a_private_room_does_not_exist(tmp_path: Path) -> None:
    """No token, or another room's: 404 as for a room that never was, with the same body and headers."""
    rooms = PRIVATE | {"other": {"public": False}}
    async with stage(tmp_path, rooms) as it:
        paths = await _paths(it, await _lesson(it))
        for stranger in (None, it.token("other", "student")):
            for path in paths:
                answer = await it.get(path, stranger)
                never = await it.get(path.replace("/class", "/never", 1), stranger)
                assert (404, never.content) == (answer.status_code, answer.content), path
                assert never.headers == answer.headers


async def test_files_of_a_private_room_are_in_a_tree_of_their_own(tmp_path: Path) -> None:
    """Slices of a private room lie below slices/private; a room made private takes them along before it says so."""
    async with stage(tmp_path) as it:
        await _lesson(it)
        root = it.hub.files.root / "slices"
        assert [True] == [bool(list(root.glob("public/class/*/*.json.gz")))]
        await it.hub.put_room("class", it.room().settings.model_copy(update={"public": False}))
        assert [] == list(root.glob("public/class/*/*.json.gz"))
        token = it.token("class", "student")
        playlist = await it.chat(query="from_ms=0", token=token)
        answer = await it.slice(playlist, playlist["slices"][0], token)
        assert 200 == answer.status_code
        assert _is_private(answer.headers["cache-control"])
        assert 404 == (await it.slice(playlist, playlist["slices"][0])).status_code


async def test_what_was_answered_while_a_room_was_public_is_not_answered_so_again(tmp_path: Path) -> None:
    """Its slices, lists and open slice were read, and kept in memory; once it is private the same answers say that nothing may keep them."""
    async with stage(tmp_path) as it:
        await _lesson(it)
        playlist = await it.chat(query="from_ms=0")
        path = slice_path(playlist, playlist["slices"][0])
        paths = (
            path,
            "/v1/rooms/class/chat.json",
            f"{playlist['base']}1/open.json?from_ms={playlist['sealed_until_ms']}",
        )
        for one in (*paths, *paths):
            assert "public" in (await it.get(one)).headers["cache-control"]
        await it.hub.put_room("class", it.room().settings.model_copy(update={"public": False}))
        await quiet(it)
        token = it.token("class", "student")
        for one in (*paths, *paths):
            answer = await it.get(one, token)
            assert (200, True) == (answer.status_code, _is_private(answer.headers["cache-control"])), one


async def test_a_public_room_says_what_caches_may_do(tmp_path: Path) -> None:
    """Slices of a public room may be shared for minutes, the chat playlist for a second."""
    async with stage(tmp_path) as it:
        await _lesson(it)
        playlist = await it.get("/v1/rooms/class/chat.json?from_ms=0")
        assert "public, max-age=1" == playlist.headers["cache-control"]
        sealed = await it.slice(playlist.json(), playlist.json()["slices"][0])
        assert "public, max-age=60, s-maxage=300, immutable" == sealed.headers["cache-control"]
