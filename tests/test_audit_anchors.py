"""
Anchors: found in whatever text a witness is asked for, and nowhere else.
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import anchors as module
from chimera_log.audit.anchors import Anchors, Gathering, beside
from chimera_log.audit.chain import Head
from chimera_log.audit.verify import NOT_ANCHORED, OK, TAMPERED, verify
from tests.logs import refusing
from tests.trails import CHAIN, FIRST, NAME, Chain, Made, checkpoint, line, witness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HASH = "0123456789abcdef" * 4
HEAD = Head(CHAIN, 1234, HASH)
OTHER = Head("ab" * 16, 7, HASH)
NOISE = [line(number, text="x" * 300) for number in range(1, 40)]


def gathered(
    text: bytes, chain: str | None = CHAIN, *, is_weak: bool = False
) -> Anchors:
    """Return the anchors in *text*."""
    gathering = Gathering(chain, NAME)
    gathering.read(io.BytesIO(text), "text", is_weak=is_weak)
    return gathering.found


def event(message: bytes, **more: Any) -> dict[str, Any]:
    """Return an event as CloudWatch Logs has it."""
    return {
        "logStreamName": "host/2025/7",
        "timestamp": 1761554280136,
        "message": message.decode().rstrip("\n"),
        "ingestionTime": 1761554281000,
        "eventId": "3" * 56,
        **more,
    }


def filtered(lines: list[bytes], **options: Any) -> bytes:
    """Return what ``aws logs filter-log-events`` prints."""
    content = {"events": [event(each) for each in lines], "searchedLogStreams": []}
    return json.dumps(content, **options).encode()


def as_text(lines: list[bytes]) -> bytes:
    """Return what it prints with ``--output text``."""
    rows = [
        b"\t".join([b"EVENTS", b"3" * 56, b"1761554281000", b"host", each[:-1], b"1"])
        for each in lines
    ]
    return b"\n".join(rows) + b"\n"


def insights(lines: list[bytes]) -> bytes:
    """Return what ``aws logs get-query-results`` prints."""
    rows = [
        [
            {"field": "@timestamp", "value": "2025-10-27 08:38:00.136"},
            {"field": "@message", "value": each.decode()},
        ]
        for each in lines
    ]
    return json.dumps({"results": rows, "status": "Complete"}, indent=4).encode()


FORMS: dict[str, Callable[[list[bytes]], bytes]] = {
    "lines": b"".join,
    "gz": lambda lines: gzip.compress(b"".join(lines)),
    "CRLF": lambda lines: b"".join(lines).replace(b"\n", b"\r\n"),
    "pretty lines": lambda lines: b"\n".join(
        json.dumps(json.loads(each), indent=2).encode() for each in lines
    ),
    "tail": lambda lines: b"".join(
        b"2025-10-27T08:38:00+00:00 host/7 " + each for each in lines
    ),
    "filter": lambda lines: filtered(lines, indent=4),
    "filter, compact": lambda lines: filtered(lines, separators=(",", ":")),
    "filter, sorted": lambda lines: filtered(lines, indent=4, sort_keys=True),
    "filter, gz": lambda lines: gzip.compress(filtered(lines, indent=4)),
    "filter, text": as_text,
    "messages": lambda lines: json.dumps(
        [each.decode() for each in lines], indent=4
    ).encode(),
    "messages, one a line": lambda lines: b"".join(
        json.dumps(each.decode()).encode() + b"\n" for each in lines
    ),
    "insights": insights,
}


class TestForms:
    @pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
    @pytest.mark.parametrize("trail", [f"/var/log/{NAME}", NAME, None])
    def test_found(
        self, form: Callable[[list[bytes]], bytes], trail: str | None
    ) -> None:
        """
        An anchor is found among other lines, in whatever form they are printed.
        """
        text = form([*NOISE, checkpoint(HEAD, trail), *NOISE])

        assert Anchors({1234: HASH}, 1234, 1234, None, ()) == gathered(text)

    @pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
    def test_first_and_last(self, form: Callable[[list[bytes]], bytes]) -> None:
        """
        The first line and the last one are lines like others.
        """
        lines = [checkpoint(HEAD), *NOISE, checkpoint(HEAD._replace(seq=2000))]

        assert {1234: HASH, 2000: HASH} == gathered(form(lines)).hashes

    def test_spread_over_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Wherever reading pauses, no anchor is missed, and none is made up.
        """
        lines = [*NOISE, checkpoint(HEAD), *NOISE, checkpoint(OTHER, "/elsewhere")] * 9
        text = filtered(lines, indent=4)
        for size in (10_007, 16_384, 30_011):
            monkeypatch.setattr(module, "CHUNK", size)
            assert Anchors({1234: HASH}, 1234, 1234, None, ()) == gathered(text)

    def test_report(self, tmp_path: Path) -> None:
        """
        An earlier report bears witness, too.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3)])
        report = made.verify()
        text = json.dumps({"head": report.head._asdict()}).encode()

        assert {3: log.head.hash} == gathered(text).hashes

    def test_records(self) -> None:
        """
        The records of a trail are no anchors: who has them need not know their end.
        """
        assert {} == gathered(b"".join(Chain().many(5))).hashes


class TestForged:
    """Text that somebody else chose, within a value of a line."""

    FORGED = checkpoint(HEAD).decode().rstrip("\n")

    @pytest.mark.parametrize(
        "context",
        [
            {"text": FORGED},
            {"text": f" {FORGED}"},
            {"text": f"\n{FORGED}"},
            {"message": FORGED},
            {"type": "RpcError", "message": FORGED},
            {"list": [FORGED, FORGED]},
            {"timestamp": 5, "message": '{"a":1}', "text": FORGED},
            {"timestamp": 5, "message": '{"a":1}', "b": f'"{FORGED}'},
            {"text": json.dumps(event(FORGED.encode()))},
            {"text": json.dumps({"text": FORGED})},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
    def test_not_taken(
        self, form: Callable[[list[bytes]], bytes], context: dict[str, Any]
    ) -> None:
        """
        It is no anchor, however it is nested and printed.
        """
        assert {} == gathered(form([*NOISE, line(1, **context), *NOISE])).hashes

    def test_odd_quotes(self) -> None:
        """
        Quotes that are escaped differently belong to nothing.
        """
        plain = b'"chain":"%s","seq":1,"hash":"%s"' % (CHAIN.encode(), HASH.encode())

        assert {1: HASH} == gathered(plain).hashes
        assert {} == gathered(b"\\" + plain).hashes
        assert {} == gathered(plain.replace(b'"', b'\\"')).hashes
        assert {} == gathered(b"{" + plain.replace(b'"', b'\\\\"')).hashes
        assert {} == gathered(plain.replace(b'chain"', b'chain\\"')).hashes


class TestSeveral:
    def test_newest(self) -> None:
        """
        The newest one counts; all are kept, to be compared.
        """
        found = gathered(
            b"".join(checkpoint(HEAD._replace(seq=seq)) for seq in (5, 9, 7))
        )

        assert (9, {5, 7, 9}) == (found.newest, set(found.hashes))

    def test_strong_and_weak(self) -> None:
        """
        Witnesses beside the trail are told from others.
        """
        gathering = Gathering(CHAIN, NAME)
        gathering.read(witness(HEAD), "far", is_weak=False)
        gathering.read(witness(HEAD._replace(seq=2000)), "near", is_weak=True)

        assert (2000, 1234) == (gathering.found.newest, gathering.found.newest_strong)

    def test_disagreement(self) -> None:
        """
        Where witnesses disagree, no record can be right.
        """
        found = gathered(checkpoint(HEAD) + checkpoint(HEAD._replace(hash="f" * 64)))

        assert {1234: ""} == found.hashes

    @pytest.mark.parametrize(
        ("other", "trail"),
        [
            (OTHER.chain, f"/elsewhere/{NAME}"),
            (OTHER.chain, f"C:/logs/{NAME}"),
            (OTHER.chain, None),
            (None, "/var/log/orders.log"),
        ],
    )
    def test_other_chain(self, other: str | None, trail: str | None) -> None:
        """
        Another chain that is said to be of this trail is remembered.
        """
        assert Anchors({}, 0, 0, other, ()) == gathered(checkpoint(OTHER, trail))

    def test_no_chain(self) -> None:
        """
        If the trail has none, every chain is another one.
        """
        assert HEAD.chain == gathered(checkpoint(HEAD), None).other

    def test_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Memory is bounded: the newest are kept, and that is said.
        """
        monkeypatch.setattr(module, "MAX_ANCHORS", 3)
        heads = [HEAD._replace(seq=seq) for seq in range(20, 0, -1)]

        found = gathered(b"".join(map(checkpoint, heads)))

        assert {18, 19, 20} == set(found.hashes)
        assert ("of the anchors, only the newest 3 were checked",) == found.notes


class TestDamaged:
    def test_cut(self) -> None:
        """
        A compressed file that is cut is read as far as it goes, and noted.
        """
        lines = [checkpoint(HEAD), *NOISE * 100]
        text = gzip.compress(b"".join(lines))[:-20]

        found = gathered(text)

        assert {1234: HASH} == found.hashes
        assert (
            "text is damaged, and was read only up to there: cut off",
        ) == found.notes

    def test_damaged(self) -> None:
        """
        So is one that is damaged.
        """
        text = bytearray(gzip.compress(checkpoint(HEAD)))
        text[-8] ^= 1

        assert "incorrect data check" in gathered(bytes(text)).notes[0]

    def test_expands(self) -> None:
        """
        One that unpacks to a great deal is read a piece at a time.
        """
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        text = packer.compress(b"\0" * 5_000_000) + packer.compress(checkpoint(HEAD))

        assert {1234: HASH} == gathered(text + packer.flush()).hashes

    @given(st.binary())
    def test_anything(self, text: bytes) -> None:
        """
        No bytes can make it fail.
        """
        for each in (text, b"\x1f\x8b" + text, b'"chain":"' + text):
            assert {} == gathered(each).hashes


class TestVerify:
    def test_every_one_is_compared(self, tmp_path: Path) -> None:
        """
        One record that a witness saw otherwise is enough.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3), log.many(3)])
        forged = log.heads[2]._replace(hash="f" * 64)

        report = made.verify(log.heads[1], forged, log.heads[4], log.head)

        assert (TAMPERED, 1) == (report.code, report.records)
        assert (made.names[0], 2, 2, "rewritten") == report.bad[:4]
        assert "a witness saw record 2 with another hash" == report.reason

    def test_beyond_the_end(self, tmp_path: Path) -> None:
        """
        What a witness saw and is not there was cut off.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3)])

        report = made.verify(log.heads[2], log.head._replace(seq=8))

        assert (NAME, 4, 4, "truncated") == report.bad[:4]
        assert "the trail ends at record 3, a witness saw 8" == report.reason

    def test_another_chain(self, tmp_path: Path) -> None:
        """
        If all that witnesses saw is another chain, this one was put in its place.
        """
        made = Made(tmp_path, [Chain().many(3)])

        report = made.verify(OTHER)

        assert (NAME, 1, 1, "rewritten") == report.bad[:4]

    def test_another_chain_as_well(self, tmp_path: Path) -> None:
        """
        Other hosts' trails may be in the same witness's words.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3)])

        assert OK == made.verify(OTHER, log.head).code

    def test_chain_that_is_gone(self, tmp_path: Path) -> None:
        """
        A trail without a record, of which one was seen, was cut.
        """
        report = Made(tmp_path, [[b"old\n"]]).verify(OTHER)

        assert (NAME, 2, 1, "truncated") == report.bad[:4]

    def test_beside(self, tmp_path: Path) -> None:
        """
        Without any given, the logs beside the trail are asked; they are weak.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3)])
        (tmp_path / "chimera.log").write_bytes(checkpoint(log.heads[1]))
        (tmp_path / "chimera.log.20251027T083800Z.000001.gz").write_bytes(
            gzip.compress(checkpoint(log.head))
        )

        report = made.verify(anchors=[])

        assert (OK, 3, True) == (report.code, report.anchored_seq, report.is_weak)

    def test_beside_and_wrong(self, tmp_path: Path) -> None:
        """
        Weak as they are, who forgot to change them is found.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3)])
        (tmp_path / "chimera.log").write_bytes(checkpoint(log.head._replace(seq=4)))

        assert TAMPERED == made.verify(anchors=[]).code

    def test_not_asked(self, tmp_path: Path) -> None:
        """
        The trail's own files, folders, links and other names are not.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(3)])
        told = checkpoint(log.head)
        (tmp_path / f"{NAME}.1").write_bytes(told)
        (tmp_path / "notes.txt").write_bytes(told)
        (tmp_path / "folder.log").mkdir()
        (tmp_path / "link.log").symlink_to(tmp_path / "notes.txt")

        assert [] == beside(str(tmp_path), NAME)
        assert NOT_ANCHORED == made.verify(anchors=[]).code

    def test_beside_and_unreadable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        One that cannot be read is noted.
        """
        made = Made(tmp_path, [Chain().many(3)])
        path = tmp_path / "chimera.log"
        path.write_bytes(b"")
        monkeypatch.setattr(module.Gathering, "read", refusing(errno.EIO))

        (note,) = made.verify(anchors=[]).notes

        assert note.startswith(f"{path} was not read: ")

    def test_given_file(self, tmp_path: Path) -> None:
        """
        A file from elsewhere is strong; one from the trail's folder is not.
        """
        log = Chain()
        folder = tmp_path / "logs"
        folder.mkdir()
        made = Made(folder, [log.many(3)])
        link = tmp_path / "link"
        (folder / "copy.txt").write_bytes(checkpoint(log.head))
        (tmp_path / "copy.txt").write_bytes(checkpoint(log.head))
        link.symlink_to(folder / "copy.txt")

        found = {
            path: verify(made.path, anchors=[path], now=FIRST).is_weak
            for path in (folder / "copy.txt", tmp_path / "copy.txt", link)
        }

        assert [True, False, True] == list(found.values())

    def test_given_file_is_gone(self, tmp_path: Path) -> None:
        """
        A given file that cannot be read is an error.
        """
        made = Made(tmp_path, [Chain().many(3)])

        with pytest.raises(FileNotFoundError):
            made.verify(anchors=[tmp_path / "nowhere"])

    def test_many(self, tmp_path: Path) -> None:
        """
        A witness may have seen every single record.
        """
        log = Chain()
        made = Made(tmp_path, [log.many(50), log.many(50)])

        report = made.verify(*log.heads[1:])

        assert (OK, 100) == (report.code, report.anchored_seq)
