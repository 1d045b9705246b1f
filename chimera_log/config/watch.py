"""
Notice that the files of a configuration are others than before.

Their contents decide, so that neither a touched file nor a copy makes work; and they
are looked at through every link, since Kubernetes exchanges a link to a folder.
"""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SETTLED = 0.2  # seconds in which an editor has written all of a file


class Watch:
    """
    What was last seen of some files.

    It is told the time and what there is, and says when to act: once for each change,
    when it has been the same for a moment.

    Args:
        interval: Seconds between two looks.
        seen: What the files are now, as `fingerprint` says.
    """

    def __init__(self, interval: float, seen: str) -> None:
        self.interval = interval
        self._acted_on = seen
        self._seen = seen
        self._since = float("-inf")

    def has_changed(self, seen: str, now: float) -> bool:
        """Whether to act on *seen*: it is new, and at rest."""
        if seen != self._seen:
            self._seen, self._since = seen, now
        if seen == self._acted_on or now - self._since < _SETTLED:
            return False
        self._acted_on = seen
        return True

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        is_at_rest = self._seen == self._acted_on
        return self.interval if is_at_rest else min(_SETTLED, self.interval)


def fingerprint(files: Iterable[str | os.PathLike[str]]) -> str:
    """Return what tells the contents of *files* from others; it never raises."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"\0{path}\0".encode("utf-8", "surrogatepass"))
        try:
            with open(path, "rb") as file:  # noqa: PTH123  a path of any kind
                digest.update(file.read())
        except (OSError, ValueError) as error:
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()
