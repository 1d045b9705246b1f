"""
What is deleted of a trail: full files that may go, step by step, and nothing else.
"""

from __future__ import annotations

import errno
import gzip
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log.audit import chain, prune, reading
from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import Copy, Manifest, ManifestError, Restored
from chimera_log.audit.prune import PruneError, key_of, manifests_of, turn
from chimera_log.audit.reading import VanishedError, VerifyError
from chimera_log.audit.retain import DAY, MAX_SILENCE
from chimera_log.files import opening
from chimera_log.files.compress import Turn
from chimera_log.files.names import segment_name
from chimera_log.options import ConfigError
from tests.evidence import FLOOR, NAME, Evidence, packed, quick_disk, steady, tried
from tests.logs import FIRST, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

KEY = Key(b"0123456789abcdef")
YEAR = 365 * DAY
OLD = FLOOR * DAY + MAX_SILENCE
DAYS = 12  # that a steady trail goes on: long enough for its first two segments


@pytest.fixture
def trail(tmp_path: Path) -> Evidence:
    """A place for a trail."""
    return Evidence(tmp_path)


@pytest.fixture
def old(trail: Evidence) -> Evidence:
    """A trail of five full files, two of which may go."""
    steady(trail, DAYS)
    assert [True, True, False, False, False] == may_go(trail)
    return trail


def may_go(evidence: Evidence, **asked: Any) -> list[bool]:
    """Return which full files may go."""
    return [step.verdict.may_go for step in evidence.plan(**asked)]


def named(number: int) -> str:
    """Return the name of a full file."""
    return segment_name(NAME, FIRST, number)


class TestSurvey:
    def test_active_file(self, old: Evidence) -> None:
        """
        Of the active file it tells the first link, the trail's life, the last time.
        """
        found = old.look()

        assert 11 == found.active.link.seq
        assert 2 * DAY == found.active.elapsed
        assert FIRST + 11 * DAY == found.active.newest
        assert 12 == chain.link_of(found.line).seq  # type: ignore[union-attr]

    def test_segments(self, old: Evidence) -> None:
        """
        It finds each segment, raw or compressed, with its manifest, by number.
        """
        packed(old.path.with_name(named(2)))
        packed(old.path.with_name(named(3)))
        old.path.with_name(named(3)).unlink()
        found = old.look().segments

        assert [named(number) for number in range(1, 6)] == [
            each.name for each in found
        ]
        assert [old.manifest(each.name) for each in found] == [
            each.manifest for each in found
        ]
        assert all(each.is_there for each in found)

    def test_missing_segment(self, old: Evidence) -> None:
        """
        A segment that is not there is known by its manifest.
        """
        old.path.with_name(named(2)).rename(old.path.with_name("elsewhere"))
        found = old.look().segments

        assert [True, False, True, True, True] == [each.is_there for each in found]
        assert old.manifest(named(2)) == found[1].manifest

    def test_manifests_in_doubt(self, old: Evidence) -> None:
        """
        A manifest that is missing, damaged or no file is none, and says why.
        """
        folder = old.path.parent / f".{NAME}.d"
        (folder / f"{named(1)}.manifest").unlink()
        (folder / f"{named(2)}.manifest").write_bytes(b"{}")
        (folder / f"{named(3)}.manifest").unlink()
        (folder / f"{named(3)}.manifest").mkdir()
        found = old.look().segments

        assert [None] * 3 == [each.manifest for each in found[:3]]
        assert found[0].trouble is None
        assert "no manifest: KeyError" in found[1].trouble
        assert "Is a directory" in found[2].trouble
        assert [False] * 5 == may_go(old)

    def test_no_active_file(self, old: Evidence) -> None:
        """
        Without an active file the newest segment tells how the trail ends.
        """
        last = old.rotate(is_packed=True)
        old.path.unlink()
        found = old.look()

        assert (None, 0.0, None) == found.active
        assert 12 == chain.link_of(found.line).seq  # type: ignore[union-attr]
        assert [last + ".gz"] == old.full[-1:]
        assert [True, True, False, False, False, False] == may_go(old)

    def test_newest_line_is_farther_back(self, old: Evidence) -> None:
        """
        Where the last files have no chained line, those before them are read.
        """
        for _ in range(2):
            old.path.write_bytes(b'{"timestamp":"2025-11-08T08:38:00"}\n')
            old.rotate()

        assert 10 == chain.link_of(old.look().line).seq  # type: ignore[union-attr]

    def test_nothing_chained(self, trail: Evidence) -> None:
        """
        In files from before there was a trail nothing is chained.
        """
        trail.path.write_bytes(b'{"timestamp":"2025-10-27T08:38:00"}\n')
        trail.rotate()
        trail.path.write_bytes(b"hello\n2025-10-27T08:38:05 hello\n")
        found = trail.look()

        assert found.line is None
        assert (None, 5.0, FIRST + 5) == found.active

    def test_foreign_lines(self, trail: Evidence) -> None:
        """
        Lines that are no part of the chain, or tell no time, are looked past.
        """
        with trail.path.open("wb") as file:
            file.write(b"\n\0\xff\n" + b"x" * 1_000 + b"\n{}\n")
        trail.write(None, FIRST, None)
        with trail.path.open("ab") as file:
            file.write(b"goodbye\n" + b'{"timestamp":"2030-01-01')
        found = trail.look()

        assert (1, 0.0, FIRST) == (found.active.link.seq, *found.active[1:])
        assert 3 == chain.link_of(found.line).seq  # type: ignore[union-attr]

    def test_long_lines(self, trail: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A line longer than any of ours is none.
        """
        trail.write(FIRST)
        with trail.path.open("ab") as file:
            file.write(b"2030-01-01T00:00:00 " * 300 + b"\n")
        monkeypatch.setattr(chain, "MAX_LINE_BYTES", 2_000)
        monkeypatch.setattr(reading, "CHUNK", 1_000)

        assert FIRST == trail.look().active.newest

    def test_bounded_memory(self, trail: Evidence) -> None:
        """
        However large the active file is, only some of it is in memory.
        """
        with trail.path.open("wb") as file:
            for _ in range(48):
                file.write(b"x" * 500_000 + b"\n")
        tracemalloc.start()
        try:
            trail.look()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert 10_000_000 > peak

    def test_no_trail(self, tmp_path: Path) -> None:
        """
        Where nothing is there is no trail.
        """
        with pytest.raises(VerifyError, match="there is no such trail"):
            prune.survey(str(tmp_path / "none.log"))

    def test_damaged(self, old: Evidence) -> None:
        """
        Where the newest record cannot be read, nothing is said.
        """
        last = old.rotate(is_packed=True)
        file = old.path.with_name(f"{last}.gz")
        file.write_bytes(file.read_bytes()[:-20])

        with pytest.raises(PruneError, match=f"{last}: cannot be read to its end"):
            old.look()

    def test_vanished(self, old: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nor is it where a file vanishes in this moment.
        """
        last = old.rotate()

        def vanish(path: str) -> None:
            raise VanishedError(path)

        monkeypatch.setattr(reading, "open_segment", vanish)
        with pytest.raises(PruneError, match=f"{last}: cannot be read to its end"):
            old.look()

    @pytest.mark.parametrize("moment", [0, FIRST - 10 * YEAR, FIRST + 100 * YEAR])
    def test_touched(self, old: Evidence, moment: float) -> None:
        """
        The times that a file system keeps tell nothing.
        """
        before = old.look()
        for each in [*old.path.parent.rglob("*")]:
            os.utime(each, (moment, moment))

        assert before == old.look()


class TestKeys:
    def test_signed(self, tmp_path: Path) -> None:
        """
        With a key the manifests need to be signed with it.
        """
        trail = Evidence(tmp_path, KEY)
        steady(trail, DAYS)

        assert [True, True, False, False, False] == may_go(trail)
        trail.keys = [Key(b"another secret, not this")]
        assert [False] * 5 == may_go(trail)
        assert "not signed with key" in trail.look().segments[0].trouble

    def test_several(self, tmp_path: Path) -> None:
        """
        A trail whose key was changed needs both; the newer one signs what is new.
        """
        trail = Evidence(tmp_path, KEY)
        steady(trail, 4)
        trail.key = newer = Key(b"another secret, not this", "desk-7")
        for day in range(4, DAYS, 2):
            trail.rotate()
            trail.write(FIRST + day * DAY, FIRST + (day + 1) * DAY)
        trail.keys = [KEY, newer]
        trail.prune()

        assert [named(3), named(4), named(5)] == trail.full
        assert "test" == trail.manifest(named(1)).tombstone.by
        with pytest.raises(ManifestError, match="not signed"):
            manifests_of(str(trail.path), KEY).load(named(1))

    def line(self, key: Key | None) -> bytes:
        """Return a line that is chained with *key*."""
        return chain.linked(b"{}\n", chain.begin("c0ffee00" * 4), key)[0]

    def test_none(self) -> None:
        """
        A trail without a key needs none, and must not get one.
        """
        assert key_of(self.line(None), []) is None
        with pytest.raises(ConfigError, match="is written without a key"):
            key_of(self.line(None), [KEY])

    def test_under_its_name(self) -> None:
        """
        The key has the name by which the trail calls it.
        """
        line = self.line(KEY.named("desk-7"))

        for keys in ([KEY], [Key(b"another secret, not this"), KEY]):
            found = key_of(line, keys)
            assert found is not None
            assert "desk-7" == found.key_id
            assert chain.is_genuine(line, found)

    def test_missing(self) -> None:
        """
        A trail with a key needs that one.
        """
        with pytest.raises(ConfigError, match="is written with key 048ac241; name it"):
            key_of(self.line(KEY), [])
        with pytest.raises(ConfigError, match="is not genuine"):
            key_of(self.line(KEY), [Key(b"another secret, not this")])

    def test_tampered_with(self) -> None:
        """
        Nothing is added to a trail whose newest record was changed.
        """
        line = self.line(None).replace(b'"seq":1', b'"seq":2')

        with pytest.raises(ConfigError, match="is not genuine"):
            key_of(line, [])

    def test_nothing_chained(self) -> None:
        """
        Before there is a chained line, any key may be the trail's.
        """
        assert key_of(None, []) is None
        assert key_of(None, [KEY]) is KEY
        assert key_of(b"{}\n", []) is None


def never(seconds: float) -> None:
    """Fail: nobody is to be waited for."""
    pytest.fail(f"waited for {seconds} s")


class TestTurn:
    def test_ours(self, old: Evidence) -> None:
        """
        Nobody else maintains the files meanwhile; then everybody may.
        """
        other = Turn(str(old.path.parent / f".{NAME}.d"))

        with turn(str(old.path), never):
            assert not other.take()
        assert other.take()
        other.release()

    def test_released_after_an_error(self, old: Evidence) -> None:
        """
        An error does not keep the turn.
        """
        other = Turn(str(old.path.parent / f".{NAME}.d"))

        with pytest.raises(KeyError), turn(str(old.path), never):
            raise KeyError
        assert other.take()
        other.release()

    def test_busy_for_a_while(self, old: Evidence) -> None:
        """
        Another process is waited for.
        """
        other = Turn(str(old.path.parent / f".{NAME}.d"))
        assert other.take()
        pauses = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                other.release()

        with turn(str(old.path), sleep):
            assert [0.5] * 3 == pauses

    def test_busy_for_long(self, old: Evidence) -> None:
        """
        After ten seconds in vain it is said.
        """
        other = Turn(str(old.path.parent / f".{NAME}.d"))
        assert other.take()
        pauses: list[float] = []

        with (
            pytest.raises(PruneError, match="another process is looking after"),
            turn(str(old.path), pauses.append),
        ):
            pytest.fail("not ours")
        assert 10 == sum(pauses)
        other.release()

    def test_no_folder(self, trail: Evidence) -> None:
        """
        Where nothing was sealed yet, no folder is made for it.
        """
        with turn(str(trail.path), never):
            assert [] == list(trail.path.parent.iterdir())


class TestDelete:
    def test_old_ones(self, old: Evidence) -> None:
        """
        What may go is gone, the rest is as it was, and all of it still verifies.
        """
        sealed = [old.manifest(named(number)).sealed for number in (1, 2)]
        old.prune()

        assert [named(number) for number in (3, 4, 5)] == old.full
        assert [
            {
                "segment": each.segment,
                "records": 2,
                "first_seq": each.first_seq,
                "last_seq": each.last_seq,
                "sha256": each.sha256,
                "reason": reason,
            }
            for each, reason in zip(
                sealed,
                ["10 days old; 1 have to be kept", "8 days old; 1 have to be kept"],
                strict=True,
            )
        ] == old.told
        old.assert_whole(2)

    def test_tombstone(self, old: Evidence) -> None:
        """
        The manifest stays, and says when, why and by whom.
        """
        sealed = old.manifest(named(1)).sealed
        old.prune(old.now + 5)
        found = old.manifest(named(1))

        assert sealed == found.sealed
        assert (
            old.now + 5,
            "10 days old; 1 have to be kept",
            "test",
        ) == found.tombstone

    def test_again(self, old: Evidence) -> None:
        """
        Another time there is nothing to do, until the trail went on.
        """
        old.prune()
        told = list(old.told)
        old.prune()
        assert told == old.told

        old.rotate()
        old.write(old.now + 2 * DAY)
        old.prune()
        assert [named(number) for number in (4, 5, 6)] == old.full
        old.assert_whole(3)

    @pytest.mark.parametrize("is_raw_there", [True, False])
    def test_compressed(self, old: Evidence, is_raw_there: bool) -> None:
        """
        A compressed file goes like a raw one, and both of them if both are there.
        """
        for number in (1, 2):
            segment = old.path.with_name(named(number))
            packed(segment)
            if not is_raw_there:
                segment.unlink()
        old.prune()

        assert [named(number) for number in (3, 4, 5)] == old.full
        old.assert_whole(2)

    def test_moved(self, trail: Evidence) -> None:
        """
        A young one beyond the count goes if it is locked elsewhere; its reason is where.
        """
        steady(trail, 6)
        manifests = manifests_of(str(trail.path), None)
        for number in (1, 2):
            place = "s3://evidence/1"
            copy = Copy("done", place, "5e" * 32, 900, "v.1", True, FIRST + YEAR)
            sealed = trail.manifest(named(number)).sealed
            manifests.save(Manifest(sealed, copy))
        trail.prune(backup_count=50)
        assert [named(1), named(2)] == trail.full

        trail.prune(backup_count=1)
        assert [named(2)] == trail.full
        reason = (
            "moved: s3://evidence/1, version v.1, is locked until 2026-10-27T08:38:00Z"
        )
        assert [reason] == [context["reason"] for context in trail.told]
        assert reason == trail.manifest(named(1)).tombstone.reason
        assert "v.1" == trail.manifest(named(1)).copy.version_id
        trail.assert_whole(1)

    def test_restored(self, old: Evidence) -> None:
        """
        What had gone and was brought back goes again, and the trail says so again.
        """
        kept = old.path.with_name(named(1)).read_bytes()
        old.prune()
        first = old.manifest(named(1))
        old.path.with_name(named(1)).write_bytes(kept)
        restored = Restored(old.now, old.now + DAY, "test")
        manifests_of(str(old.path), None).save(first._replace(restored=restored))
        old.prune()
        assert 2 == len(old.told)
        old.assert_whole(1)

        old.prune(old.now + DAY)
        assert [named(1), named(2), named(1)] == [each["segment"] for each in old.told]
        assert first == old.manifest(named(1))
        old.assert_whole(2)

    def test_manifest_vanishes(self, old: Evidence) -> None:
        """
        Where there is no manifest that could say so, nothing goes.
        """

        def tell(event: str, context: Mapping[str, Any]) -> bool:
            folder = old.path.parent / f".{NAME}.d"
            (folder / f"{named(1)}.manifest").unlink()
            return old.tell(event, context)

        with pytest.raises(PruneError, match="damaged: it is not there any more; it"):
            old.prune(tell=tell)
        assert named(1) in old.full

    def test_foreign_files(self, old: Evidence) -> None:
        """
        Whatever else lies beside the trail stays there.
        """
        foreign = [
            f"{NAME}.1",
            f"{NAME}.gz",
            f"{named(1)}.bak",
            f"{named(1)}.gz.tmp",
            f"{NAME}.20251027T083800Z.1",
            f"other{NAME[4:]}.20251027T083800Z.000001",
        ]
        for name in foreign:
            old.path.with_name(name).write_text("foreign")
        old.prune()

        assert set(foreign) <= {each.name for each in old.path.parent.iterdir()}
        assert 2 == len(old.told)


class TestSteps:
    """A removal is in steps, the disk having each before the next."""

    def test_order(self, old: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The trail is told, then the manifest has its tombstone, then the file goes.
        """
        done: list[str] = []
        true_unlink, true_sync = os.unlink, opening.sync_directory
        manifest = f"{named(1)}.manifest"

        def tell(event: str, context: Mapping[str, Any]) -> bool:
            done.append(event)
            assert old.manifest(named(1)).tombstone is None
            return old.tell(event, context)

        def unlink(path: str) -> None:
            name = os.path.basename(path)  # noqa: PTH119  a path is text there
            if name != f"{manifest}.new":
                done.append(name)
                assert old.manifest(named(1)).tombstone is not None
            true_unlink(path)

        def sync(path: str) -> None:
            done.append(f"sync {os.path.basename(path)}")  # noqa: PTH119
            true_sync(path)

        packed(old.path.with_name(named(1)))
        old.path.with_name(named(2)).rename(old.path.with_name("elsewhere"))
        monkeypatch.setattr(os, "unlink", unlink)
        monkeypatch.setattr(opening, "sync_directory", sync)
        old.prune(tell=tell)

        assert [
            "audit_pruned",
            f"sync .{NAME}.d",
            named(1),
            f"{named(1)}.gz",
            f"sync {old.path.parent.name}",
        ] == done

    @pytest.mark.parametrize(
        ("place", "name", "nth"),
        [
            (Evidence, "append", 1),
            (Evidence, "tell", 1),
            (opening, "write_all", 1),
            (os, "fsync", 1),
            (opening, "sync_directory", 1),
            (os, "unlink", 1),
            (os, "unlink", 2),
            (opening, "sync_directory", 2),
            (Evidence, "tell", 2),
            (opening, "sync_directory", 3),
            (os, "unlink", 3),
            (os, "unlink", 4),
            (opening, "sync_directory", 4),
        ],
    )
    @pytest.mark.parametrize("is_done", [False, True])
    def test_killed(
        self, old: Evidence, place: Any, name: str, nth: int, is_done: bool
    ) -> None:
        """
        Whoever dies at any step has removed nothing untold, and the next one finishes.
        """
        packed(old.path.with_name(named(1)))
        packed(old.path.with_name(named(2)))
        calls = []
        true = getattr(place, name)

        def die(*given: Any) -> Any:
            if str(given[0]).endswith(".new"):  # where a manifest is written aside
                return true(*given)
            calls.append(given)
            if len(calls) == nth:
                if is_done:
                    true(*given)
                raise KeyboardInterrupt
            return true(*given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, name, die)
            with pytest.raises(KeyboardInterrupt):
                old.prune()

        for number in (1, 2):
            forms = [named(number), f"{named(number)}.gz"]
            if not set(forms) <= set(old.full):
                assert old.manifest(named(number)).tombstone is not None
                assert named(number) in {each["segment"] for each in old.told}
        old.prune()
        assert [named(number) for number in (3, 4, 5)] == old.full
        assert {named(1), named(2)} == {each["segment"] for each in old.told}
        old.assert_whole(2)

    def test_begun_by_a_dead_one(
        self, old: Evidence, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What has its tombstone is removed without a second one, and not told again.
        """
        true = os.unlink

        def unlink(path: str) -> None:
            if not path.endswith(".new"):
                raise PermissionError(path)
            true(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", unlink)
            with pytest.raises(PermissionError):
                old.prune()
        manifest = old.manifest(named(1))
        assert [named(1)] == [each["segment"] for each in old.told]
        old.prune(old.now + 5)

        assert manifest == old.manifest(named(1))
        assert [named(1), named(2)] == [each["segment"] for each in old.told]


class TestRefusals:
    def assert_stays(self, old: Evidence, what: str, **asked: Any) -> None:
        """Assert that nothing is deleted, and that an error says why."""
        before = old.full
        with pytest.raises(PruneError, match=what):
            old.prune(**asked)
        assert before == old.full
        assert old.manifest(named(1)).tombstone is None

    def test_trail_cannot_be_told(self, old: Evidence) -> None:
        """
        What the trail cannot be told of stays, as does all after it.
        """
        self.assert_stays(old, "the trail cannot be told", tell=lambda *_: False)

    @pytest.mark.parametrize(
        "change",
        [
            lambda content: content[:-1],
            lambda content: content + b"{}\n",
            lambda content: content + bytes(10**7),
            lambda content: content.replace(b"attempt", b"attemqt"),
            lambda _: b"",
        ],
    )
    @pytest.mark.parametrize("is_packed", [False, True])
    def test_another_content(
        self, old: Evidence, change: Callable[[bytes], bytes], is_packed: bool
    ) -> None:
        """
        A file that is not what its manifest says is no business of ours.
        """
        segment = old.path.with_name(named(1))
        content = change(segment.read_bytes())
        segment.chmod(0o600)
        segment.write_bytes(content)
        if is_packed:
            packed(segment)
            segment.unlink()

        self.assert_stays(old, f"{named(1)}.*: is not what its manifest says")
        assert [] == old.told

    def test_endless(self, old: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Of a file without an end no more is read than its manifest says, and a piece.
        """
        pieces = iter([b"x" * 1_000, b"x" * 1_000])
        monkeypatch.setattr(prune, "chunks", lambda _: pieces)

        self.assert_stays(old, "is not what its manifest says")
        assert b"x" * 1_000 == next(pieces)

    def test_damaged(self, old: Evidence) -> None:
        """
        Nor is one that cannot be unpacked, though another form of it can be read.
        """
        file = packed(old.path.with_name(named(1)))
        file.write_bytes(file.read_bytes()[:-5])

        self.assert_stays(old, "is damaged .*cut off")

    def test_old_name(self, old: Evidence) -> None:
        """
        A young file under an old one's name stays.
        """
        old.path.with_name(named(5)).replace(old.path.with_name(named(1)))

        self.assert_stays(old, "is not what its manifest says")

    def test_swapped(self, old: Evidence) -> None:
        """
        So it does when the two changed their names.
        """
        aside = old.path.with_name("aside")
        old.path.with_name(named(5)).rename(aside)
        old.path.with_name(named(1)).rename(old.path.with_name(named(5)))
        aside.rename(old.path.with_name(named(1)))

        self.assert_stays(old, "is not what its manifest says")

    @pytest.mark.parametrize("number", [9, 4])
    def test_new_name(self, old: Evidence, number: int) -> None:
        """
        A file under a new name is unknown, or one that does not follow on: all stays.
        """
        new = segment_name(NAME, FIRST + DAY, number)
        old.path.with_name(named(3)).rename(old.path.with_name(new))

        assert [False] * 5 == may_go(old)
        old.seal(old.path.with_name(new))
        assert [False] * 5 == may_go(old)

    def test_changed_meanwhile(self, old: Evidence) -> None:
        """
        A file that is exchanged while it goes stays, and the next one looks again.
        """

        def exchange(event: str, context: Mapping[str, Any]) -> bool:
            old.path.with_name(named(5)).replace(old.path.with_name(named(1)))
            return old.tell(event, context)

        with pytest.raises(PruneError, match="was changed meanwhile"):
            old.prune(tell=exchange)
        with pytest.raises(PruneError, match="is not what its manifest says"):
            old.prune()
        assert named(1) in old.full

    def test_no_regular_file(self, old: Evidence) -> None:
        """
        A link beside a segment is neither followed nor removed.
        """
        planted = old.path.with_name(f"{named(1)}.gz")
        planted.symlink_to(old.path)

        with pytest.raises(OSError, match="symbolic links"):
            old.prune()
        assert planted.is_symlink()
        assert named(1) in old.full

    @pytest.mark.parametrize("place", ["write_all", "sync_directory"])
    def test_full_disk(
        self, old: Evidence, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        """
        Where no tombstone can be written nothing goes, though it would make room.
        """
        before = old.full
        with monkeypatch.context() as patch:
            patch.setattr(opening, place, refusing(errno.ENOSPC))
            with pytest.raises(OSError, match="refused"):
                old.prune()
        assert before == old.full

        old.prune()
        old.assert_whole(2)

    def test_young(self, trail: Evidence) -> None:
        """
        Of a young trail nothing goes, however the clock is set, or confirmed.
        """
        steady(trail, 8)
        before = trail.full
        tried(trail, [trail.now + 10 * YEAR, trail.now - 10 * YEAR], confirmed=True)
        tried(trail, [trail.now], backup_count=1)

        assert before == trail.full
        assert [] == trail.told


GAPS = st.sampled_from([0.0, 3 * DAY, 3 * DAY, MAX_SILENCE, 60 * DAY])
ERRORS = st.sampled_from([None, None, None, 0.0, 10 * YEAR, -10 * YEAR])
DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(["touch", "remove", "rename", "swap", "forget", "copy"]),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    max_size=2,
)


def damage(trail: Evidence, kind: str, one: int, other: int) -> set[bytes]:
    """Do to two full files what somebody may; return the lines that it takes away."""
    files = [trail.path.with_name(name) for name in trail.full]
    if not files:
        return set()
    first, second = files[one % len(files)], files[other % len(files)]
    trail.count += 1
    new = first.with_name(segment_name(NAME, FIRST + 1, trail.count))
    if kind == "touch":
        os.utime(first, (0, 0))
        os.utime(second, (FIRST + 100 * YEAR,) * 2)
    elif kind == "remove":
        content = first.read_bytes()
        first.unlink()
        return set(content.splitlines(keepends=True))
    elif kind == "rename":
        first.rename(new)
    elif kind == "swap" and first != second:
        aside = first.with_name("aside")
        first.rename(aside)
        second.rename(first)
        aside.rename(second)
    elif kind == "copy":
        new.write_bytes(first.read_bytes())
        trail.seal(new)
    elif kind == "forget":
        folder = trail.path.parent / f".{NAME}.d"
        (folder / f"{first.name}.manifest").unlink(missing_ok=True)
    return set()


@given(
    st.lists(st.tuples(GAPS, ERRORS, st.booleans()), min_size=4, max_size=8),
    DAMAGES,
    st.sampled_from([0.0, 10 * YEAR, -10 * YEAR, 3 * DAY]),
    st.booleans(),
)
@example([(3 * DAY, None, False)] * 7, [], 0.0, False)
@example([(3 * DAY, None, True)] * 7, [("swap", 0, 5)], 0.0, False)
@example([(3 * DAY, None, False)] * 7, [("touch", 0, 5)], 10 * YEAR, True)
def test_no_young_record_is_lost(
    records: list[tuple[float, float | None, bool]],
    damages: list[tuple[str, int, int]],
    wrong_now: float,
    confirmed: bool,
) -> None:
    """
    Whatever is done to clocks and files, only what is old enough is gone afterwards.
    """
    with quick_disk() as folder:
        trail = Evidence(folder)
        true, wrong, written = FIRST + 20 * YEAR, 0.0, {}
        for number, (gap, error, is_packed) in enumerate(records):
            if number:
                trail.rotate(is_packed=is_packed and not damages)
            true, wrong = true + gap, wrong if error is None else error
            (line,) = trail.write(true + wrong)
            written[line] = true
        for each in damages:
            for line in damage(trail, *each):
                written.pop(line, None)

        for backup_count in (50, 1):
            tried(
                trail,
                [true + wrong, true + wrong + wrong_now],
                confirmed=confirmed,
                backup_count=backup_count,
            )

        gone = written.keys() - trail.lines
        assert all(true - written[line] >= OLD for line in gone)


def test_gz_is_read_as_it_is_written(old: Evidence) -> None:
    """
    A compressed file that somebody went on with is damaged, and stays.
    """
    file = packed(old.path.with_name(named(1)))
    old.path.with_name(named(1)).unlink()
    file.write_bytes(file.read_bytes() + gzip.compress(b"more\n"))

    with pytest.raises(PruneError, match="something follows"):
        old.prune()
    assert file.exists()
