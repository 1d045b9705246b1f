"""
Bring archived files of a trail back beside the live ones, for a while.

Which there are is known by their manifests: by those that are here, and by those in
S3 where that may be listed, as on another machine.  An object is asked for by its
version, so that nobody who overwrote it matters, and put in place only if its bytes,
and what they unpack to, are those that the manifest says.

First the manifest says that the file is here and until when it stays; so nothing takes
it away again before it is there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from contextlib import contextmanager, suppress

from chimera_log.audit import archive as rules
from chimera_log.audit.archive import FROZEN, ArchiveError, explained
from chimera_log.audit.heads import end_of_file
from chimera_log.audit.manifest import (
    DONE,
    UPLOADING,
    Manifest,
    ManifestError,
    Restored,
    decode,
)
from chimera_log.audit.prune import folder_of, manifests_of
from chimera_log.aws.retry import MISSING, REFUSED
from chimera_log.aws.session import CallFailed
from chimera_log.files import names, opening
from chimera_log.files.compress import Turn, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chimera_log.audit.bucket import Bucket
    from chimera_log.audit.chain import Key
    from chimera_log.audit.destination import Archive
    from chimera_log.audit.manifest import Copy, Sealed

_MODE = 0o440
_SUFFIX = ".restoring"  # of temporary files in the hidden folder
_MAX_MANIFEST = 64 * 1024  # bytes


class Restoring:
    """
    What is brought back of one trail.

    Args:
        path: The trail's active file, absolute; it need not be there.
        archive: What is configured.
        bucket: Where the copies are.
        keys: That its manifests may be signed with, the newest first; without any,
            none need be.
        host: In the keys of its objects.
        restored: What the manifests will say.
        on_note: Told, in words, what was left out, and why.
    """

    def __init__(
        self,
        path: str,
        archive: Archive,
        bucket: Bucket,
        *,
        keys: Sequence[Key],
        host: str,
        restored: Restored,
        on_note: Callable[[str], object],
    ) -> None:
        self._directory, self._name = os.path.split(path)
        self._folder = folder_of(path)
        self._archive = archive
        self._bucket = bucket
        self._keys = keys
        self._host = host
        self._restored = restored
        self._on_note = on_note
        self._manifests = manifests_of(path, keys[0] if keys else None, keys[1:])

    @contextmanager
    def turn(self) -> Iterator[None]:
        """
        Be the only one who restores files of this trail.

        Raises:
            BlockingIOError: If another process does.
            OSError: If the hidden folder cannot be written.
        """
        ours = Turn(self._folder, "restore.lock")
        if not ours.take():
            what = "another process restores files of it"
            raise BlockingIOError(errno.EAGAIN, what)
        try:
            self._clear()
            yield
        finally:
            ours.release()

    def wanted(self, first: str, last: str) -> list[Manifest]:
        """
        Return the manifests of the archived files with records of some days.

        Args:
            first: The first of these days in UTC, such as ``2025-10-27``; empty:
                from the beginning.
            last: The last one; empty: to the end.

        Raises:
            CallFailed: If S3 cannot be asked.
            OSError: If the manifests here cannot be read.
        """
        found = {}
        for segment in self._manifests.known():
            manifest = self._load(segment)
            if manifest is not None:
                found[segment] = manifest
        known = {_key_of(each) for each in found.values()}
        chains = {each.sealed.chain for each in found.values()} | {self._chain()}
        for manifest in self._described(known, last):
            if self._is_of(manifest.sealed, chains):
                found.setdefault(manifest.sealed.segment, manifest)
        inside = [
            each for each in found.values() if _overlaps(each.sealed, first, last)
        ]
        return sorted(inside, key=lambda each: int(each.sealed.number))

    def is_here(self, manifest: Manifest) -> bool:
        """Whether a file is here, in whatever form."""
        raw = os.path.join(self._directory, manifest.sealed.segment)
        return os.path.lexists(raw) or os.path.lexists(f"{raw}.gz")

    def keep(self, manifest: Manifest) -> None:
        """Have a file stay that was brought back before, for as long as asked for now."""
        segment = manifest.sealed.segment
        with suppress(ManifestError):  # it has none here, or `verify` says so
            found = self._manifests.load(segment)
            if found is not None and found.restored is not None:
                self._manifests.update(
                    segment, lambda each: each._replace(restored=self._restored)
                )

    def attempt(self, manifest: Manifest) -> str | None:
        """
        Put a file in its place that is not here; return in words why not, if so.

        Raises:
            CallFailed: If S3 cannot be asked.
            OSError: If it cannot be written.
        """
        try:
            self.bring_back(manifest)
        except (ArchiveError, ManifestError) as error:
            return str(error)
        except CallFailed as failure:
            if failure.kind not in {MISSING, FROZEN} or failure.code == "NoSuchBucket":
                raise
            copy = manifest.copy
            which = f"{copy.place}, version {copy.version_id},"
            return f"{which} {explained(self._archive, failure)}"
        return None

    def bring_back(self, manifest: Manifest) -> None:
        """
        Put a file in its place that is not here.

        Raises:
            ArchiveError: If there is no copy, or it is not what it has to be.
            CallFailed: If S3 cannot be asked.
            ManifestError: If its manifest here was changed meanwhile.
            OSError: If it cannot be written.
        """
        sealed, copy = manifest.sealed, manifest.copy
        if copy is None or copy.state == UPLOADING:
            raise ArchiveError("it has no copy")
        self._check_number(sealed)
        opening.make_directory(self._folder, 0o750)
        partial = os.path.join(self._folder, os.urandom(8).hex() + _SUFFIX)
        try:
            self._fetch(partial, sealed, copy)
            self._note(manifest)
            os.replace(partial, os.path.join(self._directory, f"{sealed.segment}.gz"))
        finally:
            with suppress(FileNotFoundError):
                os.unlink(partial)
        opening.sync_directory(self._directory)

    def _chain(self) -> str | None:
        """Return the chain that the active file goes on with, if it tells."""
        with (
            suppress(OSError),
            open(os.path.join(self._directory, self._name), "rb") as file,
        ):
            head = end_of_file(file.fileno(), os.fstat(file.fileno()).st_size).head
            return None if head is None else str(head.chain)
        return None

    def _is_of(self, sealed: Sealed, chains: set[str | None]) -> bool:
        """
        Whether a segment is one of this trail: others may have its name and its host.

        Args:
            sealed: What its manifest says.
            chains: Those that are known to be this trail's; where there is none, the
                first segment's it is.
        """
        if sealed.chain is None:
            return True
        if not chains - {None}:
            chains.add(sealed.chain)
        if sealed.chain in chains:
            return True
        self._on_note(
            f"{sealed.segment} of chain {sealed.chain} is left out: this trail is "
            "another one; restore it to another folder"
        )
        return False

    def _clear(self) -> None:
        """Remove what one that was killed left half done."""
        for entry in os.listdir(self._folder):
            if entry.endswith(_SUFFIX):
                os.unlink(os.path.join(self._folder, entry))

    def _load(self, segment: str) -> Manifest | None:
        try:
            return self._manifests.load(segment)
        except ManifestError as error:
            self._on_note(f"{segment}: its manifest: {error}")
            return None

    def _fetch(self, partial: str, sealed: Sealed, copy: Copy) -> None:
        """Write what S3 has to a temporary file, if it is what it has to be."""
        flags = opening.FLAGS | opening.NOFOLLOW
        fd = opening.open_or_make(partial, flags, _MODE)
        try:
            key = rules.key_in(self._archive, copy)
            found, size = hashlib.sha256(), 0
            for chunk in self._bucket.read(key, copy.version_id):
                opening.write_all(fd, chunk)
                found.update(chunk)
                size += len(chunk)
                if size > copy.bytes:  # and be it without end
                    break
            if (size, found.hexdigest()) != (copy.bytes, copy.sha256):
                raise ArchiveError(f"{copy.place} does not hold what was put there")
            os.lseek(fd, 0, os.SEEK_SET)
            if not _holds(fd, sealed):
                raise ArchiveError(f"{copy.place} is not what its manifest says")
            os.fsync(fd)
        finally:
            os.close(fd)

    def _note(self, manifest: Manifest) -> None:
        """Have the manifest here say that the file is here, until when, and by whom."""
        segment = manifest.sealed.segment
        if self._manifests.load(segment) is None:
            copy = manifest.copy._replace(state=DONE)
            self._manifests.save(Manifest(manifest.sealed, copy, None, self._restored))
        else:
            self._manifests.update(
                segment, lambda each: each._replace(restored=self._restored)
            )

    def _check_number(self, sealed: Sealed) -> None:
        """
        Refuse a file whose number is another one's here: it is of another trail.

        Raises:
            ArchiveError: If it is.
        """
        known = {*self._manifests.known(), *os.listdir(self._directory)}
        for entry in known:
            number = names.segment_number(self._name, entry)
            if number == sealed.number and entry.removesuffix(".gz") != sealed.segment:
                raise ArchiveError(
                    f"its number is that of {entry} here, so it is of another trail; "
                    "restore it to another folder"
                )

    def _described(self, known: set[str | None], last: str) -> Iterator[Manifest]:
        """
        Yield what the manifests in S3 say, if they may be listed.

        Args:
            known: Their keys that need not be read.
            last: The last day that is wanted, or empty.
        """
        begin = f"{self._archive.prefix}manifests/"
        try:
            versions = list(self._bucket.versions(begin))
        except CallFailed as failure:
            if failure.kind != REFUSED:
                raise
            self._on_note(
                "the manifests in S3 may not be listed, which takes "
                f"s3:ListBucketVersions; those that are here are used: {failure}"
            )
            return
        # The oldest version first: whoever comes later only adds one.
        versions.reverse()
        for version in sorted(versions, key=lambda each: str(each.key)):
            if version.key not in known and self._is_wanted(version.key, last):
                manifest = self._read(version.key, version.version_id)
                if manifest is not None:
                    known.add(version.key)
                    yield manifest

    def _is_wanted(self, key: str, last: str) -> bool:
        """Whether the manifest at *key* may be one of ours, of a day that is wanted."""
        day = key.rpartition("/dt=")[2].partition("/")[0]
        # A file that begins before the first day may go on for long.
        return f"/host={self._host}/" in key and (not last or day <= last)

    def _read(self, key: str, version_id: str | None) -> Manifest | None:
        """Return what a manifest in S3 says, if it is one of this trail."""
        text = b""
        for chunk in self._bucket.read(key, version_id):
            text += chunk
            if len(text) > _MAX_MANIFEST:
                break
        try:
            manifest = decode(text, *self._keys)
        except ManifestError as error:
            self._on_note(f"{rules.place(self._archive, key)}: {error}")
            return None
        number = names.segment_number(self._name, manifest.sealed.segment)
        is_ours = number is not None and number == manifest.sealed.number
        return manifest if is_ours else None


def _holds(fd: int, sealed: Sealed) -> bool:
    """Whether a compressed file holds what was sealed."""
    found, size = hashlib.sha256(), 0
    try:
        for chunk in unpacked(fd):
            found.update(chunk)
            size += len(chunk)
            if size > sealed.bytes:
                break
    except zlib.error:
        return False
    return (size, found.hexdigest()) == (sealed.bytes, sealed.sha256)


def _overlaps(sealed: Sealed, first: str, last: str) -> bool:
    """Whether a file has records of the days from *first* to *last*."""
    begin = rules.day_of(sealed)
    end = max(begin, (sealed.last_time or "")[: len(begin)])
    return end >= first and (not last or begin <= last)


def _key_of(manifest: Manifest) -> str | None:
    """Return the key of a manifest in S3, if it is known."""
    copy = manifest.copy
    return None if copy is None else rules.manifest_key(copy.place.split("/", 3)[-1])
