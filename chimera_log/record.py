"""
What a `logging.LogRecord` says: when, how bad, who, what, and in which context.

Each function here takes a record and returns plain text or a mapping; none
raises, whatever the record holds, and none changes the record: the next
handler sees what this one saw.  How the answers become a line is `line`'s
business.

`bound_context` lives here too: it is where a record's context comes from when
the call itself does not say it.
"""

from __future__ import annotations

import functools
import logging
import sys
import time
import traceback
from collections import namedtuple
from contextvars import ContextVar

from chimera_log.forms import placeholder, text
from chimera_log.values import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

# What a record has before anyone adds to it, asked of this Python's own; and
# what is known to be no context: stdlib formatters leave `message` and
# `asctime` behind, `taskName` comes with records of Python 3.12, `audit` marks
# a record for the trail, `color_message` is uvicorn's message again, coloured.
STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "audit",
    "color_message",
    "context",
    "message",
    "taskName",
}

# What is bound here, and what will be again once that is over.
_Binding = namedtuple("_Binding", ["fields", "own", "outer"])
_bound: ContextVar[_Binding | None] = ContextVar(
    "chimera_log.bound_context", default=None
)


class bound_context:  # noqa: N801  reads as the verb it is: `with bound_context(...)`
    """
    Add fields to the context of every record made inside.

    Works as a context manager and as a decorator of functions and coroutine
    functions.  Nested fields add up, the inner one winning.  Each thread and
    each asyncio task has its own: a task starts with what was bound where it
    was created, a thread with nothing, and neither can disturb another.

    A record takes the fields when our formatter formats it, which is in the
    thread that logs unless a queue of somebody else's stands in between.

    Args:
        fields: Names and values; a call's own ``context=`` wins over them.

    Raises:
        TypeError: If a generator is decorated; between two of its values it
            would bind the fields for whoever iterates.
    """

    def __init__(self, /, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        _bound.set(_binding(self._fields, _bound.get()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # No token to reset: a generator may be closed in another context than it
        # was started in, where the token would raise.
        _bound.set(_without(self._fields, _bound.get()))

    def __call__(self, function: F) -> F:
        """Return *function*, running with the fields bound."""
        import inspect  # noqa: PLC0415  only decorating needs it, and it is heavy

        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(
            function
        ):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"bound_context cannot decorate the generator {name}; "
                "use `with bound_context(...)` inside it"
            )
        fields = self._fields
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def bound(*args: Any, **kwargs: Any) -> Any:
                with bound_context(**fields):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def bound(*args: Any, **kwargs: Any) -> Any:
                with bound_context(**fields):
                    return function(*args, **kwargs)

        return bound  # type: ignore[return-value]  # same signature, by wraps


def _binding(own: dict[str, Any], outer: _Binding | None) -> _Binding:
    return _Binding({**(outer.fields if outer else {}), **own}, own, outer)


def _without(own: dict[str, Any], inner: _Binding | None) -> _Binding | None:
    """Return *inner* without the binding of *own*, which need not be innermost."""
    if inner is None or inner.own is own:
        return inner.outer if inner else None
    return _binding(inner.own, _without(own, inner.outer))


def event_of(record: logging.LogRecord) -> str:
    """
    Return the formatted message.

    Arguments that do not fit their format are shown beside it, since what they
    say must not be lost over a typing mistake.
    """
    try:
        message, args = record.msg, record.args
        if not args:
            return message if type(message) is str else text(message)
        return str.__str__(str(message) % args)
    except Exception as error:
        found = vars(record)
        # Made plain: of arguments that cannot be shown, the others still are.
        shown = text(plain(found.get("args")))
        mark = placeholder(f"args {shown}: {type(error).__name__}")
        return f"{text(found.get('msg'))} {mark}"


def context_of(record: logging.LogRecord) -> dict[Any, Any]:
    """
    Return the context: the call's, over flat extras, over bound fields.

    A dict that the call gave alone is returned as it is, not copied.  What is
    no mapping, and has no fields either, becomes ``{"value": ...}``.
    """
    attributes = record.__dict__
    context = attributes.get("context")
    if type(context) is not dict:
        context = _as_mapping(context)
    extras = attributes.keys() - STANDARD_ATTRIBUTES
    bound = _bound.get()
    if not extras and not bound:
        return context
    merged = dict(bound.fields) if bound else {}
    merged.update(
        (name, attributes[name]) for name in list(attributes) if name in extras
    )
    try:
        merged.update(context)
    except Exception:  # keys that cannot be compared
        merged.update(_as_mapping(plain(context)))
    return merged


def _as_mapping(context: Any) -> dict[Any, Any]:
    if context is None:
        return {}
    shown = plain(context)
    return shown if type(shown) is dict else {"value": shown}


def exception_of(record: logging.LogRecord) -> dict[str, str] | None:
    """
    Return type, message and stack trace of the record's exception, if any.

    The trace holds chained causes, groups and notes as Python prints them,
    without the ``^^^^`` under each line: to find their place Python 3.13
    parses every frame's source, which triples the cost.

    A record that crossed a queue may have kept the printed trace only; then
    that is all there is.
    """
    try:
        exc_info: Any = record.exc_info
        printed = record.exc_text
        if isinstance(exc_info, BaseException):  # a record made by hand
            exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        # exc_info=True outside an except block gives three times None.
        if not exc_info or exc_info[1] is None:
            return {"stacktrace": text(printed)} if printed else None
        kind, error, trace = exc_info
        return {
            "type": _type_name(kind),
            "message": text(error),
            "stacktrace": _stacktrace(kind, error, trace),
        }
    except Exception as failure:
        mark = placeholder(f"unprintable exception: {type(failure).__name__}")
        return {"stacktrace": mark}


def stack_of(record: logging.LogRecord) -> str | None:
    """Return what ``stack_info=True`` asked for, if anything."""
    try:
        return text(record.stack_info) if record.stack_info else None
    except Exception as failure:
        return placeholder(f"unprintable stack: {type(failure).__name__}")


class Clock:
    """
    Print times as ISO 8601, UTC, always 27 characters.

    The part up to the second is remembered, since records come in crowds.
    """

    def __init__(self) -> None:
        # One attribute, so that threads see both halves of one second.
        self._second: tuple[int, str] = (0, "1970-01-01T00:00:00")

    def timestamp(self, created: float) -> str:
        """
        Return *created*, seconds since the epoch, to the microsecond.

        Rounded, as `datetime.fromtimestamp` does: truncated, 46 % of all times
        would differ from it.  A time that no calendar has is the epoch.
        """
        try:
            second = int(created // 1)
            micros = round((created - second) * 1_000_000)
            if micros == 1_000_000:  # noqa: PLR2004  carried over by rounding
                second, micros = second + 1, 0
            known, prefix = self._second
            if second != known:
                date = time.gmtime(second)[:6]
                if not 1 <= date[0] <= 9999:  # noqa: PLR2004  ISO 8601's years
                    return "1970-01-01T00:00:00.000000Z"
                prefix = "%04d-%02d-%02dT%02d:%02d:%02d" % date  # noqa: UP031  six fields
                self._second = (second, prefix)
        except Exception:  # a record made by hand may hold anything
            return "1970-01-01T00:00:00.000000Z"
        return f"{prefix}.{micros:06d}Z"


def _type_name(kind: Any) -> str:
    module, name = text(kind.__module__), text(kind.__qualname__)
    return name if module in {"builtins", "__main__"} else f"{module}.{name}"


def _stacktrace(kind: Any, error: Any, trace: Any) -> str:
    try:
        report = traceback.TracebackException(kind, error, trace, compact=True)
        _drop_carets(report)
        return "".join(report.format()).rstrip("\n")
    except Exception as failure:  # a SyntaxError, say, whose line is no number
        return placeholder(f"unprintable stack trace: {type(failure).__name__}")


def _drop_carets(report: traceback.TracebackException) -> None:
    if sys.version_info >= (3, 11):
        reports = [report]
        for one in reports:  # grows while it is walked; a trace has no cycles
            for frame in one.stack:
                frame.colno = None
            inner = (one.__cause__, one.__context__, *(one.exceptions or ()))
            reports += [each for each in inner if each]
