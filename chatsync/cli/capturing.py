"""``chatsync capture``: a chat elsewhere tried before a room takes it in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from chatsync.cli.common import ConfigOption, JsonOption, fail
from chatsync.errors import ChatsyncError

__all__ = ["capture"]


def capture(
    url: Annotated[str, typer.Argument(help="twitch://channel, ircs://host/channel, irc://host/channel.")],
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long to listen.")] = 30,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File of mode 0600 with `name: value` lines.")
    ] = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Listen to a chat elsewhere for a while and print what a room would take in; `source` of a room takes it in for good."""
    import asyncio

    from chatsync.service.clock import SteadyClock
    from chatsync.service.room_settings import read_private_file
    from chatsync.service.settings import load_settings
    from chatsync.service.source_settings import source_secrets
    from chatsync.service.source_trying import line_of, listened
    from chatsync.sources.contract import Happened

    def told(one: Happened) -> None:
        line = line_of(one, as_json=json_output)
        if line is not None:
            typer.echo(line)

    try:
        secrets = {} if secret_file is None else source_secrets(read_private_file(secret_file, "--secret-file"))
        settings = load_settings(config)
        work = listened(url, secrets, settings, SteadyClock(), seconds=seconds, told=told)
        report = asyncio.run(work)
    except ChatsyncError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped", status=1)
    if json_output:
        typer.echo(json.dumps(report))
    elif report["connected"]:
        typer.echo(f"{report['lines']} messages, {report['removals']} removals in {seconds:g} s")
    if not report["connected"]:
        fail(f"it was never connected: {report['lost'][-1] if report['lost'] else 'no answer in that time'}", status=1)
