"""identity.db and moderation.db: names by version, hidden text for its days, both private and both undone with a lost batch."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.chat.event import Author
from chatsync.store.identity import IdentityStore, ModerationStore
from chatsync.store.journal import HIDDEN_TEXT_US
from chatsync.store.opening import Store
from tests.builders import BASE_US, author, draft
from tests.scanning import files_with
from tests.store.deeds import deed, said

ANN = author("Ann")
ANNA = Author(key=ANN.key, name="Anna", role="participant", badges=("vip",))


@pytest.fixture
def identity(tmp_path: Path) -> Iterator[IdentityStore]:
    """An empty identity.db."""
    store = IdentityStore(tmp_path / "identity.db")
    yield store
    store.close()


@pytest.fixture
def moderation(tmp_path: Path) -> Iterator[ModerationStore]:
    """An empty moderation.db."""
    store = ModerationStore(tmp_path / "moderation.db")
    yield store
    store.close()


def test_a_new_name_is_a_new_version(identity: IdentityStore) -> None:
    """So are new badges; the same name again is the same version, and rooms count by themselves."""
    versions = [identity.version(room, one) for room, one in [("a", ANN), ("a", ANN), ("a", ANNA), ("b", ANNA)]]
    assert [1, 1, 2, 1] == versions
    assert 3 == identity.version("a", ANN)


def test_every_version_is_found_again(tmp_path: Path, identity: IdentityStore) -> None:
    """By another process too; an author nobody knows has no name."""
    for one in (ANN, ANNA):
        identity.version("a", one)
    identity.commit()
    other = IdentityStore(tmp_path / "identity.db")
    assert [ANN, ANNA] == [other.author("a", ANN.key, version, "participant") for version in (1, 2)]
    assert Author(key="nobody", name="", role="viewer") == other.author("a", "nobody", 1, "viewer")
    assert 2 == other.version("a", ANNA)
    other.close()


def test_names_of_a_lost_batch_are_forgotten(identity: IdentityStore) -> None:
    """What was not committed is given out anew."""
    identity.version("a", ANN)
    identity.forget()
    assert "" == identity.author("a", ANN.key, 1, "participant").name
    assert 1 == identity.version("a", ANNA)
    identity.commit()
    assert ANNA == identity.author("a", ANN.key, 1, "participant")


def test_only_the_owner_may_read(tmp_path: Path, identity: IdentityStore, moderation: ModerationStore) -> None:
    """Both files are 0600."""
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.db")}


def test_hidden_text_is_kept_as_it_was(moderation: ModerationStore) -> None:
    """Text, words of the details and salt; another room's event has none."""
    moderation.put("a", 1, ("text", '{"title":"x"}', b"12345678"), 10)
    moderation.commit()
    assert ("text", '{"title":"x"}', b"12345678") == moderation.take("a", 1)
    assert moderation.take("b", 1) is None


def test_hidden_text_goes_when_its_days_are_over(moderation: ModerationStore) -> None:
    """Only what was hidden before the given time."""
    for offset, wall_us in ((1, 10), (2, 20), (3, 30)):
        moderation.put("a", offset, ("text", None, b"salt"), wall_us)
    assert 1 == moderation.sweep(20)
    moderation.commit()
    assert [False, True, True] == [moderation.take("a", offset) is not None for offset in (1, 2, 3)]


def test_text_of_a_lost_batch_is_forgotten(moderation: ModerationStore) -> None:
    """It is still in the journal then."""
    moderation.put("a", 1, ("text", None, b"salt"), 10)
    moderation.forget()
    assert moderation.take("a", 1) is None


def test_what_is_past_its_days_leaves_every_log(store: Store) -> None:
    """A hidden text is in no byte of the folder once its days are over and the write-ahead logs were emptied."""
    said(store, draft("a", "rude words"), deed("h", "hidden", target=1))
    assert "moderation.db-wal" in files_with(store.files.root, "rude words")
    assert ["rude words"] == [text for _, _, text, *_ in store.journal.hidden_texts()]  # a reader is open from now on
    later_us = BASE_US + HIDDEN_TEXT_US + 1
    store.writer.call(lambda connection: store.journal.sweep(connection, later_us)).result()
    store.writer.request_checkpoint()
    for _ in range(2):  # the second begins once what was asked before the first is done
        store.writer.call(lambda _: None).result()
    assert [] == files_with(store.files.root, "rude words")
    assert [0, 0, 0] == [path.stat().st_size for path in sorted(store.files.root.glob("*.db-wal"))]
