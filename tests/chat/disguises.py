"""Ways in which people hide a word from a filter, or write a name so that it passes for another.

Owns: tables of look-alikes picked by eye, apart from those of the product; ``disguised``, every way of one word. Does not know: what is
found. The same seed gives the same disguises.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

LATIN = "abcdefghijklmnopqrstuvwxyz"
CYRILLIC = dict(zip("aceiopsxyhkdnutmABCEHIKMOPSTXYJ", "асеіорѕхуһкԁпцтмАВСЕНІКМОРЅТХУЈ", strict=True))
GREEK = dict(zip("aeioukvptnABEHIKMNOPTXYZ", "αειουκνρτηΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True))
ARMENIAN = dict(zip("hnou", "հոօս", strict=True))
CHEROKEE = dict(zip("abcdeghiklmprstvz", "ꭺᏴꮯꭰꭼꮐꮋꭵꮶꮮꮇꮲꭱꮪꭲꮩꮓ", strict=True))
SMALL_CAPITALS = dict(zip("abcdefghijklmnoprstuvwz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡᴢ", strict=True))
ACCENTED = dict(zip("aceghilnorstuz", "áçèğħïłñöřšţûž", strict=True))
STROKES = dict(zip("bdhiltou", "ƀđħɨłŧøʉ", strict=True))
LEET_DIGITS = dict(zip("aeiost", "431057", strict=True))
LEET_SIGNS = dict(zip("aiste", "@!$+€", strict=True))
FULL_WIDTH = {letter: chr(0xFF41 + index) for index, letter in enumerate(LATIN)}
MATHEMATICAL = [
    {letter: chr(first + index) for index, letter in enumerate(LATIN)}
    for first in (0x1D41A, 0x1D482, 0x1D4EA, 0x1D586, 0x1D5BA, 0x1D5EE, 0x1D622, 0x1D656, 0x1D68A, 0x1D552)
]
CIRCLED = {letter: chr(0x24D0 + index) for index, letter in enumerate(LATIN)}
IN_BRACKETS = {letter: chr(0x249C + index) for index, letter in enumerate(LATIN)}
SQUARED = {letter: chr(0x1F130 + index) for index, letter in enumerate(LATIN)}
NEGATIVE = {letter: chr(0x1F170 + index) for index, letter in enumerate(LATIN)}
FLAGS = {letter: chr(0x1F1E6 + index) for index, letter in enumerate(LATIN)}
INVISIBLE = "\u200b\u200c\u200d\u2060\u00ad\ufe0f\u034f\u180e\u3164\u2063"
MARKS = "\u0301\u0308\u0323\u0335\u0336\u0337\u0338\u20dd\u0489"


def replaced(word: str, table: dict[str, str], among: random.Random | None = None) -> str:
    """The word with every letter that the table has replaced; with a random source, one at least and not always all."""
    places = [index for index, letter in enumerate(word) if letter in table]
    if among is not None and places:
        places = among.sample(places, among.randint(1, len(places)))
    return "".join(table[letter] if index in places else letter for index, letter in enumerate(word))


def disguised(word: str, seed: int) -> Iterator[tuple[str, str]]:
    """Every way in which the word is hidden, with the name of the way; ways that cannot be used on it are left out."""
    source = random.Random(f"{word} {seed}")
    tables: dict[str, dict[str, str]] = {
        "Cyrillic": CYRILLIC,
        "Greek": GREEK,
        "Armenian": ARMENIAN,
        "Cherokee": CHEROKEE,
        "small capitals": SMALL_CAPITALS,
        "accents": ACCENTED,
        "strokes": STROKES,
        "signs": LEET_SIGNS,
        "full width": FULL_WIDTH,
        "mathematical": source.choice(MATHEMATICAL),
        "circled": CIRCLED,
        "squared": SQUARED,
        "negative squares": NEGATIVE,
        "flags": FLAGS,
        "Cyrillic and Greek": GREEK | CYRILLIC,
    }
    ways: dict[str, Callable[[], str]] = {
        name: partial(replaced, word, table, source) for name, table in tables.items()
    }
    ways |= {
        "digits": lambda: _half(word, LEET_DIGITS, source),
        "invisible": lambda: "".join(letter + source.choice(INVISIBLE) for letter in word),
        "combining marks": lambda: "".join(letter + source.choice(MARKS) for letter in word),
        "spaced": lambda: source.choice([" ", "  ", "\n"]).join(word),
        "dotted": lambda: source.choice([".", "-", "_", "·", "/", "...", "~", "😀"]).join(word),
        "spaced and dotted": lambda: " . ".join(word),
        "repeated": lambda: "".join(letter * source.choice([1, 3, 5]) for letter in word),
        "reversed by an override": lambda: f"\u202e{word[::-1]}\u202c",
        "reversed by marks": lambda: "\u2067" + "\u200f".join(word[::-1]) + "\u2069",
        "capitals": lambda: "".join(source.choice([letter.upper(), letter]) for letter in word),
        "Cyrillic and invisible": lambda: "\u200b".join(replaced(word, CYRILLIC, source)),
        "full width and spaced": lambda: " ".join(replaced(word, FULL_WIDTH)),
        "Greek and repeated": lambda: replaced(word, GREEK, source) + word[-1] * 4,
        "mathematical and marks": lambda: "".join(letter + "\u0336" for letter in replaced(word, MATHEMATICAL[0])),
    }
    for name, way in ways.items():
        text = way()
        if text != word:
            yield name, text


def _half(word: str, table: dict[str, str], source: random.Random) -> str:
    """Digits for at most half of the letters: more than that, and nobody can read it."""
    places = [index for index, letter in enumerate(word) if letter in table]
    if not places:
        return word
    chosen = source.sample(places, min(len(places), len(word) // 2, source.randint(1, len(places))))
    return "".join(table[letter] if index in chosen else letter for index, letter in enumerate(word))
