"""
The system's own threads, locks and waits, whatever was put in their place.

gevent's monkey-patching turns the threads of a process into greenlets, which take
turns in one thread.  A greenlet that writes to a pipe that nobody reads, syncs a
disk or compresses a file stops all the others, and so does one that waits for a
lock that was made before the patching: gunicorn imports the application first.

So what this package shares between threads is real, always: nothing in it ever
switches to another greenlet, which makes a piece of code under a lock as undivided
as it looks, and lets gevent's own callbacks log.  Greenlets of one thread are to a
lock what a signal handler is: the same owner.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from contextlib import suppress

__all__ = ["Gong", "Lock", "RLock", "Thread", "get_ident", "poll", "sleep"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _original(module: str, name: str) -> Any:
    """Return what *module* calls *name*, as it was before gevent came."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(importlib.import_module(module), name)
    return monkey.get_original(module, name)


if TYPE_CHECKING:
    from _thread import start_new_thread
    from select import poll
    from threading import Lock, RLock, get_ident
    from time import sleep
else:
    Lock = _original("_thread", "allocate_lock")
    # Not that of `threading`, which asks anew what to make at each call.
    RLock = _original("_thread", "RLock")
    get_ident = _original("_thread", "get_ident")
    start_new_thread = _original("_thread", "start_new_thread")
    sleep = _original("time", "sleep")
    if sys.platform != "win32":  # pragma: no branch
        poll = _original("select", "poll")


class Thread:
    """
    A thread that ends with the process, if not before.

    `threading` does not list it: a gevent that finds a second thread in that list
    leaves the import that it is patching in to end with an error.

    Args:
        run: Called in the thread, with it.
    """

    def __init__(self, run: Callable[[Thread], object]) -> None:
        self._run = run
        self._running = Lock()
        self.native_id: int | None = None  # once it runs

    def start(self) -> None:
        """
        Begin.

        Raises:
            RuntimeError: If there are no more threads to be had.
        """
        self._running.acquire()
        start_new_thread(self._main, ())

    def join(self, timeout: float) -> bool:
        """
        Wait until it has ended, of which the kernel may hear a moment later.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it has.
        """
        has_ended = self._running.acquire(timeout=timeout)
        if has_ended:
            self._running.release()
        return has_ended

    def _main(self) -> None:
        self.native_id = threading.get_native_id()
        try:
            # As `threading` does for the threads it knows: debuggers and coverage
            # want to be told of each.
            sys.settrace(threading.gettrace())
            sys.setprofile(threading.getprofile())
            self._run(self)
            _leave_gevent()
            _leave_threading()
        finally:
            self._running.release()


def _leave_gevent() -> None:
    """Give back what gevent may have made for the thread that ends."""
    # Each thread that waits for a patched socket has descriptors and a pool of
    # threads for it, which do not go away with the thread.
    with suppress(Exception):  # not public, and it may change
        hub = sys.modules["gevent._hub_local"].get_hub_if_exists()
        hub.destroy(destroy_loop=True)


def _leave_threading() -> None:
    """Have `threading` forget the thread that ends."""
    # Whoever logs in it makes an entry, which stays before Python 3.12.
    with suppress(Exception):  # not public either
        known: dict[int, object] = threading._active  # type: ignore[attr-defined]
        if type(known.get(threading.get_ident())).__name__ == "_DummyThread":
            del known[threading.get_ident()]


class Gong:
    """
    Something that threads wait for until somebody strikes it.

    No lock is held meanwhile: a signal handler may strike amid a wait, and wait
    amid a strike.
    """

    def __init__(self) -> None:
        self._waiting: list[Lock] = []  # a lock for each who waits

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """
        Wait until *condition* holds; it is looked at after each stroke.

        Args:
            condition: Made true before the gong is struck.
            timeout: Seconds to wait at most.

        Returns:
            Whether it holds.
        """
        deadline = time.monotonic() + timeout
        while True:
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
            try:
                # Only now: a stroke from here on is heard.
                if condition():
                    return True
                left = max(deadline - time.monotonic(), 0)
                if not mine.acquire(timeout=left):
                    return condition()
            finally:
                with suppress(ValueError):  # it was struck
                    self._waiting.remove(mine)

    def strike(self) -> None:
        """Have all who wait look at what they wait for."""
        with suppress(IndexError):  # all of them, or somebody else strikes, too
            while self._waiting:
                self._waiting.pop().release()
