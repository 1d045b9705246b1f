"""
Find the files of a configuration: one, and what an environment lays over it.

Beside ``logging.yaml`` may lie ``logging.production.yaml``, say, and others; the
variable ``CHIMERA_LOG_ENV`` chooses one.
"""

from __future__ import annotations

import os
from pathlib import Path

from chimera_log.config.findings import ERROR, Finding, Place, Refusal
from chimera_log.options import did_you_mean

CONFIG_VARIABLE = "CHIMERA_LOG_CONFIG"
ENVIRONMENT_VARIABLE = "CHIMERA_LOG_ENV"
PACKAGED = Path(__file__).parent.parent / "logging.yaml"
OVERLAYS = Path(__file__).parent / "overlays"  # which come with the package
SCHEMA = Path(__file__).with_name("logging.schema.json")


def find(config: str | os.PathLike[str] | None) -> Path:
    """
    Return the file to read.

    The first of: *config*, the environment's ``CHIMERA_LOG_CONFIG``,
    ``./logging.yaml``, and the file that comes with the package.
    """
    given = config or os.environ.get(CONFIG_VARIABLE)
    if given:
        return Path(os.path.expanduser(given))  # noqa: PTH111  does not raise
    # Not Path.is_file, which raises where the directory cannot be searched.
    here = os.path.isfile("logging.yaml")  # noqa: PTH113
    return Path("logging.yaml") if here else PACKAGED


def overlay(base: Path, environment: str | None = None) -> Path | None:
    """
    Return the file that is laid over *base*, if any is.

    Args:
        base: The file that `find` returned.
        environment: The one to find it for, such as ``production``; without it, what
            ``CHIMERA_LOG_ENV`` says.

    Raises:
        ConfigError: If other environments have files, and this one has none: a
            misspelt name would have production log like development.
    """
    name = environment or os.environ.get(ENVIRONMENT_VARIABLE)
    if not name:
        return None
    known = overlays(base)
    if known and name not in known:
        raise Refusal(
            [
                Finding(
                    Place(str(base)),
                    ERROR,
                    (),
                    f"{ENVIRONMENT_VARIABLE}: {name!r} has no file beside it; "
                    f"{did_you_mean(name, known)}",
                )
            ]
        )
    return known.get(name)


def overlays(base: Path) -> dict[str, Path]:
    """Return the files that may be laid over *base*, by their environments."""
    found: dict[str, Path] = {}
    try:
        beside = sorted(os.listdir(base.parent))  # noqa: PTH208  names are enough
    except (OSError, ValueError):
        return found
    begin, end = f"{base.stem}.", base.suffix
    for name in beside:
        inner = name.removeprefix(begin).removesuffix(end)
        if name == f"{begin}{inner}{end}" and inner and "." not in inner:
            found[inner] = base.with_name(name)
    return found


def of_overlay(path: Path) -> tuple[Path, str] | None:
    """Return what *path* is laid over, and for which environment, if it is so."""
    base, _, environment = path.stem.rpartition(".")
    below = path.with_name(f"{base}{path.suffix}")
    if base and environment and os.path.isfile(below):  # noqa: PTH113  as above
        return below, environment
    return None
