"""
What ``docs/errors.md`` says is printed is printed, and everything that is, it says.

A message is a heading of the third rank, a block of YAML that provokes it, the line
that is printed, and the cure; a block of sh before the YAML prepares the folder.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chimera_log.config.check import aws, check, costs, places, routes, trails, traps
from chimera_log.config.document import Document
from chimera_log.config.reading import read

if TYPE_CHECKING:
    from types import ModuleType

    from chimera_log.config.findings import Finding

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
HOME = "/srv/bot"  # what the page calls the folder
MODULES: tuple[ModuleType, ...] = (traps, routes, trails, places, aws, costs)


class Message(NamedTuple):
    """What stands below a heading."""

    heading: str
    shell: str
    yaml: str
    printed: list[str]
    cure: str


def messages() -> list[Message]:
    """Return what the page holds, in order."""
    found = []
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, rest = re.split(r"^## ", section, flags=re.MULTILINE)[0].partition(
            "\n"
        )
        form = r"\n(?:```sh\n(.*?)```\n\n)?```yaml\n(.*?)```\n\n```text\n(.*?)```\n(.*)"
        match = re.fullmatch(form, rest, re.DOTALL)
        assert match, f"{heading}: not heading, sh, yaml, text, cure"
        shell, yaml, printed, cure = match.groups("")
        found.append(Message(heading, shell, yaml, printed.splitlines(), cure.strip()))
    return found


def may(path: str, what: int, **_: bool) -> bool:
    """Whether an owner without special rights, unlike root, may do *what*."""
    return (Path(path).stat().st_mode >> 6) & what == what


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder of an ordinary user, on a small disk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", may)
    disk = SimpleNamespace(f_bavail=5 * 10**6, f_frsize=1000)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)


def said_of(message: Message, folder: Path) -> list[str]:
    """Return all that is printed of a configuration, with the page's folder."""
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    subprocess.run(["sh", "-ec", message.shell], check=True, timeout=60)
    Path("logging.yaml").write_text(message.yaml, encoding="utf-8")
    found = check(read(Path("logging.yaml")))
    return [str(finding).replace(str(folder), HOME) for finding in found]


@pytest.mark.parametrize("message", messages(), ids=lambda message: message.heading)
def test_printed(message: Message, tmp_path: Path) -> None:
    """
    The configuration provokes what is shown, to the letter, and there is a cure.
    """
    found = said_of(message, tmp_path)

    assert message.printed
    assert [] == [line for line in message.printed if line not in found]
    assert message.cure


def test_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Every place in the code that makes a message made one on the page.
    """
    made: set[tuple[str, int]] = set()
    original = Document.finding

    def noted(self: Document, *arguments: Any, **options: Any) -> Finding:
        caller = sys._getframe(1)
        made.add((caller.f_code.co_filename, caller.f_lineno))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Document, "finding", noted)
    for number, message in enumerate(messages()):
        said_of(message, tmp_path / str(number))

    assert [] == [
        f"{Path(file).name}:{call.lineno}"
        for file in (str(module.__file__) for module in MODULES)
        for call in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and "finding" == call.func.attr
        and not any(
            (file, line) in made
            for line in range(call.lineno, (call.end_lineno or 0) + 1)
        )
    ]
