"""
Find the events because of which AWS refuses a whole batch.

AWS calls a batch invalid and does not say why.  So its halves are sent, one after
the other, and the halves of a half that is refused, until single events are left:
one culprit among 10,000 events is found in 28 more calls at most.

No I/O: a `Bisection` says what to send, and is told what became of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Bisection:
    """
    The search for culprits in a batch, one call at a time.

    What is sent keeps its order, and in the end each event was accepted, once, or
    is among the *culprits*.

    A refused event proves nothing while everything is refused: then the reason may
    be a name, say, or the account.  So there are culprits only once another event
    of the batch was accepted.  If none is, after ``4 * log2(n) + 16`` refusals for
    *n* events, or fewer when there are no more to try, the fault *is elsewhere*:
    nothing was delivered and nobody is a culprit.  A batch that begins with many
    culprits looks the same; eight are always found, in whatever batch.

    An event that is alone in its batch is a culprit as soon as it is refused.

    Args:
        events: The batch, in order; at least one event, of whatever kind.
    """

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = list(events)
        self._left = [range(len(self._events))]  # to be sent, the last one first
        self._suspects: list[Any] = []
        self._is_any_accepted = False
        halvings = (len(self._events) - 1).bit_length()
        self._patience = 4 * halvings + 16  # refusals, until anything is accepted
        self.is_elsewhere = False

    def next(self) -> list[Any] | None:
        """
        Return what to send: at first the whole batch; ``None`` when done.

        It remains the same until `accepted` or `refused` is called.
        """
        if not self._left:
            return None
        piece = self._left[-1]
        return self._events[piece.start : piece.stop]

    def accepted(self) -> None:
        """Take note that AWS took what `next` returned."""
        self._left.pop()
        self._is_any_accepted = True

    def refused(self) -> None:
        """Take note that AWS called what `next` returned invalid."""
        piece = self._left.pop()
        if len(piece) == 1:
            self._suspects.append(self._events[piece[0]])
        else:
            half = len(piece) // 2
            self._left += [piece[half:], piece[:half]]
        self._patience -= 1
        if self._is_any_accepted or len(self._events) == 1:
            return
        if not self._left or self._patience == 0:
            self.is_elsewhere = True
            self._left = []

    @property
    def culprits(self) -> list[Any]:
        """The events found so far that AWS does not take, in order."""
        if self._is_any_accepted or len(self._events) == 1:
            return self._suspects
        return []
