"""niconico: comments by thread as its site gives them now, the flat list that yt-dlp writes, and the older XML and JSON.

Owns: those shapes. Does not know: rooms. Units: µs; ``vposMs`` is ms and ``vpos`` hundredths of a second from the video's beginning. Source: formats.md.

When a comment was posted is not when the video was: of the newer shapes, which are of videos, it is a detail. The older ones are of live programmes too, and
their ``date`` is absolute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from chatsync.instants import MS_US, SECOND_US
from chatsync.transfer.documents import json_items, json_named_items, xml_elements
from chatsync.transfer.fields import REMOVED, Known, mapping, rest, sequence, text, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read", "read_legacy"]

_KNOWN = ("id", "vposMs", "body", "userId", "isMyPost")
_KNOWN_LEGACY = ("vpos", "date", "date_usec", "user_id", "content", "deleted", "thread", "no")
_COMMENTS = "data.threads.item.comments.item"
_FORK = "data.threads.item.fork"
_HUNDREDTH_US = 10_000


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """The newer shapes: threads, or a flat list.

    Raises:
        FileDamagedError: after the comments before the damage.
    """
    del known
    for told, comment in json_named_items(stream, (_COMMENTS, "item"), (_FORK,)):
        if not isinstance(comment, dict) or not isinstance(comment.get("body"), str):
            yield Left("is no comment")
            continue
        author_id = text(comment.get("userId"))
        yield Line(
            id=text(comment.get("id")),
            position_us=us_of(comment.get("vposMs"), MS_US),
            author_id=author_id or None,
            role="host" if told.get(_FORK) == "owner" else "participant",
            text=comment["body"],
            details=_details(comment),
        )


def _details(comment: Mapping[str, Any]) -> dict[str, Any]:
    details = rest(comment, (*_KNOWN, "postedAt"))
    details |= {"posted_at": comment["postedAt"]} if text(comment.get("postedAt")) else {}
    return details | (
        {"commands": [text(one) for one in sequence(comment["commands"])]} if comment.get("commands") else {}
    )


def read_legacy(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """The older shapes: XML, with or without a root, or an array of objects of which some are comments.

    Raises:
        FileDamagedError: after the comments before the damage.
    """
    del known
    if stream.peek(64).lstrip()[:1] == b"[":  # type: ignore[attr-defined]
        for entry in json_items(stream, "item"):
            if "chat" in mapping(entry):
                chat = mapping(entry["chat"])
                yield _legacy_line(chat, text(chat.get("content")))
            elif not {"ping", "thread", "leaf", "global_num_res"} & mapping(entry).keys():
                yield Left("is no comment")
        return
    for element in xml_elements(stream, "chat"):
        yield _legacy_line(element.attrib, "".join(element.itertext()))


def _legacy_line(chat: Mapping[str, Any], said: str) -> Line | Left:
    if text(chat.get("deleted")) not in {"", "0"}:
        return Left(REMOVED)
    seconds_us, beyond_us = us_of(chat.get("date"), SECOND_US), us_of(chat.get("date_usec"), 1)
    thread, number = text(chat.get("thread")), text(chat.get("no"))
    is_staff = text(chat.get("premium")) == "3"
    return Line(
        id=f"{thread}:{number}" if thread and number else "",
        program_us=None if seconds_us is None else seconds_us + (beyond_us or 0),
        position_us=us_of(chat.get("vpos"), _HUNDREDTH_US),
        author_id=text(chat.get("user_id")) or None,
        author_name=text(chat.get("name")),
        role="host" if is_staff else "participant",
        text=said,
        details=rest(chat, (*_KNOWN_LEGACY, "name")),
    )
