"""The stream with a clock in its picture, and reading that clock back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import SettingsError
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.media import (
    BLOCKS,
    FRAMES_PER_S,
    LiveStream,
    burned_ms,
    make_recording,
    resolve_ffmpeg,
    segment_clock,
    unwrapped_us,
)

FRAME_MS = 1000 / FRAMES_PER_S
VALUES = st.integers(0, 2**BLOCKS.value_bits - 1)
NOW_US = 1_764_000_000_000_000
HALF_WRAP_US = 2 ** (BLOCKS.value_bits - 1) * 1000


def _blocks(value: int) -> list[int]:
    """The row that shows a value, as ``BurnedClock`` describes it."""
    check = sum(value >> shift & 15 for shift in range(0, BLOCKS.value_bits, 4)) % 2**BLOCKS.check_bits
    value_bits = [value >> bit & 1 for bit in range(BLOCKS.value_bits)]
    check_bits = [check >> bit & 1 for bit in range(BLOCKS.check_bits)]
    return [255 * lit for lit in (1, 0, *value_bits, *check_bits, 1, 0)]


def _wait(condition: Callable[[], bool], within_s: float = 30) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come"
        time.sleep(0.05)


def _playlist(path: Path) -> MediaPlaylist:
    playlist = parse_playlist(path.read_text())
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def _files(stream: LiveStream) -> list[Path]:
    """The stream's segments, in order."""
    return [stream.folder / (segment.uri or "") for segment in _playlist(stream.playlist).segments]


@pytest.fixture(scope="module")
def ended_stream(tmp_path_factory: pytest.TempPathFactory) -> LiveStream:
    """A stream of a few seconds that was stopped in order."""
    try:
        resolve_ffmpeg()
    except SettingsError as error:
        pytest.skip(str(error))
    stream = LiveStream(tmp_path_factory.mktemp("stream"), segment_s=1)
    stream.start()
    try:
        _wait(lambda: stream.playlist.exists() and len(_playlist(stream.playlist).segments) >= 2)
    finally:
        stream.stop()
    return stream


def test_the_ffmpeg_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """CHATSYNC_FFMPEG comes before what is installed."""
    monkeypatch.setenv("CHATSYNC_FFMPEG", "/opt/bin/ffmpeg")
    assert "/opt/bin/ffmpeg" == resolve_ffmpeg()


@given(VALUES)
def test_a_row_of_blocks_reads_back_as_its_value(value: int) -> None:
    """Every value of the clock is read from the blocks that show it."""
    assert value == burned_ms(_blocks(value))


@given(VALUES, st.integers(0, BLOCKS.block_count - 1))
def test_a_row_with_one_wrong_block_is_no_clock(value: int, wrong: int) -> None:
    """A single block misread, whichever it is, gives no time rather than a wrong one."""
    blocks = _blocks(value)
    blocks[wrong] = 255 - blocks[wrong]
    assert burned_ms(blocks) is None


@pytest.mark.parametrize("row", [[0] * BLOCKS.block_count, [255] * BLOCKS.block_count, [], _blocks(5)[:-1]])
def test_a_row_that_is_no_clock_gives_none(row: list[int]) -> None:
    """Black, white, empty and short rows are no clock."""
    assert burned_ms(row) is None


@given(st.integers(-HALF_WRAP_US + 1000, HALF_WRAP_US - 1000))
def test_a_value_is_unwrapped_to_the_instant_nearest_to_what_is_known(away_us: int) -> None:
    """The clock wraps after 49 days; an instant up to 24 days away is found again, to the millisecond."""
    instant_us = (NOW_US + away_us) // 1000 * 1000
    assert instant_us == unwrapped_us(instant_us // 1000 % 2**BLOCKS.value_bits, NOW_US)


def test_a_stopped_stream_ends_its_playlist_and_leaves_no_process(ended_stream: LiveStream) -> None:
    """Stopping writes the last segment and ENDLIST; stopping again does nothing."""
    playlist = _playlist(ended_stream.playlist)
    ended_stream.stop()
    assert playlist.endlist
    assert not ended_stream.is_running
    assert all(path.is_file() for path in _files(ended_stream))


def test_every_frame_of_the_stream_carries_a_clock_that_goes_on(ended_stream: LiveStream) -> None:
    """Over segment borders too, each frame's clock is one frame after the one before it."""
    playlist = _playlist(ended_stream.playlist)
    values = [value_ms for path in _files(ended_stream) for _, value_ms in segment_clock(path)]
    frames = sum(round(one.duration_us / 1000 / FRAME_MS) for one in playlist.segments)
    assert frames == len(values)
    assert all(abs(value_ms - values[0] - index * FRAME_MS) <= 1 for index, value_ms in enumerate(values))


def test_the_date_of_every_segment_differs_from_its_picture_by_the_same(ended_stream: LiveStream) -> None:
    """Program date-time and burned clock are two clocks a constant apart, and near each other."""
    apart_us = []
    for segment, path in zip(_playlist(ended_stream.playlist).segments, _files(ended_stream), strict=True):
        assert segment.program_us is not None
        _, value_ms = segment_clock(path)[0]
        apart_us.append(segment.program_us - unwrapped_us(value_ms, segment.program_us))
    assert max(apart_us) - min(apart_us) <= 2_000
    assert abs(apart_us[0]) < 500_000


def test_a_recording_holds_the_same_frames(ended_stream: LiveStream, tmp_path: Path) -> None:
    """Put into one MP4, the frames and their clocks are those of the segments."""
    recording = tmp_path / "recording.mp4"
    make_recording(ended_stream.playlist, recording)
    live = [value_ms for path in _files(ended_stream) for _, value_ms in segment_clock(path)]
    assert live == [value_ms for _, value_ms in segment_clock(recording)]


def test_ffmpeg_dies_with_whoever_started_it(tmp_path: Path, ended_stream: LiveStream) -> None:
    """Even kill -9 of the demo leaves no ffmpeg behind."""
    program = (
        "import sys, time; from pathlib import Path; from chatsync.media import LiveStream\n"
        "stream = LiveStream(Path(sys.argv[1])); stream.start()\n"
        "print(stream._process.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout as said:
        pid = int(said.readline())
        assert _is_alive(pid)
        starter.send_signal(signal.SIGKILL)
        starter.wait()
    _wait(lambda: not _is_alive(pid), within_s=15)


def _is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie; one whose parent is gone may never be waited for in a container."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
