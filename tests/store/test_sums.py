"""Sums over tables: what is asked for by a damaged key is told as damage."""

from __future__ import annotations

from typing import Any

import pytest

from chatsync.errors import CorruptError
from chatsync.store import sums
from chatsync.store.opening import Store


@pytest.mark.parametrize(
    "key", [(None, "someone"), ("math", None), (b"math", "someone")], ids=["none", "half", "bytes"]
)
def test_a_key_that_is_no_text_was_read_where_something_is_damaged(store: Store, key: tuple[Any, ...]) -> None:
    """Tables are asked for by what stands in other rows; a flipped bit there is not a fault of the relay."""
    with pytest.raises(CorruptError):
        sums.group(store.journal.reads, "spoke", key)
