"""
The hidden folder beside a log file, for what is about the file and not of it.

Its name begins with a dot (``.chimera.log.d`` beside ``chimera.log``), so that
``chimera.log*`` matches log lines only.  It holds the last number that a full
file was given, and the fragments that killed writers left.

Nothing here is needed to write a line: where the folder cannot be written, log
lines are written all the same.
"""

from __future__ import annotations

import os
from contextlib import suppress

from chimera_log.files import opening


class Aside:
    """
    The hidden folder of the log file *name* in *directory*.

    Args:
        directory: Where the log file is.
        name: The log file's name.
    """

    def __init__(self, directory: str, name: str) -> None:
        self.path = os.path.join(directory, f".{name}.d")

    def last_number(self) -> int:
        """Return the last number that was remembered, or 0."""
        try:
            with open(os.path.join(self.path, "number"), "rb") as file:
                return int(file.read(20))
        except (OSError, ValueError):  # none was given yet
            return 0

    def remember_number(self, number: int, mode: int) -> None:
        """
        Remember the last number given; the one before it, if that fails.

        Args:
            number: At most 20 digits, and not less than the one before.
            mode: The file's permission bits.
        """
        # In its place: a dead writer leaves nothing behind.  If only a part of it is
        # written, the rest is the old number's, and the whole is no less than that.
        self._write("number", b"%020d\n" % number, 0, mode)

    def keep_fragment(self, fragment: bytes, mode: int) -> None:
        """Keep the half line of a killed writer, as a line of its own."""
        self._write("fragments", fragment + b"\n", os.O_APPEND, mode)

    def _write(self, name: str, data: bytes, flag: int, mode: int) -> None:
        """Write *data* to the file *name*, if that can be done."""
        flags = opening.FLAGS | opening.NOFOLLOW | flag
        with suppress(OSError):
            opening.make_directory(self.path, 0o750)
            fd = opening.open_or_make(os.path.join(self.path, name), flags, mode)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
