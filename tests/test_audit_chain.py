"""
How the lines of a trail are linked: as documented, to the byte, and by nobody else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log.audit import chain
from chimera_log.audit.chain import Head, Key, Link
from chimera_log.options import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = "c0ffee00" * 4
ZEROS = "0" * 64
SECRET = b"0123456789abcdef"
STAMP = "2025-10-27T08:38:00.136873Z"

FIRST = (
    b'{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO","module":"executions",'
    b'"event":"execution_attempt","context":{"status":"included"}}\n'
)
SECOND = (
    b'{"timestamp":"2025-10-27T08:38:01.000000Z","level":"INFO","module":"executions",'
    b'"event":"execution_attempt","context":{}}\n'
)
# The hashes are what `sha256sum` and `openssl dgst -hmac` said.
FIRST_HASH = "87cb45b412363133be4d58e8a211885ad176d045193239fe24585323322b0aa8"
SECOND_HASH = "3b7d31c81b4ce2aa9bc413fbd37ac40405082687faa097e6dca7164bf0c0266f"
KEYED_HASH = "0c46fd6c9ea150245525b0b23075e58d39e09afcf165523f4bba5d245fbba4b1"


def line_of(context: object, **more: object) -> bytes:
    """Return a line as the formatter makes it, still to be linked."""
    content = {
        "timestamp": STAMP,
        "level": "INFO",
        "module": "executions",
        "event": "execution_attempt",
        "context": context,
        **more,
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def chained(count: int, key: Key | None = None) -> list[bytes]:
    """Return the first lines of a chain."""
    lines, head = [], chain.begin(CHAIN)
    for number in range(count):
        line, head = chain.linked(line_of({"number": number}), head, key)
        lines.append(line)
    return lines


class TestLinked:
    def test_first_line(self) -> None:
        """
        The first line has number 1, and 64 zeros for the line before.
        """
        line, head = chain.linked(FIRST, chain.begin(CHAIN))

        assert (
            b'{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO",'
            b'"module":"executions","event":"execution_attempt",'
            b'"context":{"status":"included"},"audit":{"v":1,'
            b'"chain":"c0ffee00c0ffee00c0ffee00c0ffee00","seq":1,"prev":'
            b'"0000000000000000000000000000000000000000000000000000000000000000","hash":'
            b'"87cb45b412363133be4d58e8a211885ad176d045193239fe24585323322b0aa8"}}\n'
        ) == line
        assert Head(CHAIN, 1, FIRST_HASH) == head

    def test_next_line(self) -> None:
        """
        The next one has number 2, and the hash of the first.
        """
        line, head = chain.linked(SECOND, Head(CHAIN, 1, FIRST_HASH))

        assert (
            b'{"timestamp":"2025-10-27T08:38:01.000000Z","level":"INFO",'
            b'"module":"executions","event":"execution_attempt","context":{},'
            b'"audit":{"v":1,"chain":"c0ffee00c0ffee00c0ffee00c0ffee00","seq":2,"prev":'
            b'"87cb45b412363133be4d58e8a211885ad176d045193239fe24585323322b0aa8","hash":'
            b'"3b7d31c81b4ce2aa9bc413fbd37ac40405082687faa097e6dca7164bf0c0266f"}}\n'
        ) == line
        assert Head(CHAIN, 2, SECOND_HASH) == head

    def test_with_a_key(self) -> None:
        """
        With a key the hash is an HMAC, and the line says which key, before ``prev``.
        """
        line, head = chain.linked(FIRST, chain.begin(CHAIN), Key(SECRET))

        assert (
            b'{"timestamp":"2025-10-27T08:38:00.136873Z","level":"INFO",'
            b'"module":"executions","event":"execution_attempt",'
            b'"context":{"status":"included"},"audit":{"v":1,'
            b'"chain":"c0ffee00c0ffee00c0ffee00c0ffee00","seq":1,"kid":"048ac241","prev":'
            b'"0000000000000000000000000000000000000000000000000000000000000000","hash":'
            b'"0c46fd6c9ea150245525b0b23075e58d39e09afcf165523f4bba5d245fbba4b1"}}\n'
        ) == line
        assert Head(CHAIN, 1, KEYED_HASH) == head

    def test_still_json(self) -> None:
        """
        A linked line is the line before, with one field more, the last one.
        """
        line, _ = chain.linked(FIRST, chain.begin(CHAIN))
        content = json.loads(line)

        assert "audit" == list(content)[-1]
        assert {"v", "chain", "seq", "prev", "hash"} == content.pop("audit").keys()
        assert json.loads(FIRST) == content

    def test_as_anybody_can_check(self, tmp_path: Path) -> None:
        """
        ``sed`` and ``sha256sum`` find the hash that each line has.
        """
        if not shutil.which("sha256sum"):
            pytest.skip("needs sha256sum")
        file = tmp_path / "executions.log"
        file.write_bytes(b"".join(chained(3)))
        script = (
            f"sed -n 3p {file} | sed 's/,\"hash\":\"[0-9a-f]*\"}}}}$//' | tr -d '\\n'"
            " | sha256sum"
        )

        found = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, check=True
        )

        audit = json.loads(file.read_text().splitlines()[2])["audit"]
        assert audit["hash"] == found.stdout[:64]


class TestBegin:
    @pytest.mark.parametrize("name", ["", "c0ffee", "C0FFEE00" * 4, CHAIN + "\n"])
    def test_no_name(self, name: str) -> None:
        """
        The name of a chain is 32 hexadecimal digits, in small letters.
        """
        with pytest.raises(ValueError, match="no name of a chain"):
            chain.begin(name)


KEYS = st.sampled_from([None, Key(SECRET), Key(SECRET, "desk-7")])
TEXTS = st.text(max_size=20)
CONTEXTS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), max_size=3)


@given(st.lists(CONTEXTS, min_size=1, max_size=5), KEYS, st.integers(0, 10**17))
def test_lines_follow_each_other(
    contexts: list[dict[str, object]], key: Key | None, start: int
) -> None:
    """
    Whatever lines hold, each follows the one before, and says where it stands.
    """
    head = Head(CHAIN, start, ZEROS)
    for context in contexts:
        line, after = chain.linked(line_of(context), head, key)

        assert after == chain.follow(line, head, key)
        assert chain.is_genuine(line, key)
        assert (
            Link(CHAIN, head.seq + 1, key and key.key_id, head.hash, after.hash)
        ) == chain.link_of(line)
        assert 1 == line.count(b"\n")
        head = after


@given(KEYS, st.data())
def test_every_byte_counts(key: Key | None, data: st.DataObject) -> None:
    """
    A line with any byte changed, gone or added neither follows nor is genuine.
    """
    line = chained(1, key)[0]
    at = data.draw(st.integers(0, len(line) - 1), "at")
    inserted = data.draw(st.binary(max_size=2), "inserted")
    removed = data.draw(st.integers(0, 2), "removed")
    changed = line[:at] + inserted + line[at + removed :]

    is_same = changed == line
    assert is_same == (chain.follow(changed, chain.begin(CHAIN), key) is not None)
    assert is_same == chain.is_genuine(changed, key)


class TestFollow:
    @pytest.mark.parametrize(
        "head",
        [
            Head(CHAIN, 1, ZEROS),
            Head(CHAIN, 0, FIRST_HASH),
            Head("0" * 32, 0, ZEROS),
        ],
    )
    def test_another_place(self, head: Head) -> None:
        """
        A genuine line follows in its own place only: by number, hash and chain.
        """
        line = chained(1)[0]

        assert chain.is_genuine(line)
        assert chain.follow(line, head) is None

    @pytest.mark.parametrize(
        ("written", "checked"),
        [
            (None, Key(SECRET)),
            (Key(SECRET), None),
            (Key(SECRET), Key(b"another secret, not this")),
        ],
    )
    def test_another_key(self, written: Key | None, checked: Key | None) -> None:
        """
        A line is no other key's, and a line without a key is nobody's.
        """
        line = chained(1, written)[0]

        assert chain.follow(line, chain.begin(CHAIN), checked) is None
        assert not chain.is_genuine(line, checked)

    def test_another_key_id(self) -> None:
        """
        A secret under another name is genuine, but no key of this chain.
        """
        line = chained(1, Key(SECRET))[0]
        renamed = Key(SECRET, "desk-7")

        assert chain.is_genuine(line, renamed)
        assert chain.follow(line, chain.begin(CHAIN), renamed) is None


class TestLinkOf:
    def test_not_chained(self) -> None:
        """
        What the formatter made, and what is no line at all, has no link.
        """
        assert [None, None, None] == [
            chain.link_of(each) for each in (FIRST, b"", b"\n")
        ]

    def test_at_the_very_end_only(self) -> None:
        """
        Whatever stands before or after an ``audit`` field, only the last one counts.
        """
        line = chained(1)[0]

        assert chain.link_of(line) is not None
        assert chain.link_of(b"x" * 1_000 + line) is not None
        for changed in (
            line[:-1],
            line + b"\n",
            line + b"x",
            line[:-1] + b"\r\n",
            line[:-1] + b" \n",
            line[:-2] + b"}}\n",
            line.replace(b',"hash"', b', "hash"'),
            line.replace(b'"v":1', b'"v":2'),
        ):
            assert chain.link_of(changed) is None

    def test_imitated_in_a_context(self) -> None:
        """
        A context that ends with a link of its own makes no line a chained one.
        """
        audit = json.loads(chained(1)[0])["audit"]
        imitation = line_of({"deep": {"audit": audit}})
        shallow = line_of({"audit": audit})

        assert shallow.endswith(b"}}}\n")
        assert imitation.endswith(b"}}}}\n")
        assert chain.link_of(imitation) is None
        assert chain.link_of(shallow) is None

    def test_imitation_then_linked(self) -> None:
        """
        Once it is linked, such a line has the link of its place, not its context's.
        """
        audit = json.loads(chained(9)[8])["audit"]
        line, head = chain.linked(line_of({"audit": audit}), chain.begin(CHAIN))

        assert Link(CHAIN, 1, None, ZEROS, head.hash) == chain.link_of(line)

    def test_imitated_as_text(self) -> None:
        """
        The same as text in a context has its quotes escaped, and is no link.
        """
        text = chained(1)[0].decode()

        assert chain.link_of(line_of(text)) is None
        assert chain.link_of(line_of(text[:-3])) is None

    @pytest.mark.parametrize(
        ("digits", "expected"),
        [
            (b"1", 1),
            (b"9" * 19, 10**19 - 1),
            (b"0", None),
            (b"01", None),
            (b"-1", None),
            (b"1.0", None),
            (b"9" * 20, None),
            (b"\xd9\xa1", None),  # the Arabic digit
        ],
    )
    def test_number(self, digits: bytes, expected: int | None) -> None:
        """
        A number is up to 19 plain digits, without a zero before them.
        """
        line = chained(1)[0].replace(b'"seq":1', b'"seq":' + digits)

        link = chain.link_of(line)

        assert expected == (link and link.seq)

    @given(st.binary(max_size=400))
    @example(b',"audit":{"v":1,"chain":"')
    def test_anything(self, noise: bytes) -> None:
        """
        Bytes of whatever kind have no link, and raise nothing.
        """
        assert chain.link_of(noise) is None
        assert not chain.is_genuine(noise)
        assert chain.follow(noise, chain.begin(CHAIN)) is None


class TestKey:
    def test_short(self) -> None:
        """
        A secret of 15 bytes is refused, one of 16 taken.
        """
        with pytest.raises(ConfigError, match=r"has 15 bytes; use at least 16"):
            Key(SECRET[:15])
        assert "048ac241" == Key(SECRET).key_id

    def test_long(self) -> None:
        """
        A secret may be of any length beyond.
        """
        line = chained(1, Key(SECRET * 1_000))[0]

        assert chain.is_genuine(line, Key(SECRET * 1_000))
        assert not chain.is_genuine(line, Key(SECRET * 999))

    @pytest.mark.parametrize("key_id", ["a", "Desk_7.b-c", "x" * 64])
    def test_named(self, key_id: str) -> None:
        """
        A key's name stands in the lines, and is found there.
        """
        link = chain.link_of(chained(1, Key(SECRET, key_id))[0])

        assert link is not None
        assert key_id == link.kid

    @pytest.mark.parametrize("key_id", ["x" * 65, "a b", 'a"', "ä", "a\n"])
    def test_no_name(self, key_id: str) -> None:
        """
        What could not stand in a line as it is, is no name.
        """
        with pytest.raises(ConfigError, match=r"^key_id: .* letters, digits"):
            Key(SECRET, key_id)

    def test_secret_stays_one(self) -> None:
        """
        Neither a key's looks nor a line tell its secret.
        """
        key = Key(SECRET)

        assert SECRET.decode() not in repr(key)
        assert SECRET not in chained(1, key)[0]
        assert hashlib.sha256(SECRET).hexdigest()[:8] != key.key_id


class TestOwnLine:
    def test_looks_like_any_line(self) -> None:
        """
        What the trail itself writes has the five fields of every line.
        """
        assert (
            b'{"timestamp":"2025-10-27T08:38:00.136873Z","level":"WARNING",'
            b'"module":"chimera_log.audit","event":"audit_pruned",'
            b'"context":{"records":2}}\n'
        ) == chain.own_line(STAMP, "audit_pruned", {"records": 2})

    @given(CONTEXTS)
    def test_found_again(self, context: dict[str, object]) -> None:
        """
        Its event and context are what was put in, linked or not.
        """
        line = chain.own_line(STAMP, "audit_pruned", context)
        linked, _ = chain.linked(line, chain.begin(CHAIN))

        assert ("audit_pruned", context) == chain.own_event(line)
        assert ("audit_pruned", context) == chain.own_event(linked)


class TestOwnEvent:
    @pytest.mark.parametrize(
        "line",
        [
            FIRST,
            # Another one's line that tries to look like ours.
            line_of({"module": "chimera_log.audit", "event": "audit_pruned"}),
            line_of('"module":"chimera_log.audit","event":"audit_pruned"'),
            chain.own_line(STAMP, "audit_pruned", {}).replace(
                b"chimera_log.audit", b"chimera_log.audit2"
            ),
            chain.own_line(STAMP, "pruned", {}),
            # Half of ours, and what is no line of anybody.
            chain.own_line(STAMP, "audit_pruned", {})[:-10],
            b'{"module":"chimera_log.audit","event":"audit_pruned"}\n',
            b'["module":"chimera_log.audit","event":"audit_pruned"]\n',
            b'{"a":[{"module":"chimera_log.audit","event":"audit_pruned"}]}\n',
            b'[{"module":"chimera_log.audit","event":"audit_pruned"}]\n',
            b'{"module":"chimera_log.audit","event":"audit_pruned","context":'
            + b"[" * 100_000,
        ],
        ids=lambda line: line[-40:].decode(),
    )
    def test_not_ours(self, line: bytes) -> None:
        """
        No line but one of the trail's own is taken for one, and none raises.
        """
        assert chain.own_event(line) is None

    @pytest.mark.parametrize(
        "rest",
        [b',"context":[]}', b',"context":{},"event":5}', b',"context":{},"module":5}'],
    )
    def test_other_values(self, rest: bytes) -> None:
        """
        A line with our names, and values that are none of ours, is not ours.
        """
        line = b'{"module":"chimera_log.audit","event":"audit_pruned"' + rest

        assert chain.own_event(line) is None

    def test_far_into_a_line(self) -> None:
        """
        A context that repeats our beginning is read, and seen to be none.
        """
        line = (
            b'{"context":{"module":"chimera_log.audit","event":"audit_pruned"},'
            b'"module":"bot","event":"audit_pruned"}\n'
        )

        assert chain.own_event(line) is None
