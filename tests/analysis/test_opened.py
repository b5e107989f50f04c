"""An archive opened for questions: files and journal answer as one, nothing hidden shows, and every view says what it promises."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import chatsync
from chatsync.analysis.opened import OpenArchive
from chatsync.analysis.views import VIEWS
from chatsync.errors import CorruptError, NotFoundError, SettingsError
from chatsync.instants import DAY_US, SECOND_US
from chatsync.store import pruning
from chatsync.store.opening import Store
from tests.builders import BASE_US, author
from tests.store.deeds import MODERATOR, deed, placed, said, tamper

HOUR_S = 3600
BASE = datetime.fromtimestamp(BASE_US / SECOND_US, tz=UTC).replace(tzinfo=None)


def _folder(store: Store) -> Path:
    return store.files.root


def _ids(archive: OpenArchive) -> list[str]:
    return [id_ for (id_,) in archive.sql('SELECT id FROM messages ORDER BY program_us, "offset"').fetchall()]


def _opened(store: Store) -> OpenArchive:
    return chatsync.open_archive(_folder(store))


# --- what is read -----------------------------------------------------------------------------------------------------


def test_files_and_journal_answer_as_one(store: Store) -> None:
    """What is archived and what was said a moment ago are the same view; no row comes twice."""
    said(store, placed("a", 0), placed("b", 2 * HOUR_S))
    store.archive.archive_now()
    said(store, placed("c", 10), placed("d", 5 * HOUR_S))
    with _opened(store) as archive:
        assert ["a", "c", "b", "d"] == _ids(archive)


def test_what_is_hidden_shows_nowhere(store: Store) -> None:
    """A hide that the file does not know of yet leaves its message out, as a restore brings it back."""
    said(store, placed("a", 0), placed("b", 1), placed("c", 2))
    store.archive.archive_now()
    said(store, deed("h", "hidden", target=2))
    with _opened(store) as archive:
        assert ["a", "c"] == _ids(archive)
        assert [(2,)] == archive.sql("SELECT count(*) FROM events").fetchall()
        said(store, deed("r", "restored", target=2))
        archive.refresh()
        assert ["a", "b", "c"] == _ids(archive)


def test_a_change_in_a_merged_file_takes_all_its_hours_from_the_journal(store: Store) -> None:
    """A file of several hours is left aside as a whole when one of them changed, and no hour is missing."""
    said(store, *(placed(f"m{hour}", hour * HOUR_S + 60) for hour in range(5)))
    store.archive.archive_now()
    store.archive.merge_quiet(wall_us=BASE_US + 3 * DAY_US)
    said(store, deed("h", "hidden", target=4))
    with _opened(store) as archive:
        assert ["m0", "m1", "m2", "m4"] == _ids(archive)


def test_rows_that_left_the_journal_come_from_the_file_that_is_to_be_written_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour that changed after its rows left the journal has them from its last file still."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 1)
    said(store, placed("a", 0), placed("b", 1), placed("late", 3 * HOUR_S))
    store.archive.archive_now()
    marks = {"settled_offset": 3, "sealed_until_us.1": BASE_US + DAY_US}
    for name, value in marks.items():
        store.writer.call(partial(store.catalog.put_mark, room="math", name=name, value=value)).result()
    assert 2 == pruning.prune(store, wall_us=BASE_US + 3 * DAY_US)
    said(store, placed("c", 2))
    with _opened(store) as archive:
        assert ["a", "b", "c", "late"] == _ids(archive)


def test_private_words_and_single_votes_are_in_no_view(store: Store) -> None:
    """A private message, a held one and who voted what are not for analysts, archived or not."""
    private = placed("p", 0, "only for you", details={"to": ["host"]})
    held = placed("w", 1, "not yet", kind="held")
    vote = placed("v", 2, None, kind="poll_voted", details={"poll": "p1", "choices": [0]})
    said(store, placed("a", 3), private, held, vote)
    for _ in range(2):
        with _opened(store) as archive:
            assert [("a",)] == archive.sql("SELECT id FROM events").fetchall()
        store.archive.archive_now()


def test_one_room_is_opened_by_itself(store: Store) -> None:
    """Asked for a room, its rows alone are there, from files and from the journal."""
    said(store, placed("a", 0), placed("x", 0, room="art"))
    store.archive.archive_now()
    said(store, placed("b", 1), placed("y", 1, room="art"))
    with chatsync.open_archive(_folder(store), room="art") as archive:
        assert ["x", "y"] == _ids(archive)


def test_a_copied_archive_opens_without_its_databases(store: Store, tmp_path: Path) -> None:
    """The archive's folder alone, wherever it was copied to, answers from what its manifests list."""
    said(store, placed("a", 0), placed("b", 2 * HOUR_S))
    store.archive.archive_now()
    copy = tmp_path / "copy"
    shutil.copytree(store.files.archive, copy)
    stray = next(copy.glob("events/**/*.parquet"))
    shutil.copy(stray, stray.with_name("1.g9.parquet"))
    with chatsync.open_archive(copy) as archive:
        assert ["a", "b"] == _ids(archive)


def test_a_folder_at_rest_is_left_as_it_was(store: Store) -> None:
    """Opening and asking writes no row and no Parquet."""
    said(store, placed("a", 0))
    before = {path: path.read_bytes() for path in _folder(store).rglob("*.parquet")}
    offset = store.journal.head("math").offset
    with _opened(store) as archive:
        archive.messages.fetchall()
    assert before == {path: path.read_bytes() for path in _folder(store).rglob("*.parquet")}
    assert offset == store.journal.head("math").offset


def test_what_does_not_fit_into_memory_is_for_us_alone_and_goes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sort that spills writes into a folder of mode 0700, not into the working folder; nothing is left of it."""
    monkeypatch.chdir(tmp_path)
    said(store, placed("a", 0))
    before = set(tmp_path.iterdir())
    with _opened(store) as archive:
        archive.connection.execute("SET memory_limit = '40 MiB'; SET threads = 1")
        [(folder,)] = archive.sql("SELECT current_setting('temp_directory')").fetchall()
        query = "SELECT range, repeat('x', 100) || range AS text FROM range(1000000) ORDER BY hash(range)"
        archive.connection.execute(f"CREATE TEMP TABLE spilled AS {query}")
        assert 0o700 == Path(folder).stat().st_mode & 0o777
        assert any(Path(folder).iterdir())
    assert not Path(folder).exists()
    assert before == set(tmp_path.iterdir())


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """Any other folder is named in the refusal, with what it would have to have."""
    with pytest.raises(SettingsError, match=r"no chatsync\.db"):
        chatsync.open_archive(tmp_path)


def test_an_archive_of_a_newer_program_is_refused(store: Store, tmp_path: Path) -> None:
    """A schema version that is not known is not guessed at."""
    said(store, placed("a", 0))
    store.archive.archive_now()
    copy = tmp_path / "copy"
    shutil.copytree(store.files.archive, copy)
    path = copy / "manifest" / "math.json"
    path.chmod(0o600)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(SettingsError, match="99"):
        chatsync.open_archive(copy)


@pytest.mark.parametrize("path", ["../../secret.parquet", "/etc/passwd", "events/../../x.parquet"])
def test_a_manifest_that_points_elsewhere_is_damaged(store: Store, tmp_path: Path, path: str) -> None:
    """A copied archive may be hostile: no path of it leads out of it."""
    said(store, placed("a", 0))
    store.archive.archive_now()
    copy = tmp_path / "copy"
    shutil.copytree(store.files.archive, copy)
    manifest = copy / "manifest" / "math.json"
    listed = json.loads(manifest.read_bytes())
    listed["files"][0]["path"] = path
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(listed))
    with pytest.raises(CorruptError):
        chatsync.open_archive(copy)


def test_a_damaged_row_is_told_and_not_left_out(store: Store) -> None:
    """A row of the journal that is not what was written ends the opening with its name."""
    said(store, placed("a", 0), placed("b", 1))
    tamper(_folder(store), "UPDATE journal SET text = 'other' WHERE offset = 2")
    with pytest.raises(CorruptError):
        chatsync.open_archive(_folder(store))


def test_an_unknown_view_is_refused(store: Store) -> None:
    """What is read inside is no view for others."""
    said(store, placed("a", 0))
    with _opened(store) as archive:
        for name in ("staff", "nothing"):
            with pytest.raises(NotFoundError):
                archive.view(name)


# --- the views --------------------------------------------------------------------------------------------------------


def test_relations_become_arrow_polars_and_pandas(store: Store) -> None:
    """The same rows in the three frames, with instants in UTC and no zone."""
    said(store, placed("a", 0, "hello"), placed("b", 60, "why?"))
    with _opened(store) as archive:
        texts = ["hello", "why?"]
        assert texts == archive.messages.to_arrow_table().column("text").to_pylist()
        assert texts == archive.messages.pl()["text"].to_list()
        assert texts == archive.messages.df()["text"].tolist()
        assert [(BASE,), (BASE + timedelta(seconds=60),)] == archive.sql("SELECT program_us FROM messages").fetchall()
        assert [("why?",)] == archive.sql("SELECT text FROM messages WHERE id = $id", id="b").fetchall()


def test_minutes_are_whole_also_where_nobody_spoke(store: Store) -> None:
    """Each minute of a broadcast from its first to its last event has a row; people count once a minute."""
    people = [author("Ann"), author("Ann"), author("Bob")]
    said(
        store,
        *(placed(f"m{number}", number, author=person) for number, person in enumerate(people)),
        placed("q", 130, "why?", kind="question"),
        placed("r", 131, None, kind="reaction", author=None, details={"emoji": "❓", "count": 4}),
    )
    with _opened(store) as archive:
        rows = archive.sql(
            "SELECT messages, chatters, questions, reactions, viewers, media_us FROM minutes ORDER BY minute_us"
        )
        assert [(3, 2, 0, 0, None, None), (0, 0, 0, 0, None, None), (1, 1, 1, 4, None, None)] == rows.fetchall()


def test_a_question_says_what_became_of_it(store: Store) -> None:
    """Upvotes, replies, and how long until staff replied or the question was marked, whichever was first."""
    said(store, placed("q1", 0, "why?", kind="question"), placed("q2", 10, "how?", kind="question"))
    said(
        store,
        placed("u1", 20, None, kind="question_upvoted", target=1, author=author("Bob")),
        placed("u2", 21, None, kind="question_upvoted", target=1, author=author("Cy")),
        placed("r", 25, "me too", reply_to=1, author=author("Bob")),
        placed("s", 30, "because", reply_to=1, author=MODERATOR),
        placed("a", 40, None, kind="question_answered", target=1, author=MODERATOR, details={"how": "live"}),
    )
    for _ in range(2):
        with _opened(store) as archive:
            rows = archive.sql(
                "SELECT text, upvotes, replies, response_us, answered_us, how FROM questions ORDER BY program_us"
            ).fetchall()
        assert [
            ("why?", 2, 2, 30 * SECOND_US, BASE + timedelta(seconds=40), "live"),
            ("how?", 0, 0, None, None, None),
        ] == rows
        store.archive.archive_now()


def test_a_poll_has_its_choices_and_its_end(store: Store) -> None:
    """What was asked, what could be chosen, when it closed; the tally is what was printed at the close, if it is final."""
    poll = {"poll": "p1", "question": "Sign?", "choices": ["+", "-"], "multiple": True}
    said(
        store,
        placed("o", 0, None, kind="poll_opened", details=poll),
        placed("c", 60, None, kind="poll_closed", details={"poll": "p1", "tally": [1, 2], "answer": [1]}),
        placed("o2", 90, None, kind="poll_opened", details={**poll, "poll": "p2", "multiple": False}),
    )
    with _opened(store) as archive:
        rows = archive.sql(
            "SELECT poll, question, choices, multiple, answer, tally, closed_us FROM polls ORDER BY poll"
        )
        assert [
            ("p1", "Sign?", ["+", "-"], True, [1], [1, 2], BASE + timedelta(seconds=60)),
            ("p2", "Sign?", ["+", "-"], False, None, None, None),
        ] == rows.fetchall()


def test_a_broadcast_is_one_row(store: Store) -> None:
    """Counts of each airing, and who spoke in it."""
    said(store, placed("a", 0), placed("b", 5, author=author("Bob")), placed("c", 9, broadcast=2))
    with _opened(store) as archive:
        rows = archive.sql(
            "SELECT broadcast, messages, chatters, first_event_us, start_us FROM broadcasts ORDER BY ALL"
        )
        assert [(1, 2, 2, BASE, None), (2, 1, 1, BASE + timedelta(seconds=9), None)] == rows.fetchall()


def test_a_recording_adds_where_it_shows_a_row(store: Store) -> None:
    """What a cut left out is not there, and the rest has its position in the recording."""
    said(store, placed("a", 0), placed("b", 30), placed("c", 70, "why?", kind="question"))
    span = {"broadcast": 1, "method": "offset", "score": 1.0}
    first = {**span, "position_ms": 0, "duration_ms": 10_000, "program_ms": BASE_US // 1000}
    second = {**span, "position_ms": 10_000, "duration_ms": 20_000, "program_ms": BASE_US // 1000 + 60_000}
    record = {"duration_ms": 30_000, "spans": [first, second]}
    store.writer.call(lambda connection: store.catalog.put_recording(connection, "math", "cut", record)).result()
    with _opened(store) as archive:
        shown = archive.recorded("math", "cut").project("id, position_us").fetchall()
        assert [("a", 0), ("c", 20 * SECOND_US)] == shown
        assert [(20 * SECOND_US,)] == archive.recorded("math", "cut", "questions").project("position_us").fetchall()
        for room, recording, view in (
            ("math", "none", "messages"),
            ("math", "cut", "broadcasts"),
            ("math", "cut", "staff"),
        ):
            with pytest.raises(NotFoundError):
                archive.recorded(room, recording, view)


def test_every_view_of_views_can_be_asked_of_nothing(store: Store) -> None:
    """A folder in which nothing was said has every view, empty."""
    with _opened(store) as archive:
        for name in VIEWS:
            assert [] == archive.view(name).fetchall()
