"""
A trail is archived to an S3 that is a server, as boto3 and nobody else talks to it.
"""

from __future__ import annotations

import gzip
import hashlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.archiving import Archiving
from chimera_log.audit.destination import archive_of
from chimera_log.audit.manifest import decode
from chimera_log.audit.retain import DAY
from tests.evidence import Evidence
from tests.integration import s3_server
from tests.integration.cloudwatch_server import refusing
from tests.integration.s3_server import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.s3_server import Server

BUCKET = "evidence"
PREFIXES = [f"arn:aws:s3:::{BUCKET}/{each}/*" for each in ("data", "manifests")]
PUT = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": PREFIXES}
LOCK = {"Effect": "Allow", "Action": "s3:PutObjectRetention", "Resource": PREFIXES}
CHILD = """
import sys, time
from tests.integration.test_archive import Desk
desk = Desk(sys.argv[1], sys.argv[2])
print("begun", flush=True)
while not desk.archiving.step():
    pass
"""


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    """Return the server that the tests here share."""
    with s3_server.running() as server:
        yield server


@pytest.fixture
def server(process: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """An S3 with one bucket, which has versions and takes locks."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    process.reset()
    process.make(BUCKET, has_locks=True)
    return process


class Desk:
    """
    The archiver of the trail in *folder*, by the machine's own clocks.

    Args:
        folder: Where it is.
        url: Of S3.
        options: Of the archive.
    """

    def __init__(self, folder: Path | str, url: str, **options: Any) -> None:
        self.troubles: list[str] = []
        archive = archive_of(
            {
                "bucket": BUCKET,
                "host": "desk",
                "region_name": REGION,
                "endpoint_url": url,
                **options,
            }
        )
        assert archive is not None
        self.archiving = Archiving(
            f"{folder}/executions.log",
            archive,
            tell=lambda *_: False,
            on_trouble=lambda _, what: self.troubles.append(what),
        )

    def run(self) -> float:
        """Do all that can be done now; return the seconds until the next step."""
        pause = 0.0
        while not pause:
            pause = self.archiving.step() or 0.0
        self.archiving.close()
        return pause


def trail_in(folder: Path, segments: int = 3) -> Evidence:
    """Return a trail of so many full files, the last one a minute old."""
    trail = Evidence(folder)
    now = time.time()
    for number in range(segments):
        at = now - 3600 + number
        trail.write(*[at + each / 1000 for each in range(50)])
        trail.rotate(is_packed=True)
    trail.write(now - 60)
    return trail


def assert_archived(server: Server, trail: Evidence) -> None:
    """Assert that each full file is in S3 once, in the version that is known."""
    versions = server.versions(BUCKET, "data/")
    there = {(f"s3://{BUCKET}/{each.key}", each.version_id): each for each in versions}
    segments = trail.manifests.known()
    assert len(segments) == len(versions)
    for segment in segments:
        manifest = trail.manifest(segment)
        body = there[manifest.copy.place, manifest.copy.version_id].body or b""
        assert manifest.copy.sha256 == hashlib.sha256(body).hexdigest()
        assert manifest.sealed.sha256 == (
            hashlib.sha256(gzip.decompress(body)).hexdigest()
        )
        assert manifest.copy.is_verified
    described = {
        decode(each.body or b"").sealed.segment
        for each in server.versions(BUCKET, "manifests/")
    }
    assert set(segments) == described


@pytest.mark.parametrize("verify", ["answer", "version"])
@pytest.mark.parametrize("lock", [None, "compliance", "governance"])
def test_archived(
    server: Server, tmp_path: Path, verify: str, lock: str | None
) -> None:
    """
    Each full file is an object, as long as it was locked, and in no other version.
    """
    trail = trail_in(tmp_path)
    desk = Desk(tmp_path, server.url, verify=verify, object_lock=lock)
    desk.run()

    assert [] == desk.troubles
    assert_archived(server, trail)
    copy = trail.manifest(trail.manifests.known()[0]).copy
    assert (lock is not None) == (copy.locked_until > time.time() + DAY - 3700)
    assert (3, 0, 0, None) == desk.archiving.statistics()


def test_changed_behind_its_back(server: Server, tmp_path: Path) -> None:
    """
    What is overwritten, or deleted, stays known by its version; nothing is put again.
    """
    trail = trail_in(tmp_path)
    desk = Desk(tmp_path, server.url, object_lock="compliance")
    desk.run()
    first, second = server.versions(BUCKET, "data/")[:2]
    client = server.client()
    client.put_object(Bucket=BUCKET, Key=first.key, Body=b"forged")
    client.delete_object(Bucket=BUCKET, Key=second.key)
    client.close()
    Desk(tmp_path, server.url, object_lock="compliance").run()

    there = server.versions(BUCKET, "data/")
    assert [first, second] == [each for each in there if each in {first, second}]
    assert 4 == len(there)
    places = [trail.manifest(each).copy.version_id for each in trail.manifests.known()]
    assert {first.version_id, second.version_id} <= set(places)


@pytest.mark.parametrize("way", ["answer lost", "overwritten", "deleted"])
def test_answer_lost(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """
    Who dies before it knows the version is followed by one who finds it.
    """
    trail = trail_in(tmp_path, 1)
    desk = Desk(tmp_path, server.url, object_lock="compliance")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("chimera_log.audit.archive.uploaded", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    desk.archiving.close()
    (version,) = server.versions(BUCKET)
    client = server.client()
    if way == "overwritten":
        client.put_object(Bucket=BUCKET, Key=version.key, Body=b"forged")
    elif way == "deleted":
        client.delete_object(Bucket=BUCKET, Key=version.key)
    client.close()
    Desk(tmp_path, server.url).run()

    copy = trail.manifest(trail.manifests.known()[0]).copy
    assert ("done", version.version_id, True) == (
        copy.state,
        copy.version_id,
        copy.is_verified,
    )
    assert copy.locked_until > time.time()
    assert (2 if way == "overwritten" else 1) == len(server.versions(BUCKET, "data/"))


class TestPermissions:
    """What a policy allows, moto's IAM enforces."""

    def run(
        self,
        server: Server,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        *statements: dict[str, Any],
        **options: Any,
    ) -> Desk:
        """Archive as a user who may do what *statements* say."""
        for name, value in server.user(*statements).items():
            monkeypatch.setenv(name, value)
        desk = Desk(folder, server.url, **options)
        with server.enforcing():
            desk.run()
        return desk

    def test_least(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        To put below two prefixes, and to lock what is put, is all that it needs.
        """
        trail = trail_in(tmp_path)
        desk = self.run(
            *(server, tmp_path, monkeypatch, PUT, LOCK), object_lock="compliance"
        )

        assert [] == desk.troubles
        assert_archived(server, trail)

    def test_elsewhere(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Below another prefix it may not, which is one line; nothing is lost.
        """
        trail = trail_in(tmp_path)
        desk = self.run(server, tmp_path, monkeypatch, PUT, prefix="other")

        (trouble,) = desk.troubles
        assert trouble.startswith(
            "cannot archive: access to the bucket 'evidence' is denied; allow "
            "s3:PutObject on other/data/ and other/manifests/: "
        )
        assert [] == server.versions(BUCKET)
        assert 3 == len(trail.full)


class TestBadBucket:
    """One clear line each; all files stay, and are tried again."""

    def line(self, url: str, folder: Path, **options: Any) -> str:
        """Return the only line that is said, whatever is tried twice."""
        trail = trail_in(folder)
        desk = Desk(folder, url, **options)
        assert 0 < desk.run() <= 5
        (trouble,) = desk.troubles
        assert "\n" not in trouble
        assert trouble == desk.archiving.statistics().last_error
        assert 3 == desk.archiving.statistics().waiting
        assert 3 == len(trail.full)
        return trouble

    def test_none(self, server: Server, tmp_path: Path) -> None:
        """
        A bucket that does not exist.
        """
        expected = (
            "cannot archive: the bucket 'nowhere' does not exist; create it, or correct "
            "archive.bucket"
        )
        assert expected == self.line(server.url, tmp_path, bucket="nowhere")

    def test_no_locks(self, server: Server, tmp_path: Path) -> None:
        """
        A bucket without Object Lock, where that is asked for.
        """
        server.make("plain", has_versions=False, has_locks=False)
        found = self.line(
            server.url, tmp_path, bucket="plain", object_lock="compliance"
        )
        assert found.startswith(
            "cannot archive: the bucket 'plain' does not take it; enable versioning and "
            "Object Lock for it, or remove archive.object_lock: "
        )

    def test_down(self, server: Server, tmp_path: Path) -> None:
        """
        A server that is down; when it is there again, all is archived.
        """
        with refusing() as url:
            found = self.line(url, tmp_path)
        assert "cannot archive: EndpointConnectionError: Could not connect" in found

        Desk(tmp_path, server.url).run()
        assert 3 == len(server.versions(BUCKET, "data/"))

    def test_no_credentials(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Without credentials.
        """
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        found = self.line(server.url, tmp_path)
        assert "NoCredentialsError: Unable to locate credentials" in found


@pytest.mark.parametrize(
    "kills", [3, pytest.param(30, marks=[pytest.mark.long], id="long")]
)
def test_killed(server: Server, tmp_path: Path, kills: int) -> None:
    """
    However often it is killed, each file is there once in the end.
    """
    trail = trail_in(tmp_path, 12)
    for number in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), server.url],
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            assert b"begun\n" == child.stdout.readline()
            time.sleep(0.2 + 0.8 * number / kills)  # boto3's import takes half a second
            child.send_signal(signal.SIGKILL)
    desk = Desk(tmp_path, server.url)
    desk.run()

    assert [] == desk.troubles
    assert_archived(server, trail)
