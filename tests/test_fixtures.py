"""The fixtures are what their maker makes, and the timeline reads them as they were meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chatsync.hls.follower import Follower
from fixtures.make_fixtures import FOLDER, files

CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def test_what_is_committed_is_what_is_made() -> None:
    """Nobody edits a fixture by hand, and none is left over."""
    made = files()
    assert {path: text for path, text in made.items() if path.read_text() != text} == {}
    assert set(made) == {path for path in FOLDER.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_following_the_answers_gives_the_expected_timeline(case: str) -> None:
    """A folder is a case: each answer is what it says, and in the end every segment stands where it was encoded."""
    folder: Path = FOLDER / case
    expected = json.loads((folder / "expected.json").read_text())
    follower = Follower("http://origin.example/live.m3u8", now_us=0)
    kinds = []
    for index, path in enumerate(sorted(folder.glob("*.m3u8"))):
        reload = follower.receive_playlist(
            path.read_text(), url="http://origin.example/live.m3u8", age_us=0, now_us=index * 2_000_000
        )
        kinds.append(reload.kind)
    found = [
        {"media_sequence": s.media_sequence, "program_us": s.program_us, "duration_us": s.duration_us}
        for run in follower.timeline.runs
        for s in follower.timeline.segments(run.run)
    ]
    assert (expected["kinds"], expected["segments"]) == (kinds, found)
