"""
Whether files can be where a configuration wants them, which is only looked at.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chimera_log.config.check import places
from tests.checks import said

STDLIB = "logging.FileHandler"
OURS = "chimera_log.RotatingFileHandler"
TRAIL = "chimera_log.AuditFileHandler"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, for a user who is not root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", may)
    return tmp_path


def may(path: str, what: int, **_: bool) -> bool:
    """Whether an owner without special rights may do *what*."""
    return (Path(path).stat().st_mode >> 6) & what == what


def found(kind: str, options: str) -> list[str]:
    """Return what is found about one handler, without the place, which is one."""
    text = f"handlers: {{file: {{class: {kind}, {options}}}}}"
    start = f"logging.yaml:1:{text.index(options) + options.index(': ') + 3}: "
    lines = said(places.findings, text)
    assert all(line.startswith(start) for line in lines)
    return [line.removeprefix(start) for line in lines]


class TestStdlib:
    def test_no_directory(self, folder: Path) -> None:
        """
        A directory that is not there is none that anybody would make.
        """
        assert [
            f"error handlers.file.filename: directory '{folder}/my logs' does not exist; "
            f"mkdir -p '{folder}/my logs', or use chimera_log.RotatingFileHandler"
        ] == found(STDLIB, "filename: my logs/bot.log")

    def test_delay(self, folder: Path) -> None:
        """
        With `delay`, the program may make it before it logs.
        """
        (line,) = found(STDLIB, "filename: logs/bot.log, delay: true")

        assert line.startswith(
            f"warning handlers.file.filename: directory '{folder}/logs' does not"
        )

    def test_home(self, folder: Path) -> None:
        """
        The standard library takes ``~`` for a directory of that name.
        """
        (line,) = found(STDLIB, "filename: ~/bot.log")

        assert f"directory '{folder}/~' does not exist" in line

    def test_under_file(self, folder: Path) -> None:
        """
        Below a file there is no directory.
        """
        Path("logs").touch()

        assert [
            f"error handlers.file.filename: '{folder}/logs' is no directory; name another"
        ] == found(STDLIB, "filename: logs/deep/bot.log")
        assert [
            f"error handlers.file.filename: '{folder}/logs' is no directory; name another"
        ] == found(STDLIB, "filename: logs/bot.log")

    def test_directory(self, folder: Path) -> None:
        """
        A directory is no file.
        """
        Path("logs").mkdir()

        assert [
            f"error handlers.file.filename: '{folder}/logs' is a directory; add a file "
            "name"
        ] == found(STDLIB, "filename: logs")

    def test_not_writable(self, folder: Path) -> None:
        """
        Neither a directory nor a file that is not writable takes records.
        """
        Path("logs").mkdir(mode=0o500)
        Path("bot.log").touch(mode=0o400)
        cure = "is not writable for this user; have its owner permit it"

        assert [f"error handlers.file.filename: '{folder}/logs' {cure}"] == found(
            STDLIB, "filename: logs/bot.log"
        )
        assert [f"error handlers.file.filename: '{folder}/logs' {cure}"] == found(
            STDLIB, "filename: logs/deep/bot.log"
        )
        assert [f"error handlers.file.filename: '{folder}/bot.log' {cure}"] == found(
            STDLIB, "filename: bot.log"
        )

    def test_cannot_rotate(self, folder: Path) -> None:
        """
        A file that can be written is renamed only where its directory permits it.
        """
        Path("logs").mkdir()
        Path("logs/bot.log").touch()
        Path("logs").chmod(0o500)

        assert [] == found(STDLIB, "filename: logs/bot.log")
        for kind in ("logging.handlers.TimedRotatingFileHandler", OURS):
            assert [
                f"warning handlers.file.filename: '{folder}/logs' is not writable for "
                "this user, so a full file cannot be renamed and grows on; have its "
                "owner permit it"
            ] == found(kind, "filename: logs/bot.log")

    @pytest.mark.parametrize(
        "options",
        [
            "filename: bot.log",
            "filename: /dev/stdout",
            "filename: '${NOT_SET}/bot.log'",
            "filename: ext://bot.settings.file",
            "filename: 12",
            "level: INFO",
        ],
    )
    def test_fine(self, folder: Path, options: str) -> None:
        """
        What can be written, is a device, or cannot be told, is nothing to say.
        """
        assert [] == found(STDLIB, options)
        assert [] == list(folder.iterdir())


class TestOurs:
    def test_made_when_needed(self, folder: Path) -> None:
        """
        Our handlers make directories; nothing is made to find that out.
        """
        assert [] == found(OURS, "filename: logs/deep/bot.log")
        assert [] == found(TRAIL, "filename: logs/deep/bot.log")
        assert [] == list(folder.iterdir())

    def test_cannot_be_made(self, folder: Path) -> None:
        """
        The service starts all the same, so that is a warning.
        """
        Path("logs").mkdir(mode=0o500)
        Path("file").touch()

        assert [
            f"warning handlers.file.filename: '{folder}/logs' is not writable for this "
            "user; have its owner permit it; until then, records wait in memory"
        ] == found(OURS, "filename: logs/deep/bot.log")
        assert [
            f"warning handlers.file.filename: '{folder}/file' is no directory; name "
            "another; until then, records wait in memory"
        ] == found(TRAIL, "filename: file/bot.log")

    def test_link(self, folder: Path) -> None:
        """
        A link is not followed, unless that is asked for.
        """
        Path("bot.log").symlink_to("elsewhere.log")
        what = (
            f"warning handlers.file.filename: '{folder}/bot.log' is a symbolic link, "
            "which is not followed, so that records wait in memory; name the file itself"
        )

        assert [f"{what}, or write `follow_symlinks: true`"] == found(
            OURS, "filename: bot.log"
        )
        assert [what] == found(TRAIL, "filename: bot.log")
        assert [] == found(OURS, "filename: bot.log, follow_symlinks: true")

    def test_directory(self) -> None:
        """
        That a file name is a directory's, the constructor says.
        """
        Path("logs").mkdir()

        assert [] == found(OURS, "filename: logs")

    def test_open_to_all(self, folder: Path) -> None:
        """
        Where anybody may remove files, a trail is nobody's evidence.
        """
        Path("logs").mkdir()
        Path("logs").chmod(0o777)

        assert [
            f"warning handlers.file.filename: anybody may remove or replace files in "
            f"'{folder}/logs', an audit trail too; chmod o-w {folder}/logs"
        ] == found(TRAIL, "filename: logs/trail.log")
        assert [] == found(OURS, "filename: logs/bot.log")
        Path("logs").chmod(0o1777)  # as /tmp: only the owner may remove a file
        assert [] == found(TRAIL, "filename: logs/trail.log")

    def test_link_to_nowhere(self, folder: Path) -> None:
        """
        A directory that is a link to nowhere can hold nothing.
        """
        Path("logs").symlink_to("elsewhere")

        assert [
            f"warning handlers.file.filename: '{folder}/logs' is no directory; name "
            "another; until then, records wait in memory"
        ] == found(TRAIL, "filename: logs/trail.log")


class TestSpool:
    def test_not_writable(self, folder: Path) -> None:
        """
        A folder that cannot be had keeps nothing of what waits.
        """
        Path("spool").mkdir(mode=0o500)

        assert [
            f"warning handlers.file.spool_dir: '{folder}/spool' is not writable for this "
            "user; have its owner permit it; until then, what waits dies with the process"
        ] == found("chimera_log.CloudWatchHandler", "spool_dir: spool")

    def test_fine(self) -> None:
        """
        One that is made when it is needed is fine; foreign options are not ours.
        """
        assert [] == found("chimera_log.CloudWatchHandler", "spool_dir: logs/spool")
        assert [] == found("bot.Handler", "spool_dir: /dev/null/x")


class TestDatabase:
    def test_not_writable(self, folder: Path) -> None:
        """
        A folder that cannot be had holds no database.
        """
        Path("data").mkdir(mode=0o500)

        assert [
            f"warning handlers.file.database: '{folder}/data' is not writable for this "
            "user; have its owner permit it; until then, it lacks the records"
        ] == found(TRAIL, "database: sqlite:///data/trail.db")

    @pytest.mark.parametrize(
        "database",
        ["sqlite:///made/trail.db", "postgresql://bot@db/audit", "null", "nonsense"],
    )
    def test_fine(self, database: str) -> None:
        """
        One that is made when it is needed is fine; so is what is elsewhere, or is said
        by others to be none.
        """
        assert [] == found(TRAIL, f"database: {database}")
