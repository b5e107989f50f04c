"""For notebooks: an archive opened without a server. ``chatsync.open_archive(path)`` is where to begin; docs/analysts.md has the columns."""

from chatsync.analysis.opened import OpenArchive, open_archive

__all__ = ["OpenArchive", "open_archive"]
