"""The floor: who may speak in a room now, and what becomes of what they do before it is stamped.

Owns: asking the table, the mode, mutes, slow mode, polls and reactions before anything is written. Does not know: sockets, HTTP, the
journal. Runs on the event loop. Units: µs; slow mode runs on monotonic time, mutes on the system's wall time.
Source: contract §1, §5; security: every command asks again, at the room.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from chatsync.chat.event import Author, Draft, Event, Visibility, visibility_of
from chatsync.chat.lookalikes import is_lookalike
from chatsync.chat.mode import Mode, changed_mode
from chatsync.chat.policy import STAFF
from chatsync.chat.polls import checked_choices
from chatsync.chat.reactions import Reactions
from chatsync.chat.screening import Screening, Verdict
from chatsync.chat.skeleton import is_mixed_script
from chatsync.chat.standing import Restriction, Sanction
from chatsync.chat.wire import ActFrame, SayFrame, SayPlayhead
from chatsync.errors import (
    BannedError,
    MessageRejectedError,
    NotAllowedError,
    NotFoundError,
    RateLimitedError,
    SanctionedError,
    SlowModeError,
)
from chatsync.instants import MS_US, ms_from_us
from chatsync.service.acts import HELD_PREFIX, Act, Seen, act_of, check_allowed, held_act, say_of
from chatsync.service.drafting import drafted
from chatsync.service.external_filter import ExternalFilter
from chatsync.service.human_check import HumanCheck
from chatsync.service.limit_table import Limits
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import Outgoing
from chatsync.service.screening_rules import rules_of

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom

__all__ = ["APPROVAL", "Floor"]

APPROVAL = "approved"
"""An act of this kind is a held event that becomes what it was meant to be; it is no kind of the log."""

_MUTED_MAY_NOT = frozenset({"react", "raise_hand", "upvote"})
_SAID_MAX = 100_000  # people whose last utterance is remembered for slow mode


class Floor:
    """The floor of one room."""

    def __init__(self, room: LiveRoom) -> None:
        self._room = room
        self._said_us: OrderedDict[str, int] = OrderedDict()  # by author key: monotonic time of their last utterance
        self._staff_names: set[str] = set()
        self._staff: dict[str, str] = {}  # keys of hosts and moderators who have been here, and their role
        self._imitators: dict[str, bool] = {}  # by name: whether it passes for a host's or moderator's
        self.reactions = Reactions(room.settings.reactions)
        self.screening = Screening(rules_of(room.settings))
        self.external: ExternalFilter | None = None  # set by whoever started the room, where its settings name one
        self.human_check: HumanCheck | None = None

    def guard(self, limits: Limits, outgoing: Outgoing, metrics: Metrics) -> None:
        """Where the room's settings name a filter or a CAPTCHA service: ask them before anything is written."""
        room, rules = self._room, self._room.settings.screening
        if rules.filter_url is not None:
            self.external = ExternalFilter(
                room.room, rules, limits=limits, outgoing=outgoing, clock=room.clock, metrics=metrics
            )
        if rules.human_check_url is not None:
            self.human_check = HumanCheck(room.room, rules, limits=limits, outgoing=outgoing, metrics=metrics)

    @property
    def mode(self) -> Mode:
        """How the room talks now."""
        return self._room.edge.mode

    def note_staff(self, author: Author) -> None:
        """Somebody is here; of those who run the room it is remembered, so that nobody turns on them."""
        if author.role in STAFF and self._staff.get(author.key) != author.role:
            self._staff[author.key] = author.role
            self._staff_names.add(author.name)
            self._imitators.clear()

    # --- who comes in -----------------------------------------------------------------------------------------------

    def check_entering(self, author: Author) -> None:
        """Somebody comes in.

        Raises:
            BannedError: they may not. Hosts always may.
        """
        sanction = self._sanction("banned", author)
        if sanction is not None:
            raise BannedError(_until_ms(sanction))

    def _sanction(self, restriction: Restriction, author: Author) -> Sanction | None:
        if author.role == "host":
            return None
        wall_us = self._room.clock.system_wall_us()
        return self._room.edge.standing.sanction(restriction, author.key, wall_us)

    # --- what they do -----------------------------------------------------------------------------------------------

    def say(self, frame: SayFrame, author: Author, seen: Seen) -> Act:
        """An utterance that may be written, perhaps as one that is held.

        Raises:
            NotAllowedError, NotNowError: role or mode.
            SanctionedError: the author is muted.
            SlowModeError: they have just written.
            MessageRejectedError: the text breaks a rule.
        """
        self._check_guest(author)
        act = say_of(frame, author, seen, self.mode)
        self._check_unmuted(author)
        self._check_name(author)
        self._check_pace(act)
        return self._screened(act, frame.id)

    def _screened(self, act: Act, message_id: str) -> Act:
        """What the room's lists say of it; staff is not screened."""
        if act.author.role in STAFF or act.text is None:
            return act
        now_us = self._room.clock.monotonic_us()
        verdict = self.screening.judge(act.text, act.author.key, now_us, id=message_id, links=self.mode.links)
        return act if verdict is None else _judged(act, verdict)

    def asks_others(self, author: Author) -> bool:
        """Whether :meth:`filtered` must be waited for before what this author says is written."""
        is_unproven = self.human_check is not None and author.role == "guest"
        return is_unproven or (self.external is not None and author.role not in STAFF)

    async def filtered(self, act: Act, message_id: str) -> Act:
        """What the operator's own filter says of it, within its deadline.

        Raises:
            MessageRejectedError: it is refused.
        """
        if self.external is None or act.author.role in STAFF or act.text is None:
            return act
        kind = str(act.details.get("of", act.kind))
        program_ms = self._room.clock_ms()
        verdict = await self.external.judge(act.text, act.author.key, id=message_id, kind=kind, program_ms=program_ms)
        return act if verdict is None else _judged(act, verdict)

    def act(self, frame: ActFrame, author: Author, seen: Seen) -> Act:
        """A deed that may be done. One of kind :data:`APPROVAL` is about a held event.

        Raises:
            As :meth:`say`; NotFoundError: there is no such poll.
        """
        if frame.action == "approve":
            check_allowed(author, "approve", self.mode)
            if frame.target is None:
                raise MessageRejectedError("needs_target", "Name what is held (target).")
            return Act(kind=APPROVAL, id=frame.id, author=author, seen=seen, target=frame.target)
        act = act_of(frame, author, seen, self.mode)
        if frame.action in _MUTED_MAY_NOT:
            self._check_unmuted(author)
        match frame.action:
            case "mode":
                changed_mode(self.mode, frame.mode or {}, self._room.settings.fixed_parts)
            case "poll_open":
                self._room.edge.polls.check_opening(str(frame.poll))
            case "poll_close":
                self._room.edge.polls.opened(str(frame.poll))
            case "lower_hand" if frame.author not in {None, author.key} and author.role not in STAFF:
                raise NotAllowedError("lower_hand")
            case "mute" | "ban":
                self._check_lesser(frame, author)
        return act

    def react(self, emoji: str | None, author: Author, seen: Seen, claim: SayPlayhead | None) -> None:
        """Somebody reacts; it is counted, and logged with the others of its second.

        Raises:
            NotAllowedError, NotNowError, SanctionedError: as :meth:`say`.
            MessageRejectedError: ``unknown_emoji``.
        """
        check_allowed(author, "react", self.mode)
        self._check_unmuted(author)
        known = self.reactions.check(emoji)
        act = Act(kind="reaction", id="", author=author, seen=seen, claim=claim)
        self.reactions.tap(known, drafted(self._room, act, None).stamp)

    def check_about(self, act: Act, target: Event) -> None:
        """Whether this may be done to that: what is held is for staff to decide, and nobody learns of what is not theirs to see.

        Raises:
            NotFoundError: it may not; the same answer as if it were not there.
        """
        if target.kind == "held":
            is_allowed = act.kind in {APPROVAL, "hidden", "noted"} and not target.hidden
        else:
            is_public = visibility_of(target.kind) is Visibility.PUBLIC and "to" not in target.details
            is_allowed = act.kind != APPROVAL and (is_public or act.author.role in STAFF)
        if not is_allowed:
            raise NotFoundError("event")

    def draft(self, act: Act, target: Event | None) -> Draft:
        """Stamp an act.

        Raises:
            NotFoundError: what it is about is not there any more.
            MessageRejectedError: a vote that does not count any more, or chooses what is not there.
        """
        if act.kind == "poll_voted":
            return self._voted(act)
        if act.kind == APPROVAL:
            return self._approved(act, target)
        if act.kind == "hidden" and target is not None and target.kind == "held":
            act = replace(act, details=act.details | {"held": target.offset})
        return drafted(self._room, act, target)

    def _voted(self, act: Act) -> Draft:
        edge, name = self._room.edge, str(act.details["poll"])
        poll = edge.polls.voted_on(name, act.author.key, -(2**62), watermark_us=None)
        choices = checked_choices(poll, act.details["choices"])
        draft = drafted(self._room, replace(act, details={"poll": name, "choices": choices}), poll)
        if draft.stamp.broadcast != poll.broadcast:
            raise NotFoundError("poll")
        edge.polls.voted_on(name, act.author.key, draft.stamp.program_us, watermark_us=self._room.watermark_us())
        return draft

    def _approved(self, act: Act, held: Event | None) -> Draft:
        """What was held, where its author said it; its own id, so that it is said once however often it is approved."""
        if held is None or held.kind != "held" or held.author is None or held.text is None:
            raise NotFoundError("held message")
        kept = {name: value for name, value in held.details.items() if name not in {"of", "why", "entry"}}
        now_us, system_us = self._room.clock.wall_us(), self._room.clock.system_wall_us()
        return Draft(
            room=self._room.room,
            kind=str(held.details.get("of", "message")),
            id=held.id.removeprefix(HELD_PREFIX),
            stamp=held.stamp,
            wall_us=system_us,
            received_us=now_us,
            author=held.author,
            text=held.text,
            reply_to=held.reply_to,
            details=kept | {"held": held.offset, "by": act.author.key},
            source=held.source,
        )

    # --- rules ------------------------------------------------------------------------------------------------------

    def _check_guest(self, author: Author) -> None:
        if author.role == "guest" and self._room.settings.guest_access != "write":
            raise NotAllowedError("say_message")

    def _check_unmuted(self, author: Author) -> None:
        sanction = self._sanction("muted", author) or self._sanction("banned", author)
        if sanction is not None:
            raise SanctionedError(_until_ms(sanction))

    def _check_name(self, author: Author) -> None:
        """Nobody writes under a name that passes for one of those who run the room, or mixes scripts to look like another."""
        if author.role not in STAFF and author.name and self.imitates(author.name):
            raise MessageRejectedError(
                "name_imitates", "Your name could be taken for somebody else's; write under another."
            )

    def imitates(self, name: str) -> bool:
        """Whether a name passes for that of one who runs the room, or mixes scripts to look like another."""
        known = self._imitators.get(name)
        if known is None:
            known = is_lookalike(name, self._staff_names) or is_mixed_script(name)
            if len(self._imitators) >= _SAID_MAX:
                self._imitators.clear()
            self._imitators[name] = known
        return known

    def _check_pace(self, act: Act) -> None:
        slow_us = self.mode.slow_ms * MS_US
        if not slow_us or act.author.role in STAFF:
            return
        now_us, key = self._room.clock.monotonic_us(), act.author.key
        last_us = self._said_us.get(key)
        if last_us is not None and now_us - last_us < slow_us:
            raise SlowModeError(-(-(last_us + slow_us - now_us) // MS_US))
        self._said_us[key] = now_us
        self._said_us.move_to_end(key)
        if len(self._said_us) > _SAID_MAX:
            self._said_us.popitem(last=False)

    def _check_lesser(self, frame: ActFrame, author: Author) -> None:
        """Nobody mutes or bans a host, nor themselves; and moderators not each other."""
        role = self._staff.get(str(frame.author))
        if frame.author == author.key or role == "host" or (role == "moderator" and author.role != "host"):
            raise NotAllowedError(frame.action)


def _judged(act: Act, verdict: Verdict) -> Act:
    if verdict.action == "hold":
        return held_act(act, verdict.rule, verdict.entry)
    if verdict.rule == "flood":
        raise RateLimitedError(-(-verdict.retry_after_us // MS_US))
    raise MessageRejectedError(_REASONS[verdict.rule], "The room does not let this be written.")


_REASONS = {
    "word": "word",
    "pattern": "pattern",
    "link": "links_not_allowed",
    "duplicate": "duplicate",
    "filter": "filter",
}
"""What an author is told by a rule; never which word it was."""


def _until_ms(sanction: Sanction) -> int | None:
    return None if sanction.until_us is None else ms_from_us(sanction.until_us)
