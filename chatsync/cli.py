"""The command line: ``chatsync serve``, ``demo``, ``inspect``, ``token``, ``archive``, ``verify``, ``restamp``, ``erase``, ``config``.

Owns: options, exit statuses, what is printed. Everything heavy is imported inside the commands, so that ``--help`` is quick.
Exit status: 0 done, 1 something was found or failed, 2 the call or the settings are wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast
from urllib.parse import quote

import typer

from chatsync import __version__
from chatsync.errors import ChatsyncError, StoreError
from chatsync.instants import MINUTE_US

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

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings; CHATSYNC_CONFIG names it too.")
]
DataOption = Annotated[Path | None, typer.Option("--data", help="Data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]


def _fail(message: str, status: int = 2) -> NoReturn:
    typer.echo(f"chatsync: {message}", err=True)
    raise typer.Exit(status)


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


@app.command()
def serve(
    config: ConfigOption = None,
    data: DataOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    behind_proxy: Annotated[
        bool | None, typer.Option("--behind-proxy", help="A proxy in front speaks TLS to the world.")
    ] = None,
) -> None:
    """Run the relay: follow playlists, stamp chat, keep it, and serve it."""
    from chatsync.service.running import run_service
    from chatsync.service.settings import load_settings

    try:
        settings = load_settings(config, data_folder=data, host=host, port=port, behind_proxy=behind_proxy)
        run_service(settings)
    except ChatsyncError as error:
        _fail(str(error))


@app.command()
def demo(
    seconds: Annotated[
        int | None,
        typer.Option(min=10, max=86_400, help="Stop the stream after so long; without, it runs until Ctrl-C."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="No page: check every message and exit 1 if one is wrong.")
    ] = False,
    json_output: JsonOption = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the page; 0 takes a free one.")] = 8040,
    seed: Annotated[int, typer.Option(help="Which simulated lecture.")] = 1,
    data: DataOption = None,
) -> None:
    """Show it all on this machine: a live stream, a lecture's chat, a page to rewind."""
    try:
        from chatsync.demo.run import run_demo
    except ImportError as error:
        _fail(f"the demo needs more packages ({error.name}): pip install 'chatsync-hls[demo]'")
    try:
        status = run_demo(seconds=seconds, check=check, json_output=json_output, port=port, seed=seed, data_folder=data)
    except ChatsyncError as error:
        _fail(str(error), 1)
    raise typer.Exit(status)


@app.command()
def token(
    subject: Annotated[str, typer.Option(help="Who it is for: your own id of that person, never shown.")],
    room: Annotated[
        list[str] | None,
        typer.Option("--room", help="Room it is good for, or a prefix such as 'math-*'; repeat for more."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name to show.")] = None,
    role: Annotated[str | None, typer.Option(help="host, moderator, participant, viewer or guest.")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="ingest or analyst.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="A token for the admin API instead of a room's.")] = False,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long it is good for.")] = 60,
    config: ConfigOption = None,
) -> None:
    """Mint a token for a person or a program; it is printed alone, so that a script can take it."""
    from chatsync.service.auth import TokenAuthority
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings, token_key

    try:
        settings = load_settings(config)
        minted = TokenAuthority(token_key(settings), settings.token_issuer).mint(
            subject,
            wall_us=SteadyClock().system_wall_us(),
            lifetime_us=minutes * MINUTE_US,
            rooms=room,
            role=cast("Any", role if role or scope or admin else "participant"),
            name=name,
            scopes=cast("Any", tuple(scope or ())),
            admin=admin,
        )
    except (ChatsyncError, ValueError) as error:
        _fail(str(error))
    typer.echo(minted)


@app.command()
def archive(
    room: Annotated[str | None, typer.Argument(help="Only this room.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Write every hour that changed, at once.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Write changed hours as Parquet (with --now), or list what the archive holds."""
    from chatsync.store.opening import open_store

    with _opened(open_store, config, data) as store:
        written = store.archive.archive_now(room, _progress(json_output)) if now else 0
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


@app.command()
def verify(
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check every journal row, slice and archived file against its checksum; exit 1 if one is damaged."""
    from chatsync.store.opening import open_store
    from chatsync.store.verifying import verify_store

    with _opened(open_store, config, data) as store:
        report = verify_store(store, _progress(json_output))
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


@app.command()
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
        _fail("the picture is an SVG: name a file that ends in .svg, in a folder that is there")
    inspection = Inspection()
    try:
        if any(is_url(target) for target in targets):
            if len(targets) > 1:
                _fail("follow one URL, or read files")
            headers = dict(_header_of(line) for line in header or ())
            following = follow_url(targets[0], inspection, seconds=seconds, headers=headers, progress=_told)
            try:
                asyncio.run(following)
            except KeyboardInterrupt:
                _told("stopped")  # what was seen so far is worth a report
        else:
            inspection = inspect_files(targets)
    except ChatsyncError as error:
        _fail(str(error))
    report = inspection.report()
    if plot is not None:
        from chatsync.service.inspect_plot import drawn

        try:
            plot.write_text(drawn(report, title=targets[0].partition("?")[0]), encoding="utf-8")
        except OSError as error:
            _told(f"chatsync: the picture cannot be written: {error.strerror}")
    if json_output:
        typer.echo(json.dumps(report))
        return
    for line in lines_of(report, " ".join(targets)):
        typer.echo(line)


def _told(line: str) -> None:
    """Progress, beside what a program reads."""
    typer.echo(line, err=True)


def _header_of(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        _fail("a header is NAME:VALUE")
    return name.strip(), value.strip()


@app.command()
def restamp(
    room: Annotated[str, typer.Argument(help="The room.")],
    broadcast: Annotated[int | None, typer.Option(min=1, help="Only this broadcast.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would move, and move nothing.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Make a room's estimated stamps again from its whole clock record; what a player reported never moves.

    Works on a folder at rest, and through the relay while one runs.
    """
    from chatsync.service.calling import call_relay
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store
    from chatsync.store.restamping import restamp_store

    try:
        settings = load_settings(config, data_folder=data)
        try:
            with open_store(settings.data_folder) as store:
                wall_us = SteadyClock().system_wall_us()
                results = restamp_store(store, room, broadcast, dry_run=dry_run, wall_us=wall_us)
        except FolderLockedError:
            parameters = {"dry_run": dry_run} | ({} if broadcast is None else {"broadcast": broadcast})
            path = f"/v1/rooms/{quote(room, safe='')}/restamp"
            results = call_relay(settings, path, parameters, room=room)["broadcasts"]
    except ChatsyncError as error:
        _fail(str(error))
    if json_output:
        typer.echo(json.dumps({"room": room, "dry_run": dry_run, "broadcasts": results}))
        return
    for one in results:
        verb = "would move" if dry_run else "moved"
        typer.echo(
            f"broadcast {one['broadcast']}: {one['examined']} stamps by the clock, {one['moved']} {verb}, "
            f"the farthest by {one['largest_ms']} ms"
        )


@app.command()
def erase(
    room: Annotated[str, typer.Argument(help="The room.")],
    author: Annotated[str, typer.Argument(help="The person's pseudonymous key in that room.")],
    subject: Annotated[
        bool, typer.Option("--subject", help="AUTHOR is your platform's own id of the person, as in their tokens.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="A word for staff, such as the number of a request; not the person's name.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is known, and change nothing.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Erase a person from a room: words, hands and names, from every database, slice and archived file, for good.

    Done only when nothing of them is found any more. Works on a folder at rest, and through the relay while one runs.
    """
    from chatsync.service.auth import TokenAuthority
    from chatsync.service.calling import call_relay
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings, token_key
    from chatsync.store.erasing import Eraser, erase_store
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store

    try:
        settings = load_settings(config, data_folder=data)
        if subject:
            author = TokenAuthority(token_key(settings), settings.token_issuer).author_key(room, author)
        try:
            with open_store(settings.data_folder) as store:
                if dry_run:
                    result = {"room": room, **Eraser(store).find(room, author).to_wire()}
                else:
                    wall_us = SteadyClock().system_wall_us()
                    result = erase_store(
                        store, room, author, wall_us=wall_us, reason=reason, progress=_progress(json_output)
                    )
        except FolderLockedError:
            path = f"/v1/rooms/{quote(room, safe='')}/authors/{quote(author, safe='')}"
            parameters = {} if dry_run or reason is None else {"reason": reason}
            result = call_relay(settings, path, parameters, room=room, method="GET" if dry_run else "DELETE")
    except ChatsyncError as error:
        _fail(str(error), 1 if isinstance(error, StoreError) else 2)
    if json_output:
        typer.echo(json.dumps(result))
    elif dry_run:
        typer.echo(
            f"{result['author']}: {', '.join(result['names']) or 'no name'}; {result['events']} events in {room}"
        )
    else:
        typer.echo(
            f"{result['author']}: {result['events']} events erased, {result['files_written']} archived files written anew, "
            f"{result['scanned_files']} files looked through, nothing left"
        )


@config_app.command("show")
def config_show(config: ConfigOption = None) -> None:
    """Print the settings in force; secrets are masked."""
    from chatsync.service.settings import load_settings, shown

    try:
        typer.echo(json.dumps(shown(load_settings(config)), indent=1))
    except ChatsyncError as error:
        _fail(str(error))


def _opened(open_store: Any, config: Path | None, data: Path | None) -> Any:
    from chatsync.service.settings import load_settings

    try:
        return open_store(load_settings(config, data_folder=data).data_folder)
    except ChatsyncError as error:
        _fail(str(error))


def _progress(json_output: bool) -> Any:
    """A line that grows while a person looks on; nothing for machines."""
    if json_output or not sys.stderr.isatty():
        return None

    def show(what: str, done: int, count: int) -> None:
        sys.stderr.write(f"\r{done}/{count} {what[:60]:60}" + ("\n" if done == count else ""))
        sys.stderr.flush()

    return show


def main() -> None:
    """Entry point of the command."""
    app()
