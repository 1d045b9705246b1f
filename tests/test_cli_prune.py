"""
``chimera-log prune``: what it lists, what it deletes, what it refuses.
"""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from chimera_log import AuditFileHandler
from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import Manifests
from chimera_log.audit.retain import DAY
from chimera_log.cli import main
from chimera_log.files.compress import Turn
from tests.conftest import record
from tests.evidence import NAME, Evidence, steady
from tests.logs import FIRST, held, refusing

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef"
YOUNG = "the trail went on for 6 of 8 days since"
MID = "executions.log.20251027T083800Z.00000"  # and a digit


@pytest.fixture
def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """A trail of five full files, two of which may go, at the time that it is now."""
    made = Evidence(tmp_path)
    steady(made, 12)
    monkeypatch.setattr(time, "time", lambda: made.now + 60)
    return made


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    """Return the lines that were printed, and what is on stderr."""
    out, err = capsys.readouterr()
    return out.splitlines(), err


class TestPrune:
    def test_deletes(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        It says of each full file what becomes of it, and why; then it does so.
        """
        assert 0 == main(["prune", str(trail.path)])
        lines, err = printed(capsys)

        assert [
            f"{MID}1: may go: 10 days old; 1 have to be kept",
            f"{MID}2: may go: 8 days old; 1 have to be kept",
            f"{MID}3: stays: {YOUNG}",
            f"{MID}4: stays: the trail went on for 4 of 8 days since",
            f"{MID}5: stays: the trail went on for 2 of 8 days since",
            f"{MID}1: deleted",
            f"{MID}2: deleted",
            "2 of 5 full files deleted",
        ] == lines
        assert "" == err
        assert [f"{MID}{number}" for number in (3, 4, 5)] == trail.full
        assert "chimera-log prune" == trail.manifest(f"{MID}1").tombstone.by
        trail.assert_whole(2)

    def test_dry_run(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A rehearsal says the same, and changes nothing at all.
        """
        before = {each: each.stat() for each in trail.path.parent.rglob("*")}
        assert 0 == main(["prune", "--dry-run", str(trail.path)])
        lines, err = printed(capsys)

        assert f"{MID}1: may go: 10 days old; 1 have to be kept" == lines[0]
        assert "2 of 5 full files would be deleted" == lines[5]
        assert "" == err
        assert before.keys() == set(trail.path.parent.rglob("*"))
        assert [each.st_mtime_ns for each in before.values()] == [
            each.stat().st_mtime_ns for each in before
        ]

    def test_nothing_to_do(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Nothing to do is done well, and the trail is not told.
        """
        main(["prune", str(trail.path)])
        size = trail.path.stat().st_size
        capsys.readouterr()

        assert 0 == main(["prune", str(trail.path)])
        lines, _ = printed(capsys)
        assert [f"{MID}3: stays: {YOUNG}", "0 of 3 full files deleted"] == [
            lines[0],
            lines[-1],
        ]
        assert size == trail.path.stat().st_size

    def test_folder(self, trail: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The trail may be named by its folder, or from where one is.
        """
        monkeypatch.chdir(trail.path.parent)

        assert 0 == main(["prune", "--dry-run", str(trail.path.parent)])
        assert 0 == main(["prune", "--dry-run", "."])
        assert 0 == main(["prune", NAME])
        assert 3 == len(trail.full)

    def test_no_full_files(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A trail that has no full file yet is left as it is.
        """
        young = Evidence(tmp_path)
        young.write(FIRST)

        assert 0 == main(["prune", str(young.path)])
        assert (["0 of 0 full files deleted"], "") == printed(capsys)
        assert [young.path] == list(tmp_path.iterdir())

    def test_backup_count(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Beyond the count, and without a copy, young ones stay.
        """
        assert 0 == main(["prune", "--backup-count", "1", str(trail.path)])
        lines, _ = printed(capsys)

        assert (
            f"{MID}3: stays: it is young, and no version of a copy is verified"
            == (lines[2])
        )
        assert 3 == len(trail.full)

    def test_beside_its_service(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        The service writes on, before and after, and the chain is whole.
        """
        handler = AuditFileHandler(trail.path)
        try:
            for _ in range(2):
                handler.emit(record("bid", created=trail.now + 30))
                assert 0 == main(["prune", str(trail.path)])
            handler.emit(record("bid", created=trail.now + 90))
        finally:
            handler.close()

        trail.now += 100
        trail.assert_whole(2)
        assert "" == printed(capsys)[1]

    def test_other_outputs(
        self, trail: Evidence, caplog: pytest.LogCaptureFixture
    ) -> None:
        """
        It logs nothing, and keeps no thread or file.
        """
        with caplog.at_level(logging.DEBUG):
            main(["prune", str(trail.path)])

        assert [] == caplog.records


class TestClock:
    @pytest.mark.parametrize("error", [-3650 * DAY, -2 * DAY, 2 * DAY, 3650 * DAY])
    def test_doubtful(
        self,
        trail: Evidence,
        error: float,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        More than a day from the newest record nothing goes, unless it is confirmed.

        Even then only what is old enough does.
        """
        monkeypatch.setattr(time, "time", lambda: trail.now + error)

        assert 0 == main(["prune", str(trail.path)])
        lines, _ = printed(capsys)
        assert "0 of 5 full files deleted" == lines[-1]
        assert 5 == len(trail.full)

        assert 0 == main(["prune", "--confirm-clock", str(trail.path)])
        assert (5 if error < -2 * DAY else 3) == len(trail.full)


class TestKeys:
    @pytest.fixture
    def keyed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evidence:
        """A trail that is written with a key, under a name of its own."""
        made = Evidence(tmp_path, Key(SECRET.encode(), "desk-7"))
        steady(made, 12)
        monkeypatch.setattr(time, "time", lambda: made.now + 60)
        monkeypatch.setenv("AUDIT_KEY", SECRET)
        monkeypatch.setenv("OTHER_KEY", SECRET[::-1])
        monkeypatch.setenv("SHORT_KEY", SECRET[1:])
        monkeypatch.setenv("EMPTY_KEY", "")
        return made

    def test_its_key(self, keyed: Evidence) -> None:
        """
        With its key it is pruned, and goes on under the name that the key has there.
        """
        assert 0 == main(["prune", "--key-env", "AUDIT_KEY", str(keyed.path)])

        assert 3 == len(keyed.full)
        assert b'"kid":"desk-7"' in keyed.path.read_bytes().splitlines()[-1]
        keyed.assert_whole(2)

    def test_several(self, keyed: Evidence) -> None:
        """
        Of several keys the right one is found.
        """
        keys = ["--key-env", "OTHER_KEY", "--key-env", "AUDIT_KEY"]

        assert 0 == main(["prune", *keys, str(keyed.path)])
        keyed.assert_whole(2)

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ([], "is written with key desk-7; name it"),
            (["--key-env", "OTHER_KEY"], "the trail's newest record is not genuine"),
            (["--key-env", "SHORT_KEY"], "--key-env: SHORT_KEY: the audit key has 15"),
            (["--key-env", "EMPTY_KEY"], "--key-env: EMPTY_KEY: the variable is not"),
            (["--key-env", "NO_KEY"], "--key-env: NO_KEY: the variable is not set"),
        ],
    )
    def test_another_key(
        self,
        keyed: Evidence,
        keys: list[str],
        expected: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        With another key, or none, nothing is done, and it is said.
        """
        assert 2 == main(["prune", *keys, str(keyed.path)])
        lines, err = printed(capsys)

        assert [] == lines
        assert expected in err
        assert 5 == len(keyed.full)

    def test_no_key(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A trail without a key must not get lines with one.
        """
        monkeypatch.setenv("AUDIT_KEY", SECRET)

        assert 2 == main(["prune", "--key-env", "AUDIT_KEY", str(trail.path)])
        assert "is written without a key" in printed(capsys)[1]


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["none.log"], "none.log: there is no such trail"),
            (["none/none.log"], "none/none.log: there is no such trail"),
            (["."], ".: there is no trail in it"),
            (
                ["executions.log.20251027T083800Z.000001"],
                "is a full file; name the active one, executions.log",
            ),
            (
                ["executions.log.20251027T083800Z.000001.gz"],
                "is a full file; name the active one, executions.log",
            ),
            (["--backup-count", "0", "none.log"], "--backup-count: 0 is not a count"),
        ],
    )
    def test_refused(
        self,
        arguments: list[str],
        expected: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        What cannot be meant is refused, and nothing is made.
        """
        monkeypatch.chdir(tmp_path)

        assert 2 == main(["prune", *arguments])
        assert expected in printed(capsys)[1]
        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "arguments", [[], ["--backup-count", "x", "a"], ["a", "b"]]
    )
    def test_usage(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        So is what is no command line.
        """
        with pytest.raises(SystemExit) as exit_:
            main(["prune", *arguments])

        assert 2 == exit_.value.code
        assert "usage: chimera-log" in printed(capsys)[1]


class TestFailure:
    def assert_fails(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str], expected: str
    ) -> None:
        """Assert that nothing was deleted, exit code 1, and what was said."""
        assert 1 == main(["prune", str(trail.path)])
        _, err = printed(capsys)

        assert "chimera-log prune: " == err[:19]
        assert expected in err
        assert 5 == len(trail.full)

    def test_busy(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        While another process looks after the files, it waits, and then says so.
        """
        pauses: list[float] = []
        monkeypatch.setattr(time, "sleep", pauses.append)
        other = Turn(str(trail.path.parent / f".{NAME}.d"))
        assert other.take()

        self.assert_fails(trail, capsys, "another process is looking after")
        assert 10 == sum(pauses)
        other.release()

    def test_another_content(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A file that is not what its manifest says is named.
        """
        segment = trail.path.with_name(f"{MID}1")
        segment.chmod(0o600)
        segment.write_bytes(b"")

        self.assert_fails(trail, capsys, f"{MID}1: is not what its manifest says")

    def test_disk_full(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A disk that is full, or refuses, is said.
        """
        with monkeypatch.context() as patch:
            patch.setattr(Manifests, "save", refusing(errno.ENOSPC))
            self.assert_fails(trail, capsys, "refused")
        trail.assert_whole(0)

        assert 0 == main(["prune", str(trail.path)])
        trail.assert_whole(2)

    def test_trail_is_held(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        Without the trail's lock it cannot be told, and nothing goes.
        """
        monkeypatch.setattr("chimera_log.cli.telling._PATIENCE", 0.01)
        with held(trail.path):
            self.assert_fails(trail, capsys, "the trail cannot be told; it stays")

    def test_not_on_the_disk(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A record that the disk may not have does not count as told.
        """
        monkeypatch.setattr("chimera_log.files.durable._sync_file", refusing(errno.EIO))

        self.assert_fails(trail, capsys, "the trail cannot be told; it stays")

    def test_hostile_words(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        What somebody wrote into a manifest has no power over a terminal.
        """
        manifest = trail.path.parent / f".{NAME}.d" / f"{MID}1.manifest"
        manifest.write_text('{"sealed": {"\\u001b[2Jno\\nsuch": 1}}')

        assert 0 == main(["prune", str(trail.path)])
        lines, _ = printed(capsys)
        assert 6 == len(lines)
        assert "\\x1b[2Jno\\nsuch" in lines[0]


def test_as_a_command(trail: Evidence) -> None:
    """
    ``python -m chimera_log prune`` does it as well.
    """
    command = [sys.executable, "-m", "chimera_log", "prune", str(trail.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    # By the true clock, the trail is long over.
    assert (0, "") == (done.returncode, done.stderr)
    assert "0 of 5 full files deleted" == done.stdout.splitlines()[-1]
    assert "confirm that" in done.stdout


def test_mode_is_kept(trail: Evidence) -> None:
    """
    Neither the trail nor what stays is any more open than it was.
    """
    trail.path.chmod(0o600)
    main(["prune", str(trail.path)])

    assert 0o600 == trail.path.stat().st_mode & 0o777
    manifest = trail.path.parent / f".{NAME}.d" / f"{MID}1.manifest"
    assert 0o640 == manifest.stat().st_mode & 0o777
