"""Values of files that others wrote, taken only as what they should be.

Owns: text, numbers, instants and what is left over, of JSON values, cells and attributes. Does not know: any format.
Units: µs. A value of the wrong type, or out of all bounds, is as if it were not there: nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from chatsync.chat.event import Role
from chatsync.instants import SECOND_US, us_from_iso

__all__ = [
    "INSTANT_US_MAX",
    "REMOVED",
    "Known",
    "clock_us",
    "instant_us",
    "mapping",
    "number",
    "rest",
    "sequence",
    "text",
    "us_of",
]

INSTANT_US_MAX = 253_402_300_800 * SECOND_US  # the year 10000: past it no calendar of ours goes
_DIGITS_MAX = 32
_ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
REMOVED = "was removed by the source"
"""Why a line is left out that somebody had hidden where it was said."""


class Known:
    """What the caller knows of a file that the file does not say.

    Args:
        local_midnight: of the day on which a file with a clock on the wall begins; with a zone.
    """

    __slots__ = ("local_midnight",)

    def __init__(self, local_midnight: datetime | None = None) -> None:
        self.local_midnight = local_midnight


def text(value: Any) -> str:
    """A string as it is, a whole number as its digits, all else empty."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def number(value: Any) -> Decimal | None:
    """A number, also one in a string; exact."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < 10**_DIGITS_MAX else None
    if isinstance(value, float):
        value = repr(value)
    if not isinstance(value, str) or len(value) > _DIGITS_MAX or "_" in value:
        return None
    try:
        found = Decimal(value.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < 10**_DIGITS_MAX else None


def us_of(value: Any, unit_us: int | Decimal) -> int | None:
    """A length or an instant in a unit, as µs; None if it is none, or out of bounds."""
    found = number(value)
    if found is None:
        return None
    us = int((found * unit_us).to_integral_value())
    return us if abs(us) < INSTANT_US_MAX else None


def instant_us(value: Any) -> int | None:
    """An ISO 8601 instant; without a zone it is UTC."""
    if not isinstance(value, str) or not 10 <= len(value) <= 40:
        return None
    try:
        found = us_from_iso(value.strip())
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < INSTANT_US_MAX else None


def clock_us(value: str) -> int | None:
    """``[-][H:]MM:SS[.fff]`` as µs; a comma stands for a point too."""
    negative = value.startswith("-")
    parts = value.lstrip("-").replace(",", ".").split(":")
    if not 2 <= len(parts) <= 3 or not all(part.replace(".", "", 1).isdigit() and part.isascii() for part in parts):
        return None
    total = Decimal(0)
    for part in parts:
        found = number(part)
        if found is None:
            return None
        total = total * 60 + found
    us = us_of(str(total), SECOND_US)
    return None if us is None else -us if negative else us


def mapping(value: Any) -> Mapping[str, Any]:
    """An object; empty if it is none."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """An array; empty if it is none."""
    return value if isinstance(value, list) else []


def rest(value: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """What an object has besides fields that are known, and that says something."""
    left = value.keys() - set(known)
    return {name: value[name] for name in value if name in left and value[name] not in (None, "", [], {})}


def role_of(value: object) -> Role:
    """A role of ours by its name; all else is a participant."""
    return _ROLES.get(value, "participant") if isinstance(value, str) else "participant"
