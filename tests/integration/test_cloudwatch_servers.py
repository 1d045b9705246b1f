"""
CloudWatch from the workers of gunicorn, of every kind.
"""

from __future__ import annotations

import http.client
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from tests.integration.cloudwatch_stage import MEMORY, SPOOL, Promises, Scenarios, Stage
from tests.integration.support import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.cloudwatch_stage import Stage

SCENARIOS = Scenarios()
REQUESTS = 200
CLIENTS = 8
APP = "tests.integration.cloudwatch_child"
GUNICORN = [sys.executable, "-m", "gunicorn", f"{APP}:wsgi", "--workers", "2"]
# Whoever logs over HTTPS before gevent has patched ssl can do so no more afterwards.
EARLY = "import gevent.monkey\ngevent.monkey.patch_all()\n"
CONFIGURATION = f"""
from pathlib import Path
from {APP} import document

bind = "127.0.0.1:0"
control_socket_disable = True
logconfig_dict = {{**document(), "loggers": {{"gunicorn.error": {{"propagate": True}}}}}}

def when_ready(server):
    host, port = server.LISTENERS[0].sock.getsockname()
    Path("port.new").write_text(str(port))
    Path("port.new").rename("port")
"""
KINDS = {
    "sync": ["-k", "sync"],
    "gthread": ["-k", "gthread", "--threads", "4"],
    "gevent": ["-k", "gevent"],
}


def gunicorn(*options: str) -> Callable[[Stage], None]:
    """Return a scenario in which two workers serve 200 requests."""

    def play(stage: Stage) -> None:
        configuration = stage.directory / "gunicorn.conf.py"
        prelude = EARLY if "gevent" in options else ""
        configuration.write_text(prelude + CONFIGURATION, encoding="utf-8")
        port = stage.directory / "port"
        with stage.process([*GUNICORN, *options]) as process:
            wait_until(port.exists, "a port")
            number = int(port.read_text(encoding="utf-8"))
            for writer, count in served(number).items():
                stage.expect(writer, count)
            stage.end(process, signal.SIGTERM)

    return play


def served(port: int) -> Counter[str]:
    """Return how many requests each writer answered."""

    def get(_: int) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with closing(connection):
            connection.request("GET", "/", headers={"Connection": "close"})
            return connection.getresponse().read().decode()

    with ThreadPoolExecutor(CLIENTS) as clients:
        return Counter(clients.map(get, range(REQUESTS)))


for _kind, _options in KINDS.items():
    for _preload in ([], ["--preload"]):
        _play = gunicorn(*_options, *_preload)
        _play.__name__ = "_".join([_kind, *(["preload"] if _preload else [])])
        if _play.__name__ in {"gthread_preload", "gevent"}:
            SCENARIOS.add(MEMORY, long=(SPOOL,))(_play)
        else:
            SCENARIOS.add(long=(MEMORY, SPOOL))(_play)


stages, stage = SCENARIOS.fixtures()


class TestEveryServer(Promises):
    """What holds in all kinds of workers."""

    def test_own_lines(self, stage: Stage) -> None:
        """
        What the server says of itself arrives, from its first process too.
        """
        events = [line["event"] for line in stage.lines]
        assert 1 == sum(event.startswith("Listening at: ") for event in events)
        assert 2 == sum(event.startswith("Booting worker") for event in events)
