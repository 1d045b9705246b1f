"""
`init_logging` finds, adapts, checks and applies a file; a bad one changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import logging.handlers
import os
import re
import subprocess
import sys
import threading
import types
import warnings
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

import chimera_log
from chimera_log import ConfigError, RotatingFileHandler, init_logging
from chimera_log.config import hooks, reading, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = logging.getLogger()


class Recorder(logging.Handler):
    """Keeps what it is given, its options too; knows whether it was closed."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options
        self.records: list[logging.LogRecord] = []
        self.closed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.records.append(record)

    def close(self) -> None:
        """Remember it."""
        self.closed = True
        super().close()

    @property
    def events(self) -> list[str]:
        """The messages it was given."""
        return [record.getMessage() for record in self.records]


def of_name(name: str) -> Recorder:
    """Return the root's recorder called *name*."""
    (found,) = [handler for handler in ROOT.handlers if handler.get_name() == name]
    assert isinstance(found, Recorder)
    return found


def ours() -> list[logging.Handler]:
    """Return the root's handlers that a configuration named, not pytest's."""
    return [handler for handler in ROOT.handlers if handler.get_name()]


def names() -> list[str | None]:
    """Return what the root's handlers are called, but for pytest's."""
    return [handler.get_name() for handler in ours()]


def recording(name: str = "memory", **options: Any) -> dict[str, Any]:
    """Return a configuration with one recorder, called *name*."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {name: {"()": Recorder, **options}},
        "root": {"level": "INFO", "handlers": [name]},
    }


NAMED = """\
version: 1
disable_existing_loggers: false
handlers: {{{name}: {{class: logging.NullHandler}}}}
root: {{handlers: [{name}]}}
"""


def write(path: Path, name: str) -> Path:
    """Write a file whose one handler is called *name*."""
    path.write_text(NAMED.format(name=name))
    return path


class TestFind:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run in a folder of its own."""
        monkeypatch.chdir(tmp_path)

    def test_argument(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The argument comes first, as a path or as text.
        """
        write(Path("argument.yaml"), "argument")
        write(Path("variable.yaml"), "variable")
        write(Path("logging.yaml"), "here")
        monkeypatch.setenv("CHIMERA_LOG_CONFIG", "variable.yaml")

        init_logging("argument.yaml")
        assert ["argument"] == names()
        init_logging(Path("argument.yaml"))
        assert ["argument"] == names()

    def test_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Then comes the environment's variable.
        """
        write(Path("variable.yaml"), "variable")
        write(Path("logging.yaml"), "here")
        monkeypatch.setenv("CHIMERA_LOG_CONFIG", "variable.yaml")
        init_logging()

        assert ["variable"] == names()

    def test_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Then ``logging.yaml`` in the folder it runs in; an empty variable is none.
        """
        write(Path("logging.yaml"), "here")
        monkeypatch.setenv("CHIMERA_LOG_CONFIG", "")
        init_logging()

        assert ["here"] == names()

    def test_packaged(self) -> None:
        """
        Last, the file that comes with the package.
        """
        init_logging()

        assert ["console", "chimera", "executions"] == names()

    def test_folder_here(self) -> None:
        """
        A folder called ``logging.yaml`` is passed over.
        """
        Path("logging.yaml").mkdir()
        init_logging()

        assert ["console", "chimera", "executions"] == names()

    def test_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A leading ``~`` is the home folder, in the argument and the variable.
        """
        monkeypatch.setenv("HOME", str(tmp_path))
        write(tmp_path / "own.yaml", "own")
        init_logging("~/own.yaml")

        assert ["own"] == names()

    def test_byte_order_mark(self) -> None:
        """
        A file that an editor marked as UTF-8 is read.
        """
        Path("logging.yaml").write_text(NAMED.format(name="here"), "utf-8-sig")
        init_logging()

        assert ["here"] == names()


class TestLogDir:
    def test_replaces_the_folder(self, tmp_path: Path) -> None:
        """
        Every file of ours goes there, under its own name.
        """
        init_logging(sources.PACKAGED, log_dir=tmp_path / "a")

        assert [
            str(tmp_path / "a" / "chimera.log"),
            str(tmp_path / "a/executions.log"),
        ] == [
            handler.baseFilename
            for handler in ROOT.handlers
            if isinstance(handler, RotatingFileHandler)
        ]

    @pytest.mark.parametrize("key", ["class", "()"])
    def test_however_named(self, tmp_path: Path, key: str) -> None:
        """
        A handler of ours is one under ``()`` too.
        """
        config = recording()
        config["handlers"]["memory"] = {
            key: "chimera_log.RotatingFileHandler",
            "filename": "logs/bot.log",
        }
        init_logging(config, log_dir=str(tmp_path))

        (handler,) = ours()
        assert isinstance(handler, RotatingFileHandler)
        assert str(tmp_path / "bot.log") == handler.baseFilename

    def test_foreign(self, tmp_path: Path) -> None:
        """
        What other handlers call a file name is theirs.
        """
        init_logging(recording(filename="logs/bot.log"), log_dir=tmp_path)

        assert {"filename": "logs/bot.log"} == of_name("memory").options

    def test_unset_variable(self, tmp_path: Path) -> None:
        """
        A variable that is not set is an error that says where.
        """
        path = tmp_path / "logging.yaml"
        path.write_text(GOOD.replace("bot.log", "${NOWHERE}"))
        with pytest.raises(ConfigError) as caught:
            init_logging(path, log_dir=tmp_path)

        assert str(caught.value).startswith(f"{path}:11:15: handlers.file.filename: ")


class TestLogLevel:
    @pytest.mark.parametrize(
        "level", ["WARNING", "warning", "Warning", logging.WARNING, "WARN"]
    )
    def test_forms(self, level: Any) -> None:
        """
        A name in any case, or a number, replaces the root's level.
        """
        init_logging(recording(), log_level=level)

        assert logging.WARNING == ROOT.level

    def test_own_level(self) -> None:
        """
        A level that a program added counts.
        """
        logging.addLevelName(25, "TRADE")
        init_logging(recording(), log_level="trade")

        assert 25 == ROOT.level

    def test_none(self) -> None:
        """
        Without it the file decides.
        """
        init_logging(recording())

        assert logging.INFO == ROOT.level

    @pytest.mark.parametrize(
        ("level", "hint"),
        [
            ("INOF", "did you mean 'INFO'?"),
            ("loud", "use one of CRITICAL, DEBUG, ERROR, INFO, WARNING"),
            (True, "use one of"),
            (1.5, "use one of"),
            ("", "use one of"),
        ],
    )
    def test_no_level(self, level: Any, hint: str) -> None:
        """
        Anything else is refused, with the level that was meant.
        """
        with pytest.raises(ConfigError) as caught:
            init_logging(recording(), log_level=level)

        assert str(caught.value).startswith(f"log_level: {level!r} is no level; {hint}")


def with_cloudwatch(*attached: str) -> dict[str, Any]:
    """Return a configuration with a handler ``cloudwatch`` and the root's list."""
    config = recording()
    config["handlers"]["cloudwatch"] = {
        "()": Recorder,
        "region_name": "us-east-1",
        "log_group_name": "Bot",
    }
    config["root"]["handlers"] = list(attached)
    return config


class TestEnableCloudwatch:
    @pytest.mark.parametrize("attached", [["memory"], ["memory", "cloudwatch"]])
    def test_true(self, attached: list[str]) -> None:
        """
        True adds the handler to the root, once.
        """
        init_logging(with_cloudwatch(*attached), enable_cloudwatch=True)

        assert ["memory", "cloudwatch"] == names()

    @pytest.mark.parametrize("attached", [["memory"], ["cloudwatch", "memory"]])
    def test_false(self, attached: list[str]) -> None:
        """
        False takes it away.
        """
        init_logging(with_cloudwatch(*attached), enable_cloudwatch=False)

        assert ["memory"] == names()

    @pytest.mark.parametrize("attached", [["memory"], ["cloudwatch", "memory"]])
    def test_none(self, attached: list[str]) -> None:
        """
        Without it the file decides.
        """
        init_logging(with_cloudwatch(*attached))

        assert attached == names()

    def test_not_configured(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Where there is no such handler, a line says so and the others work.
        """
        init_logging(recording(), enable_cloudwatch=True)
        logging.getLogger("bot").info("started")

        assert ["started"] == of_name("memory").events
        assert (
            "chimera_log: config: handlers: no handler is called 'cloudwatch', so that "
            "enable_cloudwatch has no effect; the other handlers work\n"
        ) == capsys.readouterr().err

    @pytest.mark.parametrize("enable", [False, None])
    def test_not_configured_nor_wanted(
        self,
        capsys: pytest.CaptureFixture[str],
        enable: bool | None,
    ) -> None:
        """
        That is nothing to talk about where nobody wants it.
        """
        init_logging(recording(), enable_cloudwatch=enable)

        assert ["memory"] == names()
        assert "" == capsys.readouterr().err

    def test_root_without_handlers(self) -> None:
        """
        A root whose list is missing or left empty gets one.
        """
        config = with_cloudwatch()
        for root in ({}, {"handlers": None}):
            init_logging({**config, "root": root}, enable_cloudwatch=True)

            assert ["cloudwatch"] == names()

    def test_root_with_a_lone_text(self) -> None:
        """
        A text in place of the root's list is told as such, not letter by letter.
        """
        config = {**with_cloudwatch(), "root": {"handlers": "memory"}}
        with pytest.raises(
            ConfigError,
            match=r"^config: root\.handlers: 'memory' must be a list; write \[memory\]$",
        ):
            init_logging(config, enable_cloudwatch=True)

    def test_region_and_group(self) -> None:
        """
        Both keywords are written into the handler.
        """
        init_logging(
            with_cloudwatch("cloudwatch"),
            cloudwatch_region="eu-central-1",
            cloudwatch_log_group="Chimera",
        )

        assert {
            "region_name": "eu-central-1",
            "log_group_name": "Chimera",
        } == of_name("cloudwatch").options

    def test_one_of_them(self) -> None:
        """
        What is not given stays as the file has it.
        """
        init_logging(with_cloudwatch("cloudwatch"), cloudwatch_region="eu-central-1")

        assert {
            "region_name": "eu-central-1",
            "log_group_name": "Bot",
        } == of_name("cloudwatch").options

    def test_without_handler(self) -> None:
        """
        Neither disturbs a file that has no such handler.
        """
        init_logging(recording(), cloudwatch_region="eu-central-1")

        assert ["memory"] == names()


class TestApply:
    def test_configuration_is_not_changed(self) -> None:
        """
        The mapping that a caller gives stays as it was.
        """
        config = with_cloudwatch("memory")
        before = yaml.dump(config)
        init_logging(
            config,
            log_level="ERROR",
            enable_cloudwatch=True,
            cloudwatch_region="eu-central-1",
        )

        assert before == yaml.dump(config)

    def test_live_stream(self) -> None:
        """
        A mapping may hold live objects, such as a stream.
        """
        stream = StringIO()
        config = recording()
        config["handlers"]["memory"] = {
            "class": "logging.StreamHandler",
            "stream": stream,
        }
        init_logging(config)
        logging.getLogger("bot").info("started")

        assert "started\n" == stream.getvalue()

    def test_tuple(self) -> None:
        """
        A tuple is as good as a list.
        """
        config = recording()
        config["root"]["handlers"] = ("memory",)
        init_logging(config)

        assert ["memory"] == names()

    def test_empty_sections(self, tmp_path: Path) -> None:
        """
        A section with nothing in it is none; dictConfig then leaves the root alone.
        """
        path = tmp_path / "logging.yaml"
        path.write_text(
            "version: 1\nformatters:\nfilters:\nhandlers:\nroot:\nloggers:\n"
        )
        before = ROOT.handlers[:]
        init_logging(path)

        assert before == ROOT.handlers

    def test_incremental(self) -> None:
        """
        An incremental configuration changes levels, as dictConfig has it.
        """
        init_logging(recording())
        before = ROOT.handlers[:]
        init_logging(
            {
                "version": 1,
                "incremental": True,
                "handlers": {"memory": {"level": "ERROR"}},
                "root": {"level": "DEBUG"},
            }
        )

        assert before == ROOT.handlers
        assert (logging.DEBUG, logging.ERROR) == (ROOT.level, ours()[0].level)

    def test_option_called_level(self) -> None:
        """
        What a filter or formatter of somebody's calls a level is its own.
        """
        config = recording()
        config["filters"] = {"own": {"()": Levelled, "level": "deep"}}
        config["handlers"]["memory"]["filters"] = ["own"]
        init_logging(config)

        assert ["memory"] == names()

    def test_forward_reference(self, tmp_path: Path) -> None:
        """
        A handler may name another one that comes later.
        """
        path = tmp_path / "logging.yaml"
        path.write_text(MEMORY.format(a="z_file", b="z_file", folder=tmp_path))
        init_logging(path)
        logging.getLogger("bot").error("failed")

        (memory,) = ours()
        assert isinstance(memory, logging.handlers.MemoryHandler)
        assert isinstance(memory.target, RotatingFileHandler)
        memory.target.close()
        assert ["failed"] == (tmp_path / "bot.log").read_text().split()

    def test_twice(self, tmp_path: Path) -> None:
        """
        Twice is harmless: as many handlers, and each line once.
        """
        for _ in range(2):
            init_logging(sources.PACKAGED, log_dir=tmp_path)
        logging.getLogger("bot").info("started")

        assert ["console", "chimera", "executions"] == names()
        assert 1 == len((tmp_path / "chimera.log").read_text().splitlines())


class Levelled(logging.Filter):
    """A filter with an option of its own called level."""

    def __init__(self, level: str) -> None:
        super().__init__()
        self.level = level


MEMORY = """\
version: 1
handlers:
  a_memory:
    class: logging.handlers.MemoryHandler
    capacity: 10
    target: {a}
  b_memory:
    class: logging.handlers.MemoryHandler
    capacity: 10
    target: {b}
  z_file:
    class: chimera_log.RotatingFileHandler
    filename: {folder}/bot.log
root:
  level: INFO
  handlers: [a_memory]
"""

GOOD = """\
version: 1
formatters:
  json: {(): chimera_log.JsonFormatter}
filters:
  trail: {(): chimera_log.ExecutionAuditFilter}
handlers:
  file:
    class: chimera_log.RotatingFileHandler
    formatter: json
    filters: [trail]
    filename: bot.log
root:
  level: INFO
  handlers: [file]
"""


class Bad(NamedTuple):
    """One mistake in `GOOD`, and what its error must say."""

    right: str
    wrong: str
    place: str  # line and dotted key
    says: tuple[str, ...]


def adding(right: str, option: str, place: str, *says: str) -> Bad:
    """Return the mistake of an option too many, on a line below *right*."""
    indent = right[: len(right) - len(right.lstrip())]
    return Bad(f"{right}\n", f"{right}\n{indent}{option}\n", place, says)


FILE_NAME = "    filename: bot.log"
ROOT_HANDLERS = "  handlers: [file]"
BAD = {
    "version": Bad(
        "version: 1",
        "version: 2",
        "1: version",
        ("2 is not supported; write `version: 1`",),
    ),
    "version as text": Bad(
        "version: 1", 'version: "1"', "1: version", ("'1'", "write `version: 1`")
    ),
    "version true": Bad(
        "version: 1", "version: true", "1: version", ("True", "write `version: 1`")
    ),
    "formatter": Bad(
        "formatter: json",
        "formatter: jsn",
        "9: handlers.file.formatter",
        ("no formatter is called 'jsn'; did you mean 'json'?",),
    ),
    "formatter list": Bad(
        "formatter: json",
        "formatter: [json]",
        "9: handlers.file.formatter",
        ("['json']",),
    ),
    "no formatters": Bad(
        "formatters:\n  json: {(): chimera_log.JsonFormatter}",
        "formatters:\n",
        "9: handlers.file.formatter",
        ("no formatter is called 'json'; add it under formatters",),
    ),
    "filter": Bad(
        "[trail]",
        "[trial]",
        "10: handlers.file.filters",
        ("no filter is called 'trial'; did you mean 'trail'?",),
    ),
    "filter text": Bad(
        "[trail]",
        "trail",
        "10: handlers.file.filters",
        ("'trail' must be a list; write [trail]",),
    ),
    "handler": Bad(
        "[file]",
        "[fiel]",
        "14: root.handlers",
        ("no handler is called 'fiel'; did you mean 'file'?",),
    ),
    "handler text": Bad(
        "[file]",
        "file",
        "14: root.handlers",
        ("'file' must be a list; write [file]",),
    ),
    "handler number": Bad("[file]", "5", "14: root.handlers", ("5", "list")),
    "handler list of numbers": Bad("[file]", "[1]", "14: root.handlers", ("1",)),
    "handler null": Bad("[file]", "[null]", "14: root.handlers", ("None",)),
    "handler list of lists": Bad(
        "[file]", "[[file]]", "14: root.handlers", ("['file']",)
    ),
    "root filter": adding(
        ROOT_HANDLERS,
        "filters: [trial]",
        "15: root.filters",
        "no filter is called 'trial'; did you mean 'trail'?",
    ),
    "logger's handler": Bad(
        ROOT_HANDLERS,
        f"{ROOT_HANDLERS}\nloggers: {{bot: {{handlers: [fiel]}}}}",
        "15: loggers.bot.handlers",
        ("no handler is called 'fiel'; did you mean 'file'?",),
    ),
    "logger's filter": Bad(
        ROOT_HANDLERS,
        f"{ROOT_HANDLERS}\nloggers:\n  bot.a: {{filters: [trial]}}",
        "16: loggers.bot.a.filters",
        ("no filter is called 'trial'; did you mean 'trail'?",),
    ),
    "level": Bad(
        "level: INFO",
        "level: INOF",
        "13: root.level",
        ("'INOF' is no level; did you mean 'INFO'?",),
    ),
    "level in small letters": Bad(
        "level: INFO",
        "level: info",
        "13: root.level",
        ("'info' is no level; did you mean 'INFO'?",),
    ),
    "level no": Bad(
        "level: INFO",
        "level: no",
        "13: root.level",
        ("YAML reads no as False, which logs everything; write CRITICAL",),
    ),
    "level list": Bad(
        "level: INFO", "level: [INFO]", "13: root.level", ("['INFO'] is no level",)
    ),
    "level of a handler": adding(
        FILE_NAME, "level: LOUD", "12: handlers.file.level", "'LOUD'", "use one of"
    ),
    "level of a logger": Bad(
        ROOT_HANDLERS,
        f"{ROOT_HANDLERS}\nloggers:\n  bot:\n    level: WARNIGN",
        "17: loggers.bot.level",
        ("'WARNIGN' is no level; did you mean 'WARNING'?",),
    ),
    "class": Bad(
        "RotatingFileHandler",
        "RotatingFileHandlr",
        "8: handlers.file.class",
        (
            "chimera_log has no 'RotatingFileHandlr'; did you mean 'RotatingFileHandler'?",
        ),
    ),
    "no class": Bad(
        "    class: chimera_log.RotatingFileHandler\n",
        "",
        "7: handlers.file",
        ("class",),
    ),
    "unknown option": adding(
        FILE_NAME,
        "maxByts: 100 MB",
        "12: handlers.file.maxByts",
        "no such option; did you mean 'maxBytes'?",
    ),
    "unknown option of all handlers": Bad(
        "    formatter: json",
        "    formater: json",
        "9: handlers.file.formater",
        ("no such option; did you mean 'formatter'?",),
    ),
    "stream of a file": adding(
        FILE_NAME,
        "stream: ext://sys.stdout",
        "12: handlers.file.stream",
        "no such option",
    ),
    "missing option": Bad(
        f"{FILE_NAME}\n", "", "7: handlers.file", ("needs `filename:`; add it",)
    ),
    "size": adding(
        FILE_NAME,
        'maxBytes: "100 XB"',
        "12: handlers.file.maxBytes",
        "'100 XB' is not a size; write bytes, or a number with a unit",
    ),
    "count": adding(
        FILE_NAME,
        "backupCount: ten",
        "12: handlers.file.backupCount",
        "'ten' is not a count; write a whole number",
    ),
    "mode": adding(
        FILE_NAME,
        "mode: 640",
        "12: handlers.file.mode",
        '640 is no file mode; write "0640", in quotes',
    ),
    "delay": adding(
        FILE_NAME, "delay: false", "12: handlers.file.delay", "False", "remove delay"
    ),
    "encoding": adding(
        FILE_NAME,
        "encoding: latin-1",
        "12: handlers.file.encoding",
        "'latin-1'",
        "write utf-8, or nothing",
    ),
    "directory": Bad(
        "bot.log",
        "logs/",
        "11: handlers.file.filename",
        ("'logs/' names a directory; add a file name",),
    ),
    "unset variable": Bad(
        "bot.log",
        "${NOWHERE}/bot.log",
        "11: handlers.file.filename",
        ("NOWHERE is not set; set it, or write ${NOWHERE:-default}",),
    ),
    "line length": Bad(
        "JsonFormatter}",
        "JsonFormatter, max_line_bytes: 12}",
        "3: formatters.json.max_line_bytes",
        ("12 is too small; use at least 4096 bytes",),
    ),
    "redaction": Bad(
        "JsonFormatter}",
        "JsonFormatter, redact: {keys: pin}}",
        "3: formatters.json.redact.keys",
        ("'pin' must be a list; write [pin]",),
    ),
    "formatter's option": Bad(
        "JsonFormatter}",
        "JsonFormatter, feilds: {}}",
        "3: formatters.json.feilds",
        ("no such option; did you mean 'fields'?",),
    ),
    "events": Bad(
        "ExecutionAuditFilter}",
        "ExecutionAuditFilter, events: fill}",
        "5: filters.trail.events",
        ("'fill' must be a list; write [fill]",),
    ),
    "section": Bad(
        "formatters:\n  json: {(): chimera_log.JsonFormatter}",
        "formatters: [json]\n",
        "2: formatters",
        ("['json'] must be a mapping",),
    ),
    "handlers": Bad(
        GOOD[GOOD.index("handlers:") : GOOD.index("root:")],
        "handlers: file\n",
        "6: handlers",
        ("'file' must be a mapping",),
    ),
    "root": Bad(
        GOOD[GOOD.index("root:") :],
        "root: [file]\n",
        "12: root",
        ("['file'] must be a mapping",),
    ),
    "part": Bad(
        "{(): chimera_log.ExecutionAuditFilter}",
        "chimera_log.ExecutionAuditFilter",
        "5: filters.trail",
        ("'chimera_log.ExecutionAuditFilter' must be a mapping",),
    ),
}


class Running:
    """Logging that runs: a recorder, and a file of ours."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "running.log"
        config = recording()
        config["handlers"]["file"] = {
            "class": "chimera_log.RotatingFileHandler",
            "filename": str(self.file),
        }
        config["root"]["handlers"] = ["memory", "file"]
        init_logging(config)
        self.handlers = ours()
        self.hooks = sys.excepthook, threading.excepthook
        logging.getLogger("bot").info("before")

    def assert_untouched(self) -> None:
        """Fail unless the same handlers are there, open and writing."""
        logging.getLogger("bot").info("after")
        assert self.handlers == ours()
        assert logging.INFO == ROOT.level
        assert not of_name("memory").closed
        assert self.handlers == [
            logging._handlers[name]  # type: ignore[attr-defined]  # closing forgets it
            for name in ("memory", "file")
        ]
        assert ["before", "after"] == of_name("memory").events
        assert ["before", "after"] == self.file.read_text().split()
        assert self.hooks == (sys.excepthook, threading.excepthook)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """Logging that runs before anything else happens."""
    return Running(tmp_path)


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    """Where a test writes its configuration."""
    return tmp_path / "logging.yaml"


class TestBadOption:
    def test_good(self, yaml_file: Path) -> None:
        """
        The file in which the mistakes are made is good itself.
        """
        yaml_file.write_text(GOOD)
        init_logging(yaml_file)

        assert ["file"] == names()

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_error(self, yaml_file: Path, bad: Bad) -> None:
        """
        The error is one line: file, line, dotted key, value and remedy.
        """
        assert bad.right in GOOD
        yaml_file.write_text(GOOD.replace(bad.right, bad.wrong))
        with pytest.raises(ConfigError) as caught:
            init_logging(yaml_file)

        error = str(caught.value)
        assert [error] == error.splitlines()
        line, dotted = bad.place.split(": ")
        assert re.match(
            rf"{yaml_file}:{line}:\d+: {re.escape(dotted)}(\[0\])?: ", error
        )
        for said in bad.says:
            assert said in error

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_running(self, running: Running, yaml_file: Path, bad: Bad) -> None:
        """
        The logging that was running goes on as if nothing had happened.
        """
        yaml_file.write_text(GOOD.replace(bad.right, bad.wrong))
        with pytest.raises(ConfigError):
            init_logging(yaml_file)

        running.assert_untouched()

    def test_no_version(self, yaml_file: Path) -> None:
        """
        Without a version there is no line to point at.
        """
        yaml_file.write_text(GOOD.replace("version: 1\n", ""))
        with pytest.raises(ConfigError) as caught:
            init_logging(yaml_file)

        assert (f"{yaml_file}: version: is missing; write `version: 1`") == str(
            caught.value
        )

    def test_mapping(self) -> None:
        """
        A mapping has no lines; the dotted key says where.
        """
        config = recording()
        config["root"]["level"] = "INOF"
        with pytest.raises(ConfigError) as caught:
            init_logging(config)

        assert ("config: root.level: 'INOF' is no level; did you mean 'INFO'?") == str(
            caught.value
        )

    def test_merged_key(self, yaml_file: Path) -> None:
        """
        A mistake that YAML merges in is shown where it was written.
        """
        merged = "    <<: {maxBytes: 100 XB}\n"
        yaml_file.write_text(GOOD.replace(f"{FILE_NAME}\n", f"{FILE_NAME}\n{merged}"))
        with pytest.raises(ConfigError) as caught:
            init_logging(yaml_file)

        assert str(caught.value).startswith(
            f"{yaml_file}:12:20: handlers.file.maxBytes: "
        )

    def test_handler_that_fails(self) -> None:
        """
        A foreign class that cannot be built is told in its own words.
        """

        def fail() -> logging.Handler:
            raise RuntimeError("no\nroute")

        config = recording()
        config["handlers"]["memory"] = {"()": fail}
        with pytest.raises(ConfigError) as caught:
            init_logging(config)

        error = str(caught.value)
        assert [error] == error.splitlines()
        assert error.startswith(
            "config: handlers.memory: cannot be built: RuntimeError"
        )
        assert "route" in error

    def test_option_nobody_knows(self) -> None:
        """
        A class that does not tell its options gets no guess.
        """

        class Untold(logging.Handler):
            __signature__ = "untold"

        config = recording()
        config["handlers"]["memory"] = {"()": Untold, "colour": "red"}
        with pytest.raises(ConfigError) as caught:
            init_logging(config)

        error = str(caught.value)
        assert error.startswith("config: handlers.memory: cannot be built: TypeError: ")
        assert error.endswith("argument 'colour'; see its documentation")

    def test_handler_name(self, running: Running) -> None:
        """
        A handler is called by text; other names fail like other mistakes.
        """
        config = recording()
        config["handlers"][1] = {"class": "logging.NullHandler"}
        with pytest.raises(ConfigError, match=r"^config: handlers"):
            init_logging(config)

        running.assert_untouched()

    def test_keyword(self, running: Running) -> None:
        """
        A keyword that cannot work changes nothing either.
        """
        with pytest.raises(ConfigError):
            init_logging(recording("other"), log_level="LOUD")

        running.assert_untouched()

    @pytest.mark.parametrize(
        ("a", "b"), [("a_memory", "z_file"), ("b_memory", "a_memory"), ("c", "z_file")]
    )
    def test_handlers_in_a_circle(
        self, running: Running, yaml_file: Path, a: str, b: str
    ) -> None:
        """
        Handlers that wait for each other, or for nobody, are an error.
        """
        yaml_file.write_text(MEMORY.format(a=a, b=b, folder=yaml_file.parent))
        with pytest.raises(ConfigError) as caught:
            init_logging(yaml_file)

        assert str(caught.value).startswith(
            f"{yaml_file}:6:13: handlers.a_memory.target: "
        )
        running.assert_untouched()


def syntax(text: str) -> Callable[[Path], Any]:
    """Return what writes *text* to a file."""
    return lambda path: path.write_text(text)


BAD_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (
        lambda path: None,  # noqa: ARG005  nothing is written
        ": cannot be read: No such file or directory; name another file",
    ),
    "folder": (Path.mkdir, ": cannot be read: Is a directory; name another file"),
    "not UTF-8": (
        lambda path: path.write_bytes(b"version: 1\n# \xe4\n"),
        ": is not UTF-8 at byte 13; save it as UTF-8",
    ),
    "empty": (syntax(""), ": must be a mapping that begins with `version: 1`, not "),
    "comments": (syntax("# soon\n"), ": must be a mapping that begins with "),
    "list": (
        syntax("- version: 1\n"),
        ": must be a mapping that begins with `version: 1`, not list",
    ),
    "text": (syntax("version 1\n"), ": must be a mapping that begins with"),
    "colon": (
        syntax("version: 1\nroot: level: INFO\n"),
        ":2:12: is no YAML: mapping values are not allowed",
    ),
    "tab": (
        syntax("version: 1\nroot:\n\tlevel: INFO\n"),
        ":3:1: is no YAML: found character",
    ),
    "unclosed": (syntax("version: 1\nroot: {level: INFO\n"), ":3:1: is no YAML: "),
    "two documents": (syntax("version: 1\n---\nversion: 1\n"), ":2:1: is no YAML: "),
    "tag": (
        syntax("version: 1\nroot: !!python/object:os.system {}\n"),
        ":2:7: is no YAML: could not determine a constructor",
    ),
    "key": (syntax("version: 1\n? [a]\n: b\n"), ":2:3: is no YAML: "),
    "alias": (syntax("version: 1\nroot: *nowhere\n"), ":2:7: is no YAML: "),
    "date": (syntax("version: 1\nroot: 2025-13-01\n"), ": is no YAML: month must be"),
    "boolean": (syntax("version: 1\nroot: !!bool maybe\n"), ": is no YAML: "),
    "control character": (syntax("version: 1\n# \x07\n"), ": is no YAML: "),
    "circle": (syntax("version: 1\nroot: &a {loop: *a}\n"), ":"),
    "deep": (syntax("version: 1\nroot: " + "[" * 1_000), ":"),
}


class TestBadFile:
    @pytest.mark.parametrize("bad", BAD_FILES.values(), ids=BAD_FILES)
    def test_error(
        self, yaml_file: Path, bad: tuple[Callable[[Path], Any], str]
    ) -> None:
        """
        The error is one line: file, place and remedy.
        """
        make, said = bad
        make(yaml_file)
        with pytest.raises(ConfigError) as caught:
            init_logging(yaml_file)

        error = str(caught.value)
        assert [error] == error.splitlines()
        assert error.startswith(f"{yaml_file}{said}")

    @pytest.mark.parametrize("bad", BAD_FILES.values(), ids=BAD_FILES)
    def test_running(
        self,
        running: Running,
        yaml_file: Path,
        bad: tuple[Callable[[Path], Any], str],
    ) -> None:
        """
        The logging that was running goes on as if nothing had happened.
        """
        bad[0](yaml_file)
        with pytest.raises(ConfigError):
            init_logging(yaml_file)

        running.assert_untouched()

    @pytest.mark.parametrize("path", ["~nobody-of-that-name/logging.yaml", "a\0b"])
    def test_impossible_path(self, path: str) -> None:
        """
        A path that can name no file is an error like a missing one.
        """
        with pytest.raises(ConfigError, match="cannot be read"):
            init_logging(path)

    def test_unreadable(self, yaml_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A file that may not be read is told with the system's reason.
        """

        def refuse(*args: Any, **kwargs: Any) -> str:
            raise PermissionError(13, "Permission denied", f"{args} {kwargs}")

        monkeypatch.setattr(Path, "read_text", refuse)
        with pytest.raises(ConfigError) as caught:
            init_logging(yaml_file)

        assert (
            f"{yaml_file}: cannot be read: Permission denied; name another file with "
            "the argument `config` or with CHIMERA_LOG_CONFIG"
        ) == str(caught.value)

    def test_error_without_a_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where YAML itself knows no place, the file is named alone.
        """

        def fail(loader: yaml.SafeLoader) -> None:
            raise yaml.MarkedYAMLError(problem=f"odd {type(loader).__name__}")

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        monkeypatch.setattr(loader, "get_single_node", fail)
        with pytest.raises(ConfigError, match=r"^a\.yaml: is no YAML: odd C?SafeLoad"):
            reading.parse("version: 1", "a.yaml")


class TestCaptureWarnings:
    @pytest.fixture(autouse=True)
    def _shown(self) -> Iterator[None]:
        """Show each warning, where pytest would raise it."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            yield

    def test_on(self) -> None:
        """
        Warnings go to the logger ``py.warnings``.
        """
        init_logging(recording())
        warnings.warn("old option", stacklevel=1)

        (record,) = of_name("memory").records
        assert ("py.warnings", "WARNING") == (record.name, record.levelname)
        assert "UserWarning: old option" in record.getMessage()

    def test_off(self) -> None:
        """
        Turned off, they go where they went before.
        """
        init_logging(recording())
        init_logging(recording(), capture_warnings=False)
        with pytest.warns(UserWarning, match="old option"):
            warnings.warn("old option", stacklevel=1)

        assert [] == of_name("memory").records

    def test_disabled_loggers(self) -> None:
        """
        A file that disables older loggers, as is dictConfig's default, does not
        silence what `init_logging` was asked for.
        """
        logging.getLogger("py.warnings")
        config = recording()
        del config["disable_existing_loggers"]
        init_logging(config)
        warnings.warn("old option", stacklevel=1)

        assert 1 == len(of_name("memory").records)


def raised(kind: type[BaseException] = ValueError) -> BaseException:
    """Return an exception that was raised, with its trace."""
    try:
        raise kind("broken")
    except BaseException as error:
        return error


class Uncaught:
    """Stands where Python reports what nobody caught."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reported: list[Any] = []
        monkeypatch.setattr(sys, "excepthook", self.main)
        monkeypatch.setattr(threading, "excepthook", self.thread)

    def main(self, kind: Any, error: Any, trace: Any) -> None:
        """Report as `sys.excepthook` does."""
        self.reported.append((kind, error, trace))

    def thread(self, args: Any) -> None:
        """Report as `threading.excepthook` does."""
        self.reported.append(args.exc_value)


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> Uncaught:
    """What Python itself would report, instead of printing it."""
    return Uncaught(monkeypatch)


def end_program(error: BaseException) -> None:
    """Do what Python does at the end of a program that failed."""
    sys.excepthook(type(error), error, error.__traceback__)


def run_thread(work: Callable[[], None]) -> None:
    """Run *work* in a thread called ``bot-1``."""
    thread = threading.Thread(target=work, name="bot-1")
    thread.start()
    thread.join()


def fail(kind: type[BaseException] = ValueError) -> None:
    """Fail."""
    raise kind("broken")


class TestUncaughtExceptions:
    def test_main(self, python: Uncaught) -> None:
        """
        What ends the program is logged, and Python reports it as ever.
        """
        init_logging(recording())
        error = raised()
        end_program(error)

        (record,) = of_name("memory").records
        assert ("uncaught", "CRITICAL", "uncaught_exception") == (
            record.name,
            record.levelname,
            record.getMessage(),
        )
        assert (ValueError, error, error.__traceback__) == record.exc_info
        assert [(ValueError, error, error.__traceback__)] == python.reported

    def test_interrupt(self, python: Uncaught) -> None:
        """
        An operator's Ctrl-C is a decision, not a failure.
        """
        init_logging(recording())
        end_program(raised(KeyboardInterrupt))

        assert [] == of_name("memory").records
        assert 1 == len(python.reported)

    def test_thread(self, python: Uncaught) -> None:
        """
        What ends a thread is logged with the thread's name.
        """
        init_logging(recording())
        run_thread(fail)

        (record,) = of_name("memory").records
        assert {"thread": "bot-1"} == record.__dict__["context"]
        assert record.exc_info is not None
        assert record.exc_info[1:2] == tuple(python.reported)

    def test_thread_exits(self, python: Uncaught) -> None:
        """
        A thread that ends itself is no failure.
        """
        init_logging(recording())
        run_thread(sys.exit)

        assert [] == of_name("memory").records
        assert 1 == len(python.reported)

    def test_no_thread(self, python: Uncaught) -> None:
        """
        A thread that is gone already has no name.
        """
        init_logging(recording())
        error = raised()
        threading.excepthook(
            threading.ExceptHookArgs([ValueError, error, error.__traceback__, None])
        )

        (record,) = of_name("memory").records
        assert {"thread": None} == record.__dict__["context"]
        assert [error] == python.reported

    def test_asyncio(self) -> None:
        """
        What a task or callback raises is told by asyncio's own logger.
        """
        init_logging(recording())
        loop = asyncio.new_event_loop()
        loop.call_soon(fail)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()

        (record,) = [r for r in of_name("memory").records if r.name == "asyncio"]
        assert record.exc_info is not None
        assert record.exc_info[0] is ValueError

    def test_twice(self, python: Uncaught) -> None:
        """
        Asked for twice, it logs once.
        """
        for _ in range(2):
            init_logging(recording())
        end_program(raised())
        run_thread(fail)

        assert ["uncaught_exception"] * 2 == of_name("memory").events
        assert 2 == len(python.reported)

    @pytest.mark.usefixtures("python")
    def test_wrapped_between(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Somebody who hooks in between two installs is called, and we log once.
        """
        called: list[str] = []
        init_logging(recording())
        ours, thread = sys.excepthook, threading.excepthook

        def main_wrapped(kind: Any, error: Any, trace: Any) -> None:
            called.append("main")
            ours(kind, error, trace)

        def thread_wrapped(args: Any) -> None:
            called.append("thread")
            thread(args)

        monkeypatch.setattr(sys, "excepthook", main_wrapped)
        monkeypatch.setattr(threading, "excepthook", thread_wrapped)
        init_logging(recording())
        end_program(raised())
        run_thread(fail)

        assert ["uncaught_exception"] * 2 == of_name("memory").events
        assert ["main", "thread"] == called

    def test_off(self, python: Uncaught) -> None:
        """
        Turned off, Python's own hooks are back.
        """
        init_logging(recording())
        init_logging(recording(), uncaught_exceptions=False)

        assert (python.main, python.thread) == (sys.excepthook, threading.excepthook)

    @pytest.mark.usefixtures("python")
    def test_off_below_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Somebody who hooked in since keeps the place.
        """

        def theirs(*args: Any) -> None:
            raise AssertionError(args)

        init_logging(recording())
        monkeypatch.setattr(sys, "excepthook", theirs)
        monkeypatch.setattr(threading, "excepthook", theirs)
        hooks.remove()

        assert (theirs, theirs) == (sys.excepthook, threading.excepthook)

    def test_handler_fails(self, python: Uncaught) -> None:
        """
        A foreign handler that raises does not keep Python from reporting.
        """

        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise RuntimeError(record.getMessage())

        config = recording()
        config["handlers"]["memory"] = {"()": Broken}
        init_logging(config)
        end_program(raised())
        end_program(raised())

        assert 2 == len(python.reported)

    @pytest.mark.usefixtures("python")
    def test_disabled_loggers(self) -> None:
        """
        A file that disables older loggers, as is dictConfig's default, does not
        silence what `init_logging` was asked for.
        """
        config = recording()
        del config["disable_existing_loggers"]
        init_logging(config)
        end_program(raised())

        assert ["uncaught_exception"] == of_name("memory").events

    def test_real_program(self, tmp_path: Path) -> None:
        """
        A program that fails prints its trace, exits with 1, and has logged it.
        """
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import chimera_log\nchimera_log.init_logging(log_dir={str(tmp_path)!r})\n"
                "raise ValueError('broken')",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(chimera_log.__file__).parents[1]),
            },
        )

        assert 1 == done.returncode
        assert done.stderr.startswith("Traceback (most recent call last):")
        (line,) = (tmp_path / "chimera.log").read_text().splitlines()
        assert "uncaught" == json.loads(line)["module"]
        assert "broken" == json.loads(line)["exception"]["message"]


USAGE = """
from pathlib import Path
from chimera_log import init_logging, get_logger

# Initialize at startup
init_logging(
    log_dir=Path("logs"),
    log_level="INFO",
    enable_cloudwatch=True
)

# Get module-specific logger
logger = get_logger("state_engine")

# Log events
logger.info(
    "websocket_connected",
    context={"provider": "alchemy"}
)

# Log errors with stack traces
try:
    # some operation
    {operation}
except Exception as e:
    logger.error(
        "operation_failed",
        context={"error": str(e)},
        exc_info=True
    )
"""

INTEGRATION = """
from config import get_config
from chimera_log import init_logging

config = get_config()
init_logging(
    enable_cloudwatch=config.monitoring.cloudwatch_enabled,
    cloudwatch_region=config.monitoring.cloudwatch_region,
    cloudwatch_log_group=config.monitoring.cloudwatch_namespace
)
"""


class TestExamples:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run in a folder of its own."""
        monkeypatch.chdir(tmp_path)

    def test_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The bot's usage example runs as it was written, without CloudWatch too.
        """
        exec(USAGE.replace("{operation}", "pass"), {})  # noqa: S102  an example is code
        for handler in logging.getLogger().handlers:
            handler.flush()  # a thread writes to the console

        lines = Path("logs/chimera.log").read_text().splitlines()
        # Once the sending has failed, a line of ours may tell of it.
        (line,) = [each for each in lines if '"module":"chimera_log' not in each]
        logged = json.loads(line)
        assert logged.pop("timestamp").endswith("Z")
        assert {
            "level": "INFO",
            "module": "state_engine",
            "event": "websocket_connected",
            "context": {"provider": "alchemy"},
        } == logged
        printed, said = capsys.readouterr()
        assert line == printed.splitlines()[0]
        logging.getLogger().handlers[-1].flush()
        assert "CloudWatch Logs, Chimera: " in said + capsys.readouterr().err

    def test_usage_fails(self) -> None:
        """
        Where its operation fails, the error has its stack trace.
        """
        exec(USAGE.replace("{operation}", "1 / 0"), {})  # noqa: S102  an example is code

        logged = json.loads(Path("logs/chimera.log").read_text().splitlines()[1])
        assert ("ERROR", {"error": "division by zero"}) == (
            logged["level"],
            logged["context"],
        )
        assert "ZeroDivisionError" in logged["exception"]["stacktrace"]

    @pytest.mark.parametrize("enabled", [True, False])
    def test_integration(self, monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
        """
        So does the one that takes its values from the bot's configuration.
        """
        monitoring = types.SimpleNamespace(
            cloudwatch_enabled=enabled,
            cloudwatch_region="eu-central-1",
            cloudwatch_namespace="Chimera",
        )
        stub: Any = types.ModuleType("config")
        stub.get_config = lambda: types.SimpleNamespace(monitoring=monitoring)
        monkeypatch.setitem(sys.modules, "config", stub)
        Path("logging.yaml").write_text(
            "version: 1\nhandlers:\n  memory: {(): tests.test_config.Recorder}\n"
            "  cloudwatch: {(): tests.test_config.Recorder, region_name: us-east-1}\n"
            "root: {level: INFO, handlers: [memory]}\n"
        )
        exec(INTEGRATION, {})  # noqa: S102  an example is code

        assert ["memory", "cloudwatch"][: 1 + enabled] == names()
        if enabled:
            assert {
                "region_name": "eu-central-1",
                "log_group_name": "Chimera",
            } == of_name("cloudwatch").options


class TestBuilding:
    def test_opens_no_file(self, tmp_path: Path) -> None:
        """
        A refused configuration has emptied no file, not even one of mode w.
        """
        path = tmp_path / "plain.log"
        path.write_text("what ran\n")
        handler = {"class": "logging.FileHandler", "filename": str(path), "mode": "w"}
        document: dict[str, Any] = {
            "version": 1,
            "handlers": {"plain": handler, "wrong": {"class": "logging.NoHandler"}},
        }
        with pytest.raises(ConfigError):
            init_logging(document)

        assert "what ran\n" == path.read_text()

    @pytest.mark.parametrize("given", [lambda _: True, logging.Filter("bot")])
    def test_filter_itself(self, given: Any) -> None:
        """
        Since Python 3.11 a program may give a filter; before, it is told so.
        """
        config = recording()
        config["handlers"]["memory"]["filters"] = [given]
        if sys.version_info < (3, 11):
            with pytest.raises(ConfigError, match="no filter is called"):
                init_logging(config)
        else:
            init_logging(config)

            assert [given] == logging.getLogger().handlers[-1].filters


class TestKeywords:
    @pytest.mark.parametrize(
        ("keywords", "said"),
        [
            ({"log_dir": 5}, "log_dir: 5 is no path"),
            ({"config": 5}, "config: 5 is no path"),
            ({"enable_cloudwatch": "false"}, "enable_cloudwatch: 'false'"),
            ({"capture_warnings": "no"}, "capture_warnings: 'no'"),
            ({"uncaught_exceptions": 0}, "uncaught_exceptions: 0"),
        ],
    )
    def test_wrong_type(
        self, running: Running, keywords: dict[str, Any], said: str
    ) -> None:
        """
        A keyword of the wrong type is an error, and nothing is touched.
        """
        with pytest.raises(ConfigError, match=said):
            init_logging(**keywords)

        running.assert_untouched()

    def test_two_files_would_become_one(self, tmp_path: Path) -> None:
        """
        ``log_dir`` does not pour two files into one.
        """
        config: dict[str, Any] = {
            "version": 1,
            "handlers": {
                name: {
                    "class": "chimera_log.RotatingFileHandler",
                    "filename": f"/{name}/bot.log",
                }
                for name in ("a", "b")
            },
        }
        with pytest.raises(ConfigError, match=r"would make '/b/bot\.log'"):
            init_logging(config, log_dir=tmp_path)

    @pytest.mark.parametrize(
        ("section", "name"),
        [("formatters", "JsonFormatter"), ("filters", "ExecutionAuditFilter")],
    )
    def test_class_instead_of_parentheses(self, section: str, name: str) -> None:
        """
        Under ``class:`` dictConfig would ignore a formatter or filter of ours.
        """
        config = {"version": 1, section: {"it": {"class": f"chimera_log.{name}"}}}
        with pytest.raises(ConfigError, match=rf"{section}.it.class: .* write `\(\):`"):
            init_logging(config)

    def test_directory_that_cannot_be_searched(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where the current directory tells nothing, the packaged file is read.
        """

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "stat", refuse)

        assert sources.PACKAGED == sources.find(None)
