"""
What an installed package is: complete, light to import, and what it claims.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import chimera_log

ROOT = Path(__file__).parent.parent
PACKAGE = Path(chimera_log.__file__).parent


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter loads for *statement*."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


class TestImport:
    def test_loads_nothing_heavy(self) -> None:
        """
        Neither boto3 nor yaml nor ctypes is loaded by the import, whatever is used.
        """
        loaded = loaded_by("from chimera_log import *")

        assert set() == loaded & {"boto3", "botocore", "yaml", "ctypes", "inspect"}

    def test_loads_what_is_asked_for(self) -> None:
        """
        A module that only logs does not load the reading of configurations.
        """
        loaded = loaded_by("from chimera_log import get_logger")

        assert "chimera_log.events" in loaded
        assert "chimera_log.config" not in loaded

    def test_yaml_only_when_a_file_is_read(self) -> None:
        """
        A configuration given as a dict needs no YAML.
        """
        loaded = loaded_by(
            "import chimera_log; chimera_log.init_logging({'version': 1})"
        )

        assert "yaml" not in loaded


class TestNames:
    def test_all_exist(self) -> None:
        """
        Every public name can be imported.
        """
        assert chimera_log._HOMES.keys() == set(chimera_log.__all__)
        for name, home in chimera_log._HOMES.items():
            module = getattr(chimera_log, name).__module__
            assert module.startswith(f"chimera_log.{home}")

    def test_at_most_twenty(self) -> None:
        """
        A reader can hold the public names in mind.
        """
        assert len(chimera_log.__all__) <= 20
        assert sorted(chimera_log.__all__) == chimera_log.__all__

    def test_dir_lists_them(self) -> None:
        """
        Completion shows names that are not loaded yet.
        """
        assert set(chimera_log.__all__) <= set(dir(chimera_log))

    def test_unknown_name(self) -> None:
        """
        A name that does not exist is an AttributeError, as for any module.
        """
        assert not hasattr(chimera_log, "no_such_name")


class TestDistribution:
    def test_configuration_is_the_shipped_one(self) -> None:
        """
        The packaged logging.yaml is the one at the top of the repository.
        """
        assert (ROOT / "logging.yaml").read_text() == (
            PACKAGE / "logging.yaml"
        ).read_text()

    def test_is_typed(self) -> None:
        """
        Type checkers take our annotations.
        """
        assert (PACKAGE / "py.typed").is_file()

    def test_version(self) -> None:
        """
        The installed version is the one the package names.
        """
        assert importlib.metadata.version("chimera_log") == chimera_log.__version__

    def test_modules_stay_small(self) -> None:
        """
        No module has more than 400 lines: one idea each.
        """
        sizes = {
            path.name: len(path.read_text().splitlines())
            for path in PACKAGE.rglob("*.py")
        }

        assert {} == {name: lines for name, lines in sizes.items() if lines > 400}
