"""What a room keeps, how long and why: the statement that a school hands to parents, made from what the relay does.

Owns: the list of what is kept. Does not know: deleting (``retention``), HTTP. Units: days; ``0`` is never written down.
Source: security-and-privacy §8; amended COPPA Rule (written retention policy); GDPR Art. 13 (2) (a).

docs/compliance.md tells the same for people; a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatsync.instants import DAY_US, ms_from_us
from chatsync.service.retention import days_of
from chatsync.service.room_settings import RetentionDays, RoomSettings
from chatsync.store.journal import DEDUPE_US, HIDDEN_TEXT_US

__all__ = ["retention_statement"]

_HIDDEN_DAYS = HIDDEN_TEXT_US // DAY_US
_ID_DAYS = DEDUPE_US // DAY_US


def retention_statement(
    room: str,
    settings: RoomSettings,
    *,
    node_days: RetentionDays,
    audit_days: RetentionDays,
    deletions: Sequence[tuple[str, int, int, dict[str, Any]]],
) -> dict[str, Any]:
    """The statement of a room as JSON values.

    Args:
        room: its id.
        settings: its own.
        node_days: how long a room keeps that does not say.
        audit_days: how long a record of the audit log is kept.
        deletions: what was deleted for its age, as ``Catalog.deletions``.
    """
    days = days_of(settings, None, node_days)
    return {
        "room": room,
        "retention_days": days,
        "names": "numbered" if settings.has_numbered_names else "as_given",
        "keeps": list(_keeps(settings, days, audit_days)),
        "never_stored": [
            "network addresses",
            "ids of your platform",
            "tokens",
            "who watched",
            "who was typing",
        ],
        "deleted": [
            {
                "broadcast": broadcast,
                "began_wall_ms": ms_from_us(wall_us),
                "done_wall_ms": None if record["done_wall_us"] is None else ms_from_us(record["done_wall_us"]),
                "messages": record["messages"],
            }
            for _, wall_us, broadcast, record in deletions
        ],
    }


def _keeps(settings: RoomSettings, days: RetentionDays, audit_days: RetentionDays) -> Sequence[dict[str, Any]]:
    hidden_days = _HIDDEN_DAYS if days == "forever" else min(_HIDDEN_DAYS, days)
    return (
        {
            "what": "messages",
            "days": days,
            "counted_from": "the last event of their broadcast",
            "where": ["chatsync.db", "slices", "archive"],
            "why": "to replay the chat beside the picture; authors by pseudonym",
        },
        {
            "what": "deeds",
            "days": days,
            "counted_from": "the last event of their broadcast",
            "where": ["chatsync.db", "archive"],
            "why": "raised hands, votes, pins and what staff decided, to show the room as it was; the archive has votes without their author",
        },
        {
            "what": "names",
            "days": days,
            "counted_from": "the last event of the person",
            "where": ["identity.db", "slices"],
            "why": _why_names(settings),
        },
        {
            "what": "restrictions",
            "days": None,
            "counted_from": "until they end or are taken back",
            "where": ["chatsync.db"],
            "why": "mutes and bans, by pseudonym, so that they outlive a broadcast and a restart",
        },
        {
            "what": "hidden_words",
            "days": hidden_days,
            "counted_from": "the hide",
            "where": ["moderation.db"],
            "why": "so that staff can restore what was hidden by mistake",
        },
        {
            "what": "message_ids",
            "days": _ID_DAYS,
            "counted_from": "their receipt",
            "where": ["chatsync.db"],
            "why": "so that a message that is sent twice is said once",
        },
        {
            "what": "stream_record",
            "days": days,
            "counted_from": "the last event of the broadcast",
            "where": ["chatsync.db", "archive"],
            "why": "segments, reloads and how many were there in each minute; nobody is named",
        },
        {
            "what": "audit_log",
            "days": audit_days,
            "counted_from": "the deed",
            "where": ["chatsync.db"],
            "why": "so that deeds of staff can be checked; pseudonyms and codes, no names, no words",
        },
        {
            "what": "receipts",
            "days": "forever",
            "counted_from": "the erasure or deletion",
            "where": ["chatsync.db"],
            "why": "pseudonym and counts of who was erased, and which broadcasts were deleted, so that a restored backup can be put right",
        },
    )


def _why_names(settings: RoomSettings) -> str:
    if not settings.has_numbered_names:
        return "to show who said something, as the platform calls them"
    if settings.names_known_to_hosts:
        return "people are shown as numbers; their names are kept for hosts alone"
    return "people are shown as numbers; their names are not kept, but for those of hosts and moderators"
