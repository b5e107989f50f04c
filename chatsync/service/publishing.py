"""A room's recordings as files that any web server serves: the watch page, its chat, activity and what a search looks through.

Owns: which files there are, and when they are in place. Does not know: the command line, who uploads them.
Units: µs inside, ms in files. Source: contract §3 for chat playlist and slices, §4 for the rest.

Written again it changes what has changed, and takes away what is no longer part of it; lists come after what they list, pages last, so
that a page that is read meanwhile finds what it asks for. Beside each file lies a gzipped one, for servers that look for it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from chatsync.chat.event import MESSAGE_KINDS, Position
from chatsync.chat.wire import encoded
from chatsync.errors import MessageRejectedError
from chatsync.hls.spans import Span
from chatsync.instants import SECOND_US, Range, ms_from_us, us_from_ms
from chatsync.replay.cuts import Piece, pieces
from chatsync.replay.slices import LONG_US, cut, is_sliced
from chatsync.service.answer_headers import page_headers
from chatsync.service.finding import Finder, Part, positioned
from chatsync.service.recordings import spans_from_wire, spans_to_wire
from chatsync.service.watch_page import ASSETS, FOLDER, TRUSTED_TYPES, WatchPage, sources_of
from chatsync.store.finding import Finding
from chatsync.store.opening import Store
from chatsync.store.slicing import built_slice

__all__ = ["NotOursError", "Published", "publish"]

Progress = Callable[[str, int, int], None]

_LIST = "published.json"  # what is ours in the folder
_HITS_A_FILE = 2_000
_PLAYER = ("hls.min.js", "chatsync-player.js", "chatsync-more.js")
_NO_PARTS = {*_PLAYER, "chatsync-host.js"}
_ALL_US = Range(-(2**61), 2**61)


class NotOursError(Exception):
    """The folder holds something that was not published there."""


@dataclass(slots=True)
class Published:
    """What lies in the folder now.

    Attributes:
        recordings: their ids.
        messages: shown in them, each broadcast counted once.
        files: paths in the folder.
        written: how many of them are new or other than before.
        size_bytes: of all, without those that are gzipped beside.
    """

    recordings: list[str] = field(default_factory=list)
    messages: int = 0
    files: list[str] = field(default_factory=list)
    written: int = 0
    size_bytes: int = 0


def publish(
    store: Store,
    room: str,
    *,
    title: str,
    folder: Path,
    web: Path,
    media: dict[str, str] | None = None,
    progress: Progress | None = None,
) -> Published:
    """Write a room's recordings into a folder; without any, each broadcast as one.

    Args:
        store: opened, served by nobody.
        room: the room.
        title: of its pages.
        folder: empty, not there yet, or published before.
        web: where the built player lies.
        media: what recordings play, by id, before what their maps say.
        progress: told (what, done, of how many).

    Raises:
        NotOursError: the folder holds something else.
        MessageRejectedError: there is nothing to publish.
        CorruptError: a row or file is damaged.
        OSError: the folder cannot be written.
    """
    return _Publishing(
        store, room, title=title, folder=folder, web=web, media=media or {}, progress=progress or (lambda *_: None)
    ).run()


class _Publishing:
    def __init__(
        self,
        store: Store,
        room: str,
        *,
        title: str,
        folder: Path,
        web: Path,
        media: dict[str, str],
        progress: Progress,
    ) -> None:
        self._store, self._room, self._title = store, room, title
        self._folder, self._web, self._media, self._progress = folder, web, media, progress
        self._base = f"v1/rooms/{room}/"
        self._done = Published()

    def run(self) -> Published:
        before = self._checked_folder()
        records = self._records()
        if not records:
            raise MessageRejectedError("no_broadcast", "This room has neither recordings nor broadcasts.")
        broadcasts = sorted({span["broadcast"] for record in records.values() for span in record["spans"]})
        steps = len(broadcasts) + len(records)
        for done, number in enumerate(broadcasts):
            self._progress(f"broadcast {number}", done, steps)
            self._broadcast(number)
        for done, (name, record) in enumerate(records.items(), len(broadcasts)):
            self._progress(f"recording {name}", done, steps)
            self._recording(name, record)
        self._progress("pages", steps, steps)
        listed = [{"recording": name, "duration_ms": record["duration_ms"]} for name, record in records.items()]
        self._json("recordings.json", {"recordings": listed})
        self._pages(records)
        self._put(_LIST, encoded({"room": self._room, "files": sorted({*self._done.files, _LIST})}), packed=False)
        for path in sorted(before - set(self._done.files)):
            for name in (path, f"{path}.gz"):
                (self._folder / name).unlink(missing_ok=True)
        return self._done

    def _checked_folder(self) -> set[str]:
        """Paths of what was published here before."""
        if not self._folder.exists():
            self._folder.mkdir(parents=True)
            return set()
        list_ = self._folder / _LIST
        if list_.is_file():
            named = msgspec.json.decode(list_.read_bytes())["files"]
            return {name for name in named if not name.startswith("/") and ".." not in Path(name).parts}
        if any(self._folder.iterdir()):
            raise NotOursError
        return set()

    def _records(self) -> dict[str, dict[str, Any]]:
        """The room's recordings, or its broadcasts as such, the latest first."""
        kept = self._store.catalog.recordings(self._room)
        if kept:
            return dict(sorted(kept.items(), key=lambda one: _latest(one[1]), reverse=True))
        made: dict[str, dict[str, Any]] = {}
        for record in reversed(self._store.catalog.broadcast_records(self._room, last=-1)):
            within = self._airing(record)
            if within.duration_us >= SECOND_US:
                span = Span(
                    position_us=0,
                    duration_us=within.duration_us,
                    broadcast=record["number"],
                    program_us=within.start_us,
                    method="offset",
                    score=1.0,
                )
                made[f"broadcast-{record['number']}"] = {
                    "duration_ms": ms_from_us(within.duration_us),
                    "spans": spans_to_wire([span]),
                }
        return made

    def _airing(self, record: dict[str, Any]) -> Range:
        start_us, end_us = record["start_us"], record["edge_us"]
        if start_us is None or end_us is None:
            placed = self._placed_us(record["number"])
            if not placed:
                return Range(0, 0)
            start_us, end_us = placed[0] // SECOND_US * SECOND_US, placed[-1] + SECOND_US
        return Range(start_us, max(start_us, end_us))

    def _placed_us(self, broadcast: int) -> list[int]:
        """Program times of all that slices print, in order."""
        events = self._store.journal.events_between(self._room, broadcast, _ALL_US.start_us, _ALL_US.end_us)
        return [event.program_us for event in events if is_sliced(event)]

    def _broadcast(self, number: int) -> None:
        """Slices and chat playlist of a broadcast, all of it sealed."""
        placed = self._placed_us(number)
        head = self._store.journal.head(self._room)
        position = Position(head.epoch, head.offset)
        entries: list[dict[str, Any]] = []
        for within in cut(placed, watermark_us=(placed[-1] if placed else 0) + 2 * LONG_US):
            key: dict[str, Any] = {"broadcast": number, "within": within, "position": position}
            built = built_slice(self._store.journal, self._room, revision=1, **key)
            if built is None:
                continue
            # The name says what is in it, so that a cache never has another under it.
            said = {k: v for k, v in msgspec.json.decode(built.body).items() if k not in {"as_of", "revision"}}
            revision = int(hashlib.sha256(encoded(said)).hexdigest()[:8], 16) + 1
            body = encoded(
                said | {"as_of": {"epoch": str(position.epoch), "offset": position.offset}, "revision": revision}
            )
            start_ms, end_ms = ms_from_us(within.start_us), ms_from_us(within.end_us)
            self._put(f"{self._base}slices/{number}/{start_ms}-{end_ms}.e{position.epoch}.r{revision}.json", body)
            self._done.messages += built.messages
            entries.append(
                {
                    "start_ms": start_ms,
                    "end_ms": end_ms,
                    "events": built.events,
                    "messages": built.messages,
                    "epoch": str(position.epoch),
                    "revision": revision,
                }
            )
        record = next(
            (one for one in self._store.catalog.broadcast_records(self._room, last=-1) if one["number"] == number), None
        )
        start_ms = entries[0]["start_ms"] if entries else 0
        edge_us = None if record is None else record["edge_us"]
        end_ms = max(entries[-1]["end_ms"] if entries else start_ms, 0 if edge_us is None else ms_from_us(edge_us))
        gaps = [
            {"start_ms": ms_from_us(gap.start_us), "end_ms": ms_from_us(gap.end_us), "reason": reason}
            for gap, reason in self._store.catalog.gaps(self._room, number)
        ]
        self._json(
            f"chat.{number}.json",
            {
                "room": self._room,
                "broadcast": number,
                "live": False,
                "epoch": str(position.epoch),
                "version": 1,
                "as_of": {"epoch": str(position.epoch), "offset": position.offset},
                "start_ms": start_ms,
                "sealed_until_ms": end_ms + 86_400_000,
                "clock_ms": end_ms,
                "live_edge_ms": end_ms,
                "reload_ms": 3_600_000,
                "earlier": False,
                "base": f"{self._base}slices/",
                "slices": entries,
                "gaps": gaps,
                "broadcasts": [{"broadcast": number, "start_ms": start_ms, "media_sequence": None}],
            },
        )

    def _recording(self, name: str, record: dict[str, Any]) -> None:
        """A recording's map, its activity and what a search looks through."""
        spans = spans_from_wire(record["spans"])
        self._json(f"recordings/{name}.json", {"duration_ms": record["duration_ms"], "spans": record["spans"]})
        duration_us = us_from_ms(record["duration_ms"])
        bucket_us = min(10 * SECOND_US, max(SECOND_US, duration_us // 150 // SECOND_US * SECOND_US))
        counted = positioned(
            Finder(Finding(self._store.query, self._store.journal), self._store.journal),
            self._room,
            spans,
            [self._part(spans, number) for number in sorted({span.broadcast for span in spans})],
            duration_us=duration_us,
            bucket_us=bucket_us,
        )
        self._json(f"activity.{name}.json", {"recording": name} | counted)
        hits = list(self._hits(pieces(spans, "leave")))
        count = max(1, -(-len(hits) // _HITS_A_FILE))
        for number in range(count):
            some = hits[number * _HITS_A_FILE : (number + 1) * _HITS_A_FILE]
            following = number + 1 if number + 1 < count else None
            self._json(f"search/{name}.{number}.json", {"hits": some, "next": following})

    def _part(self, spans: Sequence[Span], number: int) -> Part:
        of_it = [span.program for span in spans if span.broadcast == number]
        within = Range(min(one.start_us for one in of_it), max(one.end_us for one in of_it))
        return Part(number, within, tuple(self._store.catalog.gaps(self._room, number)))

    def _hits(self, shown: Sequence[Piece]) -> Iterator[dict[str, Any]]:
        for piece in shown:
            plan = self._store.query.plan(self._room, piece.broadcast, piece.program)
            for event in self._store.query.read(plan):
                if event.kind in MESSAGE_KINDS and event.text is not None:
                    yield {
                        "broadcast": event.broadcast,
                        "offset": event.offset,
                        "kind": event.kind,
                        "program_ms": ms_from_us(event.program_us),
                        "position_ms": ms_from_us(piece.position_of(event.program_us)),
                        "author": None
                        if event.author is None
                        else {"key": event.author.key, "name": event.author.name},
                        "text": event.text,
                    }

    def _pages(self, records: dict[str, dict[str, Any]]) -> None:
        for name in ASSETS:
            self._put(f"player/{name}", (FOLDER / name).read_bytes())
        # What the player's script loads later lies beside it.
        parts = sorted(path.name for path in self._web.glob("chatsync-*.js") if path.name not in _NO_PARTS)
        for name in (*_PLAYER, *parts):
            self._put(f"player/{name}", (self._web / name).read_bytes())
        places = {name: f"player/{name}" for name in (*ASSETS, *_PLAYER)}
        for name, record in records.items():
            media_url = self._media.get(name, record.get("media_url"))
            page = WatchPage(
                room=self._room,
                title=self._title,
                recording=name,
                media_url=media_url,
                server="./",
                assets=places,
                link="{}.html",
                home="index.html",
                is_files=True,
            )
            headers = page_headers(sources=sources_of(media_url), types=TRUSTED_TYPES)
            policy = headers["Content-Security-Policy"]
            policy = "; ".join(one for one in policy.split("; ") if not one.startswith("frame-ancestors"))
            html = page.html(policy).encode()
            self._put(f"{name}.html", html)
            if name == next(iter(records)):
                self._put("index.html", html)
        self._done.recordings = list(records)

    def _json(self, name: str, value: dict[str, Any]) -> None:
        self._put(f"{self._base}{name}", encoded(value))

    def _put(self, name: str, body: bytes, *, packed: bool = True) -> None:
        """A file and its gzipped one, each whole at once; what is there already with the same bytes stays."""
        path = self._folder / name
        self._done.files.append(name)
        self._done.size_bytes += len(body)
        if path.is_file() and path.read_bytes() == body and (not packed or Path(f"{path}.gz").is_file()):
            return
        self._done.written += 1
        path.parent.mkdir(parents=True, exist_ok=True)
        if packed:
            _write(Path(f"{path}.gz"), gzip.compress(body, compresslevel=9, mtime=0))
        _write(path, body)


def _write(path: Path, body: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    unfinished.chmod(0o644)  # for the web server, whatever the umask
    shutil.move(unfinished, path)


def _latest(record: dict[str, Any]) -> tuple[int, int]:
    return max(((span["broadcast"], span["program_ms"]) for span in record["spans"]), default=(0, 0))
