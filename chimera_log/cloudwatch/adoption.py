"""
Take over what dead processes left on the disk.

Whose lock is free is dead: no pid is asked, which means nothing in another container
and may be somebody else's by now.
"""

from __future__ import annotations

import os

from chimera_log.cloudwatch.spool_backlog import Backlog, Segment
from chimera_log.cloudwatch.spool_place import candidates, seize_place
from chimera_log.files import opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from chimera_log.cloudwatch.spool_place import Label, Place

_PIECE = 1024 * 1024  # bytes read at a time

_told: set[str] = set()  # places that were reported; once is enough


def adopt(
    directory: str,
    is_ours: Callable[[Label], bool],
    *,
    on_trouble: Callable[[str, str], None],
) -> list[Backlog]:
    """
    Take over the places in *directory* whose owners are dead, the oldest first.

    May be called at any time, by any number of processes: each place has one owner.
    One that an adopter leaves, killed or closed, is there for the next, who goes on
    where it was left.  Those with nothing in them are removed.  Those of others stay,
    and are reported once.

    Args:
        directory: Where places are; absolute.
        is_ours: Whether events with this label are for us.
        on_trouble: Told the kind of trouble and, in words, what it is; must not
            raise.

    Returns:
        What they left, to be taken, forgotten and in the end closed.
    """
    adopted = []
    try:
        paths = list(candidates(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        on_trouble("adopt", f"cannot look into {directory}: {error}")
        return []
    for path in paths:
        try:
            place = seize_place(path)
            backlog = place and _backlog_in(place, is_ours, on_trouble)
        except OSError as error:
            _tell_once(path, "adopt", f"cannot adopt {path}: {error}", on_trouble)
            continue
        if backlog:
            adopted.append(backlog)
    return adopted


def _backlog_in(
    place: Place,
    is_ours: Callable[[Label], bool],
    on_trouble: Callable[[str, str], None],
) -> Backlog | None:
    """Return what is left in *place*, if anything is, and if it is for us."""
    try:
        segments = _segments_in(place)
        if not any(segment.left for segment in segments):
            Backlog(place, on_trouble, segments).close()
            return None
        if place.label is None:
            whose = "its label is damaged"
        elif is_ours(place.label):
            return Backlog(place, on_trouble, segments)
        else:
            whose = f"it is for {place.label}"
    except BaseException:
        place.close()
        raise
    place.close()
    text = f"{place.path} has events that nobody here sends ({whose}); left there"
    _tell_once(place.path, "foreign", text, on_trouble)
    return None


def _segments_in(place: Place) -> list[Segment]:
    """Return the files in *place* with the number of records not done yet."""
    segments = []
    for number, size in place.segments():
        start = place.done[1] if number == place.done[0] else 0
        if number < place.done[0]:
            start = size
        left = _lines_in(place.segment_path(number), start) if start < size else 0
        segments.append(Segment(number, size, left))
    return segments


def _lines_in(path: str, start: int) -> int:
    """Return how many lines a file has from *start* on, an unfinished one included."""
    count, is_ended = 0, True
    with open(path, "rb", buffering=0, opener=_opened) as file:
        file.seek(start)
        for data in iter(lambda: file.read(_PIECE), b""):
            count += data.count(b"\n")
            is_ended = data.endswith(b"\n")
    return count + (not is_ended)


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | opening.NOFOLLOW)


def _tell_once(
    path: str, kind: str, text: str, on_trouble: Callable[[str, str], None]
) -> None:
    if path not in _told:
        _told.add(path)
        on_trouble(kind, text)
