"""
What programs and libraries make of a configuration that nobody expects.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from chimera_log.config.check import aws, costs, places, routes, trails, traps
from chimera_log.config.document import Document
from tests.checks import contents, said


@given(contents)
def test_any_document(content: dict[object, object]) -> None:
    """
    Whatever a document holds, none of these checks raises.
    """
    document = Document(content, "config")  # type: ignore[arg-type]
    looks = (traps, routes, trails, places, aws, costs)

    for look in looks:
        for finding in look.findings(document):
            assert finding.text
            assert "config" == finding.place.source


class TestSections:
    def test_missing(self) -> None:
        """
        What a program or Python makes of a section that is missing is said.
        """
        expected = [
            "logging.yaml: warning disable_existing_loggers: is missing, and true "
            "without being written: loggers made before, as modules do when they are "
            "imported, fall silent; write `disable_existing_loggers: false`",
            "logging.yaml: warning loggers: is missing, and gunicorn does not start "
            "without it; write `loggers: {}`",
        ]

        assert expected == said(traps.findings, "version: 1")

    def test_written(self) -> None:
        """
        Whoever wrote true may not know what it does; the place is the value's.
        """
        (found,) = said(
            traps.findings, "{version: 1, disable_existing_loggers: true, loggers: {}}"
        )

        assert (
            "logging.yaml:1:40: warning disable_existing_loggers: is true: loggers made "
            "before, as modules do when they are imported, fall silent; write "
            "`disable_existing_loggers: false`" == found
        )

    def test_levels_only(self) -> None:
        """
        An incremental configuration changes levels, and has no such traps.
        """
        text = """
            version: 1
            incremental: true
            handlers: {a: {level: INFO}, b: {class: chimera_log.AuditFileHandler}}
        """

        for look in (traps, routes, trails):
            assert [] == said(look.findings, text)


class TestFilterOnLogger:
    def test_ours(self) -> None:
        """
        On a logger, the root too, a filter does not see what its children log.
        """
        text = """
            version: 1
            disable_existing_loggers: false
            filters:
              any: {name: bot}
              trail: {(): chimera_log.ExecutionAuditFilter}
            loggers:
              bot: {filters: [any, trail]}
            root:
              filters: [trail]
        """
        what = (
            "filter 'trail' sees no record of this logger's children here; list it in "
            "the filters of a handler"
        )

        assert [
            f"logging.yaml:7:24: warning loggers.bot.filters[1]: {what}",
            f"logging.yaml:9:13: warning root.filters[0]: {what}",
        ] == said(traps.findings, text)


class TestSharedFile:
    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            (
                "logging.handlers.RotatingFileHandler",
                "logging.handlers.RotatingFileHandler",
                "error handlers.b.filename: handler 'a' writes '/tmp/x.log' too, and "
                "each would rotate it under the other; let one handler write it",
            ),
            (
                "logging.FileHandler",
                "chimera_log.RotatingFileHandler",
                "error handlers.b.filename: handler 'a' writes '/tmp/x.log' too, and "
                "each would rotate it under the other; let one handler write it",
            ),
            (
                "logging.FileHandler",
                "logging.handlers.WatchedFileHandler",
                "warning handlers.b.filename: handler 'a' writes '/tmp/x.log' too, each "
                "with a lock of its own; let one handler write it",
            ),
            (
                "chimera_log.RotatingFileHandler",
                "chimera_log.AuditFileHandler",
                "error handlers.b.filename: handler 'a' writes '/tmp/x.log' too, whose "
                "lines would break the audit trail; name another file",
            ),
        ],
    )
    def test_classes(self, first: str, second: str, expected: str) -> None:
        """
        Only handlers of one class of ours can share a file.
        """
        text = f"""
            version: 1
            disable_existing_loggers: false
            loggers: {{}}
            handlers:
              a: {{class: {first}, formatter: f, filename: /tmp/x.log}}
              b: {{class: {second}, formatter: f,
                  filename: /tmp/../tmp/x.log}}
        """

        assert [f"logging.yaml:7:17: {expected}"] == said(traps.findings, text)

    def test_options(self) -> None:
        """
        Handlers of ours share a file and its options, so those have to be the same.
        """
        text = """
            version: 1
            disable_existing_loggers: false
            loggers: {}
            handlers:
              a:
                class: chimera_log.RotatingFileHandler
                formatter: f
                filename: ${DIR:-/tmp}/x.log
                level: INFO
                maxBytes: 100 MB
              b:
                class: chimera_log.RotatingFileHandler
                formatter: g
                filename: /tmp/x.log
                maxBytes: 1 MB
                backupCount: 3
        """

        assert [
            "logging.yaml:14:15: warning handlers.b.filename: handler 'a' writes "
            "'/tmp/x.log' too, and the options of one will hold for both; write the same "
            "backupCount and maxBytes in both"
        ] == said(traps.findings, text)

    def test_harmless(self) -> None:
        """
        The same options, other files, the console and unknown names are none.
        """
        text = """
            version: 1
            disable_existing_loggers: false
            loggers: {}
            handlers:
              a: {class: chimera_log.RotatingFileHandler, formatter: f, filename: x}
              b: {class: chimera_log.RotatingFileHandler, formatter: g, filename: ./x}
              c: {class: logging.FileHandler, filename: /dev/stdout}
              d: {class: logging.handlers.RotatingFileHandler, filename: /dev/stdout}
              e: {class: logging.FileHandler, filename: "${NOT_SET}/x"}
              f: {class: logging.FileHandler, filename: "${NOT_SET}/x"}
              g: {class: logging.FileHandler, filename: ~/z}
              h: {class: chimera_log.RotatingFileHandler, formatter: f, filename: ~/z}
        """

        assert [] == said(traps.findings, text)


class TestDebugInCloudwatch:
    def text(self, root: str, loggers: str, handler: str = "") -> str:
        """A configuration with a CloudWatch handler on the root."""
        return f"""
            version: 1
            disable_existing_loggers: false
            handlers:
              cloud: {{class: chimera_log.CloudWatchHandler, formatter: f{handler}}}
            loggers: {loggers}
            root: {{level: {root}, handlers: [cloud]}}
        """

    def test_root(self) -> None:
        """
        The root's DEBUG is theirs, too.
        """
        assert [
            "logging.yaml:6:15: warning root.level: handler 'cloud' sends what botocore "
            "and urllib3 log of each request at DEBUG, signatures too; under loggers, "
            "set their level to WARNING"
        ] == said(traps.findings, self.text("DEBUG", "{}"))

    def test_logger(self) -> None:
        """
        So is one of their own.
        """
        assert [
            "logging.yaml:5:28: warning loggers.urllib3.level: handler 'cloud' sends "
            "what urllib3 log of each request at DEBUG, signatures too; under loggers, "
            "set their level to WARNING"
        ] == said(traps.findings, self.text("INFO", "{urllib3: {level: DEBUG}}"))

    @pytest.mark.parametrize(
        ("loggers", "handler"),
        [
            ("{botocore: {level: INFO}, urllib3: {level: 20}}", ""),
            ("{botocore: {propagate: false}, urllib3: {propagate: false}}", ""),
            ("{}", ", level: INFO"),
        ],
    )
    def test_kept_away(self, loggers: str, handler: str) -> None:
        """
        A level on either side or `propagate` keeps them away.
        """
        assert [] == said(traps.findings, self.text("DEBUG", loggers, handler))


class TestBareMessages:
    @pytest.mark.parametrize(
        "kind", ["StreamHandler", "RotatingFileHandler", "CloudWatchHandler"]
    )
    def test_missing(self, kind: str) -> None:
        """
        Without a formatter, lines of ours would be bare messages.
        """
        text = f"""
            version: 1
            disable_existing_loggers: false
            loggers: {{}}
            handlers:
              mine: {{class: chimera_log.{kind}}}
        """

        assert [
            "logging.yaml:5:3: warning handlers.mine: has no formatter, so a line is the "
            "bare message without time and level; add `formatter:`, the name of a "
            "chimera_log.JsonFormatter"
        ] == said(traps.findings, text)

    def test_trail(self) -> None:
        """
        A trail has one of its own.
        """
        text = """
            version: 1
            disable_existing_loggers: false
            loggers: {}
            handlers:
              trail: {class: chimera_log.AuditFileHandler, filename: x}
        """

        assert [] == said(traps.findings, text)


class TestIdleQueue:
    def test_listener(self) -> None:
        """
        Python makes the queue's listener, and starts it for nobody.
        """
        text = """
            version: 1
            disable_existing_loggers: false
            loggers: {}
            handlers:
              console: {class: logging.StreamHandler}
              queue: {class: logging.handlers.QueueHandler, handlers: [console]}
              own: {class: logging.handlers.QueueHandler, queue: ext://bot.queue}
              started:
                class: logging.handlers.QueueHandler
                handlers: [console]
                listener: bot.SelfStartingListener
        """

        assert [
            "logging.yaml:6:3: warning handlers.queue: what it gets waits in its queue "
            "until the program calls `logging.getHandlerByName('queue')."
            "listener.start()`; do that, or list its handlers in its place"
        ] == said(traps.findings, text)
