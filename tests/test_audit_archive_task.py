"""
Full files go to S3, each exactly once, whatever happens on the way.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import Manifests, Restored, decode
from chimera_log.audit.retain import DAY
from chimera_log.files.compress import Turn
from chimera_log.files.names import segment_name
from tests.evidence import NAME, Evidence
from tests.logs import FIRST
from tests.s3 import PUT_ONLY, S3, Desk, Killed, Refusal, desks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = Key(b"0123456789abcdef")
HOUR = 3600


def named(number: int) -> str:
    """Return the name of a full file."""
    return segment_name(NAME, FIRST, number)


def filled(desk: Desk, segments: int = 2) -> Desk:
    """Return *desk* after so many full files of two records, an hour each."""
    begin = desk.trail.now + 60 if desk.trail.count else FIRST
    for number in range(segments):
        desk.trail.write(begin + number * HOUR, begin + number * HOUR + 60)
        desk.trail.rotate(is_packed=True)
    desk.trail.write(begin + segments * HOUR)
    return desk


def grown_old(desk: Desk, days: int = 11, since: int = 1) -> Desk:
    """Return *desk* after it went on for so many days since its first record."""
    desk.trail.write(*(FIRST + day * DAY for day in range(since, days)))
    return desk


@pytest.fixture(autouse=True)
def _all_closed() -> Iterator[None]:
    """Close what a test leaves open."""
    yield
    while desks:
        each = desks.pop()
        each.archiving.close()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A trail of two full files that are to be archived."""
    return filled(Desk(tmp_path))


def troubles(desk: Desk) -> str:
    """Return what was said to be wrong."""
    return "\n".join(what for _, what in desk.troubles)


class TestArchive:
    def test_objects(self, desk: Desk) -> None:
        """
        Each full file becomes an object, and its manifest another one, as its key says.
        """
        assert 30 == desk.run()

        numbers = ["000000000001-000000000002", "000000000003-000000000004"]
        for number, which in enumerate(numbers, 1):
            packed = desk.trail.path.with_name(f"{named(number)}.gz").read_bytes()
            digest = hashlib.sha256(packed).hexdigest()[:16]
            (data,) = desk.s3.named(f"data/dt=2025-10-27/host=desk/{which}-{digest}")
            (manifest,) = desk.s3.named(
                f"manifests/dt=2025-10-27/host=desk/{which}-{digest}"
            )
            assert (packed, "GLACIER_IR", "*") == (
                data.body,
                data.asked["StorageClass"],
                data.asked["IfNoneMatch"],
            )
            assert manifest.body is not None
            assert desk.trail.manifest(named(number)).sealed == (
                decode(manifest.body).sealed
            )
            assert data.key.endswith(".jsonl.gz")
            assert manifest.key.endswith(".json")
        assert 4 == len(desk.s3.kept)
        assert [named(1), named(2)] == desk.copies()
        assert [] == desk.troubles

    def test_manifest(self, desk: Desk) -> None:
        """
        The manifest says where the copy is, in which version, and what it holds.
        """
        desk.run()
        copy = desk.trail.manifest(named(1)).copy
        packed = desk.trail.path.with_name(f"{named(1)}.gz").read_bytes()
        kept = desk.s3.named("data/")[0]

        assert (
            "done",
            f"s3://evidence/{kept.key}",
            hashlib.sha256(packed).hexdigest(),
            len(packed),
            kept.version_id,
            True,
            0.0,
        ) == copy

    def test_statistics(self, desk: Desk) -> None:
        """
        It tells what was archived and what waits.
        """
        assert (0, 0, 0, None) == desk.archiving.statistics()
        desk.s3.fail("SlowDown")
        desk.run()
        found = desk.archiving.statistics()
        assert (0, 2, 0) == found[:3]
        assert "S3 said SlowDown" in found.last_error
        desk.run_for(60)
        assert (2, 0, 0, None) == desk.archiving.statistics()

    def test_new_ones(self, desk: Desk) -> None:
        """
        What comes later is archived later; what is archived is not looked at again.
        """
        desk.run()
        calls = len(desk.s3.calls)
        desk.run()
        assert calls == len(desk.s3.calls)

        filled(desk, 1)
        with mock.patch.object(
            Manifests, "load", autospec=True, side_effect=Manifests.load
        ) as load:
            desk.run()
        assert [named(number) for number in (1, 2, 3)] == desk.copies()
        asked = [call.args[1] for call in load.call_args_list]
        assert named(2) not in asked[1:]

    def test_ready_meanwhile(self, desk: Desk) -> None:
        """
        What gets ready while others are archived waits no longer than they did.
        """
        while not desk.archiving.statistics().archived:
            assert 0 == desk.archiving.step()
        filled(desk, 1)
        while not desk.archiving.step():
            pass

        assert [named(number) for number in (1, 2, 3)] == desk.copies()

    def test_not_ready_yet(self, desk: Desk) -> None:
        """
        While a full file is not sealed and compressed, it is looked for every second.
        """
        desk.run()
        desk.trail.rotate()

        assert 1 == desk.archiving.step()

    def test_many(self, tmp_path: Path) -> None:
        """
        However many manifests there are, one step reads few of them.
        """
        with mock.patch.object(os, "fsync"):
            desk = filled(Desk(tmp_path), 120)
            desk.run()
        desk.begin()
        loads = []
        with mock.patch.object(
            Manifests, "load", autospec=True, side_effect=Manifests.load
        ) as load:
            while desk.archiving.step() == 0:
                loads.append(load.call_count)
                load.reset_mock()
        assert [50, 50] == loads[:2]
        assert 0 == desk.archiving.statistics().waiting

    @pytest.mark.parametrize("raw", [True, False])
    def test_not_ready(self, desk: Desk, raw: bool) -> None:
        """
        What is not compressed, or is so beside its raw form, waits without a word; who
        will compress it is waited for.
        """
        segment = desk.trail.path.with_name(named(1))
        file = segment.with_name(f"{named(1)}.gz")
        if raw:
            segment.write_bytes(gzip.decompress(file.read_bytes()))
        else:
            file.rename(file.with_suffix(".away"))
        assert (1 if raw else 30) == desk.run()

        assert [named(2)] == desk.copies()
        assert [] == desk.troubles

    def test_nothing_sealed(self, tmp_path: Path) -> None:
        """
        Where nothing was ever sealed there is nothing to do, and no folder is made.
        """
        desk = Desk(tmp_path)
        assert 30 == desk.run()
        assert [] == list(tmp_path.iterdir())
        assert 30 == Desk(tmp_path / "nowhere").run()

    def test_pruned_before(self, desk: Desk) -> None:
        """
        What went before it was archived is not missed.
        """
        grown_old(desk).trail.prune()
        assert [] == desk.trail.full
        desk.run()

        assert [] == desk.troubles
        assert 0 == desk.archiving.statistics().waiting

    def test_prefix(self, tmp_path: Path) -> None:
        """
        All keys begin with the prefix.
        """
        desk = filled(
            Desk(tmp_path, prefix="trading/data/dt-x", storage_class="STANDARD")
        )
        desk.run()

        assert 2 == len(desk.s3.named("trading/data/dt-x/data/dt=2025-10-27"))
        assert 2 == len(desk.s3.named("trading/data/dt-x/manifests/dt=2025"))
        assert "STANDARD" == desk.s3.kept[0].asked["StorageClass"]

    def test_host(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without another one, keys have this machine's name.
        """
        monkeypatch.setattr("socket.gethostname", lambda: "desk 7/\xfc")
        desk = filled(Desk(tmp_path, host=None))
        desk.run()

        assert 2 == len(desk.s3.named("data/dt=2025-10-27/host=desk-7--/"))

    def test_renamed_host(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A machine that has another name by now goes on under the old one.
        """
        monkeypatch.setattr("socket.gethostname", lambda: "old")
        desk = filled(Desk(tmp_path, host=None))
        desk.s3.lose()
        desk.run()
        monkeypatch.setattr("socket.gethostname", lambda: "new")
        desk.begin()
        desk.run()

        assert 1 == len(desk.s3.named("data/dt=2025-10-27/host=old/"))
        assert [named(1), named(2)] == desk.copies()

    def test_signed(self, tmp_path: Path) -> None:
        """
        With a key the manifests stay signed, here and there.
        """
        desk = Desk(tmp_path)
        desk.trail = Evidence(tmp_path, KEY)
        filled(desk).begin()
        desk.run()

        assert [named(1), named(2)] == desk.copies()
        for each in desk.s3.named("manifests/"):
            assert each.body is not None
            assert decode(each.body, KEY).copy.is_verified

    def test_another_key(self, tmp_path: Path) -> None:
        """
        A manifest that another key signed is named, and stays; an older one is known.
        """
        desk = Desk(tmp_path)
        desk.trail = Evidence(tmp_path, KEY)
        filled(desk)
        desk.trail.key = Key(b"another secret, not this", "new")
        desk.begin()
        desk.run()
        assert [] == desk.s3.kept
        assert f"{named(1)}, which stays: its manifest: not signed" in troubles(desk)
        assert 2 == len(desk.troubles)
        desk.run()
        assert 2 == len(desk.troubles)

        desk.begin(older_keys=[KEY])
        desk.archiving.close()
        desk.run()
        assert [named(1), named(2)] == desk.copies()


class TestContent:
    """What is not as it was sealed is named, and never archived."""

    def name_it(self, desk: Desk, what: str) -> None:
        """Assert that the first full file stays and is named, and all others go."""
        desk.run()
        assert [named(2)] == desk.copies()
        assert f"cannot archive {named(1)}, which stays: {what}" in troubles(desk)
        assert 1 == desk.archiving.statistics().waiting

        desk.run_for(899)
        assert 1 == len(desk.troubles)
        desk.run_for(60)
        assert 2 == len(desk.troubles)

    @pytest.mark.parametrize("content", [b"", b"other\n", b"x" * 5_000_000])
    def test_other_content(self, desk: Desk, content: bytes) -> None:
        """
        Another content, shorter or longer.
        """
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.write_bytes(gzip.compress(content))
        self.name_it(desk, "it is not what its manifest says")

    def test_without_end(self, desk: Desk) -> None:
        """
        A file that unpacks to far more is not read to its end.
        """
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.write_bytes(gzip.compress(b"x" * 50_000_000, 1))
        steps = 0
        while desk.archiving.step() == 0:
            steps += 1
        assert 30 > steps
        assert "it is not what its manifest says" in troubles(desk)

    def test_damaged(self, desk: Desk) -> None:
        """
        A file that is cut off.
        """
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.write_bytes(file.read_bytes()[:-9])
        self.name_it(desk, "cut off")

    def test_directory(self, desk: Desk) -> None:
        """
        What is no file at all.
        """
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.unlink()
        file.mkdir()
        self.name_it(desk, "[Errno 21] Is a directory")

    def test_fifo(self, desk: Desk) -> None:
        """
        What would have to be waited for.
        """
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.unlink()
        os.mkfifo(file)
        self.name_it(desk, "it is no regular file")

    def test_link(self, desk: Desk) -> None:
        """
        A link, though it lead to the very file.
        """
        file = desk.trail.path.with_name(f"{named(1)}.gz")
        file.rename(file.with_name("elsewhere"))
        file.symlink_to("elsewhere")
        self.name_it(desk, "[Errno ")

    def test_manifest(self, desk: Desk) -> None:
        """
        A file whose manifest is damaged.
        """
        folder = desk.trail.path.parent / f".{NAME}.d"
        path = folder / f"{named(1)}.manifest"
        path.write_bytes(path.read_bytes()[:-40])
        desk.run()

        assert [path.name] == [
            each.name
            for each in folder.glob("*.manifest")
            if b"done" not in each.read_bytes()
        ]
        assert 1 == len(desk.troubles)
        assert "which stays: its manifest: no manifest: JSONDecodeError" in (
            troubles(desk)
        )


class TestLock:
    def test_until(self, tmp_path: Path) -> None:
        """
        Both objects are locked until the last record is as old as it has to be.
        """
        desk = filled(Desk(tmp_path, object_lock="compliance"))
        desk.run()
        until = FIRST + 60 + DAY

        for each in desk.s3.kept[:2]:
            assert ("COMPLIANCE", until) == (each.asked["ObjectLockMode"], each.until)
        assert until == desk.trail.manifest(named(1)).copy.locked_until

    def test_none(self, tmp_path: Path) -> None:
        """
        What is old enough already cannot be locked, and need not be.
        """
        desk = filled(Desk(tmp_path, object_lock="governance"))
        desk.trail.write(FIRST + 60 + DAY - 60)
        desk.run()

        assert [0, 0] == [each.until for each in desk.s3.kept[:2]]
        assert FIRST + HOUR + 60 + DAY == desk.s3.kept[2].until
        assert 0 == desk.trail.manifest(named(1)).copy.locked_until

    def test_larger_floor(self, tmp_path: Path) -> None:
        """
        The largest floor that was promised since holds for what came before as well.
        """
        desk = Desk(tmp_path, object_lock="governance")
        desk.trail.write(FIRST)
        desk.trail.rotate(is_packed=True)
        desk.trail.write(FIRST + 60)
        desk.trail.rotate(is_packed=True, retention_floor_days=30)
        desk.trail.write(FIRST + 70)
        desk.run()

        assert FIRST + 30 * DAY == desk.s3.kept[0].until

    @pytest.mark.parametrize(
        ("s3", "what"),
        [
            (
                S3(has_locks=False),
                "does not take it; enable versioning and Object Lock",
            ),
            (S3(has_versions=False), "has no versions, so nothing in it is locked"),
        ],
    )
    def test_cannot_be(self, tmp_path: Path, s3: S3, what: str) -> None:
        """
        A bucket that does not lock what is to be locked holds no copy of ours.
        """
        desk = filled(Desk(tmp_path, s3, object_lock="compliance"))
        desk.run_for(2000)

        assert f"the bucket 'evidence' {what}" in troubles(desk)
        copies = [desk.trail.manifest(named(number)).copy for number in (1, 2)]
        assert {None} == {each and each.version_id for each in copies}
        assert not any(each and each.is_verified for each in copies)


class TestVerify:
    def test_version(self, tmp_path: Path) -> None:
        """
        The very version is looked at, before it counts as verified.
        """
        desk = filled(Desk(tmp_path, verify="version", object_lock="compliance"))
        desk.run()

        each = ["put_object", "head_object", "put_object"]
        assert each * 2 == desk.s3.calls
        assert desk.trail.manifest(named(1)).copy.is_verified
        assert FIRST + DAY + 60 == desk.trail.manifest(named(1)).copy.locked_until

    def test_denied(self, tmp_path: Path) -> None:
        """
        Where it cannot be looked at it is not verified, and that is said.
        """
        desk = filled(Desk(tmp_path, S3(allowed=PUT_ONLY), verify="version"))
        desk.run()

        assert "cannot be looked at; allow s3:GetObject and s3:GetObjectVersion" in (
            troubles(desk)
        )
        copy = desk.trail.manifest(named(1)).copy
        assert ("archived", "v.1", False) == (
            copy.state,
            copy.version_id,
            copy.is_verified,
        )

        desk.s3.allowed = ("put_object", "head_object")
        desk.run_for(1000)
        assert [named(1), named(2)] == desk.copies()
        assert "done" == desk.trail.manifest(named(1)).copy.state
        assert 0 == desk.archiving.statistics().waiting

    def test_gone(self, desk: Desk) -> None:
        """
        A version that is not there any more is named.
        """
        desk.options = {"verify": "version"}
        desk.s3.after = lambda _: desk.s3.kept.clear()
        desk.begin()
        desk.run()

        assert "version v.1, is not there any more" in troubles(desk)
        assert not desk.trail.manifest(named(1)).copy.is_verified

    def test_other_bytes(self, desk: Desk) -> None:
        """
        A version that holds something else is named.
        """
        desk.options = {"verify": "version"}

        def damage(_: str) -> None:
            desk.s3.kept = [each._replace(body=b"other") for each in desk.s3.kept]

        desk.s3.after = damage
        desk.begin()
        desk.run()

        assert "version v.1, has the SHA-256 d9298a" in troubles(desk)
        assert not desk.trail.manifest(named(1)).copy.is_verified

    def test_not_locked(self, tmp_path: Path) -> None:
        """
        A version that S3 does not say is locked is named.
        """
        desk = filled(Desk(tmp_path, verify="version", object_lock="compliance"))

        def unlock(_: str) -> None:
            desk.s3.kept = [each._replace(asked={}) for each in desk.s3.kept]

        desk.s3.after = unlock
        desk.run()

        assert "version v.1, is locked for as long as was asked for" in troubles(desk)
        assert not desk.trail.manifest(named(1)).copy.is_verified

    def test_no_checksum(self, desk: Desk) -> None:
        """
        A server that tells no checksum is asked for the version's.
        """
        desk.s3.checksum = lambda _: None
        desk.run()

        assert ["put_object", "head_object", "put_object"] * 2 == desk.s3.calls
        assert [named(1), named(2)] == desk.copies()
        assert desk.trail.manifest(named(1)).copy.is_verified

    def test_no_versions(self, tmp_path: Path) -> None:
        """
        In a bucket without versions a copy is one, of no version.
        """
        desk = filled(Desk(tmp_path, S3(has_versions=False)))
        desk.run()

        assert [named(1), named(2)] == desk.copies()
        copy = desk.trail.manifest(named(1)).copy
        assert ("done", None, True) == (copy.state, copy.version_id, copy.is_verified)


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "what"),
        [
            ("NoSuchBucket", "'evidence' does not exist; create it, or correct"),
            ("AccessDenied", "'evidence' is denied; allow s3:PutObject on data/ and m"),
            ("PermanentRedirect", "'evidence' is in another region; correct archive.r"),
        ],
    )
    def test_operator(self, desk: Desk, code: str, what: str) -> None:
        """
        What somebody has to mend is one line, tried again ever more seldom, to an end.
        """
        desk.s3.fail(code, 10**6)
        desk.run()
        assert 1 == len(desk.troubles)
        assert what in troubles(desk)
        assert not desk.archiving.may_recover

        desk.run_for(DAY)
        assert 90 < len(desk.troubles) < 200
        desk.s3.before = lambda _: None
        desk.run_for(900)
        assert [named(1), named(2)] == desk.copies()

    @pytest.mark.parametrize("call", ["", "put", "head"])
    def test_throttled(self, desk: Desk, call: str) -> None:
        """
        What is busy is tried again soon, and nothing is lost.
        """
        desk.options = {"verify": "version"}
        desk.begin()
        desk.s3.fail("SlowDown", 4, call)
        assert 0 < (desk.run() or 0) <= 1
        assert desk.archiving.may_recover
        assert "cannot archive: S3 said SlowDown" in troubles(desk)

        desk.run_for(60)
        assert [named(1), named(2)] == desk.copies()
        assert not desk.archiving.may_recover

    def test_manifest_later(self, desk: Desk) -> None:
        """
        What is there already, but for its manifest, is not put again.
        """
        puts = iter([None, "SlowDown"])

        def before(_: str) -> None:
            code = next(puts, None)
            if code is not None:
                raise Refusal(code)

        desk.s3.before = before
        desk.run()
        assert "archived" == desk.trail.manifest(named(1)).copy.state

        desk.run_for(10)
        assert [named(1), named(2)] == desk.copies()
        assert 4 == len(desk.s3.kept)

    def test_manifest_vanishes(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A manifest that goes in this moment is named, and does not hold up the others.
        """
        known = [named(3), named(1), named(2)]
        monkeypatch.setattr(Manifests, "known", lambda _: known)
        desk.run()

        assert f"{named(3)}, which stays: its manifest: it is not there any more" in (
            troubles(desk)
        )
        monkeypatch.undo()
        assert [named(1), named(2)] == desk.copies()

    def test_woken(self, desk: Desk) -> None:
        """
        Whoever wakes it before the time is over changes nothing.
        """
        desk.s3.fail("AccessDenied", 10**6)
        pause = desk.run()
        calls = len(desk.s3.calls)

        assert pause == desk.run()
        assert calls == len(desk.s3.calls)

    def test_too_large(self, desk: Desk) -> None:
        """
        What S3 does not take of one file does not hold up the others.
        """
        desk.s3.fail("EntityTooLarge", 1)
        desk.run()

        assert [named(2)] == desk.copies()
        assert f"cannot archive {named(1)}, which stays: S3 said Ent" in troubles(desk)

    def test_wrong_checksum(self, desk: Desk) -> None:
        """
        A checksum that is not ours is an error; then what is there is looked at.
        """
        answers = ["AAAA", "?"]
        desk.s3.checksum = lambda true: answers.pop() if answers else true
        desk.run()
        assert 2 == len(desk.troubles)
        assert "has the SHA-256 ?, and it was to be" in troubles(desk)
        assert "has the SHA-256 000000, and it was to be" in troubles(desk)
        assert not desk.trail.manifest(named(1)).copy.is_verified

        desk.run_for(1000)
        assert [named(1), named(2)] == desk.copies()
        assert desk.trail.manifest(named(1)).copy.is_verified

    def test_disk_full(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nothing is put before the disk has where it goes.
        """

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no space")

        with monkeypatch.context() as patch:
            patch.setattr(Manifests, "save", full)
            desk.run()
        assert [] == desk.s3.kept
        assert 2 == len(desk.troubles)

        desk.run_for(1000)
        assert [named(1), named(2)] == desk.copies()

    def test_folder(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A folder that cannot be read is said, and tried again.
        """

        def denied(_: object) -> list[str]:
            raise PermissionError(errno.EACCES, "denied")

        with monkeypatch.context() as patch:
            patch.setattr(Manifests, "known", denied)
            assert 60 == desk.run()
        assert [("archive", "cannot archive: [Errno 13] denied")] == desk.troubles
        desk.run()
        assert [named(1), named(2)] == desk.copies()


class TestAnswerLost:
    """S3 took what was put, and nobody here knows."""

    def test_found(self, desk: Desk) -> None:
        """
        The version is found, and counts as verified, since its bytes are ours.
        """
        desk.s3.lose()
        desk.run_for(10)

        assert [named(1), named(2)] == desk.copies()
        assert desk.trail.manifest(named(1)).copy.is_verified

    def test_lock_is_known(self, tmp_path: Path) -> None:
        """
        Until when it is locked is what S3 says.
        """
        desk = filled(Desk(tmp_path, object_lock="compliance"))
        desk.s3.lose()
        desk.run_for(10)

        assert FIRST + DAY + 60 == desk.trail.manifest(named(1)).copy.locked_until

    @pytest.mark.parametrize("body", [b"forged", None])
    def test_overwritten(self, desk: Desk, body: bytes | None) -> None:
        """
        Where another version came after it, or a delete marker, ours is found below.
        """
        desk.s3.lose()
        desk.s3.page = 1
        desk.run()
        (kept,) = desk.s3.kept
        desk.s3.add(kept.key, body)
        desk.s3.add(f"{kept.key}.old", b"other")
        desk.run_for(10)

        assert kept.version_id == desk.trail.manifest(named(1)).copy.version_id
        found = [each.version_id for each in desk.s3.named(kept.key)]
        assert [kept.version_id, "v.2", "v.3"] == found

    def test_denied(self, tmp_path: Path) -> None:
        """
        Where nothing may be looked at it is not verified; the file stays, and that is said.
        """
        desk = filled(Desk(tmp_path, S3(allowed=PUT_ONLY)))
        desk.s3.lose()
        desk.run_for(10)
        assert "is there already, and cannot be looked at; allow s3:GetObject" in (
            troubles(desk)
        )
        assert desk.trail.manifest(named(1)).copy.version_id is None
        assert "done" == desk.trail.manifest(named(2)).copy.state

        desk.s3.allowed = ("put_object", "head_object", "list_object_versions")
        desk.run_for(1000)
        assert [named(1), named(2)] == desk.copies()

    def test_missing_is_denied(self, desk: Desk) -> None:
        """
        To whom S3 does not say what is missing, it may still list the versions.
        """
        desk.s3.lose()
        desk.run()
        (kept,) = desk.s3.kept
        desk.s3.add(kept.key, None)
        desk.s3.fail("AccessDenied", 1, "head")
        desk.run_for(10)

        assert kept.version_id == desk.trail.manifest(named(1)).copy.version_id

    def test_something_else(self, desk: Desk) -> None:
        """
        Where something else has that key, it is said.
        """
        desk.s3.fail("SlowDown")
        desk.run()
        key = desk.trail.manifest(named(1)).copy.place.removeprefix("s3://evidence/")
        desk.s3.add(key, b"forged")
        desk.s3.add(
            f"{key}.old", desk.trail.path.with_name(f"{named(1)}.gz").read_bytes()
        )
        desk.run_for(10)

        assert "is there already, and holds something else" in troubles(desk)
        assert "done" == desk.trail.manifest(named(2)).copy.state

    @pytest.mark.parametrize("failures", [0, 1])
    def test_there_before(self, desk: Desk, failures: int) -> None:
        """
        What somebody else put there, byte for byte, is as good as ours.
        """
        packed = desk.trail.path.with_name(f"{named(1)}.gz").read_bytes()
        key = (
            "data/dt=2025-10-27/host=desk/000000000001-000000000002-"
            f"{hashlib.sha256(packed).hexdigest()[:16]}.jsonl.gz"
        )
        desk.s3.add(key, packed)
        desk.s3.fail("SlowDown", failures, "head")
        desk.run_for(10)

        assert [named(1), named(2)] == desk.copies()
        assert failures == len(desk.troubles)
        assert "v.1" == desk.trail.manifest(named(1)).copy.version_id

    def test_another_bucket(self, desk: Desk) -> None:
        """
        What is in another bucket is said to be there.
        """
        desk.s3.fail("SlowDown")
        desk.run()
        manifest = desk.trail.manifest(named(1))
        elsewhere = manifest.copy._replace(
            place="s3://other/1", state="archived", is_verified=True
        )
        desk.trail.manifests.save(manifest._replace(copy=elsewhere))
        desk.run_for(10)

        assert "its copy is s3://other/1, and not in s3://evidence/" in troubles(desk)

    @pytest.mark.parametrize("option", ["bucket", "prefix", "host"])
    def test_corrected(self, tmp_path: Path, option: str) -> None:
        """
        What was begun for a place that was wrong goes to the one that is right.
        """
        desk = filled(Desk(tmp_path, None, **{option: "wrong"}))
        desk.s3.fail("AccessDenied")
        desk.run()
        assert "uploading" == desk.trail.manifest(named(1)).copy.state
        desk.options.clear()
        desk.begin()
        desk.run_for(2000)

        assert [named(1), named(2)] == desk.copies()
        place = desk.trail.manifest(named(1)).copy.place
        assert place.startswith("s3://evidence/data/dt=2025-10-27/host=desk/")

    def test_gives_way(self, desk: Desk) -> None:
        """
        Who fails lets another process try, which may have the rights that he lacks.
        """
        desk.s3.fail("AccessDenied")
        desk.run()
        other = Turn(str(desk.trail.path.parent / f".{NAME}.d"), "archive.lock")

        assert other.take()
        other.release()

    @pytest.mark.parametrize("call", ["head", "list"])
    def test_not_now(self, desk: Desk, call: str) -> None:
        """
        Where it cannot be looked at now, that is tried again.
        """
        desk.s3.lose()
        desk.run()
        (kept,) = desk.s3.kept
        desk.s3.add(kept.key, None)
        desk.s3.fail("SlowDown", 2, call)
        desk.run_for(20)

        assert kept.version_id == desk.trail.manifest(named(1)).copy.version_id


class TestCrash:
    """A process ends before or after any step; the next one goes on."""

    def events(self, desk: Desk, at: int) -> list[str]:
        """
        Archive until something happens for the *at*-th time, and be killed there.

        Returns:
            What happened so far.
        """
        happened: list[str] = []

        def happen(what: str) -> None:
            happened.append(what)
            if len(happened) == at:
                raise Killed

        def watched(true: Callable[..., Any], what: str) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                happen(f"before {what}")
                done = true(*given, **named)
                happen(f"after {what}")
                return done

            return call

        desk.s3.before = lambda name: happen(f"before {name}")
        desk.s3.after = lambda name: happen(f"after {name}")
        with (
            mock.patch.object(os, "fsync", watched(lambda _: None, "fsync")),
            mock.patch.object(os, "replace", watched(os.replace, "replace")),
            mock.patch.object(os, "unlink", watched(os.unlink, "unlink")),
        ):
            try:
                desk.run()
            except Killed:
                desk.archiving.after_fork()  # its files and locks are closed
        desk.s3.before = desk.s3.after = lambda _: None
        return happened

    @pytest.mark.parametrize("verify", ["answer", "version"])
    def test_everywhere(self, tmp_path: Path, verify: str) -> None:
        """
        Each file is in S3 exactly once, and goes from here only afterwards.
        """
        for at in count(1):
            folder = tmp_path / str(at)
            folder.mkdir()
            desk = Desk(folder, verify=verify, object_lock="compliance")
            desk.backup_count = 1
            with mock.patch.object(os, "fsync"):
                filled(desk).begin()
            happened = self.events(desk, at)
            for segment in (named(1), named(2)):
                if f"{segment}.gz" not in desk.trail.full:
                    assert desk.trail.manifest(segment).copy.is_verified
                    assert desk.trail.manifest(segment).tombstone
            desk.begin()
            with mock.patch.object(os, "fsync"):
                desk.run()

            assert [named(1), named(2)] == desk.copies()
            assert [f"{named(2)}.gz"] == desk.trail.full
            for segment in (named(1), named(2)):
                assert "done" == desk.trail.manifest(segment).copy.state
            assert [] == desk.troubles
            if len(happened) < at:
                break
        assert 30 < at

    def test_duplicate_run(self, desk: Desk, tmp_path: Path) -> None:
        """
        Of two that begin at once, one works; the other one takes over when it is dead.
        """
        desk.archiving.step()
        other = Desk(tmp_path, desk.s3)
        other.trail = desk.trail
        assert [30, 30] == [other.archiving.step(), other.archiving.step()]
        assert [] == desk.s3.kept

        desk.archiving.close()
        other.run()
        assert [named(1), named(2)] == other.copies()
        desk.run()
        assert 4 == len(desk.s3.kept)


class TestLetGo:
    def test_close(self, desk: Desk) -> None:
        """
        Whoever closes it in the midst of its work may go on later, from the beginning.
        """
        steps = 0
        while desk.archiving.step() == 0:
            steps += 1
            desk.archiving.close()
            other = Turn(str(desk.trail.path.parent / f".{NAME}.d"), "archive.lock")
            assert other.take()
            other.release()
            if steps > 20:
                break
        desk.run()

        assert [named(1), named(2)] == desk.copies()
        desk.archiving.close()
        assert 1 == desk.s3.closed

    def test_after_fork(self, desk: Desk) -> None:
        """
        A forked child lets the parent keep its lock, and begins anew.
        """
        desk.archiving.step()
        closed = desk.s3.closed
        desk.archiving.after_fork()

        assert (0, 0, 0, None) == desk.archiving.statistics()
        assert closed == desk.s3.closed
        desk.run()
        assert [named(1), named(2)] == desk.copies()

    @pytest.mark.parametrize("lock", ["archive.lock", "maintenance"])
    def test_locks_after_fork(self, desk: Desk, lock: str) -> None:
        """
        What its parent has locked stays locked, whatever it was doing.
        """
        grown_old(desk)
        held = -1
        for _ in range(100):
            desk.archiving.step()
            held = descriptor_of(desk, lock)
            if held >= 0:
                break
        parents = os.dup(held)
        desk.archiving.after_fork()

        other = Turn(str(desk.trail.path.parent / f".{NAME}.d"), lock)
        assert not other.take()
        os.close(parents)
        assert other.take()
        other.release()


def descriptor_of(desk: Desk, lock: str) -> int:
    """Return a descriptor of a lock in the trail's hidden folder; -1 if there is none."""
    path = desk.trail.path.parent / f".{NAME}.d" / lock
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if descriptor.readlink() == path:
                return int(descriptor.name)
    return -1


class TestRemoval:
    def test_moved(self, tmp_path: Path) -> None:
        """
        Beyond the count, what is locked until it is old enough goes from here.
        """
        desk = Desk(tmp_path, object_lock="compliance")
        desk.backup_count = 2
        filled(desk, 5).begin()
        desk.run()

        assert [f"{named(number)}.gz" for number in (4, 5)] == desk.trail.full
        assert [] == desk.troubles
        gone = [named(number) for number in (1, 2, 3)]
        assert gone == [each["segment"] for each in desk.trail.told]
        assert 3 == desk.archiving.statistics().removed
        assert "chimera_log: archive" == desk.trail.manifest(named(1)).tombstone.by
        desk.trail.assert_whole(3)

    def test_not_locked(self, desk: Desk) -> None:
        """
        What is not locked stays until it is old.
        """
        desk.backup_count = 1
        desk.begin()
        desk.run()
        assert 2 == len(desk.trail.full)
        assert [] == desk.trail.told

    def test_no_versions(self, tmp_path: Path) -> None:
        """
        Nor does what has no version go young, though it has a copy.
        """
        desk = filled(Desk(tmp_path, S3(has_versions=False)))
        desk.backup_count = 1
        desk.begin()
        desk.run()
        assert 2 == len(desk.trail.full)

    def test_old(self, desk: Desk) -> None:
        """
        What grew old goes within the hour, once its copy is verified.
        """
        desk.run()
        grown_old(desk, 8)
        desk.run_for(2 * 3600)
        assert 2 == len(desk.trail.full)

        grown_old(desk)
        desk.run_for(3600)
        assert [] == desk.trail.full
        desk.trail.assert_whole(2)

    def test_cheap(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The active file is not read unless the oldest file might go.
        """

        def survey(*_: object) -> None:
            pytest.fail("read it")

        monkeypatch.setattr("chimera_log.audit.removing.survey", survey)
        desk.run()
        desk.run_for(2 * 3600)
        assert [] == desk.troubles

    def test_not_told(self, desk: Desk) -> None:
        """
        Where the trail cannot be told, nothing goes, and that is said.
        """
        grown_old(desk).begin(tell=lambda *_: False)
        assert 60 == desk.run()
        assert 2 == len(desk.trail.full)
        assert [
            ("prune", f"cannot prune: {named(1)}: the trail cannot be told; it stays")
        ] == desk.troubles

    def test_his_turn(self, desk: Desk) -> None:
        """
        Nothing goes while another process maintains the files.
        """
        grown_old(desk)
        other = Turn(str(desk.trail.path.parent / f".{NAME}.d"))
        assert other.take()
        desk.run()
        assert 2 == len(desk.trail.full)

        other.release()
        desk.run_for(40)
        assert [] == desk.trail.full

    def test_restored(self, desk: Desk) -> None:
        """
        What was brought back for a while keeps nothing that came after it.
        """
        desk.run()
        kept = desk.trail.path.with_name(f"{named(1)}.gz").read_bytes()
        grown_old(desk)
        desk.run_for(2 * 3600)
        assert [] == desk.trail.full
        desk.trail.path.with_name(f"{named(1)}.gz").write_bytes(kept)

        restored = Restored(desk.trail.now, desk.trail.now + 30 * DAY, "test")
        manifest = desk.trail.manifest(named(1))
        desk.trail.manifests.save(manifest._replace(restored=restored))
        desk.trail.now = FIRST + 11 * DAY
        filled(desk, 1)
        grown_old(desk, 22, 12)
        desk.run_for(2 * 3600)

        assert [f"{named(1)}.gz"] == desk.trail.full

    def test_damaged_manifest(self, desk: Desk) -> None:
        """
        Where the oldest one's manifest is damaged, nothing goes.
        """
        desk.run()
        grown_old(desk, 20)
        folder = desk.trail.path.parent / f".{NAME}.d"
        (folder / f"{named(1)}.manifest").write_bytes(b"")
        desk.begin()
        desk.run_for(3600)
        assert 2 == len(desk.trail.full)
