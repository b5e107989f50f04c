"""``chatsync export``: a room's chat in the format that another tool wants."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress, told
from chatsync.errors import ChatsyncError, StoreError, TooFewPeopleError

__all__ = ["export"]

_PROGRESS_LINES = 5_000


def export(
    room: Annotated[str, typer.Argument(help="The room.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file, packed if it ends in .gz; - is standard output.")
    ] = "-",
    wanted: Annotated[
        str | None, typer.Option("--format", help="See docs/formats.md; without, what the file's name ends in.")
    ] = None,
    recording: Annotated[
        str | None, typer.Option("--recording", help="What this recording shows, at its positions.")
    ] = None,
    broadcast: Annotated[int | None, typer.Option("--broadcast", min=1, help="Only this airing.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="From this program time on: 2026-03-09T14:00:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Until before this program time.")] = None,
    names: Annotated[bool, typer.Option("--names/--no-names", help="With people's names, or pseudonyms alone.")] = True,
    people_min: Annotated[
        int,
        typer.Option(
            "--people-min", min=0, help="Only airings in which so many people wrote, staff aside: for handing on."
        ),
    ] = 0,
    archive: Annotated[
        Path | None, typer.Option("--archive", help="A data folder or a copied archive; default: the data folder.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write what was said as NDJSON, CSV, Parquet, TwitchDownloader JSON, WebVTT, SRT, ASS, Bilibili XML, or chapters.

    Works on a folder at rest or beside a relay. What was hidden, held or private does not come out.
    """
    from heapq import merge

    from chatsync.analysis import open_archive
    from chatsync.analysis.lines import RoomLines
    from chatsync.analysis.room_highlights import peak_chapters
    from chatsync.service.settings import load_settings
    from chatsync.store.names import names_in
    from chatsync.transfer.exporters.formats import FORMATS

    packed = output.endswith(".gz")
    plain = output.removesuffix(".gz")
    name = wanted or next((one.name for one in reversed([*FORMATS.values()]) if plain.endswith(one.suffix)), None)
    if name is None or name not in FORMATS:
        fail(f"name a format with --format: {', '.join(FORMATS)}")
    if output == "-" and json_output:
        fail("--json needs a file: name one with --output")
    form = FORMATS[name]
    counts = {"lines": 0, "left_out": 0}
    try:
        within = _range(start, end)
        folder = archive if archive is not None else load_settings(config, data_folder=data).data_folder
        with open_archive(folder, room=room) as opened_archive:
            lines = RoomLines(
                opened_archive,
                room,
                broadcast=broadcast,
                recording=recording,
                within=within,
                names=names_in(folder) if names else None,
                people_min=people_min,
            )
            if form.by_position and recording is None and len(lines.broadcasts) > 1:
                numbers = ", ".join(map(str, lines.broadcasts))
                fail(
                    f"{name} is of one airing: name one of {numbers} with --broadcast, or a recording with --recording"
                )
            about = lines.about
            source = iter(lines)
            if name == "chapters":
                peaks = peak_chapters(
                    opened_archive,
                    room,
                    broadcast=None if recording else lines.broadcasts[-1],
                    recording=recording,
                    within=within,
                )
                source = merge(lines.chapters(), peaks, key=lambda line: line.position_us or 0)
            pieces = form.write(_counted(source, form, counts, progress(json_output)), about)
            _written(pieces, output, packed=packed)
    except TooFewPeopleError as error:
        fail(str(error), 3)
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}", 1)
    left = f"; {counts['left_out']} have no place in it" if counts["left_out"] else ""
    if json_output:
        typer.echo(json.dumps({"room": room, "format": name, "file": output, **counts}))
    elif output != "-":
        typer.echo(f"{counts['lines']} lines written to {output}{left}")
    elif left:
        told(f"{counts['lines']} lines written{left}")


def _range(start: str | None, end: str | None) -> Any:
    from chatsync.instants import SECOND_US, Range

    def us(text: str | None, otherwise_us: int) -> int:
        if text is None:
            return otherwise_us
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            fail(f"{text!r} is no instant: write 2026-03-09T14:00:00Z")
        if at.tzinfo is None:
            fail(f"{text} has no time zone: write {text}Z for UTC")
        return round(at.timestamp() * SECOND_US)

    if start is None and end is None:
        return None
    start_us, end_us = us(start, 0), us(end, 253_402_300_800 * SECOND_US)
    if end_us < start_us:
        fail("--to is before --from")
    return Range(start_us, end_us)


def _counted(lines: Iterator[Any], form: Any, counts: dict[str, int], show: Any) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        takes = form.takes(line)
        counts["lines" if takes else "left_out"] += 1
        if takes:
            yield line
        if show is not None and number % _PROGRESS_LINES == 0:
            show("lines", number, number + 1)


def _written(pieces: Iterator[bytes], output: str, *, packed: bool) -> None:
    """Whole or not at all: the name is taken only once everything is there."""
    import gzip
    import tempfile

    if output == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    descriptor, made = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if packed:
                with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as unpacked:
                    unpacked.writelines(pieces)
            else:
                file.writelines(pieces)
        Path(made).chmod(0o644 & ~_umask())
        Path(made).replace(target)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
