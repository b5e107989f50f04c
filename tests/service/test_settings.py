"""Settings: where they come from, and what is refused as unsafe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from chatsync.errors import SettingsError
from chatsync.service.room_settings import RoomSettings, ScreeningSettings, read_request_headers
from chatsync.service.settings import (
    Settings,
    check_safe,
    describe,
    load_settings,
    settings_page,
    shown,
    token_key,
    unsafe_reasons,
)

SECRET = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"


def settings(**given: Any) -> Settings:
    """Safe settings but for what is given."""
    return Settings(**({"token_secret": SecretStr(SECRET)} | given))


def private(path: Path, text: str) -> Path:
    """A file that only we may read."""
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_arguments_beat_the_environment_and_that_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that the page promises."""
    file = tmp_path / "chatsync.toml"
    file.write_text('port = 1111\nhost = "127.0.0.2"\n[rooms.math]\npublic = true\n')
    monkeypatch.setenv("CHATSYNC_PORT", "2222")
    loaded = load_settings(file, port=3333)
    assert (3333, "127.0.0.2", True) == (loaded.port, loaded.host, loaded.rooms["math"].public)
    assert 2222 == load_settings(file).port


def test_docs_settings_is_what_the_code_says() -> None:
    """The page is generated and committed."""
    page = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
    assert settings_page() == page.read_text()


def test_every_setting_is_read_by_something() -> None:
    """A setting that changes nothing would be a promise nobody keeps."""
    folder = Path(__file__).resolve().parents[2] / "chatsync"
    code = "\n".join(path.read_text() for path in folder.rglob("*.py") if path.name != "settings.py")
    names = {row.name.rpartition(".")[2] for row in describe()}
    checked_here = {"tls_cert", "tls_key", "token_secret", "token_secret_file", "request_headers_file"}
    assert set() == {name for name in names - checked_here if f".{name}" not in code}


def test_safe_settings_are_accepted() -> None:
    """Loopback with a good secret, or a proxy in front."""
    check_safe(settings())
    check_safe(settings(host="0.0.0.0", behind_proxy=True))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"token_secret": None}, "no token secret"),
        ({"token_secret": SecretStr("short")}, "needs at least 32"),
        ({"token_secret": SecretStr("change-me-change-me-change-me-1234567890")}, "placeholder"),
        ({"token_secret": SecretStr("a" * 64)}, "placeholder"),
        ({"token_secret": SecretStr("0123456789" * 4)}, "placeholder"),
        ({"host": "0.0.0.0"}, "without TLS"),
        ({"host": "::"}, "without TLS"),
        ({"host": "chat.example"}, "without TLS"),
        ({"tls_cert": Path("/nowhere.pem")}, "need each other"),
        ({"trusted_proxies": ("10.0.0.1",)}, "behind_proxy"),
    ],
)
def test_unsafe_settings_are_refused_with_the_reason(given: dict[str, Any], reason: str) -> None:
    """The service does not start, and says why without repeating a secret."""
    with pytest.raises(SettingsError, match=reason) as refused:
        check_safe(settings(**given))
    assert "change-me" not in str(refused.value)


def test_a_secret_does_not_belong_in_the_file(tmp_path: Path) -> None:
    """Files are shared and backed up."""
    file = tmp_path / "chatsync.toml"
    file.write_text(f'token_secret = "{SECRET}"\n')
    with pytest.raises(SettingsError, match="does not belong"):
        load_settings(file)


@pytest.mark.parametrize(
    "text", ["port = 'x'", "port = 70000", "unknown = 1", "[rooms.Math]", "[rooms.'../x']", "not toml"]
)
def test_a_bad_file_names_what_is_wrong(tmp_path: Path, text: str) -> None:
    """Never a trace, never a silent default."""
    file = tmp_path / "chatsync.toml"
    file.write_text(text + "\n")
    with pytest.raises(SettingsError):
        load_settings(file)


def test_a_secret_file_must_be_private(tmp_path: Path) -> None:
    """Readable by others is refused; 0600 is read."""
    file = private(tmp_path / "secret", SECRET + "\n")
    given = settings(token_secret=None, token_secret_file=file)
    assert SECRET.encode() == token_key(given)
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="0600"):
        token_key(given)


def test_request_headers_are_read_and_ours_are_refused(tmp_path: Path) -> None:
    """A protected playlist's headers; never Host or a line break."""
    assert {"Authorization": "Bearer x"} == read_request_headers(
        private(tmp_path / "a", "# key\nAuthorization: Bearer x\n")
    )
    for text in ("Host: x", "no colon", "Bad Name: x", "X: \x01"):
        with pytest.raises(SettingsError):
            read_request_headers(private(tmp_path / "b", text))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ('refused_words = ["fine", "x"]', "screening.refused_words: word 2: a word of a list has at least two letters"),
        ('refused_patterns = ["fine", "(?=secret)"]', "refused_patterns, pattern 2 is no RE2: invalid perl operator"),
        ('held_patterns = ["x*"]', "held_patterns, pattern 1 matches every text"),
        ('languages = ["tlh"]', "screening.languages.0"),
        ('link_hosts = ["https://x.example/"]', "a host is a name such as"),
        ('filter_url = "https://x.example/"', "filter_url and filter_secret_file need each other"),
        ('human_check_secret_file = "x"', "human_check_url and human_check_secret_file need each other"),
        ('filter_url = "https://user:pw@x.example/"', "must not carry a user name or password; use the secret file"),
        ("filter_deadline_ms = 9", "greater than or equal to 10"),
    ],
)
def test_what_cannot_be_screened_by_is_told(tmp_path: Path, given: str, reason: str) -> None:
    """Which setting it is, and which of its words or patterns; none of them is repeated."""
    file = tmp_path / "chatsync.toml"
    file.write_text(f"[rooms.math.screening]\n{given}\n")

    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    assert str(refused.value).startswith("rooms.math.screening")
    assert reason in str(refused.value)
    assert "secret)" not in str(refused.value)


def test_secrets_of_filters_are_checked_at_the_start(tmp_path: Path) -> None:
    """The relay does not start with one that others can read, or that is too short."""
    good, short = private(tmp_path / "good", SECRET), private(tmp_path / "short", "short")

    def reasons(filter_secret: Path, human_secret: Path) -> list[str]:
        screening = ScreeningSettings(
            filter_url="https://x.example/",
            filter_secret_file=filter_secret,
            human_check_url="https://y.example/",
            human_check_secret_file=human_secret,
        )
        return unsafe_reasons(settings(rooms={"math": RoomSettings(screening=screening)}))

    assert [] == reasons(good, short)
    assert ["rooms.math.screening: the secret in filter_secret_file has 5 bytes; it needs at least 32"] == reasons(
        short, good
    )
    good.chmod(0o644)
    assert 2 == len(reasons(good, good))


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "file:///etc/passwd", "http://user:pw@x/y", "http://", "http://x y/", "x"]
)
def test_a_playlist_address_must_be_plain_http(url: str) -> None:
    """Other schemes and credentials in addresses are refused."""
    with pytest.raises(ValueError, match=r".+"):
        RoomSettings(playlist_url=url)


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://x/", "https://*.example", "https://x?y", "x.example", "https://a@x"]
)
def test_an_origin_is_exact(origin: str) -> None:
    """No wildcard, no path, no pattern."""
    with pytest.raises(ValueError, match=r".+"):
        RoomSettings(origins=(origin,))


def test_what_is_shown_masks_secrets() -> None:
    """Also a token in an address."""
    file = Path("/secret")
    screening = ScreeningSettings(
        filter_url="https://x.example/?key=abc",
        filter_secret_file=file,
        human_check_url="https://x.example/?key=abc",
        human_check_secret_file=file,
    )
    room = RoomSettings(playlist_url="https://x.example/a.m3u8?token=abc", screening=screening)
    text = json.dumps(shown(settings(rooms={"math": room})))
    assert SECRET not in text
    assert "abc" not in text


def test_serve_refuses_unsafe_settings_with_the_reason(tmp_path: Path) -> None:
    """The command ends with status 2 and one line that says what to do."""
    command = [sys.executable, "-m", "chatsync", "serve", "--data", str(tmp_path), "--host", "0.0.0.0"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, timeout=60, check=False
    )
    assert 2 == done.returncode
    assert "without TLS" in done.stderr
    assert "token secret" in done.stderr
