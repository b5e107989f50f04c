"""How a room talks right now: a mode, which a host changes by parts, and what a profile does not let anyone change.

Owns: ``Mode``, the parts of it, and the profiles ``public-event``, ``classroom`` and ``minors``. Does not know: who may do what in a
mode (``chat.policy``), clocks, settings files. Units: ``slow_ms`` is ms between two utterances of one person.
Source: contract §1 (mode), §5 (``act`` mode); security-and-privacy §8 (profiles).

Ways to talk are parts that combine: chat beside questions is ``messages`` and ``questions``; questions alone is the second without the
first; announcements only is ``write: "hosts"``; reactions and predefined replies only is ``replies`` without ``messages``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from chatsync.errors import MessageRejectedError

__all__ = [
    "PROFILES",
    "REPLIES_MAX",
    "REPLY_CODE_POINTS_MAX",
    "SLOW_MS_MAX",
    "USUAL_MODE",
    "Mode",
    "Profile",
    "ProfileName",
    "WriteMode",
    "changed_mode",
    "mode_to_wire",
]

WriteMode = Literal["everyone", "participants", "hosts", "nobody"]
ProfileName = Literal["open", "public-event", "classroom", "minors"]

SLOW_MS_MAX = 3_600_000  # an hour between two messages of one person is a closed room in all but name
REPLIES_MAX = 20
REPLY_CODE_POINTS_MAX = 60


class Mode(msgspec.Struct, frozen=True, gc=False):
    """How people may talk. Staff may in every mode but ``nobody``, which is for a room that is closed: then only hosts announce."""

    write: WriteMode = "participants"  # who may write at all
    slow_ms: int = 0  # between two utterances of one person; 0: no bound but the usual one
    approval: bool = False  # what is not by staff is held until somebody approves it
    messages: bool = True  # free text
    questions: bool = True
    reactions: bool = True
    hands: bool = True
    links: bool = True
    private: bool = False  # messages to the hosts, which moderators see too
    replies: tuple[str, ...] = ()  # predefined texts that may be sent though free text may not


USUAL_MODE = Mode()
"""How a room talks that says nothing of it."""


class Profile(msgspec.Struct, frozen=True):
    """What kind of room it is: how it starts, and what stays as it is whoever wants it otherwise.

    Attributes:
        mode: how the room starts.
        fixed: parts of the mode that nobody can change.
        numbered_names: whether names are "Student 5".
        retention_days_max: what was said is kept no longer; None: no bound by the profile.
        guests: what somebody without a token may do.
        participants: who may see the list of those present.
        word_lists: whether texts are screened by the built-in lists of words.
    """

    mode: Mode = Mode()
    fixed: frozenset[str] = frozenset()
    numbered_names: bool = False
    retention_days_max: int | None = None
    guests: Literal["none", "read", "write"] = "read"
    participants: Literal["everyone", "staff", "nobody"] = "staff"
    word_lists: bool = False


PROFILES: dict[ProfileName, Profile] = {
    "open": Profile(participants="everyone"),
    "public-event": Profile(mode=Mode(write="everyone", slow_ms=3_000, links=False)),
    "classroom": Profile(participants="everyone"),
    "minors": Profile(
        mode=Mode(approval=True, links=False),
        fixed=frozenset({"approval", "links", "private"}),
        numbered_names=True,
        retention_days_max=90,
        guests="none",
        participants="nobody",
        word_lists=True,
    ),
}
"""By name; ``open`` is what a room is that names none."""


def changed_mode(mode: Mode, parts: Mapping[str, Any], fixed: frozenset[str] = frozenset()) -> Mode:
    """The mode after some of its parts were set.

    Args:
        mode: as it is.
        parts: by name, of a host's ``mode`` act; unknown names are refused, since a host who closes a door must not believe it closed.
        fixed: names the room's profile keeps as they are.

    Raises:
        MessageRejectedError: ``bad_mode`` (no such part, or not a value of it), ``fixed_by_profile``.
    """
    if not parts:
        raise MessageRejectedError("bad_mode", "Name at least one part of the mode.")
    unknown = parts.keys() - set(Mode.__struct_fields__)
    if unknown:
        raise MessageRejectedError(
            "bad_mode", f"A mode has no part of that name; it has {', '.join(Mode.__struct_fields__)}."
        )
    try:
        changed = msgspec.convert(msgspec.to_builtins(mode) | dict(parts), Mode)
    except msgspec.ValidationError as error:
        raise MessageRejectedError("bad_mode", f"{error}.") from None
    if not 0 <= changed.slow_ms <= SLOW_MS_MAX:
        raise MessageRejectedError("bad_mode", f"slow_ms is 0 to {SLOW_MS_MAX}.")
    if len(changed.replies) > REPLIES_MAX or any(not 0 < len(one) <= REPLY_CODE_POINTS_MAX for one in changed.replies):
        raise MessageRejectedError(
            "bad_mode", f"At most {REPLIES_MAX} replies of 1 to {REPLY_CODE_POINTS_MAX} characters."
        )
    held = sorted(name for name in fixed if getattr(changed, name) != getattr(mode, name))
    if held:
        raise MessageRejectedError("fixed_by_profile", f"The room's profile keeps {', '.join(held)} as it is.")
    return changed


def mode_to_wire(mode: Mode) -> dict[str, Any]:
    """The mode as JSON values, every part of it."""
    wire: dict[str, Any] = msgspec.to_builtins(mode)
    return wire
