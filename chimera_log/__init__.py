"""
Logging for Python services, configured by one YAML file.

Everything here is a plain `logging` Formatter, Filter or Handler, named in a
``logging.yaml`` that any `logging.config.dictConfig` consumer can load.  A
record becomes one line of JSON and goes to the console, to rotated files, to an
audit trail and to CloudWatch Logs.

A record's way, which is also the map of this package::

    logging.getLogger("bot").info("filled", extra={"context": {...}})
        |                            events    log_* helpers, get_logger; amounts
        v
    LogRecord --> record             what it says: time, event, context
                    |                             bound_context adds to it
                  line               as one line of JSON, in a layout
                    |   values       anything -> strict JSON, by the natural forms
                    |   forms        that types have
                    |   redact       which parts are secret
                    v
              formatters             JsonFormatter
              filters                ExecutionAuditFilter
                    |
              files                  RotatingFileHandler, StreamHandler
              audit                  AuditFileHandler: lines that vouch for each other
              cloudwatch             CloudWatchHandler
              aws                    how AWS is talked to, and when again
              worker                 the thread of what must not hold up the caller

    config   finds, reads, checks and applies logging.yaml
    cli      what operators run: chimera-log COMMAND
    options  sizes, durations, ${VAR:-default}      report  trouble, on stderr
    signals  exit_on_sigterm                        receipt  was it in the trail?
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chimera_log.audit import AuditFileHandler
    from chimera_log.cloudwatch import CloudWatchHandler
    from chimera_log.config.explain import explain
    from chimera_log.config.load import init_logging
    from chimera_log.config.reloading import reload, set_level
    from chimera_log.events import (
        get_logger,
        log_execution_attempt,
        log_performance_metrics,
        log_safety_violation,
        log_state_divergence,
        log_state_transition,
    )
    from chimera_log.files import RotatingFileHandler, StreamHandler
    from chimera_log.filters import ExecutionAuditFilter
    from chimera_log.formatters import JsonFormatter
    from chimera_log.options import ConfigError
    from chimera_log.receipt import AuditError
    from chimera_log.record import bound_context
    from chimera_log.signals import exit_on_sigterm

__all__ = [
    "AuditError",
    "AuditFileHandler",
    "CloudWatchHandler",
    "ConfigError",
    "ExecutionAuditFilter",
    "JsonFormatter",
    "RotatingFileHandler",
    "StreamHandler",
    "bound_context",
    "exit_on_sigterm",
    "explain",
    "get_logger",
    "init_logging",
    "log_execution_attempt",
    "log_performance_metrics",
    "log_safety_violation",
    "log_state_divergence",
    "log_state_transition",
    "reload",
    "set_level",
]

# Where each name lives.  Loaded when first asked for, so that a module that
# only logs does not pay for the reading of configuration files.
_HOMES = {
    "AuditError": "receipt",
    "AuditFileHandler": "audit",
    "CloudWatchHandler": "cloudwatch",
    "ConfigError": "options",
    "ExecutionAuditFilter": "filters",
    "JsonFormatter": "formatters",
    "RotatingFileHandler": "files",
    "StreamHandler": "files",
    "bound_context": "record",
    "exit_on_sigterm": "signals",
    "explain": "config.explain",
    "get_logger": "events",
    "init_logging": "config.load",
    "log_execution_attempt": "events",
    "log_performance_metrics": "events",
    "log_safety_violation": "events",
    "log_state_divergence": "events",
    "log_state_transition": "events",
    "reload": "config.reloading",
    "set_level": "config.reloading",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  not needed again

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
