"""
Build a configuration once and throw it away, to find out whether it can work.

`logging.config.dictConfig` closes the running handlers before it knows that
their successors can be built, and leaves a service half deaf when one cannot.
A rehearsal fails first, says where, and touches nothing that runs.
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from contextlib import suppress

from chimera_log.options import LEVELS, ConfigError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.config.document import Document

_SECTIONS = ("formatters", "filters", "handlers")
_UNKNOWN_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")


def rehearse(document: Document, content: dict[str, Any]) -> None:
    """
    Build every formatter, filter and handler of *content*, and discard them.

    Args:
        document: Where *content* comes from, for the error.
        content: What dictConfig would be given.

    Raises:
        ConfigError: If dictConfig would fail.
    """
    if content.get("version") != 1 or isinstance(content["version"], bool):
        found = content.get("version")
        raise document.error(
            ("version",), f"{found!r} is not supported; write `version: 1`"
        )
    incremental = content.get("incremental")
    for section in ("formatters", "filters", "handlers", "loggers"):
        for name, part in document.section(content, section).items():
            path = (section, str(name))
            if not isinstance(name, str):
                raise document.error(path, f"YAML reads the name as {name!r}; quote it")
            if not isinstance(part, dict):
                raise document.error(path, f"{part!r} must be a mapping")
            if section in {"handlers", "loggers"}:
                _check_level(document, path, part)
            elif str(part.get("class")).startswith("chimera_log."):
                # dictConfig would drop a formatter's options, and replace a filter
                # by one that lets everything pass.
                what = "dictConfig would ignore its options; write `():`"
                raise document.error((*path, "class"), what)
            if section == "handlers" and not incremental and not _names_class(part):
                raise document.error(path, "has no class; add `class:`")
    root = document.section(content, "root")
    _check_level(document, ("root",), root)
    if incremental:  # changes levels only, and names nothing
        return
    for section in ("handlers", "loggers"):
        for name, part in content[section].items():
            _check_references(document, content, (section, name), part)
    _check_references(document, content, ("root",), root)
    _Rehearsal(document, content).run()


class _Rehearsal:
    """
    One trial run of what dictConfig would build.

    Args:
        document: Where *content* comes from, for the error.
        content: Checked so far that sections and their parts are mappings.
    """

    def __init__(self, document: Document, content: dict[str, Any]) -> None:
        self._document = document
        # Parts are copied, since the configurator takes options out of them.
        self._trial: Any = logging.config.DictConfigurator(
            {
                section: {name: dict(part) for name, part in parts.items()}
                if section in _SECTIONS
                else parts
                for section, parts in content.items()
            }
        )
        self._built: list[logging.Handler] = []

    def run(self) -> None:
        """Build everything, in dictConfig's order, and close what was built."""
        try:
            for name in self._trial.config["formatters"]:
                self._build(self._trial.configure_formatter, "formatters", name)
            for name in self._trial.config["filters"]:
                self._build(self._trial.configure_filter, "filters", name)
            # A handler that names another one may have to wait for it.
            waiting = sorted(self._trial.config["handlers"])
            for name in [
                name for name in waiting if not self._build_handler(name, wait=True)
            ]:
                self._build_handler(name, wait=False)
        finally:
            for handler in self._built:
                with suppress(Exception):  # a foreign handler's
                    handler.close()

    def _build_handler(self, name: str, *, wait: bool) -> bool:
        """Build handler *name*; whether that was done, or must *wait*."""
        try:
            self._built.append(
                self._build(self._trial.configure_handler, "handlers", name)
            )
        except _NotYetError:
            if not wait:
                raise
            return False
        return True

    def _build(self, build: Callable[[Any], Any], section: str, name: str) -> Any:
        parts = self._trial.config[section]
        try:
            if section == "handlers" and self._opens_a_file(parts[name]):
                parts[name]["delay"] = True
            parts[name] = part = build(parts[name])
        except Exception as error:
            raise self._explained((section, name), error) from error
        return part

    def _opens_a_file(self, part: dict[str, Any]) -> bool:
        """Whether building *part* might open a file, or with mode w empty it."""
        named = part.get("class")
        kind = self._trial.resolve(named) if isinstance(named, str) else named
        is_file = isinstance(kind, type) and issubclass(kind, logging.FileHandler)
        return is_file and kind.__module__ in {"logging", "logging.handlers"}

    def _explained(self, path: tuple[str, str], error: Exception) -> ConfigError:
        """Return *error*, raised while building the part at *path*, in our words."""
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ConfigError):  # ours: "option: what; what to do"
            option, _, what = str(cause).partition(": ")
            return self._document.error((*path, *option.split(".")), what)
        if match := _UNKNOWN_OPTION.search(str(cause)):
            # dictConfig tries an unknown `stream` again under its name of old.
            option = "stream" if match[1] == "strm" else match[1]
            known = self._options(path)
            hint = did_you_mean(option, known) if known else "remove it"
            return self._document.error((*path, option), f"no such option; {hint}")
        words = " ".join(
            (str(error) if cause is error else f"{error}: {cause}").split()
        )
        described = (
            f"cannot be built: {type(cause).__name__}: {words}; see its documentation"
        )
        located = self._document.error(path, described)
        return _NotYetError(located) if " not configured yet" in str(cause) else located

    def _options(self, path: tuple[str, str]) -> list[str]:
        """Return the options that the class at *path* takes, where that is known."""
        import inspect  # noqa: PLC0415  only an error needs it, and it is heavy

        section, name = path
        part = self._document.content[section][name]
        try:
            factory = part.get("()", part.get("class"))
            factory = (
                self._trial.resolve(factory) if isinstance(factory, str) else factory
            )
            parameters = inspect.signature(factory).parameters.values()
        except Exception:  # a class written in C may have no signature
            return []
        named = {
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
        }
        own = [parameter.name for parameter in parameters if parameter.kind in named]
        return own + (
            ["formatter", "filters", "level"] if section == "handlers" else []
        )


class _NotYetError(ConfigError):
    """A handler names another one that is not built yet."""


def _names_class(handler: dict[str, Any]) -> bool:
    return handler.get("class") is not None or "()" in handler


def _check_references(
    document: Document,
    content: dict[str, Any],
    path: tuple[str, ...],
    part: dict[str, Any],
) -> None:
    """Raise unless every formatter, filter and handler that *part* names exists."""
    of_handler = path[0] == "handlers"
    if of_handler and part.get("formatter") is not None:
        _check_known(document, content, (*path, "formatter"), part["formatter"])
    for key in ("filters",) if of_handler else ("filters", "handlers"):
        listed = part.get(key) or []
        if not isinstance(listed, (list, tuple)):
            what = f"{listed!r} must be a list; write [{listed}]"
            raise document.error((*path, key), what)
        for name in listed:
            # Since Python 3.11 a program may give a filter itself.
            given = sys.version_info >= (3, 11) and key == "filters"
            if not (given and (callable(name) or hasattr(name, "filter"))):
                _check_known(document, content, (*path, key), name)


def _check_known(
    document: Document, content: dict[str, Any], path: tuple[str, ...], name: Any
) -> None:
    """Raise unless *name*, found at *path*, is defined in its section."""
    section = path[-1] if path[-1].endswith("s") else f"{path[-1]}s"
    known = content[section]
    if not isinstance(name, str) or name not in known:
        noun = section.removesuffix("s")
        hint = did_you_mean(str(name), known) if known else f"add it under {section}"
        raise document.error(path, f"no {noun} is called {name!r}; {hint}")


def _check_level(
    document: Document, path: tuple[str, ...], logger: dict[str, Any]
) -> None:
    level = logger.get("level")
    if isinstance(level, bool):
        raise document.error(
            (*path, "level"),
            f"YAML reads it as {level}, which logs everything; quote it",
        )
    known = logging.getLevelName(level) if isinstance(level, str) else level
    if level is not None and not isinstance(known, int):
        hint = did_you_mean(str(level).upper(), LEVELS)
        raise document.error((*path, "level"), f"{level!r} is no level; {hint}")
