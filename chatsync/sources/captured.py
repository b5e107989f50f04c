"""A chat elsewhere, one connection after the other, for as long as anybody wants it.

Owns: trying again, and telling that a connection was lost. Does not know: networks, rooms. Units: µs of monotonic time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from chatsync.instants import SECOND_US
from chatsync.sources.contract import Connected, Connector, Happened, Lost, LostError, Network, Pauses

__all__ = ["captured"]


async def _rest(pause_us: int) -> None:
    await asyncio.sleep(pause_us / SECOND_US)


async def captured(
    connector: Connector,
    network: Network,
    *,
    rest: Callable[[int], Awaitable[None]] = _rest,
    failed: Callable[[Exception], None] = lambda _: None,
) -> AsyncGenerator[Happened, None]:
    """What happens there, without end. Close the iterator to stop.

    Args:
        connector: of the chat.
        network: to reach it by.
        rest: waits for so many µs before the next try.
        failed: told of a fault of the connector's own, which is as if the connection had been lost.

    Returns:
        What the connections tell; :class:`Lost` once for each that ended, and for each try that failed.
    """
    pauses = Pauses(network.chance)
    while True:
        connected_us, heard_us = None, network.now_us()
        try:
            async with aclosing(connector.told(network)) as told:
                async for one in told:
                    heard_us = network.now_us()
                    if isinstance(one, Connected):
                        connected_us = heard_us
                    yield one
            lost = LostError("the connection ended")
        except LostError as error:
            lost = error
        except Exception as error:
            failed(error)
            lost = LostError("the connector failed", "long")
        yield Lost(lost.reason, network.now_us() - heard_us)
        await rest(pauses.after(lost.wait, held_us=0 if connected_us is None else heard_us - connected_us))
