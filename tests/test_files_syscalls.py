"""
The system calls of an append are the same whether they keep the GIL or not.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import runpy
import socket
import struct
import sys
import textwrap
from threading import Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.files import syscalls
from chimera_log.files.syscalls import (
    MAX_KEPT_WRITE,
    SLOW_PAUSE,
    SLOW_WRITE,
    Keeping,
    Look,
    Ordinary,
    OthersFile,
    OthersPipe,
    calls_for,
    write_at_once_for,
)
from tests.integration.support import Done, run_python
from tests.logs import held, is_unlocked, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Wrote = Callable[[Ordinary, int, bytes], int]

EXT4 = 0xEF53
CLOSED = 99_999  # no descriptor has this number


@pytest.fixture(params=[Ordinary, Keeping])
def calls(request: pytest.FixtureRequest) -> Ordinary:
    """Return either kind of calls."""
    made: Ordinary = request.param()
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an empty file's path."""
    made = tmp_path / "bot.log"
    made.touch()
    return made


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    """Return the empty file, opened as the engine opens it."""
    opened = os.open(path, os.O_RDWR | os.O_APPEND)
    yield opened
    os.close(opened)


def by_write(calls: Ordinary, fd: int, data: bytes) -> int:
    """Write *data*; return how many of its bytes were noted as taken."""
    taken: list[int] = []
    calls.write(fd, data, taken)
    return sum(taken)


def by_append(calls: Ordinary, fd: int, data: bytes) -> int:
    """Write *data*; return how many of its bytes were returned as taken."""
    return calls.append(fd, data)


either_way = pytest.mark.parametrize("wrote", [by_write, by_append])


class TestLock:
    def test_free(self, calls: Ordinary, fd: int, path: Path) -> None:
        """
        A lock that nobody holds is ours until we let go of it.
        """
        assert calls.try_lock(fd)
        assert not is_unlocked(path)
        calls.unlock(fd)
        assert is_unlocked(path)

    def test_held(self, calls: Ordinary, fd: int, path: Path) -> None:
        """
        A lock that somebody else holds is not ours; nobody waits.
        """
        with held(path) as release:
            assert not calls.try_lock(fd)
            release()
            assert calls.try_lock(fd)

    def test_bad_descriptor(self, calls: Ordinary) -> None:
        """
        What is no descriptor is an error.
        """
        for call in (calls.try_lock, calls.unlock):
            with pytest.raises(OSError, match="Bad file descriptor") as caught:
                call(CLOSED)
            assert errno.EBADF == caught.value.errno


class TestLook:
    @pytest.mark.parametrize("size", [0, 1, 2**31, 2**32 + 1])
    def test_file(self, calls: Ordinary, path: Path, size: int) -> None:
        """
        A file's device, inode and size are told, beyond 4 GiB too.
        """
        os.truncate(path, size)
        found = path.stat()

        assert Look(found.st_dev, found.st_ino, size) == calls.look(str(path))

    def test_nothing(self, calls: Ordinary, path: Path) -> None:
        """
        A path that names nothing is ``None``, and so is a link to nothing.
        """
        link = path.with_name("link")
        link.symlink_to(path)
        path.unlink()

        assert calls.look(str(path)) is None
        assert calls.look(str(link)) is None

    def test_link(self, calls: Ordinary, path: Path) -> None:
        """
        A link is followed.
        """
        link = path.with_name("link")
        link.symlink_to(path)

        assert calls.look(str(path)) == calls.look(str(link))

    def test_odd_name(self, calls: Ordinary, path: Path) -> None:
        """
        A name may hold any character, or bytes that are no text.
        """
        odd = path.with_name("ä €\udcff\n.log")
        path.rename(odd)

        assert odd.stat().st_ino == getattr(calls.look(str(odd)), "inode", None)

    def test_not_a_folder(self, calls: Ordinary, path: Path) -> None:
        """
        What cannot be looked at is an error.
        """
        with pytest.raises(NotADirectoryError):
            calls.look(str(path / "x"))


@either_way
class TestWrite:
    @pytest.mark.parametrize("length", [0, 1, 400, 2**16, 2**16 + 1, 2**20])
    def test_lengths(
        self, calls: Ordinary, fd: int, path: Path, length: int, wrote: Wrote
    ) -> None:
        """
        Data of any length is written whole.
        """
        data = os.urandom(length)

        assert length == wrote(calls, fd, data)
        assert data == path.read_bytes()

    @given(pieces=st.lists(st.binary(max_size=50)))
    def test_any_bytes(self, pieces: list[bytes], wrote: Wrote) -> None:
        """
        Any bytes are written as they are, NULs too, one after the other.
        """
        for calls in (Ordinary(), Keeping()):
            reader, writer = os.pipe()
            try:
                for piece in pieces:
                    assert len(piece) == wrote(calls, writer, piece)
                    assert piece == (os.read(reader, len(piece)) if piece else b"")
            finally:
                os.close(reader)
                os.close(writer)

    def test_bad_descriptor(self, calls: Ordinary, wrote: Wrote) -> None:
        """
        What is no descriptor is an error.
        """
        with pytest.raises(OSError, match="Bad file descriptor"):
            wrote(calls, CLOSED, b"x")

    def test_read_only(self, calls: Ordinary, path: Path, wrote: Wrote) -> None:
        """
        What was opened for reading only cannot be written.
        """
        with path.open("rb") as file, pytest.raises(OSError) as caught:  # noqa: PT011  its number is asserted
            wrote(calls, file.fileno(), b"x")

        assert errno.EBADF == caught.value.errno

    def test_full(self, calls: Ordinary, wrote: Wrote) -> None:
        """
        No room is an error.
        """
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            with pytest.raises(OSError, match="No space left") as caught:
                wrote(calls, full, b"x")
        finally:
            os.close(full)

        assert errno.ENOSPC == caught.value.errno


class Timed(Keeping):
    """
    Calls whose kept writes take as long as a test says.

    Args:
        seconds: How long each takes.
    """

    def __init__(self, *seconds: float) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now)
        kept, pending = self._write, list(seconds)
        self.kept = 0

        def write(*args: Any) -> int:
            self.kept += 1
            self.now += pending.pop(0) if pending else 0.0
            written: int = kept(*args)
            return written

        self._write: Any = write


@either_way
class TestSlowWrite:
    def test_quick(self, fd: int, wrote: Wrote) -> None:
        """
        Quick writes keep the GIL, also one that takes exactly as long as is quick.
        """
        calls = Timed(SLOW_WRITE, 0.0, 0.0)
        for _ in range(3):
            wrote(calls, fd, b"x")

        assert 3 == calls.kept

    def test_slow(self, fd: int, path: Path, wrote: Wrote) -> None:
        """
        After a slow one, writes give up the GIL for ten seconds.
        """
        calls = Timed(SLOW_WRITE + 0.001)
        wrote(calls, fd, b"1")
        slow_until = calls.now + SLOW_PAUSE
        wrote(calls, fd, b"2")
        calls.now = slow_until - 0.001
        wrote(calls, fd, b"3")
        assert 1 == calls.kept

        calls.now = slow_until
        wrote(calls, fd, b"4")
        assert 2 == calls.kept
        assert b"1234" == path.read_bytes()

    def test_long(self, fd: int, wrote: Wrote) -> None:
        """
        Long data gives up the GIL at once.
        """
        calls = Timed()
        wrote(calls, fd, b"x" * MAX_KEPT_WRITE)
        wrote(calls, fd, b"x" * (MAX_KEPT_WRITE + 1))

        assert 1 == calls.kept

    def test_interrupted(self, fd: int, path: Path, wrote: Wrote) -> None:
        """
        A call that took nothing is made again, the ordinary way.
        """
        calls = Timed()
        calls._write = lambda *_: -1

        assert 1 == wrote(calls, fd, b"x")
        assert b"x" == path.read_bytes()


class TestCallsFor:
    @pytest.fixture(autouse=True)
    def _local(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The tests' own folder counts as local, wherever it is."""
        monkeypatch.setattr(syscalls, "_file_system", lambda _: EXT4)
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)

    @pytest.mark.parametrize("kind", sorted(syscalls.LOCAL_FILE_SYSTEMS))
    def test_local(self, fd: int, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
        """
        A file on a local file system is written with the GIL kept.
        """
        monkeypatch.setattr(syscalls, "_file_system", lambda _: kind)

        assert isinstance(calls_for(fd), Keeping)

    @pytest.mark.parametrize(
        "kind", [0x6969, 0xFF534D42, 0xFE534D42, 0x65735546, 0x01021997, 0x6A656A63, 0]
    )
    def test_foreign(self, fd: int, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
        """
        NFS, CIFS, FUSE, 9p, virtiofs and what nobody knows give it up.
        """
        monkeypatch.setattr(syscalls, "_file_system", lambda _: kind)

        assert Ordinary is type(calls_for(fd))

    def test_unknown(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where the file system does not say what it is, neither is it kept.
        """
        monkeypatch.setattr(syscalls, "_file_system", refusing(errno.EIO))

        assert Ordinary is type(calls_for(fd))

    @pytest.mark.parametrize("ask", [calls_for, write_at_once_for])
    def test_hangs(
        self, fd: int, monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], object]
    ) -> None:
        """
        A network mount that does not answer holds up no fork.
        """
        free: list[bool] = []

        def hangs(_: int) -> int:
            def fork() -> None:
                if syscalls._importing.acquire(blocking=False):
                    syscalls._importing.release()
                    free.append(True)

            thread = Thread(target=fork)
            thread.start()
            thread.join()
            return 0

        monkeypatch.setattr(syscalls, "_file_system", hangs)
        ask(fd)

        assert [True] == free

    def test_pipe(self) -> None:
        """
        A pipe, whose reader may sleep, gives it up.
        """
        reader, writer = os.pipe()
        try:
            assert Ordinary is type(calls_for(writer))
        finally:
            os.close(reader)
            os.close(writer)

    def test_device(self) -> None:
        """
        So does a device.
        """
        with open(os.devnull, "wb") as null:  # noqa: PTH123  a device
            assert Ordinary is type(calls_for(null.fileno()))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("platform", "darwin"),
            ("platform", "win32"),
            ("maxsize", 2**31 - 1),
            ("implementation", SimpleNamespace(name="pypy")),
            ("_is_gil_enabled", lambda: False),
        ],
    )
    def test_other_systems(
        self, fd: int, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
    ) -> None:
        """
        Other systems, 32 bits, other Pythons and one without GIL use the ordinary.
        """
        monkeypatch.setattr(sys, name, value, raising=False)

        assert Ordinary is type(calls_for(fd))

    def test_no_ctypes(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A Python without ctypes uses the ordinary.
        """
        monkeypatch.setitem(sys.modules, "ctypes", None)

        assert Ordinary is type(calls_for(fd))

    def test_no_statx(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A C library without one of the calls uses the ordinary.
        """
        libc = SimpleNamespace(flock=SimpleNamespace(), write=SimpleNamespace())
        monkeypatch.setattr(ctypes, "PyDLL", lambda *_, **__: libc)

        assert Ordinary is type(calls_for(fd))

    @pytest.mark.parametrize("main", [True, False])
    @pytest.mark.parametrize("name", ["_interpreters", "_xxsubinterpreters", None])
    def test_interpreters(
        self, fd: int, monkeypatch: pytest.MonkeyPatch, name: str | None, main: bool
    ) -> None:
        """
        In another than the main interpreter the ordinary are used, as far as
        Python can tell them apart.
        """
        asked = SimpleNamespace(get_current=lambda: int(not main), get_main=lambda: 0)

        def load(wanted: str) -> object:
            if wanted == name:
                return asked
            raise ImportError(wanted)

        monkeypatch.setattr(importlib, "import_module", load)

        expected = Keeping if main or name is None else Ordinary
        assert expected is type(calls_for(fd))


def test_sub_interpreter(tmp_path: Path) -> None:
    """
    A sub-interpreter is told from the main one.
    """
    script = """
        import os
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        inner = '''if True:
            from chimera_log.files.syscalls import _is_main_interpreter
            print(_is_main_interpreter(), flush=True)
        '''
        exec(inner)
        interpreters.run_string(interpreters.create(), inner)
    """
    done = run_python(textwrap.dedent(script), tmp_path)

    # A measuring tool may complain on stderr.
    assert (0, b"True\nFalse\n") == (done.code, done.stdout)


class TestWriteAtOnce:
    """The write to what somebody else opened, which nobody can hold up."""

    @pytest.fixture
    def pipe(self) -> Iterator[tuple[int, int]]:
        """Return a pipe's two ends."""
        ends = os.pipe()
        yield ends
        for end in ends:
            os.close(end)

    def written(self, write: Any, fd: int, data: bytes) -> int:
        """Return how many bytes of *data* were taken."""
        taken: list[int] = []
        write(fd, data, taken)
        assert len(taken) <= 1
        return max([0, *taken])

    def test_pipe(self, pipe: tuple[int, int]) -> None:
        """
        A pipe takes what it has room for, and nothing when it is full.
        """
        reading, writing = pipe
        write = write_at_once_for(writing)
        assert 5 == self.written(write, writing, b"12345")
        assert b"12345" == os.read(reading, 10)

        size = self.written(write, writing, bytes(1_000_000))
        assert 0 < size < 1_000_000
        assert 0 == self.written(write, writing, b"1")
        assert size == len(os.read(reading, 1_000_000))

    def test_socket(self) -> None:
        """
        A socket is written the same way.
        """
        here, there = socket.socketpair()
        with here, there:
            write = write_at_once_for(here.fileno())
            assert 5 == self.written(write, here.fileno(), b"12345")
            assert b"12345" == there.recv(10)

    def test_no_reader(self) -> None:
        """
        One that nobody reads takes nothing.
        """
        reading, writing = os.pipe()
        os.close(reading)
        try:
            assert 0 == self.written(OthersPipe().write_at_once, writing, b"1")
        finally:
            os.close(writing)

    def test_file(self, fd: int, path: Path) -> None:
        """
        A file takes what is not too long.
        """
        write = write_at_once_for(fd)
        assert 5 == self.written(write, fd, b"12345")
        assert 0 == self.written(write, fd, bytes(MAX_KEPT_WRITE + 1))
        assert MAX_KEPT_WRITE == self.written(write, fd, bytes(MAX_KEPT_WRITE))

        assert 5 + MAX_KEPT_WRITE == path.stat().st_size

    def test_other_file(self, fd: int, path: Path, pipe: tuple[int, int]) -> None:
        """
        Where the descriptor means something else by now, nothing is written.
        """
        write = write_at_once_for(fd)
        os.dup2(pipe[1], fd)

        assert 0 == self.written(write, fd, b"1")
        assert 0 == path.stat().st_size

    def test_closed_file(self, fd: int) -> None:
        """
        Nor where it means nothing any more.
        """
        assert 0 == self.written(OthersFile(fd).write_at_once, CLOSED, b"1")

    def test_slow_file(self, fd: int) -> None:
        """
        After a slow write nothing is written for ten seconds.
        """
        calls = OthersFile(fd)
        now, times = 0.0, [0.0, SLOW_WRITE + 0.001]
        calls._clock = lambda: times.pop(0) if times else now
        assert 1 == self.written(calls.write_at_once, fd, b"1")
        now = SLOW_WRITE + SLOW_PAUSE
        assert 0 == self.written(calls.write_at_once, fd, b"2")
        now += 0.001

        assert 1 == self.written(calls.write_at_once, fd, b"3")

    def test_terminal(self) -> None:
        """
        A terminal has no such write.
        """
        ends = os.openpty()
        try:
            assert write_at_once_for(ends[1]) is None
        finally:
            for end in ends:
                os.close(end)

    def test_foreign(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nor has a file of another machine.
        """
        monkeypatch.setattr(syscalls, "_file_system", lambda _: 0x6969)

        assert write_at_once_for(fd) is None

    def test_other_systems(
        self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor has anything on another system.
        """
        monkeypatch.setattr(sys, "platform", "darwin")

        assert write_at_once_for(pipe[1]) is None

    def test_no_call(
        self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor where the C library lacks the call.
        """
        monkeypatch.setattr(ctypes, "PyDLL", lambda *_, **__: SimpleNamespace())

        assert write_at_once_for(pipe[1]) is None


class TestFileSystem:
    def test_known(self, fd: int, path: Path) -> None:
        """
        The type is the one that the system's own tool tells.
        """
        with os.popen(f"stat -f -c %t {path}") as told:  # noqa: S605  a test's path
            assert int(told.read(), 16) == syscalls._file_system(fd)

    def test_error(self) -> None:
        """
        What is no descriptor is an error.
        """
        with pytest.raises(OSError, match="Bad file descriptor"):
            syscalls._file_system(-1)

    def test_network(self, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It is the first field of what the kernel answers.
        """

        def fstatfs(_: int, answer: Any) -> int:
            struct.pack_into("=q", answer, 0, 0x6969)
            return 0

        libc = SimpleNamespace(fstatfs=fstatfs)
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: libc)

        assert 0x6969 == syscalls._file_system(fd)


def test_not_loaded_early(tmp_path: Path) -> None:
    """
    With the package comes no ctypes; the first record loads it.
    """
    script = "import sys, chimera_log; print('ctypes' in sys.modules)"

    assert Done(0, b"False\n", "") == run_python(script, tmp_path)


def test_no_lock_on_windows(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where there is no flock, a file has one writer, who needs none.
    """
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    calls = runpy.run_path(str(syscalls.__file__))["Ordinary"]()

    assert calls.try_lock(fd)
    calls.unlock(fd)
