"""``chatsync serve``, ``demo``, ``token``, ``embed``, ``config show``: a relay, and what it needs."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail, progress
from chatsync.errors import ChatsyncError, SettingsError
from chatsync.instants import MINUTE_US

__all__ = ["config_show", "demo", "embed", "serve", "token"]


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
    gc.disable()  # what is loaded stays: looking at it again and again is a sixth of loading it. A started relay collects in its own way.
    from chatsync.service.running import run_service
    from chatsync.service.settings import load_settings
    from chatsync.store.schema import without_pandas

    without_pandas()

    try:
        settings = load_settings(config, data_folder=data, host=host, port=port, behind_proxy=behind_proxy)
        run_service(settings)
    except ChatsyncError as error:
        fail(str(error))


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
    term: Annotated[
        Path | None,
        typer.Option(
            "--term", help="Only write a term of simulated classes into a new data folder, for notebooks, and end."
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Show it all on this machine: a live stream, a lecture's chat, a page to rewind."""
    if term is not None:
        _write_term(term, seed=seed, json_output=json_output)
        return
    try:
        from chatsync.demo.run import run_demo
    except ImportError as error:
        fail(f"the demo needs more packages ({error.name}): pip install 'chatsync-hls[demo]'")
    try:
        status = run_demo(seconds=seconds, check=check, json_output=json_output, port=port, seed=seed, data_folder=data)
    except ChatsyncError as error:
        fail(str(error), 1)
    raise typer.Exit(status)


def _write_term(folder: Path, *, seed: int, json_output: bool) -> None:
    from chatsync.demo.term import write_term

    try:
        written = write_term(folder, seed=seed, progress=progress(json_output))
    except ChatsyncError as error:
        fail(str(error), 2 if isinstance(error, SettingsError) else 1)
    if json_output:
        typer.echo(json.dumps(written))
    else:
        typer.echo(f"{written['lectures']} lectures with {written['events']:,} events written to {folder}")


def token(
    subject: Annotated[str, typer.Option(help="Who it is for: your own id of that person, never shown.")],
    room: Annotated[
        list[str] | None,
        typer.Option("--room", help="Room it is good for, or a prefix such as 'math-*'; repeat for more."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The name to show.")] = None,
    role: Annotated[str | None, typer.Option(help="host, moderator, participant, viewer or guest.")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="ingest, analyst or auditor.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="A token for the admin API instead of a room's.")] = False,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long it is good for.")] = 60,
    config: ConfigOption = None,
) -> None:
    """Mint a token for a person or a program; it is printed alone, so that a script can take it, and noted in the audit log."""
    from chatsync.service.auth import TokenAuthority
    from chatsync.service.clock import SteadyClock
    from chatsync.service.noting import note_minted
    from chatsync.service.settings import load_settings, token_key

    try:
        settings = load_settings(config)
        authority = TokenAuthority(token_key(settings), settings.token_issuer)
        minted = authority.mint(
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
        fail(str(error))
    try:
        note_minted(settings, authority, minted)
    except ChatsyncError as error:  # whoever has the secret has the token anyway
        typer.echo(f"The audit log does not say that this token was minted: {error}", err=True)
    typer.echo(minted)


def embed(
    room: Annotated[str, typer.Option(help="The room that the page shows.")],
    server: Annotated[str, typer.Option(help="Where people reach the relay.")] = "http://127.0.0.1:8080",
) -> None:
    """Print the HTML that puts a room into a page; the script is pinned to what this version of chatsync serves."""
    from html import escape

    from chatsync.chat.text import is_room_id
    from chatsync.service.app import player_folder

    if not is_room_id(room):
        fail(f"{room!r} is no room id: a-z, 0-9, '-' and '_', at most 64.")
    listed = player_folder() / "integrity.json"
    if not listed.is_file():
        fail("The player is not built: `python hatch_build.py` in a checkout; released wheels have it.")
    integrity = json.loads(listed.read_text())["chatsync-player.js"]
    origin = escape(server.rstrip("/"))
    typer.echo(
        f'<script src="{origin}/player/chatsync-player.js"\n'
        f'  integrity="{integrity}" crossorigin="anonymous"></script>\n'
        f'<chatsync-chat room="{room}" server="{origin}"></chatsync-chat>'
    )


def config_show(config: ConfigOption = None) -> None:
    """Print the settings in force; secrets are masked."""
    from chatsync.service.settings import load_settings, shown

    try:
        typer.echo(json.dumps(shown(load_settings(config)), indent=1))
    except ChatsyncError as error:
        fail(str(error))
