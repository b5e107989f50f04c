"""IRC servers for tests: Debian's ngircd as it is, and one that is scripted, for what only Twitch's server sends.

Owns: both as places of the contract's kit (``chatsync.sources.kit.Place``). Does not know: our connector.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.relay import free_port

__all__ = ["Ngircd", "ScriptedServer", "ngircd", "scripted"]

_CONFIG = """[Global]
Name = irc.test
Info = for tests
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
ServerUID = {uid}
ServerGID = {gid}
{password}
[Limits]
MaxConnectionsIP = 0
MaxPenaltyTime = 0
MaxNickLength = 20
[Options]
DNS = no
Ident = no
PAM = no
[Channel]
Name = #class
Modes = nt
"""


class Ngircd:
    """A real ngircd with a channel ``#class``. ``password``: what the server asks for."""

    def __init__(self, folder: Path, binary: str, password: str) -> None:
        self.port = free_port()
        self.url = f"irc://127.0.0.1:{self.port}/class"
        self._binary, self._file, self._password = binary, folder / "ngircd.conf", password
        line = f"Password = {password}" if password else ""
        self._file.write_text(_CONFIG.format(port=self.port, password=line, uid=os.getuid(), gid=os.getgid()))
        self._file.chmod(0o600)
        self._process: asyncio.subprocess.Process | None = None
        self._speakers: dict[str, asyncio.StreamWriter] = {}
        self._reading: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        quiet = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            self._binary, "-n", "-f", str(self._file), stdin=quiet, stdout=quiet, stderr=quiet
        )
        for _ in range(200):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise AssertionError("ngircd did not start")

    async def stop(self) -> None:
        """End it at once: its connections are cut."""
        for writer in self._speakers.values():
            writer.transport.abort()
        for task in self._reading:
            task.cancel()
        self._speakers.clear()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def say(self, name: str, text: str) -> None:
        """Somebody with a connection of their own says something."""
        writer = self._speakers.get(name) or await self._come(name)
        writer.write(f"PRIVMSG #class :{text}\r\n".encode())
        await writer.drain()

    async def command(self, name: str, line: str) -> None:
        """Somebody sends another command."""
        writer = self._speakers.get(name) or await self._come(name)
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    async def _come(self, name: str) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        login = f"PASS {self._password}\r\n" if self._password else ""
        writer.write(f"{login}NICK {name}\r\nUSER {name} 0 * :{name}\r\nJOIN #class\r\n".encode())
        while b" 366 " not in await reader.readline():
            pass
        task = asyncio.create_task(_answer(reader, writer))
        self._reading.add(task)
        self._speakers[name] = writer
        return writer

    async def drop(self) -> None:
        """End it and start it again."""
        await self.stop()
        await self.start()

    async def hush(self) -> None:
        """Stop the process as it stands: its sockets stay open, and nobody is behind them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def send(self, data: bytes) -> None:
        """It sends what it wants, not what we want."""
        raise AssertionError(f"ngircd cannot be told to send {data!r}")

    async def remove(self, text: str) -> None:
        """Nothing is taken away on IRC."""
        raise AssertionError(f"what was said on IRC stays said: {text}")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        if line.startswith(b"PING"):
            writer.write(b"PONG" + line[4:])


@asynccontextmanager
async def ngircd(password: str = "") -> AsyncIterator[Ngircd]:
    """A running ngircd; without one on this machine the test is skipped, which the continuous integration does not let pass."""
    binary = shutil.which("ngircd") or shutil.which("ngircd", path="/usr/sbin")
    if binary is None:
        if os.environ.get("CI") == "true":
            raise AssertionError("no ngircd, and CI=true lets nothing be left out (make servers)")
        pytest.skip("no ngircd (make servers)")
    with tempfile.TemporaryDirectory(prefix="chatsync-ngircd-") as folder:
        server = Ngircd(Path(folder), binary, password)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


class ScriptedServer:
    """As much of Twitch's server as a reader meets, and whatever else a test wants it to send.

    Attributes:
        url: of its channel.
        lines: what connectors have sent.
        connections: how many have come.
        sent_ms: the ``tmi-sent-ts`` of what is said; None: none.
    """

    def __init__(self) -> None:
        self.url = ""
        self.lines: list[str] = []
        self.connections = 0
        self.sent_ms: int | None = None
        self.refuses = ""  # a line that is the answer to NICK; then the connection is closed
        self._server: asyncio.Server | None = None
        self._there: set[asyncio.StreamWriter] = set()
        self._joined: set[asyncio.StreamWriter] = set()
        self._silent = False
        self._number = 0
        self._ids: dict[str, str] = {}
        self._changed = asyncio.Event()

    async def start(self, port: int = 0) -> None:
        """Listen; on the same port as before if it is named."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"irc://127.0.0.1:{self.port}/proflinear"

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        await self.drop()

    async def joined(self, count: int = 1) -> None:
        """Wait until so many connectors are in the channel."""
        async with asyncio.timeout(20):
            while len(self._joined) < count:
                self._changed.clear()
                await self._changed.wait()

    async def said(self, line: str) -> None:
        """Wait until a connector has sent a line."""
        async with asyncio.timeout(20):
            while line not in self.lines:
                self._changed.clear()
                await self._changed.wait()

    async def say(self, name: str, text: str, **tags: str) -> str:
        """Somebody says something; the id of it."""
        self._number += 1
        line_id = tags.pop("id", f"00000000-0000-4000-8000-{self._number:012}")
        self._ids[text] = line_id
        given = {"display-name": name.capitalize(), "id": line_id, "user-id": str(7_000 + sum(name.encode()))}
        if self.sent_ms is not None:
            given["tmi-sent-ts"] = str(self.sent_ms)
        given |= {tag.replace("_", "-"): value for tag, value in tags.items()}
        written = ";".join(f"{tag}={value}" for tag, value in given.items())
        await self.send_line(f"@{written} :{name}!{name}@{name}.tmi.twitch.tv PRIVMSG #proflinear :{text}")
        return line_id

    async def remove(self, text: str) -> None:
        """A moderator takes one message away."""
        await self.send_line(f"@login=x;target-msg-id={self._ids[text]} :tmi.twitch.tv CLEARMSG #proflinear :{text}")

    async def clear(self, name: str | None = None) -> None:
        """A moderator takes away all that somebody said, or everything."""
        if name is None:
            await self.send_line(":tmi.twitch.tv CLEARCHAT #proflinear")
        else:
            who = 7_000 + sum(name.encode())
            await self.send_line(f"@ban-duration=600;target-user-id={who} :tmi.twitch.tv CLEARCHAT #proflinear :{name}")

    async def send_line(self, line: str) -> None:
        """To everyone in the channel."""
        await self.send(line.encode() + b"\r\n")

    async def send(self, data: bytes) -> None:
        """The same, as bytes."""
        for writer in tuple(self._joined):
            with suppress(OSError):
                writer.write(data)
                await writer.drain()

    async def drop(self) -> None:
        """Cut all connections."""
        for writer in tuple(self._there):
            writer.transport.abort()
        self._joined.clear()

    async def hush(self) -> None:
        """Answer nothing any more."""
        self._silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._there.add(writer)
        self.connections += 1
        try:
            while raw := await reader.readline():
                line = raw.decode().strip()
                self.lines.append(line)
                if not self._silent:
                    for answer in self._answers(line, writer):
                        writer.write(answer.encode() + b"\r\n")
                self._changed.set()
        except OSError:
            pass
        finally:
            self._there.discard(writer)
            self._joined.discard(writer)
            writer.close()

    def _answers(self, line: str, writer: asyncio.StreamWriter) -> list[str]:
        command, _, rest = line.partition(" ")
        match command:
            case "CAP" if rest.startswith("LS"):
                return [":tmi.twitch.tv CAP * LS :twitch.tv/commands twitch.tv/membership twitch.tv/tags"]
            case "CAP" if rest.startswith("REQ"):
                return [f":tmi.twitch.tv CAP * ACK {rest[4:]}"]
            case "NICK" if self.refuses:
                return [self.refuses]
            case "NICK":
                return [f":tmi.twitch.tv 001 {rest} :Welcome, GLHF!"]
            case "JOIN":
                nick = next(one[5:] for one in reversed(self.lines) if one.startswith("NICK "))
                self._joined.add(writer)
                return [f":{nick}!{nick}@{nick}.tmi.twitch.tv JOIN {rest}", f":t 366 {nick} {rest} :End of /NAMES list"]
            case "PING":
                return [f":tmi.twitch.tv PONG tmi.twitch.tv {rest}"]
        return []


@asynccontextmanager
async def scripted() -> AsyncIterator[ScriptedServer]:
    """A scripted server that is running."""
    server = ScriptedServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
