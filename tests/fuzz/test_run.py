"""The fuzzer itself: it is the same from a seed, it reaches what it should, and a short run finds nothing."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutation import CHARACTERS_MAX, Mutator, seed_texts
from tests.fuzz.run import Fuzzer

SEED = 20_261_124


@pytest.mark.parametrize("target", ["parse", "tail", "timeline", "follower"])
def test_a_short_run_finds_nothing(target: str) -> None:
    """A few hundred executions of each target; ``make fuzz`` makes many more."""
    fuzzer = Fuzzer(SEED)
    for number in range(300):
        fuzzer.run(number, target)
    assert 300 == fuzzer.executions[target]
    assert fuzzer.executions["parses"] >= 150


def test_the_same_seed_changes_texts_the_same_way() -> None:
    """A finding can be repeated from its number."""

    def texts() -> list[str]:
        mutator = Mutator(seed_texts(), random.Random(SEED))
        return [mutator.mutated(mutator.text()) for _ in range(50)]

    first = texts()
    assert first == texts()
    assert max(map(len, first)) <= CHARACTERS_MAX
