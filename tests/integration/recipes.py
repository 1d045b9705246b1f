"""
Pages of ``docs/integrations``: what they show, and processes that do it.

A file is the block below a line that names it; a command is a block of ``sh``.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.integration.support import (
    PATIENCE,
    ROOT,
    SHIPPED,
    lines_of,
    parsed,
    unmeasured,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = ROOT / "docs" / "integrations"
SIGTERM_EXIT = 128 + signal.SIGTERM
CHECKPOINT = "audit_checkpoint"


def page(name: str) -> str:
    """Return the text of the page called *name*."""
    return (PAGES / f"{name}.md").read_text()


def shown(text: str, file: str) -> str:
    """Return the block that *text* shows below a line that names *file*."""
    below = rf"^[^\n]*{re.escape(file)}[^\n]*:\n\n```\w+\n(.*?)^```$"
    found = re.search(below, text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no block for {file}"
    return found[1]


def prepare(directory: Path, files: dict[str, str]) -> None:
    """Put *files* into *directory*, and the shipped configuration unless one of them."""
    for name, content in {"logging.yaml": SHIPPED.read_text(), **files}.items():
        (directory / name).write_text(content)


def merged(onto: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return *onto* with what *part* changes."""
    inner = {
        name: merged(onto[name], value)
        for name, value in part.items()
        if isinstance(value, dict) and isinstance(onto.get(name), dict)
    }
    return {**onto, **part, **inner}


def edited(part: str) -> str:
    """Return the shipped configuration, edited as *part* shows."""
    return yaml.safe_dump(
        merged(yaml.safe_load(SHIPPED.read_text()), yaml.safe_load(part))
    )


@dataclass(frozen=True)
class Left:
    """What a process left behind."""

    code: int
    console: list[bytes]
    errors: str
    logs: Path
    left_out: str = ""  # an event

    @property
    def everything(self) -> list[bytes]:
        """The lines of ``chimera.log``, which may not be there."""
        path = self.logs / "chimera.log"
        return self._kept(lines_of(path)) if path.exists() else []

    def but_for(self, event: str) -> Left:
        """Return the same without the records of *event*, wherever they are."""
        found = replace(self, left_out=event)
        return replace(found, console=found._kept(self.console))

    def _kept(self, lines: list[bytes]) -> list[bytes]:
        if not self.left_out:
            return lines
        found = zip(lines, parsed(lines), strict=True)
        return [line for line, record in found if record["event"] != self.left_out]

    @property
    def executions(self) -> list[dict[str, Any]]:
        """The records of the audit trail."""
        return parsed(lines_of(self.logs / "executions.log"))

    def events(self, *modules: str) -> list[str]:
        """Return the events in ``chimera.log`` of the loggers *modules*, or of all."""
        return [
            record["event"]
            for record in parsed(self.everything)
            if not modules or record["module"] in modules
        ]

    def has_all(self) -> bool:
        """Whether the console shows each line of ``chimera.log`` once, and no other."""
        return Counter(self.console) == Counter(self.everything)

    def tells_its_end(self) -> bool:
        """Whether the last of the trail's records is told of."""
        told = [
            record["context"]["seq"]
            for record in parsed(self.everything)
            if record["event"] == CHECKPOINT
        ]
        return [len(self.executions)] == told[-1:]


class Child:
    """
    A process that runs in *directory*, and logs below it.

    Among its *variables*, ``PWD`` and ``CHIMERA_LOG_DIR`` are other places for that.
    """

    def __init__(
        self, command: list[str], directory: Path, variables: dict[str, str]
    ) -> None:
        self.stdout, self.stderr = directory / "stdout", directory / "stderr"
        environment = unmeasured(directory / "logs")
        programs = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        self.environment = {**environment, "PATH": programs, **variables}
        with self.stdout.open("wb") as stdout, self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=variables.get("PWD", directory),
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def said(self) -> str:
        """Return what is on the console."""
        return self.stdout.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until *text* was on the console, or on stderr, so many *times*."""

        def is_there() -> bool:
            has_ended = self.process.poll() is not None  # before its words are read
            said = self.said() + self.stderr.read_text()
            assert said.count(text) >= times or not has_ended, said
            return said.count(text) >= times

        wait_until(is_there, text)

    @property
    def logs(self) -> Path:
        """The folder of its files."""
        return Path(self.environment["CHIMERA_LOG_DIR"])

    def left(self, number: int | None = None) -> Left:
        """Return what is left when the process, sent the signal *number*, has ended."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        return Left(code, lines_of(self.stdout), self.stderr.read_text(), self.logs)


@contextmanager
def started(command: str, directory: Path, **variables: str) -> Iterator[Child]:
    """Start the shell's *command* in *directory*; leave nothing of it alive."""
    child = Child(["sh", "-c", f"exec {command}"], directory, variables)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.communicate()


def done(command: str, directory: Path, **variables: str) -> Left:
    """Return what the shell's *command* leaves, which ends by itself."""
    with started(command, directory, **variables) as child:
        return child.left()


def python(program: str, directory: Path, **variables: str) -> Left:
    """Return what the Python *program* leaves."""
    return done(f"python -c {shlex.quote(program)}", directory, **variables)
