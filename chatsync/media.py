"""ffmpeg: the demo's live stream with a clock burned into the picture, and reading that clock back.

Owns: every use of ffmpeg, through ffmpeg-python with an explicit ``cmd``. Does not know: chat, the relay.
Never in the path of a request, and never given an address from outside (security-and-privacy §4).

The burned clock is wall time of the camera, in ms since the Unix epoch modulo 2**32, as a row of black and white blocks along
the top edge, and as digits for people. ffmpeg sets it itself for every frame: wall time when the first frame left the camera,
plus the frame's own time. ``EXT-X-PROGRAM-DATE-TIME`` is another clock: ffmpeg takes wall time when the muxer opens, and the
encoder is opened in between. So the dates run ahead of the picture by a constant of the run: 5 to 13 ms in 20 starts on two
idle cores, 13 to 44 ms in 10 starts with three busy loops beside it. Comparing the two shows the encoder's own error.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chatsync.errors import SettingsError
from chatsync.instants import SECOND_US

__all__ = [
    "BLOCKS",
    "FRAMES_PER_S",
    "BurnedClock",
    "LiveStream",
    "burned_ms",
    "cut",
    "make_recording",
    "resolve_ffmpeg",
    "segment_clock",
    "unwrapped_us",
]

FRAMES_PER_S = 30
WIDTH_PX, HEIGHT_PX = 640, 360
_WRAP_MS = 2**32
_FRAME_US = 1_000_000 // FRAMES_PER_S
_STOP_S = 10.0
_PR_SET_PDEATHSIG = 1


class BurnedClock(NamedTuple):
    """Where the blocks lie: a row of ``block_count`` squares of ``size_px`` from the top left corner of the picture.

    Block 0 is white and block 1 black; then ``value_bits`` of the value, least significant first; then ``check_bits`` of the sum
    of its hexadecimal digits modulo 16; then a white and a black block. White is 1.
    """

    size_px: int = 16
    block_count: int = 40
    value_bits: int = 32
    check_bits: int = 4


BLOCKS = BurnedClock()


def resolve_ffmpeg() -> str:
    """The ffmpeg to use: ``CHATSYNC_FFMPEG``, else the one imageio-ffmpeg ships, else the system's.

    Raises:
        SettingsError: there is none.
    """
    given = os.environ.get("CHATSYNC_FFMPEG")
    if given:
        return given
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - only the extra [media] has it

        path: str = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
        if found is None:
            raise SettingsError(
                "there is no ffmpeg: pip install 'chatsync-hls[media]', or set CHATSYNC_FFMPEG"
            ) from None
        path = found
    return path


# --- burning -------------------------------------------------------------------------------------------------------

_NOW_MS = "round(t*1000)"  # t is wall time in s where the boxes are drawn; a double keeps it to the microsecond
_SEGMENTS_LIT = (0b1111101101, 0b1110011111, 0b1111111011, 0b1101101101, 0b0101000101, 0b1101110001, 0b1101111100)
"""For each of a digit's seven strokes (a to g), the digits 0 to 9 that have it, as bits."""


_PLACES = ((600_000, 6), (60_000, 10), (10_000, 6), (1_000, 10), (100, 10))
"""Minutes, seconds and tenths: the unit of each digit in ms, and where it wraps."""


def _bit(value: str, bit: int) -> str:
    return f"mod(floor(({value})/{2**bit}),2)"


def _with_blocks(video: Any) -> Any:
    size, white = BLOCKS.size_px, "white"

    def box(stream: Any, index: int, color: str, enable: str | None = None, count: int = 1) -> Any:
        options = {} if enable is None else {"enable": enable}
        return stream.filter("drawbox", index * size, 0, count * size, size, color, "fill", **options)

    video = box(video, 0, "black", count=BLOCKS.block_count)
    video = box(video, 0, white)
    for bit in range(BLOCKS.value_bits):
        video = box(video, 2 + bit, white, _bit(_NOW_MS, bit))
    digits = "+".join(f"mod(floor({_NOW_MS}/{16**digit}),16)" for digit in range(BLOCKS.value_bits // 4))
    for bit in range(BLOCKS.check_bits):
        video = box(video, 2 + BLOCKS.value_bits + bit, white, _bit(digits, bit))
    return box(video, BLOCKS.block_count - 2, white)


def _with_digits(video: Any) -> Any:
    """HH:MM:SS.s in UTC as seven-stroke digits: no font is needed."""
    width, height, stroke, gap = 36, 68, 7, 12
    hour = f"mod(floor({_NOW_MS}/3600000),24)"
    digits = (
        f"floor({hour}/10)",
        f"mod({hour},10)",
        *(f"mod(floor({_NOW_MS}/{unit_ms}),{base})" for unit_ms, base in _PLACES),
    )
    left = 118
    for index, digit in enumerate(digits):
        x = (
            left
            + index * (width + gap)
            + (20 if index >= 2 else 0)
            + (20 if index >= 4 else 0)
            + (14 if index >= 6 else 0)
        )
        half = (height - 3 * stroke) // 2
        strokes = (
            (x + stroke, 0, width - 2 * stroke, stroke),
            (x + width - stroke, stroke, stroke, half),
            (x + width - stroke, 2 * stroke + half, stroke, half),
            (x + stroke, height - stroke, width - 2 * stroke, stroke),
            (x, 2 * stroke + half, stroke, half),
            (x, stroke, stroke, half),
            (x + stroke, stroke + half, width - 2 * stroke, stroke),
        )
        for lit, (box_x, box_y, box_w, box_h) in zip(_SEGMENTS_LIT, strokes, strict=True):
            enable = f"mod(floor({lit}/pow(2,{digit})),2)"
            video = video.filter("drawbox", box_x, 146 + box_y, box_w, box_h, "0xf2efe6", "fill", enable=enable)
    for x, y in ((left + 2 * (width + gap), 166), (left + 2 * (width + gap), 190)):
        video = video.filter("drawbox", x, y, stroke, stroke, "0xf2efe6", "fill")
        video = video.filter("drawbox", x + 2 * (width + gap) + 20, y, stroke, stroke, "0xf2efe6", "fill")
    return video.filter(
        "drawbox", left + 6 * (width + gap) + 34, 146 + height - stroke, stroke, stroke, "0xf2efe6", "fill"
    )


def _pipeline(
    folder: Path, playlist: str, segment_s: float, window_segments: int, *, append: bool, fragmented: bool
) -> list[str]:
    import ffmpeg  # noqa: PLC0415 - only the extra [media] has it

    picture = f"gradients=size={WIDTH_PX}x{HEIGHT_PX}:rate={FRAMES_PER_S}:c0=0x16324f:c1=0x3f6c51:c2=0x5b3758:nb_colors=3:speed=0.02:seed=7"
    # Not -re: newer versions let the first half second through at once, and the camera would run ahead of the clock.
    video = ffmpeg.input(picture, format="lavfi").filter("realtime")
    sound = (
        ffmpeg.input("sine=frequency=220:sample_rate=48000", format="lavfi").filter("arealtime").filter("volume", 0.05)
    )
    # The source counts in frames, and wall time rounded to a frame is up to 17 ms off. RTCTIME of the first frame, not RTCSTART:
    # that one is read before the hundred boxes behind it are set up.
    video = video.filter("settb", "1/90000").filter("setpts", "PTS+if(eq(N,0),st(0,RTCTIME),ld(0))/(TB*1000000)")
    video = _with_digits(_with_blocks(video)).filter("setpts", "PTS-STARTPTS").filter("format", "yuv420p")
    output = ffmpeg.output(
        video,
        sound,
        str(folder / playlist),
        format="hls",
        vcodec="libx264",
        preset="ultrafast",
        tune="zerolatency",
        g=round(segment_s * FRAMES_PER_S),
        keyint_min=round(segment_s * FRAMES_PER_S),
        sc_threshold=0,
        threads=1,
        acodec="aac",
        audio_bitrate="64k",
        hls_time=segment_s,
        hls_list_size=window_segments,
        hls_delete_threshold=10,
        hls_segment_type="fmp4" if fragmented else "mpegts",
        hls_flags="program_date_time+independent_segments+temp_file+delete_segments"
        + ("+append_list" if append else ""),
    ).global_args("-nostdin", "-loglevel", "warning")
    arguments: list[str] = ffmpeg.compile(output, cmd=resolve_ffmpeg(), overwrite_output=True)
    return arguments


def _die_with_parent() -> None:
    """In the child: end when the demo ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which stops us in order


class LiveStream:
    """A real live HLS stream made by ffmpeg in a folder.

    Args:
        folder: made if missing; holds playlist, segments and ``ffmpeg.log``.
        segment_s: length of a segment.
        window_segments: how many the playlist lists: the DVR window.
        append: start behind the media that the playlist lists already, as an encoder that was restarted may do.
        fragmented: fragmented MP4 with ``init.mp4`` in place of transport streams.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_s: float = 2,
        window_segments: int = 300,
        append: bool = False,
        fragmented: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.playlist = folder / "stream.m3u8"
        self._segment_s, self._window_segments = segment_s, window_segments
        self._append, self._fragmented = append, fragmented
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start ffmpeg; the playlist is there after about a segment's length.

        Raises:
            SettingsError: there is no ffmpeg.
        """
        arguments = _pipeline(
            self.folder,
            self.playlist.name,
            self._segment_s,
            self._window_segments,
            append=self._append,
            fragmented=self._fragmented,
        )
        with (self.folder / "ffmpeg.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call of libc, before exec
            )

    @property
    def is_running(self) -> bool:
        """Whether ffmpeg runs."""
        return self._process is not None and self._process.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Do to ffmpeg what faults do: SIGSTOP and SIGCONT for an encoder that stands still, SIGKILL for one that crashes."""
        if self._process is not None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait()

    def stop(self) -> None:
        """End the stream: the last segment is written and the playlist gets its ENDLIST."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- reading ---------------------------------------------------------------------------------------------------------


def burned_ms(blocks: Sequence[int]) -> int | None:
    """The value in a row of brightnesses, one for each block (0 to 255); None if it is no burned clock."""
    lit = [1 if brightness > 127 else 0 for brightness in blocks]
    if len(lit) != BLOCKS.block_count or lit[:2] != [1, 0] or lit[-2:] != [1, 0]:
        return None
    value = sum(bit << index for index, bit in enumerate(lit[2 : 2 + BLOCKS.value_bits]))
    check = sum(bit << index for index, bit in enumerate(lit[2 + BLOCKS.value_bits : -2]))
    digits = sum(value >> shift & 15 for shift in range(0, BLOCKS.value_bits, 4))
    return value if digits % 16 == check else None


def unwrapped_us(value_ms: int, near_us: int) -> int:
    """A burned value as µs since the Unix epoch: the instant nearest to ``near_us`` that has it (it wraps after 49 days)."""
    near_ms = near_us // 1000
    distance_ms = (value_ms - near_ms + _WRAP_MS // 2) % _WRAP_MS - _WRAP_MS // 2
    return (near_ms + distance_ms) * 1000


def segment_clock(segment: Path) -> list[tuple[int, int]]:
    """Decode a segment and read the clock in each of its frames.

    Returns:
        (µs into the segment, burned ms) of every frame whose blocks can be read, in order.
    """
    import ffmpeg  # noqa: PLC0415

    row = ffmpeg.input(f"file:{segment}", protocol_whitelist="file,pipe")
    row = row.filter("crop", BLOCKS.block_count * BLOCKS.size_px, BLOCKS.size_px, 0, 0)
    row = row.filter("scale", BLOCKS.block_count, 1, flags="area").filter("format", "gray")
    out, _ = ffmpeg.output(row, "pipe:", format="rawvideo", fps_mode="passthrough").run(
        cmd=resolve_ffmpeg(), capture_stdout=True, quiet=True
    )
    frames = [
        out[start : start + BLOCKS.block_count]
        for start in range(0, len(out) - BLOCKS.block_count + 1, BLOCKS.block_count)
    ]
    read = ((index * _FRAME_US, burned_ms(frame)) for index, frame in enumerate(frames))
    return [(into_us, value) for into_us, value in read if value is not None]


def make_recording(playlist: Path, out: Path) -> None:
    """Put an ended stream's segments into one MP4 without encoding anew."""
    import ffmpeg  # noqa: PLC0415

    source = ffmpeg.input(f"file:{playlist}", protocol_whitelist="file,pipe", allowed_extensions="ALL")
    ffmpeg.output(source, str(out), c="copy", movflags="faststart").run(
        cmd=resolve_ffmpeg(), overwrite_output=True, quiet=True
    )


def cut(media: Path, out: Path, *, start_us: int, duration_us: int) -> None:
    """A part of a file as a file of its own, encoded anew so that it begins at the very frame.

    Args:
        media: of any format that ffmpeg reads; only this file is read, whatever it refers to.
        out: overwritten.
        start_us: position in the media.
        duration_us: how long the part is.

    Raises:
        SettingsError: there is no ffmpeg, or it cannot read or write it.
    """
    import ffmpeg  # noqa: PLC0415

    seconds = {"ss": start_us / SECOND_US, "t": duration_us / SECOND_US}
    source = ffmpeg.input(f"file:{media}", protocol_whitelist="file,pipe", **seconds)
    try:
        ffmpeg.output(source, f"file:{out}").run(cmd=resolve_ffmpeg(), quiet=True, overwrite_output=True)
    except ffmpeg.Error as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        raise SettingsError(f"{media} cannot be cut: {lines[-1] if lines else 'ffmpeg says nothing'}") from error
