"""
The end of a chain is found in whatever the files hold.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import chain, heads
from chimera_log.audit.chain import Head
from chimera_log.audit.heads import (
    FOREIGN,
    LEGACY,
    TORN,
    End,
    Gap,
    end_of_file,
    end_of_segments,
)
from chimera_log.audit.manifest import Manifest, Manifests, Sealed
from chimera_log.files import opening
from chimera_log.files.names import segment_name
from tests.logs import FIRST, refusing

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN = "c0ffee00" * 4
OLDER = "0ddba115" * 4  # another chain
NAME = "executions.log"
BLOCK = heads._BLOCK
PLAIN = b'{"event":"a line of another program"}\n'
FRAGMENT = b'{"timestamp":"2025-10-27T08:38:0\n'


def chained(count: int, *, size: int = 0, name: str = CHAIN) -> list[bytes]:
    """Return *count* lines of a chain, each with *size* bytes of filling."""
    lines, head = [], chain.begin(name)
    for number in range(count):
        text = b'{"number":%d,"filling":"%b"}\n' % (number, b"x" * size)
        line, head = chain.linked(text, head)
        lines.append(line)
    return lines


# What is whole, of whomever, and what is not.
WHOLE = {
    PLAIN,
    b"{}\n",
    b' {"timestamp":"2025-10-27T08:38:00.000000Z","filling":"%b"}\r\n' % (b"y" * BLOCK),
}
FRAGMENTS = [
    FRAGMENT,
    b"\n",
    b"\0\0\0\0\n",
    b"\xff\xfe{}\n",
    b"null\n",
    b'"text"\n',
    b"[{}]\n",
    b"1" * 5_000 + b"\n",  # more digits than Python reads
    b"[" * 100_000 + b"\n",  # deeper than Python reads
    b"plain text\n",
    chained(1)[0][:-78] + b"\n",
]


def head_of(line: bytes) -> Head:
    """Return the head of a chain that ends with *line*."""
    link = chain.link_of(line)
    assert link is not None
    return Head(link.chain, link.seq, link.hash)


def gap_of(content: bytes, kind: str) -> Gap:
    """Return what a gap of *content* is to be."""
    return Gap(len(content), kind, hashlib.sha256(content).hexdigest())


def modelled(content: bytes) -> End:
    """Return the end of *content*, all of it looked at from its beginning."""
    lines = [line + b"\n" for line in content.split(b"\n")[:-1]]
    places = [at for at, line in enumerate(lines) if chain.link_of(line)]
    head = head_of(lines[places[-1]]) if places else None
    rest = lines[places[-1] + 1 :] if places else lines
    kind = TORN
    if any(line in WHOLE for line in rest):
        kind = FOREIGN if places else LEGACY
    return End(head, gap_of(b"".join(rest), kind) if rest else None)


@pytest.fixture
def end_of(tmp_path: Path) -> Callable[[bytes], End]:
    """Return what finds the end of a file of these bytes."""
    return lambda content: end_in(tmp_path / "active", content)


def end_in(path: Path, content: bytes) -> End:
    """Return the end of a file at *path*, which is to hold *content*."""
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return end_of_file(fd, len(content))
    finally:
        os.close(fd)


class TestEndOfFile:
    def test_empty(self, end_of: Callable[[bytes], End]) -> None:
        """
        An empty file has no end of a chain, and nothing behind it.
        """
        assert End(None, None) == end_of(b"")

    def test_one_line(self, end_of: Callable[[bytes], End]) -> None:
        """
        A single line is the first and the last.
        """
        [line] = chained(1)

        assert End(head_of(line), None) == end_of(line)

    def test_last_of_many(self, end_of: Callable[[bytes], End]) -> None:
        """
        The last of many lines, over many blocks, is the end.
        """
        lines = chained(100)

        assert End(head_of(lines[-1]), None) == end_of(b"".join(lines))

    @pytest.mark.parametrize(
        "size", [*range(BLOCK - 3, BLOCK + 4), 2 * BLOCK, 3 * BLOCK, 100_000]
    )
    def test_longer_than_a_block(
        self, end_of: Callable[[bytes], End], size: int
    ) -> None:
        """
        A line that fills a block, almost or more than, is found whole.
        """
        lines = chained(3, size=size - len(chained(1)[0]))
        assert size == len(lines[2])

        assert End(head_of(lines[2]), None) == end_of(b"".join(lines))
        assert End(head_of(lines[0]), None) == end_of(lines[0])

    def test_only_so_much(self, end_of: Callable[[bytes], End], tmp_path: Path) -> None:
        """
        What stands behind the size that is asked about is not looked at.
        """
        lines = chained(2)
        end_of(b"".join(lines))
        with (tmp_path / "active").open("rb") as file:
            found = end_of_file(file.fileno(), len(lines[0]))

        assert End(head_of(lines[0]), None) == found

    def test_reads_little(
        self, end_of: Callable[[bytes], End], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Of a large file whose last line is chained one block is read.
        """
        reads: list[int] = []
        read_at = opening.read_at

        def counting(fd: int, length: int, offset: int) -> bytes:
            reads.append(length)
            return read_at(fd, length, offset)

        monkeypatch.setattr(opening, "read_at", counting)
        end_of(b"".join(chained(200)))

        assert [BLOCK] == reads

    @pytest.mark.parametrize("fragment", FRAGMENTS)
    def test_torn(self, end_of: Callable[[bytes], End], fragment: bytes) -> None:
        """
        What is no whole line of JSON behind the chain is what a killed writer left.
        """
        line = chained(1)[0]

        assert End(head_of(line), gap_of(fragment, TORN)) == end_of(line + fragment)
        assert End(None, gap_of(fragment, TORN)) == end_of(fragment)

    @pytest.mark.parametrize("plain", sorted(WHOLE))
    def test_foreign(self, end_of: Callable[[bytes], End], plain: bytes) -> None:
        """
        A whole line behind the chain is somebody's; without a chain, from before it.
        """
        line = chained(1)[0]
        rest = FRAGMENT + plain + FRAGMENT

        assert End(head_of(line), gap_of(rest, FOREIGN)) == end_of(line + rest)
        assert End(None, gap_of(rest, LEGACY)) == end_of(rest)

    def test_megabytes_without_line_feed(self, end_of: Callable[[bytes], End]) -> None:
        """
        Megabytes without a line feed are a fragment like any other.
        """
        line, fragment = chained(1)[0], b"\0" * 3_000_000 + b"\n"

        assert End(head_of(line), gap_of(fragment, TORN)) == end_of(line + fragment)
        assert End(None, gap_of(fragment, TORN)) == end_of(fragment)

    @pytest.mark.parametrize("filling", [b"\0", b" "])
    def test_longer_than_any_line(
        self,
        end_of: Callable[[bytes], End],
        monkeypatch: pytest.MonkeyPatch,
        filling: bytes,
    ) -> None:
        """
        What is longer than any line of ours was left by no writer of ours, and only
        a part of it is in memory at a time.
        """
        limit, reads = 4 * BLOCK, list[int]()
        read_at = opening.read_at

        def counting(fd: int, length: int, offset: int) -> bytes:
            reads.append(length)
            return read_at(fd, length, offset)

        monkeypatch.setattr(chain, "MAX_LINE_BYTES", limit)
        monkeypatch.setattr(opening, "read_at", counting)
        monkeypatch.setattr(heads, "_CHUNK", BLOCK)
        lines = chained(3)
        long = filling * (20 * BLOCK) + b"\n"
        content = b"".join(lines) + long

        assert End(head_of(lines[2]), gap_of(long, FOREIGN)) == end_of(content)
        assert limit == max(reads)
        assert End(None, gap_of(long, LEGACY)) == end_of(long)


PIECES = st.one_of(
    st.builds(lambda size: chained(2, size=size)[1], st.integers(0, 3 * BLOCK)),
    st.sampled_from(sorted(WHOLE)),
    st.sampled_from(FRAGMENTS[:6]),
    st.builds(lambda size: b"\0" * size + b"\n", st.integers(0, 3 * BLOCK)),
)


@given(st.lists(PIECES, max_size=8), st.integers(1, 200))
def test_as_from_the_beginning(pieces: list[bytes], block: int) -> None:
    """
    Whatever a file holds, and however much of it is read at a time, what is found
    from its end is what is found from its beginning.
    """
    content = b"".join(pieces)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "_BLOCK", block)
        patch.setattr(heads, "_CHUNK", block)
        assert modelled(content) == end_in(Path(folder) / "active", content)


class Folder:
    """
    Segments and manifests of a trail.

    Args:
        path: Where they are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifests = Manifests(str(path / f".{NAME}.d"), NAME)

    def add(self, number: int, content: bytes, *, packed: bool = False) -> Path:
        """Add a full segment that holds *content*."""
        name = segment_name(NAME, FIRST, number) + ".gz" * packed
        path = self.path / name
        path.write_bytes(gzip.compress(content) if packed else content)
        return path

    def know(self, number: int, head: Head | None) -> Path:
        """Add the manifest of a segment with this end of a chain; return its file."""
        name = segment_name(NAME, FIRST, number)
        told = head or Head(None, 0, None)
        sealed = Sealed(
            *(1, name, number, told.chain, min(told.seq, 1), told.seq, 1, 1, "00"),
            *(told.hash, None, None, 0.0, None, 1096, None),
        )
        self.manifests.save(Manifest(sealed))
        return self.path / f".{NAME}.d" / f"{name}.manifest"

    def end(self) -> Head | None:
        """Return the end of the chain here."""
        entries = [each.name for each in self.path.iterdir() if each.is_file()]
        return end_of_segments(str(self.path), NAME, entries, self.manifests)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder."""
    return Folder(tmp_path)


class TestEndOfSegments:
    def test_nothing(self, folder: Folder) -> None:
        """
        Where nothing is there is no chain.
        """
        assert folder.end() is None

    @pytest.mark.parametrize("packed", [False, True])
    def test_newest(self, folder: Folder, *, packed: bool) -> None:
        """
        The newest segment is the one with the highest number, raw or compressed.
        """
        first, second, third = chained(3)
        folder.add(1_000_000, third, packed=packed)
        folder.add(999_999, second)
        folder.add(7, first)

        assert head_of(third) == folder.end()

    def test_by_its_manifest(self, folder: Folder) -> None:
        """
        A segment with a manifest is not read.
        """
        [line] = chained(1)
        folder.add(1, PLAIN)
        folder.know(1, head_of(line))

        assert head_of(line) == folder.end()

    def test_compressed_with_manifest(self, folder: Folder) -> None:
        """
        A manifest is of a segment in whatever form.
        """
        [line] = chained(1)
        folder.add(1, b"not even this is read", packed=False).rename(
            folder.path / f"{segment_name(NAME, FIRST, 1)}.gz"
        )
        folder.know(1, head_of(line))

        assert head_of(line) == folder.end()

    def test_gone(self, folder: Folder) -> None:
        """
        The manifest of a segment that is gone says where the chain goes on.
        """
        first, second = chained(2)
        folder.add(1, first)
        folder.know(2, head_of(second))

        assert head_of(second) == folder.end()

    def test_newer_than_its_manifests(self, folder: Folder) -> None:
        """
        A segment that has no manifest yet counts more than older ones that have.
        """
        first, second = chained(2)
        folder.know(1, head_of(first))
        folder.add(2, second)

        assert head_of(second) == folder.end()

    @pytest.mark.parametrize("packed", [False, True])
    def test_damaged_manifest(self, folder: Folder, *, packed: bool) -> None:
        """
        Where the manifest is damaged the segment itself tells.
        """
        first, second = chained(2)
        folder.add(1, second, packed=packed)
        folder.know(1, head_of(first)).write_bytes(b"{}")

        assert head_of(second) == folder.end()

    def test_both_forms(self, folder: Folder) -> None:
        """
        A segment whose raw form is still there is known by its number all the same.
        """
        [line] = chained(1)
        folder.add(1, line)
        folder.add(1, line, packed=True)

        assert head_of(line) == folder.end()

    @pytest.mark.parametrize("packed", [False, True])
    def test_from_before(self, folder: Folder, *, packed: bool) -> None:
        """
        A segment without any chained line, with a manifest or without, is passed
        over; so is the manifest of one that is gone.
        """
        [line] = chained(1)
        folder.add(1, line)
        folder.add(2, PLAIN, packed=packed)
        folder.know(2, None)
        folder.add(3, FRAGMENT, packed=packed)
        folder.know(4, None)

        assert head_of(line) == folder.end()

    def test_only_from_before(self, folder: Folder) -> None:
        """
        Segments from before the trail hold no end of a chain.
        """
        folder.add(1, PLAIN)
        folder.add(2, PLAIN + FRAGMENT, packed=True)

        assert folder.end() is None

    def test_foreign_files(self, folder: Folder) -> None:
        """
        What has no segment's name is not looked at.
        """
        [line] = chained(1)
        for name in (f"{NAME}.1", f"x{segment_name(NAME, FIRST, 1)}", "other"):
            (folder.path / name).write_bytes(line)

        assert folder.end() is None

    @pytest.mark.parametrize("packed", [False, True])
    def test_not_chained_at_its_end(self, folder: Folder, *, packed: bool) -> None:
        """
        What follows the last chained line in a full segment changes nothing.
        """
        lines = chained(2, name=OLDER)
        content = b"".join(lines) + PLAIN + FRAGMENT + b"half"
        folder.add(1, content, packed=packed)

        assert head_of(lines[-1]) == folder.end()

    @pytest.mark.parametrize("chunk", [1, 7, 100, 1_000])
    def test_compressed_chunks(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch, chunk: int
    ) -> None:
        """
        However little is unpacked at a time, lines are seen whole.
        """
        monkeypatch.setattr("chimera_log.files.compress.CHUNK", chunk)
        lines = chained(5)
        folder.add(1, b"".join(lines) + PLAIN, packed=True)

        assert head_of(lines[-1]) == folder.end()

    def test_compressed_and_longer_than_any_line(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Of a compressed file that never ends its line only a part is in memory.
        """
        monkeypatch.setattr(chain, "MAX_LINE_BYTES", 2_000)
        monkeypatch.setattr("chimera_log.files.compress.CHUNK", 1_000)
        lines = chained(2, size=300)
        content = lines[0] + b"\0" * 10_000 + lines[1]
        folder.add(1, content, packed=True)

        assert head_of(lines[1]) == folder.end()


class TestUnreadable:
    def test_refused(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A newest segment that cannot be opened is not passed over: that would give
        the chain two ends.
        """
        first, second = chained(2)
        folder.add(1, first)
        folder.add(2, second)
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))

        with pytest.raises(OSError, match="refused"):
            folder.end()

    def test_read_fails(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nor is one that cannot be read; its file is closed.
        """
        folder.add(1, chained(1)[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", refusing(errno.EIO))
            with pytest.raises(OSError, match="refused"):
                folder.end()

    @pytest.mark.parametrize("damage", ["cut", "changed", "longer"])
    def test_damaged(self, folder: Folder, damage: str) -> None:
        """
        Nor is a compressed one that is damaged.
        """
        first, second = chained(2)
        folder.add(1, first)
        path = folder.add(2, second, packed=True)
        whole = path.read_bytes()
        damaged = {
            "cut": whole[:-5],
            "changed": whole[:20] + bytes([whole[20] ^ 255]) + whole[21:],
            "longer": whole + b"more",
        }
        path.write_bytes(damaged[damage])

        with pytest.raises(OSError, match="is damaged") as caught:
            folder.end()
        assert errno.EIO == caught.value.errno
        assert str(path) == caught.value.filename

    def test_gone_and_damaged(self, folder: Folder) -> None:
        """
        Nor is one that is gone if its manifest is damaged: what it said is not known.
        """
        first, second = chained(2)
        folder.add(1, first)
        folder.know(2, head_of(second)).write_bytes(b"{}")

        with pytest.raises(OSError, match="is gone, and its manifest is damaged"):
            folder.end()

    def test_link(self, folder: Folder) -> None:
        """
        A link that somebody planted is not followed.
        """
        [line] = chained(1)
        folder.path.joinpath("elsewhere").write_bytes(line)
        planted = folder.path / segment_name(NAME, FIRST, 1)
        planted.symlink_to("elsewhere")

        with pytest.raises(OSError, match=planted.name):
            folder.end()

    def test_pipe(self, folder: Folder) -> None:
        """
        A pipe in the place of a segment makes nobody wait.
        """
        [line] = chained(1)
        folder.add(1, line)
        folder.know(2, None)
        os.mkfifo(folder.path / segment_name(NAME, FIRST, 2))

        assert head_of(line) == folder.end()

    def test_manifest(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A manifest that cannot be read may be that of the newest segment.
        """
        folder.know(1, None)
        monkeypatch.setattr("builtins.open", refusing(errno.EACCES))

        with pytest.raises(OSError, match="refused"):
            folder.end()
