"""The page that replays a room beside its video, as the relay serves it and as ``chatsync publish`` writes it.

Owns: the page's text, its policy, which files it is made of. Does not know: HTTP, rooms, where its data comes from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["ASSETS", "FOLDER", "TRUSTED_TYPES", "WatchPage", "sources_of"]

FOLDER = Path(__file__).parent
ASSETS = ("watch.css", "watch.js")
"""Its own files; those of the player come beside them."""
TRUSTED_TYPES = ("lit-html", "default")
"""lit's own, and the one that lets hls.js have its worker (watch.js)."""


@dataclass(frozen=True, slots=True)
class WatchPage:
    """What one page is told.

    Attributes:
        room: whose chat it is.
        title: the room's; its id where it has none.
        recording: what it shows; None for the latest broadcast.
        media_url: what it plays; None where nobody said.
        server: where the chat comes from, as the page sees it.
        assets: where its scripts lie.
        link: address of a recording's page, with ``{}`` for its id.
        home: address of the room's page.
        is_files: the chat lies in files, as ``chatsync publish`` writes them.
    """

    room: str
    title: str
    recording: str | None
    media_url: str | None
    server: str = "/"
    assets: Mapping[str, str] | None = None
    link: str = ""
    home: str = ""
    is_files: bool = False

    def html(self, policy: str | None = None) -> str:
        """The whole page.

        Args:
            policy: what goes into a ``meta`` element, where no header can say it.
        """
        told = {
            "room": self.room,
            "recording": self.recording,
            "media": self.media_url,
            "server": self.server,
            "link": self.link,
            "home": self.home,
            "files": self.is_files,
        }
        places = self.assets or {}
        title = self.title or self.room
        meta = "" if policy is None else f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        style = escape(places.get("watch.css", "watch.css"))
        scripts = "".join(
            f'<script src="{escape(places.get(name, name))}" defer></script>'
            for name in ("hls.min.js", "chatsync-player.js", "chatsync-more.js", "watch.js")
        )
        # The data stand in an attribute: a script with text of its own would need a looser policy.
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{meta}'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{escape(title)}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="{style}">{scripts}</head>'
            f'<body data-watch="{escape(json.dumps(told))}">'
            f'<header><h1><a href="{escape(self.home)}"><bdi>{escape(title)}</bdi></a></h1><p id="which"></p></header>'
            '<main><section id="stage" aria-label="Video"></section><section id="side"></section></main></body></html>\n'
        )


def sources_of(media_url: str | None) -> dict[str, str]:
    """Where the page's parts come from, by directive: our own, and the origin of what it plays."""
    media = "'self'"
    if media_url is not None and not media_url.startswith("/"):
        parts = urlsplit(media_url)
        if parts.scheme in {"http", "https"} and parts.hostname and not set(parts.netloc) & set(" ;,'\""):
            media = f"'self' {parts.scheme}://{parts.netloc}"
    return {
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: https:",  # a room's emotes
        "media-src": f"{media} blob:",  # hls.js hands the video what it has put together
        "worker-src": "blob:",  # of hls.js, which makes it itself
        "connect-src": media,
    }
