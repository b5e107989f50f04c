"""A file's format told by what is in it."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chatsync.errors import FileDamagedError, FileFormatError
from chatsync.transfer.reading import READERS
from chatsync.transfer.recognising import FORMATS, OpenedFile, format_of
from tests.transfer.files import sample

_SAMPLES = {
    "bbb_slides_new.xml": "bigbluebutton",
    "bilibili_danmaku.xml": "bilibili",
    "chat.csv": "csv",
    "chat.vtt": "webvtt",
    "chat_downloader.json": "chat_downloader",
    "chat_downloader.jsonl": "chat_downloader",
    "niconico_legacy.xml": "niconico_legacy",
    "niconico_legacy_api.json": "niconico_legacy",
    "niconico_v1_threads.json": "niconico",
    "niconico_ytdlp.comments.json": "niconico",
    "twitch_irc_tags.log": "twitch_irc",
    "twitchdownloader.json": "twitch_downloader",
    "youtube_live_capture.live_chat.json": "youtube",
    "youtube_replay.live_chat.json": "youtube",
    "zoom_cloud_chat.txt": "zoom",
    "zoom_saved_chat.txt": "zoom",
}


@pytest.mark.parametrize(("name", "format_name"), _SAMPLES.items())
def test_every_sample_is_recognised(name: str, format_name: str) -> None:
    """Whatever it is called."""
    assert format_name == format_of(sample(name).read_bytes())


@pytest.mark.parametrize(
    "name", ["chat.lrc", "kick_chat_message_sent.json", "matrix_room_message.json", "lightor_chat.csv", "SCHEMA.md"]
)
def test_what_is_not_read_is_not_mistaken(name: str) -> None:
    """It says what is."""
    with pytest.raises(FileFormatError, match="--format: twitch_downloader"):
        format_of(sample(name).read_bytes())


@given(st.binary(max_size=200))
def test_anything_may_come(body: bytes) -> None:
    """It is a format, or none."""
    with suppress(FileFormatError):
        assert format_of(body) in FORMATS


def test_every_format_has_a_reader() -> None:
    """And no other."""
    assert set(FORMATS) == set(READERS)


def test_reading_says_how_far_it_is(tmp_path: Path) -> None:
    """In bytes of the file as it lies there."""
    body = gzip.compress(b"hello\n" * 100_000)
    (tmp_path / "x").write_bytes(body)
    with OpenedFile(tmp_path / "x") as opened:
        assert b"hello\nhello\n" == opened.head[:12]
        assert len(body) == opened.size_bytes
        assert 600_000 == len(opened.stream.read())
        assert len(body) == opened.read_bytes


def test_reading_can_be_watched(tmp_path: Path) -> None:
    """Also where nothing comes out of it for long: by what was read, not by what was found."""
    (tmp_path / "x").write_bytes(b"x" * 10_000_000)
    told: list[int] = []
    with OpenedFile(tmp_path / "x") as opened:
        opened.watch(told.append)
        assert b"xxx" == opened.head[:3]
        assert 10_000_000 == len(opened.stream.read())
    assert (True, 9) == (told == sorted(told), len(told))


def test_every_format_has_its_row_in_the_page() -> None:
    """With what it carries and loses."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()
    assert [] == [name for name in FORMATS if f"| `{name}` |" not in page]


def test_a_bomb_is_unpacked_a_piece_at_a_time(tmp_path: Path) -> None:
    """A gigabyte of nothing in some kilobytes does not come at once."""
    packed = zstandard.ZstdCompressor().compressobj()
    body = b"".join(packed.compress(bytes(1 << 20)) for _ in range(64)) + packed.flush()
    (tmp_path / "x").write_bytes(body)
    with OpenedFile(tmp_path / "x") as opened:
        assert bytes(100) == opened.stream.read(100)


@pytest.mark.parametrize("body", [b"\x1f\x8bxx", b"\x28\xb5\x2f\xfdxxxxxxx", b"\xff\xfe\x00\xd8\x00"])
def test_what_cannot_be_unpacked_is_damaged(body: bytes, tmp_path: Path) -> None:
    """Packed badly, or no text of the encoding it says."""
    (tmp_path / "x").write_bytes(body)
    with pytest.raises(FileDamagedError), OpenedFile(tmp_path / "x") as opened:
        opened.stream.read()
