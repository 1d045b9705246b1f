"""
How a process may end, and what arrives of what it logged.

With a spool, everything that a call to log accepted; without one, everything if the
process ended in order.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from tests.integration import cloudwatch_server
from tests.integration.cloudwatch_stage import (
    BOTH,
    MEMORY,
    SPOOL,
    Promises,
    Scenarios,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SCENARIOS = Scenarios()
EVER = 10**9  # records: as many as there may be
SLACK = 1.0  # seconds for a machine that is shared
SHOUT = "shout('a', 0.002)"
SIGTERM_OF_OURS = "import chimera_log\nchimera_log.exit_on_sigterm()\n"
SIGTERM_OF_THE_APP = (
    "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
)


def last(stdout: str) -> int:
    """Return the last number that `shout` told."""
    *_, number, rest = stdout.split("\n")
    assert "" == rest
    return int(number)


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def normal_exit(stage: Stage) -> None:
    """The program comes to its end."""
    stage.expect("a", 10_000)
    stage.run("configure()\nwrite('a', 10_000)\nmark()")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def short_exit(stage: Stage) -> None:
    """It does so long before a batch is due."""
    stage.expect("a", 1)
    stage.run("configure()\nwrite('a', 1)\nmark()", flush_interval=60)


@SCENARIOS.add(long=(MEMORY, SPOOL))
def failed_exit(stage: Stage) -> None:
    """An exception ends it."""
    stage.expect("a", 500)
    stage.codes = [1]
    stage.says = ("Traceback", "<string>", "ValueError")
    stage.run("configure()\nwrite('a', 500)\nmark()\nraise ValueError('boom')")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def exit_in_a_thread(stage: Stage) -> None:
    """A thread calls `sys.exit`."""
    stage.expect("a", 1000)
    stage.run("""configure()
def run():
    write('a', 1000)
    sys.exit()
thread = threading.Thread(target=run)
thread.start()
thread.join()
mark()
""")


@SCENARIOS.add(MEMORY, long=(SPOOL,))
def exit_in_atexit(stage: Stage) -> None:
    """The first record is logged while the process ends."""
    stage.expect("a", 10)
    stage.run("configure()\natexit.register(write, 'a', 10)\nmark()")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def exit_in_late_atexit(stage: Stage) -> None:
    """It is logged when the package thought that all was over."""
    stage.expect("a", 10)
    stage.run("atexit.register(write, 'a', 10)\nconfigure()\nmark()")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def records_in_atexit(stage: Stage) -> None:
    """The last records are logged while the process ends."""
    stage.expect("a", 100)
    stage.expect("before", 10)
    stage.expect("after", 10)
    stage.run("""
atexit.register(write, 'before', 10)
configure()
atexit.register(write, 'after', 10)
write('a', 100)
mark()
""")


def signalled(
    prelude: str, number: signal.Signals, code: int
) -> Callable[[Stage], None]:
    """Return a scenario in which a process gets a signal."""

    def play(stage: Stage) -> None:
        stage.codes = [code]
        stage.is_interrupted = True
        with stage.child(f"{prelude}configure()\n{SHOUT}") as process:
            stage.arrived(100)
            ended = stage.end(process, number)
        # The signal may have come between a record and the number.
        stage.expect("a", last(ended.stdout) + 1, last(ended.stdout) + 2)

    return play


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def sigterm_of_ours(stage: Stage) -> None:
    """SIGTERM, after `exit_on_sigterm`."""
    signalled(SIGTERM_OF_OURS, signal.SIGTERM, 143)(stage)


@SCENARIOS.add(long=(MEMORY, SPOOL))
def sigterm_of_the_app(stage: Stage) -> None:
    """SIGTERM, and the application exits on it by itself."""
    signalled(SIGTERM_OF_THE_APP, signal.SIGTERM, 3)(stage)


@SCENARIOS.add(long=(MEMORY, SPOOL))
def sigint(stage: Stage) -> None:
    """Ctrl-C."""
    stage.says = ("Traceback", '  File "', "    ", "KeyboardInterrupt")
    signalled("", signal.SIGINT, -signal.SIGINT)(stage)


@SCENARIOS.add(SPOOL)
def sigterm(stage: Stage) -> None:
    """SIGTERM, of which Python dies at once; then the next start."""
    signalled("", signal.SIGTERM, -signal.SIGTERM)(stage)
    stage.may_double = 1
    stage.restart()


@SCENARIOS.add(SPOOL)
def sigkill(stage: Stage) -> None:
    """SIGKILL, then the next start."""
    signalled("", signal.SIGKILL, -signal.SIGKILL)(stage)
    stage.may_double = 1
    stage.restart()


@SCENARIOS.add(long=(MEMORY,))
def sigkill_without_spool(stage: Stage) -> None:
    """SIGKILL: what waited is lost, and nothing else."""
    signalled("", signal.SIGKILL, -signal.SIGKILL)(stage)
    stage.expect("a", 100, EVER)


@SCENARIOS.add(long=(SPOOL,))
def os_exit(stage: Stage) -> None:
    """`os._exit`, then the next start."""
    stage.expect("a", 500)
    stage.may_double = 1
    stage.run("configure()\nwrite('a', 500, 0.002)\nos._exit(0)")
    stage.restart()


@SCENARIOS.add(long=(MEMORY,))
def os_exit_without_spool(stage: Stage) -> None:
    """`os._exit`: what waited is lost, and nothing else."""
    stage.expect("a", 100, 500)
    stage.run("configure()\nwrite('a', 500, 0.002)\nos._exit(0)")


@SCENARIOS.add(long=(SPOOL,))
def killed_three_times(stage: Stage) -> None:
    """Three processes die before anything is sent; the fourth sends it all."""
    for writer in "abc":
        stage.expect(writer, 300)
        stage.codes.append(0)
        stage.run(
            f"configure()\nwrite('{writer}', 300)\nos._exit(0)", flush_interval=60
        )
    stage.restart()
    stage.codes = [0] * 4


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def burst(stage: Stage) -> None:
    """20,000 records at once."""
    stage.expect("a", 20_000)
    stage.run("configure()\nwrite('a', 20_000)\nmark()")


@SCENARIOS.add(long=BOTH)
def large_burst(stage: Stage) -> None:
    """100,000 records at once."""
    stage.expect("a", 100_000)
    stage.run("configure()\nwrite('a', 100_000)\nmark()")


@SCENARIOS.add(long=(SPOOL,))
def outage_at_exit(stage: Stage) -> None:
    """AWS is away when the process ends; then the next start."""
    stage.expect("a", 500)
    stage.fail("ServiceUnavailableException", seconds=4)
    stage.says = ("records wait",)
    stage.run("configure()\nwrite('a', 500)\nmark()", close_timeout=1)
    stage.restart()


def unreachable(
    place: Callable[[], AbstractContextManager[str]],
) -> Callable[[Stage], None]:
    """Return a scenario in which nobody answers, from the start to the end."""

    def play(stage: Stage) -> None:
        stage.says = ("records wait", "records not delivered")
        script = """
configure()
begun = time.perf_counter()
write('a', 550)
print(json.dumps(time.perf_counter() - begun))
time.sleep(0.5)
mark()
"""
        with place() as url:
            stage.run(script, endpoint_url=url, close_timeout=1)

    return play


@SCENARIOS.add(long=(MEMORY, SPOOL))
def refused(stage: Stage) -> None:
    """Nobody listens where AWS should be."""
    unreachable(cloudwatch_server.refusing)(stage)


@SCENARIOS.add(long=(MEMORY, SPOOL))
def unaccepted(stage: Stage) -> None:
    """Nobody accepts a connection: a black hole."""
    unreachable(cloudwatch_server.unaccepting)(stage)


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def unanswered(stage: Stage) -> None:
    """Nobody answers a request: a black hole behind a proxy."""
    unreachable(cloudwatch_server.silent)(stage)


stages, stage = SCENARIOS.fixtures()


class TestEveryEnding(Promises):
    """What holds however a process ends."""


@SCENARIOS.only("refused", "unaccepted", "unanswered")
class TestUnreachable:
    """Nobody answers, neither at the start nor at the end."""

    def test_exit(self, stage: Stage) -> None:
        """
        The process ends within `close_timeout` (here 1 second) and half a second.
        """
        (ended,) = stage.ended
        assert ended.seconds < 1.5 + SLACK

    def test_callers(self, stage: Stage) -> None:
        """
        Who logs notices nothing.
        """
        (ended,) = stage.ended
        assert json.loads(ended.stdout) < 0.55 + SLACK

    def test_told(self, stage: Stage) -> None:
        """
        What was not delivered is told once, and counted.
        """
        (ended,) = stage.ended
        ((found,),) = (told["statistics"] for told in stage.told)
        waits = found["queued"] + found["spooled"]
        words = {
            MEMORY: f"the process ends; {waits} records not delivered",
            SPOOL: f"{waits} records wait in the spool for the next start",
        }
        expected = f"chimera_log: CloudWatch Logs, {stage.group}: {words[stage.waits]}"
        assert 1 == ended.stderr.splitlines().count(expected)
