"""A room says why its chat cannot be placed well, with one cause (reliability G9)."""

from __future__ import annotations

import pytest

from chatsync.instants import SECOND_US
from chatsync.replay.alarm import CAUSES, sync_trouble
from chatsync.replay.broadcasts import Broadcast
from tests.builders import BASE_US

S = SECOND_US


def airing(*, lag_s: float = 3, closed: bool = False, synthetic: bool = False) -> Broadcast:
    """A broadcast whose media came a moment ago."""
    broadcast = Broadcast(1, BASE_US)
    broadcast.clock.receive_edge(BASE_US - round(lag_s * S), wall_us=BASE_US)
    broadcast.clock.is_synthetic = synthetic
    if closed:
        broadcast.closed_wall_us = BASE_US
    return broadcast


def cause(broadcast: Broadcast | None, after_s: float = 1, **given: object) -> str | None:
    """The cause so long after the media came."""
    told = {"playlist_trouble": None, "has_media": True, "is_dated": True} | given
    return sync_trouble(broadcast, wall_us=BASE_US + round(after_s * S), **told)  # type: ignore[arg-type]


def test_nothing_is_wrong_while_media_comes() -> None:
    """A live stream with dates raises no alarm."""
    assert cause(airing()) is None


@pytest.mark.parametrize(
    ("expected", "broadcast", "given"),
    [
        ("origin_status", airing(), {"playlist_trouble": "origin_status"}),
        ("no_program_time", airing(), {"is_dated": False}),
        ("no_program_time", airing(synthetic=True), {}),
        ("no_new_media", airing(), {"after_s": 5}),
        ("encoder_clock", airing(lag_s=61), {}),
        ("encoder_clock", airing(lag_s=-61), {}),
    ],
)
def test_each_cause_is_named(expected: str, broadcast: Broadcast, given: dict[str, object]) -> None:
    """The origin's own trouble first; then what its playlist lacks."""
    assert expected == cause(broadcast, **given)  # type: ignore[arg-type]
    assert expected in CAUSES or "playlist_trouble" in given


@pytest.mark.parametrize(("broadcast", "has_media"), [(airing(closed=True), True), (None, True), (airing(), False)])
def test_a_room_between_two_classes_is_well(broadcast: Broadcast | None, has_media: bool) -> None:
    """Without a stream there is nothing to be in step with, however long it lasts."""
    assert cause(broadcast, 3600, has_media=has_media) is None
