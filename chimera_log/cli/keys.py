"""
The keys of a trail, as a command line names them: by environment variables.
"""

from __future__ import annotations

import os

from chimera_log.audit.chain import Key
from chimera_log.options import ConfigError


def key_in(name: str) -> Key:
    """
    Return the key that the variable *name* holds, which --key-env named.

    Raises:
        ConfigError: If it holds none.
    """
    secret = os.environ.get(name)
    if not secret:
        raise ConfigError(f"--key-env: {name}: the variable is not set")
    try:
        return Key(os.fsencode(secret))
    except ConfigError as error:
        raise ConfigError(f"--key-env: {name}: {error}") from None
