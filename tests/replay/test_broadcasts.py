"""Every way a broadcast opens and closes (contract §1)."""

from __future__ import annotations

import json
from dataclasses import replace

from chatsync.instants import MINUTE_US, SECOND_US, Range
from chatsync.replay.broadcasts import (
    Broadcast,
    Broadcasts,
    Change,
    Closed,
    GapFound,
    Opened,
    Reopened,
    Restamp,
    StreamChanged,
)
from tests.builders import BASE_US, media

S = SECOND_US


def at(seconds: float) -> int:
    """Wall time so long after BASE_US."""
    return BASE_US + round(seconds * S)


def opened(until_s: int = 10) -> Broadcasts:
    """A room whose stream has run to ``until_s``, each segment seen 3 s after its end."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_tick(at(0))
    for edge_s in range(2, until_s + 1, 2):
        broadcasts.receive_media(media(edge_s), wall_us=at(edge_s + 3))
    return broadcasts


def kinds(changes: list[Change]) -> list[str]:
    """Names of changes, in order."""
    return [type(change).__name__ for change in changes]


def test_a_room_opens_its_first_broadcast_while_it_waits() -> None:
    """Before any media there is a broadcast to talk in."""
    broadcasts = Broadcasts(has_stream=True)
    assert [Opened(1, None, None)] == broadcasts.receive_tick(at(0))
    assert [] == broadcasts.receive_tick(at(1))


def test_the_first_program_time_rebases_what_was_said_before() -> None:
    """Messages stamped with wall time move by the lag, once."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_tick(at(0))
    changes = broadcasts.receive_media(media(2), wall_us=at(5))
    assert [Restamp(1, "rebase", ("none",), shift_us=-3 * S)] == changes
    assert BASE_US == broadcasts.current.start_us
    assert [] == broadcasts.receive_media(media(4), wall_us=at(7))


def test_a_fall_back_within_the_hold_back_stays() -> None:
    """A step back by no more than the hold-back is still the same airing."""
    broadcasts = opened()
    changes = broadcasts.receive_media(media(6, first_new_us=at(4), media_sequence=6), wall_us=at(13))
    assert "Opened" not in kinds(changes)
    assert 1 == broadcasts.current.number


def test_a_fall_back_by_more_opens_a_broadcast() -> None:
    """Set back an hour: the old broadcast closes at its edge and a new one opens with the new media."""
    broadcasts = opened()
    back = media(-3590, first_new_us=at(-3592), media_sequence=6)
    changes = broadcasts.receive_media(back, wall_us=at(13))
    assert [Closed(1, at(10), "program_time_fell_back"), Opened(2, at(-3592), 6)] == changes[:2]
    assert (2, at(-3592)) == (broadcasts.current.number, broadcasts.current.start_us)


def test_endlist_closes_at_the_edge() -> None:
    """The end of the playlist closes the broadcast once; the clock coasts on."""
    broadcasts = opened()
    ended = media(10, has_new=False, first_new_us=None, first_new_media_sequence=None, ended=True)
    assert [Closed(1, at(10), "ended")] == broadcasts.receive_media(ended, wall_us=at(14))
    assert [] == broadcasts.receive_media(ended, wall_us=at(15))
    assert at(97) == broadcasts.current.clock.program_us(at(100))


def test_an_end_taken_back_within_a_minute_reopens() -> None:
    """The media sequence goes on: the same broadcast is open again."""
    broadcasts = opened()
    ended = media(10, has_new=False, first_new_us=None, first_new_media_sequence=None, ended=True)
    broadcasts.receive_media(ended, wall_us=at(14))
    changes = broadcasts.receive_media(media(12), wall_us=at(40))
    assert isinstance(changes[0], Reopened)
    assert (1, False) == (broadcasts.current.number, broadcasts.current.is_closed)


def test_media_later_or_with_another_numbering_opens_the_next_broadcast() -> None:
    """After a minute, or when the numbers do not continue, media after the close is a new airing."""
    ended = media(10, has_new=False, first_new_us=None, first_new_media_sequence=None, ended=True)
    for wall_s, sequence in ((14 + 61, 6), (30, 40)):
        broadcasts = opened()
        broadcasts.receive_media(ended, wall_us=at(14))
        again = media(12, media_sequence=sequence)
        assert isinstance(broadcasts.receive_media(again, wall_us=at(wall_s))[0], Opened)
        assert 2 == broadcasts.current.number


def test_next_weeks_class_in_the_same_room_is_a_broadcast_of_its_own() -> None:
    """A week after the end, a new run of the same playlist opens the next broadcast."""
    broadcasts = opened()
    ended = media(10, has_new=False, first_new_us=None, first_new_media_sequence=None, ended=True)
    broadcasts.receive_media(ended, wall_us=at(14))
    week_s = 7 * 24 * 3600
    changes = broadcasts.receive_media(media(week_s, run=2, media_sequence=0), wall_us=at(week_s + 3))
    assert "Opened" in kinds(changes)
    assert (2, at(week_s - 2)) == (broadcasts.current.number, broadcasts.current.start_us)


def test_silence_of_fifteen_minutes_closes() -> None:
    """An origin that answers nothing for so long has gone."""
    broadcasts = opened()
    assert [] == broadcasts.receive_tick(at(13) + 15 * MINUTE_US)
    assert [Closed(1, at(10), "silence")] == broadcasts.receive_tick(at(13) + 15 * MINUTE_US + 1)


def test_a_host_closes() -> None:
    """Closing is at the live edge and counts once."""
    broadcasts = opened()
    assert [Closed(1, at(10), "host")] == broadcasts.close("host", at(12))
    assert [] == broadcasts.close("host", at(12))


def test_a_room_without_stream_turns_at_midnight_utc() -> None:
    """One broadcast a day of chat, whose program time is wall time."""
    broadcasts = Broadcasts(has_stream=False)
    broadcasts.receive_tick(at(0))
    midnight_us = BASE_US + 8 * 3600 * S
    assert [] == broadcasts.receive_tick(midnight_us - 1)
    assert ["Closed", "Opened"] == kinds(broadcasts.receive_tick(midnight_us))


def test_an_encoder_restart_that_goes_forward_stays_in_its_broadcast() -> None:
    """A new run whose clock went on is the same airing, with a gap where nothing was encoded."""
    broadcasts = opened()
    changes = broadcasts.receive_media(media(32, run=2, media_sequence=0), wall_us=at(35))
    assert [StreamChanged(1, 2, at(30)), GapFound(1, Range(at(10), at(30)), "stream")] == changes
    assert 1 == broadcasts.current.number


def test_after_a_stall_arrivals_move_back_to_where_media_stopped() -> None:
    """The encoder stood still: what arrived meanwhile belongs to the last picture. Without arrivals nothing is logged."""
    for arrivals in (0, 2):
        broadcasts = opened()
        broadcasts.current.arrivals = arrivals
        changes = broadcasts.receive_media(media(12), wall_us=at(45))
        expected = [Restamp(1, "clamp", ("arrival",), to_us=at(10))] if arrivals else []
        assert expected == changes
        assert 0 == broadcasts.current.arrivals


def test_when_only_we_were_blind_arrivals_stay() -> None:
    """The media went on while we could not see it: coasting placed them rightly."""
    broadcasts = opened()
    broadcasts.current.arrivals = 2
    caught_up = replace(media(42), first_new_us=at(10), first_new_media_sequence=6)
    assert [] == broadcasts.receive_media(caught_up, wall_us=at(45))


def test_an_outage_with_a_jump_keeps_arrivals_where_they_are() -> None:
    """The program's clock went on through the outage, so did the chat."""
    broadcasts = opened()
    broadcasts.current.arrivals = 2
    changes = broadcasts.receive_media(media(42), wall_us=at(45))
    assert ["GapFound"] == kinds(changes)


def test_a_broadcast_survives_its_record() -> None:
    """What a restart reads is what was there, through JSON."""
    broadcasts = opened()
    record = json.loads(json.dumps(broadcasts.current.to_record()))
    restored = Broadcast.from_record(record)
    assert broadcasts.current.to_record() == restored.to_record()
    assert broadcasts.current.clock.program_us(at(20)) == restored.clock.program_us(at(20))


def test_the_latest_three_are_kept() -> None:
    """Viewers may be rewound into earlier broadcasts; older ones leave memory."""
    broadcasts = Broadcasts(has_stream=False)
    for day in range(5):
        broadcasts.receive_tick(at(day * 86_400))
    assert [3, 4, 5] == [broadcast.number for broadcast in broadcasts.kept]
    assert broadcasts.get(1) is None
