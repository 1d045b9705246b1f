"""
Which handlers the records of each logger come to, and whether they come twice.
"""

from __future__ import annotations

import pytest

from chimera_log.config.check import routes, trails
from tests.checks import said


class TestTwice:
    @pytest.mark.parametrize(
        ("logger", "root"),
        [
            ("x: {}", "root: {handlers: [console]}"),
            ("root: {handlers: [console]}", ""),
            ("'': {handlers: [console]}", ""),
        ],
    )
    def test_ancestor(self, logger: str, root: str) -> None:
        """
        A handler on a logger and on the root gets each record from both.

        The root is also what is called so, or "", under `loggers`.
        """
        text = f"""
            handlers: {{console: {{class: logging.StreamHandler}}}}
            loggers:
              bot.rpc:
                handlers: [console]
              {logger}
            {root}
        """

        assert [
            "logging.yaml:4:16: warning loggers.bot.rpc.handlers[0]: handler 'console' "
            "is also on the root, and writes each record twice; remove it here, or "
            "write `propagate: false`"
        ] == said(routes.findings, text)

    def test_parent(self) -> None:
        """
        The logger above is named, however many are between that are not written.
        """
        text = """
            handlers: {console: {class: logging.StreamHandler}}
            loggers:
              bot: {handlers: [console], propagate: false}
              bot.rpc.http: {level: DEBUG, handlers: [console]}
            root: {handlers: [console]}
        """

        (found,) = said(routes.findings, text)

        assert found.startswith(
            "logging.yaml:4:43: warning loggers.bot.rpc.http.handlers[0]: handler "
            "'console' is also on 'bot', and"
        )

    def test_once(self) -> None:
        """
        `propagate: false`, here or between, keeps a record from coming twice.
        """
        text = """
            handlers:
              console: {class: logging.StreamHandler}
              other: {class: logging.StreamHandler}
            loggers:
              uvicorn: {handlers: [console], propagate: false}
              uvicorn.error: {level: INFO, handlers: [other]}
              root: {handlers: [other]}
            root: {handlers: [console]}
        """

        assert [] == said(routes.findings, text)

    @pytest.mark.parametrize(
        "option", ["target: file", "handlers: [file]", "target: cfg://handlers.file"]
    )
    def test_target(self, option: str) -> None:
        """
        A handler behind another one, and attached itself, writes twice as well.
        """
        text = f"""
            handlers:
              file: {{class: logging.StreamHandler}}
              before: {{class: logging.handlers.MemoryHandler, {option}}}
            loggers:
              bot: {{handlers: [before]}}
            root:
              handlers: [file]
        """

        assert [
            "logging.yaml:7:14: warning root.handlers[0]: handler 'file' also gets each "
            "record from handler 'before', and writes it twice; remove it here"
        ] == said(routes.findings, text)


class TestNowhere:
    @pytest.mark.parametrize("listed", ["console", "[consol]", "[[console]]", "5"])
    def test_garbled(self, listed: str) -> None:
        """
        Where a list is wrong, nobody knows which handlers it leaves out.
        """
        text = f"""
            handlers:
              console: {{class: logging.StreamHandler}}
            root: {{handlers: {listed}}}
        """

        assert [] == said(routes.findings, text)

    def test_unattached(self) -> None:
        """
        A handler that nobody lists gets nothing; its name is where that is said.
        """
        text = """
            handlers:
              console: {class: logging.StreamHandler}
              other: {class: logging.StreamHandler, formatter: other}
        """

        what = (
            "no logger and no handler lists it, so it gets no record; list it under "
            "root.handlers, or remove it"
        )
        assert [
            f"logging.yaml:2:3: warning handlers.console: {what}",
            f"logging.yaml:3:3: warning handlers.other: {what}",
        ] == said(routes.findings, text)

    def test_attached(self) -> None:
        """
        Whatever may hand records to a handler is believed to do so.
        """
        text = """
            filters: {copy: {(): bot.Copy, sinks: {all: [by_filter]}}}
            handlers:
              on_root: {class: logging.StreamHandler}
              on_logger: {class: logging.StreamHandler}
              target: {class: logging.StreamHandler}
              by_filter: {class: logging.StreamHandler}
              looked_up: {class: logging.StreamHandler}
              cloudwatch: {class: chimera_log.CloudWatchHandler}
              memory: {class: logging.handlers.MemoryHandler, target: target}
              own: {(): bot.Own, sink: cfg://handlers.looked_up}
            loggers: {bot: {handlers: [on_logger]}}
            root: {handlers: [on_root, memory, own]}
        """

        assert [] == said(routes.findings, text)

    def test_registry(self) -> None:
        """
        Who is given all handlers may use any.
        """
        text = """
            handlers:
              console: {class: logging.StreamHandler}
              own: {(): bot.Own, registry: cfg://handlers}
            root: {handlers: [own]}
        """

        assert [] == said(routes.findings, text)


def trail(rest: str, option: str = "filters: [executions]") -> str:
    """Return a configuration with a trail."""
    return f"""
filters: {{executions: {{(): chimera_log.ExecutionAuditFilter}}}}
handlers:
  trail:
    class: chimera_log.AuditFileHandler
    filename: executions.log
    {option}
{rest}
"""


class TestTrail:
    @pytest.mark.parametrize(
        ("rest", "place"),
        [
            ("root:\n  level: ERROR\n  handlers: [trail]", "8:10: warning root.level"),
            (
                "loggers:\n  executions: {level: ERROR, handlers: [trail]}",
                "8:23: warning loggers.executions.level",
            ),
            (
                "loggers:\n  executions: {level: ERROR}\nroot: {handlers: [trail]}",
                "8:23: warning loggers.executions.level",
            ),
        ],
    )
    def test_level(self, rest: str, place: str) -> None:
        """
        The level that decides must let INFO pass; it is named.
        """
        assert [
            f"logging.yaml:{place}: execution records are INFO, and ERROR keeps them out "
            "of the trail 'trail'; add `executions: {level: INFO}` under loggers"
        ] == said(trails.findings, trail(rest))

    def test_no_level(self) -> None:
        """
        Where none is written, the root's own decides, which is WARNING.
        """
        assert [
            "logging.yaml:7:1: warning root.level: execution records are INFO, and "
            "WARNING keeps them out of the trail 'trail'; add `executions: {level: INFO}` "
            "under loggers"
        ] == said(trails.findings, trail("root: {handlers: [trail]}"))

    def test_of_handler(self) -> None:
        """
        The handler's own level counts, whatever logger it is on.
        """
        text = trail(
            "loggers: {bot: {handlers: [trail]}}",
            "level: WARNING",
        )

        assert [
            "logging.yaml:6:12: warning handlers.trail.level: WARNING keeps execution "
            "records, which are INFO, out of the trail; remove it, or write INFO"
        ] == said(trails.findings, text)

    def test_propagate(self) -> None:
        """
        A logger that keeps its records for itself keeps them from the root's trail.
        """
        text = trail(
            "loggers: {executions: {level: INFO, propagate: false}}\n"
            "root: {level: INFO, handlers: [trail]}"
        )

        assert [
            "logging.yaml:7:48: warning loggers.executions.propagate: keeps execution "
            "records from the root, where the trail 'trail' is; add 'trail' to the "
            "handlers of 'executions', or remove this"
        ] == said(trails.findings, text)

    def test_plain_file(self) -> None:
        """
        Any handler with the filter is a trail, as far as that.
        """
        text = trail("root: {level: 30, handlers: [trail]}").replace(
            "chimera_log.AuditFileHandler", "logging.FileHandler"
        )

        (found,) = said(trails.findings, text)

        assert "INFO, and WARNING keeps them out" in found

    @pytest.mark.parametrize(
        "rest",
        [
            "loggers: {executions: {level: INFO}}\nroot: {handlers: [trail]}",
            "loggers: {executions: {level: DEBUG, handlers: [trail], propagate: false}}",
            "loggers: {bot.orders: {level: ERROR, handlers: [trail]}}",
            "# on no logger",
        ],
    )
    def test_complete(self, rest: str) -> None:
        """
        A trail that gets the records, or is meant for others, is none to warn of.
        """
        assert [] == said(trails.findings, trail(rest))

    def test_other_events(self) -> None:
        """
        Nor is one whose filter takes other events.
        """
        text = trail("root: {handlers: [trail]}").replace(
            "ExecutionAuditFilter", "ExecutionAuditFilter, events: [order_placed]"
        )

        assert [] == said(trails.findings, text)

    def test_everything(self) -> None:
        """
        Without a filter on the root's trail, every record is evidence for years.
        """
        text = trail("root: {level: INFO, handlers: [trail]}", "maxBytes: 1 MB")

        assert [
            "logging.yaml:3:3: warning handlers.trail: keeps every record of the service "
            "for years, not executions alone; give it a chimera_log.ExecutionAuditFilter "
            "under filters"
        ] == said(trails.findings, text)

    def test_floor(self) -> None:
        """
        Less than three years is less than most rules of record keeping.
        """
        text = trail("", "retention_floor_days: 365")

        assert [
            "logging.yaml:6:27: warning handlers.trail.retention_floor_days: 365 days "
            "let `chimera-log prune` delete evidence that is younger than three years; "
            "write 1096, unless no rule asks for so long"
        ] == said(trails.findings, text)

    @pytest.mark.parametrize("days", ["1096", "3653", "many", "true"])
    def test_long_floor(self, days: str) -> None:
        """
        As much or more is fine, and nonsense is said elsewhere.
        """
        assert [] == said(trails.findings, trail("", f"retention_floor_days: {days}"))
