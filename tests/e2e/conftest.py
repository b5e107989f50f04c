"""One demo for all browser tests: the page's tests look at it first, then those of sync, which stop it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from hatch_build import run_script
from tests.e2e.demo import ROOT, Demo, chromium
from tests.e2e.measuring import Report

REPORT = ROOT / "build" / "sync-report.json"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, stopped at the end."""
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One Chromium; each test opens pages of its own."""
    with chromium(chromium_path) as launched:
        yield launched


@pytest.fixture(scope="session")
def stage_script() -> None:
    """The stage of the pages that need no server, built anew: half a second."""
    run_script(ROOT, "stage")


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    """Errors by mode, written at the end whatever happens."""
    found: Report = {}
    yield found
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n")
