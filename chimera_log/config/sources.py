"""
Find the files of a configuration: one, and what an environment lays over it.
"""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_VARIABLE = "CHIMERA_LOG_CONFIG"
PACKAGED = Path(__file__).parent.parent / "logging.yaml"


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
