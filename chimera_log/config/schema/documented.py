"""
What a class says of its options: names and defaults in its signature, words in its
docstring.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ARGUMENT = re.compile(r" {4}(\w+): (.*)")
_ELSEWHERE = re.compile(r"See there|As for `")
NOTHING = inspect.Parameter.empty


class Option(NamedTuple):
    """One of the options that a class or function takes."""

    name: str
    types: tuple[str, ...]  # as they are annotated
    default: Any  # NOTHING if it must be given
    text: str


def options_of(
    thing: Callable[..., Any], base: Callable[..., Any] | None = None
) -> list[Option]:
    """
    Return the options of *thing*, in the order of its signature.

    Args:
        thing: Has a docstring with the section ``Args``.
        base: What its docstring means where it says "See there".

    Raises:
        LookupError: If its docstring does not describe one.
    """
    texts = _arguments(thing)
    others = {} if base is None else _arguments(base)
    return [
        Option(
            name,
            tuple(str(each.annotation).split(" | ")),
            each.default,
            others[name] if _ELSEWHERE.match(texts[name]) else texts[name],
        )
        for name, each in inspect.signature(thing).parameters.items()
    ]


def promise(thing: Callable[..., Any]) -> str:
    """Return what *thing* does: its docstring up to its arguments."""
    return str(inspect.getdoc(thing)).partition("\n\nArgs:\n")[0]


def _arguments(thing: Callable[..., Any]) -> dict[str, str]:
    """Return what the docstring of *thing* says of each argument, on one line."""
    section = str(inspect.getdoc(thing)).partition("\n\nArgs:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.partition("\n\n")[0].splitlines():
        if match := _ARGUMENT.fullmatch(line):
            name, found[match[1]] = match[1], match[2]
        else:
            found[name] += f" {line.strip()}"
    # Two spaces end a sentence in our docstrings; a line break may stand for them.
    return {each: re.sub(r" {2,}", " ", text) for each, text in found.items()}
