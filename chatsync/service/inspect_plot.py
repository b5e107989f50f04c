"""A picture of a playlist's clocks, as SVG: program time beside media position and beside wall time.

Owns: axes, ticks, colours. Does not know: how figures are made (``hls.inspection``). Three panels: program time by position, what
program time gains on position (drift and jumps), and how far the live edge is behind the clock. Source: decision 0014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from chatsync.instants import MS_US, SECOND_US, iso_from_us

__all__ = ["drawn"]

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 960, 190, 92, 24, 74, 62
_COLOURS = ("#1f6feb", "#bf5b04", "#1a7f37", "#8250df", "#bc4c00", "#0e7490")
_POINTS_MAX = 4_000


class _Point(NamedTuple):
    x: float
    y: float
    colour: str
    label: str


def drawn(report: dict[str, Any], *, title: str) -> str:
    """The picture.

    Args:
        report: of ``Inspection.report``.
        title: what was looked at.
    """
    segments = [one for one in report["segments"] if one["program_us"] is not None]
    runs = _colours_by_region(report, segments)
    first_us = segments[0]["program_us"] if segments else 0
    by_position = [
        _Point(
            one["position_us"] / SECOND_US,
            (one["program_us"] - first_us) / SECOND_US,
            colour,
            f"{one['media_sequence']}: {iso_from_us(one['program_us'])}",
        )
        for one, colour in zip(segments, runs, strict=True)
    ]
    base_us = segments[0]["program_us"] - segments[0]["position_us"] if segments else 0
    gained = [
        _Point(
            one["position_us"] / SECOND_US,
            (one["program_us"] - one["position_us"] - base_us) / MS_US,
            colour,
            f"{one['media_sequence']}",
        )
        for one, colour in zip(segments, runs, strict=True)
    ]
    seen = [one for one in report["reloads"] if "edge_program_us" in one]
    start_us = seen[0]["wall_us"] if seen else 0
    behind = [
        _Point(
            (one["wall_us"] - start_us) / SECOND_US,
            (one["wall_us"] - one["edge_program_us"]) / SECOND_US,
            _COLOURS[(one["run"] - 1) % len(_COLOURS)],
            one["kind"],
        )
        for one in seen
    ]
    panels = [
        _panel(
            0, "program time, s after " + (iso_from_us(first_us) if segments else "-"), "media position, s", by_position
        ),
        _panel(1, "program time less position, ms", "media position, s", gained),
    ]
    if behind:
        panels.append(_panel(2, "wall time less live edge, s", "wall time, s", behind))
    height = _TOP + len(panels) * (_PANEL + _GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1f2328">'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
        f'<text x="{_LEFT}" y="24" font-size="15" font-weight="600">{escape(title[:110])}</text>'
        f'<text x="{_LEFT}" y="42" fill="#59636e">{escape(report["verdict"]["text"][:130])}</text>'
        + "".join(panels)
        + "</svg>\n"
    )


def _colours_by_region(report: dict[str, Any], segments: Sequence[dict[str, Any]]) -> list[str]:
    """A colour for each segment, another one from region to region."""
    starts = {(one["run"], one["media_sequence"]) for one in report["regions"]}
    colours, number = [], 0
    for index, one in enumerate(segments):
        if index and (one["run"], one["media_sequence"]) in starts:
            number += 1
        colours.append(_COLOURS[number % len(_COLOURS)])
    return colours


def _panel(number: int, y_name: str, x_name: str, points: Sequence[_Point]) -> str:
    """One chart; empty axes and a word if there is nothing to show."""
    top = _TOP + number * (_PANEL + _GAP)
    width = _WIDTH - _LEFT - _RIGHT
    frame = f'<rect x="{_LEFT}" y="{top}" width="{width}" height="{_PANEL}" fill="none" stroke="#d1d9e0"/>'
    names = (
        f'<text x="{_LEFT}" y="{top - 6}" fill="#59636e">{escape(y_name)}</text>'
        f'<text x="{_LEFT + width}" y="{top + _PANEL + 32}" text-anchor="end" fill="#59636e">{escape(x_name)}</text>'
    )
    if not points:
        return frame + names + f'<text x="{_LEFT + 12}" y="{top + 24}">no program time</text>'
    shown = points[:: max(1, len(points) // _POINTS_MAX)]
    x_ticks, y_ticks = _ticks([point.x for point in shown]), _ticks([point.y for point in shown])

    def x_of(value: float) -> float:
        return _LEFT + (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * width

    def y_of(value: float) -> float:
        return top + _PANEL - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * _PANEL

    parts = [frame, names]
    parts += [
        f'<text x="{x_of(tick):.1f}" y="{top + _PANEL + 16}" text-anchor="middle" fill="#59636e">{tick:g}</text>'
        for tick in x_ticks
    ]
    for tick in y_ticks:
        y = y_of(tick)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + width}" y2="{y:.1f}" stroke="#eef1f4"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#59636e">{tick:g}</text>'
        )
    radius = 3 if len(shown) < 200 else 1.6
    parts += [
        f'<circle cx="{x_of(point.x):.1f}" cy="{y_of(point.y):.1f}" r="{radius}" fill="{point.colour}">'
        f"<title>{escape(point.label)}</title></circle>"
        for point in shown
    ]
    return "".join(parts)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, a handful, that hold all values between them."""
    low, high = min(values), max(values)
    if high - low < 1e-6:
        low, high = low - 1, high + 1
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(round_step * power for round_step in (1, 2, 5, 10) if round_step * power >= rough)
    first = int(low // step)
    last = int(-(-high // step))
    return [round(number * step, 9) for number in range(first, last + 1)]
