"""
What is known of a full segment of an audit trail, beside it and beyond its life.

As a segment is sealed it gets a manifest: which records it holds, its bytes'
SHA-256, the hash of its last line, and the digest of the manifest before; so the
manifests are a chain of their own, in the manner of CloudTrail's digest files.
When the segment is pruned, its manifest stays and says when and why.

A manifest is a small JSON file in the trail's hidden folder.  What it says of the
segment never changes, and is what its digest is over; what becomes of the segment
(archived, pruned, restored) is added.  `Manifests` reads and writes them, whole or not
at all, and one process at a time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections import namedtuple
from contextlib import contextmanager, suppress

from chimera_log.files import names, opening
from chimera_log.files.compress import Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from chimera_log.audit.chain import Key

_SUFFIX = ".manifest"
_MAX_BYTES = 64 * 1024  # of a manifest; nobody of us writes a larger one
_TRIES, _PAUSE = 500, 0.01  # seconds; how often another one's change is waited for
_BEYOND = 1e19  # all numbers of ours, and what floats can be added to without a loss

# What never changes.
Sealed = namedtuple(
    "Sealed",
    [
        "v",  # 1
        "segment",  # the file's name, without .gz
        "number",  # of the file
        "chain",  # ``None`` if no line is chained: a file from before the trail
        "first_seq",  # 0 if no line is chained
        "last_seq",
        "lines",  # all of them, with those that are not chained
        "bytes",
        "sha256",  # of all bytes
        "head",  # the hash of its last line; ``None`` if no line is chained
        "first_time",  # of its first line, as it says; ``None`` if it tells none
        "last_time",
        "elapsed",  # seconds of the trail's life in it, see `retain.TrailClock`
        "latest",  # the latest time seen so far; seconds since the epoch, or ``None``
        "retention_floor_days",
        "previous",  # the digest of the manifest before; ``None`` in the first
    ],
)

# How far a copy has come: its place is chosen; it is there; so is its manifest.
UPLOADING, ARCHIVED, DONE = STATES = ("uploading", "archived", "done")

# Where a copy is, and until when nobody can remove it.
Copy = namedtuple(
    "Copy",
    [
        "state",  # one of `STATES`
        "place",  # such as ``s3://bucket/key``
        "sha256",  # of its own bytes, which are compressed
        "bytes",
        "version_id",  # ``None`` if it is not known, or there are no versions
        "is_verified",  # whether that very version was seen to hold these bytes
        "locked_until",  # seconds since the epoch; 0: not locked
    ],
)

# That a segment was removed: when, why, and by whom.
Tombstone = namedtuple("Tombstone", ["time", "reason", "by"])

# That a segment was brought back: when, for how long at least, and by whom.
Restored = namedtuple("Restored", ["time", "until", "by"])

Manifest = namedtuple(
    "Manifest",
    ["sealed", "copy", "tombstone", "restored"],
    defaults=[None, None, None],
)
_PARTS = {"copy": Copy, "tombstone": Tombstone, "restored": Restored}


class ManifestError(ValueError):
    """A manifest is damaged, or was changed."""


def digest(sealed: Sealed) -> str:
    """Return the digest of what a manifest says of its segment."""
    return hashlib.sha256(_canonical(sealed._asdict())).hexdigest()


def encode(manifest: Manifest, key: Key | None = None) -> bytes:
    """Return *manifest* as JSON, all of it signed with *key* if there is one."""
    content: dict[str, Any] = {
        "sealed": manifest.sealed._asdict(),
        "digest": digest(manifest.sealed),
    }
    for name in _PARTS:
        part = getattr(manifest, name)
        if part is not None:
            content[name] = part._asdict()
    if key is not None:
        signature = key.hash(_canonical(content))
        content["signature"] = {"kid": key.key_id, "hmac": signature}
    return json.dumps(content, indent=1).encode() + b"\n"


def decode(text: bytes, *keys: Key) -> Manifest:
    """
    Return the manifest that *text* holds.

    Args:
        text: As `encode` returned it.
        keys: With any, a signature by one of them is required.

    Raises:
        ManifestError: If it is damaged, was changed, or is not signed.
    """
    try:
        content = json.loads(text)
        sealed = Sealed(**content["sealed"])
        parts = {
            name: kind(**content[name])
            for name, kind in _PARTS.items()
            if name in content
        }
        is_whole = content["digest"] == digest(sealed)
        signature = content.pop("signature", {}).get("hmac")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ManifestError(f"no manifest: {type(error).__name__}: {error}") from None
    if not is_whole:
        raise ManifestError("its digest is not that of what it says")
    if keys and signature not in [key.hash(_canonical(content)) for key in keys]:
        named = " or ".join(key.key_id for key in keys)
        raise ManifestError(f"not signed with key {named}")
    for part in (sealed, *parts.values()):
        _check(part)
    return Manifest(sealed, **parts)


class Manifests:
    """
    The manifests of the trail *name*.

    Args:
        folder: The trail's hidden folder; made when something is to be written.
        name: The active file's name.
        key: Signs what is written, and is required of what is read.
        older: Keys that what is read may be signed with as well.
    """

    def __init__(
        self,
        folder: str,
        name: str,
        key: Key | None = None,
        older: Sequence[Key] = (),
    ) -> None:
        self._folder = folder
        self._name = name
        self._key = key
        self._keys = [] if key is None else [key, *older]

    def known(self) -> list[str]:
        """Return the names of the segments that have a manifest, the oldest first."""
        entries: list[str] = []
        with suppress(FileNotFoundError):
            entries = os.listdir(self._folder)
        found = [entry[: -len(_SUFFIX)] for entry in entries if entry.endswith(_SUFFIX)]
        numbered = [(names.segment_number(self._name, entry), entry) for entry in found]
        return [
            entry
            for number, entry in sorted(
                (number, entry) for number, entry in numbered if number is not None
            )
        ]

    def of_any_key(self) -> Manifests:
        """Return the same ones, whoever signed them."""
        return Manifests(self._folder, self._name)

    def load(self, segment: str) -> Manifest | None:
        """
        Return the manifest of *segment*; ``None`` if it has none.

        Raises:
            ManifestError: If it is damaged or was changed.
            OSError: If it cannot be read.
        """
        try:
            with open(self._path(segment), "rb", opener=_open) as file:
                text = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(text) > _MAX_BYTES:
            raise ManifestError(f"longer than {_MAX_BYTES} bytes")
        manifest = decode(text, *self._keys)
        if manifest.sealed.segment != segment:
            raise ManifestError(f"it is of {manifest.sealed.segment!r}")
        return manifest

    def save(self, manifest: Manifest, mode: int = 0o640) -> None:
        """
        Write *manifest*, whole or not at all, and have the disk keep it.

        Raises:
            OSError: If that cannot be done; the one before is still there.
        """
        opening.make_directory(self._folder, 0o750)
        path = self._path(manifest.sealed.segment)
        new = f"{path}.new"
        with suppress(FileNotFoundError):  # left by a dead one
            os.unlink(new)
        fd = opening.open_or_make(new, opening.FLAGS | opening.NOFOLLOW, mode)
        try:
            opening.write_all(fd, encode(manifest, self._key))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(new, path)
        opening.sync_directory(self._folder)

    def update(
        self,
        segment: str,
        change: Callable[[Manifest], Manifest],
        sleep: Callable[[float], object] = time.sleep,
    ) -> Manifest:
        """
        Change what is said of *segment*, so that no two changes undo each other.

        Args:
            segment: It has a manifest.
            change: Is told what is said now, and returns what is to be said.
            sleep: Waits so many seconds, while another one changes a manifest.

        Returns:
            What is said from now on, and the disk keeps.

        Raises:
            ManifestError: If its manifest is not there any more, or damaged.
            OSError: If that cannot be done; the one before is still there.
        """
        with self._changing(sleep):
            manifest = self.load(segment)
            if manifest is None:
                raise ManifestError("it is not there any more")
            changed = change(manifest)
            if changed != manifest:
                self.save(changed)
            return changed

    @contextmanager
    def _changing(self, sleep: Callable[[float], object]) -> Iterator[None]:
        """
        Have the manifests to ourselves, for as long as it takes to write one.

        Raises:
            BlockingIOError: If another process has them for seconds.
        """
        ours = Turn(self._folder, "manifests")
        for _ in range(_TRIES):
            if ours.take():
                break
            sleep(_PAUSE)
        else:
            what = "another process changes the manifests"
            raise BlockingIOError(errno.EAGAIN, what, self._folder)
        try:
            yield
        finally:
            ours.release()

    def _path(self, segment: str) -> str:
        return os.path.join(self._folder, segment + _SUFFIX)


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _open(path: str, flags: int) -> int:
    # A FIFO in a file's place must not make us wait.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | opening.NOFOLLOW)


_TEXT, _NO_TEXT = (str,), (str, type(None))
_COUNT, _NUMBER, _NO_NUMBER = (int,), (int, float), (int, float, type(None))
_KINDS: dict[type, dict[str, tuple[type, ...]]] = {
    Sealed: {
        **dict.fromkeys(("segment", "sha256"), _TEXT),
        **dict.fromkeys(
            ("v", "number", "first_seq", "last_seq", "lines", "bytes"), _COUNT
        ),
        **dict.fromkeys(
            ("chain", "head", "first_time", "last_time", "previous"), _NO_TEXT
        ),
        **dict.fromkeys(("elapsed", "retention_floor_days"), _NUMBER),
        "latest": _NO_NUMBER,
    },
    Copy: {
        **dict.fromkeys(("state", "place", "sha256"), _TEXT),
        "bytes": _COUNT,
        "version_id": _NO_TEXT,
        "is_verified": (bool,),
        "locked_until": _NUMBER,
    },
    Tombstone: {"time": _NUMBER, "reason": _TEXT, "by": _TEXT},
    Restored: {"time": _NUMBER, "until": _NUMBER, "by": _TEXT},
}


def _check(part: Sealed | Copy | Tombstone | Restored) -> None:
    """Refuse what *part* cannot hold: a manifest may be anybody's work."""
    if isinstance(part, Copy) and part.state not in STATES:
        raise ManifestError(f"state: {part.state!r:.80}")
    for name, kinds in _KINDS[type(part)].items():
        value = getattr(part, name)
        is_sound = isinstance(value, kinds) and (
            # `True` is an int as well, and JSON has NaN, and numbers without end.
            isinstance(value, bool) == (kinds == (bool,))
        )
        if not is_sound or (
            isinstance(value, (int, float)) and not -_BEYOND < value < _BEYOND
        ):
            raise ManifestError(f"{name}: {value!r:.80}")
