"""What every test run keeps to: what is left out is told, and under CI=true nothing that must run may be left out.

Owns: the rule on skips, hypothesis' profile, and where Chromium is. Does not know: what any test is about.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.relay import Relay

_ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = _ROOT / "build" / "left-out.txt"  # read by `make test`
_MUST_RUN = ("e2e", "faults")
_LONGEST = (
    "test_acked_survives_a_power_cut.py",
    "test_no_ack_when_the_disk_fails.py",
    "test_a_backup_survives_a_power_cut.py",
    "test_acked_survives_kill_9.py",
    "test_live_equals_replay.py",
    "test_dockerfile.py",
    "test_recordings_of_every_kind.py",
)

# Two busy cores make any deadline a coin toss; a failing example is printed so that it can be kept.
settings.register_profile("chatsync", deadline=None, print_blob=True)
settings.load_profile("chatsync")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium: CHATSYNC_CHROMIUM, else the system's; without one the test is skipped."""
    path = os.environ.get("CHATSYNC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium (make chromium, or set CHATSYNC_CHROMIUM)")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/e2e needs a browser, whether it says so or not. The longest tests come first, so that none is left alone at the end."""
    for item in items:
        if item.path.is_relative_to(_ROOT / "tests" / "e2e"):
            item.add_marker(pytest.mark.e2e)
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(_LONGEST)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What measures nothing may begin its relays as copies; with CHATSYNC_TESTS_EXECUTE, as in the long forms, nothing does."""
    Relay.is_copied = "CHATSYNC_TESTS_EXECUTE" not in os.environ and item.get_closest_marker("alone") is None


def _is_ci() -> bool:
    return os.environ.get("CI", "").lower() == "true"


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return str(where[2]).removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI=true, a skipped browser or fault test has failed."""
    report = yield
    expected_to_fail = hasattr(report, "wasxfail")
    if (
        report.skipped
        and not expected_to_fail
        and _is_ci()
        and any(item.get_closest_marker(name) for name in _MUST_RUN)
    ):
        report.outcome = "failed"
        report.longrepr = f"Left out under CI=true, where it must run: {_skip_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Under CI=true, a browser test file that skips itself whole has failed as well."""
    report = yield
    if report.skipped and _is_ci() and collector.path.is_relative_to(_ROOT / "tests" / "e2e"):
        report.outcome = "failed"
        report.longrepr = f"Left out under CI=true, where it must run: {_skip_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each reason for skipping once, with how many tests it left out, and note it for `make test`."""
    reasons = Counter(_skip_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    lines = [f"- {count} {'test' if count == 1 else 'tests'}: {reason}" for reason, count in sorted(reasons.items())]
    terminalreporter.write_sep("-", "left out")
    for line in lines:
        terminalreporter.write_line(line)
    _LEFT_OUT.parent.mkdir(exist_ok=True)
    with _LEFT_OUT.open("a") as kept:
        kept.writelines(f"{line}\n" for line in lines)
