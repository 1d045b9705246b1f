"""
Write a record as one line of strict JSON, in a configured layout.

A `Layout` knows which fields a line has, in which order and under which names,
how long it may grow and what is secret.  It promises one line of UTF-8 that
every JSON reader accepts, whatever the record holds: what cannot be encoded is
marked, what does not fit is shortened and marked, and nothing raises.

It does no I/O, and may be shared between threads.
"""

from __future__ import annotations

import logging
from collections import namedtuple

from chimera_log import record as records
from chimera_log.forms import placeholder, text
from chimera_log.options import ConfigError, did_you_mean
from chimera_log.values import Encoder, encode_text, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from chimera_log.redact import Redactor

# What a line has, in this order, unless the layout says otherwise.
STANDARD_FIELDS = (
    "timestamp",
    "level",
    "module",
    "event",
    "context",
    "exception",
    "stack",
)
# What a layout may add, by the names the standard library documents.
RECORD_ATTRIBUTES = (
    "filename",
    "funcName",
    "levelno",
    "lineno",
    "pathname",
    "process",
    "processName",
    "taskName",
    "thread",
    "threadName",
)
RESERVED_NAMES = ("truncated", "audit")  # written after all others

MIN_LINE_BYTES = 4_096  # room for every field, however shortened
_MAX_TEMPLATES = 4_096  # logger names remembered; names made from data must not pile up
_KEPT = 200  # characters kept of a context's text that does not fit
# Characters kept of either end of every other text, tried in turn.
_CUTS = (100_000, 10_000, 1_000, 100, 5)

_MAX_CUT_BYTES = 200  # of a text after the last cut, however it is escaped

# What a record says, before it is encoded; and what hides the secrets in its
# other texts, if there may be any.
_Parts = namedtuple("_Parts", ["event", "context", "exception", "stack", "scrub"])


class Layout:
    """
    The form of a line.

    Args:
        fields: Output name to source, in the order wanted.  A source is one of
            `STANDARD_FIELDS` or `RECORD_ATTRIBUTES`; a standard field that is
            not listed keeps its name and follows, so that renaming one field
            cannot lose another.
        static: Fields of every line, written after those of the record.
        max_line_bytes: Longest line, its line feed included.
        redactor: What is secret; ``None`` hides nothing.

    Raises:
        ConfigError: If a source is unknown, two fields share a name, or the
            fields leave no room in a line.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        static: Mapping[str, Any],
        max_line_bytes: int,
        redactor: Redactor | None,
    ) -> None:
        self._fields = _checked(fields, static)
        self._max_line_bytes = max_line_bytes
        self._redactor = redactor
        self._encoder = Encoder(redactor.hidden) if redactor else Encoder()
        self._clock = records.Clock()
        self._attributes = [
            source for _, source in self._fields if source in RECORD_ATTRIBUTES
        ]
        plain = Encoder()
        self._static = "".join(
            f",{encode_text(name)}:{plain.encode(value)}"
            for name, value in static.items()
        )
        self._templates: dict[tuple[object, ...], str] = {}
        names = sum(len(encode_text(name).encode()) for name, _ in self._fields)
        texts = (len(self._fields) + 3) * _MAX_CUT_BYTES  # an exception has three
        if names + len(escape(self._static).encode()) + texts > max_line_bytes:
            raise ConfigError(
                f"max_line_bytes: {max_line_bytes} leaves no room beside the fields; "
                "use more, or fewer and shorter fields"
            )

    @property
    def begins_as_usual(self) -> bool:
        """Whether the first five fields are where and what they usually are."""
        usual = [(name, name) for name in STANDARD_FIELDS[:5]]
        return usual == self._fields[:5]

    @property
    def max_line_bytes(self) -> int:
        """Longest line, its line feed included."""
        return self._max_line_bytes

    def encode(self, record: logging.LogRecord) -> str:
        """Return *record* as one line of JSON, without its line feed."""
        try:
            parts = _Parts(
                records.event_of(record),
                records.context_of(record),
                records.exception_of(record),
                records.stack_of(record),
                None,
            )
            line = self._render(record, parts)
            if self._redactor and self._redactor.suspects(line):
                parts = self._scrubbed(parts, self._redactor.scrub)
                line = self._render(record, parts)
            # A character takes at most four bytes of UTF-8.
            if (
                len(line) * 4 >= self._max_line_bytes
                and _size(line) >= self._max_line_bytes
            ):
                line = self._shortened(record, parts)
        except Exception as error:
            return self._last_resort(record, error)
        return line

    def _render(
        self, record: logging.LogRecord, parts: _Parts, cut: int | None = None
    ) -> str:
        """
        Return the line that says *parts*, however long.

        Args:
            record: Whose time, level, name and attributes the line has.
            parts: The rest of what it says.
            cut: Characters kept of each text of the record's own; the line is
                marked as truncated.
        """
        values = {
            "timestamp": f'"{self._clock.timestamp(record.created)}"',
            "event": encode_text(parts.event),
            "context": self._encoder.encode(parts.context),
        }
        if values["context"][0] != "{":  # even its outermost level could not be shown
            values["context"] = f'{{"value":{values["context"]}}}'
        if parts.exception is not None:
            values["exception"] = self._encoder.encode(parts.exception)
        if parts.stack is not None:
            values["stack"] = encode_text(parts.stack)
        for name in self._attributes:
            value = getattr(record, name, None)
            values[name] = self._attribute(value, cut, parts.scrub)
        return escape(self._template(record, parts, cut) % values)

    def _template(
        self, record: logging.LogRecord, parts: _Parts, cut: int | None
    ) -> str:
        """Return the line with only the values that differ by record left open."""
        level, module = record.levelname, record.name
        if type(level) is not str or type(module) is not str:
            level, module = text(level), text(module)
        if parts.scrub:
            module = parts.scrub(module)
        key = (level, module, parts.exception is None, parts.stack is None, cut)
        known = self._templates.get(key)
        if known is not None:
            return known
        fixed = {"level": level, "module": module}
        absent = {
            name for name in ("exception", "stack") if getattr(parts, name) is None
        }
        fields = [
            f"{encode_text(name)}:{encode_text(_cut(fixed[source], cut))}".replace(
                "%", "%%"
            )
            if source in fixed
            else f"{encode_text(name)}:".replace("%", "%%") + f"%({source})s"
            for name, source in self._fields
            if source not in absent
        ]
        end = "" if cut is None else ',"truncated":true'
        template = "{" + ",".join(fields) + self._static.replace("%", "%%") + end + "}"
        if len(self._templates) < _MAX_TEMPLATES and len(template) < MIN_LINE_BYTES:
            self._templates[key] = template
        return template

    def _attribute(
        self, value: Any, cut: int | None, scrub: Callable[[str], str] | None
    ) -> str:
        """Return an attribute of a record as JSON, cut if need be."""
        if scrub:
            value = self._encoder.plain(value, scrub)
        shown = self._encoder.encode(value)
        if cut is None or len(shown) <= 2 * cut:
            return shown
        plain = self._encoder.plain(value)
        return encode_text(_cut(plain if isinstance(plain, str) else shown, cut))

    def _scrubbed(self, parts: _Parts, scrub: Callable[[str], str]) -> _Parts:
        """Return *parts* with the secrets in their texts replaced."""
        return _Parts(
            scrub(parts.event),
            self._encoder.plain(parts.context, scrub),
            self._encoder.plain(parts.exception, scrub),
            self._encoder.plain(parts.stack, scrub),
            scrub,
        )

    def _shortened(self, record: logging.LogRecord, parts: _Parts) -> str:
        """
        Return a line that fits.

        The largest context values go first.  The record's own texts are cut
        only where they leave the context less than a quarter of the line.
        """
        context = self._encoder.plain(parts.context)
        wanted = min(_size(self._encoder.encode(context)), self._max_line_bytes // 4)
        # The last cut leaves enough: the constructor made sure.
        for cut in _CUTS:  # pragma: no branch
            exception = parts.exception and {
                name: _cut(value, cut) for name, value in parts.exception.items()
            }
            bare = parts._replace(
                event=_cut(parts.event, cut),
                context={},
                exception=exception,
                stack=_cut(parts.stack, cut),
            )
            size = _size(self._render(record, bare, cut)) + len("\n") - len("{}")
            if self._max_line_bytes - size >= wanted:
                break
        fitted = _fitted(context, self._max_line_bytes - size)
        return self._render(record, bare._replace(context=fitted), cut)

    def _last_resort(self, record: logging.LogRecord, error: Exception) -> str:
        """Return a line for a record that lacks what every record has."""
        whole = logging.makeLogRecord({"created": 0, **vars(record)})
        event = placeholder(f"unformattable record: {type(error).__name__}")
        parts = _Parts(
            f"{_cut(records.event_of(whole), 100)} {event}", {}, None, None, None
        )
        return self._render(whole, parts, _CUTS[-2])


def _checked(
    fields: Mapping[str, Any], static: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return every field of a line as (name, source), in order."""
    sources = (*STANDARD_FIELDS, *RECORD_ATTRIBUTES)
    for name, source in fields.items():
        if source not in sources:
            hint = did_you_mean(str(source), sources)
            raise ConfigError(
                f"fields.{name}: {source!r} is no field of a record; {hint}"
            )
    listed = list(fields.items())
    rest = [(name, name) for name in STANDARD_FIELDS if name not in fields.values()]
    taken = {encode_text(name) for name in RESERVED_NAMES}
    for name in [name for name, _ in listed + rest] + list(static):
        written = escape(encode_text(name))
        if written in taken:
            raise ConfigError(
                f"fields, static: two fields of a line would be named {name!r}; rename one"
            )
        taken.add(written)
    return listed + rest


def _size(line: str) -> int:
    """Return the bytes of *line*, once it is written."""
    return len(escape(line).encode())


def _cut(value: Any, length: int | None) -> Any:
    """Return *value*, if it is a text with at most *length* characters of either end."""
    if length is None or not isinstance(value, str) or len(value) <= 2 * length:
        return value
    mark = placeholder(f"truncated {len(value) - 2 * length} characters")
    return f"{value[:length]}{mark}{value[-length:]}"


def _fitted(context: dict[str, Any], room: int) -> dict[str, Any]:
    """
    Return *context* shortened to at most *room* bytes of JSON.

    The largest values are shortened first; where that is not enough, the largest
    entries go altogether.
    """
    encode = Encoder().encode
    sizes = {name: _size(encode({name: value})) - 1 for name, value in context.items()}
    excess = sum(sizes.values()) + 1 - room
    fitted = dict(context)
    for name in _largest_first(sizes):
        if excess <= 0:
            return fitted
        value = context[name]
        kept = value[:_KEPT] if isinstance(value, str) else ""
        short = kept + placeholder(f"truncated {sizes[name]} bytes")
        size = _size(encode({name: short})) - 1
        if size < sizes[name]:
            excess -= sizes[name] - size
            sizes[name], fitted[name] = size, short
    for name in _largest_first(sizes):
        if excess <= 0:
            return fitted
        excess -= sizes[name]
        del fitted[name]
    return fitted


def _largest_first(sizes: dict[str, int]) -> list[str]:
    """Return the names by size, and among equals the last one first."""
    names = list(reversed(sizes))
    names.sort(key=sizes.__getitem__, reverse=True)
    return names
