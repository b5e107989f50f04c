"""What the writer has done is handed out in its order, a little at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from chatsync.service.deliveries import AT_ONCE, Deliveries


async def test_results_keep_their_order_and_others_get_their_turn() -> None:
    """A long batch and one that comes meanwhile: everything in order, and a callback that was planned runs in between."""
    handed: list[Any] = []
    deliveries = Deliveries(asyncio.get_running_loop())
    deliveries.receive([(handed.append, number) for number in range(AT_ONCE * 3)])
    assert AT_ONCE == len(handed)
    deliveries.receive([(handed.append, "later")])
    asyncio.get_running_loop().call_soon(handed.append, "in between")
    for _ in range(5):
        await asyncio.sleep(0)
    assert [*range(AT_ONCE * 3), "later"] == [one for one in handed if one != "in between"]
    assert AT_ONCE < handed.index("in between") < AT_ONCE * 3


async def test_one_that_fails_keeps_nobody_from_an_answer() -> None:
    """The next result is handed out all the same."""
    handed: list[Any] = []

    def failing(_: Any) -> None:
        raise ValueError("not told")

    Deliveries(asyncio.get_running_loop()).receive([(failing, 1), (handed.append, 2)])
    assert [2] == handed
