"""
How full files of a trail go to S3: what is asked for, and answered.

A segment becomes two objects, whose keys say what they hold, so that no two
segments can have one, and a second copy of one is known by its key::

    <prefix>data/dt=2025-10-27/host=<id>/<first>-<last>-<sha256>.jsonl.gz
    <prefix>manifests/dt=2025-10-27/host=<id>/<first>-<last>-<sha256>.json

Pure: nothing is asked of S3 here, and no file is opened.
"""

from __future__ import annotations

import math
import time
from collections import namedtuple

from chimera_log.audit.destination import ANSWER, NOT_IN_HOST
from chimera_log.audit.manifest import ARCHIVED, DONE, UPLOADING
from chimera_log.audit.retain import DAY, keep_until
from chimera_log.aws import retry
from chimera_log.aws.retry import INVALID, MISSING, REFUSED, TRANSIENT
from chimera_log.files import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chimera_log.audit.destination import Archive
    from chimera_log.audit.manifest import Copy, Sealed
    from chimera_log.aws.session import CallFailed

# What S3 says besides what all services say.
EXISTS = "exists"  # an object of that key is there already
FROZEN = "frozen"  # it has to be brought back from Glacier first

# What has to be done next for a segment.
UPLOAD, CHECK, DESCRIBE = "upload", "check", "describe"

_MISSING = frozenset({"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "404"})
_TRANSIENT = frozenset({"BadDigest", "ConditionalRequestConflict", "OperationAborted"})
_INVALID = frozenset({"EntityTooLarge", "InvalidArgument", "InvalidRequest"})
_ELSEWHERE = frozenset(
    {
        "301",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    }
)
_DATA, _MANIFESTS, _SUFFIX = "data/dt=", "manifests/dt=", ".jsonl.gz"
_LATEST = 253_402_214_400  # seconds since the epoch; 9999-12-31
_MOMENT = 60.0  # seconds; a lock that ends sooner is refused, and of no use

# What S3 says of one version of an object.
Stored = namedtuple(
    "Stored",
    [
        "version_id",  # ``None`` if there are no versions
        "sha256",  # ``None`` if it does not tell
        "locked_until",  # seconds since the epoch; 0: it does not tell
    ],
)


class ArchiveError(Exception):
    """A segment could not be archived, and it is not the network's fault."""


def hostname_in(archive: Archive, hostname: str) -> str:
    """Return who this machine is in keys: what is configured, or its *hostname*."""
    return archive.host or NOT_IN_HOST.sub("-", hostname) or "-"


def data_key(archive: Archive, hostname: str, sealed: Sealed, sha256: str) -> str:
    """
    Return the key of a segment's object.

    Args:
        archive: What is configured.
        hostname: This machine's name, for where no other is configured.
        sealed: What its manifest says.
        sha256: Of the object's own bytes, in hexadecimal digits.
    """
    host = hostname_in(archive, hostname)
    numbers = f"{sealed.first_seq:012}-{sealed.last_seq:012}"
    return (
        f"{archive.prefix}{_DATA}{day_of(sealed)}/host={host}/"
        f"{numbers}-{sha256[:16]}{_SUFFIX}"
    )


def manifest_key(key: str) -> str:
    """Return the key of the manifest of what is at *key*."""
    prefix, _, rest = key.rpartition(_DATA)
    return f"{prefix}{_MANIFESTS}{rest.removesuffix(_SUFFIX)}.json"


def place(archive: Archive, key: str) -> str:
    """Return where an object is, for people and manifests."""
    return f"s3://{archive.bucket}/{key}"


def key_in(archive: Archive, copy: Copy) -> str:
    """
    Return the key of the object that a copy is.

    Raises:
        ArchiveError: If it is in another bucket.
    """
    begin = place(archive, "")
    if not copy.place.startswith(begin):
        raise ArchiveError(f"its copy is {copy.place}, and not in {begin}")
    return str(copy.place[len(begin) :])


def lock_until(
    archive: Archive, sealed: Sealed, floor_days: float, now: float
) -> float | None:
    """
    Return until when a segment's objects have to be locked; ``None``: not at all.

    Args:
        archive: What is configured.
        sealed: What its manifest says.
        floor_days: The largest floor that was promised to it, or since.
        now: The time, in seconds since the epoch.
    """
    if archive.object_lock is None:
        return None
    until = keep_until(sealed, floor_days)
    if until is None:  # it tells no time, so it counts as written now
        until = now + floor_days * DAY
    # A clock that was ahead once must not lock for longer than anybody asked for: a
    # lock that is too short keeps the local file, one that is too long nobody undoes.
    until = min(math.ceil(until), math.ceil(now + (floor_days + 1) * DAY), _LATEST)
    return float(until) if until > now + _MOMENT else None


def next_step(copy: Copy | None) -> str | None:
    """Return what has to be done next for a segment; ``None``: all is done."""
    if copy is None or copy.state == UPLOADING:
        return UPLOAD
    if copy.state == DONE:
        return None
    return DESCRIBE if copy.is_verified else CHECK


def uploaded(archive: Archive, copy: Copy, stored: Stored, until: float | None) -> Copy:
    """
    Return what is known of a copy after S3 answered that it has it.

    Args:
        archive: What is configured.
        copy: As it was asked for.
        stored: The answer.
        until: Until when it was to be locked.

    Raises:
        ArchiveError: If it is not what was asked for.
    """
    if stored.sha256 not in {None, copy.sha256}:
        raise ArchiveError(
            f"S3 says that {copy.place} has the SHA-256 {stored.sha256}, and it was to "
            f"be {copy.sha256}"
        )
    _check_versions(archive, stored)
    return copy._replace(
        state=ARCHIVED,
        version_id=stored.version_id,
        is_verified=stored.sha256 is not None and archive.verify == ANSWER,
        locked_until=until or 0.0,
    )


def found(archive: Archive, copy: Copy, stored: Stored) -> Copy:
    """
    Return what is known of a copy that was there, though nobody had told us.

    Raises:
        ArchiveError: If it cannot be what was asked for.
    """
    _check_versions(archive, stored)
    return copy._replace(
        state=ARCHIVED,
        version_id=stored.version_id,
        is_verified=archive.verify == ANSWER,
        locked_until=stored.locked_until,
    )


def checked(archive: Archive, copy: Copy, stored: Stored) -> Copy:
    """
    Return what is known of a copy after its very version was looked at.

    Raises:
        ArchiveError: If it is not what was asked for.
    """
    which = f"{copy.place}, version {copy.version_id},"
    if stored.sha256 != copy.sha256:
        raise ArchiveError(
            f"S3 says that {which} has the SHA-256 {stored.sha256}, and it was to be "
            f"{copy.sha256}"
        )
    if archive.object_lock is not None and stored.locked_until < copy.locked_until:
        raise ArchiveError(
            f"S3 does not say that {which} is locked for as long as was asked for; it "
            "says so only to whom s3:GetObjectRetention is allowed"
        )
    return copy._replace(is_verified=True, locked_until=stored.locked_until)


def meaning(code: str, status: int, _: str = "") -> str:
    """
    Return what an error answer of S3 means.

    Args:
        code: S3's name for it; an answer without a body has the status for a name.
        status: The HTTP status.
    """
    if code in {"PreconditionFailed", "412"}:
        return EXISTS
    if code in _MISSING:
        return MISSING
    if code == "InvalidObjectState":
        return FROZEN
    if code in _TRANSIENT:
        return TRANSIENT
    if code in _INVALID:
        return INVALID
    return retry.meaning(code, status)


def explained(archive: Archive, failure: CallFailed) -> str:
    """Return in words what happened, and what to do, if that is known."""
    bucket, code = archive.bucket, failure.code
    if code == "NoSuchBucket":
        return f"the bucket {bucket!r} does not exist; create it, or correct archive.bucket"
    if code in _ELSEWHERE:
        return (
            f"the bucket {bucket!r} is in another region; correct archive.region_name: "
            f"{failure}"
        )
    if failure.kind == FROZEN:
        return (
            "it is in Glacier; have S3 restore it first (aws s3api restore-object), and "
            f"try again when that is done: {failure}"
        )
    if failure.kind == REFUSED:
        return (
            f"access to the bucket {bucket!r} is denied; allow s3:PutObject on "
            f"{archive.prefix}data/ and {archive.prefix}manifests/"
            f"{_lock_permission(archive)}: {failure}"
        )
    if archive.object_lock is not None and failure.kind == INVALID:
        return (
            f"the bucket {bucket!r} does not take it; enable versioning and Object Lock "
            f"for it, or remove archive.object_lock: {failure}"
        )
    return str(failure)


def _lock_permission(archive: Archive) -> str:
    return "" if archive.object_lock is None else ", and s3:PutObjectRetention"


def _check_versions(archive: Archive, stored: Stored) -> None:
    if archive.object_lock is not None and stored.version_id is None:
        raise ArchiveError(
            f"the bucket {archive.bucket!r} has no versions, so nothing in it is "
            "locked; enable versioning and Object Lock for it, or remove "
            "archive.object_lock"
        )


def day_of(sealed: Sealed) -> str:
    """Return the UTC day of a segment's first record; without one, of its name."""
    moment = names.time_of_line((sealed.first_time or "").encode("ascii", "replace"))
    if moment is None:
        name = sealed.segment.rsplit(".", 2)[0]
        moment = names.segment_time(name, sealed.segment)
    return "%04d-%02d-%02d" % time.gmtime(moment or 0.0)[:3]  # noqa: UP031  three fields
