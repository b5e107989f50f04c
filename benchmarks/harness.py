"""What benchmarks have in common: options, alternating rounds, rows of the report, a relay on the servers' core.

Owns: ``--seconds``, ``--rounds``, ``--quick``, ``--json``; which round counts; the shape of a row. Does not know: what is measured.
A row is what ``benchmarks/report.md`` prints: a figure, its target, and the same figure of each peer in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from benchmarks.loading import EVENT_TEXT, LeftOutError, Target, hello, on_server_core
from tests.relay import Relay, token

__all__ = [
    "SAY",
    "Figures",
    "finish",
    "live_path",
    "median",
    "options",
    "relay_on_server_core",
    "row",
    "sent_by",
    "told",
]

LEFT_OUT_STATUS = 77  # what automake's tests return when they cannot run
SAY = '{"type":"say","id":"%I","kind":"message","text":"' + EVENT_TEXT + '"}'

Figures = dict[str, Any]


def options(doc: str | None, *, seconds: float, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options all have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=seconds, help="measured time of a round (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="alternating rounds; the median counts (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="one short round of each")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    return parser


def told(text: str) -> None:
    """Say on stderr how far it is."""
    print(text, file=sys.stderr, flush=True)


def median(rounds: list[Figures], by: str) -> Figures:
    """The round in the middle by one of its figures."""
    return sorted(rounds, key=lambda one: one[by])[len(rounds) // 2]


def row(
    what: str,
    unit: str,
    ours: float,
    *,
    target: float | None,
    better: Literal["higher", "lower"],
    peers: Mapping[str, float | None] | None = None,
    note: str = "",
) -> Figures:
    """A row of the report.

    Args:
        what: which figure.
        unit: of figure, target and peers.
        ours: the figure.
        target: to be reached, or None.
        better: which way is better.
        peers: the same figure of each peer; None where the peer did not finish.
        note: what else must be known.
    """
    return {
        "what": what,
        "unit": unit,
        "ours": ours,
        "target": target,
        "better": better,
        "reached": None if target is None else (ours >= target if better == "higher" else ours <= target),
        "peers": dict(peers or {}),
        "note": note,
    }


def finish(measured: Callable[[], Figures], *, only_json: bool) -> None:
    """Measure, print the rows as a table unless only JSON is wanted, and the JSON line last."""
    try:
        figures = measured()
    except LeftOutError as reason:
        print(f"left out: {reason}")
        raise SystemExit(LEFT_OUT_STATUS) from None
    if not only_json:
        for one in figures["rows"]:
            target = (
                ""
                if one["target"] is None
                else f" (target {one['target']:g}: {'reached' if one['reached'] else 'missed'})"
            )
            peers = "; ".join(
                f"{name} {'—' if value is None else f'{value:g}'}" for name, value in one["peers"].items()
            )
            print(f"{one['what']}: {one['ours']:g} {one['unit']}{target}{'; ' if peers else ''}{peers}")
    print(json.dumps(figures))


@contextmanager
def relay_on_server_core(
    rooms: Mapping[str, Mapping[str, Any]], folder: Path | None = None, **limits: int
) -> Iterator[Relay]:
    """``chatsync serve`` on the core that servers get, on a fresh data folder.

    Args:
        rooms: the rooms of its configuration.
        folder: where the data folder is made; default: the system's.
        limits: what is raised for the measurement.
    """
    with ExitStack() as stack:
        made = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
        relay = Relay(Path(made), {room: dict(values) for room, values in rooms.items()}, limits=limits)
        with on_server_core():
            stack.enter_context(relay)
        yield relay
        relay.stop()


def live_path(room: str) -> str:
    """The live socket of a room."""
    return f"/v1/rooms/{room}/live"


def sent_by(room: str, count: int, *, number: int = 0) -> list[Target]:
    """Participants who write in a room, and listen."""
    return [Target(live_path(room), number, hello(token(room, f"person-{one}")), SAY) for one in range(count)]
