"""
``chimera-log render``: the configuration as one plain file.

For gunicorn, hypercorn, vLLM and others that take JSON, and for whoever wants to know
what the overlays and variables come to.
"""

from __future__ import annotations

import os
import sys

from chimera_log.config.effective import asked_for, effective
from chimera_log.config.render import FORMATS, as_json, as_yaml, masked, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "render",
        help="print the configuration as one plain file",
        description="Print the configuration with its overlay merged and its variables "
        "replaced, as any program takes it. Secrets are shown as ***, unless --unmask.",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration (default: the one that init_logging would find)",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="yaml", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--unmask",
        action="store_true",
        help="print secrets as they are: for a file that is used, which is then a secret",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Render; return the exit code."""
    content, count = plain(effective(asked_for(given.config))), 0
    if not given.unmask:
        content, count = masked(content, os.environ)
    write = as_json if given.format == "json" else as_yaml
    print(write(content), end="")
    if count:
        noun = "1 value is" if count == 1 else f"{count} values are"
        print(
            f"chimera-log render: {noun} masked; for a file that is used, say --unmask",
            file=sys.stderr,
        )
    return 0
