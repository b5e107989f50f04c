"""Who somebody is in a room: the key they are known by, and the name that everybody may see.

Owns: from an identity to an author; in rooms with numbered names, the number in place of the name, before anybody else hears of them. Does not
know: tokens, which number is free (``store.numbers``). Source: contract §6; security-and-privacy §8; decision 0041.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from chatsync.chat.event import Author, Role
from chatsync.chat.policy import STAFF
from chatsync.errors import CorruptError, RoomRestartingError
from chatsync.service.auth import Identity
from chatsync.service.room_settings import RoomSettings

if TYPE_CHECKING:
    from chatsync.service.hub import Hub

__all__ = ["People"]

_log = structlog.get_logger(__name__)


class People:
    """The people of all rooms of a node.

    Args:
        hub: knows the rooms.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def load(self, room: str, room_settings: RoomSettings) -> None:
        """Before a room is served: learn which numbers it has given. If they are damaged, nobody but staff comes in."""
        if not room_settings.has_numbered_names:
            return
        load = partial(self._hub.journal.load_numbers, room, keeps_given=room_settings.names_known_to_hosts)
        try:
            await asyncio.to_thread(load)
        except CorruptError:
            _log.exception("numbers_are_damaged", room=room)

    def key(self, room: str, subject: str) -> str:
        """Who somebody is in a room: the key is the room's own, or its course's, so that others cannot be joined.

        Raises:
            RoomRestartingError: it is not there now.
        """
        return self._hub.authority.author_key(room, subject, self._settings(room).course)

    def author_of(self, identity: Identity, room: str) -> Author:
        """Who an identity is in a room, under the name that everybody may see. As :meth:`author`."""
        return self.author(room, identity.subject, identity.name, identity.role)

    def author(self, room: str, subject: str, name: str, role: Role) -> Author:
        """Who somebody is in a room: in one with numbered names, who is not staff has a number for a name from here on.

        Args:
            room: where.
            subject: the platform's own id of them.
            name: as their platform calls them.
            role: what they are.

        Raises:
            CorruptError: the room's numbers are damaged: rather nobody comes in than under their own name.
            RoomRestartingError: the room is not there now.
        """
        known, key = self._settings(room), self.key(room, subject)
        if known.has_numbered_names and role not in STAFF:
            given = name if known.names_known_to_hosts and name else None
            name = known.numbered(self._hub.journal.numbers.of(room, key, given))
        return Author(key=key, name=name, role=role)

    def release(self, room: str, author: Author) -> None:
        """A guest without a token is gone, and will not come back as the same: a number under which nothing was said is free again."""
        known, numbers = self._hub.settings_of(room), self._hub.journal.numbers
        if known is not None and known.has_numbered_names:  # once what they said before is on disk
            self._hub.writer.submit(lambda _: None, lambda _: numbers.release(room, author.key))

    def _settings(self, room: str) -> RoomSettings:
        known = self._hub.settings_of(room)
        if known is None:
            raise RoomRestartingError
        return known
