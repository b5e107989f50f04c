"""Names that imitate: whether one name passes for another, or for an office.

Owns: ``is_lookalike``, ``RESERVED_NAMES``. Does not know: who is who, what becomes of such a name, mixed scripts
(``chat.skeleton.is_mixed_script``). Source: Unicode Technical Standard 39, "Confusable detection"; security-and-privacy §6.

Two names pass for one another if they are the same once look-alikes, case, marks, signs and spaces are out of the way. What I, l and 1 are
depends on the letters around them, so a name has several readings, and one in common is enough. A number at the end makes no other
name: "Ms Smith 2" passes for "Ms Smith".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache

from chatsync.chat.skeleton import shaped
from chatsync.chat.text import folded

__all__ = ["RESERVED_NAMES", "is_lookalike"]

RESERVED_NAMES = (
    "admin",
    "administrator",
    "moderator",
    "mod",
    "host",
    "staff",
    "support",
    "system",
    "chatsync",
    "official",
)
"""Offices that nobody has as a name."""

_OFFICES = frozenset(
    {"admin", "administrator", "moderator"}
)  # of these, those that nobody has as part of a name either
_DIGITS = str.maketrans("034578@$€+", "oeastbaset")
_AS_I, _AS_L = str.maketrans("1!|", "iii"), str.maketrans("1!|", "lll")
# By shape: small l, capital I and the digit are one, and a capital L is none of them.
_AS_SEEN = str.maketrans({"I": "l", "1": "l", "!": "l", "|": "l", "L": "\ue000"})
_END_NUMBER = re.compile(r"[\s._#-]*\d{1,4}\W*$")
_DOUBTFUL = re.compile(r"[1!|]")  # i in one place of a name and l in another
_NO_LETTERS = re.compile(r"[\W_]+")
_PAIRS = (("rn", "m"), ("vv", "w"))


def is_lookalike(name: str, names: Collection[str], reserved: Collection[str] = RESERVED_NAMES) -> bool:
    """Whether a name passes for one of these or for an office.

    Args:
        name: as it would be shown.
        names: of hosts and moderators, as a collection; the person's own is not among them.
        reserved: names that nobody may have. They are compared more strictly: i and l are the same in them.

    Cost: linear in all names; a caller with many keeps them few.
    """
    readings = _readings(name) | _readings(_END_NUMBER.sub("", name))
    if any(readings & _known_readings(other) for other in names):
        return True
    strict_for = [*reserved, *(names if _DOUBTFUL.search(name) else ())]
    if not _strict(readings).isdisjoint(_strict(reading for other in strict_for for reading in _known_readings(other))):
        return True
    offices = _strict(reading for other in reserved if other in _OFFICES for reading in _known_readings(other))
    words = (word for word in _NO_LETTERS.split(shaped(name)) if word)
    return any(not offices.isdisjoint(_strict(_readings(word))) for word in words)


def _strict(readings: Iterable[str]) -> set[str]:
    """Readings in which i and l are the same."""
    return {reading.replace("l", "i") for reading in readings}


def _readings(name: str) -> frozenset[str]:
    """What a name may be read as: letters alone, by meaning and by shape."""
    looks = shaped(name)
    spelled = folded(looks).translate(_DIGITS)
    seen = folded(looks.translate(_AS_SEEN)).translate(_DIGITS)
    bare = {_bare(text) for text in (spelled.translate(_AS_I), spelled.translate(_AS_L), seen)}
    return frozenset(bare - {""})


_known_readings = lru_cache(maxsize=512)(_readings)  # of names that others are compared with, again and again


def _bare(text: str) -> str:
    letters = "".join(c for c in text if c.isalnum() or c == "\ue000" or unicodedata.category(c)[0] == "M")
    for pair, letter in _PAIRS:
        letters = letters.replace(pair, letter)
    return letters
