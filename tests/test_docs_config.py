"""
What the docs say about the commands around a configuration is run and compared.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from chimera_log.config.effective import asked_for, effective
from chimera_log.config.sources import SCHEMA
from tests.test_docs import ROOT, blocks, run, shell

if TYPE_CHECKING:
    from pathlib import Path


PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the page's section of that *title*."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def beside_shipped(script: str, tmp_path: Path) -> tuple[int, str]:
    """Run *script* beside the shipped configuration; return its code and output."""
    (tmp_path / "logging.yaml").write_text((ROOT / "logging.yaml").read_text())
    done = shell(script, tmp_path)
    assert "" == done.stderr
    return done.returncode, done.stdout.replace(str(tmp_path), "/srv/bot")


def test_init(tmp_path: Path) -> None:
    """
    The files in the table are those that are written, and the commands work with them.
    """
    text = section("Files of your own")
    init, render, start = blocks(text, "sh")
    named = re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE)
    code, said = beside_shipped(init, tmp_path)
    (tmp_path / "bot.py").write_text("import chimera_log as it; it.init_logging()")

    assert 0 == code
    assert sorted(named) == sorted(each.name for each in (tmp_path / "etc").iterdir())
    assert all(f"wrote etc/{name}\n" in said for name in named)
    assert "environment: production" in beside_shipped(render, tmp_path)[1]
    python = start.replace("python", sys.executable)
    assert (0, "") == beside_shipped(python, tmp_path)


def test_schema(tmp_path: Path) -> None:
    """
    The commands shown put the schema beside the file, whose first line names it.
    """
    script = blocks(section("In an editor"), "sh")[0]

    assert (0, "") == beside_shipped(script, tmp_path)
    first, second = (tmp_path / "logging.yaml").read_text().splitlines()[:2]
    assert "# yaml-language-server: $schema=./logging-schema.json" == first
    assert second.startswith("# What is logged")
    assert SCHEMA.read_text() == (tmp_path / "logging-schema.json").read_text()


def test_render(tmp_path: Path) -> None:
    """
    The file that the command shown makes says what the shipped one says.
    """
    (script,) = blocks(section("One plain file"), "sh")

    assert (0, "") == beside_shipped(script, tmp_path)
    assert effective(asked_for(ROOT / "logging.yaml")).content == json.loads(
        (tmp_path / "logging.json").read_text()
    )


def test_explain(tmp_path: Path) -> None:
    """
    The explanation shown is the one that is given.
    """
    text = section("Where does a record go?")

    assert (1, blocks(text, "text")[0]) == beside_shipped(
        blocks(text, "sh")[0], tmp_path
    )


def test_explain_from_code(tmp_path: Path) -> None:
    """
    So is the function's, in a process that configured nothing.
    """
    (program,) = blocks(section("Where does a record go?"), "python")
    done = run(program, tmp_path)

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
