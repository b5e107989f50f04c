"""A file read once, to its end, before anything of it is written: what it says, where that stands, and what it takes away again.

Owns: which lines are lines of the room, a spool of them, the figures. Does not know: formats, the log.
Units: µs. Source: contract §2; formats.md.

Nothing is half imported, so that the end of the file has to be seen first; and what was taken away further down must not enter further up. A
file may be larger than memory: its lines wait in a file of the data folder that has no name.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from chatsync.chat.event import MESSAGE_KINDS, Role
from chatsync.errors import FileDamagedError
from chatsync.instants import DAY_US
from chatsync.transfer.cleaning import Cleaning
from chatsync.transfer.fields import REMOVED
from chatsync.transfer.line import Left, Line, Removal
from chatsync.transfer.placing import Airings, Place, Placing
from chatsync.transfer.reading import Reader, network_of, networks_of

__all__ = ["Gathered", "Gathering", "Spool", "line_id"]

_EARLIEST_US = 631_152_000_000_000  # 1990: what says it was said before is not told when
_REASONS_MAX = 100
_NAMED_MAX = 20_000  # lines that a reply may be to, where only the file knows its ids: some MiB
_ALL = "\n"  # no id: what takes away everything said before


class Gathered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line as it is to enter the room."""

    number: int  # in the file
    id: str
    program_us: int
    broadcast: int | None  # None: by its instant
    kind: str
    subject: str | None  # who said it, of the network; None: nobody
    name: str
    role: Role
    badges: tuple[str, ...]
    text: str
    reply_to: str | None  # the id of what it replies to
    details: dict[str, Any]


class Spool:
    """Lines on their way, in a file without a name.

    Args:
        folder: where it lies: nowhere but where the room's data lies anyway.
    """

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - open as long as this is
        self._encode = msgspec.msgpack.Encoder().encode
        self.count = 0

    def put(self, line: Gathered) -> None:
        """Append a line."""
        packed = self._encode(line)
        self._file.write(len(packed).to_bytes(4, "big") + packed)
        self.count += 1

    def __iter__(self) -> Iterator[Gathered]:
        self._file.seek(0)
        decode = msgspec.msgpack.Decoder(Gathered).decode
        while length := self._file.read(4):
            yield decode(self._file.read(int.from_bytes(length, "big")))

    def close(self) -> None:
        """It is gone."""
        self._file.close()


class Gathering:
    """What one file says.

    Args:
        reader: of its format.
        placing: where its lines stand.
        airings: of the room.
        spool: for the lines.
        wall_us: the system's wall time now: nothing was said after it.

    Attributes:
        read: lines, removals and what is neither.
        skipped: what stays out, by reason.
        damage: where reading had to end; None: it came to the end.
        cleaning: what was cut.
        start_us: program time of the first line, and ``end_us`` of the last.
    """

    def __init__(self, reader: Reader, placing: Placing, airings: Airings, spool: Spool, *, wall_us: int) -> None:
        self._reader, self._placing, self._airings, self._spool = reader, placing, airings, spool
        self._latest_us = wall_us + DAY_US
        self._lines_gone: dict[str, int] = {}
        self._authors_gone: dict[str, int] = {}
        self._named: dict[str, str] = {}  # ids that mean something in this file only
        self._same: Counter[str] = Counter()
        self._same_us: int | None = None
        self.read = 0
        self.skipped: Counter[str] = Counter()
        self.damage: FileDamagedError | None = None
        self.cleaning = Cleaning()
        self.start_us: int | None = None
        self.end_us: int | None = None

    def gather(self, found: Iterable[Line | Removal | Left], *, is_partial: bool) -> None:
        """Read to the end.

        Args:
            found: what the format's module reads.
            is_partial: whether what comes before damage is good enough.

        Raises:
            FileDamagedError: it is not.
            FileUnplacedError: the file needs to be told when it began.
        """
        try:
            for one in found:
                self.read += 1
                if isinstance(one, Line):
                    self._take(one)
                elif isinstance(one, Removal):
                    self._take_away(one)
                else:
                    self._skip(one.why)
        except FileDamagedError as error:
            if not is_partial:
                raise
            self.damage = error
        self._airings.settle()

    def is_gone(self, line: Gathered) -> bool:
        """Whether the source took a line away further down."""
        return (
            self._lines_gone.get(line.id, 0) > line.number
            or (line.subject is not None and self._authors_gone.get(line.subject, 0) > line.number)
            or self._authors_gone.get(_ALL, 0) > line.number
        )

    @property
    def lines_gone(self) -> set[str]:
        """Ids of lines that the source took away by name."""
        return set(self._lines_gone)

    def _skip(self, why: str) -> None:
        self.skipped[why if why in self.skipped or len(self.skipped) < _REASONS_MAX else "is something else"] += 1

    def _take(self, line: Line) -> None:
        place = self._placing.place(line.program_us, line.position_us)
        if not isinstance(place, Place):
            self._skip(place)
            return
        if not _EARLIEST_US <= place.program_us <= self._latest_us:
            self._skip("is said to be of before 1990 or of the future")
            return
        text = self.cleaning.text(line.text)
        if not text:
            self._skip("has nothing to read in it")
            return
        if place.broadcast is None:
            self._airings.note(place.program_us)
        self.start_us = place.program_us if self.start_us is None else min(self.start_us, place.program_us)
        self.end_us = place.program_us if self.end_us is None else max(self.end_us, place.program_us)
        subject = self._subject(line.author_id)
        network = network_of(self._reader, line.author_id)
        if subject is None and line.kind != "system":
            subject = f"import:{self._reader.network}:"  # somebody, of whom nothing is known
        self._spool.put(
            Gathered(
                number=self.read,
                id=self._id(network, line.id, place.program_us, subject, text),
                program_us=place.program_us,
                broadcast=place.broadcast,
                kind=line.kind if line.kind in MESSAGE_KINDS else "message",
                subject=subject,
                name=self.cleaning.name(line.author_name),
                role=line.role,
                badges=self.cleaning.badges(line.badges),
                text=text,
                reply_to=self._reply_to(network, line.reply_to),
                details=self._details(line),
            )
        )

    def _take_away(self, removal: Removal) -> None:
        if removal.line_id is not None:
            for network in networks_of(self._reader):
                self._lines_gone[line_id(network, removal.line_id)] = self.read
        else:
            subject = _ALL if removal.author_id is None else self._subject(removal.author_id)
            self._authors_gone[subject or _ALL] = self.read

    def _subject(self, author_id: str | None) -> str | None:
        """Who somebody is, so that nobody of ours can be meant: ids of a network are that network's."""
        if author_id is None:
            return None
        network = network_of(self._reader, author_id)
        if len(author_id) > 200:
            author_id = hashlib.sha256(author_id.encode("utf-8", "surrogatepass")).hexdigest()
        return f"import:{network}:{author_id}".encode("utf-8", "replace").decode()

    def _id(self, network: str, id_: str, program_us: int, subject: str | None, text: str) -> str:
        """The id that a line has whenever it is imported. What has none of its own is known by all that is known of it."""
        if id_ and self._reader.has_own_ids:
            return line_id(network, id_)
        if program_us != self._same_us:
            self._same.clear()
            self._same_us = program_us
        made = _hashed(network, id_, program_us, subject, text)
        self._same[made] += 1
        made = made if self._same[made] == 1 else _hashed(made, self._same[made])
        if id_:
            if len(self._named) >= _NAMED_MAX:
                del self._named[next(iter(self._named))]
            self._named[id_] = made
        return made

    def _reply_to(self, network: str, id_: str | None) -> str | None:
        if not id_:
            return None
        return line_id(network, id_) if self._reader.has_own_ids else self._named.get(id_)

    def _details(self, line: Line) -> dict[str, Any]:
        """Details under one name of ours: none of them can mean anything else to anybody. What was paid stands where it always does."""
        details = dict(line.details)
        paid: dict[str, Any] = {}
        if line.kind == "paid":
            amount, currency = details.get("amount"), details.get("currency")
            if isinstance(amount, int | float) and isinstance(currency, str) and abs(amount) < 1e15:
                paid = {"amount": amount, "currency": self.cleaning.name(currency)}
                del details["amount"], details["currency"]
        kept = self.cleaning.details(details)
        return paid | ({"imported": kept} if kept else {})

    @property
    def removed(self) -> int:
        """Lines that the format itself says were taken away."""
        return self.skipped[REMOVED]


def line_id(network: str, id_: str) -> str:
    """The id in a room of a line that has one of its network."""
    return _hashed(network, id_)


def _hashed(*parts: object) -> str:
    joined = "\0".join(str(part) for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]
