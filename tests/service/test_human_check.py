"""Whether a guest is human: the question that the services share, and what counts as a yes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from chatsync.errors import SettingsError
from chatsync.service import human_check
from chatsync.service.human_check import HumanCheck
from chatsync.service.limit_table import HUMAN_CHECK_ANSWER_BYTES_MAX, HUMAN_TOKEN_CHARACTERS_MAX, Limits
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import Outgoing
from chatsync.service.room_settings import ScreeningSettings
from tests.service.tripwire import reply, settings
from tests.service.webhook import Webhook, silent, webhook

YES = reply(b'{"success":true,"challenge_ts":"2025-11-24T16:00:00Z","hostname":"school.example","score":0.9}')


@asynccontextmanager
async def checking(
    folder: Path, answer: Any = YES, *, limits: dict[str, int] | None = None, **given: Any
) -> AsyncIterator[tuple[HumanCheck, Webhook]]:
    """A check and the service behind it, for the length of a block."""
    secret = folder / "secret"
    secret.write_text("0x4AAA&secret=\n")
    secret.chmod(0o600)
    async with webhook(answer) as hook:
        outgoing = Outgoing(settings(hook.port))
        wanted: dict[str, Any] = {"human_check_url": hook.url, "human_check_secret_file": secret} | given
        screening = ScreeningSettings(**wanted)
        try:
            yield (
                HumanCheck("math", screening, limits=Limits(**(limits or {})), outgoing=outgoing, metrics=Metrics()),
                hook,
            )
        finally:
            await outgoing.aclose()


async def test_the_question_is_a_form(tmp_path: Path) -> None:
    """Secret and response, escaped as forms are; the guest's address is kept to ourselves."""
    async with checking(tmp_path) as (check, hook):
        assert await check.check("tok&en=1", "192.0.2.7")

        assert {"secret": ["0x4AAA&secret="], "response": ["tok&en=1"]} == parse_qs(hook.asked[0].body.decode())
        assert "application/x-www-form-urlencoded" == hook.asked[0].headers["content-type"]


async def test_the_address_is_told_where_the_room_wants_that(tmp_path: Path) -> None:
    """As ``remoteip``, and only if it is known."""
    async with checking(tmp_path, human_check_tells_address=True) as (check, hook):
        assert [True, True] == [await check.check("token", "192.0.2.7"), await check.check("token")]

        assert [["192.0.2.7"], None] == [parse_qs(one.body.decode()).get("remoteip") for one in hook.asked]


@pytest.mark.parametrize(
    "answer",
    [
        reply(b'{"success":false,"error-codes":["timeout-or-duplicate"]}'),
        reply(b'{"success":"true"}'),
        reply(b'{"success":1}'),
        reply(b"{}"),
        reply(b"true"),
        reply(b"<html>"),
        reply(b'{"success":true}', status="403 Forbidden"),
        reply(b"", "Location: /yes", status="302 Found"),
        reply(b'{"success":true}'.ljust(HUMAN_CHECK_ANSWER_BYTES_MAX + 1)),
    ],
)
async def test_only_a_plain_yes_is_one(tmp_path: Path, answer: bytes) -> None:
    """A no, an error, or anything else than ``true`` keeps the guest from writing."""
    async with checking(tmp_path, answer) as (check, _):
        assert not await check.check("token")


async def test_no_answer_is_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest who cannot be checked does not write: the service's silence opens no door."""
    monkeypatch.setattr(human_check, "DEADLINE_S", 0.1)
    async with checking(tmp_path, silent) as (check, _):
        assert not await check.check("token")


@pytest.mark.parametrize("token", ["", "a\nb", "x" * (HUMAN_TOKEN_CHARACTERS_MAX + 1)])
async def test_nobody_is_asked_about_nonsense(tmp_path: Path, token: str) -> None:
    """An empty or endless response costs no request."""
    async with checking(tmp_path) as (check, hook):
        assert not await check.check(token)
        assert [] == hook.asked


async def test_so_many_are_asked_about_at_once(tmp_path: Path) -> None:
    """A crowd at the door waits in line."""

    async def after_a_moment(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(YES)

    async with checking(tmp_path, after_a_moment, limits={"human_checks_max": 2}) as (check, hook):
        assert [True] * 8 == await asyncio.gather(*(check.check("token") for _ in range(8)))
        assert 2 == hook.at_once_most


async def test_a_check_needs_its_secret(tmp_path: Path) -> None:
    """A room without one, or with an empty file, has no check."""
    outgoing = Outgoing(settings(1))
    file = tmp_path / "empty"
    file.touch(0o600)
    for screening in (
        ScreeningSettings(),
        ScreeningSettings(human_check_url="https://x.example/", human_check_secret_file=file),
    ):
        with pytest.raises(SettingsError):
            HumanCheck("math", screening, limits=Limits(), outgoing=outgoing, metrics=Metrics())
    await outgoing.aclose()
