"""
Link the lines of an audit trail, so that no later change of one goes unseen.

A chained line is what the formatter made, and ``audit`` as its last field::

    ..."context":{...},"audit":{"v":1,"chain":"<32 hex>","seq":1234,"prev":"<64 hex>","hash":"<64 hex>"}}

``hash`` is SHA-256 over all bytes of the line before its last 77, which are
``,"hash":"<64 hex>"}}`` and the line feed; with a key it is HMAC-SHA-256, and
``kid`` before ``prev`` says which key.  ``prev`` is the hash of the line before,
64 zeros in the first one, and ``seq`` counts from 1.  It is over bytes, not over
values, so that anybody can check it with ``sed`` and ``sha256sum``, and no two
JSON libraries can disagree.

Pure: no file, no clock.  Who calls it knows which line is the last one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import namedtuple

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSION = 1
HASH_BYTES = 77  # of a line: its hash, and all that follows
MIN_KEY_BYTES = 16  # a shorter secret is a password, which can be guessed
MAX_LINE_BYTES = 16 * 1024 * 1024  # of what a reader takes for one line
OURS = "chimera_log.audit"  # ``module`` of the lines that the trail itself writes

_ZEROS = "0" * 64
_CHAIN = re.compile(r"[0-9a-f]{32}")
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINK = re.compile(
    rb',"audit":\{"v":1,"chain":"([0-9a-f]{32})","seq":([1-9][0-9]{0,18})'
    rb'(?:,"kid":"([A-Za-z0-9._-]{1,64})")?,"prev":"([0-9a-f]{64})"'
    rb',"hash":"([0-9a-f]{64})"\}\}\n'
)
_MAX_LINK_BYTES = 400  # of what `_LINK` matches

# The end of a chain: its name, the number of its last line and that line's hash.
Head = namedtuple("Head", ["chain", "seq", "hash"])

# What a line says of itself; `kid` is ``None`` without a key.
Link = namedtuple("Link", ["chain", "seq", "kid", "prev", "hash"])


class Key:
    """
    A secret that makes a chain which only who knows it can write.

    Args:
        secret: At least 16 bytes.
        key_id: What a line calls the key, ``kid``; letters, digits and ``._-``.
            By default eight digits of a hash that tells nothing of the secret.

    Raises:
        ConfigError: If the secret is short, or the name is not one.
    """

    def __init__(self, secret: bytes, key_id: str | None = None) -> None:
        if len(secret) < MIN_KEY_BYTES:
            raise ConfigError(
                f"the audit key has {len(secret)} bytes; use at least {MIN_KEY_BYTES}, "
                "from a random generator"
            )
        self._secret = secret
        self.key_id = key_id or self.hash(b"key id")[:8]
        if not _KEY_ID.fullmatch(self.key_id):
            raise ConfigError(
                f"key_id: {key_id!r}: use up to 64 letters, digits, '.', '_' or '-'"
            )

    def named(self, key_id: str) -> Key:
        """Return the same secret under another name."""
        return Key(self._secret, key_id)

    def hash(self, data: bytes) -> str:
        """Return the HMAC-SHA-256 of *data*, in hexadecimal digits."""
        return hmac.digest(self._secret, data, "sha256").hex()


def begin(chain: str) -> Head:
    """
    Return the head of a chain that has no line yet.

    Args:
        chain: Its name, 32 random hexadecimal digits.
    """
    if not _CHAIN.fullmatch(chain):
        raise ValueError(f"{chain!r} is no name of a chain")
    return Head(chain, 0, _ZEROS)


def linked(line: bytes, head: Head, key: Key | None = None) -> tuple[bytes, Head]:
    """
    Return *line* as the next one of a chain, and the chain's head after it.

    Args:
        line: One JSON object and a line feed, as `JsonFormatter` makes it.
        head: The chain's head before it.
        key: Whose chain it is.
    """
    body = line[:-2] + _audit(head, key)
    found = hashlib.sha256(body).hexdigest() if key is None else key.hash(body)
    return body + _end(found), Head(head.chain, head.seq + 1, found)


def follow(line: bytes, head: Head, key: Key | None = None) -> Head | None:
    """
    Return the head after *line*, if it is genuine and the next line of the chain.

    The quick way through a chain that is whole; `link_of` and `is_genuine` tell
    what is wrong where it is not.
    """
    body = line[:-HASH_BYTES]
    if not body.endswith(_audit(head, key)):
        return None
    found = hash_of(body, key)
    if line[-HASH_BYTES:] != _end(found):
        return None
    return Head(head.chain, head.seq + 1, found)


def link_of(line: bytes) -> Link | None:
    """Return what *line* says of its place in a chain; ``None`` if it is not chained."""
    start = line.rfind(b',"audit":{"v":1,', -_MAX_LINK_BYTES)
    match = _LINK.fullmatch(line, start) if start >= 0 else None
    if match is None:
        return None
    chain, seq, kid, prev, found = match.groups()
    return Link(
        chain.decode(),
        int(seq),
        None if kid is None else kid.decode(),
        prev.decode(),
        found.decode(),
    )


def is_genuine(line: bytes, key: Key | None = None) -> bool:
    """Whether a chained *line* has the hash that its bytes have, with its key."""
    return line[-HASH_BYTES:] == _end(hash_of(line[:-HASH_BYTES], key))


def hash_of(body: bytes, key: Key | None = None) -> str:
    """Return the hash of *body*, in hexadecimal digits."""
    return hashlib.sha256(body).hexdigest() if key is None else key.hash(body)


def own_line(timestamp: str, event: str, context: Mapping[str, Any]) -> bytes:
    """
    Return a line that the trail itself writes, still to be linked.

    Args:
        timestamp: As in every line, 27 characters.
        event: Begins with ``audit_``.
        context: Plain values.
    """
    line = {
        "timestamp": timestamp,
        "level": "WARNING",
        "module": OURS,
        "event": event,
        "context": dict(context),
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def own_event(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return event and context of a line that the trail itself wrote, or ``None``."""
    # Most lines are not; a context that looks alike is read, and seen to be none.
    if b'"module":"chimera_log.audit","event":"audit_' not in line[:200]:
        return None
    try:
        content = json.loads(line)
        module, event, context = (
            content[name] for name in ("module", "event", "context")
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if module != OURS or not isinstance(event, str) or not isinstance(context, dict):
        return None
    return event, context


def _audit(head: Head, key: Key | None) -> bytes:
    """Return the field ``audit`` of the line after *head*, up to its hash."""
    kid = "" if key is None else f'"kid":"{key.key_id}",'
    return (
        f',"audit":{{"v":{VERSION},"chain":"{head.chain}","seq":{head.seq + 1},'
        f'{kid}"prev":"{head.hash}"'
    ).encode()


def _end(found: str) -> bytes:
    return f',"hash":"{found}"}}}}\n'.encode()
