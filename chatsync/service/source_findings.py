"""What ``chatsync doctor`` finds about chats elsewhere.

Owns: which sources are read without TLS, and from which hosts they may come. Does not know: other checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from chatsync.service.settings import Settings

__all__ = ["source_findings"]


def source_findings(settings: Settings | None) -> Iterator[tuple[Literal["ok", "warn"], str, str]]:
    """How it stands, in a sentence, and what to do about it; nothing where there is no source."""
    urls = {} if settings is None else {room: one.source.url for room, one in settings.rooms.items() if one.source.url}
    if settings is None or not urls:
        return
    local = {*settings.private_origins, *settings.loopback_origins}
    plain = sorted(
        room
        for room, url in urls.items()
        if url.startswith("irc:") and f"{urlsplit(url).hostname}:{urlsplit(url).port or 6667}" not in local
    )
    if plain:
        shown = ", ".join(plain[:5]) + (f" and {len(plain) - 5} more" if len(plain) > 5 else "")
        yield (
            "warn",
            f"The chat elsewhere of {shown} comes without TLS: who is on the way can say there what they like.",
            "Use ircs:// in source.url.",
        )
    if not settings.source_hosts:
        yield (
            "warn",
            "Chats elsewhere may come from any public host: who may make rooms can let the relay connect to it.",
            "Name the hosts in source_hosts; Twitch's is irc.chat.twitch.tv.",
        )
    if settings.source_hosts and not plain:
        yield "ok", f"Chats elsewhere come from {len(settings.source_hosts)} named hosts.", ""
