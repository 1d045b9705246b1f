"""
What the demo shows of an archive: the objects, and an answer out of them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import suppress

from chimera_log.audit.handler import AuditFileHandler
from chimera_log.audit.manifest import DONE
from chimera_log.audit.prune import manifests_of
from chimera_log.audit.reading import Files
from chimera_log.cli.embedded import REGION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from chimera_log.cli.embedded import Embedded

_BUCKET = "chimera-evidence"
_FILE_BYTES = "32 kB"  # so that a short demo fills some files
_PATIENCE = 30.0  # seconds until all of them are in the archive
_LOOK_AGAIN = 0.05  # seconds
_QUESTION = """\
SELECT context->>'strategy' AS strategy, context->>'status' AS status, count(*) AS executions
FROM read_json('{folder}/data/dt=*/host=*/*.jsonl.gz', columns = {{context: 'JSON', event: 'VARCHAR'}})
WHERE event = 'execution_attempt' GROUP BY ALL ORDER BY ALL"""


def prepare(aws: Embedded, handler: dict[str, Any]) -> None:
    """Have the audit *handler* of a configuration archive to the embedded S3."""
    aws.make_bucket(_BUCKET)
    handler.update(
        maxBytes=_FILE_BYTES,
        archive={
            "bucket": _BUCKET,
            "endpoint_url": aws.url,
            "region_name": REGION,
            "object_lock": "compliance",
        },
    )


def finish(aws: Embedded, log_dir: Path) -> bool:
    """Have all records archived, say what is there, and ask it; whether all are."""
    is_done = _archive_all()
    if not is_done:
        print(f"not all of it is in the archive after {_PATIENCE:g} seconds")
    _explain(aws, log_dir)
    return is_done


def _archive_all() -> bool:
    """Wait until all full files are archived, at least one; whether they are."""
    handlers = [
        each
        for each in logging.getLogger().handlers
        if isinstance(each, AuditFileHandler)
    ]
    for handler in handlers:
        if not handler.statistics().segments:
            handler.doRollover()
    deadline = time.monotonic() + _PATIENCE
    while not (is_done := all(map(_is_archived, handlers))):
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_AGAIN)
    return is_done


def _explain(aws: Embedded, log_dir: Path) -> None:
    """Say what is in the archive, and ask it something."""
    stored = aws.stored(_BUCKET)
    print(
        f"In S3, bucket {_BUCKET}: {len(stored)} objects, none of which can be changed"
    )
    for each in stored:
        digest = hashlib.sha256(each.body).hexdigest()
        print(f"  {each.key}")
        print(f"    version {each.version_id}, locked until {each.locked_until}")
        print(f"    {len(each.body)} bytes, sha256 {digest}")
    folder = log_dir / "archive"
    for each in stored:
        copy = folder / each.key
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(each.body)
    if not stored:
        return
    question = _QUESTION.format(folder=folder)
    print(f"\nDuckDB, asked over a copy of it in {folder}:\n\n{question}\n")
    with suppress(ImportError):
        import duckdb  # noqa: PLC0415  for this demo only

        for row in duckdb.execute(question).fetchall():
            print("  ", *row)
    print()


def _is_archived(handler: AuditFileHandler) -> bool:
    """Whether the archive has all full files of a trail."""
    path = handler.baseFilename
    manifests = manifests_of(path, key=None)
    with Files(path) as files:
        found = [manifests.load(each) for each in files.segments]
    return all(each and each.copy and each.copy.state == DONE for each in found)
