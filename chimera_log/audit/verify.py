"""
Find out whether an audit trail is whole, and whether that can be believed.

Whole means that every record is there and is what was written, from the first one
that was not pruned to the last one.  Believed it can be as far as a witness saw the
chain: whoever can write to a trail can cut off its end, or write all of it anew.
"""

from __future__ import annotations

import os
import time
from collections import namedtuple
from contextlib import suppress

from chimera_log.audit import chain
from chimera_log.audit.anchors import Gathering, beside
from chimera_log.audit.following import BrokenError
from chimera_log.audit.manifest import ManifestError, Manifests
from chimera_log.audit.reading import Files, VanishedError, VerifyError
from chimera_log.audit.walk import Walk
from chimera_log.files import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from chimera_log.audit.anchors import Anchors
    from chimera_log.audit.chain import Key

OK, TAMPERED, NOT_ANCHORED = 0, 1, 3  # exit codes
_WORDS = {OK: "ok", TAMPERED: "tampered", NOT_ANCHORED: "not anchored"}
_MAX_AHEAD = 300  # seconds that the clock of a record may be ahead of ours
_TRIES = 5  # while files vanish
_TIME_IS_AFTER = b'{"timestamp":"'
_TIME_ENDS = len(_TIME_IS_AFTER) + 27  # bytes of a line

# What was found out about a trail.  Times are as the records tell them, and ``None``
# where they tell none.
Report = namedtuple(
    "Report",
    [
        "code",  # `OK`, `TAMPERED` or `NOT_ANCHORED`
        "status",  # the same in words
        "reason",  # in words, why it is not OK; ``None`` if it is
        "bad",  # the first thing that is wrong, a `Bad`, or ``None``
        "path",  # of the active file
        "head",  # `chain.Head`: where the chain ends, or breaks; ``None`` without one
        "records",  # read, and good
        "segments",  # full ones that are there
        "first_seq",  # of the first record that was read; 0: there is none
        "first_time",
        "last_time",
        "anchored_seq",  # the newest record that a witness saw; 0: none
        "is_weak",  # whether only logs on the same machine saw it
        "tail",  # how many records are newer than that
        "tail_time",  # of the first one of them
        "pruned",  # segments that were removed, as records of the trail say
        "recovered",  # records that vouch for what is not chained, of killed writers
        "legacy_lines",  # from before the trail, never chained: no evidence
        "legacy_files",
        "left_alone",  # names of files that might be taken for segments, and are none
        "notes",  # in words, what could not be looked at
    ],
)


def verify(
    path: str | os.PathLike[str],
    *,
    anchors: Iterable[str | os.PathLike[str] | BinaryIO] = (),
    keys: Iterable[Key] = (),
    now: float | None = None,
    checkpoint_interval: float = 60.0,
) -> Report:
    """
    Find out whether the trail at *path* is whole, and held fast by witnesses.

    Memory does not grow with the trail; hostile files are a finding, not an error.
    A trail that is written to meanwhile is read up to where it was at one moment.

    Args:
        path: The active file, which need not be there any more.
        anchors: What witnesses wrote down: paths of files, or open binary files.
            Those in the trail's folder are weak: who can change the trail can change
            them.  Without any, the log files beside the trail are read.
        keys: That records may be signed with.  If there is one, the last record has
            to be signed.
        now: Seconds since the epoch; by default what the clock says.
        checkpoint_interval: Seconds; records younger than two of them need no
            witness yet.

    Raises:
        VerifyError: If there is no trail, or it needs a key that was not given.
        OSError: If a file cannot be read.
    """
    moment = time.time() if now is None else now
    place, given, known = os.fspath(path), list(anchors), list(keys)
    # Before the trail is looked at: what witnesses saw is in it by then.
    seen = _gather(place, given)
    for _ in range(_TRIES):
        # If a file vanishes it was pruned, and by now a record says so.
        with suppress(VanishedError), Files(place) as files:
            walk = Walk(files, known, seen, moment)
            return _report(files, walk, seen, moment, checkpoint_interval)
    raise VerifyError(f"{place}: its files vanish while they are read")


def _gather(path: str, given: Sequence[str | os.PathLike[str] | BinaryIO]) -> Anchors:
    with Files(path) as files:
        gathering = Gathering(_chain_of(files), files.name)
        folder = os.path.join(os.path.realpath(files.folder), "")
        found = [] if given else beside(files.folder, files.name)
    for place in found:
        _read_beside(gathering, place)
    for source in given:
        if isinstance(source, (str, os.PathLike)):
            place = os.fspath(source)
            with open(place, "rb") as file:
                is_weak = os.path.realpath(place).startswith(folder)
                gathering.read(file, place, is_weak=is_weak)
        else:
            gathering.read(source, "standard input", is_weak=False)
    return gathering.found


def _read_beside(gathering: Gathering, place: str) -> None:
    try:
        with open(place, "rb") as file:
            gathering.read(file, place, is_weak=True)
    except OSError as error:
        gathering.note(f"{place} was not read: {error.strerror}")


def _chain_of(files: Files) -> str | None:
    """Return the name of the chain, as the first line that has one tells it."""
    for name in files.names[:1]:
        for link in filter(None, map(chain.link_of, files.lines_after(name, 0))):
            return str(link.chain)
    manifests = Manifests(files.hidden, files.name)
    for segment in files.sealed:
        with suppress(ManifestError, OSError):  # which will be said later
            manifest = manifests.load(segment)
            if manifest is not None and manifest.sealed.chain is not None:
                return str(manifest.sealed.chain)
    return None


def _report(
    files: Files, walk: Walk, seen: Anchors, now: float, interval: float
) -> Report:
    bad = None
    try:
        walk.run()
    except BrokenError as error:
        bad = error.bad
    last = walk.head.seq
    anchored = max((seq for seq in seen.hashes if seq <= last), default=0)
    if bad is None:
        reason = _doubt(walk, anchored, now, interval)
        code = NOT_ANCHORED if reason else OK
    else:
        code, reason = TAMPERED, bad.what
    return Report(
        code=code,
        status=_WORDS[code],
        reason=reason,
        bad=bad,
        path=files.path,
        head=walk.head if walk.has_begun else None,
        records=walk.records,
        segments=len(files.segments),
        first_seq=walk.first_seq,
        first_time=_time(walk.first),
        last_time=_time(walk.last),
        anchored_seq=anchored,
        is_weak=seen.newest_strong < anchored,
        tail=last - anchored,
        tail_time=_time(walk.tail),
        pruned=walk.pruned,
        recovered=walk.recovered,
        legacy_lines=walk.legacy_lines,
        legacy_files=walk.legacy_files,
        left_alone=tuple(files.left_alone),
        notes=walk.notes,
    )


def _doubt(walk: Walk, anchored: int, now: float, interval: float) -> str | None:
    """Return why a trail that is whole cannot be believed, if that is so."""
    last = walk.head.seq
    if not last:
        return "no record is there"
    if not anchored:
        return f"tail not anchored: no witness saw any of the {last} records"
    moment = _moment(walk.tail)
    if anchored == last or (
        moment is not None and -_MAX_AHEAD <= now - moment <= 2 * interval
    ):
        return None
    return (
        f"tail not anchored: {last - anchored} records from seq {anchored + 1}, "
        f"time {_time(walk.tail)}"
    )


def _moment(line: bytes | None) -> float | None:
    """Return the time that a record tells, in seconds since the epoch."""
    if line is None or not line.startswith(_TIME_IS_AFTER):
        return None
    return names.time_of_line(line[:_TIME_ENDS])


def _time(line: bytes | None) -> str | None:
    """Return the time that a record tells, as it is written there."""
    if line is None or _moment(line) is None:
        return None
    return line[len(_TIME_IS_AFTER) : _TIME_ENDS].decode("ascii", "replace")
