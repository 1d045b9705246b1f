"""
Archive the full files of one trail: a step at a time, each exactly once.

Only what is sealed and compressed is archived, and only if it still holds what its
manifest says.  The manifest says how far a segment has come, and the disk has that
before the next step: its place is chosen; S3 has it, in which version; S3 has its
manifest.  Whoever dies on the way leaves what the next one needs to go on.

S3 refuses a second object of one key.  So where an answer was lost, what is there is
looked at: it is ours if its bytes are.  Whoever overwrites or deletes it only adds a
version; ours is known by its own.

Behind it, local files that may go are removed, as `retain` says and `prune` does.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import time
import zlib
from collections import namedtuple
from contextlib import suppress

from chimera_log.audit import archive as rules
from chimera_log.audit.archive import CHECK, UPLOAD, ArchiveError, explained
from chimera_log.audit.bucket import Bucket
from chimera_log.audit.copies import Copies
from chimera_log.audit.manifest import UPLOADING, Copy, ManifestError, encode
from chimera_log.audit.prune import PruneError, folder_of, manifests_of
from chimera_log.audit.reading import READ
from chimera_log.audit.removing import Removing
from chimera_log.aws.retry import TRANSIENT, Backoff
from chimera_log.aws.session import CallFailed
from chimera_log.files import names
from chimera_log.files.compress import Turn, chunks, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from typing import Any, BinaryIO

    from chimera_log.audit.chain import Key
    from chimera_log.audit.destination import Archive
    from chimera_log.audit.manifest import Manifest, Sealed

    Steps = Generator[float, None, None]  # each yields seconds until the next one

_SOON = 1.0  # seconds until we look whether a full file is sealed and compressed
_IDLE = 30.0  # seconds until we look again whether there is something new
_HIS_TURN = 30.0  # seconds until we look again whether another one is done
_AFTER_FAILURE = 60.0  # seconds until what failed here, on this machine, is tried again
_LONGEST = 900.0  # seconds until what only an operator can mend is tried again
_AT_ONCE = 50  # manifests that are read in one step
_PATIENT = 5  # failures in a row that may be nothing but a busy network

# What became of the segments, since this process began.
Statistics = namedtuple(
    "Statistics",
    [
        "archived",  # segments, by this process
        "waiting",  # segments that are sealed and not archived yet
        "removed",  # local files
        "last_error",  # in words, until something succeeds; or ``None``
    ],
)


class Archiving:
    """
    The archiver of one trail; a task of the thread behind it, or of a command.

    Of those that there are for one trail, in whatever process, one works at a time.

    Args:
        path: The trail's active file, absolute.
        archive: What is configured.
        key: Of the trail, or ``None``.
        older_keys: That its older manifests may be signed with.
        backup_count: Full files beyond which a young one may go whose copy is locked;
            ``None``: no young one goes.
        tell: Writes a line of the trail's own, event and context; returns whether
            the disk has it.
        on_trouble: Told the kind of trouble (``archive`` or ``prune``) and, in words,
            what could not be done.
        clock: Seconds since the epoch.
        monotonic: Seconds that never go back.
        bucket: Makes the connection to S3.
    """

    kind = "archive"

    def __init__(
        self,
        path: str,
        archive: Archive,
        *,
        key: Key | None = None,
        older_keys: Sequence[Key] = (),
        backup_count: int | None = None,
        tell: Callable[[str, Mapping[str, Any]], bool],
        on_trouble: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        bucket: Callable[[Archive], Bucket] = Bucket,
    ) -> None:
        self._work: Steps
        self._backoff: Backoff
        self._has_done_some: bool
        self._directory, self._name = os.path.split(path)
        self._archive = archive
        self._key = key
        self._manifests = manifests_of(path, key, older_keys)
        self._on_trouble = on_trouble
        self._clock = clock
        self._monotonic = monotonic
        self._turn = Turn(folder_of(path), "archive.lock")
        self._bucket = bucket(archive)
        self._copies = Copies(archive, self._bucket)
        self._removing = Removing(
            path,
            [each for each in (key, *older_keys) if each is not None],
            self._manifests,
            backup_count=backup_count,
            tell=tell,
            clock=clock,
            monotonic=monotonic,
        )
        self._begin()

    def step(self) -> float | None:
        """
        Do a part of what there is to do: at most one call to S3.

        Returns:
            Seconds until there is more to do, 0 at once.
        """
        wait = self._backoff.wait(self._monotonic())
        if wait:
            return wait
        try:
            return next(self._work)
        except StopIteration:
            self._work = self._steps()
            if self._has_done_some:  # what became ready meanwhile was not looked for
                self._has_done_some = False
                return 0
            return _SOON if self._is_more_coming() else _IDLE
        except CallFailed as failure:
            self._is_transient = failure.kind == TRANSIENT
            self._fail(
                "archive", f"cannot archive: {explained(self._archive, failure)}"
            )
            self._backoff.failed(
                self._monotonic(), failure.kind, is_throttled=failure.is_throttled
            )
            self._give_way()
            return self._backoff.wait(self._monotonic())
        except Exception as error:
            kind = "prune" if isinstance(error, PruneError) else "archive"
            self._fail(kind, f"cannot {kind}: {error}")
            self._give_way()
            return _AFTER_FAILURE

    def close(self) -> None:
        """Let go of files, locks and the connection; a next step begins again."""
        self._give_way()
        self._bucket.forget()

    def after_fork(self) -> None:
        """Forget, in a forked child, what its parent goes on with."""
        self._turn.after_fork()
        self._removing.after_fork()
        self._bucket.after_fork()
        self._begin()

    def statistics(self) -> Statistics:
        """Return what became of the segments since this process began."""
        return Statistics(
            self._archived, self._waiting, self._removing.removed, self._last_error
        )

    @property
    def has_turn(self) -> bool:
        """Whether no other process was at it when this one looked last."""
        return self._has_turn

    @property
    def may_recover(self) -> bool:
        """Whether what failed may be nothing but a busy network: it is tried again."""
        return 0 < self._backoff.failures <= _PATIENT and self._is_transient

    def _begin(self) -> None:
        self._archived = self._waiting = 0
        self._last_error: str | None = None
        self._is_transient, self._has_turn = False, True
        self._has_done_some = False  # since all was looked through
        self._backoff = Backoff(outage_cap=_LONGEST)
        # What is known of each manifest, once it is all that will ever be.
        self._done: set[str] = set()
        self._floors: dict[str, float] = {}
        self._later: dict[str, float] = {}  # what failed, and until when it may rest
        self._work = self._steps()

    def _give_way(self) -> None:
        """Have another process try, which may have what we lack; begin again later."""
        self._work.close()
        self._turn.release()
        self._work = self._steps()

    def _fail(self, kind: str, what: str) -> None:
        self._last_error = what
        self._on_trouble(kind, what)

    def _steps(self) -> Steps:
        """Do all there is, with a pause at each yield."""
        if not os.path.isdir(self._turn.folder):  # nothing was ever sealed
            return
        while not self._turn.take():
            self._has_turn = False
            yield _HIS_TURN
        self._has_turn = True
        segments = yield from self._look_around()
        for segment in segments:
            yield from self._attempt(segment)
        yield from self._removing.steps()
        self._turn.release()

    def _look_around(self) -> Generator[float, None, list[str]]:
        """Return the segments that are not archived, and can be, the oldest first."""
        unfinished = []
        known = [each for each in self._manifests.known() if each not in self._done]
        for count, segment in enumerate(known, 1):
            if self._is_unfinished(segment):
                unfinished.append(segment)
            if not count % _AT_ONCE:
                yield 0
        self._waiting = len(unfinished)
        now = self._monotonic()
        return [each for each in unfinished if self._later.get(each, now) <= now]

    def _is_unfinished(self, segment: str) -> bool:
        """Whether something is to be done for a segment, and can be."""
        try:
            manifest = self._load(segment)
        except (ManifestError, OSError) as error:
            if self._later.get(segment, 0.0) <= self._monotonic():
                self._set_aside(segment, f"its manifest: {error}")
            return True
        self._floors[segment] = manifest.sealed.retention_floor_days
        copy = manifest.copy
        if rules.next_step(copy) is None or (
            manifest.tombstone is not None and (copy is None or copy.state == UPLOADING)
        ):
            self._done.add(segment)
            self._later.pop(segment, None)
            return False
        return (copy is not None and copy.state != UPLOADING) or self._is_ready(segment)

    def _load(self, segment: str) -> Manifest:
        manifest = self._manifests.load(segment)
        if manifest is None:
            raise ManifestError("it is not there any more")
        return manifest

    def _is_ready(self, segment: str) -> bool:
        """Whether a segment is there in its compressed form alone."""
        raw = os.path.join(self._directory, segment)
        return not os.path.lexists(raw) and os.path.lexists(f"{raw}.gz")

    def _is_more_coming(self) -> bool:
        """Whether a full file is there that is not ready yet."""
        with suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            return any(
                names.segment_number(self._name, each.name) is not None
                and not each.name.endswith(".gz")
                for each in entries
            )
        return False

    def _attempt(self, segment: str) -> Steps:
        """Archive a segment; one with a trouble of its own does not hold up the others."""
        try:
            yield from self._archive_one(segment)
        except CallFailed as failure:
            if failure.code != "EntityTooLarge":  # all others are about all segments
                raise
            self._set_aside(segment, explained(self._archive, failure))
        except (ArchiveError, ManifestError, OSError, zlib.error) as error:
            self._set_aside(segment, str(error))

    def _set_aside(self, segment: str, why: str) -> None:
        self._later[segment] = self._monotonic() + _LONGEST
        self._fail("archive", f"cannot archive {segment}, which stays: {why}")

    def _archive_one(self, segment: str) -> Steps:
        """Do what is left to be done for a segment."""
        manifest = self._load(segment)
        while (todo := rules.next_step(manifest.copy)) is not None:
            if todo == UPLOAD:
                copy = yield from self._upload(manifest)
            elif todo == CHECK:
                copy = self._copies.checked(manifest.copy)
            else:
                text = encode(manifest, self._key)
                until = self._lock_until(manifest.sealed)
                copy = self._copies.described(manifest.copy, text, until)
            manifest = self._save(segment, copy)
            self._backoff.succeeded()
            yield 0
        self._done.add(segment)
        self._later.pop(segment, None)
        self._archived += 1
        self._has_done_some = True
        self._waiting -= 1
        self._last_error = None
        self._removing.hurry()

    def _save(self, segment: str, copy: Copy) -> Manifest:
        return self._manifests.update(segment, lambda each: each._replace(copy=copy))

    def _upload(self, manifest: Manifest) -> Generator[float, None, Copy]:
        """Have S3 take a segment, and say which version of which object it is."""
        sealed: Sealed = manifest.sealed
        path = os.path.join(self._directory, f"{sealed.segment}.gz")
        with open(path, "rb", buffering=0, opener=_open) as file:
            sha256, size = yield from self._measure(file, sealed)
            copy = manifest.copy
            key = rules.data_key(self._archive, socket.gethostname(), sealed, sha256)
            place = rules.place(self._archive, key)
            if copy is not None and copy.sha256 == sha256:
                known = self._copies.recalled(copy)  # an answer may have been lost
                if known is not None:
                    return known
            # Or what was configured was wrong, and has been corrected since.
            if copy is None or (copy.place, copy.sha256) != (place, sha256):
                copy = Copy(UPLOADING, place, sha256, size, None, False, 0.0)
                self._save(sealed.segment, copy)
            yield 0
            file.seek(0)
            made = self._copies.put(copy, file, self._lock_until(sealed))
        if made is None:
            yield 0
            made = self._copies.there_already(copy)
        return made

    def _measure(
        self, file: BinaryIO, sealed: Sealed
    ) -> Generator[float, None, tuple[str, int]]:
        """
        Return the SHA-256 and the length of a compressed file that is as it was sealed.

        Raises:
            ArchiveError: If it is not.
        """
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ArchiveError("it is no regular file")
        packed, size = hashlib.sha256(), 0
        for chunk in chunks(file.fileno()):
            packed.update(chunk)
            size += len(chunk)
            yield 0
        file.seek(0)
        content, length = hashlib.sha256(), 0
        for chunk in unpacked(file.fileno()):
            content.update(chunk)
            length += len(chunk)
            if length > sealed.bytes:  # and be it without end
                break
            yield 0
        if (length, content.hexdigest()) != (sealed.bytes, sealed.sha256):
            raise ArchiveError("it is not what its manifest says")
        return packed.hexdigest(), size

    def _lock_until(self, sealed: Sealed) -> float | None:
        floor = max([sealed.retention_floor_days, *self._floors.values()])
        return rules.lock_until(self._archive, sealed, floor, self._clock())


def _open(path: str, _: int) -> int:
    return os.open(path, READ)
