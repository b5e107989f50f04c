"""What every answer tells browsers and caches, whatever it holds: nothing in it runs, nothing is guessed, nothing is kept by oversight.

Owns: the headers no answer goes without, the policy of pages of ours. Does not know: what is answered, to whom; how long a cache may keep it is for each
answer to say, and none does that says nothing.
Source: security-and-privacy §3 ("on every response"), §6; Content Security Policy Level 3; Trusted Types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.types import Message, Send

__all__ = ["INERT", "completed", "page_headers"]

INERT: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""Headers of an answer that is no page: should a browser be made to show it, nothing in it runs or loads."""

_FLOOR = (*INERT, (b"cache-control", b"private, no-store"))
_NOT_MODIFIED = 304  # repeats what bears on caches; what a browser has to know it kept with the answer it has


def completed(send: Send) -> Send:
    """The same, with the headers that an answer lacks: whatever forgot to say so is kept by nobody."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            present = {name.lower() for name, _ in headers}
            floor = _FLOOR if message["status"] != _NOT_MODIFIED else _FLOOR[2:]
            message = {**message, "headers": headers + [header for header in floor if header[0] not in present]}
        await send(message)

    return sent


def page_headers(
    framed_by: Sequence[str] = (), *, sources: Mapping[str, str] | None = None, types: Sequence[str] = ()
) -> dict[str, str]:
    """Headers of a page of ours: what it names may be loaded, nothing else, and no text becomes code.

    Args:
        framed_by: web origins whose pages may show it in a frame; without any, none may.
        sources: by directive, where what it needs comes from, such as ``{"script-src": "'self'"}``.
        types: policies of Trusted Types its scripts make, such as lit's.
    """
    policy = {
        "default-src": "'none'",
        **(sources or {}),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": " ".join(framed_by) or "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": " ".join(types) or "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{directive} {value}" for directive, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
