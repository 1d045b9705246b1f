"""
Amounts of a coin, as they are written: in wei as text, with all their digits.

A double holds 2**53 wei exactly, which are 0.009 ether.  So that a column keeps one
type whatever the amount, all of them are text.
"""

from __future__ import annotations

import operator
import sys

from chimera_log.forms import text
from chimera_log.values import SIMPLE, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EXACT_DIGITS = 1_000  # of a difference of decimals


def is_in_wei(unit: Any) -> bool:
    """Whether *unit* is wei, in any case."""
    return type(unit) is str and unit.lower() == "wei"


def names_wei(name: Any) -> bool:
    """Whether *name* is that of an amount in wei."""
    return type(name) is str and name.endswith("_wei")


def amount(name: Any, value: Any) -> Any:
    """
    Return *value* with every amount in wei as text, its own or inside.

    Scalars stay what they are; anything else is made plain to be looked through.
    """
    if type(value) in SIMPLE:
        return _texts(value, is_wei=names_wei(name))
    shown = plain(value)
    if type(shown) is dict or type(shown) is list or names_wei(name):
        return _texts(shown, is_wei=names_wei(name))
    return value


def _texts(value: Any, *, is_wei: bool) -> Any:
    """Return plain *value*, the numbers in it as text where they are wei."""
    if type(value) is dict:
        return {
            name: _texts(inner, is_wei=is_wei or names_wei(name))
            for name, inner in value.items()
        }
    if type(value) is list:
        return [_texts(inner, is_wei=is_wei) for inner in value]
    if is_wei and type(value) in {int, float}:
        shown = plain(value)  # NaN, and what Python refuses to print, are text by now
        whole = type(shown) is float and shown.is_integer()
        return text(int(shown) if whole else shown)
    return value


def difference(cached: Any, on_chain: Any) -> Any:
    """Return on-chain minus cached if both are numbers, else ``None``."""
    try:
        before, after = _number(cached), _number(on_chain)
        if before is None or after is None:
            return None
        decimal = sys.modules.get("decimal")
        if decimal and decimal.Decimal in {type(before), type(after)}:
            # The default context rounds to 28 digits; 10**9 ether in wei has 28.
            exact = decimal.Context(prec=_EXACT_DIGITS, traps=[decimal.FloatOperation])
            return exact.subtract(after, before)
        return after - before
    except Exception:  # no numbers, or numbers that do not mix
        return None


def _number(value: Any) -> Any:
    """Return *value* as a number; integers of any make as Python's own."""
    kind = type(value)
    if kind is bool or not (kind is str or hasattr(kind, "__float__")):
        return None
    if kind is str:
        return int(value)
    return operator.index(value) if hasattr(kind, "__index__") else value
