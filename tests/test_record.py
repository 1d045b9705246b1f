"""
What a record says is read without raising, and without touching the record.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import contextvars
import functools
import inspect
import logging
import re
import sys
import threading
import types
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log.record import (
    Clock,
    bound_context,
    context_of,
    event_of,
    exception_of,
    stack_of,
)
from tests.conftest import record, stable
from tests.test_values import ANYTHING, Name, Order, Unshowable, laughs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

EPOCH = "1970-01-01T00:00:00.000000Z"


class Unanswering:
    """Cannot even say whether it is true."""

    def __bool__(self) -> bool:
        raise RuntimeError("no")

    __len__ = __bool__

    def __str__(self) -> str:
        return "unanswering"


class CustomError(Exception):
    """An exception of a module's own."""


class MuteError(Exception):
    """An exception that cannot say what happened."""

    def __str__(self) -> str:
        raise ValueError("no")


def raised(error: BaseException) -> logging.LogRecord:
    """Return the record of *error*, raised and caught."""
    try:
        raise error
    except type(error):
        return record("failed", exc_info=sys.exc_info())


def described(error: BaseException) -> dict[str, str]:
    """Return what `exception_of` says of *error*."""
    shown = exception_of(raised(error))
    assert shown is not None
    return shown


class TestTimestamp:
    @pytest.mark.parametrize(
        ("created", "expected"),
        [
            (0.0, EPOCH),
            (1761554280.0, "2025-10-27T08:38:00.000000Z"),
            (1761554280.000001, "2025-10-27T08:38:00.000001Z"),
            (1761554280.75, "2025-10-27T08:38:00.750000Z"),
            (1761554280.9999996, "2025-10-27T08:38:01.000000Z"),
            (1761554280, "2025-10-27T08:38:00.000000Z"),
            (1767225599.9999998, "2026-01-01T00:00:00.000000Z"),
            (1709164800.5, "2024-02-29T00:00:00.500000Z"),
            (253402300799.0, "9999-12-31T23:59:59.000000Z"),
        ],
    )
    def test_golden(self, created: float, expected: str) -> None:
        """
        Six digits always, rounded, the carry going as far as the year.
        """
        assert expected == Clock().timestamp(created)

    @given(st.floats(0, 253402300000))
    @example(1e9 + 0.5e-6)
    @example(0.0000005)
    @example(0.0000015)
    def test_as_datetime_rounds(self, created: float) -> None:
        """
        The time is what `datetime.fromtimestamp` makes of it, in 27 characters.
        """
        moment = datetime.fromtimestamp(created, timezone.utc).replace(tzinfo=None)
        shown = Clock().timestamp(created)

        assert moment.isoformat(timespec="microseconds") + "Z" == shown
        assert 27 == len(shown)

    @given(st.lists(st.floats(1.7e9, 1.7e9 + 3)))
    def test_memory_does_not_show(self, times: list[float]) -> None:
        """
        A clock that has seen other times prints what a new one prints.
        """
        clock = Clock()

        assert [Clock().timestamp(each) for each in times] == [
            clock.timestamp(each) for each in times
        ]

    @given(st.floats(-62135596800, -1))
    @example(-1.0)
    @example(-0.25)
    def test_before_the_epoch(self, created: float) -> None:
        """
        Times before 1970 are told within a microsecond of the truth.
        """
        shown = datetime.fromisoformat(
            Clock().timestamp(created).replace("Z", "+00:00")
        )

        assert abs(shown.timestamp() - created) <= 2e-6 + abs(created) * 1e-15

    @pytest.mark.parametrize(
        "created",
        [
            float("nan"),
            float("inf"),
            float("-inf"),
            1e300,
            253402300800.0,
            -62135596801.0,
            -62167219201.0 - 400 * 86400,
            -1e11,
            None,
            "1761554280",
            10**400,
            1j,
            object(),
            Unanswering(),
            np.array([1.5]),
            np.array([1.5, 2.5]),
            datetime(2025, 10, 27),
        ],
        ids=stable,
    )
    def test_time_no_calendar_has(self, created: Any) -> None:
        """
        What is no time is the epoch; 27 characters of a real date always.
        """
        shown = Clock().timestamp(created)

        assert re.fullmatch(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", shown
        )
        datetime.fromisoformat(shown.replace("Z", "+00:00"))

    def test_threads_share_a_clock(self) -> None:
        """
        Threads in different seconds never see half of each other's.
        """
        clock, wrong = Clock(), list[str]()

        def tell(second: int, expected: str) -> None:
            wrong.extend(
                shown
                for _ in range(2_000)
                if (shown := clock.timestamp(second)) != expected
            )

        threads = [
            threading.Thread(target=tell, args=(second, Clock().timestamp(second)))
            for second in (1, 86_400, 10**9)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [] == wrong


class TestEvent:
    @pytest.mark.parametrize(
        ("message", "args", "expected"),
        [
            ("plain", (), "plain"),
            ("100%", (), "100%"),
            ("%d of %s", (1, "two"), "1 of two"),
            ("%(a)s and %(b)d", ({"a": 1, "b": 2},), "1 and 2"),
            ("all %s", ({"a": 1},), "all {'a': 1}"),
            (ValueError("bad"), (), "bad"),
            (5, (), "5"),
            (None, (), "None"),
            (Name("real"), (), "shown"),
            ({"a": 1}, (), "{'a': 1}"),
            (b"%d", (1,), "b'1'"),
            ("", (), ""),
        ],
        ids=stable,
    )
    def test_as_logging_formats(
        self, message: object, args: tuple[Any, ...], expected: str
    ) -> None:
        """
        The event is the message as logging formats it.
        """
        assert expected == event_of(record(message, *args))

    @given(ANYTHING)
    def test_exact_text(self, message: Any) -> None:
        """
        Whatever the message is, the event is exact text.
        """
        assert str is type(event_of(record("", msg=message, args=())))

    @pytest.mark.parametrize(
        ("message", "args", "parts"),
        [
            ("%d", ("x",), ["%d", "'x'", "TypeError"]),
            ("%s", (1, 2), ["%s", "1, 2", "TypeError"]),
            ("%s %s", ("one",), ["%s %s", "one", "TypeError"]),
            ("no place", ("lost",), ["no place", "lost", "TypeError"]),
            ("%(a)s", ({"b": 2},), ["%(a)s", "'b'", "KeyError"]),
            ("50% done %s", ("x",), ["50% done", "x", "TypeError"]),
        ],
    )
    def test_arguments_that_do_not_fit(
        self, message: str, args: tuple[Any, ...], parts: list[str]
    ) -> None:
        """
        Message, arguments and the reason are all in the event; none is lost.
        """
        event = event_of(record(message, *args))

        assert parts == [part for part in parts if part in event]

    def test_one_argument_cannot_be_shown(self) -> None:
        """
        An argument that cannot be shown does not take the others with it.
        """
        event = event_of(record("user %s sent %s", "alice", Unshowable()))

        assert "alice" in event
        assert "unprintable Unshowable" in event

    def test_message_cannot_be_shown(self) -> None:
        """
        A message that raises is marked.
        """
        assert "[unprintable Unshowable: ValueError]" == event_of(record(Unshowable()))

    def test_shared_arguments_that_do_not_fit(self) -> None:
        """
        Arguments that do not fit are shown no longer than any value would be.
        """
        assert len(event_of(record("%d", laughs(19)))) < 1_500_000

    def test_arguments_cannot_answer(self) -> None:
        """
        Arguments that cannot say whether there are any leave the message.
        """
        assert "message" in event_of(record("message", args=Unanswering()))


class TestContext:
    def test_call_over_extra_over_bound(self) -> None:
        """
        On a collision the call's context wins over extras, and these over bound.
        """
        with bound_context(a="bound", b="bound", c="bound"):
            made = record(context={"a": "call"}, b="extra", a="extra")
            merged = context_of(made)

        assert {"a": "call", "b": "extra", "c": "bound"} == merged

    @pytest.mark.parametrize(
        ("context", "expected"),
        [
            (None, {}),
            ({}, {}),
            ([1, 2], {"value": [1, 2]}),
            ("text", {"value": "text"}),
            ("", {"value": ""}),
            (0, {"value": 0}),
            (False, {"value": False}),
            (types.MappingProxyType({"a": 1}), {"a": 1}),
            (Order("ETH", 2), {"symbol": "ETH", "amount": 2}),
            (Unshowable(), {"value": "[unprintable Unshowable: ValueError]"}),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_any_context(self, context: Any, expected: dict[str, Any]) -> None:
        """
        What is no mapping, and has no fields, becomes the value of one.
        """
        assert expected == context_of(record(context=context))

    def test_none(self) -> None:
        """
        A record without a context has an empty one.
        """
        assert {} == context_of(record())

    def test_not_copied(self) -> None:
        """
        A dict that the call gave alone is not copied.
        """
        context = {"a": 1}

        assert context is context_of(record(context=context))

    @pytest.mark.parametrize(
        "name", ["message", "asctime", "audit", "color_message", "taskName", "context"]
    )
    def test_no_extra(self, name: str) -> None:
        """
        What stdlib, uvicorn and our own filter leave on a record is no context.
        """
        assert {"kept": 1} == context_of(record(kept=1, **{name: None}))

    def test_caller_keeps_its_context(self) -> None:
        """
        Merging changes neither the caller's dict nor the bound one.
        """
        context, fields = {"a": 1}, {"b": [2]}
        with bound_context(**fields):
            context_of(record(context=context, c=3))
            assert {"b": [2]} == context_of(record())

        assert {"a": 1} == context
        assert {"b": [2]} == fields

    def test_extra_names_are_kept(self) -> None:
        """
        Extras keep the order in which they were given.
        """
        assert ["z", "a", "m"] == list(context_of(record(z=1, a=2, m=3)))

    def test_keys_that_cannot_be_compared(self) -> None:
        """
        A key that cannot be compared does not cost the context.
        """

        class Key:
            def __hash__(self) -> int:
                return hash("bound")

            def __eq__(self, other: object) -> bool:
                raise RuntimeError("no")

        with bound_context(bound=1):
            merged = context_of(record(context={Key(): 2, "call": 3}))

        assert 3 == merged["call"]


class TestException:
    def test_type_and_message(self) -> None:
        """
        A built-in's name stands alone, others' with their module.
        """
        assert ("ValueError", "bad") == tuple(described(ValueError("bad")).values())[:2]
        assert f"{__name__}.CustomError" == described(CustomError("x"))["type"]

    def test_names(self) -> None:
        """
        The three parts stand in this order.
        """
        assert ["type", "message", "stacktrace"] == list(described(ValueError()))

    def test_chained(self) -> None:
        """
        The cause is in the trace, before what it caused.
        """
        error = ValueError("outer")
        error.__cause__ = KeyError("inner")
        trace = described(error)["stacktrace"]

        assert (
            trace.index("KeyError: 'inner'")
            < trace.index("direct cause")
            < trace.index("ValueError: outer")
        )

    def test_context(self) -> None:
        """
        What was being handled is in the trace.
        """
        error = ValueError("outer")
        error.__context__ = KeyError("inner")

        assert "During handling" in described(error)["stacktrace"]

    def test_from_none(self) -> None:
        """
        What ``from None`` hides stays hidden.
        """
        error = ValueError("outer")
        error.__context__, error.__suppress_context__ = KeyError("inner"), True

        assert "inner" not in described(error)["stacktrace"]

    def test_cause_of_itself(self) -> None:
        """
        A chain that leads back to itself ends.
        """
        error = ValueError("ring")
        error.__cause__ = KeyError("link")
        error.__cause__.__cause__ = error

        assert "link" in described(error)["stacktrace"]

    def test_long_chain(self) -> None:
        """
        A chain of hundreds is told like a short one.
        """
        error = first = ValueError("number 0")
        for number in range(1, 400):
            error.__cause__ = ValueError(f"number {number}")
            error = error.__cause__

        assert "number 399" in described(first)["stacktrace"]

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Python 3.11: groups")
    def test_group(self) -> None:
        """
        Every exception of a group, and of the groups within, is in the trace.
        """
        group = builtins.__dict__["ExceptionGroup"]
        shown = described(
            group("many", [ValueError("one"), group("inner", [KeyError("two")])])
        )

        assert "ExceptionGroup" == shown["type"]
        assert "ValueError: one" in shown["stacktrace"]
        assert "KeyError: 'two'" in shown["stacktrace"]

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Python 3.11: notes")
    def test_notes(self) -> None:
        """
        Notes follow the message in the trace.
        """
        error: Any = ValueError("bad")
        error.add_note("while pricing ETH")

        assert described(error)["stacktrace"].endswith(
            "ValueError: bad\nwhile pricing ETH"
        )

    @pytest.mark.parametrize(
        "notes",
        ["text", 5, [Unshowable()], [None]],
        ids=["text", "int", "unshowable", "none"],
    )
    def test_odd_notes(self, notes: Any) -> None:
        """
        Notes that are none cost neither type nor message.
        """
        error: Any = ValueError("bad")
        error.__notes__ = notes

        assert ("ValueError", "bad") == tuple(described(error).values())[:2]

    def test_syntax_error(self) -> None:
        """
        A syntax error shows the line that is wrong.
        """
        error = SyntaxError("bad", ("strategy.py", 3, 5, "x = = 1\n"))

        assert 'File "strategy.py", line 3' in described(error)["stacktrace"]

    @pytest.mark.parametrize(
        "details",
        [("f", "three", None, 5), ("f", 1, "x", "text"), (None, None, None, b"bytes")],
        ids=stable,
    )
    def test_odd_syntax_error(self, details: Any) -> None:
        """
        A syntax error of the wrong types still says its type and message.
        """
        error: Any = SyntaxError("bad")
        error.filename, error.lineno, error.offset, error.text = details
        shown = described(error)

        assert "SyntaxError" == shown["type"]
        assert "bad" in shown["message"]

    def test_mute(self) -> None:
        """
        An exception whose text raises still has a type and a trace.
        """
        shown = described(MuteError())

        assert f"{__name__}.MuteError" == shown["type"]
        assert "[unprintable MuteError: ValueError]" == shown["message"]
        assert "Traceback" in shown["stacktrace"]

    def test_module_is_no_text(self) -> None:
        """
        A class without a proper module costs nothing but the module.
        """
        kind = type("Odd", (Exception,), {"__module__": []})
        shown = described(kind("bad"))

        assert "Odd" in shown["type"]
        assert "bad" == shown["message"]

    def test_recursion(self) -> None:
        """
        Endless recursion is told in a few lines.
        """

        def again() -> NoReturn:
            again()

        try:
            again()
        except RecursionError:
            shown = exception_of(record(exc_info=sys.exc_info()))

        assert shown is not None
        assert "RecursionError" == shown["type"]
        assert "more times" in shown["stacktrace"]
        assert len(shown["stacktrace"]) < 5_000

    def test_no_carets(self) -> None:
        """
        No line of carets marks a place, in the exception, its cause or a group.
        """
        error = raised(ValueError("outer"))
        assert error.exc_info
        assert error.exc_info[1]
        error.exc_info[1].__cause__ = raised(KeyError("inner")).exc_info[1]  # type: ignore[index]  # it was raised
        shown = exception_of(error)

        assert shown is not None
        assert [] == [
            line
            for line in shown["stacktrace"].split("\n")
            if set(line.strip()) & {"^"} and not set(line.strip()) - {"^", "~"}
        ]
        assert "raise error" in shown["stacktrace"]

    def test_ends_without_a_line_break(self) -> None:
        """
        The trace ends with its last word.
        """
        assert described(ValueError("bad"))["stacktrace"].endswith("ValueError: bad")

    def test_printed_trace_only(self) -> None:
        """
        A record that crossed a queue says what it kept.
        """
        assert {"stacktrace": "Traceback ..."} == exception_of(
            record(exc_text="Traceback ...")
        )

    @pytest.mark.parametrize("exc_info", [None, False, (), (None, None, None)], ids=str)
    def test_none(self, exc_info: Any) -> None:
        """
        A record without an exception says nothing of one.
        """
        assert exception_of(record(exc_info=exc_info)) is None

    def test_printed_trace_beside_nothing(self) -> None:
        """
        A printed trace is not lost because the live one is empty.
        """
        made = record(exc_info=(None, None, None), exc_text="Traceback ...")

        assert {"stacktrace": "Traceback ..."} == exception_of(made)

    @pytest.mark.parametrize(
        "exc_info",
        [
            True,
            "garbage",
            5,
            (1,),
            ("a", "b", "c"),
            (ValueError, "text", None),
            [1, 2, 3],
            object(),
        ],
        ids=stable,
    )
    def test_garbage(self, exc_info: Any) -> None:
        """
        What is no exception is marked as one that cannot be printed.
        """
        shown = exception_of(record(exc_info=exc_info))

        assert shown is not None
        assert {str} == {type(value) for value in shown.values()}

    def test_instance(self) -> None:
        """
        An exception given without its type and trace is told by both.
        """
        shown = exception_of(record(exc_info=ValueError("bad")))

        assert shown is not None
        assert "bad" in " ".join(shown.values())

    @pytest.mark.parametrize("name", ["exc_info", "exc_text"])
    def test_cannot_answer(self, name: str) -> None:
        """
        What cannot say whether it is there does not raise.
        """
        exception_of(record(**{name: Unanswering()}))

    def test_not_cached_on_the_record(self) -> None:
        """
        The record's own cache for other formatters stays empty.
        """
        made = raised(ValueError("bad"))
        exception_of(made)

        assert made.exc_text is None


class TestStack:
    def test_text(self) -> None:
        """
        The stack is what logging collected.
        """
        assert "Stack (most recent call last)" == stack_of(
            record(stack_info="Stack (most recent call last)")
        )

    @pytest.mark.parametrize("stack_info", [None, ""])
    def test_none(self, stack_info: str | None) -> None:
        """
        A record without a stack has none.
        """
        assert stack_of(record(stack_info=stack_info)) is None

    def test_cannot_answer(self) -> None:
        """
        A stack that cannot say whether it is there does not raise.
        """
        stack_of(record(stack_info=Unanswering()))


class TestBoundContext:
    def test_inside_only(self) -> None:
        """
        Fields are bound inside the block, and not after it.
        """
        with bound_context(request="r1"):
            assert {"request": "r1"} == context_of(record())
        assert {} == context_of(record())

    def test_after_an_exception(self) -> None:
        """
        An exception ends the block too.
        """
        with contextlib.suppress(ValueError), bound_context(a=1):
            raise ValueError
        assert {} == context_of(record())

    def test_nested(self) -> None:
        """
        Nested fields add up, the inner ones win, the outer ones come back.
        """
        with bound_context(a=1, b=1):
            with bound_context(b=2):
                assert {"a": 1, "b": 2} == context_of(record())
            assert {"a": 1, "b": 1} == context_of(record())

    def test_entered_again(self) -> None:
        """
        One instance may be entered again, while it is active and after.
        """
        again = bound_context(a=1)
        with again, bound_context(a=2), again:
            assert {"a": 1} == context_of(record())
        with again:
            assert {"a": 1} == context_of(record())
        assert {} == context_of(record())

    def test_any_name(self) -> None:
        """
        Fields may be named like arguments of ours.
        """
        with bound_context(self=1, fields=2, context=3):
            assert {"self": 1, "fields": 2, "context": 3} == context_of(record())

    def test_function(self) -> None:
        """
        A decorated function runs with the fields bound, and keeps its name.
        """

        @bound_context(a=1)
        def work(number: int, *, other: int) -> tuple[int, dict[Any, Any]]:
            return number + other, context_of(record())

        assert (3, {"a": 1}) == work(1, other=2)
        assert "work" == work.__name__
        assert {} == context_of(record())

    def test_recursive_function(self) -> None:
        """
        A decorated function may call itself.
        """

        @bound_context(a=1)
        def work(depth: int) -> dict[Any, Any]:
            return work(depth - 1) if depth else context_of(record())

        assert {"a": 1} == work(3)
        assert {} == context_of(record())

    def test_coroutine_function(self) -> None:
        """
        A decorated coroutine function has the fields bound across its awaits.
        """

        @bound_context(a=1)
        async def work() -> dict[Any, Any]:
            await asyncio.sleep(0)
            return context_of(record())

        assert inspect.iscoroutinefunction(work)
        assert {"a": 1} == asyncio.run(work())

    def test_tasks_have_their_own(self) -> None:
        """
        A task starts with what was bound where it was made, and keeps to itself.
        """

        async def work(name: str) -> list[dict[Any, Any]]:
            before = context_of(record())
            with bound_context(task=name):
                await asyncio.sleep(0)
                return [before, context_of(record())]

        async def main() -> list[Any]:
            with bound_context(main=1):
                tasks = [asyncio.create_task(work(name)) for name in "ab"]
            return [*await asyncio.gather(*tasks), context_of(record())]

        assert [
            [{"main": 1}, {"main": 1, "task": "a"}],
            [{"main": 1}, {"main": 1, "task": "b"}],
            {},
        ] == asyncio.run(main())

    def test_thread_starts_with_nothing(self) -> None:
        """
        A thread starts with nothing bound, and binds for itself alone.
        """
        seen: list[dict[Any, Any]] = []

        def work() -> None:
            seen.append(context_of(record()))
            with bound_context(thread=1):
                seen.append(context_of(record()))

        with bound_context(main=1):
            thread = threading.Thread(target=work, **own_context())
            thread.start()
            thread.join()
            assert {"main": 1} == context_of(record())

        assert [{}, {"thread": 1}] == seen

    def test_one_instance_in_two_tasks(self) -> None:
        """
        One instance, entered in two tasks that take turns, disturbs neither.
        """
        shared = bound_context(a=1)

        async def work() -> dict[Any, Any]:
            with shared:
                await asyncio.sleep(0)
                inside = context_of(record())
                await asyncio.sleep(0)
            assert {} == context_of(record())
            return inside

        async def main() -> list[dict[Any, Any]]:
            return [*await asyncio.gather(work(), work())]

        assert [{"a": 1}, {"a": 1}] == asyncio.run(main())

    def test_one_instance_in_two_threads(self) -> None:
        """
        One instance, entered by two threads that leave in turn, disturbs neither.
        """
        shared = bound_context(a=1)
        first, second = contextvars.Context(), contextvars.Context()
        first.run(shared.__enter__)
        second.run(shared.__enter__)

        first.run(shared.__exit__, None, None, None)
        assert {} == first.run(context_of, record())
        assert {"a": 1} == second.run(context_of, record())

        second.run(shared.__exit__, None, None, None)
        assert {} == second.run(context_of, record())

    def test_generators_are_refused(self) -> None:
        """
        A generator would bind for whoever iterates; the error says what to do.
        """

        def numbers() -> Iterator[int]:
            yield 1

        async def later() -> AsyncIterator[int]:
            yield 1

        generators: list[Callable[..., Any]] = [numbers, later]
        for generator in generators:
            with pytest.raises(TypeError) as caught:
                bound_context(a=1)(generator)
            assert (
                f"bound_context cannot decorate the generator {generator.__qualname__}; "
                "use `with bound_context(...)` inside it"
            ) == str(caught.value)

    def test_nameless_generator_is_refused(self) -> None:
        """
        A generator function behind a partial, without a name, is refused alike.
        """

        def numbers(first: int) -> Iterator[int]:
            yield first

        with pytest.raises(TypeError, match="use `with bound_context"):
            bound_context(a=1)(functools.partial(numbers, 1))

    def test_values_are_taken_when_formatted(self) -> None:
        """
        A bound value that changes is seen as it is when the record is formatted.
        """
        state = {"block": 1}
        with bound_context(state=state):
            state["block"] = 2
            assert {"state": {"block": 2}} == context_of(record())


def own_context() -> dict[str, Any]:
    """Return what makes a thread start with an empty context, on any Python."""
    return {"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}


@given(
    ANYTHING,
    st.sampled_from(
        ["msg", "args", "context", "exc_info", "exc_text", "stack_info", "extra"]
    ),
)
def test_no_question_raises(value: Any, name: str) -> None:
    """
    Whatever stands where, every question about a record is answered.
    """
    made = record("message", **{name: value})
    before = dict(vars(made))

    assert str is type(event_of(made))
    assert dict is type(context_of(made))
    exception, stack = exception_of(made), stack_of(made)
    assert exception is None or {str} == {type(part) for part in exception.values()}
    assert stack is None or str is type(stack)
    assert before.keys() == vars(made).keys()
    assert [] == [key for key in before if before[key] is not vars(made)[key]]


def test_binding_that_ends_out_of_order() -> None:
    """
    A generator closed inside another binding takes its own fields with it, no more.
    """

    def numbers() -> Generator[int, None, None]:
        with bound_context(gen=1):
            yield 1

    running = numbers()
    next(running)
    with bound_context(b=2):
        running.close()

        assert {"b": 2} == context_of(record())
    assert {} == context_of(record())
