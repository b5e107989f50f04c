"""Zoom's chat, of a cloud recording and as it was saved."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from chatsync.errors import FileUnplacedError
from chatsync.instants import SECOND_US, us_from_iso
from chatsync.transfer.fields import Known
from chatsync.transfer.line import Left
from tests.transfer.files import lines, read, read_file, sample


def test_a_cloud_recordings_times_are_positions() -> None:
    """What follows belongs to the line; that it replies is a detail; who hosts says so."""
    found = lines(read('00:00:12\tAmina:\thello\n00:10:10\tWei (Host):\tReplying to "Amina":\nwhy?\nreally\n'))
    assert [12 * SECOND_US, 610 * SECOND_US] == [line.position_us for line in found]
    assert ("Wei", "host", "why?\nreally", {"is_reply": True}) == (
        *(found[1].author_name, found[1].role),
        *(found[1].text, found[1].details),
    )


def test_a_saved_chat_needs_its_day_and_zone() -> None:
    """It has the clock on somebody's wall, and may go past midnight."""
    told = "23:59:50 From Amina to Everyone:\n\thello\n00:00:10 From Wei to Everyone:\n\tlate\n"
    known = Known(datetime(2026, 3, 9, tzinfo=ZoneInfo("Africa/Nairobi")))
    assert [us_from_iso("2026-03-09T20:59:50Z"), us_from_iso("2026-03-09T21:00:10Z")] == [
        line.program_us for line in lines(read(told, known))
    ]
    with pytest.raises(FileUnplacedError):
        read(told, Known())


@pytest.mark.parametrize(
    "to",
    [
        "Amina(Direct Message)",
        "Amina (Direct Message)",
        "Hosts and panelists",
        "Host",
        "me",
        "Everyone in the waiting room",
    ],
)
def test_what_was_not_said_to_everyone_stays_out(to: str) -> None:
    """Its following lines with it."""
    told = f"14:00:00 From Wei to Everyone:\n\thello\n14:02:10 From Jonas to {to}:\n\tprivate\n\tmore of it\n"
    found = read(told)
    assert ["hello"] == [line.text for line in lines(found)]
    assert Left("was said in private") == found[1]


def test_an_older_form_is_read_too() -> None:
    """With the text in the same line."""
    assert [("Amina", "hello: you")] == [
        (line.author_name, line.text) for line in lines(read("14:00:12\t From Amina : hello: you\n"))
    ]


def test_the_shared_samples_are_read() -> None:
    """Three lines of a recording; of the saved chat one is private."""
    assert ["hello from Nairobi", "yes, thanks", "why is det(A-λI)=0?"] == [
        line.text for line in lines(read_file(sample("zoom_cloud_chat.txt")))
    ]
    saved = read_file(sample("zoom_saved_chat.txt"))
    assert (2, Left("was said in private")) == (len(lines(saved)), saved[2])
