"""What a file says, as it may stand in a room: texts, names and details within the bounds that hold for everybody.

Owns: what is cut, and what is too strange to be said at all. Does not know: formats, rooms. Source: ``chat.text``; contract §2.

Nobody is there to write it again, so that nothing is refused which can be shortened: what was cut is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import msgspec

from chatsync.chat.text import NAME_CODE_POINTS_MAX, TEXT_CODE_POINTS_MAX, clean_name, clean_text
from chatsync.errors import MessageRejectedError

__all__ = ["BADGES_MAX", "DETAILS_BYTES_MAX", "Cleaning"]

DETAILS_BYTES_MAX = 2_000
BADGES_MAX = 10
_BREAKS = re.compile(r"[\n\r\t]")
_NO_CHARACTERS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_NAMING = frozenset(
    {
        *(
            "author",
            "author_id",
            "author_name",
            "channel_id",
            "commenter",
            "display_name",
            "email",
            "ip",
            "login",
            "logo",
            "name",
            "nick",
        ),
        *(
            "real_name",
            "sender",
            "sender_id",
            "user",
            "user_id",
            "user_login",
            "user_name",
            "username",
            "userid",
            "msg_param_login",
        ),
        *(
            "msg_param_display_name",
            "msg_param_recipient_display_name",
            "msg_param_recipient_id",
            "msg_param_recipient_user_name",
        ),
        *("source_room_id", "room_id"),
    }
)
"""Details that say who somebody is, or lead there, as they are usually called: names lie in one place, and outside ids nowhere."""
_DEPTH_MAX = 6
_ITEMS_MAX = 64


class Cleaning:
    """Cleans the lines of one file.

    Attributes:
        cut: how many texts, names and details were shortened.
    """

    def __init__(self) -> None:
        self.cut: Counter[str] = Counter()

    def text(self, said: str) -> str:
        """A text as a room keeps it; empty if there is nothing to read in it."""
        return self._cleaned(said, TEXT_CODE_POINTS_MAX, "texts", clean_text)

    def name(self, name: str) -> str:
        """A name as a room shows it; empty if there is nothing to read in it."""
        return self._cleaned(_BREAKS.sub(" ", name), NAME_CODE_POINTS_MAX, "names", clean_name)

    def badges(self, badges: tuple[str, ...]) -> tuple[str, ...]:
        """As many badges as are shown, each as a name."""
        return tuple(name for badge in badges[:BADGES_MAX] if (name := self.name(badge)))

    def _cleaned(self, said: str, code_points_max: int, what: str, clean: Any) -> str:
        if said.isascii() and said.isprintable() and len(said) <= code_points_max:
            return said.strip()
        plain = _NO_CHARACTERS.sub("", said[: 8 * code_points_max])
        is_cut = len(said) > 8 * code_points_max
        for length in (4 * code_points_max, code_points_max, code_points_max // 4):
            try:
                cleaned = str(clean(plain[:length], code_points_max=code_points_max))
            except MessageRejectedError as error:
                if error.reason == "empty":
                    return ""
                continue  # what is left of a text can only be too long
            if is_cut or len(plain) > length:
                self.cut[what] += 1
            return cleaned
        return ""

    def details(self, details: dict[str, Any]) -> dict[str, Any]:
        """Details that fit: the largest go first."""
        if not details:
            return {}
        kept: dict[str, Any] = _plain(details)
        is_cut = len(details) > _ITEMS_MAX
        sizes = {name: len(msgspec.json.encode((name, value))) for name, value in kept.items()}
        while sum(sizes.values()) > DETAILS_BYTES_MAX:
            largest = max(sizes, key=lambda name: sizes[name])
            del kept[largest], sizes[largest]
            is_cut = True
        if is_cut:
            self.cut["details"] += 1
        return kept


def _plain(value: Any, depth: int = 0) -> Any:
    """A value that is JSON whatever it was: no lone surrogates, no numbers out of bounds, not too deep."""
    if isinstance(value, str):
        return _NO_CHARACTERS.sub("", value[: 2 * DETAILS_BYTES_MAX])
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)[:64]
    if isinstance(value, float):
        return value if abs(value) < 1e300 else None
    if depth >= _DEPTH_MAX:
        return None
    if isinstance(value, dict):
        some = ((str(name)[:64], one) for name, one in list(value.items())[:_ITEMS_MAX])
        return {_plain(name): _plain(one, depth + 1) for name, one in some if not _is_naming(name)}
    if isinstance(value, list | tuple):
        return [_plain(one, depth + 1) for one in value[:_ITEMS_MAX]]
    return None


def _is_naming(name: str) -> bool:
    return name.lower().replace("-", "_") in _NAMING
