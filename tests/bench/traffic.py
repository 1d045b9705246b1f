"""
What the contenders log: the events of a made-up trading bot.

Varied as real ones are, since a file of equal lines compresses in no time and
hides what compressing costs.  The same number gives the same event.
"""

from __future__ import annotations

import json
import os
import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROVIDERS = ("alchemy", "infura", "quicknode", "own_node")
_PAIRS = ("WETH/USDC", "WBTC/WETH", "LINK/WETH", "UNI/USDC", "AAVE/DAI")
_VENUES = ("uniswap_v3", "sushiswap", "curve", "balancer")
_METHODS = ("eth_call", "eth_getLogs", "eth_estimateGas", "eth_getBlockByNumber")
_START = datetime(2025, 10, 27, 8, 38, tzinfo=timezone.utc)


def event(number: int) -> tuple[str, dict[str, Any]]:
    """Return the name and the context of an event; the context has its *number*."""
    chosen = random.Random(number)  # noqa: S311  no secret
    kind = chosen.choice(("rpc_request", "opportunity_found", "order_filled"))
    context: dict[str, Any] = {"number": number}
    if kind == "rpc_request":
        context["provider"] = chosen.choice(_PROVIDERS)
        context["method"] = chosen.choice(_METHODS)
        context["to"] = f"0x{chosen.getrandbits(160):040x}"
        context["duration_ms"] = round(chosen.expovariate(0.02), 3)
    else:
        context["pair"] = chosen.choice(_PAIRS)
        context["venues"] = chosen.sample(_VENUES, 2)
        context["amount_wei"] = str(chosen.getrandbits(64))
        context["spread_bps"] = round(chosen.gauss(12, 4), 2)
    if kind == "order_filled":
        context["tx_hash"] = f"0x{chosen.getrandbits(256):064x}"
        context["block"] = 23_670_000 + number // 40
        context["gas_used"] = chosen.randint(90_000, 400_000)
    return kind, context


def lines(size: int) -> Iterator[bytes]:
    """Yield numbered lines of JSON, from 0 on, until they have *size* bytes."""
    number = 0
    while size > 0:
        name, context = event(number)
        time = _START + timedelta(microseconds=501 * number)
        line = {
            "timestamp": f"{time:%Y-%m-%dT%H:%M:%S.%fZ}",
            "level": "INFO",
            "module": "bench",
            "event": name,
            "context": context,
        }
        encoded = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        yield encoded
        size -= len(encoded)
        number += 1


def begin_file(path: Path, full: Path, size: int) -> int:
    """
    Make the file *path* of the lines that *full* begins with.

    Args:
        path: Not there yet.
        full: Lines.
        size: Bytes at most; a line that does not fit is left out.

    Returns:
        How many lines it has.
    """
    with full.open("rb") as file:
        beginning = file.read(size)
    beginning = beginning[: beginning.rfind(b"\n") + 1]
    with path.open("xb") as file:
        file.write(beginning)
        os.fsync(file.fileno())  # or the disk is busy while the contender runs
    return beginning.count(b"\n")
