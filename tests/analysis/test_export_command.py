"""``chatsync export``: what it writes, where, and what it refuses."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatsync.cli import app
from chatsync.store.opening import open_store
from chatsync.transfer.exporters.formats import FORMATS
from tests.store.deeds import placed, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with an airing of three messages, one archived, one without text."""
    with open_store(tmp_path / "data") as store:
        said(store, placed("a", 0, "hello"))
        store.archive.archive_now()
        said(store, placed("b", 60, "why?"), placed("c", 61, ""))
    return tmp_path / "data"


def _run(folder: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["export", "math", "--data", str(folder), *words])
    return result.exit_code, result.output


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_written_in_the_format_its_name_ends_in(folder: Path, tmp_path: Path, name: str) -> None:
    """Every format by its ending alone; what it has no place for is counted."""
    target = tmp_path / f"out{FORMATS[name].suffix}"
    status, told = _run(folder, "-o", str(target), "--json")
    lines = {"chapters": 1}.get(name, 2 if FORMATS[name].by_position else 3)
    left_out = 1 if lines == 2 else 0
    assert (0, {"room": "math", "format": name, "file": str(target), "lines": lines, "left_out": left_out}) == (
        status,
        json.loads(told),
    )
    assert target.stat().st_size > 0
    assert [target.name, "data"] == sorted((one.name for one in tmp_path.iterdir()), reverse=True)


def test_a_file_may_be_packed_and_standard_output_is_the_file(folder: Path, tmp_path: Path) -> None:
    """``.gz`` packs what is before it; without a file the same bytes are printed."""
    packed = tmp_path / "out.ndjson.gz"
    assert 0 == _run(folder, "-o", str(packed))[0]
    assert (0, gzip.decompress(packed.read_bytes()).decode()) == _run(folder, "--format", "ndjson")


def test_names_may_be_left_out(folder: Path) -> None:
    """Pseudonyms alone, for whoever hands the file on."""
    assert '"name":"Ann"' in _run(folder, "--format", "ndjson")[1]
    assert '"name":""' in _run(folder, "--format", "ndjson", "--no-names")[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-o", "out.docx"], "--format"),
        (["--format", "ndjson", "--json"], "--output"),
        (["--format", "srt", "--broadcast", "9"], "broadcast 9"),
        (["--format", "srt", "--recording", "none"], "recording none"),
        (["--format", "srt", "--from", "yesterday"], "no instant"),
        (["--format", "srt", "--from", "2026-01-01T00:00:00"], "time zone"),
        (["--format", "srt", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "before --from"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(folder: Path, words: list[str], reason: str) -> None:
    """Nothing is written, and the reason says what to do."""
    status, told = _run(folder, *words)
    assert 2 == status
    assert reason in told


def test_what_is_timed_needs_one_airing(folder: Path) -> None:
    """Of a room with several, the numbers are named; rows take them all."""
    with open_store(folder) as store:
        said(store, placed("d", 0, "again", broadcast=2))
    status, told = _run(folder, "--format", "webvtt")
    assert (2, True) == (status, "one of 1, 2 with --broadcast" in told)
    assert 4 == _run(folder, "--format", "ndjson")[1].count("\n")


def test_a_file_that_cannot_be_written_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """A folder that is not there is named; no half file stays."""
    status, told = _run(folder, "-o", str(tmp_path / "none" / "out.csv"))
    assert (1, True) == (status, "cannot be written" in told)
