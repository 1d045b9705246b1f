"""
What is asked of S3 for an archive, and how its answers are read.
"""

from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.archive import Stored
from chimera_log.audit.bucket import Bucket
from chimera_log.audit.destination import archive_of
from chimera_log.aws.retry import TRANSIENT
from chimera_log.aws.session import CallFailed
from tests.logs import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHA = "00ff" * 16
CHECKSUM = "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8="


class Boto:
    """A client as boto3 makes them; gives its answers one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name == "meta":
            raise AttributeError(name)

        def call(**asked: Any) -> Any:
            self.asked.append((name, asked))
            return self.answers.pop(0) if self.answers else {}

        return call


def bucket_of(boto: Boto, **given: Any) -> Bucket:
    """Return a bucket that *boto* leads to."""
    archive = archive_of(
        {"bucket": "evidence", "client_factory": lambda _: boto, **given}
    )
    assert archive is not None
    return Bucket(archive)


class TestPut:
    def test_asked(self) -> None:
        """
        One request, with the checksum, and only if nothing is there.
        """
        boto, body = Boto(), io.BytesIO()
        bucket_of(boto).put("key", body, SHA, None)

        expected = {
            "Bucket": "evidence",
            "Key": "key",
            "Body": body,
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": CHECKSUM,
            "StorageClass": "GLACIER_IR",
            "IfNoneMatch": "*",
        }
        assert [("put_object", expected)] == boto.asked

    def test_lock(self) -> None:
        """
        A lock is asked for by its mode and its end.
        """
        boto = Boto()
        bucket_of(boto, object_lock="compliance").put("key", io.BytesIO(), SHA, FIRST)

        asked = boto.asked[0][1]
        assert ("COMPLIANCE", datetime(2025, 10, 27, 8, 38, tzinfo=timezone.utc)) == (
            asked["ObjectLockMode"],
            asked["ObjectLockRetainUntilDate"],
        )

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            ({}, Stored(None, None, 0)),
            ({"VersionId": "v", "ChecksumSHA256": CHECKSUM}, Stored("v", SHA, 0)),
            ({"VersionId": "null", "ChecksumSHA256": "?"}, Stored(None, "?", 0)),
            (
                {
                    "ObjectLockRetainUntilDate": datetime(
                        2025, 10, 27, 8, 38, tzinfo=timezone.utc
                    )
                },
                Stored(None, None, FIRST),
            ),
        ],
    )
    def test_answer(self, answer: dict[str, Any], expected: Stored) -> None:
        """
        An answer tells the version, the checksum and the lock, as far as it does.
        """
        assert expected == bucket_of(Boto(answer)).put("key", io.BytesIO(), SHA, None)

    def test_old_boto3(self) -> None:
        """
        A boto3 that knows no condition is not asked for one.
        """
        boto = Boto()
        meta = type("Meta", (), {})()
        meta.service_model = meta
        meta.operation_model = lambda _: meta
        meta.input_shape = meta
        meta.members = {"Key"}
        boto.__dict__["meta"] = meta
        bucket_of(boto).put("key", io.BytesIO(), SHA, None)

        assert "IfNoneMatch" not in boto.asked[0][1]


class TestLook:
    def test_asked(self) -> None:
        """
        The latest version is looked at, or the one that is named, with its checksum.
        """
        boto = Boto()
        bucket = bucket_of(boto)
        bucket.look("key")
        bucket.look("key", "v.1")

        expected = {"Bucket": "evidence", "Key": "key", "ChecksumMode": "ENABLED"}
        assert [
            ("head_object", expected),
            ("head_object", {**expected, "VersionId": "v.1"}),
        ] == boto.asked


class TestRead:
    def test_in_pieces(self) -> None:
        """
        An object is read in pieces.
        """

        class Body:
            def iter_chunks(self, size: int) -> Iterator[bytes]:
                assert 1024 * 1024 == size
                yield from (b"one", b"two")

        boto = Boto({"Body": Body()})
        assert [b"one", b"two"] == list(bucket_of(boto).read("key", "v.1"))
        assert "v.1" == boto.asked[0][1]["VersionId"]

    def test_broken(self) -> None:
        """
        A connection that breaks on the way is a failure like all others.
        """

        class Body:
            def iter_chunks(self, _: int) -> Iterator[bytes]:
                yield b"one"
                raise ConnectionResetError("gone")

        with pytest.raises(CallFailed, match="gone") as caught:
            list(bucket_of(Boto({"Body": Body()})).read("key", None))
        assert TRANSIENT == caught.value.kind


class TestVersions:
    def test_pages(self) -> None:
        """
        However many there are, all are told.
        """
        boto = Boto(
            {
                "Versions": [{"Key": "k.1", "VersionId": "v"}],
                "IsTruncated": True,
                "NextKeyMarker": "k.1",
                "NextVersionIdMarker": "v",
            },
            {"Versions": [{"Key": "k.2", "VersionId": "null"}], "IsTruncated": False},
        )
        found = list(bucket_of(boto).versions("k"))

        assert [("k.1", "v"), ("k.2", None)] == found
        expected = {"Bucket": "evidence", "Prefix": "k"}
        again = {**expected, "KeyMarker": "k.1", "VersionIdMarker": "v"}
        assert [expected, again] == [asked for _, asked in boto.asked]

    def test_none(self) -> None:
        """
        Where there are none, none are told.
        """
        assert [] == list(bucket_of(Boto({"IsTruncated": False})).versions("k"))


def test_address() -> None:
    """
    A server of one's own is not asked for the bucket by a name of its own.
    """
    made: list[Any] = []

    def make(config: Any) -> Boto:
        made.append((config.s3, config.read_timeout))
        return Boto()

    for url in (None, "http://127.0.0.1:9000"):
        bucket_of(Boto(), endpoint_url=url, client_factory=make).look("key")

    assert [
        ({"addressing_style": "auto"}, 60.0),
        ({"addressing_style": "path"}, 60.0),
    ] == made
