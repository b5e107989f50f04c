"""`chatsync inspect` as an engineer runs it: files, a pipe, an address."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatsync.instants import SECOND_US
from tests.hls.builders import live_text, stream
from tests.origin import origin_of, stream_of_now


def inspect(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    command = [sys.executable, "-m", "chatsync", "inspect", *arguments]
    return subprocess.run(command, capture_output=True, check=False, input=stdin, timeout=60)


def told(*arguments: str, stdin: bytes | None = None) -> Any:
    """What it prints for programs."""
    done = inspect(*arguments, "--json", stdin=stdin)
    assert 0 == done.returncode, done.stderr.decode()
    return json.loads(done.stdout)


def test_files_are_read_in_order(tmp_path: Path) -> None:
    """One is what it lists, several are successive answers, a dash is standard input."""
    media = stream(12)
    names = []
    for number, (start, end) in enumerate([(0, 6), (2, 8), (4, 10)]):
        path = tmp_path / f"{number}.m3u8"
        path.write_text(live_text(media, start, end))
        names.append(str(path))
    assert list(range(2, 8)) == [one["media_sequence"] for one in told(names[1])["segments"]]
    merged = told(*names)
    assert list(range(10)) == [one["media_sequence"] for one in merged["segments"]]
    assert ["first", "advance", "advance"] == [one["kind"] for one in merged["reloads"]]
    assert told(names[1])["segments"] == told("-", stdin=Path(names[1]).read_bytes())["segments"]
    words = inspect(*names).stdout.decode()
    assert "Yes: every segment is dated." in words
    assert "1 (first): 0-9" in words


@pytest.mark.parametrize("content", [b"", b"<html>no</html>", b"\x00\x01\x02", b"plain text"])
def test_what_is_no_playlist_ends_with_2(tmp_path: Path, content: bytes) -> None:
    """And says so on standard error, in one line."""
    path = tmp_path / "odd.m3u8"
    path.write_bytes(content)
    done = inspect(str(path), "--json")
    assert (2, b"") == (done.returncode, done.stdout)
    assert "is no HLS playlist" in done.stderr.decode()
    assert 1 == len(done.stderr.decode().strip().splitlines())


def test_what_cannot_be_read_ends_with_2(tmp_path: Path) -> None:
    """A folder, a name that is not there, an address where nothing listens."""
    for target in (str(tmp_path), str(tmp_path / "nowhere")):
        assert 2 == inspect(target).returncode
    for address in (
        "http://127.0.0.1:9/x.m3u8?token=secret",
        "HTTP://127.0.0.1:9/x.m3u8?token=secret",
        "http://[::1?secret",
    ):
        done = inspect(address, "--seconds", "1", "--header", "Authorization: secret")
        assert (2, b"") == (done.returncode, done.stdout)
        assert "secret" not in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("picture", ["clocks.png", "nowhere/clocks.svg"])
def test_a_picture_that_cannot_be_made_is_refused_before_anything_is_loaded(tmp_path: Path, picture: str) -> None:
    """Another kind of file, or a folder that is not there."""
    path = tmp_path / "one.m3u8"
    path.write_text(live_text(stream(3), 0, 3))
    done = inspect(str(path), "--plot", str(tmp_path / picture))
    assert (2, b"") == (done.returncode, done.stdout)
    assert "SVG" in done.stderr.decode()


def test_an_address_is_followed_for_a_while(tmp_path: Path) -> None:
    """Real HTTP, real time: reloads, the edge's latency, a picture; progress goes to standard error only."""
    picture = tmp_path / "clocks.svg"
    with origin_of(stream_of_now(segment_s=0.5)) as origin:
        done = inspect(origin.url, "--seconds", "3", "--json", "--plot", str(picture))
    assert 0 == done.returncode, done.stderr.decode()
    report = json.loads(done.stdout)
    assert len(report["reloads"]) >= 3
    assert "advance" in {one["kind"] for one in report["reloads"]}
    assert 0 <= report["edge_latency_us"] < 3 * SECOND_US
    assert report["reload_jitter_us"] is not None
    assert b"advance" in done.stderr
    assert picture.read_text().startswith("<svg")
    assert "wall time" in picture.read_text()
