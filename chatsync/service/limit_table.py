"""The table of limits: what one client, one request, one playlist or one room may cost.

Owns: every limit with its unit, default, bounds and a sentence; docs/settings.md prints it. Does not know: who enforces them.
Source: security-and-privacy, "Limits".
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MIB", "Limits", "SettingModel", "setting"]

MIB = 1024 * 1024


def setting(default: Any, sentence: str, *, unit: str = "", ge: int | None = None, le: int | None = None) -> Any:
    """A setting with its default, the sentence docs/settings.md prints, its unit and its bounds."""
    return Field(default=default, description=sentence, ge=ge, le=le, json_schema_extra={"unit": unit})


class SettingModel(BaseModel):
    """Frozen, strict about names, and silent about the values it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Limits(SettingModel):
    """What one client, one request or one playlist may cost."""

    frame_bytes_max: int = setting(
        16 * 1024, "A frame of the live socket; a longer one closes it.", unit="bytes", ge=1024, le=MIB
    )
    commands_per_s: int = setting(
        10,
        "Frames and posted actions of one person, on average; a platform that feeds messages is trusted.",
        unit="a second",
        ge=1,
        le=10_000,
    )
    commands_burst: int = setting(20, "As many of them may come at once.", unit="commands", ge=1, le=100_000)
    sockets_max: int = setting(
        10_000,
        "Open live connections; beyond it the answer is 503 and players poll.",
        unit="sockets",
        ge=1,
        le=1_000_000,
    )
    send_queue_bytes_max: int = setting(
        128 * 1024,
        "What may wait for one slow reader before it is closed with 4008.",
        unit="bytes",
        ge=16 * 1024,
        le=64 * MIB,
    )
    write_stall_s: int = setting(
        10, "How long a reader may take nothing before it is closed with 4008.", unit="s", ge=1, le=120
    )
    connections_per_person_max: int = setting(
        5, "Open live connections of one person in one room.", unit="sockets", ge=1, le=1_000
    )
    ping_s: int = setting(25, "How often a silent socket is pinged.", unit="s", ge=1, le=300)
    pong_s_max: int = setting(10, "How long a ping may stay unanswered.", unit="s", ge=1, le=300)
    slice_age_s: int = setting(
        60, "How long a player may keep a slice of a public room without asking again.", unit="s", ge=0, le=60
    )
    body_bytes_max: int = setting(64 * 1024, "The body of an HTTP request.", unit="bytes", ge=1024, le=16 * MIB)
    ndjson_bytes_max: int = setting(
        8 * MIB, "The body of a request with many messages, one a line.", unit="bytes", ge=1024, le=256 * MIB
    )
    playlist_bytes_max: int = setting(
        16 * MIB,
        "A playlist, decompressed; 100,000 segments take about 8 MiB.",
        unit="bytes",
        ge=16 * 1024,
        le=256 * MIB,
    )
    playlist_ms_max: int = setting(5_000, "Loading a playlist, redirects included.", unit="ms", ge=100, le=60_000)
    playlist_redirects_max: int = setting(
        3, "Redirects followed while loading a playlist.", unit="redirects", ge=0, le=10
    )
