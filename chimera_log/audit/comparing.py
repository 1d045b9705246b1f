"""
Compare a database's rows with the trail that they come from, and make them equal.

Each line that is there is held to its row, all of it.  Of files that were removed
their manifests tell how many rows there have to be, and the hash of the last one.
What neither knows of is too many.  In constant memory but for one number or two a
file.
"""

from __future__ import annotations

import os
from collections import namedtuple
from contextlib import closing

from chimera_log.audit.index import DAY, rows_of, time_text
from chimera_log.audit.manifest import ManifestError, Manifests
from chimera_log.audit.tailing import Tailer
from chimera_log.files.aside import Aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from chimera_log.audit.index import Row, Store
    from chimera_log.audit.manifest import Sealed

MISSING, DIFFERENT, EXTRA = "missing", "different", "extra"
LOST, DAMAGED = "lost", "damaged"
_WORDS = {
    MISSING: "not in the database",
    DIFFERENT: "not in the database as in the trail",
    EXTRA: "in the database, and no file of the trail had them",
}
_CURE = "; bring the file back, and repair the index then"
_LAG = 60.0  # seconds that a record may take to get into the database

# Some rows that are not as they should be.
Difference = namedtuple(
    "Difference",
    [
        "kind",
        "chain",
        "first",
        "last",
        "what",  # in words
        "is_curable",  # whether a repair puts it right
    ],
    defaults=[True],
)


class Comparison:
    """
    The trail at *path* and its rows in *store*.

    Args:
        path: The active file, absolute.
        store: The database.
        floor_days: Older rows need not be there.
        now: Seconds since the epoch; a record of the last minute need not be there
            yet.
        repair: Whether to make the rows equal.
    """

    def __init__(
        self, path: str, store: Store, floor_days: float, now: float, *, repair: bool
    ) -> None:
        self._path = path
        folder, self._name = os.path.split(path)
        self._manifests = Manifests(Aside(folder, self._name).path, self._name)
        self._store = store
        self._expired = time_text(now - floor_days * DAY)
        self._young = time_text(now - _LAG)
        self._repair = repair
        self._can_remove = True  # what seems to be too much
        self._last: dict[str, int] = {}  # the last row of each chain at the beginning
        self._covered: dict[str, list[list[int]]] = {}  # what was compared
        self.records = 0  # that were compared

    def differences(self) -> Iterator[Difference]:
        """
        Yield what is not equal, in the order of the trail; what is too many at the end.

        What can be put right is so before it is yielded, if that was asked for.

        Raises:
            StoreError: If the database cannot be used.
            VerifyError: If the active file is no regular one.
            OSError: If the trail cannot be read.
        """
        pending: Difference | None = None
        for each in self._all():
            if pending is not None and _is_next(pending, each):
                pending = pending._replace(last=each.last)
                continue
            if pending is not None:
                yield _in_words(pending)
            pending = each
        if pending is not None:
            yield _in_words(pending)

    def _all(self) -> Iterator[Difference]:
        with closing(Tailer(self._path)) as tailer:
            while True:
                batch = tailer.read()
                if batch.damage:
                    yield Difference(DAMAGED, "", 0, 0, batch.damage + _CURE, False)
                for run in _runs(rows_of(batch.lines)):
                    yield from self._compared(run)
                if not batch.is_more:
                    break
        for segment in self._manifests.known():
            manifest = None
            try:
                manifest = self._manifests.load(segment)
            except ManifestError as error:
                # Rows that seem too many may be those of this file.
                self._can_remove = False
                what = f"{segment}: its manifest is damaged ({error})"
                yield Difference(DAMAGED, "", 0, 0, what, False)
            if manifest is not None and manifest.sealed.chain:
                yield from self._removed(manifest.sealed)
        for chain in sorted(self._covered):
            yield from self._too_many(chain)

    def _compared(self, run: list[Row]) -> Iterator[Difference]:
        """Compare a *run* of rows without a gap."""
        chain, first, last = run[0].chain, run[0].seq, run[-1].seq
        self._cover(chain, first, last)
        self.records += len(run)
        there = {row.seq: row for row in self._store.rows(chain, first, last)}
        absent, other = [], []
        for row in run:
            found = there.get(row.seq)
            if found is None:
                # One that tells no time is expected for ever.
                if self._expired <= (row.ts or self._expired) < self._young:
                    absent.append(row)
            elif found != row:
                other.append(row)
        if self._repair and other:
            self._store.remove(chain, [row.seq for row in other])
        if self._repair and (absent or other):
            self._store.add(absent + other, None)
        for kind, rows in ((MISSING, absent), (DIFFERENT, other)):
            for each in _runs(rows):
                yield Difference(kind, chain, each[0].seq, each[-1].seq, "")

    def _removed(self, sealed: Sealed) -> Iterator[Difference]:
        """Hold the rows of a file that is not there any more to its manifest."""
        chain, first, last = sealed.chain, sealed.first_seq, sealed.last_seq
        if self._is_covered(chain, first, last) or (
            sealed.last_time is not None and sealed.last_time < self._expired
        ):
            self._cover(chain, first, last)
            return
        self._cover(chain, first, last)
        is_partly_gone = (sealed.first_time or self._expired) < self._expired
        count = self._store.count(chain, first, last)
        if count != last - first + 1 and not is_partly_gone:
            what = f"{count:,} of {last - first + 1:,} rows are in the database"
        elif [row.hash for row in self._store.rows(chain, last, last)] != [sealed.head]:
            what = "the last row is not in the database as it was in the file"
        else:
            return
        what = f"{sealed.segment}, which was removed: {what}{_CURE}"
        yield Difference(LOST, chain, first, last, what, False)

    def _too_many(self, chain: str) -> Iterator[Difference]:
        """Look for rows between what was compared, and before and after it."""
        done = 0  # all up to this one was compared
        end = self._last[chain] + 1
        for begin, last_one in [*sorted(self._covered[chain]), [end, end]]:
            first, last = done + 1, begin - 1
            done = max(done, last_one)
            count = self._store.count(chain, first, last) if first <= last else 0
            if count:
                if self._repair and self._can_remove:
                    self._remove(chain, first, last)
                what = f"{count:,} rows"
                yield Difference(EXTRA, chain, first, last, what, self._can_remove)

    def _remove(self, chain: str, first: int, last: int) -> None:
        while rows := self._store.rows(chain, first, last):
            self._store.remove(chain, [row.seq for row in rows])

    def _cover(self, chain: str, first: int, last: int) -> None:
        if chain not in self._last:
            # What is there now comes from lines that are still to be read.
            self._last[chain] = self._store.last(chain)
        covered = self._covered.setdefault(chain, [])
        if covered and covered[-1][1] + 1 == first:
            covered[-1][1] = last
        else:
            covered.append([first, last])

    def _is_covered(self, chain: str, first: int, last: int) -> bool:
        return any(
            begin <= first and last <= end
            for begin, end in self._covered.get(chain, ())
        )


def _runs(rows: list[Row]) -> Iterator[list[Row]]:
    """Cut *rows* where a number is not the one after the last, in the same chain."""
    run: list[Row] = []
    for row in rows:
        if run and (run[-1].chain, run[-1].seq + 1) != row[:2]:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _is_next(before: Difference, after: Difference) -> bool:
    return not after.what and before[:2] == after[:2] and before.last + 1 == after.first


def _in_words(each: Difference) -> Difference:
    if each.kind not in _WORDS:
        return each
    numbers = (
        f"{each.first}" if each.first == each.last else f"{each.first}..{each.last}"
    )
    count = f"{each.what} of " if each.what else ""
    what = f"{count}records {numbers} of chain {each.chain}: {_WORDS[each.kind]}"
    return each._replace(what=what)
