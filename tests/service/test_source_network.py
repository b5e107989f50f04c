"""The network of connectors: which addresses are reached, and that TLS checks the name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chatsync.service.clock import ManualClock
from chatsync.service.source_network import SourceNetwork
from chatsync.sources.contract import LostError
from tests.service.hostile_urls import HOSTILE
from tests.service.tripwire import certificate, resolving, settings
from tests.stage import START_US

CLOCK = ManualClock(wall_us=START_US)


@asynccontextmanager
async def tripwire(tls: object = None) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that notes who came; its port."""
    came: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        came.append("somebody")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], came


async def _refused(network: SourceNetwork, host: str, port: int, *, tls: bool = False) -> LostError:
    with pytest.raises(LostError) as lost:
        await network.open(host, port, tls=tls)
    assert host not in lost.value.reason
    return lost.value


async def test_no_spelling_of_an_inner_address_is_reached() -> None:
    """Whatever way loopback and private addresses are written, nobody comes."""
    async with tripwire() as (port, came):
        network = SourceNetwork(settings(port, hosts=(), origin_ports=(port,)), CLOCK)
        for url in HOSTILE:
            try:
                host = urlsplit(url.format(port=port)).hostname
            except ValueError:
                continue
            if host:
                await _refused(network, host, port)
    assert [] == came


async def test_a_named_address_is_reached_and_a_trap_is_not() -> None:
    """Named by host and port; a name that leads inside and outside is a trap, and what it says the next time does not matter."""
    async with tripwire() as (port, came):
        named = settings(port, hosts=("chat.lan",))
        _, writer = await SourceNetwork(named, CLOCK, resolver=resolving(["127.0.0.1"])).open(
            "chat.lan", port, tls=False
        )
        writer.close()
        trap = resolving(["93.184.216.34", "127.0.0.1"])
        lost = await _refused(SourceNetwork(settings(port, hosts=()), CLOCK, resolver=trap), "chat.example", 6667)
        assert ("the host has no address we may connect to", "long") == (lost.reason, lost.wait)
        await asyncio.sleep(0.01)
    assert ["somebody"] == came


async def test_only_ports_of_chats_and_hosts_on_the_list_are_asked() -> None:
    """Nothing is resolved before that."""

    async def nobody(host: str, port: int) -> list[str]:
        raise AssertionError("it was resolved")

    network = SourceNetwork(settings(1, source_hosts=("chat.example",), origin_ports=(7000,)), CLOCK, resolver=nobody)
    assert "the port is not one that may be asked" == (await _refused(network, "chat.example", 22)).reason
    lost = await _refused(network, "other.example", 6697)
    assert "the host is not on the list of those that may be asked" == lost.reason
    for port in (6667, 6697, 443, 7000):
        with pytest.raises(AssertionError, match="it was resolved"):
            await network.open("chat.example", port, tls=False)


async def test_tls_checks_the_name(tmp_path: Path) -> None:
    """A certificate for another host is none, and is not tried again soon."""
    server, client = certificate(tmp_path, "chat.lan")
    async with tripwire(server) as (port, _):
        allowed = settings(port, hosts=("chat.lan", "other.lan"))
        network = SourceNetwork(allowed, CLOCK, resolver=resolving(["127.0.0.1"]), tls=client)
        _, writer = await network.open("chat.lan", port, tls=True)
        writer.close()
        lost = await _refused(network, "other.lan", port, tls=True)
        assert ("the certificate was not accepted", "long") == (lost.reason, lost.wait)
        lost = await _refused(
            SourceNetwork(allowed, CLOCK, resolver=resolving(["127.0.0.1"])), "chat.lan", port, tls=True
        )
        assert "the certificate was not accepted" == lost.reason


async def test_nobody_there_is_told_and_the_clock_is_the_handed_one() -> None:
    """Of several addresses each is tried."""
    async with tripwire() as (port, _):
        pass
    named = settings(port, hosts=("chat.lan",))
    network = SourceNetwork(named, CLOCK, resolver=resolving(["127.0.0.2", "127.0.0.1"]))
    assert "nobody answers there" == (await _refused(network, "chat.lan", port)).reason
    assert CLOCK.monotonic_us() == network.now_us()
    assert 0 <= network.chance() < 1
