"""The recovery ring: nobody misses an event, nobody gets one twice (reliability G4)."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Position
from chatsync.chat.room import RING_EVENTS_MAX, BackEvents, Frames, RoomLog
from tests.builders import event


def offsets(frames: tuple[bytes, ...]) -> list[int]:
    """Offsets of the events in frames, in order."""
    decoded: list[dict[str, Any]] = [json.loads(frame) for frame in frames]
    return [one["offset"] for frame in decoded if frame["type"] == "events" for one in frame["events"]]


def log_of(count: int) -> RoomLog:
    """A room log of so many messages."""
    log = RoomLog(Position(1, 0))
    for offset in range(1, count + 1):
        log.receive_committed(event(offset))
    return log


def flushed(log: RoomLog) -> Frames:
    """The batch, which must be there."""
    frames = log.frames_to_send()
    assert frames is not None
    return frames


@given(st.integers(0, 40), st.integers(0, 40))
def test_recovery_from_any_position_is_the_rest_of_the_log(count: int, after: int) -> None:
    """From every offset that memory holds, exactly what came after it."""
    recovery = log_of(count).recovered(Position(1, after))
    if after > count:
        assert recovery is None
    else:
        assert recovery is not None
        assert list(range(after + 1, count + 1)) == [one.offset for one in recovery.events]
        assert Position(1, count) == recovery.through


def test_another_epoch_or_a_position_before_memory_is_not_recovered() -> None:
    """Never a partial answer."""
    log = RoomLog(Position(2, 100), [event(offset) for offset in range(91, 101)])
    assert log.recovered(Position(1, 95)) is None
    assert log.recovered(Position(2, 89)) is None
    assert log.recovered(Position(2, 90)) is not None


def test_memory_is_bounded() -> None:
    """The oldest events leave."""
    log = log_of(RING_EVENTS_MAX + 10)
    assert 11 == log.first_offset


@given(st.lists(st.booleans(), max_size=30))
def test_batches_hold_every_event_once(flushes: list[bool]) -> None:
    """However commits and flushes interleave, the frames together are the log."""
    log, seen = RoomLog(Position(1, 0)), []
    for offset, flush in enumerate(flushes, start=1):
        log.receive_committed(event(offset))
        if flush:
            seen += offsets(flushed(log).public)
    last = log.frames_to_send()
    seen += [] if last is None else offsets(last.public)
    assert list(range(1, len(flushes) + 1)) == seen


def test_a_hide_goes_to_everyone_by_effect_and_to_staff_by_name() -> None:
    """Everyone is told what is gone; only staff see the deed and its reason."""
    log = log_of(2)
    log.frames_to_send()
    log.receive_committed(event(3, "hidden", target=1, details={"reason": "rude"}), gone=[1])
    frames = flushed(log)
    assert ([], [3]) == (offsets(frames.public), offsets(frames.staff))
    assert {"type": "gone", "offsets": [1]} == json.loads(frames.public[1])
    assert b"rude" not in b"".join(frames.public)


def test_what_is_hidden_is_not_recovered_and_is_told_as_gone() -> None:
    """A client that comes back drops what was hidden meanwhile and never gets what it missed of it."""
    log = log_of(3)
    log.receive_committed(event(4, "hidden", target=2), gone=[2])
    recovery = log.recovered(Position(1, 1))
    assert recovery is not None
    assert ([3], (2,)) == ([one.offset for one in recovery.events], recovery.gone)


def test_what_is_restored_comes_back() -> None:
    """Restored events stand where they stood and are told as back."""
    log = log_of(2)
    log.receive_committed(event(3, "hidden", target=1), gone=[1])
    log.receive_committed(event(4, "restored", target=1), back=BackEvents((event(1),)))
    recovery = log.recovered(Position(1, 2))
    assert recovery is not None
    assert ((), (1,)) == (recovery.gone, recovery.back)
    everything = log.recovered(Position(1, 0))
    assert everything is not None
    assert [1, 2] == [one.offset for one in everything.events]


def test_the_last_events_by_arrival_leave_out_what_is_not_for_everyone() -> None:
    """A newcomer gets the newest public ones."""
    log = log_of(3)
    log.receive_committed(event(4, "noted"))
    assert [2, 3] == [one.offset for one in log.last(2).events]


def test_votes_are_sent_to_nobody_singly() -> None:
    """Upvotes and votes are counted, not shown, also to staff."""
    log = log_of(1)
    log.frames_to_send()
    log.receive_committed(event(2, "question_upvoted", target=1))
    frames = flushed(log)
    assert ([], []) == (offsets(frames.public), offsets(frames.staff))
