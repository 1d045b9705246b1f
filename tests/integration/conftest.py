"""
What integration tests share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration import cloudwatch_server, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.register_assert_rewrite("tests.integration.cloudwatch_stage")


@pytest.fixture(scope="session")
def cloudwatch_process() -> Iterator[cloudwatch_server.Server]:
    """Return the server that all tests of a run share; most want ``cloudwatch``."""
    with cloudwatch_server.running() as server:
        yield server


@pytest.fixture
def cloudwatch(
    cloudwatch_process: cloudwatch_server.Server,
) -> Iterator[cloudwatch_server.Server]:
    """
    Return a CloudWatch Logs where nothing has happened yet.

    The test fails if what it runs breaks one of AWS's rules.
    """
    cloudwatch_process.reset()
    yield cloudwatch_process
    assert [] == cloudwatch_process.violations()


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Postgres]:
    """Return a PostgreSQL server, which all tests of a run share."""
    with postgres_server.running() as server:
        yield server
