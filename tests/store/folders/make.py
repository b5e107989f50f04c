"""Makes data folders of older schemas, with the program of that time: ``schema-1.zip`` and ``schema-2.zip``.

Run it where that program is checked out, the commit before the one that raised the schema:

    git worktree add /tmp/old 4803423~1        # wrote schema 2; 19b3f1e~1 wrote schema 1
    (cd /tmp/old && PYTHONPATH=. python …/tests/store/folders/make.py …/tests/store/folders)

When ``store.catalog.SCHEMA_VERSION`` is raised, make one of the schema before, and let ``test_older_folders.py`` read it.
"""

from __future__ import annotations

import gzip
import hashlib
import inspect
import sqlite3
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from chatsync.hls.timeline import LiveEdge, Run, Segment
from chatsync.instants import SECOND_US, Range
from chatsync.replay.broadcasts import Broadcast
from chatsync.store import catalog
from chatsync.store.opening import Store, open_store
from tests.builders import BASE_US, author, draft, stamp


def placed(id_: str, after_s: float, text: str | None = "hello", *, broadcast: int = 1, **fields: Any) -> Any:
    """A draft at so many seconds of program time after ``BASE_US``."""
    at_us = BASE_US + round(after_s * 1000) * 1000
    return draft(id_, text, stamp=stamp(at_us, broadcast=broadcast), **fields)


def fill(store: Store) -> None:
    """A lecture in two broadcasts and another room: messages, a hide, votes, media, a gap, a slice; archived but for the last message."""
    maxi = author("Max", "moderator")
    drafts = [
        placed("a", 1, "first"),
        placed("b", 2, "rude words"),
        placed("q", 3, "why?", kind="question"),
        placed("c", 3_700, "an hour later", author=author("Bob")),
        placed("n", 1, "the next day", broadcast=2),
        placed("o", 1, "elsewhere", room="art"),
        placed("h", 4, None, kind="hidden", author=maxi, target=2),
        placed("v", 5, None, kind="poll_voted", details={"poll": "p", "choices": [1]}),
    ]
    for one in drafts:
        store.writer.call(lambda connection, one=one: store.journal.append(connection, one)).result()  # type: ignore[misc]
    store.writer.call(lambda connection: put(store, connection)).result()
    store.archive.archive_now()
    last = placed("l", 6, "after the archive was written")
    store.writer.call(lambda connection: store.journal.append(connection, last)).result()


def put(store: Store, connection: sqlite3.Connection) -> None:
    """What stands beside the journal, a row or two of each table."""
    known = store.catalog
    known.put_room(connection, "math", {"title": "Maths"})
    known.put_recording(connection, "math", "talk", {"spans": [1]})
    lecture = Broadcast(number=1, opened_wall_us=BASE_US, start_us=BASE_US, closed_reason="ended")
    lecture.closed_wall_us = BASE_US + 9 * SECOND_US
    known.put_broadcast(connection, "math", lecture.to_record())
    run = Run(1, "https://video.example.org/", BASE_US, "first")
    segments = [
        Segment(
            run=1,
            media_sequence=number,
            uri_path=f"/s{number}.ts",
            duration_us=2 * SECOND_US,
            position_us=number * 2 * SECOND_US,
            program_us=BASE_US + number * 2 * SECOND_US,
            program_source="explicit",
        )
        for number in range(3)
    ]
    known.put_segments(connection, "math", [run], [(1, segments)])
    edge = LiveEdge(1, 2, 0, 6 * SECOND_US, BASE_US + 6 * SECOND_US)
    seen: dict[str, Any] = {"wall_us": BASE_US + 8 * SECOND_US, "age_us": 5, "edge": edge, "kind": "advance"}
    if "step_us" in inspect.signature(known.put_observation).parameters:
        seen |= {"broadcast": 1, "step_us": 0}
    known.put_observation(connection, "math", **seen)
    known.put_gap(connection, "math", 1, Range(BASE_US + 20 * SECOND_US, BASE_US + 30 * SECOND_US), "gap")
    packed = gzip.compress(b"a slice", mtime=0)
    row = catalog.SliceRow(
        broadcast=1,
        start_ms=BASE_US // 1000,
        end_ms=BASE_US // 1000 + 10_000,
        epoch=1,
        revision=2,
        events=3,
        messages=2,
        as_of_offset=8,
        version=4,
        sha256=hashlib.sha256(packed).hexdigest(),
        size_bytes=len(packed),
    )
    store.files.write_slice("math", row, packed, public=True)
    known.put_slice(connection, "math", row, 4)


def main() -> None:
    """Write the folder that the program here makes."""
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with open_store(folder) as store:
            fill(store)
        for path in folder.glob("*.db"):
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        with zipfile.ZipFile(target / f"schema-{catalog.SCHEMA_VERSION}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.name != "lock" and path.suffix not in {".db-wal", ".db-shm"}:
                    name = path.relative_to(folder).as_posix()
                    packed.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
