"""A room at work: what people do becomes stamped, durable events, and everyone is told.

Owns: the order stamp → journal → ack → fan-out for one room, and what media changes in it. Does not know: sockets, HTTP,
tokens, how playlists are fetched. Runs on the event loop; only the writer's thread touches the database.
Units: µs; ``wall_us`` is steady wall time.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import structlog

from chatsync.chat.event import Draft, Event, Position
from chatsync.chat.room import (
    GIVING_KINDS,
    TAKING_KINDS,
    BackEvents,
    Frames,
    Recovery,
    RoomLog,
    public_bytes,
    recovery_from,
)
from chatsync.chat.wire import SayPlayhead
from chatsync.errors import NotFoundError, RoomRestartingError
from chatsync.hls.timeline import Reload, Segment, Timeline
from chatsync.instants import SECOND_US, Range, ms_from_us, us_from_ms
from chatsync.replay.alarm import sync_trouble
from chatsync.replay.broadcasts import (
    Broadcast,
    Broadcasts,
    Change,
    Closed,
    GapFound,
    Opened,
    Reopened,
    Restamp,
)
from chatsync.replay.clock import LatencyBook
from chatsync.replay.stamping import (
    Playhead,
    Scene,
    StampingPolicy,
    watermark_us,
)
from chatsync.service.acts import Act, Seen
from chatsync.service.clock import Clock
from chatsync.service.drafting import claimed
from chatsync.service.edge import Edge
from chatsync.service.fanout import Fanout, Receiver
from chatsync.service.floor import Floor
from chatsync.service.following import media_of
from chatsync.service.framing import Batch
from chatsync.service.limit_table import BACK_EVENTS_MAX
from chatsync.service.metrics import Metrics
from chatsync.service.room_records import RoomRecords
from chatsync.service.room_settings import RoomSettings
from chatsync.service.stream_events import broadcast_frame, mode_draft, reaction_draft, stream_draft
from chatsync.service.sync_alarm import SyncAlarm
from chatsync.store.catalog import Catalog
from chatsync.store.effects import NamedRows
from chatsync.store.journal import PLAIN_KINDS, Appended, Journal
from chatsync.store.writer import Together, Writer

__all__ = ["LiveRoom"]

ABSENCE_US_MIN = 10 * SECOND_US  # a restart shorter than this misses no reload worth a gap
TAIL_EVENTS = 2_000
_OTHER_STREAM = "awaits_other_stream"  # mark: the playlist was changed and has not answered yet

_log = structlog.get_logger(__name__)


class LiveRoom:
    """One room of this node.

    Args:
        settings: the room's own.
        broadcasts: restored from the catalog.
        timeline: restored from the catalog.
        log: the newest events.
        state: the room's state at the edge.
    """

    def __init__(
        self,
        settings: RoomSettings,
        *,
        room: str,
        journal: Journal,
        catalog: Catalog,
        writer: Writer,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.room = room
        self.settings = settings
        self.journal, self.catalog, self._writer = journal, catalog, writer
        self.clock, self._metrics = clock, metrics
        self.records = RoomRecords(room, catalog, writer)
        records = [Broadcast.from_record(record) for record in catalog.latest_records(room, 3)]
        self.broadcasts = Broadcasts(has_stream=settings.has_stream, known=tuple(records))
        self.timeline = catalog.timeline(room)
        self.latencies = LatencyBook()
        head = journal.head(room)
        recent = journal.last_events(room, TAIL_EVENTS)
        effects = {event.offset: affected for event in recent if (affected := journal.affected(event))}
        too_many = [offset for offset, affected in effects.items() if len(affected) > BACK_EVENTS_MAX]
        self.log = RoomLog(
            Position(head.epoch, head.offset), [e for e in recent if e.offset > max(too_many, default=0)], effects
        )
        self.edge = Edge(self, journal.standing(room))
        self.floor = Floor(self)
        self.fanout = Fanout(self._flush_postponed)
        self.sealed_until_us: Callable[[], int | None] = lambda: None  # set by the sealer
        self.elsewhere_us = 0  # how far behind the live edge those are who write in a chat that is captured
        self.playlist_trouble: str | None = None  # why the origin gives nothing; None while it does
        self.alarm = SyncAlarm(room, metrics)
        self._awaits_other_stream = bool(catalog.mark(room, _OTHER_STREAM))
        self.on_committed: list[Callable[[Event, tuple[int, ...], tuple[Event, ...]], None]] = []
        self.on_broadcast_closed: list[Callable[[int], None]] = []
        self._figures: tuple[Timeline, StampingPolicy] | None = None  # the policy, and what it was made from
        self._flush_handle: asyncio.TimerHandle | None = None
        self._is_flush_postponed = False
        self._flushed_s = 0.0
        self._unlogged: deque[Change] = deque()
        self.closes: dict[str, None] = {}  # acts that ended a broadcast, or would have (``service.closing``)
        self._logging = asyncio.Lock()
        self.is_stopped = False  # its successor has the log now: whoever still holds this one must come back

    @property
    def receivers(self) -> set[Receiver]:
        """Who is told what happens."""
        return self.fanout.receivers

    # --- what people do -------------------------------------------------------------------------------------------

    async def act(self, act: Act) -> Appended:
        """Stamp an act, make it durable, tell everyone, and return what stands in the log.

        Raises:
            IdReusedError: same author and id, other body.
            NotFoundError: the target does not exist.
            RoomRestartingError: as :meth:`submit`.
            StoreError: nothing was stored.
        """
        return await self.submit(act, await self._target(act))

    def submit(self, act: Act, target: Event | None = None) -> asyncio.Future[Appended]:
        """As :meth:`act`, without waiting: acts of one connection keep their order while many are under way.

        Args:
            act: what is done.
            target: the event it is about, looked up already.

        Raises:
            RoomRestartingError: the room has been stopped; another serves it, or none.
        """
        return self.commit(self.floor.draft(act, target))

    def _check_serving(self) -> None:
        if self.is_stopped:
            raise RoomRestartingError

    async def _target(self, act: Act) -> Event | None:
        if act.target is None:
            return None
        event = self.log.event(act.target)
        if event is None:
            event = await asyncio.to_thread(self.journal.event, self.room, act.target)
        if event is None or (event.hidden and act.kind not in {"restored", "hidden"}):
            raise NotFoundError("event")
        self.floor.check_about(act, event)
        return event

    def scene(self, broadcast: Broadcast | None = None, wall_us: int | None = None) -> Scene:
        """What stamps and the watermark are made from, now."""
        shown = broadcast or self.broadcasts.current
        return Scene(
            shown.number,
            shown.clock,
            self.latencies,
            self._policy(),
            self.clock.wall_us() if wall_us is None else wall_us,
            shown.last_run,
            shown.last_media_sequence,
        )

    def _policy(self) -> StampingPolicy:
        if self._figures is None or self._figures[0] is not self.timeline:
            policy = StampingPolicy(
                contribution_us=us_from_ms(self.settings.contribution_ms),
                rewind_posting_us=self.settings.rewind_posting_s * SECOND_US,
                hold_back_us=self.hold_back_us,
                target_duration_us=self.timeline.target_duration_us or 2 * SECOND_US,
            )
            self._figures = (self.timeline, policy)
        return self._figures[1]

    @property
    def hold_back_us(self) -> int:
        """How far behind the live edge players stay when nobody tells: HOLD-BACK, else three target durations."""
        return self.timeline.hold_back_us or 3 * (self.timeline.target_duration_us or 2 * SECOND_US)

    def watermark_us(self) -> int | None:
        """Program time up to which the current broadcast may be sealed; None while a stream is awaited."""
        return watermark_us(self.scene(), awaits_stream=self.settings.has_stream, elsewhere_us=self.elsewhere_us)

    def program_us(self) -> int:
        """The program clock of the current broadcast, now."""
        return self.scene().now_us

    def clock_ms(self) -> int | None:
        """The program clock as it travels; None while a stream is awaited that has given no time yet."""
        waits = self.settings.has_stream and not self.broadcasts.current.clock.has_program_time
        return None if waits else ms_from_us(self.program_us())

    def receive_playhead(
        self, seen: Seen, person: str, report: SayPlayhead, *, rate: float, paused: bool, author_key: str = ""
    ) -> None:
        """A connection says what its player shows; at the live edge that is also the room's latency."""
        claim = claimed(self.timeline, report)
        if claim is None:
            return
        wall_us = self.clock.wall_us()
        seen.playhead = Playhead(claim.broadcast, claim.program_us, wall_us, rate, paused, claim.at_live)
        self.edge.polls.receive_playhead(author_key, claim.broadcast, claim.program_us)
        current = self.broadcasts.current
        if claim.at_live and not paused and claim.broadcast == current.number and current.clock.has_program_time:
            latency_us = current.clock.program_us(wall_us) - claim.program_us
            if latency_us >= 0 and not current.clock.is_stalled(wall_us):
                self.latencies.receive_report(person, latency_us, wall_us=wall_us)

    async def close_broadcast(
        self, reason: str = "host", *, by: str | None = None, event_id: str | None = None
    ) -> None:
        """A host ends the broadcast; ``by`` is their pseudonym, ``event_id`` what the event is to be called.

        Raises:
            RoomRestartingError: as :meth:`submit`.
            StoreError: it is logged later.
        """
        self._check_serving()
        await self._log_changes(self.broadcasts.close(reason, self.clock.wall_us(), by, event_id))

    # --- what the stream does -------------------------------------------------------------------------------------

    async def receive_reload(self, timeline: Timeline, reload: Reload, *, age_us: int) -> None:
        """One answer of the origin: the timeline has grown, the clock and perhaps the broadcast with it."""
        wall_us = self.clock.wall_us()
        self.playlist_trouble = None
        before, self.timeline = self.timeline, timeline
        changes = self._after_other_stream(before, reload)
        new_rows: list[tuple[int, tuple[Segment, ...]]] = []
        for media, segments in media_of(before, timeline, reload, hold_back_us=self.hold_back_us):
            changes += self.broadcasts.receive_media(media, wall_us=wall_us, age_us=age_us)
            new_rows.append((self.broadcasts.current.number, segments))
        beyond = {(one.run, one.media_sequence) for _, segments in new_rows for one in segments}
        older = tuple(one for one in reload.new_segments if (one.run, one.media_sequence) not in beyond)
        new_rows.append((self.broadcasts.current.number, (*older, *reload.revised_segments)))
        self._metrics.reload(self.room, reload.kind)
        self.records.put_reload(
            timeline,
            reload.kind,
            self.broadcasts.current,
            new_rows,
            wall_us=wall_us,
            age_us=age_us,
            step_us=self.clock.system_wall_us() - wall_us,
        )
        await self._log_changes(changes)
        self._judge_sync()

    def await_other_stream(self) -> None:
        """The room follows another playlist from now on; its first answer tells whether it goes on with what is known."""
        self._awaits_other_stream = True
        self.records.put_mark(_OTHER_STREAM, 1)

    def _after_other_stream(self, before: Timeline, reload: Reload) -> list[Change]:
        if not self._awaits_other_stream or reload.kind in {"stale", "refetch"}:
            return []
        self._awaits_other_stream = False
        self.records.put_mark(_OTHER_STREAM, 0)
        # Without dates, equal names of segments may be next week's: only dates prove that it is the same program.
        goes_on = before.is_dated and reload.run == len(before.runs)
        return [] if goes_on else self.broadcasts.close("stream_changed", self.clock.wall_us())

    def note_absence(self) -> None:
        """At the start: program time that passed while this service was down is a gap in the record."""
        current, wall_us = self.broadcasts.current, self.clock.wall_us()
        last_us = self.catalog.last_observed_wall_us(self.room)
        if last_us is None or current.is_closed or not current.clock.has_program_time:
            return
        if wall_us - last_us > ABSENCE_US_MIN:
            absent = Range(current.clock.program_us(last_us), current.clock.program_us(wall_us))
            self.records.put_gap(current.number, absent, "service")

    async def receive_tick(self) -> None:
        """Time has passed: open the first broadcast, turn the day, close after long silence."""
        await self._log_changes(self.broadcasts.receive_tick(self.clock.wall_us()))
        self._judge_sync()

    def _judge_sync(self, origin_detail: str = "") -> None:
        """Raise the alarm or call it off; staff are told."""
        cause = sync_trouble(
            self.broadcasts.current if self.broadcasts.has_begun else None,
            playlist_trouble=self.playlist_trouble,
            has_media=self.timeline.live_edge is not None,
            is_dated=self.timeline.is_dated,
            wall_us=self.clock.wall_us(),
        )
        if self.alarm.judge(cause, origin_detail=origin_detail, wall_us=self.clock.wall_us()):
            self._send_all(self.alarm.frame(), staff_only=True)

    async def _log_changes(self, changes: Sequence[Change]) -> None:
        """Write what the stream changed into the room's log, in order.

        What could not be stored waits for the next call: a broadcast that opened while the disk was full is still logged.

        Raises:
            StoreError: it waits.
        """
        self._unlogged.extend(changes)
        async with self._logging:
            while self._unlogged:
                await self._log_change(self._unlogged[0])
                self._unlogged.popleft()
            await self._log_mode()

    async def _log_mode(self) -> None:
        """Each broadcast's own log says which mode holds in it: what carried over, and what the settings start with."""
        parts = self.edge.unsaid_mode() if self.broadcasts.has_begun else {}
        if parts:
            await self.commit(self._mode_draft(parts))

    async def set_mode(self, parts: dict[str, Any]) -> None:
        """Change parts of the mode because the room's settings say so.

        Raises:
            RoomRestartingError: as :meth:`submit`.
            StoreError: nothing was changed.
        """
        if parts:
            await self.commit(self._mode_draft(parts))

    def _mode_draft(self, parts: dict[str, Any]) -> Draft:
        draft = mode_draft(parts, self.scene(), room=self.room, wall_us=self.clock.system_wall_us())
        current = self.broadcasts.current
        current.last_origin_us = max(draft.stamp.program_us, current.last_origin_us or draft.stamp.program_us)
        return draft

    async def _log_change(self, change: Change) -> None:
        if isinstance(change, Restamp) and not await asyncio.to_thread(self._has_stamps, change):
            return
        if isinstance(change, Opened):
            self.edge.begin_broadcast()  # of what was said in it before this is written down
        scene = self.scene(self.broadcasts.get(change.broadcast))
        draft = stream_draft(change, scene, room=self.room, wall_us=self.clock.system_wall_us())
        if draft is not None:
            appended = await self.commit(draft)
            _log.info(draft.kind, room=self.room, offset=appended.event.offset, broadcast=change.broadcast)
        if isinstance(change, GapFound):
            self.records.put_gap(change.broadcast, change.range, change.reason)
        if isinstance(change, Opened | Closed | Reopened):
            self.flush()
            self._send_all(broadcast_frame(change, program_us=self.program_us()))
            self.records.put_broadcasts(self.broadcasts.kept)
        if isinstance(change, Closed):
            for told in self.on_broadcast_closed:
                told(change.broadcast)

    def _has_stamps(self, change: Restamp) -> bool:
        """Whether anything is there to move: most streams start with nobody talking."""
        events = self.journal.events_between(self.room, change.broadcast, -(2**62), 2**62, include_hidden=True)
        after_us = -(2**62) if change.to_us is None else change.to_us
        return any(event.stamp.stamp in change.stamps and event.program_us > after_us for event in events)

    # --- what was missed ------------------------------------------------------------------------------------------

    def read_missed(self, after: Position, limit: int) -> Recovery:
        """In a thread: what came after a position, from the journal, hidden events left out."""
        events = self.journal.events_after(self.room, after.offset, limit)
        return recovery_from(after, ((event, self.journal.affected(event)) for event in self.journal.paced(events)))

    def events_as_they_stand(self, offsets: Sequence[int]) -> dict[int, msgspec.Raw | None]:
        """Events that were restored or moved, encoded for everyone; None for those moved while hidden."""
        standing: dict[int, msgspec.Raw | None] = {}
        for offset in offsets:
            event = self.log.event(offset) or self.journal.event(self.room, offset)
            body = None if event is None else public_bytes(event)
            if body is not None:
                standing[offset] = msgspec.Raw(body)
            elif event is not None and event.hidden:
                standing[offset] = None
        return standing

    # --- commit and fan-out ---------------------------------------------------------------------------------------

    def commit(
        self,
        draft: Draft,
        placements: Mapping[int, tuple[int, int]] = MappingProxyType({}),
        *,
        named: NamedRows | None = None,
    ) -> asyncio.Future[Appended]:
        """Hand a draft to the writer. The future is done after the event is durable and queued for everyone.

        Args:
            draft: stamped.
            placements: as ``Journal.append``.
            named: as ``Journal.append``.

        Raises:
            RoomRestartingError: as :meth:`submit`.
        """
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

        def then(result: Appended | BaseException) -> None:
            if future.cancelled():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.hand_in(draft, then, placements, named=named)
        return future

    def hand_in(
        self,
        draft: Draft,
        then: Callable[[Appended | BaseException], None],
        placements: Mapping[int, tuple[int, int]] = MappingProxyType({}),
        *,
        named: NamedRows | None = None,
    ) -> None:
        """As :meth:`commit`, without a future: ``then`` is called with what stands in the log, or with what went wrong.

        Raises:
            RoomRestartingError: as :meth:`submit`.
        """
        self._check_serving()
        if draft.received_us is None:
            draft = msgspec.structs.replace(draft, received_us=self.clock.wall_us())

        def work(connection: sqlite3.Connection) -> Appended:
            return self.journal.append(connection, draft, placements=placements, named=named)

        def done(result: Appended | BaseException) -> None:
            if isinstance(result, BaseException):
                then(result)
                return
            self._metrics.stamped(self.room, result)
            try:
                if not result.duplicate:
                    self._receive_committed(result)
                elif result.event.offset > self.log.position.offset:
                    self._catch_up(result.event.offset + 1)
            finally:  # whatever went wrong in telling others: it is durable, and its author may know
                then(result)

        if draft.kind in PLAIN_KINDS and "held" not in draft.details:
            self._writer.submit(Together(self.journal.append_many, self.journal.append, draft), done)
        else:
            self._writer.submit(work, done)

    def _receive_committed(self, appended: Appended) -> None:
        """An event is durable: remember it, queue it for everyone, tell the sealer. In the order of the log."""
        event, affected, changed = appended.event, appended.affected, appended.changed
        if event.offset > self.log.position.offset + 1:
            self._catch_up(event.offset)
        gone = affected if event.kind in TAKING_KINDS else ()
        back: BackEvents | None = None
        too_many = False
        if event.kind in GIVING_KINDS and affected:
            too_many = len(affected) > BACK_EVENTS_MAX
            if not too_many:
                found = changed or [self.journal.event(self.room, offset) for offset in affected]
                back = BackEvents(tuple(e for e in found if e is not None and not e.hidden))
        self.log.receive_committed(event, gone=gone, back=back)
        if too_many:
            self.log.forget()
        self._schedule_flush()
        for told in self.on_committed:
            told(event, affected, changed)
        self.edge.take(event, affected, changed)
        if event.kind == "banned":
            self._send_away_banned(str(event.details.get("author", "")))
        if too_many:
            self._reset_everyone("restamped")

    def _catch_up(self, before_offset: int) -> None:
        """Take in events that are in the journal though their commit was reported as failed.

        A sync may fail after the data is down. The authors were told of a failure and send again, which finds the first one.
        """
        for missed in self.journal.events_after(self.room, self.log.position.offset, 10_000):
            if missed.offset < before_offset:
                self._receive_committed(Appended(missed, affected=self.journal.affected(missed)))

    def _send_away_banned(self, author_key: str) -> None:
        """Whoever was banned leaves now, with every connection of theirs."""
        for receiver in [one for one in self.receivers if one.author_key == author_key]:
            receiver.send_banned()

    def _schedule_flush(self) -> None:
        """Batching grows with load: the first event goes out at once, those of the next 50 ms together."""
        if self._flush_handle is None and not self._is_flush_postponed:
            loop = asyncio.get_running_loop()
            due_s = max(loop.time(), self._flushed_s + self.settings.batch_ms / 1000)
            self._flush_handle = loop.call_at(due_s, self._flush_due)

    def flush(self) -> None:
        """Send what was committed since the last flush to everyone, each event encoded once."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        frames = self.log.frames_to_send()
        if frames is not None:
            self._flushed_s = asyncio.get_running_loop().time()
            self._deliver(frames)

    def _flush_due(self) -> None:
        """The batch is due; it waits, and grows, while the one before is still being told."""
        if self.fanout.is_busy:
            self._flush_handle, self._is_flush_postponed = None, True
        else:
            self.flush()

    def _flush_postponed(self) -> None:
        if self._is_flush_postponed:
            self._is_flush_postponed = False
            self.flush()

    def _deliver(self, frames: Frames) -> None:
        through = self.log.position
        public, staff = Batch(frames.public, through), Batch(frames.staff, through)
        own = {key: Batch((*frames.public, *theirs), through) for key, theirs in frames.own.items()}

        def tell(receiver: Receiver) -> None:
            receiver.receive_batch(staff if receiver.is_staff else own.get(receiver.author_key, public))

        self.fanout.tell(tell)

    def _send_all(self, frame: bytes, *, staff_only: bool = False) -> None:
        batch = Batch((frame,))

        def tell(receiver: Receiver) -> None:
            if receiver.is_staff or not staff_only:
                receiver.receive_batch(batch)

        self.fanout.tell(tell)

    def tell_edge(self) -> None:
        """Once a second: the edge's state if it changed, and who is there. Sends nothing when nothing changed."""
        for frame in self.edge.frames(viewers=len(self.receivers), watermark_us=self.watermark_us()):
            self._send_all(frame)

    def log_reactions(self) -> None:
        """Once a second: what was tapped becomes events. Nobody waits for them."""
        system_us = self.clock.system_wall_us()
        for tapped in self.floor.reactions.due():
            self.hand_in(reaction_draft(tapped, room=self.room, wall_us=system_us), lambda _: None)

    def send_everyone_away(self, *, gone: bool) -> None:
        """Close every connection: for good if the room is gone, else to come back."""
        for receiver in tuple(self.receivers):
            receiver.send_away(gone=gone)

    def note_playlist_failure(self, code: str, detail: str = "") -> None:
        """The origin did not give a playlist this time; ``detail`` says in words why, without its address."""
        self.playlist_trouble = code
        self._metrics.reload(self.room, code)
        self._judge_sync(detail)

    def note_sealed(self, sealed_until_us: int) -> None:
        """Measure how far sealing is behind the program clock."""
        self._metrics.sealed_behind_s.labels(self.room).set((self.program_us() - sealed_until_us) / SECOND_US)

    def count_slice(self, what: str) -> None:
        """Count a slice sealed or revised."""
        self._metrics.slices.labels(self.room, what).inc()

    def _reset_everyone(self, reason: str) -> None:
        self.flush()
        position = self.log.position
        self.fanout.tell(lambda receiver: receiver.receive_reset(reason, position))
