"""
Show on a terminal what may be anybody's words, and how far something has come.
"""

from __future__ import annotations

import re
import sys

_WIDTH = 30  # characters
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """Return *text* without what a terminal would obey, or could not show."""
    escaped = _CONTROL.sub(
        lambda found: found[0].encode("unicode_escape").decode(), text
    )
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


class Bar:
    """
    How far something has come: one line on a terminal, and nothing anywhere else.

    Args:
        what: It is about.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = False

    def show(self, done: int, total: int) -> None:
        """Show that so many of *total* are done."""
        if total and sys.stderr.isatty():
            self._is_shown = True
            full = _WIDTH * done // total
            bar = "#" * full + "-" * (_WIDTH - full)
            line = f"{printable(self._what)} [{bar}] {done}/{total}"
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away: something else is to be shown."""
        if self._is_shown:
            self._is_shown = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
