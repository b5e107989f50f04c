"""A low-latency stream is followed part by part over HTTP, so that stamps are made from an edge that is hardly older than a part."""

from __future__ import annotations

from pathlib import Path

from chatsync.instants import SECOND_US
from tests.following import edge_ages, followed, until
from tests.origin import Origin, origin_of, stream_of_now

PART_US = SECOND_US // 5


def _low_latency_origin(**given: object) -> Origin:
    origin = Origin(lambda: None)  # type: ignore[arg-type, return-value]
    origin.low_latency(stream_of_now(part_us=PART_US, **given))  # type: ignore[arg-type]
    return origin


async def test_the_edge_moves_with_each_part(tmp_path: Path) -> None:
    """Blocking loads for deltas keep the edge far fresher than plain loads of the same segments do; both figures are printed."""
    with _low_latency_origin(segment_s=2) as origin:
        async with followed(tmp_path / "parts", origin.url) as live:
            await until(lambda: live.timeline.live_edge is not None)
            by_parts = await edge_ages(live, 6)
            observed = live.catalog.observation_rows("class", 1)
            clock_age_us = live.clock.wall_us() - (live.broadcasts.current.clock.edge_us or 0)
        queries = origin.queries
    with origin_of(stream_of_now(segment_s=2)) as origin:
        async with followed(tmp_path / "plain", origin.url) as live:
            await until(lambda: live.timeline.live_edge is not None)
            by_segments = await edge_ages(live, 6)
    print(f"edge by parts: {by_parts}; by segments: {by_segments}; {len(queries)} loads by parts")
    assert by_parts.edges >= 20
    assert by_parts.median_s < by_segments.median_s / 2
    assert clock_age_us < 2 * SECOND_US
    assert "delta" in {row[4] for row in observed}
    assert all("_HLS_msn" in query and "_HLS_skip=YES" in query for query in queries[1:])
    assert len(queries) <= 45


async def test_an_encoder_that_stands_still_is_no_trouble(tmp_path: Path) -> None:
    """The origin gives up waiting with 503, is asked plainly until there is news, and then by parts again: nobody is alarmed."""
    stalled = stream_of_now(segment_s=1, part_us=PART_US, begun_s=20, stalls=((21, 5 * SECOND_US),))
    origin = Origin(lambda: None)  # type: ignore[arg-type, return-value]
    origin.low_latency(stalled)
    with origin:
        async with followed(tmp_path, origin.url) as live:
            await until(lambda: "" in origin.queries[1:])
            assert live.playlist_trouble is None
            plain = len(origin.queries)
            await until(lambda: any("_HLS_part" in query for query in origin.queries[plain:]))
            assert live.playlist_trouble is None
            assert 1 == len(live.timeline.runs)


async def test_the_recording_of_a_low_latency_stream_is_whole(tmp_path: Path) -> None:
    """Its last answer by parts was a delta; the map that is kept has all of it."""
    with _low_latency_origin(segment_s=1, begun_s=20, ends_after=22) as origin:
        async with followed(tmp_path, origin.url) as live:
            await until(lambda: live.catalog.recording("class", "broadcast-1") is not None)
            record = live.catalog.recording("class", "broadcast-1")
    assert record is not None
    assert 22_000 == record["duration_ms"]
