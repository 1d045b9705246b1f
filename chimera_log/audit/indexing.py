"""
Keep a database's rows up with a trail: a step at a time, in one process.

No thread here and no clock: whoever owns the thread calls `Indexing.step`, and can
stop between any two.  A lock in the trail's hidden folder says which process does the
work; the others look now and then whether it is still there.

What is read goes into the database together with how far that is, in one
transaction.  So whoever comes next goes on from there, and what he reads again is
there already.  While the database is away nothing is read, and nothing waits in
memory: the trail is what waits.
"""

from __future__ import annotations

import os
import random
import time
from collections import namedtuple
from contextlib import closing, suppress

from chimera_log.audit import chain
from chimera_log.audit.index import SQLITE, StoreError, rows_of
from chimera_log.audit.reading import DamagedError, Files, VanishedError, VerifyError
from chimera_log.audit.tailing import START, Tailer
from chimera_log.aws.retry import OUTAGE, Backoff
from chimera_log.files.aside import Aside
from chimera_log.files.compress import Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.audit.index import Database, Store
    from chimera_log.audit.tailing import Position

LOCK = "index.lock"
_IDLE = 1.0  # seconds between two looks for new lines
_ELSEWHERE = 5.0  # seconds until we look again whether another process does it
_BETWEEN = 3600.0  # seconds until rows that grew too old are looked for again


# How far an index is, since this process began.
Statistics = namedtuple(
    "Statistics",
    [
        "rows",  # that this process added
        "chain",  # of the last record that is known to be in the database
        "seq",  # of the same
        "last_error",  # in words, until something succeeds; or ``None``
    ],
)


class Indexing:
    """
    The trail at *path*, as it gets into a database.

    Args:
        path: The active file, absolute.
        database: Where the rows go.
        floor_days: Younger rows are never removed, older ones are.
        on_trouble: Told the kind of trouble (``index``) and, in words, what is wrong.
        clock: Seconds since the epoch.
        monotonic: Seconds that never go back.
        draw: A number from 0 up to, but not including, 1.
        share: Of the time that there may be work to do, at most; 1: all of it.
        patience: Seconds that a busy SQLite file is waited for.
    """

    kind = "index"

    def __init__(
        self,
        path: str,
        database: Database,
        floor_days: float,
        on_trouble: Callable[[str, str], None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        share: float = 0.5,
        patience: float = 0.25,
    ) -> None:
        self._path = path
        self._folder, name = os.path.split(path)
        self._on_trouble = on_trouble
        self._clock = clock
        self._monotonic = monotonic
        self._pause = 1 / share - 1  # seconds after a second of work
        self._store = store_of(database, floor_days, patience)
        self._turn = Turn(Aside(self._folder, name).path, LOCK)
        self._draw = draw
        self._begin()

    @property
    def is_at_rest(self) -> bool:
        """Whether all that there was is in the database."""
        return self._is_at_rest

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process does the work."""
        return self._is_elsewhere

    def step(self) -> float:
        """
        Do a part of what there is to do, with at most one call to the database.

        Returns:
            Seconds until there is more to do; 0: at once.
        """
        now = self._monotonic()
        pause = self._backoff.wait(now)
        if pause:
            return pause
        self._is_at_rest = False
        try:
            return self._step(now)
        except StoreError as error:
            return self._failed(now, str(error), error.kind)
        except (VerifyError, OSError) as error:
            return self._failed(now, f"the trail cannot be followed: {error}", OUTAGE)
        except Exception as error:
            return self._failed(now, f"{type(error).__name__}: {error}", OUTAGE)

    def close(self) -> None:
        """Let go of files, database and lock; a next step begins again."""
        self._let_go()
        self._turn.release()

    def after_fork(self) -> None:
        """Let go, in a forked child, of what its parent goes on with."""
        if self._tailer is not None:
            self._tailer.close()
        self._store.after_fork()
        self._turn.after_fork()
        self._begin()

    def statistics(self) -> Statistics:
        """Return how far the index is, and why it is not going on, if it is not."""
        position = self._position or START
        return Statistics(self._rows, position.chain, position.seq, self._last_error)

    def _begin(self) -> None:
        self._backoff = Backoff(self._draw)
        self._tailer: Tailer | None = None
        self._position: Position | None = None
        self._rows = 0
        self._last_error: str | None = None
        self._is_at_rest = self._is_elsewhere = False
        self._expire_at = float("-inf")

    def _step(self, now: float) -> float:
        if not os.path.isdir(self._folder):  # nothing was logged yet
            self._is_at_rest = True
            return _IDLE
        self._is_elsewhere = not self._turn.take()
        if self._is_elsewhere:
            return _ELSEWHERE
        if self._tailer is None:
            self._position = self._store.position(chain_of(self._path)) or START
            self._tailer = Tailer(self._path, self._position)
            self._succeeded()
            return 0.0
        if not self._tailer.has_news():
            return self._rest(now)
        self._read(self._tailer)
        return self._pause_since(now)

    def _read(self, tailer: Tailer) -> None:
        """Get the next part of the trail into the database."""
        batch = tailer.read()
        if batch.damage:
            self._on_trouble("index", f"{batch.damage}; the index is without the rest")
        if batch.lines:
            self._rows += self._store.add(rows_of(batch.lines), batch.position)
            self._position = batch.position
            self._succeeded()

    def _rest(self, now: float) -> float:
        """Do what there is time for when all is read."""
        self._is_at_rest = True
        if now < self._expire_at:
            return _IDLE
        self._expire_at = now + _BETWEEN  # first: it may fail for long
        if not self._store.expire(self._clock()):
            return _IDLE
        self._expire_at = now
        self._is_at_rest = False
        return self._pause_since(now)

    def _pause_since(self, begun: float) -> float:
        """Return the seconds to leave to others after work that began at *begun*."""
        return (self._monotonic() - begun) * self._pause

    def _succeeded(self) -> None:
        self._backoff.succeeded()
        self._last_error = None

    def _failed(self, now: float, what: str, kind: str) -> float:
        self._let_go()
        self._last_error = what
        self._backoff.failed(now, kind)
        self._on_trouble("index", f"{what}; it is tried again, nothing is lost")
        return self._backoff.wait(now)

    def _let_go(self) -> None:
        """Forget what was read and is not in the database; it is read again."""
        tailer, self._tailer = self._tailer, None
        if tailer is not None:
            tailer.close()
        self._store.close()


def store_of(database: Database, floor_days: float, patience: float = 0.25) -> Store:
    """
    Return the store that *database* names; nothing is opened yet.

    Args:
        database: Which one.
        floor_days: Younger rows cannot be removed.
        patience: Seconds that a busy SQLite file is waited for.
    """
    if database.kind == SQLITE:
        from chimera_log.audit.sqlite import SqliteStore  # noqa: PLC0415  one of two

        return SqliteStore(database, floor_days, patience)
    from chimera_log.audit.postgres import PostgresStore  # noqa: PLC0415  one of two

    return PostgresStore(database, floor_days)


def chain_of(path: str) -> str:
    """
    Return the chain of the newest file of a trail that has one; empty if none has.

    Raises:
        OSError: If its files cannot be read.
    """
    with suppress(VerifyError, VanishedError, DamagedError), Files(path) as files:
        for name in reversed(files.names):
            with closing(files.blocks(name)) as blocks:
                for block in blocks:
                    link = next(
                        filter(None, map(chain.link_of, _lines(block.data))), None
                    )
                    if link is not None:
                        return str(link.chain)
    return ""


def _lines(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")]
