"""
The handler: its options, what arrives, and how it lives and ends.
"""

from __future__ import annotations

import json
import logging
import logging.config
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import chimera_log
from chimera_log.aws.retry import OUTAGE, TRANSIENT
from chimera_log.cloudwatch import sender
from chimera_log.cloudwatch.notices import OWN_LOGGER
from chimera_log.options import ConfigError
from tests.aws import Boto, Logs
from tests.conftest import record, threads_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="logs")
def _logs() -> Logs:
    return Logs()


@pytest.fixture(name="handler")
def _handler(logs: Logs) -> Iterator[chimera_log.CloudWatchHandler]:
    handler = handler_to(logs)
    yield handler
    handler.close()


def _nothing() -> None:
    """Do nothing."""


def handler_to(logs: Logs, **options: Any) -> chimera_log.CloudWatchHandler:
    """Return a handler that sends to *logs*."""
    options.setdefault("client_factory", lambda _: Boto(logs))
    handler = chimera_log.CloudWatchHandler(**options)
    handler.setFormatter(chimera_log.JsonFormatter())
    return handler


def numbers(logs: Logs) -> list[int]:
    """Return the numbers that were logged, in the order in which they arrived."""
    return [json.loads(each)["context"]["number"] for each in logs.messages]


def log(handler: logging.Handler, *given: int) -> None:
    """Log each of these numbers."""
    for number in given:
        handler.handle(record(context={"number": number}))


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("log_group_name", "aws/mine"),
            ("log_group_name", "no spaces"),
            ("log_group_name", ""),
            ("log_stream_name", "12:30"),
            ("log_stream_name", "{nobody}"),
            ("region_name", 5),
            ("profile_name", ["x"]),
            ("endpoint_url", "localhost"),
            ("client_factory", "nodots"),
            ("client_factory", "a..b"),
            ("client_factory", 5),
            ("retention_in_days", 1095),
            ("retention_in_days", "30"),
            ("max_batch_count", 0),
            ("flush_interval", -1),
            ("flush_interval", "soon"),
            ("spool_dir", 5),
            ("spool_dir", "a\0b"),
            ("spool_dir", "/dev/null"),
            ("max_spool_bytes", 5),
            ("max_queue_size", 0),
            ("max_queue_bytes", 0),
            ("when_full", "block"),
            ("max_event_bytes", 10),
            ("max_event_bytes", 2_000_000),
            ("close_timeout", -1),
            ("tags", ["x"]),
            ("kms_key_id", 5),
            ("log_group_class", "CHEAP"),
        ],
    )
    def test_refused(self, option: str, value: Any) -> None:
        """
        What cannot work is refused before anything is started, by its name.
        """
        with pytest.raises(ConfigError, match=f"^{option}: "):
            chimera_log.CloudWatchHandler(**{option: value})

    def test_variables(self, monkeypatch: pytest.MonkeyPatch, logs: Logs) -> None:
        """
        Names may come from the environment, which a plain dictConfig consumer
        does not expand.
        """
        monkeypatch.setenv("STAGE", "staging")
        handler = handler_to(logs, log_group_name="bot-${STAGE}")
        log(handler, 1)
        handler.close()
        assert ["bot-staging"] == list(logs.groups)

    def test_empty_is_nothing(self) -> None:
        """
        A variable that is not set leaves an option as if it were not there.
        """
        handler = chimera_log.CloudWatchHandler(
            region_name="${NOWHERE:-}", spool_dir="${NOWHERE:-}"
        )
        destination = handler._destination
        assert (None, None) == (destination.access.region_name, destination.spool_dir)

    def test_factory_by_name(self) -> None:
        """
        A factory may be named; it is looked for when it is needed.
        """
        handler = chimera_log.CloudWatchHandler(client_factory="somewhere.else.make")
        assert "somewhere.else.make" == handler._destination.access.client_factory

    def test_idle(self, handler: logging.Handler, logs: Logs) -> None:
        """
        A handler that is not used does nothing at all, also when it ends.
        """
        handler.flush()
        handler.close()
        assert [] == logs.calls


class TestDelivery:
    def test_lines(self, handler: logging.Handler, logs: Logs) -> None:
        """
        What arrives are the lines, in order, without line feeds, at their time.
        """
        second = int(time.time())
        handler.handle(record("one", created=second + 0.1234565))
        handler.flush()
        ((event,),) = logs.batches
        assert b"\n" not in event.message
        assert second * 1000 + 123 == event.timestamp
        assert "one" == json.loads(event.message)["event"]

    def test_time_of_the_line(self, handler: logging.Handler, logs: Logs) -> None:
        """
        An event's millisecond is that of its line, however it was rounded.
        """
        second = int(time.time())
        handler.handle(record(created=second + 0.9999999))
        handler.flush()
        ((event,),) = logs.batches
        assert (second + 1) * 1000 == event.timestamp
        assert json.loads(event.message)["timestamp"].endswith(".000000Z")

    @pytest.mark.parametrize("created", [float("nan"), float("inf"), "never", None])
    def test_no_time(self, handler: logging.Handler, logs: Logs, created: Any) -> None:
        """
        A record whose time makes no sense is sent with the present one.
        """
        before = int(time.time() * 1000)
        handler.handle(record(created=created))
        handler.flush()
        ((event,),) = logs.batches
        assert before <= event.timestamp <= time.time() * 1000

    def test_foreign_formatter(self, handler: logging.Handler, logs: Logs) -> None:
        """
        Any formatter will do; its line breaks stay.
        """
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handle(record("one\ntwo \ud800"))
        handler.flush()
        assert [b"one\ntwo \\ud800"] == logs.messages

    def test_many_threads(self, handler: logging.Handler, logs: Logs) -> None:
        """
        Of eight threads that log at once, nothing is lost, doubled, or out of
        order.
        """

        def run(first: int) -> None:
            log(handler, *range(first, first + 500))

        threads = [
            threading.Thread(target=run, args=(each,)) for each in range(0, 4000, 500)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        handler.flush()
        arrived = numbers(logs)
        assert list(range(4000)) == sorted(arrived)
        for first in range(0, 4000, 500):
            mine = [each for each in arrived if first <= each < first + 500]
            assert sorted(mine) == mine

    def test_first_records(self, logs: Logs) -> None:
        """
        Nor is anything of what eight threads log first of all, when the destination
        is not known yet.
        """
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        for number in range(20):
            handler = handler_to(logs, log_group_name=f"group{number}")
            start = threading.Barrier(8)

            def run(first: int) -> None:
                start.wait()  # noqa: B023  joined before the next
                log(handler, first)  # noqa: B023

            threads = [threading.Thread(target=run, args=(each,)) for each in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert 8 == handler.statistics().enqueued
            handler.close()
        sys.setswitchinterval(interval)
        assert (160, 20) == (len(logs.messages), len(logs.streams))

    def test_unformatted(
        self, handler: chimera_log.CloudWatchHandler, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """
        A record that cannot be formatted is counted and reported, and raises
        nothing.
        """
        handler.setFormatter(logging.Formatter("%(nothing)s"))
        handler.handle(record())
        found = handler.statistics()
        assert (1, 1) == (found.enqueued, found.dropped)
        assert "records not formatted" in capfd.readouterr().err

    def test_flush_in_vain(self, logs: Logs) -> None:
        """
        A flush gives up in time, and `close` does not wait for the same again.
        """
        logs.fail(OUTAGE, 999)
        handler = handler_to(logs, close_timeout=1)
        log(handler, 1)
        start = time.monotonic()
        handler.flush()
        handler.close()
        assert 1 <= time.monotonic() - start < 2
        assert 1 == handler.statistics().queued

    def test_flush_in_trouble(
        self, handler: chimera_log.CloudWatchHandler, logs: Logs
    ) -> None:
        """
        A flush waits for as long as it takes, within bounds, and tries again.
        """
        logs.fail(TRANSIENT, 2)
        log(handler, 1, 2, 3)
        handler.flush()
        assert [1, 2, 3] == numbers(logs)


class TestLife:
    def test_shared(self, logs: Logs) -> None:
        """
        Handlers with one destination share one stream, one thread and one order.
        """

        def factory(_: Any) -> Boto:
            return Boto(logs)

        one, two = (handler_to(logs, client_factory=factory) for _ in range(2))
        for number in range(10):
            log((one, two)[number % 2], number)
        one.flush()
        assert (list(range(10)), 1) == (numbers(logs), len(logs.streams))
        assert 10 == one.statistics().sent == two.statistics().sent
        two.close()
        one.close()

    def test_after_close(
        self, handler: chimera_log.CloudWatchHandler, logs: Logs
    ) -> None:
        """
        A record that comes after `close` is sent all the same.
        """
        log(handler, 1)
        handler.close()
        log(handler, 2)
        handler.flush()
        assert [1, 2] == numbers(logs)

    def test_succeed(self, logs: Logs) -> None:
        """
        Where a successor has the same destination, nobody waits for what is left, and
        it is sent; elsewhere the old one delivers it itself.
        """

        def factory(_: Any) -> Boto:
            return Boto(logs)

        one, heir, other = (
            handler_to(logs, client_factory=factory, log_group_name=group)
            for group in ("one", "one", "other")
        )
        heir.succeed(logging.NullHandler())
        heir.succeed(one)  # which has nothing
        log(one, 1)
        other.succeed(one)
        heir.succeed(one)
        route: Any = one._route
        assert (True, False, {one, heir}) == (
            heir._is_open,
            other._is_open,
            set(route.users),
        )
        one.close()
        log(heir, 2)
        heir.close()
        assert [1, 2] == numbers(logs)

    def test_dict_config_again(self, logs: Logs) -> None:
        """
        A dictConfig that replaces the handler, twenty times, waits for nothing and
        loses nothing, though the network does not answer meanwhile.
        """
        network = threading.Event()

        def factory(_: Any) -> Boto:
            return Boto(logs, network.wait)

        config = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "chimera_log.JsonFormatter"}},
            "handlers": {
                "cloudwatch": {
                    "class": "chimera_log.CloudWatchHandler",
                    "formatter": "json",
                    "client_factory": factory,
                }
            },
            "root": {"level": "INFO", "handlers": ["cloudwatch"]},
        }
        took = []
        for number in range(20):
            start = time.monotonic()
            logging.config.dictConfig(config)
            took.append(time.monotonic() - start)
            logging.getLogger("bot").info("x", extra={"context": {"number": number}})
        network.set()
        logging.getLogger().handlers[0].flush()
        assert (list(range(20)), 1) == (numbers(logs), len(logs.streams))
        assert statistics.median(took) < 0.04
        assert max(took) < 1  # now and then, a busy machine has something else to do

    def test_newest_options(self, logs: Logs) -> None:
        """
        The options of the newest handler hold for all that share a destination.
        """

        def factory(_: Any) -> Boto:
            return Boto(logs)

        one = handler_to(logs, client_factory=factory)
        log(one, 1)
        one.flush()
        two = handler_to(logs, client_factory=factory, retention_in_days=1096)
        log(two, 2)
        two.flush()
        assert 1096 == logs.groups["Chimera"]["days"]
        one.close()
        two.close()

    def test_many_loggers(self, handler: logging.Handler, logs: Logs) -> None:
        """
        Two hundred loggers need one thread, one stream and one group.
        """
        before = len(threads_now())
        root = logging.getLogger()
        root.addHandler(handler)
        for number in range(200):
            logger = logging.getLogger(f"logger{number}")
            logger.warning("x", extra={"context": {"number": number}})
        threads = len(threads_now()) - before
        handler.flush()
        root.removeHandler(handler)
        assert (1, 200) == (threads, len(logs.messages))
        assert 3 >= sum(each.startswith("create") for each in logs.calls)

    def test_ends_at_exit(self, logs: Logs) -> None:
        """
        At the process's end what waits is sent, and all handlers together get the
        time of one.
        """
        handlers = [
            handler_to(logs, log_group_name=f"group{number}", close_timeout=0.6)
            for number in range(5)
        ]
        logs.fail(OUTAGE, 9_999)
        for handler in handlers:
            log(handler, 1)
        start = time.monotonic()
        try:
            sender._at_exit()
            for handler in handlers:
                handler.flush()
                handler.close()
        finally:
            sender._after_fork_in_child()
        assert time.monotonic() - start < 2.4

    def test_logged_after_the_end(self, logs: Logs) -> None:
        """
        A record that comes when the process's end was seen to, without anything to
        wait for, has the same time as others.
        """
        sender._at_exit()
        try:
            handler = handler_to(logs)
            log(handler, 1)
            handler.flush()
        finally:
            sender._after_fork_in_child()
        handler.close()
        assert [1] == numbers(logs)


class TestOwnRecords:
    def test_not_sent(self, logs: Logs) -> None:
        """
        What the sending itself logs, by whatever library, is not sent: that would
        never end.  What others log meanwhile is.
        """
        root = logging.getLogger()
        root.setLevel(logging.DEBUG)

        def wait() -> None:
            logging.getLogger("botocore").debug("sending")
            thread = threading.Thread(target=lambda: log(handler, 2))
            thread.start()
            thread.join()

        waits = iter([wait])

        def wait_once() -> None:
            next(waits, _nothing)()

        handler = handler_to(logs, client_factory=lambda _: Boto(logs, wait_once))
        root.addHandler(handler)
        log(handler, 1)
        handler.flush()
        handler.flush()
        root.removeHandler(handler)
        handler.close()
        assert [1, 2] == numbers(logs)

    def test_by_a_queue(self, logs: Logs) -> None:
        """
        Neither is it sent when it comes by somebody's queue, in another thread, at
        once or later; what another thread logged meanwhile is.
        """
        made: list[logging.LogRecord] = []

        def wait() -> None:
            made.append(record(context={"number": 0}))
            thread = threading.Thread(target=lambda: handler.handle(made[0]))
            thread.start()
            thread.join()

        handler = handler_to(logs, client_factory=lambda _: Boto(logs, wait))
        log(handler, 1)
        handler.flush()
        for own in made:
            handler.handle(own)
        log(handler, 2)
        handler.flush()
        handler.close()
        assert [1, 2] == numbers(logs)

    def test_no_time(self, handler: logging.Handler, logs: Logs) -> None:
        """
        A record of such a number whose time makes no sense is somebody else's.
        """
        log(handler, 1)
        handler.flush()
        (number,) = sender._senders
        strange = record(thread=number, created="never", context={"number": 2})
        handler.handle(strange)
        handler.flush()
        assert [1, 2] == numbers(logs)

    def test_number_used_again(self, handler: logging.Handler, logs: Logs) -> None:
        """
        A thread that has the number of one that was sending is another.
        """
        log(handler, 1)
        handler.flush()
        (number,) = sender._senders
        handler.handle(record(thread=number, context={"number": 2}))
        handler.flush()
        assert [1, 2] == numbers(logs)

    def test_statistics_event(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Our own event about the sending is sent, though the sending thread logs it.
        """
        own = logging.LogRecord(OWN_LOGGER, logging.WARNING, "", 0, "x", None, None)
        monkeypatch.setattr(sender, "_sending", threading.get_ident())
        assert sender.is_own(record())
        assert not sender.is_own(own)


class TestDrops:
    def test_told(self, logs: Logs, capfd: pytest.CaptureFixture[str]) -> None:
        """
        What found no room is told on stderr, and in the stream itself by an event
        as all others are.
        """
        handler = handler_to(logs, max_queue_size=5, close_timeout=0)
        logs.fail(OUTAGE, 1, call="create_stream")
        log(handler, *range(50))
        handler._options = handler._options._replace(close_timeout=60)
        handler.flush()
        handler.flush()
        handler.close()
        last = json.loads(logs.messages[-1])
        found = handler.statistics()
        assert ("WARNING", OWN_LOGGER) == (last["level"], last["module"])
        assert "cloudwatch_records_dropped" == last["event"]
        assert found.dropped == last["context"]["dropped"] > 0
        assert "the queue is full" in capfd.readouterr().err


class TestHopeless:
    def test_no_credentials(self, tmp_path: Path) -> None:
        """
        Where there is nothing to wait for, nobody waits; what was logged stays in
        the spool.
        """
        handler = chimera_log.CloudWatchHandler(
            region_name="eu-central-1", spool_dir=tmp_path, close_timeout=60
        )
        log(handler, 1)
        start = time.monotonic()
        handler.close()
        assert time.monotonic() - start < 30
        assert 1 == handler.statistics().spooled


class TestSpool:
    def test_delivered_and_removed(self, logs: Logs, tmp_path: Path) -> None:
        """
        What was spooled is delivered, in order; a closed handler leaves nothing.
        """
        spool = tmp_path / "spool"
        handler = handler_to(logs, spool_dir=spool)
        log(handler, *range(300))
        handler.flush()
        handler.close()
        assert (list(range(300)), []) == (numbers(logs), list(spool.iterdir()))
