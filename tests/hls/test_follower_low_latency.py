"""chatsync.hls.follower with a low-latency origin: what is asked for, how soon, and when it is not."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

from chatsync.hls.follower import Follower
from chatsync.hls.timeline import Reload
from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, listed_at_us, playlist_at
from tests.hls.builders import NOON_US, URL, all_segments, media_text, stream

VARIANTS = (
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=640x360\nlow.m3u8\n"
    "#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=1280x720\nmid.m3u8\n"
)
LIVE = Scenario(NOON_US, part_us=SECOND_US // 2, window_segments=20, reports=("low.m3u8",))


def asked_of(url: str) -> dict[str, str]:
    """The directives of a request."""
    return {name: value for name, value in parse_qsl(urlsplit(url).query) if name.startswith("_HLS_")}


class LowLatency:
    """A follower of the simulated low-latency origin; requests are answered when it would answer them."""

    def __init__(self, scenario: Scenario = LIVE, url: str = URL, at_us: int = 60 * SECOND_US) -> None:
        self.scenario = scenario
        self.now_us = scenario.start_us + at_us
        self.follower = Follower(url, now_us=self.now_us)
        self.asked: list[dict[str, str]] = []
        self.times_us: list[int] = []

    def step(self, text: str | None = None) -> Reload:
        """Wait until the next load is due, make it, and wait for its answer, which is the origin's unless it is given."""
        request = self._request()
        directives = self.asked[-1]
        if text is None:
            if "_HLS_msn" in directives:
                part = int(directives["_HLS_part"]) if "_HLS_part" in directives else None
                self.now_us = max(self.now_us, listed_at_us(self.scenario, int(directives["_HLS_msn"]), part))
            text = playlist_at(self.scenario, self.now_us, skip="_HLS_skip" in directives)
        return self.follower.receive_playlist(text, url=request, age_us=0, now_us=self.now_us)

    def refuse(self) -> None:
        """Wait until the next load is due and answer it with an error status."""
        self._request()
        self.follower.receive_failure("playlist_unavailable", now_us=self.now_us)

    def _request(self) -> str:
        due_us = self.follower.wake_at_us()
        assert due_us is not None
        self.now_us = max(self.now_us, due_us)
        request = self.follower.next_request(now_us=self.now_us)
        self.asked.append(asked_of(request))
        self.times_us.append(self.now_us)
        return request


def test_a_low_latency_origin_is_asked_for_each_next_part_at_once() -> None:
    """The first load is plain; then each waits for the next part and asks only for what is new. The edge follows every part."""
    origin = LowLatency(at_us=60 * SECOND_US + 100_000)
    kinds = [origin.step().kind for _ in range(9)]
    assert {"first", "delta"} == set(kinds)
    parts = [(one.get("_HLS_msn"), one.get("_HLS_part"), one.get("_HLS_skip")) for one in origin.asked[:6]]
    expected = [("30", "0"), ("30", "1"), ("30", "2"), ("30", "3"), ("31", "0")]
    assert [(None, None, None), *((msn, part, "YES") for msn, part in expected)] == parts
    assert [SECOND_US // 2] * 6 == [later - one for one, later in pairwise(origin.times_us[2:])]
    sample = origin.follower.last_sample
    assert sample is not None
    assert 0 == sample.wall_us - (sample.edge_program_us or 0)


def test_following_by_deltas_gives_what_whole_playlists_give() -> None:
    """The same segments, dates and edge as reading everything at every part."""
    origin = LowLatency()
    whole = Follower(URL, now_us=origin.now_us)
    for _ in range(90):
        origin.step()
        whole.receive_playlist(playlist_at(LIVE, origin.now_us), url=URL, age_us=0, now_us=origin.now_us)
        assert whole.timeline.live_edge == origin.follower.timeline.live_edge
    assert all_segments(whole.timeline) == all_segments(origin.follower.timeline)
    assert whole.timeline.window == origin.follower.timeline.window


def test_without_parts_the_next_segment_is_waited_for() -> None:
    """Blocking reload is not only for parts."""
    text = media_text(stream(4), header="#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES")
    origin = LowLatency()
    origin.step(text)
    assert {"_HLS_msn": "4"} == asked_of(origin.follower.next_request())
    assert 6 * SECOND_US == origin.follower.held_us


def test_a_part_that_closes_its_segment_leads_to_the_next() -> None:
    """All parts there and the segment closed: (number + 1, 0)."""
    origin = LowLatency(at_us=62 * SECOND_US)
    origin.step()
    assert ("31", "0") == tuple(asked_of(origin.follower.next_request()).values())[:2]


def test_directives_never_stick() -> None:
    """Neither to the address that is loaded next, nor to that of the run; a token stays."""
    origin = LowLatency(url="http://o/live.m3u8?token=a%2Fb")
    for _ in range(6):
        origin.step()
    assert ["http://o/live.m3u8?token=a%2Fb"] == [run.base_url for run in origin.follower.timeline.runs]
    origin.refuse()
    assert "http://o/live.m3u8?token=a%2Fb" == origin.follower.next_request()


def test_a_refused_directive_is_no_failure_of_the_origin() -> None:
    """The plain playlist is due at once; directives are sent again when that has news."""
    origin = LowLatency()
    origin.step()
    origin.refuse()
    assert (None, None) == (origin.follower.failing_since_us, origin.follower.last_failure)
    refused_us = origin.now_us
    origin.now_us += SECOND_US
    origin.step()
    assert ({}, True) == (origin.asked[-1], origin.times_us[-1] - refused_us <= SECOND_US)
    assert "_HLS_msn" in asked_of(origin.follower.next_request())


def test_a_plain_load_that_fails_after_a_refusal_is_a_failure() -> None:
    """Then the origin is down; after it is back, directives wait for news."""
    origin = LowLatency()
    origin.step()
    origin.refuse()
    origin.refuse()
    assert "playlist_unavailable" == origin.follower.last_failure
    assert {} == asked_of(origin.follower.next_request())
    origin.now_us += 4 * SECOND_US
    origin.step()
    assert origin.follower.failing_since_us is None
    assert "_HLS_msn" in asked_of(origin.follower.next_request())


def test_an_origin_that_always_refuses_directives_is_spared_them_for_a_minute() -> None:
    """Two refusals without a success in between."""
    origin = LowLatency()
    origin.step()
    begun_us = origin.now_us
    for _ in range(200):
        origin.refuse() if asked_of(origin.follower.next_request(now_us=origin.now_us)) else origin.step()
        if origin.now_us - begun_us > 50 * SECOND_US:
            break
    assert 2 == sum(1 for one in origin.asked if one)


def test_a_false_claim_to_block_makes_no_hot_loop() -> None:
    """An origin that answers at once, with news or without: a plain pace after two answers without news."""
    origin = LowLatency()
    begun_us = origin.now_us
    while origin.now_us - begun_us < 60 * SECOND_US:
        origin._request()
        text = playlist_at(LIVE, origin.now_us)
        origin.follower.receive_playlist(text, url=URL, age_us=0, now_us=origin.now_us)
    assert len(origin.times_us) <= 60 * 3
    assert min(later - one for one, later in pairwise(origin.times_us)) >= SECOND_US // 10


def test_an_origin_that_always_has_news_is_loaded_ten_times_a_second_at_most() -> None:
    """Parts of a hundredth of a second are no reason to load a hundred times."""
    origin = LowLatency(Scenario(NOON_US, part_us=10_000))
    for _ in range(50):
        origin.step()
    assert min(later - one for one, later in pairwise(origin.times_us)) >= SECOND_US // 10


def test_no_directives_with_an_old_copy() -> None:
    """More than three target durations after the last answer, what would be asked for may be long gone."""
    origin = LowLatency()
    origin.step()
    assert asked_of(origin.follower.next_request(now_us=origin.now_us + 6 * SECOND_US))
    assert {} == asked_of(origin.follower.next_request(now_us=origin.now_us + 6 * SECOND_US + 1))
    assert 0 == origin.follower.held_us


def test_a_delta_that_cannot_be_resolved_is_loaded_in_full_at_once() -> None:
    """Its skipped segments are unknown here."""
    origin = LowLatency()
    origin.step()
    later = playlist_at(LIVE, origin.now_us + 50 * SECOND_US, skip=True)
    assert "refetch" == origin.step(later).kind
    asked_us = origin.times_us[-1]
    origin.step()
    assert ({}, SECOND_US // 10) == (origin.asked[-1], origin.times_us[-1] - asked_us)


def test_the_end_is_loaded_whole() -> None:
    """A stream whose last answer was a delta: its whole list is asked for at once, for the recording."""
    origin = LowLatency(Scenario(NOON_US, part_us=SECOND_US // 2, ends_after=35))
    while not origin.follower.timeline.ended:
        origin.step()
    assert not origin.follower.is_whole
    ended_us = origin.now_us
    origin.step()
    assert ({}, True) == (origin.asked[-1], origin.follower.is_whole)
    assert origin.times_us[-1] - ended_us <= SECOND_US // 10


def test_an_end_that_is_only_ever_told_in_deltas_makes_no_hot_loop() -> None:
    """An origin that skips unasked is loaded at the pace of a stream that has ended."""
    origin = LowLatency(Scenario(NOON_US, part_us=SECOND_US // 2, ends_after=35))
    while not origin.follower.timeline.ended:
        origin.step()
    for index in range(3):
        origin.step(playlist_at(origin.scenario, origin.now_us, skip=True) + f"# {index}\n")
    assert origin.times_us[-1] - origin.times_us[-2] >= 5 * SECOND_US


def test_the_first_request_of_another_variant_uses_its_rendition_report() -> None:
    """No older copy than the report speaks of is taken; then it is followed part by part."""
    origin = LowLatency(Scenario(NOON_US, part_us=SECOND_US // 2, reports=("mid.m3u8",)), "http://o/main.m3u8")
    origin.step(VARIANTS)
    origin.step()
    number, part = origin.follower.timeline.live_edge.media_sequence, 3  # type: ignore[union-attr]
    for _ in range(4):
        origin.refuse()
    origin.step(VARIANTS)
    assert (f"http://o/mid.m3u8?_HLS_msn={number}&_HLS_part={part}") == origin.follower.next_request()
    assert "restart" == origin.step().kind
    assert "_HLS_skip" in asked_of(origin.follower.next_request())
