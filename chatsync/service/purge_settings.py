"""The caches in front that are told when a slice has changed: one table of settings for each.

Owns: ``PurgeHook``, what may be a cache's address, its token. Does not know: what is dropped, and when (``service.purging``).
Source: security-and-privacy §3.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from chatsync.errors import SettingsError
from chatsync.service.limit_table import SLICE_CACHE_S_BARE, URL_CHARACTERS_MAX, Limits, SettingModel, setting
from chatsync.service.room_settings import read_private_file

__all__ = ["APIS", "PurgeHook", "PurgeKind", "checked_hooks", "purge_reasons", "read_purge_token"]

PurgeKind = Literal["http", "ban", "fastly", "cloudflare"]
APIS: Mapping[str, str] = {
    "fastly": "https://api.fastly.com",
    "cloudflare": "https://api.cloudflare.com/client/v4",
}
"""Where those are asked that are asked by an API."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_ZONE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_HOOKS_MAX = 16


class PurgeHook(SettingModel):
    """One cache, ``[purge.<name>]`` in the file."""

    kind: PurgeKind = setting(
        "http",
        "How it is told: `http` (a `PURGE` of each URL), `ban` (a `BAN` of keys, as our VCL for Varnish has it), `fastly`, `cloudflare`.",
    )
    url: str | None = setting(
        None,
        "Where it is told: the cache itself (`http`, `ban`), or another address of the API. Any address may be named here.",
    )
    host: str | None = setting(
        None, "The `Host` under which the cache keeps what it has, if it minds; else the one of `url`."
    )
    zone: str | None = setting(None, "The service id at Fastly, or the zone id at Cloudflare.")
    token_file: Path | None = setting(None, "File of mode 0600 with the API's token, for `fastly` and `cloudflare`.")

    @property
    def base_url(self) -> str:
        """Where it is told, without a slash at the end."""
        return (self.url or APIS[self.kind]).rstrip("/")

    @property
    def has_api(self) -> bool:
        """Whether a vendor's API is asked, with a token."""
        return self.kind in APIS

    @field_validator("url")
    @classmethod
    def _is_plain(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            has_host = bool(parts.hostname) and parts.port != 0
        except ValueError:
            raise ValueError("is no URL") from None
        if parts.scheme not in {"http", "https"} or not has_host or parts.query or parts.fragment or "?" in url:
            raise ValueError("must be an http or https URL with a host, without a query")
        if "@" in parts.netloc:
            raise ValueError("must not carry a user name or password")
        if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be printable ASCII without spaces")
        return url

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str | None) -> str | None:
        if host is not None and _HOST.fullmatch(host) is None:
            raise ValueError("must be a host, perhaps with a port")
        return host

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, zone: str | None) -> str | None:
        if zone is not None and _ZONE.fullmatch(zone) is None:
            raise ValueError("an id is of letters, digits, '-' and '_'")
        return zone

    @model_validator(mode="after")
    def _is_whole(self) -> PurgeHook:
        if self.has_api and (self.zone is None or self.token_file is None):
            raise ValueError(f"{self.kind} needs zone and token_file")
        if not self.has_api and self.url is None:
            raise ValueError(f"{self.kind} needs url")
        return self


def checked_hooks(hooks: dict[str, PurgeHook]) -> dict[str, PurgeHook]:
    """The hooks, if their names may stand in metrics and there are not too many.

    Raises:
        ValueError: else.
    """
    if any(_NAME.fullmatch(name) is None for name in hooks):
        raise ValueError("a cache's name is 1 to 32 of a-z, 0-9, '-', '_', and starts with a letter or digit")
    if len(hooks) > _HOOKS_MAX:
        raise ValueError(f"at most {_HOOKS_MAX} caches can be told")
    return hooks


def read_purge_token(hook: PurgeHook, name: str) -> str:
    """The token of a vendor's API. Reads a file.

    Args:
        hook: has one.
        name: the hook's, for the reason.

    Raises:
        SettingsError: it is missing, can be read by others, or is no token.
    """
    assert hook.token_file is not None
    token = read_private_file(hook.token_file, f"purge.{name}.token_file").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"purge.{name}.token_file holds no token")
    return token


def purge_reasons(hooks: Mapping[str, PurgeHook], limits: Limits) -> list[str]:
    """Why the relay must not start with these, one reason each; empty if it may."""
    reasons = []
    if limits.slice_cache_s > SLICE_CACHE_S_BARE and not hooks:
        reasons.append(
            f"limits.slice_cache_s is above {SLICE_CACHE_S_BARE}, and no cache is told what is hidden: name it under [purge.<name>]"
        )
    for name, hook in hooks.items():
        if not hook.has_api:
            continue
        if not hook.base_url.startswith("https://") and not _is_here(hook.base_url):
            reasons.append(f"purge.{name}: its token would travel without TLS; use https:// in url")
        try:
            read_purge_token(hook, name)
        except SettingsError as error:
            reasons.append(str(error))
    return reasons


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
