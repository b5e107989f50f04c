"""Lists of words: what is found however it is written, and what is not."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.text import clean_text
from chatsync.chat.words import ENTRY_CODE_POINTS_MAX, Entry, Words, words_of_list
from chatsync.service.room_settings import Language
from chatsync.service.screening_rules import built_in_words
from tests.chat.disguises import disguised

DISGUISED_MIN = 300
ALL = Words(Entry(word, language) for language in get_args(Language) for word in built_in_words(language))


def found(text: str, *entries: str) -> list[str]:
    """Which of these entries a text holds."""
    return sorted({entry.text for entry in Words(map(Entry, entries)).found(text)})


def test_disguises_are_seen_through() -> None:
    """Of far more than 300 disguises in some thirty ways, each as a message would be cleaned, every one is found."""
    words = [
        "fuck",
        "shit",
        "bitch",
        "asshole",
        "whore",
        "faggot",
        "fotze",
        "wichser",
        "nutte",
        "connard",
        "salope",
        "mierda",
        "gilipollas",
    ]
    tried = [
        (way, word, clean_text(f"so {text} there"))
        for word in words
        for seed in range(2)
        for way, text in disguised(word, seed)
    ]

    assert len(tried) >= DISGUISED_MIN
    assert len({way for way, _, _ in tried}) >= 28
    assert [] == [one for one in tried if next(ALL.found(one[2]), None) is None]


@pytest.mark.parametrize(
    "text",
    [
        "sIut",
        "SHlT",
        "f*ck you",
        "b*tches",
        "@$$",
        "a$$",
        "@ss",
        "5hit",
        "phuck",
        "fvck",
        "vvhore",
        "ff uu cc kk",
        "I f u c k u",
        "fuck123",
        "motherfuckers!",
        "Hey,fuck.off",
        "FUCKED",
        "you're a (slut)",
        "kill   yourself",
        "k1ll-yourself",
        "ᶠᵘᶜᵏ",
        "𝕗𝖚𝒸𝚔",
        "Ｆ.Ｕ.Ｃ.Ｋ",
        "das ist SCHEISSE",
        "Scheiße!",
        "Arschlöcher",
        "Hurensöhne",
        "ENCULÉ",
        "nique ta mere",
        "hijo   de  puta",
        "maricón",
        "كس أمك",
        "شَرْمُوطَة",
        "شرمـــوطة",
        "شرموطه",
    ],
)
def test_each_way_of_writing_it_is_found(text: str) -> None:
    """Signs, capitals, masks, accents, points, forms of the same letter."""
    words = [*built_in_words("en"), "ass", *(word for one in ("de", "fr", "es", "ar") for word in built_in_words(one))]

    assert [] != found(text, *words)


@pytest.mark.parametrize(
    "text",
    [
        "Scunthorpe, Penistone and Essex",
        "the class will assess the bass passages of Dickens",
        "D I C K E N S and s p i c e, spelled",
        "that's hit it, push it, is hit",
        "the answer is 455, not 80085 or A55",
        "x^2 + 2*x*y - s**t and f(x) = 3!",
        "!!!! 111 lll ||| $$$ @@@",
        "Ich flicke die Fahne, bitte schön; eine Dickhaut, ein Spaß, Spatzen",
        "fickle, niggardly, snigger, cockpit, shuttlecock, Hancock, analysis, Matsushita, shiitake",
        "the chink in the armour, raccoon, retarded potential, subnormal numbers, a dyke against the sea",
        "con una pala, el cono, la fórmula de Puteaux, disputa, reputación, computadora",
        "les députés, la dispute, un conte, la culture",
        "Nutzer, Nuten und Federn, Wichtig, Schlamm, Kanada",
        "السلام عليكم، كسر الزجاج، هذا خول لنا، نيك قادم من ميونخ، الكلب في البيت",
        "Съешь же ещё этих мягких французских булок, да выпей чаю",
        "waaas? sooo gooood, aaaas weeell",
    ],
)
def test_harmless_words_pass(text: str) -> None:
    """Whole words alone are found, in no language a part of an ordinary one, and no number or formula."""
    assert [] == [entry.text for entry in ALL.found(text)]
    assert [] == found(text, "ass", "dick", "spic", "ill", "cock", "cunt", "shit")


@pytest.mark.parametrize(
    ("entry", "text", "is_found"),
    [
        ("spam", "spam", True),
        ("spam", "spammer", False),
        ("spam*", "spammer", True),
        ("spam*", "antispam", False),
        ("*spam", "antispam", True),
        ("*spam*", "antispammers", True),
        ("buy now", "buy, now!", True),
        ("buy now", "buy it now", False),
        ("Café", "CAFE", True),
        ("1488", "1488", True),
        ("1488", "in 11488", False),
        ("1488", "i4bb", False),
        ("傻逼", "你是傻逼吗", True),
        ("死", "去死吧", True),
        ("сука", "СУКА!", True),
        ("сука", "cyka", True),
        ("good*", "goooood", True),
        ("god", "good", False),
        ("god", "gooood", True),
        ("as", "ass", False),
    ],
)
def test_an_entry_means_what_it_says(entry: str, text: str, is_found: bool) -> None:
    """Whole words, unless a star says otherwise; digits are themselves; scripts without spaces need none."""
    assert is_found == bool(found(text, entry))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [("", "two letters"), ("a", "two letters"), ("*!*", "two letters"), ("x" * (ENTRY_CODE_POINTS_MAX + 1), "at most")],
)
def test_an_entry_that_would_find_everything_is_refused(entry: str, reason: str) -> None:
    """A single letter is no word, nor is a sign; and none is endless."""
    with pytest.raises(ValueError, match=reason):
        Entry(entry)


@pytest.mark.parametrize("language", get_args(Language))
def test_a_built_in_list_is_sound(language: Language) -> None:
    """It has at least 20 entries, each once, and each is found when it is written as it stands."""
    words = built_in_words(language)

    assert len(words) >= 20
    assert len(words) == len({(entry.bare, entry.goes_on_before) for entry in map(Entry, words)})
    assert [] == [word for word in words if word not in found(word.replace("*", ""), word)]


def test_a_list_has_comments() -> None:
    """One entry a line; what follows a hash, and empty lines, are not read."""
    assert ("one", "two words") == words_of_list("# a list\none\n\ntwo words # why\none\n")


def test_no_list_finds_nothing() -> None:
    """A room without lists has nothing to look for."""
    assert [] == list(Words(()).found("anything"))


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    """No text is too odd to be looked at."""
    list(ALL.found(text))


@given(st.sampled_from(built_in_words("en")), st.text(alphabet=" .,!?\n", min_size=1, max_size=5), st.text(max_size=40))
def test_what_stands_around_a_word_does_not_hide_it(entry: str, between: str, around: str) -> None:
    """A word between signs or spaces is found, whatever else the text says."""
    if any(character in "\u061c\u200f" for character in around):
        return
    word = entry.replace("*", "")

    assert entry in {one.text for one in ALL.found(f"x {around} x\n{between}{word}{between}\nx")}
