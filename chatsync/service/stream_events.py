"""What the stream changed, as events of the room's log and as a frame for everyone.

Owns: which kind a change becomes, and where it stands. Does not know: committing, fan-out. Pure but for the id it makes.
Units: µs; the frame in ms. Source: contract §2, §5.
"""

from __future__ import annotations

from typing import Any

import msgspec
import uuid_utils

from chatsync.chat.event import Draft
from chatsync.chat.reactions import Tapped
from chatsync.chat.wire import encoded
from chatsync.instants import ms_from_us, whole_ms_us
from chatsync.replay.broadcasts import Change, Closed, GapFound, Opened, Reopened, Restamp, StreamChanged
from chatsync.replay.stamping import Scene, Witness, stamped

__all__ = ["broadcast_frame", "mode_draft", "reaction_draft", "stream_draft"]


def stream_draft(change: Change, scene: Scene, *, room: str, wall_us: int) -> Draft | None:
    """The event a change becomes, or None for one that is kept beside the log.

    Args:
        change: what a reload, a tick or a host changed.
        scene: of the broadcast it is about, now.
        room: the room's id.
        wall_us: the system's wall time, for ``wall_us`` of the event.
    """
    kind, program_us, details = _described(change, scene)
    if kind is None:
        return None
    stamp = msgspec.structs.replace(
        stamped(kind, Witness(is_host=True), scene),
        stamp="origin" if scene.clock.has_program_time else "none",
        broadcast=change.broadcast,
        program_us=whole_ms_us(program_us),
        latency_us=None,
    )
    by, event_id = (change.by, change.event_id) if isinstance(change, Closed) else (None, None)
    return Draft(
        room=room,
        kind=kind,
        id=event_id or str(uuid_utils.uuid7()),
        stamp=stamp,
        wall_us=wall_us,
        details=details,
        source="system",
        by=by,
    )


def mode_draft(parts: dict[str, Any], scene: Scene, *, room: str, wall_us: int) -> Draft:
    """A change of the mode by the room's settings, or one that carries over from the broadcast before; nobody is its author."""
    return Draft(
        room=room,
        kind="mode_changed",
        id=str(uuid_utils.uuid7()),
        stamp=stamped("mode_changed", Witness(is_host=True), scene),
        wall_us=wall_us,
        details={"mode": parts},
        source="system",
    )


def reaction_draft(tapped: Tapped, *, room: str, wall_us: int) -> Draft:
    """How often an emoji was tapped in a program second. By nobody: who tapped is not kept."""
    return Draft(
        room=room,
        kind="reaction",
        id=str(uuid_utils.uuid7()),
        stamp=msgspec.structs.replace(tapped.stamp, claimed_us=None),
        wall_us=wall_us,
        details={"emoji": tapped.emoji, "count": tapped.count},
        source="system",
    )


def _described(change: Change, scene: Scene) -> tuple[str | None, int, dict[str, Any]]:
    """Kind, program time and what the kind adds."""
    match change:
        case Opened(start_us=start_us, media_sequence=media_sequence):
            at_us = scene.now_us if start_us is None else start_us
            return "broadcast_opened", at_us, {"media_sequence": media_sequence}
        case Closed(program_us=edge_us, reason=reason):
            return "broadcast_closed", edge_us, {"reason": reason}
        case Reopened():
            return "broadcast_opened", scene.now_us, {"reason": "end_taken_back"}
        case StreamChanged(run=run, program_us=at_us, other_variant=other_variant):
            reason = "variant_changed" if other_variant else "encoder_restarted"
            return "stream_changed", at_us, {"run": run, "reason": reason}
        case Restamp(rule=rule, stamps=stamps, shift_us=shift_us, to_us=to_us):
            details = {"rule": rule, "stamps": list(stamps), "shift_us": shift_us, "to_us": to_us}
            return "restamped", scene.now_us, details
        case GapFound():
            return None, 0, {}


def broadcast_frame(change: Opened | Closed | Reopened, *, program_us: int) -> bytes:
    """The ``broadcast`` frame that tells everyone."""
    frame: dict[str, Any] = {
        "type": "broadcast",
        "broadcast": change.broadcast,
        "status": "closed" if isinstance(change, Closed) else "opened",
        "program_ms": ms_from_us(program_us),
    }
    if isinstance(change, Closed):
        frame["reason"] = change.reason
    return encoded(frame)
