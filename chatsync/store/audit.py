"""The audit log: who did what, about whom, under which rules; each record hangs on the one before.

Owns: records, their canonical bytes and hashes, finding what was changed, signed checkpoints. Does not know: who may read it, the service's clock.
Units: ``wall_us`` is µs of system wall time, a whole millisecond. Source: security-and-privacy §7; decision 0040.

A record holds pseudonyms and codes, never a name, a text or an outside id. ``hash`` is the SHA-256 of the hash before and of the record's
canonical bytes: a JSON list in UTF-8 without spaces. Records are only ever added: the table itself refuses anything else. What is past its
time goes from the front, up to a signed checkpoint, and the log begins after that (``audit_start``).

What nobody can prove from the log alone is that its end, or all of it, was not written anew. The newest number and hash stand in ``heads``
too, against accidents; against whoever holds this machine only a checkpoint helps that was taken away from it.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from chatsync.chat.event import AUDITED_KINDS, MESSAGE_KINDS, Event
from chatsync.instants import ms_from_us, whole_ms_us
from chatsync.store.heads import Head
from chatsync.store.signing import Signer, why_not_signed

__all__ = [
    "CHECKPOINT",
    "CREATE_AUDIT",
    "START",
    "AuditLog",
    "AuditRecord",
    "Audited",
    "Fault",
    "Link",
    "Read",
    "audited_after",
    "checkpoints",
    "first_fault",
    "first_fault_of",
    "hash_of",
    "head_of_audit",
    "newest_of",
    "pseudonym_of",
    "start_of",
    "words_of",
    "wrong_checkpoint",
]

CHECKPOINT = "chatsync audit checkpoint 1"
"""``format`` of a checkpoint."""
_FORMAT = "chatsync audit 1"
_ROWS_AT_ONCE = 2_000
_EXPIRED_AT_ONCE = 200  # ~5 ms of the writer
_PREFIX_BYTES = 4  # of a hash, that heads has room for

CREATE_AUDIT = """
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, wall_us INTEGER NOT NULL, room TEXT NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
    action TEXT NOT NULL, target INTEGER, subject TEXT, reason TEXT NOT NULL, policy INTEGER NOT NULL, before TEXT NOT NULL,
    after TEXT NOT NULL, hash BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_of_room ON audit (room, number);
CREATE TABLE IF NOT EXISTS audit_checkpoints (number INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS audit_start (number INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_deleted BEFORE DELETE ON audit
WHEN old.number > (SELECT coalesce(max(number), 0) FROM audit_start)
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
"""

_COLUMNS = "number, wall_us, room, actor, role, action, target, subject, reason, policy, before, after, hash"
_RULES = ("room_put", "room_deleted", "mode_changed")
"""Actions that change under which rules the others are judged."""

Read = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs a query with its values."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WORDS_MAX = 400
_WORDS = re.compile(rf"[a-z0-9_.:=,-]{{0,{_WORDS_MAX}}}")
_PSEUDONYM = re.compile(r"[!-~]{1,80}")


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A deed, as whoever did it hands it in.

    Attributes:
        wall_us: when; cut to the millisecond.
        actor: pseudonym: an author's key, ``admin:…`` (:func:`pseudonym_of`), ``admin:local`` for a command on this machine, or ``system``.
        action: a code: the kind of event, ``room_put``, ``token_minted``, …
        room: where; empty for the whole node.
        role: of the actor: ``host``, ``moderator``, ``admin``, ``system``, …
        target: offset of the event it is about.
        subject: key of the author it is about.
        reason: a code, never what somebody wrote.
        before: how it was, as codes (:func:`words_of`): visibility or mode.
        after: how it is since.
        policy: number of the record by which the room's rules were last changed, 0 if by none; None: as of now.
    """

    wall_us: int
    actor: str
    action: str
    room: str = ""
    role: str = ""
    target: int | None = None
    subject: str | None = None
    reason: str = ""
    before: str = ""
    after: str = ""
    policy: int | None = None


class Link(NamedTuple):
    """A place in the log: a record's number and hash."""

    number: int
    hash: bytes


START = Link(0, bytes(32))
"""Before the first record."""


class Audited(NamedTuple):
    """A record of the log."""

    number: int
    record: AuditRecord
    hash: bytes

    def to_wire(self) -> dict[str, Any]:
        """As JSON values; all but ``hash`` is hashed."""
        wire: dict[str, Any] = msgspec.to_builtins(self.record)
        wire = {"number": self.number, "wall_ms": ms_from_us(wire.pop("wall_us")), **wire}
        return wire | {"hash": self.hash.hex()}


class Fault(NamedTuple):
    """The first record that is not as it was written, and what is wrong with it."""

    number: int
    what: str

    def __str__(self) -> str:
        return f"record {self.number}: {self.what}"


# --- the chain ---------------------------------------------------------------------------------------------------------


def _canonical(number: int, record: AuditRecord) -> bytes:
    return msgspec.json.encode(
        (
            _FORMAT,
            number,
            ms_from_us(record.wall_us),
            record.room,
            record.actor,
            record.role,
            record.action,
            record.target,
            record.subject,
            record.reason,
            record.policy,
            record.before,
            record.after,
        )
    )


def hash_of(previous: bytes, number: int, record: AuditRecord) -> bytes:
    """The hash of a record that follows on another.

    Args:
        previous: hash of the record before.
        number: the record's own.
        record: with its ``policy``.
    """
    return hashlib.sha256(previous + _canonical(number, record)).digest()


def first_fault(
    entries: Iterable[Audited], *, after: Link = START, pins: Mapping[int, bytes] | None = None
) -> Fault | None:
    """The first record that is not as it was written; None if all are.

    Args:
        entries: in the order of their numbers.
        after: what they follow on.
        pins: hashes, or beginnings of them, that are known from elsewhere, by number: of ``heads``, of checkpoints.

    Cost: about 4 µs a record.
    """
    known = pins or {}
    number, digest = after
    for entry in entries:
        if entry.number <= number:
            return Fault(entry.number, "it stands where it was not written")
        if entry.number > number + 1:
            return Fault(number + 1, f"it is missing{_and_more(number + 1, entry.number - 1)}")
        number = entry.number
        if not _is_typed(entry.record) or (digest := hash_of(digest, number, entry.record)) != entry.hash:
            return Fault(number, "it is not what was written, or does not follow the one before")
        if not digest.startswith(known.get(number, b"")):
            return Fault(number, "it is another than was noted elsewhere")
    farthest = max(known, default=0)
    if farthest > number:
        return Fault(number + 1, f"it is missing{_and_more(number + 1, farthest)}, at the end")
    return None


def _is_typed(record: AuditRecord) -> bool:
    """Whether all is of the type that was written: of another one it could have the same canonical bytes."""
    texts = (record.room, record.actor, record.role, record.action, record.reason, record.before, record.after)
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(record.subject, str | None)
        and isinstance(record.target, int | None)
        and isinstance(record.policy, int)
        and isinstance(record.wall_us, int)
        and record.wall_us == whole_ms_us(record.wall_us)
    )


def _and_more(first: int, last: int) -> str:
    return "" if first == last else f", and all up to {last}"


# --- writing -----------------------------------------------------------------------------------------------------------


class AuditLog:
    """Adds records. All of it runs in the writer's thread, in the transaction of the deed.

    Args:
        told: the end that ``heads`` tells of: no number up to it is given again.
    """

    def __init__(self, told: Head | None = None) -> None:
        self._floor = 0 if told is None else told.offset
        self._newest: Link | None = None  # None: to be read
        self._rules: dict[str, int] = {}  # by room: number of the record that changed its rules last
        self._is_new = False

    def note(self, connection: sqlite3.Connection, record: AuditRecord) -> int:
        """Add a record; its number.

        Args:
            connection: the writer's, in the transaction of the deed.
            record: what was done.

        Raises:
            ValueError: it holds something else than codes and pseudonyms.
        """
        _check(record)
        newest = self._newest if self._newest is not None else newest_of(_reader(connection))
        number = max(newest.number, self._floor) + 1
        policy = self._policy(connection, record.room) if record.policy is None else record.policy
        kept = msgspec.structs.replace(record, policy=policy, wall_us=whole_ms_us(record.wall_us))
        digest = hash_of(newest.hash, number, kept)
        values = (number, kept.wall_us, kept.room, kept.actor, kept.role, kept.action, kept.target, kept.subject)
        connection.execute(
            f"INSERT INTO audit ({_COLUMNS}) VALUES ({', '.join('?' * 13)})",
            (*values, kept.reason, policy, kept.before, kept.after, digest),
        )
        self._newest, self._is_new = Link(number, digest), True
        if kept.action in _RULES:
            self._rules[kept.room] = number
        return number

    def _policy(self, connection: sqlite3.Connection, room: str) -> int:
        known = self._rules.get(room)
        if known is None:
            sql = "SELECT coalesce(max(number), 0) FROM audit WHERE room = ? AND action IN (?, ?, ?)"
            known = self._rules[room] = int(connection.execute(sql, (room, *_RULES)).fetchone()[0])
        return known

    def note_event(self, connection: sqlite3.Connection, event: Event, by: str | None = None) -> None:
        """Add a record of an event that was just written, if it is a deed of staff, or of an administrator.

        Args:
            connection: the writer's, in the transaction that wrote the event.
            event: as it stands in the log.
            by: pseudonym of whose deed it is, if the event has no author.
        """
        found = _record_of(event, by)
        if found is None:
            return
        if found.action == "mode_changed":
            found = msgspec.structs.replace(found, **self._modes(connection, found))
        self.note(connection, found)

    @staticmethod
    def _modes(connection: sqlite3.Connection, found: AuditRecord) -> dict[str, str]:
        """The mode before and after, all parts of it that were ever set."""
        rows = connection.execute(
            "SELECT after FROM audit WHERE room = ? AND action = 'mode_changed' ORDER BY number DESC LIMIT 1",
            (found.room,),
        ).fetchall()
        before = rows[0][0] if rows else ""
        parts = dict(part.partition("=")[::2] for part in (*before.split(","), *found.after.split(",")) if part)
        return {"before": before, "after": words_of(parts)}

    def unsaid(self, connection: sqlite3.Connection) -> Head | None:
        """Before a commit: the log's end as ``heads`` is to tell it; None if nothing was added since."""
        if not self._is_new:
            return None
        self._is_new = False
        return head_of_audit(_reader(connection))

    def undone(self) -> None:
        """One work of a batch was taken back: what stands there is read again."""
        self._newest = None
        self._rules.clear()

    def forget(self) -> None:
        """A batch was lost."""
        self.undone()
        self._is_new = False

    @staticmethod
    def checkpoint(connection: sqlite3.Connection, signer: Signer, *, wall_us: int) -> dict[str, Any] | None:
        """Sign where the log ends now, and keep that; None while it is empty.

        Args:
            connection: the writer's, in a transaction.
            signer: of this folder.
            wall_us: the system's wall time now.
        """
        newest = newest_of(_reader(connection))
        if newest == START:
            return None
        kept = connection.execute("SELECT record FROM audit_checkpoints WHERE number = ?", (newest.number,)).fetchone()
        if kept is not None:
            return dict(msgspec.json.decode(kept[0]))
        facts = {"format": CHECKPOINT, "number": newest.number, "hash": newest.hash.hex()}
        document = signer.signed(facts | {"wall_ms": ms_from_us(wall_us)})
        values = (newest.number, msgspec.json.encode(document, order="sorted").decode())
        connection.execute("INSERT INTO audit_checkpoints VALUES (?, ?)", values)
        return document

    def expire(self, connection: sqlite3.Connection, *, before_us: int) -> int:
        """Take out records from before a wall time, a bite of them, up to a checkpoint; how many. Until there are none.

        Args:
            connection: the writer's, in a transaction.
            before_us: wall time.
        """
        read = _reader(connection)
        start = start_of(read).number
        old = [one for one in checkpoints(read) if one["number"] > start and one["wall_ms"] < ms_from_us(before_us)]
        if old:
            connection.execute("DELETE FROM audit_start")
            connection.execute(
                "INSERT INTO audit_start VALUES (?, ?)", (old[-1]["number"], bytes.fromhex(old[-1]["hash"]))
            )
            start = old[-1]["number"]
        if not start:
            return 0
        connection.execute("DELETE FROM audit_checkpoints WHERE number < ?", (start,))
        sql = "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE number <= ? ORDER BY number LIMIT ?)"
        self.undone()
        return connection.execute(sql, (start, _EXPIRED_AT_ONCE)).rowcount


def _check(record: AuditRecord) -> None:
    """A log that cannot be changed must never take in what may have to go."""
    codes = [record.action, *(code for code in (record.role, record.reason) if code)]
    pseudonyms = [record.actor, *(() if record.subject is None else (record.subject,))]
    if not all(map(_CODE.fullmatch, codes)) or not all(map(_PSEUDONYM.fullmatch, pseudonyms)):
        raise ValueError("an audit record holds codes and pseudonyms")
    if not all(map(_WORDS.fullmatch, (record.room, record.before, record.after))):
        raise ValueError("an audit record says by codes how it was and is")


def words_of(parts: Mapping[str, Any]) -> str:
    """Settings or a mode as codes: ``slow_ms=5000,write=hosts``. Of lists only how many, of texts only that there are."""
    words = [f"{name}={_word(value)}" for name, value in sorted(parts.items()) if _CODE.fullmatch(name)]
    while len(",".join(words)) > _WORDS_MAX:
        words.pop()
    return ",".join(words)


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, list | tuple | dict):
        return str(len(value))
    text = str(value)
    return text if re.fullmatch(r"[a-z0-9_-]{1,32}", text) else "set"


def pseudonym_of(key: str) -> str:
    """An actor's or a subject's pseudonym as a record can hold it."""
    return key if _PSEUDONYM.fullmatch(key) else f"sha256:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


_CHANGES = {
    "hidden": ("visible", "hidden"),
    "restored": ("hidden", "visible"),
    "erased": ("", "erased"),
    "muted": ("", "muted"),
    "unmuted": ("muted", ""),
    "banned": ("", "banned"),
    "unbanned": ("banned", ""),
    "approved": ("held", "visible"),
}


def _record_of(event: Event, by: str | None) -> AuditRecord | None:
    """What an event says of a deed; None if it is none that is audited, or nobody's: what the relay does by itself."""
    action, target, details = event.kind, event.target, event.details
    subject = details.get("author")
    author = event.author
    by = details.get("by") if by is None else by
    if action in MESSAGE_KINDS and "held" in details and author is not None:
        action, target, subject, author = "approved", int(details["held"]), author.key, None
    elif action not in AUDITED_KINDS:
        return None
    if author is None and by is None and action != "erased":
        return None
    actor = str(by) if by is not None else "system" if author is None else author.key
    role: str = "system" if author is None else author.role
    if by is not None:
        role = "system" if actor == "system" else "admin" if actor.startswith("admin:") else "staff"
    before, after = _CHANGES.get(action, ("", ""))
    if action == "mode_changed":
        after = words_of(details.get("mode", {}))
    until_ms = details.get("until_ms")
    if after and isinstance(until_ms, int):
        after = f"{after},until_ms={until_ms}"
    reason = details.get("reason_code", details.get("rule", ""))
    return AuditRecord(
        wall_us=event.wall_us,
        room=event.room,
        actor=pseudonym_of(actor),
        role=role if _CODE.fullmatch(role) else "",
        action=action,
        target=target,
        subject=None if subject is None else pseudonym_of(str(subject)),
        reason=reason if isinstance(reason, str) and _CODE.fullmatch(reason) else "",
        before=before,
        after=after,
    )


# --- reading -----------------------------------------------------------------------------------------------------------


def _reader(connection: sqlite3.Connection) -> Read:
    return lambda sql, values: connection.execute(sql, values).fetchall()


def start_of(read: Read) -> Link:
    """What the first record that is there follows on: :data:`START`, or the last one that was past its time."""
    rows = read("SELECT number, hash FROM audit_start ORDER BY number DESC LIMIT 1", ())
    return Link(*rows[0]) if rows else START


def newest_of(read: Read) -> Link:
    """The end of the log; :data:`START` while nothing was ever noted."""
    rows = read("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1", ())
    return Link(*rows[0]) if rows else start_of(read)


def head_of_audit(read: Read) -> Head | None:
    """The same as ``heads`` tells it; None while nothing was ever noted."""
    newest = newest_of(read)
    return None if newest == START else _head(newest)


def _head(link: Link) -> Head:
    return Head(0, link.number, int.from_bytes(link.hash[:_PREFIX_BYTES]))


def audited_after(
    read: Read, number: int, limit: int, *, where: str = "1", values: Sequence[Any] = ()
) -> list[Audited]:
    """Records with greater numbers, in order.

    Args:
        read: runs a query.
        number: the last that is known.
        limit: at most so many.
        where: a condition on columns of ``audit``, made of constants.
        values: for its question marks.
    """
    sql = f"SELECT {_COLUMNS} FROM audit WHERE number > ? AND ({where}) ORDER BY number LIMIT ?"
    return [_audited(row) for row in read(sql, (number, *values, limit))]


def _audited(row: Sequence[Any]) -> Audited:
    number, wall_us, room, actor, role, action, target, subject, reason, policy, before, after, digest = row
    record = AuditRecord(
        wall_us=wall_us,
        room=room,
        actor=actor,
        role=role,
        action=action,
        target=target,
        subject=subject,
        reason=reason,
        policy=policy,
        before=before,
        after=after,
    )
    return Audited(number, record, digest if isinstance(digest, bytes) else b"")


def checkpoints(read: Read) -> list[dict[str, Any]]:
    """All that were signed, in order."""
    rows = read("SELECT record FROM audit_checkpoints ORDER BY number", ())
    return [msgspec.json.decode(record, type=dict[str, Any]) for (record,) in rows]


def wrong_checkpoint(document: dict[str, Any], key: str | None = None) -> str | None:
    """Why a document is no checkpoint, or not as it was signed; None if it is one.

    Args:
        document: as it was handed over.
        key: the public key it must be signed with; None: any.
    """
    number, digest = document.get("number"), document.get("hash")
    if document.get("format") != CHECKPOINT or not isinstance(number, int) or not isinstance(digest, str):
        return "it is no checkpoint of an audit log"
    if not re.fullmatch(r"[0-9a-f]{64}", digest) or isinstance(number, bool) or number < 1:
        return "it is no checkpoint of an audit log"
    return why_not_signed(document, key)


def first_fault_of(read: Read, told: Head | None, taken: Sequence[dict[str, Any]] = ()) -> Fault | None:
    """The first record of a database that is not as it was written, by its chain, by ``heads`` and by checkpoints.

    Of records that are past their time nothing is left to be compared; a signed checkpoint must say that the log ended there once.

    Args:
        read: runs a query, of one snapshot.
        told: what ``heads`` said before the snapshot was taken.
        taken: checkpoints that were taken away, good ones.
    """
    pins: dict[int, bytes] = {}
    for document in checkpoints(read):
        why = wrong_checkpoint(document)
        if why is not None:
            return Fault(int(document.get("number", 0)), f"its checkpoint: {why}")
        pins[document["number"]] = bytes.fromhex(document["hash"])
    for document in taken:
        digest = bytes.fromhex(document["hash"])
        if pins.get(document["number"], digest) != digest:
            return Fault(document["number"], "its checkpoint is another than the one that was taken away")
        pins[document["number"]] = digest
    start = start_of(read)
    if start != START and pins.get(start.number) != start.hash:
        return Fault(start.number, "the log begins after it, and no checkpoint says that it ended there once")
    if told is not None and told.offset:
        pins.setdefault(told.offset, told.chain.to_bytes(_PREFIX_BYTES))
    return first_fault(_all(read), after=start, pins={at: pin for at, pin in pins.items() if at > start.number})


def _all(read: Read) -> Iterator[Audited]:
    number = 0
    while entries := audited_after(read, number, _ROWS_AT_ONCE):
        yield from entries
        number = entries[-1].number
