"""
Full segments are compressed in steps; whatever happens between two, or instead of
one, each line is there once in the end.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import signal
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.files import compress
from chimera_log.files.compress import Compression, Turn, clear, unfinished
from chimera_log.files.names import segment_name
from tests.logs import FIRST, held, is_unlocked, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEGMENT = segment_name("bot.log", FIRST, 1)
CONTENT = b"".join(b'{"event":"filled","number":%d}\n' % n for n in range(50))
SMALL = 100  # bytes in a chunk, where steps are to be many
LATE = b"a line of one who waited in vain for the lock\n"


class Full:
    """
    One full segment in a directory of its own.

    Args:
        directory: Where it is.
        content: What it holds.
    """

    def __init__(self, directory: Path, content: bytes = CONTENT) -> None:
        self.directory = directory
        self.path = directory / SEGMENT
        self.packed = directory / f"{SEGMENT}.gz"
        self.folder = directory / ".bot.log.d"
        self.path.write_bytes(content)

    def compression(self, mode: int = 0o640) -> Compression:
        """Return a new one, as any process would make it."""
        return Compression(str(self.path), str(self.folder), mode)

    def add(self, line: bytes) -> None:
        """Append as somebody does who opened it while it was active."""
        with self.path.open("ab") as file:
            file.write(line)

    @property
    def partial(self) -> list[Path]:
        """The temporary files."""
        return list(self.folder.glob("*"))

    @property
    def entries(self) -> list[str]:
        """What lies in the directory, but for the hidden folder."""
        return sorted({path.name for path in self.directory.iterdir()} - {".bot.log.d"})

    @property
    def content(self) -> bytes:
        """What the `.gz` holds, which stands alone."""
        assert [self.packed.name] == self.entries
        assert [] == self.partial
        return gzip.decompress(self.packed.read_bytes())


@pytest.fixture
def full(tmp_path: Path) -> Full:
    """Return a full segment of a few lines."""
    return Full(tmp_path)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make many steps of few bytes."""
    monkeypatch.setattr(compress, "CHUNK", SMALL)


def finish(compression: Compression) -> int:
    """Do all there is to do; return how many steps that took."""
    steps = 1
    while compression.step():
        steps += 1
        assert steps < 10_000
    return steps


def before(
    monkeypatch: pytest.MonkeyPatch, name: str, do: Callable[[], object]
) -> None:
    """Let *do* happen once, right before the first call of *name*."""
    call, pending = getattr(os, name), [do]

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        while pending:
            pending.pop()()
        return call(*args, **kwargs)

    monkeypatch.setattr(os, name, interrupted)


class TestUnfinished:
    def test_oldest_first(self) -> None:
        """
        Segments are told by number, not by name or by the order of the directory.
        """
        numbers = [1_000_000, 7, 999_999]
        entries = [segment_name("bot.log", FIRST, number) for number in numbers]

        assert [entries[1], entries[2], entries[0]] == unfinished("bot.log", entries)

    def test_both(self) -> None:
        """
        A segment with its `.gz` beside it is unfinished; a `.gz` alone is not.
        """
        second = segment_name("bot.log", FIRST, 2)
        entries = [f"{SEGMENT}.gz", SEGMENT, f"{second}.gz"]

        assert [SEGMENT] == unfinished("bot.log", entries)

    def test_foreign(self) -> None:
        """
        The active file, others and what is in the midst of something stay out.
        """
        entries = [
            "bot.log",
            "bot.log.1",
            ".bot.log.d",
            f"x{SEGMENT}",
            f"{SEGMENT}.zst",
        ]

        assert [] == unfinished("bot.log", entries)


class TestCompression:
    def test_contents(self, full: Full) -> None:
        """
        The `.gz` has all of the segment and takes its place; nothing else is left.
        """
        finish(full.compression())

        assert CONTENT == full.content

    def test_empty(self, tmp_path: Path) -> None:
        """
        An empty segment becomes a `.gz` of nothing.
        """
        full = Full(tmp_path, b"")
        finish(full.compression())

        assert b"" == full.content

    def test_steps(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A step takes at most one chunk from either file, and one from the unpacker.
        """
        content = os.urandom(10 * SMALL) + bytes(100 * SMALL)
        full.path.write_bytes(content)
        monkeypatch.setattr(compress, "CHUNK", SMALL)
        reads: list[int] = []
        read = os.read

        def counting(fd: int, size: int) -> bytes:
            reads.append(size)
            return read(fd, size)

        monkeypatch.setattr(os, "read", counting)
        compression, most = full.compression(), 0
        while compression.step():
            most = max(most, sum(reads))
            reads.clear()

        assert most <= 3 * SMALL
        assert content == full.content

    def test_memory_of_zeros(self, tmp_path: Path) -> None:
        """
        A segment that packs a thousand to one is read back in bounded pieces.
        """
        full = Full(tmp_path, bytes(5 * compress.CHUNK + 1))
        steps = finish(full.compression())

        assert 11 <= steps <= 20
        assert bytes(5 * compress.CHUNK + 1) == full.content

    def test_order(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Each thing is synced before the next relies on it, and only the segment goes.
        """
        calls: list[str] = []
        sync, replace, unlink = os.fsync, os.replace, os.unlink
        names = {
            full.path.stat().st_ino: "segment",
            full.path.parent.stat().st_ino: "directory",
        }

        def syncing(fd: int) -> None:
            calls.append(f"sync {names.get(os.fstat(fd).st_ino, 'partial')}")
            sync(fd)

        def replacing(source: str, target: str) -> None:
            calls.append("replace")
            replace(source, target)

        def unlinking(path: str) -> None:
            calls.append(f"unlink {path}")
            unlink(path)

        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(os, "replace", replacing)
        monkeypatch.setattr(os, "unlink", unlinking)
        finish(full.compression())

        expected = ["sync partial", "sync segment", "replace", "sync directory"]
        expected += [f"unlink {full.path}", "sync directory"]
        assert expected == calls

    def test_same_name(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A temporary file of the name is somebody else's, and stays as it is.
        """
        monkeypatch.setattr(os, "urandom", bytes)
        first, second = full.compression(), full.compression()
        assert first.step()
        with pytest.raises(FileExistsError):
            second.step()
        finish(first)

        assert CONTENT == full.content

    def test_again_after_done(self, full: Full) -> None:
        """
        When it is done, another step finds nothing to do.
        """
        compression = full.compression()
        finish(compression)

        assert not compression.step()
        assert CONTENT == full.content

    def test_short_writes(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What a write did not take is written by the next.
        """
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        finish(full.compression())

        assert CONTENT == full.content

    def test_folder_is_there(self, full: Full) -> None:
        """
        A folder that is there is used as it is; what else it holds stays.
        """
        full.folder.mkdir()
        (full.folder / "number").write_bytes(b"1")
        finish(full.compression())

        assert [full.folder / "number"] == full.partial

    def test_linked_directory(self, tmp_path: Path) -> None:
        """
        The log directory may be a symbolic link.
        """
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        full = Full(tmp_path / "link")
        finish(full.compression())

        assert CONTENT == full.content

    @given(st.binary(max_size=500), st.lists(st.integers(0, 15), max_size=3))
    def test_stopped_and_begun_again(self, content: bytes, stops: list[int]) -> None:
        """
        Stopped after any number of steps, however often, the next one finishes it.
        """
        with (
            pytest.MonkeyPatch.context() as patch,
            TemporaryDirectory() as directory,
        ):
            patch.setattr(compress, "CHUNK", SMALL)
            full = Full(Path(directory), content)
            for number, steps in enumerate(stops):
                compression = full.compression()
                for _ in range(steps):
                    compression.step()
                # Orderly, or with the temporary file left as by a kill.
                (compression.abandon, compression.after_fork)[number % 2]()
            clear(str(full.folder))
            finish(full.compression())

            assert content == full.content


class TestOwnership:
    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
    def test_mode(self, full: Full, mode: int) -> None:
        """
        The `.gz` has the permission bits asked for, whatever the umask.
        """
        umask = os.umask(0o077)
        try:
            finish(full.compression(mode))
        finally:
            os.umask(umask)

        assert mode == stat.S_IMODE(full.packed.stat().st_mode)

    def test_owner(self, full: Full) -> None:
        """
        The `.gz` that root makes belongs to whom the segment belonged.
        """
        if os.getuid():
            pytest.skip("needs root")
        os.chown(full.path, 1234, 4321)
        finish(full.compression())

        assert (1234, 4321) == (full.packed.stat().st_uid, full.packed.stat().st_gid)

    def test_no_modes(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A file system that keeps neither owners nor modes is no reason to fail.
        """
        monkeypatch.setattr(os, "fchown", refusing(errno.EPERM))
        monkeypatch.setattr(os, "fchmod", refusing(errno.EPERM))
        finish(full.compression())

        assert CONTENT == full.content

    def test_other_system(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nor is a system without owners, modes and directories that can be opened.
        """
        for name in ("fchown", "fchmod", "O_DIRECTORY"):
            monkeypatch.delattr(os, name)
        finish(full.compression())

        assert CONTENT == full.content

    def test_no_directory_sync(
        self, full: Full, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor is a file system that syncs files but no directories.
        """
        sync = os.fsync

        def files_only(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not for directories")
            sync(fd)

        monkeypatch.setattr(os, "fsync", files_only)
        finish(full.compression())

        assert CONTENT == full.content


class TestBothThere:
    """A `.gz` beside its segment, whose maker died before he removed that."""

    def test_equal(self, full: Full) -> None:
        """
        One that holds the same is kept as it is.
        """
        full.packed.write_bytes(gzip.compress(CONTENT, compresslevel=1))
        inode = full.packed.stat().st_ino
        finish(full.compression())

        assert inode == full.packed.stat().st_ino
        assert CONTENT == full.content

    @pytest.mark.usefixtures("small")
    @pytest.mark.parametrize("length", [0, 1, len(CONTENT) - 1])
    def test_cut_segment(self, full: Full, length: int) -> None:
        """
        One that holds more is kept: a power cut, perhaps, cut the segment.
        """
        full.packed.write_bytes(gzip.compress(CONTENT))
        full.path.write_bytes(CONTENT[:length])
        finish(full.compression())

        assert CONTENT == full.content

    @pytest.mark.parametrize(
        "packed",
        [
            b"",
            b"no gzip",
            gzip.compress(CONTENT)[:-1],
            gzip.compress(CONTENT)[:-9] + bytes(9),
            gzip.compress(CONTENT) + b"\0",
            gzip.compress(CONTENT) * 2,
            gzip.compress(CONTENT[:-1]),
            gzip.compress(CONTENT.swapcase()),
        ],
        ids=[
            *("empty", "foreign", "cut off", "checksum", "tail", "twice"),
            *("shorter", "different"),
        ],
    )
    def test_not_equal(self, full: Full, packed: bytes) -> None:
        """
        One that does not hold the same is replaced.
        """
        full.packed.write_bytes(packed)
        finish(full.compression())

        assert CONTENT == full.content

    def test_something_follows_later(
        self, full: Full, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        That holds though what follows its end begins with another chunk.
        """
        packed = gzip.compress(CONTENT)
        full.packed.write_bytes(packed + b"\0")
        monkeypatch.setattr(compress, "CHUNK", len(packed))
        inode = full.packed.stat().st_ino
        finish(full.compression())

        assert inode != full.packed.stat().st_ino
        assert CONTENT == full.content

    @pytest.mark.usefixtures("small")
    def test_grown(self, full: Full) -> None:
        """
        A segment that grows while they are compared is compressed again.
        """
        full.packed.write_bytes(gzip.compress(CONTENT))
        compression = full.compression()
        steps = finish(full.compression())
        full.path.write_bytes(CONTENT)
        for _ in range(steps - 1):
            assert compression.step()
        full.add(LATE)
        finish(compression)

        assert CONTENT + LATE == full.content


class TestInTheWay:
    """What is not a segment, though it is called like one."""

    def test_directory(self, full: Full) -> None:
        """
        A directory in the segment's place is left alone.
        """
        full.path.unlink()
        full.path.mkdir()

        assert not full.compression().step()
        assert [SEGMENT] == full.entries

    def test_symlink(self, full: Full, tmp_path: Path) -> None:
        """
        So is a symbolic link, and what it leads to.
        """
        full.path.rename(tmp_path / "target")
        full.path.symlink_to(tmp_path / "target")

        assert not full.compression().step()
        assert full.path.is_symlink()
        assert CONTENT == (tmp_path / "target").read_bytes()

    def test_symlink_meanwhile(
        self, full: Full, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A link that is planted at the last moment is not followed.
        """

        def plant() -> None:
            full.path.rename(tmp_path / "target")
            full.path.symlink_to(tmp_path / "target")

        before(monkeypatch, "open", plant)
        with pytest.raises(OSError, match="symbolic links"):
            full.compression().step()

        assert CONTENT == (tmp_path / "target").read_bytes()

    def test_fifo(self, full: Full) -> None:
        """
        A FIFO keeps nobody waiting.
        """
        full.path.unlink()
        os.mkfifo(full.path)

        assert not full.compression().step()

    def test_fifo_at_target(self, full: Full) -> None:
        """
        Nor does one in the place of the `.gz`, which is replaced.
        """
        os.mkfifo(full.packed)
        finish(full.compression())

        assert CONTENT == full.content

    def test_directory_at_target(self, full: Full) -> None:
        """
        A directory in the place of the `.gz` is an error; the segment stays.
        """
        full.packed.mkdir()
        with pytest.raises(IsADirectoryError):
            finish(full.compression())

        assert CONTENT == full.path.read_bytes()
        assert [] == full.partial

    def test_symlink_at_target(self, full: Full, tmp_path: Path) -> None:
        """
        A link there is an error too: nothing is written to what it leads to.
        """
        full.packed.symlink_to(tmp_path / "target")
        with pytest.raises(OSError, match="symbolic links"):
            finish(full.compression())

        assert CONTENT == full.path.read_bytes()
        assert not (tmp_path / "target").exists()

    def test_file_for_folder(self, full: Full) -> None:
        """
        A file in the place of the hidden folder is an error; the segment stays.
        """
        full.folder.write_bytes(b"mine")
        with pytest.raises(NotADirectoryError):
            finish(full.compression())

        assert CONTENT == full.path.read_bytes()
        assert b"mine" == full.folder.read_bytes()


class TestVanished:
    """A segment that somebody removes: pruned, or compressed by another."""

    def test_before(self, full: Full) -> None:
        """
        What is gone before the first step needs none.
        """
        full.path.unlink()

        assert not full.compression().step()
        assert [] == full.entries

    @pytest.mark.usefixtures("small")
    def test_any_step(self, full: Full) -> None:
        """
        Gone after any step, it is not brought back, and no temporary file is left.
        """
        steps = finish(full.compression())
        for number in range(1, steps):
            full.packed.unlink(missing_ok=True)
            full.path.write_bytes(CONTENT)
            compression = full.compression()
            for _ in range(number):
                assert compression.step()
            full.path.unlink()
            finish(compression)

            assert [] == full.entries
            assert [] == full.partial

    def test_last_moment(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Gone when it was to be removed, it is done.
        """
        before(monkeypatch, "unlink", full.path.unlink)
        finish(full.compression())

        assert CONTENT == full.content

    def test_all_of_it(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where the directory is gone too there is nothing to do, and none is made.
        """

        def remove() -> None:
            full.path.unlink()
            full.directory.rmdir()

        before(monkeypatch, "mkdir", remove)
        finish(full.compression())

        assert not full.directory.exists()


class TestGrown:
    """Lines that come late, from one who waited in vain for the lock."""

    @pytest.mark.usefixtures("small")
    def test_any_step(self, full: Full) -> None:
        """
        A line that comes after any step is in the `.gz`, once.
        """
        steps = finish(full.compression())
        for number in range(1, steps):
            full.packed.unlink()
            full.path.write_bytes(CONTENT)
            compression = full.compression()
            for _ in range(number):
                assert compression.step()
            full.add(LATE)
            finish(compression)

            assert CONTENT + LATE == full.content

    @pytest.mark.parametrize("call", ["open", "read", "write", "fsync", "replace"])
    def test_any_call(
        self, full: Full, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """
        So is one that comes within a step.
        """
        before(monkeypatch, call, lambda: full.add(LATE))
        finish(full.compression())

        assert CONTENT + LATE == full.content

    def test_after_rename(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        So is one that comes when the `.gz` is in place already.
        """
        replace = os.replace

        def then_late(source: str, target: str) -> None:
            monkeypatch.setattr(os, "replace", replace)
            replace(source, target)
            full.add(LATE)

        monkeypatch.setattr(os, "replace", then_late)
        finish(full.compression())

        assert CONTENT + LATE == full.content


class TestLocked:
    """A segment whose lock somebody holds: who waits for it may yet append to it."""

    def test_at_the_beginning(self, full: Full) -> None:
        """
        It is left for later, without any work.
        """
        with held(full.path), pytest.raises(BlockingIOError, match="holds its lock"):
            full.compression().step()

        assert [SEGMENT] == full.entries
        assert [] == full.partial

    @pytest.mark.usefixtures("small")
    def test_meanwhile(self, full: Full) -> None:
        """
        It is left for later even when the work is done; then it is done again.
        """
        compression = full.compression()
        assert compression.step()
        with held(full.path), pytest.raises(BlockingIOError, match="holds its lock"):
            finish(compression)
        assert ([SEGMENT], []) == (full.entries, full.partial)

        finish(compression)
        assert CONTENT == full.content

    @pytest.mark.usefixtures("small")
    def test_never_kept(self, full: Full) -> None:
        """
        Between steps the lock is free: nobody has to wait for it because of us.
        """
        compression = full.compression()
        while compression.step():
            assert is_unlocked(full.path)

    def test_two_at_once(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        While one puts its `.gz` in place, another that read more of it cannot: its
        own would be replaced by the shorter one after the segment was gone.
        """

        def overtake() -> None:
            full.add(LATE)
            with pytest.raises(BlockingIOError, match="holds its lock"):
                finish(full.compression())

        before(monkeypatch, "replace", overtake)
        finish(full.compression())

        assert CONTENT + LATE == full.content

    def test_no_locks(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A file system without locks is no reason to wait for one.
        """
        monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
        finish(full.compression())

        assert CONTENT == full.content


class TestRefused:
    """System calls that fail."""

    @pytest.mark.parametrize(
        ("call", "code"),
        [
            ("open", errno.EMFILE),
            ("mkdir", errno.EROFS),
            ("read", errno.EIO),
            ("write", errno.ENOSPC),
            ("fsync", errno.EIO),
            ("replace", errno.EACCES),
            ("lstat", errno.EACCES),
        ],
    )
    def test_before_the_end(
        self, full: Full, monkeypatch: pytest.MonkeyPatch, call: str, code: int
    ) -> None:
        """
        The error is raised, all is as before, and the same object can try again.
        """
        compression = full.compression()
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refusing(code))
            with pytest.raises(OSError, match="refused") as raised:
                finish(compression)
        assert code == raised.value.errno
        assert CONTENT == full.path.read_bytes()
        assert ([SEGMENT], []) == (full.entries, full.partial)

        finish(compression)
        assert CONTENT == full.content

    @pytest.mark.parametrize("call", ["unlink", "fsync"])
    def test_at_the_end(
        self, full: Full, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """
        When only the segment's removal fails, the whole `.gz` stands beside it.
        """
        compression = full.compression()
        with monkeypatch.context() as patch:
            refuse = refusing(errno.EIO)
            after = "replace" if call == "fsync" else "fsync"
            before(patch, after, lambda: patch.setattr(os, call, refuse))
            with pytest.raises(OSError, match="refused"):
                finish(compression)
        assert CONTENT == full.path.read_bytes()
        assert CONTENT == gzip.decompress(full.packed.read_bytes())

        finish(compression)
        assert CONTENT == full.content

    def test_partial_stays(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A temporary file that cannot be removed does not hide the cause.
        """
        monkeypatch.setattr(os, "fsync", refusing(errno.ENOSPC))
        monkeypatch.setattr(os, "unlink", refusing(errno.EROFS))
        with pytest.raises(OSError, match="refused") as raised:
            finish(full.compression())

        assert errno.ENOSPC == raised.value.errno
        assert 1 == len(full.partial)

    def test_partial_vanished(
        self, full: Full, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Somebody else's `clear` costs the work and no line.
        """
        before(monkeypatch, "replace", lambda: clear(str(full.folder)))
        compression = full.compression()
        with pytest.raises(FileNotFoundError):
            finish(compression)
        assert CONTENT == full.path.read_bytes()

        finish(compression)
        assert CONTENT == full.content

    @pytest.mark.parametrize("byte", [0, 15, -1])
    def test_reads_back_otherwise(
        self, full: Full, monkeypatch: pytest.MonkeyPatch, byte: int
    ) -> None:
        """
        What the disk gives back is what counts: the segment goes for nothing less.
        """

        def spoil() -> None:
            (partial,) = full.partial
            data = bytearray(partial.read_bytes())
            data[byte] ^= 0xFF
            partial.write_bytes(data)

        before(monkeypatch, "fsync", spoil)
        with pytest.raises(OSError, match="does not read back") as raised:
            finish(full.compression())

        assert errno.EIO == raised.value.errno
        assert ([SEGMENT], []) == (full.entries, full.partial)

    def test_other_content(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A sound `.gz` of something else does not count either.
        """

        def swap() -> None:
            (partial,) = full.partial
            partial.write_bytes(gzip.compress(CONTENT.swapcase()))

        before(monkeypatch, "fsync", swap)
        with pytest.raises(OSError, match="does not read back"):
            finish(full.compression())

        assert CONTENT == full.path.read_bytes()

    def test_interrupted(self, full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Whatever is raised within a step, the next one begins again.
        """
        compression = full.compression()

        def interrupt() -> None:
            raise KeyboardInterrupt

        before(monkeypatch, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            finish(compression)
        assert ([SEGMENT], []) == (full.entries, full.partial)

        finish(compression)
        assert CONTENT == full.content


class TestAbandon:
    def test_any_step(self, full: Full) -> None:
        """
        Abandoned before or amid the work, it leaves nothing behind, twice or once.
        """
        compression = full.compression()
        compression.abandon()
        assert compression.step()
        assert 1 == len(full.partial)
        compression.abandon()
        compression.abandon()

        assert ([SEGMENT], []) == (full.entries, full.partial)
        assert CONTENT == full.path.read_bytes()

    def test_go_on(self, full: Full) -> None:
        """
        It can begin again afterwards.
        """
        compression = full.compression()
        assert compression.step()
        compression.abandon()
        finish(compression)

        assert CONTENT == full.content

    def test_closed_behind_our_back(self, full: Full) -> None:
        """
        Files that somebody closed are no error.
        """
        compression = full.compression()
        assert compression.step()
        for fd in compression._files:
            os.close(fd)
        compression.abandon()

        assert [] == full.partial


class TestFork:
    def test_child_lets_go(self, full: Full) -> None:
        """
        A child closes its files and leaves the temporary one to its parent.
        """
        compression = full.compression()
        assert compression.step()
        child = os.fork()
        if not child:
            compression.after_fork()
            os._exit(len(compression._files) + (1 != len(full.partial)))
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        finish(compression)

        assert CONTENT == full.content


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 2)),
        st.tuples(st.just("die"), st.integers(0, 2)),
        st.tuples(st.just("abandon"), st.integers(0, 2)),
        st.tuples(st.just("late"), st.just(0)),
        st.tuples(st.just("clear"), st.just(0)),
    ),
    max_size=30,
)


@given(ACTIONS)
def test_without_election(actions: list[tuple[str, int]]) -> None:
    """
    However many compress one segment at once, die, or clear away what the others
    made, while late lines come, each line is there once.
    """
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as directory:
        patch.setattr(compress, "CHUNK", SMALL)
        full = Full(Path(directory), CONTENT[: 3 * SMALL])
        expected = CONTENT[: 3 * SMALL]
        workers = [full.compression() for _ in range(3)]
        for action, number in actions:
            worker = workers[number]
            if action == "step":
                step_or_fail(worker)
            elif action == "die":
                worker.after_fork()
            elif action == "abandon":
                worker.abandon()
            elif action == "clear":
                clear(str(full.folder))
            elif full.path.exists():
                full.add(LATE)
                expected += LATE
        for worker in workers:
            while step_or_fail(worker):
                pass
        clear(str(full.folder))

        assert expected == full.content


def step_or_fail(worker: Compression) -> bool:
    """Do one step, which fails if somebody cleared the work away."""
    try:
        return worker.step()
    except FileNotFoundError:
        return True


class TestClear:
    def test_temporary_only(self, full: Full) -> None:
        """
        The temporary files of the dead go, and nothing else.
        """
        compression = full.compression()
        assert compression.step()
        compression.after_fork()
        for name in ("number", "fragments", "maintenance", "partial"):
            (full.folder / name).write_bytes(b"x")
        clear(str(full.folder))

        names = {path.name for path in full.partial}
        assert {"number", "fragments", "maintenance", "partial"} == names

    def test_no_folder(self, tmp_path: Path) -> None:
        """
        Where there is no folder there is nothing to remove.
        """
        clear(str(tmp_path / "none"))

        assert [] == list(tmp_path.iterdir())

    def test_cannot_be_removed(self, full: Full) -> None:
        """
        What cannot be removed does not keep the others.
        """
        full.folder.mkdir()
        (full.folder / "a.gz.partial").mkdir()
        (full.folder / "b.gz.partial").touch()
        clear(str(full.folder))

        assert ["a.gz.partial"] == [path.name for path in full.partial]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return where the hidden folder is, or will be."""
    return str(tmp_path / ".bot.log.d")


@pytest.fixture
def turn(folder: str) -> Iterator[Turn]:
    """Return the turn of one process."""
    made = Turn(folder)
    yield made
    made.release()


class TestTurn:
    def test_one_at_a_time(self, turn: Turn, folder: str) -> None:
        """
        While one has the turn no other gets it; afterwards the next one does.
        """
        other = Turn(folder)

        assert turn.take()
        assert not other.take()
        turn.release()
        assert other.take()
        other.release()

    def test_kept(self, turn: Turn) -> None:
        """
        Taken twice it is ours still, and released once it is not.
        """
        assert turn.take()
        assert turn.take()
        turn.release()
        turn.release()

    def test_no_locks(
        self, turn: Turn, folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where there are no locks, it is everybody's turn.
        """
        monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
        other = Turn(folder)

        assert turn.take()
        assert other.take()
        other.release()

    def test_no_folder(self, tmp_path: Path) -> None:
        """
        A folder that cannot be made is an error.
        """
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError):
            Turn(str(tmp_path / "file" / ".bot.log.d")).take()

    def test_planted_link(self, turn: Turn, tmp_path: Path) -> None:
        """
        A link in the lock's place is not followed.
        """
        (tmp_path / ".bot.log.d").mkdir()
        (tmp_path / ".bot.log.d" / "maintenance").symlink_to(tmp_path / "target")
        with pytest.raises(OSError, match="symbolic links"):
            turn.take()

        assert not (tmp_path / "target").exists()

    def test_closed_behind_our_back(self, turn: Turn) -> None:
        """
        Released after somebody closed its file, it is released.
        """
        assert turn.take()
        os.close(turn._fd)
        turn.release()

        assert turn.take()

    def test_child_leaves_it(self, turn: Turn, folder: str) -> None:
        """
        A forked child that lets go of it does not take it from its parent.
        """
        assert turn.take()
        child = os.fork()
        if not child:
            turn.after_fork()
            os._exit(turn._fd != -1)

        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert not Turn(folder).take()

    def test_child_keeps_nothing(self, turn: Turn, folder: str) -> None:
        """
        A child that never let go of it does not keep it from others.
        """
        assert turn.take()
        child = os.fork()
        if not child:
            signal.pause()
        turn.release()
        other = Turn(folder)
        try:
            assert other.take()
        finally:
            other.release()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
