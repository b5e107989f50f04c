"""The standard picture of a room: activity, questions, polls and gaps over program time.

Owns: what is drawn, and how. Does not know: how a drawing becomes a file (``analysis.pictures``).
Units: program time, UTC; of a recording minutes of position.
"""

from __future__ import annotations

from typing import Any

from chatsync.analysis.lines import RoomLines
from chatsync.analysis.opened import OpenArchive
from chatsync.instants import MINUTE_US, SECOND_US, ms_from_us

__all__ = ["room_chart"]

_BARS_MAX = 240
_STEPS_US = (10 * SECOND_US, 30 * SECOND_US, MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US, 60 * MINUTE_US)
_WIDTH_PX = 860
_BLUE, _RED, _GREEN, _GRAY = "#4c78a8", "#e45756", "#54a24b", "#b8b8b8"


def room_chart(archive: OpenArchive, room: str, *, broadcast: int | None = None, recording: str | None = None) -> Any:
    """An Altair chart of an airing, the latest unless one is named, or of a recording.

    Raises:
        NotFoundError: there is no such room, airing or recording.
        QuestionError: airing and recording are both given.

    Cost: 0.3 s.
    """
    import altair as alt  # noqa: PLC0415 - only the extra [plot] has it

    lines = RoomLines(archive, room, broadcast=broadcast, recording=recording)
    if recording is None and len(lines.broadcasts) > 1:
        lines = RoomLines(archive, room, broadcast=lines.broadcasts[-1])
    about = lines.about
    where = _Where(archive, room, lines.broadcasts[-1], recording, about.start_us)
    step_us = next((step for step in _STEPS_US if about.duration_us / step <= _BARS_MAX), _STEPS_US[-1])
    scale = alt.Scale(
        type="utc" if recording is None else "linear", domain=[where.x(0), where.x(about.duration_us)], nice=False
    )
    axis = alt.Axis(format="%H:%M", tickCount=12, labelOverlap=True) if recording is None else alt.Axis(tickCount=12)
    title = "program time (UTC)" if recording is None else "minute of the recording"
    x = alt.X("from:Q" if recording is not None else "from:T", scale=scale, axis=axis, title=title)
    hidden_x = alt.X("from:Q" if recording is not None else "from:T", scale=scale, axis=None)
    to = alt.X2("to")

    def layer(rows: list[dict[str, Any]]) -> Any:
        return alt.Chart.from_dict({"data": {"values": rows}, "mark": "bar"})

    gaps = layer(where.gaps()).mark_rect(color=_RED, opacity=0.18).encode(x, to)
    bars = (
        layer(where.activity(step_us))
        .mark_bar(color=_BLUE, binSpacing=0)
        .encode(x, to, alt.Y("messages:Q", title=f"messages in {_length(step_us)}"), alt.Y2(datum=0))
    )
    viewers = (
        layer(where.viewers())
        .mark_line(color=_GRAY, interpolate="step-after")
        .encode(x, alt.Y("viewers:Q", title="viewers"))
    )
    activity = (
        alt.layer(alt.layer(gaps, bars), viewers).resolve_scale(y="independent").properties(width=_WIDTH_PX, height=190)
    )
    became = alt.Color(
        "became:N", scale=alt.Scale(domain=["answered", "left open"], range=[_GREEN, _RED]), title="questions"
    )
    shape = alt.Shape(
        "became:N", scale=alt.Scale(domain=["answered", "left open"], range=["circle", "diamond"]), title="questions"
    )
    questions = (
        layer(where.questions())
        .mark_point(filled=True, opacity=0.85)
        .encode(
            hidden_x,
            alt.Y("lane:N", title=None),
            became,
            shape,
            alt.Size("upvotes:Q", title="upvotes", scale=alt.Scale(range=[40, 400])),
        )
        .properties(width=_WIDTH_PX, height=36)
    )
    polls = layer(where.polls()).mark_bar(color="#72b7b2", height=16).encode(hidden_x, to, alt.Y("lane:N", title=None))
    words = where.polls()
    late = where.x(about.duration_us * 0.75)  # what begins after it has its words before it: behind it is no room

    def named(rows: list[dict[str, Any]], place: str, align: str, away_px: int) -> Any:
        at = alt.X(f"{place}:{'T' if recording is None else 'Q'}", scale=scale, axis=None)
        mark = layer(rows).mark_text(align=align, dx=away_px, limit=240, fontSize=11, clip=True)
        return mark.encode(at, alt.Y("lane:N"), alt.Text("question:N"))

    behind = named([row for row in words if row["from"] < late], "to", "left", 4)
    before = named([row for row in words if row["from"] >= late], "from", "right", -4)
    asked = alt.layer(polls, behind, before).properties(width=_WIDTH_PX, height=30)
    subtitle = (
        "bars: messages; line: viewers; red: no picture" if recording is None else "bars: messages; line: viewers"
    )
    return (
        alt.vconcat(questions, asked, activity, spacing=4)
        .resolve_scale(x="shared")
        .properties(title=alt.TitleParams(_one_line(about.title), subtitle=subtitle, anchor="start"))
    )


def _length(step_us: int) -> str:
    return f"{step_us // MINUTE_US} min" if step_us >= MINUTE_US else f"{step_us // SECOND_US} s"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:120]


class _Where:
    """Rows of an airing or recording, each where it is drawn."""

    def __init__(self, archive: OpenArchive, room: str, broadcast: int, recording: str | None, start_us: int) -> None:
        self._archive, self._room, self._recording = archive, room, recording
        self._broadcast, self._start_us = broadcast, start_us

    def x(self, position_us: float) -> float:
        """Where a position is drawn: ms of program time, or minutes."""
        return position_us / MINUTE_US if self._recording is not None else ms_from_us(self._start_us + int(position_us))

    def _rows(self, view: str, instant: str, columns: str) -> list[tuple[Any, ...]]:
        """(position in µs, columns…) of a view's rows."""
        if self._recording is not None:
            found = (
                self._archive.recorded(self._room, self._recording, view).project(f"position_us, {columns}").fetchall()
            )
        else:
            found = self._archive.sql(
                f"SELECT epoch_us({instant}) - $start_us, {columns} FROM {view} WHERE room = $room AND broadcast = $broadcast ORDER BY 1",
                start_us=self._start_us,
                room=self._room,
                broadcast=self._broadcast,
            ).fetchall()
        return [tuple(row) for row in found]

    def activity(self, step_us: int) -> list[dict[str, Any]]:
        counts: dict[int, int] = {}
        for position_us, _ in self._rows("messages", "program_us", "1"):
            counts[position_us // step_us] = counts.get(position_us // step_us, 0) + 1
        return [
            {"from": self.x(number * step_us), "to": self.x((number + 1) * step_us), "messages": count}
            for number, count in sorted(counts.items())
        ]

    def viewers(self) -> list[dict[str, Any]]:
        return [
            {"from": self.x(at_us), "viewers": count} for at_us, count in self._rows("viewers", "minute_us", "viewers")
        ]

    def questions(self) -> list[dict[str, Any]]:
        return [
            {
                "from": self.x(at_us),
                "lane": "questions",
                "upvotes": upvotes,
                "became": "left open" if response_us is None else "answered",
            }
            for at_us, upvotes, response_us in self._rows("questions", "program_us", "upvotes, response_us")
        ]

    def polls(self) -> list[dict[str, Any]]:
        length = "coalesce(epoch_us(closed_us) - epoch_us(opened_us), 60000000)"
        return [
            {
                "from": self.x(at_us),
                "to": self.x(at_us + length_us),
                "lane": "polls",
                "question": _one_line(question or "")[:60],
            }
            for at_us, question, length_us in self._rows("polls", "opened_us", f"question, {length}")
        ]

    def gaps(self) -> list[dict[str, Any]]:
        """Program time between two segments that no media covers; a recording has none."""
        if self._recording is not None:
            return []
        rows = self._archive.sql(
            "SELECT epoch_us(end_us) - $start_us, epoch_us(next_us) - $start_us FROM (SELECT program_us + to_microseconds(duration_us) AS end_us, "
            "lead(program_us) OVER (ORDER BY program_us) AS next_us FROM segments WHERE room = $room AND broadcast = $broadcast AND NOT gap "
            "AND program_us IS NOT NULL) WHERE next_us > end_us + INTERVAL 1 SECOND ORDER BY 1",
            start_us=self._start_us,
            room=self._room,
            broadcast=self._broadcast,
        ).fetchall()
        return [{"from": self.x(start_us), "to": self.x(end_us)} for start_us, end_us in rows]
