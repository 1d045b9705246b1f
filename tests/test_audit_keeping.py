"""
The full segments of a trail are sealed, then compressed, and never removed.
"""

from __future__ import annotations

import errno
import gzip
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit import chain
from chimera_log.audit.chain import Key
from chimera_log.audit.keeping import TrailUpkeep
from chimera_log.audit.manifest import Manifests, digest
from chimera_log.audit.sealing import Sealing
from chimera_log.audit.trail import Rules
from chimera_log.files.aside import Aside
from chimera_log.files.compress import Compression, Turn
from chimera_log.files.names import segment_name
from chimera_log.files.policy import GZIP, NONE
from chimera_log.files.retention import Limits
from chimera_log.files.upkeep import Care
from tests.conftest import descriptors
from tests.logs import FIRST, POLICY, held, in_child, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHAIN = "c0ffee00" * 4
NAME = "executions.log"
RULES = Rules(
    key=None,
    retention_floor_days=1096,
    checkpoint_interval=0,
    checkpoint_records=0,
    reserve_bytes=0,
)


class Kept:
    """
    A trail's full segments, and who looks after them.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.aside = Aside(str(folder), NAME)
        self.manifests = Manifests(self.aside.path, NAME)
        self.troubles: list[tuple[str, str]] = []
        self.now = FIRST
        self.upkeep = TrailUpkeep(
            lambda kind, what: self.troubles.append((kind, what)), lambda: self.now
        )
        self._head = chain.begin(CHAIN)

    def add(self, count: int = 1) -> list[Path]:
        """Add so many segments of a line each; return where they are."""
        made = []
        for _ in range(count):
            number = self._head.seq + 1
            line, self._head = chain.linked(b'{"n":%d}\n' % number, self._head)
            made.append(self.folder / segment_name(NAME, FIRST, number))
            made[-1].write_bytes(line)
            made[-1].chmod(0o640)
        return made

    def care(self, *, rules: Rules = RULES, **policy: Any) -> Care:
        """Return what the engine would say; *policy* is what differs."""
        made = POLICY._replace(**{"compression": GZIP, **policy}, rules=rules)
        return Care(str(self.folder), NAME, self.aside, made)

    def look_after(self, **policy: Any) -> float | None:
        """Do all there is to do; return when there is more."""
        care = self.care(**policy)
        while (pause := self.upkeep.step(care)) == 0:
            pass
        return pause

    @property
    def entries(self) -> list[str]:
        """What the segments' names end with."""
        found = sorted(path.name for path in self.folder.glob(f"{NAME}.*"))
        return [name.partition("Z.")[2] for name in found]

    @property
    def sealed(self) -> list[int]:
        """The numbers of the segments that have a manifest."""
        return [int(name[-6:]) for name in self.manifests.known()]

    @property
    def contents(self) -> list[bytes]:
        """What the segments hold, in order."""
        return [
            gzip.decompress(path.read_bytes())
            if path.suffix == ".gz"
            else path.read_bytes()
            for path in sorted(self.folder.glob(f"{NAME}.*"))
        ]

    def assert_in_order(self) -> None:
        """Assert that each manifest has the digest of the one before."""
        before = None
        for name in self.manifests.known():
            found = self.manifests.load(name)
            assert found is not None
            assert before == found.sealed.previous
            before = digest(found.sealed)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Segments, on a disk that nobody waits for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    made = Kept(tmp_path)
    yield made
    made.upkeep.close()


class TestSealed:
    def test_and_compressed(self, kept: Kept) -> None:
        """
        Each is sealed and compressed, for nobody to write to.
        """
        kept.add(3)
        before = kept.contents
        assert kept.look_after() is None

        assert ["000001.gz", "000002.gz", "000003.gz"] == kept.entries
        assert before == kept.contents
        assert [1, 2, 3] == kept.sealed
        kept.assert_in_order()
        assert 3 == kept.upkeep.compressed
        modes = {stat.S_IMODE(path.stat().st_mode) for path in kept.folder.glob("*.gz")}
        assert {0o440} == modes
        assert [] == kept.troubles

    def test_not_compressed(self, kept: Kept) -> None:
        """
        Without compression they are sealed as they are.
        """
        [path] = kept.add()
        assert kept.look_after(compression=NONE) is None

        assert ["000001"] == kept.entries
        assert [1] == kept.sealed
        assert 0o440 == stat.S_IMODE(path.stat().st_mode)
        assert 0 == kept.upkeep.compressed

    def test_before_it_is_compressed(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        No segment is touched by a compressor before it has its manifest.
        """
        step = Compression.step

        def compress(work: Compression) -> bool:
            assert os.path.basename(work.path) in kept.manifests.known()  # noqa: PTH119
            return step(work)

        monkeypatch.setattr(Compression, "step", compress)
        kept.add(3)
        kept.look_after()

        assert [] == kept.troubles
        assert 3 == kept.upkeep.compressed

    def test_later(self, kept: Kept) -> None:
        """
        One that becomes full later is sealed behind the others.
        """
        kept.add(2)
        kept.look_after()
        kept.add(2)
        assert kept.look_after() is None
        assert [1, 2] == kept.sealed
        kept.upkeep.ask()
        kept.look_after()

        assert [1, 2, 3, 4] == kept.sealed
        kept.assert_in_order()

    def test_compressed_later(self, kept: Kept) -> None:
        """
        What is sealed is compressed when that is asked for, and not sealed again.
        """
        kept.add(2)
        kept.look_after(compression=NONE)
        before = [kept.manifests.load(name) for name in kept.manifests.known()]
        kept.upkeep.ask()
        kept.look_after()

        assert ["000001.gz", "000002.gz"] == kept.entries
        assert before == [kept.manifests.load(name) for name in kept.manifests.known()]

    def test_compressed_before(self, kept: Kept) -> None:
        """
        What was compressed before there was a trail is sealed in that form.
        """
        [path] = kept.add()
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        kept.add()
        kept.look_after()

        assert ["000001.gz", "000002.gz"] == kept.entries
        assert [1, 2] == kept.sealed
        kept.assert_in_order()

    def test_not_mended(self, kept: Kept) -> None:
        """
        Half a line at the end of a full file stays, and is in its manifest.
        """
        [path] = kept.add()
        torn = path.read_bytes() + b"half a line"
        path.write_bytes(torn)
        kept.look_after()

        assert [torn] == kept.contents
        found = kept.manifests.load(path.name)
        assert found is not None
        assert len(torn) == found.sealed.bytes

    def test_signed(self, kept: Kept) -> None:
        """
        With a key manifests are signed.
        """
        key = Key(b"sixteen bytes or more")
        [path] = kept.add()
        kept.look_after(rules=RULES._replace(key=key))

        assert Manifests(kept.aside.path, NAME, key).load(path.name) is not None

    def test_lowered_floor(self, kept: Kept) -> None:
        """
        A floor that was lowered is told, and holds.
        """
        kept.add()
        kept.look_after()
        [path] = kept.add()
        kept.upkeep.ask()
        kept.look_after(rules=RULES._replace(retention_floor_days=1))

        found = kept.manifests.load(path.name)
        assert found is not None
        assert 1096 == found.sealed.retention_floor_days
        assert ["floor"] == [kind for kind, _ in kept.troubles]

    def test_nothing_to_do(self, kept: Kept) -> None:
        """
        Where there are no segments no hidden folder is made.
        """
        (kept.folder / NAME).write_bytes(b"active\n")
        assert kept.look_after() is None

        assert [NAME] == [path.name for path in kept.folder.iterdir()]


class TestKept:
    @pytest.mark.parametrize("compression", [NONE, GZIP])
    @pytest.mark.parametrize(
        "limits", [Limits(0), Limits(1), Limits(1, 1, 1.0)], ids=str
    )
    def test_whatever_the_limits(
        self, kept: Kept, limits: Limits, compression: str
    ) -> None:
        """
        Nothing is removed, however many files there are, however large and however
        old, whatever the clock says and however often somebody looks.
        """
        kept.add(50)
        before = kept.contents
        for years in (0, 10, -10):
            kept.now = FIRST + years * 365.0 * 24 * 3600
            kept.upkeep.ask()
            kept.look_after(limits=limits, compression=compression)

        assert before == kept.contents
        assert list(range(1, 51)) == kept.sealed
        kept.assert_in_order()
        assert [] == kept.troubles

    def test_foreign_files(self, kept: Kept) -> None:
        """
        What has no segment's name, in whatever form, is not touched.
        """
        names = [f"{NAME}.1", f"{NAME}.1.gz", f"{NAME}.bak", "other", f"x{NAME}"]
        for name in [*names, f"{segment_name(NAME, FIRST, 9)}.zst"]:
            (kept.folder / name).write_bytes(b"precious\n")
            (kept.folder / name).chmod(0o640)
        before = {path.name: path.stat() for path in kept.folder.iterdir()}
        kept.add()
        kept.look_after(limits=Limits(1))

        after = {name: (kept.folder / name).stat() for name in before}
        assert before.keys() == after.keys()
        for name, was in before.items():
            assert (was.st_mtime_ns, was.st_ino, was.st_mode) == (
                after[name].st_mtime_ns,
                after[name].st_ino,
                after[name].st_mode,
            )
        assert [1] == kept.sealed

    @pytest.mark.parametrize("kind", ["folder", "link", "broken link", "pipe"])
    def test_no_files(self, kept: Kept, kind: str) -> None:
        """
        What has a segment's name and is no file holds up nobody, and stays.
        """
        path = kept.add(3)[1]
        path.unlink()
        elsewhere = kept.folder / "elsewhere"
        elsewhere.write_bytes(b"precious\n")
        elsewhere.chmod(0o640)
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("elsewhere" if kind == "link" else "nowhere")
        before = path.lstat().st_ino
        assert kept.look_after() is None

        assert [] == kept.troubles
        assert [1, 3] == kept.sealed
        assert before == path.lstat().st_ino
        assert 0o640 == stat.S_IMODE(elsewhere.stat().st_mode)


class TestBothForms:
    @pytest.fixture
    def both(self, kept: Kept) -> Path:
        """A segment beside its compressed form, of which one was about to go."""
        [path] = kept.add()
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        return path

    def test_compressed(self, kept: Kept, both: Path) -> None:
        """
        They are one segment, which is sealed once; then the raw form goes.
        """
        content = both.read_bytes()
        kept.look_after()

        assert ["000001.gz"] == kept.entries
        assert [content] == kept.contents
        assert [1] == kept.sealed

    def test_raw_is_believed(self, kept: Kept, both: Path) -> None:
        """
        Where they differ it is the raw form that is sealed.
        """
        packed = both.with_name(f"{both.name}.gz")
        packed.write_bytes(b"damaged")
        content = both.read_bytes()
        kept.look_after()

        assert ["000001.gz"] == kept.entries
        assert [content] == kept.contents
        assert [] == kept.troubles

    def test_not_compressed(self, kept: Kept, both: Path) -> None:
        """
        Without compression both stay.
        """
        assert kept.look_after(compression=NONE) is None

        assert ["000001", "000001.gz"] == kept.entries
        assert [1] == kept.sealed
        assert both.exists()


class TestTrouble:
    def test_stops_what_follows(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One that cannot be sealed is told and tried again a minute later, and neither
        it nor what follows it is compressed or sealed before.
        """
        kept.add(3)
        save, refused = Manifests.save, [2]

        def saving(manifests: Manifests, manifest: Any) -> None:
            if manifest.sealed.number in refused:
                raise OSError(errno.EACCES, "refused")
            save(manifests, manifest)

        monkeypatch.setattr(Manifests, "save", saving)
        assert 60.0 == kept.look_after()
        assert [
            ("seal", "cannot seal a full file: [Errno 13] refused")
        ] == kept.troubles
        assert ["000001.gz", "000002", "000003"] == kept.entries
        assert [1] == kept.sealed
        refused.clear()
        kept.now += 60.0

        assert kept.look_after() is None
        assert ["000001.gz", "000002.gz", "000003.gz"] == kept.entries
        assert [1, 2, 3] == kept.sealed
        kept.assert_in_order()

    def test_held_by_another(self, kept: Kept) -> None:
        """
        So does one that somebody holds, for a second and without a word.
        """
        paths = kept.add(3)
        with held(paths[1]):
            assert 1.0 == kept.look_after()
        assert ["000001.gz", "000002", "000003"] == kept.entries
        assert [1] == kept.sealed
        kept.now += 1.0

        assert kept.look_after() is None
        assert [1, 2, 3] == kept.sealed
        kept.assert_in_order()
        assert [] == kept.troubles

    def test_held_for_a_moment(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Also when he lets go of it before it would be compressed.
        """
        kept.add(2)
        with monkeypatch.context() as patch:
            patch.setattr(Sealing, "step", refusing(errno.EAGAIN))
            assert 1.0 == kept.look_after()

        assert ["000001", "000002"] == kept.entries
        assert [] == kept.sealed

    def test_not_compressed(self, kept: Kept) -> None:
        """
        One that cannot be compressed, but is sealed, holds up nobody.
        """
        paths = kept.add(3)
        kept.look_after(compression=NONE)
        kept.add(2)
        for path in (paths[0], paths[1]):
            path.with_name(f"{path.name}.gz").mkdir()  # in the way
        kept.upkeep.ask()
        assert 60.0 == kept.look_after()

        assert ["compress", "compress"] == [kind for kind, _ in kept.troubles]
        assert [1, 2, 3, 4, 5] == kept.sealed
        assert {"000003.gz", "000004.gz", "000005.gz"} < set(kept.entries)

    def test_full_disk(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where there is no room for a manifest, one try is made.
        """
        kept.add(3)
        monkeypatch.setattr(Manifests, "save", refusing(errno.ENOSPC))
        assert 60.0 == kept.look_after()

        assert ["seal"] == [kind for kind, _ in kept.troubles]
        assert ["000001", "000002", "000003"] == kept.entries

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
    def test_manifests_unreadable(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """
        Where the hidden folder cannot be looked at, that is told, and tried again.
        """
        kept.add()
        with monkeypatch.context() as patch:
            patch.setattr(Manifests, "known", refusing(code))
            assert 60.0 == kept.look_after()
        assert ["compress"] == [kind for kind, _ in kept.troubles]
        assert ["000001"] == kept.entries
        kept.now += 60.0

        assert kept.look_after() is None
        assert [1] == kept.sealed

    def test_gone_meanwhile(self, kept: Kept) -> None:
        """
        A segment that somebody moves away before its turn is no trouble.
        """
        paths = kept.add(3)
        assert 0 == kept.upkeep.step(kept.care())
        paths[1].unlink()
        kept.look_after()

        assert ["000001.gz", "000003.gz"] == kept.entries
        assert [1, 3] == kept.sealed
        assert [] == kept.troubles


class TestTurn:
    def test_of_another(self, kept: Kept) -> None:
        """
        While another process has the turn nothing is done; then it is ours.
        """
        kept.add()
        other = Turn(kept.aside.path)
        assert other.take()
        assert 1.0 == kept.look_after()
        assert [] == kept.sealed
        other.release()
        kept.now += 1.0

        assert kept.look_after() is None
        assert [1] == kept.sealed
        assert other.take()
        other.release()

    def test_done_by_another(self, kept: Kept) -> None:
        """
        What another process did meanwhile is not done again.
        """
        kept.add(3)
        ours, theirs = kept.upkeep, Kept(kept.folder)
        assert 0 == ours.step(kept.care())
        assert 1.0 == theirs.look_after()
        kept.look_after()
        before = [kept.manifests.load(name) for name in kept.manifests.known()]
        theirs.now += 1.0
        assert theirs.look_after() is None

        assert before == [kept.manifests.load(name) for name in kept.manifests.known()]
        assert 0 == theirs.upkeep.compressed

    @pytest.mark.parametrize("steps", range(1, 8))
    def test_dies(self, kept: Kept, steps: int) -> None:
        """
        Wherever a process dies another one goes on, in order.
        """
        kept.add(2)
        content = kept.contents

        def work() -> bool:
            for _ in range(steps):
                kept.upkeep.step(kept.care())
            return True

        assert in_child(work)
        assert kept.look_after() is None
        assert content == kept.contents
        assert [1, 2] == kept.sealed
        kept.assert_in_order()
        assert [] == list((kept.folder / f".{NAME}.d").glob("*.partial"))

    def test_left_by_the_dead(self, kept: Kept) -> None:
        """
        Half a compressed file that a dead process left goes, though there is nothing
        else to do; manifests and what else lies there stay.
        """
        kept.add()
        kept.look_after()
        hidden = kept.folder / f".{NAME}.d"
        before = {path.name for path in hidden.iterdir()}
        (hidden / "00.gz.partial").write_bytes(b"half")
        kept.upkeep.ask()
        kept.look_after()

        assert before == {path.name for path in hidden.iterdir()}


class TestFork:
    def test_amid_the_work(self, kept: Kept) -> None:
        """
        A child lets go of what its parent does, and the parent goes on.
        """
        [path] = kept.add()
        while str(path) not in descriptors().values():
            assert 0 == kept.upkeep.step(kept.care())

        def work() -> bool:
            kept.upkeep.after_fork()
            return str(path) not in descriptors().values()

        assert in_child(work)
        kept.look_after()
        assert [1] == kept.sealed

    def test_at_rest(self, kept: Kept) -> None:
        """
        So does whoever is stopped, and begins again.
        """
        [path] = kept.add()
        while str(path) not in descriptors().values():
            assert 0 == kept.upkeep.step(kept.care())
        kept.upkeep.close()
        assert str(path) not in descriptors().values()
        kept.look_after()

        assert [1] == kept.sealed


class TestForecast:
    """What is said of how long the files will hold."""

    @pytest.fixture
    def told(self, caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
        """Return the context of each forecast so far."""
        caplog.set_level("INFO", chain.OURS)

        def told() -> list[Any]:
            assert {"audit_forecast"} >= {each.message for each in caplog.records}
            return [each.context for each in caplog.records]  # type: ignore[attr-defined]

        return told

    def add_days(self, kept: Kept, count: int) -> None:
        """Add segments of a day each, of two lines that are half a day apart."""
        for day in range(count):
            (path,) = kept.add()
            lines = [
                b'{"timestamp":"2025-10-%02dT%02d:00:00.000000Z"}\n' % (day + 1, hour)
                for hour in (0, 12)
            ]
            path.write_bytes(b"".join([*lines, path.read_bytes()]))

    def test_sealed(self, kept: Kept, told: Callable[[], list[Any]]) -> None:
        """
        When segments were sealed it is said once, with what the disk holds of them.
        """
        self.add_days(kept, 4)
        kept.look_after(max_bytes=10_000)
        (context,) = told()

        # The trail's life: from the first noon but one to the last, half a day a step.
        packed = sum(path.stat().st_size for path in kept.folder.glob("*.gz"))
        assert "100 segments hold" in context["text"]
        assert NAME == context["trail"]
        assert 1096 * packed / 3.5 == pytest.approx(context["bytes"])

    def test_restart(self, kept: Kept, told: Callable[[], list[Any]]) -> None:
        """
        It is said at the start as well, though there is nothing to do; and not again.
        """
        self.add_days(kept, 4)
        kept.look_after(max_bytes=10_000)
        again = TrailUpkeep(lambda *_: None, lambda: kept.now)
        assert again.step(kept.care(max_bytes=10_000)) == 0
        again.step(kept.care(max_bytes=10_000))
        again.step(kept.care(max_bytes=10_000))
        again.close()

        assert 2 == len(told())

    def test_too_early(self, kept: Kept, told: Callable[[], list[Any]]) -> None:
        """
        Nothing is said while there is too little to tell.
        """
        kept.add(1)
        kept.look_after(max_bytes=10_000)

        assert [] == told()

    def test_damaged(self, kept: Kept, told: Callable[[], list[Any]]) -> None:
        """
        A manifest that cannot be read is left out.
        """
        self.add_days(kept, 4)
        kept.look_after(max_bytes=10_000)
        (
            kept.folder / f".{NAME}.d" / f"{kept.manifests.known()[0]}.manifest"
        ).write_bytes(b"{}")
        again = TrailUpkeep(lambda *_: None, lambda: kept.now)
        while again.step(kept.care(max_bytes=10_000)) == 0:
            pass
        again.close()

        first, second = told()
        assert first["rate"] != second["rate"]
