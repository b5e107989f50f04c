"""YouTube's live chat as yt-dlp writes it: of a replay, or taken while it was live.

Owns: both shapes, which actions say something and which take something away. Does not know: rooms. Units: µs. Source: formats.md.

``timestampUsec`` is absolute and trusted. The offset of a replay stands inside ``replayChatItemAction``; that of a live capture stands beside it and counts from
when the capture began, so that it says nothing. Before the stream begins a replay has offset 0, and only the text says how long before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from chatsync.chat.event import Role
from chatsync.instants import MS_US
from chatsync.transfer.documents import json_lines
from chatsync.transfer.fields import Known, clock_us, mapping, number, rest, sequence, text, us_of
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["read"]

_KINDS = {
    "liveChatTextMessageRenderer": "message",
    "liveChatPaidMessageRenderer": "paid",
    "liveChatPaidStickerRenderer": "paid",
    "liveChatMembershipItemRenderer": "system",
    "liveChatViewerEngagementMessageRenderer": "system",
    "liveChatModeChangeMessageRenderer": "system",
    "liveChatSponsorshipsGiftPurchaseAnnouncementRenderer": "system",
    "liveChatSponsorshipsGiftRedemptionAnnouncementRenderer": "system",
}
_KNOWN = (
    *(
        "id",
        "message",
        "authorName",
        "authorExternalChannelId",
        "authorBadges",
        "timestampUsec",
        "timestampText",
        "purchaseAmountText",
    ),
    *(
        "authorPhoto",
        "contextMenuEndpoint",
        "contextMenuAccessibility",
        "trackingParams",
        "beforeContentButtons",
        "sticker",
        "text",
    ),
    *("headerSubtext", "headerPrimaryText", "header", "icon", "subtext", "inlineActionButtons", "rendererContext"),
)
_TEXTS = ("message", "headerPrimaryText", "headerSubtext", "text", "subtext")
_ROLES: dict[str, Role] = {"OWNER": "host", "MODERATOR": "moderator"}
_AMOUNT = re.compile(r"(?P<currency>[^\d\s]*)\s*(?P<amount>\d[\d.,\s]*)(?P<after>[^\d\s]*)")


def read(stream: BinaryIO, known: Known) -> Iterator[Line | Removal | Left]:
    """What was said and taken away, in the order of the file.

    Raises:
        FileDamagedError: after the lines before the damage.
    """
    del known
    for told in json_lines(stream):
        replay = mapping(told.get("replayChatItemAction"))
        is_live = "videoOffsetTimeMsec" in told or "videoOffsetTimeMsec" not in replay
        position_us = None if is_live else us_of(replay["videoOffsetTimeMsec"], MS_US)
        actions = sequence(replay.get("actions")) if replay else [told]
        if not actions:
            yield Left("has no action")
        for action in actions:
            yield _of_action(mapping(action), position_us)


def _of_action(action: Mapping[str, Any], position_us: int | None) -> Line | Removal | Left:
    name = next((name for name in action if name != "clickTrackingParams"), "")
    what = mapping(action.get(name))
    if name == "addChatItemAction":
        return _of_item(mapping(what.get("item")), position_us)
    if name == "addLiveChatTickerItemAction":  # repeats what was paid, for as long as it is shown
        shown = next(iter(mapping(what.get("item")).values()), None)
        endpoint = mapping(mapping(mapping(shown).get("showItemEndpoint")).get("showLiveChatItemEndpoint"))
        return _of_item(mapping(endpoint.get("renderer")), position_us)
    if name == "replaceChatItemAction":
        return _of_item(mapping(what.get("replacementItem")), position_us)
    if name in {"removeChatItemAction", "markChatItemAsDeletedAction"} and text(what.get("targetItemId")):
        return Removal(line_id=text(what["targetItemId"]))
    if name in {"removeChatItemByAuthorAction", "markChatItemsByAuthorAsDeletedAction"} and text(
        what.get("externalChannelId")
    ):
        return Removal(author_id=text(what["externalChannelId"]))
    return Left(f"is a {name[:60]}" if name else "has no action")


def _of_item(item: Mapping[str, Any], position_us: int | None) -> Line | Left:
    name = next(iter(item), "")
    said = mapping(item.get(name))
    if name not in _KINDS:
        return Left(f"is a {name[:60]}" if name else "has no item")
    kind = _KINDS[name]
    program_us = us_of(said.get("timestampUsec"), 1)
    shown_us = clock_us(text(_runs(said.get("timestampText"))))
    if position_us == 0 and shown_us is not None and shown_us < 0:
        position_us = shown_us
    header = mapping(mapping(mapping(said.get("header")).get("liveChatSponsorshipsHeaderRenderer")))
    words = next((found for field in _TEXTS if (found := _runs(said.get(field)))), "") or _runs(
        header.get("primaryText")
    )
    details = rest(said, _KNOWN)
    amount = _runs(said.get("purchaseAmountText"))
    if amount:
        details |= _amount(amount)
    if name == "liveChatPaidStickerRenderer":
        label = mapping(mapping(mapping(said.get("sticker")).get("accessibility")).get("accessibilityData")).get(
            "label"
        )
        words = words or text(label)
    if kind == "system" and name == "liveChatMembershipItemRenderer" and _runs(said.get("headerSubtext")):
        details |= {"header": _runs(said.get("headerSubtext"))}
    role, badges = _standing(said)
    return Line(
        id=text(said.get("id")),
        kind=kind,
        program_us=program_us,
        position_us=position_us,
        author_id=text(said.get("authorExternalChannelId")) or None,
        author_name=_runs(said.get("authorName")),
        role=role,
        badges=badges,
        text=words or amount,
        details=details,
    )


def _runs(value: Any) -> str:
    """The text of runs, of a simple text, or of nothing; emoji as themselves, or by their short name."""
    holder = mapping(value)
    if "simpleText" in holder:
        return text(holder["simpleText"])
    parts = []
    for run in map(mapping, sequence(holder.get("runs"))):
        emoji = mapping(run.get("emoji"))
        if emoji:
            shortcuts = sequence(emoji.get("shortcuts"))
            own = emoji.get("isCustomEmoji") is True
            name = text(shortcuts[0]) if shortcuts else ""
            parts.append((name if own else text(emoji.get("emojiId"))) or name or text(emoji.get("emojiId")))
        else:
            parts.append(text(run.get("text")))
    return "".join(parts)


def _standing(said: Mapping[str, Any]) -> tuple[Role, tuple[str, ...]]:
    role: Role = "participant"
    badges = []
    for badge in sequence(said.get("authorBadges")):
        renderer = mapping(mapping(badge).get("liveChatAuthorBadgeRenderer"))
        icon = text(mapping(renderer.get("icon")).get("iconType"))
        if icon in _ROLES:
            role = "host" if "host" in {role, _ROLES[icon]} else _ROLES[icon]
        elif icon:
            badges.append(icon.lower())
        elif renderer.get("customThumbnail"):
            badges.append("member")
    return role, tuple(badges)


def _amount(shown: str) -> dict[str, Any]:
    """What was paid; ``$5.00``, ``1.000,00 €`` and ``¥1,000`` mean what they look like."""
    found = _AMOUNT.search(shown)
    if found is None:
        return {"amount": shown}
    digits = "".join(found["amount"].split()).rstrip(".,")
    last = max(digits.rfind("."), digits.rfind(","))
    cents = digits[last + 1 :] if last >= 0 and len(digits) - last - 1 != 3 else ""
    whole = digits[: len(digits) - len(cents)].replace(".", "").replace(",", "")
    value = number(f"{whole}.{cents}" if cents else whole)
    return (
        {"amount": shown}
        if value is None
        else {"amount": float(value), "currency": found["currency"] or found["after"]}
    )
