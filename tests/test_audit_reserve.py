"""
Disk space is set aside while there is plenty, and given back once.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chimera_log.audit.reserve import Reserve
from tests.conftest import descriptors
from tests.logs import refusing

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64 * 1024


class Disk(NamedTuple):
    """What `os.statvfs` says of a disk."""

    f_bavail: int
    f_frsize: int = 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the hidden folder is to be."""
    return tmp_path / ".executions.log.d"


def reserve(folder: Path, size: int = SIZE) -> Reserve:
    """Return the reserve in *folder*, as any process would make it."""
    return Reserve(str(folder), size)


class TestFill:
    def test_set_aside(self, folder: Path) -> None:
        """
        The space is really taken, in a folder that is made for it.
        """
        reserve(folder).fill()

        found = (folder / "reserve").stat()
        assert SIZE == found.st_size
        assert found.st_blocks * 512 >= SIZE
        assert 0o640 == stat.S_IMODE(found.st_mode)

    def test_none(self, folder: Path) -> None:
        """
        Without a size nothing is made.
        """
        reserve(folder, 0).fill()

        assert not folder.exists()

    def test_once(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What is set aside is not set aside again, by whomever it was.
        """
        reserve(folder).fill()
        monkeypatch.setattr(os, "posix_fallocate", refusing(errno.EIO))
        reserve(folder).fill()

        assert SIZE == (folder / "reserve").stat().st_size

    def test_more(self, folder: Path) -> None:
        """
        A smaller one grows; a larger one stays.
        """
        reserve(folder).fill()
        reserve(folder, 2 * SIZE).fill()
        reserve(folder, SIZE).fill()

        assert 2 * SIZE == (folder / "reserve").stat().st_size

    @pytest.mark.parametrize(
        ("free", "expected"), [(2 * SIZE, True), (2 * SIZE - 1, False)]
    )
    def test_only_of_plenty(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        free: int,
        *,
        expected: bool,
    ) -> None:
        """
        With less than twice as much free, the reserve would be what fills the disk.
        """
        monkeypatch.setattr(os, "statvfs", lambda _: Disk(free))
        reserve(folder).fill()

        assert expected == (folder / "reserve").exists()

    def test_disk_full_meanwhile(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What cannot be set aside as a whole is not kept in part.
        """

        def fallocate(fd: int, offset: int, length: int) -> None:
            os.ftruncate(fd, offset + length // 2)
            raise OSError(errno.ENOSPC, "refused")

        before = descriptors()
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", fallocate)
            reserve(folder).fill()
        assert 0 == (folder / "reserve").stat().st_size
        assert len(before) == len(descriptors())
        assert not reserve(folder).release()

    @pytest.mark.parametrize("name", ["statvfs", "posix_fallocate"])
    def test_no_such_call(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """
        On a system that cannot say or do it there is no reserve.
        """
        monkeypatch.delattr(os, name)
        before = descriptors()
        made = reserve(folder)
        made.fill()
        made.fill()

        assert not made.release()
        assert len(before) == len(descriptors())

    @pytest.mark.parametrize("name", ["statvfs", "open", "mkdir", "ftruncate"])
    def test_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """
        Where it cannot be done nothing is raised, and nothing left open.
        """
        before = descriptors()
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refusing(errno.EACCES))
            if name == "ftruncate":
                patch.setattr(os, "posix_fallocate", refusing(errno.ENOSPC))
            reserve(folder).fill()

        assert len(before) == len(descriptors())
        assert not reserve(folder).release()

    @pytest.mark.parametrize("there", [True, False])
    def test_link(self, folder: Path, tmp_path: Path, *, there: bool) -> None:
        """
        A link that somebody planted is not followed.
        """
        folder.mkdir()
        elsewhere = tmp_path / "elsewhere"
        if there:
            elsewhere.write_bytes(b"precious")
        (folder / "reserve").symlink_to(elsewhere)
        reserve(folder).fill()

        assert there == elsewhere.exists()
        assert not there or elsewhere.read_bytes() == b"precious"

    def test_folder(self, folder: Path) -> None:
        """
        Nor is a folder in its place touched.
        """
        (folder / "reserve").mkdir(parents=True)
        made = reserve(folder)
        made.fill()

        assert not made.release()
        assert (folder / "reserve").is_dir()


class TestRelease:
    def test_once(self, folder: Path) -> None:
        """
        It is given back once, to whoever asks first.
        """
        first, second = reserve(folder), reserve(folder)
        first.fill()

        assert second.release()
        assert not first.release()
        assert [] == list(folder.iterdir())

    def test_none(self, folder: Path) -> None:
        """
        Where there is none there is nothing to give back.
        """
        assert not reserve(folder).release()

    def test_filled_again(self, folder: Path) -> None:
        """
        When there is room again it is set aside again.
        """
        made = reserve(folder)
        made.fill()
        made.release()
        made.fill()

        assert SIZE == (folder / "reserve").stat().st_size

    def test_link(self, folder: Path, tmp_path: Path) -> None:
        """
        A planted link is removed, holds nothing, and what it leads to stays.
        """
        folder.mkdir()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(b"precious")
        (folder / "reserve").symlink_to(elsewhere)

        assert not reserve(folder).release()
        assert b"precious" == elsewhere.read_bytes()
        assert not (folder / "reserve").is_symlink()

    def test_not_any_more(self, folder: Path) -> None:
        """
        What was set aside is given back though none is wanted any more.
        """
        reserve(folder).fill()

        assert reserve(folder, 0).release()
