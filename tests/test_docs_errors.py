"""
What ``docs/errors.md`` says is printed is printed, and everything that is, it says.

A message is a heading of the third rank, then the blocks that provoke it, the line that
is printed, and the cure.  Before the configuration may stand a block of sh that prepares
the folder, after it one of Python.  A heading that names a version of Python holds for
that one alone.  The rows of a table are options, what is said of them, and the cure.
"""

from __future__ import annotations

import ast
import inspect
import logging
import logging.handlers
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import chimera_log
from chimera_log import filters, formatters, line, options, redact
from chimera_log.audit import chain, destination, index
from chimera_log.audit import handler as audit
from chimera_log.aws import access
from chimera_log.cloudwatch import handler as cloudwatch
from chimera_log.cloudwatch import rules
from chimera_log.config import (
    building,
    document,
    effective,
    interpolate,
    levels,
    live,
    overlay,
    reading,
    reloading,
    sources,
    swap,
)
from chimera_log.config import check as checks
from chimera_log.config.check import check
from chimera_log.config.findings import Refusal, dotted
from chimera_log.files import handlers, lines, stream
from chimera_log.options import ConfigError
from tests.test_check_mistakes import is_for_this_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from chimera_log.config.findings import Finding

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
HOME = "/srv/bot"  # what the page calls the folder
CHECKS = Path(str(checks.__file__)).parent
# All that these write down is said of a configuration, but for `UNSAID`.
SPEAKING: tuple[Path, ...] = (
    *sorted(CHECKS.glob("*.py")),
    *(
        Path(str(module.__file__))
        for module in (reading, interpolate, sources, overlay, building, document)
    ),
)
# And of these, what is given to an error.
RAISING: tuple[ModuleType, ...] = (
    *(options, effective, reloading, levels, live, filters, formatters, line, redact),
    *(handlers, lines, stream, audit, chain, destination, index),
    *(cloudwatch, rules, access),
)
SINCE = {"queues.py": "3.12+"}  # versions of Python where they speak
UNSAID = (
    "not configured yet",  # what dictConfig says
    "No handlers specified for a QueueHandler",
    "str | None",
    "256 MB",
    "(?P<name>",  # a pattern
)
OURS = tuple(  # in this order, for options that several have
    f"chimera_log.{name}"
    for name in (
        *("RotatingFileHandler", "CloudWatchHandler", "JsonFormatter"),
        *("AuditFileHandler", "ExecutionAuditFilter"),
    )
)
ALL = ("init_logging", "reload", "set_level")  # what blocks of Python call
NEEDED = {  # options of which a row says nothing
    "capacity": 100,
    "filename": "bot.log",
    "fromaddr": "bot",
    "host": "localhost",
    "mailhost": "localhost",
    "port": 514,
    "subject": "bot",
    "toaddrs": "ops",
    "url": "/",
}
MAKERS = {"finding", "error", "ConfigError", "Refusal"}
SECRETS = {"SHORT_KEY": "too short", "AUDIT_KEY": "0123456789abcdef"}


class Message(NamedTuple):
    """What stands below a heading."""

    heading: str
    blocks: dict[str, str]
    cure: str


class Row(NamedTuple):
    """What a table says of the options of a class."""

    kind: str
    written: str
    said: str
    cure: str


def sections() -> Iterator[tuple[str, str]]:
    """Yield each heading of the third rank, and what is below it."""
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, rest = section.partition("\n")
        yield heading, re.split(r"^## ", rest, flags=re.MULTILINE)[0]


def messages() -> list[Message]:
    """Return what the page holds, in order."""
    found = []
    for heading, rest in sections():
        if "\n| --- |" in rest:
            continue
        form = r"```(sh|yaml|json|python|text)\n(.*?)```\n"
        blocks = dict(re.findall(form, rest, re.DOTALL))
        cure = re.sub(form, "", rest, flags=re.DOTALL).strip()
        found.append(Message(heading, blocks, cure))
    return found


def rows() -> list[Row]:
    """Return the rows of the page's tables, in order."""
    found = []
    for heading, rest in sections():
        named = re.search(r"`([\w.]+)`", heading)
        for text in re.findall(r"^\|(.*)\|$", rest, re.MULTILINE):
            cells = [
                each.replace("\\|", "|").strip()
                for each in re.split(r"(?<!\\)\|", text)
            ]
            if not cells[-2].startswith("`"):
                continue  # the table's head
            written, said = (re.sub(r"^`+ ?| ?`+$", "", cell) for cell in cells[-3:-1])
            kind = cells[0].strip("`") if cells[3:] else named[1] if named else ""
            found.append(Row(kind, written, said, cells[-1]))
    return found


def is_for_here(heading: str) -> bool:
    """Whether *heading*, or the end of a row, is about this version of Python."""
    version = re.search(r"(before|since) Python (3\.\d+)", heading, re.IGNORECASE)
    if version is None:
        return True
    return is_for_this_python(f"{version[2]}+") == (version[1].lower() == "since")


def may(path: str, what: int, **_: bool) -> bool:
    """Whether an owner without special rights, unlike root, may do *what*."""
    return (Path(path).stat().st_mode >> 6) & what == what


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder of an ordinary user, on a small disk."""
    modules = {**sys.modules}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", may)
    disk = SimpleNamespace(f_bavail=5 * 10**6, f_frsize=1000)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(reloading, "_request", None)
    monkeypatch.setattr(live, "_running", swap.NOTHING)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    yield
    for name in {*sys.modules}.difference(modules):
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def found_in(file: str) -> list[Finding]:
    """Return what `chimera-log check` would find in *file*."""
    try:
        return check(effective.read_all(effective.files_of(Path(file))))
    except Refusal as refusal:
        return refusal.findings


def said_of(message: Message, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return all that is printed of a configuration, with the page's folder."""
    blocks = message.blocks
    shell = blocks.get("sh", "")
    for name, value in re.findall(r"^export (\w+)=(.*)$", shell, re.MULTILINE):
        monkeypatch.setenv(name, value)
    if shell:
        subprocess.run(["sh", "-ec", shell], check=True, timeout=60)
    for kind in {"json", "yaml"}.intersection(blocks):
        Path(f"logging.{kind}").write_text(blocks[kind], encoding="utf-8")
    file = "logging.json" if Path("logging.json").exists() else "logging.yaml"
    if "python" in blocks:
        with pytest.raises(ConfigError) as refused:
            exec(  # noqa: S102  it is ours
                blocks["python"], {each: getattr(chimera_log, each) for each in ALL}
            )
        said = [str(refused.value)]
    else:
        said = [str(finding) for finding in found_in(file)]
    return [each.replace(str(Path.cwd()), HOME) for each in said]


@pytest.mark.parametrize(
    "message",
    [each for each in messages() if is_for_here(each.heading)],
    ids=lambda message: message.heading,
)
def test_printed(message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The configuration provokes what is shown, to the letter, and there is a cure.
    """
    found = said_of(message, monkeypatch)
    printed = message.blocks["text"].splitlines()

    assert printed
    assert [] == [line for line in printed if not is_in(found, line)], found
    assert message.cure


def is_in(found: list[str], line: str) -> bool:
    """Whether *found* has *line*, in which dots may stand for the middle of a text."""
    form = ".*".join(re.escape(each) for each in line.split("..."))
    return any(re.fullmatch(form, each) for each in found)


def class_of(row: Row) -> str:
    """Return the dotted name of the class that has the options in *row*."""
    if row.kind:
        return row.kind
    names = re.findall(r"(\w+): ", re.sub(r"[{\[\"'].*?[}\]\"']", "", row.written))
    return next(
        each
        for each in OURS
        if {*names} <= {*inspect.signature(_named(each)).parameters}
    )


def _named(dotted_name: str) -> type:
    module, _, name = dotted_name.rpartition(".")
    found: type = getattr(sys.modules[module], name)
    return found


def part_of(number: int, row: Row) -> tuple[str, str]:
    """Return the section that *row* belongs to, and a line of it with its options."""
    kind = class_of(row)
    made = _named(kind)
    section = (
        "handlers"
        if issubclass(made, logging.Handler)
        else ("formatters" if issubclass(made, logging.Formatter) else "filters")
    )
    key = "class" if section == "handlers" else "()"
    more = "".join(
        f", {name}: {NEEDED[name]}"
        for name, each in inspect.signature(made).parameters.items()
        if each.default is each.empty and name in NEEDED
        # What is written twice would be a mistake of its own.
        if not re.search(rf"\b{name}: ", row.written)
    )
    return section, f"  r{number}: {{{key}: {kind}, {row.written}{more}}}"


def said_of_rows(every: list[Row]) -> dict[int, list[str]]:
    """Return all that is said of the options in each row, by its number."""
    Path("logs").mkdir()
    Path("bot.txt").touch()
    parts = [part_of(number, row) for number, row in enumerate(every)]
    text = "version: 1\n" + "".join(
        f"{section}:\n" + "".join(f"{each}\n" for of, each in parts if of == section)
        for section in ("formatters", "filters", "handlers")
    )
    found: dict[int, list[str]] = {number: [] for number in range(len(every))}
    for each in check(reading.parse(text, "logging.yaml")):
        if each.path[1:]:
            option = dotted(each.path[2:])
            said = f"{option}: {each.text}" if option else each.text
            found[int(str(each.path[1])[1:])].append(said)
    return found


def test_tables() -> None:
    """
    The options in a row provoke what it says, to the letter, and there is a cure.
    """
    every = [row for row in rows() if is_for_here(row.cure)]
    found = said_of_rows(every)

    assert {} == {
        row.written: (row.said, found[number])
        for number, row in enumerate(every)
        if row.said not in found[number]
    }
    assert all(row.cure for row in every)


def places_in(path: Path) -> Iterator[range]:
    """Yield the lines of each call in *path* that makes a message."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    others = {
        call
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and not all(map(is_for_here, texts_in(node)))
        for call in ast.walk(node)
    }
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "attr", getattr(called, "id", None))
        # Elsewhere a function of that name makes none.
        is_maker = name in MAKERS or (name == "_refusal" and path.name == "reading.py")
        if is_maker and node not in others:
            yield range(node.lineno, (node.end_lineno or 0) + 1)  # type: ignore[attr-defined]


def test_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Every place in the code that makes a message made one on the page.
    """
    made: set[tuple[str, int]] = set()

    def noting(make: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            caller = sys._getframe(1)
            made.add((caller.f_code.co_filename, caller.f_lineno))
            return make(*arguments, **named)

        return noted

    for home, name in (
        (document.Document, "finding"),
        (document.Document, "error"),
        (ConfigError, "__init__"),
        (Refusal, "__init__"),
        (reading, "_refusal"),
    ):
        monkeypatch.setattr(home, name, noting(getattr(home, name)))
    for number, message in enumerate(messages()):
        if is_for_here(message.heading):
            folder = tmp_path / str(number)
            folder.mkdir()
            with monkeypatch.context() as patched:
                patched.chdir(folder)
                patched.syspath_prepend(folder)
                said_of(message, patched)
    said_of_rows(rows())

    assert [] == [
        f"{path.name}:{lines.start}"
        for path in (*SPEAKING, *(Path(str(each.__file__)) for each in RAISING))
        if is_for_this_python(SINCE.get(path.name, "3+"))
        for lines in places_in(path)
        if not any((str(path), line) in made for line in lines)
    ]


def texts_in(node: ast.AST) -> Iterator[str]:
    """Yield the texts in *node* that have more than one word, but for docstrings."""
    docstrings = {each.value for each in ast.walk(node) if isinstance(each, ast.Expr)}
    for each in ast.walk(node):
        if (
            isinstance(each, ast.Constant)
            and isinstance(each.value, str)
            and each not in docstrings
        ):
            text = " ".join(each.value.split())
            if " " in text:
                yield text


def said_by_code() -> Iterator[str]:
    """Yield what messages are made of, in the code."""
    for path in SPEAKING:
        yield from texts_in(ast.parse(path.read_text(encoding="utf-8")))
    for module in RAISING:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            name = node.func if isinstance(node, ast.Call) else None
            called = getattr(name, "attr", getattr(name, "id", None))
            if called in {*MAKERS, "did_you_mean"}:
                yield from texts_in(node)


def test_complete() -> None:
    """
    All that messages are made of is printed somewhere on the page.
    """
    printed = "\n".join(
        [each.blocks["text"] for each in messages()] + [row.said for row in rows()]
    )
    printed = " ".join(printed.split())

    assert [] == [
        text
        for text in dict.fromkeys(said_by_code())
        if text not in printed and not any(each in text for each in UNSAID)
    ]


def test_index() -> None:
    """
    The index at the top links every heading, in order, and nothing else.
    """
    index = PAGE.partition("\n## ")[0]
    linked = re.findall(r"\[(.+?)\]\(#([\w-]*)\)", index)
    headings = re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)

    assert [(each, anchor(each)) for each in headings] == linked


def anchor(heading: str) -> str:
    """Return the fragment that GitHub gives *heading*."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
