"""
The files of a trail, as they are at one moment, while it goes on.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import os
import time
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import chain
from chimera_log.audit import reading as module
from chimera_log.audit.reading import (
    Block,
    Files,
    VerifyError,
    split,
    trail_in,
)
from chimera_log.audit.verify import OK, verify
from chimera_log.files.names import segment_name
from tests.logs import held, refusing
from tests.trails import FIRST, NAME, Chain, Made, checkpoint, line, pruned, witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENOUGH = 80_000_000  # bytes of memory, whatever is read


@pytest.fixture
def log() -> Chain:
    """A chain."""
    return Chain()


def once(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have *act* done as the first file is read, after all have been listed."""
    blocks = Files.blocks
    to_do: list[Callable[[], object]] = [act, lambda: None]

    def acting(files: Files, name: str) -> Iterator[Block]:
        # The first time is only to learn which chain it is.
        if name != files.name and to_do:
            to_do.pop()()
        return blocks(files, name)

    monkeypatch.setattr(Files, "blocks", acting)


class TestLiving:
    def test_goes_on(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What is written later is not read, half a line least of all.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])
        head = log.head

        def write() -> None:
            with made.path.open("ab") as file:
                file.write(log.add() + b"half")

        once(monkeypatch, write)
        report = made.verify(head)

        assert (OK, 4) == (report.code, report.records)

    def test_rotated(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The active file is read under whatever name it has by then.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])
        head = log.head

        def rotate() -> None:
            made.path.rename(tmp_path / segment_name(NAME, FIRST, 2))
            made.path.write_bytes(log.add())

        once(monkeypatch, rotate)
        report = made.verify(head)

        assert (OK, 4) == (report.code, report.records)

    def test_compressed(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A segment is read in the form that it has by then.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])

        def compress() -> None:
            content = made.place(0).read_bytes()
            made.place(0).unlink()
            made.is_packed = True
            made.write(0, content)

        once(monkeypatch, compress)

        assert OK == made.verify(log.head).code

    def test_pruned(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        If one goes, all is looked at again: by now the trail says that it was pruned.
        """
        first, second = log.many(2), log.many(2)
        made = Made(tmp_path, [first, second], is_sealed=True)
        said = log.add(pruned(5, made.sealed[0]))

        def prune() -> None:
            made.write(1, b"".join([*second, said]))
            made.prune(0)

        once(monkeypatch, prune)
        report = made.verify(log.head)

        assert (OK, 1, 3) == (report.code, report.pruned, report.records)

    def test_manifest_vanishes(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        So it is if a manifest goes of which there was no segment any more.
        """
        files = [log.many(1), log.many(1), log.many(1), log.many(1)]
        made = Made(tmp_path, files, is_sealed=True)
        made.place(1).unlink()
        once(monkeypatch, made.manifest(1).unlink)

        report = made.verify(log.head)

        assert (made.names[2], 1, 2, "segment missing") == report.bad[:4]

    def test_vanishing(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where files keep vanishing, nothing is said about the trail.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])
        listed = Files._list

        def listing(files: Files) -> None:
            listed(files)
            files.segments.append(segment_name(NAME, FIRST, 2))

        monkeypatch.setattr(Files, "_list", listing)

        with pytest.raises(VerifyError, match="vanish while they are read"):
            made.verify(log.head)

    def test_checkpoint_comes(self, tmp_path: Path, log: Chain) -> None:
        """
        What a witness saw last is not beyond the end that is found afterwards.
        """
        made = Made(tmp_path, [log.many(2)])

        class Late(io.BytesIO):
            def read(self, _: int | None = -1) -> bytes:
                if self.seek(0, io.SEEK_CUR):
                    return b""
                self.seek(1)
                with made.path.open("ab") as file:
                    file.write(log.add())
                return checkpoint(log.head)

        report = made.verify(anchors=[Late()])

        assert (OK, 3) == (report.code, report.anchored_seq)


class TestLock:
    @pytest.fixture(autouse=True)
    def _no_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        monkeypatch.setattr(time, "sleep", self.pauses.append)

    def test_free(self, tmp_path: Path, log: Chain) -> None:
        """
        The active file is free again before it is read.
        """
        made = Made(tmp_path, [log.many(2)])

        with Files(str(made.path)), made.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert [] == self.pauses

    def test_held(self, tmp_path: Path, log: Chain) -> None:
        """
        A writer that holds it for ever does not make us wait for ever.
        """
        made = Made(tmp_path, [log.many(2)])

        with held(made.path):
            assert OK == made.verify(log.head).code
        assert 0 < sum(self.pauses) < 1

    def test_released(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        While it is held, a writer may write: the end is where it is afterwards.
        """
        made = Made(tmp_path, [log.many(2)])
        text = log.add()
        with made.path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text[:10])

            def release(_: float) -> None:
                file.write(text[10:])
                fcntl.flock(file, fcntl.LOCK_UN)
                monkeypatch.setattr(time, "sleep", self.pauses.append)

            monkeypatch.setattr(time, "sleep", release)
            report = made.verify(anchors=[witness(log.head)])

        assert (OK, 3) == (report.code, report.records)

    @pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
    def test_none(
        self,
        tmp_path: Path,
        log: Chain,
        monkeypatch: pytest.MonkeyPatch,
        code: int,
    ) -> None:
        """
        Where there are no locks, the trail is read without.
        """
        made = Made(tmp_path, [log.many(2)])
        monkeypatch.setattr(fcntl, "flock", refusing(code))

        assert OK == made.verify(log.head).code
        assert [] == self.pauses

    def test_rotated_meanwhile(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        If it was renamed before it was locked, it is the new one that is active.
        """
        made = Made(tmp_path, [log.many(2)])
        locked = module._lock

        def rotate(fd: int) -> bool:
            monkeypatch.setattr(module, "_lock", locked)
            made.path.rename(tmp_path / segment_name(NAME, FIRST, 1))
            made.path.write_bytes(log.add())
            return locked(fd)

        monkeypatch.setattr(module, "_lock", rotate)
        with Files(str(made.path)) as files:
            assert [segment_name(NAME, FIRST, 1), NAME] == files.names
            blocks = list(files.blocks(NAME))

        assert [made.path.read_bytes()] == [each.data for each in blocks]

    def test_removed_meanwhile(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        If it was removed before it was locked, there is none.
        """
        made = Made(tmp_path, [log.many(2), []])
        locked = module._lock

        def remove(fd: int) -> bool:
            made.path.unlink(missing_ok=True)
            return locked(fd)

        monkeypatch.setattr(module, "_lock", remove)
        with Files(str(made.path)) as files:
            assert [segment_name(NAME, FIRST, 1)] == files.names


class TestPlace:
    def test_pipe(self, tmp_path: Path) -> None:
        """
        A named pipe is no trail, and nobody waits for its other end.
        """
        os.mkfifo(tmp_path / NAME)

        with pytest.raises(VerifyError, match="no regular file"):
            verify(tmp_path / NAME)

    def test_link(self, tmp_path: Path, log: Chain) -> None:
        """
        A link in the active file's place is not followed.
        """
        made = Made(tmp_path, [log.many(2)])
        (tmp_path / "link.log").symlink_to(made.path)

        with pytest.raises(OSError, match=r"link\.log"):
            verify(tmp_path / "link.log")

    def test_segment_becomes_a_pipe(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nor does a pipe that takes a segment's place make anybody wait.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])

        def replace() -> None:
            made.place(0).unlink()
            os.mkfifo(made.place(0))

        once(monkeypatch, replace)
        report = made.verify(log.head)

        assert (NAME, 1, 1, "missing") == report.bad[:4]
        assert (made.names[0],) == report.left_alone

    def test_same_number(self, tmp_path: Path, log: Chain) -> None:
        """
        A copy under another time is a file more.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])
        copy = segment_name(NAME, FIRST + 1, 1)
        (tmp_path / copy).write_bytes(made.place(0).read_bytes())

        report = made.verify(log.head)

        assert (copy, 1, 1, "inserted") == report.bad[:4]


class TestPacked:
    def test_cut(self, tmp_path: Path, log: Chain) -> None:
        """
        A compressed segment that is cut is read as far as it goes.
        """
        made = Made(tmp_path, [log.many(200), log.many(2)], is_packed=True)
        content = made.place(0).read_bytes()
        made.place(0).write_bytes(content[:-100])

        report = made.verify(log.head)

        assert (made.names[0], report.records + 1, report.records + 1) == report.bad[:3]
        assert "truncated" == report.bad.kind
        assert 0 < report.records < 200

    @pytest.mark.parametrize("at", [-5, -1])
    def test_damaged(self, tmp_path: Path, log: Chain, at: int) -> None:
        """
        One whose checksum or length is wrong was edited, though its lines are whole.
        """
        made = Made(tmp_path, [log.many(3), log.many(2)], is_packed=True)
        content = bytearray(made.place(0).read_bytes())
        content[at] ^= 1
        made.place(0).write_bytes(content)

        report = made.verify(log.head)

        assert (made.names[0], 4, 4, "edited") == report.bad[:4]

    def test_something_follows(self, tmp_path: Path, log: Chain) -> None:
        """
        Nothing may follow what is compressed.
        """
        made = Made(tmp_path, [log.many(3), log.many(2)], is_packed=True)
        content = made.place(0).read_bytes()
        made.place(0).write_bytes(content + gzip.compress(line(9)))

        report = made.verify(log.head)

        assert (made.names[0], 4, 4, "edited") == report.bad[:4]

    def test_in_a_long_line(self, tmp_path: Path, log: Chain) -> None:
        """
        Within a line that is too long to be one, it is that line.
        """
        first = log.add()
        made = Made(tmp_path, [[first], log.many(2)], is_packed=True)
        content = gzip.compress(first + b"x" * 20_000_000, 1)
        made.place(0).write_bytes(content[:-9])

        report = made.verify(log.head)

        assert (made.names[0], 2, "truncated") == report.bad[:2] + report.bad[3:4]


class TestMemory:
    @pytest.mark.parametrize("is_packed", [False, True], ids=["raw", "gz"])
    def test_no_line_ends(self, tmp_path: Path, log: Chain, is_packed: bool) -> None:
        """
        A file without an end of line is read in little memory, however long it is.
        """
        made = Made(tmp_path, [log.many(2), log.many(2)])
        content = made.place(0).read_bytes() + b"\0" * 100_000_000
        made.is_packed = is_packed
        made.write(0, content)
        if is_packed:
            made.place(0).with_suffix("").unlink()
        del content
        tracemalloc.start()
        try:
            report = made.verify(log.head)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert (made.names[0], 3, 3, "truncated") == report.bad[:4]
        assert peak < ENOUGH

    def test_many_values(self, tmp_path: Path, log: Chain) -> None:
        """
        A line of many small values is not unpacked into many objects.
        """
        hostile = b'{"x":[' + b"{}," * 5_000_000 + b"{}]}\n"
        made = Made(tmp_path, [[*log.many(2), hostile]])
        del hostile
        tracemalloc.start()
        try:
            report = made.verify(log.head)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert (NAME, 3, None, "inserted") == report.bad[:4]
        assert peak < 2 * ENOUGH


@given(st.data())
def test_split(data: st.DataObject) -> None:
    """
    However a file is read, its lines are the same, and too long ones are set apart.
    """
    lines = data.draw(
        st.lists(st.integers(0, 30).map(lambda size: b"x" * size + b"\n"))
    )
    content = b"".join(lines) + b"x" * data.draw(st.integers(0, 30))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)))))
    size = data.draw(st.integers(1, 10))
    steps = sorted({0, *cuts, *range(0, len(content), size), len(content)})
    chunks = [content[a:b] for a, b in pairwise(steps)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "MAX_LINE_BYTES", 15)
        blocks = list(split(chunks))

    assert content == b"".join(each.data for each in blocks)
    whole = b"".join(each.data for each in blocks if each.is_whole)
    assert [each for each in lines if len(each) <= 15] == whole.splitlines(True)
    assert all(each.data.endswith(b"\n") for each in blocks if each.is_whole)


class TestTrailIn:
    def test_active_file(self, tmp_path: Path, log: Chain) -> None:
        """
        A trail is known by its first line.
        """
        Made(tmp_path, [log.many(2)])
        (tmp_path / "chimera.log").write_bytes(line(1))
        (tmp_path / "empty.log").write_bytes(b"")
        (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b")
        (tmp_path / ".chimera.log.d").mkdir()
        (tmp_path / "folder").mkdir()

        assert str(tmp_path / NAME) == trail_in(str(tmp_path))

    @pytest.mark.parametrize("is_packed", [False, True], ids=["raw", "gz"])
    def test_segments(self, tmp_path: Path, log: Chain, is_packed: bool) -> None:
        """
        So it is where only full files are left.
        """
        Made(tmp_path, [log.many(2), []], is_packed=is_packed)

        assert str(tmp_path / NAME) == trail_in(str(tmp_path))

    def test_manifests(self, tmp_path: Path, log: Chain) -> None:
        """
        Or only what is known of them.
        """
        made = Made(tmp_path, [log.many(2), []], is_sealed=True)
        made.place(0).unlink()

        assert str(tmp_path / NAME) == trail_in(str(tmp_path))

    def test_none(self, tmp_path: Path) -> None:
        """
        Without one, it has to be named.
        """
        (tmp_path / "chimera.log").write_bytes(line(1))

        with pytest.raises(VerifyError, match="there is no trail in it"):
            trail_in(str(tmp_path))

    def test_two(self, tmp_path: Path, log: Chain) -> None:
        """
        With two, one of them has to be named.
        """
        Made(tmp_path, [log.many(2)])
        (tmp_path / "orders.log").write_bytes(Chain(name="ab" * 16).add())

        with pytest.raises(VerifyError, match=r"executions\.log, orders\.log"):
            trail_in(str(tmp_path))

    def test_unreadable(
        self, tmp_path: Path, log: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What cannot be read is passed over.
        """
        made = Made(tmp_path, [log.many(2)])
        (tmp_path / "secret.log").write_bytes(b"")
        opened = os.open

        def refused(path: Any, *more: Any) -> int:
            if str(path).endswith("secret.log"):
                raise PermissionError
            return opened(path, *more)

        monkeypatch.setattr(os, "open", refused)

        assert str(made.path) == trail_in(str(tmp_path))
