"""Lines of IRC: taken apart, and what they mean as chat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.transfer.irc_lines import IrcLine, folded_nick, meant, parsed
from chatsync.transfer.line import Left, Line, Removal

ESCAPES = {";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n"}

SAID = (
    "@badge-info=subscriber/3;badges=subscriber/3,premium/1;color=#2E8B57;display-name=Amina;emotes=30259:19-25;id=0f3c-1;mod=0;"
    "room-id=900100;tmi-sent-ts=1773064812340;user-id=7001;user-type= "
    ":amina!amina@amina.tmi.twitch.tv PRIVMSG #proflinear :hello from Nairobi HeyGuys"
)


def _meant(line: bytes | str) -> Line | Removal | Left:
    taken = parsed(line)
    assert taken is not None
    return meant(taken)


def _line(line: bytes | str) -> Line:
    told = _meant(line)
    assert isinstance(told, Line)
    return told


def _escaped(value: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PING :tmi.twitch.tv\r\n", IrcLine("PING", ("tmi.twitch.tv",))),
        ("ping", IrcLine("PING")),
        (":s 001 me :Welcome, :me", IrcLine("001", ("me", "Welcome, :me"), "s")),
        (":a!b@c PRIVMSG #r hi", IrcLine("PRIVMSG", ("#r", "hi"), "a!b@c")),
        (":a!b@c PRIVMSG #r ::)", IrcLine("PRIVMSG", ("#r", ":)"), "a!b@c")),
        (":a!b@c PRIVMSG #r :", IrcLine("PRIVMSG", ("#r", ""), "a!b@c")),
        ("@a;b=;c=1=2 :s   JOIN   #r  ", IrcLine("JOIN", ("#r",), "s", {"a": "", "b": "", "c": "1=2"})),
        ("@a=1;a=2;=3 PING", IrcLine("PING", (), "", {"a": "2"})),
        ("CMD " + " ".join("abcdefghijklmnopq"), IrcLine("CMD", (*"abcdefghijklmn", "o p q"))),
        (b":a PRIVMSG #r :caf\xc3\xa9", IrcLine("PRIVMSG", ("#r", "café"), "a")),
        (b":a PRIVMSG #r :caf\xe9 \x80", IrcLine("PRIVMSG", ("#r", "café €"), "a")),
    ],
)
def test_a_line_is_taken_apart(line: bytes | str, expected: IrcLine) -> None:
    """Tags, who sent it, command in capitals, parameters, the last of which may have spaces and colons; text that is not UTF-8 too."""
    assert expected == parsed(line)


@pytest.mark.parametrize("line", ["", "\r\n", ":only", "@tags=1", "@a=1 :b ", "1234 x", "P@ x", " :x"])
def test_what_is_no_line_of_irc_is_none(line: str) -> None:
    """Without a command of letters or three digits there is nothing to understand."""
    assert parsed(line) is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("\\s\\:\\r\\n\\\\", " ;\r\n\\"),
        ("\\\\s", "\\s"),  # an escaped backslash and an s, not a space
        ("\\\\:", "\\:"),
        ("\\b", "b"),
        ("end\\", "end"),
        ("a=b", "a=b"),
    ],
)
def test_values_of_tags_are_unescaped_in_one_pass(written: str, expected: str) -> None:
    """A backslash that was escaped never begins another escape; one before anything unknown, or before nothing, goes."""
    line = parsed(f"@t={written} PING")
    assert line is not None
    assert expected == line.tags["t"]


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_whatever_a_tag_says_arrives(value: str) -> None:
    """Escaped and unescaped, a value is what it was."""
    line = parsed(f"@t={_escaped(value)} PING".encode())
    assert line is not None
    assert value == line.tags["t"]


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_line_raises(line: bytes | str) -> None:
    """Whatever a server sends is a line or none, and means something or is left out."""
    taken = parsed(line)
    assert taken is None or isinstance(meant(taken), (Line, Removal, Left))


def test_a_message_of_twitch_has_everything_its_tags_say() -> None:
    """Id, author by number, name as it is written, badges, when it was sent; what has no field stays by its name."""
    expected = Line(
        id="0f3c-1",
        program_us=1_773_064_812_340_000,
        author_id="7001",
        author_name="Amina",
        badges=("subscriber", "premium"),
        text="hello from Nairobi HeyGuys",
        details={
            "tags": {
                "badge-info": "subscriber/3",
                "color": "#2E8B57",
                "emotes": "30259:19-25",
                "mod": "0",
                "room-id": "900100",
            }
        },
    )
    assert expected == _meant(SAID)


def test_a_message_without_tags_has_a_nickname() -> None:
    """Plain IRC: no id, no time; the author is the nickname as servers compare it."""
    expected = Line(id="", author_id="amina{k}", author_name="Amina[K]", text="hi")
    assert expected == _meant(":Amina[K]!~u@h PRIVMSG #r :hi")


def test_tags_of_ircv3_are_understood() -> None:
    """``msgid``, ``account``, ``time`` and the reply of drafts, as networks beside Twitch send them."""
    line = _line("@msgid=m1;account=Amina;time=2026-03-09T14:00:12.340Z;+draft/reply=m0 :am!u@h PRIVMSG #r :yes")
    assert ("m1", "account:Amina", 1_773_064_812_340_000, "m0") == (
        line.id,
        line.author_id,
        line.program_us,
        line.reply_to,
    )


@pytest.mark.parametrize("time", ["tmi-sent-ts=-5", "tmi-sent-ts=٣", "tmi-sent-ts=999999999999999", "time=yesterday"])
def test_a_time_that_is_none_is_left_out(time: str) -> None:
    """A message is a message without it."""
    assert _line(f"@{time} :a PRIVMSG #r :hi").program_us is None


def test_a_reply_names_what_it_replies_to() -> None:
    """By the id of the source; the words of that message are not kept a second time, where a removal of it would not find them."""
    line = _line("@id=2;reply-parent-msg-id=1;reply-parent-msg-body=no :a PRIVMSG #r :@b yes")
    assert ("1", {}) == (line.reply_to, line.details)


@pytest.mark.parametrize(
    ("badges", "expected"),
    [
        ("broadcaster/1,subscriber/0", "host"),
        ("moderator/1", "moderator"),
        ("vip/1", "participant"),
        ("", "participant"),
    ],
)
def test_roles_are_what_the_badges_say(badges: str, expected: str) -> None:
    """The channel's owner is a host, its moderators are moderators, everybody else takes part."""
    assert expected == _line(f"@badges={badges} :a PRIVMSG #r :hi").role


def test_an_action_is_a_text_that_is_marked() -> None:
    """``/me`` arrives as CTCP ACTION; other requests between clients are nobody's to read."""
    line = _line(":a PRIVMSG #r :\x01ACTION waves\x01")
    assert ("waves", {"action": True}) == (line.text, line.details)
    assert Left("a request of one client to others (CTCP)") == _meant(":a PRIVMSG #r :\x01VERSION\x01")


def test_colours_and_bold_are_taken_out() -> None:
    """Formatting of old clients is control characters, with digits that nobody means to say."""
    assert _line(":a PRIVMSG #r :\x02bold\x0f \x0304,12red\x03 5 \x04ff0000x\x1d.").text == "bold red 5 x."


@pytest.mark.parametrize(
    ("bits", "expected"), [("100", "paid"), ("0", "message"), ("-1", "message"), ("9" * 13, "message")]
)
def test_bits_are_paid(bits: str, expected: str) -> None:
    """A message with bits is a paid one, with amount and currency; a number nobody can mean is none."""
    line = _line(f"@bits={bits} :a PRIVMSG #r :Cheer100 nice")
    assert expected == line.kind
    assert ({"amount": 100, "currency": "bits"} if expected == "paid" else {}) == line.details


def test_a_subscription_is_told_by_the_system_with_what_was_written() -> None:
    """The sentence of the server first, the person's own words in the next line."""
    line = _line(
        "@id=9;login=bo;user-id=8;display-name=Bo;msg-id=resub;system-msg=Bo\\ssubscribed. :tmi.twitch.tv USERNOTICE #r :yay"
    )
    assert line.details == {"notice": "resub", "tags": {"login": "bo"}}
    assert ("system", "9", "8", "Bo", "Bo subscribed.\nyay") == (
        line.kind,
        line.id,
        line.author_id,
        line.author_name,
        line.text,
    )


def test_an_announcement_is_one() -> None:
    """By the person who made it."""
    line = _line("@id=9;login=bo;msg-id=announcement;system-msg= :tmi.twitch.tv USERNOTICE #r :we start")
    assert ("announcement", "bo", "we start") == (line.kind, line.author_id, line.text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@target-msg-id=m9;tmi-sent-ts=1000 :t CLEARMSG #r :x", Removal(line_id="m9", program_us=1_000_000)),
        (
            "@target-user-id=7009;ban-duration=600;tmi-sent-ts=1000 :t CLEARCHAT #r :spam",
            Removal(author_id="7009", program_us=1_000_000),
        ),
        (":t CLEARCHAT #r :Spam", Removal(author_id="spam")),
        ("@tmi-sent-ts=1000 :t CLEARCHAT #r", Removal(program_us=1_000_000)),
    ],
)
def test_what_moderators_take_away_is_a_removal(line: str, expected: Removal) -> None:
    """One message, all of somebody, or everything; without tags somebody is a nickname, as in what they said."""
    assert expected == _meant(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (":t CLEARMSG #r :x", "CLEARMSG of nothing"),
        (":a!b@c PRIVMSG me :psst", "PRIVMSG to one person"),
        (":a!b@c PRIVMSG #r", "PRIVMSG without a text"),
        ("PRIVMSG #r :x", "PRIVMSG without a text"),
        ("@msg-id=raid :t USERNOTICE #r", "USERNOTICE without a text"),
        ("@msg-id=announcement :t USERNOTICE #r", "an announcement without a text"),
        ("@msg-id=slow_on :t NOTICE #r :slow", "NOTICE"),
        ("@slow=10 :t ROOMSTATE #r", "ROOMSTATE"),
        (":t 353 me = #r :a b", "a numeric reply"),
        ("EVIL" * 50, "a command that is not known"),
    ],
)
def test_all_else_is_left_out_for_a_reason(line: str, expected: str) -> None:
    """Reasons are few, whatever a line holds: they are counted."""
    assert Left(expected) == _meant(line)


def test_nicknames_are_compared_as_servers_do() -> None:
    """By RFC 1459, whose alphabet ends in Scandinavian letters."""
    assert "a{}|~ü" == folded_nick("A[]\\^ü")
