"""Logs of Twitch's IRC."""

from __future__ import annotations

from chatsync.transfer.line import Left, Removal
from tests.transfer.files import T0_US, lines, read, read_file, sample

_SAID = (
    "@badges=moderator/1;display-name=Amina;id=a;tmi-sent-ts=1773064812340;user-id=7001 :amina!a@b PRIVMSG #p :hello"
)


def test_what_is_said_and_taken_away_is_told() -> None:
    """By message, by person, and all of it; what is no line is counted."""
    gone = (
        "@target-msg-id=a :tmi CLEARMSG #p :hello",
        "@target-user-id=7001 :tmi CLEARCHAT #p :amina",
        ":tmi CLEARCHAT #p",
    )
    found = read("\r\n".join((_SAID, *gone, "", "...what?", ":tmi ROOMSTATE #p")))
    (line,) = lines(found)
    assert ("a", T0_US + 12_340_000, "7001", "Amina", "moderator", "hello") == (
        *(line.id, line.program_us, line.author_id),
        *(line.author_name, line.role, line.text),
    )
    assert [Removal(line_id="a"), Removal(author_id="7001"), Removal()] == found[1:4]
    assert [True, True] == [isinstance(one, Left) for one in found[4:]]


def test_a_line_of_an_old_client_is_no_damage() -> None:
    """Its bytes are read as it meant them."""
    assert ["caf\xe9"] == [line.text for line in lines(read(_SAID.replace("hello", "caf\xe9").encode("cp1252")))]


def test_the_shared_sample_is_read() -> None:
    """A line, and two that take away."""
    found = read_file(sample("twitch_irc_tags.log"))
    assert (1, 2) == (len(lines(found)), sum(isinstance(one, Removal) for one in found))
