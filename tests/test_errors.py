"""The error tree: codes, faults and texts."""

from __future__ import annotations

from collections.abc import Iterator

from chatsync import errors
from chatsync.errors import ChatsyncError


def tree(top: type[ChatsyncError]) -> Iterator[type[ChatsyncError]]:
    """A class and all below it that are defined in errors.py."""
    yield top
    for below in top.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


def test_every_error_is_exported_with_code_fault_and_status() -> None:
    """What docs and clients rely on is there for each."""
    for error in tree(ChatsyncError):
        assert error.__name__ in errors.__all__
        assert error.code
        assert error.fault in {"caller", "client", "origin", "storage"}
        assert 400 <= error.status < 600


def test_bad_tokens_are_told_nothing() -> None:
    """One text for every bad token."""
    assert str(errors.TokenError("expired")) == str(errors.TokenError())
