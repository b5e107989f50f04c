"""A live chat elsewhere becomes a room's: what is said there, what is taken away there, and when nobody was listening.

Owns: from a connector's lines to acts of the room, whose they are, the latency they are stamped by, hides, capture gaps. Does not know:
networks, protocols, when to try again (``chatsync.sources``). Units: µs; ``wall_us`` is steady wall time. Source: contract §1, §2.

People of another network are participants here, whatever they are there: a badge says it, and grants nothing. The room's own mode, mutes,
lists of words and filter hold for them as for everybody.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import uuid_utils

from chatsync.chat.event import MESSAGE_KINDS, Author, Draft, Event
from chatsync.chat.text import NAME_CODE_POINTS_MAX, TEXT_CODE_POINTS_MAX, clean_name
from chatsync.chat.wire import SayFrame
from chatsync.errors import ChatsyncError, MessageRejectedError, StoreError
from chatsync.instants import MINUTE_US, SECOND_US, Range, ms_from_us, us_from_ms
from chatsync.replay.stamping import Witness, stamped
from chatsync.service.acts import HELD_PREFIX, Act, Seen
from chatsync.service.limit_table import SOURCE_LINES_KNOWN_MAX, SOURCE_WAITING_MAX
from chatsync.service.limits import Bucket, Rate
from chatsync.service.source_network import SourceNetwork
from chatsync.sources.captured import captured
from chatsync.sources.contract import Alive, Connected, Connector, Happened, Line, Lost, Network, Removal
from chatsync.sources.latency import Latencies, Learned
from chatsync.store.journal import Appended

if TYPE_CHECKING:
    from chatsync.service.hub import Hub
    from chatsync.service.live_room import LiveRoom

__all__ = ["CAPTURED_MARK", "Capturing", "SentTimes", "capturing_of"]

CAPTURED_MARK = "captured_until"  # mark: until when everything said there is in the journal
_ADDRESS_MARK = "captured_address"  # mark: of which address that is
_NOTE_US = 5 * SECOND_US  # how often; by as much a gap may be told longer than it was
_LEARN_US = MINUTE_US
_EXTEND_US = 10 * SECOND_US  # how often a gap that lasts is told
_LATE_US_MAX = 5 * MINUTE_US  # what the source dates further back is taken as said now
_SPREAD_PART = (
    3  # a latency that somebody has set holds for the middle of the audience; a third of it to both sides holds most
)
_BADGES_MAX = 8
_ID_CHARACTERS_MAX = 40
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_NO_BADGE = re.compile(r"[^a-z0-9_-]+")

_log = structlog.get_logger(__name__)


def capturing_of(hub: Hub, live: LiveRoom) -> Capturing | None:
    """The capturing of a room's chat elsewhere; None if it has none. Reads a file.

    Raises:
        SettingsError: its secrets cannot be read, or do not fit.
    """
    connector = live.settings.source_connector()
    if connector is None:
        return None
    return Capturing(hub, live, connector, SourceNetwork(hub.settings, live.clock))


@dataclass(frozen=True, slots=True)
class _Said:
    """What is remembered of something that was said there."""

    offset: int
    author_key: str
    broadcast: int


class SentTimes:
    """When something was said by our clock, from when the source says it was sent by its own, whatever lies between the clocks.

    The fastest of the last five minutes shows how far the clocks are apart and how long the way is; whoever took longer was held up on the way,
    by so much.
    """

    def __init__(self) -> None:
        self._fastest: deque[tuple[int, int]] = deque()  # (when, delay), the delays rising

    def wall_us(self, sent_us: int | None, now_us: int) -> int:
        """When it was said, by our steady wall clock.

        Args:
            sent_us: as the source says; None if it does not.
            now_us: when it came.
        """
        if sent_us is None:
            return now_us
        delay_us = now_us - sent_us
        while self._fastest and self._fastest[0][0] < now_us - _LATE_US_MAX:
            self._fastest.popleft()
        while self._fastest and self._fastest[-1][1] >= delay_us:
            self._fastest.pop()
        self._fastest.append((now_us, delay_us))
        held_up_us = delay_us - self._fastest[0][1]
        return now_us - held_up_us if held_up_us <= _LATE_US_MAX else now_us


class Capturing:
    """The capturing of one room. ``await run()`` until cancelled.

    Args:
        hub: of this node.
        live: the room.
        connector: of the chat elsewhere.
        network: to reach it by.
    """

    def __init__(self, hub: Hub, live: LiveRoom, connector: Connector, network: Network) -> None:
        self._hub, self._live, self._connector, self._network = hub, live, connector, network
        self.source = connector.source
        self._settings = live.settings.source
        self._rate = Bucket(Rate(hub.settings.limits.source_lines_per_s, hub.settings.limits.source_lines_burst))
        self._sent = SentTimes()
        self._latencies = Latencies()
        self._learned: Learned | None = None
        self._known: OrderedDict[str, _Said] = OrderedDict()  # what was said there, by the event's id
        self._waiting: set[asyncio.Future[Appended]] = set()
        self._since_us: int | None = None  # wall time from which on something may be missing; None: nothing is
        self._gap_starts: dict[int, int] = {}  # by broadcast: program time at which the gap that lasts begins there
        self._reason = "not connected yet"
        self._state_us = live.clock.wall_us()
        self._is_connected = False
        self._is_stored = True  # whether the last line that was to be written was
        self._heard_us: int | None = None  # wall time of the last sign of life
        self._note_state()

    # --- what is told of it ---------------------------------------------------------------------------------------

    def to_wire(self) -> dict[str, Any]:
        """How it stands, for those who run the room. Never the address: it may be nobody's business."""
        latency_us, _, how = self._latency()
        return {
            "source": self.source,
            "connected": self._is_connected,
            "since_ms": ms_from_us(self._state_us),
            "reason": None if self._is_connected else self._reason,
            "latency_ms": None if latency_us is None else ms_from_us(latency_us),
            "latency": how,
        }

    def _latency(self) -> tuple[int | None, int, str]:
        """The latency its people are stamped by, half its spread, and whether that was ``set``, ``learned``, or is the ``room``'s own."""
        if self._settings.latency_ms is not None:
            latency_us = us_from_ms(self._settings.latency_ms)
            return latency_us, latency_us // _SPREAD_PART, "set"
        if self._learned is not None:
            return self._learned.latency_us, self._learned.spread_us, "learned"
        return None, 0, "room"  # there is no evidence yet

    def _note_state(self) -> None:
        self._hub.metrics.source_connected.labels(self._live.room).set(int(self._is_connected))

    def _count(self, outcome: str) -> None:
        self._hub.metrics.source_lines.labels(self._live.room, outcome).inc()

    # --- its life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Capture until cancelled; what was taken in by then is handed to the writer, with how far that goes."""
        await self._restore()
        self._live.on_committed.append(self._receive_committed)
        regular = asyncio.create_task(self._run_regular(), name=f"capture marks {self._live.room}")
        try:
            async with aclosing(captured(self._connector, self._network, failed=self._note_fault)) as happening:
                async for one in happening:
                    try:
                        await self._take(one)
                    except Exception:
                        _log.exception("line_not_taken", room=self._live.room, source=self.source)
        finally:
            regular.cancel()
            self._live.on_committed.remove(self._receive_committed)
            self._note_reached()

    async def _restore(self) -> None:
        """What was captured before: until when, and under which ids."""
        live = self._live
        recent = await asyncio.to_thread(live.journal.last_events, live.room, SOURCE_LINES_KNOWN_MAX)
        for event in recent:
            self._remember(event)
        address = zlib.crc32(str(self._settings.url).encode())
        known = await asyncio.to_thread(live.catalog.mark, live.room, _ADDRESS_MARK)
        if known == address:
            self._since_us = await asyncio.to_thread(live.catalog.mark, live.room, CAPTURED_MARK) or None
        else:  # another chat, or the first one: nothing of it is missing
            live.records.put_mark(CAPTURED_MARK, 0)
            live.records.put_mark(_ADDRESS_MARK, address)

    async def _run_regular(self) -> None:
        """What is due now and then: how far it goes, how long a gap is by now, what latency is learned."""
        now_us = self._network.now_us
        noted_us = extended_us = learned_us = now_us()
        while True:
            await asyncio.sleep(1)
            try:
                if now_us() - noted_us >= _NOTE_US:
                    noted_us = now_us()
                    self._note_reached()
                if self._is_connected and self._since_us is not None and self._is_stored:
                    await self._end_gap("storage")
                if now_us() - extended_us >= _EXTEND_US:
                    extended_us = now_us()
                    self._put_gap()
                if now_us() - learned_us >= _LEARN_US:
                    learned_us = now_us()
                    self._learned = await asyncio.to_thread(self._latencies.learned) or self._learned
                    self._tell_watermark()
            except Exception:
                _log.exception("capture_not_noted", room=self._live.room)

    def _tell_watermark(self) -> None:
        latency_us, spread_us, _ = self._latency()
        self._live.elsewhere_us = 0 if latency_us is None else latency_us + spread_us

    def _note_reached(self) -> None:
        """All that came so far has been handed to the writer, and the mark comes behind it. What came after the last sign of life is not known."""
        if self._is_connected and self._heard_us is not None and self._since_us is None and not self._live.is_stopped:
            self._live.records.put_mark(CAPTURED_MARK, self._heard_us)

    def _note_fault(self, error: Exception) -> None:
        _log.error("connector_failed", room=self._live.room, source=self.source, error=type(error).__name__)

    async def _take(self, one: Happened) -> None:
        if not isinstance(one, Lost):
            self._heard_us = self._live.clock.wall_us()
        match one:
            case Line():
                await self._take_line(one)
            case Removal():
                await self._take_removal(one)
            case Connected():
                await self._connected()
            case Lost():
                self._lost(one)
            case Alive():
                pass
            case _:
                self._count("left_out")

    async def _connected(self) -> None:
        self._is_connected, self._state_us = True, self._live.clock.wall_us()
        self._note_state()
        self._tell_watermark()
        _log.info("source_connected", room=self._live.room, source=self.source)
        await self._end_gap("source")
        self._note_reached()

    def _lost(self, lost: Lost) -> None:
        wall_us = self._live.clock.wall_us()
        if self._is_connected or lost.reason != self._reason:
            _log.warning("source_lost", room=self._live.room, source=self.source, reason=lost.reason)
        self._note_reached()
        if self._is_connected:
            self._state_us = wall_us
            self._since_us = wall_us - lost.silent_us if self._since_us is None else self._since_us
        self._is_connected, self._reason = False, lost.reason
        self._hub.metrics.source_lost.labels(self._live.room).inc()
        self._note_state()
        self._put_gap()

    # --- what is missing ------------------------------------------------------------------------------------------

    def _put_gap(self) -> Range | None:
        """Keep the gap that lasts, as long as it is by now, in the broadcast that is on; None if there is none."""
        live = self._live
        if self._since_us is None or not live.broadcasts.kept:
            return None
        current, wall_us = live.broadcasts.current, live.clock.wall_us()
        if live.settings.has_stream and not current.clock.has_program_time:
            return None
        start_us = self._gap_starts.get(current.number)
        if start_us is None:
            start_us = max(current.clock.program_us(self._since_us), current.start_us or 0)
            self._gap_starts[current.number] = start_us
        within = Range(start_us, max(start_us, current.clock.program_us(wall_us)))
        live.records.put_gap(current.number, within, "capture")
        return within

    async def _end_gap(self, reason: str) -> None:
        """From now on nothing is missing: what was is written into the room's log."""
        within, live = self._put_gap(), self._live
        self._since_us = None
        self._gap_starts.clear()
        if within is None:
            return
        stamp = stamped("capture_gap", Witness(is_host=True), live.scene())
        details = {
            "start_ms": ms_from_us(within.start_us),
            "end_ms": ms_from_us(within.end_us),
            "reason": reason,
            "source": self.source,
        }
        await self._commit("capture_gap", stamp, details)

    async def _commit(self, kind: str, stamp: Any, details: dict[str, Any], target: int | None = None) -> None:
        live = self._live
        draft = Draft(
            room=live.room,
            kind=kind,
            id=str(uuid_utils.uuid7()),
            stamp=stamp,
            wall_us=live.clock.system_wall_us(),
            target=target,
            details=details,
            source="system",
        )
        try:
            await live.commit(draft)
        except ChatsyncError as error:
            _log.warning("capture_not_written", room=live.room, kind=kind, code=error.code)

    # --- what is said ---------------------------------------------------------------------------------------------

    async def _take_line(self, line: Line) -> None:
        if self._rate.take(self._network.now_us()):
            self._count("too_many")
            return
        if line.reply_to is not None and self._waiting and self._id(line.reply_to) not in self._known:
            await asyncio.wait(tuple(self._waiting))  # it may be on its way to the disk
        try:
            act = self._act(line)
            if self._live.floor.asks_others(act.author):
                act = await self._live.floor.filtered(act, act.id.removeprefix(HELD_PREFIX))
            future = self._live.submit(act)
        except ChatsyncError as error:
            self._count(error.reason if isinstance(error, MessageRejectedError) else error.code)
            return
        self._latencies.note(
            self._live.broadcasts.current.number, their_edge_us=self._live.scene(wall_us=act.wall_us).now_us
        )
        self._waiting.add(future)
        future.add_done_callback(self._written)
        if len(self._waiting) >= SOURCE_WAITING_MAX:  # the disk is behind: what comes waits in the network
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)

    def _written(self, future: asyncio.Future[Appended]) -> None:
        self._waiting.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        self._is_stored = not isinstance(error, StoreError)
        if error is None:
            self._count("again" if future.result().duplicate else "taken")
            return
        self._count(error.code if isinstance(error, ChatsyncError) else "failed")
        if isinstance(error, StoreError) and self._since_us is None:
            self._since_us = self._live.clock.wall_us()

    def _act(self, line: Line) -> Act:
        """A line as an act of the room.

        Raises:
            ChatsyncError: the room does not let it be said.
        """
        author = self._author(line)
        text = _CONTROLS.sub(" ", line.text)
        if len(text) > TEXT_CODE_POINTS_MAX:
            text = text[: TEXT_CODE_POINTS_MAX - 1] + "…"
        replied = None if line.reply_to is None else self._known.get(self._id(line.reply_to))
        reply_to = None if replied is None else replied.offset
        event_id = self._id(line.id) if line.id else str(uuid_utils.uuid7())
        act = self._live.floor.say(SayFrame(event_id, text, "message", reply_to), author, Seen())
        latency_us, spread_us, _ = self._latency()
        act = replace(
            act,
            source=self.source,
            wall_us=self._sent.wall_us(line.program_us, self._live.clock.wall_us()),
            latency_us=latency_us,
            latency_spread_us=spread_us,
            details=act.details | _details(line),
        )
        if line.kind not in {"paid", "system"}:  # an announcement of somebody there is a message here
            return act
        if act.kind == "held":
            return replace(act, details=act.details | {"of": line.kind})
        return replace(act, kind=line.kind)

    def _author(self, line: Line) -> Author:
        """Who said it: never anybody of ours, and never by a name that could be taken for one of those who run the room."""
        live = self._live
        key = self._hub.people.key(live.room, self._subject(line.author_id))
        try:
            name = clean_name(_CONTROLS.sub(" ", line.author_name)[:NAME_CODE_POINTS_MAX])
        except MessageRejectedError:
            name = ""
        if not name or live.floor.imitates(name):
            name = f"{self.source} {key[:6]}"
        author = self._hub.people.author(live.room, self._subject(line.author_id), name, "participant")
        badges: tuple[str, ...] = (self.source,)
        if not live.settings.has_numbered_names:
            found = (_NO_BADGE.sub("", badge.lower())[:32] for badge in line.badges[:_BADGES_MAX])
            badges += tuple(dict.fromkeys(badge for badge in found if badge and badge != self.source))
        return msgspec.structs.replace(author, badges=badges)

    def _subject(self, author_id: str | None) -> str:
        """Who somebody there is, apart from people of ours; the same as in a file of that network that is imported."""
        who = author_id or ""
        if len(who) > 128 or not who.isprintable():
            who = hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()
        realm = self._connector.realm[:64]
        return ":".join(("import", self.source, *([realm] if realm else []), who))

    def _id(self, line_id: str) -> str:
        """The id of the event that a line becomes: the same whenever it comes."""
        if len(line_id) > _ID_CHARACTERS_MAX or not line_id.isprintable():
            line_id = hashlib.sha256(line_id.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_CHARACTERS_MAX]
        return f"{self.source}:{line_id}"

    def _receive_committed(self, event: Event, affected: tuple[int, ...], changed: tuple[Event, ...]) -> None:
        """Something is in the room's log: said there, or here by somebody whose player told where it is."""
        del affected, changed
        self._remember(event)
        if event.stamp.stamp == "playhead" and event.kind in MESSAGE_KINDS:
            self._latencies.note(event.broadcast, own_us=event.program_us)

    def _remember(self, event: Event) -> None:
        """Also what was held and is approved now: it has another offset from then on."""
        if event.source != self.source or not (event.kind in MESSAGE_KINDS or event.kind == "held"):
            return
        key = "" if event.author is None else event.author.key
        self._known[event.id.removeprefix(HELD_PREFIX)] = _Said(event.offset, key, event.broadcast)
        if len(self._known) > SOURCE_LINES_KNOWN_MAX:
            self._known.popitem(last=False)

    # --- what is taken away ---------------------------------------------------------------------------------------

    async def _take_removal(self, removal: Removal) -> None:
        """What is taken away there is hidden here; what it is about has been written by then.

        A person's words, and everybody's, are those of the broadcast that is on: who is sent out today said something last year too.
        """
        if self._waiting:
            await asyncio.wait(tuple(self._waiting))
        if removal.line_id is not None:
            found = [self._id(removal.line_id)]
        else:
            who, current = removal.author_id, self._live.broadcasts.current.number
            key = None if who is None else self._hub.people.key(self._live.room, self._subject(who))
            found = [
                event_id
                for event_id, said in self._known.items()
                if said.broadcast == current and key in {None, said.author_key}
            ]
        gone = [self._known.pop(event_id, None) for event_id in found]  # it goes once, however often we are told
        await self._hide([said.offset for said in gone if said is not None])

    async def _hide(self, offsets: Sequence[int]) -> None:
        live, hidden = self._live, 0
        for first in range(0, len(offsets), SOURCE_WAITING_MAX):
            commits = []
            for offset in offsets[first : first + SOURCE_WAITING_MAX]:
                event = live.log.event(offset) or await asyncio.to_thread(live.journal.event, live.room, offset)
                if event is None or event.hidden:
                    continue
                held = {"held": offset} if event.kind == "held" else {}
                details = {"reason": f"removed on {self.source}", **held}
                commits.append(self._commit("hidden", self._stamp_now(), details, offset))
            hidden += len(await asyncio.gather(*commits))
        self._hub.metrics.source_lines.labels(live.room, "removed" if hidden else "removal_of_nothing").inc(hidden or 1)

    def _stamp_now(self) -> Any:
        return stamped("hidden", Witness(is_host=True), self._live.scene())


def _details(line: Line) -> dict[str, Any]:
    """What of a line is kept beside its text: what was paid, that it was an action, which notice it is. Nothing else is handed on."""
    kept: dict[str, Any] = {}
    amount, currency = line.details.get("amount"), line.details.get("currency")
    if line.kind == "paid" and isinstance(amount, int) and isinstance(currency, str):
        kept |= {"amount": amount, "currency": currency[:16]}
    if line.details.get("action") is True:
        kept["action"] = True
    if isinstance(notice := line.details.get("notice"), str):
        kept["notice"] = _NO_BADGE.sub("", notice.lower())[:32]
    return kept
