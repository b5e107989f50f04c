"""The journal: every event of every room, durable before it is acked, in one order a room.

Owns: offsets, chains, dedupe, what a hide or a restamp does to rows. Does not know: reading (``journal_reads``), slices, sockets.
Units: µs. Source: contract §2 and §6; reliability G1, G2, G3, G8; decisions 0002 and 0005.

Appending runs inside work of the :class:`~chatsync.store.writer.Writer`; reading may be done from any thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from chatsync.chat.event import KINDS, MESSAGE_KINDS, Draft, Event
from chatsync.instants import HOUR_US
from chatsync.store import sums
from chatsync.store.audit import CREATE_AUDIT, AuditLog, head_of_audit
from chatsync.store.dedupe import CREATE_DEDUPE, DEDUPE_US, Dedupe, ensure_ids
from chatsync.store.effects import Effects, NamedRows
from chatsync.store.files import Files
from chatsync.store.heads import AUDIT, CHANGES, HIDDEN, NAMES, NOT_ROOMS, Head, Heads
from chatsync.store.hours import Placed, ensure_hours
from chatsync.store.identity import IdentityStore, ModerationStore
from chatsync.store.imports import CREATE_IMPORTED
from chatsync.store.journal_reads import CHANGED_MAX, DEEDS_ON_ROWS, WATCHED_TABLES, Appended, JournalReads
from chatsync.store.lost import CREATE_LOST
from chatsync.store.numbers import NumberRow, Numbers
from chatsync.store.pruned import PrunedMark, bring_back
from chatsync.store.recovering import Recovered, check_schema, head_of, read_error, recovered
from chatsync.store.rows import (
    COLUMNS,
    CREATE,
    event_of,
    event_of_draft,
    insert_many,
    insert_sql,
    row_of,
    text_check,
)
from chatsync.store.standing import CREATE_STANDING, note_standing
from chatsync.store.writer import Writer

__all__ = ["CHANGED_MAX", "DEDUPE_US", "HIDDEN_TEXT_US", "PLAIN_KINDS", "Appended", "Head", "Journal"]

PLAIN_KINDS = (
    MESSAGE_KINDS | {"reaction", "hand_raised", "hand_lowered", "poll_voted", "question_upvoted"}
) & frozenset(KINDS)
"""Kinds that change no earlier row."""

HIDDEN_TEXT_US = 30 * 24 * HOUR_US
_SWEEP_EVERY = 500  # appends between two bites
_SPOKE_MAX = 200_000
_DEEDS = frozenset({"hidden", "restored", "erased"})
_BROADCAST, _PLACED_US = (COLUMNS.index(name) for name in ("broadcast", "placed_us"))
_CHAIN = COLUMNS.index("chain")

_TABLES = """
CREATE TABLE IF NOT EXISTS spoke (
    room TEXT NOT NULL, author_key TEXT NOT NULL, broadcast INTEGER NOT NULL, PRIMARY KEY (room, author_key, broadcast)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects (
    room TEXT NOT NULL, cause INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (room, cause, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (
    room TEXT NOT NULL, epoch INTEGER NOT NULL, first_offset INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (room, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dirty_hours (
    room TEXT NOT NULL, broadcast INTEGER NOT NULL, hour_us INTEGER NOT NULL, through INTEGER NOT NULL,
    PRIMARY KEY (room, broadcast, hour_us)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasures (
    room TEXT NOT NULL, author_key TEXT NOT NULL, offset INTEGER NOT NULL, asked_wall_us INTEGER NOT NULL,
    done_wall_us INTEGER, receipt TEXT, PRIMARY KEY (room, author_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pruned (
    room TEXT PRIMARY KEY, through INTEGER NOT NULL, chain INTEGER NOT NULL
) WITHOUT ROWID;
"""


class Journal(JournalReads):
    """The log of all rooms of a data folder.

    Args:
        writer: not started yet; its hooks commit identity and moderation first and write ``heads`` afterwards.
        files: where the databases lie.

    Attributes:
        open_report: what was found wrong at opening, a line each; the epochs of those rooms have risen.
        pruned: which rows have left the journal; whoever knows where they went attaches itself as its ``source``.
        audit: what staff and administrators did.

    Raises:
        CorruptError: a file is no database any more.
        SettingsError: the folder is of a newer schema than this program knows; nothing of it was changed.
        StorageFailedError: one cannot be opened.
    """

    def __init__(self, writer: Writer, files: Files) -> None:
        super().__init__(files)
        try:
            found = self._opened_tables(writer.making())
            self._identity = IdentityStore(files.identity)
            self._moderation = ModerationStore(files.moderation)
            if found.damage:
                files.quarantine(files.heads, found.damage[0].detail)
            self._heads = Heads(files.heads)
            self.open_report = [*found.report, *self._compare_beside(found)]
            self._write_heads(found, writer.making())
        except BaseException as error:
            writer.close()
            if isinstance(
                error, (sqlite3.Error, OSError, OverflowError, TypeError, ValueError)
            ):  # the last three: values of other types than written
                raise read_error(error) from error
            raise
        self._ends = found.ends
        self._changes: dict[str, int] = {}
        self._effects = Effects(self._moderation, self._identity, self._note_changed)
        self._known: dict[str, Head] = {}
        self._changed_hours: dict[tuple[str, int, int], int] = {}
        self._spoke: set[tuple[str, str, int]] = set()
        self._appends = 0
        self._writer = writer
        self._dedupe = Dedupe(self.pruned.at)
        self.audit = AuditLog(found.audit)
        self._mended: dict[str, int] = {}  # ends of rooms that were repaired in this batch
        writer.before_commit.append(self._before_commit)
        writer.after_commit.append(self._after_commit)
        writer.after_undo.append(self._unlearn)
        writer.after_failure.append(self._forget)
        writer.checkpoint += [self._identity.empty_log, self._moderation.empty_log]
        writer.settle.append(self._heads.sync)

    def _opened_tables(self, connection: sqlite3.Connection) -> Recovered:
        check_schema(*connection.execute("PRAGMA user_version").fetchone())
        made = CREATE + CREATE_DEDUPE + CREATE_LOST + CREATE_AUDIT + CREATE_STANDING + CREATE_IMPORTED + _TABLES
        connection.executescript(f"BEGIN;{made}COMMIT;")
        sums.ensure(connection, WATCHED_TABLES)
        ensure_hours(connection)
        ensure_ids(connection)
        self.pruned.load(connection)
        self.lost.load(connection)
        return recovered(connection, self._files)

    def _compare_beside(self, found: Recovered) -> list[str]:
        """What names and hidden texts have lost with the end of their own logs, a line each; and what shows again by it."""
        report = []
        identity, moderation = self._identity, self._moderation
        for slot, store, what in ((NAMES, identity, "names"), (HIDDEN, moderation, "hidden texts")):
            told = found.counts.get(slot, 0)
            if store.changes < told:
                report.append(f"the last {told - store.changes} changes of {what} are lost")
                store.count_on(told + 1)
                if slot == NAMES:
                    newest = self.read(
                        "SELECT room, author_key, max(name_version) FROM journal "
                        "WHERE name_version IS NOT NULL GROUP BY room, author_key"
                    )
                    report.append(f"names of {identity.mark_lost(newest)} authors are lost")
        if found.report:
            report += [
                f"room {room}: what hid row {offset} is lost, and it shows"
                for room, offset, wall_us in moderation.hidden_at()
                if self._shows(room, offset, wall_us)
            ]
        return report

    def _shows(self, room: str, offset: int, hidden_wall_us: int) -> bool:
        """Whether a row that was hidden then shows, and nothing that is known has restored it since."""
        restored = (
            "SELECT 1 FROM effects AS e JOIN journal AS cause ON cause.room = e.room AND cause.offset = e.cause "
            "WHERE e.room = j.room AND e.offset = j.offset AND cause.kind = 'restored' AND cause.wall_us >= ?"
        )
        sql = f"SELECT 1 FROM journal AS j WHERE room = ? AND offset = ? AND hidden = 0 AND NOT EXISTS ({restored})"
        return bool(self.read(sql, (room, offset, hidden_wall_us)))

    def _write_heads(self, found: Recovered, connection: sqlite3.Connection) -> None:
        """Let ``heads`` say what is so now: what a kill kept from being written, what was lost, all of it if it was damaged."""
        for room, head in found.behind.items():
            self._heads.put(room, head)
        changes = {CHANGES: sums.changes(connection)}
        audited = head_of_audit(lambda sql, values: connection.execute(sql, values).fetchall())
        if audited is not None and (found.damage or found.audit is None):
            self._heads.put(AUDIT, audited)
        changes |= {NAMES: self._identity.changes, HIDDEN: self._moderation.changes}
        for slot, count in changes.items():
            if found.damage or found.counts.get(slot) != count:
                self._heads.put(slot, Head(0, count, 0))
        if found.behind or found.damage or found.counts.keys() < changes.keys():
            self._heads.flush()
            self._heads.sync()

    def close(self) -> None:
        """Close what the writer's thread used; call it after the writer has stopped."""
        self._heads.close()
        self._identity.close()
        self._moderation.close()

    # --- appending (in the writer's thread) -----------------------------------------------------------------------

    def append(
        self,
        connection: sqlite3.Connection,
        draft: Draft,
        *,
        placements: Mapping[int, tuple[int, int]] = MappingProxyType({}),
        named: NamedRows | None = None,
    ) -> Appended:
        """Give a draft its offset and write it, with its effects on earlier rows.

        A draft is the same as an earlier one if kind, text, reply, target and details are; then the earlier event is the answer.

        Args:
            connection: the writer's, in a transaction.
            draft: stamped already.
            placements: with a ``restamped`` by the record: where each event stands and where it goes, by offset.
            named: with an ``erased``: the author's rows as far as they were looked for.

        Raises:
            IdReusedError: the same author used the id for another body within 24 h.
            CorruptError: an earlier row that this one is about is damaged; nothing is written then.
        """
        room, author, broadcast = draft.room, draft.author, draft.stamp.broadcast
        head = self._known.get(room)
        if head is None:
            head = self._known[room] = head_of(connection, room)
        offset = head.offset + 1
        author_key = "" if author is None else author.key
        received_us = draft.wall_us if draft.received_us is None else draft.received_us
        first = self._dedupe.claim(connection, draft, author_key, offset)
        if first is not None:
            return Appended(self._event(first), duplicate=True)
        name_version = None if author is None else self._identity.version(room, author)
        row = row_of(draft, epoch=head.epoch, offset=offset, previous=head.chain, name_version=name_version)
        connection.execute(insert_sql, row)
        if author is not None and (room, author_key, broadcast) not in self._spoke:
            self._note_spoke(connection, room, author_key, broadcast)
        event = event_of(row, author)
        self._hours.note(Placed(room, offset, broadcast, draft.stamp.program_us, draft.kind))
        self._note_changed(room, broadcast, draft.stamp.program_us, offset)
        if draft.kind in _DEEDS:
            self._check_found(event)
        if event.kind in DEEDS_ON_ROWS and self.pruned.through(room):
            self._bring_back(connection, event, placements, named)
        affected = self._effects.apply(connection, event, placements, named, received_us=received_us)
        note_standing(connection, event)
        self.audit.note_event(connection, event, draft.by)
        if event.kind == "erased":
            self._spoke.clear()
        moved = self._known[room] = Head(head.epoch, offset, row[_CHAIN])
        self._heads.put(room, moved)
        self._appends += 1
        if self._appends % _SWEEP_EVERY == 1:
            self.sweep(connection, received_us)
        changed = tuple(self._events_at(connection, room, affected)) if 0 < len(affected) <= CHANGED_MAX else ()
        return Appended(event, affected=affected, changed=changed)

    def append_many(self, connection: sqlite3.Connection, drafts: Sequence[Draft]) -> list[Appended] | None:
        """As :meth:`append` for drafts of :data:`PLAIN_KINDS`, in a few statements for all of them.

        Args:
            connection: the writer's, in a transaction, with a savepoint that can be gone back to.
            drafts: in order.

        Returns:
            One for each; None if an id was used before: then go back to the savepoint and append them one by one.

        Cost: about 15 µs a draft of Python, and SQLite works beside other threads, where one by one it stops for each.
        """
        claims: list[tuple[Any, ...]] = []
        rows: list[tuple[Any, ...]] = []
        appended: list[Appended] = []
        for draft in drafts:
            room, author, broadcast = draft.room, draft.author, draft.stamp.broadcast
            head = self._known.get(room)
            if head is None:
                head = head_of(connection, room)
            offset = head.offset + 1
            key = "" if author is None else author.key
            received_us = draft.wall_us if draft.received_us is None else draft.received_us
            claims.append((room, draft.id, key, offset, received_us))
            name_version = None if author is None else self._identity.version(room, author)
            row = row_of(draft, epoch=head.epoch, offset=offset, previous=head.chain, name_version=name_version)
            rows.append(row)
            if author is not None and (room, key, broadcast) not in self._spoke:
                self._note_spoke(connection, room, key, broadcast)
            event = event_of(row, author) if draft.details else event_of_draft(draft, head.epoch, offset)
            appended.append(Appended(event))
            self._hours.note(Placed(room, offset, broadcast, draft.stamp.program_us, draft.kind))
            self._note_changed(room, broadcast, draft.stamp.program_us, offset)
            moved = self._known[room] = Head(head.epoch, offset, row[_CHAIN])
            self._heads.put(room, moved)
        if self._dedupe.claim_many(connection, claims) < len(drafts):
            return None
        insert_many(connection, "journal", rows)
        before, self._appends = self._appends, self._appends + len(drafts)
        if before // _SWEEP_EVERY != self._appends // _SWEEP_EVERY:
            self.sweep(connection, claims[-1][-1])
        return appended

    def next_offset(self, connection: sqlite3.Connection, room: str) -> int:
        """In the writer's thread: the offset that the next event of a room gets."""
        head = self._known.get(room)
        return 1 + (head_of(connection, room) if head is None else head).offset

    def count_placed(self, connection: sqlite3.Connection) -> None:
        """In a transaction of very many rows: count those that were written so far, so that they need not be remembered to its end."""
        self._hours.flush(connection)

    def is_used(self, room: str, id_: str) -> bool:
        """Any thread: whether an event without an author had this id within 24 h."""
        found = self.read("SELECT 1 FROM dedupe WHERE room = ? AND id = ? AND author_key = ''", (room, id_))
        return bool(found)

    def _bring_back(
        self,
        connection: sqlite3.Connection,
        cause: Event,
        placements: Mapping[int, tuple[int, int]],
        named: NamedRows | None,
    ) -> None:
        """Rows that a deed is about and that have left the journal stand in it again; their hour is written anew in any case."""
        wanted = [*placements, *(() if cause.target is None else (cause.target,))]
        missing = [offset for offset in wanted if not self._is_there(connection, cause.room, offset)]
        rows = self.pruned.at(cause.room, missing)
        if named is not None:
            rows += named.pruned
        elif cause.target is None and "author" in cause.details:
            rows += self.pruned.of_author(cause.room, str(cause.details["author"]))
        for row in bring_back(connection, rows):
            self._hours.note(Placed(cause.room, row[2], row[_BROADCAST], row[_PLACED_US], row[3]))

    @staticmethod
    def _is_there(connection: sqlite3.Connection, room: str, offset: int) -> bool:
        found = connection.execute("SELECT 1 FROM journal WHERE room = ? AND offset = ?", (room, offset))
        return found.fetchone() is not None

    # --- numbered names -------------------------------------------------------------------------------------------

    @property
    def numbers(self) -> Numbers:
        """Which number is whose, in rooms with numbered names."""
        return self._identity.numbers

    def load_numbers(self, room: str, *, keeps_given: bool) -> None:
        """Any thread: read which numbers a room has given; names behind them go if they are not to be kept.

        Raises:
            CorruptError: a number is not what was written, or is missing.
            StorageFailedError: identity.db cannot be read.
        """
        try:
            self._identity.load_numbers(room)
            kept = any(given is not None for *_, given in self._identity.number_rows(room))
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            raise read_error(error, "identity.db") from error
        if kept and not keeps_given:
            self._writer.call(lambda _: self._identity.drop_given(room)).result()

    def number_rows(self, room: str) -> list[NumberRow]:
        """Any thread: numbers of a room with whose they are, and the names behind them where they are kept.

        Raises:
            CorruptError: a number is not what was written, or is missing.
            StorageFailedError: identity.db cannot be read.
        """
        try:
            return self._identity.number_rows(room)
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            raise read_error(error, "identity.db") from error

    # --- what is past its time (in the writer's thread) -----------------------------------------------------------

    def take_out(self, connection: sqlite3.Connection, room: str, broadcast: int, through: int, *, limit: int) -> int:
        """Delete the newest rows of a broadcast up to an offset, and what hangs on them; how many, at most ``limit``.

        The mark of what has left moves first, so that nobody takes the hole for damage. Call it until there are none.
        """
        rows = connection.execute(
            "SELECT offset, hidden, id, author_key, chain FROM journal NOT INDEXED "
            "WHERE room = ? AND offset <= ? AND broadcast = ? ORDER BY offset DESC LIMIT ?",
            (room, through, broadcast, limit),
        ).fetchall()
        if not rows:
            connection.execute("DELETE FROM hours WHERE room = ? AND broadcast = ? AND rows = 0", (room, broadcast))
            return 0
        self.pruned.put(connection, room, PrunedMark(rows[0][0], rows[0][-1]))
        for offset, is_hidden, id_, author_key, _ in rows:
            connection.execute("DELETE FROM journal WHERE room = ? AND offset = ?", (room, offset))
            connection.execute("DELETE FROM effects WHERE room = ? AND cause = ?", (room, offset))
            self._dedupe.forget(connection, room, id_, author_key or "", offset)
            if is_hidden:
                self._moderation.forget_text(room, offset)
        return len(rows)

    def drop_authors(self, connection: sqlite3.Connection, room: str, broadcast: int, *, limit: int) -> tuple[int, int]:
        """After its rows: who spoke in a broadcast; how many were looked at, and of how many the names went.

        Names go with an author's last event. Call it until none is looked at.
        """
        keys = connection.execute(
            "SELECT author_key FROM spoke WHERE room = ? AND broadcast = ? LIMIT ?", (room, broadcast, limit)
        ).fetchall()
        connection.executemany(
            "DELETE FROM spoke WHERE room = ? AND author_key = ? AND broadcast = ?",
            [(room, key, broadcast) for (key,) in keys],
        )
        self._spoke.clear()
        return len(keys), sum(self._drop_author(connection, room, key) for (key,) in keys)

    def drop_erased(self, connection: sqlite3.Connection, room: str, through: int) -> int:
        """After all rows up to an offset: of how many people, erased by then and never back, the empty names went."""
        keys = connection.execute("SELECT author_key FROM erasures WHERE room = ? AND offset <= ?", (room, through))
        return sum(self._drop_author(connection, room, key) for (key,) in keys.fetchall())

    def _drop_author(self, connection: sqlite3.Connection, room: str, key: str) -> bool:
        if connection.execute("SELECT 1 FROM spoke WHERE room = ? AND author_key = ?", (room, key)).fetchone():
            return False
        connection.execute("DELETE FROM sums WHERE name = 'spoke' AND key = ? AND rows = 0", (f"{room}/{key}",))
        self._identity.drop(room, key)
        return True

    def _note_spoke(self, connection: sqlite3.Connection, room: str, author_key: str, broadcast: int) -> None:
        """Remember where an author said anything. An index of all rows by author would dirty another page with each row."""
        connection.execute("INSERT OR IGNORE INTO spoke VALUES (?, ?, ?)", (room, author_key, broadcast))
        if len(self._spoke) >= _SPOKE_MAX:
            self._spoke.clear()
        self._spoke.add((room, author_key, broadcast))

    def _note_changed(self, room: str, broadcast: int, program_us: int, offset: int) -> None:
        """An hour of program time has changed and its Parquet must be written again."""
        self._changed_hours[(room, broadcast, program_us - program_us % HOUR_US)] = offset

    def _before_commit(self, connection: sqlite3.Connection) -> None:
        if self._changed_hours:
            connection.executemany(
                "INSERT INTO dirty_hours VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET through = max(through, excluded.through)",
                [(*hour, through) for hour, through in self._changed_hours.items()],
            )
            self._changed_hours.clear()
        self._hours.flush(connection)
        self._identity.commit()
        self._moderation.commit()
        changes = {CHANGES: sums.changes(connection)}
        changes |= {NAMES: self._identity.changes, HIDDEN: self._moderation.changes}
        for slot, count in changes.items():
            if count != self._changes.get(slot):
                self._changes[slot] = count
                self._heads.put(slot, Head(0, count, 0))
        audited = self.audit.unsaid(connection)
        if audited is not None:
            self._heads.put(AUDIT, audited)

    def _after_commit(self) -> None:
        self._dedupe.committed()
        self._ends.update(self._heads.offsets_put())
        self._ends.update(self._mended)
        self._mended.clear()
        self._heads.flush()

    def note_end(self, connection: sqlite3.Connection, room: str) -> None:
        """In the writer's thread: rows of a room were mended; its end is what it is now."""
        self._known.pop(room, None)
        head = head_of(connection, room)
        (last,) = connection.execute("SELECT max(offset) FROM journal WHERE room = ?", (room,)).fetchone()
        self._heads.put(room, head)
        self._mended[room] = last or 0
        self._hours.forget_checks()

    def drop_damaged_beside(self, connection: sqlite3.Connection, *, dry_run: bool) -> list[str]:
        """In the writer's thread: names and hidden texts that are not what was written go; what is lost by that, a line each."""
        newest = {
            (room, key): version
            for room, key, version in connection.execute(
                "SELECT room, author_key, max(name_version) FROM journal WHERE name_version IS NOT NULL GROUP BY 1, 2"
            )
        }
        wrong = []
        for room, offset, *words in self._moderation.texts():
            told = connection.execute(
                "SELECT text_check FROM journal WHERE room = ? AND offset = ?", (room, offset)
            ).fetchone()
            if told is not None and told[0] != text_check(*words):
                wrong.append((room, offset))
        return [
            *self._identity.drop_damaged(newest, dry_run=dry_run),
            *self._moderation.drop_damaged(wrong, dry_run=dry_run),
        ]

    def forget_checks(self) -> None:
        """Something was mended: indexes are compared again."""
        self._hours.forget_checks()

    def sweep(self, connection: sqlite3.Connection, wall_us: int) -> None:
        """Drop a bite of ids past their 24 h, and hidden text past its 30 days.

        Appending calls it now and then; a relay in which nobody writes should too.

        Args:
            connection: the writer's, in a transaction.
            wall_us: steady wall time now.
        """
        self._moderation.sweep(wall_us - HIDDEN_TEXT_US)
        self._dedupe.sweep(connection, wall_us)

    def _unlearn(self, connection: sqlite3.Connection) -> None:
        """One work of a batch raised and its rows were taken back: what it taught us is read again from what is left."""
        self._known.clear()
        self._spoke.clear()
        self.audit.undone()
        for room in self._heads.rooms_put():
            if room not in NOT_ROOMS:
                self._heads.put(room, head_of(connection, room))
        for hour, through in self._changed_hours.items():
            self._changed_hours[hour] = min(through, head_of(connection, hour[0]).offset)
        self._dedupe.undone()
        self._hours.keep({room: head_of(connection, room).offset for room in self._hours.rooms()})

    def _forget(self) -> None:
        """A batch was lost: heads and names learned in it are not on disk."""
        self._known.clear()
        self._spoke.clear()
        self._changed_hours.clear()
        self._hours.forget()
        self._dedupe.undone()
        self._changes.clear()
        self._heads.forget()
        self.audit.forget()
        self._identity.forget()
        self._moderation.forget()

    def _check_found(self, deed: Event) -> None:
        """Before a deed: the indexes by which its rows are found must find all.

        Raises:
            CorruptError: they do not.
        """
        self._hours.check_pins(self.reads, deed.room)
        author_key = deed.details.get("author")
        if deed.target is None and author_key is not None:
            for _, _, broadcast in sums.group(self.reads, "spoke", (deed.room, str(author_key))):
                self._hours.check_places(self.reads, deed.room, broadcast, -(2**62), 2**62)
