"""One line of IRC, with IRCv3 tags or without, and what it means as chat; Twitch's lines included.

Owns: ``IrcLine``, ``parsed``, ``meant``, ``folded_nick``. Does not know: sockets, files, which lines answer whom. Units: µs since the
Unix epoch; Twitch's ``tmi-sent-ts`` is in ms. Source: RFC 2812 §2.3, IRCv3 message-tags, server-time and account-tag; Twitch's
IRC tags reference.

Nothing here raises: a line comes from a stranger. What it does not know it leaves out, by a reason out of a short list, so that reasons
can be counted whoever writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from chatsync.chat.event import Role
from chatsync.instants import us_from_iso, us_from_ms
from chatsync.transfer.line import Left, Line, Removal

__all__ = ["IrcLine", "folded_nick", "meant", "parsed"]

CHANNEL_MARKS = "#&+!"  # RFC 2812 §1.3; no nickname begins with one

_PARAMETERS_MAX = 15  # RFC 2812 §2.3: what follows the fourteenth is one parameter
_TIME_DIGITS_MAX = 14  # ms until the year 5138; more is no time
_AMOUNT_DIGITS_MAX = 12

_COMMAND = re.compile(r"[A-Za-z]+|[0-9]{3}").fullmatch
_UNESCAPED: Mapping[str, str] = {":": ";", "s": " ", "r": "\r", "n": "\n", "\\": "\\"}
_ESCAPE = re.compile(r"\\(.?)", re.S)
_FORMATTING = re.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|\x04(?:[0-9A-Fa-f]{6})?|[\x02\x0f\x11\x16\x1d-\x1f]")
_RFC1459 = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ[]\\^", "abcdefghijklmnopqrstuvwxyz{}|~")
_NO_TAGS: Mapping[str, str] = MappingProxyType({})

_ROLES: Mapping[str, Role] = {"broadcaster": "host", "moderator": "moderator"}
_READ_TAGS = frozenset(
    {
        "id",
        "msgid",
        "user-id",
        "account",
        "time",
        "tmi-sent-ts",
        "display-name",
        "badges",
        "bits",
        "msg-id",
        "system-msg",
        "+draft/reply",
        "+reply",
    }
)
_REPLY_TAGS = "reply-"  # words and names of others: they would outlive a removal of what they are from
_LEFT = frozenset(
    {"CAP", "GLOBALUSERSTATE", "HOSTTARGET", "INVITE", "JOIN", "KICK", "MODE", "NICK", "NOTICE"}
    | {"PART", "PING", "PONG", "QUIT", "ROOMSTATE", "TAGMSG", "TOPIC", "USERSTATE", "WHISPER"}
)


class IrcLine(msgspec.Struct, frozen=True, gc=False):
    """A line taken apart."""

    command: str  # upper case, or three digits
    params: tuple[str, ...] = ()
    prefix: str = ""  # who sent it: ``nick!user@host`` or a server; "" where the line does not say
    tags: Mapping[str, str] = _NO_TAGS  # unescaped; a tag without a value is ""

    @property
    def nick(self) -> str:
        """Who sent it, by the name before ``!``."""
        return self.prefix.partition("!")[0].partition("@")[0]

    @property
    def last(self) -> str:
        """The last parameter, which may have spaces; "" if there is none."""
        return self.params[-1] if self.params else ""


def folded_nick(name: str) -> str:
    """A nickname or channel as IRC compares it: without case, and by RFC 1459 brackets and braces are such a pair too."""
    return name.translate(_RFC1459)


def parsed(line: bytes | str) -> IrcLine | None:
    """Take a line apart.

    Args:
        line: without or with its line break. Bytes are UTF-8; where they are not, they are read as Windows-1252, which is what old
            clients send.

    Returns:
        The line, or None if it is none of IRC.

    Cost: linear.
    """
    text = _decoded(line).strip("\r\n")
    tags = _NO_TAGS
    if text.startswith("@"):
        written, _, text = text[1:].partition(" ")
        tags = _tags(written)
    text = text.lstrip(" ")
    prefix = ""
    if text.startswith(":"):
        prefix, _, text = text[1:].partition(" ")
        text = text.lstrip(" ")
    head, colon, trailing = text.partition(" :")
    command, *params = [word for word in head.split(" ") if word] or [""]
    if _COMMAND(command) is None:
        return None
    if len(params) >= _PARAMETERS_MAX:
        params[_PARAMETERS_MAX - 1 :] = [" ".join(params[_PARAMETERS_MAX - 1 :])]
    if colon:
        params.append(trailing)
    return IrcLine(command.upper(), tuple(params), prefix, tags)


def _decoded(line: bytes | str) -> str:
    if isinstance(line, str):
        return line
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _tags(written: str) -> Mapping[str, str]:
    tags = {}
    for tag in written.split(";"):
        name, _, value = tag.partition("=")
        if name:
            tags[name] = _ESCAPE.sub(_unescaped, value) if "\\" in value else value
    return tags


def _unescaped(escape: re.Match[str]) -> str:
    return _UNESCAPED.get(
        escape[1], escape[1]
    )  # a backslash before anything else, or before nothing, goes (message-tags)


def meant(line: IrcLine) -> Line | Removal | Left:
    """What a line means to those who read the chat of a channel.

    Ids, times and authors are the tags' where there are tags (``id``, ``user-id``, ``tmi-sent-ts`` of Twitch; ``msgid``, ``account``,
    ``time`` of IRCv3), else the author is the nickname and the line has neither id nor time. All tags that found no field of their own
    are in ``details["tags"]``.
    """
    match line.command:
        case "PRIVMSG":
            return _said(line)
        case "USERNOTICE":
            return _told(line)
        case "CLEARMSG":
            target = line.tags.get("target-msg-id")
            return Removal(line_id=target, program_us=_time_us(line.tags)) if target else Left("CLEARMSG of nothing")
        case "CLEARCHAT":
            return _cleared(line)
        case command if command in _LEFT:
            return Left(command)
        case command:
            return Left("a numeric reply" if command.isdigit() else "a command that is not known")


def _said(line: IrcLine) -> Line | Left:
    if len(line.params) < 2 or not line.nick:
        return Left("PRIVMSG without a text")
    if not line.params[0].startswith(tuple(CHANNEL_MARKS)):
        return Left("PRIVMSG to one person")
    text = line.last
    details: dict[str, Any] = {}
    if text.startswith("\x01"):
        name, _, text = text.strip("\x01").partition(" ")
        if name != "ACTION":
            return Left("a request of one client to others (CTCP)")
        details["action"] = True  # /me
    kind = "message"
    bits = line.tags.get("bits", "")
    if bits.isascii() and bits.isdigit() and len(bits) <= _AMOUNT_DIGITS_MAX and int(bits):
        kind = "paid"
        details |= {"amount": int(bits), "currency": "bits"}
    return _line(line, kind, text, details)


def _told(line: IrcLine) -> Line | Left:
    """Subscriptions, raids, announcements: the server's sentence, and what the person wrote with it."""
    said = line.params[1] if len(line.params) > 1 else ""
    notice = line.tags.get("msg-id", "")  # sub, raid, …
    if notice == "announcement":
        return _line(line, "announcement", said, {}) if said else Left("an announcement without a text")
    text = "\n".join(part for part in (line.tags.get("system-msg", ""), said) if part)
    return (
        _line(line, "system", text, {"notice": notice} if notice else {}) if text else Left("USERNOTICE without a text")
    )


def _line(line: IrcLine, kind: str, text: str, details: dict[str, Any]) -> Line:
    tags = line.tags
    nick = line.nick if line.command == "PRIVMSG" else tags.get("login", "")
    badges = tuple(name for badge in tags.get("badges", "").split(",") if (name := badge.partition("/")[0]))
    rest = {
        name: value
        for name, value in tags.items()
        if value and name not in _READ_TAGS and not name.startswith(_REPLY_TAGS)
    }
    return Line(
        id=tags.get("id") or tags.get("msgid") or "",
        kind=kind,
        program_us=_time_us(tags),
        author_id=_author_id(tags, nick),
        author_name=tags.get("display-name") or nick,
        role=next((_ROLES[badge] for badge in badges if badge in _ROLES), "participant"),
        badges=badges,
        text=_FORMATTING.sub("", text),
        reply_to=tags.get("reply-parent-msg-id") or tags.get("+draft/reply") or tags.get("+reply") or None,
        details=details | ({"tags": rest} if rest else {}),
    )


def _author_id(tags: Mapping[str, str], nick: str) -> str | None:
    """A number where there is one; an account of a network that has them, which must not pass for somebody of that nickname; a nickname."""
    if tags.get("user-id"):
        return tags["user-id"]
    return f"account:{tags['account']}" if tags.get("account") else folded_nick(nick) or None


def _cleared(line: IrcLine) -> Removal:
    author_id = line.tags.get("target-user-id") or (folded_nick(line.last) if len(line.params) > 1 else None)
    return Removal(author_id=author_id or None, program_us=_time_us(line.tags))


def _time_us(tags: Mapping[str, str]) -> int | None:
    sent_ms = tags.get("tmi-sent-ts", "")
    if sent_ms.isascii() and sent_ms.isdigit() and len(sent_ms) <= _TIME_DIGITS_MAX:
        return us_from_ms(int(sent_ms))
    try:
        return us_from_iso(tags["time"]) if "time" in tags else None
    except (ValueError, OverflowError):
        return None
