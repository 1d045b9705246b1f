"""
The reference names every key, with its default and what it is for.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import chimera_log
from chimera_log.audit.destination import s3
from chimera_log.config.schema import schema
from tests.generated import ROOT

PAGE = (ROOT / "docs" / "reference.md").read_text()
ENDINGS = ("Formatter", "Filter", "Handler")
CLASSES = [name for name in chimera_log.__all__ if name.endswith(ENDINGS)]


def rows(title: str) -> dict[str, list[str]]:
    """Return the cells of the table below *title*, by the keys in the first."""
    text = re.split(rf"^#+ {re.escape(title)}$", PAGE, flags=re.MULTILINE)[1]
    lines = re.split(r"^#", text, flags=re.MULTILINE)[0].splitlines()
    cells = [
        re.split(r"(?<!\\) ?\| ?", line)[1:-1] for line in lines if line[:3] == "| `"
    ]
    return {key.strip("`"): rest for key, *rest in cells}


def written(default: Any) -> str:
    """Return what the page has for a *default*."""
    constants = {None: "null", True: "true", False: "false"}
    if isinstance(default, tuple):
        return f"`{list(default)}`".replace("'", '"')
    if default is inspect.Parameter.empty:
        return "must be given"
    is_constant = default is None or isinstance(default, bool)
    return f"`{constants[default] if is_constant else default}`"


@pytest.mark.parametrize("name", CLASSES)
def test_class(name: str) -> None:
    """
    Every parameter of a public formatter, filter or handler is there, and no other.
    """
    parameters = inspect.signature(getattr(chimera_log, name)).parameters
    found = rows(f"chimera_log.{name}")

    assert list(parameters) == list(found)
    for key, (kind, default, what) in found.items():
        assert written(parameters[key].default) == default
        assert "" not in {kind, what}


def test_archive() -> None:
    """
    So is every key of an option that is a mapping.
    """
    parameters = inspect.signature(s3).parameters
    found = rows("archive of chimera_log.AuditFileHandler")

    assert list(parameters) == list(found)
    assert [written(each.default) for each in parameters.values()] == [
        default.replace('""', "") for _, default, _ in found.values()
    ]


def test_init_logging() -> None:
    """
    So is every argument of `init_logging`.
    """
    parameters = inspect.signature(chimera_log.init_logging).parameters
    found = rows("init_logging")

    assert list(parameters) == list(found)
    assert [f"`{each.default}`" for each in parameters.values()] == [
        default for _, default, _ in found.values()
    ]


@pytest.mark.parametrize(
    ("title", "properties"),
    [
        ("The file", schema()["properties"].keys() - {"$schema"}),
        ("root, and each of loggers", schema()["definitions"]["logger"]["properties"]),
        ("Handlers", schema()["definitions"]["handler"]["properties"]),
    ],
)
def test_structure(title: str, properties: Any) -> None:
    """
    The keys that are dictConfig's own are there.
    """
    assert set(properties) == set(rows(title))


def test_no_docstring_is_cut() -> None:
    """
    What is for reStructuredText does not show, and no table is broken.
    """
    assert "``" not in PAGE
    for line in PAGE.splitlines():
        if line.startswith("|"):
            assert 5 == len(re.findall(r"(?<!\\)\|", line)), line
