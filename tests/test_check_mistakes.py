"""
A file for each mistake that people make, and what is said about it, and where.

Each file in ``data/mistakes`` ends with the findings expected of it, in their order::

    # expect: 7:12 error handlers.file.class: part of the text
    # expect 3.12+: 9:5 warning ...        (since that version of Python)
    # expect -3.11: 9:5 error ...          (up to that version)
    # schema: cannot know                   (see test_schema)
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from chimera_log.config.check import aws, check, costs, places, routes, trails, traps
from chimera_log.config.findings import WARNING, Finding, Refusal, dotted
from chimera_log.config.reading import parse_json, read

if TYPE_CHECKING:
    from chimera_log.config.document import Document

FILES = {
    path.stem: path
    for path in sorted((Path(__file__).parent / "data/mistakes").iterdir())
}
EXPECTED = re.compile(
    r"# expect(?P<when> [-+.\d]+)?: (?P<line>\d+):(?P<column>\d+) "
    r"(?P<severity>error|warning)(?: (?P<path>[^:]+))?: (?P<text>.+)"
)


class Expected(NamedTuple):
    """What must be said."""

    place: tuple[int, int]
    severity: str
    path: str
    text: str


def is_for_this_python(when: str) -> bool:
    """Whether *when*, such as ``3.12+`` or ``-3.11``, holds."""
    version = tuple(map(int, when.strip("+-").split(".")))
    here = sys.version_info[:2]
    return here <= version if when.startswith("-") else here >= version


def expected_of(path: Path) -> list[Expected]:
    """Return what the file at *path* says is wrong with it."""
    found = []
    for line in path.read_text().splitlines():
        if not line.startswith("# expect"):
            continue
        match = EXPECTED.fullmatch(line)
        assert match is not None, line
        if not match["when"] or is_for_this_python(match["when"].strip()):
            place = int(match["line"]), int(match["column"])
            found.append(
                Expected(place, match["severity"], match["path"] or "", match["text"])
            )
    return found


def mistakes(document: Document) -> list[Finding]:
    """Return what is found, but for what would only surprise, which is elsewhere."""
    looks = (aws, costs, places, routes, trails, traps)
    surprises = {
        finding
        for look in looks
        for finding in look.findings(document)
        if finding.severity == WARNING
    }
    return [finding for finding in check(document) if finding not in surprises]


def findings(path: Path) -> list[Finding]:
    """Return what is found in the file at *path*, also if it cannot be parsed."""
    try:
        return mistakes(read(path))
    except Refusal as refusal:
        return refusal.findings


def as_expected(finding: Finding, expected: Expected) -> Expected:
    """Return *finding* in the form of *expected*, whose text may be a part."""
    text = expected.text if expected.text in finding.text else finding.text
    place = finding.place.line, finding.place.column
    return Expected(place, finding.severity, dotted(finding.path), text)


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_mistake(path: Path) -> None:
    """
    What is wrong is said, at the line and column of it, and nothing else is.
    """
    expected = expected_of(path)
    found = findings(path)

    assert expected
    assert (
        expected
        == [as_expected(*pair) for pair in zip(found, expected, strict=False)]
        + found[len(expected) :]
    )
    assert all(each.place.source == str(path) for each in found)


def json_of(path: Path) -> str | None:
    """Return the file at *path* as JSON, if that says the same."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise TypeError(value)
        if isinstance(value, datetime.date):
            raise TypeError(value)
        for inner in value.values() if isinstance(value, dict) else ():
            plain(inner)
        return value

    try:
        return json.dumps(plain(yaml.safe_load(path.read_text())), indent="\t")
    except (TypeError, yaml.YAMLError):
        return None


IN_JSON = {
    name: text
    for name, path in FILES.items()
    if "YAML" not in path.read_text()
    and "is here again" not in path.read_text()
    and (text := json_of(path)) is not None
    and text.startswith("{")
}


@pytest.mark.parametrize("name", IN_JSON)
def test_mistake_in_json(name: str) -> None:
    """
    The same mistakes are found in JSON, each at a place in that file.
    """
    expected = expected_of(FILES[name])
    found = mistakes(parse_json(IN_JSON[name], "logging.json"))

    assert sorted((each.severity, each.path) for each in expected) == sorted(
        (each.severity, dotted(each.path)) for each in found
    )
    assert all(each.place.line or each.path == ("version",) for each in found)


def test_there_are_enough() -> None:
    """
    What people get wrong is here, in both forms.
    """
    assert len(FILES) >= 150
    assert len(IN_JSON) >= 100
