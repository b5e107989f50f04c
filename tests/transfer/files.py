"""What tests of importers need: composed files read as the command reads them, and the shared samples."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatsync.transfer.fields import Known
from chatsync.transfer.line import Left, Line, Removal
from chatsync.transfer.reading import lines_of
from chatsync.transfer.recognising import OpenedFile, format_of
from tests.corpus import SHARED

__all__ = ["KNOWN", "T0_US", "lines", "read", "read_file", "sample", "youtube_line"]

T0_US = 1_773_064_800_000_000  # 2026-03-09T14:00:00Z: position 0 of the shared samples
KNOWN = Known(datetime(2026, 3, 9, tzinfo=UTC))


def read_file(path: Path, known: Known = KNOWN, name: str | None = None) -> list[Line | Removal | Left]:
    """All that a file says, its format told by its content."""
    with OpenedFile(path) as opened:
        return list(lines_of(name or format_of(opened.head), opened.stream, known))


def read(body: bytes | str | Any, known: Known = KNOWN, name: str | None = None) -> list[Line | Removal | Left]:
    """As :func:`read_file`, of a body; one that is no text is written as JSON."""
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        return read_file(path, known, name)


def lines(found: list[Line | Removal | Left]) -> list[Line]:
    """Those that are lines."""
    return [one for one in found if isinstance(one, Line)]


def sample(name: str) -> Path:
    """A shared sample; skips the calling test, with a reason, if it is absent."""
    path = SHARED / "formats" / name
    if not path.is_file():
        reason = f"no sample at {path} (set CHATSYNC_SHARED to the folder that holds formats/)"
        print(reason)
        pytest.skip(reason)
    return path


def youtube_line(
    renderer: dict[str, Any], *, kind: str = "liveChatTextMessageRenderer", **beside: Any
) -> dict[str, Any]:
    """One line of a replay that adds an item."""
    action = {"clickTrackingParams": "x", "addChatItemAction": {"item": {kind: renderer}}}
    return {"replayChatItemAction": {"actions": [action], **beside}}
