"""A term as a data folder: what the archive answers is what the story says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import chatsync
from chatsync.cli import app
from chatsync.demo.classes import LECTURE_US, term
from chatsync.demo.term import write_term
from chatsync.errors import SettingsError
from chatsync.store.verifying import verify_folder

SAYS = {"message", "question", "announcement"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A term of seed 3, written by the command."""
    written = tmp_path_factory.mktemp("term") / "data"
    ran = CliRunner().invoke(app, ["demo", "--term", str(written), "--seed", "3", "--json"])
    assert 0 == ran.exit_code, ran.output
    assert 12 == json.loads(ran.stdout)["lectures"]
    return written


def test_what_was_said_is_what_the_archive_answers(folder: Path) -> None:
    """Messages, questions and polls of every lecture, counted in the story and asked of the folder."""
    told = {
        (lecture.room, lecture.week + 1): tuple(
            sum(one.kind in kinds for one in lecture.said) for kinds in (SAYS, {"question"}, {"poll_opened"})
        )
        for lecture in term(3)[1]
    }
    with chatsync.open_archive(folder) as archive:
        rows = archive.sql("SELECT room, broadcast, messages, questions, polls FROM broadcasts").fetchall()
    assert told == {(room, broadcast): tuple(counts) for room, broadcast, *counts in rows}


def test_tallies_are_the_votes(folder: Path) -> None:
    """Each poll's tally is what the students of the story chose."""
    votes: dict[tuple[str, str], Counter[int]] = {}
    for lecture in term(3)[1]:
        for one in lecture.said:
            if one.kind == "poll_voted":
                votes.setdefault((lecture.room, one.details["poll"]), Counter()).update(one.details["choices"])
    with chatsync.open_archive(folder) as archive:
        rows = archive.sql("SELECT room, poll, tally FROM polls").fetchall()
    assert {key: [count[choice] for choice in range(4)] for key, count in votes.items()} == {
        (room, poll): tally for room, poll, tally in rows
    }


def test_the_restarted_encoder_left_a_gap(folder: Path) -> None:
    """One lecture has two runs and as much less media as the story says was lost; nothing was said in it."""
    (lost,) = [lecture for lecture in term(3)[1] if lecture.lost_us is not None]
    assert lost.lost_us is not None
    with chatsync.open_archive(folder) as archive:
        rows = archive.sql("SELECT room, broadcast, media_us FROM broadcasts WHERE runs = 2").fetchall()
    assert [(lost.room, lost.week + 1, LECTURE_US - (lost.lost_us[1] - lost.lost_us[0]))] == rows


def test_recordings_leave_out_the_break_and_what_was_lost(folder: Path) -> None:
    """A message after them stands as much earlier in the recording as they are long."""
    (lost,) = [lecture for lecture in term(3)[1] if lecture.lost_us is not None]
    cut_us = sum(moment.end_us - moment.start_us for moment in lost.moments if moment.what in {"break", "lost"})
    with chatsync.open_archive(folder) as archive:
        recorded = archive.recorded(lost.room, f"lecture-{lost.week + 1}")
        (position_us, program_us) = (
            recorded.order("position_us DESC").project("position_us, epoch_us(program_us)").fetchall()[0]
        )
    assert program_us - lost.start_us - cut_us == position_us


def test_the_folder_verifies(folder: Path) -> None:
    """Every checksum of a written term is right."""
    report = verify_folder(folder)
    assert ([], []) == (report["damaged"], report["lost"])
    assert report["rows"] > 4_000


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """Nothing is written into a folder that is in use."""
    (tmp_path / "x").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        write_term(tmp_path)
