"""
A trail gets into its database whoever is killed, and whatever becomes of both.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log import AuditFileHandler
from chimera_log.audit import chain, tailing
from chimera_log.audit.comparing import Comparison
from chimera_log.audit.index import POSTGRESQL, SQLITE, database_of
from chimera_log.audit.indexing import Indexing, store_of
from chimera_log.files.names import segment_name
from tests.conftest import PATIENCE, record
from tests.trails import CHAIN, FIRST, NAME, Chain, Made, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chimera_log.audit.index import Database
    from tests.integration.postgres_server import Postgres

KILLS = 10


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A fresh database of either kind."""
    if request.param == SQLITE:
        url = f"sqlite:///{tmp_path}/executions.db"
    else:
        url = request.getfixturevalue("postgres").database()
    found = database_of(url)
    assert found is not None
    return found


def indexing(path: Path, database: Database, **options: Any) -> Indexing:
    """Return who does the work, all of the time."""
    return Indexing(
        str(path), database, 1096, lambda *_: None, **{"share": 1, **options}
    )


def until_rest(task: Indexing, after_each: Callable[[], object] = bool) -> None:
    """Have *task* do all there is to do."""
    deadline = time.monotonic() + 100 * PATIENCE
    while True:
        pause = task.step()
        after_each()
        if task.is_at_rest:
            break
        assert time.monotonic() < deadline
        time.sleep(pause)


def killed_on_the_way(path: Path, database: Database, steps: int) -> None:
    """Have a child do so many steps of the work, and die amid the next ones."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover  it is killed
        try:
            until_rest(indexing(path, database), lambda: os.write(write_end, b"."))
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        done = 0
        while done < steps:
            found = os.read(read_end, steps - done)
            assert found, "it ended too early to be killed"
            done += len(found)
    finally:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(read_end)
    assert signal.SIGKILL == os.WTERMSIG(status)


def assert_equal(path: Path, database: Database, count: int) -> None:
    """Assert that the rows are those of the trail, all of them."""
    with closing(store_of(database, 1096)) as store:
        assert (count, 0) == (store.count(CHAIN, 1, 2**62), store.count("", 0, 2**62))
        compared = Comparison(str(path), store, 1096, FIRST + 1e7, repair=False)
        assert [] == list(compared.differences())
        assert count == compared.records


class TestKilled:
    def test_ten_times(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        Whoever is killed at whatever moment, each record is there once at last.
        """
        monkeypatch.setattr(tailing, "_CHUNK", 16 * 1024)
        log = Chain()
        made = Made(tmp_path, [log.many(2_000), log.many(2_000), log.many(1_000)])
        for _ in range(KILLS):
            killed_on_the_way(made.path, database, random.randint(2, 9))  # noqa: S311
        with closing(indexing(made.path, database)) as task:
            until_rest(task)

        assert_equal(made.path, database, 5_000)

    @pytest.mark.long
    def test_a_million(
        self, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        So it is with a million records.
        """
        path = tmp_path / NAME
        for number, text in enumerate(million(100_000), 1):
            full = tmp_path / segment_name(NAME, FIRST, number)
            if number % 2:
                full.with_name(f"{full.name}.gz").write_bytes(gzip.compress(text, 1))
            else:
                full.write_bytes(text)
        full.rename(path)
        begun = time.monotonic()
        for _ in range(KILLS):
            killed_on_the_way(path, database, random.randint(2, 60))  # noqa: S311
        with closing(indexing(path, database)) as task:
            until_rest(task)
        took = time.monotonic() - begun
        with capsys.disabled():
            print(f"\n{database.kind}: {1e6 / took:,.0f} rows/s, {KILLS} kills")

        assert_equal(path, database, 1_000_000)


def million(size: int) -> Iterator[bytes]:
    """Yield a million linked records of usual length, so many a file."""
    head = chain.begin(CHAIN)
    lines = []
    while head.seq < 1_000_000:
        context = {
            "number": head.seq + 1,
            "tx_hash": f"0x{head.hash}",
            "bundle_hash": f"0x{head.hash[::-1]}",
            "strategy": "triangular_arbitrage",
            "status": "success",
            "block_number": 23_000_000 + head.seq,
            "gas_used": 184_223,
            "actual_profit_wei": "1234567890123456789",
        }
        content = {
            "timestamp": time_of(head.seq % 50_000 + 1),
            "level": "INFO",
            "module": "executions",
            "event": "execution_attempt",
            "context": context,
        }
        text = json.dumps(content, separators=(",", ":")).encode() + b"\n"
        line, head = chain.linked(text, head)
        lines.append(line)
        if not head.seq % size:
            yield b"".join(lines)
            lines.clear()


class TestLiving:
    def test_while_it_is_written(self, database: Database, tmp_path: Path) -> None:
        """
        While records come, and files are full, sealed and compressed, all get there.
        """
        path = tmp_path / NAME
        handler = AuditFileHandler(
            path, maxBytes=40_000, backupCount=5, compression="gzip", reserve_bytes=0
        )
        with closing(indexing(path, database)) as task:
            for number in range(1_000):
                handler.emit(record(f"event {number}", name="executions"))
                if not number % 25:
                    task.step()
            until_rest(task)
        handler.close()

        with closing(store_of(database, 1096)) as store:
            [first] = {link.chain for link in links(path)}
            rows = store.rows(first, 1, 10_000)
        assert [f"event {number}" for number in range(1_000)] == [
            row.event for row in rows if row.module == "executions"
        ]
        assert [*range(1, len(rows) + 1)] == [row.seq for row in rows]

    def test_files_go(self, database: Database, tmp_path: Path) -> None:
        """
        Files that are read may go; the rows stay.
        """
        log = Chain()
        made = Made(
            tmp_path, [log.many(20), log.many(20), log.many(20)], is_sealed=True
        )
        with closing(indexing(made.path, database)) as task:
            until_rest(task)
            made.prune(0)
            made.prune(1)
            with made.path.open("ab") as file:
                file.writelines(log.many(20))
            until_rest(task)

        with closing(store_of(database, 1096)) as store:
            assert 80 == store.count(CHAIN, 1, 999)


def links(path: Path) -> list[chain.Link]:
    """Return the links of the lines in a file."""
    lines = path.read_bytes().splitlines(keepends=True)
    return [link for link in map(chain.link_of, lines) if link is not None]


class TestOutage:
    def test_server_restarts(self, postgres: Postgres, tmp_path: Path) -> None:
        """
        While the server is down nothing is lost, one line tells of it, and it is seen
        in the statistics; when it is back, all goes on.
        """
        database = database_of(postgres.database())
        assert database is not None
        log = Chain()
        made = Made(tmp_path, [log.many(50)])
        now, troubles = [0.0], []

        def monotonic() -> float:
            now[0] += 0.001
            return now[0]

        task = Indexing(
            str(made.path),
            database,
            1096,
            lambda _, what: troubles.append(what),
            monotonic=monotonic,
        )

        def go_on() -> None:
            while True:
                now[0] += task.step()
                if task.is_at_rest:
                    break

        with closing(task):
            go_on()
            postgres.stop()
            try:
                with made.path.open("ab") as file:
                    file.writelines(log.many(50))
                while len(troubles) < 3:
                    now[0] += task.step()
                found = task.statistics()
            finally:
                postgres.start()
            assert (50, 50) == (found.rows, found.seq)
            assert "Connection refused" in found.last_error
            assert all("\n" not in each and "geheim" not in each for each in troubles)
            go_on()
            found = task.statistics()

        assert (100, 100, None) == (found.rows, found.seq, found.last_error)
        assert_equal(made.path, database, 100)
