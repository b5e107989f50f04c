"""Erasing a person: everything that a data folder holds of an author, found, taken out, and looked for again.

Owns: the order of an erasure and its receipt. Does not know: sockets, slices in memory, HTTP. Units: µs.
Source: contract §2 ``erased``; security-and-privacy §8; reliability G7; decision 0017.

In order: what is known is read (:meth:`Eraser.find`); one ``erased`` event takes words, hands and names out of the databases, and says
durably that an erasure is under way; slices follow; then :meth:`Eraser.finish` writes the hours that held anything anew, removes the
room's damaged files that were put aside, makes databases anew where rows that moved left anything, empties the write-ahead logs, reads
back what was touched, and notes the receipt. A crash after the event leaves the erasure on the list: :meth:`Eraser.finish_all` of the
next process takes it up.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import uuid_utils

from chatsync.chat.event import MESSAGE_KINDS, Draft, Stamp
from chatsync.chat.text import clean_reason
from chatsync.errors import ErasureIncompleteError, NotFoundError
from chatsync.instants import ms_from_us, whole_ms_us
from chatsync.store.catalog import ArchiveFile
from chatsync.store.effects import NamedRows
from chatsync.store.opening import Store
from chatsync.store.parquet import has_author
from chatsync.store.reslicing import revise_slices, slice_files, sweep_unlisted, unlisted_slices
from chatsync.store.rows import COLUMNS
from chatsync.store.signing import Signer
from chatsync.store.slack import PIECE_BYTES, SMALL_BYTES, blocks, has_pieces, pieces_of, rebuild
from chatsync.store.writer import Between, emptied_log, opened, store_error

__all__ = ["RECEIPT", "Eraser", "Found", "erase_store", "erased_draft"]

Progress = Callable[[str, int, int], None]
RECEIPT = "chatsync erasure receipt 1"
"""``format`` of a receipt."""
_WORDS_MAX = 24  # of an author's texts, the longest, that are looked for byte by byte afterwards
_LOG_TRIES = 30  # a reader holds a log for some milliseconds; a backup for minutes, and then it is for the next round
_BETWEEN_TRIES_S = 0.1
_TEXT, _SAID, _SALT, _CHECK, _KIND, _BROADCAST, _HIDDEN, _WALL, _TARGET = (
    COLUMNS.index(name)
    for name in ("text", "said", "salt", "text_check", "kind", "broadcast", "hidden", "wall_us", "target")
)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a data folder holds of an author."""

    room: str
    author_key: str
    names: tuple[str, ...]
    broadcasts: frozenset[int]
    kinds: dict[str, int]  # how many events of each kind
    messages: int  # with words still there
    first_wall_us: int | None
    last_wall_us: int | None
    named: NamedRows
    texts: tuple[str, ...]  # the longest of their words: nowhere afterwards, unless others wrote the same
    salts: tuple[bytes, ...]  # of some of their rows: nowhere afterwards
    pieces: frozenset[bytes] | None  # of all their words and salts: not in the slack of databases; None for anything

    def to_wire(self) -> dict[str, Any]:
        """What is known, for an administrator: counts and names, no words."""
        return {
            "author": self.author_key,
            "names": list(self.names),
            "events": sum(self.kinds.values()),
            "messages": self.messages,
            "kinds": dict(sorted(self.kinds.items())),
            "broadcasts": sorted(self.broadcasts),
            "first_wall_ms": None if self.first_wall_us is None else ms_from_us(self.first_wall_us),
            "last_wall_ms": None if self.last_wall_us is None else ms_from_us(self.last_wall_us),
        }


def erased_draft(found: Found, stamp: Stamp, *, wall_us: int, by: str, reason: str | None = None) -> Draft:
    """The event that erases an author; give it to ``Journal.append`` with ``found.named``.

    Args:
        found: who it is.
        stamp: where the room's edge is.
        wall_us: the system's wall time now.
        by: pseudonym of who erases, as the audit log names them.
        reason: a word for staff, such as the number of a request; must not name the person.

    Raises:
        MessageRejectedError: the reason is no text.
    """
    details = {"author": found.author_key} | ({"reason": clean_reason(reason)} if reason else {})
    return Draft(
        room=found.room,
        kind="erased",
        id=str(uuid_utils.uuid7()),
        stamp=stamp,
        wall_us=wall_us,
        details=details,
        source="system",
        by=by,
    )


class Eraser:
    """Finds an author, and sees to it that nothing is left.

    Args:
        store: the parts of the data folder.

    Attributes:
        folder: the data folder.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.folder = store.files.root
        self._rebuilt: set[tuple[str, str, int]] = set()  # erasures under way whose slack has been cleared

    def find(self, room: str, author_key: str) -> Found:
        """Read what there is of an author. Changes nothing. Any thread.

        Raises:
            CorruptError: a row or a file is damaged.
            NotFoundError: nothing is known of such an author in this room.

        Cost: reads the room's rows, and of the archive the files the author is in.
        """
        journal = self._store.journal
        named = journal.named_rows(room, author_key)
        rows = [*journal.rows_at(room, named.offsets), *named.pruned]
        names = tuple(journal.names(room, author_key))
        if not rows and not names:
            raise NotFoundError("author")
        said = [row for row in rows if row[_TEXT] is not None and not (row[_KIND] == "pinned" and row[_TARGET])]
        longest = sorted({row[_TEXT] for row in said}, key=len, reverse=True)[:_WORDS_MAX]
        texts = [text for text in longest if len(text.encode()) >= PIECE_BYTES]
        salts = [row[_SALT] for row in said[:_WORDS_MAX] if row[_SALT] is not None]
        written = [row[column] for row in rows for column in (_TEXT, _SAID, _SALT) if row[column] is not None]
        # What was hidden before has left the row and may have left something in the slack: its words are not known here.
        is_known = not any(row[_HIDDEN] and row[_CHECK] for row in rows)
        walls_us = [row[_WALL] for row in rows]
        return Found(
            room=room,
            author_key=author_key,
            names=names,
            broadcasts=frozenset(row[_BROADCAST] for row in rows),
            kinds=dict(Counter(row[_KIND] for row in rows)),
            messages=sum(row[_KIND] in MESSAGE_KINDS and not row[_HIDDEN] for row in rows),
            first_wall_us=min(walls_us, default=None),
            last_wall_us=max(walls_us, default=None),
            named=named,
            texts=tuple(texts),
            salts=tuple(salts),
            pieces=pieces_of(one if isinstance(one, bytes) else one.encode() for one in written) if is_known else None,
        )

    def finish(
        self,
        room: str,
        author_key: str,
        found: Found | None = None,
        *,
        wall_us: int,
        slices_revised: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """After the event: write the archive anew where it held anything, empty the logs, look again; the receipt, signed.

        Args:
            room: the room.
            author_key: who was erased.
            found: of :meth:`find` before the event; without it (after a restart) words are not looked for byte by byte.
            wall_us: the system's wall time now.
            slices_revised: how many were made anew, if that is known.
            progress: told (what, done, of how many).

        Raises:
            ErasureIncompleteError: something is left, with where, or a reader (a backup) holds a log open; the erasure stays on the
                list.
            StoreError: it could not be written; the erasure stays on the list.

        Cost: the hours that held anything, and reading the databases. Writers wait while databases are made anew: 0.7 s for 100 MB.
        """
        store = self._store
        written = store.archive.archive_now(room, progress)
        try:
            store.files.clear_quarantine(room=room)
        except OSError as error:
            raise store_error(error, store.files.root) from error
        self._clear_slack(room, author_key, found)
        broadcasts = self._broadcasts(room) if found is None else found.broadcasts
        scan = _Scan(store, room, author_key, broadcasts=broadcasts, found=found, progress=progress)
        left = scan.run()
        if left:
            raise ErasureIncompleteError(left)
        ((offset, touched),) = store.journal.read(
            "SELECT erasures.offset, (SELECT count(*) FROM effects WHERE effects.room = erasures.room "
            "AND cause = erasures.offset) FROM erasures WHERE room = ? AND author_key = ?",
            (room, author_key),
        )
        receipt = {
            "format": RECEIPT,
            "wall_ms": ms_from_us(wall_us),
            "room": room,
            "author": author_key,
            "offset": offset,
            "events": touched,
            "messages": None if found is None else found.messages,
            "names": None if found is None else len(found.names),
            "slices_revised": slices_revised,
            "files_written": written,
            "scanned_files": scan.files,
            "scanned_bytes": scan.size_bytes,
            "left": 0,
        }
        try:
            receipt = Signer.of(store.files).signed(receipt)
        except OSError as error:
            raise store_error(error, store.files.root) from error
        self._note_done(room, author_key, wall_us, receipt)
        self._rebuilt.discard((room, author_key, offset))
        return receipt

    def finish_all(self, *, wall_us: int) -> int:
        """Take up erasures that a crash interrupted; how many are done now.

        Raises:
            StoreError: one could not be finished; it stays on the list.
        """
        pending = self._store.journal.read("SELECT room, author_key FROM erasures WHERE done_wall_us IS NULL")
        for room, author_key in pending:
            self.finish(room, author_key, wall_us=wall_us)
        return len(pending)

    def _broadcasts(self, room: str) -> frozenset[int]:
        records = self._store.catalog.broadcast_records(room, last=1_000_000)
        return frozenset(record["number"] for record in records)

    def _note_done(self, room: str, author_key: str, wall_us: int, receipt: dict[str, Any]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE erasures SET done_wall_us = ?, receipt = ? WHERE room = ? AND author_key = ?",
                (wall_us, msgspec.json.encode(receipt).decode(), room, author_key),
            )

        self._store.writer.call(work).result()

    def _clear_slack(self, room: str, author_key: str, found: Found | None) -> None:
        """Empty the logs, and make databases anew whose unused bytes hold, or may hold, something of a person.

        Once for each erasure in a process: what was blanked before a database was made anew does not come back, whatever else is in the
        way of the receipt.
        """
        store = self._store
        ((offset,),) = store.journal.read(
            "SELECT offset FROM erasures WHERE room = ? AND author_key = ?", (room, author_key)
        )
        self._empty_logs()  # pages that are only in the log are not looked at
        if (room, author_key, offset) in self._rebuilt:
            return
        under_way = store.journal.read("SELECT room, author_key, offset FROM erasures WHERE done_wall_us IS NULL")
        paths = (store.files.identity, store.files.moderation, store.files.database)
        try:
            due = [path for path in paths if self._may_hold(path, found)]
            for path in due:
                store.writer.call(Between(partial(rebuild, path))).result()
        except (sqlite3.Error, OSError) as error:
            raise store_error(error, store.files.root) from error
        self._rebuilt.add((room, author_key, offset))
        if len(due) == len(paths):
            self._rebuilt.update(under_way)
        if due:
            self._empty_logs()

    def _may_hold(self, path: Path, found: Found | None) -> bool:
        """Whether a database is to be made anew: it is small, or something lies in its slack, of the person as far as is known."""
        if path.stat().st_size <= SMALL_BYTES:
            return True
        if found is None:
            return has_pieces(path, None)
        names = _own_names(self._store, found) if path == self._store.files.identity else ()
        return has_pieces(path, found.pieces, names)

    def _empty_logs(self) -> None:
        """Move all that the write-ahead logs hold into the databases, where what was blanked is blank, and cut them.

        Raises:
            ErasureIncompleteError: a reader keeps one of them from being cut.
            StoreError: it could not be written.
        """
        files = self._store.files
        pause, held = threading.Event(), []
        try:
            for path in (files.identity, files.moderation, files.database):
                with closing(opened(path)) as connection:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others write
                    for _ in range(_LOG_TRIES):
                        if emptied_log(connection, "TRUNCATE"):
                            break
                        pause.wait(_BETWEEN_TRIES_S)
                    else:
                        held.append(f"{path.name}-wal")
        except (sqlite3.Error, OSError) as error:
            raise store_error(error, files.root) from error
        if held:
            raise ErasureIncompleteError(held)


class _Scan:
    """Looks through what an erasure touched. What it finds is named by file, never by word."""

    def __init__(
        self,
        store: Store,
        room: str,
        author_key: str,
        *,
        broadcasts: Iterable[int],
        found: Found | None,
        progress: Progress | None,
    ) -> None:
        self._store, self._room, self._key = store, room, author_key
        self._broadcasts, self._found, self._progress = sorted(broadcasts), found, progress
        ((self._since,),) = store.journal.read(
            "SELECT offset FROM erasures WHERE room = ? AND author_key = ?", (room, author_key)
        )
        self.files = self.size_bytes = 0

    def run(self) -> list[str]:
        """Files in which something is left."""
        left = [*self._in_rows(), *self._in_bytes(), *self._in_archive(), *self._in_slices()]
        return list(dict.fromkeys(left))

    def _in_rows(self) -> list[str]:
        """What the databases still tell when they are asked."""
        journal = self._store.journal
        rows = journal.rows_at(self._room, journal.named_rows(self._room, self._key).offsets)
        left = []
        if journal.names(self._room, self._key) and all(row[2] < self._since for row in rows):
            left.append("identity.db")
        if any(row[_TEXT] is not None and row[2] < self._since and row[_KIND] != "pinned" for row in rows):
            left.append("chatsync.db")
        return left

    def _in_bytes(self) -> list[str]:
        """What lies in the databases' files and logs, used or not."""
        if self._found is None:
            return []
        names = _own_names(self._store, self._found)
        left = []
        for path in sorted(self._store.files.root.glob("*.db*")):
            if path.name.endswith("-shm"):
                continue
            words = [*self._found.salts]
            words += [text.encode() for text in self._found.texts] if path.name.startswith("chatsync.db") else []
            words += names if path.name.startswith("identity.db") else []
            self.files += 1
            self.size_bytes += path.stat().st_size
            if any(not self._is_said_by_others(word) for word in self._lying_in(path, words)):
                left.append(path.name)
        return left

    @staticmethod
    def _lying_in(path: Path, words: list[bytes]) -> set[bytes]:
        overlap = max(map(len, words), default=0)
        return {word for block in blocks(path, overlap=overlap) for word in words if word in block}

    def _is_said_by_others(self, word: bytes) -> bool:
        """Whether somebody else wrote these very words: then they are theirs, and stay."""
        try:
            text = word.decode()
        except UnicodeDecodeError:
            return False  # a salt
        rows = self._store.journal.read(
            "SELECT 1 FROM journal NOT INDEXED WHERE instr(text, ?) > 0 AND (author_key IS NOT ? OR room != ? OR offset > ?) "
            "LIMIT 1",
            (text, self._key, self._room, self._since),
        )
        return bool(rows)

    def _in_archive(self) -> list[str]:
        left = []
        listed = self._store.catalog.author_indexes(self._room)
        for done, (file, index) in enumerate(listed, start=1):
            if has_author(index, self._key):
                self.files += 1
                self.size_bytes += file.size_bytes
                if self._has_words(file):
                    left.append(file.path)
            if self._progress is not None:
                self._progress(file.path, done, len(listed))
        return left

    def _has_words(self, file: ArchiveFile) -> bool:
        """Whether something that the author wrote before the erasure stands in a file; a row group in memory at a time."""
        columns = ["author_key", "offset", "text", "kind", "target"]
        for table in self._store.archive.groups_of(file, columns):
            theirs = table.filter(pc.field("author_key") == self._key)
            theirs = theirs.filter((pc.field("offset") < self._since) & pc.field("text").is_valid())
            if theirs.filter((pc.field("kind") != "pinned") | pc.field("target").is_null()).num_rows:
                return True
        return False

    def _in_slices(self) -> list[str]:
        left = []
        needle = self._key.encode()
        is_back = bool(self._store.journal.names(self._room, self._key))  # who comes back has a name again
        event = self._store.journal.event(self._room, self._since)
        touched = frozenset(() if event is None else self._store.journal.affected(event))
        for file, body in slice_files(self._store, self._room, self._broadcasts):
            self.files += 1
            self.size_bytes += len(body)
            has_pin = bool(touched) and b'"pinned":[]' not in body  # it names its author nowhere
            if (needle in body or has_pin) and _prints(
                msgspec.json.decode(body), self._key, self._since, touched, is_back=is_back
            ):
                path = self._store.files.slice_path(self._room, file.row, public=file.is_public)
                left.append(self._store.files.relative(path))
        for path, body in unlisted_slices(self._store, self._room, self._broadcasts):
            self.files += 1
            self.size_bytes += len(body)
            prints = needle in body and _prints(
                msgspec.json.decode(body), self._key, self._since, touched, is_back=is_back
            )
            if prints or not body:
                left.append(self._store.files.relative(path))
        return left


def _own_names(store: Store, found: Found) -> list[bytes]:
    """Names of theirs that are nobody else's."""
    is_of_another = store.journal.is_name_of_another
    return [name.encode() for name in found.names if not is_of_another(found.room, name, found.author_key)]


def _prints(body: dict[str, Any], author_key: str, since: int, touched: frozenset[int], *, is_back: bool) -> bool:
    """Whether a slice prints an author's words, or their name, from before they were erased.

    Args:
        body: the slice.
        author_key: who was erased.
        since: by the event at this offset.
        touched: what that event took.
        is_back: they have spoken since, under a name of their own.
    """
    theirs = {index for index, one in enumerate(body["authors"]) if one["key"] == author_key}
    named = {index for index in theirs if body["authors"][index]["name"]}
    old = [event for event in body["events"] if event.get("author") in theirs and event["offset"] < since]
    state = [one["offset"] for name in ("pinned", "questions") for one in body["state"][name]]
    return (
        (bool(named) and not is_back)  # wherever: by an event, or by a hand or a question of the state
        or not touched.isdisjoint(state)
        or any(event.get("text") is not None and event["kind"] != "pinned" for event in old)
        or any(event["author"] in named for event in old)
    )


def erase_store(
    store: Store,
    room: str,
    author_key: str,
    *,
    wall_us: int,
    by: str = "admin:local",
    reason: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Erase an author from a data folder at rest; the receipt.

    Args:
        store: opened, served by nobody.
        room: the room.
        author_key: the author's pseudonym in it.
        wall_us: the system's wall time now.
        by: as :func:`erased_draft`.
        reason: as :func:`erased_draft`.
        progress: told (what, done, of how many).

    Raises:
        CorruptError: a row or a file is damaged.
        ErasureIncompleteError: something is left.
        NotFoundError: nothing is known of such an author in this room.
        StoreError: it could not be written; run it again.
    """
    eraser = Eraser(store)
    found = eraser.find(room, author_key)
    records = store.catalog.broadcast_records(room, last=1)
    broadcast = records[0]["number"] if records else max(found.broadcasts, default=1)
    edge_us = (records[0]["edge_us"] if records else None) or wall_us
    stamp = Stamp(stamp="origin", broadcast=broadcast, program_us=whole_ms_us(edge_us), uncertainty_us=0)
    draft = erased_draft(found, stamp, wall_us=wall_us, by=by, reason=reason)
    appended = store.writer.call(lambda connection: store.journal.append(connection, draft, named=found.named)).result()
    gone = frozenset(appended.affected)
    touched = found.broadcasts | _broadcasts_of(store, room, gone)
    revised = revise_slices(store, room, touched, author_key, gone)
    sweep_unlisted(store, room, touched)
    return eraser.finish(room, author_key, found, wall_us=wall_us, slices_revised=revised, progress=progress)


def _broadcasts_of(store: Store, room: str, offsets: frozenset[int]) -> frozenset[int]:
    """Broadcasts of what went: of pins by others too."""
    return frozenset(row[_BROADCAST] for row in store.journal.rows_at(room, tuple(offsets)))
