"""
`check` finds what is wrong with a configuration, and touches nothing meanwhile.

What it says about each mistake stands in ``data/mistakes``.
"""

from __future__ import annotations

import copy
import datetime
import gc
import logging
import logging.config
import logging.handlers
import queue
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.config.check import check
from chimera_log.config.check.signatures import ANY, options_of
from chimera_log.config.document import Document
from chimera_log.config.findings import Finding, Refusal, dotted
from chimera_log.config.reading import parse, read
from chimera_log.options import ConfigError
from tests.conftest import fewer_examples
from tests.test_check_mistakes import mistakes
from tests.test_config import BAD, GOOD, Bad, Recorder

SHIPPED = Path(__file__).parent.parent / "logging.yaml"


def findings(text: str) -> list[Finding]:
    """Return what is found in the YAML *text*."""
    return mistakes(parse(text, "logging.yaml"))


def of_content(**content: Any) -> list[str]:
    """Return what is found in a program's own configuration, as lines."""
    return [
        str(each) for each in mistakes(Document({"version": 1, **content}, "config"))
    ]


def of_handler(**handler: Any) -> list[str]:
    """Return what is found in a configuration with *handler* only."""
    return of_content(handlers={"it": handler})


# Where `check` points more exactly than the table of loading does, and what it
# says there.
FINER: dict[str, tuple[str, tuple[str, ...]]] = {
    "class": ("8: handlers.file.class", ("chimera_log has no 'RotatingFileHandlr'",)),
    "level no": ("13: root.level", ("YAML reads no as False, which logs everything",)),
    "missing option": ("7: handlers.file", ("needs `filename:`",)),
}


class TestWhatStopsTheLoader:
    @pytest.mark.parametrize("name", BAD)
    def test_reported(self, name: str) -> None:
        """
        Whatever loading stumbles over is found, on the same line.
        """
        bad: Bad = BAD[name]
        place, says = FINER.get(name, (bad.place, bad.says))
        line, path = place.split(": ")
        found = findings(GOOD.replace(bad.right, bad.wrong))

        (told, *_) = [each for each in found if each.place.line == int(line)]
        assert dotted(told.path).startswith(path)
        assert [] == [said for said in says if said not in told.text]
        assert all(each.severity == "warning" for each in found if each != told)

    def test_good(self) -> None:
        """
        The file in which those mistakes are made has none.
        """
        assert [] == findings(GOOD)


class TestGood:
    def test_shipped(self) -> None:
        """
        Nothing is wrong with the configuration that is shipped.
        """
        assert [] == check(read(SHIPPED))

    @pytest.mark.parametrize(
        "content",
        [
            {"incremental": True, "handlers": {"console": {"level": "INFO"}}},
            {"x-common": 5, ".anchors": {}, "$schema": "a", "watch": "5 s"},
            {"watch": None, "disable_existing_loggers": 0, "incremental": None},
            {"root": {"level": 5, "handlers": (), "filters": None}},
            {"loggers": {"bot": {"level": "${LEVEL}", "handlers": "${HANDLERS}"}}},
            {"loggers": {"bot": {"propagate": "${P}", "filters": "${F}"}}},
            {"loggers": {"bot": {"handlers": ["${HANDLER}"]}}},
            {"watch": "${WATCH}"},
        ],
    )
    def test_content(self, content: dict[str, Any]) -> None:
        """
        What dictConfig takes, or only a variable can tell, is not complained about.
        """
        assert [] == of_content(**content)

    @pytest.mark.parametrize(
        "handler",
        [
            {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
            {"class": "ext://logging.StreamHandler"},
            {"class": "${HANDLER}", "colour": "red"},
            {"class": "cfg://x", "colour": "red"},
            {"()": "tests.test_config.Recorder", "colour": "red"},
            {
                "()": logging.StreamHandler,
                ".": {"terminator": ""},
                "level": "ext://logging.INFO",
            },
            {"()": "logging.NullHandler", ".": None, "formatter": ""},
            {
                "class": "logging.FileHandler",
                "filename": Path("a"),
                "encoding": "utf-8",
            },
            {"class": "logging.FileHandler", "filename": b"a", "errors": "replace"},
            {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": "${DIR}/a",
                "mode": "a+",
                "maxBytes": 1e8,
                "backupCount": 3,
                "delay": True,
            },
            {
                "class": "logging.handlers.TimedRotatingFileHandler",
                "filename": "a",
                "when": "w0",
                "atTime": datetime.time(12),
            },
            {
                "class": "logging.handlers.SysLogHandler",
                "address": ["localhost", 514],
                "facility": 8,
                "socktype": "ext://socket.SOCK_STREAM",
            },
            {
                "class": "logging.handlers.SysLogHandler",
                "address": "/dev/log",
                "facility": "local0",
            },
            {"class": "logging.handlers.SocketHandler", "host": "a", "port": None},
            {
                "class": "logging.handlers.HTTPHandler",
                "host": "a",
                "url": "/",
                "method": "post",
                "credentials": ["a", "b"],
            },
            {
                "class": "logging.handlers.SMTPHandler",
                "mailhost": "a",
                "fromaddr": "a",
                "toaddrs": ["a"],
                "subject": "a",
                "timeout": 2.5,
            },
            {
                "class": "logging.handlers.MemoryHandler",
                "capacity": 5,
                "flushLevel": 30,
            },
            {"class": "chimera_log.RotatingFileHandler", "filename": "${DIR:-a}/b"},
        ],
    )
    def test_handler(self, handler: dict[str, Any]) -> None:
        """
        Neither is what a handler takes.
        """
        assert [] == of_handler(**handler)

    @pytest.mark.parametrize(
        "formatter",
        [
            {},
            {"format": "%(message)s %%(levelname)", "datefmt": "%H:%M"},
            {"format": "{message} {levelname!r:>8}", "style": "{"},
            {"format": "${message} $levelname $$", "style": "$"},
            {"format": "nothing", "validate": False},
            {"format": "${FORMAT}", "style": "${STYLE}"},
            {"format": "%(user)s", "defaults": "cfg://formatters"}
            if sys.version_info >= (3, 12)
            else {},
            {
                "class": "tests.test_check.Coloured",
                "style": "{",
                "format": "{colour.names[0]:>8}",
            },
            {"format": "ext://logging.BASIC_FORMAT", "datefmt": "${DATE}"},
            {"()": "logging.Formatter", "fmt": "%(message)s"},
            {"()": "logging.Formatter", "format": "%(message)s"},
            {"class": "logging.Formatter", "format": "%(message)s"},
            {"class": "tests.test_check.Coloured", "format": "%(colour)s%(message)s"},
            {"class": "${FORMATTER}", "format": "%(colour)s%(message)s"},
        ],
    )
    def test_formatter(self, formatter: dict[str, Any]) -> None:
        """
        Neither is what a formatter takes.
        """
        assert [] == of_content(formatters={"it": formatter})

    def test_field_of_a_filter(self) -> None:
        """
        A field that a filter may supply is none that nobody has.
        """
        text = (
            "version: 1\n"
            "formatters: {it: {format: '%(request_id)s %(message)s'}}\n"
            "filters: {ids: {(): tests.test_check.Ids}}\n"
            "handlers:\n"
            "  it: {class: logging.StreamHandler, formatter: it, filters: [ids]}\n"
        )
        assert [] == findings(text)
        assert 1 == len(findings(text.replace(", filters: [ids]", "")))

    @pytest.mark.skipif(
        sys.version_info < (3, 12), reason="needs Python 3.12: defaults"
    )
    def test_field_of_the_defaults(self) -> None:
        """
        Neither is one that has a default.
        """
        formatter = {"format": "%(user)s %(message)s", "defaults": {"user": "nobody"}}
        assert [] == of_content(formatters={"it": formatter})

    @pytest.mark.skipif(
        sys.version_info < (3, 12), reason="needs Python 3.12: handlers by name"
    )
    @pytest.mark.parametrize(
        ("waiting", "listener"),
        [
            ("queue.SimpleQueue", "logging.handlers.QueueListener"),
            ({"()": "queue.Queue", "maxsize": 5}, {"()": "builtins.list"}),
            ("${QUEUE}", "ext://logging.handlers.QueueListener"),
            (queue.Queue(), logging.handlers.QueueListener),
        ],
    )
    def test_queue(self, waiting: Any, listener: Any) -> None:
        """
        A queue handler is given a queue, a listener and the names of handlers.
        """
        handler = {
            "class": "logging.handlers.QueueHandler",
            "queue": waiting,
            "listener": listener,
            "handlers": ["file"],
            "respect_handler_level": True,
        }
        file = {"class": "logging.NullHandler"}
        assert [] == of_content(handlers={"it": handler, "file": file})

    def test_memory_handlers(self) -> None:
        """
        A handler may wait for another one, of which dictConfig makes a second turn.
        """
        memory = {"class": "logging.handlers.MemoryHandler", "capacity": 5}
        handlers = {
            "a": {**memory, "target": "z"},
            "z": {"class": "logging.NullHandler"},
            "zz": {**memory, "target": "z"},
        }
        assert [] == of_content(handlers=handlers)

    def test_section_of_ones_own(self) -> None:
        """
        A section that ``cfg://`` leads to is no unknown one.
        """
        handler = {"()": "tests.test_config.Recorder", "size": "cfg://sizes.list[0]"}
        content = {"handlers": {"it": handler}, "sizes": {"list": [5]}}
        assert [] == of_content(**content)

    def test_permissions(self) -> None:
        """
        Octal digits are meant where they are permissions.
        """
        text = (
            "version: 1\nhandlers:\n  it:\n    class: chimera_log.RotatingFileHandler\n"
            "    filename: bot.log\n    mode: 0640\n    max_age: 0\n"
        )
        assert [] == findings(text)

    def test_merged_keys(self) -> None:
        """
        A key that replaces a merged one is no second one; a second one is told once.
        """
        text = (
            "version: 1\nx-common: &common {level: INFO}\n"
            "loggers:\n  bot: {<<: *common, level: DEBUG}\n"
        )
        assert [] == findings(text)
        (told,) = findings(text.replace("{level: INFO}", "{level: INFO, level: INFO}"))
        assert ("x-common", "level") == told.path


class Coloured(logging.Formatter):
    """Supplies a field of its own."""


class Ids(logging.Filter):
    """Supplies a field."""

    def __init__(self, header: str = "") -> None:
        super().__init__()
        self.header = header


class Odd(logging.Handler):
    """Has a signature that no code tells."""

    def __init__(self, size: int, /, colour: str, **others: Any) -> None:
        super().__init__()
        self.options = (size, colour, others)


class Telling:
    """Fails when it is shown."""

    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.skipif(sys.version_info < (3, 13), reason="needs Python 3.13: a name")
def test_flush_level() -> None:
    """
    A level at which a handler flushes may be a name.
    """
    memory = {"class": "logging.handlers.MemoryHandler", "capacity": 5}
    assert [] == of_handler(**memory, flushLevel="WARNING")


def test_time_format() -> None:
    """
    A time format that a platform does not take is told, and else is in order.
    """
    found = of_content(formatters={"it": {"datefmt": "%H\0", "format": "%(asctime)s"}})
    assert len(found) <= 1
    assert all("'%H\\x00' is no time format: embedded null" in each for each in found)


class TestProgramsOwn:
    def test_class(self) -> None:
        """
        A program may name the class itself, since Python 3.12 under ``class``.
        """
        found = of_handler(**{"class": Recorder})
        if sys.version_info >= (3, 12):
            assert [] == found
        else:
            (told,) = found
            assert "must be a name before Python 3.12; write `()`" in told

    def test_filter(self) -> None:
        """
        Since Python 3.11 it may give a filter.
        """
        filters = [logging.Filter("bot"), lambda _: True]
        found = of_content(root={"filters": filters})

        assert (0 if sys.version_info >= (3, 11) else 2) == len(found)

    @pytest.mark.parametrize("value", [Telling(), "x" * 500, [[]] * 500])
    def test_shown(self, value: Any) -> None:
        """
        An error is one line of decent length, whatever a value is.
        """
        (told,) = of_content(root={"level": value})

        assert "\n" not in told
        assert len(told) < 300

    def test_unfitting_types(self) -> None:
        """
        What no YAML says is told as well.
        """
        assert [
            "config: error handlers.it.class: 5 is no class; write package.module.Name"
        ] == of_handler(**{"class": 5})
        assert [
            "config: error formatters.it.(): logging.Filter is no formatter; name a "
            "class that is one"
        ] == of_content(formatters={"it": {"()": logging.Filter}})

    def test_too_deep(self) -> None:
        """
        A value that contains itself is no reason to fail.
        """
        deep: dict[str, Any] = {}
        deep["deep"] = deep
        assert of_content(handlers=deep, root=deep, formatters={"it": deep})


class Ours(logging.Handler):
    """Checks its options badly, for a class of this package."""

    def __init__(self, a: int = 0, b: int = 0, c: int = 0) -> None:
        super().__init__()
        self.sum = a + b
        if c:
            raise ConfigError(f"{'b' if c == 1 else 'c'}: {c} is wrong; write 0")


class OurFilter(logging.Filter):
    """So does this."""

    def __init__(self, a: int = 0) -> None:
        super().__init__()
        self.sum = a + 1


for _class in (Ours, OurFilter):
    _class.__module__ = "chimera_log.ours"


class TestTrial:
    def test_other_errors(self) -> None:
        """
        An error that a constructor did not think of is told at the option it is about.
        """
        assert [
            "config: error handlers.it.a: cannot be built: TypeError: unsupported operand "
            "type(s) for +: 'NoneType' and 'int'; correct it",
        ] == of_handler(**{"()": Ours, "a": None})

    def test_other_errors_of_several(self) -> None:
        """
        If it is about several, it is told of the whole, and else with the others.
        """
        assert [
            "config: error handlers.it: cannot be built: TypeError: unsupported operand "
            "type(s) for +: 'NoneType' and 'NoneType'; correct it",
        ] == of_handler(**{"()": Ours, "a": None, "b": None})
        assert [
            "config: error handlers.it.a: cannot be built: TypeError: unsupported operand "
            "type(s) for +: 'NoneType' and 'int'; correct it",
            "config: error handlers.it.c: 5 is wrong; write 0",
        ] == of_handler(**{"()": Ours, "a": None, "c": 5})

    def test_other_errors_of_a_filter(self) -> None:
        """
        A filter is tried like a handler.
        """
        (told,) = of_content(filters={"it": {"()": OurFilter, "a": "b"}})
        assert told.startswith(
            "config: error filters.it.a: cannot be built: TypeError: "
        )

    def test_option_that_is_not_given(self) -> None:
        """
        An error about an option that is not there is the last one.
        """
        assert [
            "config: error handlers.it.b: 1 is wrong; write 0",
        ] == of_handler(**{"()": Ours, "c": 1})


class TestSignature:
    def test_inspected(self) -> None:
        """
        What only `inspect` can tell is asked of it.
        """
        found = options_of(Odd, "handlers", by_class=True)

        assert ("colour",) == found.known
        assert ("size", "colour") == found.required
        assert found.takes_all

    def test_unknown(self) -> None:
        """
        What does not tell its signature takes anything.
        """
        untold: Any = type("Untold", (logging.Handler,), {"__signature__": "untold"})

        assert ANY == options_of(untold, "handlers", by_class=False)

    def test_needs_what_nobody_can_give(self) -> None:
        """
        An argument without a name cannot be given, and is missing.
        """
        (told,) = of_handler(**{"()": "tests.test_check.Odd", "colour": "red"})

        assert "tests.test_check.Odd needs `size:`; add it" in told


def state() -> dict[str, Any]:
    """Return all that logging remembers."""
    root = logging.getLogger()
    return {
        "handlers": dict(logging._handlers),  # type: ignore[attr-defined]
        "list": [each() for each in logging._handlerList],  # type: ignore[attr-defined]
        "loggers": {
            name: dict(vars(each)) for name, each in root.manager.loggerDict.items()
        },
        "root": (root.level, root.handlers[:], root.filters[:], root.disabled),
        "levels": (dict(logging._nameToLevel), dict(logging._levelToName)),
        "disabled": root.manager.disable,
    }


class TestTouchesNothing:
    @pytest.mark.parametrize("good", [True, False])
    def test_logging(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bool
    ) -> None:
        """
        Logging is as it was, no thread has started, and no file was made.
        """
        monkeypatch.chdir(tmp_path)
        content = read(SHIPPED).content
        if not good:
            for handler in content["handlers"].values():
                handler["close_timeout"] = "never"
                handler["formatter"] = "jsn"
        check(Document(content, "config"))  # imports what it needs
        logging.config.dictConfig(read(SHIPPED).content)
        before, threads = state(), threading.enumerate()
        found = check(Document(content, "config"))

        assert good == (not found)
        assert before == state()
        assert threads == threading.enumerate()
        assert [] == list(tmp_path.iterdir())

    def test_content(self) -> None:
        """
        What is checked stays as it is.
        """
        document = read(SHIPPED)
        before = copy.deepcopy(document.content)
        check(document)

        assert before == document.content


WORDS = st.sampled_from(
    [
        *(
            "logging.StreamHandler",
            "logging.handlers.MemoryHandler",
            "logging.Formatter",
        ),
        *("logging.handlers.QueueHandler", "chimera_log.RotatingFileHandler"),
        *("chimera_log.JsonFormatter", "chimera_log.CloudWatchHandler", "logging"),
        *("chimera_log.AuditFileHandler", "chimera_log.ExecutionAuditFilter", ""),
        *("ext://sys.stdout", "ext://sys.", "ext://", "cfg://handlers.it", "cfg://[0]"),
        *("cfg://handlers[", "%(message)s", "%(a", "{a.b[0]}", "${A:-b}", "${", "INFO"),
        *("..", "a.", "json", "it", "100 MB", "1e8", "\0", "\ud800", "a\nb"),
    ]
)
NAMES = st.sampled_from(
    [
        *("version", "formatters", "filters", "handlers", "loggers", "root", "watch"),
        *("class", "()", ".", "level", "formatter", "filters", "handlers", "propagate"),
        *("format", "style", "datefmt", "validate", "defaults", "stream", "target"),
        *("filename", "maxBytes", "backupCount", "capacity", "mode", "encoding"),
        *("queue", "listener", "it", "json", "redact", "fields", "static", "events"),
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.binary(max_size=3),
    WORDS,
    st.text(alphabet="ab%{$.:/", max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(NAMES, SCALARS), inner, max_size=4),
    ),
    max_leaves=12,
)
PARTS = st.dictionaries(NAMES, VALUES, max_size=6)
SECTIONS = st.one_of(VALUES, st.dictionaries(st.sampled_from(["it", "json"]), PARTS))
CONTENTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("formatters", "filters", "handlers", "loggers", "root", "version"), SECTIONS
    ),
)


class TestAnything:
    @given(content=CONTENTS)
    def test_no_traceback(self, content: dict[str, Any]) -> None:
        """
        Whatever stands anywhere, it is told in lines, or is in order.
        """
        found = mistakes(Document(content, "config"))

        assert all("\n" not in str(each) for each in found)
        assert len(found) == len(set(found))

    @fewer_examples(2)
    @given(content=CONTENTS)
    def test_no_traceback_from_a_file(self, content: dict[str, Any]) -> None:
        """
        So it is when it was written as YAML, and each error has its place.
        """
        try:
            document = parse(yaml.safe_dump({"x-a": 1, **content}), "logging.yaml")
        except (Refusal, yaml.YAMLError, UnicodeEncodeError):
            return  # what YAML cannot say
        found = mistakes(document)

        assert all(each.place.line or each.path == ("version",) for each in found)


def mutations(
    content: dict[str, Any],
) -> list[tuple[tuple[Any, ...], str, dict[str, Any]]]:
    """Return each way to change one key of *content*: where, how, and the result."""
    made = []

    def changed(path: tuple[Any, ...], how: str, change: Any) -> None:
        result = copy.deepcopy(content)
        inner: Any = result
        for key in path[:-1]:
            inner = inner[key]
        change(inner, path[-1])
        made.append((path, how, result))

    def replace_by(value: Any) -> Any:
        def change(inner: Any, key: Any) -> None:
            inner[key] = value

        return change

    def delete(inner: Any, key: Any) -> None:
        del inner[key]

    def rename(inner: Any, key: Any) -> None:
        inner[f"{key}x"] = inner.pop(key)

    def walk(path: tuple[Any, ...], value: Any) -> None:
        if path:
            changed(path, "delete", delete)
            if not isinstance(path[-1], int):
                changed(path, "rename", rename)
            others: list[Any] = [None, True, 5, 1.5, "other", ["other"], {"other": 5}]
            for other in others:
                if type(other) is not type(value):
                    changed(path, f"{other!r}", replace_by(other))
            if isinstance(value, str):
                changed(path, "change", replace_by(f"{value}x"))
        if isinstance(value, dict):
            for key, inner in value.items():
                walk((*path, key), inner)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk((*path, index), inner)

    walk((), content)
    return made


def tree() -> dict[tuple[str, ...], Any]:
    """Return what is configured, without what a handler keeps to itself."""
    root = logging.getLogger()
    named: dict[str, Any] = {"root": root, **root.manager.loggerDict}
    found: dict[tuple[str, ...], Any] = {
        ("root",) if name == "root" else ("loggers", name): (
            each.level,
            each.propagate,
            [handler.get_name() for handler in each.handlers],
        )
        for name, each in named.items()
        if isinstance(each, logging.Logger)
    }
    for handler in root.handlers:
        found["handlers", str(handler.get_name())] = (
            type(handler),
            handler.level,
            type(handler.formatter),
            [type(each) for each in handler.filters],
        )
    return found


def without_loggers() -> None:
    """Forget every logger, as at the start."""
    root = logging.getLogger()
    for name in [name for name in root.manager.loggerDict if name != "root"]:
        del root.manager.loggerDict[name]
    root.setLevel(logging.WARNING)
    root.handlers[:] = []


def is_harmless(path: tuple[Any, ...], content: dict[str, Any], before: Any) -> bool:
    """Whether dictConfig takes *content*, and only what is at *path* is different."""
    without_loggers()
    logging.config.dictConfig(content)
    after = tree()
    where = tuple(map(str, path[:2])) if path[0] != "root" else ("root",)
    changed = {
        name
        for name in {*before, *after}
        if before.get(name) != after.get(name)
        # One that was renamed.
        and (*name[:-1], name[-1].removesuffix("x")) != where
    }
    if path[0] in {"formatters", "filters", "root"}:  # what is found by the root
        return all(name[0] == "handlers" for name in changed)
    return all(
        name == where or (len(where) < 2 and name[0] == where[0]) for name in changed
    )


STANDARD = """\
version: 1
disable_existing_loggers: false
formatters:
  percent: {format: "%(asctime)s %(message)s", datefmt: "%H:%M", style: "%"}
  braces: {format: "{message}", style: "{", validate: true}
  dollars: {(): logging.Formatter, format: $message, style: $}
filters:
  bot: {name: bot}
handlers:
  console:
    class: logging.StreamHandler
    formatter: percent
    stream: ext://sys.stderr
    filters: [bot]
    level: INFO
  size:
    class: logging.handlers.RotatingFileHandler
    formatter: braces
    filename: size.log
    mode: a
    maxBytes: 1000
    backupCount: 3
    encoding: utf-8
    delay: true
    errors: replace
  time:
    class: logging.handlers.TimedRotatingFileHandler
    formatter: dollars
    filename: time.log
    when: midnight
    interval: 1
    backupCount: 3
    delay: true
    utc: true
  memory:
    class: logging.handlers.MemoryHandler
    capacity: 1
    flushLevel: 40
    target: time
    flushOnClose: true
  socket: {class: logging.handlers.SocketHandler, host: localhost, port: 9020}
  syslog: {class: logging.handlers.SysLogHandler, address: [127.0.0.1, 514], facility: user}
  http:
    class: logging.handlers.HTTPHandler
    host: localhost
    url: /log
    method: POST
    secure: false
    credentials: [user, password]
  smtp:
    class: logging.handlers.SMTPHandler
    mailhost: [localhost, 25]
    fromaddr: bot
    toaddrs: [ops]
    subject: failed
    credentials: [user, password]
    timeout: 5.0
root: {level: INFO, handlers: [console, size, memory]}
loggers:
  bot: {level: DEBUG, propagate: true, filters: [bot], handlers: [time]}
"""


def trouble_of(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Return what dictConfig or a record stumbles over, if anything."""
    failed: list[str] = []

    def fail(*_: Any) -> None:
        failed.append(str(sys.exc_info()[1]))

    monkeypatch.setattr(logging.Handler, "handleError", fail)
    without_loggers()
    try:
        logging.config.dictConfig(content)
        logging.getLogger("bot").error("failed")
        for handler in logging.getLogger().handlers:
            handler.flush()
    except Exception as error:
        # Whether a host is there is nothing that a configuration can tell.
        is_away = isinstance(error.__cause__, OSError)
        return None if is_away else f"{error}: {error.__cause__}"
    finally:
        without_loggers()
    return failed[0] if failed else None


def unreported(every: int) -> list[tuple[str, str]]:
    """Return which of the *every*-th mutations is neither found nor harmless."""
    content = read(SHIPPED).content
    without_loggers()
    logging.config.dictConfig(copy.deepcopy(content))
    before = tree()
    return [
        (dotted(path), how)
        for path, how, mutated in mutations(content)[::every]
        if not mistakes(Document(mutated, "config"))
        and not is_harmless(path, mutated, before)
    ]


def failing(monkeypatch: pytest.MonkeyPatch, every: int) -> list[tuple[str, str, str]]:
    """Return which of the *every*-th mutations of `STANDARD` fail, but are not found."""
    content = yaml.safe_load(STANDARD)
    assert [] == mistakes(Document(content, "config"))
    assert trouble_of(copy.deepcopy(content), monkeypatch) is None
    found = [
        (dotted(path), how, trouble)
        for path, how, mutated in mutations(content)[::every]
        if not mistakes(Document(mutated, "config"))
        and (trouble := trouble_of(mutated, monkeypatch))
    ]
    gc.collect()  # what dictConfig had made, before it failed
    return found


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of what dictConfig leaves
class TestMutations:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.chdir(tmp_path)
        root = logging.getLogger()
        loggers = dict(root.manager.loggerDict)
        yield
        root.manager.loggerDict.update(loggers)

    def test_some(self) -> None:
        """
        Any change of one key of the shipped file is found, or harmless.
        """
        assert [] == unreported(every=23)

    def test_some_of_the_standard_library(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So it is with its handlers: dictConfig takes what is not found, and they work.
        """
        assert [] == failing(monkeypatch, every=17)

    @pytest.mark.long
    def test_all_of_the_standard_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        That holds for each.
        """
        assert [] == failing(monkeypatch, every=1)

    @pytest.mark.long
    def test_all(self) -> None:
        """
        That holds for each.
        """
        assert [] == unreported(every=1)
