"""
An archive for the tests of those who ask it questions: real records of two bots.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import random
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from chimera_log import (
    AuditFileHandler,
    log_execution_attempt,
    log_safety_violation,
    log_state_transition,
)
from chimera_log.audit.manifest import Manifests
from chimera_log.audit.sealing import Sealing
from chimera_log.files.names import segment_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chimera_log.audit.manifest import Sealed

NAME = "executions.log"
FIRST_DAY = datetime(2025, 10, 26, tzinfo=timezone.utc)
HOSTS = ("bot-1", "bot-2")
DAYS = 3
FIRST_BLOCK = 23_660_000
# One transaction with a story, of the first host's second day.
TX = "0x" + 2 * "7a1be4c0d2f3958617a4b8c9d0e1f203"
BUNDLE = "0x" + 4 * "b0d1e2f3a4958677"
HARD_TO_READ = "\0 \\u0000 \u2028 \n \ud800 \N{EURO SIGN} \x1b[0m '\" {}"
_STRATEGIES = ("cross_dex", "liquidation", "triangular")


class Logged(NamedTuple):
    """What was logged: by whom, when, and with which number it has to be found."""

    host: str
    seq: int
    moment: datetime
    level: str
    event: str
    context: dict[str, Any]

    @property
    def timestamp(self) -> str:
        """The time as a line tells it."""
        return self.moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def get(self, name: str) -> Any:
        """Return a value of the context."""
        return self.context.get(name)

    @property
    def error(self) -> str | None:
        """Why it failed, as a line tells it."""
        error = self.get("error")
        if isinstance(error, BaseException):
            return f"{type(error).__name__}: {error}"
        return error  # type: ignore[no-any-return]  # text

    @property
    def reason(self) -> str | None:
        """Why it failed, without what differs from case to case."""
        error = self.get("error")
        return type(error).__name__ if isinstance(error, BaseException) else self.error


class Bot:
    """
    One host, whose trail is in *folder*.

    Args:
        folder: Made.
        host: Its name.
    """

    def __init__(self, folder: Path, host: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.host = host
        self.logged: list[Logged] = []
        self.moment = FIRST_DAY
        self.handler = AuditFileHandler(
            folder / NAME,
            maxBytes="1 GB",
            backupCount=1,
            checkpoint_interval=0,
            checkpoint_records=0,
            reserve_bytes=0,
        )
        self.handler.addFilter(self._date)
        self.logger = logging.Logger("executions")  # nobody else's
        self.logger.addHandler(self.handler)

    def _date(self, record: logging.LogRecord) -> bool:
        """Have *record* made at our moment, and keep it in mind."""
        record.created = self.moment.timestamp()
        context: dict[str, Any] = record.context  # type: ignore[attr-defined]
        self.logged.append(
            Logged(
                self.host,
                len(self.logged) + 1,
                self.moment,
                record.levelname,
                record.getMessage(),
                context,
            )
        )
        return True

    def log(self, logs: Callable[..., None], *told: Any, **context: Any) -> None:
        """Log something half a second and a bit later."""
        self.moment += timedelta(microseconds=500_017)
        logs(*told, logger=self.logger, **context)

    def trade(self, number: int, chance: random.Random, **known: Any) -> None:
        """Log an attempt to trade, and how it ends; it is in block *number*."""
        gas = chance.randrange(90_000, 900_000)
        expected = chance.randrange(10**15, 10**24)
        same = {
            "strategy": _STRATEGIES[number % len(_STRATEGIES)],
            "block_number": FIRST_BLOCK + number,
            "tx_hash": "0x"
            + hashlib.sha256(b"%s %d" % (self.host.encode(), number)).hexdigest(),
            "expected_profit_wei": expected,
            **known,
        }
        ends: list[dict[str, Any]] = [
            {"status": "included", "actual_profit_wei": expected + 1 - gas},
            {"status": "included", "actual_profit_wei": -gas * 10**9},
            {"status": "reverted", "error": "slippage"},
            {"status": "failed", "error": TimeoutError(f"after {number} ms")},
            {"status": "failed", "error": ConnectionError("no route")},
        ]
        end = ends[number % len(ends)]
        if end["status"] != "failed":
            end |= {"gas_used": gas, "gas_price_wei": chance.randrange(10**9, 10**11)}
        latency = chance.randrange(1_000, 90_000) / 1_000
        note = HARD_TO_READ if number % 10 == 0 else "plain"
        self.log(
            log_execution_attempt, **same, **end, latency_ms=latency, note=note, Note=1
        )


def logged_by(folder: Path, host: str, seed: int) -> Bot:
    """Return a bot that traded once an hour for some days; a file for each half day."""
    bot = Bot(folder, host)
    chance = random.Random(seed)  # noqa: S311  the same each time
    for number in range(24 * DAYS):
        bot.moment = FIRST_DAY + timedelta(
            hours=number, seconds=chance.randrange(3_000)
        )
        if number % 12 == 0 and number:
            bot.handler.doRollover()
        if (host, number) == (HOSTS[0], 38):
            told = {"tx_hash": TX, "bundle_hash": BUNDLE}
            bot.log(log_state_transition, "scanning", "executing", "edge", **told)
            bot.log(log_execution_attempt, status="sending", **told)
            bot.log(log_safety_violation, "max_gas", 250_000, 312_000, "halved", **told)
            bot.trade(number, chance, **told)
        elif (host, number) == (HOSTS[1], 38):  # the other bot was in that bundle, too
            bot.trade(number, chance, bundle_hash=BUNDLE)
        else:
            bot.trade(number, chance)
    bot.handler.doRollover()
    bot.handler.close()
    return bot


def archived(bot: Bot, archive: Path) -> None:
    """Put the full files of *bot*, and their manifests, where the archiver puts them."""
    # Sealed from a copy: nobody else is at it.
    copy = bot.folder.with_name(f"{bot.folder.name}.copy")
    copy.mkdir()
    manifests = Manifests(str(copy / f".{NAME}.d"), NAME)
    for full in sorted(bot.folder.glob(f"{NAME}.*")):
        assert segment_number(NAME, full.name)
        path = copy / full.name
        path.write_bytes(full.read_bytes())
        sealing = Sealing(str(path), NAME, manifests, 1096, _refuse)
        while sealing.step():
            pass
        manifest = manifests.load(full.name)
        assert manifest is not None
        packed = gzip.compress(path.read_bytes(), mtime=0)
        text = (copy / f".{NAME}.d" / f"{full.name}.manifest").read_bytes()
        for kind, content, suffix in (
            ("data", packed, "jsonl.gz"),
            ("manifests", text, "json"),
        ):
            place = archive / key(kind, bot.host, manifest.sealed, content, suffix)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def key(kind: str, host: str, sealed: Sealed, content: bytes, suffix: str) -> str:
    """Return the key of an object that holds *content*."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    return (
        f"{kind}/dt={sealed.first_time[:10]}/host={host}/"
        f"{sealed.first_seq:012}-{sealed.last_seq:012}-{digest}.{suffix}"
    )


def _refuse(kind: str, what: str) -> None:
    raise AssertionError(f"{kind}: {what}")
