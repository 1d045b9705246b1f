"""
Five events of a trading bot, and a logger that takes a context.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import (
    JsonFormatter,
    get_logger,
    log_execution_attempt,
    log_performance_metrics,
    log_safety_violation,
    log_state_divergence,
    log_state_transition,
)
from chimera_log.events import ContextLogger
from chimera_log.forms import MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

ETHER = 10**18


class Listening(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.records.append(record)


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """Every record that reaches the root, from DEBUG up."""
    root, handler = logging.getLogger(), Listening()
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler.records
    root.removeHandler(handler)


def context(record: logging.LogRecord) -> dict[str, Any]:
    """Return what *record* carries as its context."""
    carried: dict[str, Any] = record.__dict__["context"]
    return carried


def line(record: logging.LogRecord) -> dict[str, Any]:
    """Return *record* as a reader of the file gets it."""
    read: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return read


def fail() -> None:
    """Fail as a relay does."""
    raise TimeoutError("relay")


@dataclass
class DataclassExecution:
    """An execution, as the standard library has it."""

    strategy: str
    gas_price_wei: int


@attrs.define
class AttrsExecution:
    """An execution, as attrs has it."""

    strategy: str
    gas_price_wei: int


class PydanticExecution(pydantic.BaseModel):
    """An execution, as pydantic has it."""

    strategy: str
    gas_price_wei: int


class TestLogExecutionAttempt:
    def test_fields(self, logged: list[logging.LogRecord]) -> None:
        """
        Every argument is a field of its own name; amounts in wei are text.
        """
        log_execution_attempt(
            strategy="cross_dex",
            status="included",
            block_number=19_000_000,
            tx_hash="0xaa",
            bundle_hash="0xbb",
            gas_used=180_000,
            gas_price_wei=30 * 10**9,
            expected_profit_wei=2 * ETHER,
            actual_profit_wei="1999999999999999999",
            pool="WETH/USDC",
        )

        (record,) = logged
        assert "execution_attempt" == record.getMessage()
        assert {
            "strategy": "cross_dex",
            "status": "included",
            "block_number": 19_000_000,
            "tx_hash": "0xaa",
            "bundle_hash": "0xbb",
            "gas_used": 180_000,
            "gas_price_wei": "30000000000",
            "expected_profit_wei": "2000000000000000000",
            "actual_profit_wei": "1999999999999999999",
            "pool": "WETH/USDC",
        } == context(record)

    def test_left_out(self, logged: list[logging.LogRecord]) -> None:
        """
        What the caller left out is no field.
        """
        log_execution_attempt()

        assert {} == context(logged[0])

    def test_logger(self, logged: list[logging.LogRecord]) -> None:
        """
        Executions go to the logger ``executions``.
        """
        log_execution_attempt(status="included")

        assert "executions" == logged[0].name

    @pytest.mark.parametrize(
        "execution",
        [
            {"strategy": "arb", "gas_price_wei": 5},
            OrderedDict(strategy="arb", gas_price_wei=5),
            DataclassExecution("arb", 5),
            AttrsExecution("arb", 5),
            PydanticExecution(strategy="arb", gas_price_wei=5),
        ],
        ids=lambda execution: type(execution).__name__,
    )
    def test_record(self, logged: list[logging.LogRecord], execution: Any) -> None:
        """
        The whole record may come as a mapping or as an object with fields.
        """
        log_execution_attempt(execution, status="included")

        assert {
            "strategy": "arb",
            "gas_price_wei": "5",
            "status": "included",
        } == context(logged[0])

    def test_arguments_win(self, logged: list[logging.LogRecord]) -> None:
        """
        An argument wins over the record, and the record stays as it was.
        """
        execution = {"status": "pending", "pool": "a", "gas_price_wei": 5}
        log_execution_attempt(execution, status="included", pool="b")

        assert {"status": "included", "pool": "b", "gas_price_wei": "5"} == context(
            logged[0]
        )
        assert {"status": "pending", "pool": "a", "gas_price_wei": 5} == execution

    def test_no_record(self, logged: list[logging.LogRecord]) -> None:
        """
        What has no fields is kept as ``value``.
        """
        log_execution_attempt("0xaa")

        assert {"value": "0xaa"} == context(logged[0])

    @pytest.mark.parametrize("status", ["included", "pending", None, 5])
    def test_info(self, logged: list[logging.LogRecord], status: Any) -> None:
        """
        An attempt is INFO, unless it says failure.
        """
        log_execution_attempt(status=status)

        assert "INFO" == logged[0].levelname

    @pytest.mark.parametrize(
        "status",
        ["error", "failed", "failure", "rejected", "REVERTED", "timeout"],
    )
    def test_failed(self, logged: list[logging.LogRecord], status: str) -> None:
        """
        A status that says failure, in any case, is ERROR.
        """
        log_execution_attempt(status=status)
        log_execution_attempt({"status": status})

        assert ["ERROR", "ERROR"] == [record.levelname for record in logged]

    def test_error_text(self, logged: list[logging.LogRecord]) -> None:
        """
        An error in words is ERROR, without a trace.
        """
        log_execution_attempt(error="no liquidity")

        assert "ERROR" == logged[0].levelname
        assert {"error": "no liquidity"} == context(logged[0])
        assert logged[0].exc_info is None

    def test_error_exception(self, logged: list[logging.LogRecord]) -> None:
        """
        An exception is logged with its trace, outside its except block too.
        """
        caught: BaseException | None = None
        try:
            fail()
        except TimeoutError as error:
            caught = error
        log_execution_attempt(error=caught)

        read = line(logged[0])
        assert "ERROR" == read["level"]
        assert "TimeoutError: relay" == read["context"]["error"]
        assert "TimeoutError" == read["exception"]["type"]
        assert "test_error_exception" in read["exception"]["stacktrace"]

    def test_error_in_record(self, logged: list[logging.LogRecord]) -> None:
        """
        An exception inside the record counts like one given beside it.
        """
        error = TimeoutError("relay")
        log_execution_attempt({"error": error})

        assert "ERROR" == logged[0].levelname
        assert logged[0].exc_info is not None
        assert error is logged[0].exc_info[1]

    @pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
    def test_level(self, logged: list[logging.LogRecord], level: int) -> None:
        """
        A level that is given decides, whatever happened.
        """
        log_execution_attempt(status="failed", level=level)

        assert level == logged[0].levelno


class TestLogStateTransition:
    def test_fields(self, logged: list[logging.LogRecord]) -> None:
        """
        From, to and reason, at INFO, to the logger ``state``.
        """
        log_state_transition("scanning", "halted", "gas too high", bot=3)

        (record,) = logged
        assert ("state", "INFO", "state_transition") == (
            record.name,
            record.levelname,
            record.getMessage(),
        )
        assert {
            "from": "scanning",
            "to": "halted",
            "reason": "gas too high",
            "bot": 3,
        } == context(record)

    def test_no_reason(self, logged: list[logging.LogRecord]) -> None:
        """
        A reason that is not given is no field.
        """
        log_state_transition("a", "b")

        assert {"from": "a", "to": "b"} == context(logged[0])


class TestLogStateDivergence:
    def test_fields(self, logged: list[logging.LogRecord]) -> None:
        """
        Item, both values, their difference and unit, at WARNING, to ``state``.
        """
        log_state_divergence("open_orders", 5, 3, unit="orders", venue="a")

        (record,) = logged
        assert ("state", "WARNING", "state_divergence") == (
            record.name,
            record.levelname,
            record.getMessage(),
        )
        assert {
            "item": "open_orders",
            "cached": 5,
            "on_chain": 3,
            "difference": -2,
            "unit": "orders",
            "venue": "a",
        } == context(record)

    @pytest.mark.parametrize(
        ("item", "unit"), [("balance_wei", None), ("balance", "wei")]
    )
    def test_wei(
        self, logged: list[logging.LogRecord], item: str, unit: str | None
    ) -> None:
        """
        Values in wei, by the item's name or the unit, are text.
        """
        log_state_divergence(item, 2 * ETHER, str(3 * ETHER), unit=unit)

        found = context(logged[0])
        assert "2000000000000000000" == found["cached"]
        assert "3000000000000000000" == found["on_chain"]
        assert "1000000000000000000" == found["difference"]

    @pytest.mark.parametrize(
        ("expected", "cached", "on_chain"),
        [
            (-2, 5, 3),
            (ETHER, 10**30, 10**30 + ETHER),
            (Decimal("0.1"), Decimal("0.2"), Decimal("0.3")),
            (
                Decimal("123456789012345678901234567890.25"),
                Decimal("0.25"),
                Decimal("123456789012345678901234567890.50"),
            ),
            (1, "1000000000000000000000", "1000000000000000000001"),
            (1, "1", 2),
            (Decimal("0.5"), 1, Decimal("1.5")),
            (0.5, 1.0, 1.5),
            (0.5, 1, 1.5),
            (-5, np.uint64(10), np.uint64(5)),
        ],
    )
    def test_difference(
        self,
        logged: list[logging.LogRecord],
        expected: Any,
        cached: Any,
        on_chain: Any,
    ) -> None:
        """
        On-chain minus cached, exactly for integers and decimals.
        """
        log_state_divergence("pool", cached, on_chain)

        assert expected == context(logged[0])["difference"]

    @given(st.integers(), st.integers())
    def test_difference_is_exact(
        self, logged: list[logging.LogRecord], cached: int, on_chain: int
    ) -> None:
        """
        However large, the difference of integers loses no digit, as text too.
        """
        log_state_divergence("pool", cached, on_chain)
        log_state_divergence("pool", str(cached), str(on_chain))

        found = [context(record)["difference"] for record in logged[-2:]]
        assert [on_chain - cached] * 2 == found

    @pytest.mark.parametrize(
        ("cached", "on_chain"),
        [
            ("open", "closed"),
            ("0x10", "0x11"),
            (True, False),
            (5, None),
            ([1], [2]),
            (1.5, Decimal("1.5")),
            (10**400, 1.5),
        ],
    )
    def test_no_difference(
        self, logged: list[logging.LogRecord], cached: Any, on_chain: Any
    ) -> None:
        """
        Values that are no numbers, or do not mix, have none.
        """
        log_state_divergence("pool", cached, on_chain)

        assert "difference" not in context(logged[0])


class TestLogSafetyViolation:
    def test_fields(self, logged: list[logging.LogRecord]) -> None:
        """
        Limit, its value, what broke it and what was done, at ERROR, to ``safety``.
        """
        log_safety_violation("max_gas", 250_000, 300_000, "skipped", bot=3)

        (record,) = logged
        assert ("safety", "ERROR", "safety_violation") == (
            record.name,
            record.levelname,
            record.getMessage(),
        )
        assert {
            "limit_name": "max_gas",
            "limit": 250_000,
            "observed": 300_000,
            "action": "skipped",
            "bot": 3,
        } == context(record)

    def test_wei(self, logged: list[logging.LogRecord]) -> None:
        """
        A limit named in wei has both values as text.
        """
        log_safety_violation("max_loss_wei", ETHER, 2 * ETHER)

        assert {
            "limit_name": "max_loss_wei",
            "limit": "1000000000000000000",
            "observed": "2000000000000000000",
        } == context(logged[0])


class TestLogPerformanceMetrics:
    def test_fields(self, logged: list[logging.LogRecord]) -> None:
        """
        Numbers, their units and dimensions, at INFO, to ``performance``.
        """
        log_performance_metrics(
            {"latency_p99": 3.25},
            units={"latency_p99": "Milliseconds"},
            dimensions={"strategy": "arb"},
            window=60,
        )

        (record,) = logged
        assert ("performance", "INFO", "performance_metrics") == (
            record.name,
            record.levelname,
            record.getMessage(),
        )
        assert {
            "metrics": {"latency_p99": 3.25},
            "units": {"latency_p99": "Milliseconds"},
            "dimensions": {"strategy": "arb"},
            "window": 60,
        } == context(record)

    def test_wei(self, logged: list[logging.LogRecord]) -> None:
        """
        A metric named in wei is text, like every such field.
        """
        log_performance_metrics({"profit_wei": ETHER})

        assert {"metrics": {"profit_wei": "1000000000000000000"}} == context(logged[0])


class TestWei:
    @pytest.mark.parametrize(
        ("expected", "amount"),
        [
            ("5", 5),
            ("-5", -5),
            ("1000000000000000000000000", 10**24),
            ("1000000000000000000", 1e18),
            ("0.5", 0.5),
            ("1000000000000000000", Decimal("1E+18")),
            ("0.5", Decimal("0.5")),
            ("5", "5"),
            ("5", np.int64(5)),
            (None, None),
            (True, True),
        ],
    )
    def test_text(
        self, logged: list[logging.LogRecord], expected: Any, amount: Any
    ) -> None:
        """
        A number under a name that ends in ``_wei`` is text with all its digits.
        """
        log_state_transition("a", "b", loss_wei=amount)

        assert expected == context(logged[0])["loss_wei"]

    @pytest.mark.parametrize(
        ("expected", "amount"),
        [("NaN", float("nan")), ("-Infinity", float("-inf")), ("NaN", Decimal("NaN"))],
    )
    def test_no_number(
        self, logged: list[logging.LogRecord], expected: str, amount: Any
    ) -> None:
        """
        NaN and the infinities are text in the line, as everywhere.
        """
        log_state_transition("a", "b", loss_wei=amount)

        assert expected == line(logged[0])["context"]["loss_wei"]

    @pytest.mark.parametrize(
        ("expected", "order"),
        [
            ({"loss_wei": "5"}, {"loss_wei": 5}),
            ([{"loss_wei": "5"}], [{"loss_wei": 5}]),
            ([{"loss_wei": "5"}], ({"loss_wei": 5},)),
            ({"a": [{"b": {"loss_wei": "5"}}]}, {"a": [{"b": {"loss_wei": 5}}]}),
            ({"loss_wei": "5"}, OrderedDict(loss_wei=5)),
            (
                {"strategy": "arb", "gas_price_wei": "5"},
                DataclassExecution("arb", 5),
            ),
            ({"losses_wei": ["5", "6"]}, {"losses_wei": [5, 6]}),
        ],
    )
    def test_nested(
        self, logged: list[logging.LogRecord], expected: Any, order: Any
    ) -> None:
        """
        Amounts inside lists, mappings and objects are text as well.
        """
        log_state_transition("a", "b", order=order)

        assert expected == line(logged[0])["context"]["order"]

    def test_caller_keeps_numbers(self, logged: list[logging.LogRecord]) -> None:
        """
        The caller's own objects are not changed.
        """
        order = {"legs": [{"loss_wei": 5}]}
        log_state_transition("a", "b", order=order)

        assert {"legs": [{"loss_wei": 5}]} == order
        assert 1 == len(logged)

    def test_huge_exponent(self, logged: list[logging.LogRecord]) -> None:
        """
        A decimal is not written out digit by digit for ever.
        """
        asked: list[object] = []

        class Huge(Decimal):
            def __int__(self) -> int:
                asked.append(self)  # the real answer takes minutes
                return 0

        log_state_transition("a", "b", loss_wei=Huge("1E+999999"))

        assert "1E+999999" == line(logged[0])["context"]["loss_wei"]
        assert [] == asked

    def test_other_names(self, logged: list[logging.LogRecord]) -> None:
        """
        Other fields keep their type.
        """
        log_state_transition("a", "b", gas=5, weird=6, wei=7)

        assert (5, 6, 7) == tuple(
            context(logged[0])[k] for k in ("gas", "weird", "wei")
        )

    def test_cycle(self, logged: list[logging.LogRecord]) -> None:
        """
        A value that holds itself ends the search, not the program.
        """
        order: dict[str, Any] = {"loss_wei": 5}
        order["self"] = order
        log_state_transition("a", "b", order=order)

        assert "5" == line(logged[0])["context"]["order"]["loss_wei"]

    def test_shared_values(self, logged: list[logging.LogRecord]) -> None:
        """
        A few shared lists that spell out millions of values stay cheap.
        """

        class Amount:
            looked_at = 0

            def __int__(self) -> int:
                Amount.looked_at += 1
                return 5

            def __str__(self) -> str:
                Amount.looked_at += 1
                return "5"

        order: Any = {"loss_wei": Amount()}
        for _ in range(4):
            order = [order] * 20
        log_state_transition("a", "b", order=order)

        assert 1 == len(logged)
        assert 0 < Amount.looked_at <= MAX_VALUES


def call_execution(**options: Any) -> None:
    """Log an execution."""
    log_execution_attempt(status="included", **options)


def call_transition(**options: Any) -> None:
    """Log a transition."""
    log_state_transition("a", "b", **options)


def call_divergence(**options: Any) -> None:
    """Log a divergence."""
    log_state_divergence("pool", 1, 2, **options)


def call_violation(**options: Any) -> None:
    """Log a violation."""
    log_safety_violation("max_gas", 1, 2, **options)


def call_metrics(**options: Any) -> None:
    """Log metrics."""
    log_performance_metrics({"a": 1}, **options)


HELPERS = [
    call_execution,
    call_transition,
    call_divergence,
    call_violation,
    call_metrics,
]


class Foreign(logging.LoggerAdapter):  # type: ignore[type-arg]  # not generic before 3.11
    """Somebody else's adapter, which marks its messages."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Mark *msg*, and add our extra."""
        return f"[bot] {msg}", {**kwargs, "extra": self.extra}


LOGGERS = [
    pytest.param(lambda: "desk", id="name"),
    pytest.param(lambda: logging.getLogger("desk"), id="Logger"),
    pytest.param(lambda: get_logger("desk"), id="ContextLogger"),
    pytest.param(
        lambda: logging.LoggerAdapter(logging.getLogger("desk"), {"desk": 7}),
        id="LoggerAdapter",
    ),
    pytest.param(
        lambda: Foreign(get_logger("desk"), {"desk": 7}),
        id="nested",
    ),
]


class TestLogger:
    @pytest.mark.parametrize("logger", LOGGERS)
    @pytest.mark.parametrize("helper", HELPERS)
    def test_caller(
        self,
        logged: list[logging.LogRecord],
        helper: Callable[..., None],
        logger: Callable[[], Any],
    ) -> None:
        """
        File, line and function are the caller's, through whatever logger.
        """
        helper(logger=logger())

        (record,) = logged
        lines, start = inspect.getsourcelines(helper)
        assert ("desk", Path(__file__).name, helper.__name__) == (
            record.name,
            record.filename,
            record.funcName,
        )
        assert start + len(lines) - 1 == record.lineno

    @pytest.mark.parametrize("logger", LOGGERS)
    @pytest.mark.parametrize("helper", HELPERS)
    def test_stacklevel(
        self,
        logged: list[logging.LogRecord],
        helper: Callable[..., None],
        logger: Callable[[], Any],
    ) -> None:
        """
        ``stacklevel=2`` names the caller's caller.
        """
        helper(logger=logger(), stacklevel=2)

        assert "test_stacklevel" == logged[0].funcName

    @pytest.mark.parametrize("helper", HELPERS)
    def test_level(
        self, logged: list[logging.LogRecord], helper: Callable[..., None]
    ) -> None:
        """
        Every helper takes a level of its own.
        """
        helper(level=logging.CRITICAL)

        assert "CRITICAL" == logged[0].levelname

    def test_root(self, logged: list[logging.LogRecord]) -> None:
        """
        ``logger=None`` is the root.
        """
        log_state_transition("a", "b", logger=None)

        assert "root" == logged[0].name

    def test_foreign_extra(self, logged: list[logging.LogRecord]) -> None:
        """
        A foreign adapter's extra and message count, and our context is kept.
        """
        adapter = Foreign(logging.getLogger("desk"), {"desk": 7})
        log_state_transition("a", "b", logger=adapter)

        read = line(logged[0])
        assert "[bot] state_transition" == read["event"]
        assert {"desk": 7, "from": "a", "to": "b"} == read["context"]

    def test_foreign_context(self, logged: list[logging.LogRecord]) -> None:
        """
        A context that a foreign adapter brings is added to, not replaced.
        """
        adapter = logging.LoggerAdapter(
            logging.getLogger("desk"), {"context": {"desk": 7}}
        )
        log_state_transition("a", "b", logger=adapter)

        assert {"desk": 7, "from": "a", "to": "b"} == line(logged[0])["context"]

    def test_foreign_without_extra(self, logged: list[logging.LogRecord]) -> None:
        """
        An adapter with no extra at all loses nothing.
        """
        log_state_transition("a", "b", logger=Foreign(logging.getLogger("desk"), None))

        assert {"from": "a", "to": "b"} == context(logged[0])

    @pytest.mark.parametrize("name", ["name", "args", "message", "asctime", "exc_info"])
    def test_reserved_names(self, logged: list[logging.LogRecord], name: str) -> None:
        """
        Fields named like an attribute of a record are fields like any other.
        """
        for helper in HELPERS:
            helper(**{name: "x"})

        assert ["x"] * len(HELPERS) == [context(record)[name] for record in logged]


class Expensive:
    """Counts how often anybody looks at it."""

    def __init__(self) -> None:
        self.looks = 0

    def __float__(self) -> float:
        self.looks += 1
        return 1.0

    def __rsub__(self, other: Any) -> Any:
        self.looks += 1
        return other

    def __str__(self) -> str:
        self.looks += 1
        return ""


class TestDisabled:
    @pytest.mark.parametrize(
        "call",
        [
            lambda given: log_execution_attempt(given, loss_wei=given),
            lambda given: log_state_transition(given, given, loss_wei=given),
            lambda given: log_state_divergence("a_wei", given, given),
            lambda given: log_safety_violation("a_wei", given, given),
            lambda given: log_performance_metrics({"a_wei": given}),
        ],
    )
    def test_builds_nothing(
        self, logged: list[logging.LogRecord], call: Callable[[Any], None]
    ) -> None:
        """
        Where a logger is disabled, nobody looks at what would be logged.
        """
        logging.disable(logging.CRITICAL)
        given = Expensive()
        call(given)

        assert [] == logged
        assert 0 == given.looks

    def test_info_below_error(self, logged: list[logging.LogRecord]) -> None:
        """
        A logger that takes errors only does not take an attempt that went well.
        """
        logging.getLogger("executions").setLevel(logging.ERROR)
        log_execution_attempt(status="included")
        log_execution_attempt(status="failed")

        assert ["failed"] == [context(record)["status"] for record in logged]


class Closed:
    """Raises whatever is asked of it, as a lazy proxy without a connection does."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]  # nor can it be a key


class Moody(str):
    """A text with a will of its own."""

    __slots__ = ()

    def lower(self) -> str:
        """Refuse."""
        raise RuntimeError("lower")

    def endswith(self, *args: Any) -> bool:
        """Refuse."""
        raise RuntimeError(f"endswith {args}")


class Vague:
    """Half a number."""

    def __int__(self) -> int:
        return 5

    def __float__(self) -> float:
        raise RuntimeError("float")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]  # nor can it be a key


class Hostile(NamedTuple):
    """Stands for an object that hypothesis itself could not bear."""

    name: str


MADE: dict[str, Callable[[], Any]] = {
    "closed": Closed,
    "moody": lambda: Moody("reverted"),
    "vague": Vague,
    "class": lambda: Closed,
    "exception": TimeoutError,
    "number": lambda: 10**5_000,
}


def alive(value: Any) -> Any:
    """Return *value* with the objects that `Hostile` stands for."""
    if isinstance(value, Hostile):
        return MADE[value.name]()
    if isinstance(value, dict):
        return {key: alive(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(alive, value))
    return value


ANYTHING = st.recursive(
    st.one_of(
        st.sampled_from(sorted(MADE)).map(Hostile),
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.binary(),
        st.decimals(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(
            st.one_of(st.text(), st.integers(), st.just("a_wei")), inner, max_size=3
        ),
    ),
    max_leaves=5,
)
CALLS = st.one_of(
    st.tuples(
        st.just(log_execution_attempt),
        st.tuples(ANYTHING),
        st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                (
                    "strategy",
                    "status",
                    "tx_hash",
                    "gas_price_wei",
                    "error",
                    "execution",
                    "name",
                ),
                ANYTHING,
            ),
        ),
    ),
    st.tuples(
        st.just(log_state_transition),
        st.tuples(ANYTHING, ANYTHING, ANYTHING),
        st.fixed_dictionaries({}, optional={"a_wei": ANYTHING, "args": ANYTHING}),
    ),
    st.tuples(
        st.just(log_state_divergence),
        st.tuples(ANYTHING, ANYTHING, ANYTHING),
        st.fixed_dictionaries({}, optional={"unit": ANYTHING, "msg": ANYTHING}),
    ),
    st.tuples(
        st.just(log_safety_violation),
        st.tuples(ANYTHING, ANYTHING, ANYTHING, ANYTHING),
        st.fixed_dictionaries({}, optional={"error": ANYTHING, "context": ANYTHING}),
    ),
    st.tuples(
        st.just(log_performance_metrics),
        st.tuples(ANYTHING),
        st.fixed_dictionaries({}, optional={"units": ANYTHING, "x": ANYTHING}),
    ),
)


class TestHostile:
    @given(CALLS)
    def test_never_raises(self, logged: list[logging.LogRecord], call: Any) -> None:
        """
        Whatever is logged, no helper raises, and the line is valid JSON.
        """
        helper, args, kwargs = alive(call)
        del logged[:]
        helper(*args, **kwargs)

        (record,) = logged
        assert helper.__name__.removeprefix("log_") == line(record)["event"]

    @pytest.mark.parametrize("helper", HELPERS)
    def test_closed_proxy(
        self, logged: list[logging.LogRecord], helper: Callable[..., None]
    ) -> None:
        """
        A proxy that raises when it is touched is marked, and the rest is logged.
        """
        helper(user=Closed(), limit_wei=Closed(), desk=7)

        assert 7 == line(logged[0])["context"]["desk"]

    def test_mood(self, logged: list[logging.LogRecord]) -> None:
        """
        A text whose methods fail is logged as the text it is.
        """
        log_execution_attempt(status=Moody("reverted"))

        assert "reverted" == line(logged[0])["context"]["status"]


class TestGetLogger:
    def test_context(self, logged: list[logging.LogRecord]) -> None:
        """
        ``context=`` is the line's context; the logger's name is its module.
        """
        get_logger("state_engine").info("connected", context={"provider": "alchemy"})

        read = line(logged[0])
        assert ("INFO", "state_engine", "connected", {"provider": "alchemy"}) == (
            read["level"],
            read["module"],
            read["event"],
            read["context"],
        )

    def test_no_context(self, logged: list[logging.LogRecord]) -> None:
        """
        A call without context has an empty one.
        """
        get_logger("bot").warning("late by %d ms", 5)

        read = line(logged[0])
        assert ("late by 5 ms", {}) == (read["event"], read["context"])

    def test_extra(self, logged: list[logging.LogRecord]) -> None:
        """
        ``extra`` works as ever, beside a context.
        """
        get_logger("bot").info("filled", context={"a": 1}, extra={"b": 2})

        assert 2 == logged[0].__dict__["b"]
        assert {"a": 1, "b": 2} == line(logged[0])["context"]

    def test_extra_context(self, logged: list[logging.LogRecord]) -> None:
        """
        A context inside ``extra`` is kept; what ``context=`` says wins.
        """
        get_logger("bot").info(
            "filled", context={"a": 1}, extra={"context": {"a": 0, "b": 2}}
        )

        assert {"a": 1, "b": 2} == line(logged[0])["context"]

    @pytest.mark.parametrize(
        "name", sorted(set(vars(logging.makeLogRecord({}))) | {"message", "asctime"})
    )
    def test_reserved_names(self, logged: list[logging.LogRecord], name: str) -> None:
        """
        A name that `logging` refuses in ``extra`` lands in the context.
        """
        get_logger("bot").info("filled", extra={name: "x", "desk": 7})

        assert {name: "x", "desk": 7} == line(logged[0])["context"]

    def test_reserved_name_loses(self, logged: list[logging.LogRecord]) -> None:
        """
        Moved there, it loses against what the context says itself.
        """
        get_logger("bot").info(
            "filled",
            context={"name": "c"},
            extra={"name": "x", "args": 1, "context": {"name": "e", "args": 2}},
        )

        assert {"name": "c", "args": 2} == context(logged[0])

    def test_context_that_is_none(self, logged: list[logging.LogRecord]) -> None:
        """
        What is no mapping is kept as ``value``, beside a moved name too.
        """
        get_logger("bot").info("filled", context=5, extra={"name": "x"})
        get_logger("bot").info("filled", context=5)

        assert {"name": "x", "value": 5} == line(logged[0])["context"]
        assert {"value": 5} == line(logged[1])["context"]

    def test_arguments_untouched(self, logged: list[logging.LogRecord]) -> None:
        """
        The caller's ``extra`` is not changed.
        """
        extra = {"name": "x"}
        get_logger("bot").info("filled", extra=extra)

        assert {"name": "x"} == extra
        assert 1 == len(logged)

    def test_exc_info(self, logged: list[logging.LogRecord]) -> None:
        """
        ``exc_info`` works as ever, beside a context.
        """
        try:
            fail()
        except TimeoutError as error:
            get_logger("bot").error(
                "operation_failed", context={"error": str(error)}, exc_info=True
            )

        read = line(logged[0])
        assert "TimeoutError" == read["exception"]["type"]
        assert {"error": "relay"} == read["context"]

    def test_exception(self, logged: list[logging.LogRecord]) -> None:
        """
        ``exception`` takes a context too.
        """
        try:
            fail()
        except TimeoutError:
            get_logger("bot").exception("operation_failed", context={"a": 1})

        read = line(logged[0])
        assert ("relay", {"a": 1}) == (read["exception"]["message"], read["context"])

    @pytest.mark.parametrize(
        "method", ["debug", "info", "warning", "error", "critical"]
    )
    def test_caller(self, logged: list[logging.LogRecord], method: str) -> None:
        """
        Each method names its caller, and its own level.
        """
        getattr(get_logger("bot"), method)("filled", context={})

        assert ("test_caller", method.upper()) == (
            logged[0].funcName,
            logged[0].levelname,
        )

    def test_adapter(self) -> None:
        """
        It is a stdlib adapter around the stdlib logger of that name.
        """
        logger = get_logger("bot")

        assert isinstance(logger, logging.LoggerAdapter)
        assert isinstance(logger, ContextLogger)
        assert logging.getLogger("bot") is logger.logger

    def test_root(self) -> None:
        """
        Without a name it is the root.
        """
        assert logging.getLogger() is get_logger().logger


class TestLevels:
    @pytest.mark.parametrize(
        ("expected", "level"),
        [(30, "WARNING"), (30, "warning"), (10, 10), (20, "high"), (20, None)],
    )
    def test_named(
        self, logged: list[logging.LogRecord], expected: int, level: Any
    ) -> None:
        """
        A level may be a number or a name; what is neither is the default.
        """
        logging.getLogger("state").setLevel(logging.DEBUG)
        log_state_transition("a", "b", level=level)

        assert expected == logged[-1].levelno


def test_context_as_one_argument(logged: list[logging.LogRecord]) -> None:
    """
    ``context=`` means the same as it does to a logger of `get_logger`.
    """
    log_state_transition("a", "b", context={"x": 1})

    assert {"from": "a", "to": "b", "x": 1} == line(logged[0])["context"]


def test_limit_in_wei(logged: list[logging.LogRecord]) -> None:
    """
    A limit whose unit is wei is text, however small.
    """
    log_safety_violation("max_loss", 10, 20, unit="Wei")

    context = line(logged[0])["context"]
    assert ("10", "20") == (context["limit"], context["observed"])
