"""yt-dlp's live_chat files: of a replay and taken live."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsync.errors import FileDamagedError
from chatsync.transfer.line import Left, Line, Removal
from tests.transfer.files import T0_US, lines, read, read_file, sample, youtube_line


def _jsonl(*told: Any) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in told)


def _said(text: str = "hi", id_: str = "A", at_us: int = T0_US, **fields: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "message": {"runs": [{"text": text}]},
        "authorName": {"simpleText": "@maria"},
        "authorExternalChannelId": "UC2",
        "timestampUsec": str(at_us),
    } | fields


def test_a_replays_offset_stands_inside() -> None:
    """As a string, in milliseconds."""
    (line,) = lines(read(_jsonl(youtube_line(_said(), videoOffsetTimeMsec="31400"))))
    assert ("A", T0_US, 31_400_000, "UC2", "@maria", "hi") == (
        *(line.id, line.program_us, line.position_us, line.author_id),
        *(line.author_name, line.text),
    )


def test_a_live_captures_offset_says_nothing() -> None:
    """It stands outside, and counts from when the capture began."""
    live = youtube_line(_said()) | {"videoOffsetTimeMsec": "-1250", "isLive": True}
    (line,) = lines(read(_jsonl(live)))
    assert (T0_US, None) == (line.program_us, line.position_us)


def test_what_was_said_before_the_beginning_has_its_place() -> None:
    """The offset is 0 then, and the text says how long before."""
    early = youtube_line(_said(timestampText={"simpleText": "-0:05"}), videoOffsetTimeMsec="0")
    assert [-5_000_000] == [line.position_us for line in lines(read(_jsonl(early)))]


def test_emoji_are_text() -> None:
    """Those of Unicode as themselves, those of a channel by their name."""
    runs = [
        {"text": "so "},
        {"emoji": {"emojiId": "🙏", "shortcuts": [":pray:"]}},
        {"emoji": {"emojiId": "UC/x", "shortcuts": [":logo:"], "isCustomEmoji": True}},
    ]
    assert ["so 🙏:logo:"] == [line.text for line in lines(read(_jsonl(youtube_line(_said(message={"runs": runs})))))]


@pytest.mark.parametrize(
    ("shown", "amount", "currency"),
    [
        ("$5.00", 5.0, "$"),
        ("1.000,50 €", 1000.5, "€"),
        ("¥1,000", 1000.0, "¥"),
        ("CA$10.00", 10.0, "CA$"),
        ("PHP 100.00", 100.0, "PHP"),
    ],
)
def test_what_was_paid_is_a_number(shown: str, amount: float, currency: str) -> None:
    """However its country writes it."""
    paid = youtube_line(_said(purchaseAmountText={"simpleText": shown}), kind="liveChatPaidMessageRenderer")
    (line,) = lines(read(_jsonl(paid)))
    assert ("paid", amount, currency) == (line.kind, line.details["amount"], line.details["currency"])


def test_a_ticker_repeats_with_the_same_id() -> None:
    """So that it is there once."""
    renderer = {"liveChatPaidMessageRenderer": _said("great")}
    item = {
        "liveChatTickerPaidMessageItemRenderer": {
            "showItemEndpoint": {"showLiveChatItemEndpoint": {"renderer": renderer}}
        }
    }
    ticker = {
        "replayChatItemAction": {
            "actions": [{"addLiveChatTickerItemAction": {"item": item}}],
            "videoOffsetTimeMsec": "0",
        }
    }
    assert ["A", "A"] == [line.id for line in lines(read(_jsonl(youtube_line(_said()), ticker)))]


def test_deletions_are_told() -> None:
    """Of a message, and of all of an author."""
    actions = [
        {"markChatItemAsDeletedAction": {"targetItemId": "A"}},
        {"markChatItemsByAuthorAsDeletedAction": {"externalChannelId": "UC2"}},
        {"showLiveChatActionPanelAction": {}},
    ]
    told = read(_jsonl({"replayChatItemAction": {"actions": actions, "videoOffsetTimeMsec": "1"}}))
    assert [Removal(line_id="A"), Removal(author_id="UC2"), Left("is a showLiveChatActionPanelAction")] == told


def test_a_line_may_hold_several_actions() -> None:
    """Each is taken."""
    one, other = youtube_line(_said(id_="A")), youtube_line(_said(id_="B"))
    one["replayChatItemAction"]["actions"] += other["replayChatItemAction"]["actions"]
    assert ["A", "B"] == [line.id for line in lines(read(_jsonl(one)))]


def test_badges_say_who_runs_the_room() -> None:
    """Owner and moderator are roles, the rest badges."""

    def badge(**renderer: Any) -> dict[str, Any]:
        return {"liveChatAuthorBadgeRenderer": renderer}

    badges = [
        badge(customThumbnail={}),
        badge(customThumbnail={"x": 1}),
        badge(icon={"iconType": "MODERATOR"}),
        badge(icon={"iconType": "VERIFIED"}),
    ]
    (line,) = lines(read(_jsonl(youtube_line(_said(authorBadges=badges)))))
    assert ("moderator", ("member", "verified")) == (line.role, line.badges)


def test_a_line_that_is_cut_off_is_damage() -> None:
    """What comes before it was read."""
    with pytest.raises(FileDamagedError, match="in line 2"):
        read(_jsonl(youtube_line(_said()), youtube_line(_said(id_="B")))[:-30])


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [[]], {"runs": 3}, {"runs": [None]}])
def test_values_of_the_wrong_type_are_as_if_they_were_not_there(value: Any) -> None:
    """Nothing that a file holds raises."""
    fields = ("id", "message", "authorName", "timestampUsec", "authorBadges", "timestampText", "purchaseAmountText")
    for field in fields:
        assert all(isinstance(one, Line | Left) for one in read(_jsonl(youtube_line(_said(**{field: value})))))
    assert [Left("has no action")] == read(
        _jsonl({"replayChatItemAction": {"actions": value if value != [[]] else []}})
    )[:1] or value == [[]]


def test_the_shared_samples_are_read() -> None:
    """The replay has a spammer who was removed; the live capture two lines."""
    replay = read_file(sample("youtube_replay.live_chat.json"))
    assert (6, 2) == (len(lines(replay)), sum(isinstance(one, Removal) for one in replay))
    live = lines(read_file(sample("youtube_live_capture.live_chat.json")))
    assert [1_773_065_200_000_000, 1_773_065_207_500_000] == [line.program_us for line in live]
