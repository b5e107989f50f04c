"""Reads of what nobody prepared: archive and journal answer as one, and damage is never served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatsync.chat.event import Draft, Event
from chatsync.errors import CorruptError, StorageFailedError
from chatsync.instants import DAY_US, HOUR_US, SECOND_US, Range
from chatsync.store.opening import Store, open_store
from chatsync.store.query import Plan, open_duckdb
from chatsync.store.verifying import verify_store
from tests.builders import BASE_US, author, draft
from tests.store.deeds import deed, placed, said

HOUR_S = 3600
ALL = Range(BASE_US - HOUR_US, BASE_US + 10 * HOUR_US)


def _read(store: Store, within: Range = ALL, broadcast: int = 1) -> list[Event]:
    return store.query.read(store.query.plan("math", broadcast, within))


def _in_journal(store: Store, within: Range = ALL, broadcast: int = 1) -> list[Event]:
    return store.journal.events_between("math", broadcast, within.start_us, within.end_us, public_only=True)


def _archived(store: Store, *drafts: Draft) -> None:
    said(store, *drafts)
    store.archive.archive_now()


def _spoil(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 3] ^= 0xFF
    path.write_bytes(body)


# --- plans ----------------------------------------------------------------------------------------------------------


def test_what_is_not_archived_comes_from_the_journal(store: Store) -> None:
    """Without files the whole range is the journal's."""
    said(store, draft("a"))
    assert Plan("math", 1, ALL, (), (ALL,)) == store.query.plan("math", 1, ALL)
    assert ["a"] == [event.id for event in _read(store)]


def test_a_plan_covers_the_range_once(store: Store) -> None:
    """Files and journal ranges touch and do not overlap; only files that bear on the range are named."""
    _archived(store, placed("a", 0), placed("b", 2 * HOUR_S), placed("c", 5 * HOUR_S))
    within = Range(BASE_US + HOUR_US // 2, BASE_US + 4 * HOUR_US)
    plan = store.query.plan("math", 1, within)
    hours = [file.hour_us - BASE_US for file in plan.files if file.hour_us is not None]
    assert [0, 2 * HOUR_US] == hours
    assert [(1, 2), (3, 4)] == [
        ((one.start_us - BASE_US) // HOUR_US, (one.end_us - BASE_US) // HOUR_US) for one in plan.journal
    ]


def test_a_merged_file_is_read_once(store: Store) -> None:
    """A file of several hours answers each of them; when one of them changes, all come from the journal until it is written."""
    _archived(store, *(placed(f"m{hour}", hour * HOUR_S + 60) for hour in range(5)))
    store.archive.merge_quiet(wall_us=BASE_US + 3 * DAY_US)
    (file,) = store.catalog.archive_files("math")
    for start, end in ((0, 5), (1, 3), (2, 9)):
        within = Range(BASE_US + start * HOUR_US, BASE_US + end * HOUR_US)
        assert [file] == list(store.query.plan("math", 1, within).files)
        assert [f"m{hour}" for hour in range(start, min(end, 5))] == [event.id for event in _read(store, within)]
    said(store, deed("hide", "hidden", target=4))
    assert () == store.query.plan("math", 1, ALL).files
    assert ["m0", "m1", "m2", "m4"] == [event.id for event in _read(store)]


def test_a_plan_names_only_files_of_the_catalog(store: Store) -> None:
    """A file that merely lies in the folder is not read, whatever it is called."""
    _archived(store, draft("a"))
    (file,) = store.catalog.archive_files("math")
    path = store.files.root / file.path
    (path.parent / path.name.replace("g1", "g9")).write_bytes(path.read_bytes())
    plan = store.query.plan("math", 1, ALL)
    assert [file.path] == [planned.path for planned in plan.files]
    assert ["a"] == [event.id for event in store.query.read(plan)]


def test_other_rooms_and_broadcasts_are_not_read(store: Store) -> None:
    """A plan is of one room and one broadcast."""
    _archived(store, draft("a"), draft("b", room="art"), placed("c", 0, broadcast=2))
    assert (["a"], ["c"]) == tuple([event.id for event in _read(store, broadcast=n)] for n in (1, 2))


def test_a_changed_hour_is_read_from_the_journal(store: Store) -> None:
    """At once after a hide, before any file is written anew."""
    _archived(store, placed("a", 0), placed("b", 1), placed("c", HOUR_S))
    said(store, deed("h", "hidden", target=1))
    plan = store.query.plan("math", 1, ALL)
    assert [BASE_US + HOUR_US] == [file.hour_us for file in plan.files]
    assert ["b", "c"] == [event.id for event in store.query.read(plan)]


def test_an_empty_range_needs_nothing(store: Store) -> None:
    """No file, no journal, no event."""
    _archived(store, draft("a"))
    plan = store.query.plan("math", 1, Range(BASE_US, BASE_US))
    assert ((), ()) == (plan.files, plan.journal)
    assert [] == store.query.read(plan)


# --- reading --------------------------------------------------------------------------------------------------------

seconds = st.integers(0, 3 * HOUR_S - 1)
places = st.lists(st.tuples(seconds, st.sampled_from(["message", "question", "noted", "poll_voted"])), max_size=25)
ranges = st.lists(
    st.tuples(seconds, seconds).map(lambda ends: Range(*(BASE_US + end * SECOND_US for end in sorted(ends)))),
    min_size=1,
    max_size=4,
)


deeds = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["hidden", "restored"]), st.integers(1, 25)),
        st.tuples(st.just("rebase"), st.integers(-2 * HOUR_S, 2 * HOUR_S)),
        st.tuples(st.just("clamp"), seconds),
    ),
    max_size=5,
)


def _deed(number: int, what: str, value: int) -> Draft:
    match what:
        case "hidden" | "restored":
            return deed(f"d{number}", what, target=value)
        case "rebase":
            details = {"rule": what, "stamps": ["playhead"], "shift_us": value * SECOND_US}
        case _:
            details = {"rule": what, "stamps": ["playhead"], "to_us": BASE_US + value * SECOND_US}
    return deed(f"d{number}", "restamped", by=None, details=details)


@settings(max_examples=30)
@given(first=places, late=places, done=deeds, within=ranges)
def test_archive_and_journal_tell_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[int, str]],
    late: list[tuple[int, str]],
    done: list[tuple[str, int]],
    within: list[Range],
) -> None:
    """For any range: before archiving, after it, with late events and deeds on top, and after the next generation."""
    with open_store(tmp_path_factory.mktemp("data")) as store:
        steps: list[Callable[[], object]] = [
            lambda: said(store, *(placed(f"a{n}", at, str(n), kind=kind) for n, (at, kind) in enumerate(first))),
            store.archive.archive_now,
            lambda: said(store, *(placed(f"b{n}", at, str(n), kind=kind) for n, (at, kind) in enumerate(late))),
            lambda: said(store, *(_deed(number, *one) for number, one in enumerate(done))),
            store.archive.archive_now,
        ]
        for step in steps:
            step()
            for one in [ALL, *within]:
                assert _in_journal(store, one) == _read(store, one)
        assert {"rows": len(first) + len(late) + len(done), "slices": 0, "damaged": [], "lost": []} == {
            name: found for name, found in verify_store(store).items() if name != "files"
        }


def test_a_disk_that_refuses_is_told_from_damage(store: Store) -> None:
    """A file that cannot be opened says nothing of what is in it: that is a failure of the storage, which may pass."""
    _archived(store, draft("a"))
    (file,) = store.query.plan("math", 1, ALL).files
    path = store.files.root / file.path
    path.unlink()
    path.mkdir()  # opening it fails, and not because it is missing
    with pytest.raises(StorageFailedError):
        _read(store)


def test_an_archived_event_is_what_was_said(store: Store) -> None:
    """Every field comes back from Parquet as from the journal: author under their name then, stamp, details."""
    full = placed(
        "full",
        1.234,
        "שלום 👋🏽",
        author=author("Ann", "host"),
        reply_to=1,
        details={"fragments": [{"text": "x"}], "unknown": {"deep": [1, None, "é"]}},
        source="import:twitch",
    )
    _archived(store, draft("a"), full, placed("nobody", 2, None, kind="system", author=None))
    assert store.query.plan("math", 1, ALL).files
    assert _in_journal(store) == _read(store)


@pytest.mark.parametrize("is_archived", [False, True], ids=["journal", "archive"])
def test_pages_join_without_gap_or_repeat(store: Store, *, is_archived: bool) -> None:
    """Also where several events share an instant, and where pages cross from file to file."""
    said(store, *(placed(f"id-{n}", (n // 3) * 900) for n in range(20)))
    said(store, *(placed(f"to-{n}", n * 900, details={"to": ["key-bob"]}) for n in range(6)))
    if is_archived:
        store.archive.archive_now()
        said(store, placed("late", 900))
    whole = [event.id for event in _read(store)]
    found: list[str] = []
    after = None
    while page := store.query.messages_page("math", 1, ALL.start_us, ALL.end_us, after_place=after, limit=2):
        assert len(page) <= 2
        found += [event.id for event in page]
        after = page[-1].place
    assert (20 + is_archived, whole) == (len(found), found)


def test_private_messages_are_nobodys_business(store: Store) -> None:
    """What is addressed to somebody is not answered, be it from the journal or from the archive."""
    said(store, draft("a"), draft("psst", details={"to": ["key-bob"]}))
    assert ["a"] == [event.id for event in _read(store)]
    store.archive.archive_now()
    assert ["a"] == [event.id for event in _read(store)]


def test_a_plan_outlives_the_next_generation(store: Store) -> None:
    """Who planned before an hour was written anew reads the new file, not an error."""
    _archived(store, draft("a"), draft("b"))
    plan = store.query.plan("math", 1, ALL)
    said(store, deed("h", "hidden", target=1))
    store.archive.archive_now()
    assert ["b"] == [event.id for event in store.query.read(plan)]


def test_threads_read_side_by_side(store: Store) -> None:
    """Each has connections of its own."""
    _archived(store, *(placed(f"id-{n}", n) for n in range(50)))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(_read(store)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [50] * 4 == found


# --- damage ---------------------------------------------------------------------------------------------------------


def test_a_damaged_file_is_not_served(store: Store) -> None:
    """One changed byte, and the range is refused; hours beside it are still answered."""
    _archived(store, placed("a", 0), placed("b", HOUR_S))
    first = store.files.root / store.catalog.archive_files("math")[0].path
    _spoil(first)
    with pytest.raises(CorruptError) as told:
        _read(store)
    assert store.files.relative(first) == told.value.what
    assert ["b"] == [event.id for event in _read(store, Range(BASE_US + HOUR_US, BASE_US + 2 * HOUR_US))]


def test_a_damaged_file_whose_rows_are_in_the_journal_is_made_again(store: Store) -> None:
    """A relay answers from the journal, the file goes to the quarantine, and the next archiving writes it anew."""
    said(store, *(placed(f"id-{n}", n) for n in range(5)))
    store.archive.archive_now()
    truth = _read(store, ALL)
    (file,) = store.catalog.archive_files()
    path = store.files.root / file.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    store.query.on_damaged = store.archive.note_damaged
    assert truth == _read(store, ALL)
    assert [f"{file.path.replace('/', '__')}.1"] == [
        one.name for one in store.files.quarantined.iterdir() if not one.name.endswith(".note.json")
    ]
    assert 1 == store.archive.archive_now()
    assert [] == verify_store(store)["damaged"]
    assert truth == _read(store, ALL)


def test_a_file_damaged_after_it_was_read_is_not_served(store: Store) -> None:
    """That it was whole once proves nothing about later."""
    _archived(store, placed("a", 0))
    assert 1 == len(_read(store))
    _spoil(store.files.root / store.catalog.archive_files("math")[0].path)
    with pytest.raises(CorruptError):
        _read(store)


def test_a_missing_file_is_told(store: Store) -> None:
    """A file of the catalog that is gone is damage, not an empty hour."""
    _archived(store, placed("a", 0))
    (store.files.root / store.catalog.archive_files("math")[0].path).unlink()
    with pytest.raises(CorruptError, match="missing"):
        _read(store)


# --- readers without us ---------------------------------------------------------------------------------------------


def _hours(store: Store) -> str:
    return str(store.files.root / "archive" / "events" / "**" / "*.parquet")


def test_duckdb_reads_the_folder_by_itself(store: Store) -> None:
    """The partitions are columns; each event is there once, after many generations as well."""
    _archived(store, placed("a", 0), placed("b", HOUR_S), placed("c", 0, broadcast=2))
    _archived(store, placed("d", 5), draft("e", room="art"))
    rows = (
        duckdb.connect()
        .execute(
            "SELECT room, broadcast, id FROM read_parquet(?, hive_partitioning = true) "
            'ORDER BY room, broadcast, program_us, "offset"',
            [_hours(store)],
        )
        .fetchall()
    )
    assert [("art", 1, "e"), ("math", 1, "a"), ("math", 1, "d"), ("math", 1, "b"), ("math", 2, "c")] == rows


def test_pyarrow_reads_the_folder_by_itself(store: Store) -> None:
    """As a plain dataset of files with a common schema."""
    _archived(store, placed("a", 0), placed("b", HOUR_S), placed("c", 0, broadcast=2))
    table = ds.dataset(store.files.root / "archive" / "events", format="parquet").to_table(
        columns=["room", "broadcast", "id"]
    )
    assert [("math", 1, "a"), ("math", 1, "b"), ("math", 2, "c")] == sorted(
        (row["room"], row["broadcast"], row["id"]) for row in table.to_pylist()
    )


def test_our_duckdb_reads_the_archive_and_nothing_else(store: Store, tmp_path: Path) -> None:
    """No file outside the folder, no network, no extension, and no setting can be changed."""
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    connection = open_duckdb(store.files.archive.absolute())
    for refused in (
        f"SELECT * FROM read_csv('{other}')",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
        "SET enable_external_access = true",
        "SET threads = 4",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            connection.execute(refused)
