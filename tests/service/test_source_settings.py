"""A room's setting of a chat elsewhere: addresses, and secrets that stay in their file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chatsync.errors import SettingsError
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings, unsafe_reasons
from chatsync.service.source_settings import SourceSettings, source_secrets
from tests.relay import SECRET


def _file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"url": "telnet://host"}, "there are irc"),
        ({"url": "irc://host"}, "irc://host/channel"),
        ({"url": "irc://a:b@host/c"}, "use the secret file"),
        ({"url": "irc://host/" + "c" * 5_000}, "at most 4096"),
        ({"url": "twitch://c", "latency_ms": 60_001}, "60000"),
        ({"latency_ms": 5}, "of no use without url"),
        ({"secret_file": "x"}, "of no use without url"),
    ],
)
def test_what_is_no_source_is_refused(given: dict[str, Any], reason: str) -> None:
    """With a sentence why, and without the value."""
    with pytest.raises(ValidationError, match=reason) as refused:
        SourceSettings(**given)
    assert "a:b" not in str(refused.value)


def test_secrets_are_read_from_a_file_that_nobody_else_can_read(tmp_path: Path) -> None:
    """Comments and empty lines are left out; the connector shows none of them."""
    file = _file(tmp_path, "# of the class\n\nNick: reader\npassword: oauth:s3cret\n")
    room = RoomSettings(source={"url": "twitch://proflinear", "secret_file": file})  # type: ignore[arg-type]
    assert room.names_files
    assert "s3cret" not in repr(room.source_connector())
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="can be read by others"):
        room.source_connector()


@pytest.mark.parametrize("text", ["password", "password:", ": x"])
def test_a_line_that_is_no_secret_is_told_by_its_number(text: str) -> None:
    """Never by what it says."""
    with pytest.raises(SettingsError, match="line 2 is not 'name: value'"):
        source_secrets(f"nick: a\n{text}\n")


def test_a_relay_does_not_start_with_secrets_that_do_not_fit(tmp_path: Path) -> None:
    """All reasons at once, as for other settings."""
    file = _file(tmp_path, "password: s3cret\n")
    room = RoomSettings(source={"url": "irc://irc.example/class", "secret_file": file})  # type: ignore[arg-type]
    reasons = unsafe_reasons(Settings(token_secret=SECRET, rooms={"class": room}))  # type: ignore[arg-type]
    assert ["rooms.class: source: secrets do not travel without TLS; use ircs://"] == reasons


def test_a_source_that_nobody_knows_any_more_keeps_no_relay_from_starting() -> None:
    """The package that brought it may be gone; all else of the room holds, and what else is wrong is still told."""
    record = RoomSettings(title="Class", source={"url": "twitch://class"}).model_dump(mode="json")  # type: ignore[arg-type]
    assert "twitch://class" == RoomSettings.stored(record).source.url
    record["source"]["url"] = "gone://class"
    assert ("Class", None) == (RoomSettings.stored(record).title, RoomSettings.stored(record).source.url)
    with pytest.raises(ValidationError):
        RoomSettings.stored(record | {"batch_ms": 0})


def test_a_room_without_a_source_has_none() -> None:
    """And names no file."""
    assert RoomSettings().source_connector() is None
    assert not RoomSettings().names_files
