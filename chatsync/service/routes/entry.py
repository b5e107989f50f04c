"""Who comes in by HTTP: the bearer header and the room of the path become an identity and a room.

Owns: the dependencies of routes. A room the caller may not see is answered as one that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request

from chatsync.chat.policy import may
from chatsync.errors import NotAllowedError, NotFoundError
from chatsync.service.auth import Identity, bearer_token
from chatsync.service.hub import Hub, RunningRoom
from chatsync.service.live_room import LiveRoom
from chatsync.service.origins import ENTERED

__all__ = ["Entry", "Ms", "allowed", "entry", "hub_of", "people_min", "reader"]

_MS_MAX = 253_402_300_799_999  # the end of the year 9999: in µs it fits what SQLite and DuckDB can compare

Ms = Annotated[int, Query(ge=-_MS_MAX, le=_MS_MAX)]
"""A time in a query, ms since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that was let into a room."""

    hub: Hub
    running: RunningRoom
    identity: Identity

    @property
    def room(self) -> LiveRoom:
        """The room entered."""
        return self.running.live

    def broadcast(self, number: int | None) -> int:
        """The broadcast a request names, the latest if it names none.

        Raises:
            NotFoundError: the room never had it.
        """
        if number is not None and not 1 <= number <= self.room.broadcasts.latest_number:
            raise NotFoundError("broadcast")
        return self.room.broadcasts.current.number if number is None else number


def hub_of(request: Request) -> Hub:
    """The node's rooms."""
    hub: Hub = request.app.state.hub
    return hub


async def entry(request: Request, room: str) -> Entry:
    """Let a request into a room; it is started if it was asleep.

    Raises:
        TokenError: a token that is not accepted.
        UnknownRoomError: no such room, or not the caller's.
    """
    hub = hub_of(request)
    running, identity = await hub.entrant(room, bearer_token(request.headers))
    request.scope[ENTERED] = running.live.settings.origins
    return Entry(hub, running, identity)


async def reader(request: Request, room: str) -> Entry:
    """Let a request in to read. A coroutine, so that it runs on the loop: a thread for a dictionary look-up halves the rate."""
    return allowed(await entry(request, room), "read")


def allowed(entered: Entry, action: str) -> Entry:
    """The same entry, if its role or scope may do this.

    Raises:
        NotAllowedError: it may not.
    """
    identity = entered.identity
    if not (may(identity.role, action) or action in identity.scopes):
        raise NotAllowedError(action)
    return entered


def people_min(entered: Entry) -> int:
    """How many people must have written in an airing for the caller to export or ask it; 0 for hosts, who see names, and for administrators."""
    identity = entered.identity
    if may(identity.role, "read_names") or "admin_room" in identity.scopes:
        return 0
    return entered.room.settings.analysts_people_min
