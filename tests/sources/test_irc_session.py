"""The machine of an IRC connection: lines in, lines and what they tell out, without a socket or a clock."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatsync.instants import SECOND_US
from chatsync.sources.contract import Alive, Connected, Left, Line, Removal, Told
from chatsync.sources.irc_session import LINE_BYTES_MAX, IrcLines, IrcSession, Login

S = SECOND_US
OFFERS = ":s CAP * LS :server-time message-tags account-tag sasl=PLAIN"
TWITCH = ":t CAP * LS :twitch.tv/tags twitch.tv/commands"


class Talk:
    """A session and what it sent."""

    def __init__(self, login: Login | None = None, *, is_twitch: bool = False) -> None:
        self.session = IrcSession(
            "#Class", login or Login("reader"), is_twitch=is_twitch, chance=lambda: 0.1234, now_us=0
        )
        self.sent: list[str] = self.session.lines_to_send()

    def hear(self, *lines: str, at_us: int = 0) -> list[Told]:
        """Lines come; what they tell."""
        told = [self.session.receive_line(line.encode(), at_us) for line in lines]
        self.sent += self.session.lines_to_send()
        return [one for one in told if one is not None]

    def join(self, offers: str = TWITCH) -> Talk:
        """Let in."""
        names = offers.rpartition(":")[2]
        self.hear(offers, f":s CAP reader ACK :{names}", ":s 001 reader :hi", ":reader!u@h JOIN #class")
        assert self.session.is_joined
        return self

    @property
    def lost(self) -> tuple[str, str] | None:
        """How it ended."""
        lost = self.session.lost
        return None if lost is None else (lost.reason, lost.wait)


def test_it_asks_for_what_is_offered_and_joins() -> None:
    """Capabilities that help, then the channel; connected once we are in it."""
    talk = Talk(Login("reader", key="k3y"))
    assert [Connected()] == talk.hear(
        OFFERS,
        ":s CAP reader ACK :message-tags server-time account-tag",
        ":s 001 reader :hi",
        ":reader!u@h JOIN :#class",
    )
    assert [
        "CAP LS 302",
        "NICK reader",
        "USER reader 0 * :chatsync",
        "CAP REQ :message-tags server-time account-tag",
        "CAP END",
        "JOIN #class k3y",
    ] == talk.sent


def test_offers_in_many_lines_are_read_to_the_end() -> None:
    """A star says that more comes."""
    talk = Talk()
    talk.hear(":s CAP * LS * :server-time", ":s CAP * LS :message-tags")
    assert "CAP REQ :message-tags server-time" == talk.sent[-1]


@pytest.mark.parametrize("answer", [":s CAP * LS :multi-prefix", ":s CAP reader NAK :server-time"])
def test_without_anything_to_ask_for_it_goes_on(answer: str) -> None:
    """The end of choosing is told, or the server would wait for it."""
    talk = Talk()
    talk.hear(":s CAP * LS :multi-prefix", answer)
    assert "CAP END" in talk.sent


def test_a_server_without_capabilities_lets_us_in() -> None:
    """Old ones do not know the command."""
    talk = Talk()
    assert [Connected()] == talk.hear(":s 421 * CAP :Unknown command", ":s 001 reader :hi", ":reader!u@h JOIN #class")


def test_an_account_logs_in_before_the_channel() -> None:
    """SASL PLAIN, in lines of 400 characters at most."""
    talk = Talk(Login("reader", account="me", account_password="p" * 300))
    talk.hear(OFFERS, ":s CAP reader ACK :message-tags server-time account-tag sasl", "AUTHENTICATE +")
    said = "".join(line.removeprefix("AUTHENTICATE ") for line in talk.sent[-2:])
    assert ["CAP REQ :message-tags server-time account-tag sasl", "AUTHENTICATE PLAIN"] == talk.sent[3:5]
    assert f"\0me\0{'p' * 300}" == base64.b64decode(said).decode()
    talk.hear(":s 903 reader :done", ":s 001 reader :hi")
    assert ["CAP END", "JOIN #class"] == talk.sent[-2:]


@pytest.mark.parametrize(
    "lines",
    [
        (":s CAP * LS :server-time",),
        (":s 421 * CAP :Unknown command", ":s 001 reader :hi"),
    ],
)
def test_an_account_is_never_left_out_in_silence(lines: tuple[str, ...]) -> None:
    """Who has set one is told that the server has no such thing."""
    talk = Talk(Login("reader", account="me", account_password="x"))
    talk.hear(*lines)
    assert ("the server has no SASL, which an account needs", "long") == talk.lost


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (":s 464 * :Bad password", ("the password was not accepted", "long")),
        (":s 465 * :You are banned", ("the server does not want us", "long")),
        (":s 904 * :SASL failed", ("the account was not accepted", "long")),
        (":s 432 * reader :Erroneous", ("the server does not take our nickname", "long")),
        (":s 474 reader #class :Banned", ("the server does not let us into the channel", "long")),
        (":s 403 reader #class :No such channel", ("the server does not let us into the channel", "long")),
        ("ERROR :Closing link", ("the server closed the connection", "usual")),
        ("ERROR :Trying to reconnect too fast.", ("the server closed the connection", "long")),
        (":tmi.twitch.tv NOTICE * :Improperly formatted auth", ("the password was not accepted", "long")),
        ("@msg-id=msg_channel_suspended :t NOTICE #class :x", ("the server does not let us into the channel", "long")),
        (":reader!u@h JOIN #elsewhere", ("the server leads us into another channel", "long")),
    ],
)
def test_what_ends_a_connection_before_it_began(line: str, expected: tuple[str, str]) -> None:
    """In words of ours, with how long it is of no use to come back."""
    talk = Talk()
    talk.hear(line)
    assert expected == talk.lost


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (":op!u@h KICK #class reader :bye", ("we were sent out of the channel", "long")),
        (":reader!u@h PART #class", ("we were sent out of the channel", "long")),
        (":tmi.twitch.tv RECONNECT", ("the server asks to come back", "soon")),
        (":op!u@h KICK #class other :bye", None),
        (":op!u@h KICK #elsewhere reader", None),
        (":a!u@h QUIT :a.net b.net", None),  # a netsplit: our side goes on
        (":s 474 reader #other :x", None),
        (":s 433 reader x :in use", None),
    ],
)
def test_what_ends_a_connection_that_stands(line: str, expected: tuple[str, str] | None) -> None:
    """What is about others, or another channel, does not."""
    talk = Talk().join()
    talk.hear(line)
    assert expected == talk.lost


def test_a_nickname_that_is_taken_is_tried_with_digits_five_times() -> None:
    """Then it is given up."""
    talk = Talk()
    for _ in range(4):
        talk.hear(":s 433 * reader :in use")
    assert "NICK reade1234" == talk.sent[-1]
    talk.hear(":s 433 * reader :in use")
    assert ("our nickname is taken", "long") == talk.lost


def test_it_knows_itself_under_a_new_name() -> None:
    """A server may rename us."""
    talk = Talk().join()
    talk.hear(":reader!u@h NICK :guest7", ":op!u@h KICK #class GUEST7")
    assert talk.lost is not None


def test_pings_are_answered_with_what_they_said() -> None:
    """Within bounds."""
    talk = Talk()
    talk.hear("PING :abc", "PING :" + "x" * 5_000)
    assert ["PONG :abc", "PONG :" + "x" * 400] == talk.sent[-2:]


def test_a_server_that_never_lets_us_in_is_left() -> None:
    """Half a minute, whatever it says meanwhile."""
    talk = Talk()
    talk.hear("PING :x", at_us=20 * S)
    assert 30 * S == talk.session.wake_at_us()
    talk.session.receive_time(30 * S)
    assert ("the server did not let us in in time", "usual") == talk.lost


def test_silence_is_asked_about_and_then_believed() -> None:
    """Half a minute, a ping, half a minute more; whatever comes counts as a sign of life."""
    talk = Talk().join()
    assert 30 * S == talk.session.wake_at_us()
    talk.session.receive_time(29 * S)
    assert [] == talk.session.lines_to_send()
    talk.session.receive_time(30 * S)
    assert ["PING :chatsync"] == talk.session.lines_to_send()
    assert [Alive()] == talk.hear(":s PONG s :chatsync", at_us=31 * S)
    talk.session.receive_time(60 * S)
    assert talk.lost is None
    talk.session.receive_time(61 * S)
    talk.session.receive_time(91 * S)
    assert ("nothing came from the server any more", "usual") == talk.lost


def test_only_our_channel_is_told_and_only_once_we_are_in_it() -> None:
    """Compared as servers do; before, a server may play back what was said long ago."""
    talk = Talk()
    assert [] == talk.hear(":a!u@h PRIVMSG #class :early")
    talk.join()
    told = talk.hear(":a!u@h PRIVMSG #CLASS :hi", ":a!u@h PRIVMSG #other :no", ":a!u@h PRIVMSG reader :psst")
    assert ["hi"] == [one.text for one in told if isinstance(one, Line)]
    assert 1 == len(told)


def test_tags_of_twitch_are_believed_of_twitch_alone() -> None:
    """Elsewhere nobody becomes somebody else by tags, and nobody's words are taken away."""
    said = "@id=7;user-id=1;display-name=Host;badges=broadcaster/1;bits=5;msgid=m;account=me :a!u@h PRIVMSG #class :hi"
    cleared = ":s CLEARCHAT #class :a"
    [line, removal] = Talk().join(TWITCH).hear(said, cleared)
    assert isinstance(line, Line)
    assert ("7", "1", "Host", "paid") == (line.id, line.author_id, line.author_name, line.kind)
    assert Removal(author_id="a") == removal
    [line, removal] = Talk().join(OFFERS).hear(said, cleared)
    assert isinstance(line, Line)
    assert ("m", "account:me", "a", "message", (), {}) == (
        line.id,
        line.author_id,
        line.author_name,
        line.kind,
        line.badges,
        line.details,
    )
    assert Left("a command that is not known") == removal


@given(
    st.lists(st.text(max_size=60) | st.sampled_from(["PING", ":reader!u@h JOIN #class", "CAP * LS :x"]), max_size=20)
)
def test_no_line_raises_and_nothing_sent_holds_a_line_break(lines: list[str]) -> None:
    """Whatever a server sends."""
    talk = Talk()
    talk.hear(*lines)
    assert not any("\n" in line or "\r" in line for line in talk.sent)


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 7))
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], size: int) -> None:
    """Bytes come in pieces."""
    whole = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    feed = IrcLines()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert [line.replace(b"\n", b"") for line in lines] == [one for piece in pieces for one in feed.fed(piece)]


def test_a_line_without_an_end_takes_no_memory() -> None:
    """It is left out and told, and what comes after it is read."""
    feed = IrcLines()
    assert [] == [one for _ in range(100) for one in feed.fed(b"x" * LINE_BYTES_MAX)]
    assert 0 == len(feed._held)
    assert [None, b"PING"] == list(feed.fed(b"x\nPING\n"))
    assert Left("a line that is too long") == Talk().session.receive_line(None, 0)
