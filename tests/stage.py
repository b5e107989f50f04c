"""The relay in the test's own process, on a clock set by hand: minutes of a lecture in milliseconds, and nothing to wait for.

Everything is ours and real: application, writer thread, SQLite, slices. Only two things differ from a served relay: reloads of the
playlist are handed to the room by the test, through the real follower, and sealing happens when the test says so.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import websockets
from fastapi import FastAPI
from uvicorn.server import ServerState
from websockets.typing import Subprotocol

from chatsync.chat.event import Author
from chatsync.hls.follower import Follower
from chatsync.hls.timeline import Reload
from chatsync.instants import SECOND_US
from chatsync.service.acts import Act
from chatsync.service.app import create_app
from chatsync.service.auth import PersonRole, TokenScope
from chatsync.service.clock import ManualClock
from chatsync.service.hub import Hub
from chatsync.service.live_room import LiveRoom
from chatsync.service.room_settings import RoomSettings
from chatsync.service.sealing import Sealer
from chatsync.service.settings import Settings
from chatsync.service.sockets import LiveSocket
from chatsync.simulation import Scenario, playlist_at
from tests.relay import SECRET, Client

URL = "http://127.0.0.1:9/live/index.m3u8"
START_US = 1_764_000_000_000_000  # program time at which the streams of these tests begin
WRITER = Author(key="a" * 16, name="Student 5")
FAST = {"commands_per_s": 10_000, "commands_burst": 100_000, "connections_per_person_max": 50}


class Stage:
    """A running relay. ``async with stage(folder, rooms) as it:``; ``rooms`` as in the settings file."""

    def __init__(self, app: FastAPI, clock: ManualClock) -> None:
        self.app, self.clock = app, clock
        self.hub: Hub = app.state.hub
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://relay")
        self.server_state = ServerState()
        self._followers: dict[int, tuple[LiveRoom, Follower]] = {}

    # --- rooms and time -------------------------------------------------------------------------------------------

    def room(self, room: str = "class") -> LiveRoom:
        """A room at work."""
        return self.hub.room(room).live

    def sealer(self, room: str = "class") -> Sealer:
        """What makes a room's slices."""
        return self.hub.room(room).sealer

    async def seal(self, room: str = "class") -> None:
        """One pass of sealing, written down."""
        await self.sealer(room).seal()
        await self.settled()

    async def settled(self) -> None:
        """Wait until everything that was submitted is on disk and was told."""
        await asyncio.wrap_future(self.hub.writer.call(lambda _: None))
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(round(seconds * SECOND_US))

    async def reload(self, text: str, room: str = "class", *, age_s: int = 0, url: str = URL) -> Reload:
        """The origin answers with this text now."""
        live = self.room(room)
        known = self._followers.get(id(live))
        if known is None:
            known = self._followers[id(live)] = (live, Follower(url, now_us=self.now_us, timeline=live.timeline))
        follower = known[1]
        reload = follower.receive_playlist(text, url=url, age_us=age_s * SECOND_US, now_us=self.now_us)
        if reload.kind != "malformed":
            await live.receive_reload(follower.timeline, reload, age_us=age_s * SECOND_US)
        return reload

    async def stream(self, scenario: Scenario, seconds: float, room: str = "class", *, step_s: float = 2.0) -> None:
        """Let time pass with a stream that is reloaded every ``step_s``."""
        left_s = seconds
        while left_s > 0:
            self.advance(min(step_s, left_s))
            left_s -= step_s
            await self.reload(playlist_at(scenario, self.now_us), room)

    @property
    def now_us(self) -> int:
        """Wall time."""
        return self.clock.wall_us()

    # --- people ---------------------------------------------------------------------------------------------------

    async def say(self, text: str, room: str = "class", *, kind: str = "message", **given: Any) -> dict[str, Any]:
        """Somebody says something, without a socket; what was logged."""
        author = given.pop("author", WRITER)
        act = Act(kind=kind, id=given.pop("id", str(uuid.uuid4())), author=author, text=text, **given)
        event = (await self.room(room).act(act)).event
        return {"offset": event.offset, "id": event.id, "program_us": event.program_us, "stamp": event.stamp}

    async def said_at(
        self, program_us: int, text: str, room: str = "class", *, kind: str = "message", author: str = "s5"
    ) -> int:
        """Somebody whose player vouches for it says something at a program time; the offset."""
        body = {
            "id": str(uuid.uuid4()),
            "author": {"id": author, "name": f"Student {author.removeprefix('s')}"},
            "text": text,
            "kind": kind,
            "playhead": {"broadcast": self.room(room).broadcasts.current.number, "program_ms": program_us // 1000},
        }
        answer = await self.post(f"/v1/rooms/{room}/messages", body, self.token(room, "feed", None, ("ingest",)))
        (result,) = answer.json()["results"]
        assert "playhead" == result["stamp"], result
        return int(result["offset"])

    async def act(self, action: str, room: str = "class", *, role: PersonRole = "moderator", **fields: Any) -> Any:
        """A deed by HTTP; what was acked."""
        body = {"id": str(uuid.uuid4()), "action": action} | fields
        answer = await self.post(f"/v1/rooms/{room}/actions", body, self.token(room, "staff", role))
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def token(
        self, room: str, subject: str, role: PersonRole | None = "participant", scopes: tuple[TokenScope, ...] = ()
    ) -> str:
        """A token by this relay's clock."""
        return self.hub.authority.mint(
            subject, wall_us=self.clock.system_wall_us(), rooms=(room,), name=subject, role=role, scopes=scopes
        )

    async def post(self, path: str, body: Any, token: str | None) -> httpx2.Response:
        """POST JSON."""
        return await self.http.post(path, json=body, headers=_bearer(token))

    async def get(self, path: str, token: str | None = None, **headers: str) -> httpx2.Response:
        """GET a path."""
        return await self.http.get(path, headers=_bearer(token) | headers)

    async def chat(self, room: str = "class", query: str = "", token: str | None = None) -> Any:
        """The chat playlist."""
        answer = await self.get(f"/v1/rooms/{room}/chat.json?{query}", token)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def slice(self, playlist: Any, entry: Any, token: str | None = None) -> httpx2.Response:
        """A slice that a chat playlist lists."""
        return await self.get(slice_path(playlist, entry), token)

    async def replayed(self, room: str = "class", broadcast: int | None = None, token: str | None = None) -> list[Any]:
        """What chat.json, its slices and open.json replay: events by (program time, offset), authors inline."""
        chosen = "from_ms=0" if broadcast is None else f"broadcast={broadcast}&from_ms=0"
        playlist = await self.chat(room, chosen, token)
        answers = [await self.slice(playlist, entry, token) for entry in playlist["slices"]]
        if 410 in {answer.status_code for answer in answers}:  # revised since it was listed: as players do, look again
            playlist = await self.chat(room, chosen, token)
            answers = [await self.slice(playlist, entry, token) for entry in playlist["slices"]]
        assert {200} >= {answer.status_code for answer in answers}
        bodies = [answer.json() for answer in answers]
        if any(one["broadcast"] == playlist["broadcast"] for one in playlist["broadcasts"]):  # else sealed to its end
            path = f"{playlist['base']}{playlist['broadcast']}/open.json?from_ms={playlist['sealed_until_ms'] or 0}"
            answer = await self.get(path, token)
            assert 200 == answer.status_code, answer.text
            bodies.append(answer.json())
        return [event for body in bodies for event in with_authors(body)]

    @asynccontextmanager
    async def connected(self, room: str = "class") -> AsyncIterator[Client]:
        """A live socket to this application, before its hello."""
        theirs = await self.plug()
        uri = f"ws://relay/v1/rooms/{room}/live"
        async with websockets.connect(uri, sock=theirs, subprotocols=[Subprotocol("chatsync.v1")]) as client:
            yield Client(client)

    async def plug(self) -> socket.socket:
        """The other end of a connection that the relay serves as it serves an upgraded one."""
        ours, theirs = socket.socketpair()
        state = {"hub": self.hub}
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: LiveSocket(None, self.server_state, state), sock=ours
        )
        return theirs


def with_authors(body: Any) -> list[Any]:
    """The events of a slice with their authors inline."""
    return [
        event | ({"author": body["authors"][event["author"]]} if "author" in event else {}) for event in body["events"]
    ]


def slice_path(playlist: Any, entry: Any) -> str:
    """Where a slice lies."""
    name = f"{entry['start_ms']}-{entry['end_ms']}.e{entry['epoch']}.r{entry['revision']}.json"
    return f"{playlist['base']}{playlist['broadcast']}/{name}"


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def stage(
    folder: Path,
    rooms: dict[str, dict[str, Any]] | None = None,
    *,
    clock: ManualClock | None = None,
    asleep: bool = False,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Start the relay on a data folder; by default one public room ``class`` that follows a stream.

    Rooms that are asleep are woken, so that a test finds them at once; with ``asleep`` they are left.
    """
    given = {"class": {"public": True, "playlist_url": URL}} if rooms is None else rooms
    loaded = Settings(
        data_folder=folder / "data",
        token_secret=SECRET,  # type: ignore[arg-type]
        limits=settings.pop("limits", FAST),
        rooms={room: RoomSettings(**values) for room, values in given.items()},
        **settings,
    )
    the_clock = clock or ManualClock(wall_us=START_US)
    app = create_app(loaded, clock=the_clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        it = Stage(app, the_clock)
        for room in () if asleep else it.hub.known_rooms():
            await it.hub.woken(room)
        stack.push_async_callback(it.http.aclose)
        await quiet(it)
        yield it


async def quiet(it: Stage) -> None:
    """Stop what would act on its own: from here the test says when the playlist is loaded and when slices are made."""
    tasks = [task for running in it.hub.rooms.values() for task in running.tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["START_US", "URL", "WRITER", "Stage", "quiet", "slice_path", "stage", "with_authors"]
