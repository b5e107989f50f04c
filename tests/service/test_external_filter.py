"""An external filter: what it is asked, how that is signed, what becomes of its answer, and of none."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chatsync.chat.screening import Verdict
from chatsync.errors import SettingsError
from chatsync.instants import SECOND_US
from chatsync.service.clock import ManualClock
from chatsync.service.external_filter import FAILURES_MAX, REST_US, Breaker, ExternalFilter, signature
from chatsync.service.limit_table import FILTER_ANSWER_BYTES_MAX, Limits
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import Outgoing
from chatsync.service.room_settings import ScreeningSettings
from tests.service.tripwire import reply, settings
from tests.service.webhook import Webhook, silent, webhook

SECRET = "0123456789abcdef0123456789abcdef"


class Filtering:
    """A filter of one room and the program behind it."""

    def __init__(self, hook: Webhook, asking: ExternalFilter, clock: ManualClock, metrics: Metrics) -> None:
        self.hook, self.asking, self.clock, self.metrics = hook, asking, clock, metrics

    async def judge(self, text: str = "hello") -> Verdict | None:
        """Ask about a message."""
        return await self.asking.judge(text, "9b1f", id="m1", kind="message", program_ms=1_764_000_012_345)

    def outcomes(self) -> dict[str, float]:
        """How often what came of it, by the metric."""
        samples = next(iter(self.metrics.filtered.collect())).samples
        return {one.labels["outcome"]: one.value for one in samples if one.name.endswith("_total")}

    @property
    def rests(self) -> bool:
        """Whether the metric says that the filter is left alone."""
        return 'chatsync_filter_rests{room="math"} 1.0' in self.metrics.exposition().decode()


@asynccontextmanager
async def filtering(
    folder: Path, answer: Any = b"", *, limits: dict[str, int] | None = None, **given: Any
) -> AsyncIterator[Filtering]:
    """A filter and its program, for the length of a block."""
    secret = folder / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    clock, metrics = ManualClock(), Metrics()
    async with webhook(answer) as hook:
        node = settings(hook.port)
        outgoing = Outgoing(node)
        wanted: dict[str, Any] = {"filter_url": hook.url, "filter_secret_file": secret} | given
        screening = ScreeningSettings(**wanted)
        asking = ExternalFilter(
            "math", screening, limits=Limits(**(limits or {})), outgoing=outgoing, clock=clock, metrics=metrics
        )
        try:
            yield Filtering(hook, asking, clock, metrics)
        finally:
            await outgoing.aclose()


async def test_what_a_filter_is_asked(tmp_path: Path) -> None:
    """Room, id, text, the author's pseudonym, kind and program time, as JSON; the signature is a plain HMAC of time and body."""
    async with filtering(tmp_path) as it:
        assert await it.judge("why is it négative?") is None
        asked = it.hook.asked[0]

        assert {
            "room": "math",
            "id": "m1",
            "text": "why is it négative?",
            "author": "9b1f",
            "kind": "message",
            "program_ms": 1_764_000_012_345,
        } == json.loads(asked.body)
        assert ("application/json", "identity") == (asked.headers["content-type"], asked.headers["accept-encoding"])
        parts = dict(part.split("=", 1) for part in asked.headers["chatsync-signature"].split(","))
        assert str(it.clock.system_wall_us() // SECOND_US) == parts["t"]
        expected = hmac.new(SECRET.encode(), parts["t"].encode() + b"." + asked.body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(expected, parts["v1"])
        assert SECRET not in repr(asked)


def test_a_signature_is_of_time_and_body() -> None:
    """Another body, another second or another key give another one."""
    signed = signature(b"key", 1, b"body")

    assert hmac.new(b"key", b"1.body", hashlib.sha256).hexdigest() == signed
    assert 4 == len(
        {signed, signature(b"kex", 1, b"body"), signature(b"key", 2, b"body"), signature(b"key", 1, b"bodi")}
    )


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"verdict": "allow"}, None),
        ({"verdict": "allow", "reason": "fine", "more": 1}, None),
        ({"verdict": "hold", "reason": "looks\nodd\u0007"}, Verdict("hold", "filter", "looks odd")),
        ({"verdict": "refuse"}, Verdict("refuse", "filter")),
        ({"verdict": "refuse", "reason": "x" * 500}, Verdict("refuse", "filter", "x" * 200)),
    ],
)
async def test_what_it_answers_is_done(tmp_path: Path, answer: dict[str, Any], verdict: Verdict | None) -> None:
    """Allowed, held or refused; its reason is for moderators, in one line of bounded length."""
    async with filtering(tmp_path, reply(json.dumps(answer).encode())) as it:
        assert verdict == await it.judge()
        assert {answer["verdict"]: 1.0} == it.outcomes()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(b"", status="500 Oops"), "the answer has status 500"),
        (reply(b"", "Location: /other", status="302 Found"), "the answer has status 302"),
        (reply(b"<html>"), "malformed"),
        (reply(b'{"verdict":"maybe"}'), "malformed"),
        (reply(b'{"verdict":"allow","reason":5}'), "malformed"),
        (reply(b"[]"), "malformed"),
        (reply(b'{"verdict":"allow"}'.ljust(FILTER_ANSWER_BYTES_MAX + 1)), "the answer is larger than 65536 bytes"),
        (silent, "deadline"),
    ],
)
@pytest.mark.parametrize("on_failure", ["hold", "allow"])
async def test_without_an_answer_the_settings_decide(tmp_path: Path, answer: Any, reason: str, on_failure: str) -> None:
    """An error, nonsense, or nothing before the deadline: the message is held, or let through, as the room wants."""
    async with filtering(tmp_path, answer, filter_on_failure=on_failure, filter_deadline_ms=150) as it:
        expected = Verdict("hold", "filter", f"not judged: {reason}") if on_failure == "hold" else None
        assert expected == await it.judge()
        assert {"failed": 1.0} == it.outcomes()


async def test_an_answer_as_large_as_may_be_is_read(tmp_path: Path) -> None:
    """64 KiB are; one byte more is not, see above."""
    async with filtering(tmp_path, reply(b'{"verdict":"refuse"}'.ljust(FILTER_ANSWER_BYTES_MAX))) as it:
        assert Verdict("refuse", "filter") == await it.judge()


async def test_a_dead_filter_holds_nobody_up(tmp_path: Path) -> None:
    """After some failures it is not asked for a while, then by one message at a time, and as before once it answers."""
    async with filtering(tmp_path, reply(b"", status="503 Gone")) as it:
        for _ in range(FAILURES_MAX):
            await it.judge()
        assert it.rests
        started_s = time.monotonic()
        assert [Verdict("hold", "filter", "not judged: resting")] * 50 == [await it.judge() for _ in range(50)]
        assert FAILURES_MAX == len(it.hook.asked)
        assert time.monotonic() - started_s < 0.3

        it.clock.advance(REST_US)
        for _ in range(2):
            await it.judge()
        assert FAILURES_MAX + 1 == len(it.hook.asked)

        it.hook.answer = reply(b'{"verdict":"allow"}')
        it.clock.advance(REST_US)
        assert [None] * 3 == [await it.judge() for _ in range(3)]
        assert FAILURES_MAX + 4 == len(it.hook.asked)
        assert not it.rests
        assert {"failed": FAILURES_MAX + 1, "resting": 51, "allow": 3} == it.outcomes()


async def test_so_many_are_asked_about_at_once(tmp_path: Path) -> None:
    """The others wait for their turn, within the same deadline."""

    async def after_a_moment(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(reply(b'{"verdict":"allow"}'))

    limits = {"filter_requests_max": 3}
    async with filtering(tmp_path, after_a_moment, limits=limits, filter_deadline_ms=5_000) as it:
        assert [None] * 12 == await asyncio.gather(*(it.judge() for _ in range(12)))
        assert 3 == it.hook.at_once_most

        it.hook.answer = silent
        it.asking._deadline_us = 100_000
        started_s = time.monotonic()
        await asyncio.gather(*(it.judge() for _ in range(12)))
        assert time.monotonic() - started_s < 1


def test_a_breaker_counts_failures_in_a_row() -> None:
    """One answer between them, and counting begins again."""
    breaker = Breaker()
    for _ in range(3):
        for _ in range(FAILURES_MAX - 1):
            breaker.receive_failure(0)
        assert (True, False) == (breaker.may_ask(0), breaker.is_open)
        breaker.receive_answer()
    for _ in range(FAILURES_MAX):
        breaker.receive_failure(0)

    assert [False, False, True, False] == [breaker.may_ask(at) for at in (0, REST_US - 1, REST_US, REST_US)]


async def test_a_filter_needs_its_secret(tmp_path: Path) -> None:
    """A file that others can read, or with too short a secret, is refused when the room is made."""
    async with filtering(tmp_path) as it:
        assert it.hook.url.startswith("http://127.0.0.1")
    file = tmp_path / "secret"
    given: dict[str, Any] = {
        "limits": Limits(),
        "outgoing": Outgoing(settings(1)),
        "clock": ManualClock(),
        "metrics": Metrics(),
    }
    screening = ScreeningSettings(filter_url="https://filter.example/", filter_secret_file=file)
    file.write_text("short")
    with pytest.raises(SettingsError, match="at least 32"):
        ExternalFilter("math", screening, **given)
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="0600"):
        ExternalFilter("math", screening, **given)
    with pytest.raises(SettingsError, match="no filter_url"):
        ExternalFilter("math", ScreeningSettings(), **given)
    await given["outgoing"].aclose()
