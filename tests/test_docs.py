"""
What the README and the docs say is run and compared.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import chimera_log
from tests.logs import unchained

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "LOGGING.md").read_text()
FLAGS = re.DOTALL | re.MULTILINE
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of *text* in *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, FLAGS)


def run(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run *program* beside a copy of the shipped configuration."""
    (directory / "logging.yaml").write_text((ROOT / "logging.yaml").read_text())
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shell(
    script: str, directory: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run *script* by sh, with our command and what is in ``bin`` on its path."""
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    ours = programs / "chimera-log"
    ours.write_text(f'#!/bin/sh\nexec {sys.executable} -m chimera_log "$@"\n')
    ours.chmod(0o755)
    return subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        cwd=directory,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def without_times(lines: list[str]) -> list[dict[str, Any]]:
    """Return JSON *lines* without their timestamps, whose form is checked."""
    found = [json.loads(line) for line in lines]
    for each in found:
        assert 27 == len(each.pop("timestamp"))
    return found


class TestReadme:
    def test_ten_lines_print_what_they_say(self, tmp_path: Path) -> None:
        """
        The first program prints the lines shown below it, and files them so.
        """
        expected = without_times(blocks(README, "json")[0].splitlines())

        done = run(blocks(README, "python")[0], tmp_path)

        *printed, told = without_times(done.stdout.splitlines())
        assert "" == done.stderr
        assert expected == printed
        assert "audit_checkpoint" == told["event"]
        everything = (tmp_path / "logs" / "chimera.log").read_text().splitlines()
        assert [*expected, told] == without_times(everything)

    def test_trail_has_the_line_shown(self, tmp_path: Path) -> None:
        """
        So does the trail, whose line is linked as the one shown is.
        """
        run(blocks(README, "python")[0], tmp_path)
        (line,) = (tmp_path / "logs" / "executions.log").read_bytes().splitlines()
        shown = blocks(README, "json")[1].encode().rstrip(b"\n")
        (given,) = blocks(README, "json")[0].encode().splitlines()[1:]

        assert [given] == unchained([shown])
        (expected,), (found,) = (
            without_times([each.decode()]) for each in (shown, line)
        )
        for name in ("chain", "hash"):  # random, and what follows from it
            del expected["audit"][name], found["audit"][name]
        assert expected == found

    def test_verify(self, tmp_path: Path) -> None:
        """
        The command shown finds that trail whole.
        """
        run(blocks(README, "python")[0], tmp_path)
        done = shell(blocks(README, "sh")[2], tmp_path)

        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout.startswith("executions.log: ok: ")

    def test_table_names_keys_that_exist(self) -> None:
        """
        Every key in "I want to change" can be found in logging.yaml.
        """
        document = yaml.safe_load((ROOT / "logging.yaml").read_text())
        table = README.split("## I want to change")[1].split("\n\n")[2]
        keys = re.findall(r"`([a-z*<][\w.*<>]*\.[\w.*<>]+)`", table)

        assert 12 <= len(keys)
        for key in keys:
            assert _found(document, key), key

    def test_error_is_what_is_printed(self, tmp_path: Path) -> None:
        """
        The error shown is the one that this mistake causes, word for word.
        """
        expected = blocks(README, "text")[0].strip()
        shipped = (ROOT / "logging.yaml").read_text()
        mistake = shipped.replace("maxBytes: 100 MB", "maxBytes: 100 XB", 1)
        (tmp_path / "logging.yaml").write_text(mistake)

        with pytest.raises(chimera_log.ConfigError) as caught:
            chimera_log.init_logging(tmp_path / "logging.yaml")

        assert expected == str(caught.value).replace(f"{tmp_path}{os.sep}", "")

    def test_ci_runs_the_test_command(self) -> None:
        """
        CI sets up and runs the tests with README's own words.
        """
        script = (ROOT / ".ci" / "run").read_text().splitlines()

        assert blocks(README, "sh")[1].strip() in script

    def test_ci_runs_the_demo_command(self) -> None:
        """
        CI runs the demo with README's own words.
        """
        assert blocks(README, "sh")[0].strip() in (ROOT / ".ci" / "run").read_text()

    def test_links_lead_somewhere(self) -> None:
        """
        Every file that the README and the docs link to exists.
        """
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
            for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def _found(document: Any, key: str) -> bool:
    """Whether *key*, dotted, names something in *document*, or beside it."""
    parts = re.sub(r"loggers\.(\w+)\.access", r"loggers.\1_access", key).split(".")
    if parts[-1] in {"static", "fields"}:  # shown, but commented out
        return f"# {parts[-1]}: " in (ROOT / "logging.yaml").read_text()
    found = [document]
    for part in parts:
        name = part.replace("_access", ".access")
        found = [
            value
            for each in found
            if isinstance(each, dict)
            for inner, value in each.items()
            if inner == name or part == "*" or part.startswith("<")
        ]
    return bool(found)


class TestGuide:
    def test_blocks_run_in_order(self, tmp_path: Path) -> None:
        """
        The guide's Python is one program that runs without an error.
        """
        done = run("\n".join(blocks(GUIDE, "python")), tmp_path)

        assert (0, "") == (done.returncode, done.stderr)
        *events, last = [json.loads(line)["event"] for line in done.stdout.splitlines()]
        assert "slow response" in events
        assert 11 == len(events)
        assert "audit_checkpoint" == last

    def test_check(self, tmp_path: Path) -> None:
        """
        What `chimera-log check` prints of the file shown is what is shown.
        """
        (shown,) = re.findall(
            r"^<!-- service.yaml -->\n```yaml\n(.*?)^```$", GUIDE, FLAGS
        )
        (printed,) = re.findall(
            r"^<!-- what it prints -->\n```text\n(.*?)^```$", GUIDE, FLAGS
        )
        (command,) = [each for each in blocks(GUIDE, "sh") if "log check" in each]
        (tmp_path / "service.yaml").write_text(shown)
        done = shell(command, tmp_path)

        assert (1, printed, "") == (done.returncode, done.stdout, done.stderr)

    def test_formatter_options_load(self, tmp_path: Path) -> None:
        """
        The options shown are accepted, and do what is said of them.
        """
        part = yaml.safe_load(blocks(GUIDE, "yaml")[0])
        program = f"""
import logging, chimera_log
chimera_log.init_logging({{
    "version": 1, **{part!r},
    "handlers": {{"it": {{"class": "logging.StreamHandler", "formatter": "json",
                          "stream": "ext://sys.stdout"}}}},
    "root": {{"level": "INFO", "handlers": ["it"]}},
}})
logging.info("acct-12345678", extra={{"card_pin": 1, "token": "WETH"}})
"""
        (line,) = run(program, tmp_path).stdout.splitlines()
        found = json.loads(line)

        assert ["@timestamp", "message", "line"] == list(found)[:3]
        assert "[redacted]" == found["message"]
        assert {"card_pin": "[redacted]", "token": "WETH"} == found["context"]
        assert "bot" == found["service"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    """
    Each example prints lines of JSON and nothing else.
    """
    done = run(path.read_text(), tmp_path)

    assert (0, "") == (done.returncode, done.stderr)
    assert [] != [json.loads(line) for line in done.stdout.splitlines()]
    assert "hunter2" not in done.stdout
