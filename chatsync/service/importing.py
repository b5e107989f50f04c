"""Importing a file for a command: what the settings say of the room, and who its people are there.

Owns: joining settings, the secret and a store for ``transfer.entering``; what to do next. Does not know: formats, the command line.
Source: security-and-privacy §8; contract §6.

Who speaks in a file is nobody of ours: the network's name stands before their id, so that no token can be theirs, and the key is made as
everybody's is. In a room with numbered names they get numbers too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chatsync.chat.event import Author, Role
from chatsync.chat.policy import STAFF
from chatsync.errors import NotFoundError
from chatsync.service.auth import TokenAuthority
from chatsync.service.recordings import spans_from_wire
from chatsync.service.room_settings import RoomSettings
from chatsync.service.settings import Settings, token_key
from chatsync.store.opening import stored_room
from chatsync.transfer.entering import AuthorOf, Import, Progress, Report, import_file

if TYPE_CHECKING:
    from chatsync.store.opening import Store
    from chatsync.transfer.recognising import OpenedFile

__all__ = ["import_into", "next_steps"]


def import_into(
    settings: Settings, store: Store, file: OpenedFile, what: Import, progress: Progress | None = None
) -> Report:
    """Import a file into a room as it is set up.

    Args:
        settings: of the node.
        store: opened, served by nobody.
        file: opened.
        what: to do; whether the room has a stream is found here.
        progress: told (what, done, of how many).

    Raises:
        NotFoundError: the room has no recording of that name.
        FileError: the file cannot be imported, and nothing was written.
        StoreError: nothing was written.
    """
    known = settings.rooms.get(what.room)
    if known is None:
        record = store.catalog.rooms().get(what.room)
        known = RoomSettings() if record is None else RoomSettings.stored(record)
    spans: Any = ()
    if what.recording is not None:
        mapped = store.catalog.recording(what.room, what.recording)
        if mapped is None:
            raise NotFoundError(f"recording {what.recording}")
        spans = spans_from_wire(mapped["spans"])
    what = replace(what, has_stream=known.has_stream)
    return import_file(store, file, what, _author_of(settings, store, what.room, known), spans=spans, progress=progress)


def _author_of(settings: Settings, store: Store, room: str, known: RoomSettings) -> AuthorOf:
    authority = TokenAuthority(token_key(settings), settings.token_issuer)
    if known.has_numbered_names:
        store.journal.load_numbers(room, keeps_given=known.names_known_to_hosts)

    def author_of(subject: str, name: str, role: Role, badges: tuple[str, ...]) -> Author:
        key = authority.author_key(room, subject, known.course)
        if known.has_numbered_names and role not in STAFF:
            given = name if known.names_known_to_hosts and name else None
            name, badges = known.numbered(store.journal.numbers.of(room, key, given)), ()
        elif not name:
            name = f"{subject.split(':')[1]} {key[:6]}"  # who has no name there has none here, and is somebody all the same
        return Author(key=key, name=name, role=role, badges=badges)

    return author_of


def next_steps(settings: Settings, report: Report) -> list[str]:
    """What whoever imported a file may want to do now, in words."""
    if report.dry_run:
        return ["run it again without --dry-run"] if report.imported else []
    if not report.imported:
        return []
    is_room = report.room in settings.rooms or stored_room(settings.data_folder, report.room) is not None
    steps = [
        "start the relay: it cuts the slices, and players show the chat"
        if is_room
        else f"name the room [rooms.{report.room}] in the settings, or make it over HTTP, and start the relay"
    ]
    steps.append("chatsync archive --now writes Parquet at once; chatsync sql and open_archive read it already")
    new = [one["broadcast"] for one in report.broadcasts if one["new"]]
    if new:
        steps.append(
            f"a video of it joins by PUT /v1/rooms/{report.room}/recordings/NAME with broadcast {new[0]} and start_program_ms, or its playlist's dates"
        )
    return steps
