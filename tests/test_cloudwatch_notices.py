"""
What does not go well is told, now and then.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chimera_log.cloudwatch.delivery import NOTHING, Statistics
from chimera_log.cloudwatch.notices import OWN_LOGGER, Notices

if TYPE_CHECKING:
    from collections.abc import Iterator


class Goal(NamedTuple):
    """A destination, as far as notices know it."""

    log_group_name: str


class Told:
    """Stands for a route, with figures that the test sets."""

    def __init__(self, name: str = "Chimera") -> None:
        self.destination = Goal(name)
        self.figures = NOTHING

    def set(self, **figures: Any) -> None:
        """Change these figures."""
        self.figures = self.figures._replace(**figures)

    def statistics(self, _: float) -> Statistics:
        """As a route's."""
        return self.figures


@pytest.fixture(name="logged")
def _logged() -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []

    class Recording(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Recording()
    logging.getLogger().addHandler(handler)
    yield records
    logging.getLogger().removeHandler(handler)


def look(notices: Notices, now: float, *routes: Told) -> None:
    """Have *notices* look at *routes*."""
    notices.look(routes, now)  # type: ignore[arg-type]


class TestLook:
    def test_all_is_well(self, logged: list[logging.LogRecord]) -> None:
        """
        While records are sent, there is nothing to tell.
        """
        route, notices = Told(), Notices()
        for now in range(0, 3_600, 60):
            route.set(enqueued=now + 9, sent=now, queued=9, last_success=1.0)
            look(notices, now, route)
        assert [] == logged

    @pytest.mark.parametrize("name", ["dropped", "rejected", "retried"])
    def test_grown(self, logged: list[logging.LogRecord], name: str) -> None:
        """
        What was dropped, rejected or retried is told, as an ordinary event with
        all the figures.
        """
        route, notices = Told("bot"), Notices()
        look(notices, 0, route)
        route.set(**{name: 3}, last_error="no route")
        look(notices, 1, route)
        (record,) = logged
        context = vars(record)["context"]
        assert (OWN_LOGGER, "logging_statistics") == (record.name, record.getMessage())
        assert ("bot", 3, "no route") == (
            context["log_group_name"],
            context[name],
            context["last_error"],
        )

    def test_not_twice(self, logged: list[logging.LogRecord]) -> None:
        """
        What was told and did not grow is not told again.
        """
        route, notices = Told(), Notices()
        route.set(dropped=3)
        for now in range(0, 3_600, 10):
            look(notices, now, route)
        assert 1 == len(logged)

    def test_interval(self, logged: list[logging.LogRecord]) -> None:
        """
        However much is dropped, there is one event in five minutes.
        """
        route, notices = Told(), Notices()
        for now in range(3_600):
            route.set(dropped=now + 1)
            look(notices, now, route)
        assert 12 == len(logged)

    def test_late(self, logged: list[logging.LogRecord]) -> None:
        """
        What waits for more than a minute is told, also if nothing was ever sent.
        """
        route, notices = Told(), Notices()
        route.set(spooled=1)
        for now in range(61):
            look(notices, now, route)
        before = len(logged)
        look(notices, 61, route)
        assert (0, 1) == (before, len(logged))

    def test_wait_begins_anew(self, logged: list[logging.LogRecord]) -> None:
        """
        A minute counts from when something began to wait.
        """
        route, notices = Told(), Notices()
        route.set(queued=1)
        look(notices, 0, route)
        route.set(queued=0)
        look(notices, 50, route)
        route.set(queued=1, last_success=90.0)
        look(notices, 90, route)
        look(notices, 149, route)
        assert [] == logged

    def test_several(self, logged: list[logging.LogRecord]) -> None:
        """
        Each route has its own figures.
        """
        one, two, notices = Told("one"), Told("two"), Notices()
        two.set(dropped=1)
        look(notices, 0, one, two)
        assert ["two"] == [vars(each)["context"]["log_group_name"] for each in logged]
