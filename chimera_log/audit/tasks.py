"""
What is to be done behind a trail, as its rules say: its archive, its database.
"""

from __future__ import annotations

from chimera_log.audit.archiving import Archiving
from chimera_log.audit.indexing import Indexing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from chimera_log.audit.behind import Task
    from chimera_log.files.policy import Policy


def tasks_of(
    path: str,
    policy: Policy,
    tell: Callable[[str, Mapping[str, Any]], bool],
    on_trouble: Callable[[str, str], None],
) -> list[Task]:
    """
    Return the tasks for the trail at *path*; none of them is begun.

    Args:
        path: Its active file, absolute.
        policy: How it behaves.
        tell: Writes a line of the trail's own, event and context; returns whether the
            disk has it.
        on_trouble: Told the kind of trouble and, in words, what it is.
    """
    rules = policy.rules
    found: list[Task] = []
    if rules.archive is not None:
        found.append(
            Archiving(
                path,
                rules.archive,
                key=rules.key,
                backup_count=policy.limits.backup_count,
                tell=tell,
                on_trouble=on_trouble,
            )
        )
    if rules.database is not None:
        floor = rules.retention_floor_days
        found.append(Indexing(path, rules.database, floor, on_trouble))
    return found
