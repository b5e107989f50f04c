"""chatsync.hls.known: segments by URI, and which broadcast shows an instant."""

from __future__ import annotations

from chatsync.hls.known import AIRING_SLACK_US, Airing, KnownSegment, Library, Listed, uri_matches
from chatsync.instants import SECOND_US

DURATION_US = 2 * SECOND_US


def known(*paths: str, run: int = 1, first: int = 0) -> list[KnownSegment]:
    """Segments in a row of a run that is its own broadcast."""
    return [
        KnownSegment(run, run, first + index, path, None, DURATION_US, (first + index) * DURATION_US)
        for index, path in enumerate(paths)
    ]


def matched(uris: list[str], *runs: list[KnownSegment], duration_us: int = DURATION_US) -> list[int | None]:
    """The known segments of a playlist of these URIs."""
    library = Library([segment for run in runs for segment in run])
    return uri_matches([Listed(uri, None, duration_us) for uri in uris], library)


def test_the_name_counts_and_neither_host_nor_query() -> None:
    """Another name is another segment, and so is one of another length."""
    assert [1, None] == matched(["https://cdn.test/v/b.ts?t=1", "c.ts"], known("/live/a.ts", "/live/b.ts"))
    assert [None] == matched(["b.ts"], known("b.ts"), duration_us=3 * SECOND_US)


def test_folders_that_agree_decide() -> None:
    """Two runs of the same names in folders of their own."""
    runs = known("one/a.ts", "one/b.ts"), known("two/a.ts", "two/b.ts", run=2)
    assert [0, 1] == matched(["v/one/a.ts", "v/one/b.ts"], *runs)
    assert [2, 3, 0, 1] == matched(["two/a.ts", "two/b.ts", "one/a.ts", "one/b.ts"], *runs)


def test_the_later_run_is_taken_if_nothing_tells() -> None:
    """And the earlier one for what stands before it in the recording."""
    runs = known("a.ts", "b.ts"), known("a.ts", "b.ts", run=2)
    assert [2, 3] == matched(["a.ts", "b.ts"], *runs)
    assert [0, 1, 2, 3] == matched(["a.ts", "b.ts", "a.ts", "b.ts"], *runs)


def test_a_segment_shown_twice_is_found_twice() -> None:
    """A repeat."""
    assert [0, 1, 0, 1] == matched(["a.ts", "b.ts", "a.ts", "b.ts"], known("a.ts", "b.ts"))


def test_a_name_that_every_segment_has_tells_nothing() -> None:
    """Placeholders of missing segments; a few of them are told apart by their neighbours."""
    assert [0, 1, 2, 3] == matched(["gap.mp4"] * 3 + ["s.mp4"], known(*["gap.mp4"] * 3, "s.mp4"))
    many = known(*["gap.mp4"] * 100)
    assert [None] * 100 == matched(["gap.mp4"] * 100, many)


def test_media_just_outside_a_broadcast_belongs_to_it() -> None:
    """The room missed it; a minute at most, and never where another broadcast has it."""
    hour_us = 3_600 * SECOND_US
    one, two = Airing(1, hour_us, 2 * hour_us), Airing(2, 2 * hour_us + SECOND_US, 3 * hour_us)
    library = Library(airings=[one, two])
    assert [one] == library.airings_at(hour_us - AIRING_SLACK_US)
    assert [] == library.airings_at(hour_us - AIRING_SLACK_US - 1)
    assert [two] == library.airings_at(2 * hour_us + SECOND_US)
    assert [two] == library.airings_at(3 * hour_us + AIRING_SLACK_US - 1)
    assert [] == library.airings_at(3 * hour_us + AIRING_SLACK_US)
