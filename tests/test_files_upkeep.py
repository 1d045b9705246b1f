"""
Full files are compressed and removed, by one process at a time, a step at a time.
"""

from __future__ import annotations

import errno
import gzip
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.files import upkeep as upkeep_module
from chimera_log.files.compress import Turn
from chimera_log.files.policy import GZIP
from chimera_log.files.retention import Limits
from tests.logs import STAMP, Log, held, in_child, maintained, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chimera_log.files.segments import Segments

DAY = 24 * 60 * 60.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A place for segments, whose files are full after a line."""
    made = Log(tmp_path, max_bytes=8)
    yield made
    made.close()


def written(log: Log, *lines: bytes, **policy: Any) -> Segments:
    """Return new segments, to which *lines* were written."""
    segments = log.open(**policy)
    for line in lines:
        segments.append(line)
    return segments


def left_behind(log: Log, number: int, content: bytes, first: str = STAMP) -> Path:
    """Return a full file that another process left."""
    path = log.path.with_name(f"bot.log.{first}.{number:06}")
    path.write_bytes(content)
    return path


def names(log: Log) -> list[str]:
    """Return what the full files' names end with."""
    return [path.name.partition("Z.")[2] for path in log.full]


class TestCompression:
    def test_full_files(self, log: Log) -> None:
        """
        Full files are compressed and counted; the active one is not.
        """
        lines = [b"1111111\n", b"2222222\n", b"3333333\n"]
        segments = written(log, *lines, compression=GZIP)
        assert maintained(segments) is None

        assert ["000001.gz", "000002.gz"] == names(log)
        assert lines[:2] == [gzip.decompress(file.read_bytes()) for file in log.full]
        assert lines[2] == log.path.read_bytes()
        assert 2 == segments.statistics().compressed

    def test_none(self, log: Log) -> None:
        """
        Without compression they stay as they are.
        """
        maintained(written(log, b"1111111\n", b"2222222\n"))

        assert ["000001"] == names(log)

    def test_nothing_to_do(self, log: Log) -> None:
        """
        Where there is nothing to do, no hidden folder is made.
        """
        maintained(written(log, b"1111111\n", compression=GZIP))

        assert not log.aside.exists()

    def test_nothing_written(self, log: Log) -> None:
        """
        A process that logs nothing maintains nothing.
        """
        left_behind(log, 1, b"1111111\n")
        maintained(log.open(compression=GZIP))

        assert ["000001"] == names(log)

    def test_left_behind(self, log: Log) -> None:
        """
        What an earlier process did not finish is finished at the first record, and
        what it left of it goes.
        """
        left_behind(log, 1, b"1111111\n")
        log.aside.mkdir()
        (log.aside / "00.gz.partial").write_bytes(b"half")
        maintained(written(log, b"2222222\n", compression=GZIP))

        assert ["000001.gz"] == names(log)
        assert ["maintenance"] == [path.name for path in log.aside.iterdir()]

    def test_foreign_files_stay(self, log: Log) -> None:
        """
        What has no segment's name is neither compressed nor removed.
        """
        foreign = ["bot.log.1", "bot.log.bak", f"other.log.{STAMP}.000001"]
        for name in foreign:
            log.path.with_name(name).write_bytes(b"precious\n")
        segments = written(
            log, b"1111111\n", b"2222222\n", compression=GZIP, backup_count=1
        )
        maintained(segments)

        assert all(log.path.with_name(name).exists() for name in foreign)

    def test_later(self, log: Log) -> None:
        """
        A file that becomes full later is compressed then.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        maintained(segments)
        segments.append(b"3333333\n")
        maintained(segments)

        assert ["000001.gz", "000002.gz"] == names(log)

    def test_full_while_we_look(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that becomes full while another look is under way is not missed.
        """
        segments = written(log, b"1111111\n", compression=GZIP)
        look = upkeep_module._sizes

        def look_early(directory: str) -> dict[str, int]:
            found = look(directory)
            monkeypatch.setattr(upkeep_module, "_sizes", look)
            segments.append(b"2222222\n")
            return found

        monkeypatch.setattr(upkeep_module, "_sizes", look_early)
        maintained(segments)

        assert ["000001.gz"] == names(log)

    def test_switched_on(self, log: Log) -> None:
        """
        A new wish holds for the files that are there, and asks for the thread.
        """
        segments = written(log, b"1111111\n", b"2222222\n")
        maintained(segments)
        segments.use(segments.policy._replace(compression=GZIP))
        log.asked.clear()
        segments.append(b"3333333\n")
        maintained(segments)

        assert "maintain" in log.asked
        assert ["000001.gz", "000002.gz"] == names(log)


class TestSteps:
    def test_interrupted(self, log: Log) -> None:
        """
        Between two steps the thread may stop: nothing is left, and it begins again.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        while not list(log.aside.glob("*.partial")):
            assert 0 == segments.maintain()
        segments.rest()

        assert [] == list(log.aside.glob("*.partial"))
        assert ["000001"] == names(log)
        maintained(segments)
        assert ["000001.gz"] == names(log)

    def test_fork(self, log: Log) -> None:
        """
        A child that is forked between two steps has nothing to do with them, and
        nothing counted; its parent goes on.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        while not list(log.aside.glob("*.partial")):
            assert 0 == segments.maintain()

        assert in_child(
            lambda: (
                segments.maintain() is None
                and 0 == segments.statistics().compressed
                and len(list(log.aside.glob("*.partial"))) == 1
            )
        )
        maintained(segments)
        assert ["000001.gz"] == names(log)

    def test_fork_begins_anew(self, log: Log) -> None:
        """
        What the child lets go of is not removed: it is its parent's.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        while not list(log.aside.glob("*.partial")):
            assert 0 == segments.maintain()
        segments.after_fork()

        assert 1 == len(list(log.aside.glob("*.partial")))
        segments.append(b"3333333\n")
        maintained(segments)
        assert ["000001.gz", "000002.gz"] == names(log)
        assert [] == list(log.aside.glob("*.partial"))

    def test_dropped(self, log: Log) -> None:
        """
        An engine that goes amid its work lets go of its turn.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        segments.maintain()
        assert not Turn(str(log.aside)).take()
        segments._upkeep.__del__()

        turn = Turn(str(log.aside))
        assert turn.take()
        turn.release()


class TestTurn:
    def test_of_another(self, log: Log) -> None:
        """
        While another process has the turn nothing is done; a second later, when it
        died, its work is ours.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        other = Turn(str(log.aside))
        assert other.take()

        assert 1.0 == maintained(segments)
        assert ["000001"] == names(log)
        other.release()
        log.now += 1.0
        assert maintained(segments) is None
        assert ["000001.gz"] == names(log)

    def test_not_asked_for_all_the_time(self, log: Log) -> None:
        """
        Whoever waits for his turn does not look at the folder before a second is
        over, however often the thread comes by for other files.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        other = Turn(str(log.aside))
        assert other.take()
        maintained(segments)
        log.now += 0.25

        assert 0.75 == maintained(segments)
        other.release()
        assert 0.75 == maintained(segments)
        assert ["000001"] == names(log)

    def test_clock_set_back(self, log: Log) -> None:
        """
        A clock that was set back makes nobody wait for longer.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        other = Turn(str(log.aside))
        assert other.take()
        maintained(segments)
        other.release()
        log.now -= DAY

        assert maintained(segments) is None
        assert ["000001.gz"] == names(log)

    def test_at_rest(self, log: Log) -> None:
        """
        Whoever is stopped amid his work lets others have their turn at once.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        segments.maintain()
        segments.rest()
        other = Turn(str(log.aside))

        assert other.take()
        other.release()

    def test_given_back(self, log: Log) -> None:
        """
        Whoever has nothing more to do lets others have their turn.
        """
        maintained(written(log, b"1111111\n", b"2222222\n", compression=GZIP))
        other = Turn(str(log.aside))

        assert other.take()
        other.release()

    def test_done_by_another(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What another process did while we waited for our turn is not done again.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        take = Turn.take

        def take_late(turn: Turn) -> bool:
            log.full[0].unlink()
            return take(turn)

        monkeypatch.setattr(Turn, "take", take_late)
        maintained(segments)

        assert 0 == segments.statistics().compressed
        assert [] == log.troubles

    def test_removed_by_another(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that somebody removed before us is no trouble.
        """
        segments = written(log, b"1111111\n", b"2222222\n", b"3333333\n")
        segments.policy = segments.policy._replace(limits=Limits(1))
        unlink = os.unlink

        def unlink_twice(path: str) -> None:
            unlink(path)
            unlink(path)

        monkeypatch.setattr(os, "unlink", unlink_twice)
        maintained(segments)

        assert ["000002"] == names(log)
        assert [] == log.troubles

    def test_removed_while_we_look(
        self, log: Log, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So is one that goes while the folder is looked at.
        """
        segments = written(log, b"1111111\n", b"2222222\n")
        full, scandir = log.full, os.scandir

        def scan(directory: str) -> Any:
            class Found(list[Any]):
                __enter__ = lambda self: self  # noqa: E731
                __exit__ = lambda *_: None  # noqa: E731

            with scandir(directory) as entries:
                found = Found(entries)
            for path in full:
                path.unlink(missing_ok=True)
            return found

        monkeypatch.setattr(os, "scandir", scan)
        assert maintained(segments) is None
        assert [] == log.troubles


class TestTrouble:
    def test_later(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What failed, on a full disk, say, is told and tried again a minute later;
        nothing is lost.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refusing(errno.ENOSPC))
            assert 60.0 == maintained(segments)
        assert ["compress"] == log.kinds
        assert ["000001"] == names(log)
        assert [] == list(log.aside.glob("*.partial"))
        log.now += 30.0
        assert 30.0 == maintained(segments)
        log.now += 30.0

        assert maintained(segments) is None
        assert ["000001.gz"] == names(log)
        assert ["compress"] == log.kinds

    def test_locked(self, log: Log) -> None:
        """
        A full file that somebody holds is left alone, and looked at in a second.
        """
        segments = written(log, b"1111111\n", b"2222222\n", compression=GZIP)
        with held(log.full[0]):
            assert 1.0 == maintained(segments)
        assert ["000001"] == names(log)
        log.now += 1.0
        assert maintained(segments) is None

        assert ["000001.gz"] == names(log)
        assert [] == log.troubles

    def test_others_go_on(self, log: Log) -> None:
        """
        One that is held locked, or damaged, does not hold up the others.
        """
        lines = [b"1111111\n", b"2222222\n", b"3333333\n"]
        segments = written(log, *lines, compression=GZIP)
        log.full[1].with_name(f"{log.full[1].name}.gz").mkdir()  # in the way
        with held(log.full[0]):
            segments.append(b"4444444\n")
            assert maintained(segments) is not None

        assert ["000001", "000002", "000002.gz", "000003.gz"] == names(log)
        assert {"compress"} == set(log.kinds)

    def test_full_disk(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where there is no room for one there is none for the others: one try is made.
        """
        segments = written(
            log, b"1111111\n", b"2222222\n", b"3333333\n", compression=GZIP
        )
        monkeypatch.setattr(os, "fsync", refusing(errno.ENOSPC))
        maintained(segments)

        assert ["compress"] == log.kinds
        assert ["000001", "000002"] == names(log)

    def test_hidden_folder_fails(self, log: Log) -> None:
        """
        Where the hidden folder cannot be made, that is told; logging goes on.
        """
        segments = written(log, b"1111111\n", compression=GZIP)
        log.aside.write_bytes(b"in its place")
        segments.append(b"2222222\n")

        assert 60.0 == maintained(segments)
        assert ["compress"] == log.kinds
        assert [b"1111111\n", b"2222222\n"] == log.lines


class TestTornSegments:
    @pytest.mark.parametrize("end", [b"half", b"\0" * 9, b"half\0\0"])
    def test_put_aside(self, log: Log, end: bytes) -> None:
        """
        What a power cut left at the end of a full file is put aside at the first
        record, before the file is compressed.
        """
        left_behind(log, 1, b"1111111\n" + end)
        segments = written(log, b"2222222\n", compression=GZIP)
        maintained(segments)

        assert [b"1111111\n"] == [
            gzip.decompress(file.read_bytes()) for file in log.full
        ]
        assert end + b"\n" == (log.aside / "fragments").read_bytes()
        assert ["repair"] == log.kinds

    def test_without_compression(self, log: Log) -> None:
        """
        It is put aside where nothing is compressed, too.
        """
        torn = left_behind(log, 1, b"1111111\nhalf")
        maintained(written(log, b"2222222\n"))

        assert b"1111111\n" == torn.read_bytes()

    def test_empty(self, log: Log) -> None:
        """
        A file that a power cut left empty is whole.
        """
        left_behind(log, 1, b"")
        maintained(written(log, b"2222222\n"))

        assert [] == log.troubles

    def test_once(self, log: Log) -> None:
        """
        Only what lay there at the beginning is looked at: what becomes full later
        may still be written to.
        """
        segments = written(log, b"1111111\n")
        maintained(segments)
        torn = left_behind(log, 1, b"1111111\nhalf")
        segments._upkeep.ask()
        maintained(segments)

        assert b"1111111\nhalf" == torn.read_bytes()

    def test_gone(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One that somebody removes while we look is no trouble.
        """
        torn = left_behind(log, 1, b"1111111\nhalf")
        is_torn = upkeep_module._is_torn

        def remove_first(path: str) -> bool:
            torn.unlink()
            return is_torn(path)

        monkeypatch.setattr(upkeep_module, "_is_torn", remove_first)
        maintained(written(log, b"2222222\n"))

        assert [] == log.troubles


class TestRetention:
    """Which limit is reached first decides."""

    def test_count(self, log: Log) -> None:
        """
        Beyond *backup_count* the oldest go, compressed or not.
        """
        left_behind(log, 7, b"packed").rename(
            log.path.with_name(f"bot.log.{STAMP}.000007.gz")
        )
        segments = written(log, b"1111111\n", b"2222222\n", b"3333333\n")
        segments.policy = segments.policy._replace(limits=Limits(1))
        maintained(segments)

        assert ["000009"] == names(log)

    def test_bytes(self, log: Log) -> None:
        """
        Beyond *total_bytes*, the active file's among them, the oldest go.
        """
        lines = [b"1111111\n", b"2222222\n", b"3333333\n", b"4444444\n"]
        maintained(written(log, *lines, limits=Limits(10, 24)))

        assert ["000002", "000003"] == names(log)

    def test_age(self, log: Log) -> None:
        """
        A file goes when a later one began longer ago than *max_age*.
        """
        left_behind(log, 1, b"1\n", "20251020T000000Z")
        left_behind(log, 2, b"2\n", "20251021T000000Z")
        segments = written(log, b"3333333\n", limits=Limits(10, 0, 3 * DAY))
        log.path.write_bytes(b'{"timestamp":"2025-10-26T00:00:00Z"}\n')
        maintained(segments)

        assert ["000002"] == names(log)

    def test_hourly(self, log: Log) -> None:
        """
        An hour later what grew too old meanwhile goes, though nothing happened.
        """
        left_behind(log, 1, b"1\n", "20251026T080000Z")
        left_behind(log, 2, b"2\n", "20251026T090000Z")
        segments = written(log, b"3333333\n", limits=Limits(10, 0, DAY))

        assert 3600.0 == maintained(segments)
        assert ["000001", "000002"] == names(log)
        log.now += 1800.0
        assert 1800.0 == maintained(segments)
        assert ["000001", "000002"] == names(log)
        log.now += 1800.0
        assert 3600.0 == maintained(segments)
        assert ["000002"] == names(log)

    def test_pipe(self, log: Log) -> None:
        """
        What is in a named pipe is neither read nor waited for: the thread serves
        other files, too.
        """
        left_behind(log, 1, b"1\n", "20251020T000000Z")
        left_behind(log, 2, b"2\n", "20251021T000000Z")
        os.mkfifo(log.path)
        reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            segments = written(log, b"3\n", limits=Limits(10, 0, 3 * DAY))
            maintained(segments)
            assert b"3\n" == os.read(reader, 100)
            segments.close()
            segments.use(segments.policy._replace(compression=GZIP))
            assert 3600.0 == maintained(segments)
        finally:
            os.close(reader)

        assert ["000002.gz"] == names(log)

    def test_active_file_goes(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        An active file that somebody moves away while we look is no trouble.
        """
        segments = written(log, b"1\n", limits=Limits(10, 0, 3 * DAY))
        look = upkeep_module._sizes

        def move_then(directory: str) -> dict[str, int]:
            found = look(directory)
            log.path.unlink()
            return found

        monkeypatch.setattr(upkeep_module, "_sizes", move_then)
        maintained(segments)

        assert [] == log.troubles

    def test_no_active_file(self, log: Log) -> None:
        """
        Where there is no active file at the moment, the full ones are looked at.
        """
        left_behind(log, 1, b"1\n", "20251020T000000Z")
        left_behind(log, 2, b"2\n", "20251021T000000Z")
        segments = written(log, b"3333333\n", limits=Limits(10, 0, 3 * DAY))
        log.path.unlink()
        maintained(segments)

        assert ["000002"] == names(log)

    def test_clock_set_back(self, log: Log) -> None:
        """
        A clock that was set back delays the next look by no more than an hour.
        """
        segments = written(log, b"1111111\n", limits=Limits(10, 0, DAY))
        maintained(segments)
        log.now -= 365 * DAY

        assert 3600.0 == maintained(segments)

    def test_wanted_later(self, log: Log) -> None:
        """
        A limit that a reload brings is looked at every hour from then on.
        """
        segments = written(log, b"1111111\n")
        assert maintained(segments) is None
        segments.use(segments.policy._replace(limits=Limits(10, 0, DAY)))

        assert 3600.0 == maintained(segments)

    def test_wanted_no_more(self, log: Log) -> None:
        """
        One that a reload takes away is not.
        """
        segments = written(log, b"1111111\n", limits=Limits(10, 0, DAY))
        maintained(segments)
        segments.use(segments.policy._replace(limits=Limits(10)))

        assert maintained(segments) is None


class Disk:
    """A disk with so many bytes free."""

    f_frsize = 1

    def __init__(self) -> None:
        self.f_bavail = 1_000


class TestRoom:
    @pytest.fixture
    def disk(self, monkeypatch: pytest.MonkeyPatch) -> Disk:
        """Where the log file is."""
        made = Disk()
        monkeypatch.setattr(os, "statvfs", lambda _: made)
        return made

    def test_dropped_and_counted(self, log: Log, disk: Disk) -> None:
        """
        While there is less room than others need, lines are dropped, counted and
        reported; then writing goes on, and what was written stays in order.
        """
        segments = written(log, b"1\n", min_free_bytes=1_000)
        maintained(segments)
        disk.f_bavail = 999
        assert 1.0 == maintained(segments)

        assert not segments.append(b"2\n")
        segments.append_all(deque([b"3\n", b"4\n"]))
        assert 3 == segments.statistics().dropped
        assert 0 == segments.statistics().waiting
        assert {
            (
                "drop",
                f"less than min_free_bytes is free on its disk; {count} records "
                "dropped so far",
            )
            for count in (1, 3)
        } == set(log.troubles)
        disk.f_bavail = 1_000
        maintained(segments)
        assert segments.append(b"5\n")
        assert [b"1\n", b"5\n"] == log.lines

    def test_other_file(self, log: Log, disk: Disk, tmp_path: Path) -> None:
        """
        Another file of the same folder, which asks for less, is written to.
        """
        disk.f_bavail = 500
        segments = written(log, b"1\n", min_free_bytes=1_000)
        other = Log(tmp_path, "executions.log")
        audit = written(other, b"1\n")
        maintained(segments)
        maintained(audit)

        assert not segments.append(b"2\n")
        assert audit.append(b"2\n")
        other.close()

    def test_idle(self, log: Log, disk: Disk) -> None:  # noqa: ARG002
        """
        Nobody looks while nothing is written, and the thread does not wake itself;
        the next line asks for it.
        """
        segments = written(log, b"1\n", min_free_bytes=1_000)
        maintained(segments)
        log.asked.clear()
        segments.append(b"2\n")
        assert ["maintain"] == log.asked
        log.asked.clear()

        assert 1.0 == segments.maintain()
        assert segments.maintain() is None
        assert segments.maintain() is None
        assert [] == log.asked

    def test_wanted_no_more(self, log: Log, disk: Disk) -> None:
        """
        A reload that asks for no room has lines written again.
        """
        disk.f_bavail = 999
        segments = written(log, b"1\n", min_free_bytes=1_000)
        maintained(segments)
        segments.use(segments.policy._replace(min_free_bytes=0))
        maintained(segments)

        assert segments.append(b"2\n")

    def test_wanted_later(self, log: Log, disk: Disk) -> None:
        """
        One that does is heard at the next line.
        """
        disk.f_bavail = 999
        segments = written(log, b"1\n")
        maintained(segments)
        segments.use(segments.policy._replace(min_free_bytes=1_000))
        log.asked.clear()
        segments.append(b"2\n")
        assert ["maintain"] == log.asked
        maintained(segments)

        assert not segments.append(b"3\n")

    @pytest.mark.parametrize("error", ["OSError", "AttributeError"])
    def test_not_known(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, error: str
    ) -> None:
        """
        Where nobody knows how much is free, lines are written.
        """
        if error == "OSError":
            monkeypatch.setattr(os, "statvfs", refusing(errno.EIO))
        else:
            monkeypatch.delattr(os, "statvfs")
        segments = written(log, b"1\n", min_free_bytes=1_000)
        maintained(segments)

        assert segments.append(b"2\n")


class TestWaiting:
    def test_tried_again(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Lines that could not be written are tried again by the thread, each second.
        """
        segments = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refusing(errno.EACCES))
            segments.append(b"1\n")
            assert "maintain" in log.asked
            assert 1.0 == maintained(segments)
        assert maintained(segments) is None

        assert [b"1\n"] == log.lines
        assert 1 == segments.statistics().retried
