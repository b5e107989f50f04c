"""The reference of who may do what, made from the table that the code reads: ``python -m chatsync.service.policy_page``.

Owns: the page. Does not know: the rules (``chat.policy``), the profiles (``chat.mode``).
"""

from __future__ import annotations

from chatsync.chat.mode import PROFILES, USUAL_MODE, Mode, mode_to_wire
from chatsync.chat.policy import ACTIONS, MODES, SUBJECTS, TABLE, Action, Subject, may

__all__ = ["page"]

_HEAD = """# Who may do what

Made from the code by `python -m chatsync.service.policy_page`; a test keeps it in step. How to use it is in [rooms.md](rooms.md).

A cell says when: **yes**, always; a value of `write`, from that mode on (`everyone` lets in more than `participants`, that more than `hosts`, that more than `nobody`);
a part of the mode, while it is on; empty, never. A guest writes only where the room has `guests = "write"` as well. Every command asks again.
What an analyst may `export` and `query` are airings in which at least `analysts_people_min` people wrote (5, by the room's [settings](settings.md#rooms)).
"""


def page() -> str:
    """The whole page, Markdown."""
    rows = [f"| `{action}` | {' | '.join(_cell(subject, action) for subject in SUBJECTS)} |" for action in ACTIONS]
    names = [*Mode.__struct_fields__]
    profiles = [
        f"| `{name}` | {' | '.join(_told(getattr(PROFILES[profile].mode, name), fixed=name in PROFILES[profile].fixed) for profile in PROFILES)} |"
        for name in names
    ]
    others = [
        f"| {what} | {' | '.join(_plain(getattr(PROFILES[profile], name)) for profile in PROFILES)} |"
        for what, name in (
            ("names are numbers", "numbered_names"),
            ("guests", "guests"),
            ("list of those present", "participants"),
            ("kept at most, days", "retention_days_max"),
        )
    ]
    return "\n".join(
        [
            _HEAD,
            f"| | {' | '.join(SUBJECTS)} |",
            f"|---|{'---|' * len(SUBJECTS)}",
            *rows,
            "",
            "## Profiles",
            "",
            "The mode a room starts in; **bold** is what nobody can change.",
            "",
            f"| | {' | '.join(f'`{profile}`' for profile in PROFILES)} |",
            f"|---|{'---|' * len(PROFILES)}",
            *profiles,
            *others,
            "",
        ]
    )


def _cell(subject: Subject, action: Action) -> str:
    """When a subject may do something."""
    rule = TABLE[action]
    if subject not in rule.subjects:
        return ""
    words: list[str] = []
    if rule.is_writing:
        words.append(next(write for write in reversed(MODES) if may(subject, action, _mode(write=write))))
    if rule.part is not None and not may(subject, action, _mode(write="everyone", without=rule.part)):
        words.append(rule.part)
    return ", ".join(f"`{word}`" for word in words) or "yes"


def _mode(*, write: str, without: str | None = None) -> Mode:
    parts = mode_to_wire(USUAL_MODE) | {"private": True, "replies": ("yes",), "write": write}
    if without is not None:
        parts[without] = () if without == "replies" else False
    return Mode(**parts)


def _plain(value: object) -> str:
    words = {True: "yes", False: "no", None: "as the node says"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _told(value: object, *, fixed: bool) -> str:
    told = {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value or "none")
    return f"**{told}**" if fixed else told


if __name__ == "__main__":
    print(page(), end="")
