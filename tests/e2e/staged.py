"""A page with the chat alone on it, in a room that is moved by hand: no server, no stream, so nothing to wait for.

The page's ``fetch`` and ``WebSocket`` are answered by player/test/stage.ts, and the player beside the chat is one that is set.
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, Route

from tests.e2e.demo import ROOT
from tests.e2e.watched import Watched

__all__ = ["Staged"]

_ORIGIN = "https://stage.test"
_POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types lit-html"
_PAGE = """<!doctype html><html lang="{lang}" dir="{direction}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Stage</title>
<link rel="stylesheet" href="/stage.css"><script src="/stage.js"></script><script src="/player.js"></script><script src="/more.js"></script></head>
<body><main><chatsync-chat></chatsync-chat></main></body></html>"""
_STYLE = "html, body, main { margin: 0; height: 100%; } chatsync-chat { height: 100vh; }"
_DIRECTIONS = {"en": "ltr", "ar": "rtl"}
_LOG = "document.querySelector('chatsync-chat').shadowRoot.querySelector('.log')"


class Staged(Watched):
    """The page and what a test does to it."""

    def __init__(self, browser: Browser, *, lang: str = "en", **context: Any) -> None:
        context = {"viewport": {"width": 380, "height": 640}} | context
        page: Page = browser.new_page(**context)
        super().__init__(page)
        self.lang = lang
        page.route("**/*", self._answer)

    def open(self, before: str = "", playhead_s: float = 60, messages: int = 60) -> None:
        """Show the room with one message in every second so far.

        Args:
            before: what the page does to the room before the chat is opened.
            playhead_s: where the picture is, after the start of the broadcast.
            messages: how many seconds have a message.
        """
        self.page.goto(f"{_ORIGIN}/")
        self.value(
            f"for (let second = 0; second < {messages}; second += 1) stage.say(stage.t0 + second * 1000); "
            f"stage.player.programMs = stage.t0 + {playhead_s} * 1000; {{ {before} }} "
            "window.chat = document.querySelector('chatsync-chat'); chat.adapter = stage.player; "
            "chat.room = 'math-101'; null"
        )
        self.until("chat.shown.settled")

    def show(self, second: float) -> None:
        """A frame of the picture, so many seconds after the start."""
        self.value(f"stage.player.show(stage.t0 + {second} * 1000); chat.updateComplete.then(() => null)")

    def dress(self, text_percent: int, lang: str) -> None:
        """Another size of text and another language."""
        self.value(
            f"{{ const page = document.documentElement; page.lang = '{lang}'; page.dir = '{_DIRECTIONS[lang]}'; "
            f"page.style.fontSize = '{text_percent}%'; chat.requestUpdate(); chat.updateComplete.then(() => null) }}"
        )

    def log(self, property_name: str) -> Any:
        """A property of the scrolled list."""
        return self.value(f"{_LOG}.{property_name}")

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(_ORIGIN)
        if path == "/":
            route.fulfill(
                content_type="text/html",
                headers={"content-security-policy": _POLICY},
                body=_PAGE.format(lang=self.lang, direction=_DIRECTIONS[self.lang]),
            )
        elif path == "/stage.css":
            route.fulfill(content_type="text/css", body=_STYLE)
        elif path == "/stage.js":
            route.fulfill(content_type="text/javascript", path=ROOT / "player" / "build" / "stage.js")
        elif path == "/player.js":
            route.fulfill(content_type="text/javascript", path=ROOT / "chatsync" / "web" / "chatsync-player.js")
        elif path == "/more.js":
            route.fulfill(content_type="text/javascript", path=ROOT / "chatsync" / "web" / "chatsync-more.js")
        elif path.startswith("/chatsync-"):  # what the script loads later
            route.fulfill(content_type="text/javascript", path=ROOT / "chatsync" / "web" / path.lstrip("/"))
        else:
            route.fulfill(status=204)
