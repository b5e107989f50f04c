"""A playlist origin on loopback whose answers a test sets: a stream that goes on by itself, or something that is wrong with it.

It serves real HTTP from a thread of its own, so a relay follows it as it would follow any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, last_listed, listed_at_us, playlist_at

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"


@dataclass(frozen=True)
class Answer:
    """One answer. ``stall_s`` is how long nothing comes after the headers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stall_s: float = 0.0
    repeat: int = 1  # the body so many times: large answers take no memory here


class Origin:
    """An origin that answers every path alike. ``with Origin(...) as origin:`` starts and stops it."""

    def __init__(self, answer: Callable[[], Answer]) -> None:
        self.answer = answer
        self.asked = 0
        self.queries: list[str] = []  # of each request, in order
        self._asking = threading.local()
        self._gone = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/live/index.m3u8"

    def stream(self, scenario: Scenario, *, age_s: int | None = None) -> None:
        """From now on: what the stream has by now."""
        headers = {} if age_s is None else {"Age": str(age_s)}
        self.answer = lambda: Answer(playlist_at(scenario, time.time_ns() // 1000).encode(), headers=headers)

    def low_latency(self, scenario: Scenario) -> None:
        """From now on: what the stream has by now, held back until it has what the request asks for (bis §6.2.5.2)."""

        def answer() -> Answer:
            query = parse_qs(self._asking.query)
            if "_HLS_msn" in query:
                part = int(query["_HLS_part"][0]) if "_HLS_part" in query else None
                refused = self._held(scenario, int(query["_HLS_msn"][0]), part)
                if refused:
                    return Answer(status=refused)
            text = playlist_at(scenario, time.time_ns() // 1000, skip="_HLS_skip" in query)
            return Answer(text.encode())

        self.answer = answer

    def _held(self, scenario: Scenario, media_sequence: int, part: int | None) -> int | None:
        """Wait until the stream has that; the status to refuse with, or None."""
        now_us = time.time_ns() // 1000
        if media_sequence > last_listed(scenario, now_us)[0] + 2:
            return 400
        wait_us = listed_at_us(scenario, media_sequence, part) - now_us
        limit_us = 3 * scenario.target_duration_us
        self._gone.wait(max(min(wait_us, limit_us), 0) / SECOND_US)
        return 503 if wait_us > limit_us else None

    def variants(self, **answers: Callable[[], Answer]) -> None:
        """From now on: a multivariant playlist of these, cheapest first, and under ``<name>.m3u8`` what each answers."""
        listed = "".join(
            f"#EXT-X-STREAM-INF:BANDWIDTH={number}00000,RESOLUTION=640x360\n{name}.m3u8\n"
            for number, name in enumerate(answers, 1)
        )

        def answer() -> Answer:
            name = self._asking.path.rpartition("/")[2].removesuffix(".m3u8")
            return answers[name]() if name in answers else Answer(f"#EXTM3U\n{listed}".encode())

        self.answer = answer

    def text(self, body: str, *, content_type: str = PLAYLIST_TYPE, status: int = 200) -> None:
        """From now on: this very text."""
        self.answer = lambda: Answer(body.encode(), status, {"Content-Type": content_type})

    def html(self) -> None:
        """From now on: a page for people, with 200, as captive portals and misconfigured servers give."""
        self.text("<!doctype html><html><title>Sign in</title><p>Please sign in.</p></html>", content_type="text/html")

    def stall(self, seconds: float = 60) -> None:
        """From now on: headers, then nothing."""
        self.answer = lambda: Answer(b"#EXTM3U\n", stall_s=seconds)

    def missing(self) -> None:
        """From now on: 404."""
        self.text("not found", content_type="text/plain", status=404)

    def huge(self, size_bytes: int) -> None:
        """From now on: a playlist without end, for all anyone can tell."""
        line = b"#EXTINF:2.000,\nsegment.ts\n" * 400
        self.answer = lambda: Answer(line, repeat=size_bytes // len(line))

    def __enter__(self) -> Origin:
        threading.Thread(target=self._server.serve_forever, name="origin", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                origin.asked += 1
                origin._asking.path = urlsplit(self.path).path
                origin._asking.query = urlsplit(self.path).query
                origin.queries.append(origin._asking.query)
                answer = origin.answer()
                try:
                    self._send(answer)
                except OSError:
                    self.close_connection = True  # whoever asked has gone

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in ({"Content-Type": PLAYLIST_TYPE} | dict(answer.headers)).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) * answer.repeat + (answer.stall_s > 0)))
                self.end_headers()
                for _ in range(answer.repeat):
                    self.wfile.write(answer.body)
                if answer.stall_s:
                    self.wfile.flush()
                    origin._gone.wait(answer.stall_s)
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


def origin_of(scenario: Scenario) -> Origin:
    """An origin of a stream; not started yet."""
    origin = Origin(Answer)
    origin.stream(scenario)
    return origin


def stream_of_now(*, segment_s: float = 1.0, begun_s: float = 20.0, **given: Any) -> Scenario:
    """A stream that began a while ago by the system's clock, on a whole second."""
    now_us = time.time_ns() // 1000
    start_us = now_us - round(begun_s * SECOND_US)
    return Scenario(start_us - start_us % SECOND_US, round(segment_s * SECOND_US), **given)
