"""Lists of words, and whether a text holds one of them, also disguised.

Owns: the form of an entry, ``Words`` (all entries of a room, looked for in one pass), the text of a list. Does not know: what follows
from a word found, patterns, where lists are kept. Source: security-and-privacy §6; Aho and Corasick, "Efficient string matching" (1975).

An entry is a word or some words. It is found where they stand as whole words; a ``*`` at its begin or end says that the word may go
on there: ``fuck*`` finds "fucking". Accents and case do not matter. Neither does, by the steps below, how it is disguised:

- look-alike letters are read as what they look like (``chat.skeleton``), once beside the text as it is;
- signs and digits are read as letters they stand for ("sh1t", "a$$"), as long as letters are at least half of what is found;
- signs within a word are left out ("f.u.c.k"), three or more single letters are joined ("f u c k"), and one ``*`` or ``#`` may stand for
  a letter if three are left ("f*ck");
- a letter three or more times counts as often as the entry has it ("fuuuck"), since no language needs that;
- a text with controls of direction is also read from its end.

For speed a text is compared in two stages. The automaton runs over a coarse copy, in which letters that one sign may stand for are one
and each run is a single character. What it finds is compared letter by letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import ahocorasick

from chatsync.chat.skeleton import shaped, unmarked
from chatsync.chat.text import folded

__all__ = ["ENTRY_CODE_POINTS_MAX", "Entry", "Words", "words_of_list"]

ENTRY_CODE_POINTS_MAX = 64

# What a sign or digit may stand for. A letter stands for itself.
_STANDS_FOR = {
    **dict(zip("034579826", "oeastgbzg", strict=True)),
    "1": "il",
    "!": "il",
    "|": "il",
    "¡": "i",
    "@": "a",
    "$": "s",
    "§": "s",
    "+": "t",
    "†": "t",
    "€": "e",
    "£": "l",
    "¢": "c",
    "©": "c",
    "®": "r",
    "v": "u",
}
_SIGNS = frozenset(sign for sign in _STANDS_FOR if not sign.isalnum())
_CLOSING = frozenset("!|")  # at the end of a word they end a sentence or a line of a table
_MASKS = re.compile(r"(?<=\w)[*#%&](?=\w)")
_MASK = "*"
_LETTERS_LEFT_MIN = 3

_COARSE = str.maketrans({sign: letters[0] for sign, letters in _STANDS_FOR.items()} | {"l": "i"})
_RUN = re.compile(r"(.)\1*", re.DOTALL)
_NO_WORD = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})
_TURNS = frozenset("\u061c\u200f\u202b\u202d\u202e\u2067\u2068")  # controls that can show a text in another order
_DOUBTFUL = (re.compile(r"(?<=[a-z])I(?=[a-z])"), re.compile(r"(?<=[A-Z])l(?=[A-Z])"))  # sIut, SHlT
_DIGRAPHS = (("ph", "f"), ("vv", "w"))
_ADDED = frozenset("iuam")  # letters that people add to a word they have spaced out: "I f u c k u"
_SPACED_MIN = 3

# Scripts that leave no space between words.
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list.

    Attributes:
        text: as somebody wrote it, with its ``*``.
        of_list: which list it is in, such as ``refused_words`` or ``en``.

    Raises:
        ValueError: it is too long, or too short to mean anything.
    """

    text: str
    of_list: str = ""

    def __post_init__(self) -> None:
        bare = self.bare
        if len(self.text) > ENTRY_CODE_POINTS_MAX:
            raise ValueError(f"a word of a list has at most {ENTRY_CODE_POINTS_MAX} characters")
        if len(bare) < 2 and not _SPACELESS.match(bare):
            raise ValueError("a word of a list has at least two letters or digits")

    @property
    def bare(self) -> str:
        """The folded words alone."""
        return _spelled(_separated(unmarked(self.text)))

    @property
    def forms(self) -> frozenset[str]:
        """As which it is looked for: as it is, and as it looks."""
        return frozenset({self.bare, _spelled(_separated(folded(shaped(self.text))))})

    @property
    def goes_on_before(self) -> bool:
        """Whether the word may begin earlier."""
        return self.text.lstrip().startswith("*")

    @property
    def goes_on_after(self) -> bool:
        """Whether the word may end later."""
        return self.text.rstrip().endswith("*")


@dataclass(frozen=True, slots=True)
class _Sought:
    """A form of an entry, in runs of letters of one coarse class; a run ``*`` stands for a letter that is hidden."""

    entry: Entry
    runs: tuple[str, ...]

    def is_at(self, copy: _Copy, first: int) -> bool:
        """Whether it stands in the copy from this run on."""
        entry, last = self.entry, len(self.runs) - 1
        found: list[tuple[str, str]] = []
        for index, want in enumerate(self.runs):
            have = copy.run(first + index)
            if index == 0 and entry.goes_on_before:
                have = have[-len(want) :]
            if index == last and entry.goes_on_after:
                have = have[: len(want)]
            if not _fits(have, want):
                return False
            found.append((have, want))
        return _is_legible(found) and self._is_whole(copy, first)

    def _is_whole(self, copy: _Copy, first: int) -> bool:
        """Whether no word goes on before or after it, unless it may."""
        begin, end = copy.spans[first][0], copy.spans[first + len(self.runs) - 1][1]
        may_begin = self.entry.goes_on_before or _is_border(copy.fine[:begin][-1:], self.runs[0][0])
        return may_begin and (self.entry.goes_on_after or _is_border(copy.fine[end : end + 1], self.runs[-1][-1]))


class _Copy:
    """A reading of a text: words between single spaces, and its runs."""

    __slots__ = ("coarse", "fine", "spans")

    def __init__(self, fine: str) -> None:
        self.fine = fine
        coarse = fine.translate(_COARSE)
        self.spans = [found.span() for found in _RUN.finditer(coarse)]
        self.coarse = "".join([coarse[start] for start, _ in self.spans])

    def run(self, index: int) -> str:
        """The letters of a run as the text has them."""
        start, end = self.spans[index]
        return self.fine[start:end]


class Words:
    """All entries of a room, looked for together.

    Args:
        entries: of all its lists; the same word in two lists is two entries.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._automaton = ahocorasick.Automaton()
        sought: dict[str, list[_Sought]] = {}
        for entry in entries:
            for form in entry.forms - {""}:
                copy = _Copy(form)
                plain = _Sought(entry, tuple(map(copy.run, range(len(copy.spans)))))
                for one in (plain, *_masked(plain)):
                    sought.setdefault("".join(run[0].translate(_COARSE) for run in one.runs), []).append(one)
        for key, of_key in sought.items():
            self._automaton.add_word(key, (len(key), of_key))
        self._is_empty = not sought
        if sought:
            self._automaton.make_automaton()

    def found(self, text: str, looks: str | None = None) -> Iterator[Entry]:
        """The entries that a text holds, each perhaps more than once.

        Args:
            text: as somebody wrote it, not folded.
            looks: the same, ``shaped``, where that is known already.

        Cost: linear in the text, and what the automaton finds.
        """
        if self._is_empty:
            return
        for copy in _readings(text, shaped(text) if looks is None else looks):
            for last, (length, of_key) in self._automaton.iter(copy.coarse):
                for sought in of_key:
                    if sought.is_at(copy, last - length + 1):
                        yield sought.entry


def words_of_list(text: str) -> tuple[str, ...]:
    """The entries of a list in a file: one a line, ``#`` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _readings(text: str, looks: str) -> Iterator[_Copy]:
    """Every way in which a text is read, each once."""
    for doubtful in _DOUBTFUL:
        looks = doubtful.sub("|", looks)
    read: set[str] = set()
    for base in {unmarked(text), folded(looks)}:
        readings = [_separated(base), _joined(base)]
        if _MASKS.search(base):
            readings.append(_joined(_MASKS.sub(_MASK, base), keep=_MASK))
        if not _TURNS.isdisjoint(text):
            readings += [reading[::-1] for reading in readings]
        for reading in readings:
            spelled = _spelled(reading)
            if spelled and spelled not in read:
                read.add(spelled)
                yield _Copy(spelled)


def _separated(text: str) -> str:
    """The words alone: everything else is a space, and never two."""
    if text.isascii():
        return " ".join(text.translate(_NO_WORD).split())
    return " ".join("".join(c if _is_of_word(c) else " " for c in text).split())


def _joined(text: str, keep: str = "") -> str:
    """Each stretch between spaces as one word, signs that stand for letters kept; single letters joined."""
    chunks = [chunk if chunk.isalnum() else _joined_chunk(chunk, keep) for chunk in text.split(" ")]
    words: list[str] = []
    letters: list[str] = []
    for chunk in [*filter(None, chunks), ""]:
        if chunk and chunk == chunk[0] * len(chunk):  # "ff uu cc kk" too
            letters.append(chunk)
            continue
        words += _spaced_out(letters)
        letters = []
        if chunk:
            words.append(chunk)
    return " ".join(words)


def _spaced_out(letters: list[str]) -> list[str]:
    if len(letters) < _SPACED_MIN:
        return letters
    word = "".join(letter[0] for letter in letters)
    first, last = int(word[0] in _ADDED), len(word) - int(word[-1] in _ADDED)
    alone = [word[first:], word[:last], word[first:last]]
    return list(dict.fromkeys([word, *alone]))


def _joined_chunk(chunk: str, keep: str) -> str:
    end = len(chunk)
    while end and not _is_of_word(chunk[end - 1]) and (chunk[end - 1] in _CLOSING or chunk[end - 1] not in _SIGNS):
        end -= 1
    return "".join(c for c in chunk[:end] if _is_of_word(c) or c in _SIGNS or c == keep)


def _spelled(text: str) -> str:
    for digraph, letter in _DIGRAPHS:
        text = text.replace(digraph, letter)
    return text


def _masked(plain: _Sought) -> Iterator[_Sought]:
    """The forms in which a mask hides a letter within, if three are left."""
    runs = plain.runs
    if " " in runs or sum(map(len, runs)) <= _LETTERS_LEFT_MIN:
        return
    for index in range(1, len(runs) - 1):
        if len(runs[index]) == 1:
            yield _Sought(plain.entry, (*runs[:index], _MASK, *runs[index + 1 :]))


def _fits(have: str, want: str) -> bool:
    """Whether a run of the text can be read as a run of an entry."""
    if len(have) == len(want):
        return all(map(_can_be, have, want))
    if len(have) > max(len(want), 2):
        return all(any(_can_be(sign, letter) for letter in want) for sign in have)
    return False


def _can_be(sign: str, letter: str) -> bool:
    return sign == letter or letter in _STANDS_FOR.get(sign, "")


def _is_legible(found: list[tuple[str, str]]) -> bool:
    """Whether there is something to read in it, and digits stand for no more than half: 455 is a number, !!! no word."""
    stand_in = sum(min(len(want), _digits(have)) for have, want in found if not _digits(want))
    letters = sum(len(want) for _, want in found)
    return 2 * stand_in <= letters and any(have == want or have[0].isalpha() or have[0] in "@$" for have, want in found)


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _is_border(neighbour: str, edge: str) -> bool:
    """Whether a word can begin or end between these two characters."""
    if not neighbour or _SPACELESS.match(edge):
        return True
    if neighbour.isdigit():
        return not edge.isdigit()
    return not _is_of_word(neighbour)


def _is_of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"
