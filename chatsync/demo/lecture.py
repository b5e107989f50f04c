"""The simulated lecture on a real relay: a teacher at the camera and viewers who really watch.

Owns: the clients, their playheads, the ledger of what was said and what was on screen then. Does not know: how the relay stamps.
Every viewer loads the playlist over HTTP as a player does, starts its latency behind the live edge, plays at 1x by the event
loop's clock, and reports what it shows. The teacher watches nothing.
Units: µs; media positions are (media sequence, µs into the segment).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import structlog
import websockets
from websockets.asyncio.client import ClientConnection, connect

from chatsync.chat.wire import SUBPROTOCOL
from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.playlist import MediaPlaylist, PlaylistSegment, parse_playlist
from chatsync.instants import SECOND_US, ms_from_us
from chatsync.simulation import SPEAKERS, Speaker, Utterance, lecture

__all__ = ["Ledger", "Said", "run_lecture"]

_PLAYHEAD_S = 10.0
_RELOAD_S = 1.0
_ANSWER_S = 10.0
_LOOK_S = 0.1

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Said:
    """One message of the ledger: what was true when it was said, and what the relay answered."""

    id: str
    speaker: int
    kind: str
    text: str
    wall_us: int  # the camera's clock when the teacher spoke; a viewer's truth is the frame below
    media_sequence: int | None = None  # segment on the viewer's screen
    into_segment_us: int | None = None
    ack: dict[str, Any] | None = None
    refused: str | None = None


@dataclass(slots=True)
class Ledger:
    """Everything said, in order."""

    said: list[Said] = field(default_factory=list)


class Screen:
    """A viewer's picture: a place in the media that moves on at 1x."""

    def __init__(self, latency_us: int) -> None:
        self._latency_us = latency_us
        self._segments: dict[int, PlaylistSegment] = {}
        self._place: tuple[int, int] | None = None  # (media sequence, µs into it) at _at_us
        self._at_us = 0
        self._ended = False

    def receive_playlist(self, playlist: MediaPlaylist, now_us: int) -> None:
        """Take in a reload; ``now_us`` is monotonic time. The first one decides where playback begins."""
        self._ended = playlist.endlist
        for segment in playlist.segments:
            self._segments[segment.media_sequence] = segment
        if self._place is None and playlist.segments:
            self._place, self._at_us = self._start(playlist), now_us

    def _start(self, playlist: MediaPlaylist) -> tuple[int, int]:
        left_us = self._latency_us
        for segment in reversed(playlist.segments):
            if left_us <= segment.duration_us:
                return segment.media_sequence, segment.duration_us - left_us
            left_us -= segment.duration_us
        return playlist.segments[0].media_sequence, 0

    def place(self, now_us: int) -> tuple[PlaylistSegment, int] | None:
        """The segment on screen and how far into it; None before the first media. At the end of the media it stands still."""
        if self._place is None:
            return None
        sequence, into_us = self._place
        into_us += now_us - self._at_us
        segment = self._segments[sequence]
        while into_us >= segment.duration_us:
            following = self._segments.get(sequence + 1)
            if following is None:
                into_us = segment.duration_us - 1
                break
            into_us -= segment.duration_us
            sequence, segment = sequence + 1, following
        self._place, self._at_us = (sequence, into_us), now_us
        return segment, into_us


@dataclass(slots=True)
class Stage:
    """What all people of the lecture share."""

    socket_url: str
    playlist_url: str
    tokens: Mapping[int, str]
    ledger: Ledger
    wall_us: Callable[[], int]
    new_id: Callable[[], str]


class Person:
    """One client of the lecture, reconnecting with the same ids until each message is answered."""

    def __init__(self, index: int, stage: Stage) -> None:
        self.speaker: Speaker = SPEAKERS[index]
        self._index, self._stage = index, stage
        self._screen = None if self.speaker.latency_us is None else Screen(self.speaker.latency_us)
        self._said: asyncio.Queue[tuple[Said, dict[str, Any]]] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._broadcast: int | None = None
        self._welcomed = asyncio.Event()

    def _now_us(self) -> int:
        return round(asyncio.get_running_loop().time() * SECOND_US)

    def say(self, utterance: Utterance) -> None:
        """Write: the picture of this very moment goes with it."""
        stage = self._stage
        said = Said(stage.new_id(), self._index, utterance.kind, utterance.text, stage.wall_us())
        frame: dict[str, Any] = {"type": "say", "id": said.id, "kind": utterance.kind, "text": utterance.text}
        place = None if self._screen is None else self._screen.place(self._now_us())
        if place is not None:
            said.media_sequence, said.into_segment_us = place[0].media_sequence, place[1]
            frame["playhead"] = self._playhead()
        stage.ledger.said.append(said)
        self._said.put_nowait((said, frame))

    def _playhead(self) -> dict[str, Any] | None:
        place = None if self._screen is None else self._screen.place(self._now_us())
        if place is None or place[0].program_us is None or self._broadcast is None:
            return None
        segment, into_us = place
        assert segment.program_us is not None
        return {
            "broadcast": self._broadcast,
            "program_ms": ms_from_us(segment.program_us + into_us),
            "media_sequence": segment.media_sequence,
            "into_segment_ms": ms_from_us(into_us),
            "at_live": True,
        }

    async def run(self) -> None:
        """Take part until cancelled."""
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as http, asyncio.TaskGroup() as tasks:
            if self._screen is not None:
                tasks.create_task(self._watch(self._screen, http))
            tasks.create_task(self._talk())

    async def _watch(self, screen: Screen, http: httpx2.AsyncClient) -> None:
        while True:
            try:
                answer = await http.get(self._stage.playlist_url)
                playlist = parse_playlist(answer.text) if answer.status_code == 200 else None
                if isinstance(playlist, MediaPlaylist):
                    screen.receive_playlist(playlist, self._now_us())
            except (httpx2.HTTPError, PlaylistSyntaxError) as error:
                _log.debug("viewer_waits", error=type(error).__name__)
            await asyncio.sleep(_RELOAD_S)

    async def _talk(self) -> None:
        pending: tuple[Said, dict[str, Any]] | None = None
        while True:
            self._welcomed.clear()
            try:
                async with connect(
                    self._stage.socket_url, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)]
                ) as socket:
                    await socket.send(
                        json.dumps({"type": "hello", "token": self._stage.tokens[self._index], "last": 0})
                    )
                    reading = asyncio.create_task(self._read(socket))
                    reporting = asyncio.create_task(self._report(socket))
                    try:
                        async with asyncio.timeout(_ANSWER_S):
                            await self._welcomed.wait()
                        await self._report_once(socket)  # first: a claim counts only on a connection that has reported
                        while True:
                            pending = pending or await self._said.get()
                            await self._send(socket, *pending)
                            pending = None
                    finally:
                        reading.cancel()
                        reporting.cancel()
            except (OSError, TimeoutError, websockets.WebSocketException):
                await asyncio.sleep(0.5)

    async def _send(self, socket: ClientConnection, said: Said, frame: dict[str, Any]) -> None:
        answer = self._answers[said.id] = asyncio.get_running_loop().create_future()
        await socket.send(json.dumps(frame))
        async with asyncio.timeout(_ANSWER_S):
            got = await answer
        if got["type"] == "ack":
            said.ack = got
        elif got["code"] == "rate_limited":
            await asyncio.sleep(got.get("retry_after_ms", 1_000) / 1_000)
            await self._send(socket, said, frame)
        else:
            said.refused = got["code"]

    async def _read(self, socket: ClientConnection) -> None:
        async for data in socket:
            frame = json.loads(data)
            match frame["type"]:
                case "welcome":
                    self._broadcast = frame["broadcast"]
                    self._welcomed.set()
                case "broadcast" if frame["status"] == "opened":
                    self._broadcast = frame["broadcast"]
                case "ack" | "error" if frame.get("id") in self._answers:
                    answer = self._answers.pop(frame["id"])
                    if not answer.done():
                        answer.set_result(frame)

    async def _report(self, socket: ClientConnection) -> None:
        """Tell the playhead as soon as there is one, then every 10 s."""
        while True:
            reported = await self._report_once(socket)
            await asyncio.sleep(_PLAYHEAD_S if reported else 0.2)

    async def _report_once(self, socket: ClientConnection) -> bool:
        """Tell the playhead; False if there is none."""
        playhead = self._playhead()
        if playhead is not None:
            await socket.send(json.dumps({"type": "playhead", "rate": 1.0, "paused": False} | playhead))
        return playhead is not None

    @property
    def is_ready(self) -> bool:
        """Whether this person may speak: a viewer needs a picture first."""
        return self._broadcast is not None and (self._screen is None or self._playhead() is not None)


async def run_lecture(
    *,
    socket_url: str,
    playlist_url: str,
    tokens: Mapping[int, str],
    ledger: Ledger,
    wall_us: Callable[[], int],
    new_id: Callable[[], str],
    seed: int,
    until: asyncio.Event,
) -> None:
    """Hold the lecture until told to end; every message is answered or refused before this returns.

    Args:
        socket_url: live socket of the room.
        playlist_url: what the viewers watch.
        tokens: one for each of ``simulation.SPEAKERS``.
        ledger: filled as people speak.
        wall_us: the camera's clock.
        new_id: makes message ids.
        seed: which lecture.
        until: set it to end.
    """
    stage = Stage(socket_url, playlist_url, tokens, ledger, wall_us, new_id)
    people = [Person(index, stage) for index in range(len(SPEAKERS))]
    running = [asyncio.create_task(person.run()) for person in people]
    loop = asyncio.get_running_loop()
    try:
        started_s = loop.time()
        for utterance in lecture(seed):
            wait_s = started_s + utterance.at_us / SECOND_US - loop.time()
            try:
                async with asyncio.timeout(max(0.0, wait_s)):
                    await until.wait()
                break
            except TimeoutError:
                if people[utterance.speaker].is_ready:
                    people[utterance.speaker].say(utterance)
        await _answered(ledger)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _answered(ledger: Ledger) -> None:
    """Wait until nothing is under way any more, or for so long that it counts as lost."""
    for _ in range(round(_ANSWER_S / _LOOK_S)):
        if all(said.ack is not None or said.refused is not None for said in ledger.said):
            return
        await asyncio.sleep(_LOOK_S)
