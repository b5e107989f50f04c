"""Counting: votes of polls and upvotes of questions, as they stood at each moment of a slice and when a poll was closed.

Owns: ``OpenPoll`` and ``Counting``. Does not know: which votes are let in (``chat.polls``), files, who asks.
Units: µs inside, ms in what it prints. Source: contract §2 (a vote counts before the close), §3 ``tallies``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chatsync.chat.event import Event
from chatsync.instants import SECOND_US, ms_from_us

__all__ = ["Counted", "Counting", "OpenPoll"]


@dataclass(slots=True)
class OpenPoll:
    """A poll with the votes so far. The last vote of a person counts."""

    event: Event  # what opened it
    votes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by author key; a vote of nobody's by its offset

    @classmethod
    def of(cls, opened: Event) -> OpenPoll:
        """The poll that a ``poll_opened`` opens."""
        return cls(opened)

    @property
    def poll(self) -> str:
        """Its name, given by whoever opened it."""
        return str(self.event.details.get("poll", ""))

    @property
    def choices(self) -> tuple[str, ...]:
        """What one may choose."""
        return tuple(self.event.details.get("choices", ()))

    @property
    def answer(self) -> list[int] | None:
        """The right choices of a quiz, by index; staff only until the tally is final."""
        answer: list[int] | None = self.event.details.get("answer")
        return answer

    def count(self, vote: Event) -> None:
        """Take a vote in. Choices that the poll does not have count nowhere."""
        key = vote.author.key if vote.author is not None else f"#{vote.offset}"
        self.votes[key] = tuple(one for one in vote.details.get("choices", ()) if 0 <= one < len(self.choices))

    def tally(self) -> list[int]:
        """How often each choice was chosen."""
        counts = [0] * len(self.choices)
        for chosen in self.votes.values():
            for one in chosen:
                counts[one] += 1
        return counts

    def copied(self) -> OpenPoll:
        """The same, to count on without changing this one."""
        return OpenPoll(self.event, dict(self.votes))

    def to_wire(self) -> dict[str, Any]:
        """An open poll as everyone sees it: never the answer."""
        return {
            "poll": self.poll,
            "offset": self.event.offset,
            "question": self.event.details.get("question"),
            "choices": list(self.choices),
            "multiple": bool(self.event.details.get("multiple", False)),
            "program_ms": ms_from_us(self.event.program_us),
            "voters": len(self.votes),
            "tally": self.tally(),
        }


@dataclass(slots=True)
class Counted:
    """What a stretch of events counted.

    Attributes:
        tallies: changes in order: every upvote, and of each poll the last of every program second.
        finals: what a ``poll_closed`` prints besides, by its offset.
    """

    tallies: list[dict[str, Any]] = field(default_factory=list)
    finals: dict[int, dict[str, Any]] = field(default_factory=dict)


class Counting:
    """Counts on from a state.

    Args:
        questions: upvotes of the open questions, by offset.
        polls: the open polls; they are changed.
    """

    def __init__(self, questions: dict[int, int], polls: dict[str, OpenPoll]) -> None:
        self._questions, self._polls = questions, polls
        self._counted = Counted()
        self._second: dict[str, tuple[int, dict[str, Any]]] = {}  # by poll: its last second, and what stands there

    def counted(self, events: Iterable[Event]) -> Counted:
        """Count events by (program time, offset). What is hidden, answered or closed is not counted on."""
        for event in events:
            if not event.hidden:
                self._take(event)
        return self._counted

    def _take(self, event: Event) -> None:
        target, tallies = event.target, self._counted.tallies
        match event.kind:
            case "question":
                self._questions[event.offset] = 0
            case "question_answered" if target is not None:
                self._questions.pop(target, None)
            case "question_upvoted" if target in self._questions:
                self._questions[target] += 1
                program_ms = ms_from_us(event.program_us)
                tallies.append({"program_ms": program_ms, "target": target, "count": self._questions[target]})
            case "poll_opened":
                self._polls.setdefault(str(event.details.get("poll", "")), OpenPoll.of(event))
            case "poll_voted":
                self._vote(event)
            case "poll_closed":
                poll = self._polls.pop(str(event.details.get("poll", "")), None)
                if poll is not None:
                    answer = {} if poll.answer is None else {"answer": poll.answer}
                    self._counted.finals[event.offset] = {"tally": poll.tally(), **answer}

    def _vote(self, event: Event) -> None:
        poll = self._polls.get(str(event.details.get("poll", "")))
        if poll is None:
            return
        poll.count(event)
        second = event.program_us // SECOND_US
        known = self._second.get(poll.poll)
        if known is None or known[0] != second:
            entry: dict[str, Any] = {"program_ms": 0, "poll": poll.poll, "tally": []}
            self._counted.tallies.append(entry)
            self._second[poll.poll] = second, entry
        entry = self._second[poll.poll][1]
        entry |= {"program_ms": ms_from_us(event.program_us), "tally": poll.tally()}
