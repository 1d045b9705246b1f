"""
A full segment gets a manifest that says exactly what it holds, or none at all.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import os
import stat
from contextlib import suppress
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import chain, sealing
from chimera_log.audit.manifest import (
    Manifest,
    ManifestError,
    Manifests,
    Sealed,
    digest,
)
from chimera_log.audit.retain import DAY, TrailClock, see_all
from chimera_log.audit.sealing import Sealing
from chimera_log.files import opening
from chimera_log.files.compress import Compression
from chimera_log.files.names import segment_name, time_of_line
from tests.conftest import descriptors
from tests.logs import FIRST, held, in_child, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN = "c0ffee00" * 4
NAME = "executions.log"
FLOOR = 1096
FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
PLAIN = b'{"event":"a line of another program"}\n'


def lines(*moments: float, name: str = CHAIN) -> list[bytes]:
    """Return chained lines of these moments, in seconds after the first."""
    made, head = [], chain.begin(name)
    for moment in moments:
        text = b'{"timestamp":"%b","level":"INFO"}\n' % told(moment).encode()
        line, head = chain.linked(text, head)
        made.append(line)
    return made


def told(moment: float) -> str:
    """Return how a line tells *moment*, in seconds after the first."""
    shown = datetime.fromtimestamp(FIRST + moment, tz=timezone.utc)
    return shown.strftime(FORM)


THREE = lines(0.25, 1.5, 2.75)
CONTENT = b"".join(THREE)


class Place:
    """
    Full segments in a folder of their own, and their manifests.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hidden = folder / f".{NAME}.d"
        self.manifests = Manifests(str(self.hidden), NAME)
        self.troubles: list[tuple[str, str]] = []

    def path(self, number: int = 1) -> Path:
        """Return where a segment is."""
        return self.folder / segment_name(NAME, FIRST, number)

    def add(self, content: bytes, number: int = 1, *, packed: bool = False) -> Path:
        """Add a segment that holds *content*."""
        path = self.path(number)
        if packed:
            path, content = path.with_name(f"{path.name}.gz"), gzip.compress(content)
        path.write_bytes(content)
        path.chmod(0o640)
        return path

    def sealing(self, path: Path, floor: float = FLOOR) -> Sealing:
        """Return what seals the segment at *path*, as any process would make it."""
        return Sealing(
            str(path),
            NAME,
            self.manifests,
            floor,
            lambda kind, what: self.troubles.append((kind, what)),
        )

    def sealed(self, number: int = 1) -> Sealed | None:
        """Return what the manifest of a segment says, if it has one."""
        found = self.manifests.load(self.path(number).name)
        return None if found is None else found.sealed

    def seal(
        self, content: bytes, number: int = 1, *, packed: bool = False
    ) -> Sealed | None:
        """Add a segment and seal it; return what its manifest says."""
        finish(self.sealing(self.add(content, number, packed=packed)))
        return self.sealed(number)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return an empty place, on a disk that nobody waits for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return Place(tmp_path)


def finish(work: Sealing) -> int:
    """Do all there is to do; return how many steps that took."""
    steps = 1
    while work.step():
        steps += 1
        assert steps < 10_000
    return steps


def modelled(content: bytes, number: int = 1) -> Sealed:
    """Return what the manifest of the first segment has to say of *content*."""
    whole = [line + b"\n" for line in content.split(b"\n")[:-1]]
    links = [link for link in map(chain.link_of, whole) if link is not None]
    times = [told_by(line) for line in whole]
    clock = see_all(TrailClock(), (time_of_line(line[:100]) for line in whole))
    return Sealed(
        v=1,
        segment=segment_name(NAME, FIRST, number),
        number=number,
        chain=links[-1].chain if links else None,
        first_seq=links[0].seq if links else 0,
        last_seq=links[-1].seq if links else 0,
        lines=len(whole),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        head=links[-1].hash if links else None,
        first_time=times[0] if times else None,
        last_time=times[-1] if times else None,
        elapsed=clock.elapsed,
        latest=clock.latest,
        retention_floor_days=FLOOR,
        previous=None,
    )


def told_by(line: bytes) -> str | None:
    """Return the time that *line* tells, if it is like ours."""
    start, _, rest = line.partition(b'{"timestamp":"')
    with suppress(ValueError):
        if not start:
            datetime.strptime(rest[:27].decode(), FORM)
            return rest[:27].decode()
    return None


CONTENTS = {
    "lines": CONTENT,
    "one line": THREE[0],
    "empty": b"",
    "torn": CONTENT + b'{"timestamp":"2025-10-27T08:3',
    "only torn": b'{"timestamp":"2025-10-27T08:3',
    "from before": PLAIN + PLAIN,
    "foreign between": b"".join([PLAIN, THREE[0], PLAIN, THREE[1], PLAIN]),
    "empty lines": b"\n\n" + CONTENT + b"\n",
    "no time at the end": CONTENT + b'{"timestamp":"soon"}\n'.replace(b"timest", b"t"),
    "not UTF-8": CONTENT + b"\xff\xfe\0\r\x85\n",
}


class TestManifest:
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
    def test_says_what_it_holds(
        self, place: Place, content: bytes, *, packed: bool
    ) -> None:
        """
        The manifest says what the bytes say, whatever form they are in.
        """
        assert modelled(content) == place.seal(content, packed=packed)
        assert [] == place.troubles

    def test_wherever_a_chunk_ends(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        It does so wherever reading pauses.
        """
        content = b"".join([b"\n", PLAIN, *THREE[:2], b"\n", PLAIN, b"half a line"])
        path = place.add(content)
        expected = modelled(content)
        for end in range(len(content) + 1):
            pieces = [content[:end], content[end:]]
            monkeypatch.setattr(sealing, "chunks", lambda _, found=pieces: iter(found))
            assert 4 == finish(place.sealing(path))
            assert expected == place.sealed(), end

    def test_byte_by_byte(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Also a byte at a time.
        """
        monkeypatch.setattr("chimera_log.files.compress.CHUNK", 1)

        assert modelled(CONTENT) == place.seal(CONTENT)

    def test_another_form_of_time(self, place: Place) -> None:
        """
        What tells its time in another way than ours, as a file from before the trail
        may, counts for the trail's age, and is not quoted.
        """
        text = (
            b"2025-10-27 08:38:00,123 INFO started\n2025-10-27 08:38:05,000 INFO on\n"
        )
        sealed = place.seal(text)

        assert sealed is not None
        assert (None, None) == (sealed.first_time, sealed.last_time)
        assert (5.0, FIRST + 5.0) == (sealed.elapsed, sealed.latest)

    def test_no_date(self, place: Place) -> None:
        """
        Digits that are no date are no time.
        """
        sealed = place.seal(b'{"timestamp":"2025-13-27T08:38:00.000000Z"}\n')

        assert sealed is not None
        assert (None, None, 0.0) == (sealed.first_time, sealed.latest, sealed.elapsed)

    @pytest.mark.parametrize("where", ["first", "last"])
    def test_longer_than_any_line(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        """
        Of what is longer than any line of ours only a part is in memory, which tells
        all that matters.
        """
        monkeypatch.setattr(chain, "MAX_LINE_BYTES", 1_000)
        monkeypatch.setattr("chimera_log.files.compress.CHUNK", 500)
        start = b'{"timestamp":"%b","x":"%b"}\n' % (told(9).encode(), b"x" * 10_000)
        long, _ = chain.linked(start, chain.begin(CHAIN))
        content = long + CONTENT if where == "first" else CONTENT + long

        assert modelled(content) == place.seal(content)


PIECES = st.one_of(
    st.sampled_from([*THREE, PLAIN, b"\n", b"\0", b'{"timestamp":"', b"torn"]),
    st.builds(lambda moment: lines(moment)[0], st.integers(-20 * DAY, 20 * DAY)),
)


@given(st.lists(PIECES, max_size=6), st.integers(10, 500))
def test_as_in_one_piece(pieces: list[bytes], chunk: int) -> None:
    """
    Whatever a segment holds, and however much is read at a time, its manifest says
    the same.
    """
    content = b"".join(pieces)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("chimera_log.files.compress.CHUNK", chunk)
        patch.setattr(os, "fsync", lambda _: None)
        sealed = Place(Path(folder)).seal(content)

    assert modelled(content) == sealed


class TestOrder:
    def test_first(self, place: Place) -> None:
        """
        The first manifest has none before it.
        """
        sealed = place.seal(CONTENT)

        assert sealed is not None
        assert sealed.previous is None

    def test_next(self, place: Place) -> None:
        """
        Each has the digest of the one before, by number, whatever the gap.
        """
        numbers = [1, 2, 9, 999_999, 1_000_000]
        found = [place.seal(CONTENT, number) for number in numbers]

        for before, after in pairwise(found):
            assert before is not None
            assert after is not None
            assert digest(before) == after.previous

    def test_not_the_one_after(self, place: Place) -> None:
        """
        A segment that comes back is described by what was before it.
        """
        first = place.seal(CONTENT, 1)
        place.seal(CONTENT, 3)
        second = place.seal(CONTENT, 2)

        assert first is not None
        assert second is not None
        assert digest(first) == second.previous

    def test_gone(self, place: Place) -> None:
        """
        The one before may be gone: its manifest stays.
        """
        first = place.seal(CONTENT, 1)
        place.path(1).unlink()
        second = place.seal(CONTENT, 2)

        assert first is not None
        assert second is not None
        assert digest(first) == second.previous

    @pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
    def test_damaged(self, place: Place, damage: bytes) -> None:
        """
        A manifest that is damaged is passed over; it is `verify` that names it.
        """
        first = place.seal(CONTENT, 1)
        place.seal(CONTENT, 2)
        place.hidden.joinpath(f"{place.path(2).name}.manifest").write_bytes(damage)
        third = place.seal(CONTENT, 3)

        assert first is not None
        assert third is not None
        assert digest(first) == third.previous
        with pytest.raises(ManifestError):
            place.sealed(2)

    def test_gone_in_the_moment(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One that goes while it is looked for is none.
        """
        place.seal(CONTENT, 1)
        monkeypatch.setattr(Manifests, "load", lambda *_: None)
        finish(place.sealing(place.add(CONTENT, 2)))
        monkeypatch.undo()

        second = place.sealed(2)
        assert second is not None
        assert second.previous is None

    def test_time_goes_on(self, place: Place) -> None:
        """
        The trail's age goes on where the segment before ended.
        """
        place.seal(b"".join(lines(0, 10)), 1)
        second = place.seal(b"".join(lines(15, 17)), 2)

        assert second is not None
        assert (7.0, FIRST + 17.0) == (second.elapsed, second.latest)

    def test_without_time(self, place: Place) -> None:
        """
        A segment that tells no time takes none, and the next one goes on.
        """
        place.seal(b"".join(lines(0, 10)), 1)
        second = place.seal(PLAIN, 2)
        third = place.seal(b"".join(lines(12)), 3)

        assert second is not None
        assert (0.0, FIRST + 10.0) == (second.elapsed, second.latest)
        assert third is not None
        assert (2.0, FIRST + 12.0) == (third.elapsed, third.latest)


class TestFloor:
    def test_promised(self, place: Place) -> None:
        """
        The manifest has the days that were asked for.
        """
        finish(place.sealing(place.add(CONTENT), floor=2000))

        sealed = place.sealed()
        assert sealed is not None
        assert 2000 == sealed.retention_floor_days

    @pytest.mark.parametrize("floor", [FLOOR, FLOOR + 1])
    def test_kept_or_raised(self, place: Place, floor: int) -> None:
        """
        The promise may be repeated, and raised.
        """
        place.seal(CONTENT, 1)
        finish(place.sealing(place.add(CONTENT, 2), floor))

        sealed = place.sealed(2)
        assert sealed is not None
        assert floor == sealed.retention_floor_days
        assert [] == place.troubles

    def test_lowered(self, place: Place) -> None:
        """
        It cannot be lowered: what was promised holds, for all that follow, and each
        time that is told.
        """
        place.seal(CONTENT, 1)
        for number in (2, 3):
            finish(place.sealing(place.add(CONTENT, number), floor=30))

        found = [place.sealed(number) for number in (1, 2, 3)]
        assert [FLOOR] * 3 == [each and each.retention_floor_days for each in found]
        assert (
            "floor",
            "retention_floor_days: 30 is less than the 1096 that "
            f"{place.path(1).name} was promised; 1096 days hold",
        ) == place.troubles[0]
        assert ["floor", "floor"] == [kind for kind, _ in place.troubles]


class TestMeanwhile:
    def test_steps(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        There is a pause after each chunk, and nothing is written before the last step.
        """
        monkeypatch.setattr("chimera_log.files.compress.CHUNK", 100)
        work = place.sealing(place.add(CONTENT))
        for _ in range(-(-len(CONTENT) // 100) + 1):
            assert work.step()
            assert place.sealed() is None

        assert not work.step()
        assert modelled(CONTENT) == place.sealed()

    def test_grown(self, place: Place) -> None:
        """
        A segment to which somebody wrote one line more is read again.
        """
        path = place.add(CONTENT)
        work = place.sealing(path)
        work.step()
        with path.open("ab") as file:
            file.write(PLAIN)
        finish(work)

        assert modelled(CONTENT + PLAIN) == place.sealed()

    def test_grown_after_it_was_read(self, place: Place) -> None:
        """
        Also when that was after its last byte was read.
        """
        path = place.add(CONTENT)
        work = place.sealing(path)
        work.step()
        work.step()
        with path.open("ab") as file:
            file.write(PLAIN)
        assert work.step()
        assert place.sealed() is None
        finish(work)

        assert modelled(CONTENT + PLAIN) == place.sealed()

    def test_cut(self, place: Place) -> None:
        """
        Or one that was cut.
        """
        path = place.add(CONTENT)
        work = place.sealing(path)
        work.step()
        work.step()
        os.truncate(path, len(THREE[0]))
        finish(work)

        assert modelled(THREE[0]) == place.sealed()

    def test_locked(self, place: Place) -> None:
        """
        While somebody holds the segment's lock it gets no manifest; later it does.
        """
        path = place.add(CONTENT)
        work = place.sealing(path)
        with held(path), pytest.raises(BlockingIOError) as caught:
            finish(work)
        assert str(path) == caught.value.filename
        assert place.sealed() is None
        finish(work)

        assert modelled(CONTENT) == place.sealed()

    def test_holds_the_lock(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        While the manifest is written nobody else has the lock; then anybody has.
        """
        path = place.add(CONTENT)
        save = Manifests.save

        def locked(manifests: Manifests, manifest: Manifest) -> None:
            with pytest.raises(BlockingIOError), held(path):
                pass
            save(manifests, manifest)

        monkeypatch.setattr(Manifests, "save", locked)
        finish(place.sealing(path))

        with held(path):
            assert modelled(CONTENT) == place.sealed()

    def test_no_locks(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where there are no locks nobody is asked.
        """
        monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))

        assert modelled(CONTENT) == place.seal(CONTENT)

    def test_gone(self, place: Place) -> None:
        """
        There is nothing to do for a segment that is gone.
        """
        path = place.add(CONTENT)
        path.unlink()

        assert not place.sealing(path).step()
        assert place.sealed() is None

    def test_compressed_meanwhile(self, place: Place) -> None:
        """
        Nor for one that is compressed, and so sealed, by another process.
        """
        path = place.add(CONTENT)
        work = place.sealing(path)
        finish(place.sealing(path))
        expected = place.sealed()
        packing = Compression(str(path), str(place.hidden), 0o440)
        while packing.step():
            pass

        assert not work.step()
        assert expected == place.sealed()


class TestMode:
    @pytest.mark.parametrize(("mode", "expected"), [(0o640, 0o440), (0o666, 0o444)])
    def test_read_only(self, place: Place, mode: int, expected: int) -> None:
        """
        Nobody may write to it any more; who may read it still may.
        """
        path = place.add(CONTENT)
        path.chmod(mode)
        finish(place.sealing(path))

        assert expected == stat.S_IMODE(path.stat().st_mode)

    def test_before_its_manifest(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whoever has a manifest may only be read, though we die while we write it.
        """
        path = place.add(CONTENT)
        monkeypatch.setattr(Manifests, "save", refusing(errno.EIO))
        with pytest.raises(OSError, match="refused"):
            finish(place.sealing(path))

        assert 0o440 == stat.S_IMODE(path.stat().st_mode)

    @pytest.mark.parametrize("code", [errno.EPERM, None])
    def test_none(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, code: int | None
    ) -> None:
        """
        A file system or a system without modes is no trouble.
        """
        if code is None:
            monkeypatch.delattr(os, "fchmod")
        else:
            place.hidden.mkdir()  # by us, who need the call
            monkeypatch.setattr(os, "fchmod", refusing(code))

        assert modelled(CONTENT) == place.seal(CONTENT)


CALLS = ["open", "read", "fsync", "fstat", "replace", "write", "mkdir", "listdir"]


class TestTrouble:
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("name", CALLS)
    @pytest.mark.parametrize("at", range(4))
    def test_interrupted(
        self,
        place: Place,
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        at: int,
        *,
        packed: bool,
    ) -> None:
        """
        Whatever call fails, there is either no manifest or a whole one, no file is
        left open, and the next try succeeds.
        """
        before = place.seal(CONTENT, 1)
        path = place.add(CONTENT, 2, packed=packed)
        work, opened = place.sealing(path), len(descriptors())
        call, calls = getattr(os, name), iter(range(1_000))

        def failing(*args: Any, **options: Any) -> Any:
            if next(calls) == at:
                raise OSError(errno.EIO, "refused")
            return call(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing)
            try:
                finish(work)
            except OSError as error:
                assert errno.EIO == error.errno  # noqa: PT017  it need not be raised
        assert opened == len(descriptors())
        expected = modelled(CONTENT, 2)
        assert before is not None
        again = TrailClock(before.latest)
        expected = expected._replace(
            previous=digest(before), elapsed=again.elapsed, latest=expected.latest
        )
        assert place.sealed(2) in {None, expected}

        finish(work)
        assert expected == place.sealed(2)
        assert opened == len(descriptors())
        assert CONTENT in {path.read_bytes(), gzip_content(path)}

    @pytest.mark.parametrize("damage", ["cut", "changed", "longer"])
    def test_damaged(self, place: Place, damage: str) -> None:
        """
        A compressed segment that is damaged is named, and gets no manifest.
        """
        path = place.add(CONTENT, packed=True)
        whole = path.read_bytes()
        damaged = {
            "cut": whole[:-5],
            "changed": whole[:30] + bytes([whole[30] ^ 255]) + whole[31:],
            "longer": whole + b"more",
        }
        path.write_bytes(damaged[damage])

        with pytest.raises(OSError, match="is damaged") as caught:
            finish(place.sealing(path))
        assert str(path) == caught.value.filename
        assert place.sealed() is None

    def test_link(self, place: Place) -> None:
        """
        A link that somebody planted is not followed.
        """
        place.add(CONTENT, 2).rename(place.folder / "elsewhere")
        place.path(1).symlink_to("elsewhere")

        with pytest.raises(OSError, match=place.path(1).name):
            finish(place.sealing(place.path(1)))
        assert 0o640 == stat.S_IMODE((place.folder / "elsewhere").stat().st_mode)

    def test_synced_first(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The disk has the segment and its name before it has a manifest.
        """
        synced: list[str] = []

        def noted(fd: int) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)

        path = place.add(CONTENT)
        monkeypatch.setattr(os, "fsync", noted)
        finish(place.sealing(path))

        manifest = f"{path.name}.manifest.new"
        assert [path.name, place.folder.name, manifest, place.hidden.name] == synced


class TestLetGo:
    @pytest.fixture(params=[1, 2])
    def begun(self, place: Place, request: pytest.FixtureRequest) -> Iterator[Sealing]:
        """A sealing after so many steps."""
        work = place.sealing(place.add(CONTENT))
        for _ in range(request.param):
            work.step()
        yield work
        work.abandon()

    def test_abandon(self, place: Place, begun: Sealing) -> None:
        """
        What is half done is let go of, and begun again.
        """
        assert str(place.path()) in descriptors().values()
        begun.abandon()
        assert str(place.path()) not in descriptors().values()
        begun.abandon()
        finish(begun)

        assert modelled(CONTENT) == place.sealed()

    def test_after_fork(self, place: Place, begun: Sealing) -> None:
        """
        A child closes its parent's file, and its parent goes on.
        """

        def work() -> bool:
            begun.after_fork()
            return str(place.path()) not in descriptors().values()

        assert in_child(work)
        assert str(place.path()) in descriptors().values()
        assert work()
        finish(begun)
        assert modelled(CONTENT) == place.sealed()

    def test_closed_behind_our_back(self, begun: Sealing) -> None:
        """
        A file that somebody closed raises nothing.
        """
        os.close(begun._fd)
        begun.abandon()

    def test_by_a_signal(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What a signal handler raises comes out, and leaves nothing open.
        """

        def interrupt(_: str) -> None:
            raise KeyboardInterrupt

        work = place.sealing(place.add(CONTENT))
        with monkeypatch.context() as patch:
            patch.setattr(opening, "sync_directory", interrupt)
            with pytest.raises(KeyboardInterrupt):
                finish(work)
        assert str(place.path()) not in descriptors().values()
        finish(work)

        assert modelled(CONTENT) == place.sealed()


def gzip_content(path: Path) -> bytes:
    """Return what a compressed file holds; nothing, if it is none."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else b""
