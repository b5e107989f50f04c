"""The report of benchmarks, made of canned rows."""

from __future__ import annotations

from typing import Any

from benchmarks.harness import row
from benchmarks.run import NAMES, OTHERS, ROOT, Machine, Run, notes_of, report

MACHINE = Machine("abc1234", "2026-03-02 12:00 UTC", "2 cores")


def _figures(*rows: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"rows": list(rows), **others}


def _report(*runs: Run, notes: dict[str, str] | None = None) -> str:
    return report(list(runs), MACHINE, notes or {}, quick=False)


def test_a_row_has_its_target_its_peers_and_their_ratios() -> None:
    """A figure is printed beside its target and each peer's, with ours to theirs; a peer that did not finish has a dash."""
    one = row(
        "acks", "/s", 8_000, target=10_000, better="higher", peers={"NATS": 4_000, "nchan": None}, note="slow disk"
    )
    page = _report(Run("acks", 61.0, _figures(one)))
    assert (
        "| acks | 8,000 /s | 10,000 | missed by 20% | NATS 4,000 (ratio 2.00); nchan — | slow disk |"
        in page.splitlines()
    )
    assert "- acks (`acks`): missed by 20%" in page.splitlines()


def test_better_may_be_lower() -> None:
    """A time below its target is reached, and a row without a target has no verdict."""
    fast = row("p99", "ms", 12.345, target=25, better="lower")
    plain = row("CPU", "s", 0.5, target=None, better="lower")
    lines = _report(Run("acks", 1.0, _figures(fast, plain))).splitlines()
    assert "| p99 | 12.3 ms | 25 | reached |  |  |" in lines
    assert "| CPU | 0.5 s |  |  |  |  |" in lines
    assert "None." in lines


def test_what_did_not_run_is_listed_with_its_reason() -> None:
    """A benchmark that failed and a peer that is not installed are both told."""
    page = _report(
        Run("erase", 3.0, None, "failed with status 1"), Run("acks", 9.0, _figures(left_out=["no redis-server"]))
    )
    assert ["- `erase`: failed with status 1", "- `acks`: no redis-server"] == page.splitlines()[-2:]


def test_notes_stand_under_the_name_of_their_benchmark() -> None:
    """What was written by hand is printed with the benchmarks that ran, and with no other."""
    notes = notes_of("# Notes\n\nIntroduction.\n\n## acks\n\nThe fsync.\n\n## seal\n\nThe rows.\n\n## idle\n")
    assert {"acks": "The fsync.", "seal": "The rows."} == notes
    page = _report(Run("acks", 1.0, _figures()), notes=notes)
    assert "### acks\n\nThe fsync." in page
    assert "The rows." not in page


def test_figures_without_rows_are_printed_as_they_are() -> None:
    """A benchmark without a target is printed as JSON."""
    assert '```json\n{\n "ms": 3\n}\n```' in _report(Run("follower", 2.0, {"ms": 3}))


def test_notes_are_about_benchmarks_that_exist() -> None:
    """Every section of benchmarks/notes.md is named like a benchmark."""
    notes = notes_of((ROOT / "benchmarks" / "notes.md").read_text(encoding="utf-8"))
    assert set() == set(notes) - {*NAMES, *OTHERS}
