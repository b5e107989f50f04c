"""chatsync.chat.event: what a room's log holds, and who may see which kind."""

from __future__ import annotations

import msgspec
import pytest

from chatsync.chat.event import KINDS, MESSAGE_KINDS, STATE_KINDS, Author, Event, Position, Visibility, visibility_of
from tests.builders import BASE_US, draft, event, stamp


@pytest.mark.parametrize(
    "kind",
    [
        "held",
        "hidden",
        "restored",
        "erased",
        "muted",
        "unmuted",
        "banned",
        "unbanned",
        "noted",
        "reported",
        "restamped",
    ],
)
def test_what_staff_does_is_for_staff(kind: str) -> None:
    """Deeds of moderation, and what is held, are seen by hosts and moderators only (contract §2)."""
    assert Visibility.STAFF is visibility_of(kind)


@pytest.mark.parametrize("kind", ["question_upvoted", "poll_voted"])
def test_votes_are_counted_and_never_shown_singly(kind: str) -> None:
    """Who voted for what is nobody's business."""
    assert Visibility.TALLY is visibility_of(kind)


@pytest.mark.parametrize("kind", ["", "message ", "MESSAGE", "whisper", "message\x00"])
def test_an_unknown_kind_is_for_staff(kind: str) -> None:
    """Nothing leaks by being new."""
    assert Visibility.STAFF is visibility_of(kind)


def test_utterances_and_what_changes_the_state_are_known_kinds() -> None:
    """Both lists name kinds of the table; utterances are for everyone."""
    assert set(KINDS) >= MESSAGE_KINDS | STATE_KINDS
    assert {Visibility.PUBLIC} == {visibility_of(kind) for kind in MESSAGE_KINDS}
    assert not {kind for kind in STATE_KINDS if visibility_of(kind) is Visibility.STAFF}


def test_positions_are_ordered_by_epoch_then_offset() -> None:
    """A later epoch is later whatever the offset."""
    positions = [Position(2, 1), Position(1, 9), Position(1, 10)]
    assert [Position(1, 9), Position(1, 10), Position(2, 1)] == sorted(positions)


def test_an_events_place_is_its_program_time_then_its_offset() -> None:
    """Slices and files are sorted by it."""
    events = [event(3, program_us=BASE_US), event(1, program_us=BASE_US + 1), event(2, program_us=BASE_US)]
    assert [2, 3, 1] == [one.offset for one in sorted(events, key=lambda one: one.place)]
    assert (BASE_US, 7) == (events[0].program_us, event(1, broadcast=7).broadcast)


def test_events_and_drafts_cannot_be_changed() -> None:
    """What is logged stays as it was; a change makes a new value."""
    for value in (event(1), draft("a"), stamp(), Author("key", "Ann"), Position(1, 1)):
        with pytest.raises(AttributeError):
            setattr(value, value.__struct_fields__[0], 5)


def test_events_share_no_details() -> None:
    """What one event's kind adds is not seen in another's."""
    one, other = draft("a"), draft("b")
    one.details["x"] = 1
    assert {} == other.details


def test_an_event_survives_msgpack_and_json() -> None:
    """Fields are plain values: they can be stored and read back as they were."""
    kept = event(1, details={"to": ["host"], "n": 1}, hidden=True, reply_to=7, target=8)
    assert kept == msgspec.json.decode(msgspec.json.encode(kept), type=Event)
    assert kept == msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Event)
