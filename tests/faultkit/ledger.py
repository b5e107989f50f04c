"""A ledger of what a relay promised, kept outside its process: what was sent, what was acked, and what was then read.

Owns: message numbers, ids and texts made from them, and the comparison of acks with the log. Does not know: sockets, faults.
A message is a number. Its id and its text follow from it, so that a million of them take some thirty bytes each.
"""

from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from chatsync.chat.event import StampKind

__all__ = ["Ledger", "Reader", "id_of", "number_of", "text_of"]

_STAMPS = get_args(StampKind)
_ID = 0x0192_0000_0000_7000_8000_000000000000


def id_of(number: int) -> str:
    """The client id of a message: a UUIDv7 in form, its number in the last twelve digits."""
    return str(uuid.UUID(int=_ID + number))


def number_of(message_id: str) -> int:
    """The number of a message, by its id."""
    return int(message_id[-12:], 16)


def text_of(number: int) -> str:
    """What a message says: of several lengths, and not in ASCII alone."""
    return f"#{number} \N{LATIN SMALL LETTER E WITH ACUTE}\N{ARABIC LETTER SHEEN} {'x' * (number * 7919 % 120)}."


class Ledger:
    """What authors know of one room.

    Attributes:
        acked: how many messages were acked.
        open: numbers of what was sent and never answered, by author.
        sent: how many messages were sent.
    """

    def __init__(self) -> None:
        self.open: dict[str, set[int]] = {}
        self.acked = 0
        self._authors: list[str] = []
        self._author_of = bytearray()
        self._offsets = array("q")  # 0: not acked
        self._program_ms = array("q")
        self._stamps = bytearray()
        self._read_at = array("q")  # offset at which the log has it; 0: not read yet

    @property
    def sent(self) -> int:
        """How many messages were sent."""
        return len(self._offsets)

    def new(self, author: str) -> int:
        """A new message of an author, noted before it is sent."""
        if author not in self._authors:
            self._authors.append(author)
            self.open[author] = set()
        number = len(self._offsets)
        self._author_of.append(self._authors.index(author))
        self._stamps.append(0)
        for column in (self._offsets, self._program_ms, self._read_at):
            column.append(0)
        self.open[author].add(number)
        return number

    def author(self, number: int) -> str:
        """Who said it."""
        return self._authors[self._author_of[number]]

    def is_acked(self, number: int) -> bool:
        """Whether its author was told that it is durable."""
        return self._offsets[number] != 0

    def note_ack(self, answer: Mapping[str, Any]) -> None:
        """An ack came: the first stands, and a later one must say the same."""
        assert "fsync" == answer.get("durable"), answer
        number = number_of(answer["id"])
        told = (answer["offset"], answer["program_ms"], _STAMPS.index(answer["stamp"]))
        if self._offsets[number]:
            assert (self._offsets[number], self._program_ms[number], self._stamps[number]) == told
        else:
            self._offsets[number], self._program_ms[number], self._stamps[number] = told
            self.acked += 1
            if self._read_at[number]:
                assert self._read_at[number] == told[0]
        self.open[self.author(number)].discard(number)

    def check(self, event: Mapping[str, Any]) -> int:
        """An event of the log that is a message: it is what was sent, and where and when its ack says; its number."""
        number = number_of(event["id"])
        assert text_of(number) == event["text"]
        if self._offsets[number]:
            assert (self._offsets[number], self._program_ms[number], self._stamps[number]) == (
                event["offset"],
                event["program_ms"],
                _STAMPS.index(event["stamp"]),
            ), f"message {number} is not where and when its ack says"
        return number

    def note_read(self, event: Mapping[str, Any]) -> None:
        """An event read from the log: it is right, and it is there once only."""
        number = self.check(event)
        assert self._read_at[number] in {0, event["offset"]}, f"message {number} stands twice"
        self._read_at[number] = event["offset"]

    def check_nothing_lost(self, through: int) -> None:
        """Everything acked up to an offset was read there."""
        for number, offset in enumerate(self._offsets):
            if 0 < offset <= through:
                assert self._read_at[number] == offset, f"message {number}, acked at {offset}, is lost"

    def check_whole_log(self, events: Iterable[Mapping[str, Any]]) -> int:
        """A whole log, read afresh in any order: each message once, all that was acked among them; how many events."""
        offsets, messages = bytearray(), bytearray(len(self._offsets))
        count = 0
        for event in events:
            offset = event["offset"]
            if len(offsets) <= offset:
                offsets.extend(bytes(offset + 1 - len(offsets)))
            assert not offsets[offset], f"offset {offset} stands twice"
            offsets[offset] = 1
            count += 1
            if event["kind"] == "message":
                number = self.check(event)
                assert not messages[number], f"message {number} stands twice"
                messages[number] = 1
        assert count == len(offsets) - 1, "the log has holes"
        for number, offset in enumerate(self._offsets):
            assert not offset or messages[number], f"message {number}, acked at {offset}, is lost"
        return count


class Reader:
    """Somebody who reads a room's log for good, over every break of the connection.

    Args:
        ledger: what to compare with.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.through: dict[str, Any] = {"epoch": "1", "offset": 0}

    @property
    def offset(self) -> int:
        """The last offset read."""
        return int(self.through["offset"])

    def receive(self, frame: Mapping[str, Any]) -> None:
        """A ``welcome`` or ``events`` frame: it goes on where the last one ended, without hole or repetition."""
        offset = self.offset
        assert self.through["epoch"] == frame["through"]["epoch"], "the epoch rose: history was not intact"
        for event in frame["events"]:
            assert offset + 1 == event["offset"], f"{event['offset']} came after {offset}"
            offset += 1
            if event["kind"] == "message":
                self._ledger.note_read(event)
        assert offset == frame["through"]["offset"]
        self.through = frame["through"]
