"""docs/operations.md and docs/settings.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatsync.errors import SettingsError
from chatsync.service.metrics import Metrics
from chatsync.service.settings import check_safe, load_settings, settings_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text("utf-8")


def test_the_example_is_a_safe_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TOML of the page loads, has its room, and the relay would start with it once there is a secret."""
    example = re.search(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert example is not None
    file = tmp_path / "chatsync.toml"
    file.write_text(example[1])
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", "f1d2c3b4a5968778695a4b3c2d1e0f00ffeeddccbbaa9988")

    settings = load_settings(file)
    check_safe(settings)

    assert ["math-101"] == list(settings.rooms)
    assert settings.rooms["math-101"].public


def test_the_example_of_caches_loads(tmp_path: Path) -> None:
    """Its tables are settings; only their tokens are not there."""
    (example,) = re.findall(r"^```toml\n(\[purge\..*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "chatsync.toml"
    file.write_text(example)

    settings = load_settings(file)

    assert ["ban", "http", "fastly", "cloudflare"] == [hook.kind for hook in settings.purge.values()]
    with pytest.raises(SettingsError, match=r"purge\.fastly\.token_file cannot be read.*purge\.cloudflare\.token_file"):
        check_safe(settings)


def test_every_metric_stands_in_the_table_with_its_kind_and_labels() -> None:
    """The table and the registry hold the same metrics."""
    rows = re.findall(r"^\| `(chatsync_\w+)` \| (\w+) \| ([\w, ]*?) ?\|", PAGE, re.MULTILINE)
    listed = {(name, kind, labels.strip()) for name, kind, labels in rows}
    metrics = [value for value in vars(Metrics()).values() if hasattr(value, "_labelnames")]
    existing = {
        (metric._name + ("_total" if metric._type == "counter" else ""), metric._type, ", ".join(metric._labelnames))
        for metric in metrics
    }

    assert existing == listed


def test_the_page_of_settings_is_as_the_code_prints_it() -> None:
    """docs/settings.md is made from the code: python -m chatsync.service.settings > docs/settings.md."""
    assert settings_page() == (DOCS / "settings.md").read_text("utf-8")


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_within_the_pages_lead_somewhere(page: str) -> None:
    """A link to a heading of another page finds it."""
    text = (DOCS / page).read_text("utf-8")
    for target, heading in re.findall(r"\]\(([\w./-]*?\.md)?(?:#([\w-]+))?\)", text):
        file = DOCS / target if target else DOCS / page
        if heading and file.exists():
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
