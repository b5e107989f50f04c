"""Every limit holds: what is at the limit is taken, and what is one over is not (security-and-privacy §9).

The table is the code's own (``service/limit_table``). A limit that nobody tries fails here, so that none is a mere number.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from chatsync.service.limit_table import FIXED_LIMITS, Limits
from tests import limit_trials_http, limit_trials_live, limit_trials_screening, limit_trials_sources
from tests.limit_trials import TRIALS, Trial

assert limit_trials_http
assert limit_trials_live
assert limit_trials_screening
assert limit_trials_sources  # all have registered their trials

NAMES = {*Limits.model_fields, *(one.name for one in FIXED_LIMITS)}


def _trials() -> list[object]:
    """Each trial once, though it may be of several limits."""
    of: dict[Trial, list[str]] = {}
    for name, trial in TRIALS.items():
        of.setdefault(trial, []).append(name)
    return [pytest.param(trial, id="+".join(names)) for trial, names in of.items()]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("trial", _trials())
async def test_a_limit_holds(trial: Trial, tmp_path: Path) -> None:
    """At the limit and one over."""
    done = trial(tmp_path)
    if inspect.isawaitable(done):
        await done


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_limit_is_tried(name: str) -> None:
    """A limit without a trial fails."""
    assert name in TRIALS


def test_no_trial_is_of_a_limit_that_is_gone() -> None:
    """What is tried is in the table."""
    assert set() == set(TRIALS) - NAMES
