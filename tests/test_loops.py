"""
A signal handler that raises costs no ``finally``, wherever it interrupts.
"""

from __future__ import annotations

import dis
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

import pytest

import chimera_log
from tests.integration.support import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(chimera_log.__file__).parent
# Where nothing is lost but a descriptor, or nothing at all.
HARMLESS = {
    ("audit/anchors.py", "_unpacked"),
    ("audit/archiving.py", "_archive_one"),
    ("audit/archiving.py", "_steps"),
    ("audit/bucket.py", "versions"),
    ("audit/heads.py", "_lines_from_end"),
    ("audit/prune.py", "survey"),
    ("audit/reading.py", "_raw"),
    ("audit/reading.py", "unpacked_until_damage"),
    ("audit/tailing.py", "_raw"),
    ("files/compress.py", "chunks"),
    ("files/compress.py", "unpacked"),
    ("files/durable.py", "sync"),
    ("native.py", "strike"),
}


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Give *code* and what is defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


def is_unprotected(code: CodeType) -> bool:
    """Whether a jump back to inside a ``try`` is itself outside of it."""
    bytecode = dis.Bytecode(code)
    entries = list(getattr(bytecode, "exception_entries", ()))

    def handler(offset: int) -> int | None:
        inside = [each.target for each in entries if each.start <= offset < each.end]
        return inside[-1] if inside else None

    steps = list(bytecode)
    return any(
        each.opname == "JUMP_BACKWARD"
        and handler(each.offset) != handler(each.argval)
        and handler(before.offset) not in {None, handler(each.offset)}
        for before, each in pairwise(steps)
    )


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="needs Python 3.13: 3.12 inlines what looks the same",
)
def test_loops() -> None:
    """
    Python 3.12 and 3.13 leave the jump at the end of a loop out of the ``try``
    around it: an exception that a signal handler raises there skips its
    ``finally``.  So such a loop stands in a function of its own.
    """
    found = {
        (path.relative_to(PACKAGE).as_posix(), code.co_name)
        for path in PACKAGE.rglob("*.py")
        for code in codes_in(
            compile(path.read_text(encoding="utf-8"), path.name, "exec")
        )
        if is_unprotected(code)
    }
    assert set() == found - HARMLESS


STORM = """
import os, random, signal
from contextlib import suppress
from chimera_log.files.segments import Segments
from tests.logs import POLICY

class Stop(BaseException):
    pass

def stop(*_):
    raise Stop

troubles = []
# It rotates never: a descriptor that was just opened may leak.
policy = POLICY._replace(max_bytes=0)
segments = Segments(os.path.abspath("bot.log"), policy, lambda kind, _: troubles.append(kind))
segments.append(b"x\\n")
signal.signal(signal.SIGALRM, stop)
chance = random.Random(1)
stuck = 0
for _ in range(1_000):
    with suppress(Stop):
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 3e-4))
        for _ in range(100):
            segments.append(b"x\\n")
    signal.setitimer(signal.ITIMER_REAL, 0)
    stuck += not segments.append(b"x\\n")
segments.close()
print(stuck, troubles)
"""


def test_append_goes_on(tmp_path: Path) -> None:
    """
    A file is written to after any number of signal handlers that raised amid an
    append to it.
    """
    done = subprocess.run(
        [sys.executable, "-c", STORM],
        cwd=tmp_path,
        env=unmeasured(tmp_path),  # coverage has a lock that such a handler keeps
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ("0 []\n", "") == (done.stdout, done.stderr)
