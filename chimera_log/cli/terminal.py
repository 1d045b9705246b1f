"""
Show on a terminal what may be anybody's words: names of files, and what is in them.
"""

from __future__ import annotations

import re
import sys

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text: str) -> str:
    """Return *text* without what a terminal would obey, or could not show."""
    escaped = _CONTROL.sub(
        lambda found: found[0].encode("unicode_escape").decode(), text
    )
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return escaped.encode(encoding, "backslashreplace").decode(encoding)
