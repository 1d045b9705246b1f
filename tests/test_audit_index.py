"""
What a row of the index is, and which database a URL names.
"""

from __future__ import annotations

import os
import runpy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import chain, postgres, sqlite
from chimera_log.audit.index import (
    POSTGRESQL,
    SQLITE,
    Database,
    Row,
    database_of,
    row_of,
    rows_of,
    time_text,
)
from chimera_log.options import ConfigError
from tests.trails import CHAIN, FIRST, Chain, line, time_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def row(text: bytes) -> Row:
    """Return the row of *text*, linked."""
    found = row_of(Chain().add(text))
    assert found is not None
    return found


class TestRow:
    def test_fields(self) -> None:
        """
        A row has what questions are asked by, and all of the line.
        """
        log = Chain()
        first = log.add(line(1))

        assert (
            *(CHAIN, 1, time_of(1), "INFO", "executions", "execution_attempt"),
            *(log.head.hash, first.decode()[:-1]),
        ) == row_of(first)

    def test_not_chained(self) -> None:
        """
        What is not chained is no row.
        """
        log = Chain()
        lines = [line(1), log.add(), b"half", log.add()]

        assert [1, 2] == [each.seq for each in rows_of(lines)]

    def test_number_beyond_all(self) -> None:
        """
        Nor is a line with a number that no database can hold.
        """
        log = Chain()
        log.heads.append(chain.Head(CHAIN, 2**63 - 2, "0" * 64))
        last, beyond = log.add(), log.add()

        assert [2**63 - 1] == [each.seq for each in rows_of([last, beyond])]

    def test_escaped(self) -> None:
        """
        Fields are what is meant, not how JSON writes it.
        """
        found = row(
            b'{"timestamp":"2025-10-27T08:38:00.000000Z","level":"INFO",'
            b'"module":"a\\"b","event":"caf\\u00e9 \\n","context":{}}\n'
        )

        assert ('a"b', "café \n") == (found.module, found.event)

    def test_what_postgresql_cannot_hold(self) -> None:
        """
        A NUL, half a character, and what is no UTF-8 stand there as escapes.
        """
        found = row(
            b'{"timestamp":"2025-10-27T08:38:00.000000Z","level":"INFO",'
            b'"module":"\\u0000","event":"\\ud800","context":"\xff"}\n'
        )

        assert ("\\u0000", "\\ud800") == (found.module, found.event)
        assert '"context":"\\xff"' in found.line

    @pytest.mark.parametrize(
        "text",
        [
            b'{"a":1}\n',
            b'[1,2,"x"]\n',
            b"{nonsense}\n",
            b'{"timestamp":1,"event":{}}\n',
        ],
    )
    def test_other_lines(self, text: bytes) -> None:
        """
        A line that is not like ours is a row all the same, without what it lacks.
        """
        assert (None, "", "", "") == row(text)[2:6]

    @pytest.mark.parametrize(
        "text",
        [
            "2025-10-27T08:38:00.000000",
            "2025-02-30T08:38:00.000000Z",
            "2025-10-27T24:38:00.000000Z",
            "0000-10-27T08:38:00.000000Z",
            "yesterday, at half past eight",
        ],
    )
    def test_no_time(self, text: str) -> None:
        """
        What is no time, or not written as ours, is none.
        """
        made = line(1).replace(time_of(1).encode(), text.encode())

        assert row(made).ts is None

    @given(st.binary(max_size=200).map(lambda data: data.replace(b"\n", b"")))
    def test_anything(self, data: bytes) -> None:
        """
        Whatever a chained line holds, its row is text that any database takes.
        """
        found = row(data + b"}\n")

        for each in found[3:]:
            assert "\0" not in each.encode().decode()

    def test_time_text(self) -> None:
        """
        A moment is written as lines tell their time.
        """
        assert time_of(1) == time_text(FIRST)


class TestDatabase:
    def test_none(self) -> None:
        """
        Without a URL there is no database.
        """
        assert database_of(None) is None

    def test_relative(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Three slashes are followed by a path from the current directory.
        """
        monkeypatch.chdir(tmp_path)
        place = str(tmp_path / "logs" / "x.db")

        assert (SQLITE, place, f"sqlite:///{place}") == database_of(
            "sqlite:///logs/x.db"
        )

    def test_absolute(self) -> None:
        """
        Four begin an absolute one.
        """
        found = database_of("sqlite:////var/log/x.db")

        assert found is not None
        assert ("/var/log/x.db", "sqlite:////var/log/x.db") == found[1:]

    def test_postgresql(self) -> None:
        """
        A password is part of the place and of nothing that is shown.
        """
        url = "postgresql://bot:s%23cret@db.example:5432/logs?sslmode=require"
        found = database_of(url.replace("postgresql:", "postgres:"))

        assert found is not None
        assert (POSTGRESQL, url) == found[:2]
        assert "postgresql://bot@db.example:5432/logs" == found.shown
        assert "Database('postgresql://bot@db.example:5432/logs')" == repr(found)
        assert "no *** here, nor ***" == found.without_password(
            "no s%23cret here, nor s#cret"
        )

    def test_password_as_an_option(self) -> None:
        """
        It may be among the options as well.
        """
        found = database_of("postgresql:///logs?host=/run/pg&password=geheim")

        assert found is not None
        assert "postgresql:///logs" == found.shown
        assert "***" == found.without_password("geheim")

    def test_no_password(self) -> None:
        """
        Where there is none, nothing is hidden.
        """
        for url in ("sqlite:///x.db", "postgresql://a,b:5433/logs"):
            found = database_of(url)
            assert found is not None
            assert "geheim" == found.without_password("geheim")

    def test_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        It may come from the environment.
        """
        monkeypatch.setenv("DATABASE_URL", "sqlite:////x.db")

        assert ("sqlite", "/x.db", "sqlite:////x.db") == database_of("${DATABASE_URL}")

    def test_variable_missing(self) -> None:
        """
        If it is not set, nothing of the value is shown: it may hold a password.
        """
        with pytest.raises(
            ConfigError, match=r"^database: NO_HOST is not set"
        ) as caught:
            database_of("postgresql://bot:geheim@${NO_HOST}/logs")
        assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (7, "expected a URL, got int; write sqlite:///FILE or postgresql://"),
            ("logs/x.db", "what is given is no kind of database"),
            ("mysql://bot:geheim@host/logs", "'mysql' is no kind of database"),
            ("sqlite://x.db", "'sqlite://x.db' names no file; write three slashes"),
            ("sqlite:///", "names no file"),
            ("sqlite:///:memory:", "names no file"),
            ("sqlite:///x.db?mode=ro", "there are no options"),
            (
                "postgresql://bot:geheim@host",
                "'postgresql://bot@host' names no database",
            ),
            ("postgresql://bot:geheim@host:x/logs", "the URL cannot be read"),
            ("postgresql://bot:geh@eim@host/logs", "%40 for @"),
            ("postgresql://bot:geh#eim@host/logs", "%23 for #"),
            ("postgresql://[bot:geheim@host/logs", "the URL cannot be read"),
        ],
    )
    def test_wrong(self, value: Any, message: str) -> None:
        """
        What names no database is refused, with the remedy, and without the password.
        """
        with pytest.raises(ConfigError, match=r"^database: ") as caught:
            database_of(value)
        assert message in str(caught.value)
        assert "eim" not in str(caught.value)

    def test_the_trail_itself(self) -> None:
        """
        An empty trail would become a database.
        """
        with pytest.raises(ConfigError, match="is the trail itself") as caught:
            database_of("sqlite:////logs/executions.log", "/logs/executions.log")
        assert str(caught.value).endswith("sqlite:////logs/executions.db")

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """
        Any text is a database or a ConfigError.
        """
        try:
            found = database_of(f"postgresql:{text}")
        except ConfigError:
            return
        assert isinstance(found, Database)
        assert (POSTGRESQL, f"postgresql:{text}") == found[:2]


@pytest.mark.parametrize("module", [sqlite, postgres])
def test_without_fork(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where processes cannot fork, the stores load all the same.
    """
    monkeypatch.delattr(os, "register_at_fork")

    assert "Row" in runpy.run_path(str(module.__file__))
