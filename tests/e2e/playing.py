"""Real players beside a relay that follows a real encoder: what the tests of adapters stand on.

Owns: the encoder, its origin, the relay, people who write, and pages with one player each. Does not know: what is asserted.
Units: seconds; ``_ms`` as in the probe's samples.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
from playwright.sync_api import Browser, Page

from chatsync.media import BLOCKS
from tests.e2e.demo import ROOT, SHOWN_KINDS
from tests.e2e.encoded import Encoder, FileOrigin, file_origin
from tests.e2e.measuring import Samples, put_probe, start_probe
from tests.relay import Relay, token

__all__ = ["ROOM", "SPARSE", "Player", "Stage", "at_once", "stage_of", "until_after"]

ROOM = "class"
SPARSE = "sparse"  # follows the same media, of which few segments are dated
SAY_EVERY_S = 0.1
STARTED_WITHIN_MS = 30_000
CROSSED_WITHIN_S = 45.0  # on however busy a machine
LIMITS = {"commands_per_s": 1_000, "commands_burst": 10_000}
BESIDE = {
    "/e2e/players.html": ROOT / "tests" / "e2e" / "players.html",
    "/e2e/players.js": ROOT / "tests" / "e2e" / "players.js",
    "/e2e/modules/": ROOT / "player" / "node_modules",
    "/e2e/web/": ROOT / "chatsync" / "web",
}


class Player:
    """A page with one player and the chat beside it."""

    def __init__(self, name: str, page: Page) -> None:
        self.name, self.page = name, page

    def value(self, expression: str, argument: Any = None) -> Any:
        """What an expression is in the page."""
        return self.page.evaluate(expression, argument)

    def take(self) -> Samples:
        """Samples since the last time at which the picture could be read, the pane went by it, and nothing was being sought."""
        # As text: value by value it takes seconds.
        taken: Samples = json.loads(self.value("JSON.stringify(window.probe.take())"))
        return [
            one for one in taken if one["pictureMs"] is not None and one["cutoffMs"] is not None and not one["seeking"]
        ]

    def begin_seek(self, to_s: float, *, busy_ms: float = 0) -> None:
        """Seek, in a page that then does nothing else for a while; what comes of it is asked for with :meth:`sought`."""
        self.value("([to, busy]) => { window.sought = window.probe.seek(to, 15_000, busy); }", [to_s, busy_ms])

    def sought(self) -> float:
        """Milliseconds from ``seeked`` to the pane that is right."""
        done = self.value("window.sought")
        assert done is not None, f"{self.name}: the pane was not right 15 s after a seek"
        to_pane_ms: float = done["toPaneMs"]
        return to_pane_ms


def at_once(players: list[Player], seconds: float) -> dict[str, Samples]:
    """Samples of the same seconds from all of them."""
    for player in players:
        player.value("void window.probe.take()")
    time.sleep(seconds)
    return {player.name: player.take() for player in players}


def until_after(players: list[Player], program_ms: float, *, within_s: float = CROSSED_WITHIN_S) -> dict[str, Samples]:
    """Samples from all of them until each shows a picture of after an instant."""
    samples: dict[str, Samples] = {player.name: [] for player in players}
    deadline_s = time.monotonic() + within_s
    while True:
        time.sleep(0.3)
        for player in players:
            samples[player.name] += player.take()
        newest_ms = {name: own[-1]["pictureMs"] if own else 0 for name, own in samples.items()}
        if all(newest > program_ms for newest in newest_ms.values()):
            return samples
        complaints = {player.name: player.value("window.demo.complaints") for player in players}
        assert time.monotonic() < deadline_s, f"not after {program_ms}: {newest_ms}, {complaints}"


class Stage:
    """An encoder, an origin, a relay that follows, and a room that talks."""

    def __init__(self, folder: Path, encoder: Encoder, origin: FileOrigin, relay: Relay, playlist: str) -> None:
        self.folder, self.encoder, self.origin, self.relay, self.playlist = folder, encoder, origin, relay, playlist

    @contextmanager
    def players(self, browser: Browser, *names: str, room: str = ROOM) -> Iterator[list[Player]]:
        """Pages with these players, playing live, with the probe in them."""
        with ExitStack() as closing:
            pages = {}
            for name in names:
                page = browser.new_page(viewport={"width": 800, "height": 900})
                closing.callback(page.close)
                playlist = self.sparse if room == SPARSE else self.playlist
                asked = {"player": name, "playlist": playlist, "server": self.relay.url, "room": room}
                low = {"low": "1"} if self.encoder.low_latency else {}
                page.goto(f"{self.origin.url}/e2e/players.html?{urlencode(asked | low)}")
                page.wait_for_function("'demo' in window")
                put_probe(page)  # before the video plays: its first waits already show what has been said
                pages[name] = page
            for page in pages.values():
                page.wait_for_function(
                    "window.demo && window.demo.video.currentTime > 0 && window.demo.video.readyState > 2",
                    timeout=STARTED_WITHIN_MS,
                )
                page.evaluate("(blocks) => { window.demo.blocks = blocks; }", BLOCKS._asdict())
                start_probe(page)
            yield [Player(name, page) for name, page in pages.items()]

    @property
    def sparse(self) -> str:
        """The playlist with few dates."""
        return f"{self.origin.url}/live/sparse.m3u8"

    def truth(self, room: str = ROOM) -> list[dict[str, Any]]:
        """Every message of a room as the archive tells it, by (program time, offset)."""
        answer = self.relay.get(f"/v1/rooms/{room}/messages", params={"limit": 5000})
        return [event for event in answer.json()["messages"] if event["kind"] in SHOWN_KINDS]


def _talk(relay: Relay, rooms: tuple[str, ...], until: threading.Event) -> None:
    """Ten messages a second, as a platform with a chat of its own hands them in."""
    bearers = {room: f"Bearer {token(room, 'lms', None, ('ingest',))}" for room in rooms}
    number = 0
    while not until.wait(SAY_EVERY_S):
        number += 1
        body = {"id": str(uuid.uuid4()), "author": {"id": f"u{number % 7}", "name": "Ann"}, "text": f"message {number}"}
        room = rooms[number % len(rooms)]
        headers = {"Authorization": bearers[room]}
        httpx2.post(f"{relay.url}/v1/rooms/{room}/messages", content=json.dumps(body), headers=headers, timeout=10)


@contextmanager
def stage_of(folder: Path, *, low_latency: bool) -> Iterator[Stage]:
    """An encoder that has just begun, and everything that stands on it."""
    encoder = Encoder(folder / "streams" / "live", low_latency=low_latency)
    name = "low" if low_latency else "stream"
    until = threading.Event()
    try:
        with file_origin(folder / "streams", BESIDE) as origin:
            playlist = f"{origin.url}/live/{name}.m3u8"
            encoder.wait_for(2)
            room = {"public": True, "playlist_url": playlist, "origins": [origin.url]}
            rooms = {ROOM: room}
            if not low_latency:
                rooms[SPARSE] = room | {"playlist_url": f"{origin.url}/live/sparse.m3u8"}
            # Of three messages one is for the room with few dates.
            talk = (ROOM, ROOM, SPARSE) if SPARSE in rooms else (ROOM,)
            with Relay(folder / "relay", rooms, loopback_origins=[origin.host], limits=LIMITS) as relay:
                talking = threading.Thread(target=_talk, args=(relay, talk, until), daemon=True)
                talking.start()
                try:
                    yield Stage(folder, encoder, origin, relay, playlist)
                finally:
                    until.set()
                    talking.join()
    finally:
        encoder.stop()
