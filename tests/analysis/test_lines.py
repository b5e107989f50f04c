"""Lines of a room stand where the picture was, with names, and hold nothing that was hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

import chatsync
from chatsync.analysis.lines import RoomLines, airings_of_many
from chatsync.errors import NotFoundError, QuestionError, TooFewPeopleError
from chatsync.instants import SECOND_US, Range
from chatsync.store.names import names_in
from chatsync.store.opening import Store
from tests.builders import BASE_US, author, stamp
from tests.store.deeds import deed, placed, said

_PARTS = (
    {"position_ms": 0, "duration_ms": 10_000, "program_ms": BASE_US // 1000},
    {"position_ms": 10_000, "duration_ms": 10_000, "program_ms": BASE_US // 1000 + 60_000},
    {"position_ms": 20_000, "duration_ms": 5_000, "program_ms": BASE_US // 1000},
)


def _folder(store: Store) -> Path:
    return store.files.root


@pytest.fixture
def room(store: Store) -> Store:
    """Two airings: one with a question, a reply and a hidden message, of which a recording shows parts."""
    said(store, placed("a", 0, "first"), placed("q", 3, "why?", kind="question"), placed("h", 4, "rude"))
    said(store, placed("r", 65, "so", reply_to=2, details={"emotes": {}}), placed("late", 30, "cut away"))
    said(store, deed("d", "hidden", target=3), placed("b", 0, "second", broadcast=2))
    span = {"broadcast": 1, "method": "offset", "score": 1.0}
    record = {"duration_ms": 25_000, "spans": [span | part for part in _PARTS]}
    store.writer.call(lambda connection: store.catalog.put_recording(connection, "math", "cut", record)).result()
    store.archive.archive_now()
    return store


def test_lines_come_by_place_with_names_and_replies(room: Store) -> None:
    """Program time, position in the airing, who it was, and the id of what is replied to; hidden messages are not there."""
    with chatsync.open_archive(_folder(room)) as archive:
        lines = list(RoomLines(archive, "math", broadcast=1, names=names_in(_folder(room))))
    assert ["a", "q", "late", "r"] == [line.id for line in lines]
    reply = lines[-1]
    assert (BASE_US + 65 * SECOND_US, 65 * SECOND_US, "q") == (reply.program_us, reply.position_us, reply.reply_to)
    assert ("key-ann", "Ann", "participant", {"emotes": {}}) == (
        reply.author_id,
        reply.author_name,
        reply.role,
        reply.details,
    )
    assert "question" == lines[1].kind


def test_a_recording_shows_parts_and_one_of_them_twice(room: Store) -> None:
    """What was cut is not there, and what is shown twice comes twice, in the order of positions."""
    with chatsync.open_archive(_folder(room)) as archive:
        lines = RoomLines(archive, "math", recording="cut")
        shown = [(line.id, (line.position_us or 0) // SECOND_US) for line in lines]
        about = lines.about
    assert [("a", 0), ("q", 3), ("r", 15), ("a", 20), ("q", 23)] == shown
    assert ("cut", BASE_US, 25 * SECOND_US) == (about.recording, about.start_us, about.duration_us)


def test_program_time_may_be_bounded(room: Store) -> None:
    """A half-open range of program time."""
    within = Range(BASE_US + 3 * SECOND_US, BASE_US + 65 * SECOND_US)
    with chatsync.open_archive(_folder(room)) as archive:
        assert ["q", "late"] == [line.id for line in RoomLines(archive, "math", broadcast=1, within=within)]


def test_a_copied_archive_has_pseudonyms(room: Store) -> None:
    """Names are not in the archive; whoever has only a copy has none."""
    assert names_in(room.files.archive) is None
    with chatsync.open_archive(room.files.archive) as archive:
        lines = RoomLines(archive, "math")
        assert [1, 2] == lines.broadcasts
        assert {("key-ann", "")} == {(line.author_id, line.author_name) for line in lines}


def test_airings_of_few_people_may_be_left_out(room: Store) -> None:
    """Two wrote in the first airing, one in the second; a recording goes only where all its airings do."""
    said(room, placed("e", 70, "me too", author=author("Bob")))
    with chatsync.open_archive(_folder(room)) as archive:
        assert [1, 2] == airings_of_many(archive, "math", 1)
        assert [1] == RoomLines(archive, "math", people_min=2).broadcasts
        assert 5 == len(list(RoomLines(archive, "math", people_min=2)))
        assert [1] == RoomLines(archive, "math", recording="cut", people_min=2).broadcasts
        for few in ({"broadcast": 2, "people_min": 2}, {"recording": "cut", "people_min": 3}, {"people_min": 3}):
            with pytest.raises(TooFewPeopleError):
                RoomLines(archive, "math", **few)


def test_chapters_are_what_many_wanted_and_what_hosts_said(store: Store) -> None:
    """The airing, announcements, polls, pins, and questions with three upvotes; other questions and hidden pins are not."""
    opened = deed("o", "broadcast_opened", by=None, stamp=stamp(BASE_US), details={"title": "Limits II"})
    said(store, opened, placed("n", 0, "Now to limits", kind="announcement"), placed("q1", 30, "why?", kind="question"))
    said(store, placed("q2", 60, "how?", kind="question"))
    said(store, *(deed(f"u{number}", "question_upvoted", target=4) for number in range(3)))
    poll = {"poll": "p", "question": "Which?", "choices": ["a", "b"], "multiple": False}
    said(store, placed("p", 90, None, kind="poll_opened", details=poll))
    said(store, placed("i", 100, "Read page 7", kind="pinned"), placed("j", 110, "hidden", kind="pinned"))
    said(store, deed("h", "hidden", target=10))
    with chatsync.open_archive(_folder(store)) as archive:
        lines = RoomLines(archive, "math").chapters()
        chapters = [(line.kind, line.text, (line.position_us or 0) // SECOND_US) for line in lines]
        late = RoomLines(archive, "math", within=Range(BASE_US + 95 * SECOND_US, BASE_US + 900 * SECOND_US)).chapters()
        assert ["pin"] == [line.kind for line in late]
    assert [
        ("broadcast", "Limits II", 0),
        ("announcement", "Now to limits", 0),
        ("question", "how?", 60),
        ("poll", "Which?", 90),
        ("pin", "Read page 7", 100),
    ] == chapters


def test_chapters_of_a_recording_begin_where_each_airing_shows(room: Store) -> None:
    """At its first position, with its number for a name if it has no other."""
    with chatsync.open_archive(_folder(room)) as archive:
        lines = list(RoomLines(archive, "math", recording="cut").chapters())
    assert [("Airing 1", 0, BASE_US)] == [(line.text, line.position_us, line.program_us) for line in lines]


@pytest.mark.parametrize("chosen", [{"broadcast": 7}, {"recording": "none"}])
def test_what_is_not_there_is_said(room: Store, chosen: dict[str, object]) -> None:
    """An airing or recording that the archive does not have is no empty export."""
    with chatsync.open_archive(_folder(room)) as archive:
        with pytest.raises(NotFoundError):
            RoomLines(archive, "math", **chosen)  # type: ignore[arg-type]
        with pytest.raises(NotFoundError):
            RoomLines(archive, "art")
        with pytest.raises(QuestionError):
            RoomLines(archive, "math", broadcast=1, recording="cut")
