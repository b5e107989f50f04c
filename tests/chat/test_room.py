"""The recovery ring: nobody misses an event, nobody gets one twice (reliability G4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import KINDS, Event, Position, Visibility
from chatsync.chat.room import (
    GIVING_KINDS,
    RING_EVENTS_MAX,
    TAKING_KINDS,
    WAITING_MAX,
    BackEvents,
    Frames,
    Recovery,
    RoomLog,
    changed_by,
    public_bytes,
)
from tests.builders import BASE_US, event, stamp


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


def test_who_runs_the_room_is_told_what_still_waits() -> None:
    """What is held and what was reported, until it is approved or taken away; of more than two hundred the newest."""
    log = RoomLog(Position(1, 0))
    log.receive_committed(event(1, "held", text="may I?"))
    log.receive_committed(event(2, "held", text="rude"))
    log.receive_committed(event(3, "message"))
    log.receive_committed(event(4, "reported", target=3))
    assert [1, 2, 4] == [offset for offset, _ in log.waiting()]
    log.receive_committed(event(5, "message", details={"held": 1}))
    log.receive_committed(event(6, "hidden", target=2), gone=(2,))
    ((offset, body),) = log.waiting()
    assert (4, "reported") == (offset, json.loads(body)["kind"])
    for number in range(7, 7 + WAITING_MAX):
        log.receive_committed(event(number, "held"))
    assert list(range(7, 7 + WAITING_MAX)) == [offset for offset, _ in log.waiting()]


def test_what_is_private_comes_back_to_those_who_had_it() -> None:
    """A person's private message that was hidden with all of theirs, and restored: to staff and to whom it concerns, and to nobody else."""
    log, to = RoomLog(Position(1, 0)), {"to": ["host", "b" * 32]}
    private = event(1, "message", text="psst", details=to)
    log.receive_committed(private)
    log.receive_committed(event(2, "hidden"), gone=(1,))
    flushed(log)
    log.receive_committed(event(3, "restored"), back=BackEvents((private,)))
    frames = flushed(log)
    assert not any(b"psst" in frame for frame in frames.public)
    for theirs in (frames.staff, frames.own["b" * 32]):
        (back,) = [json.loads(frame) for frame in theirs if json.loads(frame)["type"] == "back"]
        assert [(1, "psst")] == [(one["offset"], one["text"]) for one in back["events"]]
    log.receive_committed(event(4, "restored"), back=BackEvents((private,)))
    log.receive_committed(event(5, "hidden"), gone=(1,))
    assert not any(b"psst" in frame for frame in flushed(log).staff)


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


def test_what_came_from_a_file_is_not_among_the_last() -> None:
    """It did not arrive now; whoever goes on from a position is told of it all the same."""
    log = log_of(2)
    log.receive_committed(msgspec.structs.replace(event(3), source="import:youtube"))
    assert [1, 2] == [one.offset for one in log.last(5).events]
    recovered = log.recovered(Position(1, 2))
    assert [3] == [one.offset for one in recovered.events] if recovered is not None else False


def test_votes_are_sent_to_nobody_singly() -> None:
    """Upvotes and votes are counted, not shown, also to staff."""
    log = log_of(1)
    log.frames_to_send()
    log.receive_committed(event(2, "question_upvoted", target=1))
    frames = flushed(log)
    assert ([], []) == (offsets(frames.public), offsets(frames.staff))


@dataclass
class Journal:
    """The truth beside the log: every event as it stands, with what each deed did."""

    events: dict[int, Event] = field(default_factory=dict)
    texts: dict[int, str | None] = field(default_factory=dict)
    effects: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def append(self, log: RoomLog, kind: str, about: int) -> None:
        """Log one more event; a deed is about the offset ``about`` and, with it, its neighbour."""
        offset = len(self.events) + 1
        self.events[offset] = event(offset, kind, BASE_US + offset * 1000, text=f"text {offset}")
        self.texts[offset] = self.events[offset].text
        wanted = [o for o in (about, about + 1) if o in self.events and o != offset]
        gone: tuple[int, ...] = ()
        back: tuple[int, ...] = ()
        if kind in TAKING_KINDS:
            gone = tuple(o for o in wanted if not self.events[o].hidden)
            for o in gone:
                self._put(o, hidden=True, text=None)
        elif kind == "restored":
            back = tuple(o for o in wanted if self.events[o].hidden)
            for o in back:
                self._put(o, hidden=False, text=self.texts[o])
        elif kind == "restamped":
            back = tuple(o for o in wanted if not self.events[o].hidden)
            for o in back:
                self._put(o, stamp=stamp(self.events[o].program_us - 500))
        self.effects[offset] = gone or back
        moved = BackEvents(tuple(self.events[o] for o in back)) if kind in GIVING_KINDS else None
        log.receive_committed(self.events[offset], gone=gone, back=moved)

    def _put(self, offset: int, **changes: Any) -> None:
        self.events[offset] = msgspec.structs.replace(self.events[offset], **changes)

    def seen(self, after: int = 0) -> dict[int, Any]:
        """What everyone may see of the events after an offset, as it travels."""
        bodies = {offset: public_bytes(one) for offset, one in self.events.items() if offset > after}
        return {offset: json.loads(body) for offset, body in bodies.items() if body is not None}

    def log(self) -> RoomLog:
        """What a restart makes of it."""
        return RoomLog(Position(1, len(self.events)), list(self.events.values()), self.effects)


@dataclass
class Viewer:
    """A client that does as the contract says, and complains of an event that comes twice."""

    shown: dict[int, Any] = field(default_factory=dict)
    got: set[int] = field(default_factory=set)
    position: int = 0
    since: int = 0  # everything after this offset is due

    def receive(self, frames: Sequence[bytes]) -> None:
        """Take in frames of one batch."""
        for frame in map(json.loads, frames):
            if frame["type"] == "events":
                self._take(frame["events"])
                assert frame["through"]["offset"] >= self.position
                self.position = frame["through"]["offset"]
            elif frame["type"] == "gone":
                self._drop(frame["offsets"])
            else:
                assert "back" == frame["type"]
                self.shown |= {one["offset"]: one for one in frame["events"]}

    def _take(self, events: list[Any]) -> None:
        for one in events:
            assert one["offset"] not in self.got
            assert one["offset"] > self.position
            self.got.add(one["offset"])
            self.shown[one["offset"]] = one

    def _drop(self, offsets: Sequence[int]) -> None:
        for offset in offsets:
            self.shown.pop(offset, None)

    def resume(self, recovery: Recovery, log: RoomLog) -> None:
        """Take in what a welcome brings."""
        self._take([json.loads(body) for body in recovery.public])
        self._drop(recovery.gone)
        for offset in recovery.back:
            one = log.event(offset)
            body = None if one is None else public_bytes(one)
            if body is not None:
                self.shown[offset] = json.loads(body)
        self.position = recovery.through.offset


kinds = st.sampled_from(
    ["message", "message", "question", "noted", "held", "question_upvoted", "hidden", "erased", "restored", "restamped"]
)
deeds = st.lists(
    st.tuples(
        st.sampled_from(["log", "log", "log", "flush", "join", "leave", "return", "restart"]), kinds, st.integers(1, 25)
    ),
    max_size=60,
)


@given(deeds)
def test_whoever_comes_and_goes_sees_the_log_as_it_stands(steps: list[tuple[str, str, int]]) -> None:
    """Joining, leaving, coming back and restarts between commits and flushes: in the end everyone sees the same."""
    journal, log = Journal(), RoomLog(Position(1, 0))
    here = [Viewer()]
    away: list[Viewer] = []

    def flush() -> None:
        frames = log.frames_to_send()
        for viewer in here if frames is not None else ():
            assert frames is not None
            viewer.receive(frames.public)

    for step, kind, number in steps:
        if step == "log":
            journal.append(log, kind, number)
        elif step == "flush":
            flush()
        elif step == "join":
            flush()
            newcomer = Viewer()
            newcomer.resume(log.last(number), log)
            newcomer.since = log.position.offset
            here.append(newcomer)
        elif step == "leave" and here:
            away.append(here.pop(number % len(here)))
        elif step == "return" and away:
            flush()
            viewer = away.pop(number % len(away))
            recovery = log.recovered(Position(1, viewer.position))
            assert recovery is not None
            viewer.resume(recovery, log)
            here.append(viewer)
        elif step == "restart":
            away, here, log = away + here, [], journal.log()
    flush()
    for viewer in away:
        recovery = log.recovered(Position(1, viewer.position))
        assert recovery is not None
        viewer.resume(recovery, log)
    known = journal.seen()
    for viewer in here + away:
        assert {offset: known.get(offset) for offset in viewer.shown} == viewer.shown
        due = {offset for offset in known if offset > viewer.since or offset in viewer.got}
        assert set() == due - set(viewer.shown)


@given(deeds)
def test_a_restart_remembers_what_the_running_log_knew(steps: list[tuple[str, str, int]]) -> None:
    """From every position the log made of the journal recovers what the log that was there all along recovers."""
    journal, log = Journal(), RoomLog(Position(1, 0))
    for _, kind, number in steps:
        journal.append(log, kind, number)
    restarted = journal.log()
    for after in range(len(steps) + 2):
        assert log.recovered(Position(1, after)) == restarted.recovered(Position(1, after))
        assert log.last(after) == restarted.last(after)
    assert log.first_offset == restarted.first_offset or not steps


@given(deeds)
def test_staff_gets_every_event_but_votes_once(steps: list[tuple[str, str, int]]) -> None:
    """Held, noted and hidden ones too, in the order of the log."""
    journal, log, seen = Journal(), RoomLog(Position(1, 0)), []
    for step, kind, number in steps:
        journal.append(log, kind, number)
        if step != "log":
            seen += offsets(flushed(log).staff)
    rest = log.frames_to_send()
    seen += [] if rest is None else offsets(rest.staff)
    assert [o for o, one in journal.events.items() if KINDS[one.kind] is not Visibility.TALLY] == seen


def test_each_event_is_encoded_once_for_the_whole_room() -> None:
    """The batch and every recovery share the same bytes."""
    log = log_of(3)
    bodies = [log.recovered(Position(1, 0)), log.recovered(Position(1, 0)), log.last(3)]
    assert all(body is not None for body in bodies)
    first, *others = [body.public for body in bodies if body is not None]
    assert all(mine is theirs for other in others for mine, theirs in zip(first, other, strict=True))
    assert b",".join(first) in flushed(log).public[0]


def test_nothing_committed_is_nothing_to_send() -> None:
    """An empty batch is no frame; a batch is given once."""
    log = log_of(1)
    assert log.frames_to_send() is not None
    assert log.frames_to_send() is None


def test_a_batch_of_nothing_public_still_moves_everyone_on() -> None:
    """`through` covers what is not for everyone, holes included."""
    log = RoomLog(Position(1, 0))
    log.receive_committed(event(1, "noted"))
    [frame] = flushed(log).public
    assert {"type": "events", "events": [], "through": {"epoch": "1", "offset": 1}} == json.loads(frame)


def test_what_was_hidden_before_it_was_sent_is_never_sent() -> None:
    """Committed and hidden within one batch: the text reaches nobody but staff."""
    log = RoomLog(Position(1, 0))
    log.receive_committed(event(1, text="rude words"))
    log.receive_committed(event(2, "hidden", target=1), gone=[1])
    assert b"rude words" not in b"".join(flushed(log).public)


def test_what_was_hidden_before_anybody_knew_of_it_is_an_empty_row_to_nobody() -> None:
    """Its commit was reported as failed, and it was found when the hide was committed: staff too are told of the hide alone."""
    log = RoomLog(Position(1, 0))
    log.receive_committed(event(1, text=None, hidden=True))
    log.receive_committed(event(2, "hidden", target=1), gone=[1])
    told = [json.loads(frame) for frame in flushed(log).staff]
    assert [[2], [1]] == [[one["offset"] for one in told[0]["events"]], told[1]["offsets"]]


def test_the_last_deed_of_a_batch_decides() -> None:
    """Hidden, restored, hidden again: gone. Hidden and restored: back."""
    log = log_of(1)
    log.frames_to_send()
    log.receive_committed(event(2, "hidden", target=1), gone=[1])
    log.receive_committed(event(3, "restored", target=1), back=BackEvents((event(1),)))
    types = [json.loads(frame)["type"] for frame in flushed(log).public]
    assert ["events", "gone", "back"] == types
    log.receive_committed(event(4, "restored", target=1), back=BackEvents((event(1),)))
    log.receive_committed(event(5, "hidden", target=1), gone=[1])
    assert ["events", "gone"] == [json.loads(frame)["type"] for frame in flushed(log).public]


def test_a_moved_event_replaces_its_offset() -> None:
    """A restamp gives the event as it stands now, also to whoever asks memory."""
    log = log_of(1)
    log.frames_to_send()
    moved = msgspec.structs.replace(event(1), stamp=stamp(BASE_US - 3_000_000))
    log.receive_committed(event(2, "restamped"), back=BackEvents((moved,)))
    back = json.loads(flushed(log).public[1])
    assert [(1, BASE_US // 1000 - 3_000)] == [(one["offset"], one["program_ms"]) for one in back["events"]]
    assert moved == log.event(1)


def test_a_hidden_event_in_memory_has_no_text() -> None:
    """It is marked and blanked at once."""
    log = log_of(2)
    log.receive_committed(event(3, "hidden", target=1), gone=[1])
    hidden = log.event(1)
    assert hidden is not None
    assert (True, None) == (hidden.hidden, hidden.text)
    assert (None, None) == (log.event(0), log.event(4))


def test_a_deed_about_what_memory_forgot_is_still_told() -> None:
    """Clients may hold what memory does not."""
    log = RoomLog(Position(1, 100), [event(100)])
    log.receive_committed(event(101, "hidden", target=5), gone=[5])
    assert {"type": "gone", "offsets": [5]} == json.loads(flushed(log).public[1])
    recovery = log.recovered(Position(1, 99))
    assert recovery is not None
    assert (5,) == recovery.gone


def test_private_messages_are_for_nobody_else() -> None:
    """Addressed ones are neither sent to everyone nor recovered by them."""
    log = RoomLog(Position(1, 0))
    log.receive_committed(event(1, text="psst", details={"to": ["host"]}))
    assert b"psst" not in b"".join(flushed(log).public)
    recovery = log.recovered(Position(1, 0))
    assert recovery is not None
    assert () == recovery.public


def test_memory_that_was_forgotten_recovers_only_the_newest_position() -> None:
    """After too much moved at once, whoever is not up to date starts afresh."""
    log = log_of(5)
    log.forget()
    assert log.recovered(Position(1, 4)) is None
    newest = log.recovered(Position(1, 5))
    assert newest is not None
    assert ((), Position(1, 5)) == (newest.public, newest.through)
    log.receive_committed(event(6))
    assert 6 == log.first_offset


@pytest.mark.parametrize(
    ("recent", "first"),
    [([1, 2, 3, 4], 1), ([1, 2, 4], 4), ([2, 3], 5), ([], 5)],
    ids=["whole", "hole", "no tail", "empty"],
)
def test_memory_begins_after_a_hole(recent: list[int], first: int) -> None:
    """Where the journal lost something, nothing before it is recovered as if it were whole."""
    log = RoomLog(Position(1, 4), [event(offset) for offset in recent])
    assert first == log.first_offset
    assert log.recovered(Position(1, first - 2)) is None
    assert log.recovered(Position(1, 4)) is not None


def test_a_new_epoch_starts_the_clients_afresh() -> None:
    """A position of the epoch before is not continued, whatever its offset."""
    log = log_of(3)
    log.receive_committed(msgspec.structs.replace(event(4), epoch=2))
    assert Position(2, 4) == log.position
    assert log.recovered(Position(1, 3)) is None


def test_a_position_of_the_future_is_not_recovered() -> None:
    """A client that knows more than we do met another history."""
    assert log_of(3).recovered(Position(1, 4)) is None
    assert log_of(3).recovered(Position(1, -1)) is None


def test_of_each_offset_the_last_deed_decides() -> None:
    """What is gone is not back, and the other way round."""
    assert ((), ()) == changed_by([])
    assert ((2,), (1, 3)) == changed_by([((1, 2), ()), ((), (1,)), ((), (3, 2)), ((2,), ())])


def test_a_full_ring_recovers_exactly_what_it_holds() -> None:
    """The position before its oldest event still works, the one before that does not."""
    log = log_of(RING_EVENTS_MAX + 10)
    recovery = log.recovered(Position(1, 10))
    assert recovery is not None
    assert RING_EVENTS_MAX == len(recovery.public)
    assert log.recovered(Position(1, 9)) is None
    oldest = log.event(11)
    assert oldest is not None
    assert 11 == oldest.offset
