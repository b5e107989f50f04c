"""A command notes in the audit log what it did without a data folder.

Owns: finding who can note it: the folder itself at rest, or the relay that has it. Does not know: the command line. Source: decision 0040.
"""

from __future__ import annotations

from functools import partial

from chatsync.service.auditing import minted
from chatsync.service.auth import TokenAuthority
from chatsync.service.calling import call_relay
from chatsync.service.clock import SteadyClock
from chatsync.service.settings import Settings
from chatsync.store.files import FolderLockedError
from chatsync.store.opening import open_store

__all__ = ["note_minted"]


def note_minted(settings: Settings, authority: TokenAuthority, token: str) -> None:
    """Note a token that was minted; nothing where there is no data folder yet.

    Raises:
        ChatsyncError: it could not be noted: the folder is damaged or full, or in use by what does not answer.
    """
    if not (settings.data_folder / "chatsync.db").exists():
        return
    record = minted(authority, token, by="admin:local", wall_us=SteadyClock().system_wall_us())
    try:
        with open_store(settings.data_folder) as store:
            store.writer.call(partial(store.journal.audit.note, record=record)).result()
    except FolderLockedError:
        call_relay(settings, "/v1/tokens/noted", {}, room=None, body={"token": token})
