"""
What the tests of the checks share.
"""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from chimera_log.config.reading import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding


def said(look: Callable[[Document], Iterable[Finding]], text: str) -> list[str]:
    """Return what *look* finds in the YAML *text*, as it is printed, in order."""
    found = set(look(parse(dedent(text).lstrip("\n"), "logging.yaml")))
    return [str(finding) for finding in sorted(found)]


_WORDS = (
    *("version", "root", "loggers", "handlers", "formatters", "filters", "incremental"),
    *("", "a", "a.b", "executions", "botocore", "console", "trail", "cloud"),
    *("chimera_log.RotatingFileHandler", "chimera_log.AuditFileHandler"),
    *("chimera_log.CloudWatchHandler", "chimera_log.ExecutionAuditFilter"),
    *("chimera_log.JsonFormatter", "watchtower.CloudWatchLogHandler"),
    *("logging.FileHandler", "logging.handlers.RotatingFileHandler"),
    *("logging.handlers.TimedRotatingFileHandler", "logging.handlers.QueueHandler"),
    *("cfg://handlers.a", "cfg://handlers", "ext://sys.stdout", "${UNSET}/a", "~/a"),
    *("DEBUG", "INFO", "WARNING", "100 MB", "5 s", "gzip", "us-east1", "/dev/stdout"),
    *(
        "http://logs.amazonaws.com",
        "http://[",
        "~\0",
        "\ud800",
        "/no/such/a",
        "." * 300,
    ),
)
_OPTIONS = (
    *(
        "()",
        "class",
        "level",
        "handlers",
        "filters",
        "formatter",
        "propagate",
        "target",
    ),
    *("filename", "maxBytes", "backupCount", "total_bytes", "compression", "delay"),
    *("spool_dir", "max_spool_bytes", "region_name", "endpoint_url", "log_group_name"),
    *("log_stream_name", "log_group_retention_days", "events", "fields", "listener"),
    *("retention_floor_days", "flush_interval", "max_batch_count", "follow_symlinks"),
)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.just(10**400),
    st.floats(),
    st.sampled_from(_WORDS),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.dates(),
)
_names = st.one_of(st.sampled_from(_WORDS), st.integers(0, 2), st.booleans(), st.none())
values: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.sets(st.sampled_from(_WORDS), max_size=3),
        st.dictionaries(
            st.one_of(_names, st.sampled_from(_OPTIONS)), inner, max_size=4
        ),
    ),
    max_leaves=6,
)
_CLASSES = tuple(word for word in _WORDS if "." in word and word[0] in "clw")
_LISTS = st.lists(st.sampled_from(("a", "b", "c", "trail", "json")), max_size=2)
_option = st.one_of(_scalars, _LISTS, values)
_PLACES = ("/no/such/a", "/var/a", "${UNSET}/a", "~/a", "~\0", "\ud800", "/dev/null/a")
_SIZES = st.sampled_from((0, 1, 3, 10**18, "9 TB", "100 MB", "INFO", "DEBUG", 10, 40))
_part = st.one_of(
    st.builds(
        lambda key, kind, common, options: {**common, **options, key: kind},
        st.sampled_from(("class", "()")),
        st.sampled_from(_CLASSES),
        st.fixed_dictionaries(
            {"filename": st.sampled_from(_PLACES), "handlers": _LISTS},
            optional={
                "level": _SIZES,
                "filters": _LISTS,
                "maxBytes": _SIZES,
                "backupCount": _SIZES,
                "propagate": st.booleans(),
                "spool_dir": st.sampled_from(_PLACES),
            },
        ),
        st.dictionaries(st.sampled_from(_OPTIONS), _option, max_size=4),
    ),
    values,
)
_parts = st.one_of(
    st.dictionaries(
        st.sampled_from(("a", "b", "c", "trail", "json", "executions", "botocore")),
        _part,
        min_size=1,
        max_size=5,
    ),
    st.dictionaries(_names, _part, max_size=3),
    values,
)

# What a YAML file may hold, malformed in any way, but often nearly well.
contents: st.SearchStrategy[dict[Any, Any]] = st.one_of(
    st.fixed_dictionaries(
        {"handlers": _parts, "loggers": _parts, "root": _part},
        optional={
            "version": _scalars,
            "disable_existing_loggers": _scalars,
            "formatters": _parts,
            "filters": _parts,
            "incremental": _scalars,
        },
    ),
    st.dictionaries(_names, values, max_size=4),
)
