"""
The calls to S3, and nothing else: what is asked for is decided elsewhere.

A put is one request, which S3 takes whole or not at all.  It says what the bytes'
SHA-256 is, and that no object may be there already.
"""

from __future__ import annotations

import base64
import binascii
from collections import namedtuple
from datetime import datetime, timezone

from chimera_log.audit.archive import Stored, meaning
from chimera_log.aws.session import Session, failure_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from chimera_log.audit.destination import Archive

_READ_TIMEOUT = 60.0  # seconds
_CHUNK = 1024 * 1024  # bytes

# One version of an object.
Version = namedtuple("Version", ["key", "version_id"])


class Bucket:
    """
    The bucket that is configured, as far as it is needed.

    Used by one thread at a time.  All of its calls raise `CallFailed`.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        # A server of one's own seldom has names for its buckets.
        style = "auto" if archive.access.endpoint_url is None else "path"
        self._session = Session(
            *("s3", archive.access, meaning),
            read_timeout=_READ_TIMEOUT,
            s3={"addressing_style": style},
        )

    def put(self, key: str, body: BinaryIO, sha256: str, until: float | None) -> Stored:
        """
        Make an object, unless one of that key is there.

        Args:
            key: Its key.
            body: What it holds, from where it stands.
            sha256: Of that, in hexadecimal digits.
            until: When it may be removed, in seconds since the epoch; ``None``: at
                any time.
        """
        asked: dict[str, Any] = {
            "Body": body,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            "StorageClass": self._archive.storage_class,
        }
        if until is not None:
            asked["ObjectLockMode"] = self._archive.object_lock.upper()
            asked["ObjectLockRetainUntilDate"] = datetime.fromtimestamp(
                until, timezone.utc
            )
        if self._session.knows("PutObject", "IfNoneMatch"):
            asked["IfNoneMatch"] = "*"
        return _stored(self._call("put_object", Key=key, **asked))

    def look(self, key: str, version_id: str | None = None) -> Stored:
        """Return what S3 says of an object's version; ``None``: of its latest one."""
        return _stored(
            self._call(
                "head_object", Key=key, ChecksumMode="ENABLED", **_which(version_id)
            )
        )

    def read(self, key: str, version_id: str | None) -> Iterator[bytes]:
        """Yield the bytes of an object's version."""
        answer = self._call("get_object", Key=key, **_which(version_id))
        try:
            yield from answer["Body"].iter_chunks(_CHUNK)
        except Exception as error:  # the connection broke on the way
            raise failure_of(error, meaning) from error

    def versions(self, prefix: str) -> Iterator[Version]:
        """Yield all versions of all objects whose keys begin with *prefix*."""
        where: dict[str, Any] = {"Prefix": prefix}
        while where:
            answer = self._call("list_object_versions", **where)
            for each in answer.get("Versions", []):
                yield Version(each["Key"], _version_id(each))
            where = {}
            if answer.get("IsTruncated"):
                where = {
                    "Prefix": prefix,
                    "KeyMarker": answer["NextKeyMarker"],
                    "VersionIdMarker": answer["NextVersionIdMarker"],
                }

    def forget(self) -> None:
        """Let go of the connection; the next call makes another one."""
        self._session.forget()

    def after_fork(self) -> None:
        """Let go of it in a forked child, without a word to S3."""
        self._session.after_fork()

    def _call(self, operation: str, **asked: Any) -> dict[str, Any]:
        return self._session.call(operation, Bucket=self._archive.bucket, **asked)


def _which(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}


def _version_id(answer: dict[str, Any]) -> str | None:
    found = answer.get("VersionId")
    # Where there were no versions when it was made, S3 calls it so.
    return None if found in {None, "null"} else str(found)


def _stored(answer: dict[str, Any]) -> Stored:
    until = answer.get("ObjectLockRetainUntilDate")
    return Stored(
        _version_id(answer),
        _digits(answer.get("ChecksumSHA256")),
        0.0 if until is None else until.timestamp(),
    )


def _digits(checksum: str | None) -> str | None:
    """Return a checksum in hexadecimal digits; what is none is no one's either."""
    if checksum is None:
        return None
    try:
        return base64.b64decode(checksum, validate=True).hex()
    except binascii.Error:
        return checksum
