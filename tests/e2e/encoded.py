"""Real streams on an origin of our own: an encoder that crashes and comes back, with plain or low-latency HLS, over HTTP.

Owns: what an origin adds to ffmpeg's files: CORS, and for low latency parts, blocking reload and a preload hint. Does not know:
the relay, players. Units: seconds of media; names say the others. Source: RFC 8216bis §4.4.3.7-8, §4.4.4.9, §4.4.5.3, §6.2.5.

For low latency ffmpeg cuts parts, each with a key frame of its own, and lists them as if they were segments; up to five in a row are
listed here as one segment, and sent as one file. Its window must keep every part, since segments are counted from the first.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chatsync.media import LiveStream, segment_clock, unwrapped_us

__all__ = ["PART_S", "Encoder", "FileOrigin", "file_origin"]

PART_S = 0.4
PARTS_A_SEGMENT = 5
SEGMENTS_WITH_PARTS = 3
DATED_FOR = 2  # segments; then the first one leaves the list of few dates
HELD_MAX_S = 6.0  # three target durations
LOOK_S = 0.01
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".m4s": "video/mp4",
    ".mp4": "video/mp4",
}


class Encoder:
    """ffmpeg in a folder, which a test may crash and bring back."""

    def __init__(self, folder: Path, *, low_latency: bool = False) -> None:
        self.folder, self.low_latency = folder, low_latency
        self._own_errors: dict[int, int] = {}
        self._stream = self._begin(append=False)

    def crash(self) -> None:
        """As `kill -9` does."""
        self.own_errors()
        self._stream.send_signal(signal.SIGKILL)

    def append(self) -> None:
        """Come back behind the media that is listed already: a discontinuity, and the dates of now."""
        self._stream = self._begin(append=True)

    def restart(self) -> None:
        """Come back as if nothing had been: the same names, numbers from 0, no discontinuity."""
        self._stream = self._begin(append=False)

    def stop(self) -> None:
        """End the stream in order."""
        self._stream.stop()

    def wait_for(self, seconds: float) -> None:
        """Wait until so much media is listed."""
        while sum(part.duration_s for part in listed(self.folder)) < seconds:
            assert self._stream.is_running, (self.folder / "ffmpeg.log").read_text()[-1000:]
            time.sleep(0.1)

    def own_errors(self) -> dict[int, int]:
        """By how many ms the dates run ahead of the burned clock, by the first date of each of ffmpeg's runs.

        It is a constant of a run (see chatsync/media.py), tens of ms on a busy machine, and no player can know it.
        """
        init = self.folder / "init.mp4"
        for index, part in enumerate(listed(self.folder)):
            if (index > 0 and not part.is_discontinuous) or part.date is None:
                continue
            date_ms = round(datetime.fromisoformat(part.date).timestamp() * 1000)
            media = self.folder / part.name
            if date_ms in self._own_errors or not media.exists():
                continue
            whole = self.folder.parent / f"first{media.suffix}"
            whole.write_bytes((init.read_bytes() if self.low_latency else b"") + media.read_bytes())
            (_, burned), *_ = segment_clock(whole)
            self._own_errors[date_ms] = date_ms - unwrapped_us(burned, date_ms * 1000) // 1000
        return self._own_errors

    def _begin(self, *, append: bool) -> LiveStream:
        window = 2_000 if self.low_latency else 300
        stream = LiveStream(
            self.folder,
            segment_s=PART_S if self.low_latency else 2,
            window_segments=window,
            append=append,
            fragmented=self.low_latency,
        )
        stream.start()
        return stream


@dataclass(frozen=True)
class Part:
    """One file of ffmpeg's and what its playlist says of it."""

    number: int
    name: str
    duration_s: float
    date: str | None
    is_discontinuous: bool


def listed(folder: Path) -> list[Part]:
    """What ffmpeg's playlist lists now."""
    try:
        lines = (folder / "stream.m3u8").read_text().splitlines()
    except FileNotFoundError:
        return []
    number, duration_s, date, is_discontinuous = 0, 0.0, None, False
    parts = []
    for line in lines:
        tag, _, value = line.partition(":")
        if tag == "#EXT-X-MEDIA-SEQUENCE":
            number = int(value)
        elif tag == "#EXTINF":
            duration_s = float(value.rstrip(","))
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            date = value
        elif tag == "#EXT-X-DISCONTINUITY":
            is_discontinuous = True
        elif line and not line.startswith("#"):
            parts.append(Part(number, line, duration_s, date, is_discontinuous))
            number, date, is_discontinuous = number + 1, None, False
    return parts


def _segments(parts: list[Part]) -> list[list[Part]]:
    """Parts by segment, the last one perhaps still growing; a discontinuity begins a segment."""
    segments: list[list[Part]] = []
    for part in parts:
        if not segments or part.is_discontinuous or len(segments[-1]) == PARTS_A_SEGMENT:
            segments.append([])
        segments[-1].append(part)
    return segments


def low_latency_playlist(parts: list[Part], after: tuple[int, int] | None = None) -> str | None:
    """The same media as segments of five parts; the newest ones, and the one that still grows, part by part.

    Args:
        parts: everything so far.
        after: the media sequence and part that must be there; None is given while they are not.
    """
    segments = _segments(parts)
    last = len(segments) - 1
    is_whole = bool(segments) and len(segments[last]) == PARTS_A_SEGMENT
    if after is not None and (last + is_whole, -1 if is_whole else len(segments[last]) - 1) < after:
        return None
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        f"#EXT-X-TARGETDURATION:{round(PART_S * PARTS_A_SEGMENT)}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={3 * PART_S:.3f}",
        f"#EXT-X-PART-INF:PART-TARGET={PART_S:.3f}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        '#EXT-X-MAP:URI="init.mp4"',
    ]
    for segment, own in enumerate(segments):
        if own[0].is_discontinuous:
            lines += ["#EXT-X-DISCONTINUITY", '#EXT-X-MAP:URI="init.mp4"']
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{own[0].date}")
        if segment > last - SEGMENTS_WITH_PARTS:
            lines += [f'#EXT-X-PART:DURATION={part.duration_s:.6f},URI="{part.name}",INDEPENDENT=YES' for part in own]
        if segment < last or is_whole:
            duration_s = sum(part.duration_s for part in own)
            lines += [f"#EXTINF:{duration_s:.6f},", f"segment-{own[0].number}-{own[-1].number}.m4s"]
    lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="stream{parts[-1].number + 1}.m4s"')
    return "\n".join(lines) + "\n"


def sparse_playlist(parts: list[Part]) -> str:
    """The same media with a date where an encoder begins and nowhere else; the first date soon leaves the window."""
    first = DATED_FOR if len(parts) > 2 * DATED_FOR else 0
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{parts[first].number}"]
    for index, part in enumerate(parts[first:], first):
        if part.is_discontinuous:
            lines.append("#EXT-X-DISCONTINUITY")
        if part.is_discontinuous or index == 0:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{part.date}")
        lines += [f"#EXTINF:{part.duration_s:.6f},", part.name]
    return "\n".join(lines) + "\n"


class FileOrigin:
    """Serves folders below one folder: ``/<name>/stream.m3u8`` as ffmpeg writes it, ``low.m3u8`` with parts, ``sparse.m3u8`` with few dates.

    Args:
        folder: of the streams.
        beside: other files by their paths, and folders by paths that end with a slash: a page and what it needs.
    """

    def __init__(self, folder: Path, beside: Mapping[str, Path]) -> None:
        self._folder, self._beside = folder, beside
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def body(self, path: str, query: dict[str, list[str]]) -> bytes | None:
        """The file of a path; None if there is none, or not soon."""
        for prefix, place in self._beside.items():
            found = place / path.removeprefix(prefix) if prefix.endswith("/") else place
            if path.startswith(prefix):
                return found.read_bytes() if found.is_file() and ".." not in path else None
        file = self._folder / path.lstrip("/")
        if not file.resolve().is_relative_to(self._folder.resolve()):
            return None
        if file.name == "low.m3u8":
            return self._low_latency(file.parent, query)
        if file.name == "sparse.m3u8":
            parts = listed(file.parent)
            return sparse_playlist(parts).encode() if parts else None
        if file.name.startswith("segment-"):
            first, last = (int(number) for number in file.stem.split("-")[1:])
            files = [file.parent / f"stream{number}.m4s" for number in range(first, last + 1)]
            return b"".join(one.read_bytes() for one in files) if all(one.exists() for one in files) else None
        # A part that was hinted at is asked for before it is there.
        return self._held(
            lambda: file.read_bytes() if file.exists() else None, HELD_MAX_S if file.suffix == ".m4s" else 0
        )

    def _low_latency(self, folder: Path, query: dict[str, list[str]]) -> bytes | None:
        after = None
        if "_HLS_msn" in query:
            segment = int(query["_HLS_msn"][0])
            # The whole segment is there when the next one may begin.
            after = (segment, int(query["_HLS_part"][0])) if "_HLS_part" in query else (segment + 1, -1)

        def answer() -> bytes | None:
            parts = listed(folder)
            text = low_latency_playlist(parts, after) if parts else None
            return None if text is None else text.encode()

        return self._held(answer, HELD_MAX_S)

    @staticmethod
    def _held(answer: Callable[[], bytes | None], within_s: float) -> bytes | None:
        deadline_s = time.monotonic() + within_s
        while (body := answer()) is None and time.monotonic() < deadline_s:
            time.sleep(LOOK_S)
        return body

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with suppress(ConnectionError):
                    super().handle()

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                body = origin.body(parts.path, parse_qs(parts.query))
                suffix = os.path.splitext(parts.path)[1]
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()
                with suppress(ConnectionError):  # a player that has thought better of it
                    self.wfile.write(body or b"")

            def do_OPTIONS(self) -> None:
                self.send_response(204)
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Access-Control-Allow-Headers", "*")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def file_origin(folder: Path, beside: Mapping[str, Path]) -> Iterator[FileOrigin]:
    """An origin for the folders below this one."""
    origin = FileOrigin(folder, beside)
    yield origin
    origin.close()
