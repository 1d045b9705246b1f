"""
Files are opened where they really are, and made for whom they are meant.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.files import opening
from chimera_log.files.opening import (
    FLAGS,
    is_device,
    make_directory,
    open_or_make,
    read_at,
    sync_directory,
    target_of,
    write_all,
)
from tests.conftest import descriptors
from tests.logs import refusing

SERVICE = 4_321  # a user, and a group, that owns a directory
Gifts = list[tuple[int, int, int]]


class Owned(NamedTuple):
    """What `os.stat` says of a directory of the service."""

    st_mode: int = stat.S_IFDIR | 0o755
    st_uid: int = SERVICE
    st_gid: int = SERVICE + 1


@pytest.fixture
def gifts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Gifts:
    """Return what root gives away; *tmp_path* and all below belong to the service."""
    given: Gifts = []
    real = os.stat

    def look(path: Any, **options: Any) -> Any:
        return Owned() if path == str(tmp_path) else real(path, **options)

    def give(fd: int, user: int, group: int) -> None:
        given.append((os.fstat(fd).st_ino, user, group))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "stat", look)
    monkeypatch.setattr(os, "fchown", give)
    return given


class TestOpenOrMake:
    def test_made(self, tmp_path: Path) -> None:
        """
        A file that is not there is made, with the bits asked for.
        """
        before = os.umask(0o077)
        try:
            os.close(open_or_make(str(tmp_path / "bot.log"), FLAGS, 0o664))
        finally:
            os.umask(before)

        assert 0o664 == stat.S_IMODE((tmp_path / "bot.log").stat().st_mode)

    def test_was_there(self, tmp_path: Path, gifts: Gifts) -> None:
        """
        One that was there keeps its bits, its owner and what it holds.
        """
        path = tmp_path / "bot.log"
        path.write_bytes(b"x")
        path.chmod(0o604)
        os.close(open_or_make(str(path), FLAGS, 0o640))

        assert (b"x", 0o604) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        assert [] == gifts

    def test_given(self, tmp_path: Path, gifts: Gifts) -> None:
        """
        What root makes belongs to the owner of its directory.
        """
        path = tmp_path / "bot.log"
        fd = open_or_make(str(path), FLAGS | os.O_APPEND | opening.NOFOLLOW, 0o664)
        os.write(fd, b"x")
        os.close(fd)

        assert b"x" == path.read_bytes()
        found = path.stat()
        assert 0o664 == stat.S_IMODE(found.st_mode)
        assert [(found.st_ino, SERVICE, SERVICE + 1)] == gifts

    @pytest.mark.usefixtures("gifts")
    def test_given_before_it_is_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that is not given yet cannot be found: a worker could not open it.
        """
        seen: list[bool] = []
        path = tmp_path / "bot.log"
        monkeypatch.setattr(os, "fchown", lambda *_: seen.append(path.exists()))
        os.close(open_or_make(str(path), FLAGS, 0o640))

        assert [False] == seen
        assert path.exists()

    def test_given_afterwards(
        self, tmp_path: Path, gifts: Gifts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where no file can be made without a name, it is given as soon as it is made.
        """
        monkeypatch.delattr(os, "O_TMPFILE")
        path = tmp_path / "bot.log"
        os.close(open_or_make(str(path), FLAGS, 0o640))

        assert [(path.stat().st_ino, SERVICE, SERVICE + 1)] == gifts

    def test_no_proc(
        self, tmp_path: Path, gifts: Gifts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So it is where a file without a name cannot be named, as without /proc.
        """

        def link(*_: object, **__: object) -> None:
            raise FileNotFoundError(errno.ENOENT, "no /proc here")

        monkeypatch.setattr(os, "link", link)
        path = tmp_path / "bot.log"
        os.close(open_or_make(str(path), FLAGS, 0o640))

        assert (path.stat().st_ino, SERVICE, SERVICE + 1) == gifts[-1]
        assert [path] == list(tmp_path.iterdir())

    @pytest.mark.usefixtures("gifts")
    def test_overtaken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The file of a sibling that was first is opened, and ours is gone.
        """
        path = tmp_path / "bot.log"
        monkeypatch.setattr(os, "fchown", lambda *_: path.write_bytes(b"sibling\n"))
        fd = open_or_make(str(path), FLAGS, 0o640)
        found = os.read(fd, 100)
        os.close(fd)

        assert b"sibling\n" == found
        assert [path] == list(tmp_path.iterdir())

    def test_planted(
        self, tmp_path: Path, gifts: Gifts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What somebody planted at the last moment is not given to him.
        """
        secret, path = tmp_path / "secret", tmp_path / "bot.log"
        secret.write_bytes(b"x")
        really = os.open

        def late(name: str, flags: int, *mode: int) -> int:
            if flags & os.O_EXCL:
                path.hardlink_to(secret)
            return really(name, flags, *mode)

        monkeypatch.setattr(os, "open", late)
        monkeypatch.delattr(os, "O_TMPFILE")
        os.close(open_or_make(str(path), FLAGS, 0o666))

        assert [] == gifts
        assert 0 == stat.S_IMODE(secret.stat().st_mode) & 0o022

    def test_of_root(
        self, tmp_path: Path, gifts: Gifts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        In a directory of root's own nothing is given away.
        """
        monkeypatch.setattr(os, "stat", lambda _: Owned(st_uid=0))
        os.close(open_or_make(str(tmp_path / "bot.log"), FLAGS, 0o640))

        assert [] == gifts

    def test_not_root(
        self, tmp_path: Path, gifts: Gifts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nobody else gives anything away.
        """
        monkeypatch.setattr(os, "geteuid", lambda: SERVICE)
        os.close(open_or_make(str(tmp_path / "bot.log"), FLAGS, 0o640))

        assert [] == gifts

    @pytest.mark.usefixtures("gifts")
    def test_no_owners(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A file system that keeps no owners is no trouble.
        """
        monkeypatch.setattr(os, "fchown", refusing(errno.EPERM))
        os.close(open_or_make(str(tmp_path / "bot.log"), FLAGS, 0o640))

        assert (tmp_path / "bot.log").exists()


class TestMakeDirectory:
    def test_all_of_them(self, tmp_path: Path) -> None:
        """
        Those above are made as well.
        """
        make_directory(str(tmp_path / "a" / "b" / "c"), 0o700)

        assert 0o700 == stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode)

    def test_was_there(self, tmp_path: Path, gifts: Gifts) -> None:
        """
        One that is there is left alone, and so is the root of all.
        """
        make_directory(str(tmp_path))
        make_directory("/")

        assert [] == gifts

    def test_given(self, tmp_path: Path, gifts: Gifts) -> None:
        """
        What root makes belongs to the owner of the directory above.
        """
        make_directory(str(tmp_path / "logs"))

        assert [((tmp_path / "logs").stat().st_ino, SERVICE, SERVICE + 1)] == gifts

    def test_not_root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nobody else needs to look at what he made.
        """
        monkeypatch.setattr(os, "geteuid", lambda: SERVICE)
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))
        make_directory(str(tmp_path / "logs"))

        assert (tmp_path / "logs").is_dir()


class TestTargetOf:
    def test_no_link(self, tmp_path: Path) -> None:
        """
        A file leads to itself, and so does one that is not there.
        """
        (tmp_path / "file").touch()

        for name in ("file", "none"):
            assert str(tmp_path / name) == target_of(str(tmp_path / name))

    def test_links(self, tmp_path: Path) -> None:
        """
        Links are followed to the last, from where each of them is.
        """
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "first").symlink_to("a/b/second")
        (tmp_path / "a" / "b" / "second").symlink_to("../third")
        (tmp_path / "a" / "third").symlink_to(tmp_path / "bot.log")

        assert str(tmp_path / "bot.log") == target_of(str(tmp_path / "first"))

    def test_circle(self, tmp_path: Path) -> None:
        """
        Links that lead to each other have an end; opening it will fail.
        """
        (tmp_path / "one").symlink_to("two")
        (tmp_path / "two").symlink_to("one")

        with pytest.raises(OSError, match="Too many levels"):
            os.open(target_of(str(tmp_path / "one")), FLAGS | opening.NOFOLLOW)

    @pytest.mark.parametrize("link", ["/dev/stdout", "../linked/stdout"])
    def test_device(self, tmp_path: Path, link: str) -> None:
        """
        A device is the end, though it be a link itself.
        """
        (tmp_path / "linked").symlink_to("/dev")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "bot.log").symlink_to(link)

        assert "/dev/stdout" == target_of(str(tmp_path / "folder" / "bot.log"))


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        (True, "/dev/stdout"),
        (True, "/proc/self/fd/1"),
        (False, "/dev/shm/bot.log"),  # noqa: S108  nothing is written
        (False, "/var/log/bot.log"),
        (False, "/devices/bot.log"),
    ],
)
def test_is_device(expected: bool, path: str) -> None:
    """
    Devices are what the system made; shared memory is for files.
    """
    assert expected is is_device(path)


class TestSyncDirectory:
    def test_synced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It is the directory that is synced, and closed again.
        """
        synced: list[Path] = []

        def sync(fd: int) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink())

        monkeypatch.setattr(os, "fsync", sync)
        before = descriptors()
        sync_directory(str(tmp_path))

        assert [tmp_path] == synced
        assert len(before) == len(descriptors())

    def test_cannot_be_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file system that syncs no directories is no trouble.
        """
        monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
        sync_directory(str(tmp_path))

    def test_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A disk that refuses is.
        """
        before = descriptors()
        monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
        with pytest.raises(OSError, match="refused"):
            sync_directory(str(tmp_path))

        assert len(before) == len(descriptors())

    @pytest.mark.parametrize("name", ["missing", "file"])
    def test_none(self, tmp_path: Path, name: str) -> None:
        """
        So is what is no directory.
        """
        (tmp_path / "file").touch()

        with pytest.raises(OSError, match=name):
            sync_directory(str(tmp_path / name))

    def test_no_directories(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A system that opens no directories is not asked.
        """
        monkeypatch.delattr(os, "O_DIRECTORY")
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))
        sync_directory(str(tmp_path))


class TestWriteAll:
    @pytest.mark.parametrize("most", [1, 3, 7, 100])
    def test_in_pieces(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        """
        All is written, however little the system takes at a time.
        """
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:most]))
        path = tmp_path / "file"
        with path.open("wb", buffering=0) as file:
            write_all(file.fileno(), b"0123456789")

        assert b"0123456789" == path.read_bytes()

    def test_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nothing takes no call.
        """
        monkeypatch.setattr(os, "write", refusing(errno.EIO))
        write_all(-1, b"")


@given(st.binary(max_size=20), st.integers(0, 25), st.integers(0, 25))
def test_read_at(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, length: int, offset: int
) -> None:
    """
    What is read at a place is the same with pread and without.
    """
    path = tmp_path_factory.mktemp("read") / "file"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = [read_at(fd, length, offset)]
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(os, "pread")
            found.append(read_at(fd, length, offset))
    finally:
        os.close(fd)

    assert [content[offset : offset + length]] * 2 == found
