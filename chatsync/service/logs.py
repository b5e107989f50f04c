"""Log lines: one JSON object a line, or something readable on a terminal; never a secret, a name or what people wrote.

Owns: how lines look and what is taken out of them. Does not know: what is logged. Units: ``wall`` is ISO 8601 in UTC with
milliseconds, from the clock passed in. Source: security rules on logs (no chat text, tokens, names or addresses of people).

Three nets catch what should never be logged in the first place: fields by name; anything that looks like a token or a URL
with credentials, wherever it stands; and the messages of exceptions that are neither ours nor the system's, which may
repeat what somebody wrote. Control characters are escaped, so nobody can write a line of their own. The libraries' lines
go through the same nets.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from chatsync.errors import ChatsyncError
from chatsync.instants import iso_from_us
from chatsync.service.clock import Clock, SteadyClock
from chatsync.service.room_settings import RequestHeaders

__all__ = ["MASK", "configure_logs", "escaped", "redacted", "without_secrets"]

MASK = "***"

_SECRET_FIELDS = re.compile(
    r"token|secret|passw|authori[sz]ation|cookie|credential|api_?key|private_?key|headers|^(text|body|name|names|subject|email|ip|client|address|url)$",
    re.IGNORECASE,
)
_JWT = re.compile(r"\bey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(?<=[\w/])\?[^\s\"'<>]*=[^\s\"'<>]*")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_VALUE_CHARACTERS_MAX = 2_000
_TRACE_CHARACTERS_MAX = 20_000
_DEPTH_MAX = 6
_PLAIN_SPOKEN = (ChatsyncError, OSError, sqlite3.Error)  # their messages are composed by us or by the system


def configure_logs(
    level: str = "info", *, clock: Clock | None = None, stream: TextIO | None = None, as_json: bool | None = None
) -> None:
    """Send all log lines of this process, the libraries' too, to one stream. Call it once, at the start.

    Args:
        level: our lines below it are dropped; of the libraries', those below a warning are dropped too, since they speak of
            addresses of people and of frames.
        clock: for ``wall``; None: the system's.
        stream: None: standard error.
        as_json: None: unless the stream is a terminal.
    """
    stream = stream or sys.stderr
    as_json = not stream.isatty() if as_json is None else as_json
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _Stamped(clock or SteadyClock()),
        structlog.processors.ExceptionRenderer(_trace),
        without_secrets,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("chatsync").setLevel(number)
    logging.getLogger("uvicorn.access").disabled = True  # addresses of people and full paths, at any level
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def without_secrets(_: Any, __: str, line: MutableMapping[str, Any]) -> EventDict:
    """Structlog processor: masks what may be a secret or somebody's words, and escapes control characters."""
    clean: EventDict = {}
    for field, value in line.items():
        if field in _KEPT:
            clean[field] = value
        elif field == "exception":
            clean[field] = _clean_trace(value)
        else:
            clean[escaped(redacted(field))] = MASK if _SECRET_FIELDS.search(field) else escaped(redacted(value))
    return clean


def redacted(value: Any, depth: int = 0) -> Any:
    """A value of a log line without what must not stand there; containers keep their shape to a depth of six."""
    if isinstance(value, str):
        value = _BEARER.sub(rf"\1 {MASK}", _JWT.sub(MASK, value))
        return _QUERY.sub(f"?{MASK}", _USERINFO.sub(f"{MASK}@", value))
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth >= _DEPTH_MAX:
        return MASK
    if isinstance(value, RequestHeaders):
        return repr(value)
    if isinstance(value, Mapping):
        return {
            redacted(str(key)): MASK if _SECRET_FIELDS.search(str(key)) else redacted(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"  # bytes are bodies and frames: what people wrote
    return redacted(str(value), depth)


def escaped(value: Any, characters_max: int = _VALUE_CHARACTERS_MAX) -> Any:
    r"""A value in which control, directional and invisible characters are written as ``\\uXXXX``, cut to a sane length."""
    if isinstance(value, str):
        cut = value if len(value) <= characters_max else value[:characters_max] + "…"
        return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", cut)
    if isinstance(value, Mapping):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return value


class _Stamped:
    """Adds ``wall``; people hold lines beside the world's clock, so it is the system's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _: WrappedLogger, __: str, line: EventDict) -> EventDict:
        return {"wall": iso_from_us(self._clock.system_wall_us()), **line}


_KEPT = frozenset({"_record", "_from_structlog", "wall", "level", "logger"})


def _trace(exc_info: ExcInfo) -> str:
    """Where an exception came from, innermost last, with its causes; messages only of those that speak plainly."""
    parts: list[str] = []
    error: BaseException | None = exc_info[1]
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        message = f": {error}" if isinstance(error, _PLAIN_SPOKEN) else ""
        head = f"{kind.__module__}.{kind.__qualname__}{message}"
        parts.insert(0, "".join(traceback.format_tb(error.__traceback__)) + head)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nled to\n".join(parts)


def _clean_trace(trace: Any) -> str:
    """A traceback keeps its lines: JSON writes their breaks as escapes, a terminal shows them."""
    text = str(redacted(str(trace)))[-_TRACE_CHARACTERS_MAX:]
    return "\n".join(escaped(line) for line in text.split("\n"))
