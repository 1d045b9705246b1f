"""
When other outputs are told where a trail's chain ends.

Whoever can write to a trail can cut off its end, or write all of it anew, and the
chain is whole.  So its head goes out through ordinary logging from time to time, as
event ``audit_checkpoint``: into CloudWatch, say, where he cannot change it.

`Checkpoints` is told the time and says when it is due; the maintenance thread asks.
"""

from __future__ import annotations

import logging

from chimera_log.audit.chain import OURS
from chimera_log.native import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chimera_log.audit.chain import Head


class Checkpoints:
    """
    When the head of one trail is to be told.

    A record that was not told yet makes one due after *interval*, or at once when
    there are *count* of them, or when somebody hurries.

    Args:
        interval: Seconds; 0: not because of the time.
        count: Records; 0: not because of their number.
    """

    def __init__(self, interval: float, count: int) -> None:
        self._interval = interval
        self._count = count
        self._told = 0  # the number of the last record that was told
        self._hurried = 0  # and of the last one that has to be told at once
        self._since: float | None = None  # when the first one that was not was seen
        self._is_awake = False  # whether `pause` will be asked
        self._telling = RLock()  # reentrant: a signal handler may end the process
        self.is_on = bool(interval or count)  # whether anything is told at all

    def wakes(self, seq: int) -> bool:
        """Whether record *seq*, just written, is a reason to ask for `pause`."""
        if not self.is_on:
            return False
        if not self._is_awake:
            self._is_awake = True
            return True
        is_many = self._count and seq - self._told >= self._count
        if is_many and self._hurried <= self._told:
            self._hurried = seq
            return True
        return False

    def hurry(self, seq: int) -> None:
        """Have record *seq*, if it was not told yet, told at once: the file is full, say."""
        self._hurried = max(seq, self._hurried)

    def sleep(self) -> None:
        """
        Take note that nobody asks any more, before a last look at the head.

        In this order, so that a record that comes meanwhile either is seen in that
        look or wakes us.
        """
        self._is_awake = False

    def pause(self, seq: int, now: float) -> float | None:
        """
        Return the seconds until record *seq* has to be told, 0: now.

        Args:
            seq: The last record.
            now: Seconds that never go back.

        Returns:
            ``None``: there is nothing to tell.
        """
        if not self.is_on or seq <= self._told:
            return None
        self._is_awake = True
        if self._since is None:
            self._since = now
        is_many = self._count and seq - self._told >= self._count
        if is_many or self._hurried > self._told:
            return 0
        return max(self._since + self._interval - now, 0) if self._interval else None

    def tell(self, head: Head, path: str) -> None:
        """Tell *head*, the end of the chain in the file at *path*."""
        if not self.is_on:
            return
        with self._telling:  # the process's end tells, and so may a thread just now
            if head.seq <= self._told:
                return
            # Before: the records that come meanwhile belong to the next one.
            self._told, self._since = head.seq, None
        context = {
            "chain": head.chain,
            "seq": head.seq,
            "hash": head.hash,
            "trail": path,
        }
        logging.getLogger(OURS).info("audit_checkpoint", extra={"context": context})
