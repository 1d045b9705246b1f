"""
Write a line of a trail's own from a command, and have the disk keep it.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager

from chimera_log.audit.trail import Rules, Trail
from chimera_log.files.policy import ALWAYS, Policy
from chimera_log.files.retention import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from chimera_log.audit.chain import Key

_PATIENCE = 5.0  # seconds for the trail's lock


@contextmanager
def telling(
    path: str, key: Key | None, on_trouble: Callable[[str], None]
) -> Iterator[Callable[[str, Mapping[str, Any]], bool]]:
    """
    Yield what writes a line, event and context, and says whether the disk has it.

    Args:
        path: The trail's active file, absolute.
        key: With which the trail is written, or ``None``.
        on_trouble: Told, in words, what could not be done.
    """
    policy = Policy(
        max_bytes=0,  # its own service rotates it
        limits=Limits(0),
        mode=0o640,  # of a file that is not there; one that is keeps its own
        follow_symlinks=False,
        lock_timeout=_PATIENCE,
        max_waiting=1,
        keep_gil=False,
        sync=ALWAYS,
        rules=Rules(key, 1, 0, 0, 0),
    )
    trail = Trail(
        path, policy, lambda _, what: on_trouble(f"{path}: {what}"), time.time
    )
    with closing(trail):
        yield lambda event, context: trail.tell(event, context) and trail.secure(0)
