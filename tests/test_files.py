"""
Log files grow by whole lines, move on when they are full, and lose nothing.
"""

from __future__ import annotations

import calendar
import errno
import fcntl
import logging
import logging.handlers
import os
import runpy
import signal
import stat
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimera_log import ConfigError, JsonFormatter, RotatingFileHandler
from chimera_log.files import handlers as handlers_module
from chimera_log.files import segments as segments_module
from chimera_log.files.segments import (
    Segments,
    segment_name,
    segment_number,
    superfluous,
    time_of_line,
)
from chimera_log.report import Reporter
from tests.conftest import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = float(calendar.timegm((2025, 10, 27, 8, 38, 0)))
STAMP = "20251027T083800Z"
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
)


class TestSegmentName:
    def test_time_and_number(self) -> None:
        """
        A name tells the UTC of the first line and a number of six digits.
        """
        assert "bot.log.20251027T083800Z.000001" == segment_name(
            "bot.log", FIRST + 0.9, 1
        )

    def test_many(self) -> None:
        """
        The millionth number has seven digits.
        """
        assert f"bot.log.{STAMP}.1000000" == segment_name("bot.log", FIRST, 1_000_000)


class TestSegmentNumber:
    @given(NAMES, st.integers(0, 2**32), st.integers(1, 10**9))
    def test_reverses_name(self, name: str, first: int, number: int) -> None:
        """
        The number of a made name is what was put in.
        """
        assert number == segment_number(name, segment_name(name, first, number))

    @given(
        st.integers(1, 10**9),
        st.from_regex(
            rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}",
            fullmatch=True,
        ),
    )
    def test_any_time(self, number: int, start: bytes) -> None:
        """
        Whatever time a line tells, its segment is found again.
        """
        first = time_of_line(start)
        name = segment_name("bot.log", 0.0 if first is None else first, number)

        assert number == segment_number("bot.log", name)

    @pytest.mark.parametrize(
        "entry",
        [
            "bot.log",
            "bot.log.1",
            "bot.log.gz",
            "bot.log.bak",
            "bot.log.000001",
            f"bot.log.{STAMP}",
            f"bot.log.{STAMP}.1",
            f"bot.log.{STAMP}.000001.tmp",
            f"bot.log.{STAMP}.000001\n",
            f"bot.log.2.{STAMP}.000001",
            f"other.log.{STAMP}.000001",
            f"xbot.log.{STAMP}.000001",
            "",
        ],
    )
    def test_foreign(self, entry: str) -> None:
        """
        Other files beside the active one are no segments of it.
        """
        assert segment_number("bot.log", entry) is None

    @given(NAMES, st.text())
    def test_anything(self, name: str, entry: str) -> None:
        """
        Any entry of a directory has a number or has none.
        """
        assert segment_number(name, entry) is None or entry.startswith(name)


class TestTimeOfLine:
    @pytest.mark.parametrize(
        "start",
        [
            b'{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO"',
            b"2025-10-27 08:38:00,136 INFO started",
            b"[2025-10-27 08:38:00 +0000] [7] [INFO] Booting",
        ],
    )
    def test_forms(self, start: bytes) -> None:
        """
        Our own lines and the usual formats tell their second.
        """
        assert time_of_line(start) == FIRST

    @pytest.mark.parametrize(
        "start",
        [
            b"",
            b"started",
            b"08:38:00 started",
            b"2025-13-01T00:00:00",
            b"0000-01-01T00:00:00",
            b"2025-02-31T00:00:00",
            b"2025-10-27T25:61:61",
        ],
    )
    def test_no_time(self, start: bytes) -> None:
        """
        A line without a time, or with digits that are no date, tells none.
        """
        assert time_of_line(start) is None

    @given(st.binary(max_size=100))
    def test_anything(self, start: bytes) -> None:
        """
        No bytes can make it fail.
        """
        assert isinstance(time_of_line(start), (float, type(None)))


class TestSuperfluous:
    def test_oldest_first(self) -> None:
        """
        Beyond the newest there are to go, by number and not by name.
        """
        numbers = [999_999, 1_000_001, 3, 1_000_000]
        entries = [segment_name("bot.log", FIRST, number) for number in numbers]

        assert [entries[2], entries[0]] == superfluous("bot.log", entries, keep=2)

    def test_enough_room(self) -> None:
        """
        As many as are kept, or fewer, all stay.
        """
        entries = [segment_name("bot.log", FIRST, number) for number in (1, 2)]

        assert [] == superfluous("bot.log", entries, keep=2)
        assert [] == superfluous("bot.log", entries, keep=3)

    def test_foreign(self) -> None:
        """
        What is no segment is neither counted nor named.
        """
        entries = ["bot.log", "bot.log.1", "other", segment_name("bot.log", FIRST, 1)]

        assert [] == superfluous("bot.log", entries, keep=1)
        assert entries[3:] == superfluous("bot.log", entries, keep=0)

    @given(st.sets(st.integers(1, 10**7)), st.integers(0, 60))
    def test_newest_stay(self, numbers: set[int], keep: int) -> None:
        """
        What stays is exactly the newest that are to be kept.
        """
        entries = [segment_name("bot.log", FIRST, number) for number in numbers]
        gone = superfluous("bot.log", entries, keep)
        left = [segment_number("bot.log", e) for e in entries if e not in gone]

        assert sorted(numbers)[max(len(numbers) - keep, 0) :] == sorted(
            number for number in left if number is not None
        )


class Log:
    """Segments in a folder of their own, with what they reported."""

    def __init__(self, folder: Path, name: str = "bot.log") -> None:
        self.path = folder / name
        self.troubles: list[str] = []
        self.opened: list[Segments] = []

    def open(
        self, max_bytes: int = 10, backup_count: int = 100, mode: int = 0o640
    ) -> Segments:
        """Return new segments at the path."""
        segments = Segments(
            str(self.path),
            max_bytes=max_bytes,
            backup_count=backup_count,
            mode=mode,
            on_trouble=self.troubles.append,
            clock=lambda: FIRST,
        )
        self.opened.append(segments)
        return segments

    @property
    def full(self) -> list[Path]:
        """The full segments, the oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))

    @property
    def contents(self) -> list[bytes]:
        """What the files hold, the active one last."""
        return [file.read_bytes() for file in [*self.full, self.path]]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A place for segments, which are closed afterwards."""
    made = Log(tmp_path)
    yield made
    for segments in made.opened:
        segments.close()


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

    @pytest.mark.parametrize(("max_bytes", "backup_count"), [(0, 5), (10, 0), (0, 0)])
    def test_never_rotates(self, log: Log, max_bytes: int, backup_count: int) -> None:
        """
        With a zero in either place the file grows for ever, as in stdlib.
        """
        segments = log.open(max_bytes=max_bytes, backup_count=backup_count)
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
        A file that was copied and truncated counts from zero again.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        os.truncate(log.path, 0)
        segments.append(b"abcdefg\n")

        assert [b"abcdefg\n"] == log.contents

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

        assert_unlocked(log.path)

    def test_lock_is_released_after_trouble(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A look at the path that fails does not leave the file locked.
        """
        segments = log.open()
        segments.append(b"x\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", refusing(errno.EIO))
            with pytest.raises(OSError, match="refused"):
                segments.append(b"y\n")

        assert_unlocked(log.path)

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


def assert_unlocked(path: Path) -> None:
    """Fail if anybody holds the lock of the file at *path*."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def refusing(code: int) -> Callable[..., Any]:
    """Return a system call that fails."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, f"refused {args} {kwargs}")

    return refuse


class TestWriteFailure:
    @pytest.fixture
    def short(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Return what fills the disk: from then on, three bytes fit."""
        write = os.write

        def fill() -> None:
            monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))

        return fill

    def test_short(self, log: Log, short: Callable[[], None]) -> None:
        """
        Of a line that does not fit on the disk, nothing is left.
        """
        segments = log.open()
        segments.append(b"a\n")
        short()
        with pytest.raises(OSError, match="no space left for a whole line") as caught:
            segments.append(b"123456\n")

        assert errno.ENOSPC == caught.value.errno
        assert [b"a\n"] == log.contents

    def test_short_in_a_new_file(self, log: Log, short: Callable[[], None]) -> None:
        """
        The same holds for the first line of a file.
        """
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        short()
        with pytest.raises(OSError, match="no space left"):
            segments.append(b"123456\n")

        assert [b"1234567\n", b""] == log.contents

    def test_short_beside_a_sibling(
        self,
        log: Log,
        short: Callable[[], None],
        monkeypatch: pytest.MonkeyPatch,
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
        short()
        with pytest.raises(OSError, match="no space left"):
            segments.append(b"123456\n")

        assert [b"1234567\n", b"si\n"] == log.contents

    def test_goes_on(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Once there is room again, lines are written again.
        """
        segments = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            with pytest.raises(OSError, match="refused"):
                segments.append(b"a\n")
        segments.append(b"b\n")

        assert [b"b\n"] == log.contents


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

        assert [] == log.troubles
        assert 1 == len([file for file in log.full if file.is_file()])

    def test_rename_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A rotation that fails is told, and the line goes into the old file.
        """
        monkeypatch.setattr(os, "rename", refusing(errno.EACCES))
        segments = log.open(max_bytes=10)
        segments.append(b"1234567\n")
        segments.append(b"abc\n")

        assert [b"1234567\nabc\n"] == log.contents
        (trouble,) = log.troubles
        assert trouble.startswith("cannot rotate: [Errno 13] refused")
        assert trouble.endswith("; writing on")

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
        assert 1 == len(log.troubles)

    def test_prune_fails(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A segment that cannot be removed is told; the rotation has worked.
        """
        segments = log.open(max_bytes=10, backup_count=1)
        segments.append(b"1111111\n")
        segments.append(b"2222222\n")
        monkeypatch.setattr(os, "unlink", refusing(errno.EPERM))
        segments.append(b"3333333\n")

        assert [b"1111111\n", b"2222222\n", b"3333333\n"] == log.contents
        assert 1 == len(log.troubles)


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


class TestFork:
    def test_child_lets_go(self, log: Log) -> None:
        """
        A forked child has closed what it inherited, and opens its own.
        """
        segments = log.open()
        segments.append(b"parent\n")
        with warnings.catch_warnings():
            # Python 3.12 warns of forking beside threads; there are none of ours.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            signal.alarm(10)
            closed = segments._fd == -1
            segments.append(b"!\n")
            os._exit(0 if closed else 1)

        assert (child, 0) == os.waitpid(child, 0)
        segments.append(b"p\n")
        assert [b"parent\n!\n", b"p\n"] == log.contents

    def test_all_are_closed(self, log: Log) -> None:
        """
        Every file that is open is let go of, however many there are.
        """
        opened = [log.open() for _ in range(3)]
        for segments in opened:
            segments.append(b"x\n")
        segments_module._close_all()

        assert [-1, -1, -1] == [segments._fd for segments in opened]


def test_without_posix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where there are no flock, fchmod and fork, lines are written all the same.
    """
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        patch.delattr(os, "register_at_fork")
        loaded = runpy.run_path(str(segments_module.__file__))
    monkeypatch.delattr(os, "fchmod")
    segments = loaded["Segments"](
        str(tmp_path / "bot.log"),
        max_bytes=10,
        backup_count=1,
        mode=0o640,
        on_trouble=print,
    )
    segments.append(b"x\n")
    segments.close()

    assert b"x\n" == (tmp_path / "bot.log").read_bytes()


class Handlers:
    """Handlers in a folder of their own, with what they reported."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bot.log"
        self.now = 0.0
        self.reported: list[str] = []
        self.report = Reporter(lambda: self.now, self.reported.append)
        self.made: list[RotatingFileHandler] = []

    def __call__(self, **options: Any) -> RotatingFileHandler:
        """Return a new handler with *options*."""
        handler = RotatingFileHandler(**{"filename": self.path, **options})
        handler.setFormatter(JsonFormatter())
        self.made.append(handler)
        return handler

    @property
    def events(self) -> list[str]:
        """The messages in the file, told by a plain formatter."""
        return self.path.read_text().splitlines()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    """Makes handlers, which are closed afterwards."""
    handlers = Handlers(tmp_path)
    monkeypatch.setattr(handlers_module, "report", handlers.report)
    yield handlers
    for handler in handlers.made:
        handler.close()


class Counting(logging.Formatter):
    """Counts how often it is asked."""

    calls = 0

    def format(self, record: logging.LogRecord) -> str:
        """Return the message."""
        self.calls += 1
        return record.getMessage()


class TestHandler:
    def test_is_the_stdlibs(self, make: Handlers) -> None:
        """
        Programs that look for the standard library's handler find it.
        """
        assert isinstance(make(), logging.handlers.RotatingFileHandler)

    def test_line(self, make: Handlers) -> None:
        """
        A record is one line of our formatter, and in the file at once.
        """
        handler, filled = make(), record("filled")
        handler.handle(filled)

        expected = JsonFormatter().format_bytes(filled)
        assert expected == make.path.read_bytes()

    def test_no_io(self, make: Handlers) -> None:
        """
        Until the first record nothing is made, not even the folder.
        """
        make.path = make.path.parent / "logs" / "bot.log"
        handler = make()
        handler.flush()
        assert not make.path.parent.exists()

        handler.handle(record())
        assert make.path.exists()

    def test_closed_unused(self, make: Handlers) -> None:
        """
        A handler that saw no record leaves nothing behind.
        """
        make().close()

        assert not make.path.exists()

    def test_format_once(self, make: Handlers) -> None:
        """
        Each record is formatted once, also where it makes the file rotate.
        """
        handler, formatter = make(maxBytes=10, backupCount=9), Counting()
        handler.setFormatter(formatter)
        for _ in range(5):
            handler.handle(record("12345678"))

        assert 5 == formatter.calls

    def test_bytes_not_characters(self, make: Handlers) -> None:
        """
        Bytes are counted: five umlauts and a line feed are eleven.
        """
        handler = make(maxBytes=17, backupCount=9)
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handle(record("12345"))
        handler.handle(record("äöüÄÖ"))
        assert ["12345", "äöüÄÖ"] == make.events

        handler.doRollover()
        handler.handle(record("123456"))
        handler.handle(record("äöüÄÖ"))
        assert ["äöüÄÖ"] == make.events

    def test_text_formatter(self, make: Handlers) -> None:
        """
        A formatter of the standard library works, line breaks and all.
        """
        handler = make()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        handler.handle(record("a %s", "b"))
        handler.handle(record("\ud800"))

        assert b"INFO a b\nINFO \\ud800\n" == make.path.read_bytes()

    def test_no_formatter(self, make: Handlers) -> None:
        """
        Without a formatter the message is written.
        """
        handler = make()
        handler.setFormatter(None)
        handler.handle(record("a %s", "b"))

        assert ["a b"] == make.events

    def test_do_rollover(self, make: Handlers) -> None:
        """
        The standard library's method moves on to a new file.
        """
        handler = make(maxBytes=1_000_000, backupCount=5)
        handler.handle(record("a"))
        handler.doRollover()

        assert 0 == make.path.stat().st_size
        assert 1 == len(list(make.path.parent.glob("bot.log.*.000001")))

    def test_emit_after_close(self, make: Handlers) -> None:
        """
        A closed handler that is still attached goes on writing.
        """
        handler = make()
        handler.setFormatter(None)
        handler.handle(record("a"))
        handler.close()
        handler.handle(record("b"))

        assert ["a", "b"] == make.events

    def test_close_twice(self, make: Handlers) -> None:
        """
        Closing is idempotent.
        """
        handler = make()
        handler.handle(record())
        handler.close()
        handler.close()

        assert 1 == len(make.events)

    def test_filter_rejects(self, make: Handlers) -> None:
        """
        What a filter rejects is not written.
        """
        handler = make()
        handler.addFilter(lambda _: False)

        assert not handler.handle(record())
        assert not make.path.exists()

    def test_filter_raises(self, make: Handlers) -> None:
        """
        A filter that raises has decided nothing: the record is kept, and told.
        """

        def broken(given: logging.LogRecord) -> bool:
            raise RuntimeError(f"no idea about {given.name}")

        handler = make()
        handler.addFilter(broken)
        assert handler.handle(record())

        assert 1 == len(make.events)
        assert [
            f"chimera_log: {make.path}: a filter failed (RuntimeError: no idea about "
            "bot); its record is kept\n"
        ] == make.reported

    def test_filter_replaces(
        self, make: Handlers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A record that a filter puts in another's place is written instead.
        """
        handler = make()
        handler.setFormatter(None)
        if sys.version_info >= (3, 12):
            handler.addFilter(lambda _: record("other"))
        else:
            monkeypatch.setattr(handler, "filter", lambda _: record("other"))
        handler.handle(record("one"))

        assert ["other"] == make.events

    def test_formatter_raises(self, make: Handlers) -> None:
        """
        A formatter that raises never reaches the caller; the record is counted.
        """
        handler = make()
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handle(record("%d", "x"))
        handler.handle(record("next"))

        assert ["next"] == make.events
        (line,) = make.reported
        assert line.startswith(f"chimera_log: {make.path}: TypeError: ")
        assert line.endswith("; 1 records not written so far\n")

    def test_disk_full(self, make: Handlers) -> None:
        """
        What cannot be written is counted, and told once a minute.
        """
        make.path = Path("/dev/full")
        handler = make()
        handler.handle(record())
        make.now += 59.9
        handler.handle(record())
        make.now += 0.1
        handler.handle(record())

        said = "chimera_log: /dev/full: OSError: [Errno 28] No space left on device; "
        assert [
            f"{said}1 records not written so far\n",
            f"{said}3 records not written so far (1 more like this not shown)\n",
        ] == make.reported

    def test_rename_fails(
        self, make: Handlers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A rotation that fails is told once a minute; every line is written.
        """
        monkeypatch.setattr(os, "rename", refusing(errno.EACCES))
        handler = make(maxBytes=10, backupCount=5)
        handler.setFormatter(None)
        for _ in range(4):
            handler.handle(record("12345678"))

        assert ["12345678"] * 4 == make.events
        assert 1 == len(make.reported)

    def test_impossible_place(self, make: Handlers) -> None:
        """
        A place that cannot be written is a report, not a service that stops.
        """
        make.path = Path("/dev/null/logs/bot.log")
        make().handle(record())
        make.path = Path("nul\0byte")
        make().handle(record())

        assert 2 == len(make.reported)

    def test_default_mode(self, make: Handlers) -> None:
        """
        Unless told otherwise, others cannot read the file.
        """
        make().handle(record())

        assert 0o640 == stat.S_IMODE(make.path.stat().st_mode)

    @pytest.mark.parametrize(
        ("expected", "mode"),
        [(0o640, "a"), (0o640, "0640"), (0o600, "600"), (0o604, "0o604"), (0o660, 432)],
    )
    def test_mode(self, make: Handlers, expected: int, mode: Any) -> None:
        """
        The mode is the file's permissions; stdlib's ``a`` means the default.
        """
        make(mode=mode).handle(record())

        assert expected == stat.S_IMODE(make.path.stat().st_mode)

    def test_sizes(self, make: Handlers) -> None:
        """
        Stdlib's attributes hold what was configured, in bytes.
        """
        handler = make(maxBytes="100 MB", backupCount=10)

        assert (100_000_000, 10) == (handler.maxBytes, handler.backupCount)

    @pytest.mark.parametrize("encoding", [None, "utf-8", "UTF-8", "utf8", "UTF_8"])
    def test_encoding(self, make: Handlers, encoding: str | None) -> None:
        """
        UTF-8 under any of its names is accepted.
        """
        assert "utf-8" == make(encoding=encoding).encoding

    @pytest.mark.parametrize(
        ("expected", "filename"),
        [
            ("home/bot.log", "~/bot.log"),
            ("srv/bot.log", "${BOT_DIR}/bot.log"),
            ("srv/bot.log", "${BOT_DIR:-nowhere}/bot.log"),
            ("work/logs/bot.log", "${UNSET:-logs}/bot.log"),
            ("work/bot.log", "bot.log"),
            ("work/bot.log", Path("bot.log")),
        ],
    )
    def test_name(
        self,
        make: Handlers,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        expected: str,
        filename: Any,
    ) -> None:
        """
        ``~`` and variables in a file name are expanded, without any loader.
        """
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("BOT_DIR", str(tmp_path / "srv"))

        assert str(tmp_path / expected) == make(filename=filename).baseFilename


class BytesPath(os.PathLike[bytes]):
    """A path of bytes."""

    def __fspath__(self) -> bytes:
        return b"bot.log"


class TestOptions:
    @pytest.mark.parametrize("filename", ["", 5, None, b"bot.log", BytesPath()])
    def test_no_file_name(self, filename: Any) -> None:
        """
        A file name is text.
        """
        with pytest.raises(ConfigError, match=r"^filename: .* is no file name; write"):
            RotatingFileHandler(filename)

    @pytest.mark.parametrize("filename", ["logs/", "logs/..", ".", "/", "~/"])
    def test_directory(self, filename: str) -> None:
        """
        A name that can only be a directory's is refused.
        """
        with pytest.raises(ConfigError) as caught:
            RotatingFileHandler(filename)

        assert f"filename: {filename!r} names a directory; add a file name" == str(
            caught.value
        )

    def test_unset_variable(self) -> None:
        """
        A variable without default must be set.
        """
        with pytest.raises(ConfigError, match=r"^filename: .*NOWHERE is not set; set"):
            RotatingFileHandler("${NOWHERE}/bot.log")

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("encoding", "latin-1"),
            ("delay", False),
            ("delay", "no"),
            ("maxBytes", "100 XB"),
            ("maxBytes", -1),
            ("backupCount", "many"),
            ("backupCount", -1),
            ("mode", "w"),
            ("mode", 640),
        ],
    )
    def test_bad_option(self, option: str, value: Any) -> None:
        """
        An option that cannot work is named, with its value.
        """
        options: dict[str, Any] = {option: value}
        with pytest.raises(ConfigError) as caught:
            RotatingFileHandler("bot.log", **options)

        assert str(caught.value).startswith(f"{option}: {value!r}")
