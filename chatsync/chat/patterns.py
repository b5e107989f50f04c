"""Patterns that a room's texts are searched for, in the language of RE2, which no text can keep busy.

Owns: ``Patterns``, what one pattern and all of a room may cost. Does not know: what follows from a match. Source: security-and-privacy §6;
https://github.com/google/re2/wiki/Syntax.

RE2 takes time linear in the text, and knows neither look-around nor back-references. What is left is how large a pattern becomes when
it is compiled: "(a{1,50}){1,20}" has a thousand places to be in at once. So that is bounded too, for each pattern and for all.

Patterns search two copies: the folded text, and its skeleton, in which look-alikes are Latin letters. Neither has capital letters, and
patterns do not tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import re2

from chatsync.errors import SettingsError

__all__ = ["PATTERNS_MAX", "PATTERN_BYTES_MAX", "PROGRAMS_MAX", "PROGRAM_MAX", "Patterns"]

PATTERNS_MAX = 200
PATTERN_BYTES_MAX = 1_024
PROGRAM_MAX = 2_000  # RE2's instructions of one pattern: the slowest took 25 ms for a message of 500 characters
PROGRAMS_MAX = 10_000  # of all patterns of a room
_MEMORY_BYTES_MAX = 256 * 1_024  # of each pattern, with what it learns while it searches


class Patterns:
    """The patterns of a room.

    Args:
        patterns: each as text, with the name of its list.

    Raises:
        SettingsError: there are too many, one is too long, too costly or no RE2; says which by its number in its list.
    """

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        self._compiled: list[tuple[str, str, re2._Regexp]] = []
        numbers: dict[str, int] = {}
        for text, of_list in patterns:
            numbers[of_list] = numbers.get(of_list, 0) + 1
            self._compiled.append((text, of_list, _compiled(text, f"{of_list}, pattern {numbers[of_list]}")))
        if len(self._compiled) > PATTERNS_MAX:
            raise SettingsError(f"there are {len(self._compiled)} patterns; a room has at most {PATTERNS_MAX}")
        if sum(compiled.programsize for _, _, compiled in self._compiled) > PROGRAMS_MAX:
            raise SettingsError("the patterns are too costly together: repeat less, or fewer of them")

    def found(self, *copies: str) -> Iterator[tuple[str, str]]:
        """The patterns that any of these copies of a text holds, each with the name of its list.

        Cost: each pattern over each copy, linear in its length.
        """
        encoded = [copy.encode() for copy in dict.fromkeys(copies)]
        for text, of_list, compiled in self._compiled:
            if any(compiled.search(copy) for copy in encoded):
                yield text, of_list


def _compiled(text: str, what: str) -> re2._Regexp:
    if len(text.encode()) > PATTERN_BYTES_MAX:
        raise SettingsError(f"{what} is longer than {PATTERN_BYTES_MAX} bytes")
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES_MAX
    options.log_errors = False
    options.case_sensitive = False
    options.never_capture = True
    try:
        compiled = re2.compile(text, options=options)
    except re2.error as error:
        reason = error.args[0]
        told = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        if "too large" in told:
            raise SettingsError(f"{what} is too costly: repeat less") from None
        raise SettingsError(f"{what} is no RE2: {told.partition(':')[0]}") from None  # the rest repeats the pattern
    if compiled.search(b""):
        raise SettingsError(f"{what} matches every text, an empty one too")
    if compiled.programsize > PROGRAM_MAX:
        raise SettingsError(f"{what} is too costly: repeat less")
    return compiled
