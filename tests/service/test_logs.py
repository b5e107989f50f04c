"""Log lines: their shape, and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from chatsync.service.auth import TokenAuthority
from chatsync.service.clock import ManualClock
from chatsync.service.logs import configure_logs, escaped, redacted, without_secrets
from chatsync.service.room_settings import RequestHeaders

SENTINEL = "s3ntinel"
CLOCK = ManualClock(wall_us=1_764_000_000_123_456)
TOKEN = TokenAuthority(b"0f8b2c6d9e1a4753b0c2d4e6f8a1b3c5").mint(
    SENTINEL, wall_us=CLOCK.wall_us(), rooms=["a"], role="host", name=SENTINEL
)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All log lines of the process, as JSON; what was configured before comes back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(clock=CLOCK, stream=stream, as_json=True)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines as objects."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(lines: io.StringIO) -> None:
    """What happened, where, how grave and when by the clock that was passed in."""
    structlog.get_logger("chatsync.x").info("room_started", room="math-101", public=True)

    expected = {
        "wall": "2025-11-24T16:00:00.123Z",
        "room": "math-101",
        "public": True,
        "event": "room_started",
        "level": "info",
        "logger": "chatsync.x",
    }
    assert [expected] == read(lines)


def test_lines_of_libraries_look_the_same(lines: io.StringIO) -> None:
    """The standard library's loggers end up in the same stream and shape."""
    logging.getLogger("uvicorn.error").warning("Started %s", "server")

    assert [("Started server", "warning", "uvicorn.error")] == [
        (line["event"], line["level"], line["logger"]) for line in read(lines)
    ]


def test_access_lines_are_dropped(lines: io.StringIO) -> None:
    """Addresses of people and full paths are not logged, nor are the URLs a client library loads."""
    logging.getLogger("uvicorn.access").critical('%s - "GET %s"', "203.0.113.9", f"/x?token={SENTINEL}")
    logging.getLogger("httpx2").info("HTTP Request: GET https://x/%s", SENTINEL)

    assert "" == lines.getvalue()


LEAKS: list[dict[str, Any]] = [
    {"token": SENTINEL},
    {"access_token": SENTINEL},
    {"Authorization": f"Bearer {SENTINEL}"},
    {"secret": SENTINEL, "client_secret": SENTINEL},
    {
        "password": SENTINEL,
        "cookie": SENTINEL,
        "text": SENTINEL,
        "name": SENTINEL,
        "body": SENTINEL,
        "subject": SENTINEL,
    },
    {"detail": f"Authorization: Bearer {SENTINEL}"},
    {"detail": f"authorization: basic {SENTINEL}"},
    {"detail": TOKEN},
    {"detail": f"refused {TOKEN} today"},
    {"where": f"https://user:{SENTINEL}@example.org/live.m3u8"},
    {"where": f"https://example.org/live.m3u8?key={SENTINEL}"},
    {"where": f"/v1/rooms/a/live?token={SENTINEL}&x=1"},
    {"nested": {"headers": {"x": SENTINEL}, "deep": [{"token": SENTINEL}]}},
    {"many": [TOKEN, {"text": SENTINEL}]},
    {"frame": f'{{"text":"{SENTINEL}"}}'.encode()},
    {"value": SecretStr(SENTINEL)},
    {"value": RequestHeaders("https://example.org", {"X-Key": SENTINEL})},
    {"value": {"a": {"b": {"c": {"d": {"e": {"f": {"g": SENTINEL}}}}}}}},
]


@pytest.mark.parametrize("fields", LEAKS)
def test_a_secret_never_stands_in_a_line(lines: io.StringIO, fields: dict[str, Any]) -> None:
    """By name of the field or by its look, what must not be logged is masked in every place."""
    structlog.get_logger("chatsync").warning("something", **fields)

    assert 1 == len(read(lines))
    assert SENTINEL not in lines.getvalue()
    assert TOKEN.split(".")[1] not in lines.getvalue()


@pytest.mark.parametrize("logger", ["chatsync.x", "uvicorn.error"])
def test_a_traceback_tells_where_and_not_what_somebody_wrote(lines: io.StringIO, logger: str) -> None:
    """An exception that repeats words or a token is told by its place and kind, whoever logs it, with its cause."""
    try:
        try:
            raise KeyError(f"{SENTINEL} {TOKEN}")
        except KeyError as error:
            raise RuntimeError(f"could not say {SENTINEL}") from error
    except RuntimeError:
        logging.getLogger(logger).exception("Exception in ASGI application")

    [line] = read(lines)
    assert SENTINEL not in lines.getvalue()
    assert TOKEN not in lines.getvalue()
    assert "test_logs.py" in line["exception"]
    assert ["builtins.KeyError", "builtins.RuntimeError"] == [
        row for row in line["exception"].splitlines() if row.startswith("builtins.")
    ]


def test_what_the_system_says_stays_in_a_traceback(lines: io.StringIO) -> None:
    """A full disk is told in the system's words, still without a token."""
    try:
        raise OSError(28, f"No space left on device {TOKEN}")
    except OSError:
        structlog.get_logger("chatsync.x").exception("commit_failed")

    assert "No space left on device ***" in read(lines)[0]["exception"]


def test_a_library_message_is_searched_too(lines: io.StringIO) -> None:
    """What a library formats into its message is masked like our own fields."""
    logging.getLogger("somewhere").error("got %s", TOKEN)

    assert "got ***" == read(lines)[0]["event"]


@pytest.mark.parametrize(
    "hostile",
    [
        "a\nb",
        "a\r\nb",
        "\x1b[2J",
        "a\x00",
        "a\x7f",
        "a\x9b",
        "a\u2028b",
        "a\u202eb",
        "a\u200bb",
        "a\ud800b",
        '{"a":1}\n{"event":"forged"}',
    ],
)
def test_nobody_can_write_a_line_of_their_own(lines: io.StringIO, hostile: str) -> None:
    """Control, directional and invisible characters are escaped; one call is one line."""
    structlog.get_logger("chatsync").info("odd", detail=hostile, **{f"key{hostile}": 1})

    assert 1 == len(lines.getvalue().splitlines())
    assert lines.getvalue().rstrip("\n").isprintable()
    assert hostile not in lines.getvalue()


def test_the_terminal_is_as_safe() -> None:
    """The readable form masks and escapes the same."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logs(clock=CLOCK, stream=stream, as_json=False)
        structlog.get_logger("chatsync").info("odd\x1b[2J", detail=f"\x1b[31m {TOKEN}")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()

    assert "\x1b" not in stream.getvalue()
    assert TOKEN not in stream.getvalue()
    assert "odd\\u001b[2J" in stream.getvalue()


def test_lines_below_the_level_are_dropped(lines: io.StringIO) -> None:
    """Debug lines do not appear unless asked for."""
    structlog.get_logger("chatsync").debug("noise")

    assert "" == lines.getvalue()


def test_ordinary_values_stay_as_they_are() -> None:
    """Numbers, room ids, codes, dates and file names are what logs are for."""
    for value in (
        5,
        None,
        True,
        1.5,
        "math-101",
        "playlist_unavailable",
        "chatsync.service.relay",
        "2025-11-24T16:00:00.123Z",
        "slices/public/a/1/5-9.e1.r2.json.gz",
        "https://example.org/live.m3u8",
    ):
        assert value == escaped(redacted(value))


def test_long_values_are_cut() -> None:
    """A megabyte in a field does not become a megabyte of log."""
    assert 2_001 == len(escaped("x" * 1_000_000))


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


def line(**fields: object) -> str:
    """A line after the processor, as text."""
    return str(without_secrets(None, "info", {"event": "something", **fields}))


def test_fields_that_may_hold_secrets_or_text_are_masked() -> None:
    """By their names, whatever is in them."""
    told = line(
        token="t0k", authorization="Bearer x", text="hello class", name="Ann", token_secret="s3c", password="pw"
    )
    for secret in ("t0k", "Bearer x", "hello class", "Ann", "s3c", "pw'"):
        assert secret not in told


def test_a_token_inside_a_value_is_masked() -> None:
    """An address or an error that repeats one."""
    assert JWT not in line(detail=f"GET /x?token={JWT} failed")


def test_control_characters_cannot_forge_a_line() -> None:
    """Line breaks and escapes from outside are printed as escapes."""
    assert "\n" not in line(room="a\nINFO forged \x1b[2J")


def test_harmless_fields_stay_readable() -> None:
    """Room, offset and code are what an operator needs."""
    assert "math-101" in line(room="math-101", offset=7, code="storage_full")
