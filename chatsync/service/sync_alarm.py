"""A room's alarm: chat is placed less well than it could be, since when, and why.

Owns: telling it once when it begins and once when it is over: log, metric, the frame for staff. Does not know: the causes
(``replay.alarm``), what stamps do meanwhile. Units: ``wall_us`` is steady wall time, µs.
"""

from __future__ import annotations

from typing import Any

import structlog

from chatsync.chat.wire import encoded
from chatsync.instants import ms_from_us
from chatsync.replay.alarm import CAUSES
from chatsync.service.metrics import Metrics

__all__ = ["SyncAlarm"]

_log = structlog.get_logger(__name__)


class SyncAlarm:
    """The alarm of one room.

    Attributes:
        cause: why it is on; None while it is off.
    """

    def __init__(self, room: str, metrics: Metrics) -> None:
        self._room, self._metrics = room, metrics
        self.cause: str | None = None
        self._detail = ""
        self._since_us = 0

    def judge(self, cause: str | None, *, origin_detail: str, wall_us: int) -> bool:
        """Take in what is wrong now; whether that is news.

        Args:
            cause: None if nothing is.
            origin_detail: a sentence for causes that are the origin's; it names no address.
            wall_us: now.
        """
        if cause == self.cause:
            return False
        if self.cause is not None:
            self._metrics.sync_alarm.remove(self._room, self.cause)
        if cause is None:
            after_s = round((wall_us - self._since_us) / 1e6, 1)
            _log.info("sync_alarm_over", room=self._room, cause=self.cause, after_s=after_s)
        else:
            self._since_us = self._since_us if self.cause is not None else wall_us
            self._detail = CAUSES.get(cause, origin_detail)
            self._metrics.sync_alarm.labels(self._room, cause).set(1)
            _log.warning("sync_alarm", room=self._room, cause=cause, detail=self._detail)
        self.cause = cause
        return True

    def to_wire(self) -> dict[str, Any]:
        """As it is shown over HTTP and to staff."""
        if self.cause is None:
            return {"ok": True, "cause": None}
        return {"ok": False, "cause": self.cause, "detail": self._detail, "since_ms": ms_from_us(self._since_us)}

    def frame(self) -> bytes:
        """The ``sync`` frame that tells staff."""
        return encoded({"type": "sync", **self.to_wire()})
