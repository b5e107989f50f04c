"""Run the benchmarks and write what they found: ``python -m benchmarks.run [--quick] [--all] [--only acks,fanout] [--output FILE]``.

Each runs in a process of its own, one after the other. One that cannot run on this machine, fails, or does not end within a quarter of an hour
is listed with its reason and stops nothing. ``--quick`` takes the short form of each, for less than five minutes in all; ``--all`` adds those
that have no target. What a person has to say about a figure stands in ``benchmarks/notes.md`` under the name of the benchmark, and is
printed below the table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import LEFT_OUT_STATUS, told

__all__ = ["Machine", "Run", "main", "notes_of", "report"]

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    *("acks", "fanout", "idle", "many_rooms", "slices", "polling"),
    *("windows", "start", "seal", "erase", "replay", "questions", "imports", "exports"),
    *("picture", "cost"),
)
OTHERS = (
    "append",
    "playlist",
    "follower",
    "following",
    "restarts",
    "backup",
)  # without a target; big_folder makes, it measures nothing
SECONDS_MAX = 900
REASON_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one benchmark: its figures, or why there are none."""

    name: str
    seconds: float
    figures: dict[str, Any] | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and of what a report was made, as texts."""

    commit: str
    when: str
    what: str


def main() -> None:
    """Run them and write the report; exit 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only short forms")
    parser.add_argument("--all", action="store_true", help="those without a target too")
    parser.add_argument("--only", default="", help="names with commas between")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "report.md")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else [*NAMES, *(OTHERS if arguments.all else ())]
    unknown = sorted(set(chosen) - {*NAMES, *OTHERS})
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join((*NAMES, *OTHERS))}")
    machine, runs = _machine(), []
    for number, name in enumerate(chosen, start=1):
        told(f"[{number}/{len(chosen)}] {name}")
        runs.append(_run(name, quick=arguments.quick))
        told(f"    {runs[-1].seconds:.0f} s{'; ' + runs[-1].reason if runs[-1].reason else ''}")
    notes = notes_of((ROOT / "benchmarks" / "notes.md").read_text(encoding="utf-8"))
    arguments.output.write_text(report(runs, machine, notes, quick=arguments.quick), encoding="utf-8")
    told(f"written to {arguments.output}")
    raise SystemExit(any(run.figures is None and not run.reason.startswith("left out") for run in runs))


def _run(name: str, *, quick: bool) -> Run:
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick and name in NAMES else [])]
    began = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return Run(name, time.perf_counter() - began, None, f"did not end within {SECONDS_MAX} s")
    seconds = time.perf_counter() - began
    lines = done.stdout.strip().splitlines() or [""]
    if done.returncode == LEFT_OUT_STATUS:
        return Run(name, seconds, None, lines[-1][:REASON_CHARACTERS_MAX])
    if done.returncode:
        return Run(name, seconds, None, f"failed with status {done.returncode}")
    try:
        return Run(name, seconds, json.loads(lines[-1]))
    except json.JSONDecodeError:
        return Run(name, seconds, None, "its last line is no JSON")


def _machine() -> Machine:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = [line for line in git("status", "--porcelain").splitlines() if not line.endswith("benchmarks/report.md")]
    commit = (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    what = (
        f"{os.cpu_count()} cores ({_processor()}), {memory_gib:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start"
    )
    return Machine(commit, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", what)


def _processor() -> str:
    try:
        names = re.findall(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0].strip() if names else platform.machine()


def notes_of(text: str) -> dict[str, str]:
    """What was written by hand, by the name of the benchmark: paragraphs under ``## name``."""
    parts = re.split(r"^## (\w+)\n", text, flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True) if body.strip()}


def report(runs: list[Run], machine: Machine, notes: dict[str, str], *, quick: bool) -> str:
    """The page ``benchmarks/report.md``.

    Args:
        runs: in the order in which they are listed.
        machine: where they ran.
        notes: by name of a benchmark, see :func:`notes_of`.
        quick: whether these are short forms.
    """
    total_s = sum(run.seconds for run in runs)
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench{'-quick' if quick else ''}` at commit {machine.commit}, {machine.when}, in {total_s / 60:.0f} minutes, "
        f"on {machine.what}.",
        "The load generator runs on the same machine, servers have one core; peers are measured in the same run. Ratios (ours to the "
        "peer's) count, times drift. `docs/benchmarks.md` says how to run and read this.",
        "",
        "| what | ours | target | | peers in the same run | note |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        lines += [_line(row) for row in (run.figures or {}).get("rows", [])]
    missed = [(run.name, row) for run in runs for row in (run.figures or {}).get("rows", []) if row["reached"] is False]
    lines += ["", "## Figures that are not reached", ""]
    lines += [f"- {row['what']} (`{name}`): {_verdict(row)}" for name, row in missed] or ["None."]
    told_of = [run.name for run in runs if run.name in notes]
    if told_of:
        lines += ["", "## Notes", "", "Written by hand in `benchmarks/notes.md`: where time goes, what was tried."]
        lines += [f"\n### {name}\n\n{notes[name]}" for name in told_of]
    others = [run for run in runs if run.figures is not None and "rows" not in run.figures]
    if others:
        lines += ["", "## Figures without a target"]
        lines += [
            f"\n`{run.name}` ({run.seconds:.0f} s)\n\n```json\n{json.dumps(run.figures, indent=1)}\n```"
            for run in others
        ]
    missing = [f"- `{run.name}`: {run.reason}" for run in runs if run.figures is None]
    missing += [f"- `{run.name}`: {one}" for run in runs for one in (run.figures or {}).get("left_out", [])]
    if missing:
        lines += ["", "## Left out", "", *missing]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    peers = "; ".join(
        f"{name} {'—' if value is None else f'{_number(value)} (ratio {_ratio(row, value)})'}"
        for name, value in row["peers"].items()
    )
    target = "" if row["target"] is None else _number(row["target"])
    cells = (row["what"], f"{_number(row['ours'])} {row['unit']}", target, _verdict(row), peers, row["note"])
    return "| " + " | ".join(cells) + " |"


def _number(value: float) -> str:
    """Three digits or so, thousands with commas."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.4g}"


def _ratio(row: dict[str, Any], peer: float) -> str:
    return f"{row['ours'] / peer:.2f}" if peer else "—"


def _verdict(row: dict[str, Any]) -> str:
    """Reached, or missed by how much of the target."""
    if row["target"] is None:
        return ""
    if row["reached"]:
        return "reached"
    return f"missed by {abs(row['ours'] - row['target']) / row['target']:.0%}" if row["target"] else "missed"


if __name__ == "__main__":
    main()
