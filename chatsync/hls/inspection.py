"""What a video engineer wants to know of a playlist: can chat be kept with this picture, how precisely, and what is odd.

Owns: the figures and the verdict, from answers in the order they came. Does not know: files, HTTP, how a report is printed.
Units: µs; ``program_us`` counts from 1970-01-01T00:00:00Z, ``wall_us`` is the clock of whoever loaded. Source: RFC 8216 §4.3, §6.3;
hls-timing §4, §5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from chatsync.hls.playlist import MediaPlaylist, MultivariantPlaylist, PlaylistSegment, Warned, parse_playlist
from chatsync.hls.timeline import OpenSegment, Reload, Segment, Timeline
from chatsync.hls.track import region_tolerance_us
from chatsync.instants import HOUR_US, MINUTE_US, MS_US, SECOND_US

__all__ = ["Inspection", "drift_ms_per_hour"]

FRAME_US = 40_000  # a player knows its picture to a frame
STEP_US = 2 * SECOND_US  # between files, which do not say when they were loaded, unless they say their target duration


class Inspection:
    """Answers of one playlist, and what they come to.

    Attributes:
        timeline: everything the answers listed.
        playlist: the newest media playlist; None before.
        multivariant: the newest multivariant playlist; None if there was none.
    """

    def __init__(self) -> None:
        self.timeline = Timeline.empty()
        self.playlist: MediaPlaylist | None = None
        self.multivariant: MultivariantPlaylist | None = None
        self._reloads: list[dict[str, Any]] = []
        self._warnings: list[dict[str, Any]] = []
        self._edges: list[tuple[int, int, int]] = []  # wall, Age, program time of the edge
        self._began_us: list[int] = []

    def receive_text(self, text: str, *, url: str = "", wall_us: int | None = None) -> None:
        """Take in one file or answer.

        Args:
            text: its content.
            url: where it came from.
            wall_us: when; None if nobody knows: then a target duration after the one before.

        Raises:
            PlaylistSyntaxError: it is no playlist.
        """
        playlist = parse_playlist(text, url=url)
        if isinstance(playlist, MultivariantPlaylist):
            self.multivariant = playlist
            self._note_warnings(playlist.warnings)
            return
        at_us = len(self._reloads) * (playlist.target_duration_us or STEP_US) if wall_us is None else wall_us
        self.timeline, reload = self.timeline.extended(playlist, wall_us=at_us, url=url)
        self.note(playlist, reload, self.timeline, wall_us=wall_us)

    def note(
        self,
        playlist: MediaPlaylist | None,
        reload: Reload,
        timeline: Timeline,
        *,
        wall_us: int | None = None,
        age_us: int = 0,
        began_us: int | None = None,
    ) -> None:
        """Take in an answer that a follower has judged already.

        Args:
            playlist: it, if it is known; None if it was no media playlist.
            reload: what it was.
            timeline: after it.
            wall_us: when it was here.
            age_us: HTTP Age.
            began_us: when its load began.
        """
        self.timeline = timeline
        self.playlist = self.playlist if playlist is None else playlist
        told: dict[str, Any] = {"kind": reload.kind, "run": reload.run, "new_segments": len(reload.new_segments)}
        if wall_us is not None:
            told["wall_us"] = wall_us
        edge = timeline.live_edge
        if wall_us is not None and reload.has_news and edge is not None and edge.program_us is not None:
            self._edges.append((wall_us, age_us, edge.program_us))
            told["edge_program_us"] = edge.program_us
        if began_us is not None:
            self._began_us.append(began_us)
        self._reloads.append(told)
        self._note_warnings(reload.warnings)

    def _note_warnings(self, warnings: Iterable[Warned]) -> None:
        known = {(one["line"], one["tag"], one["reason"]) for one in self._warnings}
        for one in warnings:
            if (one.line_number, one.tag, one.reason) not in known:
                self._warnings.append(
                    {
                        "reload": max(0, len(self._reloads) - 1),
                        "line": one.line_number,
                        "tag": one.tag,
                        "reason": one.reason,
                    }
                )

    # --- the report --------------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """All of it, as JSON values: ``segments`` of the one answer there was, else of the merged timeline."""
        timeline = self.timeline
        listed = [segment for run in timeline.runs for segment in timeline.segments(run.run)]
        edge = timeline.live_edge
        drift = drift_ms_per_hour(listed)
        latencies_us = sorted(wall_us - age_us - edge_us for wall_us, age_us, edge_us in self._edges)
        jumps = [region for region in timeline.regions if region.jump_us]
        rows = self._segments(listed)
        longest_us = max((row["duration_us"] for row in rows if not row.get("partial")), default=0)
        end_us = None if edge is None else edge.program_us
        if edge is None and rows and rows[-1]["program_us"] is not None:  # a delta of what is not here
            end_us = rows[-1]["program_us"] + rows[-1]["duration_us"]
        report: dict[str, Any] = {
            "segments": rows,
            "runs": [
                {
                    "run": run.run,
                    "reason": run.reason,
                    "segments": len(timeline.segments(run.run)),
                    "media_sequences": _ranges(timeline.segments(run.run)),
                    "duration_us": sum(one.duration_us for one in timeline.segments(run.run)),
                }
                for run in timeline.runs
            ],
            "regions": [
                {
                    "run": one.run,
                    "media_sequence": one.media_sequence,
                    "offset_us": one.offset_us,
                    "jump_us": one.jump_us,
                }
                for one in timeline.regions
            ],
            "gaps": [{"start_us": gap.start_us, "end_us": gap.end_us} for gap in timeline.gaps()],
            "reloads": self._reloads,
            "live_edge_program_us": end_us,
            "open_segment": _open(rows),
            "ended": timeline.ended,
            "program_time": _sources(rows),
            "jumps_back": sum(1 for one in jumps if one.jump_us < -region_tolerance_us(longest_us)),
            "jumps_forward": sum(1 for one in jumps if one.jump_us > region_tolerance_us(longest_us)),
            "drift_ms_per_hour": drift,
            "rounding_us": _rounding_us(listed),
            "target_duration_us": timeline.target_duration_us,
            "longest_duration_us": longest_us,
            "target_duration_kept": self._is_target_kept(longest_us),
            "hold_back_us": timeline.hold_back_us,
            "edge_latency_us": latencies_us[len(latencies_us) // 2] if latencies_us else None,
            "edge_latency_least_us": latencies_us[0] if latencies_us else None,
            "reload_jitter_us": self._jitter_us(),
            "low_latency": self._low_latency(),
            "warnings": self._warnings,
        }
        if self.multivariant is not None:
            report["multivariant"] = self._variants(self.multivariant)
        return report | {"verdict": _verdict(report)}

    def _segments(self, merged: Sequence[Segment]) -> list[dict[str, Any]]:
        is_alone = len(self._reloads) == 1 or not (merged or self.timeline.open_segment)
        if is_alone and self.playlist is not None and not self.playlist.abridged:
            playlist = self.playlist
            announced = playlist.discontinuity_sequence or 0
            rows, position_us = [], 0
            for one in playlist.segments:
                rows.append(_listed(one, announced, position_us))
                position_us += one.duration_us
            part = playlist.open_segment
            if part is not None:
                rows.append(_listed(part, announced, position_us) | _parts(len(part.parts)))
            return rows
        rows = [_known(one) for one in merged]
        open_segment = self.timeline.open_segment
        if open_segment is not None:
            rows.append(_known(open_segment) | _parts(open_segment.part_count))
        return rows

    def _is_target_kept(self, longest_us: int) -> bool | None:
        """Whether each EXTINF, rounded, is at most the target duration (RFC 8216 §4.3.3.1); None if there is none."""
        playlist = self.playlist
        if playlist is None or playlist.target_duration_us is None:
            return None
        return (longest_us + SECOND_US // 2) // SECOND_US * SECOND_US <= playlist.target_duration_us

    def _jitter_us(self) -> int | None:
        """Median distance of the time between reloads from its own median; None with fewer than three."""
        waits = sorted(later - one for one, later in pairwise(self._began_us))
        if len(waits) < 2:
            return None
        median_us = waits[len(waits) // 2]
        return sorted(abs(wait - median_us) for wait in waits)[len(waits) // 2]

    def _low_latency(self) -> dict[str, Any]:
        playlist = self.playlist
        if playlist is None:
            return {}
        return {
            "part_target_us": playlist.part_target_us,
            "part_hold_back_us": playlist.part_hold_back_us,
            "can_block_reload": playlist.can_block_reload,
            "can_skip_until_us": playlist.can_skip_until_us,
            "skipped_segments": 0 if playlist.abridged else playlist.skipped_segments,
            "preload_hints": len(playlist.preload_hints),
            "rendition_reports": len(playlist.rendition_reports),
        }

    @staticmethod
    def _variants(playlist: MultivariantPlaylist) -> dict[str, Any]:
        followed = playlist.followed_variant()
        return {"variants": len(playlist.variants), "followed": None if followed is None else followed.uri}


def drift_ms_per_hour(segments: Sequence[Segment]) -> float | None:
    """How much program time gains on the sum of EXTINF, by least squares within stretches that do not jump.

    Only dates of the origin count; None if no stretch has two that are apart.
    """
    xx = xy = 0.0
    stretch: list[Segment] = []
    for segment in [*segments, None]:
        if segment is not None and segment.program_source != "explicit":
            continue
        if segment is not None and (not stretch or _goes_on(stretch[-1], segment)):
            stretch.append(segment)
            continue
        if len(stretch) > 1:
            mean_x = sum(one.position_us for one in stretch) / len(stretch)
            offsets = [(one.program_us or 0) - one.position_us for one in stretch]
            mean_y = sum(offsets) / len(offsets)
            xx += sum((one.position_us - mean_x) ** 2 for one in stretch)
            xy += sum((one.position_us - mean_x) * (y - mean_y) for one, y in zip(stretch, offsets, strict=True))
        stretch = [] if segment is None else [segment]
    return round(xy / xx * HOUR_US / MS_US, 3) if xx else None


def _goes_on(before: Segment, segment: Segment) -> bool:
    """Whether a date continues the one before it, but for what drift may add."""
    passed_us = segment.position_us - before.position_us
    jump_us = (segment.program_us or 0) - (before.program_us or 0) - passed_us
    return segment.run == before.run and abs(jump_us) <= region_tolerance_us(passed_us)


def _rounding_us(segments: Sequence[Segment]) -> int:
    """The largest step between dates and EXTINF that is no jump: so far may a position inside a segment be off."""
    steps = [
        abs((later.program_us or 0) - (one.program_us or 0) - one.duration_us)
        for one, later in pairwise(segments)
        if later.program_source == "explicit"
        and one.program_us is not None
        and one.run == later.run
        and one.media_sequence + 1 == later.media_sequence
    ]
    return max((step for step in steps if step <= region_tolerance_us(0)), default=0)


def _listed(segment: PlaylistSegment, announced: int, position_us: int) -> dict[str, Any]:
    return {
        "media_sequence": segment.media_sequence,
        "program_us": segment.program_us,
        "duration_us": segment.duration_us,
        "discontinuity_sequence": announced + segment.discontinuity_index,
        "run": 1,
        "source": segment.program_source,
        "position_us": position_us,
        "uri": segment.uri,
        "discontinuity": segment.discontinuity,
        "gap": segment.gap,
        "estimated": segment.across_discontinuity,
    }


def _known(segment: Segment | OpenSegment) -> dict[str, Any]:
    return {
        "media_sequence": segment.media_sequence,
        "program_us": segment.program_us,
        "duration_us": segment.duration_us,
        "discontinuity_sequence": segment.discontinuity_sequence,
        "run": segment.run,
        "source": segment.program_source,
        "position_us": segment.position_us,
        "uri": segment.uri_path if isinstance(segment, Segment) else None,
        "discontinuity": segment.discontinuity,
        "gap": isinstance(segment, Segment) and segment.gap,
        "estimated": segment.estimated,
    }


def _parts(count: int) -> dict[str, Any]:
    return {"partial": True, "parts": count}


def _open(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    if not rows or not rows[-1].get("partial"):
        return None
    return {name: rows[-1][name] for name in ("media_sequence", "parts", "duration_us")}


def _ranges(segments: Sequence[Segment]) -> list[list[int]]:
    """First and last number of each stretch without a hole."""
    ranges: list[list[int]] = []
    for segment in segments:
        if ranges and ranges[-1][1] == segment.media_sequence - 1:
            ranges[-1][1] = segment.media_sequence
        else:
            ranges.append([segment.media_sequence, segment.media_sequence])
    return ranges


def _sources(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    counts = {"explicit": 0, "forward": 0, "backward": 0, "synthetic": 0, "none": 0, "estimated": 0}
    for row in rows:
        counts[row["source"] or "none"] += 1
        counts["estimated"] += row["estimated"]
    return counts


# --- the verdict ---------------------------------------------------------------------------------------------------------


def _verdict(report: dict[str, Any]) -> dict[str, Any]:
    """In plain words whether chat can be kept with this picture, and how precisely for whose player reports its playhead."""
    sources = report["program_time"]
    count = len(report["segments"])
    if not count:
        if "multivariant" in report:
            text = f"This lists variants; chat follows one media playlist, here {report['multivariant']['followed']}."
            return {"synchronisable": None, "precision_ms": None, "text": text}
        return {"synchronisable": None, "precision_ms": None, "text": "The playlist lists no media yet."}
    if not any(sources[name] for name in ("explicit", "forward", "backward")):
        text = (
            "No program date-time: chat can be kept with the picture live, for players that report their media sequence, and in "
            "recordings that keep the segments' names. Let the packager write EXT-X-PROGRAM-DATE-TIME on every segment."
        )
        return {"synchronisable": False, "precision_ms": None, "text": text}
    precision_us = max(FRAME_US, report["rounding_us"])
    longest_us = report["longest_duration_us"]
    others_us = max(longest_us, report["target_duration_us"] or 0) // 2
    sentences = [f"Yes: {_dated_words(sources, count)}."]
    sentences.append(
        f"Chat stands within {precision_us // MS_US} ms of the picture for players that report their playhead, and within about "
        f"{others_us / SECOND_US:g} s for everybody else."
    )
    sentences += _warnings_in_words(report, sources)
    return {"synchronisable": True, "precision_ms": precision_us // MS_US, "text": " ".join(sentences)}


def _dated_words(sources: dict[str, int], count: int) -> str:
    if sources["explicit"] >= count - 1:
        return "every segment is dated"
    return f"{sources['explicit']} of {count} segments are dated, the others follow from those by their durations"


def _warnings_in_words(report: dict[str, Any], sources: dict[str, int]) -> list[str]:
    """What somebody should know before they rely on it."""
    words = []
    if report["jumps_back"]:
        words.append(
            f"Program time falls back {_times(report['jumps_back'])}: a fall-back by more than the hold-back opens a new broadcast."
        )
    if report["jumps_forward"]:
        words.append(
            f"Program time jumps ahead {_times(report['jumps_forward'])}; what was said meanwhile stands at the jump."
        )
    if sources["estimated"]:
        words.append(
            f"{sources['estimated']} segments are dated across a discontinuity without a date of their own: a guess."
        )
    drift = report["drift_ms_per_hour"]
    if drift is not None and abs(drift) >= 20 and sources["explicit"] < len(report["segments"]) - 1:
        words.append(f"Dates drift {drift:g} ms an hour against EXTINF: date every segment.")
    if report["target_duration_kept"] is False:
        words.append("Segments are longer than the target duration allows.")
    if len(report["runs"]) > 1:
        words.append(f"The encoder started anew {_times(len(report['runs']) - 1)}.")
    latency_us = report["edge_latency_us"]
    if latency_us is not None and abs(latency_us) > MINUTE_US:
        words.append(f"The encoder's clock is {latency_us / SECOND_US:.0f} s away from this machine's: check both.")
    return words


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
