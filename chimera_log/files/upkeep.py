"""
What is done for the full segments of a log file, behind its writers' back.

Segments beyond the limits are removed, others compressed, and what a dead process
left half done is finished.  One process at a time does it for a file.  `Upkeep`
works a step at a time, so that its thread can stop between any two.
"""

from __future__ import annotations

import errno
import os
from collections import namedtuple
from contextlib import suppress

from chimera_log.files import names
from chimera_log.files.active import ActiveFile
from chimera_log.files.compress import Compression, Turn, clear, leftovers, unfinished
from chimera_log.files.policy import GZIP
from chimera_log.files.retention import superfluous

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Job(Protocol):
        """Work on one segment, a step at a time; `Compression` tells how."""

        verb: str

        def step(self) -> bool:
            """Do a part of it; whether there is more to do."""

        def abandon(self) -> None:
            """Let go of what is half done."""

        def after_fork(self) -> None:
            """Let go, in a forked child, of what its parent goes on with."""


_HIS_TURN = 1.0  # seconds until we look again whether another process is done
_AFTER_FAILURE = 60.0  # seconds until what failed is tried again
_BETWEEN = 3600.0  # seconds until segments that grew too old are looked for again

_NEVER = float("inf")

# Where a log file is, and how it behaves.
Care = namedtuple("Care", ["directory", "name", "aside", "policy"])

# What there is to do.
Plan = namedtuple(
    "Plan",
    [
        "gone",  # segments to be removed
        "torn",  # segments that end with half a line
        "left",  # temporary files of the dead
        "whole",  # segments for which there are jobs
    ],
)


class Upkeep:
    """
    What is to be done for the segments of one log file.

    Args:
        on_trouble: Told the kind of trouble (``compress`` or ``remove``) and, in
            words, what could not be done.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, on_trouble: Callable[[str, str], None], clock: Callable[[], float]
    ) -> None:
        self._on_trouble = on_trouble
        self._clock = clock
        self.compressed = 0
        self._turn: Turn | None = None
        self._begin()

    def __del__(self) -> None:
        """Close what is open; who comes next begins again."""
        with suppress(Exception):  # the interpreter may be half gone
            self.after_fork()

    def ask(self) -> None:
        """Remember that there is a new segment."""
        self._is_asked = True

    def step(self, care: Care) -> float | None:
        """
        Do a part of what there is to do.

        Returns:
            Seconds until there is more to do, 0 at once; ``None``: not before
            somebody asks.
        """
        try:
            return self._step(care)
        except Exception as error:
            what = f"cannot look after its full files: {error}"
            self._on_trouble("compress", what)
            return self._give_up(_AFTER_FAILURE)

    def close(self) -> None:
        """Let go of what is half done; a next step begins again."""
        if self._job is not None:
            self._job.abandon()
        if self._turn is not None:
            self._turn.release()
        self._begin()

    def after_fork(self) -> None:
        """Let go, in a forked child, of what its parent goes on with."""
        if self._job is not None:
            self._job.after_fork()
        if self._turn is not None:
            self._turn.after_fork()
        self.compressed = 0
        self._begin()

    def _begin(self) -> None:
        self._is_asked = True  # a dead process may have left work
        self._is_first = True
        self._again_at = _NEVER
        self._job: Job | None = None
        self._rest: list[Job] = []  # what is to be done next stands last

    def _step(self, care: Care) -> float | None:
        if self._job is not None:
            self._go_on(self._job)
            return 0
        if self._rest:
            self._job = self._rest.pop()
            return 0
        wait = self._again_at - self._clock()
        was_set_back = _BETWEEN < wait < _NEVER  # the clock was
        if self._is_asked or wait <= 0 or was_set_back:
            return self._look_around(care)
        if self._turn is not None:
            self._turn.release()
            self._turn = None
        return None if wait == _NEVER else wait

    def _go_on(self, job: Job) -> None:
        """Do a part of a job."""
        try:
            if job.step():
                return
            self._on_done(job)
        except BlockingIOError:  # somebody holds the segment's lock
            self._postpone(job, _HIS_TURN)
        except Exception as error:
            self._on_trouble(job.verb, f"cannot {job.verb} a full file: {error}")
            self._postpone(job, _AFTER_FAILURE)
            if getattr(error, "errno", None) == errno.ENOSPC:  # nor is there for them
                self._rest.clear()
        self._job = None

    def _on_done(self, job: Job) -> None:
        """Count what was done."""
        self.compressed += isinstance(job, Compression)

    def _postpone(self, job: Job, pause: float) -> None:  # noqa: ARG002  a trail asks
        """Come back to a job that could not be done; it does not hold up the others."""
        self._again_at = min(self._again_at, self._clock() + pause)

    def _look_around(self, care: Care) -> float | None:
        """Find out what there is to do, and begin with it if it is our turn."""
        self._is_asked = False  # before: what is rotated from here on asks again
        self._again_at = _NEVER
        if care.policy.limits.max_age:
            self._again_at = self._clock() + _BETWEEN
        if any(self._plan(care)):
            turn = self._turn or Turn(care.aside.path)
            if not turn.take():
                return self._give_up(_HIS_TURN)
            self._turn = turn
            plan = self._plan(care)  # again: another process may just have done it
            if plan.left:  # by the dead, since nobody else compresses now
                clear(care.aside.path)
            for entry in plan.torn:
                path = os.path.join(care.directory, entry)
                ActiveFile(path, care.policy, self._on_trouble, care.aside).mend()
            for entry in plan.gone:
                self._remove(os.path.join(care.directory, entry))
            self._rest = self._jobs(care, plan.whole)[::-1]
        self._is_first = False
        return 0

    def _jobs(self, care: Care, segments: list[str]) -> list[Job]:
        """Return what is to be done for *segments*, the oldest first."""
        return [
            Compression(
                os.path.join(care.directory, each), care.aside.path, care.policy.mode
            )
            for each in segments
        ]

    def _plan(self, care: Care) -> Plan:
        sizes = _sizes(care.directory)
        active = os.path.join(care.directory, care.name)
        gone = superfluous(
            care.name,
            sizes,
            care.policy.limits,
            active_size=sizes.get(care.name, 0),
            # Only of a file: what a pipe holds is somebody else's to read.
            active_first=_first_time(active) if care.name in sizes else None,
            now=self._clock(),
        )
        raw = unfinished(care.name, sizes.keys() - gone)
        torn = []
        if self._is_first:
            torn = [
                each for each in raw if _is_torn(os.path.join(care.directory, each))
            ]
        left = leftovers(care.aside.path)
        whole = raw if care.policy.compression == GZIP else []
        return Plan(gone, torn, left, whole)

    def _remove(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._on_trouble("remove", f"cannot remove a full file: {error}")

    def _give_up(self, pause: float) -> float:
        """Begin again after *pause* seconds, unless somebody asks before."""
        self.close()
        self._is_asked = False
        self._again_at = self._clock() + pause
        return pause


def _sizes(directory: str) -> dict[str, int]:
    """Return the files in *directory*, and how many bytes each has."""
    sizes = {}
    with os.scandir(directory) as found:
        for entry in found:
            with suppress(FileNotFoundError):  # removed in this moment
                if entry.is_file(follow_symlinks=False):
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
    return sizes


def _is_torn(path: str) -> bool:
    """Whether a power cut left half a line, or none, at the end of a file."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    return False


def _first_time(path: str) -> float | None:
    """Return when the first line of the file at *path* was written, if it tells."""
    with suppress(OSError), open(path, "rb") as file:
        return names.time_of_line(file.read(names.TIME_IS_WITHIN))
    return None
