"""The answers of the read path: the chat playlist, sealed slices, the open slice. One implementation for every way in.

Owns: what may be answered from memory, which answers are kept, how many are given. Does not know: ASGI, who may enter, CORS.
Source: contract §3; security-and-privacy §3.1.

Each answer has two ways: ``…_now`` looks at memory only and gives None if that is not enough; the coroutine reads what is lacking, then
does the same. Callers that have time use the second one alone.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from typing import TYPE_CHECKING, TypeVar
from weakref import ref

from chatsync.errors import CorruptError, NotFoundError, SupersededError
from chatsync.instants import SECOND_US, us_from_ms
from chatsync.service.answers import Answer, cache_control, json_answer, not_modified, tag_of
from chatsync.service.chat_playlist import FRESH_US, ChatQuery, ChatView, Listings, broadcast_of, reload_ms
from chatsync.service.open_slice import OpenParts, Pace, Tail, open_body, parts_of, tail_of
from chatsync.store.catalog import SliceRow

if TYPE_CHECKING:
    from prometheus_client import Counter

    from chatsync.service.hub import Hub, RunningRoom
    from chatsync.service.live_room import LiveRoom
    from chatsync.service.slice_index import SliceIndex

__all__ = ["SLICE_NAME", "SliceAnswers", "SliceName"]

SLICE_NAME = re.compile(
    r"(0|-?[1-9]\d{0,15})-(0|-?[1-9]\d{0,15})\.e(0|[1-9]\d{0,17})\.r(0|[1-9]\d{0,8})\.json", re.ASCII
)
"""A name has one spelling: a cache that is told to drop it must not have it under another."""
SliceName = tuple[int, int, int, int]
"""``start_ms``, ``end_ms``, epoch and revision, as a name gives them."""

_KEPT_BYTES_MAX = 16 * 1024 * 1024  # of chat playlists and open slices, of the node
_KEPT_MAX = 4_096  # and so many of them
_SEALED_KEPT_MAX = 8_192  # heads of sealed answers; their bodies lie with the sealer
_OPEN_EVENTS_ON_LOOP = 300  # more than this are encoded in a thread


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Kept:
    """An answer, and what it was made from."""

    __slots__ = ("answer", "made_us", "running", "stamp")

    def __init__(self, running: RunningRoom, stamp: object, made_us: int, answer: Answer) -> None:
        self.running, self.stamp, self.made_us, self.answer = running, stamp, made_us, answer


class _Again:
    """A sealed slice that was answered to an address, and what it was found by: what is let go meanwhile does not stay for it."""

    __slots__ = ("_index", "_row", "_running", "_version", "answer")

    def __init__(self, running: RunningRoom, index: SliceIndex, row: SliceRow, answer: Answer) -> None:
        self._running, self._index, self._row, self.answer = ref(running), ref(index), row, answer
        self._version = index.version

    def room(self) -> RunningRoom | None:
        """The room, if it is the answer still: no slice of its broadcast has changed or is about to."""
        running, index = self._running(), self._index()
        if running is None or index is None or running.sealer.loaded_index(index.broadcast) is not index:
            return None
        is_same = index.version == self._version and not index.has_work
        return running if is_same and running.sealer.packed_in_memory(self._row) is self.answer.body else None


class SliceAnswers:
    """Makes and keeps the answers of one node. All of it runs on the loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._listings = Listings()
        self._kept: dict[tuple[object, ...], _Kept] = {}
        self._kept_bytes = 0
        self._sealed: dict[tuple[str, bool, int, SliceName], Answer] = {}
        self._again: dict[str, _Again] = {}  # by path
        self._paces: dict[str, Pace] = {}
        self._making = asyncio.Lock()
        self._reads = self._reads_before = 0
        self._reads_second = 0
        count = hub.metrics.reads.labels
        self._count_chat, self._count_open, self._count_slice = count("chat_playlist"), count("open"), count("slice")

    # --- the chat playlist ----------------------------------------------------------------------------------------

    def chat_now(self, running: RunningRoom, query: ChatQuery) -> Answer | None:
        """The chat playlist, if its index is in memory.

        Raises:
            NotFoundError: the room never had such a broadcast.
        """
        index = running.sealer.loaded_index(broadcast_of(running.live, query))
        return None if index is None else self._chat(running, index, query)

    async def chat(self, running: RunningRoom, query: ChatQuery) -> Answer:
        """The chat playlist.

        Raises:
            NotFoundError: the room never had such a broadcast.
        """
        return self._chat(running, await running.sealer.index(broadcast_of(running.live, query)), query)

    def _chat(self, running: RunningRoom, index: SliceIndex, query: ChatQuery) -> Answer:
        self._note_read(self._count_chat)
        live = running.live
        view = ChatView(live, index, query, reload_ms=self._reload_ms())
        key = ("chat", live.room, query)
        kept = self._kept.get(key)
        if kept is not None and kept.running is running and kept.stamp == view.stamp:
            return kept.answer
        body = self._listings.body(view)
        answer = json_answer(
            body,
            caching=cache_control(
                "public, max-age=1" if view.is_live else "public, max-age=30", is_public=live.settings.public
            ),
            tag=tag_of(self._hub.authority.etag_key, live.room, "chat", hashlib.sha256(body).hexdigest()),
            keys=self._keys(live),
        )
        self._keep(key, _Kept(running, view.stamp, 0, answer))
        return answer

    def _reload_ms(self) -> int:
        hub = self._hub
        is_full = len(hub.connections) >= hub.settings.limits.sockets_max
        return reload_ms(max(self._reads_before, self._reads), is_full=is_full)

    def _note_read(self, counter: Counter) -> None:
        """Count an answer that players poll for; more of them a second make players ask less often."""
        counter.inc()
        second = self._hub.clock.monotonic_us() // SECOND_US
        if second != self._reads_second:
            self._reads_before = self._reads if second == self._reads_second + 1 else 0
            self._reads_second, self._reads = second, 0
        self._reads += 1

    # --- sealed slices --------------------------------------------------------------------------------------------

    def sealed_again(self, path: str) -> tuple[RunningRoom, Answer] | None:
        """A sealed slice that was answered to this path before and has not changed since, and its room as it was then."""
        known = self._again.get(path)
        if known is None:
            return None
        running = known.room()
        if running is None:
            del self._again[path]
            return None
        self._count_slice.inc()
        return running, known.answer

    def sealed_now(self, running: RunningRoom, broadcast: int, name: SliceName, *, path: str = "") -> Answer | None:
        """A sealed slice, compressed, if all of it is in memory and it is the present revision; remembered for ``path``."""
        sealer = running.sealer
        index = sealer.loaded_index(broadcast)
        row = None if index is None else index.entry_at(us_from_ms(name[0]))
        if index is None or row is None or _name_of(row) != name or not sealer.is_settled(index, row):
            return None
        body = sealer.packed_in_memory(row)
        if body is None:
            return None
        self._count_slice.inc()
        key = (running.live.room, running.live.settings.public, broadcast, name)
        answer = self._sealed.get(key)
        if answer is None or answer.body is not body:
            answer = self._sealed_answer(running, row, body, gzipped=True)
            _keep_newest(self._sealed, key, answer)
        if path:
            _keep_newest(self._again, path, _Again(running, index, row, answer))
        return answer

    async def sealed(self, running: RunningRoom, broadcast: int, name: SliceName, *, gzipped: bool) -> Answer:
        """A sealed slice. Waits until no hide that concerns it is left to write.

        Args:
            running: the room.
            broadcast: which airing; one that the room had.
            name: as it was asked for.
            gzipped: whether the asker takes it compressed.

        Raises:
            NotFoundError: there never was such a slice.
            SupersededError: a newer revision stands, or all of it is hidden.
            CorruptError: the file is not what was written.
        """
        sealer = running.sealer
        index = await sealer.index(broadcast)
        row = await self._settled_row(running, index, name)
        if gzipped and (answer := self.sealed_now(running, broadcast, name)) is not None:
            return answer
        try:
            body = await sealer.packed(row)
        except CorruptError:
            await self._settled_row(running, index, name)  # revised while its file was read: this says so
            raise
        await self._settled_row(running, index, name)
        if gzipped and (answer := self.sealed_now(running, broadcast, name)) is not None:
            return answer
        self._count_slice.inc()
        if not gzipped:
            body = await asyncio.to_thread(gzip.decompress, body)
        return self._sealed_answer(running, row, body, gzipped=gzipped)

    async def _settled_row(self, running: RunningRoom, index: SliceIndex, name: SliceName) -> SliceRow:
        """The row of a slice that is the present revision, once nothing that concerns it is left to write."""
        start_ms, end_ms, epoch, revision = name
        row = index.entry_at(us_from_ms(start_ms))
        if row is not None:
            await running.sealer.settled(index, row)
            row = index.entry_at(us_from_ms(start_ms))
        if row is None or (row.start_ms, row.end_ms) != (start_ms, end_ms):
            removed = index.removed.get(start_ms)
            if removed is not None and end_ms == removed.end_ms and revision <= removed.revision:
                raise SupersededError(revision=None)
            raise NotFoundError("slice")
        if (row.epoch, row.revision) != (epoch, revision):
            if revision < row.revision or epoch < row.epoch:
                raise SupersededError(revision=row.revision)
            raise NotFoundError("slice")
        return row

    def _sealed_answer(self, running: RunningRoom, row: SliceRow, body: bytes, *, gzipped: bool) -> Answer:
        room, is_public = running.live.room, running.live.settings.public
        limits = self._hub.settings.limits
        public = f"public, max-age={limits.slice_age_s}, s-maxage={limits.slice_cache_s}, immutable"
        return json_answer(
            body,
            caching=cache_control(public, is_public=is_public),
            tag=tag_of(self._hub.authority.etag_key, room, "slice", row.broadcast, *_name_of(row)),
            varies=True,
            gzipped=gzipped,
            keys=self._hub.purge_keys.of_slice(room, row.broadcast, row.start_ms) if is_public else (),
        )

    # --- the open slice -------------------------------------------------------------------------------------------

    def open_now(self, running: RunningRoom, broadcast: int, from_ms: int, after: int | None) -> Answer | None:
        """The open slice, if it is in memory and short.

        Raises:
            NotFoundError: the broadcast is not among the room's latest.
            SupersededError: as :func:`tail_of`.
        """
        index = self._open_index(running, broadcast)
        if index is None or not index.has_state:
            return None
        tail, kept = self._open_kept(running, index, from_ms, after)
        if kept is not None:
            self._note_read(self._count_open)
            return kept
        parts = parts_of(tail)
        if parts.work > _OPEN_EVENTS_ON_LOOP:
            return None
        self._note_read(self._count_open)
        return self._open_answer(running, tail, open_body(running.live, tail, parts))

    async def open(self, running: RunningRoom, broadcast: int, from_ms: int, after: int | None) -> Answer:
        """The open slice.

        Raises:
            NotFoundError: the broadcast is not among the room's latest.
            SupersededError: as :func:`tail_of`.
        """
        index = self._open_index(running, broadcast) or await running.sealer.index(broadcast)
        await running.sealer.load_state(index)
        tail, kept = self._open_kept(running, index, from_ms, after)
        self._note_read(self._count_open)
        if kept is not None:
            return kept
        async with self._making:  # who asks for the same meanwhile waits for it
            tail, kept = self._open_kept(running, index, from_ms, after)
            if kept is not None:
                return kept
            parts: OpenParts = parts_of(tail)
            if parts.work > _OPEN_EVENTS_ON_LOOP:
                body = await asyncio.to_thread(open_body, running.live, tail, parts)
            else:
                body = open_body(running.live, tail, parts)
            return self._open_answer(running, tail, body)

    def _open_index(self, running: RunningRoom, broadcast: int) -> SliceIndex | None:
        if running.live.broadcasts.get(broadcast) is None:
            raise NotFoundError("broadcast")
        return running.sealer.loaded_index(broadcast)

    def _open_kept(
        self, running: RunningRoom, index: SliceIndex, from_ms: int, after: int | None
    ) -> tuple[Tail, Answer | None]:
        live = running.live
        pace = self._paces.get(live.room)
        if pace is None:
            pace = self._paces[live.room] = Pace()
        tail = tail_of(live, index, pace, from_us=us_from_ms(from_ms), after=after)
        kept = self._kept.get(_open_key(live.room, tail))
        is_same = kept is not None and kept.running is running and kept.stamp == tail.stamp
        if kept is None or not is_same or live.clock.wall_us() - kept.made_us >= FRESH_US:
            return tail, None
        return tail, kept.answer

    def _open_answer(self, running: RunningRoom, tail: Tail, body: bytes) -> Answer:
        live = running.live
        caching = cache_control("public, max-age=1", is_public=live.settings.public)
        answer = json_answer(body, caching=caching, keys=self._keys(live))
        self._keep(_open_key(live.room, tail), _Kept(running, tail.stamp, live.clock.wall_us(), answer))
        return answer

    def _keys(self, live: LiveRoom) -> list[tuple[bytes, bytes]]:
        """What caches call the lists of a room and its open slices."""
        return self._hub.purge_keys.of_now(live.room) if live.settings.public else []

    # --- what is kept ---------------------------------------------------------------------------------------------

    def _keep(self, key: tuple[object, ...], kept: _Kept) -> None:
        before = self._kept.pop(key, None)
        self._kept_bytes += len(kept.answer.body) - (0 if before is None else len(before.answer.body))
        self._kept[key] = kept
        while self._kept_bytes > _KEPT_BYTES_MAX or len(self._kept) > _KEPT_MAX:
            self._kept_bytes -= len(self._kept.pop(next(iter(self._kept))).answer.body)

    @staticmethod
    def unchanged(answer: Answer, if_none_match: str) -> Answer:
        """304 if the asker has this version already, else the answer."""
        if not answer.tag or answer.tag not in if_none_match:
            return answer
        return not_modified(answer)


def _keep_newest(kept: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    while len(kept) >= _SEALED_KEPT_MAX:
        del kept[next(iter(kept))]
    kept[key] = value


def _name_of(row: SliceRow) -> SliceName:
    return row.start_ms, row.end_ms, row.epoch, row.revision


def _open_key(room: str, tail: Tail) -> tuple[object, ...]:
    return "open", room, tail.index.broadcast, tail.from_us, tail.after
