"""``chatsync doctor``: each thing that is unsafe or missing is named, with what to do; what is well is told as well."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chatsync.instants import DAY_US, HOUR_US
from chatsync.service.clock import SteadyClock
from chatsync.service.doctor import CHECKS, Facts, Finding, examine, examined
from chatsync.service.machine import Machine, look_at_machine
from chatsync.service.settings import Settings
from chatsync.store.catalog import SCHEMA_VERSION
from chatsync.store.condition import Condition
from chatsync.store.opening import open_store
from tests.builders import draft
from tests.relay import SECRET, Relay
from tests.store.deeds import deed, said

NOW_US = 1_790_000_000_000_000
ROOM = {"playlist_url": "https://video.example.org/index.m3u8", "origins": ["https://school.example"]}
WELL = Condition(
    owner=1000,
    file_system="ext4",
    sync_us=900,
    databases=("chatsync.db", "identity.db", "moderation.db"),
    schema_version=SCHEMA_VERSION,
    journal_mode="wal",
    is_used=True,
)
MACHINE = Machine(libraries={"duckdb": "2.0.1"})


def facts(
    *, settings: dict[str, Any] | None = None, condition: dict[str, Any] | None = None, machine: Any = None, **more: Any
) -> Facts:
    """A relay that is well, but for what is given."""
    given = {"token_secret": SECRET, "origin_hosts": ["video.example.org"], "rooms": {"class": ROOM}} | (settings or {})
    well: dict[str, Any] = {
        "settings": Settings(**given),
        "folder": Path("/var/lib/chatsync"),
        "condition": msgspec.structs.replace(WELL, **(condition or {})),
        "machine": msgspec.structs.replace(MACHINE, **(machine or {})),
        "wall_us": NOW_US,
        "config": Path("/etc/chatsync.toml"),
        "config_mode": 0o644,
    }
    return Facts(**well | more)


def bad(found: list[Finding]) -> list[Finding]:
    """What is not well."""
    return [one for one in found if one.status != "ok"]


def test_a_relay_that_is_well_is_told_so() -> None:
    """Every check that has anything to look at says one good thing, and nothing is to be done."""
    found = examined(facts())
    assert [] == bad(found)
    names = [name for name, _ in CHECKS]
    assert [one.check for one in found] == [
        name for name in names if name not in {"trusted_proxies", "sources", "extras"}
    ]
    assert {""} == {one.do for one in found}


TLS = {"tls_cert": "/nowhere/cert.pem", "tls_key": "/nowhere/key.pem"}
PROXY = {"behind_proxy": True, "trusted_proxies": ["127.0.0.1"]}


def _rooms(**changed: Any) -> dict[str, Any]:
    return {"rooms": {"class": ROOM | changed}}


BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({"settings": {"token_secret": "short"}}, "settings", "unsafe", "needs at least 32"),
    ({"settings": {"token_secret": "change-me-" * 5}}, "settings", "unsafe", "looks like a placeholder"),
    ({"settings": {"token_secret": "ab" * 32}}, "settings", "unsafe", "looks like a placeholder"),
    ({"settings": {"token_secret": None}}, "settings", "unsafe", "there is no token secret".capitalize()),
    ({"settings": {"token_secret": None, "token_secret_file": "/nowhere"}}, "settings", "unsafe", "cannot be read"),
    ({"settings": {"host": "0.0.0.0"}}, "settings", "unsafe", "can be reached from outside without TLS"),
    ({"settings": {"host": "::"}}, "settings", "unsafe", "can be reached from outside without TLS"),
    ({"settings": {"host": "chat.example.org"}}, "settings", "unsafe", "can be reached from outside without TLS"),
    ({"settings": {"tls_cert": "/nowhere/cert.pem"}}, "settings", "unsafe", "need each other"),
    ({"settings": TLS}, "settings", "unsafe", "Tls_key is not a file"),
    ({"settings": {"trusted_proxies": ["127.0.0.1"]}}, "settings", "unsafe", "only with behind_proxy"),
    ({"settings": {"limits": {"rooms_max": 1}, "rooms": {"a": ROOM, "b": ROOM}}}, "settings", "unsafe", "rooms_max"),
    ({"settings": {"limits": {"ping_s": 5, "pong_s_max": 60}}}, "settings", "unsafe", "pong_s_max"),
    ({"settings": _rooms(request_headers_file="/nowhere")}, "settings", "unsafe", "Rooms.class: request_headers_file"),
    ({"config_mode": 0o666}, "settings_file", "unsafe", "Others can write"),
    ({"config_mode": 0o664}, "settings_file", "unsafe", "Others can write"),
    ({"settings": TLS, "certificate_error": "key values mismatch"}, "tls", "unsafe", "key values mismatch"),
    ({"settings": TLS, "certificate_ends_us": NOW_US - 1}, "tls", "unsafe", "past its end"),
    ({"settings": TLS, "certificate_ends_us": NOW_US + 3 * DAY_US}, "tls", "warn", "ends in 3 days"),
    ({"settings": PROXY | {"host": "0.0.0.0"}}, "tls", "warn", "goes round the proxy"),
    ({"settings": {"behind_proxy": True}}, "trusted_proxies", "warn", "No proxy is named"),
    ({"settings": PROXY | {"trusted_proxies": ["10.0.0.0/8"]}}, "trusted_proxies", "warn", "pretend to be anybody"),
    ({"settings": PROXY | {"trusted_proxies": ["fd00::/8"]}}, "trusted_proxies", "warn", "pretend to be anybody"),
    ({"settings": {"origin_hosts": []}}, "origin_hosts", "warn", "any public host"),
    ({"settings": _rooms(playlist_url="http://video.example.org/a.m3u8")}, "origin_hosts", "warn", "without TLS"),
    (
        {"settings": _rooms(playlist_url="http://video.example.org/a.m3u8", request_headers_file="/nowhere")},
        "origin_hosts",
        "unsafe",
        "Secret request headers of class",
    ),
    (
        {"settings": _rooms(source={"url": "irc://irc.example/c"})},
        "sources",
        "warn",
        "elsewhere of class comes without TLS",
    ),
    ({"settings": _rooms(source={"url": "twitch://class"})}, "sources", "warn", "any public host"),
    ({"settings": _rooms(origins=["http://school.example"])}, "web_origins", "warn", "Pages without TLS"),
    ({"condition": {"is_folder": False}}, "data_folder", "unsafe", "is not a folder"),
    ({"condition": {"is_writable": False}}, "data_folder", "unsafe", "cannot be written"),
    ({"condition": {"is_there": False, "databases": ()}}, "data_folder", "missing", "at its first start"),
    ({"condition": {"owner": 33}}, "data_folder", "warn", "belongs to user 33"),
    ({"condition": {"mode": 0o755}}, "data_folder", "unsafe", "Others can look into"),
    ({"condition": {"mode": 0o770}}, "data_folder", "unsafe", "Others can look into"),
    ({"condition": {"exposed": ("identity.db",)}}, "data_folder", "unsafe", "Others could read identity.db"),
    ({"condition": {"is_half_restored": True}}, "data_folder", "unsafe", "restore into it was interrupted"),
    ({"condition": {"free_bytes": 100 << 20}}, "space", "unsafe", "soon nothing can be said"),
    ({"condition": {"free_bytes": 1 << 30}}, "space", "warn", "1,024 MiB are free"),
    ({"condition": {"free_bytes": 4 << 30, "size_bytes": 1 << 40}}, "space", "warn", "4,096 MiB are free"),
    ({"condition": {"free_files": 5, "files_max": 1_000_000}}, "space", "warn", "inodes"),
    ({"condition": {"file_system": None}}, "file_system", "warn", "does not tell"),
    ({"condition": {"file_system": "nfs4"}}, "file_system", "unsafe", "network file system"),
    ({"condition": {"file_system": "cifs"}}, "file_system", "unsafe", "network file system"),
    ({"condition": {"file_system": "tmpfs"}}, "file_system", "unsafe", "in memory"),
    ({"condition": {"file_system": "overlay"}}, "file_system", "warn", "container's own layer"),
    ({"condition": {"mount_options": ("rw", "nobarrier")}}, "file_system", "unsafe", "nobarrier"),
    ({"condition": {"mount_options": ("ro",)}}, "file_system", "unsafe", "read-only"),
    ({"condition": {"sync_us": 3}}, "fsync", "warn", "no disk is that quick"),
    ({"condition": {"sync_us": 80_000}}, "fsync", "warn", "80 ms"),
    ({"condition": {"sync_us": None}}, "fsync", "warn", "could not be measured"),
    ({"condition": {"trouble": ("identity.db (malformed)",)}}, "databases", "unsafe", "identity.db (malformed)"),
    ({"condition": {"databases": ("chatsync.db",)}}, "databases", "unsafe", "identity.db, moderation.db is not there"),
    ({"condition": {"damaged_heads": 1}}, "databases", "unsafe", "heads is damaged"),
    ({"condition": {"schema_version": SCHEMA_VERSION + 1}}, "databases", "unsafe", "this chatsync knows"),
    ({"condition": {"schema_version": SCHEMA_VERSION - 1}}, "databases", "warn", "the next start brings it"),
    ({"condition": {"journal_mode": "delete"}}, "databases", "unsafe", "not in WAL mode"),
    ({"condition": {"log_bytes": 1 << 30}}, "databases", "warn", "1,024 MiB"),
    ({"condition": {"unfinished_erasures": (NOW_US - 60,)}}, "unfinished", "warn", "1 erasures are not complete"),
    ({"condition": {"unfinished_erasures": (NOW_US - 2 * HOUR_US,)}}, "unfinished", "unsafe", "are not complete"),
    ({"condition": {"oldest_hidden_us": NOW_US - 40 * DAY_US}}, "unfinished", "unsafe", "longer than 30 days"),
    ({"condition": {"oldest_dirty_us": NOW_US - 5 * HOUR_US}}, "unfinished", "warn", "5 hours behind"),
    ({"condition": {"quarantined": 2}}, "unfinished", "warn", "2 damaged files"),
    ({"machine": {"user": 0}, "condition": {"owner": 0}}, "user", "warn", "This is root"),
    ({"machine": {"umask": 0o000}}, "user", "warn", "umask 000"),
    ({"machine": {"files_max": 1024}}, "descriptors", "unsafe", "may open 1,024 files"),
    ({"machine": {"somaxconn": 128}}, "kernel", "warn", "somaxconn is 128"),
    ({"machine": {"tcp_bytes_max": 1 << 20}}, "kernel", "warn", "tcp_mem"),
    ({"machine": {"memory_bytes": 64 << 20}}, "kernel", "warn", "64 MiB of memory"),
    ({"machine": {"is_clock_kept": False}}, "clock", "warn", "Nothing keeps the clock right"),
    ({"machine": {"is_clock_kept": None}}, "clock", "missing", "does not tell"),
    ({"wall_us": 1_000_000}, "clock", "unsafe", "before 2025"),
    ({"machine": {"sqlite": (3, 31, 1)}}, "versions", "unsafe", "SQLite 3.31.1 is too old"),
    ({"machine": {"sqlite_threads": 1}}, "versions", "unsafe", "several threads"),
    ({"machine": {"libraries": {"duckdb": None}}}, "versions", "unsafe", "duckdb is not installed"),
    ({"machine": {"has_player": False}}, "extras", "missing", "player is not built"),
    ({"machine": {"has_ffmpeg": False}}, "extras", "missing", "only chatsync demo needs it"),
]


@pytest.mark.parametrize(
    ("given", "check", "status", "says"), BAD, ids=[f"{check}-{says}" for _, check, _, says in BAD]
)
def test_what_is_not_well_is_named(given: dict[str, Any], check: str, status: str, says: str) -> None:
    """By the check that is about it, as bad as it is, in words that say what it is."""
    found = [one for one in examined(facts(**given)) if (one.check, one.status) == (check, status) and says in one.says]
    assert 1 == len(found), [one.says for one in bad(examined(facts(**given)))]
    assert found[0].do or status == "missing"


def test_settings_that_cannot_be_read_do_not_hide_the_rest(tmp_path: Path) -> None:
    """What is wrong with the file is told, and the folder and the machine are looked at all the same."""
    config = tmp_path / "chatsync.toml"
    config.write_text("colour = 'blue'\nport = 99999\n")
    config.chmod(0o600)
    found = examine(config, tmp_path / "data", SteadyClock())
    (settings,) = [one for one in found if one.check == "settings"]
    assert "unsafe" == settings.status
    assert "colour" in settings.says
    assert "port" in settings.says
    assert {"data_folder", "space", "versions"} <= {one.check for one in found}


def _certificate(folder: Path, *, days: int, other_key: bool = False) -> dict[str, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat.example.org")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(now - timedelta(days=90)).not_valid_after(now + timedelta(days=days))
    signed = made.sign(key, hashes.SHA256())
    kept = ec.generate_private_key(ec.SECP256R1()) if other_key else key
    paths = {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}
    paths["tls_cert"].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths["tls_key"].write_bytes(
        kept.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    paths["tls_key"].chmod(0o600)
    return paths


@pytest.mark.parametrize(
    ("made", "status", "says"),
    [
        ({"days": 60}, "ok", "a certificate that is good"),
        ({"days": 3}, "warn", "ends in"),
        ({"days": -3}, "unsafe", "past its end"),
        ({"days": 60, "other_key": True}, "unsafe", "cannot be used"),
    ],
)
def test_a_certificate_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, Any], status: str, says: str
) -> None:
    """One that is good, ends soon, is past its end, or does not fit its key."""
    monkeypatch.setenv("CHATSYNC_TOKEN_SECRET", SECRET)
    for name, path in _certificate(tmp_path, **made).items():
        monkeypatch.setenv(f"CHATSYNC_{name.upper()}", str(path))
    (found,) = [one for one in examine(None, tmp_path / "data", SteadyClock()) if one.check == "tls"]
    assert (status, True) == (found.status, says in found.says)


def looked_at(folder: Path) -> list[Finding]:
    """What is not well about a folder, but for what this machine is like."""
    about = {"data_folder", "databases", "unfinished"}
    return [one for one in bad(examine(None, folder, SteadyClock())) if one.check in about]


def test_a_real_folder_is_looked_at(tmp_path: Path) -> None:
    """A fresh one is well; modes, a damaged database, quarantine and a half restore are found; nothing in it is changed."""
    folder = tmp_path / "data"
    with open_store(folder) as store:
        said(store, draft("a"), deed("h", "hidden", target=1, wall_us=SteadyClock().wall_us()))
        assert [] == [one for one in looked_at(folder) if one.check != "unfinished"]
        store.archive.archive_now()
        assert [] == looked_at(folder)
    gc.collect()  # connections of threads that are gone
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert [] == looked_at(folder)
    assert before == {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    folder.chmod(0o755)
    (folder / "identity.db").chmod(0o644)
    (folder / "quarantine").mkdir(mode=0o700)
    (folder / "quarantine" / "one.1").write_bytes(b"rotten")
    (folder / "restoring").mkdir()
    (folder / "moderation.db").write_bytes(b"nonsense" * 1000)
    says = " ".join(one.says for one in looked_at(folder))
    for words in (
        "look into",
        "could read identity.db",
        "1 damaged files",
        "was interrupted",
        "moderation.db (file is not",
    ):
        assert words in says


def test_a_folder_in_use_is_looked_at_beside_its_relay(tmp_path: Path) -> None:
    """The command ends well, says that the folder is used, and the relay goes on."""
    with Relay(tmp_path, {"class": {"public": True}}) as relay:
        done = subprocess.run(
            [sys.executable, "-m", "chatsync", "doctor", "--config", str(tmp_path / "chatsync.toml"), "--json"],
            env={"CHATSYNC_TOKEN_SECRET": SECRET, "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        told = json.loads(done.stdout)
        assert (0, 0) == (done.returncode, told["unsafe"]), told
        (folder,) = [one for one in told["findings"] if one["check"] == "data_folder"]
        assert "uses it now" in folder["says"]
        assert 200 == relay.get("/readyz").status_code


def test_the_command_fails_when_anything_is_unsafe(tmp_path: Path) -> None:
    """Exit status 1, and each finding is a line with what to do below it."""
    done = subprocess.run(
        [sys.executable, "-m", "chatsync", "doctor", "--data", str(tmp_path / "data")],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode
    assert "unsafe  settings: There is no token secret" in done.stdout
    assert "→" in done.stdout


def test_this_machine_can_be_looked_at() -> None:
    """What is read of it are believable values."""
    found = look_at_machine()
    assert found.files_max > 0
    assert found.memory_bytes > 64 << 20
    assert found.is_clock_kept in {True, False, None}
    assert all(found.libraries.values())
