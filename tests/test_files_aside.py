"""
The hidden folder remembers what is about a log file, and never stands in its way.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from chimera_log.files.aside import Aside
from tests.logs import refusing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the hidden folder of ``bot.log`` is, or will be."""
    return tmp_path / ".bot.log.d"


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    """Return the hidden folder of ``bot.log``."""
    return Aside(str(tmp_path), "bot.log")


class TestNumber:
    def test_none_yet(self, aside: Aside, folder: Path) -> None:
        """
        Before any was given the last number is 0, and nothing is made.
        """
        assert 0 == aside.last_number()
        assert not folder.exists()

    def test_remembered(self, aside: Aside, tmp_path: Path) -> None:
        """
        The last number given is told, by this process and by the next.
        """
        for number in (1, 999_999, 10**12, 7):
            aside.remember_number(number, 0o640)
            assert number == aside.last_number()
            assert number == Aside(str(tmp_path), "bot.log").last_number()

    @pytest.mark.parametrize("content", [b"", b"\n", b"one", b"\0" * 20])
    def test_damaged(self, aside: Aside, folder: Path, content: bytes) -> None:
        """
        What is no number counts as none.
        """
        folder.mkdir()
        (folder / "number").write_bytes(content)

        assert 0 == aside.last_number()

    def test_half_written(
        self, aside: Aside, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A disk that takes half of a number leaves the one before.
        """
        aside.remember_number(41, 0o640)
        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:-3]))
            aside.remember_number(42, 0o640)
        assert 41 == aside.last_number()

        aside.remember_number(43, 0o640)
        assert 43 == aside.last_number()
        assert ["number"] == [file.name for file in folder.iterdir()]

    @pytest.mark.parametrize("taken", range(21))
    def test_never_less(
        self, aside: Aside, monkeypatch: pytest.MonkeyPatch, taken: int
    ) -> None:
        """
        However much of a number a disk takes, it is not less than the one before.
        """
        write = os.write
        for before, number in ((99, 100), (1_999, 2_000), (9, 10)):
            aside.remember_number(before, 0o640)
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", lambda fd, data: write(fd, data[:taken]))
                aside.remember_number(number, 0o640)
            assert before <= aside.last_number()

    def test_apart(self, aside: Aside, tmp_path: Path) -> None:
        """
        Each log file has its own.
        """
        aside.remember_number(3, 0o640)

        assert 0 == Aside(str(tmp_path), "other.log").last_number()


class TestFragments:
    def test_kept(self, aside: Aside, folder: Path) -> None:
        """
        Each fragment is a line, the oldest first.
        """
        aside.keep_fragment(b'{"a', 0o640)
        aside.keep_fragment(b"\0\xff", 0o640)

        assert b'{"a\n\0\xff\n' == (folder / "fragments").read_bytes()


class TestFolder:
    def test_not_among_the_logs(self, aside: Aside, tmp_path: Path) -> None:
        """
        The name of the log file and a star match nothing of it.
        """
        aside.remember_number(1, 0o640)

        assert [] == list(tmp_path.glob("bot.log*"))

    def test_mode(self, aside: Aside, folder: Path) -> None:
        """
        Files in it can be read by nobody who cannot read the log.
        """
        aside.keep_fragment(b"secret", 0o600)

        assert 0o600 == stat.S_IMODE((folder / "fragments").stat().st_mode)
        assert 0 == stat.S_IMODE(folder.stat().st_mode) & 0o007

    def test_in_the_way(self, aside: Aside, folder: Path) -> None:
        """
        A file in the folder's place is no error; nothing is remembered.
        """
        folder.write_bytes(b"mine")
        aside.remember_number(1, 0o640)
        aside.keep_fragment(b"x", 0o640)

        assert 0 == aside.last_number()
        assert b"mine" == folder.read_bytes()

    def test_planted_link(self, aside: Aside, folder: Path, tmp_path: Path) -> None:
        """
        A link that somebody planted in it is not followed.
        """
        folder.mkdir()
        (folder / "fragments").symlink_to(tmp_path / "target")
        aside.keep_fragment(b"x", 0o640)

        assert not (tmp_path / "target").exists()

    def test_full_disk(self, aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A write that fails is no error, and leaves no descriptor.
        """
        monkeypatch.setattr(os, "write", refusing(errno.ENOSPC))
        aside.remember_number(1, 0o640)

        assert 0 == aside.last_number()
