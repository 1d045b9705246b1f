"""
Configurations that are right are not complained about.

Those in ``data/good`` have the shapes that other projects' have, and ours.  A line
``# warning <path>: <beginning>`` in one says what is rightly warned of, in order;
``# python 3.12`` says what it takes to load it.
"""

from __future__ import annotations

import logging.config
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from chimera_log.config.check import check
from chimera_log.config.findings import WARNING, dotted
from chimera_log.config.reading import read

SHIPPED = Path(__file__).parent.parent / "logging.yaml"
GOOD = sorted((Path(__file__).parent / "data" / "good").iterdir())


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, on a disk that is large enough."""
    monkeypatch.chdir(tmp_path)
    disk = SimpleNamespace(f_bavail=100 * 10**6, f_frsize=1000)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)


def test_enough() -> None:
    """
    There are enough of them to tell.
    """
    assert 25 <= len(GOOD)


@pytest.mark.parametrize("file", [*GOOD, SHIPPED], ids=lambda file: file.stem)
class TestGood:
    def test_check(self, file: Path) -> None:
        """
        No error, and no warning but the one that is meant.
        """
        need_newer(file)
        expected = re.findall(r"^# warning (.*)$", file.read_text(), re.MULTILINE)

        found = check(read(file))

        assert {WARNING}.issuperset(each.severity for each in found)
        assert len(expected) == len(found), [str(each) for each in found]
        for beginning, each in zip(expected, found, strict=True):
            assert f"{dotted(each.path)}: {each.text}".startswith(beginning)
        assert [] == list(Path().iterdir())

    def test_loads(self, file: Path) -> None:
        """
        Python's own dictConfig takes it, so it is right indeed.
        """
        need_newer(file)
        before = logging.StreamHandler()  # for one that changes levels only
        before.set_name("console")

        logging.config.dictConfig(read(file).content)

        logging.config.dictConfig({"version": 1})  # which closes its files


def need_newer(file: Path) -> None:
    """Skip what a newer Python loads only."""
    minor = re.search(r"^# python 3\.(\d+)$", file.read_text(), re.MULTILINE)
    if minor and sys.version_info < (3, int(minor[1])):
        pytest.skip(f"needs Python 3.{minor[1]}")
