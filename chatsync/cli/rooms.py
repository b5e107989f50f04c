"""``chatsync restamp``, ``erase``, ``export-person``: a room or a person, at rest or while a relay serves it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress
from chatsync.errors import ChatsyncError, StoreError

if TYPE_CHECKING:
    from chatsync.service.settings import Settings

__all__ = ["erase", "export_person", "restamp"]


def restamp(
    room: Annotated[str, typer.Argument(help="The room.")],
    broadcast: Annotated[int | None, typer.Option(min=1, help="Only this broadcast.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would move, and move nothing.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a room's estimated stamps again from its whole clock record; what a player reported never moves.

    Works on a folder at rest, and through the relay while one runs.
    """
    from chatsync.service.calling import call_relay
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store
    from chatsync.store.restamping import restamp_store

    try:
        settings = load_settings(config, data_folder=data)
        try:
            with open_store(settings.data_folder) as store:
                wall_us = SteadyClock().system_wall_us()
                results = restamp_store(store, room, broadcast, dry_run=dry_run, wall_us=wall_us)
        except FolderLockedError:
            parameters = {"dry_run": dry_run} | ({} if broadcast is None else {"broadcast": broadcast})
            path = f"/v1/rooms/{quote(room, safe='')}/restamp"
            results = call_relay(settings, path, parameters, room=room)["broadcasts"]
    except ChatsyncError as error:
        fail(str(error))
    if json_output:
        typer.echo(json.dumps({"room": room, "dry_run": dry_run, "broadcasts": results}))
        return
    for one in results:
        verb = "would move" if dry_run else "moved"
        typer.echo(
            f"broadcast {one['broadcast']}: {one['examined']} stamps by the clock, {one['moved']} {verb}, "
            f"the farthest by {one['largest_ms']} ms"
        )


def erase(
    room: Annotated[str, typer.Argument(help="The room.")],
    author: Annotated[str, typer.Argument(help="The person's pseudonymous key in that room.")],
    subject: Annotated[
        bool, typer.Option("--subject", help="AUTHOR is your platform's own id of the person, as in their tokens.")
    ] = False,
    issuer: Annotated[
        str | None,
        typer.Option(help="With --subject: whose id it is, if an OpenID provider's, as in the `iss` of its tokens."),
    ] = None,
    course: Annotated[
        str | None, typer.Option(help="With --subject: the course that the room named then, if it names none now.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="A word for staff, such as the number of a request; not the person's name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is known, and change nothing.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Erase a person from a room: words, hands and names, from every database, slice and archived file, for good.

    Done only when nothing of them is found any more. Works on a folder at rest, and through the relay while one runs.
    """
    from chatsync.service.calling import call_relay
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store.erasing import Eraser, erase_store
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store

    try:
        settings = load_settings(config, data_folder=data)
        if subject:
            author = _author_key(settings, room, author, course, issuer)
        try:
            with open_store(settings.data_folder) as store:
                if dry_run:
                    result = {"room": room, **Eraser(store).find(room, author).to_wire()}
                else:
                    wall_us = SteadyClock().system_wall_us()
                    result = erase_store(
                        store, room, author, wall_us=wall_us, reason=reason, progress=progress(json_output)
                    )
        except FolderLockedError:
            path = f"/v1/rooms/{quote(room, safe='')}/authors/{quote(author, safe='')}"
            parameters = {} if dry_run or reason is None else {"reason": reason}
            result = call_relay(settings, path, parameters, room=room, method="GET" if dry_run else "DELETE")
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if json_output:
        typer.echo(json.dumps(result))
    elif dry_run:
        typer.echo(
            f"{result['author']}: {', '.join(result['names']) or 'no name'}; {result['events']} events in {room}"
        )
    else:
        typer.echo(
            f"{result['author']}: {result['events']} events erased, {result['files_written']} archived files written anew, "
            f"{result['scanned_files']} files looked through, nothing left"
        )


def export_person(
    room: Annotated[str | None, typer.Argument(help="The room.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The zip to write; it must not be there yet.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Your platform's own id of the person, as in their tokens.")
    ] = None,
    author: Annotated[str | None, typer.Option("--author", help="Their pseudonymous key instead.")] = None,
    all_rooms: Annotated[bool, typer.Option("--all-rooms", help="Every room that holds anything of them.")] = False,
    course: Annotated[
        str | None, typer.Option(help="With --subject: the course that the room named then, if it names none now.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write all that a person wrote and did, and what was decided about them, into a zip; of nobody else.

    Works on a folder at rest, and while a relay serves it. It reads only.
    """
    from contextlib import suppress

    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store import person_export
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store

    if to is None or (room is None) != all_rooms or (subject is None) == (author is None):
        fail("name a ROOM or --all-rooms, either --subject or --author, and the file with --to")
    try:
        settings = load_settings(config, data_folder=data)
        folder = settings.data_folder
        if not (folder / "chatsync.db").is_file():
            fail(f"{folder} is no data folder: there is no chatsync.db in it")
        with suppress(FolderLockedError), open_store(folder):
            pass  # what an older program left is brought up to date
        rooms = person_export.rooms_with(folder) if room is None else [room]
        keys = {one: author or _author_key(settings, one, subject or "", course) for one in rooms}
        wall_us = SteadyClock().system_wall_us()
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            try:
                manifest = person_export.export_person(
                    folder, keys, target, wall_us=wall_us, progress=progress(json_output)
                )
            except BaseException:
                to.unlink()
                raise
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    except OSError as error:
        fail(f"{to} cannot be written ({error.strerror})", 1)
    if json_output:
        typer.echo(json.dumps({"to": str(to), **manifest}))
        return
    for one in manifest["rooms"]:
        counts = ", ".join(f"{one[name]} {name}" for name in ("messages", "deeds", "decisions", "audit"))
        typer.echo(f"{one['room']}: {counts}")
    typer.echo(f"{to}: {len(manifest['files']) + 1} files")


def _author_key(settings: Settings, room: str, subject: str, course: str | None, issuer: str | None = None) -> str:
    """Who somebody is in a room, which may have been made over HTTP, and may be served."""
    from chatsync.service.auth import TokenAuthority
    from chatsync.service.settings import token_key
    from chatsync.store.opening import stored_room

    known = settings.rooms.get(room)
    record = None if known is not None else stored_room(settings.data_folder, room)
    course = course or (known.course if known is not None else (record or {}).get("course"))
    authority = TokenAuthority(token_key(settings), settings.token_issuer)
    return authority.author_key(room, authority.subject_of(subject, issuer), course)
