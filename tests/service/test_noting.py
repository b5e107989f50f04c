"""What the command line does is noted where the data folder is, and hinders nobody where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatsync.cli import app as command
from chatsync.store.audit import audited_after
from chatsync.store.opening import open_store
from tests.relay import SECRET, relay_with

MINT = ("token", "--subject", "annabel", "--room", "class", "--minutes", "5")


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret, and a data folder."""
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", SECRET)
    monkeypatch.setenv("CHATSYNC_DATA_FOLDER", str(tmp_path / "data"))


def _minted() -> tuple[str, str]:
    """What a script reads, and what a person does."""
    result = CliRunner().invoke(command, MINT)
    assert 0 == result.exit_code, result.output
    return result.stdout.strip(), result.stderr


def _noted(folder: Path) -> list[tuple[str, str, str]]:
    with open_store(folder / "data") as store:
        return [(one.action, one.actor, one.room) for _, one, _ in audited_after(store.journal.read, 0, 10)]


def test_a_folder_at_rest_notes_a_minted_token(tmp_path: Path) -> None:
    """Where there is no folder yet, none is made for it."""
    assert (2, "") == (_minted()[0].count("."), _minted()[1])
    assert not (tmp_path / "data").exists()
    with open_store(tmp_path / "data"):
        pass
    token, said = _minted()
    assert (2, "") == (token.count("."), said)
    assert [("token_minted", "admin:local", "class")] == _noted(tmp_path)


def test_a_relay_notes_it_for_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the folder; the token is in no address and in no line of its log."""
    with relay_with(tmp_path, {"class": {}}) as relay:
        monkeypatch.setenv("CHATSYNC_DATA_FOLDER", str(relay.folder / "data"))
        monkeypatch.setenv("CHATSYNC_PORT", str(relay.port))
        token, said = _minted()
        assert "" == said
    with open_store(relay.folder / "data") as store:
        ((_, one, _),) = audited_after(store.journal.read, 0, 10)
    assert ("token_minted", "class") == (one.action, one.room)
    assert token.rpartition(".")[2] not in relay.log.read_text()


def test_where_it_cannot_be_noted_it_is_minted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the secret has the token anyway."""
    monkeypatch.setenv("CHATSYNC_PORT", "9")
    with open_store(tmp_path / "data"):
        token, said = _minted()
    assert 2 == token.count(".")
    assert "does not say that this token was minted" in said
