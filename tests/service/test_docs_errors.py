"""docs/errors.md explains every code and every reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import chatsync.service.app  # noqa: F401 - every module that defines an error is imported
from chatsync.errors import ChatsyncError
from chatsync.service.problems import HTTP_CODES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()
EXPLAINED = {word for heading in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) for word in heading.split(", ")}


def codes(top: type[ChatsyncError]) -> Iterator[str]:
    """Codes of an error and all below it."""
    yield top.code
    for below in top.__subclasses__():
        yield from codes(below)


def test_every_code_has_its_heading() -> None:
    """Whoever gets a code can look it up."""
    assert set() == {*codes(ChatsyncError), *HTTP_CODES.values(), "internal", "unknown_type"} - EXPLAINED


def test_every_reason_of_a_refusal_is_told() -> None:
    """Each word that can stand in `reason`."""
    source = "\n".join(path.read_text() for path in (ROOT / "chatsync").rglob("*.py"))
    reasons = set(re.findall(r'MessageRejectedError\(\s*"(\w+)"', source))
    assert set() == {reason for reason in reasons if f"| `{reason}` |" not in PAGE}
