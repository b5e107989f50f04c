"""The verdict on a demo run: was every message stamped, kept, and placed where its author was.

Owns: the counts and the stamping error against the clock burned into the picture. Does not know: how they were gathered.
Units: µs inside, ms in the report. The truth for a viewer is the burned clock of the frame on their screen; for the teacher,
who is at the camera, it is wall time, which the burned clock shows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from chatsync.demo.lecture import Said
from chatsync.instants import ms_from_us
from chatsync.media import unwrapped_us

__all__ = ["MISPLACED_US", "checked_run", "replayed_events", "truth_us"]

MISPLACED_US = 500_000  # further than this from what the author saw, a message is in the wrong place
_COVERED_S = 15.0
_LOOK_S = 0.5


def truth_us(said: Said, clocks: Mapping[int, Sequence[tuple[int, int]]]) -> int | None:
    """What the camera's clock showed in the picture the author reacted to.

    Args:
        said: a message of the ledger.
        clocks: by media sequence, (µs into the segment, burned ms) of its frames.

    Returns:
        µs since the Unix epoch; None if the frame was not decoded.
    """
    if said.media_sequence is None or said.into_segment_us is None:
        return said.wall_us
    shown = [frame for frame in clocks.get(said.media_sequence, ()) if frame[0] <= said.into_segment_us]
    if not shown:
        return None
    into_us, value_ms = shown[-1]
    return unwrapped_us(value_ms, said.wall_us) + said.into_segment_us - into_us


async def replayed_events(http: httpx2.AsyncClient, room: str, *, through: int = 0) -> list[dict[str, Any]]:
    """Everything the room's broadcasts replay: slices and the open slice, as a player reads them.

    Args:
        http: a client of the relay.
        room: a public room.
        through: the newest offset that must be covered. A late event gets its slice within 5 s (contract §3), and until then the
            chat playlist's ``as_of`` says that it is not there yet; one that is never covered is read as it then stands.
    """
    events: list[dict[str, Any]] = []
    latest = (await http.get(f"/v1/rooms/{room}/chat.json")).json()
    for _ in range(round(_COVERED_S / _LOOK_S)):
        if latest["as_of"]["offset"] >= through:
            break
        await asyncio.sleep(_LOOK_S)
        latest = (await http.get(f"/v1/rooms/{room}/chat.json")).json()
    for broadcast in latest["broadcasts"]:
        number = broadcast["broadcast"]
        playlist = (await http.get(f"/v1/rooms/{room}/chat.json", params={"broadcast": number, "from_ms": 0})).json()
        for entry in playlist["slices"]:
            name = f"{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"
            events += (await http.get(f"{playlist['base']}{number}/{name}")).raise_for_status().json()["events"]
        if playlist["sealed_until_ms"] is not None:
            tail = await http.get(
                f"{playlist['base']}{number}/open.json", params={"from_ms": playlist["sealed_until_ms"]}
            )
            events += tail.raise_for_status().json()["events"]
    return events


def checked_run(
    said: Sequence[Said], replayed: Sequence[Mapping[str, Any]], clocks: Mapping[int, Sequence[tuple[int, int]]]
) -> dict[str, Any]:
    """Counts and stamping errors of a run, as JSON values; ``ok`` is the verdict.

    Args:
        said: the ledger.
        replayed: events as slices print them.
        clocks: as for :func:`truth_us`.
    """
    found = Counter(event["id"] for event in replayed)
    places = {event["id"]: event["program_ms"] for event in replayed}
    acked = [one for one in said if one.ack is not None]
    errors: dict[str, list[int]] = {}
    misplaced = 0
    for one in acked:
        truth = truth_us(one, clocks)
        if truth is None or one.id not in places or one.ack is None:
            continue
        error_us = places[one.id] * 1_000 - truth
        errors.setdefault(one.ack["stamp"], []).append(abs(error_us))
        misplaced += abs(error_us) > MISPLACED_US
    every = sorted(error for of_stamp in errors.values() for error in of_stamp)
    report: dict[str, Any] = {
        "said": len(said),
        "acked": len(acked),
        "refused": sum(one.refused is not None for one in said),
        "replayed": sum(one.id in found for one in acked),
        "unstamped": sum(one.ack is not None and one.ack["stamp"] == "none" for one in said),
        "lost": sum(one.id not in found for one in acked),
        "duplicated": sum(found[one.id] > 1 for one in acked),
        "misplaced": misplaced,
        "unanswered": sum(one.ack is None and one.refused is None for one in said),
        "compared": len(every),
        "error_ms": _spread(every),
        "by_stamp": {stamp: {"count": len(of)} | _spread(sorted(of)) for stamp, of in sorted(errors.items())},
    }
    bad = ("unstamped", "lost", "duplicated", "misplaced", "unanswered", "refused")
    report["ok"] = len(acked) > 0 and len(every) > 0 and not any(report[name] for name in bad)
    return report


def _spread(errors_us: list[int]) -> dict[str, int | None]:
    """p50, p95 and max in whole ms, by nearest rank."""
    if not errors_us:
        return {"p50": None, "p95": None, "max": None}
    last = len(errors_us) - 1
    ranks = {"p50": round(last * 0.5), "p95": round(last * 0.95), "max": last}
    return {name: ms_from_us(errors_us[rank]) for name, rank in ranks.items()}
