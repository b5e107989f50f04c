"""chat-downloader's JSON, an array or an object a line: one shape for several networks.

Owns: that shape. Does not know: rooms. Units: µs; ``timestamp`` is µs since the Unix epoch, ``time_in_seconds`` counts from the video's beginning.
Source: formats.md. Every field may be missing, says the format itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from chatsync.chat.event import Role
from chatsync.instants import SECOND_US
from chatsync.transfer.documents import json_items, json_lines
from chatsync.transfer.fields import Known, mapping, number, rest, sequence, text, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_KNOWN = (
    *(
        "message_id",
        "message",
        "message_type",
        "action_type",
        "author",
        "time_in_seconds",
        "time_text",
        "timestamp",
        "money",
        "emotes",
    ),
    *("target_message_id", "target_author_id"),
)
_ROLES: dict[str, Role] = {"owner": "host", "broadcaster": "host", "moderator": "moderator"}
_LINE_GONE = frozenset({"mark_chat_item_as_deleted", "remove_chat_item", "delete_message"})
_AUTHOR_GONE = frozenset({"mark_chat_items_by_author_as_deleted", "remove_chat_item_by_author", "ban_user"})
_SYSTEM = ("membership", "subscription", "sponsorship", "viewer_engagement", "mode_change", "raid", "ritual", "gift")


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """What was said and taken away, in the order of the file.

    Raises:
        FileDamagedError: after what comes before the damage.
    """
    del known
    is_array = stream.peek(64).lstrip()[:1] == b"["  # type: ignore[attr-defined]
    for told in json_items(stream, "item") if is_array else json_lines(stream):
        yield _of_entry(told) if isinstance(told, dict) else Left("is no message")


def _of_entry(told: Mapping[str, Any]) -> Line | Removal | Left:
    action, what = text(told.get("action_type")), text(told.get("message_type"))
    author = mapping(told.get("author"))
    author_id = text(author.get("id")) or text(author.get("name"))
    if action in _LINE_GONE or what in _LINE_GONE:
        target = text(told.get("target_message_id"))
        return Removal(line_id=target) if target else Left("takes away what it does not name")
    if action in _AUTHOR_GONE or what in _AUTHOR_GONE:
        target = (
            text(told.get("target_author_id"))
            or text(mapping(author.get("target")).get("id"))
            or text(author.get("target_id"))
            or author_id
        )
        return Removal(author_id=target) if target else Left("takes away what it does not name")
    if "clear_chat" in {action, what}:
        return Removal()
    if not isinstance(told.get("message"), str) and not told.get("money"):
        return Left(f"is a {what or action or 'thing without a message'}"[:60])
    money = mapping(told.get("money"))
    details = rest(told, _KNOWN)
    amount = number(money.get("amount"))
    if amount is not None:
        details |= {"amount": float(amount), "currency": text(money.get("currency"))}
    names = [
        text(mapping(badge).get("icon_name")) or text(mapping(badge).get("name")) or text(mapping(badge).get("title"))
        for badge in sequence(author.get("badges"))
    ]
    role: Role = next((_ROLES[name.lower()] for name in names if name.lower() in _ROLES), "participant")
    return Line(
        id=text(told.get("message_id")),
        kind="paid" if "paid" in what or money else "system" if any(word in what for word in _SYSTEM) else "message",
        program_us=us_of(told.get("timestamp"), 1),
        position_us=us_of(told.get("time_in_seconds"), SECOND_US),
        author_id=author_id or None,
        author_name=text(author.get("display_name")) or text(author.get("name")),
        role=role,
        badges=tuple(name for name in names if name and name.lower() not in _ROLES),
        text=text(told.get("message")) or text(money.get("text")),
        details=details,
    )
