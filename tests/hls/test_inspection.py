"""What `chatsync inspect` finds is what is there."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.inspection import Inspection
from chatsync.instants import SECOND_US
from tests.corpus import expected_names, listed_names, playlist_text, reload_groups, skip_without_corpus
from tests.hls.builders import NOON_US, Media, live_text, stream

GROUPS = {group["id"]: group for group in reload_groups()} or {"(no corpus)": {}}
OTHERS = [name for kind in ("nopdt", "mv", "malformed") for name in listed_names(kind)]


def report_of(*texts: str) -> dict[str, Any]:
    """The report on files in a row."""
    inspection = Inspection()
    for text in texts:
        inspection.receive_text(text)
    return json.loads(json.dumps(inspection.report()))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", expected_names() or ["(no corpus)"])
def test_one_file_is_told_segment_by_segment(name: str) -> None:
    """Every dated playlist of the corpus: the segments it lists, those behind SKIP not, the open one last."""
    expected = json.loads((skip_without_corpus() / f"{name}.expected.json").read_text())
    trailing = expected["trailing_partial"]
    listed = [*expected["segments"], *([trailing] if trailing else [])]
    report = report_of(playlist_text(name))
    assert [
        (one["msn"], one["pdt_us"], one["duration_us"], one["discontinuity_sequence"], one["pdt_source"])
        for one in listed
    ] == [
        (
            one["media_sequence"],
            one["program_us"],
            one["duration_us"],
            one["discontinuity_sequence"],
            one["source"],
        )
        for one in report["segments"]
    ]
    assert [1 if trailing else 0, bool(trailing)] == [
        sum(one.get("partial", False) for one in report["segments"]),
        report["segments"][-1].get("partial", False),
    ]
    assert report["verdict"]["synchronisable"]


@pytest.mark.parametrize("name", OTHERS or ["(no corpus)"])
def test_any_file_is_reported_on_or_no_playlist(name: str) -> None:
    """Undated, multivariant and damaged files give a report, or one error that says why not."""
    skip_without_corpus()
    report: dict[str, Any] | None = None
    with suppress(PlaylistSyntaxError):
        report = report_of(playlist_text(name))
    if report is None:
        assert not playlist_text(name).lstrip("\ufeff \t\r\n").startswith("#EXTM3U")
        return
    assert report["verdict"]["text"]
    assert not report["verdict"]["synchronisable"] or report["program_time"]["none"] < len(report["segments"])


@pytest.mark.parametrize("group_id", GROUPS)
def test_several_files_are_one_timeline(group_id: str) -> None:
    """The reload sequences of the corpus: what each answer was, and what is known in the end."""
    skip_without_corpus()
    group = GROUPS[group_id]
    report = report_of(*(playlist_text(name) for name in group["files"]))
    assert group["events"] == [one["kind"] for one in report["reloads"]]
    expected = group["expected"]
    if expected is None:
        return
    closed = [one for one in report["segments"] if not one.get("partial")]
    assert expected["distinct_segments"] == len(closed)
    assert expected["known_duration_us"] == sum(one["duration_us"] for one in closed)
    assert expected["live_edge_pdt_us"] == report["live_edge_program_us"]
    trailing = expected["open_segment"]
    assert (
        trailing and {"media_sequence": trailing["msn"]} | {name: trailing[name] for name in ("parts", "duration_us")}
    ) == (report["open_segment"])
    if expected["runs"] is not None:
        assert expected["known_msn"] == [run["media_sequences"] for run in report["runs"]]
    if expected["last_discontinuity_sequence"] is not None:
        assert expected["last_discontinuity_sequence"] == report["segments"][-1]["discontinuity_sequence"]


def test_drift_is_measured_within_stretches() -> None:
    """Dates that gain 2 ms on each 2 s segment drift 3.6 s an hour; a jump between does not count."""
    media = [
        replace(one, program_us=NOON_US + n * 2_002_000 + (30 * SECOND_US if n >= 50 else 0))
        for n, one in enumerate(stream(100))
    ]
    report = report_of(live_text(media, 0, 100))
    assert 3_600 == pytest.approx(report["drift_ms_per_hour"], rel=1e-6)
    assert (1, 0) == (report["jumps_forward"], report["jumps_back"])
    assert 2_000 == report["rounding_us"]


def test_the_verdict_says_how_precisely() -> None:
    """All dated, dated in part, not at all."""
    all_dated = report_of(live_text(stream(10), 0, 10))["verdict"]
    assert (True, 40) == (all_dated["synchronisable"], all_dated["precision_ms"])
    once = [replace(one, program_us=one.program_us if n == 0 else None) for n, one in enumerate(stream(10))]
    assert "1 of 10 segments" in report_of(live_text(once, 0, 10))["verdict"]["text"]
    undated = report_of(live_text(stream(10, start_us=None), 0, 10))["verdict"]
    assert (False, None) == (undated["synchronisable"], undated["precision_ms"])
    assert "media sequence" in undated["text"]


def test_oddities_name_their_line() -> None:
    """A damaged date, a segment longer than the target duration, a restart."""
    media = [*stream(3), Media("long.ts", "9.000", NOON_US + 6 * SECOND_US)]
    text = live_text(media, 0, 4).replace("2026-03-02T12:00:02.000Z", "yesterday")
    report = report_of(text, live_text(stream(2, start_us=NOON_US + 90 * SECOND_US, name="again"), 0, 2))
    told = [(one["reload"], one["line"], one["tag"]) for one in report["warnings"]]
    assert [(0, 8, "#EXT-X-PROGRAM-DATE-TIME")] == told
    assert "anew once" in report["verdict"]["text"]
    assert report_of(text)["target_duration_kept"] is False


def test_a_delta_alone_is_told_as_it_is() -> None:
    """What it skips is not here: its own segments, their lengths and dates are the report."""
    text = live_text(stream(10), 0, 10).replace(
        "#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-SKIP:SKIPPED-SEGMENTS=4"
    )
    for texts in ((text,), (text, text)):
        report = report_of(*texts)
        assert list(range(4, 14)) == [one["media_sequence"] for one in report["segments"]]
        assert (2 * SECOND_US, NOON_US + 20 * SECOND_US) == (
            report["longest_duration_us"],
            report["live_edge_program_us"],
        )
        assert report["verdict"]["synchronisable"]
