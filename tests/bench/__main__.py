"""
``python -m tests.bench``: what the package costs, beside its peers; run by hand.

``python -m tests.bench rotation busy`` prints these two tables alone.  Peers
that are not installed are named as missing; ``pip install -e '.[bench]'`` brings
them.  Nothing here is asserted: a bar stands beside what was measured.
"""

from __future__ import annotations

import argparse
import platform

from tests.bench import audit, cloudwatch, copies, imports, latency, record

TABLES = {
    "imports": imports.imports,
    "record": record.record,
    "busy": latency.busy,
    "rotation": latency.rotation,
    "cloudwatch": cloudwatch.cloudwatch,
    "audit": audit.audit,
    "copies": copies.copies,
}


def main() -> None:
    """Print the tables that the command line names; without a name, all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("table", nargs="*", help=", ".join(TABLES))
    names = parser.parse_args().table or list(TABLES)
    if unknown := set(names) - set(TABLES):
        parser.error(f"no table {', '.join(sorted(unknown))}; use {', '.join(TABLES)}")
    major, minor, _ = platform.python_version_tuple()
    for name in names:
        print(f"$ python{major}.{minor} -m tests.bench {name}")
        print(f"{platform.python_implementation()} {platform.python_version()}")
        TABLES[name]()
        print()


if __name__ == "__main__":
    main()
