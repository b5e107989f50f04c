"""Purging: caches in front of the relay drop what they hold of a slice that has changed.

Owns: whom to tell what, and when; trying again; how long it took. Does not know: how slices change, which answers carry which keys.
Units: µs of monotonic time. Source: security-and-privacy §3.1; decision 0030.

Nothing here holds up a hide: what is to be dropped is noted, and told a moment later, much of it in one request. A cache may be given an
answer just before the hide and store it just after it was told, so it is told once more two seconds later. One that does not answer is told
again and again for as long as it may keep what it has. What a crash left untold is found at the next start by a number: slices were written
since the last stop at which all was told.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import httpx2
import msgspec
import structlog

from chatsync.chat.event import Event
from chatsync.chat.room import GIVING_KINDS, TAKING_KINDS
from chatsync.errors import ChatsyncError, SettingsError
from chatsync.instants import MS_US, SECOND_US, ms_from_us
from chatsync.service.clock import Clock
from chatsync.service.limit_table import PURGES_WAITING_MAX
from chatsync.service.metrics import Metrics
from chatsync.service.purge_keys import PurgeKeys
from chatsync.service.purge_settings import PurgeHook, PurgeKind, read_purge_token
from chatsync.store.catalog import Catalog, SliceRow
from chatsync.store.writer import Writer

if TYPE_CHECKING:
    from chatsync.service.live_room import LiveRoom
    from chatsync.service.sealing import Sealer

__all__ = ["AGAIN_US", "GATHER_US", "KEPT_MORE_S", "LATE_US", "Cache", "Purging"]

GATHER_US = 100 * MS_US  # what comes within it travels together: a hide changes a list, and then slices one by one
AGAIN_US = 2 * SECOND_US  # answers that were on their way to a cache have come by then
LATE_US = 30 * SECOND_US  # where only something was added nothing has to go; caches by key drop it with the next
KEPT_MORE_S = 60  # than a cache may keep it: its clock may differ from ours
_ANSWER_S = 5.0
_FINISH_S = 2.0
_AT_ONCE = 8  # requests to one cache
_DEEDS_MAX = 1_000  # of a room, remembered until the slices they change are written
_REST_US_MIN, _REST_US_MAX = 250 * MS_US, 30 * SECOND_US
_REST_ASKED_S_MAX = 120
_ANSWER_BYTES_MAX = 64 * 1024
_DEEDS = TAKING_KINDS | GIVING_KINDS
_BATCH: Mapping[PurgeKind, int] = {"http": 1, "ban": 32, "fastly": 256, "cloudflare": 100}
_ABSENT = frozenset({404, 412})  # what caches answer to a PURGE of what they do not hold
_MARK = "purged_revisions"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Due:
    """A key or a path that a cache is to drop."""

    at_us: int  # not before
    since_us: int | None  # when the deed was durable; None: nothing was taken away by one, or it is told once more
    noted_us: int  # what a cache took later is new
    room: str
    is_again: bool = False


class Cache:
    """One cache: what it is still to be told, and the telling. Call :meth:`send_due` whenever something may be due, or let :meth:`run`.

    Args:
        name: as in the settings.
        hook: its settings.
        keys: the same as those in answers.
        kept_us: how long it may keep what it has.
        clock: for deadlines.
        metrics: by its name.
        client: that reaches it.
    """

    def __init__(
        self,
        name: str,
        hook: PurgeHook,
        *,
        keys: PurgeKeys,
        kept_us: int,
        clock: Clock,
        metrics: Metrics,
        client: httpx2.AsyncClient,
    ) -> None:
        self._name, self._hook, self._keys, self._kept_us = name, hook, keys, kept_us
        self._clock, self._client = clock, client
        self._due: dict[str, _Due] = {}
        self._wake = asyncio.Event()
        self._token: str | None = None
        self._failures = 0  # one after the other
        self._rest_until_us = 0
        self._done, self._failed = metrics.purges.labels(name), metrics.purge_failures.labels(name)
        self._took_s = metrics.purge_s.labels(name)
        metrics.purges_waiting.labels(name).set_function(lambda: self.waiting)

    @property
    def by_url(self) -> bool:
        """Whether it is told paths; else keys."""
        return self._hook.kind == "http"

    @property
    def waiting(self) -> int:
        """How much it is to be told, what it is told once more left out."""
        return sum(not due.is_again for due in self._due.values())

    def note(
        self,
        room: str,
        names: Iterable[str],
        *,
        since_us: int | None,
        in_us: int = GATHER_US,
        is_again: bool = False,
    ) -> None:
        """It is to drop these; what waits already is told no later than before.

        Args:
            room: whose they are.
            names: keys, or paths (:attr:`by_url`).
            since_us: when the deed was durable; None: not measured, and told once.
            in_us: from now.
            is_again: it has been told.
        """
        now_us = self._clock.monotonic_us()
        for name in names:
            wanted = self._within_bounds(name, room)
            due = _Due(now_us + in_us, since_us, now_us, room, is_again)
            known = self._due.get(wanted)
            self._due[wanted] = due if known is None else _merged(known, due)
        self._wake.set()

    def _within_bounds(self, name: str, room: str) -> str:
        """The name, or where too much waits the key of its whole room; of paths the oldest goes: its time in the cache ends first."""
        if len(self._due) < PURGES_WAITING_MAX or name in self._due:
            return name
        if not self.by_url:
            return self._keys.room(room)
        del self._due[next(iter(self._due))]
        self._failed.inc()
        if not self._failures:
            _log.warning("purge_dropped", cache=self._name, waiting=len(self._due))
        return name

    # --- telling --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell it what is due, until cancelled."""
        while True:
            try:
                if not await self.send_due():
                    await self._rest()
            except Exception:
                _log.exception("purging_failed", cache=self._name)  # a fault of ours must not end it
                await asyncio.sleep(_REST_US_MAX / SECOND_US)

    async def send_due(self) -> bool:
        """Tell it what is due now, within a few seconds; whether that was anything. What it does not take is due again later."""
        now_us = self._clock.monotonic_us()
        self._give_up(now_us)
        if now_us < self._rest_until_us:
            return False
        size = _BATCH[self._hook.kind]
        names = list(islice((name for name, due in self._due.items() if due.at_us <= now_us), size * _AT_ONCE))
        if not names:
            return False
        taken = {name: self._due.pop(name) for name in names}
        try:
            batches = [names[first : first + size] for first in range(0, len(names), size)]
            answers = await asyncio.gather(*(self._told(batch) for batch in batches))
        except BaseException:
            self._take_back(taken)
            raise
        for batch, reason in zip(batches, answers, strict=True):
            if reason is None:
                self._note_done({name: taken[name] for name in batch})
            else:
                self._failed.inc()
                self._take_back({name: taken[name] for name in batch})
        self._note_answers([reason for reason in answers if reason is not None])
        return True

    def _give_up(self, now_us: int) -> None:
        old = [name for name, due in self._due.items() if now_us - due.noted_us > self._kept_us]
        for name in old:
            del self._due[name]
        if old:
            _log.warning("purge_given_up", cache=self._name, purges=len(old), kept_s=self._kept_us // SECOND_US)

    def _take_back(self, taken: Mapping[str, _Due]) -> None:
        """What was not told waits again, before what came meanwhile."""
        for name, due in taken.items():
            newer = self._due.pop(name, None)
            self._due[name] = due if newer is None else _merged(due, newer)

    def _note_done(self, told: Mapping[str, _Due]) -> None:
        now_us = self._clock.monotonic_us()
        self._done.inc(len(told))
        for name, due in told.items():
            if due.since_us is not None:
                self._took_s.observe((now_us - due.since_us) / SECOND_US)
                self.note(due.room, [name], since_us=None, in_us=AGAIN_US, is_again=True)

    def _note_answers(self, failures: Sequence[_Failure]) -> None:
        if not failures:
            if self._failures:
                _log.info("purges_go_on", cache=self._name, waiting=self.waiting)
            self._failures = 0
            return
        rest_us = min(_REST_US_MAX, _REST_US_MIN << min(self._failures, 16))
        rest_us = max(rest_us, *(one.rest_s * SECOND_US for one in failures))
        self._failures += 1
        self._rest_until_us = self._clock.monotonic_us() + rest_us
        _log.warning(
            "purge_waits", cache=self._name, reason=failures[0].reason, waiting=self.waiting, for_ms=rest_us // MS_US
        )

    async def _rest(self) -> None:
        """Wait until something is due or new."""
        self._wake.clear()
        next_us = min((due.at_us for due in self._due.values()), default=None)
        rest_s = None
        if next_us is not None:
            rest_s = max(0, max(next_us, self._rest_until_us) - self._clock.monotonic_us()) / SECOND_US
        try:
            async with asyncio.timeout(rest_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def finish(self) -> bool:
        """The relay stops: tell it what waits, all at once and once; whether it has been told all."""
        now_us = self._clock.monotonic_us()
        self._due = {name: due for name, due in self._due.items() if not due.is_again}
        for due in self._due.values():
            due.at_us = now_us
        try:
            async with asyncio.timeout(_FINISH_S):
                while self.waiting and await self.send_due():
                    pass
        except TimeoutError:
            return False
        return not self.waiting

    async def _told(self, names: Sequence[str]) -> _Failure | None:
        """One request; why it failed, if it did."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                method, url, headers, body = await self._request(names)
                async with self._client.stream(method, url, headers=headers, content=body) as answer:
                    await _read_through(answer)
        except TimeoutError:
            return _Failure("timeout")
        except SettingsError:
            return _Failure("token_file")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ssl.SSLError) as error:
            return _Failure(type(error).__name__)
        status = answer.status_code
        if 200 <= status < 300 or (self._hook.kind == "http" and status in _ABSENT):
            return None
        if status in {401, 403}:
            self._token = None  # it may have been changed in its file
        return _Failure(f"status {status}", _rest_s(answer.headers.get("retry-after")))

    async def _request(self, names: Sequence[str]) -> tuple[str, str, dict[str, str], bytes]:
        """Method, URL, headers and body that make it drop these.

        Raises:
            SettingsError: there is no token.
        """
        hook, base = self._hook, self._hook.base_url
        headers = {} if hook.host is None else {"Host": hook.host}
        match hook.kind:
            case "http":
                return "PURGE", base + names[0], headers, b""
            case "ban":
                return "BAN", base + "/", headers | {"Surrogate-Key": " ".join(names)}, b""
            case "fastly":
                headers |= {"Fastly-Key": await self._api_token(), "Surrogate-Key": " ".join(names)}
                return "POST", f"{base}/service/{hook.zone}/purge", headers | {"Accept": "application/json"}, b""
            case "cloudflare":
                headers |= {"Authorization": f"Bearer {await self._api_token()}", "Content-Type": "application/json"}
                body = msgspec.json.encode({"tags": list(names)})
                return "POST", f"{base}/zones/{hook.zone}/purge_cache", headers, body

    async def _api_token(self) -> str:
        if self._token is None:
            self._token = await asyncio.to_thread(read_purge_token, self._hook, self._name)
        return self._token


def _merged(older: _Due, newer: _Due) -> _Due:
    """Both at once: as early as either, measured from the first deed, and kept as long as the last may be in a cache."""
    since_us = min((one for one in (older.since_us, newer.since_us) if one is not None), default=None)
    is_again = older.is_again and newer.is_again
    return _Due(min(older.at_us, newer.at_us), since_us, newer.noted_us, newer.room, is_again)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a cache was not told; never holds an address or a token."""

    reason: str
    rest_s: int = 0  # so long it asks to be left alone


async def _read_through(answer: httpx2.Response) -> None:
    """Read an answer that nobody wants, so that its connection can be used again; a long one is left."""
    came = 0
    async for chunk in answer.aiter_raw():
        came += len(chunk)
        if came > _ANSWER_BYTES_MAX:
            return


def _rest_s(retry_after: str | None) -> int:
    """``Retry-After`` in seconds, bounded; 0 for a date or nonsense."""
    text = (retry_after or "").strip()
    return min(_REST_ASKED_S_MAX, int(text)) if text.isascii() and text.isdigit() and len(text) < 9 else 0


class Purging:
    """All caches of one node. Build it, :meth:`start`, and ``await stop()`` in the end; without caches it does nothing.

    Args:
        caches: from the settings.
        keys: the same as those in answers.
        catalog: what slices there were.
        writer: of its database.
        clock: for deadlines.
    """

    def __init__(
        self, caches: Collection[Cache], *, keys: PurgeKeys, catalog: Catalog, writer: Writer, clock: Clock
    ) -> None:
        self.keys = keys
        self._caches, self._catalog, self._writer, self._clock = tuple(caches), catalog, writer, clock
        self._tasks: list[asyncio.Task[None]] = []
        self._has_looked_back = False

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self, rooms: Collection[str], left: Collection[str]) -> None:
        """Begin to tell.

        Args:
            rooms: those that are public.
            left: those that were public at the last start and are not any more.
        """
        if self._caches:
            self._tasks = [asyncio.create_task(cache.run(), name="purge") for cache in self._caches]
            self._tasks.append(asyncio.create_task(self._look_back(tuple(rooms), tuple(left)), name="purge the past"))

    async def _look_back(self, rooms: Sequence[str], left: Sequence[str]) -> None:
        """Caches drop all of rooms that were left, and all there is if it is not known to be as they were told last."""
        try:
            told = await asyncio.to_thread(self._catalog.mark, "", _MARK)
            written = await asyncio.to_thread(self._catalog.slice_writes)
            if told is None:
                await self._note_told(
                    written
                )  # whatever caches may hold from before, they hold it no longer than they may
            elif told != written:
                _log.info("purging_everything", rooms=len(rooms))
                left = (*left, *rooms)
            for room in left:
                await self._note_all(room, since_us=None)
            self._has_looked_back = True
        except Exception:
            _log.exception("purging_failed")

    async def stop(self) -> None:
        """Tell what is left, for two seconds at most; what could not be told is found at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._has_looked_back and all(await asyncio.gather(*(cache.finish() for cache in self._caches))):
            try:
                await self._note_told(await asyncio.to_thread(self._catalog.slice_writes))
            except ChatsyncError as error:  # the next start tells everything once more
                _log.warning("purges_not_noted", code=error.code)

    async def _note_told(self, written: int) -> None:
        await asyncio.wrap_future(
            self._writer.call(lambda connection: self._catalog.put_mark(connection, "", _MARK, written))
        )

    # --- what is told ---------------------------------------------------------------------------------------------

    def watch(self, live: LiveRoom, sealer: Sealer) -> None:
        """See to it that what a room hides leaves the caches. Nothing of a private room was ever in one."""
        if self._caches and live.settings.public:
            watch = _Watch(self, live, sealer)
            live.on_committed.append(watch.receive_committed)
            sealer.old.on_gone.append(watch.receive_gone)

    async def note_room(self, room: str) -> None:
        """A room is public no more, or is no more: everything of it goes."""
        if not self._caches:
            return
        try:
            await self._note_all(room, since_us=self._clock.monotonic_us())
        except ChatsyncError as error:  # the room is private all the same
            _log.warning("purges_not_noted", room=room, code=error.code)

    def note_expired(self, room: str) -> None:
        """A broadcast of a room is past its time. Where caches are told paths, its slices go with their own time."""
        for cache in self._caches:
            if not cache.by_url:
                cache.note(room, [self.keys.room(room)], since_us=self._clock.monotonic_us())

    async def _note_all(self, room: str, *, since_us: int | None) -> None:
        paths: list[str] = []
        if any(cache.by_url for cache in self._caches):
            paths = await asyncio.to_thread(lambda: list(islice(self._paths(room), PURGES_WAITING_MAX // 2)))
        for cache in self._caches:
            cache.note(room, paths if cache.by_url else [self.keys.room(room)], since_us=since_us)

    def _paths(self, room: str) -> Iterator[str]:
        """In a thread: the paths of all slices a room ever listed, the latest broadcast first."""
        yield _chat_path(room)
        for record in reversed(self._catalog.broadcast_records(room, last=-1)):
            listed, removed, _ = self._catalog.slices(room, record["number"])
            for row in (*listed, *removed.values()):
                for revision in range(row.revision, 0, -1):
                    yield _slice_path(room, msgspec.structs.replace(row, revision=revision))

    def note_now(self, live: LiveRoom, *, since_us: int | None, in_us: int = GATHER_US) -> None:
        """The list of a room's slices has changed, or its open slice has."""
        sealed_until_us = live.sealed_until_us()
        paths = [_chat_path(live.room)]
        if sealed_until_us is not None:
            base = f"/v1/rooms/{live.room}/slices/{live.broadcasts.current.number}"
            paths.append(f"{base}/open.json?from_ms={ms_from_us(sealed_until_us)}")
        for cache in self._caches:
            names = paths if cache.by_url else [self.keys.now(live.room)]
            cache.note(live.room, names, since_us=since_us, in_us=in_us)

    def note_gone(self, live: LiveRoom, row: SliceRow, *, since_us: int | None) -> None:
        """A revision of a slice is over.

        A path is that of one revision, and must go whatever is said of the next. So must the next one's, if a cache has kept that there was
        no such slice yet.

        Args:
            live: the room.
            row: the revision.
            since_us: when what took something away was durable; None: something was only added.
        """
        after = msgspec.structs.replace(row, revision=row.revision + 1, epoch=live.log.position.epoch)
        paths = [_slice_path(live.room, row), _slice_path(live.room, after)]
        key = self.keys.slice(live.room, row.broadcast, row.start_ms)
        for cache in self._caches:
            if cache.by_url:
                cache.note(live.room, paths, since_us=since_us)
            else:
                in_us = LATE_US if since_us is None else GATHER_US
                cache.note(live.room, [key], since_us=since_us, in_us=in_us)
        if since_us is not None:
            self.note_now(live, since_us=since_us)


class _Watch:
    """Listens to one room: which deeds took something away, and which revisions went because of them."""

    def __init__(self, purging: Purging, live: LiveRoom, sealer: Sealer) -> None:
        self._purging, self._live, self._sealer = purging, live, sealer
        self._deeds_us: dict[int, int] = {}  # by offset: when it was durable

    def receive_committed(self, event: Event, affected: tuple[int, ...], changed: tuple[Event, ...] = ()) -> None:
        """An event is durable. What it hides may be in the open slice, or in sealed ones that are written now."""
        del affected, changed
        if event.kind in _DEEDS:
            now_us = self._live.clock.monotonic_us()
            self._deeds_us[event.offset] = now_us
            while len(self._deeds_us) > _DEEDS_MAX:
                del self._deeds_us[next(iter(self._deeds_us))]
            self._purging.note_now(self._live, since_us=now_us)

    def receive_gone(self, row: SliceRow) -> None:
        """A revision is over. Only where all that its broadcast waited for is known to be news, nothing was taken away."""
        index = self._sealer.loaded_index(row.broadcast)
        causes = set() if index is None else index.waiting_offsets
        if causes and all(self._is_news(offset) for offset in causes):
            self._purging.note_gone(self._live, row, since_us=None)
            return
        deeds_us = [self._deeds_us[offset] for offset in causes if offset in self._deeds_us]
        self._purging.note_gone(self._live, row, since_us=min(deeds_us, default=self._live.clock.monotonic_us()))

    def _is_news(self, offset: int) -> bool:
        event = self._live.log.event(offset)
        return event is not None and event.kind not in _DEEDS and not event.hidden


def _chat_path(room: str) -> str:
    return f"/v1/rooms/{room}/chat.json"


def _slice_path(room: str, row: SliceRow) -> str:
    name = f"{row.start_ms}-{row.end_ms}.e{row.epoch}.r{row.revision}.json"
    return f"/v1/rooms/{room}/slices/{row.broadcast}/{name}"
