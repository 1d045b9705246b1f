"""
Log files for the tests of the engine: made, broken and held in many ways.
"""

from __future__ import annotations

import fcntl
import os
import signal
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from chimera_log.audit import chain
from chimera_log.files.policy import Policy, Threads
from chimera_log.files.retention import Limits
from chimera_log.files.segments import Segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

FIRST = 1761554280.0  # 2025-10-27 08:38:00 UTC
STAMP = "20251027T083800Z"
POLICY = Policy(
    max_bytes=10,
    limits=Limits(100),
    mode=0o640,
    follow_symlinks=False,
    lock_timeout=30.0,
    max_waiting=1_000,
    keep_gil=False,
)


class Log:
    """
    Segments in a folder of their own, with what they reported.

    Args:
        folder: Where they are.
        name: The active file's name.
        policy: What differs from `POLICY`.
    """

    def __init__(self, folder: Path, name: str = "bot.log", **policy: Any) -> None:
        self.path = folder / name
        self.policy = POLICY._replace(**policy)
        self.troubles: list[tuple[str, str]] = []
        self.opened: list[Segments] = []
        self.now = FIRST
        self.asked: list[str] = []  # of the threads: to sync, to maintain

    def open(self, **policy: Any) -> Segments:
        """Return new segments at the path."""
        if "backup_count" in policy:
            policy["limits"] = Limits(policy.pop("backup_count"))
        segments = Segments(
            str(self.path),
            self.policy._replace(**policy),
            lambda kind, message: self.troubles.append((kind, message)),
            lambda: self.now,
            Threads(
                lambda: self.asked.append("sync"),
                lambda: self.asked.append("maintain"),
            ),
        )
        self.opened.append(segments)
        return segments

    def close(self) -> None:
        """Close all that were opened, whatever still waits."""
        for segments in self.opened:
            segments.at_exit()
            segments.close()

    @property
    def kinds(self) -> list[str]:
        """The kinds of trouble that were reported."""
        return [kind for kind, _ in self.troubles]

    @property
    def full(self) -> list[Path]:
        """The full segments, the oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))

    @property
    def contents(self) -> list[bytes]:
        """What the files hold, the active one last."""
        return [file.read_bytes() for file in [*self.full, self.path]]

    @property
    def lines(self) -> list[bytes]:
        """The lines of all files, in order."""
        return b"".join(self.contents).splitlines(keepends=True)

    @property
    def aside(self) -> Path:
        """The hidden folder."""
        return self.path.with_name(f".{self.path.name}.d")


def unchained(lines: Iterable[bytes]) -> list[bytes]:
    """
    Return *lines* of a trail as they were before it linked them.

    Args:
        lines: All of them, without their line feeds; their chain has to be whole.
    """
    head: chain.Head | None = None
    found = []
    for line in lines:
        link = chain.link_of(line + b"\n")
        assert link is not None, line
        head = chain.follow(line + b"\n", head or chain.begin(link.chain))
        assert head is not None, line
        found.append(line[: line.rindex(b',"audit":')] + b"}")
    return found


def maintained(segments: Segments) -> float | None:
    """Do all that is to be done for *segments*; return when there is more."""
    while (pause := segments.maintain()) == 0:
        pass
    return pause


@contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of the file at *path* as another process would; yield a release."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lambda: fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def is_unlocked(path: Path) -> bool:
    """Whether nobody holds the lock of the file at *path*."""
    with suppress(BlockingIOError), held(path):
        return True
    return False


def in_child(work: Callable[[], bool]) -> bool:
    """Return what *work* says in a forked child."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forking beside threads; there are none of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def refusing(code: int) -> Callable[..., Any]:
    """Return a system call that fails."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, f"refused {args} {kwargs}")

    return refuse
