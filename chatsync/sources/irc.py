"""IRC and Twitch's chat: addresses, and a connection that is driven by ``sources.irc_session``.

Owns: ``IrcSource``, ``TwitchSource`` and their connector. Does not know: what lines mean, when to try again. Units: µs of monotonic time.
Source: draft-butcher-irc-url; RFC 7194 (port 6697); Twitch's chat reference.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

from chatsync.instants import SECOND_US
from chatsync.sources.contract import LostError, Network, Told
from chatsync.sources.irc_session import IrcLines, IrcSession, Login
from chatsync.transfer.irc_lines import CHANNEL_MARKS

__all__ = ["CHUNK_BYTES", "CHUNK_PAUSE_S", "IRC", "TWITCH", "IrcConnector", "IrcSource", "TwitchSource"]

_PORT, _TLS_PORT = 6667, 6697
_TWITCH_HOST = "irc.chat.twitch.tv"
CHUNK_BYTES = 16 * 1024  # lines of two bytes: ~15 ms of work at once
CHUNK_PAUSE_S = 0.05  # when there is more: whatever a server sends leaves the event loop most of its time
_SEND_S_MAX = 10
_TURN_S = 1.0  # the handed clock is asked at least so often, whatever the event loop's own does

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45}").fullmatch
_CHANNEL = re.compile(r"[^\x00-\x20\x7f-\x9f,:]{1,199}").fullmatch
_TWITCH_CHANNEL = re.compile(r"[A-Za-z0-9_]{1,25}").fullmatch
_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]{0,29}").fullmatch
_SECRET = re.compile(r"[^\x00-\x20\x7f-\x9f]{1,400}").fullmatch
_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})
_SECRETS = frozenset({"nick", "password", "account", "account_password", "key"})


class IrcConnector:
    """A channel of a server.

    Args:
        host: a name or an address.
        port: its.
        tls: whether the connection is encrypted.
        channel: with its mark.
        login: who we are; a nickname of ours gets digits nobody else has.
        is_twitch: whether the server is Twitch's.
    """

    def __init__(self, host: str, port: int, channel: str, login: Login, *, tls: bool, is_twitch: bool = False) -> None:
        self.source = "twitch" if is_twitch else "irc"
        self.realm = "" if is_twitch else host.lower()
        self._host, self._port, self._tls = host, port, tls
        self._channel, self._login, self._is_twitch = channel, login, is_twitch

    def __repr__(self) -> str:
        return f"IrcConnector({self._host}:{self._port}, {self._channel})"

    async def told(self, network: Network) -> AsyncGenerator[Told, None]:
        """One connection, as the contract says."""
        login = self._login if self._login.nick else _nameless(self._login, network, is_twitch=self._is_twitch)
        reader, writer = await network.open(self._host, self._port, tls=self._tls)
        lines = IrcLines()
        try:
            session = IrcSession(
                self._channel, login, is_twitch=self._is_twitch, chance=network.chance, now_us=network.now_us()
            )
            while True:
                await _send(writer, session.lines_to_send())
                data = await _received(reader, (session.wake_at_us() - network.now_us()) / SECOND_US)
                now_us = network.now_us()
                if data is None:
                    session.receive_time(now_us)
                for line in lines.fed(data or b""):
                    told = session.receive_line(line, now_us)
                    if told is not None:
                        yield told
                    if session.lost is not None:
                        break
                if session.lost is not None:
                    raise session.lost
                if data is not None and len(data) >= CHUNK_BYTES // 2:
                    await asyncio.sleep(CHUNK_PAUSE_S)
        finally:
            writer.transport.abort()  # a server that takes nothing must not keep us


def _nameless(login: Login, network: Network, *, is_twitch: bool) -> Login:
    digits = int(network.chance() * 100_000)
    nick = f"justinfan{digits:05}" if is_twitch else f"cs{digits:05}"  # names of readers without an account, at Twitch
    return Login(nick, login.password, login.account, login.account_password, login.key)


async def _send(writer: asyncio.StreamWriter, lines: list[str]) -> None:
    if not lines:
        return
    try:
        writer.write("".join(f"{line}\r\n" for line in lines).encode())
        async with asyncio.timeout(_SEND_S_MAX):
            await writer.drain()
    except TimeoutError:
        raise LostError("the server takes nothing any more") from None
    except (OSError, ssl.SSLError):
        raise LostError("the connection broke") from None


async def _received(reader: asyncio.StreamReader, within_s: float) -> bytes | None:
    """What came, or None if nothing did."""
    data: bytes | None = None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(within_s, 0.0), _TURN_S)):
                data = await reader.read(CHUNK_BYTES)
    except (OSError, ssl.SSLError):
        raise LostError("the connection broke") from None
    if data == b"":
        raise LostError("the server closed the connection")
    return data


class IrcSource:
    """``irc://host/channel`` and ``ircs://host/channel``, the latter with TLS."""

    schemes = ("irc", "ircs")

    def connector(self, url: str, secrets: Mapping[str, str]) -> IrcConnector:
        """The connector of an address; ``?nick=`` names us, else we have a name that nobody has.

        Args:
            url: the channel stands in the path or behind ``#``; without a mark it is one of ``#``.
            secrets: ``nick``, ``password`` (the server's), ``account`` and ``account_password`` (SASL), ``key`` (the channel's).

        Raises:
            ValueError: it is no such address, or a secret is wrong or would travel in the open.
        """
        parts = urlsplit(url)
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("the address has no valid port") from None
        if "@" in parts.netloc:
            raise ValueError("the address carries a user name or password; use the secret file")
        channel = unquote(parts.path.removeprefix("/")) or parts.fragment
        if channel and not channel.startswith(tuple(CHANNEL_MARKS)):
            channel = "#" + channel
        if not _HOST(host) or port == 0 or not _CHANNEL(channel):
            raise ValueError("an address is irc://host/channel or ircs://host/channel")
        is_tls = parts.scheme == "ircs"
        query = parse_qs(parts.query)
        if query.keys() - {"nick"}:
            raise ValueError("an address has no other parameter than nick")
        login = _login(secrets, query.get("nick", [""])[0])
        if not is_tls and host not in _LOCAL and (login.password or login.account_password or login.key):
            raise ValueError("secrets do not travel without TLS; use ircs://")
        return IrcConnector(host, port or (_TLS_PORT if is_tls else _PORT), channel, login, tls=is_tls)


class TwitchSource:
    """``twitch://channel``: over IRC with TLS, read without an account unless the secret file has one."""

    schemes = ("twitch",)

    def connector(self, url: str, secrets: Mapping[str, str]) -> IrcConnector:
        """The connector of a channel.

        Args:
            url: ``twitch://name``.
            secrets: none, or ``nick`` and ``password``, which is ``oauth:`` and a token.

        Raises:
            ValueError: it is no such address, or a secret is wrong.
        """
        scheme, _, rest = url.partition(":")
        name = rest.removeprefix("//").rstrip("/")
        if scheme != "twitch" or not _TWITCH_CHANNEL(name):
            raise ValueError("an address is twitch://channel")
        login = _login(secrets, "")
        if bool(login.nick) != bool(login.password) or login.account or login.key:
            raise ValueError("the secrets of Twitch are nick and password, which is oauth: and a token")
        return IrcConnector(_TWITCH_HOST, _TLS_PORT, f"#{name.lower()}", login, tls=True, is_twitch=True)


def _login(secrets: Mapping[str, str], nick: str) -> Login:
    if unknown := sorted(secrets.keys() - _SECRETS):
        raise ValueError(f"the secret file names {len(unknown)} things that are none of {', '.join(sorted(_SECRETS))}")
    login = Login(
        secrets.get("nick", nick),
        secrets.get("password", ""),
        secrets.get("account", ""),
        secrets.get("account_password", ""),
        secrets.get("key", ""),
    )
    if login.nick and not _NICK(login.nick):
        raise ValueError("nick is no nickname")
    if bool(login.account) != bool(login.account_password):
        raise ValueError("account and account_password need each other")
    for name in sorted(_SECRETS - {"nick"}):
        if (value := getattr(login, name)) and not _SECRET(value):
            raise ValueError(f"{name} holds spaces or control characters, or is too long")
    return login


IRC = IrcSource()
TWITCH = TwitchSource()
