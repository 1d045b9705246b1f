"""
What operators run: ``chimera-log`` and its demo.
"""

from __future__ import annotations

import gc
import gzip
import hashlib
import json
import logging
import runpy
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

import chimera_log
from chimera_log.cli import archived, main
from chimera_log.cli import demo as demo_module

SECRETS = ("Zk3vXq8sT1yLw0aBcD9eFgHi", "hunter2")


class Demo(NamedTuple):
    """What a run of the demo left."""

    code: int
    folder: Path
    out: str
    err: str

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return the records in file *name*, each line of which must be JSON."""
        text = (self.folder / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    @property
    def printed(self) -> list[dict[str, Any]]:
        """The records on the console, before the explanation."""
        lines = self.out.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


class Clock:
    """A time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """As in `time`."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """As in `time`."""
        self._now += seconds


@pytest.fixture
def demo(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Demo:
    """The demo with so many bots that each thing happens to one of them."""
    monkeypatch.chdir(tmp_path)
    code = main(
        [
            "demo",
            "--log-dir",
            str(tmp_path / "logs"),
            "--seconds",
            "0",
            "--threads",
            "40",
        ]
    )
    return Demo(code, tmp_path / "logs", *capsys.readouterr())


class TestDemo:
    def test_succeeds(self, demo: Demo) -> None:
        """
        It ends well, and has nothing to say on stderr.
        """
        assert 0 == demo.code
        assert "" == demo.err

    def test_three_outputs(self, demo: Demo) -> None:
        """
        The console and ``chimera.log`` have every record, in the same words.
        """
        by_text = [
            sorted(json.dumps(line) for line in lines)
            for lines in (demo.printed, demo.lines("chimera.log"))
        ]

        assert by_text[0] == by_text[1]

    def test_all_events(self, demo: Demo) -> None:
        """
        It shows all five events, one of a plain logger, and one of the trail.
        """
        assert {
            "audit_checkpoint",
            "execution_attempt",
            "performance_metrics",
            "safety_violation",
            "state_divergence",
            "state_transition",
            "websocket_connected",
        } == {line["event"] for line in demo.lines("chimera.log")}

    def test_executions_only(self, demo: Demo) -> None:
        """
        ``executions.log`` holds execution attempts and nothing else.
        """
        lines = demo.lines("executions.log")

        assert ["execution_attempt"] * 40 == [line["event"] for line in lines]

    def test_trail_is_anchored(self, demo: Demo) -> None:
        """
        ``chimera.log`` was told the hash of the last line of ``executions.log``.
        """
        last = demo.lines("executions.log")[-1]["audit"]
        *_, told = demo.lines("chimera.log")

        assert "audit_checkpoint" == told["event"]
        assert (40, last["hash"]) == (told["context"]["seq"], told["context"]["hash"])

    def test_request_id(self, demo: Demo) -> None:
        """
        Every attempt carries the request id bound around it.
        """
        bound = {line["context"]["request_id"] for line in demo.lines("executions.log")}

        assert {f"{number}-0000" for number in range(40)} == bound

    def test_traces(self, demo: Demo) -> None:
        """
        An attempt that failed has its exception's trace.
        """
        failed = [
            line for line in demo.lines("executions.log") if line["level"] == "ERROR"
        ]

        assert failed
        for line in failed:
            assert "ConnectionError" in line["exception"]["stacktrace"]

    @pytest.mark.parametrize("secret", SECRETS, ids=["key", "password"])
    def test_secrets(self, demo: Demo, secret: str) -> None:
        """
        No secret is in any output.
        """
        for text in (
            demo.out,
            demo.err,
            (demo.folder / "chimera.log").read_text(),
            (demo.folder / "executions.log").read_text(),
        ):
            assert secret not in text

    @pytest.mark.parametrize("name", ["chimera.log", "executions.log"])
    def test_names_the_files(self, demo: Demo, name: str) -> None:
        """
        It says which files it wrote, and how many lines.
        """
        (said,) = [
            line
            for line in demo.out.splitlines()
            if line.startswith(f"  {demo.folder / name}:")
        ]

        assert f" {len(demo.lines(name))} lines so far" in said

    def test_names_the_configuration(self, demo: Demo) -> None:
        """
        It says where the file is that an operator would copy and edit.
        """
        packaged = Path(chimera_log.__file__).parent / "logging.yaml"

        assert str(packaged) in demo.out
        assert packaged.is_file()

    def test_stays_in_its_folder(self, demo: Demo) -> None:
        """
        It writes nowhere but in the folder it names.
        """
        assert ["logs"] == [entry.name for entry in demo.folder.parent.iterdir()]

    def test_runs_for_a_while(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        Given time, a bot tries again and again: once in every 20 ms.
        """
        monkeypatch.setattr(demo_module, "time", Clock())
        main(
            ["demo", "--log-dir", str(tmp_path), "--seconds", "0.05", "--threads", "1"]
        )

        done = Demo(0, tmp_path, *capsys.readouterr())
        assert 3 == len(done.lines("executions.log"))

    def test_own_configuration(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        A ``logging.yaml`` that writes no such files is no reason to fail.
        """
        monkeypatch.chdir(tmp_path)
        Path("logging.yaml").write_text("version: 1\n")

        assert 0 == main(["demo", "--log-dir", "logs", "--seconds", "0"])
        assert "Traceback" not in capsys.readouterr().err

    @pytest.mark.parametrize(
        "arguments", [["--threads", "0"], ["--log-dir", "/dev/null/logs"]]
    )
    def test_nothing_written(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
    ) -> None:
        """
        Where no file comes about, it says so in words, not with a traceback.
        """
        monkeypatch.chdir(tmp_path)
        with suppress(SystemExit):
            main(["demo", "--seconds", "0", *arguments])

        assert "Traceback" not in capsys.readouterr().err

    def test_bad_configuration(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A configuration that cannot work is one line on stderr and exit code 2.
        """
        monkeypatch.setattr(demo_module, "PACKAGED", Path("nowhere.yaml"))
        try:
            code: object = main(["demo"])
        except SystemExit as stopped:
            code = stopped.code

        (said,) = capsys.readouterr().err.splitlines()
        assert 2 == code
        assert "nowhere.yaml: cannot be read: No such file or directory" in said


class TestCloudWatch:
    def test_real_process(self, tmp_path: Path) -> None:
        """
        With --cloudwatch, everything arrives in a CloudWatch Logs that runs for the
        demo, and the end of it is shown; nothing is left in the spool.
        """
        command = [sys.executable, "-m", "chimera_log", "demo", "--cloudwatch"]
        options = [
            "--seconds",
            "0",
            "--threads",
            "3",
            "--log-dir",
            str(tmp_path / "logs"),
        ]
        done = subprocess.run(
            [*command, *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        logged = (tmp_path / "logs" / "chimera.log").read_text().splitlines()
        assert (0, "") == (done.returncode, done.stderr)
        assert f": {len(logged)} events\n" in done.stdout
        assert done.stdout.rstrip().endswith(logged[-1])
        assert [] == list((tmp_path / "logs" / "spool").iterdir())

    def test_no_moto(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        Without the server, the demo says what to install.
        """
        monkeypatch.setitem(sys.modules, "moto.server", None)
        code = main(["demo", "--cloudwatch", "--log-dir", str(tmp_path)])
        assert 2 == code
        assert "install chimera_log[test]" in capsys.readouterr().err


class TestArchive:
    def test_objects(self, tmp_path: Path) -> None:
        """
        ``--archive`` sends full files of the trail to an S3 that runs along with it,
        shows what is there, and asks it something.
        """
        done = subprocess.run(
            [
                *(sys.executable, "-m", "chimera_log", "demo", "--archive"),
                *("--seconds", "0", "--threads", "3"),
                *("--log-dir", str(tmp_path / "logs")),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (0, "") == (done.returncode, done.stderr)
        assert "2 objects, none of which can be changed" in done.stdout
        (packed,) = (tmp_path / "logs").glob("executions.log.*.gz")
        (copy,) = (tmp_path / "logs" / "archive").glob("data/dt=*/host=*/*.jsonl.gz")
        assert packed.read_bytes() == copy.read_bytes()
        sha256 = hashlib.sha256(copy.read_bytes()).hexdigest()
        assert copy.name.endswith(f"-{sha256[:16]}.jsonl.gz")
        assert f"{len(copy.read_bytes())} bytes, sha256 {sha256}" in done.stdout
        executions = gzip.decompress(copy.read_bytes()).count(b"\n")
        answers = done.stdout.partition("ORDER BY ALL\n\n")[2].split()
        assert executions == sum(int(each) for each in answers if each.isdigit())

    def test_not_in_time(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        If the archive does not come about, that is said, and the demo has failed.
        """

        def no_client(_: object) -> object:
            raise ConnectionError("no S3")

        handler = chimera_log.AuditFileHandler(
            tmp_path / "executions.log",
            maxBytes=1_000_000,
            backupCount=9,
            compression="gzip",
            archive={"bucket": "evidence", "client_factory": no_client},
        )
        monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
        monkeypatch.setattr(archived, "_PATIENCE", 0.1)
        handler.handle(
            logging.LogRecord("bot", logging.INFO, "", 1, "execution", None, None)
        )
        aws = SimpleNamespace(stored=lambda _: [])

        assert not archived.finish(cast("Any", aws), tmp_path)
        assert "not all of it is in the archive" in capsys.readouterr().out
        assert not archived.finish(cast("Any", aws), tmp_path)  # as when asked again
        assert 1 == handler.statistics().segments
        handler.close()


class TestMain:
    def test_no_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Without a command it says what there is, and exits with 2.
        """
        with pytest.raises(SystemExit) as stopped:
            main([])

        assert 2 == stopped.value.code
        assert "usage: chimera-log" in capsys.readouterr().err

    @pytest.mark.parametrize("is_own", [True, False])
    def test_garbage_at_the_end(
        self, is_own: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Nobody looks for garbage at the end of a process that ends with its command;
        a caller in another process keeps the collector as it was.
        """
        monkeypatch.setattr(sys, "argv", ["chimera-log", "schema"])
        before = gc.get_freeze_count(), gc.get_threshold()
        try:
            main(None if is_own else ["schema"])

            assert is_own == (gc.get_freeze_count() > before[0])
            assert before[1] == gc.get_threshold()
        finally:
            gc.unfreeze()

    def test_unknown_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        So it does for a command that it does not know.
        """
        with pytest.raises(SystemExit) as stopped:
            main(["dmeo"])

        assert 2 == stopped.value.code
        assert "demo" in capsys.readouterr().err

    def test_python_m(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        ``python -m chimera_log`` is the same program.
        """
        monkeypatch.setattr(sys, "argv", ["chimera_log", "--help"])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_module("chimera_log", run_name="__main__")

        assert 0 == stopped.value.code
        assert "run a small bot" in capsys.readouterr().out

    def test_imported(self) -> None:
        """
        To import it runs nothing.
        """
        loaded = runpy.run_path(
            str(Path(chimera_log.__file__).parent / "__main__.py"), run_name="imported"
        )

        assert main is loaded["main"]

    def test_real_process(self) -> None:
        """
        The command works in a process of its own.
        """
        done = subprocess.run(
            [sys.executable, "-m", "chimera_log", "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

        assert done.stdout.startswith("usage: chimera-log")
        assert "" == done.stderr
