"""Garbage is collected little and often. In processes of their own: the collector is the whole process's."""

from __future__ import annotations

import subprocess
import sys

_MAKE = """
import gc, weakref
from chatsync.service.collecting import SPARE_OBJECTS, TURNS_BETWEEN_COUNTS, Collector
class Node:
    def __init__(self): self.own = self
def cycle():
    node = Node()
    return weakref.ref(node), node
collector = Collector()
collector.begin()
"""


def _told(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _MAKE + program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_a_cycle_that_lived_for_a_moment_goes_with_the_next_turn() -> None:
    """An error with its trace, a connection that was refused."""
    assert "False True" == _told("""
ref, node = cycle()
del node
before = ref() is None
collector.turn()
print(before, ref() is None)
""")


def test_collecting_that_was_off_while_the_program_was_loaded_is_on() -> None:
    """A relay that has started collects, whatever was so before."""
    assert "True" == _told("""
gc.disable()
Collector().begin()
print(gc.isenabled())
""")


def test_what_is_alive_is_looked_at_once() -> None:
    """After a turn it is out of the collector's sight, and nothing young is left."""
    assert "True 0" == _told("""
kept = [cycle() for _ in range(10_000)]
before = gc.get_freeze_count()
collector.turn()
print(gc.get_freeze_count() - before >= 10_000, len(gc.get_objects(generation=1)) + len(gc.get_objects(generation=2)))
""")


def test_a_cycle_that_lived_long_goes_once_everything_has_doubled() -> None:
    """What leaks that way is bounded: by as many objects as there are, and some to spare."""
    assert "False True" == _told("""
refs = []
ref, node = cycle()
collector.turn()
del node
for _ in range(30):
    collector.turn()
before = ref() is None
kept = [Node() for _ in range(gc.get_freeze_count() + SPARE_OBJECTS + 100)]
for _ in range(TURNS_BETWEEN_COUNTS):
    collector.turn()
print(before, ref() is None)
""")


def test_left_alone_it_does_nothing_for_long() -> None:
    """Tens of thousands of objects are made without a collection in between."""
    assert "0" == _told("""
seen = []
gc.callbacks.append(lambda phase, info: seen.append(phase))
kept = [Node() for _ in range(50_000)]
gc.callbacks.clear()
print(len(seen))
""")
