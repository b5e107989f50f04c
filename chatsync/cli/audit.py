"""``chatsync audit``: is the audit log as it was written, a signed checkpoint of it, is a receipt what was signed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from chatsync.cli.common import ConfigOption, DataOption, JsonOption, fail
from chatsync.errors import ChatsyncError

__all__ = ["export", "verify", "verify_receipt"]

KeyOption = Annotated[
    str | None, typer.Option("--key", help="The public key it must be signed with, 64 hexadecimal digits.")
]


def verify(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint that was exported and kept elsewhere; repeat for more."),
    ] = None,
    key: KeyOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check that no record of the audit log was changed, taken out, exchanged or cut off; names the first that was, and exits 1.

    Changes nothing, and works while a relay runs. Without a checkpoint from elsewhere it cannot show that whoever holds this
    machine has written the log anew.
    """
    from chatsync.service.settings import load_settings
    from chatsync.store.verifying import verify_audit

    try:
        taken = [_last_line(path) for path in checkpoint or ()]
        found = verify_audit(load_settings(config, data_folder=data).data_folder, taken, key)
    except ChatsyncError as error:
        fail(str(error))
    if json_output:
        typer.echo(json.dumps(found))
    elif found["fault"] is None:
        typer.echo(
            f"{found['records']} records, {found['checkpoints']} checkpoints, {len(taken)} from elsewhere: all as written"
        )
    else:
        typer.echo(f"record {found['fault']['number']}: {found['fault']['what']}")
    raise typer.Exit(0 if found["fault"] is None else 1)


def export(
    to: Annotated[Path | None, typer.Option("--to", help="File to write to; without, it is printed.")] = None,
    records: Annotated[
        bool, typer.Option("--records", help="All records up to the checkpoint too, one a line.")
    ] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Sign where the audit log ends now, as a line of JSON to be kept elsewhere: what is changed later shows beside it.

    Works on a folder at rest, and through the relay while one runs.
    """
    from chatsync.service.calling import call_relay
    from chatsync.service.clock import SteadyClock
    from chatsync.service.settings import load_settings
    from chatsync.store.files import FolderLockedError
    from chatsync.store.opening import open_store
    from chatsync.store.signing import Signer
    from chatsync.store.verifying import audited_through

    try:
        settings = load_settings(config, data_folder=data)
        try:
            with open_store(settings.data_folder) as store:
                signer, wall_us = Signer.of(store.files), SteadyClock().system_wall_us()
                log = store.journal.audit
                work = store.writer.call(lambda connection: log.checkpoint(connection, signer, wall_us=wall_us))
                document = work.result()
        except FolderLockedError:
            document = call_relay(settings, "/v1/audit/checkpoints", {}, room=None)
        if document is None:
            fail("the audit log is empty", 1)
        lines: list[Any] = list(audited_through(settings.data_folder, document["number"])) if records else []
    except (ChatsyncError, OSError) as error:
        fail(str(error), 1)
    text = "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in (*lines, document))
    if to is None:
        sys.stdout.write(text)
        return
    try:
        to.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{to} cannot be written ({error.strerror})", 1)


def verify_receipt(
    receipt: Annotated[Path, typer.Argument(help="What chatsync erase --json printed, or the relay answered.")],
    key: KeyOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check that the receipt of an erasure is what a data folder signed: the one with --key, else the one named by the settings."""
    from chatsync.service.settings import load_settings
    from chatsync.store.files import Files
    from chatsync.store.signing import known_key, why_not_signed

    document = _last_line(receipt)
    try:
        folder = load_settings(config, data_folder=data).data_folder
        wanted = key or (known_key(Files(folder)) if folder.is_dir() else None)
    except (ChatsyncError, OSError) as error:
        fail(str(error))
    why = why_not_signed(document, wanted)
    if json_output:
        typer.echo(
            json.dumps({"ok": why is None, "why": why, "key": document.get("key"), "is_known_key": wanted is not None})
        )
    elif why is not None:
        typer.echo(f"{receipt}: {why}")
    elif wanted is None:
        typer.echo(
            f"{receipt}: signed with {document['key']}, which is not known here: compare it, or name it with --key"
        )
    else:
        typer.echo(f"{receipt}: as it was signed, {document.get('events')} events erased from {document.get('room')}")
    raise typer.Exit(0 if why is None else 1)


def _last_line(path: Path) -> dict[str, Any]:
    """The JSON object of a file's last line, or of the whole file."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        fail(f"{path} cannot be read ({type(error).__name__})")
    found: Any = None
    for part in (text.strip(), text.strip().rpartition("\n")[2]):
        try:
            found = json.loads(part)
            break
        except (ValueError, RecursionError):
            continue
    if not isinstance(found, dict):
        fail(f"{path} is no JSON object")
    return found
