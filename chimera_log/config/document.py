"""
Read a configuration file, and remember where each key stands.

The only module that imports yaml, and only when a file is read.  Nothing is
applied here.
"""

from __future__ import annotations

import os
from pathlib import Path

from chimera_log.options import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG_VARIABLE = "CHIMERA_LOG_CONFIG"
PACKAGED = Path(__file__).parent.parent / "logging.yaml"


class Document:
    """
    A configuration and its source.

    Args:
        content: The mapping that dictConfig takes; plain containers.
        source: What an error names: the file's path, or ``config``.
        lines: The line of each key, by its path from the root.
    """

    def __init__(
        self,
        content: dict[str, Any],
        source: str,
        lines: dict[tuple[str, ...], int] | None = None,
    ) -> None:
        self.content = content
        self.source = source
        self._lines = lines or {}

    def copy(self) -> dict[str, Any]:
        """
        Return the content with its containers copied.

        What else a mapping given by a program holds, a stream say, stays.

        Raises:
            ConfigError: If it is too deep, or contains itself.
        """
        try:
            return {key: _copied(value) for key, value in self.content.items()}
        except RecursionError:
            raise self.error((), "is nested too deeply, or contains itself") from None

    def section(self, content: dict[str, Any], name: str) -> dict[str, Any]:
        """
        Return section *name* of *content*, made if it is missing or empty.

        Raises:
            ConfigError: If it is no mapping.
        """
        section = content.get(name)
        if section is None:
            section = content[name] = {}
        if not isinstance(section, dict):
            raise self.error((name,), f"{section!r} must be a mapping")
        return section

    def error(self, path: tuple[str, ...], what: str) -> ConfigError:
        """Return the error that says *what* is wrong at *path*."""
        place = self.source
        for length in range(len(path), 0, -1):  # a key that is missing has no line
            line = self._lines.get(path[:length])
            if line is not None:
                place += f":{line}"
                break
        dotted = ".".join(path)
        return ConfigError(f"{place}: {dotted + ': ' if dotted else ''}{what}")


def find(config: str | os.PathLike[str] | None) -> Path:
    """
    Return the file to read.

    The first of: *config*, the environment's ``CHIMERA_LOG_CONFIG``,
    ``./logging.yaml``, and the file that comes with the package.
    """
    given = config or os.environ.get(CONFIG_VARIABLE)
    if given:
        return Path(os.path.expanduser(given))  # noqa: PTH111  does not raise
    # Not Path.is_file, which raises where the directory cannot be searched.
    here = os.path.isfile("logging.yaml")  # noqa: PTH113
    return Path("logging.yaml") if here else PACKAGED


def read(path: Path) -> Document:
    """
    Return the configuration in the YAML file at *path*.

    Raises:
        ConfigError: If it cannot be read, is no YAML, or is no mapping.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{path}: cannot be read: {reason}; name another file with the argument "
            f"`config` or with {CONFIG_VARIABLE}"
        ) from error
    return parse(source, str(path))


def parse(source: str, name: str) -> Document:
    """
    Return the configuration in the YAML text *source*, called *name* in errors.

    Raises:
        ConfigError: If it is no YAML, or no mapping with text keys.
    """
    import yaml  # noqa: PLC0415  half the cost of importing the package; read when needed

    try:
        loader = yaml.SafeLoader(source)
        node = loader.get_single_node()
        # This also puts the keys that `<<` merges into their nodes.
        content = None if node is None else loader.construct_document(node)
        lines = _lines(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{name}{place}: is no YAML: {error.problem}; indent with spaces, and quote "
            "a value that starts with one of @ ` % { [ or holds ': '"
        ) from error
    except Exception as error:  # PyYAML lets through what its constructors raise
        words = str(error) if isinstance(error, ValueError) else repr(error)
        reason = " ".join(words.split())
        raise ConfigError(f"{name}: is no YAML: {reason}; correct it") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{name}: must be a mapping that begins with `version: 1`, not {type(content).__name__}"
        )
    return Document(content, name, lines)


def _lines(node: Any) -> dict[tuple[str, ...], int]:
    """Return the line, from 1, of each key in a mapping node and those inside."""
    lines: dict[tuple[str, ...], int] = {}
    if node is None or node.id != "mapping":
        return lines
    todo: list[tuple[tuple[str, ...], Any]] = [((), node)]
    for path, mapping in todo:  # grows while it is walked; YAML's aliases end at 10,000
        for key, value in mapping.value:
            inner = (*path, str(key.value))
            lines[inner] = key.start_mark.line + 1
            if value.id == "mapping" and len(todo) < 10_000:  # noqa: PLR2004
                todo.append((inner, value))
    return lines


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value))
    return value
