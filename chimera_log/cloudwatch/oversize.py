"""
Shorten a message that is longer than CloudWatch Logs takes.

A JSON object stays one, since Logs Insights finds fields in nothing else.  What is
not cut keeps its bytes: numbers their digits, texts their escapes.

Room is shared out as at a table: each value may have as much as any other, and
what the small ones leave goes to the large.  So the largest are cut first, and no
further than they must, at every depth.

No I/O, and nothing raises.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import namedtuple
from itertools import accumulate

from chimera_log.forms import placeholder
from chimera_log.values import encode_text, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MIN_LIMIT = 1_024  # bytes; room for four fields and the mark
_LEAD = 4  # fields cut last: our lines begin with timestamp, level, module and event
_AUDIT, _CONTEXT, _TRUNCATED = '"audit"', '"context"', '"truncated"'
_MARK = f"{_TRUNCATED}:true"
# Bytes that no value is cut below: those of a mark with any number in it.
_LEAST = 40
# Each level is read once more; deeper down, a value is cut as a whole.
_MAX_DEPTH = 20
_SPACES = " \t\n\r"

# Of an object, or of an array, whose keys are empty: JSON, as it was written.
_Member = namedtuple("_Member", ["key", "value"])


def shortened(message: bytes, limit: int) -> bytes:
    """
    Return *message* in at most *limit* bytes.

    One that fits is returned as it is.  One that is a JSON object remains a valid
    one, and says ``"truncated":true`` after its other fields, but before ``audit``.
    The largest values are cut first: those in ``context`` until it has but a
    quarter of the line, then other fields, and last the first four.  A value that
    is cut says how much is missing; a text keeps both its ends.  Where there is no
    room for so many, the largest fields of an object go altogether, and the last
    values of an array.

    An ``audit`` field is kept, but its hash no longer fits: it was that of the
    whole line.

    Anything else, an object nested too deeply for Python's reader included, is cut
    between two characters, and ends in a mark that says how many bytes it had.
    What is cut is UTF-8 afterwards, even if it was not before.

    Args:
        message: Any bytes.
        limit: At least `MIN_LIMIT`.
    """
    if len(message) <= limit:
        return message
    try:
        return _shortened_object(message.decode(), limit).encode()
    except Exception:  # no JSON object
        return _shortened_text(message, limit)


def _shortened_text(message: bytes, limit: int) -> bytes:
    mark = placeholder(f"truncated from {len(message)} bytes").encode()
    room = limit - len(mark)
    # A byte that is no UTF-8 becomes a character of three.  Taken with more than there
    # is room for, lest a character that is cut in two become one.
    start = message[:limit].decode("utf-8", "replace").encode()[:room]
    return start.decode("utf-8", "ignore").encode() + mark


def _shortened_object(text: str, limit: int) -> str:
    """
    Return the JSON object *text* in at most *limit* bytes.

    Raises:
        ValueError: If it is none.
    """
    text = text.strip(_SPACES)
    if text[:1] != "{":
        raise ValueError("no object")
    _reader.decode(text)  # all that is read below is part of it, hence valid
    members = [each for each in _members(text) if each.key != _TRUNCATED]
    lead: list[int] = []  # places of what is cut last
    rest: list[int] = []
    context: list[int] = []  # and first
    for place, (key, _) in enumerate(members):
        if key == _CONTEXT:
            context.append(place)
        elif key == _AUDIT or len(lead) < _LEAD:
            lead.append(place)
        else:
            rest.append(place)
    kept: dict[int, _Member] = {}
    left = limit - len("{}") - len(_MARK)
    for places, later in ((lead, rest + context), (rest, context), (context, [])):
        # What the later ones leave, and half of what there is in any case.
        room = max(left // 2, left - sum(_size_of(members[place]) for place in later))
        fitted = _fitted([members[place] for place in places], room, depth=0)
        for place, member in zip(places, fitted, strict=True):
            if member:
                kept[place] = member
                left -= _size_of(member)
    shown = [kept[place] for place in sorted(kept)]
    fields = [_written(each) for each in shown if each.key != _AUDIT]
    audit = [_written(each) for each in shown if each.key == _AUDIT]
    return "{" + ",".join([*fields, _MARK, *audit]) + "}"


def _fitted(members: list[_Member], room: int, *, depth: int) -> list[_Member | None]:
    """
    Return *members* cut to *room* bytes in all; ``None`` for one that had to go.

    They go only where there is no room for a mark of each: the largest of an
    object, the last of an array.
    """
    sizes = [_size(each.value) for each in members]
    least = [
        _size_of(each) - max(size - _LEAST, 0)
        for each, size in zip(members, sizes, strict=True)
    ]
    order = list(range(len(members)))
    if members and members[0].key:
        order.sort(key=least.__getitem__)
    spent = list(accumulate(least[place] for place in order))
    kept = order[: bisect_right(spent, room)]
    if not kept:
        return [None] * len(members)
    spare = room - spent[len(kept) - 1]
    spare += sum(min(sizes[place], _LEAST) for place in kept)
    share = _share([sizes[place] for place in kept], spare)
    fitted: list[_Member | None] = [None] * len(members)
    for place in kept:
        key, value = members[place]
        fitted[place] = _Member(key, _cut(value, share, depth))
    return fitted


def _share(sizes: list[int], room: int) -> int:
    """Return how much each may have at most, for all of *sizes* to fit *room*."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return room // left
        room -= size
        left -= 1
    return max(sizes)


def _cut(value: str, room: int, depth: int) -> str:
    """Return the JSON *value* in at most *room* bytes, of which there are `_LEAST`."""
    size = _size(value)
    if size <= room:
        return value
    if value[0] == '"':
        return _cut_text(value, room)
    shown = ""
    if value[0] in "{[" and depth < _MAX_DEPTH:
        shown = _cut_container(value, room, depth)
    return shown or _quoted(placeholder(f"truncated {size} bytes"))


def _cut_text(value: str, room: int) -> str:
    """Return the JSON text *value* with as much of either end as there is room for."""
    text = _reader.decode(value)
    whole = _quoted(text)  # written anew, it may be shorter
    if _size(whole) <= room:
        return whole
    mark = placeholder(f"truncated {len(text)} characters")
    room -= len(mark)

    def size(length: int) -> int:
        return _size(_quoted(text[:length] + text[len(text) - length :]))

    lengths = range(1, min(len(text), room) // 2 + 1)
    kept = bisect_right(lengths, room, key=size)
    mark = placeholder(f"truncated {len(text) - 2 * kept} characters")
    return _quoted(text[:kept] + mark + text[len(text) - kept :])


def _cut_container(value: str, room: int, depth: int) -> str:
    """Return an object or an array cut to *room* bytes, or nothing if all had to go."""
    members = _members(value)
    room -= len("[]")
    if value[0] == "[":
        room -= _LEAST
    fitted = _fitted(members, room, depth=depth + 1)
    shown = [_written(each) for each in fitted if each]
    if shown and value[0] == "[" and len(shown) < len(members):
        lost = len(members) - len(shown)
        shown.append(_quoted(placeholder(f"truncated {lost} values")))
    return value[0] + ",".join(shown) + value[-1] if shown else ""


def _members(container: str) -> list[_Member]:
    """Return what the JSON object or array *container* holds."""
    members = []
    is_object = container[0] == "{"
    place = _after_space(container, 1)
    while container[place] not in "}]":
        key = ""
        if is_object:
            _, end = _reader.raw_decode(container, place)
            key = container[place:end]
            colon = _after_space(container, end)
            place = _after_space(container, colon + 1)
        _, end = _reader.raw_decode(container, place)
        members.append(_Member(key, container[place:end]))
        place = _after_space(container, end)
        if container[place] == ",":
            place = _after_space(container, place + 1)
    return members


def _after_space(text: str, place: int) -> int:
    while text[place] in _SPACES:
        place += 1
    return place


def _written(member: _Member) -> str:
    return f"{member.key}:{member.value}" if member.key else str(member.value)


def _size_of(member: _Member) -> int:
    """Return the bytes of *member* and of the comma beside it."""
    return _size(_written(member)) + len(",")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _quoted(text: str) -> str:
    """Return *text* as JSON, without what could forge a line."""
    return escape(encode_text(text))


def _refused(name: str) -> NoReturn:
    raise ValueError(name)


# Finds where a value ends.  Numbers stay text: the longest ones would be refused, or
# lose digits.  NaN and infinities are not JSON, whatever Python says.
_reader = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refused)
