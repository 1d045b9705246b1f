"""
What is known of full files: kept whole or not at all, and believed only if it is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import (
    STATES,
    Copy,
    Manifest,
    ManifestError,
    Manifests,
    Restored,
    Sealed,
    Tombstone,
    decode,
    digest,
    encode,
)
from chimera_log.files import opening
from chimera_log.files.compress import Turn
from chimera_log.files.names import segment_name
from tests.logs import FIRST, STAMP, refusing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = Key(b"0123456789abcdef")
NAME = "executions.log"
SEALED = Sealed(
    v=1,
    segment=f"{NAME}.{STAMP}.000001",
    number=1,
    chain="c0ffee00" * 4,
    first_seq=1,
    last_seq=9,
    lines=9,
    bytes=4_500,
    sha256="5e" * 32,
    head="4e" * 32,
    first_time="2025-10-27T08:38:00.000000Z",
    last_time="2025-10-27T09:38:00.000000Z",
    elapsed=3600.5,
    latest=FIRST + 3600,
    retention_floor_days=1096,
    previous=None,
)
COPY = Copy("done", "s3://evidence/1", "6e" * 32, 900, "v.1", True, FIRST + 9e7)
TOMBSTONE = Tombstone(FIRST + 9.5e7, "older than 1096 days", "chimera-log prune")
RESTORED = Restored(FIRST + 9.6e7, FIRST + 9.9e7, "chimera-log archive")
PRUNED = Manifest(SEALED, COPY, TOMBSTONE, RESTORED)


def named(number: int) -> str:
    """Return the name of a full segment."""
    return segment_name(NAME, FIRST, number)


def of(number: int, **changes: Any) -> Manifest:
    """Return a segment's manifest."""
    changes = {"segment": named(number), "number": number, **changes}
    return Manifest(SEALED._replace(**changes))


def changed(manifest: Manifest, *where: str, to: Any) -> bytes:
    """Return *manifest* with one value that `encode` would not have written."""
    content = json.loads(encode(manifest))
    place = content
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = to
    if where[0] == "sealed":  # so that the value, and not the digest, is what is wrong
        canonical = json.dumps(content["sealed"], sort_keys=True, separators=(",", ":"))
        content["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    return json.dumps(content).encode()


class TestDigest:
    def test_known(self) -> None:
        """
        It is SHA-256 of the names and values as JSON, sorted, without spaces.
        """
        text = (
            '{"bytes":4500,"chain":"c0ffee00c0ffee00c0ffee00c0ffee00",'
            '"elapsed":3600.5,"first_seq":1,'
            '"first_time":"2025-10-27T08:38:00.000000Z",'
            f'"head":"{"4e" * 32}","last_seq":9,'
            '"last_time":"2025-10-27T09:38:00.000000Z","latest":1761557880.0,'
            '"lines":9,"number":1,"previous":null,"retention_floor_days":1096,'
            '"segment":"executions.log.20251027T083800Z.000001",'
            f'"sha256":"{"5e" * 32}","v":1}}'
        )

        assert hashlib.sha256(text.encode()).hexdigest() == digest(SEALED)

    @pytest.mark.parametrize("name", Sealed._fields)
    def test_of_everything(self, name: str) -> None:
        """
        No value can change without it.
        """
        assert digest(SEALED) != digest(SEALED._replace(**{name: "other"}))


NUMBERS = st.floats(-1e18, 1e18, allow_nan=False)
COUNTS = st.integers(0, 10**18)
TEXTS = st.text(max_size=10)
MANIFESTS = st.builds(
    Manifest,
    st.builds(
        SEALED._replace,
        segment=TEXTS,
        number=COUNTS,
        lines=COUNTS,
        chain=st.none() | TEXTS,
        last_time=st.none() | TEXTS,
        elapsed=NUMBERS,
        latest=st.none() | NUMBERS,
        previous=st.none() | TEXTS,
    ),
    st.none()
    | st.builds(
        Copy,
        st.sampled_from(STATES),
        TEXTS,
        TEXTS,
        COUNTS,
        st.none() | TEXTS,
        st.booleans(),
        NUMBERS,
    ),
    st.none() | st.builds(Tombstone, NUMBERS, TEXTS, TEXTS),
    st.none() | st.builds(Restored, NUMBERS, NUMBERS, TEXTS),
)


class TestDecode:
    @given(MANIFESTS, st.sampled_from([None, KEY]))
    def test_round_trip(self, manifest: Manifest, key: Key | None) -> None:
        """
        What was encoded is read as it was, with its key or without one.
        """
        text = encode(manifest, key)

        assert manifest == decode(text, *filter(None, [key]))
        assert manifest == decode(text)

    @given(st.data())
    def test_one_byte(self, data: st.DataObject) -> None:
        """
        One changed byte is seen, or changes nothing of what a manifest promises.
        """
        text = bytearray(encode(PRUNED))
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.integers(0, 255))
        try:
            found = decode(bytes(text))
        except ManifestError:
            return

        assert SEALED == found.sealed

    @given(st.data())
    def test_one_byte_of_a_signed_one(self, data: st.DataObject) -> None:
        """
        With a key that holds for the copy and the tombstone as well.
        """
        text = bytearray(encode(PRUNED, KEY))
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.integers(0, 255))
        try:
            found = decode(bytes(text), KEY)
        except ManifestError:
            return

        assert found == PRUNED

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"\0" * 100,
            b"\xff",
            b"null",
            b"[]",
            b"5",
            b'"sealed"',
            b"{}",
            b'{"sealed":[]}',
            b'{"sealed":{}}',
            b'{"sealed":{"v":1}}',
            encode(PRUNED)[:-40],
            b"[" * 60_000,
            b'{"sealed":' + b"[" * 60_000,
            b'{"sealed":' + b"9" * 5_000 + b"}",
            changed(PRUNED, "copy", to=None),
            changed(PRUNED, "copy", to=[1, 2, 3, 4]),
            changed(PRUNED, "copy", "more", to=1),
            changed(PRUNED, "tombstone", to="gone"),
            changed(PRUNED, "restored", to=5),
            changed(PRUNED, "sealed", "more", to=1),
            changed(PRUNED, "signature", to=[]),
        ],
        ids=lambda text: text[:20].decode("latin-1") + str(len(text)),
    )
    def test_no_manifest(self, text: bytes) -> None:
        """
        Damage of whatever kind is one error, and never another one.
        """
        with pytest.raises(ManifestError, match=r"^no manifest: "):
            decode(text)

    @pytest.mark.parametrize("to", ["", "0" * 64, None, 5])
    def test_another_digest(self, to: object) -> None:
        """
        A manifest whose digest is another one was changed.
        """
        with pytest.raises(ManifestError, match="its digest is not"):
            decode(changed(PRUNED, "digest", to=to))

    @pytest.mark.parametrize(
        ("part", "name", "to"),
        [
            ("sealed", "segment", None),
            ("sealed", "segment", 5),
            ("sealed", "sha256", ["5e"]),
            ("sealed", "number", "1"),
            ("sealed", "number", 1.5),
            ("sealed", "number", True),
            ("sealed", "lines", 10**20),
            ("sealed", "chain", 5),
            ("sealed", "last_time", 1761557880.0),
            ("sealed", "elapsed", "1e9"),
            ("sealed", "elapsed", None),
            ("sealed", "elapsed", True),
            ("sealed", "elapsed", float("nan")),
            ("sealed", "elapsed", float("inf")),
            ("sealed", "elapsed", -1e300),
            ("sealed", "elapsed", 10**4_000),
            ("sealed", "latest", float("inf")),
            ("sealed", "retention_floor_days", None),
            ("sealed", "retention_floor_days", float("-inf")),
            ("copy", "state", None),
            ("copy", "state", "lost"),
            ("copy", "sha256", 5),
            ("copy", "bytes", "900"),
            ("copy", "place", None),
            ("copy", "version_id", 5),
            ("copy", "is_verified", 1),
            ("copy", "is_verified", "no"),
            ("copy", "locked_until", "2099-01-01"),
            ("copy", "locked_until", True),
            ("copy", "locked_until", float("inf")),
            ("tombstone", "time", None),
            ("tombstone", "time", float("nan")),
            ("tombstone", "reason", 5),
            ("tombstone", "by", None),
            ("restored", "time", None),
            ("restored", "until", "2099-01-01"),
            ("restored", "by", 5),
        ],
        ids=lambda value: f"{value!r:.12}",
    )
    def test_wrong_value(self, part: str, name: str, to: object) -> None:
        """
        A value that cannot be is refused, though digest and all be right.
        """
        with pytest.raises(ManifestError, match=f"^{name}: "):
            decode(changed(PRUNED, part, name, to=to))


class TestSignature:
    def test_wanted(self) -> None:
        """
        With a key only what that key signed is a manifest.
        """
        other = Key(b"another secret, not this")

        for text in (encode(PRUNED), encode(PRUNED, other)):
            with pytest.raises(ManifestError, match="not signed with key 048ac241"):
                decode(text, KEY)

    @pytest.mark.parametrize(
        ("where", "to"),
        [
            (("sealed", "lines"), 8),
            (("copy", "is_verified"), False),
            (("tombstone", "reason"), "because"),
        ],
    )
    def test_of_all_parts(self, where: tuple[str, str], to: object) -> None:
        """
        What becomes of a segment is signed like what it was.
        """
        signed = json.loads(encode(PRUNED, KEY))
        content = json.loads(changed(PRUNED, *where, to=to))
        content["signature"] = signed["signature"]

        with pytest.raises(ManifestError, match="not signed"):
            decode(json.dumps(content).encode(), KEY)

    def test_added_part(self) -> None:
        """
        Nobody without the key adds a tombstone.
        """
        content = json.loads(encode(Manifest(SEALED), KEY))
        content["tombstone"] = TOMBSTONE._asdict()

        with pytest.raises(ManifestError, match="not signed"):
            decode(json.dumps(content).encode(), KEY)

    def test_another_key(self) -> None:
        """
        Of several keys any will do; where none does, all are named.
        """
        other = Key(b"another secret, not this", "other")
        third = Key(b"a third secret, of no use", "third")

        assert PRUNED == decode(encode(PRUNED, KEY), other, KEY)
        with pytest.raises(ManifestError, match="with key other or third"):
            decode(encode(PRUNED, KEY), other, third)

    def test_names_its_key(self) -> None:
        """
        A signed manifest says which key signed it, and no secret.
        """
        text = encode(PRUNED, KEY)

        assert KEY.key_id == json.loads(text)["signature"]["kid"]
        assert b"0123456789abcdef" not in text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trail's hidden folder, which is not there yet."""
    return tmp_path / f".{NAME}.d"


@pytest.fixture
def manifests(folder: Path) -> Manifests:
    """The manifests in it."""
    return Manifests(str(folder), NAME)


def file_of(folder: Path, number: int) -> Path:
    """Return where a segment's manifest is."""
    return folder / f"{named(number)}.manifest"


class TestKnown:
    def test_no_folder(self, manifests: Manifests, folder: Path) -> None:
        """
        Before there is a folder, nothing is known, and no folder is made.
        """
        assert [] == manifests.known()
        assert not folder.exists()

    def test_by_number(self, manifests: Manifests) -> None:
        """
        The oldest come first: by number, which grows beyond six digits.
        """
        for number in (1_000_000, 2, 999_999, 1):
            manifests.save(of(number))

        expected = [named(number) for number in (1, 2, 999_999, 1_000_000)]
        assert expected == manifests.known()

    def test_foreign_files(self, manifests: Manifests, folder: Path) -> None:
        """
        Whatever else lies there is no manifest, nor is what a dead one left.
        """
        manifests.save(of(1))
        for name in (
            "number",
            "reserve",
            f"{named(2)}.manifest.new",
            f"{named(2)}.gz.partial",
            named(2),
            f"other.log.{STAMP}.000002.manifest",
            f"{NAME}.1.manifest",
            ".manifest",
        ):
            (folder / name).write_text("")

        assert [named(1)] == manifests.known()


class TestLoad:
    def test_none(self, manifests: Manifests) -> None:
        """
        A segment without a manifest has none.
        """
        assert manifests.load(named(1)) is None
        manifests.save(of(1))
        assert manifests.load(named(2)) is None

    def test_of_another(self, manifests: Manifests, folder: Path) -> None:
        """
        A manifest under another segment's name is not that one's.
        """
        manifests.save(of(1))
        file_of(folder, 1).rename(file_of(folder, 2))

        with pytest.raises(ManifestError, match=f"^it is of '{named(1)}'$"):
            manifests.load(named(2))

    def test_endless(self, manifests: Manifests, folder: Path) -> None:
        """
        More than 64 KiB are no manifest, and are not read.
        """
        folder.mkdir()
        with file_of(folder, 1).open("wb") as file:
            file.write(encode(of(1)))
            file.truncate(10**12)

        with pytest.raises(ManifestError, match=r"^longer than 65536 bytes$"):
            manifests.load(named(1))

    def test_damaged(self, manifests: Manifests, folder: Path) -> None:
        """
        A manifest that is none says so.
        """
        manifests.save(of(1))
        file_of(folder, 1).write_bytes(b"{}")

        with pytest.raises(ManifestError, match="no manifest: KeyError"):
            manifests.load(named(1))

    def test_nobody_writes_to_it(self, manifests: Manifests, folder: Path) -> None:
        """
        A FIFO in its place does not make us wait.
        """
        folder.mkdir()
        os.mkfifo(file_of(folder, 1))

        with pytest.raises(ManifestError):
            manifests.load(named(1))

    def test_elsewhere(self, manifests: Manifests, folder: Path) -> None:
        """
        A link is not followed, wherever it leads.
        """
        manifests.save(of(1))
        file_of(folder, 1).rename(folder / "true")
        file_of(folder, 1).symlink_to("true")

        with pytest.raises(OSError, match="symbolic links"):
            manifests.load(named(1))


def refusing_after(written: int) -> Callable[[int, bytes], None]:
    """Return a `write_all` that finds no room for more than *written* bytes."""

    def write(fd: int, data: bytes) -> None:
        os.write(fd, data[:written])
        raise OSError(errno.ENOSPC, "no space left")

    return write


class TestSave:
    def test_found_again(self, manifests: Manifests) -> None:
        """
        What was saved is loaded, also after it was saved anew.
        """
        manifests.save(Manifest(SEALED))
        assert Manifest(SEALED) == manifests.load(SEALED.segment)

        manifests.save(PRUNED)
        assert PRUNED == manifests.load(SEALED.segment)

    def test_signed(self, folder: Path) -> None:
        """
        With a key they are signed, and need to be.
        """
        signed = Manifests(str(folder), NAME, KEY)
        signed.save(of(1))
        Manifests(str(folder), NAME).save(of(2))

        assert of(1) == signed.load(named(1))
        with pytest.raises(ManifestError, match="not signed"):
            signed.load(named(2))

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    def test_mode(self, manifests: Manifests, folder: Path, mask: int) -> None:
        """
        Its permissions are those asked for, whatever the umask.
        """
        before = os.umask(mask)
        try:
            manifests.save(of(1))
            manifests.save(of(2), 0o600)
        finally:
            os.umask(before)

        modes = [stat.S_IMODE(file_of(folder, each).stat().st_mode) for each in (1, 2)]
        assert [0o640, 0o600] == modes
        assert stat.S_IMODE(folder.stat().st_mode) <= 0o750

    def test_planted_link(
        self, manifests: Manifests, folder: Path, tmp_path: Path
    ) -> None:
        """
        Whoever plants a link where we write aside does not have us write elsewhere.
        """
        victim = tmp_path / "passwords"
        victim.write_text("root")
        folder.mkdir()
        planted = folder / f"{named(1)}.manifest.new"
        planted.symlink_to(victim)

        manifests.save(of(1))

        assert "root" == victim.read_text()
        assert of(1) == manifests.load(named(1))
        assert not file_of(folder, 1).is_symlink()

    def test_link_planted_meanwhile(
        self,
        manifests: Manifests,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        One that comes back as soon as it is removed is an error.
        """
        victim = tmp_path / "passwords"
        victim.write_text("root")
        folder.mkdir()
        (folder / f"{named(1)}.manifest.new").symlink_to(victim)
        monkeypatch.setattr(os, "unlink", lambda _: None)

        with pytest.raises(OSError, match="symbolic links"):
            manifests.save(of(1))
        assert "root" == victim.read_text()

    def test_left_by_a_dead_one(self, manifests: Manifests, folder: Path) -> None:
        """
        What a dead process left half written is not part of what we write.
        """
        folder.mkdir()
        (folder / f"{named(1)}.manifest.new").write_bytes(b"x" * 10_000)

        manifests.save(of(1))

        assert of(1) == manifests.load(named(1))
        assert [f"{named(1)}.manifest"] == [each.name for each in folder.iterdir()]

    @pytest.mark.parametrize(
        ("where", "what", "call"),
        [
            (opening, "make_directory", refusing(errno.EACCES)),
            (os, "unlink", refusing(errno.EACCES)),
            (opening, "open_or_make", refusing(errno.EMFILE)),
            (opening, "write_all", refusing_after(0)),
            (opening, "write_all", refusing_after(100)),
            (opening, "write_all", refusing_after(10_000)),
            (os, "fsync", refusing(errno.EIO)),
            (os, "replace", refusing(errno.EIO)),
        ],
    )
    def test_whole_or_not_at_all(
        self,
        manifests: Manifests,
        monkeypatch: pytest.MonkeyPatch,
        where: Any,
        what: str,
        call: Callable[..., Any],
    ) -> None:
        """
        Whatever fails, the one before is still there, and it can be tried again.
        """
        manifests.save(Manifest(SEALED))
        with monkeypatch.context() as patch:
            patch.setattr(where, what, call)
            with pytest.raises(OSError):  # noqa: PT011  whatever refuses
                manifests.save(PRUNED)

        assert Manifest(SEALED) == manifests.load(SEALED.segment)
        manifests.save(PRUNED)
        assert PRUNED == manifests.load(SEALED.segment)

    def test_name_not_kept(
        self, manifests: Manifests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A directory that cannot be synced is an error; the manifest is whole.
        """
        manifests.save(Manifest(SEALED))
        monkeypatch.setattr(opening, "sync_directory", refusing(errno.EIO))

        with pytest.raises(OSError, match="refused"):
            manifests.save(PRUNED)
        assert PRUNED == manifests.load(SEALED.segment)

    def test_kept_before_it_is_named(
        self, manifests: Manifests, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The disk has its content before its name, and its name before we go on.
        """
        done = []
        for module, name in (
            (opening, "write_all"),
            (os, "fsync"),
            (os, "replace"),
            (opening, "sync_directory"),
        ):
            true = getattr(module, name)

            def call(*given: Any, name: str = name, true: Any = true) -> None:
                done.append(name)
                true(*given)

            monkeypatch.setattr(module, name, call)

        manifests.save(of(1))

        # The last one is that of the directory.
        assert ["write_all", "fsync", "replace", "sync_directory", "fsync"] == done


def gone(manifest: Manifest) -> Manifest:
    """Return *manifest* with a tombstone."""
    return manifest._replace(tombstone=TOMBSTONE)


def waited(seconds: float) -> None:
    """Fail: nobody is to be waited for."""
    pytest.fail(f"waited for {seconds} s")


class TestUpdate:
    def test_changed(self, manifests: Manifests) -> None:
        """
        What is said of a segment is read again, changed and kept; then others may.
        """
        manifests.save(of(1))
        for _ in range(2):
            changed = manifests.update(named(1), gone, waited)
            assert gone(of(1)) == changed == manifests.load(named(1))

    def test_two_at_once(self, manifests: Manifests, folder: Path) -> None:
        """
        Nobody's change is lost: the second one waits, and goes on from the first.
        """
        manifests.save(of(1))
        other = Turn(str(folder), "manifests")
        assert other.take()

        def archived(manifest: Manifest) -> Manifest:
            return manifest._replace(copy=COPY)

        def sleep(_: float) -> None:
            manifests.save(gone(of(1)))
            other.release()

        manifests.update(named(1), archived, sleep)
        assert Manifest(of(1).sealed, COPY, TOMBSTONE) == manifests.load(named(1))

    def test_busy_for_long(self, manifests: Manifests, folder: Path) -> None:
        """
        After five seconds in vain it is said, and nothing is changed.
        """
        manifests.save(of(1))
        other = Turn(str(folder), "manifests")
        assert other.take()
        pauses: list[float] = []

        with pytest.raises(BlockingIOError, match="changes the manifests"):
            manifests.update(named(1), gone, pauses.append)
        assert 5 == pytest.approx(sum(pauses))
        assert of(1) == manifests.load(named(1))
        other.release()

    def test_nothing_new(self, manifests: Manifests, folder: Path) -> None:
        """
        What is as it is to be is not written again.
        """
        manifests.save(of(1))
        before = file_of(folder, 1).stat()
        manifests.update(named(1), lambda manifest: manifest, waited)
        assert before == file_of(folder, 1).stat()

    def test_not_there(self, manifests: Manifests) -> None:
        """
        What has no manifest gets none.
        """
        with pytest.raises(ManifestError, match="not there any more"):
            manifests.update(named(1), gone, waited)
        assert [] == manifests.known()

    def test_older_key(self, folder: Path) -> None:
        """
        What an older key signed is signed with the newest; what nobody did is not.
        """
        newest = Key(b"another secret, not this")
        Manifests(str(folder), NAME, KEY).save(of(1))
        Manifests(str(folder), NAME, newest, [KEY]).update(named(1), gone, waited)

        assert gone(of(1)) == Manifests(str(folder), NAME, newest).load(named(1))
        Manifests(str(folder), NAME).save(of(2))
        with pytest.raises(ManifestError, match="not signed"):
            Manifests(str(folder), NAME, newest, [KEY]).update(named(2), gone, waited)
