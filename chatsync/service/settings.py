"""Every setting, with its unit, default, limit and a sentence; where they come from; what is refused as unsafe.

Owns: ``Settings``, ``load_settings`` (arguments > ``CHATSYNC_*`` > TOML file > defaults), ``check_safe``, the masked view
and the page docs/settings.md. Does not know: what the settings do. Units: in each name (``_ms``, ``_s``, ``_bytes``).
Source: contract §1, §5; defaults of the limits: docs/settings.md.

``python -m chatsync.service.settings`` prints docs/settings.md.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from chatsync.chat.text import is_room_id
from chatsync.errors import SettingsError
from chatsync.service.keys import TokenKeySettings, checked_secret, is_room_pattern, read_keys
from chatsync.service.limit_table import (
    FIXED_LIMITS,
    TOKEN_ROOMS_MAX,
    URL_CHARACTERS_MAX,
    Limits,
    SettingModel,
    setting,
)
from chatsync.service.purge_settings import PurgeHook, checked_hooks, purge_reasons
from chatsync.service.room_settings import (
    RetentionDays,
    RoomSettings,
    ScreeningSettings,
    normal_origin,
    read_private_file,
    read_request_headers,
)
from chatsync.service.source_settings import SourceSettings

__all__ = [
    "SettingRow",
    "Settings",
    "check_safe",
    "describe",
    "is_loopback",
    "load_settings",
    "settings_page",
    "shown",
    "token_key",
    "unsafe_reasons",
]

_MASK = "***"


class Settings(BaseSettings):
    """All settings of one node."""

    model_config = SettingsConfigDict(
        env_prefix="CHATSYNC_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    data_folder: Path = setting(Path("data"), "Where everything is kept: journal, slices, archive.")
    host: str = setting("127.0.0.1", "Address to listen on; any but a loopback address needs TLS or `behind_proxy`.")
    port: int = setting(8040, "Port to listen on; 0 takes a free one.", unit="port", ge=0, le=65_535)
    tls_cert: Path | None = setting(None, "Certificate chain, PEM.")
    tls_key: Path | None = setting(None, "Its key, PEM, mode 0600.")
    behind_proxy: bool = setting(False, "A proxy in front speaks TLS to the world.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "Addresses or networks whose X-Forwarded-* headers are believed."
    )
    token_secret: SecretStr | None = setting(
        None, "Key of tokens (HS256), at least 32 bytes; from the environment only.", unit="secret"
    )
    token_secret_file: Path | None = setting(None, "File of mode 0600 that holds it instead.")
    token_issuer: str = Field(
        default="chatsync",
        description="The `iss` every token must carry, but those of an OpenID provider.",
        min_length=1,
        max_length=200,
    )
    token_keys: tuple[TokenKeySettings, ...] = setting(
        (), "More keys of tokens: [below](#keys-of-tokens). In a variable as JSON."
    )
    jwks_url: str | None = Field(
        default=None,
        description="Where an OpenID provider lists its keys: https (a port of its own stands in `origin_ports`), or http of one of "
        "`loopback_origins`.",
        max_length=URL_CHARACTERS_MAX,
    )
    jwks_issuer: str | None = Field(
        default=None, description="The `iss` of its tokens; needed with `jwks_url`.", min_length=1, max_length=200
    )
    jwks_audience: str | None = Field(
        default=None,
        description="What the `aud` of its tokens must be, or hold; needed with `jwks_url`.",
        min_length=1,
        max_length=200,
    )
    jwks_role_claim: str = Field(
        default="role", description="Its claim with one of our roles.", min_length=1, max_length=200
    )
    jwks_rooms_claim: str = Field(
        default="rooms", description="Its claim with a list of rooms and prefixes.", min_length=1, max_length=200
    )
    jwks_name_claim: str = Field(
        default="name", description="Its claim with the name others see.", min_length=1, max_length=200
    )
    jwks_default_role: Literal["viewer", "participant"] | None = setting(
        None, "The role of tokens without the role claim, `viewer` or `participant`; without, they are refused."
    )
    jwks_default_rooms: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "Rooms and prefixes for tokens without the rooms claim; without, they are refused."
    )
    origin_hosts: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "Hosts playlists may come from; empty: any host with a public address."
    )
    origin_ports: Annotated[tuple[Annotated[int, Ge(1), Le(65_535)], ...], NoDecode] = setting(
        (),
        "Ports playlists may come from, besides 80 and 443, and chats elsewhere, besides 6667 and 6697.",
        unit="ports",
    )
    source_hosts: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "Hosts that chats elsewhere may come from; empty: any host with a public address."
    )
    private_origins: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "`host:port` of playlists, filters and chats elsewhere that live in a private network."
    )
    loopback_origins: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "`host:port` of playlists, filters and chats elsewhere on this very machine."
    )
    framed_by: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "Web origins whose pages may show the relay's own pages, such as `/docs`, in a frame; empty: none may."
    )
    retention_days: RetentionDays = setting(
        365,
        "How long what was said is kept after a broadcast's last event, where the room does not say; or `forever`.",
        unit="days",
    )
    audit_days: RetentionDays = setting(730, "How long a record of the audit log is kept; or `forever`.", unit="days")
    limits: Limits = Field(default_factory=Limits, description="See below.")
    purge: dict[str, PurgeHook] = Field(default_factory=dict, description="See below.")
    rooms: dict[str, RoomSettings] = Field(default_factory=dict, description="See below.")

    @field_validator(
        *("trusted_proxies", "origin_hosts", "origin_ports", "source_hosts", "private_origins", "loopback_origins"),
        *("framed_by", "jwks_default_rooms"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """In the environment a list is written with commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            if ipaddress.ip_network(network, strict=False).prefixlen == 0:
                raise ValueError("a network that holds every address cannot be trusted")
        return networks

    @field_validator("origin_hosts", "source_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if any(not re.fullmatch(r"[A-Za-z0-9._:-]+", host) for host in hosts):
            raise ValueError("a host is a name or an address, without scheme, port or wildcard")
        return tuple(host.lower().rstrip(".") for host in hosts)

    @field_validator("framed_by")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normal_origin(origin) for origin in origins)

    @field_validator("private_origins", "loopback_origins")
    @classmethod
    def _are_host_ports(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            host, _, port = origin.rpartition(":")
            if (
                not host
                or not port.isascii()
                or not port.isdigit()
                or not 0 < int(port) < 65_536
                or "*" in host
                or "/" in host
            ):
                raise ValueError("must be host:port, such as 127.0.0.1:8000")
        return tuple(origin.lower() for origin in origins)

    @field_validator("purge")
    @classmethod
    def _are_hooks(cls, hooks: dict[str, PurgeHook]) -> dict[str, PurgeHook]:
        return checked_hooks(hooks)

    @field_validator("jwks_default_rooms")
    @classmethod
    def _are_rooms(cls, rooms: tuple[str, ...]) -> tuple[str, ...]:
        if len(rooms) > TOKEN_ROOMS_MAX or any(not is_room_pattern(room) for room in rooms):
            raise ValueError(f"at most {TOKEN_ROOMS_MAX} ids of rooms, or prefixes such as math-*")
        return rooms

    @field_validator("rooms")
    @classmethod
    def _are_room_ids(cls, rooms: dict[str, RoomSettings]) -> dict[str, RoomSettings]:
        if any(not is_room_id(room) for room in rooms):
            raise ValueError("a room id is 1 to 64 of a-z, 0-9, '-', '_', and starts with a letter or digit")
        return rooms


def load_settings(file: Path | None = None, **given: Any) -> Settings:
    """Read the settings.

    Args:
        file: TOML file; None: the one named by ``CHATSYNC_CONFIG``, else none.
        given: settings from the command line; they beat everything, None means not given.

    Raises:
        SettingsError: the file is missing or no TOML, a setting is unknown, of the wrong kind or out of its limits, or a
            secret stands in the file. All that is wrong is named; values are not repeated.
    """
    if file is None and os.environ.get("CHATSYNC_CONFIG"):
        file = Path(os.environ["CHATSYNC_CONFIG"])
    from_file = {} if file is None else _read_toml(file)

    class FileSource(PydanticBaseSettingsSource):
        def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
            return from_file.get(field_name), field_name, False

        def __call__(self) -> dict[str, Any]:
            return from_file

    class LoadedSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings  # neither is a place for settings here
            return init_settings, env_settings, FileSource(settings_cls)

    try:
        return LoadedSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_reasons(error))) from None
    except ValueError as error:  # pydantic-settings: JSON expected in a variable; the message names the field only
        raise SettingsError(str(error)) from None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        read = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"the settings file {file} cannot be read ({type(error).__name__})") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the settings file {file} is no TOML: {error}") from None
    if "token_secret" in read:
        raise SettingsError(
            "token_secret does not belong in the settings file: use CHATSYNC_TOKEN_SECRET or token_secret_file"
        )
    return read


def _reasons(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"]) or "settings"
        yield f"{place}: {problem['msg'].removeprefix('Value error, ')}"


def token_key(settings: Settings) -> bytes:
    """The key of tokens, as bytes.

    Raises:
        SettingsError: there is none, it is shorter than 32 bytes, it looks like a placeholder, or its file can be read by
            others. The secret itself is never part of the reason.
    """
    if settings.token_secret is not None:
        secret = settings.token_secret.get_secret_value()
    elif settings.token_secret_file is not None:
        secret = read_private_file(settings.token_secret_file, "token_secret_file").strip()
    else:
        raise SettingsError(
            "there is no token secret: set CHATSYNC_TOKEN_SECRET or token_secret_file, for example to the output of "
            "'openssl rand -hex 32'"
        )
    return checked_secret(secret, "the token secret")


def check_safe(settings: Settings) -> None:
    """Refuse to start with settings that would put people at risk.

    Raises:
        SettingsError: with every reason, in one text.
    """
    reasons = unsafe_reasons(settings)
    if reasons:
        raise SettingsError("; ".join(reasons))


def unsafe_reasons(settings: Settings) -> list[str]:
    """Why the relay must not start with these settings, one reason each; empty if it may."""
    reasons = []
    if (settings.tls_cert is None) != (settings.tls_key is None):
        reasons.append("tls_cert and tls_key need each other")
    for name, file in (("tls_cert", settings.tls_cert), ("tls_key", settings.tls_key)):
        if file is not None and not file.is_file():
            reasons.append(f"{name} is not a file")
    if settings.tls_key is not None and settings.tls_key.is_file() and settings.tls_key.stat().st_mode & 0o077:
        reasons.append("tls_key can be read by others; make it mode 0600")
    if not is_loopback(settings.host) and settings.tls_cert is None and not settings.behind_proxy:
        reasons.append(
            f"host {settings.host} can be reached from outside without TLS: give tls_cert and tls_key, or behind_proxy if "
            "a proxy in front speaks TLS"
        )
    if settings.trusted_proxies and not settings.behind_proxy:
        reasons.append("trusted_proxies are believed only with behind_proxy")
    if len(settings.rooms) > settings.limits.rooms_max:
        reasons.append(f"there are {len(settings.rooms)} rooms, and limits.rooms_max is {settings.limits.rooms_max}")
    if settings.limits.pong_s_max > settings.limits.ping_s:
        reasons.append("limits.pong_s_max must not be longer than limits.ping_s")
    for check in (lambda: token_key(settings), lambda: read_keys(settings.token_keys)):
        try:
            check()
        except SettingsError as error:
            reasons.append(str(error))
    reasons += _provider_reasons(settings)
    reasons += purge_reasons(settings.purge, settings.limits)
    for room, room_settings in settings.rooms.items():
        if room_settings.request_headers_file is not None:
            try:
                read_request_headers(room_settings.request_headers_file)
            except SettingsError as error:
                reasons.append(f"rooms.{room}: {error}")
        try:
            room_settings.source_connector()
        except SettingsError as error:
            reasons.append(f"rooms.{room}: {error}")
        for secret in (room_settings.screening.filter_secret, room_settings.screening.human_check_secret):
            try:
                secret()
            except SettingsError as error:
                reasons.append(f"rooms.{room}.screening: {error}")
    return reasons


def _provider_reasons(settings: Settings) -> Iterator[str]:
    """What is wrong with the settings of an OpenID provider."""
    url, issuer, audience = settings.jwks_url, settings.jwks_issuer, settings.jwks_audience
    if url is None:
        if issuer is not None or audience is not None:
            yield "jwks_issuer and jwks_audience are of no use without jwks_url"
        return
    if issuer is None or audience is None:
        yield "jwks_url needs jwks_issuer and jwks_audience: else any token of that provider would do"
    if issuer == settings.token_issuer:
        yield "jwks_issuer is token_issuer: whose token it is must be told from its iss"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        yield "jwks_url is no URL"
        return
    is_local = parts.scheme == "http" and f"{host}:{port}" in settings.loopback_origins
    if not host or not (parts.scheme == "https" or is_local):
        yield "jwks_url is not https; http is taken of this machine only, named in loopback_origins"
    if "@" in parts.netloc or parts.fragment or not url.isprintable() or " " in url:
        yield "jwks_url carries credentials, a fragment or what is no part of a URL"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def shown(settings: Settings) -> dict[str, Any]:
    """The settings for people to look at: secrets are ``***`` and URLs end before their query, which may hold a token."""
    view: dict[str, Any] = settings.model_dump(mode="json")
    if settings.token_secret is not None:
        view["token_secret"] = _MASK
    if settings.jwks_url is not None:
        view["jwks_url"] = _without_query(settings.jwks_url)
    for room in view["rooms"].values():
        for part, name in (
            (room, "playlist_url"),
            (room["screening"], "filter_url"),
            (room["screening"], "human_check_url"),
        ):
            if part[name] is not None:
                part[name] = _without_query(part[name])
    return view


def _without_query(url: str) -> str:
    return url.partition("?")[0] + f"?{_MASK}" if "?" in url else url


class SettingRow(SettingModel):
    """One setting as the documentation prints it."""

    name: str
    variable: str | None
    unit: str
    default: str
    limit: str
    sentence: str


def describe() -> tuple[SettingRow, ...]:
    """Every setting, in the order of the code; those of rooms, caches and keys have no environment variable of their own."""
    return (
        *_rows(Settings.model_fields, "", "CHATSYNC_"),
        *_rows(TokenKeySettings.model_fields, "token_keys[].", None),
        *_rows(Limits.model_fields, "limits.", "CHATSYNC_LIMITS__"),
        *_rows(PurgeHook.model_fields, "purge.<name>.", None),
        *_rows(RoomSettings.model_fields, "rooms.<id>.", None),
        *_rows(ScreeningSettings.model_fields, "rooms.<id>.screening.", None),
        *_rows(SourceSettings.model_fields, "rooms.<id>.source.", None),
    )


def _rows(fields: Mapping[str, Any], prefix: str, variable_prefix: str | None) -> Iterator[SettingRow]:
    for name, field in fields.items():
        if name in {"limits", "purge", "rooms", "screening", "source"}:
            continue
        bounds = {type(part).__name__: part for part in field.metadata}
        limit = ""
        if "Ge" in bounds and "Le" in bounds:
            limit = f"{bounds['Ge'].ge:,} to {bounds['Le'].le:,}"
        elif name in {"retention_days", "audit_days"}:
            limit = "1 to 36,500, or `forever`"
        elif "MaxLen" in bounds:
            limit = f"up to {bounds['MaxLen'].max_length:,} characters"
        extra = field.json_schema_extra
        yield SettingRow(
            name=prefix + name,
            variable=None if variable_prefix is None else variable_prefix + name.upper(),
            unit=extra.get("unit", "") if isinstance(extra, dict) else "",
            default="needed" if field.is_required() else _default_text(field.get_default(call_default_factory=True)),
            limit=limit,
            sentence=field.description or "",
        )


def _default_text(default: object) -> str:
    if default is None or default in ((), "", {}):
        return "none"
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"{default:,}" if isinstance(default, int) and default >= 10_000 else str(default)


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made from the code by `python -m chatsync.service.settings`; a test keeps it in step.",
        "",
        "The command line beats environment variables, those beat the TOML file (`--config`, or `CHATSYNC_CONFIG`), and that",
        "beats the defaults. In a variable a list is written with commas. Paths are relative to the working directory.",
        "`chatsync config show` prints what holds, with secrets masked.",
        "",
    ]
    for title, prefix in (
        ("The node", ""),
        ("Keys of tokens", "token_keys[]."),
        ("Limits", "limits."),
        ("Caches that are told", "purge.<name>."),
        ("Rooms", "rooms.<id>."),
        ("What messages of a room are checked against", "rooms.<id>.screening."),
        ("A chat elsewhere that becomes a room's", "rooms.<id>.source."),
    ):
        rows = [row for row in describe() if row.name.rpartition(".")[0] == prefix.rstrip(".")]
        has_variables = rows[0].variable is not None
        lines += [f"## {title}", ""]
        lines += ["| setting |" + (" variable |" if has_variables else "") + " default | unit | limit | what it is |"]
        lines += ["|" + "---|" * (6 if has_variables else 5)]
        for row in rows:
            cells = [f"`{row.name}`", *([f"`{row.variable}`"] if has_variables else [])]
            lines += ["| " + " | ".join([*cells, row.default, row.unit, row.limit, row.sentence]) + " |"]
        lines += [""]
        if title == "Limits":
            lines += [
                "### Limits that no setting changes",
                "",
                "| limit | value | unit | what it is |",
                "|---|---|---|---|",
            ]
            lines += [f"| {one.name} | {one.value:,} | {one.unit} | {one.sentence} |" for one in FIXED_LIMITS]
            lines += [""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
