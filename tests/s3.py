"""
S3 in memory, for tests that need no network: one bucket, and what can go wrong.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from chimera_log.audit.archiving import Archiving
from chimera_log.audit.destination import archive_of
from tests.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from chimera_log.audit.destination import Archive

ALL = ("put_object", "head_object", "list_object_versions", "get_object")
PUT_ONLY = ("put_object",)
STATUS = {
    "AccessDenied": 403,
    "EntityTooLarge": 400,
    "InvalidObjectState": 403,
    "InvalidRequest": 400,
    "NoSuchBucket": 404,
    "NoSuchVersion": 404,
    "PermanentRedirect": 301,
    "PreconditionFailed": 412,
    "SlowDown": 503,
    "404": 404,
}


desks: set[Desk] = set()


class Refusal(Exception):  # noqa: N818  botocore's are called so as well
    """What botocore raises when S3 says no."""

    def __init__(self, code: str) -> None:
        super().__init__(f"S3 said {code}")
        self.response = {
            "Error": {"Code": code, "Message": code},
            "ResponseMetadata": {"HTTPStatusCode": STATUS[code]},
        }


class Killed(BaseException):
    """The process ends here."""


class Kept(NamedTuple):
    """A version of an object; *body* is ``None`` of a delete marker."""

    key: str
    version_id: str | None
    body: bytes | None
    asked: dict[str, Any]

    @property
    def until(self) -> float:
        """Until when it is locked."""
        found: datetime | None = self.asked.get("ObjectLockRetainUntilDate")
        return 0.0 if found is None else found.timestamp()


class S3:
    """
    A client as boto3 makes them, with a bucket behind it.

    Args:
        has_versions: Whether the bucket has.
        has_locks: Whether it takes locks.
        allowed: The operations that are.
    """

    def __init__(
        self,
        *,
        has_versions: bool = True,
        has_locks: bool = True,
        allowed: tuple[str, ...] = ALL,
    ) -> None:
        self.kept: list[Kept] = []
        self.calls: list[str] = []
        self.closed = 0
        self.allowed = allowed
        self.page = 1000  # versions in one answer
        # Called with the operation's name before it is done, and before the answer.
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], object] = lambda _: None
        self.checksum: Callable[[str], str | None] = lambda true: true
        self._has_versions = has_versions
        self._has_locks = has_locks
        self._count = 0

    def put_object(self, *, Body: Any, **asked: Any) -> dict[str, Any]:  # noqa: N803
        """As PutObject."""
        return self._call("put_object", self._put, Body.read(), **asked)

    def head_object(self, **asked: Any) -> dict[str, Any]:
        """As HeadObject."""
        return self._call("head_object", self._head, **asked)

    def get_object(self, **asked: Any) -> dict[str, Any]:
        """As GetObject."""
        return self._call("get_object", self._get, **asked)

    def list_object_versions(self, **asked: Any) -> dict[str, Any]:
        """As ListObjectVersions."""
        return self._call("list_object_versions", self._list, **asked)

    def close(self) -> None:
        """As a client of boto3's."""
        self.closed += 1

    def fail(self, code: str, times: int = 1, call: str = "") -> None:
        """Have the next calls of this name, or any, fail before they are done."""
        left = [code] * times

        def before(name: str) -> None:
            if left and name.startswith(call):
                raise Refusal(left.pop())

        self.before = before

    def lose(self, times: int = 1) -> None:
        """Have the answers to the next puts get lost."""
        left = [1] * times

        def after(name: str) -> None:
            if name == "put_object" and left:
                left.pop()
                raise ConnectionResetError("nobody knows")

        self.after = after

    def add(self, key: str, body: bytes | None) -> None:
        """Add a version behind everybody's back; ``None``: a delete marker."""
        self.kept.append(Kept(key, self._next_id(), body, {}))

    def named(self, part: str) -> list[Kept]:
        """Return the versions of the objects with this part in their keys."""
        return [each for each in self.kept if part in each.key]

    def _call(self, name: str, do: Any, *given: Any, **asked: Any) -> dict[str, Any]:
        self.calls.append(name)
        assert "evidence" == asked.pop("Bucket")
        if name not in self.allowed:
            raise Refusal("AccessDenied")
        self.before(name)
        answer: dict[str, Any] = do(*given, **asked)
        self.after(name)
        return answer

    def _next_id(self) -> str | None:
        self._count += 1
        return f"v.{self._count}" if self._has_versions else None

    def _put(self, body: bytes, **asked: Any) -> dict[str, Any]:
        key = asked["Key"]
        assert hashlib.sha256(body).digest() == base64.b64decode(
            asked["ChecksumSHA256"]
        )
        assert "SHA256" == asked["ChecksumAlgorithm"]
        if "ObjectLockMode" in asked and not self._has_locks:
            raise Refusal("InvalidRequest")
        latest = self._latest(key)
        if "IfNoneMatch" in asked and latest is not None and latest.body is not None:
            raise Refusal("PreconditionFailed")
        made = Kept(key, self._next_id(), body, asked)
        if not self._has_versions:
            self.kept = [each for each in self.kept if each.key != key]
        self.kept.append(made)
        answer = self._told(made)
        answer.pop("ObjectLockRetainUntilDate", None)
        answer["ChecksumSHA256"] = self.checksum(answer["ChecksumSHA256"])
        return answer

    def _latest(self, key: str) -> Kept | None:
        found = [each for each in self.kept if each.key == key]
        return found[-1] if found else None

    def _which(self, asked: dict[str, Any]) -> Kept:
        found = self._latest(asked["Key"])
        if "VersionId" in asked:
            there = {each.version_id: each for each in self.named(asked["Key"])}
            found = there.get(asked["VersionId"])
        if found is None or found.body is None:
            raise Refusal("404")
        return found

    def _head(self, **asked: Any) -> dict[str, Any]:
        assert "ENABLED" == asked["ChecksumMode"]
        return self._told(self._which(asked))

    def _get(self, **asked: Any) -> dict[str, Any]:
        found = self._which(asked)
        assert found.body is not None
        return {**self._told(found), "Body": Body(found.body)}

    def _list(self, **asked: Any) -> dict[str, Any]:
        inside = [
            each
            for each in reversed(self.kept)  # the latest version of a key first
            if each.key.startswith(asked["Prefix"]) and each.body is not None
        ]
        found = sorted(inside, key=lambda each: each.key)
        at = int(asked.get("VersionIdMarker", 0))
        page = found[at : at + self.page]
        answer: dict[str, Any] = {
            "IsTruncated": at + self.page < len(found),
            "NextKeyMarker": page[-1].key if page else "",
            "NextVersionIdMarker": str(at + self.page),
        }
        if page:
            answer["Versions"] = [
                {"Key": each.key, "VersionId": each.version_id or "null"}
                for each in page
            ]
        return answer

    def _told(self, version: Kept) -> dict[str, Any]:
        assert version.body is not None
        digest = hashlib.sha256(version.body).digest()
        told: dict[str, Any] = {"ChecksumSHA256": base64.b64encode(digest).decode()}
        if version.version_id is not None:
            told["VersionId"] = version.version_id
        if version.until:
            told["ObjectLockRetainUntilDate"] = datetime.fromtimestamp(
                version.until, timezone.utc
            )
        return told


class Body:
    """What botocore returns as the body of an object."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        """Yield it in pieces."""
        for at in range(0, len(self._content), size):
            yield self._content[at : at + size]


class Desk:
    """
    A trail whose full files are archived, by a clock that stands still.

    Args:
        folder: Where the trail is.
        s3: Where its files go; a new one by default.
        options: Of the archive.
    """

    def __init__(self, folder: Path, s3: S3 | None = None, **options: Any) -> None:
        self.trail = Evidence(folder)
        self.s3 = S3() if s3 is None else s3
        self.options = options
        self.told: list[Mapping[str, Any]] = []
        self.troubles: list[tuple[str, str]] = []
        self.seconds = 0.0  # that went by
        self.backup_count: int | None = None
        self.archiving = self.begin()
        desks.add(self)

    @property
    def archive(self) -> Archive:
        """What is configured."""
        given = {"bucket": "evidence", "host": "desk", **self.options}
        found = archive_of({"client_factory": lambda _: self.s3, **given})
        assert found is not None
        return found

    def begin(self, **given: Any) -> Archiving:
        """Return another process's archiver; the one before it is dead."""
        if self in desks:
            self.archiving.after_fork()
        given.setdefault("tell", self.trail.tell)
        self.archiving = Archiving(
            str(self.trail.path),
            self.archive,
            key=self.trail.key,
            backup_count=self.backup_count,
            on_trouble=lambda *trouble: self.troubles.append(trouble),
            clock=lambda: self.trail.now,
            monotonic=lambda: self.seconds,
            **given,
        )
        return self.archiving

    def run(self) -> float | None:
        """Do all that can be done now; return the seconds until the next step."""
        for _ in range(10_000):
            pause = self.archiving.step()
            if pause != 0:
                return pause
        raise AssertionError("it does not end")

    def run_for(self, seconds: float) -> None:
        """Do all that comes up within so many seconds."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds += self.run() or end

    def copies(self) -> list[str]:
        """
        Return the segments that are in S3, each as often as it is there.

        As its manifest says where, and what; the content is compared.
        """
        found = []
        keys = Counter(each.key for each in self.s3.named("data/"))
        for segment in self.trail.manifests.known():
            manifest = self.trail.manifest(segment)
            copy = manifest.copy
            if copy is None:
                continue
            for each in self.s3.named("data/"):
                if (f"s3://evidence/{each.key}", each.version_id) == (
                    copy.place,
                    copy.version_id,
                ):
                    body = each.body or b""
                    assert copy.sha256 == hashlib.sha256(body).hexdigest()
                    content = gzip.decompress(body)
                    assert manifest.sealed.sha256 == hashlib.sha256(content).hexdigest()
                    found += [segment] * keys.pop(each.key)
        assert not keys
        return found
