"""All rooms of this node: which exist, who may enter, and the tasks that keep each of them going.

Owns: loading rooms from settings and catalog, admission, per-person connections and rates. Does not know: HTTP, sockets.

A room that has nothing to do when the relay starts is asleep: it takes no memory until somebody comes (decision 0024).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from chatsync.chat.event import Author
from chatsync.chat.mode import mode_to_wire
from chatsync.chat.wire import CloseCode
from chatsync.errors import CorruptError, RoomRestartingError, TokenError, UnknownRoomError
from chatsync.service.archiving import Archiving
from chatsync.service.audience import Audience
from chatsync.service.auditing import checkpoint_daily, rules_of
from chatsync.service.auth import Identity, TokenAuthority, guest
from chatsync.service.capturing import Capturing, capturing_of
from chatsync.service.clock import Clock
from chatsync.service.doors import Doors
from chatsync.service.fetching import PlaylistFetcher
from chatsync.service.following import follow, tick
from chatsync.service.limits import Buckets, Rate
from chatsync.service.live_room import LiveRoom
from chatsync.service.metrics import Metrics
from chatsync.service.openid import ProviderKeys
from chatsync.service.outgoing import Outgoing
from chatsync.service.packed_slices import PackedSlices
from chatsync.service.people import People
from chatsync.service.purging import Purging
from chatsync.service.pushing import PushedPlaylist
from chatsync.service.reading import Reading
from chatsync.service.retention import Retention
from chatsync.service.revoking import forget_revocations
from chatsync.service.room_settings import RoomSettings
from chatsync.service.sealing import Sealer
from chatsync.service.settings import Settings
from chatsync.service.sockets import SocketKeeper
from chatsync.store.audit import AuditRecord
from chatsync.store.catalog import Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.revocations import revocations
from chatsync.store.writer import Writer

if TYPE_CHECKING:
    from chatsync.service.relay import LiveConnection

__all__ = ["Hub", "RunningRoom"]

_GOODBYE_S = 1.0  # for peers to answer a close
_STARTED_AT_ONCE = 16
_WAKE_S = 0.02  # between two rooms that are started while others are served
_EDGE_S = 1.0  # tallies and state go out at most so often (contract §5)

_log = structlog.get_logger(__name__)


@dataclass(slots=True, weakref_slot=True)
class RunningRoom:
    """A room and the tasks that serve it."""

    live: LiveRoom
    sealer: Sealer
    pushed: PushedPlaylist | None = None  # of a room whose encoder pushes its playlist
    capturing: Capturing | None = None  # of a room that takes in a chat elsewhere
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Hub:
    """The rooms of this node. Build it, ``await start()``, and ``await stop()`` in the end."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        files: Files,
        writer: Writer,
        journal: Journal,
        catalog: Catalog,
        archiving: Archiving,
        reading: Reading,
        authority: TokenAuthority,
        fetcher: PlaylistFetcher,
        outgoing: Outgoing,
        purging: Purging,
        metrics: Metrics,
        provider_keys: ProviderKeys | None = None,
    ) -> None:
        self.settings, self.clock, self.metrics = settings, clock, metrics
        self.files, self.writer, self.journal, self.catalog = files, writer, journal, catalog
        self.archiving, self.reading = archiving, reading
        self.authority, self._provider_keys = authority, provider_keys
        self.fetcher, self.outgoing = fetcher, outgoing
        self.purging, self.purge_keys = purging, purging.keys
        self._running: dict[str, RunningRoom] = {}
        self._packed = PackedSlices()
        self._asleep: dict[str, RoomSettings] = {}  # rooms of this node that nobody has asked for yet
        self._restarting: dict[str, bool] = {}  # whether a guest may know of the room meanwhile
        self._changing = asyncio.Lock()  # one change of rooms at a time
        self._listed_pages: frozenset[str] | None = None  # origins that any room lists; None: to be put together
        self._connections: Counter[str] = Counter()
        limits = settings.limits
        self.doors = Doors(limits)
        self._rates = Buckets(Rate(limits.commands_per_s, limits.commands_burst))
        self._edge_task: asyncio.Task[None] | None = None
        self.is_stopping = False
        self.connections: set[LiveConnection] = set()
        self.keeper = SocketKeeper(limits.queues_percent_max * _memory_bytes() // 100)
        self._keeping: asyncio.Task[None] | None = None
        self._waking: asyncio.Task[None] | None = None
        self._knowing: asyncio.Task[None] | None = None
        self._emptied = asyncio.Event()
        self.audience = Audience(self._running, catalog, writer)
        self._counting: asyncio.Task[None] | None = None
        self.retention = Retention(self, archiving.store)
        self.people = People(self)
        archiving.hourly += [self.retention.sweep, partial(forget_revocations, self), partial(checkpoint_daily, self)]

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start every room of the settings and of the catalog; settings win where both know a room."""
        self.authority.revocations.load(await asyncio.to_thread(revocations, self.journal.reads))
        stored = await asyncio.to_thread(self.catalog.rooms)
        rooms = {room: RoomSettings.stored(record) for room, record in stored.items()} | self.settings.rooms
        public = {room for room, room_settings in rooms.items() if room_settings.public}
        left = await asyncio.to_thread(self.files.hide_public_slices, public)
        self._asleep, unsealed = await asyncio.to_thread(self._resting, rooms)
        awake = [(room, rooms[room]) for room in sorted(rooms) if room not in self._asleep]
        for first in range(0, len(awake), _STARTED_AT_ONCE):  # what they write goes into the same commits
            loading = (self._load_room(*one) for one in awake[first : first + _STARTED_AT_ONCE])
            for loaded in await asyncio.gather(*loading, return_exceptions=True):
                if isinstance(loaded, BaseException):
                    raise loaded
        for room, _ in awake:  # none follows or seals while another is still read from the disk
            self._set_going(room)
        if self._asleep:
            _log.info("rooms_asleep", rooms=len(self._asleep), to_be_woken=len(unsealed))
            self._waking = asyncio.create_task(self._wake_all(unsealed), name="waking")
        self.purging.start(public, left)
        if self._provider_keys is not None:
            self._knowing = asyncio.create_task(self._provider_keys.run(), name="keys of the provider")
        self._edge_task = asyncio.create_task(self._tell_edges(), name="edges")
        self._keeping = asyncio.create_task(self.keeper.run(self.clock.monotonic_us), name="sockets")
        self._counting = asyncio.create_task(self.audience.run(), name="audience")

    async def stop(self) -> None:
        """Stop following and sealing; what was submitted is still written by whoever closes the writer."""
        self.is_stopping = True
        tasks = [task for running in self._running.values() for task in running.tasks]
        own = (self._edge_task, self._keeping, self._waking, self._counting, self._knowing)
        tasks += [task for task in own if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for running in self._running.values():
            running.live.flush()
            running.live.send_everyone_away(gone=False)
            await running.sealer.stop()
        await self.purging.stop()

    async def send_away(self) -> None:
        """The relay stops: tell everyone to come back, while the sockets are still open, and wait a moment for them to go."""
        self.is_stopping = True
        for running in tuple(self._running.values()):
            running.live.flush()
        for connection in tuple(self.connections):  # those that have not said hello too
            connection.send_away(gone=False)
        self._emptied.clear()
        if self.connections:
            await asyncio.wait({asyncio.create_task(self._emptied.wait())}, timeout=_GOODBYE_S)

    def note_gone(self, connection: LiveConnection) -> None:
        """A live connection has ended."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    async def _start_room(self, room: str, room_settings: RoomSettings) -> RunningRoom:
        await self._load_room(room, room_settings)
        return self._set_going(room)

    async def _load_room(self, room: str, room_settings: RoomSettings) -> None:
        live = await asyncio.to_thread(
            LiveRoom,
            room_settings,
            room=room,
            journal=self.journal,
            catalog=self.catalog,
            writer=self.writer,
            clock=self.clock,
            metrics=self.metrics,
        )
        live.floor.guard(self.settings.limits, self.outgoing, self.metrics)
        await asyncio.to_thread(self._place_slices, room, room_settings)
        await self.people.load(room, room_settings)
        sealer = Sealer(live, self.files, self._packed)
        await sealer.restore()
        self.purging.watch(live, sealer)
        live.on_broadcast_closed.append(lambda broadcast: self.archiving.want(room, broadcast))
        await live.receive_tick()
        live.note_absence()
        self._running[room] = RunningRoom(live, sealer)

    def _set_going(self, room: str) -> RunningRoom:
        """Begin to seal a room that was loaded, and to follow its stream."""
        running = self._running[room]
        live, sealer, room_settings = running.live, running.sealer, running.live.settings
        running.tasks.append(asyncio.create_task(sealer.run(), name=f"seal {room}"))
        if room_settings.playlist_url is None:
            running.pushed = PushedPlaylist(live) if room_settings.playlist_push else None
            running.tasks.append(asyncio.create_task(tick(live), name=f"tick {room}"))
        else:
            headers = room_settings.request_headers()
            work = follow(live, self.fetcher, room_settings.playlist_url, headers)
            running.tasks.append(asyncio.create_task(work, name=f"follow {room}"))
        running.capturing = capturing_of(self, live)
        if running.capturing is not None:
            running.tasks.append(asyncio.create_task(running.capturing.run(), name=f"capture {room}"))
        for task in running.tasks:
            task.add_done_callback(_note_end)
        _log.info("room_started", room=room, public=room_settings.public)
        return running

    def _resting(self, rooms: Mapping[str, RoomSettings]) -> tuple[dict[str, RoomSettings], list[str]]:
        """In a thread: rooms that need not be started before the relay is ready, and those of them that have something to seal.

        Such a room follows no playlist, and slices say what they must of everything in its log: nothing hidden is in a file.
        """
        settled, rested = self.catalog.marks("settled_offset"), self.catalog.marks("rested_offset")
        asleep, unsealed = {}, []
        for room, room_settings in rooms.items():
            if room_settings.playlist_url is not None or room_settings.source.url is not None or not settled.get(room):
                continue
            try:
                head = self.journal.head(room).offset
            except CorruptError:
                continue  # starting it tells
            if head != settled[room]:
                continue
            self.files.note_origins(room, room_settings.origins if room_settings.public else ())
            asleep[room] = room_settings
            if head != rested.get(room):
                unsealed.append(room)
        return asleep, unsealed

    async def _wake_all(self, rooms: Sequence[str]) -> None:
        """Start rooms one after the other, while others are served."""
        for room in rooms:
            try:
                if room in self._asleep:
                    await self.woken(room)
            except Exception:
                _log.exception("room_not_woken", room=room)
            await asyncio.sleep(_WAKE_S)

    async def woken(self, room: str) -> RunningRoom:
        """A room that is being served, started if it was asleep. Cost of starting: some 20 ms.

        Raises:
            UnknownRoomError: there is none.
        """
        if room in self._asleep:
            async with self._changing:
                await self._wake(room)
        return self.room(room)

    async def _wake(self, room: str) -> None:
        """Start a room if it is asleep; under the lock of changes."""
        room_settings = self._asleep.get(room)
        if room_settings is not None and not self.is_stopping:
            await self._start_room(room, room_settings)
            self._asleep.pop(room, None)

    def _place_slices(self, room: str, room_settings: RoomSettings) -> None:
        """In a thread: a room's slices lie where its visibility wants them, with what a web server must know of it."""
        self.files.move_slices(room, public=room_settings.public)
        self.files.note_origins(room, room_settings.origins if room_settings.public else ())

    async def put_room(self, room: str, room_settings: RoomSettings, *, by: str = "system") -> RunningRoom:
        """Create a room or change its settings; it goes on where it was.

        Args:
            room: its id.
            room_settings: its own.
            by: pseudonym of who wants it, as the audit log names them.

        Raises:
            SettingsError: it cannot be started with these; it goes on as it was.
            StoreError: nothing was changed.
        """
        async with self._changing:
            try:
                return await self._put_room(room, room_settings, by)
            finally:
                self._restarting.pop(room, None)
                self._listed_pages = None

    async def _put_room(self, room: str, room_settings: RoomSettings, by: str) -> RunningRoom:
        await self._wake(room)
        before = self._running.get(room)
        await self._keep_settings(room, None if before is None else before.live.settings, room_settings, by)
        if before is None:
            return await self._start_room(room, room_settings)
        self._restarting[room] = before.live.settings.public and room_settings.public
        del self._running[room]
        await self._stop_room(before, gone=False)
        running = await self._restarted(room, before.live.settings, room_settings, by)
        if before.live.settings.public and not room_settings.public:
            await self.purging.note_room(room)
        return running

    async def _keep_settings(self, room: str, old: RoomSettings | None, new: RoomSettings, by: str) -> None:
        record = new.model_dump(mode="json")
        deed = self._deed("room_put", room, by, "" if old is None else rules_of(old), rules_of(new))

        def work(connection: sqlite3.Connection) -> None:
            self.catalog.put_room(connection, room, record)
            self.journal.audit.note(connection, deed)

        await asyncio.wrap_future(self.writer.call(work))

    def _deed(self, action: str, room: str, by: str, before: str, after: str) -> AuditRecord:
        role = "system" if by == "system" else "admin"
        wall_us = self.clock.system_wall_us()
        return AuditRecord(wall_us=wall_us, room=room, actor=by, role=role, action=action, before=before, after=after)

    async def _restarted(self, room: str, old: RoomSettings, new: RoomSettings, by: str) -> RunningRoom:
        """Start a room that was stopped; as it was before if it cannot be started otherwise.

        Another playlist ends the broadcast unless it goes on with its segments, which its first answer shows (contract §1).
        """
        try:
            running = await self._start_room(room, new)
        except Exception:
            await self._keep_settings(room, new, old, by)
            await self._start_room(room, old)
            raise
        started, starts = mode_to_wire(old.start_mode), mode_to_wire(new.start_mode)
        await running.live.set_mode({name: value for name, value in starts.items() if started[name] != value})
        if (old.playlist_url, old.playlist_push) != (new.playlist_url, new.playlist_push):
            if new.has_stream:
                running.live.await_other_stream()
            else:
                await running.live.close_broadcast("stream_changed")
        return running

    async def delete_room(self, room: str, *, by: str = "system") -> None:
        """Stop serving a room. Its log and archive stay on disk: erasing is a deed of its own.

        Args:
            room: its id.
            by: pseudonym of who wants it, as the audit log names them.

        Raises:
            UnknownRoomError: there is none.
        """
        async with self._changing:
            await self._wake(room)
            running = self._running.pop(room, None)
            if running is None:
                raise UnknownRoomError
            self._listed_pages = None
            await self._stop_room(running, gone=True)
            deed = self._deed("room_deleted", room, by, rules_of(running.live.settings), "")

            def work(connection: sqlite3.Connection) -> None:
                self.catalog.remove_room(connection, room)
                self.journal.audit.note(connection, deed)

            await asyncio.wrap_future(self.writer.call(work))
            await asyncio.to_thread(
                self.files.move_slices, room, public=False
            )  # a web server does not ask whether it is gone
            if running.live.settings.public:
                await self.purging.note_room(room)

    async def _stop_room(self, running: RunningRoom, *, gone: bool) -> None:
        for task in running.tasks:
            task.cancel()
        await asyncio.gather(*running.tasks, return_exceptions=True)
        running.live.is_stopped = True
        running.live.send_everyone_away(gone=gone)
        await asyncio.wrap_future(self.writer.call(lambda _: None))  # what was submitted before has been told by now
        running.live.flush()
        await running.sealer.stop()
        await asyncio.wrap_future(self.writer.call(lambda _: None))  # what it noted last is on disk now

    async def _tell_edges(self) -> None:
        while True:
            await asyncio.sleep(_EDGE_S)
            for running in tuple(self._running.values()):
                try:
                    running.live.log_reactions()
                    if running.live.receivers:
                        running.live.tell_edge()
                except Exception:
                    _log.exception("edge_not_told", room=running.live.room)

    @property
    def unchanging(self) -> asyncio.Lock:
        """Held while no room is started, stopped or changed."""
        return self._changing

    # --- who may enter --------------------------------------------------------------------------------------------

    def is_restarting(self, room: str) -> bool:
        """Whether a room is away for a moment while its settings change."""
        return room in self._restarting

    @property
    def rooms(self) -> dict[str, RunningRoom]:
        """The rooms being served that are not asleep, by id."""
        return self._running

    def known_rooms(self) -> dict[str, RoomSettings]:
        """Settings of all rooms of this node, asleep or not, by id."""
        return self._asleep | {room: running.live.settings for room, running in self._running.items()}

    def settings_of(self, room: str) -> RoomSettings | None:
        """Settings of a room, None if this node has none of this id."""
        running = self._running.get(room)
        return self._asleep.get(room) if running is None else running.live.settings

    def room(self, room: str) -> RunningRoom:
        """A room that is being served.

        Raises:
            UnknownRoomError: there is none.
        """
        running = self._running.get(room)
        if running is None:
            raise UnknownRoomError
        return running

    def pages_that_may_knock(self, room: str) -> Collection[str]:
        """Origins whose pages are heard before anybody was let in: the room's own list where everybody may know of the room.

        Else, and where there is no room, those of all lists, so that what a page is told does not say whether there is one.
        """
        known = self.settings_of(room)
        if known is not None and known.public:
            return known.origins
        if self._listed_pages is None:
            self._listed_pages = frozenset(page for one in self.known_rooms().values() for page in one.origins)
        return self._listed_pages

    async def admitted(self, room: str, token: str | None) -> tuple[LiveRoom, Identity]:
        """Who comes in with this token.

        Raises:
            TokenError: a token that is not accepted.
            UnknownRoomError: no such room, or not the caller's: the same answer.
            RoomRestartingError: its settings are being changed.
        """
        running, identity = await self.entrant(room, token)
        return running.live, identity

    def check_entering(self, live: LiveRoom, identity: Identity) -> None:
        """Whether a person may be here.

        Raises:
            BannedError: they were banned.
        """
        if live.edge.standing.banned and identity.role != "host":
            key = self.author_key(live.room, identity.subject)
            live.floor.check_entering(Author(key=key, name="", role=identity.role))

    async def entrant(self, room: str, token: str | None) -> tuple[RunningRoom, Identity]:
        """As :meth:`admitted`, with the room's tasks: for HTTP. Only who may enter wakes a room.

        A token of an OpenID provider that is signed with a key we do not know waits until its keys were looked at again.
        """
        try:
            identity = self._let_in(room, token)
        except TokenError:
            if not await self._knows_now(token):
                raise
            identity = self._let_in(room, token)
        if room in self._asleep:
            await self.woken(room)
            identity = self._let_in(room, token)  # it may have been taken back meanwhile
        running = self._entered(room)
        self.check_entering(running.live, identity)
        return running, identity

    async def _knows_now(self, token: str | None) -> bool:
        """Whether a token that was refused may be good with keys that were loaded for it."""
        if token is None or self._provider_keys is None:
            return False
        kid = self.authority.unknown_kid(token)
        return kid is not None and await self._provider_keys.learned(kid)

    def entrant_now(self, room: str, token: str | None) -> tuple[RunningRoom, Identity] | None:
        """As :meth:`entrant`, without waiting; None if the room is asleep."""
        identity = self._let_in(room, token)
        if room in self._asleep:
            return None
        running = self._entered(room)
        self.check_entering(running.live, identity)
        return running, identity

    def _let_in(self, room: str, token: str | None) -> Identity:
        identity = guest() if token is None else self.authority.identify(token, wall_us=self.clock.system_wall_us())
        if self.authority.revocations.refuses(identity, room):
            raise TokenError
        known = self.settings_of(room)
        is_public = self._restarting.get(room, False) if known is None else known.public
        if not (is_public if token is None else identity.may_enter(room)):
            raise UnknownRoomError
        return identity

    def _entered(self, room: str) -> RunningRoom:
        running = self._running.get(room)
        if running is None:
            raise RoomRestartingError if room in self._restarting else UnknownRoomError
        return running

    def author_key(self, room: str, subject: str) -> str:
        """Who somebody is in a room, by the platform's own id of them."""
        return self.people.key(room, subject)

    def author_of(self, identity: Identity, room: str) -> Author:
        """Who an identity is in a room, under the name that everybody may see."""
        return self.people.author_of(identity, room)

    def close_person(self, room: str, author_key: str, code: CloseCode, reason: str) -> int:
        """Close all connections of a person in a room, those that have not got their welcome yet too; how many.

        Whether they may come back is for whoever lets people in to say.

        Args:
            room: the room.
            author_key: who they are in it (``authority.author_key``).
            code: with which code.
            reason: in words, without anything of theirs.
        """
        theirs = [one for one in self.connections if one.room_id == room and one.author_key == author_key]
        for connection in theirs:
            connection.close(code, reason)
        return len(theirs)

    def enter(self, person: str) -> bool:
        """Count a connection of a person; False when they have too many."""
        if self._connections[person] >= self.settings.limits.connections_per_person_max:
            return False
        self._connections[person] += 1
        return True

    def leave(self, person: str) -> None:
        """A connection that entered is gone."""
        self._connections[person] -= 1
        if self._connections[person] <= 0:
            del self._connections[person]

    def probe_disk(self) -> None:
        """After a failed commit: write a little, so that a relay to which nobody writes sees when the disk is well again."""
        wall_us = self.clock.system_wall_us()
        self.writer.submit(lambda connection: self.catalog.put_mark(connection, "", "probe", wall_us), lambda _: None)

    def take_token(self, person: str, count: int = 1) -> None:
        """Count commands of a person.

        Raises:
            RateLimitedError: too many.
        """
        self._rates.take(person, self.clock.monotonic_us(), count)


def _memory_bytes() -> int:
    """Of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _note_end(task: asyncio.Task[None]) -> None:
    """A room's task runs until it is cancelled; one that ends by itself must not do so in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task_ended", task=task.get_name(), error=type(error).__name__)
