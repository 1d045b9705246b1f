"""
``chimera-log check``: what it prints, in each form, and its exit codes.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import chimera_log
from chimera_log.cli import main
from chimera_log.config import sources
from chimera_log.config.findings import ERROR, Finding, Place, as_github, excerpt

REST = "disable_existing_loggers: false\nloggers: {}\n"
GOOD = f"version: 1\n{REST}"
BAD = f"version: 1\nroot:\n  level: INOF\n{REST}"
WORRYING = f"version: 1\nroot:\n  propagate: false\n{REST}"
SAID = "root.level: 'INOF' is no level; did you mean 'INFO'?"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is run, with a file of each kind."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("good", GOOD), ("bad", BAD), ("worrying", WORRYING)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


class Terminal(io.StringIO):
    """Standard output that somebody looks at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """As a terminal."""
        return True


class TestText:
    def test_good(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Nothing is said of a good file.
        """
        assert 0 == main(["check", "good.yaml"])
        assert ("", "") == capsys.readouterr()

    def test_bad(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A mistake is a line on stdout: file, line, column, severity, key and text.
        """
        assert 1 == main(["check", "bad.yaml"])
        assert (f"bad.yaml:3:10: error {SAID}\n", "") == capsys.readouterr()

    def test_warning(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A warning is told, and is no error.
        """
        assert 0 == main(["check", "worrying.yaml"])
        out, _ = capsys.readouterr()
        assert out.startswith("worrying.yaml:3:3: warning root.propagate: ")

    def test_several(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Several files are checked, each for itself, also after one that is missing.
        """
        assert 2 == main(["check", "bad.yaml", "nowhere.yaml", "bad.yaml"])
        out, err = capsys.readouterr()
        assert [f"bad.yaml:3:10: error {SAID}"] * 2 == out.splitlines()
        assert err.startswith(
            "chimera-log: nowhere.yaml: cannot be read: No such file or directory"
        )

    def test_default(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        Without a name it is the file that `init_logging` would find.
        """
        assert 0 == main(["check"])
        (folder / "logging.yaml").write_text(BAD)
        assert 1 == main(["check"])
        monkeypatch.setenv(sources.CONFIG_VARIABLE, "worrying.yaml")
        assert 0 == main(["check"])
        out, _ = capsys.readouterr()
        assert ["logging.yaml", "worrying.yaml"] == [
            line.split(":")[0] for line in out.splitlines()
        ]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"version: [1\n", "bad.yaml:2:1: error: is no YAML: "),
            (b"- version: 1\n", "bad.yaml: error: must be a mapping that begins with"),
            (b"version: \xe4\n", "bad.yaml: error: is not UTF-8 at byte 9; "),
        ],
    )
    def test_unparseable(
        self, folder: Path, capsys: pytest.CaptureFixture[str], text: bytes, said: str
    ) -> None:
        """
        What cannot be parsed is a mistake in the file, like others.
        """
        (folder / "bad.yaml").write_bytes(text)
        assert 1 == main(["check", "bad.yaml"])
        out, err = capsys.readouterr()
        assert out.startswith(said)
        assert "" == err

    def test_json_file(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A JSON file is checked like one in YAML.
        """
        (folder / "logging.json").write_text(
            '{"version": 1,\n\t"rooot": {}, "disable_existing_loggers": false, '
            '"loggers": {}}'
        )
        assert 1 == main(["check", "logging.json"])
        out, _ = capsys.readouterr()
        assert out.startswith("logging.json:2:2: error rooot: no such section; ")


class TestTerminal:
    def test_excerpt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        On a terminal the line follows, and an arrow below it.
        """
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        main(["check", "bad.yaml"])

        assert [
            f"bad.yaml:3:10: error {SAID}",
            "    3 |   level: INOF",
            "      |          ^",
        ] == terminal.getvalue().splitlines()

    def test_no_line(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What has no line has no arrow.
        """
        (folder / "bad.yaml").write_text(REST)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        main(["check", "bad.yaml"])

        assert 1 == len(terminal.getvalue().splitlines())

    def test_unparseable(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What is no YAML is shown as well, a tab as a space.
        """
        (folder / "bad.yaml").write_text("version: 1\u2028\troot: 5\r\n")
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        main(["check", "bad.yaml"])

        assert [
            "    2 |  root: 5",
            "      | ^",
        ] == terminal.getvalue().splitlines()[1:]

    def test_nothing_to_obey(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A terminal is not told what to do by a key.
        """
        (folder / "bad.yaml").write_text('version: 1\n"\\e[2J": 5\n')
        main(["check", "bad.yaml"])

        assert "\x1b" not in capsys.readouterr()[0]


class TestMachines:
    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        For programs there is one list of objects.
        """
        assert 1 == main(["check", "--format", "json", "bad.yaml", "worrying.yaml"])
        first, second = json.loads(capsys.readouterr()[0])
        assert {
            "file": "bad.yaml",
            "line": 3,
            "column": 10,
            "severity": "error",
            "path": "root.level",
            "message": SAID.partition(": ")[2],
        } == first
        assert ("warning", "root.propagate") == (second["severity"], second["path"])

    def test_json_of_nothing(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        It is empty where nothing is wrong, and knows no line where there is none.
        """
        main(["check", "--format=json", "good.yaml"])
        assert [] == json.loads(capsys.readouterr()[0])
        (folder / "bad.yaml").write_text(REST)
        main(["check", "--format=json", "bad.yaml"])
        (found,) = json.loads(capsys.readouterr()[0])
        assert (None, None) == (found["line"], found["column"])

    def test_github(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        For GitHub Actions there are its commands.
        """
        assert 1 == main(["check", "--format", "github", "bad.yaml"])
        assert (
            f"::error file=bad.yaml,line=3,col=10::{SAID}\n" == capsys.readouterr()[0]
        )

    def test_github_escapes(self) -> None:
        """
        What would end a property or a message is escaped as GitHub wants it.
        """
        finding = Finding(Place("a,b:c%.yaml"), ERROR, (), "100 %\r\nmore: 5, 6")
        assert ("::error file=a%2Cb%3Ac%25.yaml::100 %25%0D%0Amore: 5, 6") == as_github(
            finding
        )

    def test_no_excerpt(self) -> None:
        """
        A line that is not there is not shown.
        """
        finding = Finding(Place("a", 3, 1), ERROR, (), "is wrong")
        assert excerpt(finding, {}) is None
        assert excerpt(finding, {"a": "1\n2\n"}) == ("", 1)


class TestImports:
    def test_own_modules(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        The service's own modules are found, and what they print is no finding.
        """
        (folder / "my_own_handlers.py").write_text(
            "import logging\nprint('imported')\nclass Own(logging.Handler): pass\n"
        )
        (folder / "own.yaml").write_text(
            f"{GOOD}handlers: {{own: {{class: my_own_handlers.Own}}}}\n"
            "root: {handlers: [own]}\n"
        )
        before = sys.path[:]
        assert 0 == main(["check", "own.yaml"])
        assert ("", "imported\n") == capsys.readouterr()
        assert before == sys.path
        del sys.modules["my_own_handlers"]

    def test_light(self) -> None:
        """
        A file that names nothing heavy needs nothing heavy.
        """
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from chimera_log.cli import main\n"
                "assert main(['check', 'good.yaml']) == 0\n"
                "print(*{'boto3', 'inspect', 'difflib', 'chimera_log.audit',"
                " 'chimera_log.cloudwatch'} & set(sys.modules))",
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONPATH": str(Path(chimera_log.__file__).parents[1])},
        )
        assert "" == done.stdout.strip()


class TestUsage:
    def test_unknown_format(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A wrong command line is exit code 2.
        """
        with pytest.raises(SystemExit) as caught:
            main(["check", "--format", "xml"])
        assert 2 == caught.value.code
        assert "invalid choice: 'xml'" in capsys.readouterr().err

    @pytest.mark.parametrize("words", [["--help"], ["chek"]])
    def test_commands(
        self, capsys: pytest.CaptureFixture[str], words: list[str]
    ) -> None:
        """
        Whoever asks for help, or errs, is told all commands.
        """
        with pytest.raises(SystemExit):
            main(words)
        said = "".join(capsys.readouterr())
        assert [] == [
            name for name in ("check", "demo", "prune", "verify") if name not in said
        ]
