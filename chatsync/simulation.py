"""A lecture and a stream that exist only as functions of a seed and the time.

Owns: who says what when in the simulated lecture; the text of a sliding playlist at an instant, low latency and deltas included, and
when a request that waits for media is answered. Does not know: sockets, clocks.
Units: µs; ``at_us`` is from the lecture's start, ``now_us`` and ``start_us`` are program time since the Unix epoch.
Source of the low-latency rules: draft-pantos-hls-rfc8216bis-18 §4.4.3.7-8, §4.4.4.9, §4.4.5, §6.2.5.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from chatsync.instants import SECOND_US, iso_from_us

__all__ = ["SPEAKERS", "Scenario", "Speaker", "Utterance", "last_listed", "lecture", "listed_at_us", "playlist_at"]

SKIP_TARGETS = 6  # target durations before the edge from which a delta leaves out: the least that is allowed
PARTS_TARGETS = 3  # target durations before the edge whose segments still list their parts


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
    part_us: int | None = None  # length of a part; with it the stream is low-latency HLS
    reports: tuple[str, ...] = ()  # URIs of renditions that have come as far as this one

    @property
    def target_duration_us(self) -> int:
        """EXT-X-TARGETDURATION: whole seconds."""
        return -(-self.segment_us // SECOND_US) * SECOND_US

    @property
    def part_count(self) -> int:
        """Parts of a segment, the last of which may be shorter; 0 without parts."""
        return 0 if self.part_us is None else -(-self.segment_us // self.part_us)


def playlist_at(scenario: Scenario, now_us: int, *, skip: bool = False) -> str:
    """The playlist an origin would serve at ``now_us`` of the encoder's clock, a sliding window.

    Args:
        scenario: the stream. Without parts only whole segments are listed.
        now_us: of the encoder's clock.
        skip: leave out what lies before the skip boundary, as for ``_HLS_skip=YES``; only of a stream with parts.
    """
    segments = _segments_until(scenario, now_us)
    ended = scenario.ends_after is not None and len(segments) >= scenario.ends_after
    listed = segments[-scenario.window_segments :]
    first = scenario.first_media_sequence + len(segments) - len(listed)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{6 if scenario.part_us is None else 9}"]
    lines += [f"#EXT-X-TARGETDURATION:{scenario.target_duration_us // SECOND_US}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    skipped = 0
    if scenario.part_us is not None:
        lines += _offers(scenario, scenario.part_us)
        if skip:
            skipped = max(0, len(listed) - SKIP_TARGETS * scenario.target_duration_us // scenario.segment_us)
            lines += [f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"] if skipped else []
    with_parts = len(listed) - PARTS_TARGETS * scenario.target_duration_us // scenario.segment_us
    for index, program_us in enumerate(listed[skipped:], skipped):
        if scenario.dated:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(program_us)}")
        if index >= with_parts:
            lines += _parts(scenario, first + index, scenario.part_count)
        lines += [f"#EXTINF:{scenario.segment_us / SECOND_US:.6f},", f"{scenario.name}{first + index}.ts"]
    if ended:
        return "\n".join([*lines, "#EXT-X-ENDLIST", ""])
    return "\n".join([*lines, *_edge(scenario, len(segments), now_us), ""])


def last_listed(scenario: Scenario, now_us: int) -> tuple[int, int]:
    """Media sequence of the last segment that is closed at ``now_us``, and how many parts of the next are there."""
    closed = len(_segments_until(scenario, now_us))
    return scenario.first_media_sequence + closed - 1, _open_parts(scenario, closed, now_us)


def listed_at_us(scenario: Scenario, media_sequence: int, part: int | None = None) -> int:
    """When the playlist first lists a segment, or a part of it: when a request that waits for it is answered.

    An index past the end of a segment means the first part of the next (bis §6.2.5.2). What a stream that is over never had is as
    if listed with its end.
    """
    index = max(media_sequence - scenario.first_media_sequence, 0)
    if part is not None and scenario.part_us is not None:
        index, part = (index, part) if part < scenario.part_count else (index + 1, 0)
    end_us = scenario.start_us
    for number, (_, encoder_us) in enumerate(_starts(scenario)):
        end_us = encoder_us + scenario.segment_us
        if number == index:
            if part is None or scenario.part_us is None:
                return end_us
            return encoder_us + min((part + 1) * scenario.part_us, scenario.segment_us)
    return end_us


def _offers(scenario: Scenario, part_us: int) -> list[str]:
    """What a low-latency origin says of itself."""
    skip_s = SKIP_TARGETS * scenario.target_duration_us // SECOND_US
    part_s = part_us / SECOND_US
    control = f"CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={3 * part_s:.3f},CAN-SKIP-UNTIL={skip_s}"
    return [f"#EXT-X-SERVER-CONTROL:{control}", f"#EXT-X-PART-INF:PART-TARGET={part_s:.3f}"]


def _edge(scenario: Scenario, closed: int, now_us: int) -> list[str]:
    """The open segment's parts, what comes next, and what other renditions have."""
    if scenario.part_us is None:
        return []
    media_sequence = scenario.first_media_sequence + closed
    parts = _open_parts(scenario, closed, now_us)
    lines = []
    if parts and scenario.dated:
        program_us = next(start for number, (start, _) in enumerate(_starts(scenario)) if number == closed)
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso_from_us(program_us)}")
    lines += _parts(scenario, media_sequence, parts)
    lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{scenario.name}{media_sequence}.{parts}.ts"')
    newest = (media_sequence, parts - 1) if parts else (media_sequence - 1, scenario.part_count - 1)
    for uri in scenario.reports:
        lines.append(f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={newest[0]},LAST-PART={newest[1]}')
    return lines


def _parts(scenario: Scenario, media_sequence: int, count: int) -> list[str]:
    """Lines of the first so many parts of a segment."""
    lines = []
    for index in range(count):
        part_us = scenario.part_us or 0
        duration_us = min(part_us, scenario.segment_us - index * part_us)
        independent = ",INDEPENDENT=YES" if index == 0 else ""
        uri = f"{scenario.name}{media_sequence}.{index}.ts"
        lines.append(f'#EXT-X-PART:DURATION={duration_us / SECOND_US:.6f},URI="{uri}"{independent}')
    return lines


def _open_parts(scenario: Scenario, closed: int, now_us: int) -> int:
    """Parts of the segment after so many closed ones that are complete by ``now_us``; never all of them."""
    if scenario.part_us is None:
        return 0
    for number, (_, encoder_us) in enumerate(_starts(scenario)):
        if number == closed:
            return max(0, now_us - encoder_us) // scenario.part_us
    return 0


def _segments_until(scenario: Scenario, now_us: int) -> list[int]:
    """Program time of the start of each segment that is complete by ``now_us``."""
    complete = takewhile(lambda start: start[1] + scenario.segment_us <= now_us, _starts(scenario))
    return [program_us for program_us, _ in complete]


def _starts(scenario: Scenario) -> Iterator[tuple[int, int]]:
    """Start of each segment in program time and on the encoder's clock, which goes on while it stands still."""
    shifts = dict(scenario.stalls)
    program_us = encoder_us = scenario.start_us
    number = 0
    while scenario.ends_after is None or number < scenario.ends_after:
        shift_us = shifts.get(scenario.first_media_sequence + number, 0)
        program_us += shift_us
        encoder_us += abs(shift_us)
        yield program_us, encoder_us
        program_us += scenario.segment_us
        encoder_us += scenario.segment_us
        number += 1
