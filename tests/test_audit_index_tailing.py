"""
Following a trail for its index: each chained line once, whatever becomes of its files.
"""

from __future__ import annotations

import errno
import gzip
import os
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import chain
from chimera_log.audit import tailing as module
from chimera_log.audit.reading import VanishedError, VerifyError
from chimera_log.audit.tailing import START, Tailer
from chimera_log.files import opening
from chimera_log.files.aside import Aside
from chimera_log.files.names import segment_name
from tests.logs import refusing
from tests.trails import FIRST, NAME, Chain, Made, line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.audit.tailing import Position


class Living:
    """
    A trail that goes on, by hand, and who follows it.

    Args:
        folder: Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.aside = Aside(str(folder), NAME)
        self.log = Chain()
        self.number = 0
        self.tailer = Tailer(str(self.path))
        self.position = START
        self.damage: list[str] = []

    def append(self, *lines: bytes) -> None:
        """Append *lines*, by default the next one of the chain."""
        with self.path.open("ab") as file:
            file.write(b"".join(lines or [self.log.add()]))

    def rotate(self) -> None:
        """Rename the active file, if it is there."""
        if self.path.exists():
            self.number += 1
            self.aside.remember_number(self.number, 0o640)
            self.path.rename(self.segment(self.number))

    def segment(self, number: int) -> Path:
        """Return where full file *number* is, if it is not compressed."""
        return self.folder / segment_name(NAME, FIRST, number)

    def pack(self, number: int) -> None:
        """Compress full file *number*, if it is there."""
        raw = self.segment(number)
        if raw.exists():
            packed = gzip.compress(raw.read_bytes(), 1, mtime=0)
            raw.with_name(f"{raw.name}.gz").write_bytes(packed)
            raw.unlink()

    def seal(self, number: int) -> None:
        """Give full file *number* a manifest."""
        self.folder.joinpath(self.aside.path).mkdir(exist_ok=True)
        name = f"{self.segment(number).name}.manifest"
        self.folder.joinpath(self.aside.path, name).write_bytes(b"")

    def remove(self, number: int) -> None:
        """Remove full file *number*, in whatever form."""
        raw = self.segment(number)
        raw.unlink(missing_ok=True)
        raw.with_name(f"{raw.name}.gz").unlink(missing_ok=True)

    def once(self) -> list[int]:
        """Read once; return the numbers of the records."""
        batch = self.tailer.read()
        self.position = batch.position
        self.damage += filter(None, [batch.damage])
        return [link.seq for link in map(chain.link_of, batch.lines) if link]

    def read(self) -> list[int]:
        """Read all there is, as who looks for news first; return the numbers."""
        found: list[int] = []
        while self.tailer.has_news():
            found += self.once()
        return found

    def begin_at(self, position: Position) -> None:
        """Follow it in another process."""
        self.tailer.close()
        self.tailer = Tailer(str(self.path), position)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    """A trail without a file."""
    made = Living(tmp_path)
    yield made
    made.tailer.close()


class TestFollowed:
    def test_nothing(self, living: Living) -> None:
        """
        Without a file there is nothing to read, and no news.
        """
        assert [] == living.read()
        assert START == living.position
        assert not living.tailer.has_news()

    def test_no_folder(self, tmp_path: Path) -> None:
        """
        Nor is there without a folder: a service may not have logged anything yet.
        """
        tailer = Tailer(str(tmp_path / "none" / NAME))

        assert ([], START, False, None) == tailer.read()

    def test_appended(self, living: Living) -> None:
        """
        What is appended is news, and is read once.
        """
        living.append()
        assert [1] == living.read()
        assert not living.tailer.has_news()

        living.append()
        living.append()
        assert living.tailer.has_news()
        assert [2, 3] == living.read()
        assert (living.log.head, living.path.stat().st_size) == (
            living.position[2:],
            living.position.offset,
        )

    def test_no_active_file(self, living: Living) -> None:
        """
        Without an active file, one that came and was renamed is news.
        """
        assert [] == living.read()
        for number in (1, 2):
            living.append()
            living.rotate()
            assert [number] == living.read()
            assert not living.tailer.has_news()

    def test_half_line(self, living: Living) -> None:
        """
        A line is read when its end is there.
        """
        whole = living.log.add()
        living.append(whole[:50])
        assert [] == living.read()

        living.append(whole[50:])
        assert [1] == living.read()

    def test_not_chained(self, living: Living) -> None:
        """
        What is not chained is left out, wherever it is.
        """
        living.append(line(7), living.log.add(), line(8), living.log.add(), line(9))
        assert [1, 2] == living.read()

        living.append()
        assert [3] == living.read()

    def test_rotated_meanwhile(self, living: Living) -> None:
        """
        A file that was renamed is read on under its new name.
        """
        living.append()
        assert [1] == living.read()

        living.append()
        living.rotate()
        living.append()
        assert [2, 3] == living.read()
        assert living.segment(1).name == living.position.after

    def test_packed_meanwhile(self, living: Living) -> None:
        """
        So is one that was compressed as well.
        """
        living.append()
        assert [1] == living.read()

        living.append()
        living.rotate()
        living.append()
        living.pack(1)
        assert [2, 3] == living.read()

    def test_renamed_as_it_is_read(self, living: Living) -> None:
        """
        A file that is renamed between two looks is no other file.
        """
        living.append()
        assert [1] == living.once()

        living.rotate()
        living.append()
        assert [2] == living.read()

    def test_late_line(self, living: Living) -> None:
        """
        A full file is left only when lines were written to the next one: a writer
        that could not open that may have appended to this one.
        """
        living.append()
        living.rotate()
        assert [1] == living.read()
        assert "" == living.position.after

        with living.segment(1).open("ab") as file:
            file.write(living.log.add())
        living.append()
        assert [2, 3] == living.read()

    def test_sealed(self, living: Living) -> None:
        """
        It is left as well if it has a manifest.
        """
        living.append()
        living.rotate()
        living.seal(1)
        assert [1] == living.read()
        assert living.segment(1).name == living.position.after

    def test_sealed_meanwhile(
        self, living: Living, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        If it gets one just as its end is reached, it is looked at again.
        """
        living.append()
        living.rotate()
        final = iter([False, True, True])
        monkeypatch.setattr(Tailer, "_is_final", lambda *_: next(final))
        assert [1] == living.read()

        assert living.segment(1).name == living.position.after

    def test_renamed_at_its_end(
        self, living: Living, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        An active file that is renamed just as its end is reached is read on.
        """
        living.append()
        later = Tailer._later

        def rotating(tailer: Tailer) -> list[str]:
            monkeypatch.setattr(Tailer, "_later", rotating_at_last)
            return later(tailer)

        def rotating_at_last(tailer: Tailer) -> list[str]:
            monkeypatch.setattr(Tailer, "_later", later)
            living.append()
            living.rotate()
            living.append()
            return later(tailer)

        monkeypatch.setattr(Tailer, "_later", rotating)
        assert [1, 2, 3] == living.read()

    def test_vanishes(self, living: Living, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A full file that is removed just as it is to be opened is done without.
        """
        living.append()
        living.rotate()
        living.append()

        def vanish(path: str) -> None:
            living.remove(1)
            raise VanishedError(path)

        monkeypatch.setattr(module, "open_segment", vanish)
        assert [2] == living.read()


class TestOtherFile:
    def test_cut(self, living: Living) -> None:
        """
        A file that was emptied, and written anew, is read from its beginning.
        """
        living.append(*living.log.many(3))
        assert [1, 2, 3] == living.read()

        living.path.write_bytes(b"")
        living.append()
        assert [4] == living.read()

    def test_another_in_its_place(self, living: Living) -> None:
        """
        So is another one, even if it is longer.
        """
        living.append(*living.log.many(3))
        assert [1, 2, 3] == living.read()

        living.path.write_bytes(b"".join(living.log.many(5)))
        assert [4, 5, 6, 7, 8] == living.read()

    def test_numbers_begin_anew(self, living: Living) -> None:
        """
        If all files but the active one were taken away, and the last number with
        them, the next full files have numbers that others had before.
        """
        for _ in range(3):
            living.append()
            living.rotate()
        living.append()
        assert [1, 2, 3, 4] == living.read()

        for number in range(1, 4):
            living.remove(number)
        Path(living.aside.path, "number").unlink()
        living.number = 0
        living.append()
        living.rotate()
        living.append()
        assert [5, 6] == living.read()[-2:]


class TestDamaged:
    def test_cut_off(self, living: Living) -> None:
        """
        What cannot be unpacked is read as far as it can be, told, and left.
        """
        living.append(*living.log.many(2))
        living.rotate()
        living.append()
        living.pack(1)
        packed = living.segment(1).with_name(f"{living.segment(1).name}.gz")
        packed.write_bytes(packed.read_bytes()[:-4])

        assert [1, 2, 3] == living.read()
        assert [f"{packed.name}: cannot be read any further (cut off)"] == living.damage

    def test_no_regular_file(self, living: Living) -> None:
        """
        A FIFO in the active file's place is refused, not waited for.
        """
        os.mkfifo(living.path)

        with pytest.raises(VerifyError, match="no regular file"):
            living.once()

    def test_cannot_be_read(
        self, living: Living, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What cannot be read now is read later; nothing is left out.
        """
        living.append()
        with monkeypatch.context() as patch:
            patch.setattr(opening, "read_at", refusing(errno.EIO))
            with pytest.raises(OSError, match="refused"):
                living.once()

        assert [1] == living.read()


class TestLarge:
    def test_packed(self, living: Living) -> None:
        """
        What was read of a large compressed file is passed by a part at a time.
        """
        lines = [living.log.add(line(n, filler="x" * 100_000)) for n in range(30)]
        living.append(*lines[:20])
        assert 20 == len(living.read())

        living.append(*lines[20:])
        living.rotate()
        living.pack(1)

        assert [[], []] == [living.once(), living.once()]
        assert [*range(21, 31)] == living.read()

    def test_memory(self, living: Living) -> None:
        """
        What is too long to be a line takes no memory, and hides no other.
        """
        with living.path.open("wb") as file:
            file.writelines(b"x" * 1024 * 1024 for _ in range(40))
        living.append(b"\n", living.log.add())
        tracemalloc.start()
        try:
            assert [1] == living.read()
            assert tracemalloc.get_traced_memory()[1] < 60_000_000
        finally:
            tracemalloc.stop()


ACTS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 5)),
    st.tuples(st.just("foreign"), st.just(0)),
    st.tuples(st.just("rotate"), st.just(0)),
    st.tuples(st.just("pack"), st.integers(1, 6)),
    st.tuples(st.just("seal"), st.integers(1, 6)),
    st.tuples(st.just("remove"), st.integers(1, 6)),
    st.tuples(st.just("drop"), st.just(0)),
    st.tuples(st.just("once"), st.just(0)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("begin again"), st.just(0)),
)


class TestAnyOrder:
    @given(st.lists(ACTS, max_size=30))
    def test_each_line_once(
        self, tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
    ) -> None:
        """
        Whatever is appended, renamed, compressed and removed between two reads, in
        this process and the next: each line that was not removed before is read, in
        order, and none twice.
        """
        living = Living(tmp_path_factory.mktemp("trail"))
        gone: set[int] = set()  # removed before they were read, or after
        within: dict[int, list[int]] = {0: []}  # 0: in the active file
        found: list[int] = []
        for act, amount in acts:
            if act == "append":
                within[0] += range(living.log.next, living.log.next + amount)
                living.append(*living.log.many(amount))
            elif act == "foreign":
                living.append(line(7))
            elif act == "rotate":
                living.rotate()
                within[living.number] = within.pop(0) + within.get(living.number, [])
                within[0] = []
            elif act in {"pack", "seal"} and amount <= living.number:
                getattr(living, act)(amount)
            elif act == "remove":
                living.remove(amount)
                gone.update(within.get(amount, []))
            elif act == "drop":
                living.path.unlink(missing_ok=True)
                gone.update(within[0])
                within[0] = []
            elif act == "once":
                found += living.once()
            elif act == "read":
                found += living.read()
            else:
                living.begin_at(living.position)
        found += living.read()
        living.tailer.close()

        assert all(before < after for before, after in pairwise(found))
        assert set(range(1, living.log.next)) - gone <= set(found)


def test_made_by_hand(tmp_path: Path) -> None:
    """
    The lines are those of the files, byte for byte.
    """
    log = Chain()
    files = [log.many(3), log.many(2), log.many(1)]
    made = Made(tmp_path, files, is_packed=True)
    tailer = Tailer(str(made.path))
    found: list[bytes] = []
    while tailer.has_news():
        found += tailer.read().lines

    assert [each for lines in files for each in lines] == found
