"""
The thread that sends: one in a process, for all handlers.

It begins with the first record, sends what is due, and sleeps.  Nobody who logs
waits for it.  Who asks for a `flush` does, within bounds; at the process's end all
routes together get no more time than one of them would.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from contextlib import suppress

from chimera_log.cloudwatch.notices import OWN_LOGGER, Notices
from chimera_log.cloudwatch.route import Route
from chimera_log.native import RLock
from chimera_log.worker import SENDING, Worker, at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from chimera_log.cloudwatch.route import Destination, Options

THREAD = "chimera_log: cloudwatch"
_IDLE = 60.0  # seconds that the thread stays when there is nothing to send
_LOOK_AGAIN = 0.05  # seconds between two looks of somebody who waits for a flush
_FORK_TIMEOUT = 1.0  # seconds that a fork waits for what can be sent before
_AFTER_FAILURE = 1.0  # seconds until a route that raised is tried again

_routes: weakref.WeakValueDictionary[Destination, Route] = weakref.WeakValueDictionary()
_opening = RLock()  # a signal handler may log amid a first record
_active: dict[Route, None] = {}  # those that have something to send
_sending: int | None = None  # the thread that is sending, while it is
_began_at = 0.0  # when it began, in seconds since the epoch
_senders: set[int] = set()  # threads that ever sent
# Who was sending when; a queue holds no record back for longer than that.
_spans: deque[tuple[int, float, float]] = deque(maxlen=100)
_is_ending = False  # whether the process is
_deadline = float("inf")  # when its end waits no longer
_notices = Notices()


def shared(destination: Destination, options: Options) -> Route:
    """Return this process's `Route` to *destination*; the newest options hold."""
    with _opening:  # of two threads' first records, none goes by a way of its own
        known = _routes.get(destination)
        if known is None:
            known = _routes[destination] = Route(destination, options, _wake)
        else:
            known.use(options)
    return known


def is_own(record: logging.LogRecord) -> bool:
    """
    Whether *record* comes from the sending itself, of whatever library.

    To send it would make more of its kind, without end.  The thread that made it
    tells, and when it did, also of a record that came by somebody's queue; no flag
    does, which would hide what other threads log meanwhile.
    """
    if threading.get_ident() == _sending or (
        record.thread in _senders and _is_of_a_span(record)
    ):
        return record.name != OWN_LOGGER
    return False


def flush(routes: Iterable[Route], timeout: float) -> bool:
    """
    Have what was logged before delivered, and wait for it.

    Under logging's own lock, as `dictConfig` holds it, nobody waits: the thread
    might need that lock.

    Args:
        routes: Whose records.
        timeout: Seconds to wait at most.

    Returns:
        Whether all of it is delivered, or given up and counted.
    """
    now = time.monotonic()
    deadline = now + timeout
    goals = {route: route.statistics(now).enqueued for route in routes}
    while True:
        now = time.monotonic()
        late = [route for route, goal in goals.items() if _settled(route, now) < goal]
        if not late:
            break
        deadline = _shared(deadline)
        for route in late:
            route.hurry(now, deadline)
            _active[route] = None
        if _may_not_wait() or now >= deadline:
            _worker.wake()
            return False
        _worker.finish(deadline - now)
        late = [route for route in late if _settled(route, now) < goals[route]]
        if late and all(route.is_hopeless for route in late):
            return False
        if late:
            time.sleep(max(min(_LOOK_AGAIN, deadline - time.monotonic()), 0))
    for route in goals:
        route.hurry(now, now)  # the haste is over
    return True


def let_go(route: Route, timeout: float) -> bool:
    """
    Flush *route*, which nobody uses any more, and keep nothing on disk for it.

    Args:
        route: Which one.
        timeout: Seconds to wait at most; 0 does not wait.

    Returns:
        As `flush`.
    """
    deadline = min(time.monotonic() + timeout, _deadline)
    is_flushed = flush([route], timeout)
    _wake(route)  # a thread that finds nothing to send removes what was for that
    if is_flushed and not _may_not_wait():
        _worker.finish(max(deadline - time.monotonic(), 0))
    return is_flushed


def _is_of_a_span(record: logging.LogRecord) -> bool:
    """Whether *record* was made while its thread was sending."""
    made_at: object = record.created  # somebody made the record: anything
    if not isinstance(made_at, (int, float)):
        return False
    # The number may have been another thread's before, and may be later.
    spans = [*_spans, (_sending, _began_at, float("inf"))]
    return any(
        thread == record.thread and begin <= made_at <= end
        for thread, begin, end in spans
    )


def _shared(deadline: float) -> float:
    """Return when to stop waiting: at the process's end, as the first who waits."""
    global _deadline  # noqa: PLW0603  a process ends once
    if _is_ending:
        # Not before somebody has to: functions that are called later may log, too.
        deadline = _deadline = min(deadline, _deadline)
    return deadline


def _all_routes() -> list[Route]:
    while True:
        with suppress(RuntimeError):  # another thread adds one
            return list(_routes.values())


def _settled(route: Route, now: float) -> int:
    """Return how many records of *route* need no more waiting for."""
    found = route.statistics(now)
    settled: int = found.sent + found.dropped + found.rejected
    return settled


def _may_not_wait() -> bool:
    # Private, but dictConfig tells nobody that it holds this lock.
    lock = getattr(logging, "_lock", None)
    is_owned = getattr(lock, "_is_owned", bool)
    return threading.get_ident() == _sending or is_owned()


def _wake(route: Route) -> None:
    _active[route] = None
    _worker.wake()


def _work() -> float | None:
    """Do a step for each route that has something to send."""
    global _sending, _began_at  # noqa: PLW0603  there is one
    _began_at = time.time()
    _sending = threading.get_ident()
    _senders.add(_sending)
    try:
        pauses = [_step(route) for route in list(_active)]
        _notices.look(_all_routes(), time.monotonic())
    finally:
        _spans.append((_sending, _began_at, time.time()))
        _sending = None
    return min((each for each in pauses if each is not None), default=None)


def _step(route: Route) -> float | None:
    try:
        pause = route.step(time.monotonic())
    except Exception as error:  # the others must go on
        route.tell("deliver", f"{type(error).__name__}: {error}")
        return _AFTER_FAILURE
    if pause is None:
        _active.pop(route, None)
        if route.waiting:  # somebody put it in this very moment
            _active[route] = None
            return 0
        if not route.users:
            route.rest()
    return pause


def _disconnect() -> None:
    """Close what gevent ties to the thread that opened it, which ends."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        for route in _all_routes():
            route.disconnect()
        gc.collect()  # botocore's clients go round in circles


_worker = Worker(THREAD, _work, idle=_IDLE, in_caller=False, on_leave=_disconnect)


@at_exit(SENDING)
def _at_exit() -> None:
    global _is_ending  # noqa: PLW0603  a process ends once
    _is_ending = True
    routes = _all_routes()
    waiting = [route for route in routes if route.waiting]
    deadline = time.monotonic() + _longest_wait(routes)
    try:
        flush(waiting, _longest_wait(waiting))
        for route in routes:
            route.users.clear()  # a record that still comes is sent all the same
            _active[route] = None
        _worker.finish(max(deadline - time.monotonic(), 0))
    finally:  # also if a Ctrl-C ended the waiting
        for route in routes:
            route.at_exit()


def _longest_wait(routes: list[Route]) -> float:
    return max((route.options.close_timeout for route in routes), default=0.0)


def _before_fork() -> None:
    # What is sent now needs no thread afterwards, which Python 3.12 would warn of.
    # Where AWS is away, nobody is kept waiting for it.
    hopeful = [route for route in list(_active) if not route.is_failing]
    flush(hopeful, _FORK_TIMEOUT)


def _after_fork_in_parent() -> None:
    if _active:  # the thread ended before the fork, and what waits is due
        _worker.wake()


def _after_fork_in_child() -> None:
    global _opening, _sending, _is_ending, _deadline, _notices  # noqa: PLW0603  anew
    _opening = RLock()
    _sending, _is_ending, _deadline = None, False, float("inf")
    _notices = Notices()
    _active.clear()
    _senders.clear()
    _spans.clear()
    for route in _all_routes():
        route.after_fork()


if hasattr(os, "register_at_fork"):
    # Before the worker's own function, which ends the thread: that is what the order
    # of imports means.
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
