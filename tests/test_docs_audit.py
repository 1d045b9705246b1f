"""
What the guide says of the audit trail is run, on one that was written as shipped.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

import chimera_log
from tests.logs import unchained
from tests.test_docs import GUIDE, ROOT, blocks, run, shell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tamper = Callable[[list[bytes]], list[bytes]]

# Eighteen records in three files, hard to read for a shell.
WRITER = r"""
import logging
from chimera_log import init_logging, log_execution_attempt

init_logging()
(trail,) = [each for each in logging.getLogger().handlers if each.name == "executions"]
for number in range(18):
    log_execution_attempt(status="\u2028 \\n %s \u20ac \ud800 '\"", number=number)
    if number in {5, 11}:
        trail.doRollover()
"""
SECTION = GUIDE.split("## The audit trail")[1].split("\n## ")[0]
VERIFY, ASK_AWS, MAKE_KEY, VERIFY_KEYED, PRUNE, CHECK, USE_CHECK = blocks(SECTION, "sh")
BY_HAND = (shutil.which("jq"), shutil.which("sha256sum"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that trail; the oldest of its files is compressed."""
    directory = tmp_path_factory.mktemp("kept")
    done = run(WRITER, directory)
    assert (0, "") == (done.returncode, done.stderr)
    logs = directory / "logs"
    for full in logs.glob("executions.log.*[0-9]"):  # as the service would, later
        full.with_name(f"{full.name}.gz").write_bytes(gzip.compress(full.read_bytes()))
        full.unlink()
    newest = max(logs.glob("executions.log.*"))
    newest.with_suffix("").write_bytes(gzip.decompress(newest.read_bytes()))
    newest.unlink()
    (directory / "check.sh").write_text(CHECK)
    return logs


@pytest.fixture
def trail(tmp_path: Path, kept: Path) -> Path:
    """The folder of a copy of that trail, which a test may change."""
    shutil.copytree(kept.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / kept.name


def change(file: Path, tamper: Tamper) -> None:
    """Have *tamper* change the lines of *file*."""
    lines = file.read_bytes().splitlines(keepends=True)
    file.chmod(0o600)
    file.write_bytes(b"".join(tamper(lines)))


def edited(lines: list[bytes]) -> list[bytes]:
    """Change a byte in the second line."""
    return [lines[0], lines[1].replace(b"attempt", b"attempts", 1), *lines[2:]]


def test_line_shown(trail: Path) -> None:
    """
    The line shown is genuine, and of the form that lines have.
    """
    (shown,) = blocks(SECTION, "json")
    (line, *_) = (trail / "executions.log").read_text().splitlines()
    fields = [json.loads(each) for each in (shown, line)]

    assert unchained([shown.encode().rstrip(b"\n")])
    assert list(fields[0]) == list(fields[1])
    assert list(fields[0]["audit"]) == list(fields[1]["audit"])


def test_options_are_all_there_are() -> None:
    """
    Every option that the handler has besides those of the file handler is in the
    table, and those that it has not are named.
    """
    table = "\n".join(line for line in SECTION.splitlines() if line.startswith("|"))
    code = chimera_log.AuditFileHandler.__init__.__code__
    base = chimera_log.RotatingFileHandler.__init__.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    known = base.co_varnames[: base.co_argcount + base.co_kwonlyargcount]

    for name in set(names) - set(known):
        assert f"`{name}`" in table, name
    of_writer = {"max_queue_size", "max_queue_bytes", "when_full", "close_timeout"}
    for name in set(known) - set(names) - of_writer:
        assert f"`{name}`" in SECTION, name


class TestVerify:
    def test_whole(self, trail: Path) -> None:
        """
        The command finds the trail whole, and says that its anchor is weak.
        """
        done = shell(VERIFY, trail.parent)

        assert (0, "") == (done.returncode, done.stderr)
        assert "executions.log: ok: the chain is whole" == done.stdout.splitlines()[0]
        assert "the anchor is weak" in done.stdout

    def test_edited(self, trail: Path) -> None:
        """
        It says of a changed byte what the guide says that it does.
        """
        for full in trail.glob("executions.log.*"):
            full.unlink()
        shutil.rmtree(trail / ".executions.log.d")
        (trail / "executions.log").unlink()
        run(WRITER.replace("{5, 11}", "{}"), trail.parent)
        change(trail / "executions.log", edited)
        done = shell(VERIFY, trail.parent)
        (shown,) = blocks(SECTION, "text")

        assert 1 == done.returncode
        assert done.stdout.startswith(shown)

    @pytest.mark.parametrize(
        ("code", "tail", "witnesses"), [(1, 17, True), (3, 17, False), (3, 18, False)]
    )
    def test_codes(self, trail: Path, code: int, tail: int, witnesses: bool) -> None:
        """
        A tail that was cut off is tampering if a witness knows of it, and else it
        cannot be told from one that was not.
        """
        change(trail / "executions.log", lambda lines: lines[: tail - 12])
        if not witnesses:
            (trail / "chimera.log").unlink()
        done = shell(VERIFY, trail.parent)

        assert code == done.returncode

    def test_no_trail(self, tmp_path: Path) -> None:
        """
        Where there is none, that is no answer either way.
        """
        assert 64 == shell(VERIFY, tmp_path).returncode

    def test_cloudwatch(self, trail: Path) -> None:
        """
        What CloudWatch Logs returns is a strong anchor.
        """
        _put_aws(trail.parent, (trail / "chimera.log").read_text().splitlines())
        (trail / "chimera.log").unlink()
        done = shell(ASK_AWS, trail.parent)

        assert (0, "") == (done.returncode, done.stderr)
        assert "witnesses saw it up to record 18\n" in done.stdout
        assert "weak" not in done.stdout

    def test_key(self, tmp_path: Path) -> None:
        """
        A key made as shown is one that the handler takes, and verify needs.
        """
        secret = shell(MAKE_KEY, tmp_path).stdout.strip()
        given = f"export CHIMERA_AUDIT_KEY='{secret}'\n"
        (option,) = yaml.safe_load(blocks(SECTION, "yaml")[0])["handlers"]["executions"]
        shipped = (ROOT / "logging.yaml").read_text()
        keyed = shipped.replace(f"{option}: null", f"{option}: CHIMERA_AUDIT_KEY")
        (tmp_path / "logging.yaml").write_text(keyed)
        (tmp_path / "writer.py").write_text(WRITER)
        done = shell(f"{given}{sys.executable} writer.py >&2", tmp_path)

        assert 0 == done.returncode
        assert 0 == shell(given + VERIFY_KEYED, tmp_path).returncode
        assert 64 == shell(VERIFY, tmp_path).returncode


def test_prune(trail: Path) -> None:
    """
    The command shown says why no file may go, and deletes none.
    """
    done = shell(PRUNE, trail.parent)

    assert (0, "") == (done.returncode, done.stderr)
    assert 2 == done.stdout.count(": stays: ")
    assert 2 == len(list(trail.glob("executions.log.*")))


@pytest.mark.skipif(not all(BY_HAND), reason="needs jq and sha256sum")
class TestByHand:
    def test_whole(self, trail: Path) -> None:
        """
        The recipe goes through all files, and ends where a witness saw the end.
        """
        done = shell(USE_CHECK, trail.parent)
        said, seen = done.stdout.splitlines()

        assert (0, "") == (done.returncode, done.stderr)
        number, found = seen.split()
        assert (
            f"{number} lines are as they were written; the last hash is {found}" == said
        )
        assert "18" == number

    @pytest.mark.parametrize(
        ("tamper", "line"),
        [
            (edited, 14),
            pytest.param(lambda lines: lines[1:], 13, marks=pytest.mark.long),
            (lambda lines: [*lines[:4], *lines[5:]], 17),
            pytest.param(
                lambda lines: [*lines[:4], lines[4], *lines[4:]],
                18,
                marks=pytest.mark.long,
            ),
            (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], 17),
            pytest.param(
                lambda lines: [*lines[:4], b"{}\n", *lines[4:]],
                17,
                marks=pytest.mark.long,
            ),
            pytest.param(
                lambda lines: [*lines[:4], lines[4][:-1] + b" \n", *lines[5:]],
                17,
                marks=pytest.mark.long,
            ),
        ],
        ids=["edit", "head", "delete", "double", "swap", "insert", "blank"],
    )
    def test_changed(self, trail: Path, tamper: Tamper, line: int) -> None:
        """
        Whatever was changed, it names the line where it finds that.
        """
        change(trail / "executions.log", tamper)
        done = shell(USE_CHECK.splitlines()[0], trail.parent)

        assert (1, "") == (done.returncode, done.stderr)
        assert f"line {line} is not as it was written\n" == done.stdout

    def test_file_gone(self, trail: Path) -> None:
        """
        So it does where a whole file is missing.
        """
        max(trail.glob("executions.log.*")).unlink()
        done = shell(USE_CHECK.splitlines()[0], trail.parent)

        assert "line 7 is not as it was written\n" == done.stdout

    def test_tail_gone(self, trail: Path) -> None:
        """
        A tail that is gone shows where the two hashes are compared.
        """
        change(trail / "executions.log", lambda lines: lines[:-1])
        said, seen = shell(USE_CHECK, trail.parent).stdout.splitlines()

        assert said.startswith("17 lines")
        assert seen.startswith("18 ")


def _put_aws(directory: Path, lines: list[str]) -> None:
    """Have the command ``aws`` print those *lines* that are asked for."""
    events = [
        {"logStreamName": "bot", "timestamp": 1, "message": line, "eventId": "1"}
        for line in lines
        if json.loads(line)["event"] == "audit_checkpoint"
    ]
    (directory / "bin").mkdir()
    (directory / "answer").write_text(json.dumps({"events": events}, indent=4))
    aws = directory / "bin" / "aws"
    aws.write_text('#!/bin/sh\n[ "$2" = filter-log-events ] && cat answer\n')
    aws.chmod(0o755)
