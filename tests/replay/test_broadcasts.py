"""Every way a broadcast opens and closes (contract §1)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import MINUTE_US, SECOND_US, Range
from chatsync.replay.broadcasts import (
    Broadcast,
    Broadcasts,
    Change,
    Closed,
    GapFound,
    Media,
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


def unchanged(edge_s: float = 10, **fields: Any) -> Media:
    """The same playlist once more."""
    return media(edge_s, has_new=False, first_new_us=None, first_new_media_sequence=None, **fields)


def end(edge_s: float = 10) -> Media:
    """The same playlist with an ENDLIST."""
    return unchanged(edge_s, ended=True)


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
    ended = end()
    assert [Closed(1, at(10), "ended")] == broadcasts.receive_media(ended, wall_us=at(14))
    assert [] == broadcasts.receive_media(ended, wall_us=at(15))
    assert at(97) == broadcasts.current.clock.program_us(at(100))


def test_an_end_taken_back_within_a_minute_reopens() -> None:
    """The media sequence goes on: the same broadcast is open again."""
    broadcasts = opened()
    ended = end()
    broadcasts.receive_media(ended, wall_us=at(14))
    changes = broadcasts.receive_media(media(12), wall_us=at(40))
    assert isinstance(changes[0], Reopened)
    assert (1, False) == (broadcasts.current.number, broadcasts.current.is_closed)


def test_media_later_or_with_another_numbering_opens_the_next_broadcast() -> None:
    """After a minute, or when the numbers do not continue, media after the close is a new airing."""
    ended = end()
    for wall_s, sequence in ((14 + 61, 6), (30, 40)):
        broadcasts = opened()
        broadcasts.receive_media(ended, wall_us=at(14))
        again = media(12, media_sequence=sequence)
        assert isinstance(broadcasts.receive_media(again, wall_us=at(wall_s))[0], Opened)
        assert 2 == broadcasts.current.number


def test_next_weeks_class_in_the_same_room_is_a_broadcast_of_its_own() -> None:
    """A week after the end, a new run of the same playlist opens the next broadcast."""
    broadcasts = opened()
    ended = end()
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


@pytest.mark.parametrize(("back_us", "number"), [(6 * S, 1), (6 * S + 1, 2)])
def test_the_hold_back_is_the_bound_of_a_fall_back(back_us: int, number: int) -> None:
    """Exactly the hold-back is the same airing, a microsecond more is another."""
    broadcasts = opened()
    first_us = at(10) - back_us
    broadcasts.receive_media(
        replace(media(10), first_new_us=first_us, edge_us=first_us + 2 * S, media_sequence=6), wall_us=at(13)
    )
    assert number == broadcasts.current.number


@pytest.mark.parametrize(("waited_us", "kind"), [(60 * S, Reopened), (60 * S + 1, Opened)])
def test_an_end_may_be_taken_back_for_exactly_a_minute(waited_us: int, kind: type) -> None:
    """Media that goes on at 60 s reopens, a microsecond later it is the next broadcast."""
    broadcasts = opened()
    broadcasts.receive_media(end(), wall_us=at(14))
    assert isinstance(broadcasts.receive_media(media(12), wall_us=at(14) + waited_us)[0], kind)


def test_an_end_is_not_taken_back_by_another_run() -> None:
    """The number may fit by chance: another numbering is another stream."""
    broadcasts = opened()
    broadcasts.receive_media(end(), wall_us=at(14))
    assert isinstance(broadcasts.receive_media(media(12, run=2), wall_us=at(20))[0], Opened)


def test_the_last_segments_may_come_with_the_end() -> None:
    """A reload that brings new media and the ENDLIST takes the media in and closes at its end."""
    broadcasts = opened()
    assert [Closed(1, at(12), "ended")] == broadcasts.receive_media(media(12, ended=True), wall_us=at(15))


def test_media_that_goes_on_and_ends_again_reopens_and_closes() -> None:
    """An ENDLIST that came too soon: the rest belongs to the same broadcast."""
    broadcasts = opened()
    broadcasts.receive_media(end(), wall_us=at(14))
    changes = broadcasts.receive_media(media(12, ended=True), wall_us=at(17))
    assert [Reopened(1), Closed(1, at(12), "ended")] == changes


def test_an_end_taken_back_clamps_who_wrote_after_it() -> None:
    """What arrived while the stream seemed over belongs to its last picture, since the programme went on from there."""
    broadcasts = opened()
    broadcasts.receive_media(end(), wall_us=at(14))
    broadcasts.current.arrivals = 1
    changes = broadcasts.receive_media(media(12), wall_us=at(40))
    assert [Reopened(1), Restamp(1, "clamp", ("arrival",), to_us=at(10))] == changes


def test_only_an_end_can_be_taken_back() -> None:
    """What a host closed stays closed; media that comes then is the next broadcast."""
    broadcasts = opened()
    broadcasts.close("host", at(12))
    assert [Opened(2, at(10), 6)] == broadcasts.receive_media(media(12), wall_us=at(15))[:1]
    assert at(10) == broadcasts.current.start_us


def test_a_playlist_that_stays_the_same_opens_nothing_after_the_close() -> None:
    """Last week's playlist is still there: nothing new, no broadcast."""
    broadcasts = opened()
    broadcasts.receive_media(end(), wall_us=at(14))
    for wall_s in (60, 600, 600_000):
        assert [] == broadcasts.receive_media(end(), wall_us=at(wall_s))
        assert [] == broadcasts.receive_tick(at(wall_s))
    assert 1 == broadcasts.current.number


def test_an_origin_that_repeats_itself_for_fifteen_minutes_has_gone_too() -> None:
    """An encoder that died leaves its playlist behind: answers without new media do not keep the broadcast open."""
    broadcasts = opened()
    for minute in range(1, 16):
        broadcasts.receive_media(unchanged(), wall_us=at(13) + minute * MINUTE_US)
        assert [] == broadcasts.receive_tick(at(13) + minute * MINUTE_US)
    assert [Closed(1, at(10), "silence")] == broadcasts.receive_tick(at(13) + 15 * MINUTE_US + 1)
    assert [] == broadcasts.receive_tick(at(13) + 60 * MINUTE_US)


def test_silence_does_not_close_a_room_that_still_waits() -> None:
    """Before the first program time there is no airing to end."""
    broadcasts = Broadcasts(has_stream=True)
    for hour in range(5):
        broadcasts.receive_tick(at(hour * 3600))
    assert not broadcasts.current.is_closed


def test_silence_is_as_long_as_the_room_says() -> None:
    """A room may be more patient, or less."""
    broadcasts = Broadcasts(has_stream=True, silence_us_max=MINUTE_US)
    broadcasts.receive_media(media(2), wall_us=at(5))
    assert [] == broadcasts.receive_tick(at(65))
    assert ["Closed"] == kinds(broadcasts.receive_tick(at(65) + 1))


@pytest.mark.parametrize("reason", ["ended", "host", "silence"])
def test_after_the_close_the_clock_coasts_and_nothing_stalls(reason: str) -> None:
    """However a broadcast closed, chat after it follows the end of the media, after a restart of the relay too."""
    broadcasts = opened()
    if reason == "ended":
        broadcasts.receive_media(end(), wall_us=at(14))
    elif reason == "host":
        broadcasts.close("host", at(14))
    else:
        broadcasts.receive_tick(at(14) + 20 * MINUTE_US)
    restored = Broadcast.from_record(broadcasts.current.to_record())
    for broadcast in (broadcasts.current, restored):
        assert reason == broadcast.closed_reason
        assert not broadcast.clock.is_stalled(at(7200))
        assert at(7197) == broadcast.clock.program_us(at(7200))


def test_next_weeks_media_tells_nothing_about_last_weeks_clock() -> None:
    """The broadcast that closed keeps its own figures; the new one begins with the media's."""
    broadcasts = opened()
    broadcasts.receive_media(end(), wall_us=at(14))
    broadcasts.receive_media(media(700_000, run=2, is_synthetic=True, target_duration_us=6 * S), wall_us=at(700_003))
    before, now = broadcasts.kept
    assert (2 * S, False) == (before.clock.target_duration_us, before.clock.is_synthetic)
    assert (6 * S, True) == (now.clock.target_duration_us, now.clock.is_synthetic)


def test_a_new_broadcast_is_born_with_its_clock() -> None:
    """After a fall-back the new broadcast's clock has the new axis; the old one's is what it was."""
    broadcasts = opened()
    broadcasts.receive_media(media(-3590, media_sequence=6), wall_us=at(13))
    old, new = broadcasts.kept
    assert (at(17), at(-3583)) == (old.clock.program_us(at(20)), new.clock.program_us(at(20)))


def test_the_rebase_is_whole_milliseconds() -> None:
    """What stood on a whole millisecond before stands on one afterwards."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_tick(at(0))
    [rebase] = broadcasts.receive_media(media(2), wall_us=at(5) + 123)
    assert Restamp(1, "rebase", ("none",), shift_us=-3 * S) == rebase


def test_the_rebase_takes_the_last_pin_along() -> None:
    """An encoder whose clock is an hour behind: what is pinned next does not have to wait an hour to be later."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_tick(at(0))
    broadcasts.current.last_origin_us = at(1)
    broadcasts.receive_media(media(-3600), wall_us=at(5))
    assert at(1 - 3605) == broadcasts.current.last_origin_us


def test_undated_media_keeps_a_room_waiting() -> None:
    """Without a date nothing is rebased; the date, when it comes, starts the broadcast."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_tick(at(0))
    assert [] == broadcasts.receive_media(media(None), wall_us=at(2))
    assert not broadcasts.current.clock.has_program_time
    assert ["Restamp"] == kinds(broadcasts.receive_media(media(4), wall_us=at(7)))
    assert at(2) == broadcasts.current.start_us


@pytest.mark.parametrize(("hole_us", "gaps"), [(0, 0), (100_000, 0), (100_001, 1), (1_500_000, 1), (3600 * S, 1)])
def test_a_jump_forward_makes_a_gap(hole_us: int, gaps: int) -> None:
    """More than a tenth of a second that no media covers is a gap; less is rounding. The broadcast goes on."""
    broadcasts = opened()
    first_us = at(10) + hole_us
    ahead = replace(media(12), first_new_us=first_us, edge_us=first_us + 2 * S)
    found = broadcasts.receive_media(ahead, wall_us=at(15) + hole_us)
    assert [GapFound(1, Range(at(10), first_us), "stream")] * gaps == found
    assert 1 == broadcasts.current.number


def test_a_restart_within_a_stream_is_told_with_its_run() -> None:
    """The new numbering is where the media goes on from now on; no gap where none was left."""
    broadcasts = opened()
    changes = broadcasts.receive_media(media(12, run=2, media_sequence=0), wall_us=at(15))
    assert [StreamChanged(1, 2, at(10))] == changes
    assert (2, 0, 1) == (
        broadcasts.current.last_run,
        broadcasts.current.last_media_sequence,
        broadcasts.current.first_run,
    )


def test_a_stall_is_told_once() -> None:
    """The first media after it moves what arrived; the next moves nothing more."""
    broadcasts = opened()
    broadcasts.current.arrivals = 2
    assert ["Restamp"] == kinds(broadcasts.receive_media(media(12), wall_us=at(45)))
    assert [] == broadcasts.receive_media(media(14), wall_us=at(47))


def test_an_unchanged_answer_ends_no_stall() -> None:
    """Only media does: what arrived stays counted until then."""
    broadcasts = opened()
    broadcasts.current.arrivals = 2
    assert [] == broadcasts.receive_media(unchanged(), wall_us=at(30))
    assert 2 == broadcasts.current.arrivals
    assert ["Restamp"] == kinds(broadcasts.receive_media(media(12), wall_us=at(45)))


def test_age_of_the_answer_counts() -> None:
    """A cached copy is as old as it says."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_media(media(2), wall_us=at(12), age_us=7 * S)
    assert 3 * S == broadcasts.current.clock.lag_us


def test_a_restart_goes_on_with_the_broadcast_it_left() -> None:
    """Restored broadcasts take the next media as if nothing had been; numbers go on."""
    before = opened()
    records = [json.loads(json.dumps(broadcast.to_record())) for broadcast in before.kept]
    after = Broadcasts(has_stream=True, known=tuple(Broadcast.from_record(record) for record in records))
    assert [] == after.receive_tick(at(14))
    assert [] == after.receive_media(media(12), wall_us=at(15))
    fell_back = after.receive_media(media(-100, media_sequence=7), wall_us=at(17))
    assert [Closed(1, at(12), "program_time_fell_back"), Opened(2, at(-102), 7)] == fell_back[:2]


@pytest.mark.parametrize("state", ["waiting", "flowing", "closed", "synthetic"])
def test_a_record_holds_what_matters(state: str) -> None:
    """Through JSON and back the record is the same, and so are the answers that stamps are made from."""
    broadcasts = Broadcasts(has_stream=True)
    broadcasts.receive_tick(at(0))
    if state != "waiting":
        broadcasts = opened()
    if state == "synthetic":
        broadcasts.receive_media(media(12, is_synthetic=True), wall_us=at(15))
    if state == "closed":
        broadcasts.close("host", at(14))
    broadcasts.current.last_origin_us, broadcasts.current.arrivals = at(9), 3
    record = json.loads(json.dumps(broadcasts.current.to_record()))
    restored = Broadcast.from_record(record)
    assert record == restored.to_record()
    old, new = broadcasts.current.clock, restored.clock
    for wall_us in (at(15), at(18), at(60)):
        assert old.program_us(wall_us) == new.program_us(wall_us)
        assert old.is_stalled(wall_us) == new.is_stalled(wall_us)
    assert old.is_synthetic == new.is_synthetic


reloads = st.lists(
    st.tuples(
        st.integers(0, 1200),  # seconds since the reload before
        st.sampled_from(["next", "same", "end", "back", "jump", "restart", "undated", "host", "tick"]),
    ),
    max_size=40,
)


@given(reloads)
def test_whatever_comes_broadcasts_are_told_in_order(steps: list[tuple[int, str]]) -> None:
    """Numbers rise by one, each opens once and closes at most once before it reopens, gaps lie forward, records hold."""
    broadcasts = Broadcasts(has_stream=True)
    wall_s, edge_s, run, sequence = 0.0, 0.0, 1, 0
    changes = broadcasts.receive_tick(at(0))
    for waited_s, what in steps:
        wall_s += waited_s
        if what == "tick":
            changes += broadcasts.receive_tick(at(wall_s))
            continue
        if what == "host":
            changes += broadcasts.close("host", at(wall_s))
            continue
        if what in {"same", "end"}:
            changes += broadcasts.receive_media(
                unchanged(edge_s, run=run, media_sequence=sequence, ended=what == "end"), wall_us=at(wall_s)
            )
            continue
        edge_s += {"back": -98.0, "jump": 52.0}.get(what, 2.0)
        run, sequence = (run + 1, 0) if what == "restart" else (run, sequence + 1)
        changes += broadcasts.receive_media(
            media(None if what == "undated" else edge_s, run=run, media_sequence=sequence), wall_us=at(wall_s)
        )
    is_open: dict[int, bool] = {}
    for change in changes:
        match change:
            case Opened(broadcast=number):
                assert number == len(is_open) + 1
                assert not any(is_open.values())
                is_open[number] = True
            case Closed(broadcast=number) | Reopened(broadcast=number):
                assert isinstance(change, Closed) == is_open[number]
                is_open[number] = not is_open[number]
            case GapFound(range=gap):
                assert gap.duration_us > 0
                assert is_open[change.broadcast]
            case _:
                assert is_open[change.broadcast]
    assert len(is_open) == broadcasts.current.number
    assert broadcasts.current.is_closed != is_open[broadcasts.current.number]
    for broadcast in broadcasts.kept:
        assert broadcast.to_record() == Broadcast.from_record(broadcast.to_record()).to_record()


def test_a_broadcast_of_a_file_is_never_the_one_that_is_on() -> None:
    """Chat that was brought in ends nothing: the room goes on with its own, and its next one counts on from all."""
    own = opened()
    record = own.current.to_record() | {
        "number": 2,
        "closed_wall_us": at(5),
        "closed_reason": "imported",
        "is_imported": True,
    }
    imported = Broadcast.from_record(record)
    assert True is imported.to_record()["is_imported"]
    broadcasts = Broadcasts(has_stream=True, known=(own.current, imported))
    assert (1, 2, True) == (broadcasts.current.number, broadcasts.latest_number, broadcasts.has_begun)
    assert [] == broadcasts.receive_media(media(12), wall_us=at(15))
    broadcasts.close("host", at(16))
    broadcasts.receive_media(media(14), wall_us=at(17))
    assert 3 == broadcasts.current.number


def test_a_room_with_chat_of_files_alone_opens_its_own() -> None:
    """On the first tick, as one that has none."""
    imported = Broadcast(1, at(0), closed_wall_us=at(5), is_imported=True)
    for has_stream in (True, False):
        broadcasts = Broadcasts(has_stream=has_stream, known=(imported,))
        assert False is broadcasts.has_begun
        assert [Opened(2, None, None)] == broadcasts.receive_tick(at(100))
        assert 2 == broadcasts.current.number
