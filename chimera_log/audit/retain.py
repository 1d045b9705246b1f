"""
What may be deleted of an audit trail, and when: the one answer to that question.

Nothing younger than its floor goes, whatever the configuration, the number of
files, or the clock says.  So age is not the difference of two clocks.  It is how
long the trail itself went on afterwards: the steps from record to record, added
up, of which one that is longer than `MAX_SILENCE` counts for nothing, since a
clock that was set looks just like it.  A clock that jumps ten years ahead makes
nothing older; a service that rested for a month keeps its evidence a month longer.

There is a limit to what records can tell.  A step of less than `MAX_SILENCE` is
believed, so a clock that is set ahead by less makes all that was written before
look older by as much.  Therefore the trail has to outlive the floor by another
`MAX_SILENCE`: one such error, of whatever size, or many that together are no
longer, let nothing go early.  Only a clock that was set ahead several times, by
days each time, could, and only if the records' own times are that far behind the
time of the deletion as well, which they are asked about besides.

Pure: told what the manifests say and what time it is; nothing is looked up, and
nothing is deleted here.
"""

from __future__ import annotations

from collections import namedtuple

from chimera_log.files import names
from chimera_log.record import Clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chimera_log.audit.manifest import Copy, Manifest, Sealed


DAY = 24 * 60 * 60  # seconds
MAX_SILENCE = 7 * DAY  # seconds between two records that are believed
MAX_DISTANCE = DAY  # seconds between the newest record and now, without an operator
_MIN_FLOOR = 1  # days, whatever a manifest says
_ROUNDING = 1.0  # seconds; the steps of a trail are whole ones
_FRACTION = slice(20, 26)  # of a time of 27 characters, the microseconds

# Whether a segment may go, and in words why, or why not.
Verdict = namedtuple("Verdict", ["may_go", "why"])

# A full segment, as it was found.
Segment = namedtuple(
    "Segment",
    [
        "name",  # the file's, without .gz
        "manifest",  # ``None`` if there is none that can be believed
        "trouble",  # why there is none, in words
        "is_there",  # whether the file is, in whatever form
    ],
    defaults=[None, True],
)

# The active file, as it was found.
Active = namedtuple(
    "Active",
    [
        "link",  # of its first chained line, or ``None``
        "elapsed",  # seconds of the trail's life in it, see `TrailClock`
        "newest",  # the time of its last line that tells one, or ``None``
    ],
)

# What is known of a trail's life after one of its segments.
After = namedtuple(
    "After",
    [
        "lived",  # seconds that it went on, as far as they are believed
        "newest",  # the time of its newest record, or ``None``
        "floor_days",  # the largest floor that was promised since
        "count",  # full segments that stand
        "trouble",  # what of it is not known, in words, or ``None``
    ],
)

# A segment that stands, and what becomes of it.
Step = namedtuple("Step", ["name", "manifest", "verdict"])


def plan(
    segments: Sequence[Segment],
    active: Active,
    now: float,
    *,
    backup_count: int | None = None,
    is_archiving: bool = False,
    confirmed: bool = False,
) -> list[Step]:
    """
    Say of each full segment that stands whether it may go, the oldest first.

    Those that may are the oldest ones, without a gap: evidence goes in the order in
    which it came.  What is not known counts as young: no segment goes while its own
    manifest, or that of a later one, is missing, damaged, or does not follow on.

    Args:
        segments: All full segments of which a file or a manifest is there, by number.
        active: The active file.
        now: The time, in seconds since the epoch.
        backup_count: Full segments beyond which one may go that is younger, if its
            copy is locked; ``None``: no younger one may.
        is_archiving: Whether nothing goes without a verified copy; so it is also
            when any segment has a copy.
        confirmed: Whether an operator says that *now* is right.
    """
    is_archiving = is_archiving or any(
        each.manifest is not None and each.manifest.copy is not None
        for each in segments
    )
    after = After(active.elapsed, _newest(segments, active), 0, 0, None)
    follower = active.link and (active.link.chain, active.link.seq)
    steps = []
    for segment in reversed(segments):
        manifest = segment.manifest
        if after.trouble is None:
            trouble = _trouble(segment, follower)
            after = after._replace(trouble=trouble)
        if manifest is None:
            verdict = Verdict(False, after.trouble)
        else:
            verdict = may_delete(
                manifest,
                after,
                now,
                backup_count=backup_count,
                is_archiving=is_archiving,
                confirmed=confirmed,
            )
            after, follower = _before(manifest.sealed, after, follower)
        if segment.is_there:
            after = after._replace(count=after.count + 1)
            steps.append(Step(segment.name, manifest, verdict))
    return _oldest_first(steps[::-1])


def may_delete(
    manifest: Manifest,
    after: After,
    now: float,
    *,
    backup_count: int | None = None,
    is_archiving: bool = False,
    confirmed: bool = False,
) -> Verdict:
    """
    Say whether a full segment may go, and why.

    It may if it is older than all floors that were promised to it or since: the
    trail went on for that long afterwards, and a week more; its own last record, if
    it tells a time, is that long ago; and its copy is verified, where there are
    copies.  A younger one may if it lies beyond *backup_count* and its copy is
    verified, by version, and locked until the floor is reached: then the evidence
    is moved.  In both cases *now* has to be within a day of the trail's newest
    record, or an operator says that it is right.

    What was begun, as a tombstone says, may be finished.  What was brought back stays
    for as long as was asked for, whatever else is said of it.

    Args:
        manifest: The segment's.
        after: What is known of the trail after it.
        now: The time, in seconds since the epoch.
        backup_count: See `plan`, as for the next two.
        is_archiving: See there.
        confirmed: See there.
    """
    restored = manifest.restored
    if restored is not None and now < restored.until:
        return Verdict(False, f"restored, to stay until {_date(restored.until)}")
    if manifest.tombstone is not None:
        return Verdict(True, f"its removal was begun: {manifest.tombstone.reason}")
    if after.trouble is not None:
        return Verdict(False, after.trouble)
    floor = max(_MIN_FLOOR, manifest.sealed.retention_floor_days, after.floor_days)
    young = _young(manifest.sealed, after, now, floor)
    if young is None:
        verdict = _verdict_on_old(manifest.copy, after, floor, is_archiving)
    elif backup_count is None or after.count < backup_count:
        verdict = Verdict(False, young)
    else:
        verdict = _verdict_on_copy(manifest, after, now, floor)
    if verdict.may_go and not confirmed:
        doubt = _doubt(now, after.newest)
        if doubt is not None:
            return Verdict(False, doubt)
    return verdict


def keep_until(sealed: Sealed, floor_days: float) -> float | None:
    """
    Return until when a copy of a segment has to be locked, at least.

    It is for the archiver: what is locked for less is not moved.  A trail that rests
    for more than a week needs longer locks, by as much; a lock can be extended.

    Args:
        sealed: What its manifest says.
        floor_days: The largest floor that was promised to it, or since.

    Returns:
        Seconds since the epoch; ``None`` if its last record tells no time.
    """
    last = _last_time(sealed)
    if last is None:
        return None
    latest = last if sealed.latest is None else max(last, sealed.latest)
    return latest + max(_MIN_FLOOR, floor_days) * DAY


class TrailClock:
    """
    The time that a trail has lived through, as its records tell it.

    Args:
        latest: The latest time that was seen so far, in seconds since the epoch;
            ``None`` before the first record.
    """

    def __init__(self, latest: float | None = None) -> None:
        self.latest = latest
        self.elapsed = 0.0  # seconds that are believed, since this clock was made

    def see(self, moment: float | None) -> None:
        """Take note of a record of *moment*; ``None``: it tells none."""
        if moment is None:
            return
        if self.latest is None:
            self.latest = moment
            return
        step = moment - self.latest
        if step > 0:
            if step <= MAX_SILENCE:
                self.elapsed += step
            self.latest = moment
        elif -step > MAX_SILENCE:  # the clock had been ahead, and was set back
            self.latest = moment


def see_all(clock: TrailClock, moments: Iterable[float | None]) -> TrailClock:
    """Return *clock* after it saw the records of *moments*."""
    for moment in moments:
        clock.see(moment)
    return clock


def _newest(segments: Sequence[Segment], active: Active) -> float | None:
    """Return the time of the newest record that tells one."""
    if active.newest is not None:
        return float(active.newest)
    for segment in reversed(segments):
        if segment.manifest is not None:
            last = _last_time(segment.manifest.sealed)
            if last is not None:
                return last
    return None


def _last_time(sealed: Sealed) -> float | None:
    """Return the time of a segment's last line, to the microsecond, if it tells one."""
    if sealed.last_time is None:
        return None
    text = sealed.last_time.encode("ascii", "replace")
    moment = names.time_of_line(text)
    fraction = text[_FRACTION]
    if moment is not None and fraction.isdigit():  # else a line from before the trail
        moment += int(fraction) / 10 ** len(fraction)
    return moment


def _trouble(segment: Segment, follower: tuple[str, int] | None) -> str | None:
    """
    Return what is wrong with a segment, if anything is.

    Args:
        segment: It.
        follower: Chain and number of the first chained line after it, if there is.
    """
    if segment.manifest is None:
        return f"{segment.name}: {segment.trouble or 'it has no manifest'}"
    sealed = segment.manifest.sealed
    if follower is None:
        return None
    # Files from before the trail may come before its first line only.
    expected = (
        (follower[0], 1)
        if sealed.chain is None
        else (sealed.chain, sealed.last_seq + 1)
    )
    if follower == expected:
        return None
    return (
        f"{segment.name}: what comes after it does not follow on; "
        "chimera-log verify tells more"
    )


def _before(
    sealed: Sealed, after: After, follower: tuple[str, int] | None
) -> tuple[After, tuple[str, int] | None]:
    """Return what is known after the segment that comes before *sealed*."""
    floor = max(after.floor_days, sealed.retention_floor_days)
    if sealed.chain is None:  # what is not chained proves nothing
        return after._replace(floor_days=floor), follower
    lived = after.lived + max(sealed.elapsed, 0)
    return (
        after._replace(floor_days=floor, lived=lived),
        (sealed.chain, sealed.first_seq),
    )


def _young(sealed: Sealed, after: After, now: float, floor: float) -> str | None:
    """Return in words that a segment is younger than *floor* days, if it may be."""
    needed = floor * DAY + MAX_SILENCE
    if after.lived < needed:
        return (
            f"the trail went on for {_days(after.lived)} of {_days(needed)} days since"
        )
    last = _last_time(sealed)
    if last is not None and now - last < floor * DAY:
        return f"its last record, of {sealed.last_time}, is not {floor:g} days ago"
    return None


def _verdict_on_old(
    copy: Copy | None, after: After, floor: float, is_archiving: bool
) -> Verdict:
    old = f"{_days(after.lived)} days old; {floor:g} have to be kept"
    if is_archiving and (copy is None or not copy.is_verified):
        return Verdict(False, f"{old}, but it has no verified copy")
    return Verdict(True, old)


def _verdict_on_copy(
    manifest: Manifest, after: After, now: float, floor: float
) -> Verdict:
    """Say whether a young segment may go because its copy is as good as itself."""
    copy = manifest.copy
    if copy is None or not copy.is_verified or not copy.version_id:
        return Verdict(False, "it is young, and no version of a copy is verified")
    until = keep_until(manifest.sealed, floor)
    if until is None:
        return Verdict(False, "it is young, and its last record tells no time")
    # Where the trail lived for less than the clocks say, its clock may have been
    # behind when it was written.
    clock = see_all(TrailClock(after.newest), [now])
    lived = after.lived + clock.elapsed
    until = max(until, now - lived + floor * DAY - _ROUNDING)
    where = f"{copy.place}, version {copy.version_id}, is locked until"
    if copy.locked_until < until:
        return Verdict(
            False,
            f"it is young, and {where} {_date(copy.locked_until)} only, not "
            f"{_date(until)}",
        )
    return Verdict(True, f"moved: {where} {_date(copy.locked_until)}")


def _doubt(now: float, newest: float | None) -> str | None:
    """Return in words why *now* cannot be believed, if so."""
    if newest is None:
        return "it may go if the clock is right, which no record tells: confirm that"
    if abs(now - newest) > MAX_DISTANCE:
        return (
            f"it may go if the clock is right; it says {_date(now)}, and the newest "
            f"record {_date(newest)}: confirm that"
        )
    return None


def _oldest_first(steps: list[Step]) -> list[Step]:
    """
    Return *steps* where none goes before an older one.

    One that had gone, and was brought back for a while, keeps none that came after it.
    """
    found = []
    stays = None
    for step in steps:
        if not step.verdict.may_go:
            had_gone = step.manifest is not None and step.manifest.tombstone is not None
            stays = stays or (None if had_gone else step.name)
        elif stays:
            verdict = Verdict(False, f"{stays} stays, which is older")
            step = step._replace(verdict=verdict)  # noqa: PLW2901  the same step
        found.append(step)
    return found


def _days(seconds: float) -> str:
    return f"{seconds / DAY:.0f}"


def _date(moment: float) -> str:
    return f"{Clock().timestamp(moment)[:19]}Z"
