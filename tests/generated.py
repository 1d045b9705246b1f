"""
What is made of the code and kept beside it: ``python -m tests.generated`` writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chimera_log.config import schema
from chimera_log.config.sources import SCHEMA
from tests import reference

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
FILES: dict[Path, Callable[[], str]] = {
    SCHEMA: schema.text,
    ROOT / "docs" / "reference.md": reference.text,
}


def main() -> None:
    """Write each file anew."""
    for path, text in FILES.items():
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
