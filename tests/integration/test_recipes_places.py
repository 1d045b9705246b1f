"""
What the pages of ``docs/integrations`` show is run: places to run a program in.

None of those places is here.  What they do with a program is done by the tests:
they set its variables, give it its folders, freeze it, swap its configuration, and
end it by SIGTERM.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.integration.recipes import (
    CHECKPOINT,
    PAGES,
    SIGTERM_EXIT,
    Child,
    Left,
    edited,
    page,
    prepare,
    python,
    shown,
    started,
)
from tests.integration.support import ROOT, SHIPPED, lines_of, parsed, wait_until
from tests.test_docs import blocks

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("systemd", "bot.service"),
        ("docker", "Dockerfile"),
        ("kubernetes", "kubernetes.yaml"),
    ],
)
def test_file_is_the_one_shown(name: str, file: str) -> None:
    """
    What a page shows of a file beside it is that file.
    """
    assert (PAGES / file).read_text() == shown(page(name), file)


def test_every_page_is_listed() -> None:
    """
    The guide leads to every page.
    """
    guide = (ROOT / "docs" / "LOGGING.md").read_text()

    for each in PAGES.glob("*.md"):
        assert f"(integrations/{each.name})" in guide, each.name


class TestLambda:
    RUNTIME = """
import logging, sys
from types import SimpleNamespace

class LambdaLoggerHandler(logging.Handler):
    def emit(self, record):
        print(self.format(record), file=sys.stderr)

LambdaLoggerHandler.__module__ = "awslambdaric.bootstrap"
logging.getLogger().addHandler(LambdaLoggerHandler())
import lambda_function

for number in ("r-1", "r-2"):
    context = SimpleNamespace(aws_request_id=number)
    assert {"statusCode": 200} == lambda_function.lambda_handler({}, context)
    print("returned", number, file=sys.stderr, flush=True)
    sys.stdin.readline()
"""

    @pytest.mark.parametrize("console_only", [True, False])
    def test_frozen(self, tmp_path: Path, console_only: bool) -> None:
        """
        A process that is frozen as its handler returns, and killed at last, has
        printed every line, in our form alone.
        """
        text = page("lambda")
        files = {"lambda_function.py": shown(text, "lambda_function.py")}
        if console_only:
            files["logging.yaml"] = edited(blocks(text, "yaml")[0])
        prepare(tmp_path, files)
        command = f"python -c {shlex.quote(self.RUNTIME)}"
        with started(command, tmp_path) as child:
            for number in ("r-1", "r-2"):
                child.wait_for(f"returned {number}")
                child.process.send_signal(signal.SIGSTOP)
                found = parsed(lines_of(child.stdout))
                last = [each for each in found if each["event"] == "execution_attempt"][
                    -1
                ]
                assert number == last["context"]["request_id"]
                child.process.send_signal(signal.SIGCONT)
                if number == "r-1":
                    assert child.process.stdin is not None
                    child.process.stdin.write(b"\n")
                    child.process.stdin.flush()
            left = child.left(signal.SIGKILL)

        assert "returned r-1\nreturned r-2\n" == left.errors
        assert console_only != left.logs.exists()


def end_after_trade(child: Child) -> Left:
    """
    Return what ``bot.py`` leaves that is told to end after its next trade.

    The one after that is a second away: SIGTERM, which is an exception wherever the
    program is, does not come in the middle of it.
    """
    trail = child.logs / "executions.log"

    def trades() -> int:
        return trail.read_bytes().count(b"\n") if trail.exists() else 0

    before = trades()
    wait_until(lambda: trades() > before, "a trade")
    return child.left(signal.SIGTERM)


def traded(command: list[str], directory: Path, variables: dict[str, str]) -> Left:
    """Return what ``bot.py`` leaves that traded once, then was told to end."""
    with started(shlex.join(command), directory, **variables) as child:
        return end_after_trade(child)


def check_trades(left: Left) -> None:
    """Check that nothing is missing of what ``bot.py`` logs."""
    ours = "bot", "executions", "chimera_log.audit"
    first, *trades, last, told = left.events(*ours)
    assert ("started", {"execution_attempt"}, "stopped", CHECKPOINT) == (
        first,
        set(trades),
        last,
        told,
    )
    assert len(trades) == len(left.executions)
    assert SIGTERM_EXIT == left.code
    assert left.has_all()
    assert left.tells_its_end()
    assert "" == left.errors


class TestSystemd:
    UNIT = (PAGES / "bot.service").read_text()

    def test_unit(self, tmp_path: Path) -> None:
        """
        What the unit starts, and stops by SIGTERM, logs into its folder, ends in order
        and with success.
        """
        settings = [
            line.split("=", 1) for line in self.UNIT.splitlines() if "=" in line
        ]
        unit = dict(settings)
        variables = dict(
            value.split("=", 1) for name, value in settings if name == "Environment"
        )
        assert f"/var/log/{unit['LogsDirectory']}" == variables["CHIMERA_LOG_DIR"]
        opt, logs = tmp_path / "opt", tmp_path / "log"
        (opt / ".venv" / "bin").mkdir(parents=True)
        interpreter = opt / ".venv" / "bin" / "python"
        interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        interpreter.chmod(0o755)
        prepare(opt, {"bot.py": (PAGES / "bot.py").read_text()})

        def here(text: str) -> str:
            return text.replace("/opt/bot", str(opt)).replace("/var/log/bot", str(logs))

        variables = {name: here(value) for name, value in variables.items()}
        left = traded(
            shlex.split(here(unit["ExecStart"])), tmp_path, {**variables, "PWD": "/"}
        )

        check_trades(left)
        assert str(left.code) == unit["SuccessExitStatus"]


STATIC = "formatters: {json: {static: {service: bot}}}"
IMAGE = (PAGES / "Dockerfile").read_text()


class TestDocker:
    def test_command(self, tmp_path: Path) -> None:
        """
        What the image runs writes into its volume alone, and ends in order.
        """
        image = dict(line.split(" ", 1) for line in IMAGE.splitlines())
        name, _, place = image["ENV"].partition("=")
        assert image["VOLUME"] == place
        app, logs = tmp_path / "app", tmp_path / "log"
        app.mkdir()
        prepare(app, {"bot.py": (PAGES / "bot.py").read_text()})
        assert {each.name for each in app.iterdir()} == set(image["COPY"].split()[:-1])
        left = traded(
            json.loads(image["CMD"]), tmp_path, {name: str(logs), "PWD": str(app)}
        )

        check_trades(left)
        assert left.logs == logs
        assert {each.name for each in app.iterdir()} == set(image["COPY"].split()[:-1])

    def test_short_lines(self, tmp_path: Path) -> None:
        """
        The console's lines are short enough for Docker, and the files have them whole.
        """
        (part,) = blocks(page("docker"), "yaml")
        prepare(tmp_path, {"logging.yaml": edited(part)})
        program = """
import logging
from chimera_log import init_logging

init_logging()
logging.info("long", extra={"context": {"text": "x" * 50_000, "token": "x"}})
"""
        left = python(program, tmp_path)

        (short,), (whole,) = left.console, left.everything
        assert len(short) < 16 * 1024
        assert 50_000 < len(whole)
        assert json.loads(short)["truncated"] is True
        assert "[redacted]" == json.loads(short)["context"]["token"]


class TestKubernetes:
    SET = yaml.safe_load((PAGES / "kubernetes.yaml").read_text())

    def test_mounts(self) -> None:
        """
        What is mounted is what the pod has, and what the variables name.
        """
        spec = self.SET["spec"]["template"]["spec"]
        (bot,) = spec["containers"]
        mounts = {each["name"]: each["mountPath"] for each in bot["volumeMounts"]}
        (claim,) = self.SET["spec"]["volumeClaimTemplates"]
        volumes = [
            claim["metadata"]["name"],
            *(each["name"] for each in spec["volumes"]),
        ]
        variables = {each["name"]: each["value"] for each in bot["env"]}

        assert sorted(volumes) == sorted(mounts)
        assert f"{mounts['config']}/logging.yaml" == variables["CHIMERA_LOG_CONFIG"]
        assert mounts["logs"] == variables["CHIMERA_LOG_DIR"]
        (created,) = re.findall(r"configmap (\S+)", page("kubernetes"))
        assert created == spec["volumes"][0]["configMap"]["name"]
        assert f"--uid {spec['securityContext']['runAsUser']} " in IMAGE

    def test_config_map(self, tmp_path: Path) -> None:
        """
        A pod ends in order, and takes no notice of an edited ConfigMap.
        """
        with self.started(tmp_path, SHIPPED.read_text(), edited(STATIC)) as child:
            child.wait_for("started")
            swap(tmp_path)
            left = end_after_trade(child)

        check_trades(left)

    def test_watch(self, tmp_path: Path) -> None:
        """
        With the key shown it does, and still nothing is missing.
        """
        key, _ = blocks(page("kubernetes"), "yaml")[::-1]
        assert ["watch"] == list(yaml.safe_load(key))
        key = "watch: 20 ms"  # nobody waits here
        files = edited(key), edited(f"{key}\n{STATIC}")
        with self.started(tmp_path, *files) as child:
            child.wait_for("started")
            swap(tmp_path)
            child.wait_for('"service":"bot"')
            left = end_after_trade(child)

        check_trades(left)

    def started(
        self, directory: Path, *files: str
    ) -> contextlib.AbstractContextManager[Child]:
        """Start the pod's command below *directory*; *files* are the ConfigMap's."""
        (bot,) = self.SET["spec"]["template"]["spec"]["containers"]
        config, logs = directory / "config", directory / "log"
        for number, file in enumerate(files):
            (config / f"..{number}").mkdir(parents=True)
            prepare(config / f"..{number}", {"logging.yaml": file})
        # As the kubelet lays it out.
        (config / "..data").symlink_to("..0")
        (config / "logging.yaml").symlink_to("..data/logging.yaml")

        def here(text: str) -> str:
            return text.replace("/etc/bot", str(config)).replace(
                "/var/log/bot", str(logs)
            )

        variables = {each["name"]: here(each["value"]) for each in bot["env"]}
        variables["PWD"] = str(PAGES)
        return started(shlex.join(bot["command"]), directory, **variables)


def swap(directory: Path) -> None:
    """Exchange the ConfigMap's files as the kubelet does."""
    config = directory / "config"
    (config / "..new").symlink_to("..1")
    (config / "..new").rename(config / "..data")
    (config / "..0" / "logging.yaml").unlink()
