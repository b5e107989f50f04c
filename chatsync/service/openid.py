"""The keys of an OpenID provider, kept up to date while it changes them.

Owns: when the provider's key set is loaded, how long a key that left it stays good. Does not know: what a key set may hold (``keys``),
how it travels (``outgoing``), tokens. Units: µs of monotonic time. Source: OpenID Connect Core §10.1.1 (rotation); security-and-privacy §2.

A token that names a key we do not know may be a good one, signed with a new key: then the set is loaded, and whoever came with it waits.
Anybody can make up names of keys, so that happens once a minute at most; until then such a token is refused. Without any such token the set
is loaded every quarter of an hour, so that a key which was withdrawn goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from chatsync.instants import MINUTE_US, SECOND_US
from chatsync.service.clock import Clock
from chatsync.service.keys import KeyRing, Provider, TokenKey, keys_of_set
from chatsync.service.limit_table import JWKS_BYTES_MAX, JWKS_GRACE_US, JWKS_PAUSE_US
from chatsync.service.outgoing import Outgoing, RefusedError
from chatsync.service.settings import Settings

__all__ = ["ProviderKeys", "provider_keys_of", "provider_of"]

_EVERY_US = 15 * MINUTE_US

_log = structlog.get_logger(__name__)


def provider_of(settings: Settings) -> Provider | None:
    """The OpenID provider of these settings, which ``check_safe`` has looked at; None if there is none."""
    if settings.jwks_url is None or settings.jwks_issuer is None or settings.jwks_audience is None:
        return None
    return Provider(
        issuer=settings.jwks_issuer,
        audience=settings.jwks_audience,
        role_claim=settings.jwks_role_claim,
        rooms_claim=settings.jwks_rooms_claim,
        name_claim=settings.jwks_name_claim,
        default_role=settings.jwks_default_role,
        default_rooms=settings.jwks_default_rooms,
    )


class ProviderKeys:
    """Keeps the keys of one provider on the ring. ``run`` it as a task; who meets an unknown key asks ``learned``.

    Args:
        provider: whose they are.
        ring: where they hang.
        load: loads the key set.
        monotonic_us: the clock.
    """

    def __init__(
        self, provider: Provider, ring: KeyRing, load: Callable[[], Awaitable[bytes]], monotonic_us: Callable[[], int]
    ) -> None:
        self._provider, self._ring, self._load, self._monotonic_us = provider, ring, load, monotonic_us
        self._gone_us: dict[str, int] = {}  # since when a key that is on the ring is no longer in the set
        self._loading: asyncio.Task[None] | None = None
        self._next_us: int | None = None  # before it nobody makes us load; None: not loaded yet
        self._is_loaded = False

    async def run(self) -> None:
        """Load now and every quarter of an hour, after a failure every minute, until cancelled."""
        while True:
            await self._loaded()
            await asyncio.sleep((_EVERY_US if self._is_loaded else JWKS_PAUSE_US) / SECOND_US)

    async def learned(self, kid: str) -> bool:
        """Whether a key that was not on the ring is on it now. Waits for at most one load, and causes at most one a minute."""
        if self._loading is not None or self._next_us is None or self._monotonic_us() >= self._next_us:
            await self._loaded()
        return self._ring.get(kid) is not None

    async def _loaded(self) -> None:
        """Load, together with whoever else is waiting for it."""
        if self._loading is None:
            self._next_us = self._monotonic_us() + JWKS_PAUSE_US
            self._loading = asyncio.create_task(self._load_once(), name="key set")
            self._loading.add_done_callback(self._note_done)
        await asyncio.shield(self._loading)

    def _note_done(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("key_set_failed", error=type(error).__name__)

    async def _load_once(self) -> None:
        try:
            keys = keys_of_set(await self._load(), self._provider)
        except (RefusedError, ValueError) as error:
            self._is_loaded = False
            _log.warning("key_set_not_loaded", reason=str(error))
            return
        self._is_loaded = True
        self._put(keys)

    def _put(self, keys: dict[str, TokenKey]) -> None:
        """These are in the set now; of those that were, each stays for its time."""
        now_us, known = self._monotonic_us(), self._ring.provided
        self._gone_us = {kid: self._gone_us.get(kid, now_us) for kid in known if kid not in keys}
        kept = {kid: known[kid] for kid, since_us in self._gone_us.items() if now_us < since_us + JWKS_GRACE_US}
        if known.keys() != keys.keys() | kept.keys():
            _log.info("key_set_loaded", keys=len(keys), kept=len(kept))
        self._ring.provide(kept | keys)


def provider_keys_of(settings: Settings, outgoing: Outgoing, ring: KeyRing, clock: Clock) -> ProviderKeys | None:
    """What keeps the keys of these settings' provider on the ring; None if there is none."""
    provider = provider_of(settings)
    if provider is None or settings.jwks_url is None:
        return None
    deadline_s = settings.limits.playlist_ms_max / 1_000
    load = partial(outgoing.get, settings.jwks_url, answer_bytes_max=JWKS_BYTES_MAX, deadline_s=deadline_s)
    return ProviderKeys(provider, ring, load, clock.monotonic_us)
