"""
Power cuts: what ``sync`` promises is on the disk, and a sealed file is whole.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from chimera_log.audit.verify import verify
from tests.integration.files_support import HANDLER, NAME
from tests.integration.power import TELL, Cut, cut_power
from tests.integration.test_files_crashes import start_again

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cutter = Callable[..., Cut]

INTERVAL = 0.1  # seconds, the default of sync_interval
ROTATING = 60_000  # bytes of a file; some seven of them fill in a second

# Writes lines by hand, and makes each one safe as the line before it says.
BY_HAND = f"""
fd = os.open({NAME!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
number = 0
while True:
    os.write(fd, b'{{"context":{{"number":%d}}}}\\n' % number)
    make_safe(fd)
    tell(number)
    number += 1
"""
# Some 1,500 records a second.
LOGGING = f"""{TELL}{HANDLER}
handler = handler_for(".", handler, sync=sync, maxBytes=max_bytes)
number = sealed = 0
while True:
    log(handler, 0, number)
    if number % 20 == 0:
        sealed = handler.statistics().sealed
    tell(number, sealed)
    number += 1
    time.sleep(0.0005)
"""

cuts = pytest.mark.parametrize(
    "number", [0, *(pytest.param(cut, marks=pytest.mark.long) for cut in range(1, 5))]
)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Cutter:
    """Return what cuts the power, once for all tests that ask for the same."""

    @cache
    def cut(
        sync: str, max_bytes: int, number: int, handler: str = "RotatingFileHandler"
    ) -> Cut:
        given = f"sync, max_bytes, handler = {sync!r}, {max_bytes}, {handler!r}\n"
        return cut_power(
            tmp_path_factory.mktemp("power"),
            given + LOGGING,
            seconds=0.9 + 0.13 * number,
            at_least=800,
        )

    return cut


class TestByHand:
    """The harness itself: it can tell a synced line from one that is not."""

    def test_each_line_synced(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """
        What was synced is on the disk.
        """
        script = f"{TELL}\nmake_safe = os.fdatasync\n{BY_HAND}"

        found = cut_power(tmp_path_factory.mktemp("power"), script, seconds=0.3)

        assert {} == found.lost()
        assert len(found.acknowledged) > 10

    def test_no_line_synced(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """
        What was only written is lost, though every process could read it.
        """
        script = f"{TELL}\nmake_safe = os.fstat\n{BY_HAND}"

        found = cut_power(tmp_path_factory.mktemp("power"), script, seconds=0.3)

        assert found.lost()
        assert len(found.acknowledged) <= found.written[NAME].count(b"\n")


class TestSync:
    @cuts
    def test_always(self, cut: Cutter, number: int) -> None:
        """
        No acknowledged record is lost.
        """
        assert {} == cut("always", ROTATING, number).lost()

    @cuts
    @pytest.mark.parametrize("max_bytes", [0, ROTATING], ids=["one file", "many"])
    def test_interval(self, cut: Cutter, max_bytes: int, number: int) -> None:
        """
        Lost is at most what was acknowledged within the interval.

        And what came while the disk was busy: one round syncs a full file, its
        folder and the active file, the next one may have been under way, and
        threads on a shared machine wake up late.
        """
        found = cut("interval", max_bytes, number)
        allowed = INTERVAL + 2 * 3 * found.longest_sync + 0.2

        lost = found.lost()

        assert found.stopped - min(lost.values(), default=found.stopped) <= allowed

    @cuts
    def test_never(self, cut: Cutter, number: int) -> None:
        """
        Nothing is synced: records are lost that the other policies keep.
        """
        assert cut("never", ROTATING, number).lost()

    @cuts
    @pytest.mark.parametrize("sync", ["always", "interval", "rotate"])
    def test_sealed(self, cut: Cutter, sync: str, number: int) -> None:
        """
        A sealed file is on the disk under its name, to the last byte.
        """
        found = cut(sync, ROTATING, number)
        sealed = found.sealed_names()

        assert len(sealed) > 1
        assert {name: found.written[name] for name in sealed} == {
            name: found.left.get(name) for name in sealed
        }

    @cuts
    @pytest.mark.parametrize("sync", ["always", "interval", "rotate"])
    def test_torn(self, cut: Cutter, sync: str, number: int) -> None:
        """
        Only the active file, or one that was about to be sealed, may be torn.
        """
        found = cut(sync, ROTATING, number)

        assert set() == found.torn() & set(found.sealed_names())


class TestTrail:
    @cuts
    @pytest.mark.parametrize("sync", ["always", "interval"])
    def test_whole(self, cut: Cutter, tmp_path: Path, sync: str, number: int) -> None:
        """
        What is left of a trail is a chain without a hole, and goes on at its end.
        """
        found = cut(sync, ROTATING, number, "AuditFileHandler")
        for name, content in found.left.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

        start_again(tmp_path, 1, {"handler": "AuditFileHandler"})

        assert verify(str(tmp_path / NAME)).bad is None
        assert len(found.sealed_names()) > 1
        if sync == "always":
            assert {} == found.lost()
