"""What a connector of a live chat elsewhere is: what it is told, what it tells, and what it must do.

Owns: ``Source``, ``Connector``, ``Network``, what happens on a connection, ``LostError``, ``Lost``, ``Pauses``. Does not know: any network, rooms,
clocks: the time is asked of ``Network.now_us``. Units: µs; program time of a line is the source's own clock.

A **source** knows addresses of one kind and makes connectors. A **connector** holds one connection at a time: :meth:`Connector.told` is
that connection, from opening to its end. It neither waits nor tries again: whoever drives it does (``sources.captured``), the same for
all networks. What it must keep to, and what ``sources.kit`` tests of any of them:

- :class:`Connected` comes once, when whatever is said from here on is told; then lines in the order in which they were said.
- Ids, names and texts are the source's own, as they are: whoever takes them cleans them. An id is empty rather than made up.
- A quiet connection asks for a sign of life every half minute or so and tells it as :class:`Alive`: until then is known what was said.
- A connection ends with :class:`LostError` and nothing else, whatever the other side sends; one that is silent for long has ended too.
- Memory is bounded: what is longer than the network allows is left out, and told as ``Left``.
- Closing the iterator closes the connection. Nothing waits for the other side for ever.
- Secrets are in no address, no error and no ``repr``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from chatsync.instants import SECOND_US
from chatsync.transfer.line import Left, Line, Removal

__all__ = [
    "Alive",
    "Connected",
    "Connector",
    "Happened",
    "Left",
    "Line",
    "Lost",
    "LostError",
    "Network",
    "Pauses",
    "Removal",
    "Source",
    "Told",
    "Wait",
]

Wait = Literal["soon", "usual", "long"]
"""How long to wait before the next try: the other side asked for it; nothing is known; it has refused us, and will again."""


class Connected(msgspec.Struct, frozen=True, gc=False):
    """From here on whatever is said is told."""


class Alive(msgspec.Struct, frozen=True, gc=False):
    """Nothing was said, and the other side is there: a sign of life that was asked for."""


class Lost(msgspec.Struct, frozen=True, gc=False):
    """The connection is gone, or was never made: things are said that nobody tells us."""

    reason: str  # in words of ours: nothing that came from outside
    silent_us: int = 0  # for so long nothing was heard: the connection may have been gone by then


Told = Line | Removal | Left | Connected | Alive
"""What a connection tells."""

Happened = Told | Lost
"""What happens to a captured chat, one connection after the other."""


class LostError(Exception):
    """Why a connection ended. The reason holds nothing that came from outside.

    Args:
        reason: a sentence's end, for people who run the room.
        wait: before the next try.
    """

    def __init__(self, reason: str, wait: Wait = "usual") -> None:
        self.reason, self.wait = reason, wait
        super().__init__(reason)


class Network(Protocol):
    """The world, as far as a connector may reach it."""

    async def open(self, host: str, port: int, *, tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, if that is allowed, within a deadline.

        Raises:
            LostError: it is not, or nobody answers.
        """
        ...

    def now_us(self) -> int:
        """Monotonic time."""
        ...

    def chance(self) -> float:
        """A random number in ``[0, 1)``, for names nobody else has."""
        ...


class Connector(Protocol):
    """One chat elsewhere."""

    @property
    def source(self) -> str:
        """The kind of network, as events name it: ``irc``, ``twitch``; lower case letters and digits, at most 16."""
        ...

    @property
    def realm(self) -> str:
        """Within which ids of people are theirs alone: a server, or empty where the network is one."""
        ...

    def told(self, network: Network) -> AsyncGenerator[Told, None]:
        """One connection, until it ends.

        Raises:
            LostError: it has ended, or was not made.
        """
        ...


class Source(Protocol):
    """A kind of network. Entry points of the group ``chatsync.sources`` name objects of this kind."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """The schemes of its addresses."""
        ...

    def connector(self, url: str, secrets: Mapping[str, str]) -> Connector:
        """The connector of an address. Reaches nothing yet.

        Args:
            url: with one of the schemes; never carries a secret.
            secrets: what the operator has put into the secret file, by name.

        Raises:
            ValueError: it is no address of this kind, or a secret is wrong, with a sentence why that repeats neither.
        """
        ...


_FIRST_US = 1 * SECOND_US
_LONG_US = 30 * SECOND_US  # servers refuse who comes back sooner, and some for longer each time
_LAST_US = 300 * SECOND_US
_HELD_US = 60 * SECOND_US  # a connection that stood so long was a good one


@dataclass(slots=True)
class Pauses:
    """How long to wait before each try: twice as long each time, up to five minutes, less a random part of up to a half.

    Without chance, all relays that lost a server would come back at once.
    """

    chance: Callable[[], float]
    _next_us: int = _FIRST_US

    def after(self, wait: Wait, *, held_us: int) -> int:
        """How long to wait now.

        Args:
            wait: as the connection ended.
            held_us: how long it was connected; 0 if never.
        """
        if held_us >= _HELD_US:
            self._next_us = _FIRST_US
        if wait == "soon" and held_us >= _HELD_US:
            return round(_FIRST_US * (1 - self.chance() / 2))
        if wait == "long":
            self._next_us = max(self._next_us, _LONG_US)
        pause_us = self._next_us
        self._next_us = min(2 * pause_us, _LAST_US)
        return round(pause_us * (1 - self.chance() / 2))
