"""
How full files of a trail go to S3: what is configured, asked for, and answered.

A segment becomes two objects, whose keys say what they hold, so that no two
segments can have one, and a second copy of one is known by its key::

    <prefix>data/dt=2025-10-27/host=<id>/<first>-<last>-<sha256>.jsonl.gz
    <prefix>manifests/dt=2025-10-27/host=<id>/<first>-<last>-<sha256>.json

Pure: nothing is asked of S3 here, and no file is opened.
"""

from __future__ import annotations

import math
import re
import time
from collections import namedtuple

from chimera_log import options
from chimera_log.audit.manifest import ARCHIVED, DONE, UPLOADING
from chimera_log.audit.retain import DAY, keep_until
from chimera_log.aws import retry
from chimera_log.aws.access import access_of
from chimera_log.aws.retry import INVALID, MISSING, REFUSED, TRANSIENT
from chimera_log.files import names
from chimera_log.options import ConfigError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.audit.manifest import Copy, Sealed
    from chimera_log.aws.session import CallFailed

STORAGE_CLASSES = (
    *("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"),
    *("GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"),
)
COMPLIANCE, GOVERNANCE = LOCKS = ("compliance", "governance")
ANSWER, VERSION = VERIFY = ("answer", "version")

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
BUCKET = r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:[!-~]+)$"
IN_KEY, IN_HOST = "[A-Za-z0-9!_.*'()/-]", "[A-Za-z0-9_.-]"  # characters
_NOT_IN_KEY = re.compile(IN_KEY.replace("[", "[^", 1))
_NOT_IN_HOST = re.compile(IN_HOST.replace("[", "[^", 1))
_MAX_PREFIX = 512  # characters; a key has at most 1,024
_DATA, _MANIFESTS, _SUFFIX = "data/dt=", "manifests/dt=", ".jsonl.gz"
_MOMENT = 60.0  # seconds; a lock that ends sooner is refused, and of no use
_LATEST = 253_402_214_400.0  # seconds since the epoch; 9999-12-31

# What is configured.
Archive = namedtuple(
    "Archive",
    [
        "bucket",
        "prefix",  # ends with a slash, unless it is empty
        "storage_class",  # one of `STORAGE_CLASSES`
        "object_lock",  # one of `LOCKS`, or ``None``
        "host",  # of keys; ``None``: this machine's name
        "verify",  # one of `VERIFY`
        "access",  # `aws.access.Access`
    ],
)

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


def archive_of(value: Any) -> Archive | None:
    """
    Return what the option ``archive`` says; ``None`` if there is none.

    Args:
        value: A mapping with what `s3` takes, as it is written in YAML.

    Raises:
        ConfigError: If it cannot work.
    """
    if value is None:
        return None
    given = options.mapping("archive", value)
    defaults = s3.__kwdefaults__ or {}
    for key in given:
        if key not in {"bucket", *defaults}:
            hint = did_you_mean(key, ["bucket", *defaults])
            raise ConfigError(f"archive.{key}: it is unknown; {hint}")
    return s3(**{"bucket": None, **given})


def s3(
    *,
    bucket: str,
    prefix: str = "",
    storage_class: str = "GLACIER_IR",
    object_lock: str | None = None,
    host: str | None = None,
    verify: str = ANSWER,
    region_name: str | None = None,
    profile_name: str | None = None,
    endpoint_url: str | None = None,
    client_factory: str | Callable[[Any], Any] | None = None,
) -> Archive:
    """
    Say where in S3 full files of a trail go.

    Texts may hold ``${NAME:-default}``.

    Args:
        bucket: Its name.  Only where it has versions is it known which of them is
            ours.
        prefix: What all keys begin with, up to 512 characters, such as ``audit``.
        storage_class: One of S3's; ``GLACIER_IR`` is cheap and answers at once.
        object_lock: ``compliance`` has S3 keep an object until the floor, whoever
            wants to delete it, ``governance`` whoever may not bypass that; ``null``
            does not lock.  The bucket must have Object Lock.
        host: Who it comes from, in the keys; by default this machine's name.
        verify: ``answer`` believes the SHA-256 in S3's answer, ``version`` asks for
            that very version again, which takes permissions to read.
        region_name: The bucket's; without it, as boto3 finds it.
        profile_name: The profile in the AWS configuration files.
        endpoint_url: Another address than AWS's own.
        client_factory: A callable, or the dotted path of one, that makes the client:
            it is given botocore's `Config` with our timeouts.

    Raises:
        ConfigError: If an option cannot work.
    """
    lock = options.text("archive.object_lock", object_lock)
    if lock is not None:
        options.choice("archive.object_lock", lock, LOCKS)
    chosen = options.text("archive.storage_class", storage_class)
    way = options.text("archive.verify", verify)
    return Archive(
        _bucket(bucket),
        _prefix(prefix),
        options.choice("archive.storage_class", chosen, STORAGE_CLASSES),
        lock,
        _host(host),
        options.choice("archive.verify", way, VERIFY),
        access_of(
            *(region_name, profile_name, endpoint_url, client_factory), of="archive."
        ),
    )


def hostname_in(archive: Archive, hostname: str) -> str:
    """Return who this machine is in keys: what is configured, or its *hostname*."""
    return archive.host or _NOT_IN_HOST.sub("-", hostname) or "-"


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
    until = min(float(math.ceil(until)), _LATEST)
    return until if until > now + _MOMENT else None


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


def _bucket(given: Any) -> str:
    bucket = options.text("archive.bucket", given)
    if bucket is None:
        raise ConfigError("archive.bucket: it is missing; name the bucket")
    if not re.fullmatch(BUCKET, bucket):
        raise ConfigError(
            f"archive.bucket: {bucket!r} is no bucket's name; use 3 to 63 lower-case "
            "letters, digits, '.' and '-'"
        )
    return bucket


def _prefix(given: Any) -> str:
    prefix = (options.text("archive.prefix", given) or "").strip("/")
    unwanted = _NOT_IN_KEY.search(prefix)
    if unwanted:
        raise ConfigError(
            f"archive.prefix: {prefix!r} contains {unwanted[0]!r}; use letters from A "
            "to Z, digits and / ! - _ . * ' ( ) only"
        )
    if len(prefix) > _MAX_PREFIX:
        raise ConfigError(
            f"archive.prefix: {prefix!r} has {len(prefix)} characters; use at most "
            f"{_MAX_PREFIX}"
        )
    return f"{prefix}/" if prefix else ""


def _host(given: Any) -> str | None:
    host = options.text("archive.host", given)
    unwanted = _NOT_IN_HOST.search(host or "")
    if unwanted:
        raise ConfigError(
            f"archive.host: {host!r} contains {unwanted[0]!r}; use letters from A to Z, "
            "digits and . _ - only"
        )
    return host
