"""``heads``: what it says of a room's end survives, and damage to it says nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.store.heads import Head, Heads


def test_heads_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Rooms keep their slots however often they are written and the file is opened."""
    path = tmp_path / "heads"
    heads = Heads(path)
    heads.put("math", Head(1, 5, 77))
    heads.put("a" * 64, Head(2, 2**40, 2**32 - 1))
    heads.flush()
    heads.put("math", Head(1, 6, 78))
    heads.flush()
    heads.close()
    again = Heads(path)
    again.put("bio", Head(1, 1, 1))
    again.flush()
    again.close()
    assert {"math": Head(1, 6, 78), "a" * 64: Head(2, 2**40, 2**32 - 1), "bio": Head(1, 1, 1)} == Heads.read(path)
    assert 0o600 == path.stat().st_mode & 0o777


def test_what_was_forgotten_is_not_written(tmp_path: Path) -> None:
    """Heads of a batch that was lost do not reach the file."""
    heads = Heads(tmp_path / "heads")
    heads.put("math", Head(1, 5, 77))
    assert ["math"] == heads.rooms_put()
    heads.forget()
    heads.flush()
    heads.close()
    assert {} == Heads.read(tmp_path / "heads")


def test_no_file_says_nothing(tmp_path: Path) -> None:
    """A folder from before the first message has no heads."""
    assert {} == Heads.read(tmp_path / "heads")


def test_space_is_taken_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told while the batch can still be refused; writing a head afterwards needs no space."""
    heads = Heads(tmp_path / "heads")
    heads.put("math", Head(1, 1, 1))

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", full)
    size_bytes = (tmp_path / "heads").stat().st_size
    heads.flush()
    assert size_bytes == (tmp_path / "heads").stat().st_size
    reserved = size_bytes // 128
    for number in range(1, reserved):
        heads.put(f"room-{number}", Head(1, 1, 1))
    with pytest.raises(OSError, match="no space"):
        heads.put("one-more", Head(1, 1, 1))
    heads.close()


@given(damage=st.integers(min_value=0, max_value=2 * 128 * 8 - 1))
def test_a_flipped_bit_never_tells_another_head(tmp_path_factory: pytest.TempPathFactory, damage: int) -> None:
    """With any one bit wrong, each slot says what was written in it or nothing."""
    path = tmp_path_factory.mktemp("heads") / "heads"
    written = {"math": Head(1, 5, 77), "bio": Head(3, 9, 12)}
    heads = Heads(path)
    for room, head in written.items():
        heads.put(room, head)
    heads.flush()
    heads.close()
    data = bytearray(path.read_bytes())
    data[damage // 8] ^= 1 << damage % 8
    path.write_bytes(bytes(data))
    assert Heads.read(path).items() <= written.items()


@pytest.mark.parametrize("kept_bytes", [0, 1, 100, 127, 128, 200])
def test_a_torn_file_tells_what_is_whole(tmp_path: Path, kept_bytes: int) -> None:
    """Slots that are not wholly there say nothing, and the file can be written again."""
    path = tmp_path / "heads"
    heads = Heads(path)
    heads.put("math", Head(1, 5, 77))
    heads.put("bio", Head(3, 9, 12))
    heads.flush()
    heads.close()
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert ({"math"} if kept_bytes >= 128 else set()) == set(Heads.read(path))
    again = Heads(path)
    again.put("bio", Head(3, 10, 13))
    again.flush()
    again.close()
    assert Head(3, 10, 13) == Heads.read(path)["bio"]
