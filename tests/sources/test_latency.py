"""The latency of those elsewhere, learned from moments that make both write."""

from __future__ import annotations

import random

import pytest

from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.sources.latency import Latencies, learned_latency


def _said(noise: random.Random, moments: list[float], *, each: int, latency_s: float, other: int) -> list[int]:
    """Messages after moments, typed within some seconds, and others at any time of half an hour."""
    after = [
        moment + latency_s + noise.lognormvariate(1.2, 0.5) for moment in moments for _ in range(noise.randint(0, each))
    ]
    return sorted(round(at * SECOND_US) for at in [*after, *(noise.uniform(0, 1_800) for _ in range(other))])


@pytest.mark.parametrize("latency_s", [0.5, 4.0, 12.0, 31.0])
def test_a_latency_is_learned_to_two_seconds(latency_s: float) -> None:
    """Twenty moments in half an hour, half of what is said about something else: learned mostly, and never wrong."""
    found = []
    for seed in range(10):
        noise = random.Random(seed)
        moments = [noise.uniform(0, 1_700) for _ in range(20)]
        ours = _said(noise, moments, each=6, latency_s=0, other=50)
        theirs = _said(noise, moments, each=20, latency_s=latency_s, other=200)
        found.append(learned_latency(ours, theirs))
    learned = [one for one in found if one is not None]
    assert len(learned) >= 9
    assert all(abs(one.latency_us - latency_s * SECOND_US) < 2 * SECOND_US for one in learned)
    assert all(one.spread_us < 4 * SECOND_US for one in learned)


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_learned_from_chance(seed: int) -> None:
    """Two chats that have nothing in common."""
    noise = random.Random(seed)
    ours = _said(noise, [noise.uniform(0, 1_700) for _ in range(10)], each=6, latency_s=0, other=150)
    theirs = _said(noise, [noise.uniform(0, 1_700) for _ in range(10)], each=10, latency_s=0, other=600)
    assert learned_latency(ours, theirs) is None


def test_few_messages_teach_nothing() -> None:
    """However well they fit."""
    assert (
        learned_latency([at * MINUTE_US for at in range(19)], [at * MINUTE_US + SECOND_US for at in range(100)]) is None
    )


def test_what_is_remembered_is_of_one_broadcast() -> None:
    """Another one has another axis, and its own viewers."""
    book = Latencies()
    for at in range(30):
        moment_us = at * 97 * SECOND_US + (at * at % 41) * SECOND_US
        book.note(1, own_us=moment_us)
        book.note(1, their_edge_us=moment_us + 9 * SECOND_US)
    learned = book.learned()
    assert learned is not None
    assert abs(learned.latency_us - 9 * SECOND_US) <= SECOND_US
    book.note(2, own_us=0)
    assert book.learned() is None
