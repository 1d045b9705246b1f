"""
``chimera-log verify``: what it says, and with which exit code.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chimera_log.audit.chain import Key
from chimera_log.audit.handler import AuditFileHandler
from chimera_log.cli import main
from tests.conftest import record
from tests.trails import NAME, Chain, Made, checkpoint, pruned, recovered

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a secret of the trail's own"


class Done(NamedTuple):
    """What a run of the command came to."""

    code: int
    out: str
    err: str


class Command:
    """The command, run in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Done:
        """Run it with *arguments*."""
        code: object
        try:
            code = main(["verify", *map(str, arguments)])
        except SystemExit as stopped:
            code = stopped.code
        assert isinstance(code, int)
        return Done(code, *self._capsys.readouterr())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command."""
    return Command(capsys)


@pytest.fixture
def log() -> Chain:
    """A chain."""
    return Chain()


def told(folder: Path, log: Chain) -> Path:
    """Return a file in *folder* in which a witness wrote down where *log* ends."""
    path = folder / "witness.json"
    path.write_bytes(checkpoint(log.head))
    return path


class TestText:
    def test_ok(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        The verdict comes first, then what was seen.
        """
        folder = tmp_path / "logs"
        folder.mkdir()
        made = Made(folder, [log.many(3), log.many(2)])

        done = run(made.path, "--anchor", told(tmp_path, log))

        assert (0, "") == (done.code, done.err)
        assert [
            "executions.log: ok: the chain is whole",
            "  records 1..5, 2025-10-27T08:38:00.000000Z to 2025-10-27T08:38:04.000000Z",
            f"  chain {log.head.chain}, last hash {log.head.hash}",
            "  witnesses saw it up to record 5",
        ] == done.out.splitlines()

    def test_weak(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        A witness beside the trail is called what it is.
        """
        made = Made(tmp_path, [log.many(3)])
        (tmp_path / "chimera.log").write_bytes(checkpoint(log.head))

        done = run(made.path)

        assert 0 == done.code
        assert "the anchor is weak" in done.out

    def test_not_anchored(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        If the end is not held fast, that is said, and why.
        """
        made = Made(tmp_path, [log.many(3)])
        anchor = told(tmp_path, log)
        made.write(0, made.path.read_bytes() + b"".join(log.many(2)))

        done = run(made.path, "--anchor", anchor)

        assert 3 == done.code
        verdict, *details = done.out.splitlines()
        assert (
            "executions.log: not anchored: the chain is whole; tail not anchored: "
            "2 records from seq 4, time 2025-10-27T08:38:03.000000Z"
        ) == verdict
        assert (
            "  2 records after that, the first of 2025-10-27T08:38:03.000000Z, "
            "nobody saw yet"
        ) in details

    def test_tampered(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        The first bad record is named.
        """
        lines = log.many(3)
        lines[1] = lines[1].replace(b'"number":2', b'"number":7')
        made = Made(tmp_path, [lines])

        done = run(made.path)

        assert 1 == done.code
        assert [
            "executions.log: tampered: edited",
            "  executions.log, line 2, record 2: its hash is not that of its bytes",
            "  good before that: 1 record",
        ] == done.out.splitlines()[:3]

    def test_no_line(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        What is about a whole file has no line.
        """
        made = Made(tmp_path, [log.many(2), log.many(1)], is_sealed=True)
        made.place(0).unlink()

        verdict = run(made.path).out.splitlines()[:2]

        assert [
            "executions.log: tampered: segment missing",
            f"  {made.names[0]}, record 1: records 1..2 are missing",
        ] == verdict

    def test_no_record(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        What gives itself no number has none.
        """
        made = Made(tmp_path, [[*log.many(1), b'{"event":"forged"}\n']])

        assert "  executions.log, line 2: it is not chained" in run(made.path).out

    def test_no_chain(self, run: Command, tmp_path: Path) -> None:
        """
        A file without a chain is not called whole.
        """
        (tmp_path / NAME).write_bytes(b'{"event":"old"}\n')

        done = run(tmp_path / NAME)

        assert 3 == done.code
        assert [
            "executions.log: not anchored: there is no chain; no record is there",
            "  never chained, so no evidence: 1 line in 1 file",
        ] == done.out.splitlines()

    def test_everything(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        What else there is to know has a line each.
        """
        first = log.many(1)
        made = Made(tmp_path, [[b"old\n"], first, []], is_sealed=True)
        more = [
            log.add(recovered(2, b"{", left=False)),
            log.add(pruned(3, made.sealed[1])),
        ]
        made.write(2, b"".join(more))
        made.prune(1)
        (tmp_path / f"{NAME}.1").write_bytes(b"")
        made.manifest(0).unlink()

        done = run(made.path)

        assert [
            "pruned, as the trail itself says: 1 segment",
            "records that vouch for half lines: 1",
            "never chained, so no evidence: 1 line in 1 file",
            "left alone: executions.log.1",
            f"manifests before that of {made.names[1]} are missing",
        ] == [each.strip() for each in done.out.splitlines()[3:]]

    def test_hostile_names(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        Nothing that a terminal would obey is printed.
        """
        made = Made(tmp_path, [log.many(1)])
        for name in (b"\x1b[2J", b"\xff", b"\xe2\x80\xa8", b"\n"):
            place = os.fsencode(tmp_path) + b"/executions.log." + name
            with open(place, "wb"):  # noqa: PTH123  no text
                pass

        done = run(made.path)

        left = [each for each in done.out.splitlines() if "left alone" in each]
        assert [
            "  left alone: executions.log.\\n, executions.log.\\x1b[2J, "
            "executions.log.\\u2028, executions.log.\\udcff"
        ] == left


class TestJson:
    def test_report(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        The whole report, as one line of JSON.
        """
        made = Made(tmp_path, [log.many(3)])

        done = run(made.path, "--format", "json")
        report = json.loads(done.out)

        assert (3, "not anchored", None) == (
            report["code"],
            report["status"],
            report["bad"],
        )
        assert log.head._asdict() == report["head"]

    def test_tampered(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        What is wrong is an object of its own.
        """
        made = Made(tmp_path, [log.many(3)[1:]])

        report = json.loads(run(made.path, "--format", "json").out)

        assert {
            "file": NAME,
            "line": 1,
            "seq": 1,
            "kind": "missing",
            "what": "record 1 is missing",
        } == report["bad"]

    def test_is_an_anchor(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        Kept elsewhere, it bears witness to what was there.
        """
        folder = tmp_path / "logs"
        folder.mkdir()
        made = Made(folder, [log.many(3)])
        kept = tmp_path / "kept.json"
        kept.write_text(run(made.path, "--format", "json").out)

        assert 0 == run(made.path, "--anchor", kept).code
        made.write(0, made.path.read_bytes().rpartition(b'{"timestamp"')[0])
        assert 1 == run(made.path, "--anchor", kept).code


class TestOptions:
    def test_folder(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        The folder will do, if there is one trail in it.
        """
        Made(tmp_path, [log.many(3)])

        assert 3 == run(tmp_path).code

    def test_standard_input(
        self,
        run: Command,
        tmp_path: Path,
        log: Chain,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        A witness's words may come from a pipe.
        """
        made = Made(tmp_path, [log.many(3)])
        piped = io.TextIOWrapper(io.BytesIO(checkpoint(log.head)))
        monkeypatch.setattr(sys, "stdin", piped)

        done = run(made.path, "--anchor", "-")

        assert 0 == done.code
        assert "weak" not in done.out

    def test_several_anchors(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        Several witnesses are asked.
        """
        made = Made(tmp_path, [log.many(3)])
        (tmp_path / "one").write_bytes(checkpoint(log.heads[1]))
        (tmp_path / "two").write_bytes(checkpoint(log.heads[2]._replace(hash="f" * 64)))

        done = run(
            *(made.path, "--anchor", tmp_path / "one", "--anchor", tmp_path / "two")
        )

        assert 1 == done.code
        assert "record 2: a witness saw record 2 with another hash" in done.out
        assert "witnesses saw it up to record 1" in done.out

    def test_keys(
        self, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Keys are named by the variables that hold them.
        """
        key = Key(SECRET.encode())
        monkeypatch.setenv("TRAIL_KEY", SECRET)
        monkeypatch.setenv("OTHER_KEY", f"not {SECRET}")
        made = Made(tmp_path, [Chain(key).many(3)])

        done = run(made.path, "--key-env", "OTHER_KEY", "--key-env", "TRAIL_KEY")
        assert 3 == done.code
        assert SECRET not in done.out

        assert 1 == run(made.path, "--key-env", "OTHER_KEY").code
        done = run(made.path)
        assert 64 == done.code
        assert f"give the key that they call {key.key_id}" in done.err

    def test_interval(self, run: Command, tmp_path: Path, log: Chain) -> None:
        """
        How old records may be that need no witness is for the caller to say.
        """
        made = Made(tmp_path, [log.many(3)])
        (tmp_path / "chimera.log").write_bytes(checkpoint(log.heads[2]))

        assert 3 == run(made.path, "--interval", "60").code
        assert 0 == run(made.path, "--interval", "50 years").code


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "the following arguments are required: PATH"),
            (["{path}", "--bogus"], "unrecognized arguments: --bogus"),
            (["{path}", "{path}"], "unrecognized arguments: "),
            (["{path}", "--format", "xml"], "invalid choice: 'xml'"),
            (["{path}", "--interval", "soon"], "--interval: 'soon' is not a duration"),
            (["{path}", "--key-env", "NOT_SET"], "--key-env NOT_SET: the variable is"),
            (["{path}", "--key-env", "SHORT"], "--key-env SHORT: the audit key has 3"),
            (["{path}", "--anchor", "/nowhere"], "/nowhere: No such file or directory"),
            (["{path}", "--anchor", "/"], "/: Is a directory"),
            (["/nowhere/trail.log"], "/nowhere/trail.log: there is no such trail"),
            (["{folder}/empty"], "there is no trail in it"),
            (["/dev/null"], "/dev/null: no regular file"),
        ],
    )
    def test_said(
        self,
        run: Command,
        tmp_path: Path,
        log: Chain,
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        message: str,
    ) -> None:
        """
        What cannot be answered has an exit code of its own, and says why.
        """
        monkeypatch.setenv("SHORT", "abc")
        made = Made(tmp_path, [log.many(1)])
        (tmp_path / "empty").mkdir()
        places = {"path": made.path, "folder": tmp_path}

        done = run(*(each.format(**places) for each in arguments))

        assert (64, "") == (done.code, done.out)
        assert "Traceback" not in done.err
        last = done.err.splitlines()[-1]
        assert last.startswith("chimera-log verify: ")
        assert message in last

    def test_help(self, run: Command) -> None:
        """
        It explains itself.
        """
        done = run("--help")

        assert 0 == done.code
        assert "usage: chimera-log verify" in done.out


class TestRealTrail:
    """A trail that the handler wrote."""

    @pytest.fixture
    def written(self, tmp_path: Path) -> Path:
        """The path of a trail of 40 records in several files."""
        path = tmp_path / NAME
        handler = AuditFileHandler(
            path, maxBytes=5_000, backupCount=50, reserve_bytes=0
        )
        for number in range(40):
            handler.handle(record("execution_attempt", context={"number": number}))
        handler.close()
        return path

    def test_whole(self, run: Command, written: Path) -> None:
        """
        It is whole, and nobody saw it.
        """
        done = run(written)

        assert 3 == done.code
        assert "no witness saw any of the 40 records" in done.out

    def test_last_line_removed(self, run: Command, written: Path) -> None:
        """
        That nobody saw it is said whether or not its last line is there.
        """
        lines = written.read_bytes().splitlines(True)
        written.write_bytes(b"".join(lines[:-1]))

        assert 3 == run(written).code

    def test_one_byte(self, run: Command, written: Path) -> None:
        """
        A single byte is enough.
        """
        content = bytearray(written.read_bytes())
        content[100] ^= 1
        written.write_bytes(content)

        done = run(written)

        assert 1 == done.code
        assert "executions.log, line 1, record " in done.out

    def test_real_process(self, written: Path) -> None:
        """
        The command works in a process of its own, with a pipe for its anchor.
        """
        shown: Any = subprocess.run(
            [sys.executable, "-m", "chimera_log", "verify", written, "--anchor", "-"],
            input=b"",
            capture_output=True,
            timeout=60,
            check=False,
        )

        assert (3, b"") == (shown.returncode, shown.stderr)
