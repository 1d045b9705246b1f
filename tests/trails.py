"""
Trails for the tests of what reads them: made by hand, and changed in many ways.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from chimera_log.audit import chain
from chimera_log.audit.manifest import (
    Manifest,
    Sealed,
    Tombstone,
    digest,
    encode,
)
from chimera_log.audit.verify import verify
from chimera_log.files.names import segment_name

if TYPE_CHECKING:
    from pathlib import Path

    from chimera_log.audit.chain import Head, Key
    from chimera_log.audit.verify import Report

FIRST = 1761554280.0  # 2025-10-27 08:38:00 UTC; a record a second, from then on
CHAIN = "c0ffee00" * 4
NAME = "executions.log"


def time_of(number: int) -> str:
    """Return the time that record *number* tells."""
    second = 38 * 60 + number - 1
    return f"2025-10-27T{8 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"


def line(number: int, **context: Any) -> bytes:
    """Return the line of record *number*, still to be linked."""
    content = {
        "timestamp": time_of(number),
        "level": "INFO",
        "module": "executions",
        "event": "execution_attempt",
        "context": {"number": number, **context},
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def own(number: int, event: str, **context: Any) -> bytes:
    """Return a line of the trail's own, as record *number*, still to be linked."""
    return chain.own_line(time_of(number), event, context)


def recovered(number: int, fragment: bytes, **context: Any) -> bytes:
    """Return the line that vouches for *fragment*, as record *number*."""
    told = {
        "kind": "torn",
        "bytes": len(fragment),
        "sha256": hashlib.sha256(fragment).hexdigest(),
        "left": True,
        **context,
    }
    return own(number, "audit_recovered", **told)


class Chain:
    """
    Lines that are linked as they are added.

    Args:
        key: Signs them.
        name: Of the chain.
    """

    def __init__(self, key: Key | None = None, name: str = CHAIN) -> None:
        self.key = key
        self.heads = [chain.begin(name)]  # after so many records

    @property
    def head(self) -> Head:
        """Where it ends."""
        return self.heads[-1]

    @property
    def next(self) -> int:
        """The next record's number."""
        return len(self.heads)

    def add(self, text: bytes | None = None) -> bytes:
        """Return *text*, by default an ordinary record, as the next line."""
        linked, head = chain.linked(
            line(self.next) if text is None else text, self.head, self.key
        )
        self.heads.append(head)
        return linked

    def many(self, count: int) -> list[bytes]:
        """Return so many ordinary records."""
        return [self.add() for _ in range(count)]


class Made:
    """
    The files of a trail in *folder*, each a list of lines; the last one is active.

    Args:
        folder: Where they go.
        files: Of the segments, from number 1 on, and of the active file.
        key: Signs the manifests.
        is_packed: Whether the segments are compressed.
        is_sealed: Whether they have manifests.
    """

    def __init__(
        self,
        folder: Path,
        files: list[list[bytes]],
        *,
        key: Key | None = None,
        is_packed: bool = False,
        is_sealed: bool = False,
    ) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.key = key
        self.is_packed = is_packed
        self.names = [
            *(segment_name(NAME, FIRST, number) for number in range(1, len(files))),
            NAME,
        ]
        self.sealed: list[Sealed] = []
        for number, lines in enumerate(files):
            self.write(number, b"".join(lines))
        if is_sealed:
            for number, lines in enumerate(files[:-1]):
                self.seal(number, lines)

    def place(self, number: int) -> Path:
        """Return the path of file *number*, from 0."""
        is_packed = self.is_packed and number < len(self.names) - 1
        return self.folder / f"{self.names[number]}{'.gz' if is_packed else ''}"

    def write(self, number: int, content: bytes) -> None:
        """Write the content of file *number*, from 0."""
        place = self.place(number)
        if place.suffix == ".gz":
            content = gzip.compress(content, 1, mtime=0)
        place.write_bytes(content)

    def manifest(self, number: int) -> Path:
        """Return the path of the manifest of file *number*, from 0."""
        return self.folder / f".{NAME}.d" / f"{self.names[number]}.manifest"

    def seal(self, number: int, lines: list[bytes], **changed: Any) -> Sealed:
        """Write a manifest of file *number*; return what it says."""
        content = b"".join(lines)
        links = list(filter(None, map(chain.link_of, lines)))
        first, last = (links[0], links[-1]) if links else (None, None)
        sealed = Sealed(
            v=1,
            segment=self.names[number],
            number=number + 1,
            chain=last and last.chain,
            first_seq=first.seq if first else 0,
            last_seq=last.seq if last else 0,
            lines=len(lines),
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            head=last and last.hash,
            first_time=None,
            last_time="2020-01-01T00:00:00.000000Z",  # old enough to be pruned
            elapsed=0.0,
            latest=None,
            retention_floor_days=1096,
            previous=digest(self.sealed[-1]) if self.sealed else None,
        )._replace(**changed)
        self.sealed.append(sealed)
        self.put(number, Manifest(sealed))
        return sealed

    def put(self, number: int, manifest: Manifest) -> None:
        """Write *manifest* as the one of file *number*."""
        path = self.manifest(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(manifest, self.key))

    def prune(self, number: int) -> None:
        """Remove file *number*, which is sealed, and say so in its manifest."""
        self.put(
            number,
            Manifest(self.sealed[number], None, Tombstone(FIRST, "too old", "test")),
        )
        self.place(number).unlink()

    def verify(self, *heads: Head, **options: Any) -> Report:
        """
        Verify it an hour after it began, with *heads* seen by an outside witness.

        Without any, nobody saw it.
        """
        options.setdefault("anchors", [witness(*heads)])
        options.setdefault("now", FIRST + 3600)
        return verify(self.path, **options)


def pruned(number: int, sealed: Sealed, **changed: Any) -> bytes:
    """Return the line that says that a segment is removed, as record *number*."""
    context = {
        "segment": sealed.segment,
        "records": sealed.last_seq - sealed.first_seq + 1,
        "first_seq": sealed.first_seq,
        "last_seq": sealed.last_seq,
        "sha256": sealed.sha256,
        "reason": "too old",
        **changed,
    }
    return own(number, "audit_pruned", **context)


def checkpoint(head: Head, trail: str | None = f"/var/log/{NAME}") -> bytes:
    """Return the line in which other outputs are told where a chain ends."""
    context = {"chain": head.chain, "seq": head.seq, "hash": head.hash}
    content = {
        "timestamp": time_of(head.seq),
        "level": "INFO",
        "module": chain.OURS,
        "event": "audit_checkpoint",
        "context": context if trail is None else {**context, "trail": trail},
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def witness(*heads: Head) -> io.BytesIO:
    """Return what a witness wrote down who saw *heads*, and it is none of our files."""
    return io.BytesIO(b"".join(map(checkpoint, heads)))
