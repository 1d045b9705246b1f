"""
Take away what was written, in steps that no signal handler can come between.

Python runs a signal handler between two of its own steps, most often right after
a system call, and a handler may raise: a service ends by ``sys.exit`` in one.
Then a line could be in the file and still wait to be written.  But what one call
of C does, it does whole.  So a system call and the note of what it took are one
call (see `syscalls`), and so are the removal of a line and the end of that note;
whoever was interrupted between the two goes on with the note.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, repeat
from operator import methodcaller, neg

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_call = methodcaller("__call__")


def take_first(lines: deque[bytes], taken: list[int]) -> None:
    """Take away the first line, and from the bytes *taken* as many as it has."""
    taken.extend(map(neg, map(len, map(deque.popleft, (lines,)))))


def take_all(lines: deque[bytes], count: int, taken: list[int]) -> None:
    """Take away the first *count* lines, and all notes of bytes *taken*."""
    if count == 1:  # nearly always; half the time
        deque(map(_call, (lines.popleft, taken.clear)), maxlen=0)
        return
    steps: Iterable[object] = chain(
        map(deque.popleft, repeat(lines, count)), map(list.clear, (taken,))
    )
    deque(steps, maxlen=0)
