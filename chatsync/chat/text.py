"""What people may write: Unicode rules for texts and names, links, mentions and emotes in them, and a folded copy for filters.

Owns: ``clean_text``, ``clean_name``, ``clean_reason``, ``clean_title``, ``fragments``, ``emotes_in``, ``folded``, and which ids there can be. Does not know:
rooms, who writes, HTML (text is data; nothing here escapes or marks it up). Lengths are code points after cleaning.
Source: contract §1 and §2; Unicode Standard Annex 9 (bidirectional controls), RFC 5892 appendix A (joiners).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NotRequired, TypedDict

from chatsync.errors import MessageRejectedError

__all__ = [
    "EMOTES_SHOWN_MAX",
    "MARKS_MAX",
    "NAME_CODE_POINTS_MAX",
    "REASON_CHARACTERS_MAX",
    "TEXT_CODE_POINTS_MAX",
    "TITLE_CODE_POINTS_MAX",
    "Fragment",
    "clean_name",
    "clean_reason",
    "clean_text",
    "clean_title",
    "emotes_in",
    "folded",
    "fragments",
    "is_emote_name",
    "is_room_id",
    "without_invisible",
]

TEXT_CODE_POINTS_MAX = 500
NAME_CODE_POINTS_MAX = 32
TITLE_CODE_POINTS_MAX = 200
REASON_CHARACTERS_MAX = 200
EMOTES_SHOWN_MAX = 20  # in one text; the address of each travels with it: 500 code points would be 125 of them
MARKS_MAX = 3  # combining marks over one base; Vietnamese needs 2, pointed Hebrew 3, "zalgo" dozens

_RAW_PER_CLEAN_MAX = 4  # NFC makes one code point of at most four, so four times the limit can still fit
_ROOM_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_EMOTE_NAME = "[a-z0-9_]{2,32}"
_is_emote_name = re.compile(_EMOTE_NAME).fullmatch

# Characters without a shape that are not of the category Cf: fillers of Hangul (letters to Unicode), joiners of marks, vowels
# of Khmer that are never drawn, variation selectors, and what Unicode keeps free for more of them.
_SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_BLANK = "\u2800"  # a Braille cell without a dot: a symbol to Unicode, a space to the eye

_EMBEDDINGS = frozenset("\u202a\u202b\u202d\u202e")  # LRE RLE LRO RLO, closed by PDF
_ISOLATES = frozenset("\u2066\u2067\u2068")  # LRI RLI FSI, closed by PDI
_PDF, _PDI = "\u202c", "\u2069"

# Format characters nobody types: the byte order mark, interlinear annotations, deprecated shapers, language tags.
_DROPPED = re.compile("[\ufeff\ufff9-\ufffb\u206a-\u206f\U000e0000-\U000e007f]")
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_VIRAMA = 9  # canonical combining class of signs that kill a vowel and want a joiner after them
_NO_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_LINE_BREAKS = re.compile("\r\n|[\r\u2028\u2029]")

_LINK_OR_MENTION = (
    r"(?P<link>(?<![\w/])(?i:https?)://[^\s<>\"'`{}|\\^\[\]]+)|(?P<mention>(?<![\w@./+-])@\w(?:[\w.-]{0,30}\w)?)"
)
_TOKEN = re.compile(_LINK_OR_MENTION)
# Words of Chinese or Thai have no space around them, so only letters and digits of ASCII keep a name from being one: 12:30:45.
_TOKEN_WITH_EMOTES = re.compile(rf"{_LINK_OR_MENTION}|(?<![A-Za-z0-9_]):(?P<emote>{_EMOTE_NAME}):(?![A-Za-z0-9_])")
_NO_EMOTES: Mapping[str, str] = MappingProxyType({})
_LINK_HOST = re.compile(
    r"https?://(?:[^\W_](?:[\w-]*[^\W_])?\.)*[^\W_](?:[\w-]*[^\W_])?\.?(?::\d{1,5})?(?:[/?#]|$)", re.I
)
_TRAILING = ".,;:!?…·'\"*_~»”’"


class Fragment(TypedDict):
    """A stretch of a text; all stretches joined give the text again."""

    type: Literal["text", "mention", "link", "emote"]
    text: str
    name: NotRequired[str]  # of an emote
    url: NotRequired[str]  # of its image


def is_room_id(text: str) -> bool:
    """Whether this is a room id (contract §1). Nothing else ever reaches a path, a URL or a key."""
    return _ROOM_ID.fullmatch(text) is not None


def clean_text(text: str, code_points_max: int = TEXT_CODE_POINTS_MAX) -> str:
    """Return the text as it is kept and shown, in NFC.

    Line breaks of every kind become line feeds and tabs become spaces. Directional controls that have no partner in their
    line are removed, as are invisible tag characters and combining marks beyond ``MARKS_MAX`` on one base. White
    space at both ends goes. Cleaning a clean text changes nothing.

    Args:
        text: what somebody wrote.
        code_points_max: the limit, in code points of the result.

    Raises:
        MessageRejectedError: ``empty`` (nothing visible), ``too_long``, ``control_characters``, ``invalid_unicode``
            (lone surrogates and noncharacters).
    """
    _check_raw(text, code_points_max)
    if text.isprintable():  # no control, no format character, no line break: most of what people write
        return _finished(text, code_points_max)
    text = _LINE_BREAKS.sub("\n", text).replace("\t", " ")
    _check_characters(text)
    text = _DROPPED.sub("", text)
    text = "\n".join(_balanced(line) for line in text.split("\n"))
    return _finished(text, code_points_max)


def clean_name(name: str, code_points_max: int = NAME_CODE_POINTS_MAX) -> str:
    """Return a display name as it is kept and shown, in NFC: one line, no directional controls, no invisible padding.

    Joiners stay only where writing needs them: ZWJ inside emoji, either joiner after a virama, ZWNJ between letters of
    Arabic and its relatives. Runs of white space become one space.

    Raises:
        MessageRejectedError: as for ``clean_text``.
    """
    _check_raw(name, code_points_max)
    name = " ".join(name.split())
    _check_characters(name)
    name = "".join(
        character
        for index, character in enumerate(name)
        if unicodedata.category(character) != "Cf" or _is_needed_joiner(name, index)
    )
    return " ".join(_finished(name, code_points_max).split())


def clean_reason(reason: str) -> str:
    """Return a moderator's reason as it is kept: as a text, cut to ``REASON_CHARACTERS_MAX``.

    Raises:
        MessageRejectedError: as for ``clean_text``.
    """
    return clean_text(clean_text(reason)[:REASON_CHARACTERS_MAX])  # a cut may part a control from its partner


def clean_title(title: str) -> str:
    """Return a room's title as it is kept and shown: one line, in NFC, without what no text may hold; empty if nothing can be read in it.

    Nothing is refused: a title that was stored by an earlier version must not keep a relay from starting.
    """
    line = " ".join(_NO_CHARACTERS.sub(" ", title).split())[:TITLE_CODE_POINTS_MAX]
    try:
        return " ".join(clean_text(line, _RAW_PER_CLEAN_MAX * TITLE_CODE_POINTS_MAX).split())
    except MessageRejectedError:
        return ""


def is_emote_name(name: str) -> bool:
    """Whether an emote may have this name, written ``:name:``."""
    return _is_emote_name(name) is not None


def fragments(text: str, emotes: Mapping[str, str] = _NO_EMOTES) -> tuple[Fragment, ...]:
    """Cut a clean text into plain stretches, mentions, links and emotes.

    Links are ``http`` and ``https`` only, without user names, and end before closing punctuation. A mention is ``@`` and
    up to 32 word characters; whom it means is the room's business.

    Args:
        text: clean.
        emotes: addresses of images by name, from the room and never from who writes. The first :data:`EMOTES_SHOWN_MAX` of a text are
            emotes, all else between colons stays text.

    Returns:
        Stretches in order; no two plain ones are neighbours. Their texts joined are ``text``.

    Cost: linear in the length.
    """
    if "@" not in text and "://" not in text and not (emotes and ":" in text):
        return (Fragment(type="text", text=text),) if text else ()
    parts: list[Fragment] = []
    plain_from, shown = 0, 0
    for match in (_TOKEN_WITH_EMOTES if emotes else _TOKEN).finditer(text):
        kind, token = match.lastgroup, match[0]
        part: Fragment
        if kind == "link":
            token = _trimmed_link(token)
            part = Fragment(type="link", text=token)
        elif kind == "mention":
            part = Fragment(type="mention", text=token)
        else:
            url = emotes.get(match["emote"]) if shown < EMOTES_SHOWN_MAX else None
            if url is None:
                continue
            shown += 1
            part = Fragment(type="emote", text=token, name=match["emote"], url=url)
        if not token:
            continue
        if match.start() > plain_from:
            parts.append(Fragment(type="text", text=text[plain_from : match.start()]))
        parts.append(part)
        plain_from = match.start() + len(token)
    if plain_from < len(text):
        parts.append(Fragment(type="text", text=text[plain_from:]))
    return tuple(parts)


def emotes_in(text: str, emotes: Mapping[str, str]) -> dict[str, str]:
    """Those of a room's emotes that a text shows, with their addresses: what is kept with it, so that it stays as it was written."""
    return {part["name"]: part["url"] for part in fragments(text, emotes) if part["type"] == "emote"}


def folded(text: str) -> str:
    """Return the copy that filters and searches compare: NFKC, case folded, without invisible characters or accents' order.

    Never shown and never kept instead of the text. Folding a folded text changes nothing.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    previous = None
    while text != previous:  # folding case can undo NFKC and the other way round; two rounds are enough in practice
        previous = text
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", without_invisible(text)).casefold())
    return " ".join(text.split())


def without_invisible(text: str) -> str:
    """The text without characters that have no shape; blank ones are spaces."""
    if text.isascii():
        return text
    shaped = _SHAPELESS.sub("", text).replace(_BLANK, " ")
    return "".join(character for character in shaped if unicodedata.category(character) != "Cf")


def _check_raw(text: str, code_points_max: int) -> None:
    # Before anything that costs: normalising a long run of unsorted marks takes quadratic time.
    if len(text) > _RAW_PER_CLEAN_MAX * code_points_max:
        raise _too_long(code_points_max)


def _check_characters(text: str) -> None:
    for character in text:
        code_point = ord(character)
        if 0xD800 <= code_point <= 0xDFFF or code_point & 0xFFFE == 0xFFFE or 0xFDD0 <= code_point <= 0xFDEF:
            raise MessageRejectedError("invalid_unicode", "The text holds code points that are no characters.")
        if character != "\n" and unicodedata.category(character) == "Cc":
            raise MessageRejectedError("control_characters", "The text holds control characters.")


def _finished(text: str, code_points_max: int) -> str:
    text = text.strip() if text.isascii() else _thinned(unicodedata.normalize("NFC", text)).strip()
    if not any(_is_visible(character) for character in text):
        raise MessageRejectedError("empty", "There is nothing to read in it.")
    if len(text) > code_points_max:
        raise _too_long(code_points_max)
    return text


def _too_long(code_points_max: int) -> MessageRejectedError:
    return MessageRejectedError("too_long", f"At most {code_points_max} characters.")


def _is_visible(character: str) -> bool:
    if character == _BLANK or _SHAPELESS.match(character):
        return False
    return unicodedata.category(character) not in {"Cf", "Zs", "Zl", "Zp", "Cc", "Mn", "Me"}


def _thinned(text: str) -> str:
    """Keep at most ``MARKS_MAX`` combining marks on one base; an invisible character is no new base."""
    kept, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        if category in {"Mn", "Me"}:
            marks += 1
            if marks > MARKS_MAX:
                continue
        elif category != "Cf":
            marks = 0
        kept.append(character)
    return "".join(kept)


def _balanced(line: str) -> str:
    """Drop directional controls without a partner in this line (UAX 9: every paragraph starts afresh)."""
    if not any(c in _EMBEDDINGS or c in _ISOLATES or c in {_PDF, _PDI} for c in line):
        return line
    dropped: set[int] = set()
    opened: list[int] = []
    for index, character in enumerate(line):
        if character in _EMBEDDINGS or character in _ISOLATES:
            opened.append(index)
        elif character == _PDF:
            if opened and line[opened[-1]] in _EMBEDDINGS:
                opened.pop()
            else:
                dropped.add(index)
        elif character == _PDI:
            if not any(line[place] in _ISOLATES for place in opened):
                dropped.add(index)
                continue
            while line[place := opened.pop()] not in _ISOLATES:
                dropped.add(place)  # the isolate ends here, and with it what was opened inside
    dropped.update(opened)
    return "".join(character for index, character in enumerate(line) if index not in dropped)


def _is_needed_joiner(name: str, index: int) -> bool:
    joiner = name[index]
    if joiner not in {_ZWNJ, _ZWJ} or index == 0 or index == len(name) - 1:
        return False
    before, after = name[index - 1], name[index + 1]
    if unicodedata.combining(before) == _VIRAMA:
        return unicodedata.category(after) not in {"Cf", "Zs"}
    if joiner == _ZWNJ:
        return _is_joining_letter(before) and _is_joining_letter(after)
    return _is_pictograph(before) and _is_pictograph(after)


def _is_joining_letter(character: str) -> bool:
    in_arabic_or_kin = "\u0600" <= character <= "\u08ff" or "\u1800" <= character <= "\u18aa"
    return in_arabic_or_kin and unicodedata.category(character)[0] in {"L", "M"}


def _is_pictograph(character: str) -> bool:
    # So: pictographs; Sk: skin tones; ♀ and ♂ are So too; FE0F asks for the coloured form of the one before it.
    return character == "\ufe0f" or unicodedata.category(character) in {"So", "Sk", "Cn"}


def _trimmed_link(link: str) -> str:
    """The link without closing punctuation; empty if no host is left or if it carries a user name."""
    while link and (link[-1] in _TRAILING or (link[-1] == ")" and link.count(")") > link.count("("))):
        link = link[:-1]
    if _LINK_HOST.match(link) is None:
        return ""
    # printable is all but C* and Z*: most links need no look at each character
    if not link.isprintable() and any(unicodedata.category(c) in {"Cf", "Cc"} for c in link):
        return ""
    return link
