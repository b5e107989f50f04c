"""An archive opened for questions: read-only, without a server.

Owns: a DuckDB connection with views over what may be read. Does not know: what the views say (``analysis.views``), which files are
believed (``store.listing``). Source: contract §6; libraries §3 and §8.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from chatsync.analysis.views import BASES, UNION, VIEWS
from chatsync.errors import NotFoundError
from chatsync.store.listing import list_archive

__all__ = ["SHOWN", "OpenArchive", "open_archive"]

SHOWN = (
    "messages",
    "events",
    "broadcasts",
    "segments",
    "minutes",
    "questions",
    "polls",
    "viewers",
    "observations",
    "recordings",
)
"""Names of the views that are for analysts."""


def open_archive(path: str | os.PathLike[str], *, room: str | None = None) -> OpenArchive:
    """Open what a relay keeps, or has kept, for questions in SQL.

    Args:
        path: a data folder, at rest or served by a relay, or a copy of its ``archive`` alone.
        room: only this room; other rooms' files are not looked at.

    Raises:
        SettingsError: it is neither, or of a newer program.
        CorruptError: what lists the files, or a row that is in none of them, is damaged.
        StorageFailedError: it cannot be read.

    Cost: 10,000 files 0.3 s, and 10 µs for each row of an hour that changed since it was last written.
    """
    return OpenArchive(Path(path), room=room)


class OpenArchive:
    """Views over an archive as it stood when it was opened; a context manager.

    ``archive.messages`` and its like are DuckDB relations: ``.filter(…)``, ``.aggregate(…)``, then ``.to_arrow_table()``, ``.pl()`` or
    ``.df()``. ``archive.sql(…)`` takes SQL over the same views. A relay that goes on writing replaces files every ten minutes:
    :meth:`refresh` takes up what is new, and answers made from relations before it may fail for a file that is gone.

    Attributes:
        connection: DuckDB's, in memory: tables made here are gone with it, and nothing changes the archive.
    """

    def __init__(self, path: Path, *, room: str | None = None) -> None:
        self._path, self._room = path, room
        self.connection: Any = duckdb.connect(":memory:")
        # What does not fit into memory is what people wrote: for us alone, and gone with us. DuckDB would put it into the working folder.
        self._spill = tempfile.TemporaryDirectory(prefix="chatsync-", ignore_cleanup_errors=True)
        try:
            self.connection.execute("SET TimeZone = 'UTC'")
            self.connection.execute("SET temp_directory = '{}'".format(self._spill.name.replace("'", "''")))
            self.refresh()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OpenArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; relations made from it are of no use then."""
        self.connection.close()
        self._spill.cleanup()

    def refresh(self) -> None:
        """Take up what was said, hidden and written since.

        Raises:
            As :func:`open_archive`.
        """
        listing = list_archive(self._path, room=self._room)
        for tree, sql in BASES.items():
            self.connection.register(f"{tree}_tail", listing.tables[tree])
            self._set_files(tree, listing.files[tree][:1])  # DuckDB looks at them all for each view it makes
            of_tail = sql[sql.index(UNION) + len(UNION) :]
            self.connection.execute(f"CREATE OR REPLACE VIEW {tree} AS {sql if listing.files[tree] else of_tail}")
        self.connection.register("recording_spans", listing.recordings)
        for name, sql in VIEWS.items():
            self.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {sql}")
        for tree in BASES:
            self._set_files(tree, listing.files[tree])

    def _set_files(self, tree: str, files: list[str]) -> None:
        # Text, because a parameter would load pandas if it is there; as JSON, because ten thousand literals take ten times as long.
        listed = json.dumps(files).replace("'", "''")
        self.connection.execute(f"SET VARIABLE {tree}_files = from_json('{listed}', '[\"VARCHAR\"]')")

    def sql(self, query: str, **values: Any) -> Any:
        """A DuckDB relation of a query over the views.

        Args:
            query: SQL; ``$name`` stands for a value.
            values: by name.

        Raises:
            duckdb.Error: the query is wrong, or a file it needs is gone (see :meth:`refresh`).
        """
        return self.connection.sql(query, params=values or None)

    def view(self, name: str) -> Any:
        """One of the views as a relation.

        Raises:
            NotFoundError: there is no view of that name.
        """
        if name not in SHOWN:
            raise NotFoundError(f"view {name}")
        return self.connection.view(name)

    @property
    def messages(self) -> Any:
        """What was said: messages, questions, announcements, paid and system lines; one row each."""
        return self.view("messages")

    @property
    def events(self) -> Any:
        """Everything public of the rooms' logs, one row an event, with the columns of the files."""
        return self.view("events")

    @property
    def broadcasts(self) -> Any:
        """One row an airing."""
        return self.view("broadcasts")

    @property
    def segments(self) -> Any:
        """One row a media segment that was ever listed."""
        return self.view("segments")

    @property
    def minutes(self) -> Any:
        """One row a minute of program time of each airing, also where nobody spoke."""
        return self.view("minutes")

    @property
    def questions(self) -> Any:
        """One row a question, with its upvotes and what became of it."""
        return self.view("questions")

    @property
    def polls(self) -> Any:
        """One row a poll, with its final tally."""
        return self.view("polls")

    @property
    def viewers(self) -> Any:
        """One row a minute of program time in which somebody was there."""
        return self.view("viewers")

    def recorded(self, room: str, recording: str, view: str = "messages") -> Any:
        """A view with one more column, ``position_us``: where in a recording the row's program time is shown. What was cut is left out.

        Args:
            room: the room.
            recording: one of its recordings.
            view: messages, events, questions (by ``program_us``), minutes, viewers (by ``minute_us``) or polls (by ``opened_us``).

        Raises:
            NotFoundError: there is no such recording or view.
        """
        instant = {"minutes": "minute_us", "viewers": "minute_us", "polls": "opened_us"}.get(view, "program_us")
        known = self.connection.execute(
            "SELECT count(*) FROM recordings WHERE room = $1 AND recording = $2", [room, recording]
        ).fetchall()
        if view not in SHOWN or view in {"broadcasts", "recordings", "observations"}:
            raise NotFoundError(f"view {view}")
        if known == [(0,)]:
            raise NotFoundError(f"recording {recording}")
        return self.connection.sql(
            f"SELECT shown.*, spans.position_us + epoch_us(shown.{instant}) - epoch_us(spans.program_us) AS position_us "
            f"FROM {view} AS shown JOIN recordings AS spans ON spans.room = shown.room AND spans.broadcast = shown.broadcast "
            f"AND shown.{instant} >= spans.program_us AND shown.{instant} < spans.program_us + to_microseconds(spans.duration_us) "
            "WHERE shown.room = $room AND spans.recording = $recording ORDER BY position_us",
            params={"room": room, "recording": recording},
        )
