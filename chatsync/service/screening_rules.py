"""From a room's settings to the rules its messages are screened by: built-in lists are read here.

Owns: where the lists lie (``chatsync/chat/word_lists``). Does not know: how anything is found (``chat.screening``).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from chatsync.chat.screening import ScreeningRules
from chatsync.chat.words import words_of_list
from chatsync.instants import SECOND_US
from chatsync.service.room_settings import Language, RoomSettings

__all__ = ["built_in_words", "rules_of"]


def rules_of(room: RoomSettings) -> ScreeningRules:
    """The rules of a room. Reads the built-in lists it uses, each once."""
    settings = room.screening
    return ScreeningRules(
        lists=tuple((language, built_in_words(language)) for language in sorted(set(room.word_lists))),
        lists_action=settings.languages_action,
        refused_words=settings.refused_words,
        held_words=settings.held_words,
        refused_patterns=settings.refused_patterns,
        held_patterns=settings.held_patterns,
        link_hosts=settings.link_hosts,
        duplicate_window_us=settings.duplicate_window_s * SECOND_US,
        flood_messages=settings.flood_messages,
        flood_window_us=settings.flood_window_s * SECOND_US,
    )


@cache
def built_in_words(language: Language) -> tuple[str, ...]:
    """The entries of a built-in list."""
    return words_of_list((files("chatsync") / "chat" / "word_lists" / f"{language}.txt").read_text("utf-8"))
