"""The pulse of a class: counts by minute, what is usual, where pictures are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatsync.chat.event import Event
from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.replay.pulse import LOST, MINUTES_KEPT, Behind, Minute, Pulse, behind, usual_per_minute
from chatsync.replay.stamping import Playhead
from tests.builders import BASE_US, event

START_US = BASE_US - BASE_US % MINUTE_US


def _said(minute: float, kind: str = "message", **fields: object) -> Event:
    return event(1, kind, START_US + round(minute * MINUTE_US), **fields)


def _pulse(*events: Event) -> Pulse:
    pulse = Pulse()
    for one in events:
        pulse.take(one)
    return pulse


def test_a_minute_counts_what_everyone_may_read() -> None:
    """Utterances of every kind count; what is private, a hand or a vote does not."""
    pulse = _pulse(
        _said(0),
        _said(0.5, "question"),
        _said(0.9, "paid"),
        _said(0.1, details={"to": ["host"]}),
        _said(0.2, "hand_raised"),
    )
    assert [Minute(START_US, 3)] == pulse.minutes(START_US)


def test_only_one_reaction_says_you_lost_me() -> None:
    """Taps are added up; another emoji is applause."""
    taps = [_said(0, "reaction", details={"emoji": emoji, "count": 4}) for emoji in (LOST, LOST, "👏")]
    assert [Minute(START_US, 0, 8)] == _pulse(*taps).minutes(START_US)


def test_minutes_are_whole_from_the_first_that_is_known_to_now() -> None:
    """Where nothing was said there is a zero; what is later than the clock is not shown yet."""
    pulse = _pulse(_said(1), _said(3), _said(9))
    assert [1, 0, 1, 0] == [one.messages for one in pulse.minutes(START_US + 4 * MINUTE_US)]


def test_an_hour_is_kept() -> None:
    """However long a broadcast goes on, and in whatever order its events come."""
    pulse = _pulse(*(_said(minute) for minute in range(500)), _said(10))
    minutes = pulse.minutes(START_US + 499 * MINUTE_US)
    assert MINUTES_KEPT == len(minutes)
    assert START_US + 499 * MINUTE_US == minutes[-1].start_us


def test_the_pace_is_of_the_last_whole_minutes() -> None:
    """The minute that goes on would always look quiet; before there is a whole one it is all there is."""
    pulse = _pulse(*(_said(minute + part / 10) for minute in range(4) for part in range(minute + 1)), _said(4))
    assert 3.0 == pulse.per_minute(START_US + 4 * MINUTE_US + 5 * SECOND_US)
    assert (0.0, 2.0) == (Pulse().per_minute(START_US), _pulse(_said(0), _said(0.2)).per_minute(START_US))


def test_what_was_known_before_a_start_goes_on() -> None:
    """Counts of the journal and of what came since are one."""
    pulse = Pulse([Minute(START_US, 5, 1)])
    pulse.take(_said(0))
    assert [Minute(START_US, 6, 1)] == pulse.minutes(START_US)


@given(st.lists(st.integers(min_value=0, max_value=59 * 60), max_size=60))
def test_nothing_is_counted_twice_or_lost_within_the_hour(seconds: list[int]) -> None:
    """The minutes add up to what was said."""
    pulse = _pulse(*(event(1, "message", START_US + one * SECOND_US) for one in seconds))
    assert len(seconds) == sum(one.messages for one in pulse.minutes(START_US + 59 * MINUTE_US))


def test_usual_is_the_median_of_earlier_airings() -> None:
    """An airing of seconds says nothing."""
    hour = (120, 60 * MINUTE_US)
    assert 2.0 == usual_per_minute([hour])
    assert 2.0 == usual_per_minute([hour, (1, MINUTE_US), (30, MINUTE_US), (900, SECOND_US)])
    assert usual_per_minute([]) is None


def _behind(*playheads: Playhead) -> Behind:
    return behind(playheads, 2, clock_us=START_US, wall_us=BASE_US, latency_us=6 * SECOND_US)


def _at(late_s: float, *, broadcast: int = 2, age_s: float = 0, paused: bool = False) -> Playhead:
    age_us = round(age_s * SECOND_US)
    return Playhead(
        broadcast, START_US - round(late_s * SECOND_US) - (0 if paused else age_us), BASE_US - age_us, paused=paused
    )


def test_pictures_at_live_are_ranked_and_the_others_counted() -> None:
    """Who rewound, paused or watches an earlier airing is where they want to be."""
    found = _behind(*(_at(late_s) for late_s in range(11)), _at(400), _at(0, broadcast=1), _at(3, paused=True))
    assert (14, 11, 3, 1) == (found.known, found.at_live, found.rewound, found.paused)
    assert (1 * SECOND_US, 5 * SECOND_US, 9 * SECOND_US) == (found.p10_us, found.p50_us, found.p90_us)


def test_a_report_is_carried_on_and_in_the_end_forgotten() -> None:
    """A player that plays is as far behind as when it last said; after half a minute of silence it does not count."""
    assert 4 * SECOND_US == _behind(_at(4, age_s=20)).p50_us
    assert 0 == _behind(_at(4, age_s=31)).known
    assert 1 == _behind(_at(4, age_s=3_000, paused=True)).known


def test_nobody_said_where_they_are() -> None:
    """Then there is no figure, and no zero either."""
    assert Behind(0, 0, 0, 0, None, None, None) == _behind()
