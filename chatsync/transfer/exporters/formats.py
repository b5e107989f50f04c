"""Which formats chat is exported in: one table for the command, the HTTP route and the docs.

Owns: name, ending and media type of each, and which lines it has a place for. Does not know: how they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chatsync.transfer.exporters import bilibili, chapters, rows, subtitles, twitch_downloader
from chatsync.transfer.exporters.plain import several_lines
from chatsync.transfer.line import About, Line

__all__ = ["FORMATS", "Format"]

_Text = Callable[[Iterable[Line], About], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: as commands and addresses have it.
        suffix: of files, with the point.
        media_type: for HTTP.
        write: lines by place → the file, a piece at a time.
        by_position: it is of one airing or recording, and a line without a position in it, or without text, has no place.
    """

    name: str
    suffix: str
    media_type: str
    write: Callable[[Iterable[Line], About], Iterator[bytes]]
    by_position: bool

    def takes(self, line: Line) -> bool:
        """Whether there is a place for it."""
        return not self.by_position or (
            line.position_us is not None and line.position_us >= 0 and several_lines(line.text) != ""
        )


def _encoded(write: _Text) -> Callable[[Iterable[Line], About], Iterator[bytes]]:
    def written(lines: Iterable[Line], about: About) -> Iterator[bytes]:
        return (piece.encode("utf-8", "replace") for piece in write(lines, about))

    return written


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        one.name: one
        for one in (
            Format("ndjson", ".ndjson", "application/x-ndjson", _encoded(rows.ndjson), by_position=False),
            Format("csv", ".csv", "text/csv; charset=utf-8", _encoded(rows.csv), by_position=False),
            Format("parquet", ".parquet", "application/vnd.apache.parquet", rows.parquet, by_position=False),
            Format(
                "twitch_downloader",
                ".json",
                "application/json",
                _encoded(twitch_downloader.twitch_downloader),
                by_position=True,
            ),
            Format("webvtt", ".vtt", "text/vtt; charset=utf-8", _encoded(subtitles.webvtt), by_position=True),
            Format("srt", ".srt", "application/x-subrip; charset=utf-8", _encoded(subtitles.srt), by_position=True),
            Format("ass", ".ass", "text/x-ssa; charset=utf-8", _encoded(subtitles.ass), by_position=True),
            Format("bilibili", ".xml", "application/xml; charset=utf-8", _encoded(bilibili.bilibili), by_position=True),
            Format(
                "chapters", ".chapters.vtt", "text/vtt; charset=utf-8", _encoded(chapters.chapters), by_position=True
            ),
        )
    }
)
"""By name."""
