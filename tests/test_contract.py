"""
Run every rule of the contract on every class it binds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import chimera_log
from tests.contract import RULES, SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract import Rule, Subject

CASES = [
    pytest.param(subject, rule, id=f"{subject.name}: {rule.explanation}")
    for subject in SUBJECTS
    for rule in RULES
    if rule.kind in {"any", subject.kind}
]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(("subject", "rule"), CASES)
def test_rule(subject: Subject, rule: Rule, tmp_path: Path) -> None:
    """
    The class keeps the rule.
    """
    rule.check(subject, tmp_path)


def test_every_class_is_bound() -> None:
    """
    A public formatter, filter or handler cannot escape the contract.
    """
    endings = ("Formatter", "Filter", "Handler")
    public = {name for name in chimera_log.__all__ if name.endswith(endings)}

    assert public == {subject.name for subject in SUBJECTS}
