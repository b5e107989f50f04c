"""From an act to a draft: where in program time it belongs, and what of it goes into the log.

Owns: which broadcast an act belongs to, what a player's claim is as program time, the stamp's inputs. Does not know: sockets, the
journal. Source: contract §1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatsync.chat.event import Draft, Event
from chatsync.chat.text import emotes_in
from chatsync.chat.wire import SayPlayhead
from chatsync.hls.timeline import Timeline
from chatsync.instants import us_from_ms
from chatsync.replay.broadcasts import Broadcast, Broadcasts
from chatsync.replay.stamping import ORIGIN_KINDS, Claim, Witness, stamped
from chatsync.service.acts import Act

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["HAND_KINDS", "claimed", "drafted"]

HAND_KINDS = frozenset({"hand_raised", "hand_lowered"})
_ABOUT_ANOTHER = frozenset({"question_upvoted", "question_answered", "poll_voted"})


def drafted(room: LiveRoom, act: Act, target: Event | None) -> Draft:
    """Stamp an act, now.

    Args:
        room: whose clocks and timeline count.
        act: what is done.
        target: the event it is about.
    """
    now_us = room.clock.wall_us()
    wall_us = now_us if act.wall_us is None else min(act.wall_us, now_us)
    claim = claimed(room.timeline, act.claim)
    witness = Witness(
        act.author.role == "host",
        act.seen.playhead,
        claim,
        latency_us=act.latency_us,
        latency_spread_us=act.latency_spread_us,
    )
    # Modes, pins and polls are enforced at the edge, also by a moderator who has rewound (contract §1).
    is_origin, is_hand = act.kind in ORIGIN_KINDS, act.kind in HAND_KINDS
    broadcast = room.broadcasts.current if is_origin else _broadcast_of(room.broadcasts, claim)
    not_before_us = None
    if is_origin:
        not_before_us = broadcast.last_origin_us
    elif is_hand:
        not_before_us = room.edge.hands_us.get((broadcast.number, act.author.key))
    elif act.kind in _ABOUT_ANOTHER and target is not None and target.broadcast == broadcast.number:
        not_before_us = target.program_us
    stamp = stamped(act.kind, witness, room.scene(broadcast, wall_us), not_before_us=not_before_us)
    if is_origin:
        broadcast.last_origin_us = stamp.program_us
    elif is_hand:
        room.edge.hands_us[broadcast.number, act.author.key] = stamp.program_us
    if stamp.stamp == "arrival":
        broadcast.arrivals += 1
    system_us = room.clock.system_wall_us()
    text = target.text if act.kind == "pinned" and target is not None else act.text
    emotes = emotes_in(text, room.settings.emotes) if text is not None else {}
    return Draft(
        room=room.room,
        kind=act.kind,
        id=act.id,
        stamp=stamp,
        wall_us=wall_us + system_us - now_us,
        received_us=now_us,
        author=act.author,
        text=text,
        reply_to=act.reply_to,
        target=act.target,
        details=act.details | {"emotes": emotes} if emotes else act.details,
        source=act.source,
    )


def _broadcast_of(broadcasts: Broadcasts, claim: Claim | None) -> Broadcast:
    """The broadcast an author speaks in: the one their player names while it is in memory, else the current one."""
    named = None if claim is None else broadcasts.get(claim.broadcast)
    return broadcasts.current if named is None else named


def claimed(timeline: Timeline, playhead: SayPlayhead | None) -> Claim | None:
    """What a player says it showed, as program time; None if it says nothing, or what cannot be mapped."""
    if playhead is None:
        return None
    into_us = None if playhead.into_segment_ms is None else us_from_ms(playhead.into_segment_ms)
    run = timeline.live_edge.run if timeline.live_edge is not None else None
    if playhead.program_ms is not None:
        program_us: int | None = us_from_ms(playhead.program_ms)
    elif playhead.media_sequence is None or run is None:
        return None
    else:
        program_us = timeline.program_us_at(run, playhead.media_sequence, into_us or 0)
    if program_us is None:
        return None
    return Claim(playhead.broadcast, program_us, playhead.media_sequence, into_us, run, playhead.at_live)
