"""Whether a guest is human, asked of the service behind a CAPTCHA before they write.

Owns: the question and the answer, in the form that reCAPTCHA, hCaptcha and Turnstile share (``siteverify``). Does not know: the widget
on the page, connections (``service.outgoing``), for how long an answer holds: whoever asks remembers it with the connection.
Source: the services' documentation of ``siteverify``.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import msgspec
import structlog

from chatsync.errors import SettingsError
from chatsync.service.limit_table import HUMAN_CHECK_ANSWER_BYTES_MAX, HUMAN_TOKEN_CHARACTERS_MAX, Limits
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import Outgoing, RefusedError
from chatsync.service.room_settings import ScreeningSettings

__all__ = ["DEADLINE_S", "HumanCheck"]

DEADLINE_S = 5.0  # somebody waits for it, once; these services answer within half a second

_log = structlog.get_logger(__name__)


class _Answered(msgspec.Struct, frozen=True):
    """What the service answers; the rest of it is its own business."""

    success: bool


class HumanCheck:
    """The check of one room.

    Args:
        room: its id.
        settings: of its screening; ``human_check_url`` is there.
        limits: of them ``human_checks_max``.
        outgoing: of the node.

    Raises:
        SettingsError: there is no check, or its secret cannot be read.
    """

    def __init__(
        self, room: str, settings: ScreeningSettings, *, limits: Limits, outgoing: Outgoing, metrics: Metrics
    ) -> None:
        secret = settings.human_check_secret()
        if secret is None or settings.human_check_url is None:
            raise SettingsError("the room has no human_check_url")
        self._room, self._url, self._secret = room, settings.human_check_url, secret
        self._tells_address = settings.human_check_tells_address
        self._outgoing, self._metrics = outgoing, metrics
        self._turn = asyncio.Semaphore(limits.human_checks_max)

    async def check(self, response_token: str, address: str | None = None) -> bool:
        """Whether the service says that this is a human; no if it says nothing.

        Args:
            response_token: what the widget gave to the page. Each is good for one question only.
            address: the guest's, told to the service if the settings say so.

        Cost: at most ``DEADLINE_S``.
        """
        if not response_token or len(response_token) > HUMAN_TOKEN_CHARACTERS_MAX or not response_token.isprintable():
            return self._counted("malformed")
        form = {"secret": self._secret, "response": response_token}
        if self._tells_address and address is not None:
            form["remoteip"] = address
        try:
            async with asyncio.timeout(DEADLINE_S), self._turn:
                answer = await self._outgoing.post(
                    self._url,
                    urlencode(form).encode(),
                    {"Content-Type": "application/x-www-form-urlencoded"},
                    answer_bytes_max=HUMAN_CHECK_ANSWER_BYTES_MAX,
                )
            is_human = msgspec.json.decode(answer, type=_Answered).success
        except (TimeoutError, RefusedError, msgspec.MsgspecError) as error:
            reason = error.reason if isinstance(error, RefusedError) else type(error).__name__
            _log.warning("human_check_failed", room=self._room, reason=reason)
            return self._counted("failed")
        return self._counted("human" if is_human else "not_human")

    def _counted(self, outcome: str) -> bool:
        self._metrics.human_checks.labels(self._room, outcome).inc()
        return outcome == "human"
