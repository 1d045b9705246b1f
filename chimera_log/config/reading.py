"""
Read a configuration file, YAML or JSON, and remember where each key stands.

The only module that imports yaml, and only when it is needed.  Nothing is applied
here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from chimera_log.config.document import Document, Node
from chimera_log.config.findings import ERROR, LINE_BREAK, Finding, Place, Refusal
from chimera_log.config.sources import CONFIG_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chimera_log.config.findings import Path as KeyPath

_MOST_CONTAINERS = 10_000  # YAML's aliases can repeat a few lines without end,
_DEEPEST = 100  # or lead round in a circle


def read(path: Path) -> Document:
    """
    Return the configuration in the file at *path*: JSON if it is named so, or YAML.

    Raises:
        ConfigError: If it cannot be read, is not what it is named, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(
            Place(str(path)), f"is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refusal(
            Place(str(path)),
            f"cannot be read: {reason}; name another file with the argument "
            f"`config` or with {CONFIG_VARIABLE}",
        ) from error
    return (parse_json if path.suffix == ".json" else parse)(text, str(path))


def parse(text: str, name: str) -> Document:
    """
    Return the configuration in the YAML *text*, called *name* in errors.

    Raises:
        ConfigError: If it is no YAML, or no mapping.
    """
    import yaml  # noqa: PLC0415  half the cost of importing the package; read when needed

    try:
        # libyaml, where PyYAML was built with it, is ten times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        root = loader.get_single_node()
        tree = _Tree(name, loader.construct_object, {}, {})
        tree.note(root)
        # This also puts the keys that `<<` merges into their nodes.
        content = None if root is None else loader.construct_document(root)
        merged = _Tree(name, loader.construct_object, {}, {})
        merged.note(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
        remedy = _remedy(str(error.problem), text, place)
        raise _refusal(place, f"is no YAML: {error.problem}; {remedy}") from error
    except Exception as error:  # PyYAML lets through what its constructors raise
        words = str(error) if isinstance(error, ValueError) else repr(error)
        reason = " ".join(words.split())
        raise _refusal(Place(name), f"is no YAML: {reason}; correct it") from error
    return Document(
        _mapping(content, name),
        name,
        lambda: merged.nodes,
        texts={name: text},
        duplicates=tree.duplicates,
    )


def parse_json(text: str, name: str) -> Document:
    """
    Return the configuration in the JSON *text*, called *name* in errors.

    Raises:
        ConfigError: If it is no JSON, or no mapping.
    """
    twice = False

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(pairs)
        twice = twice or len(found) < len(pairs)
        return found

    try:
        content = json.loads(text, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        place = Place(name, error.lineno, error.colno)
        raise _refusal(place, f"is no JSON: {error.msg}; correct it") from error
    except RecursionError as error:
        what = "is no JSON: it is nested too deeply; correct it"
        raise _refusal(Place(name), what) from error
    duplicates = _as_yaml(text, name).duplicates if twice else None
    return Document(
        _mapping(content, name),
        name,
        lambda: _as_yaml(text, name).nodes,
        texts={name: text},
        duplicates=duplicates,
    )


def typed(text: str) -> Any:
    """Return the number, boolean or null that *text* is in YAML, or else the text."""
    import yaml  # noqa: PLC0415  as above

    loader: Any = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    kind = tag.rpartition(":")[2]
    if kind not in {"bool", "float", "int", "null"}:
        return text
    return loader.construct_object(yaml.ScalarNode(tag, text))


def _remedy(problem: str, text: str, place: Place) -> str:
    """Return what to do about *problem* at *place*, as far as that can be told."""
    lines = ["", *LINE_BREAK.split(text)]
    line = "".join(lines[place.line : place.line + 1])
    letter = line[place.column - 1 : place.column]
    if letter == "\t":
        return "indent with spaces, not with tabs"
    if letter in {"@", "`", "%"}:
        return f"quote a value that starts with {letter}"
    if "constructor for the tag" in problem:
        return "remove the tag, which plain YAML does not know"
    if problem.startswith("mapping values"):
        return "quote a value that holds ': '"
    return (
        "give what belongs together the same indentation, in spaces, and close each "
        "bracket and quote"
    )


def _as_yaml(json_text: str, name: str) -> Document:
    """Return what is the same in YAML, which tells where everything is."""
    # JSON has tabs between its tokens only, where YAML wants spaces.
    return parse(json_text.replace("\t", " "), name)


class _Tree(NamedTuple):
    """What the nodes of a YAML document tell: places, and keys that come twice."""

    source: str
    read: Callable[[Any], Any]  # what the node of a key means
    nodes: dict[KeyPath, Node]
    duplicates: dict[KeyPath, tuple[Place, Place]]

    def note(self, root: Any) -> None:
        """Note everything in *root* and below."""
        todo: list[tuple[KeyPath, Any]] = [((), root)] if root is not None else []
        for path, node in todo:  # grows while it is walked
            if node.id == "mapping":
                inner = self._note_mapping(path, node)
            elif node.id == "sequence":
                inner = [
                    ((*path, index), each) for index, each in enumerate(node.value)
                ]
                self.nodes.update(
                    (where, Node(None, self._place(each), _plain(each)))
                    for where, each in inner
                )
            else:
                continue
            if len(todo) < _MOST_CONTAINERS and len(path) < _DEEPEST:
                todo += inner

    def _note_mapping(self, path: KeyPath, node: Any) -> list[tuple[KeyPath, Any]]:
        inner = []
        for key, value in node.value:
            is_name = key.id == "scalar" and key.value != "<<"
            where = (*path, str(self.read(key) if is_name else key.value))
            place = self._place(key)
            if where in self.nodes and self.nodes[where].key != place:
                first = self.nodes[where].key
                self.duplicates[where] = (place, first or place)
            self.nodes[where] = Node(
                place, self._place(value), _plain(value), _plain(key)
            )
            inner.append((where, value))
        return inner

    def _place(self, node: Any) -> Place:
        mark = node.start_mark
        return Place(self.source, mark.line + 1, mark.column + 1)


def _plain(node: Any) -> str | None:
    is_plain = node.id == "scalar" and not node.style
    return str(node.value) if is_plain else None


def _mapping(content: Any, name: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise _refusal(
            Place(name),
            "must be a mapping that begins with `version: 1`, "
            f"not {type(content).__name__}",
        )
    return content


def _refusal(place: Place, text: str) -> Refusal:
    return Refusal([Finding(place, ERROR, (), text)])
