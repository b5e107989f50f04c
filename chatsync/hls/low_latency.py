"""What to ask a low-latency origin for: delivery directives, and when they may be used.

Owns: ``Directives``, how they go into a URL and out of it, which segment and part come next, what a rendition report says of another
variant. Does not know: when to load, what an answer was (``hls.follower``), clocks.
Units: µs. Source: draft-pantos-hls-rfc8216bis-18 §6.2.5 (server), §6.3.7 (client).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from chatsync.hls.playlist import MediaPlaylist, RenditionReport
from chatsync.hls.timeline import LiveEdge

__all__ = [
    "Directives",
    "ServerControl",
    "after_edge",
    "playlist_path",
    "reports_by_path",
    "up_to_report",
    "with_directives",
    "without_directives",
]

_PREFIX = "_HLS_"


class Directives(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of the origin (bis §6.2.5). Nothing set: the playlist as it is now."""

    media_sequence: int | None = None  # wait until the playlist has this segment, or this part of it
    part: int | None = None  # index; needs media_sequence
    skip: Literal["YES", "v2"] | None = None  # leave out what is older than the skip boundary

    @property
    def blocks(self) -> bool:
        """Whether the answer may wait for media to come."""
        return self.media_sequence is not None

    def parameters(self) -> list[str]:
        """As query parameters, in the order of their names, which caches depend on."""
        values = (("_HLS_msn", self.media_sequence), ("_HLS_part", self.part), ("_HLS_skip", self.skip))
        return [f"{name}={value}" for name, value in values if value is not None]


class ServerControl(msgspec.Struct, frozen=True, kw_only=True):
    """What the origin offers, EXT-X-SERVER-CONTROL and EXT-X-PART-INF."""

    can_block_reload: bool = False
    can_skip_until_us: int | None = None
    can_skip_date_ranges: bool = False
    has_parts: bool = False

    @classmethod
    def of(cls, playlist: MediaPlaylist) -> ServerControl:
        """What this answer says is offered."""
        return cls(
            can_block_reload=playlist.can_block_reload,
            can_skip_until_us=playlist.can_skip_until_us,
            can_skip_date_ranges=playlist.can_skip_date_ranges,
            has_parts=playlist.part_target_us is not None or playlist.open_segment is not None,
        )

    def skip(self, copy_age_us: int) -> Literal["YES", "v2"] | None:
        """The skip directive for a copy of this age: only younger than half the skip boundary is it sure to have what is skipped."""
        if self.can_skip_until_us is None or 2 * copy_age_us >= self.can_skip_until_us:
            return None
        return "v2" if self.can_skip_date_ranges else "YES"


def after_edge(edge: LiveEdge, *, has_parts: bool) -> Directives:
    """Ask for what comes next: the next part; after a closed segment the first part of the next; without parts the next segment.

    A part that closes its segment needs no case of its own: an index past the end of a segment means the first part of the next.
    """
    if edge.part_count:
        return Directives(media_sequence=edge.media_sequence, part=edge.part_count)
    return Directives(media_sequence=edge.media_sequence + 1, part=0 if has_parts else None)


def up_to_report(report: RenditionReport, edge: LiveEdge | None) -> Directives | None:
    """Ask another rendition for no less than a report says it has; what the report leaves out is as in the one that made it.

    None if neither says how far it has come. Such a request is answered at once, but not from a cache with an older copy.
    """
    media_sequence, part = report.last_media_sequence, report.last_part
    if media_sequence is None:
        if edge is None:
            return None
        media_sequence = edge.media_sequence
        if part is None and edge.part_count:
            part = edge.part_count - 1
    return Directives(media_sequence=media_sequence, part=part)


def reports_by_path(reports: Iterable[RenditionReport], url: str) -> Mapping[str, RenditionReport]:
    """Reports by the path of the playlist they are about; ``url`` is of the playlist that made them."""
    return {playlist_path(urljoin(url, report.uri)): report for report in reports}


def playlist_path(url: str) -> str:
    """What two addresses of one playlist have in common: hosts, schemes and tokens change between loads and pathways."""
    try:
        return urlsplit(url).path
    except ValueError:
        return url


def with_directives(url: str, directives: Directives) -> str:
    """The URL with these directives and no others, after whatever else its query holds.

    The rest of the query is not touched: tokens may be signed as they stand.
    """
    url = without_directives(url)
    parameters = "&".join(directives.parameters())
    if not parameters:
        return url
    address, mark, fragment = url.partition("#")
    joint = "?" if "?" not in address else "" if address.endswith(("?", "&")) else "&"
    return f"{address}{joint}{parameters}{mark}{fragment}"


def without_directives(url: str) -> str:
    """The URL without delivery directives, else as it is."""
    if _PREFIX not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    kept = [parameter for parameter in parts.query.split("&") if not parameter.startswith(_PREFIX)]
    return urlunsplit(parts._replace(query="&".join(kept)))
