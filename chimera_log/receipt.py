"""
Whether one record reached the audit trail: asked by its caller, answered there.

A `Receipt` travels with the record, as its ``audit`` marker.  The trail's handler
answers it in the thread that logs, before the logging call returns.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SYNC_TIMEOUT = 1.0  # seconds that a disk may take

_NOBODY = (
    "no audit trail took the record: no AuditFileHandler is reached, or only through "
    "a queue, or a level, a filter or `propagate: false` keeps the record away from it"
)

# What one handler answered: its file; whether the record is written, and if not, why;
# and what has the disk keep it within so many seconds, and says whether it does.
Answer = namedtuple("Answer", ["path", "is_written", "why", "secure"])


class AuditError(Exception):
    """A record that had to be in the audit trail may not be there."""


class Receipt:
    """What the handlers of audit trails said about one record."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []

    def __reduce__(self) -> tuple[object, ...]:
        """Be a mere marker in another process, which cannot answer."""
        return bool, (True,)

    def answer(
        self, path: str, *, is_written: bool, why: str, secure: Callable[[float], bool]
    ) -> None:
        """
        Say what became of the record; called by a handler.

        Args:
            path: The trail.
            is_written: Whether its line is in the kernel's hands.
            why: If not, what stands in the way.
            secure: Has the disk keep the line, within so many seconds; whether it
                does.
        """
        self._answers.append(Answer(path, is_written, why, secure))

    def require(self) -> None:
        """
        Return when the record is in a trail, and the disk has it.

        Of several trails one is enough; what the others lack, stderr tells.

        Raises:
            AuditError: If no trail took it, could write it, and had it on the disk
                within `SYNC_TIMEOUT`.
        """
        lacking = []
        for path, is_written, why, secure in self._answers:
            if not is_written:
                lacking.append(f"{path}: not written: {why}")
            elif secure(SYNC_TIMEOUT):
                return
            else:
                lacking.append(
                    f"{path}: written, but after {SYNC_TIMEOUT:.0f} s the disk does not "
                    "have it for certain"
                )
        raise AuditError("; ".join(lacking) or _NOBODY)
