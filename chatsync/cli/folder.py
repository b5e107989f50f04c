"""``chatsync archive``, ``verify``, ``expire``, ``repair``: a data folder at rest; ``stats``: also one that is served."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, opened, progress
from chatsync.errors import ChatsyncError, StoreError

__all__ = ["archive", "expire", "repair", "stats", "verify"]


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
    from chatsync.service.settings import load_settings
    from chatsync.store.verifying import verify_folder

    try:
        report = verify_folder(load_settings(config, data_folder=data).data_folder, progress(json_output))
    except ChatsyncError as error:
        fail(str(error))
    if json_output:
        typer.echo(json.dumps(report))
    else:
        for line in report["damaged"]:
            typer.echo(line)
        for one in report["lost"]:
            typer.echo(f"known to be lost: rows {one['first_offset']} to {one['last_offset']} of room {one['room']}")
        typer.echo(
            f"{report['rows']} rows, {report['slices']} slices, {report['files']} files: "
            f"{len(report['damaged'])} damaged"
        )
    raise typer.Exit(1 if report["damaged"] else 0)


def expire(
    room: Annotated[str | None, typer.Argument(help="Only this room.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is past its time, and delete nothing.")] = False,
    trust_clock: Annotated[
        bool,
        typer.Option("--trust-clock", help="This machine's clock is right, though this folder does not know it yet."),
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Delete what is past its time (retention_days): whole broadcasts, from every database, slice and archived file, for good.

    A relay does this by itself once an hour; this command is for a folder that is served by none.
    """
    from functools import partial

    from chatsync.instants import DAY_US, iso_from_us
    from chatsync.service.clock import SteadyClock
    from chatsync.service.retention import kept_days, kept_us, note_kept_days
    from chatsync.service.room_settings import RoomSettings
    from chatsync.service.settings import load_settings
    from chatsync.store.opening import open_store
    from chatsync.store.retention import clock_doubt_us, due_broadcasts, expire_store

    try:
        settings = load_settings(config, data_folder=data)
        wall_us = SteadyClock().system_wall_us()
        with open_store(settings.data_folder) as store:
            known = {name: RoomSettings.stored(record) for name, record in store.catalog.rooms().items()}
            rooms = known | settings.rooms
            keep = kept_us(kept_days(store, rooms, settings.retention_days))
            if dry_run:
                due = due_broadcasts(store, keep, wall_us=wall_us, room=room)
                gone: list[dict[str, Any]] = [
                    {"room": one.room, "broadcast": one.broadcast, "last_wall_us": one.last_wall_us} for one in due
                ]
            else:
                until_us = clock_doubt_us(store, wall_us)
                if until_us is not None and not trust_clock:
                    fail(
                        f"This folder has not seen the clock as it is, {iso_from_us(wall_us)}, for a day yet, so nothing is deleted "
                        f"before {iso_from_us(until_us)}. If the clock is right, add --trust-clock.",
                        1,
                    )
                note_kept_days(store, rooms)
                gone = expire_store(store, keep, wall_us=wall_us, room=room, progress=progress(json_output))
                if settings.audit_days != "forever":
                    before_us = wall_us - settings.audit_days * DAY_US
                    while store.writer.call(partial(store.journal.audit.expire, before_us=before_us)).result():
                        continue
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if json_output:
        typer.echo(json.dumps({"dry_run": dry_run, "broadcasts": gone}))
        return
    for one in gone:
        typer.echo(f"broadcast {one['broadcast']} of {one['room']}, last used {iso_from_us(one['last_wall_us'])}")
    typer.echo(f"{len(gone)} broadcasts " + ("are past their time" if dry_run else "deleted"))


def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    believe: Annotated[
        bool,
        typer.Option(
            "--believe", help="Take catalog rows that nothing else has as they stand, though they do not fit."
        ),
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Mend what verify finds: from journal, archive or files, else say exactly what is lost; exit 1 if something is left.

    The relay must be stopped. What was damaged goes to quarantine/. Doing it twice does nothing the second time.
    """
    import msgspec

    from chatsync.service.settings import load_settings
    from chatsync.store.repairing import BACKUP_HINT, repair_folder

    try:
        folder = load_settings(config, data_folder=data).data_folder
        report = repair_folder(folder, dry_run=dry_run, believe=believe, progress=progress(json_output))
    except (ChatsyncError, OSError) as error:
        fail(str(error), 1)
    if json_output:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        for line in report.repaired:
            typer.echo(f"repaired: {line}")
        for one in report.lost:
            typer.echo(f"lost: {one.what}")
        for line in report.left:
            typer.echo(f"still damaged: {line}")
        typer.echo(f"{len(report.repaired)} repaired, {len(report.lost)} lost, {len(report.left)} left")
        if report.left and not dry_run:
            typer.echo(BACKUP_HINT)
    raise typer.Exit(1 if report.left else 0)


def stats(
    room: Annotated[str | None, typer.Argument(help="Only this room.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Say what a data folder holds: rooms, events, people, slices, archive, what is under way and when something is due to go.

    Changes nothing and locks nothing: a relay may be at work in it.
    """
    import msgspec

    from chatsync.cli.stats_table import stats_lines
    from chatsync.instants import DAY_US
    from chatsync.service.retention import days_of
    from chatsync.service.room_settings import RoomSettings
    from chatsync.service.settings import load_settings
    from chatsync.store.stats import folder_stats

    try:
        settings = load_settings(config, data_folder=data)

        def keep(name: str, record: dict[str, Any] | None, last: int | None) -> int | None:
            known = settings.rooms.get(name) or (None if record is None else RoomSettings.stored(record))
            days = days_of(known, last, settings.retention_days)
            return None if days == "forever" else days * DAY_US

        found = folder_stats(settings.data_folder, keep, room=room, progress=progress(json_output))
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if json_output:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for line in stats_lines(found):
        typer.echo(line)
