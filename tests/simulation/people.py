"""The people: they come and go, say and do things, and say them again when no answer came.

Owns: what a client does, when, and what it takes for granted afterwards. Does not know: how the relay does it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chatsync.instants import SECOND_US, ms_from_us
from chatsync.service.auth import PersonRole, TokenAuthority
from tests.relay import SECRET
from tests.simulation.reader import Reader
from tests.simulation.view import View
from tests.simulation.wire import GoneError, Socket

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.ledger import Deed
    from tests.simulation.world import World

__all__ = ["Person", "explore"]

_AUTHORITY = TokenAuthority(SECRET.encode())
_ROLES: tuple[PersonRole | None, ...] = ("host", "moderator", "participant", "participant", None)


class Person:
    """Somebody in the room.

    Args:
        world: the run.
        number: the first is the host; every fifth is a guest who only reads.
    """

    def __init__(self, world: World, number: int) -> None:
        self._world, self.number = world, number
        self.name = f"person-{number}"
        self._chance: Random = world.chance(self.name)
        self.role = _ROLES[number % len(_ROLES)]
        self._key = ""
        self._socket: Socket | None = None
        self._welcomed: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[int] | None = None
        self.view: View | None = None
        self._broadcast = 1
        self._said = 0
        self._deeds: list[Deed] = []  # in the order in which they were first sent
        self._latency_us = self._chance.choice((2, 6, 15, 100)) * SECOND_US
        self._handing_over: asyncio.Task[None] | None = None
        self.handed_over: tuple[int, int, dict[int, Any]] | None = (
            None  # broadcast, position of the reset, what was loaded
        )
        self.busy_s = self._chance.choice((0.4, 1.0, 3.0))

    @property
    def key(self) -> str:
        """Who they are in the room; nobody before they first came in."""
        return self._key

    @property
    def is_staff(self) -> bool:
        """Whether they may hide and pin."""
        return self.role in {"host", "moderator"}

    async def run(self) -> None:
        """Come and go until the run is over."""
        await asyncio.sleep(self._chance.random() * 5)
        while not self._world.is_over:
            try:
                await self._connect()
            except (GoneError, TimeoutError):
                await asyncio.sleep(0.1 + self._chance.random())
                continue
            await self._stay()
            await asyncio.sleep(
                0.05 + self._chance.choice((0.2, 2.0, 12.0)) * self._chance.random() * self._world.is_rough
            )

    async def _connect(self) -> None:
        loop = self._world.loop
        self._welcomed, self._closed = loop.create_future(), loop.create_future()
        self._socket = Socket(
            self._world.process, self._chance, room=self._world.room, on_frame=self._on_frame, on_close=self._on_close
        )
        token = None
        if self.role is not None:
            wall_us = self._world.true_us() + self._world.step_us
            token = _AUTHORITY.mint(
                self.name, wall_us=wall_us, rooms=(self._world.room,), name=self.name, role=self.role
            )
        goes_on = self.view is not None and self.view.through is not None and self._chance.random() < 0.9
        if not goes_on:
            self.view = View(self._fail)
            self.handed_over = None
        assert self.view is not None
        self.view.go_on()
        after = {"epoch": "1", "offset": self.view.through} if goes_on else None
        self._trace(f"-> hello after {self.view.through if goes_on else None}")
        self._socket.send(
            {"type": "hello", "token": token, "after": after, "last": self._chance.choice((0, 5, 50, 200))}
        )
        async with asyncio.timeout(20):
            waited: list[asyncio.Future[Any]] = [self._welcomed, self._closed]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if self._closed.done():
            raise GoneError
        for deed in () if self._key in self._world.ledger.erased else self._deeds:
            if not deed.is_answered and self._chance.random() < 0.9:
                self._send(deed)

    async def _stay(self) -> None:
        """Act until the connection ends, one way or another."""
        assert self._socket is not None
        assert self._closed is not None
        leave_in_s = self._chance.expovariate(1 / 25)
        left_at_s = self._world.loop.time() + leave_in_s
        while not self._closed.done() and not self._world.is_over:
            await asyncio.wait({self._closed}, timeout=self._chance.expovariate(1 / self.busy_s))
            if self._closed.done():
                break
            if self._world.is_rough and self._world.loop.time() > left_at_s:
                self._trace("cuts the line")
                self._socket.cut()
                break
            if not self._world.is_quiet:
                self._act()

    # --- acting ---------------------------------------------------------------------------------------------------

    def _act(self) -> None:
        which, chance = self._chance.random(), self._chance
        if which < 0.10:
            self._report_playhead()
        elif which < 0.12 and self._socket is not None and self._world.is_rough:
            self._socket.stop_reading()
            self._world.loop.call_later(chance.random() * 15, self._socket.read_on)
        elif self.role is None:
            return
        elif which < 0.20 and self._deeds:
            self._repeat(chance.choice(self._deeds[-8:]))
        elif which < 0.50 and self.is_staff:
            self._moderate()
        elif which < 0.58:
            self._do("act", action=chance.choice(("raise_hand", "lower_hand")))
        elif which < 0.64 and self._world.ledger.questions:
            self._do("act", action="upvote", target=chance.choice(self._world.ledger.questions[-6:]))
        else:
            self._say()

    def _say(self) -> None:
        self._said += 1
        kind = "question" if self._chance.random() < 0.25 else "message"
        text = f"{self.name} says no{self._said}{self._chance.choice(('x', 'x שלום', 'x https://example.org/' + 'a' * 60))}"
        fields: dict[str, Any] = {"kind": kind, "text": text}
        if self._chance.random() < 0.5:
            fields |= {"playhead": self._playhead()}
        self._do("say", **fields)

    def _moderate(self) -> None:
        chance, ledger = self._chance, self._world.ledger
        which = chance.random()
        if which < 0.5 and ledger.spoken:
            self._do("act", action="hide", target=chance.choice(ledger.spoken[-12:]), reason="off topic")
        elif which < 0.65 and ledger.hides:
            self._do("act", action="restore", target=chance.choice(ledger.hides[-6:]))
        elif which < 0.68 and ledger.keys:
            self._do("act", action=chance.choice(("hide", "hide", "restore")), author=chance.choice(ledger.keys))
        elif which < 0.76:
            self._do("act", action="pin", text=f"{self.name} pins no{self._said}p")
        elif which < 0.84 and ledger.spoken:
            self._do("act", action="pin", target=chance.choice(ledger.spoken[-12:]))
        elif which < 0.90:
            self._do("act", action="unpin")
        elif which < 0.98 and ledger.questions:
            self._do("act", action="answer", target=chance.choice(ledger.questions[-6:]))
        elif self.role == "host" and self._world.is_rough and chance.random() < 0.3:
            self._do("act", action="broadcast_close")

    def _do(self, frame_type: str, /, **fields: Any) -> None:
        """Something new."""
        deed_id = f"{self.number}-{len(self._deeds)}-{self._chance.randrange(1 << 40):x}"
        deed = self._world.ledger.note_deed(self._key, {"type": frame_type, "id": deed_id} | fields)
        self._deeds.append(deed)
        self._send(deed)

    def _repeat(self, deed: Deed) -> None:
        """The same again, as after a lost answer; or, now and then, something else under the same id."""
        if deed.frame["type"] == "say" and self._chance.random() < 0.25:
            deed.had_other_body = True
            self._trace(f"-> {deed.id} with another body")
            assert self._socket is not None
            self._socket.send(deed.frame | {"text": "something else"})
        else:
            self._send(deed)

    def _send(self, deed: Deed) -> None:
        assert self._socket is not None
        self._trace(f"-> {deed.frame}")
        self._world.ledger.note_sent(deed)
        self._socket.send(deed.frame)

    def _playhead(self) -> dict[str, Any]:
        shown_us = self._world.shown_us(self._latency_us)
        if self._chance.random() < 0.1:
            shown_us += self._chance.choice((-700, -30, 30, 3_000)) * SECOND_US
        return {
            "broadcast": self._broadcast,
            "program_ms": ms_from_us(shown_us),
            "at_live": self._latency_us <= 15 * SECOND_US,
        }

    def _report_playhead(self) -> None:
        assert self._socket is not None
        paused = self._chance.random() < 0.1
        self._socket.send({"type": "playhead", **self._playhead(), "rate": 0 if paused else 1, "paused": paused})

    # --- being told -----------------------------------------------------------------------------------------------

    def _on_frame(self, frame: Any) -> None:
        assert self.view is not None
        kind = frame["type"]
        if kind not in {"tallies", "state", "pong"}:
            self._trace(f"<- {_short(frame)}")
        if kind == "welcome":
            self._key = frame["you"]["key"]
            self._broadcast = frame["broadcast"]
            if self._welcomed is not None and not self._welcomed.done():
                self._welcomed.set_result(None)
        elif kind == "broadcast":
            self._broadcast = frame.get("broadcast", self._broadcast)
        elif kind in {"ack", "error"}:
            self._world.ledger.note_answer(self._key, frame)
        if kind in {"welcome", "events", "back"}:
            self._world.ledger.note_seen(frame["events"], self.name)
        self.view.receive(frame)
        if kind == "reset":
            self._hand_over(frame["position"]["offset"])

    def _on_close(self, code: int) -> None:
        self._trace(f"closed {code}")
        self._world.ledger.closes[code] = self._world.ledger.closes.get(code, 0) + 1
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(code)

    def _hand_over(self, position: int) -> None:
        """Everything up to a reset's position comes from files and the open slice (contract §5)."""
        self.handed_over = None
        if self._handing_over is not None:
            self._handing_over.cancel()
        self._handing_over = asyncio.ensure_future(self._load_up_to(position))

    async def _load_up_to(self, position: int) -> None:
        reader = Reader(self._world, f"{self.name} handing over at {position}")
        while not self._world.is_over:
            await asyncio.sleep(0.2 + self._chance.random())
            try:
                held = await reader.load(None, afresh=True)
            except GoneError:
                continue
            if held is None or held.as_of < position or held.tail_as_of is None or held.tail_as_of < position:
                continue
            loaded = {offset: event for offset, event in held.events().items() if offset <= position}
            self._trace(f"holds {len(loaded)} events up to {position} from slices and the open slice")
            self.handed_over = (held.number, position, loaded)
            return

    @property
    def is_in(self) -> bool:
        """Whether they are in the room now."""
        return (
            self._closed is not None
            and not self._closed.done()
            and self._welcomed is not None
            and self._welcomed.done()
        )

    @property
    def is_handing_over(self) -> bool:
        """Whether something is still being loaded after a reset."""
        return self._handing_over is not None and not self._handing_over.done()

    def shown(self) -> tuple[int, dict[int, Any]] | None:
        """After a reset and its hand-over: the broadcast that was on, and all that is shown of it."""
        if self.handed_over is None or self.view is None:
            return None
        broadcast, position, loaded = self.handed_over
        if self.view.start != position:
            return None
        shown = {offset: event for offset, event in loaded.items() if offset not in self.view.gone_since}
        shown |= {offset: event for offset, event in self.view.backs.items() if offset <= position}
        shown |= self.view.held
        return broadcast, {offset: event for offset, event in shown.items() if event["broadcast"] == broadcast}

    def _trace(self, text: str) -> None:
        self._world.trace(f"{self.name} {text}")

    def _fail(self, text: str) -> None:
        self._world.fail(f"{self.name}: {text}")


async def explore(world: World, number: int) -> None:
    """Again and again: resume from any position of the log, and hold what came against what is stored, in the end."""
    chance = world.chance(f"explorer {number}")
    while not world.is_over:
        await asyncio.sleep(1 + chance.random() * 12)
        head = world.ledger.head
        view = View(world.fail, chance.randrange(head + 1))
        done = world.loop.create_future()

        def on_frame(frame: Any, view: View = view, done: asyncio.Future[None] = done) -> None:
            world.ledger.note_seen(
                frame["events"] if frame["type"] in {"welcome", "events", "back"} else [], "explorer"
            )
            view.receive(frame)
            if frame["type"] not in {"tallies", "state"}:
                world.trace(f"explorer <- {_short(frame)}")
            if frame["type"] == "welcome" and not done.done():
                done.set_result(None)

        def on_close(code: int, done: asyncio.Future[None] = done) -> None:
            if not done.done():
                done.set_exception(GoneError(code))
                done.exception()

        asked = view.start
        try:
            socket = Socket(world.process, chance, room=world.room, on_frame=on_frame, on_close=on_close)
            socket.send({"type": "hello", "token": None, "after": {"epoch": "1", "offset": asked}})
            async with asyncio.timeout(20):
                await done
        except (GoneError, TimeoutError):
            continue
        await asyncio.sleep(chance.random() * 3)
        socket.cut()
        world.trace(f"explorer asked after {asked}, was told ({view.start}, {view.through}]")
        world.ledger.explored.append(view)


def _short(frame: Any) -> str:
    match frame["type"]:
        case "events":
            return f"events {[event['offset'] for event in frame['events']]} through {frame['through']['offset']}"
        case "back":
            return f"back {[event['offset'] for event in frame['events']]}"
        case "welcome":
            came = [event["offset"] for event in frame["events"]]
            back = [event["offset"] for event in frame["back"]]
            return f"welcome {came} through {frame['through']['offset']} gone {frame['gone']} back {back}"
    return str(frame)
