"""
The bench's own arithmetic, so that its figures can be believed.
"""

from __future__ import annotations

import gzip
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench import __main__ as bench
from tests.bench import cloudwatch, contenders, latency, load, shippers, traffic
from tests.bench.figures import Call, lines_in, lost, percentile, summary

if TYPE_CHECKING:
    from pathlib import Path

LINES = list(traffic.lines(20_000))


def paced(calls: int, **stalls: float) -> list[Call]:
    """Return *calls* calls due every 4 s from 110 on; call ``_N`` stalls so long."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def log(_: str, context: dict[str, Any]) -> None:
        sleep(stalls.get(f"_{context['number']}", 0.0))

    return load.paced(log, range(calls), 110.0, 4.0, lambda: now[0], sleep)


class TestPercentile:
    @pytest.mark.parametrize(
        ("count", "percent", "expected"),
        [
            (1, 50, 1),
            (2, 50, 1),
            (3, 50, 2),
            (100, 99, 99),
            (101, 99, 100),
            (1_000, Fraction("99.9"), 999),
            (1_001, Fraction("99.9"), 1_000),
        ],
    )
    def test_nearest_rank(
        self, count: int, percent: int | Fraction, expected: int
    ) -> None:
        """
        It is the first of the values, in order, with so many percent up to it.
        """
        assert expected == percentile(range(count, 0, -1), percent)

    def test_the_whole(self) -> None:
        """
        All of the values are up to the greatest.
        """
        assert 7.0 == percentile([3.0, 7.0, 5.0], 100)

    @given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 100))
    def test_any_values(self, values: list[int], percent: int) -> None:
        """
        Enough of the values do not exceed it, and too few are below it.
        """
        found = percentile(values, percent)

        enough = percent * len(values)
        assert found in values
        assert sum(value <= found for value in values) * 100 >= enough
        assert sum(value < found for value in values) * 100 < enough


class TestPaced:
    def test_on_time(self) -> None:
        """
        A call waits for its time.
        """
        assert [110.0, 114.0, 118.0] == [call.start for call in paced(3)]

    def test_took(self) -> None:
        """
        A call takes what the logger takes, and no wait for its time.
        """
        assert [0.0, 1.5, 0.0] == [call.took for call in paced(3, _1=1.5)]

    def test_late(self) -> None:
        """
        A call that stalls makes those late whose time passed meanwhile.
        """
        assert [10.0, 6.0, 2.0, 0.0] == [call.late for call in paced(4, _0=10.0)]

    def test_summary(self) -> None:
        """
        The latest call need not be the longest.
        """
        calls = paced(4, _0=10.0, _1=9.0)

        assert (0.0, 10.0, 10.0, 15.0) == summary(calls)


class TestLost:
    def test_none(self) -> None:
        """
        Records that all have a line are not lost, whatever their order.
        """
        assert 0 == lost(reversed(LINES), range(len(LINES)))

    def test_no_line(self) -> None:
        """
        A record without a line is lost.
        """
        assert 2 == lost(LINES[1:-1], range(len(LINES)))

    def test_two_lines(self) -> None:
        """
        A record that is there twice does not make up for another.
        """
        assert 1 == lost([LINES[0], LINES[0]], [0, 1])

    def test_half_a_line(self) -> None:
        """
        Half a line is no record, though its number can be read.
        """
        assert 1 == lost([LINES[0][:-3]], [0])

    def test_glued_lines(self) -> None:
        """
        Two records in one line are lost to every reader.
        """
        assert 2 == lost([LINES[0].rstrip() + LINES[1]], [0, 1])

    def test_spaces(self) -> None:
        """
        A peer's line may have a space after its colons.
        """
        assert 0 == lost([json.dumps(json.loads(LINES[7])).encode()], [7])


class TestLinesIn:
    def test_plain_and_compressed(self, tmp_path: Path) -> None:
        """
        Every file counts, unpacked where it is compressed.
        """
        (tmp_path / "bench.log").write_bytes(b"".join(LINES[10:]))
        (tmp_path / "bench.log.1.gz").write_bytes(gzip.compress(b"".join(LINES[:10])))

        assert sorted(LINES) == sorted(lines_in(tmp_path))

    def test_folder(self, tmp_path: Path) -> None:
        """
        What lies in a folder below, such as a temporary file, is no log.
        """
        (tmp_path / "hidden").mkdir()
        (tmp_path / "hidden" / "bench.log").write_bytes(LINES[0])

        assert [] == list(lines_in(tmp_path))

    def test_cut_archive(self, tmp_path: Path) -> None:
        """
        An archive that ends too early is read as far as it goes.
        """
        many = list(traffic.lines(200_000))
        packed = gzip.compress(b"".join(many))
        (tmp_path / "bench.log.1.gz").write_bytes(packed[: len(packed) // 2])

        found = list(lines_in(tmp_path))
        assert many[:100] == found[:100]
        assert lost(found, range(len(many))) > 0

    def test_damaged_archive(self, tmp_path: Path) -> None:
        """
        An archive that is damaged inside does not end the count.
        """
        packed = bytearray(gzip.compress(b"".join(LINES)))
        packed[100:200] = bytes([255]) * 100
        (tmp_path / "bench.log.1.gz").write_bytes(packed)

        assert lost(lines_in(tmp_path), range(len(LINES))) > 0

    def test_no_archive(self, tmp_path: Path) -> None:
        """
        An archive that is none holds no lines, and hides no other file.
        """
        (tmp_path / "a.gz").write_bytes(b"".join(LINES[:1]))
        (tmp_path / "b.log").write_bytes(b"".join(LINES[1:]))

        assert 1 == lost(lines_in(tmp_path), range(len(LINES)))


class TestTraffic:
    def test_numbers(self) -> None:
        """
        The lines are numbered from 0 on.
        """
        numbers = [json.loads(line)["context"]["number"] for line in LINES]

        assert list(range(len(LINES))) == numbers

    def test_size(self) -> None:
        """
        There are as many lines as it takes to reach the size.
        """
        assert sum(map(len, LINES[:-1])) < 20_000 <= sum(map(len, LINES))

    def test_same_for_all(self) -> None:
        """
        Every contender logs the same events.
        """
        assert traffic.event(42) == traffic.event(42)

    def test_begin_file(self, tmp_path: Path) -> None:
        """
        A file begins with whole lines, and it is told how many.
        """
        full, path = tmp_path / "full", tmp_path / "bench.log"
        full.write_bytes(b"".join(LINES))

        count = traffic.begin_file(path, full, len(b"".join(LINES[:3])) + 5)

        assert 3 == count
        assert b"".join(LINES[:3]) == path.read_bytes()


class TestContenders:
    def test_missing(self) -> None:
        """
        A peer that is not installed is known by its distribution.
        """
        peer = contenders.Contender(lambda _: print, ("pytest", "no-such-logger"))

        assert ["no-such-logger"] == peer.missing

    def test_missing_in_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A peer that is not installed is named in the table, not left out.
        """
        peer = contenders.Contender(lambda _: print, ("no-such-logger",))

        latency.print_table({"peer": peer}, ["p50 ms"], {})

        assert "missing: pip install no-such-logger  peer" in capsys.readouterr().out

    def test_sample(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A load logs one record to begin with, then one a call, and loses none.
        """
        monkeypatch.setitem(load.LOADS, "sample", (load.at_once, contenders.BUSY))

        load.main("sample", "chimera_log, keep_gil: never", str(tmp_path), "7")

        calls = json.loads((tmp_path / "calls.json").read_bytes())
        assert load.SAMPLE == len(calls)
        assert 0 == lost(lines_in(tmp_path / "logs"), range(7, 8 + len(calls)))


class TestShippers:
    def test_document(self) -> None:
        """
        A document has a logger of each name, and our options for our handlers alone.
        """
        made = shippers.document(
            [shippers.NULL, shippers.SPOOL], json=True, close_timeout=1
        )

        assert {shippers.NULL, shippers.SPOOL} == set(made["loggers"])
        handlers = made["handlers"]
        assert 1 == handlers[shippers.SPOOL]["close_timeout"]
        assert "close_timeout" not in handlers[shippers.NULL]

    @pytest.mark.long
    def test_small(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        All tables are printed, and ours loses nothing in any of them.
        """
        monkeypatch.setitem(
            shippers.SHIPPERS,
            shippers.PEER,
            shippers.Shipper({}, needs=("no-such-handler",)),
        )
        monkeypatch.delitem(shippers.SHIPPERS, shippers.SPOOL)  # for speed

        cloudwatch.cloudwatch(cloudwatch.Sizes(2, 20, 1, 50, 20, 0.001, 10, 2.0))

        rows = [line.rpartition("  ") for line in capsys.readouterr().out.splitlines()]
        ours = [cells.split() for cells, _, name in rows if name == shippers.OURS]
        assert [4, 5, 5, 6, 6, 6, 3, 6] == [len(cells) for cells in ours]
        lost = [cells[-1] for cells in ours[1:6]] + [ours[6][1]]
        assert ["0"] * 6 == lost

    def test_raising(self) -> None:
        """
        A child that fails is no row of a table: it ends the bench, with its words.
        """
        with (
            pytest.raises(RuntimeError, match="no-such-load"),
            cloudwatch._child({}, "no-such-load", "x") as child,
        ):
            child.answer()

    def test_too_late(self) -> None:
        """
        A child that takes too long is ended, and has no answer.
        """
        variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        load = {"count": 1, "every": 60.0}
        with cloudwatch._child(variables, "paced", shippers.NULL, **load) as child:
            assert "waiting" == child.answer()
            assert child.answer(0.01) is None


def test_unknown_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A table that does not exist is an error that names those that do.
    """
    monkeypatch.setattr("sys.argv", ["bench", "rotatoin"])

    with pytest.raises(SystemExit):
        bench.main()

    assert "no table rotatoin; use imports, record" in capsys.readouterr().err
