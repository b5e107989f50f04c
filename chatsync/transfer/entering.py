"""A file's lines into a room of a data folder at rest: all of them in one transaction, or none.

Owns: what of a file is new to the room, the drafts, the report. Does not know: formats, the command line, slices.
Units: µs inside, ms in the report. Source: contract §1 (stamp ``import``), §2; formats.md.

Slices and Parquet follow when the folder is served, or archived with ``chatsync archive --now``: what was imported is late news to both.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import uuid_utils

from chatsync.chat.event import Author, Draft, Role, Stamp
from chatsync.instants import DAY_US, SECOND_US, Range, iso_from_us, ms_from_us, whole_ms_us
from chatsync.store.audit import AuditRecord
from chatsync.store.imports import imported_at, note_imported
from chatsync.store.opening import Store
from chatsync.transfer.captured_lines import captured_lines
from chatsync.transfer.fields import REMOVED, Known
from chatsync.transfer.gathering import Gathered, Gathering, Spool, line_id
from chatsync.transfer.placing import Airing, Airings, Placing
from chatsync.transfer.reading import READERS, lines_of, networks_of
from chatsync.transfer.recognising import OpenedFile

__all__ = ["Import", "Report", "import_file", "room_airings"]

_AT_ONCE = 500
_ACTOR = "admin:local"
_HIDES_MAX = 10_000
_AUTHORS_MAX = 5_000  # in memory: making one anew takes some µs

AuthorOf = Callable[[str, str, Role, tuple[str, ...]], Author]
"""Who somebody is in the room: from the subject of a network, name, role and badges."""
Progress = Callable[[str, int, int], None]


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    Attributes:
        room: into which room.
        name: of the format.
        t0_us: program time of position 0, if somebody said it.
        recording: whose map says where positions are, if one was named.
        known: what else the file does not say.
        has_stream: whether the room follows a stream; one without has wall time for program time.
        is_partial: whether what comes before damage is good enough.
        is_dry: whether nothing is to be written.
        wall_us: the system's wall time now.
    """

    room: str
    name: str
    t0_us: int | None = None
    recording: str | None = None
    known: Any = msgspec.field(default_factory=Known)
    has_stream: bool = False
    is_partial: bool = False
    is_dry: bool = False
    wall_us: int = 0


class Report(msgspec.Struct, kw_only=True):
    """What came of it.

    Attributes:
        read: entries of the file, of whatever kind.
        imported: lines that are new to the room.
        already_there: lines that came from a file before, or twice in this one.
        hidden_by_source: lines that were taken away where they were said.
        hidden_here: lines of an earlier import that the source has taken away since.
        skipped: what else stayed out, by reason.
        cut: how many texts, names and details were shortened.
        disagreement_ms: median of absolute time less the time of the position.
        implied_t0: when the recording began, by the file itself.
        broadcasts: into which lines went.
        damage: where reading ended early.
    """

    room: str
    format: str
    dry_run: bool
    read: int = 0
    imported: int = 0
    already_there: int = 0
    hidden_by_source: int = 0
    hidden_here: int = 0
    skipped: dict[str, int] = msgspec.field(default_factory=dict)
    cut: dict[str, int] = msgspec.field(default_factory=dict)
    start_ms: int | None = None
    end_ms: int | None = None
    t0: str | None = None
    implied_t0: str | None = None
    compared: int = 0
    disagreement_ms: float | None = None
    broadcasts: list[dict[str, Any]] = msgspec.field(default_factory=list)
    damage: str | None = None


def import_file(
    store: Store,
    file: OpenedFile,
    what: Import,
    author_of: AuthorOf,
    *,
    spans: Any = (),
    progress: Progress | None = None,
) -> Report:
    """Import a file, whole.

    Args:
        store: opened, served by nobody.
        file: opened.
        what: to do.
        author_of: who somebody is in the room.
        spans: of the recording, if one was named.
        progress: told (what, done, of how many).

    Raises:
        CorruptError: the log or the catalog is damaged.
        FileDamagedError: the file is, and nothing was written.
        FileUnplacedError: it needs to be told when it began.
        StoreError: nothing was written.

    Cost: about 15 µs a line to read and 40 µs to write, and some tens of MiB of memory, however long the file is.
    """
    reader = READERS[what.name]
    placing = Placing(what.t0_us, spans)
    airings = Airings(
        room_airings(store, what.room, has_stream=what.has_stream, wall_us=what.wall_us), _next(store, what.room)
    )
    spool = Spool(store.files.root)
    try:
        gathering = Gathering(reader, placing, airings, spool, wall_us=what.wall_us)
        if progress is not None:
            file.watch(lambda done: progress("read", min(done, file.size_bytes - 1), file.size_bytes))
        found = lines_of(what.name, file.stream, what.known)
        gathering.gather(found, is_partial=what.is_partial)
        if progress is not None:
            progress("read", file.size_bytes, file.size_bytes)
        entering = _Entering(
            store, what, author_of, gathering=gathering, airings=airings, spool=spool, progress=progress
        )
        store.writer.call(entering.look if what.is_dry else entering.write).result()
    finally:
        spool.close()
    return _report(what, gathering, entering, placing)


def room_airings(store: Store, room: str, *, has_stream: bool, wall_us: int) -> list[Airing]:
    """The room's broadcasts that have program time, with the program time that they have."""
    found = []
    for record in store.catalog.broadcast_records(room, last=-1):
        if record["start_us"] is not None and record["edge_us"] is not None:
            found.append(Airing(record["number"], record["start_us"], max(record["start_us"], record["edge_us"])))
        elif not has_stream:
            opened_us, closed_us = record["opened_wall_us"], record["closed_wall_us"]
            day_us = opened_us - opened_us % DAY_US + DAY_US  # one a day, also if nobody was there to close it
            found.append(Airing(record["number"], opened_us, min(wall_us, day_us) if closed_us is None else closed_us))
    return found


def _next(store: Store, room: str) -> int:
    """The number of a room's next broadcast."""
    tables = ("broadcasts", "hours", "archive_files", "deletions")
    sql = " UNION ALL ".join(f"SELECT max(broadcast) FROM {table} WHERE room = ?" for table in tables)
    return 1 + max(
        (number for (number,) in store.journal.read(sql, (room,) * len(tables)) if number is not None), default=0
    )


class _Entering:
    """Writes what was gathered. Its methods run in the writer's thread, in one transaction."""

    def __init__(
        self,
        store: Store,
        what: Import,
        author_of: AuthorOf,
        *,
        gathering: Gathering,
        airings: Airings,
        spool: Spool,
        progress: Progress | None,
    ) -> None:
        self._store, self._what, self._author_of = store, what, author_of
        self._gathering, self._airings, self._spool, self._progress = gathering, airings, spool, progress
        self._authors: dict[tuple[str, str, Role, tuple[str, ...]], Author] = {}
        self._erased: frozenset[str] = frozenset()
        self._uncertainty_us = READERS[what.name].uncertainty_us
        self.entered: Counter[int] = Counter()  # by broadcast
        self.already_there = self.gone = self.hidden_here = self.erased = 0

    def made(self) -> list[Airing]:
        """Broadcasts that are new, and have lines."""
        return [airing for airing in self._airings.made() if self.entered[airing.number]]

    def look(self, connection: sqlite3.Connection) -> None:
        """Count what would be new, and write nothing."""
        seen: set[bytes] = set()
        self._begin(connection)
        for some in self._chunks():
            known = imported_at(connection, self._what.room, [line.id for line in some])
            for line in some:
                key = bytes.fromhex(line.id)
                if line.id in known or key in seen:
                    self.already_there += 1
                    continue
                seen.add(key)
                self.entered[self._broadcast(line)] += 1

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all that is new."""
        self._begin(connection)
        done = 0
        for some in self._chunks():
            self._write_some(connection, some)
            done += len(some)
            if self._progress is not None:
                self._progress("written", min(done, self._spool.count - 1), self._spool.count)
        for airing in self.made():
            self._store.catalog.put_broadcast(connection, self._what.room, self._record(airing))
        self._hide(connection)
        if self.entered or self.hidden_here:
            self._store.journal.audit.note(connection, self._deed())
        if self._progress is not None and self._spool.count:
            self._progress("written", self._spool.count, self._spool.count)

    def _deed(self) -> AuditRecord:
        what = self._what
        after = f"format={what.name},lines={sum(self.entered.values())}"
        return AuditRecord(
            wall_us=what.wall_us, room=what.room, actor=_ACTOR, role="admin", action="chat_imported", after=after
        )

    def _begin(self, connection: sqlite3.Connection) -> None:
        self._note_captured(connection)
        rows = connection.execute("SELECT author_key FROM erasures WHERE room = ?", (self._what.room,)).fetchall()
        self._erased = frozenset(key for (key,) in rows)

    def _note_captured(self, connection: sqlite3.Connection) -> None:
        """What a connector took while it was live is there already."""
        room, start_us, end_us = self._what.room, self._gathering.start_us, self._gathering.end_us
        if self._what.is_dry or start_us is None or end_us is None:
            return
        for network in networks_of(READERS[self._what.name]):
            found = captured_lines(self._store, room, network, Range(start_us, end_us + 1))
            while some := list(islice(found, _AT_ONCE)):
                note_imported(
                    connection, [(room, line_id(network, id_), number, offset) for id_, number, offset in some]
                )

    def _chunks(self) -> Iterator[list[Gathered]]:
        """Lines that the source has not taken away, and whose authors were not erased here, some at a time."""
        lines = iter(self._spool)
        while some := list(islice(lines, _AT_ONCE)):
            kept = []
            for line in some:
                if self._gathering.is_gone(line):
                    self.gone += 1
                elif line.subject is not None and self._author(line).key in self._erased:
                    self.erased += 1
                else:
                    kept.append(line)
            if kept:
                yield kept

    def _author(self, line: Gathered) -> Author:
        assert line.subject is not None
        key = (line.subject, line.name, line.role, line.badges)
        known = self._authors.get(key)
        if known is None:
            if len(self._authors) >= _AUTHORS_MAX:
                self._authors.clear()
            known = self._authors[key] = self._author_of(*key)
        return known

    def _broadcast(self, line: Gathered) -> int:
        return self._airings.of(line.program_us) if line.broadcast is None else line.broadcast

    def _write_some(self, connection: sqlite3.Connection, some: list[Gathered]) -> None:
        room, journal = self._what.room, self._store.journal
        wanted = {line.id for line in some} | {line.reply_to for line in some if line.reply_to is not None}
        known = imported_at(connection, room, list(wanted))
        next_offset = journal.next_offset(connection, room)
        drafts: list[Draft] = []
        rows: list[tuple[str, str, int, int]] = []
        for line in some:
            if line.id in known:
                self.already_there += 1
                continue
            broadcast = self._broadcast(line)
            offset = known[line.id] = next_offset + len(drafts)
            drafts.append(self._draft(line, broadcast, known.get(line.reply_to or "")))
            rows.append((room, line.id, broadcast, offset))
            self.entered[broadcast] += 1
        if not drafts:
            return
        appended = journal.append_many(connection, drafts)
        assert appended is not None, "ids of imports are claimed by imports alone"
        note_imported(connection, rows)
        journal.count_placed(connection)

    def _draft(self, line: Gathered, broadcast: int, reply_to: int | None) -> Draft:
        return Draft(
            room=self._what.room,
            kind=line.kind,
            id=line.id,
            stamp=Stamp(
                stamp="import", broadcast=broadcast, program_us=line.program_us, uncertainty_us=self._uncertainty_us
            ),
            wall_us=self._what.wall_us,
            author=None if line.subject is None else self._author(line),
            text=line.text,
            reply_to=reply_to,
            details=line.details,
            source=f"import:{self._what.name}",
        )

    def _record(self, airing: Airing) -> dict[str, Any]:
        """A broadcast that was over long ago, as the catalog keeps them: without a stream, and never the one that is on."""
        start_us = airing.start_us - airing.start_us % SECOND_US
        end_us = airing.end_us - airing.end_us % SECOND_US + SECOND_US
        return {
            "number": airing.number,
            "opened_wall_us": start_us,
            "start_us": start_us,
            "edge_us": end_us,
            "lag_us": 0,
            "advanced_wall_us": end_us,
            "target_duration_us": 2 * SECOND_US,
            "is_synthetic": False,
            "first_run": None,
            "first_media_sequence": None,
            "last_run": None,
            "last_media_sequence": None,
            "closed_wall_us": end_us,
            "closed_reason": "imported",
            "last_origin_us": None,
            "hold_back_us": 0,
            "arrivals": 0,
            "is_imported": True,
        }

    def _hide(self, connection: sqlite3.Connection) -> None:
        """What the source has taken away since an earlier import goes here too."""
        gone = list(self._gathering.lines_gone)
        for first in range(0, len(gone), _AT_ONCE):
            known = imported_at(connection, self._what.room, gone[first : first + _AT_ONCE])
            for offset in sorted(known.values()):
                row = connection.execute(
                    "SELECT broadcast, program_us, hidden FROM journal WHERE room = ? AND offset = ?",
                    (self._what.room, offset),
                ).fetchone()
                if row is None:  # it has left the journal, so it is not hidden: hiding it brings it back
                    (broadcast,) = connection.execute(
                        "SELECT broadcast FROM imported WHERE room = ? AND offset = ?", (self._what.room, offset)
                    ).fetchone()
                    row = (broadcast, whole_ms_us(self._what.wall_us), 0)
                if row[2] or self.hidden_here >= _HIDES_MAX:
                    continue
                stamp = Stamp(stamp="origin", broadcast=row[0], program_us=row[1], uncertainty_us=0)
                draft = Draft(
                    room=self._what.room,
                    kind="hidden",
                    id=str(uuid_utils.uuid7()),
                    stamp=stamp,
                    wall_us=self._what.wall_us,
                    target=offset,
                    details={"reason": "removed_by_source"},
                    source="system",
                    by=_ACTOR,
                )
                self._store.journal.append(connection, draft)
                self.hidden_here += 1


def _report(what: Import, gathering: Gathering, entering: _Entering, placing: Placing) -> Report:
    skipped = {why: count for why, count in gathering.skipped.most_common() if why != REMOVED}
    if entering.erased:
        skipped["was written by somebody who was erased here"] = entering.erased
    new = {airing.number for airing in entering.made()}
    disagreement_us, implied_us = placing.disagreement_us(), placing.implied_t0_us()
    return Report(
        room=what.room,
        format=what.name,
        dry_run=what.is_dry,
        read=gathering.read,
        imported=sum(entering.entered.values()),
        already_there=entering.already_there,
        hidden_by_source=entering.gone + gathering.removed,
        hidden_here=entering.hidden_here,
        skipped=skipped,
        cut=dict(gathering.cleaning.cut),
        start_ms=None if gathering.start_us is None else ms_from_us(gathering.start_us),
        end_ms=None if gathering.end_us is None else ms_from_us(gathering.end_us),
        t0=None if what.t0_us is None else iso_from_us(what.t0_us),
        implied_t0=None if implied_us is None else iso_from_us(implied_us),
        compared=placing.compared,
        disagreement_ms=None if disagreement_us is None else disagreement_us / 1_000,
        broadcasts=[
            {"broadcast": number, "messages": count, "new": number in new}
            for number, count in sorted(entering.entered.items())
            if count
        ],
        damage=None if gathering.damage is None else str(gathering.damage),
    )
