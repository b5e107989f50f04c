"""What commands share: their options, how they fail, and how they tell that something takes long."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from chatsync.errors import ChatsyncError

__all__ = ["ConfigOption", "DataOption", "JsonOption", "fail", "opened", "progress", "told"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings; CHATSYNC_CONFIG names it too.")
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def fail(message: str, status: int = 2) -> NoReturn:
    """Say what is wrong and end; 2 is a wrong call or wrong settings, 1 what was found or failed."""
    typer.echo(f"chatsync: {message}", err=True)
    raise typer.Exit(status)


def told(line: str) -> None:
    """Progress, beside what a program reads."""
    typer.echo(line, err=True)


def opened(open_store: Any, config: Path | None, data: Path | None) -> Any:
    """The store of the data folder that the settings name, for a with statement; ends where it cannot be opened."""
    from chatsync.service.settings import load_settings

    try:
        return open_store(load_settings(config, data_folder=data).data_folder)
    except ChatsyncError as error:
        fail(str(error))


def progress(json_output: bool) -> Any:
    """A line that grows while a person looks on; nothing for machines."""
    if json_output or not sys.stderr.isatty():
        return None

    def show(what: str, done: int, count: int) -> None:
        sys.stderr.write(f"\r{done}/{count} {what[:60]:60}" + ("\n" if done == count else ""))
        sys.stderr.flush()

    return show
