"""
Tell which options a class takes, from its signature.
"""

from __future__ import annotations

import logging.config
import logging.handlers
from types import FunctionType
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
_VAR_KEYWORDS = 0x08  # CO_VARKEYWORDS of a function's code
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
    found = _written(factory) or _inspected(factory)
    known, required = list(found.known), list(found.required)
    if section == "formatters" and "fmt" in known:
        known.append(_FORMAT)
    if by_class and QUEUES_NAME_HANDLERS and _is_queue(factory):
        known += _QUEUES
        required = [name for name in required if name != "queue"]
        required += ["handlers"] if _QUEUES_NEED_HANDLERS else []
    return Options(tuple(known), tuple(required), found.takes_all)


def _written(factory: Any) -> Options | None:
    """
    Return the options of a plain class or function, as its code says.

    That spares the import of `inspect`, a tenth of what a check takes.
    """
    is_class = type(factory) is type and all(
        "__new__" not in each.__dict__ for each in factory.__mro__[:-1]
    )
    made_by: Any = factory.__init__ if is_class else factory
    if type(made_by) is not FunctionType or made_by.__code__.co_posonlyargcount:
        return None
    if hasattr(factory, "__signature__") or hasattr(made_by, "__wrapped__"):
        return None
    code = made_by.__code__
    count = code.co_argcount
    names = code.co_varnames[: count + code.co_kwonlyargcount]
    optional = {*names[count - len(made_by.__defaults__ or ()) : count]}
    optional |= {*(made_by.__kwdefaults__ or ())}
    known = names[is_class:]
    required = tuple(name for name in known if name not in optional)
    return Options(known, required, bool(code.co_flags & _VAR_KEYWORDS))


def _inspected(factory: Any) -> Options:
    """Return the options of anything that can be called."""
    import inspect  # noqa: PLC0415  rarely needed, and heavy

    try:
        parameters = inspect.signature(factory).parameters.values()
    except Exception:  # a class written in C may have no signature, or a broken one
        return ANY
    named = {
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }
    collecting = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return Options(
        tuple(each.name for each in parameters if each.kind in named),
        tuple(
            each.name
            for each in parameters
            if each.default is each.empty and each.kind not in collecting
        ),
        any(each.kind is each.VAR_KEYWORD for each in parameters),
    )


def _is_queue(factory: Any) -> bool:
    return isinstance(factory, type) and issubclass(
        factory, logging.handlers.QueueHandler
    )
