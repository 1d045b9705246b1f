"""
Manifests: what they say has to go with each other, and with the trail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit import chain
from chimera_log.audit import verify as verify_module
from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import Copy, Manifest, Tombstone, digest, encode
from chimera_log.audit.reading import Files
from chimera_log.audit.verify import NOT_ANCHORED, OK
from tests.trails import CHAIN, FIRST, NAME, Chain, Made, line, pruned

if TYPE_CHECKING:
    from pathlib import Path

    from chimera_log.audit.verify import Report

KEY = Key(b"k" * 32)


def bad(report: Report) -> tuple[Any, ...]:
    """Return where the trail is not whole, and how, but for the words."""
    assert report.bad is not None
    found: tuple[Any, ...] = report.bad[:4]
    return found


class Three(Made):
    """
    Three sealed segments of two records each, and an active file with one.

    Args:
        folder: Where they go.
        key: Signs all of it.
    """

    def __init__(self, folder: Path, key: Key | None = None) -> None:
        self.chain = Chain(key)
        self.segments = [self.chain.many(2) for _ in range(3)]
        self.active = self.chain.many(1)
        super().__init__(folder, [*self.segments, self.active], key=key, is_sealed=True)

    @property
    def head(self) -> chain.Head:
        """Where the chain ends."""
        return self.chain.head

    def tell(self, *numbers: int, **changed: Any) -> None:
        """Say in the active file that the segments of *numbers*, from 0, are pruned."""
        for number in numbers:
            text = pruned(self.chain.next, self.sealed[number], **changed)
            self.active.append(self.chain.add(text))
        self.write(3, b"".join(self.active))


class TestPruned:
    @pytest.mark.parametrize("key", [None, KEY], ids=["plain", "signed"])
    @pytest.mark.parametrize(
        "numbers", [(0,), (0, 1), (1,), (2,), (1, 2), (0, 1, 2)], ids=str
    )
    def test_said(
        self, tmp_path: Path, numbers: tuple[int, ...], key: Key | None
    ) -> None:
        """
        Segments may go, if their manifests and the trail itself say so.
        """
        made = Three(tmp_path, key)
        made.tell(*numbers)
        for number in numbers:
            made.prune(number)

        report = made.verify(made.head, keys=[key] if key else [])

        assert (OK, None) == (report.code, report.bad)
        assert len(numbers) == report.pruned
        assert 7 + len(numbers) - 2 * len(numbers) == report.records
        assert 1 + 2 * (numbers[0] == 0) * len(numbers) == report.first_seq

    @pytest.mark.parametrize(
        ("changed", "copy", "expected"),
        [
            ({}, None, True),
            ({"retention_floor_days": 3000}, None, False),
            ({"last_time": "2025-10-27T08:38:00.000000Z"}, None, False),
            ({"last_time": None}, None, False),
            ({"retention_floor_days": 3000}, {}, True),
            ({"retention_floor_days": 3000}, {"is_verified": False}, False),
            ({"retention_floor_days": 3000}, {"locked_until": FIRST}, False),
        ],
        ids=[
            *("old", "long floor", "young", "no time"),
            *("locked copy", "copy not verified", "copy not locked for long enough"),
        ],
    )
    def test_before_its_time(
        self,
        tmp_path: Path,
        changed: dict[str, Any],
        copy: dict[str, Any] | None,
        expected: bool,
    ) -> None:
        """
        What had to be kept longer is missing, though all say that it was pruned; but
        for what was moved, and nobody can remove in time.
        """
        made = Three(tmp_path)
        made.sealed.clear()
        for number, lines in enumerate(made.segments):
            made.seal(number, lines, **changed)
        made.tell(0)
        made.prune(0)
        if copy is not None:
            whole = Copy("done", "s3://there", "5e" * 32, 900, "1", True, FIRST * 2)
            moved = whole._replace(**copy)
            stone = Tombstone(FIRST, "moved", "test")
            made.put(0, Manifest(made.sealed[0], moved, stone))

        report = made.verify(made.head)

        assert expected == (report.bad is None)
        if not expected:
            assert (made.names[0], None, 1, "segment missing") == bad(report)

    def test_said_in_what_is_pruned(self, tmp_path: Path) -> None:
        """
        What was said of the oldest may be pruned in its turn: they go in their order.
        """
        made = Three(tmp_path)
        made.tell(1)
        made.prune(0)
        made.prune(1)

        report = made.verify(made.head)
        assert (OK, 2) == (report.code, report.pruned)

        made.prune(2)
        report = made.verify(made.head)
        assert (made.names[2], None, 5, "segment missing") == bad(report)

    def test_not_gone_yet(self, tmp_path: Path) -> None:
        """
        Between the record and the removal the segment is read like others.
        """
        made = Three(tmp_path)
        made.tell(0)
        content = made.place(0).read_bytes()
        made.prune(0)
        made.place(0).write_bytes(content)

        report = made.verify(made.head)

        assert (OK, 0, 8) == (report.code, report.pruned, report.records)

    def test_nothing_left(self, tmp_path: Path) -> None:
        """
        Where even what says so is gone, it was not pruned.
        """
        made = Three(tmp_path)
        for number in range(3):
            made.prune(number)
        made.path.unlink()

        report = made.verify(made.head)

        assert (made.names[0], None, 1, "segment missing") == bad(report)

    @pytest.mark.parametrize(
        "changed",
        [
            {"segment": "another"},
            {"segment": None},
            {"first_seq": 2},
            {"last_seq": 1},
            {"sha256": "0" * 64},
        ],
        ids=str,
    )
    def test_said_of_another(self, tmp_path: Path, changed: dict[str, Any]) -> None:
        """
        It has to be just this segment that the trail speaks of.
        """
        made = Three(tmp_path)
        made.tell(0, **changed)
        made.prune(0)

        report = made.verify(made.head)

        assert (made.names[0], None, 1, "segment missing") == bad(report)
        assert "no record of the trail does" in report.reason

    def test_said_before(self, tmp_path: Path) -> None:
        """
        A segment cannot be pruned before it is there.
        """
        log = Chain()
        first = log.many(2)
        ahead = Chain()
        ahead.many(3)
        second = ahead.many(2)
        made = Made(tmp_path, [first, second, []], is_sealed=True)
        sealed = made.sealed[1]
        files = [[*first, log.add(pruned(3, sealed))], log.many(2), log.many(1)]
        made = Made(tmp_path, files, is_sealed=True)
        made.prune(1)

        report = made.verify(log.head)

        assert (made.names[1], None, 4, "segment missing") == bad(report)

    def test_legacy(self, tmp_path: Path) -> None:
        """
        A file from before the chain may go in the same way.
        """
        log = Chain()
        files = [[b"old\n"], log.many(2), log.many(1)]
        made = Made(tmp_path, files, is_sealed=True)
        voucher = log.add(pruned(log.next, made.sealed[0]))
        made.write(2, b"".join([*files[2], voucher]))
        made.prune(0)

        report = made.verify(log.head)

        assert (OK, 1, 4) == (report.code, report.pruned, report.records)

    def test_head(self, tmp_path: Path) -> None:
        """
        The manifest has to end with what the next record links to.
        """
        made = Three(tmp_path)
        made.tell(0)
        made.sealed[0] = made.sealed[0]._replace(head="f" * 64)
        made.prune(0)
        for number in (1, 2):
            made.manifest(number).unlink()

        report = made.verify(made.head)

        assert (made.names[0], None, 2, "manifest") == bad(report)

    def test_witness(self, tmp_path: Path) -> None:
        """
        And with what a witness saw.
        """
        made = Three(tmp_path)
        made.tell(0)
        made.prune(0)

        assert OK == made.verify(made.chain.heads[2], made.head).code
        report = made.verify(made.chain.heads[2]._replace(hash="f" * 64), made.head)

        assert (made.names[0], None, 2, "rewritten") == bad(report)

    def test_last_one_seen(self, tmp_path: Path) -> None:
        """
        If the last record that a witness saw is pruned, it still held fast what it did.
        """
        made = Three(tmp_path)
        made.tell(0, 1, 2)
        for number in range(3):
            made.prune(number)

        report = made.verify(made.chain.heads[5])

        assert (NOT_ANCHORED, 5, 5) == (report.code, report.anchored_seq, report.tail)
        assert "2025-10-27T08:38:06.000000Z" == report.tail_time

    @pytest.mark.parametrize(
        ("changed", "seq", "kind"),
        [
            ({"first_seq": 2}, 1, "missing"),
            ({"chain": "ab" * 16}, 3, "manifest"),
        ],
    )
    def test_first_one(
        self, tmp_path: Path, changed: dict[str, Any], seq: int, kind: str
    ) -> None:
        """
        The first one begins with the first record, and is of the same chain.
        """
        made = Three(tmp_path)
        made.tell(0, 1)
        made.sealed[0] = made.sealed[0]._replace(**changed)
        made.prune(0)
        made.sealed[1] = made.sealed[1]._replace(previous=digest(made.sealed[0]))
        made.prune(1)
        name = made.names[1 if kind == "manifest" else 0]

        report = made.verify(made.head)

        assert (name, None, seq, kind) == bad(report)

    @pytest.mark.parametrize(
        ("changed", "kind"),
        [
            ({"first_seq": 4}, "segment missing"),
            ({"first_seq": 2}, "manifest"),
        ],
    )
    def test_numbers(self, tmp_path: Path, changed: dict[str, Any], kind: str) -> None:
        """
        The numbers go on from the segment before.
        """
        made = Three(tmp_path)
        made.tell(1)
        made.sealed[1] = made.sealed[1]._replace(**changed)
        made.prune(1)

        report = made.verify(made.head)

        assert (made.names[1], None, 3, kind) == bad(report)


class TestMissing:
    def test_named(self, tmp_path: Path) -> None:
        """
        A segment that is gone, and not pruned, is missing.
        """
        made = Three(tmp_path)
        made.place(1).unlink()

        report = made.verify(made.head)

        assert (made.names[1], None, 3, "segment missing") == bad(report)
        assert "records 3..4 are missing" == report.reason

    def test_legacy(self, tmp_path: Path) -> None:
        """
        So is a file from before the chain.
        """
        log = Chain()
        made = Made(tmp_path, [[b"old\n"], log.many(2)], is_sealed=True)
        made.place(0).unlink()

        report = made.verify(log.head)

        assert (made.names[0], None, None, "segment missing") == bad(report)

    def test_renamed(self, tmp_path: Path) -> None:
        """
        Under another name it is not the one that it was.
        """
        made = Three(tmp_path)
        made.place(1).rename(tmp_path / f"{NAME}.20251027T083801Z.000002")

        report = made.verify(made.head)

        assert (made.names[1], None, 3, "segment missing") == bad(report)

    def test_all(self, tmp_path: Path) -> None:
        """
        Manifests alone are a trail of which all is missing.
        """
        made = Three(tmp_path)
        for number in range(4):
            made.place(number).unlink()

        report = made.verify(made.head)

        assert (made.names[0], None, 1, "segment missing") == bad(report)


class TestLinks:
    def test_previous(self, tmp_path: Path) -> None:
        """
        A manifest has the digest of the one before.
        """
        made = Three(tmp_path)
        made.put(1, Manifest(made.sealed[1]._replace(previous="f" * 64)))

        report = made.verify(made.head)

        assert (made.names[1], None, 5, "manifest") == bad(report)
        assert f"does not go on from that of {made.names[0]}" in report.reason

    def test_none(self, tmp_path: Path) -> None:
        """
        Only the first one has none.
        """
        made = Three(tmp_path)
        made.put(1, Manifest(made.sealed[1]._replace(previous=None)))

        report = made.verify(made.head)

        assert (made.names[1], None, 5, "manifest") == bad(report)

    @pytest.mark.parametrize("numbers", [(0,), (1,), (0, 1)], ids=str)
    def test_missing(self, tmp_path: Path, numbers: tuple[int, ...]) -> None:
        """
        Manifests that are missing are noted, and no more.
        """
        made = Three(tmp_path)
        for number in numbers:
            made.manifest(number).unlink()
        after = made.names[numbers[-1] + 1]

        report = made.verify(made.head)

        assert OK == report.code
        assert (f"manifests before that of {after} are missing",) == report.notes

    def test_never_made(self, tmp_path: Path) -> None:
        """
        So are segments that have none, where the others go with each other.
        """
        made = Three(tmp_path)
        made.manifest(1).unlink()
        made.put(2, Manifest(made.sealed[2]._replace(previous=digest(made.sealed[0]))))

        report = made.verify(made.head)

        assert OK == report.code
        assert (f"segments before {made.names[2]} have no manifest",) == report.notes

    def test_not_yet(self, tmp_path: Path) -> None:
        """
        The last ones may have none yet.
        """
        made = Three(tmp_path)
        made.manifest(2).unlink()

        report = made.verify(made.head)

        assert (OK, ()) == (report.code, report.notes)


class TestDisagreement:
    @pytest.mark.parametrize(
        "changed",
        [
            {"chain": "ab" * 16},
            {"chain": None},
            {"first_seq": 2},
            {"last_seq": 3},
            {"head": "f" * 64},
            {"bytes": 1},
        ],
        ids=str,
    )
    def test_manifest(self, tmp_path: Path, changed: dict[str, Any]) -> None:
        """
        What a manifest says of a segment has to be so.
        """
        made = Three(tmp_path)
        made.put(1, Manifest(made.sealed[1]._replace(**changed)))

        report = made.verify(made.head)

        assert (made.names[1], None, 5, "manifest") == bad(report)

    def test_more_said(self, tmp_path: Path) -> None:
        """
        If it says that there was more, there was.
        """
        made = Three(tmp_path)
        made.put(1, Manifest(made.sealed[1]._replace(last_seq=9)))

        report = made.verify(made.head)

        assert (made.names[1], 3, 5, "truncated") == bad(report)

    def test_moved(self, tmp_path: Path) -> None:
        """
        A record that was moved to the segment before is not where it was.
        """
        made = Three(tmp_path)
        made.write(0, b"".join([*made.segments[0], made.segments[1][0]]))
        made.write(1, made.segments[1][1])

        report = made.verify(made.head)

        assert (made.names[0], None, 4, "manifest") == bad(report)

    def test_emptied(self, tmp_path: Path) -> None:
        """
        A segment that was emptied was cut.
        """
        made = Three(tmp_path)
        made.write(1, b"")

        report = made.verify(made.head)

        assert (made.names[1], 1, 3, "truncated") == bad(report)

    def test_empty(self, tmp_path: Path) -> None:
        """
        One that was empty is none, whatever its manifest calls it.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(2), [], log.many(1)], is_sealed=True)

        assert OK == made.verify(log.head).code

    def test_last_record(self, tmp_path: Path) -> None:
        """
        A last record that was written anew is bad, if nothing follows that could tell.
        """
        log = Chain()
        first = log.many(2)
        made = Made(tmp_path, [first, []], is_sealed=True)
        changed, _ = chain.linked(line(2, status="lost"), log.heads[1])
        made.write(0, first[0] + changed)

        report = made.verify()

        assert (made.names[0], 2, 2, "edited") == bad(report)


class TestDamaged:
    @pytest.mark.parametrize(
        "text",
        [b"", b"{}", b"[]", b"x" * 100_000, b"[" * 60_000, b'{"sealed":{}}', b"\xff"],
        ids=lambda text: text[:10],
    )
    def test_text(self, tmp_path: Path, text: bytes) -> None:
        """
        What is no manifest was one.
        """
        made = Three(tmp_path)
        made.manifest(1).write_bytes(text)

        report = made.verify(made.head)

        assert (made.names[1], None, 5, "manifest") == bad(report)

    @pytest.mark.parametrize("is_gone", [False, True])
    @pytest.mark.parametrize(
        "changed",
        [
            {"chain": "\ud800"},
            {"head": "\ud800"},
            {"head": None},
            {"head": "F" * 64},
            {"first_seq": 0},
            {"first_seq": 4, "last_seq": 3},
            {"last_seq": 10**18},
        ],
        ids=str,
    )
    def test_values(
        self, tmp_path: Path, changed: dict[str, Any], is_gone: bool
    ) -> None:
        """
        Nor is what no chain can have, though its digest be right.
        """
        made = Three(tmp_path)
        made.tell(1)
        made.sealed[1] = made.sealed[1]._replace(**changed)
        made.put(1, Manifest(made.sealed[1]))
        if is_gone:
            made.prune(1)

        report = made.verify(made.head)

        assert (made.names[1], None, 3 if is_gone else 5, "manifest") == bad(report)

    def test_of_another(self, tmp_path: Path) -> None:
        """
        Nor is that of another segment.
        """
        made = Three(tmp_path)
        made.manifest(1).write_bytes(encode(Manifest(made.sealed[0])))

        report = made.verify(made.head)

        assert (made.names[1], None, 5, "manifest") == bad(report)

    def test_in_a_folder_of_another_name(self, tmp_path: Path) -> None:
        """
        Files in the hidden folder that are no manifests are not looked at.
        """
        made = Three(tmp_path)
        hidden = made.manifest(0).parent
        (hidden / "fragments").write_bytes(b"half")
        (hidden / f"{NAME}.1.manifest").write_bytes(b"?")

        assert OK == made.verify(made.head).code

    @pytest.mark.parametrize("first", [b"old\n", b""], ids=["legacy", "damaged"])
    def test_chain_is_known_from_it(self, tmp_path: Path, first: bytes) -> None:
        """
        Where no record is left, a manifest still tells which chain it was.
        """
        log = Chain()
        made = Made(tmp_path, [[first], log.many(2), []], is_sealed=True)
        if not first:
            made.manifest(0).write_bytes(b"?")
        for number in range(3):
            made.place(number).unlink()

        with Files(str(made.path)) as files:
            assert CHAIN == verify_module._chain_of(files)
