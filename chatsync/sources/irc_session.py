"""One connection to an IRC server, without the connection: what to send, and what lines mean for who reads a channel.

Owns: ``IrcSession`` and ``IrcLines``: who we are, capabilities, logging in, joining, ping and silence, which tags are believed. Does not know:
sockets, addresses, clocks. Units: µs of monotonic time. Source: RFC 2812; IRCv3 capability negotiation, SASL; Twitch's chat reference.

We only read: nothing is ever said. Call :meth:`IrcSession.receive_line` for each line and :meth:`IrcSession.receive_time` when
:meth:`IrcSession.wake_at_us` has come, then send :meth:`IrcSession.lines_to_send`; all is over once :attr:`IrcSession.lost` is set.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from chatsync.instants import SECOND_US
from chatsync.sources.contract import Alive, Connected, Left, LostError, Told
from chatsync.transfer.irc_lines import IrcLine, folded_nick, meant, parsed

__all__ = ["LINE_BYTES_MAX", "IrcLines", "IrcSession", "Login"]

LINE_BYTES_MAX = 16 * 1024  # tags may have 8,191 bytes (IRCv3), what follows 512
WELCOME_US_MAX = 30 * SECOND_US  # from the first line to being in the channel
SILENCE_US = 30 * SECOND_US  # then we ask whether anybody is there; Twitch itself asks every five minutes
ANSWER_US_MAX = 30 * SECOND_US

_NICK_TRIES_MAX = 5
_NICK_CHARACTERS_MAX = 9  # RFC 2812; servers cut what is longer, and then do not say so
_PONG_CHARACTERS_MAX = 400
_SASL_CHARACTERS = 400  # of one line
_TWITCH_CAPABILITIES = ("twitch.tv/tags", "twitch.tv/commands")
_CAPABILITIES = ("message-tags", "server-time", "account-tag", *_TWITCH_CAPABILITIES)
_BELIEVED_TAGS = frozenset({"msgid", "time", "account", "+draft/reply", "+reply"})  # of servers that are not Twitch's
_CHAT = frozenset({"PRIVMSG", "USERNOTICE", "CLEARMSG", "CLEARCHAT"})
_NOT_LET_IN = frozenset({"403", "405", "471", "473", "474", "475", "476", "477", "489", "520"})
_NICK_TAKEN = frozenset({"433", "436", "437"})
_NOT_SUPPORTED = frozenset({"msg_channel_suspended", "tos_ban", "msg_channel_blocked", "msg_banned"})
_ACCOUNT_REFUSED = frozenset({"902", "904", "905", "906", "908"})
_PATIENCE = ("throttl", "too fast", "too many", "banned", "k-lined", "g-lined", "z-lined")


class IrcLines:
    """Bytes in, lines out. A line without an end takes no more memory than the longest one."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skips = False

    def fed(self, data: bytes) -> Iterator[bytes | None]:
        """Whole lines, without their ends; None for one that was too long and is left out."""
        *whole, rest = data.split(b"\n")
        for piece in whole:
            line, skips = bytes(self._held) + piece if self._held else piece, self._skips
            self._held.clear()
            self._skips = False
            yield None if skips or len(line) > LINE_BYTES_MAX else line
        if self._skips or len(self._held) + len(rest) > LINE_BYTES_MAX:
            self._held.clear()
            self._skips = True
        else:
            self._held += rest


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Who we are to a server. Never printed."""

    nick: str
    password: str = ""  # PASS
    account: str = ""  # SASL PLAIN
    account_password: str = ""
    key: str = ""  # of the channel


class IrcSession:
    """The machine.

    Args:
        channel: with its mark, ``#class``.
        login: who we are.
        is_twitch: whether the server is Twitch's, which offers nothing to choose from and wants no end of it.
        chance: a random number in ``[0, 1)``.
        now_us: monotonic time.
    """

    def __init__(
        self, channel: str, login: Login, *, is_twitch: bool, chance: Callable[[], float], now_us: int
    ) -> None:
        self.lost: LostError | None = None
        self.is_joined = False
        self._channel, self._login, self._chance = folded_nick(channel), login, chance
        self._nick, self._nick_tries = login.nick, 1
        self._offered: set[str] = set()
        self._granted: set[str] = set()
        self._heard_us, self._deadline_us = now_us, now_us + WELCOME_US_MAX
        self._asked_us: int | None = None  # when we asked whether anybody is there, and were not answered yet
        self._out: list[str] = [f"CAP REQ :{' '.join(_TWITCH_CAPABILITIES)}" if is_twitch else "CAP LS 302"]
        if login.password:
            self._out.append(f"PASS {login.password}")
        self._out += [f"NICK {self._nick}", f"USER {self._nick} 0 * :chatsync"]

    def lines_to_send(self) -> list[str]:
        """What is to be sent now, without line breaks; once."""
        out, self._out = self._out, []
        return out

    def wake_at_us(self) -> int:
        """When to call :meth:`receive_time` if nothing comes before."""
        if not self.is_joined:
            return self._deadline_us
        return self._heard_us + SILENCE_US if self._asked_us is None else self._asked_us + ANSWER_US_MAX

    def receive_time(self, now_us: int) -> None:
        """Nothing came until now."""
        if now_us < self.wake_at_us() or self.lost is not None:
            return
        if not self.is_joined:
            self.lost = LostError("the server did not let us in in time")
        elif self._asked_us is not None:
            self.lost = LostError("nothing came from the server any more")
        else:
            self._asked_us = now_us
            self._out.append("PING :chatsync")

    def receive_line(self, raw: bytes | None, now_us: int) -> Told | None:
        """What a line tells; None for one that is between us and the server, or is about another channel.

        Args:
            raw: without its end; None: it was too long.
            now_us: monotonic time.
        """
        self._heard_us, self._asked_us = now_us, None
        if raw is None:
            return Left("a line that is too long")
        line = parsed(raw)
        if line is None or self.lost is not None:
            return None
        if line.command in _CHAT:
            return self._chat(line)
        answer = _ANSWERS.get(line.command)
        if answer is not None:
            return answer(self, line)
        if line.command in _NOT_LET_IN and not self.is_joined:
            self.lost = LostError("the server does not let us into the channel", "long")
        elif line.command in _NICK_TAKEN and not self.is_joined:
            self._try_other_nick()
        elif line.command in _ACCOUNT_REFUSED:
            self.lost = LostError("the account was not accepted", "long")
        return None

    # --- what is said ---------------------------------------------------------------------------------------------

    def _chat(self, line: IrcLine) -> Told | None:
        if not self.is_joined or not line.params or folded_nick(line.params[0]) != self._channel:
            return None
        if self._granted.issuperset(_TWITCH_CAPABILITIES):
            return meant(line)
        if line.command != "PRIVMSG":  # nobody's words on a server that is not Twitch's
            return Left("a command that is not known")
        # Elsewhere tags of Twitch's names say nothing: a server may hand on what somebody has made up.
        tags = {name: value for name, value in line.tags.items() if name in _BELIEVED_TAGS}
        return meant(msgspec.structs.replace(line, tags=tags))

    # --- between us and the server --------------------------------------------------------------------------------

    def _ping(self, line: IrcLine) -> Told | None:
        self._out.append(f"PONG :{line.last[:_PONG_CHARACTERS_MAX]}")
        return self._alive(line)

    def _alive(self, line: IrcLine) -> Told | None:
        del line
        return Alive() if self.is_joined else None

    def _capabilities(self, line: IrcLine) -> None:
        if len(line.params) < 3:
            return
        what, names = line.params[1].upper(), {name.partition("=")[0] for name in line.last.split()}
        match what:
            case "LS":
                self._offered |= names
                if line.params[2] != "*":
                    self._choose()
            case "ACK":
                self._granted |= names
                if "sasl" in names:
                    self._out.append("AUTHENTICATE PLAIN")
                else:
                    self._end_choosing()
            case "NAK":
                self._end_choosing()

    def _choose(self) -> None:
        wanted = [name for name in _CAPABILITIES if name in self._offered]
        if self._login.account:
            if "sasl" not in self._offered:
                self.lost = LostError("the server has no SASL, which an account needs", "long")
                return
            wanted.append("sasl")
        if wanted:
            self._out.append(f"CAP REQ :{' '.join(wanted)}")
        else:
            self._end_choosing()

    def _end_choosing(self) -> None:
        if self._offered:  # Twitch was not asked what it offers
            self._out.append("CAP END")

    def _authenticate(self, line: IrcLine) -> None:
        if line.last != "+":
            return
        login = self._login
        said = base64.b64encode(f"\0{login.account}\0{login.account_password}".encode()).decode()
        lines = [said[at : at + _SASL_CHARACTERS] for at in range(0, len(said), _SASL_CHARACTERS)]
        if len(lines[-1]) == _SASL_CHARACTERS:
            lines.append("+")
        self._out += [f"AUTHENTICATE {one}" for one in lines]

    def _authenticated(self, line: IrcLine) -> None:
        del line
        self._end_choosing()

    def _welcome(self, line: IrcLine) -> None:
        if line.params:
            self._nick = line.params[0]
        if self._login.account and "sasl" not in self._granted:
            self.lost = LostError("the server has no SASL, which an account needs", "long")
            return
        self._out.append(f"JOIN {self._channel}" + (f" {self._login.key}" if self._login.key else ""))

    def _join(self, line: IrcLine) -> Told | None:
        if self.is_joined or not self._is_me(line.nick) or not line.params:
            return None
        if folded_nick(line.params[0]) != self._channel:
            self.lost = LostError("the server leads us into another channel", "long")
            return None
        self.is_joined = True
        return Connected()

    def _renamed(self, line: IrcLine) -> None:
        if self._is_me(line.nick) and line.params:
            self._nick = line.last

    def _kicked(self, line: IrcLine) -> None:
        if len(line.params) > 1 and self._is_me(line.params[1]) and folded_nick(line.params[0]) == self._channel:
            self.lost = LostError("we were sent out of the channel", "long")

    def _parted(self, line: IrcLine) -> None:
        if line.params and self._is_me(line.nick) and folded_nick(line.params[0]) == self._channel:
            self.lost = LostError("we were sent out of the channel", "long")

    def _noticed(self, line: IrcLine) -> Told | None:
        if line.tags.get("msg-id") in _NOT_SUPPORTED:
            self.lost = LostError("the server does not let us into the channel", "long")
        elif not self.is_joined and "auth" in line.last.lower() and "twitch" in line.prefix:
            self.lost = LostError("the password was not accepted", "long")
        elif self.is_joined and line.params and folded_nick(line.params[0]) == self._channel:
            return meant(line)
        return None

    def _refused(self, line: IrcLine) -> None:
        del line
        self.lost = LostError("the password was not accepted", "long")

    def _banned(self, line: IrcLine) -> None:
        del line
        self.lost = LostError("the server does not want us", "long")

    def _bad_nick(self, line: IrcLine) -> None:
        del line
        if not self.is_joined:
            self.lost = LostError("the server does not take our nickname", "long")

    def _error(self, line: IrcLine) -> None:
        is_patient = any(word in line.last.lower() for word in _PATIENCE)
        self.lost = LostError("the server closed the connection", "long" if is_patient else "usual")

    def _reconnect(self, line: IrcLine) -> None:
        del line
        self.lost = LostError("the server asks to come back", "soon")

    def _try_other_nick(self) -> None:
        if self._nick_tries >= _NICK_TRIES_MAX:
            self.lost = LostError("our nickname is taken", "long")
            return
        self._nick_tries += 1
        digits = f"{int(self._chance() * 10_000):04}"
        self._nick = self._login.nick[: _NICK_CHARACTERS_MAX - len(digits)] + digits
        self._out.append(f"NICK {self._nick}")

    def _is_me(self, nick: str) -> bool:
        return folded_nick(nick) == folded_nick(self._nick)


_ANSWERS: Mapping[str, Callable[[IrcSession, IrcLine], Told | None]] = {
    "PING": IrcSession._ping,
    "PONG": IrcSession._alive,
    "CAP": IrcSession._capabilities,
    "AUTHENTICATE": IrcSession._authenticate,
    "903": IrcSession._authenticated,
    "001": IrcSession._welcome,
    "JOIN": IrcSession._join,
    "NICK": IrcSession._renamed,
    "KICK": IrcSession._kicked,
    "PART": IrcSession._parted,
    "NOTICE": IrcSession._noticed,
    "464": IrcSession._refused,
    "465": IrcSession._banned,
    "432": IrcSession._bad_nick,
    "ERROR": IrcSession._error,
    "RECONNECT": IrcSession._reconnect,
}
