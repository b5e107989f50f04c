"""Which sources there are: ours, and those that other packages bring along.

Owns: the entry points of the group ``chatsync.sources``. Does not know: what they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from chatsync.sources.contract import Connector, Source
from chatsync.sources.irc import IRC, TWITCH

__all__ = ["GROUP", "connector_of", "sources"]

GROUP = "chatsync.sources"
_OURS: tuple[Source, ...] = (IRC, TWITCH)


@cache
def sources() -> Mapping[str, Source]:
    """Sources by the scheme of their addresses. Nobody takes the place of ours."""
    brought = [point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))]
    found: dict[str, Source] = {}
    for source in (*_OURS, *brought):
        for scheme in source.schemes:
            found.setdefault(scheme, source)
    return found


def connector_of(url: str, secrets: Mapping[str, str]) -> Connector:
    """The connector of an address.

    Raises:
        ValueError: no source has such addresses, or the one that does refuses this one, with a sentence why.
    """
    source = sources().get(url.partition(":")[0].lower())
    if source is None:
        raise ValueError(f"no source has such an address; there are {', '.join(sorted(sources()))}")
    return source.connector(url, secrets)
