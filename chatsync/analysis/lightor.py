"""Highlights compared with labels, on data laid out as Lightor's.

Owns: reading that layout, precision. Does not know: how highlights are found. Units: seconds from where a video's chat begins.
Source: github.com/sfu-db/Lightor_Exp, whose data is not part of this project; arXiv 1910.12201.

A folder has ``train`` and ``test``, each with ``chat/<video> <start ms>.csv`` (tab-separated: number, video, user, text, 0, ms) and
``labels/<video>.csv`` (peak, start and end as ``MMM-SS``, spaces between; ``000-00`` is none).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from chatsync.analysis.highlights import DENSITY, begins_one, fitted_lag_s, peaks
from chatsync.errors import FileDamagedError, SettingsError

__all__ = ["RANKS", "evaluate"]

RANKS = (1, 3, 5, 10)
_NONE = "000-00"
_CHAT = (
    "SELECT column5::DOUBLE / 1000 - $start_ms::BIGINT // 1000 AS at_s, coalesce(column3, '') AS text FROM read_csv($path, delim = '\t', header = false, "
    "quote = '', escape = '', columns = {'column0': 'VARCHAR', 'column1': 'VARCHAR', 'column2': 'VARCHAR', 'column3': 'VARCHAR', "
    "'column4': 'VARCHAR', 'column5': 'BIGINT'}, max_line_size = 10000000)"
)

Labels = list[tuple[float, float]]


def evaluate(folder: Path, progress: Callable[[str, int, int], None] | None = None) -> dict[str, Any]:
    """Fit the lag on ``train``, find highlights in ``test``, and tell how many of the first 1, 3, 5 and 10 begin where a label does.

    Args:
        folder: laid out as above.
        progress: told (what, done, of how many).

    Returns:
        ``precision`` by rank, the mean over the videos of ``test``; ``lag_s``; how many videos ``train`` and ``test`` have.

    Raises:
        SettingsError: there is no such folder, or no video in it.
        FileDamagedError: a file is not laid out so.
    """
    train, test = (_videos(folder / part, progress) for part in ("train", "test"))
    lag_s = fitted_lag_s(train)
    precision = {
        str(rank): round(
            sum(sum(begins_one(top - lag_s, labels) for top in tops[:rank]) / rank for tops, labels in test)
            / len(test),
            3,
        )
        for rank in RANKS
    }
    return {"precision": precision, "lag_s": lag_s, "train": len(train), "test": len(test)}


def _videos(folder: Path, progress: Callable[[str, int, int], None] | None) -> list[tuple[list[int], Labels]]:
    chats = sorted((folder / "chat").glob("*.csv"))
    if not chats:
        raise SettingsError(f"{folder / 'chat'} has no chat: see docs/analysts.md for how labelled data is laid out")
    found = []
    for number, path in enumerate(chats, start=1):
        video, _, start_ms = path.stem.rpartition(" ")
        if not video or not start_ms.isdecimal():
            raise FileDamagedError(path.name, "a chat's name is '<video> <start ms>.csv'")
        found.append((_tops(path, int(start_ms)), _labels(folder / "labels" / f"{video}.csv")))
        if progress is not None:
            progress(folder.name, number, len(chats))
    return found


def _tops(path: Path, start_ms: int) -> list[int]:
    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute(f"CREATE TABLE said AS {_CHAT}", {"start_ms": start_ms, "path": str(path)})
        except duckdb.Error as error:
            raise FileDamagedError(path.name, "it is no chat: number, video, user, text, 0, ms") from error
        return peaks(dict(connection.execute(DENSITY).fetchall()), max(RANKS))


def _labels(path: Path) -> Labels:
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [(_seconds(start), _seconds(end)) for _, start, end in rows if (start, end) != (_NONE, _NONE)]
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise FileDamagedError(path.name, "a label is three times MMM-SS") from error


def _seconds(text: str) -> float:
    minutes, seconds = text.split("-")
    return int(minutes) * 60.0 + int(seconds)
