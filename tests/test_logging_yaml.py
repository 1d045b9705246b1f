"""
The shipped ``logging.yaml`` is a plain dictConfig document, and does what it says.
"""

from __future__ import annotations

import json
import logging
import logging.config
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

import chimera_log
from chimera_log import get_logger, init_logging, log_execution_attempt

SHIPPED = Path(chimera_log.__file__).parent / "logging.yaml"


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the file's ``CHIMERA_LOG_DIR`` names; not made yet."""
    monkeypatch.setenv("CHIMERA_LOG_DIR", str(tmp_path / "logs"))
    return tmp_path / "logs"


def load() -> None:
    """Load the file as any program does, with nothing of ours called."""
    logging.config.dictConfig(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))


def handler(name: str) -> logging.Handler:
    """Return the root's handler called *name*."""
    (found,) = [h for h in logging.getLogger().handlers if h.get_name() == name]
    return found


def events(file: Path) -> list[str]:
    """Return the events in *file*, each line of which must be JSON."""
    return [json.loads(line)["event"] for line in file.read_text().splitlines()]


def test_one_copy() -> None:
    """
    What the package carries is the file at the project's top.
    """
    root = Path(__file__).parent.parent / "logging.yaml"

    assert root.read_bytes() == SHIPPED.read_bytes()


class TestPlain:
    def test_handlers(self, logs: Path) -> None:
        """
        It loads as it is, and touches no disk before the first record.
        """
        load()

        assert ["console", "chimera", "executions"] == [
            h.get_name() for h in logging.getLogger().handlers
        ]
        assert not logs.exists()

    def test_three_outputs(
        self, logs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Every record is on the console and in ``chimera.log``, and executions
        alone in ``executions.log``, each as one line of JSON.
        """
        load()
        logging.getLogger("bot").info("started")
        log_execution_attempt(status="included")
        logging.getLogger("bot").info("withdrawn", extra={"audit": True})
        for handler in logging.getLogger().handlers:
            handler.flush()

        everything = ["started", "execution_attempt", "withdrawn"]
        printed = capsys.readouterr().out.splitlines()
        assert everything == [json.loads(line)["event"] for line in printed]
        assert everything == events(logs / "chimera.log")
        assert everything[1:] == events(logs / "executions.log")

    def test_default_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Without ``CHIMERA_LOG_DIR`` the files are in ``logs``, where it runs.
        """
        monkeypatch.chdir(tmp_path)
        load()
        logging.getLogger("bot").info("started")

        assert ["started"] == events(tmp_path / "logs" / "chimera.log")

    def test_private(self, logs: Path) -> None:
        """
        Others cannot read the files.
        """
        load()
        log_execution_attempt(status="included")

        assert [0o640, 0o640] == [
            stat.S_IMODE(file.stat().st_mode) for file in sorted(logs.glob("*.log"))
        ]

    def test_secrets(self, logs: Path) -> None:
        """
        Secrets are hidden unless somebody turns that off.
        """
        load()
        get_logger("bot").info("login", context={"password": "hunter2"})

        (line,) = (logs / "chimera.log").read_text().splitlines()
        assert {"password": "[redacted]"} == json.loads(line)["context"]

    @pytest.mark.usefixtures("logs")
    def test_existing_loggers(self) -> None:
        """
        A logger made before goes on working.
        """
        early = logging.getLogger("made.at.import")
        load()

        assert not early.disabled


class TestFigures:
    @pytest.mark.usefixtures("logs")
    @pytest.mark.parametrize(
        ("name", "expected"), [("chimera", (10**8, 10)), ("executions", (10**8, 50))]
    )
    def test_rotation(self, name: str, expected: tuple[int, int]) -> None:
        """
        Files of 100 MB: ten for everything, fifty for the audit trail.
        """
        load()
        found: Any = handler(name)

        assert expected == (found.maxBytes, found.backupCount)

    @pytest.mark.usefixtures("logs")
    def test_level(self) -> None:
        """
        The root takes INFO and above.
        """
        load()

        assert logging.INFO == logging.getLogger().level

    def test_executions_whatever_the_level(self, logs: Path) -> None:
        """
        Executions are evidence: no level of the root keeps them out.
        """
        init_logging(SHIPPED, log_level="CRITICAL")
        logging.getLogger("bot").error("hidden")
        log_execution_attempt(status="included")

        assert ["execution_attempt"] == events(logs / "executions.log")
        assert ["execution_attempt"] == events(logs / "chimera.log")


class TestServers:
    @pytest.mark.parametrize(
        "name",
        [
            "uvicorn",
            "uvicorn.error",
            "uvicorn.access",
            "gunicorn.error",
            "gunicorn.access",
            "hypercorn.error",
            "hypercorn.access",
            "django",
            "django.server",
        ],
    )
    def test_in_line(self, logs: Path, name: str) -> None:
        """
        A server's own handlers make way: its records are ours, once.
        """
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        load()
        logger.info("served")

        assert [] == logger.handlers
        assert ["served"] == events(logs / "chimera.log")

    @pytest.mark.parametrize("name", ["botocore", "boto3", "urllib3"])
    def test_quiet(self, logs: Path, name: str) -> None:
        """
        Libraries that tell too much at INFO start at WARNING.
        """
        load()
        logging.getLogger(f"{name}.credentials").info("found in ~/.aws")
        logging.getLogger(f"{name}.credentials").warning("expired")

        assert ["expired"] == events(logs / "chimera.log")
