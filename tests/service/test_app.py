"""The application opens and closes everything, and serves the player so that any page may embed it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatsync.errors import SettingsError
from chatsync.service.app import create_app, player_folder
from chatsync.service.clock import ManualClock
from chatsync.service.hub import Hub
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings
from chatsync.store.files import FolderLockedError
from tests.relay import SECRET
from tests.stage import START_US, stage

OPEN = {"class": {"public": True}}


def _settings(folder: Path, secret: str = SECRET) -> Settings:
    return Settings(
        data_folder=folder / "data",
        token_secret=secret,  # type: ignore[arg-type]
        rooms={"class": RoomSettings(public=True)},
    )


def test_unsafe_settings_are_refused_before_anything_is_opened(tmp_path: Path) -> None:
    """A short secret: the reason is told, the secret is not, and no folder is made."""
    with pytest.raises(SettingsError) as raised:
        create_app(_settings(tmp_path, "too short"))
    assert "32" in str(raised.value)
    assert "too short" not in str(raised.value)
    assert not (tmp_path / "data").exists()


async def test_a_folder_is_served_by_one_process_at_a_time(tmp_path: Path) -> None:
    """A second application on the same folder does not start; when the first has ended, it does."""
    async with stage(tmp_path, OPEN):
        second = create_app(_settings(tmp_path))
        with pytest.raises(FolderLockedError):
            async with second.router.lifespan_context(second):
                pass
    async with stage(tmp_path, OPEN) as it:
        assert "class" in it.hub.rooms


async def test_whoever_looks_on_is_told_when_it_serves(tmp_path: Path) -> None:
    """`started` gets the hub with its rooms running."""
    told: list[Hub] = []
    app = create_app(_settings(tmp_path), ManualClock(START_US), started=told.append)
    async with app.router.lifespan_context(app):
        assert ["class"] == list(told[0].rooms)
    assert told[0].is_stopping


async def test_everything_that_was_acked_is_there_after_a_clean_stop(tmp_path: Path) -> None:
    """Stop and start: the log goes on where it was."""
    async with stage(tmp_path, OPEN) as it:
        offset = (await it.say("hello"))["offset"]
    async with stage(tmp_path, OPEN) as it:
        assert offset == it.room().log.position.offset
        assert offset + 1 == (await it.say("again"))["offset"]


async def test_any_page_may_load_the_player(tmp_path: Path) -> None:
    """The script carries headers that let pages of other origins use it."""
    if not player_folder().is_dir():
        pytest.skip("the player is not built (make player)")
    script = next(file.name for file in player_folder().iterdir() if file.name.endswith(".js"))
    async with stage(tmp_path, OPEN) as it:
        answer = await it.get(f"/player/{script}")
        assert (200, "*") == (answer.status_code, answer.headers["access-control-allow-origin"])
        assert "nosniff" == answer.headers["x-content-type-options"]
