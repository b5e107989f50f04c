"""What a text looks like: letters that look alike become one letter, so that a disguised word or name can be compared.

Owns: ``shaped`` (look-alikes to Latin letters, marks off, case kept), ``skeleton`` (the same, case folded), ``unmarked`` (the folded copy
without marks), ``is_mixed_script``. Does not know: words, names, digits and signs that stand for letters (``chat.words``).
Source: Unicode Technical Standard 39 (skeletons, mixed scripts). Its table of look-alikes comes with the library
confusable-homoglyphs; what it lacks (letters with strokes, small capitals, squared letters) is told by the names of characters.

In a text that is plainly Greek, Cyrillic or Armenian, words of that script are words and no disguise: "вот это" is not "bot". That a
text is so is shown by a letter that looks like no Latin one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from chatsync.chat.text import folded, without_invisible

__all__ = ["is_mixed_script", "script_of", "shaped", "skeleton", "unmarked"]

# Signs that are drawn over or under a letter, by canonical combining class: overlays, points of Hebrew and Arabic, accents. Those
# between are parts of letters in the scripts of India, of Thai, Lao and Tibetan, and of kana.
_OVERLAY, _POINTS, _ACCENTS_FROM = 1, range(10, 36), 200
_KNOWN_MAX = (
    20_000  # characters of which a table remembers what it found out; nobody's texts have so many different ones
)

_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_NAMED_LETTER = re.compile(
    r"(?:LATIN (?:SMALL |CAPITAL )?LETTER |NEGATIVE (?:SQUARED|CIRCLED) LATIN (?:CAPITAL|SMALL) LETTER |REGIONAL INDICATOR SYMBOL LETTER )"
    r"(?:SMALL CAPITAL |REVERSED |SCRIPT |INVERTED |LONG |DOTLESS |BARRED )*(?P<letters>[A-Z]|AE|OE)(?: BAR| WITH .*)?"
)

# Scripts with so many look-alikes of Latin letters that whole words of theirs could be taken for disguises.
_LIVING = {
    "GREEK": "\u0370-\u03ff\u1f00-\u1fff",
    "CYRILLIC": "\u0400-\u052f\u1c80-\u1c8f\ua640-\ua69f",
    "ARMENIAN": "\u0531-\u0556\u0561-\u0587",
}
_LIVING_WORDS = {script: re.compile(rf"(?<![^\W\d_])[{letters}]+(?![^\W\d_])") for script, letters in _LIVING.items()}

# Letters of one script that keyboards of neighbours mix.
_NEIGHBOURS = {
    "ى": "ي",
    "ی": "ي",
    "ک": "ك",
    "ة": "ه",
    "ہ": "ه",
    "ە": "ه",
    "ٱ": "ا",
    "ـ": "",
}  # the last only makes words longer
# What Unicode's table takes for nothing or for small capitals only, and people all the same use for these letters.
_PASSES_FOR = {
    **dict(zip("кКκіІıηҒғʄ", "kKkiIinFff", strict=True)),
    **dict(zip("яЯцЦшШщпПџЏђћєЄѳф", "rRuUwWwnNuUhheEoo", strict=True)),
    **dict(zip("λΛΣσςεωμβτθΘδπψξφ", "aAEosewubtoOdnyeo", strict=True)),
    **dict(zip("ʍɐɹʇəɘɛɔĸ", "marteeeok", strict=True)),
    **dict(zip("ᑕᏁᏌ", "CNU", strict=True)),
}
_CERTAIN = frozenset("кКκіІıη")  # of these, those that nobody tells from the Latin letter at a glance
_TELLTALE = frozenset("ѕһԁԛԝӏԍ")  # Cyrillic letters that are written far more often to look Latin than for a language
_AS_THEY_ARE = frozenset({"ARABIC", "HANGUL", "CJK"})  # no letter of theirs passes for a Latin one within a word
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "HALFWIDTH"})
_OF_NO_SCRIPT = frozenset({"", "MODIFIER", "FEMININE", "MASCULINE", "MICRO"})
_STYLES_OF_LATIN = frozenset({"FULLWIDTH", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER"})


def shaped(text: str) -> str:
    """The text with look-alikes as the Latin letters and digits they look like, without marks; case, signs and spaces stay.

    Cost: linear; for ASCII nothing.
    """
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text).translate(_BARE)
    looks = letters.translate(_LOOKS)
    native = [word for script, word in _LIVING_WORDS.items() if looks != letters and _is_evident(script, letters)]
    if native:
        looks = _with_words_kept(letters, native)
    return unicodedata.normalize("NFC", looks)


def skeleton(text: str) -> str:
    """The copy in which texts that look the same are the same: ``shaped``, then ``folded``."""
    return folded(shaped(text))


def unmarked(text: str) -> str:
    """``folded`` without accents, points and strokes across letters, every letter in its own script."""
    if text.isascii():
        return folded(text)
    return folded(unicodedata.normalize("NFC", unicodedata.normalize("NFKD", folded(text)).translate(_BARE)))


def is_mixed_script(name: str) -> bool:
    """Whether a word of the name takes its letters from scripts that are not written together.

    Japanese mixes Han, kana and Latin, Korean Hangul, Han and Latin: they may. "Анна (Anna)" may too, "Аnna" may not.
    """
    if name.isascii():
        return False
    return any(len(_scripts(found[0])) > 1 for found in _WORD.finditer(without_invisible(name)))


def script_of(character: str) -> str:
    """The script of a letter as its Unicode name begins, such as ``LATIN`` or ``CYRILLIC``; empty for what is no letter."""
    if not character.isalpha():
        return ""
    first = unicodedata.name(character, "").partition(" ")[0]
    return "LATIN" if first in _STYLES_OF_LATIN else first


def _scripts(word: str) -> set[str]:
    scripts = {script_of(character) for character in word} - _OF_NO_SCRIPT
    return (scripts - _EAST_ASIAN - {"LATIN"}) | {"CJK"} if scripts & _EAST_ASIAN else scripts


def _is_evident(script: str, letters: str) -> bool:
    """Whether the text is plainly of that script.

    So it is with a word of it that has a letter like no Latin one. Without any Latin letter in the text, a letter that is only somewhat
    like one will do, unless another is there to deceive.
    """
    words = " ".join(_LIVING_WORDS[script].findall(letters))
    if not words:
        return False
    unlike, somewhat = _evidence(script)
    if not unlike.isdisjoint(words):
        return True
    return not somewhat.isdisjoint(words) and _TELLTALE.isdisjoint(words) and _LATIN.search(letters) is None


@cache
def _evidence(script: str) -> tuple[frozenset[str], frozenset[str]]:
    """Letters of a script that look like no Latin one, and those that do only by way of small capitals or with good will."""
    of_script = re.compile(f"[{_LIVING[script]}]")
    letters = [c for c in map(chr, range(0x370, 0xA6A0)) if of_script.match(c) and c.isalpha()]
    unlike = frozenset(letter for letter in letters if _look(letter) == letter)
    return unlike, frozenset(letter for letter in letters if not _is_certain(letter)) - unlike


def _with_words_kept(letters: str, native: list[re.Pattern[str]]) -> str:
    """Look-alikes as what they look like, but for words of scripts that the text is in."""
    kept = sorted(found.span() for words in native for found in words.finditer(letters))
    parts, at = [], 0
    for start, end in kept:
        parts += [letters[at:start].translate(_LOOKS), letters[start:end]]
        at = end
    return "".join([*parts, letters[at:].translate(_LOOKS)])


class _Table(dict[int, str]):
    """What becomes of a character, found out once."""

    def __init__(self, become: Callable[[str], str]) -> None:
        super().__init__()
        self._become = become

    def __missing__(self, code: int) -> str:
        become = self._become(chr(code))
        if len(self) < _KNOWN_MAX:
            self[code] = become
        return become


def _bare(character: str) -> str:
    """Nothing of a mark or of what has no shape; else the character."""
    category, combining = unicodedata.category(character), unicodedata.combining(character)
    is_drawn_over = combining == _OVERLAY or combining in _POINTS or combining >= _ACCENTS_FROM
    return "" if category == "Me" or (category == "Mn" and is_drawn_over) else without_invisible(character)


def _look(character: str) -> str:
    """What a single character looks like, in Latin letters and digits; itself if like none of them."""
    if character.isascii():
        return character
    if character in _NEIGHBOURS:
        return _NEIGHBOURS[character]
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return _PASSES_FOR.get(character) or _named(character) or _of_table(character) or character


_BARE, _LOOKS = _Table(_bare), _Table(_look)


def _is_certain(character: str) -> bool:
    """Whether it looks just like a Latin letter, and not only by way of small capitals."""
    if character in _PASSES_FOR:
        return character in _CERTAIN
    return _of_table(character, through_small_capitals=False) != ""


def _named(character: str) -> str:
    found = _NAMED_LETTER.fullmatch(unicodedata.name(character, ""))
    return "" if found is None else found["letters"] if character.isupper() else found["letters"].lower()


def _of_table(character: str, *, through_small_capitals: bool = True) -> str:
    """What Unicode's table of look-alikes says, if that is Latin letters and digits; else nothing."""
    if script_of(character) in _AS_THEY_ARE:
        return ""
    for look in _unicode_looks(character):
        bare = unicodedata.normalize("NFKD", look).translate(_BARE)
        if through_small_capitals:
            bare = "".join(c if c.isascii() else _PASSES_FOR.get(c) or _named(c) or c for c in bare)
        if bare.isascii() and bare.isalnum():
            # The table takes I, l and 1 for one shape; what is a capital letter in its script is our capital one.
            return "I" if bare == "l" and character.isupper() else bare
    return ""


def _unicode_looks(character: str) -> list[str]:
    from confusable_homoglyphs import confusables  # noqa: PLC0415 - 10 MB of tables, for whoever screens only

    found = confusables.is_confusable(character, greedy=True)
    return [look["c"] for look in found[0]["homoglyphs"]] if found else []
