"""Parquet files made from what the journal and the catalog have, a row group at a time.

Owns: which rows go into which file, in which order, and what is known of a file that was written. Does not know: which generation
is believed, or when files are made (``store.archive``). Units: µs of program time. Source: contract §6; decision 0021.

A file is written beside its place, under a name that says which process wrote it, and is moved there by whoever lists it. So
nothing that is here changes the archive, and it may run in another process that dies in the middle.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from chatsync.instants import HOUR_US, Range
from chatsync.store.catalog import ArchiveFile, Catalog
from chatsync.store.files import Files
from chatsync.store.finals import POLL_KINDS, Finals
from chatsync.store.journal_reads import JournalReads
from chatsync.store.parquet import GroupWriter, authors_index, authors_of, sha256_of
from chatsync.store.recall import Recall
from chatsync.store.rows import public_rows
from chatsync.store.schema import EVENTS, OBSERVATIONS, SCHEMA_VERSION, SEGMENTS, VIEWERS, journal_table, rows_table
from chatsync.store.writer import store_error

__all__ = ["FileMaker", "MadeFile", "Maker"]

_VOTES = frozenset({"question_upvoted", "poll_voted"})


class MadeFile(msgspec.Struct, frozen=True):
    """A file that was written and is not in its place yet."""

    file: ArchiveFile
    authors: bytes  # whose rows it has, as ``parquet.authors_index``
    temporary: str  # where it lies, relative to the data folder


class Maker(Protocol):
    """Who makes files: here, or in a process of its own (``store.worker``)."""

    def make_span(self, room: str, broadcast: int, span: Range, before: Sequence[ArchiveFile]) -> list[MadeFile]:
        """Whole hours as one file of each tree, to replace those that lie there."""

    def make_record(self, room: str, broadcast: int, before: Sequence[ArchiveFile]) -> list[MadeFile]:
        """A broadcast's segments, observations and viewers, as far as there are more than in the files before."""

    def offsets_in(self, file: ArchiveFile) -> Sequence[int]:
        """The offsets in a file, rising, once it was compared with its SHA-256."""

    def rest(self) -> None:
        """There is nothing to do for now: let go of what costs memory."""


class FileMaker:
    """Makes files in this process, of whatever may be read by any thread.

    Args:
        files: where they go.
        journal: the rows.
        catalog: segments, observations and viewers.
        recall: rows that have left the journal.
    """

    def __init__(self, files: Files, journal: JournalReads, catalog: Catalog, recall: Recall) -> None:
        self._files, self._journal, self._catalog, self._recall = files, journal, catalog, recall

    def make_span(self, room: str, broadcast: int, span: Range, before: Sequence[ArchiveFile]) -> list[MadeFile]:
        """Whole hours as one file of each tree, to replace those that lie there.

        Args:
            room: the room.
            broadcast: its airing.
            span: of program time, from the start of an hour to the end of one.
            before: files of both trees over the span; rows that left the journal are taken from them.

        Raises:
            CorruptError: a row of the journal or a file is damaged.
            StoreError: they cannot be written.

        Cost: about 10 µs a row, and the memory of a few row groups.
        """
        earlier = {tree: [file for file in before if file.tree == tree] for tree in ("events", "staff")}
        with contextlib.ExitStack() as stack:
            made = {
                tree: stack.enter_context(
                    _Making(
                        self._files,
                        tree,
                        self._files.hour_path(tree, room, broadcast, span.start_us, _next_generation(earlier[tree])),
                    )
                )
                for tree in earlier
            }
            kept = _Kept(self._journal, self._recall, earlier["events"])
            made["events"].begin()
            for table in _in_one_order([self._shown(room, broadcast, span, made["staff"].put), *kept.streams()]):
                made["events"].put(table)
            if earlier["staff"]:
                made["staff"].begin()
            end_us = span.end_us if span.duration_us > HOUR_US else None
            return [
                one.finished(
                    room=room,
                    broadcast=broadcast,
                    hour_us=span.start_us,
                    end_hour_us=end_us,
                    pruned=kept.is_any and tree == "events",
                )
                for tree, one in made.items()
                if one.is_begun
            ]

    def tables(
        self, room: str, broadcast: int, span: Range, before: Sequence[ArchiveFile], staff: Callable[[pa.Table], None]
    ) -> Iterator[pa.Table]:
        """What the public file of a span would hold if it was made now, in its order; nothing is written.

        Args:
            room: the room.
            broadcast: its airing.
            span: of program time, from the start of an hour to the end of one.
            before: the public file over the span; rows that left the journal are taken from it.
            staff: given the rows of the journal that would go to the other file.

        Raises:
            CorruptError: a row of the journal or a file is damaged.
            StoreError: they cannot be read.
        """
        kept = _Kept(self._journal, self._recall, before)
        return _in_one_order([self._shown(room, broadcast, span, staff), *kept.streams()])

    def _shown(self, room: str, broadcast: int, span: Range, staff: Callable[[pa.Table], None]) -> Iterator[pa.Table]:
        """What the journal has of a span, everyone may see, and is not hidden; the rest is handed on, by the way."""
        finals: Finals | None = None
        for columns in self._journal.checked_columns(room, broadcast, span):
            if not POLL_KINDS.isdisjoint(columns["kind"]):
                finals = finals or Finals(self._journal, self._catalog, room, broadcast)
                columns = finals.archived(columns)  # noqa: PLW2901
            shown = public_rows(columns)
            table = journal_table(columns, anonymous_kinds=_VOTES)
            if shown is None:
                yield table
                continue
            is_shown = pa.array(shown)
            staff(table.filter(pc.invert(is_shown)))
            if any(shown):
                yield table.filter(is_shown)

    def make_record(self, room: str, broadcast: int, before: Sequence[ArchiveFile]) -> list[MadeFile]:
        """A broadcast's segments, observations and viewers, as far as there are more than in the files before.

        Raises:
            CorruptError: a row of the catalog is damaged.
            StoreError: they cannot be written.
        """
        trees = {
            "segments": rows_table(self._catalog.segment_rows(room, broadcast), SEGMENTS),
            "observations": rows_table(self._catalog.observation_rows(room, broadcast), OBSERVATIONS),
            "viewers": rows_table(self._catalog.viewer_rows(room, broadcast), VIEWERS),
        }
        with contextlib.ExitStack() as stack:
            made = []
            for tree, table in trees.items():
                known = [file for file in before if file.tree == tree]
                if table.num_rows <= sum(file.rows for file in known):
                    continue
                path = self._files.broadcast_path(tree, room, broadcast, _next_generation(known))
                one = stack.enter_context(_Making(self._files, tree, path, schema=table.schema))
                one.put(table)
                made.append(one.finished(room=room, broadcast=broadcast, hour_us=None))
            return made

    def offsets_in(self, file: ArchiveFile) -> Sequence[int]:
        """The offsets in a file, rising, once it was compared with its SHA-256.

        Raises:
            CorruptError: it is missing or damaged.
        """
        offsets = array("q")
        for table in self._recall.groups(file, ["offset"]):
            offsets.extend(table.column("offset").to_pylist())
        return array("q", sorted(offsets))

    def rest(self) -> None:
        """Nothing is kept here."""


class _Making:
    """One file while it is made; what was begun and is not finished goes when the context ends."""

    def __init__(self, files: Files, tree: str, path: Path, *, schema: pa.Schema = EVENTS) -> None:
        self._files, self._tree, self._path, self._schema = files, tree, path, schema
        self._writer: GroupWriter | None = None
        self._temporary: Path | None = None
        self._is_finished = False
        self._authors: set[str] = set()
        self._ranges: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> _Making:
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None and (self._is_finished or not self.is_begun):
            return
        if self._writer is not None and not self._is_finished:
            self._writer.abort()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)

    @property
    def is_begun(self) -> bool:
        """Whether there is going to be such a file."""
        return self._writer is not None

    def begin(self) -> GroupWriter:
        """Make the file, be there rows or none."""
        if self._writer is None:
            try:
                self._temporary = self._files.temporary_beside(self._path)
                self._writer = GroupWriter(self._temporary, self._schema)
            except OSError as error:
                raise store_error(error, self._files.root) from error
        return self._writer

    def put(self, table: pa.Table) -> None:
        """Add rows in the order of the file."""
        writer = self.begin()
        try:
            writer.put(table)
        except OSError as error:
            raise store_error(error, self._files.root) from error
        if self._schema is EVENTS and table.num_rows:
            self._authors.update(authors_of(table))
            for name in ("offset", "wall_us", "program_us"):
                found = pc.min_max(table.column(name).cast(pa.int64())).as_py()
                lowest, highest = self._ranges.get(name, (found["min"], found["max"]))
                self._ranges[name] = (min(lowest, found["min"]), max(highest, found["max"]))

    def finished(
        self, *, room: str, broadcast: int, hour_us: int | None, end_hour_us: int | None = None, pruned: bool = False
    ) -> MadeFile:
        """The file whole, and what is known of it.

        Raises:
            StoreError: it cannot be written.
        """
        writer = self.begin()
        assert self._temporary is not None  # begun just now, if not before
        try:
            writer.close()
            digest, size_bytes = sha256_of(self._temporary), self._temporary.stat().st_size
        except OSError as error:
            raise store_error(error, self._files.root) from error
        self._is_finished = True
        nothing = (None, None)
        start_us, end_us = self._ranges.get("program_us", nothing)
        first_offset, last_offset = self._ranges.get("offset", nothing)
        file = ArchiveFile(
            path=self._files.relative(self._path),
            tree=self._tree,
            room=room,
            broadcast=broadcast,
            hour_us=hour_us,
            generation=int(self._path.suffixes[0].removeprefix(".g")),
            rows=writer.rows,
            start_us=start_us,
            end_us=end_us,
            sha256=digest,
            size_bytes=size_bytes,
            schema_version=SCHEMA_VERSION,
            end_hour_us=end_hour_us,
            first_offset=first_offset,
            last_offset=last_offset,
            last_wall_us=self._ranges.get("wall_us", nothing)[1],
            pruned=pruned,
        )
        return MadeFile(file, authors_index(self._authors), self._files.relative(self._temporary))


class _Kept:
    """Rows of earlier generations that the journal has no more.

    Attributes:
        is_any: whether there were any, of those that were asked for so far.
    """

    def __init__(self, journal: JournalReads, recall: Recall, before: Sequence[ArchiveFile]) -> None:
        self._journal, self._recall = journal, recall
        self._before = [file for file in before if file.pruned]
        self.is_any = False

    def streams(self) -> list[Iterator[pa.Table]]:
        """Of each file its rows, in order."""
        return [self._of(file) for file in self._before]

    def _of(self, file: ArchiveFile) -> Iterator[pa.Table]:
        for table in self._recall.groups(file):
            offsets = pc.min_max(table.column("offset")).as_py()
            known = self._journal.offsets_between(file.room, offsets["min"], offsets["max"])
            left = table.filter(pc.invert(pc.is_in(table.column("offset"), pa.array(known, pa.int64()))))
            if left.num_rows:
                self.is_any = True
                yield left


def _next_generation(known: Sequence[ArchiveFile]) -> int:
    return 1 + max((file.generation for file in known), default=0)


def _in_one_order(streams: Sequence[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Tables of ``EVENTS`` from several sources, each in order of (program time, offset), in that order; a table of each is held."""
    waiting = [(table, stream) for stream in streams if (table := next(stream, None)) is not None]
    while len(waiting) > 1:
        through = min(_place(table, -1) for table, _ in waiting)
        parts, left = [], []
        for table, stream in waiting:
            count = _count_through(table, through)
            if count:
                parts.append(table.slice(0, count))
            rest = table.slice(count) if count < table.num_rows else next(stream, None)
            if rest is not None:
                left.append((rest, stream))
        waiting = left
        if len(parts) == 1:
            yield parts[0]
        else:
            joined = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
            order = pc.sort_indices(joined, sort_keys=[("program_us", "ascending"), ("offset", "ascending")])
            yield joined.take(order)
    for table, stream in waiting:
        yield table
        yield from stream


def _place(table: pa.Table, index: int) -> tuple[int, int]:
    index %= table.num_rows
    return table.column("program_us")[index].value, table.column("offset")[index].as_py()


def _count_through(table: pa.Table, through: tuple[int, int]) -> int:
    """How many of a table's rows, which are in order, stand at this place or before."""
    low, high = 0, table.num_rows
    while low < high:
        middle = (low + high) // 2
        if _place(table, middle) <= through:
            low = middle + 1
        else:
            high = middle
    return low
