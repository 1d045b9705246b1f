"""
The work of getting a trail into a database: when, by whom, and what if it fails.
"""

from __future__ import annotations

import errno
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.index import StoreError, database_of
from chimera_log.audit.indexing import LOCK, Indexing, chain_of, store_of
from chimera_log.audit.sqlite import SqliteStore
from chimera_log.aws.retry import TRANSIENT
from chimera_log.files import opening
from chimera_log.files.compress import Turn
from tests.logs import in_child, refusing
from tests.trails import CHAIN, NAME, Chain, Made, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_syncs")

NOTHING = {"rows": 0, "chain": "", "seq": 0, "last_error": None}


class Work:
    """
    A trail, its database, and who does the work, in a time of their own.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.log = Chain()
        database = database_of(f"sqlite:///{folder}/executions.db")
        assert database is not None
        self.database = database
        self.troubles: list[str] = []
        self.now = 1000.0
        self.task = self.another()

    def another(self, **options: Any) -> Indexing:
        """Return another one that would do the work."""
        return Indexing(
            str(self.path),
            self.database,
            1096,
            lambda kind, what: self.troubles.append(f"{kind}: {what}"),
            clock=lambda: 1.8e9,
            monotonic=self.monotonic,
            draw=lambda: 0.5,
            **options,
        )

    def monotonic(self) -> float:
        """Return the time, which goes on by a millisecond with each look."""
        self.now += 0.001
        return self.now

    def append(self, count: int = 1) -> None:
        """Append so many records."""
        with self.path.open("ab") as file:
            file.writelines(self.log.many(count))

    def until_rest(self) -> float:
        """Do all there is to do; return the pause after it."""
        while True:
            pause = self.task.step()
            assert pause is not None
            if self.task.is_at_rest and pause:
                return pause
            self.now += pause

    def indexed(self) -> list[int]:
        """Return the numbers of the rows that are in the database."""
        with closing(store_of(self.database, 1)) as store:
            return [row.seq for row in store.rows(CHAIN, 1, 10**6)]

    @property
    def statistics(self) -> dict[str, Any]:
        """What the work came to."""
        found: dict[str, Any] = self.task.statistics()._asdict()
        return found


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    """A trail without a file."""
    made = Work(tmp_path)
    yield made
    made.task.close()


class TestIndexed:
    def test_all(self, work: Work) -> None:
        """
        What is in the trail gets into the database, and what comes, a second later.
        """
        work.append(3)
        assert 1.0 == work.until_rest()
        assert [1, 2, 3] == work.indexed()

        work.append(2)
        assert work.task.step() is not None
        assert 1.0 == work.until_rest()
        assert [1, 2, 3, 4, 5] == work.indexed()
        assert {
            "rows": 5,
            "chain": CHAIN,
            "seq": 5,
            "last_error": None,
        } == work.statistics
        assert [] == work.troubles

    def test_begun_elsewhere(self, work: Work) -> None:
        """
        Another process goes on where the last one stopped.
        """
        work.append(3)
        work.until_rest()
        work.task.close()
        work.append(2)
        work.task = work.another()
        work.until_rest()

        assert [1, 2, 3, 4, 5] == work.indexed()
        assert 2 == work.statistics["rows"]

    def test_nothing_logged_yet(self, tmp_path: Path) -> None:
        """
        Where nothing was logged yet, nothing is made.
        """
        work = Work(tmp_path / "logs")

        assert 1.0 == work.task.step()
        assert work.task.is_at_rest
        assert NOTHING == work.statistics
        assert [] == list(tmp_path.iterdir())

    def test_half_of_the_time(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        With much to do it rests as long as it worked, unless it may take all.
        """
        work.append(1)

        def slow(*_: object) -> int:
            work.now += 2
            return 1

        monkeypatch.setattr(SqliteStore, "add", slow)
        work.task.step()
        assert pytest.approx(2, abs=0.01) == work.task.step()

        work.task.close()
        work.task = work.another(share=1)
        work.task.step()
        assert 0 == work.task.step()

    def test_not_chained(self, work: Work) -> None:
        """
        Lines that are not chained come to nothing.
        """
        work.path.write_bytes(line(1) + line(2))
        work.until_rest()

        assert [] == work.indexed()

    def test_damaged(self, work: Work) -> None:
        """
        What cannot be unpacked is told, and the rest is read.
        """
        made = Made(
            work.path.parent, [work.log.many(2), work.log.many(2)], is_packed=True
        )
        made.place(0).write_bytes(made.place(0).read_bytes()[:-3])
        work.until_rest()

        assert [1, 2, 3, 4] == work.indexed()
        assert [
            f"index: {made.place(0).name}: cannot be read any further (cut off); "
            "the index is without the rest"
        ] == work.troubles

    def test_old_rows_go(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Once an hour, and as long as there are some, rows that are too old go.
        """
        answers = iter([True, False, False])
        asked: list[float] = []

        def expire(_: SqliteStore, now: float) -> bool:
            asked.append(now)
            return next(answers)

        monkeypatch.setattr(SqliteStore, "expire", expire)
        work.append()
        work.until_rest()
        assert [1.8e9] * 2 == asked

        assert 1.0 == work.task.step()
        work.now += 3600
        work.until_rest()
        assert [1.8e9] * 3 == asked


class TestOneOnly:
    def test_another_process(self, work: Work) -> None:
        """
        While another process does it, it is left to that one.
        """
        work.append(2)
        other = Turn(str(work.path.parent / f".{NAME}.d"), LOCK)
        assert other.take()

        pause = work.task.step()
        assert (5.0, True, False) == (
            pause,
            work.task.is_elsewhere,
            work.task.is_at_rest,
        )

        other.release()
        work.until_rest()
        assert [1, 2] == work.indexed()

    def test_closed(self, work: Work) -> None:
        """
        Who is done lets another one do it.
        """
        work.append(1)
        work.until_rest()
        work.task.close()
        other = work.another()

        assert 0 == other.step()
        other.close()

    def test_forked(self, work: Work) -> None:
        """
        A forked child has none of its parent's, and leaves the work to it.
        """
        work.append(2)
        work.until_rest()

        def child() -> bool:
            work.task.after_fork()
            return work.statistics == NOTHING and work.task.step() == 5.0

        assert in_child(child)
        work.append(1)
        work.until_rest()
        assert [1, 2, 3] == work.indexed()

    def test_begins_again(self, work: Work) -> None:
        """
        What it let go of it begins again.
        """
        work.append(2)
        work.until_rest()
        work.task.after_fork()
        assert NOTHING == work.statistics

        work.append(1)
        work.until_rest()
        assert [1, 2, 3] == work.indexed()

    def test_forked_before_it_began(self, work: Work) -> None:
        """
        There may be nothing to let go of.
        """
        work.task.after_fork()

        assert NOTHING == work.statistics


class TestTrouble:
    def test_outage(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        While the database is away it is told, tried again ever more rarely, and
        nothing is lost or waits in memory.
        """
        work.append(2)
        work.until_rest()
        with monkeypatch.context() as patch:
            down = StoreError("the database is down")
            patch.setattr(SqliteStore, "add", refusing_with(down))
            patch.setattr(SqliteStore, "position", refusing_with(down))
            work.append(2)
            work.task.step()  # passes by what was read before
            pauses = []
            for _ in range(4):
                pause = work.task.step()
                assert pause is not None
                pauses.append(round(pause, 1))
                assert work.task.step() == pytest.approx(pause, abs=0.01)
                work.now += pause
            assert [3.8, 7.5, 15.0, 30.0] == pauses
            assert "the database is down" == work.statistics["last_error"]
            assert not work.task.is_at_rest
        work.append(1)
        work.until_rest()

        assert [1, 2, 3, 4, 5] == work.indexed()
        assert work.statistics["last_error"] is None
        assert [
            "index: the database is down; it is tried again, nothing is lost"
        ] * 4 == work.troubles

    def test_busy(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        What may work in a moment is tried in a moment.
        """
        work.append(1)
        with monkeypatch.context() as patch:
            busy = StoreError("database is locked", TRANSIENT)
            patch.setattr(SqliteStore, "position", refusing_with(busy))
            assert pytest.approx(0.1) == work.task.step()

    def test_trail_cannot_be_read(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A trail that cannot be read is told.
        """
        work.append(1)
        work.task.step()
        with monkeypatch.context() as patch:
            patch.setattr(opening, "read_at", refusing(errno.EIO))
            work.task.step()
        assert work.statistics["last_error"].startswith(
            "the trail cannot be followed: "
        )

        work.now += 10
        work.until_rest()
        assert [1] == work.indexed()

    def test_unexpected(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        So is what nobody thought of.
        """
        work.append(1)
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "position", refusing_with(KeyError("x")))
            work.task.step()

        assert "KeyError: 'x'" == work.statistics["last_error"]


class TestChainOf:
    def test_newest(self, tmp_path: Path) -> None:
        """
        Of the newest file that has one.
        """
        old, new = Chain(name="a" * 32), Chain(name="b" * 32)
        Made(tmp_path, [old.many(1), new.many(1), [line(1)]])

        assert "b" * 32 == chain_of(str(tmp_path / NAME))

    def test_none(self, tmp_path: Path) -> None:
        """
        There may be none.
        """
        path = tmp_path / NAME
        assert "" == chain_of(str(path))

        path.write_bytes(line(1))
        assert "" == chain_of(str(path))


class TestStoreOf:
    def test_postgresql(self) -> None:
        """
        Nothing is opened, or imported, before there is something to ask.
        """
        database = database_of("postgresql://nobody@127.0.0.1:1/logs")
        assert database is not None

        store_of(database, 1).close()


def refusing_with(error: Exception) -> Any:
    """Return what raises *error*, whatever it is asked."""

    def refuse(*_: object) -> Any:
        raise error

    return refuse
