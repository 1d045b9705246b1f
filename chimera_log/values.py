"""
Turn anything a caller may log into strict JSON text.

The promise: every value becomes JSON that every reader accepts and reads the
same way, and no value can raise, loop for ever, forge a line or take the rest
of the record with it.  What cannot be shown becomes a marked placeholder such
as ``[cycle]`` or ``[unprintable Order: ValueError]``.

Two roads lead there.  Plain data (dicts with text keys, lists, text, small
integers, and the scalars of `forms`) goes straight to the C encoder of `json`;
everything else is first made plain by a careful walk.

Nothing here knows log records, and nothing does I/O.
"""

from __future__ import annotations

import json.encoder
import re
from collections.abc import Mapping, Set
from itertools import islice

from chimera_log.forms import (
    MAX_EXACT_INT,
    MAX_VALUES,
    REDACTED,
    SCALARS,
    WRAPPERS,
    field_names,
    fields,
    in_order,
    placeholder,
    real,
    text,
    unprintable,
    whole,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# One deeper line makes the whole file unreadable: DuckDB 2.0 ends at 127 levels,
# jq 1.6 at 128 nested objects, and the line itself is one.
MAX_DEPTH = 100

_MAX_TYPES = 1_000

# What json leaves as it is, though a line break to some reader or an order to a
# terminal: DEL and C1 controls, line separators, bidirectional overrides.
# Lone surrogates cannot be written as UTF-8, and DuckDB refuses their escape.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def escape(line: str) -> str:
    r"""
    Return JSON text without the characters that could forge a line.

    They all stand inside strings, so that escaping the text is escaping the
    values.  A lone surrogate becomes the six characters ``\uXXXX``.
    """
    if line.isascii() and "\x7f" not in line:
        return line
    return _UNSAFE.sub(_escaped, line)


def _escaped(match: re.Match[str]) -> str:
    extra = "\\" if _SURROGATE.match(match[0]) else ""
    return f"{extra}\\u{ord(match[0]):04x}"


def _escaped_surrogate(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


class Encoder:
    """
    Encode values as JSON text, hiding what must not be seen.

    Args:
        hidden: Whether the value under a key is a secret.
    """

    def __init__(self, hidden: Mapping[str, bool] | None = None) -> None:
        self._hidden = hidden if hidden is not None else _Nothing()

    def encode(self, value: Any) -> str:
        """Return *value* as JSON text; control characters are not yet escaped."""
        try:
            if _is_plain(value, self._hidden):
                shown = _encode(value)
                if shown.isascii() or not _SURROGATE.search(shown):
                    return shown
        except Exception:  # noqa: S110  NaN, or changed by another thread meanwhile
            pass
        return _encode(self.plain(value))

    def plain(self, value: Any, scrub: Callable[[str], str] | None = None) -> Any:
        """
        Return *value* as plain data: what JSON has, secrets hidden.

        Args:
            value: Anything.
            scrub: Applied to every text on the way, keys included.
        """
        return _Walk(self._hidden, scrub).visit(value, 0)


def plain(value: Any) -> Any:
    """Return *value* as plain data, with nothing hidden."""
    return Encoder().plain(value)


class _Nothing(dict[str, bool]):
    """Hides no key."""

    def __missing__(self, key: str) -> bool:
        return False


def _is_plain(  # noqa: PLR0912  one loop for every value of every record: no calls
    root: Any, hidden: Mapping[str, bool]
) -> bool:
    """Whether the C encoder alone makes of *root* what `_Walk` would."""
    if type(root) not in _CONTAINERS:
        return False
    containers = [root]
    room = MAX_VALUES
    for container in containers:  # grows while it is walked
        room -= len(container)
        if room < 0:
            return False
        if type(container) is dict:
            for key in container:
                if type(key) is not str or hidden[key]:
                    return False
            values: Iterable[Any] = container.values()
        else:
            values = container
        for value in values:
            kind = type(value)
            if kind is str or kind in _SCALARS:
                continue
            if kind is int:
                if not -MAX_EXACT_INT <= value <= MAX_EXACT_INT:
                    return False
            elif kind in _CONTAINERS:
                # Ends a cycle too, and keeps the depth within bounds.
                if len(containers) == MAX_DEPTH:
                    return False
                containers.append(value)
            else:
                return False
    return True


def _default(value: Any) -> Any:
    """Return a scalar's JSON form; the C encoder asks for each one it meets."""
    return _SCALARS[type(value)](value)


def _make_encoder() -> Callable[[Any], str]:
    fast = getattr(json.encoder, "c_make_encoder", None)
    if fast is None:  # PyPy
        return json.JSONEncoder(
            ensure_ascii=False,
            check_circular=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_default,
        ).encode
    # Built once: JSONEncoder.encode builds one per call, half as slow again.
    # No memory of visited containers: `_is_plain` lets no cycle through.
    chunks = fast(
        None,
        _default,
        json.encoder.encode_basestring,
        None,
        ":",
        ",",
        False,
        False,
        False,
    )
    return lambda value: "".join(chunks(value, 0))


_encode = _make_encoder()
encode_text: Callable[[str], str] = json.encoder.encode_basestring


SIMPLE = frozenset({str, int, float, bool, type(None)})
_CONSTANTS = {None: "null", True: "true", False: "false"}


class _Walk:
    """
    One careful walk through a value that is not plain.

    Args:
        hidden: Whether the value under a key is a secret.
        scrub: Applied to every text.
    """

    def __init__(
        self,
        hidden: Mapping[str, bool],
        scrub: Callable[[str], str] | None,
    ) -> None:
        self._hidden = hidden
        self._scrub = scrub
        self._above: set[int] = set()  # ids of the containers around this value
        self._left = MAX_VALUES + 1  # and the outermost

    def visit(self, value: Any, depth: int) -> Any:
        """Return the plain form of *value*, which lies *depth* levels deep."""
        try:
            return self._visit(value, depth)
        except Exception as error:
            return unprintable(value, error)

    def _visit(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self._left -= 1
        if self._left < 0 and (depth > 1 or kind not in SIMPLE):
            return placeholder("too large")
        if kind is str:
            return self._scrub(value) if self._scrub else value
        if value is None or kind is bool:
            return value
        if depth > MAX_DEPTH:
            return placeholder("too deep")
        if id(value) in self._above:
            return placeholder("cycle")
        self._above.add(id(value))
        try:
            return self._convert(kind)(self, value, depth + 1)
        finally:
            self._above.discard(id(value))

    @staticmethod
    def _convert(kind: type) -> Callable[[_Walk, Any, int], Any]:
        convert = _CONVERTERS.get(kind)
        if convert is None:
            convert = _converter(kind)
            if len(_CONVERTERS) < _MAX_TYPES:  # classes made in a loop must not pile up
                _CONVERTERS[kind] = convert
        return convert

    def object(self, items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        """Return *items* as a JSON object; keys that become equal are told apart."""
        result: dict[str, Any] = {}
        equal: dict[str, int] = {}
        for key, value in items:
            name = shown = self._key(key, depth)
            while name in result:
                equal[shown] = equal.get(shown, 1) + 1
                name = f"{shown}~{equal[shown]}"
            hide = self._hidden[shown]
            result[name] = REDACTED if hide else self.visit(value, depth)
            # What lies beside a value that is too large is shown all the same.
            if self._left < (-MAX_VALUES if depth == 1 else 0):
                break
        return result

    def array(self, items: Iterable[Any], depth: int) -> list[Any]:
        """Return *items* as a JSON array."""
        result = []
        for item in items:
            result.append(self.visit(item, depth))
            if self._left < 0:
                break
        return result

    def _key(self, key: Any, depth: int) -> str:
        kind = type(key)
        if key is None or kind is bool:
            return _CONSTANTS[key]
        # A header's name, say, which may be a secret's.
        if kind is bytes and key.isascii() and key.decode().isprintable():
            key, kind = key.decode(), str
        shown = key if kind is str else self.visit(key, depth)
        shown = shown if type(shown) is str else text(shown)
        if self._scrub and kind is str:
            shown = self._scrub(shown)
        # Escaped here as well, lest it become equal to its neighbour later.
        return shown if shown.isascii() else _SURROGATE.sub(_escaped_surrogate, shown)


_CONTAINERS = frozenset({dict, list, tuple})
# Exact types whose form is known; the C encoder handles the first three itself.
_SCALARS: dict[type, Callable[[Any], Any]] = {
    float: real,
    bool: bool,
    type(None): text,
}
_CONVERTERS: dict[type, Callable[[_Walk, Any, int], Any]] = {
    dict: lambda walk, value, depth: walk.object(list(value.items()), depth),
    list: lambda walk, value, depth: walk.array(value, depth),
    tuple: lambda walk, value, depth: walk.array(value, depth),
    int: lambda walk, value, depth: whole(value),  # noqa: ARG005
    float: lambda walk, value, depth: real(value),  # noqa: ARG005
}


def _converter(kind: type) -> Callable[[_Walk, Any, int], Any]:
    """Return what makes a value of type *kind* plain; decided once per type."""
    for base in kind.__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if (scalar := SCALARS.get(name)) is not None:
            if len(_SCALARS) < _MAX_TYPES:
                _SCALARS[kind] = scalar  # from now on the fast road takes it
            return lambda walk, value, depth: walk.visit(scalar(value), depth)
        if (unwrap := WRAPPERS.get(name)) is not None:
            return lambda walk, value, depth: walk.visit(unwrap(value), depth)
    return _structural_converter(kind)


def _structural_converter(kind: type) -> Callable[[_Walk, Any, int], Any]:
    """Return what makes a value plain by the shape of its type."""
    if issubclass(kind, str):
        return lambda walk, value, depth: walk.visit(str.__str__(value), depth)
    if issubclass(kind, int):
        return lambda walk, value, depth: whole(int.__index__(value))  # noqa: ARG005
    if issubclass(kind, float):
        return lambda walk, value, depth: real(float.__float__(value))  # noqa: ARG005
    if names := field_names(kind):
        return lambda walk, value, depth: walk.object(fields(value, names), depth)
    if issubclass(kind, Mapping):
        return lambda walk, value, depth: walk.object(
            islice(value.items(), MAX_VALUES + 1), depth
        )
    if issubclass(kind, (list, tuple)):
        return lambda walk, value, depth: walk.array(value, depth)
    if issubclass(kind, Set):
        return lambda walk, value, depth: walk.array(in_order(value), depth)
    return lambda walk, value, depth: walk.visit(text(value), depth)
