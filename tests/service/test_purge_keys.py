"""Purge keys: one for all revisions of a slice, different in each room, telling nothing, and only where a cache reads them."""

from __future__ import annotations

from chatsync.service.purge_keys import PurgeKeys


def test_keys_are_of_their_room_and_slice_and_tell_neither() -> None:
    """Different for each, the same every time, other ones with another secret."""
    keys, others = PurgeKeys(b"a" * 32), PurgeKeys(b"b" * 32)
    made = [
        keys.room("math"),
        keys.room("art"),
        keys.now("math"),
        keys.slice("math", 1, 1000),
        keys.slice("math", 2, 1000),
        keys.slice("math", 1, 2000),
        keys.slice("art", 1, 1000),
        others.room("math"),
    ]
    assert len(made) == len(set(made))
    assert keys.slice("math", 1, 1000) == PurgeKeys(b"a" * 32).slice("math", 1, 1000)
    assert not any("math" in key or "1000" in key for key in made)
    assert {"room", "now", "slice"} == {key.partition(":")[0] for key in made}


def test_a_header_is_there_only_where_a_cache_reads_it() -> None:
    """None for a cache that is told URLs; each vendor's own, in its own form."""
    assert [] == PurgeKeys(b"a" * 32).of_now("math") == PurgeKeys(b"a" * 32, {"http"}).of_slice("math", 1, 0)
    keys = PurgeKeys(b"a" * 32, {"fastly", "ban", "cloudflare", "http"})
    room, now = keys.room("math"), keys.now("math")
    assert [
        (b"surrogate-key", f"{room} {now}".encode()),
        (b"cache-tag", f"{room},{now}".encode()),
    ] == keys.of_now("math")
    assert [b"surrogate-key"] == [name for name, _ in PurgeKeys(b"a" * 32, {"ban"}).of_slice("math", 1, 0)]
