"""What the chat costs the page it stands in. ``python -m benchmarks.cost [--rate 200] [--minutes 60] [--json]``.

A live room in which 200 messages a second are said, in one Chromium: ``<chatsync-chat>`` follows a picture that is six seconds behind the
edge. For twenty seconds in real time Chromium traces its main thread; times are those of the processor. Script of a frame is its animation callback with what it leaves to do: taking and
drawing messages, layout that it forces, and the page, which plays the relay and makes the messages in the same callback; so the figure is above what our
script alone takes. Beside it stands all that the thread did in a frame, style, layout and paint included. Then an hour of the same room goes by thirty times as fast, and the heap is taken after a collection.
The last line is JSON.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

from benchmarks.harness import Figures, finish, options, row, told
from benchmarks.loading import LeftOutError
from benchmarks.replay import CHROMIUM, PAGES, START_MS, put, served
from chatsync.service.app import player_folder
from tests.e2e.demo import chromium

__all__ = ["main"]

RATE = 200
MINUTES = 60
SPEED = 30
WARM_MS = 5_000
FRAME_TARGET_MS = 8.0
TASK_TARGET_MS = 50.0
HEAP_TARGET_MB = 50.0
TRACED = ("toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "benchmark")


def _traced(page: Page, debugger: CDPSession, traced_ms: int) -> list[dict[str, Any]]:
    """Every event of the trace while the stream goes on for so long."""
    events: list[dict[str, Any]] = []
    ended = [False]
    debugger.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    debugger.on("Tracing.tracingComplete", lambda _: ended.__setitem__(0, True))
    debugger.send("Tracing.start", {"categories": ",".join(("-*", *TRACED)), "transferMode": "ReportEvents"})
    page.evaluate(f"go({traced_ms}, 1)")
    debugger.send("Tracing.end")
    while not ended[0]:
        page.wait_for_timeout(50)
    return events


def _tasks(events: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Milliseconds of the page's main thread by frame, and of each of its tasks."""
    frames = sorted(one["ts"] for one in events if one["name"] == "FireAnimationFrame")
    main = [one for one in events if one["name"] == "FireAnimationFrame"]
    if not main:
        raise LeftOutError("the trace has no frames")
    thread = (main[0]["pid"], main[0]["tid"])
    tasks = sorted(
        (one["ts"], _cpu_ms(one))
        for one in events
        if one["name"] == "RunTask" and "dur" in one and (one["pid"], one["tid"]) == thread
    )
    by_frame = [0.0] * len(frames)
    at = 0
    for started, took_ms in tasks:
        while at + 1 < len(frames) and frames[at + 1] <= started + took_ms * 1000:
            at += 1
        by_frame[at] += took_ms
    return by_frame, [took_ms for _, took_ms in tasks]


def _cpu_ms(event: dict[str, Any]) -> float:
    """Time of the processor, where Chromium tells it: what else runs on the machine is not in it."""
    taken_us: float = event.get("tdur", event["dur"])
    return taken_us / 1000


def _script(events: list[dict[str, Any]]) -> list[float]:
    """Milliseconds of script in each frame's callback: that of the page and of the player, with the microtasks they leave."""
    return [_cpu_ms(one) for one in events if one["name"] == "FireAnimationFrame" and "dur" in one]


def _p95(values: list[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def _measured(rate: int, traced_s: int, minutes: int) -> Figures:
    if not CHROMIUM.is_file():
        raise LeftOutError("there is no Chromium (tests/e2e/install_chromium.sh)")
    if not (player_folder() / "chatsync-player.js").is_file():
        raise LeftOutError("the player is not built (python hatch_build.py)")
    with tempfile.TemporaryDirectory() as made, chromium(str(CHROMIUM)) as browser:
        folder = Path(made)
        put(folder / "flood.html", (PAGES / "flood.html").read_bytes())
        put(folder / "chatsync-player.js", (player_folder() / "chatsync-player.js").read_bytes())
        with served(folder) as address:
            page = browser.new_page(viewport={"width": 400, "height": 640})
            page.set_default_timeout(0)
            debugger = page.context.new_cdp_session(page)
            debugger.send("Performance.enable")
            page.goto(f"{address}/flood.html?rate={rate}&start_ms={START_MS}")
            page.evaluate(f"go({WARM_MS}, 1)")
            shown = page.evaluate("chat.shown.messages.length")
            if not shown:
                raise LeftOutError(f"nothing is shown: {json.dumps(page.evaluate('chat.shown'))}")
            events = _traced(page, debugger, traced_s * 1000)
            by_frame_ms, tasks_ms = _tasks(events)
            script_ms = _script(events)
            told(f"{len(by_frame_ms)} frames, {len(tasks_ms)} tasks; {minutes} minutes of stream follow")
            page.evaluate(f"go({minutes * 60_000}, {SPEED})")
            debugger.send("HeapProfiler.collectGarbage")
            metrics = {one["name"]: one["value"] for one in debugger.send("Performance.getMetrics")["metrics"]}
            behind_ms = page.evaluate("adapter.address().programTimeMs - chat.shown.cutoffMs")
    told(f"nodes {metrics['Nodes']}, pane {behind_ms} ms behind the picture at the end")
    what = f"{rate} messages/s"
    return {
        "rows": [
            row(
                f"script in a frame, p95, {what}",
                "ms",
                round(_p95(script_ms), 2),
                target=FRAME_TARGET_MS,
                better="lower",
                note=f"all of the main thread {_p95(by_frame_ms):.1f} ms, {len(by_frame_ms) / traced_s:.0f} frames a second",
            ),
            row(f"longest task, {what}", "ms", round(max(tasks_ms), 1), target=TASK_TARGET_MS, better="lower"),
            row(
                f"JavaScript heap after {minutes} minutes, {what}",
                "MB",
                round(metrics["JSHeapUsedSize"] / 1e6, 1),
                target=HEAP_TARGET_MB,
                better="lower",
                note=f"{int(metrics['Nodes']):,} nodes in the page",
            ),
        ]
    }


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, seconds=20, rounds=1)
    parser.add_argument("--rate", type=int, default=RATE, help="messages a second")
    parser.add_argument("--minutes", type=int, default=MINUTES, help="of stream before the heap is taken")
    given = parser.parse_args()
    traced_s, minutes = (5, 5) if given.quick else (round(given.seconds), given.minutes)
    finish(lambda: _measured(given.rate, traced_s, minutes), only_json=given.json)


if __name__ == "__main__":
    main()
