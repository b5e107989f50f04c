"""The verdict on a demo run, on runs made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.demo.check import MISPLACED_US, checked_run, truth_us
from chatsync.demo.lecture import Said

NOW_MS = 1_764_000_000_000
WRAP_MS = 2**32
CLOCKS = {7: [(index * 33_333, (NOW_MS + round(index * 33.333)) % WRAP_MS) for index in range(60)]}


def _said(id_: str, *, stamp: str | None = "playhead", into_ms: int | None = 500, **fields: Any) -> Said:
    """A message; seen at a place of segment 7, or with ``into_ms`` None said at the camera at ``NOW_MS``."""
    said = Said(id_, 1, "message", "text", NOW_MS * 1000 + (0 if into_ms is None else 9_000_000))
    if into_ms is not None:
        said.media_sequence, said.into_segment_us = 7, into_ms * 1000
    said.ack = None if stamp is None else {"id": id_, "stamp": stamp}
    said.refused = fields.get("refused")
    return said


def _event(id_: str, after_ms: int = 500) -> dict[str, Any]:
    return {"id": id_, "program_ms": NOW_MS + after_ms}


def test_a_viewers_truth_is_the_clock_in_the_frame_on_screen() -> None:
    """The last frame that began is read, and what it was on for is added."""
    assert NOW_MS * 1000 + 500_000 == pytest.approx(truth_us(_said("a"), CLOCKS), abs=1_000)


def test_a_teachers_truth_is_the_cameras_clock() -> None:
    """Who watches no player is judged by wall time."""
    assert NOW_MS * 1000 == truth_us(_said("a", into_ms=None), {})


def test_a_frame_that_was_not_decoded_has_no_truth() -> None:
    """Without its segment a message cannot be judged."""
    assert truth_us(_said("a"), {}) is None


def test_a_run_in_which_all_is_well() -> None:
    """Every message acked, replayed once and in its place: ok, with the errors by stamp."""
    said = [_said("a"), _said("b", into_ms=1_000), _said("c", stamp="origin", into_ms=None)]
    report = checked_run(said, [_event("a"), _event("b", 1_020), _event("c", 3)], CLOCKS)
    assert report["ok"]
    assert (3, 3, 3, 3) == tuple(report[name] for name in ("said", "acked", "replayed", "compared"))
    assert ["origin", "playhead"] == list(report["by_stamp"])
    assert 3 == report["by_stamp"]["origin"]["max"]
    assert 19 <= report["error_ms"]["max"] <= 21


@pytest.mark.parametrize(
    ("fault", "said", "replayed"),
    [
        ("lost", [_said("a"), _said("b")], [_event("a")]),
        ("duplicated", [_said("a")], [_event("a"), _event("a")]),
        ("misplaced", [_said("a")], [_event("a", 500 + MISPLACED_US // 1000 + 2)]),
        ("unstamped", [_said("a", stamp="none")], [_event("a")]),
        ("unanswered", [_said("a"), _said("b", stamp=None)], [_event("a")]),
        ("refused", [_said("a"), _said("b", stamp=None, refused="too_long")], [_event("a")]),
    ],
)
def test_each_fault_is_counted_and_spoils_the_run(fault: str, said: list[Said], replayed: list[dict[str, Any]]) -> None:
    """One message of a kind of fault is one in its count, none in the others, and the run is not ok."""
    report = checked_run(said, replayed, CLOCKS)
    names = ("lost", "duplicated", "misplaced", "unstamped", "unanswered", "refused")
    assert {name: int(name == fault) for name in names} == {name: report[name] for name in names}
    assert not report["ok"]


def test_a_run_that_proves_nothing_is_not_ok() -> None:
    """No messages, or none whose picture could be read, is no success."""
    assert not checked_run([], [], CLOCKS)["ok"]
    assert not checked_run([_said("a")], [_event("a")], {})["ok"]
