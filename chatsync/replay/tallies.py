"""Counting: votes of polls and upvotes of questions, as they stood at each moment of a slice and when a poll was closed.

Owns: ``OpenPoll`` and ``Counting``. Does not know: which votes are let in (``chat.polls``), files, who asks.
Units: µs inside, ms in what it prints. Source: contract §2 (a vote counts before the close), §3 ``tallies``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from chatsync.chat.event import Event
from chatsync.instants import SECOND_US, ms_from_us

__all__ = ["Counted", "Counting", "OpenPoll"]


@dataclass(slots=True)
class OpenPoll:
    """A poll with the votes so far. The last vote of a person counts."""

    event: Event  # what opened it
    votes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by author key; a vote of nobody's by its offset
    newest: int = 0  # the greatest offset of a vote that was counted
    counts: list[int] = field(default_factory=list)  # how often each choice was chosen; empty before the first vote

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
        self.newest = max(self.newest, vote.offset)
        key = vote.author.key if vote.author is not None else f"#{vote.offset}"
        counts = self.counts = self.counts or [0] * len(self.choices)
        for one in self.votes.get(key, ()):
            counts[one] -= 1
        chosen = self.votes[key] = tuple(one for one in vote.details.get("choices", ()) if 0 <= one < len(counts))
        for one in chosen:
            counts[one] += 1

    def tally(self) -> list[int]:
        """How often each choice was chosen."""
        return list(self.counts) or [0] * len(self.choices)

    def copied(self) -> OpenPoll:
        """The same, to count on without changing this one."""
        return OpenPoll(self.event, dict(self.votes), self.newest, list(self.counts))

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
        closes: those ``poll_closed``, by their offset.
        newest: of each of the tallies the greatest offset that it counts: one vote that comes late changes all that follow it.
    """

    tallies: list[dict[str, Any]] = field(default_factory=list)
    finals: dict[int, dict[str, Any]] = field(default_factory=dict)
    closes: dict[int, Event] = field(default_factory=dict)
    newest: list[int] = field(default_factory=list)

    def told(self, *, after: int | None, final_before_us: int) -> Counted:
        """What of it is told of a stretch that is still growing.

        A close that is told already becomes final later: then it is one of the tallies, ``final``, for as long as it is in the stretch.

        Args:
            after: whoever asks has what was counted up to this offset; None: nothing.
            final_before_us: only polls closed before it are final.
        """
        known = -1 if after is None else after
        tallies = [one for one, newest in zip(self.tallies, self.newest, strict=True) if newest > known]
        finals = {
            offset: self.finals[offset] for offset, one in self.closes.items() if one.program_us < final_before_us
        }
        tallies += [
            {"program_ms": ms_from_us(self.closes[offset].program_us), "poll": self.closes[offset].details.get("poll")}
            | final
            | {"final": True}
            for offset, final in finals.items()
            if offset <= known
        ]
        return Counted(tallies, finals)


class Counting:
    """Counts on from a state.

    Args:
        questions: upvotes of the open questions, by offset.
        polls: the open polls; they are changed.
        newest: of the open questions the greatest offset of an upvote, where there is one.
    """

    def __init__(
        self, questions: dict[int, int], polls: dict[str, OpenPoll], newest: Mapping[int, int] = MappingProxyType({})
    ) -> None:
        self._questions, self._polls = questions, polls
        self._counted = Counted()
        self._second: dict[str, tuple[int, int]] = {}  # by poll: its last second, and which of the tallies that is
        # By poll, or offset of a question: the greatest offset counted.
        self._newest: dict[str | int, int] = {name: poll.newest for name, poll in polls.items()}
        self._newest.update(newest.items())

    def counted(self, events: Iterable[Event]) -> Counted:
        """Count events by (program time, offset). What is hidden, answered or closed is not counted on."""
        for event in events:
            if not event.hidden:
                self._take(event)
        return self._counted

    def _take(self, event: Event) -> None:
        target = event.target
        match event.kind:
            case "question":
                self._questions[event.offset] = 0
            case "question_answered" if target is not None:
                self._questions.pop(target, None)
            case "question_upvoted" if target in self._questions:
                self._questions[target] += 1
                program_ms = ms_from_us(event.program_us)
                self._put({"program_ms": program_ms, "target": target, "count": self._questions[target]}, target, event)
            case "poll_opened":
                self._polls.setdefault(str(event.details.get("poll", "")), OpenPoll.of(event))
            case "poll_voted":
                self._vote(event)
            case "poll_closed":
                poll = self._polls.pop(str(event.details.get("poll", "")), None)
                if poll is not None:
                    answer = {} if poll.answer is None else {"answer": poll.answer}
                    self._counted.finals[event.offset] = {"tally": poll.tally(), **answer}
                    self._counted.closes[event.offset] = event

    def _put(self, entry: dict[str, Any], of: str | int, event: Event, at: int | None = None) -> int:
        """Enter how something stands after an event, in place of an earlier entry or as a new one; where it is."""
        counted = self._counted
        newest = self._newest[of] = max(event.offset, self._newest.get(of, 0))
        if at is None:
            counted.tallies.append(entry)
            counted.newest.append(newest)
            return len(counted.tallies) - 1
        counted.tallies[at], counted.newest[at] = entry, newest
        return at

    def _vote(self, event: Event) -> None:
        poll = self._polls.get(str(event.details.get("poll", "")))
        if poll is None:
            return
        poll.count(event)
        second = event.program_us // SECOND_US
        known = self._second.get(poll.poll)
        entry = {"program_ms": ms_from_us(event.program_us), "poll": poll.poll, "tally": poll.tally()}
        same = known[1] if known is not None and known[0] == second else None
        self._second[poll.poll] = second, self._put(entry, poll.poll, event, same)
