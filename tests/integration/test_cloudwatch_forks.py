"""
Many threads and processes that log to one group, and forks amid all that.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.integration.cloudwatch_stage import (
    BOTH,
    MEMORY,
    SPOOL,
    Promises,
    Scenarios,
    Stage,
)

SCENARIOS = Scenarios()
FORK = """
configure()
write('a', 200)
child = os.fork()
if not child:
    write('b', 200)
    {end}
write('a', 200)
reap([child])
mark()
"""
PROCESS = """
import multiprocessing
configure()
write('a', 200)
process = multiprocessing.get_context({method!r}).Process(target=work, args=('b', 200))
process.start()
write('a', 200)
process.join()
assert not process.exitcode, process.exitcode
mark()
"""


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def fork_and_exit(stage: Stage) -> None:
    """A forked child ends by `sys.exit`."""
    stage.expect("a", 400)
    stage.expect("b", 200)
    stage.run(FORK.format(end="sys.exit()"))


@SCENARIOS.add(long=(SPOOL,))
def fork_and_os_exit(stage: Stage) -> None:
    """A forked child ends by `os._exit`; then the next start."""
    stage.expect("a", 400)
    stage.expect("b", 200)
    stage.may_double = 1
    stage.run(FORK.format(end="os._exit(0)"))
    stage.restart()


@SCENARIOS.add(long=(MEMORY,))
def fork_and_os_exit_without_spool(stage: Stage) -> None:
    """The same: what waited in the child is lost, and nothing else."""
    stage.expect("a", 400)
    stage.expect("b", 0, 200)
    stage.run(FORK.format(end="os._exit(0)"))


@SCENARIOS.add(long=(MEMORY, SPOOL))
def fork_before_the_first_record(stage: Stage) -> None:
    """A server is configured, forks its workers, and never logs by itself."""
    for writer in "abcd":
        stage.expect(writer, 100)
    stage.run("""
configure()
children = []
for writer in 'abcd':
    child = os.fork()
    if not child:
        write(writer, 100)
        sys.exit()
    children.append(child)
reap(children)
mark()
""")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def fork_amid_the_first_call(stage: Stage) -> None:
    """Children are forked while the parent imports boto3 and makes a client."""
    stage.expect("a", 5)
    for number in range(5):
        stage.expect(f"child{number}", 10)
    stage.run(
        """
configure()
children = []
for number in range(5):
    write('a', 1)
    time.sleep(0.06)
    child = os.fork()
    if not child:
        write(f'child{number}', 10)
        sys.exit()
    children.append(child)
reap(children)
mark()
""",
        max_batch_count=1,
    )


@SCENARIOS.add(long=(MEMORY, SPOOL))
def fork_a_fork(stage: Stage) -> None:
    """A child forks a child, and each of them logs before and after."""
    for writer in "abc":
        stage.expect(writer, 100)
    stage.run("""
configure()
write('a', 50)
if not (child := os.fork()):
    write('b', 50)
    if not (child := os.fork()):
        write('c', 100)
        sys.exit()
    write('b', 50)
    reap([child])
    sys.exit()
write('a', 50)
reap([child])
mark()
""")


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def multiprocessing_fork(stage: Stage) -> None:
    """`multiprocessing` forks a process."""
    stage.expect("a", 400)
    stage.expect("b", 200)
    stage.run(PROCESS.format(method="fork"))


@SCENARIOS.add(long=(MEMORY, SPOOL))
def multiprocessing_spawn(stage: Stage) -> None:
    """`multiprocessing` starts a process that inherits nothing."""
    stage.expect("a", 400)
    stage.expect("b", 200)
    stage.run(PROCESS.format(method="spawn"))


@SCENARIOS.add(long=(MEMORY, SPOOL))
def pool(stage: Stage) -> None:
    """Two processes of a `ProcessPoolExecutor` serve."""
    for number in range(8):
        stage.expect(f"task{number}", 50)
    stage.run(
        """
import concurrent.futures, multiprocessing
configure()
context = multiprocessing.get_context('fork')
with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
    for number in range(8):
        pool.submit(work, f'task{number}', 50)
mark()
""",
    )


def forks(stage: Stage, count: int) -> None:
    """Have four threads log while *count* children are forked, which log as well."""
    for number in range(4):
        stage.expect(f"thread{number}", 300)
    for number in range(count):
        stage.expect(f"child{number}", 20)
    stage.run(f"""
configure()
threads = [
    threading.Thread(target=write, args=(f'thread{{number}}', 300, 0.003))
    for number in range(4)
]
for thread in threads:
    thread.start()
children = []
for number in range({count}):
    child = os.fork()
    if not child:
        write(f'child{{number}}', 20)
        sys.exit()
    children.append(child)
    time.sleep(0.02)
for thread in threads:
    thread.join()
reap(children)
mark()
""")


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def threads_and_forks(stage: Stage) -> None:
    """Six forks amid threads."""
    forks(stage, 6)


@SCENARIOS.add(long=BOTH)
def threads_and_many_forks(stage: Stage) -> None:
    """Twenty of them."""
    forks(stage, 20)


def writers(stage: Stage, count: int) -> None:
    """Have eight processes log *count* records each, at one time."""

    def run(writer: str) -> None:
        stage.run(f"configure()\nwrite({writer!r}, {count})\nmark()")

    names = [f"writer{number}" for number in range(8)]
    for name in names:
        stage.expect(name, count)
    stage.codes = [0] * len(names)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(run, names))


@SCENARIOS.add(long=(MEMORY, SPOOL))
def eight_writers(stage: Stage) -> None:
    """Eight processes that know nothing of each other."""
    writers(stage, 500)


@SCENARIOS.add(long=BOTH)
def eight_busy_writers(stage: Stage) -> None:
    """Eight processes that log 5,000 records each."""
    writers(stage, 5000)


stages, stage = SCENARIOS.fixtures()


class TestEveryFork(Promises):
    """What holds whoever logs."""
