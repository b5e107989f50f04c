"""A captured chat goes on by itself: lost, waited, tried again, without end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from chatsync.instants import SECOND_US
from chatsync.sources.captured import captured
from chatsync.sources.contract import Connected, Line, Lost, LostError, Network, Pauses, Told
from chatsync.sources.kit import KitNetwork

HELLO = Line(id="1", text="hi", author_id="a")


class Script:
    """A connector that does what it is told, one connection after the other."""

    source, realm = "script", ""

    def __init__(self, *connections: list[Told | Exception]) -> None:
        self._connections = list(connections)

    async def told(self, network: Network) -> AsyncGenerator[Told, None]:
        """The next one."""
        del network
        for one in self._connections.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one


async def test_how_long_nothing_was_heard_is_told() -> None:
    """Of a connection that was half open the other half may have been gone all the while."""
    network = KitNetwork()

    class Silent(Script):
        async def told(self, network: Network) -> AsyncGenerator[Told, None]:
            yield Connected()
            assert isinstance(network, KitNetwork)
            network.ahead_us += 60 * SECOND_US
            raise LostError("silence")

    async with aclosing(captured(Silent(), network)) as happening:
        await anext(happening)
        lost = await anext(happening)
    assert isinstance(lost, Lost)
    assert 60 * SECOND_US <= lost.silent_us < 61 * SECOND_US


async def test_each_end_is_told_and_tried_again() -> None:
    """A loss, a fault of the connector's own, an end without a word: all are a loss with a reason, and a pause."""
    broken = ValueError("ours")
    script = Script([Connected(), HELLO, LostError("gone")], [broken], [Connected()], [Connected(), HELLO])
    rested: list[int] = []
    faults: list[Exception] = []

    async def rest(pause_us: int) -> None:
        rested.append(pause_us)

    seen = []
    async with aclosing(captured(script, KitNetwork(), rest=rest, failed=faults.append)) as happening:
        async for one in happening:
            seen.append(Lost(one.reason) if isinstance(one, Lost) else one)
            if len(seen) == 8:
                break
    assert [
        Connected(),
        HELLO,
        Lost("gone"),
        Lost("the connector failed"),
        Connected(),
        Lost("the connection ended"),
        Connected(),
        HELLO,
    ] == seen
    assert [broken] == faults
    assert 3 == len(rested)


def test_pauses_grow_and_chance_takes_up_to_a_half() -> None:
    """Doubled up to five minutes; a connection that stood begins anew; who asks for it is back at once, unless it flaps."""
    pauses = Pauses(lambda: 0.0)
    seconds = [pauses.after("usual", held_us=0) // SECOND_US for _ in range(11)]
    assert [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] == seconds
    assert 1 * SECOND_US == pauses.after("usual", held_us=60 * SECOND_US)
    assert 30 * SECOND_US == pauses.after("long", held_us=0)
    assert 60 * SECOND_US == pauses.after("soon", held_us=0)
    assert SECOND_US == Pauses(lambda: 0.0).after("soon", held_us=61 * SECOND_US)
    assert SECOND_US // 2 < Pauses(lambda: 0.99).after("usual", held_us=0) < SECOND_US
