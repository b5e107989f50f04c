"""Highlights of simulated lectures, whose moments are known, and what counts as an answer to the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import chatsync
from chatsync.analysis.highlights import begins_one
from chatsync.analysis.opened import OpenArchive
from chatsync.analysis.room_highlights import peak_chapters, room_highlights
from chatsync.demo.classes import term
from chatsync.demo.term import write_term
from chatsync.errors import NotFoundError, QuestionError
from chatsync.instants import SECOND_US, Range


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenArchive]:
    """A term of simulated classes."""
    folder: Path = tmp_path_factory.mktemp("term") / "data"
    write_term(folder, seed=2)
    with chatsync.open_archive(folder) as opened:
        yield opened


def test_what_amazed_is_the_first_and_what_confused_is_among_the_first_three(archive: OpenArchive) -> None:
    """In nearly all lectures, with the lag read off their own chat; four terms together have 45 and 48 of 48."""
    firsts = confused = 0
    lectures = term(2)[1]
    for lecture in lectures:
        found = room_highlights(archive, lecture.room, broadcast=lecture.week + 1, count=3)
        spans = {one.what: [(one.start_us / SECOND_US, one.end_us / SECOND_US)] for one in lecture.moments}
        firsts += begins_one(found.clips[0].start_s, spans["amazing"])
        confused += any(begins_one(clip.start_s, spans["hard"]) for clip in found.clips)
        assert "rise" == found.lag_from
    assert firsts >= 10
    assert confused >= 11


def test_a_recording_has_its_positions(archive: OpenArchive) -> None:
    """What comes after the break that was cut is as much earlier as it is long."""
    [of_airing] = room_highlights(archive, "algebra", broadcast=2, count=1, lag_s=10).clips
    [of_recording] = room_highlights(archive, "algebra", recording="lecture-2", count=1, lag_s=10).clips
    assert of_airing.start_s - of_recording.start_s in {0, 180}
    assert of_airing.messages == of_recording.messages


def test_a_lag_is_learned_from_labels(archive: OpenArchive) -> None:
    """Three and more; fewer would fix it by chance, and are refused."""
    lecture = term(2)[1][0]
    labels = [
        (one.start_us / SECOND_US, one.end_us / SECOND_US) for one in lecture.moments if one.what in {"hard", "amazing"}
    ]
    found = room_highlights(archive, lecture.room, broadcast=1, labels=[*labels, labels[0]])
    assert "labels" == found.lag_from
    assert any(begins_one(clip.start_s, labels) for clip in found.clips[:2])
    with pytest.raises(QuestionError, match="3 labels"):
        room_highlights(archive, lecture.room, labels=labels)


def test_the_latest_airing_is_looked_at_and_what_is_not_there_is_said(archive: OpenArchive) -> None:
    """Without a choice it is the last one of the room."""
    assert 6 == room_highlights(archive, "calculus").broadcast
    with pytest.raises(NotFoundError):
        room_highlights(archive, "calculus", broadcast=99)
    with pytest.raises(NotFoundError):
        room_highlights(archive, "physics")


def test_the_highest_peaks_begin_chapters(archive: OpenArchive) -> None:
    """By place, at most five, where the clips begin; at a recording's positions too; only those that are asked for."""
    lines = peak_chapters(archive, "calculus", broadcast=2)
    [best] = room_highlights(archive, "calculus", broadcast=2, count=1).clips
    starts = [line.position_us or 0 for line in lines]
    assert (True, sorted(starts)) == (0 < len(lines) <= 5, starts)
    assert f"{best.messages} messages" in {
        line.text for line in lines if line.position_us == round(best.start_s) * SECOND_US
    }
    shown = peak_chapters(archive, "calculus", recording="lecture-2")
    assert {line.program_us for line in shown} & {line.program_us for line in lines}
    first_us = lines[0].program_us or 0
    assert lines[:1] == peak_chapters(archive, "calculus", broadcast=2, within=Range(first_us, first_us + 1))
