"""A process that backs a growing folder up, over and over, or restores one, and says what is done: ``python -m tests.faultkit.keeping``.

Owns: what it does between two lines. Does not know: when its power is cut.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from chatsync.store.backing_up import back_up
from chatsync.store.opening import open_store
from chatsync.store.restoring import restore
from tests.builders import draft
from tests.store.deeds import deed, placed, said
from tests.store.test_opening import with_slice

__all__ = ["begun"]


def begun(folder: Path) -> None:
    """A folder with a room, a slice and Parquet."""
    with open_store(folder) as store:
        said(store, *(placed(f"a{number}", number) for number in range(50)))
        with_slice(store)
        store.archive.archive_now()


def _keep(folder: Path, target: Path) -> None:
    """Say something, hide something, write the archive, back up: for ever."""
    while True:
        with open_store(folder) as store:
            head = store.journal.head("math").offset
            said(store, *(placed(f"{head}-{number}", number) for number in range(20)), draft(f"{head}", room="art"))
            said(store, deed(f"h{head}", "hidden", target=head + 1))
            store.archive.archive_now()
            offset = store.journal.head("math").offset
        _told("begin")
        back_up(folder, target, wall_us=lambda: time.time_ns() // 1000)
        _told(f"done {offset}")


def _restore(backup: Path, folder: Path) -> None:
    """Restore once, and wait for the end."""
    _told("begin")
    restore(backup, folder, wall_us=time.time_ns() // 1000)
    _told("done")
    time.sleep(60)


def _told(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    {"keep": _keep, "restore": _restore}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
