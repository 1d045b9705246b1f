"""
``chimera-log explain``: where a record goes, and what stops it.
"""

from __future__ import annotations

from chimera_log.cli.terminal import printable
from chimera_log.config.effective import asked_for, effective
from chimera_log.config.explain import level_named, logger_named
from chimera_log.config.explain.model import NO, explained
from chimera_log.config.explain.words import told
from chimera_log.config.explain.written import written

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_NOWHERE = 1


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "explain",
        help="say where a record goes, and what stops it",
        description="Say where a record of a logger goes, and what stops it, by a "
        "configuration that is read and not applied. The exit code is 0 if it may "
        "arrive somewhere, and 1 if it goes nowhere.",
    )
    parser.add_argument("logger", metavar="LOGGER", help="its name; root for the root")
    parser.add_argument(
        "level", metavar="LEVEL", help="a name in any case, or a number"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: the one that init_logging would find)",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Explain; return the exit code."""
    level = level_named(given.level)
    tree = written(effective(asked_for(given.config)))
    found = explained(tree, logger_named(given.logger), level)
    for line in told(found).splitlines():
        print(printable(line))
    return _NOWHERE if found.answer == NO else 0
