"""docs/websocket.md tells every frame and every close code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from chatsync.chat.wire import ClientFrame, CloseCode

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "websocket.md").read_text()
HEADINGS = set(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE))
SERVER_FRAMES = ["welcome", "ack", "error", "events", "gone", "back", "tallies", "state", "broadcast", "reset", "pong"]


@pytest.mark.parametrize("frame", get_args(ClientFrame), ids=lambda frame: str(frame.__name__))
def test_every_frame_of_a_client_has_its_heading_and_fields(frame: type) -> None:
    """A frame that can be sent is described, field by field."""
    name = str(frame.__struct_config__.tag)  # type: ignore[attr-defined]
    assert name in HEADINGS
    for field in frame.__struct_fields__:  # type: ignore[attr-defined]
        assert f"`{field}`" in PAGE or f'"{field}"' in PAGE


@pytest.mark.parametrize("name", SERVER_FRAMES)
def test_every_frame_of_the_relay_has_its_heading(name: str) -> None:
    """A frame that can come is described."""
    assert name in HEADINGS


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_is_told(code: CloseCode) -> None:
    """With what it means."""
    assert f"| {int(code)} |" in PAGE
