"""A room's setting of a chat elsewhere, and the file with its secrets.

Owns: ``SourceSettings``, ``source_secrets``. Does not know: other settings, what an address means (``chatsync.sources``). Units: in each name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import field_validator, model_validator

from chatsync.errors import SettingsError
from chatsync.service.limit_table import URL_CHARACTERS_MAX, SettingModel, setting
from chatsync.sources.contract import Connector
from chatsync.sources.known import connector_of

__all__ = ["SourceSettings", "source_connector", "source_secrets"]


class SourceSettings(SettingModel):
    """A live chat elsewhere that becomes a room's, ``[rooms.<id>.source]`` in the file."""

    url: str | None = setting(
        None,
        "Where it is: `irc://host/channel`, `ircs://host/channel` (with TLS), `twitch://channel`; docs/sources.md.",
    )
    secret_file: Path | None = setting(
        None, "File of mode 0600 with `name: value` lines: a password, a token, an account; docs/sources.md."
    )
    latency_ms: int | None = setting(
        None,
        "How far behind the live edge those are who write there; without, it is learned, and is the room's own until it was.",
        unit="ms",
        ge=0,
        le=60_000,
    )

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if len(url) > URL_CHARACTERS_MAX or not url.isprintable() or " " in url:
            raise ValueError("must be at most 4096 printable characters without spaces")
        connector_of(url, {})
        return url

    @model_validator(mode="after")
    def _is_whole(self) -> SourceSettings:
        if self.url is None and (self.secret_file is not None or self.latency_ms is not None):
            raise ValueError("secret_file and latency_ms are of no use without url")
        return self


def source_secrets(text: str) -> Mapping[str, str]:
    """The secrets of a file: one ``name: value`` a line, ``#`` starts a comment line.

    Raises:
        SettingsError: a line is none of these.
    """
    secrets: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not value.strip():
            raise SettingsError(f"source.secret_file line {number} is not 'name: value'")
        secrets[name.strip().lower()] = value.strip()
    return secrets


def source_connector(settings: SourceSettings, read: Callable[[Path, str], str]) -> Connector | None:
    """The connector of a room's source; None if it has none. Reads the file of secrets.

    Args:
        settings: the room's.
        read: reads a private file, named for a setting.

    Raises:
        SettingsError: the file is missing, can be read by others, or does not fit the address.
    """
    if settings.url is None:
        return None
    secrets = {} if settings.secret_file is None else source_secrets(read(settings.secret_file, "source.secret_file"))
    try:
        return connector_of(settings.url, secrets)
    except ValueError as error:
        raise SettingsError(f"source: {error}") from None
