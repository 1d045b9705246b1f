"""
A message that is too long is cut, and remains what it was: JSON, or text.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.cloudwatch.oversize import MIN_LIMIT, shortened
from chimera_log.values import escape
from tests.conftest import fewer_examples
from tests.test_values import ANY_TEXT, strict, unsafe

LEAD = {
    "timestamp": "2025-10-27T08:38:00.136873Z",
    "level": "INFO",
    "module": "bot",
    "event": "filled",
}
AUDIT = {"v": 1, "chain": "bot", "seq": 7, "prev": "a" * 64, "hash": "b" * 64}


def written(value: Any) -> bytes:
    """Return *value* as JSON, in our manner."""
    shown = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return escape(shown).encode()


def line(**fields: Any) -> bytes:
    """Return a line of ours with these fields after, or instead of, the usual ones."""
    return written({**LEAD, **fields})


def cut(message: bytes, limit: int = MIN_LIMIT) -> dict[str, Any]:
    """Return what a strict reader sees of *message*, cut to *limit* bytes."""
    short = shortened(message, limit)
    assert len(short) <= limit
    read = strict(short.decode())
    assert isinstance(read, dict)
    return read


LONG_TEXT = st.builds(
    lambda text, times: text * times, st.text(min_size=1), st.integers(1, 400)
)
# Of all shapes and sizes, often too large.
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | LONG_TEXT,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.text() | LONG_TEXT, inner, max_size=30)
    ),
    max_leaves=40,
).filter(lambda value: "Infinity" not in json.dumps(value))
OBJECTS = st.dictionaries(
    st.sampled_from([*LEAD, "context", "exception", "truncated", "audit"]) | LONG_TEXT,
    VALUES,
)
LIMITS = st.integers(MIN_LIMIT, 4 * MIN_LIMIT)


class TestAnything:
    @fewer_examples(2)
    @given(OBJECTS, LIMITS, st.booleans())
    def test_object(self, value: dict[str, Any], limit: int, is_ascii: bool) -> None:
        """
        A JSON object, however it is written, stays a valid one, fits, and says so.
        """
        value["long"] = "x" * limit

        for separators in ((",", ":"), (" , ", "\n:\t")):
            text = json.dumps(value, ensure_ascii=is_ascii, separators=separators)
            read = cut(text.encode(), limit)

            assert True is read["truncated"]
            assert read.keys() <= {*value, "truncated"}

    @given(VALUES, VALUES, LIMITS)
    def test_lead(self, context: Any, exception: Any, limit: int) -> None:
        """
        Whatever follows them, the first four fields of a line survive.
        """
        message = line(context=context, exception=exception, long="x" * limit)

        read = cut(message, limit)

        assert LEAD == {name: read.get(name) for name in LEAD}

    @given(ANY_TEXT.filter(bool))
    def test_safe(self, text: str) -> None:
        """
        A text that is cut cannot forge a line.
        """
        short = shortened(line(context={"a": text * MIN_LIMIT}), MIN_LIMIT)

        assert [] == unsafe(short.decode())

    @given(st.binary(min_size=1))
    def test_bytes(self, part: bytes) -> None:
        """
        Whatever the bytes, what is cut fits, is UTF-8, and says how long it was.
        """
        message = part * (MIN_LIMIT + 1)

        short = shortened(message, MIN_LIMIT)

        assert len(short) <= MIN_LIMIT
        assert short.decode().endswith(f"[truncated from {len(message)} bytes]")


class TestLimit:
    def test_reached(self) -> None:
        """
        A message of exactly the limit is returned as it is.
        """
        message = line(context={"a": "x" * MIN_LIMIT})

        assert message is shortened(message, len(message))

    def test_passed(self) -> None:
        """
        One byte too many, and the message is cut, but no further than it must.
        """
        message = line(context={"a": "x" * 2_000})

        short = shortened(message, len(message) - 1)

        assert len(message) - 5 <= len(short) <= len(message) - 1


class TestObject:
    def test_golden(self) -> None:
        """
        The mark follows the other fields and precedes the audit, which is kept.
        """
        message = line(context={"a": "x" * 2_000, "n": 1}, stack="s", audit=AUDIT)

        read = cut(message)

        assert [*LEAD, "context", "stack", "truncated", "audit"] == [*read]
        assert ("s", True, AUDIT) == (read["stack"], read["truncated"], read["audit"])

    def test_marked_before(self) -> None:
        """
        A line that was cut before is marked once.
        """
        message = line(context={"a": "x" * 2_000}, truncated=True)

        assert 1 == shortened(message, MIN_LIMIT).count(b'"truncated"')

    def test_audit_last(self) -> None:
        """
        The audit is cut no earlier than the first fields.
        """
        long = dict.fromkeys(["context", "exception", "stack"], "x" * 2_000)

        assert AUDIT == cut(line(**long, audit=AUDIT))["audit"]

    def test_context_first(self) -> None:
        """
        While it is enough to cut the context, all else stays whole.
        """
        others = {"event": "e" * 500, "stack": "s" * 700}

        read = cut(line(**others, context={"a": "x" * 9_000}), 2_048)

        assert others == {name: read[name] for name in others}
        assert "x" * 100 in read["context"]["a"]

    def test_quarter(self) -> None:
        """
        Where all is large, the first fields have a half, others and context a quarter.
        """
        limit = 8_192
        large = "x" * 2 * limit

        read = cut(line(event=large, context={"a": large}, stack=large), limit)

        sizes = [len(written(read[name])) for name in ("event", "stack", "context")]
        for share, size in zip((limit / 2, limit / 4, limit / 4), sizes, strict=True):
            assert share - 150 <= size <= share

    def test_small_context_stays(self) -> None:
        """
        A context that is not to blame is not cut for an event that is.
        """
        context = {"pair": "A/B", "prices": [1, 2, 3]}

        assert context == cut(line(event="x" * 9_000, context=context))["context"]

    def test_without_context(self) -> None:
        """
        Objects of other programs are cut alike, their first four fields last.
        """
        read = cut(written({"a": "x" * 400, "b": 1, "c": 2, "d": 3, "e": "y" * 9_000}))

        assert ("x" * 400, 1, 2, 3) == tuple(read[name] for name in "abcd")
        assert read["e"].startswith("yyy")

    def test_spaces(self) -> None:
        """
        Spaces and line feeds around and inside an object do not matter.
        """
        message = json.dumps({**LEAD, "context": {"a": "x" * 2_000}}, indent=4)

        assert LEAD.items() <= cut(b" \n" + message.encode() + b"\r\n\t").items()


class TestValues:
    def test_largest_first(self) -> None:
        """
        Of several values only the large ones are cut, to the same size.
        """
        context = {"a": "x" * 9_000, "small": "s" * 100, "b": "y" * 5_000}

        read = cut(line(context=context), 2_048)["context"]

        assert "s" * 100 == read["small"]
        assert len(read["a"]) == len(read["b"]) > 800

    def test_nested(self) -> None:
        """
        A large value far inside is cut there, and its neighbours stay.
        """
        context = {"a": {"b": [1, {"c": "x" * 9_000, "d": True}, None]}}

        read = cut(line(context=context))["context"]["a"]["b"]

        assert (1, True, None) == (read[0], read[1]["d"], read[2])
        assert read[1]["c"].startswith("xxx")

    def test_both_ends(self) -> None:
        """
        A text keeps both its ends, and says how many characters it lost between.
        """
        read = cut(line(context={"a": "start" + "é" * 5_000 + "end"}))["context"]["a"]

        start, mark, end = read.replace("]", "[").split("[")
        lost = int(mark.split()[1])
        assert f"truncated {lost} characters" == mark
        assert 5_008 == len(start) + lost + len(end)
        assert ("start", "end") == (start[:5], end[-3:])

    def test_escapes(self) -> None:
        """
        A text that is long for its escapes alone is written with fewer.
        """
        message = json.dumps({**LEAD, "context": {"a": "ä" * 300}}).encode()

        assert "ä" * 300 == cut(message)["context"]["a"]

    def test_digits(self) -> None:
        """
        Numbers keep every digit, and their form.
        """
        message = b'{"a":1.10,"b":1e400,"c":%s,"d":"%s"}' % (b"7" * 400, b"x" * 2_000)

        short = shortened(message, MIN_LIMIT)

        assert short.startswith(b'{"a":1.10,"b":1e400,"c":' + b"7" * 400 + b",")

    def test_long_number(self) -> None:
        """
        A number that has no room is not cut, which would be another, but marked.
        """
        read = cut(b'{"a":%s}' % (b"7" * 5_000))

        assert {"a": "[truncated 5000 bytes]", "truncated": True} == read

    def test_array(self) -> None:
        """
        An array too long for marks loses its last values, and counts them.
        """
        read = cut(line(context={"a": [*range(5_000)]}))["context"]["a"]

        kept = len(read) - 1
        assert [*range(kept), f"[truncated {5_000 - kept} values]"] == read
        assert kept > 100

    def test_many_small(self) -> None:
        """
        Of many small values as many stay, unchanged, as there is room for.
        """
        context = {f"key{number:04}": number % 10 for number in range(5_000)}

        read = cut(line(context=context))["context"]

        assert read.items() <= context.items()
        assert len(read) > 50

    def test_long_key(self) -> None:
        """
        A key is never cut; if it has no room, it goes with its value.
        """
        read = cut(line(context={"k" * 5_000: 1, "b": 2}))

        assert {"b": 2} == read["context"]

    def test_long_keys_only(self) -> None:
        """
        An object that has no room for any key becomes a mark, as does an array.
        """
        nested = {"k" * 5_000: 1}
        read = cut(line(context={"a": nested, "b": [nested]}))

        size = len(written(nested))
        assert f"[truncated {size} bytes]" == read["context"]["a"]
        assert [f"[truncated {size} bytes]"] == read["context"]["b"]

    def test_no_room_for_values(self) -> None:
        """
        An array that has no room for even a mark within it becomes one.
        """
        read = cut(line(context={f"key{number}": ["x" * 99] for number in range(12)}))

        assert {f"key{number}": "[truncated 103 bytes]" for number in range(12)} == (
            read["context"]
        )

    def test_too_deep(self) -> None:
        """
        What lies more than 20 levels deep is cut as a whole.
        """
        deep: Any = {"a": "x" * 9_000}
        size = len(written(deep))
        for _ in range(20):
            deep = {"a": deep}

        read = cut(line(context=deep))["context"]

        for _ in range(20):
            read = read["a"]
        assert f"[truncated {size} bytes]" == read


class TestText:
    @pytest.mark.parametrize(
        "message",
        [
            b'["' + b"x" * 2_000 + b'"]',
            b'"' + b"x" * 2_000 + b'"',
            b'{"a":NaN,"b":"' + b"x" * 2_000 + b'"}',
            b'{"a":"' + b"x" * 2_000 + b'",}',
            b'{"a":"' + b"x" * 2_000 + b'"} {}',
            b'{"a":"\xff' + b"x" * 2_000 + b'"}',
            b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        ],
        ids=["array", "text", "NaN", "comma", "two", "not UTF-8", "too deep"],
    )
    def test_no_object(self, message: bytes) -> None:
        """
        What is no JSON object is cut as text.
        """
        short = shortened(message, MIN_LIMIT)

        assert short.endswith(_mark(message))
        assert MIN_LIMIT - 3 <= len(short) <= MIN_LIMIT

    @pytest.mark.parametrize("shift", range(4))
    def test_character(self, shift: int) -> None:
        """
        No character is cut in two.
        """
        message = b"x" * shift + "😀".encode() * 1_000

        short = shortened(message, MIN_LIMIT)

        assert short.endswith("😀".encode() + _mark(message))
        assert MIN_LIMIT - 3 <= len(short) <= MIN_LIMIT


def _mark(message: bytes) -> bytes:
    return b"[truncated from %d bytes]" % len(message)
