"""
Culprits are found by bisection, and nothing else is kept back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log.cloudwatch.poison import Bisection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class Calls:
    """
    What became of a batch that was sent piece by piece.

    Args:
        count: Events, which are numbers from 0.
        is_refused: Whether AWS refuses a piece.
    """

    def __init__(self, count: int, is_refused: Callable[[list[int]], bool]) -> None:
        self.search = Bisection(range(count))
        self.accepted: list[int] = []
        self.count = 0
        while piece := self.search.next():
            self.count += 1
            if is_refused(piece):
                self.search.refused()
            else:
                self.accepted += piece
                self.search.accepted()


def poisoned(count: int, culprits: Collection[int]) -> Calls:
    """Return the calls for *count* events of which AWS does not take *culprits*."""
    return Calls(count, lambda piece: any(event in culprits for event in piece))


def halvings(count: int) -> int:
    """Return how often *count* events are halved until each is alone."""
    return (count - 1).bit_length()


# A count of events, and which of them are culprits: not all.
BATCHES = st.integers(2, 10_000).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(st.integers(0, count - 1), max_size=min(count - 1, 8)),
    )
)


class TestNext:
    def test_whole(self) -> None:
        """
        The whole batch is the first to be sent.
        """
        assert [1, 2, 3] == Bisection([1, 2, 3]).next()

    def test_again(self) -> None:
        """
        A piece whose call came to nothing is sent again.
        """
        search = Bisection([1, 2])
        search.refused()

        assert [[1], [1]] == [search.next(), search.next()]

    def test_done(self) -> None:
        """
        A batch that is accepted is done.
        """
        search = Bisection([1, 2])
        search.accepted()

        assert (None, [], False) == (
            search.next(),
            search.culprits,
            search.is_elsewhere,
        )


class TestCulprits:
    @given(BATCHES)
    @example((9, {*range(8)}))
    @example((10_000, {*range(8)}))
    def test_exactly(self, batch: tuple[int, set[int]]) -> None:
        """
        Each event is accepted once, in order, or a culprit; up to eight are found.
        """
        count, culprits = batch

        calls = poisoned(count, culprits)

        assert sorted(culprits) == calls.search.culprits
        assert sorted({*range(count)} - culprits) == calls.accepted
        assert not calls.search.is_elsewhere

    @given(BATCHES)
    def test_cost(self, batch: tuple[int, set[int]]) -> None:
        """
        A culprit costs at most two calls for each time the batch can be halved.
        """
        count, culprits = batch

        calls = poisoned(count, culprits)

        assert calls.count <= 1 + 2 * len(culprits) * halvings(count)

    @given(st.integers(1, 300), st.data())
    def test_any_number(self, count: int, data: st.DataObject) -> None:
        """
        However many there are, nothing is lost: all settled, or nothing was done.
        """
        culprits = data.draw(st.sets(st.integers(0, count - 1)))

        calls = poisoned(count, culprits)

        if calls.search.is_elsewhere:
            assert ([], []) == (calls.accepted, calls.search.culprits)
        else:
            assert [*range(count)] == sorted(calls.accepted + calls.search.culprits)

    def test_not_before_another_was_accepted(self) -> None:
        """
        While everything was refused, a refused event is under suspicion only.
        """
        search = Bisection([1, 2])
        search.refused()
        search.refused()
        before = search.culprits
        search.accepted()

        assert ([], [1]) == (before, search.culprits)

    def test_alone(self) -> None:
        """
        An event that is alone in its batch is the culprit.
        """
        search = Bisection(["x"])
        search.refused()

        assert (["x"], None, False) == (
            search.culprits,
            search.next(),
            search.is_elsewhere,
        )

    def test_only_together(self) -> None:
        """
        Events that are refused only together are all delivered.
        """
        calls = Calls(100, lambda piece: len(piece) > 60)

        assert ([*range(100)], []) == (calls.accepted, calls.search.culprits)


class TestElsewhere:
    @given(st.integers(2, 10_000))
    def test_everything_refused(self, count: int) -> None:
        """
        What is refused whatever is sent has no culprits; that is found out soon.
        """
        calls = poisoned(count, range(count))

        assert (True, []) == (calls.search.is_elsewhere, calls.search.culprits)
        assert calls.count <= 4 * halvings(count) + 16

    def test_nothing_to_send(self) -> None:
        """
        A search that failed asks for no more calls.
        """
        assert None is poisoned(10_000, range(10_000)).search.next()

    @pytest.mark.parametrize("count", [2, 3])
    def test_few(self, count: int) -> None:
        """
        Two events that are refused, one by one, prove nothing against either.
        """
        assert poisoned(count, range(count)).search.is_elsewhere

    def test_after_success(self) -> None:
        """
        Once something was accepted, any number of refusals are the events' own.
        """
        calls = poisoned(1_000, range(1, 1_000))

        assert ([0], [*range(1, 1_000)], False) == (
            calls.accepted,
            calls.search.culprits,
            calls.search.is_elsewhere,
        )
