"""
The end of a chain is told in time, once, and nothing is forgotten.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log.audit.chain import OURS, Head
from chimera_log.audit.witness import Checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN = "c0ffee00" * 4
PATH = "/logs/executions.log"


class Witness(logging.Handler):
    """Hears what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.records.append(record)

    @property
    def told(self) -> list[int]:
        """The numbers that were told."""
        return [record.__dict__["context"]["seq"] for record in self.records]


@pytest.fixture
def witness() -> Witness:
    """Whoever hears the logger of checkpoints."""
    return listening()


def listening() -> Witness:
    """Return who hears, from now on alone, the logger of checkpoints."""
    made, logger = Witness(), logging.getLogger(OURS)
    logger.handlers[:] = [made]
    logger.setLevel(logging.INFO)
    return made


def head(seq: int) -> Head:
    """Return the head of a chain of so many records."""
    return Head(CHAIN, seq, f"{seq:064x}")


class TestTell:
    def test_event(self, witness: Witness) -> None:
        """
        A checkpoint is an ordinary record of a logger of its own.
        """
        Checkpoints(60, 0).tell(head(3), PATH)

        [record] = witness.records
        assert (OURS, logging.INFO) == (record.name, record.levelno)
        assert "audit_checkpoint" == record.getMessage()
        expected = {"chain": CHAIN, "seq": 3, "hash": f"{3:064x}", "trail": PATH}
        assert expected == record.__dict__["context"]

    def test_nothing_twice(self, witness: Witness) -> None:
        """
        What was told is not told again, nor is what came before it.
        """
        points = Checkpoints(60, 0)
        for seq in (3, 3, 2, 4):
            points.tell(head(seq), PATH)

        assert [3, 4] == witness.told

    def test_off(self, witness: Witness) -> None:
        """
        With neither an interval nor a number nothing is told, or asked for.
        """
        points = Checkpoints(0, 0)
        points.hurry(1)
        points.tell(head(1), PATH)

        assert not points.is_on
        assert not points.wakes(1)
        assert points.pause(1, 0.0) is None
        assert [] == witness.told

    @pytest.mark.parametrize(("interval", "count"), [(60, 0), (0, 10), (60, 10)])
    def test_on(self, interval: float, count: int) -> None:
        """
        One of them is enough.
        """
        assert Checkpoints(interval, count).is_on

    def test_at_the_same_time(self, witness: Witness) -> None:
        """
        Two threads that tell the same record tell it once.
        """
        points = Checkpoints(60, 0)
        threads = [
            threading.Thread(target=points.tell, args=(head(1), PATH)) for _ in range(2)
        ]
        with points._telling:
            for each in threads:
                each.start()
        for each in threads:
            each.join()

        assert [1] == witness.told

    def test_nested(self, witness: Witness) -> None:
        """
        One that is told while another is being told waits for nobody.
        """
        points = Checkpoints(60, 0)
        with points._telling:
            points.tell(head(1), PATH)

        assert [1] == witness.told


class TestInterval:
    def test_due(self) -> None:
        """
        A record is due when the interval is over since it was seen, not before.
        """
        points = Checkpoints(60, 0)

        assert 60 == points.pause(1, 1_000.0)
        assert 0.5 == points.pause(2, 1_059.5)
        assert 0 == points.pause(2, 1_060.0)
        assert 0 == points.pause(2, 2_000.0)

    def test_nothing_new(self, witness: Witness) -> None:
        """
        Without a new record nothing is due, however long that lasts.
        """
        points = Checkpoints(60, 0)
        assert points.pause(0, 0.0) is None
        points.tell(head(5), PATH)

        assert points.pause(5, 1_000.0) is None
        assert [5] == witness.told

    @pytest.mark.usefixtures("witness")
    def test_begins_anew(self) -> None:
        """
        The next interval begins with the first record after one that was told.
        """
        points = Checkpoints(60, 0)
        points.pause(1, 0.0)
        points.tell(head(1), PATH)

        assert points.pause(1, 60.0) is None
        assert 60 == points.pause(2, 100.0)
        assert 1 == points.pause(2, 159.0)

    def test_many(self) -> None:
        """
        Without a number many records are no reason to hurry.
        """
        points = Checkpoints(60, 0)
        assert points.wakes(1)

        assert 60 == points.pause(100_000, 0.0)
        assert not points.wakes(1_000_000)


class TestCount:
    @pytest.mark.usefixtures("witness")
    def test_due(self) -> None:
        """
        So many records that were not told are due at once; one less is not.
        """
        points = Checkpoints(60, 10)
        points.tell(head(5), PATH)

        assert 60 == points.pause(14, 0.0)
        assert 0 == points.pause(15, 0.0)

    @pytest.mark.usefixtures("witness")
    def test_alone(self) -> None:
        """
        Without an interval nobody comes back for fewer, and the number wakes.
        """
        points = Checkpoints(0, 10)
        assert points.wakes(1)
        assert points.pause(1, 0.0) is None
        assert not points.wakes(9)
        assert points.wakes(10)

        assert 0 == points.pause(10, 0.0)
        points.tell(head(10), PATH)
        assert points.pause(10, 0.0) is None

    @pytest.mark.usefixtures("witness")
    def test_wakes_once(self) -> None:
        """
        The record that completes the number wakes; those after it need not, until
        the next number is complete.
        """
        points = Checkpoints(60, 10)
        points.wakes(1)
        points.pause(1, 0.0)
        woken = [seq for seq in range(2, 30) if points.wakes(seq)]
        assert [10] == woken
        points.tell(head(29), PATH)

        assert [39] == [seq for seq in range(30, 50) if points.wakes(seq)]


class TestWakes:
    def test_first(self) -> None:
        """
        The first record wakes, and no other while somebody is about to ask.
        """
        points = Checkpoints(60, 0)

        assert [1] == [seq for seq in range(1, 100) if points.wakes(seq)]

    @pytest.mark.usefixtures("witness")
    def test_asleep(self) -> None:
        """
        Once nobody asks any more the next record wakes.
        """
        points = Checkpoints(60, 0)
        points.wakes(1)
        points.tell(head(1), PATH)
        points.sleep()
        assert points.pause(1, 0.0) is None

        assert points.wakes(2)
        assert not points.wakes(3)

    def test_awake_while_there_is_something(self) -> None:
        """
        Whoever was told to come back is not woken meanwhile.
        """
        points = Checkpoints(60, 0)
        points.sleep()
        points.pause(1, 0.0)

        assert not points.wakes(2)


class TestHurry:
    def test_at_once(self) -> None:
        """
        What somebody hurries for is due at once.
        """
        points = Checkpoints(60, 0)
        assert 60 == points.pause(1, 0.0)
        points.hurry(1)

        assert 0 == points.pause(1, 0.0)

    @pytest.mark.usefixtures("witness")
    def test_once(self) -> None:
        """
        It is told once, and what follows has time.
        """
        points = Checkpoints(60, 0)
        points.hurry(2)
        points.hurry(1)
        points.tell(head(2), PATH)

        assert points.pause(2, 0.0) is None
        assert 60 == points.pause(3, 0.0)

    @pytest.mark.usefixtures("witness")
    def test_while_one_is_told(self) -> None:
        """
        Whoever hurries while an earlier record is being told is not forgotten.
        """
        points = Checkpoints(60, 0)
        points.hurry(1)
        points.hurry(2)
        points.tell(head(1), PATH)

        assert 0 == points.pause(2, 0.0)


class Play:
    """
    A writer and a maintainer, each of whom may be stopped between any two steps.

    Args:
        points: What they share.
    """

    def __init__(self, points: Checkpoints) -> None:
        self.points = points
        self.seq = 0
        self.hurried = 0
        self.now = 0.0
        self.is_asked = False
        self.pause: float | None = None
        self.is_idle = True

    def writes(self, *, fills: bool) -> Iterator[None]:
        """Write a record, as `Trail` does."""
        if fills and self.seq:
            self.hurried = self.seq
            self.points.hurry(self.seq)
            yield
            self.is_asked = True
            yield
        self.seq += 1
        seq = self.seq
        yield
        if self.points.wakes(seq):
            yield
            self.is_asked = True

    def waits(self) -> Iterator[None]:
        """Let time pass until the maintainer wants to be asked."""
        while True:
            if self.pause is not None and self.is_idle:
                self.now += self.pause
                self.is_asked = True
            yield

    def maintains(self) -> Iterator[None]:
        """Do what the thread does, as often as it is asked."""
        while True:
            while not self.is_asked:
                self.is_idle = True
                yield
            self.is_idle = self.is_asked = False
            self.pause = None
            yield
            self.points.sleep()
            yield
            seq = self.seq
            yield
            if seq:
                self.pause = self.points.pause(seq, self.now)
                yield
                if self.pause == 0:
                    seq = self.seq
                    yield
                    self.points.tell(head(seq), PATH)
                    self.is_asked = True


ALL = 20  # steps, in which anybody does all that he can
TOLD = [(0, 3), (1, ALL), (2, 1), (1, ALL), (1, ALL)]  # before the next is written


@example((60, 0), [False, False], TOLD)
@given(
    st.sampled_from([(60, 0), (0, 3), (60, 3)]),
    st.lists(st.booleans(), max_size=12),
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([1, 2, 4, ALL])), max_size=30
    ),
)
def test_nothing_is_forgotten(
    options: tuple[float, int], records: list[bool], turns: list[tuple[int, int]]
) -> None:
    """
    However the two take turns, in the end everything was told, or somebody comes
    back for it, or there are too few of them; and nothing was told twice.
    """
    interval, count = options
    witness = listening()
    play = Play(Checkpoints(interval, count))
    maintainer = play.maintains()
    writer = (step for fills in records for step in play.writes(fills=fills))
    for who, steps in turns:
        for _ in range(steps):
            next([writer, maintainer, play.waits()][who], None)
    for _ in writer:
        pass
    while play.is_asked or not play.is_idle:
        next(maintainer)

    told = max(witness.told, default=0)
    assert sorted(set(witness.told)) == witness.told
    assert play.hurried <= told <= play.seq
    assert not count or play.seq - told < count
    if told < play.seq and interval:
        assert play.pause is not None
        assert 0 < play.pause <= interval
