"""``chatsync demo``: the stream, the relay, the lecture and the page, in one process that leaves nothing behind.

Owns: starting and stopping them in order, and what is printed. Does not know: what each does.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uuid_utils
from pydantic import SecretStr

from chatsync.demo.check import checked_run, replayed_events
from chatsync.demo.lecture import Ledger, run_lecture
from chatsync.demo.page import add_page
from chatsync.errors import SettingsError
from chatsync.instants import HOUR_US
from chatsync.media import LiveStream, segment_clock
from chatsync.service.app import create_app
from chatsync.service.auth import TokenAuthority
from chatsync.service.clock import SteadyClock
from chatsync.service.hub import Hub
from chatsync.service.logs import configure_logs
from chatsync.service.room_settings import RoomSettings
from chatsync.service.running import RelayServer
from chatsync.service.settings import Settings
from chatsync.simulation import SPEAKERS

__all__ = ["ROOM", "Demo", "run_demo"]

ROOM = "lecture"
STREAM_PATH = "/demo/stream"
_START_S = 30.0
_END_S = 30.0  # how long the relay may take to see that the stream has ended
_LOOK_S = 0.2


class Demo:
    """One run of the demo.

    Args:
        folder: everything is kept below it.
        port: of the page, 0 for a free one.
        seed: which lecture.
    """

    def __init__(self, folder: Path, *, port: int, seed: int) -> None:
        self._seed = seed
        self.stream = LiveStream(folder / "stream")
        self.port = _free_port() if port == 0 else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.ledger = Ledger()
        self._secret = secrets.token_hex(32)
        self._authority = TokenAuthority(self._secret.encode())
        self._clock = SteadyClock()
        self._stop_talking = asyncio.Event()
        self._stop_stream = asyncio.Event()
        self._hub: Hub | None = None
        self._settings = Settings(
            data_folder=folder / "data",
            port=self.port,
            token_secret=SecretStr(self._secret),
            loopback_origins=(f"127.0.0.1:{self.port}",),
            origin_ports=(self.port,),
            rooms={
                ROOM: RoomSettings(
                    title="Analysis I: a simulated lecture",
                    public=True,
                    playlist_url=f"{self.url}{STREAM_PATH}/{self.stream.playlist.name}",
                    media_url=f"{STREAM_PATH}/{self.stream.playlist.name}",
                )
            },
        )

    def token(self, subject: str, name: str, role: Any = "participant") -> str:
        """A token for somebody in the demo's room."""
        return self._authority.mint(
            subject, wall_us=self._clock.system_wall_us(), lifetime_us=12 * HOUR_US, rooms=[ROOM], role=role, name=name
        )

    async def run(self, *, seconds: int | None, check: bool, tell: Any) -> dict[str, Any]:
        """Run until told to stop, or for some seconds of stream; with ``check`` the report of the run.

        Raises:
            ChatsyncError: something did not start.
        """
        app = create_app(self._settings, self._clock, started=self._note_hub)
        add_page(app, stream_folder=self.stream.folder, mint=self.token, stop=self._stop_stream.set, room=ROOM)
        server = RelayServer(app, self._settings)
        self.stream.start()
        serving = asyncio.create_task(self._serve(server))
        try:
            await self._until(lambda: server.started or serving.done(), "the relay")
            if serving.done():
                await serving
                raise SettingsError(f"port {self.port} cannot be used; give another with --port, or 0 for a free one")
            tell(self.url)
            talking = asyncio.create_task(self._talk())
            await self._play(seconds, serving, tell)
            report: dict[str, Any] = {}
            if not serving.done():
                await self._end(talking, tell)
                if check:
                    report = await self._checked()
                elif seconds is None:
                    await serving
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            return report
        finally:
            self.stream.stop()
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)

    async def _serve(self, server: RelayServer) -> None:
        """Serve once there is a stream to serve: the relay's first look finds it."""
        await self._until(lambda: self.stream.playlist.exists() or not self.stream.is_running, "the stream")
        if not self.stream.is_running:
            raise SettingsError(f"ffmpeg ended at once; see {self.stream.folder / 'ffmpeg.log'}")
        await server.serve()

    def _note_hub(self, hub: Hub) -> None:
        self._hub = hub

    async def _talk(self) -> None:
        await run_lecture(
            socket_url=f"ws://127.0.0.1:{self.port}/v1/rooms/{ROOM}/live",
            playlist_url=f"{self.url}{STREAM_PATH}/{self.stream.playlist.name}",
            tokens={
                index: self.token(f"demo-{index}", speaker.name, speaker.role) for index, speaker in enumerate(SPEAKERS)
            },
            ledger=self.ledger,
            wall_us=self._clock.wall_us,
            new_id=lambda: str(uuid_utils.uuid7()),
            seed=self._seed,
            until=self._stop_talking,
        )

    async def _play(self, seconds: int | None, serving: asyncio.Task[None], tell: Any) -> None:
        """Let the stream run until its time is over, its button is pressed, or the relay is stopped."""
        stopping = asyncio.create_task(self._stop_stream.wait())
        try:
            await asyncio.wait({stopping, serving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if not serving.done():
            tell("stopping the stream; the room becomes its recording")

    async def _end(self, talking: asyncio.Task[None], tell: Any) -> None:
        self._stop_talking.set()
        await asyncio.wait({talking}, timeout=_END_S)
        await asyncio.to_thread(self.stream.stop)
        hub = self._hub
        assert hub is not None
        await self._until(lambda: hub.room(ROOM).live.broadcasts.current.is_closed, "the end of the stream", _END_S)
        tell("the stream has ended; this is the recording now")

    async def _checked(self) -> dict[str, Any]:
        clocks = await asyncio.to_thread(self._burned_clocks)
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=30) as http:
            newest = max((said.ack["offset"] for said in self.ledger.said if said.ack is not None), default=0)
            replayed = await replayed_events(http, ROOM, through=newest)
        return checked_run(self.ledger.said, replayed, clocks)

    def _burned_clocks(self) -> dict[int, list[tuple[int, int]]]:
        """Read the clock of every segment a viewer was looking at when they wrote."""
        wanted = {said.media_sequence for said in self.ledger.said if said.media_sequence is not None}
        paths = {sequence: self.stream.folder / f"stream{sequence}.ts" for sequence in sorted(wanted)}
        return {sequence: segment_clock(path) for sequence, path in paths.items() if path.exists()}

    @staticmethod
    async def _until(condition: Any, what: str, within_s: float = _START_S) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        while not condition():
            if loop.time() > deadline_s:
                raise SettingsError(f"{what} did not come within {within_s:.0f} s")
            await asyncio.sleep(_LOOK_S)


def _free_port() -> int:
    """A port that was free a moment ago; the playlist's address must be known before the relay listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="chatsync-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_demo(
    *, seconds: int | None, check: bool, json_output: bool, port: int, seed: int, data_folder: Path | None
) -> int:
    """Run the demo; the exit status: 0, or 1 if the check found something wrong.

    Raises:
        ChatsyncError: something did not start.
    """
    configure_logs(level="warning")
    out = sys.stderr if json_output else sys.stdout

    def tell(line: str) -> None:
        print(line, file=out, flush=True)

    async def main(folder: Path) -> dict[str, Any]:
        return await Demo(folder, port=port, seed=seed).run(
            seconds=(seconds or 40) if check else seconds, check=check, tell=tell
        )

    with _folder(data_folder) as folder:
        try:
            report = asyncio.run(main(folder))
        except KeyboardInterrupt:
            return 0
    if not check:
        return 0
    if json_output:
        print(json.dumps(report), flush=True)
    else:
        tell(_readable(report))
    return 0 if report.get("ok") else 1


def _readable(report: dict[str, Any]) -> str:
    if not report:
        return "stopped before there was anything to check"
    error = report["error_ms"]
    lines = [
        f"{report['said']} said, {report['acked']} acked, {report['replayed']} replayed",
        f"{report['unstamped']} unstamped, {report['lost']} lost, {report['duplicated']} duplicated, "
        f"{report['misplaced']} misplaced",
        f"stamping error against the burned clock: p50 {error['p50']} ms, p95 {error['p95']} ms, max {error['max']} ms",
        "all is well" if report["ok"] else "NOT as it should be",
    ]
    return "\n".join(lines)
