"""
The audit trail takes what belongs to it, and what nobody can tell.
"""

from __future__ import annotations

import logging
import logging.config
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import ConfigError, ExecutionAuditFilter
from tests.conftest import record


class Unreadable:
    """Raises when it is read, or asked whether it is true."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


class Named:
    """A message object, as `logging` allows."""

    def __str__(self) -> str:
        return "execution_attempt"


class TestFilter:
    def test_execution(self) -> None:
        """
        By default an ``execution_attempt`` belongs to the trail.
        """
        assert ExecutionAuditFilter().filter(record("execution_attempt"))

    @pytest.mark.parametrize("message", ["state_transition", "execution_attempt_2", ""])
    def test_others(self, message: str) -> None:
        """
        No other event does.
        """
        assert not ExecutionAuditFilter().filter(record(message))

    def test_events(self) -> None:
        """
        The events configured take the default's place.
        """
        audit = ExecutionAuditFilter(events=["fill", "settlement"])

        assert audit.filter(record("fill"))
        assert audit.filter(record("settlement"))
        assert not audit.filter(record("execution_attempt"))

    def test_formatted(self) -> None:
        """
        The event is the message with its arguments.
        """
        assert ExecutionAuditFilter().filter(record("%s_attempt", "execution"))
        assert not ExecutionAuditFilter().filter(record("%s_attempt", "login"))

    def test_message_object(self) -> None:
        """
        An object is read as `logging` reads it.
        """
        assert ExecutionAuditFilter().filter(record(Named()))

    @pytest.mark.parametrize("mark", [True, 1, "yes"])
    def test_marked(self, mark: Any) -> None:
        """
        A record marked with ``extra={"audit": True}`` belongs to the trail.
        """
        assert ExecutionAuditFilter().filter(record("withdrawal", audit=mark))

    @pytest.mark.parametrize("mark", [False, None, 0])
    def test_not_marked(self, mark: Any) -> None:
        """
        A mark that says no does not keep an execution out.
        """
        assert not ExecutionAuditFilter().filter(record("withdrawal", audit=mark))
        assert ExecutionAuditFilter().filter(record("execution_attempt", audit=mark))

    def test_no_events(self) -> None:
        """
        With no events, marked records alone make the trail.
        """
        audit = ExecutionAuditFilter(events=[])

        assert not audit.filter(record("execution_attempt"))
        assert audit.filter(record("execution_attempt", audit=True))

    @given(st.text(), st.booleans())
    def test_record_unchanged(self, message: str, mark: bool) -> None:
        """
        The record is left as it was found.
        """
        judged = record(message, audit=mark)
        before = dict(vars(judged))
        ExecutionAuditFilter().filter(judged)

        assert before == vars(judged)


UNDECIDED = [
    pytest.param(lambda: record(Unreadable()), id="message"),
    pytest.param(lambda: record("%d", "x"), id="arguments"),
    pytest.param(lambda: record("login", audit=Unreadable()), id="mark"),
]


class TestUndecided:
    @pytest.mark.parametrize("make", UNDECIDED)
    def test_kept(self, make: Any) -> None:
        """
        A record it cannot decide about stays in the trail.
        """
        assert ExecutionAuditFilter().filter(make())

    def test_counted(self) -> None:
        """
        Such records are counted, and no others.
        """
        audit = ExecutionAuditFilter()
        audit.filter(record("execution_attempt"))
        assert 0 == audit.undecided

        audit.filter(record("%d", "x"))
        audit.filter(record(Unreadable()))
        assert 2 == audit.undecided

    def test_reported(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        They are told on stderr, once a minute.
        """
        audit = ExecutionAuditFilter()
        audit.filter(record("%d", "x"))
        audit.filter(record("%d", "x"))

        assert (
            "chimera_log: ExecutionAuditFilter: kept a record in the trail that it "
            "could not read (TypeError); 1 so far\n"
        ) == capsys.readouterr().err


class TestOptions:
    def test_lone_text(self) -> None:
        """
        ``events: fill`` would mean four letters; a list is asked for.
        """
        with pytest.raises(
            ConfigError, match=r"^events: 'fill' must be a list; write \[fill\]$"
        ):
            ExecutionAuditFilter(events="fill")

    @pytest.mark.parametrize("events", [None, 5, [1]])
    def test_no_names(self, events: Any) -> None:
        """
        Anything but a list of text is refused.
        """
        with pytest.raises(ConfigError, match=r"^events: .* must be a list of text$"):
            ExecutionAuditFilter(events=events)

    def test_by_dict_config(self) -> None:
        """
        Made by ``()``, it takes dictConfig's own list type.
        """
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "filters": {
                    "trail": {
                        "()": "chimera_log.ExecutionAuditFilter",
                        "events": ["fill"],
                    }
                },
                "handlers": {
                    "h": {"class": "logging.NullHandler", "filters": ["trail"]}
                },
                "root": {"handlers": ["h"]},
            }
        )
        (handler,) = logging.getLogger().handlers

        assert handler.filter(record("fill"))
        assert not handler.filter(record("login"))
