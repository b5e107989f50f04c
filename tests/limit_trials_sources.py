"""Trials of the limits on chats elsewhere. Imported for what it registers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from chatsync.service.clock import ManualClock
from chatsync.service.source_network import SourceNetwork
from chatsync.sources.contract import Line, LostError
from chatsync.sources.irc import IRC
from chatsync.sources.irc_session import IrcLines
from chatsync.sources.kit import KitNetwork
from tests.irc_servers import scripted
from tests.limit_trials import FIXED, trial
from tests.service import test_capturing as captured
from tests.service.tripwire import settings
from tests.stage import START_US


@trial("source_lines_per_s", "source_lines_burst")
async def _rate(folder: Path) -> None:
    limits = {"source_lines_per_s": 2, "source_lines_burst": 3}
    async with scripted() as server, captured.capturing(folder, server, limits=limits) as it:
        for number in range(4):
            await server.say("amina", f"at once {number}")
        await captured.taken(it, 3)
        await captured.until(lambda: b'outcome="too_many",room="class"} 1.0' in it.hub.metrics.exposition())
        it.advance(0.5)
        await server.say("amina", "the next one")
        await server.say("amina", "one over")
        await captured.until(lambda: b'outcome="too_many",room="class"} 2.0' in it.hub.metrics.exposition())
        await captured.taken(it, 4)
        assert ["at once 0", "at once 1", "at once 2", "the next one"] == captured.texts(it)


@trial("source_pace")
async def _pace(_: Path) -> None:
    async with scripted() as server, aclosing(IRC.connector(server.url, {}).told(KitNetwork())) as told:
        await anext(told)
        began_s = asyncio.get_running_loop().time()
        flood = b"PING x\r\n" * (FIXED["source_pace"] * 1_024 // 4 // 8)  # of a quarter of a second
        sending = asyncio.create_task(server.send(flood + b":a!b@c PRIVMSG #proflinear :at last\r\n"))
        async for one in told:
            if isinstance(one, Line):
                break
        await sending
        assert asyncio.get_running_loop().time() - began_s >= 0.2


@trial("source_line")
def _line(_: Path) -> None:
    longest = b"x" * FIXED["source_line"]
    assert [longest, None] == list(IrcLines().fed(longest + b"\n" + longest + b"x\n"))


@trial("source_known")
async def _known(folder: Path) -> None:
    count = FIXED["source_known"]
    async with scripted() as server, captured.capturing(folder, server) as it:
        for number in range(2):
            await server.say("amina", f"message {number}", id=str(number))
        first, second = await captured.taken(it, 2)
        capturing = it.hub.room("class").capturing
        assert capturing is not None
        for number in range(count - 1):
            capturing._remember(msgspec.structs.replace(second, id=f"irc:of others {number}", offset=10_000 + number))
        assert count == len(capturing._known)
        await server.remove("message 0")
        await server.remove("message 1")
        await captured.until(lambda: captured.events(it, "hidden"))
        assert [second.offset] == [one.target for one in captured.events(it, "hidden")]
        assert first.offset != second.offset


@trial("source_waiting")
async def _waiting(folder: Path) -> None:
    count = FIXED["source_waiting"]
    async with scripted() as server, captured.capturing(folder, server) as it:
        capturing = it.hub.room("class").capturing
        assert capturing is not None
        release = asyncio.Event()
        loop = asyncio.get_running_loop()
        held = it.hub.writer.call(lambda _: asyncio.run_coroutine_threadsafe(release.wait(), loop).result() and None)
        for number in range(count + 20):
            await server.say("amina", f"message {number}")
        await captured.until(lambda: len(capturing._waiting) == count)
        await asyncio.sleep(0.1)
        assert count == len(capturing._waiting)
        release.set()
        await asyncio.wrap_future(held)
        await captured.taken(it, count + 20)


@trial("source_connect")
async def _connect(_: Path) -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    clock = ManualClock(wall_us=START_US)
    assert FIXED["source_connect"] == SourceNetwork(settings(6667), clock)._connect_s
    network = SourceNetwork(settings(6667), clock, resolver=never, connect_s=0.2)
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(LostError, match="nobody answers there"):
        await network.open("irc.example", 6667, tls=False)
    assert 0.2 <= asyncio.get_running_loop().time() - began_s < 5
