"""How late the event loop comes to what was planned."""

from __future__ import annotations

import asyncio

import pytest

from chatsync.service.loop_lag import EVERY_S, LAG_S_MAX, LoopLag, measure


def test_a_stop_counts_for_every_plan_it_was_in_the_way_of() -> None:
    """Half a second of standing still is 25 plans that came late, the first by all of it."""
    told: list[float] = []
    LoopLag(told.append).receive_wake(10.0, 10.5)
    assert [0.5 - number * EVERY_S for number in range(25)] == pytest.approx(told)


def test_what_others_on_the_machine_cost_is_told_apart() -> None:
    """A stop of which the thread waited 40 ms for a core is 40 ms shorter as the relay's own, and was in the way of as many plans."""
    told: list[float] = []
    own: list[float] = []
    LoopLag(told.append, own.append).receive_wake(10.0, 10.05, 0.04)
    assert [0.05, 0.03, 0.01] == pytest.approx(told)
    assert [0.01, 0.0, 0.0] == pytest.approx(own)


def test_one_plan_in_a_thousand_may_be_late() -> None:
    """The tail leaves out one in a thousand and is bad from the second on."""
    lag = LoopLag(lambda _: None)
    assert not lag.is_bad
    for number in range(1_999):
        lag.receive_wake(number, number + 0.001)
    lag.receive_wake(0, LAG_S_MAX + EVERY_S / 2)
    assert 0.001 < lag.tail_s() <= LAG_S_MAX  # the same stop was in the way of three plans, of 2,002
    assert not lag.is_bad
    lag.receive_wake(0, 0.3)
    assert lag.is_bad


def test_a_stop_is_forgotten_after_a_minute_and_memory_stays_small() -> None:
    """Only the last 3,000 plans count."""
    lag = LoopLag(lambda _: None)
    lag.receive_wake(0, 10_000)
    assert lag.is_bad
    for number in range(3_000):
        lag.receive_wake(number, number - 1)
    assert 0.0 == lag.tail_s()


async def test_whoever_blocks_the_loop_is_seen() -> None:
    """Work of 200 ms on the loop itself shows as lateness of about so much."""
    told: list[float] = []
    task = asyncio.create_task(measure(LoopLag(told.append)))
    await asyncio.sleep(0)
    end_s = asyncio.get_running_loop().time() + 0.2
    while asyncio.get_running_loop().time() < end_s:
        pass
    async with asyncio.timeout(10):
        while not told:  # noqa: ASYNC110 - it does not know that it is watched
            await asyncio.sleep(EVERY_S)
    task.cancel()
    assert told[0] >= 0.15
