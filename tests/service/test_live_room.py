"""One room at work: what media and people do becomes events, in order, durable before anyone is told."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatsync.chat.event import Event, Position
from chatsync.errors import NotFoundError, RoomRestartingError, StorageFullError, StoreError
from chatsync.instants import HOUR_US, MINUTE_US, SECOND_US
from chatsync.replay.broadcasts import SILENCE_US_MAX
from chatsync.replay.stamping import Playhead
from chatsync.replay.state import folded
from chatsync.service.acts import Act, Seen
from chatsync.service.clock import ManualClock
from chatsync.service.framing import Batch
from chatsync.service.limit_table import BACK_EVENTS_MAX
from chatsync.service.room_settings import RoomSettings
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, WRITER, Stage, stage

LECTURE = Scenario(START_US)
OPEN = {"class": {"public": True}}


class Listener:
    """Somebody in the room who keeps every frame."""

    def __init__(self, *, is_staff: bool = False) -> None:
        self.is_staff = is_staff
        self.author_key = ""
        self.author = None
        self.playhead = None
        self.frames: list[Any] = []
        self.sent_away: list[bool] = []
        self.resets: list[str] = []

    def receive_batch(self, batch: Batch) -> None:
        """Keep them."""
        self.frames += [msgspec.json.decode(frame) for frame in batch.payloads]

    def send_banned(self) -> None:
        """Nobody is banned here."""

    def send_away(self, *, gone: bool) -> None:
        """Note it."""
        self.sent_away.append(gone)

    def receive_reset(self, reason: str, position: Position) -> None:
        """Note it."""
        del position
        self.resets.append(reason)

    def told(self, kind: str) -> list[Any]:
        """Frames of a type."""
        return [frame for frame in self.frames if frame["type"] == kind]


def _listening(it: Stage, *, is_staff: bool = False) -> Listener:
    listener = Listener(is_staff=is_staff)
    it.room().receivers.add(listener)
    return listener


async def test_nobody_is_told_before_it_is_on_disk(tmp_path: Path) -> None:
    """A commit that fails is an error to the author and nothing to the others; the next one goes through."""
    async with stage(tmp_path, OPEN) as it:
        listener = _listening(it)

        def fail(_: sqlite3.Connection) -> None:
            raise StorageFullError

        it.hub.writer.before_commit.append(fail)
        with pytest.raises(StorageFullError):
            await it.say("lost")
        it.hub.writer.before_commit.remove(fail)
        said = await it.say("kept")
        it.room().flush()
        assert [["kept"]] == [[event["text"] for event in frame["events"]] for frame in listener.told("events")]
        assert it.room().log.position.offset == said["offset"]


async def test_a_commit_that_was_stored_though_it_failed_is_told_with_the_next(tmp_path: Path) -> None:
    """The sync failed after the data was down: the log has no hole, and resending gives the stored message."""
    async with stage(tmp_path, OPEN) as it:
        listener = _listening(it)

        def fail_late() -> None:
            raise OSError(5, "sync failed")

        it.hub.writer.after_commit.append(fail_late)
        with pytest.raises(Exception, match="store"):
            await it.say("was it stored?", id="m-1")
        it.hub.writer.after_commit.remove(fail_late)
        again = await it.say("was it stored?", id="m-1")
        other = await it.say("another")
        it.room().flush()
        texts = [event["text"] for frame in listener.told("events") for event in frame["events"]]
        assert again["offset"] + 1 == other["offset"]
        assert ["was it stored?", "another"] == texts


async def test_the_first_event_goes_at_once_and_the_rest_together(tmp_path: Path) -> None:
    """Batching grows with load: many events of a moment travel in few frames, in order."""
    async with stage(tmp_path, OPEN) as it:
        listener = _listening(it)
        await asyncio.gather(*(it.say(f"{number}") for number in range(200)))
        it.room().flush()
        frames = listener.told("events")
        offsets = [event["offset"] for frame in frames for event in frame["events"]]
        assert sorted(offsets) == offsets
        assert 200 == len(set(offsets))
        assert len(frames) < 50


async def test_an_act_about_nothing_is_not_found(tmp_path: Path) -> None:
    """A target that never was, or that is hidden, cannot be upvoted; it can be restored."""
    async with stage(tmp_path, OPEN) as it:
        question = await it.say("why?", kind="question")
        with pytest.raises(NotFoundError):
            await _upvote(it, 99)
        await it.act("hide", target=question["offset"])
        with pytest.raises(NotFoundError):
            await _upvote(it, question["offset"])
        await it.act("restore", target=question["offset"])
        await _upvote(it, question["offset"])
        assert [{"target": question["offset"], "count": 1}] == it.room().edge.state.upvoted()


async def _upvote(it: Stage, target: int) -> None:
    await it.room().act(Act(kind="question_upvoted", id=f"upvote:{target}", author=WRITER, target=target))


async def test_an_answer_counts_from_the_later_of_both_moments(tmp_path: Path) -> None:
    """Who answers from further back than the question was asked is stamped with the question's moment."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await it.room().receive_tick()
        at_us = it.now_us
        question = await it.said_at(at_us, "why?", kind="question")
        await _upvote(it, question)
        upvote = it.hub.journal.events_after("class", question, 1)[0]
        assert at_us == upvote.program_us


async def test_a_hand_never_goes_down_before_it_went_up(tmp_path: Path) -> None:
    """Who lowers a hand from further back is stamped with its raising, so that replay and the room agree on which are up."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        await it.room().receive_tick()
        raised = await _hand(it, "hand_raised", it.now_us)
        lowered = await _hand(it, "hand_lowered", it.now_us - 30 * SECOND_US)
        again = await _hand(it, "hand_raised", it.now_us - 20 * SECOND_US)
        assert it.now_us == raised.program_us == lowered.program_us == again.program_us
        assert await _hands_replayed(it) == it.room().edge.to_wire()["hands"] != []
    async with stage(tmp_path, clock=it.clock) as it:
        await it.reload(playlist_at(LECTURE, it.now_us))
        lowered = await _hand(it, "hand_lowered", it.now_us - 25 * SECOND_US)
        assert raised.program_us == lowered.program_us
        assert await _hands_replayed(it) == it.room().edge.to_wire()["hands"] == []


async def _hand(it: Stage, kind: str, seen_us: int) -> Event:
    playhead = Playhead(it.room().broadcasts.current.number, seen_us, it.now_us)
    act = Act(kind=kind, id=f"{kind} {seen_us}", author=WRITER, seen=Seen(playhead))
    return (await it.room().act(act)).event


async def _hands_replayed(it: Stage) -> Any:
    events = it.hub.journal.state_events("class", it.room().broadcasts.current.number)
    return folded(events).to_wire(msgspec.to_builtins)["hands"]


async def test_a_pin_stays_after_the_last_one_though_the_clock_was_set_back(tmp_path: Path) -> None:
    """Killed, and started on a machine whose clock is an hour behind: the next pin does not stand before the last."""
    async with stage(tmp_path, OPEN, clock=ManualClock(wall_us=START_US + HOUR_US)) as it:
        first = await it.act("pin", text="first")
    async with stage(tmp_path, OPEN) as it:
        second = await it.act("pin", text="second")
        assert first["program_ms"] <= second["program_ms"]


async def test_who_missed_a_hide_is_told_though_it_was_moved_since(tmp_path: Path) -> None:
    """A restamp moves hidden messages too; whoever comes back from before both still learns that it is gone."""
    async with stage(tmp_path) as it:
        said = await it.say("off topic")
        await it.say("on topic")
        await it.act("hide", target=said["offset"])
        before = it.room().log.position.offset
        await it.reload(playlist_at(Scenario(it.now_us - 8 * SECOND_US), it.now_us - 3 * SECOND_US))
        moved = [
            event.offset for event in it.hub.journal.events_after("class", before, 10) if event.kind == "restamped"
        ]
        assert said["offset"] in it.hub.journal.affected(it.hub.journal.event("class", moved[0]))  # type: ignore[arg-type]
        it.room().log.forget()
        async with it.connected() as client:
            welcome = await client.hello(None, after={"epoch": "1", "offset": said["offset"]})
            assert [said["offset"]] == welcome["gone"]
            assert said["offset"] not in [event["offset"] for event in welcome["back"]]


async def test_a_silent_origin_closes_the_broadcast(tmp_path: Path) -> None:
    """Fifteen minutes without any answer: closed by `silence`, once; media that comes then opens the next."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 30)
        await it.room().receive_tick()
        it.advance(SILENCE_US_MAX / SECOND_US + 1)
        await it.room().receive_tick()
        await it.room().receive_tick()
        assert "silence" == it.room().broadcasts.current.closed_reason
        await it.reload(playlist_at(LECTURE, it.now_us))
        assert 2 == it.room().broadcasts.current.number


async def test_a_room_without_a_stream_turns_at_midnight(tmp_path: Path) -> None:
    """One broadcast a UTC day of chat."""
    async with stage(tmp_path, OPEN) as it:
        await it.say("today")
        it.advance(24 * 3600)
        await it.room().receive_tick()
        await it.say("tomorrow")
        assert 2 == it.room().broadcasts.current.number
        texts = [event.get("text") for event in await it.replayed(broadcast=2)]
        assert "tomorrow" in texts
        assert "today" not in texts


async def test_a_gap_in_program_time_is_listed(tmp_path: Path) -> None:
    """Media that jumps ahead leaves a gap with its range and reason, after a restart too."""
    gapped = Scenario(START_US, stalls=((10, 30 * SECOND_US),))
    async with stage(tmp_path) as it:
        await it.stream(gapped, 80)
        expected = [{"start_ms": START_US // 1000 + 20_000, "end_ms": START_US // 1000 + 50_000, "reason": "stream"}]
        assert expected == (await it.chat(query="from_ms=0"))["gaps"]
        clock = it.clock
    async with stage(tmp_path, clock=clock) as it:
        assert expected == [gap for gap in (await it.chat(query="from_ms=0"))["gaps"] if gap["reason"] == "stream"]


async def test_a_restamp_of_many_is_a_reset(tmp_path: Path) -> None:
    """Above a thousand moved events nobody is sent each of them: everyone starts afresh, as does whoever resumes."""
    async with stage(tmp_path) as it:
        position = Position(1, it.room().log.position.offset)
        await asyncio.gather(*(it.say(f"early {number}") for number in range(BACK_EVENTS_MAX + 5)))
        listener = _listening(it)
        async with it.connected() as watcher:
            await watcher.hello(None)
            await it.reload(playlist_at(Scenario(it.now_us - 8 * SECOND_US), it.now_us - 3 * SECOND_US))
            await watcher.until(lambda: sum(frame["type"] == "welcome" for frame in watcher.frames) == 2)
            reset, welcome = watcher.frames[-2:]
            assert ("reset", "welcome", []) == (reset["type"], welcome["type"], welcome["events"])
            assert reset["position"] == welcome["position"] == welcome["through"]
        assert ["restamped"] == listener.resets
        assert [] == listener.told("back")
        async with it.connected() as client:
            await client.hello(None, after={"epoch": "1", "offset": position.offset})
            assert "reset" == client.frames[0]["type"]


async def test_a_step_of_the_system_clock_moves_no_message(tmp_path: Path) -> None:
    """Only `wall_ms` follows a step of an hour; program times keep their distances."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 60)
        first = await it.say("before the step")
        it.clock.step_system(-60 * MINUTE_US)
        it.advance(2)
        second = await it.say("after the step")
        assert 2 * SECOND_US == second["program_us"] - first["program_us"]
        logged = {event.offset: event.wall_us for event in it.hub.journal.events_after("class", 0, 100)}
        assert 2 * SECOND_US - 60 * MINUTE_US == logged[second["offset"]] - logged[first["offset"]]


async def test_bookkeeping_that_fails_stops_nothing(tmp_path: Path) -> None:
    """A mark that cannot be written is logged; the room goes on."""
    async with stage(tmp_path, OPEN) as it:

        def broken(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        it.hub.catalog.put_mark = broken  # type: ignore[method-assign, assignment]
        await it.say("hello")
        await it.sealer()._try_to_seal()
        del it.hub.catalog.put_mark
        assert (await it.say("on we go"))["offset"] > 1


async def test_sending_again_shows_what_was_stored_though_it_failed(tmp_path: Path) -> None:
    """The sync failed after the data was down: the ack of the second try means that everyone is told, without a third."""
    async with stage(tmp_path, OPEN) as it:
        listener = _listening(it)

        def fail_late() -> None:
            raise OSError(5, "sync failed")

        it.hub.writer.after_commit.append(fail_late)
        with pytest.raises(StoreError):
            await it.say("was it stored?", id="m-1")
        it.hub.writer.after_commit.remove(fail_late)
        again = await it.say("was it stored?", id="m-1")
        it.room().flush()
        assert again["offset"] == it.room().log.position.offset
        assert ["was it stored?"] == [event["text"] for frame in listener.told("events") for event in frame["events"]]
        assert again["offset"] in [event["offset"] for event in await it.replayed()]


async def test_what_is_committed_with_a_hide_counts_once(tmp_path: Path) -> None:
    """The state is folded afresh after a hide; an upvote of the same commit, told after it, is not in it twice."""
    async with stage(tmp_path, OPEN) as it:
        live = it.room()
        first, second = await it.say("one?", kind="question"), await it.say("two?", kind="question")
        gate = threading.Event()
        it.hub.writer.submit(lambda _: gate.wait(10), lambda _: None)  # what is submitted now is one commit
        hide = live.submit(Act(kind="hidden", id="h", author=WRITER, target=first["offset"]))
        upvote = live.submit(Act(kind="question_upvoted", id="u", author=WRITER, target=second["offset"]))
        gate.set()
        await asyncio.gather(hide, upvote)
        assert [{"target": second["offset"], "count": 1}] == live.edge.state.upvoted()


async def test_a_new_broadcast_starts_with_an_empty_state_for_those_in_the_room(tmp_path: Path) -> None:
    """Pins and questions of last week are not left on the screens of who stayed."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)
        await it.say("why?", kind="question")
        listener = _listening(it)
        it.room().tell_edge()
        await it.room().close_broadcast()
        it.advance(60)
        await it.reload(playlist_at(LECTURE, it.now_us))
        it.room().tell_edge()
        assert 2 == it.room().broadcasts.current.number
        assert [1, 0] == [len(frame["state"]["questions"]) for frame in listener.told("state")]


async def test_what_was_asked_before_a_new_broadcast_was_logged_is_in_its_state(tmp_path: Path) -> None:
    """The disk was full when the broadcast opened: what was said in it before that is written down counts all the same."""
    async with stage(tmp_path) as it:
        await it.stream(LECTURE, 20)

        def fail(_: sqlite3.Connection) -> None:
            raise StorageFullError

        it.hub.writer.before_commit.append(fail)
        with pytest.raises(StorageFullError):
            await it.room().close_broadcast()
        it.advance(60)
        with pytest.raises(StorageFullError):
            await it.reload(playlist_at(LECTURE, it.now_us))
        it.hub.writer.before_commit.remove(fail)
        asked = await it.say("why?", kind="question")
        await it.room().receive_tick()
        opened, question = it.room().log.position.offset, it.room().log.event(asked["offset"])
        assert question is not None
        assert (2, True) == (question.broadcast, asked["offset"] < opened)
        assert {asked["offset"]: 0} == it.room().edge.state.open_questions()


async def test_a_room_that_was_stopped_takes_nothing(tmp_path: Path) -> None:
    """Who still holds it after a change is told to come back: the room that follows would not hear of it."""
    async with stage(tmp_path, OPEN) as it:
        before = it.room()
        await it.hub.put_room("class", RoomSettings(public=True))
        with pytest.raises(RoomRestartingError):
            await before.act(Act(kind="message", id="m", author=WRITER, text="too late"))
        with pytest.raises(RoomRestartingError):
            await before.close_broadcast()
