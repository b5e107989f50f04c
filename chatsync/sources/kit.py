"""What every connector must keep to, as tests that its author runs against it and a server of its network.

Owns: ``ConnectorContract``, ``Place``, ``KitNetwork``. Does not know: any network. Units: seconds where the event loop wants them.

Write a class of tests that inherits from :class:`ConnectorContract` and says where there is a server; pytest does the rest::

    class TestMine(ConnectorContract):
        source = MINE
        secrets = {"password": "correct horse"}

        def place(self):
            return my_server()  # an async context manager that gives a Place

Each test runs an event loop of its own, so no plugin is needed.
"""

from __future__ import annotations

import asyncio
import random
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.sources.captured import captured
from chatsync.sources.contract import Alive, Connected, Connector, Line, Lost, LostError, Removal, Source, Told

__all__ = ["ConnectorContract", "KitNetwork", "Place"]

_T = TypeVar("_T")

_MANY = 200
_HOSTILE_BYTES = 1 << 20


class Place(Protocol):
    """A server with one chat, as a test holds it."""

    @property
    def url(self) -> str:
        """The chat's address."""
        ...

    async def say(self, name: str, text: str) -> object:
        """Somebody says something there."""
        ...

    async def drop(self) -> None:
        """The server cuts all connections; it can be reached again."""
        ...

    async def hush(self) -> None:
        """The server keeps its connections and is silent from now on. Needed for ``silence``."""
        ...

    async def send(self, data: bytes) -> None:
        """The server sends these very bytes to the connector. Needed for ``bytes``."""
        ...

    async def remove(self, text: str) -> None:
        """The server takes away the message with this text. Needed for ``removal``."""
        ...


class KitNetwork:
    """The network as it is, with a clock that can be put forward, and servers that stand in for named hosts.

    Args:
        hosts: which host and port is which other one, for networks whose address is fixed.
    """

    def __init__(self, hosts: Mapping[tuple[str, int], tuple[str, int]] | None = None) -> None:
        self._hosts = hosts or {}
        self.ahead_us = 0
        self.opened: list[asyncio.StreamWriter] = []

    async def open(self, host: str, port: int, *, tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""
        there = self._hosts.get((host, port))
        try:
            streams = await asyncio.open_connection(*(there or (host, port)), ssl=(tls and there is None) or None)
        except OSError:
            raise LostError("nobody answers there") from None
        self.opened.append(streams[1])
        return streams

    def now_us(self) -> int:
        """The event loop's clock, and how far it was put forward."""
        return round(asyncio.get_running_loop().time() * SECOND_US) + self.ahead_us

    @staticmethod
    def chance() -> float:
        """As it comes."""
        return random.random()  # noqa: S311  for names, not for secrets

    @property
    def is_closed(self) -> bool:
        """Whether every connection that was opened is closed by us."""
        return all(writer.transport.is_closing() for writer in self.opened)


@dataclass(slots=True)
class Trial:
    """What a test has."""

    place: Place
    told: AsyncGenerator[Told, None]
    network: KitNetwork


class ConnectorContract(ABC):
    """The tests. What a server cannot do is left out of :attr:`can`, and with it the test that needs it."""

    source: ClassVar[Source]
    secrets: ClassVar[Mapping[str, str]] = {}
    can: ClassVar[frozenset[str]] = frozenset({"silence", "bytes", "removal"})
    within_s: ClassVar[float] = 20

    @abstractmethod
    def place(self) -> AbstractAsyncContextManager[Place]:
        """A server, for one test."""

    def network(self, place: Place) -> KitNetwork:
        """The network; override it where an address has no host of its own."""
        del place
        return KitNetwork()

    # --- tests ------------------------------------------------------------------------------------------------------

    def test_what_is_said_is_told(self) -> None:
        """Connected first; then who said what, with an id of theirs."""

        async def check(at: Trial) -> None:
            assert isinstance(await anext(at.told), Connected)
            await at.place.say("amina", "hello ünïcode 👋")
            line = await _next(at.told, Line)
            assert line.text == "hello ünïcode 👋"
            assert line.author_id
            assert line.author_name.lower() == "amina"

        self._run(check)

    def test_order_is_kept(self) -> None:
        """Many messages, each once, as they were said."""

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            texts = [f"message {number}" for number in range(_MANY)]
            saying = asyncio.create_task(_say_all(at.place, texts))
            assert texts == [(await _next(at.told, Line)).text for _ in texts]
            await saying

        self._run(check)

    def test_a_person_has_one_id(self) -> None:
        """The same person has the same id after a new connection, another person another one."""

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            ids = []
            for name in ("amina", "bo", "amina"):
                await at.place.say(name, "hi")
                ids.append((await _next(at.told, Line)).author_id)
            async with aclosing(self._connector(at.place).told(at.network)) as again:
                await _next(again, Connected)
                await at.place.say("amina", "hi")
                ids.append((await _next(again, Line)).author_id)
            assert ids[0] == ids[2] == ids[3]
            assert ids[0] != ids[1]

        self._run(check)

    def test_a_lost_connection_is_told(self) -> None:
        """A server that goes ends the connection with the contract's error."""

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            await at.place.drop()
            await _end(at.told)
            assert at.network.is_closed

        self._run(check)

    def test_it_comes_back(self) -> None:
        """Lost once, then connected, and what is said then is told; nothing of before comes a second time."""

        async def check(at: Trial) -> None:
            await at.told.aclose()

            async def rest(pause_us: int) -> None:
                await asyncio.sleep(min(pause_us, SECOND_US // 10) / SECOND_US)

            async with aclosing(captured(self._connector(at.place), at.network, rest=rest)) as happening:
                await _next(happening, Connected)
                await at.place.say("amina", "before")
                assert (await _next(happening, Line)).text == "before"
                await at.place.drop()
                assert (await _next(happening, Lost)).reason
                await _next(happening, Connected)
                await at.place.say("amina", "after")
                assert (await _next(happening, Line)).text == "after"

        self._run(check)

    def test_stopping_closes_the_connection(self) -> None:
        """Whoever does not listen any more leaves nothing open."""

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            await at.told.aclose()
            assert at.network.is_closed

        self._run(check)

    def test_a_quiet_connection_is_alive(self) -> None:
        """Nothing is said for minutes: it stays, and tells signs of life."""

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            for _ in range(2):
                at.network.ahead_us += MINUTE_US
                assert isinstance(await _next(at.told, Alive), Alive)

        self._run(check)

    def test_silence_ends_the_connection(self) -> None:
        """A connection that is open on our side alone is found out by the clock that was handed in, within ten minutes of it."""
        if "silence" not in self.can:
            return

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            await at.place.hush()
            ending = asyncio.create_task(_end(at.told))
            while not ending.done() and at.network.ahead_us < 10 * MINUTE_US:
                at.network.ahead_us += 3 * MINUTE_US
                await asyncio.wait({ending}, timeout=1.2)
            assert ending.done()
            await ending

        self._run(check)

    def test_hostile_bytes_are_lived_through(self) -> None:
        """Noise, and a line that never ends: the connection goes on or ends as the contract says, and nothing else is raised."""
        if "bytes" not in self.can:
            return

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            noise = random.Random(7)  # noqa: S311  the same noise each time
            sending = asyncio.create_task(_send_noise(at.place, noise))
            try:
                while not sending.done():
                    await asyncio.wait_for(anext(at.told), 1)
            except (LostError, TimeoutError, StopAsyncIteration):
                pass
            await asyncio.wait_for(sending, self.within_s)

        self._run(check)

    def test_a_removal_names_what_was_said(self) -> None:
        """By the id of the line, or of its author."""
        if "removal" not in self.can:
            return

        async def check(at: Trial) -> None:
            await _next(at.told, Connected)
            await at.place.say("amina", "oh no")
            line = await _next(at.told, Line)
            await at.place.remove("oh no")
            removal = await _next(at.told, Removal)
            assert removal.line_id == line.id if removal.line_id else removal.author_id == line.author_id

        self._run(check)

    def test_names_are_of_the_documented_form(self) -> None:
        """The source is a short word, and the realm is the same for every connector of an address."""

        async def check(at: Trial) -> None:
            connector = self._connector(at.place)
            assert re.fullmatch(r"[a-z][a-z0-9]{0,15}", connector.source)
            assert connector.realm == self._connector(at.place).realm

        self._run(check)

    def test_secrets_are_not_shown(self) -> None:
        """Neither by the connector nor by the error of an address that carries one."""

        async def check(at: Trial) -> None:
            shown = repr(self._connector(at.place))
            assert not any(value in shown for value in self.secrets.values())
            scheme, _, rest = at.place.url.partition("://")
            refusal = ""
            try:
                self.source.connector(f"{scheme}://somebody:s3cret@{rest}", {})
            except ValueError as error:
                refusal = str(error)
            assert refusal
            assert "s3cret" not in refusal

        self._run(check)

    # --- how they run -----------------------------------------------------------------------------------------------

    def _connector(self, place: Place) -> Connector:
        return self.source.connector(place.url, self.secrets)

    def _run(self, check: Callable[[Trial], Coroutine[Any, Any, None]]) -> None:
        async def work() -> None:
            async with asyncio.timeout(self.within_s), self._trial() as trial:
                await check(trial)

        asyncio.run(work())

    @asynccontextmanager
    async def _trial(self) -> AsyncIterator[Trial]:
        async with self.place() as place:
            network = self.network(place)
            async with aclosing(self._connector(place).told(network)) as told:
                yield Trial(place, told, network)


async def _next(told: AsyncGenerator[Any, None], kind: type[_T]) -> _T:
    """What comes next of a kind; what else comes before is passed over."""
    async for one in told:
        if isinstance(one, kind):
            return one
    raise AssertionError("the connection ended without an error")


async def _end(told: AsyncGenerator[Any, None]) -> None:
    try:
        async for _ in told:
            pass
    except LostError:
        return
    raise AssertionError("the connection ended without an error")


async def _say_all(place: Place, texts: list[str]) -> None:
    for text in texts:
        await place.say("amina", text)


async def _send_noise(place: Place, noise: random.Random) -> None:
    for _ in range(20):
        await place.send(noise.randbytes(2_000) + b"\r\n")
    await place.send(b"x" * _HOSTILE_BYTES + b"\r\n")
