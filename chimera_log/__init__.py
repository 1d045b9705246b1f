"""
Logging for Python services, configured by one YAML file.

Everything here is a plain `logging` Formatter, Filter or Handler, named in a
``logging.yaml`` that any `logging.config.dictConfig` consumer can load.  A
record becomes one line of JSON and goes to the console, to rotated files and
to an audit trail.

A record's way, which is also the map of this package::

    logging.getLogger("bot").info("filled", extra={"context": {...}})
        |                            events    log_* helpers, get_logger
        v
    LogRecord --> record             what it says: time, event, context
                    |                             bound_context adds to it
                  line               as one line of JSON, in a layout
                    |   values       anything -> strict JSON
                    |   redact       which parts are secret
                    v
              formatters             JsonFormatter
              filters                ExecutionAuditFilter
                    |
              files                  RotatingFileHandler

    config   finds, reads, checks and applies logging.yaml
    cli      what operators run: chimera-log demo
    options  sizes, modes, ${VAR:-default}          report  trouble, on stderr
"""

from chimera_log.config import init_logging
from chimera_log.events import (
    get_logger,
    log_execution_attempt,
    log_performance_metrics,
    log_safety_violation,
    log_state_divergence,
    log_state_transition,
)
from chimera_log.files import RotatingFileHandler
from chimera_log.filters import ExecutionAuditFilter
from chimera_log.formatters import JsonFormatter
from chimera_log.options import ConfigError
from chimera_log.record import bound_context

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "ExecutionAuditFilter",
    "JsonFormatter",
    "RotatingFileHandler",
    "bound_context",
    "get_logger",
    "init_logging",
    "log_execution_attempt",
    "log_performance_metrics",
    "log_safety_violation",
    "log_state_divergence",
    "log_state_transition",
]
