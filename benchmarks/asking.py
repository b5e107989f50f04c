"""One question to a large archive, by us or a peer: ``python -m benchmarks.asking WHO QUESTION PATH``, for ``benchmarks.questions``.

A process of its own for each, which loads only what its answer takes. The last line is JSON: ``seconds`` without loading, ``import_s``, and a digest
of the answer.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["main"]

_OURS = {
    "minutes": "SELECT room, date_trunc('minute', program_us) AS minute, count(*) AS n FROM messages GROUP BY ALL",
    "chatters": "SELECT room, count(DISTINCT author_key) AS n FROM messages GROUP BY ALL",
    "words": r"SELECT word, count(*) AS n FROM (SELECT unnest(regexp_extract_all(lower(text), '\p{L}{4,}')) AS word FROM messages) "
    "GROUP BY ALL ORDER BY n DESC, word LIMIT 20",
}


def main() -> None:
    """Answer, and print how it went."""
    print(json.dumps(_asked(*sys.argv[1:])))


def _asked(who: str, question: str, path: str) -> dict[str, Any]:
    answered = {"chatsync": _by_us, "Polars": _by_polars, "SQLite": _by_sqlite}[who]
    began_s = time.perf_counter()
    rows, import_s = answered(question, Path(path))
    seconds = time.perf_counter() - began_s - import_s
    digest = hashlib.sha256(json.dumps(sorted(rows), default=str).encode()).hexdigest()
    return {"seconds": seconds, "import_s": import_s, "digest": digest}


def _by_us(question: str, folder: Path) -> tuple[list[Any], float]:
    began_s = time.perf_counter()
    from chatsync import open_archive  # noqa: PLC0415 - how long it takes is measured

    import_s = time.perf_counter() - began_s
    with open_archive(folder) as archive:
        if question == "cold":
            return archive.sql("SELECT count(*) FROM messages WHERE room = 'room-7'").fetchall(), import_s
        return [tuple(one) for one in archive.sql(_OURS[question]).fetchall()], import_s


def _by_polars(question: str, folder: Path) -> tuple[list[Any], float]:
    began_s = time.perf_counter()
    import polars as pl  # noqa: PLC0415 - as above

    import_s = time.perf_counter() - began_s
    messages = pl.scan_parquet(folder / "archive" / "events" / "**" / "*.parquet", hive_partitioning=True)
    if question == "minutes":
        asked = messages.group_by(
            "room", pl.col("program_us").dt.truncate("1m").dt.replace_time_zone(None).alias("minute")
        ).len("n")
    elif question == "chatters":
        asked = messages.group_by("room").agg(pl.col("author_key").n_unique().alias("n"))
    else:
        words = messages.select(word=pl.col("text").str.to_lowercase().str.extract_all(r"\p{L}{4,}")).explode("word")
        counted = words.drop_nulls().group_by("word").len("n")
        asked = counted.sort("n", "word", descending=[True, False]).head(20)
    return asked.collect(engine="streaming").rows(), import_s


def _by_sqlite(question: str, database: Path) -> tuple[list[Any], float]:
    with closing(sqlite3.connect(database)) as connection:
        return _sqlite_answer(connection, question), 0.0


def _sqlite_answer(connection: sqlite3.Connection, question: str) -> list[Any]:
    if question == "minutes":
        epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - as the others' instants have no zone either
        sql = "SELECT room, program_us / 60000000, count(*) FROM messages GROUP BY 1, 2"
        return [(room, epoch + timedelta(minutes=minute), n) for room, minute, n in connection.execute(sql)]
    if question == "chatters":
        return connection.execute("SELECT room, count(DISTINCT author_key) FROM messages GROUP BY 1").fetchall()
    found, word = Counter[str](), re.compile(r"[^\W\d_]{4,}")
    for (text,) in connection.execute("SELECT lower(text) FROM messages"):
        found.update(word.findall(text))
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))[:20]


if __name__ == "__main__":
    main()
