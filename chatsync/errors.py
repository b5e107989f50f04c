"""The whole error tree: what went wrong, whose fault it is, and whether trying again can help.

::

    ChatsyncError
    ├── SettingsError                 caller   at start only
    ├── OriginError                   origin
    │   ├── PlaylistUnavailableError  temporary: the origin did not answer, or not with a playlist we may load
    │   └── PlaylistSyntaxError       temporary: what came is no HLS playlist
    ├── TimelineError                 caller
    │   └── NoProgramTimeError        409 temporary: the stream has not given a date yet
    ├── RoomError                     client
    │   ├── UnknownRoomError          404: no such room, or not the caller's
    │   ├── RoomRestartingError       503 temporary: its settings are being changed
    │   ├── NotAllowedError           403: a deed not allowed to this role
    │   │   ├── NotNowError           403: not in the room's mode
    │   │   └── TooFewPeopleError     403: an analyst would see one of a few
    │   ├── SanctionedError           403: muted
    │   │   └── BannedError           403: banned
    │   ├── MessageRejectedError      422: with the reason
    │   ├── IdReusedError             409: same id, other body
    │   ├── NotFoundError             404: no such event, slice or recording
    │   ├── SupersededError           410: there is a newer one; the answer says which
    │   ├── CursorError               400: a cursor that was not made here for this room
    │   └── RateLimitedError          429 temporary, with retry_after_ms
    │       └── SlowModeError         429 temporary: the room is in slow mode
    ├── QuestionError                 client   422: SQL that does not only ask
    ├── FileError                     caller   422: a file of chat that is to be imported
    │   ├── FileFormatError           what format it is cannot be told
    │   ├── FileDamagedError          it ends too early, or is not what its format wants
    │   └── FileUnplacedError         it says where in a recording, and nothing says when that began
    ├── TokenError                    client   401: one message for every bad token
    ├── WireError                     client   socket close 4500: malformed frame
    └── StoreError                    storage
        ├── StorageFullError          507 temporary
        ├── StorageFailedError        503 temporary
        ├── ErasureIncompleteError    503 temporary: something of an erased person is left; it is tried again
        └── CorruptError              502: a stored thing is not what was written

Owns: classes, codes, HTTP status. Does not know: how an error travels (service/problems.py does).
Facts are attributes; the text is made in ``__str__``. Messages never carry secrets, chat text or addresses.
"""

from __future__ import annotations

from typing import ClassVar, Literal

__all__ = [
    "BannedError",
    "ChatsyncError",
    "CorruptError",
    "CursorError",
    "ErasureIncompleteError",
    "FileDamagedError",
    "FileError",
    "FileFormatError",
    "FileUnplacedError",
    "IdReusedError",
    "MessageRejectedError",
    "NoProgramTimeError",
    "NotAllowedError",
    "NotFoundError",
    "NotNowError",
    "OriginError",
    "PlaylistSyntaxError",
    "PlaylistUnavailableError",
    "QuestionError",
    "RateLimitedError",
    "RoomError",
    "RoomRestartingError",
    "SanctionedError",
    "SettingsError",
    "SlowModeError",
    "StorageFailedError",
    "StorageFullError",
    "StoreError",
    "SupersededError",
    "TimelineError",
    "TokenError",
    "TooFewPeopleError",
    "UnknownRoomError",
    "WireError",
]

Fault = Literal["caller", "client", "origin", "storage"]


class ChatsyncError(Exception):
    """Base of every error chatsync raises on purpose.

    Attributes:
        code: stable word for machines; the name of its page in docs/errors.md.
        fault: who has to act.
        temporary: True if the same call may succeed later.
        status: HTTP status it maps to.
    """

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = "caller"
    temporary: ClassVar[bool] = False
    status: ClassVar[int] = 500


class SettingsError(ChatsyncError):
    """A setting is missing, unsafe or contradictory; the service does not start."""

    code = "settings"


class OriginError(ChatsyncError):
    """The playlist origin did something we cannot use."""

    code = "origin"
    fault = "origin"
    temporary = True
    status = 502


class PlaylistUnavailableError(OriginError):
    """The playlist could not be loaded: no answer, an error status, or an address we refuse to connect to."""

    code = "playlist_unavailable"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return f"The playlist could not be loaded: {self.reason}."


class PlaylistSyntaxError(OriginError):
    """What the origin sent is not an HLS playlist."""

    code = "playlist_syntax"

    def __init__(self, reason: str, line_number: int | None = None) -> None:
        self.reason = reason
        self.line_number = line_number
        super().__init__(reason)

    def __str__(self) -> str:
        place = "" if self.line_number is None else f" (line {self.line_number})"
        return f"Not an HLS playlist: {self.reason}{place}."


class TimelineError(ChatsyncError):
    """A question the timeline cannot answer."""

    code = "timeline"
    status = 409


class NoProgramTimeError(TimelineError):
    """The stream has not given a program date-time yet."""

    code = "no_program_time"
    temporary = True


class RoomError(ChatsyncError):
    """A room refuses what a client asked for."""

    code = "room"
    fault = "client"
    status = 400


class UnknownRoomError(RoomError):
    """No such room, or one the caller may not see: the answer is the same."""

    code = "unknown_room"
    status = 404

    def __str__(self) -> str:
        return "There is no such room."


class RoomRestartingError(RoomError):
    """The room's settings are being changed, or its unsealed tail is still being read; it is there again in a moment."""

    code = "restarting"
    temporary = True
    status = 503

    def __str__(self) -> str:
        return "The room is being restarted; try again in a moment."


class NotAllowedError(RoomError):
    """The caller's role may not do this."""

    code = "not_allowed"
    status = 403

    def __init__(self, action: str) -> None:
        self.action = action
        super().__init__(action)

    def __str__(self) -> str:
        return f"Your role does not allow '{self.action}'."


class NotNowError(NotAllowedError):
    """The room's mode does not allow this now; it may at another time."""

    code = "not_now"

    def __str__(self) -> str:
        return f"The room does not allow '{self.action}' now."


class TooFewPeopleError(NotAllowedError):
    """So few people wrote there that a pseudonym hides nobody."""

    code = "too_few_people"

    def __init__(self, action: str = "export") -> None:
        super().__init__(action)

    def __str__(self) -> str:
        return "Too few people wrote there: a pseudonym would hide nobody."


class SanctionedError(RoomError):
    """Whoever asks was muted or banned by those who run the room.

    Attributes:
        until_ms: wall time at which it ends; None until somebody ends it.
    """

    code = "muted"
    status = 403

    def __init__(self, until_ms: int | None = None) -> None:
        self.until_ms = until_ms
        super().__init__(until_ms)

    def __str__(self) -> str:
        return "You may not write in this room for now."


class BannedError(SanctionedError):
    """Whoever asks was banned by those who run the room."""

    code = "banned"

    def __str__(self) -> str:
        return "You may not enter this room for now."


class MessageRejectedError(RoomError):
    """The text or shape of a message breaks a rule of the room.

    Attributes:
        reason: a code such as ``too_long``, ``empty``, ``control_characters``; it is what goes on the wire.
    """

    code = "rejected"
    status = 422

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(reason)

    def __str__(self) -> str:
        return self.detail or f"The message was not accepted: {self.reason}."


class IdReusedError(RoomError):
    """The same author used the same id for another body within the dedupe horizon of 24 h."""

    code = "id_reused"
    status = 409

    def __str__(self) -> str:
        return "This id was already used for another message; make a new id."


class NotFoundError(RoomError):
    """No such event, slice or recording in this room."""

    code = "not_found"
    status = 404

    def __init__(self, what: str = "thing") -> None:
        self.what = what
        super().__init__(what)

    def __str__(self) -> str:
        return f"There is no such {self.what}."


class SupersededError(RoomError):
    """What was asked for has been replaced, or lies before what is still served; the answer names what is there now.

    Attributes:
        facts: present values by their wire name, such as ``revision`` or ``sealed_until_ms``; never text.
    """

    code = "superseded"
    status = 410

    def __init__(self, **facts: int | None) -> None:
        self.facts = {name: value for name, value in facts.items() if value is not None}
        super().__init__(self.facts)

    def __str__(self) -> str:
        return "This has been replaced; ask again for what is there now."


class CursorError(RoomError):
    """A cursor that was not made by this server for this room and broadcast."""

    code = "cursor"

    def __str__(self) -> str:
        return "The cursor is not one of this server's for this room; start again without it."


class RateLimitedError(RoomError):
    """Too many commands; try again after the time given."""

    code = "rate_limited"
    status = 429
    temporary = True

    def __init__(self, retry_after_ms: int) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(retry_after_ms)

    def __str__(self) -> str:
        return f"Too many requests; try again in {self.retry_after_ms} ms."


class SlowModeError(RateLimitedError):
    """The room is in slow mode, and this person has written a moment ago."""

    code = "slow_mode"

    def __str__(self) -> str:
        return f"The room is in slow mode; write again in {self.retry_after_ms} ms."


class QuestionError(ChatsyncError):
    """SQL that is none, is several statements, or does something other than ask."""

    code = "not_a_question"
    fault = "client"
    status = 422

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return self.reason


class FileError(ChatsyncError):
    """A file of chat cannot be imported."""

    code = "file"
    status = 422


class FileFormatError(FileError):
    """What format a file has cannot be told."""

    code = "file_format"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known
        super().__init__(known)

    def __str__(self) -> str:
        return f"It is not chat of a format that is known here. If it is one of these, name it with --format: {', '.join(self.known)}."


class FileDamagedError(FileError):
    """A file ends too early, or is not what its format wants.

    Attributes:
        where: in words: a line, or how many entries were read before.
        reason: in words.
    """

    code = "file_damaged"

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(where, reason)

    def __str__(self) -> str:
        return f"The file is damaged {self.where}: {self.reason}."


class FileUnplacedError(FileError):
    """A file says where in a recording things were said, and nothing says when that recording began."""

    code = "file_unplaced"

    def __init__(self, needs: str) -> None:
        self.needs = needs
        super().__init__(needs)

    def __str__(self) -> str:
        return self.needs


class TokenError(ChatsyncError):
    """The token is missing, damaged, expired or for something else. One text for all, so that nothing can be probed."""

    code = "token"
    fault = "client"
    status = 401

    def __str__(self) -> str:
        return "The token was not accepted."


class WireError(ChatsyncError):
    """A frame that is not of the protocol; the socket closes with 4500."""

    code = "malformed"
    fault = "client"
    status = 400

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return f"Malformed frame: {self.reason}."


class StoreError(ChatsyncError):
    """The disk did not do what we need; nothing was acked."""

    code = "storage"
    fault = "storage"
    temporary = True
    status = 503


class StorageFullError(StoreError):
    """No space left: reading goes on, posting is refused until there is space again."""

    code = "storage_full"
    status = 507

    def __str__(self) -> str:
        return "The server's disk is full; posting comes back when there is space."


class StorageFailedError(StoreError):
    """A write or sync failed; the batch was not acked."""

    code = "storage"

    def __str__(self) -> str:
        return "The server could not store this; try again."


class CorruptError(StoreError):
    """Something on disk is not what was written there; it is never served as if it were.

    Attributes:
        what: file or table, relative to the data folder.
        detail: what was found, without content.
    """

    code = "corrupt"
    temporary = False
    status = 502

    def __init__(self, what: str, detail: str) -> None:
        self.what = what
        self.detail = detail
        super().__init__(what, detail)

    def __str__(self) -> str:
        return f"{self.what} is damaged: {self.detail}."


class ErasureIncompleteError(StoreError):
    """After an erasure something of the person was still found; the erasure stays on the list and is tried again.

    Attributes:
        left: files in which it was found, relative to the data folder.
    """

    code = "erasure_incomplete"
    temporary = True
    status = 503

    def __init__(self, left: list[str]) -> None:
        self.left = left
        super().__init__(left)

    def __str__(self) -> str:
        return f"Something is left in {', '.join(self.left)}; the erasure will be tried again."
