"""``chatsync backup``, ``restore``: a data folder kept elsewhere, and brought back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress
from chatsync.errors import ChatsyncError, StoreError

__all__ = ["backup", "restore"]


def backup(
    target: Annotated[
        Path,
        typer.Argument(
            help="A folder that is missing or empty, or holds an earlier backup, which is brought up to date."
        ),
    ],
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Back the data folder up, at rest or while a relay serves it; settings and keys are not part of it.

    Exit 1 if something in the data folder is damaged: all else is backed up then, and what is damaged is named.
    """
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store.backing_up import back_up

    try:
        folder = load_settings(config, data_folder=data).data_folder
        result = back_up(folder, target, wall_us=SteadyClock().system_wall_us, progress=progress(json_output))
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if json_output:
        typer.echo(json.dumps(result))
    else:
        for line in result["damaged"]:
            typer.echo(line)
        typer.echo(
            f"{result['target']}: {result['rooms']} rooms, {result['files']} files of {result['size_bytes']} bytes, "
            f"{result['copied_files']} copied, {result['removed_files']} removed, {len(result['damaged'])} damaged"
        )
    raise typer.Exit(1 if result["damaged"] else 0)


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that chatsync backup wrote.", metavar="BACKUP")],
    check: Annotated[bool, typer.Option("--check", help="Only read it all and compare; restore nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="If the data folder is not empty, rename it to NAME.before-TIME first.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make the data folder of a backup. The relay must be stopped. Every room goes on in a new epoch: clients load afresh."""
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store.restoring import check_backup, restore

    try:
        if check:
            found = check_backup(source, progress(json_output))
            told = {"backup": str(source), "files": len(found.files), "made_wall_ms": found.made_wall_ms}
            typer.echo(json.dumps(told) if json_output else f"{source} is whole: {len(found.files)} files")
            return
        folder = load_settings(config, data_folder=data).data_folder
        wall_us = SteadyClock().system_wall_us()
        result = restore(source, folder, wall_us=wall_us, replace=force, progress=progress(json_output))
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if json_output:
        typer.echo(json.dumps(result))
        return
    for line in result["damaged"]:
        typer.echo(f"damaged when it was backed up: {line}")
    typer.echo(
        f"{result['data']}: {result['rooms']} rooms, {result['files']} files of {result['size_bytes']} bytes, "
        f"every room in epoch {result['epoch']}"
    )
    if result["moved_aside"] is not None:
        typer.echo(f"what was there is in {result['moved_aside']} now")
    for one in result["erased_since"] or ():
        typer.echo(f"erase again: chatsync erase {one['room']} {one['author']}")
