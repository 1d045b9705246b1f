"""
``chimera-log archive``: which trails, what it says, when it ends, what it brings back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import yaml

from chimera_log.audit.chain import Key
from chimera_log.audit.retain import DAY
from chimera_log.aws.retry import Backoff
from chimera_log.cli import archive as command
from chimera_log.cli import main
from chimera_log.cli.terminal import Bar
from chimera_log.files.compress import Turn
from chimera_log.options import ConfigError
from tests.evidence import NAME, Evidence
from tests.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "0123456789abcdef"
OLD = "another secret, not this"
s3: S3


def make(_: Any) -> S3:
    """Be the client factory that configurations here name."""
    return s3


@pytest.fixture(autouse=True)
def _bucket() -> Iterator[None]:
    """A bucket, and a disk that is not synced."""
    global s3  # noqa: PLW0603  a factory is found by its name
    s3 = S3()
    with mock.patch.object(os, "fsync"):
        yield


@pytest.fixture
def trail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """A trail of three full files, which a configuration has archived."""
    monkeypatch.chdir(tmp_path)
    made = filled(Evidence(tmp_path))
    configured(tmp_path)
    return made


def filled(trail: Evidence) -> Evidence:
    """Return *trail* with three full files, an hour old."""
    now = time.time()
    for number in range(3):
        trail.write(now - 3600 + number)
        trail.rotate(is_packed=True)
    trail.write(now - 60)
    return trail


def handler(filename: str = NAME, **more: Any) -> dict[str, Any]:
    """Return a handler that archives its trail."""
    return {
        "class": "chimera_log.AuditFileHandler",
        "level": "INFO",
        "filename": filename,
        "backupCount": 5,
        "compression": "gzip",
        "archive": {
            "bucket": "evidence",
            "host": "desk",
            "client_factory": f"{__name__}.make",
        },
        **more,
    }


def configured(folder: Path, **handlers: Any) -> None:
    """Write a configuration of these handlers, by default of the one trail."""
    content = {
        "version": 1,
        "handlers": handlers or {"executions": handler()},
        "root": {"handlers": []},
    }
    (folder / "logging.yaml").write_text(yaml.safe_dump(content))


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """Return the lines that were printed, and those on stderr."""
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


class TestOnce:
    def test_all(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        All there is is archived; the exit code says so, and one line for each trail.
        """
        assert 0 == main(["archive", "--once"])

        expected = f"{trail.path}: 3 full files archived, 0 waiting, 0 removed"
        assert ([expected], []) == printed(capsys)
        assert 3 == len(s3.named("data/"))

    def test_again(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Another time there is nothing to do.
        """
        main(["archive", "--once", "--config", "logging.yaml"])
        printed(capsys)
        assert 0 == main(["archive", "--once", NAME])
        expected = f"{trail.path}: 0 full files archived, 0 waiting, 0 removed"
        assert ([expected], []) == printed(capsys)

    def test_one_of_several(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        One trail may be named; all others are left alone.
        """
        folder = trail.path.parent
        (folder / "other").mkdir()
        other = Evidence(folder / "other")
        other.write(time.time() - 3600)
        other.rotate(is_packed=True)
        configured(
            folder,
            executions=handler(),
            other=handler(f"other/{NAME}"),
            plain={"class": "chimera_log.AuditFileHandler", "filename": "plain.log"},
            console={"class": "logging.StreamHandler", "archive": {}},
        )

        assert 0 == main(["archive", "--once", f"other/{NAME}"])
        assert [f"{other.path}: 1 full file archived, 0 waiting, 0 removed"] == (
            printed(capsys)[0]
        )
        assert 0 == main(["archive", "--once"])
        assert 2 == len(printed(capsys)[0])
        assert 4 == len(s3.named("data/"))

    def test_denied(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What fails is one line, and the exit code; nothing is lost.
        """
        s3.allowed = ()
        assert 1 == main(["archive", "--once"])

        out, err = printed(capsys)
        assert [f"{trail.path}: 0 full files archived, 3 waiting, 0 removed"] == out
        (line,) = err
        assert line.startswith(
            f"chimera-log archive: {trail.path}: cannot archive: access to the bucket "
            "'evidence' is denied; allow s3:PutObject on data/ and manifests/: "
        )
        assert 3 == len(trail.full)

    def test_busy(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A network that is busy for a moment is waited for.
        """
        monkeypatch.setattr(Backoff.__init__, "__defaults__", (lambda: 0.0, 60.0))
        s3.fail("SlowDown", 2)
        assert 0 == main(["archive", "--once"])

        out, err = printed(capsys)
        assert [f"{trail.path}: 3 full files archived, 0 waiting, 0 removed"] == out
        assert 2 == len(err)

    def test_busy_for_long(
        self,
        trail: Evidence,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        It is not waited for without end.
        """
        monkeypatch.setattr(Backoff.__init__, "__defaults__", (lambda: 0.0, 60.0))
        s3.fail("SlowDown", 10**6)
        assert 1 == main(["archive", "--once"])
        assert 6 == len(printed(capsys)[1])
        assert 3 == len(trail.full)

    def test_another_one(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Where a service is at it, that is said.
        """
        other = Turn(str(trail.path.parent / f".{NAME}.d"), "archive.lock")
        assert other.take()
        assert 1 == main(["archive", "--once"])
        other.release()

        expected = f"chimera-log archive: {trail.path}: another process is archiving it"
        assert [expected] == printed(capsys)[1]
        assert [] == s3.kept

    def test_removes(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What is locked until it is old enough goes from here, and the trail says so.
        """
        locked = handler(backupCount=1)
        locked["archive"]["object_lock"] = "compliance"
        configured(trail.path.parent, executions=locked)
        assert 0 == main(["archive", "--once"])

        out, err = printed(capsys)
        # Three years: the manifests of this trail promise one day.
        assert [f"{trail.path}: 3 full files archived, 0 waiting, 2 removed"] == out
        assert [] == err
        assert b"audit_pruned" in trail.path.read_bytes()

    def test_keys(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        A key that older manifests are signed with can be named.
        """
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AUDIT_KEY", SECRET)
        monkeypatch.setenv("OLD_KEY", OLD)
        configured(tmp_path, executions=handler(key_env="AUDIT_KEY"))
        trail = Evidence(tmp_path, Key(OLD.encode()))
        trail.write(time.time() - 3600)
        trail.rotate(is_packed=True)

        assert 1 == main(["archive", "--once"])
        assert "not signed with key" in printed(capsys)[1][0]
        assert 0 == main(["archive", "--once", "--key-env", "OLD_KEY"])
        assert 1 == len(s3.named("data/"))


class TestGoesOn:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_until_told(self, trail: Evidence, number: signal.Signals) -> None:
        """
        Without *once* it goes on until it is told to end.
        """
        before = signal.getsignal(number)

        def wait(event: threading.Event, seconds: float) -> None:
            if seconds > 1:  # all is done
                signal.raise_signal(number)
                assert event.is_set()

        with mock.patch.object(threading.Event, "wait", wait):
            assert 0 == main(["archive"])
        assert 3 == len(s3.named("data/"))
        assert before == signal.getsignal(number)
        assert trail.manifests.known()


class TestRestore:
    @pytest.fixture
    def gone(self, trail: Evidence, capsys: pytest.CaptureFixture[str]) -> Evidence:
        """The trail, after its first two files went."""
        locked = handler(backupCount=1)
        locked["archive"]["object_lock"] = "compliance"
        configured(trail.path.parent, executions=locked)
        main(["archive", "--once"])
        printed(capsys)
        assert 1 == len(trail.full)
        return trail

    def test_all(self, gone: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What had gone comes back, and stays for thirty days.
        """
        assert 0 == main(["archive", "--restore", ".."])

        until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * DAY))
        expected = (
            f"{gone.path}: 2 full files brought back, to stay until {until}; 1 were "
            "here, 0 failed"
        )
        assert ([expected], []) == printed(capsys)
        assert 3 == len(gone.full)
        restored = gone.manifest(gone.manifests.known()[0]).restored
        assert "chimera-log archive" == restored.by
        assert 30 * DAY == restored.until - restored.time

    def test_keep(self, gone: Evidence) -> None:
        """
        How long they stay can be said.
        """
        main(["archive", "--restore", "2025-10-27..", "--keep", "1 week"])
        restored = gone.manifest(gone.manifests.known()[0]).restored
        assert 7 * DAY == restored.until - restored.time

    def test_keep_longer(self, gone: Evidence) -> None:
        """
        Asked again, they stay for as long as is asked then.
        """
        main(["archive", "--restore", "2025-10-27..", "--keep", "1 week"])
        main(["archive", "--restore", "2025-10-27..", "--keep", "3 weeks"])
        restored = gone.manifest(gone.manifests.known()[0]).restored
        assert 21 * DAY == restored.until - restored.time

    def test_days(self, gone: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Files of other days are left where they are.
        """
        assert 0 == main(["archive", "--restore", "2025-10-27..2025-10-28"])
        assert ": 0 full files brought back" in printed(capsys)[0][0]
        assert 1 == len(gone.full)

    def test_failed(self, gone: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What cannot come back is named, and the exit code says so.
        """
        s3.kept.pop(0)
        assert 1 == main(["archive", "--restore", ".."])
        out, err = printed(capsys)
        assert "1 full file brought back" in out[0]
        assert "1 failed" in out[0]
        assert err[0].startswith(
            f"chimera-log archive: {gone.path}: {gone.manifests.known()[0]}: s3://evid"
        )

    def test_denied(self, gone: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Where S3 does not answer, that is said.
        """
        s3.fail("NoSuchBucket")
        assert 1 == main(["archive", "--restore", ".."])
        out, (line,) = printed(capsys)
        assert [] == out
        assert line == (
            f"chimera-log archive: {gone.path}: cannot restore: the bucket 'evidence' "
            "does not exist; create it, or correct archive.bucket"
        )

    def test_note(self, gone: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Where S3 may not be listed, what is known here comes back, and that is said.
        """
        s3.allowed = ("get_object",)
        assert 0 == main(["archive", "--restore", ".."])
        assert "may not be listed" in printed(capsys)[1][0]
        assert 3 == len(gone.full)

    def test_two_at_once(
        self, gone: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Where another process restores, that is said.
        """
        other = Turn(str(gone.path.parent / f".{NAME}.d"), "restore.lock")
        assert other.take()
        assert 1 == main(["archive", "--restore", ".."])
        other.release()
        assert "another process restores files of it" in printed(capsys)[1][0]

    @pytest.mark.parametrize(
        ("days", "problem"),
        [
            ("yesterday", "'yesterday' are no days; write 2025-10-27..2025-10-31"),
            ("2025-10-27", "'2025-10-27' are no days; write"),
            ("2025-13-27..", "2025-13-27 is no day; correct it"),
            ("2025-10-28..2025-10-27", "2025-10-28 comes after 2025-10-27; exchange"),
        ],
    )
    def test_no_days(
        self, days: str, problem: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        What are no days is refused.
        """
        assert 2 == main(["archive", "--restore", days])
        assert printed(capsys)[1][0].startswith(f"chimera-log: --restore: {problem}")


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--keep", "soon"], "--keep: 'soon' is not a duration; write seconds"),
            (["--key-env", "NOT_SET"], "--key-env: NOT_SET: the variable is not set"),
            (
                ["--key-env", "SHORT"],
                "--key-env: SHORT: the audit key has 5 bytes; use",
            ),
            (
                ["other.log"],
                "logging.yaml: handlers: none archives {}/other.log; name ",
            ),
        ],
    )
    def test_arguments(
        self,
        trail: Evidence,
        arguments: list[str],
        problem: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        What cannot be is refused, with the remedy.
        """
        monkeypatch.setenv("SHORT", "short")
        assert 2 == main(["archive", "--once", *arguments])
        expected = f"chimera-log: {problem.format(trail.path.parent)}"
        assert printed(capsys)[1][0].startswith(expected)

    def test_no_archive(
        self, trail: Evidence, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A configuration that archives nothing is refused.
        """
        configured(trail.path.parent, executions=handler(archive=None))
        assert 2 == main(["archive", "--once"])
        assert [
            "chimera-log: logging.yaml: handlers: no AuditFileHandler has 'archive'; add "
            "it to the one whose files are to be archived"
        ] == printed(capsys)[1]

    @pytest.mark.parametrize(
        ("more", "problem"),
        [
            ({"archive": {}}, "archive.bucket: it is missing; name the bucket"),
            ({"compression": "none"}, "compression: 'none': full files are archived c"),
        ],
    )
    def test_wrong_options(self, trail: Evidence, more: Any, problem: str) -> None:
        """
        What the handler refuses is refused here, with the place.
        """
        configured(trail.path.parent, executions=handler(**more))
        with pytest.raises(ConfigError) as caught:
            command._trails(None, None)
        expected = f"logging.yaml: handlers.executions.{problem}"
        assert str(caught.value).startswith(expected)

    def test_unknown_option(self, trail: Evidence) -> None:
        """
        So is an option that it does not take.
        """
        configured(trail.path.parent, executions=handler(nonsense=1))
        with pytest.raises(
            ConfigError, match="'nonsense'; chimera-log check tells more"
        ):
            command._trails(None, None)


class TestBar:
    def test_terminal(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        On a terminal it is one line, which goes when something else is to be shown.
        """
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        bar = Bar("a\n.log")
        bar.clear()
        bar.show(0, 0)
        bar.show(1, 3)
        bar.clear()
        assert f"\ra\\n.log [{'#' * 10}{'-' * 20}] 1/3\x1b[K\r\x1b[K" == (
            capsys.readouterr().err
        )

    def test_no_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Elsewhere it is nothing.
        """
        bar = Bar("a.log")
        bar.show(1, 3)
        bar.clear()
        assert "" == capsys.readouterr().err
