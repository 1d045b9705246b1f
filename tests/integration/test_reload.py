"""
The configuration of real services, changed while they work.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from chimera_log.audit.verify import verify
from tests.integration.files_support import content_of
from tests.integration.support import (
    PATIENCE,
    ROOT,
    SHIPPED,
    run_python,
    unmeasured,
    wait_until,
)
from tests.test_docs import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.cloudwatch_server import Server

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

# Logs numbered records by four threads while the file changes; each third one is bad.
BUSY = """
import gc, json, logging, os, sys, threading, time
from pathlib import Path
from chimera_log import init_logging, reload

reloads, records, by_link = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "link"
text = Path("text").read_text()
file = Path("logging.yaml")


def write(number):
    level = "LOUD" if number % 3 == 2 else "INFO"
    written = text.replace("{n}", str(number % 5 + 1)).replace("{level}", level)
    if not by_link:
        file.write_text(written)
        return
    # As Kubernetes does with a ConfigMap: folders are new, a link is exchanged.
    folder = Path(f"..{time.monotonic_ns()}")
    folder.mkdir()
    (folder / "logging.yaml").write_text(written)
    os.symlink(folder, "..new")
    os.replace("..new", "..data")
    if not file.is_symlink():
        file.symlink_to("..data/logging.yaml")


def opened():
    gc.collect()
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{entry}"))
        except OSError:  # the one that lists them
            pass
    logs = [each for each in found if each.startswith(os.getcwd())]
    return sorted(each for each in logs if "/spool" not in each)


write(0)
init_logging(file)
counts = [0, 0, 0, 0]
goes_on = True


def log(thread):
    logger = logging.getLogger(f"bot.{thread}")
    while goes_on:
        logger.info("n", extra={"context": {"thread": thread, "number": counts[thread]}})
        counts[thread] += 1
        if sum(counts) > records:
            time.sleep(0.0005)


logging.getLogger().info("warm")
time.sleep(0.3)
before = opened()
threads = [threading.Thread(target=log, args=(each,)) for each in range(4)]
for thread in threads:
    thread.start()
done = {True: 0, False: 0}
number = 0
while number < reloads or sum(counts) < records:
    number += 1
    write(number)
    done[reload()] += 1
    if number >= reloads:
        time.sleep(0.02)
goes_on = False
for thread in threads:
    thread.join()
write(0)
assert reload()
for handler in logging.getLogger().handlers:
    handler.flush()
time.sleep(0.3)
print(json.dumps({
    "counts": counts, "done": [done[True], done[False]], "reloads": number,
    "files": [before, opened()], "threads": len(os.listdir("/proc/self/task")),
}))
"""
CONFIG = """version: 1
disable_existing_loggers: false
formatters:
  json: {(): chimera_log.JsonFormatter, static: {n: "{n}"}}
handlers:
  plain: {class: logging.FileHandler, filename: plain.log, formatter: json}
  chimera:
    class: chimera_log.RotatingFileHandler
    filename: chimera.log
    formatter: json
    maxBytes: {n}00 KB
    backupCount: 1000
  threaded:
    class: chimera_log.RotatingFileHandler
    filename: threaded.log
    formatter: json
    writer: thread
  trail:
    class: chimera_log.AuditFileHandler
    filename: executions.log
    maxBytes: {n}00 KB
    backupCount: {n}
    checkpoint_records: 1000{n}
root: {level: {level}, handlers: [plain, chimera, threaded, trail]}
loggers: {}
"""
CLOUDWATCH = """  cloudwatch:
    class: chimera_log.CloudWatchHandler
    formatter: json
    region_name: eu-central-1
    endpoint_url: URL
    spool_dir: spool
    max_batch_count: {n}00
root: {level: {level}, handlers: [plain, chimera, threaded, trail, cloudwatch]}
"""


def busy(directory: Path, reloads: int, records: int, how: str) -> dict[str, Any]:
    """Return what the busy program said."""
    script = f"import sys\nsys.argv[1:] = {[str(reloads), str(records), how]!r}\n{BUSY}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = run_python(
        script,
        directory,
        PATIENCE + records / 100,  # a hundred a second, on a busy machine
        COVERAGE_PROCESS_CONFIG="",
        **keys,
    )
    assert (0, "") == (done.code, done.stderr)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert said["files"][0] == said["files"][1]
    assert said["threads"] <= 1 + len(("writer", "sync", "maintain", "sender"))
    refused = sum(number % 3 == 2 for number in range(1, said["reloads"] + 1))
    assert [said["reloads"] - refused, refused] == said["done"]
    return said


def numbers(lines: list[bytes]) -> dict[int, list[int]]:
    """Return the numbers of each thread's records, in the order of the lines."""
    found: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
    for line in lines:
        record = json.loads(line)
        if record["event"] == "n":
            context = record["context"]
            found[context["thread"]].append(context["number"])
    return found


def logged(directory: Path, name: str) -> dict[int, list[int]]:
    """Return the same of a log and its full files."""
    return numbers(
        [
            line
            for path in [*sorted(directory.glob(f"{name}.*")), directory / name]
            for line in content_of(path).splitlines()
        ]
    )


@pytest.mark.parametrize(
    ("reloads", "records"),
    [(20, 2_000), pytest.param(300, 200_000, marks=pytest.mark.long)],
)
@pytest.mark.parametrize("how", ["file", "link"])
def test_busy(tmp_path: Path, reloads: int, records: int, how: str) -> None:
    """
    However often the file changes, each record is in each output once, in order; the
    trail is one chain, and nothing stays open.
    """
    (tmp_path / "text").write_text(CONFIG)
    said = busy(tmp_path, reloads, records, how)

    expected = {each: [*range(said["counts"][each])] for each in range(4)}
    for name in ("plain.log", "chimera.log", "executions.log"):
        assert expected == logged(tmp_path, name)
    # What waits for the old handler's thread may be written after what is new.
    found = logged(tmp_path, "threaded.log")
    assert expected == {each: sorted(found[each]) for each in found}
    report = verify(str(tmp_path / "executions.log"))
    assert (None, []) == (report.bad, [*report.left_alone])


@pytest.mark.parametrize(
    ("reloads", "records"),
    [(10, 500), pytest.param(100, 20_000, marks=pytest.mark.long)],
)
def test_cloudwatch(
    tmp_path: Path, cloudwatch: Server, reloads: int, records: int
) -> None:
    """
    CloudWatch Logs gets each record once, in order, in one stream.
    """
    rest = CONFIG.partition("root:")[0]
    text = f"{rest}{CLOUDWATCH.replace('URL', cloudwatch.url)}loggers: {{}}\n"
    (tmp_path / "text").write_text(text)
    said = busy(tmp_path, reloads, records, "file")

    expected = {each: [*range(said["counts"][each])] for each in range(4)}
    assert expected == numbers([each.encode() for each in cloudwatch.messages()])
    assert 1 == len({each.stream for each in cloudwatch.events()})


@contextlib.contextmanager
def service(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the page's service; yield its process and its port."""
    (directory / "logging.yaml").write_text(SHIPPED.read_text(encoding="utf-8"))
    (app,) = [each for each in blocks(PAGE, "python") if "async def app" in each]
    (directory / "app.py").write_text(app)
    (command,) = [each for each in blocks(PAGE, "sh") if "uvicorn" in each]
    assert "uvicorn --port 8000 app:app\n" == command
    arguments = command.replace("8000", "0").split()
    with (directory / "console").open("wb") as console:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=directory,
            env=unmeasured(directory),
            stdout=console,
            stderr=console,
        )
    try:
        ready = re.compile(r"running on http://127\.0\.0\.1:(\d+)")

        def port() -> re.Match[str] | None:
            assert process.poll() is None, (directory / "console").read_text()
            return ready.search((directory / "console").read_text())

        wait_until(lambda: port() is not None, "the service")
        found = port()
        assert found is not None
        yield process, int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def test_page(tmp_path: Path) -> None:
    """
    The page's service changes its level by the file, and survives a broken one.
    """
    log = tmp_path / "chimera.log"
    _, _, changed, broken = blocks(PAGE, "yaml")

    def events(name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in log.read_text().splitlines()]
        return [each for each in found if each["event"] == name]

    def ask(port: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/")
        with connection.getresponse() as answer:
            status = answer.status
        connection.close()
        return status

    def append(text: str) -> None:
        written = (tmp_path / "logging.yaml").read_text()
        (tmp_path / "logging.yaml").write_text(written.replace(changed, "") + text)

    with service(tmp_path) as (process, port):
        assert 200 == ask(port)
        assert [] == events("asked")
        append(changed)
        wait_until(lambda: bool(events("logging_reloaded")), "the new level")
        assert 200 == ask(port)
        assert ["/"] == [each["context"]["path"] for each in events("asked")]
        append(broken)
        wait_until(lambda: bool(events("logging_reload_failed")), "the report")
        assert 200 == ask(port)
        assert 2 == len(events("asked"))
        assert process.poll() is None

    (failed,) = events("logging_reload_failed")
    (said,) = [each.strip() for each in blocks(PAGE, "text") if "rpc.level" in each]
    assert [said] == failed["context"]["findings"]


def test_instruments(tmp_path: Path) -> None:
    """
    OpenTelemetry's handler and pytest's stay on the root, and get each record once.
    """
    (tmp_path / "test_it.py").write_text(
        """
import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.instrumentation.logging import LoggingInstrumentor
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from chimera_log import init_logging, reload

seen = []


class Exporter:
    def export(self, batch):
        seen.extend(each.log_record.body for each in batch)

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=0):
        return True


provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(Exporter()))
set_logger_provider(provider)
LoggingInstrumentor().instrument(enable_log_auto_instrumentation=True)


def test_it(caplog, tmp_path):
    path = tmp_path / "logging.yaml"
    text = "version: 1\\nroot: {level: %s, handlers: [a]}\\nhandlers:\\n"
    text += "  a: {class: logging.FileHandler, filename: %s}\\n"
    path.write_text(text % ("INFO", tmp_path / "a.log"))
    init_logging(path)
    logging.getLogger("bot").info("one")
    path.write_text(text % ("DEBUG", tmp_path / "b.log"))
    assert reload()
    logging.getLogger("bot").debug("two")
    path.write_text("version: 2\\n")
    assert not reload()
    logging.getLogger("bot").debug("three")

    logged = [each.getMessage() for each in caplog.records if each.name == "bot"]
    assert ["one", "two", "three"] == logged
    assert ["one", "two", "three"] == [each for each in seen if "logging_" not in each]
"""
    )
    done = run_python(
        "import sys, pytest\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'test_it.py']))",
        tmp_path,
        COVERAGE_PROCESS_CONFIG="",
    )
    assert (0, "1 passed") == (
        done.code,
        (re.search(rb"1 passed|1 failed.*", done.stdout) or [done.stdout])[0].decode(),
    ), done.stdout.decode()
