"""
Real processes for the integration tests: children, a small web app, readers.

The web app is here, typed and linted, rather than in a text that a test writes
out; servers import it by name.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chimera_log import log_execution_attempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Message = MutableMapping[str, Any]

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "logging.yaml"
PATIENCE = 120.0  # seconds for anything a child does; far beyond what it needs

# What every program does that takes our file and none of our code.
LOAD = f"""
import logging, logging.config
from pathlib import Path
import yaml
text = Path({str(SHIPPED)!r}).read_text(encoding="utf-8")
logging.config.dictConfig(yaml.safe_load(text))
"""


def environment(log_dir: Path, **variables: str) -> dict[str, str]:
    """Return a child's environment, in which only *log_dir* configures us."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHIMERA_LOG", "GUNICORN_", "WEB_CONCURRENCY"))
    }
    ours = {"CHIMERA_LOG_DIR": str(log_dir), "PYTHONPATH": str(ROOT)}
    return {**inherited, **ours, **variables}


def unmeasured(log_dir: Path, **variables: str) -> dict[str, str]:
    """Return the same for a child whose coverage is of no interest, and takes time."""
    return environment(log_dir, COVERAGE_PROCESS_CONFIG="", **variables)


class Done(NamedTuple):
    """How a child ended, and what it said."""

    code: int
    stdout: bytes
    stderr: str


def run_python(
    script: str, directory: Path, patience: float = PATIENCE, /, **variables: str
) -> Done:
    """
    Run *script* in a child whose working and log directory is *directory*.

    It may take *patience* seconds.
    """
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=directory,
        env=environment(directory, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=patience,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until *condition* holds, and fail with *what* if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s for {what}"
        time.sleep(0.02)


def lines_of(written: Path | bytes) -> list[bytes]:
    """Return the lines of a file or of captured output, each one ended."""
    content = written.read_bytes() if isinstance(written, Path) else written
    assert content.endswith(b"\n") or not content, f"torn line: {content[-200:]!r}"
    return content.split(b"\n")[:-1]


def parsed(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return *lines* as read by a reader that takes nothing but strict JSON."""
    return [_strict(line) for line in lines]


def _strict(line: bytes) -> dict[str, Any]:
    document: Any = _READER.decode(line.decode())
    assert isinstance(document, dict), f"no object: {line[:200]!r}"
    return document


def _refused(constant: str) -> None:
    raise AssertionError(f"no JSON: {constant}")


def _exact(digits: str) -> int:
    assert abs(int(digits)) < 2**53, f"no double holds {digits}"
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"a key twice: {[key for key, _ in pairs]}"
    return dict(pairs)


# Made once: to make it takes as long as to read a line.
_READER = json.JSONDecoder(
    parse_constant=_refused, parse_int=_exact, object_pairs_hook=_unique
)


def serve(number: int) -> None:
    """Log what one request logs: a record, and each tenth time an execution."""
    context: dict[str, Any] = {"number": number, "pid": os.getpid()}
    logging.getLogger("app").info("request", extra={"context": context})
    if number % 10 == 0:
        log_execution_attempt(strategy="arbitrage", status="included", **context)


async def asgi(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Serve ``GET /<number>`` with the worker's pid."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    serve(int(scope["path"][1:]))
    body = str(os.getpid()).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


def wsgi(
    environ: dict[str, Any],
    start_response: Callable[[str, list[tuple[str, str]]], object],
) -> list[bytes]:
    """Serve ``GET /<number>`` with the worker's pid."""
    serve(int(environ["PATH_INFO"][1:]))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
