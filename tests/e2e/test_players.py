"""Every adapter with its real player in Chromium, on a real stream whose encoder crashes: the pane stays with the picture.

Each page plays beside the others, so that it costs no more time than one of them. The clock burned into the picture says what is on
screen. ``CHATSYNC_PLAYERS_S`` makes each look that long and lets the players go one by one: that is what docs/sync.md reports.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Browser

from tests.e2e.measuring import Report, Samples, check, note, spread
from tests.e2e.playing import ROOM, SPARSE, Player, Stage, at_once, stage_of, until_after

LOOK_S = float(os.environ.get("CHATSYNC_PLAYERS_S", "0"))  # 0: as short as it says something
PLAYERS = ("hlsjs", "element", "videojs", "shaka")
GROUPS = [(name,) for name in PLAYERS] if LOOK_S else [PLAYERS]
LOW_LATENCY = (
    "hlsjs",
    "videojs",
    "shaka",
)  # the last is opened after the crash: Shaka does not see a jump that comes in parts
GO_BY_SEQUENCE = ("hlsjs", "element", "videojs")  # Shaka's list has no media sequence
FEW_DATES = "few dates, before the jump"
BEFORE_S = 12  # of media, before the crash
OUTAGE_S = 3
BACK_S = 1.5  # into what every player still has
BUSY_MS = 120  # from about 100 on, Chromium presents the first frame of the place sought before it delivers `seeking`
JUMP_MS = 2_000
BEHIND_MS_MAX = {False: 15_000, True: 5_000}  # behind the encoder, by whether it is low latency

pytestmark = pytest.mark.timeout(900 if LOOK_S else 150)


def _noted(
    report: Report,
    what: str,
    stage: Stage,
    samples: dict[str, Samples],
    to_pane_ms: dict[str, list[float]] | None = None,
    *,
    room: str = ROOM,
) -> None:
    """Figures of each player, and what may never be in any sample."""
    truth = stage.truth(room)
    low = "low latency, " if stage.encoder.low_latency else ""
    own_errors = stage.encoder.own_errors()
    report[f"{low}encoder of {what}"] = sorted(own_errors.values())
    for name, own in samples.items():
        for one in own:
            # The dates of the run that the picture is of: what players and chat go by.
            run_ms = max(
                (date_ms for date_ms in own_errors if date_ms - 1_000 < one["pictureMs"]), default=min(own_errors)
            )
            one["pictureMs"] += own_errors[run_ms]
        note(report, f"{low}{name}, {what}", own, (to_pane_ms or {}).get(name, ()))
        told = [abs(one["ownMs"] - one["pictureMs"]) for one in own if one["ownMs"] is not None]
        if told:  # by the player's own getter, which the adapters do without
            report[f"{low}{name}, {what}"]["own_ms"] = spread(told)
        try:
            check(own, truth, live=True, busy=True)
        except AssertionError as wrong:
            raise AssertionError(f"{name}, {what}: {wrong}") from wrong


def _jumps(samples: Samples) -> int:
    """How often the picture's program time moved otherwise than the media's own."""
    return sum(
        abs(after["pictureMs"] - before["pictureMs"] - (after["currentS"] - before["currentS"]) * 1000) > JUMP_MS
        for before, after in pairwise(samples)
    )


def _seek_all(players: list[Player], to_s: dict[str, float], *, busy_ms: float = 0) -> dict[str, list[float]]:
    for player in players:
        player.begin_seek(to_s[player.name], busy_ms=busy_ms)
    return {player.name: [player.sought()] for player in players}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Segments of two seconds."""
    with stage_of(tmp_path_factory.mktemp("players"), low_latency=False) as stage:
        yield stage


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Segments of two seconds in parts of 0.4."""
    with stage_of(tmp_path_factory.mktemp("low"), low_latency=True) as stage:
        yield stage


def _crashed(stage: Stage) -> float:
    """Let the encoder crash and its outage pass; the instant at which it may begin again."""
    stage.encoder.crash()
    time.sleep(OUTAGE_S)
    return time.time() * 1000


@pytest.mark.usefixtures("low")  # begins beside it, so that the next test need not wait
def test_players_stay_with_the_picture(plain: Stage, browser: Browser, report: Report) -> None:
    """Live, over a crash of the encoder and the jump it leaves, after seeks into what was never loaded, and after it counts anew."""
    plain.encoder.wait_for(BEFORE_S)
    for group in GROUPS:
        with plain.players(browser, *group) as players:
            _live_over_a_crash(plain, players, report)
            _sought(plain, players, report)
            if group is GROUPS[-1]:
                _where_dates_are_few(plain, browser, report)
            _counted_anew(plain, players, report)


def _live_over_a_crash(stage: Stage, players: list[Player], report: Report) -> None:
    begun_ms = _crashed(stage)
    stage.encoder.append()
    samples = until_after(players, begun_ms + 2_000)
    for name, own in (at_once(players, LOOK_S) if LOOK_S else {}).items():
        samples[name] += own
    assert {player.name: 1 for player in players} == {name: _jumps(own) for name, own in samples.items()}
    _noted(report, "live over a crash", stage, samples)
    behind_ms = {name: own[-1]["wallMs"] - own[-1]["pictureMs"] for name, own in samples.items()}
    assert max(behind_ms.values()) < BEHIND_MS_MAX[stage.encoder.low_latency], behind_ms


def _sought(stage: Stage, players: list[Player], report: Report) -> None:
    chance = random.Random(7)
    start_s = {player.name: player.value("window.probe.seekable()[0]") + 0.5 for player in players}
    was_loaded = {
        player.name: player.value("(to) => window.probe.isBuffered(to)", start_s[player.name]) for player in players
    }
    # Shaka keeps one from the first seconds of the window.
    assert not any(loaded for name, loaded in was_loaded.items() if name != "shaka"), was_loaded
    to_pane_ms = _seek_all(players, start_s)
    samples = at_once(players, 1 + LOOK_S / 4)
    for _ in range(3 + int(LOOK_S / 2)):
        end_s = {player.name: player.value("window.probe.seekable()[1]") - 8 for player in players}
        sought = {name: chance.uniform(start_s[name], end_s[name]) for name in start_s}
        for name, taken in _seek_all(players, sought).items():
            to_pane_ms[name] += taken
        for name, own in at_once(players, 0.5).items():
            samples[name] += own
    back_s = {player.name: player.value("window.demo.video.currentTime") - BACK_S for player in players}
    _seek_all(players, {name: max(back_s[name], start_s[name]) for name in start_s}, busy_ms=BUSY_MS)
    for name, own in at_once(players, 0.5).items():
        samples[name] += own
    _noted(report, "sought", stage, samples, to_pane_ms)


def _where_dates_are_few(stage: Stage, browser: Browser, report: Report) -> None:
    """Before the jump no segment has a date any more: players count back from the one after it, the relay knows better."""
    with stage.players(browser, *GO_BY_SEQUENCE, room=SPARSE) as players:
        start_s = {player.name: player.value("window.probe.seekable()[0]") + 1.5 for player in players}
        to_pane_ms = _seek_all(players, start_s)
        samples = at_once(players, 1.5 + LOOK_S / 4)
    _noted(report, FEW_DATES, stage, samples, to_pane_ms, room=SPARSE)
    errors_ms = {name: report[f"{name}, {FEW_DATES}"]["error_ms"]["p95"] for name in samples}
    assert max(errors_ms.values()) <= (50 if LOOK_S else 100), errors_ms
    own_ms = report[f"hlsjs, {FEW_DATES}"]["own_ms"]["p50"]
    assert own_ms > OUTAGE_S * 1000 * 0.8, f"hls.js is off by {own_ms} ms only: this shows nothing"


def _counted_anew(stage: Stage, players: list[Player], report: Report) -> None:
    for player in players:
        assert player.value("window.demo.chat.adapter.seekToLive()")
    at_once(players, 1)
    begun_ms = _crashed(stage)
    stage.encoder.restart()
    samples = until_after(players, begun_ms + 1_000)
    for name, own in (at_once(players, LOOK_S / 2) if LOOK_S else {}).items():
        samples[name] += own
    _noted(report, "encoder counts anew", stage, samples)
    # The page opens each again, once, when its adapter says so.
    opened = {player.name: player.value("window.demo.restarts") for player in players}
    assert dict.fromkeys(opened, 1) == opened


def test_players_of_low_latency_stay_with_the_picture(low: Stage, browser: Browser, report: Report) -> None:
    """The same with parts, seconds behind the encoder: live over a crash, and after seeks."""
    low.encoder.wait_for(BEFORE_S)
    with low.players(browser, *LOW_LATENCY) as players:
        _live_over_a_crash(low, players, report)
    for group in [(name,) for name in LOW_LATENCY] if LOOK_S else [LOW_LATENCY]:
        with low.players(browser, *group) as players:
            _noted(report, "live", low, at_once(players, 2 + LOOK_S))
            _sought(low, players, report)


def test_a_browsers_own_hls_without_dates_shows_what_arrives(plain: Stage, browser: Browser) -> None:
    """Chromium plays HLS by itself and tells no date: nothing is guessed, and live shows messages as they are said."""
    with plain.players(browser, "native") as (player,):
        time.sleep(2)
        shown = player.value("({ ...window.demo.chat.shown, basis: window.demo.chat.session.basis })")
        newest = plain.truth()[-1]["offset"]
    assert player.name == "native"
    assert (None, "arrival") == (shown["cutoffMs"], shown["basis"])
    assert newest - 30 < max(message["offset"] for message in shown["messages"])
