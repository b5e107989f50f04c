"""chatsync: chat that stays with the picture.

A relay captures live chat, stamps every message with the HLS program date-time, keeps it, and serves it in slices that a
player shows at the right moment. See ARCHITECTURE.md for the layers and GLOSSARY.md for the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatsync.analysis import open_archive as open_archive

__all__ = ["__version__", "open_archive"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``open_archive`` brings DuckDB and Arrow along, half a second that no other use of the package should take."""
    if name == "open_archive":
        from chatsync.analysis import open_archive as found  # noqa: PLC0415

        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
