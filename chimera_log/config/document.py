"""
A configuration that remembers where each of its keys and values is written.
"""

from __future__ import annotations

from typing import NamedTuple

from chimera_log.config.findings import ERROR, Finding, Place, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from chimera_log.config.findings import Path


class Node(NamedTuple):
    """Where a key and its value are written, and how, if the value is not quoted."""

    key: Place | None  # an item of a list has none
    value: Place
    plain: str | None  # the value's letters, where YAML was free to choose its type
    plain_key: str | None = None  # and the key's


class Document:
    """
    A configuration and its source.

    Args:
        content: The mapping that dictConfig takes; plain containers.
        source: What an error names: the file's path, or ``config``.
        nodes: Finds out where everything is written, when an error asks first; keys
            are paths from the root.
        texts: The text of each file that it was read from, to show lines of.
        duplicates: Keys that are given again, and where each was given first.
    """

    def __init__(
        self,
        content: dict[str, Any],
        source: str,
        nodes: Callable[[], dict[Path, Node]] = dict,
        *,
        texts: Mapping[str, str] | None = None,
        duplicates: Mapping[Path, tuple[Place, Place]] | None = None,
    ) -> None:
        self.content = content
        self.source = source
        self.texts = dict(texts or {})
        self.duplicates = dict(duplicates or {})
        self._find_nodes = nodes
        self._found: dict[Path, Node] | None = None

    @property
    def nodes(self) -> dict[Path, Node]:
        """Where everything is written; empty for what a program made."""
        if self._found is None:
            self._found = self._find_nodes()
        return self._found

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
            what = "is nested too deeply, or contains itself; nest less"
            raise self.error((), what) from None

    def having(self, content: dict[str, Any]) -> Document:
        """Return the same with other *content*, written at the same places."""
        return Document(
            content,
            self.source,
            lambda: self.nodes,
            texts=self.texts,
            duplicates=self.duplicates,
        )

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

    def value_place(self, path: Path) -> Place:
        """
        Return where the value at *path* is.

        That is its key if it begins below it, and the nearest key around if it is
        missing.
        """
        node = self.nodes.get(path)
        if node is None:
            return self.key_place(path[:-1])
        begins_below = node.key is not None and node.key.line != node.value.line
        return self.key_place(path) if begins_below else node.value

    def key_place(self, path: Path) -> Place:
        """Return where the key at *path* is, or else the nearest one around it."""
        for length in range(len(path), 0, -1):
            node = self.nodes.get(path[:length])
            if node is not None:
                return node.key or node.value
        return Place(self.source)

    def plain(self, path: Path) -> str | None:
        """Return how the value at *path* is written, if it is not quoted."""
        node = self.nodes.get(path)
        return node.plain if node else None

    def finding(
        self, path: Path, text: str, *, severity: str = ERROR, at_key: bool = False
    ) -> Finding:
        """
        Return what is wrong at *path*.

        Args:
            path: From the root.
            text: What is wrong; then, after a semicolon, what to do.
            severity: ``error`` or ``warning``.
            at_key: Whether the key is wrong, and not its value.
        """
        place = self.key_place(path) if at_key else self.value_place(path)
        return Finding(place, severity, path, text)

    def error(self, path: Path, what: str, *, at_key: bool = False) -> Refusal:
        """Return the error that says *what* is wrong at *path*."""
        return Refusal([self.finding(path, what, at_key=at_key)])


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value))
    return value
