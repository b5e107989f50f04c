"""One room's settings, the same in the settings file and over HTTP; and the forms of the origins and URLs in them.

Owns: ``RoomSettings``, what may be a web origin or a playlist's URL, the file of request headers. Does not know: other settings.
Units: in each name (``_ms``, ``_s``). Source: contract §1, §5.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import structlog
from annotated_types import Ge, Le
from pydantic import Field, ValidationError, field_validator, model_validator

from chatsync.chat.mode import PROFILES, Mode, ProfileName, changed_mode
from chatsync.chat.patterns import Patterns
from chatsync.chat.reactions import REACTIONS
from chatsync.chat.screening import WORDS_MAX
from chatsync.chat.text import TITLE_CODE_POINTS_MAX, clean_name, clean_title, is_emote_name, is_room_id
from chatsync.chat.words import Entry
from chatsync.errors import MessageRejectedError, SettingsError
from chatsync.service.limit_table import (
    EMOTE_URL_CHARACTERS_MAX,
    EMOTES_MAX,
    PRIVATE_FILE_BYTES_MAX,
    REACTIONS_MAX,
    SECRET_BYTES_MIN,
    URL_CHARACTERS_MAX,
    SettingModel,
    setting,
)
from chatsync.service.source_settings import SourceSettings, source_connector
from chatsync.sources.contract import Connector

__all__ = [
    "LANGUAGES",
    "Language",
    "RequestHeaders",
    "RetentionDays",
    "RoomSettings",
    "ScreeningSettings",
    "checked_media_url",
    "normal_origin",
    "read_private_file",
    "read_request_headers",
    "url_origin",
]

RetentionDays = Annotated[int, Ge(1), Le(36_500)] | Literal["forever"]
"""Days; for ever only where somebody has written that out."""

Language = Literal["ar", "de", "en", "es", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
"""Languages of which there is a built-in list of words."""


_log = structlog.get_logger(__name__)

_NUMBER = "{number}"
_NUMBER_DIGITS_MAX = 7
_MEDIA_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")  # RFC 3986
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "accept-encoding"})


class RequestHeaders(Mapping[str, str]):
    """Headers that let us load a protected playlist, and the one origin they may be sent to. Never printed.

    Attributes:
        origin: scheme, host and port; whoever sends requests leaves the headers out anywhere else.
    """

    def __init__(self, origin: str, headers: Mapping[str, str]) -> None:
        self.origin = origin
        self._headers = dict(headers)

    def __getitem__(self, name: str) -> str:
        return self._headers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        return f"RequestHeaders({self.origin!r}, ***)"


class ScreeningSettings(SettingModel):
    """What messages of a room are checked against, ``[rooms.<id>.screening]`` in the file."""

    languages: tuple[Language, ...] | None = setting(
        None,
        "Built-in lists of words that are never meant otherwise: `ar`, `de`, `en`, `es`, `fr`; without, as the profile says: all of them for "
        "`minors`, else none.",
    )
    languages_action: Literal["refuse", "hold"] = setting(
        "refuse", "What a word of a built-in list leads to: `refuse`, or `hold` until a moderator has looked."
    )
    refused_words: tuple[str, ...] = setting(
        (),
        "Words that are refused; `word*` also where the word goes on. Disguises are seen through: docs/moderation.md.",
    )
    held_words: tuple[str, ...] = setting((), "Words that are held until a moderator has looked.")
    refused_patterns: tuple[str, ...] = setting(
        (), "Patterns (RE2) that are refused; they search a copy without capital letters and without look-alikes."
    )
    held_patterns: tuple[str, ...] = setting((), "Patterns that are held until a moderator has looked.")
    link_hosts: tuple[str, ...] = setting(
        (), "Hosts that may be linked to though the mode has `links` off, and what is below them: `school.example`."
    )
    duplicate_window_s: int = setting(
        0,
        "How long the same text of ten letters or more by the same person is refused; 0: never.",
        unit="s",
        ge=0,
        le=3_600,
    )
    flood_messages: int = setting(
        0, "How many messages one person may send in `flood_window_s`; 0: any number.", unit="messages", ge=0, le=1_000
    )
    flood_window_s: int = setting(10, "See there.", unit="s", ge=1, le=3_600)
    filter_url: str | None = setting(
        None, "An external filter that is asked about each message; needs `filter_secret_file`."
    )
    filter_secret_file: Path | None = setting(
        None, "File of mode 0600 with the secret, at least 32 bytes, that requests to the filter are signed with."
    )
    filter_deadline_ms: int = setting(
        300, "How long its answer is waited for, connecting included.", unit="ms", ge=10, le=10_000
    )
    filter_on_failure: Literal["hold", "allow"] = setting(
        "hold", "What happens to a message that it did not judge: `hold` until a moderator has looked, or `allow`."
    )
    human_check_url: str | None = setting(
        None,
        "Where it is asked whether a guest is human before they write: the `siteverify` of reCAPTCHA, hCaptcha or "
        "Turnstile; needs `human_check_secret_file`.",
    )
    human_check_secret_file: Path | None = setting(None, "File of mode 0600 with the secret that the service gave you.")
    human_check_tells_address: bool = setting(False, "Whether the service is told the guest's address.")

    @field_validator("refused_words", "held_words")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for number, word in enumerate(words, start=1):
            try:
                Entry(word)
            except ValueError as error:
                raise ValueError(f"word {number}: {error}") from None
        return words

    @field_validator("link_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if any(not re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z0-9-]+|localhost", host.lower()) for host in hosts):
            raise ValueError(
                "a host is a name such as school.example, without scheme, port or wildcard; punycode if need be"
            )
        return tuple(host.lower() for host in hosts)

    @field_validator("filter_url", "human_check_url")
    @classmethod
    def _is_reachable(cls, url: str | None) -> str | None:
        return None if url is None else _checked_url(url, "the secret file")

    @model_validator(mode="after")
    def _is_whole(self) -> ScreeningSettings:
        for url, file, name in (
            (self.filter_url, self.filter_secret_file, "filter"),
            (self.human_check_url, self.human_check_secret_file, "human_check"),
        ):
            if (url is None) != (file is None):
                raise ValueError(f"{name}_url and {name}_secret_file need each other")
        if (count := len(self.refused_words) + len(self.held_words)) > WORDS_MAX:
            raise ValueError(f"there are {count} refused_words and held_words; at most {WORDS_MAX}")
        try:
            Patterns(
                [
                    *((pattern, "refused_patterns") for pattern in self.refused_patterns),
                    *((pattern, "held_patterns") for pattern in self.held_patterns),
                ]
            )
        except SettingsError as error:
            raise ValueError(str(error)) from None
        return self

    def filter_secret(self) -> bytes | None:
        """Read the key that requests to the external filter are signed with; None if there is no filter. Reads a file.

        Raises:
            SettingsError: the file is missing, can be read by others, or holds too short a secret.
        """
        if self.filter_secret_file is None:
            return None
        key = read_private_file(self.filter_secret_file, "filter_secret_file").strip().encode()
        if len(key) < SECRET_BYTES_MIN:
            raise SettingsError(
                f"the secret in filter_secret_file has {len(key)} bytes; it needs at least {SECRET_BYTES_MIN}"
            )
        return key

    def human_check_secret(self) -> str | None:
        """Read the secret of the service that knows humans; None if there is none. Reads a file.

        Raises:
            SettingsError: the file is missing, can be read by others, or is empty.
        """
        if self.human_check_secret_file is None:
            return None
        secret = read_private_file(self.human_check_secret_file, "human_check_secret_file").strip()
        if not secret:
            raise SettingsError("human_check_secret_file is empty")
        return secret

    @property
    def names_files(self) -> bool:
        """Whether it names files of this machine, which nobody may do over HTTP."""
        return self.filter_secret_file is not None or self.human_check_secret_file is not None


class RoomSettings(SettingModel):
    """One room, ``[rooms.<id>]`` in the file."""

    title: str = Field(default="", description="What people call it.", max_length=TITLE_CODE_POINTS_MAX)
    host: str = Field(default="", description="Who gives the class, as people read it.", max_length=100)
    time_zone: str = Field(
        default="UTC",
        description="Of the class, such as `Europe/Berlin`: for people, nothing is computed by it.",
        max_length=64,
    )
    starts_ms: int | None = setting(
        None, "When it is meant to start, ms since 1970 UTC; before that the room is scheduled.", unit="ms"
    )
    profile: ProfileName = setting("open", "What kind of room it is: how it starts and what nobody can change.")
    mode: dict[str, Any] = Field(
        default_factory=dict, description="Parts of the mode it starts in, where they differ from the profile's."
    )
    guests: Literal["read", "write"] | None = setting(
        None, "What somebody without a token may do in a public room; without, as the profile says."
    )
    participants: Literal["everyone", "staff", "nobody"] | None = setting(
        None, "Who may see the list of those present; without, as the profile says."
    )
    reactions: tuple[str, ...] = setting(REACTIONS, "Emoji one may react with.")
    emotes: dict[str, str] = Field(
        default_factory=dict,
        description="Images that `:name:` in a text stands for: `https` addresses, or paths of the relay's own origin, by names of "
        "2 to 32 of `a-z`, `0-9`, `_`.",
    )
    public: bool = setting(False, "Whether anybody may read, without a token, and caches may keep slices.")
    playlist_url: str | None = setting(None, "The HLS playlist to follow; without one, program time is wall time.")
    media_url: str | None = setting(
        None,
        "What viewers play on `/watch/{room}`: an HLS playlist or a file, at an `https` address or a path of the relay's own origin. "
        "`playlist_url` is not given away.",
    )
    playlist_push: bool = setting(
        False, "Whether an encoder whose origin cannot be reached pushes its playlist instead: `POST …/timeline`."
    )
    request_headers_file: Path | None = setting(
        None, "File of mode 0600 with `Name: value` lines, sent only to the origin of `playlist_url`."
    )
    origins: tuple[str, ...] = setting(
        (), "Web origins, such as `https://school.example`, whose pages may use the room; our own always may."
    )
    contribution_ms: int = setting(
        0, "From the camera to the encoder's clock; a host's acts are moved by it.", unit="ms", ge=0, le=60_000
    )
    batch_ms: int = setting(50, "Events of so long travel together to live readers.", unit="ms", ge=1, le=1_000)
    rewind_posting_s: int = setting(
        600,
        "How far behind the live edge a message still belongs to the picture of its author.",
        unit="s",
        ge=0,
        le=86_400,
    )

    names: Literal["as_given", "numbered"] | None = setting(
        None,
        "What people are shown as: the name in their token (`as_given`), or a number of the room instead (`numbered`). Hosts and moderators "
        "keep theirs; without, as the profile says.",
    )
    numbered_name: str = Field(
        default="Student {number}", description="How a number is shown; `{number}` stands in it once.", max_length=60
    )
    names_known_to_hosts: bool = setting(
        False, "Whether hosts may see who is behind a number: only then the names in tokens are kept, in identity.db."
    )
    course: str | None = setting(
        None,
        "Rooms that name the same course know a person by the same key, so that terms can be compared; an id as a room's. "
        "Name it before anybody speaks.",
    )
    analysts_people_min: int = setting(
        5, "How many, staff aside, wrote in an airing that analysts may export or ask.", unit="people", ge=1, le=1_000
    )
    retention_days: RetentionDays | None = setting(
        None,
        "How long what was said is kept after a broadcast's last event, or `forever`; without, as the node says.",
        unit="days",
    )
    screening: ScreeningSettings = Field(default_factory=ScreeningSettings, description="See below.")
    source: SourceSettings = Field(default_factory=SourceSettings, description="See below.")

    @classmethod
    def stored(cls, record: Mapping[str, Any]) -> RoomSettings:
        """A room's settings as the catalog has them. A source that no package brings any more must not keep a relay from starting: without it."""
        try:
            return cls.model_validate(record)
        except ValidationError:
            _log.error("source_left_out", reason="its address is none that is known")
            return cls.model_validate({name: value for name, value in record.items() if name != "source"})

    def request_headers(self) -> RequestHeaders | None:
        """Read the headers of the protected playlist; None if there are none to send. Reads a file.

        Raises:
            SettingsError: the file is missing, can be read by others, or a line is no header we may set.
        """
        if self.request_headers_file is None or self.playlist_url is None:
            return None
        return RequestHeaders(url_origin(self.playlist_url), read_request_headers(self.request_headers_file))

    def source_connector(self) -> Connector | None:
        """The connector of the chat elsewhere that becomes this room's; None if there is none. Reads a file.

        Raises:
            SettingsError: the file of secrets is missing, can be read by others, or does not fit the address.
        """
        return source_connector(self.source, read_private_file)

    @property
    def names_files(self) -> bool:
        """Whether it names files of this machine, which nobody may do over HTTP."""
        named = (self.request_headers_file, self.source.secret_file)
        return any(file is not None for file in named) or self.screening.names_files

    def kept_days(self, default: RetentionDays | None) -> RetentionDays | None:
        """How long what was said is kept, days or ``forever``: what the room says, else the node's default, within the profile's bound."""
        days = self.retention_days or default
        days_max = PROFILES[self.profile].retention_days_max
        if days_max is None:
            return days
        return days_max if days is None or days == "forever" else min(days, days_max)

    @property
    def start_mode(self) -> Mode:
        """How the room talks until a host changes it."""
        return changed_mode(PROFILES[self.profile].mode, self.mode) if self.mode else PROFILES[self.profile].mode

    @property
    def fixed_parts(self) -> frozenset[str]:
        """Parts of the mode that nobody can change."""
        return PROFILES[self.profile].fixed

    @property
    def guest_access(self) -> str:
        """What somebody without a token may do: ``none``, ``read`` or ``write``."""
        return self.guests or PROFILES[self.profile].guests if self.public else "none"

    @property
    def participant_list(self) -> str:
        """Who may see the list of those present: ``everyone``, ``staff`` or ``nobody``."""
        return self.participants or PROFILES[self.profile].participants

    @property
    def word_lists(self) -> tuple[Language, ...]:
        """The built-in lists of words that messages are screened by."""
        if self.screening.languages is None:
            return LANGUAGES if PROFILES[self.profile].word_lists else ()
        return self.screening.languages

    @property
    def has_numbered_names(self) -> bool:
        """Whether people are shown by numbers."""
        return PROFILES[self.profile].numbered_names if self.names is None else self.names == "numbered"

    def numbered(self, number: int) -> str:
        """How a number is shown."""
        return self.numbered_name.replace(_NUMBER, str(number))

    @property
    def has_stream(self) -> bool:
        """Whether there is a playlist; else program time is wall time."""
        return self.playlist_url is not None or self.playlist_push

    @model_validator(mode="after")
    def _has_one_source(self) -> RoomSettings:
        if self.playlist_url is not None and self.playlist_push:
            raise ValueError("a room follows a playlist_url or is pushed one, not both")
        return self

    @model_validator(mode="after")
    def _fits_its_profile(self) -> RoomSettings:
        profile = PROFILES[self.profile]
        try:
            changed_mode(profile.mode, self.mode, profile.fixed) if self.mode else None
        except MessageRejectedError as error:
            raise ValueError(f"mode: {error.detail}") from None
        days_max = profile.retention_days_max
        is_long = self.retention_days is not None and (days_max or 0) < (
            2**31 if self.retention_days == "forever" else self.retention_days
        )
        if days_max is not None and is_long:
            raise ValueError(f"the profile {self.profile} keeps what was said at most {days_max} days")
        if profile.guests == "none" and (self.public or self.guests is not None):
            raise ValueError(f"a room of the profile {self.profile} is not public and has no guests")
        if profile.participants == "nobody" and self.participants == "everyone":
            raise ValueError(f"the profile {self.profile} shows nobody's list of those present")
        if profile.numbered_names and self.names == "as_given":
            raise ValueError(f"in a room of the profile {self.profile} people are shown as numbers")
        if len(self.reactions) > REACTIONS_MAX or any(not 0 < len(one) <= 16 for one in self.reactions):
            raise ValueError(f"at most {REACTIONS_MAX} reactions of 1 to 16 characters")
        return self

    @field_validator("title", "host")
    @classmethod
    def _is_one_line(cls, text: str) -> str:
        return clean_title(text)

    @field_validator("emotes")
    @classmethod
    def _are_images(cls, emotes: dict[str, str]) -> dict[str, str]:
        if len(emotes) > EMOTES_MAX:
            raise ValueError(f"at most {EMOTES_MAX} emotes")
        for number, (name, url) in enumerate(emotes.items(), start=1):
            if not is_emote_name(name):
                raise ValueError(f"emote {number}: a name is 2 to 32 of a-z, 0-9, '_'")
            if len(url) > EMOTE_URL_CHARACTERS_MAX or not _is_image_url(url):
                raise ValueError(
                    f"emote {number}: an image is at an https address, or at a path that starts with one slash, of at most "
                    f"{EMOTE_URL_CHARACTERS_MAX} characters"
                )
        return emotes

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", name):
            raise ValueError("is the name of a time zone, such as Europe/Berlin")
        return name

    @field_validator("numbered_name")
    @classmethod
    def _is_name(cls, shown: str) -> str:
        longest = shown.replace(_NUMBER, "9" * _NUMBER_DIGITS_MAX)
        try:
            is_clean = clean_name(longest) == longest
        except MessageRejectedError:
            is_clean = False
        if shown.count(_NUMBER) != 1 or not is_clean:
            raise ValueError(
                "must hold {number} once, and be a name of at most 32 characters with a number of 7 digits"
            )
        return shown

    @field_validator("course")
    @classmethod
    def _is_id(cls, course: str | None) -> str | None:
        if course is not None and not is_room_id(course):
            raise ValueError("an id is 1 to 64 of a-z, 0-9, '-', '_', and starts with a letter or digit")
        return course

    @field_validator("playlist_url")
    @classmethod
    def _is_fetchable(cls, url: str | None) -> str | None:
        return None if url is None else _checked_url(url)

    @field_validator("media_url")
    @classmethod
    def _is_playable(cls, url: str | None) -> str | None:
        return None if url is None else checked_media_url(url)

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normal_origin(origin) for origin in origins)


def read_request_headers(file: Path) -> dict[str, str]:
    """Read the request headers of a protected playlist: one ``Name: value`` a line, ``#`` starts a comment line.

    Raises:
        SettingsError: the file is missing, can be read by others, or a line is no header we may set.
    """
    headers: dict[str, str] = {}
    for number, line in enumerate(read_private_file(file, "request_headers_file").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _HEADER_NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
            raise SettingsError(f"request_headers_file line {number} is not 'Name: value'")
        if name.lower() in _OWN_HEADERS:
            raise SettingsError(f"request_headers_file line {number} sets {name}, which is ours to set")
        headers[name] = value
    return headers


def read_private_file(file: Path, name: str) -> str:
    """A file of secrets as text, at most 64 KiB; ``name`` is the setting that names it.

    Raises:
        SettingsError: it is missing, no file, too large, not UTF-8, or can be read by others.
    """
    try:
        with file.open("rb") as opened:
            state = os.fstat(opened.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise SettingsError(f"{name} is not a file")
            if state.st_mode & 0o077:
                raise SettingsError(f"{name} can be read by others; make it mode 0600")
            if state.st_size > PRIVATE_FILE_BYTES_MAX:
                raise SettingsError(f"{name} is too large")
            return opened.read(PRIVATE_FILE_BYTES_MAX).decode()
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{name} cannot be read ({type(error).__name__})") from None


def normal_origin(origin: str) -> str:
    """A web origin in the form browsers send: lower case, no default port, no path.

    Raises:
        ValueError: a wildcard, ``null``, or anything that is more or less than scheme, host and port.
    """
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        raise ValueError("an origin is scheme://host or scheme://host:port") from None
    host = parts.hostname or ""
    plain = parts.scheme in {"http", "https"} and re.fullmatch(r"[a-z0-9.-]+|[0-9a-f:.]+", host) is not None
    if not plain or parts.path or parts.query or parts.fragment or "@" in parts.netloc or origin != origin.strip():
        raise ValueError("an origin is scheme://host or scheme://host:port, without path or wildcard")
    shown_host = f"[{host}]" if ":" in host else host
    is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown_host}" + ("" if is_default else f":{port}")


def url_origin(url: str) -> str:
    """Scheme, host and port of a URL, as ``normal_origin`` writes them.

    Raises:
        ValueError: it has none.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown_host = f"[{host}]" if ":" in host else host
    return normal_origin(f"{parts.scheme}://{shown_host}" + ("" if parts.port is None else f":{parts.port}"))


def _is_image_url(url: str) -> bool:
    """Whether a browser reads it as an address we mean: https with a host and nobody's name, or a path of an origin."""
    if _URL_CHARACTERS.fullmatch(url) is None:
        return False
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    if url.startswith("/"):
        return not url.startswith("//")
    return url.startswith("https://") and has_host


def checked_media_url(url: str) -> str:
    """What a page may be told to play: an http or https URL, or a path that starts with one slash.

    Raises:
        ValueError: it is neither.
    """
    if _MEDIA_PATH.fullmatch(url) and len(url) <= URL_CHARACTERS_MAX:
        return url
    return _checked_url(url, "a URL that viewers may see")


def _checked_url(url: str, instead: str = "request_headers_file") -> str:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in {"http", "https"} or not has_host:
        raise ValueError("must be an http or https URL with a host")
    if "@" in parts.netloc:
        raise ValueError(f"must not carry a user name or password; use {instead}")
    if len(url) > URL_CHARACTERS_MAX or not url.isprintable() or " " in url:
        raise ValueError("must be at most 4096 printable characters without spaces")
    return url
