"""A data folder with a term of simulated classes, written as a relay would have left it: for notebooks and for trying questions.

Owns: how the story (``demo.classes``) becomes events, segments, reloads and counts of viewers. Does not know: what is in the story.
Units: µs since the Unix epoch; program time unless a name says wall time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chatsync.chat.event import Author, Draft, Stamp
from chatsync.demo.classes import COURSE, LECTURE_US, SEGMENT_US, Lecture, Said, Student, term
from chatsync.errors import SettingsError
from chatsync.hls.timeline import LiveEdge
from chatsync.hls.track import Run, Segment
from chatsync.instants import MINUTE_US, MS_US, SECOND_US, Range, ms_from_us, whole_ms_us
from chatsync.store.opening import Store, open_store

__all__ = ["write_term"]

_LAG_US = 1_800 * MS_US  # from the camera to the playlist
_MEDIAN_LATENCY_US = 12 * SECOND_US  # of the room's viewers: what an estimate goes by


def write_term(
    folder: Path, *, seed: int = 1, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, int]:
    """Write twelve lectures of two rooms of one course, with their archive.

    Args:
        folder: a new data folder, or an empty one.
        seed: which term.
        progress: told (what, done, of how many).

    Returns:
        How many ``lectures``, ``events`` and ``files`` were written.

    Raises:
        SettingsError: the folder holds something.
        FolderLockedError: somebody else has it.
        StoreError: it cannot be written.

    Cost: 3 s.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty: name a new folder")
    students, lectures = term(seed)
    events, runs = 0, dict.fromkeys((lecture.room for lecture in lectures), 1)
    with open_store(folder) as store:
        for number, lecture in enumerate(lectures, start=1):
            events += store.writer.call(_Written(store, students, lecture, runs[lecture.room])).result()
            runs[lecture.room] += lecture.lost_us is not None
            if progress is not None:
                progress("lectures", number, len(lectures))
        files = store.archive.archive_now()
    return {"lectures": len(lectures), "events": events, "files": files}


class _Written:
    """One lecture, in one transaction."""

    def __init__(self, store: Store, students: tuple[Student, ...], lecture: Lecture, first_run: int) -> None:
        self._store, self._students, self._lecture, self._first_run = store, students, lecture, first_run
        self._broadcast = lecture.week + 1
        self._offsets: dict[str, int] = {}

    def __call__(self, connection: sqlite3.Connection) -> int:
        lecture, catalog = self._lecture, self._store.catalog
        if lecture.week == 0:
            settings = {
                "title": f"{lecture.room.title()}, autumn term",
                "course": COURSE,
            }
            catalog.put_room(connection, lecture.room, settings)
        segments = list(self._segments())
        catalog.put_broadcast(connection, lecture.room, self._record(segments))
        catalog.put_segments(connection, lecture.room, self._known_runs(), [(self._broadcast, segments)])
        for number, segment in enumerate(segments):
            self._observe(connection, segment, number)
        if lecture.lost_us is not None:
            lost = Range(*(lecture.start_us + at_us for at_us in lecture.lost_us))
            catalog.put_gap(connection, lecture.room, self._broadcast, lost, "encoder_restarted")
        for minute, count in enumerate(lecture.viewers):
            minute_us = lecture.start_us + minute * MINUTE_US
            catalog.note_viewers(connection, lecture.room, self._broadcast, minute_us, count)
        catalog.put_recording(connection, lecture.room, f"lecture-{lecture.week + 1}", self._recording())
        self._append(connection, Said(0, "broadcast_opened", None, details={"title": lecture.title}))
        for said in lecture.said:
            self._append(connection, said)
        self._append(connection, Said(LECTURE_US, "broadcast_closed", None, details={"reason": "ended"}))
        return len(lecture.said) + 2

    # --- the stream -----------------------------------------------------------------------------------------------

    def _segments(self) -> list[Segment]:
        found: list[Segment] = []
        lost_us = self._lecture.lost_us
        run, position_us, first = self._first_run, 0, self._broadcast * 10_000
        at_us = 0
        while at_us < LECTURE_US:
            if lost_us is not None and at_us == lost_us[0]:
                at_us, run, position_us, first = lost_us[1], run + 1, 0, 0
            found.append(
                Segment(
                    run=run,
                    media_sequence=first + position_us // SEGMENT_US,
                    uri_path=f"/{self._lecture.room}/{run}-{first + position_us // SEGMENT_US}.ts",
                    duration_us=SEGMENT_US,
                    position_us=position_us,
                    program_us=self._lecture.start_us + at_us,
                    program_source="explicit",
                )
            )
            at_us, position_us = at_us + SEGMENT_US, position_us + SEGMENT_US
        return found

    def _known_runs(self) -> list[Run]:
        base_url, lost_us = f"https://video.example.org/{self._lecture.room}/", self._lecture.lost_us
        runs = [
            Run(
                self._first_run,
                base_url,
                self._lecture.start_us + _LAG_US,
                "first" if self._first_run == 1 else "restart",
            )
        ]
        if lost_us is not None:
            runs.append(Run(self._first_run + 1, base_url, self._lecture.start_us + lost_us[1] + _LAG_US, "restart"))
        return runs

    def _record(self, segments: list[Segment]) -> dict[str, Any]:
        first, last = segments[0], segments[-1]
        start_us = self._lecture.start_us
        end_us = start_us + LECTURE_US
        return {
            "number": self._broadcast,
            "opened_wall_us": start_us + _LAG_US,
            "start_us": start_us,
            "edge_us": end_us,
            "lag_us": _LAG_US,
            "advanced_wall_us": end_us + _LAG_US,
            "target_duration_us": SEGMENT_US,
            "is_synthetic": False,
            "first_run": first.run,
            "first_media_sequence": first.media_sequence,
            "last_run": last.run,
            "last_media_sequence": last.media_sequence,
            "closed_wall_us": end_us + _LAG_US + MINUTE_US,
            "closed_reason": "ended",
            "last_origin_us": None,
            "hold_back_us": 3 * SEGMENT_US,
            "arrivals": 0,
        }

    def _recording(self) -> dict[str, Any]:
        """The lecture as somebody cut it: without its break and without what was lost."""
        left_out = sorted(
            (moment.start_us, moment.end_us) for moment in self._lecture.moments if moment.what in {"break", "lost"}
        )
        spans, at_us, position_us = [], 0, 0
        for start_us, end_us in (*left_out, (LECTURE_US, LECTURE_US)):
            spans.append(
                {
                    "position_ms": ms_from_us(position_us),
                    "duration_ms": ms_from_us(start_us - at_us),
                    "broadcast": self._broadcast,
                    "program_ms": ms_from_us(self._lecture.start_us + at_us),
                    "method": "segments",
                    "score": 1.0,
                }
            )
            at_us, position_us = end_us, position_us + start_us - at_us
        return {"title": self._lecture.title, "duration_ms": ms_from_us(position_us), "spans": spans}

    def _observe(self, connection: sqlite3.Connection, segment: Segment, number: int) -> None:
        """The reload that first listed a segment: a while after its end, now and then a second late, now and then from a cache."""
        noise = hashlib.blake2b(f"{segment.uri_path} {self._broadcast}".encode(), digest_size=4).digest()
        late_us = noise[0] * 2_000 + (SECOND_US if noise[1] < 12 else 0)
        program_us = (segment.program_us or 0) + segment.duration_us
        self._store.catalog.put_observation(
            connection,
            self._lecture.room,
            wall_us=program_us + _LAG_US + late_us,
            age_us=SECOND_US if noise[2] < 20 else 0,
            edge=LiveEdge(
                segment.run, segment.media_sequence, 0, segment.position_us + segment.duration_us, program_us
            ),
            kind="first" if number == 0 else "advanced",
            broadcast=self._broadcast,
            step_us=0,
        )

    # --- the chat -------------------------------------------------------------------------------------------------

    def _append(self, connection: sqlite3.Connection, said: Said) -> None:
        student = None if said.student is None else self._students[said.student]
        target = self._offsets.get(said.of)
        is_reply = said.kind == "message" and target is not None
        stamp, wall_us = self._stamped(said, student)
        place = f"{self._lecture.room} {self._lecture.week} {len(self._offsets)}"
        appended = self._store.journal.append(
            connection,
            Draft(
                room=self._lecture.room,
                kind=said.kind,
                id=str(uuid.UUID(bytes=hashlib.blake2b(place.encode(), digest_size=16).digest(), version=4)),
                stamp=stamp,
                wall_us=wall_us,
                author=self._author(said, student),
                text=said.text,
                reply_to=target if is_reply else None,
                target=None if is_reply else target,
                details=said.details,
                source="system" if said.kind in {"reaction", "broadcast_opened", "broadcast_closed"} else "live",
            ),
        )
        self._offsets[said.name or f"event {appended.event.offset}"] = appended.event.offset

    def _author(self, said: Said, student: Student | None) -> Author | None:
        if student is not None:
            return Author(_key(student.name), student.name, "participant")
        is_nobody = said.kind in {"reaction", "broadcast_opened", "broadcast_closed"}
        return None if is_nobody else Author(_key("Dr. Weber"), "Dr. Weber", "host")

    def _stamped(self, said: Said, student: Student | None) -> tuple[Stamp, int]:
        """What the relay would have made of it: the player's claim where it makes one, an estimate by the room's latency where not."""
        program_us = self._lecture.start_us + said.at_us
        if student is None:
            stamp = Stamp(
                stamp="origin", broadcast=self._broadcast, program_us=whole_ms_us(program_us), uncertainty_us=0
            )
            return stamp, program_us + _LAG_US
        wall_us = program_us + student.latency_us
        if student.reports_playhead:
            stamp = Stamp(
                stamp="playhead",
                broadcast=self._broadcast,
                program_us=whole_ms_us(program_us),
                uncertainty_us=40 * MS_US,
                behind_live_us=max(0, student.latency_us - _MEDIAN_LATENCY_US),
                claimed_us=program_us,
                latency_us=student.latency_us,
            )
        else:
            stamp = Stamp(
                stamp="estimate",
                broadcast=self._broadcast,
                program_us=whole_ms_us(max(self._lecture.start_us, wall_us - _MEDIAN_LATENCY_US)),
                uncertainty_us=10 * SECOND_US,
                latency_us=_MEDIAN_LATENCY_US,
            )
        return stamp, wall_us


def _key(name: str) -> str:
    """A pseudonym of the course, such as the relay makes: the same person in both rooms has the same."""
    return hashlib.blake2b(f"{COURSE}\n{name}".encode(), digest_size=16).hexdigest()
