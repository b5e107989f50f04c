"""``chatsync import``: chat from a file into a room of a data folder at rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress
from chatsync.errors import ChatsyncError, StoreError

if TYPE_CHECKING:
    from datetime import datetime

    from chatsync.transfer.entering import Report

__all__ = ["import_chat"]


def import_chat(
    file: Annotated[Path, typer.Argument(help="The file, plain or packed with gzip or zstandard.")],
    room: Annotated[str, typer.Option("--room", help="Into which room.")],
    t0: Annotated[
        str | None,
        typer.Option(
            "--t0", help="When the recording began, as 2026-03-09T14:00:00Z, if the file says only where in it."
        ),
    ] = None,
    playlist: Annotated[
        Path | None,
        typer.Option("--playlist", help="The same by the first EXT-X-PROGRAM-DATE-TIME of a media playlist."),
    ] = None,
    recording: Annotated[
        str | None, typer.Option("--recording", help="The same by the map of a recording of the room, cuts and all.")
    ] = None,
    date: Annotated[
        str | None,
        typer.Option("--date", help="On which day, as 2026-03-09, if the file has only the clock on a wall."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", help="Where that wall is, as Africa/Nairobi or +03:00; default UTC.")
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="What format it is, if that cannot be told; see docs/formats.md.")
    ] = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Import what comes before damage; without it a damaged file is not imported at all."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read all of it, say what would happen, and change nothing.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Import chat from a file: TwitchDownloader, Twitch IRC, yt-dlp, chat-downloader, Zoom, BigBlueButton, niconico, Bilibili, WebVTT, CSV, NDJSON.

    All of a file or nothing; importing it again adds nothing. The relay must be stopped while it runs.
    """
    from chatsync.chat.text import is_room_id
    from chatsync.service.clock import SteadyClock
    from chatsync.service.importing import import_into, next_steps
    from chatsync.service.settings import load_settings
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store
    from chatsync.transfer.entering import Import
    from chatsync.transfer.fields import Known
    from chatsync.transfer.recognising import FORMATS, OpenedFile, format_of

    if not is_room_id(room):
        fail("a room's id has small letters, digits, - and _, at most 64")
    if sum(one is not None for one in (t0, playlist, recording)) > 1:
        fail("name one of --t0, --playlist and --recording")
    if format_name is not None and format_name not in FORMATS:
        fail(f"--format is one of {', '.join(FORMATS)}")
    try:
        settings = load_settings(config, data_folder=data)
        known = Known(_midnight(date, tz))
        t0_us = _t0_us(t0, playlist)
        with OpenedFile(file) as opened, open_store(settings.data_folder) as store:
            name = format_name or format_of(opened.head)
            what = Import(
                room=room,
                name=name,
                t0_us=t0_us,
                recording=recording,
                known=known,
                is_partial=partial,
                is_dry=dry_run,
                wall_us=SteadyClock().system_wall_us(),
            )
            report = import_into(settings, store, opened, what, progress(json_output))
    except FolderLockedError as error:
        fail(f"{error} An import needs the folder for itself: stop the relay, import, and start it again.")
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror})", 1)
    steps = next_steps(settings, report)
    if json_output:
        import msgspec

        typer.echo(json.dumps(msgspec.to_builtins(report) | {"next": steps}, ensure_ascii=False))
    else:
        for line in _lines_of(report):
            typer.echo(line)
        for step in steps:
            typer.echo(f"next: {step}")


def _midnight(date: str | None, tz: str | None) -> datetime | None:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if date is None:
        if tz is not None:
            fail("--tz says where the clock of --date is: name both")
        return None
    try:
        day = datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        fail("--date is a day, as 2026-03-09")
    if tz is None:
        return day
    try:
        zone: Any = datetime.fromisoformat(f"{date}T00:00:00{tz}").tzinfo if tz[:1] in "+-" else ZoneInfo(tz)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        fail("--tz is a zone, as Africa/Nairobi or +03:00")
    return day.replace(tzinfo=zone)


def _t0_us(t0: str | None, playlist: Path | None) -> int | None:
    from chatsync.instants import us_from_iso
    from chatsync.transfer.placing import first_date_us

    if playlist is not None:
        if "://" in str(playlist) or str(playlist).startswith(("http:", "https:")):
            fail("--playlist takes a file: load the playlist first")
        try:
            return first_date_us(playlist)
        except OSError as error:
            fail(f"{playlist} cannot be read ({error.strerror})")
    try:
        return None if t0 is None else us_from_iso(t0)
    except ValueError:
        fail("--t0 is an instant, as 2026-03-09T14:00:00Z")


def _lines_of(report: Report) -> list[str]:
    from chatsync.instants import iso_from_us, us_from_ms

    verb = "would be imported" if report.dry_run else "imported"
    lines = [
        f"{report.format}: {report.read} entries read, {report.imported} {verb} into {report.room}, {report.already_there} already there"
    ]
    if report.damage is not None:
        lines.append(f"imported up to the damage: {report.damage}")
    if report.hidden_by_source:
        lines.append(f"{report.hidden_by_source} left out that were removed where they were said")
    if report.hidden_here:
        lines.append(f"{report.hidden_here} of an earlier import hidden, since they were removed where they were said")
    lines += [f"{count} left out: it {why}" for why, count in report.skipped.items()]
    lines += [f"{count} {what} shortened" for what, count in report.cut.items()]
    if report.start_ms is not None and report.end_ms is not None:
        lines.append(f"from {iso_from_us(us_from_ms(report.start_ms))} to {iso_from_us(us_from_ms(report.end_ms))}")
    if report.t0 is not None:
        lines.append(f"position 0 is {report.t0}")
    if report.disagreement_ms is not None:
        lines.append(
            f"by the median, absolute times are {report.disagreement_ms:.0f} ms after their positions, in {report.compared} lines"
        )
    if report.implied_t0 is not None:
        lines.append(f"by its positions, the recording began at {report.implied_t0}")
    for one in report.broadcasts:
        lines.append(f"broadcast {one['broadcast']}{' (new)' if one['new'] else ''}: {one['messages']} messages")
    return lines
