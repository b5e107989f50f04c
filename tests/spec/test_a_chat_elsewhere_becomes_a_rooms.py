"""A relay takes in a chat from elsewhere: viewers have it, deletions reach them, and a crash costs nothing but a gap that is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.irc_servers import Ngircd, ScriptedServer, ngircd, scripted
from tests.relay import Relay, connected, token


def _relay(folder: Path, *servers: ScriptedServer | Ngircd, **source: Any) -> Relay:
    """A relay with a room for each server: ``class``, ``class2``."""
    rooms = {
        f"class{number or ''}": {"public": True, "source.url": server.url}
        for number, server in zip((0, 2), servers, strict=False)
    }
    rooms[list(rooms)[-1]] |= {f"source.{name}": value for name, value in source.items()}
    return Relay(folder, rooms, loopback_origins=[f"127.0.0.1:{server.port}" for server in servers])


def _texts(relay: Relay, room: str = "class") -> list[str]:
    answer = relay.get(f"/v1/rooms/{room}/messages?limit=5000")
    return [one["text"] for one in answer.json()["messages"] if one["kind"] == "message"]


def _gaps(relay: Relay, room: str = "class") -> list[dict[str, Any]]:
    gaps: list[dict[str, Any]] = relay.get(f"/v1/rooms/{room}/chat.json").json()["gaps"]
    return gaps


async def _until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  it is another process that changes
            await asyncio.sleep(0.05)


@pytest.mark.faults
async def test_a_killed_relay_loses_and_doubles_nothing_but_a_gap(tmp_path: Path) -> None:
    """Killed in the middle of what is said: all that viewers were told is there once, and the gap covers what nobody listened to."""
    async with scripted() as server:
        with _relay(tmp_path, server) as relay:
            await server.joined()
            async with connected(relay, "class") as viewer:
                await viewer.hello(token("class", "v"))
                for number in range(300):
                    await server.say("amina", f"message {number}", id=str(number))
                await viewer.until(lambda: len([one for one in viewer.events if one["kind"] == "message"]) >= 200)
                relay.kill()
                seen = [one["text"] for one in viewer.events if one["kind"] == "message"]
            relay.start()
            await server.joined()
            for number in range(290, 310):  # some again, as a network that plays back the last ones does
                await server.say("amina", f"message {number}", id=str(number))
            await _until(lambda: "message 309" in _texts(relay))
            texts = _texts(relay)
            assert len(texts) == len(set(texts))
            assert set(seen) <= set(texts)
            assert [f"message {number}" for number in range(290, 310)] == texts[-20:]
            [gap] = _gaps(relay)
            assert "capture" == gap["reason"]
            assert gap["end_ms"] > gap["start_ms"]


async def test_viewers_have_what_is_said_and_lose_what_is_deleted(tmp_path: Path) -> None:
    """Live, by the room's own frames, of a scripted Twitch and of a real ngircd whose password is in a file and nowhere in the log."""
    secret = tmp_path / "secret"
    secret.write_text("password: correcthorse\nnick: reader\n")
    secret.chmod(0o600)
    async with scripted() as server, ngircd("correcthorse") as real:
        with _relay(tmp_path / "relay", server, real, secret_file=str(secret)) as relay:
            await server.joined()
            async with connected(relay, "class") as viewer:
                await viewer.hello(token("class", "v"))
                await server.say("amina", "oh no")
                await server.say("bo", "fine", badges="moderator/1")
                await viewer.until(lambda: len([one for one in viewer.events if one["kind"] == "message"]) == 2)
                first, second = [one for one in viewer.events if one["kind"] == "message"]
                assert ("participant", ["irc", "moderator"]) == (second["author"]["role"], second["author"]["badges"])
                await server.remove("oh no")
                await viewer.until(lambda: viewer.gone == [first["offset"]])
                await server.drop()
                await server.joined()
                await viewer.until(lambda: any(one["kind"] == "capture_gap" for one in viewer.events))
            assert ["fine"] == _texts(relay)
            await _until(lambda: 'chatsync_source_connected{room="class2"} 1.0' in relay.get("/metrics").text)
            await real.say("amina", "salve, Olten! 👋")
            await _until(lambda: _texts(relay, "class2") == ["salve, Olten! 👋"])
            await real.drop()
            await _until(lambda: len(_gaps(relay, "class2")) == 1)
            await _until(lambda: 'chatsync_source_connected{room="class2"} 1.0' in relay.get("/metrics").text)
            await real.say("amina", "back again")
            await _until(lambda: len(_texts(relay, "class2")) == 2)
            log = relay.log.read_text()
            assert not any(word in log for word in ("correcthorse", server.url, real.url, "fine", "Olten"))
