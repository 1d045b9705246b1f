"""
Whatever is in a trail's files: reading them ends, in a report and not in an error.
"""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.audit import chain
from chimera_log.audit.chain import Key
from chimera_log.audit.manifest import Manifest
from chimera_log.audit.reading import VerifyError
from chimera_log.audit.verify import NOT_ANCHORED, OK, TAMPERED, Report, verify
from tests.trails import Chain, Made, checkpoint, line, own, pruned, recovered

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(b"k" * 32)
LEFT = b'{"timestamp":"2025-\n'


class Sample:
    """
    A trail with something of everything, and a whole copy of its files.

    Args:
        folder: Where it is.
        key: Signs it.
    """

    def __init__(self, folder: Path, key: Key | None) -> None:
        self.key = key
        log = self.chain = Chain(key)
        old = [b'{"timestamp":"2025-10-27T08:00:00.000000Z"}\n']
        self.files = [
            old,
            [*log.many(2), LEFT, log.add(recovered(log.next, LEFT))],
            log.many(2),
            [*log.many(2), log.add(recovered(log.next, b"{", left=False))],
        ]
        self.made = Made(folder, [*self.files, []], key=key, is_sealed=True)
        self.files.append(
            [log.add(pruned(log.next, self.made.sealed[2])), *log.many(2)]
        )
        self.made.write(4, b"".join(self.files[4]))
        self.made.prune(2)
        packed = self.made.place(3)
        packed.with_name(f"{packed.name}.gz").write_bytes(
            gzip.compress(packed.read_bytes(), mtime=0)
        )
        packed.unlink()
        (folder / "chimera.log").write_bytes(checkpoint(log.heads[4]))
        self.content = {
            path: path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def verify(self) -> Report | None:
        """Return the report; ``None`` if a key would be needed that nobody has."""
        try:
            return verify(self.made.path, keys=[self.key] if self.key else [])
        except VerifyError:
            return None


def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Return *content* with a few bytes changed, removed, inserted or moved."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.integers(0, len(found))) for _ in range(2))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.binary(max_size=20),
                st.sampled_from([b"\n", b"\r", b"\0", b"}", b'"', b"\xff", b"{}\n"]),
                st.just(bytes(found[start : start + 700])),
            )
        )
        width = draw(st.sampled_from([0, 1, len(piece), end - start]))
        found[start : start + width] = piece
    return bytes(found)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "signed"])
class TestBytes:
    @pytest.fixture
    def sample(self, tmp_path: Path, key: Key | None) -> Sample:
        """A trail that is whole."""
        made = Sample(tmp_path, key)
        report = made.verify()
        assert report is not None
        assert (NOT_ANCHORED, None) == (report.code, report.bad)
        return made

    @given(st.data())
    def test_any_file(self, sample: Sample, data: st.DataObject) -> None:
        """
        Whichever file is changed: it ends, and with a report.
        """
        path = data.draw(st.sampled_from(sorted(sample.content)))
        content = data.draw(st.composite(mutated)(sample.content[path]))
        path.write_bytes(content)
        try:
            report = sample.verify()
        finally:
            path.write_bytes(sample.content[path])

        assert report is None or (report.code == TAMPERED) == (report.bad is not None)


@given(st.data())
def test_ok_means_untouched(tmp_path: Path, data: st.DataObject) -> None:
    """
    However lines are mixed: it is ok only if every one is where it was.
    """
    log = Chain()
    files = [
        log.many(2),
        [log.add(), LEFT, log.add(recovered(4, LEFT))],
        log.many(2),
    ]
    whole = [each for lines in files for each in lines]
    forged, _ = chain.linked(line(3, forged=True), log.heads[2])
    voucher, _ = chain.linked(recovered(4, b"{\n"), log.heads[3])
    pool = [*whole, forged, voucher, b"{\n", b"\n", line(9), Chain(name="a" * 32).add()]
    changed = [list(lines) for lines in files]
    for _ in range(data.draw(st.integers(0, 3))):
        lines = changed[data.draw(st.integers(0, 2))]
        at = data.draw(st.integers(0, len(lines)))
        width = data.draw(st.integers(0, 2))
        lines[at : at + width] = data.draw(st.lists(st.sampled_from(pool), max_size=2))

    report = Made(tmp_path, changed).verify(log.head)

    is_same = whole == [each for lines in changed for each in lines]
    assert (OK if is_same else TAMPERED) == report.code


@given(st.data())
def test_manifests(tmp_path: Path, data: st.DataObject) -> None:
    """
    Whatever a manifest says: it ends in a report.
    """
    log = Chain()
    files = [log.many(2), log.many(2), log.many(1)]
    made = Made(tmp_path, files, is_sealed=True)
    values: st.SearchStrategy[object] = st.sampled_from(
        [
            None,
            True,
            -1,
            0,
            1,
            2,
            3,
            10**18,
            10**400,
            0.5,
            1e308,
            "",
            "f" * 64,
            "\ud800",
            [],
        ]
    )
    changed = data.draw(
        st.dictionaries(st.sampled_from(made.sealed[0]._fields), values, max_size=3)
    )
    made.sealed[0] = made.sealed[0]._replace(**changed)
    made.put(0, Manifest(made.sealed[0]))
    if data.draw(st.booleans()):
        made.prune(0)

    assert isinstance(made.verify(log.head), Report)


@given(st.lists(st.binary(max_size=50)))
def test_anchors(tmp_path: Path, pieces: list[bytes]) -> None:
    """
    Whatever a witness says: it is found among it what it saw.
    """
    log = Chain()
    made = Made(tmp_path, [log.many(2)])
    text = b"\n".join([*pieces, checkpoint(log.head), *pieces])

    assert OK == made.verify(anchors=[io.BytesIO(b"#" + text)]).code


@given(st.lists(st.sampled_from(["audit_recovered", "audit_pruned"])), st.data())
def test_own_lines(tmp_path: Path, events: list[str], data: st.DataObject) -> None:
    """
    Whatever the trail's own lines hold: it ends in a report.
    """
    values: st.SearchStrategy[object] = st.sampled_from(
        [None, True, False, 0, 1, 10**400, "torn", "legacy", "\ud800", [], {}]
    )
    names = ["kind", "bytes", "sha256", "left", "segment", "first_seq", "last_seq"]
    log = Chain()
    lines = []
    for event in events:
        context = data.draw(st.dictionaries(st.sampled_from(names), values))
        lines.append(data.draw(st.sampled_from([b"", LEFT, line(1)])))
        lines.append(log.add(own(log.next, event, **context)))
    made = Made(tmp_path, [lines])

    assert isinstance(made.verify(log.head), Report)
