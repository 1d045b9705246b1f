"""
What dead processes left is delivered, and what waits at the end is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.aws.access import Access
from chimera_log.aws.retry import OUTAGE
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.delivery import Pace
from chimera_log.cloudwatch.memory import DROP_OLDEST, Bounds
from chimera_log.cloudwatch.route import Destination, Options, Route
from tests.aws import Boto, Logs

if TYPE_CHECKING:
    from pathlib import Path

    from chimera_log.cloudwatch.delivery import Statistics


class Service:
    """The routes of processes that use one spool, dead or alive."""

    def __init__(self, folder: Path) -> None:
        self.logs = Logs()
        self.folder = folder
        self.factory = lambda _: Boto(self.logs)
        self.now = 0.0
        self.routes = 0

    def route(self, **changes: Any) -> Route:
        """Return the route of another process."""
        access = Access(None, None, None, self.factory)
        self.routes += 1
        stream = f"{self.routes}-{{random}}"
        destination = Destination(access, "Chimera", stream, str(self.folder))
        bounds = Bounds(1_000, 10**6, DROP_OLDEST)
        options = Options(30, {}, Pace(100, 5.0, 10**6), bounds, 10**6, 5.0)
        return Route(destination._replace(**changes), options, lambda _: None)

    def run(self, route: Route, seconds: float = 10.0) -> None:
        """Let *route* do what there is to do for some time."""
        end = self.now + seconds
        while self.now <= end:
            pause = route.step(self.now)
            self.now = end + 1 if pause is None else self.now + max(pause, 0.001)

    def left(self) -> list[str]:
        """Return what is in the spool's folder."""
        return [each.name for each in self.folder.glob("*")]


def put(route: Route, *messages: bytes) -> None:
    """Have *messages* delivered."""
    now = 1_900_000_000_000
    for message in messages:
        route.put(Event(now, message))


def killed(route: Route) -> None:
    """Have the process of *route* die, as far as its descriptors go."""
    route.after_fork()


def adds_up(found: Statistics) -> bool:
    """Whether every record is accounted for."""
    rest = found.dropped + found.rejected + found.queued + found.spooled
    return bool(found.enqueued == found.sent + rest)


@pytest.fixture(name="service")
def _service(tmp_path: Path) -> Service:
    return Service(tmp_path / "spool")


class TestInheritance:
    def test_delivered(self, service: Service) -> None:
        """
        What a dead process left is delivered by the next, to the stream of the
        dead one, and nothing is left of it.
        """
        dead, living = service.route(), service.route()
        put(dead, b"one", b"two")
        killed(dead)
        put(living, b"three")
        service.run(living)
        living.rest()
        assert {b"one", b"two", b"three"} == {*service.logs.messages}
        assert (2, []) == (len(service.logs.streams), service.left())

    def test_oldest_first(self, service: Service) -> None:
        """
        What several left is delivered in the order in which they began.
        """
        for message in (b"one", b"two", b"three"):
            dead = service.route()
            put(dead, message)
            killed(dead)
        living = service.route()
        put(living, b"own")
        service.run(living)
        inherited = [each for each in service.logs.messages if each != b"own"]
        assert [b"one", b"two", b"three"] == inherited
        living.rest()

    def test_counted(self, service: Service) -> None:
        """
        What was inherited is counted by whoever delivers it.
        """
        dead, living = service.route(), service.route()
        put(dead, *[b"event"] * 50)
        killed(dead)
        put(living, b"own")
        service.logs.fail(OUTAGE, 3)
        for _ in range(40):
            service.run(living, 1.0)
            assert adds_up(living.statistics(service.now))
        found = living.statistics(service.now)
        assert (51, 51) == (found.enqueued, found.sent)
        living.rest()

    def test_hurried(self, service: Service) -> None:
        """
        Who waits for a delivery does not wait in vain for what was inherited: after
        a failure it is tried again as soon as everything else.
        """
        dead, living = service.route(), service.route()
        put(dead, b"event")
        killed(dead)
        service.logs.fail(OUTAGE, 10)
        service.run(living, 100.0)
        living.hurry(service.now, service.now + 15.0)
        service.run(living, 15.0)
        assert [b"event"] == service.logs.messages
        living.rest()

    def test_of_the_living(self, service: Service) -> None:
        """
        What a living process has is its own.
        """
        one, two = service.route(), service.route()
        put(one, b"one")
        put(two, b"two")
        service.run(two)
        assert [b"two"] == service.logs.messages
        service.run(one)
        one.rest()
        two.rest()
        assert [b"two", b"one"] == service.logs.messages

    def test_while_running(self, service: Service) -> None:
        """
        What a sibling leaves is delivered within a minute or so, not only at the
        next start.
        """
        living, sibling = service.route(), service.route()
        put(living, b"one")
        service.run(living)
        put(sibling, b"left")
        killed(sibling)
        put(living, b"two")
        service.run(living, 70)
        service.now += 70
        put(living, b"three")
        service.run(living)
        assert {b"one", b"two", b"three", b"left"} == {*service.logs.messages}
        living.rest()

    def test_for_somebody_else(
        self, service: Service, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """
        What was meant for another region goes nowhere else; it is told and stays.
        """
        dead = service.route(access=Access("eu-west-1", None, None, service.factory))
        put(dead, b"elsewhere")
        killed(dead)
        living = service.route()
        put(living, b"own")
        service.run(living)
        living.rest()
        assert ([b"own"], 1) == (service.logs.messages, len(service.left()))
        assert "eu-west-1" in capfd.readouterr().err

    def test_again_after_a_kill(self, service: Service) -> None:
        """
        What was inherited and could not be delivered is inherited again.
        """
        dead, heir, living = service.route(), service.route(), service.route()
        put(dead, b"one")
        killed(dead)
        put(heir, b"two")
        service.logs.fail(OUTAGE, 2)
        service.run(heir, 1.0)
        killed(heir)
        put(living, b"three")
        service.run(living, 300)
        living.rest()
        assert [b"one", b"three", b"two"] == sorted(service.logs.messages)


class TestDrops:
    def test_no_handler(self, service: Service) -> None:
        """
        Where no handler says how an event of our own reads, none is sent.
        """
        route = service.route(spool_dir=None)
        put(route, *[b"event"] * 1_500)
        service.run(route, 60)
        assert (1_000, 500) == (
            len(service.logs.messages),
            route.statistics(service.now).dropped,
        )


class TestExit:
    def test_spooled(self, service: Service, capfd: pytest.CaptureFixture[str]) -> None:
        """
        What waits on disk at the end is told, with where it waits.
        """
        route = service.route()
        put(route, b"one", b"two")
        route.at_exit()
        assert "2 records wait in the spool" in capfd.readouterr().err
        killed(route)

    def test_in_memory(
        self, service: Service, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """
        What waits in memory at the end is lost, and told.
        """
        route = service.route(spool_dir=None)
        put(route, b"one", b"two")
        route.at_exit()
        assert "the process ends; 2 records not delivered" in capfd.readouterr().err

    def test_nothing(self, service: Service, capfd: pytest.CaptureFixture[str]) -> None:
        """
        Where nothing waits, there is nothing to tell.
        """
        service.route().at_exit()
        assert "" == capfd.readouterr().err


class TestFork:
    def test_child(self, service: Service) -> None:
        """
        A child sends nothing of its parent's, and counts anew.
        """
        route = service.route(spool_dir=None)
        put(route, b"parent")
        route.after_fork()
        put(route, b"child")
        service.run(route)
        assert [b"child"] == service.logs.messages
        assert 1 == route.statistics(service.now).enqueued
