"""What a connector took while it was live."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatsync.chat.event import Author
from chatsync.instants import DAY_US, Range
from chatsync.store import pruning
from chatsync.store.opening import Store, open_store
from chatsync.store.pruning import prune
from chatsync.transfer.captured_lines import captured_lines
from chatsync.transfer.entering import Import, import_file
from chatsync.transfer.recognising import OpenedFile
from tests.builders import draft, stamp
from tests.store.deeds import said
from tests.transfer.files import T0_US

WITHIN = Range(T0_US, T0_US + 10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A room with two lines of Twitch, one of them approved, and one of its own."""
    with open_store(tmp_path / "data") as opened:
        said(
            opened,
            draft("twitch:a", "one", room="class", stamp=stamp(T0_US), source="twitch", wall_us=T0_US),
            draft("held:twitch:b", "two", room="class", stamp=stamp(T0_US + 1_000), source="twitch", wall_us=T0_US),
            draft("twitch:c", "ours", room="class", stamp=stamp(T0_US + 2_000), wall_us=T0_US),
        )
        yield opened


def test_lines_are_found_by_the_networks_ids(store: Store) -> None:
    """Whether they waited for approval or not; a message of ours is none, whatever its id."""
    assert [("a", 1, 1), ("b", 1, 2)] == list(captured_lines(store, "class", "twitch", WITHIN))
    assert [] == list(captured_lines(store, "other", "twitch", WITHIN))


def test_lines_that_left_the_journal_are_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the archive, near the time that is asked for."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 0)
    store.archive.archive_now()
    for name, value in (("settled_offset", 3), ("sealed_until_us.1", T0_US + DAY_US)):
        store.writer.call(partial(store.catalog.put_mark, room="class", name=name, value=value)).result()
    assert 3 == prune(store, "class", wall_us=T0_US + 3 * DAY_US)
    assert [("a", 1, 1), ("b", 1, 2)] == list(captured_lines(store, "class", "twitch", WITHIN))
    assert [] == list(captured_lines(store, "class", "twitch", Range(T0_US + DAY_US, T0_US + DAY_US)))


def test_a_log_adds_what_was_missed(store: Store) -> None:
    """And a reply in it finds what was captured."""
    tags = "display-name=A;tmi-sent-ts={ts};user-id=7;id={id}"
    told = "".join(
        f"@{tags.format(ts=T0_US // 1_000, id=id_)}{beside} :a!a@a PRIVMSG #p :{id_}\n"
        for id_, beside in (("a", ""), ("b", ""), ("d", ";reply-parent-msg-id=a"))
    )
    path = store.files.root / "file"
    path.write_text(told)
    with OpenedFile(path) as opened:
        what = Import(room="class", name="twitch_irc", wall_us=T0_US + DAY_US)
        report = import_file(store, opened, what, Author)
    assert (1, 2) == (report.imported, report.already_there)
    (new,) = store.journal.events_after("class", 3, 10)
    assert ("d", 1) == (new.text, new.reply_to)
