"""
The handler for the console: bytes where it can, and no trouble for who logs.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import logging
import os
import runpy
import select
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import ConfigError, StreamHandler, native
from chimera_log.files import lines as lines_module
from chimera_log.files import stream as module
from chimera_log.report import Reporter
from tests.conftest import record
from tests.test_report import in_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0  # seconds for what takes none


class Handlers:
    """Handlers of plain messages, with what they reported."""

    def __init__(self, writer: str) -> None:
        self.writer = writer
        self.reported: list[str] = []
        self.report = Reporter(lambda: 0.0, self.reported.append)
        self.made: list[StreamHandler] = []

    def __call__(self, stream: Any, **options: Any) -> StreamHandler:
        """Return a new handler on *stream*."""
        made = StreamHandler(stream, **{"writer": self.writer, **options})
        made.setFormatter(logging.Formatter("%(message)s"))
        self.made.append(made)
        return made


def log(handler: StreamHandler, *messages: str) -> None:
    """Log *messages*, and wait until they are written."""
    for message in messages:
        handler.handle(record(message))
    handler.flush()


def handlers(writer: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    """Give a maker of handlers, which are closed afterwards."""
    made = Handlers(writer)
    monkeypatch.setattr(lines_module, "report", made.report)
    yield made
    for handler in made.made:
        handler.close()


@pytest.fixture(params=["caller", "thread"])
def make(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Handlers]:
    """Makes handlers with either writer."""
    yield from handlers(request.param, monkeypatch)


@pytest.fixture
def make_caller(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    """Makes handlers whose caller writes."""
    yield from handlers("caller", monkeypatch)


@pytest.fixture
def make_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    """Makes handlers with a thread that writes."""
    yield from handlers("thread", monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a stream writes."""
    return tmp_path / "console"


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Return a pipe: the descriptor to read from, the stream to write to."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        yield reading, stream
    with suppress(OSError):  # closed by the test
        os.close(reading)


def filled(stream: io.TextIOWrapper) -> int:
    """Fill the pipe that *stream* writes to; return how many bytes it took."""
    total = 0
    os.set_blocking(stream.fileno(), False)
    with suppress(BlockingIOError):
        while True:
            total += os.write(stream.fileno(), bytes(4096))
    os.set_blocking(stream.fileno(), True)
    return total


def drained(reading: int, size: int) -> bytes:
    """Read *size* bytes away, then return what comes next."""
    while size:
        size -= len(os.read(reading, size))
    return os.read(reading, 10_000)


class TestStream:
    """What a stream is given, depending on what it is."""

    def test_is_the_stdlibs(self, make: Handlers) -> None:
        """
        Programs that look for the standard library's handler find it.
        """
        assert isinstance(make(io.StringIO()), logging.StreamHandler)

    def test_default(self, make: Handlers, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Without a stream it is stderr.
        """
        log(make(None), "a")

        assert ("", "a\n") == capsys.readouterr()

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-16"])
    def test_bytes(self, make: Handlers, path: Path, encoding: str) -> None:
        """
        A file gets UTF-8, whatever encoding its text has.
        """
        with path.open("w", encoding=encoding) as stream:
            log(make(stream), "1 €", "a\udc80")

        assert "1 €\na\\udc80\n".encode() == path.read_bytes()

    @pytest.mark.parametrize("buffering", [0, -1])
    def test_binary(self, make: Handlers, path: Path, buffering: int) -> None:
        """
        So does a file that takes bytes, with a buffer or without.
        """
        with path.open("wb", buffering) as stream:
            log(make(stream), "1 €")

        assert "1 €\n".encode() == path.read_bytes()

    def test_codec(self, make: Handlers, path: Path) -> None:
        """
        And one that a codec of `codecs` writes to.
        """
        with codecs.getwriter("latin-1")(path.open("wb")) as stream:
            log(make(stream), "1 €")

        assert "1 €\n".encode() == path.read_bytes()

    def test_in_memory(self, make: Handlers) -> None:
        """
        A stream without a file gets text.
        """
        stream = io.StringIO()
        log(make(stream), "1 €", "2")

        assert "1 €\n2\n" == stream.getvalue()

    def test_compressing(self, make: Handlers, path: Path) -> None:
        """
        So does one that has a file, but would write something else to it.
        """
        with gzip.open(path, "wt", encoding="utf-8") as stream:
            log(make(stream), "1 €")

        assert "1 €\n" == gzip.decompress(path.read_bytes()).decode()

    def test_pipe(self, make: Handlers, pipe: tuple[int, io.TextIOWrapper]) -> None:
        """
        A pipe gets lines of any length.
        """
        reading, stream = pipe
        log(make(stream), "a", "b" * 20_000)

        assert b"a\n" + b"b" * 20_000 + b"\n" == os.read(reading, 65_536)

    def test_terminal(self, make: Handlers) -> None:
        """
        And so does a terminal, to which nothing can be written at once.
        """
        reading, writing = os.openpty()
        try:
            with os.fdopen(writing, "w") as stream:
                log(make(stream), "a")
                assert b"a\r\n" == os.read(reading, 100)
        finally:
            os.close(reading)

    def test_after_print(self, make_caller: Handlers, path: Path) -> None:
        """
        With ``writer: caller``, what was printed before comes before.
        """
        with path.open("w") as stream:
            handler = make_caller(stream)
            print("first", file=stream)
            handler.handle(record("second"))
            print("third", file=stream)

        assert "first\nsecond\nthird\n" == path.read_text()

    def test_set_stream(self, make: Handlers, path: Path) -> None:
        """
        What was logged before another stream was set is written to the old one.
        """
        first, second = io.StringIO(), path.open("w")
        handler = make(first)
        handler.handle(record("a"))
        assert first is handler.setStream(second)
        with second:
            log(handler, "b")

        assert ("a\n", "b\n") == (first.getvalue(), path.read_text())

    @pytest.mark.parametrize("is_pipe", [True, False])
    def test_other_descriptor(
        self,
        make: Handlers,
        pipe: tuple[int, io.TextIOWrapper],
        path: Path,
        *,
        is_pipe: bool,
    ) -> None:
        """
        A program may have its stdout mean another file, as daemons do.
        """
        reading, stream = pipe
        with path.open("w") as file:
            first, then = (stream, file) if is_pipe else (file, stream)
            handler = make(first)
            log(handler, "a")
            os.dup2(then.fileno(), first.fileno())
            log(handler, "b")

            expected = (b"a\n", b"b\n") if is_pipe else (b"b\n", b"a\n")
            assert expected == (os.read(reading, 100), path.read_bytes())


class TestTrouble:
    """What a stream refuses: counted, reported, and never raised."""

    def refused(self, handler: StreamHandler, made: Handlers, error: str) -> None:
        """Assert that two records are refused for *error*, and reported once."""
        log(handler, "a", "b")

        found = handler.statistics()
        assert (0, 0, 2) == (found.written, found.waiting, found.dropped)
        assert error in str(found.last_error)
        (line,) = made.reported
        assert "cannot write: " in line

    def test_closed(self, make: Handlers, path: Path) -> None:
        """
        A file that was closed.
        """
        stream = path.open("w")
        stream.close()

        self.refused(make(stream), make, "I/O operation on closed file")

    def test_closed_in_memory(self, make: Handlers) -> None:
        """
        A stream without a file that was closed.
        """
        stream = io.StringIO()
        stream.close()

        self.refused(make(stream), make, "I/O operation on closed file")

    def test_none(self, make: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        No stream at all, as daemons and windowed programs have it.
        """
        monkeypatch.setattr(sys, "stderr", None)

        self.refused(make(None), make, "'NoneType'")

    def test_binary_in_memory(self, make: Handlers) -> None:
        """
        One that takes neither text nor has a file.
        """
        self.refused(make(io.BytesIO()), make, "bytes-like")

    def test_no_reader(
        self, make: Handlers, pipe: tuple[int, io.TextIOWrapper]
    ) -> None:
        """
        A pipe that nobody will ever read.
        """
        reading, stream = pipe
        os.close(reading)

        self.refused(make(stream), make, "Broken pipe")

    def test_full(self, make: Handlers) -> None:
        """
        A disk that is full.
        """
        with Path("/dev/full").open("w") as stream:
            self.refused(make(stream), make, "No space left on device")

    def test_half_a_line(
        self, make: Handlers, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        After half a line the next that can be written begins a line of its own.
        """
        monkeypatch.setattr(module, "write_at_once_for", lambda _: None)
        write, sizes = os.write, iter([3, 0, 0, 100, 100, 100])

        def partly(fd: int, data: bytes) -> int:
            size = next(sizes)
            if not size:
                raise OSError(errno.ENOSPC, "full")
            return write(fd, data[:size])

        with path.open("w") as stream:
            handler = make(stream)
            monkeypatch.setattr(os, "write", partly)
            for message in ("abcdef", "lost", "second", "third"):
                log(handler, message)

        assert "abc\nsecond\nthird\n" == path.read_text()
        found = handler.statistics()
        assert (2, 13, 2) == (found.written, found.bytes, found.dropped)

    def test_half_a_line_at_once(
        self, make_thread: Handlers, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Half a line that was written at once is completed by the thread.
        """
        sizes = [3]

        def partly(fd: int, data: bytes, taken: list[int]) -> None:
            if sizes:
                taken.append(os.write(fd, data[: sizes.pop()]))

        monkeypatch.setattr(module, "write_at_once_for", lambda _: partly)
        with path.open("w") as stream:
            log(make_thread(stream), "abcdef", "second")

        assert "abcdef\nsecond\n" == path.read_text()

    def test_not_blocking(
        self,
        make_caller: Handlers,
        pipe: tuple[int, io.TextIOWrapper],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A full pipe that somebody made non-blocking is waited for.
        """
        reading, stream = pipe
        handler = make_caller(stream)
        size = filled(stream)
        os.set_blocking(stream.fileno(), False)
        is_waiting, poll = Event(), native.poll

        def noted() -> select.poll:
            is_waiting.set()
            return poll()

        monkeypatch.setattr(native, "poll", noted)
        logging_thread = Thread(target=handler.handle, args=[record("a")])
        logging_thread.start()
        assert is_waiting.wait(PATIENCE)
        assert b"a\n" == drained(reading, size)
        logging_thread.join(PATIENCE)

        found = handler.statistics()
        assert (1, 0) == (found.written, found.dropped)

    def test_formatter(self, make: Handlers) -> None:
        """
        A record that cannot be formatted.
        """
        stream = io.StringIO()
        handler = make(stream)
        handler.handle(record("%d", "no number"))

        assert ("", 1) == (stream.getvalue(), handler.statistics().dropped)
        (line,) = make.reported
        assert line.startswith("chimera_log: stream: TypeError: ")

    def test_flush(self, make: Handlers) -> None:
        """
        A stream that cannot be flushed.
        """

        class Broken(io.StringIO):
            """A stream that fails when flushed, once it is broken."""

            def flush(self) -> None:
                """Fail."""
                raise ValueError("broken")

        handler = make(Broken())
        handler.flush()

        assert [] == make.reported


class TestFullPipe:
    """A pipe whose reader does not read, with ``writer: thread``."""

    def test_caller_goes_on(
        self, make_thread: Handlers, pipe: tuple[int, io.TextIOWrapper]
    ) -> None:
        """
        Who logs does not wait; when the reader reads again, all lines are there.
        """
        reading, stream = pipe
        handler = make_thread(stream)
        log(handler, "a")
        size = filled(stream)
        for message in ("b", "c"):
            handler.handle(record(message))
        assert (1, 2) == (handler.statistics().written, handler.statistics().waiting)
        assert b"b\n" == drained(reading, 2 + size)[:2]
        handler.flush()

        assert 3 == handler.statistics().written

    def test_whole_lines(
        self, make: Handlers, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What is written in one call is whole lines, as many as no pipe divides.
        """
        pieces: list[bytes] = []

        def note(_: int, data: bytes, taken: list[int]) -> None:
            pieces.append(data)
            taken.append(len(data))

        monkeypatch.setattr(module, "write_at_once_for", lambda _: note)
        half = b"x" * (select.PIPE_BUF // 2 - 1) + b"\n"
        lines = [half, half, b"\n", half * 3, b"a\n", b""]
        with path.open("w") as stream:
            make(stream)._write_lines(deque(lines))

        assert [half * 2, b"\n", half * 3, b"a\n"] == pieces


class TestSignalHandler:
    """What comes amid a line, in the thread that writes it."""

    def test_logs(self, make_caller: Handlers) -> None:
        """
        Its line comes after the one that it interrupts.
        """

        class Interrupted(io.StringIO):
            """A stream that logs when it is flushed, once."""

            is_first = True

            def flush(self) -> None:
                """Log."""
                if self.is_first:
                    self.is_first = False
                    handler.handle(record("nested"))

        stream = Interrupted()
        handler = make_caller(stream)
        handler.handle(record("outer"))

        assert "outer\nnested\n" == stream.getvalue()

    def test_logs_in_the_last_moment(
        self, make_caller: Handlers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Its line is written, too, if the one that it interrupts just was.
        """
        stream = io.StringIO()
        handler = make_caller(stream)
        write_lines, nested = handler._write_lines, [record("nested")]

        def interrupted(lines: deque[bytes]) -> None:
            write_lines(lines)
            if nested:
                handler.handle(nested.pop())

        monkeypatch.setattr(handler, "_write_lines", interrupted)
        handler.handle(record("outer"))

        assert "outer\nnested\n" == stream.getvalue()

    def test_raises(
        self, make: Handlers, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One that raises when the line was written does not have it written again.
        """

        def interrupted(fd: int, data: bytes, taken: list[int]) -> None:
            taken.append(os.write(fd, data))
            raise KeyboardInterrupt

        with path.open("w") as stream:
            handler = make(stream)
            with monkeypatch.context() as patch:
                patch.setattr(module, "write_at_once_for", lambda _: interrupted)
                with pytest.raises(KeyboardInterrupt):
                    handler.handle(record("a"))
            handler._known = None
            log(handler, "b")

        assert "a\nb\n" == path.read_text()
        assert 2 == handler.statistics().written

    def test_raises_amid_a_line(
        self, make_caller: Handlers, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The rest of a line that it left half written is written by a flush.
        """

        def interrupted(fd: int, data: bytes, taken: list[int]) -> None:
            taken.append(os.write(fd, data[:2]))
            raise KeyboardInterrupt

        with path.open("w") as stream:
            handler = make_caller(stream)
            with monkeypatch.context() as patch:
                patch.setattr(module, "write_at_once_for", lambda _: interrupted)
                with pytest.raises(KeyboardInterrupt):
                    handler.handle(record("whole"))
            handler._known = None
            handler.flush()

        assert "whole\n" == path.read_text()


class TestHandler:
    def test_statistics(self, make: Handlers) -> None:
        """
        It is told what was written.
        """
        handler = make(io.StringIO())
        log(handler, "a", "bc")

        assert (2, 5, 0, 0, None) == handler.statistics()

    def test_close(self, make: Handlers) -> None:
        """
        Closing writes what waits, can be repeated, and does not end the handler.
        """
        stream = io.StringIO()
        handler = make(stream)
        handler.handle(record("a"))
        handler.close()
        handler.close()
        assert "a\n" == stream.getvalue()
        log(handler, "b")

        assert "a\nb\n" == stream.getvalue()

    def test_name(self, make: Handlers, path: Path) -> None:
        """
        Reports say what the stream is called, if it has a name.
        """
        stream = path.open("w")
        stream.close()
        log(make(stream), "a")

        assert make.reported[0].startswith(f"chimera_log: {path}: cannot write: ")

    def test_no_writing(self) -> None:
        """
        What is common to the handlers leaves the writing to each of them.
        """
        handler = lines_module.LineHandler()
        with pytest.raises(NotImplementedError):
            handler._write_line(b"a\n")
        with pytest.raises(NotImplementedError):
            handler._write_lines(deque())
        handler.close()

    def test_fork(self, make: Handlers) -> None:
        """
        A child counts its own lines.
        """
        handler = make(io.StringIO())
        log(handler, "a")

        def counts() -> bool:
            log(handler, "b", "c")
            return (2, 4) == handler.statistics()[:2]

        assert in_child(counts)

    @pytest.mark.parametrize(
        "options",
        [
            {"writer": "nobody"},
            {"max_queue_size": 0},
            {"max_queue_bytes": "many"},
            {"when_full": "explode"},
            {"close_timeout": -1},
        ],
        ids=lambda options: next(iter(options)),
    )
    def test_bad_option(self, options: dict[str, Any]) -> None:
        """
        An option that cannot work is named, also where a thread is not used.
        """
        (name,) = options
        with pytest.raises(ConfigError, match=name):
            StreamHandler(io.StringIO(), **options)


def test_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where processes cannot fork, the module loads all the same.
    """
    monkeypatch.delattr(os, "register_at_fork")

    assert "StreamHandler" in runpy.run_path(str(module.__file__))


def test_without_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    So it does where no pipe says what it takes whole.
    """
    monkeypatch.delattr(select, "PIPE_BUF")

    assert runpy.run_path(str(module.__file__))["_AT_ONCE"] == 512
