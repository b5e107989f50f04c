"""The pictures of the chat in docs/rooms.md, taken anew: ``python -m tests.e2e.pictures docs/images``.

Those of the host's panel: ``CHATSYNC_PICTURES=docs/images pytest tests/e2e/test_host_panel.py``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from hatch_build import run_script
from tests.e2e.demo import ROOT, chromium
from tests.e2e.staged import Staged
from tests.e2e.states import STATES

__all__: list[str] = []

PICTURES = {"chat-poll": "poll", "chat-queue": "queue"}
# The stage serves no emotes, and a picture of a broken image helps nobody.
_WITHOUT_EMOTES = "delete stage.model.events.get(stage.model.offset).fragments; stage.model.events.get(stage.model.offset).text = 'see page 12';"


def main(folder: Path) -> None:
    """Take each picture, as a phone shows it."""
    run_script(ROOT, "stage")
    with chromium(shutil.which("chromium") or "/usr/bin/chromium") as browser:
        for name, state in PICTURES.items():
            staged, shown = Staged(browser), STATES[state]
            staged.open(shown.before + _WITHOUT_EMOTES)
            if shown.after:
                staged.value(shown.after)
            staged.until(f"chat.shadowRoot.querySelector('{shown.has}')")
            staged.page.wait_for_timeout(300)
            staged.page.screenshot(path=folder / f"{name}.png")
            staged.page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
