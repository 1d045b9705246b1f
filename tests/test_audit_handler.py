"""
The handler for audit trails: its options, its formatter, and what it refuses.
"""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import AuditFileHandler, ConfigError, JsonFormatter, init_logging
from chimera_log.audit import chain
from tests.conftest import record
from tests.test_audit_trail import assert_chained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the trail is."""
    return tmp_path / "executions.log"


@pytest.fixture
def made() -> Iterator[list[AuditFileHandler]]:
    """Handlers, closed afterwards."""
    handlers: list[AuditFileHandler] = []
    yield handlers
    for handler in handlers:
        handler.close()


class Make:
    """
    Makes handlers on one path.

    Args:
        path: Where the trail is.
        handlers: Where they are kept to be closed.
    """

    def __init__(self, path: Path, handlers: list[AuditFileHandler]) -> None:
        self._path = path
        self._handlers = handlers

    def __call__(self, **options: Any) -> AuditFileHandler:
        """Return a handler with *options*."""
        made = AuditFileHandler(self._path, **options)
        self._handlers.append(made)
        return made


@pytest.fixture
def make(path: Path, made: list[AuditFileHandler]) -> Make:
    """Makes handlers."""
    return Make(path, made)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"sync": "never"}, "sync: 'never'"),
            ({"sync": "rotate"}, "sync: 'rotate'"),
            ({"retention_floor_days": 0}, "retention_floor_days: 0"),
            ({"retention_floor_days": "3 years"}, "retention_floor_days: '3 years'"),
            ({"checkpoint_interval": -1}, "checkpoint_interval: -1"),
            ({"checkpoint_records": -1}, "checkpoint_records: -1"),
            ({"reserve_bytes": "1 XB"}, "reserve_bytes: '1 XB'"),
            ({"key_id": "mine"}, "key_id: 'mine' has no effect without key_env"),
            ({"key_env": 5}, "key_env: 5"),
            ({"filename": "/dev/stdout"}, "filename: '/dev/stdout' is a device"),
            ({"compression": "gzip"}, "compression: 'gzip'"),
        ],
    )
    def test_nonsense(self, path: Path, options: dict[str, Any], expected: str) -> None:
        """
        What cannot work is refused, with the option and its value.
        """
        with pytest.raises(ConfigError) as caught:
            AuditFileHandler(**{"filename": path, **options})

        assert str(caught.value).startswith(expected)

    @pytest.mark.parametrize(
        "option",
        ["total_bytes", "max_age", "min_free_bytes", "writer", "follow_symlinks"],
    )
    def test_what_would_lose_evidence(self, path: Path, option: str) -> None:
        """
        There is no option that has records removed, dropped or queued.
        """
        options: dict[str, Any] = {option: 1}
        with pytest.raises(TypeError, match=option):
            AuditFileHandler(path, **options)

    def test_is_stdlibs(self, make: Make) -> None:
        """
        It is the standard library's class, which others may look for.
        """
        handler = make(maxBytes="1 MB", backupCount=3)

        assert isinstance(handler, logging.handlers.RotatingFileHandler)
        assert (10**6, 3) == (handler.maxBytes, handler.backupCount)

    def test_nothing_is_made(self, make: Make, path: Path) -> None:
        """
        Nothing is made before the first record.
        """
        make()

        assert [] == list(path.parent.iterdir())


class TestKey:
    def test_signed(
        self, make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The secret in the variable signs each line, under the name it was given.
        """
        monkeypatch.setenv("TRAIL_KEY", SECRET)
        make(key_env="TRAIL_KEY", key_id="2026").handle(record())

        key = chain.Key(SECRET.encode(), "2026")
        assert_chained(path.read_bytes().splitlines(keepends=True), key)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, "key_env: TRAIL_KEY: the variable is not set"),
            ("", "key_env: TRAIL_KEY: the variable is not set"),
            ("short", "key_env: TRAIL_KEY: the audit key has 5 bytes"),
        ],
    )
    def test_no_secret(
        self,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        value: str | None,
        expected: str,
    ) -> None:
        """
        A trail that was to be signed is not begun without its secret.
        """
        monkeypatch.delenv("TRAIL_KEY", raising=False)
        if value is not None:
            monkeypatch.setenv("TRAIL_KEY", value)
        with pytest.raises(ConfigError) as caught:
            AuditFileHandler(path, key_env="TRAIL_KEY")

        assert str(caught.value).startswith(expected)
        assert SECRET not in str(caught.value)


class TestFormatter:
    def test_default(self, make: Make, path: Path) -> None:
        """
        Without a formatter lines are as `JsonFormatter` makes them.
        """
        make().handle(record("filled"))

        assert "filled" == json.loads(path.read_bytes())["event"]

    def test_added_fields(self, make: Make, path: Path) -> None:
        """
        Fields may be added behind the first five; ``audit`` is the last.
        """
        handler = make()
        handler.setFormatter(JsonFormatter(static={"service": "bot"}))
        handler.handle(record())

        assert ["service", "audit"] == list(json.loads(path.read_bytes()))[5:]

    @pytest.mark.parametrize(
        "formatter",
        [
            logging.Formatter(),
            JsonFormatter(fields={"time": "timestamp"}),
            JsonFormatter(fields={"event": "event"}),
            JsonFormatter(fields={"lineno": "lineno"}),
        ],
        ids=["plain", "renamed", "moved", "in front"],
    )
    def test_refused(self, make: Make, formatter: logging.Formatter) -> None:
        """
        What verifying, indexing and retention read has to be where they look.
        """
        with pytest.raises(ConfigError, match="first five fields"):
            make().setFormatter(formatter)

    def test_too_long(self, make: Make) -> None:
        """
        No line may be longer than a reader takes.
        """
        with pytest.raises(ConfigError, match="max_line_bytes: 20000000"):
            make().setFormatter(JsonFormatter(max_line_bytes="20 MB"))

    def test_by_dict_config(self, path: Path) -> None:
        """
        A formatter that does not fit is refused before anything is changed.
        """
        config = {
            "version": 1,
            "formatters": {"plain": {"format": "%(message)s"}},
            "handlers": {
                "trail": {
                    "class": "chimera_log.AuditFileHandler",
                    "formatter": "plain",
                    "filename": str(path),
                }
            },
            "root": {"handlers": ["trail"]},
        }
        before = list(logging.getLogger().handlers)
        with pytest.raises(ConfigError, match="first five fields"):
            init_logging(config)

        assert before == logging.getLogger().handlers

    @pytest.mark.parametrize("line", ["", "{}", "{}\n{}", "no json", '{"a":1} '])
    def test_subclass_that_makes_no_line(
        self,
        make: Make,
        path: Path,
        capsys: pytest.CaptureFixture[str],
        line: str,
    ) -> None:
        """
        What a formatter's subclass makes is not believed: it is counted as lost.
        """

        class Odd(JsonFormatter):
            def format(self, record: logging.LogRecord) -> str:
                return line if record.msg == "odd" else super().format(record)

        handler = make()
        handler.setFormatter(Odd())
        handler.handle(record("odd"))
        handler.handle(record("even"))

        assert 1 == handler.statistics().dropped
        assert "no line of JSON" in capsys.readouterr().err
        assert_chained(path.read_bytes().splitlines(keepends=True))


def test_its_own_checkpoints_stay_out(make: Make, path: Path) -> None:
    """
    Records about the trail's end go everywhere but into the trail.
    """
    handler = make()
    handler.handle(record("audit_checkpoint", name=chain.OURS))

    assert not path.exists()


def test_checkpoint(make: Make, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Where the trail ends is told when asked for, and once; to none that has no end.
    """
    caplog.set_level("INFO", chain.OURS)
    handler = make()
    handler.checkpoint()
    handler.handle(record())
    handler.handle(record())
    handler.checkpoint()
    handler.checkpoint()

    head = assert_chained(path.read_bytes().splitlines(keepends=True))
    (told,) = caplog.records
    assert {**head._asdict(), "trail": str(path)} == vars(told)["context"]


def test_two_on_one_path(make: Make, path: Path) -> None:
    """
    Handlers on one path share the chain.
    """
    one, other = make(), make()
    one.handle(record())
    other.handle(record())

    assert one.statistics() == other.statistics()
    assert_chained(path.read_bytes().splitlines(keepends=True))
