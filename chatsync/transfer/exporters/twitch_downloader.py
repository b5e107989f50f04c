"""TwitchDownloader's JSON, version 1.4.0: what its renderer and the common chat viewers take.

Owns: that format's shape. Does not know: where lines come from. Units: µs of program time and position.
Source: formats.md; the format's schema as of version 1.4.0.

The whole is one object, written a comment at a time. What the format has no place for (reply, badges of our own) stands in ``message`` under a name of ours,
which other readers pass over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from chatsync.instants import SECOND_US, iso_from_us
from chatsync.transfer.line import About, Line

__all__ = ["OWN", "twitch_downloader"]

OWN = "chatsync"  # where fields of ours stand
_CHANNEL = "0"
_LOGIN_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"
_BADGES = {"host": "broadcaster", "moderator": "moderator"}


def twitch_downloader(lines: Iterable[Line], about: About) -> Iterator[str]:
    """The file, a piece at a time. ``content_offset_seconds`` counts from position 0, ``created_at`` is program time."""
    head = {
        "FileInfo": {
            "Version": {"Major": 1, "Minor": 4, "Patch": 0},
            "CreatedAt": iso_from_us(about.start_us),
            "UpdatedAt": "0001-01-01T00:00:00",
        },
        "streamer": {"name": about.room, "login": about.room, "id": int(_CHANNEL)},
        "clipper": None,
        "video": {
            "title": about.title,
            "description": None,
            "id": about.recording or about.room,
            "created_at": iso_from_us(about.start_us),
            "start": 0.0,
            "end": about.duration_us / SECOND_US,
            "length": about.duration_us / SECOND_US,
            "viewCount": 0,
            "game": "",
            "chapters": [],
        },
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "comments": ['
    comma = ""
    for line in lines:
        yield f"{comma}\n{json.dumps(_comment(line, about), ensure_ascii=False)}"
        comma = ","
    yield '\n], "embeddedData": {"thirdParty": [], "firstParty": [], "twitchBadges": [], "twitchBits": []}}\n'


def _comment(line: Line, about: About) -> dict[str, Any]:
    position_us = line.position_us or 0
    program_us = about.start_us + position_us if line.program_us is None else line.program_us
    created_at = iso_from_us(program_us)
    badge = _BADGES.get(line.role)
    own: dict[str, Any] = {"kind": line.kind, "role": line.role, "position_us": line.position_us}
    own |= {"program_us": line.program_us} if line.program_us is not None else {}
    own |= {"reply_to": line.reply_to} if line.reply_to is not None else {}
    own |= {"badges": list(line.badges)} if line.badges else {}
    own |= {"details": line.details} if line.details else {}
    return {
        "_id": line.id,
        "created_at": created_at,
        "channel_id": _CHANNEL,
        "content_type": "video",
        "content_id": about.recording or about.room,
        "content_offset_seconds": position_us / SECOND_US,
        "commenter": None
        if line.author_id is None
        else {
            "display_name": line.author_name,
            "_id": line.author_id,
            "name": _login(line.author_name),
            "bio": None,
            "created_at": created_at,
            "updated_at": created_at,
            "logo": None,
        },
        "message": {
            "body": line.text,
            "bits_spent": 0,
            "fragments": [{"text": line.text, "emoticon": None}],
            "user_badges": [] if badge is None else [{"_id": badge, "version": "1"}],
            "user_color": None,
            "emoticons": [],
            OWN: own,
        },
    }


def _login(name: str) -> str:
    return "".join(one for one in name.lower().replace(" ", "_") if one in _LOGIN_CHARACTERS) or "somebody"
