"""chatsync.hls.classifier: what an answer of the origin is, in the words of the corpus."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.hls.timeline import Timeline
from chatsync.instants import MINUTE_US, SECOND_US
from tests.corpus import playlist_text, reload_groups, skip_without_corpus
from tests.hls.builders import NOON_US, Media, all_segments, fed, live, media_text, parsed, stream

GROUPS = {group["id"]: group for group in reload_groups()} or {"(no corpus)": {}}


@pytest.mark.parametrize("group_id", GROUPS)
def test_corpus_sequences_are_classified_and_merged(group_id: str) -> None:
    """Every sequence of answers gives the expected words and, in the end, the expected history."""
    skip_without_corpus()
    group = GROUPS[group_id]
    timeline, reloads = fed(*(parsed(playlist_text(name)) for name in group["files"]))
    assert group["events"] == [reload.kind for reload in reloads]
    expected = group["expected"]
    if expected is not None:
        outcome = outcome_of(timeline)
        if expected["runs"] is None:  # open: one run or two; known_msn is written for one
            outcome["known_msn"] = [[ranges for run in outcome["known_msn"] for ranges in run]]
        left_open = {
            name for name in ("runs", "discontinuities", "last_discontinuity_sequence") if expected[name] is None
        }
        kept = {name: value for name, value in expected.items() if name in outcome and name not in left_open}
        assert kept == {name: value for name, value in outcome.items() if name not in left_open}


def outcome_of(timeline: Timeline) -> dict[str, Any]:
    """A history in the words of the corpus."""
    segments, trailing, edge = all_segments(timeline), timeline.open_segment, timeline.live_edge
    assert edge is not None
    return {
        "runs": len(timeline.runs),
        "known_msn": [ranges_of(timeline.segments(run.run)) for run in timeline.runs],
        "distinct_segments": len(segments),
        "known_duration_us": sum(one.duration_us for one in segments),
        "discontinuities": sum(one.discontinuity for one in segments)
        + (trailing is not None and trailing.discontinuity),
        "last_discontinuity_sequence": (trailing or segments[-1]).discontinuity_sequence,
        "open_segment": trailing
        and {"msn": trailing.media_sequence, "parts": trailing.part_count, "duration_us": trailing.duration_us},
        "live_edge_pdt_us": edge.program_us,
    }


def ranges_of(segments: Any) -> list[list[int]]:
    """First and last number of each stretch without hole."""
    ranges: list[list[int]] = []
    for segment in segments:
        if ranges and ranges[-1][1] == segment.media_sequence - 1:
            ranges[-1][1] = segment.media_sequence
        else:
            ranges.append([segment.media_sequence, segment.media_sequence])
    return ranges


def kinds(*playlists: Any, **options: Any) -> list[str]:
    """Words for answers in a row."""
    return [reload.kind for reload in fed(*playlists, **options)[1]]


def test_an_encoder_that_starts_again_under_the_same_names_is_a_restart() -> None:
    """As ffmpeg does without append_list: numbers and names from 0 again; only the dates tell."""
    before, after = stream(10), stream(10, start_us=NOON_US + MINUTE_US)
    timeline, reloads = fed(live(before, 0, 5), live(before, 3, 8), live(after, 0, 2), live(after, 0, 4))
    assert ["first", "advance", "restart", "advance"] == [reload.kind for reload in reloads]
    assert ["first", "restart"] == [run.reason for run in timeline.runs]
    assert 0 == timeline.segments(2)[0].position_us
    assert NOON_US + MINUTE_US == timeline.segments(2)[0].program_us


def test_a_restart_that_overtakes_the_old_numbers_is_still_seen() -> None:
    """Looked at too late, the new list is longer than the old; all its dates are another encoder's."""
    assert ["first", "restart"] == kinds(live(stream(3), 0, 3), live(stream(9, start_us=NOON_US + MINUTE_US), 0, 9))


def test_an_undated_restart_under_the_same_names_is_seen_once_a_cache_cannot_explain_it() -> None:
    """The listed segments left the window longer ago than window + 3 target durations."""
    media = stream(60, start_us=None)
    windows = [live(media, n, n + 5) for n in range(50)]
    assert ["restart"] == kinds(*windows, live(media, 0, 2))[-1:]
    assert ["stale"] == kinds(*windows, live(media, 44, 49))[-1:]


def test_an_undated_copy_grows_too_old_with_wall_time() -> None:
    """What no cache serves after minutes of silence is a new stream."""
    media = stream(60, start_us=None)
    timeline, _ = fed(*(live(media, n, n + 5) for n in range(10)))
    assert ["stale"] == kinds(live(media, 2, 7), timeline=timeline, wall_us=NOON_US + 20 * SECOND_US)
    assert ["restart"] == kinds(live(media, 2, 7), timeline=timeline, wall_us=NOON_US + 5 * MINUTE_US)


def test_an_older_dated_copy_is_stale_however_old() -> None:
    """The same dates cannot come from a second encoder."""
    media = stream(400)
    timeline, _ = fed(*(live(media, n, n + 5) for n in range(0, 390, 4)))
    after, reloads = fed(live(media, 0, 5), timeline=timeline, wall_us=NOON_US + 600 * MINUTE_US)
    assert "stale" == reloads[0].kind
    assert after is timeline


def test_new_tokens_in_addresses_are_the_same_media() -> None:
    """Query, host and leading path may change from load to load."""
    first = [Media(f"http://a.test/t1/seg{n}.ts?token=1", program_us=NOON_US + n * 2_000_000) for n in range(4)]
    second = [Media(f"http://b.test/t2/seg{n}.ts?token=2", program_us=NOON_US + n * 2_000_000) for n in range(4)]
    assert ["first", "advance"] == kinds(live(first, 0, 3), live(second, 0, 4))


def test_one_replaced_segment_is_a_revision() -> None:
    """It keeps its place and its times, since they may be in use."""
    media = stream(5)
    replaced = [*media]
    replaced[2] = Media("slate.ts", program_us=media[2].program_us)
    timeline, reloads = fed(live(media, 0, 5), live(replaced, 0, 5))
    assert "revise" == reloads[1].kind
    assert ["slate.ts"] == [one.uri_path for one in reloads[1].revised_segments]
    assert "slate.ts" == timeline.segments(1)[2].uri_path
    assert NOON_US + 4 * SECOND_US == timeline.segments(1)[2].program_us


def test_a_window_that_grows_back_brings_older_segments_at_negative_positions() -> None:
    """Nothing known is renumbered."""
    media = [Media(one.uri, program_us=one.program_us if n == 0 or n > 4 else None) for n, one in enumerate(stream(8))]
    timeline, reloads = fed(live(media, 5, 8), live(media, 2, 8))
    assert "advance" == reloads[1].kind
    assert [-6 * SECOND_US, -4 * SECOND_US, -2 * SECOND_US] == [one.position_us for one in reloads[1].new_segments]
    assert [NOON_US + n * 2 * SECOND_US for n in range(2, 8)] == [one.program_us for one in timeline.segments(1)]


def test_older_segments_go_on_from_the_tag_before_them() -> None:
    """Backward from what is known is only for those that have no tag before them (RFC 8216 §6.3.3)."""
    media = [Media(f"seg{n}.ts") for n in range(8)]
    media[2] = Media("seg2.ts", program_us=NOON_US)
    media[6] = Media("seg6.ts", program_us=NOON_US + MINUTE_US)
    timeline, _ = fed(live(media, 4, 8), live(media, 1, 8))
    starts_s = [((one.program_us or 0) - NOON_US) / SECOND_US for one in timeline.segments(1)]
    assert [-2, 0, 2, 56, 58, 60, 62] == starts_s
    assert ["backward", "explicit", "forward"] == [one.program_source for one in timeline.segments(1)[:3]]


def test_a_copy_from_before_the_end_does_not_take_the_end_back() -> None:
    """New media does."""
    media = stream(6)
    ended = live(media, 0, 4, ended=True)
    assert ["first", "same", "stale"] == kinds(live(media, 0, 4), ended, live(media, 0, 4))
    reopened, reloads = fed(ended, live(media, 0, 5))
    assert ("advance", False, 1) == (reloads[1].kind, reopened.ended, len(reopened.runs))


def test_an_emptied_list_says_nothing_of_known_media() -> None:
    """A list without segments changes nothing but, with ENDLIST, the end."""
    timeline, reloads = fed(live(stream(4), 0, 4), parsed("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n"))
    assert ("same", True, 4) == (reloads[1].kind, timeline.ended, len(all_segments(timeline)))


def test_an_unreadable_media_sequence_is_no_restart() -> None:
    """The list would be numbered from 0; what is known is kept instead."""
    media = stream(300)
    broken = parsed(media_text(media[202:206], first=202).replace("MEDIA-SEQUENCE:202", "MEDIA-SEQUENCE:"))
    timeline, reloads = fed(live(media, 200, 204), broken, live(media, 203, 207))
    assert ["first", "malformed", "advance"] == [reload.kind for reload in reloads]
    assert 1 == len(timeline.runs)


def test_missed_numbers_whose_dates_fit_stay_in_the_run() -> None:
    """Position goes on by what the dates say was missed."""
    media = stream(40)
    timeline, reloads = fed(live(media, 0, 5), live(media, 15, 20))
    assert ["first", "gap"] == [reload.kind for reload in reloads]
    assert 1 == len(timeline.runs)
    assert 30 * SECOND_US == timeline.segments(1)[5].position_us
    gap = reloads[1].program_gap
    assert gap is not None
    assert (NOON_US + 10 * SECOND_US, NOON_US + 30 * SECOND_US) == (gap.start_us, gap.end_us)


def test_missed_numbers_whose_dates_do_not_fit_open_a_run() -> None:
    """Ten segments of two seconds are no hour."""
    late = stream(20, start_us=NOON_US + 60 * MINUTE_US)
    timeline, reloads = fed(live(stream(20), 0, 5), live(late, 15, 20))
    assert ("gap", 2, "gap") == (reloads[1].kind, len(timeline.runs), timeline.runs[1].reason)


def test_an_undated_hole_is_as_long_as_wall_time_says() -> None:
    """If that is plausible for the numbers missed; a jump no wall time allows opens a run."""
    media = stream(40, start_us=None)
    timeline, _ = fed(live(media, 0, 5), live(media, 15, 20), step_us=31 * SECOND_US)
    assert 1 == len(timeline.runs)
    assert (10 + 21) * SECOND_US == timeline.segments(1)[5].position_us
    jumped, _ = fed(live(media, 0, 5), live(media, 5, 10, offset=1_700_000_000))
    assert 2 == len(jumped.runs)


def test_changed_dates_of_known_segments_are_told_and_the_first_ones_kept() -> None:
    """Within a second they are a correction, not another encoder."""
    corrected = [Media(one.uri, program_us=(one.program_us or 0) + 500_000) for one in stream(5)]
    timeline, reloads = fed(live(stream(5), 0, 5), live(corrected, 0, 5))
    assert "same" == reloads[1].kind
    assert "dates of 5 known segments changed" in reloads[1].warnings[0].reason
    assert NOON_US == timeline.segments(1)[0].program_us


def test_a_date_that_comes_late_dates_the_run_back() -> None:
    """From the first tag, through everything known; the segments are handed out as revised."""
    media = [Media(one.uri, program_us=one.program_us if n == 7 else None) for n, one in enumerate(stream(10))]
    timeline, reloads = fed(live(media, 0, 4), live(media, 3, 7), live(media, 5, 9), live(media, 8, 10))
    assert [None, None] == [reload.new_segments[0].program_us for reload in reloads[:2]]
    assert 7 == len(reloads[2].revised_segments)
    assert [NOON_US + n * 2 * SECOND_US for n in range(10)] == [one.program_us for one in timeline.segments(1)]
    assert ["backward"] * 7 + ["explicit"] + ["forward"] * 2 == [one.program_source for one in timeline.segments(1)]


def test_a_later_announcement_never_renumbers_discontinuities() -> None:
    """They are counted in the run, from what was announced first."""
    media = [Media(one.uri, program_us=one.program_us, discontinuity=n in {2, 5}) for n, one in enumerate(stream(8))]
    playlists = [
        parsed(media_text(media[0:4], first=0, header="#EXT-X-DISCONTINUITY-SEQUENCE:7")),
        parsed(media_text(media[3:8], first=3)),
    ]
    timeline, _ = fed(*playlists)
    assert [7, 7, 8, 8, 8, 9, 9, 9] == [one.discontinuity_sequence for one in timeline.segments(1)]


def test_an_ad_list_for_one_viewer_does_not_pass_for_the_stream() -> None:
    """Epoch-0 dates are refused, so that program time never falls back to 1970."""
    ads = [Media(f"ad{n}.ts", program_us=n * 2_000_000, discontinuity=n == 0) for n in range(2)]
    timeline, _ = fed(live([*stream(3), *ads], 0, 5))
    dates = [one.program_us for one in timeline.segments(1)]
    assert [NOON_US + n * 2 * SECOND_US for n in range(5)] == dates
    assert [False, False, False, True, True] == [one.estimated for one in timeline.segments(1)]


def test_an_older_copy_of_the_open_segment_is_stale() -> None:
    """Parts only come: a list with fewer of them was there before."""
    media = stream(3)
    parts = [
        parsed(media_text(media, tail="\n".join(f'#EXT-X-PART:DURATION=0.5,URI="p{n}"' for n in range(count))))
        for count in (1, 3, 2, 3)
    ]
    assert ["first", "parts", "stale", "same"] == kinds(*parts)


def test_missed_segments_are_filled_in_from_whichever_side_they_adjoin() -> None:
    """Undated ones behind a hole that stays end where the known one after them begins; before it they go on from the one before."""
    media = stream(16, start_us=None)
    gone = (live(media, 0, 4), live(media, 10, 14))
    late, _ = fed(*gone, live(media, 8, 14), step_us=14 * SECOND_US)
    hole_us = late.segments(1)[6].position_us
    assert [hole_us - 4 * SECOND_US, hole_us - 2 * SECOND_US] == [one.position_us for one in late.segments(1)[4:6]]
    early, _ = fed(*gone, live(media, 3, 14), step_us=14 * SECOND_US)
    assert [n * 2 * SECOND_US for n in range(4, 10)] == [one.position_us for one in early.segments(1)[4:10]]


def test_older_segments_count_discontinuities_backward() -> None:
    """What a grown window puts in front has the number before a discontinuity, one less than behind it."""
    media = [Media(one.uri, program_us=one.program_us, discontinuity=n in {2, 5}) for n, one in enumerate(stream(8))]
    timeline, _ = fed(live(media, 5, 8), live(media, 0, 8))
    assert [-2, -2, -1, -1, -1, 0, 0, 0] == [
        one.discontinuity_sequence - timeline.segments(1)[5].discontinuity_sequence for one in timeline.segments(1)
    ]
