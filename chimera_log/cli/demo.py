"""
``chimera-log demo``: a small trading bot that logs for a few seconds.

It shows every output and every event on real lines: several threads, a request
id bound around each search, errors with their traces, amounts beyond what a
double holds, and secrets that must not be seen.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import chimera_log
from chimera_log.cli import archived
from chimera_log.cli.embedded import REGION, embedded
from chimera_log.config.reading import read
from chimera_log.config.sources import PACKAGED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_STRATEGIES = ("cross_dex", "liquidation", "backrun")
_PAUSE = 0.02  # seconds between two steps of a bot


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the program's."""
    parser = commands.add_parser("demo", help="run a small bot and show what it logged")
    parser.add_argument(
        "--log-dir",
        type=Path,
        default=Path("demo-logs"),
        help="folder for the log files (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="how long it runs (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, default=3, help="bots (default: %(default)s)"
    )
    parser.add_argument(
        "--cloudwatch",
        action="store_true",
        help="send it to CloudWatch Logs as well: one that runs here, for the demo",
    )
    parser.add_argument(
        "--archive",
        action="store_true",
        help="send full files of the audit trail to S3: one that runs here, as well",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    with ExitStack() as stack:
        # Not the operator's configuration: no made-up trade belongs in his outputs.
        config = read(PACKAGED).copy()
        handlers = config["handlers"]
        if given.cloudwatch or given.archive:
            option = "--archive" if given.archive else "--cloudwatch"
            aws = stack.enter_context(embedded(option))
        if given.cloudwatch:
            handlers["cloudwatch"].update(endpoint_url=aws.url, region_name=REGION)
        if given.archive:
            archived.prepare(aws, handlers["executions"])
        chimera_log.init_logging(
            config, log_dir=given.log_dir, enable_cloudwatch=given.cloudwatch
        )
        _run_bots(given.threads, given.seconds)
        _flush()
        _explain(given.log_dir)
        if given.cloudwatch:
            _explain_cloudwatch(aws.events())
        if given.archive:
            return 0 if archived.finish(aws, given.log_dir) else 1
    return 0


def _run_bots(threads: int, seconds: float) -> None:
    bots = [
        threading.Thread(target=_trade, args=(number, seconds), name=f"bot-{number}")
        for number in range(threads)
    ]
    for bot in bots:
        bot.start()
    for bot in bots:
        bot.join()


def _flush() -> None:
    """Have all of it written: what is explained comes after what it explains."""
    handlers = logging.getLogger().handlers
    for handler in handlers:
        if isinstance(handler, chimera_log.AuditFileHandler):
            handler.checkpoint()
    for handler in handlers:
        handler.flush()


def _trade(number: int, seconds: float) -> None:
    """Look for opportunities until the time is over, and log what happens."""
    chance = random.Random(number)  # noqa: S311  the same story on every run
    rpc = chimera_log.get_logger("rpc")
    rpc.info(
        "websocket_connected",
        context={
            "provider": "alchemy",
            "endpoint": "wss://eth-mainnet.g.alchemy.com/v2/Zk3vXq8sT1yLw0aBcD9eFgHi",
            "api_key": "Zk3vXq8sT1yLw0aBcD9eFgHi",
        },
    )
    chimera_log.log_state_transition(
        "starting", "scanning", "provider connected", bot=number
    )
    deadline = time.monotonic() + seconds
    step = 0
    while time.monotonic() < deadline or step == 0:
        with chimera_log.bound_context(request_id=f"{number}-{step:04d}"):
            _attempt(chance, block=19_000_000 + step)
        step += 1
        time.sleep(_PAUSE)
    chimera_log.log_performance_metrics(
        {"attempts": step, "latency_p99": round(chance.uniform(2, 9), 3)},
        units={"attempts": "Count", "latency_p99": "Milliseconds"},
        dimensions={"bot": str(number)},
    )
    chimera_log.log_state_transition("scanning", "stopped", "time is over", bot=number)


def _attempt(chance: random.Random, block: int) -> None:
    """Try one trade, with everything that can go wrong."""
    expected = chance.randrange(10**16, 10**19)
    execution: dict[str, Any] = {
        "strategy": chance.choice(_STRATEGIES),
        "block_number": block,
        "tx_hash": f"0x{chance.getrandbits(256):064x}",
        "gas_used": chance.randrange(90_000, 400_000),
        "gas_price_wei": 30 * 10**9,
        "expected_profit_wei": expected,
    }
    luck = chance.random()
    if luck < 0.1:  # noqa: PLR2004  one in ten
        try:
            _send(execution)
        except ConnectionError as error:
            chimera_log.log_execution_attempt(execution, status="failed", error=error)
    else:
        profit = int(expected * (0.9 + luck / 10))
        chimera_log.log_execution_attempt(
            execution, status="included", actual_profit_wei=profit
        )
    if luck > 0.9:  # noqa: PLR2004  one in ten
        chimera_log.log_state_divergence(
            "weth_balance_wei", expected, expected - 10**15
        )
        chimera_log.log_safety_violation("max_gas", 250_000, 312_000, "skipped")


def _send(execution: dict[str, Any]) -> None:
    """Fail as a relay does, its address and our key in the message."""
    raise ConnectionError(
        f"https://bot:hunter2@relay.example.org refused block {execution['block_number']}"
    )


def _explain(log_dir: Path) -> None:
    """Say what landed where, and how to look at it."""
    chimera, executions = log_dir / "chimera.log", log_dir / "executions.log"
    print(
        f"""
Each record is one line of JSON, in up to three places:

  the console, above
  {chimera}: every record, {_count(chimera)} lines so far
  {executions}: execution attempts only, {_count(executions)} lines so far, and
    each with a hash over itself and over the hash of the line before

Look at it:

  tail -n 3 {executions}
  grep '"level":"ERROR"' {chimera}
  jq -c 'select(.context.request_id == "0-0003") | [.timestamp, .event]' {chimera}
  jq -r '.context | [.strategy, .status, .expected_profit_wei] | @tsv' {executions}
  jq -r 'select(.exception).exception.stacktrace' {chimera}
  jq -r '[.audit.seq, .audit.hash, .context.status] | @tsv' {executions}

Has anybody changed a trade?  Find out, change a digit in the second line, ask again:

  chimera-log verify {log_dir}; echo $?
  sed -i '2s/"block_number":1/"block_number":2/' {executions}
  chimera-log verify {log_dir}; echo $?

Keys and passwords were logged as [redacted].  Levels, sizes and places are in
logging.yaml; copy it from {PACKAGED}
and edit it, no code.
"""
    )


def _explain_cloudwatch(arrived: dict[str, list[str]]) -> None:
    """Say what arrived, and show the end of it."""
    for place, messages in arrived.items():
        print(f"In CloudWatch Logs, group {place}: {len(messages)} events")
        for message in messages[-3:]:
            print(f"  {message}")
    print()


def _count(path: Path) -> int:
    """Return the lines in the file at *path*; it need not be there."""
    try:
        with path.open("rb") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return 0
