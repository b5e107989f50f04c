"""TwitchDownloader's JSON: one object with all comments, and images in text that are most of it.

Owns: that format's shape, old and new. Does not know: rooms. Units: µs. Source: formats.md; the format as of version 1.4.0.

``created_at`` is absolute; ``content_offset_seconds`` counts from the video's beginning and is whole seconds in practice. What ``chatsync export`` adds to a
message under a name of ours is read back in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from chatsync.chat.event import Role
from chatsync.instants import SECOND_US
from chatsync.transfer.documents import json_items
from chatsync.transfer.fields import Known, instant_us, mapping, number, rest, role_of, sequence, text, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_OWN = "chatsync"
_ROLES: dict[str, Role] = {"broadcaster": "host", "moderator": "moderator"}
_COMMENT = (
    "_id",
    "created_at",
    "content_offset_seconds",
    "commenter",
    "message",
    "channel_id",
    "content_type",
    "content_id",
)
_COMMENT_NOISE = ("updated_at", "source", "state", "more_replies")
_COMMENTER = ("display_name", "_id", "name", "bio", "created_at", "updated_at", "logo", "type")
_MESSAGE = (
    "body",
    "bits_spent",
    "fragments",
    "user_badges",
    "user_color",
    "emoticons",
    "is_action",
    "user_notice_params",
    _OWN,
)


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """The comments in the order of the file.

    Raises:
        FileDamagedError: after those before the damage.
    """
    del known
    for comment in json_items(stream, "comments.item"):
        yield _line(comment) if isinstance(comment, dict) else Left("is no comment")


def _line(comment: Mapping[str, Any]) -> Line | Left:
    message, commenter = mapping(comment.get("message")), mapping(comment.get("commenter"))
    if not message:
        return Left("has no message")
    program_us, position_us = (
        instant_us(comment.get("created_at")),
        us_of(comment.get("content_offset_seconds"), SECOND_US),
    )
    body = message.get("body")
    said = (
        body
        if isinstance(body, str)
        else "".join(text(mapping(one).get("text")) for one in sequence(message.get("fragments")))
    )
    author_id = text(commenter.get("_id")) or text(commenter.get("name")) or None
    name = text(commenter.get("display_name")) or ("" if _OWN in message else text(commenter.get("name")))
    own = message.get(_OWN)
    if isinstance(own, dict):
        return _own_line(comment, own, said, author_id=author_id, name=name, times=(program_us, position_us))
    badges = [text(mapping(one).get("_id")) for one in sequence(message.get("user_badges"))]
    role: Role = next((_ROLES[badge] for badge in badges if badge in _ROLES), "participant")
    details = rest(comment, (*_COMMENT, *_COMMENT_NOISE)) | rest(commenter, _COMMENTER) | rest(message, _MESSAGE)
    details |= {"color": message["user_color"]} if text(message.get("user_color")) else {}
    details |= {"login": commenter["name"]} if text(commenter.get("name")) else {}
    details |= {"is_action": True} if message.get("is_action") is True else {}
    notice = text(
        mapping(message.get("user_notice_params")).get("msg_id")
        or mapping(message.get("user_notice_params")).get("msg-id")
    )
    details |= {"notice": notice} if notice else {}
    emotes = [mapping(mapping(one).get("emoticon")).get("emoticon_id") for one in sequence(message.get("fragments"))]
    details |= (
        {
            "emotes": {
                text(mapping(one).get("text")): emote
                for one, emote in zip(sequence(message.get("fragments")), emotes, strict=True)
                if emote
            }
        }
        if any(emotes)
        else {}
    )
    bits = number(message.get("bits_spent"))
    if bits:
        details |= {"amount": int(bits), "currency": "bits"}
    return Line(
        id=text(comment.get("_id")),
        kind="paid" if bits else "message",
        program_us=program_us,
        position_us=position_us,
        author_id=author_id,
        author_name=name,
        role=role,
        badges=tuple(badge for badge in badges if badge and badge not in _ROLES),
        text=said,
        details=details,
    )


def _own_line(
    comment: Mapping[str, Any],
    own: Mapping[str, Any],
    said: str,
    *,
    author_id: str | None,
    name: str,
    times: tuple[int | None, int | None],
) -> Line:
    """A line that was written by ``chatsync export``: what the format has no place for stands beside."""
    program_us, position_us = us_of(own.get("program_us"), 1), us_of(own.get("position_us"), 1)
    return Line(
        id=text(comment.get("_id")),
        kind=text(own.get("kind")) or "message",
        program_us=program_us if "program_us" in own or "position_us" in own else times[0],
        position_us=position_us if "position_us" in own else times[1],
        author_id=author_id,
        author_name=name,
        role=role_of(own.get("role")),
        badges=tuple(text(badge) for badge in sequence(own.get("badges"))),
        text=said,
        reply_to=own["reply_to"] if isinstance(own.get("reply_to"), str) else None,
        details=dict(mapping(own.get("details"))),
    )
