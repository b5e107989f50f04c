"""The connector of IRC and Twitch against a real ngircd and a scripted server: the contract, addresses, secrets, capabilities."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import ClassVar

import pydle
import pytest

from chatsync.sources.contract import Connected, Line, LostError, Removal, Told
from chatsync.sources.irc import IRC, TWITCH
from chatsync.sources.kit import ConnectorContract, KitNetwork
from tests.irc_servers import Ngircd, ScriptedServer, ngircd, scripted


class TestWithNgircd(ConnectorContract):
    """The contract, with a real server that asks for a password. It is stopped for silence, and killed to be lost."""

    source = IRC
    secrets: ClassVar[Mapping[str, str]] = {"password": "correcthorse"}
    can = frozenset({"silence"})

    def place(self) -> AbstractAsyncContextManager[Ngircd]:
        """A server of its own for each test."""
        return ngircd("correcthorse")


class TestWithAScriptedServer(ConnectorContract):
    """The contract, with a server that has Twitch's tags and sends whatever it is told to."""

    source = IRC

    def place(self) -> AbstractAsyncContextManager[ScriptedServer]:
        """A server of its own for each test."""
        return scripted()


async def _told(told: AsyncGenerator[Told, None], kind: type[Told]) -> Told:
    return await anext(one async for one in told if isinstance(one, kind))


async def test_what_an_independent_client_says_arrives() -> None:
    """Of another implementation of the protocol, over a real server, actions included."""
    async with ngircd() as server:
        speaker = pydle.Client("speaker", realname="speaker")
        async with aclosing(IRC.connector(server.url, {}).told(KitNetwork())) as told:
            await _told(told, Connected)
            await speaker.connect("127.0.0.1", server.port)
            await server.command("watcher", "PING x")
            while speaker.nickname != "speaker":
                await _pause()
            await speaker.join("#class")
            while not speaker.in_channel("#class"):
                await _pause()
            await speaker.message("#class", "why is it negative?")
            await speaker.ctcp("#class", "ACTION", "waves")
            lines = [await _told(told, Line) for _ in range(2)]
        await speaker.disconnect()
    assert [("speaker", "why is it negative?"), ("speaker", "waves")] == [
        (line.author_id, line.text) for line in lines if isinstance(line, Line)
    ]


async def _pause() -> None:
    import asyncio

    await asyncio.sleep(0.01)


async def test_a_wrong_password_is_told_by_a_real_server() -> None:
    """Nothing is tried again soon."""
    async with ngircd("right") as server:
        told = IRC.connector(server.url, {"password": "wrong"}).told(KitNetwork())
        with pytest.raises(LostError) as lost:
            await _told(told, Connected)
    assert lost.value.reason in {"the password was not accepted", "the server closed the connection"}


async def test_who_is_sent_out_of_a_channel_is_told() -> None:
    """A real KICK by the channel's operator ends the connection."""
    async with ngircd() as server:
        await server.command("boss", "JOIN #other")
        url = server.url.replace("/class", "/other") + "?nick=reader"
        async with aclosing(IRC.connector(url, {}).told(KitNetwork())) as told:
            await _told(told, Connected)
            await server.command("boss", "KICK #other reader :bye")
            with pytest.raises(LostError, match="sent out of the channel"):
                await _told(told, Line)


async def test_a_nickname_in_use_is_changed() -> None:
    """Somebody has it already: ours gets digits."""
    async with ngircd() as server:
        await server.say("reader", "that is me")
        async with aclosing(IRC.connector(server.url + "?nick=reader", {}).told(KitNetwork())) as told:
            assert isinstance(await _told(told, Connected), Connected)


async def test_removals_of_twitch_are_told_in_order() -> None:
    """One message, one person, everything; who looks at a CLEARMSG finds the line of before."""
    async with scripted() as server, aclosing(IRC.connector(server.url, {}).told(KitNetwork())) as told:
        await _told(told, Connected)
        line_id = await server.say("amina", "oh no", badges="broadcaster/1")
        await server.remove("oh no")
        await server.clear("amina")
        await server.clear()
        line = await _told(told, Line)
        removals = [await _told(told, Removal) for _ in range(3)]
    assert isinstance(line, Line)
    assert (line_id, ("broadcaster",)) == (line.id, line.badges)
    assert [Removal(line_id=line_id), Removal(author_id=line.author_id), Removal()] == removals


async def test_twitch_by_name_is_read_without_an_account() -> None:
    """Its host, TLS, a nameless reader, tags asked for at once."""
    async with scripted() as server:
        connector = TWITCH.connector("twitch://ProfLinear", {})
        network = KitNetwork({("irc.chat.twitch.tv", 6697): ("127.0.0.1", server.port)})
        async with aclosing(connector.told(network)) as told:
            await _told(told, Connected)
    assert "CAP REQ :twitch.tv/tags twitch.tv/commands" == server.lines[0]
    assert server.lines[1].startswith("NICK justinfan")
    assert "JOIN #proflinear" == server.lines[-1]
    assert ("twitch", "") == (connector.source, connector.realm)


async def test_a_token_of_twitch_is_sent_before_the_name() -> None:
    """From the secret file, never from the address."""
    async with scripted() as server:
        connector = TWITCH.connector("twitch://proflinear", {"nick": "readerbot", "password": "oauth:abc"})
        network = KitNetwork({("irc.chat.twitch.tv", 6697): ("127.0.0.1", server.port)})
        async with aclosing(connector.told(network)) as told:
            await _told(told, Connected)
    assert ["PASS oauth:abc", "NICK readerbot"] == server.lines[1:3]
    assert "abc" not in repr(connector)


async def test_a_token_that_is_refused_is_told() -> None:
    """As Twitch says it: a notice before anything else."""
    async with scripted() as server:
        server.refuses = ":tmi.twitch.tv NOTICE * :Login authentication failed"
        network = KitNetwork({("irc.chat.twitch.tv", 6697): ("127.0.0.1", server.port)})
        told = TWITCH.connector("twitch://proflinear", {"nick": "readerbot", "password": "oauth:abc"}).told(network)
        with pytest.raises(LostError, match="password was not accepted") as lost:
            await _told(told, Connected)
    assert "long" == lost.value.wait


async def test_nobody_there_is_told() -> None:
    """A port on which nobody listens."""
    async with scripted() as server:
        url = server.url
    with pytest.raises(LostError):
        await _told(IRC.connector(url, {}).told(KitNetwork()), Connected)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("irc://irc.example/class", "IrcConnector(irc.example:6667, #class)"),
        ("ircs://irc.example/#class", "IrcConnector(irc.example:6697, #class)"),
        ("ircs://irc.example:7000/%23class?nick=reader", "IrcConnector(irc.example:7000, #class)"),
        ("irc://[::1]/&local", "IrcConnector(::1:6667, &local)"),
    ],
)
def test_addresses_are_read(url: str, expected: str) -> None:
    """The channel with or without its mark, in the path or behind it."""
    assert expected == repr(IRC.connector(url, {}))


@pytest.mark.parametrize(
    "url",
    [
        "irc://irc.example",
        "irc://irc.example/",
        "irc:///class",
        "irc://irc.example:0/class",
        "irc://irc.example:99999/class",
        "irc://a:b@irc.example/class",
        "irc://irc.example/a,b",
        "irc://irc.example/a%20b",
        "irc://irc.example/a%0d%0aQUIT",
        "irc://irc.example/class?key=secret",
        "irc://irc.example/class?nick=a%0d%0aQUIT",
        "irc://-/class",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """Nothing in an address becomes a line of its own, and no secret stands in one."""
    with pytest.raises(ValueError, match=r".") as refused:
        IRC.connector(url, {})
    assert "secret" not in str(refused.value).replace("secret file", "")


@pytest.mark.parametrize("url", ["twitch://", "twitch://a/b", "twitch://a b", "twitch://a:b@c", "https://twitch.tv/a"])
def test_other_addresses_of_twitch_are_refused(url: str) -> None:
    """A name of a channel, and nothing else."""
    with pytest.raises(ValueError, match="twitch://channel"):
        TWITCH.connector(url, {})


@pytest.mark.parametrize(
    "secrets",
    [
        {"nick": "a b"},
        {"password": "a\r\nQUIT"},
        {"account": "a"},
        {"token": "x"},
        {"password": "x"},
    ],
)
def test_secrets_that_are_wrong_or_would_be_seen_are_refused(secrets: dict[str, str]) -> None:
    """Unknown, half, with a line break, or on their way without TLS."""
    with pytest.raises(ValueError, match=r"nick|secret|account|password"):
        IRC.connector("irc://irc.example/class", secrets)
