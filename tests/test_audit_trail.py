"""
The trail's engine: lines that vouch for each other, whoever writes, whatever fails.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit import chain
from chimera_log.audit import trail as trail_module
from chimera_log.audit.chain import Key
from chimera_log.audit.trail import Rules, Trail
from chimera_log.files.policy import ALWAYS, GZIP, INTERVAL, Threads
from chimera_log.files.retention import Limits
from tests.logs import FIRST, POLICY, STAMP, Log, held, in_child, maintained, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = Rules(
    key=None,
    retention_floor_days=1096,
    checkpoint_interval=0,
    checkpoint_records=0,
    reserve_bytes=0,
)
CHAIN = "c0ffee00" * 4
ROOM = 100_000  # bytes, for many lines


def line(number: int = 0, size: int = 0) -> bytes:
    """Return a line as a formatter makes it."""
    context = {"number": number, "filling": "x" * size}
    content = {"timestamp": "2025-10-27T08:38:00.000000Z", "context": context}
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


class TrailLog(Log):
    """A trail in a folder of its own; as `Log`."""

    kind: type[Trail] = Trail

    def open(self, **policy: Any) -> Trail:
        """Return a new engine; *policy* may name what `Rules` has."""
        rules = {name: policy.pop(name) for name in Rules._fields if name in policy}
        if "backup_count" in policy:
            policy["limits"] = Limits(policy.pop("backup_count"))
        made = self.kind(
            str(self.path),
            self.policy._replace(**policy, rules=RULES._replace(**rules)),
            lambda kind, message: self.troubles.append((kind, message)),
            lambda: self.now,
            Threads(
                lambda: self.asked.append("sync"),
                lambda: self.asked.append("maintain"),
            ),
        )
        self.opened.append(made)
        return made

    @property
    def numbers(self) -> list[int]:
        """The numbers of the formatters' lines, in order."""
        contexts = [json.loads(each)["context"] for each in self.lines]
        return [context["number"] for context in contexts if "number" in context]

    @property
    def own(self) -> list[tuple[str, dict[str, Any]]]:
        """What the trail itself wrote."""
        found = [chain.own_event(each) for each in self.lines]
        return [each for each in found if each is not None]


def assert_chained(lines: list[bytes], key: Key | None = None) -> chain.Head:
    """Assert that *lines* are a whole chain; return its head."""
    first = chain.link_of(lines[0])
    assert first is not None
    head = chain.begin(first.chain)
    for number, each in enumerate(lines, 1):
        after = chain.follow(each, head, key)
        assert after is not None, f"line {number}: {each!r}"
        head = after
    assert len(lines) == head.seq
    return head


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TrailLog]:
    """A place for a trail with room for many lines."""
    made = TrailLog(tmp_path, "executions.log", max_bytes=ROOM)
    yield made
    made.close()


class TestChain:
    def test_one_writer(self, log: TrailLog) -> None:
        """
        Each line is linked to the one before; the first one begins a chain.
        """
        trail = log.open()
        for number in range(5):
            assert trail.append(line(number))

        assert [0, 1, 2, 3, 4] == log.numbers
        assert assert_chained(log.lines) == trail.head
        assert [] == log.troubles

    def test_many_in_one_write(self, log: TrailLog) -> None:
        """
        Lines that are written together are linked one by one.
        """
        trail = log.open()
        trail.append_all(trail._waiting.__class__(line(each) for each in range(100)))

        assert list(range(100)) == log.numbers
        assert_chained(log.lines)
        assert 100 == trail.statistics().written

    def test_across_rotations(self, log: TrailLog) -> None:
        """
        The chain goes on in the next file, and the full one ends at its size.
        """
        trail = log.open(max_bytes=1_000)
        for number in range(20):
            trail.append(line(number))

        assert len(log.full) > 3
        assert all(file.stat().st_size <= 1_000 for file in log.full)
        assert list(range(20)) == log.numbers
        assert_chained(log.lines)

    def test_rotated_by_hand(self, log: TrailLog) -> None:
        """
        `rotate` moves on at once, also twice, and does not break the chain.
        """
        trail = log.open()
        trail.append(line(0))
        trail.rotate()
        trail.rotate()
        trail.append(line(1))

        assert 1 == len(log.full)
        assert_chained(log.lines)

    def test_restart(self, log: TrailLog) -> None:
        """
        The next process goes on where the last one ended.
        """
        log.open().append(line(0))
        log.open().append(line(1))

        assert_chained(log.lines)

    def test_restart_after_rotation(self, log: TrailLog) -> None:
        """
        It finds the end in the full file, if there is no other.
        """
        trail = log.open()
        trail.append(line(0))
        trail.rotate()
        trail.close()
        log.path.unlink()
        log.open().append(line(1))

        assert_chained(log.lines)

    def test_restart_beside_sealed(self, log: TrailLog) -> None:
        """
        It finds the end in a manifest, if the full file is compressed, or gone.
        """
        trail = log.open(compression=GZIP)
        trail.append(line(0))
        trail.rotate()
        maintained(trail)
        (full,) = log.full
        assert full.suffix == ".gz"
        full.unlink()
        log.open().append(line(1))

        link = chain.link_of(log.path.read_bytes())
        assert link is not None
        assert trail.head == (link.chain, link.seq - 1, link.prev)

    def test_restart_with_another_key(self, log: TrailLog) -> None:
        """
        It does so as well if the manifest was signed with another key, or with none.
        """
        trail = log.open(key=Key(b"a" * 32))
        trail.append(line(0))
        trail.rotate()
        maintained(trail)
        log.full[0].unlink()
        assert log.open(key=Key(b"b" * 32)).append(line(1))

        link = chain.link_of(log.path.read_bytes())
        assert link is not None
        assert trail.head == (link.chain, link.seq - 1, link.prev)

    def test_two_writers(self, log: TrailLog) -> None:
        """
        Two that take turns have one chain, also when one of them rotates.
        """
        one, other = log.open(max_bytes=2_000), log.open(max_bytes=2_000)
        for number in range(0, 30, 3):
            one.append(line(number))
            other.append(line(number + 1))
            other.append(line(number + 2))

        assert list(range(30)) == log.numbers
        assert_chained(log.lines)

    def test_first_in_the_new_file(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Who rotates and finds that a sibling wrote first goes on after him.
        """
        one, other = log.open(max_bytes=600), log.open(max_bytes=600)
        one.append(line(0))
        one.append(line(1))
        rename = os.rename

        def rename_and_write(*paths: str) -> None:
            rename(*paths)
            monkeypatch.setattr(os, "rename", rename)
            other.append(line(2))

        monkeypatch.setattr(os, "rename", rename_and_write)
        one.append(line(3))

        assert [0, 1, 2, 3] == log.numbers
        assert_chained(log.lines)

    def test_forked(self, log: TrailLog) -> None:
        """
        A forked child writes the same chain, and so does its parent afterwards.
        """
        trail = log.open()
        trail.append(line(0))

        def work() -> bool:
            trail.after_fork()
            return trail.append(line(1)) and trail.append(line(2))

        assert in_child(work)
        trail.append(line(3))

        assert [0, 1, 2, 3] == log.numbers
        assert_chained(log.lines)

    def test_key(self, log: TrailLog) -> None:
        """
        With a key every line is signed, and without it the chain seems broken.
        """
        key = Key(b"k" * 32)
        trail = log.open(key=key)
        trail.append(line(0))
        trail.append(line(1))

        assert_chained(log.lines, key)
        assert chain.follow(log.lines[0], chain.begin(trail.head.chain)) is None  # type: ignore[union-attr]

    def test_number_is_given_at_the_write(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A line that waits has no number yet: the others' lines leave no gap.
        """
        one, other = log.open(), log.open()
        one.append(line(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.EIO))
            assert not one.append(line(2))
        other.append(line(1))
        one.flush()

        assert [0, 1, 2] == log.numbers
        assert_chained(log.lines)


class TestFailure:
    def test_write_fails(self, log: TrailLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What could not be written is linked anew when it can be.
        """
        trail = log.open()
        trail.append(line(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.EIO))
            assert not trail.append(line(1))
            assert not trail.append(line(2))
        assert trail.append(line(3))

        assert [0, 1, 2, 3] == log.numbers
        assert_chained(log.lines)

    def test_as_long_as_a_siblings(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A line that failed is not taken for a sibling's that has its length.
        """
        one, other = log.open(), log.open()
        one.append(line(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.EIO))
            one.append(line(1))
        other.append(line(2))
        one.flush()

        assert [0, 2, 1] == log.numbers
        assert_chained(log.lines)

    def test_short_write(self, log: TrailLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Half a line is cut off again.
        """
        trail = log.open()
        trail.append(line(0))
        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:50]))
            assert not trail.append(line(1))
        trail.flush()

        assert [0, 1] == log.numbers
        assert_chained(log.lines)

    def test_rotation_fails(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that cannot be renamed is written on.
        """
        trail = log.open(max_bytes=600)
        monkeypatch.setattr(os, "rename", refusing(errno.EACCES))
        for number in range(5):
            assert trail.append(line(number))

        assert ["rotate"] == log.kinds
        assert_chained(log.lines)

    def test_new_file_fails(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Where no new file can be made, the full one takes one line more.
        """
        trail = log.open(max_bytes=600)
        trail.append(line(0))
        trail.append(line(1))
        with monkeypatch.context() as patch:
            patch.setattr(trail, "_open", refusing(errno.EMFILE))
            assert trail.append(line(2))
        assert trail.append(line(3))

        assert [0, 1, 2, 3] == log.numbers
        assert_chained(log.lines)

    def test_sync_before_rename_fails(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A file that the disk does not take is not renamed: nothing follows it.
        """
        trail = log.open(max_bytes=600)
        monkeypatch.setattr(trail_module, "_sync_file", refusing(errno.EIO))
        for number in range(5):
            assert trail.append(line(number))

        assert [] == log.full
        assert ["rotate"] == log.kinds

    def test_synced_before_renamed(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        The disk has a full file before it gets its name, and before any later line.
        """
        done: list[str] = []
        rename = os.rename
        monkeypatch.setattr(trail_module, "_sync_file", lambda _: done.append("sync"))

        def renamed(*paths: str) -> None:
            done.append("rename")
            rename(*paths)

        monkeypatch.setattr(os, "rename", renamed)
        trail = log.open(max_bytes=600)
        for number in range(3):
            trail.append(line(number))

        assert ["sync", "rename"] == done

    def test_unreadable_end(self, log: TrailLog) -> None:
        """
        Nothing is written while the end cannot be read: a chain has no two ends.
        """
        trail = log.open()
        trail.append(line(0))
        trail.rotate()
        (full,) = log.full
        content = full.read_bytes()
        full.with_suffix(f"{full.suffix}.gz").write_bytes(b"no gzip")
        full.unlink()
        trail.close()
        assert not log.open().append(line(1))
        assert b"" == log.path.read_bytes()
        full.write_bytes(content)
        full.with_suffix(f"{full.suffix}.gz").unlink()
        log.opened[-1].flush()

        assert_chained(log.lines)

    def test_raising_handler(self, log: TrailLog) -> None:
        """
        A signal handler that raises between the write and its account costs nothing.
        """
        trail = log.open()
        trail.append(line(0))

        class Stop(BaseException):
            pass

        def raising() -> None:
            raise Stop

        settled = trail._settle
        trail._settle = raising  # type: ignore[method-assign]
        with pytest.raises(Stop):
            trail.append(line(1))
        trail._settle = settled  # type: ignore[method-assign]
        trail.append(line(2))

        assert [0, 1, 2] == log.numbers
        assert_chained(log.lines)


class TestLock:
    def test_held(self, log: TrailLog) -> None:
        """
        Without the lock nothing is written: lines wait, and that is said.
        """
        trail = log.open(lock_timeout=0)
        trail.append(line(0))
        with held(log.path):
            assert not trail.append(line(1))
            assert [0] == log.numbers
            assert ["lock", "write"] == log.kinds
            assert "its records wait" in log.troubles[0][1]
            assert "another process holds its lock" in trail.trouble
        trail.flush()

        assert [0, 1] == log.numbers
        assert_chained(log.lines)

    @pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
    def test_none(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        """
        Where there are no locks lines are written without, and none is refused.
        """
        monkeypatch.setattr("fcntl.flock", refusing(code))
        one, other = log.open(), log.open()
        for number in range(0, 6, 2):
            assert one.append(line(number))
            assert other.append(line(number + 1))

        assert list(range(6)) == log.numbers
        assert_chained(log.lines)

    def test_none_and_full(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Without locks nothing is renamed.
        """
        monkeypatch.setattr("fcntl.flock", refusing(errno.ENOLCK))
        trail = log.open(max_bytes=600)
        for number in range(5):
            assert trail.append(line(number))

        assert [] == log.full
        assert_chained(log.lines)


class TestTorn:
    def test_cut_off(self, log: TrailLog) -> None:
        """
        Half a line of a dead writer is cut off, and a line vouches for what it was.
        """
        log.open().append(line(0))
        with log.path.open("ab") as file:
            file.write(b'{"timestamp":"2025')
        log.open().append(line(1))

        digest = hashlib.sha256(b'{"timestamp":"2025').hexdigest()
        context = {"kind": "torn", "bytes": 18, "sha256": digest, "left": False}
        assert [("audit_recovered", context)] == log.own
        assert [0, 1] == log.numbers
        assert_chained(log.lines)

    def test_only_half_a_line(self, log: TrailLog) -> None:
        """
        The same where there is no whole line yet.
        """
        log.path.write_bytes(b"{")
        log.open().append(line(0))

        assert ["audit_recovered"] == [event for event, _ in log.own]
        assert_chained(log.lines)

    def test_append_only(self, log: TrailLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        One that cannot be cut off stays, and the next line says how long it is.
        """
        log.open().append(line(0))
        with log.path.open("ab") as file:
            file.write(b"{")
        monkeypatch.setattr(os, "ftruncate", refusing(errno.EPERM))
        log.open().append(line(1))

        first, torn, *rest = log.lines
        assert b"{\n" == torn
        digest = hashlib.sha256(torn).hexdigest()
        context = {"kind": "torn", "bytes": 2, "sha256": digest, "left": True}
        assert ("audit_recovered", context) == chain.own_event(rest[0])
        assert_chained([first, *rest])

    def test_append_only_and_killed_again(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Fragments that several dead writers left are vouched for together.
        """
        monkeypatch.setattr(os, "ftruncate", refusing(errno.EPERM))
        log.open().append(line(0))
        with log.path.open("ab") as file:
            file.write(b'{"a\n{"b')
        log.open().append(line(1))

        first, *torn, recovered, last = log.lines
        event = chain.own_event(recovered)
        assert event is not None
        assert len(b"".join(torn)) == event[1]["bytes"]
        assert_chained([first, recovered, last])

    def test_not_in_the_next_file(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        What vouches for a fragment stands behind it, though the file is full.
        """
        log.open().append(line(0))
        with log.path.open("ab") as file:
            file.write(b"{")
        monkeypatch.setattr(os, "ftruncate", refusing(errno.EPERM))
        trail = log.open(max_bytes=300)
        trail.append(line(1))
        trail.append(line(2))

        (full,) = log.full
        events = [chain.own_event(each) for each in full.read_bytes().splitlines(True)]
        assert ["audit_recovered"] == [event[0] for event in events if event]

    def test_retried(self, log: TrailLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It is vouched for once, though the first try to write failed.
        """
        log.open().append(line(0))
        with log.path.open("ab") as file:
            file.write(b"{")
        trail = log.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.EIO))
            assert not trail.append(line(1))
        trail.flush()

        assert ["audit_recovered"] == [event for event, _ in log.own]
        assert_chained(log.lines)


class TestForeign:
    def test_whole_line(self, log: TrailLog) -> None:
        """
        A whole line of somebody else is not vouched for, and that is said.
        """
        log.open().append(line(0))
        with log.path.open("ab") as file:
            file.write(line(9))
        log.open().append(line(1))

        assert ["foreign"] == log.kinds
        assert [] == log.own
        first, _, last = log.lines
        assert_chained([first, last])

    def test_from_before(self, log: TrailLog) -> None:
        """
        Lines from before there was a chain get a file of their own.
        """
        log.path.write_bytes(line(0) + line(1))
        log.open().append(line(2))

        assert line(0) + line(1) == log.full[0].read_bytes()
        assert_chained(log.lines[2:])
        assert [] == log.troubles

    def test_from_before_and_stuck(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        If that cannot be done, the first chained line vouches for them.
        """
        old = line(0) + line(1)
        log.path.write_bytes(old)
        monkeypatch.setattr(os, "rename", refusing(errno.EPERM))
        log.open().append(line(2))

        digest = hashlib.sha256(old).hexdigest()
        context = {"kind": "legacy", "bytes": len(old), "sha256": digest, "left": True}
        assert [("audit_recovered", context)] == log.own
        assert_chained(log.lines[2:])

    def test_from_before_and_never_rotated(self, log: TrailLog) -> None:
        """
        The same where files are not renamed at all.
        """
        log.path.write_bytes(line(0))
        log.open(backup_count=0, max_bytes=0).append(line(1))

        assert [] == log.full
        assert ["audit_recovered"] == [event for event, _ in log.own]
        assert_chained(log.lines[1:])

    def test_unchained_in_between(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Once there is a chain, unchained lines are somebody's, wherever they stand.
        """
        trail = log.open()
        trail.append(line(0))
        trail.rotate()
        trail.close()
        log.path.write_bytes(line(9))
        monkeypatch.setattr(os, "rename", refusing(errno.EPERM))
        log.open().append(line(1))

        assert "foreign" in log.kinds
        assert [] == log.own

    def test_moved_away(self, log: TrailLog) -> None:
        """
        Lines that somebody took away are missed: no number is given twice.
        """
        trail = log.open()
        trail.append(line(0))
        trail.append(line(1))
        log.path.rename(log.path.with_name("elsewhere"))
        trail.append(line(2))

        link = chain.link_of(log.path.read_bytes())
        assert link is not None
        assert 3 == link.seq

    @pytest.mark.parametrize("name", ["executions.log.1", "executions.log.50"])
    def test_left_by_stdlib(self, log: TrailLog, name: str) -> None:
        """
        Full files of the standard library's handler are in nobody's way.
        """
        log.path.with_name(name).write_bytes(line(0))
        log.path.with_name(f"executions.log.{STAMP}.000007").mkdir()
        trail = log.open(max_bytes=300)
        trail.append(line(1))
        trail.append(line(2))
        maintained(trail)

        assert line(0) == log.path.with_name(name).read_bytes()
        assert f"executions.log.{STAMP}.000008" in {each.name for each in log.full}


class TestPlace:
    def test_pipe(self, log: TrailLog) -> None:
        """
        A named pipe is no place for a trail: its lines wait.
        """
        os.mkfifo(log.path)

        assert not log.open().append(line(0))
        assert "no regular file" in log.troubles[0][1]

    def test_link(self, log: TrailLog) -> None:
        """
        A link in its place is not followed.
        """
        log.path.symlink_to(log.path.with_name("elsewhere"))

        assert not log.open().append(line(0))
        assert not log.path.with_name("elsewhere").exists()

    @pytest.mark.parametrize(
        ("mode", "expected"), [(0o777, ["permissions"]), (0o1777, []), (0o755, [])]
    )
    def test_everybodys_folder(
        self, log: TrailLog, mode: int, expected: list[str]
    ) -> None:
        """
        A folder from which anybody may remove it is reported.
        """
        log.path.parent.chmod(mode)
        log.open().append(line(0))

        assert expected == log.kinds

    def test_modes(self, log: TrailLog) -> None:
        """
        Who may read it is as configured; full files cannot be written any more.
        """
        trail = log.open()
        trail.append(line(0))
        trail.rotate()
        maintained(trail)
        trail.append(line(1))

        modes = [stat.S_IMODE(each.stat().st_mode) for each in [*log.full, log.path]]
        assert [0o440, 0o640] == modes


class TestReserve:
    def test_disk_full(self, log: TrailLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        When the disk is full its reserve is given back, and nothing waits.
        """
        trail = log.open(reserve_bytes=4_096)
        trail.append(line(0))
        maintained(trail)
        reserve = log.aside / "reserve"
        assert 4_096 == reserve.stat().st_size
        write = os.write

        def full(fd: int, data: bytes) -> int:
            if reserve.exists():
                raise OSError(errno.ENOSPC, "full")
            return write(fd, data)

        monkeypatch.setattr(os, "write", full)
        assert trail.append(line(1))

        assert ["reserve"] == log.kinds
        assert_chained(log.lines)

    def test_disk_full_again(
        self, log: TrailLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        When that is used up too, lines wait, as in any log file.
        """
        trail = log.open(reserve_bytes=4_096)
        trail.append(line(0))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refusing(errno.ENOSPC))
            assert not trail.append(line(1))
        trail.flush()

        assert ["write"] == log.kinds
        assert [0, 1] == log.numbers


class TestSecure:
    def test_kept(self, log: TrailLog) -> None:
        """
        With ``always`` the disk has what was written.
        """
        trail = log.open(sync=ALWAYS)
        trail.append(line(0))

        assert trail.secure(1.0)

    def test_by_the_thread(self, log: TrailLog) -> None:
        """
        With ``interval`` the syncing thread is called, and waited for.
        """
        waited = []
        trail = log.open(sync=INTERVAL)
        trail.append(line(0))

        def finish(timeout: float) -> None:
            waited.append(timeout)
            trail.sync_due(0.0)

        trail._threads = Threads(finish_sync=finish)

        assert trail.secure(0.5)
        assert trail.secure(0.5)
        assert [0.5] == waited

    def test_not_in_time(self, log: TrailLog) -> None:
        """
        A disk that takes too long does not have it for certain.
        """
        trail = log.open(sync=INTERVAL)
        trail.append(line(0))

        assert not trail.secure(0.5)

    def test_refused(self, log: TrailLog, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Nor does one that refused, though it is not asked again.
        """
        trail = log.open(sync=ALWAYS)
        with monkeypatch.context() as patch:
            patch.setattr("chimera_log.files.durable._sync_file", refusing(errno.EIO))
            trail.append(line(0))
        assert not trail.secure(1.0)
        trail.append(line(1))

        assert trail.secure(1.0)


class TestCheckpoints:
    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> list[chain.Head]:
        """The heads that were told."""
        heads: list[chain.Head] = []
        monkeypatch.setattr(
            "chimera_log.audit.witness.Checkpoints.tell",
            lambda _, head, __: heads.append(head),
        )
        return heads

    def test_maintained(self, log: TrailLog, told: list[chain.Head]) -> None:
        """
        The maintenance thread tells when it is time, and when to ask again.
        """
        trail = log.open(checkpoint_interval=60)
        assert maintained(trail) is None
        trail.append(line(0))
        assert "maintain" in log.asked

        assert 59 < (maintained(trail) or 0) <= 60
        assert [] == told

    def test_number(self, log: TrailLog, told: list[chain.Head]) -> None:
        """
        After so many records it is told at once, once the disk has it.
        """
        trail = log.open(checkpoint_records=3, sync=INTERVAL)
        for number in range(3):
            trail.append(line(number))
        assert not trail._durable.is_clean
        trail.maintain()

        assert [trail.head] == told
        assert trail._durable.is_clean

    def test_full(self, log: TrailLog, told: list[chain.Head]) -> None:
        """
        A full file is a reason, too.
        """
        trail = log.open(checkpoint_interval=60)
        trail.append(line(0))
        trail.rotate()
        trail.maintain()

        assert [trail.head] == told

    def test_off(self, log: TrailLog, told: list[chain.Head]) -> None:
        """
        Without interval and number nothing is told, whatever happens.
        """
        trail = log.open()
        trail.append(line(0))
        trail.rotate()
        maintained(trail)
        trail.checkpoint()

        assert [] == told

    def test_nothing_written(self, log: TrailLog, told: list[chain.Head]) -> None:
        """
        A trail that this process did not write to has nothing to tell.
        """
        log.open(checkpoint_interval=60).checkpoint()

        assert [] == told

    def test_exit(self, log: TrailLog, told: list[chain.Head]) -> None:
        """
        At an orderly exit what waits is written, and the end is told.
        """
        trail = log.open(checkpoint_interval=60)
        trail.append(line(0))
        trail_module._at_exit()

        assert trail.head in told


class TestOwnLines:
    def test_told(self, log: TrailLog) -> None:
        """
        A line of the trail's own is chained like any other, with the time it has.
        """
        trail = log.open()
        assert trail.tell("audit_pruned", {"segment": "x"})

        (written,) = log.lines
        content = json.loads(written)
        assert "2025-10-27T08:38:00.000000Z" == content["timestamp"]
        assert FIRST == log.now
        assert ("audit_pruned", {"segment": "x"}) == chain.own_event(written)
        assert_chained(log.lines)


def test_new_rules(log: TrailLog) -> None:
    """
    A newer configuration holds from the next record on.
    """
    trail = log.open()
    trail.append(line(0))
    key = Key(b"k" * 32)
    trail.use(POLICY._replace(max_bytes=ROOM, rules=RULES._replace(key=key)))
    trail.append(line(1))

    first, second = (chain.link_of(each) for each in log.lines)
    assert first is not None
    assert second is not None
    assert (None, key.key_id) == (first.kid, second.kid)
    assert first.hash == second.prev
