"""From settings to rules, and the built-in lists that travel with the package."""

from __future__ import annotations

from chatsync.chat.screening import Screening, ScreeningRules
from chatsync.instants import SECOND_US
from chatsync.service.room_settings import RoomSettings, ScreeningSettings
from chatsync.service.screening_rules import built_in_words, rules_of


def test_settings_say_nothing_by_default() -> None:
    """A room that has set nothing is not screened."""
    assert ScreeningRules() == rules_of(RoomSettings())


def test_every_rule_is_set() -> None:
    """What the settings say in seconds the rules know in microseconds; lists come with their words, each once."""
    settings = ScreeningSettings(
        languages=("fr", "en", "fr"),
        languages_action="hold",
        refused_words=("spam",),
        held_words=("exam",),
        refused_patterns=("a+b",),
        held_patterns=("c",),
        link_hosts=("School.example",),
        duplicate_window_s=30,
        flood_messages=5,
        flood_window_s=7,
    )

    assert ScreeningRules(
        lists=(("en", built_in_words("en")), ("fr", built_in_words("fr"))),
        lists_action="hold",
        refused_words=("spam",),
        held_words=("exam",),
        refused_patterns=("a+b",),
        held_patterns=("c",),
        link_hosts=("school.example",),
        duplicate_window_us=30 * SECOND_US,
        flood_messages=5,
        flood_window_us=7 * SECOND_US,
    ) == rules_of(RoomSettings(screening=settings))


def test_all_lists_together_screen_a_room() -> None:
    """Each language's list is there and works beside the others, as a room of minors has them."""
    room = Screening(rules_of(RoomSettings(profile="minors")))
    said = ["sh1t", "Scheiße", "putain", "mierda", "شرموطة", "Dickens in Scunthorpe"]

    assert ["en", "de", "fr", "es", "ar", None] == [
        None if verdict is None else str(verdict.entry).partition(":")[0]
        for verdict in (room.judge(text, "ann", 0) for text in said)
    ]
