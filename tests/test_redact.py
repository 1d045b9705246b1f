"""
Secrets are hidden wherever they stand, and nothing else is touched.
"""

from __future__ import annotations

import copy
import enum
import re
import sys
import time
import types
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log import ConfigError, JsonFormatter, bound_context, values
from chimera_log.redact import SECRET_KEYS, Redactor
from tests.conftest import record
from tests.test_values import Fill, Order, Point, Showing, Trade, strict

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hunter2-correct-horse"
KEY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"
HEX_KEY = "0123456789abcdef0123456789abcdef"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

# Text, and what of it must not be seen.
FAMILIES: dict[str, tuple[str, str]] = {
    "user info": (f"postgres://bot:{SECRET}@db.local:5432/x", SECRET),
    "user info with @": (f"https://bot:p@{SECRET}@host/x", SECRET),
    "token as user": (f"https://{KEY}@sentry.io/1", KEY),
    "query api_key": (f"https://api.etherscan.io/api?module=x&apikey={KEY}&a=b", KEY),
    "query api-key": (f"https://mainnet.helius-rpc.com/?api-key={SECRET}", SECRET),
    "query access_token": (f"https://x.io/a?access_token={KEY}#top", KEY),
    "query key": (f"https://maps.example/?key={KEY}", KEY),
    "query signature": (f"https://api.binance.com/v3/order?x=1&signature={HASH}", HASH),
    "query dkey": (f"https://lb.drpc.org/ogrpc?network=ethereum&dkey={KEY}", KEY),
    "presigned": (f"https://b.s3.amazonaws.com/k?X-Amz-Signature={HASH}&x=1", HASH),
    "alchemy": (f"https://eth-mainnet.g.alchemy.com/v2/{KEY}", KEY),
    "alchemy ws": (f"wss://eth-mainnet.g.alchemy.com/v2/{KEY}", KEY),
    "alchemyapi": (f"https://eth-mainnet.alchemyapi.io/v2/{KEY}", KEY),
    "infura": (f"https://mainnet.infura.io/v3/{HEX_KEY}", HEX_KEY),
    "infura ws": (f"wss://mainnet.infura.io/ws/v3/{HEX_KEY}", HEX_KEY),
    "quiknode": (
        f"https://a-b-c.ethereum-mainnet.quiknode.pro/{HEX_KEY}abcd/",
        HEX_KEY,
    ),
    "ankr": (f"https://rpc.ankr.com/eth/{HASH}", HASH),
    "ankr ws": (f"wss://rpc.ankr.com/eth/ws/{HASH}", HASH),
    "chainstack": (f"https://ethereum-mainnet.core.chainstack.com/{HEX_KEY}", HEX_KEY),
    "chainstack node": (f"https://nd-123-456-789.p2pify.com/{HEX_KEY}", HEX_KEY),
    "getblock": (f"https://go.getblock.io/{HEX_KEY}", HEX_KEY),
    "tenderly": (f"https://mainnet.gateway.tenderly.co/{KEY}", KEY),
    "drpc": (f"https://lb.drpc.org/ethereum/{KEY}", KEY),
    "other /v2/": (f"https://rpc.example.org/v2/{KEY}", KEY),
    "with port": (f"https://mainnet.infura.io:443/v3/{HEX_KEY}", HEX_KEY),
    "telegram": (f"https://api.telegram.org/bot123456:{KEY}/sendMessage", KEY),
    "telegram file": (f"https://api.telegram.org/file/bot123456:{KEY}/x", KEY),
    "slack": (f"https://hooks.slack.com/services/T01234567/B01234567/{KEY}", KEY),
    "discord": (f"https://discord.com/api/webhooks/123456789/{KEY}", KEY),
    "discord canary": (f"https://canary.discordapp.com/api/webhooks/12345/{KEY}", KEY),
    "discord versioned": (f"https://discord.com/api/v10/webhooks/123456789/{KEY}", KEY),
    "bearer": (f"Authorization: Bearer {KEY}", KEY),
    "bearer in a dict": (f"{{'Authorization': 'Bearer {KEY}'}}", KEY),
    "bearer after a tab": (f"Authorization:Bearer\t{KEY}", KEY),
    "basic": ("Authorization: Basic Ym90Omh1bnRlcjI=", "Ym90Omh1bnRlcjI"),
    "basic of letters": ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "aws id": ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "aws session id": ("key ASIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"),
    "aws secret": (
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMI",
    ),
    "aws secret as json": (
        '{"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}',
        "wJalrXUtnFEMI",
    ),
    "jwt": (f"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{KEY}", KEY),
    "pem": (
        f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n{KEY}\n-----END RSA PRIVATE KEY-----",
        KEY,
    ),
    "pem without end": (f"-----BEGIN PRIVATE KEY-----\n{KEY}", KEY),
    # As urllib3 says it, and through it requests and web3: host and path apart.
    "urllib3 path": (
        "HTTPSConnectionPool(host='eth-mainnet.g.alchemy.com', port=443): Max "
        f"retries exceeded with url: /v2/{KEY} (Caused by ReadTimeoutError)",
        KEY,
    ),
    "urllib3 query": (
        "HTTPSConnectionPool(host='api.etherscan.io', port=443): Max retries "
        f"exceeded with url: /api?module=x&apikey={KEY} (Caused by ReadTimeoutError)",
        KEY,
    ),
    "access log": (f'127.0.0.1 - "GET /hook?token={KEY} HTTP/1.1" 200', KEY),
}


def formatted(made: Any, **options: Any) -> str:
    """Return the line of record *made*, checked to be strict JSON."""
    line = JsonFormatter(**options).format(made)
    strict(line)
    return line


def failed(error: BaseException) -> Any:
    """Return the ``exc_info`` of *error*, raised and caught."""
    try:
        raise error
    except type(error):
        return sys.exc_info()


def chained(cause: str) -> Any:
    """Return the ``exc_info`` of an exception caused by one that says *cause*."""
    error = ValueError("outer")
    error.__cause__ = OSError(cause)
    return failed(error)


PLACES: dict[str, Callable[[str], Any]] = {
    "event": record,
    "argument": lambda text: record("at %s", text),
    "misfit argument": lambda text: record("at %d", text),
    "context": lambda text: record(context={"a": text}),
    "context key": lambda text: record(context={text: 1}),
    "deep": lambda text: record(context={"a": [{"b": (text,)}]}),
    "in an object's text": lambda text: record(context={"a": Showing(text)}),
    "in a dataclass": lambda text: record(context={"a": Order(text)}),
    "no mapping": lambda text: record(context=[text]),
    "flat extra": lambda text: record(a=text),
    "exception": lambda text: record(exc_info=failed(ValueError(text))),
    "cause": lambda text: record(exc_info=chained(text)),
    "printed trace": lambda text: record(exc_text=f"Traceback\n  {text}"),
    "stack": lambda text: record(stack_info=f"Stack\n  {text}"),
}


def spellings(name: str) -> list[str]:
    """Return *name*, which is snake_case, as people spell it elsewhere."""
    words = name.split("_")
    camel = words[0] + "".join(map(str.title, words[1:]))
    return [
        name,
        name.upper(),
        "-".join(words),
        "-".join(map(str.title, words)),
        camel,
        camel[0].upper() + camel[1:],
        ".".join(words),
        " ".join(words),
    ]


NAMES = [
    spelled
    for pattern in SECRET_KEYS
    for name in (pattern.strip("*"), pattern.replace("*", "alchemy_"))
    for spelled in spellings(name)
]
WRAPPINGS: dict[str, Callable[[Any], Any]] = {
    "dict": lambda inner: {"a": inner},
    "list": lambda inner: [inner],
    "tuple": lambda inner: (0, inner),
    "dataclass": Order,
    "attrs": Fill,
    "namedtuple": lambda inner: Point(inner, float("nan")),
    "mapping": lambda inner: types.MappingProxyType({"a": inner}),
    "big neighbour": lambda inner: {"big": 2**70, "b": inner},
}

HASHES = st.builds(
    lambda number, prefix, case: prefix + case(f"{number:064x}"),
    st.integers(0, 2**256 - 1),
    st.sampled_from(["0x", ""]),
    st.sampled_from([str.lower, str.upper]),
)


class TestKeys:
    @given(
        st.sampled_from(NAMES),
        st.lists(st.sampled_from(sorted(WRAPPINGS)), max_size=4),
        st.sampled_from(["context", "extra", "bound", "no mapping"]),
        st.sampled_from([SECRET, [SECRET], {"a": SECRET}, Showing(SECRET)]),
    )
    def test_every_name_anywhere(
        self, name: str, wrappings: list[str], place: str, value: Any
    ) -> None:
        """
        However a secret's name is spelled and wherever it lies, it is hidden.
        """
        holder: Any = {name: value, "beside": "seen"}
        for wrapping in wrappings:
            holder = WRAPPINGS[wrapping](holder)
        with bound_context(**({"bound": holder} if place == "bound" else {})):
            line = formatted(
                record(context=holder)
                if place == "no mapping"
                else record(**({place: {"a": holder}} if place != "bound" else {}))
            )

        assert SECRET not in line
        assert "[redacted]" in line
        assert "seen" in line

    @pytest.mark.parametrize("name", ["password", "x-api-key", "privateKey"])
    def test_at_the_top(self, name: str) -> None:
        """
        A secret name is one as an extra and as a bound field, too.
        """
        with bound_context(**{name: SECRET}):
            assert SECRET not in formatted(record())
        assert SECRET not in formatted(record(**{name: SECRET}))
        assert {name: "[redacted]"} == strict(
            formatted(record(context={name: SECRET}))
        )["context"]

    @pytest.mark.parametrize(
        "name",
        [
            "quote_token",
            "token_address",
            "base_token",
            "tokenIn",
            "tokens",
            "token0",
            "gas_token",
            "key",
            "public_key",
            "secretary",
            "cookies_accepted",
            "tx_hash",
            "signature",
            "nonce",
            "passed",
        ],
    )
    def test_coins_and_other_words(self, name: str) -> None:
        """
        In a trading bot a token is a coin; what only resembles a secret stays.
        """
        assert {name: "USDC"} == strict(formatted(record(context={name: "USDC"})))[
            "context"
        ]

    @pytest.mark.parametrize(
        "key",
        [b"password", b"x-api-key"],
        ids=["password", "header"],
    )
    def test_bytes_key(self, key: bytes) -> None:
        """
        A name in bytes, as servers keep their headers, is a name.
        """
        assert SECRET not in formatted(record(context={"headers": {key: SECRET}}))

    def test_odd_keys(self) -> None:
        """
        A name that is no text counts by the text it becomes.
        """

        class Name(enum.Enum):
            PASSWORD = "password"

        assert SECRET not in formatted(record(context={Name.PASSWORD: SECRET}))
        assert SECRET not in formatted(record(context={Showing("api_key"): SECRET}))

    @pytest.mark.parametrize(
        "wrap", [dict, types.MappingProxyType], ids=["dict", "mapping"]
    )
    def test_names_that_become_equal(self, wrap: Callable[[Any], Any]) -> None:
        """
        Two keys that become one name hide both their values.
        """
        context = wrap({Showing("password"): SECRET, "password": SECRET})

        assert SECRET not in formatted(record(context=context))

    def test_fields_of_models(self) -> None:
        """
        A model's secrets are hidden by their names, too.
        """

        class Login(Trade):
            password: str = SECRET

        assert SECRET not in formatted(record(context={"login": Login(pair="A/B")}))

    def test_value_is_never_looked_at(self) -> None:
        """
        A secret is not even asked for its text.
        """
        asked: list[object] = []

        class Secret:
            def __str__(self) -> str:
                asked.append(self)
                return SECRET

        formatted(record(context={"password": Secret()}))

        assert [] == asked

    def test_static_fields_are_the_operator_s(self) -> None:
        """
        What the operator configured to be shown is shown.
        """
        assert "blue" in formatted(record(), static={"deployment": {"token": "blue"}})


class TestOwnKeys:
    @pytest.mark.parametrize(
        ("keys", "shown", "hidden"),
        [
            (["pin"], ["password", "spin", "pins"], ["pin", "PIN", "p-i-n"]),
            (["*pin"], ["password", "pins"], ["pin", "user_pin"]),
            (["pin*"], ["password", "user_pin"], ["pin", "pin_code"]),
            (["*pin*"], ["password"], ["spinning", "pin"]),
            (["default", "*pin"], ["pins"], ["password", "pin"]),
            (["default", "!token"], ["token"], ["password", "access_token"]),
            (["!token", "default"], [], ["token"]),
            (["default", "!*token", "bot_token"], ["access_token"], ["bot_token"]),
            (["*"], [], ["anything", ""]),
            (["*", "!pin"], ["pin"], ["anything"]),
            (["X-My.Key"], ["my_key"], ["x_my_key", "xMyKey"]),
            ([], ["password"], []),
        ],
        ids=str,
    )
    def test_last_match_decides(
        self, keys: list[str], shown: list[str], hidden: list[str]
    ) -> None:
        """
        Names are compared bare, ``*`` stands for anything, ``!`` takes out.
        """
        verdicts = Redactor(keys).hidden

        assert ([False] * len(shown), [True] * len(hidden)) == (
            [verdicts[name] for name in shown],
            [verdicts[name] for name in hidden],
        )

    def test_many_names_are_not_remembered(self) -> None:
        """
        Keys made from data are judged right, and do not pile up.
        """
        verdicts = Redactor().hidden
        judged = [verdicts[f"user{number}_password"] for number in range(20_000)]

        assert all(judged)
        assert len(verdicts) <= 10_000

    def test_off(self) -> None:
        """
        ``redact: false`` hides nothing.
        """
        line = formatted(
            record(f"https://u:{SECRET}@h", context={"password": SECRET}), redact=False
        )

        assert 2 == line.count(SECRET)


class TestPatterns:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_family(self, family: str) -> None:
        """
        A secret is found by its surroundings.
        """
        text, secret = FAMILIES[family]
        line = formatted(record(f"before {text}"))

        assert secret not in line
        assert "[redacted]" in line

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize(
        "family",
        ["user info", "query key", "infura", "telegram", "bearer", "aws id", "pem"],
    )
    def test_every_place(self, family: str, place: str) -> None:
        """
        A secret is found wherever a record can say it.
        """
        text, secret = FAMILIES[family]
        line = formatted(PLACES[place](f"before {text}"))

        assert secret not in line
        assert "[redacted]" in line
        assert "before" in line

    @pytest.mark.parametrize("family", FAMILIES)
    def test_surroundings_survive(self, family: str) -> None:
        """
        What stands around a secret is still read.
        """
        text, _ = FAMILIES[family]
        scrubbed = Redactor().scrub(
            f"before {text}\nafter" if "without end" not in family else f"before {text}"
        )

        assert scrubbed.startswith("before ")
        assert scrubbed.endswith("after") or "without end" in family

    @pytest.mark.parametrize("family", FAMILIES)
    def test_twice_is_once(self, family: str) -> None:
        """
        What has been scrubbed is left alone the next time.
        """
        redactor = Redactor()
        once = redactor.scrub(FAMILIES[family][0])

        assert once == redactor.scrub(once)

    @given(st.text("abcXYZ019-._~!$&'()*+,;=%", min_size=3))
    @example("pa'ss")
    def test_any_password_in_a_url(self, password: str) -> None:
        """
        Every character that a URL's user info may hold may be in a password.
        """
        scrubbed = Redactor().scrub(f"postgres://bot:{password}@db:5432/x")

        assert "postgres://[redacted]@db:5432/x" == scrubbed

    def test_many_in_one_text(self) -> None:
        """
        Every secret of a text is hidden, not only the first.
        """
        text = f"{FAMILIES['alchemy'][0]},{FAMILIES['infura'][0]} Bearer {KEY}"
        scrubbed = Redactor().scrub(f"{text} {text}")

        assert (False, False) == (KEY in scrubbed, HEX_KEY in scrubbed)

    def test_source_line_in_a_trace(self) -> None:
        """
        A secret that stands in the source is hidden where the trace shows it.
        """

        def connect() -> None:
            raise ValueError("https://u:source-line-secret@host")

        try:
            connect()
        except ValueError:
            line = formatted(record(exc_info=sys.exc_info()))

        assert "source-line-secret" not in line
        assert "raise ValueError(" in line

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="needs Python 3.11: notes")
    def test_notes_of_an_exception(self) -> None:
        """
        Notes are scrubbed with the trace.
        """
        error: Any = ValueError("bad")
        error.add_note(FAMILIES["alchemy"][0])

        assert KEY not in formatted(record(exc_info=failed(error)))

    @pytest.mark.parametrize(
        "source", ["threadName", "processName", "taskName", "pathname"]
    )
    def test_attributes(self, source: str) -> None:
        """
        A thread named after its endpoint gives no key away.
        """
        made = record(**{source: FAMILIES["alchemy"][0]})

        assert KEY not in formatted(made, fields={"thread": source})

    def test_logger_name(self) -> None:
        """
        A logger named after its endpoint gives no key away.
        """
        assert KEY not in formatted(record(name=FAMILIES["alchemy"][0]))

    def test_longer_than_the_line(self) -> None:
        """
        A text is scrubbed before it is cut, so that no half of a secret is left.
        """
        text = (
            "x" * 5_000
            + f" -----BEGIN PRIVATE KEY-----\n{KEY * 400}\n-----END PRIVATE KEY----- end"
        )
        line = formatted(record(text, context={"a": text}), max_line_bytes=4_096)

        assert KEY not in line

    def test_wide_context_is_not_shortened(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        A URL in the event does not cost the context half of its entries.
        """
        monkeypatch.setattr(values, "MAX_VALUES", 1_000)
        context = {str(number): number for number in range(600)}
        made = record("see https://example.org", context=context)

        assert 600 == len(strict(formatted(made))["context"])


class TestUntouched:
    @pytest.mark.parametrize(
        "text",
        [
            "basic configuration loaded",
            "Basic internationalization done",
            "the bearer of bad news",
            "Bearer authentication failed",
            "a bearer certificate",
            "the secret key is missing",
            "token=USDC amount=5",
            "see https://docs.python.org/3/library/logging.html#logging.Formatter",
            "https://medium.com/@vitalik/a-long-story-about-gas",
            "https://github.com/owner/repo/blob/v2/a_rather_long_file_name.py",
            "GET https://api.coingecko.com/api/v3/simple/price?ids=ethereum",
            "https://pro-api.coinmarketcap.com/v1/cryptocurrency/listings/latest",
            "https://api.exchange.com/v1/orderbook-snapshots?symbol=ETH",
            "https://etherscan.io/address/0x00000000219ab540356cbb839cbe05303d7705fa",
            "https://app.uniswap.org/?token=0x1f9840a85d5af5bf1d1762f925bdaddf4201f984",
            "bot@example.com wrote: a://b",
            "AKIA is a prefix, eyJ too",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "ws://127.0.0.1:8545/ connected",
            "nonce 7, gas 21000, 0xdeadbeef",
        ],
    )
    def test_prose_and_addresses(self, text: str) -> None:
        """
        What is no secret is not hidden.
        """
        made = record(text, context={"a": text, text: 1})
        shown = strict(formatted(made))

        assert text == Redactor().scrub(text) == shown["event"]
        assert {"a": text, text: 1} == shown["context"]

    @given(
        HASHES,
        st.sampled_from(
            [
                "",
                "tx ",
                "tx_hash=",
                "hash:",
                "('",
                '{"transactionHash": "',
                "transaction not found: ",
                "https://etherscan.io/tx/",
                "https://arbiscan.io/tx/",
                "https://mempool.space/tx/",
                "https://mempool.space/api/v1/tx/",
                "https://blockstream.info/api/tx/",
                "https://api.blockchair.com/bitcoin/dashboards/transaction/",
                "https://user:pw@explorer.local/tx/",
                "https://explorer.local/?tx=",
                "https://explorer.local/?api_key=abcdef123456&hash=",
                "https://solscan.io/?a=b&txid=",
                "https://eth-mainnet.g.alchemy.com/v2/a1B2c3D4e5F6g7H8 tx ",
                "Bearer abcdefgh1234 then ",
                "Basic dXNlcjpwYXNz1= then ",
                "private key of ",
            ]
        ),
        st.text(max_size=8),
        st.sampled_from(["", "'", " ", "/", ")", "?x=1", "#events", ",", "."]),
    )
    def test_transaction_hashes(
        self, tx_hash: str, before: str, noise: str, after: str
    ) -> None:
        """
        A transaction hash is evidence: no text around it hides it.
        """
        text = f"{noise} {before}{tx_hash}{after}{noise}"
        shown = strict(formatted(record(text, context={"hash": tx_hash, "text": text})))

        assert tx_hash in Redactor().scrub(text)
        assert tx_hash in shown["event"]
        assert tx_hash in shown["context"]["text"]
        assert tx_hash == shown["context"]["hash"]

    @pytest.mark.parametrize(
        "before",
        [
            "https://dashboard.tenderly.co/tx/mainnet/",
            "https://dashboard.tenderly.co/tx/optimistic-mainnet/",
            "https://mainnet.infura.io/v3/",
            "https://rpc.example.org/v2/",
            "https://explorer.local/?key=",
            "Bearer ",
            "replaced basic ",
        ],
    )
    def test_transaction_hash_where_a_key_might_be(self, before: str) -> None:
        """
        With its 0x a hash is a hash even where keys usually stand.
        """
        assert f"{before}0x{HASH}" == Redactor().scrub(f"{before}0x{HASH}")

    @given(st.text())
    def test_text_without_secrets(self, text: str) -> None:
        """
        Scrubbing leaves ordinary text exactly as it is.
        """
        assert text == Redactor().scrub(text)

    def test_caller_keeps_its_objects(self) -> None:
        """
        The caller's objects and the record stay as they were.
        """
        url = FAMILIES["alchemy"][0]
        context = {
            "password": SECRET,
            "urls": [url],
            "order": Order(url, {"token": SECRET}),
        }
        kept = copy.deepcopy(context)
        made = record("%s", url, context=context, exc_info=failed(ValueError(url)))
        before = dict(vars(made))
        formatted(made)

        assert kept == context
        assert before.keys() == vars(made).keys()
        assert [] == [name for name in before if before[name] is not vars(made)[name]]


def hostile(size: int) -> list[str]:
    """Return texts of about *size* characters, made to be slow to search."""
    pieces = [
        "://",
        "://a",
        "://a@",
        "://a:",
        "?key=",
        "://&access",
        "&auth",
        "infura.",
        "infura.io/",
        "https://infura.io/",
        "https://infura.io/a/",
        "zan.zan-",
        "://v1/",
        "://a/v1/",
        "bearer ",
        "bearer",
        "basic ",
        "basic a",
        "secret_key=",
        "secret",
        "secretaccess",
        "eyJ",
        "eyJaaaaaaaa.",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----END ",
        "PRIVATE KEY",
        "AKIA",
        "api.telegram.org/bot",
        "://hooks.slack.com/a",
        "://discord.com/api/webhooks/",
    ]
    starts = [
        "://infura.",
        "://x@",
        "https://infura.io/",
        "x://?a=",
        "://x?",
        "://x&",
        "bearer ",
        "basic ",
        "secret_key=",
        "eyJ",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
    ]
    fillers = [
        "a",
        " ",
        "/",
        "a/",
        "@",
        "a@",
        "-",
        "A ",
        ".",
        "access",
        "infura.",
        "\n",
    ]
    repeated = [piece * (size // len(piece)) for piece in pieces]
    return repeated + [
        f"{start}{filler * (size // len(filler))}"
        for start in starts
        for filler in fillers
    ]


class TestSpeed:
    @pytest.mark.parametrize(
        "size", [50_000, pytest.param(100_000, marks=pytest.mark.long)]
    )
    def test_hostile_texts(self, size: int) -> None:
        """
        A text made to be slow takes time in proportion to its length.
        """
        scrub = Redactor().scrub
        slow = []
        for text in hostile(size):
            start = time.thread_time()
            scrub(text)
            seconds = time.thread_time() - start
            if seconds > size / 200_000:
                slow.append((text[:40], round(seconds, 2)))

        assert [] == slow


class TestOwnPatterns:
    def test_besides_the_built_in(self) -> None:
        """
        An own pattern hides what it matches, besides the built-in ones.
        """
        line = formatted(
            record(
                "pin 1234", context={"a": "pin 5678", "url": FAMILIES["alchemy"][0]}
            ),
            redact={"patterns": [r"(?<=pin )\d{4}"]},
        )

        assert (0, 0, 0) == (line.count("1234"), line.count("5678"), line.count(KEY))
        assert "pin [redacted]" in line

    def test_on_every_text(self) -> None:
        """
        Own patterns are tried on every text, keys and traces included.
        """
        made = record(
            context={"pin 1234": Showing("pin 1234")},
            exc_info=failed(ValueError("pin 1234")),
        )

        assert "1234" not in formatted(made, redact={"patterns": [r"\b1234\b"]})

    def test_order_of_options(self) -> None:
        """
        Own patterns alone leave the default names in force.
        """
        assert SECRET not in formatted(
            record(context={"password": SECRET}), redact={"patterns": ["x"]}
        )


class TestConfigErrors:
    @pytest.mark.parametrize(
        ("option", "message"),
        [
            (
                "yes",
                "redact: 'yes' must be true, false, or a mapping with keys and patterns",
            ),
            (
                None,
                "redact: None must be true, false, or a mapping with keys and patterns",
            ),
            (1, "redact: 1 must be true, false, or a mapping with keys and patterns"),
            (
                ["a"],
                "redact: ['a'] must be true, false, or a mapping with keys and patterns",
            ),
            ({"key": ["a"]}, "redact: unknown key 'key'; did you mean 'keys'?"),
            ({"zzz": 1}, "redact: unknown key 'zzz'; use one of keys, patterns"),
            ({1: 2}, "redact: {1: 2} must be a mapping with text keys"),
            ({"keys": "pin"}, "redact.keys: 'pin' must be a list; write [pin]"),
            ({"keys": [1]}, "redact.keys: [1] must be a list of text"),
            ({"keys": None}, "redact.keys: None must be a list of text"),
            ({"patterns": "x"}, "redact.patterns: 'x' must be a list; write [x]"),
            (
                {"patterns": ["a*"]},
                "redact.patterns: 'a*' matches the empty text; make it match the secret",
            ),
        ],
        ids=str,
    )
    def test_message(self, option: Any, message: str) -> None:
        """
        An error names the option, the value and the remedy.
        """
        with pytest.raises(ConfigError) as caught:
            JsonFormatter(redact=option)

        assert message == str(caught.value)

    def test_no_regular_expression(self) -> None:
        """
        A pattern that does not compile is told with the reason.
        """
        with pytest.raises(
            ConfigError,
            match=re.escape("redact.patterns: '(' is no regular expression: missing )"),
        ):
            Redactor(patterns=["("])

    @pytest.mark.parametrize("name", ["api*key", "!default"])
    def test_name_that_never_matches(self, name: str) -> None:
        """
        A name that could never match is an error, not a false comfort.
        """
        with pytest.raises(ConfigError, match=r"redact\.keys: "):
            Redactor(keys=[name])


class TestNamesInText:
    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("login {'password': 'hunter2'}", "hunter2"),
            ("host=db password=hunter2 user=bot", "hunter2"),
            ('sent {"api_key":"hunter2"}', "hunter2"),
            ("Account(private_key='0xabc', name='a')", "0xabc"),
            (f"eth_private_key=0x{HASH}", HASH),
            ("mnemonic: legal winner thank year", "winner"),
            ("aws_session_token=hunter2&x=1", "hunter2"),
            ("seed phrase: legal winner", "legal"),
        ],
    )
    def test_hidden(self, text: str, secret: str) -> None:
        """
        A value that stands beside a secret's name in a text is hidden.
        """
        assert secret not in formatted(record(text))
        assert secret not in formatted(record("event", context={"text": text}))

    @pytest.mark.parametrize(
        "text", ["secret sauce", "no password given", "the mnemonic device", "a: b"]
    )
    def test_prose(self, text: str) -> None:
        """
        A secret's name without a value is prose.
        """
        assert text == Redactor().scrub(text)

    @pytest.mark.parametrize("key", ["private_keys", "passwords", "apiKeys", "db_pwd"])
    def test_plural(self, key: str) -> None:
        """
        Several secrets are as secret as one.
        """
        assert SECRET not in formatted(record(context={key: [SECRET]}))
