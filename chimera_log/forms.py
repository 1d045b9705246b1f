"""
The natural JSON form of types: what a `Decimal`, a `datetime` or an Enum becomes.

Types of other packages are known by name, so that none is imported to be
recognised: an object of a type can only exist where its module was loaded.

A scalar's form is final; what a wrapper or a collection holds is for `values`
to look at in turn.  These functions may raise: what an object does when it is
asked is its own affair, and `values` stands ready.
"""

from __future__ import annotations

import sys
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

# Readers keep numbers in doubles (JavaScript, jq, Lua): RFC 7493, section 2.2.
MAX_EXACT_INT = 2**53 - 1
# A few shared lists can spell out billions of values; no record needs so many.
MAX_VALUES = 100_000
REDACTED = "[redacted]"  # stands where a secret was
_NAME_OF_TYPE = vars(type)["__name__"].__get__
_MAX_ZEROS = 400  # of a decimal written out; 1E+999999 stays as it is


def placeholder(what: str) -> str:
    """Return the mark that stands where a value cannot be shown."""
    return f"[{what}]"


def text(value: object) -> str:
    """
    Return `str` of *value*, or a placeholder if that raises.
    """
    if type(value) is str:
        return value
    try:
        shown = str(value)
        # A subclass's __str__ may return another subclass, with its own ideas.
        return str.__str__(shown)
    except Exception as error:
        return unprintable(value, error)


def unprintable(value: object, error: Exception) -> str:
    """Return the mark for a *value* that raised *error* when it was to be shown."""
    return placeholder(f"unprintable {_type_name(value)}: {_type_name(error)}")


def _type_name(value: object) -> str:
    # Not type(value).__name__: a metaclass may have other ideas of that.
    name: str = _NAME_OF_TYPE(type(value))
    return name


def whole(value: int) -> int | str:
    """Return *value*, or its digits as text where a double would lose some."""
    if -MAX_EXACT_INT <= value <= MAX_EXACT_INT:
        return value
    try:
        return str(value)
    except ValueError:  # CPython prints at most 4,300 digits (CVE-2020-10735)
        return hex(value)


def real(value: float) -> float | str:
    """Return *value*, or its name as text where JSON has no number for it."""
    if value - value == 0:  # finite
        return value
    if value != value:  # noqa: PLR0124  only NaN differs from itself
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Any) -> str:
    if not value.is_finite():
        return str(value)  # NaN, sNaN, Infinity, -Infinity
    return format(value, "f") if abs(value.adjusted()) <= _MAX_ZEROS else str(value)


def _datetime(value: Any) -> str:
    offset = value.utcoffset()
    if offset is None:
        # Nobody said which clock this is; a "Z" would be our invention.
        return str(value.isoformat(timespec="microseconds"))
    try:
        utc = value.replace(tzinfo=None) - offset
    except OverflowError:  # the first or last hours of the calendar
        return str(value.isoformat(timespec="microseconds"))
    return f"{utc.isoformat(timespec='microseconds')}Z"


def _bytes(value: Any) -> str:
    return "0x" + bytes(value).hex()


def _exception(value: BaseException) -> str:
    # str(TimeoutError()) is empty: the type is half of what happened.
    return f"{type(value).__qualname__}: {text(value)}"


def in_order(values: Iterable[Any]) -> list[Any]:
    """Return *values*, a set's, in an order that does not change from run to run."""
    items = list(islice(values, MAX_VALUES + 1))
    try:
        return sorted(items)
    except Exception:  # mixed types have no order of their own
        return sorted(items, key=lambda item: (type(item).__name__, text(item)))


def fields(value: Any, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield each of the named attributes of *value*, marked where it is not set."""
    for name in names:
        yield name, getattr(value, name, placeholder("not set"))


def _item_of(value: Any) -> Any:
    item = value.item()
    return str(value) if type(item) is type(value) else item  # longdouble has no other


def _array_of(value: Any) -> Any:
    # numpy's str shortens what is large; tolist() would make it larger.
    values = 1
    for length in value.shape:
        values *= max(length, 1)  # an array of no columns still has rows
    return value.tolist() if values <= MAX_VALUES else str(value)


# A scalar has a JSON form of its own and nothing inside.  By name: see above.
SCALARS: dict[str, Callable[[Any], Any]] = {
    "datetime.date": lambda value: value.isoformat(),
    "datetime.datetime": _datetime,
    "datetime.time": lambda value: value.isoformat(),
    "datetime.timedelta": lambda value: value.total_seconds(),
    "decimal.Decimal": _decimal,
    "pathlib.PurePath": str,
    "pathlib._local.PurePath": str,  # Python 3.13
    "numpy.datetime64": str,  # its item() of nanoseconds is a bare integer
    "numpy.timedelta64": str,
    "uuid.UUID": str,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.memoryview": _bytes,
    "builtins.BaseException": _exception,
}

# What has something inside is unwrapped, and that is visited in turn.
WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "enum.Enum": lambda value: value.value,
    "numpy.generic": _item_of,
    "numpy.ndarray": _array_of,
    "collections.deque": list,
    "pydantic.main.BaseModel": lambda value: value.model_dump(warnings=False),
    "pydantic.v1.main.BaseModel": lambda value: value.dict(),
}


def field_names(kind: type) -> tuple[str, ...]:
    """Return the fields that a dataclass, attrs class or namedtuple declares."""
    if hasattr(kind, "__dataclass_fields__"):
        return tuple(field.name for field in sys.modules["dataclasses"].fields(kind))
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__)
    # A namedtuple's names say more than its order.
    return tuple(getattr(kind, "_fields", ())) if issubclass(kind, tuple) else ()
