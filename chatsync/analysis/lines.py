"""What was said in a room as lines, in the order of the picture: what exports are made of.

Owns: which rows are lines, where each stands, what chapters there are. Does not know: formats. Units: µs; positions count from the start of the broadcast's
media (of its first event where there is none), or are a recording's. Source: contract §1, §6.

Hidden messages have no row in an archive, private ones are in no view: neither can come out here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from heapq import merge
from typing import Any

from chatsync.analysis.opened import OpenArchive
from chatsync.chat.event import MESSAGE_KINDS, Author, Role
from chatsync.errors import NotFoundError, QuestionError, TooFewPeopleError
from chatsync.instants import Range
from chatsync.transfer.line import About, Line

__all__ = ["NamesOf", "RoomLines", "airings_of_many"]

NamesOf = Callable[[str, list[tuple[str, int, Role]]], list[Author]]
"""Who authors of a room were, by (key, version of their name, role)."""

_BATCH_ROWS = 10_000
_SAYS = ", ".join(f"'{kind}'" for kind in sorted(MESSAGE_KINDS))
_UPVOTES_OF_A_CHAPTER = 3
_CHAPTERS = {"announcement": "announcement", "poll_opened": "poll", "pinned": "pin", "question": "question"}


def airings_of_many(archive: OpenArchive, room: str, people_min: int) -> list[int]:
    """Airings of a room in which at least so many people wrote, staff aside; whoever is one of them can be meant by a pseudonym.

    Cost: one reading of who wrote what.
    """
    return [
        number
        for (number,) in archive.sql(
            "SELECT broadcast FROM messages WHERE room = $room AND role NOT IN ('host', 'moderator', 'system') "
            "GROUP BY broadcast HAVING count(DISTINCT author_key) >= $people ORDER BY broadcast",
            room=room,
            people=people_min,
        ).fetchall()
    ]


class RoomLines:
    """Lines of a room, or of one of its broadcasts or recordings.

    Args:
        archive: opened, perhaps for this room alone.
        room: the room.
        broadcast: only this airing.
        recording: what this recording shows, at its positions.
        within: only program time in this range.
        names: who authors were; without, lines have pseudonyms and no names.
        people_min: only airings in which so many people wrote, staff aside; a recording only if that holds of all that it shows.

    Attributes:
        broadcasts: numbers of those it is of, in order.

    Raises:
        NotFoundError: there is no such room, broadcast or recording in the archive.
        QuestionError: broadcast and recording are both given.
        TooFewPeopleError: nothing is left that so many people wrote in.
    """

    def __init__(
        self,
        archive: OpenArchive,
        room: str,
        *,
        broadcast: int | None = None,
        recording: str | None = None,
        within: Range | None = None,
        names: NamesOf | None = None,
        people_min: int = 0,
    ) -> None:
        if broadcast is not None and recording is not None:
            raise QuestionError("give a broadcast or a recording, not both")
        self._archive, self._room, self._recording = archive, room, recording
        self._within, self._names = within, names
        rows = archive.sql(
            "SELECT broadcast, title, epoch_us(coalesce(start_us, first_event_us)), epoch_us(coalesce(end_us, last_event_us)) "
            "FROM broadcasts WHERE room = $room AND coalesce(start_us, first_event_us) IS NOT NULL ORDER BY broadcast",
            room=room,
        ).fetchall()
        if not rows:
            raise NotFoundError(f"room {room}")
        if recording is not None:
            shown = archive.sql(
                "SELECT DISTINCT broadcast FROM recordings WHERE room = $room AND recording = $recording",
                room=room,
                recording=recording,
            ).fetchall()
            if not shown:
                raise NotFoundError(f"recording {recording}")
            rows = [row for row in rows if (row[0],) in shown]
        elif broadcast is not None:
            rows = [row for row in rows if row[0] == broadcast]
            if not rows:
                raise NotFoundError(f"broadcast {broadcast}")
        if people_min > 0:
            many = airings_of_many(archive, room, people_min)
            left = [row for row in rows if row[0] in many]
            if not left or (recording is not None and left != rows):
                raise TooFewPeopleError
            rows = left
        self._rows = rows
        self.broadcasts = [row[0] for row in rows]

    @property
    def about(self) -> About:
        """What it is of; times are those of the first broadcast to the end of the last."""
        start_us = self._rows[0][2] if self._rows else 0
        duration_us = self._rows[-1][3] - start_us if self._rows else 0
        if self._recording is not None:
            [(start_us, duration_us)] = self._archive.sql(
                "SELECT epoch_us(arg_min(program_us, position_us)), max(position_us + duration_us) FROM recordings "
                "WHERE room = $room AND recording = $recording",
                room=self._room,
                recording=self._recording,
            ).fetchall()
        title = next((row[1] for row in self._rows if row[1]), None) if len(self._rows) == 1 else None
        return About(
            room=self._room,
            title=title or self._recording or self._room,
            start_us=start_us,
            duration_us=duration_us,
            recording=self._recording,
        )

    def __iter__(self) -> Iterator[Line]:
        """Lines by place. Cost: 6 µs each, and memory for ten thousand."""
        sql, values = self._asked(f"kind IN ({_SAYS})", "text")
        for batch in self._archive.sql(sql, **values).to_arrow_reader(_BATCH_ROWS):
            rows = batch.to_pylist()
            yield from map(_line, rows, self._authors(rows))

    def chapters(self) -> Iterator[Line]:
        """What begins a chapter, by place: airings, announcements, polls, pins, and questions that three people or more wanted answered."""
        return merge(self._beginnings(), self._headings(), key=lambda line: line.position_us or 0)

    def _beginnings(self) -> list[Line]:
        """Where each airing begins, or first shows in the recording."""
        shown = {row[0]: (0, row[2]) for row in self._rows}
        if self._recording is not None:
            rows = self._archive.sql(
                "SELECT broadcast, min(position_us), epoch_us(arg_min(program_us, position_us)) FROM recordings "
                "WHERE room = $room AND recording = $recording GROUP BY broadcast",
                room=self._room,
                recording=self._recording,
            ).fetchall()
            shown = {number: (position_us, program_us) for number, position_us, program_us in rows}
        found = [
            Line(
                id="",
                kind="broadcast",
                program_us=program_us,
                position_us=position_us,
                text=title or f"Airing {number}",
            )
            for number, title, _, _ in self._rows
            for position_us, program_us in [shown[number]]
            if self._within is None or self._within.start_us <= program_us < self._within.end_us
        ]
        return sorted(found, key=lambda line: line.position_us or 0)

    def _headings(self) -> Iterator[Line]:
        kinds = ", ".join(f"'{kind}'" for kind in _CHAPTERS)
        sql, values = self._asked(f"kind IN ({kinds})", "coalesce(text, details ->> '$.question')")
        wanted = {
            offset
            for (offset,) in self._archive.sql(
                'SELECT "offset" FROM questions WHERE room = $room AND upvotes >= $upvotes',
                room=self._room,
                upvotes=_UPVOTES_OF_A_CHAPTER,
            ).fetchall()
        }
        for batch in self._archive.sql(sql, **values).to_arrow_reader(_BATCH_ROWS):
            for row in batch.to_pylist():
                if row["kind"] != "question" or row["offset"] in wanted:
                    yield Line(
                        id=row["id"],
                        kind=_CHAPTERS[row["kind"]],
                        program_us=row["program_us"],
                        position_us=row["position_us"],
                        text=row["text"] or "",
                    )

    def _asked(self, kinds: str, text: str) -> tuple[str, dict[str, Any]]:
        """SQL over what was said, each row where it stands. What was asked may be shown twice by a recording, and then comes twice."""
        values: dict[str, Any] = {"room": self._room}
        starts = ", ".join(f"({number}, {start_us})" for number, _, start_us, _ in self._rows)
        said = f"SELECT *, epoch_us(program_us) AS at_us FROM events WHERE room = $room AND {kinds}"
        if self._within is not None:
            said += " AND program_us >= make_timestamp($start_us) AND program_us < make_timestamp($end_us)"
            values |= {"start_us": self._within.start_us, "end_us": self._within.end_us}
        if self._recording is None:
            joined = f"JOIN (VALUES {starts}) AS parts(broadcast, start_us) USING (broadcast)"
            position = "at_us - parts.start_us"
        else:
            joined = (
                "JOIN recordings AS parts ON parts.room = $room AND parts.recording = $recording AND parts.broadcast = said.broadcast "
                "AND said.program_us >= parts.program_us AND said.program_us < parts.program_us + to_microseconds(parts.duration_us)"
            )
            position = "parts.position_us + at_us - epoch_us(parts.program_us)"
            values["recording"] = self._recording
        order = 'position_us, "offset"' if self._recording is not None else 'said.at_us, "offset"'
        return (
            f'SELECT said."offset" AS "offset", said.id, said.kind, at_us AS program_us, {position} AS position_us, said.author_key, said.role, '
            f"said.name_version, {text.replace('text', 'said.text').replace('details', 'said.details')} AS text, said.details, replied.id AS reply_id "
            f"FROM ({said}) AS said {joined} "
            f'LEFT JOIN (SELECT "offset", id FROM events WHERE room = $room AND kind IN ({_SAYS})) AS replied ON replied."offset" = said.reply_to '
            f"ORDER BY {order}"
        ), values

    def _authors(self, rows: list[dict[str, Any]]) -> list[Author | None]:
        wanted = [(row["author_key"], row["name_version"], row["role"]) for row in rows]
        known = sorted({one for one in wanted if self._names is not None and one[0] is not None and one[1] is not None})
        named = (
            {} if self._names is None or not known else dict(zip(known, self._names(self._room, known), strict=True))
        )
        return [named.get(one) or (None if one[0] is None else Author(one[0], "", one[2])) for one in wanted]


def _line(row: dict[str, Any], author: Author | None) -> Line:
    return Line(
        id=row["id"],
        kind=row["kind"],
        program_us=row["program_us"],
        position_us=row["position_us"],
        author_id=None if author is None else author.key,
        author_name="" if author is None else author.name,
        role=row["role"] or "system",
        badges=() if author is None else author.badges,
        text=row["text"] or "",
        reply_to=row["reply_id"],
        details=json.loads(row["details"] or "{}"),
    )
