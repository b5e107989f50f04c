"""``chatsync publish``: a room's recordings as files for any web server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, opened, progress, told
from chatsync.errors import ChatsyncError, StoreError

__all__ = ["publish"]


def publish(
    room: Annotated[str, typer.Argument(help="The room.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the files: new, empty, or published before.")],
    media: Annotated[
        list[str] | None,
        typer.Option("--media", help="RECORDING=URL of what a recording plays, before what its map says; repeatable."),
    ] = None,
    even_private: Annotated[
        bool, typer.Option("--even-private", help="Publish a room that not everybody may read.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write a room's recordings as a web page with its chat, activity and search, all in files: no relay is needed.

    Works on a folder at rest: one that a relay serves is refused, and nothing is written. Publish again after a hide: what is on a web server elsewhere does not change by itself.
    """
    from chatsync.service.app import player_folder
    from chatsync.service.publishing import NotOursError
    from chatsync.service.publishing import publish as written
    from chatsync.service.room_settings import RoomSettings, checked_media_url
    from chatsync.service.settings import load_settings
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store, stored_room

    plays: dict[str, str] = {}
    for one in media or ():
        name, equals, url = one.partition("=")
        if not equals:
            fail("--media is RECORDING=URL")
        try:
            plays[name] = checked_media_url(url)
        except ValueError as error:
            fail(f"--media {name}: the URL {error}")
    web = Path(str(player_folder()))
    if not (web / "chatsync-player.js").is_file():
        fail("the player is not built: python hatch_build.py", 1)
    try:
        settings = load_settings(config, data_folder=data)
        stored = stored_room(settings.data_folder, room)
        room_settings = settings.rooms.get(room) or (None if stored is None else RoomSettings.model_validate(stored))
    except ChatsyncError as error:
        fail(str(error))
    if room_settings is None:
        fail(f"there is no room {room}")
    if not room_settings.public and not even_private:
        fail(f"{room} is private: with --even-private whoever gets these files can read it")
    try:
        with opened(open_store, config, data) as store:
            done = written(
                store,
                room,
                title=room_settings.title,
                folder=to,
                web=web,
                media=plays,
                progress=progress(json_output),
            )
    except NotOursError:
        fail(f"{to} holds something that was not published there: name another folder")
    except FolderLockedError:
        fail(
            "a relay or another command uses this data folder, and nothing was published: what is written meanwhile would be "
            "half in the files. Stop it, or publish from a backup made while it runs: chatsync backup BACKUP, "
            "chatsync restore BACKUP --data COPY, chatsync publish ROOM --to DIR --data COPY"
        )
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    except OSError as error:
        fail(f"{to} cannot be written: {error.strerror}", 1)
    if not room_settings.public:
        told(f"{room} is private, and whoever gets these files can read it.")
    if json_output:
        answer = {
            "room": room,
            "folder": str(to),
            "private": not room_settings.public,
            "recordings": done.recordings,
            "messages": done.messages,
            "files": len(done.files),
            "written": done.written,
            "bytes": done.size_bytes,
        }
        typer.echo(json.dumps(answer))
    else:
        typer.echo(
            f"{len(done.recordings)} recordings with {done.messages} messages in {to}: {len(done.files)} files, "
            f"{done.written} of them new or changed"
        )
