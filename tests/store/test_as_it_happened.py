"""The past as it happened: nothing of it is missing, however old, and however it is paged through."""

from __future__ import annotations

from functools import partial

import pytest

from chatsync.instants import DAY_US
from chatsync.store import pruning
from chatsync.store.as_it_happened import Happened, as_it_happened
from chatsync.store.opening import Store
from chatsync.store.pruning import prune
from tests.builders import BASE_US, author
from tests.store.deeds import deed, placed, said

ALL = (-(2**61), 2**61)
VOTE = {"poll": "p1", "choices": [0]}


def _texts(happened: list[Happened]) -> list[tuple[str, str | None, str | None]]:
    """What happened, its words, and by which deed it was taken away."""
    return [(one.event.kind, one.event.text, None if one.taken_by is None else one.taken_by.kind) for one in happened]


def test_what_is_older_than_a_day_is_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that have left the journal, held, private and hidden ones with their words, notes, reports, and who took what away."""
    monkeypatch.setattr(pruning, "KEPT_EVENTS", 1)
    said(
        store,
        placed("a", 1, "long ago"),
        placed("h", 2, "rude"),
        placed("p", 3, "to the host", details={"to": ["host"]}),
        placed("held:x", 4, "may I?", kind="held", details={"of": "message", "why": "approval"}),
        placed("r", 5, None, kind="reported", target=2),
        placed("n", 6, "spoke to them", kind="noted", target=2),
        placed("x", 7, None, kind="hidden", target=2, details={"reason": "unkind"}),
        placed("z", 8, "newest"),
    )
    before = as_it_happened(store.journal, "math", 1, *ALL)
    store.archive.archive_now()
    for name, value in (("settled_offset", 8), ("sealed_until_us.1", BASE_US + DAY_US)):
        store.writer.call(partial(store.catalog.put_mark, room="math", name=name, value=value)).result()
    assert 1 == prune(store, wall_us=BASE_US + 2 * DAY_US)
    assert [(8,)] == store.journal.read("SELECT max(offset) FROM journal")
    assert store.journal.read("SELECT offset FROM journal WHERE offset = 1") == []
    after = as_it_happened(store.journal, "math", 1, *ALL)
    assert before == after
    assert [
        ("message", "long ago", None),
        ("message", "rude", "hidden"),
        ("message", "to the host", None),
        ("held", "may I?", None),
        ("reported", None, None),
        ("noted", "spoke to them", None),
        ("hidden", None, None),
        ("message", "newest", None),
    ] == _texts(after.happened)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
def test_pages_go_on_past_votes(store: Store, limit: int) -> None:
    """Single votes are shown to nobody; a page that had some is not the last for that."""
    said(
        store,
        placed("a", 1, "before"),
        *(placed(f"v{n}", 2 + n, None, kind="poll_voted", author=author(f"P{n}"), details=VOTE) for n in range(5)),
        placed("b", 9, "after"),
    )
    found: list[Happened] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        page, after = as_it_happened(store.journal, "math", 1, *ALL, after=after, limit=limit)
        found, pages = found + page, pages + 1
    assert [("message", "before", None), ("message", "after", None)] == _texts(found)


def test_what_was_erased_has_no_words(store: Store) -> None:
    """Also not here."""
    said(store, placed("a", 1, "mine"), deed("e", "erased", details={"author": author().key}))
    assert [("message", None, "erased"), ("erased", None, None)] == sorted(
        _texts(as_it_happened(store.journal, "math", 1, *ALL).happened), reverse=True
    )
