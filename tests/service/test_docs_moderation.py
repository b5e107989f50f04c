"""docs/moderation.md: its filter runs as it stands, its settings load, and nothing is left out."""

from __future__ import annotations

import hmac
import re
import threading
import tomllib
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest

from chatsync.chat.screening import Rule, Verdict
from chatsync.service.clock import SteadyClock
from chatsync.service.external_filter import ExternalFilter
from chatsync.service.limit_table import Limits
from chatsync.service.metrics import Metrics
from chatsync.service.outgoing import Outgoing
from chatsync.service.room_settings import RoomSettings, ScreeningSettings
from chatsync.service.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "moderation.md").read_text("utf-8")


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """The page's filter, on a free port."""
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "filter.secret"
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    secret.chmod(0o600)
    code = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    last = 'ThreadingHTTPServer(("127.0.0.1", 8700), Filter).serve_forever()\n'
    assert code[1].endswith(last)
    exec(code[1].removesuffix(last), names)
    names["Filter"].log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Filter"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


async def test_the_filter_of_the_page_judges(running: ThreadingHTTPServer, tmp_path: Path) -> None:
    """It believes our signature and no other, and its verdicts are done."""
    port = running.server_port
    outgoing = Outgoing(Settings(loopback_origins=(f"127.0.0.1:{port}",)))
    settings = ScreeningSettings(
        filter_url=f"http://127.0.0.1:{port}/",
        filter_secret_file=tmp_path / "filter.secret",
        filter_deadline_ms=5_000,
    )
    asking = ExternalFilter(
        "math-101", settings, limits=Limits(), outgoing=outgoing, clock=SteadyClock(), metrics=Metrics()
    )
    said = [
        await asking.judge(text, "9b1f", id="m1", kind="message", program_ms=None) for text in ("hello", "exam at 9")
    ]
    await outgoing.aclose()
    async with httpx2.AsyncClient(trust_env=False) as stranger:
        forged = {"Chatsync-Signature": f"t=1,v1={hmac.new(b'x', b'1.{}', 'sha256').hexdigest()}"}
        answer = await stranger.post(f"http://127.0.0.1:{port}/", content=b"{}", headers=forged)

    assert [None, Verdict("hold", "filter", "about the exam")] == said
    assert 403 == answer.status_code


def test_the_settings_of_the_page_load(tmp_path: Path) -> None:
    """Each example is a file as it stands."""
    examples = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for example in examples:
        read = tomllib.loads(example)
        room = RoomSettings(**read["rooms"]["math-101"])
        assert room.screening != ScreeningSettings()
    assert 2 == len(examples)


def test_every_rule_stands_in_the_table() -> None:
    """Whoever is told a code finds it."""
    assert set(get_args(Rule)) == set(re.findall(r"^\| `(\w+)` \| (?:refuses|as )", PAGE, re.MULTILINE))


def test_every_setting_is_explained() -> None:
    """Each setting of screening is named on the page; what holds for both lists of a kind, once."""
    told = {name for name in ScreeningSettings.model_fields if name in PAGE}

    assert {"refused_patterns"} == set(ScreeningSettings.model_fields) - told
