"""
What may be deleted of a trail: nothing that is younger than its floor.
"""

from __future__ import annotations

from collections import namedtuple
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from chimera_log.audit.chain import Link
from chimera_log.audit.manifest import (
    STATES,
    Copy,
    Manifest,
    Restored,
    Sealed,
    Tombstone,
)
from chimera_log.audit.retain import (
    DAY,
    MAX_DISTANCE,
    MAX_SILENCE,
    Active,
    After,
    Segment,
    Step,
    TrailClock,
    Verdict,
    keep_until,
    may_delete,
    plan,
    see_all,
)
from chimera_log.files.names import segment_name, time_of_line
from chimera_log.record import Clock
from tests.logs import FIRST

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "executions.log"
CHAIN = "c0ffee00" * 4
FLOOR = 30  # days
LAST = FIRST + 0.136873  # of the segment that is asked about
OLD = FLOOR * DAY + MAX_SILENCE  # seconds that the trail has to live on
NOW = LAST + OLD
SEALED = Sealed(
    v=1,
    segment=segment_name(NAME, FIRST, 1),
    number=1,
    chain=CHAIN,
    first_seq=1,
    last_seq=9,
    lines=9,
    bytes=4_500,
    sha256="5e" * 32,
    head="4e" * 32,
    first_time="2025-10-27T08:00:00.000000Z",
    last_time="2025-10-27T08:38:00.136873Z",
    elapsed=0.0,
    latest=FIRST,
    retention_floor_days=FLOOR,
    previous=None,
)
AFTER = After(lived=OLD, newest=NOW, floor_days=0, count=0, trouble=None)
COPY = Copy("done", "s3://evidence/1", "5e" * 32, 900, "v.1", True, 0)
TOMBSTONE = Tombstone(FIRST, "30 days old", "chimera-log prune")


def verdict(
    now: float = NOW,
    *,
    copy: Copy | None = None,
    tombstone: Tombstone | None = None,
    after: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    **sealed: Any,
) -> Verdict:
    """Return the verdict on a segment that is just old enough, but for what is given."""
    manifest = Manifest(SEALED._replace(**sealed), copy, tombstone)
    return may_delete(manifest, AFTER._replace(**after or {}), now, **asked or {})


class TestTrailClock:
    @pytest.mark.parametrize(
        ("moments", "elapsed", "latest"),
        [
            ([], 0, None),
            ([None], 0, None),
            ([5], 0, 5),
            ([5, 7, 7, 10], 5, 10),
            ([5, None, 7], 2, 7),
            ([0, MAX_SILENCE], MAX_SILENCE, MAX_SILENCE),
            ([0, MAX_SILENCE + 1], 0, MAX_SILENCE + 1),
            # Set back a little: what it had told already does not count again.
            ([10, 8, 9, 12], 2, 12),
            ([MAX_SILENCE, 0, 5, MAX_SILENCE + 1], 1, MAX_SILENCE + 1),
            # Set back far: it had been wrong, and now goes on from here.
            ([MAX_SILENCE + 1, 0, 5], 5, 5),
            # Ten years ahead, and back.
            ([0, 10, 3650 * DAY, 3650 * DAY + 5, 20, 25], 20, 25),
        ],
    )
    def test_steps(
        self, moments: list[float | None], elapsed: float, latest: float | None
    ) -> None:
        """
        Steps forward of up to a week add up; no other step counts.
        """
        clock = see_all(TrailClock(), moments)

        assert (elapsed, latest) == (clock.elapsed, clock.latest)

    def test_goes_on(self) -> None:
        """
        It goes on from the latest time that another one saw, and counts its own.
        """
        first = see_all(TrailClock(), [0, 10])
        second = see_all(TrailClock(first.latest), [15, 16])

        assert (10, 6) == (first.elapsed, second.elapsed)


class TestOld:
    def test_old_enough(self) -> None:
        """
        It may go when the trail went on for its floor and a week, not a second before.
        """
        assert Verdict(True, "37 days old; 30 have to be kept") == verdict()
        assert Verdict(False, "the trail went on for 37 of 37 days since") == verdict(
            after={"lived": OLD - 1}
        )

    def test_own_time(self) -> None:
        """
        Its own last record has to be that long ago as well, to the microsecond.
        """
        now = LAST + FLOOR * DAY

        assert verdict(now, after={"newest": now}).may_go
        assert (
            Verdict(
                False,
                "its last record, of 2025-10-27T08:38:00.136873Z, is not 30 days ago",
            )
        ) == verdict(now - 0.001, after={"newest": now})

    @pytest.mark.parametrize("last_time", [None, "yesterday", "\ud800"])
    def test_tells_no_time(self, last_time: str | None) -> None:
        """
        Where it tells no time, its age is what the trail lived on.
        """
        assert verdict(last_time=last_time).may_go
        assert not verdict(last_time=last_time, after={"lived": OLD - 1}).may_go

    @pytest.mark.parametrize(
        ("last_time", "fraction"),
        [
            ("2025-10-27T08:38:00.nan000Z", 0),
            ("2025-10-27T08:38:00Z", 0),
            ("2025-10-27 08:38:00,136", 0.136),
        ],
    )
    def test_another_clock(self, last_time: str, fraction: float) -> None:
        """
        A time from before the trail counts with the digits that it has.
        """
        now = FIRST + fraction + FLOOR * DAY

        assert verdict(now, last_time=last_time, after={"newest": now}).may_go
        early = verdict(now - 0.001, last_time=last_time, after={"newest": now})
        assert not early.may_go

    @pytest.mark.parametrize(
        ("promised", "later", "days"),
        [(60, 0, 60), (30, 60, 60), (60, 30, 60), (0, 0, 1), (-5, 0.5, 1)],
    )
    def test_largest_floor(self, promised: float, later: float, days: float) -> None:
        """
        The largest floor that was promised, to it or since, holds; never under a day.
        """
        enough = days * DAY + MAX_SILENCE
        now = LAST + enough

        for lived, may_go in ((enough, True), (enough - 1, False)):
            after = {"lived": lived, "floor_days": later, "newest": now}
            found = verdict(now, retention_floor_days=promised, after=after)
            assert may_go == found.may_go

    @pytest.mark.parametrize(
        ("copy", "may_go"),
        [
            (None, False),
            (COPY._replace(is_verified=False), False),
            (COPY, True),
        ],
    )
    def test_archiving(self, copy: Copy | None, may_go: bool) -> None:
        """
        Where there are copies, its own is verified; locked it need not be any more.
        """
        found = verdict(copy=copy, asked={"is_archiving": True})

        assert may_go == found.may_go
        assert may_go == ("no verified copy" not in found.why)
        assert verdict(copy=copy).may_go

    def test_unknown(self) -> None:
        """
        What is not known of the trail after it counts as too short.
        """
        assert Verdict(False, "damaged") == verdict(after={"trouble": "damaged"})

    def test_begun(self) -> None:
        """
        What a tombstone says was begun, and may be finished, whatever else is known.
        """
        after = {"trouble": "damaged", "lived": 0, "newest": None}
        found = verdict(0.0, tombstone=TOMBSTONE, after=after)

        assert Verdict(True, "its removal was begun: 30 days old") == found

    @pytest.mark.parametrize("tombstone", [None, TOMBSTONE])
    def test_restored(self, tombstone: Tombstone | None) -> None:
        """
        What was brought back stays for as long as was asked for, and no longer.
        """
        restored = Restored(NOW - DAY, NOW + 1, "chimera-log archive")
        manifest = Manifest(SEALED, None, tombstone, restored)

        expected = Verdict(False, "restored, to stay until 2025-12-03T08:38:01Z")
        assert expected == may_delete(manifest, AFTER, NOW)
        assert may_delete(manifest, AFTER._replace(newest=NOW + 1), NOW + 1.2).may_go


class TestClock:
    @pytest.mark.parametrize("distance", [-MAX_DISTANCE, 0, MAX_DISTANCE])
    def test_within_a_day(self, distance: float) -> None:
        """
        The time is believed within a day of the newest record.
        """
        assert verdict(after={"newest": NOW + distance}).may_go

    @pytest.mark.parametrize("distance", [-MAX_DISTANCE - 1, MAX_DISTANCE + 1])
    def test_further_away(self, distance: float) -> None:
        """
        Further away, earlier or later, an operator has to say that it is right.
        """
        after = {"newest": NOW + distance}
        found = verdict(after=after)

        assert not found.may_go
        assert "it says 2025-12-03T08:38:00Z, and the newest record 2025-12-0" in (
            found.why
        )
        assert verdict(after=after, asked={"confirmed": True}).may_go

    def test_no_time(self) -> None:
        """
        So he has if no record tells a time.
        """
        after = {"newest": None}

        assert "which no record tells" in verdict(after=after).why
        assert not verdict(after=after).may_go
        assert verdict(after=after, asked={"confirmed": True}).may_go

    def test_not_asked_in_vain(self) -> None:
        """
        Nobody is asked about a clock that would change nothing.
        """
        found = verdict(NOW + 90 * DAY, after={"lived": 0})

        assert "the trail went on for 0 of 37 days since" == found.why

    def test_confirming_makes_nothing_older(self) -> None:
        """
        An operator who is wrong by ten years deletes nothing that is young.
        """
        found = verdict(
            NOW + 3650 * DAY, after={"lived": OLD - 1}, asked={"confirmed": True}
        )

        assert not found.may_go


class TestMoved:
    """A segment that ended twelve days ago, with ten newer ones, is asked about."""

    def asked(
        self, copy: Copy | None, now: float = LAST + 12 * DAY, **more: Any
    ) -> Verdict:
        """Return the verdict on it."""
        after = {"lived": 12 * DAY, "count": 10, "newest": now, **more.pop("after", {})}
        more.setdefault("asked", {"backup_count": 10})
        return verdict(now, copy=copy, after=after, **more)

    def test_locked_until_the_floor(self) -> None:
        """
        It may go if its copy is locked until it is old enough, not a second less.
        """
        until = LAST + FLOOR * DAY
        copy = COPY._replace(locked_until=until)

        assert (
            Verdict(
                True,
                "moved: s3://evidence/1, version v.1, is locked until "
                "2025-11-26T08:38:00Z",
            )
        ) == self.asked(copy)
        assert (
            Verdict(
                False,
                "it is young, and s3://evidence/1, version v.1, is locked until "
                "2025-11-26T08:37:59Z only, not 2025-11-26T08:38:00Z",
            )
        ) == self.asked(copy._replace(locked_until=until - 1))

    @pytest.mark.parametrize(
        "copy",
        [
            None,
            COPY._replace(locked_until=1e18, is_verified=False),
            COPY._replace(locked_until=1e18, version_id=None),
            COPY._replace(locked_until=1e18, version_id=""),
        ],
    )
    def test_no_such_copy(self, copy: Copy | None) -> None:
        """
        A copy counts if it is verified, by version.
        """
        assert (
            Verdict(False, "it is young, and no version of a copy is verified")
        ) == self.asked(copy)

    def test_few_segments(self) -> None:
        """
        It stays while there are no more newer ones than are kept, or no limit.
        """
        copy = COPY._replace(locked_until=1e18)

        for asked in ({"backup_count": 11}, {}):
            assert (
                Verdict(False, "the trail went on for 12 of 37 days since")
            ) == self.asked(copy, asked=asked)

    def test_tells_no_time(self) -> None:
        """
        Of a segment that tells no time, nobody knows until when it has to be locked.
        """
        copy = COPY._replace(locked_until=1e18)

        assert (
            Verdict(False, "it is young, and its last record tells no time")
        ) == self.asked(copy, last_time=None)

    def test_later_floor(self) -> None:
        """
        A larger floor that was promised since holds for the lock as well.
        """
        copy = COPY._replace(locked_until=LAST + FLOOR * DAY)

        assert not self.asked(copy, after={"floor_days": FLOOR + 1}).may_go

    def test_clock_was_behind(self) -> None:
        """
        A record that claims to be older than the trail's life since needs a longer lock.
        """
        now = LAST + 3650 * DAY
        claimed, until = LAST + FLOOR * DAY, now - 12 * DAY + FLOOR * DAY

        for locked, may_go in ((claimed, False), (until - 2, False), (until, True)):
            assert may_go == self.asked(COPY._replace(locked_until=locked), now).may_go

    def test_doubtful_clock(self) -> None:
        """
        Nothing is moved either while the clock is in doubt.
        """
        copy = COPY._replace(locked_until=1e18)
        after = {"newest": LAST + 20 * DAY}

        assert not self.asked(copy, after=after).may_go
        asked = {"backup_count": 10, "confirmed": True}
        assert self.asked(copy, after=after, asked=asked).may_go


class TestKeepUntil:
    def test_last_or_latest(self) -> None:
        """
        The floor counts from the last record, or from the latest before it.
        """
        late = SEALED._replace(latest=FIRST + 5)
        unknown = SEALED._replace(latest=None)

        assert LAST + FLOOR * DAY == keep_until(SEALED, FLOOR)
        assert LAST + FLOOR * DAY == keep_until(unknown, FLOOR)
        assert FIRST + 5 + FLOOR * DAY == keep_until(late, FLOOR)
        assert LAST + DAY == keep_until(SEALED, 0)

    def test_no_time(self) -> None:
        """
        Without a time there is no date.
        """
        assert keep_until(SEALED._replace(last_time=None), FLOOR) is None


def numbered(number: int, **changes: Any) -> Segment:
    """Return a segment of nine records, in which the trail lived for *FLOOR* days."""
    sealed = SEALED._replace(
        segment=segment_name(NAME, FIRST, number),
        number=number,
        first_seq=9 * number - 8,
        last_seq=9 * number,
        elapsed=float(FLOOR * DAY),
    )
    more = {
        name: changes.pop(name) for name in ("copy", "tombstone") if name in changes
    }
    return Segment(sealed.segment, Manifest(sealed._replace(**changes), **more), None)


def active(seq: int, newest: float | None = NOW, **changes: Any) -> Active:
    """Return an active file that begins with record *seq*."""
    link = Link(CHAIN, seq, None, "0" * 64, "0" * 64)
    return Active(link, 0.0, newest)._replace(**changes)


def may_go(steps: list[Step]) -> list[bool]:
    """Return which of *steps* may be done."""
    return [step.verdict.may_go for step in steps]


class TestPlan:
    def test_nothing(self) -> None:
        """
        Without full segments there is nothing to say.
        """
        assert [] == plan([], active(1), NOW)

    def test_later_life(self) -> None:
        """
        A segment's age is the trail's life in those after it, and in the active file.
        """
        segments = [numbered(1), numbered(2), numbered(3)]

        assert [True, False, False] == may_go(plan(segments, active(28), NOW))
        for lived, expected in ((MAX_SILENCE, True), (MAX_SILENCE - 1, False)):
            steps = plan(segments, active(28, elapsed=lived), NOW)
            assert [True, expected, False] == may_go(steps)

    def test_says_what_it_is_about(self) -> None:
        """
        Each step names the segment, and has its manifest.
        """
        segment = numbered(1)
        (step,) = plan([segment], active(10, elapsed=OLD), NOW)

        assert (segment.name, segment.manifest) == step[:2]

    def test_life_of_its_own(self) -> None:
        """
        The time that a segment itself spans makes it no older.
        """
        steps = plan([numbered(1, elapsed=9 * OLD)], active(10), NOW)

        assert "the trail went on for 0 of 37 days since" == steps[0].verdict.why

    def test_less_than_nothing(self) -> None:
        """
        No life is negative, whatever a manifest says.
        """
        segments = [numbered(1), numbered(2), numbered(3, elapsed=-1e9)]

        assert [False] * 3 == may_go(plan(segments, active(28), NOW))
        segments.append(numbered(4, elapsed=OLD))
        assert [True] * 3 + [False] == may_go(plan(segments, active(37), NOW))

    def test_floor_lowered(self) -> None:
        """
        A lower floor in later manifests does not lower those before; a larger holds.
        """
        old = active(19, elapsed=OLD)
        lowered = [
            numbered(1, retention_floor_days=10_000),
            numbered(2, retention_floor_days=1),
        ]
        raised = [numbered(1), numbered(2, retention_floor_days=10_000)]

        assert [False, False] == may_go(plan(lowered, old, NOW))
        assert [False, False] == may_go(plan(raised, old, NOW))

    @pytest.mark.parametrize("unknown", [0, 1, 2])
    @pytest.mark.parametrize(
        ("trouble", "why"),
        [(None, "it has no manifest"), ("no manifest: KeyError", "KeyError")],
    )
    def test_unknown_segment(self, unknown: int, trouble: str | None, why: str) -> None:
        """
        No segment goes whose manifest, or a later one's, is missing or damaged.
        """
        segments = [numbered(number) for number in (1, 2, 3)]
        name = segments[unknown].name
        segments[unknown] = Segment(name, None, trouble)
        found = plan(segments, active(28, elapsed=OLD), NOW)

        assert [False] * 3 == may_go(found)
        for step in found[: unknown + 1]:
            assert step.verdict.why.startswith(f"{name}: ")
            assert why in step.verdict.why
        for step in found[unknown + 1 :]:
            assert "stays, which is older" in step.verdict.why or step == found[-1]

    @pytest.mark.parametrize(
        "change",
        [
            {"last_seq": 17},
            {"last_seq": 19},
            {"chain": "0" * 32},
            {"chain": None},
            {"first_seq": 11},
            {"first_seq": 1},
        ],
    )
    def test_gap(self, change: dict[str, Any]) -> None:
        """
        Where numbers do not follow on, a part of the trail is not known.
        """
        segments = [numbered(1), numbered(2, **change), numbered(3)]
        found = plan(segments, active(28, elapsed=OLD), NOW)

        assert [False] * 3 == may_go(found)
        assert "does not follow on; chimera-log verify" in found[0].verdict.why

    @pytest.mark.parametrize("seq", [1, 27, 29])
    def test_gap_before_the_active_file(self, seq: int) -> None:
        """
        So it is between the last segment and the active file.
        """
        segments = [numbered(1), numbered(2), numbered(3)]

        assert [False] * 3 == may_go(plan(segments, active(seq, elapsed=OLD), NOW))

    def test_nothing_chained_yet(self) -> None:
        """
        An active file without a chained line follows on whatever is before it.
        """
        segments = [numbered(1), numbered(2), numbered(3)]
        steps = plan(segments, active(1, link=None), NOW)

        assert [True, False, False] == may_go(steps)

    def test_oldest_are_gone(self) -> None:
        """
        That those before are gone, with their manifests or without, changes nothing.
        """
        pruned = numbered(1, tombstone=TOMBSTONE)._replace(is_there=False)
        left = [numbered(2), numbered(3), numbered(4)]
        now = active(37)

        assert [True, False, False] == may_go(plan(left, now, NOW))
        assert plan(left, now, NOW) == plan([pruned, *left], now, NOW)

    def test_file_missing(self) -> None:
        """
        A file that somebody took away is no step; its manifest counts all the same.
        """
        segments = [numbered(1), numbered(2)._replace(is_there=False), numbered(3)]
        found = plan(segments, active(28, elapsed=MAX_SILENCE), NOW)

        assert [segments[0].name, segments[2].name] == [step.name for step in found]
        assert [True, False] == may_go(found)

    def test_before_the_trail(self) -> None:
        """
        Files from before there was a chain go first, and are as old as it is.
        """
        unchained = {"chain": None, "first_seq": 0, "last_seq": 0, "elapsed": 9.0 * OLD}
        chained = {"first_seq": 1, "last_seq": 9, "elapsed": float(DAY)}
        before = [numbered(1, **unchained), numbered(2, **unchained)]

        for lived, expected in ((OLD - DAY, True), (OLD - DAY - 1, False)):
            segments = [*before, numbered(3, **chained)]
            found = plan(segments, active(10, elapsed=lived), NOW)
            assert [expected, expected, False] == may_go(found)
        assert [False, False] == may_go(plan(before, active(1), NOW))
        assert [False, False] == may_go(plan(before, active(2, elapsed=OLD), NOW))

    def test_newest_record(self) -> None:
        """
        Without a time in the active file the newest segment's that tells one counts.
        """
        untimed = numbered(3, last_time=None)
        segments = [numbered(1), numbered(2), untimed, Segment("x", None, None, False)]
        quiet = active(28, elapsed=OLD, newest=None)

        for each in (segments[:2], segments[:3]):
            first = len(each) * 9 + 1
            now = active(first, elapsed=OLD, newest=None)
            assert may_go(plan(each, now, NOW)) == [False] * len(each)
            assert may_go(plan(each, now, NOW, confirmed=True)) == [True] * len(each)
            assert "the newest record 2025-10-27T08:38:00Z" in (
                plan(each, now, NOW)[0].verdict.why
            )
        assert "x: it has no manifest" == plan(segments, quiet, NOW)[0].verdict.why
        (step,) = plan(
            [numbered(1, last_time=None)], active(10, None, elapsed=OLD), NOW
        )
        assert "which no record tells" in step.verdict.why

    def test_archiving(self) -> None:
        """
        One copy of any segment means that there are copies of all.
        """
        old = active(19, elapsed=OLD)
        plain = [numbered(1), numbered(2)]
        copied = [numbered(1), numbered(2, copy=COPY)]

        assert [True, True] == may_go(plan(plain, old, NOW))
        assert [False, False] == may_go(plan(plain, old, NOW, is_archiving=True))
        assert [False, False] == may_go(plan(copied, old, NOW))
        assert [True, True] == may_go(plan(copied[1:] * 1, old, NOW) * 2)

    def test_backup_count(self) -> None:
        """
        Those beyond the newest *backup_count* that stand may be moved.
        """
        locked = COPY._replace(locked_until=1e18)
        segments = [
            numbered(number, elapsed=60.0, copy=locked) for number in range(1, 7)
        ]
        segments[4] = segments[4]._replace(is_there=False)
        now = active(55)

        for count, expected in ((5, 0), (4, 1), (1, 4), (0, 5)):
            found = plan(segments, now, NOW, backup_count=count)
            assert [True] * expected + [False] * (5 - expected) == may_go(found)
        assert [False] * 5 == may_go(plan(segments, now, NOW))

    def test_none_before_an_older_one(self) -> None:
        """
        What stays keeps all that came after it.
        """
        locked = COPY._replace(locked_until=1e18)
        segments = [
            numbered(1, elapsed=60.0),
            numbered(2, elapsed=60.0, copy=locked),
            numbered(3, elapsed=60.0),
        ]
        found = plan(segments, active(28), NOW, backup_count=1)

        assert [False] * 3 == may_go(found)
        assert f"{segments[0].name} stays, which is older" == found[1].verdict.why


class TestRestored:
    """Two old segments; the first one had gone, and was brought back for a while."""

    def goes(self, tombstone: Tombstone | None) -> list[bool]:
        """Return which of them may go, if the first one has that tombstone."""
        first, second = numbered(1), numbered(2)
        restored = Restored(NOW, NOW + DAY, "chimera-log archive")
        manifest = Manifest(first.manifest.sealed, None, tombstone, restored)
        segments = [first._replace(manifest=manifest), second]
        return may_go(plan(segments, active(19, elapsed=OLD), NOW))

    def test_had_gone(self) -> None:
        """
        It keeps none that came after it: evidence goes in the order in which it came,
        and it had gone before.
        """
        assert [False, True] == self.goes(TOMBSTONE)

    def test_had_not_gone(self) -> None:
        """
        One that was never said to have gone keeps those that came after it.
        """
        assert [False, False] == self.goes(None)


# A trail that was simulated: its segments, its active file, and for each segment when
# its last record was truly written and what the clock was wrong by then.
History = namedtuple("History", ["segments", "active", "truth", "now", "wrong_by"])

YEAR = 365 * DAY
FAR = MAX_SILENCE + DAY  # two such errors are never a week or less apart
FLOORS = st.integers(1, 40)
GAPS = st.one_of(
    st.sampled_from([0, 1, 2 * DAY, MAX_SILENCE, MAX_SILENCE + 1]),
    st.integers(DAY, MAX_SILENCE),
    st.integers(DAY, MAX_SILENCE),
    st.integers(0, 40 * DAY),
)
ANY_ERROR = st.one_of(
    st.just(0), st.integers(-10 * YEAR, 10 * YEAR), st.integers(-9 * DAY, 9 * DAY)
)
FAR_ERROR = st.just(0) | st.integers(-10 * YEAR // FAR, 10 * YEAR // FAR).map(
    FAR.__mul__
)

SINCE = st.floats(0, DAY) | st.floats(0, YEAR)


def trails(
    errors: st.SearchStrategy[int], gaps: st.SearchStrategy[int] = GAPS
) -> st.SearchStrategy[list[tuple[int, int]]]:
    """
    Return records for `history`: what the clock is wrong by changes now and then.

    Args:
        errors: What it is wrong by.
        gaps: True seconds between two records.
    """

    def record(
        so_far: list[tuple[int, int]], each: tuple[int, int | None]
    ) -> list[tuple[int, int]]:
        gap, error = each
        before = so_far[-1][1] if so_far else 0
        return [*so_far, (gap, before if error is None else error)]

    changes = st.one_of([st.none()] * 9 + [errors])
    return st.lists(st.tuples(gaps, changes), min_size=16, max_size=30).map(
        lambda drawn: reduce(record, drawn, [])
    )


def told(moment: float) -> str:
    """Return a time as a line tells it."""
    return Clock().timestamp(moment)


def history(
    records: Iterable[tuple[float, float]],
    floor: float,
    *,
    size: int = 2,
    since: float = 0.0,
    wrong_now: float | None = None,
    copies: Iterable[Copy | None] = (),
) -> History:
    """
    Return the history of a trail.

    Args:
        records: Of each one the true seconds since the one before, and what the
            clock was wrong by.
        floor: Days that its manifests promise.
        size: Records in a segment.
        since: True seconds since the last record.
        wrong_now: What the clock is wrong by now; as it was then by default.
        copies: Of its segments.
    """
    moment, wrong = FIRST + 20 * YEAR, 0.0
    lines: list[tuple[float, float]] = []
    segments: list[Segment] = []
    truth: list[tuple[float, float]] = []
    clock, copy = TrailClock(), iter(copies)
    for gap, error in records:
        if len(lines) == size:
            number, (last, last_wrong) = len(segments) + 1, lines[-1]
            name = segment_name(NAME, FIRST, number)
            sealed = SEALED._replace(
                segment=name,
                number=number,
                first_seq=size * number - size + 1,
                last_seq=size * number,
                last_time=told(last + last_wrong),
                elapsed=clock.elapsed,
                latest=clock.latest,
                retention_floor_days=floor,
            )
            segments.append(Segment(name, Manifest(sealed, next(copy, None))))
            truth.append((last, last_wrong))
            clock, lines = TrailClock(clock.latest), []
        moment, wrong = moment + gap, error
        lines.append((moment, wrong))
        clock.see(time_of_line(told(moment + wrong).encode()))
    file = active(
        size * len(segments) + 1,
        time_of_line(told(moment + wrong).encode()),
        elapsed=clock.elapsed,
    )
    now = moment + since
    return History(
        segments, file, truth, now, wrong if wrong_now is None else wrong_now
    )


def judged(found: History, **asked: Any) -> list[tuple[Step, float, float]]:
    """Return each step, its true age, and what the clock went wrong by since."""
    steps = plan(found.segments, found.active, found.now + found.wrong_by, **asked)
    return [
        (step, found.now - last, found.wrong_by - wrong)
        for step, (last, wrong) in zip(steps, found.truth, strict=True)
    ]


@given(
    trails(FAR_ERROR),
    FLOORS,
    SINCE,
    st.none() | FAR_ERROR,
    st.booleans(),
)
@example([(DAY, 0)] * 30 + [(DAY, 10 * YEAR)], 5, 0.0, None, True)
@example([(DAY, 10 * YEAR)] * 9 + [(DAY, 0)] * 20, 5, 0.0, 10 * YEAR, True)
def test_no_young_record_goes(
    records: list[tuple[float, float]],
    floor: int,
    since: float,
    wrong_now: float | None,
    confirmed: bool,
) -> None:
    """
    However often a clock jumps, by weeks or years, nothing goes before it is old.

    Neither a silence, nor the time that an operator confirms, changes that.
    """
    found = history(records, floor, since=since, wrong_now=wrong_now)

    for step, age, _ in judged(found, confirmed=confirmed):
        event(f"may go: {step.verdict.may_go}")
        assert not step.verdict.may_go or age >= floor * DAY + MAX_SILENCE


@given(
    trails(ANY_ERROR),
    FLOORS,
    SINCE,
    st.none() | ANY_ERROR,
    st.booleans(),
)
@example([(0, 0)] * 2 + [(0, DAY * 7 * each) for each in range(9)], 60, 0.0, None, True)
def test_how_wrong_it_can_be(
    records: list[tuple[float, float]],
    floor: int,
    since: float,
    wrong_now: float | None,
    confirmed: bool,
) -> None:
    """
    Nothing goes early by more than all that its clock was set ahead, less a week.

    At most a week of each time counts.  Nor does anything go early by more than the
    clock is ahead now, compared with when it was written.
    """
    found = history(records, floor, since=since, wrong_now=wrong_now)
    errors = [error for _, error in records]

    for number, (step, age, ahead) in enumerate(judged(found, confirmed=confirmed)):
        after = errors[2 * number + 1 :]
        steps = [now - before for before, now in pairwise(after)]
        set_ahead = sum(min(max(each, 0), MAX_SILENCE) for each in steps)
        early = floor * DAY - age
        assert not step.verdict.may_go or early <= set_ahead - MAX_SILENCE
        assert not step.verdict.may_go or early <= max(ahead, 0) + 1e-3


@given(
    st.lists(GAPS, min_size=9, max_size=30),
    st.integers(0, 8),
    st.integers(-10 * YEAR, 10 * YEAR),
    FLOORS,
)
def test_set_once(gaps: list[float], at: int, error: float, floor: int) -> None:
    """
    A clock that is set once, by whatever time, lets nothing go early.
    """
    records = [(gap, 0 if number < at else error) for number, gap in enumerate(gaps)]

    for step, age, _ in judged(history(records, floor)):
        assert not step.verdict.may_go or age >= floor * DAY


class TestLimitOfKnowledge:
    """A steady trail of a record a day; what was written first is asked about."""

    def goes_at(self, ahead: list[float]) -> int:
        """
        Return the true age, in days, at which a segment goes.

        Args:
            ahead: Seconds that the clock is set ahead, each time after a record.
        """
        errors = [sum(ahead[:count]) for count in range(1, len(ahead) + 1)]
        records = [(0.0, 0.0)] * 2 + [(0.0, error) for error in errors]
        for days in range(FLOOR + 20):
            after = [(DAY, sum(ahead))] * days
            found = history([*records, *after], FLOOR)
            step, age, _ = judged(found)[0]
            if step.verdict.may_go:
                assert days * DAY == age
                return days
        return 0

    def test_right_clock(self) -> None:
        """
        With a right clock it goes a week after it reached its floor.
        """
        assert FLOOR + 7 == self.goes_at([0])

    def test_believed(self) -> None:
        """
        A clock that is set ahead by up to a week is believed, once to no harm.
        """
        assert FLOOR == self.goes_at([MAX_SILENCE])
        assert FLOOR - 7 == self.goes_at([MAX_SILENCE, MAX_SILENCE])

    def test_not_believed(self) -> None:
        """
        By a second more, it is not.
        """
        assert FLOOR + 7 == self.goes_at([MAX_SILENCE + 1])
        assert FLOOR + 7 == self.goes_at([MAX_SILENCE + 1, MAX_SILENCE + 1])


@given(
    st.lists(st.integers(0, MAX_SILENCE), min_size=3, max_size=30),
    ANY_ERROR,
    FLOORS,
    st.integers(0, MAX_DISTANCE),
)
def test_old_records_go(
    gaps: list[float], error: float, floor: int, since: float
) -> None:
    """
    A trail that goes on, by a clock that is steady, right or wrong, is pruned in time.
    """
    records = [(gap, error) for gap in gaps]

    for number, (step, age, _) in enumerate(
        judged(history(records, floor, since=since))
    ):
        lived = age - since
        assert (lived >= floor * DAY + MAX_SILENCE) == step.verdict.may_go, number


COPIES = st.builds(
    Copy,
    st.sampled_from(STATES),
    st.just("s3://evidence"),
    st.just("5e" * 32),
    st.just(900),
    st.sampled_from(["v.1", "v.1", None]),
    st.sampled_from([True, True, False]),
    st.integers(0, 80).map(lambda days: FIRST + 20 * YEAR + days * DAY)
    | st.just(FIRST + 99 * YEAR),
)


@given(
    trails(FAR_ERROR, st.integers(0, 2 * DAY)),
    FLOORS,
    st.lists(st.none() | COPIES, max_size=20),
    st.floats(0, DAY),
    st.booleans(),
)
@example(  # locked for as long as its record claims, by a clock that was behind
    [(DAY, -FAR)] * 2 + [(DAY, 0)] * 6,
    30,
    [COPY._replace(locked_until=FIRST + 20 * YEAR + 2 * DAY - FAR + 30 * DAY)] * 3,
    0.0,
    False,
)
def test_younger_ones_are_moved_only(
    records: list[tuple[float, float]],
    floor: int,
    copies: list[Copy | None],
    since: float,
    confirmed: bool,
) -> None:
    """
    Fifty segments, then one: what is young goes from here if it is locked elsewhere.

    The lock lasts until the record is truly old enough, unless the clock is behind
    both when it was written and now.  The newest ones always stay.
    """
    found = history(records, floor, copies=copies, since=since, wrong_now=0)
    for backup_count in (50, 1):
        steps = judged(found, backup_count=backup_count, confirmed=confirmed)
        goes = [step.verdict.may_go for step, _, _ in steps]
        assert sorted(goes, reverse=True) == goes
        for place, (step, age, _) in enumerate(steps):
            if age >= floor * DAY or not step.verdict.may_go:
                continue
            copy = step.manifest.copy
            event("moved")
            assert copy.is_verified
            assert copy.version_id
            assert copy.locked_until >= found.now - age + floor * DAY - 1
            assert place < len(steps) - backup_count


@given(
    trails(FAR_ERROR),
    st.data(),
)
def test_tampered_with(records: list[tuple[float, float]], data: st.DataObject) -> None:
    """
    Segments and manifests that are lost, or renamed, let nothing go that is young.
    """
    found = history(records, FLOOR)
    truth = {
        segment.name: last
        for segment, (last, _) in zip(found.segments, found.truth, strict=True)
    }
    count = st.integers(0, len(found.segments) - 1)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(count)
        segment = found.segments[at]
        found.segments[at] = data.draw(
            st.sampled_from(
                [
                    segment._replace(is_there=False),
                    segment._replace(manifest=None),
                    found.segments[data.draw(count)]._replace(name=segment.name),
                ]
            )
        )
    steps = plan(found.segments, found.active, found.now + found.wrong_by)

    for step in steps:
        # What a name holds, prune sees from its content; here its manifest tells.
        if step.verdict.may_go:
            assert found.now - truth[step.manifest.sealed.segment] >= FLOOR * DAY
