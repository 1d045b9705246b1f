"""
The handlers for files: what dictConfig may say of them, and what they write.
"""

from __future__ import annotations

import errno
import logging
import logging.config
import logging.handlers
import os
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import ConfigError, JsonFormatter, RotatingFileHandler
from chimera_log.files import engines as engines_module
from chimera_log.files import lines as lines_module
from chimera_log.files.policy import Threads
from chimera_log.files.retention import Limits
from chimera_log.files.segments import Segments
from chimera_log.files.syscalls import Keeping, Ordinary
from chimera_log.report import Reporter
from tests.conftest import record, threads_now
from tests.logs import refusing

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


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
    monkeypatch.setattr(lines_module, "report", handlers.report)
    monkeypatch.setattr(engines_module, "report", handlers.report)
    monkeypatch.setattr(engines_module, "_threads", Threads())
    yield handlers
    for handler in handlers.made:
        handler._file().at_exit()
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
        assert line.endswith("; 1 records not formatted so far\n")

    def test_formatter_raises_is_counted(self, make: Handlers) -> None:
        """
        What could not be formatted counts as dropped.
        """
        handler = make()
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handle(record("%d", "x"))

        assert 1 == handler.statistics().dropped

    def test_disk_full(self, make: Handlers) -> None:
        """
        What cannot be written waits, and is told once a minute.
        """
        make.path = Path("/dev/full")
        handler = make()
        handler.handle(record())
        make.now += 59.9
        handler.handle(record())
        make.now += 0.1
        handler.handle(record())

        said = (
            "chimera_log: /dev/full: cannot write, will try again: "
            "[Errno 28] No space left on device"
        )
        assert [
            f"{said}\n",
            f"{said} (1 more like this not shown)\n",
        ] == make.reported
        assert 3 == handler.statistics().waiting

    def test_flush(self, make: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Flushing tries again to write what waits.
        """
        handler = make(keep_gil="never")
        handler.setFormatter(None)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            handler.handle(record("a"))
        handler.flush()

        assert ["a"] == make.events

    @pytest.mark.parametrize(("size", "count"), [(0, 5), (10, 0), (0, 0)])
    def test_never_rotates(self, make: Handlers, size: int, count: int) -> None:
        """
        With a zero in either place the file grows for ever, as in stdlib.
        """
        handler = make(maxBytes=size, backupCount=count)
        handler.setFormatter(None)
        for _ in range(5):
            handler.handle(record("12345678"))

        assert ["12345678"] * 5 == make.events

    def test_two_handlers(self, make: Handlers) -> None:
        """
        Two handlers on one path write one file, and the newest's wishes hold.
        """
        one = make(maxBytes=10, backupCount=5)
        two = make(maxBytes=20, backupCount=5)
        for handler in (one, two):
            handler.setFormatter(None)
            handler.handle(record("12345678"))

        assert ["12345678", "12345678"] == make.events
        assert one.statistics() == two.statistics()
        assert 2 == one.statistics().written

    @pytest.mark.parametrize("keep_gil", ["auto", "never"])
    def test_keep_gil(self, make: Handlers, keep_gil: str) -> None:
        """
        The GIL is kept where that is safe, or never if so configured.
        """
        handler = make(keep_gil=keep_gil)
        handler.handle(record())

        expected = Keeping if keep_gil == "auto" and GIL else Ordinary
        assert expected is type(handler._file()._calls)

    def test_follow_symlinks(self, make: Handlers) -> None:
        """
        A symbolic link is refused, unless the configuration allows it.
        """
        target = make.path.with_name("target")
        make.path.symlink_to(target)
        make().handle(record())
        assert not target.exists()
        assert "set follow_symlinks" in make.reported[0]

        make(follow_symlinks=True).handle(record())
        assert 2 == len(make.events)

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

        assert 1 == len(make.reported)

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
    @pytest.mark.parametrize(
        "filename", ["", 5, None, b"bot.log", BytesPath(), "nul\0byte"]
    )
    def test_no_file_name(self, filename: Any) -> None:
        """
        A file name is text.
        """
        with pytest.raises(ConfigError, match=r"^filename: .* is no file name; write"):
            RotatingFileHandler(filename)

    def test_unspeakable(self) -> None:
        """
        A name that the system cannot be told is refused before a record needs it.
        """
        expected = (
            r"^filename: '\\ud800.log' is no file name here \(.*\); write another"
        )
        with pytest.raises(ConfigError, match=expected):
            RotatingFileHandler("\ud800.log")

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

    def test_existing_directory(self, tmp_path: Path) -> None:
        """
        So is the name of a directory that is there.
        """
        with pytest.raises(ConfigError) as caught:
            RotatingFileHandler(str(tmp_path))

        assert f"filename: {str(tmp_path)!r} is a directory; add a file name" == str(
            caught.value
        )

    @pytest.mark.parametrize("hook", ["namer", "rotator"])
    def test_hooks(self, make: Handlers, hook: str) -> None:
        """
        Stdlib's hooks for rotation are refused, for names are never used again.
        """
        handler = make()
        with pytest.raises(ConfigError) as caught:
            setattr(handler, hook, print)
        setattr(handler, hook, None)

        expected = f"{hook}: {print!r}: full files have names of their own"
        assert str(caught.value).startswith(expected)
        assert getattr(handler, hook) is None

    @pytest.mark.parametrize("hook", ["namer", "rotator"])
    def test_hooks_in_a_document(self, make: Handlers, hook: str) -> None:
        """
        They are refused where dictConfig sets them as properties, too.
        """
        handler = {
            "class": "chimera_log.RotatingFileHandler",
            "filename": str(make.path),
            ".": {hook: print},
        }
        with pytest.raises(ValueError, match="Unable to configure") as caught:
            logging.config.dictConfig({"version": 1, "handlers": {"file": handler}})

        assert f"remove {hook}" in str(caught.value.__cause__)

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
            ("follow_symlinks", "maybe"),
            ("keep_gil", "always"),
            ("rotate_at", "noon"),
            ("rotate_at", 0),
            ("total_bytes", "5 XB"),
            ("total_bytes", -1),
            ("max_age", "old"),
            ("max_age", -1),
            ("min_free_bytes", "much"),
            ("min_free_bytes", -1),
            ("compression", "zip"),
            ("compression", True),
            ("sync", "sometimes"),
            ("sync", None),
            ("sync_interval", "often"),
            ("sync_interval", -1),
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

    @pytest.mark.parametrize(
        ("option", "value", "remedy"),
        [
            ("rotate_at", "noon", "midnight"),
            ("compression", "zip", "did you mean 'gzip'?"),
            ("sync", "sometimes", "use one of always, interval, never, rotate"),
            ("sync_interval", "often", "seconds"),
            ("max_age", "old", "30 days"),
        ],
    )
    def test_remedy(self, option: str, value: Any, remedy: str) -> None:
        """
        The message says what would work.
        """
        with pytest.raises(ConfigError) as caught:
            RotatingFileHandler("bot.log", **{option: value})

        assert remedy in str(caught.value)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("rotate_at", "midnight"),
            ("total_bytes", "5 GB"),
            ("max_age", "90 days"),
            ("compression", "gzip"),
        ],
    )
    def test_needs_backups(self, option: str, value: Any) -> None:
        """
        What is for full files makes no sense where there never are any.
        """
        with pytest.raises(ConfigError) as caught:
            RotatingFileHandler("bot.log", **{option: value})

        expected = (
            f"{option}: {value!r} has no effect while backupCount is 0, which never "
            "rotates; set backupCount to the full files to keep at most"
        )
        assert expected == str(caught.value)

    def test_total_bytes_below_a_file(self) -> None:
        """
        Files that may have fewer bytes together than one has alone are a mistake.
        """
        with pytest.raises(ConfigError) as caught:
            RotatingFileHandler(
                "bot.log", maxBytes="100 MB", backupCount=3, total_bytes="99 MB"
            )

        expected = (
            "total_bytes: '99 MB' is less than maxBytes, so that no full file would be "
            "kept; use a multiple of it"
        )
        assert expected == str(caught.value)

    def test_policy(self) -> None:
        """
        Each option is what the file is told, in bytes and seconds.
        """
        handler = RotatingFileHandler(
            "bot.log",
            maxBytes="1 MB",
            backupCount=3,
            rotate_at="midnight",
            total_bytes="3 MB",
            max_age="90 days",
            min_free_bytes="500 MB",
            compression="gzip",
            sync="interval",
            sync_interval="250 ms",
        )
        found = handler._policy

        assert Limits(3, 3_000_000, 90 * 86_400.0) == found.limits
        assert (True, 500_000_000) == (found.at_midnight, found.min_free_bytes)
        assert ("gzip", "interval", 0.25) == (
            found.compression,
            found.sync,
            found.sync_interval,
        )

    def test_defaults(self) -> None:
        """
        Without them nothing is compressed or removed by size or age, and the disk is
        told to keep a file when it is full.
        """
        found = RotatingFileHandler("bot.log", maxBytes=10, backupCount=3)._policy

        assert Limits(3, 0, 0.0) == found.limits
        assert (False, 0) == (found.at_midnight, found.min_free_bytes)
        assert ("none", "rotate", 0.1) == (
            found.compression,
            found.sync,
            found.sync_interval,
        )


class TestWriter:
    """``writer: thread``."""

    def test_written(self, make: Handlers) -> None:
        """
        What was logged is in the file after `flush`, in order, and rotated.
        """
        handler = make(writer="thread", maxBytes=1_000, backupCount=99)
        handler.setFormatter(None)
        for number in range(1_000):
            handler.handle(record("%d", number))
        handler.flush()

        full = sorted(make.path.parent.glob("bot.log.*"), key=lambda each: each.suffix)
        lines = b"".join(each.read_bytes() for each in [*full, make.path]).split()
        assert [b"%d" % number for number in range(1_000)] == lines
        assert all(each.stat().st_size <= 1_000 for each in full)
        assert len(full) > 1

    def test_another_thread(
        self, make: Handlers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        It is not the caller who writes.
        """
        handler = make(writer="thread")
        writers = []
        append_all = Segments.append_all

        def noted(segments: Segments, lines: deque[bytes]) -> None:
            writers.append(threading.get_native_id())
            append_all(segments, lines)

        monkeypatch.setattr(Segments, "append_all", noted)
        handler.handle(record())
        handler.flush()

        assert writers
        assert threading.get_native_id() not in writers

    def test_close(self, make: Handlers) -> None:
        """
        Closing writes what waits; a record that still comes is written, too.
        """
        handler = make(writer="thread")
        handler.setFormatter(None)
        handler.handle(record("a"))
        handler.close()
        assert ["a"] == make.events
        handler.handle(record("b"))
        handler.close()

        assert ["a", "b"] == make.events

    def test_statistics(self, make: Handlers) -> None:
        """
        What waits for the thread, and what was dropped there, is counted.
        """
        handler = make(writer="thread", max_queue_size=1, when_full="drop_newest")
        outlet = handler._outlet
        assert outlet is not None
        with outlet._turn:  # the thread is stuck
            for _ in range(9):
                handler.handle(record())
            found = handler.statistics()
        handler.flush()

        assert (0, 9) == (found.written, found.waiting + found.dropped)
        assert found.waiting == handler.statistics().written

    def test_caller(self, make: Handlers) -> None:
        """
        By default there is no thread.
        """
        handler = make()
        before = threads_now()
        handler.handle(record())

        assert 1 == handler.statistics().written
        assert threads_now() <= before

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
        An option that cannot work is named, also where no thread is used.
        """
        (name,) = options
        with pytest.raises(ConfigError, match=name):
            RotatingFileHandler("bot.log", **options)
