"""
What handlers are and where they write, as far as a configuration tells.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import chimera_log
from chimera_log.config.check import outputs, routes
from chimera_log.config.check.parts import Part


def part(**content: Any) -> Part:
    """Return a handler with *content*."""
    return Part(("handlers", "file"), "file", content)


class TestMaker:
    @pytest.mark.parametrize(
        ("expected", "factory"),
        [
            (outputs.AUDIT, "chimera_log.AuditFileHandler"),
            (outputs.AUDIT, "chimera_log.audit.handler.AuditFileHandler"),
            (outputs.AUDIT, "ext://chimera_log.AuditFileHandler"),
            (outputs.AUDIT, chimera_log.AuditFileHandler),
            (outputs.STDLIB_PLAIN[0], logging.FileHandler),
            (("", ""), None),
            (("", ""), 12),
        ],
    )
    def test_forms(self, expected: object, factory: object) -> None:
        """
        A class is known by its short name and its long one, and by itself.
        """
        assert expected == outputs.maker(part(**{"class": factory}))


class TestPath:
    @pytest.mark.parametrize(
        ("expected", "written"),
        [
            ("/logs/bot.log", "/logs/bot.log"),
            ("/logs/bot.log", Path("/logs/bot.log")),
            ("/logs/bot.log", "/logs/../${NOT_SET:-logs}/bot.log"),
            (None, "${NOT_SET}/bot.log"),
            (None, "cfg://handlers.other.filename"),
            (None, "bot\0.log"),
            (None, "bot\ud800.log"),
            (None, ""),
            (None, None),
            (None, 12),
        ],
    )
    def test_forms(self, expected: str | None, written: object) -> None:
        """
        It is absolute; what is no path, or cannot be known yet, is none.
        """
        assert expected == outputs.path(part(filename=written), "filename")

    def test_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Our handlers know where their user is at home.
        """
        monkeypatch.setenv("HOME", "/home/bot")
        ours = part(filename="~/bot.log", **{"class": "chimera_log.AuditFileHandler"})

        assert "/home/bot/bot.log" == outputs.path(ours, "filename")


def test_list_of_anything() -> None:
    """
    Only the names in a list are names, and keep their numbers.
    """
    handler = part(filters=[None, "a", 12, "b"])

    assert [
        (("handlers", "file", "filters", 1), "a"),
        (("handlers", "file", "filters", 3), "b"),
    ] == list(routes.items(handler, "filters"))
