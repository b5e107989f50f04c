"""Settings of caches that are told: each whole, none that would give its token away, and no long time without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chatsync.service.limit_table import Limits
from chatsync.service.purge_settings import PurgeHook, checked_hooks, purge_reasons


def token_file(folder: Path, mode: int = 0o600) -> Path:
    """A token's file."""
    file = folder / "token"
    file.write_text("t0ken\n")
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "http"},
        {"kind": "ban"},
        {"kind": "fastly", "zone": "a"},
        {"kind": "cloudflare", "token_file": "/t"},
        {"kind": "squid", "url": "http://x"},
        {"kind": "http", "url": "ftp://x"},
        {"kind": "http", "url": "http://"},
        {"kind": "http", "url": "http://a:b@x"},
        {"kind": "http", "url": "http://x/?y"},
        {"kind": "http", "url": "http://x/?"},
        {"kind": "http", "url": "http://x/#y"},
        {"kind": "http", "url": "http://x y"},
        {"kind": "http", "url": "http://x:0"},
        {"kind": "http", "url": "http://[x"},
        {"kind": "http", "url": "http://x", "host": "a b"},
        {"kind": "http", "url": "http://x", "host": "a\r\nb: c"},
        {"kind": "fastly", "zone": "../x", "token_file": "/t"},
        {"kind": "fastly", "zone": "", "token_file": "/t"},
    ],
)
def test_a_cache_that_cannot_be_told_is_refused(given: dict[str, Any]) -> None:
    """Something is missing, or is not what it should be."""
    with pytest.raises(ValidationError):
        PurgeHook(**given)


def test_a_name_may_stand_in_metrics_and_caches_are_few() -> None:
    """Others are refused."""
    hook = PurgeHook(kind="http", url="http://127.0.0.1:6081")
    assert {"edge-1": hook} == checked_hooks({"edge-1": hook})
    for name in ("", "Edge", "a b", "a" * 33, "-a"):
        with pytest.raises(ValueError, match="name"):
            checked_hooks({name: hook})
    with pytest.raises(ValueError, match="at most 16"):
        checked_hooks({f"edge-{number}": hook for number in range(17)})


def test_where_a_cache_is_told() -> None:
    """Vendors at their own address unless another is named; a slash at the end changes nothing."""
    assert "http://10.0.0.5/base" == PurgeHook(url="http://10.0.0.5/base/").base_url
    vendor: dict[str, Any] = {"zone": "a", "token_file": "/t"}
    assert "https://api.fastly.com" == PurgeHook(kind="fastly", **vendor).base_url
    assert "https://api.cloudflare.com/client/v4" == PurgeHook(kind="cloudflare", **vendor).base_url
    assert "https://x" == PurgeHook(kind="cloudflare", url="https://x", **vendor).base_url


def test_a_token_must_be_private_and_travel_with_tls(tmp_path: Path) -> None:
    """Else the relay does not start; on this machine it may travel without. The reason does not repeat it."""
    vendor: dict[str, Any] = {"kind": "fastly", "zone": "a", "token_file": token_file(tmp_path)}
    assert [] == purge_reasons({"f": PurgeHook(**vendor)}, Limits())
    assert [] == purge_reasons({"f": PurgeHook(**vendor, url="http://127.0.0.1:9")}, Limits())
    (plain,) = purge_reasons({"f": PurgeHook(**vendor, url="http://127.0.0.1.example")}, Limits())
    assert "without TLS" in plain
    token_file(tmp_path, 0o644)
    (exposed,) = purge_reasons({"f": PurgeHook(**vendor)}, Limits())
    assert ("0600" in exposed, "t0ken" in exposed) == (True, False)
    for text in ("", "a b", "é"):
        (tmp_path / "token").write_text(text)
        (tmp_path / "token").chmod(0o600)
        (empty,) = purge_reasons({"f": PurgeHook(**vendor)}, Limits())
        assert "holds no token" in empty


def test_long_times_need_a_cache_that_is_told() -> None:
    """Up to 300 s without, beyond it with."""
    hook = PurgeHook(kind="http", url="http://127.0.0.1:6081")
    assert [] == purge_reasons({}, Limits(slice_cache_s=300))
    (reason,) = purge_reasons({}, Limits(slice_cache_s=301))
    assert "slice_cache_s" in reason
    assert [] == purge_reasons({"edge": hook}, Limits(slice_cache_s=86_400))
