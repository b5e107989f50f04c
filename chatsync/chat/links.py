"""Links in a text, also those that are written so that nobody finds them.

Owns: ``hosts_in``, ``is_below``. Does not know: which links may stay, what players make into links (``chat.text.fragments``: less than
is found here). Source: RFC 3986 §3.2; which endings of names are found without ``://`` is a choice of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["hosts_in", "is_below"]

# Endings that need nothing beside them. Those that are words of some language too ("it.is", "fin.au", "the end.live") count before a
# path only, as all others do: people leave out the space after a full stop.
_ENDING = re.compile(
    "com|org|net|edu|gov|biz|io|gg|tv|app|dev|xyz|ru|ua|kz|cn|jp|kr|br|mx|uk|fr|de|nl|pl|cz|eu|ch|ca|tk|ml|cf|ga|cc|ws|ly|gl|рф|xn--.*"
)

_HIDDEN_DOT = re.compile(r" ?[\[({<] ?(?:\.|dot|punkt|punto|point) ?[\])}>] ?")
_SPOKEN_DOT = re.compile(r"(?<=\w) (?:dot|\.) (?=(?:com|org|net|gg|io|tv|xyz|ru|de|fr|es)\b)")
_OTHER_DOT = re.compile(r"(?<=[^\W_])[。․‧・](?=[a-z])")

_WITH_SCHEME = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,15}://(?P<authority>[^\s/?#]*)")
_WITHOUT = re.compile(
    r"(?<![\w@./-])(?P<host>(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,9}(?P<ending>[^\W\d_]{2,24}|xn--[a-z0-9-]{1,59}))"
    r"(?![\w@-])(?P<more>(?::\d{1,5})?/[^\s/])?"
)
_NUMBERS = re.compile(r"(?<![\w@./-])(?P<host>\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5}|/)")


def hosts_in(copy: str) -> Iterator[str]:
    """The hosts of all links in a text; empty for one whose host cannot be told for certain.

    Args:
        copy: a folded copy (``chat.text.folded``) or a skeleton.

    Cost: linear in the length.
    """
    copy = _OTHER_DOT.sub(".", _SPOKEN_DOT.sub(".", _HIDDEN_DOT.sub(".", copy)))
    for found in _WITH_SCHEME.finditer(copy):
        yield _host(found["authority"])
    for found in _WITHOUT.finditer(copy):
        if found["more"] or found["host"].startswith("www.") or _ENDING.fullmatch(found["ending"]):
            yield found["host"]
    for found in _NUMBERS.finditer(copy):
        yield found["host"]


def is_below(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host is one of these or below one of them."""
    return any(host == one or host.endswith(f".{one}") for one in hosts)


def _host(authority: str) -> str:
    """The host of an authority; empty where readers of URLs differ about it, as with an at sign or a backslash."""
    if "@" in authority or "\\" in authority or "%" in authority:
        return ""
    return re.sub(r":\d{0,5}$", "", authority.rstrip(".,;:!?)'\"»”’]")).rstrip(".")
