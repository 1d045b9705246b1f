"""
What a log file does when writing fails, writers die, or locks are held.
"""

from __future__ import annotations

import errno
import gc
import os
import runpy
import signal
import sys
import tempfile
import threading
import weakref
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_log.files import active
from chimera_log.files import engines as engines_module
from chimera_log.files import segments as segments_module
from chimera_log.files.engines import shared
from chimera_log.files.segments import Segments
from chimera_log.files.syscalls import Look, Ordinary
from tests.logs import (
    POLICY,
    Log,
    held,
    in_child,
    is_unlocked,
    maintained,
    refusing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUTCOMES = st.sampled_from(["ok", "ENOSPC", "EIO", "short", "nothing"])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A place for segments, written with the ordinary system calls."""
    made = Log(tmp_path)
    yield made
    made.close()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what fills the disk: from then on, three bytes fit."""
    write = os.write

    def fill() -> None:
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))

    return fill


class Calls(Ordinary):
    """
    Calls that do something else first.

    Args:
        before: Called with the name of the call.
    """

    def __init__(self, before: Callable[[str], None]) -> None:
        self._before = before

    def write(self, fd: int, data: bytes, taken: list[int]) -> None:
        """Write, after something else."""
        self._before("write")
        super().write(fd, data, taken)

    def unlock(self, fd: int) -> None:
        """Unlock, after something else."""
        self._before("unlock")
        super().unlock(fd)


class TestWriteFailure:
    def test_short(self, log: Log, full: Callable[[], None]) -> None:
        """
        Of a line that does not fit on the disk, nothing is left.
        """
        segments = log.open()
        segments.append(b"a\n")
        full()
        assert not segments.append(b"123456\n")

        assert [b"a\n"] == log.contents
        ((kind, message),) = log.troubles
        assert "write" == kind
        assert "no space left for a whole line" in message
        assert str(log.path) in message

    def test_short_in_a_new_file(self, log: Log, full: Callable[[], None]) -> None:
        """
        The same holds for the first line of a file.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        full()
        assert not segments.append(b"123456\n")

        assert [b"1234567\n", b""] == log.contents

    def test_short_beside_a_sibling(
        self, log: Log, full: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A sibling that wrote to the new file first loses nothing by it.
        """
        segments, rename = log.open(max_bytes=10), os.rename
        segments.append(b"1234567\n")

        def overtaken(old: str, new: str) -> None:
            rename(old, new)
            log.path.write_bytes(b"si\n")

        monkeypatch.setattr(os, "rename", overtaken)
        full()
        assert not segments.append(b"123456\n")

        assert [b"1234567\n", b"si\n"] == log.contents

    def test_short_before_a_sibling(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor does one that wrote behind our half line, without the lock.
        """
        segments, write = log.open(max_bytes=100), os.write
        segments.append(b"a\n")

        def overtaken(fd: int, data: bytes) -> int:
            written = write(fd, data[:3])
            with log.path.open("ab") as sibling:
                sibling.write(b"\nsibling\n")
            return written

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", overtaken)
            assert not segments.append(b"123456\n")
        assert segments.flush()

        assert b"a\n123\nsibling\n123456\n" == log.path.read_bytes()

    def test_short_without_the_lock(self, log: Log, full: Callable[[], None]) -> None:
        """
        Without the lock nothing is cut off: it could be a sibling's line.
        """
        segments = log.open(lock_timeout=0.0, max_bytes=100)
        segments.append(b"a\n")
        with held(log.path):
            with log.path.open("ab") as sibling:
                sibling.write(b"sibling\n")
            full()
            assert not segments.append(b"123456\n")

        assert log.path.read_bytes().startswith(b"a\nsibling\n")

    def test_goes_on(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Once there is room again, what waits is written, before the next line.
        """
        segments = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            assert not segments.append(b"a\n")
            assert 1 == segments.statistics().waiting
        assert segments.append(b"b\n")

        assert [b"a\nb\n"] == log.contents
        found = segments.statistics()
        assert (2, 4, 1, 0) == (
            found.written,
            found.bytes,
            found.retried,
            found.waiting,
        )
        assert "refused" in str(found.last_error)

    @pytest.mark.parametrize("way", ["flush", "close", "at_exit"])
    def test_written_later(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        """
        What waits is also written by a flush, when the file is closed, and at exit.
        """
        segments = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.EIO))
            segments.append(b"a\n")
        getattr(segments, way)()

        assert [b"a\n"] == log.contents
        assert 1 == segments.statistics().retried
        assert ["write"] == log.kinds

    def test_flush_says(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A flush says whether nothing waits any more.
        """
        segments = log.open()
        assert segments.flush()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.EIO))
            segments.append(b"a\n")
            assert not segments.flush()
        assert segments.flush()

    def test_bounded(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        As many wait as may; the newest beyond that are dropped, and counted.
        """
        segments = log.open(max_waiting=3, max_bytes=100)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            for number in range(5):
                assert not segments.append(b"%d\n" % number)
            assert (3, 2) == (
                segments.statistics().waiting,
                segments.statistics().dropped,
            )
        assert segments.append(b"5\n")

        assert [b"0\n1\n2\n5\n"] == log.contents

    def test_lost_at_exit(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What cannot be written at exit is counted as dropped, and said.
        """
        segments = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            segments.append(b"a\n")
            segments.append(b"b\n")
            engines_module._at_exit()
        engines_module._at_exit()

        assert ("lost", "2 records could not be written; lost") == log.troubles[-1]
        assert 1 == log.kinds.count("lost")
        assert (2, 0) == (segments.statistics().dropped, segments.statistics().waiting)

    def test_outlives_its_handlers(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What waits is written though nobody has the file any more.
        """
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            log.open().append(b"a\n")
        left = weakref.ref(log.opened.pop())
        gc.collect()
        segments = left()
        assert segments is not None
        log.opened.append(segments)
        engines_module._at_exit()

        assert [b"a\n"] == log.contents

    @settings(max_examples=60)
    @given(st.lists(st.tuples(OUTCOMES, st.integers(2, 12)), max_size=25))
    def test_any_failures(self, writes: list[tuple[str, int]]) -> None:
        """
        Whatever writes fail, and however, each line is written once and in order.
        """
        outcomes = iter([outcome for outcome, _ in writes])
        write = os.write

        def fail(fd: int, data: bytes, taken: list[int]) -> None:
            outcome = next(outcomes, "ok")
            if outcome in {"ENOSPC", "EIO"}:
                raise OSError(getattr(errno, outcome), outcome)
            part = data[: {"short": 1, "nothing": 0}.get(outcome)]
            taken.append(write(fd, part))

        lines = [
            b"%d" % number + b"x" * length + b"\n"
            for number, (_, length) in enumerate(writes)
        ]
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
            log = Log(Path(folder))
            segments = log.open(max_bytes=30)
            segments.append(b"first\n")
            m.setattr(active, "calls_for", lambda _: None)
            m.setattr(segments._calls, "write", fail)
            m.setattr(Ordinary, "write", lambda _, *arguments: fail(*arguments))
            returned = [segments.append(line) for line in lines]
            told = len(log.troubles)
            while not segments.flush():
                told += 1
            m.undo()
            segments.close()

            assert [b"first\n", *lines] == log.lines
            assert returned.count(False) <= told
            assert len(lines) + 1 == segments.statistics().written
            assert all(len(content) <= 30 for content in log.contents)


class Stop(BaseException):
    """What a signal handler raises that ends the process."""


class TestHandlerRaises:
    @pytest.mark.parametrize("is_late", [False, True])
    def test_at_the_end_of_a_write(self, log: Log, is_late: bool) -> None:
        """
        A line that is in the file is written, though a signal handler raised in that
        moment, and is not written again; one that waited is as well.
        """

        class Signalled(Ordinary):
            def write(self, fd: int, data: bytes, taken: list[int]) -> None:
                super().write(fd, data, taken)
                raise Stop

        segments = log.open(max_bytes=100)
        segments.append(b"first\n")
        if is_late:
            segments._waiting.append(b"late\n")
            segments._late = 1
        segments._calls = Signalled()
        with pytest.raises(Stop):
            segments.append(b"second\n")
        segments._calls = Ordinary()
        segments.flush()

        late = [b"late\n"] if is_late else []
        assert [b"first\n", *late, b"second\n"] == log.lines
        found = segments.statistics()
        assert (2 + is_late, is_late, 0) == (
            found.written,
            found.retried,
            found.waiting,
        )

    def test_before_it_is_counted(self, log: Log) -> None:
        """
        What was written and not yet counted is counted later, and not written again.
        """
        segments = log.open(max_bytes=100)
        segments.append(b"first\n")
        segments._waiting.append(b"first\n")
        segments._batch, segments._wanted, segments._taken = 1, 6, [6]

        assert segments.flush()
        assert [b"first\n"] == log.lines
        assert (2, 0) == (segments.statistics().written, segments.statistics().waiting)

    def test_at_the_end_of_a_write_to_a_pipe(self, log: Log) -> None:
        """
        The same for a pipe.
        """

        class Signalled(Ordinary):
            def write(self, fd: int, data: bytes, taken: list[int]) -> None:
                super().write(fd, data, taken)
                raise Stop

        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        segments = log.open()
        segments.append(b"first\n")
        segments._calls = Signalled()
        with pytest.raises(Stop):
            segments.append(b"second\n")
        segments._calls = Ordinary()
        segments.append(b"third\n")

        assert b"first\nsecond\nthird\n" == os.read(reader, 100)
        os.close(reader)


class TestStuckWriter:
    """Somebody writes to a pipe that nobody reads."""

    @pytest.fixture
    def segments(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> Iterator[Segments]:
        """Segments whose lock another thread has, with a line that waits."""
        monkeypatch.setattr(segments_module, "_PATIENCE", 0.01)
        segments = log.open()
        segments._waiting.append(b"x\n")
        taken, ended = threading.Event(), threading.Event()

        def stick() -> None:
            with segments._lock:
                taken.set()
                ended.wait(30)

        thread = threading.Thread(target=stick)
        thread.start()
        taken.wait(30)
        yield segments
        ended.set()
        thread.join()

    def test_flush(self, segments: Segments) -> None:
        """
        A flush gives up, and the next one does not wait again.
        """
        assert not segments.flush(patience=0.01)
        assert not segments.flush(patience=10**6)

    def test_close(self, segments: Segments) -> None:
        """
        So does closing; what waits stays.
        """
        segments.close()

        assert 1 == segments.statistics().waiting

    def test_maintain(self, segments: Segments) -> None:
        """
        The maintenance, which has other files too, does not wait at all.
        """
        assert 1.0 == segments.maintain()
        assert not segments._is_stuck

    def test_exit(self, segments: Segments, log: Log) -> None:
        """
        The process's end does not wait for ever, and tells what is lost.
        """
        assert not segments.at_exit()
        assert [("lost", "1 records could not be written; lost")] == log.troubles
        assert 1 == segments.statistics().dropped

    def test_free_again(self, log: Log) -> None:
        """
        Once the lock is free again, all is as it was.
        """
        segments = log.open()
        segments._is_stuck = True
        segments._waiting.append(b"x\n")

        assert segments.flush()
        assert [b"x\n"] == log.lines


class TestNested:
    def test_from_a_trouble(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A line that comes while a failed rotation is told is written, once, before
        the outer append returns.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        pending = [b"nested\n"]
        answers: list[bool] = []

        def tell(*_: str) -> None:
            if pending:
                answers.append(segments.append(pending.pop()))

        segments.on_trouble = tell
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", refusing(errno.EACCES))
            assert segments.append(b"outer...\n")

        assert [False] == answers
        assert [b"1234567\nouter...\nnested\n"] == log.contents
        assert 0 == segments.statistics().waiting

    @pytest.mark.parametrize("call", ["write", "unlock"])
    @pytest.mark.parametrize("outer", ["append", "flush", "rotate"])
    def test_from_a_call(self, log: Log, call: str, outer: str) -> None:
        """
        A line that comes in the midst of a system call is written, once, before
        what was going on returns.
        """
        segments = log.open(max_bytes=100)
        segments.append(b"first\n")
        pending = [b"nested\n"]
        answers: list[bool] = []

        def interrupt(name: str) -> None:
            if name == call and pending:
                answers.append(segments.append(pending.pop()))
                answers.append(segments.flush())
                segments.rotate()
                segments.close()

        segments._calls = Calls(interrupt)
        if outer == "append":
            assert segments.append(b"outer\n")
        elif outer == "flush":
            segments._waiting.append(b"outer\n")
            assert segments.flush()
        else:
            segments.append(b"outer\n")
            segments.rotate()

        assert [False, False] == answers
        assert [b"first\n", b"outer\n", b"nested\n"] == log.lines
        assert is_unlocked(log.path)

    def test_from_a_signal_handler(self, log: Log) -> None:
        """
        The same for a line from a signal handler.
        """
        segments = log.open(max_bytes=100)
        segments.append(b"first\n")
        before = signal.signal(
            signal.SIGUSR1, lambda *_: segments.append(b"nested\n") and None
        )
        pending = [signal.SIGUSR1]

        def interrupt(name: str) -> None:
            if name == "write" and pending:
                signal.raise_signal(pending.pop())

        try:
            segments._calls = Calls(interrupt)
            assert segments.append(b"outer\n")
        finally:
            signal.signal(signal.SIGUSR1, before)

        assert [b"first\n", b"outer\n", b"nested\n"] == log.lines


class TestTornTail:
    @settings(max_examples=40)
    @given(
        st.lists(
            st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=3
        ),
        st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\n", b"x")),
        st.integers(1, 16),
    )
    def test_any(self, before: list[bytes], fragment: bytes, block: int) -> None:
        """
        Whatever half line is left behind whatever lines, it is put aside, once,
        and every other line stays.
        """
        lines = [line + b"\n" for line in before]
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as m:
            m.setattr(active, "_BLOCK", block)
            log = Log(Path(folder))
            log.path.write_bytes(b"".join(lines) + fragment)
            segments = log.open(max_bytes=0)
            segments.append(b"next\n")
            segments.append(b"last\n")
            segments.close()

            assert b"".join([*lines, b"next\n", b"last\n"]) == log.path.read_bytes()
            assert fragment + b"\n" == (log.aside / "fragments").read_bytes()
            assert 1 == segments.statistics().repaired
            ((kind, message),) = log.troubles
            assert "repair" == kind
            assert f"left {len(fragment)} bytes of a line" in message

    @pytest.mark.parametrize("length", [65_535, 65_536, 65_537, 200_000])
    def test_long(self, log: Log, length: int) -> None:
        """
        A fragment longer than a block is put aside whole.
        """
        log.path.write_bytes(b"a\n" + b"x" * length)
        log.open(max_bytes=0).append(b"b\n")

        assert b"a\nb\n" == log.path.read_bytes()
        assert length + 1 == (log.aside / "fragments").stat().st_size

    def test_of_a_sibling(self, log: Log) -> None:
        """
        A sibling that dies in the midst of a line spoils no line of ours.
        """
        segments = log.open(max_bytes=0)
        segments.append(b"a\n")
        for _ in range(2):
            with log.path.open("ab") as sibling:
                sibling.write(b"half")
            segments.append(b"b\n")

        assert b"a\nb\nb\n" == log.path.read_bytes()
        assert b"half\nhalf\n" == (log.aside / "fragments").read_bytes()

    def test_whole_lines_of_a_sibling(self, log: Log) -> None:
        """
        What others wrote, and ended, is left alone.
        """
        segments = log.open(max_bytes=0)
        segments.append(b"a\n")
        with log.path.open("ab") as sibling:
            sibling.write(b"b\n")
        segments.append(b"c\n")

        assert b"a\nb\nc\n" == log.path.read_bytes()
        assert [] == log.troubles
        assert not log.aside.exists()

    @pytest.mark.parametrize("code", [errno.EPERM, errno.EIO])
    def test_append_only(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """
        Where nothing can be cut off, the half line is ended instead.
        """
        log.path.write_bytes(b"a\nhalf")
        monkeypatch.setattr(os, "ftruncate", refusing(code))
        segments = log.open(max_bytes=0)
        segments.append(b"b\n")
        segments.append(b"c\n")

        assert b"a\nhalf\nb\nc\n" == log.path.read_bytes()
        assert 1 == segments.statistics().repaired

    def test_cannot_be_mended(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A fragment that can be neither cut off nor ended is put aside once.
        """
        log.path.write_bytes(b"a\nhalf")
        segments, write = log.open(max_bytes=0), os.write

        def fail(fd: int, data: bytes) -> int:
            return refusing(errno.EIO)() if data == b"\n" else write(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", refusing(errno.EIO))
            patch.setattr(os, "write", fail)
            assert not segments.append(b"b\n")
            assert not segments.append(b"c\n")
            segments.close()
        assert segments.flush()

        assert b"a\nb\nc\n" == log.path.read_bytes()
        assert b"half\n" == (log.aside / "fragments").read_bytes()
        assert 1 == segments.statistics().repaired
        assert ["repair", "write", "write", "write"] == log.kinds

    @pytest.mark.parametrize("rest", [b" line\n", b" line\nand half"])
    def test_still_being_written(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, rest: bytes
    ) -> None:
        """
        A line that a sibling is still writing, without the lock, is not cut off.
        """
        log.path.write_bytes(b"a\nhalf a")
        pending, write = [rest], os.write

        def go_on(fd: int, data: bytes) -> int:
            if pending:
                write(fd, pending.pop())
            return write(fd, data)

        monkeypatch.setattr(os, "write", go_on)
        segments = log.open(max_bytes=0)
        segments.append(b"b\n")

        assert b"a\nhalf a line\nb\n" == log.path.read_bytes()
        assert int(rest != b" line\n") == segments.statistics().repaired

    def test_no_hidden_folder(self, log: Log) -> None:
        """
        Where the fragment cannot be kept, lines are written all the same.
        """
        log.aside.write_bytes(b"in the way")
        log.path.write_bytes(b"a\nhalf")
        log.open(max_bytes=0).append(b"b\n")

        assert b"a\nb\n" == log.path.read_bytes()


class TestLock:
    def test_in_vain(self, log: Log) -> None:
        """
        A lock that is not let go of in time: the line is appended without it, the
        file is not rotated, and both are told.
        """
        segments = log.open(lock_timeout=0.0, max_bytes=10)
        segments.append(b"1234567\n")
        with held(log.path):
            assert segments.append(b"abc\n")
            segments.rotate()
        assert segments.append(b"def\n")

        assert [b"1234567\nabc\n", b"def\n"] == log.contents
        assert [("lock", "another process holds it; appending without")] == log.troubles
        assert 1 == segments.statistics().unlocked

    def test_in_vain_after_rotating(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The same where a sibling locks the next file first.
        """
        segments, rename = log.open(lock_timeout=0.0, max_bytes=10), os.rename
        segments.append(b"1234567\n")
        siblings = []

        def overtaken(old: str, new: str) -> None:
            rename(old, new)
            log.path.write_bytes(b"sibling\n")
            sibling = held(log.path)
            sibling.__enter__()
            siblings.append(sibling)

        monkeypatch.setattr(os, "rename", overtaken)
        assert segments.append(b"abc\n")
        for sibling in siblings:
            sibling.__exit__(None, None, None)

        assert [b"1234567\n", b"sibling\nabc\n"] == log.contents
        assert 1 == segments.statistics().unlocked

    def test_in_time(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A lock that is let go of in time is waited for, in pauses that grow.
        """
        segments = log.open(lock_timeout=1.0)
        segments.append(b"a\n")
        pauses: list[float] = []

        with held(log.path) as release:

            def sleep(seconds: float) -> None:
                pauses.append(seconds)
                if len(pauses) == 8:
                    release()

            time = SimpleNamespace(monotonic=lambda: sum(pauses))
            monkeypatch.setattr(active, "time", time)
            monkeypatch.setattr(active, "sleep", sleep)
            assert segments.append(b"b\n")

        assert pauses == sorted(pauses)
        assert (0.00005, 0.002) == (pauses[0], pauses[-1])
        assert 0 == segments.statistics().unlocked
        assert [] == log.troubles

    def test_impatience(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        After a lock was waited for in vain, none is for ten seconds.
        """
        segments = log.open(lock_timeout=1.0, max_bytes=100)
        segments.append(b"a\n")
        slept: list[float] = [0.0]
        time = SimpleNamespace(monotonic=lambda: sum(slept))
        monkeypatch.setattr(active, "time", time)
        monkeypatch.setattr(active, "sleep", slept.append)

        with held(log.path):
            segments.append(b"b\n")
            waited = sum(slept)
            assert 1.0 <= waited < 1.01
            segments.append(b"c\n")
            slept.append(9.99)
            segments.append(b"d\n")
            assert waited + 9.99 == sum(slept)

            slept.append(0.02)
            segments.append(b"e\n")
            assert sum(slept) > waited + 10.99

        assert 4 == segments.statistics().unlocked
        assert ["lock", "lock"] == log.kinds
        assert b"a\nb\nc\nd\ne\n" == log.path.read_bytes()

    def test_unlock_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A lock that cannot be let go of is nobody's trouble.
        """
        segments = log.open()
        segments.append(b"a\n")
        with monkeypatch.context() as patch:
            patch.setattr(segments._calls, "unlock", refusing(errno.EIO))
            assert segments.append(b"b\n")

        assert [] == log.troubles

    @pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
    def test_no_locks(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """
        A file system without locks is told; the line is written without, and the
        file not rotated.
        """
        monkeypatch.setattr(Ordinary, "try_lock", refusing(code))
        segments = log.open()
        assert segments.append(b"1234567\n")
        assert segments.append(b"abc\n")

        assert [b"1234567\nabc\n"] == log.contents
        assert {"lock"} == set(log.kinds)
        assert "cannot be locked; appending without: [Errno" in log.troubles[0][1]
        assert 2 == segments.statistics().unlocked

    def test_lock_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Any other error of a lock is trouble, and the line waits.
        """
        segments = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(Ordinary, "try_lock", refusing(errno.EIO))
            assert not segments.append(b"a\n")
        assert segments.flush()

        assert ["write"] == log.kinds
        assert [b"a\n"] == log.contents

    def test_closed_behind_our_back(self, log: Log) -> None:
        """
        A descriptor that somebody closed is opened again with the next line.
        """
        segments = log.open()
        segments.append(b"a\n")
        os.close(segments._fd)
        segments.append(b"b\n")
        segments.flush()

        assert [b"a\nb\n"] == log.contents


ACTS = st.sampled_from(["append", "short", "half", "unlocked", "rotate", "restart"])


class TestCut:
    @settings(max_examples=60)
    @given(st.lists(st.tuples(ACTS, st.integers(0, 2), st.integers(1, 9)), max_size=30))
    def test_not_by_us(self, acts: list[tuple[str, int, int]]) -> None:
        """
        Whatever siblings write, cut back, mend and rotate, nobody is told that
        somebody cut the file.
        """
        write = os.write
        with tempfile.TemporaryDirectory() as folder:
            log = Log(Path(folder))
            writers = [log.open(max_bytes=30) for _ in range(3)]
            for act, number, length in acts:
                segments, line = writers[number], b"x" * length + b"\n"
                with pytest.MonkeyPatch.context() as patch:
                    if act == "short":
                        patch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
                    if act == "half":  # one that was killed
                        with log.path.open("ab") as file:
                            file.write(line[:-1])
                    elif act == "rotate":
                        segments.rotate()
                    elif act == "restart":
                        segments.close()
                    else:
                        with ExitStack() as stack:
                            if act == "unlocked" and log.path.exists():
                                stack.enter_context(held(log.path))
                                segments.policy = POLICY._replace(lock_timeout=0.0)
                            segments.append(line)
                            segments.policy = log.policy._replace(max_bytes=30)
                            segments._impatient_until = float("-inf")
            log.close()

            assert "cut" not in log.kinds


class TestUnlocked:
    """Lines that are appended without the lock."""

    @pytest.fixture
    def segments(self, log: Log) -> Iterator[Segments]:
        """Return segments whose lock is held, and which do not wait for it."""
        made = log.open(lock_timeout=0.0, max_bytes=100)
        made.append(b"first\n")
        with held(log.path):
            yield made

    def test_behind_a_half_line(self, log: Log, segments: Segments) -> None:
        """
        A line is not glued to the half line of a killed writer.
        """
        with log.path.open("ab") as sibling:
            sibling.write(b"half")
        assert segments.append(b"x\n")

        assert b"first\nhalf\nx\n" == log.path.read_bytes()

    def test_lock_of_the_dead(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        If whoever left the half line had the lock, it is waited for once more.
        """
        log.path.write_bytes(b"first\nhalf")
        segments = log.open(lock_timeout=0.0)
        answers, try_lock = iter([False, False]), Ordinary.try_lock
        monkeypatch.setattr(
            Ordinary,
            "try_lock",
            lambda calls, fd: next(answers, True) and try_lock(calls, fd),
        )
        assert segments.append(b"x\n")

        assert b"first\nx\n" == log.path.read_bytes()
        assert b"half\n" == (log.aside / "fragments").read_bytes()
        assert 0 == segments.statistics().unlocked

    def test_behind_a_line_that_is_being_written(
        self, log: Log, segments: Segments, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor does it leave an empty line behind one that a sibling is at.
        """
        with log.path.open("ab") as sibling:
            sibling.write(b"half")
        rest, write = [b" and half\n"], os.write

        def go_on(fd: int, data: bytes) -> int:
            if rest:
                write(fd, rest.pop())
            return write(fd, data)

        monkeypatch.setattr(os, "write", go_on)
        assert segments.append(b"x\n")

        assert b"first\nhalf and half\nx\n" == log.path.read_bytes()

    def test_removed(self, log: Log, segments: Segments) -> None:
        """
        A line whose file is rotated and removed meanwhile is written again.
        """

        def prune(name: str) -> None:
            assert "write" == name
            log.path.unlink()

        segments._calls = Calls(prune)
        assert segments.append(b"x\n")

        assert [b"x\n"] == log.contents
        assert 2 == segments.statistics().written

    def test_rotated(self, log: Log, segments: Segments) -> None:
        """
        A line whose file is only rotated meanwhile is where it belongs.
        """
        full = log.path.with_name("bot.log.full")

        def rotate(_: str) -> None:
            log.path.rename(full)

        segments._calls = Calls(rotate)
        assert segments.append(b"x\n")

        assert b"first\nx\n" == full.read_bytes()
        assert not log.path.exists()

    def test_rotated_before(self, log: Log, segments: Segments) -> None:
        """
        A file that the path no longer names gets no line, though it is locked.
        """
        log.path.rename(log.path.with_name("bot.log.full"))
        assert segments.append(b"x\n")

        assert [b"first\n", b"x\n"] == log.contents
        assert 0 == segments.statistics().unlocked

    def test_no_links(
        self, log: Log, segments: Segments, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file system that counts no links has each line once.
        """
        found = os.fstat(segments._fd)
        nothing = SimpleNamespace(st_nlink=0, st_size=found.st_size)
        monkeypatch.setattr(os, "fstat", lambda _: nothing)
        assert segments.append(b"x\n")

        assert [b"first\nx\n"] == log.contents

    def test_removed_for_ever(
        self, log: Log, segments: Segments, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A line whose file is removed every time waits, and has not been written.
        """
        prune = Calls(lambda _: log.path.unlink())
        with monkeypatch.context() as patch:
            patch.setattr(active, "calls_for", lambda _: prune)
            segments.policy = segments.policy._replace(keep_gil=True)
            segments._calls = prune
            # The lock of a new file is nobody's.
            patch.setattr(Ordinary, "try_lock", lambda *_: False)
            assert not segments.append(b"x\n")
        segments._close_file()
        segments.policy = POLICY
        assert segments.flush()

        assert [b"x\n"] == log.contents
        ((kind, message),) = log.troubles[1:]
        assert "write" == kind
        assert "removed whenever it is written to" in message


class TestFork:
    @pytest.fixture(autouse=True)
    def user(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Return, in a list, who this process is: nobody in particular."""
        users = [4_321]
        monkeypatch.setattr(os, "geteuid", lambda: users[0])
        return users

    def test_lock_stays_with_the_parent(self, log: Log) -> None:
        """
        A child that is forked while we write does not let go of our lock.
        """
        segments = log.open()
        assert segments._take_lock()
        assert in_child(lambda: not is_unlocked(log.path))

        assert not is_unlocked(log.path)

    def test_child_of_root(self, log: Log, user: list[int]) -> None:
        """
        A child of root has the file open, with a lock of its own, whatever rights
        it gives up next.
        """
        segments = log.open()
        segments.append(b"parent\n")
        user[0] = 0

        def work() -> bool:
            opened = segments._fd != -1
            with held(log.path):
                return opened

        assert in_child(work)

    def test_child_of_root_at_a_pipe(self, log: Log, user: list[int]) -> None:
        """
        A pipe, which is no less the parent's, is opened again too.
        """
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        segments = log.open()
        segments.append(b"parent\n")
        user[0] = 0
        try:
            assert in_child(lambda: segments._fd != -1 and segments.append(b"!\n"))
            assert b"parent\n!\n" == os.read(reader, 100)
        finally:
            os.close(reader)

    def test_child_of_root_in_trouble(
        self, log: Log, user: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where that fails, the first line tries again.
        """
        segments, opened = log.open(), os.open
        segments.append(b"parent\n")
        user[0] = 0
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))

        def work() -> bool:
            closed = segments._fd == -1
            monkeypatch.setattr(os, "open", opened)
            return segments.append(b"!\n") and closed

        assert in_child(work)

    def test_child_of_root_loads_nothing(
        self, log: Log, user: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The child looks for no other system calls: that loads libraries, which
        another thread may have been at.
        """
        segments = log.open(keep_gil=True)
        segments.append(b"parent\n")
        user[0] = 0
        monkeypatch.setattr(active, "calls_for", refusing(errno.EDEADLK))

        assert in_child(lambda: segments.append(b"!\n"))

    def test_child_lets_go(self, log: Log) -> None:
        """
        A forked child has closed what it inherited, and opens its own.
        """
        segments = log.open()
        segments.append(b"parent\n")

        def work() -> bool:
            closed = segments._fd == -1
            return segments.append(b"!\n") and closed

        assert in_child(work)
        segments.append(b"p\n")
        assert [b"parent\n!\n", b"p\n"] == log.contents

    def test_what_waits_is_the_parents(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Lines that wait are written once, by the parent; the child counts from zero.
        """
        segments = log.open(max_bytes=100)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            segments.append(b"parent\n")

        def work() -> bool:
            empty = segments.statistics()._replace(segments=0)
            engines_module._at_exit()
            return empty == Segments(
                str(log.path), POLICY, print
            ).statistics() and segments.append(b"child\n")

        assert in_child(work)
        assert segments.flush()
        assert [b"child\nparent\n"] == log.contents

    def test_all_start_clean(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Every file that is open is let go of, however many there are.
        """
        opened = [log.open(max_bytes=0) for _ in range(3)]
        for segments in opened:
            segments.append(b"x\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            opened[0].append(b"y\n")
        engines_module._after_fork_in_child()

        assert [-1, -1, -1] == [segments._fd for segments in opened]
        assert [True, True, True] == [segments.flush() for segments in opened]
        assert [b"x\nx\nx\n"] == log.contents

    def test_lock_is_free(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A child that was forked while a line was being written can write at once.
        """
        segments = log.open(max_bytes=100)
        segments.append(b"a\n")
        write, answers = os.write, []

        def fork(fd: int, data: bytes) -> int:
            monkeypatch.setattr(os, "write", write)
            answers.append(in_child(lambda: segments._lock.acquire(blocking=False)))
            return write(fd, data)

        monkeypatch.setattr(os, "write", fork)
        segments.append(b"b\n")

        assert [True] == answers
        assert is_unlocked(log.path)


class TestShared:
    def test_one_for_all(self, log: Log) -> None:
        """
        All on one path share one; the newest policy holds.
        """
        one = shared(str(log.path), POLICY, Segments)
        other = shared(str(log.path), POLICY._replace(max_bytes=20), Segments)

        assert one is other
        assert 20 == one.policy.max_bytes
        assert one is not shared(str(log.path) + "2", POLICY, Segments)

    def test_report(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Troubles are reported with the file's name, each kind by itself.
        """
        said: list[tuple[str, str]] = []
        monkeypatch.setattr(
            engines_module, "report", lambda kind, what: said.append((kind, what))
        )
        shared(str(log.path), POLICY, Segments).on_trouble("rotate", "cannot rotate")

        assert [(f"{log.path}: rotate", f"{log.path}: cannot rotate")] == said


def test_without_posix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where there are no fchmod and fork, lines are written all the same.
    """
    with monkeypatch.context() as patch:
        patch.delattr(os, "register_at_fork")
        patch.setattr("atexit.register", lambda function: function)
        loaded = runpy.run_path(str(engines_module.__file__))
    monkeypatch.delattr(os, "fchmod")
    monkeypatch.setattr(sys, "platform", "win32")
    path = tmp_path / "bot.log"
    segments: Any = loaded["Segments"](str(path), POLICY, print)
    segments.append(b"x\n")
    segments.close()

    assert b"x\n" == path.read_bytes()


def test_path_that_never_names_the_same_file(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where inode numbers change at every look, lines are appended all the same.
    """
    segments = log.open()
    numbers = iter(range(10**6))
    monkeypatch.setattr(Ordinary, "look", lambda *_: Look(0, next(numbers), 0))

    assert segments.append(b"x\n")
    assert 1 == segments.statistics().unlocked
    assert "lock" in {kind for kind, _ in log.troubles}


def test_sibling_removed_it_first(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A full file that a sibling removed first is no trouble.
    """
    segments = log.open(backup_count=1)
    remove = os.unlink

    def twice(path: str) -> None:
        remove(path)
        remove(path)

    monkeypatch.setattr(os, "unlink", twice)
    for _ in range(3):
        segments.append(b"x\n")
        segments.rotate()
    maintained(segments)

    assert [] == log.troubles
