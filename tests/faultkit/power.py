"""A disk whose power can be cut: an ext4 file system in an image, and the ioctl that shuts it down without flushing its log.

Owns: the image, mounting it, cutting. Does not know: what is written there. Needs root, a free loop device and e2fsprogs.
Source: reliability "Fault kit".
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["LOG_FLUSHED", "LOG_LOST", "PowerDisk", "why_no_power_disk"]

_EXT4_IOC_SHUTDOWN = 0x8004587D
LOG_FLUSHED, LOG_LOST = 1, 2  # what becomes of the file system's own log: written out before the cut, or not
_IMAGE_BYTES = 256 * 1024 * 1024


def why_no_power_disk() -> str | None:
    """Why power cannot be cut here; None if it can. Tries it once."""
    if os.geteuid() != 0:
        return "cutting power needs root (a loop-mounted file system)"
    if shutil.which("mkfs.ext4") is None:
        return "cutting power needs mkfs.ext4 (make servers, or apt-get install e2fsprogs)"
    return None


class PowerDisk:
    """One disk. Make it, :meth:`mount` it, and :meth:`cut` its power as often as you like; :meth:`remove` in the end.

    Args:
        folder: where the image and the mount point lie.
    """

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.place = folder / "disk"
        self._is_mounted = False

    def format(self) -> None:
        """A fresh file system, mounted.

        Raises:
            OSError: it cannot be mounted here.
        """
        self.unmount()
        self._image.unlink(missing_ok=True)
        with self._image.open("wb") as image:
            image.truncate(_IMAGE_BYTES)
        options = ["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-m", "0"]
        subprocess.run(["mkfs.ext4", "-q", "-F", *options, str(self._image)], check=True)
        self.place.mkdir(exist_ok=True)
        self.mount()

    def mount(self) -> None:
        """Mount it; the file system replays its log, as after a cut.

        Raises:
            OSError: it cannot be mounted here.
        """
        done = subprocess.run(
            ["mount", "-o", "loop", str(self._image), str(self.place)], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise OSError(errno.ENOTSUP, f"no loop mount here: {done.stderr.strip()}")
        self._is_mounted = True

    def cut(self, kill: Callable[[], None], *, flag: int = LOG_LOST) -> None:
        """Lose all that was not synced: shut the file system down, then kill who writes, then unmount.

        Args:
            kill: ends every process that has files open there, and waits for it.
            flag: ``LOG_LOST`` or ``LOG_FLUSHED``.

        Raises:
            OSError: this kernel cannot.
        """
        directory = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _EXT4_IOC_SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(directory)
        kill()
        self.unmount()

    def unmount(self) -> None:
        """Unmount it, if it is mounted."""
        if not self._is_mounted:
            return
        for _ in range(500):  # a killed process may still be letting go
            if subprocess.run(["umount", str(self.place)], check=False, capture_output=True).returncode == 0:
                self._is_mounted = False
                return
            time.sleep(0.02)
        raise OSError(errno.EBUSY, f"{self.place} is still in use")

    def remove(self) -> None:
        """Unmount, whoever is in, and delete the image."""
        if self._is_mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=False)
            self._is_mounted = False
        self._image.unlink(missing_ok=True)
