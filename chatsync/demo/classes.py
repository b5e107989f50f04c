"""A term of two classes that exists only as a function of a seed: who came, what was said, what became of it.

Owns: the story. Does not know: files, clocks. Units: µs; ``at_us`` counts from the first media of a lecture along its program time.

It is made so that there is something to find, and what there is to find is written down beside it (``Lecture.moments``): in each lecture one topic that is
too hard, one experiment that works, a break, and in one of them an encoder that restarts. Few say much and many say nothing, some never come back, a part
of the questions is left unanswered. No figure of it says anything about any real class.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chatsync.instants import MINUTE_US, MS_US, SECOND_US

__all__ = ["COURSE", "LECTURE_US", "SEGMENT_US", "Lecture", "Moment", "Said", "Student", "term"]

COURSE = "mathematics"
LECTURE_US = 45 * MINUTE_US
SEGMENT_US = 6 * SECOND_US
_STUDENTS = 60
_WEEKS = 6
_FIRST_MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
_CLASSES = (("calculus", timedelta(hours=14)), ("algebra", timedelta(days=3, hours=10)))
_BREAK_US = (22 * MINUTE_US, 25 * MINUTE_US)
_RESTART = ("calculus", 3)  # which lecture's encoder restarts, counted from 0
_LOST_US = (18 * MINUTE_US, 18 * MINUTE_US + 96 * SECOND_US)

_TOPICS = {
    "calculus": (
        *("limits", "continuity", "the derivative", "the chain rule", "implicit differentiation", "extrema"),
        *("the mean value theorem", "l'Hôpital's rule", "antiderivatives", "Riemann sums", "the fundamental theorem"),
        *("substitution", "integration by parts", "partial fractions", "improper integrals", "Taylor polynomials"),
        *("error bounds", "power series", "separable equations", "linear equations"),
    ),
    "algebra": (
        *("vectors", "linear combinations", "span", "linear independence", "bases", "matrices"),
        *("Gaussian elimination", "rank", "the inverse", "determinants", "cofactors"),
        *("eigenvalues", "eigenvectors", "diagonalization", "inner products", "orthogonality"),
        *("Gram and Schmidt", "projections", "least squares", "quadratic forms"),
    ),
}
_ASIDES = (
    *("got it, thanks", "makes sense", "👍", "could you zoom in a little?", "which page is that?", "page 42 I think"),
    *("is this in the exam?", "my notes say the opposite", "same here", "شكراً، هذا واضح الآن", "אפשר לחזור על זה?"),
)
_LOST = (
    *(
        "wait, what?",
        "I'm lost",
        "how did we get from line 2 to line 3?",
        "again please",
        "where does the minus come from??",
    ),
    *("too fast", "I don't get {topic}", "???", "could we see the example again?"),
)
_AMAZED = ("wow", "that worked?!", "👏👏👏", "nice!", "haha", "😮", "no way", "so cool", "mind blown", "again again")
_QUESTIONS = (
    *("why does {topic} need that condition?", "does {topic} work in three dimensions too?", "what happens at zero?"),
    *("is there a shorter proof of {topic}?", "how do I know when to use {topic}?", "where did the constant go?"),
)
_ANSWERS = (
    "Because otherwise the limit need not exist.",
    "Good question: yes, and we prove it next week.",
    "Look at line 3.",
)
_DOWN = (
    "is it only me or is the picture gone?",
    "stream is down",
    "same, black screen",
    "it's back",
    "what did we miss?",
)


@dataclass(frozen=True, slots=True)
class Student:
    """Somebody enrolled: how much they say, how far behind the live edge they watch, how faithfully they come."""

    number: int
    name: str
    talks: float  # messages an hour, beside bursts
    latency_us: int
    comes: float  # chance in the first week
    reports_playhead: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """Something in the picture that chat answers to: what there is to find. Half-open, program time of the lecture."""

    what: str  # hard, amazing, break, lost
    start_us: int
    end_us: int
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """An event of the log. ``of`` names another by its ``name``: what it replies to, upvotes or answers."""

    at_us: int
    kind: str
    student: int | None  # None: the teacher, or for reactions and polls nobody
    text: str | None = None
    name: str = ""
    of: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lecture:
    """One airing: when it was, what was said in order, who watched, what the encoder did."""

    room: str
    week: int  # from 0
    title: str
    start_us: int  # program time, µs since the Unix epoch
    present: tuple[int, ...]
    viewers: tuple[int, ...]  # by minute
    said: tuple[Said, ...]
    moments: tuple[Moment, ...]
    lost_us: tuple[int, int] | None  # program time without media


def term(seed: int) -> tuple[tuple[Student, ...], tuple[Lecture, ...]]:
    """Who is enrolled, and all lectures in order of time. Cost: 0.1 s."""
    chance = random.Random(seed)  # noqa: S311 - a story, not a secret
    students = tuple(_student(chance, number) for number in range(_STUDENTS))
    lectures = [
        _lecture(chance, students, room, week, _FIRST_MONDAY + timedelta(weeks=week) + after)
        for week in range(_WEEKS)
        for room, after in _CLASSES
    ]
    return students, tuple(lectures)


def _student(chance: random.Random, number: int) -> Student:
    is_silent = chance.random() < 0.3
    return Student(
        number=number,
        name=f"Student {number + 1}",
        talks=0.0 if is_silent else min(24.0, chance.lognormvariate(1.0, 1.1)),
        latency_us=chance.randrange(3_000, 25_000) * MS_US,
        comes=chance.uniform(0.75, 0.99),
        reports_playhead=chance.random() < 0.85,
    )


def _lecture(chance: random.Random, students: tuple[Student, ...], room: str, week: int, begins: datetime) -> Lecture:
    topics = [_TOPICS[room][(week * 3 + number) % len(_TOPICS[room])] for number in range(4)]
    starts = [2 * MINUTE_US, 11 * MINUTE_US, _BREAK_US[1], 34 * MINUTE_US]
    hard = chance.randrange(4)
    hard_us = starts[hard] + chance.randrange(150, 330) * SECOND_US
    amazing_us = starts[(hard + 2) % 4] + chance.randrange(200, 420) * SECOND_US
    moments = [
        Moment("hard", hard_us, hard_us + 80 * SECOND_US, topics[hard]),
        Moment("amazing", amazing_us, amazing_us + 25 * SECOND_US, topics[(hard + 2) % 4]),
        Moment("break", *_BREAK_US),
    ]
    lost_us = _LOST_US if (room, week) == _RESTART else None
    if lost_us is not None:
        moments.append(Moment("lost", *lost_us))
    faithful = 0.93**week  # some never come back
    present = tuple(one.number for one in students if chance.random() < one.comes * faithful)
    who = [students[number] for number in present]
    story = _Story(chance, who, topics, starts)
    said = sorted(
        (
            *story.opening(),
            *story.asides(lost_us),
            *story.trouble(moments[0]),
            *story.amazement(moments[1]),
            *story.questions(hard),
            *story.poll(week, starts[1] + 6 * MINUTE_US),
            *(story.blackout(lost_us) if lost_us is not None else ()),
        ),
        key=lambda one: one.at_us,
    )
    return Lecture(
        room=room,
        week=week,
        title=f"Lecture {week + 1}: {topics[0]} to {topics[3]}",
        start_us=round(begins.timestamp()) * SECOND_US,
        present=present,
        viewers=_viewers(chance, len(present), lost_us),
        said=tuple(one for one in said if 0 <= one.at_us < LECTURE_US),
        moments=tuple(sorted(moments, key=lambda one: one.start_us)),
        lost_us=lost_us,
    )


def _viewers(chance: random.Random, present: int, lost_us: tuple[int, int] | None) -> tuple[int, ...]:
    """Connections by minute: they come in the first minutes, a few go by and by, some leave in the break and do not come back."""
    counts = []
    for minute in range(LECTURE_US // MINUTE_US):
        share = (
            min(1.0, 0.35 + 0.2 * minute) * (1 - 0.003 * minute) * (0.9 if minute * MINUTE_US >= _BREAK_US[1] else 1.0)
        )
        if lost_us is not None and lost_us[0] // MINUTE_US < minute <= lost_us[1] // MINUTE_US + 1:
            share *= 0.7
        counts.append(max(1, round(present * share + chance.uniform(-0.7, 0.7))))
    return tuple(counts)


class _Story:
    """What is said in one lecture."""

    def __init__(self, chance: random.Random, who: list[Student], topics: list[str], starts: list[int]) -> None:
        self._chance, self._who, self._topics, self._starts = chance, who, topics, starts
        self._talkers = [one for one in who if one.talks > 0]

    def _after_us(self, median_s: float) -> int:
        """How long somebody takes to read, think and type: most are near the median, a few take long."""
        return round(median_s * self._chance.lognormvariate(0, 0.45) * 1_000) * MS_US

    def _somebody(self) -> int:
        return self._chance.choices(self._talkers, [one.talks for one in self._talkers])[0].number

    def _poisson(self, mean: float) -> int:
        count, left = 0, math.exp(-mean)
        product = self._chance.random()
        while product > left:
            count, product = count + 1, product * self._chance.random()
        return count

    def opening(self) -> Iterator[Said]:
        for start_us, topic in zip(self._starts, self._topics, strict=True):
            yield Said(start_us + 4 * SECOND_US, "announcement", None, f"Now to {topic}.")
        yield Said(_BREAK_US[0], "announcement", None, "Three minutes of break.")
        for student in self._chance.sample(self._talkers, min(9, len(self._talkers))):
            yield Said(
                self._after_us(50),
                "message",
                student.number,
                self._chance.choice(("hi all", "good morning", "hello 👋")),
            )
            yield Said(LECTURE_US - self._after_us(40), "message", student.number, "thank you!")

    def asides(self, lost_us: tuple[int, int] | None) -> Iterator[Said]:
        for student in self._talkers:
            for _ in range(self._poisson(student.talks * LECTURE_US / (60 * MINUTE_US))):
                at_us = self._chance.randrange(MINUTE_US, LECTURE_US - MINUTE_US)
                is_quiet = _BREAK_US[0] <= at_us < _BREAK_US[1] or (
                    lost_us is not None and lost_us[0] <= at_us < lost_us[1]
                )
                if not is_quiet or self._chance.random() < 0.3:
                    yield Said(at_us, "message", student.number, self._chance.choice(_ASIDES))

    def trouble(self, moment: Moment) -> Iterator[Said]:
        """Chat lags behind the picture that confuses: nobody types before they have seen it."""
        for _ in range(16 + self._poisson(8)):
            shown_us = self._chance.randrange(moment.start_us, moment.end_us)
            text = self._chance.choice(_LOST).format(topic=moment.topic)
            yield Said(shown_us + self._after_us(9), "message", self._somebody(), text)
        for second in range(0, 120, 4):
            if count := self._poisson(2.4 if second < 80 else 0.8):
                at_us = moment.start_us + second * SECOND_US + self._after_us(4)
                yield Said(at_us, "reaction", None, details={"emoji": "❓", "count": count})

    def amazement(self, moment: Moment) -> Iterator[Said]:
        for _ in range(30 + self._poisson(12)):
            shown_us = self._chance.randrange(moment.start_us, moment.end_us)
            yield Said(shown_us + self._after_us(5), "message", self._somebody(), self._chance.choice(_AMAZED))
        for second in range(0, 40, 2):
            if count := self._poisson(3):
                at_us = moment.start_us + second * SECOND_US + self._after_us(3)
                yield Said(at_us, "reaction", None, details={"emoji": self._chance.choice("👏😂❤"), "count": count})

    def questions(self, hard: int) -> Iterator[Said]:
        for topic in range(4):
            for number in range(self._poisson(4.5 if topic == hard else 2)):
                at_us = self._starts[topic] + self._chance.randrange(60, 500) * SECOND_US
                name = f"question-{topic}-{number}"
                text = self._chance.choice(_QUESTIONS).format(topic=self._topics[topic])
                yield Said(at_us, "question", self._somebody(), text, name)
                for voter in self._chance.sample(self._who, min(len(self._who), self._poisson(4))):
                    yield Said(at_us + self._after_us(25), "question_upvoted", voter.number, of=name)
                if self._chance.random() < (0.5 if topic == hard else 0.8):
                    answered_us = at_us + self._after_us(150 if topic == hard else 55)
                    if self._chance.random() < 0.6:
                        yield Said(answered_us, "question_answered", None, of=name, details={"how": "live"})
                    else:
                        yield Said(answered_us, "message", None, self._chance.choice(_ANSWERS), of=name)

    def poll(self, week: int, at_us: int) -> Iterator[Said]:
        """Asked before and after something is explained: the second time more are right."""
        for number, right in enumerate((0.45, 0.8)):
            name = f"poll-{week + 1}-{number + 1}"
            opened_us = at_us + number * 18 * MINUTE_US
            voters = [one for one in self._who if self._chance.random() < 0.75]
            question = f"Which of these is true of {self._topics[1 + number]}?"
            words = {"question": question, "choices": ["A", "B", "C", "none"], "multiple": False, "answer": [1]}
            yield Said(opened_us, "poll_opened", None, name=name, details={"poll": name} | words)
            tally = [0, 0, 0, 0]
            for voter in voters:
                choice = 1 if self._chance.random() < right else self._chance.choice((0, 2, 3))
                tally[choice] += 1
                voted_us = opened_us + min(self._after_us(14), 85 * SECOND_US)
                yield Said(voted_us, "poll_voted", voter.number, details={"poll": name, "choices": [choice]})
            final = {"poll": name, "tally": tally, "answer": [1]}
            yield Said(opened_us + 90 * SECOND_US, "poll_closed", None, details=final)

    def blackout(self, lost_us: tuple[int, int]) -> Iterator[Said]:
        for number, text in enumerate(_DOWN):
            at_us = lost_us[0] - SECOND_US if number < 3 else lost_us[1] + number * 4 * SECOND_US
            yield Said(at_us, "message", self._somebody(), text)
