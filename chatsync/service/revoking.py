"""Tokens that are taken back before they expire: one by its ``jti``, or all of a person that were issued before an instant.

Owns: the revocations in force, what they refuse, closing the connections they concern. Does not know: how a token is read (``auth``),
HTTP. Units: µs of the world's wall time, which tokens are dated by. Source: security-and-privacy §1 and §2.

Whom a revocation is about is kept as a keyed hash. It is forgotten once no token that it refuses could still be good by itself: a day and
twice the leeway later.
"""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal

import structlog

from chatsync.chat.wire import CloseCode
from chatsync.errors import ChatsyncError, MessageRejectedError
from chatsync.service.limit_table import LEEWAY_US_MAX, LIFETIME_US_MAX, REVOCATIONS_MAX
from chatsync.store.audit import AuditRecord
from chatsync.store.revocations import Revocation, drop_revocations, put_revocation

if TYPE_CHECKING:
    from chatsync.service.auth import Identity
    from chatsync.service.hub import Hub

__all__ = ["Revocations", "forget_revocations", "revoke"]

_KEPT_US = LIFETIME_US_MAX + 2 * LEEWAY_US_MAX  # its minter's clock may be ahead, and so may the one that it expires by
_AT_ONCE = 500  # connections looked at without letting others have their turn: ~2 ms

_log = structlog.get_logger(__name__)


class Revocations:
    """The revocations in force. Asked for every token, so that nothing but memory is looked at.

    Args:
        key: of the hashes; made from the token secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._held: dict[tuple[str, str, str], Revocation] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"Revocations({len(self)})"

    def key_of(self, what: Literal["jti", "person"], text: str) -> str:
        """What a token's id or a person is called in a revocation: 32 hexadecimal digits."""
        return hmac.digest(self._key, f"{what}\n{text}".encode(), "sha256")[:16].hex()

    def revocation(
        self, what: Literal["jti", "person"], text: str, *, room: str | None, before_us: int, wall_us: int
    ) -> Revocation:
        """A revocation as it is kept; it is not in force yet.

        Args:
            what: one token or a person.
            text: the token's id, or the person's, as an :class:`~chatsync.service.auth.Identity` has it.
            room: the only room it holds in; None: all.
            before_us: tokens of a person that were issued before it are good no more.
            wall_us: now.
        """
        until_us = (before_us if what == "person" else wall_us) + _KEPT_US
        return Revocation(
            what=what, key=self.key_of(what, text), room=room or "", before_us=before_us, until_us=until_us
        )

    def load(self, kept: Iterable[Revocation]) -> None:
        """Take over what was kept on disk."""
        self._held.update({(one.what, one.key, one.room): one for one in kept})

    def put(self, one: Revocation) -> Revocation:
        """A revocation is in force from now on; what holds of it and of an earlier one of the same.

        Raises:
            MessageRejectedError: there are too many.
        """
        key = (one.what, one.key, one.room)
        before = self._held.get(key)
        if before is None and len(self._held) >= REVOCATIONS_MAX:
            raise MessageRejectedError("too_many_revocations", f"At most {REVOCATIONS_MAX} are in force at a time.")
        if before is not None and before.until_us > one.until_us:
            return before
        self._held[key] = one
        return one

    def forget(self, now_us: int) -> int:
        """Drop those that no token needs any more; how many."""
        over = [key for key, one in self._held.items() if one.until_us <= now_us]
        for key in over:
            del self._held[key]
        return len(over)

    def listed(self) -> list[Revocation]:
        """Those in force, the first to go first."""
        return sorted(self._held.values(), key=lambda one: (one.until_us, one.what, one.key, one.room))

    def refuses(self, identity: Identity, room: str | None = None) -> bool:
        """Whether a token with which somebody comes was taken back.

        Args:
            identity: as the token says.
            room: where they want to go; None: whether it is good nowhere.

        Cost: nothing while nothing is revoked; else two hashes.
        """
        if not self._held or identity.expires_us is None:
            return False
        if identity.token_id is not None and ("jti", self.key_of("jti", identity.token_id), "") in self._held:
            return True
        key = self.key_of("person", identity.subject)
        found = [self._held.get(("person", key, place)) for place in {"", room or ""}]
        return any(one is not None and identity.issued_us < one.before_us for one in found)


async def revoke(hub: Hub, one: Revocation, deed: AuditRecord) -> tuple[Revocation, int]:
    """Put a revocation in force: from now on such tokens are refused, and connections that were opened with one are closed.

    Args:
        hub: of this node.
        one: what is taken back.
        deed: what the audit log says of it, in the same commit.

    Returns:
        What holds, and how many connections were closed.

    Raises:
        MessageRejectedError: there are too many.
        StoreError: it holds, but only until the relay restarts: send it again.
    """
    held = hub.authority.revocations
    one = held.put(one)
    closed = 0
    for count, connection in enumerate(tuple(hub.connections), start=1):
        if connection.identity is not None and held.refuses(connection.identity, connection.room_id):
            connection.close(CloseCode.TOKEN, "the token was taken back")
            closed += 1
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)

    def work(connection: sqlite3.Connection) -> None:
        put_revocation(connection, one)
        hub.journal.audit.note(connection, deed)

    await asyncio.wrap_future(hub.writer.call(work))
    return one, closed


async def forget_revocations(hub: Hub) -> None:
    """Once an hour: drop what no token needs any more, from memory and disk. A failure is logged; the next time will do.

    A system clock that is ahead must not make it forget: the steady one has to have got there too.
    """
    now_us = min(hub.clock.wall_us(), hub.clock.system_wall_us())
    if not hub.authority.revocations.forget(now_us):
        return
    try:
        await asyncio.wrap_future(hub.writer.call(partial(drop_revocations, now_us=now_us)))
    except ChatsyncError as error:
        _log.warning("revocations_not_forgotten", code=error.code)
    except Exception:
        _log.exception("revocations_not_forgotten")
