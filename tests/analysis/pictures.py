"""The pictures of docs/analysts.md, drawn from its own queries: ``python -m tests.analysis.pictures docs/images``.

Each of the ten questions is asked of a term of simulated classes (seed 1), and its answer drawn as ``question-1.png`` and so on; the room's standard picture
is ``room-plot.png``.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import altair as alt

import chatsync
from chatsync.analysis.pictures import Picture
from chatsync.analysis.plotting import room_chart
from chatsync.demo.term import write_term

__all__ = ["PAGE", "QUESTIONS", "queries"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analysts.md"
_WIDTH, _HEIGHT = 620, 130
_BLUE, _RED = "#4c78a8", "#e45756"

Rows = list[dict[str, Any]]


def queries() -> list[str]:
    """SQL of the ten questions, in order."""
    section = PAGE.read_text(encoding="utf-8").split("## Ten questions", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```sql\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def _bars(x: str, y: str, title: str, *, sort: Any = None, angle: int = 0, format_: str = "d") -> Callable[[Rows], Any]:
    def drawn(rows: Rows) -> Any:
        encoded = alt.X(x, sort=sort, title=None, axis=alt.Axis(labelAngle=angle, labelOverlap=True, labelLimit=90))
        return _chart(rows).mark_bar(color=_BLUE).encode(encoded, alt.Y(y, title=title, axis=alt.Axis(format=format_)))

    return drawn


def _chart(rows: Rows) -> Any:
    return alt.Chart.from_dict(
        {"data": {"values": [{name: _plain(value) for name, value in row.items()} for row in rows]}, "mark": "bar"}
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%H:%M}"
    return float(value) if isinstance(value, Decimal) else value


def _awake(rows: Rows) -> Any:
    both = [
        {"minute": row["minute_us"], "what": name, "count": row[name]}
        for row in rows
        for name in ("messages", "chatters")
    ]
    color = alt.Color("what:N", title=None, sort=["messages", "chatters"])
    x = alt.X("minute:O", title=None, axis=alt.Axis(labelAngle=0, labelOverlap=True))
    return _chart(both).mark_line(interpolate="step-after").encode(x, alt.Y("count:Q", title="a minute"), color)


def _lost(rows: Rows) -> Any:
    named = [row | {"minute": f"{row['minute_us']:%d %b %H:%M}"} for row in rows]
    return _bars("minute:N", "taps:Q", "taps", sort="-y")(named)


def _named(rows: Rows) -> Any:
    named = [row | {"lecture": f"{row['room']} {row['broadcast']}"} for row in rows]
    both = [
        {"lecture": row["lecture"], "what": what, "seconds": row[name]}
        for row in named
        for what, name in (("median", "median_s"), ("nine of ten", "p90_s"))
    ]
    color = alt.Color("what:N", title=None)
    x = alt.X("lecture:N", title=None, axis=alt.Axis(labelAngle=-40), sort=None)
    return _chart(both).mark_bar().encode(x, alt.Y("seconds:Q", title="seconds"), color, xOffset="what:N")


def _gini(rows: Rows) -> Any:
    named = [row | {"lecture": f"{row['room']} {row['broadcast']}"} for row in rows]
    return _bars("lecture:N", "gini:Q", "Gini", angle=-40, format_=".1f")(named)


def _came_back(rows: Rows) -> Any:
    both = [
        {"lecture": row["broadcast"], "who": who, "people": count}
        for row in rows
        for who, count in (("came back", row["came_back"]), ("first time", row["people"] - row["came_back"]))
    ]
    x = alt.X("lecture:O", title="lecture", axis=alt.Axis(labelAngle=0))
    return _chart(both).mark_bar().encode(x, alt.Y("people:Q"), alt.Color("who:N", title=None))


def _open(rows: Rows) -> Any:
    few = [
        row | {"place": number, "words": f"{row['program_us']:%d %b} {row['text'][:70]}"}
        for number, row in enumerate(rows[:8])
    ]
    y = alt.Y("words:N", sort=None, title=None, axis=alt.Axis(labelLimit=420))
    return _chart(few).mark_bar(color=_RED).encode(alt.X("upvotes:Q", axis=alt.Axis(tickMinStep=1)), y)


def _words(rows: Rows) -> Any:
    first = rows[0]["from_us"].date()
    few = [row for row in rows if row["from_us"].date() == first]
    ranked: Rows = []
    for row in few:
        rank = sum(one["from"] == f"{row['from_us']:%H:%M}" for one in ranked) + 1
        ranked.append({"from": f"{row['from_us']:%H:%M}", "rank": rank, "word": f"{row['word']} ({row['n']})"})
    x = alt.X("from:O", title=None, axis=alt.Axis(labelAngle=0, orient="top"))
    return _chart(ranked).mark_text().encode(x, alt.Y("rank:O", axis=None), alt.Text("word:N"))


def _votes(rows: Rows) -> Any:
    named = [
        row | {"poll": f"{number:02} {row['question'].removeprefix('Which of these is true of ').rstrip('?')[:22]}"}
        for number, row in enumerate(rows, start=1)
    ]
    x = alt.X("poll:N", title=None, axis=alt.Axis(labelAngle=-40, labelLimit=120))
    y = alt.Y("right_share:Q", title="right", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    return _chart(named).mark_bar(color=_BLUE).encode(x, y)


def _stamps(rows: Rows) -> Any:
    return _bars("stamp:N", "behind_s:Q", "s behind (median)", sort=None)(
        [row | {"stamp": f"{row['stamp']} ({row['messages']})"} for row in rows]
    )


QUESTIONS: tuple[Callable[[Rows], Any], ...] = (
    _awake,
    _bars("broadcast:O", "share:Q", "wrote", format_="%"),
    _lost,
    _open,
    _named,
    _gini,
    _came_back,
    _words,
    _votes,
    _stamps,
)
"""How each answer is drawn, in the order of the page."""


def main() -> None:
    """Draw them all."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as parent:
        write_term(Path(parent) / "term")
        with chatsync.open_archive(Path(parent) / "term") as archive:
            Picture(room_chart(archive, "calculus", broadcast=4)).save(folder / "room-plot.png")
            for number, (sql, draw) in enumerate(zip(queries(), QUESTIONS, strict=True), start=1):
                rows = archive.sql(sql).to_arrow_table().to_pylist()
                height = 170 if draw in {_open, _words} else _HEIGHT
                Picture(draw(rows).properties(width=_WIDTH, height=height)).save(folder / f"question-{number}.png")


if __name__ == "__main__":
    main()
