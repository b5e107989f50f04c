"""``chatsync backup``, ``restore``, ``doctor``: a data folder kept elsewhere, brought back, and what is unsafe about it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress
from chatsync.errors import ChatsyncError, StoreError

__all__ = ["backup", "doctor", "restore"]


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

    os.nice(10)  # a relay on this machine comes first
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


def doctor(
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say what is unsafe or missing: settings, data folder, disk, machine. Exit 1 if anything is unsafe.

    Changes nothing, and works while a relay runs. Run it as the relay's user, with its settings and environment.
    """
    import msgspec

    from chatsync.service.clock import SteadyClock
    from chatsync.service.doctor import examine

    findings = examine(config, data, SteadyClock())
    counts = {status: sum(one.status == status for one in findings) for status in ("unsafe", "warn", "missing", "ok")}
    if json_output:
        typer.echo(json.dumps({**counts, "findings": msgspec.to_builtins(findings)}))
    else:
        for one in findings:
            typer.echo(f"{one.status:8}{one.check}: {one.says}" + (f"\n        → {one.do}" if one.do else ""))
        typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
    raise typer.Exit(1 if counts["unsafe"] else 0)
