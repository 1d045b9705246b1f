"""
What a log file is told about how to behave, and what it tells of itself.
"""

from collections import namedtuple

GZIP, NONE = COMPRESSIONS = ("gzip", "none")
ALWAYS, INTERVAL, ROTATE, NEVER = SYNCS = ("always", "interval", "rotate", "never")

# How a file behaves; the newest handler's wish holds for all that share it.
Policy = namedtuple(
    "Policy",
    [
        "max_bytes",  # size at which a file counts as full; 0 never rotates
        "limits",  # `retention.Limits`: how many full files are kept
        "mode",  # permission bits of the files, whatever the umask
        "follow_symlinks",  # whether the path may be a symbolic link
        "lock_timeout",  # seconds to wait for a lock that somebody else holds
        "max_waiting",  # lines that may wait to be written
        "keep_gil",  # whether calls may keep the GIL where that is safe
        "at_midnight",  # whether a new day begins a new file
        "min_free_bytes",  # of the disk, left to others; 0: none
        "compression",  # `GZIP` or `NONE`: what becomes of full files
        "sync",  # one of `SYNCS`: when the disk is told to keep what was written
        "sync_interval",  # seconds
        "rules",  # what an audit trail is told besides
    ],
    defaults=[False, 0, NONE, ROTATE, 0.1, None],
)

# What happened to a file since this process opened it.
Statistics = namedtuple(
    "Statistics",
    [
        "written",  # lines in the kernel's hands
        "bytes",
        "rotations",
        "retried",  # lines that were written after a wait
        "waiting",
        "dropped",  # lines that found no room to wait
        "unlocked",  # lines written without the lock, after waiting for it
        "repaired",  # fragments of dead writers put aside
        "segments",  # full files on disk
        "sealed",  # full files that we rotated and synced, with their names
        "compressed",  # by this process
        "last_error",  # of writing, rotating or syncing; or None
        "archive",  # of an audit trail that has one: what became of its full files
        "index",  # of one with a database: how far that is
    ],
    defaults=[None, None],
)
COUNTS = Statistics._fields[: Statistics._fields.index("last_error")]


def _nobody() -> None:
    """Do nothing: whoever has no threads calls `sync_due` and `maintain` himself."""


# Called when there is work for the threads: to sync, to maintain; and to sync and
# wait for it, so many seconds at most.
Threads = namedtuple(
    "Threads",
    ["sync", "maintain", "finish_sync"],
    defaults=[_nobody, _nobody, lambda _: None],
)
