"""What a message is checked against before it is written, in one room.

Owns: ``ScreeningRules``, ``Verdict``, ``Screening`` with its memory of who said what lately. Does not know: who is exempt, what holding
means, other services (``service.external_filter``), files. Units: µs of monotonic time. Source: security-and-privacy §6.

Whoever wrote a message is told the rule, never the entry: a list that can be asked is a list that can be learned. Nothing here keeps what
was said: of a text there is only a number, for as long as the window is open.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from chatsync.chat.links import hosts_in, is_below
from chatsync.chat.patterns import Patterns
from chatsync.chat.skeleton import shaped
from chatsync.chat.text import folded
from chatsync.chat.words import Entry, Words
from chatsync.errors import SettingsError
from chatsync.instants import SECOND_US

__all__ = [
    "AUTHORS_MAX",
    "DUPLICATE_LETTERS_MIN",
    "SAID_MAX",
    "WORDS_MAX",
    "Rule",
    "Screening",
    "ScreeningRules",
    "Verdict",
]

Rule = Literal["word", "pattern", "link", "duplicate", "flood", "filter"]
Action = Literal["refuse", "hold"]

WORDS_MAX = 2_000  # of a room's own: they take 10 MB, and 0.1 s when the room is made
DUPLICATE_LETTERS_MIN = 10  # "yes" twice in a minute answers two questions
SAID_MAX = 4_096  # texts of a room that are remembered, as numbers
AUTHORS_MAX = 4_096  # people of a room whose pace is remembered
_PHRASES = re.compile("[\ufdfa\ufdfb]")  # honorifics in one character, of which folding makes eighteen
_RETRY_US = 60 * SECOND_US  # so long a message that is sent again is known for the same one


@dataclass(frozen=True, slots=True)
class ScreeningRules:
    """What holds in a room.

    Attributes:
        lists: built-in lists, each with its name.
        lists_action: what a word of theirs leads to.
        refused_words, held_words: the room's own.
        refused_patterns, held_patterns: RE2.
        link_hosts: hosts that may be linked to where links are off, and those below them.
        duplicate_window_us: how long the same text by the same person is refused; 0: never.
        flood_messages: how many messages one person may send in ``flood_window_us``; 0: any number.
    """

    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()
    lists_action: Action = "refuse"
    refused_words: tuple[str, ...] = ()
    held_words: tuple[str, ...] = ()
    refused_patterns: tuple[str, ...] = ()
    held_patterns: tuple[str, ...] = ()
    link_hosts: tuple[str, ...] = ()
    duplicate_window_us: int = 0
    flood_messages: int = 0
    flood_window_us: int = 10 * SECOND_US


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a message is not simply written.

    Attributes:
        action: whether it is refused, or held until somebody has looked.
        rule: the code its author is told.
        entry: what in the lists it was, for moderators only; None where the rule says it all.
        retry_after_us: for ``flood``, when the next one may be sent; else 0.
    """

    action: Action
    rule: Rule
    entry: str | None = None
    retry_after_us: int = 0


@dataclass(frozen=True, slots=True)
class _Compiled:
    words: Words
    patterns: Patterns
    held: frozenset[str]  # the lists that hold
    is_empty: bool


class Screening:
    """One room's screening.

    Args:
        rules: of the room.

    Raises:
        SettingsError: a word or a pattern cannot be used.
    """

    def __init__(self, rules: ScreeningRules) -> None:
        self.rules = rules
        self._compiled = _compiled(rules)
        self._is_paced = bool(rules.flood_messages or rules.duplicate_window_us)
        self._is_idle = self._compiled.is_empty and not self._is_paced
        self._said: OrderedDict[tuple[str, int], tuple[str, int]] = OrderedDict()  # (author, text) → (id, when)
        self._full_at_us: OrderedDict[str, int] = OrderedDict()  # by author; as service.limits counts

    def judge(self, text: str, author_key: str, now_us: int, *, id: str = "", links: bool = True) -> Verdict | None:  # noqa: A002
        """Look at a message; None: nothing speaks against it.

        Args:
            text: clean already (``chat.text.clean_text``).
            author_key: who says it.
            now_us: monotonic time.
            id: the sender's id of the message. The same one with the same text is a second try, and neither a duplicate nor part
                of a flood.
            links: whether the room's mode allows links.

        Cost: linear in the text for lists and links, and for each pattern.
        """
        if self._is_idle and links:
            return None
        text = _PHRASES.sub(" ", text)
        looks = shaped(text)
        copies = folded(text), folded(looks)
        if self._is_paced:
            key = (author_key, hash("".join(filter(str.isalnum, copies[1])) or copies[0]))
            is_long = sum(map(str.isalnum, copies[1])) >= DUPLICATE_LETTERS_MIN
            paced = self._paced(key, id, now_us, is_long=is_long)
            if paced is not None:
                return paced
        verdict = (
            Verdict("refuse", "link")
            if not links and self._leads_elsewhere(copies)
            else self._of_content(text, looks, copies)
        )
        if self._is_paced and (verdict is None or verdict.action == "hold"):
            self._remember(key, id, now_us)
        return verdict

    def _of_content(self, text: str, looks: str, copies: tuple[str, str]) -> Verdict | None:
        held: Verdict | None = None
        for entry in self._compiled.words.found(text, looks):
            if entry.of_list not in self._compiled.held:
                return Verdict("refuse", "word", f"{entry.of_list}: {entry.text}")
            held = held or Verdict("hold", "word", f"{entry.of_list}: {entry.text}")
        for pattern, of_list in self._compiled.patterns.found(*copies):
            if of_list not in self._compiled.held:
                return Verdict("refuse", "pattern", f"{of_list}: {pattern}")
            held = held or Verdict("hold", "pattern", f"{of_list}: {pattern}")
        return held

    def _leads_elsewhere(self, copies: tuple[str, str]) -> bool:
        """Whether there is a link to a host that is none of ``link_hosts``."""
        hosts = (host for copy in dict.fromkeys(copies) for host in hosts_in(copy))
        return not all(is_below(host, self.rules.link_hosts) for host in hosts)

    def _paced(self, key: tuple[str, int], message_id: str, now_us: int, *, is_long: bool) -> Verdict | None:
        """Whether somebody says too much, or the same again."""
        said_id, said_us = self._said.get(key, (None, 0))
        if message_id and said_id == message_id and now_us - said_us < _RETRY_US:
            return None
        wait_us = self._wait_us(key[0], now_us)
        if wait_us:
            return Verdict("refuse", "flood", retry_after_us=wait_us)
        if said_id is not None and is_long and now_us - said_us < self.rules.duplicate_window_us:
            return Verdict("refuse", "duplicate")
        return None

    def _wait_us(self, author_key: str, now_us: int) -> int:
        """Take one from a person's allowance; the time to wait if there is none left, and then nothing is taken."""
        if not self.rules.flood_messages:
            return 0
        interval_us = -(-self.rules.flood_window_us // self.rules.flood_messages)
        full_at_us = max(self._full_at_us.get(author_key, now_us), now_us) + interval_us
        wait_us = full_at_us - now_us - interval_us * self.rules.flood_messages
        if wait_us > 0:
            return wait_us
        self._full_at_us[author_key] = full_at_us
        self._full_at_us.move_to_end(author_key)
        while len(self._full_at_us) > AUTHORS_MAX or next(iter(self._full_at_us.values())) <= now_us:
            self._full_at_us.popitem(last=False)
        return 0

    def _remember(self, key: tuple[str, int], message_id: str, now_us: int) -> None:
        self._said[key] = (message_id, now_us)
        self._said.move_to_end(key)
        oldest_us = now_us - max(self.rules.duplicate_window_us, _RETRY_US)
        while len(self._said) > SAID_MAX or next(iter(self._said.values()))[1] <= oldest_us:
            self._said.popitem(last=False)

    @property
    def remembered(self) -> tuple[int, int]:
        """How many texts and how many people it remembers."""
        return len(self._said), len(self._full_at_us)


@lru_cache(maxsize=256)
def _compiled(rules: ScreeningRules) -> _Compiled:
    """The lists of a room, ready to use; rooms with the same rules share them."""
    lists = (*rules.lists, ("refused_words", rules.refused_words), ("held_words", rules.held_words))
    if (count := len(rules.refused_words) + len(rules.held_words)) > WORDS_MAX:
        raise SettingsError(f"there are {count} words in the room's own lists; at most {WORDS_MAX}")
    try:
        words = Words(Entry(word, name) for name, of_list in lists for word in of_list)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    patterns = Patterns(
        [(pattern, "refused_patterns") for pattern in rules.refused_patterns]
        + [(pattern, "held_patterns") for pattern in rules.held_patterns]
    )
    shaped("\u0430")  # the table of look-alikes takes 50 ms to load: now, and not while a room is at work
    held = {"held_words", "held_patterns"} | (
        {name for name, _ in rules.lists} if rules.lists_action == "hold" else set()
    )
    return _Compiled(
        words, patterns, frozenset(held), not (rules.lists or count or rules.refused_patterns or rules.held_patterns)
    )
