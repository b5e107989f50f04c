"""docs/policy.md is what the code's own table says."""

from __future__ import annotations

from pathlib import Path

from chatsync.chat.policy import ACTIONS
from chatsync.service.policy_page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policy.md"


def test_the_page_is_as_the_code_prints_it() -> None:
    """Make it anew with ``python -m chatsync.service.policy_page > docs/policy.md``."""
    assert page() == PAGE.read_text()


def test_it_says_when_of_every_action() -> None:
    """Who never may has an empty cell; who may in some mode is told which."""
    rows = {line.split("`")[1]: line.split(" | ") for line in page().splitlines() if line.startswith("| `")}
    assert set(ACTIONS) <= set(rows)
    assert [
        "| `say_message`",
        "`everyone`, `messages`",
        "`everyone`, `messages`",
        "`participants`, `messages`",
    ] == rows["say_message"][:4]
    assert ("`hosts`", "`nobody`") == (rows["say_announcement"][4], rows["say_announcement"][5])
