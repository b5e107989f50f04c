"""What ``chatsync repair`` does with what ``verify`` finds: made again from what proves it, or told as lost.

Owns: what follows from what, and in which order. Does not know: the command line, a running relay.
Units: µs. Source: reliability G8; decision 0019.

The journal is made again from Parquet, Parquet and slices from the journal, lists from the files that they list, indexes and sums from
rows that their checksums prove. Nothing is guessed: where nothing has a thing any more, its range is written down in ``lost`` or
named in the report. What is damaged goes to ``quarantine/``. Doing it twice does nothing the second time.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from chatsync.errors import ChatsyncError, CorruptError
from chatsync.instants import HOUR_US, Range
from chatsync.store import sums
from chatsync.store.catalog import WATCHED_TABLES as CATALOG_TABLES
from chatsync.store.catalog import ArchiveFile
from chatsync.store.dedupe import remember_again
from chatsync.store.files import Files
from chatsync.store.hours import count_hours_again
from chatsync.store.imports import IMPORT_SOURCE, remember_imported
from chatsync.store.journal_reads import WATCHED_TABLES
from chatsync.store.lost import EVER, EVERY_BROADCAST, LostRange
from chatsync.store.opening import Store, open_store
from chatsync.store.parquet import verify_file
from chatsync.store.pruned import PrunedMark
from chatsync.store.recovering import head_of, raise_epoch, read_error
from chatsync.store.relisting import relist_archive, relist_slices
from chatsync.store.reslicing import SliceFile, revise_slice
from chatsync.store.rows import COLUMNS, checked, insert_sql
from chatsync.store.salvaging import Schema, is_malformed, salvage, schema_of
from chatsync.store.slicing import ChangedSliceError, intact_slice, mended_slice
from chatsync.store.verifying import Progress, listed_slices, verify_store, wrong_manifests

__all__ = ["BACKUP_HINT", "Lost", "Report", "repair_folder"]

BACKUP_HINT = "what is left can only come from a backup: chatsync restore"

_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"
_CHAIN, _PREVIOUS = COLUMNS.index("chain"), COLUMNS.index("previous")
_VOTES = frozenset({"question_upvoted", "poll_voted"})  # Parquet does not say whose they are
_DERIVED = ("dedupe", "dirty_hours", "spoke", "imported", "archive_files", "archive_authors", "slices")
"""Tables that can be made again."""


class Lost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that nothing has any more."""

    what: str  # for people
    room: str = ""
    first_offset: int = 0
    last_offset: int = 0
    broadcast: int = 0
    start_us: int | None = None  # program time between which it stood
    end_us: int | None = None


class Report(msgspec.Struct, kw_only=True):
    """What was repaired, what is lost, and what is still damaged."""

    repaired: list[str]
    lost: list[Lost]
    left: list[str]
    dry_run: bool = False


def repair_folder(
    folder: Path, *, dry_run: bool = False, believe: bool = False, progress: Progress | None = None
) -> Report:
    """Repair a data folder at rest.

    Args:
        folder: which.
        dry_run: only say what would be done.
        believe: take rows of the catalog that nothing else has as they stand, though they do not fit their sums.
        progress: told (what, done, of how many).

    Raises:
        FolderLockedError: a relay or another command uses it.
        OSError: something cannot be written.
    """
    report = Report(repaired=[], lost=[], left=[], dry_run=dry_run)
    _mend_databases(folder, report)
    if dry_run and report.repaired:
        report.left.append("what else there is shows once the databases can be read")
        return report
    try:
        with open_store(folder) as store:
            _Repair(store, report, believe=believe, progress=progress).run()
        with open_store(folder) as store:
            if not dry_run:
                report.left = [*store.journal.open_report, *verify_store(store, progress)["damaged"]]
    except CorruptError as error:
        report.left.append(str(error))
    report.left = list(dict.fromkeys(report.left))
    return report


def _mend_databases(folder: Path, report: Report) -> None:
    """What SQLite itself finds malformed, before anything is opened by those who rely on it."""
    files = Files(folder)
    files.lock()
    try:
        for path in (files.database, files.identity, files.moderation):
            if not is_malformed(path):
                continue
            if report.dry_run:
                report.repaired.append(f"{path.name}: would be written anew from what can be read of it")
                continue
            try:
                report.repaired.append(salvage(files, path, _fresh_schema(path.name)))
            except CorruptError as error:
                if path == files.database:
                    raise
                files.quarantine(path, error.detail)
                for name in ("-wal", "-shm"):
                    path.with_name(f"{path.name}{name}").unlink(missing_ok=True)
                report.lost.append(Lost(what=f"all of {path.name}"))
    except CorruptError as error:
        report.left.append(str(error))
    finally:
        files.unlock()


def _fresh_schema(name: str) -> Schema:
    """What a new database of this program is made of."""
    with tempfile.TemporaryDirectory() as folder:
        with open_store(Path(folder)):
            pass
        return schema_of(Path(folder) / name)


class _Repair:
    """One pass over an opened folder."""

    def __init__(self, store: Store, report: Report, *, believe: bool, progress: Progress | None) -> None:
        self._store, self._report, self._believe, self._progress = store, report, believe, progress

    def run(self) -> None:
        """Do all of it, in the order in which one rests on the other."""
        for line in self._store.journal.open_report:
            self._report.lost.append(Lost(what=line))
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("lists of the archive", self._relist),
            ("rows", self._mend_rows),
            ("indexes", self._mend_indexes),
            ("names and hidden texts", self._mend_beside),
            ("what follows from rows", self._mend_derived),
            ("archive", self._mend_archive),
            ("slices", self._mend_slices),
            ("manifests", self._mend_manifests),
        )
        for done, (what, step) in enumerate(steps, start=1):
            try:
                step()
            except ChatsyncError as error:
                self._report.left.append(str(error))
            except (sqlite3.Error, OSError) as error:
                self._report.left.append(str(read_error(error)))
            if self._progress is not None:
                self._progress(what, done, len(steps))

    def _write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run work in the writer's thread, unless nothing is to be written."""
        return None if self._report.dry_run else self._store.writer.call(work).result()

    def _wrong_tables(self, tables: tuple[str, ...]) -> set[str]:
        return {error.what for error in sums.wrong(self._store.journal.reads, tables)}

    # --- lists ----------------------------------------------------------------------------------------------------

    def _relist(self) -> None:
        """The catalog's lists of files, where they are damaged, from the files."""
        wrong = self._wrong_tables(("archive_files", "archive_authors", "slices"))
        if wrong & {"archive_files", "archive_authors"}:
            found = self._write(partial(relist_archive, store=self._store))
            self._report.repaired.append("the list of archived files was made again")
            for name in () if found is None else found.believed:
                self._report.lost.append(Lost(what=f"the SHA-256 of {name}: it is believed, since it reads well"))
            for name in () if found is None else found.unread:
                self._report.lost.append(Lost(what=f"{name}, with what was in it alone"))
        if "slices" in wrong:
            count = self._write(partial(relist_slices, store=self._store))
            self._report.repaired.append(f"the list of slices was made again{_count(count, 'slice')}")

    # --- the journal ----------------------------------------------------------------------------------------------

    def _mend_rows(self) -> None:
        """Rows that are damaged or missing, from Parquet; those that nothing has are written down as lost."""
        journal = self._store.journal
        for room in journal.read_by(_rooms):
            bad = self._bad_offsets(room)
            if not bad:
                continue
            found = self._archived(room, bad)
            lost = [offset for offset in bad if offset not in found]
            self._write(partial(self._put_back, room=room, rows=[found[offset] for offset in sorted(found)]))
            if found:
                self._report.repaired.append(f"{len(found)} rows of room {room} came back from the archive")
            if lost:
                self._lose(room, lost)

    def _bad_offsets(self, room: str) -> list[int]:
        """Offsets whose row is not what was written, or not there."""
        journal = self._store.journal
        bad: list[int] = []
        before: tuple[Any, ...] | None = None
        epochs = {first for (first,) in journal.read("SELECT first_offset FROM epochs WHERE room = ?", (room,))}
        known = {offset for one in journal.lost.ranges(room) for offset in (one.last + 1,)}
        for row in self._rows_of(room):
            offset = row[2]
            last = 0 if before is None else before[2]
            is_start = offset in epochs or offset in known or journal.pruned.fits(before, row)
            if not _is_whole(row):
                bad += [*(() if is_start else range(last + 1, offset)), offset]
                before = row
                continue
            if not is_start and offset > last + 1:
                bad += range(last + 1, offset)
            elif not is_start and before is not None and last not in bad and before[_CHAIN] != row[_PREVIOUS]:
                bad.append(offset)
            before = row
        return bad

    def _rows_of(self, room: str) -> Iterator[tuple[Any, ...]]:
        offset = 0
        while rows := self._store.journal.read(
            f"{_SELECT} WHERE room = ? AND offset > ? ORDER BY offset LIMIT 2000", (room, offset)
        ):
            yield from rows
            offset = rows[-1][2]

    def _archived(self, room: str, offsets: list[int]) -> dict[int, tuple[Any, ...]]:
        """Rows at offsets as the archive has them, where that is what they are now."""
        wanted, found = set(offsets), dict[int, tuple[Any, ...]]()
        journal, catalog = self._store.journal, self._store.catalog
        dirty = {(broadcast, hour_us) for _, broadcast, hour_us, _ in catalog.dirty_hours(room)}
        for file in catalog.archive_files(room, tree=None):
            if file.tree not in {"events", "staff"} or file.first_offset is None or file.last_offset is None:
                continue
            if not any(file.first_offset <= offset <= file.last_offset for offset in wanted):
                continue
            try:
                rows = self._store.archive.rows_in(file, sorted(wanted))
            except CorruptError:
                continue
            is_old = any((file.broadcast, hour_us) in dirty for hour_us in _hours_of(file))
            for row in rows:
                if row[3] in _VOTES or (is_old and journal.read(_TOUCHED, (room, row[2]))):
                    continue
                found[int(row[2])] = row
        return found

    def _put_back(self, connection: sqlite3.Connection, *, room: str, rows: list[tuple[Any, ...]]) -> None:
        """In the writer's thread: rows as the archive has them; the chain of what follows hangs on a mark, as after pruning."""
        journal = self._store.journal
        if not rows:
            return
        last = rows[-1][2]
        hangs = connection.execute(
            "SELECT previous FROM journal WHERE room = ? AND offset = ?", (room, last + 1)
        ).fetchone()
        for row in rows:
            connection.execute("DELETE FROM journal WHERE room = ? AND offset = ?", (room, row[2]))
            connection.execute(insert_sql, row)
        journal.pruned.put(connection, room, PrunedMark(last, hangs[0] if hangs else rows[-1][_CHAIN]))
        count_hours_again(connection)
        journal.note_end(connection, room)

    def _lose(self, room: str, offsets: list[int]) -> None:
        """Write down what nothing has any more; the room goes on in a new epoch."""
        windows = self._hours_of_missing(room, set(offsets))
        ranges = [
            LostRange(room, first, last, broadcast, within)
            for first, last in _runs_of(offsets)
            for broadcast, within in windows or [(EVERY_BROADCAST, EVER)]
        ]
        for one in ranges:
            self._report.lost.append(_told(one))

        def work(connection: sqlite3.Connection) -> None:
            journal = self._store.journal
            head = head_of(connection, room)
            marks = [(room, offset) for offset in offsets]
            connection.executemany("DELETE FROM journal WHERE room = ? AND offset = ?", marks)
            for one in ranges:
                journal.lost.put(connection, one)
            raise_epoch(connection, room, head, ranges[0].words)
            count_hours_again(connection)
            journal.note_end(connection, room)

        self._write(work)

    def _hours_of_missing(self, room: str, bad: set[int]) -> list[tuple[int, Range]]:
        """Hours of which ``hours`` knows more than the whole rows are, as (broadcast, hour)."""
        journal = self._store.journal
        counted: dict[tuple[int, int], int] = {}
        for row in self._rows_of(room):
            if row[2] not in bad:
                place = (row[COLUMNS.index("broadcast")], row[COLUMNS.index("placed_us")] // HOUR_US * HOUR_US)
                counted[place] = counted.get(place, 0) + 1
        told = journal.read("SELECT broadcast, hour_us, rows FROM hours WHERE room = ? ORDER BY 1, 2", (room,))
        return [
            (broadcast, Range(hour_us, hour_us + HOUR_US))
            for broadcast, hour_us, rows in told
            if rows > counted.get((broadcast, hour_us), 0)
        ]

    def _mend_indexes(self) -> None:
        """Indexes, then the counts of hours that show what they do not find: rows are proven by now."""
        journal = self._store.journal
        if not journal.check_indexes():
            return
        if not self._report.dry_run:
            self._write(lambda connection: connection.execute("REINDEX journal"))
            journal.forget_checks()
            if journal.check_indexes():
                self._write(count_hours_again)
                journal.forget_checks()
        self._report.repaired.append("indexes of the journal, and how many rows each hour has")

    # --- beside ---------------------------------------------------------------------------------------------------

    def _mend_beside(self) -> None:
        """Names and hidden texts that do not fit: they are taken out, since nothing else has them."""
        work = partial(self._store.journal.drop_damaged_beside, dry_run=self._report.dry_run)
        for line in self._store.writer.call(work).result():
            self._report.lost.append(Lost(what=line))

    def _mend_derived(self) -> None:
        """Tables that follow from rows; others are believed as they stand, if that is wanted."""
        journal = self._store.journal
        if sums.wrong_groups(journal.reads, "imported"):
            self._mend_imported()
        tables = ("dedupe", *(name for name in WATCHED_TABLES if name != "imported"), *CATALOG_TABLES)
        for error in sums.wrong(journal.reads, tables):
            table = error.what
            if table == "dedupe":
                self._write(self._remember_ids)
            elif table == "spoke":
                self._write(_speak_again)
            elif table == "dirty_hours":
                self._write(_dirty_again)
            elif table in _DERIVED:
                continue
            elif self._believe:
                self._write(partial(sums.count_again, table=table))
                self._report.lost.append(Lost(what=f"{error} It is believed as it stands."))
                continue
            else:
                self._report.left.append(
                    f"{error} Nothing else has it: restore it from a backup, or believe it as it stands."
                )
                continue
            self._report.repaired.append(f"{table} was made again")

    def _mend_imported(self) -> None:
        """Ids of lines from files, so that the same file adds nothing when it is imported again."""
        lost = self._write(lambda connection: remember_imported(connection, self._archived_ids()))
        for room, broadcast, count in lost or ():
            what = f"{count} ids of lines of room {room}, airing {broadcast}, that came from a file and were taken away since: importing it again brings them back"
            self._report.lost.append(Lost(what=what, room=room, broadcast=broadcast))
        self._report.repaired.append("imported was made again")

    def _archived_ids(self) -> Iterator[list[tuple[str, str, int, int]]]:
        """(room, id, broadcast, offset) of lines from files that have left the journal, as far as their files can be read."""
        for file in self._store.catalog.archive_files(tree=None):
            if file.tree not in {"events", "staff"} or not file.pruned:
                continue
            try:
                for table in self._store.archive.groups_of(file, ["id", "offset", "source"]):
                    columns = (table.column(name).to_pylist() for name in ("id", "offset", "source"))
                    yield [
                        (file.room, id_, file.broadcast, offset)
                        for id_, offset, source in zip(*columns, strict=True)
                        if source.startswith(IMPORT_SOURCE)
                    ]
            except CorruptError:
                continue  # told when the archive is looked at

    @staticmethod
    def _remember_ids(connection: sqlite3.Connection) -> None:
        (newest,) = connection.execute("SELECT max(wall_us) FROM journal").fetchone()
        for room in _rooms(connection):
            remember_again(connection, room, newest)
        connection.execute(
            "DELETE FROM sums WHERE name = 'dedupe' AND key != '' AND key NOT IN (SELECT room FROM journal)"
        )
        connection.execute("DELETE FROM dedupe WHERE room NOT IN (SELECT room FROM journal)")

    # --- files ----------------------------------------------------------------------------------------------------

    def _mend_archive(self) -> None:
        """Parquet from the journal; what had left the journal is lost with its file."""
        store = self._store
        rooms = set()
        for file in store.catalog.archive_files(tree=None):
            try:
                verify_file(store.files.root, file)
            except CorruptError as error:
                rooms.add(file.room)
                if file.pruned:
                    self._lose_file(file)
                if not self._report.dry_run:
                    store.files.quarantine(store.files.root / file.path, error.detail)
                    self._write(partial(store.catalog.note_damaged, file=file))
                self._report.repaired.append(f"{file.path} was written anew")
        if rooms and not self._report.dry_run:
            for room in sorted(rooms):
                store.archive.archive_now(room)

    def _lose_file(self, file: ArchiveFile) -> None:
        hours = file.hours or EVER
        through = self._store.journal.pruned.through(file.room)
        last = min(file.last_offset or through, through)
        one = LostRange(file.room, min(file.first_offset or 1, last), last, file.broadcast, hours)
        here = self._store.journal.offsets_between(file.room, one.first, one.last)
        if len(here) == one.last - one.first + 1:
            return  # all of it came back meanwhile
        self._report.lost.append(_told(one))
        self._write(lambda connection: self._store.journal.lost.put(connection, one))

    def _mend_slices(self) -> None:
        store = self._store
        for room, row in listed_slices(store):
            public = store.files.slice_path(room, row, public=True).is_file()
            path = store.files.relative(store.files.slice_path(room, row, public=public))
            try:
                intact_slice(store.files, room, row, public=public)
                continue
            except CorruptError:
                pass
            if self._report.dry_run:
                self._report.repaired.append(f"{path} would be made again")
                continue
            try:
                try:
                    mended_slice(store.files, store.journal, room, row, public=public)
                except ChangedSliceError:
                    revise_slice(store, room, SliceFile(row, public))
                self._report.repaired.append(f"{path} was made again")
            except CorruptError as error:
                self._report.left.append(str(error))

    def _mend_manifests(self) -> None:
        for error in wrong_manifests(self._store):
            room = Path(error.what).stem
            if not self._report.dry_run:
                self._store.files.quarantine(self._store.files.root / error.what, error.detail)
                self._store.archive.write_manifest(room)
            self._report.repaired.append(f"{error.what} was written anew")


_TOUCHED = "SELECT 1 FROM effects WHERE room = ? AND offset = ? LIMIT 1"


def _rooms(connection: sqlite3.Connection) -> list[str]:
    return [room for (room,) in connection.execute("SELECT DISTINCT room FROM journal ORDER BY room")]


def _is_whole(row: tuple[Any, ...]) -> bool:
    try:
        checked(row)
    except (CorruptError, OverflowError, TypeError, ValueError):
        return False
    return True


def _runs_of(offsets: list[int]) -> list[tuple[int, int]]:
    """Offsets as stretches without holes: (first, last)."""
    runs: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if runs and runs[-1][1] == offset - 1:
            runs[-1] = (runs[-1][0], offset)
        else:
            runs.append((offset, offset))
    return runs


def _hours_of(file: ArchiveFile) -> range:
    hours = file.hours
    return range(0) if hours is None else range(hours.start_us, hours.end_us, HOUR_US)


def _told(one: LostRange) -> Lost:
    is_known = one.within != EVER
    return Lost(
        what=one.words,
        room=one.room,
        first_offset=one.first,
        last_offset=one.last,
        broadcast=one.broadcast,
        start_us=one.within.start_us if is_known else None,
        end_us=one.within.end_us if is_known else None,
    )


def _count(count: Any, what: str) -> str:
    return "" if count is None else f", {count} {what}{'' if count == 1 else 's'}"


def _speak_again(connection: sqlite3.Connection) -> None:
    """Who spoke in which broadcast, from the rows; erased people are not in it."""
    connection.execute("DELETE FROM spoke")
    connection.execute(
        "INSERT INTO spoke SELECT DISTINCT room, author_key, broadcast FROM journal AS j WHERE author_key IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM erasures AS e WHERE e.room = j.room AND e.author_key = j.author_key AND j.offset < e.offset)"
    )
    sums.count_again(connection, "spoke")


def _dirty_again(connection: sqlite3.Connection) -> None:
    """Every hour of the journal is to be written again: which were is not known any more."""
    connection.execute("DELETE FROM dirty_hours")
    connection.execute(
        f"INSERT INTO dirty_hours SELECT room, broadcast, placed_us - ((placed_us % {HOUR_US}) + {HOUR_US}) % {HOUR_US}, "
        "max(offset) FROM journal GROUP BY 1, 2, 3"
    )
    sums.count_again(connection, "dirty_hours")
