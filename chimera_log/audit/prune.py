"""
Delete full files of a trail that may go, and leave a trace of each.

What may go is `retain`'s to say; nothing else in this package deletes any of a
trail.  A file goes in steps, each of which the disk has before the next one: the
trail itself says that it goes, its manifest says so for ever, and then it is
removed.  Whoever dies in between has removed nothing that nobody told of, and the
next one finishes: at worst the trail says twice what happened once.

A file is removed only if it holds what its manifest says.  Names tell nothing: a
young file may have an old one's.  Nor do the times that a file system keeps.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import namedtuple
from contextlib import contextmanager

from chimera_log.audit import chain
from chimera_log.audit.manifest import ManifestError, Manifests, Tombstone
from chimera_log.audit.reading import READ, DamagedError, Files, VanishedError
from chimera_log.audit.retain import Active, Segment, TrailClock
from chimera_log.files import names, opening
from chimera_log.files.aside import Aside
from chimera_log.files.compress import Turn, chunks, unpacked
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from chimera_log.audit.chain import Key
    from chimera_log.audit.manifest import Sealed
    from chimera_log.audit.retain import Step

_NO_KEY: Sequence[Key | None] = (None,)
_TRIES, _PAUSE = 20, 0.5  # seconds; how often another process's turn is waited for

# A trail as it was found: for `retain.plan`, and its newest chained line, or ``None``.
Survey = namedtuple("Survey", ["segments", "active", "line"])

# What a file's lines tell.
_Content = namedtuple("_Content", ["first_link", "last_line", "last_time"])


class PruneError(Exception):
    """A file that may go was not deleted; nothing that came after it was, either."""


def survey(path: str, keys: Sequence[Key] = ()) -> Survey:
    """
    Look at the files of the trail at *path*, in bounded memory.

    Args:
        path: Its active file, absolute; it need not be there.
        keys: With one of which each manifest has to be signed, whatever it is called;
            without any, none need be.

    Raises:
        VerifyError: If there is no trail.
        PruneError: If its newest records cannot be read.
        OSError: If its files cannot be read.
    """
    signed = [manifests_of(path, key) for key in (keys or _NO_KEY)]
    with Files(path) as files:
        segments = [
            _segment(each, signed, is_there=each in files.segments)
            for _, each in sorted(
                (names.segment_number(files.name, each) or 0, each)
                for each in {*files.segments, *files.sealed}
            )
        ]
        clock = TrailClock()
        for segment in segments:
            if segment.manifest is not None:
                clock = TrailClock(segment.manifest.sealed.latest)
        content = _Content(None, None, None)
        unread = files.names
        if unread[-1:] == [files.name]:
            content = _look(files, unread.pop(), clock)
        active = Active(content.first_link, clock.elapsed, content.last_time)
        line = content.last_line
        while line is None and unread:
            line = _look(files, unread.pop(), TrailClock()).last_line
        return Survey(segments, active, line)


def key_of(line: bytes | None, keys: Sequence[Key]) -> Key | None:
    """
    Return the key with which the trail is written, under the name that it has there.

    Args:
        line: The newest chained line; ``None`` if there is none.
        keys: That it may be; none for a trail without one.

    Raises:
        ConfigError: If it is none of them: what we would write were no part of the
            chain.
    """
    link = chain.link_of(line) if line else None
    if line is None or link is None:
        return keys[-1] if keys else None
    if keys and link.kid is None:
        raise ConfigError("the trail is written without a key; name none")
    if not keys and link.kid is not None:
        raise ConfigError(f"the trail is written with key {link.kid}; name it")
    for key in keys or _NO_KEY:
        if chain.is_genuine(line, key):
            return None if key is None else key.named(link.kid)
    raise ConfigError(
        "the trail's newest record is not genuine: it was changed, or this is another "
        "key; chimera-log verify tells more"
    )


@contextmanager
def turn(path: str, sleep: Callable[[float], None]) -> Iterator[None]:
    """
    Have the files of the trail at *path* to ourselves, among those who maintain them.

    Args:
        path: Its active file, absolute.
        sleep: Waits so many seconds, while another process has its turn.

    Raises:
        PruneError: If it has it for longer than ten seconds.
        OSError: If the hidden folder cannot be written.
    """
    folder = folder_of(path)
    if not os.path.isdir(folder):  # nothing was ever sealed, so nothing will go
        yield
        return
    ours = Turn(folder)
    for _ in range(_TRIES):
        if ours.take():
            break
        sleep(_PAUSE)
    else:
        raise PruneError("another process is looking after its full files; try later")
    try:
        yield
    finally:
        ours.release()


def delete(
    path: str,
    step: Step,
    manifests: Manifests,
    tell: Callable[[str, Mapping[str, Any]], bool],
    *,
    now: float,
    by: str,
) -> None:
    """
    Delete one full file that may go, or finish what was begun.

    Args:
        path: The trail's active file, absolute.
        step: Says which one, and why.
        manifests: The trail's.
        tell: Writes a line of the trail's own, event and context; returns whether
            the disk has it.
        now: The time, in seconds since the epoch.
        by: Who does it, for the tombstone.

    Raises:
        PruneError: If the file is not what its manifest says, or the trail cannot be
            told.
        OSError: If it cannot be done now.
    """
    directory = os.path.dirname(path)
    manifest, why = step.manifest, step.verdict.why
    files = [os.path.join(directory, step.name + form) for form in ("", ".gz")]
    there = {
        file: _checked(file, manifest.sealed) for file in files if os.path.lexists(file)
    }
    if manifest.tombstone is None or manifest.restored is not None:
        if not tell("audit_pruned", _context(manifest.sealed, why)):
            raise PruneError(f"{step.name}: the trail cannot be told; it stays")
        tombstone = manifest.tombstone or Tombstone(now, why, by)
        try:
            manifests.update(
                step.name,
                lambda found: found._replace(tombstone=tombstone, restored=None),
            )
        except ManifestError as error:
            what = f"{step.name}: its manifest is damaged: {error}; it stays"
            raise PruneError(what) from None
    for file, identity in there.items():
        if _identity(file) != identity:
            raise PruneError(f"{file}: was changed meanwhile; it stays")
        os.unlink(file)
    opening.sync_directory(directory)


def manifests_of(path: str, key: Key | None, older: Sequence[Key] = ()) -> Manifests:
    """
    Return the manifests of the trail at *path*.

    Args:
        path: Its active file, absolute.
        key: Signs what is written, and is required of what is read.
        older: Keys that what is read may be signed with as well.
    """
    return Manifests(folder_of(path), os.path.basename(path), key, older)


def folder_of(path: str) -> str:
    """Return the hidden folder of the trail at *path*."""
    return Aside(*os.path.split(path)).path


def _segment(name: str, signed: Sequence[Manifests], *, is_there: bool) -> Segment:
    trouble = None
    for manifests in signed:
        try:
            return Segment(name, manifests.load(name), None, is_there)
        except (ManifestError, OSError) as error:  # noqa: PERF203  one or two keys
            trouble = f"its manifest is damaged: {error}"
    return Segment(name, None, trouble, is_there)


def _look(files: Files, name: str, clock: TrailClock) -> _Content:
    """Return what the lines of a file tell, and have *clock* see them."""
    first_link = last_line = last_time = None
    try:
        for data, is_whole in files.blocks(name):
            if not is_whole:  # half a line, or more than any line has
                continue
            lines = data.split(b"\n")[:-1]
            for line in lines:
                moment = names.time_of_line(line[: names.TIME_IS_WITHIN])
                clock.see(moment)
                last_time = last_time if moment is None else moment
            first = _first_chained(lines)
            if first is not None:
                first_link = first_link or chain.link_of(first)
                last_line = _first_chained(reversed(lines))
    except (VanishedError, DamagedError) as error:
        raise PruneError(f"{name}: cannot be read to its end: {error}") from None
    return _Content(first_link, last_line, last_time)


def _first_chained(lines: Iterable[bytes]) -> bytes | None:
    for line in lines:
        if chain.link_of(line + b"\n") is not None:
            return line + b"\n"
    return None


def _checked(path: str, sealed: Sealed) -> tuple[int, int, int]:
    """
    Return the identity of a full file that holds what its manifest says.

    Raises:
        PruneError: If it does not.
    """
    identity = _identity(path)
    found, size = hashlib.sha256(), 0
    fd = os.open(path, READ)
    try:
        for chunk in unpacked(fd) if path.endswith(".gz") else chunks(fd):
            found.update(chunk)
            size += len(chunk)
            if size > sealed.bytes:  # and be it without end
                break
    except zlib.error as error:
        raise PruneError(f"{path}: is damaged ({error}); it stays") from None
    finally:
        os.close(fd)
    if (sealed.bytes, sealed.sha256) != (size, found.hexdigest()):
        raise PruneError(f"{path}: is not what its manifest says; it stays")
    return identity


def _identity(path: str) -> tuple[int, int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_size


def _context(sealed: Sealed, why: str) -> dict[str, Any]:
    """Return what the trail says of a file that goes."""
    return {
        "segment": sealed.segment,
        "records": sealed.lines,
        "first_seq": sealed.first_seq,
        "last_seq": sealed.last_seq,
        "sha256": sealed.sha256,
        "reason": why,
    }
