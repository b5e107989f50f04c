"""Files as entries: JSON a part at a time, JSON by lines, text by lines, XML an element at a time.

Owns: reading without holding the whole, bounds, and that whatever breaks is one error. Does not know: what entries mean, what is compressed.
Source: security-and-privacy (XML: no entities, no types); files are hostile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast
from xml.etree.ElementTree import Element, ParseError

import ijson
import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from chatsync.errors import FileDamagedError

__all__ = [
    "LINE_BYTES_MAX",
    "json_items",
    "json_lines",
    "json_named_items",
    "raw_lines",
    "text_lines",
    "whole_text",
    "xml_elements",
]

LINE_BYTES_MAX = 16 * 1024 * 1024
WHOLE_BYTES_MAX = 64 * 1024 * 1024
_PAIR_BYTES = 12
_HALF = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_may_be_second = re.compile(rb"\\(?:u(?:[dD](?:[c-fC-F]|\Z)|\Z)|\Z)").match
_CONTROLS = bytes(code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D))  # no XML may hold them, and some does


def json_items(stream: BinaryIO, *prefixes: str) -> Iterator[Any]:
    """The values that stand at a place of a JSON document, one after the other.

    Args:
        stream: UTF-8.
        prefixes: places as ijson names them, such as ``comments.item``; the first that has anything is not gone back on.

    Raises:
        FileDamagedError: after the values before the damage.
    """
    for _, value in json_named_items(stream, prefixes, ()):
        yield value


def json_named_items(
    stream: BinaryIO, prefixes: tuple[str, ...], names: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], Any]]:
    """As :func:`json_items`, each with the latest plain values that stood at some other places."""
    told: dict[str, Any] = {}
    count = 0
    try:
        if len(prefixes) == 1 and not names:  # all of it in C
            for value in ijson.items(_Paired(stream), prefixes[0], use_float=True):
                count += 1
                yield told, value
            return
        builder, at = None, ""
        for prefix, event, value in ijson.parse(_Paired(stream), use_float=True):
            if builder is not None:
                builder.event(event, value)
                if prefix == at and event in {"end_map", "end_array"}:
                    count += 1
                    yield told, builder.value
                    builder = None
            elif prefix in prefixes and event in {"start_map", "start_array"}:
                builder, at = ijson.ObjectBuilder(), prefix
                builder.event(event, value)
            elif prefix in names:
                told[prefix] = value
    except (ijson.JSONError, UnicodeDecodeError, OverflowError) as error:
        raise FileDamagedError(f"after {count} entries", "it is no JSON from there on") from error


def json_lines(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    """The objects of a file with one a line.

    Raises:
        FileDamagedError: after the objects before the damage.
    """
    for number, line in enumerate(raw_lines(stream), start=1):
        if not line.strip():
            continue
        try:
            value = _decoded(line)
        except (ValueError, RecursionError) as error:
            raise FileDamagedError(f"in line {number}", "it is no JSON") from error
        if not isinstance(value, dict):
            raise FileDamagedError(f"in line {number}", "it is no JSON object")
        yield value


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return json.loads(line)  # it takes half an emoji, which programs that cut texts write


def text_lines(stream: BinaryIO) -> Iterator[str]:
    """Lines of a text, without their ends.

    Raises:
        FileDamagedError: after the lines before the damage.
    """
    for number, line in enumerate(raw_lines(stream), start=1):
        try:
            yield line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise FileDamagedError(f"in line {number}", "it is no UTF-8") from error


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines as they are, with their ends.

    Raises:
        FileDamagedError: one is longer than :data:`LINE_BYTES_MAX`.
    """
    number = 0
    while line := stream.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise FileDamagedError(f"in line {number}", f"it is longer than {LINE_BYTES_MAX >> 20} MiB")
        yield line


def whole_text(stream: BinaryIO) -> str:
    """All of a text that cannot be read a part at a time.

    Raises:
        FileDamagedError: it is too long, or no UTF-8.
    """
    read = stream.read(WHOLE_BYTES_MAX + 1)
    if len(read) > WHOLE_BYTES_MAX:
        raise FileDamagedError("at its end", f"files of this format are read up to {WHOLE_BYTES_MAX >> 20} MiB")
    try:
        return read.decode()
    except UnicodeDecodeError as error:
        raise FileDamagedError(f"at byte {error.start}", "it is no UTF-8") from error


def xml_elements(stream: BinaryIO, *tags: str) -> Iterator[Element]:
    """Elements of some names as they end; each is emptied when the next one is asked for. A file without a root gets one.

    Raises:
        FileDamagedError: after the elements before the damage; also for entities and document types, which no chat needs.
    """
    count = 0
    open_elements: list[Element] = []
    try:
        for event, element in iterparse(cast("Any", _Rooted(stream)), events=("start", "end"), forbid_dtd=True):
            if event == "start":
                open_elements.append(element)
                continue
            open_elements.pop()
            if element.tag in tags:
                count += 1
                yield element
            if not any(above.tag in tags for above in open_elements):
                element.clear()
                if open_elements:
                    open_elements[-1].remove(element)
    except (ParseError, DefusedXmlException, ValueError, UnicodeError) as error:
        reason = (
            "it is no XML from there on" if isinstance(error, ParseError) else "it defines types or entities of its own"
        )
        raise FileDamagedError(f"after {count} entries", reason) from error


class _Paired:
    """A stream of JSON in which halves of escaped pairs, such as programs that cut an emoji write, are replacement characters."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._held = stream, b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes: what may be the beginning of a pair waits for the rest."""
        if size == 0:
            return b""
        while True:
            piece = self._stream.read(65_536)
            text, self._held = self._held + piece, b""
            if not piece:
                return _mended(text)
            last = text.find(b"\\", max(0, len(text) - _PAIR_BYTES))
            while last >= 6 and text[last - 6 : last - 4] == b"\\u" and _may_be_second(text, last):
                last -= 6
            while last > 0 and text[last - 1 : last] == b"\\":
                last -= 1
            if last >= 0 and len(text) - last < 65_536:
                text, self._held = text[:last], text[last:]
            if text:
                return _mended(text)


def _mended(text: bytes) -> bytes:
    if b"\\ud" not in text and b"\\uD" not in text:
        return text
    return _HALF.sub(lambda found: b"\\ufffd" if found[1] else found[0], text)


class _Rooted:
    """A stream of XML with a root around it, without the characters that no XML may hold."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        head = stream.read(4_096).translate(None, _CONTROLS).lstrip(b"\xef\xbb\xbf \t\r\n")
        self._next = head
        self._tail = b""
        if not head.startswith((b"<?xml", b"<packet", b"<i>", b"<popcorn")):
            self._next, self._tail = b"<packet>" + head, b"</packet>"

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        given, self._next = self._next, b""
        while not given:
            raw = self._stream.read(65_536 if size < 0 else size)
            if not raw:
                given, self._tail = self._tail, b""
                return given
            given = raw.translate(None, _CONTROLS)
        return given
