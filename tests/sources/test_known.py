"""Sources are found by the scheme of an address; packages may bring more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatsync.sources.irc import IRC, TWITCH
from chatsync.sources.known import connector_of, sources

MODULE = """
from chatsync.sources.irc import IRC

class Mine:
    schemes = ("mine", "irc")

    def connector(self, url, secrets):
        return IRC.connector("irc" + url.removeprefix("mine"), secrets)

MINE = Mine()
"""


@pytest.fixture
def brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that brings a source, as pip would have put it there."""
    (tmp_path / "mine_source.py").write_text(MODULE)
    info = tmp_path / "mine_source-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-source\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[chatsync.sources]\nmine = mine_source:MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    sources.cache_clear()
    yield
    sources.cache_clear()
    sys.modules.pop("mine_source", None)


def test_ours_are_there() -> None:
    """By scheme; whatever else is installed."""
    assert (IRC, IRC, TWITCH) == tuple(sources()[scheme] for scheme in ("irc", "ircs", "twitch"))


def test_another_package_brings_a_source(brought: None) -> None:
    """By its entry point; it takes no scheme that is ours."""
    assert "#class" in repr(connector_of("mine://irc.example/class", {}))
    assert IRC is sources()["irc"]


def test_an_address_of_no_source_is_refused_with_those_there_are() -> None:
    """Without repeating it."""
    with pytest.raises(ValueError, match="there are irc, ircs, twitch") as refused:
        connector_of("telnet://secret.example", {})
    assert "secret" not in str(refused.value)
