"""
What was archived comes back, byte for byte, and stays for a while: restored archives.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from chimera_log.audit.bucket import Bucket
from chimera_log.audit.chain import Key, begin
from chimera_log.audit.manifest import Restored, encode
from chimera_log.audit.restore import Restoring
from chimera_log.audit.retain import DAY
from chimera_log.audit.verify import verify
from chimera_log.aws.session import CallFailed
from chimera_log.files.compress import Turn
from chimera_log.files.names import segment_name
from tests.evidence import NAME, Evidence
from tests.logs import FIRST
from tests.s3 import PUT_ONLY, Desk, desks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chimera_log.audit.manifest import Manifest

KEY = Key(b"0123456789abcdef")


def named(number: int) -> str:
    """Return the name of a full file."""
    return segment_name(NAME, FIRST, number)


class Back:
    """
    What brings files of a desk's trail back.

    Args:
        desk: Whose.
        folder: Where to; beside the live ones by default.
        keys: Of the trail.
    """

    def __init__(
        self, desk: Desk, folder: Path | None = None, keys: tuple[Key, ...] = ()
    ) -> None:
        self.notes: list[str] = []
        self.folder = folder or desk.trail.path.parent
        now = desk.trail.now
        self.restored = Restored(now, now + 30 * DAY, "test")
        self.restoring = Restoring(
            str(self.folder / NAME),
            desk.archive,
            Bucket(desk.archive),
            keys=keys,
            host="desk",
            restored=self.restored,
            on_note=self.notes.append,
        )

    def wanted(self, first: str = "", last: str = "") -> list[str]:
        """Return the names of the files of these days."""
        found = self.restoring.wanted(first, last)
        return [str(each.sealed.segment) for each in found]

    def all(self) -> list[Manifest]:
        """Return the manifests of all files that are not here."""
        return [
            each
            for each in self.restoring.wanted("", "")
            if not self.restoring.is_here(each)
        ]

    def run(self) -> list[str | None]:
        """Bring all back; return what is wrong with each."""
        with self.restoring.turn():
            return [self.restoring.attempt(each) for each in self.all()]


@pytest.fixture(autouse=True)
def _all_closed() -> Iterator[None]:
    """Close what a test leaves open."""
    yield
    for each in list(desks):
        each.archiving.close()


@pytest.fixture(autouse=True)
def _quick_disk() -> Iterator[None]:
    """No disk is synced: there are many steps."""
    with mock.patch.object(os, "fsync"):
        yield


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A trail of four full files, a day each; all are archived, and two are gone."""
    (tmp_path / "desk").mkdir()
    made = Desk(tmp_path / "desk")
    for day in range(4):
        made.trail.write(FIRST + day * DAY, FIRST + day * DAY + 60)
        made.trail.rotate(is_packed=True)
    made.trail.write(*(FIRST + day * DAY for day in range(4, 11)))
    made.run()
    assert [f"{named(3)}.gz", f"{named(4)}.gz"] == made.trail.full
    return made


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder on another machine."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


class TestBeside:
    """Where the trail is, whose manifests are there."""

    def test_brought_back(self, desk: Desk) -> None:
        """
        What had gone is there again, for reading only, and all of it verifies.
        """
        back = Back(desk)
        assert [None, None] == back.run()

        assert [f"{named(number)}.gz" for number in (1, 2, 3, 4)] == desk.trail.full
        assert (
            0o440 == desk.trail.path.with_name(f"{named(1)}.gz").stat().st_mode & 0o777
        )
        assert [] == back.notes
        desk.trail.assert_whole(0)
        assert [] == [
            each.name
            for each in (desk.trail.path.parent / f".{NAME}.d").iterdir()
            if each.suffix == ".restoring"
        ]

    def test_manifest(self, desk: Desk) -> None:
        """
        The manifest says until when it stays, and when it had gone.
        """
        before = desk.trail.manifest(named(1))
        back = Back(desk)
        back.run()

        assert before.tombstone is not None
        assert before._replace(restored=back.restored) == desk.trail.manifest(named(1))

    def test_stays(self, desk: Desk) -> None:
        """
        It stays for as long as was asked for; then it goes again, like all others.
        """
        Back(desk).run()
        desk.run_for(2 * 3600)
        assert f"{named(1)}.gz" in desk.trail.full

        desk.trail.write(*(FIRST + day * DAY for day in range(11, 42)))
        desk.run_for(2 * 3600)
        assert [] == desk.trail.full
        desk.trail.assert_whole(4)

    def test_nothing_to_do(self, desk: Desk) -> None:
        """
        What is here, in whatever form, is not asked for.
        """
        back = Back(desk)
        back.run()
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
        calls = desk.s3.calls.count("get_object")

        assert [] == Back(desk).run()
        assert calls == desk.s3.calls.count("get_object")

    def test_changed_behind(self, desk: Desk) -> None:
        """
        Who overwrote or deleted an object does not matter: its version is asked for.
        """
        keys = [each.key for each in desk.s3.named("data/")]
        desk.s3.add(keys[0], b"forged")
        desk.s3.add(keys[1], None)

        assert [None, None] == Back(desk).run()
        desk.trail.assert_whole(0)

    def test_not_listed(self, desk: Desk) -> None:
        """
        Where S3 may not be listed, the manifests that are here are enough.
        """
        desk.s3.allowed = ("get_object",)
        back = Back(desk)

        assert [None, None] == back.run()
        (note,) = back.notes
        assert "may not be listed, which takes s3:ListBucketVersions" in note

    @pytest.mark.parametrize(
        ("first", "last", "expected"),
        [
            ("", "", [1, 2, 3, 4]),
            ("2025-10-28", "", [2, 3, 4]),
            ("", "2025-10-28", [1, 2]),
            ("2025-10-28", "2025-10-29", [2, 3]),
            ("2025-10-31", "", []),
            ("", "2025-10-26", []),
        ],
    )
    def test_days(self, desk: Desk, first: str, last: str, expected: list[int]) -> None:
        """
        Files with records of some days are wanted.
        """
        assert [named(number) for number in expected] == Back(desk).wanted(first, last)

    def test_long_file(self, tmp_path: Path) -> None:
        """
        A file that goes over several days is wanted for each of them.
        """
        desk = Desk(tmp_path)
        desk.trail.write(FIRST, FIRST + 3 * DAY)
        desk.trail.rotate(is_packed=True)
        desk.run()

        for day, expected in (
            ("2025-10-26", []),
            ("2025-10-27", [named(1)]),
            ("2025-10-29", [named(1)]),
            ("2025-10-30", [named(1)]),
            ("2025-10-31", []),
        ):
            assert expected == Back(desk).wanted(day, day)


class TestFailures:
    """What cannot come back is named; nothing is half there."""

    def problems(self, desk: Desk, back: Back | None = None) -> str:
        """Return what is wrong with the first file; the second one comes back."""
        first, second = (back or Back(desk)).run()
        assert second is None
        assert first is not None
        assert [f"{named(number)}.gz" for number in (2, 3, 4)] == desk.trail.full
        assert desk.trail.manifest(named(1)).restored is None
        return first

    def change(self, desk: Desk, body: bytes) -> None:
        """Have S3 hold other bytes in the first file's version."""
        (key,) = [each.key for each in desk.s3.named("data/dt=2025-10-27")]
        desk.s3.kept = [
            each._replace(body=body) if each.key == key else each
            for each in desk.s3.kept
        ]

    @pytest.mark.parametrize("body", [b"", b"forged", b"x" * 10_000_000])
    def test_other_bytes(self, desk: Desk, body: bytes) -> None:
        """
        Other bytes than were put there, fewer or more.
        """
        self.change(desk, body)
        assert "does not hold what was put there" in self.problems(desk)

    @pytest.mark.parametrize(
        "body",
        [
            b"no gzip",
            gzip.compress(b"forged\n", mtime=0),
            gzip.compress(b"x" * 10**7, mtime=0),
        ],
    )
    def test_other_content(self, desk: Desk, body: bytes) -> None:
        """
        Bytes that a manifest confirms, and that are not what was sealed.
        """
        self.change(desk, body)
        manifest = desk.trail.manifest(named(1))
        copy = manifest.copy._replace(
            sha256=hashlib.sha256(body).hexdigest(), bytes=len(body)
        )
        desk.trail.manifests.save(manifest._replace(copy=copy))
        assert "is not what its manifest says" in self.problems(desk)

    def test_gone(self, desk: Desk) -> None:
        """
        A version that is not there any more.
        """
        desk.s3.kept = [
            each for each in desk.s3.kept if "data/dt=2025-10-27" not in each.key
        ]
        assert "version v.1, S3 said 404" in self.problems(desk)

    def test_frozen(self, desk: Desk) -> None:
        """
        One that has to be brought back from Glacier first, and how.
        """
        desk.s3.fail("InvalidObjectState", 1, "get_object")
        found = self.problems(desk)
        assert "it is in Glacier; have S3 restore it first (aws s3api rest" in found

    def test_no_copy(self, desk: Desk) -> None:
        """
        One that was never archived.
        """
        manifest = desk.trail.manifest(named(1))
        desk.trail.manifests.save(manifest._replace(copy=None))
        desk.s3.allowed = ("get_object",)
        assert "it has no copy" == self.problems(desk)

    def test_half_a_copy(self, desk: Desk) -> None:
        """
        One of which it is not known whether it was.
        """
        manifest = desk.trail.manifest(named(1))
        half = manifest.copy._replace(state="uploading")
        desk.trail.manifests.save(manifest._replace(copy=half))
        assert "it has no copy" == self.problems(desk)

    def test_damaged_manifest(self, desk: Desk) -> None:
        """
        One whose manifest here is damaged is named; S3's is not written over it.
        """
        path = desk.trail.path.parent / f".{NAME}.d" / f"{named(1)}.manifest"
        path.write_bytes(b"damaged")
        back = Back(desk)
        first, second = back.run()

        assert (None, b"damaged") == (second, path.read_bytes())
        assert "no manifest: JSONDecodeError" in str(first)
        assert f"{named(1)}: its manifest: no manifest: JSONDecode" in back.notes[0]

    @pytest.mark.parametrize("code", ["SlowDown", "AccessDenied", "NoSuchBucket"])
    def test_not_now(self, desk: Desk, code: str) -> None:
        """
        What is about all of them ends it; another run goes on.
        """
        desk.s3.fail(code, 1, "get_object")
        back = Back(desk)
        with pytest.raises(CallFailed, match=code):
            back.run()
        assert [f"{named(3)}.gz", f"{named(4)}.gz"] == desk.trail.full

        assert [None, None] == back.run()
        desk.trail.assert_whole(0)

    def test_list_fails(self, desk: Desk) -> None:
        """
        So does a list that fails for another reason than that it is denied.
        """
        desk.s3.fail("SlowDown")
        with pytest.raises(CallFailed, match="SlowDown"):
            Back(desk).run()

    def test_left_half_done(self, desk: Desk) -> None:
        """
        What a killed one left is removed.
        """
        left = desk.trail.path.parent / f".{NAME}.d" / "0123.restoring"
        left.write_bytes(b"half")
        Back(desk).run()
        assert not left.exists()

    def test_killed(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Killed before the file has its name, the next run goes on.
        """

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("chimera_log.audit.manifest.opening.sync_directory", killed)
            with pytest.raises(KeyboardInterrupt):
                Back(desk).run()
        assert [None, None] == Back(desk).run()
        desk.trail.assert_whole(0)

    def test_two_at_once(self, desk: Desk) -> None:
        """
        Two at once would be in each other's way.
        """
        other = Turn(str(desk.trail.path.parent / f".{NAME}.d"), "restore.lock")
        assert other.take()
        with pytest.raises(BlockingIOError, match="another process restores"):
            Back(desk).run()
        other.release()


class TestElsewhere:
    """On another machine, where nothing is known."""

    def test_brought_back(self, desk: Desk, empty: Path) -> None:
        """
        All that is archived comes back, with its manifests, and verifies.
        """
        assert [None] * 4 == Back(desk, empty).run()

        trail = Evidence(empty)
        assert [f"{named(number)}.gz" for number in (1, 2, 3, 4)] == trail.full
        found = trail.manifest(named(1))
        before = desk.trail.manifest(named(1))
        assert (before.sealed, before.copy, None) == found[:3]
        assert "test" == found.restored.by
        report = verify(trail.path, now=desk.trail.now)
        assert (None, 8) == (report.bad, report.records)

    def test_not_listed(self, desk: Desk, empty: Path) -> None:
        """
        Where S3 may not be listed, nothing is known.
        """
        desk.s3.allowed = PUT_ONLY
        back = Back(desk, empty)
        assert [] == back.run()
        assert 1 == len(back.notes)

    def test_other_trails(self, desk: Desk, empty: Path) -> None:
        """
        Objects of other hosts and of other trails are left alone.
        """
        sealed = desk.trail.manifest(named(1)).sealed
        (ours,) = desk.s3.named("manifests/dt=2025-10-27")
        assert ours.body is not None
        desk.s3.add(ours.key.replace("host=desk", "host=other"), ours.body)
        other = desk.trail.manifest(named(1))._replace(
            sealed=sealed._replace(segment=f"other.{named(1)[15:]}")
        )
        desk.s3.add(ours.key.replace("000001-", "000009-"), encode(other))
        back = Back(desk, empty)

        assert [named(number) for number in (1, 2, 3, 4)] == back.wanted()
        assert [] == back.notes

    def test_another_chain(self, desk: Desk, empty: Path) -> None:
        """
        A trail of the same name on the same host is another one, by its chain.
        """
        there = Evidence(empty)
        there.head = begin("0123456789abcdef" * 2)
        there.write(FIRST + 20 * DAY)
        back = Back(desk, empty)

        assert [] == back.wanted()
        assert 4 == len(back.notes)
        assert f"{named(1)} of chain " in back.notes[0]
        assert "is left out: this trail is another one" in back.notes[0]

    def test_never_chained(self, desk: Desk, empty: Path) -> None:
        """
        Files from before there was a chain are anybody's of that name and host.
        """
        sealed = desk.trail.manifest(named(1)).sealed
        (ours,) = desk.s3.named("manifests/dt=2025-10-27")
        manifest = desk.trail.manifest(named(1))._replace(
            sealed=sealed._replace(chain=None, segment=named(9), number=9)
        )
        desk.s3.add(ours.key.replace("000001-", "000009-"), encode(manifest))

        assert named(9) in Back(desk, empty).wanted()

    def test_forged(self, desk: Desk, empty: Path) -> None:
        """
        Who adds a version of a manifest changes nothing; what is none is named.
        """
        (ours,) = desk.s3.named("manifests/dt=2025-10-27")
        desk.s3.add(ours.key, b"forged")
        desk.s3.add("manifests/dt=2025-10-27/host=desk/0.json", b"x" * 3_000_000)
        back = Back(desk, empty)

        assert [None] * 4 == back.run()
        (note,) = back.notes
        assert "s3://evidence/manifests/dt=2025-10-27/host=desk/0.json: no man" in note

    def test_signed(self, tmp_path: Path, empty: Path) -> None:
        """
        With a key, only what it signed is a manifest.
        """
        desk = Desk(tmp_path)
        desk.trail = Evidence(tmp_path, KEY)
        desk.trail.write(FIRST, FIRST + 60)
        desk.trail.rotate(is_packed=True)
        desk.begin()
        desk.run()
        back = Back(desk, empty, (Key(b"another secret, not this"),))
        assert [] == back.run()
        assert "not signed with key" in back.notes[0]

        back = Back(desk, empty, (Key(b"another secret, not this"), KEY))
        assert [None] == back.run()
        assert [named(1)] == Evidence(empty).manifests.known()

    def test_days(self, desk: Desk, empty: Path) -> None:
        """
        Manifests of later days are not read.
        """
        back = Back(desk, empty)
        calls = desk.s3.calls.count("get_object")
        assert [named(2)] == back.wanted("2025-10-28", "2025-10-28")
        assert calls + 2 == desk.s3.calls.count("get_object")

    def test_another_trail_is_there(self, desk: Desk, empty: Path) -> None:
        """
        Where a trail lives whose files have these numbers, nothing is mixed into it.
        """
        there = Evidence(empty)
        there.write(FIRST + 99 * DAY)
        there.rotate()
        name = segment_name(NAME, FIRST + 99 * DAY, 1)
        there.path.with_name(named(1)).rename(there.path.with_name(name))
        shutil.rmtree(empty / f".{NAME}.d")
        first, *others = Back(desk, empty).run()

        assert f"its number is that of {name} here, so it is of another" in str(first)
        assert [None] * 3 == others


def test_unexpected_refusal(desk: Desk) -> None:
    """
    What S3 refuses to read is about all of them.
    """
    desk.s3.allowed = ("list_object_versions",)
    with pytest.raises(CallFailed, match="AccessDenied"):
        Back(desk).run()
