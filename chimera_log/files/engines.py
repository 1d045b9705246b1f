"""
The log files of this process: one engine for each path, and their threads.

Handlers on one path share its `Segments`.  Two threads serve all of them, each
begun at first need: one syncs, since that takes as long as the disk likes; the
other maintains: it tries again what could not be written, looks how full the disk
is, removes and compresses full files.
"""

from __future__ import annotations

import os
import time
import weakref

from chimera_log.files.policy import Threads
from chimera_log.files.segments import Segments, all_segments
from chimera_log.report import report
from chimera_log.worker import FILES, Worker, at_exit, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    from chimera_log.files.policy import Policy

    S = TypeVar("S", bound=Segments)

_IDLE = 60.0  # seconds that a thread stays when there is nothing to do
CLOSE_TIMEOUT = 5.0  # seconds that the process's end waits for a thread

_by_path: weakref.WeakValueDictionary[str, Segments] = weakref.WeakValueDictionary()


def shared(path: str, policy: Policy, kind: type[S]) -> S:
    """
    Return this process's engine at *path*; the newest policy holds for all.

    Args:
        path: Absolute.
        policy: How it behaves.
        kind: Which engine; one of another kind that is there is not used, and the
            two keep out of each other's way as two processes do.
    """
    known = _by_path.get(path)
    if type(known) is not kind:
        known = _by_path[path] = kind(
            path,
            policy,
            lambda trouble, what: report(f"{path}: {trouble}", f"{path}: {what}"),
            threads=_threads,
        )
    elif known.policy != policy:
        known.use(policy)
    return known


def _sync() -> float | None:
    now = time.monotonic()
    return _soonest(each.sync_due(now) for each in members(all_segments))


def _maintain() -> float | None:
    return _soonest(each.maintain() for each in members(all_segments))


def _soonest(pauses: Iterable[float | None]) -> float | None:
    return min((each for each in pauses if each is not None), default=None)


_syncer = Worker("chimera_log: sync", _sync, idle=_IDLE, in_caller=False)
_maintainer = Worker("chimera_log: maintain", _maintain, idle=_IDLE, in_caller=False)
_threads = Threads(_syncer.wake, _maintainer.wake, _syncer.finish)


@at_exit(FILES)
def _at_exit() -> None:
    is_at_rest = _maintainer.stop(CLOSE_TIMEOUT)
    # What is half compressed is begun again at the next start.  Where the disk, or a
    # pipe's reader, is stuck, we go without.
    is_synced = _syncer.stop(CLOSE_TIMEOUT)
    for segments in members(all_segments):
        if is_at_rest:
            segments.rest()
        if segments.at_exit() and is_synced:
            segments.sync()


def _after_fork_in_parent() -> None:
    for segments in members(all_segments):
        segments.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for segments in members(all_segments):
        segments.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
