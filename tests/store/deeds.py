"""Drafts of deeds, and hands that damage a data folder."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from chatsync.chat.event import Author, Draft
from chatsync.store.journal import Appended
from chatsync.store.opening import Store
from tests.builders import BASE_US, author, draft, stamp

__all__ = ["MODERATOR", "deed", "placed", "said", "tamper"]

MODERATOR = author("Max", "moderator")


def said(store: Store, *drafts: Draft) -> list[Appended]:
    """Append drafts in one batch, and wait until they are durable."""
    futures = [
        store.writer.call(lambda connection, one=one: store.journal.append(connection, one))  # type: ignore[misc]
        for one in drafts
    ]
    return [future.result() for future in futures]


def placed(id_: str, after_s: float, text: str | None = "hello", *, broadcast: int = 1, **fields: Any) -> Draft:
    """A draft at so many seconds of program time after ``BASE_US``."""
    program_us = BASE_US + round(after_s * 1000) * 1000
    return draft(id_, text, stamp=stamp(program_us, broadcast=broadcast), **fields)


def deed(id_: str, kind: str, *, by: Author | None = MODERATOR, **fields: Any) -> Draft:
    """A draft without text: a hide, a restore, a pin, a restamp."""
    return draft(id_, fields.pop("text", None), kind=kind, author=by, **fields)


def tamper(folder: Path, sql: str, *values: Any, file: str = "chatsync.db") -> None:
    """Change a database behind the program's back, as a faulty disk or hand would."""
    connection = sqlite3.connect(folder / file)
    try:
        connection.execute("PRAGMA busy_timeout = 5000")
        with connection:
            connection.execute(sql, values)
    finally:
        connection.close()
