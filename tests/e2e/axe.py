"""axe-core in a page: what it finds in pairwise combinations of a state, a width, a size of text and colours, and what is too wide or too small.

Owns: which rules, how combinations are chosen, how a page is dressed. Does not know: what the page is, or how it gets into a state.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from tests.e2e.demo import ROOT
from tests.e2e.watched import Watched

__all__ = ["AXE", "RULES", "dress", "found_by_axe", "pairwise", "targets_below", "too_wide"]

AXE = ROOT / "player" / "node_modules" / "axe-core" / "axe.min.js"
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']"
_ALL = """const all = (root) => [...root.querySelectorAll('*')].flatMap((one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])]);"""
_RUN = f"""axe.run(document, {{ runOnly: {RULES}, resultTypes: ['violations'] }}).then(({{ violations }}) => violations
  .flatMap((one) => one.nodes.map((node) => `${{one.id}}: ${{node.target}} ${{node.any[0]?.message ?? ''}}`)))"""


def pairwise(*kinds: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Few combinations in which every pair of values is seen: always the one next that sees most new pairs."""
    every = list(itertools.product(*kinds))
    wanted = {pair for one in every for pair in itertools.combinations(enumerate(one), 2)}
    chosen: list[tuple[Any, ...]] = []
    while wanted:
        best = max(every, key=lambda one: len(wanted & set(itertools.combinations(enumerate(one), 2))))
        wanted -= set(itertools.combinations(enumerate(best), 2))
        chosen.append(best)
    return chosen


def dress(seen: Watched, width: int, percent: int, colours: str) -> None:
    """Another width, size of text, and colours: light, dark, or forced."""
    seen.page.set_viewport_size({"width": width, "height": 900})
    seen.page.emulate_media(
        color_scheme="light" if colours == "light" else "dark",
        forced_colors="active" if colours == "forced" else "none",
    )
    seen.value(
        f"document.documentElement.style.fontSize = '{percent}%'; "
        "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(null))))"
    )


def found_by_axe(seen: Watched) -> list[str]:
    """What axe finds in the page as it is."""
    if not seen.value("'axe' in window"):
        seen.value(AXE.read_text() + "; null")
    found: list[str] = seen.value(_RUN)
    return found


def too_wide(seen: Watched) -> list[str]:
    """Whatever makes the page scroll sideways."""
    found: list[str] = seen.value(
        f"(() => {{ {_ALL} const page = document.documentElement; if (page.scrollWidth <= page.clientWidth) return []; "
        "return all(document.body).filter((one) => one.getBoundingClientRect().right > page.clientWidth + 1)"
        ".map((one) => `too wide: ${one.localName}.${one.getAttribute('class') ?? ''}`); })()"
    )
    return found


def targets_below(seen: Watched, px: int, within: str = "*") -> list[str]:
    """What is to be touched, is seen, and is smaller than that in either direction.

    Args:
        seen: the page.
        px: the least.
        within: a selector of what counts, below the page's shadow roots too.
    """
    found: list[str] = seen.value(
        f"(() => {{ {_ALL} return all(document.body)"
        f".filter((one) => one.matches('button, input, select, textarea, a[href]') && one.matches({within!r}))"
        ".map((one) => [one, (one.closest('label') ?? one).getBoundingClientRect()])"
        f".filter(([one, box]) => box.width > 0 && one.checkVisibility() && (box.width < {px} || box.height < {px}))"
        ".map(([one, box]) => `${one.localName}.${one.getAttribute('class') ?? ''} ${one.textContent.trim().slice(0, 20)}: "
        "${Math.round(box.width)}x${Math.round(box.height)}`); })()"
    )
    return found
