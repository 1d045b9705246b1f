"""
gevent, which makes greenlets of a process's threads: before us, or long after.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.integration.support import LOAD, ROOT, Done, lines_of, parsed, run_python

if TYPE_CHECKING:
    from pathlib import Path

# A module that patches while it is imported, as applications do.
PATCHING = "from gevent import monkey\nmonkey.patch_all()\n"
LOGGING = f"""{LOAD}
logger = logging.getLogger("bot")
def write(*numbers):
    for number in numbers:
        logger.info("filled", extra={{"context": {{"number": number}}}})
"""
# Threads of ours live when gevent comes: the first record begins one.
LATE = f"{LOGGING}\nwrite(0)\nimport patching"
EARLY = f"import patching\n{LOGGING}\nwrite(0)"

USES = {
    "greenlets": """
import threading, time
def some(first):
    for number in range(first, 401, 4):
        write(number)
        time.sleep(0.0001)
threads = [threading.Thread(target=some, args=[first]) for first in range(1, 5)]
for each in threads:
    each.start()
for each in threads:
    each.join()
""",
    "real-thread": """
import gevent
pool = gevent.get_hub().threadpool
pool.spawn(write, *range(1, 201)).get()
write(*range(201, 401))
""",
    "callback-of-the-hub": """
import gevent
gevent.get_hub().loop.run_callback(write, *range(1, 401))
gevent.sleep(0.01)
""",
    "forked": """
import os, sys
write(*range(1, 201))
child = os.fork()
if not child:
    write(*range(201, 401))
    sys.exit()
os.waitpid(child, 0)
""",
    "reconfigured": """
write(*range(1, 201))
logging.config.dictConfig(yaml.safe_load(text))
write(*range(201, 401))
logging.shutdown()
""",
}


def run_patching(script: str, place: Path) -> Done:
    """Run *script*, which may ``import patching``."""
    (place / "patching.py").write_text(PATCHING, encoding="utf-8")
    return run_python(script, place, PYTHONPATH=f"{place}{os.pathsep}{ROOT}")


@pytest.mark.parametrize(
    ("begin", "use"),
    [
        pytest.param(EARLY, "greenlets", id="early"),
        *(pytest.param(LATE, use, id=f"late-{use}") for use in USES),
    ],
)
def test_nothing_lost(tmp_path: Path, begin: str, use: str) -> None:
    """
    Whoever logs, all that is logged is in the file and on the console, once.
    """
    done = run_patching(f"{begin}\n{USES[use]}", tmp_path)

    assert (0, "") == (done.code, done.stderr)
    for written in (done.stdout, tmp_path / "chimera.log"):
        lines = parsed(lines_of(written))
        assert list(range(401)) == sorted(line["context"]["number"] for line in lines)


def test_others_go_on(tmp_path: Path) -> None:
    """
    A job that is stuck in a system call holds up no greenlet.
    """
    script = """
import patching
import os, gevent
from chimera_log.worker import Worker

reading, writing = os.pipe()

def job():
    os.read(reading, 1)

worker = Worker("stuck", job)
worker.wake()
gevent.sleep(0.01)
os.write(writing, b"xx")
assert worker.finish(10)
"""
    done = run_patching(script, tmp_path)

    assert (0, "") == (done.code, done.stderr)


def test_patched_sockets(tmp_path: Path) -> None:
    """
    A job may use sockets that gevent patched, and the others go on meanwhile; what
    gevent made for the job's thread goes with it.
    """
    script = """
import patching
import http.client, os, gevent
from gevent.pywsgi import WSGIServer
from chimera_log.worker import Worker

def serve(_, start_response):
    start_response("200 OK", [])
    return [b"ok"]

def job():
    connection = http.client.HTTPConnection("localhost", server.server_port)
    connection.request("GET", "/")
    served.append(connection.getresponse().read())
    connection.close()

def left():
    return [len(os.listdir(f"/proc/self/{kind}")) for kind in ("fd", "task")]

server = WSGIServer(("127.0.0.1", 0), serve, log=None)
server.start()
worker = Worker("http", job)
served = []
for number in range(1, 6):
    worker.wake()
    while len(served) < number:
        gevent.sleep(0.001)
    while number > 1 and left() > before:
        gevent.sleep(0.001)
    if number == 1:
        gevent.sleep(0.2)  # until the first thread is gone
        before = left()
assert served == [b"ok"] * 5, served
"""
    done = run_patching(script, tmp_path)

    assert (0, "") == (done.code, done.stderr)
