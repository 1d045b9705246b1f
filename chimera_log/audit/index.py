"""
A trail's lines as rows of a database, to be asked questions of.

The database is derived, and never the evidence: whatever it has comes from the
files, and can be made from them again.  Pure: what a row is, and which database is
meant; `sqlite` and `postgres` talk to it, and `indexing` fills it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import namedtuple
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from chimera_log import options
from chimera_log.audit import chain
from chimera_log.aws.retry import OUTAGE
from chimera_log.files import names
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from chimera_log.audit.tailing import Position

    class Store(Protocol):
        """
        A database with the rows of trails; each method may raise `StoreError`.

        It is opened by its first call, and again by the first one after `close`.
        """

        def position(self, chain: str) -> Position | None:
            """Return how far the trail of *chain* was read; ``None``: not at all."""

        def add(self, rows: list[Row], position: Position | None) -> int:
            """
            Add *rows* that are not there, and remember *position*; all or nothing.

            Returns:
                How many were not there.
            """

        def expire(self, now: float) -> bool:
            """Remove some rows older than the floor; whether there may be more."""

        def last(self, chain: str) -> int:
            """Return the number of the last row of *chain*; 0: there is none."""

        def rows(self, chain: str, first: int, last: int) -> list[Row]:
            """Return rows *first* to *last* of *chain*, the first 10,000, in order."""

        def count(self, chain: str, first: int, last: int) -> int:
            """Return how many rows there are from *first* to *last*, both included."""

        def remove(self, chain: str, seqs: list[int]) -> None:
            """Remove rows, however young: they are not what the files hold."""

        def close(self) -> None:
            """Let go of the database."""

        def after_fork(self) -> None:
            """Let go of it, in a forked child, without a word to it."""


SQLITE, POSTGRESQL = "sqlite", "postgresql"
SCHEMA_VERSION = 1
DAY = 24 * 60 * 60  # seconds

_MAX_SEQ = 2**63 - 1  # of what databases count with
# How a line of ours begins, unless something in it is escaped.
_BEGIN = re.compile(
    rb'\{"timestamp":"([^"\\]*)","level":"([^"\\]*)","module":"([^"\\]*)"'
    rb',"event":"([^"\\]*)"[,}]'
)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z", re.ASCII
)
_SCHEMES = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}
_FORMS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME"

# What a database holds of a line.
Row = namedtuple(
    "Row",
    [
        "chain",
        "seq",
        "ts",  # as the line tells it, 27 characters; ``None`` if it tells no time
        "level",
        "module",
        "event",
        "hash",
        "line",  # all of it, without the line feed
    ],
)


class StoreError(Exception):
    """
    A database cannot be used, or not now.

    Args:
        text: What is wrong, in words, without a password.
        kind: When to try again: `retry.TRANSIENT` if it may work in a moment.
    """

    def __init__(self, text: str, kind: str = OUTAGE) -> None:
        super().__init__(text)
        self.kind = kind


class Database(namedtuple("Database", ["kind", "place", "shown"])):
    """
    Which database is meant.

    *kind* is `SQLITE` or `POSTGRESQL`, *place* a file's absolute path or a URL, and
    *shown* is how people are told of it: without the password, which no message holds.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Database({self.shown!r})"

    def without_password(self, text: str) -> str:
        """Return *text*, of whomever, without the password."""
        if self.kind == POSTGRESQL:
            for secret in _secrets(self.place):
                text = text.replace(secret, "***")
        return text


def row_of(line: bytes) -> Row | None:
    """Return what a database holds of *line*; ``None`` if it is not chained."""
    link = chain.link_of(line)
    if link is None or link.seq > _MAX_SEQ:
        return None
    match = _BEGIN.match(line)
    found = [_text(each) for each in match.groups()] if match else _fields(line)
    ts, level, module, event = found
    return Row(
        *(link.chain, link.seq, _time(ts), level, module, event, link.hash),
        _text(line[:-1]),
    )


def rows_of(lines: Iterable[bytes]) -> list[Row]:
    """Return the rows of *lines*, without what is not chained."""
    return [row for row in map(row_of, lines) if row is not None]


def time_text(moment: float) -> str:
    """Return *moment*, in seconds since the epoch, as a row's time is written."""
    date = "%04d-%02d-%02dT%02d:%02d:%02d" % time.gmtime(moment)[:6]  # noqa: UP031  six fields
    return f"{date}.000000Z"


def database_of(value: Any, trail: str | None = None) -> Database | None:
    """
    Return the database that *value* names; ``None`` if it is ``None``.

    Args:
        value: ``sqlite:///executions.db``, with four slashes for an absolute path, or
            ``postgresql://user:password@host:port/name``, as SQLAlchemy and libpq
            write them; may hold ``${VARIABLE:-default}``.
        trail: The trail's active file, absolute, which it must not be.

    Raises:
        ConfigError: If it names none.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigError(
            f"database: expected a URL, got {type(value).__name__}; write {_FORMS}"
        )
    try:
        url = options.expand("database", value)
    except ConfigError as error:  # the value may hold a password
        raise ConfigError(str(error).replace(f"{value!r}: ", "")) from None
    scheme, separator, rest = url.partition("://")
    kind = _SCHEMES.get(scheme)
    if kind is None or not separator:
        # Not the value itself: it may be a URL with its beginning lost.
        word = repr(scheme) if separator else "what is given"
        raise ConfigError(f"database: {word} is no kind of database; write {_FORMS}")
    database = _sqlite(rest) if kind == SQLITE else _postgresql(rest)
    if database.place == trail:
        raise ConfigError(
            f"database: {database.shown!r} is the trail itself; name a file of its own, "
            f"such as sqlite:///{os.path.splitext(database.place)[0]}.db"
        )
    return database


def _text(data: bytes) -> str:
    # Lines of ours are UTF-8 without a NUL; PostgreSQL takes nothing else.
    return str(data, "utf-8", "backslashreplace").replace("\0", "\\u0000")


def _fields(line: bytes) -> list[str]:
    """Return time, level, module and event of a line in which something is escaped."""
    try:
        content = json.loads(line.decode("utf-8", "replace"))
        found = [
            content.get(name) for name in ("timestamp", "level", "module", "event")
        ]
    except (ValueError, AttributeError, RecursionError):
        found = [None] * 4
    texts = [each if isinstance(each, str) else "" for each in found]
    return [_text(each.encode("utf-8", "backslashreplace")) for each in texts]


def _time(text: str) -> str | None:
    return text if _TIME.fullmatch(text) and _is_date(text[:10]) else None


@lru_cache(maxsize=64)
def _is_date(text: str) -> bool:
    return names.time_of_line(f"{text}T00:00:00".encode()) is not None


def _sqlite(rest: str) -> Database:
    path = rest[1:]
    if not rest.startswith("/") or path in {"", "/", ":memory:"}:
        raise ConfigError(
            f"database: 'sqlite://{rest}' names no file; write three slashes before a "
            "relative path, four in all for an absolute one: sqlite:///logs/executions.db"
        )
    if "?" in path or "\0" in path:
        raise ConfigError(
            f"database: {f'sqlite://{rest}'!r}: there are no options; name a file only"
        )
    place = os.path.abspath(path)
    return Database(SQLITE, place, f"sqlite:///{place}")


def _postgresql(rest: str) -> Database:
    url = f"postgresql://{rest}"
    try:
        parts = urlsplit(url)
        _ = "," in parts.netloc or parts.port  # several hosts may be named
    except ValueError:
        parts = None
    login = parts.netloc.rpartition("@")[0] if parts else "@"
    if parts is None or "@" in login or parts.fragment:
        raise ConfigError(
            "database: the URL cannot be read (it is not shown, since it may hold a "
            f"password); write {_FORMS}, and in a password %40 for @, %3A for :, %2F for "
            "/, %23 for #"
        )
    user = login.partition(":")[0]
    host = parts.netloc.rpartition("@")[2]
    shown = f"postgresql://{user}{'@' if user else ''}{host}{parts.path}"
    if not parts.path.strip("/"):
        raise ConfigError(
            f"database: {shown!r} names no database; write its name after the host: "
            f"{shown.rstrip('/')}/NAME"
        )
    return Database(POSTGRESQL, url, shown)


def _secrets(url: str) -> list[str]:
    """Return what in *url* is secret, as it is written there and as it is meant."""
    parts = urlsplit(url)
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    found = [password, unquote(password)]
    found += [value for name, value in parse_qsl(parts.query) if "password" in name]
    return sorted(filter(None, found), key=len, reverse=True)
