"""
The copies of a trail's segments in S3: made, found again, looked at, described.

S3 refuses a second object of one key.  So where an answer was lost, what is there is
looked at: it is ours if its bytes are.  Whoever overwrites or deletes it only adds a
version; ours is known by its own.
"""

from __future__ import annotations

import hashlib
import io

from chimera_log.audit import archive as rules
from chimera_log.audit.archive import EXISTS, ArchiveError
from chimera_log.audit.manifest import DONE
from chimera_log.aws.retry import MISSING, REFUSED
from chimera_log.aws.session import CallFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from chimera_log.audit.archive import Stored
    from chimera_log.audit.bucket import Bucket
    from chimera_log.audit.destination import Archive
    from chimera_log.audit.manifest import Copy


class Copies:
    """
    The copies in one bucket.

    All methods raise `CallFailed` if S3 could not be asked, and `ArchiveError` if its
    answer is not what it has to be.
    """

    def __init__(self, archive: Archive, bucket: Bucket) -> None:
        self._archive = archive
        self._bucket = bucket

    def put(self, copy: Copy, body: BinaryIO, until: float | None) -> Copy | None:
        """
        Have S3 take a segment; ``None`` if an object of its key is there already.

        Args:
            copy: Where it goes, and what it holds.
            body: That.
            until: Until when it is locked, in seconds since the epoch, or ``None``.
        """
        key = rules.key_in(self._archive, copy)
        try:
            stored = self._bucket.put(key, body, copy.sha256, until)
        except CallFailed as failure:
            if failure.kind != EXISTS:
                raise
            return None
        return rules.uploaded(self._archive, copy, stored, until)

    def recalled(self, copy: Copy) -> Copy | None:
        """Return a copy that was made before, as it may have been, if we may know."""
        if not copy.place.startswith(rules.place(self._archive, "")):
            return None  # another bucket was configured then
        try:
            stored = self._find(copy)
        except CallFailed as failure:
            if failure.kind not in {MISSING, REFUSED}:
                raise
            return None
        return None if stored is None else rules.found(self._archive, copy, stored)

    def there_already(self, copy: Copy) -> Copy:
        """Return our copy, where S3 says that there is one."""
        try:
            stored = self._find(copy)
        except CallFailed as failure:
            if failure.kind != REFUSED:
                raise
            raise ArchiveError(
                f"{copy.place} is there already, and cannot be looked at; allow "
                f"s3:GetObject, s3:GetObjectVersion and s3:ListBucketVersions for such "
                f"cases: {failure}"
            ) from None
        if stored is None:
            what = f"{copy.place} is there already, and holds something else"
            raise ArchiveError(what)
        return rules.found(self._archive, copy, stored)

    def checked(self, copy: Copy) -> Copy:
        """Look at the version that S3 said it made."""
        key = rules.key_in(self._archive, copy)
        try:
            stored = self._bucket.look(key, copy.version_id)
        except CallFailed as failure:
            which = f"{copy.place}, version {copy.version_id},"
            if failure.kind == MISSING:
                raise ArchiveError(f"{which} is not there any more") from None
            if failure.kind != REFUSED:
                raise
            raise ArchiveError(
                f"{which} cannot be looked at; allow s3:GetObject and "
                f"s3:GetObjectVersion, or set archive.verify to answer: {failure}"
            ) from None
        return rules.checked(self._archive, copy, stored)

    def described(self, copy: Copy, manifest: bytes, until: float | None) -> Copy:
        """Have S3 take the manifest of a segment as well."""
        key = rules.manifest_key(rules.key_in(self._archive, copy))
        sha256 = hashlib.sha256(manifest).hexdigest()
        try:
            self._bucket.put(key, io.BytesIO(manifest), sha256, until)
        except CallFailed as failure:
            if failure.kind != EXISTS:  # its key says of which object it is
                raise
        done: Copy = copy._replace(state=DONE)
        return done

    def _find(self, copy: Copy) -> Stored | None:
        """Return the version of an object that has our bytes, the latest one first."""
        key = rules.key_in(self._archive, copy)
        latest = self._latest(key)
        if latest is not None and latest.sha256 == copy.sha256:
            return latest
        for version in self._bucket.versions(key):
            if version.key == key:
                stored = self._bucket.look(key, version.version_id)
                if stored.sha256 == copy.sha256:
                    return stored
        return None

    def _latest(self, key: str) -> Stored | None:
        """Return the latest version; ``None`` if there is none, or it was deleted."""
        try:
            return self._bucket.look(key)
        except CallFailed as failure:
            # To whom s3:ListBucket is not allowed, what is missing is denied.
            if failure.kind not in {MISSING, REFUSED}:
                raise
            return None
