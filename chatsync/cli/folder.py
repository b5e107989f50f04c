"""``chatsync archive``, ``verify``: a data folder at rest."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, opened, progress

__all__ = ["archive", "verify"]


def archive(
    room: Annotated[str | None, typer.Argument(help="Only this room.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Write every hour that changed, at once.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write changed hours as Parquet (with --now), or list what the archive holds."""
    from chatsync.store.opening import open_store

    with opened(open_store, config, data) as store:
        written = store.archive.archive_now(room, progress(json_output)) if now else 0
        files = store.catalog.archive_files(room, tree=None)
    summary = {
        "written": written,
        "files": len(files),
        "rows": sum(file.rows for file in files),
        "size_bytes": sum(file.size_bytes for file in files),
    }
    if json_output:
        typer.echo(json.dumps(summary))
        return
    for file in files:
        typer.echo(f"{file.path}  {file.rows} rows  {file.size_bytes} bytes")
    typer.echo(f"{written} written, {len(files)} files, {summary['rows']} rows")


def verify(
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check every journal row, slice and archived file against its checksum; exit 1 if one is damaged."""
    from chatsync.store.opening import open_store
    from chatsync.store.verifying import verify_store

    with opened(open_store, config, data) as store:
        report = verify_store(store, progress(json_output))
    if json_output:
        typer.echo(json.dumps(report))
    else:
        for line in report["damaged"]:
            typer.echo(line)
        typer.echo(
            f"{report['rows']} rows, {report['slices']} slices, {report['files']} files: "
            f"{len(report['damaged'])} damaged"
        )
    raise typer.Exit(1 if report["damaged"] else 0)
