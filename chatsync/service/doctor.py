"""``chatsync doctor``: what is unsafe or missing, each with what to do about it.

Owns: what is good and what is bad, as one table of checks. Does not know: how facts are read (``store.condition``, ``service.machine``),
the command line. Nothing is changed, and a relay may be at work. Source: security-and-privacy; reliability.

``unsafe`` is what loses messages or shows them to the wrong people; ``warn`` what may, or what costs; ``missing`` what is not there and
need not be. A check that finds nothing wrong says so in one line.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography import x509

from chatsync.errors import SettingsError
from chatsync.instants import DAY_US, HOUR_US, SECOND_US
from chatsync.service.clock import Clock
from chatsync.service.machine import Machine, look_at_machine
from chatsync.service.settings import Settings, is_loopback, load_settings, unsafe_reasons
from chatsync.service.source_findings import source_findings
from chatsync.store.catalog import SCHEMA_VERSION
from chatsync.store.condition import Condition, look_at

__all__ = ["CHECKS", "Facts", "Finding", "Status", "examine", "examined"]

Status = Literal["ok", "warn", "unsafe", "missing"]

_SPARE_FILES = 200  # descriptors besides the sockets: databases, slices, logs, playlists
_SOCKET_BYTES = 25 * 1024
_FREE_BYTES_UNSAFE, _FREE_BYTES_FEW = 256 << 20, 2 << 30
_FREE_PERCENT_FEW = 5
_SYNC_US_SUSPICIOUS, _SYNC_US_SLOW = 15, 30_000  # a disk needs more than the one; past the other each ack waits so long
_LOG_BYTES_LONG = 512 << 20
_HIDDEN_US = 31 * DAY_US  # a day more than hidden words are kept
_PLAUSIBLE_US = 1_735_689_600 * SECOND_US  # 2025-01-01: before it a clock was never set
_CERTIFICATE_US = 14 * DAY_US
_PREFIX_MIN = {4: 16, 6: 48}
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "fuse.sshfs"})
_GONE = frozenset({"tmpfs", "ramfs"})
_UNSAFE_OPTIONS = frozenset({"nobarrier", "barrier=0"})
_SQLITE_MIN = (3, 37, 0)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    check: str
    status: Status
    says: str
    do: str = ""  # what to do next; empty if nothing is


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is looked at."""

    settings: Settings | None  # None: they cannot be read
    settings_error: str = ""
    config: Path | None = None
    config_mode: int | None = None
    folder: Path
    condition: Condition
    machine: Machine
    wall_us: int
    certificate_error: str = ""
    certificate_ends_us: int | None = None


def examine(config: Path | None, data: Path | None, clock: Clock) -> list[Finding]:
    """Look at settings, data folder and machine; every finding, in the order of :data:`CHECKS`.

    Args:
        config: settings file, as for ``serve``.
        data: data folder, as for ``serve``.
        clock: to compare times with, and to measure the disk by.
    """
    settings, error = None, ""
    named = os.environ.get("CHATSYNC_CONFIG")
    config = config or (Path(named) if named else None)
    try:
        settings = load_settings(config, data_folder=data)
    except SettingsError as refused:
        error = str(refused)
    folder = data or (Path("data") if settings is None else settings.data_folder)
    certificate = {} if settings is None else _certificate(settings)
    facts = Facts(
        settings=settings,
        settings_error=error,
        config=config,
        config_mode=config.stat().st_mode & 0o777 if config is not None and config.is_file() else None,
        folder=folder,
        condition=look_at(folder, now_us=clock.monotonic_us),
        machine=look_at_machine(),
        wall_us=clock.system_wall_us(),
        **certificate,
    )
    return examined(facts)


def examined(facts: Facts) -> list[Finding]:
    """What all checks find in these facts."""
    return [finding for name, check in CHECKS for finding in _found(name, check, facts)]


Told = tuple[Status, str, str]


def _found(name: str, check: Callable[[Facts], Iterator[Told]], facts: Facts) -> list[Finding]:
    return [Finding(check=name, status=status, says=says, do=do) for status, says, do in check(facts)]


# --- settings ------------------------------------------------------------------------------------------------------


def _settings(facts: Facts) -> Iterator[Told]:
    if facts.settings is None:
        yield (
            "unsafe",
            f"The settings cannot be read: {facts.settings_error}.",
            "Correct them; docs/settings.md lists all.",
        )
        return
    reasons = unsafe_reasons(facts.settings)
    for reason in reasons:
        yield "unsafe", f"{reason[0].upper()}{reason[1:]}.", "Change it; the relay does not start like this."
    if not reasons:
        yield "ok", "The settings are complete, and the relay would start with them.", ""


def _settings_file(facts: Facts) -> Iterator[Told]:
    if facts.config_mode is not None and facts.config_mode & 0o022:
        yield "unsafe", f"Others can write the settings file {facts.config}.", f"chmod go-w {facts.config}"
    elif facts.config_mode is not None:
        yield "ok", "Only its owner can write the settings file.", ""


def _reached(facts: Facts) -> Iterator[Told]:
    settings = facts.settings
    if settings is None:
        return
    if settings.tls_cert is not None:
        yield from _served_with_tls(facts)
    elif settings.behind_proxy:
        yield "ok", "A proxy in front speaks TLS; the relay itself listens without.", ""
        if not is_loopback(settings.host):
            yield (
                "warn",
                f"The relay listens at {settings.host} without TLS: who reaches that address goes round the proxy.",
                "Listen on 127.0.0.1, or let a firewall keep all but the proxy away from the port.",
            )
    else:
        yield "ok", "Only this machine reaches the relay.", ""


def _served_with_tls(facts: Facts) -> Iterator[Told]:
    if facts.certificate_error:
        yield (
            "unsafe",
            f"The certificate cannot be used: {facts.certificate_error}.",
            "Give a chain and its key, both PEM.",
        )
    elif facts.certificate_ends_us is not None and facts.certificate_ends_us < facts.wall_us:
        yield "unsafe", "The certificate is past its end: browsers refuse it.", "Renew it and restart the relay."
    elif facts.certificate_ends_us is not None and facts.certificate_ends_us < facts.wall_us + _CERTIFICATE_US:
        days = (facts.certificate_ends_us - facts.wall_us) // DAY_US
        yield "warn", f"The certificate ends in {days} days.", "Renew it and restart the relay."
    else:
        yield "ok", "The relay speaks TLS with a certificate that is good.", ""


def _proxies(facts: Facts) -> Iterator[Told]:
    settings = facts.settings
    if settings is None or not settings.behind_proxy:
        return
    if not settings.trusted_proxies:
        yield (
            "warn",
            "No proxy is named, so only one at 127.0.0.1 is believed; behind another, all guests are one address and share its limits.",
            "Name the proxy in trusted_proxies.",
        )
    wide = [one for one in settings.trusted_proxies if _is_wide(one)]
    if wide:
        yield (
            "warn",
            f"X-Forwarded-For is believed from a whole network ({', '.join(wide)}): anybody in it can pretend to be anybody.",
            "Name the addresses of the proxies alone in trusted_proxies.",
        )
    if settings.trusted_proxies and not wide:
        yield "ok", "The proxies that are believed are named.", ""


def _is_wide(network: str) -> bool:
    found = ipaddress.ip_network(network, strict=False)
    return found.prefixlen < _PREFIX_MIN[found.version]


def _origin_hosts(facts: Facts) -> Iterator[Told]:
    settings = facts.settings
    if settings is None:
        return
    if settings.origin_hosts:
        yield "ok", f"Playlists come from {len(settings.origin_hosts)} named hosts.", ""
    else:
        yield (
            "warn",
            "Playlists may come from any public host: who may make rooms can let the relay load any public address.",
            "Name your origins in origin_hosts.",
        )
    plain = sorted(
        room for room, one in settings.rooms.items() if one.playlist_url and one.playlist_url.startswith("http://")
    )
    local = {*settings.private_origins, *settings.loopback_origins}
    plain = [room for room in plain if not any(one in (settings.rooms[room].playlist_url or "") for one in local)]
    if plain:
        yield (
            "warn",
            f"Playlists of {_listed(plain)} come without TLS: who is on the way can move their chat in time.",
            "Use https:// in playlist_url.",
        )
    headers = [
        room
        for room, one in settings.rooms.items()
        if one.request_headers_file and (one.playlist_url or "").startswith("http://")
    ]
    if headers:
        yield (
            "unsafe",
            f"Secret request headers of {_listed(headers)} travel without TLS.",
            "Use https:// in playlist_url.",
        )


def _web_origins(facts: Facts) -> Iterator[Told]:
    if facts.settings is None or not facts.settings.rooms:
        return
    plain = [
        room
        for room, one in facts.settings.rooms.items()
        if any(origin.startswith("http://") and not _is_local_page(origin) for origin in one.origins)
    ]
    if plain:
        yield (
            "warn",
            f"Pages without TLS may use {_listed(plain)}: who is on the way can read the tokens of those who watch.",
            "Name https:// origins only.",
        )
    else:
        yield "ok", "Every page that may use a room is served with TLS.", ""


def _is_local_page(origin: str) -> bool:
    return is_loopback(origin.removeprefix("http://").rpartition(":")[0] or origin.removeprefix("http://"))


def _metrics(facts: Facts) -> Iterator[Told]:
    settings = facts.settings
    if settings is None:
        return
    says = "/metrics answers this machine only, and no request with X-Forwarded-For."
    yield "ok", says, "See that the proxy sets X-Forwarded-For." if settings.behind_proxy else ""


# --- the data folder -----------------------------------------------------------------------------------------------


def _folder(facts: Facts) -> Iterator[Told]:
    found, folder = facts.condition, facts.folder
    if not found.is_folder:
        yield "unsafe", f"{folder} is not a folder.", "Name another data_folder."
        return
    if not found.is_writable:
        yield "unsafe", f"{folder} cannot be written by this user.", f"Run this as the relay's user, or chown {folder}."
    if not found.is_there:
        yield "missing", f"There is no {folder} yet; the relay makes it at its first start.", ""
        return
    if found.owner != facts.machine.user:
        yield (
            "warn",
            f"{folder} belongs to user {found.owner}, and this is user {facts.machine.user}.",
            "Run this as the relay's user; if that is this one, chown the folder.",
        )
    if found.mode & 0o026:
        yield "unsafe", f"Others can look into {folder} or write there.", f"chmod 0700 {folder} (0710 for a web server)"
    if found.exposed:
        yield (
            "unsafe",
            f"Others could read {_listed(found.exposed)}.",
            f"chmod -R go= {folder}, then start the relay, which opens slices/public again.",
        )
    if found.is_half_restored:
        yield "unsafe", "A restore into it was interrupted: part of it may be missing.", "Run chatsync restore again."
    elif found.mode & 0o026 == 0 and not found.exposed:
        used = {
            True: "a relay or a command uses it now",
            False: "nothing uses it now",
            None: "unknown whether it is used",
        }
        yield "ok", f"{folder} is its owner's alone; {used[found.is_used]}.", ""


def _space(facts: Facts) -> Iterator[Told]:
    found = facts.condition
    free = f"{found.free_bytes >> 20:,} MiB are free on the disk of the data folder"
    if found.free_bytes < _FREE_BYTES_UNSAFE:
        yield "unsafe", f"{free}: soon nothing can be said any more.", "Make space now."
    elif found.free_bytes < _FREE_BYTES_FEW or found.free_bytes * 100 < found.size_bytes * _FREE_PERCENT_FEW:
        yield "warn", f"{free}.", "Make space before it is used up; backups belong on another disk."
    else:
        yield "ok", f"{free}.", ""
    if found.files_max and found.free_files * 100 < found.files_max:
        yield "warn", "The file system has hardly any inodes left: each slice is a file.", "Make space for files."


def _file_system(facts: Facts) -> Iterator[Told]:
    found = facts.condition
    if found.file_system is None:
        yield (
            "warn",
            "The system does not tell which file system the data folder is on.",
            "See that it is a local disk.",
        )
    elif found.file_system in _NETWORK:
        yield (
            "unsafe",
            f"The data folder is on a network file system ({found.file_system}): SQLite's log cannot live there.",
            "Move it to a local disk.",
        )
    elif found.file_system in _GONE:
        yield "unsafe", f"The data folder is in memory ({found.file_system}): a restart loses it.", "Move it to a disk."
    elif found.file_system == "overlay":
        yield "warn", "The data folder is in a container's own layer, and goes with it.", "Mount a volume for it."
    elif unsafe := sorted(_UNSAFE_OPTIONS & {*found.mount_options}):
        yield (
            "unsafe",
            f"The disk is mounted with {unsafe[0]}: a power cut loses what was acknowledged.",
            "Remount without.",
        )
    elif "ro" in found.mount_options:
        yield "unsafe", "The disk is mounted read-only.", "Look into the kernel's log for why, then remount."
    else:
        yield "ok", f"The data folder is on {found.file_system}.", ""


def _sync(facts: Facts) -> Iterator[Told]:
    took_us = facts.condition.sync_us
    if took_us is None:
        yield (
            "warn",
            "How long the disk takes to make something durable could not be measured.",
            "Run this as its owner.",
        )
    elif took_us < _SYNC_US_SUSPICIOUS:
        yield (
            "warn",
            f"The disk says after {took_us} µs that something is durable: no disk is that quick.",
            "See that neither the file system nor a virtual machine ignores fsync.",
        )
    elif took_us > _SYNC_US_SLOW:
        yield (
            "warn",
            f"The disk takes {took_us / 1000:.0f} ms to make something durable: each ack waits.",
            "Use an SSD.",
        )
    else:
        yield "ok", f"The disk makes something durable in {took_us / 1000:.1f} ms.", ""


def _databases(facts: Facts) -> Iterator[Told]:
    found = facts.condition
    for one in found.trouble:
        yield "unsafe", f"A database cannot be read: {one}.", "Run chatsync verify; restore a backup if it is damaged."
    if not found.databases:
        return
    lost = sorted({"chatsync.db", "identity.db", "moderation.db"} - {*found.databases})
    if lost:
        yield "unsafe", f"{_listed(lost)} is not there.", "Restore a backup: a fresh one would hide what is lost."
    if found.damaged_heads:
        yield "unsafe", "heads is damaged or missing: a lost end of the journal would not show.", "Run chatsync verify."
    if found.schema_version is not None and found.schema_version > SCHEMA_VERSION:
        yield (
            "unsafe",
            f"The data folder has schema {found.schema_version}, and this chatsync knows {SCHEMA_VERSION}.",
            "Run the newer chatsync.",
        )
    elif found.schema_version is not None and found.schema_version < SCHEMA_VERSION:
        yield (
            "warn",
            f"The data folder has schema {found.schema_version}; the next start brings it to {SCHEMA_VERSION}, for good.",
            "Run chatsync backup first.",
        )
    if found.journal_mode not in {None, "wal"}:
        yield (
            "unsafe",
            f"chatsync.db is not in WAL mode but {found.journal_mode}.",
            "Do not open it with other programs.",
        )
    if found.log_bytes > _LOG_BYTES_LONG:
        yield (
            "warn",
            f"The write-ahead log has {found.log_bytes >> 20:,} MiB: something has been reading chatsync.db for long.",
            "Look for a program that has it open, such as a backup that hangs.",
        )
    if not (found.trouble or lost or found.damaged_heads) and found.schema_version == SCHEMA_VERSION:
        yield "ok", f"All databases are there and of schema {SCHEMA_VERSION}.", ""


def _unfinished(facts: Facts) -> Iterator[Told]:
    found = facts.condition
    if not found.databases:
        return
    if found.unfinished_erasures:
        late = min(found.unfinished_erasures) < facts.wall_us - HOUR_US
        yield (
            "unsafe" if late else "warn",
            f"{len(found.unfinished_erasures)} erasures are not complete.",
            "The relay goes on with them every 10 minutes; if it does not, its log says why.",
        )
    if found.oldest_hidden_us is not None and found.oldest_hidden_us < facts.wall_us - _HIDDEN_US:
        yield (
            "unsafe",
            "Words of hidden messages are kept for longer than 30 days: nothing has run to remove them.",
            "Start the relay, or delete the folder if it is not needed any more.",
        )
    if found.oldest_dirty_us is not None and found.oldest_dirty_us < facts.wall_us - HOUR_US:
        hours = (facts.wall_us - found.oldest_dirty_us) // HOUR_US
        yield (
            "warn",
            f"The archive is {hours} hours behind the journal.",
            "With the relay stopped run chatsync archive --now; while it runs, its log says why (archive_failed).",
        )
    if found.quarantined:
        yield (
            "warn",
            f"{found.quarantined} damaged files lie in quarantine/.",
            "Read the notes beside them, run chatsync verify, then delete them: they hold what people wrote.",
        )
    if not (found.unfinished_erasures or found.quarantined):
        yield "ok", "No erasure is open and nothing lies in quarantine.", ""


# --- the machine ---------------------------------------------------------------------------------------------------


def _user(facts: Facts) -> Iterator[Told]:
    if facts.machine.user == 0:
        yield "warn", "This is root, and the relay needs no root.", "Run it as a user of its own."
    else:
        yield "ok", "The relay is no root.", ""
    if facts.machine.umask is not None and facts.machine.umask & 0o002 == 0:
        yield (
            "warn",
            f"The umask {facts.machine.umask:03o} lets others write new files; the relay sets its own modes.",
            "umask 077",
        )


def _descriptors(facts: Facts) -> Iterator[Told]:
    if facts.settings is None:
        return
    wanted = facts.settings.limits.sockets_max + _SPARE_FILES
    if facts.machine.files_max < wanted:
        yield (
            "unsafe",
            f"This process may open {facts.machine.files_max:,} files, and limits.sockets_max needs {wanted:,}: "
            "beyond that not even the journal can be opened.",
            f"Set LimitNOFILE={wanted} (systemd) or ulimit -n {wanted}, or lower limits.sockets_max.",
        )
    else:
        yield "ok", f"{facts.machine.files_max:,} files may be open; {wanted:,} are needed.", ""


def _kernel(facts: Facts) -> Iterator[Told]:
    machine = facts.machine
    if machine.somaxconn is not None and machine.somaxconn < 1024:
        yield (
            "warn",
            f"net.core.somaxconn is {machine.somaxconn}: when everyone comes back at once, connections are dropped.",
            "sysctl -w net.core.somaxconn=4096",
        )
    elif machine.somaxconn is not None:
        yield "ok", f"{machine.somaxconn:,} connections may wait to be taken.", ""
    sockets = 0 if facts.settings is None else facts.settings.limits.sockets_max
    if machine.tcp_bytes_max is not None and machine.tcp_bytes_max < sockets * 16 * 1024:
        yield (
            "warn",
            f"net.ipv4.tcp_mem allows {machine.tcp_bytes_max >> 20:,} MiB for all sockets: too little for limits.sockets_max.",
            "Raise net.ipv4.tcp_mem, or lower limits.sockets_max.",
        )
    if machine.memory_bytes < sockets * _SOCKET_BYTES * 2:
        yield (
            "warn",
            f"limits.sockets_max is {sockets:,}, and the machine has {machine.memory_bytes >> 20:,} MiB of memory.",
            "Lower limits.sockets_max.",
        )


def _clock(facts: Facts) -> Iterator[Told]:
    if facts.wall_us < _PLAUSIBLE_US:
        yield "unsafe", "The clock says a time before 2025: tokens and stamps are wrong.", "Set the clock; run NTP."
    elif facts.machine.is_clock_kept is None:
        yield "missing", "The system does not tell whether anything keeps its clock right.", "See that NTP runs."
    elif not facts.machine.is_clock_kept:
        yield (
            "warn",
            "Nothing keeps the clock right, as far as the kernel knows: wall times and tokens drift.",
            "Run NTP (systemd-timesyncd or chrony); in a container the host's may do without the kernel knowing.",
        )
    else:
        yield "ok", "The clock is kept right.", ""


def _versions(facts: Facts) -> Iterator[Told]:
    machine = facts.machine
    if machine.sqlite < _SQLITE_MIN:
        yield "unsafe", f"SQLite {_dotted(machine.sqlite)} is too old.", f"Use {_dotted(_SQLITE_MIN)} or newer."
    if machine.sqlite_threads < 3:
        yield "unsafe", "This Python's SQLite must not be used by several threads.", "Use another build of Python."
    lost = sorted(name for name, version in machine.libraries.items() if version is None)
    if lost:
        yield "unsafe", f"{_listed(lost)} is not installed.", "Install chatsync-hls again."
    else:
        shown = ", ".join(f"{name} {version}" for name, version in sorted(machine.libraries.items()))
        yield "ok", f"Python {_dotted(machine.python)}, SQLite {_dotted(machine.sqlite)}, {shown}.", ""


def _extras(facts: Facts) -> Iterator[Told]:
    if not facts.machine.has_player:
        yield (
            "missing",
            "The player is not built, so that /player answers nothing.",
            "Build it (make setup), or install from the wheel.",
        )
    if not facts.machine.has_ffmpeg:
        yield (
            "missing",
            "There is no ffmpeg; only chatsync demo needs it.",
            "pip install 'chatsync-hls[demo]' for the demo.",
        )


CHECKS: tuple[tuple[str, Callable[[Facts], Iterator[Told]]], ...] = (
    ("settings", _settings),
    ("settings_file", _settings_file),
    ("tls", _reached),
    ("trusted_proxies", _proxies),
    ("origin_hosts", _origin_hosts),
    ("web_origins", _web_origins),
    ("sources", lambda facts: source_findings(facts.settings)),
    ("metrics", _metrics),
    ("data_folder", _folder),
    ("space", _space),
    ("file_system", _file_system),
    ("fsync", _sync),
    ("databases", _databases),
    ("unfinished", _unfinished),
    ("user", _user),
    ("descriptors", _descriptors),
    ("kernel", _kernel),
    ("clock", _clock),
    ("versions", _versions),
    ("extras", _extras),
)
"""Every check, in the order in which it is told."""


def _certificate(settings: Settings) -> dict[str, Any]:
    """Whether certificate and key fit each other, and when the certificate ends."""
    if settings.tls_cert is None or settings.tls_key is None:
        return {}
    if not settings.tls_cert.is_file() or not settings.tls_key.is_file():
        return {}  # the settings' own check says so
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.tls_cert, settings.tls_key, password=lambda: ""
        )
        (first, *_) = x509.load_pem_x509_certificates(settings.tls_cert.read_bytes())
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or type(error).__name__
        return {"certificate_error": str(reason).replace("_", " ").lower()}
    return {"certificate_ends_us": round(first.not_valid_after_utc.timestamp()) * SECOND_US}


def _listed(names: Any) -> str:
    shown = list(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
