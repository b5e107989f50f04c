"""The command line: which commands there are. Each stands in the file of what it is about.

Owns: options, exit statuses, what is printed. Everything heavy is imported inside the commands, so that ``--help`` is quick.
Exit status: 0 done, 1 something was found or failed, 2 the call or the settings are wrong.
"""

from __future__ import annotations

from typing import Annotated

import typer

from chatsync import __version__
from chatsync.cli import (
    audit,
    capturing,
    exporting,
    folder,
    importing,
    insight,
    playlists,
    publishing,
    questions,
    rooms,
    safekeeping,
    serving,
)

__all__ = ["main"]

app = typer.Typer(
    name="chatsync",
    help="Chat that stays with the picture: live chat stamped with HLS program time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Show the settings in force.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(config_app, name="config")
config_app.command("show")(serving.config_show)
audit_app = typer.Typer(
    help="Check the audit log, sign where it ends, check a receipt.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(audit_app, name="audit")
audit_app.command()(audit.verify)
audit_app.command()(audit.export)
audit_app.command()(audit.verify_receipt)
for command in (
    *(serving.serve, serving.demo, serving.token, serving.embed),
    *(folder.archive, folder.verify, folder.expire, folder.repair, folder.stats),
    *(safekeeping.backup, safekeeping.restore, safekeeping.doctor),
    *(playlists.inspect, capturing.capture),
    *(questions.sql, exporting.export, insight.plot, insight.highlights),
    *(publishing.publish,),
    *(rooms.restamp, rooms.erase, rooms.export_person),
):
    app.command()(command)
app.command("import")(importing.import_chat)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chatsync {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version


def main() -> None:
    """Entry point of the command."""
    app()
