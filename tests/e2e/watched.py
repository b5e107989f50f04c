"""A page that is looked at while its policy is in force: what it complains of, and whether code ran that should be text."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import CDPSession, Page

__all__ = ["Watched"]

TRIPWIRE = """
window.tripped = [];
window.violations = [];
window.tripwire = (what) => window.tripped.push(String(what));
window.alert = window.tripwire;
window.fire = window.tripwire;
document.addEventListener('securitypolicyviolation', (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Watched:
    """A page, and all it complained of.

    Scripts go in by the debugger's own channel: playwright's waiting needs eval, which the page forbids.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda line: self._note(line.type, line.text) if line.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self._note("pageerror", str(error)))
        page.on("crash", lambda _: self._note("crash", ""))
        page.add_init_script(TRIPWIRE)
        self._debugger: CDPSession = page.context.new_cdp_session(page)

    def _note(self, kind: str, text: str) -> None:
        self.complaints.append(f"{kind}: {text}")

    def value(self, expression: str) -> Any:
        """What an expression is in the page; promises are awaited."""
        answer = self._debugger.send(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, within_s: float = 20) -> None:
        """Wait until an expression is true."""
        for _ in range(int(within_s * 10)):
            if self.value(f"Boolean({expression})"):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not within {within_s} s: {expression}")
