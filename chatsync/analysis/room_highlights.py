"""Highlights of a room's airing or recording.

Owns: which messages count, which peaks begin a chapter. Does not know: how peaks are found (``analysis.highlights``). Units: seconds from the start of the airing's media, or of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chatsync.analysis.highlights import DENSITY, Clip, Density, clips, fitted_lag_s, peaks
from chatsync.analysis.lines import RoomLines
from chatsync.analysis.opened import OpenArchive
from chatsync.errors import QuestionError
from chatsync.instants import SECOND_US, Range
from chatsync.transfer.line import Line

__all__ = ["SAID", "Found", "peak_chapters", "room_highlights"]

SAID = {
    True: (
        "SELECT parts.position_us / 1e6 + (epoch_us(said.program_us) - epoch_us(parts.program_us)) / 1e6 AS at_s, said.text "
        "FROM messages AS said JOIN recordings AS parts ON parts.room = $room AND parts.recording = $recording AND parts.broadcast = said.broadcast "
        "AND said.program_us >= parts.program_us AND said.program_us < parts.program_us + to_microseconds(parts.duration_us) "
        "WHERE said.room = $room AND said.role NOT IN ('host', 'moderator', 'system')"
    ),
    False: (
        "SELECT (epoch_us(program_us) - $start_us) / 1e6 AS at_s, text FROM messages "
        "WHERE room = $room AND broadcast = $broadcast AND role NOT IN ('host', 'moderator', 'system')"
    ),
}
"""SQL of what is looked at, of a recording (True) or of an airing: those who watch, not those who teach, whose words are not an answer to the picture."""

_LABELS_MIN = 3  # fewer fix a lag by chance
_TOPS_PER_LABEL = 2
_PEAKS_MAX = 5  # in a list of chapters
_PEAK_MESSAGES_MIN = 10  # within what a peak looks at; fewer are hardly one
_PEAK_TIMES_USUAL = 2  # a chat that is as dense everywhere has none
_NEAR_S = 36  # what a peak looks at


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Clips, best first, and what they were made with.

    Attributes:
        lag_s: of chat behind the picture.
        lag_from: given, labels, or rise.
        title: of the airing or recording.
    """

    clips: list[Clip]
    lag_s: float
    lag_from: str
    title: str
    room: str
    broadcast: int | None
    recording: str | None


def room_highlights(
    archive: OpenArchive,
    room: str,
    *,
    broadcast: int | None = None,
    recording: str | None = None,
    count: int = 10,
    lag_s: float | None = None,
    labels: Sequence[tuple[float, float]] = (),
) -> Found:
    """What should be clipped.

    Args:
        archive: opened.
        room: the room.
        broadcast: which airing; None: the latest.
        recording: at the positions of this recording instead.
        count: at most so many.
        lag_s: of chat behind the picture, if it is known.
        labels: (start, end) of what is known to be a highlight, to learn the lag from; three or more.

    Raises:
        NotFoundError: there is no such room, airing or recording.
        QuestionError: airing and recording are both given, or fewer than three labels.

    Cost: 0.1 s for a hundred thousand messages, half a second for a million.
    """
    if 0 < len(labels) < _LABELS_MIN:
        raise QuestionError(f"a lag is learned from {_LABELS_MIN} labels or more")
    lines = RoomLines(archive, room, broadcast=broadcast, recording=recording)
    if recording is None and len(lines.broadcasts) > 1:
        lines = RoomLines(archive, room, broadcast=lines.broadcasts[-1])
    about = lines.about
    number = None if recording is not None else lines.broadcasts[-1]
    values: dict[str, object] = {"room": room}
    values |= {"recording": recording} if recording is not None else {"broadcast": number, "start_us": about.start_us}
    connection = archive.connection
    connection.execute(f"CREATE OR REPLACE TEMP TABLE said AS {SAID[recording is not None]}", values)
    lag_from = "rise" if lag_s is None else "given"
    if lag_s is None and labels:
        density: Density = dict(connection.execute(DENSITY).fetchall())
        lag_s, lag_from = fitted_lag_s([(peaks(density, _TOPS_PER_LABEL * len(labels)), labels)]), "labels"
    found, used_s = clips(connection, count, lag_s=lag_s)
    return Found(
        clips=found,
        lag_s=used_s,
        lag_from=lag_from,
        title=about.title,
        room=room,
        broadcast=number,
        recording=recording,
    )


def peak_chapters(
    archive: OpenArchive,
    room: str,
    *,
    broadcast: int | None = None,
    recording: str | None = None,
    within: Range | None = None,
) -> list[Line]:
    """The highest peaks of chat as beginnings of chapters, by place: at most five, each twice as dense as the chat is on the whole.

    Args:
        archive: opened.
        room: the room.
        broadcast: which airing; None: the latest.
        recording: at the positions of this recording instead.
        within: only what begins in this range of program time.

    Raises:
        NotFoundError: there is no such room, airing or recording.

    Cost: as :func:`room_highlights`.
    """
    found = room_highlights(archive, room, broadcast=broadcast, recording=recording, count=_PEAKS_MAX)
    about = RoomLines(archive, room, broadcast=found.broadcast, recording=recording).about
    [(messages,)] = archive.connection.execute("SELECT count(*) FROM said WHERE at_s >= 0").fetchall()
    usual = messages * _NEAR_S / max(about.duration_us / SECOND_US, _NEAR_S)
    lines = []
    for clip in found.clips:
        position_us = round(clip.start_s) * SECOND_US
        program_us = _program_us(archive, room, recording, position_us) if recording else about.start_us + position_us
        is_outside = within is not None and not (
            program_us is not None and within.start_us <= program_us < within.end_us
        )
        if clip.messages < max(_PEAK_MESSAGES_MIN, _PEAK_TIMES_USUAL * usual) or is_outside:
            continue
        text = f"{clip.messages} messages"
        lines.append(Line(id="", kind="peak", program_us=program_us, position_us=position_us, text=text))
    return sorted(lines, key=lambda line: line.position_us or 0)


def _program_us(archive: OpenArchive, room: str, recording: str, position_us: int) -> int | None:
    """Program time at a position of a recording; None in an insert."""
    rows = archive.sql(
        "SELECT epoch_us(program_us) + $position - position_us FROM recordings WHERE room = $room AND recording = $recording "
        "AND position_us <= $position AND $position < position_us + duration_us",
        room=room,
        recording=recording,
        position=position_us,
    ).fetchall()
    return int(rows[0][0]) if rows else None
