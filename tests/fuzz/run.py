"""What must hold whatever an origin sends: ``python -m tests.fuzz.run [--executions N | --seconds S] [--seed S] [--only TARGET]``.

Each execution is made from the seed and its number alone, so that a finding is repeated by ``--begin NUMBER --executions 1``.
Exit status 1 if anything was found; what was found is printed with its number, target and trace.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from chatsync.errors import PlaylistSyntaxError
from chatsync.hls.follower import Follower
from chatsync.hls.playlist import MediaPlaylist, MultivariantPlaylist, parse_playlist, parse_tail
from chatsync.hls.timeline import PLAUSIBLE_DATES, Timeline
from chatsync.instants import SECOND_US
from tests.fuzz.mutation import Mutator, seed_texts
from tests.hls.builders import NOON_US, URL

__all__ = ["Fuzzer", "main"]

_FINDINGS_MAX = 10
_RELOADS_MAX = 6


class Fuzzer:
    """Runs the targets.

    Attributes:
        executions: of each target so far; ``parses`` counts calls of the parser, which every target makes.
    """

    def __init__(self, seed: int) -> None:
        self.executions: Counter[str] = Counter()
        self._seed = seed
        self._rng = random.Random()
        self._mutator = Mutator(seed_texts(), self._rng)
        self.targets: dict[str, Callable[[], None]] = {
            "parse": self._parse,
            "tail": self._tail,
            "timeline": self._timeline,
            "follower": self._follower,
        }

    def run(self, number: int, target: str) -> None:
        """One execution.

        Raises:
            Exception: what must not happen has happened.
        """
        self._rng.seed(self._seed * 1_000_000_007 + number)
        self.executions[target] += 1
        self.targets[target]()

    def _parsed(self, text: str) -> MediaPlaylist | MultivariantPlaylist | None:
        self.executions["parses"] += 1
        try:
            return parse_playlist(text, url=URL + "?t={$a}")
        except PlaylistSyntaxError:
            return None

    def _parse(self) -> None:
        playlist = self._parsed(self._mutator.mutated(self._mutator.text()))
        if not isinstance(playlist, MediaPlaylist):
            if playlist is not None:
                playlist.followed_variant()
            return
        for one in (playlist, playlist.with_dates_within(PLAUSIBLE_DATES)):
            first = one.first_media_sequence
            assert [segment.media_sequence for segment in one.segments] == [*range(first, first + len(one.segments))]
            assert all((segment.program_ns is not None) == one.has_dates for segment in one.segments)
            assert all(segment.duration_ns >= 0 for segment in one.segments)

    def _tail(self) -> None:
        playlist = self._parsed(text := self._mutator.text())
        if isinstance(playlist, MediaPlaylist) and playlist.segments:
            anchor = self._rng.choice(playlist.segments)
            with suppress(PlaylistSyntaxError):
                self.executions["parses"] += 1
                parse_tail(
                    self._mutator.mutated(text),
                    url=URL,
                    anchor_uri=anchor.uri or "",
                    anchor_media_sequence=anchor.media_sequence,
                )

    def _timeline(self) -> None:
        timeline, wall_us = Timeline.empty(), NOON_US
        text = self._mutator.text()
        for step in range(_RELOADS_MAX):
            wall_us += self._rng.randrange(20 * SECOND_US)
            playlist = self._parsed(self._next(text, step))
            if not isinstance(playlist, MediaPlaylist):
                continue
            before = timeline
            timeline, _ = timeline.extended(
                playlist, wall_us=wall_us, url=URL, other_variant=self._rng.randrange(20) == 0
            )
            if self._rng.randrange(8) == 0:
                timeline = timeline.with_synthetic_axis(wall_us)
            _check_moves(before, timeline)
        _check_answers(timeline)

    def _follower(self) -> None:
        now_us = NOON_US
        follower = Follower(URL, now_us=now_us, abridged_characters_min=self._rng.choice((0, 64 * 1024)))
        text = self._mutator.text()
        for step in range(_RELOADS_MAX):
            due_us = follower.wake_at_us()
            now_us = max(now_us, now_us if due_us is None else due_us) + self._rng.randrange(SECOND_US)
            url = follower.next_request(now_us=now_us)
            if self._rng.randrange(10) == 0:
                follower.receive_failure("status", now_us=now_us)
                continue
            self.executions["parses"] += 1
            before = follower.timeline
            follower.receive_playlist(
                self._next(text, step), url=url, age_us=self._rng.choice((0, SECOND_US)), now_us=now_us
            )
            _check_moves(before, follower.timeline)
        _check_answers(follower.timeline)

    def _next(self, text: str, step: int) -> str:
        """The next answer of a stream: gone on, changed, or another stream's."""
        kind = self._rng.randrange(12)
        if kind == 0:
            return self._mutator.mutated(self._mutator.text())
        window = _window(text, self._rng.randrange(step + 1), max(_RELOADS_MAX - step - self._rng.randrange(3), 0))
        return window if kind < 6 else self._mutator.mutated(window)


def _window(text: str, first: int, hidden: int) -> str:
    """The text without its first segments, numbered on, and without its last ones, which are still to come."""
    head, *segments = text.split("#EXTINF")
    lines = head.splitlines()
    for index, line in enumerate(lines):
        name, _, number = line.partition("EXT-X-MEDIA-SEQUENCE:")
        if number.isdecimal() and number.isascii() and len(number) < 18:
            lines[index] = f"{name}EXT-X-MEDIA-SEQUENCE:{int(number) + first}"
    shown = segments[first : max(len(segments) - hidden, first + 1)]
    return "\n".join(lines) + "\n" + "".join("#EXTINF" + one for one in shown)


def _check_moves(before: Timeline, after: Timeline) -> None:
    """No reload moves the position of a segment, nor the date its origin gave it, nor takes one away."""
    for run in before.runs:
        for known in before.segments(run.run):
            now = after.segment(run.run, known.media_sequence)
            assert now is not None, f"segment {known.media_sequence} of run {run.run} is gone"
            assert now.position_us == known.position_us, f"position of {known.media_sequence} moved"
            assert now.duration_us == known.duration_us, f"duration of {known.media_sequence} changed"
            if known.program_source == "explicit":
                assert now.program_us == known.program_us, f"date of {known.media_sequence} moved"


def _check_answers(timeline: Timeline) -> None:
    """Every segment has an answer both ways."""
    for run in timeline.runs:
        for segment in timeline.segments(run.run):
            program_us = timeline.program_us_at(run.run, segment.media_sequence, 0)
            if segment.duration_us > 0 or timeline.open_segment is None:
                assert program_us == segment.program_us
            if program_us is not None and segment.duration_us > 0:
                places = timeline.locate(program_us, run=run.run, media_sequence=segment.media_sequence)
                assert places, f"no place for the start of {segment.media_sequence} of run {run.run}"
    edge = timeline.live_edge
    if edge is not None and edge.program_us is not None:
        timeline.locate(edge.program_us)
    timeline.gaps()
    assert timeline.window is None or timeline.window.run == len(timeline.runs)


def main() -> None:
    """Run, print counts and findings; exit status 1 if there is any finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, help="in all; without it, as many as the seconds allow")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--begin", type=int, default=0, help="number of the first execution")
    parser.add_argument("--only", choices=["parse", "tail", "timeline", "follower"])
    arguments = parser.parse_args()
    fuzzer = Fuzzer(arguments.seed)
    # Timelines cost ten times as much as parses: mostly parses.
    order = (
        [arguments.only]
        if arguments.only
        else ["parse"] * 8 + ["tail", "timeline", "parse", "follower", "parse", "parse"]
    )
    findings: dict[str, str] = {}
    began, number = time.monotonic(), arguments.begin
    while len(findings) < _FINDINGS_MAX:
        done = number - arguments.begin
        if arguments.executions is not None:
            if done >= arguments.executions:
                break
        elif done % 64 == 0 and time.monotonic() - began >= arguments.seconds:
            break
        target = order[number % len(order)]
        try:
            fuzzer.run(number, target)
        except Exception as error:
            trace = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{target}: {type(error).__name__} at {trace.filename}:{trace.lineno}"
            if key not in findings:
                findings[key] = f"number {number}, seed {arguments.seed}, {key}\n{traceback.format_exc(limit=-4)}"
                print(findings[key], flush=True)
        number += 1
    took = time.monotonic() - began
    counts = ", ".join(f"{count} {name}" for name, count in sorted(fuzzer.executions.items()))
    print(f"fuzz: {number - arguments.begin} executions in {took:.1f} s, seed {arguments.seed}: {counts}")
    print(f"fuzz: {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
