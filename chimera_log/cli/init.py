"""
``chimera-log init``: a configuration to begin with, and one for each environment.
"""

from __future__ import annotations

import os
from pathlib import Path

from chimera_log.cli.terminal import printable
from chimera_log.config.sources import ENVIRONMENT_VARIABLE, OVERLAYS, PACKAGED, SCHEMA
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

# Not logging.schema.json, which would be laid over a logging.json.
_SCHEMA = "logging-schema.json"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser(
        "init",
        help="write a logging.yaml to begin with, and overlays",
        description="Write logging.yaml, with a comment on each key, what is laid over "
        "it in development, in production and in tests, and its JSON Schema for editors.",
    )
    parser.add_argument(
        "directory",
        metavar="DIRECTORY",
        nargs="?",
        default=".",
        help="where; made if it is not there (default: here)",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite what is there already"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Write the files; return the exit code."""
    texts = _texts()
    try:
        _write(Path(given.directory), texts, force=given.force)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{printable(given.directory)}: cannot be written to: {reason}"
        ) from error
    for name in texts:
        print(printable(f"wrote {Path(given.directory) / name}"))
    path = Path(given.directory) / "logging.yaml"
    print(
        printable(f"Next: edit {path}, and check it with: chimera-log check {path}"),
        "chimera_log.init_logging() reads it in the directory it is started in, or where "
        f"CHIMERA_LOG_CONFIG says; {ENVIRONMENT_VARIABLE}=production lays "
        "logging.production.yaml over it.",
        sep="\n",
    )
    return 0


def _texts() -> dict[str, str]:
    """Return what is to be written, by the names of the files."""
    shipped = PACKAGED.read_text(encoding="utf-8").partition("\n")[2]
    return {
        "logging.yaml": f"# yaml-language-server: $schema=./{_SCHEMA}\n{shipped}",
        **{
            each.name: each.read_text(encoding="utf-8")
            for each in sorted(OVERLAYS.glob("*.yaml"))
        },
        _SCHEMA: SCHEMA.read_text(encoding="utf-8"),
    }


def _write(directory: Path, texts: dict[str, str], *, force: bool) -> None:
    """
    Write *texts* into *directory*, all or none of them.

    Raises:
        ConfigError: If one is there already, and may not be overwritten.
    """
    there = [name for name in texts if os.path.lexists(directory / name)]
    if there and not force:
        raise ConfigError(
            f"{printable(str(directory))}: {', '.join(there)}: there already; name "
            "another directory, or overwrite with --force"
        )
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
