"""
Where full files of a trail go: what people configure of an archive, checked.
"""

from __future__ import annotations

import re
from collections import namedtuple

from chimera_log import options
from chimera_log.aws.access import access_of
from chimera_log.options import ConfigError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

STORAGE_CLASSES = (
    *("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"),
    *("GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"),
)
COMPLIANCE, GOVERNANCE = LOCKS = ("compliance", "governance")
ANSWER, VERSION = VERIFY = ("answer", "version")

BUCKET = r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:[!-~]+)$"
IN_KEY, IN_HOST = "[A-Za-z0-9!_.*'()/-]", "[A-Za-z0-9_.-]"  # characters
_NOT_IN_KEY = re.compile(IN_KEY.replace("[", "[^", 1))
NOT_IN_HOST = re.compile(IN_HOST.replace("[", "[^", 1))
_MAX_PREFIX = 512  # characters; a key has at most 1,024

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
    unwanted = NOT_IN_HOST.search(host or "")
    if unwanted:
        raise ConfigError(
            f"archive.host: {host!r} contains {unwanted[0]!r}; use letters from A to Z, "
            "digits and . _ - only"
        )
    return host
