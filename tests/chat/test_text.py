"""Unicode rules of texts and names, fragments, the folded copy."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.text import (
    MARKS_MAX,
    REASON_CHARACTERS_MAX,
    clean_name,
    clean_reason,
    clean_text,
    clean_title,
    emotes_in,
    folded,
    fragments,
    is_room_id,
)
from chatsync.errors import MessageRejectedError

LRI, RLI, FSI, PDI = "\u2066", "\u2067", "\u2068", "\u2069"
LRE, RLE, PDF, LRO, RLO = "\u202a", "\u202b", "\u202c", "\u202d", "\u202e"
ZWNJ, ZWJ = "\u200c", "\u200d"

AWKWARD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            f"{LRI}{RLI}{FSI}{PDI}{LRE}{RLE}{PDF}{LRO}{RLO}{ZWJ}{ZWNJ}\u200b\ufeff\n\r\t \u0301\u0323\u20e3\ufe0f"
        ),
        st.sampled_from("aeé한가ᄒ\u1161\u11ab\u0627\u0628क\u094d👩🏽💻\U000e0041ǅßſİ"),
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("why is it negative?", "why is it negative?"),
        ("  two\nlines \n", "two\nlines"),
        ("windows\r\nmac\rseparator\u2028paragraph\u2029end", "windows\nmac\nseparator\nparagraph\nend"),
        ("a\tb", "a b"),
        ("e\u0301", "é"),
        ("لماذا؟", "لماذا؟"),
        ("👩\u200d💻 👍🏽 1️⃣ ❤️", "👩\u200d💻 👍🏽 1️⃣ ❤️"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ufeffhello", "hello"),
        ("hi\U000e0041\U000e0042\U000e007f", "hi"),
        ("a" + "\u0336\u0337\u0338\u0321\u0322" * 4, "a\u0336\u0337\u0338"),
        ("z" + ("\u0300" + ZWJ) * 9, "z\u0300\u200d\u0300\u200d\u0300" + ZWJ * 7),
        (f"{RLI}abc{PDI} d", f"{RLI}abc{PDI} d"),
        (f"{RLE}abc{PDF} d", f"{RLE}abc{PDF} d"),
        (f"{RLO}gpj.exe", "gpj.exe"),
        (f"abc{PDI}{PDF}", "abc"),
        (f"{RLI}{RLO}abc{PDI}def{PDF}", f"{RLI}abc{PDI}def"),
        (f"{RLI}abc\ndef{PDI}", "abc\ndef"),
        (f"{RLE}a{LRI}b{PDF}c{PDI}d{PDF}", f"{RLE}a{LRI}bc{PDI}d{PDF}"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        ("\U0001fae9 an emoji newer than this Python", "\U0001fae9 an emoji newer than this Python"),
    ],
)
def test_a_text_is_cleaned(raw: str, clean: str) -> None:
    """What is harmless stays, what has no partner or cannot be seen goes, and markup is just text."""
    assert clean == clean_text(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("\u200b\u200d\u2060", "empty"),
        ("\u0301", "empty"),
        ("\u3164", "empty"),
        ("\uffa0 \u115f\u1160", "empty"),
        ("\u2800\u2800", "empty"),
        ("\u034f\ufe0f", "empty"),
        (f"{RLI}{PDI}", "empty"),
        ("a\x00b", "control_characters"),
        ("\x1b[2J", "control_characters"),
        ("a\x07", "control_characters"),
        ("a\x7f", "control_characters"),
        ("a\x9b31m", "control_characters"),
        ("a\u0085b", "control_characters"),
        ("\ud800", "invalid_unicode"),
        ("ok \udfff", "invalid_unicode"),
        ("\ufdd0", "invalid_unicode"),
        ("\uffff", "invalid_unicode"),
        ("\U0010fffe", "invalid_unicode"),
        ("x" * 501, "too_long"),
        ("x" * 1_000_000, "too_long"),
        ("e\u0301" * 501, "too_long"),
    ],
)
def test_a_text_is_refused_with_a_reason(raw: str, reason: str) -> None:
    """What cannot be a message is refused, and the reason is a word for machines."""
    with pytest.raises(MessageRejectedError) as refused:
        clean_text(raw)
    assert reason == refused.value.reason


def test_the_limit_counts_code_points_after_cleaning() -> None:
    """500 composed letters pass although they came as 1,000; 500 emoji count as 500."""
    assert "é" * 500 == clean_text("e\u0301" * 500)
    assert "😀" * 500 == clean_text("😀" * 500)
    assert "x" * 2_000 == clean_text("x" * 2_000, 2_000)


def test_a_long_run_of_marks_costs_nothing() -> None:
    """Text far beyond the limit is refused before it is normalised, which would take quadratic time."""
    hostile = "a" + "\u0315\u0300" * 500_000
    started_s = time.perf_counter()
    with pytest.raises(MessageRejectedError):
        clean_text(hostile)

    assert time.perf_counter() - started_s < 1


@given(AWKWARD)
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    """A clean text is NFC, thinned, balanced, without controls, and stays as it is."""
    try:
        clean = clean_text(raw)
    except MessageRejectedError:
        return

    assert clean == clean_text(clean)
    assert unicodedata.is_normalized("NFC", clean)
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} and character != "\n" for character in clean)
    for line in clean.split("\n"):
        assert line.count(PDI) == sum(line.count(opener) for opener in (LRI, RLI, FSI))
        assert line.count(PDF) == sum(line.count(opener) for opener in (LRE, RLE, LRO, RLO))
    run = longest = 0
    for character in clean:
        run = run + 1 if unicodedata.category(character) in {"Mn", "Me"} else run if character in {ZWJ, ZWNJ} else 0
        longest = max(longest, run)
    assert longest <= MARKS_MAX


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Ann \n Lee\u00a0Smith ", "Ann Lee Smith"),
        ("Zoe\u0308", "Zoë"),
        (f"{RLO}nnA", "nnA"),
        ("A\u200bd\u2060m\u00adi\ufeffn", "Admin"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("👩🏽\u200d🚀", "👩🏽\u200d🚀"),
        ("A\u200dd\u200cmin", "Admin"),
        ("علی\u200cرضا", "علی\u200cرضا"),
        ("ශ්\u200dරී", "ශ්\u200dරී"),
        ("한국어", "한국어"),
        ("\u200dAnn\u200c", "Ann"),
    ],
)
def test_a_name_is_cleaned(raw: str, clean: str) -> None:
    """A name is one line without invisible padding; joiners stay where a script or an emoji needs them."""
    assert clean == clean_name(raw)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("x" * 33, "too_long"),
        ("", "empty"),
        ("\u200b", "empty"),
        ("a\x00", "control_characters"),
        ("\ud800", "invalid_unicode"),
    ],
)
def test_a_name_is_refused_with_a_reason(raw: str, reason: str) -> None:
    """Names obey their own limit of 32 code points and the same rules."""
    with pytest.raises(MessageRejectedError) as refused:
        clean_name(raw)
    assert reason == refused.value.reason


@given(AWKWARD)
def test_a_clean_name_holds_no_directional_control(raw: str) -> None:
    """Whatever comes in, no name can turn the line around it."""
    try:
        clean = clean_name(raw, 60)
    except MessageRejectedError:
        return

    assert not set(clean) & set(f"{LRI}{RLI}{FSI}{PDI}{LRE}{RLE}{PDF}{LRO}{RLO}\n\u200b")


@given(AWKWARD)
def test_a_title_is_one_line_and_never_refused(raw: str) -> None:
    """Whatever was stored once can be read again: no line break, no control, no surrogate, and cleaning twice is cleaning once."""
    clean = clean_title(raw)
    assert {"Cc", "Cs", "Zl", "Zp"}.isdisjoint(map(unicodedata.category, clean))
    assert clean == clean_title(clean)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Analysis I: limits", "Analysis I: limits"),
        (" two\nlines\ttabbed\0 ", "two lines tabbed"),
        ("a\ud83d\uffff\U0001fffeb", "a b"),
        (f"{RLO}open", "open"),
        ("e" + "\u0301" * 9, "é" + "\u0301" * MARKS_MAX),
        ("\u200b\u200b", ""),
        ("", ""),
    ],
)
def test_what_becomes_of_a_title(raw: str, clean: str) -> None:
    """What no text may hold becomes a space, the rest is as in texts."""
    assert clean == clean_title(raw)


def test_a_reason_is_cut_and_closed() -> None:
    """As a text, up to its length; a direction whose end is cut off goes too. What is no text is refused as one."""
    assert "off topic" == clean_reason(" off topic\n")
    assert REASON_CHARACTERS_MAX == len(clean_reason("x" * 300))
    assert "x" * (REASON_CHARACTERS_MAX - 1) == clean_reason(RLO + "x" * 300 + PDF)
    with pytest.raises(MessageRejectedError):
        clean_reason("\0")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("just text", [("text", "just text")]),
        (
            "see https://example.org/a?b=1#c now",
            [("text", "see "), ("link", "https://example.org/a?b=1#c"), ("text", " now")],
        ),
        (
            "(https://en.wikipedia.org/wiki/Limit_(mathematics)).",
            [("text", "("), ("link", "https://en.wikipedia.org/wiki/Limit_(mathematics)"), ("text", ").")],
        ),
        ("HTTP://EXAMPLE.ORG!", [("link", "HTTP://EXAMPLE.ORG"), ("text", "!")]),
        ("https://münchen.example/", [("link", "https://münchen.example/")]),
        ("http://localhost:8080/x", [("link", "http://localhost:8080/x")]),
        ("@ann hello", [("mention", "@ann"), ("text", " hello")]),
        ("hello @Zoë.", [("text", "hello "), ("mention", "@Zoë"), ("text", ".")]),
        ("ann@example.org", [("text", "ann@example.org")]),
        ("javascript:alert(1)", [("text", "javascript:alert(1)")]),
        ("data:text/html,x ftp://example.org", [("text", "data:text/html,x ftp://example.org")]),
        ("https://", [("text", "https://")]),
        ("https://user:pw@example.org/", [("text", "https://user:pw@example.org/")]),
        ("https://-x.example", [("text", "https://-x.example")]),
        ("https://exa\u200bmple.org", [("text", "https://exa\u200bmple.org")]),
        ('https://example.org/"onclick=x', [("link", "https://example.org/"), ("text", '"onclick=x')]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_fragments(text: str, parts: list[tuple[str, str]]) -> None:
    """Links are http and https with a host and nothing else; addresses of mail are no mentions."""
    assert parts == [(part["type"], part["text"]) for part in fragments(text)]


@given(st.text(st.one_of(st.characters(), st.sampled_from("@:/.ahtps")), max_size=80))
def test_fragments_join_to_the_text(text: str) -> None:
    """Nothing is lost or added by cutting, and no stretch is empty."""
    parts = fragments(text)

    assert text == "".join(part["text"] for part in parts)
    assert all(part["text"] for part in parts)


EMOTES = {"party": "https://cdn.example/party.png", "ok": "/ok.png", "30": "/thirty.png"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (":party:", ["party"]),
        (":party::ok:", ["party", "ok"]),
        ("你好:party:世界", ["party"]),
        ("\u202b:ok:\u202c", ["ok"]),
        ("(:ok:)", ["ok"]),
        ("@ann :ok:", ["ok"]),
        (":nobody: :Party: :p: : ok:", []),
        ("at 12:30:45", []),
        ("x:ok: :ok:x", []),
        ("https://example.org/:ok:/ https://example.org:30:ok:", []),
    ],
)
def test_names_between_colons_are_emotes_of_the_room(text: str, shown: list[str]) -> None:
    """Only those on its list, with its addresses; times of day and links are none."""
    parts = fragments(text, EMOTES)

    assert [(name, EMOTES[name]) for name in shown] == [(p["name"], p["url"]) for p in parts if p["type"] == "emote"]
    assert text == "".join(part["text"] for part in parts)
    assert {name: EMOTES[name] for name in shown} == emotes_in(text, EMOTES)


@given(st.text(st.one_of(st.characters(), st.sampled_from("@:/.ahtpsok")), max_size=80))
def test_emotes_change_nothing_else(text: str) -> None:
    """With a room's list the pieces join to the text too, and links and mentions are those without it."""
    parts = fragments(text, EMOTES)

    assert text == "".join(part["text"] for part in parts)
    others = [part for part in fragments(text) if part["type"] in {"link", "mention"}]
    assert others == [part for part in parts if part["type"] in {"link", "mention"}]


@pytest.mark.parametrize(
    "hostile",
    [
        "https://" + "a." * 32_000,
        "@" * 64_000,
        ":" * 64_000,
        ":aa" * 20_000,
        "https://" + "(" * 60_000 + "!" * 4_000,
        "http://" * 9_000,
    ],
)
def test_cutting_hostile_text_is_quick(hostile: str) -> None:
    """64 KiB made to send a pattern back and forth are cut in well under a second or two."""
    started_s = time.perf_counter()
    fragments(hostile)
    fragments(hostile, EMOTES)

    assert time.perf_counter() - started_s < 2


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("ＦＲＥＥ", "free"),
        ("Fr\u200bee", "free"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ﬁne", "fine"),
        ("a  \n b", "a b"),
        ("❤️", "❤"),
        ("f\u034fr\u3164e\uffa0e", "free"),
        ("buy\u2800now", "buy now"),
    ],
)
def test_the_folded_copy_sees_through_disguises(text: str, copy: str) -> None:
    """Width, case, ligatures, invisible characters and spacing do not hide a word from a filter."""
    assert copy == folded(text)


@given(AWKWARD)
def test_folding_twice_is_folding_once(text: str) -> None:
    """The folded copy of a folded copy is itself, so that filters may fold what is stored."""
    assert folded(text) == folded(folded(text))


@pytest.mark.parametrize("room", ["a", "math-101", "0", "a" * 64, "a_b-c"])
def test_room_ids(room: str) -> None:
    """Lower-case letters, digits, hyphen and underscore, up to 64."""
    assert is_room_id(room)


@pytest.mark.parametrize(
    "room", ["", "-a", "_a", "A", "a" * 65, "a/b", "..", "a.b", "a\n", "a b", "é", "a%2e", "a\x00", "１", "con:", "a*"]
)
def test_what_is_no_room_id(room: str) -> None:
    """Nothing that could mean something to a path, a URL or a pattern is a room id."""
    assert not is_room_id(room)
