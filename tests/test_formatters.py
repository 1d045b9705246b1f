"""
`JsonFormatter` fits wherever `logging` takes a formatter, and checks its options.
"""

from __future__ import annotations

import copy
import io
import logging
import logging.config
import logging.handlers
import queue
import threading
import warnings
from typing import Any

import pytest
from hypothesis import given

from chimera_log import ConfigError, JsonFormatter, bound_context
from tests.conftest import record
from tests.test_values import ANY_TEXT, ANYTHING, strict


def configured(**options: Any) -> logging.Formatter:
    """Return the formatter that dictConfig makes of *options*."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "chimera_log.JsonFormatter", **options}},
            "handlers": {
                "console": {"class": "logging.StreamHandler", "formatter": "json"}
            },
            "loggers": {"configured": {"handlers": ["console"]}},
        }
    )
    formatter = logging.getLogger("configured").handlers[0].formatter
    assert isinstance(formatter, JsonFormatter)
    return formatter


class TestFormat:
    def test_text(self) -> None:
        """
        A record becomes text without a line feed, as handlers expect it.
        """
        line = JsonFormatter().format(record("hello"))

        assert "hello" == strict(line)["event"]
        assert not line.endswith("\n")

    def test_bytes(self) -> None:
        """
        The bytes that are written are the same line with its line feed.
        """
        formatter, made = JsonFormatter(), record("é\ud800\u2028")

        assert f"{formatter.format(made)}\n".encode() == formatter.format_bytes(made)

    @given(ANYTHING, ANY_TEXT)
    def test_record_is_unchanged(self, value: Any, text: str) -> None:
        """
        Formatting leaves no trace on a record, and none on what it holds.
        """
        made = record(text, context={"a": value}, extra=value, stack_info=text)
        made.exc_info = (ValueError, ValueError(text), None)
        before = dict(vars(made))
        JsonFormatter(max_line_bytes=4_096).format_bytes(made)

        assert list(before) == list(vars(made))
        assert [] == [name for name in before if before[name] is not vars(made)[name]]

    def test_nested_objects_are_unchanged(self) -> None:
        """
        The caller's containers are equal before and after.
        """
        context = {
            "password": "x",
            "list": [{"api_key": "y"}, float("nan")],
            "url": "https://a:b@c",
        }
        kept = copy.deepcopy(context)
        JsonFormatter().format(record(context=context, args=("a",)))

        assert repr(kept) == repr(context)

    def test_changed_later(self) -> None:
        """
        What the caller does to its context afterwards cannot change the line.
        """
        context: dict[str, Any] = {"a": [1]}
        line = JsonFormatter().format(record(context=context))
        context["a"].append(2)

        assert {"a": [1]} == strict(line)["context"]

    def test_next_formatter_sees_the_same(self) -> None:
        """
        A stdlib formatter after ours prints what it would have printed before.
        """
        made = record("%s", "x", exc_info=(ValueError, ValueError("bad"), None))
        expected = logging.Formatter("%(message)s").format(copy.copy(made))
        JsonFormatter().format(made)

        assert expected == logging.Formatter("%(message)s").format(made)

    def test_after_another_formatter(self) -> None:
        """
        What a stdlib formatter leaves on a record is not taken for context.
        """
        made = record("hello", exc_info=(ValueError, ValueError("bad"), None))
        expected = JsonFormatter().format(made)
        logging.Formatter("%(asctime)s %(message)s").format(made)

        assert expected == JsonFormatter().format(made)

    def test_same_line_every_time(self) -> None:
        """
        A formatter keeps nothing of a record.
        """
        formatter = JsonFormatter()
        first = formatter.format(record("a", created=1.5, context={"a": 1}))
        formatter.format(record("b" * 9_000, created=2.5, exc_text="x"))

        assert first == formatter.format(record("a", created=1.5, context={"a": 1}))

    def test_shared_by_threads(self) -> None:
        """
        Threads that share a formatter get their own lines.
        """
        formatter, wrong = JsonFormatter(max_line_bytes=4_096), list[Any]()

        def work(number: int) -> None:
            with bound_context(thread=number):
                for count in range(100):
                    made = record(
                        "x" * (count * 90), name=f"n{number}", context={"c": count}
                    )
                    shown = strict(formatter.format(made))
                    if (f"n{number}", {"thread": number, "c": count}) != (
                        shown["module"],
                        shown["context"],
                    ):
                        wrong.append(shown)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [] == wrong


class TestLogger:
    def log(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what a real logger writes of one call."""
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonFormatter())
        logger = logging.getLogger("formatted")
        logger.propagate = False
        logger.addHandler(handler)
        try:
            logger.error(*args, **kwargs)
        finally:
            logger.removeHandler(handler)
            logger.propagate = True
        (line,) = stream.getvalue().splitlines()
        shown = strict(line)
        assert isinstance(shown, dict)
        return shown

    def test_fields(self) -> None:
        """
        A call gives level, logger, message and context.
        """
        shown = self.log("filled %s", "ETH", extra={"context": {"n": 1}})

        assert ("ERROR", "formatted", "filled ETH", {"n": 1}) == (
            shown["level"],
            shown["module"],
            shown["event"],
            shown["context"],
        )
        assert "exception" not in shown

    def test_flat_extra(self) -> None:
        """
        Flat extras are context, the marker of the trail is not.
        """
        assert {"n": 1} == self.log("x", extra={"n": 1, "audit": True})["context"]

    def test_exception(self) -> None:
        """
        ``exc_info=True`` gives type, message and trace.
        """
        try:
            int("x")
        except ValueError:
            shown = self.log("failed", exc_info=True)

        assert "ValueError" == shown["exception"]["type"]
        assert 'int("x")' in shown["exception"]["stacktrace"]

    def test_no_exception(self) -> None:
        """
        ``exc_info=True`` outside an except block gives no exception.
        """
        assert "exception" not in self.log("fine", exc_info=True)

    def test_stack(self) -> None:
        """
        ``stack_info=True`` gives the stack.
        """
        assert "test_stack" in self.log("here", stack_info=True)["stack"]

    def test_wrong_arguments(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A call whose arguments do not fit raises nothing and prints nothing.
        """
        shown = self.log("%d", "x")

        assert "'x'" in shown["event"]
        assert "" == capsys.readouterr().err

    def test_across_a_queue(self) -> None:
        """
        What a stdlib queue leaves of a record is shown in full.
        """
        waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        made = record(
            "%s", "x", context={"a": 1}, exc_info=(ValueError, ValueError("bad"), None)
        )
        logging.handlers.QueueHandler(waiting).emit(made)
        shown = strict(JsonFormatter().format(waiting.get()))

        # The queue's handler has put the trace behind the message.
        assert shown["event"].startswith("x\n")
        assert shown["event"].endswith("ValueError: bad")
        assert {"a": 1} == shown["context"]


class TestOptions:
    def test_dict_config(self) -> None:
        """
        dictConfig takes every option, nested ones too.
        """
        formatter = configured(
            fields={"@timestamp": "timestamp", "message": "event"},
            static={"service": {"name": "bot"}},
            max_line_bytes="1 MB",
            redact={"keys": ["default", "pin"], "patterns": ["x{3}"]},
        )
        shown = strict(formatter.format(record("xxx", context={"pin": 1})))

        assert [
            "@timestamp",
            "message",
            "level",
            "module",
            "context",
            "service",
        ] == list(shown)
        assert ("[redacted]", {"pin": "[redacted]"}, {"name": "bot"}) == (
            shown["message"],
            shown["context"],
            shown["service"],
        )

    def test_defaults(self) -> None:
        """
        Without options secrets are hidden, and a megabyte fits.
        """
        line = JsonFormatter().format(record("x" * 999_000, context={"password": "x"}))

        assert "truncated" not in strict(line)
        assert {"password": "[redacted]"} == strict(line)["context"]
        assert "truncated" in strict(JsonFormatter().format(record("x" * 1_000_000)))

    def test_stdlib_signature(self) -> None:
        """
        The arguments that logging itself passes are taken.
        """
        formatter = JsonFormatter(None, None, "{", validate=False)

        assert "x" == strict(formatter.format(record("x")))["event"]

    @pytest.mark.parametrize("size", [4_096, "4096", "4 KiB", "5 kB", 1e4])
    def test_sizes(self, size: Any) -> None:
        """
        A size may have a unit.
        """
        JsonFormatter(max_line_bytes=size)

    def test_caller_may_change_its_options(self) -> None:
        """
        Options are read once.
        """
        fields, static = {"msg": "event"}, {"a": ["b"]}
        formatter = JsonFormatter(fields=fields, static=static)
        fields.clear()
        static["a"].append("c")
        shown = strict(formatter.format(record("x")))

        assert ("x", ["b"]) == (shown["msg"], shown["a"])

    def test_nothing_is_warned_about(self) -> None:
        """
        Making and using a formatter warns nobody.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            configured().format(record("x", context={"a": 1}))

        assert [] == caught

    def test_can_be_copied(self) -> None:
        """
        A copy of a formatter formats like the original.
        """
        formatter = JsonFormatter(static={"a": 1})

        assert formatter.format(record("x", created=1.0)) == copy.copy(
            formatter
        ).format(record("x", created=1.0))


class TestConfigErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"fmt": "%(message)s"},
                "format: '%(message)s': a line of JSON has no format string; "
                "remove it, and use fields to rename or reorder",
            ),
            (
                {"datefmt": "%H"},
                "datefmt: '%H': a line of JSON has no format string; "
                "remove it, and use fields to rename or reorder",
            ),
            (
                {"defaults": {"a": 1}},
                "defaults: {'a': 1}: a line of JSON has no format string; "
                "remove it, and use fields to rename or reorder",
            ),
            (
                {"fields": ["event"]},
                "fields: ['event'] must be a mapping with text keys",
            ),
            (
                {"fields": {1: "event"}},
                "fields: {1: 'event'} must be a mapping with text keys",
            ),
            ({"static": "bot"}, "static: 'bot' must be a mapping with text keys"),
            (
                {"max_line_bytes": 4_095},
                "max_line_bytes: 4095 is too small; use at least 4096 bytes",
            ),
            (
                {"max_line_bytes": "many"},
                "max_line_bytes: 'many' is not a size; write bytes, or a number with a "
                "unit such as '100 MB' or '100 MiB'",
            ),
            (
                {"max_line_bytes": True},
                "max_line_bytes: True is not a size; write bytes, or a number with a "
                "unit such as '100 MB' or '100 MiB'",
            ),
            (
                {"max_line_bytes": None},
                "max_line_bytes: None is not a size; write bytes, or a number with a "
                "unit such as '100 MB' or '100 MiB'",
            ),
            (
                {"fields": {"x": "massage"}},
                "fields.x: 'massage' is no field of a record; use one of ",
            ),
        ],
        ids=str,
    )
    def test_message(self, options: dict[str, Any], message: str) -> None:
        """
        An error names the option, the value and the remedy.
        """
        with pytest.raises(ConfigError) as caught:
            JsonFormatter(**options)

        assert str(caught.value).startswith(message)

    @pytest.mark.parametrize("name", ["fields", "static"])
    @pytest.mark.parametrize("value", [[], "", 0, False], ids=repr)
    def test_empty_is_not_nothing(self, name: str, value: Any) -> None:
        """
        What is no mapping is an error though it is empty.
        """
        with pytest.raises(ConfigError, match=f"^{name}: "):
            JsonFormatter(**{name: value})

    def test_through_dict_config(self) -> None:
        """
        dictConfig refuses the document, and says why.
        """
        with pytest.raises(ValueError, match="json") as caught:
            configured(max_line_bytes=1)

        assert isinstance(caught.value.__cause__, ConfigError)

    def test_unknown_option(self) -> None:
        """
        A misspelled option is an error, never ignored.
        """
        with pytest.raises(ValueError, match="json"):
            configured(max_line_byte=5_000)


def test_subclass_that_changes_the_line() -> None:
    """
    What a subclass makes of the line is what files get, too.
    """

    class Shouting(JsonFormatter):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(record).replace("event", "EVENT")

    made = record()
    formatter = Shouting()

    assert f"{formatter.format(made)}\n".encode() == formatter.format_bytes(made)
    assert b"EVENT" in formatter.format_bytes(made)
