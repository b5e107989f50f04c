"""Clips in the formats of others, and cut out of a real file."""

from __future__ import annotations

import io
from pathlib import Path

import ffmpeg
import pytest
import webvtt

from chatsync.analysis.clip_lists import WRITERS, cut_clips
from chatsync.analysis.highlights import Clip
from chatsync.errors import SettingsError
from chatsync.media import resolve_ffmpeg

CLIPS = [
    Clip(start_s=65.5, end_s=75.5, peak_s=80, score=2.0, messages=31),
    Clip(start_s=10, end_s=18, peak_s=25, score=1.0, messages=12),
]


def _written(suffix: str) -> str:
    return "".join(WRITERS[suffix](CLIPS, "math highlights"))


def test_csv_has_them_by_rank() -> None:
    """Best first, seconds with thousandths."""
    assert ["1,65.500,75.500,80.000,2.0,31", "2,10.000,18.000,25.000,1.0,12"] == _written(".csv").splitlines()[1:]


def test_an_edit_list_has_them_in_order_one_after_the_other() -> None:
    """Source times at 25 frames a second, record times without a hole."""
    assert [
        "001  AX       V     C        00:00:10:00 00:00:18:00 00:00:00:00 00:00:08:00",
        "002  AX       V     C        00:01:05:13 00:01:15:13 00:00:08:00 00:00:18:00",
    ] == [line for line in _written(".edl").splitlines() if line.startswith("00")]


def test_chapters_are_read_by_others() -> None:
    """As webvtt-py reads them, in the order of the media, with their ranks."""
    cues = webvtt.from_buffer(io.StringIO(_written(".vtt"))).captions
    assert [("00:00:10.000", "Highlight 2: 12 messages"), ("00:01:05.500", "Highlight 1: 31 messages")] == [
        (cue.start, cue.text) for cue in cues
    ]


def test_clips_are_cut_by_ffmpeg(tmp_path: Path) -> None:
    """Each is a file that plays as long as the clip is; a file that is none is refused with ffmpeg's reason."""
    media = tmp_path / "lecture.mp4"
    source = ffmpeg.input("testsrc=size=64x36:rate=5:duration=40", format="lavfi")
    ffmpeg.output(source, str(media), pix_fmt="yuv420p").run(cmd=resolve_ffmpeg(), quiet=True)
    clip = Clip(start_s=10, end_s=18, peak_s=25, score=1.0, messages=12)
    [made] = cut_clips([clip], media, tmp_path / "clips")
    assert "01.mp4" == made.name
    frames, _ = ffmpeg.output(ffmpeg.input(str(made)), "pipe:", format="rawvideo", pix_fmt="gray").run(
        cmd=resolve_ffmpeg(), quiet=True, capture_stdout=True
    )
    assert 8 * 5 == pytest.approx(len(frames) / (64 * 36), abs=1)
    with pytest.raises(SettingsError, match="no file"):
        cut_clips([clip], tmp_path / "none.mp4", tmp_path / "clips")
    (tmp_path / "text.mp4").write_text("no media")
    with pytest.raises(SettingsError, match="cannot be cut"):
        cut_clips([clip], tmp_path / "text.mp4", tmp_path / "clips")
