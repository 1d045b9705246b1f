"""
The handler for audit trails: `logging`'s options, checked, become a trail's policy.
"""

from __future__ import annotations

import os
from importlib import import_module

from chimera_log import options
from chimera_log.audit.chain import MAX_LINE_BYTES, OURS, Key
from chimera_log.audit.copied import CopiedTrail
from chimera_log.audit.destination import archive_of
from chimera_log.audit.index import database_of
from chimera_log.audit.trail import Rules
from chimera_log.files import opening
from chimera_log.files.engines import shared
from chimera_log.files.handlers import RotatingFileHandler
from chimera_log.files.policy import ALWAYS, GZIP, INTERVAL, NONE
from chimera_log.formatters import JsonFormatter
from chimera_log.options import ConfigError
from chimera_log.receipt import Receipt

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from typing import Any

_LINK_BYTES = 400  # of a line, at most, that link it to the one before


class AuditFileHandler(RotatingFileHandler):
    """
    Write an audit trail: records of which none can be removed or changed unseen.

    Each line ends with ``audit``: a number without gaps, and a hash over all of the
    line and the hash of the line before; ``chimera-log verify`` checks them, and so
    do ``sed`` and ``sha256sum``.  Any number of threads and processes may write one
    trail.  Now and then its last hash goes out through the logger
    ``chimera_log.audit``, as event ``audit_checkpoint``, so that an output that
    nobody here can change, such as CloudWatch Logs, bears witness to it.

    A line is in the kernel's hands before the logging call returns, and on the disk
    100 ms later.  What cannot be written now waits in memory, in order and up to
    10,000 records, and is tried again; nothing is written without the lock.  A full
    file is renamed, gets a manifest, may be compressed, and is never deleted by this
    handler, however many there are: `chimera-log prune` deletes what is older than
    *retention_floor_days*, and nothing else does.

    It takes no records of the logger ``chimera_log.audit``.

    Args:
        filename: As for `RotatingFileHandler`, as are the next six; a regular file,
            never a link, a pipe or a device.
        mode: See there; full files lose all permissions to write.
        maxBytes: See there.
        backupCount: Full files beyond which archiving begins; 0 never rotates.
        encoding: See there.
        delay: See there.
        errors: See there.
        keep_gil: See there, as for *rotate_at* and *compression*.
        rotate_at: See there.
        compression: See there.
        sync: ``interval`` has the disk keep records within *sync_interval*,
            ``always`` before the logging call returns.
        sync_interval: Seconds, or text such as ``"100 ms"``.
        retention_floor_days: Days that every record is kept at least; 1,096 are three
            years.  It cannot be less than what was promised to the files before.
        key_env: Name of an environment variable that holds a secret of at least 16
            bytes.  With it the hashes are HMACs, and nobody without the secret can
            write a chain that is whole.
        key_id: What lines call that key; by default eight digits of its own.
        checkpoint_interval: Seconds between two checkpoints, or text such as
            ``"1 min"``, while there are new records; 0: not because of the time.
        checkpoint_records: New records that bring about a checkpoint at once; 0: not
            because of their number.  With both 0 there are no checkpoints at all,
            else one when a file is full and one at an orderly exit as well.
        reserve_bytes: Disk space that is set aside for when there is none left, in
            bytes or as ``"16 MB"``; 0: none.
        archive: Where full files go as well, in S3: a mapping with ``bucket`` and what
            else `chimera_log.audit.destination.s3` takes; ``None``: nowhere.  It takes
            ``compression: gzip``, and a new day (UTC) begins a new file then.
        database: What lists the records, to be asked in SQL:
            ``sqlite:///logs/executions.db`` or ``postgresql://user@host/name``; it is
            made from the files, can be made again, and is no evidence.  ``None``: none.

    Raises:
        ConfigError: If an option cannot work, the secret is not there, or the
            formatter is not a `JsonFormatter` whose first five fields are
            timestamp, level, module, event and context.
    """

    def __init__(  # noqa: PLR0917  stdlib's signature
        self,
        filename: str | os.PathLike[str],
        mode: str | int = "a",
        maxBytes: int | str = 0,  # noqa: N803  stdlib's name
        backupCount: int = 0,  # noqa: N803  stdlib's name
        encoding: str | None = None,
        delay: bool = True,
        errors: str | None = None,
        *,
        keep_gil: str = "auto",
        rotate_at: str | None = None,
        compression: str = NONE,
        sync: str = INTERVAL,
        sync_interval: float | str = 0.1,
        retention_floor_days: int = 1096,
        key_env: str | None = None,
        key_id: str | None = None,
        checkpoint_interval: float | str = 60,
        checkpoint_records: int = 1000,
        reserve_bytes: int | str = "16 MB",
        archive: Mapping[str, Any] | None = None,
        database: str | None = None,
    ) -> None:
        super().__init__(
            *(filename, mode, maxBytes, backupCount, encoding, delay, errors),
            keep_gil=keep_gil,
            rotate_at=rotate_at,
            compression=compression,
            sync=options.choice("sync", sync, (ALWAYS, INTERVAL)),
            sync_interval=sync_interval,
        )
        if opening.is_device(self.baseFilename):
            raise ConfigError(
                f"filename: {filename!r} is a device, whose end cannot be read again; "
                "name a regular file"
            )
        rules = Rules(
            key=_key(key_env, key_id),
            retention_floor_days=options.count(
                "retention_floor_days", retention_floor_days, minimum=1
            ),
            checkpoint_interval=options.duration(
                "checkpoint_interval", checkpoint_interval
            ),
            checkpoint_records=options.count("checkpoint_records", checkpoint_records),
            reserve_bytes=options.size("reserve_bytes", reserve_bytes),
            archive=archive_of(archive),
            database=database_of(database, self.baseFilename),
        )
        if rules.archive is not None:
            if not self.backupCount:
                raise ConfigError(
                    "archive: no file is ever full while backupCount is 0; set it to "
                    "the full files to keep here"
                )
            if self._policy.compression != GZIP:
                raise ConfigError(
                    f"compression: {compression!r}: full files are archived compressed; "
                    "write gzip, or remove archive"
                )
            self._policy = self._policy._replace(at_midnight=True)
        if rules.archive is not None or rules.database is not None:
            # Here, where nobody forks, not at the first record.
            import_module("chimera_log.audit.tasks")
        self._policy = self._policy._replace(rules=rules)
        self.setFormatter(None)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802  stdlib's name
        """
        Have records formatted by *fmt*; by a plain `JsonFormatter` if it is ``None``.

        Raises:
            ConfigError: If the lines that it makes are none of a trail.
        """
        made = JsonFormatter() if fmt is None else fmt
        if not isinstance(made, JsonFormatter) or not made.layout.begins_as_usual:
            raise ConfigError(
                f"formatter: {made!r}: an audit trail is read by its first five fields; "
                "use a chimera_log.JsonFormatter that neither renames nor moves "
                "timestamp, level, module, event and context"
            )
        if made.layout.max_line_bytes > MAX_LINE_BYTES - _LINK_BYTES:
            raise ConfigError(
                f"formatter: max_line_bytes: {made.layout.max_line_bytes} is more than "
                f"a reader of the trail takes; use at most {MAX_LINE_BYTES - _LINK_BYTES}"
            )
        # What a subclass makes may be anything.
        self._is_trusted = type(made) is JsonFormatter
        super().setFormatter(made)

    def emit(self, record: logging.LogRecord) -> None:
        """
        Write *record*, unless it is about the trail itself; never raises.

        Whoever asked what became of it is told.
        """
        if record.name == OURS:
            return
        trail = self._file()
        is_written, why = False, "it could not be formatted"
        try:
            line = self._line(record)
            is_written = trail.append(line)
            if not is_written:
                why = trail.trouble
        except Exception:
            self.handleError(record)
        receipt = getattr(record, "audit", None)
        if type(receipt) is Receipt:
            receipt.answer(
                self.baseFilename, is_written=is_written, why=why, secure=trail.secure
            )

    def checkpoint(self) -> None:
        """
        Tell the other outputs now where the trail ends, unless they know.

        That is done from time to time and at an orderly exit in any case.  Where
        neither comes, as in AWS Lambda or under uvicorn, which dies of the signal that
        it was sent, call this when the work is done.
        """
        self._file().checkpoint()

    def _line(self, record: logging.LogRecord) -> bytes:
        line = super()._line(record)
        if not self._is_trusted and not (
            line.startswith(b'{"') and line.endswith(b"}\n") and line.count(b"\n") == 1
        ):
            raise ValueError(f"no line of JSON: {line[:200]!r}")
        return line

    def _file(self) -> CopiedTrail:
        """Return the trail, which handlers on one path share."""
        if not isinstance(self._shared, CopiedTrail):
            self._shared = shared(self.baseFilename, self._policy, CopiedTrail)
        return self._shared


def _key(key_env: str | None, key_id: str | None) -> Key | None:
    """Return the key that the environment variable *key_env* holds, if one is named."""
    name = options.text("key_env", key_env)
    if name is None:
        if key_id is not None:
            raise ConfigError(
                f"key_id: {key_id!r} has no effect without key_env; add that, or remove "
                "this"
            )
        return None
    secret = os.environ.get(name)
    if not secret:
        raise ConfigError(
            f"key_env: {name}: the variable is not set; set it, or remove key_env for "
            "a trail without a key"
        )
    try:
        return Key(os.fsencode(secret), options.text("key_id", key_id))
    except ConfigError as error:
        raise ConfigError(f"key_env: {name}: {error}") from None
