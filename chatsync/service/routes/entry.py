"""Who comes in by HTTP: the bearer header and the room of the path become an identity and a room.

Owns: the dependencies of routes. A room the caller may not see is answered as one that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from chatsync.chat.policy import may
from chatsync.errors import NotAllowedError
from chatsync.service.auth import Identity, bearer_token
from chatsync.service.hub import Hub, RunningRoom
from chatsync.service.live_room import LiveRoom

__all__ = ["Entry", "allowed", "entry", "hub_of", "reader"]


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


def hub_of(request: Request) -> Hub:
    """The node's rooms."""
    hub: Hub = request.app.state.hub
    return hub


def entry(request: Request, room: str) -> Entry:
    """Let a request into a room.

    Raises:
        TokenError: a token that is not accepted.
        UnknownRoomError: no such room, or not the caller's.
    """
    hub = hub_of(request)
    running, identity = hub.entrant(room, bearer_token(request.headers))
    return Entry(hub, running, identity)


def reader(request: Request, room: str) -> Entry:
    """Let a request in to read."""
    return allowed(entry(request, room), "read")


def allowed(entered: Entry, action: str) -> Entry:
    """The same entry, if its role or scope may do this.

    Raises:
        NotAllowedError: it may not.
    """
    identity = entered.identity
    if not (may(identity.role, action) or action in identity.scopes):
        raise NotAllowedError(action)
    return entered
