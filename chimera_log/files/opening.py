"""
Open a log file, or make it: where it really is, and for whom it is meant.

What root makes in a directory of another user belongs to that user: whoever made
the directory for a service expects the service to be able to go on.

Small functions around system calls; nothing is remembered.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

# O_BINARY: Windows would write every line feed as two bytes.
FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_MAX_LINKS = 40  # links that lead to links; the kernel follows no more


def open_or_make(path: str, flags: int, mode: int) -> int:
    """
    Open the file at *path*, and make it if it is not there.

    One that is made has the permission bits of *mode*, whatever the umask, and
    the owner of its directory, if root made it.  One that was there keeps both.

    Raises:
        OSError: If that cannot be done; `FileNotFoundError` where there is no
            directory.
    """
    with suppress(FileNotFoundError):
        return os.open(path, flags)
    owner = _owner_for(os.path.dirname(path))
    try:
        if owner:
            return _make_for(owner, path, flags, mode)
        return _make(path, flags, mode)
    except FileExistsError:  # a sibling was first
        return os.open(path, flags)


def make_directory(path: str, mode: int = 0o777) -> None:
    """
    Make the directory *path* and those above it, unless it is there.

    Each belongs to the owner of the one above it, if root makes it.

    Args:
        path: Absolute.
        mode: The permission bits of the last one, which the umask narrows.

    Raises:
        OSError: If that cannot be done.
    """
    above = os.path.dirname(path)
    if above != path and not os.path.isdir(above):
        make_directory(above)
    try:
        os.mkdir(path, mode)
    except FileExistsError:  # whatever it is: opening a file in it will tell
        return
    owner = _owner_for(above)
    if owner:
        # By descriptor: whoever owns the one above could put a link here.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | NOFOLLOW)
        try:
            _give(fd, owner)
        finally:
            os.close(fd)


def sync_directory(path: str) -> None:
    """
    Have the names in a directory survive a power cut, where that can be had.

    Raises:
        OSError: If it cannot be opened or synced.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs no directories
            raise
    finally:
        os.close(fd)


def is_root() -> bool:
    """Whether this process has the rights of root now."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def target_of(path: str) -> str:
    """
    Return the path that *path* leads to, if it is a symbolic link.

    A device ends the search: ``/dev/stdout`` is itself a link, to what may have
    no path at all.
    """
    for _ in range(_MAX_LINKS):
        directory, name = os.path.split(path)
        path = os.path.join(os.path.realpath(directory), name)
        if is_device(path):
            break
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:  # no link
            break
    return path


def is_device(path: str) -> bool:
    """
    Whether *path* is one that the system made, often a link (``/dev/stdout``).

    What such a name leads to is somebody else's, though it be a regular file.
    """
    return path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm/")  # noqa: S108  memory for everybody's files


def read_at(fd: int, length: int, offset: int) -> bytes:
    """Return up to *length* bytes of *fd* from *offset* on."""
    if hasattr(os, "pread"):
        return os.pread(fd, length, offset)
    # Windows.  Moving the position harms nobody: what is appended goes to the end.
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


def write_all(fd: int, data: bytes) -> None:
    """Write *data*, in as many calls as it takes."""
    while data:
        data = data[os.write(fd, data) :]


def _make(path: str, flags: int, mode: int) -> int:
    # Exclusively: of a file that was planted meanwhile, a link to the system's
    # passwords, say, nothing must be changed.
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    _allow(fd, mode)
    return fd


def _make_for(owner: tuple[int, int], path: str, flags: int, mode: int) -> int:
    """Make a file that has its owner before anybody sees it, where that can be."""
    try:
        return _make_unseen(owner, path, flags, mode)
    except FileExistsError:
        raise
    except (AttributeError, OSError):  # a system or file system without, or no /proc
        fd = _make(path, flags, mode)
        _give(fd, owner)
        return fd


def _make_unseen(owner: tuple[int, int], path: str, flags: int, mode: int) -> int:
    """Make a file without a name, and name it when all is done."""
    fd = os.open(os.path.dirname(path), flags & ~NOFOLLOW | os.O_TMPFILE, mode)
    try:
        _give(fd, owner)
        _allow(fd, mode)
        # With src_dir_fd, which is not looked at, it is the file that gets the name.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _allow(fd: int, mode: int) -> None:
    if hasattr(os, "fchmod"):
        with suppress(OSError):  # not every file system keeps modes
            os.fchmod(fd, mode)


def _give(fd: int, owner: tuple[int, int]) -> None:
    with suppress(OSError):  # not every file system has owners
        os.fchown(fd, *owner)


def _owner_for(directory: str) -> tuple[int, int] | None:
    """Return the user and group to give to what we make in *directory*, if any."""
    if not is_root():
        return None
    owner = os.stat(directory)
    return (owner.st_uid, owner.st_gid) if owner.st_uid else None
