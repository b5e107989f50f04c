"""Polls at work: which are open, which wait for slow lines, and whose vote still counts.

Owns: ``Polls``. Does not know: sockets, the journal, how votes are printed (``replay.tallies``). Units: µs of program time.
Source: contract §2: a vote counts if its stamp is before the close, no playhead of its author has passed the close, and the
watermark has not; then the tally is final.

A teacher closes a poll in program time, so a pupil whose picture is half a minute behind has that half minute still to vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatsync.chat.event import Event
from chatsync.errors import MessageRejectedError, NotFoundError

__all__ = ["CHOICES_MAX", "CHOICES_MIN", "OPEN_POLLS_MAX", "Polls", "checked_choices"]

CHOICES_MIN = 2
CHOICES_MAX = 20
OPEN_POLLS_MAX = 10


@dataclass(slots=True)
class _Poll:
    opened: Event
    closed: Event | None = None
    passed: set[str] = field(default_factory=set)  # authors whose picture has passed the close


class Polls:
    """The polls of the current broadcast. Feed it events in the order of the log, and playheads."""

    def __init__(self) -> None:
        self._polls: dict[str, _Poll] = {}
        self._closing: dict[str, _Poll] = {}  # those of them that are closed and not final

    def take(self, event: Event) -> None:
        """Take in what the log says; kinds that are not about polls change nothing."""
        name = str(event.details.get("poll", ""))
        if event.kind == "poll_opened":
            self._polls.setdefault(name, _Poll(event))
        elif event.kind == "poll_closed" and (poll := self._polls.get(name)) is not None and poll.closed is None:
            poll.closed = event
            self._closing[name] = poll

    def check_opening(self, name: str) -> None:
        """Whether a poll of this name may be opened.

        Raises:
            MessageRejectedError: ``poll_exists`` (names are used once in a broadcast), ``too_many_polls``.
        """
        if name in self._polls:
            raise MessageRejectedError("poll_exists", "This broadcast has had a poll of that name; give it another.")
        if sum(poll.closed is None for poll in self._polls.values()) >= OPEN_POLLS_MAX:
            raise MessageRejectedError("too_many_polls", f"At most {OPEN_POLLS_MAX} polls are open at once; close one.")

    def opened(self, name: str) -> Event:
        """What opened the poll, if it is open.

        Raises:
            NotFoundError: there is none of this name.
            MessageRejectedError: ``poll_closed``.
        """
        poll = self._polls.get(name)
        if poll is None:
            raise NotFoundError("poll")
        if poll.closed is not None:
            raise MessageRejectedError("poll_closed", "The poll is closed.")
        return poll.opened

    def voted_on(self, name: str, author_key: str, program_us: int, *, watermark_us: int | None) -> Event:
        """What opened a poll, if a vote of this author that stands there still counts.

        Args:
            name: of the poll.
            author_key: who votes.
            program_us: where the vote stands.
            watermark_us: program time up to which tallies are final; None: nothing is.

        Raises:
            NotFoundError: there is none of this name.
            MessageRejectedError: ``poll_closed``.
        """
        poll = self._polls.get(name)
        if poll is None:
            raise NotFoundError("poll")
        if poll.closed is not None and not self._is_in_time(poll, author_key, program_us, watermark_us):
            raise MessageRejectedError("poll_closed", "The poll is closed.")
        return poll.opened

    @staticmethod
    def _is_in_time(poll: _Poll, author_key: str, program_us: int, watermark_us: int | None) -> bool:
        assert poll.closed is not None
        close_us = poll.closed.program_us
        is_final = watermark_us is not None and watermark_us > close_us
        return program_us < close_us and author_key not in poll.passed and not is_final

    def receive_playhead(self, author_key: str, broadcast: int, program_us: int) -> None:
        """An author's picture is there now: whoever has seen the close cannot vote any more by going back."""
        for poll in self._closing.values():
            if poll.closed is not None and broadcast == poll.closed.broadcast and program_us >= poll.closed.program_us:
                poll.passed.add(author_key)

    def finals(self, watermark_us: int | None) -> list[Event]:
        """What closed the polls that have become final since the last call."""
        if watermark_us is None or not self._closing:
            return []
        done = [name for name, poll in self._closing.items() if poll.closed and watermark_us > poll.closed.program_us]
        return [closed for name in done if (closed := self._closing.pop(name).closed) is not None]


def checked_choices(opened: Event, chosen: Sequence[object]) -> list[int]:
    """The choices of a vote, by index, rising.

    Raises:
        MessageRejectedError: ``bad_choices``: none, more than one where one is allowed, or what the poll does not have.
    """
    count = len(opened.details.get("choices", ()))
    picked = {one for one in chosen if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < count}
    if not picked or len(picked) < len(chosen):
        raise MessageRejectedError("bad_choices", f"Choose by index, 0 to {count - 1}.")
    if len(picked) > 1 and not opened.details.get("multiple", False):
        raise MessageRejectedError("bad_choices", "Choose one.")
    return sorted(picked)
