"""What a room is by its profile, and what of it may be set otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from chatsync.chat.mode import Mode
from chatsync.service.room_settings import LANGUAGES, RoomSettings, ScreeningSettings

EFFECTIVE: dict[str, tuple[Any, ...]] = {
    # names are numbers, guests (public, private), who sees those present, kept of 365 days and for ever, fixed, lists of words
    "open": (False, "read", "none", "everyone", 365, "forever", set(), ()),
    "public-event": (False, "read", "none", "staff", 365, "forever", set(), ()),
    "classroom": (False, "read", "none", "everyone", 365, "forever", set(), ()),
    "minors": (True, None, "none", "nobody", 90, 90, {"approval", "links", "private"}, LANGUAGES),
}
MODES = {
    "open": Mode(),
    "public-event": Mode(write="everyone", slow_ms=3_000, links=False),
    "classroom": Mode(),
    "minors": Mode(approval=True, links=False),
}


@pytest.mark.parametrize("profile", EFFECTIVE)
def test_a_room_that_says_nothing_else_is_what_its_profile_says(profile: Any) -> None:
    """Each setting as it takes effect; a room of minors cannot be public at all."""
    private = RoomSettings(profile=profile)
    public = None if profile == "minors" else RoomSettings(profile=profile, public=True)
    assert EFFECTIVE[profile] == (
        private.has_numbered_names,
        None if public is None else public.guest_access,
        private.guest_access,
        private.participant_list,
        private.kept_days(365),
        private.kept_days("forever"),
        set(private.fixed_parts),
        private.word_lists,
    )
    assert MODES[profile] == private.start_mode
    assert (False, ()) == (private.public, private.screening.refused_words)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"names": "as_given"}, "shown as numbers"),
        ({"public": True}, "is not public"),
        ({"guests": "read"}, "has no guests"),
        ({"participants": "everyone"}, "those present"),
        ({"retention_days": 91}, "at most 90 days"),
        ({"retention_days": "forever"}, "at most 90 days"),
        ({"mode": {"approval": False}}, "keeps approval"),
        ({"mode": {"links": True}}, "keeps links"),
        ({"mode": {"private": True}}, "keeps private"),
    ],
)
def test_what_a_room_of_minors_may_not_be_is_refused_with_the_reason(given: dict[str, Any], reason: str) -> None:
    """Whoever asks for it learns it at the start, not from a parent."""
    with pytest.raises(ValidationError, match=reason):
        RoomSettings(profile="minors", **given)


def test_lists_of_words_may_be_named_or_left_out() -> None:
    """Of whatever profile; an empty list is a list too."""
    assert ("de",) == RoomSettings(profile="minors", screening=ScreeningSettings(languages=("de",))).word_lists
    assert () == RoomSettings(profile="minors", screening=ScreeningSettings(languages=())).word_lists
    assert ("en",) == RoomSettings(screening=ScreeningSettings(languages=("en",))).word_lists
