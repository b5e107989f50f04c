"""A file read once, to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.errors import FileDamagedError
from chatsync.transfer.gathering import Gathered, Gathering, Spool
from chatsync.transfer.line import Left, Line, Removal
from chatsync.transfer.placing import Airings, Placing
from chatsync.transfer.reading import READERS
from tests.transfer.files import T0_US


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """An empty one."""
    made = Spool(tmp_path)
    yield made
    made.close()


def _gathering(spool: Spool, name: str = "youtube") -> Gathering:
    return Gathering(READERS[name], Placing(T0_US), Airings((), 1), spool, wall_us=T0_US * 2)


def _line(id_: str = "a", **fields: object) -> Line:
    return Line(**{"id": id_, "program_us": T0_US, "author_id": "u", "text": "x", **fields})  # type: ignore[arg-type]


def test_a_spool_gives_back_what_it_was_given(spool: Spool, tmp_path: Path) -> None:
    """As often as it is asked, from a file that has no name."""
    line = Gathered(1, "a", 2, None, "message", None, "λ", "host", ("b",), "t\n", None, {"x": [1]})
    spool.put(line)
    assert [[line], [line]] == [list(spool), list(spool)]
    assert [] == list(tmp_path.iterdir())


def test_a_network_shares_its_ids(spool: Spool) -> None:
    """The same message of two files of a network is one; of another network it is another."""
    _gathering(spool).gather([_line(), _line(text="edited")], is_partial=False)
    _gathering(spool, "twitch_downloader").gather([_line()], is_partial=False)
    first, second, other = list(spool)
    assert (True, False) == (first.id == second.id, first.id == other.id)


def test_a_file_of_several_networks_shares_their_ids(spool: Spool) -> None:
    """By what an author's id looks like; what is taken away without an author is taken away of any."""
    channel = "UCexample0000000000001"
    for name in ("youtube", "chat_downloader"):
        _gathering(spool, name).gather([_line(author_id=channel), _line("n", author_id="n")], is_partial=False)
    first, _, again, other = list(spool)
    assert (first.id, first.subject) == (again.id, again.subject)
    assert "import:chat_downloader:n" == other.subject
    gathering = _gathering(spool, "chat_downloader")
    gathering.gather(
        [_line(author_id=channel), _line("t", author_id="7"), Removal(line_id="a"), Removal(line_id="t")],
        is_partial=False,
    )
    assert [True, True] == [gathering.is_gone(line) for line in list(spool)[4:]]


def test_ids_of_a_file_alone_count_with_their_instant(spool: Spool) -> None:
    """``c-0001`` is in every file; a reply finds its own file's."""
    _gathering(spool, "ndjson").gather(
        [_line("c"), _line("d", reply_to="c"), _line("c", program_us=T0_US + 1_000)], is_partial=False
    )
    first, reply, later = list(spool)
    assert (first.id, False) == (reply.reply_to, first.id == later.id)


def test_what_is_taken_away_is_what_was_said_before(spool: Spool) -> None:
    """By line, by author, or all of it."""
    gathering = _gathering(spool)
    found: list[Line | Removal] = [
        _line("a"),
        _line("b", author_id="v"),
        Removal(line_id="a"),
        Removal(author_id="v"),
        _line("a"),
        _line("c", author_id="v"),
    ]
    gathering.gather(found, is_partial=False)
    assert [True, True, False, False] == [gathering.is_gone(line) for line in spool]
    gathering.gather([Removal(), _line("d")], is_partial=False)
    assert [True] * 4 + [False] == [gathering.is_gone(line) for line in spool]


def test_reasons_are_counted_and_few(spool: Spool) -> None:
    """A file cannot fill the report."""
    gathering = _gathering(spool)
    gathering.gather([Left(f"is {number % 300}") for number in range(900)], is_partial=False)
    assert (900, 101) == (sum(gathering.skipped.values()), len(gathering.skipped))


def test_damage_ends_it(spool: Spool) -> None:
    """Unless what comes before is good enough."""

    def found() -> Iterator[Line]:
        yield _line()
        raise FileDamagedError("here", "x")

    with pytest.raises(FileDamagedError):
        _gathering(spool).gather(found(), is_partial=False)
    gathering = _gathering(spool)
    gathering.gather(found(), is_partial=True)
    assert "here" == (gathering.damage and gathering.damage.where)


def test_nobody_known_is_somebody(spool: Spool) -> None:
    """But what a system says has no author; an endless id is a short one."""
    _gathering(spool).gather(
        [_line(author_id=None), _line("s", author_id=None, kind="system"), _line("t", author_id="x" * 9_000)],
        is_partial=False,
    )
    anonymous, system, long = [line.subject for line in spool]
    assert ("import:youtube:", None, True) == (anonymous, system, len(long or "") < 100)
