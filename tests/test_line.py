"""
A line has its fields in order, is strict JSON, and never grows too long.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import ConfigError
from chimera_log.line import (
    MIN_LINE_BYTES,
    RECORD_ATTRIBUTES,
    STANDARD_FIELDS,
    Layout,
)
from chimera_log.redact import Redactor
from tests.conftest import fewer_examples, record
from tests.test_values import (
    ANY_TEXT,
    ANYTHING,
    HOSTILE,
    laughs,
    nested,
    strict,
    unsafe,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

WHOLE = 10**9  # a limit that nothing here reaches


def layout(
    fields: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    limit: int = WHOLE,
    redactor: Redactor | None = None,
) -> Layout:
    """Return a layout with these options, the others as nobody set them."""
    return Layout(fields or {}, static or {}, limit, redactor)


def line_of(made: logging.LogRecord, encoder: Layout | None = None) -> str:
    """Return the line of *made*, checked to be one safe line."""
    line = (encoder or layout()).encode(made)
    assert [] == unsafe(line)
    assert 1 == len(line.splitlines())
    return line


def read(made: logging.LogRecord, encoder: Layout | None = None) -> dict[str, Any]:
    """Return what a strict reader sees of *made*."""
    shown = strict(line_of(made, encoder))
    assert isinstance(shown, dict)
    return shown


def full() -> logging.LogRecord:
    """Return a record that fills every field."""
    return record(
        "event",
        created=1761554280.136873,
        context={"a": 1},
        exc_text="Traceback",
        stack_info="Stack",
    )


class TestFields:
    def test_golden(self) -> None:
        """
        A line has its first five fields in this order, compact, and no more.
        """
        made = record("websocket_connected", context={"provider": "alchemy"})
        made.created, made.name = 1761554280.136873, "state_engine"

        assert (
            '{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO","module":"state_engine",'
            '"event":"websocket_connected","context":{"provider":"alchemy"}}'
        ) == line_of(made)

    def test_order(self) -> None:
        """
        Exception and stack follow the context; static fields follow all.
        """
        assert [*STANDARD_FIELDS, "service", "zone"] == list(
            read(full(), layout(static={"service": "bot", "zone": 1}))
        )

    def test_truncated_is_last(self) -> None:
        """
        The mark of a shortened line follows the static fields.
        """
        shown = read(
            record("x" * 9_000), layout(static={"service": "bot"}, limit=4_096)
        )

        assert ["context", "service", "truncated"] == list(shown)[-3:]
        assert shown["truncated"] is True

    def test_empty_context(self) -> None:
        """
        A record without a context still has the field.
        """
        assert {} == read(record())["context"]

    @pytest.mark.parametrize("attribute", RECORD_ATTRIBUTES)
    def test_attribute(self, attribute: str) -> None:
        """
        Every attribute may be added, under any name.
        """
        made = record()

        assert (
            getattr(made, attribute, None) == read(made, layout({"x": attribute}))["x"]
        )

    def test_rename(self) -> None:
        """
        A renamed field keeps its value; the others keep name and order.
        """
        shown = read(full(), layout({"message": "event"}))

        assert [
            "message",
            "timestamp",
            "level",
            "module",
            "context",
            "exception",
            "stack",
        ] == list(shown)
        assert "event" == shown["message"]

    def test_reorder(self) -> None:
        """
        Fields stand in the order in which they are listed.
        """
        fields = {name: name for name in reversed(STANDARD_FIELDS)}

        assert list(reversed(STANDARD_FIELDS)) == list(read(full(), layout(fields)))

    def test_absent_fields_stay_away(self) -> None:
        """
        A renamed exception or stack is missing where the record has none.
        """
        fields = {"error": "exception", "trace": "stack"}

        assert {"error", "trace"}.isdisjoint(read(record(), layout(fields)))
        assert ["error", "trace"] == list(read(full(), layout(fields)))[:2]

    def test_one_source_twice(self) -> None:
        """
        One source may have two names.
        """
        shown = read(record("hello"), layout({"event": "event", "msg": "event"}))

        assert ("hello", "hello") == (shown["event"], shown["msg"])

    @pytest.mark.parametrize(
        "name", ["%", "%s", "%(event)s", '"', "\n", "\u2028", "", "a.b", "é"]
    )
    def test_any_name(self, name: str) -> None:
        """
        A field and a static field may have any name.
        """
        made = record("hello")

        assert "hello" == read(made, layout({name: "event"}))[name]
        assert "%(event)s %%" == read(made, layout(static={name: "%(event)s %%"}))[name]

    @given(
        st.dictionaries(
            st.text(),
            st.sampled_from([*STANDARD_FIELDS, *RECORD_ATTRIBUTES]),
            max_size=6,
        )
    )
    def test_every_layout(self, fields: dict[str, str]) -> None:
        """
        A layout that is accepted shows every field, in its order.
        """
        try:
            encoder = layout(fields)
        except ConfigError:
            assert set(fields) & {*STANDARD_FIELDS, "truncated", "audit"}
            return
        rest = [name for name in STANDARD_FIELDS if name not in fields.values()]

        assert [*fields, *rest] == list(read(full(), encoder))

    @pytest.mark.parametrize("name", ["levelname", "name"])
    @pytest.mark.parametrize(
        "text", ["100%", "%(event)s", '"', "\n", "\ud800", "\u2028", ""]
    )
    def test_any_level_and_module(self, name: str, text: str) -> None:
        """
        Level and module may hold anything, seen for the first time or again.
        """
        encoder = layout()
        shown = [read(record(**{name: text}), encoder) for _ in range(2)]
        field = {"levelname": "level", "name": "module"}[name]

        assert [text.replace("\ud800", "\\ud800")] * 2 == [
            each[field] for each in shown
        ]

    def test_many_modules(self) -> None:
        """
        Names made from data are shown right, however many.
        """
        encoder = layout()
        names = [f"order-{number}" for number in range(6_000)]

        assert names == [
            json.loads(encoder.encode(record(name=name)))["module"] for name in names
        ]

    def test_static_values(self) -> None:
        """
        A static field may have any value.
        """
        static = {"a": {"b": [1, None]}, "nan": float("nan"), "big": 2**60}

        assert {"a": {"b": [1, None]}, "nan": "NaN", "big": str(2**60)} == {
            name: read(record(), layout(static=static))[name] for name in static
        }


class TestBeginning:
    @pytest.mark.parametrize(
        ("fields", "static"),
        [
            ({}, {}),
            ({}, {"service": "bot"}),
            ({"timestamp": "timestamp", "level": "level"}, {}),
            ({name: name for name in STANDARD_FIELDS}, {}),
            ({**{name: name for name in STANDARD_FIELDS[:5]}, "pid": "process"}, {}),
            ({**{name: name for name in STANDARD_FIELDS[:5]}, "trace": "stack"}, {}),
        ],
        ids=str,
    )
    def test_usual(self, fields: dict[str, str], static: dict[str, str]) -> None:
        """
        What follows the first five fields may be anything.
        """
        made = layout(fields, static)

        assert made.begins_as_usual
        assert (
            STANDARD_FIELDS[:5]
            == tuple(json.loads(made.encode(record("x", context={"a": 1}))))[:5]
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {"@timestamp": "timestamp"},
            {"level": "level"},
            {"timestamp": "timestamp", "pid": "process"},
            {"timestamp": "timestamp", "level": "module", "module": "level"},
            {**{name: name for name in STANDARD_FIELDS[:4]}, "data": "context"},
        ],
        ids=str,
    )
    def test_unusual(self, fields: dict[str, str]) -> None:
        """
        Nothing stands before them or between them, and none has another name.
        """
        assert not layout(fields).begins_as_usual

    @pytest.mark.parametrize("limit", [MIN_LINE_BYTES, 1_000_000])
    def test_limit(self, limit: int) -> None:
        """
        The longest line is as it was asked for.
        """
        assert limit == layout(limit=limit).max_line_bytes


class TestConfigErrors:
    @pytest.mark.parametrize(
        ("fields", "static", "message"),
        [
            (
                {"x": "evnt"},
                {},
                "fields.x: 'evnt' is no field of a record; did you mean 'event'?",
            ),
            (
                {"x": "timestamp", "level": "event"},
                {},
                "fields, static: two fields of a line would be named 'level'; rename one",
            ),
            (
                {},
                {"event": 1},
                "fields, static: two fields of a line would be named 'event'; rename one",
            ),
            (
                {"service": "event"},
                {"service": 1},
                "fields, static: two fields of a line would be named 'service'; rename one",
            ),
            (
                {},
                {"truncated": 1},
                "fields, static: two fields of a line would be named 'truncated'; rename one",
            ),
            (
                {"audit": "event"},
                {},
                "fields, static: two fields of a line would be named 'audit'; rename one",
            ),
        ],
    )
    def test_message(
        self, fields: dict[str, Any], static: dict[str, Any], message: str
    ) -> None:
        """
        An error names the option, the value and the remedy.
        """
        with pytest.raises(ConfigError) as caught:
            layout(fields, static)

        assert message == str(caught.value)

    @pytest.mark.parametrize("source", [None, 5, [], {}, "zzz"], ids=str)
    def test_no_source(self, source: Any) -> None:
        """
        What is no source at all gets the list of all.
        """
        with pytest.raises(
            ConfigError, match=r"^fields\.x: .* is no field of a record; "
        ):
            layout({"x": source})

    def test_names_that_are_written_alike(self) -> None:
        r"""
        A name with a lone surrogate is refused beside its own escape.
        """
        with pytest.raises(ConfigError):
            layout(static={"\ud800": 1, "\\ud800": 2})

    def test_no_room(self) -> None:
        """
        Static fields that fill half of a line are refused, not cut later.
        """
        with pytest.raises(ConfigError) as caught:
            layout(static={"x": "y" * 3_000}, limit=4_096)

        assert (
            "max_line_bytes: 4096 leaves no room beside the fields; "
            "use more, or fewer and shorter fields"
        ) == str(caught.value)


class Hater(str):
    """A text that hates to be asked."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    __len__ = __hash__

    def __str__(self) -> str:
        raise RuntimeError("no")


class TestHostile:
    @pytest.mark.parametrize("attribute", sorted(vars(logging.makeLogRecord({}))))
    def test_attribute_is_missing(self, attribute: str) -> None:
        """
        A record made by hand may lack anything.
        """
        made = record("event", context={"a": 1})
        made.__dict__.pop(attribute, None)

        assert set(STANDARD_FIELDS[:5]) <= read(made).keys()

    @pytest.mark.parametrize(
        "attribute", [*sorted(vars(logging.makeLogRecord({}))), "context", "extra"]
    )
    @pytest.mark.parametrize("name", [*HOSTILE, "hater"])
    def test_attribute_is_hostile(self, attribute: str, name: str) -> None:
        """
        Whatever stands in a record, the line has its five fields, and an object as context.
        """
        value = Hater("x") if name == "hater" else HOSTILE[name]
        made = record("event", context={"a": 1})
        made.__dict__[attribute] = value
        shown = read(
            made,
            layout({attribute: attribute} if attribute in RECORD_ATTRIBUTES else {}),
        )

        assert set(STANDARD_FIELDS[:5]) <= shown.keys()
        assert dict is type(shown["context"])
        assert [str] * 4 == [type(shown[field]) for field in STANDARD_FIELDS[:4]]

    @pytest.mark.parametrize(
        "attribute", ["args", "exc_info", "exc_text", "stack_info", "created"]
    )
    @pytest.mark.parametrize("name", HOSTILE)
    def test_context_survives(self, attribute: str, name: str) -> None:
        """
        One hostile attribute does not take message and context with it.
        """
        made = record("event", context={"a": 1})
        made.__dict__[attribute] = HOSTILE[name]
        shown = read(made)

        assert {"a": 1} == shown["context"]
        assert shown["event"].startswith("event")

    @pytest.mark.parametrize("name", ["sulking", "nameless", "liar", "unshowable"])
    @pytest.mark.parametrize("limit", [WHOLE, 4_096])
    def test_hostile_key(self, name: str, limit: int) -> None:
        """
        A key that cannot be asked leaves the rest of the context, in any line.
        """
        context = {"a": 1, HOSTILE[name]: 2, "long": "x" * 5_000}

        assert 1 == read(record(context=context), layout(limit=limit))["context"]["a"]

    @given(ANYTHING, ANY_TEXT, ANY_TEXT)
    def test_any_record(self, value: Any, event: str, name: str) -> None:
        """
        Whatever is logged, the line is strict JSON with its fields in order.
        """
        made = record(event, name=name, context={"value": value}, extra=value)
        for redactor in (None, Redactor()):
            shown = read(made, layout(redactor=redactor))
            assert list(STANDARD_FIELDS[:5]) == list(shown)

    @given(ANYTHING)
    def test_any_context(self, value: Any) -> None:
        """
        Whatever the context is, the line has an object in its place.
        """
        assert dict is type(read(record(context=value))["context"])

    @pytest.mark.parametrize(
        "value",
        [laughs(40), nested(100_000, 1), list(range(150_000))],
        ids=["laughs", "deep", "wide"],
    )
    def test_bounded(self, value: Any) -> None:
        """
        A value made to be slow takes a moment, and its neighbours survive it.
        """
        made = record(context={"before": 1, "a": value, "after": 2})
        start = time.thread_time()
        context = read(made, layout(limit=100_000, redactor=Redactor()))["context"]

        assert time.thread_time() - start < 5.0
        assert (1, 2) == (context["before"], context.get("after"))

    def test_record_is_unchanged(self) -> None:
        """
        The next handler sees the record as we saw it.
        """
        made = record(
            "%s",
            "x" * 9_000,
            context={"a": ["y" * 9_000]},
            exc_info=(ValueError, ValueError("z"), None),
        )
        before = dict(vars(made))
        line_of(made, layout(limit=4_096, redactor=Redactor()))

        assert before.keys() == vars(made).keys()
        assert [] == [name for name in before if before[name] is not vars(made)[name]]
        assert {"a": ["y" * 9_000]} == vars(made)["context"]


SIZES = st.sampled_from([0, 1, 11, 30, 300, 1_000, 4_000, 30_000])
CHARACTERS = st.sampled_from(["a", "\0", "é", "😀", "\ud800", '"', "\u2028", "%"])
TEXTS = st.builds(str.__mul__, CHARACTERS, SIZES)
VALUES = st.one_of(
    TEXTS,
    st.integers(),
    st.just(10**4_000),
    st.lists(TEXTS, max_size=4),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.integers(0, 3_000).map(lambda size: list(range(size))),
)


class TestLength:
    @fewer_examples(2)
    @given(
        st.fixed_dictionaries(
            {"context": st.dictionaries(TEXTS, VALUES, max_size=5)},
            optional={
                "msg": TEXTS,
                "name": TEXTS,
                "levelname": TEXTS,
                "exc_info": TEXTS.map(
                    lambda text: (ValueError, ValueError(text), None)
                ),
                "exc_text": TEXTS,
                "stack_info": TEXTS,
                "threadName": VALUES,
                "funcName": VALUES,
                "lineno": VALUES,
                "extra": VALUES,
            },
        ),
        st.sampled_from(
            [
                {},
                {"f": "funcName", "t": "threadName", "n": "lineno"},
                {"t": "threadName", "e": "event", "é": "event"},
            ]
        ),
        st.sampled_from([{}, {"service": "é" * 500}]),
        st.integers(MIN_LINE_BYTES, 20_000),
        st.sampled_from([None, Redactor()]),
    )
    def test_no_line_is_too_long(
        self,
        attributes: dict[str, Any],
        fields: dict[str, str],
        static: dict[str, Any],
        limit: int,
        redactor: Redactor | None,
    ) -> None:
        """
        Whatever is logged, a line fits; it is marked exactly if it was shortened.
        """
        made = record(**attributes)
        whole = line_of(made, layout(fields, static, WHOLE, redactor))
        line = line_of(made, layout(fields, static, limit, redactor))
        fits = len(whole.encode()) + 1 <= limit

        assert len(line.encode()) + 1 <= limit
        assert (not fits) == strict(line).get("truncated", False)
        assert not fits or whole == line

    @pytest.mark.parametrize("character", ["a", "é", "😀"])
    @pytest.mark.parametrize("place", ["event", "context"])
    def test_at_the_limit(self, character: str, place: str) -> None:
        """
        A line of exactly the limit is whole; one byte more shortens it.
        """
        limit, width = 5_000, len(character.encode())

        def of(count: int, pad: int) -> logging.LogRecord:
            text = character * count + "a" * pad
            return record(text) if place == "event" else record(context={"a": text})

        room = limit - 1 - len(layout().encode(of(0, 0)).encode())
        exact = of(room // width, room % width)
        over = of(room // width, room % width + 1)

        assert limit == len(line_of(exact, layout(limit=limit)).encode()) + 1
        assert "truncated" not in read(exact, layout(limit=limit))
        assert read(over, layout(limit=limit))["truncated"] is True
        assert "truncated" not in read(over, layout(limit=limit + 1))

    def test_largest_goes_first(self) -> None:
        """
        The largest value is cut, the small ones survive, in their order.
        """
        context = {"small": 1, "big": "x" * 50_000, "other": "y" * 300, "last": [2]}
        shown = read(record(context=context), layout(limit=4_096))["context"]

        assert ["small", "big", "other", "last"] == list(shown)
        assert (1, "y" * 300, [2]) == (shown["small"], shown["other"], shown["last"])
        assert "[truncated 50" in shown["big"]
        assert shown["big"].startswith("x" * 100)

    def test_only_as_many_as_needed(self) -> None:
        """
        A second large value stays whole where cutting the first is enough.
        """
        context = {"a": "x" * 3_000, "b": "y" * 3_500}
        shown = read(record(context=context), layout(limit=5_000))["context"]

        assert "x" * 3_000 == shown["a"]
        assert "truncated" in shown["b"]

    @pytest.mark.parametrize(
        "big",
        [list(range(20_000)), {"deep": "x" * 20_000}, "😀" * 20_000],
        ids=["list", "dict", "wide"],
    )
    def test_small_survive_any_big(self, big: Any) -> None:
        """
        Whatever the large value is, the small ones around it survive.
        """
        shown = read(record(context={"a": 1, "big": big, "z": 2}), layout(limit=4_096))[
            "context"
        ]

        assert (1, 2) == (shown["a"], shown["z"])
        assert "truncated" in shown["big"]

    def test_small_survive_a_huge_key(self) -> None:
        """
        An entry with a huge name goes before the small ones do.
        """
        context = {"k" * 50_000: 1, "small": 2, "other": 3}
        shown = read(record(context=context), layout(limit=4_096))["context"]

        assert (2, 3) == (shown.get("small"), shown.get("other"))

    def test_many_small_entries(self) -> None:
        """
        Of too many small entries, the first survive.
        """
        context = {f"k{number:05}": number for number in range(10_000)}
        shown = read(record(context=context), layout(limit=8_192))["context"]

        assert 300 < len(shown)
        assert list(context)[: len(shown)] == list(shown)

    def test_huge_event_leaves_the_context(self) -> None:
        """
        A huge event keeps both its ends, and leaves the context whole.
        """
        event = f"start{'x' * 1_000_000}end"
        shown = read(
            record(event, context={"a": 1, "b": "y" * 500}), layout(limit=4_096)
        )

        assert {"a": 1, "b": "y" * 500} == shown["context"]
        assert shown["event"].startswith("start")
        assert shown["event"].endswith("end")
        assert "[truncated " in shown["event"]

    def test_huge_trace_keeps_its_end(self) -> None:
        """
        Of a huge trace the beginning and the end survive, where the cause is.
        """
        made = record(
            exc_info=(ValueError, ValueError("x" * 100_000 + "the cause"), None)
        )
        shown = read(made, layout(limit=4_096))["exception"]

        assert "ValueError" == shown["type"]
        assert shown["stacktrace"].endswith("the cause")

    def test_small_event_stays_beside_a_huge_context(self) -> None:
        """
        A large context is no reason to cut the event.
        """
        shown = read(
            record("event" * 20, context={"a": "x" * 50_000}), layout(limit=4_096)
        )

        assert "event" * 20 == shown["event"]

    def test_one_source_many_times(self) -> None:
        """
        A layout that repeats a field sixty times is refused, or still fits.
        """
        fields = {f"e{number}": "event" for number in range(60)}
        try:
            encoder = layout(fields, limit=4_096)
        except ConfigError:
            return

        assert len(line_of(record("\0" * 5_000), encoder).encode()) < 4_096

    @pytest.mark.parametrize(
        "value",
        [["x" * 9_000], {"a": "x" * 9_000}, 10**4_200, b"x" * 9_000],
        ids=["list", "dict", "int", "bytes"],
    )
    def test_attribute_is_no_text(self, value: Any) -> None:
        """
        A huge attribute is cut though it is no text.
        """
        made = record(threadName=value)

        assert (
            len(line_of(made, layout({"t": "threadName"}, limit=4_096)).encode())
            < 4_096
        )

    def test_hidden_stays_hidden(self) -> None:
        """
        A shortened line shows no secret that the whole one hides.
        """
        context = {
            "password": "hunter2" * 1_000,
            "nested": {"api_key": "hunter2"},
            "big": "x" * 9_000,
        }
        shown = read(record(context=context), layout(limit=4_096, redactor=Redactor()))

        assert "hunter2" not in json.dumps(shown)
        assert "[redacted]" == shown["context"]["password"]


def test_context_stays_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A context of which nothing can be shown, its type's mark, is still an object.
    """
    encoder = layout()
    monkeypatch.setattr(encoder._encoder, "encode", lambda _: '"[unprintable]"')

    assert {"value": "[unprintable]"} == read(record(), encoder)["context"]
