"""Names of a data folder's authors, read without opening it: a relay may be at work in it.

Owns: nothing. Does not know: who asks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from chatsync.chat.event import Author, Role
from chatsync.store.identity import IdentityStore
from chatsync.store.recovering import read_error

__all__ = ["names_in"]


def names_in(folder: Path) -> Callable[[str, list[tuple[str, int, Role]]], list[Author]] | None:
    """Who authors of a room were, by (key, version of their name, role); None for a copied archive, which has no names.

    What is returned raises ``StorageFailedError`` where names cannot be read, ``CorruptError`` where one is not what was written. Names of
    erased people are empty.
    """
    path = folder / "identity.db"
    if not path.is_file():
        return None
    identity = IdentityStore(path, is_read_only=True)

    def known(room: str, wanted: list[tuple[str, int, Role]]) -> list[Author]:
        try:
            identity.know(room, [(key, version) for key, version, _ in wanted])
            return [identity.author(room, *one) for one in wanted]
        except (sqlite3.Error, OSError, OverflowError, TypeError, ValueError) as error:
            raise read_error(error, path.name) from error

    return known
