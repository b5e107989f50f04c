"""A lecture and a stream that exist only as functions of a seed and the time.

Owns: who says what when in the simulated lecture; the text of a sliding playlist at an instant. Does not know: sockets, clocks.
Units: µs; ``at_us`` is from the lecture's start, ``now_us`` and ``start_us`` are program time since the Unix epoch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from chatsync.instants import SECOND_US, iso_from_us

__all__ = ["SPEAKERS", "Scenario", "Speaker", "Utterance", "lecture", "playlist_at"]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody in the lecture. ``latency_us`` is how far behind the live edge they watch; the teacher is at the camera."""

    name: str
    role: str
    latency_us: int | None


SPEAKERS = (
    Speaker("Dr. Weber", "host", None),
    Speaker("Amara", "participant", 4 * SECOND_US),
    Speaker("Jonas", "participant", 6 * SECOND_US),
    Speaker("ليلى", "participant", 9 * SECOND_US),
    Speaker("Mei", "participant", 13 * SECOND_US),
    Speaker("נועם", "participant", 18 * SECOND_US),
    Speaker("Priya", "participant", 25 * SECOND_US),
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """One thing said. ``answers`` is how many utterances ago the question was that this answers, 0 for none."""

    at_us: int
    speaker: int
    kind: str
    text: str
    answers: int = 0


_TOPICS = (
    (
        "the derivative of x²",
        "why is the slope negative left of zero?",
        "Because the curve falls there: look at the sign of 2x.",
    ),
    (
        "the chain rule",
        "do we multiply by the inner derivative every time?",
        "Every time; it is the rate of the inside.",
    ),
    ("continuity", "is |x| differentiable at 0?", "No: the slope jumps from −1 to 1."),
    ("the mean value theorem", "does c have to be unique?", "No, there may be many."),
    ("Taylor's formula", "how large is the error term?", "At most M·hⁿ⁺¹/(n+1)!, with M a bound on the derivative."),
    ("integration by parts", "how do I choose u and v′?", "Let u be what gets simpler when you differentiate it."),
)
_TEACHER = (
    "Now to {topic}.",
    "Keep an eye on the picture: this is {topic}.",
    "Write this down, it will be in the exercise: {topic}.",
)
_ASIDES = (
    "got it, thanks!",
    "could you zoom in a little?",
    "ah, that's clearer now 💡",
    "my notes say the opposite…",
    "👍",
    "شكراً، هذا واضح الآن",
    "هل يمكن إعادة المثال الأخير؟",
    "אפשר לחזור על השלב האחרון?",
    "תודה רבה! 🙏",
    "this step is on page 42 of the book: https://example.org/analysis#p42",
    "so f′(x) = 2x and at x = −1 that gives −2, at 0 it is flat, and at 1 it is 2: I think I finally see why the sign of "
    "the derivative tells us whether the curve rises or falls",
)
_BURST = ("wow", "wow!", "😮", "that worked?!", "👏👏👏", "nice", "haha", "again please")


def lecture(seed: int) -> Iterator[Utterance]:
    """The lecture of a seed, without end, in order of time: questions and answers, asides, and a burst now and then."""
    chance = random.Random(seed)  # noqa: S311 - a script, not a secret
    at_us = 2 * SECOND_US
    said = 0
    while True:
        topic, question, answer = _TOPICS[(said // 12) % len(_TOPICS)]
        for utterance in _scene(chance, at_us, topic, question, answer):
            yield utterance
            at_us = utterance.at_us
            said += 1
        at_us += chance.randrange(1_000, 4_000) * 1_000


def _scene(chance: random.Random, at_us: int, topic: str, question: str, answer: str) -> Iterator[Utterance]:
    """One topic: the teacher says where we are, somebody asks, others talk, the teacher answers, and perhaps a burst."""

    def later(low_ms: int, high_ms: int) -> int:
        nonlocal at_us
        at_us += chance.randrange(low_ms, high_ms) * 1_000
        return at_us

    viewers = range(1, len(SPEAKERS))
    yield Utterance(later(500, 1_500), 0, "announcement", chance.choice(_TEACHER).format(topic=topic))
    yield Utterance(
        later(1_000, 3_000), chance.choice(viewers), "question", f"{topic[0].upper()}{topic[1:]}: {question}"
    )
    asides = chance.randrange(2, 6)
    for _ in range(asides):
        yield Utterance(later(400, 1_800), chance.choice(viewers), "message", chance.choice(_ASIDES))
    yield Utterance(later(600, 1_600), 0, "message", answer, answers=asides + 1)
    if chance.random() < 0.5:
        for _ in range(chance.randrange(8, 20)):
            yield Utterance(later(20, 150), chance.choice(viewers), "message", chance.choice(_BURST))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A live stream of equal segments. Program times are µs since the Unix epoch.

    ``stalls`` are (from media sequence, µs): before that segment the encoder stood still for so long and its clock went on;
    a negative length sets the clock back. ``dated`` False leaves the dates out.
    """

    start_us: int
    segment_us: int = 2 * SECOND_US
    window_segments: int = 30
    first_media_sequence: int = 0
    stalls: tuple[tuple[int, int], ...] = ()
    dated: bool = True
    ends_after: int | None = None  # segments
    name: str = "seg"


def playlist_at(scenario: Scenario, now_us: int) -> str:
    """The playlist an origin would serve at ``now_us`` of the encoder's clock: only whole segments, a sliding window."""
    segments = _segments_until(scenario, now_us)
    ended = scenario.ends_after is not None and len(segments) >= scenario.ends_after
    listed = segments[-scenario.window_segments :]
    first = scenario.first_media_sequence + len(segments) - len(listed)
    lines = ["#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{-(-scenario.segment_us // SECOND_US)}"]
    lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
    for index, program_us in enumerate(listed):
        if scenario.dated:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(program_us)}")
        lines += [f"#EXTINF:{scenario.segment_us / SECOND_US:.6f},", f"{scenario.name}{first + index}.ts"]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""] if ended else [*lines, ""])


def _segments_until(scenario: Scenario, now_us: int) -> list[int]:
    """Program time of the start of each segment that is complete by ``now_us``."""
    shifts = dict(scenario.stalls)
    starts: list[int] = []
    program_us, encoder_us = scenario.start_us, scenario.start_us
    while scenario.ends_after is None or len(starts) < scenario.ends_after:
        shift_us = shifts.get(scenario.first_media_sequence + len(starts), 0)
        program_us += shift_us
        encoder_us += abs(shift_us)
        if encoder_us + scenario.segment_us > now_us:
            break
        starts.append(program_us)
        program_us += scenario.segment_us
        encoder_us += scenario.segment_us
    return starts
