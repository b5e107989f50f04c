"""The origin: an encoder and a playlist that go on by themselves, with everything that goes wrong with them.

Owns: which segments exist at a virtual time, the text of the playlist, what an answer takes and whether it comes. Does not know: who
follows. Units: µs; ``now_us`` is true wall time, which no step of the relay's clock moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from chatsync.errors import PlaylistUnavailableError
from chatsync.instants import SECOND_US, iso_from_us
from chatsync.service.fetching import Loaded

__all__ = ["SEGMENT_US", "Encoder", "SimFetcher"]

SEGMENT_US = 2 * SECOND_US
WINDOW_SEGMENTS = 15
_MISHAPS = ("stall", "restart", "jump", "fall_back", "discontinuity", "end")


@dataclass(frozen=True, slots=True)
class _Segment:
    number: int
    name: str
    program_us: int
    discontinuity: bool


class Encoder:
    """Makes a segment every two seconds, and mishaps as the seed wants them.

    Args:
        chance: decides what goes wrong.
        now_us: when it starts.
        mishap_rate: how likely something goes wrong at a segment.
        dated: whether it says program dates.
    """

    def __init__(self, chance: Random, now_us: int, *, mishap_rate: float, dated: bool = True) -> None:
        self._chance, self._mishap_rate, self._dated = chance, mishap_rate, dated
        self._segments: list[_Segment] = []
        self._number = chance.choice((0, 1, 7, 5120))
        self._life = 0
        self._due_us = now_us + SEGMENT_US
        self._ahead_us = 0  # of the program date against the true time
        self._ended_us: int | None = None
        self.log: list[str] = []  # mishaps since somebody last looked

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self._mishap_rate = 0.0

    def advance(self, now_us: int) -> None:
        """Make what is due."""
        if self._ended_us is not None and now_us - self._ended_us > 25 * SECOND_US:
            self._restart("another lesson", now_us)
        while self._ended_us is None and self._due_us <= now_us:
            mishap = self._chance.choice(_MISHAPS) if self._chance.random() < self._mishap_rate else ""
            self._make(mishap)

    def _make(self, mishap: str) -> None:
        discontinuity = False
        if mishap:
            self.log.append(mishap)
        match mishap:
            case "stall":
                self._due_us += self._chance.randrange(5, 25) * SECOND_US
                return
            case "restart":
                self._restart("the encoder", self._due_us)
                return
            case "jump":
                self._ahead_us += self._chance.randrange(3, 40) * SECOND_US
                discontinuity = True
            case "fall_back":
                self._ahead_us -= self._chance.randrange(1, 90) * SECOND_US
                discontinuity = True
            case "discontinuity":
                discontinuity = True
            case "end":
                self._ended_us = self._due_us
                return
        program_us = self._due_us - SEGMENT_US + self._ahead_us
        self._segments.append(_Segment(self._number, f"life{self._life}-{self._number}.ts", program_us, discontinuity))
        self._number += 1
        self._due_us += SEGMENT_US

    def _restart(self, what: str, now_us: int) -> None:
        """Numbers begin anew, under other names."""
        self.log.append(f"restart of {what}")
        self._segments.clear()
        self._life += 1
        self._number = self._chance.choice((0, 0, 1, 900))
        self._due_us = now_us + SEGMENT_US + self._chance.randrange(0, 8) * SECOND_US
        self._ended_us = None

    def edge_us(self) -> int | None:
        """Program time at the end of the newest segment."""
        return self._segments[-1].program_us + SEGMENT_US if self._segments else None

    def playlist(self, *, lag: int = 0) -> str:
        """The text of the playlist, as it was ``lag`` segments ago."""
        known = self._segments[: len(self._segments) - lag] if lag else self._segments
        listed = known[-WINDOW_SEGMENTS:]
        first = listed[0].number if listed else self._number
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        passed = sum(one.discontinuity for one in known[: len(known) - len(listed)])
        if passed:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{passed}")
        for segment in listed:
            if segment.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            if self._dated:
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(segment.program_us)}")
            lines += ["#EXTINF:2.000,", segment.name]
        if self._ended_us is not None and not lag:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join([*lines, ""])


class SimFetcher:
    """Stands where the fetcher of playlists is: the answer comes late, old, wrong or not at all.

    Args:
        world: has the encoder, the time and the seed.
        chance: decides how an answer fares.
    """

    def __init__(self, settings: object) -> None:
        del settings
        self._world = asyncio.get_running_loop().world  # type: ignore[attr-defined]
        self._chance: Random = self._world.chance("fetcher")

    async def load(self, url: str, headers: Mapping[str, str] | None = None, *, held_us: int = 0) -> Loaded:
        """As ``PlaylistFetcher.load``."""
        del headers, held_us
        chance, world = self._chance, self._world
        await asyncio.sleep(chance.choice((0.005, 0.03, 0.2)) * chance.random())
        fate = chance.random() if world.is_rough else 1.0
        if fate < 0.03:
            await asyncio.sleep(chance.random() * 5)
            raise PlaylistUnavailableError("no whole answer")
        if fate < 0.05:
            raise PlaylistUnavailableError("status 503")
        world.encoder.advance(world.true_us())
        if fate < 0.06:
            return Loaded("#EXTM3U\nthis is no playlist\n", url, 0, 200)
        lag = chance.randrange(1, 3) if fate < 0.10 else 0
        text = world.encoder.playlist(lag=lag)
        if fate < 0.16:
            await asyncio.sleep(chance.random() * 3)
        return Loaded(text, url, lag * SEGMENT_US, 200)

    async def aclose(self) -> None:
        """Nothing is open."""
