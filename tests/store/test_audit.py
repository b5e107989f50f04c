"""The audit log: what a record holds, and that nothing of it is changed, taken out, exchanged or cut off without a trace."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatsync.chat.event import AUDITED_KINDS, KINDS, Visibility
from chatsync.errors import IdReusedError
from chatsync.store.audit import (
    START,
    Audited,
    AuditRecord,
    Fault,
    Link,
    audited_after,
    first_fault,
    hash_of,
    words_of,
)
from chatsync.store.backing_up import back_up
from chatsync.store.erasing import erase_store
from chatsync.store.heads import AUDIT, Heads
from chatsync.store.opening import Store, open_store
from chatsync.store.restoring import restore
from chatsync.store.signing import Signer
from chatsync.store.verifying import verify_audit, verify_store
from tests.builders import BASE_US, author, draft
from tests.store.deeds import MODERATOR, deed, placed, said, tamper

RECORDS = 1_000
DEED = AuditRecord(wall_us=BASE_US, actor="admin:local", role="admin", action="room_put", room="math")
FORGED = msgspec.structs.replace(DEED, policy=0)


def _chained(records: list[AuditRecord]) -> list[Audited]:
    """Records as the log has them."""
    entries, digest = [], START.hash
    for number, record in enumerate(records, start=1):
        digest = hash_of(digest, number, record)
        entries.append(Audited(number, record, digest))
    return entries


def _log(count: int = RECORDS) -> list[Audited]:
    """A log of a busy term: every record different, with and without each thing a record may have."""
    chance = random.Random(7)
    return _chained(
        [
            AuditRecord(
                wall_us=BASE_US + number * 1_000,
                actor=f"{chance.getrandbits(128):032x}",
                role=chance.choice(("host", "moderator", "admin")),
                action=chance.choice(("hidden", "restored", "muted", "room_put")),
                room=f"math-{number % 7}",
                target=chance.choice((None, number)),
                subject=chance.choice((None, f"{chance.getrandbits(128):032x}")),
                reason=chance.choice(("", "spam")),
                before=chance.choice(("", "visible")),
                after=chance.choice(("hidden", "visibility=public")),
                policy=number // 10,
            )
            for number in range(1, count + 1)
        ]
    )


def _edits(entry: Audited) -> Iterator[Audited]:
    """A record with each of its parts changed, or its hash."""
    changes: dict[str, Any] = {
        "wall_us": entry.record.wall_us + 1,
        "actor": entry.record.actor + "0",
        "role": "system",
        "action": "erased",
        "room": "art",
        "target": 1 if entry.record.target is None else None,
        "subject": "" if entry.record.subject is None else None,
        "reason": "off_topic",
        "before": "hidden",
        "after": "visible",
        "policy": (entry.record.policy or 0) + 1,
    }
    for name, value in changes.items():
        yield entry._replace(record=msgspec.structs.replace(entry.record, **{name: value}))
    yield entry._replace(hash=bytes(32))


def test_every_mutation_of_a_log_is_detected() -> None:
    """17,000 edits, deletions, swaps, insertions and truncations of 1,000 records: each is found, at the record where it is.

    What comes before a mutation is the same as ever, so most are looked at from there; some are looked at from the start.
    """
    log = _log()
    end = {log[-1].number: log[-1].hash}
    assert first_fault(log, pins=end) is None
    tried = 0

    def detected(entries: list[Audited], at: int, *, number: int, whole: bool) -> None:
        nonlocal tried
        tried += 1
        start = 0 if whole else at
        after = START if start == 0 else Link(log[start - 1].number, log[start - 1].hash)
        fault = first_fault(entries[start:], after=after, pins=end)
        assert fault is not None
        assert number == fault.number

    for at, entry in enumerate(log):
        whole = at % 100 == 0
        for edited in _edits(entry):
            detected([*log[:at], edited, *log[at + 1 : at + 3]], at, number=entry.number, whole=whole)
        forged = msgspec.structs.replace(entry.record, room="art")
        refitted = Audited(entry.number, forged, hash_of(log[at - 1].hash if at else START.hash, entry.number, forged))
        shown_at = min(
            entry.number + 1, len(log)
        )  # the next one does not follow it; for the last, its hash is known elsewhere
        detected([*log[:at], refitted, *log[at + 1 : at + 3]], at, number=shown_at, whole=whole)
        detected(log[:at] + log[at + 1 : at + 3], at, number=entry.number, whole=whole)
        detected([*log[:at], entry, *log[at : at + 3]], at, number=entry.number, whole=whole)
        detected(log[:at], at, number=entry.number, whole=whole)
        if at + 1 < len(log):
            swapped = [*log[:at], log[at + 1], entry]
            detected(swapped, at, number=entry.number, whole=whole)
            exchanged = [*log[:at], log[at + 1]._replace(number=entry.number), entry._replace(number=entry.number + 1)]
            detected(exchanged, at, number=entry.number, whole=whole)
    assert tried > 16_000


def test_a_log_that_was_written_anew_is_detected_by_a_checkpoint_only() -> None:
    """Whoever recomputes all hashes from a record on makes a log that is whole in itself: what was noted elsewhere tells."""
    log = _log(20)
    forged = _chained([*(one.record for one in log[:9]), FORGED, *(one.record for one in log[10:])])
    assert first_fault(forged) is None
    assert Fault(15, "it is another than was noted elsewhere") == first_fault(forged, pins={15: log[14].hash})
    assert first_fault(forged, pins={9: log[8].hash}) is None


def test_the_hash_is_what_the_page_says() -> None:
    """SHA-256 of the hash before and a JSON list, as any language can make it."""
    record = msgspec.structs.replace(DEED, target=7, subject="b" * 32, after="visibility=public", policy=0)
    words = [
        "chatsync audit 1",
        3,
        BASE_US // 1000,
        "math",
        "admin:local",
        "admin",
        "room_put",
        7,
        "b" * 32,
        "",
        0,
        "",
        "visibility=public",
    ]
    plain = json.dumps(words, separators=(",", ":")).encode()
    assert hashlib.sha256(b"\1" * 32 + plain).digest() == hash_of(b"\1" * 32, 3, record)


# --- the log of a data folder -----------------------------------------------------------------------------------------


def _note(store: Store, record: AuditRecord = DEED) -> int:
    return store.writer.call(lambda connection: store.journal.audit.note(connection, record)).result()


def _noted(store: Store) -> list[AuditRecord]:
    return [entry.record for entry in audited_after(store.journal.read, 0, 1_000)]


def test_deeds_of_staff_are_records(store: Store) -> None:
    """A hide, a restore, a mode, an erasure and who closed the broadcast; by whom, about whom, how it was and is since."""
    ann = author("Ann")
    said(
        store,
        placed("a", 1, "words", author=ann),
        deed("h", "hidden", target=1, details={"reason": "no manners, Ann"}),
        deed("r", "restored", target=1),
        deed("m", "mode_changed", details={"mode": {"write": "hosts", "slow_ms": 5_000, "replies": ["yes", "no"]}}),
        deed("n", "mode_changed", details={"mode": {"write": "everyone"}}),
        deed("b", "banned", details={"author": ann.key, "until_ms": 1_764_000_600_000, "reason_code": "spam"}),
        msgspec.structs.replace(deed("c", "broadcast_closed", by=None, details={"reason": "host"}), by=MODERATOR.key),
    )
    erase_store(store, "math", ann.key, wall_us=BASE_US, reason="request of Ann")
    mode = "replies=2,slow_ms=5000,write="
    expected = [
        ("hidden", MODERATOR.key, "moderator", 2 - 1, None, "", "visible", "hidden"),
        ("restored", MODERATOR.key, "moderator", 1, None, "", "hidden", "visible"),
        ("mode_changed", MODERATOR.key, "moderator", None, None, "", "", f"{mode}hosts"),
        ("mode_changed", MODERATOR.key, "moderator", None, None, "", f"{mode}hosts", f"{mode}everyone"),
        ("banned", MODERATOR.key, "moderator", None, ann.key, "spam", "", "banned,until_ms=1764000600000"),
        ("broadcast_closed", MODERATOR.key, "staff", None, None, "", "", ""),
        ("erased", "admin:local", "admin", None, ann.key, "", "", "erased"),
    ]
    assert expected == [
        (one.action, one.actor, one.role, one.target, one.subject, one.reason, one.before, one.after)
        for one in _noted(store)
    ]
    assert [0, 0, 0, 3, 4, 4, 4] == [one.policy for one in _noted(store)]
    assert {"math"} == {one.room for one in _noted(store)}
    assert verify_audit(store.files.root)["fault"] is None


def test_what_was_approved_is_a_record_about_its_author(store: Store) -> None:
    """Who let a held message pass, and whose it was."""
    ann = author("Ann")
    said(store, draft("held:a", "words", kind="held", author=ann))
    said(store, deed("a", "message", by=ann, text="words", details={"held": 1, "by": MODERATOR.key}))
    (found,) = _noted(store)
    assert ("approved", MODERATOR.key, 1, ann.key, "held", "visible") == (
        found.action,
        found.actor,
        found.target,
        found.subject,
        found.before,
        found.after,
    )


def test_what_people_say_is_no_record(store: Store) -> None:
    """Messages, questions and hands are not deeds of staff, nor is what the relay does by itself."""
    said(store, placed("a", 1), deed("q", "hand_raised", by=author()), deed("o", "broadcast_opened", by=None))
    said(store, deed("m", "mode_changed", by=None, details={"mode": {"write": "hosts"}}))
    assert [] == _noted(store)
    assert AUDITED_KINDS <= KINDS.keys()
    assert not [kind for kind in AUDITED_KINDS if KINDS[kind] is Visibility.TALLY]


def test_no_record_holds_words_or_names(store: Store) -> None:
    """Nothing of a text, a reason, a name, a title of a mode; a record that would is refused."""
    rude = "rude words of Annabel"
    said(
        store,
        placed("a", 1, rude, author=author("Annabel")),
        deed("h", "hidden", by=author("Weber", "moderator"), target=1, details={"reason": rude, "reason_code": rude}),
        deed("m", "mode_changed", details={"mode": {"write": rude, rude: "on", "replies": [rude]}}),
        deed("p", "pinned", text=rude),
    )
    assert not [word for word in ("rude", "Annabel", "Weber") if word in str(_noted(store))]
    for wrong in (
        {"reason": "She said no"},
        {"actor": "Ann Weber"},
        {"after": "Ünder"},
        {"action": ""},
        {"subject": "Ä"},
    ):
        with pytest.raises(ValueError, match="audit record"):
            _note(store, msgspec.structs.replace(DEED, **wrong))
    assert 3 == len(_noted(store))


def test_modes_and_settings_are_told_by_codes() -> None:
    """Numbers and words of ours as they are, of lists how many, of anything else that it is set."""
    parts = {"write": "hosts", "slow_ms": 5_000, "links": False, "until": None, "replies": ["a", "b"], "title": "Ann's"}
    assert "links=false,replies=2,slow_ms=5000,title=set,until=none,write=hosts" == words_of(parts)
    assert len(words_of({f"part_{number}": 1 for number in range(500)})) <= 400


def test_the_table_is_only_added_to(store: Store) -> None:
    """Not even our own statements change or delete a record."""
    _note(store)
    for sql in (
        "UPDATE audit SET room = 'art'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            store.writer.call(lambda connection, sql=sql: connection.execute(sql)).result()  # type: ignore[misc]
    assert 1 == len(_noted(store))


def test_a_deed_that_is_refused_leaves_no_record(store: Store) -> None:
    """A record is in the transaction of its deed: it goes with it, and the chain goes on from what is there."""
    said(store, placed("a", 1), deed("h", "hidden", target=1))
    futures = [
        store.writer.call(lambda connection, one=one: store.journal.append(connection, one))  # type: ignore[misc]
        for one in (deed("h", "hidden", target=2), deed("r", "restored", target=1))
    ]
    with pytest.raises(IdReusedError):
        futures[0].result()
    futures[1].result()
    assert ["hidden", "restored"] == [one.action for one in _noted(store)]
    assert verify_audit(store.files.root)["fault"] is None


def test_a_record_of_a_lost_batch_is_not_there(store: Store) -> None:
    """The disk fails at the commit: what comes next has the number that was not given."""
    _note(store)

    def fail(_: Any) -> None:
        raise OSError(28, "no space")

    store.writer.before_commit.append(fail)
    with pytest.raises(Exception, match="disk"):
        _note(store)
    store.writer.before_commit.remove(fail)
    assert 2 == _note(store)
    assert verify_audit(store.files.root)["fault"] is None


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """The chain is one chain, whoever opened the folder."""
    for number in (1, 2, 3):
        with open_store(tmp_path) as store:
            assert number == _note(store)
    assert (3, None) == tuple(verify_audit(tmp_path)[name] for name in ("records", "fault"))
    assert 3 == Heads.read(tmp_path / "heads")[AUDIT].offset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed folder with 30 records, and a checkpoint after the tenth."""
    where = tmp_path_factory.mktemp("audit") / "data"
    with open_store(where) as store:
        signer = Signer.of(store.files)
        log = store.journal.audit
        for number in range(30):
            _note(store, msgspec.structs.replace(DEED, wall_us=BASE_US + number * 1_000_000))
            if number == 9:
                store.writer.call(lambda connection: log.checkpoint(connection, signer, wall_us=BASE_US)).result()
    return where


_OFF = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_deleted; DROP TRIGGER audit_taken; DROP TRIGGER audit_changed; "


@pytest.mark.parametrize(
    ("sql", "number", "what"),
    [
        ("UPDATE audit SET actor = 'admin:other' WHERE number = 12", 12, "not what was written"),
        ("UPDATE audit SET wall_us = wall_us + 1 WHERE number = 12", 12, "not what was written"),
        ("UPDATE audit SET role = CAST('admin' AS BLOB) WHERE number = 12", 12, "not what was written"),
        ("DELETE FROM audit WHERE number = 1", 1, "it is missing"),
        ("DELETE FROM audit WHERE number BETWEEN 5 AND 8", 5, "it is missing, and all up to 8"),
        ("DELETE FROM audit WHERE number > 28", 29, "it is missing, and all up to 30, at the end"),
        ("DELETE FROM audit", 1, "it is missing, and all up to 30, at the end"),
        (
            "UPDATE audit SET number = 100 WHERE number = 5; UPDATE audit SET number = 5 WHERE number = 6; "
            "UPDATE audit SET number = 6 WHERE number = 100",
            5,
            "not what was written",
        ),
        (
            "UPDATE audit_checkpoints SET record = replace(record, '\"number\":10', '\"number\":11')",
            11,
            "its checkpoint",
        ),
        ("UPDATE audit_checkpoints SET record = '{}'", 0, "its checkpoint"),
    ],
)
def test_what_was_done_to_a_database_is_named(tmp_path: Path, folder: Path, sql: str, number: int, what: str) -> None:
    """Behind the program's back, with its triggers taken off: edits, deletions, swaps, a cut end."""
    shutil.copytree(folder, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "chatsync.db")) as connection:
        connection.executescript(f"{_OFF}DROP TRIGGER audit_checkpoints_changed; {sql}")
    assert (number, True) == _fault(tmp_path / "data", what)


def test_a_checkpoint_that_was_taken_away_shows_what_was_written_anew(tmp_path: Path, folder: Path) -> None:
    """All hashes recomputed, `heads` and checkpoints made to fit: only the copy from elsewhere contradicts."""
    shutil.copytree(folder, tmp_path / "data")
    with open_store(tmp_path / "data") as store:
        entries = audited_after(store.journal.read, 0, 100)
        signer = Signer.of(store.files)
        log = store.journal.audit
        taken = store.writer.call(lambda connection: log.checkpoint(connection, signer, wall_us=BASE_US)).result()
        assert taken is not None
        again = store.writer.call(lambda connection: log.checkpoint(connection, signer, wall_us=BASE_US + 1)).result()
        assert taken == again
    assert verify_audit(tmp_path / "data", [taken], signer.key)["fault"] is None
    forged = _chained([msgspec.structs.replace(one.record, wall_us=BASE_US) for one in entries])
    with closing(sqlite3.connect(tmp_path / "data" / "chatsync.db")) as connection, connection:
        connection.executescript(f"{_OFF}DROP TRIGGER audit_checkpoints_taken; DELETE FROM audit_checkpoints")
        for one in forged:
            connection.execute(
                "UPDATE audit SET wall_us = ?, hash = ? WHERE number = ?", (one.record.wall_us, one.hash, one.number)
            )
    heads = Heads(tmp_path / "data" / "heads")
    heads.put(AUDIT, heads.read(tmp_path / "data" / "heads")[AUDIT]._replace(chain=int.from_bytes(forged[-1].hash[:4])))
    heads.flush()
    heads.close()
    assert verify_audit(tmp_path / "data")["fault"] is None
    fault = verify_audit(tmp_path / "data", [taken])["fault"]
    assert {"number": 30, "what": "it is another than was noted elsewhere"} == fault
    assert "another key" in verify_audit(tmp_path / "data", [taken], "00" * 32)["fault"]["what"]
    assert "not what was signed" in verify_audit(tmp_path / "data", [taken | {"number": 29}])["fault"]["what"]
    assert "no checkpoint" in verify_audit(tmp_path / "data", [{"number": True}])["fault"]["what"]


def test_a_lost_end_is_told_and_its_numbers_are_not_given_again(tmp_path: Path, folder: Path) -> None:
    """A database that lost its last records goes on past them: the hole stays, and is named."""
    shutil.copytree(folder, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "chatsync.db")) as connection:
        connection.executescript(f"{_OFF}DELETE FROM audit WHERE number > 27")
    with open_store(tmp_path / "data") as store:
        assert "records 28 to 30 of the audit log are lost" in store.journal.open_report
        assert 31 == _note(store)
    assert 28 == verify_audit(tmp_path / "data")["fault"]["number"]


def test_what_is_past_its_time_goes_up_to_a_checkpoint(tmp_path: Path, folder: Path) -> None:
    """From the front, never past a signed end; what is left hangs on that, and numbers go on even when nothing is left."""
    shutil.copytree(folder, tmp_path / "data")

    def left(store: Store, before_us: int) -> list[int]:
        store.writer.call(lambda connection: store.journal.audit.expire(connection, before_us=before_us)).result()
        return [entry.number for entry in audited_after(store.journal.read, 0, 100)]

    with open_store(tmp_path / "data") as store:
        assert list(range(1, 31)) == left(store, BASE_US)
        assert list(range(11, 31)) == left(store, BASE_US + 1_000)
        assert verify_audit(tmp_path / "data")["fault"] is None
        log, signer = store.journal.audit, Signer.of(store.files)
        store.writer.call(lambda connection: log.checkpoint(connection, signer, wall_us=BASE_US)).result()
        assert [] == left(store, BASE_US + 1_000)
        assert [] == verify_store(store)["damaged"]
    with open_store(tmp_path / "data") as store:
        assert [] == store.journal.open_report
        assert 31 == _note(store)
    assert (1, None) == tuple(verify_audit(tmp_path / "data")[name] for name in ("records", "fault"))
    with closing(sqlite3.connect(tmp_path / "data" / "chatsync.db")) as connection:
        connection.executescript("DROP TRIGGER audit_checkpoints_taken; DELETE FROM audit_checkpoints")
    assert (30, True) == _fault(tmp_path / "data", "no checkpoint says")


def _fault(folder: Path, what: str) -> tuple[int, bool]:
    fault = verify_audit(folder)["fault"]
    return fault["number"], what in fault["what"]


def test_a_restored_backup_goes_on_from_where_it_was_made(tmp_path: Path, folder: Path) -> None:
    """The log of that moment is whole, the restore is its next record; a checkpoint that was taken later contradicts."""
    shutil.copytree(folder, tmp_path / "data")
    back_up(tmp_path / "data", tmp_path / "backup", wall_us=lambda: BASE_US)
    with open_store(tmp_path / "data") as store:
        _note(store)
        log, signer = store.journal.audit, Signer.of(store.files)
        later = store.writer.call(lambda connection: log.checkpoint(connection, signer, wall_us=BASE_US)).result()
    restore(tmp_path / "backup", tmp_path / "restored", wall_us=BASE_US + 1_000_000)
    found = verify_audit(tmp_path / "restored")
    assert (31, None) == (found["records"], found["fault"])
    assert not (tmp_path / "restored" / "signing.key").exists()
    with open_store(tmp_path / "restored") as store:
        assert [] == store.journal.open_report
        assert ("backup_restored", "admin:local") == (_noted(store)[-1].action, _noted(store)[-1].actor)
    assert later is not None
    fault = verify_audit(tmp_path / "restored", [later])["fault"]
    assert {"number": 31, "what": "it is another than was noted elsewhere"} == fault


def test_damage_shows_in_verify_too(store: Store) -> None:
    """Rows of the log are summed as those of other tables are."""
    _note(store)
    assert [] == verify_store(store)["damaged"]
    tamper(store.files.root, "DROP TRIGGER audit_is_not_changed")
    tamper(store.files.root, "DROP TRIGGER audit_changed")
    tamper(store.files.root, "UPDATE audit SET action = 'hidden'")
    assert any("audit" in line for line in verify_store(store)["damaged"])


def test_a_folder_of_an_older_program_has_an_empty_log(tmp_path: Path) -> None:
    """Nothing is missing where nothing was ever noted."""
    (tmp_path / "data").mkdir()
    sqlite3.connect(tmp_path / "data" / "chatsync.db").close()
    assert {"records": 0, "checkpoints": 0, "newest": None, "fault": None} == verify_audit(tmp_path / "data")
