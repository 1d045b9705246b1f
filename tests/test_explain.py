"""
Where a record goes, as it is explained and as it is.
"""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import os
import queue
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import chimera_log
from chimera_log.cli import main
from chimera_log.config import live, swap
from chimera_log.config.document import Document
from chimera_log.config.explain import level_named
from chimera_log.config.explain.live import running
from chimera_log.config.explain.model import MAYBE, NO, YES, explained, worst
from chimera_log.config.explain.words import told
from chimera_log.config.explain.written import written
from chimera_log.options import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chimera_log.config.explain.model import Explanation, Way

HERE = f"{__name__}.Kept"
arrived: list[str] = []


class Kept(logging.Handler):
    """Remembers that a record came."""

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002  logging's signature
        """Note it."""
        arrived.append(str(self.get_name()))


def fresh() -> None:
    """Have logging be as in a process that did not log yet."""
    root, manager = logging.getLogger(), logging.Logger.manager
    manager.loggerDict.clear()
    manager._clear_cache()  # type: ignore[attr-defined]
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        if not type(handler).__module__.startswith("_pytest"):
            handler.close()
    root.filters[:] = []
    root.setLevel(logging.WARNING)
    live._running = swap.NOTHING


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test has the loggers that it makes, and the others come back."""
    before = dict(logging.Logger.manager.loggerDict)
    fresh()
    yield
    fresh()
    logging.Logger.manager.loggerDict.update(before)


def by_document(
    content: dict[str, Any], logger: str = "a.b", level: int = logging.INFO
) -> Explanation:
    """Return what *content* is said to make of a record."""
    content = {"version": 1, "disable_existing_loggers": False, **content}
    return explained(written(Document(content, "config")), logger, level)


def by_running(
    content: dict[str, Any], logger: str = "a.b", level: int = logging.INFO
) -> Explanation:
    """Return what is said of the logging that *content* made."""
    content = {"version": 1, "disable_existing_loggers": False, **content}
    logging.config.dictConfig(content)
    return now(logger, level)


def now(logger: str, level: int) -> Explanation:
    """Return what is said of the logging that runs, but for pytest's own part in it."""
    without_pytest()
    return explained(running(), logger, level)


def without_pytest() -> None:
    """Take away the handlers that pytest adds just before a test is called."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


BOTH = pytest.mark.parametrize("explain", [by_document, by_running])


def way(found: Explanation) -> Way:
    """Return what becomes of the record at the one handler on its way."""
    (only,) = found.all_ways
    return only


LEVELS = st.sampled_from([None, "DEBUG", "INFO", "WARNING", "ERROR", 15])
LOGGERS = ["a", "a.b", "a.b.c", "ab"]
FILTERS = ["only a", "only a.b", "all", "audit"]
HANDLERS = ["one", "two", "three", "four", "none"]


def some(names: list[str], most: int = 2) -> st.SearchStrategy[list[str]]:
    """Return a strategy for a few of *names*."""
    return st.lists(st.sampled_from(names), max_size=most, unique=True)


def without_nothing(content: dict[str, Any]) -> dict[str, Any]:
    """Return *content* without the keys that have no value."""
    return {key: value for key, value in content.items() if value is not None}


def logger_of(section: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for what is said of a logger."""
    return st.fixed_dictionaries(
        {"level": LEVELS, "filters": some(FILTERS, 1), "handlers": some(HANDLERS)},
        optional=section,
    ).map(without_nothing)


HANDLER = st.fixed_dictionaries(
    {"class": st.just(HERE), "level": LEVELS, "filters": some(FILTERS, 1)}
).map(without_nothing)
CONFIGS = st.fixed_dictionaries(
    {
        "filters": st.just(
            {
                "only a": {"name": "a"},
                "only a.b": {"()": "logging.Filter", "name": "a.b"},
                "all": {},
                "audit": {"()": "chimera_log.ExecutionAuditFilter"},
            }
        ),
        "handlers": st.fixed_dictionaries(
            {
                "one": HANDLER,
                "two": HANDLER,
                "three": HANDLER,
                "four": st.builds(
                    lambda handler, target: {
                        **handler,
                        "class": "logging.handlers.MemoryHandler",
                        "capacity": 1,
                        "target": target,
                    },
                    HANDLER,
                    st.sampled_from(["one", "two"]),
                ),
                "none": st.just({"class": "logging.NullHandler"}),
            }
        ),
        "root": logger_of({}),
        "loggers": st.dictionaries(
            st.sampled_from(LOGGERS), logger_of({"propagate": st.booleans()})
        ),
    }
)


def leaves(ways: list[Way], before: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each handler that writes, and whether a record gets there."""
    for each in ways:
        answer = worst((before, each.answer))
        if each.handler.behind is None and each.handler.text.endswith("(Kept)"):
            yield each.handler.text.partition(" ")[0], answer
        yield from leaves(list(each.behind), answer)


def promised(found: Explanation, *answers: str) -> Counter[str]:
    """Return how often a record is said to come to each handler."""
    before = NO if found.stops else MAYBE if found.doubts else YES
    ends = leaves(found.all_ways, before)
    return Counter(name for name, answer in ends if answer in answers)


def by_loader(content: dict[str, Any]) -> None:
    """Load *content* as our loader does."""
    chimera_log.init_logging(content, capture_warnings=False, uncaught_exceptions=False)


def logged(logger: str, level: int, **extra: Any) -> Counter[str]:
    """Log a record; return how often it came to each handler."""
    arrived.clear()
    logging.getLogger(logger).log(level, "event", extra=extra)
    return Counter(arrived)


@given(
    CONFIGS,
    st.sampled_from(["root", *LOGGERS, "a.x"]),
    st.sampled_from([5, 10, 15, 20, 30, 50]),
    st.sampled_from([0, 0, 0, 20]),
    st.sampled_from([logging.config.dictConfig, by_loader]),
)
def test_explanation_is_the_truth(
    content: dict[str, Any],
    logger: str,
    level: int,
    disable: int,
    load: Callable[[dict[str, Any]], None],
) -> None:
    """
    The document, the logging that it makes, and what happens to a record agree, whoever
    loads it.
    """
    fresh()
    document = Document({"version": 1, **content}, "config")
    document.content["disable_existing_loggers"] = False
    without_pytest()
    load(document.copy())
    logging.disable(disable)

    by_file = explained(written(document)._replace(disable=disable), logger, level)
    found = now(logger, level)

    def without_resort(of: Explanation) -> Any:
        return [each for each in of.ways if each[0] != "nobody has a handler"]

    assert by_file.answer == found.answer
    assert without_resort(by_file) == without_resort(found)
    assert by_file._replace(ways=()) == found._replace(ways=())
    assert promised(found, YES) == logged(logger, level)
    assert promised(found, YES, MAYBE) == logged(logger, level, audit=True)


class TestLogger:
    @BOTH
    def test_level_of_one_above(self, explain: Callable[..., Explanation]) -> None:
        """
        The nearest logger that has a level decides, and is named.
        """
        found = explain({"loggers": {"a": {"level": "ERROR"}}, "root": {"level": 1}})

        assert (NO, logging.ERROR, "a") == (found.answer, found.least, found.set_by)
        assert (
            "the level of a is ERROR; set loggers.a.b.level to INFO",
        ) == found.stops

    @BOTH
    def test_level_of_root(self, explain: Callable[..., Explanation]) -> None:
        """
        The root's level is written elsewhere than the others'.
        """
        found = explain({"root": {"level": "ERROR"}}, "root")

        assert ("the level of root is ERROR; set root.level to INFO",) == found.stops

    @BOTH
    def test_no_level(self, explain: Callable[..., Explanation]) -> None:
        """
        Where no logger has a level, everything passes.
        """
        found = explain({"root": {"level": "NOTSET"}}, level=1)

        assert () == found.stops
        assert "NOTSET, since no logger sets one" in told(found)

    @BOTH
    def test_references(self, explain: Callable[..., Explanation]) -> None:
        """
        What ``cfg://`` and ``ext://`` name is looked up.
        """
        found = explain(
            {
                "settings": {"level": "ERROR", "outputs": ["kept"]},
                "handlers": {"kept": {"class": HERE, "level": "ext://logging.ERROR"}},
                "loggers": {"a": {"level": "cfg://settings.level"}},
                "root": {"handlers": "cfg://settings.outputs"},
            }
        )

        assert ("a", logging.ERROR) == (found.set_by, way(found).handler.level)

    def test_reference_to_nothing(self) -> None:
        """
        One that leads nowhere, or to itself, is no answer, and no accident.
        """
        content = {
            "x": "cfg://x",
            "root": {"handlers": "cfg://y", "filters": "cfg://x"},
        }

        assert NO == by_document(content).answer

    @BOTH
    def test_filter(self, explain: Callable[..., Explanation]) -> None:
        """
        A logger's filter is asked for its own records, not for those of its children.
        """
        content = {
            "filters": {"other": {"name": "other"}},
            "loggers": {"a.b": {"filters": ["other"], "level": 1}},
        }

        assert ("filter 'other' of a.b lets none of it pass",) == explain(content).stops
        assert () == explain(content, "a.b.c").stops

    @BOTH
    def test_filter_that_depends(self, explain: Callable[..., Explanation]) -> None:
        """
        A filter that looks at the record leaves it open.
        """
        found = explain(
            {
                "filters": {"audit": {"()": "chimera_log.ExecutionAuditFilter"}},
                "handlers": {"kept": {"class": HERE}},
                "loggers": {"a.b": {"filters": ["audit"], "level": 1}},
                "root": {"handlers": ["kept"]},
            }
        )

        assert MAYBE == found.answer
        assert "  maybe: filter ExecutionAuditFilter of a.b" in told(found)

    @BOTH
    def test_propagate(self, explain: Callable[..., Explanation]) -> None:
        """
        Where propagation ends is named, and nothing above it is asked.
        """
        found = explain(
            {
                "handlers": {"kept": {"class": HERE}},
                "loggers": {"a": {"propagate": False, "level": 1}},
                "root": {"handlers": ["kept"]},
            }
        )

        assert (NO, "a") == (found.answer, found.barrier)
        assert "propagate is false at a: nothing above it" in told(found)

    def test_disabled(self) -> None:
        """
        A logger that a configuration silenced is said to be disabled.
        """
        logging.getLogger("a.b")
        logging.config.dictConfig({"version": 1})
        found = now("a.b", logging.ERROR)

        assert NO == found.answer
        assert "a.b is disabled; set disable_existing_loggers: false" in found.stops[0]

    def test_disabled_perhaps(self) -> None:
        """
        A document cannot know which loggers are older, and says so.
        """
        tree = written(Document({"version": 1, "loggers": {"a": {}}}, "config"))

        assert "disabled if it is older" in explained(tree, "x", 40).doubts[0]
        assert () == explained(tree, "a.b", logging.ERROR).doubts
        assert () == explained(tree, "root", logging.ERROR).doubts

    def test_logging_disable(self) -> None:
        """
        `logging.disable` stops all loggers, whatever their levels.
        """
        logging.disable(logging.ERROR)
        found = now("a", logging.ERROR)

        assert ("logging.disable(ERROR) was called; call logging.disable(0)",) == (
            found.stops
        )


class TestLastResort:
    @BOTH
    def test_nobody_configured(self, explain: Callable[..., Explanation]) -> None:
        """
        Without any handler Python writes warnings to stderr.
        """
        found = explain({}, level=logging.WARNING)

        assert YES == found.answer
        assert "logging.lastResort, from WARNING -> stderr" in told(found)
        assert NO == explain({"root": {"level": 1}}).answer

    def test_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A program may take even that away.
        """
        monkeypatch.setattr(logging, "lastResort", None)
        found = now("a", logging.ERROR)

        assert NO == found.answer
        assert "no handler is on its way" in told(found)


ENDS = [
    ("StreamHandler", {}, "stderr"),
    ("StreamHandler", {"stream": "ext://sys.stdout"}, "stdout"),
    ("FileHandler", {"filename": "a.log", "delay": True}, os.path.abspath("a.log")),  # noqa: PTH100
    (
        "handlers.SysLogHandler",
        {"address": ["localhost", 514]},
        "syslog at localhost:514",
    ),
    ("handlers.SysLogHandler", {}, "syslog at localhost:514"),
    ("handlers.SocketHandler", {"host": "h", "port": 9}, "h:9"),
    ("handlers.SocketHandler", {"host": "/run/s", "port": None}, "/run/s"),
    ("handlers.HTTPHandler", {"host": "h", "url": "/log"}, "h/log"),
    (
        "handlers.SMTPHandler",
        {"mailhost": "h", "fromaddr": "f", "toaddrs": ["a", "b"], "subject": "s"},
        "mail to a, b",
    ),
    ("NullHandler", {}, ""),
]
OURS = [
    (
        "CloudWatchHandler",
        {"log_group_name": "${GROUP:-bot}"},
        "CloudWatch Logs, group bot, stream {hostname}/{time}-{pid}-{random}",
    ),
    (
        "CloudWatchHandler",
        {"log_stream_name": "main"},
        "CloudWatch Logs, group Chimera, stream main",
    ),
    (
        "RotatingFileHandler",
        {"filename": "~/${NAME:-a}.log"},
        os.path.expanduser("~/a.log"),  # noqa: PTH111
    ),
    ("StreamHandler", {"stream": "ext://sys.stdout"}, "stdout"),
]


class TestHandler:
    @BOTH
    @pytest.mark.parametrize(
        ("kind", "options", "expected"),
        [(f"logging.{kind}", *rest) for kind, *rest in ENDS]
        + [(f"chimera_log.{kind}", *rest) for kind, *rest in OURS],
    )
    def test_end(
        self,
        explain: Callable[..., Explanation],
        kind: str,
        options: dict[str, Any],
        expected: str,
    ) -> None:
        """
        Its options tell where it ends, whether it runs or is written.
        """
        found = explain(
            {
                "handlers": {"it": {"class": kind, **options}},
                "root": {"handlers": ["it"], "level": 1},
            }
        )

        assert (expected, "") == (way(found).handler.ends, way(found).handler.formatter)
        assert f"it ({kind.rpartition('.')[2]})" == way(found).handler.text
        assert (NO if kind.endswith("NullHandler") else YES) == found.answer

    @pytest.mark.parametrize(
        ("kind", "options", "expected"),
        [
            (
                "logging.handlers.SysLogHandler",
                {"address": "/dev/log"},
                "syslog at /dev/log",
            ),
            (
                "chimera_log.RotatingFileHandler",
                {"filename": "/${NOBODY_SET_IT}"},
                "/${NOBODY_SET_IT}",
            ),
        ],
    )
    def test_end_as_written(
        self, kind: str, options: dict[str, Any], expected: str
    ) -> None:
        """
        What could not be built here is explained all the same.
        """
        found = by_document(
            {
                "handlers": {"it": {"class": kind, **options}},
                "root": {"handlers": ["it"], "level": 1},
            }
        )

        assert expected == way(found).handler.ends

    @BOTH
    def test_unknown_end(self, explain: Callable[..., Explanation]) -> None:
        """
        Where a handler of somebody else ends is not made up.
        """
        content = {"handlers": {"it": {"()": Kept}}, "root": {"handlers": ["it"]}}

        assert "wherever Kept puts it" == way(explain(content)).handler.ends

    def test_stream_of_a_program(self) -> None:
        """
        A stream that is no console has its own name, or that of its class.
        """
        with open(os.devnull, "w") as file:  # noqa: PTH123
            named: logging.StreamHandler[Any] = logging.StreamHandler(file)
            logging.getLogger("a").addHandler(named)
            assert os.devnull == way(now("a", logging.ERROR)).handler.ends
            named.setStream(io.StringIO())
            assert "StringIO" == way(now("a", logging.ERROR)).handler.ends

    @BOTH
    def test_formatter(self, explain: Callable[..., Explanation]) -> None:
        """
        The formatter is named by its class.
        """
        content: dict[str, Any] = {
            "formatters": {"json": {"()": "chimera_log.JsonFormatter"}, "plain": {}},
            "handlers": {"it": {"class": HERE, "formatter": "json"}},
            "root": {"handlers": ["it"]},
        }
        assert "JsonFormatter" == way(explain(content)).handler.formatter
        content["handlers"]["it"]["formatter"] = "plain"
        assert "Formatter" == way(explain(content)).handler.formatter

    @BOTH
    def test_audit(self, explain: Callable[..., Explanation], tmp_path: Path) -> None:
        """
        A trail takes all but its own checkpoints, and formats by itself.
        """
        kind = "chimera_log.AuditFileHandler"
        content = {
            "handlers": {"it": {"class": kind, "filename": str(tmp_path / "trail")}},
            "root": {"handlers": ["it"], "level": 1},
        }

        assert YES == explain(content).answer
        assert "JsonFormatter" == way(explain(content)).handler.formatter
        assert NO == explain(content, "chimera_log.audit").answer

    def test_anonymous(self) -> None:
        """
        A handler without a name is called by its class, as a function is as a filter.
        """
        handler = logging.NullHandler()
        handler.addFilter(passes)
        logging.getLogger("a").addHandler(handler)
        found = way(now("a", logging.ERROR))

        assert "NullHandler" == found.handler.text
        assert ("filter passes: it depends on the record",) == found.reasons
        assert "nothing; it drops all" in told(now("a", 40))


def passes(record: logging.LogRecord) -> bool:
    """Let every record pass."""
    return bool(record)


class TestBehind:
    @BOTH
    def test_target_is_not_asked_for_its_level(
        self, explain: Callable[..., Explanation]
    ) -> None:
        """
        What a MemoryHandler hands on is handled, whatever the level of its target.
        """
        found = explain(
            {
                "handlers": {
                    "kept": {"class": HERE, "level": "ERROR"},
                    "memory": {
                        "class": "logging.handlers.MemoryHandler",
                        "capacity": 10,
                        "target": "kept",
                    },
                },
                "root": {"handlers": ["memory"], "level": 1},
            }
        )

        assert YES == found.answer
        assert "memory, 10 records at once" == way(found).handler.ends
        assert "kept (Kept), from ERROR" in told(found)

    @BOTH
    def test_no_target(self, explain: Callable[..., Explanation]) -> None:
        """
        A MemoryHandler with nobody behind it drops what it keeps.
        """
        kind = "logging.handlers.MemoryHandler"
        found = explain(
            {
                "handlers": {"memory": {"class": kind, "capacity": 10}},
                "root": {"handlers": ["memory"], "level": 1},
            }
        )

        assert NO == found.answer
        assert "there is no handler behind it" in told(found)

    @pytest.mark.parametrize("asks", [True, False])
    def test_listener(self, asks: bool) -> None:
        """
        Whether the listener asks for levels is known, and whether it runs.
        """
        kept = Kept(logging.ERROR)
        handler = logging.handlers.QueueHandler(queue.Queue())
        listener = logging.handlers.QueueListener(
            handler.queue, kept, respect_handler_level=asks
        )
        # As dictConfig does since Python 3.12.
        vars(handler)["listener"] = listener
        logging.getLogger("a").addHandler(handler)
        stopped = told(now("a", logging.WARNING))
        listener.start()
        found = now("a", logging.WARNING)
        listener.stop()

        assert (NO if asks else YES) == found.answer
        assert "nobody reads the queue; call listener.start()" in stopped
        assert "nobody reads the queue" not in told(found)

    def test_unknown_listener(self) -> None:
        """
        A queue's reader that nobody told of may be anywhere.
        """
        handler = logging.handlers.QueueHandler(queue.Queue())
        logging.getLogger("a").addHandler(handler)
        found = now("a", logging.WARNING)

        assert YES == found.answer
        assert "a queue, and nobody can tell who reads it" == way(found).handler.ends

    def test_written_listener(self) -> None:
        """
        A QueueHandler lists who is behind it, and does not start them.
        """
        handlers = {
            "kept": {"class": HERE, "level": "ERROR"},
            "queue": {
                "class": "logging.handlers.QueueHandler",
                "handlers": ["kept"],
                "respect_handler_level": True,
            },
        }
        found = by_document(
            {"handlers": handlers, "root": {"handlers": ["queue"], "level": 1}}
        )

        assert NO == found.answer
        assert "its level is ERROR" in told(found)
        assert "its listener has to be started" in told(found)

    def test_factory(self) -> None:
        """
        A factory gets names as they are written, and no handlers.
        """
        kind = "logging.handlers.MemoryHandler"
        handlers = {
            "kept": {"class": HERE},
            "it": {"()": kind, "capacity": 1, "target": "kept"},
        }
        found = by_document({"handlers": handlers, "root": {"handlers": ["it"]}})

        assert () == way(found).behind

    def test_circle(self) -> None:
        """
        Handlers that are behind each other are shown once.
        """
        kind = "logging.handlers.MemoryHandler"
        one = logging.handlers.MemoryHandler(1)
        two = logging.handlers.MemoryHandler(1, target=one)
        one.setTarget(two)
        logging.getLogger("a").addHandler(one)
        handlers = {
            "one": {"class": kind, "target": "two"},
            "two": {"class": kind, "target": "one"},
        }
        content = {"handlers": handlers, "loggers": {"a": {"handlers": ["one"]}}}

        for found in (
            now("a", logging.ERROR),
            by_document(content, "a", logging.ERROR),
        ):
            ((inner,),) = (each.behind for each in found.all_ways)
            assert (NO, ()) == (found.answer, inner.behind)
        one.setTarget(None)


class TestMistakes:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ({"root": {"level": "LOUD"}}, "root.level: 'LOUD' is no level; "),
            ({"root": {"level": True}}, "root.level: True is no level; "),
            (
                {"root": {"handlers": ["x"]}},
                "root.handlers: no handler is called 'x'; ",
            ),
            (
                {"filters": {"xy": {}}, "root": {"filters": ["x"]}},
                "root.filters: no filter is called 'x'; did you mean 'xy'?",
            ),
            ({"incremental": True}, "incremental: True: it changes the levels"),
        ],
    )
    def test_document(self, content: dict[str, Any], expected: str) -> None:
        """
        What is asked for is explained, or refused with its place.
        """
        with pytest.raises(ConfigError, match=r"^config: ") as caught:
            by_document(content)

        assert expected in str(caught.value)

    @pytest.mark.parametrize("level", ["loud", 0, -5, True, None, 2.5, "0"])
    def test_level(self, level: Any) -> None:
        """
        What no record can have as its level is refused.
        """
        with pytest.raises(ConfigError, match="is no level of a record; "):
            chimera_log.explain("a", level)

    def test_logger(self) -> None:
        """
        A logger is called by its name.
        """
        with pytest.raises(ConfigError, match="is no name; write text"):
            chimera_log.explain(7, "INFO")  # type: ignore[arg-type]


class TestFunction:
    def test_text(self) -> None:
        """
        The answer stands first, then the level, then every handler.
        """
        without_pytest()
        handler = Kept()
        handler.set_name("kept")
        logging.getLogger().addHandler(handler)

        assert [
            "rpc.alchemy INFO: goes nowhere",
            "  level: WARNING, set by root",
            "  stopped: the level of root is WARNING; set loggers.rpc.alchemy.level to INFO",
            "  if it were not stopped:",
            "  root:",
            "    yes   kept (Kept) -> wherever Kept puts it",
        ] == chimera_log.explain("rpc.alchemy", "info").splitlines()

    def test_changes_nothing(self) -> None:
        """
        A logger that is asked for is not made by that.
        """
        chimera_log.explain("rpc", 25)

        assert {} == logging.Logger.manager.loggerDict

    def test_root(self) -> None:
        """
        The root has two names.
        """
        assert chimera_log.explain("", 27) == chimera_log.explain("root", "27")
        assert "root 27: " in chimera_log.explain("", 27)

    def test_level(self) -> None:
        """
        A level is a name in any case, or a number.
        """
        assert [30, 30, 30] == [level_named(each) for each in ("warning", "30 ", 30)]


class TestCommand:
    def test_arrives(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        It exits with 0 if a record may arrive.
        """
        file = tmp_path / "logging.yaml"
        file.write_text(
            "version: 1\nhandlers: {it: {class: logging.StreamHandler}}\n"
            "root: {handlers: [it]}\n"
        )

        assert 0 == main(["explain", "a", "error", "--config", str(file)])
        assert "it (StreamHandler) -> stderr\n" in capsys.readouterr().out

    def test_goes_nowhere(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        It exits with 1 if it goes nowhere; without --config the usual file is read.
        """
        assert 1 == main(["explain", "rpc.alchemy", "DEBUG"])
        assert "rpc.alchemy DEBUG: goes nowhere\n" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments", [["a", "LOUD"], ["a", "INFO", "--config", "no-such.yaml"]]
    )
    def test_wrong(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        It exits with 2 if the question is wrong.
        """
        assert 2 == main(["explain", *arguments])
        assert capsys.readouterr().err.startswith("chimera-log: ")

    def test_hostile_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A name cannot steer the terminal that shows it.
        """
        assert 1 == main(["explain", "a\x1b[2J\nb", "DEBUG"])
        out = capsys.readouterr().out

        assert "\x1b" not in out
        assert "a\\x1b[2J" in out
