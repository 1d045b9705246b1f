"""
What the pages of ``docs/integrations`` show is run: servers, frameworks, tools.

What a page takes for granted (an application, a task that is sent) is here.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.recipes import (
    CHECKPOINT,
    SIGTERM_EXIT,
    Child,
    Left,
    done,
    page,
    prepare,
    python,
    shown,
    started,
)
from tests.integration.support import SHIPPED, parsed
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = re.compile(r"(?:unning on|Listening at:) http://127\.0\.0\.1:(\d+)")
REQUESTS = 10

# Servers take their address from here, so that a page's command is run as it is.
ANY_PORT = {
    "UVICORN_PORT": "0",
    "PORT": "0",
    "GUNICORN_CMD_ARGS": "--bind 127.0.0.1:0 --no-control-socket",
}
ASGI = "from tests.integration.support import asgi as app\n"
WSGI = "from tests.integration.support import wsgi as app\n"


def served(command: str, directory: Path, ready: str, workers: int) -> Left:
    """Return what a server leaves that was asked `REQUESTS` times, then told to end."""
    with started(command, directory, **ANY_PORT) as child:
        child.wait_for(ready, workers)
        child.wait_for("http://127.0.0.1:")
        address = ADDRESS.search(child.said())
        assert address is not None
        for number in range(REQUESTS):
            connection = http.client.HTTPConnection("127.0.0.1", int(address[1]))
            connection.request("GET", f"/{number}")
            assert 200 == connection.getresponse().status
            connection.close()
        child.wait_for('"event":"request"', REQUESTS)
        return child.left(signal.SIGTERM)


def check_requests(left: Left, access: str) -> None:
    """Check that each request was logged once by the application and by the server."""
    expected = list(range(REQUESTS))
    paths = [re.search(r'"GET /(\d+) ', event) for event in left.events(access)]
    assert [REQUESTS, expected] == [
        left.events("app").count("request"),
        sorted(int(each[1]) for each in paths if each),
    ]
    assert ["execution_attempt"] == [record["event"] for record in left.executions]
    assert Counter() == Counter(left.console) - Counter(left.everything)
    assert "" == left.errors


# Celery takes seconds to end, and does nothing meanwhile: so it is started first.

SENT = """
from celery.signals import worker_ready
from tasks import trade


@worker_ready.connect
def send(**_):
    trade.delay(7)
"""


@pytest.fixture(scope="module")
def celery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A worker of the page's ``tasks.py`` that has done its task and is told to end."""
    directory = tmp_path_factory.mktemp("celery")
    prepare(directory, {"tasks.py": shown(page("celery"), "tasks.py"), "sent.py": SENT})
    (command,) = blocks(page("celery"), "sh")
    with started(
        f"{command.strip()} --include sent", directory, CELERY_BROKER_URL="memory://"
    ) as child:
        child.wait_for("succeeded in")
        child.process.send_signal(signal.SIGTERM)
        yield child


def test_celery_takes_a_task(celery: Child) -> None:
    """
    Celery's worker is started as its page says, and does a task.
    """
    assert "execution_attempt" in celery.said()


class TestUvicorn:
    @pytest.mark.long
    def test_command(self, tmp_path: Path) -> None:
        """
        Workers started by the command line log each request once, in our lines.
        """
        prepare(tmp_path, {"app.py": ASGI})
        command, _ = blocks(page("uvicorn"), "sh")
        left = served(command, tmp_path, "Application startup complete", 2)

        check_requests(left, "uvicorn.access")

    def test_program(self, tmp_path: Path) -> None:
        """
        The program does that as well, and ends in order: nothing waits.
        """
        prepare(
            tmp_path, {"app.py": ASGI, "serve.py": shown(page("uvicorn"), "serve.py")}
        )
        _, command = blocks(page("uvicorn"), "sh")
        left = served(command, tmp_path, "Application startup complete", 1)

        check_requests(left, "uvicorn.access")
        assert SIGTERM_EXIT == left.code
        assert left.has_all()
        assert left.tells_its_end()

    @pytest.mark.long
    def test_application_comes_too_late(self, tmp_path: Path) -> None:
        """
        Called in the application, `exit_on_sigterm` changes nothing in workers.
        """
        late = f"from chimera_log import exit_on_sigterm\nexit_on_sigterm()\n{ASGI}"
        prepare(tmp_path, {"app.py": late})
        command, _ = blocks(page("uvicorn"), "sh")
        left = served(command, tmp_path, "Application startup complete", 2)

        assert CHECKPOINT not in left.events()


class TestGunicorn:
    CONF = shown(page("gunicorn"), "gunicorn.conf.py")
    (COMMAND,) = blocks(page("gunicorn"), "sh")

    def test_command(self, tmp_path: Path) -> None:
        """
        Workers log each request once, in our lines, and end in order.
        """
        prepare(tmp_path, {"app.py": WSGI, "gunicorn.conf.py": self.CONF})
        left = served(self.COMMAND, tmp_path, "Booting worker", 2)

        check_requests(left, "gunicorn.access")
        assert 0 == left.code
        assert left.has_all()
        assert left.tells_its_end()

    @pytest.mark.long
    @pytest.mark.parametrize("hook", [True, False])
    def test_workers_of_uvicorn(self, tmp_path: Path, hook: bool) -> None:
        """
        uvicorn's own lines get lost in its workers, unless the hook is there.
        """
        conf = self.CONF + (blocks(page("gunicorn"), "python")[1] if hook else "")
        prepare(tmp_path, {"app.py": ASGI, "gunicorn.conf.py": conf})
        command = self.COMMAND.replace("--workers 2", "--workers 1").strip()
        command = f"{command} --worker-class uvicorn.workers.UvicornWorker"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONWARNINGS", "ignore")  # that module is deprecated
            left = served(command, tmp_path, "Booting worker", 1)

        assert hook == ("Application startup complete." in left.events("uvicorn.error"))

    @pytest.mark.long
    def test_no_loggers(self, tmp_path: Path) -> None:
        """
        A configuration without ``loggers`` is one that gunicorn does not start with.
        """
        configuration = yaml.safe_load(SHIPPED.read_text())
        del configuration["loggers"]
        files = {"logging.yaml": yaml.safe_dump(configuration), "app.py": WSGI}
        prepare(tmp_path, {**files, "gunicorn.conf.py": self.CONF})
        left = done(self.COMMAND, tmp_path, **ANY_PORT)

        assert 0 != left.code
        assert "Unable to configure logger 'gunicorn.error'" in left.errors


class TestHypercorn:
    CONF = shown(page("hypercorn"), "hypercorn_conf.py")
    COMMAND, CONVERT, WITH_JSON = blocks(page("hypercorn"), "sh")

    def test_command(self, tmp_path: Path) -> None:
        """
        Workers log each request once, in our lines; all that hypercorn's haste may
        take away is where the trail ends.
        """
        prepare(tmp_path, {"app.py": ASGI, "hypercorn_conf.py": self.CONF})
        command = f"{self.COMMAND.strip()} --bind 127.0.0.1:0"
        left = served(command, tmp_path, "Running on", 2).but_for(CHECKPOINT)

        check_requests(left, "hypercorn.access")
        assert 0 == left.code
        assert left.has_all()

    def test_one_worker(self, tmp_path: Path) -> None:
        """
        One worker ends in order.
        """
        prepare(tmp_path, {"app.py": ASGI, "hypercorn_conf.py": self.CONF})
        command = f"{self.COMMAND.strip()} --workers 1 --bind 127.0.0.1:0"
        left = served(command, tmp_path, "Running on", 1)

        check_requests(left, "hypercorn.access")
        assert 0 == left.code
        assert left.has_all()
        assert left.tells_its_end()

    def test_convert(self, tmp_path: Path) -> None:
        """
        The file that is converted says what ``logging.yaml`` says.
        """
        prepare(tmp_path, {})
        left = done(self.CONVERT, tmp_path)

        assert (0, "") == (left.code, left.errors)
        expected = yaml.safe_load(SHIPPED.read_text())
        assert expected == json.loads((tmp_path / "logging.json").read_text())

    @pytest.mark.long
    def test_json(self, tmp_path: Path) -> None:
        """
        With it, workers log the same.
        """
        prepare(tmp_path, {"app.py": ASGI})
        done(self.CONVERT, tmp_path)
        command = f"{self.WITH_JSON.strip()} --bind 127.0.0.1:0"

        check_requests(served(command, tmp_path, "Running on", 2), "hypercorn.access")

    @pytest.mark.long
    def test_open_file(self, tmp_path: Path) -> None:
        """
        An open file among the names of the configuration ends it.
        """
        conf = shown(page("gunicorn"), "gunicorn.conf.py")
        prepare(tmp_path, {"app.py": ASGI, "hypercorn_conf.py": conf})
        left = done(f"{self.COMMAND.strip()} --bind 127.0.0.1:0", tmp_path)

        assert 0 != left.code
        assert "cannot pickle" in left.errors


class TestDjango:
    SETTINGS = (
        'SECRET_KEY = "x"\nROOT_URLCONF = "site_of_ours.urls"\nALLOWED_HOSTS = ["*"]\n'
    )
    URLS = """
import logging

from django.http import HttpResponse
from django.urls import path

def good(request):
    logging.getLogger("bot").info("asked")
    return HttpResponse("good")

def bad(request):
    raise ValueError("bad")

urlpatterns = [path("good", good), path("bad", bad)]
"""
    REQUESTS = """
import logging
from wsgiref.util import setup_testing_defaults
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
for path in ("/good", "/none", "/bad"):
    environ = {}
    setup_testing_defaults(environ)
    list(application({**environ, "PATH_INFO": path}, lambda *_: None))
logging.getLogger("django.server").info("served")
"""

    def test_settings(self, tmp_path: Path) -> None:
        """
        What views and Django log is in our lines, once: errors with their exception.
        """
        (tmp_path / "site_of_ours").mkdir()
        settings = shown(page("django"), "settings.py") + self.SETTINGS
        files = {"settings.py": settings, "urls.py": self.URLS, "__init__.py": ""}
        prepare(
            tmp_path, {f"site_of_ours/{name}": text for name, text in files.items()}
        )
        variables = {"DJANGO_SETTINGS_MODULE": "site_of_ours.settings"}
        left = python(self.REQUESTS, tmp_path, **variables)

        good, none, bad, server = parsed(left.everything)
        assert "asked" == good["event"]
        assert ("WARNING", 404) == (none["level"], none["context"]["status_code"])
        assert ("ERROR", 500) == (bad["level"], bad["context"]["status_code"])
        assert "ValueError" == bad["exception"]["type"]
        assert "served" == server["event"]
        assert left.has_all()
        assert "" == left.errors


class TestAlembic:
    CALL = """if config.config_file_name is not None:
    fileConfig(config.config_file_name)
"""
    INIT = """
from pathlib import Path
from alembic import command
from alembic.config import Config

config = Config("alembic.ini", stdout=open("init.txt", "w"))
command.init(config, "migrations")
ini = Path("alembic.ini")
url = "sqlalchemy.url = driver://user:pass@localhost/dbname"
ini.write_text(ini.read_text().replace(url, "sqlalchemy.url = sqlite:///bot.db"))
command.revision(config, "first")
env = Path("migrations/env.py")
assert 1 == env.read_text().count(CALL)
env.write_text(env.read_text().replace(CALL, SHOWN))
"""
    MIGRATE = """
import logging
from chimera_log import init_logging

init_logging()
logging.getLogger("bot").info("before")
command.upgrade(Config("alembic.ini"), "head")
logging.getLogger("bot").info("after")
"""

    def run(self, call: str, directory: Path) -> Left:
        """Return what a program leaves that migrates, with *call* in ``env.py``."""
        prepare(directory, {})
        names = f"CALL, SHOWN = {self.CALL!r}, {call!r}"
        return python(f"{names}\n{self.INIT}{self.MIGRATE}", directory)

    def test_env(self, tmp_path: Path) -> None:
        """
        Logging works on after a migration, which is logged in our lines, and so it is
        by the command.
        """
        left = self.run(shown(page("alembic"), "env.py"), tmp_path)
        (command,) = blocks(page("alembic"), "sh")
        by_command = done(command, tmp_path)

        assert (0, "") == (left.code, left.errors)
        assert ["before", "after"] == left.events("bot")
        assert any("Running upgrade" in event for event in left.events())
        assert (0, "") == (by_command.code, by_command.errors)
        modules = {record["module"] for record in parsed(by_command.console)}
        assert {"alembic.runtime.migration"} == modules

    @pytest.mark.long
    @pytest.mark.parametrize(
        "call", [CALL, CALL.replace("name)", "name, disable_existing_loggers=False)")]
    )
    def test_file_config(self, call: str, tmp_path: Path) -> None:
        """
        With ``fileConfig``, nothing is logged after a migration, loggers disabled or not.
        """
        assert ["before"] == self.run(call, tmp_path).events("bot")


class TestPytest:
    TRAP = """
import logging.config
from chimera_log import init_logging

def test_within(caplog, tmp_path):
    init_logging(log_dir=tmp_path)
    logging.info("seen")
    assert ["seen"] == [each.message for each in caplog.records]

def test_dict_config(caplog):
    logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}})
    logging.info("unseen")
    assert [] == caplog.records

def test_after(caplog):
    logging.info("seen")
    assert ["seen"] == [each.message for each in caplog.records]
"""

    def test_files(self, tmp_path: Path) -> None:
        """
        The test shown passes, ``caplog`` is empty where the page says so, and nothing
        is logged beside the tests.
        """
        text = page("pytest")
        files = {name: shown(text, name) for name in ("conftest.py", "test_trade.py")}
        prepare(tmp_path, {**files, "test_trap.py": self.TRAP})
        (command,) = blocks(text, "sh")
        left = done(command, tmp_path, PYTEST_ADDOPTS="-p no:cacheprovider")

        assert 0 == left.code, left.console
        assert b"4 passed" in left.console[-1]
        assert not left.logs.exists()


class TestCelery:
    def test_worker(self, celery: Child) -> None:
        """
        The worker's records and those of its pool are in the files and on the console,
        and the trail says where it ends, though the pool runs no `atexit`.
        """
        left = celery.left()

        assert 0 == left.code
        assert [7] == [each["context"]["amount"] for each in left.executions]
        assert any("received" in each for each in left.events("celery.worker.strategy"))
        assert any("succeeded" in each for each in left.events("celery.app.trace"))
        assert left.tells_its_end()
        assert [] == [line for line in left.everything if line not in left.console]

    @pytest.mark.long
    @pytest.mark.parametrize(
        "setting", ["", "app.conf.worker_hijack_root_logger = False"]
    )
    def test_without_signal(self, setting: str, tmp_path: Path) -> None:
        """
        Without the signal a task's INFO records are in no file, hijacked or not.
        """
        tasks = f"""
import logging
from celery import Celery
from celery.utils.log import get_task_logger
from chimera_log import init_logging, log_execution_attempt

init_logging()
app = Celery("tasks")
{setting}

@app.task
def trade(amount):
    logging.getLogger("bot").info("trading")
    get_task_logger("tasks").info("trading")
    log_execution_attempt(amount=amount)
    logging.getLogger("bot").error("traded")
    get_task_logger("tasks").error("traded")
"""
        prepare(tmp_path, {"tasks.py": tasks, "sent.py": SENT})
        (command,) = blocks(page("celery"), "sh")
        command = f"{command.strip()} --include sent"
        with started(command, tmp_path, CELERY_BROKER_URL="memory://") as child:
            child.wait_for("traded", 2)
            left = child.left(signal.SIGTERM)

        assert "trading" not in left.events()
        assert [] == left.events("tasks")
        assert bool(setting) == (left.logs / "executions.log").exists()
