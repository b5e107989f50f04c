"""Where the shared playlist corpus is, and what belongs together in it; tests skip with a reason when it is absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "SHARED",
    "corpus_folder",
    "expected_names",
    "listed_names",
    "playlist_text",
    "reload_groups",
    "skip_without_corpus",
]

SHARED = Path(os.environ.get("CHATSYNC_SHARED") or Path(__file__).resolve().parents[1] / ".." / "shared")
ABSENT = f"no playlist corpus at {SHARED / 'corpus'} (set CHATSYNC_SHARED to the folder that holds it)"


def corpus_folder() -> Path | None:
    """Folder of the playlists, or None."""
    folder = SHARED / "corpus" / "playlists"
    return folder if folder.is_dir() else None


def skip_without_corpus() -> Path:
    """Folder of the playlists; skips the calling test, with a printed reason, if it is absent."""
    folder = corpus_folder()
    if folder is None:
        print(ABSENT)
        pytest.skip(ABSENT)
    return folder


def expected_names() -> list[str]:
    """Names of the playlists that have expected values."""
    folder = corpus_folder()
    return (
        []
        if folder is None
        else sorted(path.name.removesuffix(".expected.json") for path in folder.glob("*.expected.json"))
    )


def listed_names(kind: str) -> list[str]:
    """Names of the playlists of a class of the index: ``pdt``, ``nopdt``, ``mv`` or ``malformed``."""
    folder = corpus_folder()
    if folder is None:
        return []
    rows = [line.split("|") for line in (folder / "INDEX.md").read_text().splitlines() if line.startswith("| ")]
    return sorted(row[1].strip().removesuffix(".m3u8") for row in rows if row[2].strip() == kind)


def playlist_text(name: str) -> str:
    """Text of a playlist by name, with or without its ending; line ends as they are."""
    folder = skip_without_corpus()
    return (folder / f"{name.removesuffix('.m3u8')}.m3u8").read_bytes().decode("utf-8", "replace")


def reload_groups() -> list[dict[str, Any]]:
    """The groups of sequences.json that are successive answers of one URL."""
    folder = corpus_folder()
    if folder is None:
        return []
    sequences = json.loads((folder.parent / "sequences.json").read_text())
    return [group for group in sequences["groups"] if group["kind"] == "reload"]
