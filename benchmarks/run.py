"""Run the benchmarks and write what they found: ``python -m benchmarks.run [--quick] [--only acks,fanout] [--output FILE]``.

Each runs in a process of its own, one after the other. One that cannot run on this machine, or fails, is listed with its reason and
stops nothing. ``--quick`` runs those that have a short form, for less than five minutes in all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import LEFT_OUT_STATUS, told

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
NAMES = (  # big_folder makes, it measures nothing
    *("acks", "fanout", "idle", "many_rooms", "slices", "polling"),
    *("append", "erase", "playlist", "follower", "following", "restarts"),
)
QUICK = ("acks", "fanout", "idle", "many_rooms", "slices")
REASON_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one benchmark: its figures, or why there are none."""

    name: str
    seconds: float
    figures: dict[str, Any] | None
    reason: str = ""


def main() -> None:
    """Run them and write the report; exit 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only short forms")
    parser.add_argument("--only", default="", help="names with commas between")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "report.md")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(QUICK if arguments.quick else NAMES)
    unknown = sorted(set(chosen) - set(NAMES))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    runs = []
    for number, name in enumerate(chosen, start=1):
        told(f"[{number}/{len(chosen)}] {name}")
        runs.append(_run(name, quick=arguments.quick))
        told(f"    {runs[-1].seconds:.0f} s{'; ' + runs[-1].reason if runs[-1].reason else ''}")
    arguments.output.write_text(_report(runs, quick=arguments.quick), encoding="utf-8")
    told(f"written to {arguments.output}")
    raise SystemExit(any(run.figures is None and not run.reason.startswith("left out") for run in runs))


def _run(name: str, *, quick: bool) -> Run:
    command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick and name in QUICK else [])]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
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


def _report(runs: list[Run], *, quick: bool) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench{'-quick' if quick else ''}` at commit {commit or 'unknown'}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, on "
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()} {platform.release()}, Python {platform.python_version()}.",
        "The load generator runs on the same machine; peers are measured in the same run. Ratios count, times drift.",
        "",
        "| what | ours | target | | peers in the same run | note |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        lines += [_line(row) for row in (run.figures or {}).get("rows", [])]
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
        f"{name} {'—' if value is None else f'{value:g} (ratio {_ratio(row, value)})'}"
        for name, value in row["peers"].items()
    )
    target = "" if row["target"] is None else f"{row['target']:g}"
    cells = (row["what"], f"{row['ours']:g} {row['unit']}", target, _verdict(row), peers, row["note"])
    return "| " + " | ".join(cells) + " |"


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
