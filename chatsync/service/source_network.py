"""The network as connectors of chats elsewhere may reach it: through the same gate as playlists.

Owns: ``SourceNetwork``. Does not know: protocols. Units: µs of monotonic time; seconds where the event loop wants them.
"""

from __future__ import annotations

import asyncio
import random
import ssl

from chatsync.service.clock import Clock
from chatsync.service.limit_table import SOURCE_CONNECT_S
from chatsync.service.outgoing import Gate, RefusedError, Resolver, trusted
from chatsync.service.settings import Settings
from chatsync.sources.contract import LostError

__all__ = ["SOURCE_PORTS", "SourceNetwork"]

SOURCE_PORTS = (80, 443, 6667, 6697)
_CHUNK_BYTES = 64 * 1024


class SourceNetwork:
    """One for the whole node.

    Args:
        settings: ``source_hosts``, ``origin_ports``, ``private_origins``, ``loopback_origins``.
        clock: for timers.
        resolver: None: the system's.
        tls: None: the system's trusted certificates.
        connect_s: how long a connection may take.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        connect_s: float = SOURCE_CONNECT_S,
    ) -> None:
        self._gate = Gate(settings, resolver, hosts=settings.source_hosts, ports=SOURCE_PORTS)
        self._clock, self._tls, self._connect_s = clock, tls, connect_s

    async def open(self, host: str, port: int, *, tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address of a host that answers, if all of them may be connected to.

        Raises:
            LostError: none does in time, the certificate is not accepted, or they may not.
        """
        context = (self._tls or trusted()) if tls else None
        try:
            self._gate.check(host, port)
            async with asyncio.timeout(self._connect_s):
                addresses = await self._gate.addresses(host, port)
                return await self._connected(addresses, port, context, host)
        except RefusedError as error:
            raise LostError(error.reason, "long") from None
        except ssl.SSLError:
            raise LostError("the certificate was not accepted", "long") from None
        except (OSError, TimeoutError):
            raise LostError("nobody answers there") from None

    async def _connected(
        self, addresses: list[str], port: int, context: ssl.SSLContext | None, host: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        *first, last = addresses
        for address in first:
            try:
                async with asyncio.timeout(
                    self._connect_s / (2 * len(first))
                ):  # the last has half of the time at least
                    return await _open(address, port, context, host)
            except ssl.SSLError:
                raise
            except (OSError, TimeoutError):
                continue
        return await _open(last, port, context, host)

    def now_us(self) -> int:
        """Monotonic time."""
        return self._clock.monotonic_us()

    def chance(self) -> float:
        """A random number."""
        return random.random()  # noqa: S311  pauses and nicknames, no secrets


async def _open(
    address: str, port: int, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = None if context is None else host
    return await asyncio.open_connection(address, port, ssl=context, server_hostname=name, limit=_CHUNK_BYTES)
