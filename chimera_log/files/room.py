"""
How much room a disk has left, and whether a log file may take it.
"""

from __future__ import annotations

import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chimera_log.files.policy import Policy

_PAUSE = 1.0  # seconds between two looks


class Room:
    """
    Whether others need what is left of a log file's disk.

    Attributes:
        is_lacking: Whether they do, as far as was seen.
        is_watched: Whether `look` will be called, or need not be; whoever writes and
            finds that it is not calls for it.
    """

    def __init__(self) -> None:
        self.is_lacking = False
        self.is_watched = False
        self._seen = 0

    def look(self, directory: str, policy: Policy, written: int) -> float | None:
        """
        Find out whether there is room.

        Args:
            directory: Where the file is.
            policy: Whose *min_free_bytes* is left to others.
            written: Lines written to the file so far.

        Returns:
            Seconds until the next look, which is due while there is no room, or
            lines come; ``None``: when somebody calls for it.
        """
        if not policy.min_free_bytes:
            self.is_lacking = False
            return None
        self.is_lacking = _free_bytes(directory) < policy.min_free_bytes
        seen, self._seen = self._seen, written
        self.is_watched = self.is_lacking or written != seen
        return _PAUSE if self.is_watched else None


def _free_bytes(directory: str) -> float:
    """Return what is free for us on the disk; infinity where that is not known."""
    with suppress(OSError, AttributeError):  # Windows
        disk = os.statvfs(directory)
        return disk.f_bavail * disk.f_frsize
    return float("inf")
