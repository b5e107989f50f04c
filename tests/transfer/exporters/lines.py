"""Lines for tests of exporters, and hostile texts."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from chatsync.instants import SECOND_US
from chatsync.transfer.exporters.plain import several_lines
from chatsync.transfer.line import About, Line
from tests.builders import BASE_US

__all__ = ["ABOUT", "HOSTILE", "hostile_lines", "line"]

ABOUT = About(room="math", title="Lecture 1 --> <b>", start_us=BASE_US, duration_us=3_600 * SECOND_US)

HOSTILE = (
    *(
        "-->",
        "00:00:01.000 --> 00:00:02.000",
        "a\n\nNOTE gone\n\n00:00:00.000 --> 00:00:09.000\nforged",
        "<v Teacher>it was me",
        "</v><b>",
    ),
    *(
        "{\\an8}",
        "{\\move(0,0,9,9)}",
        "\\N\\n\\h",
        "=cmd()|' /C calc'!A0",
        "@SUM(1)",
        "+1",
        "-1",
        "＝1",
        "\t=1",
        "'='",
        "'",
    ),
    *(
        "]]>",
        "<![CDATA[x]]>",
        "&lt;&amp;",
        '<d p="0">',
        "&#13;",
        "x\r\ny\rz",
        "a\u2028b\u0085c\x0bd",
        "tab\there",
        "\x00\x1b[31m\x7f",
    ),
    *(
        "\u202egnp.exe",
        "שלום",
        "👩‍👩‍👧",
        "e\u0301",
        '"quoted", with; commas',
        "1\n00:00:00,000 --> 00:00:01,000\nx",
        "a" * 10_000,
    ),
)


def line(text: str = "hello", *, at_us: int = SECOND_US, **fields: Any) -> Line:
    """A line at a position, by Ann."""
    given: dict[str, Any] = {
        "id": f"m{at_us}",
        "program_us": BASE_US + at_us,
        "position_us": at_us,
        "author_id": "a1b2c3d4e5f6",
        "author_name": "Ann",
    } | fields
    return Line(text=text, **given)


_TEXT = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=40),
    st.lists(st.sampled_from(HOSTILE[:-1]), min_size=2, max_size=3).map("".join),
)


def hostile_lines() -> st.SearchStrategy[list[Line]]:
    """Lines in order, of which texts, names and ids are hostile."""
    one = st.builds(
        line,
        text=_TEXT.filter(lambda text: several_lines(text) != ""),
        at_us=st.integers(0, 7_200_000).map(lambda ms: ms * 1_000),
        author_name=_TEXT,
        role=st.sampled_from(["host", "moderator", "participant", "guest"]),
        kind=st.sampled_from(["message", "question", "announcement"]),
        details=st.one_of(
            st.just({}),
            st.dictionaries(st.text(max_size=5), st.one_of(_TEXT, st.integers(-9, 9), st.none()), max_size=2),
        ),
        reply_to=st.one_of(st.none(), st.just("m1")),
    )
    return st.lists(one, max_size=6).map(lambda found: sorted(found, key=lambda each: each.position_us or 0))
