"""Program time that falls back by more than the hold-back opens a broadcast and touches nothing of the one before."""

from __future__ import annotations

from pathlib import Path

from chatsync.instants import SECOND_US
from chatsync.simulation import Scenario, playlist_at
from tests.stage import START_US, Stage, stage

FIRST = Scenario(START_US)


async def _first_lecture(it: Stage) -> None:
    for number in range(70):
        await it.stream(FIRST, 10)
        await it.say(f"first {number}")
    await it.seal()


def _files(folder: Path) -> dict[str, bytes]:
    root = folder / "data" / "slices"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.json.gz")}


async def test_a_fall_back_opens_a_broadcast_and_touches_no_old_slice(tmp_path: Path) -> None:
    """The encoder's clock is set back an hour: broadcast 2, and the first one's slices keep names and bytes."""
    async with stage(tmp_path) as it:
        await _first_lecture(it)
        old = _files(tmp_path)
        assert old
        back = Scenario(it.now_us - 3600 * SECOND_US, name="back")
        fast = START_US + (it.now_us - START_US) - 3600 * SECOND_US
        for step in range(1, 40):
            it.advance(2)
            await it.reload(playlist_at(back, fast + step * 2 * SECOND_US))
            if step % 5 == 0:
                await it.say(f"second {step}")
                await it.seal()
        assert 2 == it.room().broadcasts.current.number
        now = _files(tmp_path)
        assert old == {name: now.get(name) for name in old}
        first = await it.replayed(broadcast=1)
        assert 70 == sum(event["kind"] == "message" for event in first)
        second = await it.replayed(broadcast=2)
        assert 7 == sum(event["kind"] == "message" for event in second)
        assert {"first"} == {event["text"].split()[0] for event in first if event["kind"] == "message"}


async def test_the_new_broadcast_opens_where_its_media_begins(tmp_path: Path) -> None:
    """`broadcast_opened` and `broadcast_closed` stand at the new start and at the old end; live viewers are told both."""
    async with stage(tmp_path) as it:
        await it.stream(FIRST, 30)
        async with it.connected() as client:
            await client.hello(None)
            edge_us = it.room().broadcasts.current.clock.edge_us
            assert edge_us is not None
            back = Scenario(START_US - 3600 * SECOND_US, name="back")
            it.advance(2)
            await it.reload(playlist_at(back, back.start_us + 2 * SECOND_US))
            await client.until(lambda: sum(frame["type"] == "broadcast" for frame in client.frames) == 2)
            await client.until(lambda: any(event["kind"] == "broadcast_opened" for event in client.events[-2:]))
            told = [(f["broadcast"], f["status"]) for f in client.frames if f["type"] == "broadcast"]
            assert [(1, "closed"), (2, "opened")] == told
            by_kind = {event["kind"]: event for event in client.events}
            assert (1, edge_us // 1000) == (
                by_kind["broadcast_closed"]["broadcast"],
                by_kind["broadcast_closed"]["program_ms"],
            )
            assert (2, back.start_us // 1000, "origin") == (
                by_kind["broadcast_opened"]["broadcast"],
                by_kind["broadcast_opened"]["program_ms"],
                by_kind["broadcast_opened"]["stamp"],
            )


async def test_a_fall_back_within_the_hold_back_stays(tmp_path: Path) -> None:
    """An encoder's clock that is corrected by a second or two goes on in its broadcast."""
    async with stage(tmp_path) as it:
        await it.stream(FIRST, 30)
        again = Scenario(START_US + 26 * SECOND_US, name="again")
        for step in range(1, 5):
            it.advance(2)
            await it.reload(playlist_at(again, again.start_us + step * 2 * SECOND_US))
        assert 1 == it.room().broadcasts.current.number
