"""Trials of the limits on tokens, HTTP and playlists. Imported for what it registers."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from chatsync.errors import PlaylistSyntaxError, SettingsError, StorageFailedError
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.instants import HOUR_US, MS_US, SECOND_US
from chatsync.service.auth import TokenAuthority
from chatsync.service.keys import read_keys
from chatsync.service.limit_table import Limits
from chatsync.service.purge_settings import PurgeHook, purge_reasons
from chatsync.service.room_settings import RoomSettings, read_request_headers
from chatsync.service.settings import Settings, token_key
from tests.limit_trials import (
    FIXED,
    OPEN,
    ROOM,
    bearer_line,
    fed_line,
    http,
    playlist_of,
    post_lines,
    put_spans,
    refuses,
    staff,
    trial,
)
from tests.relay import SECRET, relay_with
from tests.service import test_auth as tokens
from tests.service import test_fetching as fetching
from tests.service import test_keys as keys
from tests.service import test_openid as openid
from tests.service import test_revoking as revoking
from tests.service.tripwire import reply
from tests.stage import FAST, START_US, stage

# --- tokens, secrets ----------------------------------------------------------------------------------------------------

NOW_US = START_US


def _mint(**given: Any) -> str:
    authority = TokenAuthority(SECRET.encode())
    claims: dict[str, Any] = {"wall_us": NOW_US, "rooms": (ROOM,), "role": "participant"} | given
    return authority.mint("s", **claims)


@trial("token")
def _token(_: Path) -> None:
    made = [tokens.token(pad="x" * size) for size in range(5_500, 6_500)]
    longest = max((one for one in made if len(one) <= FIXED["token"]), key=len)
    too_long = min((one for one in made if len(one) > FIXED["token"]), key=len)
    assert len(too_long) - len(longest) <= 2  # base64 leaves out one length in four
    tokens.AUTHORITY.identify(longest, wall_us=tokens.NOW_US)
    refuses(lambda: tokens.AUTHORITY.identify(too_long, wall_us=tokens.NOW_US))


@trial("token_life")
def _token_life(_: Path) -> None:
    _mint(lifetime_us=FIXED["token_life"] * HOUR_US)
    refuses(lambda: _mint(lifetime_us=FIXED["token_life"] * HOUR_US + SECOND_US), ValueError)


@trial("token_leeway")
def _token_leeway(_: Path) -> None:
    authority, token = TokenAuthority(SECRET.encode()), _mint(lifetime_us=HOUR_US)
    leeway_us = FIXED["token_leeway"] * SECOND_US
    for inside_us in (NOW_US - leeway_us, NOW_US + HOUR_US + leeway_us - 1):
        authority.identify(token, wall_us=inside_us)
    for outside_us in (NOW_US - leeway_us - 1, NOW_US + HOUR_US + leeway_us):
        refuses(partial(authority.identify, token, wall_us=outside_us))


@trial("token_rooms")
def _token_rooms(_: Path) -> None:
    _mint(rooms=[f"r{number}" for number in range(FIXED["token_rooms"])])
    refuses(lambda: _mint(rooms=[f"r{number}" for number in range(FIXED["token_rooms"] + 1)]), ValueError)


@trial("token_subject")
def _token_subject(_: Path) -> None:
    authority = TokenAuthority(SECRET.encode())
    given: dict[str, Any] = {"wall_us": NOW_US, "rooms": (ROOM,), "role": "participant"}
    authority.mint("x" * FIXED["token_subject"], **given)
    refuses(lambda: authority.mint("x" * (FIXED["token_subject"] + 1), **given), ValueError)


@trial("token_audiences")
def _token_audiences(_: Path) -> None:
    for more, is_taken in ((0, True), (1, False)):
        audiences = ["chat-app", *(f"a{number}" for number in range(FIXED["token_audiences"] + more - 1))]
        work = partial(tokens.AUTHORITY.identify, tokens.provided(aud=audiences), wall_us=tokens.NOW_US)
        if is_taken:
            work()
        else:
            refuses(work)


@trial("rsa_bits")
def _rsa_bits(folder: Path) -> None:
    keys.test_a_key_is_read_from_its_file(folder, keys.pem(tokens.RSA_KEY), "RS256")
    assert FIXED["rsa_bits"] == tokens.RSA_KEY.key_size
    (folder / "key").write_bytes(keys.pem(keys.WEAK_RSA))
    refuses(lambda: read_keys([keys.one(folder / "key", "RS256")]))


@trial("jwks")
async def _jwks(_: Path) -> None:
    await openid.test_a_document_at_the_limit_is_taken()
    too_large = reply(b"x" * (FIXED["jwks"] + 1))
    await openid.test_what_is_not_plainly_a_document_is_refused(too_large, "larger than")


@trial("jwks_pause", "jwks_grace")
async def _jwks_times(_: Path) -> None:
    await openid.test_made_up_names_cause_one_load_a_minute()
    await openid.test_a_key_that_left_the_set_is_good_for_its_grace()


@trial("revocations")
async def _revocations(folder: Path) -> None:
    await revoking.test_there_are_not_more_than_memory_is_for(folder)


@trial("secret")
def _secret(_: Path) -> None:
    token_key(Settings(token_secret=SecretStr(SECRET[: FIXED["secret"]])))
    refuses(lambda: token_key(Settings(token_secret=SecretStr(SECRET[: FIXED["secret"] - 1]))), SettingsError)


@trial("private_file")
def _private_file(folder: Path) -> None:
    file = folder / "headers"
    file.touch(0o600)
    file.write_text("#" * FIXED["private_file"])
    assert {} == read_request_headers(file)
    file.write_text("#" * (FIXED["private_file"] + 1))
    refuses(lambda: read_request_headers(file), SettingsError)


# --- HTTP ---------------------------------------------------------------------------------------------------------------


@trial("head_bytes_max", "head_s_max", "body_s_max")
async def _heads_and_bodies(folder: Path) -> None:
    limits = {"head_bytes_max": 1_024, "head_s_max": 1, "body_s_max": 1}
    with relay_with(folder, OPEN, limits=limits) as relay:
        for more, status in ((0, b"200"), (1, b"431")):
            head = b"GET /livez HTTP/1.1\r\nHost: relay\r\nConnection: close\r\nX: "
            head += b"x" * (1_024 + more - len(head) - 4) + b"\r\n\r\n"
            assert 1_024 + more == len(head)
            assert status == (await http(relay.port, head))[0].split(b" ")[1]
            pieces = await http(relay.port, head[:700], head[700:])
            assert status == pieces[0].split(b" ")[1]
        answer, took_s = await http(relay.port, b"GET /livez HTTP/1.1\r\n")
        assert (b"408", True) == (answer.split(b" ")[1], 0.9 <= took_s)
        head = b"POST /v1/rooms/class/actions HTTP/1.1\r\nHost: relay\r\nContent-Length: 10\r\nConnection: close\r\n"
        answer, took_s = await http(relay.port, head + bearer_line() + b"\r\n123")
        assert (b"408", True) == (answer.split(b" ")[1], 0.9 <= took_s)


@trial("body_bytes_max")
async def _body(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"body_bytes_max": 1_024}) as it:
        for more, is_too_large in ((0, False), (1, True)):
            answer = await it.http.post(f"/v1/rooms/{ROOM}/actions", content=b"x" * (1_024 + more), headers=staff(it))
            assert is_too_large == (413 == answer.status_code)


@trial("ndjson_bytes_max")
async def _ndjson(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"ndjson_bytes_max": 2_048}) as it:
        for more, status in ((0, 200), (1, 413)):
            assert status == (await post_lines(it, b"x" * (2_048 + more))).status_code


@trial("fed_messages")
async def _fed_messages(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        answer = await post_lines(it, b"{}\n" * FIXED["fed_messages"])
        assert FIXED["fed_messages"] == len(answer.json()["results"])
        assert "too_many" == (await post_lines(it, b"{}\n" * (FIXED["fed_messages"] + 1))).json()["reason"]


@trial("fed_bytes")
async def _fed_bytes(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        for more, is_taken in ((0, True), (1, False)):
            line = fed_line(0)[:-1] + b',"x":"'
            line += b"x" * (FIXED["fed_bytes"] + more - len(line) - 2) + b'"}'
            assert FIXED["fed_bytes"] + more == len(line)
            assert is_taken == ("offset" in (await post_lines(it, line)).json()["results"][0])


@trial("fed_age")
async def _fed_age(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        oldest_ms = (it.clock.wall_us() - FIXED["fed_age"] * HOUR_US) // MS_US
        for less_ms, is_taken in ((0, True), (1, False)):
            answer = await post_lines(it, fed_line(0)[:-1] + b',"wall_ms":%d}' % (oldest_ms - less_ms))
            assert is_taken == ("offset" in answer.json()["results"][0])


@trial("page")
async def _page(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        for more, status in ((0, 200), (1, 422)):
            assert status == (await it.get(f"/v1/rooms/{ROOM}/messages?limit={FIXED['page'] + more}")).status_code


@trial("context_last", "context_ahead")
async def _context(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await it.say("something")
        for name, parameter in (("context_last", "last"), ("context_ahead", "ahead_ms")):
            for more, status in ((0, 200), (1, 422)):
                path = f"/v1/rooms/{ROOM}/at?program_ms={START_US // MS_US}&{parameter}={FIXED[name] + more}"
                assert status == (await it.get(path)).status_code, (await it.get(path)).text


@trial("segments_shown")
async def _segments_shown(folder: Path) -> None:
    for more in (0, 1):
        async with stage(folder / str(more)) as it:
            await it.reload(playlist_of(FIXED["segments_shown"] + more))
            segments = (await it.get(f"/v1/rooms/{ROOM}/timeline")).json()["segments"]
            assert (FIXED["segments_shown"], more) == (len(segments), segments[0]["media_sequence"])


@trial("slice_age_s")
async def _slice_age(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"slice_age_s": 60}) as it:
        await it.say("something")
        it.advance(700)
        await it.seal()
        playlist = await it.chat()
        answer = await it.slice(playlist, playlist["slices"][0])
        assert "max-age=60" in answer.headers["Cache-Control"].replace(" ", "").split(",")
    refuses(lambda: Limits(slice_age_s=61), ValidationError)


@trial("slice_cache_s")
async def _slice_cache(folder: Path) -> None:
    for seconds in (300, 1):
        async with stage(folder / str(seconds), OPEN, limits=FAST | {"slice_cache_s": seconds}) as it:
            await it.say("something")
            it.advance(700)
            await it.seal()
            playlist = await it.chat()
            answer = await it.slice(playlist, playlist["slices"][0])
            assert f"s-maxage={seconds}" in answer.headers["Cache-Control"].replace(" ", "").split(",")
    assert [] != purge_reasons({}, Limits(slice_cache_s=301))
    for seconds in (0, 86_401):
        refuses(partial(Limits, slice_cache_s=seconds), ValidationError)


@trial("purges")
async def _purges(folder: Path) -> None:
    hook = PurgeHook(kind="ban", url="http://127.0.0.1:9")
    async with stage(folder, OPEN, purge={"edge": hook}) as it:
        (cache,) = it.hub.purging._caches
        bound = FIXED["purges"]
        cache.note(ROOM, (f"slice:{number}" for number in range(bound + 5)), since_us=None)
        assert bound + 1 == cache.waiting  # five of them are their room now


@trial("rooms_max")
async def _rooms(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"rooms_max": 2}) as it:
        admin = it.hub.authority.mint("operator", wall_us=it.clock.system_wall_us(), admin=True)
        headers = {"Authorization": f"Bearer {admin}"}
        answers = [
            (await it.http.put(f"/v1/rooms/{room}", json={}, headers=headers)) for room in ("second", "third", ROOM)
        ]
        assert [200, 200] == [answers[0].status_code, answers[2].status_code]
        assert "too_many_rooms" == answers[1].json()["reason"]


@trial("recordings_per_room_max")
async def _recordings(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"recordings_per_room_max": 1}) as it:
        await it.say("something")
        answers = [await put_spans(it, name, 1) for name in ("first", "second", "first")]
        assert [200, 200] == [answers[0].status_code, answers[2].status_code]
        assert "too_many_recordings" == answers[1].json()["reason"]


@trial("spans")
async def _spans(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await it.say("something")
        for more, status in ((0, 200), (1, 422)):
            assert status == (await put_spans(it, "film", FIXED["spans"] + more)).status_code


@trial("activity_buckets")
async def _activity_buckets(folder: Path) -> None:
    most_ms = FIXED["activity_buckets"] * 1_000
    async with stage(folder, OPEN) as it:
        await it.say("something")
        for more_ms, bucket_ms in ((0, 1_000), (1, 2_000)):
            path = f"/v1/rooms/{ROOM}/activity?bucket_ms=1000&from_ms=0&to_ms={most_ms + more_ms}"
            answer = (await it.get(path)).json()
            assert bucket_ms == answer["bucket_ms"]
            assert len(answer["counts"]) <= FIXED["activity_buckets"]


@trial("moments")
async def _moments(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        for number in range(FIXED["moments"] + 1):
            await it.say(f"why {number}?", ROOM, kind="question")
        it.advance(1)
        assert FIXED["moments"] == len((await it.get(f"/v1/rooms/{ROOM}/activity")).json()["questions"])


@trial("search", "search_words", "search_hits")
async def _search(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await it.say("something")
        for more, status in ((0, 200), (1, 422)):
            for query in (
                f"q={'x' * (FIXED['search'] + more)}",
                f"q={'+'.join('x' * (FIXED['search_words'] + more))}",
                f"q=x&limit={FIXED['search_hits'] + more}",
            ):
                assert status == (await it.get(f"/v1/rooms/{ROOM}/search?{query}")).status_code, query


@trial("finding")
async def _finding(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await it.say("something")
        finder = it.hub.reading.finder
        go_on = threading.Event()
        waiting = [asyncio.create_task(finder.run(go_on.wait)) for _ in range(FIXED["finding"])]
        await asyncio.sleep(0)
        path = f"/v1/rooms/{ROOM}/search?q=something"
        assert 429 == (await it.get(path)).status_code
        go_on.set()
        await asyncio.gather(*waiting)
        assert 200 == (await it.get(path)).status_code


@trial("exports", "exports_per_person", "export_time")
async def _exports(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await it.say("something")
        exporter, path = it.hub.reading.exporter, f"/v1/rooms/{ROOM}/export.ndjson"
        options = ["--format=ndjson"]
        alone = [await exporter.export(ROOM, options, person="teacher") for _ in range(FIXED["exports_per_person"])]
        assert 429 == (await it.get(path, it.token(ROOM, "teacher", "host"))).status_code
        for pieces in alone:
            assert b"something" in b"".join([piece async for piece in pieces])
        running = [await exporter.export(ROOM, options, person=f"host-{n}") for n in range(FIXED["exports"])]
        assert 429 == (await it.get(path, it.token(ROOM, "teacher", "host"))).status_code
        for pieces in running:
            assert b"something" in b"".join([piece async for piece in pieces])
        assert FIXED["export_time"] == exporter.seconds_max
        exporter.seconds_max = 0.01
        with pytest.raises(StorageFailedError):
            await exporter.export(ROOM, options, person="teacher")


@trial("queries", "queries_person", "query_time", "query", "query_rows")
async def _queries(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        for number in range(3):
            await it.say(f"something {number}")
        asker, path = it.hub.reading.asker, f"/v1/rooms/{ROOM}/query"
        assert FIXED["query_time"] == asker.seconds_max

        async def asked(sql: str, who: str, **more: int) -> int:
            return (await it.post(path, {"sql": sql, **more}, it.token(ROOM, who, "host"))).status_code

        together = ["a", "b", "b", "c"]
        statuses = await asyncio.gather(*(asked("SELECT 1", who) for who in together))
        assert FIXED["queries"] == statuses.count(200)
        assert FIXED["queries_person"] == statuses[1:3].count(200)
        assert len(together) - FIXED["queries"] == statuses.count(429)
        for more, status in ((0, 200), (1, 422)):
            assert status == await asked(
                "SELECT 1" + " " * (FIXED["query"] - 8 + more), "a", limit=FIXED["query_rows"] + more
            )
        asker.seconds_max = 0.01
        assert 422 == await asked("SELECT 1", "a")


@trial("clips")
async def _clips(folder: Path) -> None:
    async with stage(folder, OPEN) as it:
        await it.say("something")
        await put_spans(it, "film", 1)
        for more, status in ((0, 200), (1, 422)):
            clips = [{"recording": "film", "position_ms": 0, "duration_ms": 1}] * (FIXED["clips"] + more)
            answer = await it.http.put(
                f"/v1/rooms/{ROOM}/recordings/cut", json={"clips": clips}, headers=staff(it, "host")
            )
            assert status == answer.status_code, answer.text


@trial("heavy_reads_max")
async def _heavy_reads(folder: Path) -> None:
    async with stage(folder, OPEN, limits=FAST | {"heavy_reads_max": 2}) as it:
        gate, lock, inside, most = threading.Event(), threading.Lock(), 0, 0
        read = it.hub.reading._query.messages_page

        def slowly(*args: Any, **kwargs: Any) -> Any:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            gate.wait(10)
            with lock:
                inside -= 1
            return read(*args, **kwargs)

        it.hub.reading._query.messages_page = slowly  # type: ignore[method-assign]
        asked = [asyncio.create_task(it.get(f"/v1/rooms/{ROOM}/messages")) for _ in range(3)]
        async with asyncio.timeout(10):
            while inside < 2:  # noqa: ASYNC110 - it does not know that it is watched
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        gate.set()
        assert [200] * 3 == [answer.status_code for answer in await asyncio.gather(*asked)]
        assert 2 == most


# --- playlists ----------------------------------------------------------------------------------------------------------


@trial("playlist_url")
def _playlist_url(_: Path) -> None:
    for more, is_taken in ((0, True), (1, False)):
        url = "https://x.example/".ljust(FIXED["playlist_url"] + more, "x")
        if is_taken:
            assert url == RoomSettings(playlist_url=url).playlist_url
        else:
            refuses(partial(RoomSettings, playlist_url=url), ValidationError)


@trial("playlist_segments")
def _playlist_segments(_: Path) -> None:
    limit = FIXED["playlist_segments"]
    playlist = parse_playlist(playlist_of(limit))
    assert isinstance(playlist, MediaPlaylist)
    assert limit == len(playlist.segments)
    refuses(lambda: parse_playlist(playlist_of(limit + 1)), PlaylistSyntaxError)


@trial("playlist_line")
def _playlist_line(_: Path) -> None:
    for more in (0, 1):
        uri = "x" * (FIXED["playlist_line"] + more)
        playlist = parse_playlist(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{uri}\n#EXTINF:2,\nnext.ts\n")
        assert isinstance(playlist, MediaPlaylist)
        assert [FIXED["playlist_line"], len("next.ts")] == [len(segment.uri or "") for segment in playlist.segments]


@trial("playlist_bytes_max")
async def _playlist_bytes(_: Path) -> None:
    await fetching.test_size_is_limited_at_the_limit_and_one_beyond()


@trial("playlist_ms_max")
async def _playlist_ms(_: Path) -> None:
    await fetching.test_a_slow_body_ends_at_the_deadline()
    await fetching.test_an_answer_that_may_be_held_back_is_waited_for()


@trial("playlist_redirects_max")
async def _playlist_redirects(_: Path) -> None:
    await fetching.test_a_redirect_is_followed_and_becomes_the_base()
    await fetching.test_a_fourth_redirect_is_too_many()


@trial("playlist_gzip")
async def _playlist_gzip(_: Path) -> None:
    await fetching.test_gzip_is_read()
    await fetching.test_a_gzip_bomb_is_defused()
