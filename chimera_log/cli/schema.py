"""
``chimera-log schema``: the JSON Schema of a configuration.
"""

from __future__ import annotations

from chimera_log.config.sources import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of a configuration, for editors",
        description="Print the JSON Schema (draft 7) of a logging configuration. An "
        "editor with a YAML language server takes it, if the file's first line is: "
        "# yaml-language-server: $schema=PATH",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:  # noqa: ARG001  it has no options
    """Print it; return the exit code."""
    print(SCHEMA.read_text(encoding="ascii"), end="")
    return 0
