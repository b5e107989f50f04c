"""Files of old revisions: taken away, tried again where the disk refuses, and told each time."""

from __future__ import annotations

from pathlib import Path

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario
from tests.stage import START_US, stage

LECTURE = Scenario(START_US)


async def test_a_file_that_the_disk_does_not_let_go_is_tried_again_and_told_again(tmp_path: Path) -> None:
    """Told at once, since the relay gives it out no more; and when it is gone, since a web server may have given it out until then."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 10)
        bad = await it.said_at(START_US + 4 * SECOND_US, "bad")
        await it.said_at(START_US + 5 * SECOND_US, "fine")
        await it.stream(LECTURE, 625, step_s=10)
        await it.seal()
        told: list[int] = []
        old = it.sealer().old
        old.on_gone.append(lambda row: told.append(row.revision))
        (file,) = (tmp_path / "data" / "slices" / "public").rglob("*.r1.json.gz")
        file.unlink()
        (file / "in the way").mkdir(parents=True)  # what cannot be unlinked
        await it.act("hide", target=bad)
        await it.seal()
        assert ([1], True) == (told, old.is_left)
        (file / "in the way").rmdir()
        file.rmdir()
        file.write_bytes(b"still there")
        await it.seal()
        assert ([1, 1], False, False) == (told, old.is_left, file.exists())
