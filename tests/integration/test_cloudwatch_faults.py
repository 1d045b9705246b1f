"""
What goes wrong between a service and AWS while it logs: nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.cloudwatch_stage import (
    BOTH,
    MEMORY,
    SPOOL,
    Promises,
    Scenarios,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SCENARIOS = Scenarios()
RATE = 200  # records a second, of a service that goes on while AWS fails
OUTAGES = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "InternalFailure",
    "RequestTimeTooSkewed",
    "ServiceUnavailableException",
    "ThrottlingException",
    "html",
    "reset",
]


# Played only when there is much time: their like is among the others.
RARE = {"ExpiredTokenException", "InternalFailure", "RequestTimeTooSkewed"}


def service(stage: Stage, seconds: float, trouble: Callable[[], None]) -> None:
    """Let a child log for *seconds*, and *trouble* come once it delivers."""
    count = round(RATE * seconds)
    script = f"configure()\nwrite('a', {count}, {1 / RATE})\nmark()"
    stage.expect("a", count)
    with stage.child(script) as process:
        stage.arrived(1)
        trouble()
        stage.end(process)


def outage(kind: str, seconds: float) -> Callable[[Stage], None]:
    """Return a scenario in which calls fail for *seconds*."""

    def play(stage: Stage) -> None:
        stage.says = ("records wait: ",)
        service(stage, 1.5 * seconds, lambda: stage.fail(kind, seconds=seconds))

    play.__name__ = f"{kind}_for_{seconds:.0f}_s"
    return play


for _kind in OUTAGES:
    _often, _seldom = ((), BOTH) if _kind in RARE else ((MEMORY,), (SPOOL,))
    SCENARIOS.add(*_often, long=_seldom)(outage(_kind, 1))
    SCENARIOS.add(long=BOTH)(outage(_kind, 10))


@SCENARIOS.add(SPOOL)
def spooled_outage(stage: Stage) -> None:
    """Two ways to fail, one after the other, while records wait on disk."""

    def fail() -> None:
        stage.fail("ServiceUnavailableException", calls=2)
        stage.fail("AccessDeniedException", calls=1)

    stage.says = ("records wait: ",)
    service(stage, 1.5, fail)


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def lost_reply(stage: Stage) -> None:
    """AWS takes a batch, and its answer is lost on the way."""
    stage.may_double = 1
    stage.says = ("records wait: ",)
    service(stage, 1, lambda: stage.fail("lost_reply", calls=1))


@SCENARIOS.add(long=(MEMORY, SPOOL))
def latency(stage: Stage) -> None:
    """AWS is slow, from the first call to the last."""
    stage.fail("latency", delay=2)
    stage.expect("a", 1200)
    stage.run("configure()\nwrite('a', 1200, 0.001)\nmark()")


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def group_deleted(stage: Stage) -> None:
    """Somebody deletes the group while the service logs."""
    service(stage, 1.5, lambda: stage.server.delete_group(stage.group))


@SCENARIOS.add(long=(MEMORY, SPOOL))
def stream_deleted(stage: Stage) -> None:
    """Somebody deletes the stream while the service logs."""

    def delete() -> None:
        (stream,) = stage.server.groups()[stage.group].streams
        stage.server.delete_stream(stage.group, stream)

    service(stage, 1.5, delete)


stages, stage = SCENARIOS.fixtures()


class TestEveryFault(Promises):
    """What holds whatever goes wrong."""
