"""
Log the events of a trading bot, and any other, with a context.

`get_logger` gives a stdlib logger whose methods take ``context=``; the five
``log_*`` functions give the common events one name and one set of fields each,
so that a dashboard or an auditor's query finds them years later.  All of it
goes through plain `logging`: levels, filters and handlers decide as always.

None of these functions raises because of what is logged.  A field whose name
ends in ``_wei`` is written as text with all its digits, so that the column
keeps one type whatever the amount (2**53 wei are 0.009 ether).
"""

from __future__ import annotations

import logging

from chimera_log.amounts import amount, difference, is_in_wei, names_wei
from chimera_log.receipt import Receipt
from chimera_log.record import STANDARD_ATTRIBUTES
from chimera_log.values import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from typing import Any, TypeAlias

    AnyAdapter: TypeAlias = "logging.LoggerAdapter[Any]"
    Level: TypeAlias = "int | str"
    LoggerLike: TypeAlias = "str | logging.Logger | AnyAdapter | None"

_FAILURES = frozenset({"error", "failed", "failure", "rejected", "reverted", "timeout"})
# What `extra` must not name: Logger.makeRecord raises KeyError for a LogRecord's
# own attributes, and for `message` and `asctime`.
_FORBIDDEN_EXTRA = STANDARD_ATTRIBUTES - {"audit", "color_message", "context"}


class ContextLogger(logging.LoggerAdapter):  # type: ignore[type-arg]  # not generic before 3.11
    """
    A logger whose methods take ``context=``, a mapping of what is known.

    It is a `logging.LoggerAdapter`, and everything else works as it does there.
    Keys in ``extra`` that `logging` refuses (``name``, ``args`` ...) are moved
    into the context instead of raising.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Move ``context=`` to where `logging` carries it."""
        context = kwargs.pop("context", None)
        given = kwargs.get("extra") or {}
        extra = dict(given) if isinstance(given, dict) else {"extra": given}
        refused = {
            name: extra.pop(name) for name in list(extra) if name in _FORBIDDEN_EXTRA
        }
        if refused or (context is not None and "context" in extra):
            known = _mapping(extra.get("context"))
            context = {**refused, **known, **_mapping(context)}
        if context is not None:
            extra["context"] = context
        kwargs["extra"] = extra
        return msg, kwargs


def get_logger(name: str | None = None) -> ContextLogger:
    """
    Return the logger called *name*, with methods that take ``context=``.

    Args:
        name: As for `logging.getLogger`; it becomes ``module`` in the line.
    """
    return ContextLogger(logging.getLogger(name))


def log_execution_attempt(
    execution: Any = None,
    /,
    *,
    strategy: str | None = None,
    status: str | None = None,
    block_number: int | None = None,
    tx_hash: str | None = None,
    bundle_hash: str | None = None,
    gas_used: int | None = None,
    gas_price_wei: int | str | None = None,
    expected_profit_wei: int | str | None = None,
    actual_profit_wei: int | str | None = None,
    error: BaseException | str | None = None,
    level: Level | None = None,
    logger: LoggerLike = "executions",
    stacklevel: int = 1,
    required: bool = False,
    **context: Any,
) -> None:
    """
    Log one attempt to trade, as event ``execution_attempt``.

    The audit trail takes these records whatever the root's level, as long as
    the logger ``executions`` is enabled for them; the shipped ``logging.yaml``
    keeps it at INFO.

    With *required* it returns when the record is in the trail and on the disk, which
    takes milliseconds, and fails otherwise: a bot may then refuse to trade.  Do not
    ask for it where an exit or a stop-loss must happen, recorded or not.

    Args:
        execution: The whole record as a mapping, dataclass, attrs class or
            pydantic model; the arguments below are added to it and win.
        strategy: What decided to trade.
        status: How it ended, such as ``included`` or ``reverted``.
        block_number: The block aimed at, or reached.
        tx_hash: Hash of the transaction.
        bundle_hash: Hash of the bundle it travelled in.
        gas_used: Gas, in units.
        gas_price_wei: Price of a unit, in wei.
        expected_profit_wei: What the simulation promised, in wei.
        actual_profit_wei: What arrived, in wei.
        error: Why it failed; an exception is logged with its trace.
        level: Default: ERROR with an *error* or a *status* that says failure,
            else INFO.
        logger: Where to log, by name or itself.
        stacklevel: As in `logging`; 2 names the caller's caller.
        required: Whether to raise if the record may not be in the audit trail.
        **context: Whatever else is known.

    Raises:
        AuditError: Only with *required*: no `AuditFileHandler` took this record
            (because of a level, a filter or the configuration), none could write it
            now, or the disk did not take it within a second.
    """
    number = None if level is None else _number_of(level, logging.INFO)
    target = _enabled(logger, logging.ERROR if number is None else number)
    receipt = Receipt() if required else None
    if target is None:
        if receipt is not None:
            receipt.require()
        return
    fields = {
        "strategy": strategy,
        "status": status,
        "block_number": block_number,
        "tx_hash": tx_hash,
        "bundle_hash": bundle_hash,
        "gas_used": gas_used,
        "gas_price_wei": gas_price_wei,
        "expected_profit_wei": expected_profit_wei,
        "actual_profit_wei": actual_profit_wei,
        "error": error,
    }
    known = {**_mapping(execution), **_given(fields), **context}
    if number is None:
        number = logging.ERROR if _failed(known) else logging.INFO
    _log(target, number, "execution_attempt", known, stacklevel, receipt)
    if receipt is not None:
        receipt.require()


def log_state_transition(
    from_state: Any,
    to_state: Any,
    reason: str | None = None,
    *,
    level: Level = logging.INFO,
    logger: LoggerLike = "state",
    stacklevel: int = 1,
    **context: Any,
) -> None:
    """
    Log that the system went from one state to another, as ``state_transition``.

    Args:
        from_state: The state left; ``from`` in the context.
        to_state: The state entered; ``to`` in the context.
        reason: Why.
        level, logger, stacklevel, **context: As in `log_execution_attempt`.
    """
    number = _number_of(level, logging.INFO)
    target = _enabled(logger, number)
    if target is None:
        return
    fields = {"from": from_state, "to": to_state, "reason": reason}
    _log(target, number, "state_transition", {**_given(fields), **context}, stacklevel)


def log_state_divergence(
    item: str,
    cached: Any,
    on_chain: Any,
    *,
    unit: str | None = None,
    level: Level = logging.WARNING,
    logger: LoggerLike = "state",
    stacklevel: int = 1,
    **context: Any,
) -> None:
    """
    Log that the cache and the blockchain disagree, as ``state_divergence``.

    The difference, on-chain minus cached, is computed where both are numbers
    (text that spells an integer counts, since amounts often are), exactly for
    integers and decimals.

    Args:
        item: What disagrees, such as ``pool_reserve`` or ``balance``.
        cached: The value that was believed.
        on_chain: The value the chain has.
        unit: The unit of both; with ``wei`` they are written as text.
        level, logger, stacklevel, **context: As in `log_execution_attempt`.
    """
    number = _number_of(level, logging.WARNING)
    target = _enabled(logger, number)
    if target is None:
        return
    apart = difference(cached, on_chain)
    values = {"cached": cached, "on_chain": on_chain, "difference": apart}
    if is_in_wei(unit) or names_wei(item):
        values = {name: amount("_wei", value) for name, value in values.items()}
    fields = {"item": item, **values, "unit": unit}
    _log(target, number, "state_divergence", {**_given(fields), **context}, stacklevel)


def log_safety_violation(
    limit_name: str,
    limit: Any,
    observed: Any,
    action: str | None = None,
    *,
    unit: str | None = None,
    level: Level = logging.ERROR,
    logger: LoggerLike = "safety",
    stacklevel: int = 1,
    **context: Any,
) -> None:
    """
    Log that a limit was broken, as ``safety_violation``.

    Args:
        limit_name: Which limit.
        limit: Its value.
        observed: The value that broke it.
        action: What was done about it, such as ``trading_halted``.
        unit: The unit of both; with ``wei`` they are written as text.
        level, logger, stacklevel, **context: As in `log_execution_attempt`.
    """
    number = _number_of(level, logging.ERROR)
    target = _enabled(logger, number)
    if target is None:
        return
    values = {"limit": limit, "observed": observed}
    if is_in_wei(unit) or names_wei(limit_name):
        values = {name: amount("_wei", value) for name, value in values.items()}
    fields = {"limit_name": limit_name, **values, "unit": unit, "action": action}
    _log(target, number, "safety_violation", {**_given(fields), **context}, stacklevel)


def log_performance_metrics(
    metrics: Mapping[str, Any],
    *,
    units: Mapping[str, str] | None = None,
    dimensions: Mapping[str, Any] | None = None,
    level: Level = logging.INFO,
    logger: LoggerLike = "performance",
    stacklevel: int = 1,
    **context: Any,
) -> None:
    """
    Log measured numbers, as ``performance_metrics``.

    Args:
        metrics: Name to number.
        units: Name to unit, in CloudWatch's words (``Milliseconds``, ``Count``).
        dimensions: What the numbers belong to, such as ``{"strategy": "arb"}``.
            Each combination is a metric of its own wherever metrics are paid
            for: no transaction hashes.
        level, logger, stacklevel, **context: As in `log_execution_attempt`.
    """
    number = _number_of(level, logging.INFO)
    target = _enabled(logger, number)
    if target is None:
        return
    fields = {"metrics": metrics, "units": units, "dimensions": dimensions}
    _log(
        target, number, "performance_metrics", {**_given(fields), **context}, stacklevel
    )


def _number_of(level: Any, default: int) -> int:
    """Return *level*, a number or a name in any case; what is neither is *default*."""
    known = logging.getLevelName(level.upper()) if type(level) is str else level
    return known if type(known) is int else default


def _enabled(logger: LoggerLike, level: int) -> logging.Logger | AnyAdapter | None:
    """Return the logger meant, or ``None`` if it would not log at *level*."""
    if logger is None or isinstance(logger, str):
        logger = logging.getLogger(logger)
    return logger if logger.isEnabledFor(level) else None


def _log(  # noqa: PLR0917  each caller says the same five
    target: logging.Logger | AnyAdapter,
    level: int,
    event: str,
    context: dict[str, Any],
    stacklevel: int,
    receipt: Receipt | None = None,
) -> None:
    """
    Log *event* as the caller of our caller; an exception with its trace.

    Args:
        target: Where.
        level: How bad it is.
        event: What happened.
        context: What is known of it.
        stacklevel: As the caller was given it.
        receipt: Travels with the record to the audit trail, as its mark.
    """
    error = context.get("error")
    given = context.pop("context", None)  # as get_logger's methods take it
    context = {**_mapping(given), **context}
    carried = {name: amount(name, value) for name, value in context.items()}
    options: MutableMapping[str, Any] = {
        "extra": {"context": carried},
        "exc_info": error if issubclass(type(error), BaseException) else None,
        "stacklevel": stacklevel + 2,
    }
    # Before Python 3.11 an adapter's own frame counts as a caller; before 3.13
    # its `extra` replaces ours.
    while isinstance(target, logging.LoggerAdapter):
        event, options = target.process(event, options)
        brought = _mapping(options.get("extra"))
        carried = {**_mapping(brought.get("context")), **carried}
        options["extra"] = {**brought, "context": carried}
        target = target.logger
    if receipt is not None:  # last: no adapter may take it for its own
        options["extra"] = {**options["extra"], "audit": receipt}
    target.log(level, event, **options)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* without those that the caller left out."""
    return {name: value for name, value in fields.items() if value is not None}


def _mapping(value: Any) -> dict[str, Any]:
    """Return a record given as a mapping or as an object with fields."""
    if value is None or type(value) is dict:
        return value or {}
    shown = plain(value)
    return shown if isinstance(shown, dict) else {"value": shown}


def _failed(execution: Mapping[str, Any]) -> bool:
    """Whether the attempt has an error, or a status of failure."""
    status = plain(execution.get("status"))
    return execution.get("error") is not None or (
        type(status) is str and status.lower() in _FAILURES
    )
