"""
Tell which options a class takes, from its signature.
"""

from __future__ import annotations

import logging.config
import logging.handlers
from typing import NamedTuple

from chimera_log.config.check.parts import QUEUES_NAME_HANDLERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_QUEUES = ("queue", "listener", "handlers", "respect_handler_level")
# Which the first versions that took them wanted.
_QUEUES_NEED_HANDLERS = (
    "No handlers specified for a QueueHandler"
    in logging.config.DictConfigurator.configure_handler.__code__.co_consts
)
_FORMAT = "format"  # tried again as `fmt`


class Options(NamedTuple):
    """What may and what must be given."""

    known: tuple[str, ...]
    required: tuple[str, ...]
    takes_all: bool

    def missing(self, given: dict[Any, Any]) -> list[str]:
        """Return what must be given, and is not."""
        return [name for name in self.required if name not in given]

    def is_known(self, name: str) -> bool:
        """Whether an option may be called *name*."""
        return self.takes_all or name in self.known


ANY = Options((), (), takes_all=True)


def options_of(factory: Any, section: str, *, by_class: bool) -> Options:
    """
    Return the options that dictConfig may pass to *factory*.

    Args:
        factory: A class, or what else makes the part.
        section: ``formatters``, ``filters`` or ``handlers``.
        by_class: Whether ``class`` names it, not ``()``.
    """
    import inspect  # noqa: PLC0415  heavy, and not every configuration has classes

    try:
        parameters = inspect.signature(factory).parameters.values()
    except Exception:  # a class written in C may have no signature, or a broken one
        return ANY
    known, required, takes_all = [], [], False
    for each in parameters:
        if each.kind is each.VAR_KEYWORD:
            takes_all = True
        elif each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}:
            known.append(each.name)
        if each.default is each.empty and each.kind not in {
            each.VAR_KEYWORD,
            each.VAR_POSITIONAL,
        }:
            required.append(each.name)
    if section == "formatters" and "fmt" in known:
        known.append(_FORMAT)
    if by_class and QUEUES_NAME_HANDLERS and _is_queue(factory):
        known += _QUEUES
        required = [name for name in required if name != "queue"]
        required += ["handlers"] if _QUEUES_NEED_HANDLERS else []
    return Options(tuple(known), tuple(required), takes_all)


def _is_queue(factory: Any) -> bool:
    return isinstance(factory, type) and issubclass(
        factory, logging.handlers.QueueHandler
    )
