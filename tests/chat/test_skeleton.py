"""What a text looks like: look-alikes, marks, and words that are no disguise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.skeleton import is_mixed_script, script_of, shaped, skeleton, unmarked
from chatsync.chat.text import folded, without_invisible
from tests.chat import disguises


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("plain ASCII, kept: 100 %", "plain ASCII, kept: 100 %"),
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("Ωhat", "Ωhat"),
        ("pаypаl", "paypal"),
        ("ЅНІТ", "SHIT"),
        ("Żółć", "Zolc"),
        ("møøse łąka đak", "moose laka dak"),
        ("æther œuvre", "aether oeuvre"),
        ("s̶t̶r̶u̶c̶k̶", "struck"),
        ("ᴄᴀᴘs", "caps"),
        ("🅰🅱 🇩🇪 Ⓒ ⒟", "AB de C (d)"),
        ("٤٥ ४५ ４５", "45 45 45"),
        ("أحمد إلى كـــتاب", "احمد الي كتاب"),
        ("فارسی کتاب", "فارسي كتاب"),
        ("שָׁלוֹם", "שלום"),
        ("नमस्ते", "नमस्ते"),
        ("สวัสดี", "สวัสดี"),
        ("がぎぐ 한국어 日本", "がぎぐ 한국어 日本"),
        ("a\u200bb\u2060c\u00add\u3164e\u034ff", "abcdef"),
    ],
)
def test_what_a_text_looks_like(text: str, looks: str) -> None:
    """Look-alikes become Latin letters and digits; letters of other scripts stay, without what is drawn over them."""
    assert looks == shaped(text)


@pytest.mark.parametrize(
    "text", ["вот это да", "нет", "Рот закрой, товарищ", "Νίκη είναι εδώ", "Ես Հայ եմ", "вот это video"]
)
def test_words_of_a_script_are_words(text: str) -> None:
    """Where a text is plainly Cyrillic, Greek or Armenian, its words are not read as Latin ones."""
    native = [word for word in text.split() if not word.isascii()]

    assert [unmarked(word) for word in native] == [word for word in skeleton(text).split() if not word.isascii()]


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("сосо", "coco"),
        ("you рот", "you pot"),
        ("ѕһіт", "shit"),
        ("вот это bоt", "вот это bot"),
        ("βιτςη you", "bitsn you"),
    ],
)
def test_what_could_be_a_disguise_is_one(text: str, looks: str) -> None:
    """Among Latin words, or of letters like Latin ones only, a word is what it looks like; so is one of mixed letters anywhere."""
    assert looks == skeleton(text)


@pytest.mark.parametrize(
    "name",
    [
        "CYRILLIC",
        "GREEK",
        "ARMENIAN",
        "CHEROKEE",
        "SMALL_CAPITALS",
        "ACCENTED",
        "STROKES",
        "NEGATIVE",
        "FLAGS",
        "FULL_WIDTH",
        "CIRCLED",
        "SQUARED",
    ],
)
def test_tables_picked_by_eye_are_seen_through(name: str) -> None:
    """Each letter of tables that were made apart from ours, between two Latin ones, is the letter it was picked for."""
    table: dict[str, str] = getattr(disguises, name)

    assert {letter: f"q{letter.lower()}q" for letter in table} == {
        letter: skeleton(f"q{look}q") for letter, look in table.items()
    }


@given(st.text(max_size=80))
def test_any_text_looks_like_something(text: str) -> None:
    """No text is too odd; nothing invisible and no capital letter of ours is left of it."""
    looks = skeleton(text)

    assert (looks, looks) == (without_invisible(looks), folded(looks))


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=80))
def test_ascii_is_only_folded(text: str) -> None:
    """ASCII has no look-alikes but its own, and those are the business of lists."""
    assert " ".join(text.lower().split()) == skeleton(text) == unmarked(text)


@pytest.mark.parametrize(
    ("name", "is_mixed"),
    [
        ("Anna", False),
        ("Zoë Müller", False),
        ("Анна", False),
        ("Анна (Anna)", False),
        ("山田 taro", False),
        ("山田タロウ", False),
        ("安娜Anna", False),
        ("김민준Kim", False),
        ("ａｎｎａ", False),
        ("µTorrent", False),
        ("محمد Ali", False),
        ("Аnna", True),
        ("Annа", True),
        ("Jοhn", True),
        ("Ꭺnna", True),
        ("Αнна", True),
    ],
)
def test_scripts_within_a_word(name: str, is_mixed: bool) -> None:
    """A word takes its letters from one script, or from those that are written together."""
    assert is_mixed == is_mixed_script(name)


def test_scripts_by_name() -> None:
    """A letter's script is the first word of its name; what is no letter has none."""
    assert ["LATIN", "LATIN", "CYRILLIC", "", ""] == [script_of(character) for character in "aａж1!"]
