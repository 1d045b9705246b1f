"""
Disk space that is set aside for the trail, and given back when there is none left.

A service that has filled its disk still trades.  The reserve is a file without
content beside the trail; removed, it leaves room for some ten thousand records,
until an operator is there.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from chimera_log.files import opening

# Bytes that have to be free besides, or the reserve would itself be what fills it.
_SPARE = 2


class Reserve:
    """
    The reserve in a hidden folder; all processes that write to the trail share it.

    Args:
        folder: The trail's hidden folder; made if need be.
        size: Bytes; 0: none.
    """

    def __init__(self, folder: str, size: int) -> None:
        self._folder = folder
        self._path = os.path.join(folder, "reserve")
        self._size = size

    def fill(self) -> None:
        """
        Set the space aside, if it is not, and there is twice as much.

        Where that cannot be done there is no reserve; nothing else depends on it.
        """
        if not self._size or self._held() >= self._size:
            return
        with suppress(OSError, AttributeError):  # no such call here
            opening.make_directory(self._folder, 0o750)
            disk = os.statvfs(self._folder)
            if disk.f_bavail * disk.f_frsize < _SPARE * self._size:
                return
            flags = opening.FLAGS | opening.NOFOLLOW
            fd = opening.open_or_make(self._path, flags, 0o640)
            try:
                os.posix_fallocate(fd, 0, self._size)
            except OSError:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)

    def release(self) -> bool:
        """Give the space back; whether there was any."""
        held = self._held()
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return held > 0

    def _held(self) -> int:
        try:
            found = os.lstat(self._path)
        except OSError:
            return 0
        # Of a link that somebody planted the size says nothing.
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
