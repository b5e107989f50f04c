"""Everything of one person, as a zip that can be handed to them: JSON lines and CSV by room, and of nobody else.

Owns: what is theirs, what of it tells of others and stays out, the shape of the zip. Does not know: the command line, HTTP, tokens.
Units: µs inside, ms in the files. Source: GDPR Art. 15 and 20; security-and-privacy §8.

Theirs is what they wrote, hidden words included while they are kept, what was written to them alone, what they did, what was decided about them, and
their names. Who wrote to them, who decided, whom else they named, and words that others wrote for others stay out. It is read beside a relay that writes: nothing is locked or changed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chatsync.chat.event import MESSAGE_KINDS, Event
from chatsync.chat.text import is_room_id
from chatsync.errors import CorruptError, NotFoundError
from chatsync.instants import iso_from_us, ms_from_us
from chatsync.store.audit import Audited, audited_after
from chatsync.store.catalog import Catalog
from chatsync.store.effects import NamedRows
from chatsync.store.files import Files
from chatsync.store.journal_reads import JournalReads
from chatsync.store.recall import Recall
from chatsync.store.recovering import read_error
from chatsync.store.rows import COLUMNS, ERASABLE, checked, event_of, text_check
from chatsync.store.spreadsheets import csv_lines
from chatsync.store.writer import opened

__all__ = ["FORMAT", "export_person", "rooms_with"]

FORMAT = "chatsync person export 1"

Progress = Callable[[str, int, int], None]
Row = tuple[Any, ...]
Rows = Callable[[], Iterator[dict[str, Any]]]

_UTTERANCES = MESSAGE_KINDS | {"held"}
_DECISIONS = ("hidden", "restored", "erased", "muted", "unmuted", "banned", "unbanned", "noted", "reported", "pinned")
_OWN_DETAILS = frozenset({"poll", "choices", "question", "multiple", "answer", "how", "mode", "until_ms", "of", "why"})
"""Details of a deed that tell of nobody else."""
_OF_OTHERS = frozenset({"to", "by", "held", "author"})
"""Details of a message that name others."""
_AT_ONCE = 500
_TRIES = 3  # rows may leave the journal while it is read
_TEXT, _CHECK, _HIDDEN = (COLUMNS.index(name) for name in ("text", "text_check", "hidden"))
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM journal"

_TABLES: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "messages": (
        (
            *(
                "room",
                "broadcast",
                "offset",
                "kind",
                "program_ms",
                "wall_ms",
                "stamp",
                "uncertainty_ms",
                "role",
                "text",
            ),
            *("hidden", "private", "reply_to", "id", "source", "details"),
        ),
        frozenset({"text", "id", "details"}),
    ),
    "received": (
        (*("room", "broadcast", "offset", "kind", "program_ms", "wall_ms", "from_role", "text", "hidden", "reply_to"),),
        frozenset({"text"}),
    ),
    "deeds": (
        (
            *("room", "broadcast", "offset", "kind", "program_ms", "wall_ms", "role", "target", "text", "id"),
            "details",
        ),
        frozenset({"text", "id", "details"}),
    ),
    "decisions": (
        ("room", "broadcast", "offset", "kind", "program_ms", "wall_ms", "target", "reason", "text", "until_ms"),
        frozenset({"reason", "text"}),
    ),
    "audit": (
        ("number", "wall_ms", "room", "as", "action", "target", "reason", "before", "after"),
        frozenset(),
    ),
}
_NOTES = (
    "messages: what you wrote, also what was hidden as long as its words are kept (text is empty afterwards)",
    "received: private messages to you, hidden ones without their words; of whom they are only the role",
    "deeds: raised hands, votes, upvotes, pins and, as staff, what you decided; of whom else it was about only the offset",
    "decisions: what staff decided about you or your messages; who decided is not told",
    "audit: records of the audit log about you or by you",
    "Of live connections nothing is kept: no addresses, no times.",
    "Each .csv has the same as its .jsonl; an apostrophe stands before cells that a spreadsheet would take for a formula.",
)


@dataclass(frozen=True, slots=True)
class _Reads:
    """A data folder, opened for reading beside whoever writes to it."""

    journal: JournalReads
    catalog: Catalog
    identity: sqlite3.Connection
    moderation: sqlite3.Connection

    @classmethod
    def of(cls, folder: Path, stack: ExitStack) -> _Reads:
        files = Files(folder)
        journal = JournalReads(files)
        catalog = Catalog(journal)
        journal.pruned.source = Recall(files, catalog)
        stack.enter_context(closing(journal.reader()))
        beside = [
            stack.enter_context(closing(opened(path, read_only=True))) for path in (files.identity, files.moderation)
        ]
        return cls(journal, catalog, *beside)


def rooms_with(folder: Path) -> list[str]:
    """Rooms of which a data folder holds anything, in order.

    Raises:
        CorruptError: the database is none any more.
        StorageFailedError: it cannot be read.
    """
    sql = " UNION ".join(f"SELECT room FROM {table}" for table in ("hours", "broadcasts", "archive_files", "rooms"))
    try:
        with closing(opened(Files(folder).database, read_only=True)) as connection:
            rows = connection.execute(f"{sql} ORDER BY 1").fetchall()
    except (sqlite3.Error, OSError) as error:
        raise read_error(error) from error
    return [room for (room,) in rows if is_room_id(str(room))]


def export_person(
    folder: Path,
    keys: Mapping[str, str],
    target: IO[bytes],
    *,
    wall_us: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write everything of a person into a zip; its manifest.

    Args:
        folder: a data folder that a program of this version has opened before, served or at rest.
        keys: the person's pseudonym by room; rooms that hold nothing of them are left out.
        target: written from its start.
        wall_us: the system's wall time now.
        progress: told (what, done, of how many).

    Raises:
        CorruptError: something is damaged: then it is not known what is theirs.
        NotFoundError: nothing is known of them in any of these rooms.
        StorageFailedError: it cannot be read.

    Cost: reads the rooms' rows, about 8 µs each, and of the archive the files the person is in.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "made_wall_ms": ms_from_us(wall_us),
        "made": iso_from_us(wall_us),
        "notes": list(_NOTES),
        "rooms": [],
        "files": [],
    }
    with ExitStack() as stack:
        try:
            reads = _Reads.of(folder, stack)
            packed = stack.enter_context(zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED))
            for done, (room, author_key) in enumerate(keys.items(), start=1):
                found = _Person.found(reads, room, author_key)
                if found is not None:
                    _write_room(packed, found, manifest)
                if progress is not None:
                    progress(room, done, len(keys))
            if not manifest["rooms"]:
                raise NotFoundError("author")
            _write(packed, "manifest.json", [json.dumps(manifest, ensure_ascii=False, indent=1)], manifest)
        except sqlite3.Error as error:
            raise read_error(error) from error
    return manifest


def _write_room(packed: zipfile.ZipFile, person: _Person, manifest: dict[str, Any]) -> None:
    room = person.room
    counts: dict[str, int] = {}
    for name, rows in (
        ("messages", person.messages),
        ("received", person.received),
        ("deeds", person.deeds),
        ("decisions", person.decisions),
        ("audit", person.audit),
    ):
        columns, texts = _TABLES[name]
        counted = _Counted()
        _write(packed, f"{room}/{name}.jsonl", (_json_line(row) for row in counted.counting(rows())), manifest)
        _write(packed, f"{room}/{name}.csv", csv_lines(columns, texts, map(_flat, rows())), manifest)
        counts[name] = counted.count
    told = {
        "room": room,
        "author": person.author_key,
        "names": person.names,
        "number": person.number,
        "restrictions": person.restrictions,
    }
    _write(packed, f"{room}/person.json", [json.dumps(told, ensure_ascii=False, indent=1)], manifest)
    manifest["rooms"].append({"room": room, "author": person.author_key, **counts})


class _Counted:
    def __init__(self) -> None:
        self.count = 0

    def counting(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            self.count += 1
            yield row


def _write(packed: zipfile.ZipFile, name: str, pieces: Iterable[str], manifest: dict[str, Any]) -> None:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # when it was made stands in the manifest
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    digest, size = hashlib.sha256(), 0
    with packed.open(entry, "w", force_zip64=True) as file:
        for piece in pieces:
            body = piece.encode()
            digest.update(body)
            size += file.write(body)
    if name != "manifest.json":
        manifest["files"].append({"name": name, "sha256": digest.hexdigest(), "size_bytes": size})


def _json_line(row: dict[str, Any]) -> str:
    line = json.dumps(row, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"{line}\n"  # the two are line breaks to some readers of lines


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in row.items()
    }


# --- what is theirs ------------------------------------------------------------------------------------------------------


class _Person:
    """One person in one room."""

    def __init__(self, reads: _Reads, room: str, author_key: str, named: NamedRows) -> None:
        self._reads, self.room, self.author_key, self._named = reads, room, author_key, named
        self._own = frozenset(named.offsets)
        self._left = {row[2]: row for row in named.pruned}
        rows = reads.identity.execute(
            "SELECT name FROM names WHERE room = ? AND author_key = ? AND name != '' ORDER BY version",
            (room, author_key),
        ).fetchall()
        numbered = reads.identity.execute(
            "SELECT number, given FROM numbers WHERE room = ? AND author_key = ?", (room, author_key)
        ).fetchall()
        given = [name for _, name in numbered if name is not None]
        self.names = list(dict.fromkeys([*(name for (name,) in rows), *given]))
        self.number = numbered[0][0] if numbered else None
        standing = reads.journal.read(
            "SELECT what, until_us FROM standing WHERE room = ? AND author_key = ? ORDER BY what", (room, author_key)
        )
        self.restrictions = [
            {"what": what, "until_ms": None if until_us is None else ms_from_us(until_us)}
            for what, until_us in standing
        ]

    @classmethod
    def found(cls, reads: _Reads, room: str, author_key: str) -> _Person | None:
        """What there is of somebody in a room; None if nothing is."""
        for left in reversed(range(_TRIES)):
            reads.journal.read_by(reads.journal.pruned.load)
            reads.journal.read_by(reads.journal.lost.load)
            try:
                named = reads.journal.named_rows(room, author_key)
                break
            except CorruptError:
                if not left:
                    raise
        person = cls(reads, room, author_key, named)
        is_known = named.offsets or person.names or person.restrictions or any(person.decisions())
        is_known = is_known or any(person.received())
        return person if is_known else None

    def _rows(self) -> Iterator[Row]:
        """All that they wrote and did, by offset."""
        offsets = self._named.offsets
        for first in range(0, len(offsets), _AT_ONCE):
            some = offsets[first : first + _AT_ONCE]
            here = {row[2]: checked(row) for row in self._reads.journal.rows_at(self.room, some)}
            for offset in some:
                row = here.get(offset, self._left.get(offset))
                if row is None:
                    row = self._recalled(offset)
                yield row

    def _recalled(self, offset: int) -> Row:
        """A row that left the journal since it was looked for."""
        rows = self._reads.journal.pruned.at(self.room, [offset])
        if not rows:
            raise CorruptError("journal", f"row {offset} of room {self.room} is missing")
        return rows[0]

    def messages(self) -> Iterator[dict[str, Any]]:
        """What they wrote."""
        for row in self._rows():
            if row[3] not in _UTTERANCES:
                continue
            event = event_of(self._with_words(row), None)
            yield {
                **_place(event),
                "stamp": event.stamp.stamp,
                "uncertainty_ms": -(-event.stamp.uncertainty_us // 1000),
                "role": row[COLUMNS.index("role")],
                "text": event.text,
                "hidden": event.hidden,
                "private": "to" in event.details,
                "reply_to": event.reply_to,
                "id": event.id,
                "source": event.source,
                "details": {name: value for name, value in event.details.items() if name not in _OF_OTHERS},
            }

    def received(self) -> Iterator[dict[str, Any]]:
        """What others wrote to them by name; private messages never leave the journal. Words that were hidden are not theirs to have."""
        offset = 0
        while rows := self._reads.journal.read(
            f"{_SELECT} WHERE room = ? AND offset > ? AND instr(details, ?) AND instr(details, '\"to\"') "
            "ORDER BY offset LIMIT ?",
            (self.room, offset, json.dumps(self.author_key), _AT_ONCE),
        ):
            for row in rows:
                event = event_of(checked(row), None)
                if event.kind not in MESSAGE_KINDS or row[2] in self._own:
                    continue
                if self.author_key in event.details.get("to", ()):
                    yield {
                        **_place(event),
                        "from_role": row[COLUMNS.index("role")],
                        "text": event.text,
                        "hidden": event.hidden,
                        "reply_to": event.reply_to,
                    }
            offset = rows[-1][2]

    def _with_words(self, row: Row) -> Row:
        """A hidden row with its words, while they are kept."""
        if not row[_HIDDEN] or not row[_CHECK]:
            return row
        kept = self._reads.moderation.execute(
            "SELECT text, said, salt FROM hidden_text WHERE room = ? AND offset = ?", (self.room, row[2])
        ).fetchone()
        if kept is None:
            return row
        if text_check(*kept) != row[_CHECK]:
            raise CorruptError("moderation.db", f"the text of row {row[2]} of room {self.room} is not what was said")
        return (*row[:_TEXT], *kept, *row[_TEXT + len(ERASABLE) :])

    def deeds(self) -> Iterator[dict[str, Any]]:
        """What they did otherwise. Words of a pin of somebody else's message are that one's."""
        for row in self._rows():
            if row[3] in _UTTERANCES:
                continue
            event = event_of(self._with_words(row), None)
            is_quoting = event.target is not None and event.target not in self._own
            details = {name: value for name, value in event.details.items() if name in _OWN_DETAILS}
            if event.kind == "reported" and "reason" in event.details:
                details["reason"] = event.details["reason"]  # what they complained of; of staff it may tell of others
            yield {
                **_place(event),
                "role": row[COLUMNS.index("role")],
                "target": event.target,
                "text": None if event.kind == "noted" or (event.kind == "pinned" and is_quoting) else event.text,
                "id": event.id,
                "details": details,
            }

    def decisions(self) -> Iterator[dict[str, Any]]:
        """What others decided about them or what they wrote."""
        approved: list[dict[str, Any]] = []
        for row in self._rows() if self._own else ():
            event = event_of(row, None)
            if event.kind in MESSAGE_KINDS and "held" in event.details:
                approved.append({**_place(event), "kind": "approved", "target": event.details["held"]})
        marks = ", ".join("?" * len(_DECISIONS))
        offset = 0
        while rows := self._reads.journal.read(
            f"{_SELECT} WHERE room = ? AND offset > ? AND kind IN ({marks}) ORDER BY offset LIMIT ?",
            (self.room, offset, *_DECISIONS, _AT_ONCE),
        ):
            for event in (event_of(self._with_words(checked(row)), None) for row in rows if row[2] not in self._own):
                if event.details.get("author") == self.author_key or event.target in self._own:
                    yield {
                        **_place(event),
                        "target": event.target,
                        "reason": None if event.kind == "reported" else event.details.get("reason"),
                        "text": event.text if event.kind == "noted" else None,
                        "until_ms": event.details.get("until_ms"),
                    }
            offset = rows[-1][2]
        yield from approved

    def audit(self) -> Iterator[dict[str, Any]]:
        """Records of the audit log about them or by them."""
        number = 0
        where = "room = ? AND (subject = ? OR actor = ?)"
        values = (self.room, self.author_key, self.author_key)
        while entries := audited_after(self._reads.journal.read, number, _AT_ONCE, where=where, values=values):
            yield from (_audited(entry, self.author_key) for entry in entries)
            number = entries[-1].number


def _place(event: Event) -> dict[str, Any]:
    return {
        "room": event.room,
        "broadcast": event.broadcast,
        "offset": event.offset,
        "kind": event.kind,
        "program_ms": ms_from_us(event.program_us),
        "wall_ms": ms_from_us(event.wall_us),
    }


def _audited(entry: Audited, author_key: str) -> dict[str, Any]:
    record = entry.record
    return {
        "number": entry.number,
        "wall_ms": ms_from_us(record.wall_us),
        "room": record.room,
        "as": "actor" if record.actor == author_key else "subject",
        "action": record.action,
        "target": record.target,
        "reason": record.reason,
        "before": record.before,
        "after": record.after,
    }
