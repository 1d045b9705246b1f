"""
What importing the package costs, as ratios.

The statements take turns within one run, so that a busy machine slows them
alike; a ratio is the median over the rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 25
BARE = "pass"
STDLIB = "import logging.config, logging.handlers, json"
OURS = {
    "import chimera_log": 1.25,
    "from chimera_log import *": None,
    "from chimera_log import get_logger, JsonFormatter, RotatingFileHandler": None,
}


def imports() -> None:
    """Print what importing the package costs beside the standard library."""
    statements = (BARE, STDLIB, *OURS)
    rounds = [
        [_whole_run(statement) for statement in statements] for _ in range(ROUNDS)
    ]
    print(f"Import, whole interpreter, x of `{STDLIB}`")
    for number, statement in enumerate(statements):
        ratio = statistics.median(taken[number] / taken[1] for taken in rounds)
        bar = OURS.get(statement)
        print(f"  {ratio:5.2f}  {statement}{f'  (bar: {bar})' if bar else ''}")


def _whole_run(statement: str) -> float:
    """Return the seconds that a fresh interpreter takes for *statement*."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", statement], check=True)
    return time.perf_counter() - start
