"""
A configuration to begin with: written whole, never over somebody's own, and right.
"""

from __future__ import annotations

import logging
import logging.config
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import chimera_log
from chimera_log.cli import main
from chimera_log.config.check import check
from chimera_log.config.effective import asked_for, effective
from chimera_log.config.findings import ERROR
from chimera_log.config.render import plain
from chimera_log.config.sources import OVERLAYS, PACKAGED, SCHEMA
from tests.test_schema import refused

if TYPE_CHECKING:
    from chimera_log.config.document import Document

ENVIRONMENTS = ["development", "production", "test"]
NAMES = [
    "logging-schema.json",
    *(f"logging.{each}.yaml" for each in ENVIRONMENTS),
    "logging.yaml",
]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written relative to nothing lands in the test's folder."""
    monkeypatch.chdir(tmp_path)


def names(folder: Path = Path()) -> list[str]:
    """Return the names of the files in *folder*."""
    return sorted(each.name for each in folder.iterdir())


class TestCommand:
    def test_here(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Without a directory it writes here, and says what, and how to go on.
        """
        assert 0 == main(["init"])
        assert NAMES == names()
        said = capsys.readouterr().out
        assert all(f"wrote {name}\n" in said for name in NAMES)
        assert "chimera-log check logging.yaml\n" in said
        assert "CHIMERA_LOG_ENV=production" in said

    def test_directory(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A directory is made if need be.
        """
        assert 0 == main(["init", "etc/bot"])
        assert NAMES == names(Path("etc/bot"))
        assert "wrote etc/bot/logging.yaml\n" in capsys.readouterr().out

    @pytest.mark.parametrize("name", NAMES)
    def test_overwrites_nothing(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        If one file is there, none is written.
        """
        Path(name).write_text("mine")

        assert 2 == main(["init"])
        assert ([name], "mine") == (names(), Path(name).read_text())
        assert f"chimera-log: .: {name}: there already; " in capsys.readouterr().err

    def test_link_to_nothing(self) -> None:
        """
        A link that leads nowhere is somebody's as well.
        """
        Path("logging.yaml").symlink_to("gone")

        assert 2 == main(["init"])
        assert ["logging.yaml"] == names()

    def test_force(self) -> None:
        """
        With --force it overwrites.
        """
        Path("logging.yaml").write_text("mine")

        assert 0 == main(["init", "--force"])
        assert "mine" != Path("logging.yaml").read_text()

    @pytest.mark.parametrize("directory", ["file", "file/below", "a\0b"])
    def test_no_directory(
        self, directory: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Where nothing can be written, that is said.
        """
        Path("file").touch()

        assert 2 == main(["init", directory])
        assert ": cannot be written to: " in capsys.readouterr().err
        assert ["file"] == names()


class TestFiles:
    @pytest.fixture(autouse=True)
    def _written(self) -> None:
        """Each test has what the command wrote."""
        assert 0 == main(["init"])

    def test_base(self) -> None:
        """
        It is the shipped file, which names the schema beside it.
        """
        first, *rest = Path("logging.yaml").read_text().splitlines()

        assert "# yaml-language-server: $schema=./logging-schema.json" == first
        assert PACKAGED.read_text().splitlines()[1:] == rest
        assert SCHEMA.read_text() == Path("logging-schema.json").read_text()

    @pytest.mark.parametrize("environment", [None, *ENVIRONMENTS])
    def test_right(
        self, environment: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        In every environment it has no mistake, loads, and logs.
        """
        document = self.merged(environment, monkeypatch)
        assert [] == [each for each in check(document) if each.severity == ERROR]
        assert not refused(yaml.safe_dump(plain(document)))
        logging.config.dictConfig(document.copy())
        chimera_log.init_logging()
        logging.getLogger("bot").warning("started")

    def merged(
        self, environment: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> Document:
        """Return what the files say in an *environment*."""
        if environment:
            monkeypatch.setenv("CHIMERA_LOG_ENV", environment)
        return effective(asked_for())

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_changes_what_is_there(self, environment: str) -> None:
        """
        An overlay changes parts that the base has; a misspelt one would be added.
        """
        overlay = yaml.safe_load(Path(f"logging.{environment}.yaml").read_text())
        base = yaml.safe_load(Path("logging.yaml").read_text())

        for section, parts in overlay.items():
            assert parts.keys() <= base[section].keys() | {"level", "handlers"}

    def test_development(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Development logs more, to smaller files.
        """
        content = self.merged("development", monkeypatch).content

        assert "DEBUG" == content["root"]["level"]
        assert "10 MB" == content["handlers"]["chimera"]["maxBytes"]
        assert "caller" == content["handlers"]["console"]["writer"]

    def test_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Production keeps all outputs and logs no line per request.
        """
        content: dict[str, Any] = self.merged("production", monkeypatch).content

        assert ["console", "chimera", "executions"] == content["root"]["handlers"]
        assert "WARNING" == content["loggers"]["uvicorn.access"]["level"]
        assert "production" == content["formatters"]["json"]["static"]["environment"]

    def test_test(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Tests write no files, and keep no thread.
        """
        content = self.merged("test", monkeypatch).content

        assert ["console"] == list(content["handlers"]) == content["root"]["handlers"]
        chimera_log.init_logging()
        logging.getLogger("bot").warning("started")
        chimera_log.log_execution_attempt(status="included")
        assert NAMES == names()


def test_all_environments() -> None:
    """
    The overlays are those that are tested here.
    """
    assert NAMES[1:-1] == sorted(each.name for each in OVERLAYS.iterdir())
