"""
What the guide says about the commands around a configuration is run and compared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chimera_log.config.effective import asked_for, effective
from tests.test_docs import GUIDE, ROOT, blocks, shell

if TYPE_CHECKING:
    from pathlib import Path


def section(title: str) -> str:
    """Return the guide's section of that *title*."""
    return GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def beside_shipped(script: str, tmp_path: Path) -> tuple[int, str]:
    """Run *script* beside the shipped configuration; return its code and output."""
    (tmp_path / "logging.yaml").write_text((ROOT / "logging.yaml").read_text())
    done = shell(script, tmp_path)
    assert "" == done.stderr
    return done.returncode, done.stdout.replace(str(tmp_path), "/srv/bot")


def test_render(tmp_path: Path) -> None:
    """
    The file that the command shown makes says what the shipped one says.
    """
    (script,) = [each for each in blocks(section("Servers"), "sh") if "render" in each]

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
