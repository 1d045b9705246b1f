"""
Configure logging from a file, and keep it configured: `init_logging`.

All it does beyond plain ``logging.config.dictConfig(yaml.safe_load(...))`` is a
convenience: a file is found, an environment's is laid over it, variables and keywords
are written into it, every mistake is found while the logging that was running still
runs, and no record is lost when it is replaced.
"""

from __future__ import annotations

import logging

from chimera_log import options
from chimera_log.config import hooks
from chimera_log.config.effective import asked_for
from chimera_log.config.reloading import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any


def init_logging(
    config: str | os.PathLike[str] | dict[str, Any] | None = None,
    *,
    log_dir: str | os.PathLike[str] | None = None,
    log_level: str | int | None = None,
    enable_cloudwatch: bool | None = None,
    cloudwatch_region: str | None = None,
    cloudwatch_log_group: str | None = None,
    capture_warnings: bool = True,
    uncaught_exceptions: bool = True,
    watch: float | str | None = None,
) -> None:
    """
    Configure logging from a YAML or JSON file.

    Beside the file, say ``logging.yaml``, may lie others for single environments:
    with ``CHIMERA_LOG_ENV=production`` in the environment,
    ``logging.production.yaml`` is laid over it.  Mappings are merged, anything else
    is replaced, null takes a key away.  Values may hold variables, as in Compose
    files: ``${LOG_LEVEL:-INFO}``.

    A file that cannot work changes nothing: the logging that was running goes
    on.  Called again, it replaces what it configured before and loses no record on the
    way; what is configured as before lives on.  Handlers that others put on the root
    stay, but for those of the standard library, which `logging.basicConfig` makes.

    Args:
        config: The file, or what would be in it.  Without it, the first of:
            the file that ``CHIMERA_LOG_CONFIG`` names, ``./logging.yaml``, and
            the one that comes with the package.
        log_dir: Replaces the directory of every file that a handler of ours
            writes, and of the folder where one spools.
        log_level: Replaces the root's level: a name in any case, or a number.
        enable_cloudwatch: Adds the configured handler ``cloudwatch`` to the
            root, or takes it away.  Where none is configured, one line on
            stderr says so and the service logs on without it.
        cloudwatch_region: Replaces that handler's ``region_name``.
        cloudwatch_log_group: Replaces that handler's ``log_group_name``.
        capture_warnings: Send `warnings` to the logger ``py.warnings``.
        uncaught_exceptions: Log what nobody caught, in the main thread or
            another, to the logger ``uncaught``; Python then prints it as ever.
        watch: How often to look whether the files have changed, and `reload` then:
            seconds, or text such as ``"5 s"``; at least 10 ms.  Without it, what the
            file's own key ``watch`` says, and else never.

    Raises:
        ConfigError: If the configuration cannot work; its text says where,
            what and what to do.
    """
    options.flag("capture_warnings", capture_warnings)
    options.flag("uncaught_exceptions", uncaught_exceptions)
    request = asked_for(
        config,
        log_dir=log_dir,
        log_level=log_level,
        enable_cloudwatch=enable_cloudwatch,
        cloudwatch_region=cloudwatch_region,
        cloudwatch_log_group=cloudwatch_log_group,
        watch=watch,
    )
    load(request)
    logging.captureWarnings(capture_warnings)
    (hooks.install if uncaught_exceptions else hooks.remove)()
