"""
What every formatter, filter and handler of this package keeps, in words.

Each rule is data: whom it binds, what it says, and a check that is given a
freshly built subject.  `test_contract` runs every rule on every class; a class
that is added to `SUBJECTS` is bound by all of them.  A check raises
`AssertionError` and nothing else.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import logging.config
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chimera_log import JsonFormatter, worker
from tests.aws import Boto, Logs
from tests.conftest import descriptors, record, threads_now
from tests.logs import unchained

if TYPE_CHECKING:
    from collections.abc import Callable


class Subject(NamedTuple):
    """A class under contract, and how to build and read it."""

    kind: str  # formatter, filter or handler
    name: str
    config: Callable[[Path], dict[str, Any]]  # its part of a dictConfig document
    delivered: Callable[[Path], list[str]] = lambda _: []
    is_shared: bool = True  # whether processes deliver to one place, in order
    formatter: type[logging.Formatter] = logging.Formatter  # what it takes at least

    def build(self, directory: Path, **options: Any) -> Any:
        """Return an instance, built as dictConfig builds it from YAML."""
        part = {**self.config(directory), **options}
        formatters = {"json": {"()": "chimera_log.JsonFormatter"}}
        configurator: Any = logging.config.DictConfigurator(
            {"version": 1, "formatters": formatters, f"{self.kind}s": {"it": part}}
        )
        if self.kind == "handler":
            made = configurator.configure_formatter(
                configurator.config["formatters"]["json"]
            )
            configurator.config["formatters"]["json"] = made
        build = getattr(configurator, f"configure_{self.kind}")
        return build(configurator.config[f"{self.kind}s"]["it"])


class Rule(NamedTuple):
    """One sentence, and the check that it is kept."""

    kind: str
    explanation: str
    check: Callable[[Subject, Path], None]


class Hostile:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise ValueError("hostile")

    __repr__ = __str__


def hostile_records() -> list[logging.LogRecord]:
    """Return records that break formatters, filters and handlers of others."""
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    return [
        record("%d", "no number"),
        record(Hostile()),
        record(
            "event", context={"value": Hostile(), "cycle": cycle, "nan": float("nan")}
        ),
        record("event", context=[1, 2, 3]),
        record("event \ud800 \x00 \u2028 \n", context={1: 10**24, "1": b"\xff"}),
        record("event", exc_info=True),
        record("event", exc_info=(ValueError, ValueError(Hostile()), None)),
        record("event", context={"value": "x" * 2_000_000}),
        logging.makeLogRecord({"created": "never", "levelname": None, "name": 5}),
    ]


def _line_of(subject: Subject, directory: Path, logged: logging.LogRecord) -> str:
    line = subject.build(directory).format(logged)
    assert isinstance(line, str)
    return line


def _one_line(subject: Subject, directory: Path) -> None:
    for hostile in hostile_records():
        assert 1 == len(_line_of(subject, directory, hostile).splitlines())


def _no_line_feed_at_the_end(subject: Subject, directory: Path) -> None:
    assert not _line_of(subject, directory, record()).endswith("\n")


def _bytes_are_the_line(subject: Subject, directory: Path) -> None:
    formatter = subject.build(directory)
    for hostile in hostile_records():
        expected = f"{formatter.format(hostile)}\n".encode()
        assert expected == formatter.format_bytes(hostile)


def _strict_json(subject: Subject, directory: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    for hostile in hostile_records():
        line = _line_of(subject, directory, hostile)
        assert isinstance(json.loads(line, parse_constant=refuse), dict)


def _same_twice(subject: Subject, directory: Path) -> None:
    formatter = subject.build(directory)
    for hostile in hostile_records():
        assert formatter.format(hostile) == formatter.format(hostile)


def _formatter_leaves_record(subject: Subject, directory: Path) -> None:
    formatter = subject.build(directory)
    for hostile in hostile_records():
        before = dict(vars(hostile))
        formatter.format(hostile)
        assert before == vars(hostile)
    logged = record("%s", "x", context={"deep": [{"list": [1, 2]}]})
    expected = copy.deepcopy(vars(logged))
    formatter.format(logged)
    assert expected == vars(logged)


def _survives_threads(subject: Subject, directory: Path) -> None:
    formatter = subject.build(directory)
    records = [record("event", context={"number": number}) for number in range(200)]
    expected = [formatter.format(each) for each in records]
    answers: list[list[str]] = []

    def run() -> None:
        answers.append([formatter.format(each) for each in records])

    _run_in_threads(run, 4)
    assert [expected] * 4 == answers


def _takes_stdlib_arguments(subject: Subject, directory: Path) -> None:
    formatter = subject.build(directory)
    made = type(formatter)(None, None, "%", True, defaults=None)
    logged = record()
    assert formatter.format(logged) == made.format(logged)


def _is_stdlib_class(subject: Subject, directory: Path) -> None:
    base = getattr(logging, subject.kind.capitalize())
    assert isinstance(subject.build(directory), base)


def _named_publicly(subject: Subject, directory: Path) -> None:
    part = subject.config(directory)
    package, _, name = (part.get("()") or part["class"]).rpartition(".")
    assert ("chimera_log", subject.name) == (package, name)


def _refuses_unknown_option(subject: Subject, directory: Path) -> None:
    with pytest.raises((TypeError, ValueError), match="no_such_option"):
        subject.build(directory, no_such_option=1)


def _constructor_touches_nothing(subject: Subject, directory: Path) -> None:
    threads = threads_now()
    opened = descriptors()
    subject.build(directory)
    assert [] == list(directory.iterdir())
    assert threads_now() <= threads
    assert opened == descriptors()


def _filter_never_raises(subject: Subject, directory: Path) -> None:
    made = subject.build(directory)
    for hostile in hostile_records():
        assert isinstance(made.filter(hostile), (bool, int, logging.LogRecord))


def _filter_leaves_record(subject: Subject, directory: Path) -> None:
    made = subject.build(directory)
    for hostile in hostile_records():
        before = dict(vars(hostile))
        made.filter(hostile)
        assert before == vars(hostile)


def _filter_has_no_memory(subject: Subject, directory: Path) -> None:
    made = subject.build(directory)
    for hostile in hostile_records():
        assert bool(made.filter(hostile)) == bool(made.filter(hostile))


def _delivers(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    handler.handle(record("first"))
    handler.handle(record("second"))
    handler.flush()
    assert ["first", "second"] == _events(subject, directory)
    handler.close()


def _survives_hostile_records(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    for hostile in hostile_records():
        handler.handle(hostile)
    handler.close()
    assert len(hostile_records()) == len(subject.delivered(directory))


def _survives_bad_formatter(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)

    def broken(logged: logging.LogRecord) -> str:
        raise ValueError(logged)

    handler.setFormatter(_formatter(subject, broken))
    handler.handle(record())
    assert 1 == handler.statistics().dropped
    handler.close()


def _survives_bad_filter(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)

    def broken(_: logging.LogRecord) -> bool:
        raise ValueError("broken")

    handler.addFilter(broken)
    handler.handle(record("kept"))
    handler.close()
    assert ["kept"] == _events(subject, directory)


def _survives_dead_destination(subject: Subject, directory: Path) -> None:
    (directory / "file").write_text("in the way")
    handler = subject.build(directory / "file")
    handler.handle(record())
    handler.flush()
    found = handler.statistics()._asdict()
    undelivered = ("waiting", "queued", "spooled", "dropped")
    assert 1 == sum(found.get(name, 0) for name in undelivered)
    handler.close()


def _honours_filters(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    handler.addFilter(lambda logged: logged.msg != "hidden")
    handler.handle(record("hidden"))
    handler.handle(record("shown"))
    handler.close()
    assert ["shown"] == _events(subject, directory)


def _formats_once(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    formatted = []

    def counting(logged: logging.LogRecord) -> str:
        formatted.append(logged.msg)
        return '{"event":"once"}'

    handler.setFormatter(_formatter(subject, counting))
    handler.handle(record("once"))
    handler.close()
    assert ["once"] == formatted


def _close_is_idempotent(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    handler.close()
    handler.handle(record())
    handler.close()
    handler.close()


def _revives(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    handler.handle(record("before"))
    handler.close()
    handler.handle(record("after"))
    handler.close()
    assert ["before", "after"] == _events(subject, directory)


def _loses_nothing_in_threads(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)

    def run() -> None:
        for _ in range(50):
            handler.handle(record("x" * 300))

    _run_in_threads(run, 4)
    handler.close()
    assert ["x" * 300] * 200 == _events(subject, directory)


def _works_after_fork(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    handler.handle(record("parent"))
    child = os.fork()
    if not child:
        status = 1
        try:
            handler.handle(record("child"))
            handler.flush()
            handler.close()
            status = 0
        finally:
            os._exit(status)
    assert 0 == os.waitpid(child, 0)[1]
    handler.handle(record("parent again"))
    handler.close()
    arrived = _events(subject, directory)
    if not subject.is_shared:
        arrived.sort(key=len, reverse=True)
        arrived = [arrived[1], arrived[2], arrived[0]]
    assert ["parent", "child", "parent again"] == arrived


def _document(subject: Subject, directory: Path) -> dict[str, Any]:
    """Return a configuration with the subject on the root."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "chimera_log.JsonFormatter"}},
        "handlers": {"it": subject.config(directory)},
        "root": {"level": "INFO", "handlers": ["it"]},
    }


def _reload_leaks_nothing(subject: Subject, directory: Path) -> None:
    document = _document(subject, directory)
    opened = []
    for number in range(10):
        logging.config.dictConfig(copy.deepcopy(document))
        logging.getLogger("bot").info("reload %d", number)
        logging.getLogger().handlers[-1].flush()
        opened.append((len(_at_rest()), threading.active_count()))
    logging.getLogger().handlers[-1].close()
    assert opened[:1] * 10 == opened
    assert [f"reload {number}" for number in range(10)] == _events(subject, directory)


def _after_failed_reload(subject: Subject, directory: Path) -> None:
    document = _document(subject, directory)
    logging.config.dictConfig(copy.deepcopy(document))
    document["handlers"]["it"]["class"] = "chimera_log.NoSuchHandler"
    with pytest.raises(ValueError, match="Unable to configure handler"):
        logging.config.dictConfig(document)
    logging.getLogger("bot").info("still here")
    for handler in logging.getLogger().handlers:
        handler.close()
    assert ["still here"] == _events(subject, directory)


def _discarding_another(subject: Subject, directory: Path) -> None:
    handler = subject.build(directory)
    handler.handle(record("before"))
    handler.flush()
    opened = _at_rest()
    subject.build(directory).close()
    assert opened == _at_rest()
    handler.handle(record("after"))
    handler.close()
    assert ["before", "after"] == _events(subject, directory)


def _at_rest() -> dict[str, str]:
    """Return the open file descriptors while no thread of ours looks at a folder."""
    worker.stop_all(10)
    return descriptors()


def _events(subject: Subject, directory: Path) -> list[Any]:
    return [json.loads(line)["event"] for line in subject.delivered(directory)]


def _formatter(
    subject: Subject, format_: Callable[[logging.LogRecord], str]
) -> logging.Formatter:
    """Return a formatter for the subject that formats by *format_*."""
    made = subject.formatter()
    vars(made)["format"] = format_
    return made


def _run_in_threads(run: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _file(name: str, **options: Any) -> Subject:
    def config(directory: Path) -> dict[str, Any]:
        filename = str(directory / "new" / "it.log")
        return {"class": f"chimera_log.{name}", "filename": filename, **options} | {
            "formatter": "json"
        }

    def delivered(directory: Path) -> list[str]:
        # Segments have names that sort by number; the active file comes last.
        files = [
            *sorted((directory / "new").glob("it.log.*")),
            directory / "new" / "it.log",
        ]
        return [line for file in files for line in file.read_text().split("\n")[:-1]]

    return Subject("handler", name, config, delivered)


def _trail(**options: Any) -> Subject:
    written = _file("AuditFileHandler", **options)

    def delivered(directory: Path) -> list[str]:
        lines = unchained(line.encode() for line in written.delivered(directory))
        return [line.decode() for line in lines]

    return written._replace(delivered=delivered, formatter=JsonFormatter)


_logs: dict[Path, Logs] = {}


class FileOfLogs(NamedTuple):
    """Makes clients of a CloudWatch Logs that is a file in *directory*."""

    directory: Path

    def __call__(self, _: object) -> Boto:
        """Return a client, as boto3 makes them; what one makes the next one finds."""
        logs = _logs.setdefault(self.directory, Logs())
        logs.deliver = self._deliver
        return Boto(logs)

    def _deliver(self, messages: list[bytes]) -> None:
        with (self.directory / "arrived").open("ab") as file:
            file.write(b"".join(message + b"\n" for message in messages))


def _cloudwatch(**options: Any) -> Subject:
    def config(directory: Path) -> dict[str, Any]:
        places = {name: str(directory / value) for name, value in options.items()}
        return {
            "class": "chimera_log.CloudWatchHandler",
            "formatter": "json",
            "client_factory": FileOfLogs(directory),
            # Where a file is in the way, nothing is worth waiting for.
            "close_timeout": 0.1 if directory.is_file() else 30,
            **places,
        }

    def delivered(directory: Path) -> list[str]:
        return (directory / "arrived").read_text().split("\n")[:-1]

    return Subject("handler", "CloudWatchHandler", config, delivered, is_shared=False)


# What stands for the console, for all tests, and a stream that was closed.
with tempfile.NamedTemporaryFile() as _file_of_console:
    CONSOLE = Path(_file_of_console.name).open("a")  # noqa: SIM115
    _READ_CONSOLE = Path(_file_of_console.name).open()  # noqa: SIM115
CLOSED = io.StringIO()
CLOSED.close()


def _console(**options: Any) -> Subject:
    emptied_for = Path()

    def config(directory: Path) -> dict[str, Any]:
        nonlocal emptied_for
        if directory != emptied_for:
            os.truncate(CONSOLE.fileno(), 0)
            emptied_for = directory
        stream = "CLOSED" if directory.is_file() else "CONSOLE"
        return {
            "class": "chimera_log.StreamHandler",
            "formatter": "json",
            "stream": f"ext://tests.contract.{stream}",
            **options,
        }

    def delivered(_: Path) -> list[str]:
        _READ_CONSOLE.seek(0)
        return _READ_CONSOLE.read().splitlines()

    return Subject("handler", "StreamHandler", config, delivered)


SUBJECTS = [
    Subject(
        "formatter", "JsonFormatter", lambda _: {"()": "chimera_log.JsonFormatter"}
    ),
    Subject(
        "filter",
        "ExecutionAuditFilter",
        lambda _: {
            "()": "chimera_log.ExecutionAuditFilter",
            "events": ["execution_attempt"],
        },
    ),
    _file("RotatingFileHandler"),
    _file("RotatingFileHandler", writer="thread"),
    _trail(),
    _trail(sync="always"),
    _console(),
    _console(writer="thread"),
    _cloudwatch(),
    _cloudwatch(spool_dir="new"),
]

RULES = [
    Rule("any", "It is a subclass of the standard library's class.", _is_stdlib_class),
    Rule("any", "YAML names it by its short public name.", _named_publicly),
    Rule(
        "any",
        "An option it does not have is an error that names it.",
        _refuses_unknown_option,
    ),
    Rule(
        "any",
        "Building it opens no file, makes no directory and starts no thread.",
        _constructor_touches_nothing,
    ),
    Rule("formatter", "Whatever is logged becomes exactly one line.", _one_line),
    Rule("formatter", "The line feed is the handler's.", _no_line_feed_at_the_end),
    Rule("formatter", "Its bytes are its line, encoded.", _bytes_are_the_line),
    Rule("formatter", "The line is strict JSON.", _strict_json),
    Rule(
        "formatter", "It keeps nothing of a record: twice gives the same.", _same_twice
    ),
    Rule("formatter", "The record is the same afterwards.", _formatter_leaves_record),
    Rule("formatter", "Threads may share it.", _survives_threads),
    Rule(
        "formatter",
        "It takes the arguments dictConfig passes by position.",
        _takes_stdlib_arguments,
    ),
    Rule("filter", "It never raises, whatever the record holds.", _filter_never_raises),
    Rule("filter", "The record is the same afterwards.", _filter_leaves_record),
    Rule(
        "filter",
        "It keeps nothing of a record: twice gives the same.",
        _filter_has_no_memory,
    ),
    Rule(
        "handler", "What was handled is delivered after flush(), in order.", _delivers
    ),
    Rule(
        "handler",
        "No record is too hostile to be delivered.",
        _survives_hostile_records,
    ),
    Rule(
        "handler",
        "A formatter that raises does not reach the caller.",
        _survives_bad_formatter,
    ),
    Rule(
        "handler",
        "A filter that raises does not cost the record.",
        _survives_bad_filter,
    ),
    Rule(
        "handler",
        "A dead destination does not reach the caller.",
        _survives_dead_destination,
    ),
    Rule("handler", "Its filters decide.", _honours_filters),
    Rule("handler", "It formats a record once.", _formats_once),
    Rule("handler", "Closing it twice, or unused, is harmless.", _close_is_idempotent),
    Rule("handler", "A record after close() revives it.", _revives),
    Rule("handler", "Threads share it without loss.", _loses_nothing_in_threads),
    Rule(
        "handler", "It works in a forked child, and in its parent.", _works_after_fork
    ),
    Rule(
        "handler", "Loading a configuration again leaks nothing.", _reload_leaks_nothing
    ),
    Rule("handler", "It goes on after a reload that failed.", _after_failed_reload),
    Rule(
        "handler",
        "Building another one and discarding it changes nothing.",
        _discarding_another,
    ),
]
