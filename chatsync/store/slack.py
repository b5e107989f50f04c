"""What SQLite leaves in the unused part of its pages: looked through, and cleared by writing a database anew.

Owns: where unused bytes of a page lie, looking for pieces of words in them, the rebuild. Does not know: whose words they are.
Source: reliability G7; decision 0017; the file format of SQLite 3, "B-tree Pages".

``secure_delete`` clears what is deleted. But where SQLite balances a tree, rows move to other pages, and the bytes of a row that moved
stay in the gap between a page's cell pointers and its cells until something is written over them. No statement reaches them; ``VACUUM`` does, since it makes every page from rows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from chatsync.store.writer import opened

__all__ = ["PIECE_BYTES", "SMALL_BYTES", "blocks", "has_pieces", "pieces_of", "rebuild", "slack"]

SMALL_BYTES = 64 << 20
"""A database up to this size is made anew in less than a second: quicker than asking whether it must be."""

PIECE_BYTES = 12
"""Shorter pieces of what somebody wrote are found everywhere."""

_PIECES_MAX = 200_000  # ~16 MiB of memory; who wrote more is sure to have left something
_BLOCK_BYTES = 1 << 20  # read at a time: a thread holds the interpreter no longer than looking through that takes
_HEADER_BYTES = 100  # before the b-tree of page 1
_INNER, _LEAVES = frozenset({2, 5}), frozenset({10, 13})  # of indexes and of tables

_kept: dict[Path, int] = {}
_keeping = threading.Lock()


def blocks(path: Path, *, overlap: int = 0) -> Iterator[bytes]:
    """The bytes of a database file or its log, 1 MiB at a time, as they are on disk; nobody's locks are lost.

    Args:
        path: the file. One that SQLite has open in this process may be read by nothing else than this.
        overlap: how many bytes of the next block come with each, so that a word that is cut by a border is whole in one.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix != ".db":  # a log: SQLite locks the databases themselves
        with path.open("rb") as file:
            yield from _blocks_of(file.fileno(), overlap)
        return
    yield from _blocks_of(_descriptor(path), overlap)


def _blocks_of(descriptor: int, overlap: int) -> Iterator[bytes]:
    start = 0
    while block := os.pread(descriptor, _BLOCK_BYTES + overlap, start):
        yield block
        start += _BLOCK_BYTES


def _descriptor(path: Path) -> int:
    """A descriptor of a database that stays open.

    Closing any descriptor of a file drops all the locks that this process holds on it (POSIX): then the next command that looks into
    the folder of a relay takes itself for the last one there, and deletes the log that the relay goes on writing to. Only those whose
    file is gone are closed. (``mmap`` would close a copy of it.)
    """
    with _keeping:
        for known, descriptor in list(_kept.items()):
            if not _is_of(descriptor, known):
                del _kept[known]
                os.close(descriptor)
        if path not in _kept:
            _kept[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return _kept[path]


def _is_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def slack(path: Path) -> Iterator[bytes]:
    """What lies in the unused parts of a database's b-tree pages and is not zero, without the zeros around it.

    What makes no sense is left out: the file may be damaged, or be written to meanwhile.

    Args:
        path: the database; what is only in its log is not looked at.

    Raises:
        OSError: it cannot be read.

    Cost: 0.7 s a GB that the system has in memory (measured).
    """
    page_bytes = end = 0
    for number, block in enumerate(blocks(path)):
        if not number:
            page_bytes = int.from_bytes(block[16:18], "big")
            page_bytes = 65_536 if page_bytes == 1 else page_bytes
            if page_bytes < 512 or page_bytes & (page_bytes - 1):
                return
            end = page_bytes - block[20]  # what is reserved for extensions is at a page's end
        for start in range(0, len(block) - page_bytes + 1, page_bytes):
            at = start + (0 if number or start else _HEADER_BYTES)
            if block[at] in _LEAVES:
                yield from _unused(block[start : start + page_bytes], at - start, 8, end)
            elif block[at] in _INNER:
                yield from _unused(block[start : start + page_bytes], at - start, 12, end)


def _unused(page: bytes, header: int, header_bytes: int, end: int) -> Iterator[bytes]:
    """Of a b-tree page: the gap before its cells, and what its free blocks hold."""
    first = header + header_bytes + 2 * int.from_bytes(page[header + 3 : header + 5], "big")
    cells = int.from_bytes(page[header + 5 : header + 7], "big") or 65_536
    if first <= cells <= end:
        rest = page[first:cells].strip(b"\0")
        if rest:
            yield rest
    free = int.from_bytes(page[header + 1 : header + 3], "big")
    while cells <= free <= end - 4:
        following, size = int.from_bytes(page[free : free + 2], "big"), int.from_bytes(page[free + 2 : free + 4], "big")
        rest = page[free + 4 : min(free + size, end)].strip(b"\0")
        if rest:
            yield rest
        if following <= free:  # they are in order: the last one, or a circle
            return
        free = following


def pieces_of(texts: Iterable[bytes]) -> frozenset[bytes] | None:
    """Every piece of :data:`PIECE_BYTES` of what somebody wrote, for :func:`has_pieces`; None if there are too many to look for.

    Cost: about 80 bytes of memory for each byte of text, 16 MiB at most.
    """
    pieces: set[bytes] = set()
    for text in texts:
        pieces.update(_pieces(text))
        if len(pieces) > _PIECES_MAX:
            return None
    return frozenset(pieces)


def _pieces(text: bytes) -> Iterator[bytes]:
    return (text[start : start + PIECE_BYTES] for start in range(len(text) - PIECE_BYTES + 1))


def has_pieces(path: Path, pieces: frozenset[bytes] | None, words: Iterable[bytes] = ()) -> bool:
    """Whether any piece, or any word as a whole, lies in the slack of a database.

    Others may have written the same pieces: the answer may be yes for nothing.

    Args:
        path: the database.
        pieces: of :func:`pieces_of`; None for whatever there is.
        words: shorter ones, such as names.

    Raises:
        OSError: it cannot be read.

    Cost: that of :func:`slack`, and 0.1 s for each MB of slack: of a journal, 1 to 2 in 100 MB, most of it numbers.
    """
    words = tuple(words)
    return any(
        pieces is None or any(word in rest for word in words) or not pieces.isdisjoint(_pieces(rest))
        for rest in slack(path)
    )


def rebuild(path: Path) -> None:
    """Write a database anew, row by row; nothing but rows is in it once its log has been emptied, which is left to the caller.

    To be called where nobody wants to write: in the writer's thread (:class:`~chatsync.store.writer.Between`). Readers are not held up.

    Raises:
        OSError: it cannot be opened.
        sqlite3.Error: the disk is full, or somebody else writes. The database is as it was.

    Cost: 0.7 s for 100 MB (measured: 3.2 s for 462 MB), and 0.15 s to empty the log afterwards. The log grows by the size of the database, and so does, for more than :data:`SMALL_BYTES`, a nameless file in
    SQLite's folder for such files (``SQLITE_TMPDIR``, or ``/var/tmp``).
    """
    is_small = path.stat().st_size <= SMALL_BYTES
    with closing(opened(path)) as connection:
        if not is_small:
            connection.execute("PRAGMA temp_store=FILE")  # not all of it in memory
        connection.execute("PRAGMA wal_autocheckpoint=0")  # not while writing waits
        connection.execute("VACUUM")
