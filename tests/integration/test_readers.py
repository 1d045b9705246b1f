"""
A hostile corpus through all three outputs, and what other people's readers say.

A child loads the shipped ``logging.yaml`` by plain dictConfig and logs the
corpus; the readers are those an operator has: jq, Node and DuckDB.
"""

from __future__ import annotations

import builtins
import enum
import json
import logging
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import duckdb
import pytest

from chimera_log import get_logger
from chimera_log.audit.chain import OURS
from tests.integration.support import (
    LOAD,
    PATIENCE,
    lines_of,
    parsed,
    run_python,
)
from tests.logs import unchained

OUTPUTS = ("console", "chimera.log", "executions.log")
SURROGATE = "\ud800"
# Controls but for the line feed, line separators, orders to turn the text around.
UNSAFE = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MEGABYTE = 1_000_000
LARGEST_OBJECT = 4 * MEGABYTE  # DuckDB's own default is 16 MiB
# What `logging` refuses in `extra`, and LogRecord has of its own.
RESERVED = ("name", "msg", "args", "levelname", "exc_info", "message", "asctime")


class Case(NamedTuple):
    """One call that logs: ``log.info(message, *args, **options)``."""

    message: Any = "event"
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = {}  # noqa: RUF012  a tuple's default, never changed


class Unprintable:
    """Raises when shown."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    __str__ = __repr__


class UnprintableText(str):
    """Text that raises when shown."""

    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("no str")

    __repr__ = __str__


class UnprintableError(Exception):
    """An exception that raises when shown."""

    def __str__(self) -> str:
        raise ValueError("no message")

    __repr__ = __str__


class Broken(Mapping[str, Any]):
    """A mapping that has two items and gives none."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a", "b"])

    def __len__(self) -> int:
        return 2


class Side(enum.Enum):
    """An enumeration whose value is hostile."""

    BUY = float("nan")


@dataclass
class Order:
    """A dataclass with a hostile field."""

    amount: int = 10**24
    owner: Any = None


def said(**context: Any) -> Case:
    """Return the call that logs *context*."""
    return Case(options={"extra": {"context": context}})


def mapped(context: Any) -> Case:
    """Return the call that logs *context*, whatever it is."""
    return Case(options={"extra": {"context": context}})


def failed(error: BaseException) -> Case:
    """Return the call that logs *error* with its trace."""
    try:
        raise error
    except BaseException as caught:
        return Case(options={"exc_info": caught})


def cycle(kind: type[dict[Any, Any]] | type[list[Any]]) -> Any:
    """Return a container that contains itself."""
    container: Any = kind()
    if isinstance(container, dict):
        container["self"] = container
    else:
        container.append(container)
    return container


def nested(kind: type[dict[Any, Any]] | type[list[Any]], depth: int) -> Any:
    """Return containers of one *kind*, *depth* levels deep."""
    value: Any = "bottom"
    for _ in range(depth):
        value = {"in": value} if kind is dict else [value]
    return value


def chained(length: int) -> BaseException:
    """Return an exception that has *length* causes, the first caused by the last."""
    first = last = ValueError("0")
    for number in range(1, length):
        last.__cause__ = ValueError(f"{number}\n\x1b[31m{SURROGATE}")
        last = last.__cause__
    last.__cause__ = first
    return first


def corpus() -> dict[str, Case]:
    """Return the hostile calls, each by its name."""
    cases = {
        "wei": said(wei=10**24),
        "wei_max": said(wei=2**256, negative=-(2**256), edge=[2**53 - 1, 2**53]),
        "endless_integer": said(value=10**5_000),
        "not_finite": said(values=[float("nan"), float("inf"), float("-inf")]),
        "floats": said(values=[5e-324, 1.7976931348623157e308, -0.0, 0.1, 1e22]),
        "decimals": said(
            values=[Decimal("sNaN"), Decimal("1E+999999"), Decimal("1.10")]
        ),
        "surrogate": Case(f"a{SURROGATE}b", (), said(**{SURROGATE: SURROGATE}).options),
        "surrogate_pair": said(value="\ud83d\ude00"),
        "nul": Case("a\0b", (), mapped({"k\0": "v\0"}).options),
        "line_breaks": Case("a\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h\r\n"),
        "forged": Case(
            'x"}\n{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO"}'
        ),
        "ansi": Case(
            "\x1b[31mred\x1b[0m\x9b31m", (), said(title="\x1b]0;x\x07").options
        ),
        "bidi": said(value="\u202ecod.exe\u2066"),
        "noncharacters": said(value="\ufeff\uffff\U0010ffff\x7f\x80"),
        "megabyte": said(value="x" * MEGABYTE),
        "megabyte_of_euros": Case(
            "€" * MEGABYTE, (), said(value="€" * MEGABYTE).options
        ),
        "megabyte_of_nul": said(value="\0" * MEGABYTE),
        "just_fits": said(value="x" * (MEGABYTE - 1_000)),
        "many_values": said(values=list(range(200_000))),
        "many_keys": mapped({f"key{number}": number for number in range(5_000)}),
        "cycle_dict": mapped(cycle(dict)),
        "cycle_list": said(value=cycle(list)),
        "deep_dicts": said(value=nested(dict, 90)),
        "deep_lists": said(value=nested(list, 90)),
        "too_deep_dicts": said(value=nested(dict, 10_000)),
        "too_deep_lists": said(value=nested(list, 10_000)),
        "unprintable": said(value=Unprintable(), values=[Unprintable()]),
        "unprintable_text": said(value=UnprintableText("shown")),
        "unprintable_message": Case(Unprintable()),
        "unprintable_text_message": Case(UnprintableText("shown")),
        "unprintable_argument": Case("%s", (Unprintable(),)),
        "unprintable_context": mapped(Unprintable()),
        "broken_mapping": mapped(Broken()),
        "wrong_argument": Case("%d", ("x",)),
        "missing_argument": Case("%s %s", (1,)),
        "missing_name": Case("%(a)s", ({"b": 1},)),
        "lone_percent": Case("100%", (1,)),
        "format_of_ours": Case(
            "%(event)s %s {} %%", (), said(**{"%s": "%(x)s"}).options
        ),
        "message_bytes": Case(b"\xff\0"),
        "message_none": Case(None),
        "bytes": said(values=[b"\xff\0", bytearray(b"\n"), memoryview(b"\x1b")]),
        "context_text": mapped("text"),
        "context_none": mapped(None),
        "context_list": mapped([1, float("nan")]),
        "keys": mapped(
            {1: "a", "1": "b", None: 2, False: 3, (1, 2): 4, b"\xff": 5, 1.5: 6}
        ),
        "unprintable_key": mapped({Unprintable(): 1, Unprintable(): 2}),
        "keys_of_two_cases": mapped({"a": 1, "A": 2, "": 3, " ": 4, "__proto__": 5}),
        "fields_of_ours": mapped(
            {"timestamp": 1, "event": 2, "context": 3, "audit": 4}
        ),
        "flat_extra": Case(
            options={"extra": {"timestamp": "x", 1: 2, "level": SURROGATE}}
        ),
        "types": said(
            order=Order(owner=Unprintable()),
            side=Side.BUY,
            id=uuid.UUID(int=0),
            path=PurePosixPath("/\udcff"),
            mixed={1, "a", None},
            zone=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
            function=len,
            kind=Unprintable,
            generator=(number for number in range(3)),
            imaginary=1j,
        ),
        "exception": failed(ValueError("boom\n\x1b[31m" + SURROGATE)),
        "exception_unprintable": failed(UnprintableError()),
        "exception_chain": failed(chained(50)),
        "exception_long_chain": failed(chained(2_000)),
        "exception_not_caught": Case(options={"exc_info": True}),
        "exception_without_trace": Case(
            options={"exc_info": (ValueError, ValueError("x"), None)}
        ),
        "exception_in_context": said(
            error=UnprintableError(), base=KeyboardInterrupt()
        ),
        "stack": Case(options={"stack_info": True}),
    }
    if sys.version_info >= (3, 11):
        group = builtins.ExceptionGroup
        inner = group("inner", [ValueError(SURROGATE), UnprintableError()])
        inner.add_note("a note\n\u2028")
        cases["exception_group"] = failed(group("outer", [inner, KeyError("x")]))
    for name in RESERVED:
        cases[f"reserved_{name}"] = Case(options={"extra": {name: "mine"}})
    return cases


def modules() -> list[str]:
    """Return the logger of each record that `log_corpus` logs, in order."""
    plain = [f"plain.{name}" for name in corpus() if not name.startswith("reserved_")]
    return plain + [f"adapter.{name}" for name in corpus()]


def modules_in(output: Path) -> list[str]:
    """Return the same for *output*; all but the trail are told where the trail ends."""
    return modules() + [OURS] * (output.name != "executions.log")


def log_corpus() -> None:
    """Log every case, as part of the trail too; tell what raised on stderr."""
    cases = corpus()
    for module in modules():
        kind, _, name = module.partition(".")
        case = cases[name]
        log = logging.getLogger(module) if kind == "plain" else get_logger(module)
        options = {
            **case.options,
            "extra": {"audit": True, **case.options.get("extra", {})},
        }
        try:
            log.info(case.message, *case.args, **options)
        except BaseException as error:
            print(f"{module} raised {type(error).__name__}", file=sys.stderr)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a child logged the corpus; ``console`` is its stdout."""
    directory = tmp_path_factory.mktemp("corpus")
    script = f"{LOAD}\nfrom {__name__} import log_corpus\nlog_corpus()"
    done = run_python(script, directory, COVERAGE_PROCESS_CONFIG="")
    (directory / "console").write_bytes(done.stdout)
    (directory / "stderr").write_text(done.stderr, encoding="utf-8")
    return directory


@pytest.fixture(scope="module", params=OUTPUTS)
def output(request: pytest.FixtureRequest, directory: Path) -> Path:
    """Return one of the three outputs, as a file."""
    return directory / str(request.param)


@cache
def records_in(output: Path) -> list[dict[str, Any]]:
    """Return the lines of *output*, which nobody changes any more, as a strict reader."""
    return parsed(lines_of(output))


class TestCorpus:
    """What the child that logs finds, and what it writes."""

    def test_nothing_raises(self, directory: Path) -> None:
        """
        No exception reaches the caller, and no logging error is told on stderr.
        """
        assert "" == (directory / "stderr").read_text(encoding="utf-8")

    def test_nothing_is_lost(self, output: Path) -> None:
        """
        Each call leaves one line in each output, in the order of the calls.
        """
        found = [record["module"] for record in records_in(output)]

        assert modules_in(output) == found

    def test_trail_is_chained(self, directory: Path) -> None:
        """
        The trail links the very lines that the other outputs have.
        """
        *expected, _ = lines_of(directory / "chimera.log")

        assert expected == unchained(lines_of(directory / "executions.log"))

    def test_lines_are_bounded(self, output: Path) -> None:
        """
        No line is longer than the shipped file allows, its line feed included; in the
        trail, what links it comes on top.
        """
        lines = lines_of(output)
        if output.name == "executions.log":
            lines = unchained(lines)

        assert all(len(line) < MEGABYTE for line in lines)

    def test_nothing_for_a_terminal(self, output: Path) -> None:
        """
        No line holds a control character or a line break of any alphabet.
        """
        assert [] == UNSAFE.findall(output.read_text(encoding="utf-8"))

    def test_undecidable_record_is_kept(self, tmp_path: Path) -> None:
        """
        A record whose event cannot be read is in the trail, with a line on stderr.
        """
        script = f"""{LOAD}
from {__name__} import Unprintable
for _ in range(2):
    logging.getLogger("bot").info(Unprintable())
logging.getLogger("bot").info("ordinary")
"""
        done = run_python(script, tmp_path)

        *logged, _ = parsed(lines_of(tmp_path / "chimera.log"))
        assert ["bot"] * 3 == [record["module"] for record in logged]
        assert 2 == len(lines_of(tmp_path / "executions.log"))
        assert "kept a record in the trail" in done.stderr.splitlines()[0]


class TestReaders:
    """What other people's readers make of the lines."""

    def test_jq(self, output: Path) -> None:
        """
        Every line is read by ``jq -c .``, which says the same.
        """
        read = _by_command("jq", "-c", ".", str(output))

        assert records_in(output) == read

    def test_jq_keeps_wei(self, output: Path) -> None:
        """
        What jq prints has all digits of 10**24.
        """
        program = 'select(.module == "plain.wei") | .context.wei'

        assert [str(10**24)] == _by_command("jq", program, str(output))

    def test_node(self, output: Path) -> None:
        """
        Node's ``JSON.parse`` reads every line, and says the same.
        """
        program = """
            const text = require("fs").readFileSync(process.argv[1], "utf8");
            for (const line of text.split("\\n").slice(0, -1))
                console.log(JSON.stringify(JSON.parse(line)));
        """
        assert records_in(output) == _by_command("node", "-e", program, str(output))

    def test_node_keeps_wei(self, output: Path) -> None:
        """
        What Node prints has all digits of 10**24.
        """
        program = """
            const text = require("fs").readFileSync(process.argv[1], "utf8");
            const line = text.split("\\n").find(line => line.includes('"plain.wei"'));
            console.log(JSON.stringify(JSON.parse(line).context.wei));
        """
        assert [str(10**24)] == _by_command("node", "-e", program, str(output))

    def test_duckdb(self, output: Path) -> None:
        """
        DuckDB reads every line.
        """
        assert [(len(modules_in(output)),)] == _by_duckdb("count(*)", output)

    def test_duckdb_keeps_wei(self, output: Path) -> None:
        """
        What DuckDB selects has all digits of 10**24.
        """
        where = "module = 'plain.wei'"

        assert [(str(10**24),)] == _by_duckdb("context->>'$.wei'", output, where)


def _by_command(*command: str) -> list[Any]:
    """Return the documents that *command* prints, one a line."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert (0, b"") == (done.returncode, done.stderr)
    return [json.loads(line) for line in lines_of(done.stdout)]


def _by_duckdb(what: str, path: Path, where: str = "true") -> list[Any]:
    """Return *what* DuckDB selects of the lines in *path*, all columns read."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE line AS SELECT * FROM read_json(?, "
            "format = 'newline_delimited', maximum_object_size = ?)",
            [str(path), LARGEST_OBJECT],
        )
        query = f"SELECT {what} FROM line WHERE {where}"
        return connection.execute(query).fetchall()
