"""``chatsync inspect``: loads what is to be looked at, and prints the report.

Owns: reading files, following an address for a while, words and columns for people. Does not know: what the figures mean
(``hls.inspection``). Units: µs of steady wall time. Source: RFC 8216 §6.3.4.

Whoever sits at a command line may look at hosts of their own network: unlike in the relay, private and loopback addresses are let in.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chatsync.errors import OriginError, PlaylistSyntaxError, SettingsError
from chatsync.hls.follower import Follower
from chatsync.hls.inspection import Inspection
from chatsync.hls.playlist import MediaPlaylist, parse_playlist
from chatsync.instants import MS_US, SECOND_US, iso_from_us
from chatsync.service.clock import SteadyClock
from chatsync.service.fetching import PlaylistFetcher
from chatsync.service.settings import Settings

__all__ = ["follow_url", "inspect_files", "is_url", "lines_of"]

FILE_BYTES_MAX = 64 * 1024 * 1024

Progress = Callable[[str], None]


def is_url(target: str) -> bool:
    """Whether something is to be followed rather than read."""
    return target.lower().startswith(("http://", "https://"))


def inspect_files(names: Sequence[str]) -> Inspection:
    """Read files in the order given, several as successive answers of one address; ``-`` is standard input.

    Raises:
        SettingsError: a file cannot be read, or is no playlist; the message says which and why.
    """
    inspection = Inspection()
    for name in names:
        try:
            inspection.receive_text(_text_of(name))
        except PlaylistSyntaxError as error:
            raise SettingsError(f"{name} is no HLS playlist: {error.reason}.") from error
    return inspection


def _text_of(name: str) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {error.strerror or type(error).__name__}.") from error
    if len(data) > FILE_BYTES_MAX:
        raise SettingsError(f"{name} is larger than {FILE_BYTES_MAX // 2**20} MiB.")
    return data.decode("utf-8", "replace")


async def follow_url(
    url: str, inspection: Inspection, *, seconds: float, headers: Mapping[str, str], progress: Progress
) -> None:
    """Follow an address for a while; what comes goes into ``inspection``, so that it is there also if this is cancelled.

    Args:
        url: of a media or multivariant playlist.
        inspection: empty.
        seconds: how long.
        headers: sent to the origin of ``url`` only, and never printed.
        progress: told a line now and then.

    Raises:
        SettingsError: nothing was ever loaded that is a playlist; the message says why.
    """
    clock = SteadyClock()
    fetcher = PlaylistFetcher(_settings_for(url))
    follower = Follower(url, now_us=clock.wall_us())
    end_us = clock.wall_us() + round(seconds * SECOND_US)
    trouble = "nothing came"
    try:
        while (wake_us := follower.wake_at_us()) is not None and wake_us < end_us:
            await asyncio.sleep(max(0, wake_us - clock.wall_us()) / SECOND_US)
            began_us = clock.wall_us()
            try:
                loaded = await fetcher.load(
                    follower.next_request(now_us=began_us), headers=headers, held_us=follower.held_us
                )
            except OriginError as error:
                trouble = str(error)
                progress(trouble)
                follower.receive_failure(error.code, now_us=clock.wall_us())
                continue
            now_us = clock.wall_us()
            playlist = _parsed(loaded.text, loaded.url)
            if playlist is None:
                inspection.receive_text(loaded.text, url=loaded.url)
            reload = follower.receive_playlist(loaded.text, url=loaded.url, age_us=loaded.age_us, now_us=now_us)
            if playlist is not None:
                inspection.note(
                    playlist, reload, follower.timeline, wall_us=now_us, age_us=loaded.age_us, began_us=began_us
                )
                progress(
                    f"{(now_us - end_us) / SECOND_US + seconds:5.1f} s  {reload.kind}, {len(reload.new_segments)} new"
                )
            if follower.timeline.ended:
                return
    finally:
        await fetcher.aclose()
    if inspection.playlist is None and inspection.multivariant is None:
        raise SettingsError(f"{_without_query(url)} gave no playlist: {trouble}")


def _settings_for(url: str) -> Settings:
    """Settings with which the guard lets us go where the person at the command line sends us, and nowhere else inside."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return Settings(private_origins=(place,), loopback_origins=(place,), origin_ports=(port,))
    except ValueError as error:
        raise SettingsError(f"{_without_query(url)} is no address that can be followed.") from error


def _parsed(text: str, url: str) -> MediaPlaylist | None:
    playlist = parse_playlist(text, url=url)
    return playlist if isinstance(playlist, MediaPlaylist) else None


def _without_query(url: str) -> str:
    return url.partition("?")[0]


# --- for people ------------------------------------------------------------------------------------------------------------


def lines_of(report: dict[str, Any], name: str) -> list[str]:
    """The report in words: the verdict first."""
    lines = [_without_query(name), "", report["verdict"]["text"], ""]
    lines += [f"  {label:<22}{value}" for label, value in _rows(report) if value]
    if report["warnings"]:
        lines += ["", f"Oddities ({len(report['warnings'])}):"]
        lines += [
            f"  {'line ' + str(one['line']) if one['line'] else 'playlist':<10}{one['tag']} {one['reason']}"
            for one in report["warnings"]
        ]
    return lines


def _rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    sources = {name: count for name, count in report["program_time"].items() if count}
    kinds: dict[str, int] = {}
    for reload in report["reloads"]:
        kinds[reload["kind"]] = kinds.get(reload["kind"], 0) + 1
    edge_us = report["live_edge_program_us"]
    return [
        ("variant followed", (report.get("multivariant") or {}).get("followed") or ""),
        ("answers", _counted(kinds)),
        ("segments", f"{len(report['segments'])}{', ended' if report['ended'] else ''}"),
        ("program time", _counted(sources)),
        ("live edge", "" if edge_us is None else iso_from_us(edge_us)),
        ("edge behind the clock", _seconds(report["edge_latency_us"])),
        ("runs", "; ".join(_run(one) for one in report["runs"])),
        ("regions", str(len(report["regions"]))),
        ("gaps", "; ".join(_gap(one) for one in report["gaps"])),
        ("drift", "" if report["drift_ms_per_hour"] is None else f"{report['drift_ms_per_hour']:g} ms per hour"),
        ("dates against EXTINF", f"up to {report['rounding_us'] / MS_US:g} ms" if report["segments"] else ""),
        ("target duration", _target(report) if report["segments"] else ""),
        ("hold-back", _seconds(report["hold_back_us"])),
        ("reload jitter", "" if report["reload_jitter_us"] is None else f"{report['reload_jitter_us'] // MS_US} ms"),
        ("low latency", _low_latency(report["low_latency"])),
    ]


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _seconds(duration_us: int | None) -> str:
    return "" if duration_us is None else f"{duration_us / SECOND_US:.3f} s"


def _run(run: dict[str, Any]) -> str:
    ranges = ", ".join(f"{first}-{last}" for first, last in run["media_sequences"])
    return f"{run['run']} ({run['reason']}): {ranges or 'no segment yet'}"


def _gap(gap: dict[str, int]) -> str:
    return f"{_seconds(gap['end_us'] - gap['start_us'])} from {iso_from_us(gap['start_us'])}"


def _target(report: dict[str, Any]) -> str:
    kept = {True: "kept", False: "not kept", None: "not said"}[report["target_duration_kept"]]
    return f"{_seconds(report['target_duration_us'])}, {kept}; the longest segment {_seconds(report['longest_duration_us'])}"


def _low_latency(features: dict[str, Any]) -> str:
    words = []
    if features.get("part_target_us"):
        words.append(f"parts of {_seconds(features['part_target_us'])}")
    if features.get("can_block_reload"):
        words.append("blocking reload")
    if features.get("can_skip_until_us"):
        words.append(f"delta updates beyond {_seconds(features['can_skip_until_us'])}")
    words += [
        f"{features[name]} {name.replace('_', ' ')}"
        for name in ("preload_hints", "rendition_reports")
        if features.get(name)
    ]
    return ", ".join(words)
