"""
Whether a trail is whole, and who can bear witness: what `verify` says of it.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from chimera_log.audit import chain
from chimera_log.audit.chain import Key
from chimera_log.audit.reading import VerifyError
from chimera_log.audit.verify import NOT_ANCHORED, OK, TAMPERED, verify
from tests.trails import (
    CHAIN,
    FIRST,
    NAME,
    Chain,
    Made,
    line,
    own,
    recovered,
    time_of,
    witness,
)

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(b"k" * 32)
OTHER = Key(b"o" * 32)
HALF = b'{"timestamp":"2025-10-27T08:3'
OLD = b'{"timestamp":"2025-10-27T08:00:00.000000Z","event":"old"}\n'


def named(made: Made, number: int, *more: object) -> tuple[object, ...]:
    """Return what is expected of a `Bad` in file *number*, from 0."""
    return (made.names[number], *more)


class TestWhole:
    @pytest.mark.parametrize("is_packed", [False, True], ids=["raw", "gz"])
    @pytest.mark.parametrize("is_sealed", [False, True], ids=["bare", "sealed"])
    def test_report(self, tmp_path: Path, is_packed: bool, is_sealed: bool) -> None:
        """
        A whole trail that a witness saw to its end is ok, and described.
        """
        log = Chain()
        files = [log.many(3), log.many(2), log.many(4)]
        made = Made(tmp_path, files, is_packed=is_packed, is_sealed=is_sealed)

        report = made.verify(log.head)

        assert {
            "code": OK,
            "status": "ok",
            "reason": None,
            "bad": None,
            "path": str(made.path),
            "head": log.head,
            "records": 9,
            "segments": 2,
            "first_seq": 1,
            "first_time": "2025-10-27T08:38:00.000000Z",
            "last_time": "2025-10-27T08:38:08.000000Z",
            "anchored_seq": 9,
            "is_weak": False,
            "tail": 0,
            "tail_time": None,
            "pruned": 0,
            "recovered": 0,
            "legacy_lines": 0,
            "legacy_files": 0,
            "left_alone": (),
            "notes": (),
        } == report._asdict()

    def test_active_file_is_empty(self, tmp_path: Path) -> None:
        """
        Nothing was written since the last rotation: that is whole, too.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3), []])

        assert OK == made.verify(log.head).code

    def test_two_forms(self, tmp_path: Path) -> None:
        """
        While a segment stands there twice it is read once.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3), log.many(1)])
        made.is_packed = True
        made.place(0).write_bytes(b"half of it")

        report = made.verify(log.head)

        assert (OK, 4, 1) == (report.code, report.records, report.segments)

    def test_left_alone(self, tmp_path: Path) -> None:
        """
        Full files of the standard library, folders and others are no segments.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3), log.many(1)])
        (tmp_path / f"{NAME}.1").write_bytes(OLD)
        (tmp_path / f"{NAME}.50").write_bytes(OLD)
        (tmp_path / f"{NAME}.20251027T083800Z.000007").mkdir()
        (tmp_path / f"{NAME}.20251027T083800Z.000008").symlink_to(made.place(0))
        (tmp_path / "another.txt").write_bytes(OLD)

        report = made.verify(log.head)

        assert OK == report.code
        assert (
            f"{NAME}.1",
            f"{NAME}.20251027T083800Z.000007",
            f"{NAME}.20251027T083800Z.000008",
            f"{NAME}.50",
        ) == report.left_alone

    @pytest.mark.parametrize(
        "context",
        [
            {"text": "a\u2028b\u0085c"},
            {"text": "\ud800"},
            {"text": "\x00\x1b[2J"},
            {"text": "x" * 1_000_000},
            {"audit": {"seq": 7, "hash": "0" * 64}},
            {"text": ',"audit":{"v":1,"chain":"'},
        ],
        ids=["U+2028", "surrogate", "NUL", "1 MB", "audit", "link"],
    )
    def test_values(self, tmp_path: Path, context: dict[str, object]) -> None:
        """
        Whatever a record holds, its line ends where it ends.
        """
        log = Chain()
        lines = [log.add(), log.add(line(2, **context)), log.add()]

        assert OK == Made(tmp_path, [lines]).verify(log.head).code

    def test_raw_text(self, tmp_path: Path) -> None:
        """
        So it does where characters that some take for line ends are not escaped.
        """
        log = Chain()
        text = json.dumps({"text": "a\u2028b\u0085c\x0bd"}, ensure_ascii=False)
        lines = [log.add(f"{text}\n".replace("\\u000b", "\x0b").encode()), log.add()]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (OK, None) == (report.code, report.first_time)

    @pytest.mark.parametrize(
        ("code", "excess"), [(OK, 0), (TAMPERED, 1)], ids=["longest", "too long"]
    )
    def test_long_line(self, tmp_path: Path, code: int, excess: int) -> None:
        """
        The longest line is one; with a byte more it is none.
        """
        log = Chain()
        short = Chain().many(2)[1]
        first = log.add()
        filling = chain.MAX_LINE_BYTES + excess - len(line(2, text="")) - len(short)
        long = log.add(line(2, text="x" * (filling + len(line(2)))))
        assert chain.MAX_LINE_BYTES + excess == len(long)
        made = Made(tmp_path, [[first, long, log.add()]])

        report = made.verify(log.head)

        assert code == report.code
        if code == TAMPERED:
            assert (NAME, 2, 2, "not JSON") == report.bad[:4]


class TestTail:
    @pytest.mark.parametrize(
        ("code", "age"),
        [
            (OK, 0),
            (OK, 120),
            (NOT_ANCHORED, 121),
            (OK, -300),
            (NOT_ANCHORED, -301),
        ],
    )
    def test_age(self, tmp_path: Path, code: int, age: int) -> None:
        """
        Records need no witness while they are younger than two checkpoint intervals.

        One from the future is not young, whatever it says.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(5)])

        report = made.verify(log.heads[3], now=FIRST + 3 + age)

        assert (code, 3, 2) == (report.code, report.anchored_seq, report.tail)
        assert time_of(4) == report.tail_time

    def test_reason(self, tmp_path: Path) -> None:
        """
        Else it is said how many, and since when.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(5)])

        assert (
            "tail not anchored: 2 records from seq 4, time 2025-10-27T08:38:03.000000Z"
            == made.verify(log.heads[3]).reason
        )

    def test_interval(self, tmp_path: Path) -> None:
        """
        Whoever has checkpoints more seldom says so.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(5)])

        report = made.verify(log.heads[3], now=FIRST + 500, checkpoint_interval=300.0)

        assert OK == report.code

    @pytest.mark.parametrize("text", [b'{"event":"x"}\n', b'{"timestamp":"then"}\n'])
    def test_no_time(self, tmp_path: Path, text: bytes) -> None:
        """
        A record that tells no time is not young.
        """
        log = Chain()
        made = Made(tmp_path, [[log.add(), log.add(text)]])

        report = made.verify(log.heads[1], now=FIRST)

        assert (NOT_ANCHORED, None) == (report.code, report.tail_time)

    def test_nobody_saw_it(self, tmp_path: Path) -> None:
        """
        Young as it may be: a trail that nobody saw may be all new.
        """
        made = Made(tmp_path, [Chain().many(5)])

        report = made.verify(now=FIRST)

        assert NOT_ANCHORED == report.code
        assert "tail not anchored: no witness saw any of the 5 records" == report.reason

    def test_clock(self, tmp_path: Path) -> None:
        """
        By default it is the clock that says what is young.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(5)])

        assert NOT_ANCHORED == verify(made.path, anchors=[witness(log.heads[3])]).code


class TestNothing:
    def test_no_trail(self, tmp_path: Path) -> None:
        """
        Where nothing is, nothing can be said.
        """
        for path in (tmp_path / NAME, tmp_path / "folder" / NAME):
            with pytest.raises(VerifyError, match="there is no such trail"):
                verify(path)

    def test_no_file(self, tmp_path: Path) -> None:
        """
        A folder in its place is no trail.
        """
        with pytest.raises(VerifyError, match="no regular file"):
            verify(tmp_path)

    def test_empty(self, tmp_path: Path) -> None:
        """
        An empty file is not tampered with, and no evidence.
        """
        report = Made(tmp_path, [[]]).verify()

        assert (NOT_ANCHORED, None, 0) == (report.code, report.head, report.records)
        assert "no record is there" == report.reason

    def test_emptied(self, tmp_path: Path) -> None:
        """
        Unless somebody saw records of it.
        """
        report = Made(tmp_path, [[]]).verify(Chain().head._replace(seq=3))

        assert (NAME, 1, 1, "truncated") == report.bad[:4]

    def test_never_chained(self, tmp_path: Path) -> None:
        """
        A file without a chain is no evidence, either.
        """
        report = Made(tmp_path, [[OLD, OLD]]).verify()

        assert (NOT_ANCHORED, 2, 1) == (
            report.code,
            report.legacy_lines,
            report.legacy_files,
        )


class TestRecovered:
    def test_cut_off(self, tmp_path: Path) -> None:
        """
        A record about what was cut off is one like the others.
        """
        log = Chain()
        lines = [log.add(), log.add(recovered(2, HALF, left=False)), log.add()]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (OK, 1) == (report.code, report.recovered)

    @pytest.mark.parametrize(
        "left",
        [HALF + b"\n", HALF + b"\n{\n", b"\0" * 100 + b"\n", b"\n"],
        ids=["one", "two", "NUL", "empty"],
    )
    @pytest.mark.parametrize("before", [0, 1, 2], ids=["first", "in a file", "after"])
    def test_left(self, tmp_path: Path, left: bytes, before: int) -> None:
        """
        What could not be cut off is vouched for by the record that comes next.
        """
        log = Chain()
        first = log.many(2)
        more = [*log.many(before), left, log.add(recovered(log.next, left)), log.add()]
        made = Made(tmp_path, [first, more])

        report = made.verify(log.head)

        assert (OK, None, 1) == (report.code, report.bad, report.recovered)
        assert before + 4 == report.records

    @pytest.mark.parametrize(
        "there",
        [
            HALF[:-1] + b"\n",
            HALF + b"x\n",
            HALF + b"\n\n",
            HALF.replace(b"2", b"3") + b"\n",
        ],
    )
    def test_changed(self, tmp_path: Path, there: bytes) -> None:
        """
        But it must be just these bytes.
        """
        log = Chain()
        lines = [log.add(), there, log.add(recovered(2, HALF + b"\n")), log.add()]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "not JSON") == report.bad[:4]

    def test_removed(self, tmp_path: Path) -> None:
        """
        And they must be there.
        """
        log = Chain()
        lines = [log.add(), log.add(recovered(2, HALF + b"\n")), log.add()]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "edited") == report.bad[:4]
        assert "the 30 bytes that it vouches for are gone" == report.reason

    def test_edited(self, tmp_path: Path) -> None:
        """
        A record that vouches and was changed is the bad one, not what it vouches for.
        """
        log = Chain()
        lines = [log.add(), HALF + b"\n", log.add(recovered(2, HALF + b"\n"))]
        lines[2] = lines[2].replace(b"WARNING", b"CAREFUL")

        report = Made(tmp_path, [[*lines, log.add()]]).verify(log.head)

        assert (NAME, 3, 2, "edited") == report.bad[:4]

    @pytest.mark.parametrize(
        "whole",
        [line(7), b'{"x":"' + b"y" * 1_100_000 + b'"}\n'],
        ids=["short", "long"],
    )
    def test_whole_line(self, tmp_path: Path, whole: bytes) -> None:
        """
        A whole line of JSON is none that a killed writer left, whoever vouches.
        """
        log = Chain()
        left = HALF + b"\n" + whole
        lines = [log.add(), left, log.add(recovered(2, left)), log.add()]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 3, None, "inserted") == report.bad[:4]

    def test_half_of_a_long_line(self, tmp_path: Path) -> None:
        """
        Half a line is none, however long it is, and whatever it ends in.
        """
        log = Chain()
        left = b'{"a":"' + b"y" * 1_100_000 + b'","b":{"c":[]}\n'
        lines = [log.add(), left, log.add(recovered(2, left)), log.add()]

        assert OK == Made(tmp_path, [lines]).verify(log.head).code

    def test_too_long(self, tmp_path: Path) -> None:
        """
        What is too long to be a line can be vouched for, in constant memory.
        """
        log = Chain()
        left = b"x" * (chain.MAX_LINE_BYTES + 5_000_000) + b"\n"
        lines = [log.add(), left, log.add(recovered(2, left)), log.add()]

        assert OK == Made(tmp_path, [lines]).verify(log.head).code

    def test_unknown_kind(self, tmp_path: Path) -> None:
        """
        A kind that nobody knows vouches for nothing.
        """
        log = Chain()
        left = HALF + b"\n"
        lines = [log.add(), left, log.add(recovered(2, left, kind="good"))]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "not JSON") == report.bad[:4]

    def test_somebody_elses_words(self, tmp_path: Path) -> None:
        """
        A record of another module vouches for nothing, whatever its context says.
        """
        log = Chain()
        left = HALF + b"\n"
        forged = recovered(2, left).replace(b'"chimera_log.audit"', b'"bot"')
        lines = [log.add(), left, log.add(forged), log.add()]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "not JSON") == report.bad[:4]

    def test_not_yet(self, tmp_path: Path) -> None:
        """
        A file that ends within a line may be a killed writer's work; it says so.
        """
        log = Chain()
        lines = [log.add(), HALF]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "truncated") == report.bad[:4]
        assert "a killed writer leaves this, too" in report.reason

    def test_long_end(self, tmp_path: Path) -> None:
        """
        So it is where that is too long to be a line.
        """
        log = Chain()
        lines = [log.add(), b"x" * (chain.MAX_LINE_BYTES + 2_000_000)]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "truncated") == report.bad[:4]

    def test_full_file(self, tmp_path: Path) -> None:
        """
        No killed writer leaves that in a full file.
        """
        log = Chain()
        made = Made(tmp_path, [[log.add(), HALF], log.many(1)])

        report = made.verify(log.head)

        assert named(made, 0, 2, 2, "truncated") == report.bad[:4]
        assert "it ends within a line" == report.reason


class TestUnchained:
    @pytest.mark.parametrize(
        ("text", "seq", "kind"),
        [
            (OLD, None, "inserted"),
            (b"\n", None, "inserted"),
            (b"what?\n", 3, "not JSON"),
            (b"[]\n", 3, "not JSON"),
            (b"{" * 100_000 + b"}\n", 3, "not JSON"),
            (b'{"a":' * 100_000 + b"}" * 100_000 + b"\n", 3, "not JSON"),
            (b'{"x":' + b"[" * 1_100_000 + b"}\n", 3, "not JSON"),
            (b'{"x":"' + b"\\" * 1_100_001 + b'"}\n', 3, "not JSON"),
            (b"\xff\xfe\n", 3, "not JSON"),
        ],
    )
    @pytest.mark.parametrize("place", ["between", "full file", "end"])
    def test_foreign_line(
        self, tmp_path: Path, text: bytes, seq: int | None, kind: str, place: str
    ) -> None:
        """
        A line of somebody else is named, wherever it stands.
        """
        log = Chain()
        first = [*log.many(2), text]
        after = [] if place == "end" else log.many(2)
        files = [first, after] if place == "full file" else [[*first, *after]]
        made = Made(tmp_path, files)

        report = made.verify(log.head)

        assert named(made, 0, 3, seq, kind) == report.bad[:4]

    def test_file(self, tmp_path: Path) -> None:
        """
        A whole file of somebody else is inserted, once there is a chain.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(2), [OLD, OLD], log.many(2)])

        report = made.verify(log.head)

        assert named(made, 1, 1, None, "inserted") == report.bad[:4]

    def test_stripped(self, tmp_path: Path) -> None:
        """
        A record whose link was taken away was edited, not inserted.
        """
        log = Chain()
        lines = log.many(3)
        lines[1] = line(2)

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, 2, "edited") == report.bad[:4]


class TestLegacy:
    def test_files(self, tmp_path: Path) -> None:
        """
        Files from before the chain are not tampered with, and no evidence.
        """
        log = Chain()
        made = Made(
            tmp_path, [[OLD, OLD], [OLD, b"text\n"], [], log.many(3), log.many(1)]
        )

        report = made.verify(log.head)

        assert (OK, 4) == (report.code, report.records)
        assert (4, 2) == (report.legacy_lines, report.legacy_files)

    @pytest.mark.parametrize("is_cut", [False, True])
    def test_sealed(self, tmp_path: Path, is_cut: bool) -> None:
        """
        Where they have manifests, they must be what these say.
        """
        log = Chain()
        old = [OLD, OLD, *([HALF] if is_cut else [])]
        made = Made(tmp_path, [old, log.many(3), log.many(1)], is_sealed=True)

        report = made.verify(log.head)

        assert (OK, len(old)) == (report.code, report.legacy_lines)

    @pytest.mark.parametrize(
        ("content", "place"),
        [
            ([OLD, OLD.replace(b"old", b"new")], (1, None, "edited")),
            ([OLD], (1, None, "edited")),
            ([OLD, OLD[:20]], (2, 1, "truncated")),
            ([], (1, None, "truncated")),
        ],
    )
    def test_sealed_and_changed(
        self, tmp_path: Path, content: list[bytes], place: tuple[object, ...]
    ) -> None:
        """
        And if they are not, they were tampered with.
        """
        log = Chain()
        made = Made(tmp_path, [[OLD, OLD], log.many(3), log.many(1)], is_sealed=True)
        made.write(0, b"".join(content))

        report = made.verify(log.head)

        assert named(made, 0, *place) == report.bad[:4]

    def test_cut(self, tmp_path: Path) -> None:
        """
        Without a manifest, one that ends within a line was cut.
        """
        log = Chain()
        made = Made(tmp_path, [[OLD, OLD[:20]], log.many(3)])

        report = made.verify(log.head)

        assert named(made, 0, 2, 1, "truncated") == report.bad[:4]

    def test_in_the_same_file(self, tmp_path: Path) -> None:
        """
        Lines from before may be in the first file, and the first record vouches.
        """
        log = Chain()
        voucher = log.add(recovered(1, OLD + OLD, kind="legacy"))
        made = Made(tmp_path, [[OLD, OLD, voucher, log.add()]])

        report = made.verify(log.head)

        assert (OK, 2, 0) == (report.code, report.records, report.recovered)
        assert (2, 1) == (report.legacy_lines, report.legacy_files)

    def test_later(self, tmp_path: Path) -> None:
        """
        No later record may vouch for such lines.
        """
        log = Chain()
        lines = [log.add(), OLD, log.add(recovered(2, OLD, kind="legacy"))]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 2, None, "inserted") == report.bad[:4]

    def test_unvouched(self, tmp_path: Path) -> None:
        """
        Lines before the first record, in its file, need it to vouch for them.
        """
        log = Chain()
        made = Made(tmp_path, [[OLD, *log.many(2)]])

        report = made.verify(log.head)

        assert (NAME, 1, None, "inserted") == report.bad[:4]


class TestKeys:
    def test_key(self, tmp_path: Path) -> None:
        """
        A signed trail is read with its key, whatever the lines call it.
        """
        log = Chain(Key(b"k" * 32, "main"))
        made = Made(tmp_path, [log.many(3), log.many(2)], is_sealed=True, key=KEY)

        for key in (log.key, KEY):
            report = made.verify(log.head, keys=[key])
            assert (OK, 5) == (report.code, report.records)

    def test_none_given(self, tmp_path: Path) -> None:
        """
        Without its key nothing can be said, but which one is needed.
        """
        log = Chain(Key(b"k" * 32, "main"))
        made = Made(tmp_path, [log.many(3)])

        with pytest.raises(VerifyError, match="give the key that they call main"):
            made.verify(log.head)

    def test_wrong_one_given(self, tmp_path: Path) -> None:
        """
        With another key it is somebody else's trail.
        """
        log = Chain(KEY)
        made = Made(tmp_path, [log.many(3)])

        report = made.verify(log.head, keys=[OTHER])

        assert (NAME, 1, 1, "wrong key") == report.bad[:4]
        assert f"{KEY.key_id}; given: {OTHER.key_id}" in report.reason

    def test_same_name(self, tmp_path: Path) -> None:
        """
        Another secret under the same name makes other hashes.
        """
        log = Chain(Key(b"k" * 32, "main"))
        made = Made(tmp_path, [log.many(3)])

        report = made.verify(log.head, keys=[Key(b"o" * 32, "main")])

        assert (NAME, 1, 1, "edited") == report.bad[:4]

    def test_several(self, tmp_path: Path) -> None:
        """
        A key may be replaced by another one; both are given.
        """
        log = Chain(KEY)
        first = log.many(3)
        log.key = OTHER
        made = Made(tmp_path, [first, log.many(2)])
        made.key = KEY
        made.seal(0, first)

        report = made.verify(log.head, keys=[OTHER, KEY])

        assert (OK, 5) == (report.code, report.records)

    def test_keyed_later(self, tmp_path: Path) -> None:
        """
        A trail may have begun without a key; manifests of that time are not signed.
        """
        log = Chain()
        first = log.many(3)
        log.key = KEY
        made = Made(tmp_path, [first, log.many(2)], is_sealed=True)

        assert OK == made.verify(log.head, keys=[KEY]).code

    def test_keyed_later_and_none_given(self, tmp_path: Path) -> None:
        """
        Without that key, the record that has it is named.
        """
        log = Chain()
        first = log.many(3)
        log.key = KEY
        made = Made(tmp_path, [first, log.many(2)])

        report = made.verify(log.head)

        assert (NAME, 1, 4, "wrong key") == report.bad[:4]
        assert "given: none" in report.reason

    def test_no_more(self, tmp_path: Path) -> None:
        """
        Once signed, always signed: whoever goes on without the key has not got it.
        """
        log = Chain(KEY)
        first = log.many(3)
        log.key = None
        made = Made(tmp_path, [[*first, *log.many(2)]])

        report = made.verify(log.head, keys=[KEY])

        assert (NAME, 4, 4, "wrong key") == report.bad[:4]

    def test_never(self, tmp_path: Path) -> None:
        """
        Whoever gives a key expects the last record to be signed.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3), log.many(2)])

        report = made.verify(log.head, keys=[KEY])

        assert (NAME, 2, 5, "wrong key") == report.bad[:4]

    def test_unsigned_manifest(self, tmp_path: Path) -> None:
        """
        A signed segment's manifest is signed as well.
        """
        log = Chain(KEY)
        made = Made(tmp_path, [log.many(3), log.many(2)], is_sealed=True)

        report = made.verify(log.head, keys=[KEY])

        assert named(made, 0, None, 4, "manifest") == report.bad[:4]


class TestOtherChain:
    def test_follows(self, tmp_path: Path) -> None:
        """
        A chain that ends, and another one that begins, are not one trail.
        """
        made = Made(tmp_path, [[*Chain().many(3), *Chain(name="ab" * 16).many(2)]])

        report = made.verify()

        assert (NAME, 4, 4, "rewritten") == report.bad[:4]

    def test_in_between(self, tmp_path: Path) -> None:
        """
        A record of another chain among ours was inserted.
        """
        log = Chain()
        lines = [*log.many(3), *Chain(name="ab" * 16).many(1), *log.many(2)]

        report = Made(tmp_path, [lines]).verify(log.head)

        assert (NAME, 4, 1, "inserted") == report.bad[:4]

    def test_first_record(self, tmp_path: Path) -> None:
        """
        A first record that was made one of another chain is the one that is bad.
        """
        log = Chain()
        lines = log.many(3)
        lines[0] = Chain(name="ab" * 16).add()

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 1, 1, "edited") == report.bad[:4]

    @pytest.mark.parametrize("name", ["0" * 32, CHAIN])
    def test_name(self, tmp_path: Path, name: str) -> None:
        """
        No name of a chain is special.
        """
        log = Chain(name=name)

        assert OK == Made(tmp_path, [log.many(2)]).verify(log.head).code


class TestEditedWithItsHash:
    @pytest.mark.parametrize("is_sealed", [False, True], ids=["bare", "sealed"])
    @pytest.mark.parametrize("seq", [1, 2, 3, 4, 5])
    def test_it_is_named(self, tmp_path: Path, seq: int, is_sealed: bool) -> None:
        """
        The record that was changed is named, and not the next, which does not link to it.
        """
        log = Chain()
        files = [log.many(3), log.many(3)]
        file, index = divmod(seq - 1, 3)
        made = Made(tmp_path, files, is_sealed=is_sealed)
        changed, _ = chain.linked(line(seq, status="lost"), log.heads[seq - 1])
        files[file][index] = changed
        made.write(file, b"".join(files[file]))

        report = made.verify()

        assert named(made, file, index + 1, seq, "edited") == report.bad[:4]

    def test_last_but_one_of_all(self, tmp_path: Path) -> None:
        """
        Where nothing follows that could tell, it is still the one before.
        """
        log = Chain()
        lines = log.many(3)
        lines[1], _ = chain.linked(line(2, status="lost"), log.heads[1])

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 2, 2, "edited") == report.bad[:4]

    def test_does_not_link(self, tmp_path: Path) -> None:
        """
        A record that links to nothing, and that nothing links to, is the bad one.
        """
        log = Chain()
        lines = log.many(4)
        lines[1], _ = chain.linked(line(2), chain.Head(CHAIN, 1, "f" * 64))

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 2, 2, "edited") == report.bad[:4]

    def test_first_does_not_link(self, tmp_path: Path) -> None:
        """
        A first record links to 64 zeros.
        """
        lines = [chain.linked(line(1), chain.Head(CHAIN, 0, "f" * 64))[0]]

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 1, 1, "edited") == report.bad[:4]


class TestInserted:
    def test_with_another_link(self, tmp_path: Path) -> None:
        """
        One that links to something else, while the chain goes on, was inserted.
        """
        log = Chain()
        lines = log.many(4)
        forged, _ = chain.linked(line(3), chain.Head(CHAIN, 2, "f" * 64))
        lines.insert(2, forged)

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 3, 3, "inserted") == report.bad[:4]

    def test_damaged(self, tmp_path: Path) -> None:
        """
        So was one with a wrong hash.
        """
        log = Chain()
        lines = log.many(4)
        lines.insert(2, lines[3].replace(b'"number":4', b'"number":5'))

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 3, 4, "inserted") == report.bad[:4]

    def test_before_the_last(self, tmp_path: Path) -> None:
        """
        Of two last records with one number, a witness can tell which was inserted.
        """
        log = Chain()
        lines = log.many(4)
        forged, _ = chain.linked(line(4, forged=True), log.heads[3])
        made = Made(tmp_path, [[*lines[:3], forged, lines[3]]])

        assert (NAME, 4, 4, "inserted") == made.verify(log.head).bad[:4]
        assert (NAME, 5, 4, "inserted") == made.verify().bad[:4]

    def test_far_ahead(self, tmp_path: Path) -> None:
        """
        One with too high a number, to which nothing links, was inserted.
        """
        log = Chain()
        lines = log.many(4)
        forged, _ = chain.linked(line(9), chain.Head(CHAIN, 8, "f" * 64))
        lines.insert(2, forged)

        report = Made(tmp_path, [lines]).verify()

        assert (NAME, 3, 9, "inserted") == report.bad[:4]

    def test_at_the_end_of_a_segment(self, tmp_path: Path) -> None:
        """
        A manifest tells where its segment ended, though all that follows was forged.
        """
        log = Chain()
        lines = log.many(3)
        made = Made(tmp_path, [lines, log.many(3)], is_sealed=True)
        forged = Chain()
        forged.heads = log.heads[:4]
        made.write(0, b"".join([*lines, *(forged.add(line(9)) for _ in range(2))]))

        report = made.verify()

        assert named(made, 0, 4, 4, "inserted") == report.bad[:4]


class TestReordered:
    def test_behind_a_long_line(self, tmp_path: Path) -> None:
        """
        What comes later is looked for behind all there may be.
        """
        log = Chain()
        first, second, third = log.many(3)
        long = b"x" * (chain.MAX_LINE_BYTES + 2_000_000) + b"\n"

        report = Made(tmp_path, [[first, third, long, second]]).verify()

        assert (NAME, 2, 2, "reordered") == report.bad[:4]


class TestMissing:
    @pytest.mark.parametrize(
        ("removed", "what"),
        [({3}, "record 3 is missing"), ({3, 4, 5}, "records 3..5 are missing")],
    )
    def test_numbers(self, tmp_path: Path, removed: set[int], what: str) -> None:
        """
        It says which ones are missing.
        """
        log = Chain()
        lines = [log.add() for _ in range(8)]
        left = [each for seq, each in enumerate(lines, 1) if seq not in removed]

        report = Made(tmp_path, [left]).verify()

        assert (NAME, 3, 3, "missing", what) == report.bad

    def test_end_of_a_segment(self, tmp_path: Path) -> None:
        """
        Between segments whose numbers follow each other, records are missing.
        """
        log = Chain()
        first, _, *rest = log.many(4)
        made = Made(tmp_path, [[first], rest, log.many(1)])

        report = made.verify()

        assert named(made, 1, 1, 2, "missing") == report.bad[:4]

    def test_active_file(self, tmp_path: Path) -> None:
        """
        Before the active file there may have been a segment more.
        """
        log = Chain()
        first, _, *rest = log.many(4)
        made = Made(tmp_path, [[first], rest])

        report = made.verify()

        assert (NAME, 1, 2, "segment missing") == report.bad[:4]


def test_open_file(tmp_path: Path) -> None:
    """
    What a witness wrote down may be an open file, such as standard input.
    """
    log = Chain()
    made = Made(tmp_path, [log.many(2)])

    report = verify(
        str(made.path), anchors=iter([io.BytesIO(b""), witness(log.head)]), now=FIRST
    )

    assert OK == report.code


def test_own_lines(tmp_path: Path) -> None:
    """
    Other lines that a trail writes are records like others.
    """
    log = Chain()
    lines = [
        log.add(own(1, "audit_something")),
        log.add(own(2, "audit_pruned", segment=[])),
    ]

    assert OK == Made(tmp_path, [lines]).verify(log.head).code
