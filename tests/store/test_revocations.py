"""Revocations on disk: what is put is read, what is over goes, and damage is told."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from chatsync.errors import CorruptError
from chatsync.store.opening import Store, open_store
from chatsync.store.revocations import Revocation, drop_revocations, put_revocation, revocations


def one(key: str, until_us: int, **given: object) -> Revocation:
    """A revocation of a person in all rooms, unless said otherwise."""
    made = Revocation(what="person", key=key, room="", before_us=1_000, until_us=until_us)
    return Revocation(**{name: given.get(name, getattr(made, name)) for name in made.__struct_fields__})  # type: ignore[arg-type]


def put(store: Store, *rows: Revocation) -> None:
    """On disk."""
    for row in rows:
        store.writer.call(partial(put_revocation, one=row)).result()


def test_what_is_put_outlives_the_process(tmp_path: Path) -> None:
    """And a later one of the same takes the place of the earlier."""
    rows = [one("a", 10), one("a", 20, room="class"), one("b", 30, what="jti")]
    with open_store(tmp_path) as store:
        put(store, *rows, one("a", 15))
    with open_store(tmp_path) as store:
        found = revocations(store.journal.reads)
        assert [] == store.catalog.wrong()
    assert sorted([one("a", 15), *rows[1:]], key=str) == sorted(found, key=str)


def test_what_is_over_goes(tmp_path: Path) -> None:
    """At its time, not before."""
    with open_store(tmp_path) as store:
        put(store, one("a", 10), one("b", 11))
        store.writer.call(partial(drop_revocations, now_us=10)).result()
        assert [one("b", 11)] == revocations(store.journal.reads)


def test_a_row_that_is_missing_is_told(tmp_path: Path) -> None:
    """A revocation that damage took away must not let anybody in without a word."""
    with open_store(tmp_path) as store:
        put(store, one("a", 10))
    connection = sqlite3.connect(tmp_path / "chatsync.db")
    for name in ("revocations_taken", "revocations_put"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM revocations")
    connection.commit()
    with pytest.raises(CorruptError):
        revocations(lambda queries: [connection.execute(sql, values).fetchall() for sql, values in queries])
    connection.close()
