"""The simulated lecture and stream: functions of a seed and the time, and of nothing else."""

from __future__ import annotations

import unicodedata
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.instants import HOUR_US, SECOND_US
from chatsync.simulation import SPEAKERS, Scenario, Utterance, last_listed, lecture, listed_at_us, playlist_at

START_US = 1_764_000_000 * SECOND_US
SEEDS = st.integers(0, 2**32)


def _said(seed: int, count: int = 400) -> list[Utterance]:
    return list(islice(lecture(seed), count))


def _playlist(scenario: Scenario, now_us: int) -> MediaPlaylist:
    playlist = parse_playlist(playlist_at(scenario, now_us))
    assert isinstance(playlist, MediaPlaylist)
    return playlist


@given(SEEDS)
def test_a_seed_gives_one_lecture_in_order_of_time(seed: int) -> None:
    """The same seed says the same things; nothing is said before what was said before it."""
    said = _said(seed)
    assert said == _said(seed)
    assert all(one.at_us <= following.at_us for one, following in pairwise(said))


@given(SEEDS)
def test_the_teacher_announces_and_answers_what_viewers_ask(seed: int) -> None:
    """Announcements are the teacher's, questions are the viewers', and each answer points to a question."""
    said = _said(seed)
    kinds = {(one.kind, SPEAKERS[one.speaker].role) for one in said}
    assert {("announcement", "host"), ("message", "host"), ("question", "participant")} <= kinds
    assert ("question", "host") not in kinds
    assert {"question"} == {said[index - one.answers].kind for index, one in enumerate(said) if one.answers}


@pytest.mark.parametrize("seed", range(3))
def test_an_hour_has_what_a_chat_has_to_bear(seed: int) -> None:
    """Right-to-left text, emoji, long lines, links, and bursts of more than five messages in a second."""
    said = [one for one in islice(lecture(seed), 5_000) if one.at_us < HOUR_US]
    text = "".join(one.text for one in said)
    seconds = [one.at_us // SECOND_US for one in said]
    assert {"R", "AL"} <= {unicodedata.bidirectional(character) for character in text}
    assert any(unicodedata.category(character) == "So" for character in text)
    assert "https://" in text
    assert max(len(one.text) for one in said) > 150
    assert max(seconds.count(second) for second in set(seconds)) > 5
    assert set(range(len(SPEAKERS))) == {one.speaker for one in said}


def test_only_the_teacher_is_at_the_camera() -> None:
    """One host without latency; every viewer watches from 2 to 30 s behind, each from elsewhere."""
    latencies = [speaker.latency_us for speaker in SPEAKERS if speaker.latency_us is not None]
    assert [("host", None)] == [(one.role, one.latency_us) for one in SPEAKERS if one.latency_us is None]
    assert len(set(latencies)) == len(latencies)
    assert all(2 * SECOND_US <= latency_us <= 30 * SECOND_US for latency_us in latencies)


@given(st.integers(0, 600 * SECOND_US))
def test_a_playlist_lists_whole_segments_up_to_now(elapsed_us: int) -> None:
    """The newest segment listed has ended and the next one has not; the window slides by media sequence."""
    scenario = Scenario(START_US, window_segments=10, first_media_sequence=7)
    whole = elapsed_us // scenario.segment_us
    playlist = _playlist(scenario, START_US + elapsed_us)
    numbers = [one.media_sequence for one in playlist.segments]
    assert list(range(7 + max(0, whole - 10), 7 + whole)) == numbers
    assert [START_US + (number - 7) * scenario.segment_us for number in numbers] == [
        one.program_us for one in playlist.segments
    ]
    assert not playlist.endlist


def test_before_the_first_segment_the_playlist_is_empty() -> None:
    """A stream that has not begun lists nothing."""
    assert () == _playlist(Scenario(START_US), START_US - SECOND_US).segments


def test_a_stall_leaves_a_gap_in_program_time() -> None:
    """After 10 s without a picture the next segment begins 10 s later, and comes 10 s later."""
    scenario = Scenario(START_US, stalls=((2, 10 * SECOND_US),))
    during = _playlist(scenario, START_US + 12 * SECOND_US)
    after = _playlist(scenario, START_US + 16 * SECOND_US)
    assert [0, 2] == [(one.program_us or 0) // SECOND_US - START_US // SECOND_US for one in during.segments]
    assert [0, 2, 14] == [(one.program_us or 0) // SECOND_US - START_US // SECOND_US for one in after.segments]


def test_a_clock_set_back_repeats_program_time() -> None:
    """A negative stall moves the encoder's clock back; media goes on by number."""
    scenario = Scenario(START_US, stalls=((2, -60 * SECOND_US),))
    playlist = _playlist(scenario, START_US + 80 * SECOND_US)
    assert [0, 2, -56] == [(one.program_us or 0) // SECOND_US - START_US // SECOND_US for one in playlist.segments[:3]]
    assert [0, 1, 2] == [one.media_sequence for one in playlist.segments[:3]]


def test_a_stream_may_have_no_dates() -> None:
    """Without dates no segment has a program time."""
    playlist = _playlist(Scenario(START_US, dated=False), START_US + 10 * SECOND_US)
    assert [None] * 5 == [one.program_us for one in playlist.segments]


def test_a_stream_that_is_over_has_its_end_and_grows_no_more() -> None:
    """After its last segment the playlist says ENDLIST and stays as it is."""
    scenario = Scenario(START_US, ends_after=3)
    assert not _playlist(scenario, START_US + 5 * SECOND_US).endlist
    at_end = playlist_at(scenario, START_US + 6 * SECOND_US)
    assert _playlist(scenario, START_US + 6 * SECOND_US).endlist
    assert at_end == playlist_at(scenario, START_US + HOUR_US)


LOW_LATENCY = Scenario(START_US, part_us=600_000, window_segments=12, first_media_sequence=7, reports=("b.m3u8",))


@given(st.integers(0, 60 * SECOND_US))
def test_a_low_latency_playlist_goes_on_in_parts_up_to_now(elapsed_us: int) -> None:
    """After the whole segments come the parts that are complete; the hint names the next; the report is of the newest."""
    playlist = _playlist(LOW_LATENCY, START_US + elapsed_us)
    number, parts = divmod(elapsed_us, LOW_LATENCY.segment_us)
    parts //= 600_000
    opened = playlist.open_segment
    assert parts == (0 if opened is None else len(opened.parts))
    assert opened is None or START_US + number * LOW_LATENCY.segment_us == opened.program_us
    assert (7 + number - 1, parts) == last_listed(LOW_LATENCY, START_US + elapsed_us)
    assert [f"seg{7 + number}.{parts}.ts"] == [hint.uri for hint in playlist.preload_hints]
    (report,) = playlist.rendition_reports
    newest = (7 + number, parts - 1) if parts else (7 + number - 1, 3)
    assert newest == (report.last_media_sequence, report.last_part)
    assert (True, 600_000, 12 * SECOND_US) == (
        playlist.can_block_reload,
        playlist.part_target_us,
        playlist.can_skip_until_us,
    )
    for segment in playlist.segments[-3:]:
        assert segment.duration_us == sum(part.duration_us for part in segment.parts)


@given(st.integers(0, 60 * SECOND_US))
def test_a_delta_is_the_whole_list_without_its_start(elapsed_us: int) -> None:
    """Six target durations stay; numbers, dates and parts of what stays are the same."""
    whole = _playlist(LOW_LATENCY, START_US + elapsed_us)
    delta = parse_playlist(playlist_at(LOW_LATENCY, START_US + elapsed_us, skip=True))
    assert isinstance(delta, MediaPlaylist)
    assert max(0, len(whole.segments) - 6) == delta.skipped_segments
    assert whole.segments[delta.skipped_segments :] == delta.segments
    assert (whole.media_sequence, whole.open_segment) == (delta.media_sequence, delta.open_segment)


@given(st.integers(7, 40), st.none() | st.integers(0, 5))
def test_a_waiting_request_is_answered_when_the_playlist_has_it(media_sequence: int, part: int | None) -> None:
    """Not a microsecond earlier; an index past the end of a segment is the first part of the next."""
    at_us = listed_at_us(LOW_LATENCY, media_sequence, part)
    wanted = (media_sequence, 0) if part is None else (media_sequence - 1, part + 1)
    if part is not None and part >= 3:  # the last part comes with its segment
        wanted = (media_sequence, min(part - 3, 1))
    assert last_listed(LOW_LATENCY, at_us - 1) < wanted <= last_listed(LOW_LATENCY, at_us)


def test_what_a_stream_that_is_over_never_had_comes_with_its_end() -> None:
    """A request for more is answered then, and not never."""
    scenario = Scenario(START_US, part_us=500_000, ends_after=3)
    assert START_US + 6 * SECOND_US == listed_at_us(scenario, 9, 1)
    assert playlist_at(scenario, START_US + 6 * SECOND_US).endswith("#EXT-X-ENDLIST\n")
