"""
What may be configured of an archive, and what its keys and answers mean.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit.archive import (
    CHECK,
    DESCRIBE,
    EXISTS,
    FROZEN,
    UPLOAD,
    data_key,
    explained,
    lock_until,
    manifest_key,
    meaning,
    next_step,
)
from chimera_log.audit.destination import (
    LOCKS,
    STORAGE_CLASSES,
    VERIFY,
    Archive,
    archive_of,
)
from chimera_log.audit.manifest import Copy
from chimera_log.audit.retain import DAY
from chimera_log.aws.access import Access
from chimera_log.aws.retry import INVALID, MISSING, OUTAGE, REFUSED, TRANSIENT
from chimera_log.aws.session import CallFailed
from chimera_log.options import ConfigError
from tests.logs import FIRST
from tests.test_audit_manifest import SEALED

SHA = "0123456789abcdef" * 4
COPY = Copy("archived", "s3://evidence/1", SHA, 900, "v.1", True, 0.0)


def configured(**given: Any) -> Archive:
    """Return an archive that is configured so."""
    found = archive_of({"bucket": "evidence", **given})
    assert found is not None
    return found


class TestOptions:
    def test_none(self) -> None:
        """
        Without the option there is no archive.
        """
        assert archive_of(None) is None

    def test_defaults(self) -> None:
        """
        Only the bucket has to be named.
        """
        nobody = Access(None, None, None, None)
        expected = ("evidence", "", "GLACIER_IR", None, None, "answer", nobody)

        assert expected == configured()

    def test_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Each may hold variables, and what is empty is not there.
        """
        monkeypatch.setenv("NAME", "desk-7")
        found = archive_of(
            {
                "bucket": "evidence-${NAME}",
                "prefix": "/${NAME}/trading//",
                "storage_class": "${CLASS:-STANDARD_IA}",
                "object_lock": "${LOCK:-compliance}",
                "host": "${NAME}",
                "verify": "${VERIFY:-version}",
                "region_name": "${REGION:-eu-west-1}",
                "profile_name": "${PROFILE:-}",
                "endpoint_url": "http://${NAME}:9000",
                "client_factory": "package.make",
            }
        )
        access = Access("eu-west-1", None, "http://desk-7:9000", "package.make")

        assert (
            "evidence-desk-7",
            "desk-7/trading/",
            "STANDARD_IA",
            "compliance",
            "desk-7",
            "version",
            access,
        ) == found

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("storage_class", STORAGE_CLASSES),
            ("object_lock", (*LOCKS, None)),
            ("verify", VERIFY),
        ],
    )
    def test_choices(self, name: str, values: tuple[str | None, ...]) -> None:
        """
        What S3 knows may be chosen.
        """
        assert list(values) == [
            getattr(configured(**{name: value}), name) for value in values
        ]

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("evidence", "archive: 'evidence' must be a mapping with text keys"),
            ({}, "archive.bucket: it is missing; name the bucket"),
            ({"bucket": ""}, "archive.bucket: it is missing; name the bucket"),
            ({"bucket": 5}, "archive.bucket: 5 is no text; write it in quotes"),
            (
                {"bucket": "My_Bucket"},
                "archive.bucket: 'My_Bucket' is no bucket's name; use 3 to 63 "
                "lower-case letters, digits, '.' and '-'",
            ),
            ({"bucket": "a-"}, "archive.bucket: 'a-' is no bucket's name; use 3 to 63"),
            (
                {"bucket": "evidence", "storageclass": "GLACIER"},
                "archive.storageclass: it is unknown; did you mean 'storage_class'?",
            ),
            (
                {"bucket": "evidence", "storage_class": "GLACIER_RI"},
                "archive.storage_class: 'GLACIER_RI': did you mean 'GLACIER_IR'?",
            ),
            (
                {"bucket": "evidence", "object_lock": "complience"},
                "archive.object_lock: 'complience': did you mean 'compliance'?",
            ),
            (
                {"bucket": "evidence", "object_lock": True},
                "archive.object_lock: True is no text; write it in quotes",
            ),
            (
                {"bucket": "evidence", "verify": "never"},
                "archive.verify: 'never': use one of answer, version",
            ),
            (
                {"bucket": "evidence", "prefix": "a b"},
                "archive.prefix: 'a b' contains ' '; use letters from A to Z",
            ),
            (
                {"bucket": "evidence", "prefix": "a" * 513},
                f"archive.prefix: '{'a' * 513}' has 513 characters; use at most 512",
            ),
            (
                {"bucket": "evidence", "host": "desk/7"},
                "archive.host: 'desk/7' contains '/'; use letters from A to Z",
            ),
            (
                {"bucket": "evidence", "host": "${NOBODY_SET_THIS}"},
                "archive.host: '${NOBODY_SET_THIS}': NOBODY_SET_THIS is not set",
            ),
            (
                {"bucket": "evidence", "endpoint_url": "s3.local"},
                "archive.endpoint_url: 's3.local' is no URL; begin it with https://",
            ),
            (
                {"bucket": "evidence", "client_factory": "make"},
                "archive.client_factory: 'make' is neither a callable nor the dotted",
            ),
        ],
    )
    def test_wrong(self, value: Any, problem: str) -> None:
        """
        What cannot work is named, with its value and the remedy.
        """
        with pytest.raises(ConfigError) as caught:
            archive_of(value)
        assert str(caught.value).startswith(problem)


class TestKeys:
    def test_data(self) -> None:
        """
        A key says the day, the host, the numbers, and the object's own bytes.
        """
        expected = (
            "data/dt=2025-10-27/host=desk-7/"
            "000000000001-000000000009-0123456789abcdef.jsonl.gz"
        )
        assert expected == data_key(configured(host="desk-7"), "", SEALED, SHA)

    def test_manifest(self) -> None:
        """
        Its manifest has the same key elsewhere, whatever the prefix was.
        """
        for prefix in ("", "trading", "data/data"):
            archive = configured(prefix=prefix, host="desk-7")
            key = data_key(archive, "", SEALED, SHA)
            assert manifest_key(key) == (
                f"{archive.prefix}manifests/dt=2025-10-27/host=desk-7/"
                "000000000001-000000000009-0123456789abcdef.json"
            )

    @pytest.mark.parametrize(
        ("first_time", "segment", "day"),
        [
            (SEALED.first_time, SEALED.segment, "2025-10-27"),
            (None, "executions.log.20251231T235959Z.000001", "2025-12-31"),
            ("\ud800", "executions.log.20251231T235959Z.1000000", "2025-12-31"),
            (None, "executions.log", "1970-01-01"),
            (None, "x.20259999T000000Z.000001", "1970-01-01"),
        ],
    )
    def test_day(self, first_time: str | None, segment: str, day: str) -> None:
        """
        The day is the first record's, or if that tells none, the file name's.
        """
        sealed = SEALED._replace(first_time=first_time, segment=segment)

        assert f"data/dt={day}/" in data_key(configured(), "desk", sealed, SHA)

    @pytest.mark.parametrize(
        ("hostname", "expected"),
        [("desk-7.local", "desk-7.local"), ("a b/\xfc", "a-b--"), ("", "-")],
    )
    def test_host(self, hostname: str, expected: str) -> None:
        """
        A machine's name becomes what a key may hold.
        """
        found = data_key(configured(), hostname, SEALED, SHA)
        assert f"/host={expected}/0" in found

    @given(st.integers(1, 10**12), st.integers(1, 10**12))
    def test_order(self, first: int, second: int) -> None:
        """
        Within a day keys sort like their records.
        """
        keys = [
            data_key(configured(), "desk", SEALED._replace(first_seq=each), SHA)
            for each in sorted({first, second} - {10**12})
        ]
        assert sorted(keys) == keys


class TestLock:
    def until(self, now: float, floor: float = 30, **sealed: Any) -> float | None:
        """Return until when a segment is locked."""
        archive = configured(object_lock="governance")
        return lock_until(archive, SEALED._replace(**sealed), floor, now)

    def test_not_asked(self) -> None:
        """
        Nothing is locked that nobody asked to lock.
        """
        assert lock_until(configured(), SEALED, 30, FIRST) is None

    def test_until(self) -> None:
        """
        A lock lasts for the floor since the last record, to a full second.
        """
        last = "2025-10-27T09:38:00.000001Z"
        assert FIRST + 3600 + 30 * DAY == self.until(FIRST)
        assert FIRST + 3601 + 30 * DAY == self.until(FIRST, last_time=last, latest=None)

    def test_no_time(self) -> None:
        """
        What tells no time counts as written now.
        """
        assert FIRST + 30 * DAY == self.until(FIRST, last_time=None)

    def test_over(self) -> None:
        """
        What is old enough, or will be in a moment, is not locked.
        """
        end = FIRST + 3600 + 30 * DAY

        assert end == self.until(end - 61)
        assert self.until(end - 60) is None
        assert self.until(end + DAY) is None

    def test_clock_was_ahead(self) -> None:
        """
        A record of years ahead is locked for no longer than one of tomorrow.
        """
        ahead = FIRST + 3_000 * DAY

        assert FIRST + 31 * DAY == self.until(FIRST, latest=ahead)

    def test_far(self) -> None:
        """
        A floor beyond all calendars is as long as they go.
        """
        assert 253_402_214_400 == self.until(FIRST, 1e9)


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        (None, UPLOAD),
        (COPY._replace(state="uploading", is_verified=False), UPLOAD),
        (COPY._replace(is_verified=False), CHECK),
        (COPY, DESCRIBE),
        (COPY._replace(state="done"), None),
    ],
)
def test_next_step(copy: Copy | None, expected: str | None) -> None:
    """
    The manifest says what is next: the object, a look at it, its manifest, nothing.
    """
    assert expected == next_step(copy)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("PreconditionFailed", 412, EXISTS),
        ("412", 412, EXISTS),
        ("NoSuchBucket", 404, MISSING),
        ("NoSuchKey", 404, MISSING),
        ("NoSuchVersion", 404, MISSING),
        ("404", 404, MISSING),
        ("InvalidObjectState", 403, FROZEN),
        ("BadDigest", 400, TRANSIENT),
        ("ConditionalRequestConflict", 409, TRANSIENT),
        ("OperationAborted", 409, TRANSIENT),
        ("RequestTimeout", 400, TRANSIENT),
        ("SlowDown", 503, TRANSIENT),
        ("503", 503, TRANSIENT),
        ("InternalError", 500, TRANSIENT),
        ("InvalidRequest", 400, INVALID),
        ("InvalidArgument", 400, INVALID),
        ("EntityTooLarge", 400, INVALID),
        ("AccessDenied", 403, REFUSED),
        ("403", 403, REFUSED),
        ("SignatureDoesNotMatch", 403, REFUSED),
        ("PermanentRedirect", 301, OUTAGE),
        ("ExpiredToken", 400, OUTAGE),
    ],
)
def test_meaning(code: str, status: int, expected: str) -> None:
    """
    Every answer of S3, or of what stands in its place, has one meaning.
    """
    assert expected == meaning(code, status)


class TestExplained:
    @pytest.mark.parametrize(
        ("kind", "code", "lock", "expected"),
        [
            (
                MISSING,
                "NoSuchBucket",
                None,
                "the bucket 'evidence' does not exist; create it, or correct "
                "archive.bucket",
            ),
            (
                OUTAGE,
                "AuthorizationHeaderMalformed",
                None,
                "the bucket 'evidence' is in another region; correct "
                "archive.region_name: words",
            ),
            (
                REFUSED,
                "AccessDenied",
                None,
                "access to the bucket 'evidence' is denied; allow s3:PutObject on "
                "p/data/ and p/manifests/: words",
            ),
            (
                REFUSED,
                "403",
                "compliance",
                "access to the bucket 'evidence' is denied; allow s3:PutObject on "
                "p/data/ and p/manifests/, and s3:PutObjectRetention: words",
            ),
            (
                INVALID,
                "InvalidRequest",
                "compliance",
                "the bucket 'evidence' does not take it; enable versioning and Object "
                "Lock for it, or remove archive.object_lock: words",
            ),
            (INVALID, "InvalidRequest", None, "words"),
            (TRANSIENT, "", None, "words"),
        ],
    )
    def test_words(self, kind: str, code: str, lock: str | None, expected: str) -> None:
        """
        What somebody can mend is said with the remedy.
        """
        archive = configured(prefix="p", object_lock=lock)
        failure = CallFailed(kind, "words", code=code)

        assert expected == explained(archive, failure)
