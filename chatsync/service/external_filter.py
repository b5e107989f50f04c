"""An external filter: a program of the operator's that is asked about each message of a room, by signed webhook with a deadline.

Owns: the request and its signature, the answer, what happens without one, when it is no longer asked. Does not know: connections
(``service.outgoing``), what holding means, who is exempt. Units: ``wall_s`` in the signature are seconds since the Unix epoch by the
system's clock, all else µs of monotonic time.

A filter that is dead must not hold a class up: after some failures in a row it is not asked at all for a while, then by one message at
a time until it answers again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

import msgspec
import structlog

from chatsync.chat.screening import Verdict
from chatsync.errors import SettingsError
from chatsync.instants import MS_US, SECOND_US
from chatsync.service.clock import Clock
from chatsync.service.limit_table import FILTER_ANSWER_BYTES_MAX, REASON_CHARACTERS_MAX, Limits
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import Outgoing, RefusedError
from chatsync.service.room_settings import ScreeningSettings

__all__ = ["FAILURES_MAX", "REST_US", "SIGNATURE_HEADER", "Breaker", "ExternalFilter", "signature"]

SIGNATURE_HEADER = "Chatsync-Signature"
FAILURES_MAX = 5  # in a row; then the filter is left alone
REST_US = 10 * SECOND_US  # for so long

_log = structlog.get_logger(__name__)


class _Asked(msgspec.Struct, frozen=True):
    """What a filter is asked."""

    room: str
    id: str
    text: str
    author: str
    kind: str
    program_ms: int | None


class _Answered(msgspec.Struct, frozen=True):
    """What it answers."""

    verdict: Literal["allow", "hold", "refuse"]
    reason: str | None = None


class Breaker:
    """Whether something that keeps failing is asked."""

    __slots__ = ("_failures", "_rests_until_us")

    def __init__(self) -> None:
        self._failures = 0
        self._rests_until_us: int | None = None  # None: it is asked freely

    @property
    def is_open(self) -> bool:
        """Whether it has failed so often that it is left alone, or tried by one at a time."""
        return self._rests_until_us is not None

    def may_ask(self, now_us: int) -> bool:
        """Whether to ask now; after the rest one may, and the next only when as long has passed again or it has answered."""
        if self._rests_until_us is None:
            return True
        if now_us < self._rests_until_us:
            return False
        self._rests_until_us = now_us + REST_US
        return True

    def receive_answer(self) -> None:
        """It has answered."""
        self._failures, self._rests_until_us = 0, None

    def receive_failure(self, now_us: int) -> None:
        """It has not."""
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            self._rests_until_us = now_us + REST_US


class ExternalFilter:
    """The filter of one room.

    Args:
        room: its id.
        settings: of its screening; ``filter_url`` is there.
        limits: of them ``filter_requests_max``.
        outgoing: of the node.

    Raises:
        SettingsError: there is no filter, or its secret cannot be read.
    """

    def __init__(
        self,
        room: str,
        settings: ScreeningSettings,
        *,
        limits: Limits,
        outgoing: Outgoing,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        key = settings.filter_secret()
        if key is None or settings.filter_url is None:
            raise SettingsError("the room has no filter_url")
        self._room, self._url, self._key = room, settings.filter_url, key
        self._deadline_us = settings.filter_deadline_ms * MS_US
        self._on_failure = settings.filter_on_failure
        self._outgoing, self._clock, self._metrics = outgoing, clock, metrics
        self._turn = asyncio.Semaphore(limits.filter_requests_max)
        self._breaker = Breaker()

    async def judge(self, text: str, author_key: str, *, id: str, kind: str, program_ms: int | None) -> Verdict | None:  # noqa: A002
        """Ask about a message; None: it may be written.

        Args:
            text: clean already.
            author_key: its author's pseudonym in the room.
            id: the sender's id of it.
            kind: which kind of message it is to be.
            program_ms: where it is going to stand, as far as that is known.

        Cost: at most ``filter_deadline_ms``, the wait for a turn included.
        """
        if not self._breaker.may_ask(self._clock.monotonic_us()):
            return self._without("resting")
        body = msgspec.json.encode(_Asked(self._room, id, text, author_key, kind, program_ms))
        try:
            async with asyncio.timeout(self._deadline_us / SECOND_US):
                async with self._turn:
                    answer = await self._asked(body)
        except TimeoutError:
            return self._failed("deadline")
        except RefusedError as refused:
            return self._failed(refused.reason)
        except msgspec.MsgspecError:
            return self._failed("malformed")
        if self._breaker.is_open:
            _log.info("filter_back", room=self._room)
        self._breaker.receive_answer()
        self._count(answer.verdict)
        if answer.verdict == "allow":
            return None
        return Verdict(answer.verdict, "filter", _told(answer.reason))

    async def _asked(self, body: bytes) -> _Answered:
        headers = {"Content-Type": "application/json", **self._signed(body)}
        answer = await self._outgoing.post(
            self._url,
            body,
            headers,
            answer_bytes_max=FILTER_ANSWER_BYTES_MAX,
        )
        return msgspec.json.decode(answer, type=_Answered)

    def _signed(self, body: bytes) -> Mapping[str, str]:
        wall_s = self._clock.system_wall_us() // SECOND_US
        return {SIGNATURE_HEADER: f"t={wall_s},v1={signature(self._key, wall_s, body)}"}

    def _failed(self, reason: str) -> Verdict | None:
        was_open = self._breaker.is_open
        self._breaker.receive_failure(self._clock.monotonic_us())
        if self._breaker.is_open and not was_open:
            _log.warning("filter_rests", room=self._room, reason=reason)
        return self._without("failed", reason)

    def _without(self, outcome: str, reason: str = "") -> Verdict | None:
        """What becomes of a message that was not judged."""
        self._count(outcome)
        if self._on_failure == "allow":
            return None
        return Verdict("hold", "filter", f"not judged: {reason or outcome}")

    def _count(self, outcome: str) -> None:
        self._metrics.filtered.labels(self._room, outcome).inc()
        self._metrics.filter_rests.labels(self._room).set(int(self._breaker.is_open))


def signature(key: bytes, wall_s: int, body: bytes) -> str:
    """What a filter can tell our requests by: HMAC-SHA256 of ``t.body`` in hexadecimal."""
    return hmac.new(key, b"%d." % wall_s + body, hashlib.sha256).hexdigest()


def _told(reason: str | None) -> str | None:
    """A filter's reason as moderators see it: one line of bounded length."""
    return (
        None if reason is None else "".join(filter(str.isprintable, " ".join(reason.split())))[:REASON_CHARACTERS_MAX]
    )
