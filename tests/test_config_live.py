"""
Configured again, logging changes in one step, and loses nothing.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import logging.handlers
import os
import queue
import runpy
import sys
import threading
import types
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from chimera_log import (
    AuditFileHandler,
    ConfigError,
    RotatingFileHandler,
    init_logging,
    reload,
    set_level,
)
from chimera_log.config import building, listeners, live, reloading, swap
from chimera_log.config.levels import Levels
from chimera_log.config.watch import Watch, fingerprint
from tests.conftest import record
from tests.test_config import Recorder, of_name, ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROOT = logging.getLogger()
log = logging.getLogger("engine")


class Foreign(Recorder):
    """A handler of somebody else's, as test runners and tracers have them."""


class Refusing(logging.Handler):
    """Cannot be made."""

    def __init__(self) -> None:
        super().__init__()
        raise OSError("no such place")


class Fussy(Recorder):
    """Raises where it should not."""

    def flush(self) -> None:
        """Fail."""
        raise ValueError("flush")

    def close(self) -> None:
        """Close, and fail."""
        super().close()
        raise ValueError("close")


class Rude(Recorder):
    """Raises when it is given its name, or does something else then."""

    made: ClassVar[list[Rude]] = []
    when_named: ClassVar[Callable[[], object]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.made.append(self)

    def set_name(self, name: str) -> None:
        """Take the name, if that is what there is to do."""
        type(self).when_named()
        super().set_name(name)


def fail(error: BaseException) -> Callable[[], NoReturn]:
    """Return what raises *error*."""

    def raising() -> NoReturn:
        raise error

    return raising


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test configured."""
    monkeypatch.setattr(live, "_running", swap.NOTHING)
    monkeypatch.setattr(live, "levels", Levels())
    monkeypatch.setattr(reloading, "_request", None)
    monkeypatch.setattr(reloading, "_watch", None)
    Rude.made.clear()
    Rude.when_named = lambda: None
    yield
    reloading._watch = None
    reloading._worker.stop(10)


def config(**handlers: Any) -> dict[str, Any]:
    """Return a configuration whose root has *handlers*."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(message)s"}},
        "handlers": handlers,
        "root": {"level": "INFO", "handlers": list(handlers)},
    }


RECORDER = {"class": "tests.test_config.Recorder"}


class TestReuse:
    def test_unchanged(self, tmp_path: Path) -> None:
        """
        What is configured as before is the very same object, still open.
        """
        file = {"class": "logging.FileHandler", "filename": str(tmp_path / "a.log")}
        given = config(
            a={**RECORDER, "formatter": "plain", "filters": ["some"]}, file=file
        )
        given["filters"] = {"some": {"name": ""}}
        init_logging(given)
        before = ours()
        parts = [before[0].formatter, *before[0].filters]
        init_logging(given)

        assert before == ours()
        assert parts == [ours()[0].formatter, *ours()[0].filters]
        assert not of_name("a").closed
        before[1].close()

    @pytest.mark.parametrize(
        "change",
        [
            {"level": "ERROR"},
            {"formatter": "plain"},
            {"filters": ["some"]},
            {"other": 1},
            {"other": True},
            {"other": [1]},
            {"other": {"a": "ext://sys.stderr"}},
            {"other": (1, None)},
        ],
    )
    def test_changed(self, change: dict[str, Any]) -> None:
        """
        A handler with any other option is made anew, and the old one closed.
        """
        given = config(a={**RECORDER, "other": 1.0, "ext": "ext://sys.stdout"})
        given["filters"] = {"some": {"name": ""}}
        init_logging(given)
        before = of_name("a")
        given["handlers"]["a"].update(change)
        init_logging(given)

        assert before is not of_name("a")
        assert (True, False) == (before.closed, of_name("a").closed)

    def test_of_a_formatter(self) -> None:
        """
        What a handler refers to belongs to it.
        """
        given = config(a={**RECORDER, "formatter": "plain"}, b=RECORDER)
        init_logging(given)
        before = of_name("a"), of_name("b")
        given["formatters"]["plain"]["format"] = "%(name)s"
        init_logging(given)

        assert before[0] is not of_name("a")
        assert before[1] is of_name("b")

    def test_of_a_filter(self) -> None:
        """
        So do the filters that it names.
        """
        given = config(a={**RECORDER, "filters": ["some"]})
        given["filters"] = {"some": {"name": "bot"}}
        init_logging(given)
        before = of_name("a")
        given["filters"]["some"]["name"] = "rpc"
        init_logging(given)

        assert before is not of_name("a")
        assert ["rpc"] == [each.name for each in of_name("a").filters]  # type: ignore[union-attr]

    def test_of_a_target(self) -> None:
        """
        A handler that hands its records to another one is made anew with it.
        """
        memory = {
            "class": "logging.handlers.MemoryHandler",
            "capacity": 1,
            "target": "a",
        }
        given = config(a=dict(RECORDER), m=memory)
        given["root"]["handlers"] = ["m"]
        init_logging(given)
        (before,) = ours()
        init_logging(given)
        assert [before] == ours()

        given["handlers"]["a"]["level"] = "INFO"
        init_logging(given)
        log.info("one")

        (memory_handler,) = ours()
        assert memory_handler is not before
        target: Any = memory_handler.target  # type: ignore[attr-defined]
        assert ["one"] == target.events

    def test_stream_that_was_exchanged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What ``ext://`` names is looked up again: the stream may be another one.
        """
        given = config(
            a={"class": "logging.StreamHandler", "stream": "ext://sys.stdin"}
        )
        init_logging(given)
        before = ours()
        monkeypatch.setattr(sys, "stdin", sys.stderr)
        init_logging(given)

        assert before != ours()

    @pytest.mark.parametrize("key", ["class", "()"])
    def test_stream_by_default(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        So is the one that a console uses if none is named.
        """
        given = config(
            a={key: "logging.StreamHandler"}, b={"class": "chimera_log.StreamHandler"}
        )
        init_logging(given)
        before = ours()
        init_logging(given)
        assert before == ours()

        monkeypatch.setattr(sys, "stderr", io.StringIO())
        init_logging(given)
        assert [sys.stderr] * 2 == [each.stream for each in ours()]  # type: ignore[attr-defined]

    def test_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A trail whose key is another one by now is made anew.
        """
        trail = {
            "class": "chimera_log.AuditFileHandler",
            "filename": str(tmp_path / "t.log"),
            "key_env": "TRAIL_KEY",
        }
        found = []
        for key in ("a" * 32, "a" * 32, "b" * 32):
            monkeypatch.setenv("TRAIL_KEY", key)
            init_logging(config(a=trail))
            found += ours()

        assert found[0] is found[1] is not found[2]
        assert "a" * 32 not in str(live._running)

    def test_target_closed_by_others(self) -> None:
        """
        Nor is one that hands its records to such a handler.
        """
        memory = {
            "class": "logging.handlers.MemoryHandler",
            "capacity": 1,
            "target": "a",
        }
        given = config(a=dict(RECORDER), m=memory)
        given["root"]["handlers"] = ["m"]
        init_logging(given)
        before: Any = ours()[0]
        before.target.close()
        init_logging(given)
        after: Any = ours()[0]

        assert before is not after
        assert not after.target.closed

    def test_closed_by_others(self) -> None:
        """
        A handler that somebody closed is not used again.
        """
        given = config(a=RECORDER)
        init_logging(given)
        before = of_name("a")
        before.close()
        init_logging(given)

        assert before is not of_name("a")

    def test_other_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A relative path means another file where the process has moved.
        """
        given = config(a={"class": "chimera_log.RotatingFileHandler", "filename": "a"})
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            init_logging(given)
            log.info("event")
        (handler,) = ours()
        handler.close()

        assert (tmp_path / "two" / "a").read_text().endswith("event\n")

    def test_directory_that_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A process whose directory was removed can still be configured.
        """

        def refuse() -> str:
            raise FileNotFoundError

        given = config(a=RECORDER)
        monkeypatch.setattr("os.getcwd", refuse)
        init_logging(given)
        before = of_name("a")
        init_logging(given)

        assert before is of_name("a")

    def test_cfg(self) -> None:
        """
        What names another part of the configuration is made anew each time.
        """
        given = config(a={**RECORDER, "other": "cfg://formatters"})
        init_logging(given)
        before = of_name("a")
        init_logging(given)

        assert before is not of_name("a")

    def test_objects(self) -> None:
        """
        An object that a program gives is compared by what it is.
        """
        given = config(a={**RECORDER, "other": object()})
        init_logging(given)
        before = of_name("a")
        init_logging(given)
        same = before is of_name("a")
        given["handlers"]["a"]["other"] = object()
        init_logging(given)

        assert (True, False) == (same, before is of_name("a"))
        assert 1 == len({building._Same(before), building._Same(before)})


class TestFailure:
    def test_cannot_be_made(self) -> None:
        """
        What was made before one failed is closed; what ran is untouched.
        """
        init_logging(config(a=RECORDER))
        before = of_name("a")
        made: list[Recorder] = []

        def make() -> Recorder:
            made.append(Recorder())
            return made[-1]

        given = config(a=RECORDER, b={"()": make}, c={"class": f"{__name__}.Refusing"})
        with pytest.raises(ConfigError, match=r"handlers\.c: .* no such place"):
            init_logging(given)

        assert ([before], [True]) == (ours(), [each.closed for each in made])
        assert not before.closed

    @pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
    def test_cannot_be_applied(self, error: BaseException) -> None:
        """
        Where a foreign class fails amid the exchange, all is as it was.
        """
        given = config(a=RECORDER, b={"class": f"{__name__}.Rude"})
        given["loggers"] = {"engine": {"level": "INFO", "handlers": ["a"]}}
        init_logging(given)
        before, engine = ours(), log.handlers
        set_level("rpc", "DEBUG", for_=10)
        Rude.when_named = fail(error)
        changed = config(
            a={**RECORDER, "level": "INFO"}, b={"class": f"{__name__}.Rude", "c": 1}
        )
        changed["root"]["level"] = "ERROR"
        changed["loggers"] = {"rpc": {"level": "ERROR"}}
        with pytest.raises(
            KeyboardInterrupt if type(error) is KeyboardInterrupt else ConfigError,
            match=r"^$|^config: cannot be applied: ValueError: no; see what",
        ):
            init_logging(changed)

        assert (before, engine) == (ours(), log.handlers)
        assert (logging.INFO, logging.INFO) == (ROOT.level, log.level)
        assert {"rpc"} == set(live.levels.overrides)
        assert logging.DEBUG == logging.getLogger("rpc").level
        assert [False, True] == [each.closed for each in Rude.made]
        named = vars(logging)["_handlers"]
        assert before == [named["a"], named["b"]]
        Rude.when_named = lambda: None
        init_logging(given)
        assert before == ours()
        set_level("rpc", None)

    def test_one_that_runs(self) -> None:
        """
        A function may return a handler that runs, which nobody closes then.
        """
        one = Recorder()
        given = config(a={"()": lambda: one})
        init_logging(given)
        given["handlers"]["a"]["()"] = lambda: one
        given["handlers"]["b"] = {"class": f"{__name__}.Refusing"}
        with pytest.raises(ConfigError, match=r"handlers\.b"):
            init_logging(given)
        assert not one.closed

        del given["handlers"]["b"]
        init_logging(given)
        assert ([one], False) == (ours(), one.closed)

    def test_one_that_names_itself(self) -> None:
        """
        It takes no name from a handler that runs.
        """
        init_logging(config(a=RECORDER))
        before = of_name("a")

        def make() -> Recorder:
            found = Recorder()
            found.name = "a"
            return found

        for other in ({"class": f"{__name__}.Refusing"}, RECORDER):
            given = config(**{"0": {"()": make}, "a": RECORDER, "b": other})
            with contextlib.suppress(ConfigError):
                init_logging(given)
            assert before is of_name("a")
            assert before is vars(logging)["_handlers"]["a"]
        assert ["0", "a", "b"] == [each.name for each in ours()]

    def test_incremental(self) -> None:
        """
        An incremental configuration changes what there is, and nothing if that is not.
        """
        init_logging(config(a=RECORDER))
        given = {
            "version": 1,
            "incremental": True,
            "handlers": {"a": {"level": "ERROR"}, "b": {"level": "ERROR"}},
        }
        with pytest.raises(ConfigError, match=r"handlers\.b: is no handler that there"):
            init_logging(given)
        assert logging.NOTSET == of_name("a").level

    def test_amid_another(self) -> None:
        """
        What a constructor or a signal handler loads meanwhile holds, and the other not.
        """
        inner = config(b=RECORDER)

        class Loading(Recorder):
            """Configures logging when it is made."""

            def __init__(self) -> None:
                super().__init__()
                init_logging(inner)

        with pytest.raises(ConfigError, match=r"was loaded while something else was"):
            init_logging(config(a={"()": Loading}))
        assert ["b"] == [each.name for each in ours()]

        found: list[bool] = []
        init_logging(config(a={"class": f"{__name__}.Rude"}))
        Rude.when_named = lambda: found.append(reload())
        init_logging(config(a={"class": f"{__name__}.Rude", "b": 1}))
        assert [False] == list(set(found))
        assert [Rude.made[-1]] == ours() or Rude.made[1:2] == ours()

    def test_in_our_words(self) -> None:
        """
        An error that names an option is located there.
        """

        def make() -> logging.Handler:
            raise ConfigError("some.option: 5 is odd; write 6")

        with pytest.raises(ConfigError) as caught:
            init_logging(config(a={"()": make}))

        assert "config: handlers.a.some.option: 5 is odd; write 6" == str(caught.value)

    def test_file_that_cannot_be_opened(self, tmp_path: Path) -> None:
        """
        A file of the standard library's is opened last, and not emptied for nothing.
        """
        (tmp_path / "w.log").write_text("what ran\n")
        handler = {"class": "logging.FileHandler", "mode": "w"}
        given = config(
            a={**handler, "filename": str(tmp_path / "w.log")},
            b={"class": f"{__name__}.Refusing"},
        )
        with pytest.raises(ConfigError, match=r"handlers\.b"):
            init_logging(given)
        assert "what ran\n" == (tmp_path / "w.log").read_text()

        path = tmp_path / "late.log"

        class Late(logging.Handler):
            """Has the other's place taken while it is made."""

            def __init__(self) -> None:
                super().__init__()
                path.mkdir()

        given = config(a={**handler, "filename": str(path)}, b={"()": Late})
        with pytest.raises(ConfigError, match=r"handlers\.a: .*IsADirectoryError"):
            init_logging(given)

    def test_delay(self, tmp_path: Path) -> None:
        """
        One that may wait for its first record still does.
        """
        handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "a.log")}
        init_logging(config(a={**handler, "delay": True}))
        is_there = (tmp_path / "a.log").exists()
        init_logging(config(a=handler))

        assert (False, True) == (is_there, (tmp_path / "a.log").exists())


class TestSwap:
    def test_foreign_handlers(self) -> None:
        """
        Those that others put on the root stay; those of basicConfig go, closed.
        """
        foreign, plain = Foreign(), logging.StreamHandler()
        ROOT.addHandler(foreign)
        ROOT.addHandler(plain)
        init_logging(config(a=RECORDER))
        init_logging(config(a={**RECORDER, "level": "INFO"}))
        log.info("one")

        assert [foreign, of_name("a")] == [
            each for each in ROOT.handlers if isinstance(each, Recorder)
        ]
        assert (["one"], ["one"]) == (foreign.events, of_name("a").events)
        assert plain not in ROOT.handlers
        assert not foreign.closed

    def test_what_others_gave(self, file: Path) -> None:
        """
        What the program gave to a configured logger since stays when it is reloaded.
        """
        file.write_text(FILE.format(level="INFO") + "loggers: {rpc: {}, bot: {}}\n")
        reload()
        rpc, bot = logging.getLogger("rpc"), logging.getLogger("bot")
        some, foreign = logging.Filter("rpc"), Foreign()
        for logger in (ROOT, rpc, bot):
            logger.addFilter(some)
            logger.addHandler(foreign)
        file.write_text(FILE.format(level="DEBUG") + "loggers: {rpc: {level: INFO}}\n")

        assert reload()
        for logger in (ROOT, rpc, bot):
            assert [some] == logger.filters
            assert foreign in logger.handlers
            logger.removeFilter(some)
            logger.removeHandler(foreign)
        assert not foreign.closed

    def test_filters(self) -> None:
        """
        Filters are exchanged for their successors, and do not heap up.
        """
        given = config(a=RECORDER)
        given["filters"] = {"some": {"name": "bot"}}
        given["root"]["filters"] = ["some"]
        for name in ("bot", "rpc"):
            given["filters"]["some"]["name"] = name
            init_logging(given)
        (found,) = ROOT.filters
        assert "rpc" == found.name  # type: ignore[union-attr]
        given["root"]["filters"] = []
        init_logging(given)
        assert [] == ROOT.filters

    def test_interrupted(self) -> None:
        """
        A Ctrl-C while one is closed keeps none open, and none is forgotten.
        """

        class Stuck(Recorder):
            """Is interrupted when it is closed first."""

            def close(self) -> None:
                """Wait in vain, once: logging's own end may come for it, too."""
                was_closed = self.closed
                super().close()
                if not was_closed:
                    raise KeyboardInterrupt

        given = config(a=RECORDER, b={"()": Stuck}, c=RECORDER)
        init_logging(given)
        before: Any = ours()
        with pytest.raises(KeyboardInterrupt):
            init_logging(config(d=RECORDER))
        assert [True] * 3 == [each.closed for each in before]
        assert ["d"] == [each.name for each in ours()]
        last = of_name("d")
        init_logging(config(d=RECORDER))
        assert last is of_name("d")

    def test_foreign_method(self) -> None:
        """
        A foreign handler may have a method that is called as one of ours.
        """

        class Other(Recorder):
            """Means something else by it."""

            def succeed(self) -> None:
                """Do nothing."""

        for level in ("INFO", "DEBUG"):
            init_logging(config(a={"()": Other, "level": level}))
        assert logging.DEBUG == of_name("a").level

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12")
    @pytest.mark.parametrize("queue", [None, queue.Queue()])
    def test_listener(self, queue: queue.Queue[Any] | None) -> None:
        """
        A queue that was read is read on, and to its end if nobody comes after.
        """
        reader = {"class": "logging.handlers.QueueHandler", "handlers": ["a"]}
        given = config(
            a=dict(RECORDER),
            q=reader if queue is None else {**reader, "queue": {"()": lambda: queue}},
        )
        given["root"]["handlers"] = ["q"]
        init_logging(given)
        (handler,) = ours()
        recorders = [vars(logging)["_handlers"]["a"]]
        handler.listener.start()  # type: ignore[attr-defined]
        for level in ("DEBUG", "INFO"):
            log.info(level)
            given["handlers"]["a"]["level"] = level
            init_logging(given)
            recorders.append(vars(logging)["_handlers"]["a"])
        log.info("last")
        (handler,) = ours()
        init_logging(config(b=RECORDER))
        assert ["DEBUG", "INFO", "last"] == [
            event for each in recorders for event in each.events
        ]
        assert handler.listener._thread is None  # type: ignore[attr-defined]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12")
    def test_listener_that_nobody_stops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The process ends when what waits is handled; its child has nothing to do.
        """
        given = config(
            a=dict(RECORDER),
            q={"class": "logging.handlers.QueueHandler", "handlers": ["a"]},
        )
        given["root"]["handlers"] = ["q"]
        init_logging(given)
        given["handlers"]["a"]["level"] = "INFO"
        init_logging(given)  # it was not started, and is not now
        (handler,) = ours()
        handler.listener.start()  # type: ignore[attr-defined]
        given["handlers"]["a"]["level"] = "DEBUG"
        monkeypatch.setattr(listeners, "_process", 0)
        init_logging(given)
        (handler,) = ours()
        monkeypatch.setattr(listeners, "_process", 0)
        listeners._stop_all()
        assert handler.listener._thread is not None  # type: ignore[attr-defined]
        log.info("last")
        monkeypatch.setattr(listeners, "_process", os.getpid())
        for _ in range(2):
            listeners._stop_all()
        assert handler.listener._thread is None  # type: ignore[attr-defined]
        assert ["last"] == vars(logging)["_handlers"]["a"].events

    def test_back_again(self) -> None:
        """
        A handler that a function hands out again works again.
        """
        one, two = Recorder(), Recorder()
        for each in (one, two, one):
            init_logging(config(a={"()": lambda each=each: each}))
        log.info("event")
        assert ["event"] == one.events

    def test_root_by_name(self) -> None:
        """
        The root may be configured as a logger of that name; its section has the last
        word.
        """
        foreign = Foreign()
        ROOT.addHandler(foreign)
        given = config(a=RECORDER)
        given["loggers"] = {"root": {**given.pop("root"), "propagate": False}}
        init_logging(given)
        assert logging.INFO == ROOT.level
        given["root"] = {"level": "ERROR"}
        init_logging(given)

        assert logging.ERROR == ROOT.level
        assert foreign in ROOT.handlers
        assert ["a"] == [each.name for each in ours()]
        assert ROOT.propagate

    def test_propagating(self) -> None:
        """
        A logger propagates before its handlers go, and until others have come.
        """
        seen: list[tuple[bool, int]] = []

        class Asking(logging.Logger):
            """Remembers what it was in between."""

            def __setattr__(self, name: str, value: Any) -> None:
                super().__setattr__(name, value)
                seen.append((self.propagate, len(self.handlers)))

        given = config(a=RECORDER)
        own = {"engine": {"handlers": ["a"], "propagate": False}}
        log.__class__ = Asking
        try:
            for loggers in ({}, own, {"engine": {"propagate": True}}, own, {}):
                given["loggers"] = loggers
                init_logging(given)
        finally:
            log.__class__ = logging.Logger

        assert seen
        assert (False, 0) not in seen

    def test_of_another_loader(self) -> None:
        """
        A handler of the same name, which plain dictConfig made, is replaced.
        """
        given = config(a=RECORDER)
        logging.config.dictConfig(given)
        before = of_name("a")
        init_logging(given)

        assert before is not of_name("a")
        assert before.closed

    def test_removed(self) -> None:
        """
        What is not configured any more is as if it had never been.
        """
        given = config(a=RECORDER, b=RECORDER)
        given["root"]["handlers"] = ["a"]
        given["filters"] = {"some": {"name": "rpc"}}
        given["loggers"] = {
            "rpc": {
                "level": "DEBUG",
                "handlers": ["b"],
                "propagate": False,
                "filters": ["some"],
            },
            "engine": {"level": "ERROR", "propagate": False},
        }
        init_logging(given)
        rpc = logging.getLogger("rpc")
        (gone,) = rpc.handlers
        assert isinstance(gone, Recorder)
        given["loggers"] = {"engine": {}}
        given["handlers"].pop("b")
        given["root"].pop("level")
        init_logging(given)

        assert (logging.NOTSET, True, [], []) == (
            rpc.level,
            rpc.propagate,
            rpc.handlers,
            rpc.filters,
        )
        assert (logging.NOTSET, True) == (log.level, log.propagate)
        assert logging.WARNING == ROOT.level
        assert gone.closed

    def test_root_that_is_gone(self) -> None:
        """
        A root that is not configured any more keeps no handler of ours.
        """
        given = config(a=RECORDER)
        init_logging(given)
        del given["root"]
        init_logging(given)

        assert [] == ours()

    def test_children(self) -> None:
        """
        Children of configured loggers are reset, as dictConfig has it; the others are
        silenced if it says so.
        """
        child, other = logging.getLogger("engine.child"), logging.getLogger("other")
        child.setLevel("ERROR")
        other.setLevel("ERROR")
        given = config(a=RECORDER)
        given["loggers"] = {"engine": {"level": "DEBUG"}}
        del given["disable_existing_loggers"]
        init_logging(given)

        assert (logging.NOTSET, False) == (child.level, child.disabled)
        assert (logging.ERROR, True) == (other.level, other.disabled)

    def test_our_own(self) -> None:
        """
        None of our loggers is silenced: a trail's witness listens to one.
        """
        given = config(a=RECORDER)
        del given["disable_existing_loggers"]
        own = [logging.getLogger(name) for name in ("chimera_log", "chimera_log.audit")]
        init_logging(given)
        logging.getLogger("chimera_log.audit").info("audit_checkpoint")

        assert [False, False] == [each.disabled for each in own]
        assert ["audit_checkpoint"] == of_name("a").events

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Python 3.11")
    def test_filter_itself(self) -> None:
        """
        Since Python 3.11 a logger may be given a filter itself.
        """
        some = logging.Filter("bot")
        given = config(a=RECORDER)
        given["root"]["filters"] = [some]
        init_logging(given)

        assert [some] == ROOT.filters
        ROOT.filters = []

    def test_late_record(self) -> None:
        """
        A thread that took the old list hands its records to the new handler.
        """
        init_logging(config(a=RECORDER))
        old = of_name("a")
        init_logging(config(a={**RECORDER, "level": "INFO"}))
        init_logging(config(a={**RECORDER, "level": "DEBUG"}))
        old.handle(record("late"))
        old.emit(record("later"))

        assert ([], ["late", "later"]) == (old.events, of_name("a").events)

    def test_late_record_without_heir(self) -> None:
        """
        Where no handler has that name any more, the old one writes it still.
        """
        init_logging(config(a=RECORDER))
        old = of_name("a")
        init_logging(config(a={**RECORDER, "level": "INFO"}))
        init_logging(config(b=RECORDER))
        old.handle(record("late"))
        old.emit(record("later"))

        assert ["late", "later"] == old.events

    def test_nothing_is_kept(self) -> None:
        """
        A handler that was replaced goes, and nothing holds it back.
        """
        init_logging(config(a=RECORDER))
        number = id(of_name("a"))
        for level in ("DEBUG", "INFO", "ERROR"):
            init_logging(config(a={**RECORDER, "level": level}))
        gc.collect()

        assert number not in [id(each) for each in gc.get_objects()] or (
            1 == sum(isinstance(each, Recorder) for each in gc.get_objects())
        )

    def test_fussy(self) -> None:
        """
        A foreign handler that raises when it is closed stops nobody.
        """
        init_logging(config(a={"class": f"{__name__}.Fussy"}, b=RECORDER))
        before = of_name("b")
        init_logging(config(c=RECORDER))

        assert before.closed

    def test_gaining_first(self) -> None:
        """
        A handler that moves from the root to a logger is there before it goes here.
        """
        given = config(a=RECORDER)
        init_logging(given)
        seen: list[bool] = []

        class Asking(logging.Logger):
            """Looks at the root when it is given handlers."""

            def __setattr__(self, name: str, value: Any) -> None:
                if name == "handlers" and value:
                    seen.append(bool(ours()))
                super().__setattr__(name, value)

        log.__class__ = Asking
        try:
            given["root"]["handlers"] = []
            given["loggers"] = {"engine": {"handlers": ["a"]}}
            init_logging(given)
        finally:
            log.__class__ = logging.Logger

        assert ([True], []) == (seen, ours())
        log.handlers = []


FILE = """version: 1
disable_existing_loggers: false
handlers:
  a: {{class: tests.test_config.Recorder, level: {level}}}
root: {{level: INFO, handlers: [a]}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a configuration that was loaded."""
    path = tmp_path / "logging.yaml"
    path.write_text(FILE.format(level="INFO"))
    init_logging(path)
    return path


def told() -> list[tuple[str, dict[str, Any]]]:
    """Return what the recorder was told of the configuration."""
    return [
        (each.getMessage(), vars(each)["context"])
        for each in of_name("a").records
        if each.name == "chimera_log.config"
    ]


class TestReload:
    def test_before_anything(self) -> None:
        """
        There must be something to load again.
        """
        with pytest.raises(ConfigError, match=r"^reload: .* call init_logging first$"):
            reload()

    def test_applied(self, file: Path) -> None:
        """
        What the file says now holds, and is told.
        """
        file.write_text(FILE.format(level="DEBUG"))

        assert reload()
        assert logging.DEBUG == of_name("a").level
        assert [("logging_reloaded", {"files": [str(file)]})] == told()

    def test_bad(self, file: Path) -> None:
        """
        A bad file is told by the handlers that run, which run on.
        """
        before = of_name("a")
        file.write_text(FILE.format(level="LOUD"))

        assert not reload()
        assert before is of_name("a")
        ((event, context),) = told()
        (finding,) = context.pop("findings")
        assert ("logging_reload_failed", {"files": [str(file)], "count": 1}) == (
            event,
            context,
        )
        assert finding.startswith(f"{file}:4:49: error handlers.a.level: 'LOUD' is no ")

    def test_gone(self, file: Path) -> None:
        """
        So is one that is gone.
        """
        file.unlink()

        assert not reload()
        assert "cannot be read" in told()[0][1]["findings"][0]

    def test_mapping(self) -> None:
        """
        A mapping is loaded again as it is by then.
        """
        given = config(a=dict(RECORDER))
        init_logging(given)
        given["handlers"]["a"]["level"] = "ERROR"

        assert reload()
        assert logging.ERROR == of_name("a").level

    def test_overlay(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        An environment's file that comes later is laid over, or missed.
        """
        monkeypatch.setenv("CHIMERA_LOG_ENV", "test")
        over = file.with_name("logging.test.yaml")
        over.write_text("handlers: {a: {level: ERROR}}\n")
        assert reload()
        assert logging.ERROR == of_name("a").level

        over.rename(file.with_name("logging.other.yaml"))
        assert not reload()
        assert reloading._request is not None
        assert [file, file.with_name("logging.other.yaml")] == reloading._files(
            reloading._request
        )

    def test_error_without_findings(self, file: Path) -> None:
        """
        A keyword that cannot be written in is told as well.
        """
        init_logging(file)
        assert reloading._request is not None
        reloading._request = reloading._request._replace(log_level="LOUD")

        assert not reload()
        (finding,) = told()[0][1]["findings"]
        assert finding.startswith("log_level: 'LOUD' is no level; use one of ")

    def test_told_amid_no_fork(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        No child is born while the configuration's own events are written.
        """
        free: list[bool] = []

        class Asking(logging.Handler):
            """Looks whether a fork could begin."""

            def emit(self, record: logging.LogRecord) -> None:
                """Ask in another thread."""
                thread = threading.Thread(target=self.ask, args=(record,))
                thread.start()
                thread.join()

            def ask(self, _: logging.LogRecord) -> None:
                """Try to take the lock that a fork takes."""
                free.append(live.lock.acquire(blocking=False))

        asking = Asking()
        ROOT.addHandler(asking)
        now = [100.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        monkeypatch.setattr(reloading._worker, "wake", lambda: None)
        set_level("rpc", "DEBUG", for_=10)
        now[0] += 10
        reloading._work()
        reload()
        file.unlink()
        reload()
        ROOT.removeHandler(asking)
        assert [False] * 4 == free

    @pytest.mark.usefixtures("file")
    def test_handler_that_raises(self) -> None:
        """
        A foreign handler that raises cannot stop a reload.
        """

        class Raising(logging.Handler):
            """Raises into the caller."""

            def emit(self, record: logging.LogRecord) -> None:
                """Fail."""
                raise ValueError(record.getMessage())

        raising = Raising()
        ROOT.addHandler(raising)

        assert reload()
        ROOT.removeHandler(raising)


class TestSetLevel:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Return the time, which a test moves."""
        now = [100.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        monkeypatch.setattr(reloading._worker, "wake", lambda: None)
        return now

    def test_returns(self, file: Path, clock: list[float]) -> None:
        """
        A level that is set for a while returns by itself, and both are told.
        """
        assert file.exists()
        set_level("rpc", "debug", for_="10 min")
        rpc = logging.getLogger("rpc")
        assert (logging.DEBUG, 600.0) == (rpc.level, reloading._work())
        clock[0] += 599.0
        assert 1.0 == reloading._work()
        clock[0] += 1.0
        assert reloading._work() is None
        assert logging.NOTSET == rpc.level
        assert [
            {"logger": "rpc", "level": "DEBUG", "for_seconds": 600.0},
            {"logger": "rpc", "level": "as configured"},
        ] == [context for _, context in told()]

    def test_for_good(self, file: Path, clock: list[float]) -> None:
        """
        One that is set for good ends with the next reload, or when it is taken back.
        """
        assert clock
        set_level("root", logging.DEBUG)
        assert (logging.DEBUG, None) == (ROOT.level, reloading._work())
        set_level("", None)
        assert logging.INFO == ROOT.level
        set_level("", "DEBUG")
        file.write_text(FILE.format(level="DEBUG"))
        reload()
        assert (logging.INFO, {}) == (ROOT.level, live.levels.overrides)
        set_level("", None)  # nothing to take back

    def test_across_a_reload(self, file: Path, clock: list[float]) -> None:
        """
        One with a time left survives a reload, and then returns to what the file says.
        """
        set_level("", "DEBUG", for_=10)
        file.write_text(FILE.format(level="INFO").replace("INFO, hand", "ERROR, hand"))
        reload()
        assert logging.DEBUG == ROOT.level
        clock[0] += 10
        reloading._work()
        assert logging.ERROR == ROOT.level

    def test_of_a_logger_that_is_not_configured(
        self, file: Path, clock: list[float]
    ) -> None:
        """
        So it is with loggers of which the file says nothing.
        """
        assert file.exists()
        rpc, bot = logging.getLogger("rpc"), logging.getLogger("bot")
        set_level("rpc", "DEBUG", for_=10)
        set_level("bot", "DEBUG")
        reload()
        assert (logging.DEBUG, logging.NOTSET) == (rpc.level, bot.level)
        clock[0] += 10
        reloading._work()
        assert logging.NOTSET == rpc.level

    @pytest.mark.usefixtures("clock")
    def test_without_a_gap(self, file: Path) -> None:
        """
        One that holds for a while holds all the time that a reload takes.
        """
        file.write_text(
            FILE.format(level="INFO") + "loggers: {engine: {level: INFO}}\n"
        )
        reload()
        set_level("engine", "DEBUG", for_=10)
        seen: list[int] = []

        class Asking(logging.Logger):
            """Remembers what level it has."""

            def __setattr__(self, name: str, value: Any) -> None:
                super().__setattr__(name, value)
                seen.append(self.level)

        log.__class__ = Asking
        try:
            reload()
        finally:
            log.__class__ = logging.Logger
        assert {logging.DEBUG} == set(seen)
        log.setLevel("ERROR")  # by somebody else, and so it is over
        reload()
        assert logging.INFO == log.level
        assert {} == live.levels.overrides

    def test_twice(self, clock: list[float]) -> None:
        """
        Set twice, it returns to what was there before the first.
        """
        rpc = logging.getLogger("rpc")
        rpc.setLevel("WARNING")
        set_level("rpc", "DEBUG", for_=10)
        set_level("rpc", "INFO", for_=20)
        clock[0] += 15
        reloading._work()
        assert logging.INFO == rpc.level
        clock[0] += 5
        reloading._work()
        assert logging.WARNING == rpc.level

    def test_changed_by_others(self, clock: list[float]) -> None:
        """
        A level that somebody else set meanwhile stays.
        """
        rpc = logging.getLogger("rpc")
        set_level("rpc", "DEBUG", for_=10)
        rpc.setLevel("ERROR")
        clock[0] += 10
        reloading._work()
        assert logging.ERROR == rpc.level
        set_level("rpc", "DEBUG", for_=10)
        rpc.setLevel("WARNING")
        set_level("rpc", "INFO", for_=10)
        set_level("rpc", None)
        assert logging.WARNING == rpc.level

    @pytest.mark.parametrize(
        ("logger", "level", "for_", "said"),
        [
            (5, "INFO", None, "logger: 5 is no name"),
            ("rpc", "LOUD", None, "level: 'LOUD' is no level"),
            ("rpc", True, None, "level: True is no level"),
            ("rpc", "INFO", "soon", "for_: 'soon' is not a duration"),
        ],
    )
    def test_bad(self, logger: Any, level: Any, for_: Any, said: str) -> None:
        """
        What is no logger, level or duration changes nothing.
        """
        with pytest.raises(ConfigError) as caught:
            set_level(logger, level, for_=for_)

        assert str(caught.value).startswith(said)
        assert {} == live.levels.overrides


class TestWatchOption:
    def test_of_the_file(self, tmp_path: Path) -> None:
        """
        The file says how often it is looked at, unless the program does.
        """
        path = tmp_path / "logging.yaml"
        path.write_text(FILE.format(level="INFO") + "watch: 1 min\n")
        init_logging(path)
        of_file = reloading._watch
        init_logging(path, watch=5)
        of_program = reloading._watch
        path.write_text(FILE.format(level="INFO"))
        init_logging(path)

        assert of_file is not None
        assert of_program is not None
        assert (60.0, 5.0) == (of_file.interval, of_program.interval)
        assert reloading._watch is None

    @pytest.mark.parametrize("interval", [0, "5 m", True])
    def test_bad(self, tmp_path: Path, interval: Any) -> None:
        """
        An interval that is none is an error, with the place if it is the file's.
        """
        path = tmp_path / "logging.yaml"
        path.write_text(FILE.format(level="INFO") + f"watch: {interval}\n")
        with pytest.raises(ConfigError, match=rf"{path}:6:8: watch: "):
            init_logging(path)
        path.write_text(FILE.format(level="INFO"))
        with pytest.raises(ConfigError, match=r"^watch: "):
            init_logging(path, watch=interval)

    def test_no_file(self) -> None:
        """
        A mapping cannot be watched.
        """
        with pytest.raises(ConfigError, match=r"^watch: there is no file to watch"):
            init_logging(config(a=RECORDER), watch="5 s")


class TestWatch:
    def test_settled(self) -> None:
        """
        A change is acted on once, when it has been the same for a moment.
        """
        watch = Watch(5.0, "a")
        seen = [
            (watch.has_changed("a", 0.0), watch.pause),
            (watch.has_changed("b", 5.0), watch.pause),
            (watch.has_changed("c", 5.1), watch.pause),
            (watch.has_changed("c", 5.2), watch.pause),
            (watch.has_changed("c", 5.31), watch.pause),
            (watch.has_changed("c", 10.31), watch.pause),
        ]

        assert [
            (False, 5.0),
            (False, 0.2),
            (False, 0.2),
            (False, 0.2),
            (True, 5.0),
            (False, 5.0),
        ] == seen

    def test_back_again(self) -> None:
        """
        What was changed back in time was never changed.
        """
        watch = Watch(0.05, "a")
        watch.has_changed("b", 1.0)
        assert not watch.has_changed("a", 1.05)
        assert not watch.has_changed("a", 2.0)

    def test_fingerprint(self, tmp_path: Path) -> None:
        """
        Contents decide, and which files they are; also what cannot be read.
        """
        one, two = tmp_path / "1", tmp_path / "2"
        one.write_text("x")
        two.write_text("y")
        found = {
            fingerprint([]),
            fingerprint([one]),
            fingerprint([two]),
            fingerprint([one, two]),
            fingerprint([tmp_path / "3"]),
            fingerprint([tmp_path]),
            fingerprint(["\0"]),
            fingerprint([b"\xff".decode("utf-8", "surrogateescape")]),
        }
        assert 8 == len(found)
        os.utime(one, (0, 0))
        assert fingerprint([one]) in found

    def test_work(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The thread looks, acts once, and says when to look again.
        """
        monkeypatch.setattr(reloading._worker, "wake", lambda: None)
        init_logging(file, watch=5)
        now = [100.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        assert 5.0 == reloading._work()
        file.write_text(FILE.format(level="ERROR"))
        assert 0.2 == reloading._work()
        now[0] += 0.3
        assert 5.0 == reloading._work()
        assert logging.ERROR == of_name("a").level
        assert 5.0 == reloading._work()

    def test_fork(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        After a fork both processes go on watching, if there is anything to watch; that
        there is not any more is told the thread, which may sleep for years.
        """
        woken: list[bool] = []
        monkeypatch.setattr(reloading._worker, "wake", lambda: woken.append(True))
        reloading._after_fork()
        init_logging(file, watch=5)
        reloading._after_fork()
        init_logging(file)
        set_level("rpc", "DEBUG", for_=10)
        reloading._after_fork()
        set_level("rpc", None)

        assert 5 == len(woken)


@pytest.mark.parametrize("module", [live, reloading])
def test_without_fork(
    module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where processes cannot fork, the modules load all the same.
    """
    monkeypatch.delattr(os, "register_at_fork")
    assert runpy.run_path(str(module.__file__))["__doc__"] == module.__doc__


class TestThreads:
    def test_together(self, tmp_path: Path) -> None:
        """
        Records that four threads log while the configuration changes are all there,
        once, in the order of each thread.
        """
        path = tmp_path / "logging.yaml"
        text = (
            "version: 1\ndisable_existing_loggers: false\nhandlers:\n"
            "  plain: {{class: logging.FileHandler, filename: {folder}/p.log, level: {n}}}\n"
            "  ours: {{class: chimera_log.RotatingFileHandler, level: {n},\n"
            "    filename: {folder}/o.log}}\n"
            "  trail: {{class: chimera_log.AuditFileHandler, filename: {folder}/t.log,\n"
            "    checkpoint_records: {n}}}\n"
            "root: {{level: {level}, handlers: [plain, ours, trail]}}\n"
        )
        path.write_text(text.format(folder=tmp_path, n=1, level="INFO"))
        init_logging(path)
        goes_on, counts = True, [0, 0, 0, 0]

        def run(thread: int) -> None:
            own = logging.getLogger(f"bot.{thread}")
            while goes_on:
                own.info(f"{thread} {counts[thread]}")
                counts[thread] += 1

        threads = [threading.Thread(target=run, args=(each,)) for each in range(4)]
        for thread in threads:
            thread.start()
        for number in range(30):
            level = "LOUD" if number % 3 == 2 else "INFO"
            path.write_text(text.format(folder=tmp_path, n=number % 5 + 1, level=level))
            assert (number % 3 != 2) == reload()
        goes_on = False
        for thread in threads:
            thread.join()
        kinds = [type(each) for each in ours()]
        for handler in ours():
            handler.close()

        assert [logging.FileHandler, RotatingFileHandler, AuditFileHandler] == kinds
        for name in ("p.log", "o.log"):
            found: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
            for line in (tmp_path / name).read_text().splitlines():
                if line[0].isdigit():  # no event of our own
                    found[int(line[0])].append(int(line[2:]))
            assert {each: [*range(counts[each])] for each in range(4)} == found
