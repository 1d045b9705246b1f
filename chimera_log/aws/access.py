"""
Whom to talk to, and as whom: what people configure of AWS, checked.
"""

from __future__ import annotations

from collections import namedtuple

from chimera_log import options
from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Whom to talk to, and as whom.
Access = namedtuple(
    "Access",
    [
        "region_name",
        "profile_name",
        "endpoint_url",
        "client_factory",  # a dotted path, or a callable; None: boto3's own
    ],
)


def access_of(
    region_name: Any,
    profile_name: Any,
    endpoint_url: Any,
    client_factory: Any,
    *,
    of: str = "",
) -> Access:
    """
    Return what these four options say.

    Args:
        region_name: Text, as are the next two, or ``None``; variables are expanded.
        profile_name: See there.
        endpoint_url: See there.
        client_factory: A callable, or the dotted path of one, or ``None``.
        of: What goes before their names in an error, such as ``archive.``.

    Raises:
        ConfigError: If one of them cannot be.
    """
    return Access(
        options.text(f"{of}region_name", region_name),
        options.text(f"{of}profile_name", profile_name),
        _url(f"{of}endpoint_url", endpoint_url),
        _factory(f"{of}client_factory", client_factory),
    )


def _url(name: str, value: Any) -> str | None:
    url = options.text(name, value)
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigError(f"{name}: {value!r} is no URL; begin it with https://")
    return url


def _factory(name: str, value: Any) -> Any:
    if value is None or callable(value):
        return value
    path = value if isinstance(value, str) else ""
    names = path.split(".")
    if len(names) == 1 or not all(each.isidentifier() for each in names):
        raise ConfigError(
            f"{name}: {value!r} is neither a callable nor the dotted path of one; write "
            "'package.module.function'"
        )
    return path
