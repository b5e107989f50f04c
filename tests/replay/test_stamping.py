"""Each row of the stamp table in contract §1, at its bounds and one past them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import KINDS, MESSAGE_KINDS
from chatsync.instants import SECOND_US
from chatsync.replay.clock import LatencyBook, ProgramClock
from chatsync.replay.stamping import (
    FRAME_US,
    ORIGIN_KINDS,
    Claim,
    Playhead,
    Scene,
    StampingPolicy,
    Witness,
    stamped,
    watermark_us,
)
from tests.builders import BASE_US

S = SECOND_US
NOW_WALL = BASE_US + 103 * S  # the clock below then says BASE_US + 100 s


def scene(wall_us: int = NOW_WALL, *, lag_s: float = 3, latencies: LatencyBook | None = None, **fields: Any) -> Scene:
    """A room whose clock is ``lag_s`` behind wall time and whose media is fresh."""
    clock = ProgramClock()
    edge_us = wall_us - round(lag_s * S)
    clock.receive_edge(edge_us, wall_us=wall_us)
    policy = StampingPolicy(**fields)
    return Scene(1, clock, latencies or LatencyBook(), policy, wall_us)


def watching(program_us: int, *, broadcast: int = 1, reported_us: int | None = None, **fields: Any) -> Witness:
    """Somebody who claims ``program_us`` now and reported the same (or ``reported_us``) a moment ago."""
    playhead = Playhead(broadcast, program_us if reported_us is None else reported_us, NOW_WALL, **fields)
    return Witness(playhead=playhead, claim=Claim(broadcast, program_us))


PICTURE = BASE_US + 92 * S


def test_a_believed_claim_is_the_stamp() -> None:
    """A claim that fits its reports and the clock is taken as it is, with a frame's uncertainty."""
    stamp = stamped("message", watching(PICTURE), scene())
    assert ("playhead", PICTURE, FRAME_US) == (stamp.stamp, stamp.program_us, stamp.uncertainty_us)
    assert (PICTURE, 8 * S) == (stamp.claimed_us, stamp.latency_us)


@pytest.mark.parametrize(
    ("off_us", "kind"), [(5 * S, "playhead"), (5 * S + 1, "estimate"), (-5 * S, "playhead"), (-5 * S - 1, "estimate")]
)
def test_a_claim_must_be_within_five_seconds_of_where_playheads_lead(off_us: int, kind: str) -> None:
    """A claim that jumps about is not believed."""
    assert kind == stamped("message", watching(PICTURE, reported_us=PICTURE + off_us), scene()).stamp


@pytest.mark.parametrize(("ahead_us", "kind"), [(2 * S, "playhead"), (2 * S + 1, "estimate"), (60 * S, "estimate")])
def test_nobody_has_seen_the_future(ahead_us: int, kind: str) -> None:
    """A playhead more than 2 s ahead of the program clock is not believed."""
    assert kind == stamped("message", watching(BASE_US + 100 * S + ahead_us), scene()).stamp


@pytest.mark.parametrize(("behind_us", "kind"), [(600 * S, "playhead"), (600 * S + 1, "estimate")])
def test_one_may_write_from_a_rewound_picture_up_to_ten_minutes_back(behind_us: int, kind: str) -> None:
    """The rewind bound holds exactly; further back the message goes to the edge."""
    assert kind == stamped("message", watching(BASE_US + 100 * S - behind_us), scene()).stamp


def test_a_claim_without_any_report_is_not_believed() -> None:
    """A connection that never reported a playhead gets an estimate."""
    assert "estimate" == stamped("message", Witness(claim=Claim(1, PICTURE)), scene()).stamp


def test_a_claim_in_another_broadcast_is_not_believed_here() -> None:
    """Program time of one broadcast says nothing in another."""
    assert "estimate" == stamped("message", watching(PICTURE, broadcast=2), scene()).stamp


def test_playheads_lead_on_by_their_rate_and_stand_when_paused() -> None:
    """2x leads twice as far; a paused picture leads nowhere."""
    assert BASE_US + 20 * S == Playhead(1, BASE_US, NOW_WALL, rate=2.0).leads_to_us(NOW_WALL + 10 * S)
    assert BASE_US == Playhead(1, BASE_US, NOW_WALL, paused=True).leads_to_us(NOW_WALL + 10 * S)


def test_how_far_behind_the_rooms_usual_latency_is_told() -> None:
    """A rewound author's message says how far behind it is."""
    rewound = stamped("message", watching(BASE_US + 40 * S), scene())
    assert 54 * S == rewound.behind_live_us


def test_without_playhead_the_rooms_latency_is_taken_off() -> None:
    """Hold-back while nobody has told, then the median of those at the edge, with its spread."""
    plain = stamped("message", Witness(), scene())
    assert ("estimate", BASE_US + 94 * S, S) == (plain.stamp, plain.program_us, plain.uncertainty_us)
    latencies = LatencyBook()
    for person, latency_s in enumerate((4, 8, 20)):
        latencies.receive_report(str(person), latency_s * S, wall_us=NOW_WALL)
    crowd = stamped("message", Witness(), scene(latencies=latencies))
    assert (BASE_US + 92 * S, 8 * S) == (crowd.program_us, crowd.uncertainty_us)


def test_one_viewer_is_better_than_hold_back() -> None:
    """Their latency is taken; how far it is from hold-back is how far off it may be for the others."""
    latencies = LatencyBook()
    latencies.receive_report("only one", 9 * S, wall_us=NOW_WALL)
    made = stamped("message", Witness(), scene(latencies=latencies))
    assert ("estimate", 9 * S, 3 * S) == (made.stamp, made.latency_us, made.uncertainty_us)


def test_a_host_at_the_camera_is_at_wall_time_plus_contribution() -> None:
    """The teacher speaks at the camera's now."""
    host = stamped("message", Witness(is_host=True), scene(contribution_us=250_000))
    assert ("origin", NOW_WALL + 250_000, 3 * S) == (host.stamp, host.program_us, host.uncertainty_us)


def test_a_clock_of_its_own_is_the_cameras_now() -> None:
    """Where the encoder's clock cannot be wall time, the host speaks at the program clock."""
    host = stamped("message", Witness(is_host=True), scene(lag_s=3600))
    assert NOW_WALL - 3600 * S == host.program_us


def test_a_host_who_watches_is_stamped_as_a_viewer() -> None:
    """Behind the player, a host's message belongs to their picture."""
    playhead = Playhead(1, PICTURE, NOW_WALL)
    host = stamped("message", Witness(True, playhead, Claim(1, PICTURE)), scene())
    assert "playhead" == host.stamp


@pytest.mark.parametrize("kind", ["pinned", "unpinned", "mode_changed", "poll_opened", "poll_closed"])
def test_pins_polls_and_modes_are_stamped_at_the_origin_whoever_acts(kind: str) -> None:
    """What is enforced at the edge stands at the encoder's now, also while the origin stalls."""
    stalled = scene()
    later = Scene(1, stalled.clock, stalled.latencies, stalled.policy, NOW_WALL + 60 * S)
    for now in (stalled, later):
        assert "origin" == stamped(kind, watching(PICTURE), now).stamp


def test_never_before_the_last_one() -> None:
    """An event about another does not stand before it; the result is a whole millisecond at or after."""
    stamp = stamped("question_answered", watching(PICTURE), scene(), not_before_us=PICTURE + 1_500)
    assert PICTURE + 2_000 == stamp.program_us


@pytest.mark.parametrize("ended", [False, True])
def test_at_the_edge_of_a_stalled_or_ended_stream_arrival_beats_playhead(ended: bool) -> None:
    """Whoever waits where the media stopped is stamped by arrival."""
    base = scene()
    base.clock.ended = ended
    edge_us = base.clock.edge_us
    assert edge_us is not None
    later = Scene(1, base.clock, base.latencies, base.policy, NOW_WALL + 30 * S)
    waiting = Witness(playhead=Playhead(1, edge_us, NOW_WALL, paused=True), claim=Claim(1, edge_us))
    stamp = stamped("message", waiting, later)
    assert ("arrival", edge_us + 30 * S) == (stamp.stamp, stamp.program_us)
    assert 33 * S == stamp.uncertainty_us
    rewound = Witness(playhead=Playhead(1, PICTURE - 60 * S, NOW_WALL + 30 * S), claim=Claim(1, PICTURE - 60 * S))
    assert "playhead" == stamped("message", rewound, later).stamp


def test_before_the_first_program_time_nothing_is_stamped() -> None:
    """Waiting for a stream, events say none and stand at wall time."""
    waiting = Scene(1, ProgramClock(), LatencyBook(), StampingPolicy(), NOW_WALL)
    stamp = stamped("message", watching(PICTURE), waiting)
    assert ("none", NOW_WALL) == (stamp.stamp, stamp.program_us)


def test_on_a_synthetic_axis_every_stamp_says_none() -> None:
    """A stream that never gives a date places messages but vouches for nothing."""
    synthetic = scene()
    synthetic.clock.is_synthetic = True
    stamp = stamped("message", watching(PICTURE), synthetic)
    assert ("none", PICTURE) == (stamp.stamp, stamp.program_us)


@pytest.mark.parametrize("odd_us", [1, 499, 999])
def test_stamps_are_whole_milliseconds(odd_us: int) -> None:
    """Whatever was claimed, a stamp never carries a part of a millisecond."""
    for witness in (watching(PICTURE + odd_us), Witness(), Witness(is_host=True)):
        assert 0 == stamped("message", witness, scene(NOW_WALL + odd_us)).program_us % 1000


def test_the_watermark_waits_for_a_stream_and_at_the_edge_of_a_stall() -> None:
    """None while a stream is awaited; clock less hold-back and 5 s; never past the edge of a stalled stream."""
    waiting = Scene(1, ProgramClock(), LatencyBook(), StampingPolicy(), NOW_WALL)
    assert watermark_us(waiting) is None
    assert NOW_WALL - 11 * S == watermark_us(waiting, awaits_stream=False)
    flowing = scene()
    assert BASE_US + 89 * S == watermark_us(flowing)
    stalled = Scene(1, flowing.clock, flowing.latencies, flowing.policy, NOW_WALL + 60 * S)
    assert flowing.clock.edge_us == watermark_us(stalled)
    flowing.clock.ended = True
    assert BASE_US + 149 * S == watermark_us(stalled)


def test_the_slowest_viewers_hold_the_watermark_back() -> None:
    """The 99th percentile of latency counts when it is above the hold-back."""
    latencies = LatencyBook()
    latencies.receive_report("slow", 25 * S, wall_us=NOW_WALL)
    assert BASE_US + 70 * S == watermark_us(scene(latencies=latencies))


def test_a_paused_picture_is_believed_however_long_it_stands() -> None:
    """Somebody who paused and thinks for a minute writes about that picture."""
    paused = Playhead(1, PICTURE, NOW_WALL - 60 * S, paused=True)
    stamp = stamped("message", Witness(playhead=paused, claim=Claim(1, PICTURE)), scene())
    assert ("playhead", PICTURE) == (stamp.stamp, stamp.program_us)


@pytest.mark.parametrize(("claim_s", "kind"), [(60, "playhead"), (65, "playhead"), (66, "estimate"), (54, "estimate")])
def test_a_claim_at_double_speed_is_where_double_speed_leads(claim_s: int, kind: str) -> None:
    """A report of 10 s ago at 2x leads 20 s on, give or take five."""
    fast = Playhead(1, BASE_US + 40 * S, NOW_WALL - 10 * S, rate=2.0)
    witness = Witness(playhead=fast, claim=Claim(1, BASE_US + claim_s * S))
    assert kind == stamped("message", witness, scene()).stamp


def test_claims_that_jump_about_are_stamped_at_the_edge() -> None:
    """A player that claims another place with each message than it reports is not followed there."""
    for claimed_s in (-400, 40, -30, 85):
        witness = Witness(playhead=Playhead(1, PICTURE, NOW_WALL), claim=Claim(1, BASE_US + claimed_s * S))
        stamp = stamped("message", witness, scene())
        assert ("estimate", BASE_US + 94 * S) == (stamp.stamp, stamp.program_us)
        assert BASE_US + claimed_s * S == stamp.claimed_us


def test_a_report_from_another_broadcast_vouches_for_nothing() -> None:
    """The claim names this broadcast, the connection's reports another."""
    witness = Witness(playhead=Playhead(2, PICTURE, NOW_WALL), claim=Claim(1, PICTURE))
    assert "estimate" == stamped("message", witness, scene()).stamp


def test_the_media_position_of_a_believed_claim_is_kept() -> None:
    """Run, media sequence and place in the segment travel with the stamp; with an estimate they do not."""
    claim = Claim(1, PICTURE, media_sequence=46, into_segment_us=345_000, run=2)
    believed = stamped("message", Witness(playhead=Playhead(1, PICTURE, NOW_WALL), claim=claim), scene())
    assert (2, 46, 345_000) == (believed.run, believed.media_sequence, believed.into_segment_us)
    doubted = stamped("message", Witness(claim=claim), scene())
    assert (None, None, None) == (doubted.run, doubted.media_sequence, doubted.into_segment_us)


def test_rewind_posting_follows_the_rooms_own_figure() -> None:
    """A room that allows no writing from the past gives the edge to whoever tries."""
    for rewind_s, kind in ((7, "estimate"), (8, "playhead")):
        assert kind == stamped("message", watching(PICTURE), scene(rewind_posting_us=rewind_s * S)).stamp


@pytest.mark.parametrize("kind", sorted(set(KINDS) - MESSAGE_KINDS - ORIGIN_KINDS))
def test_an_act_without_a_claim_stands_where_its_playhead_leads(kind: str) -> None:
    """Upvotes, hands, answers and hides belong to the picture of who does them; an utterance must bring its claim."""
    witness = Witness(playhead=Playhead(1, PICTURE - 10 * S, NOW_WALL - 10 * S))
    stamp = stamped(kind, witness, scene())
    assert ("playhead", PICTURE) == (stamp.stamp, stamp.program_us)
    assert "estimate" == stamped("message", witness, scene()).stamp


def test_an_act_whose_playhead_is_elsewhere_is_stamped_as_a_message_is() -> None:
    """A report from another broadcast, or from too far back, leads to no picture of this one."""
    for playhead in (Playhead(2, PICTURE, NOW_WALL), Playhead(1, PICTURE - 600 * S, NOW_WALL, paused=True)):
        assert "estimate" == stamped("hand_raised", Witness(playhead=playhead), scene()).stamp


def test_a_quiet_crowd_is_uncertain_by_half_a_target_duration() -> None:
    """However well people agree, an estimate is no better than that."""
    latencies = LatencyBook()
    for person in range(5):
        latencies.receive_report(str(person), 8 * S, wall_us=NOW_WALL)
    stamp = stamped("message", Witness(), scene(latencies=latencies, target_duration_us=6 * S))
    assert (BASE_US + 92 * S, 3 * S) == (stamp.program_us, stamp.uncertainty_us)


@pytest.mark.parametrize(
    ("lag_s", "expected_us"), [(0, NOW_WALL), (15, NOW_WALL), (16, NOW_WALL - 16 * S), (-1, NOW_WALL + S)]
)
def test_the_cameras_now_is_wall_time_only_while_the_lag_is_plausible(lag_s: int, expected_us: int) -> None:
    """An encoder whose clock is ahead, or more than 15 s behind, has a clock of its own."""
    for kind in ("poll_opened", "message"):
        stamp = stamped(kind, Witness(is_host=True), scene(lag_s=lag_s))
        assert ("origin", expected_us, abs(lag_s) * S) == (stamp.stamp, stamp.program_us, stamp.uncertainty_us)


def test_polls_carry_the_contribution_too() -> None:
    """Camera to encoder takes its time for a poll as for a word."""
    assert NOW_WALL + 2 * S == stamped("poll_opened", Witness(), scene(contribution_us=2 * S)).program_us


@pytest.mark.parametrize(("stalled_us", "kind"), [(4 * S, "playhead"), (4 * S + 1, "arrival")])
def test_arrival_begins_with_the_stall(stalled_us: int, kind: str) -> None:
    """Two target durations without media are no stall yet."""
    base = scene()
    edge_us = NOW_WALL - 3 * S
    later = Scene(1, base.clock, base.latencies, base.policy, NOW_WALL + stalled_us)
    waiting = Witness(playhead=Playhead(1, edge_us, NOW_WALL, paused=True), claim=Claim(1, edge_us))
    assert kind == stamped("message", waiting, later).stamp


@pytest.mark.parametrize(("short_us", "kind"), [(2 * S, "arrival"), (2 * S + 1, "playhead")])
def test_the_edge_is_the_last_target_duration_of_media(short_us: int, kind: str) -> None:
    """Who still plays what lies before it has a picture of their own."""
    base = scene()
    shown_us = NOW_WALL - 3 * S - short_us
    later = Scene(1, base.clock, base.latencies, base.policy, NOW_WALL + 20 * S)
    playing = Witness(playhead=Playhead(1, shown_us, NOW_WALL + 20 * S), claim=Claim(1, shown_us))
    assert kind == stamped("message", playing, later).stamp


def test_who_said_nothing_of_a_picture_waits_at_the_edge_of_a_stall() -> None:
    """Foreign chats and hosts at the camera are stamped by arrival while nothing moves."""
    base = scene()
    later = Scene(1, base.clock, base.latencies, base.policy, NOW_WALL + 20 * S)
    for witness in (Witness(), Witness(is_host=True)):
        stamp = stamped("message", witness, later)
        assert ("arrival", BASE_US + 120 * S, 23 * S) == (stamp.stamp, stamp.program_us, stamp.uncertainty_us)


def test_who_watches_another_broadcast_is_not_at_the_edge_of_this_one() -> None:
    """A viewer rewound into last week is not stamped by arrival here."""
    base = scene()
    later = Scene(1, base.clock, base.latencies, base.policy, NOW_WALL + 20 * S)
    elsewhere = Witness(playhead=Playhead(7, PICTURE, NOW_WALL), claim=Claim(7, PICTURE))
    assert "estimate" == stamped("message", elsewhere, later).stamp


def test_never_before_the_last_one_changes_nothing_that_is_later() -> None:
    """The bound moves only what lies before it."""
    free = stamped("poll_closed", Witness(), scene())
    assert free == stamped("poll_closed", Witness(), scene(), not_before_us=free.program_us)
    moved = stamped("poll_closed", Witness(), scene(), not_before_us=free.program_us + 1)
    assert msgspec.structs.replace(free, program_us=free.program_us + 1000) == moved


@given(
    kind=st.sampled_from(sorted(KINDS)),
    is_host=st.booleans(),
    lag_us=st.integers(-20 * S, 20 * S),
    waited_us=st.integers(0, 700 * S),
    claim_us=st.none() | st.integers(-700 * S, 100 * S),
    report_us=st.none() | st.integers(-700 * S, 100 * S),
    rate=st.sampled_from([0.5, 1.0, 1.25, 2.0]),
    ended=st.booleans(),
    not_before_us=st.none() | st.integers(-100 * S, 100 * S),
    contribution_us=st.integers(0, S),
)
def test_every_stamp_is_a_whole_millisecond_in_its_broadcast(
    *,
    kind: str,
    is_host: bool,
    lag_us: int,
    waited_us: int,
    claim_us: int | None,
    report_us: int | None,
    rate: float,
    ended: bool,
    not_before_us: int | None,
    contribution_us: int,
) -> None:
    """Whatever is known of an author: whole milliseconds, no negative uncertainty, not before its bound, at most 2 s ahead."""
    base = scene(lag_s=lag_us / S, contribution_us=contribution_us)
    base.clock.ended = ended
    wall_us = NOW_WALL + waited_us
    now = Scene(1, base.clock, base.latencies, base.policy, wall_us)
    witness = Witness(
        is_host,
        None if report_us is None else Playhead(1, NOW_WALL + report_us, NOW_WALL, rate=rate),
        None if claim_us is None else Claim(1, wall_us + claim_us),
    )
    bound_us = None if not_before_us is None else NOW_WALL + not_before_us
    stamp = stamped(kind, witness, now, not_before_us=bound_us)
    assert 0 == stamp.program_us % 1000
    assert 1 == stamp.broadcast
    assert stamp.uncertainty_us >= 0
    assert stamp.behind_live_us >= 0
    assert bound_us is None or stamp.program_us >= bound_us
    latest_us = max(wall_us + contribution_us, now.now_us + 2 * S, (bound_us or 0) + 999)
    assert stamp.program_us <= latest_us + contribution_us
    if kind in ORIGIN_KINDS:
        assert "origin" == stamp.stamp
    if stamp.stamp == "arrival":
        assert ended or waited_us > 4 * S


def test_a_stall_behind_a_slow_crowd_waits_where_the_crowd_does() -> None:
    """The watermark of a stalled stream is the edge at most, and less while people are still far behind."""
    latencies = LatencyBook()
    latencies.receive_report("slow", 60 * S, wall_us=NOW_WALL)
    base = scene(latencies=latencies)
    stalled = Scene(1, base.clock, latencies, base.policy, NOW_WALL + 5 * S)
    assert BASE_US + 105 * S - 65 * S == watermark_us(stalled)


def test_a_room_that_has_a_date_is_sealed_whether_a_stream_is_awaited_or_not() -> None:
    """The first program time starts sealing."""
    assert watermark_us(scene(), awaits_stream=True) == watermark_us(scene(), awaits_stream=False)
