"""BigBlueButton's ``slides_new.xml``: the public chat of a recording.

Owns: that format's shape, and HTML turned into text. Does not know: rooms. Units: µs; ``in`` is seconds in the recording. Source: formats.md.

``out`` says when a moderator cleared the chat: what has one was taken away, and stays out.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import BinaryIO

from chatsync.instants import SECOND_US
from chatsync.transfer.documents import xml_elements
from chatsync.transfer.fields import REMOVED, Known, rest, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_KNOWN = ("in", "out", "name", "message", "target", "senderRole", "direction", "senderId")


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """A line for each entry of the chat.

    Raises:
        FileDamagedError: after the lines before the damage.
    """
    del known
    for element in xml_elements(stream, "chattimeline"):
        told = element.attrib
        if told.get("out", "").strip() not in {"", "null"}:
            yield Left(REMOVED)
            continue
        name, sender = told.get("name", ""), told.get("senderId", "")
        yield Line(
            id="",
            position_us=us_of(told.get("in"), SECOND_US),
            author_id=sender or (f"name:{name}" if name else None),
            author_name=name,
            role="moderator" if told.get("senderRole") == "MODERATOR" else "participant",
            text=_plain(told.get("message", "")),
            details={name: value for name, value in rest(told, _KNOWN).items() if value != "false"},
        )


def _plain(message: str) -> str:
    reader = _Words()
    reader.feed(message)
    reader.close()
    return "".join(reader.parts)


class _Words(HTMLParser):
    """The words of a piece of HTML; a link keeps its address, if its words say something else."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._address = ""
        self._from = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag == "a":
            self._address, self._from = dict(attrs).get("href") or "", len(self.parts)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._address:
            words = "".join(self.parts[self._from :]).strip()
            if self._address.startswith(("http://", "https://")) and words != self._address:
                self.parts.append(f" ({self._address})")
            self._address = ""

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
