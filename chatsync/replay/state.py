"""Room state at an instant: a fold over the log, so that a seek needs no history.

Owns: the mode, which pins, polls, hands and questions are up, and how a slice prints them. Does not know: ranges, files, who asks.
Units: µs inside, ms in what it prints. Source: contract §3 "state".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chatsync.chat.event import Author, Event
from chatsync.chat.mode import Mode, mode_to_wire
from chatsync.instants import ms_from_us
from chatsync.replay.tallies import OpenPoll

__all__ = ["HANDS_MAX", "QUESTIONS_MAX", "RoomState", "folded"]

QUESTIONS_MAX = 100  # in a state, most upvoted first
HANDS_MAX = 100


@dataclass(slots=True)
class _Question:
    event: Event
    upvotes: int = 0
    newest: int = 0  # the greatest offset of an upvote


@dataclass(slots=True)
class RoomState:
    """Pins, polls, hands and open questions, and the room's mode. Fold events in program order; hidden ones do not count."""

    mode: dict[str, Any] = field(default_factory=lambda: mode_to_wire(Mode()))
    _pinned: dict[int, Event] = field(default_factory=dict)  # by offset of what is pinned, or of the pin itself
    _hands: dict[str, tuple[Author, int]] = field(default_factory=dict)  # author key: since
    _questions: dict[int, _Question] = field(default_factory=dict)
    _polls: dict[str, OpenPoll] = field(default_factory=dict)

    def fold(self, event: Event) -> None:
        """Take one more event into account. Kinds that bear on no state, and hidden events, change nothing."""
        if event.hidden:
            return
        rule = _RULES.get(event.kind)
        if rule is not None:
            rule(self, event)

    def _question(self, event: Event) -> None:
        self._questions[event.offset] = _Question(event)

    def _upvoted(self, event: Event) -> None:
        if event.target in self._questions:
            question = self._questions[event.target]
            question.upvotes += 1
            question.newest = max(question.newest, event.offset)

    def _answered(self, event: Event) -> None:
        if event.target is not None:
            self._questions.pop(event.target, None)

    def _pin(self, event: Event) -> None:
        self._pinned[event.offset if event.target is None else event.target] = event

    def _unpin(self, event: Event) -> None:
        if event.target is None:
            self._pinned.clear()
        else:
            self._pinned.pop(event.target, None)

    def _mode(self, event: Event) -> None:
        self.mode = self.mode | event.details.get("mode", {})

    def _raise(self, event: Event) -> None:
        if event.author is not None:
            self._hands.setdefault(event.author.key, (event.author, event.program_us))

    def _lower(self, event: Event) -> None:
        key = event.details.get("author") or (event.author.key if event.author is not None else "")
        self._hands.pop(key, None)

    def _poll_opened(self, event: Event) -> None:
        poll = OpenPoll.of(event)
        self._polls.setdefault(poll.poll, poll)

    def _voted(self, event: Event) -> None:
        poll = self._polls.get(event.details.get("poll", ""))
        if poll is not None:
            poll.count(event)

    def _poll_closed(self, event: Event) -> None:
        self._polls.pop(event.details.get("poll", ""), None)

    def open_polls(self) -> dict[str, OpenPoll]:
        """The polls that are open, by their name, with the votes so far: copies, to count on."""
        return {name: poll.copied() for name, poll in self._polls.items()}

    def open_questions(self) -> dict[int, int]:
        """How often each open question has been upvoted, by its offset."""
        return {offset: question.upvotes for offset, question in self._questions.items()}

    def newest_upvotes(self) -> dict[int, int]:
        """The greatest offset of an upvote of each open question that has one, by the question's offset."""
        return {offset: question.newest for offset, question in self._questions.items() if question.newest}

    def upvoted(self) -> list[dict[str, int]]:
        """Counts of the open questions that have been upvoted, as the live socket prints them."""
        return [
            {"target": offset, "count": question.upvotes}
            for offset, question in self._questions.items()
            if question.upvotes
        ]

    def to_wire(self, author_index: Callable[[Author], int | dict[str, Any]]) -> dict[str, Any]:
        """The state as JSON values.

        Args:
            author_index: how an author is printed: an index into a slice's ``authors``, or the author itself.
        """
        questions = sorted(self._questions.values(), key=lambda q: (-q.upvotes, q.event.offset))[:QUESTIONS_MAX]
        hands = sorted(self._hands.values(), key=lambda hand: hand[1])[:HANDS_MAX]
        return {
            "mode": self.mode,
            "pinned": [
                {"offset": offset, "kind": "pinned", "text": pin.text, "program_ms": ms_from_us(pin.program_us)}
                for offset, pin in sorted(self._pinned.items())
            ],
            "polls": [poll.to_wire() for poll in self._polls.values()],
            "hands": [{"author": author_index(author), "since_ms": ms_from_us(since)} for author, since in hands],
            "questions": [
                {
                    "offset": q.event.offset,
                    "text": q.event.text,
                    "upvotes": q.upvotes,
                    "program_ms": ms_from_us(q.event.program_us),
                    **({} if q.event.author is None else {"author": author_index(q.event.author)}),
                }
                for q in questions
            ],
        }


_RULES: dict[str, Callable[[RoomState, Event], None]] = {
    "question": RoomState._question,
    "question_upvoted": RoomState._upvoted,
    "question_answered": RoomState._answered,
    "pinned": RoomState._pin,
    "unpinned": RoomState._unpin,
    "mode_changed": RoomState._mode,
    "poll_opened": RoomState._poll_opened,
    "poll_voted": RoomState._voted,
    "poll_closed": RoomState._poll_closed,
    "hand_raised": RoomState._raise,
    "hand_lowered": RoomState._lower,
}


def folded(events: Iterable[Event], *, before_us: int | None = None, mode: dict[str, Any] | None = None) -> RoomState:
    """The state made by a broadcast's events before an instant of program time (all of them if None).

    Args:
        events: in any order; they are folded by (program time, offset).
        before_us: exclusive.
        mode: what carries over from the broadcast before.
    """
    state = RoomState() if mode is None else RoomState(mode=mode)
    for event in sorted(events, key=lambda e: e.place):
        if before_us is None or event.program_us < before_us:
            state.fold(event)
    return state
