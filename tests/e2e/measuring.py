"""Samples of picture and pane, what may never be in them, and the report's figures. The probe (probe.js) must run in the page.

Every sample holds the picture's program time, read from its blocks, and what the pane showed at that presented frame.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page

from tests.e2e.demo import PROBE

__all__ = ["Report", "check", "collected", "note", "put_probe", "sought", "spread", "start_probe"]

TOLERANCE_MS = 100  # a frame or two, and the encoder's own error
ARRIVAL_MS = 1_500  # how long a message may take from its commit into the pane of a live viewer
BACK = 50
FROM_THE_EDGE_S = 14  # a live player must have what it seeks to

Report = dict[str, Any]
Samples = list[dict[str, Any]]


def put_probe(page: Page) -> None:
    """Put the probe into a page: from then on it notes what is shown because all media was seen. Needs a page without a policy against eval."""
    page.add_script_tag(content=PROBE)


def start_probe(page: Page) -> None:
    """Let it take samples of a video that plays; put in first, if it is not there."""
    if not page.evaluate("'probe' in window"):
        put_probe(page)
    page.evaluate("window.probe.start()")


def collected(page: Page, seconds: float) -> Samples:
    """Samples of the next seconds at which the picture could be read and nothing was being sought."""
    page.evaluate("void window.probe.take()")
    page.wait_for_timeout(seconds * 1000)
    samples: Samples = json.loads(page.evaluate("JSON.stringify(window.probe.take())"))
    return [
        one for one in samples if one["pictureMs"] is not None and one["cutoffMs"] is not None and not one["seeking"]
    ]


def sought(page: Page, *, seed: int, seeks: int, live: bool) -> tuple[Samples, list[float]]:
    """Seek at random; after each the pane gets right, and is looked at for a while. Samples, and ms from ``seeked`` to right."""
    chance = random.Random(seed)
    samples: Samples = []
    to_pane_ms: list[float] = []
    for _ in range(seeks):
        start, end = page.evaluate("window.probe.seekable()")
        target = chance.uniform(start + 1, max(start + 2, end - (FROM_THE_EDGE_S if live else 1)))
        done = page.evaluate("([time, within]) => window.probe.seek(time, within)", [target, 10_000])
        assert done is not None, f"the pane was not right 10 s after a seek to {target:.1f}"
        to_pane_ms.append(done["toPaneMs"])
        samples += collected(page, 0.4)
    return samples, to_pane_ms


def check(samples: Samples, truth: list[dict[str, Any]], *, live: bool, busy: bool = False) -> None:
    """Nothing from after the picture, and nothing missing from the last 50 before it.

    ``busy``: several players share the machine. A message has twice as long, and where the picture was read some frames after the pane
    was drawn, nothing is called missing: the error has it.
    """
    arrival_ms = 2 * ARRIVAL_MS if busy else ARRIVAL_MS
    assert samples, "the picture could not be read once"
    for one in samples[:: max(1, len(samples) // 60)]:
        picture = one["pictureMs"]
        future = [p for p in one["programs"] if p > picture + TOLERANCE_MS]
        assert not future, (
            f"{len(future)} messages from after the picture, {max(future) - picture:.0f} ms early; the cut-off is "
            f"{one['cutoffMs'] - picture:+.0f} ms from it at {one.get('currentS')} s"
        )
        if busy and one["cutoffMs"] < picture - TOLERANCE_MS:
            continue
        # What lies within the tolerance may be there or not, but if it is, it has pushed older ones out.
        last = [event for event in truth if event["program_ms"] <= picture + TOLERANCE_MS][-BACK:]
        due = [
            event["offset"]
            for event in last
            if event["program_ms"] <= picture - TOLERANCE_MS
            and (not live or event["wall_ms"] <= one["wallMs"] - arrival_ms)
            # Said while the encoder stood still: it moves to where media stopped once media comes again, and this is where it is now.
            and not (live and event.get("stamp") == "arrival")
        ]
        missing = sorted(set(due) - set(one["offsets"]))
        told = [
            f"{event['offset']} ({event['stamp']}, {event['program_ms'] - picture:+.0f} ms from the picture, "
            f"said {one['wallMs'] - event['wall_ms']:.0f} ms ago)"
            for event in truth
            if event["offset"] in missing
        ]
        assert not missing, f"not in the pane though the picture is {picture}: {', '.join(told)}"
        if one["offsets"] and one["rows"]:
            assert set(one["rows"]) <= set(one["offsets"]), "a row on screen is not among the messages shown"


def note(report: Report, mode: str, samples: Samples, to_pane_ms: Sequence[float] = ()) -> None:
    """Put a mode's figures into the report."""
    errors = [one["cutoffMs"] - one["pictureMs"] for one in samples]
    report[mode] = {"error_ms": spread([abs(error) for error in errors]), "early_ms_max": round(max(errors), 1)}
    if to_pane_ms:
        report[mode]["seeked_to_pane_ms"] = spread(to_pane_ms)


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and max, and how many."""
    ordered = sorted(values)
    last = len(ordered) - 1
    ranks = {"p50": ordered[round(last * 0.5)], "p95": ordered[round(last * 0.95)], "max": ordered[-1]}
    return {name: round(value, 1) for name, value in ranks.items()} | {"count": len(ordered)}
