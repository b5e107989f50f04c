"""chatsync.errors: codes, faults, texts, and the tree that the docstring draws."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from chatsync import errors
from chatsync.errors import ChatsyncError


def tree(top: type[ChatsyncError]) -> Iterator[type[ChatsyncError]]:
    """A class and all below it that are defined in errors.py."""
    yield top
    for below in top.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


ALL = list(tree(ChatsyncError))
MADE: list[ChatsyncError] = [
    errors.SettingsError("the secret is too short"),
    errors.PlaylistUnavailableError("no answer"),
    errors.PlaylistSyntaxError("no #EXTM3U", 1),
    errors.NoProgramTimeError("no date yet"),
    errors.UnknownRoomError(),
    errors.RoomRestartingError(),
    errors.NotAllowedError("hide"),
    errors.NotNowError("say_message"),
    errors.TooFewPeopleError(),
    errors.SanctionedError(1_764_000_000_000),
    errors.BannedError(),
    errors.MessageRejectedError("too_long", "At most 500 characters."),
    errors.IdReusedError(),
    errors.NotFoundError("slice"),
    errors.SupersededError(revision=3),
    errors.CursorError(),
    errors.RateLimitedError(1_500),
    errors.SlowModeError(4_000),
    errors.QuestionError("one statement at a time"),
    errors.FileFormatError(("csv", "ndjson")),
    errors.FileDamagedError("after 3 rows", "it ends in the middle of one"),
    errors.FileUnplacedError("Give --t0."),
    errors.TokenError("expired"),
    errors.WireError("no JSON"),
    errors.StorageFullError(),
    errors.StorageFailedError(),
    errors.ErasureIncompleteError(["chatsync.db"]),
    errors.CorruptError("slices/1", "bad checksum"),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: str(error.__name__))
def test_every_error_is_exported_with_code_fault_and_status(error: type[ChatsyncError]) -> None:
    """What docs and clients rely on is there for each."""
    assert error.__name__ in errors.__all__
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert error.fault in {"caller", "client", "origin", "storage"}
    assert 400 <= error.status < 600


def test_the_drawing_is_the_tree() -> None:
    """The module's docstring names every class under its parent, and no class that is gone."""
    drawn: dict[str, str | None] = {}
    above: list[str] = []
    for prefix, name in re.findall(r"^    ([│ ├└─]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(prefix) // 4
        above[depth:] = [name]
        drawn[name] = above[depth - 1] if depth else None
    bases = {error.__name__: error.__bases__[0].__name__ for error in ALL}
    assert {**bases, "ChatsyncError": None} == drawn


def test_the_drawing_gives_the_right_status() -> None:
    """Where the docstring says a status and whether it is temporary, the class says the same."""
    lines = re.findall(r"(\w+Error)\s+(?:\w+\s+)?(\d{3})( temporary)?[:,\n]", errors.__doc__ or "")
    assert len(lines) > 8
    for name, status, temporary in lines:
        error = getattr(errors, name)
        assert (int(status), bool(temporary)) == (error.status, error.temporary), name


def test_every_error_that_is_raised_has_been_made_here() -> None:
    """The list below is whole: only bases are missing."""
    bases = {error for error in ALL if set(error.__subclasses__()) & set(ALL)}
    assert set(ALL) - bases <= {type(error) for error in MADE}


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_every_error_says_something_in_one_line(error: ChatsyncError) -> None:
    """For people: a sentence or what was given, never empty."""
    assert str(error).strip()
    assert "\n" not in str(error)


def test_facts_are_attributes() -> None:
    """Whoever answers a client needs no parsing."""
    assert {"revision": 3} == errors.SupersededError(revision=3, sealed_until_ms=None).facts
    assert (1_500, True) == (errors.RateLimitedError(1_500).retry_after_ms, errors.RateLimitedError.temporary)
    assert ("x", 7) == (errors.PlaylistSyntaxError("x", 7).reason, errors.PlaylistSyntaxError("x", 7).line_number)
    rejected = errors.MessageRejectedError("too_long")
    assert ("too_long", "The message was not accepted: too_long.") == (rejected.reason, str(rejected))


def test_a_line_number_is_told_if_known() -> None:
    """Whoever looks for the damage finds the line."""
    assert "Not an HLS playlist: x (line 7)." == str(errors.PlaylistSyntaxError("x", 7))
    assert "Not an HLS playlist: x." == str(errors.PlaylistSyntaxError("x"))


def test_bad_tokens_are_told_nothing() -> None:
    """One text for every bad token, and one for every room that one may not see."""
    assert str(errors.TokenError("expired")) == str(errors.TokenError())
    assert str(errors.UnknownRoomError("secret-room")) == str(errors.UnknownRoomError())


def test_a_client_tries_again_only_what_was_too_early() -> None:
    """Haste and a room that restarts pass; what was wrong to ask for stays wrong."""
    temporary = {error.__name__ for error in ALL if error.temporary and error.fault == "client"}
    assert {"RateLimitedError", "RoomRestartingError", "SlowModeError"} == temporary
    assert not errors.CorruptError.temporary


@pytest.mark.parametrize("error", [errors.StorageFullError(), errors.WireError("x"), errors.RateLimitedError(5)])
def test_errors_cross_threads_and_processes(error: ChatsyncError) -> None:
    """A future may carry them; they are the same on the other side."""
    other = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error)) == (type(other), str(other))
