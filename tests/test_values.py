"""
Any value becomes strict JSON, by either road the same, and none can raise.
"""

from __future__ import annotations

import collections
import enum
import fractions
import json
import pathlib
import sys
import threading
import time
import tracemalloc
import types
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock_time
from decimal import Decimal
from typing import Any, NamedTuple

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log import values
from chimera_log.forms import MAX_EXACT_INT, MAX_VALUES, text
from chimera_log.redact import Redactor
from chimera_log.values import MAX_DEPTH, Encoder, escape, plain
from tests.conftest import stable

UTC = timezone.utc


class Colour(enum.Enum):
    """An enum whose values are text."""

    RED = "red"


class Priority(enum.IntEnum):
    """An enum that is a number too."""

    HIGH = 3


class Access(enum.Flag):
    """An enum whose members add up."""

    READ = 1
    WRITE = 2


class Name(str):
    """A text that shows itself otherwise."""

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class Count(int):
    """A number that shows itself otherwise."""

    def __str__(self) -> str:
        return "many"

    __repr__ = __str__


class Ratio(float):
    """A number that shows itself otherwise."""

    def __repr__(self) -> str:
        return "half"


class Table(dict[Any, Any]):
    """A dict of somebody's own."""


class Row(list[Any]):
    """A list of somebody's own."""


class Point(NamedTuple):
    """A pair with names."""

    x: Any
    y: Any


@dataclass
class Order:
    """A dataclass around anything."""

    symbol: Any
    amount: Any = None


@dataclass(repr=False)
class Half:
    """A dataclass one of whose fields is never set."""

    given: int
    unset: int = field(init=False)


@attrs.define
class Fill:
    """An attrs class around anything, with slots."""

    price: Any
    _fee: Any = 0


class Trade(pydantic.BaseModel):
    """A pydantic model."""

    pair: str
    amount: int = 1
    key: pydantic.SecretStr = pydantic.SecretStr("hunter2")


class Unshowable:
    """Raises whatever it is asked to show."""

    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__


class Sulking:
    """Raises on nearly everything but being hashed."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    def _raise(self, *_: Any) -> Any:
        raise RuntimeError("no")

    __repr__ = __str__
    __len__ = __iter__ = __bool__ = __format__ = _raise


class BrokenDict(dict[Any, Any]):
    """A dict that cannot be read."""

    def items(self) -> Any:
        """Raise."""
        raise OSError("no")

    __len__ = __iter__ = items


class BrokenMapping(Mapping[Any, Any]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: Any) -> Any:
        raise OSError("no")

    def __iter__(self) -> Iterator[Any]:
        raise OSError("no")

    def __len__(self) -> int:
        raise OSError("no")


class BrokenList(list[Any]):
    """A list that breaks half way."""

    def __iter__(self) -> Iterator[Any]:
        yield 1
        raise OSError("no")


class BrokenSet(set[Any]):
    """A set that cannot be read."""

    def __iter__(self) -> Iterator[Any]:
        raise OSError("no")


@dataclass
class BrokenField:
    """A dataclass one of whose fields raises when it is read."""

    fine: int = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "fine":
            raise OSError("no")
        return super().__getattribute__(name)


class NamelessMeta(type):
    """A metaclass whose classes have no readable name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]  # hostile on purpose
        raise RuntimeError("no name")


class Nameless(metaclass=NamelessMeta):
    """Cannot be shown, nor its class named."""

    def __str__(self) -> str:
        raise ValueError("no")


class Liar:
    """Says that it is a bool."""

    @property
    def __class__(self) -> Any:
        """Return a lie."""
        return bool

    @__class__.setter
    def __class__(self, value: Any) -> None: ...

    def __str__(self) -> str:
        return "liar"


# By name: pytest and hypothesis would look at the objects themselves.
HOSTILE: dict[str, Any] = {
    "unshowable": Unshowable(),
    "sulking": Sulking(),
    "broken dict": BrokenDict(a=1),
    "broken mapping": BrokenMapping(),
    "broken list": BrokenList([1, 2]),
    "broken set": BrokenSet([1]),
    "broken field": BrokenField(),
    "nameless": Nameless(),
    "liar": Liar(),
}


def strict(line: str) -> Any:
    """Read *line* as the strictest of readers: no NaN, no key twice."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        assert sorted(set(names)) == sorted(names)
        return dict(items)

    def constant(name: str) -> Any:
        raise AssertionError(name)

    return json.loads(line, parse_constant=constant, object_pairs_hook=pairs)


def encoded(value: Any, encoder: Encoder | None = None) -> Any:
    """Return *value* as a strict reader sees it, after the line is written."""
    line = escape((encoder or Encoder()).encode(value)).encode().decode()
    assert unsafe(line) == []
    return strict(line)


def unsafe(line: str) -> list[str]:
    """Return the characters of *line* that break it or order a terminal about."""
    return [
        char
        for char in line
        if unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(char)
        in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]


def nested(depth: int, inner: Any) -> Any:
    """Return *inner* within *depth* lists."""
    for _ in range(depth):
        inner = [inner]
    return inner


def laughs(levels: int) -> list[Any]:
    """Return a small structure that spells out 2 ** *levels* values."""
    shared: list[Any] = ["ha", "ha"]
    for _ in range(levels - 1):
        shared = [shared, shared]
    return shared


ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from(
        '\0\n\r\x0b\x0c\x1b\x1c\x85\u2028\u2029\u202e\u2066\ud83d\ude00"\\%aé😀'
    )
)
SAFE_TEXT = st.text()
PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_EXACT_INT, MAX_EXACT_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | SAFE_TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(SAFE_TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
HASHABLE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(MAX_EXACT_INT - 1, MAX_EXACT_INT + 2),
    st.floats(),
    st.complex_numbers(),
    ANY_TEXT,
    st.binary(max_size=8),
    st.decimals().filter(lambda value: not value.is_snan()),  # has no hash
    st.fractions(),
    st.datetimes(timezones=st.none() | st.just(UTC) | st.timezones()),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from(
        [
            Colour.RED,
            Priority.HIGH,
            Access.READ | Access.WRITE,
            Name("real"),
            Count(7),
            Ratio(0.5),
            pathlib.PurePosixPath("a/b"),
            np.float32(1.5),
            np.int64(2**60),
            np.bool_(True),
            np.str_("text"),
            np.float64("nan"),
            ...,
            range(3),
            int,
            len,
            "1",
            "null",
        ]
    ),
    st.just(5_000).map(lambda digits: 10**digits),  # too long for hypothesis to print
)
SEMI_PLAIN: st.SearchStrategy[Any] = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(ANY_TEXT | st.just("api_key"), inner, max_size=4)
    ),
    max_leaves=12,
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    HASHABLE
    | st.sampled_from(sorted(HOSTILE)).map(lambda name: [HOSTILE[name]])
    | st.sampled_from(
        [
            bytearray(b"x"),
            memoryview(b"abcdef")[::2],
            np.arange(6.0).reshape(2, 3),
            np.array([1, "a", None], dtype=object),
            Trade(pair="A/B"),
            Half(1),
            ValueError("bad"),
            types.SimpleNamespace(a=1),
            collections.deque([1, 2]),
            collections.Counter("aab"),
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.builds(Order, inner, inner),
        st.builds(Fill, inner),
        st.builds(Point, inner, inner),
        st.lists(inner, max_size=3).map(Row),
        st.dictionaries(HASHABLE, inner, max_size=3).map(Table),
        st.dictionaries(ANY_TEXT, inner, max_size=3).map(types.MappingProxyType),
        st.lists(inner, max_size=3).map(iter),
        st.builds(Exception, inner),
    ),
    max_leaves=10,
)


class TestScalars:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (-0.5, -0.5),
            (MAX_EXACT_INT, 9007199254740991),
            (-MAX_EXACT_INT, -9007199254740991),
            (MAX_EXACT_INT + 1, "9007199254740992"),
            (-MAX_EXACT_INT - 1, "-9007199254740992"),
            (10**24, "1000000000000000000000000"),
            (float("nan"), "NaN"),
            (float("inf"), "Infinity"),
            (float("-inf"), "-Infinity"),
            (Decimal("0.10"), "0.10"),
            (Decimal("1E+18"), "1000000000000000000"),
            (Decimal("1E-18"), "0.000000000000000001"),
            (Decimal("1E+999999"), "1E+999999"),
            (Decimal("NaN"), "NaN"),
            (Decimal("sNaN"), "sNaN"),
            (Decimal("-Infinity"), "-Infinity"),
            (fractions.Fraction(1, 3), "1/3"),
            (1 + 2j, "(1+2j)"),
            (b"\x00\xff", "0x00ff"),
            (b"", "0x"),
            (bytearray(b"ab"), "0x6162"),
            (memoryview(b"abcd")[::2], "0x6163"),
            (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
            (pathlib.PurePosixPath("/a/b"), "/a/b"),
            (pathlib.Path("/a/b"), "/a/b"),
            (date(2025, 10, 27), "2025-10-27"),
            (clock_time(8, 38), "08:38:00"),
            (timedelta(milliseconds=1500), 1.5),
            (TimeoutError(), "TimeoutError: "),
            (ValueError("bad"), "ValueError: bad"),
            (range(3), "range(0, 3)"),
            (int, "<class 'int'>"),
        ],
        ids=stable,
    )
    def test_natural_form(self, value: Any, expected: Any) -> None:
        """
        What JSON cannot say exactly is said as text; all else as it is.
        """
        first, second = encoded([value]), encoded([value])

        assert [expected] == first == second
        assert type(expected) is type(first[0])

    def test_aware_datetime_is_utc(self) -> None:
        """
        A time with an offset is told in UTC, to the microsecond.
        """
        plus_two = timezone(timedelta(hours=2))

        assert "2025-10-27T06:38:00.000000Z" == plain(
            datetime(2025, 10, 27, 8, 38, tzinfo=plus_two)
        )

    def test_naive_datetime_claims_no_zone(self) -> None:
        """
        A time without a zone stays without one.
        """
        assert "2025-10-27T08:38:00.000000" == plain(datetime(2025, 10, 27, 8, 38))

    @pytest.mark.parametrize(
        "value",
        [
            datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        ],
    )
    def test_datetime_without_utc(self, value: datetime) -> None:
        """
        A time whose UTC no calendar has keeps its digits.
        """
        assert value.isoformat()[:19] in encoded([value])[0]

    @given(st.integers())
    def test_every_digit_of_an_integer(self, value: int) -> None:
        """
        An integer loses no digit, and no reader gets one it would round.
        """
        shown = encoded([value])[0]

        assert value == int(shown)
        assert isinstance(shown, int) == (abs(value) <= MAX_EXACT_INT)

    @pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["+", "-"])
    def test_integer_too_long_to_print(self, value: int) -> None:
        """
        An integer beyond what Python prints in decimal is told in hex.
        """
        assert value == int(encoded([value])[0], 16)

    @given(st.decimals(allow_nan=False, allow_infinity=False))
    @example(Decimal("-0.000"))
    @example(Decimal(10) ** 400)
    @example(Decimal("1E-401"))
    def test_every_digit_of_a_decimal(self, value: Decimal) -> None:
        """
        A decimal is text with all its digits.
        """
        shown = encoded([value])[0]

        assert isinstance(shown, str)
        assert value == Decimal(shown)

    @given(
        st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones())
    )
    def test_datetime_is_the_same_instant(self, value: datetime) -> None:
        """
        Whatever its zone, a time is the same instant in UTC.
        """
        shown = datetime.fromisoformat(encoded([value])[0].replace("Z", "+00:00"))

        assert value.astimezone(UTC) == shown

    @given(st.binary())
    def test_every_byte(self, value: bytes) -> None:
        """
        Bytes are hex after 0x, none lost.
        """
        assert value == bytes.fromhex(plain(value)[2:])


class TestObjects:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (Colour.RED, "red"),
            (Priority.HIGH, 3),
            (Access.READ | Access.WRITE, 3),
            (Name("real"), "real"),
            (Count(7), 7),
            (Count(2**60), str(2**60)),
            (Ratio(0.5), 0.5),
            (Ratio("nan"), "NaN"),
            (Table(a=Row([1])), {"a": [1]}),
            (Point(1, b"\1"), {"x": 1, "y": "0x01"}),
            (
                Order("ETH", Order("BTC")),
                {"symbol": "ETH", "amount": {"symbol": "BTC", "amount": None}},
            ),
            (Half(1), {"given": 1, "unset": "[not set]"}),
            (Fill(Decimal("1.0"), 2), {"price": "1.0", "_fee": 2}),
            (Trade(pair="A/B"), {"pair": "A/B", "amount": 1, "key": "**********"}),
            ({3, 1, 2}, [1, 2, 3]),
            (frozenset({"b", 1, "a"}), [1, "a", "b"]),
            ({"b": 1}.keys(), ["b"]),
            (types.MappingProxyType({"a": 1}), {"a": 1}),
            (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
            (collections.ChainMap({"a": 1}, {"b": 2}), {"b": 2, "a": 1}),
            (collections.deque([1, [2]]), [1, [2]]),
            (np.float32(1.5), 1.5),
            (np.int64(7), 7),
            (np.uint64(2**63), str(2**63)),
            (np.bool_(True), True),
            (np.str_("text"), "text"),
            (np.bytes_(b"\1"), "0x01"),
            (np.float64("inf"), "Infinity"),
            (np.longdouble(1.5), "1.5"),
            (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
            (np.array(5), 5),
            (np.array([1.0, np.nan]), [1.0, "NaN"]),
            (np.array([{"a": 1}, None], dtype=object), [{"a": 1}, None]),
            (np.datetime64("2025-10-27T08:38:00.136873"), "2025-10-27T08:38:00.136873"),
        ],
        ids=stable,
    )
    def test_natural_form(self, value: Any, expected: Any) -> None:
        """
        An object shows what it holds, by its names where it has some.
        """
        assert {"v": expected} == encoded({"v": value}) == encoded({"v": value})

    def test_numpy_time_in_nanoseconds(self) -> None:
        """
        A numpy time is ISO 8601 at every precision, never a bare count.
        """
        shown = plain(np.datetime64("2025-10-27T08:38:00.136873001"))

        assert shown.startswith("2025-10-27T08:38:00.136873")

    def test_generator_is_not_consumed(self) -> None:
        """
        An iterator is shown by its name: reading it would take it from its owner.
        """
        numbers = iter([1, 2])

        assert "list_iterator" in plain(numbers)
        assert [1, 2] == list(numbers)

    def test_pydantic_model_of_the_wrong_types(self) -> None:
        """
        A model that was never validated is shown, and warns nobody.
        """
        shown = encoded({"v": Trade.model_construct(pair=7, amount="ten")})

        assert {"pair": 7, "amount": "ten"} == {
            name: shown["v"][name] for name in ("pair", "amount")
        }

    def test_set_has_one_order(self) -> None:
        """
        A set is shown in one order, whatever its hashes.
        """
        names = [f"name{number:03}" for number in range(200)]

        assert names == plain(set(names)) == plain(frozenset(names))

    def test_classes_are_not_their_instances(self) -> None:
        """
        A class is shown as its name, though it has the fields of an instance.
        """
        assert ["Order", "Fill", "Trade", "Colour"] == [
            cls.__name__
            for cls in (Order, Fill, Trade, Colour)
            if cls.__name__ in plain(cls)
        ]

    def test_many_classes_are_not_remembered(self) -> None:
        """
        Classes made in a loop do not fill the memory, and still work.
        """
        values = [type(f"Made{number}", (str,), {})("x") for number in range(2_000)]

        assert ["x"] * 2_000 == plain(values)


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (None, "null"),
            (True, "true"),
            (False, "false"),
            (1, "1"),
            (1.5, "1.5"),
            (float("nan"), "NaN"),
            (b"\1", "0x01"),
            (Colour.RED, "red"),
            (Name("real"), "real"),
            (Decimal("1.0"), "1.0"),
            ((1, "a"), "[1, 'a']"),
            ("", ""),
            (Liar(), "liar"),
            (Unshowable(), "[unprintable Unshowable: ValueError]"),
        ],
        ids=[
            "None",
            "True",
            "False",
            "int",
            "float",
            "nan",
            "bytes",
            "enum",
            "str-subclass",
            "decimal",
            "tuple",
            "empty",
            "liar",
            "unshowable",
        ],
    )
    def test_odd_key(self, key: Any, expected: str) -> None:
        """
        A key is the text its value would be, and takes no other entry with it.
        """
        assert {expected: 1, "beside": 2} == encoded({key: 1, "beside": 2})

    def test_keys_that_become_equal(self) -> None:
        """
        Two keys that look alike are told apart; no value is lost.
        """
        keys = {1: "int", "1": "str", Showing("1"): "object"}

        assert {"1": "int", "1~2": "str", "1~3": "object"} == encoded(keys)

    def test_surrogate_key_beside_its_escape(self) -> None:
        r"""
        A lone surrogate and the text ``\ud800`` are different keys.
        """
        assert 2 == len(encoded({"\ud800": 1, "\\ud800": 2}))

    def test_many_equal_keys_in_linear_time(self) -> None:
        """
        Thousands of keys that look alike take no more than a moment.
        """
        value = {Showing("x"): number for number in range(6_000)}
        start = time.thread_time()

        assert 6_000 == len(plain(value))
        assert time.thread_time() - start < 1.0


class Showing:
    """Shows what it is told to."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __str__(self) -> str:
        return self._shown


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_neighbours_survive(self, name: str) -> None:
        """
        A value that cannot be shown is marked, and its neighbours survive.
        """
        value = HOSTILE[name]
        shown = encoded({"before": 1, "bad": value, "nested": [value, 2], "after": 3})

        assert (1, 3) == (shown["before"], shown["after"])
        assert 2 == shown["nested"][1]

    @pytest.mark.parametrize("name", ["unshowable", "sulking", "nameless", "liar"])
    def test_key_costs_its_own_entry(self, name: str) -> None:
        """
        A hostile key costs its own entry at most.
        """
        shown = encoded({"before": 1, HOSTILE[name]: 2, "after": 3})

        assert (1, 3) == (shown["before"], shown["after"])

    def test_mark_names_type_and_error(self) -> None:
        """
        The mark says what could not be shown and why.
        """
        assert "[unprintable Unshowable: ValueError]" == plain(Unshowable())

    def test_str_returns_no_text(self) -> None:
        """
        A ``__str__`` that returns anything but text is marked like one that raises.
        """

        class Wrong:
            def __str__(self) -> Any:
                return self.shown

            shown = 5

        assert "[unprintable Wrong: TypeError]" == text(Wrong())

    def test_str_returns_a_subclass(self) -> None:
        """
        Text from a ``__str__`` is exact, with no ideas of its own.
        """

        class Sly:
            def __str__(self) -> str:
                return Name("real")

        assert ("real", str) == (text(Sly()), type(text(Sly())))

    @pytest.mark.parametrize("kind", ["mapping", "set", "list", "dict"])
    def test_endless_iteration(self, kind: str) -> None:
        """
        What never stops yielding is read no further than a line could hold.
        """
        drawn = 0

        def endless(pair: bool) -> Iterator[Any]:
            nonlocal drawn
            while drawn < 10 * MAX_VALUES:
                drawn += 1
                yield (str(drawn), drawn) if pair else drawn

        class EndlessMapping(BrokenMapping):
            def items(self) -> Any:
                return endless(pair=True)

        class EndlessDict(dict[Any, Any]):
            def items(self) -> Any:
                return endless(pair=True)

        class EndlessSet(set[Any]):
            def __iter__(self) -> Iterator[Any]:
                return endless(pair=False)

        class EndlessList(list[Any]):
            def __iter__(self) -> Iterator[Any]:
                return endless(pair=False)

        values: dict[str, Any] = {
            "mapping": EndlessMapping(),
            "set": EndlessSet(),
            "list": EndlessList(),
            "dict": EndlessDict(),
        }
        plain(values[kind])

        assert drawn <= MAX_VALUES + 2

    def test_list_grows_while_it_is_read(self) -> None:
        """
        A list that grows with every look at it ends all the same.
        """
        growing: list[Any] = []

        class Seed:
            def __str__(self) -> str:
                growing.append(Seed())
                return "seed"

        growing.append(Seed())

        assert len(plain(growing)) <= MAX_VALUES + 1

    def test_released_memory(self) -> None:
        """
        A view of memory that is gone is marked.
        """
        view = memoryview(b"abc")
        view.release()

        assert ["[unprintable memoryview: ValueError]", 1] == encoded([view, 1])

    def test_changed_by_its_own_scalar(self) -> None:
        """
        A value that becomes a cycle while it is encoded is caught.
        """
        target: dict[str, Any] = {}

        class Meddler(pathlib.PurePosixPath):
            def __str__(self) -> str:
                target["self"] = target
                return "meddler"

        plain(Meddler("x"))

        assert {"a": "meddler", "b": {"self": "[cycle]"}} == encoded(
            {"a": Meddler("x"), "b": target}
        )

    def test_changed_by_another_thread(self) -> None:
        """
        Containers that another thread changes meanwhile give a valid line.
        """
        shared: dict[str, Any] = {"list": [], "dict": {}, "set": set()}
        stop = threading.Event()

        def change() -> None:
            number = 0
            while not stop.is_set():
                number = (number + 1) % 50
                shared["list"] = shared["list"][-20:]
                shared["list"].append({"n": number})
                shared["dict"][f"k{number}"] = shared["dict"].pop(
                    f"k{50 - number}", [1.0]
                )
                shared["set"].add(number)
                shared["set"].discard(50 - number)
                shared[f"top{number}"] = shared.pop(f"top{50 - number}", number)

        interval = sys.getswitchinterval()
        thread = threading.Thread(target=change)
        sys.setswitchinterval(1e-6)
        try:
            thread.start()
            for _ in range(200):
                assert {"list", "dict", "set"} <= encoded(shared).keys()
        finally:
            stop.set()
            thread.join()
            sys.setswitchinterval(interval)


class TestBounds:
    def test_cycles(self) -> None:
        """
        A container inside itself is marked where it would begin again.
        """
        ring: dict[str, Any] = {"n": 1}
        ring["list"] = [ring]
        order = Order("ETH")
        order.amount = order

        assert {"n": 1, "list": ["[cycle]"]} == encoded(ring)
        assert {"symbol": "ETH", "amount": "[cycle]"} == plain(order)

    def test_array_inside_itself(self) -> None:
        """
        A numpy array may hold itself.
        """
        array = np.array([None], dtype=object)
        array[0] = array

        assert "[cycle]" in json.dumps(plain(array))

    def test_twice_is_no_cycle(self) -> None:
        """
        A value that appears twice beside itself is shown twice.
        """
        shared = [float("nan")]

        assert {"a": ["NaN"], "b": ["NaN"]} == encoded({"a": shared, "b": shared})

    @pytest.mark.parametrize("inner", [1, "text", None, 0.5, Decimal(1)], ids=repr)
    @pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1])
    def test_both_roads_end_at_the_same_depth(self, depth: int, inner: Any) -> None:
        """
        How deep a value is shown does not depend on what lies beside it.
        """
        value = nested(depth, inner)

        assert plain(value) == encoded(value)

    def test_too_deep(self) -> None:
        """
        What lies deeper than readers go is marked; what lies above is shown.
        """
        shown = encoded({"deep": nested(500, 1), "beside": 2})

        assert 2 == shown["beside"]
        assert "[too deep]" in json.dumps(shown["deep"])
        assert json.dumps(shown["deep"]).count("[") >= MAX_DEPTH - 5

    @pytest.mark.parametrize("count", [MAX_VALUES - 1, MAX_VALUES])
    def test_both_roads_end_at_the_same_breadth(self, count: int) -> None:
        """
        How many values are shown does not depend on what lies beside them.
        """
        value = list(range(count))

        assert plain(value) == encoded(value)

    def test_both_roads_show_a_wide_dict(self) -> None:
        """
        A dict is shown to the same length by either road.
        """
        value = {str(number): number for number in range(60_000)}

        assert len(plain(value)) == len(encoded(value))

    def test_laughs(self) -> None:
        """
        A few shared lists that spell out 2**40 values end quickly, marked.
        """
        start = time.thread_time()
        line = Encoder().encode({"laughs": laughs(40)})

        assert time.thread_time() - start < 3.0
        assert "[too large]" in line
        strict(line)

    def test_shared_dicts(self) -> None:
        """
        The same made of dicts and objects ends quickly too.
        """
        shared: Any = {"a": Order(1, 2)}
        for _ in range(40):
            shared = {"a": shared, "b": Order(shared, shared)}
        start = time.thread_time()

        assert "[too large]" in Encoder().encode(shared)
        assert time.thread_time() - start < 3.0

    def test_large_array(self) -> None:
        """
        A large numpy array is shortened as numpy shortens it.
        """
        assert "..." in plain(np.zeros(MAX_VALUES + 1))

    def test_array_of_nothing_many_times(self) -> None:
        """
        An array without elements may still have a great many rows.
        """
        array = np.empty((500_000, 0))
        tracemalloc.start()
        try:
            plain(array)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert peak < 15_000_000


@given(PLAIN)
def test_plain_data_round_trip(value: Any) -> None:
    """
    What JSON can say comes back equal, and of the same types.
    """
    assert repr(value) == repr(encoded(value))


@given(ANYTHING)
def test_anything_is_strict_json(value: Any) -> None:
    """
    Whatever is logged is one line of strict JSON, and its neighbour survives.
    """
    assert "here" == encoded({"value": value, "beside": "here"})["beside"]


@given(ANYTHING)
def test_plain_is_plain(value: Any) -> None:
    """
    The careful walk leaves nothing but what JSON has.
    """

    def check(shown: Any) -> None:
        if type(shown) is dict:
            assert {str} >= {type(key) for key in shown}
            check(list(shown.values()))
        elif type(shown) is list:
            for item in shown:
                check(item)
        elif type(shown) is int:
            assert abs(shown) <= MAX_EXACT_INT
        elif type(shown) is float:
            assert 0 == shown - shown
        else:
            assert shown is None or type(shown) in {str, bool}

    check(plain(value))


@given(SEMI_PLAIN)
def test_both_roads_agree(value: Any) -> None:
    """
    The fast road says what the careful walk says, whichever came first.
    """
    for encoder in (Encoder(), Encoder(Redactor().hidden)):
        before = strict(escape(encoder.encode({"value": value})))
        walked = strict(
            escape(json.dumps(encoder.plain({"value": value}), ensure_ascii=False))
        )
        after = strict(escape(encoder.encode({"value": value})))

        assert walked == before == after


@given(ANY_TEXT)
def test_text_survives_escaping(value: str) -> None:
    r"""
    Escaping changes no text but lone surrogates, which become ``\uXXXX``.
    """
    expected = "".join(
        f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char
        for char in value
    )

    assert [expected] == encoded([value])


def test_every_character_is_safe() -> None:
    """
    No character of Unicode breaks the line, raw or as a key.
    """
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    line = escape(Encoder().encode({everything: everything}))

    assert 1 == len(line.splitlines())
    assert [] == unsafe(line)
    strict(line.encode().decode())


class TestHidden:
    def test_value_under_a_hidden_key(self) -> None:
        """
        The value under a hidden key is never looked at.
        """
        encoder = Encoder({"secret": True, "open": False})

        assert {"secret": "[redacted]", "open": 1} == encoded(
            {"secret": Sulking(), "open": 1}, encoder
        )

    def test_scrub_sees_every_text(self) -> None:
        """
        The scrubber is shown keys, texts and what objects say of themselves.
        """
        seen: list[str] = []

        def scrub(shown: str) -> str:
            seen.append(shown)
            return shown.upper()

        value = {
            "key": ["item", Showing("object"), pathlib.PurePosixPath("path")],
            ("in", "key"): 1,
        }

        assert {
            "KEY": ["ITEM", "OBJECT", "PATH"],
            "['IN', 'KEY']": 1,
        } == Encoder().plain(value, scrub)
        assert {"key", "item", "object", "path", "in"} <= set(seen)

    def test_caller_keeps_its_objects(self) -> None:
        """
        Hiding and scrubbing make new objects; the caller's stay as they are.
        """
        inner = {"secret": "x", "list": ["a"]}
        order = Order("ETH", inner)

        Encoder(
            {"secret": True, "list": False, "symbol": False, "amount": False}
        ).plain(order, str.upper)

        assert Order("ETH", {"secret": "x", "list": ["a"]}) == order
        assert order.amount is inner


class TestEncoders:
    def test_without_the_c_encoder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where json has no C encoder, as on PyPy, the text is the same.
        """
        value = {"a": [1, 2.5, None, True, "x\n"], "b": Decimal("1.5")}
        expected = Encoder().encode(value)
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)

        assert expected == values._make_encoder()(value)

    def test_more_types_than_are_remembered(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A type that finds no room in the memory of types is shown all the same.
        """
        monkeypatch.setattr(values, "_MAX_TYPES", 0)

        class Later(datetime):
            """A type that was never seen before."""

        shown = Encoder().encode([Later(2025, 10, 27)])

        assert '["2025-10-27T00:00:00.000000"]' == shown
        assert Later not in values._SCALARS
