"""Long work in a thread lets the event loop turn."""

from __future__ import annotations

import asyncio
import threading

from chatsync.service.turns import Turns


async def test_a_thread_goes_on_when_the_loop_has_come_round() -> None:
    """What was waiting for the loop is done before the next piece of work."""
    loop = asyncio.get_running_loop()
    turns = Turns(loop)
    done: list[str] = []

    def work() -> None:
        for number in range(3):
            loop.call_soon_threadsafe(done.append, f"loop {number}")
            turns.let_turn()
            done.append(f"thread {number}")

    await asyncio.to_thread(work)
    assert [f"{who} {number}" for number in range(3) for who in ("loop", "thread")] == done


async def test_several_threads_each_get_their_turn() -> None:
    """Nobody is forgotten, however many ask at once."""
    turns = Turns(asyncio.get_running_loop())

    def work() -> int:
        had = 0
        while had < 20:
            turns.let_turn()
            had += 1
        return had

    assert [20] * 4 == await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))


async def test_on_the_loop_nobody_waits_for_it() -> None:
    """A read that is done on the loop itself would wait for ever."""
    waiting = asyncio.get_running_loop().call_soon(lambda: None)
    Turns(asyncio.get_running_loop()).let_turn()
    assert not waiting.cancelled()


async def test_a_loop_that_stands_still_stops_no_thread() -> None:
    """Work goes on, if late: it may be what the loop is waiting for."""
    thread = threading.Thread(target=Turns(asyncio.get_running_loop()).let_turn, daemon=True)
    thread.start()
    thread.join(10)  # on the loop
    assert not thread.is_alive()


def test_a_loop_that_is_closed_stops_no_thread() -> None:
    """A read that outlives the relay ends."""
    loop = asyncio.new_event_loop()
    turns = Turns(loop)
    loop.close()
    thread = threading.Thread(target=turns.let_turn, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
