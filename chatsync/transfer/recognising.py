"""A file of chat opened: unpacked, as UTF-8, and its format told by what is in it.

Owns: gzip, zstandard and byte order marks; which format a beginning is of. Does not know: what the formats hold.
Source: formats.md. Names of files say nothing: they are renamed, and several formats share an ending.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import zstandard
from ijson.backends import python as scanning

from chatsync.errors import FileDamagedError, FileFormatError

__all__ = ["FORMATS", "OpenedFile", "format_of"]

_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 1_024  # of zstandard unpacked at once: a kilobyte may become 32 MiB, more would not fit into memory
_PIECES_BETWEEN = 16
_KEYS_MAX = 200

FORMATS = (
    "twitch_downloader",
    "youtube",
    "chat_downloader",
    "ndjson",
    "csv",
    "webvtt",
    "twitch_irc",
    "niconico",
    "niconico_legacy",
    "bilibili",
    "zoom",
    "bigbluebutton",
)
"""Names of what can be read: of the modules that read it, and of ``--format``."""

_MARKS = (  # longer ones first: that of UTF-32 begins as that of UTF-16 does
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHAT_DOWNLOADER = frozenset({"message_id", "message_type", "action_type", "time_in_seconds", "timestamp", "time_text"})
_ZOOM = re.compile(r"\d\d:\d\d:\d\d(\t[^\t\n]*:\t| From [^\n]* to [^\n]*:|\t From )")
_CSV_TIMES = frozenset({"program_time", "pdt", "position_ms", "offset_ms"})


class OpenedFile:
    """A file of chat, read once from its beginning; a context manager.

    Args:
        path: the file.

    Attributes:
        stream: its text as UTF-8, unpacked.
        size_bytes: of the file as it lies there.

    Raises:
        OSError: it cannot be read.
        FileDamagedError: it cannot be unpacked.
    """

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        try:
            self.size_bytes = path.stat().st_size
            self.stream = _text_of(_unpacked(self._raw))
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> OpenedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    @property
    def read_bytes(self) -> int:
        """How far in the file as it lies there reading has come."""
        return min(self._raw.tell(), self.size_bytes)

    def watch(self, told: Callable[[int], None]) -> None:
        """Before anything is read: tell how far reading has come, in bytes of the file as it lies there, once a megabyte or so of text."""
        inner, pieces = self.stream, [0]

        def next_piece() -> bytes | None:
            pieces[0] += 1
            if pieces[0] % _PIECES_BETWEEN == 0:
                told(self.read_bytes)
            return inner.read1(_HEAD_BYTES) or None

        self.stream = io.BufferedReader(_Reading(next_piece), _HEAD_BYTES)

    @property
    def head(self) -> bytes:
        """How it begins, without going on."""
        return self.stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]


def format_of(head: bytes) -> str:
    """The format of a file that begins so.

    Args:
        head: UTF-8, some tens of kilobytes of it or all.

    Raises:
        FileFormatError: it is none that is known.
    """
    start = head.lstrip()
    text = start.decode(errors="replace")
    if start[:1] in {b"{", b"["}:
        found = _format_of_json(start)
    elif start[:1] == b"<":
        found = _format_of_xml(text)
    elif text.startswith("WEBVTT"):
        found = "webvtt"
    elif re.match(r"(\S* )?(@\S+ )?:?\S+ (PRIVMSG|USERNOTICE|CLEARCHAT|CLEARMSG|ROOMSTATE|NOTICE) #", text):
        found = "twitch_irc"
    elif _ZOOM.match(text):
        found = "zoom"
    else:
        found = _format_of_table(text)
    if found is None:
        raise FileFormatError(FORMATS)
    return found


def _format_of_json(start: bytes) -> str | None:
    outer, inner = _keys(start)
    if "replayChatItemAction" in outer or "clickTrackingParams" in outer:
        return "youtube"
    keys = outer | inner
    if start[:1] == b"{":
        if "comments" in outer or {"streamer", "video"} <= outer or ("FileInfo" in outer and "streamer" in outer):
            return "twitch_downloader"
        if "data" in outer and inner & {"threads", "globalComments"}:
            return "niconico"
        if {"id", "kind", "text"} <= outer and outer & {"program_ms", "position_ms"}:
            return "ndjson"
        keys = outer
    if "vposMs" in keys:
        return "niconico"
    if start[:1] == b"[" and keys & {"ping", "thread", "chat"}:
        return "niconico_legacy"
    return "chat_downloader" if len(keys & _CHAT_DOWNLOADER) >= 2 or {"author", "message"} <= keys else None


def _keys(start: bytes) -> tuple[set[str], set[str]]:
    """Names in the first value and in what lies directly in it, as far as it is there."""
    found: tuple[set[str], set[str]] = (set(), set())
    depth, seen = 0, 0
    try:
        for event, value in scanning.basic_parse(io.BytesIO(start), buf_size=1_024, multiple_values=True):
            if event in {"start_map", "start_array"}:
                depth += 1
            elif event in {"end_map", "end_array"}:
                depth -= 1
                if depth == 0:
                    break
            elif event == "map_key" and depth <= 2:
                found[depth - 1].add(value)
                seen += 1
                if seen >= _KEYS_MAX:
                    break
    except (scanning.common.JSONError, UnicodeDecodeError, RecursionError, ValueError):
        pass  # it ends here, or is damaged: reading it tells
    return found


def _format_of_xml(text: str) -> str | None:
    if "<popcorn" in text:
        return "bigbluebutton"
    if "<d p=" in text or "<chatserver>" in text:
        return "bilibili"
    return "niconico_legacy" if re.search(r"<(packet|thread|chat)[\s>]", text) else None


def _format_of_table(text: str) -> str | None:
    heading = {name.strip(' "').split(" (")[0] for name in text.split("\n", 1)[0].strip("\r").split(",")}
    return "csv" if "text" in heading and heading & _CSV_TIMES else None


# --- unpacking -------------------------------------------------------------------------------------------------------


class _Reading(io.RawIOBase):
    """A stream made of pieces that a source gives."""

    def __init__(self, source: Any) -> None:
        self._source, self._held = source, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held:
            piece = self._source()
            if piece is None:
                return 0
            self._held = piece
        given = self._held[: len(buffer)]
        buffer[: len(given)] = given
        self._held = self._held[len(given) :]
        return len(given)


def _unpacked(raw: BinaryIO) -> BinaryIO:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return io.BufferedReader(_Reading(_gzip_pieces(raw)), _HEAD_BYTES)
    if magic == b"\x28\xb5\x2f\xfd":
        return io.BufferedReader(_Reading(_zstandard_pieces(raw)), _HEAD_BYTES)
    return raw


def _gzip_pieces(raw: BinaryIO) -> Any:
    unpacking = gzip.GzipFile(fileobj=raw)

    def next_piece() -> bytes | None:
        try:
            return unpacking.read(_HEAD_BYTES) or None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileDamagedError("in its gzip", "it ends too early, or is not what was packed") from error

    return next_piece


def _zstandard_pieces(raw: BinaryIO) -> Any:
    unpacking = [zstandard.ZstdDecompressor().decompressobj()]
    left = [b""]

    def next_piece() -> bytes | None:
        piece = left[0] or raw.read(_PIECE_BYTES)
        left[0] = b""
        if not piece:
            if not unpacking[0].eof:
                raise FileDamagedError("in its zstandard", "it ends too early")
            return None
        if unpacking[0].eof:  # a file may hold several frames
            unpacking[0] = zstandard.ZstdDecompressor().decompressobj()
        try:
            given = unpacking[0].decompress(piece)
        except zstandard.ZstdError as error:
            raise FileDamagedError("in its zstandard", "it is not what was packed") from error
        left[0] = unpacking[0].unused_data
        return given

    return next_piece


def _text_of(packed: BinaryIO) -> io.BufferedReader:
    """The stream as UTF-8, without its mark."""
    buffered = (
        cast("io.BufferedReader", packed)
        if isinstance(packed, io.BufferedReader)
        else io.BufferedReader(cast("Any", packed), _HEAD_BYTES)
    )
    start = buffered.peek(4)[:4]
    mark, encoding = next(((mark, name) for mark, name in _MARKS if start.startswith(mark)), (b"", "utf-8"))
    buffered.read(len(mark))
    if encoding == "utf-8":
        return buffered
    decoder = codecs.getincrementaldecoder(encoding)()
    is_done = [False]

    def next_piece() -> bytes | None:
        if is_done[0]:
            return None
        piece = buffered.read(_HEAD_BYTES)
        is_done[0] = not piece
        try:
            return decoder.decode(piece, final=not piece).encode()
        except UnicodeError as error:
            raise FileDamagedError("in its text", f"it is no {encoding.upper()}") from error

    return io.BufferedReader(_Reading(next_piece), _HEAD_BYTES)
