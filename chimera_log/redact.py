"""
Find secrets in what is about to be logged, and nothing else.

Two things give a secret away: the name it is kept under (``password``,
``X-Api-Key``, ``private_key``) and, in free text, its surroundings (the user
info of a URL, the key in a provider's address, a bearer token).  A bare
``0x`` and 64 hex digits may be a private key, but is nearly always a
transaction hash, and evidence: it is hidden under a secret's name only.

`Redactor` decides; it holds no record and does no I/O.  An ordinary record
costs it one look into a cache per key and a few substring searches.
"""

from __future__ import annotations

import functools
import re
from collections import namedtuple

from chimera_log import options
from chimera_log.forms import REDACTED
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MAX_KEYS = 10_000  # verdicts remembered; keys made from data must not pile up

# In a trading bot `quote_token` is a coin: of the token names only these are secret.
SECRET_KEYS = (
    "*password",
    "*password2",
    "*pwd",
    "*passwd",
    "*passphrase",
    "*secret",
    "*secret_key",
    "*secret_access_key",
    "token",
    "jwt",
    "*access_token",
    "*api_token",
    "*auth_token",
    "*bearer_token",
    "*bot_token",
    "*id_token",
    "*refresh_token",
    "*security_token",
    "*session_token",
    "*api_key",
    "*private_key",
    "*priv_key",
    "*signing_key",
    "*encryption_key",
    "*authorization",
    "cookie",
    "set_cookie",
    "*credentials",
    "*mnemonic",
    "*seed_phrase",
    "*recovery_phrase",
)

_PLURALS = tuple(f"{key}s" for key in SECRET_KEYS if key.startswith("*"))

# Long, with a digit or longer still: no hash or address, and no word of a path.
_KEY = r"(?!0x)(?=[\w-]*\d|[\w-]{24})[\w-]{16,}"
_NO_HASH = r"(?!0x[0-9a-fA-F]{64}\b)"
_PROVIDERS = (
    "alchemy(?:api)?|ankr|blastapi|blockpi|chainstack|drpc|getblock|helius(?:-rpc)?|infura"
    "|llamarpc|moralis|nodereal|p2pify|quiknode|tenderly|zan"
)
_QUERY_KEYS = (
    r"api[-_]?key|[a-z]*(?:access|auth|session)[-_]?token|token|dkey|key|password|secret"
    r"|sig(?:nature)?|x-amz-(?:credential|security-token|signature)"
)

# Parts of the names that give away what stands beside them.
_NAMES_IN_TEXT = (
    "assw",
    "ASSW",
    "assp",
    "ASSP",
    "ecret",
    "ECRET",
    "pi_key",
    "pi-key",
    "piKey",
    "PI_KEY",
    "pikey",
    "te_key",
    "te-key",
    "teKey",
    "TE_KEY",
    "ession",
    "ESSION",
    "nemonic",
    "NEMONIC",
    "hrase",
    "HRASE",
)

# Where to look first, cheaply; what is secret there; what remains of it.
_Search = namedtuple("_Search", ["hints", "pattern", "rest"])

# Each pattern is anchored so that a text made to be slow is still searched in
# one pass: no two starts share what follows them.
_SEARCHES = (
    # user:password@ in a URL
    _Search(("://",), r"(?<=://)[^\s/?#@\"<>]+(?:@[^\s/?#@\"<>]+)*@", f"{REDACTED}@"),
    # ?api_key=... in a URL, or in what is left of one in an access log
    _Search(
        ("=",),
        rf"(?i)(?<=[?&])({_QUERY_KEYS})=(?!0x)[^&\s#\"'<>]+",
        rf"\1={REDACTED}",
    ),
    # https://name.quiknode.pro/KEY/, https://rpc.ankr.com/eth/KEY
    _Search(
        ("://",),
        rf"(?i)(://[\w.-]*\b(?:{_PROVIDERS})\.[a-z]+(?::\d+)?/(?:[^\s?#\"'<>]{{0,80}}?/)??)"
        + _KEY,
        rf"\1{REDACTED}",
    ),
    # wss://anything.example/ws/v3/KEY, and what urllib3 says of it, the host apart:
    # Max retries exceeded with url: /ws/v3/KEY
    _Search(
        ("://", "url: /"),
        rf"((?:://[^\s?#\"'<>/]+|\burl: )/(?:ws/|rpc/)?v\d+/){_KEY}",
        rf"\1{REDACTED}",
    ),
    _Search(
        ("://", "url: /"),
        r"((?:://api\.telegram\.org|\burl: )/(?:file/)?bot)\d+:[\w-]+",
        rf"\1{REDACTED}",
    ),
    _Search(
        ("://",),
        r"(://(?:hooks\.slack\.com/\w+|(?:\w+\.)?discord(?:app)?\.com/api(?:/v\d+)?/webhooks))"
        r"/[\w/-]+",
        rf"\1/{REDACTED}",
    ),
    # Prose has bearers too, but no long word after them, nor one with a digit.
    _Search(
        ("earer", "EARER"),
        rf"(?i)\b(bearer)(\s+){_NO_HASH}(?=[\w.~+/=-]*\d|[\w.~+/=-]{{24}})[\w.~+/=-]{{8,}}",
        rf"\1\2{REDACTED}",
    ),
    # A digit, padding or a capital inside tells base64 from "basic configuration".
    _Search(
        ("asic", "ASIC"),
        rf"\b([Bb]asic|BASIC)(\s+){_NO_HASH}(?=[\w+/]*(?:[\d=]|[a-z][A-Z]))[\w+/=]{{8,}}",
        rf"\1\2{REDACTED}",
    ),
    # An AWS access key's id
    _Search(("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", REDACTED),
    # password=..., 'api_key': '...', in what was printed before it was logged
    _Search(
        _NAMES_IN_TEXT,
        r"(?i)((?:passw(?:or)?d|passphrase|secret(?:[-_]?(?:access[-_]?)?key)?|api[-_]?key"
        r"|private[-_]?key|session[-_]?token)(?:[\"']?\s?=\s?|[\"']?:\s|[\"']:))"
        r"(?:\"[^\"]*\"|'[^']*'|(?![\"'\[])[^\s,;&)}\]\"']+)",
        rf"\1{REDACTED}",
    ),
    # The words of a wallet, to the end of their line
    _Search(
        _NAMES_IN_TEXT,
        r"(?i)((?:mnemonic|(?:seed|recovery)[-_ ]?phrase)(?:[\"']?\s?=\s?|[\"']?:\s|[\"']:))[^\n]+",
        rf"\1{REDACTED}",
    ),
    # JSON web tokens
    _Search(("eyJ",), r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", REDACTED),
    _Search(
        ("PRIVATE KEY",),
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        REDACTED,
    ),
)


class Redactor:
    """
    Say which keys and which parts of a text are secret.

    Args:
        keys: Names of secret keys, compared without case and without ``-``,
            ``_``, ``.`` and spaces; a ``*`` at either end stands for anything,
            so that ``*api_key`` covers ``X-Api-Key`` and ``alchemyApiKey``.
            ``default`` stands for the built-in list, and ``!token`` takes a
            name out again; the last one that matches decides.
        patterns: Regular expressions; what they match in any text is hidden,
            besides the built-in ones.  Each is tried on every text.

    Raises:
        ConfigError: If a pattern does not compile, or matches the empty text.
    """

    def __init__(
        self, keys: Iterable[str] = ("default",), patterns: Iterable[str] = ()
    ) -> None:
        self.hidden = _Verdicts(keys)
        self._patterns = [_own(pattern) for pattern in patterns]

    @classmethod
    def from_option(cls, value: Any) -> Redactor | None:
        """
        Return what the formatter's option ``redact`` asks for.

        Args:
            value: ``True`` for the defaults, ``False`` for none, or a mapping
                with ``keys``, ``patterns`` or both.

        Raises:
            ConfigError: If it is anything else.
        """
        if isinstance(value, bool):
            return cls() if value else None
        if not isinstance(value, dict):
            raise ConfigError(
                f"redact: {value!r} must be true, false, or a mapping with keys and patterns"
            )
        given = options.mapping("redact", value)
        for name in given.keys() - {"keys", "patterns"}:
            hint = options.did_you_mean(name, ("keys", "patterns"))
            raise ConfigError(f"redact: unknown key {name!r}; {hint}")
        return cls(
            options.names("redact.keys", given.get("keys", ["default"])),
            options.names("redact.patterns", given.get("patterns", [])),
        )

    def suspects(self, line: str) -> bool:
        """
        Whether *line*, JSON text, may hold a secret that `scrub` would find.

        No hint contains a character that JSON escapes, so that a finished line
        may be searched instead of every text in it.
        """
        # Every hint of `_SEARCHES`, spelled out: this is asked of every line, and
        # a loop costs three times as much.  One character is found six times as
        # fast as a word, and an ordinary line lacks most of those that lead.
        return (
            "=" in line
            or ("/" in line and ("://" in line or "url: /" in line))
            or (
                (" " in line or "\\" in line)  # other white space is escaped
                and (
                    "earer" in line
                    or "EARER" in line
                    or "asic" in line
                    or "ASIC" in line
                    or "PRIVATE KEY" in line
                )
            )
            or ("K" in line and "AKIA" in line)
            or ("S" in line and "ASIA" in line)
            or ("J" in line and "eyJ" in line)
            # A name beside its value: `name=` is found by its "=" above; compact
            # JSON has no ": " of its own, and quotes in a text are escaped.
            or ((": " in line or "\\" in line) and self._names_secret(line))
            or bool(self._patterns)
        )

    def _names_secret(self, line: str) -> bool:
        """Whether a name that gives a secret away stands in *line*."""
        for name in _NAMES_IN_TEXT:  # noqa: SIM110  see suspects
            if name in line:
                return True
        return False

    def scrub(self, text: str) -> str:
        """Return *text* with every secret in it replaced."""
        for search in _SEARCHES:
            for hint in search.hints:
                if hint in text:
                    text = _compiled(search.pattern).sub(search.rest, text)
                    break
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text


class _Verdicts(dict[str, bool]):
    """Whether each key is secret; decided once, then looked up."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self._patterns: list[tuple[str, bool]] = []
        for name in names:
            secret, pattern = not name.startswith("!"), name.removeprefix("!")
            if name == "!default" or "*" in pattern.strip("*") or not _bare(pattern):
                raise ConfigError(
                    f"redact.keys: {name!r} matches no key; write a name, with a * at "
                    "either end if need be, or default"
                )
            patterns = (*SECRET_KEYS, *_PLURALS) if name == "default" else (pattern,)
            self._patterns += [(_bare(pattern), secret) for pattern in patterns]

    def __missing__(self, key: str) -> bool:
        bare, verdict = _bare(key), False
        for pattern, secret in self._patterns:
            if _matches(bare, pattern):
                verdict = secret
        if len(self) < _MAX_KEYS:
            self[key] = verdict
        return verdict


_SEPARATORS = str.maketrans("", "", "-_. ")
_NUMBER = re.compile(r"~[0-9]+$")  # what tells keys apart that became equal


def _bare(key: str) -> str:
    """Return *key* as it is compared."""
    return _NUMBER.sub("", key).translate(_SEPARATORS).casefold()


def _matches(key: str, pattern: str) -> bool:
    """Whether *key* is *pattern*, whose ends may be a ``*``."""
    name = pattern.strip("*")
    if pattern.startswith("*"):
        return name in key if pattern.endswith("*") else key.endswith(name)
    return key.startswith(name) if pattern.endswith("*") else key == name


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Compiled when first needed: all of them at import would cost 10 ms.
    return re.compile(pattern)


def _own(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"redact.patterns: {pattern!r} is no regular expression: {error}; correct it"
        ) from error
    if compiled.match(""):
        raise ConfigError(
            f"redact.patterns: {pattern!r} matches the empty text; make it match the secret"
        )
    return compiled
