"""chatsync.hls.timeline: program time to place and back, and a history that does not depend on how it was seen."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from chatsync.hls.timeline import Place, Segment, Timeline
from chatsync.instants import MINUTE_US, SECOND_US, Range
from tests.hls.builders import NOON_US, URL, Media, all_segments, fed, live, media_text, parsed, stream
from tests.hls.schedules import Schedule, schedules

NOTHING = Timeline.empty()


def at(seconds: float) -> int:
    """Program time, s after noon."""
    return NOON_US + round(seconds * SECOND_US)


def jumpy(*starts: float) -> Timeline:
    """A run of 2 s segments at these program times, s after noon."""
    media = [Media(f"s{n}.ts", program_us=at(start)) for n, start in enumerate(starts)]
    return fed(parsed(media_text(media)))[0]


# --- what an empty timeline says -----------------------------------------------------------------------------------------


def test_an_empty_timeline_answers_everything_with_nothing() -> None:
    """Before the first answer there is no edge, window, place or gap."""
    assert (None, None, None, (), (), ()) == (
        NOTHING.live_edge,
        NOTHING.window,
        NOTHING.hold_back_us,
        NOTHING.locate(NOON_US),
        NOTHING.gaps(),
        NOTHING.regions,
    )
    assert () == NOTHING.segments(1)
    assert NOTHING.program_us_at(1, 0, 0) is None
    assert NOTHING is NOTHING.with_synthetic_axis(NOON_US)


def test_an_empty_playlist_opens_no_run() -> None:
    """A stream that waits for its encoder has no media yet."""
    timeline, reloads = fed(parsed("#EXTM3U\n#EXT-X-TARGETDURATION:2\n"), live(stream(3), 0, 2))
    assert ["same", "first"] == [reload.kind for reload in reloads]
    assert 1 == len(timeline.runs)


# --- places ------------------------------------------------------------------------------------------------------------------


def test_an_instant_lies_in_the_segment_that_has_it() -> None:
    """Half-open: the end of one segment is the start of the next; the live edge is nowhere yet."""
    timeline = jumpy(0, 2, 4)
    assert (Place(1, 0, 0, "exact"),) == timeline.locate(at(0))
    assert (Place(1, 0, 1_999_999, "exact"),) == timeline.locate(at(2) - 1)
    assert (Place(1, 1, 0, "exact"),) == timeline.locate(at(2))
    assert () == timeline.locate(at(6))
    assert () == timeline.locate(at(0) - 1)


def test_an_instant_in_a_gap_is_clamped_to_the_segment_that_follows() -> None:
    """Program time jumped forward: the outage has no media."""
    timeline = jumpy(0, 2, 60, 62)
    assert (Place(1, 2, 0, "gap"),) == timeline.locate(at(30))
    assert (Range(at(4), at(60)),) == timeline.gaps()


def test_a_hole_of_rounding_is_no_gap() -> None:
    """Dates in whole milliseconds leave less than the tolerance open."""
    timeline = jumpy(0, 2.05, 4.05)
    assert (Place(1, 1, 0, "exact"),) == timeline.locate(at(2.02))
    assert () == timeline.gaps()
    assert 1 == len(timeline.regions)


def test_an_instant_shown_twice_lies_in_two_places_the_newest_first() -> None:
    """Program time fell back; a hint by media sequence or run puts the other first."""
    timeline = jumpy(0, 2, 4, 6, 2, 4)
    assert (Place(1, 4, 500_000, "exact"), Place(1, 1, 500_000, "exact")) == timeline.locate(at(2.5))
    assert 1 == timeline.locate(at(2.5), media_sequence=0)[0].media_sequence
    assert [0, 4] == [region.media_sequence for region in timeline.regions]
    assert [0, -6 * SECOND_US] == [region.jump_us for region in timeline.regions]


def test_an_overlap_belongs_to_the_newer_segment_first() -> None:
    """A fall-back within a segment: both have the instant."""
    timeline = jumpy(0, 2, 3)
    assert [2, 1] == [place.media_sequence for place in timeline.locate(at(3.5))]


def test_a_gap_between_runs_is_clamped_into_the_later_one() -> None:
    """The encoder was away for a minute; both runs are one stretch of program time with a hole."""
    timeline, reloads = fed(live(stream(4), 0, 4), live(stream(4, start_us=at(68), name="new"), 0, 2))
    assert (Place(2, 0, 0, "gap"),) == timeline.locate(at(30))
    assert () == timeline.locate(at(30), run=1)
    assert (Range(at(8), at(68)),) == timeline.gaps()
    assert Range(at(8), at(68)) == reloads[1].program_gap


def test_the_same_instant_in_two_runs_is_found_in_the_newest_first() -> None:
    """An encoder that starts again with its clock behind."""
    timeline, _ = fed(live(stream(4), 0, 4), live(stream(4, start_us=at(4), name="new"), 0, 2))
    assert [(2, 0), (1, 2)] == [(one.run, one.media_sequence) for one in timeline.locate(at(4.5))]
    assert [(1, 2)] == [(one.run, one.media_sequence) for one in timeline.locate(at(4.5), run=1)]


@given(
    jumps=st.lists(st.integers(-30_000, 30_000), min_size=1, max_size=30),
    pick=st.integers(0, 29),
    into_us=st.integers(0, 1_999_999),
)
def test_locating_is_the_inverse_of_program_time(jumps: list[int], pick: int, into_us: int) -> None:
    """Whatever program time does, a place's instant is found at that place among others, and every place has the instant."""
    start_us, media = at(0), []
    for index, jump_ms in enumerate(jumps):
        media.append(Media(f"s{index}.ts", program_us=start_us))
        start_us += 2 * SECOND_US + jump_ms * 1000 * (abs(jump_ms) > 200)
    timeline, _ = fed(parsed(media_text(media)))
    number = pick % len(jumps)
    program_us = timeline.program_us_at(1, number, into_us)
    assert program_us is not None
    places = timeline.locate(program_us)
    assert (number, into_us) in [(one.media_sequence, one.into_segment_us) for one in places]
    assert {program_us} == {timeline.program_us_at(one.run, one.media_sequence, one.into_segment_us) for one in places}
    assert program_us in {
        timeline.program_us_at(1, one.media_sequence, one.into_segment_us)
        for one in timeline.locate(program_us, run=1, media_sequence=number)[:1]
    }


@given(starts=st.lists(st.integers(0, 200), min_size=1, max_size=20), instant=st.integers(0, 210))
def test_an_instant_is_in_a_gap_exactly_if_no_segment_has_it(starts: list[int], instant: int) -> None:
    """``locate`` and ``gaps`` agree with a scan over all segments."""
    timeline = jumpy(*starts)
    has = [n for n, start in enumerate(starts) if start <= instant < start + 2]
    places = timeline.locate(at(instant))
    within = any(gap.covers(at(instant)) for gap in timeline.gaps())
    if has:
        assert sorted(has) == sorted(one.media_sequence for one in places)
        assert not within
    elif min(starts) <= instant < max(starts):
        assert within
        assert ["gap"] == [one.quality for one in places]
        assert min(start for start in starts if start > instant) == starts[places[0].media_sequence]
    else:
        assert (() == places) == (not within)


def test_program_time_stops_at_the_end_of_a_segment() -> None:
    """It runs at 1x inside and is clamped at the next anchor."""
    timeline = jumpy(0, 2, 60)
    assert at(4) == timeline.program_us_at(1, 1, 5 * SECOND_US)
    assert at(2) == timeline.program_us_at(1, 1, -5)
    assert timeline.program_us_at(1, 9, 0) is None
    assert timeline.program_us_at(2, 0, 0) is None


def test_the_open_segment_can_be_located_and_may_run_ahead_of_its_parts() -> None:
    """Players load parts before we do."""
    tail = '#EXT-X-PART:DURATION=0.5,URI="p0"\n#EXT-X-PART:DURATION=0.5,URI="p1"'
    timeline, _ = fed(parsed(media_text(stream(2), tail=tail)))
    assert (Place(1, 2, 750_000, "exact"),) == timeline.locate(at(4.75))
    assert at(5.5) == timeline.program_us_at(1, 2, 1_500_000)
    edge = timeline.live_edge
    assert edge is not None
    assert (2, 2, at(5)) == (edge.media_sequence, edge.part_count, edge.program_us)


# --- the window ------------------------------------------------------------------------------------------------------------


def test_the_window_is_what_is_listed_now() -> None:
    """What slid out stays known and can be located."""
    media = stream(30)
    timeline, _ = fed(*(live(media, n, n + 5) for n in range(20)))
    window = timeline.window
    assert window is not None
    assert (19, 23, Range(at(38), at(48))) == (window.first_media_sequence, window.last_media_sequence, window.program)
    assert (Place(1, 0, 0, "exact"),) == timeline.locate(at(0))
    assert 6 * SECOND_US == timeline.hold_back_us


def test_the_hold_back_is_what_the_origin_says() -> None:
    """HOLD-BACK wins over three target durations."""
    text = media_text(stream(2), header="#EXT-X-SERVER-CONTROL:HOLD-BACK=7.5")
    assert 7_500_000 == fed(parsed(text))[0].hold_back_us


# --- a history does not depend on how it was seen --------------------------------------------------------------------------


@given(schedule=schedules())
@settings(max_examples=300)
def test_any_schedule_of_windows_gives_the_full_history(schedule: Schedule) -> None:
    """Sliding, repeating and lagging windows end in the same segments as one list of everything."""
    whole, _ = fed(schedule.whole())
    seen, reloads = fed(*(live(schedule.media, start, end) for start, end in schedule.windows), step_us=SECOND_US)
    assert {"restart", "gap"}.isdisjoint(reload.kind for reload in reloads)
    assert all_segments(whole) == all_segments(seen)
    assert whole.live_edge == seen.live_edge
    assert whole.regions == seen.regions
    assert whole.gaps() == seen.gaps()


@given(schedule=schedules(), skips=st.lists(st.integers(0, 5), min_size=12, max_size=12))
def test_delta_updates_give_the_full_history(schedule: Schedule, skips: list[int]) -> None:
    """What a delta skips comes from the history, dates and discontinuities included."""
    whole, _ = fed(schedule.whole())
    first, *rest = schedule.windows
    playlists = [live(schedule.media, *first)]
    known_end = first[1]
    for (start, end), skip in zip(rest, skips, strict=False):
        shown = min(start + skip, known_end, end - 1)
        header = f"#EXT-X-SKIP:SKIPPED-SEGMENTS={shown - start}" if shown > start else ""
        playlists.append(parsed(media_text(schedule.media[shown:end], first=start, header=header)))
        known_end = max(known_end, end)
    seen, reloads = fed(*playlists, step_us=SECOND_US)
    assert {"restart", "gap", "refetch"}.isdisjoint(reload.kind for reload in reloads)
    times = [(one.media_sequence, one.position_us, one.discontinuity_sequence) for one in all_segments(whole)]
    assert times == [(one.media_sequence, one.position_us, one.discontinuity_sequence) for one in all_segments(seen)]


@given(schedule=schedules(), cut=st.integers(0, 20))
def test_a_restart_of_the_service_loses_nothing(schedule: Schedule, cut: int) -> None:
    """A timeline restored from its rows goes on as if it had never stopped."""
    playlists = [live(schedule.media, start, end) for start, end in schedule.windows]
    cut = min(cut, len(playlists) - 1)
    through, _ = fed(*playlists, step_us=SECOND_US)
    before, _ = fed(*playlists[:cut], step_us=SECOND_US)
    restored = Timeline.restored(before.runs, reversed(all_segments(before)), wall_us=NOON_US)
    assert all_segments(before) == all_segments(restored)
    assert before.regions == restored.regions
    after, reloads = fed(*playlists[cut:], timeline=restored, step_us=SECOND_US)
    assert {"restart", "gap"}.isdisjoint(reload.kind for reload in reloads)
    assert [times(one) for one in all_segments(through)] == [times(one) for one in all_segments(after)]


def times(segment: Segment) -> tuple[int, int, int | None]:
    """What must survive a restart."""
    return segment.media_sequence, segment.position_us, segment.program_us


@given(schedule=schedules())
def test_new_segments_of_all_reloads_are_the_history(schedule: Schedule) -> None:
    """Rows kept from reloads, revised ones replacing, are all a restart needs."""
    rows: dict[tuple[int, int], Segment] = {}
    timeline = NOTHING
    for start, end in schedule.windows:
        timeline, reload = timeline.extended(live(schedule.media, start, end), wall_us=NOON_US, url=URL)
        rows |= {(one.run, one.media_sequence): one for one in (*reload.revised_segments, *reload.new_segments)}
    assert all_segments(timeline) == [rows[key] for key in sorted(rows)]


def test_an_older_snapshot_keeps_what_it_showed() -> None:
    """Snapshots share their columns; growing one changes no other."""
    media = stream(20)
    old, _ = fed(live(media, 0, 5))
    shown = (all_segments(old), old.live_edge, old.window, old.locate(at(3)))
    left, _ = fed(live(media, 2, 9), timeline=old)
    right, _ = fed(live([*media[:5], *stream(9, name="other", first=5)], 2, 7), timeline=old)
    assert shown == (all_segments(old), old.live_edge, old.window, old.locate(at(3)))
    assert 9 == len(all_segments(left))
    assert 7 == len(all_segments(right))
    assert "seg5.ts" == left.segments(1)[5].uri_path


# --- a stream without dates ------------------------------------------------------------------------------------------------


def test_an_undated_stream_has_segments_and_no_program_time() -> None:
    """Positions are known, dates are not."""
    timeline, _ = fed(live(stream(4, start_us=None), 0, 4))
    assert not timeline.is_dated
    assert ([None] * 4, (), ()) == (
        [one.program_us for one in timeline.segments(1)],
        timeline.regions,
        timeline.locate(at(0)),
    )


def test_a_synthetic_axis_puts_the_edge_where_told_and_goes_on_by_extinf() -> None:
    """Everything known then is dated back from there."""
    media = stream(8, start_us=None)
    timeline = fed(live(media, 0, 4))[0].with_synthetic_axis(at(8))
    timeline, _ = fed(live(media, 2, 6), timeline=timeline)
    assert [at(2 * n) for n in range(6)] == [one.program_us for one in timeline.segments(1)]
    assert {"synthetic"} == {one.program_source for one in timeline.segments(1)}
    edge = timeline.live_edge
    assert edge is not None
    assert at(12) == edge.program_us
    assert (Place(1, 3, 0, "estimated"),) == timeline.locate(at(6))


def test_a_synthetic_axis_survives_a_restart_of_the_service() -> None:
    """Its source is in the rows."""
    media = stream(8, start_us=None)
    timeline = fed(live(media, 0, 4))[0].with_synthetic_axis(at(8))
    restored = Timeline.restored(timeline.runs, all_segments(timeline))
    timeline, _ = fed(live(media, 2, 6), timeline=restored)
    assert (at(10), "synthetic") == (timeline.segments(1)[5].program_us, timeline.segments(1)[5].program_source)


def test_a_date_of_the_origin_takes_the_place_of_the_synthetic_axis() -> None:
    """And all segments of the run are handed out as revised."""
    media = [Media(one.uri, program_us=one.program_us if n > 4 else None) for n, one in enumerate(stream(8))]
    timeline = fed(live(media, 0, 4))[0].with_synthetic_axis(at(1000))
    timeline, reloads = fed(live(media, 2, 6), timeline=timeline)
    assert [at(2 * n) for n in range(6)] == [one.program_us for one in timeline.segments(1)]
    assert 4 == len(reloads[0].revised_segments)


def test_a_new_run_of_an_undated_stream_needs_a_new_axis() -> None:
    """The old run keeps its own."""
    timeline = fed(live(stream(4, start_us=None), 0, 4))[0].with_synthetic_axis(at(8))
    timeline, reloads = fed(live(stream(4, start_us=None, name="new"), 0, 3), timeline=timeline)
    assert "restart" == reloads[0].kind
    assert not timeline.is_dated
    assert at(100) == timeline.with_synthetic_axis(at(106)).segments(2)[0].program_us


# --- cost ------------------------------------------------------------------------------------------------------------------


def test_a_reload_costs_what_it_adds_and_not_what_is_known() -> None:
    """On 100,000 known segments a reload of five takes less than a hundredth of building them."""
    count = 100_000
    media = stream(count + 40)
    began = time.perf_counter()
    timeline, _ = fed(live(media, 0, count))
    built_s = time.perf_counter() - began
    windows = [live(media, count - 5 + n, count + n) for n in range(1, 40)]
    began = time.perf_counter()
    timeline, _ = fed(*windows, timeline=timeline)
    reload_s = (time.perf_counter() - began) / len(windows)
    assert count + 39 == len(timeline.segments(1))
    assert reload_s < built_s / 100, f"{reload_s * 1000:.2f} ms a reload, {built_s:.2f} s to build"


def test_drift_opens_a_region_before_it_adds_up() -> None:
    """An encoder 1 ms fast a segment is re-anchored each tenth of a second, and leaves no gaps."""
    timeline = jumpy(*(n * 2.001 for n in range(400)))
    assert 4 == len(timeline.regions)
    assert () == timeline.gaps()


def test_a_broadcast_of_an_hour_with_one_date_keeps_its_time() -> None:
    """Windows of five segments of 4.0041666 s; the date slid out long ago."""
    media = [Media(f"s{n}.ts", "4.0041666", at(0) if n == 0 else None) for n in range(900)]
    timeline, _ = fed(*(live(media, n, n + 5) for n in range(0, 895, 3)))
    last = timeline.segments(1)[-1]
    exact_us = at(0) + (last.media_sequence * 40_041_666 + 5) // 10
    assert abs((last.program_us or 0) - exact_us) <= 1
    assert last.program_us is not None
    assert last.program_us - at(0) < 61 * MINUTE_US
