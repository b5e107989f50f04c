"""``chatsync inspect``: a playlist looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from chatsync.cli.common import JsonOption, fail, told
from chatsync.errors import ChatsyncError

__all__ = ["inspect"]


def inspect(
    targets: Annotated[list[str], typer.Argument(help="URL, or files in the order they were answered; - is stdin.")],
    seconds: Annotated[float, typer.Option(min=0, max=86_400, help="How long to follow a URL.")] = 30,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="NAME:VALUE for an origin that needs one; repeat for more.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw program time against wall time and position, as SVG.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Look at a playlist: can chat be kept with this picture, how precisely, and what is odd about it."""
    import asyncio

    from chatsync.hls.inspection import Inspection
    from chatsync.service.inspecting import follow_url, inspect_files, is_url, lines_of

    if plot is not None and (plot.suffix.lower() != ".svg" or not plot.parent.is_dir()):
        fail("the picture is an SVG: name a file that ends in .svg, in a folder that is there")
    inspection = Inspection()
    try:
        if any(is_url(target) for target in targets):
            if len(targets) > 1:
                fail("follow one URL, or read files")
            headers = dict(_header_of(line) for line in header or ())
            following = follow_url(targets[0], inspection, seconds=seconds, headers=headers, progress=told)
            try:
                asyncio.run(following)
            except KeyboardInterrupt:
                told("stopped")  # what was seen so far is worth a report
        else:
            inspection = inspect_files(targets)
    except ChatsyncError as error:
        fail(str(error))
    report = inspection.report()
    if plot is not None:
        from chatsync.service.inspect_plot import drawn

        try:
            plot.write_text(drawn(report, title=targets[0].partition("?")[0]), encoding="utf-8")
        except OSError as error:
            told(f"chatsync: the picture cannot be written: {error.strerror}")
    if json_output:
        typer.echo(json.dumps(report))
        return
    for line in lines_of(report, " ".join(targets)):
        typer.echo(line)


def _header_of(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        fail("a header is NAME:VALUE")
    return name.strip(), value.strip()
