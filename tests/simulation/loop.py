"""An event loop whose time is a number: it runs what is ready, then jumps to the next timer.

Owns: virtual time, the order of callbacks, threads that are not threads, processes that can be killed. Does not know: chatsync.
Units: ns of virtual time inside, seconds where asyncio wants them. Decision 0020.

The order of ``call_soon`` is kept, because asyncio promises it and programs lean on it. What asyncio leaves open is drawn from the
seed: how long a thread takes to begin and to answer, when something comes from outside, and how long the loop itself was held up.

A *process* is a number in a context variable, inherited by every task and callback that is made under it. Killing it drops all of
them where they stand: no ``finally`` runs, as after ``kill -9``.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

__all__ = ["PROCESS", "SimLoop", "StuckError"]

PROCESS: ContextVar[int] = ContextVar("PROCESS", default=0)
"""Which process the running code belongs to; 0 is the world outside."""

_NS = 1_000_000_000
_STEPS_MAX = 1_000_000  # a seed takes tens of thousands


class StuckError(RuntimeError):
    """Nothing is ready and nothing will be: everybody waits for somebody."""


class _DeadError(BaseException):
    """The process that waits here has been killed."""


class _Handle(asyncio.Handle):
    __slots__ = ("process",)

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], loop: SimLoop, context: Context | None
    ) -> None:
        taken = copy_context() if context is None else context
        super().__init__(callback, args, loop, taken)
        self.process = taken.get(PROCESS, 0)


class _Timer(asyncio.TimerHandle):
    __slots__ = ("process",)

    def __init__(
        self, when_s: float, callback: Callable[..., Any], args: tuple[Any, ...], loop: SimLoop, context: Context | None
    ) -> None:
        taken = copy_context() if context is None else context
        super().__init__(when_s, callback, args, loop, taken)
        self.process = taken.get(PROCESS, 0)


class SimLoop(asyncio.AbstractEventLoop):
    """A deterministic event loop.

    Args:
        chance: what is left open is drawn from it.

    Attributes:
        now_ns: virtual time since the start.
        outside: the context of what belongs to no process; pass it on to be called back whatever is killed.
        failure: the first exception that nobody handled; the loop stops at it.
        world: whoever runs on the loop may leave itself here.
    """

    def __init__(self, chance: Random) -> None:
        self.now_ns = 0
        self.outside = Context()
        self.failure: BaseException | None = None
        self.world: Any = None
        self._chance = chance
        self._ready: deque[_Handle | _Timer] = deque()
        self._timers: list[tuple[int, int, _Timer]] = []
        self._count = 0
        self._dead: set[int] = set()
        self._tasks: list[
            asyncio.Task[Any]
        ] = []  # kept, so that nothing of a killed process is collected while the rest runs
        self._running = False
        self._closed = False
        self._steps = 0

    # --- what asyncio asks for ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual time, s."""
        return self.now_ns / _NS

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """Run it after what is ready already."""
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it in so many seconds."""
        return self.call_at_ns(self.now_ns + max(0, round(delay * _NS)), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it at a time of :meth:`time`."""
        return self.call_at_ns(round(when * _NS), callback, *args, context=context)

    def call_at_ns(
        self, when_ns: int, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run it at a virtual time, in the order of times and, at the same time, of calls."""
        timer = _Timer(when_ns / _NS, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (max(when_ns, self.now_ns), self._count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """A task of this loop, of the process that makes it."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append(task)
        return task

    def set_default_executor(self, executor: Any) -> None:
        """Threads are simulated: there is none to choose."""
        executor.shutdown()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """A thread begins after a while, does its work at one instant, and is heard of after another while."""
        del executor
        future = self.create_future()

        def begin() -> None:
            try:
                result, error = func(*args), None
            except _DeadError:
                return
            except Exception as raised:
                result, error = None, raised
            self.call_later(self._delay_s(), end, result, error)

        def end(result: Any, error: Exception | None) -> None:
            if not future.cancelled():
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        self.call_later(self._delay_s(), begin)
        return future

    def _delay_s(self) -> float:
        return (
            0.0
            if self._chance.random() < 0.3
            else self._chance.choice((1e-5, 1e-4, 1e-3, 2e-2)) * self._chance.random()
        )

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nobody took care of an exception: that is a fault of the program, and the end of the run."""
        error = context.get("exception")
        if self.failure is None:
            self.failure = error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As :meth:`call_exception_handler`."""
        self.call_exception_handler(context)

    def get_debug(self) -> bool:
        """Never: debug mode measures real time."""
        return False

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._running

    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    async def shutdown_asyncgens(self) -> None:
        """Nothing to shut down."""

    # --- running --------------------------------------------------------------------------------------------------

    def kill(self, process: int) -> None:
        """From now on nothing of this process runs any more."""
        self._dead.add(process)

    def run_until_complete(self, future: Any) -> Any:
        """Run until a future of the outside is done.

        Raises:
            StuckError: it never will be.
        """
        awaited = asyncio.ensure_future(future, loop=self)
        self._running = True
        events._set_running_loop(self)
        try:
            while not awaited.done() and self.failure is None:
                self._step()
        finally:
            events._set_running_loop(None)
            self._running = False
        if self.failure is not None:
            raise self.failure
        return awaited.result()

    def wait_in_thread(self, is_done: Callable[[], bool]) -> None:
        """What stands for a thread waits: everything else goes on meanwhile."""
        process = PROCESS.get()
        while not is_done():
            if process in self._dead:
                raise _DeadError
            if self.failure is not None:
                raise self.failure
            self._step()

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _STEPS_MAX:
            raise StuckError("the loop spins")
        if not self._ready:
            self._wait()
        handle = self._ready.popleft()
        if not handle.cancelled() and handle.process not in self._dead:
            handle._run()

    def _wait(self) -> None:
        """Jump to the next timer; now and then the loop wakes late, as a busy machine's does."""
        if not self._timers:
            raise StuckError("nothing is ready and no timer runs")
        self.now_ns = max(self.now_ns, self._timers[0][0])
        if self._chance.random() < 0.01:
            self.now_ns += int(self._chance.random() * 0.05 * _NS)
        while self._timers and self._timers[0][0] <= self.now_ns:
            self._ready.append(heapq.heappop(self._timers)[2])

    def close(self) -> None:
        """Drop everything that still waits."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        self._tasks.clear()
