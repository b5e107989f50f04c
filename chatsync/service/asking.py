"""Questions of analysts in SQL, each answered by a process of its own in which there is nothing but the room (``chatsync.analysis.locked``).

Owns: how many are asked at a time, how long one may take, starting and ending that process. Does not know: SQL, who may ask.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from chatsync.errors import CorruptError, QuestionError, RateLimitedError, StorageFailedError, TooFewPeopleError
from chatsync.service.exporting import environment
from chatsync.service.limit_table import QUERIES_MAX, QUERIES_PER_PERSON_MAX, QUERY_S_MAX

__all__ = ["Asker"]

_RETRY_MS = 2_000


class Asker:
    """Asks a few questions at a time.

    Args:
        folder: the data folder.

    Attributes:
        seconds_max: how long one may take.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seconds_max: float = QUERY_S_MAX
        self._running: Counter[str] = Counter()  # by person

    async def ask(self, room: str, sql: str, *, rows: int, people_min: int, person: str) -> bytes:
        """The answer as JSON: ``columns`` (name, type), ``rows``, and whether it ``is_cut``.

        Args:
            room: whose rows there are.
            sql: the question.
            rows: at most so many.
            people_min: only of airings in which so many people wrote; 0: of all.
            person: whose it is.

        Raises:
            QuestionError: it is none, its SQL is wrong, or it takes more time or memory than a question may.
            TooFewPeopleError: there is no such airing.
            RateLimitedError: as many as may are being answered, in all or for this person.
            CorruptError: the room's archive is damaged.
            StorageFailedError: the process could not be started, or could not read.
        """
        if self._running.total() >= QUERIES_MAX or self._running[person] >= QUERIES_PER_PERSON_MAX:
            raise RateLimitedError(_RETRY_MS)
        self._running[person] += 1
        try:
            return await self._answered(
                json.dumps(
                    {"folder": str(self._folder), "room": room, "sql": sql, "rows": rows, "people_min": people_min}
                ).encode()
            )
        finally:
            self._running[person] -= 1
            if not self._running[person]:
                del self._running[person]

    async def _answered(self, asked: bytes) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chatsync.analysis.locked"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # it may hold what people wrote
                env=environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise StorageFailedError(f"question: {error.strerror}") from error
        try:
            told, _ = await asyncio.wait_for(process.communicate(asked), self.seconds_max)
        except TimeoutError as error:
            raise QuestionError(f"It takes longer than {self.seconds_max:g} s: ask for less.") from error
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
        if not told:  # killed by one of its limits
            raise QuestionError("It takes more time or memory than a question may: ask for less.")
        if told.startswith(b'{"reason"'):
            raise QuestionError(json.loads(told)["reason"])
        if told.startswith(b'{"failure"'):
            failure: Any = json.loads(told)["failure"]
            if failure == TooFewPeopleError.code:
                raise TooFewPeopleError("query")
            raise (
                CorruptError("archive", "see chatsync verify") if failure == "corrupt" else StorageFailedError(failure)
            )
        return told
