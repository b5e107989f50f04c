"""Counting what was said and finding words in it: archived hours through DuckDB, the rest from the journal.

Owns: which kinds say something, how texts are compared, how much one call looks through. Does not know: HTTP, recordings, peaks.
Units: µs of program time. Source: contract §4 "finding".

Only what everyone may see is counted and found: what is hidden has no row in the archive's public files, and hours that changed since
are read from the journal.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from chatsync.chat.event import MESSAGE_KINDS, Event
from chatsync.instants import Range
from chatsync.store.journal import Journal
from chatsync.store.query import EVENT_COLUMNS, Plan, Query

__all__ = ["COUNTED_KINDS", "Finding", "Found", "compared"]

COUNTED_KINDS = (*sorted(MESSAGE_KINDS), "reaction")
"""What is counted; all but reactions says something, and is searched."""

ROWS_MAX = 2_000_000  # of archived files in one call of `found`: about a second of DuckDB's time
EVENTS_MAX = 10_000  # of the journal: each is made a value of Python, so a tenth of a second of this process's
_PAGE = 2_000

_KINDS = ", ".join(f"'{kind}'" for kind in COUNTED_KINDS)
_SAYING = ", ".join(f"'{kind}'" for kind in sorted(MESSAGE_KINDS))
_FROM = (
    "FROM read_parquet(?, hive_partitioning = false) "
    "WHERE program_us >= make_timestamptz(?) AND program_us < make_timestamptz(?)"
)
_COUNTED = (
    f"SELECT (epoch_us(program_us) - ?) // ? AS bin, kind, sum(CASE WHEN kind = 'reaction' "
    f"THEN coalesce(CAST(details->>'count' AS BIGINT), 1) ELSE 1 END) {_FROM} AND kind IN ({_KINDS}) GROUP BY ALL"
)
_COUNTED_IN_JOURNAL = (
    "SELECT (p.placed_us - ?) / ?, j.kind, sum(CASE WHEN j.kind = 'reaction' "
    "THEN coalesce(json_extract(j.details, '$.count'), 1) ELSE 1 END) FROM journal AS p INDEXED BY journal_placed "
    "JOIN journal AS j ON j.room = p.room AND j.offset = p.offset "
    "WHERE p.room = ? AND p.broadcast = ? AND p.placed_us >= ? AND p.placed_us < ? "
    f"AND j.hidden = 0 AND j.kind IN ({_KINDS}) AND json_type(j.details, '$.to') IS NULL GROUP BY 1, 2"
)
_COMPARED = "replace(replace(strip_accents(lower(text)), 'ß', 'ss'), 'ς', 'σ')"
_AFTER = ' AND (epoch_us(program_us), "offset") > (?, ?)'
_FIRST = ' ORDER BY program_us, "offset" LIMIT ?'
_WORD = f" AND contains({_COMPARED}, ?)"


def compared(text: str) -> str:
    """What a search compares: lower case, without marks over and under letters. DuckDB's part of it is ``strip_accents(lower(…))``."""
    apart = unicodedata.normalize("NFD", text.lower())
    bare = unicodedata.normalize("NFC", "".join(one for one in apart if not unicodedata.category(one).startswith("M")))
    return bare.replace("ß", "ss").replace("ς", "σ")


@dataclass(frozen=True, slots=True)
class Found:
    """What one call found.

    Attributes:
        events: in order of (program time, offset).
        reached: where to go on, None at the end. There may be more though little or nothing was found: one call looks through so much.
    """

    events: list[Event]
    reached: tuple[int, int] | None


class Finding:
    """Counts and finds. May be called from any thread."""

    def __init__(self, query: Query, journal: Journal) -> None:
        self._query, self._journal = query, journal

    def counted(self, room: str, broadcast: int, within: Range, bin_us: int) -> Counter[tuple[int, str]]:
        """How many of each kind, by bin from the start of a range; a reaction counts as often as it was tapped.

        Raises:
            CorruptError: an archived file is damaged.

        Cost: some 20 ms and 1 µs a row of the journal, hardly any of it with Python's lock held.
        """

        def ask(planned: Plan, connection: duckdb.DuckDBPyConnection, paths: list[str]) -> list[tuple[Any, ...]]:
            return connection.execute(
                _COUNTED, [within.start_us, bin_us, paths, planned.within.start_us, planned.within.end_us]
            ).fetchall()

        plan, rows = self._query.asked(self._query.plan(room, broadcast, within), ask)
        counts: Counter[tuple[int, str]] = Counter()
        for bin_, kind, count in rows or ():
            counts[bin_, kind] += int(count)
        for part in plan.journal:
            for bin_, kind, count in self._journal.read(
                _COUNTED_IN_JOURNAL, (within.start_us, bin_us, room, broadcast, part.start_us, part.end_us)
            ):
                counts[bin_, kind] += int(count)
            for event in self._journal.left(room, broadcast, part):
                if event.kind in COUNTED_KINDS:
                    taps = int(event.details.get("count", 1)) if event.kind == "reaction" else 1
                    counts[(event.program_us - within.start_us) // bin_us, event.kind] += taps
        return counts

    def found(
        self,
        room: str,
        broadcast: int,
        within: Range,
        words: Sequence[str],
        *,
        after: tuple[int, int] | None = None,
        limit: int,
    ) -> Found:
        """Public messages that have all of some words in them, also as parts of longer words.

        Args:
            room: the room.
            broadcast: its airing.
            within: program time.
            words: as :func:`compared` gives them.
            after: only places after this (program time, offset).
            limit: at most so many.

        Raises:
            CorruptError: an archived file or a row of the journal is damaged.
        """
        if after is not None:
            within = Range(min(max(within.start_us, after[0]), within.end_us), within.end_us)
        events: list[Event] = []
        rows_left, events_left = ROWS_MAX, EVENTS_MAX
        for part in _parts(self._query.plan(room, broadcast, within)):
            if (part.files and rows_left <= 0) or (part.journal and events_left <= 0):
                return Found(events, (part.within.start_us, 0))
            rows_left -= sum(file.rows for file in part.files)
            wanted = _Wanted(words, after, limit - len(events) + 1)
            planned, rows = self._query.asked(part, wanted.rows)
            some = self._query.events(room, rows or [])
            reached = None
            for range_ in planned.journal:
                looked, reached, read = self._in_journal(planned, range_, words, after, max(events_left, 1))
                events_left -= read
                some += looked
                if reached is not None:
                    break
            events += sorted(some, key=lambda event: event.place)
            if len(events) > limit:
                return Found(events[:limit], events[limit - 1].place)
            if reached is not None:
                return Found(events, reached)
        return Found(events, None)

    def _in_journal(
        self, plan: Plan, within: Range, words: Sequence[str], after: tuple[int, int] | None, events_max: int
    ) -> tuple[list[Event], tuple[int, int] | None, int]:
        """What is found, the place reached if more is to be looked at, and how many events were."""
        found: list[Event] = []
        read = 0
        while True:
            page = self._journal.events_between(
                plan.room, plan.broadcast, within.start_us, within.end_us, public_only=True, after=after, limit=_PAGE
            )
            read += len(page)
            found += [event for event in page if event.kind in MESSAGE_KINDS and _has(event.text or "", words)]
            if len(page) < _PAGE:
                return found, None, read
            after = page[-1].place
            if read >= events_max:
                return found, after, read


def _has(text: str, words: Sequence[str]) -> bool:
    looked_at = compared(text)
    return all(word in looked_at for word in words)


def _parts(plan: Plan) -> list[Plan]:
    """A plan in order of program time, each part one file or one stretch of the journal."""
    parts = [Plan(plan.room, plan.broadcast, within, (), (within,)) for within in plan.journal]
    for file in plan.files:
        within = None if file.hours is None else file.hours.clipped(plan.within)
        if within is not None:
            parts.append(Plan(plan.room, plan.broadcast, within, (file,), ()))
    return sorted(parts, key=lambda part: part.within.start_us)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Rows with all of some words, after a place, at most so many."""

    words: Sequence[str]
    after: tuple[int, int] | None
    limit: int

    def rows(self, plan: Plan, connection: duckdb.DuckDBPyConnection, paths: list[str]) -> list[tuple[Any, ...]]:
        text = f"SELECT {EVENT_COLUMNS} {_FROM} AND kind IN ({_SAYING})" + _WORD * len(self.words)
        values: list[Any] = [paths, plan.within.start_us, plan.within.end_us, *self.words]
        if self.after is not None:
            text, values = text + _AFTER, [*values, *self.after]
        return connection.execute(text + _FIRST, [*values, self.limit]).fetchall()
