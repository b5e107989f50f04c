"""The long forms of the promises, one after the other, with a table at the end: ``make long``, or ``python -m tests.long kills cuts``.

Each runs in a process of its own; what it prints is kept in ``build/long/NAME.log``, and ``build/long/report.md`` says what came of
it, with its last figures, the commit and the machine. One that fails stops nothing. All of them take about five hours on two cores that
have nothing else to do, and a machine that has is told as slow.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["FORMS", "Form", "main"]

ROOT = Path(__file__).resolve().parents[1]
FIGURES_MAX = 6  # lines of one form in the report


@dataclass(frozen=True, slots=True)
class Form:
    """One long form.

    Attributes:
        target: what pytest runs.
        settings: the environment that makes it long.
    """

    target: str
    settings: dict[str, str]


FORMS = {
    "kills": Form(
        "tests/spec/test_acked_survives_kill_9.py", {"CHATSYNC_KILLS": "500", "CHATSYNC_KILLS_ACKED": "1000000"}
    ),
    "cuts": Form("tests/spec/test_acked_survives_a_power_cut.py", {"CHATSYNC_CUTS": "1000"}),
    "positions": Form("tests/spec/test_no_ack_when_the_disk_fails.py", {"CHATSYNC_POSITIONS": "250"}),
    "seeds": Form("tests/spec/test_any_seed_keeps_every_promise.py", {"CHATSYNC_SIMULATION_SEEDS": "10000"}),
    "soak": Form("tests/spec/test_memory_stays_flat.py", {"CHATSYNC_SOAK_S": "1800"}),
    "resumes": Form("tests/spec/test_any_event_can_be_resumed_from.py", {"CHATSYNC_DEPTH": "1000000"}),
    "tail": Form("tests/spec/test_a_relay_is_ready_with_a_million_in_the_tail.py", {"CHATSYNC_TAIL": "1000000"}),
    "storm": Form("tests/spec/test_everyone_comes_back_after_a_storm.py", {"CHATSYNC_STORM": "5000"}),
    "crowd": Form("tests/spec/test_slow_readers_cost_little.py", {"CHATSYNC_CROWD": "1000"}),
    "clocks": Form("tests/spec/test_a_clock_that_jumps_moves_nothing.py", {"CHATSYNC_CLOCK_JUMPS": "500"}),
    "relay-clock": Form("tests/spec/test_a_relay_whose_clock_jumps_goes_on.py", {"CHATSYNC_CLOCK_JUMPS": "500"}),
    "lessons": Form("tests/spec/test_live_equals_replay.py", {"CHATSYNC_LESSONS": "10000"}),
    "pollers": Form("tests/spec/test_past_the_socket_cap.py", {"CHATSYNC_POLLERS": "50000"}),
    "loop": Form("tests/spec/test_the_loop_turns_under_load.py", {"CHATSYNC_LOOP_S": "60"}),
    "backups": Form("tests/spec/test_a_backup_survives_a_power_cut.py", {"CHATSYNC_CUTS": "100"}),
    "expiry": Form("tests/store/test_retention.py", {"CHATSYNC_EXPIRE_KILLS": "50"}),
    "caches": Form("tests/spec/test_a_hide_leaves_the_caches.py", {"CHATSYNC_CACHE_PAIRS": "5000"}),
    "canaries": Form("tests/spec/test_no_room_shows_another.py", {"CHATSYNC_CANARY_HOMES": "4"}),
    "players": Form("tests/e2e/test_players.py", {"CHATSYNC_PLAYERS_S": "20"}),
    "damage": Form("tests/spec/test_damage_is_never_served.py", {"CHATSYNC_DAMAGES": "10000"}),
}


def main() -> None:
    """Run those that are named, or all; exit 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.long", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FORMS)}; without, all")
    chosen = parser.parse_args().names or list(FORMS)
    unknown = sorted(set(chosen) - set(FORMS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(FORMS)}")
    folder = ROOT / "build" / "long"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    failed = False
    for number, name in enumerate(chosen, start=1):
        form = FORMS[name]
        told = " ".join(f"{key}={value}" for key, value in form.settings.items())
        print(f"[{number}/{len(chosen)}] {name}: {told} {form.target}", flush=True)
        began_s = time.monotonic()
        status = _run(form, folder / f"{name}.log")
        took_s = time.monotonic() - began_s
        failed = failed or status != 0
        verdict = "passed" if status == 0 else f"failed ({status})"
        print(f"    {verdict} in {took_s:.0f} s; build/long/{name}.log", flush=True)
        figures = "<br>".join(_figures(folder / f"{name}.log"))
        rows.append(f"| {name} | `{told} python -m pytest -s {form.target}` | {verdict} | {took_s:.0f} s | {figures} |")
        (folder / "report.md").write_text(_report(rows), encoding="utf-8")
    raise SystemExit(failed)


def _run(form: Form, log: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", form.target]
    environment = os.environ | {"CHATSYNC_TESTS_EXECUTE": "1"} | form.settings
    with log.open("wb") as output:
        return subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False).returncode


def _figures(log: Path) -> list[str]:
    """The last lines that a form printed itself: those with a figure, without pytest's own."""
    lines = [line.strip(". \n") for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    told = [line for line in lines if any(map(str.isdigit, line)) and not line.startswith(("=", "tests/", "E ", ">"))]
    return [line.replace("|", "\\|")[:300] for line in told[-FIGURES_MAX:]]


def _report(rows: list[str]) -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return "\n".join(
        [
            "# Long forms",
            "",
            f"At commit {commit or 'unknown'}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores ({platform.machine()}), "
            f"{platform.system()} {platform.release()}, Python {platform.python_version()}.",
            "",
            "| form | command | | took | figures |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
