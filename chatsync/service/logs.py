"""Log lines: JSON for machines, plain for a person at a terminal; never a secret, a token or what people wrote.

Owns: structlog's configuration and the rule of what may be in a line. Source: security-and-privacy §6 "Logs".
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

__all__ = ["configure_logs", "without_secrets"]

_SECRET_FIELDS = re.compile(r"token|secret|authorization|cookie|password|text|name$", re.I)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_VALUE_CHARACTERS_MAX = 2_000


def without_secrets(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: masks fields and values that may hold secrets or chat text, and escapes control characters."""
    for field, value in list(line.items()):
        if field != "event" and _SECRET_FIELDS.search(field):
            line[field] = "***"
        elif isinstance(value, str) and field != "exception":
            cleaned = _JWT.sub("***", value)[:_VALUE_CHARACTERS_MAX]
            line[field] = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", cleaned)
    return line


def configure_logs(level: str = "info") -> None:
    """Set up logging for the process, once, at its start."""
    number = logging.getLevelNamesMapping()[level.upper()]
    plain = sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # The server's own loggers speak of addresses and frames at lower levels; what they warn of is enough.
    logging.basicConfig(
        level=max(number, logging.WARNING), format="%(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
