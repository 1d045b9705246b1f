"""
Read the option values that people write in YAML: sizes, durations, variables.

Everything here is a pure function of its arguments (and, for variables, of the
environment); nothing is opened, created or remembered.  Every error is a
`ConfigError` whose text names the option, the value and the remedy.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_UNITS = {
    "": 1,
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
    "TIB": 1024**4,
}
_DAY = 24 * 60 * 60 * 1000
_MILLISECONDS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("", "s", "second", "seconds"), 1000),
    **dict.fromkeys(("min", "minute", "minutes"), 60 * 1000),
    **dict.fromkeys(("h", "hour", "hours"), 60 * 60 * 1000),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("week", "weeks"), 7 * _DAY),
    **dict.fromkeys(("year", "years"), 366 * _DAY),
}
# Nobody means more, and times that far away fit whatever they are added to.
_LONGEST_YEARS = 100
_LONGEST = _LONGEST_YEARS * _MILLISECONDS["year"] / 1000
_QUANTITY = re.compile(
    r"\s*([0-9][0-9_]{0,29}(?:\.[0-9]+)?(?:[eE][0-9]{1,2})?)\s*([A-Za-z]*)\s*"
)
_TOKEN = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<operator>:?[-?+])|(?P<end>\}))"
    r"|[^$}]+|.",
    re.DOTALL,
)


class ConfigError(ValueError):
    """
    A configuration cannot work; nothing was changed when this was raised.

    A `ValueError`, because that is what `logging.config.dictConfig` raises and
    what programs that call it already catch.
    """


def size(name: str, value: Any, *, minimum: int = 0) -> int:
    """
    Return the bytes that *value* means.

    Args:
        name: The option, for the error.
        value: A whole number of bytes, or text such as ``"100 MB"`` (10**8
            bytes), ``"100 MiB"`` (100 * 2**20) or ``"1e8"``, which YAML 1.1
            hands over as text.
        minimum: The smallest size that makes sense, in bytes.

    Raises:
        ConfigError: If *value* is no size, or smaller than *minimum*.
    """
    number: float | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and (found := _quantity(value)):
        amount, unit = found
        if unit.upper() in _UNITS:
            number = amount * _UNITS[unit.upper()]
    if number is None:
        raise ConfigError(
            f"{name}: {value!r} is not a size; write bytes, or a number with a "
            "unit such as '100 MB' or '100 MiB'"
        )
    if number < minimum:
        raise ConfigError(
            f"{name}: {value!r} is too small; use at least {minimum} bytes"
        )
    return int(number)


def duration(name: str, value: Any, *, minimum: float = 0.0) -> float:
    """
    Return the seconds that *value* means.

    A year counts as 366 days, so that what is to be kept for years is never
    kept for less: ``"3 years"`` are 1,098 days, and no three years are longer.
    Months are refused: they differ in length, and ``m`` might be minutes.

    Args:
        name: The option, for the error.
        value: A number of seconds, or text such as ``"100 ms"``, ``"5 s"``,
            ``"2 min"``, ``"12 h"``, ``"30 days"``, ``"1 week"`` or
            ``"3 years"``; units also in full, singular or plural, in any case.
        minimum: The shortest duration that makes sense, in seconds.

    Raises:
        ConfigError: If *value* is no duration, shorter than *minimum*, or
            longer than 100 years.
    """
    number: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # Not math.isfinite, which fails for an int that no float can hold.
        number = value if float("-inf") < value < float("inf") else None
    elif isinstance(value, str) and (found := _quantity(value)):
        amount, unit = found
        if unit.lower() in _MILLISECONDS:
            number = amount * _MILLISECONDS[unit.lower()] / 1000
    if number is None:
        raise ConfigError(
            f"{name}: {value!r} is not a duration; write seconds, or a number with a "
            "unit such as '100 ms', '5 s', '2 min', '12 h', '30 days' or '3 years' "
            "(no months; 'm' might be minutes)"
        )
    if number < minimum:
        raise ConfigError(
            f"{name}: {value!r} is too short; use at least {minimum:g} seconds"
        )
    if number > _LONGEST:
        raise ConfigError(
            f"{name}: {value!r} is too long; use at most {_LONGEST_YEARS} years"
        )
    return float(number)


def _quantity(text: str) -> tuple[float, str] | None:
    """Return the number and the unit that *text* consists of, if it does."""
    match = _QUANTITY.fullmatch(text)
    if not match:
        return None
    digits = match[1].replace("_", "")
    return (int(digits) if digits.isdigit() else float(digits)), match[2]


def count(name: str, value: Any, *, minimum: int = 0) -> int:
    """
    Return *value* if it is a whole number of at least *minimum*.

    Raises:
        ConfigError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(
            f"{name}: {value!r} is not a count; write a whole number of at least {minimum}"
        )
    return value


def flag(name: str, value: Any) -> bool:
    """
    Return *value* if it is a boolean.

    Raises:
        ConfigError: If it is not; the text ``'no'``, say, would count as true.
    """
    if not isinstance(value, bool):
        raise ConfigError(
            f"{name}: {value!r} is not a boolean; write true or false, unquoted"
        )
    return value


def text(name: str, value: Any) -> str | None:
    """
    Return *value*, its variables expanded; ``None`` if it is not there, or empty.

    Raises:
        ConfigError: If it is no text, or `expand` fails.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name}: {value!r} is no text; write it in quotes")
    return expand(name, value) or None


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """
    Return *value* if it is one of *choices*.

    Raises:
        ConfigError: If it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name}: {value!r}: {did_you_mean(str(value), choices)}")
    return value


def names(name: str, value: Any) -> tuple[str, ...]:
    """
    Return *value*, a list of text, as a tuple.

    Raises:
        ConfigError: If it is anything else; a lone text would be read letter by
            letter.
    """
    if isinstance(value, str):
        raise ConfigError(f"{name}: {value!r} must be a list; write [{value}]")
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(
        isinstance(item, str) for item in value
    ):
        raise ConfigError(f"{name}: {value!r} must be a list of text")
    return tuple(value)


def mapping(name: str, value: Any) -> dict[str, Any]:
    """
    Return *value*, a mapping with text keys, as a plain dict.

    dictConfig hands nested options over as its own converting containers,
    which can be neither copied nor pickled.

    Raises:
        ConfigError: If it is no mapping, or a key is no text.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name}: {value!r} must be a mapping with text keys")
    return {key: value[key] for key in value}


def permissions(name: str, value: Any) -> int:
    """
    Return the permission bits that *value* means, such as ``0o640``.

    Args:
        name: The option, for the error.
        value: Octal digits as text (``"0640"``), or a number of at most 0o777.
            YAML 1.1 reads an unquoted ``0640`` as octal; YAML 1.2 reads 640,
            which is refused.

    Raises:
        ConfigError: If *value* means no permissions.
    """
    bits: int | None = None
    if isinstance(value, str) and re.fullmatch(r"(?:0o?)?[0-7]{3}", value):
        bits = int(value[-3:], 8)
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:  # noqa: PLR2004  rwxrwxrwx
        bits = value
    if bits is None:
        raise ConfigError(f'{name}: {value!r} is no file mode; write "0640", in quotes')
    return bits


def expand(name: str, value: str, environ: Mapping[str, str] | None = None) -> str:
    """
    Return *value* with its variables replaced, as Compose files do.

    ``${NAME}`` must be set; ``${NAME:-default}`` falls back when it is unset or
    empty, ``${NAME-default}`` when it is unset; ``${NAME:?message}`` and
    ``${NAME?message}`` fail with that message then; ``${NAME:+other}`` and
    ``${NAME+other}`` are the other text unless it is so, and else empty.  Defaults,
    messages and other texts may hold variables.  ``$${`` is a ``${`` that stays; so
    does any other ``$``: it may be part of a file name.

    Raises:
        ConfigError: If a variable without a default is unset.
    """
    variables = os.environ if environ is None else environ

    def text_of(pieces: Iterable[str | _Variable]) -> str:
        return "".join(
            each if isinstance(each, str) else value_of(each) for each in pieces
        )

    def value_of(variable: _Variable) -> str:
        found = variables.get(variable.name)
        is_there = bool(found) if ":" in variable.operator else found is not None
        kind = variable.operator.removeprefix(":")
        if kind == "+":
            return text_of(variable.rest) if is_there else ""
        if is_there:
            return str(found)
        if kind == "-":
            return text_of(variable.rest)
        if kind == "?":
            remedy = f"is not set: {text_of(variable.rest)}"
        else:
            remedy = f"is not set; set it, or write ${{{variable.name}:-default}}"
        raise ConfigError(f"{name}: {value!r}: {variable.name} {remedy}")

    try:
        return text_of(_pieces(value))
    except RecursionError:
        raise ConfigError(
            f"{name}: the variables in it are nested too deeply; nest fewer"
        ) from None


def is_variable(value: str) -> bool:
    """Whether *value* is one variable and nothing else."""
    pieces = _pieces(value)
    return len(pieces) == 1 and isinstance(pieces[0], _Variable)


class _Variable:
    """A variable that is read, and what is written after its *operator*."""

    def __init__(self, written: str, name: str, operator: str) -> None:
        self.written = written
        self.name = name
        self.operator = operator
        self.rest: list[str | _Variable] = []


def _pieces(value: str) -> list[str | _Variable]:
    """Return the texts and variables that *value* is made of."""
    open_ones: list[_Variable] = []
    levels: list[list[str | _Variable]] = [[]]
    for token in _TOKEN.finditer(value):
        if token["name"] is not None:
            variable = _Variable(token[0], token["name"], token["operator"] or "")
            levels[-1].append(variable)
            if not token["end"]:
                open_ones.append(variable)
                levels.append(variable.rest)
        elif token[0] == "}" and open_ones:
            open_ones.pop()
            levels.pop()
        else:
            levels[-1].append("${" if token[0] == "$${" else token[0])
    # One that nobody closes is no variable: it stays as it is written.
    for variable in reversed(open_ones):
        levels.pop()
        levels[-1][-1:] = [variable.written, *variable.rest]
    return levels[0]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the known words, the likeliest first, as the end of an error."""
    import difflib  # noqa: PLC0415  only an error needs it

    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"use one of {', '.join(choices)}"
