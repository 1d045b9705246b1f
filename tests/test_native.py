"""
Threads, locks and waits that stay the system's own.
"""

from __future__ import annotations

import sys
import threading
import time
from threading import Thread as PlainThread
from types import SimpleNamespace

import pytest

from chimera_log import native
from chimera_log.native import Gong, Thread
from tests.conftest import PATIENCE, is_gone


class TestOriginal:
    def test_nothing_patched(self) -> None:
        """
        Where there is no gevent it is what the module has.
        """
        assert time.sleep is native._original("time", "sleep")

    def test_patched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where gevent came first it is what gevent put aside.
        """
        monkey = SimpleNamespace(get_original=lambda *names: ".".join(names))
        monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)

        assert "time.sleep" == native._original("time", "sleep")


class TestThread:
    def test_runs(self) -> None:
        """
        It calls what it was told to with itself, and has ended afterwards.
        """
        called: list[tuple[Thread, int]] = []
        thread = Thread(lambda each: called.append((each, threading.get_native_id())))
        thread.start()
        assert thread.join(PATIENCE)
        assert thread.join(0)

        assert thread.native_id is not None
        assert thread.native_id != threading.get_native_id()
        assert [(thread, thread.native_id)] == called
        assert is_gone(thread.native_id)

    def test_not_yet_ended(self) -> None:
        """
        Who waits for it waits no longer than he wants.
        """
        may_end = threading.Event()
        thread = Thread(lambda _: may_end.wait(PATIENCE))
        thread.start()

        assert not thread.join(0)
        assert not thread.join(0.001)
        may_end.set()
        assert thread.join(PATIENCE)

    def test_forgotten(self) -> None:
        """
        What asks for the current thread in it, as a logged record does, makes an
        entry, which does not stay.
        """
        before = threading.enumerate()
        names: list[str] = []
        thread = Thread(lambda _: names.append(threading.current_thread().name))
        thread.start()
        assert thread.join(PATIENCE)

        assert 1 == len(names)
        assert before == threading.enumerate()

    def test_unknown(self) -> None:
        """
        `threading` does not list it, nor does it remember it afterwards.
        """
        before = threading.enumerate()
        listed: list[list[threading.Thread]] = []
        thread = Thread(lambda _: listed.append(threading.enumerate()))
        thread.start()
        assert thread.join(PATIENCE)

        assert [before] == listed
        assert before == threading.enumerate()

    def test_traced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A debugger and a profiler that were told of to `threading` see it.
        """
        monkeypatch.setattr(threading, "gettrace", lambda: "debugger")
        monkeypatch.setattr(threading, "getprofile", lambda: "profiler")

        assert ["debugger", "profiler"] == run_here(monkeypatch)

    def test_gevent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What gevent made for it is given back when it ends.
        """
        destroyed: list[bool] = []
        hub = SimpleNamespace(
            destroy=lambda *, destroy_loop: destroyed.append(destroy_loop)
        )
        hubs = SimpleNamespace(get_hub_if_exists=lambda: hub)
        monkeypatch.setitem(sys.modules, "gevent._hub_local", hubs)
        run_here(monkeypatch)

        assert [True] == destroyed


def run_here(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Run a thread in this one, as far as that goes; return what would trace it."""
    used: list[object] = []
    monkeypatch.setattr(sys, "settrace", used.append)
    monkeypatch.setattr(sys, "setprofile", used.append)
    thread = Thread(lambda _: None)
    thread._running.acquire()
    thread._main()
    assert thread.join(0)
    return used


class TestGong:
    def test_holds_already(self) -> None:
        """
        Who need not wait does not.
        """
        gong = Gong()

        assert gong.wait_for(lambda: True, 0)
        assert [] == gong._waiting

    def test_in_vain(self) -> None:
        """
        Who waits for what does not come waits no longer than he wants.
        """
        gong = Gong()

        assert not gong.wait_for(lambda: False, 0)
        assert not gong.wait_for(lambda: False, -1)
        assert [] == gong._waiting

    def test_all(self) -> None:
        """
        A stroke is heard by all who wait.
        """
        gong, is_true, answers = Gong(), threading.Event(), list[bool]()

        def wait() -> None:
            answers.append(gong.wait_for(is_true.is_set, PATIENCE))

        threads = [PlainThread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(gong._waiting) < 3:
            assert all(thread.is_alive() for thread in threads)
        is_true.set()
        gong.strike()
        for thread in threads:
            thread.join(PATIENCE)

        assert [True] * 3 == answers

    def test_not_for_him(self) -> None:
        """
        Who hears a stroke that changed nothing for him waits on.
        """
        gong, looks = Gong(), list[int]()

        def third_time() -> bool:
            looks.append(len(looks))
            gong.strike()
            return len(looks) == 3

        assert gong.wait_for(third_time, PATIENCE)

    def test_last_look(self) -> None:
        """
        What came true without a stroke is seen at the end of the wait.
        """
        answers = iter([False, True])

        assert Gong().wait_for(lambda: next(answers), 0)

    def test_two_strike(self) -> None:
        """
        Two who strike at once do not disturb each other.
        """

        class Taken(list[native.Lock]):
            """A list whose last element somebody else just took."""

            def __len__(self) -> int:
                return 1

        gong = Gong()
        gong._waiting = Taken()
        gong.strike()
