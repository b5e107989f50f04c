"""``chatsync plot`` and ``chatsync highlights``: what to look at in a room, and what to clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress
from chatsync.errors import ChatsyncError, StoreError

__all__ = ["highlights", "plot"]

ArchiveOption = Annotated[
    Path | None, typer.Option("--archive", help="A data folder or a copied archive; default: the data folder.")
]
BroadcastOption = Annotated[int | None, typer.Option("--broadcast", min=1, help="Which airing; default the latest.")]
RecordingOption = Annotated[str | None, typer.Option("--recording", help="This recording instead, at its positions.")]


def plot(
    room: Annotated[str, typer.Argument(help="The room.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The picture: .png or .svg; default ROOM.png.")
    ] = None,
    broadcast: BroadcastOption = None,
    recording: RecordingOption = None,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Draw activity, viewers, questions, polls and gaps of an airing or recording over time."""
    from chatsync.analysis import open_archive

    try:
        from chatsync.analysis.pictures import Picture
        from chatsync.analysis.plotting import room_chart

        target = output if output is not None else Path(f"{room}.png")
        if target.suffix not in {".png", ".svg"}:
            fail("a picture is .png or .svg: name a file that ends so")
        with open_archive(_folder(archive, config, data), room=room) as opened:
            Picture(room_chart(opened, room, broadcast=broadcast, recording=recording)).save(target)
    except ImportError as error:
        fail(f"pictures need more packages ({error.name}): pip install 'chatsync-hls[plot]'")
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    except OSError as error:
        fail(f"the picture cannot be written: {error.strerror}", 1)
    typer.echo(json.dumps({"room": room, "file": str(target)}) if json_output else f"{target} drawn")


def highlights(
    room: Annotated[str, typer.Argument(help="The room; or 'evaluate' before a folder of labelled chats.")],
    folder: Annotated[
        Path | None, typer.Argument(help="After 'evaluate': the folder, with train/ and test/.", show_default=False)
    ] = None,
    broadcast: BroadcastOption = None,
    recording: RecordingOption = None,
    count: Annotated[int, typer.Option("--count", min=1, max=100, help="At most so many.")] = 10,
    lag: Annotated[
        float | None,
        typer.Option("--lag", min=0, max=120, help="How many seconds chat is behind the picture, if you know."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="CSV with start_s,end_s of three highlights or more, to learn the lag from."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the clips: .csv, .edl (25 frames a second) or .vtt (chapters)."),
    ] = None,
    cut: Annotated[
        Path | None, typer.Option("--cut", help="Cut them out of --media into this folder, with ffmpeg.")
    ] = None,
    media: Annotated[Path | None, typer.Option("--media", help="The file whose positions the recording's are.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print the SQL and how it is read, and end.")] = False,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Find what should be clipped: where chat was dense, less the time it takes to react."""
    from chatsync.analysis.clip_lists import WRITERS, cut_clips

    if explain:
        _explain()
        return
    if output is not None and output.suffix not in WRITERS:
        fail(f"clips are written as {', '.join(WRITERS)}: name a file that ends so")
    if (cut is None) is not (media is None):
        fail("--cut needs --media, and the other way round")
    if room == "evaluate" and folder is not None:
        _evaluate(folder, json_output=json_output)
        return
    if folder is not None:
        fail(f"{folder}: a folder is given after 'evaluate' only")
    try:
        from chatsync.analysis import open_archive
        from chatsync.analysis.room_highlights import room_highlights

        with open_archive(_folder(archive, config, data), room=room) as opened:
            found = room_highlights(
                opened, room, broadcast=broadcast, recording=recording, count=count, lag_s=lag, labels=_labels(labels)
            )
        if output is not None:
            output.write_text("".join(WRITERS[output.suffix](found.clips, f"{room} highlights")), encoding="utf-8")
        made = [] if cut is None or media is None else cut_clips(found.clips, media, cut, progress(json_output))
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    except OSError as error:
        fail(f"the clips cannot be written: {error.strerror}", 1)
    if json_output:
        import msgspec

        typer.echo(json.dumps(msgspec.to_builtins(found) | {"cut": [str(one) for one in made]}, ensure_ascii=False))
        return
    typer.echo(f"{found.title}: chat is {found.lag_s:g} s behind the picture ({found.lag_from})")
    for rank, clip in enumerate(found.clips, start=1):
        typer.echo(f"{rank:3}  {_clock(clip.start_s)} to {_clock(clip.end_s)}  {clip.messages} messages")


def _folder(archive: Path | None, config: Path | None, data: Path | None) -> Path:
    from chatsync.service.settings import load_settings

    return archive if archive is not None else load_settings(config, data_folder=data).data_folder


def _clock(at_s: float) -> str:
    seconds = round(at_s)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _labels(path: Path | None) -> list[tuple[float, float]]:
    if path is None:
        return []
    import csv

    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(float(row["start_s"]), float(row["end_s"])) for row in csv.DictReader(file)]
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except (KeyError, ValueError, TypeError):
        fail(f"{path} is no list of labels: its heading is start_s,end_s, and its cells are seconds")


def _explain() -> None:
    from textwrap import dedent

    from chatsync.analysis.highlights import APART_S, DENSITY
    from chatsync.analysis.room_highlights import SAID

    typer.echo("-- 1. What is looked at: those who watch, each message where the picture was.")
    typer.echo(f"CREATE TEMP TABLE said AS {SAID[False]};\n")
    typer.echo("-- 2. How dense chat is, second by second.")
    typer.echo(dedent(DENSITY).strip() + ";\n")
    typer.echo(
        f"-- 3. The densest second is a peak, then the next that is {APART_S} s or more from all before, and so on."
    )
    typer.echo(
        "-- 4. A clip begins a lag before its peak, and ends when chat has fallen to a third of it, less half the lag."
    )
    typer.echo("--    The lag is given, learned from labels, or read off how steeply chat rises to its highest peaks.")


def _evaluate(folder: Path, *, json_output: bool) -> None:
    from chatsync.analysis.lightor import evaluate

    try:
        found: dict[str, Any] = evaluate(folder, progress(json_output))
    except ChatsyncError as error:
        fail(str(error))
    if json_output:
        typer.echo(json.dumps(found))
        return
    typer.echo(
        f"lag {found['lag_s']:g} s, learned from {found['train']} videos; precision of starts on {found['test']} others:"
    )
    for rank, precision in found["precision"].items():
        typer.echo(f"  of the first {rank:>2}: {precision:.3f}")
