"""chatsync.hls.follower: when to load next, and what becomes of answers."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings

from chatsync.hls.follower import Follower, Sample
from chatsync.hls.timeline import Reload, Timeline
from chatsync.instants import MINUTE_US, SECOND_US
from tests.hls.builders import NOON_US, URL, Media, all_segments, live, live_text, media_text, stream
from tests.hls.schedules import Schedule, schedules

MULTIVARIANT = (
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=1280x720\nhigh/v.m3u8\n"
    "#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360\nlow/v.m3u8?t=1\n"
)


class Origin:
    """A follower and a clock: answers are there at once unless told otherwise."""

    def __init__(self, url: str = URL, timeline: Timeline | None = None) -> None:
        self.now_us = NOON_US
        self.follower = Follower(url, now_us=self.now_us, timeline=timeline)
        self.media = stream(100)

    def wait(self) -> int:
        """Let the clock run to the next load; µs waited."""
        due_us = self.follower.wake_at_us()
        assert due_us is not None
        waited_us = max(due_us - self.now_us, 0)
        self.now_us += waited_us
        return waited_us

    def answer(self, text: str, *, age_us: int = 0, took_us: int = 0, url: str | None = None) -> Reload:
        """Load now and get this text."""
        asked = self.follower.next_request(now_us=self.now_us)
        self.now_us += took_us
        return self.follower.receive_playlist(text, url=url or asked, age_us=age_us, now_us=self.now_us)

    def fail(self) -> None:
        """Load now and get nothing."""
        self.follower.next_request(now_us=self.now_us)
        self.follower.receive_failure("timeout", now_us=self.now_us)

    def window(self, first: int, end: int, *, ended: bool = False) -> str:
        """The live list as it is."""
        return media_text(self.media[first:end], first=first, ended=ended)


def test_the_first_load_is_due_at_once() -> None:
    """There is nothing to wait for."""
    origin = Origin()
    assert NOON_US == origin.follower.wake_at_us()
    assert URL == origin.follower.next_request()


def test_after_news_the_next_load_is_a_target_duration_after_the_last_began() -> None:
    """RFC 8216 §6.3.4: counted from the start of the load, not from its end."""
    origin = Origin()
    origin.answer(origin.window(0, 4), took_us=SECOND_US // 2)
    assert NOON_US + 2 * SECOND_US == origin.follower.wake_at_us()


def test_an_unchanged_playlist_is_asked_again_after_half_of_it() -> None:
    """Word for word the same, or without news for us: both count as unchanged."""
    origin = Origin()
    origin.answer(origin.window(0, 4))
    origin.wait()
    assert "same" == origin.answer(origin.window(0, 4)).kind
    assert SECOND_US == origin.wait()
    assert "same" == origin.answer(origin.window(0, 4) + "# note\n").kind
    assert SECOND_US == origin.wait()
    assert "advance" == origin.answer(origin.window(1, 5)).kind
    assert 2 * SECOND_US == origin.wait()


def test_a_slow_load_does_not_make_the_next_one_run_at_once_for_ever() -> None:
    """However long loads take, there is a pause between them."""
    origin = Origin()
    origin.answer(origin.window(0, 4), took_us=9 * SECOND_US)
    assert 0 < origin.wait() < SECOND_US


@pytest.mark.parametrize(
    ("target", "waited_us"), [("0", 2 * SECOND_US), ("0.1", 500_000), ("3600", 30 * SECOND_US), ("abc", 2 * SECOND_US)]
)
def test_an_absurd_target_duration_does_not_set_the_pace(target: str, waited_us: int) -> None:
    """Never more than twice a second, never less than every half minute; zero or unreadable, the segments say it."""
    origin = Origin()
    origin.answer(media_text(origin.media[:4], target=target))
    assert waited_us == origin.wait()


def test_failures_back_off_and_come_back() -> None:
    """Half a target duration, doubled, at most three of them; the timeline stays and knows since when."""
    origin = Origin()
    origin.answer(origin.window(0, 4))
    origin.wait()
    failed_us = origin.now_us
    waits = []
    for _ in range(5):
        origin.fail()
        waits.append(origin.wait())
    assert [1 * SECOND_US, 2 * SECOND_US, 4 * SECOND_US, 6 * SECOND_US, 6 * SECOND_US] == waits
    assert (failed_us, "timeout") == (origin.follower.failing_since_us, origin.follower.last_failure)
    assert 4 == len(origin.follower.timeline.segments(1))
    assert "advance" == origin.answer(origin.window(2, 6)).kind
    assert origin.follower.failing_since_us is None
    assert 2 * SECOND_US == origin.wait()


def test_back_off_ends_at_ten_seconds_for_long_segments() -> None:
    """An origin with target duration 10 is not left alone for half a minute."""
    origin = Origin()
    origin.answer(media_text(origin.media[:4], target="10"))
    for _ in range(6):
        origin.fail()
    assert 10 * SECOND_US == origin.wait()


@pytest.mark.parametrize("text", ["<html>502 Bad Gateway</html>", "", "not found", '{"error":"gone"}'])
def test_an_error_page_with_status_200_is_malformed_and_keeps_the_timeline(text: str) -> None:
    """It counts as a failure."""
    origin = Origin()
    origin.answer(origin.window(0, 4))
    before = origin.follower.timeline
    reload = origin.answer(text)
    assert "malformed" == reload.kind
    assert "#EXTM3U" in reload.warnings[0].reason
    assert origin.follower.timeline is before
    assert origin.now_us == origin.follower.failing_since_us
    assert SECOND_US == origin.wait()


def test_a_multivariant_playlist_leads_to_its_cheapest_variant_at_once() -> None:
    """Relative to where it was found after redirects; then the variant is followed."""
    origin = Origin("http://origin.test/main.m3u8")
    reload = origin.answer(MULTIVARIANT, url="http://cdn.test/x/main.m3u8")
    assert ("same", 0) == (reload.kind, reload.run)
    assert 0 == origin.wait()
    assert "http://cdn.test/x/low/v.m3u8?t=1" == origin.follower.next_request()
    assert "first" == origin.answer(origin.window(0, 4)).kind
    assert "http://cdn.test/x/low/v.m3u8?t=1" == origin.follower.next_request()


def test_a_variant_that_keeps_failing_is_looked_up_again() -> None:
    """Addresses of variants expire."""
    origin = Origin("http://origin.test/main.m3u8")
    origin.answer(MULTIVARIANT)
    for _ in range(3):
        assert "http://origin.test/low/v.m3u8?t=1" == origin.follower.next_request()
        origin.fail()
    assert "http://origin.test/main.m3u8" == origin.follower.next_request()


def test_variants_that_lead_in_a_circle_are_malformed() -> None:
    """A playlist that names itself is not followed for ever."""
    origin = Origin()
    kinds = [origin.answer(MULTIVARIANT).kind for _ in range(4)]
    assert ["same", "same", "same", "malformed"] == kinds
    assert origin.wait() > 0


def test_a_multivariant_playlist_without_variants_is_malformed() -> None:
    """There is nothing to follow."""
    assert "malformed" == Origin().answer('#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a"\n').kind


def test_an_ended_playlist_is_watched_for_a_minute_and_then_left_alone() -> None:
    """In case the origin takes the end back."""
    origin = Origin()
    origin.answer(origin.window(0, 4, ended=True))
    loads = 0
    while origin.follower.wake_at_us() is not None:
        assert origin.wait() >= 5 * SECOND_US
        origin.answer(origin.window(0, 4, ended=True))
        loads += 1
    assert 3 <= loads <= 12
    assert origin.now_us - NOON_US <= MINUTE_US
    assert origin.follower.timeline.ended


def test_an_end_that_is_taken_back_is_followed_again() -> None:
    """The media sequence goes on, so it is the same run."""
    origin = Origin()
    origin.answer(origin.window(0, 4, ended=True))
    origin.wait()
    assert "advance" == origin.answer(origin.window(2, 6)).kind
    assert 2 * SECOND_US == origin.wait()
    assert (False, 1) == (origin.follower.timeline.ended, len(origin.follower.timeline.runs))


def test_an_address_that_ended_for_good_can_still_be_asked() -> None:
    """Next week's class under the same address opens a run; failures until then change nothing."""
    origin = Origin()
    origin.answer(origin.window(0, 4, ended=True))
    origin.now_us += 7 * 24 * 60 * MINUTE_US
    origin.fail()
    assert origin.follower.wake_at_us() is None
    origin.media = stream(10, start_us=origin.now_us)
    assert "restart" == origin.answer(origin.window(0, 3)).kind
    assert origin.follower.wake_at_us() is not None


def test_samples_say_what_the_clocks_said() -> None:
    """Wall time, age in caches and the live edge, parts included; ignored answers leave no sample."""
    origin = Origin()
    origin.answer(origin.window(0, 4), age_us=1_500_000)
    assert Sample(NOON_US, 1_500_000, 1, 3, 0, NOON_US + 8 * SECOND_US) == origin.follower.last_sample
    origin.now_us += SECOND_US
    part = media_text(origin.media[:4], tail='#EXT-X-PART:DURATION=0.5,URI="p0"')
    assert "parts" == origin.answer(part).kind
    sample = Sample(origin.now_us, 0, 1, 4, 1, NOON_US + 8_500_000)
    assert sample == origin.follower.last_sample
    origin.now_us += SECOND_US
    assert "stale" == origin.answer(origin.window(0, 3)).kind
    assert sample == origin.follower.last_sample


def test_a_stale_copy_does_not_hide_the_next_answer() -> None:
    """After it, the newest list again is the same as ever."""
    origin = Origin()
    texts = [origin.window(0, 4), origin.window(1, 5), origin.window(0, 4), origin.window(1, 5), origin.window(2, 6)]
    assert ["first", "advance", "stale", "same", "advance"] == [origin.answer(text).kind for text in texts]


def test_a_stream_that_stands_still_is_asked_on() -> None:
    """A stalled origin is no failure and no end."""
    origin = Origin()
    for _ in range(50):
        origin.answer(origin.window(0, 4))
        origin.wait()
    assert origin.follower.failing_since_us is None
    assert 49 * SECOND_US <= origin.now_us - NOON_US <= 60 * SECOND_US


def test_a_restored_timeline_is_continued() -> None:
    """A restart of the service goes on in the same run."""
    origin = Origin()
    origin.answer(origin.window(0, 4))
    timeline = origin.follower.timeline
    rows = list(timeline.segments(1))
    again = Origin(timeline=Timeline.restored(timeline.runs, rows))
    assert "advance" == again.answer(again.window(2, 6)).kind
    assert 6 == len(again.follower.timeline.segments(1))


def test_an_undated_stream_can_be_followed() -> None:
    """Its samples have no program time."""
    origin = Origin()
    origin.media = [Media(f"s{n}.ts") for n in range(9)]
    origin.answer(origin.window(0, 4))
    sample = origin.follower.last_sample
    assert sample is not None
    assert (3, None) == (sample.media_sequence, sample.edge_program_us)


def test_no_text_raises() -> None:
    """A lone surrogate, control characters, a list of nothing: all are answers."""
    origin = Origin()
    kinds = {origin.answer(text).kind for text in ("\ud800", "#EXTM3U\ud800\n\ud800\n", "#EXTM3U", "\x00")}
    assert kinds <= {"malformed", "same", "first"}


@given(schedule=schedules(count_min=20, count_max=60, slide_max=4))
@settings(max_examples=150)
def test_reading_only_the_end_of_long_playlists_gives_the_same_history(schedule: Schedule) -> None:
    """The short cut is taken only where it changes nothing."""
    whole = Follower(URL, now_us=NOON_US, abridged_characters_min=2**40)
    ends = Follower(URL, now_us=NOON_US, abridged_characters_min=0)
    for index, (start, end) in enumerate(schedule.windows):
        text = live_text(schedule.media, start, end)
        seen = [
            one.receive_playlist(text, url=URL, age_us=0, now_us=NOON_US + index * SECOND_US) for one in (whole, ends)
        ]
        assert seen[0].kind == seen[1].kind
        assert seen[0].new_segments == seen[1].new_segments
        assert whole.timeline.window == ends.timeline.window
    assert all_segments(whole.timeline) == all_segments(ends.timeline)


@pytest.mark.parametrize(
    "change",
    [
        ("seg4", "other"),
        ("MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:1"),
        ("MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:x"),
        ("seg30.ts", "new30.ts"),
        ("#EXTINF:2.000,\n#EXT-X-PROGRAM-DATE-TIME:2026-03-02T12:00:08.000Z\n", ""),
        ("T12:", "T13:"),
    ],
)
def test_an_odd_long_playlist_is_read_whole(change: tuple[str, str]) -> None:
    """A list that does not plainly go on is judged as if the short cut were not there."""
    origin, media = Origin(), stream(60)
    whole = Follower(URL, now_us=NOON_US, abridged_characters_min=2**40)
    ends = Follower(URL, now_us=NOON_US, abridged_characters_min=0)
    kinds = []
    for one in (whole, ends):
        first, second = live_text(media, 0, 40), live_text(media, 0, 42).replace(*change)
        one.receive_playlist(first, url=URL, age_us=0, now_us=origin.now_us)
        kinds.append(one.receive_playlist(second, url=URL, age_us=0, now_us=origin.now_us).kind)
    assert kinds[0] == kinds[1] or {"advance", "revise"} >= set(kinds)
    assert len(whole.timeline.runs) == len(ends.timeline.runs)


def test_a_reload_of_a_day_of_segments_costs_a_small_part_of_reading_it() -> None:
    """A window of 24 h of 2 s segments, two seconds later."""
    media = stream(43_202)
    follower = Follower(URL, now_us=NOON_US)
    texts = [live_text(media, 0, 43_200), live_text(media, 1, 43_201), live_text(media, 2, 43_202)]
    costs, kinds = [], []
    for text in texts:
        began = time.perf_counter()
        kinds.append(follower.receive_playlist(text, url=URL, age_us=0, now_us=NOON_US).kind)
        costs.append(time.perf_counter() - began)
    assert ["first", "advance", "advance"] == kinds
    assert 43_202 == len(follower.timeline.segments(1))
    assert min(costs[1:]) < costs[0] / 10, f"{costs}"


# --- variants ------------------------------------------------------------------------------------------------------------

THREE = (
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360\nlow.m3u8{0}\n"
    "#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=1280x720\nmid.m3u8{0}\n"
    "#EXT-X-STREAM-INF:BANDWIDTH=1800000,RESOLUTION=1920x1080\nhigh.m3u8{0}\n"
)


def paths(origin: Origin, failing: str, count: int, token: str = "") -> list[str]:
    """Names of the playlists asked for, of which all in ``failing`` fail; the list of variants never does."""
    names = []
    for index in range(count):
        asked = origin.follower.next_request()
        names.append(urlsplit(asked).path.rpartition("/")[2].removesuffix(".m3u8"))
        if names[-1] == "main":
            origin.answer(THREE.format(token and f"?t={index}"))
        elif names[-1] in failing.split():
            origin.fail()
        else:
            origin.answer(origin.window(0, 4))
    return names


def test_a_variant_that_fails_is_left_for_the_next_by_bandwidth() -> None:
    """After three failures; and left again for the one after it, until the first is reached again."""
    origin = Origin("http://o/main.m3u8")
    names = paths(origin, "low mid", 12)
    assert ["main", *["low"] * 3, "main", *["mid"] * 3, "main", *["high"] * 3] == names
    origin = Origin("http://o/main.m3u8")
    assert ["main", "low"] == paths(origin, "low mid high", 14)[-2:]


def test_a_variant_with_a_new_address_is_tried_once_more() -> None:
    """Its token had perhaps expired; then the next one."""
    origin = Origin("http://o/main.m3u8")
    names = paths(origin, "low", 10, token="t")
    assert ["main", *["low"] * 3, "main", *["low"] * 3, "main", "mid"] == names


def test_another_variant_is_followed_even_if_the_list_of_variants_fails() -> None:
    """What it said before is still known."""
    origin = Origin("http://o/main.m3u8")
    origin.answer(THREE.format(""))
    for _ in range(4):
        origin.fail()
    assert "http://o/mid.m3u8" == origin.follower.next_request()


def test_another_variant_opens_a_run_at_the_same_program_time() -> None:
    """Its numbers mean nothing here, even if they and the names of its files look the same; its dates do."""
    origin = Origin("http://o/main.m3u8")
    origin.answer(THREE.format(""))
    origin.answer(origin.window(0, 6))
    for _ in range(3):
        origin.fail()
    origin.answer(THREE.format(""))
    media = stream(40, start_us=NOON_US + 700_000, first=0)
    reload = origin.answer(media_text(media[2:8], first=2))
    timeline = origin.follower.timeline
    assert ("restart", 2, "variant") == (reload.kind, reload.run, timeline.runs[-1].reason)
    assert [(2, 3), (1, 4)] == [(one.run, one.media_sequence) for one in timeline.locate(NOON_US + 8_000_000)]
    assert "advance" == origin.answer(media_text(media[3:9], first=3)).kind


def test_a_variant_known_from_an_earlier_life_is_not_taken_for_another() -> None:
    """After a restart of the service the cheapest variant is followed; if the newest run was made from another one, that is told."""
    media = stream(20)
    for name, runs in (("low", 1), ("mid", 2)):
        timeline, _ = Timeline.empty().extended(live(media, 0, 6), wall_us=NOON_US, url=f"http://cdn/{name}.m3u8?t=1")
        restored = Timeline.restored(timeline.runs, list(timeline.segments(1)))
        origin = Origin("http://o/main.m3u8", restored)
        origin.answer(THREE.format(""))
        origin.answer(media_text(media[2:8], first=2))
        assert runs == len(origin.follower.timeline.runs)
