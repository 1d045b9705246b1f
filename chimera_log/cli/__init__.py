"""
What operators run: ``chimera-log COMMAND``, one module a command.
"""

from __future__ import annotations

import argparse

from chimera_log.cli import demo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="chimera-log", description="Structured logging for Python services."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo.add_to(commands)
    given = parser.parse_args(arguments)
    code: int = given.run(given)
    return code
