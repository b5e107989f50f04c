"""The simulation as a command: one seed with its trace, or many on all cores.

    python -m tests.simulation.run --seed 17          # a trace, the same each time
    python -m tests.simulation.run --seeds 0:500      # fails with the seeds that fail

``CHATSYNC_SIMULATION_SEEDS`` says how many, when neither is given.

What is real: the application with everything in it, from the bytes of a socket and the ASGI call to SQLite, slices and Parquet, and what
opens them again after a kill. What is simulated, each from the seed:

- the origin: segments, stalls, restarts, ends, program dates that jump ahead or fall back, none at all; answers that are late, old, no
  playlist, or none;
- clients: they say, ask, repeat, reuse ids, hide and restore messages and people, pin, upvote, answer, raise hands, close broadcasts, report
  playheads near the edge and far back, stop reading, cut the line, come back where they were or afresh, hand over after a reset; others
  poll lists, slices and the open slice, or resume from any position of the log;
- the operator: stops and starts, stamps made again, a person erased in the end, also while the relay is killed;
- the disk: statements and commits that fail before or after the data is down, a second database that does, files that cannot be written, no
  space for seconds, writes that take a second; deaths before and after every kind of write;
- clocks: the system's jumps by up to an hour either way; the loop is held up, threads begin and answer late.

Limits are so small that slices are cut, memory is left, archives are written and merged, and rows leave the journal within seconds.
What must be true meanwhile and in the end is in ``checks``, ``view``, ``reader``, ``ledger`` and ``erasing``.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from random import Random

from chatsync.store.schema import without_pandas
from tests.simulation.checks import check_end
from tests.simulation.erasing import erase_somebody
from tests.simulation.people import Person, explore
from tests.simulation.reader import poll
from tests.simulation.world import World, small_limits

__all__ = ["Outcome", "run_seed", "run_seeds"]

SEEDS_USUAL = 500


@dataclass(slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    failure: str | None = None
    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def run_seed(seed: int, *, trace: bool = False) -> Outcome:
    """Run one seed.

    Args:
        seed: decides everything, as long as ``PYTHONHASHSEED`` is 0: the order of sets of text is Python's own.
        trace: keep a line for all that happens.
    """
    outcome = Outcome(seed)
    hook, sys.unraisablehook = (
        sys.unraisablehook,
        lambda _: None,
    )  # what was killed cannot run its ends, as it should be
    gc.disable()  # and must not be collected, and so try to, at a moment of the collector's choosing
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="coroutine .* was never awaited"
            )  # its process was killed before it began
            _run(outcome, trace=trace)
            gc.collect()
    finally:
        gc.enable()
        sys.unraisablehook = hook
    return outcome


def _run(outcome: Outcome, *, trace: bool) -> None:
    world = World(outcome.seed, outcome.lines if trace else None)
    try:
        with small_limits(world):
            world.loop.run_until_complete(_story(world))
    except Exception as error:
        outcome.failure = f"{type(error).__name__}: {error}"
        outcome.lines.append("".join(traceback.format_exception(error)))
    finally:
        outcome.counts = world.counts()
        world.close()


async def _story(world: World) -> None:
    """Trouble for a while, then peace, then the comparison; the same again after a restart."""
    chance: Random = world.chance("story")
    loop = world.loop
    lives = loop.create_task(world.run_processes(), name="lives")
    people = [Person(world, number) for number in range(chance.randrange(3, 6))]
    tasks = [loop.create_task(person.run(), name=person.name) for person in people]
    tasks += [loop.create_task(poll(world, number)) for number in range(chance.randrange(1, 3))]
    tasks.append(loop.create_task(explore(world, 1)))
    for task in tasks:
        task.add_done_callback(world.note_task_end)
    await world.trouble(chance.choice((5, 12, 30)))
    await world.heal()
    await world.pause(3)
    world.is_quiet = True
    await world.pause(chance.choice((2, 8)))
    await check_end(world, people)
    await world.restart()
    await check_end(world, people)
    if chance.random() < 0.2:
        await erase_somebody(world, people)
    await world.end()
    await lives
    for task in tasks:
        task.cancel()


def run_seeds(seeds: range, workers: int | None = None) -> list[Outcome]:
    """Run many, on all cores; those that failed, and all counts in the first."""
    failed: list[Outcome] = []
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    size = max(1, min(20, len(seeds) // 8))
    with ProcessPoolExecutor(workers or os.cpu_count(), initializer=_start_worker) as pool:
        chunks = [seeds[first : first + size] for first in range(0, len(seeds), size)]
        for done in as_completed([pool.submit(_run_chunk, chunk) for chunk in chunks]):
            for outcome in done.result():
                counts += outcome.counts
                if outcome.failure is not None:
                    failed.append(outcome)
                    print(f"seed {outcome.seed}: {outcome.failure[:400]}", flush=True)
    took_s = time.monotonic() - begun
    figures = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
    print(f"{len(seeds):,} seeds in {took_s:.0f} s, {len(failed)} failed: {figures}")
    return failed


def _start_worker() -> None:
    without_pandas()  # as the relay does
    gc.freeze()  # what is imported lives as long as the process: collecting after each seed need not look at it


def _run_chunk(seeds: range) -> list[Outcome]:
    outcomes = [run_seed(seeds[0])]
    gc.freeze()  # nor at what libraries have made with the first seed and keep: five times as much as a seed leaves
    return [*outcomes, *(run_seed(seed) for seed in seeds[1:])]


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="one seed, with its trace")
    which.add_argument("--seeds", help="A:B, from A up to but not B")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of text is part of a trace
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation.run", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    if given.seed is not None:
        outcome = run_seed(given.seed, trace=True)
        print("\n".join(outcome.lines))
        print(f"seed {given.seed}: {outcome.failure or 'as promised'}; {dict(sorted(outcome.counts.items()))}")
        sys.exit(outcome.failure is not None)
    first, _, last = (given.seeds or f"0:{os.environ.get('CHATSYNC_SIMULATION_SEEDS', SEEDS_USUAL)}").partition(":")
    failed = run_seeds(range(int(first), int(last)))
    if failed:
        print("replay with: python -m tests.simulation.run --seed " + str(min(one.seed for one in failed)))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
