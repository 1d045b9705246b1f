"""
What operators run: ``chimera-log COMMAND``, one module a command.
"""

from __future__ import annotations

import argparse
import gc
import sys
from importlib import import_module

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


COMMANDS = (
    *(
        "archive",
        "check",
        "demo",
        "explain",
        "index",
        "init",
        "prune",
        "render",
        "schema",
        "verify",
    ),
)


_RARELY = 100_000  # new objects between two looks for garbage


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command that *arguments* name.

    Returns:
        Its exit code; 2 if the command line or the configuration is wrong, unless the
        command has another one for that.
    """
    before = gc.get_threshold()
    # What is imported is no garbage; looking for some takes a tenth of a short command.
    gc.set_threshold(_RARELY, *before[1:])
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    finally:
        gc.set_threshold(*before)
        if arguments is None:  # the process ends with the command: a last look is vain,
            gc.freeze()  # and would take another tenth


def _run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="chimera-log", description="Structured logging for Python services."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Only the one that is wanted: the others would take most of its time.
    for command in set(words[:1]).intersection(COMMANDS) or COMMANDS:
        import_module(f"{__name__}.{command}").add_to(commands)
    given, unknown = parser.parse_known_args(words)
    if unknown:
        refuse = getattr(given, "refuse", parser.error)
        refuse(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        code: int = given.run(given)
    except ConfigError as error:
        print(f"chimera-log: {error}", file=sys.stderr)
        return 2
    return code
