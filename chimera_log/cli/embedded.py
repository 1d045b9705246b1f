"""
AWS within this process, for demos: nothing of it is real, and nobody else is asked.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import NamedTuple

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ACCOUNT, REGION = "123456789012", "eu-central-1"


class Stored(NamedTuple):
    """An object in the embedded S3."""

    key: str
    version_id: str
    body: bytes
    locked_until: str  # empty: not locked


class Embedded:
    """
    CloudWatch Logs and S3, as a client at *url* sees them.

    Args:
        url: Their address.
        backend: Moto's `get_backend`, which returns the model of a service.
    """

    def __init__(self, url: str, backend: Any) -> None:
        self.url = url
        self._backend = backend

    def events(self) -> dict[str, list[str]]:
        """Return the messages that arrived, by their group and stream."""
        groups = self._backend("logs")[_ACCOUNT][REGION].groups.values()
        return {
            f"{group.name}, stream {name}": [event.message for event in stream.events]
            for group in groups
            for name, stream in group.streams.items()
        }

    def make_bucket(self, name: str) -> None:
        """Make a bucket whose objects have versions that can be locked."""
        made = self._backend("s3")[_ACCOUNT]["aws"].create_bucket(name, REGION)
        made.versioning_status = "Enabled"
        made.object_lock_enabled = True

    def stored(self, bucket: str) -> list[Stored]:
        """Return what is in a bucket, by key."""
        keys = self._backend("s3")[_ACCOUNT]["aws"].get_bucket(bucket).keys
        return [
            Stored(name, each.version_id, each.value, str(each.lock_until or ""))
            for name, each in sorted(keys.items())
        ]


@contextmanager
def embedded(option: str) -> Iterator[Embedded]:
    """
    Run AWS in this process.

    Args:
        option: That asks for it, for the error.

    Raises:
        ConfigError: If there is no moto.
    """
    try:
        from moto.backends import get_backend  # noqa: PLC0415  for demos only
        from moto.server import ThreadedMotoServer  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"demo {option}: {error}; install chimera_log[test], which has it"
        ) from None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        # Nobody's: moto takes any.
        os.environ.update(AWS_ACCESS_KEY_ID="demo", AWS_SECRET_ACCESS_KEY="demo")  # noqa: S106
        yield Embedded(f"http://{host}:{port}", get_backend)
    finally:
        server.stop()
