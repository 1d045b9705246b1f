"""
The questions in the docs are asked of an archive of real records, and answered right.

What is expected is computed from what was logged, never from a file.  Athena is not
here: its statements are parsed, and translated for DuckDB, by sqlglot.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sqlite3
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from tests.archives import BUNDLE, HOSTS, TX, Logged, archived, logged_by
from tests.test_docs import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Rows = list[tuple[Any, ...]]

PAGE = (ROOT / "docs" / "queries.md").read_text()
DUCKDB_VIEWS = blocks(PAGE.split("\n### DuckDB\n")[1], "sql")[0]
ATHENA_TABLES = blocks(PAGE.split("\n### Athena\n")[1], "sql")[0]
QUESTIONS = [
    blocks(part, "sql")
    for part in re.split(
        r"^### \d+\. ", PAGE.split("\n## The SQL index\n")[0], flags=re.MULTILINE
    )[1:]
]
SQLITE_QUESTIONS = blocks(PAGE.split("\n### SQLite\n")[1].split("\n### ")[0], "sql")
POSTGRESQL_QUESTIONS = blocks(PAGE.split("\n### PostgreSQL\n")[1], "sql")


class Archive:
    """What was archived in *folder*, and what of it was logged."""

    def __init__(self, folder: Path, logged: list[Logged]) -> None:
        self.folder = folder
        self.logged = logged

    @property
    def executions(self) -> list[Logged]:
        """The attempts to trade."""
        return [each for each in self.logged if each.event == "execution_attempt"]

    @property
    def failures(self) -> list[Logged]:
        """Those that failed."""
        return [each for each in self.executions if each.level == "ERROR"]

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield each line with its host."""
        for path in sorted(self.folder.glob("data/*/*/*")):
            for line in gzip.decompress(path.read_bytes()).splitlines():
                yield path.parent.name.removeprefix("host="), line


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive of two hosts and three days."""
    folder = tmp_path_factory.mktemp("archive")
    bots = [logged_by(folder / host, host, 7 + i) for i, host in enumerate(HOSTS)]
    for bot in bots:
        archived(bot, folder / "bucket")
    return Archive(folder / "bucket", [each for bot in bots for each in bot.logged])


def _outcomes(archive: Archive) -> Rows:
    found: dict[Any, int] = defaultdict(int)
    for each in archive.executions:
        found[each.moment.date(), each.get("status")] += 1
    return [(*key, count) for key, count in sorted(found.items())]


def _profits(archive: Archive) -> Rows:
    found = defaultdict(list)
    for each in archive.executions:
        if each.get("actual_profit_wei") is not None:
            found[each.get("strategy")].append(each)
    rows = []
    for strategy, those in found.items():
        profit = sum(int(each.get("actual_profit_wei")) for each in those)
        promise = sum(int(each.get("expected_profit_wei")) for each in those)
        ether = round(float(profit) / 1e18, 6)
        rows.append((strategy, len(those), profit, profit - promise, ether))
    return sorted(rows, key=lambda row: -row[2])


def _slowest(archive: Archive) -> Rows:
    those = [each for each in archive.executions if each.get("latency_ms")]
    those.sort(key=lambda each: (-each.get("latency_ms"), each.timestamp))
    names = ("strategy", "status", "tx_hash")
    return [
        (each.get("latency_ms"), each.timestamp, each.host, *map(each.get, names))
        for each in those[:10]
    ]


def _around_block(archive: Archive) -> Rows:
    return sorted(
        (
            each.get("block_number"),
            *(each.timestamp, each.host, each.get("strategy"), each.get("status")),
            *(each.reason, each.get("tx_hash")),
        )
        for each in archive.failures
        if abs(each.get("block_number") - 23_660_040) <= 5
    )


def _gas(archive: Archive) -> Rows:
    found = defaultdict(list)
    for each in archive.executions:
        if each.get("gas_used"):
            gas, price = each.get("gas_used"), int(each.get("gas_price_wei"))
            found[each.moment.date()].append((gas, price))
    return [
        (
            day,
            len(those),
            sum(gas for gas, _ in those),
            sum(gas * price for gas, price in those),
            max(price for _, price in those),
        )
        for day, those in sorted(found.items())
    ]


def _reasons(archive: Archive) -> Rows:
    found = defaultdict(list)
    for each in archive.failures:
        found[each.reason].append(each.timestamp)
    rows = [
        (reason, len(times), min(times), max(times)) for reason, times in found.items()
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _story(archive: Archive) -> Rows:
    return sorted(
        (
            *(each.timestamp, each.host, each.event, each.level),
            *(each.get("status"), each.error, each.seq),
        )
        for each in archive.logged
        if each.get("tx_hash") == TX or each.get("bundle_hash") == BUNDLE
    )


def _hour(archive: Archive) -> Rows:
    return [
        (
            *(each.seq, each.timestamp, each.event, each.level),
            *map(each.get, ("strategy", "status", "block_number")),
            each.error,
        )
        for each in archive.logged
        if each.host == "bot-1" and each.timestamp.startswith("2025-10-27T14")
    ]


def _none(archive: Archive) -> Rows:  # noqa: ARG001  like the others
    return []


# Title and answer, in the page's order; how many rows there are at least.
ANSWERS: list[tuple[str, Callable[[Archive], Rows], int]] = [
    ("outcomes", _outcomes, 10),
    ("profits", _profits, 3),
    ("gaps", _none, 0),
    ("slowest", _slowest, 10),
    ("around a block", _around_block, 5),
    ("gas", _gas, 3),
    ("reasons", _reasons, 3),
    ("story", _story, 5),
    ("hour", _hour, 4),
    ("manifests", _none, 0),
]
EACH = pytest.mark.parametrize(
    ("number", "answer", "at_least"),
    [
        pytest.param(i, answer, least, id=name)
        for i, (name, answer, least) in enumerate(ANSWERS)
    ],
)


def test_ten_questions() -> None:
    """
    Each is asked of both engines.
    """
    assert 10 == len(QUESTIONS) == len(ANSWERS)
    assert [2] * 10 == [len(each) for each in QUESTIONS]


@pytest.fixture(scope="module")
def by_duckdb(archive: Archive) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the page's views."""
    with duckdb.connect() as connection:
        connection.execute(here(DUCKDB_VIEWS, archive.folder))
        yield connection


def here(views: str, folder: Path) -> str:
    """Return the page's *views* of what is in *folder*."""
    return re.sub(r"'(data|manifests)/", rf"'{folder}/\1/", views)


class TestDuckDB:
    @EACH
    def test_answer(
        self,
        archive: Archive,
        by_duckdb: duckdb.DuckDBPyConnection,
        number: int,
        answer: Callable[[Archive], Rows],
        at_least: int,
    ) -> None:
        """
        It answers as one who knows what was logged.
        """
        expected = answer(archive)

        assert at_least <= len(expected)
        assert expected == by_duckdb.execute(QUESTIONS[number][0]).fetchall()

    def test_columns(self, by_duckdb: duckdb.DuckDBPyConnection) -> None:
        """
        The view has the columns of the table on the page, in that order.
        """
        table = PAGE.split("\n| column |")[1].split("\n\n")[0]
        named = [
            name
            for row in table.splitlines()[2:]
            for name in re.findall(r"`(\w+)`", row.split("|")[1])
        ]
        described = by_duckdb.execute("DESCRIBE audit").fetchall()

        assert sorted(named) == sorted(row[0] for row in described)

    def test_wei_are_exact(
        self, archive: Archive, by_duckdb: duckdb.DuckDBPyConnection
    ) -> None:
        """
        No digit of an amount is lost, though a double would lose some.
        """
        expected = [
            (int(each.get("expected_profit_wei")),)
            for each in archive.executions
            if each.get("expected_profit_wei")
        ]
        found = by_duckdb.execute("""
            SELECT expected_profit_wei FROM executions
            WHERE expected_profit_wei IS NOT NULL ORDER BY host, seq
        """).fetchall()

        assert expected == found
        assert any(int(float(wei)) != wei for (wei,) in expected)


class TestMissing:
    @pytest.fixture
    def damaged(self, archive: Archive, tmp_path: Path) -> Path:
        """A copy of the archive without one object, and with a damaged line."""
        folder = tmp_path / "bucket"
        shutil.copytree(archive.folder, folder)
        (gone, *_) = sorted(folder.glob("data/dt=2025-10-27/host=bot-2/*"))
        gone.unlink()
        (hurt, *_) = sorted(folder.glob("data/dt=2025-10-26/host=bot-1/*"))
        first, second, *rest = gzip.decompress(hurt.read_bytes()).splitlines()
        lines = [first, second[:40], *rest]
        hurt.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
        return folder

    def test_gaps(self, damaged: Path) -> None:
        """
        The third question names what is missing, and what cannot be read.
        """
        with duckdb.connect() as connection:
            connection.execute(here(DUCKDB_VIEWS, damaged))
            rows = connection.execute(QUESTIONS[2][0]).fetchall()

        assert [("bot-1", 2, 2), ("bot-2", 25, 36)] == [
            (host, first, last) for host, _, first, last in rows
        ]

    def test_head(self, damaged: Path) -> None:
        """
        So it does where the first object is gone.
        """
        (first, *_) = sorted(damaged.glob("data/dt=2025-10-26/host=bot-2/*"))
        first.unlink()
        with duckdb.connect() as connection:
            connection.execute(here(DUCKDB_VIEWS, damaged))
            rows = connection.execute(QUESTIONS[2][0]).fetchall()

        assert ("bot-2", 1, 12) == (rows[1][0], *rows[1][2:])

    def test_manifests(self, damaged: Path) -> None:
        """
        The tenth question names the day on which objects are missing.
        """
        with duckdb.connect() as connection:
            connection.execute(here(DUCKDB_VIEWS, damaged))
            rows = connection.execute(QUESTIONS[9][0]).fetchall()

        assert [(date(2025, 10, 27), "bot-2", 24, 12)] == rows

    def test_manifests_gone(self, damaged: Path) -> None:
        """
        It names objects without a manifest as well.
        """
        shutil.rmtree(damaged / "manifests" / "dt=2025-10-26" / "host=bot-2")
        with duckdb.connect() as connection:
            connection.execute(here(DUCKDB_VIEWS, damaged))
            rows = connection.execute(QUESTIONS[9][0]).fetchall()

        assert (date(2025, 10, 26), "bot-2", 0, 24) == rows[0]

    def test_athena(self, damaged: Path) -> None:
        """
        Athena's statement finds the same by the manifests' keys, and the line that
        has no number.
        """
        with _translated(damaged) as connection:
            rows = connection.execute(_as_duckdb(QUESTIONS[9][1])).fetchall()

        assert [
            ("2025-10-26", "bot-1", 24, 23),
            ("2025-10-27", "bot-2", 24, 12),
        ] == rows


def _parsed(statements: str) -> list[Any]:
    """
    Return Athena's *statements*, parsed; one that is not understood is refused.

    Athena makes tables in the words of Hive, and all else in those of Trino.
    """
    found = []
    for statement in re.split(r";\n+", statements.strip() + "\n"):
        if statement:
            is_table = statement.startswith("CREATE EXTERNAL TABLE ")
            dialect = "hive" if is_table else "trino"
            parsed = sqlglot.parse_one(statement, read=dialect)
            assert not isinstance(parsed, exp.Command), statement
            found.append(parsed)
    return found


def _as_duckdb(statement: str) -> str:
    (parsed,) = _parsed(statement)
    translated: str = parsed.sql(dialect="duckdb")
    return translated


def _tables() -> dict[str, exp.Create]:
    """Return the page's tables in Athena by name."""
    return {
        each.this.this.name: each
        for each in _parsed(ATHENA_TABLES)
        if isinstance(each, exp.Create) and each.kind == "TABLE"
    }


def _columns(table: exp.Create) -> dict[str, exp.DataType]:
    return {each.name: each.kind for each in table.this.expressions}


def _properties(table: exp.Create) -> dict[str, str]:
    return {
        each.name: each.args["value"].name
        for each in table.args["properties"].find_all(exp.Property)
        if type(each) is exp.Property
    }


def _translated(folder: Path) -> duckdb.DuckDBPyConnection:
    """
    Return DuckDB with Athena's tables and views, of what is in *folder*.

    Its columns have the types that the page gives them in Athena.
    """
    connection = duckdb.connect()
    columns = ", ".join(
        f"\"{name}\": '{kind.sql(dialect='duckdb')}'"
        for name, kind in _columns(_tables()["trail"]).items()
    )
    views = f"""
        CREATE VIEW trail AS SELECT * RENAME (filename AS "$path")
        FROM read_json('{folder}/data/*/*/*', format = 'newline_delimited',
            ignore_errors = true, filename = true, hive_partitioning = true,
            hive_types = {{dt: VARCHAR, host: VARCHAR}}, columns = {{{columns}}});
        CREATE VIEW manifests AS SELECT * RENAME (filename AS "$path")
        FROM read_csv('{folder}/manifests/*/*/*', delim = '\\x01', header = false,
            quote = '', escape = '', filename = true, hive_partitioning = true,
            hive_types = {{dt: VARCHAR, host: VARCHAR}}, columns = {{line: VARCHAR}});
    """
    connection.execute(views)
    for each in _parsed(ATHENA_TABLES):
        if each.kind == "VIEW":
            connection.execute(each.sql(dialect="duckdb"))
    return connection


@pytest.fixture(scope="module")
def translated(archive: Archive) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with what the page has Athena make."""
    with _translated(archive.folder) as connection:
        yield connection


class TestAthena:
    @EACH
    def test_answer(
        self,
        archive: Archive,
        translated: duckdb.DuckDBPyConnection,
        number: int,
        answer: Callable[[Archive], Rows],
        at_least: int,
    ) -> None:
        """
        Its statement, translated, has the same answer.
        """
        expected = answer(archive)

        assert at_least <= len(expected)
        statement = _as_duckdb(QUESTIONS[number][1])
        assert expected == translated.execute(statement).fetchall()

    def test_views_are_alike(
        self,
        by_duckdb: duckdb.DuckDBPyConnection,
        translated: duckdb.DuckDBPyConnection,
    ) -> None:
        """
        The view has the columns of DuckDB's, of the same types but for the day's.
        """
        ours, athenas = (
            [row[:2] for row in each.execute("DESCRIBE audit").fetchall()]
            for each in (by_duckdb, translated)
        )

        assert ("dt", "DATE") == ours.pop(0)
        assert ("dt", "VARCHAR") == athenas.pop(0)
        assert ours == athenas

    def test_every_field_has_a_column(self, archive: Archive) -> None:
        """
        Whatever is in a line, but for the fields of the context, is in the table.
        """
        kinds = _columns(_tables()["trail"])
        inside = {
            name: {each.name for each in kind.expressions}
            for name, kind in kinds.items()
        }
        for _, line in archive.lines():
            content = json.loads(line)
            assert set(content) <= set(kinds)
            for name in ("exception", "audit"):
                assert set(content.get(name, {})) <= inside[name]

    @pytest.mark.parametrize("name", ["trail", "manifests"])
    def test_partitions(self, archive: Archive, name: str) -> None:
        """
        Each object is where a partition of its table is, and in its range.
        """
        table = _tables()[name]
        partitions = table.find(exp.PartitionedByProperty)
        found = _properties(table)
        kind = {"trail": "data"}.get(name, name)
        location = f"s3://my-audit-bucket/{kind}/"

        assert partitions is not None
        assert "true" == found["projection.enabled"]
        assert ["dt", "host"] == [each.name for each in partitions.this.expressions]
        assert location == table.find(exp.LocationProperty).name  # type: ignore[union-attr]
        assert (
            f"{location}dt=${{dt}}/host=${{host}}/"
            == found["storage.location.template"]
        )
        assert set(HOSTS) == set(found["projection.host.values"].split(","))
        first, _ = found["projection.dt.range"].split(",")
        for path in archive.folder.glob(f"{kind}/*/*/*"):
            assert first <= path.parts[-3].removeprefix("dt=")


def _rows(archive: Archive) -> Iterator[list[Any]]:
    """Yield what a database's index has of each line."""
    for _, line in archive.lines():
        content = json.loads(line)
        link = content["audit"]
        yield [
            *(link["chain"], link["seq"], content["timestamp"]),
            *(content[name] for name in ("level", "module", "event")),
            *(link["hash"], line.decode()),
        ]


@pytest.fixture(scope="module")
def index(archive: Archive) -> Iterator[sqlite3.Connection]:
    """The SQL index of the archive."""
    connection = sqlite3.connect(":memory:")
    connection.execute("""
        CREATE TABLE audit (chain TEXT, seq INTEGER, ts TEXT, level TEXT, module TEXT,
            event TEXT, hash TEXT, line TEXT, PRIMARY KEY (chain, seq))
    """)
    insert = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    connection.executemany(insert, _rows(archive))
    yield connection
    connection.close()


class TestSQLite:
    def test_outcomes(self, archive: Archive, index: sqlite3.Connection) -> None:
        """
        The index counts as the archive does.
        """
        expected = [(str(day), *rest) for day, *rest in _outcomes(archive)]

        assert expected == index.execute(SQLITE_QUESTIONS[0]).fetchall()

    def test_gaps(self, index: sqlite3.Connection) -> None:
        """
        It has no gaps, and knows those that are made.
        """
        assert [] == index.execute(SQLITE_QUESTIONS[1]).fetchall()
        (chain,) = index.execute("SELECT max(chain) FROM audit").fetchone()
        index.execute("SAVEPOINT whole")
        index.execute(
            "DELETE FROM audit WHERE chain = ? AND seq IN (1, 7, 8)", (chain,)
        )
        found = index.execute(SQLITE_QUESTIONS[1]).fetchall()
        index.execute("ROLLBACK TO whole")

        assert [(chain, 1, 1), (chain, 7, 8)] == found

    def test_reasons(self, archive: Archive, index: sqlite3.Connection) -> None:
        """
        It knows why executions failed.
        """
        assert _reasons(archive) == index.execute(SQLITE_QUESTIONS[2]).fetchall()

    def test_story(self, archive: Archive, index: sqlite3.Connection) -> None:
        """
        It tells one transaction's story.
        """
        expected = [
            (
                *(each.timestamp, each.event, each.level),
                *(each.get("status"), each.error, each.seq),
            )
            for each in archive.logged
            if each.get("tx_hash") == TX
        ]

        assert 4 == len(expected)
        assert expected == index.execute(SQLITE_QUESTIONS[3]).fetchall()

    def test_all_are_asked(self) -> None:
        """
        No statement on the page is left out here.
        """
        assert 4 == len(SQLITE_QUESTIONS)


class TestPostgreSQL:
    @pytest.fixture
    def translated(self, archive: Archive) -> Iterator[duckdb.DuckDBPyConnection]:
        """DuckDB with the page's view, which itself it cannot make."""
        with duckdb.connect() as connection:
            connection.execute("""
                CREATE TABLE records (chain VARCHAR, seq BIGINT, ts TIMESTAMPTZ,
                    level VARCHAR, module VARCHAR, event VARCHAR, hash VARCHAR, record JSON);
                SET TimeZone = 'Asia/Tokyo';
            """)
            insert = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            connection.executemany(insert, list(_rows(archive)))
            yield connection

    @pytest.mark.parametrize(
        ("number", "answer", "columns"), [(1, _outcomes, 3), (2, _profits, 3)]
    )
    def test_answer(
        self,
        archive: Archive,
        translated: duckdb.DuckDBPyConnection,
        number: int,
        answer: Callable[[Archive], Rows],
        columns: int,
    ) -> None:
        """
        Its statement, translated, has the archive's answer, wherever the server is.
        """
        expected = [row[:columns] for row in answer(archive)]
        parsed = sqlglot.parse_one(POSTGRESQL_QUESTIONS[number], read="postgres")
        # DuckDB's DECIMAL has 18 digits, PostgreSQL's numeric as many as it takes.
        statement = parsed.sql(dialect="duckdb").replace("AS DECIMAL)", "AS HUGEINT)")

        assert expected == translated.execute(statement).fetchall()

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (r'"\u0000"', '""'),
            (r'"a\u0000\u0000b"', '"ab"'),
            (r'"\\u0000"', r'"\\u0000"'),
            (r'"\\\u0000"', r'"\\"'),
            (r'"\\\\u0000"', r'"\\\\u0000"'),
            (r'"\u00001"', '"1"'),
        ],
    )
    def test_nul_is_left_out(self, text: str, expected: str) -> None:
        """
        What the view leaves out of a record is the escape of a NUL, and nothing else.
        """
        (pattern, replacement) = re.findall(
            r"regexp_replace\(line, '(.*?)', '(.*?)', 'g'\)", POSTGRESQL_QUESTIONS[0]
        )[0]

        assert expected == re.sub(pattern, replacement, text)
        assert json.loads(text).replace("\0", "") == json.loads(expected)

    def test_all_are_asked(self) -> None:
        """
        No statement on the page is left out here.
        """
        assert 3 == len(POSTGRESQL_QUESTIONS)
