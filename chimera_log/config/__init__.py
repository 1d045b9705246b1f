"""
From a YAML file to running logging.

- `document` reads a file and knows on which line each key stands.
- `load` finds, adapts, rehearses and applies it: `init_logging`.
- `hooks` logs what nobody caught.
"""

from chimera_log.config.load import init_logging

__all__ = ["init_logging"]
