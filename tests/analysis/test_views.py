"""The views are what docs/analysts.md says they are, column by column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chatsync
from chatsync.store.opening import Store

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analysts.md"
SHOWN = (
    "messages",
    "events",
    "broadcasts",
    "segments",
    "minutes",
    "questions",
    "polls",
    "viewers",
    "observations",
    "recordings",
)


@pytest.mark.parametrize("view", SHOWN)
def test_the_page_has_every_column_with_its_type(store: Store, view: str) -> None:
    """Names, order and types of a view's columns stand in the table under its heading."""
    section = re.search(rf"^### `{view}`\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/analysts.md has no heading for {view}"
    told = re.findall(r"^\| `(\w+)` \| ([A-Z\[\]]+) \|", section[1], re.MULTILINE)
    with chatsync.open_archive(store.files.root) as archive:
        relation = archive.view(view)
        found = [(name, str(type_)) for name, type_ in zip(relation.columns, relation.types, strict=True)]
    assert found == told


def test_every_query_of_the_page_runs(store: Store) -> None:
    """Each SQL block of the page is answered, by an empty archive too."""
    queries = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(queries) >= 10
    with chatsync.open_archive(store.files.root) as archive:
        for query in queries:
            archive.connection.execute(query).fetchall()
