"""Rooms that can be told apart by every word in them, the people who may see some of them, and every way to ask for one.

Owns: what is planted in a room, who may see which, a row for each operation of the OpenAPI document, ways to disguise a request, and what of
a room an answer holds. Does not know: which answer is right; that is for the test to say.

A mark stands in a room's id, title, messages, authors' names, pins, recordings and ids of messages; what was hidden and the moderator's
reason have marks of their own, which nobody reads. Keys of authors are marks too, as far as they are not asked for.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from chatsync.chat.event import Author
from chatsync.instants import SECOND_US
from chatsync.service.acts import Act
from chatsync.service.short_path import ShortPathProtocol
from chatsync.simulation import Scenario, playlist_at
from tests.stage import FAST, START_US, Stage, slice_path, stage

__all__ = [
    "FOR_ADMINISTRATORS",
    "OPERATIONS",
    "SUBJECTS",
    "Answered",
    "Ask",
    "Canary",
    "Subject",
    "Wire",
    "disguised",
    "ghost_of",
    "marks_in",
    "planted",
    "wired",
]

LECTURE = Scenario(START_US)
PREFIXES = ("math", "art", "law")
_MARK = re.compile(r"z[qhr][0-9a-f]{10}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_KNOCKS = {"knocks_per_s": 100_000, "knocks_burst": 1_000_000}  # strangers come all at once here
_LIVE_STREAMS = 2  # rooms whose stream goes on until their slices are cut; those of the others stand still


@dataclass(slots=True)
class Canary:
    """A room and what must be seen nowhere else."""

    room: str
    public: bool
    has_stream: bool
    mark: str  # zq…
    hidden: str  # zh…: of what was hidden
    reason: str  # zr…
    origin: str  # a web page that may use it
    author_key: str
    # What only somebody who reads the room can know, for others to try:
    slice_path: str = "/slices/1/1764000000000-1764000060000.e1.r1.json"
    sealed_until_ms: int = 0
    offset: int = 1
    cursor: str = "AAAA"
    tags: tuple[str, ...] = ()

    @property
    def recording(self) -> str:
        """The id of its recording."""
        return f"rec-{self.mark}"


def _canaries(count: int) -> list[Canary]:
    chance = random.Random(5)
    made = []
    for number in range(count):
        mark = f"{chance.getrandbits(40):010x}"
        made.append(
            Canary(
                room=f"{PREFIXES[number % len(PREFIXES)]}-zq{mark}",
                public=number % 2 == 0,
                has_stream=number % 4 in {2, 3},
                mark=f"zq{mark}",
                hidden=f"zh{chance.getrandbits(40):010x}",
                reason=f"zr{chance.getrandbits(40):010x}",
                origin=f"https://p{number}.example",
                author_key=f"{chance.getrandbits(128):032x}",
            )
        )
    return made


def ghost_of(canary: Canary) -> Canary:
    """The same, except that there is no such room: whoever may not see the one may not tell it from the other."""
    return replace(canary, room=f"{canary.room.partition('-')[0]}-nobody")


# --- what is planted ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def planted(folder: Path, count: int) -> AsyncIterator[tuple[Stage, list[Canary]]]:
    """A relay with so many rooms: public and private, with streams and without, something said, hidden, pinned, sealed and open in each."""
    canaries = _canaries(count)
    rooms: dict[str, dict[str, Any]] = {
        one.room: {
            "public": one.public,
            "title": f"Title {one.mark}",
            "origins": [one.origin],
            **({"playlist_url": f"http://127.0.0.1:9/{one.mark}/index.m3u8"} if one.has_stream else {}),
        }
        for one in canaries
    }
    async with stage(folder, rooms, limits=FAST | _KNOCKS) as it:
        streams = [one for one in canaries if one.has_stream]
        for _ in range(3):
            it.advance(4)
            for one in streams:
                await it.reload(playlist_at(LECTURE, it.now_us), one.room)
        await asyncio.gather(*(_say(it, one) for one in canaries))
        for _ in range(70):
            it.advance(10)
            for one in streams[:_LIVE_STREAMS]:
                await it.reload(playlist_at(LECTURE, it.now_us), one.room)
        for one in canaries:
            await it.sealer(one.room).seal()
        await asyncio.gather(*(_say_more(it, one) for one in canaries))
        await it.settled()
        for one in canaries:
            await _look(it, one)
        yield it, canaries


async def _say(it: Stage, canary: Canary) -> None:
    live = it.room(canary.room)
    author = Author(canary.author_key, f"Name {canary.mark}")
    texts = {f"say {canary.mark}": "message", f"ask {canary.mark}": "question", f"bad {canary.hidden}": "message"}
    said = [
        await live.submit(Act(kind=kind, id=f"id-{canary.mark}-{number}", author=author, text=text))
        for number, (text, kind) in enumerate(texts.items())
    ]
    host = Author(canary.author_key[::-1], f"Host {canary.mark}", "host")
    target = said[2].event.offset
    reason = {"reason": f"because {canary.reason}"}
    await live.act(Act(kind="hidden", id=f"hide-{canary.mark}", author=host, target=target, details=reason))
    await live.act(Act(kind="pinned", id=f"pin-{canary.mark}", author=host, text=f"pin {canary.mark}"))
    canary.offset = said[1].event.offset


async def _say_more(it: Stage, canary: Canary) -> None:
    """What stands in the open slice; and a recording."""
    author = Author(canary.author_key, f"Name {canary.mark}")
    for number in range(3):
        await it.room(canary.room).submit(
            Act(kind="message", id=f"open-{canary.mark}-{number}", author=author, text=f"open {canary.mark}")
        )
    start_ms = START_US // 1_000
    spans = [{"position_ms": 0, "duration_ms": 600_000, "broadcast": 1, "program_ms": start_ms, "method": "offset"}]
    record = {"duration_ms": 600_000, "spans": [spans[0] | {"score": 1.0}]}
    await asyncio.wrap_future(
        it.hub.writer.call(lambda db: it.hub.catalog.put_recording(db, canary.room, canary.recording, record))
    )


async def _look(it: Stage, canary: Canary) -> None:
    """Note what a reader of the room knows: names of slices, a cursor, entity tags."""
    path = f"/v1/rooms/{canary.room}"
    headers = {"Authorization": f"Bearer {it.token(canary.room, 'reader')}"}
    answer = await it.http.get(f"{path}/chat.json?from_ms=0", headers=headers)
    playlist = answer.json()
    tags = [answer.headers["etag"]]
    canary.sealed_until_ms = playlist["sealed_until_ms"] or START_US // 1_000
    if playlist["slices"]:
        found = slice_path(playlist, playlist["slices"][0])
        canary.slice_path = found.removeprefix(path)
        tags.append((await it.http.get(found, headers=headers)).headers["etag"])
    page = (await it.http.get(f"{path}/messages?limit=2", headers=headers)).json()
    canary.cursor, canary.tags = page["cursor"], tuple(tags)


# --- who asks ----------------------------------------------------------------------------------------------------------


Knows = Callable[[Canary, Canary], bool]
"""Whether somebody may know of a room, their home being another."""


def _home(one: Canary, home: Canary) -> bool:
    return one.room == home.room


def _public(one: Canary, home: Canary) -> bool:
    del home
    return one.public


def _is_math(one: Canary, home: Canary) -> bool:
    del home
    return one.room.startswith("math-")


def _all(one: Canary, home: Canary) -> bool:
    del one, home
    return True


def _none(one: Canary, home: Canary) -> bool:
    del one, home
    return False


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody with a token, or without.

    Attributes:
        name: what they are.
        claims: of their token, besides the subject; ``rooms`` is their home where it is left out. None for a guest.
        sees: which rooms they may know of.
        administers: the same for the operations of administrators.
    """

    name: str
    claims: dict[str, Any] | None
    sees: Knows = _home
    administers: Knows = _none

    def token(self, it: Stage, home: str) -> str | None:
        """A token by the relay's clock."""
        if self.claims is None:
            return None
        given = {"rooms": None if self.claims.get("admin") else [home]} | self.claims
        return it.hub.authority.mint(f"a {self.name}", wall_us=it.clock.system_wall_us(), **given)

    def knows(self, operation: str, one: Canary, home: Canary) -> bool:
        """Whether an operation may tell them of a room."""
        return self.administers(one, home) if operation in FOR_ADMINISTRATORS else self.sees(one, home)


SUBJECTS: tuple[Subject, ...] = (
    Subject("guest", None, _public),
    Subject("viewer", {"role": "viewer"}),
    Subject("participant", {"role": "participant", "name": "Ann"}),
    Subject("moderator", {"role": "moderator"}),
    Subject("host", {"role": "host"}),
    Subject("ingest", {"scopes": ["ingest"]}),
    Subject("analyst", {"scopes": ["analyst"]}),
    Subject("prefix", {"rooms": ["math-*"], "role": "host"}, _is_math),
    Subject("admin", {"admin": True}, _none, _all),
    Subject("admin of some", {"rooms": ["math-*"], "admin": True}, _none, _is_math),
)


# --- what is asked -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. ``{room}`` in its path is where a room's id goes.

    Attributes:
        changes: whoever may do it changes the room, so that it is tried only by those who may not.
        shows: its answer to somebody who may see the room holds the room's mark.
    """

    method: str
    path: str
    headers: tuple[str, ...] = ()
    body: bytes = b""
    changes: bool = False
    shows: bool = False


_ROOM = "/v1/rooms/{room}"
_JSON = ("Content-Type: application/json",)


def _get(tail: str = "", *, shows: bool = False) -> Ask:
    return Ask("GET", _ROOM + tail, shows=shows)


def _with(method: str, tail: str, body: Any = None) -> Ask:
    held = b"" if body is None else json.dumps(body).encode()
    return Ask(method, _ROOM + tail, _JSON if held else (), held, changes=True)


def _post(path: str, body: Any) -> Ask:
    return Ask("POST", path, _JSON, json.dumps(body).encode(), changes=True)


def _always(*asks: Ask) -> Callable[[Canary], Sequence[Ask]]:
    """A row for which it does not matter what the room holds."""

    def row(canary: Canary) -> Sequence[Ask]:
        del canary
        return asks

    return row


def _deeds(canary: Canary) -> list[Ask]:
    """Every deed with another room's offset or author."""
    targeted = ("hide", "restore", "pin", "unpin", "answer", "upvote")
    deeds: list[dict[str, Any]] = [{"action": action, "target": canary.offset} for action in targeted]
    deeds += [{"action": action, "author": canary.author_key} for action in ("hide", "restore")]
    deeds += [{"action": action} for action in ("raise_hand", "lower_hand", "broadcast_close", "nothing")]
    made = [_with("POST", "/actions", {"id": f"try-{number}"} | deed) for number, deed in enumerate(deeds)]
    return [*made, _with("POST", "/actions")]


def _recordings(canary: Canary) -> list[Ask]:
    name = f"/recordings/{canary.recording}"
    return [
        _with("PUT", name, {"recording": canary.recording}),
        _with("PUT", name, {"clips": [{"recording": canary.recording, "position_ms": 0, "duration_ms": 1000}]}),
        _with("PUT", name, {"broadcast": 1, "start_program_ms": START_US // 1_000, "duration_ms": 1000}),
        _with("PUT", name, {"playlist": "#EXTM3U"}),
        _with("PUT", name, {}),
        _with("PUT", "/recordings/No%20Name", {}),
    ]


def _message(canary: Canary, **given: Any) -> dict[str, Any]:
    body = {"id": f"id-{canary.mark}-0", "author": {"id": "x", "name": "x"}, "text": "intrusion"}
    return body | {"reply_to": canary.offset} | given


OPERATIONS: dict[str, Callable[[Canary], Sequence[Ask]]] = {
    "GET /livez": _always(Ask("GET", "/livez")),
    "GET /readyz": _always(Ask("GET", "/readyz")),
    "GET /v1/rooms": _always(Ask("GET", "/v1/rooms"), Ask("GET", "/v1/rooms?room={room}")),
    "GET /v1/rooms/{room}": _always(_get(shows=True)),
    "PUT /v1/rooms/{room}": _always(_with("PUT", "", {"public": True}), _with("PUT", "", {"no": "setting"})),
    "DELETE /v1/rooms/{room}": _always(_with("DELETE", "")),
    "GET /v1/rooms/{room}/chat.json": _always(
        _get("/chat.json?from_ms=0", shows=True),
        _get("/chat.json?broadcast=1&since=0", shows=True),
        _get("/chat.json?broadcast=99"),
        _get("/chat.json?broadcast=none"),
    ),
    "GET /v1/rooms/{room}/slices/{broadcast}/{name}": lambda c: [
        _get(c.slice_path),
        _get(c.slice_path.replace(".r", ".r9")),
        _get("/slices/99/" + c.slice_path.rpartition("/")[2]),
        _get("/slices/1/no.json"),
    ],
    "GET /v1/rooms/{room}/slices/{broadcast}/open.json": lambda c: [
        _get(f"/slices/1/open.json?from_ms={c.sealed_until_ms}"),
        _get(f"/slices/1/open.json?from_ms={c.sealed_until_ms}&after={c.offset}"),
        _get("/slices/99/open.json?from_ms=0"),
        _get("/slices/1/open.json"),
    ],
    "GET /v1/rooms/{room}/at": lambda c: [
        _get(f"/at?program_ms={(START_US + 60 * SECOND_US) // 1_000}", shows=True),
        _get(f"/at?recording={c.recording}&position_ms=60000"),
        _get("/at"),
    ],
    "GET /v1/rooms/{room}/activity": lambda c: [
        _get("/activity", shows=True),
        _get(f"/activity?recording={c.recording}", shows=True),
        _get("/activity?broadcast=99"),
    ],
    "POST /v1/rooms/{room}/query": _always(
        _post("/v1/rooms/{room}/query", {"sql": "DROP TABLE x"}), _post("/v1/rooms/{room}/query", {})
    ),
    "GET /v1/rooms/{room}/export.{name}": _always(_get("/export.none")),
    "GET /v1/rooms/{room}/search": lambda c: [
        _get(f"/search?q={c.mark}", shows=True),
        _get(f"/search?q={c.hidden}"),
        _get(f"/search?q=say&recording={c.recording}"),
        _get(f"/search?q=say&cursor={c.cursor}"),
        _get("/search"),
    ],
    "GET /v1/rooms/{room}/messages": lambda c: [
        _get("/messages", shows=True),
        _get(f"/messages?cursor={c.cursor}"),
        _get("/messages?cursor=forged"),
        _get("/messages?limit=none"),
    ],
    "POST /v1/rooms/{room}/messages": lambda c: [
        _with("POST", "/messages", _message(c)),
        _with("POST", "/messages", _message(c, kind="announcement")),
        _with("POST", "/messages"),
        replace(_with("POST", "/messages", _message(c)), headers=("Content-Type: application/x-ndjson",)),
    ],
    "POST /v1/rooms/{room}/actions": _deeds,
    "GET /v1/rooms/{room}/participants": _always(_get("/participants")),
    "GET /v1/rooms/{room}/panel": _always(_get("/panel")),
    "GET /v1/rooms/{room}/events": lambda c: [
        _get("/events?last=200", shows=True),
        replace(_get("/events"), headers=(f"Last-Event-ID: 1:{c.offset}",)),
        replace(_get("/events"), headers=("Last-Event-ID: 9:1",)),
        _get("/events?last=none"),
    ],
    "GET /v1/rooms/{room}/names": _always(_get("/names")),
    "GET /v1/rooms/{room}/retention": _always(_get("/retention")),
    "GET /v1/audit": _always(Ask("GET", "/v1/audit"), Ask("GET", "/v1/audit?room={room}")),
    "POST /v1/audit/checkpoints": lambda _: [_post("/v1/audit/checkpoints", {})],
    "GET /v1/rooms/{room}/authors/{author}/export": lambda c: [_get(f"/authors/{c.author_key}/export")],
    "GET /v1/rooms/{room}/timeline": _always(_get("/timeline", shows=True), _get("/timeline?run=none")),
    "POST /v1/rooms/{room}/timeline": _always(_with("POST", "/timeline"), _with("POST", "/timeline", "#EXTM3U")),
    "GET /v1/rooms/{room}/recordings": _always(_get("/recordings", shows=True)),
    "GET /v1/rooms/{room}/recordings/{recording}": lambda c: [
        _get(f"/recordings/{c.recording}"),
        _get("/recordings/none"),
    ],
    "DELETE /v1/rooms/{room}/recordings/{recording}": lambda c: [_with("DELETE", f"/recordings/{c.recording}")],
    "PUT /v1/rooms/{room}/recordings/{recording}": _recordings,
    "POST /v1/tokens": lambda c: [_post("/v1/tokens", {"subject": "x", "rooms": [c.room], "role": "host"})],
    "POST /v1/tokens/noted": lambda c: [_post("/v1/tokens/noted", {"token": c.room})],
    "POST /v1/revocations": lambda c: [
        _post("/v1/revocations", {"person": "x", "room": c.room}),
        _post("/v1/revocations", {"jti": "x"}),
        _post("/v1/revocations", {"jti": "x", "room": c.room}),
    ],
    "GET /v1/revocations": _always(Ask("GET", "/v1/revocations"), Ask("GET", "/v1/revocations?room={room}")),
    "POST /v1/rooms/{room}/restamp": _always(
        _with("POST", "/restamp?dry_run=true"),
        _with("POST", "/restamp?broadcast=none"),
    ),
    "GET /v1/rooms/{room}/authors/{author}": lambda c: [_get(f"/authors/{c.author_key}")],
    "DELETE /v1/rooms/{room}/authors/{author}": lambda c: [_with("DELETE", f"/authors/{c.author_key}?reason=x")],
}
"""What is tried of each operation of the OpenAPI document, with the ids, cursors, slices and keys of a room."""


FOR_ADMINISTRATORS = frozenset(
    {
        "GET /v1/rooms",
        "PUT /v1/rooms/{room}",
        "DELETE /v1/rooms/{room}",
        "POST /v1/tokens",
        "POST /v1/tokens/noted",
        "POST /v1/revocations",
        "GET /v1/revocations",
        "POST /v1/rooms/{room}/restamp",
        "GET /v1/audit",
        "POST /v1/audit/checkpoints",
        "GET /v1/rooms/{room}/authors/{author}/export",
        "GET /v1/rooms/{room}/authors/{author}",
        "DELETE /v1/rooms/{room}/authors/{author}",
    }
)
"""Operations that only the tokens of administrators open; those open nothing else."""


def disguised(ask: Ask, canary: Canary, home: Canary) -> Iterator[tuple[str, Ask]]:
    """The same read put otherwise: another method, conditions, ranges, spellings of the path, headers that proxies know."""
    yield "HEAD", replace(ask, method="HEAD")
    lines = {
        "its tags": f"If-None-Match: {', '.join(canary.tags)}",
        "any tag": "If-None-Match: *",
        "range": "Range: bytes=0-",
        "compressed": "Accept-Encoding: gzip",
        "its page": f"Origin: {canary.origin}",
        "no page": "Origin: null",
        "forwarded": "X-Forwarded-Host: elsewhere",
        "override": "X-HTTP-Method-Override: PUT",
        "cookie": "Cookie: token=x",
        "original": f"X-Original-URL: /v1/rooms/{canary.room}",
        "rewritten": f"X-Rewrite-URL: /v1/rooms/{canary.room}/chat.json",
    }
    for name, line in lines.items():
        yield name, replace(ask, headers=(*ask.headers, line))
    path, mark, query = ask.path.partition("?")
    yield "parameter", replace(ask, path=f"{path}?room={canary.room}&{query}")
    yield "slash at the end", replace(ask, path=f"{path}/{mark}{query}")
    yield "doubled slash", replace(ask, path=ask.path.replace("/rooms/", "/rooms//"))
    yield "doubled slash first", replace(ask, path="/" + ask.path)
    yield "fat", replace(ask, body=b'{"room":"x"}')
    spellings = {
        "upper case": canary.room.upper(),
        "first letter encoded": f"%{ord(canary.room[0]):02x}{canary.room[1:]}",
        "up and down": f"{home.room}/../{canary.room}",
        "encoded up and down": f"{home.room}/..%2f{canary.room}",
        "all encoded": f"{home.room}%2f..%2f{canary.room}",
        "dots encoded": f"{home.room}/%2e%2e/{canary.room}",
        "matrix": f"{canary.room};x=1",
        "NUL": f"{canary.room}%00",
        "space": f"{canary.room}%20",
        "line break": f"{canary.room}%0d%0aX:%20y",
    }
    for name, spelled in spellings.items():
        yield name, replace(ask, path=ask.path.replace("{room}", spelled))


# --- what is answered --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Answered:
    """An answer as it travelled."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)  # names in lower case, without the date
    body: bytes = b""

    @property
    def text(self) -> str:
        """All of it, readable."""
        body = gzip.decompress(self.body) if self.fields.get("content-encoding") == "gzip" and self.body else self.body
        return json.dumps(self.fields) + body.decode(errors="replace")


def marks_in(text: str) -> set[str]:
    """Marks and keys of authors."""
    return set(_MARK.findall(text))


class Wire:
    """One connection to the relay, as a browser or a proxy has it; another one after an answer without end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked = 0

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    def close(self) -> None:
        """Be gone."""
        self._writer.close()

    async def answer(self, ask: Ask, room: str, token: str | None = None) -> Answered:
        """Ask and wait."""
        self.asked += 1
        lines = [f"{ask.method} {ask.path.replace('{room}', room)} HTTP/1.1", "Host: relay", *ask.headers]
        if token is not None:
            lines.append(f"Authorization: Bearer {token}")
        is_told = any(line.startswith("Content-Length") for line in ask.headers)
        if not is_told and (ask.body or ask.method in {"POST", "PUT"}):
            lines.append(f"Content-Length: {len(ask.body)}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + ask.body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answered = Answered(int(head[0].split()[1]))
        for line in head[1:]:
            name, _, value = line.partition(": ")
            if name and name.lower() != "date":
                before = answered.fields.get(name.lower())
                answered.fields[name.lower()] = value if before is None else f"{before}, {value}"
        if ask.method != "HEAD" and answered.fields.get("content-type", "").startswith("text/event-stream"):
            answered.body = await self._reader.readuntil(b"\n\n")  # the first event, and that is enough
            self.close()
            await self.open()
            return answered
        if answered.fields.get("transfer-encoding") == "chunked":
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                answered.body += (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readexactly(2)
            return answered
        length = int(answered.fields.get("content-length", 0))
        if ask.method != "HEAD" and length:
            answered.body = await self._reader.readexactly(length)
        return answered


@asynccontextmanager
async def wired(it: Stage) -> AsyncIterator[Wire]:
    """A connection to the relay through the server's own protocol machinery, its short path included."""
    config = uvicorn.Config(it.app, ws="none", log_config=None, access_log=False, server_header=False)
    config.load()
    state = {"hub": it.hub, "short_path": it.app.state.short_path}
    shared = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: ShortPathProtocol(config, shared, state), "127.0.0.1", 0
    )
    wire = Wire(server.sockets[0].getsockname()[1])
    await wire.open()
    try:
        yield wire
    finally:
        wire.close()
        server.close()
        for connection in tuple(shared.connections):
            connection.transport.abort()
        await asyncio.gather(*shared.tasks, return_exceptions=True)
