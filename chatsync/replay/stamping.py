"""Stamps: where chat meets program time.

Owns: the rules that turn what is known of an author into a :class:`~chatsync.chat.event.Stamp`. A stamp is a pure function
of its arguments, all of which are logged. Does not know: sockets, SQL, which broadcast is open.
Units: µs. Source: contract §1 "Stamp of an event".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from chatsync.chat.event import MESSAGE_KINDS, Stamp, StampKind
from chatsync.instants import MS_US, SECOND_US, whole_ms_us
from chatsync.replay.clock import CROWD_PEOPLE_MIN, LatencyBook, ProgramClock

__all__ = [
    "AHEAD_US_MAX",
    "CLAIM_US_MAX",
    "FRAME_US",
    "ORIGIN_KINDS",
    "REWIND_POSTING_US",
    "Claim",
    "Playhead",
    "Scene",
    "StampingPolicy",
    "Witness",
    "stamped",
    "watermark_us",
]

CLAIM_US_MAX = 5 * SECOND_US  # a claim further from where its connection's playheads lead is not believed
AHEAD_US_MAX = 2 * SECOND_US  # nobody has seen what is more than this ahead of the program clock
REWIND_POSTING_US = 600 * SECOND_US  # profile `classroom`
FRAME_US = 40_000  # a frame at 25 frames/s: what a player can resolve
WATERMARK_GRACE_US = 5 * SECOND_US  # for a message on its way to us

ORIGIN_KINDS = frozenset({"mode_changed", "pinned", "unpinned", "poll_opened", "poll_closed"})
"""Kinds enforced at the edge: stamped with the encoder's now, whoever acts and whatever stalls."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the author's player says was on screen when they wrote. ``program_us`` is program time in ``broadcast``."""

    broadcast: int
    program_us: int
    media_sequence: int | None = None
    into_segment_us: int | None = None
    run: int | None = None
    at_live: bool = False


@dataclass(frozen=True, slots=True)
class Playhead:
    """A playhead report of a connection and when it came: where it leads can be told at any later wall time."""

    broadcast: int
    program_us: int
    wall_us: int
    rate: float = 1.0
    paused: bool = False
    at_live: bool = False

    def leads_to_us(self, wall_us: int) -> int:
        """Program time the player should show by now, if it went on as reported."""
        if self.paused:
            return self.program_us
        return self.program_us + round((wall_us - self.wall_us) * self.rate)


@dataclass(frozen=True, slots=True)
class StampingPolicy:
    """A room's own figures: camera to encoder, how far back one may write, the playlist's hold-back and target duration."""

    contribution_us: int = 0
    rewind_posting_us: int = REWIND_POSTING_US
    hold_back_us: int = 6 * SECOND_US
    target_duration_us: int = 2 * SECOND_US


@dataclass(frozen=True, slots=True)
class Witness:
    """What is known of an author at the moment they act."""

    is_host: bool = False
    playhead: Playhead | None = None  # last report of their connection; None if it never reported
    claim: Claim | None = None  # with this very act
    latency_us: int | None = None  # of the chat elsewhere in which they wrote; None: in this room, whose latency counts
    latency_spread_us: int = 0  # half-width of that


@dataclass(frozen=True, slots=True)
class Scene:
    """The room at the moment of an act: its open broadcast, that one's clock, its viewers and its figures."""

    broadcast: int
    clock: ProgramClock
    latencies: LatencyBook
    policy: StampingPolicy
    wall_us: int  # steady wall time of the receipt
    edge_run: int | None = None  # run and media sequence of the live edge the clock was last set by
    edge_media_sequence: int | None = None

    @property
    def now_us(self) -> int:
        """The program clock now."""
        return self.clock.program_us(self.wall_us)

    @property
    def usual_latency_us(self) -> int:
        """The room's latency: median of people at the live edge, else hold-back."""
        latency = self.latencies.summary(self.wall_us)
        return self.policy.hold_back_us if latency is None else latency.median_us


def stamped(kind: str, witness: Witness, scene: Scene, *, not_before_us: int | None = None) -> Stamp:
    """Return where an event of ``kind`` stands in program time.

    Args:
        kind: the event's kind; those of ``ORIGIN_KINDS`` have a rule of their own.
        witness: what is known of the author.
        scene: the room at the moment of the act.
        not_before_us: an event about another, or a mode, pin or poll, never stands before this program time.

    Returns:
        A stamp in whole milliseconds with what it was made from.
    """
    stamp = _by_rule(kind, _claiming(kind, witness, scene), scene)
    if scene.clock.is_synthetic:
        stamp = msgspec.structs.replace(stamp, stamp="none")
    if not_before_us is not None and stamp.program_us < not_before_us:
        return msgspec.structs.replace(stamp, program_us=-(-not_before_us // MS_US) * MS_US)
    return stamp


def _claiming(kind: str, witness: Witness, scene: Scene) -> Witness:
    """An act that brings no claim stands where its connection's playhead leads; an utterance does not (contract §2)."""
    playhead = witness.playhead
    if witness.claim is not None or playhead is None or kind in MESSAGE_KINDS:
        return witness
    led = Claim(playhead.broadcast, playhead.leads_to_us(scene.wall_us), at_live=playhead.at_live)
    return replace(witness, claim=led)


def _by_rule(kind: str, witness: Witness, scene: Scene) -> Stamp:
    clock = scene.clock
    if not clock.has_program_time:
        return _stamp("none", scene, scene.now_us, uncertainty_us=0)
    if kind in ORIGIN_KINDS:
        return _origin(scene)
    if (clock.ended or clock.is_stalled(scene.wall_us)) and _is_at_edge(witness, scene):
        spread_us = abs(clock.lag_us) + clock.stalled_for_us(scene.wall_us)
        return _stamp("arrival", scene, scene.now_us, uncertainty_us=spread_us, latency_us=clock.lag_us)
    if _is_believed(witness, scene):
        return _playhead(witness, scene)
    if witness.is_host and witness.playhead is None:
        return _origin(scene)
    return _estimate(witness, scene)


def _origin(scene: Scene) -> Stamp:
    now_us = scene.wall_us if scene.clock.is_plausibly_wall_time() else scene.now_us
    lag_us = scene.clock.lag_us
    return _stamp("origin", scene, now_us + scene.policy.contribution_us, uncertainty_us=abs(lag_us), latency_us=lag_us)


def _is_at_edge(witness: Witness, scene: Scene) -> bool:
    """Whether the author waits where the media stopped: no playhead says otherwise."""
    seen: Claim | Playhead | None = witness.claim if witness.claim is not None else witness.playhead
    if seen is None:
        return True
    if seen.broadcast != scene.broadcast or scene.clock.edge_us is None:
        return False
    shown_us = seen.leads_to_us(scene.wall_us) if isinstance(seen, Playhead) else seen.program_us
    return shown_us >= scene.clock.edge_us - scene.policy.target_duration_us


def _is_believed(witness: Witness, scene: Scene) -> bool:
    """Whether the claim stands up to the connection's own reports and to the clock (contract §1, first row)."""
    claim, playhead = witness.claim, witness.playhead
    if claim is None or playhead is None:
        return False
    if claim.broadcast != scene.broadcast or playhead.broadcast != scene.broadcast:
        return False
    if abs(claim.program_us - playhead.leads_to_us(scene.wall_us)) > CLAIM_US_MAX:
        return False
    oldest_us = scene.now_us - scene.policy.rewind_posting_us
    return oldest_us <= claim.program_us <= scene.now_us + AHEAD_US_MAX


def _playhead(witness: Witness, scene: Scene) -> Stamp:
    claim = witness.claim
    assert claim is not None
    return Stamp(
        stamp="playhead",
        broadcast=scene.broadcast,
        program_us=whole_ms_us(claim.program_us),
        uncertainty_us=FRAME_US,
        behind_live_us=max(0, scene.now_us - scene.usual_latency_us - claim.program_us),
        claimed_us=claim.program_us,
        latency_us=scene.now_us - claim.program_us,
        run=claim.run,
        media_sequence=claim.media_sequence,
        into_segment_us=claim.into_segment_us,
    )


def _estimate(witness: Witness, scene: Scene) -> Stamp:
    if witness.latency_us is None:
        latency_us, spread_us = scene.usual_latency_us, _spread_us(scene)
    else:
        latency_us, spread_us = witness.latency_us, witness.latency_spread_us
    return _stamp(
        "estimate",
        scene,
        scene.now_us - latency_us,
        uncertainty_us=max(spread_us, scene.policy.target_duration_us // 2),
        latency_us=latency_us,
        claimed_us=None if witness.claim is None else witness.claim.program_us,
    )


def _spread_us(scene: Scene) -> int:
    """How far from the room's latency its viewers are: half of what lies between most of them.

    One or two people show no spread: then others may be as far from them as hold-back is. Without any, players keep to hold-back
    within a target duration or so, which the caller allows for.
    """
    latency = scene.latencies.summary(scene.wall_us)
    if latency is None:
        return 0
    if latency.people < CROWD_PEOPLE_MIN:
        return max(latency.half_spread_us, abs(latency.median_us - scene.policy.hold_back_us))
    return latency.half_spread_us


def _stamp(
    rule: StampKind,
    scene: Scene,
    program_us: int,
    *,
    uncertainty_us: int,
    latency_us: int | None = None,
    claimed_us: int | None = None,
) -> Stamp:
    return Stamp(
        stamp=rule,
        broadcast=scene.broadcast,
        program_us=whole_ms_us(program_us),
        uncertainty_us=uncertainty_us,
        latency_us=latency_us,
        claimed_us=claimed_us,
        run=scene.edge_run,
        media_sequence=scene.edge_media_sequence,
    )


def watermark_us(scene: Scene, *, awaits_stream: bool = True, elsewhere_us: int = 0) -> int | None:
    """Program time up to which slices may be cut, or None while a stream is awaited and nothing may be sealed.

    ``clock - max(hold-back, p99 of viewers' latency up to 60 s, that of a chat elsewhere) - 5 s``; while the origin stalls it waits at the
    live edge.

    Args:
        scene: the room, now.
        awaits_stream: whether there will be one.
        elsewhere_us: how far behind the live edge most of those are who write in a chat elsewhere that comes into the room.
    """
    clock = scene.clock
    if awaits_stream and not clock.has_program_time:
        return None
    latest_us = max(scene.policy.hold_back_us, scene.latencies.p99_us(scene.wall_us), elsewhere_us)
    behind_us = latest_us + WATERMARK_GRACE_US
    mark_us = scene.now_us - behind_us
    if clock.edge_us is not None and clock.is_stalled(scene.wall_us):
        return min(mark_us, clock.edge_us)
    return mark_us
