"""Precision on labelled chats whose lag is known, because it was made."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chatsync.analysis.lightor import evaluate
from chatsync.errors import FileDamagedError, SettingsError

LAG_S = 22
START_MS = 840_000


def _video(folder: Path, name: str, chance: random.Random, *, lag_s: float = LAG_S) -> None:
    """An hour with twelve highlights, chat that answers to each a lag later, and chatter."""
    starts = [60 + 280 * number + chance.randrange(60) for number in range(12)]
    said = [(chance.uniform(0, 3_500), "is there a break soon?") for _ in range(300)]
    for start_s in starts:
        said += [(start_s + lag_s + chance.gauss(0, 4), "wow") for _ in range(25)]
    (folder / "chat").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    rows = [
        f"{number}\t{name}\tu{number % 40}\t{text}\t0\t{START_MS + round(at_s * 1000)}"
        for number, (at_s, text) in enumerate(sorted(said))
    ]
    (folder / "chat" / f"{name} {START_MS}.csv").write_text(
        "\n".join([*rows, f'9\t{name}\tu\tan "odd\tone\t0\t{START_MS + 1}'][:-1]) + "\n"
    )
    clocks = [
        tuple(f"{at_s // 60:03}-{at_s % 60:02}" for at_s in (start_s + 30, start_s, start_s + 15)) for start_s in starts
    ]
    (folder / "labels" / f"{name}.csv").write_text(
        "".join(" ".join(row) + "\n" for row in [*clocks, ("001-00", "000-00", "000-00")])
    )


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Two videos to learn from and three to be tried on."""
    chance = random.Random(5)
    for part, count in (("train", 2), ("test", 3)):
        for number in range(count):
            _video(tmp_path / part, f"{part}{number}", chance)
    return tmp_path


def test_the_lag_is_learned_and_nearly_all_starts_are_right(labelled: Path) -> None:
    """What was made with 22 s is found with about as much; the keys are those that were promised."""
    found = evaluate(labelled)
    assert ["precision", "lag_s", "train", "test"] == list(found)
    assert ["1", "3", "5", "10"] == list(found["precision"])
    assert (2, 3) == (found["train"], found["test"])
    assert LAG_S - 8 <= found["lag_s"] <= LAG_S + 12
    assert all(precision >= 0.9 for precision in found["precision"].values())


def test_without_the_lag_of_its_chat_a_video_is_missed(labelled: Path) -> None:
    """Chat that answers a minute later than what was learned finds nothing: it is the lag that does it."""
    for path in [*labelled.glob("test/chat/*"), *labelled.glob("test/labels/*")]:
        path.unlink()
    _video(labelled / "test", "late", random.Random(1), lag_s=LAG_S + 60)
    assert evaluate(labelled)["precision"]["10"] <= 0.2


def test_what_is_laid_out_otherwise_is_said(labelled: Path, tmp_path: Path) -> None:
    """A missing folder, a name without its start, a chat or labels of another kind: each is named."""
    with pytest.raises(SettingsError, match="no chat"):
        evaluate(tmp_path / "nothing")
    [label] = list(labelled.glob("train/labels/train0.csv"))
    label.write_text("one two\n")
    with pytest.raises(FileDamagedError, match=r"train0\.csv"):
        evaluate(labelled)
    label.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        evaluate(labelled)
    (labelled / "train" / "chat" / "odd.csv").write_text("x")
    with pytest.raises(FileDamagedError, match="start ms"):
        evaluate(labelled)
