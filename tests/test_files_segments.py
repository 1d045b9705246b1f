"""
A log file grows by whole lines and moves on when it is full.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections import deque
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_log.files import rotation as rotation_module
from tests.integration.support import Done, run_python
from tests.logs import STAMP, Log, is_unlocked, maintained, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.files.segments import Segments


@pytest.fixture(params=["ordinary", "keeping"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Log]:
    """A place for segments, written with either kind of system calls."""
    made = Log(tmp_path, keep_gil=request.param == "keeping")
    yield made
    made.close()


class TestAppend:
    def test_exactly_full(self, log: Log) -> None:
        """
        A line that fits to the last byte still goes into the file.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"123\n")
        segments.append(b"12345\n")

        assert [b"123\n12345\n"] == log.contents

    def test_one_byte_over(self, log: Log) -> None:
        """
        A line that is one byte too long begins the next file.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"123\n")
        segments.append(b"123456\n")

        assert [b"123\n", b"123456\n"] == log.contents

    def test_longer_than_a_file(self, log: Log) -> None:
        """
        A line longer than a file is written whole, and alone.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"a\n")
        segments.append(b"x" * 50 + b"\n")
        segments.append(b"b\n")

        assert [b"a\n", b"x" * 50 + b"\n", b"b\n"] == log.contents

    def test_is_written(self, log: Log) -> None:
        """
        An append that returns ``True`` is in the kernel's hands, and counted.
        """
        segments = log.open()

        assert segments.append(b"abc\n")
        assert b"abc\n" == log.path.read_bytes()
        assert (1, 4, 0) == (
            segments.statistics().written,
            segments.statistics().bytes,
            segments.statistics().waiting,
        )

    def test_never_rotates(self, log: Log) -> None:
        """
        With a largest size of zero the file grows for ever, as in stdlib.
        """
        segments = log.open(max_bytes=0)
        for _ in range(5):
            segments.append(b"12345678\n")

        assert [b"12345678\n" * 5] == log.contents

    @settings(max_examples=30)
    @given(
        st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12),
        st.integers(1, 60),
    )
    def test_nothing_is_lost(self, lines: list[bytes], max_bytes: int) -> None:
        """
        Segments and active file, in order, are all lines; none is over-full
        unless it holds one line.
        """
        with tempfile.TemporaryDirectory() as folder:
            log = Log(Path(folder))
            segments = log.open(max_bytes=max_bytes)
            for line in lines:
                segments.append(line)
            segments.close()

            assert b"".join(lines) == b"".join(log.contents)
            for content in log.contents:
                assert len(content) <= max_bytes or content in lines
            assert [] == log.troubles

    def test_append_to_what_is_there(self, log: Log) -> None:
        """
        A new process goes on where the last one stopped, its size counted.
        """
        log.path.write_bytes(b"1234567\n")
        log.open(max_bytes=10).append(b"abc\n")

        assert [b"1234567\n", b"abc\n"] == log.contents

    def test_folder_is_made(self, tmp_path: Path) -> None:
        """
        The folder is made at the first line, with those above it.
        """
        log = Log(tmp_path / "a" / "b")
        segments = log.open()
        assert not (tmp_path / "a").exists()

        segments.append(b"x\n")
        segments.close()
        assert b"x\n" == log.path.read_bytes()

    def test_folder_removed(self, tmp_path: Path) -> None:
        """
        A folder that somebody removed is made again.
        """
        log = Log(tmp_path / "logs")
        segments = log.open()
        segments.append(b"lost\n")
        log.path.unlink()
        log.path.parent.rmdir()
        segments.append(b"x\n")
        segments.close()

        assert b"x\n" == log.path.read_bytes()

    def test_renamed_by_logrotate(self, log: Log) -> None:
        """
        A file that was renamed is left alone; the path gets a new one.
        """
        segments = log.open()
        segments.append(b"old\n")
        log.path.rename(log.path.with_name("rotated"))
        segments.append(b"new\n")

        assert b"old\n" == log.path.with_name("rotated").read_bytes()
        assert b"new\n" == log.path.read_bytes()

    def test_truncated_by_logrotate(self, log: Log) -> None:
        """
        A file that was copied and truncated counts from zero again, and that is
        told: what was written in between is lost.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        os.truncate(log.path, 0)
        segments.append(b"abcdefg\n")

        assert [b"abcdefg\n"] == log.contents
        message = (
            "somebody cut it from 8 to 0 bytes (copytruncate?); lines written "
            "meanwhile may be lost; use logrotate's create"
        )
        assert [("cut", message)] == log.troubles

    def test_truncated_amid_a_line(self, log: Log) -> None:
        """
        What is left of a line that somebody cut through is put aside.
        """
        segments = log.open(max_bytes=100)
        segments.append(b"1234567\n")
        os.truncate(log.path, 3)
        segments.append(b"abcdefg\n")

        assert [b"abcdefg\n"] == log.contents
        assert ["cut", "repair"] == log.kinds

    def test_rotated_by_a_sibling(self, log: Log) -> None:
        """
        Two writers of one file follow each other's rotations.
        """
        one, two = log.open(max_bytes=10), log.open(max_bytes=10)
        one.append(b"1111\n")
        two.append(b"2222\n")
        one.append(b"3333\n")
        two.append(b"4444\n")
        two.append(b"5555\n")

        assert [b"1111\n2222\n", b"3333\n4444\n", b"5555\n"] == log.contents

    def test_lock_is_released(self, log: Log) -> None:
        """
        Between two lines, other processes may lock the file.
        """
        log.open().append(b"x\n")

        assert is_unlocked(log.path)

    def test_lock_is_released_after_trouble(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A look at the path that fails does not leave the file locked.
        """
        segments = log.open()
        segments.append(b"x\n")
        with monkeypatch.context() as patch:
            patch.setattr(segments._calls, "look", refusing(errno.EIO))
            assert not segments.append(b"y\n")

        assert is_unlocked(log.path)

    def test_device(self, log: Log) -> None:
        """
        A device is written to and never rotated.
        """
        log.path = Path("/dev/null")
        segments = log.open(max_bytes=1)
        segments.append(b"x\n")
        segments.append(b"y\n")
        segments.rotate()

        assert stat.S_ISCHR(log.path.stat().st_mode)
        assert [] == log.troubles
        assert 2 == segments.statistics().written


class TestAppendAll:
    """Many lines, as a thread hands them over."""

    def test_one_call(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Lines that fit together are written in one call, and taken away.
        """
        segments = log.open(max_bytes=1_000)
        calls = []
        write = segments._write

        def noted(lines: bytes) -> None:
            calls.append(lines)
            write(lines)

        monkeypatch.setattr(segments, "_write", noted)
        lines = deque([b"a\n", b"b\n", b"c\n"])
        segments.append_all(lines)

        assert ([b"a\nb\nc\n"], deque()) == (calls, lines)
        assert [b"a\nb\nc\n"] == log.contents
        assert (3, 6) == segments.statistics()[:2]

    @given(
        st.lists(st.binary(max_size=12).map(lambda line: line.hex().encode() + b"\n")),
        st.integers(1, 60),
        st.integers(1, 5),
    )
    def test_as_one_by_one(
        self, lines: list[bytes], max_bytes: int, max_waiting: int
    ) -> None:
        """
        The files are the same as if each line had come alone.
        """
        found = []
        for together in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                log = Log(Path(folder), max_bytes=max_bytes, max_waiting=max_waiting)
                segments = log.open()
                if together:
                    segments.append_all(deque(lines))
                for line in [] if together else lines:
                    segments.append(line)
                found.append(log.contents if lines else [])
                log.close()

        assert found[0] == found[1]

    def test_large(self, log: Log) -> None:
        """
        So are the counts of more than one call takes.
        """
        segments = log.open(max_bytes=0)
        segments.append_all(deque([bytes(999) + b"\n"] * 200))

        assert (200, 200_000) == segments.statistics()[:2]
        assert 200_000 == log.path.stat().st_size

    def test_pipe(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A pipe gets at once what it takes whole, whoever else writes to it.
        """
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments = log.open()
            sizes = []
            write = segments._write_line

            def noted(lines: bytes) -> None:
                sizes.append(len(lines))
                write(lines)

            monkeypatch.setattr(segments, "_write_line", noted)
            segments.append_all(deque([bytes(999) + b"\n"] * 9))
            assert 9_000 == len(os.read(reader, 10_000))
        finally:
            os.close(reader)

        assert [4_000, 4_000, 1_000] == sizes

    def test_refused(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Lines that cannot be written wait, as many as may; the others are dropped.
        """
        segments = log.open(max_waiting=2, max_bytes=0)
        with monkeypatch.context() as patch:
            patch.setattr(segments, "_write_line", refusing(errno.ENOSPC))
            lines = deque([b"%d\n" % number for number in range(5)])
            segments.append_all(lines)
            assert deque() == lines
            found = segments.statistics()
            assert (2, 3) == (found.waiting, found.dropped)
        segments.append_all(deque([b"5\n"]))

        assert [b"0\n", b"1\n", b"5\n"] == log.lines
        assert 2 == segments.statistics().retried


class TestSignalHandler:
    """A signal handler that raises, as one that calls `sys.exit` does."""

    @pytest.mark.parametrize("call", ["append", "rotate"])
    def test_raises_at_the_end(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """
        Raised while the lock is let go of, it keeps no later line from the file.
        """
        segments = log.open(max_bytes=0)
        release = segments._release

        def interrupted() -> None:
            release()
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(segments, "_release", interrupted)
            with pytest.raises(SystemExit):
                segments.append(b"a\n") if call == "append" else segments.rotate()

        assert segments.append(b"b\n")
        assert b"b\n" == log.lines[-1]


class TestRotate:
    def test_now(self, log: Log) -> None:
        """
        A rotation can be asked for before the file is full.
        """
        segments = log.open()
        segments.append(b"a\n")
        segments.rotate()
        segments.append(b"b\n")

        assert [b"a\n", b"b\n"] == log.contents

    def test_empty(self, log: Log) -> None:
        """
        An empty file is not worth a name.
        """
        segments = log.open()
        segments.rotate()
        segments.rotate()

        assert [] == log.full

    def test_name(self, log: Log) -> None:
        """
        A segment is named after the time its first line tells.
        """
        segments = log.open()
        segments.append(b'{"timestamp":"2024-02-29T12:00:01.5Z"}\n')
        segments.append(b"2025-01-01 00:00:00\n")

        assert ["bot.log.20240229T120001Z.000001"] == [file.name for file in log.full]

    def test_name_by_the_clock(self, log: Log) -> None:
        """
        Where the line tells no time, the clock does.
        """
        segments = log.open()
        segments.append(b"started\n")
        segments.rotate()

        assert [f"bot.log.{STAMP}.000001"] == [file.name for file in log.full]

    def test_newest_are_kept(self, log: Log) -> None:
        """
        The newest segments are kept, and numbers only grow.
        """
        segments = log.open(backup_count=2)
        for number in range(6):
            segments.append(b"line %d\n" % number)
            segments.rotate()
        assert maintained(segments) is None

        assert ["000005", "000006"] == [file.name[-6:] for file in log.full]
        assert [b"line 4\n", b"line 5\n", b""] == log.contents

    def test_numbers_after_a_restart(self, log: Log) -> None:
        """
        A new process goes on with the numbers of the last one.
        """
        log.path.with_name(f"bot.log.{STAMP}.000041").write_bytes(b"old\n")
        segments = log.open()
        segments.append(b"x\n")
        segments.rotate()

        assert "000042" == log.full[-1].name[-6:]

    def test_numbers_after_compression(self, log: Log) -> None:
        """
        The number of a segment that somebody compressed is not used again.
        """
        log.path.with_name(f"bot.log.{STAMP}.000041.gz").write_bytes(b"old\n")
        segments = log.open()
        segments.append(b"x\n")
        segments.rotate()

        assert [f"bot.log.{STAMP}.000042"] == [
            file.name for file in log.full if file.suffix != ".gz"
        ]

    def test_numbers_after_moving_away(self, log: Log) -> None:
        """
        A number is not given again though every file that had one was moved away,
        and the next process finds none.
        """
        for number in (1, 2, 3, 4):
            segments = log.open()
            segments.append(b"x\n")
            segments.rotate()
            assert [f"{number:06}"] == [file.name[-6:] for file in log.full]
            log.full[0].unlink()

    def test_numbers_of_a_sibling(self, log: Log) -> None:
        """
        The numbers that a sibling gave, and whose files are gone, count too.
        """
        one, two = log.open(), log.open()
        for segments in (one, two, one, two):
            segments.append(b"x\n")
            segments.rotate()
            (full,) = log.full
            full.unlink()

        assert b"%020d\n" % 4 == (log.aside / "number").read_bytes()

    def test_hidden_folder_fails(self, log: Log) -> None:
        """
        Without the hidden folder, numbers still grow within the process.
        """
        log.aside.write_bytes(b"in the way")
        segments = log.open()
        for number in (1, 2):
            segments.append(b"x\n")
            segments.rotate()
            assert f"{number:06}" == log.full[0].name[-6:]
            log.full[0].unlink()

        assert [] == log.troubles

    def test_foreign_files_stay(self, log: Log) -> None:
        """
        What is no segment is never removed.
        """
        foreign = ["bot.log.1", "bot.log.gz", "bot.log.bak", "other.log"]
        for name in foreign:
            log.path.with_name(name).write_bytes(b"mine")
        segments = log.open(backup_count=1)
        for _ in range(3):
            segments.append(b"x\n")
            segments.rotate()
        maintained(segments)

        for name in foreign:
            assert b"mine" == log.path.with_name(name).read_bytes()

    def test_folder_is_no_segment(self, log: Log) -> None:
        """
        A folder that is called like a segment is none, and in nobody's way.
        """
        log.path.with_name(f"bot.log.{STAMP}.000001").mkdir()
        segments = log.open(backup_count=1)
        for _ in range(3):
            segments.append(b"x\n")
            segments.rotate()
        maintained(segments)

        assert [] == log.troubles
        assert 1 == len([file for file in log.full if file.is_file()])
        assert 1 == segments.statistics().segments

    def test_rename_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A rotation that fails is told, and the line goes into the old file.
        """
        monkeypatch.setattr(os, "rename", refusing(errno.EACCES))
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        segments.append(b"abc\n")

        assert [b"1234567\nabc\n"] == log.contents
        ((kind, message),) = log.troubles
        assert "rotate" == kind
        assert message.startswith("cannot rotate, writing on: [Errno 13] refused")
        assert 0 == segments.statistics().rotations

    def test_pause(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A rotation that failed is tried again after ten seconds, not with every
        line; and at once if somebody asks.
        """
        now, tries = [100.0], []
        time = SimpleNamespace(monotonic=lambda: now[0])
        monkeypatch.setattr(rotation_module, "time", time)

        def refuse(*_: str) -> None:
            tries.append(now[0])
            raise OSError(errno.EACCES, "refused")

        segments = log.open(max_bytes=10)
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", refuse)
            segments.append(b"1234567\n")
            for now[0] in (100.0, 109.99, 110.0, 111.0):
                assert segments.append(b"abc\n")
            assert [100.0, 110.0] == tries
            segments.rotate()
            assert [100.0, 110.0, 111.0] == tries
        now[0] = 121.0
        segments.append(b"abc\n")

        assert [b"1234567\n" + 4 * b"abc\n", b"abc\n"] == log.contents

    def test_open_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where the next file cannot be made, the line still is not lost.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        monkeypatch.setattr(os, "open", refusing(errno.EMFILE))
        segments.append(b"abc\n")
        monkeypatch.undo()

        written = b"".join(
            file.read_bytes() for file in log.path.parent.glob("bot.log*")
        )
        assert b"1234567\nabc\n" == written
        assert ["rotate"] == log.kinds

    @pytest.mark.parametrize("call", ["try_lock", "look"])
    def test_lock_of_the_new_file_fails(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """
        Where the next file cannot be locked, the line goes into the old one, and
        the line after it into the next.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        allowed = getattr(segments._calls, call)

        def refuse_new(place: int | str) -> object:
            if log.path.exists() and not log.path.stat().st_size:
                raise OSError(errno.EIO, "refused")
            return allowed(place)

        with monkeypatch.context() as patch:
            patch.setattr(type(segments._calls), call, lambda _, at: refuse_new(at))
            assert segments.append(b"abc\n")
        assert segments.append(b"def\n")

        assert [b"1234567\nabc\n", b"def\n"] == log.contents
        assert ["rotate"] == log.kinds

    def test_rotate_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A rotation asked for that cannot even begin is told, and not raised.
        """
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))
        segments = log.open()
        segments.rotate()
        monkeypatch.undo()

        assert ["rotate"] == log.kinds
        assert "refused" in str(segments.statistics().last_error)

    def test_none_are_kept(self, log: Log) -> None:
        """
        Where no full files are kept, a rotation asked for removes nothing.
        """
        segments = log.open(max_bytes=0, backup_count=0)
        segments.append(b"x\n")
        segments.rotate()

        assert [b"x\n"] == log.contents

    def test_prune_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A segment that cannot be removed is told; the rotation has worked.
        """
        segments = log.open(max_bytes=10, backup_count=1)
        segments.append(b"1111111\n")
        segments.append(b"2222222\n")
        monkeypatch.setattr(os, "unlink", refusing(errno.EPERM))
        segments.append(b"3333333\n")
        maintained(segments)

        assert [b"1111111\n", b"2222222\n", b"3333333\n"] == log.contents
        assert ["remove"] == log.kinds
        assert 2 == segments.statistics().rotations
        assert 2 == segments.statistics().segments


def line_at(time: str) -> bytes:
    """Return a line that tells when it was logged."""
    return b'{"timestamp":"%sZ"}\n' % time.encode()


class TestMidnight:
    """The first record of a day begins a new file, where that is wanted."""

    BEFORE = line_at("2025-10-27T23:59:59.999999")
    AFTER = line_at("2025-10-28T00:00:00.000000")
    MIDNIGHT = 1_761_609_600.0  # 2025-10-28 00:00:00 UTC

    def midnights(self, log: Log) -> Segments:
        """Return segments that rotate at midnight, a second before it."""
        log.now = self.MIDNIGHT - 1.0
        return log.open(max_bytes=1_000, at_midnight=True)

    def test_first_of_a_day(self, log: Log) -> None:
        """
        A record of 00:00:00 begins a new file; one of 23:59:59 does not.
        """
        segments = self.midnights(log)
        segments.append(self.BEFORE)
        segments.append(self.BEFORE)
        log.now = self.MIDNIGHT
        segments.append(self.AFTER)
        segments.append(self.AFTER)

        assert [2 * self.BEFORE, 2 * self.AFTER] == log.contents

    def test_written_late(self, log: Log) -> None:
        """
        A record that was logged before midnight and is written after it belongs to
        the day that is over: in a file of its own it would end that one's day.
        """
        segments = self.midnights(log)
        segments.append(self.BEFORE)
        log.now = self.MIDNIGHT + 0.001
        segments.append(self.BEFORE)
        segments.append(self.AFTER)
        segments.append(self.AFTER)

        assert [2 * self.BEFORE, 2 * self.AFTER] == log.contents

    def test_lines_without_time(self, log: Log) -> None:
        """
        Of lines that tell no time the clock decides.
        """
        segments = self.midnights(log)
        segments.append(b"1\n")
        segments.append(b"2\n")
        log.now = self.MIDNIGHT
        segments.append(b"3\n")
        segments.append(b"4\n")

        assert [b"1\n2\n", b"3\n4\n"] == log.contents

    def test_after_a_restart(self, log: Log) -> None:
        """
        A process that starts on the next day finds the old file, and moves on.
        """
        self.midnights(log).append(self.BEFORE)
        log.close()
        log.now = self.MIDNIGHT + 3_600
        log.open(max_bytes=1_000, at_midnight=True).append(self.AFTER)

        assert [self.BEFORE, self.AFTER] == log.contents

    def test_two_processes(self, log: Log) -> None:
        """
        One of two writers moves on, the other follows.
        """
        one, two = self.midnights(log), self.midnights(log)
        one.append(self.BEFORE)
        two.append(self.BEFORE)
        log.now = self.MIDNIGHT
        one.append(self.AFTER)
        two.append(self.AFTER)
        one.append(self.AFTER)

        assert [2 * self.BEFORE, 3 * self.AFTER] == log.contents

    def test_idle_days(self, log: Log) -> None:
        """
        Days without records make no files.
        """
        segments = self.midnights(log)
        segments.append(self.BEFORE)
        log.now = self.MIDNIGHT + 5 * 86_400
        late = line_at("2025-11-02T00:00:00")
        segments.append(late)

        assert [self.BEFORE, late] == log.contents

    def test_clock_set_back(self, log: Log) -> None:
        """
        A clock that was set back begins no file; the day that comes again does not
        either.
        """
        segments = self.midnights(log)
        segments.append(self.BEFORE)
        log.now = self.MIDNIGHT
        segments.append(self.AFTER)
        log.now = self.MIDNIGHT - 3_600
        segments.append(line_at("2025-10-27T23:00:00"))
        log.now = self.MIDNIGHT
        segments.append(self.AFTER)

        assert [1, 3] == [content.count(b"\n") for content in log.contents]

    def test_size_as_well(self, log: Log) -> None:
        """
        A file that is full before the day ends makes room for a second one.
        """
        segments = self.midnights(log)
        segments.policy = segments.policy._replace(max_bytes=len(self.BEFORE))
        segments.append(self.BEFORE)
        segments.append(self.BEFORE)

        assert [self.BEFORE, self.BEFORE] == log.contents

    def test_not_wanted(self, log: Log) -> None:
        """
        Where it is not wanted, size alone decides.
        """
        segments = log.open(max_bytes=1_000)
        segments.append(self.BEFORE)
        log.now = self.MIDNIGHT
        segments.append(self.AFTER)

        assert [self.BEFORE + self.AFTER] == log.contents

    @given(st.lists(st.integers(0, 3 * 86_400), min_size=1, max_size=20))
    def test_one_day_a_file(self, seconds: list[int]) -> None:
        """
        Whenever records come, no file holds two days, and none is empty.
        """
        with tempfile.TemporaryDirectory() as folder:
            log = Log(Path(folder))
            segments = log.open(max_bytes=0, at_midnight=True)
            for second in sorted(seconds):
                log.now = self.MIDNIGHT + second
                moment = datetime.fromtimestamp(log.now, timezone.utc)
                segments.append(line_at(f"{moment:%Y-%m-%dT%H:%M:%S}"))
            segments.close()
            days = [
                {line[14:24] for line in content.splitlines()}
                for content in log.contents
            ]

        assert [1] * len({second // 86_400 for second in seconds}) == [
            len(each) for each in days
        ]


class TestMode:
    @pytest.fixture(params=[0o000, 0o022, 0o077])
    def umask(self, request: pytest.FixtureRequest) -> Iterator[int]:
        """A umask from generous to strict."""
        before = os.umask(request.param)
        yield request.param
        os.umask(before)

    @pytest.mark.usefixtures("umask")
    @pytest.mark.parametrize("mode", [0o640, 0o600, 0o666])
    def test_whatever_the_umask(self, log: Log, mode: int) -> None:
        """
        Every file has the configured bits, across rotations.
        """
        segments = log.open(mode=mode)
        segments.append(b"1234567\n")
        segments.append(b"abcdefg\n")

        assert [mode, mode] == [
            stat.S_IMODE(file.stat().st_mode) for file in [*log.full, log.path]
        ]

    def test_existing(self, log: Log) -> None:
        """
        A file that already holds lines keeps the bits somebody gave it.
        """
        log.path.write_bytes(b"x\n")
        log.path.chmod(0o604)
        log.open().append(b"y\n")

        assert 0o604 == stat.S_IMODE(log.path.stat().st_mode)

    def test_of_somebody_else(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        An empty file whose bits are not ours to set is written all the same.
        """
        monkeypatch.setattr(os, "fchmod", refusing(errno.EPERM))
        log.open().append(b"y\n")

        assert [b"y\n"] == log.contents


class TestClose:
    def test_twice(self, log: Log) -> None:
        """
        Closing is idempotent, and harmless before the first line.
        """
        segments = log.open()
        segments.close()
        segments.append(b"x\n")
        segments.close()
        segments.close()

        assert [b"x\n"] == log.contents

    def test_revives(self, log: Log) -> None:
        """
        A line after closing opens the file again.
        """
        segments = log.open()
        segments.append(b"x\n")
        segments.close()
        segments.append(b"y\n")

        assert [b"x\ny\n"] == log.contents

    def test_forgotten(self, log: Log) -> None:
        """
        A file that nobody closed is closed with the last who knows it.
        """
        segments = log.open()
        segments.append(b"1\n")
        fd = segments._fd
        log.opened.clear()
        del segments

        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


class TestLargeFile:
    @pytest.mark.parametrize("size", [2**31, 2**32 + 5])
    def test_offsets(self, log: Log, size: int) -> None:
        """
        Beyond 2 and 4 GiB the size is right, and a line goes to the end.
        """
        with log.path.open("wb") as file:
            file.truncate(size - 1)
            file.seek(size - 1)
            file.write(b"\n")
        segments = log.open(max_bytes=size + 4)
        segments.append(b"abc\n")
        assert [] == log.full
        assert size + 4 == log.path.stat().st_size

        segments.append(b"x\n")
        assert size + 4 == log.full[0].stat().st_size
        assert b"x\n" == log.path.read_bytes()


class TestPlaces:
    def test_symlink(self, log: Log) -> None:
        """
        A symbolic link is not followed; the report names the remedy.
        """
        target = log.path.with_name("target")
        target.write_bytes(b"mine\n")
        log.path.symlink_to(target)
        segments = log.open()
        assert not segments.append(b"x\n")

        assert b"mine\n" == target.read_bytes()
        ((kind, message),) = log.troubles
        assert "write" == kind
        assert "is a symbolic link; name its target, or set follow_symlinks" in message
        assert str(log.path) in message
        log.path.unlink()

    def test_dangling_symlink(self, log: Log) -> None:
        """
        Nor does a link that leads nowhere make us make a file there.
        """
        target = log.path.with_name("target")
        log.path.symlink_to(target)
        assert not log.open().append(b"x\n")

        assert not target.exists()
        log.path.unlink()

    def test_symlink_followed(self, log: Log) -> None:
        """
        With *follow_symlinks* the link's target is written.
        """
        target = log.path.with_name("target")
        log.path.symlink_to(target)
        assert log.open(follow_symlinks=True).append(b"x\n")

        assert b"x\n" == target.read_bytes()

    def test_symlink_rotates(self, log: Log) -> None:
        """
        What a link leads to is rotated beside itself, and the link stays.
        """
        folder = log.path.with_name("disk")
        folder.mkdir()
        target = folder / "real.log"
        log.path.symlink_to("disk/real.log")
        segments = log.open(follow_symlinks=True)
        segments.append(b"1234567\n")
        segments.append(b"abc\n")

        assert log.path.is_symlink()
        assert b"abc\n" == target.read_bytes()
        assert b"1234567\n" == (folder / f"real.log.{STAMP}.000001").read_bytes()
        assert (folder / ".real.log.d" / "number").exists()
        assert {"bot.log", "disk"} == {file.name for file in folder.parent.iterdir()}
        assert 1 == segments.statistics().segments

    def test_symlink_into_a_new_folder(self, log: Log) -> None:
        """
        A link may lead to a folder that is not there yet.
        """
        log.path.symlink_to("disk/logs/real.log")
        assert log.open(follow_symlinks=True).append(b"x\n")

        assert (
            b"x\n"
            == log.path.with_name("disk").joinpath("logs", "real.log").read_bytes()
        )

    def test_symlink_moved(self, log: Log) -> None:
        """
        A link that is pointed elsewhere is followed there, by the next line.
        """
        one, two = log.path.with_name("one"), log.path.with_name("two")
        log.path.symlink_to(one)
        segments = log.open(follow_symlinks=True, max_bytes=10)
        segments.append(b"a\n")
        log.path.unlink()
        log.path.symlink_to(two)
        segments.append(b"12345678\n")
        segments.append(b"b\n")

        assert (b"a\n", b"b\n") == (one.read_bytes(), two.read_bytes())
        full = two.with_name(f"two.{STAMP}.000001")
        assert b"12345678\n" == full.read_bytes()

    def test_symlink_to_a_device(self, log: Log) -> None:
        """
        A link to a device is written, and never rotated.
        """
        log.path.symlink_to("/dev/null")
        segments = log.open(follow_symlinks=True, max_bytes=1)
        for _ in range(2):
            assert segments.append(b"x\n")
        segments.rotate()

        assert log.path.is_symlink()
        assert [] == log.troubles

    def test_symlinks_in_a_circle(self, log: Log) -> None:
        """
        Links that lead nowhere are the kernel's error, and no advice of ours.
        """
        log.path.symlink_to(log.path.name)
        assert not log.open(follow_symlinks=True).append(b"x\n")

        ((_, message),) = log.troubles
        assert "Too many levels of symbolic links" in message
        log.path.unlink()

    def test_symlink_in_shared_memory(self, log: Log) -> None:
        """
        In ``/dev/shm``, which is everybody's, no link is followed either.
        """
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            target = log.path.with_name("target")
            log.path = Path(folder) / "bot.log"
            log.path.symlink_to(target)
            segments = log.open()
            assert not segments.append(b"x\n")
            assert not target.exists()

            log.path.unlink()
            assert segments.append(b"1234567\n")
            assert [b"x\n1234567\n"] == log.contents
            assert segments.append(b"abc\n")
            assert [b"x\n1234567\n", b"abc\n"] == log.contents

    def test_directory(self, log: Log) -> None:
        """
        A folder in the file's place is a report, and the line waits.
        """
        log.path.mkdir()
        assert not log.open().append(b"x\n")

        assert ["write"] == log.kinds
        log.path.rmdir()

    def test_fifo(self, log: Log) -> None:
        """
        A named pipe is written, whole lines at a time, and never rotated.
        """
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments = log.open()
            assert segments.append(b"1234567\n")
            assert segments.append(b"abcdefg\n")
            segments.rotate()
            assert b"1234567\nabcdefg\n" == os.read(reader, 100)
        finally:
            os.close(reader)

        assert [] == log.full
        assert 0 == segments.statistics().unlocked

    def test_piecemeal(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A pipe that takes a line in pieces gets all of them.
        """
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        write = os.write
        try:
            segments = log.open()
            monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
            assert segments.append(b"1234567\n")
            assert b"1234567\n" == os.read(reader, 100)
        finally:
            os.close(reader)

    def test_half_taken(self, log: Log) -> None:
        """
        A pipe that has room for half of a line gets the other half later.
        """
        line = b"x" * 100_000 + b"\n"  # a pipe holds 65,536 bytes
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments = log.open()
            segments.append(b"first\n")
            os.set_blocking(segments._fd, False)
            assert not segments.append(line)
            segments.close()
            found = os.read(reader, 200_000)
            assert segments.flush()
            assert segments.append(b"last\n")
            found += os.read(reader, 200_000)
        finally:
            os.close(reader)

        assert b"first\n" + line + b"last\n" == found
        assert 1 == segments.statistics().retried

    def test_some_taken(self, log: Log) -> None:
        """
        Of many lines that go out together, each arrives once.
        """
        lines = [b"%d" % number + b"x" * 10_000 + b"\n" for number in range(20)]
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments = log.open()
            segments.append(b"first\n")
            os.read(reader, 100)
            os.set_blocking(segments._fd, False)
            segments._waiting.extend(lines)
            found, tries = b"", 0
            while not segments.flush():
                found += os.read(reader, 70_000)
                tries += 1
            found += os.read(reader, 200_000)
        finally:
            os.close(reader)

        assert b"".join(lines) == found
        assert tries >= 3

    @pytest.mark.parametrize("end", ["at_exit", "after_fork"])
    def test_half_given_up(self, log: Log, end: str) -> None:
        """
        A line whose other half will not follow spoils no other one.
        """
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments = log.open()
            segments.append(b"first\n")
            os.set_blocking(segments._fd, False)
            segments.append(b"x" * 100_000 + b"\n")
            getattr(segments, end)()
            getattr(segments, end)()
            os.read(reader, 100_000)
            assert segments.append(b"next\n")
            assert segments.append(b"last\n")
            assert b"\nnext\nlast\n" == os.read(reader, 100)
        finally:
            os.close(reader)

    def test_half_taken_by_another(self, log: Log) -> None:
        """
        A new pipe in the old one's place gets the line from its beginning.
        """
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        segments = log.open()
        segments.append(b"first\n")
        os.set_blocking(segments._fd, False)
        segments.append(b"y" + b"x" * 70_000 + b"\n")
        segments.close()
        log.path.rename(log.path.with_name("old"))
        os.mkfifo(log.path)
        other = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments._open()
            os.set_blocking(segments._fd, False)
            assert not segments.flush()
            assert b"yx" == os.read(other, 2)
            os.read(other, 100_000)
            assert segments.flush()
        finally:
            os.close(reader)
            os.close(other)

    def test_full_device(self, log: Log) -> None:
        """
        A device that is always full: lines wait, in bounds, and are counted.
        """
        log.path = Path("/dev/full")
        segments = log.open(max_waiting=2)
        assert [False] * 3 == [segments.append(b"x\n") for _ in range(3)]

        found = segments.statistics()
        assert (0, 2, 1) == (found.written, found.waiting, found.dropped)
        assert ["write", "write", "write", "drop"] == log.kinds

    def test_stdout_is_a_pipe(self, tmp_path: Path) -> None:
        """
        ``/dev/stdout`` is written where it is a pipe.
        """
        assert Done(0, b"a\nb\n", "") == run_python(TO_STDOUT, tmp_path)

    def test_stdout_is_a_file(self, tmp_path: Path) -> None:
        """
        ``/dev/stdout`` is written where it is a file, which is neither rotated
        nor repaired: it is somebody else's.
        """
        out = tmp_path / "out"
        out.write_bytes(b"half a li")
        script = f"""
import os
os.dup2(os.open({str(out)!r}, os.O_WRONLY | os.O_APPEND), 1)
{TO_STDOUT}"""
        assert Done(0, b"", "") == run_python(script, tmp_path)
        assert b"half a lia\nb\n" == out.read_bytes()
        assert ["out"] == [file.name for file in tmp_path.iterdir()]


# Renaming is refused: it would take the machine's own link away.
TO_STDOUT = """
import os
from chimera_log.files.policy import Policy
from chimera_log.files.retention import Limits
from chimera_log.files.segments import Segments
def refuse(*names):
    raise AssertionError(names)
os.rename = os.unlink = os.ftruncate = refuse
policy = Policy(1, Limits(5), 0o640, False, 1.0, 10, True)
segments = Segments("/dev/stdout", policy, print)
assert segments.append(b"a\\n")
assert segments.append(b"b\\n")
segments.rotate()
segments.close()
"""
