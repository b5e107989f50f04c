"""Highlights: where chat was dense, and so what in the picture it answered to.

Owns: the density of a chat, its peaks, how far chat lags behind the picture, and clips. Does not know: files of labels, formats of clips.
Units: seconds (``_s``) of whatever axis the messages are on: a recording's positions, or program time from the start of an airing.
Source: the count with a fitted lag of Lightor (ICDE 2020, arXiv 1910.12201), which shows that the lag matters more than the model.

A message counts the less the longer it is: nobody writes a paragraph about a goal. Its weight is spread over the seconds around it (:data:`DENSITY`), and
the highest seconds that are far enough apart are peaks. Chat comes after the picture: a clip begins a lag before its peak. Players that tell what is on screen
take the stream's latency out of it; what is left is how long people take to see, think and type, and can be read off how steeply chat rises to its peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec

__all__ = [
    "APART_S",
    "DENSITY",
    "SIGMA_S",
    "Clip",
    "Density",
    "begins_one",
    "clips",
    "fitted_lag_s",
    "peaks",
    "rise_lag_s",
]

SIGMA_S = 6.0
APART_S = 120  # between two peaks; as Lightor has it
_REACH = 3  # in sigmas: beyond it a message weighs a hundredth

DENSITY = f"""
    -- said(at_s, text): what was said, and when. A message of a hundred characters weighs nothing, a word nearly one.
    WITH heard AS (
        SELECT floor(at_s)::BIGINT AS at_second, sum(greatest(0, 1 - length(text) / 100.0)) AS weight
        FROM said WHERE at_s >= 0 GROUP BY at_second
    ), bell AS (
        -- What is said in a second is spread over those around it: a bell of {SIGMA_S:g} s.
        SELECT away, exp(-pow(away, 2) / (2 * pow({SIGMA_S:g}, 2))) / ({SIGMA_S:g} * sqrt(2 * pi())) AS share
        FROM range({-int(_REACH * SIGMA_S)}, {int(_REACH * SIGMA_S) + 1}) AS reach(away)
    )
    -- Only seconds near a message have a density at all.
    SELECT at_second + away AS second, sum(weight * share) AS density
    FROM heard CROSS JOIN bell WHERE at_second + away >= 0
    GROUP BY second ORDER BY second
"""
"""SQL over a table ``said(at_s, text)``: messages' weight a second, by second."""

_RISE_SHARE = 0.25  # of a peak's height: where its rise begins
_HIGH_SHARE = 1 / 3  # of the highest: lower ones are hardly peaks, and rise from anywhere
_RISE_S_MAX = 60
_QUICKEST_S = 2  # nobody types before this
_CLIP_S_MIN, _CLIP_S_MAX = 8, 60
_FALL_SHARE = 1 / 3
_LAGS_S = range(61)
_EARLY_S = 10  # a clip may begin so long before what it shows


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A highlight. Half-open, seconds of the axis the messages are on."""

    start_s: float
    end_s: float
    peak_s: float  # of chat: a lag after the start
    score: float  # density at the peak: weighed messages a second
    messages: int  # around the peak, within what the density looks at


Density = dict[int, float]
"""Weight a second by second; a second that is not there has none."""


def peaks(density: Density, count: int, *, apart_s: int = APART_S) -> list[int]:
    """The highest seconds, highest first, none nearer than ``apart_s`` to a higher one. Cost: 1 µs for each second and peak."""
    found: list[int] = []
    for second, _ in sorted(density.items(), key=lambda one: (-one[1], one[0])):
        if all(abs(second - other) >= apart_s for other in found):
            found.append(second)
            if len(found) == count:
                break
    return found


def rise_lag_s(density: Density, tops: Sequence[int]) -> float:
    """How far chat lags behind the picture by how it rises: the median time from where a peak begins to its top, and the least anybody takes to type.

    Args:
        density: of the chat.
        tops: its peaks; the lag is 0 without any.
    """
    rises = []
    highest = max((density[top] for top in tops), default=0.0)
    for top in (one for one in tops if density[one] >= _HIGH_SHARE * highest):
        floor = _RISE_SHARE * density[top]
        second = top
        while top - second < _RISE_S_MAX and density.get(second, 0.0) > floor:
            second -= 1
        rises.append(top - second)
    return median(rises) + _QUICKEST_S if rises else 0.0


def fitted_lag_s(videos: Sequence[tuple[Sequence[int], Sequence[tuple[float, float]]]]) -> float:
    """The lag with which most peaks begin a labelled highlight: the middle of those that are best.

    Args:
        videos: of each its peaks, and the (start, end) of its highlights.
    """
    hits = [sum(begins_one(top - lag, labels) for tops, labels in videos for top in tops) for lag in _LAGS_S]
    best = [lag for lag, count in zip(_LAGS_S, hits, strict=True) if count == max(hits)]
    return float(best[len(best) // 2])


def begins_one(start_s: float, labels: Sequence[tuple[float, float]]) -> bool:
    """Whether a clip that begins here shows one of the highlights: not after its end, and not more than ten seconds before it (Lightor, §VII)."""
    return any(first - _EARLY_S <= start_s <= last for first, last in labels)


def clips(connection: Any, count: int, *, lag_s: float | None = None) -> tuple[list[Clip], float]:
    """The best clips of a chat, best first, and the lag they were made with.

    Args:
        connection: of DuckDB, with a table or view ``said(at_s, text)``.
        count: at most so many.
        lag_s: of chat behind the picture; None: read off its peaks.

    Raises:
        duckdb.Error: there is no such table.

    Cost: 0.1 s for a hundred thousand messages, half a second for a million.
    """
    density: Density = dict(connection.execute(DENSITY).fetchall())
    tops = peaks(density, count)
    lag = rise_lag_s(density, tops) if lag_s is None else lag_s
    near_s = _REACH * SIGMA_S
    found = []
    for top in tops:
        end = top
        while end - top < _CLIP_S_MAX and density.get(end, 0.0) > _FALL_SHARE * density[top]:
            end += 1
        start_s = max(0.0, top - lag)
        [(messages,)] = connection.execute(
            "SELECT count(*) FROM said WHERE at_s >= $1 AND at_s < $2", [top - near_s, top + near_s]
        ).fetchall()
        length_s = min(
            max(end - lag / 2 - start_s, _CLIP_S_MIN), _CLIP_S_MAX
        )  # what chat still answers to half a lag later
        found.append(
            Clip(
                start_s=start_s,
                end_s=start_s + length_s,
                peak_s=float(top),
                score=round(density[top], 4),
                messages=messages,
            )
        )
    return found, lag
