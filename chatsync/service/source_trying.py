"""``chatsync capture``: a chat elsewhere listened to for a while, without a room, to see what would come in.

Owns: what a person and a program are told of it. Does not know: the command line, rooms. Units: seconds of the caller; ms in what is printed.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from chatsync.errors import SettingsError
from chatsync.instants import ms_from_us
from chatsync.service.clock import Clock
from chatsync.service.settings import Settings
from chatsync.service.source_network import SourceNetwork
from chatsync.sources.captured import captured
from chatsync.sources.contract import Alive, Connected, Happened, Left, Line, Lost
from chatsync.sources.known import connector_of

__all__ = ["line_of", "listened"]


async def listened(
    url: str,
    secrets: Mapping[str, str],
    settings: Settings,
    clock: Clock,
    *,
    seconds: float,
    told: Callable[[Happened], None],
) -> dict[str, Any]:
    """Listen to an address, as a relay with these settings would.

    Args:
        url: of the chat.
        secrets: as in its secret file.
        settings: which addresses may be reached.
        clock: for timers.
        seconds: how long.
        told: what happens, as it does.

    Returns:
        What came of it: ``source``, ``connected`` (whether it ever was), counts by what came and by why it was left out, and ``lost``, the reasons.

    Raises:
        SettingsError: it is no such address, or a secret is wrong.
    """
    try:
        connector = connector_of(url, secrets)
    except ValueError as error:
        raise SettingsError(f"source: {error}") from None
    counts: Counter[str] = Counter()
    left: Counter[str] = Counter()
    lost: list[str] = []
    try:
        async with (
            asyncio.timeout(seconds),
            aclosing(captured(connector, SourceNetwork(settings, clock))) as happening,
        ):
            async for one in happening:
                counts[type(one).__name__.lower()] += 1
                if isinstance(one, Left):
                    left[one.why] += 1
                elif isinstance(one, Lost):
                    lost.append(one.reason)
                told(one)
    except TimeoutError:
        pass
    return {
        "source": connector.source,
        "connected": counts["connected"] > 0,
        "lines": counts["line"],
        "removals": counts["removal"],
        "left_out": dict(left),
        "lost": lost,
    }


def line_of(one: Happened, *, as_json: bool) -> str | None:
    """What is printed of it; None for what is not worth a line."""
    if isinstance(one, Alive):
        return None
    if as_json:
        shown = {name: value for name, value in msgspec.structs.asdict(one).items() if value not in (None, "", (), {})}
        if (program_us := shown.pop("program_us", None)) is not None:
            shown["program_ms"] = ms_from_us(program_us)
        return msgspec.json.encode({"type": type(one).__name__.lower(), **shown}).decode()
    match one:
        case Line():
            badges = f" [{', '.join(one.badges)}]" if one.badges else ""
            kind = "" if one.kind == "message" else f" ({one.kind})"
            return _plain(f"{one.author_name or one.author_id}{badges}{kind}: {one.text}")
        case Connected():
            return "connected: what is said from here on is told"
        case Lost():
            return f"lost: {one.reason}"
        case Left():
            return None
        case _:
            what = one.line_id and f"message {one.line_id}"
            return _plain(f"removed: {what or (one.author_id and f'all of {one.author_id}') or 'everything'}")


def _plain(text: str) -> str:
    """Nothing in it moves a terminal's cursor."""
    return "".join("·" if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else one for one in text)
