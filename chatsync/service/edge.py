"""What is up in a room at the live edge: mode, pins, polls, hands, questions, who is muted or banned; and what is told of it.

Owns: the state at the edge and what stands beyond a broadcast, kept up with the log. Does not know: sockets, who may do what
(``floor``), how events are committed. Runs on the event loop; restoring may be done in a thread.
Units: µs. Source: contract §1, §3 (state), §5 (``tallies``, ``state``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from chatsync.chat.event import STATE_KINDS, Event
from chatsync.chat.mode import Mode, mode_to_wire
from chatsync.chat.polls import Polls
from chatsync.chat.standing import STANDING_KINDS, Standing
from chatsync.chat.wire import encoded
from chatsync.instants import MINUTE_US
from chatsync.replay.pulse import LOST, MINUTES_KEPT, Minute, Pulse
from chatsync.replay.stamping import ORIGIN_KINDS
from chatsync.replay.state import RoomState, folded
from chatsync.replay.tallies import OpenPoll
from chatsync.service.drafting import HAND_KINDS
from chatsync.store.minutes import minute_counts

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["Edge"]


class Edge:
    """The edge of one room.

    Attributes:
        state: pins, polls, hands and questions of the current broadcast.
        polls: which of its polls take votes.
        standing: mode, mutes and bans, which no broadcast ends.
        hands_us: by broadcast and author: where a hand last went up or down.
        typing: who typed since it was told last.
        pulse: how much is said in each minute of the current broadcast.
        usual: what is usually said in a minute, after the steady wall time at which that was asked; None: it was not yet.
    """

    def __init__(self, room: LiveRoom, standing: Standing) -> None:
        self._room = room
        self.standing = standing
        self.hands_us: dict[tuple[int, str], int] = {}
        self.polls = Polls()
        self._closing: dict[str, OpenPoll] = {}  # closed ones whose late votes still count
        self._final: list[dict[str, Any]] = []  # to be told once
        self.typing = 0
        self.pulse = self._known_pulse()
        self.usual: tuple[int, float | None] | None = None
        self._is_changed = False
        self._told: dict[str, Any] = {}
        self._mode: tuple[dict[str, Any] | None, Mode] | None = None
        self.state = RoomState()
        self.restore()

    @property
    def mode(self) -> Mode:
        """How the room talks now."""
        parts = self.standing.mode
        if self._mode is None or self._mode[0] is not parts:
            settings = self._room.settings
            start = mode_to_wire(settings.start_mode)
            known = {
                name: value
                for name, value in (parts or {}).items()
                if name in Mode.__struct_fields__ and name not in settings.fixed_parts
            }
            self._mode = (parts, msgspec.convert(start | known, Mode))
        return self._mode[1]

    def unsaid_mode(self) -> dict[str, Any]:
        """Parts of the mode that hold and that the current broadcast's own log does not say yet."""
        return {name: value for name, value in mode_to_wire(self.mode).items() if self.state.mode.get(name) != value}

    # --- the log ----------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Read the state of the current broadcast anew; what the journal has ahead of what was told is folded when it is told."""
        room = self._room
        self.polls, self._closing = Polls(), {}
        self.state = RoomState()
        if not room.broadcasts.has_begun:
            return
        events = room.journal.state_events(room.room, room.broadcasts.current.number)
        self._note_floors(events)
        told = [event for event in events if event.offset <= room.log.position.offset]
        self.state = folded(told)
        votes: dict[str, OpenPoll] = {}
        for event in sorted(told, key=lambda one: one.place):
            self._take_poll(event, votes)

    def _known_pulse(self) -> Pulse:
        """What was counted of the current broadcast before this start."""
        room = self._room
        if not room.broadcasts.has_begun:
            return Pulse()
        number = room.broadcasts.current.number
        ((newest_us,),) = room.journal.read(
            "SELECT max(placed_us) FROM journal WHERE room = ? AND broadcast = ?", (room.room, number)
        )
        if newest_us is None:
            return Pulse()
        from_us = newest_us - newest_us % MINUTE_US - MINUTES_KEPT * MINUTE_US
        counts = minute_counts(room.journal, room.room, number, from_us, emoji=LOST)
        return Pulse(Minute(*one) for one in counts if any(one[1:]))

    def refresh(self) -> None:
        """As :meth:`restore`, and tell it: rows that bore on the state were hidden, moved, or are gone."""
        self.restore()
        self._is_changed = True

    def begin_broadcast(self) -> None:
        """Another broadcast is the current one: pins, polls, hands and questions start empty; what stands goes on."""
        self.refresh()
        self.pulse = Pulse()
        kept = {broadcast.number for broadcast in self._room.broadcasts.kept}
        self.hands_us = {key: at_us for key, at_us in self.hands_us.items() if key[0] in kept}

    def forget_hands(self, broadcast: int) -> None:
        """What was said in a broadcast is past its time."""
        self.hands_us = {key: at_us for key, at_us in self.hands_us.items() if key[0] != broadcast}

    def take(self, event: Event, affected: Sequence[int], changed: Sequence[Event]) -> None:
        """An event is durable; it touched others, as they stand now in ``changed`` if they are few."""
        if event.kind in STANDING_KINDS:
            self.standing.take(event)
        if event.broadcast == self._room.broadcasts.current.number:
            self.pulse.take(event)
        if event.kind in STATE_KINDS and event.broadcast == self._room.broadcasts.current.number:
            self._take_poll(event)
            self.state.fold(event)
            self._is_changed = True
        if affected and (not changed or any(one.kind in STATE_KINDS for one in changed)):
            self.refresh()  # reads all that bears on state: thousands of votes, for one hidden question

    def _take_poll(self, event: Event, opened: dict[str, OpenPoll] | None = None) -> None:
        """Keep a poll's votes beyond its close: those of slow lines are still to come.

        Args:
            event: the next, in program order while the state is read anew, else in the order of the log.
            opened: polls that are open so far, while the state is read anew.
        """
        if event.hidden:
            return
        self.polls.take(event)
        name = str(event.details.get("poll", ""))
        if event.kind == "poll_opened" and opened is not None:
            opened.setdefault(name, OpenPoll.of(event))
        elif event.kind == "poll_closed":
            poll = (self.state.open_polls() if opened is None else opened).get(name)
            if poll is not None:
                self._closing[name] = poll
        elif event.kind == "poll_voted":
            poll = self._closing.get(name) or (opened or {}).get(name)
            if poll is not None:
                poll.count(event)

    def _note_floors(self, events: Sequence[Event]) -> None:
        """What may not be stamped before: of the broadcast's own record only hints survive a crash, and clocks may be set back."""
        current = self._room.broadcasts.current
        for event in events:
            if event.kind in ORIGIN_KINDS:
                current.last_origin_us = max(event.program_us, current.last_origin_us or event.program_us)
            elif event.kind in HAND_KINDS and event.author is not None:
                self.hands_us[current.number, event.author.key] = event.program_us

    # --- what is told -----------------------------------------------------------------------------------------------

    def frames(self, *, viewers: int, watermark_us: int | None) -> list[bytes]:
        """Once a second: the state if it changed, and the tallies if they did; nothing when nothing changed."""
        frames: list[bytes] = []
        if self._is_changed:
            self._is_changed = False
            frames.append(encoded({"type": "state", "state": self.to_wire()}))
        finals = self._finals(watermark_us)
        tallies = {
            "type": "tallies",
            "polls": [*self._running(), *finals],
            "upvotes": self.state.upvoted(),
            "viewers": viewers,
            "typing": self.typing,
        }
        self.typing = 0
        if tallies != self._told:
            self._told = tallies
            frames.append(encoded(tallies))
        return frames

    def _running(self) -> list[dict[str, Any]]:
        polls = [*self.state.open_polls().values(), *self._closing.values()]
        return [{"poll": poll.poll, "tally": poll.tally(), "voters": len(poll.votes)} for poll in polls]

    def _finals(self, watermark_us: int | None) -> list[dict[str, Any]]:
        """Polls that became final: told once, with the answer, which everyone may know now."""
        told = []
        for closed in self.polls.finals(watermark_us):
            poll = self._closing.pop(str(closed.details.get("poll", "")), None)
            if poll is not None:
                answer = {} if poll.answer is None else {"answer": poll.answer}
                told.append(
                    {"poll": poll.poll, "tally": poll.tally(), "voters": len(poll.votes), "final": True} | answer
                )
        return told

    def to_wire(self) -> dict[str, Any]:
        """The state with authors inline."""
        return self.state.to_wire(msgspec.to_builtins)
