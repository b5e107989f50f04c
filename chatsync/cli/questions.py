"""``chatsync sql``: questions to an archive, without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail
from chatsync.errors import ChatsyncError, StoreError

__all__ = ["sql"]


def sql(
    query: Annotated[
        str, typer.Argument(help="One SELECT over the views (see docs/analysts.md); - reads standard input.")
    ],
    archive: Annotated[
        Path | None, typer.Option("--archive", help="A data folder or a copied archive; default: the data folder.")
    ] = None,
    room: Annotated[str | None, typer.Option("--room", help="Only this room: quicker, where there are many.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to a file: .csv, .ndjson or .parquet.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Ask an archive in SQL: views messages, events, broadcasts, segments, minutes, questions, polls, viewers, recordings.

    Reads Parquet and the journal together and changes nothing; a relay may be at work in the folder.
    """
    import duckdb

    from chatsync.analysis import open_archive
    from chatsync.analysis.answers import WRITERS, lines_of, values_of
    from chatsync.analysis.statements import checked_question
    from chatsync.service.settings import load_settings

    if output is not None and output.suffix not in WRITERS:
        fail(f"rows are written as {', '.join(WRITERS)}: name a file that ends so")
    text = sys.stdin.read() if query == "-" else query
    try:
        folder = archive if archive is not None else load_settings(config, data_folder=data).data_folder
        with open_archive(folder, room=room) as opened:
            checked_question(opened.connection, text)
            table = opened.sql(text).to_arrow_table()
    except duckdb.Error as error:
        fail(str(error), 1)
    except ChatsyncError as error:
        fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if output is not None:
        try:
            WRITERS[output.suffix](table, output)
        except OSError as error:
            fail(f"{output} cannot be written: {error.strerror}", 1)
    if json_output:
        answer: dict[str, Any] = {"columns": table.column_names, "rows": table.num_rows}
        if output is None:
            answer["rows"] = values_of(table)
        typer.echo(json.dumps(answer, ensure_ascii=False))
    elif output is not None:
        typer.echo(f"{table.num_rows} rows written to {output}")
    else:
        for line in lines_of(table):
            typer.echo(line)
