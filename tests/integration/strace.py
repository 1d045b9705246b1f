"""
Children under strace: the system calls they make, killed before one, or refused it.

strace sees only what is done to the paths that it is given, and counts calls by
their names, in each thread: whoever is traced does all he does in one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.support import PATIENCE, Done, unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")


class Call(NamedTuple):
    """One system call: its name, and which of those with this name it is, from 1."""

    name: str
    number: int


def traced(
    script: str,
    directory: Path,
    paths: Iterable[Path],
    *injections: str,
    arguments: Iterable[str] = (),
) -> Done:
    """
    Run *script* under strace.

    Args:
        script: Python.
        directory: Its first argument; what strace saw is told beside it.
        paths: What strace looks at.
        injections: What it does to the calls that it sees, as its manual says.
        arguments: More of them.
    """
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", _told_in(directory)),
            *(f"--trace-path={path}" for path in paths),
            *("-e", "trace=%desc,%file"),
            *(part for each in injections for part in ("-e", f"inject={each}")),
            *(sys.executable, "-c", script, str(directory), *arguments),
        ],
        cwd=directory.parent,  # the interpreter looks for modules where it is
        env=unmeasured(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def calls_seen(directory: Path) -> list[Call]:
    """Return the system calls of the last child that was traced in *directory*."""
    counts: Counter[str] = Counter()
    calls = []
    for line in _told_in(directory).read_text("utf-8").splitlines():
        match = re.fullmatch(r"\d+ +(\w+)\(.*", line)
        if match:
            counts[match[1]] += 1
            calls.append(Call(match[1], counts[match[1]]))
    return calls


def _told_in(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.calls")
