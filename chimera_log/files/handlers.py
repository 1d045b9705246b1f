"""
The handler for files: `logging`'s options, checked, become an engine's policy.
"""

from __future__ import annotations

import logging
import logging.handlers
import os

from chimera_log import options
from chimera_log.files.engines import shared
from chimera_log.files.lines import CALLER, LineHandler
from chimera_log.files.outlet import BLOCK
from chimera_log.files.policy import (
    COMPRESSIONS,
    GZIP,
    NONE,
    ROTATE,
    SYNCS,
    Policy,
    Statistics,
)
from chimera_log.files.retention import Limits
from chimera_log.files.segments import Segments
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any

LOCK_TIMEOUT = 1.0  # seconds to wait for a lock that another process holds
MAX_WAITING = 10_000  # lines kept while they cannot be written


class RotatingFileHandler(LineHandler, logging.handlers.RotatingFileHandler):
    """
    Write each record as one line to a file that rotates by size.

    A drop-in for the standard library's class of that name: change the module
    path in YAML.  Each record is formatted once, outside the lock; *maxBytes*
    counts bytes, not characters; and the line is in the kernel's hands before
    the logging call returns.  Processes may share a file.

    A full file is renamed once, to ``<filename>.<UTC of its first line>.<number>``,
    and never again; compressing and removing full files is a thread's work, done
    for a file by one process at a time.  A record that cannot be written waits in
    memory, in order and up to 10,000 of them, and is tried again with the next one;
    trouble is reported on stderr, at most once a minute, and counted by
    `statistics`; the call that logs never fails.

    The directory and the file are made at the first record, so that a service
    starts even where they cannot be.

    Args:
        filename: Where to write.  A leading ``~`` and ``${VAR:-default}`` are
            expanded.
        mode: The permission bits of the files, such as ``"0640"`` (the
            default), kept across rotations whatever the umask; ``"a"`` means
            the default.
        maxBytes: Size at which a file counts as full, in bytes or as
            ``"100 MB"``; 0 never rotates.  A line that is longer has a file of
            its own.
        backupCount: Full files kept, the newest; 0 never rotates, as in the
            standard library.
        encoding: ``utf-8``, which is all there is.
        delay: ``True``: the file is opened at the first record.
        errors: Ignored; what UTF-8 cannot say is escaped.
        follow_symlinks: Whether the file may be a symbolic link.  What it leads to
            is rotated, beside itself, and the link stays.  A link that somebody
            planted would have us write to a file of his choice.
        keep_gil: ``auto`` makes the few system calls of a record without giving
            up the GIL, where that is safe (see `chimera_log.files.syscalls`);
            beside busy threads a record then costs under 0.5 ms, not over 100.
            ``never`` gives it up in each, for file systems that may freeze.
        rotate_at: ``midnight``: the first record of a day (UTC) begins a new file,
            too; ``None``: size alone decides.
        total_bytes: Bytes that the files may have together, such as ``"5 GB"``;
            beyond, the oldest full ones go.  0: any number.
        max_age: A full file goes when all its records are older than this: seconds
            or ``"90 days"``.  0: at any age.  Age is told by the names, never by
            what a copy or a restore can change.
        min_free_bytes: When less than this is free on the disk, records are
            dropped and counted until there is more, so that what matters more can
            be written still: bytes or ``"500 MB"``; looked at once a second.
            0: never.
        compression: ``gzip`` compresses full files, ``none`` does not.  What is
            interrupted is finished at the next start.
        sync: When records survive a power cut: ``always`` before the logging call
            returns (which takes milliseconds; threads that log together share
            one), ``interval`` within *sync_interval*, ``rotate`` when their file is
            full, ``never`` when the system gets round to it.
        sync_interval: Seconds, or text such as ``"100 ms"``.
        writer: Who writes: ``caller``, before the logging call returns, or
            ``thread``, within about 2 ms; what still waits in the thread's queue
            dies with the process.
        max_queue_size: Lines that may wait for the thread.
        max_queue_bytes: Their size, in bytes or as ``"16 MB"``.
        when_full: What happens to a line for which there is no room: ``block``
            waits, ``drop_oldest`` and ``drop_newest`` drop and count.
        close_timeout: Seconds that `flush`, `close` and the process's end wait
            for the thread at most.

    Raises:
        ConfigError: If an option cannot work.
    """

    def __init__(  # noqa: PLR0917  stdlib's signature
        self,
        filename: str | os.PathLike[str],
        mode: str | int = "a",
        maxBytes: int | str = 0,  # noqa: N803  stdlib's name
        backupCount: int = 0,  # noqa: N803  stdlib's name
        encoding: str | None = None,
        delay: bool = True,
        errors: str | None = None,
        *,
        follow_symlinks: bool = False,
        keep_gil: str = "auto",
        rotate_at: str | None = None,
        total_bytes: int | str = 0,
        max_age: float | str = 0,
        min_free_bytes: int | str = 0,
        compression: str = NONE,
        sync: str = ROTATE,
        sync_interval: float | str = 0.1,
        writer: str = CALLER,
        max_queue_size: int = 10_000,
        max_queue_bytes: int | str = "16 MB",
        when_full: str = BLOCK,
        close_timeout: float | str = 5.0,
    ) -> None:
        path = _path(filename)
        if encoding is not None and str(encoding).lower().replace("_", "-") not in {
            "utf-8",
            "utf8",
        }:
            raise ConfigError(
                f"encoding: {encoding!r}: lines are UTF-8; write utf-8, or nothing"
            )
        if not options.flag("delay", delay):
            raise ConfigError(
                "delay: False: the file is opened at the first record; remove delay"
            )
        bits = 0o640 if mode == "a" else options.permissions("mode", mode)
        super().__init__(
            path,
            maxBytes=options.size("maxBytes", maxBytes),
            backupCount=options.count("backupCount", backupCount),
            encoding="utf-8",
            delay=True,
            errors=errors,
        )
        self._use_writer(
            name=path,
            writer=writer,
            max_queue_size=max_queue_size,
            max_queue_bytes=max_queue_bytes,
            when_full=when_full,
            close_timeout=close_timeout,
        )
        # Applied at the first record: a handler that is built to be discarded, as
        # a check does, changes nothing for the one that runs.
        self._shared: Segments | None = None
        self._policy = Policy(
            max_bytes=self.maxBytes if self.backupCount else 0,
            limits=self._limits(total_bytes, max_age),
            mode=bits,
            follow_symlinks=options.flag("follow_symlinks", follow_symlinks),
            lock_timeout=LOCK_TIMEOUT,
            max_waiting=MAX_WAITING,
            keep_gil=options.choice("keep_gil", keep_gil, ("auto", "never")) == "auto",
            at_midnight=self._is_at_midnight(rotate_at),
            min_free_bytes=options.size("min_free_bytes", min_free_bytes),
            compression=options.choice("compression", compression, COMPRESSIONS),
            sync=options.choice("sync", sync, SYNCS),
            sync_interval=options.duration("sync_interval", sync_interval),
        )
        if self._policy.compression == GZIP:
            self._needs_backups("compression", compression)

    @property
    def namer(self) -> None:
        """Stdlib's hook for names, always ``None``: names are never used again."""

    @namer.setter
    def namer(self, value: object) -> None:
        _refuse_hook("namer", value)

    @property
    def rotator(self) -> None:
        """Stdlib's hook for moving a full file, always ``None``."""

    @rotator.setter
    def rotator(self, value: object) -> None:
        _refuse_hook("rotator", value)

    def doRollover(self) -> None:  # noqa: N802  stdlib's name
        """Move on to a new file now; nothing happens while *backupCount* is 0."""
        self._file().rotate()

    def flush(self) -> None:
        """Have what was logged before written, and try again what could not be."""
        if self._outlet is not None:
            self._outlet.flush()
        if self._shared:
            self._shared.flush()

    def close(self) -> None:
        """Close the file; a record that still comes opens it again."""
        if self._outlet is not None:
            self._outlet.close()
        if self._shared:
            self._shared.close()
        logging.Handler.close(self)

    def statistics(self) -> Statistics:
        """Return what happened to the file since this process opened it."""
        found = self._file().statistics()
        outlet = self._outlet
        return found._replace(
            waiting=found.waiting + (0 if outlet is None else len(outlet)),
            dropped=found.dropped
            + self._unformatted
            + (0 if outlet is None else outlet.dropped),
        )

    def _limits(self, total_bytes: int | str, max_age: float | str) -> Limits:
        total = options.size("total_bytes", total_bytes)
        age = options.duration("max_age", max_age)
        if total:
            self._needs_backups("total_bytes", total_bytes)
            if total < self.maxBytes:
                raise ConfigError(
                    f"total_bytes: {total_bytes!r} is less than maxBytes, so that no "
                    "full file would be kept; use a multiple of it"
                )
        if age:
            self._needs_backups("max_age", max_age)
        return Limits(self.backupCount, total, age)

    def _is_at_midnight(self, rotate_at: str | None) -> bool:
        if rotate_at is None:
            return False
        options.choice("rotate_at", rotate_at, ("midnight",))
        self._needs_backups("rotate_at", rotate_at)
        return True

    def _needs_backups(self, option: str, value: object) -> None:
        if not self.backupCount:
            raise ConfigError(
                f"{option}: {value!r} has no effect while backupCount is 0, which never "
                "rotates; set backupCount to the full files to keep at most"
            )

    def _file(self) -> Segments:
        """Return the file, which handlers on one path share."""
        if self._shared is None:
            self._shared = shared(self.baseFilename, self._policy, Segments)
        return self._shared

    def _write_line(self, line: bytes) -> None:
        self._file().append(line)

    def _write_lines(self, lines: deque[bytes]) -> None:
        self._file().append_all(lines)


def _refuse_hook(name: str, value: object) -> None:
    if value is not None:
        raise ConfigError(
            f"{name}: {value!r}: full files have names of their own, which are never "
            f"used again; remove {name}"
        )


def _path(filename: Any) -> str:
    """Return *filename* with its variables expanded, if it can name a file."""
    given = os.fspath(filename) if isinstance(filename, os.PathLike) else filename
    if not isinstance(given, str) or not given or "\0" in given:
        raise ConfigError(f"filename: {given!r} is no file name; write one, in quotes")
    path = os.path.expanduser(options.expand("filename", given))
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"filename: {given!r} is no file name here ({error}); write another"
        ) from None
    if path.endswith(os.sep) or os.path.basename(path) in {"", ".", ".."}:
        raise ConfigError(f"filename: {given!r} names a directory; add a file name")
    if os.path.isdir(path):
        raise ConfigError(f"filename: {given!r} is a directory; add a file name")
    return path
