"""
Look for what AWS would refuse, or mix up, in spite of valid options.

The constructors of our handlers check each option by itself.
Here is what it cannot see: other handlers, and watchtower's.
"""

from __future__ import annotations

import itertools
import re

from chimera_log.config.check import outputs
from chimera_log.config.check.parts import Part
from chimera_log.config.findings import WARNING
from chimera_log.options import ConfigError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from chimera_log.config.document import Document
    from chimera_log.config.findings import Finding

# Any region looks like this; a list would be outdated by the next one.
_REGION = re.compile(
    r"[a-z]{2,4}(?:-(?:gov|iso[a-z]?|de))?"
    r"-(?:north|south|east|west|central|(?:north|south)(?:east|west))-[1-9][0-9]?"
)
_REGIONS = tuple(  # to be meant; the commonest of each place
    f"{area}-{number}"
    for area in (
        *("us-east", "us-west", "us-gov-east", "us-gov-west", "ca-central", "ca-west"),
        *("eu-central", "eu-west", "eu-north", "eu-south", "ap-northeast", "me-south"),
        *("ap-southeast", "ap-south", "ap-east", "sa-east", "af-south", "il-central"),
        *("me-central", "mx-central", "cn-north", "cn-northwest"),
    )
    for number in (1, 2, 3)
)

_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn")  # how its addresses end


def findings(document: Document) -> Iterator[Finding]:
    """Yield what AWS would not take of *document*, or take for the same."""
    yield from _regions(document)
    yield from _addresses(document)
    yield from _same_streams(document)
    yield from _of_watchtower(document)


def _talking(document: Document) -> Iterator[Part]:
    """Yield what has the options that say whom of AWS to talk to."""
    yield from outputs.made_by(document, outputs.CLOUDWATCH)
    for handler in outputs.made_by(document, outputs.AUDIT):
        archive = handler.content.get("archive")
        if isinstance(archive, dict):
            yield Part((*handler.path, "archive"), handler.name, archive)


def _regions(document: Document) -> Iterator[Finding]:
    for handler in _talking(document):
        region = outputs.text(handler, "region_name")
        # At another address than AWS's own, regions may have any name.
        is_elsewhere = outputs.text(handler, "endpoint_url") is not None
        if region is None or is_elsewhere or _REGION.fullmatch(region):
            continue
        zone = region.rstrip("abcdef")
        hint = (
            f"did you mean {zone!r}?"  # of which this is a zone
            if _REGION.fullmatch(zone)
            else did_you_mean(region.lower(), _REGIONS)
        )
        if not hint.startswith("did"):
            hint = "write it as AWS does, such as 'eu-central-1'"
        yield document.finding(
            (*handler.path, "region_name"), f"{region!r} is no region; {hint}"
        )


def _addresses(document: Document) -> Iterator[Finding]:
    for handler in _talking(document):
        address = outputs.text(handler, "endpoint_url")
        if address is None:
            continue
        try:
            host = _host(address)
        except ValueError:
            yield document.finding(
                (*handler.path, "endpoint_url"),
                f"{address!r} is no address; write it as in 'https://host:port'",
            )
            continue
        if address.startswith("http:") and host.endswith(_OF_AWS):
            yield document.finding(
                (*handler.path, "endpoint_url"),
                f"{address!r} sends records unencrypted; begin it with https://",
                severity=WARNING,
            )


def _host(address: str) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415  few configurations have one

    return urlsplit(address).hostname or ""


def _same_streams(document: Document) -> Iterator[Finding]:
    handlers = [
        each
        for each in outputs.made_by(document, outputs.CLOUDWATCH)
        if outputs.text(each, "log_stream_name") is not None
    ]
    for first, second in itertools.combinations(handlers, 2):
        if all(
            outputs.text(first, option) == outputs.text(second, option)
            for option in ("log_group_name", "log_stream_name", "region_name")
        ):
            yield document.finding(
                (*second.path, "log_stream_name"),
                f"handler {first.name!r} writes this stream of this group too, so that "
                "nobody can tell their records apart; name another",
                severity=WARNING,
            )


def _of_watchtower(document: Document) -> Iterator[Finding]:
    for handler in outputs.made_by(document, outputs.WATCHTOWER):
        # What it takes to send stays unloaded where nothing is sent.
        from chimera_log.cloudwatch import rules  # noqa: PLC0415

        for option, check, value in (
            (
                "log_group_name",
                rules.log_group_name,
                outputs.text(handler, "log_group_name"),
            ),
            (
                "log_group_retention_days",
                rules.retention_in_days,
                handler.content.get("log_group_retention_days"),
            ),
        ):
            if value is not None and (refusal := _refusal(check, value)):
                yield document.finding((*handler.path, option), refusal)


def _refusal(check: Callable[[Any], object], value: Any) -> str | None:
    """Return what *check* says against *value*."""
    try:
        check(value)
    except ConfigError as error:
        return str(error).partition(": ")[2]
    return None
