"""
Events that wait on a disk: none lost, doubled or out of order, whatever breaks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import threading
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.cloudwatch import spool_backlog, spool_place
from chimera_log.cloudwatch.adoption import adopt
from chimera_log.cloudwatch.batch import Event
from chimera_log.cloudwatch.spool_records import (
    MAX_HEAD,
    decoded,
    encoded,
    first_length,
)
from chimera_log.files import opening
from tests.logs import held, in_child, refusing
from tests.spools import (
    LABEL,
    START,
    Spools,
    all_taken,
    at_most,
    damage,
    event,
    kill,
    number_of,
    taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chimera_log.cloudwatch.spool import Spool
    from chimera_log.cloudwatch.spool_backlog import Backlog
    from chimera_log.cloudwatch.spool_place import Label

OTHER: Label = {"log_group_name": "Other"}
EVENTS = st.builds(
    Event,
    st.integers(-(10**15), 10**15),
    st.binary(max_size=60)
    | st.text("\\n\n0 1", max_size=20).map(str.encode)
    | st.just(encoded(Event(1, b"forged"))),
)


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Spools]:
    """Spools in a folder of their own."""
    made = Spools(tmp_path)
    yield made
    made.close()


class TestRecords:
    """The text that an event is on disk."""

    def test_text(self) -> None:
        """
        A record is one line that an operator can read.
        """
        assert b"12 5 f3e04b87 hello\n" == encoded(Event(12, b"hello"))

    def test_line_feeds(self) -> None:
        """
        One whose message holds line feeds is one line as well.
        """
        assert rb"12 6\ 1c320f14 a\nb\\" + b"\n" == encoded(Event(12, b"a\nb\\"))

    @given(EVENTS)
    def test_head(self, given_: Event) -> None:
        """
        What a record adds to its message is bounded.
        """
        message = given_.message.replace(b"\n", b"")
        record = encoded(given_._replace(message=message))

        assert len(record) <= len(message) + MAX_HEAD
        assert len(record) == first_length(record)

    @given(st.lists(EVENTS))
    def test_round_trip(self, events: list[Event]) -> None:
        """
        Whatever was encoded is found again, each with the position behind it.
        """
        records = [encoded(each) for each in events]
        data = b"".join(records)
        found, used = decoded(data, is_end=False)

        assert events == [each for each, _ in found]
        ends = [sum(map(len, records[: each + 1])) for each in range(len(records))]
        assert ends == [end for _, end in found]
        assert len(data) == used

    @given(st.lists(EVENTS), st.lists(st.integers(1, 80), min_size=1))
    def test_pieces(self, events: list[Event], sizes: list[int]) -> None:
        """
        Read in pieces of any size, each going on where there was nothing more.
        """
        data, found = b"".join(map(encoded, events)), []
        at, wanted = 0, 0
        for size in sizes * 200:
            wanted += size
            piece = data[at : at + wanted]
            more, used = decoded(piece, is_end=at + wanted >= len(data))
            found += more
            at += used
            wanted -= used
        assert at + wanted < len(data) or events == [each for each, _ in found]

    @given(st.binary(max_size=300), st.lists(EVENTS))
    def test_garbage(self, garbage: bytes, events: list[Event]) -> None:
        """
        Whatever stands before records, those behind its line feed are found.
        """
        data = garbage + b"\n" + b"".join(map(encoded, events))
        found, used = decoded(data, is_end=True)

        assert events == [each for each, _ in found][len(found) - len(events) :]
        assert len(data) == used

    @pytest.mark.parametrize("position", range(60))
    def test_any_byte(self, position: int) -> None:
        """
        A byte that is damaged costs one record at most, be it changed to any other.
        """
        events = [Event(START, b"one"), Event(2, b"a\n\\"), Event(START + 3, b"three")]
        data = b"".join(map(encoded, events))
        assert position < 60 <= len(data)
        for other in range(256):
            broken = data[:position] + bytes([other]) + data[position + 1 :]
            found = [each for each, _ in decoded(broken, is_end=True)[0]]
            assert len(found) >= 2
            assert found == [each for each in events if each in found]

    @given(st.lists(EVENTS, min_size=1), st.data())
    def test_torn(self, events: list[Event], data: st.DataObject) -> None:
        """
        Cut anywhere, all records but the last are found.
        """
        whole = b"".join(map(encoded, events))
        cut = data.draw(st.integers(len(whole) - len(encoded(events[-1])), len(whole)))
        found = [each for each, _ in decoded(whole[:cut], is_end=True)[0]]

        # The line feed of the last one may be missing.
        assert events[: len(found)] == found
        assert len(events) - 1 + (cut >= len(whole) - 1) == len(found)


class TestPut:
    """What is on the disk when a put returns."""

    def test_on_disk(self, spools: Spools) -> None:
        """
        The record is in the file, and is counted as spooled.
        """
        spool = spools.open(1, 2)

        assert [encoded(event(1)) + encoded(event(2))] == [
            file.read_bytes() for file in spools.files
        ]
        assert (0, 2, 0) == (spool.queued, spool.spooled, spool.dropped)
        assert 2 == spool.accepted

    def test_nothing_before(self, spools: Spools) -> None:
        """
        Nothing is made before the first put.
        """
        spool = spools.open()

        assert [] == taken(spool)
        spool.forget()
        spool.close()
        assert not spools.folder.exists()
        assert 0 == spool.spooled

    def test_place(self, spools: Spools) -> None:
        """
        A place is named after its time, and says what its events are for.
        """
        spools.open(1)

        (place,) = spools.places
        assert spool_place.NAME.fullmatch(place.name)
        assert time.strftime("%Y%m%d", time.gmtime()) <= place.name[:8]
        assert re.fullmatch(
            r"0{12} 0{20} [0-9a-f]{8}\n"
            r'\{"log_group_name": "Chimera", "region_name": null\}\n',
            (place / "lock").read_text(),
        )

    def test_modes(self, spools: Spools) -> None:
        """
        Group and others have no more rights than to the log files, whatever the umask.
        """
        before = os.umask(0)
        try:
            spools.open(1)
        finally:
            os.umask(before)

        (place,) = spools.places
        assert 0o750 == stat.S_IMODE(place.stat().st_mode)
        assert {0o640} == {
            stat.S_IMODE(each.stat().st_mode) for each in place.iterdir()
        }

    def test_real_calls(self, spools: Spools) -> None:
        """
        Without a test's disk the calls are those that suit the file system.
        """
        spool = spools.open(0)
        spool._calls = None
        spool.put(event(1))

        assert [0, 1] == taken(spool)

    def test_many_files(self, spools: Spools) -> None:
        """
        A file is full at a sixteenth of the whole; a larger record has its own.
        """
        spool = spools.open(max_spool_bytes=16_000)
        for number in range(30):
            spool.put(event(number, 300))
        spool.put(event(30, 3_000))
        spool.put(event(31))

        sizes = [file.stat().st_size for file in spools.files]
        assert all(size <= 1_000 for size in sizes[:-2])
        assert [3, 0] == [size // 1_000 for size in sizes[-2:]]
        assert list(range(32)) == all_taken(spool)

    def test_nested(self, spools: Spools) -> None:
        """
        A put amid a put of its own thread is on the disk when the outer one returns.
        """
        spool = spools.open(0)
        nested = iter([2, 3])

        def log() -> None:
            for number in nested:
                spool.put(event(number))

        spools.disk.after = log
        spool.put(event(1))

        assert (0, 4) == (spool.queued, spool.spooled)
        assert [0, 1, 2, 3] == all_taken(spool)

    def test_nested_often(self, spools: Spools) -> None:
        """
        So it is though each write is interrupted, many times in a row.
        """
        spool = spools.open(0)
        nested = iter(range(2, 52))

        def log() -> None:
            for number in islice(nested, 1):
                spool.put(event(number))

        spools.disk.after = log
        spool.put(event(1))

        assert (0, 52) == (spool.queued, spool.spooled)

    @pytest.mark.parametrize("then", ["put", "take"])
    def test_raising(self, spools: Spools, then: str) -> None:
        """
        A signal handler that raises right after the write loses and doubles nothing.
        """
        spool = spools.open(0)
        spools.disk.after = raise_once()
        with pytest.raises(KeyboardInterrupt):
            spool.put(event(1))
        if then == "put":
            spool.put(event(2))

        expected = [0, 1, 2] if then == "put" else [0, 1]
        assert expected == all_taken(spool)
        assert (0, 0, 0) == (spool.queued, spool.spooled, spool.dropped)

    @pytest.mark.parametrize("name", ["make_directory", "open_or_make"])
    def test_raising_before(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """
        Nor does one that raises before there is a file.
        """
        spool = spools.open()
        real, interrupt = getattr(opening, name), raise_once()

        def interrupted(*args: Any) -> Any:
            interrupt()
            return real(*args)

        monkeypatch.setattr(opening, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            spool.put(event(1))
        spool.put(event(2))

        assert (0, 2, 0) == (spool.queued, spool.spooled, spool.dropped)
        assert [1, 2] == taken(spool)

    def test_raising_amid_a_write(self, spools: Spools) -> None:
        """
        One that raises amid a write has it done again: no half record stays.
        """
        spool = spools.open(0)
        spools.disk.is_broken, spools.disk.takes = True, 7
        spools.disk.after = raise_once()
        with pytest.raises(KeyboardInterrupt):
            spool.put(event(1))
        assert 1 == spool.queued
        spools.disk.is_broken = False
        spool.put(event(2))

        expected = b"".join(encoded(event(each)) for each in range(3))
        assert [expected] == [file.read_bytes() for file in spools.files]
        assert [0, 1, 2] == all_taken(spool)

    def test_threads(self, spools: Spools) -> None:
        """
        Eight threads that put while one takes: nothing is lost, each in order.
        """
        spool = spools.open(max_spool_bytes=1_000_000)
        count, found = 500, []
        over = threading.Event()

        def put(writer: int) -> None:
            for number in range(count):
                spool.put(Event(writer, b"%d" % number))

        def take() -> None:
            while not over.is_set() or spool.spooled:
                found.extend(spool.take(at_most(70)))
                spool.forget()

        writers = [threading.Thread(target=put, args=(each,)) for each in range(8)]
        taker = threading.Thread(target=take)
        for thread in (*writers, taker):
            thread.start()
        for thread in writers:
            thread.join()
        over.set()
        taker.join()

        assert 0 == spool.dropped
        for writer in range(8):
            numbers = [int(each.message) for each in found if each.timestamp == writer]
            assert list(range(count)) == numbers


def raise_once() -> Callable[[], None]:
    """Return what raises what a signal handler raises, the first time."""
    times = iter([None])

    def interrupt() -> None:
        for _ in times:
            raise KeyboardInterrupt

    return interrupt


class TestTake:
    """What is taken and forgotten, and when it goes from the disk."""

    def test_refused(self, spools: Spools) -> None:
        """
        The first event that does not fit ends a take, and is the first of the next.
        """
        spool = spools.open(1, 2, 3)

        assert [1, 2] == taken(spool, 2)
        assert 1 == spool.spooled
        assert [] == taken(spool, 0)
        assert [3] == taken(spool)

    def test_raising(self, spools: Spools) -> None:
        """
        Whatever raises amid a take, everything waits on.
        """
        spool = spools.open(1, 2, 3)
        with pytest.raises(ZeroDivisionError):
            spool.take(lambda each: bool(1 // (number_of(each) - 3)))

        assert 3 == spool.spooled
        assert [1, 2, 3] == taken(spool)

    def test_grows(self, spools: Spools) -> None:
        """
        What comes later to the same file is taken later.
        """
        spool = spools.open(1)
        assert [1] == taken(spool)
        spool.put(event(2))

        assert [2] == taken(spool)

    def test_files_go(self, spools: Spools) -> None:
        """
        A file is removed when all of it is forgotten, not when it is taken.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(9):
            spool.put(event(number, 50))
        assert 9 == len(spools.files)
        assert list(range(5)) == taken(spool, 5)
        assert 9 == len(spools.files)
        spool.forget()
        assert 4 == len(spools.files)

    def test_place_goes(self, spools: Spools) -> None:
        """
        When all is done, closing leaves an empty spool directory.
        """
        spool = spools.open(1, 2)
        taken(spool)
        spool.forget()
        spool.close()

        assert [] == spools.places
        assert spools.folder.is_dir()

    @pytest.mark.parametrize("has_taken", [False, True])
    def test_place_stays(self, spools: Spools, *, has_taken: bool) -> None:
        """
        What is not forgotten stays for whoever adopts it, though it was taken.
        """
        spool = spools.open(1, 2)
        if has_taken:
            taken(spool)
        spool.close()
        spool.close()

        assert [1, 2] == taken(spools.adopted())

    def test_again_after_close(self, spools: Spools) -> None:
        """
        A put after a close begins another place.
        """
        spool = spools.open(1)
        spool.close()
        spool.put(event(2))

        assert [2] == taken(spool)
        assert 2 == len(spools.places)

    def test_bounded_memory(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        No more is read than a piece, unless one record alone is longer.
        """
        lengths = []

        def read_at(fd: int, length: int, offset: int) -> bytes:
            lengths.append(length)
            return os.pread(fd, length, offset)

        monkeypatch.setattr(opening, "read_at", read_at)
        monkeypatch.setattr(spool_backlog, "_PIECE", 500)
        spool = spools.open(*range(100))
        spool.put(event(100, 2_000))
        spool.put(event(101))

        assert list(range(102)) == taken(spool)
        assert {500, len(encoded(event(100, 2_000)))} >= set(lengths[:-1])

    def test_unreadable_folder(self, spools: Spools, tmp_path: Path) -> None:
        """
        A spool directory that cannot be listed is reported.
        """
        (tmp_path / "file").touch()
        assert [] == adopt(
            str(tmp_path / "file"), LABEL.__eq__, on_trouble=spools.trouble
        )
        assert ["adopt"] == spools.kinds


class TestCap:
    """A spool that is full."""

    def test_oldest_go(self, spools: Spools) -> None:
        """
        The oldest file goes, and each of its events that was not taken is counted.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(100):
            spool.put(event(number, 20))

        assert sum(file.stat().st_size for file in spools.files) <= 1_600
        left = all_taken(spool)
        assert list(range(100 - len(left), 100)) == left
        assert 100 == len(left) + spool.dropped
        assert {"full"} == set(spools.kinds)
        assert (
            "max_spool_bytes reached; the 2 oldest events are lost, 2 in all"
            == (spools.troubles[0][1])
        )

    def test_taken_from(self, spools: Spools) -> None:
        """
        Of a file that is just taken from, what was read is not lost, and not counted.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(10):
            spool.put(event(number, 20))
        first = taken(spool, 1)
        for number in range(10, 100):
            spool.put(event(number, 20))
        spool.forget()
        rest = all_taken(spool)

        assert [0, 1] == first + rest[:1]
        assert 100 == len(first) + len(rest) + spool.dropped

    def test_dropped_while_read(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that is dropped while it is read is lost once, not half taken.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(10):
            spool.put(event(number, 20))
        numbers = iter(range(10, 100))

        def read_at(fd: int, length: int, offset: int) -> bytes:
            for number in numbers:
                spool.put(event(number, 20))
            return os.pread(fd, length, offset)

        monkeypatch.setattr(opening, "read_at", read_at)
        left = all_taken(spool)

        assert list(range(100 - len(left), 100)) == left
        assert 100 == len(left) + spool.dropped

    def test_dropped_before_it_is_read(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor does one count twice that is gone when it is opened to be read.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(10):
            spool.put(event(number, 20))
        real, numbers = os.open, iter(range(10, 100))

        def open_(path: str, flags: int, mode: int = 0) -> int:
            if not flags & os.O_RDWR:  # to be read
                for number in numbers:
                    spool.put(event(number, 20))
            return real(path, flags, mode)

        monkeypatch.setattr(os, "open", open_)
        left = all_taken(spool)

        assert list(range(100 - len(left), 100)) == left
        assert 100 == len(left) + spool.dropped
        assert {"full"} == set(spools.kinds)

    def test_too_large(self, spools: Spools) -> None:
        """
        An event that is larger than the whole spool is lost alone.
        """
        spool = spools.open(1, max_spool_bytes=1_600)
        spool.put(event(2, 1_600))
        spool.put(event(3))

        assert ["full"] == spools.kinds
        assert 1 == spool.dropped
        assert [1, 3] == all_taken(spool)

    @given(
        st.lists(
            st.tuples(st.integers(0, 250), st.integers(0, 5)), min_size=1, max_size=60
        )
    )
    def test_accounting(self, tmp_path: Path, steps: list[tuple[int, int]]) -> None:
        """
        Put = taken + dropped + queued + spooled; what is taken is in order.
        """
        folder = tmp_path / os.urandom(4).hex()
        spools = Spools(folder)
        spool, found = spools.open(max_spool_bytes=1_600), []
        for number, (size, count) in enumerate(steps):
            spool.put(event(number, size))
            if count:
                found += taken(spool, count)
                spool.forget()
            waiting = spool.queued + spool.spooled
            assert number + 1 == len(found) + spool.dropped + waiting
        found += all_taken(spool)
        spool.close()

        assert sorted(set(found)) == found
        assert len(steps) == len(found) + spool.dropped
        assert [] == spools.places


class TestTrouble:
    """A disk that does not take what is put."""

    @pytest.mark.parametrize("takes", [0, 1, 10])
    def test_order(self, spools: Spools, takes: int) -> None:
        """
        What it does not take waits in memory, and all that comes after it.
        """
        spool = spools.open(1, 2)
        spools.disk.is_broken, spools.disk.takes = True, takes
        spool.put(event(3))
        spools.disk.is_broken = False
        spool.put(event(4))

        assert (2, 2, 0) == (spool.queued, spool.spooled, spool.dropped)
        assert encoded(event(1)) + encoded(event(2)) == spools.files[0].read_bytes()
        assert [1, 2] == taken(spool)
        assert [3, 4] == taken(spool)
        assert ["write"] == spools.kinds

    def test_tried_again(self, spools: Spools) -> None:
        """
        It is tried again a second later, with the oldest first.
        """
        spool = spools.open(1)
        spools.disk.is_broken = True
        spool.put(event(2))
        spools.disk.is_broken = False
        spools.now = 0.999
        spool.put(event(3))
        assert (2, 1) == (spool.queued, spool.spooled)
        spools.now = 1.0
        spool.put(event(4))

        assert (0, 4) == (spool.queued, spool.spooled)
        assert [1, 2, 3, 4] == taken(spool)

    def test_take_tries_again(self, spools: Spools) -> None:
        """
        Taking does so, too, where nobody puts any more.
        """
        spool = spools.open(1)
        spools.disk.is_broken = True
        spool.put(event(2))
        spools.disk.is_broken, spools.now = False, 1.0
        taken(spool, 0)

        assert (0, 2) == (spool.queued, spool.spooled)

    def test_a_part_at_a_time(self, spools: Spools) -> None:
        """
        A put moves a good part of what waits to the disk, not all of it.
        """
        spool = spools.open(0)
        spools.disk.is_broken = True
        for number in range(1, 101):
            spool.put(event(number, 10_000))
        spools.disk.is_broken, spools.now = False, 1.0
        spool.put(event(101))

        assert 65 < spool.queued < 80
        assert list(range(102)) == all_taken(spool)

    def test_bounded(self, spools: Spools) -> None:
        """
        Memory is bounded, and what it loses is counted.
        """
        spool = spools.open(1, max_queue_size=3)
        spools.disk.is_broken = True
        for number in range(2, 7):
            spool.put(event(number))

        assert (3, 1, 2) == (spool.queued, spool.spooled, spool.dropped)
        assert [1, 4, 5, 6] == all_taken(spool)

    def test_no_place(self, spools: Spools, tmp_path: Path) -> None:
        """
        Where no directory can be made, events wait in memory until one can.
        """
        obstacle = tmp_path / "spool"
        obstacle.touch()
        spool = spools.open(1)
        assert (1, 0) == (spool.queued, spool.spooled)
        obstacle.unlink()
        spools.now = 1.0
        spool.put(event(2))

        assert (0, 2) == (spool.queued, spool.spooled)
        assert ["write"] == spools.kinds

    def test_no_label(self, spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A place that cannot be labelled comes to nothing, and leaves nothing.
        """
        monkeypatch.setattr(os, "pwrite", lambda *_: 1)
        spool = spools.open(1)

        assert [] == spools.places
        assert (1, ["write"]) == (spool.queued, spools.kinds)

    def test_cannot_cut_back(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where half a record cannot be cut off, another file is begun.
        """
        spool = spools.open(1)
        spools.disk.is_broken, spools.disk.takes = True, 5
        monkeypatch.setattr(os, "ftruncate", refusing(errno.EIO))
        spool.put(event(2))
        spools.disk.is_broken, spools.now = False, 1.0
        spool.put(event(3))

        assert 2 == len(spools.files)
        assert [1, 2, 3] == all_taken(spool)
        assert 0 == spool.dropped

    def test_close(self, spools: Spools) -> None:
        """
        Closing tries a last time; what is not taken then stays in memory.
        """
        spool = spools.open(1)
        spools.disk.is_broken = True
        spool.put(event(2))
        spool.close()
        assert 1 == spool.queued
        spools.disk.is_broken = False
        spool.close()

        assert 0 == spool.queued
        assert [[1], [2]] == [taken(each) for each in spools.adopt()]

    def test_nested(self, spools: Spools) -> None:
        """
        Nobody closes or takes what a put of the same thread is writing.
        """
        spool, found = spools.open(0), []

        def handler() -> None:
            spool.close()
            found.extend(taken(spool))

        spools.disk.after = handler
        spool.put(event(1))
        assert [0] == found
        spools.disk.after = lambda: None

        assert [1] == taken(spool)

    @pytest.mark.parametrize("what", ["file", "place"])
    def test_removed(self, spools: Spools, what: str) -> None:
        """
        What somebody removed is lost and counted; a put makes everything anew.
        """
        spool = spools.open(1, 2)
        if what == "file":
            spools.files[0].unlink()
        else:
            shutil.rmtree(spools.folder)
        assert [] == taken(spool)
        assert (0, 2) == (spool.spooled, spool.dropped)
        spool.put(event(3))

        assert [3] == all_taken(spool)
        assert ["vanished"] == spools.kinds

    def test_place_removed_while_taken(self, spools: Spools) -> None:
        """
        What was read of a place that is gone is counted, too.
        """
        spool = spools.open(1, 2, 3)
        assert [1] == taken(spool, 1)
        shutil.rmtree(spools.folder)
        assert [] == taken(spool)
        spool.forget()

        assert (0, 2) == (spool.spooled, spool.dropped)

    def test_removed_after_a_signal(self, spools: Spools) -> None:
        """
        A record of a file that is gone before it could be counted is written anew.
        """
        spool = spools.open(0)
        spools.disk.after = raise_once()
        with pytest.raises(KeyboardInterrupt):
            spool.put(event(1))
        spools.files[0].unlink()
        assert spool._backlog
        assert [] == taken(spool._backlog)
        spool.put(event(2))

        assert 1 == spool.dropped
        assert [1, 2] == all_taken(spool)

    def test_no_file_for_it(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What cannot be opened now is taken later; nothing newer goes before it.
        """
        spool = spools.open(1)
        spools.disk.is_broken = True
        spool.put(event(2))
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refusing(errno.EMFILE))
            assert [] == taken(spool)
        assert ["write", "read"] == spools.kinds

        assert [1, 2] == all_taken(spool)

    def test_broken_sector(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What the disk cannot read is lost and counted, not waited for.
        """
        monkeypatch.setattr(spool_backlog, "_PIECE", 500)
        spool = spools.open(*range(100))
        size = spools.files[0].stat().st_size

        def read_at(fd: int, length: int, offset: int) -> bytes:
            if offset <= 1_000 < offset + length:
                raise OSError(errno.EIO, "broken")
            return os.pread(fd, length, offset)

        monkeypatch.setattr(opening, "read_at", read_at)
        found = all_taken(spool)
        spool.close()

        assert size // 500 * 0.7 < len(found) / 100 * size / 500
        assert {"read", "damaged"} == set(spools.kinds)
        assert 100 == len(found) + spool.dropped
        assert [] == spools.places

    def test_cut_short(self, spools: Spools) -> None:
        """
        A file that somebody truncated ends there.
        """
        spool = spools.open(1, 2, 3)
        os.truncate(spools.files[0], len(encoded(event(1))))
        found = all_taken(spool)
        spool.close()

        assert [1] == found
        assert 2 == spool.dropped

    def test_checkpoint(self, spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One that cannot be written costs nothing but a second delivery.
        """
        spool = spools.open(1, 2)
        taken(spool)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", refusing(errno.EIO))
            spool.forget()
        assert ["checkpoint"] == spools.kinds
        kill(spool)

        assert [1, 2] == taken(spools.adopted())

    def test_without_pwrite(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where a system has no call to write at a position, it goes there first.
        """
        monkeypatch.delattr(os, "pwrite")
        spool = spools.open(1, 2)
        taken(spool, 1)
        spool.forget()
        kill(spool)

        assert [2] == taken(spools.adopted())

    @pytest.mark.parametrize("name", ["unlink", "rmdir"])
    def test_cannot_remove(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """
        What cannot be removed is reported, and removed by whoever adopts next.
        """
        spool = spools.open(1)
        all_taken(spool)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, refusing(errno.EACCES))
            spool.close()
        assert ["remove"] == spools.kinds

        assert [] == spools.adopt()
        assert [] == spools.places

    def test_removed_by_others(self, spools: Spools) -> None:
        """
        What is gone already needs no removing.
        """
        spool = spools.open(1)
        all_taken(spool)
        shutil.rmtree(spools.folder)
        spool.close()

        assert [] == spools.kinds

    def test_foreign_file(self, spools: Spools) -> None:
        """
        What somebody put into a place stays, and the directory with it.
        """
        spool = spools.open(1)
        all_taken(spool)
        (spools.places[0] / "note.txt").touch()
        spool.close()

        assert [] == spools.adopt()
        assert [["note.txt"]] == [
            [file.name for file in each.iterdir()] for each in spools.places
        ]
        assert [] == spools.kinds


class TestAdopt:
    """What is taken over from the dead."""

    def test_oldest_first(self, spools: Spools) -> None:
        """
        Each place is adopted, the oldest first, and is removed when it is done.
        """
        spools.left(1, 2)
        spools.left(3)
        adopted = spools.adopt()

        assert [2, 1] == [each.spooled for each in adopted]
        assert [LABEL, LABEL] == [each.label for each in adopted]
        assert [[1, 2], [3]] == [all_taken(each) for each in adopted]
        assert [2, 1] == [each.accepted for each in adopted]
        assert [] == spools.places
        assert [(0, 0, 0)] * 2 == [
            (each.queued, each.spooled, each.dropped) for each in adopted
        ]

    def test_goes_on(self, spools: Spools) -> None:
        """
        What was forgotten does not come again; what was only taken does.
        """
        spool = spools.open(*range(10))
        taken(spool, 4)
        spool.forget()
        taken(spool, 3)
        kill(spool)
        adopted = spools.adopted()

        assert 6 == adopted.spooled
        assert list(range(4, 10)) == all_taken(adopted)

    def test_killed_adopter(self, spools: Spools) -> None:
        """
        An adopter that is killed is adopted from, where it was.
        """
        spools.left(*range(5))
        first = spools.adopted()
        taken(first, 2)
        first.forget()
        taken(first, 1)
        kill(first)

        assert [2, 3, 4] == all_taken(spools.adopted())

    def test_many_files(self, spools: Spools) -> None:
        """
        Going on works across files, some of them gone.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(9):
            spool.put(event(number, 50))
        taken(spool, 4)
        spool.forget()
        kill(spool)

        assert list(range(4, 9)) == all_taken(spools.adopted())

    def test_kept_file_of_done(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that could not be removed when it was done does not come again.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(3):
            spool.put(event(number, 50))
        taken(spool, 2)
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refusing(errno.EACCES))
            spool.forget()
        assert 3 == len(spools.files)
        kill(spool)

        assert [2] == all_taken(spools.adopted())
        assert [] == spools.places

    def test_not_of_the_living(self, spools: Spools) -> None:
        """
        Nobody adopts what has an owner: here, in a child, or adopted already.
        """
        spools.open(1)
        assert [] == spools.adopt()
        assert in_child(lambda: spools.adopt() == [])
        spools.left(2)
        spools.adopted()
        assert [] == spools.adopt()
        assert in_child(lambda: spools.adopt() == [])

    def test_locked(self, spools: Spools) -> None:
        """
        Whose lock somebody holds is alive.
        """
        spools.left(1)
        with held(spools.places[0] / "lock"):
            assert [] == spools.adopt()
        assert [1] == taken(spools.adopted())

    def test_no_folder(self, spools: Spools) -> None:
        """
        Where there is no spool directory there is nothing to adopt.
        """
        assert [] == spools.adopt()
        assert [] == spools.kinds

    def test_foreign_label(self, spools: Spools) -> None:
        """
        What is for others stays, and is reported once.
        """
        spools.left(1, label=OTHER)

        assert [] == spools.adopt()
        assert [] == spools.adopt()
        assert ["foreign"] == spools.kinds
        assert "it is for {'log_group_name': 'Other'}" in spools.troubles[0][1]
        assert [1] == taken(spools.adopt(OTHER)[0])

    @pytest.mark.parametrize(
        "label", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b"[" * 50_000]
    )
    def test_damaged_label(self, spools: Spools, label: bytes) -> None:
        """
        Events whose label is damaged stay, and are reported once.
        """
        spools.left(1)
        lock = spools.places[0] / "lock"
        lock.write_bytes(lock.read_bytes()[:43] + label)

        assert [] == spools.adopt()
        assert [] == spools.adopt()
        assert ["foreign"] == spools.kinds
        assert 1 == len(spools.files)

    def test_label_that_raises(self, spools: Spools) -> None:
        """
        Whatever a label makes its judge do, the place is let go of.
        """
        spools.left(1)
        with pytest.raises(ZeroDivisionError):
            adopt(str(spools.folder), lambda _: bool(1 // 0), on_trouble=spools.trouble)

        assert [1] == taken(spools.adopted())

    @pytest.mark.parametrize("position", range(43))
    def test_damaged_checkpoint(self, spools: Spools, position: int) -> None:
        """
        One that is damaged has everything come again, and loses nothing.
        """
        spool = spools.open(1, 2)
        taken(spool, 1)
        spool.forget()
        kill(spool)
        damage(spools.places[0] / "lock", position, b"7")

        assert all_taken(spools.adopted()) in ([1, 2], [2])

    def test_nothing_left(self, spools: Spools) -> None:
        """
        A place with nothing to be sent is removed, whomever it belonged to.
        """
        spool = spools.open(1, label=OTHER)
        taken(spool)
        spool.forget()
        kill(spool)

        assert [] == spools.adopt()
        assert [] == spools.places
        assert [] == spools.kinds

    @pytest.mark.parametrize("killed", ["empty", "no label", "half a label"])
    def test_headless(self, spools: Spools, killed: str) -> None:
        """
        What was left by a process killed before it put anything is removed.
        """
        spools.folder.mkdir()
        place = spools.folder / "20261123T183000.123456Z-1a2b3c4d"
        place.mkdir()
        if killed != "empty":
            (place / "lock").write_bytes(b"" if killed == "no label" else b"0000")

        assert [] == spools.adopt()
        assert [] == spools.places

    def test_segment_without_lock(self, spools: Spools) -> None:
        """
        Records that nobody can lock stay where they are.
        """
        spools.left(1)
        (spools.places[0] / "lock").unlink()

        assert [] == spools.adopt()
        assert 1 == len(spools.files)

    def test_planted(self, spools: Spools, tmp_path: Path) -> None:
        """
        Links, pipes and foreign names are neither followed, nor read, nor removed.
        """
        spools.left(1)
        target = tmp_path / "target"
        spools.places[0].rename(target)
        name = "20261123T183000.123456Z-1a2b3c4"
        (spools.folder / f"{name}0").symlink_to(target)
        (spools.folder / f"{name}1").write_text("a file")
        for number, planted in enumerate(["linked", "piped", "folder"], 2):
            (spools.folder / f"{name}{number}").mkdir()
            lock = spools.folder / f"{name}{number}" / "lock"
            if planted == "linked":
                lock.symlink_to(target / "lock")
            elif planted == "piped":
                os.mkfifo(lock)
            else:
                lock.mkdir()
        (spools.folder / "notes").mkdir()
        (spools.folder / "notes" / "lock").touch()
        before = sorted(spools.folder.rglob("*"))

        assert [] == spools.adopt()
        assert before == sorted(spools.folder.rglob("*"))
        assert ["adopt", "adopt"] == spools.kinds  # the link, the folder
        assert (target / "000001").exists()

    def test_planted_record_file(self, spools: Spools, tmp_path: Path) -> None:
        """
        Nor is a link in place of a file with records.
        """
        secret = tmp_path / "secret"
        secret.write_bytes(encoded(event(9)))
        spools.left(1)
        (spools.places[0] / "000002").symlink_to(secret)

        assert [1] == all_taken(spools.adopted())
        assert secret.exists()

    def test_made_meanwhile(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whoever finds his new place taken away by an adopter makes another.
        """
        real, times = opening.open_or_make, iter(range(3))

        def open_or_make(path: str, flags: int, mode: int) -> int:
            time_ = next(times, 3)
            if time_ == 0:  # before there is a lock file
                spools.adopt()
            fd = real(path, flags, mode)
            if time_ == 1:  # before it is locked: an adopter that is not done yet
                other.append(os.open(path, os.O_RDWR))
                fcntl.flock(other[0], fcntl.LOCK_EX)
            elif time_ == 2:  # ... and one that is
                spools.adopt()
            return fd

        other: list[int] = []
        monkeypatch.setattr(opening, "open_or_make", open_or_make)
        spool = spools.open(1)
        os.close(other[0])

        assert [1] == taken(spool)
        assert [] == spools.adopt()
        assert 1 == len(spools.places)

    def test_always_taken_away(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whoever finds all of them taken away gives up, for now.
        """
        real = opening.make_directory

        def make_directory(path: str, mode: int = 0) -> None:
            real(path, mode)
            spools.adopt()

        monkeypatch.setattr(opening, "make_directory", make_directory)
        spool = spools.open(1)

        assert (1, ["write"]) == (spool.queued, spools.kinds)

    def test_unreadable(self, spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A place that cannot be read is let go of, reported once, and tried again.
        """
        spools.left(1)
        with monkeypatch.context() as patch:
            patch.setattr(opening, "read_at", refusing(errno.EIO))
            assert [] == spools.adopt()
            assert [] == spools.adopt()
        assert ["adopt"] == spools.kinds

        assert [1] == taken(spools.adopted())

    def test_listed(self, spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        So is one whose files cannot be listed.
        """
        spools.left(1)
        real = os.scandir

        def scandir(path: str) -> Any:
            if Path(path) != spools.folder:
                raise OSError(errno.EIO, "broken")
            return real(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", scandir)
            assert [] == spools.adopt()
        assert ["adopt"] == spools.kinds

        assert [1] == taken(spools.adopted())


class TestDamaged:
    """Files that are not as we left them."""

    @pytest.mark.parametrize("to", [b"\n", b"7", b" ", b"\xff"])
    def test_any_byte(self, tmp_path: Path, to: bytes) -> None:
        """
        A damaged byte, wherever it is, costs one event at most; it is counted.
        """
        size = sum(len(encoded(event(number))) for number in range(3))
        for position in range(size):
            spools = Spools(tmp_path / str(position))
            spools.left(0, 1, 2)
            damage(spools.files[0], position, to)
            adopted = spools.adopted()
            found = all_taken(adopted)
            all_taken(adopted)

            assert len(found) >= 2
            assert sorted(set(found)) == found
            # Counted by lines: a line feed too many makes one more of them.
            assert 3 - len(found) <= adopted.dropped <= 1 + (to == b"\n")
            assert ["damaged"] * (adopted.dropped > 0) == spools.kinds
            assert [] == spools.places

    def test_torn(self, spools: Spools) -> None:
        """
        Half a record at the end is skipped, and what comes in the next file is not.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(3):
            spool.put(event(number, 50))
        kill(spool)
        for file in spools.files:
            os.truncate(file, 60)
        adopted = spools.adopted()
        assert 3 == adopted.spooled

        assert [] == all_taken(adopted)
        assert (0, 3) == (adopted.spooled, adopted.dropped)
        assert [] == spools.places

    def test_empty_files(self, spools: Spools) -> None:
        """
        Files that are empty are passed over.
        """
        spools.left(1)
        for number in (0, 2, 3):
            (spools.places[0] / f"{number:06}").touch()

        assert [1] == all_taken(spools.adopted())
        assert [] == spools.places

    @pytest.mark.parametrize(
        "garbage", [b"\0", b"7", b"12 999999999999 00000000 x", b"12 1200 00000000 x"]
    )
    def test_one_long_line(
        self, spools: Spools, monkeypatch: pytest.MonkeyPatch, garbage: bytes
    ) -> None:
        """
        Garbage without an end, longer than a piece, is skipped; it takes no memory.
        """
        monkeypatch.setattr(spool_backlog, "_PIECE", 100)
        spools.left(1)
        (file,) = spools.files
        good = file.read_bytes()
        file.write_bytes((garbage * 5_000)[:5_000] + b"\n" + good)

        assert [1] == all_taken(spools.adopted())

    def test_damaged_while_in_use(self, spools: Spools) -> None:
        """
        The owner counts what it cannot read back, when the file is behind it.
        """
        spool = spools.open(max_spool_bytes=1_600)
        for number in range(3):
            spool.put(event(number, 50))
        for file in spools.files:
            damage(file, 60, b"!")

        assert [] == all_taken(spool)
        assert (1, 2) == (spool.spooled, spool.dropped)
        spool.close()
        assert (0, 3) == (spool.spooled, spool.dropped)
        assert ["damaged"] * 3 == spools.kinds
        assert [] == spools.places

    @given(st.lists(st.tuples(st.integers(0, 2_000), st.binary(max_size=30))))
    def test_any_damage(self, tmp_path: Path, damages: list[tuple[int, bytes]]) -> None:
        """
        Whatever is written over the files, what is found is ours, and it ends.
        """
        spools = Spools(tmp_path / os.urandom(4).hex())
        spools.left(*range(40), max_spool_bytes=8_000)
        for position, to in damages:
            damage(spools.files[position % len(spools.files)], position, to)
        for adopted in spools.adopt():
            found = all_taken(adopted)
            all_taken(adopted)
            assert sorted(set(found)) == found
            assert set(found) <= set(range(40))
        assert [] == spools.places


class TestFork:
    """A child of the process that has the spool."""

    def test_child(self, spools: Spools) -> None:
        """
        A child has nothing of its parent's, and a place of its own at its first put.
        """
        spool = spools.open(1)
        thread = threading.Thread(target=spool._lock.acquire)
        thread.start()
        thread.join()

        def child() -> bool:
            spool.after_fork()
            is_clean = (0, 0) == (spool.queued, spool.spooled)
            spool.put(event(2))
            return is_clean and taken(spool) == [2]

        assert in_child(child)
        spool.after_fork()
        assert [[1], [2]] == [taken(each) for each in spools.adopt()]

    def test_without_a_place(self, spools: Spools) -> None:
        """
        One that forks before anything was put has nothing to let go of.
        """
        spool = spools.open()
        spool.after_fork()

        assert 0 == spool.spooled

    def test_lock_stays(self, spools: Spools) -> None:
        """
        What a child closes, or throws away, stays locked by its parent.
        """
        spool = spools.open(1)

        def child() -> bool:
            spool.after_fork()
            return spools.adopt() == []

        assert in_child(child)
        assert in_child(lambda: spool._backlog.place.__del__() is None)  # type: ignore[union-attr]
        assert [] == spools.adopt()
        assert in_child(lambda: spools.adopt() == [])

    def test_adopted(self, spools: Spools) -> None:
        """
        What a process adopted is its own, too.
        """
        spools.left(1)
        adopted = spools.adopted()

        def child() -> bool:
            adopted.after_fork()
            adopted.close()
            return adopted.take(at_most(1)) == []

        assert in_child(child)
        assert [1] == taken(adopted)

    def test_thrown_away(self, spools: Spools) -> None:
        """
        A spool that nobody closed leaves no descriptor, and can be adopted.
        """
        spool = spools.open(1)
        taken(spool)
        spools._opened.clear()
        del spool

        assert [1] == taken(spools.adopted())


class World:
    """
    A spool beside a plain list, through failures and deaths.

    Args:
        folder: Where the places are.
    """

    def __init__(self, folder: Path) -> None:
        self.spools = Spools(folder)
        self.spool: Spool = self.spools.open(max_spool_bytes=200_000)
        self.adopted: list[Backlog] = []
        self.number = 0
        self.waiting: list[int] = []  # what is not taken, in order
        self.hand: list[int] = []  # what is taken and not forgotten

    @property
    def queues(self) -> list[Spool | Backlog]:
        """What is to be sent, the oldest first."""
        return [*self.adopted, self.spool]

    def put(self, size: int) -> None:
        """Put one more."""
        self.spool.put(event(self.number, size))
        self.waiting.append(self.number)
        self.number += 1

    def take(self, count: int) -> None:
        """Take at most *count*, as a sender does: the adopted first."""
        taken(self.spool, 0)  # what is in memory goes to the disk if that is mended
        for queue in self.queues:
            queued = queue.queued
            found = taken(queue, count)
            if found:
                assert self.waiting[: len(found)] == found
                del self.waiting[: len(found)]
                if queued == queue.queued:  # else no disk has ever had them
                    self.hand += found
                return
        assert not count or not self.waiting

    def forget(self, _: int) -> None:
        """Have all that was taken be done."""
        for queue in self.queues:
            queue.forget()
        self.hand.clear()

    def fail(self, takes: int) -> None:
        """Have the disk take no more than a few bytes of each write."""
        self.spools.disk.is_broken, self.spools.disk.takes = True, takes % 30

    def mend(self, _: int) -> None:
        """Have the disk work again, and time pass."""
        self.spools.disk.is_broken = False
        self.spools.now += 1.0

    def die(self, _: int) -> None:
        """Be killed: what was in memory is lost, and what was in hand comes again."""
        del self.waiting[len(self.waiting) - self.spool.queued :]
        self.waiting[:0], self.hand = self.hand, []
        for queue in self.queues:
            kill(queue)
        self.adopted = self.spools.adopt()
        self.spool = self.spools.open(max_spool_bytes=200_000)
        assert len(self.waiting) == sum(each.spooled for each in self.adopted)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    *([World.put] * 4),
                    *([World.take] * 2),
                    *([World.forget] * 2),
                    *[World.fail, World.mend, World.die],
                ]
            ),
            st.integers(0, 12),
        )
    )
)
def test_against_a_list(
    tmp_path: Path, steps: list[tuple[Callable[[World, int], None], int]]
) -> None:
    """
    Through broken disks and deaths, a plain list says what is taken, and when.
    """
    world = World(tmp_path / os.urandom(4).hex())
    for step, argument in steps:
        step(world, argument)
    world.mend(0)
    world.forget(0)
    while world.waiting:
        world.take(5)
        world.forget(0)
    world.take(5)  # finds nothing more
    world.spool.close()

    assert [] == world.spools.places
