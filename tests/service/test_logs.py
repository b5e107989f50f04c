"""Log lines never carry a secret, a token or what people wrote."""

from __future__ import annotations

from chatsync.service.logs import without_secrets

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
