"""
Give a full segment of a trail its manifest: a step at a time.

Nobody changes a full segment any more, but for a writer that could not open its
next file and writes one line more.  So the segment is read, and its manifest
written, only where the lock says that nobody is at it, and the length is still what
was read.  From then on the file may only be read.

Segments are sealed in the order of their numbers, since each manifest has the
digest of the one before.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import zlib
from collections import namedtuple
from contextlib import suppress

from chimera_log.audit import chain
from chimera_log.audit.manifest import Manifest, ManifestError, Sealed, digest
from chimera_log.audit.retain import TrailClock
from chimera_log.files import names, opening
from chimera_log.files.compress import chunks, unpacked
from chimera_log.files.syscalls import Ordinary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from chimera_log.audit.manifest import Manifests

_READ = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | opening.NOFOLLOW
)
_WRITERS = 0o222  # permission bits
# How a line of ours begins.
_TIME = re.compile(rb'\{"timestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"')

# What was found in a segment.
_Content = namedtuple(
    "_Content",
    ["lines", "bytes", "sha256", "first", "last", "first_link", "last_link", "clock"],
)


class Sealing:
    """
    One full segment that gets its manifest; used like a `Compression`.

    Args:
        path: The segment, raw or compressed.
        name: The active file's name.
        manifests: Where its manifest goes.
        retention_floor_days: What it promises; never less than the one before.
        on_trouble: Told, in words, what is not as it was asked for.
    """

    verb = "seal"

    def __init__(
        self,
        path: str,
        name: str,
        manifests: Manifests,
        retention_floor_days: float,
        on_trouble: Callable[[str, str], None],
    ) -> None:
        self.path = path
        self._directory, self._entry = os.path.split(path)
        self._name = name
        self._manifests = manifests
        self._floor = retention_floor_days
        self._on_trouble = on_trouble
        self._fd = -1
        self._work = self._steps()

    def step(self) -> bool:
        """
        Read about a megabyte, or write the manifest; whether there is more to do.

        Raises:
            OSError: If it cannot be done now; `BlockingIOError` if somebody holds
                the segment's lock.  The next step begins again.
        """
        try:
            next(self._work)
        except StopIteration as end:
            self.abandon()
            return bool(end.value)
        except BaseException as error:
            self.abandon()
            if isinstance(error, zlib.error):
                what = f"is damaged ({error})"
                raise OSError(errno.EIO, what, self.path) from None
            raise
        return True

    def abandon(self) -> None:
        """Close the file; a next step begins again."""
        self._work = self._steps()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # closed behind our back
                os.close(fd)

    def after_fork(self) -> None:
        """Let go, in a forked child, of what its parent goes on with."""
        self.abandon()

    def _steps(self) -> Generator[None, None, bool]:
        """Do the work, with a pause at each yield; whether to do all of it again."""
        previous = self._previous()
        try:
            self._fd = os.open(self.path, _READ)
        except FileNotFoundError:  # compressed meanwhile, by whom it was sealed
            return False
        content = yield from self._read(previous)
        os.fsync(self._fd)
        opening.sync_directory(self._directory)
        yield
        self._lock()
        if (
            not self.path.endswith(".gz")
            and content.bytes != os.fstat(self._fd).st_size
        ):
            return True
        # First: what has a manifest is not looked at again.
        bits = os.fstat(self._fd).st_mode & 0o777
        with suppress(OSError, AttributeError):  # not every file system keeps modes
            os.fchmod(self._fd, bits & ~_WRITERS)
        self._manifests.save(Manifest(self._sealed(content, previous)))
        return False

    def _lock(self) -> None:
        """
        Hold the segment's lock until the file is closed.

        Raises:
            BlockingIOError: If somebody else holds it.
        """
        is_ours = True
        with suppress(OSError):  # no locks here
            is_ours = Ordinary().try_lock(self._fd)
        if not is_ours:
            raise BlockingIOError(errno.EAGAIN, "somebody holds its lock", self.path)

    def _previous(self) -> Sealed | None:
        """Return what the manifest of the segment before says, with whatever key."""
        manifests = self._manifests.of_any_key()
        number = names.segment_number(self._name, self._entry) or 0
        for segment in reversed(manifests.known()):
            if (names.segment_number(self._name, segment) or 0) < number:
                with suppress(ManifestError):  # damaged: verify says so
                    found = manifests.load(segment)
                    if found is not None:
                        sealed: Sealed = found.sealed
                        return sealed
        return None

    def _latest(self, previous: Sealed | None) -> float | None:
        """Return the latest time so far, unless somebody without our key may say it."""
        if previous is not None:
            with suppress(ManifestError):
                self._manifests.load(previous.segment)
                latest: float | None = previous.latest
                return latest
        return None

    def _read(self, previous: Sealed | None) -> Generator[None, None, _Content]:
        is_packed = self.path.endswith(".gz")
        read = unpacked(self._fd) if is_packed else chunks(self._fd)
        found = hashlib.sha256()
        clock = TrailClock(self._latest(previous))
        size = count = 0
        first: bytes | None = None
        last = None
        first_link = last_link = None
        rest = b""
        for chunk in read:
            found.update(chunk)
            size += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > chain.MAX_LINE_BYTES:  # none of ours; its ends tell enough
                rest = rest[: names.TIME_IS_WITHIN] + rest[-chain.MAX_LINE_BYTES :]
            count += len(lines)
            for line in lines:
                clock.see(names.time_of_line(line[: names.TIME_IS_WITHIN]))
            if lines:
                first = lines[0] if first is None else first
                last = lines[-1]
                first_link = first_link or _first_link(lines)
                last_link = _first_link(reversed(lines)) or last_link
            yield
        return _Content(
            *(count, size, found.hexdigest(), _time(first), _time(last)),
            *(first_link, last_link, clock),
        )

    def _sealed(self, content: _Content, previous: Sealed | None) -> Sealed:
        first, last = content.first_link, content.last_link
        return Sealed(
            v=1,
            segment=self._entry.removesuffix(".gz"),
            number=names.segment_number(self._name, self._entry),
            chain=last and last.chain,
            first_seq=first.seq if first else 0,
            last_seq=last.seq if last else 0,
            lines=content.lines,
            bytes=content.bytes,
            sha256=content.sha256,
            head=last and last.hash,
            first_time=content.first,
            last_time=content.last,
            elapsed=content.clock.elapsed,
            latest=content.clock.latest,
            retention_floor_days=self._floor_after(previous),
            previous=previous and digest(previous),
        )

    def _floor_after(self, previous: Sealed | None) -> float:
        if previous is None or previous.retention_floor_days <= self._floor:
            return self._floor
        promised: float = previous.retention_floor_days
        self._on_trouble(
            "floor",
            f"retention_floor_days: {self._floor:g} is less than the {promised:g} that "
            f"{previous.segment} was promised; {promised:g} days hold",
        )
        return promised


def _first_link(lines: Iterator[bytes] | list[bytes]) -> chain.Link | None:
    """Return the link of the first of *lines* that is chained."""
    for line in lines:
        link = chain.link_of(line + b"\n")
        if link is not None:
            return link
    return None


def _time(line: bytes | None) -> str | None:
    """Return the time that *line* tells, as it is written there, if it is like ours."""
    match = _TIME.match(line or b"")
    if match is None or names.time_of_line(match[1]) is None:
        return None
    return match[1].decode()
