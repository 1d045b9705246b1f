"""
S3 for tests, as an HTTP server in a process of its own: moto's.

`Server` makes buckets and users, and shows what is in a bucket.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
PATIENCE = 30.0  # seconds for an answer; far beyond what one takes


class Version(NamedTuple):
    """A version of an object, or a delete marker, which has no *body*."""

    key: str
    version_id: str
    body: bytes | None


class Server:
    """
    The server, seen from a test.

    Args:
        port: Where it listens, on this machine.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def client(self, service: str = "s3", **keys: str) -> Any:
        """Return boto3's client; by default as somebody who may do anything."""
        names = {"aws_access_key_id": "root", "aws_secret_access_key": "root"}
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, **{**names, **keys}
        )

    def make(self, bucket: str, *, has_versions: bool = True, has_locks: bool) -> None:
        """Make a bucket."""
        with contextlib.closing(self.client()) as client:
            client.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": REGION},
                ObjectLockEnabledForBucket=has_locks,
            )
            if has_versions and not has_locks:
                client.put_bucket_versioning(
                    Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
                )

    def versions(self, bucket: str, prefix: str = "") -> list[Version]:
        """Return all versions that are in *bucket*, the oldest of each key first."""
        with contextlib.closing(self.client()) as client:
            answer = client.list_object_versions(Bucket=bucket, Prefix=prefix)
            found = []
            for each in answer.get("Versions", []):
                got = client.get_object(
                    Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"]
                )
                body = got["Body"].read()
                found.append(Version(each["Key"], each["VersionId"], body))
            return found[::-1]

    def user(self, *statements: dict[str, Any]) -> dict[str, str]:
        """Return the keys of a new user who may do what *statements* say."""
        with contextlib.closing(self.client("iam")) as client:
            client.create_user(UserName="archiver")
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            client.put_user_policy(
                UserName="archiver",
                PolicyName="archive",
                PolicyDocument=json.dumps(policy),
            )
            key = client.create_access_key(UserName="archiver")["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    @contextmanager
    def enforcing(self) -> Iterator[None]:
        """Have policies enforced for a while."""
        self._post("reset-auth", "0")
        try:
            yield
        finally:
            self._post("reset-auth", "inf")

    def reset(self) -> None:
        """Forget everything."""
        self._post("reset")

    def _post(self, action: str, body: str = "") -> None:
        asked = urllib.request.Request(  # noqa: S310  our own
            f"{self.url}/moto-api/{action}",
            body.encode(),
            {"Content-Type": "text/plain"},
            method="POST",
        )
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310
            answer.read()


@contextmanager
def running() -> Iterator[Server]:
    """Start the process, and end it."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    }
    # Nobody asks for its coverage, which would take half of its time.
    variables = {"PYTHONPATH": str(ROOT), "COVERAGE_PROCESS_CONFIG": ""}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.integration.s3_server"],
        env={**inherited, **variables},
        stdin=subprocess.PIPE,  # its end tells the process that nobody needs it
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # no signal to a whole test run may hit it
    ) as process:
        try:
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    """Serve until the standard input ends."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
