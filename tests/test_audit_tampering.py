"""
Fifteen ways to tamper with a trail: each is detected, and the first bad record named.
"""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chimera_log.audit import chain
from chimera_log.audit.verify import NOT_ANCHORED, OK, TAMPERED
from tests.trails import Chain, Made, line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Files = list[list[bytes] | None]

SIZES = (7, 5, 9, 6)  # records of three segments and of the active file
ACTIVE = len(SIZES) - 1
LAST = sum(SIZES)
FEW, MANY = 30, 1_000  # tries of each


class Bad(NamedTuple):
    """What is expected to be named: file, from 0, line and record, and the kind."""

    file: int
    line: int | None
    seq: int | None
    kind: str


class Trail:
    """The lines of a trail's files, to be changed; ``None``: the file is gone."""

    def __init__(self) -> None:
        made = Chain()
        self.files: Files = [made.many(size) for size in SIZES]
        self.heads = made.heads
        self.is_sealed = True

    def lines(self, file: int) -> list[bytes]:
        """Return the lines of *file*, from 0."""
        found = self.files[file]
        assert found is not None
        return found

    def place(self, seq: int) -> tuple[int, int]:
        """Return where record *seq* is: file and index, from 0."""
        file = 0
        while seq > len(self.lines(file)):
            seq -= len(self.lines(file))
            file += 1
        return file, seq - 1

    def first(self, file: int) -> int:
        """Return the number of the first record of *file*."""
        return sum(SIZES[:file]) + 1


def is_known(text: bytes) -> bool:
    """Whether *text* is chained, by the looks of it, or at least a JSON object."""
    if chain.link_of(text) is not None:
        return True
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def bit_flip(trail: Trail, chance: Random) -> Bad:
    """Flip one bit, of whatever byte."""
    seq = chance.randint(1, LAST)
    file, index = trail.place(seq)
    lines = trail.lines(file)
    flipped = bytearray(lines[index])
    at = chance.randrange(len(flipped))
    flipped[at] ^= 1 << chance.randrange(8)
    lines[index] = bytes(flipped)
    is_last = index + 1 == len(lines)
    kind = "edited"
    if at == len(flipped) - 1:
        kind = "truncated" if is_last else "edited"
    elif flipped[at] == ord("\n") or not is_known(bytes(flipped)):
        kind = "not JSON"
    return Bad(file, index + 1, seq, kind)


def field_edit(trail: Trail, chance: Random) -> Bad:
    """Change a value."""
    seq = chance.randint(1, LAST)
    file, index = trail.place(seq)
    lines = trail.lines(file)
    old = b'"number":%d' % seq
    assert old in lines[index]
    lines[index] = lines[index].replace(old, b'"number":%d' % chance.randint(100, 999))
    return Bad(file, index + 1, seq, "edited")


def delete(trail: Trail, chance: Random) -> Bad:
    """Remove a record that others follow."""
    seq = chance.randint(1, LAST - 1)
    file, index = trail.place(seq)
    del trail.lines(file)[index]
    if index == len(trail.lines(file)):  # the last one of a segment
        if trail.is_sealed:
            return Bad(file, index + 1, seq, "truncated")
        file, index = file + 1, 0
    # Before the active file, a whole segment may have been.
    kind = "segment missing" if (file, index) == (ACTIVE, 0) else "missing"
    return Bad(file, index + 1, seq, kind)


def duplicate(trail: Trail, chance: Random) -> Bad:
    """Insert a record again, anywhere."""
    seq = chance.randint(1, LAST)
    file, index = trail.place(seq)
    copy = trail.lines(file)[index]
    file = chance.randrange(len(SIZES))
    index = chance.randint(0, SIZES[file])
    before = trail.first(file) + index - 1
    trail.lines(file).insert(index, copy)
    # Just before the genuine one, it is that which comes again; but a manifest knows
    # where its segment ended.
    if before == seq - 1:
        if index < SIZES[file]:
            index += 1
        elif not trail.is_sealed:
            file, index = file + 1, 0
    return Bad(file, index + 1, seq, "inserted")


def swap(trail: Trail, chance: Random) -> Bad:
    """Swap two records."""
    one, other = sorted(chance.sample(range(1, LAST + 1), 2))
    (file, index), (other_file, other_index) = trail.place(one), trail.place(other)
    lines, others = trail.lines(file), trail.lines(other_file)
    lines[index], others[other_index] = others[other_index], lines[index]
    return Bad(file, index + 1, one, "reordered")


def swap_segments(trail: Trail, chance: Random) -> Bad:
    """Swap the content of two segments."""
    one, other = sorted(chance.sample(range(ACTIVE), 2))
    files = trail.files
    files[one], files[other] = files[other], files[one]
    return Bad(one, 1, trail.first(one), "reordered")


def delete_segment(trail: Trail, chance: Random) -> Bad:
    """Remove a segment."""
    file = chance.randrange(ACTIVE)
    trail.files[file] = None
    if trail.is_sealed:
        return Bad(file, None, trail.first(file), "segment missing")
    kind = "segment missing" if file else "missing"
    return Bad(file + 1, 1, trail.first(file), kind)


def forged_insert(trail: Trail, chance: Random) -> Bad:
    """Insert a record that is linked to the one before and has the right hash."""
    seq = chance.randint(1, LAST - 2)
    file, index = trail.place(seq)
    forged, _ = chain.linked(line(seq, forged=True), trail.heads[seq])
    trail.lines(file).insert(index + 1, forged)
    return Bad(file, index + 2, seq + 1, "inserted")


def crlf(trail: Trail, chance: Random) -> Bad:
    """Have one line, or all lines of a file, end as those of Windows do."""
    file = chance.randrange(len(SIZES))
    lines = trail.lines(file)
    index = chance.randrange(len(lines))
    if chance.random() < 0.5:
        lines[index] = lines[index][:-1] + b"\r\n"
    else:
        index = 0
        lines[:] = [each[:-1] + b"\r\n" for each in lines]
    return Bad(file, index + 1, trail.first(file) + index, "edited")


def white_space(trail: Trail, chance: Random) -> Bad:
    """Add white space where JSON allows it."""
    seq = chance.randint(1, LAST)
    file, index = trail.place(seq)
    text = trail.lines(file)[index][:-1]
    before_names = [at.start() for at in re.finditer(b'(?<=[{,])"', text)]
    at = chance.choice([0, len(text) - 1, len(text), *before_names])
    space = chance.choice([b" ", b"\t", b"  ", b"\r"])
    trail.lines(file)[index] = text[:at] + space + text[at:] + b"\n"
    return Bad(file, index + 1, seq, "edited")


def cut_head(trail: Trail, chance: Random) -> Bad:
    """Remove the first records."""
    del trail.lines(0)[: chance.randint(1, SIZES[0] - 1)]
    return Bad(0, 1, 1, "missing")


def cut_inside_a_line(trail: Trail, chance: Random) -> Bad:
    """Cut off the end of a file, within a line."""
    seq = chance.randint(1, LAST)
    file, index = trail.place(seq)
    lines = trail.lines(file)
    lines[index:] = [lines[index][: chance.randint(1, len(lines[index]) - 1)]]
    return Bad(file, index + 1, seq, "truncated")


def cut_tail(trail: Trail, chance: Random) -> Bad:
    """Cut off the last records."""
    left = chance.randrange(SIZES[ACTIVE])
    del trail.lines(ACTIVE)[left:]
    return Bad(ACTIVE, left + 1, trail.first(ACTIVE) + left, "truncated")


def drop_last_file(trail: Trail, _: Random) -> Bad:
    """Remove the active file."""
    trail.files[ACTIVE] = None
    return Bad(ACTIVE - 1, SIZES[ACTIVE - 1] + 1, trail.first(ACTIVE), "truncated")


def recompute(trail: Trail, chance: Random) -> Bad:
    """Change a record, and write all that follow anew."""
    made, changed = Chain(), chance.randint(1, LAST)
    trail.files = [
        [
            made.add(
                line(made.next, status="included") if made.next == changed else None
            )
            for _ in range(size)
        ]
        for size in SIZES
    ]
    return Bad(ACTIVE, SIZES[ACTIVE], LAST, "rewritten")


INSIDE = [
    *(bit_flip, field_edit, delete, duplicate, swap, swap_segments, delete_segment),
    *(forged_insert, crlf, white_space, cut_head, cut_inside_a_line),
]
# What nobody can see who was not told where the trail ended.
AT_THE_END = [cut_tail, drop_last_file, recompute]


class Bench:
    """A whole trail on the disk, of which a change writes no more than it has to."""

    def __init__(self, folder: Path, form: str) -> None:
        self.is_sealed = form != "bare"
        whole = Trail()
        self.head = whole.heads[-1]
        self.files = self._changed = whole.files
        self._sealed = whole.files[:ACTIVE]
        self.made = Made(
            folder,
            [whole.lines(file) for file in range(len(SIZES))],
            is_packed=form == "gz",
            is_sealed=self.is_sealed,
        )

    def change(self, tamper: Callable[[Trail, Random], Bad], chance: Random) -> Bad:
        """Change the trail; return what has to be named."""
        trail = Trail()
        trail.is_sealed = self.is_sealed
        bad = tamper(trail, chance)
        self._write(trail.files, self.files)
        if tamper is recompute:
            self._seal(trail.files)
        self._changed = trail.files
        return bad._replace(file=self.made.names[bad.file])  # type: ignore[arg-type]

    def restore(self) -> None:
        """Undo the change."""
        self._write(self.files, self._changed)
        self._seal(self.files)

    def _write(self, files: Files, before: Files) -> None:
        for file, lines in enumerate(files):
            if lines is None:
                self.made.place(file).unlink()
            elif lines != before[file]:
                self.made.write(file, b"".join(lines))

    def _seal(self, files: Files) -> None:
        if self.is_sealed and files[:ACTIVE] != self._sealed:
            self.made.sealed.clear()
            for file, lines in enumerate(files[:ACTIVE]):
                self.made.seal(file, lines or [])
            self._sealed = files[:ACTIVE]


def try_often(
    folder: Path, tamper: Callable[[Trail, Random], Bad], form: str, times: int
) -> None:
    """Tamper in one way, again and again, and see that it is found each time."""
    bench = Bench(folder, form)
    for number in range(times):
        chance = Random(f"{tamper.__name__} {form} {number}")  # noqa: S311  repeatable
        expected = bench.change(tamper, chance)
        anchored, alone = bench.made.verify(bench.head), bench.made.verify()
        bench.restore()

        assert (TAMPERED, expected) == (anchored.code, anchored.bad[:4]), number
        if tamper in AT_THE_END:
            assert (NOT_ANCHORED, None) == (alone.code, alone.bad), number
            assert alone.reason.startswith("tail not anchored"), number
        else:
            assert anchored.bad == alone.bad, number


ways = pytest.mark.parametrize(
    "tamper", [*INSIDE, *AT_THE_END], ids=lambda tamper: tamper.__name__
)
forms = pytest.mark.parametrize("form", ["raw", "gz", "bare"])


@ways
@forms
def test_found(
    tmp_path: Path, tamper: Callable[[Trail, Random], Bad], form: str
) -> None:
    """
    It is found, and named exactly, whoever saw the end; or said that nobody did.
    """
    try_often(tmp_path, tamper, form, FEW)


@pytest.mark.long
@ways
@forms
def test_always_found(
    tmp_path: Path, tamper: Callable[[Trail, Random], Bad], form: str
) -> None:
    """
    So it is a thousand times.
    """
    try_often(tmp_path, tamper, form, MANY)


@pytest.mark.parametrize("form", ["raw", "gz", "bare"])
def test_untouched(tmp_path: Path, form: str) -> None:
    """
    Nothing is found where nothing was changed.
    """
    bench = Bench(tmp_path, form)

    report = bench.made.verify(bench.head)

    assert (OK, LAST, None) == (report.code, report.records, report.bad)
