"""Telling everyone in a room, in order, in small goes."""

from __future__ import annotations

import asyncio

from websockets.frames import Frame, Opcode

from chatsync.chat.event import Position
from chatsync.service.fanout import CHUNK_RECEIVERS, Fanout, Receiver
from chatsync.service.framing import Batch, text_frame


class Reader:
    """Somebody who remembers what they were told."""

    is_staff = False
    author_key = ""
    author = None
    playhead = None

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def receive_batch(self, batch: Batch) -> None:
        """Keep it."""
        self.told += batch.payloads

    def receive_reset(self, reason: str, position: Position) -> None:
        """Keep it."""
        self.told.append(f"{reason} {position.offset}".encode())

    def send_banned(self) -> None:
        """Not asked for here."""
        raise AssertionError

    def send_away(self, *, gone: bool) -> None:
        """Not asked for here."""
        raise AssertionError(gone)


def _say(fanout: Fanout, text: bytes) -> None:
    batch = Batch((text,))
    fanout.tell(lambda receiver: receiver.receive_batch(batch))


async def _quiet(fanout: Fanout) -> None:
    while fanout.is_busy:  # noqa: ASYNC110 - each turn of the loop is one go
        await asyncio.sleep(0)


async def test_few_are_told_at_once() -> None:
    """A small room hears it before the call returns."""
    fanout, reader = Fanout(lambda: None), Reader()
    fanout.receivers.add(reader)
    _say(fanout, b"hello")
    assert [b"hello"] == reader.told
    assert not fanout.is_busy


async def test_many_are_told_in_goes_and_all_in_the_same_order() -> None:
    """A large room takes several turns of the loop; nobody hears the second piece before the first."""
    ended: list[bool] = []
    fanout = Fanout(lambda: ended.append(True))
    readers = [Reader() for _ in range(3 * CHUNK_RECEIVERS + 7)]
    fanout.receivers.update(readers)
    for text in (b"1", b"2", b"3"):
        _say(fanout, text)
    told = [len(reader.told) for reader in readers]
    assert CHUNK_RECEIVERS == sum(told)
    await _quiet(fanout)
    assert {(b"1", b"2", b"3")} == {tuple(reader.told) for reader in readers}
    assert [True] == ended


async def test_a_go_ends_when_it_takes_long() -> None:
    """Where each write takes a millisecond, others get their turn long before all readers have been told."""

    class Slow(Reader):
        def receive_batch(self, batch: Batch) -> None:
            end_s = asyncio.get_running_loop().time() + 0.001
            while asyncio.get_running_loop().time() < end_s:
                pass
            super().receive_batch(batch)

    ended: list[bool] = []
    fanout = Fanout(lambda: ended.append(True))
    readers = [Slow() for _ in range(64)]
    fanout.receivers.update(readers)
    _say(fanout, b"1")
    told = sum(len(reader.told) for reader in readers)
    await _quiet(fanout)
    assert told < len(readers)
    assert {(b"1",)} == {tuple(reader.told) for reader in readers}
    assert [True] == ended


async def test_who_joins_meanwhile_hears_only_what_comes_after() -> None:
    """What is being told when somebody joins is in their welcome already."""
    fanout, late = Fanout(lambda: None), Reader()
    fanout.receivers.update(Reader() for _ in range(2 * CHUNK_RECEIVERS))
    _say(fanout, b"before")
    fanout.receivers.add(late)
    _say(fanout, b"after")
    await _quiet(fanout)
    assert [b"after"] == late.told


async def test_one_who_fails_does_not_keep_the_others_from_hearing() -> None:
    """A reader that raises is left out; the rest hear everything."""

    class Broken(Reader):
        def receive_batch(self, batch: Batch) -> None:
            raise RuntimeError(batch)

    fanout = Fanout(lambda: None)
    readers: list[Receiver] = [Reader() for _ in range(2 * CHUNK_RECEIVERS)]
    fanout.receivers.update((*readers, Broken()))
    _say(fanout, b"1")
    _say(fanout, b"2")
    await _quiet(fanout)
    assert {(b"1", b"2")} == {tuple(reader.told) for reader in readers if isinstance(reader, Reader)}


def test_frames_are_made_once_and_are_what_a_server_sends() -> None:
    """Text frames without a mask, whatever their length; asked twice, the very same bytes."""
    batch = Batch((b"short", b"x" * 200, b"y" * 70_000))
    payloads = (b"short", b"x" * 200, b"y" * 70_000)
    frames = [bytes(Frame(Opcode.TEXT, payload).serialize(mask=False)) for payload in payloads]
    assert b"".join(frames) == batch.wire
    assert batch.wire is batch.wire


def test_the_header_is_what_websockets_makes_of_every_length() -> None:
    """Around each bound of RFC 6455 §5.2 the bytes are the same as the package's."""
    for length in (0, 1, 125, 126, 127, 65_535, 65_536, 65_537):
        payload = b"z" * length
        assert bytes(Frame(Opcode.TEXT, payload).serialize(mask=False)) == text_frame(payload)
