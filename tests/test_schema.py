"""
The JSON Schema knows what the classes take, and agrees with what checks a file.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

import chimera_log
from chimera_log import options
from chimera_log.cli import main
from chimera_log.config.check import check
from chimera_log.config.document import Document
from chimera_log.config.schema import HANDLERS, documented, schema
from chimera_log.config.schema.stdlib import REQUIRED, STDLIB
from chimera_log.config.schema.values import DURATION, SIZE, value_of
from chimera_log.config.sources import PACKAGED, SCHEMA
from chimera_log.options import ConfigError
from tests.generated import FILES, ROOT

DATA = Path(__file__).parent / "data"
MARKER = "# schema: cannot know"
CONTENT: dict[str, Any] = json.loads(SCHEMA.read_text())
VALIDATOR = Draft7Validator(CONTENT)
CLASSES = (*HANDLERS, "JsonFormatter", "ExecutionAuditFilter")


def as_json(value: Any) -> Any:
    """Return what YAML read as an editor sees it: all keys are text."""
    if isinstance(value, dict):
        return {str(key): as_json(each) for key, each in value.items()}
    return [as_json(each) for each in value] if isinstance(value, list) else value


def refused(text: str) -> bool:
    """Whether the YAML *text* does not match the schema, or cannot be read at all."""
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return True
    return not VALIDATOR.is_valid(as_json(content))


def part(schema: Any) -> Draft7Validator:
    """Return what validates by a part of the schema, which may refer to the rest."""
    return Draft7Validator({**schema, "definitions": CONTENT["definitions"]})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_up_to_date(path: Path) -> None:
    """
    What is made of the code was made of this code: ``python -m tests.generated``.
    """
    assert path.read_text(encoding="utf-8") == FILES[path]()


def test_is_a_schema() -> None:
    """
    It is one itself.
    """
    Draft7Validator.check_schema(schema())
    assert "http://json-schema.org/draft-07/schema#" == schema()["$schema"]


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """
    The command prints the file as it is shipped.
    """
    assert 0 == main(["schema"])
    assert SCHEMA.read_text() == capsys.readouterr().out


class TestShipped:
    def test_first_line(self) -> None:
        """
        An editor finds the schema by the first line of logging.yaml.
        """
        first = (ROOT / "logging.yaml").read_text().splitlines()[0]
        path = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", first)

        assert path is not None
        assert (ROOT / "chimera_log" / "config" / SCHEMA.name) == ROOT / path[1]

    def test_is_valid(self) -> None:
        """
        The shipped logging.yaml matches it.
        """
        assert not refused(PACKAGED.read_text())

    def test_what_it_says_in_comments(self) -> None:
        """
        So does what the shipped file says in its comments.
        """
        text = PACKAGED.read_text()
        for written in re.findall(r"^    # (\w+: \{.*\}) +#", text, re.MULTILINE):
            json_formatter = "(): chimera_log.JsonFormatter}"
            changed = text.replace(json_formatter, f"{json_formatter}\n    {written}")
            assert not refused(changed), written


class TestCorpus:
    """
    Files of others, good ones and ones with a mistake.

    What no schema can know of, since it is somewhere else or takes running code, has
    the comment ``# schema: cannot know``.
    """

    def test_good(self) -> None:
        """
        Good configurations match it.
        """
        files = [*DATA.glob("good/*.yaml"), *DATA.glob("good/*.json"), PACKAGED]

        assert [] == [each.name for each in files if refused(each.read_text())]

    def test_mistakes(self) -> None:
        """
        Those with a mistake do not, but for those that are marked.
        """
        texts = {each.name: each.read_text() for each in DATA.glob("mistakes/*")}

        assert {} == {
            name: "unmarked, and matches" if MARKER not in text else "marked in vain"
            for name, text in texts.items()
            if refused(text) == (MARKER in text)
        }


WHOLE = """
version: 1
formatters: {json: {(): chimera_log.JsonFormatter}}
filters: {trail: {(): chimera_log.ExecutionAuditFilter}}
handlers:
  file: {class: chimera_log.RotatingFileHandler, filename: a.log, formatter: json}
root: {level: INFO, handlers: [file]}
loggers: {bot: {level: DEBUG}}
"""


class TestMistakes:
    def test_none(self) -> None:
        """
        What the mistakes below are made in has none.
        """
        assert not refused(WHOLE)

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [
            ("version: 1\n", ""),
            ("version: 1", "version: 2"),
            ("version: 1", "version: true"),
            ("version: 1", "version: 1\nincremental: 'no'"),
            ("version: 1", "version: 1\nwatch: soon"),
            ("loggers:", "logers:"),
            ("handlers:\n", "Handlers:\n"),
            ("root:", "rooot:"),
            ("level: INFO", "level: LOUD"),
            ("level: INFO", "level: off"),
            ("level: INFO", "lvl: INFO"),
            ("level: INFO", "level: 1.5"),
            ("level: DEBUG", "propagate: 'no'"),
            ("handlers: [file]", "handlers: file"),
            ("a.log,", "a.log, maxBytes: 100 XB,"),
            ("a.log,", "a.log, maxbytes: 100,"),
            ("a.log,", "a.log, backupCount: '5',"),
            ("a.log,", "a.log, compression: zip,"),
            ("a.log,", "a.log, delay: false,"),
            ("formatter: json", "formatter: [json]"),
            ("filename: a.log,", ""),
            ("class: chimera_log.RotatingFileHandler, ", ""),
            ("class: chimera_log.", "(): x.y, class: chimera_log."),
            ("chimera_log.RotatingFileHandler", "chimera_log.FileHandler"),
            ("chimera_log.RotatingFileHandler", "RotatingFileHandler"),
            ("chimera_log.RotatingFileHandler", "logging.StreamHandler"),
            ("(): chimera_log.Json", "class: chimera_log.Json"),
            ("chimera_log.JsonFormatter", "chimera_log.JSONFormatter"),
            ("JsonFormatter}", "JsonFormatter, field: {}}"),
            ("JsonFormatter}", "JsonFormatter, redact: {key: [a]}}"),
            ("{(): chimera_log.JsonFormatter}", "{fmt: '%(message)s'}"),
            ("(): chimera_log.Exec", "class: chimera_log.Exec"),
            ("AuditFilter}", "AuditFilter, events: execution_attempt}"),
        ],
    )
    def test_refused(self, right: str, wrong: str) -> None:
        """
        A mistake of form is one, whoever reads it.
        """
        assert right in WHOLE
        assert refused(WHOLE.replace(right, wrong, 1))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("version: 1", "version: 1\nx-part: {a: 1}"),
            ("version: 1", "version: 1\n.part: {a: 1}"),
            ("version: 1", "version: 1\nsettings: {a: 1}"),
            ("version: 1", "version: 1\nformats: {a: 1}"),
            ("version: 1", "version: 1\nwatch: 5 s"),
            ("version: 1", "version: 1\nincremental: true"),
            ("level: INFO", "level: 15"),
            ("level: INFO", "level: '${LEVEL:-INFO}'"),
            ("a.log,", "a.log, maxBytes: '${SIZE:-100 MB}',"),
            ("a.log,", "a.log, maxBytes: cfg://settings.size,"),
            ("a.log,", "a.log, mode: '0640',"),
            ("a.log,", "a.log, rotate_at: null,"),
            ("{class: chimera_log.", "{(): chimera_log."),
            (
                "chimera_log.RotatingFileHandler",
                "chimera_log.files.RotatingFileHandler",
            ),
            ("chimera_log.RotatingFileHandler", "somebody.elses.Handler"),
            ("chimera_log.JsonFormatter", "somebody.elses.Formatter"),
            ("{(): chimera_log.JsonFormatter}", "{format: '%(message)s'}"),
            ("{(): chimera_log.JsonFormatter}", "{class: a.b, format: '%(message)s'}"),
            ("{(): chimera_log.ExecutionAuditFilter}", "{name: bot}"),
            ("{(): chimera_log.ExecutionAuditFilter}", "{}"),
            ("level: DEBUG", "level: NOTSET, propagate: false, filters: [trail]"),
        ],
    )
    def test_accepted(self, before: str, after: str) -> None:
        """
        What others may write is none.
        """
        assert before in WHOLE
        assert not refused(WHOLE.replace(before, after, 1))

    def test_incremental(self) -> None:
        """
        A configuration that only changes levels names no classes.
        """
        text = "{version: 1, incremental: true, handlers: {file: {level: %s}}}"

        assert not refused(text % "INFO")
        assert refused(text % "LOUD")

    @pytest.mark.parametrize("kind", sorted(STDLIB))
    def test_stdlib(self, kind: str) -> None:
        """
        The standard library's handlers have their options, and need some.
        """
        needed = {name: _plausible(name) for name in REQUIRED.get(kind, [])}
        content: Any = {"version": 1, "handlers": {"it": {"class": kind, **needed}}}
        assert VALIDATOR.is_valid(content)
        for name in needed:
            lacking = {key: each for key, each in needed.items() if key != name}
            part = {"class": kind, **lacking}
            assert not VALIDATOR.is_valid({"version": 1, "handlers": {"it": part}})
        content["handlers"]["it"]["colour"] = "red"
        assert not VALIDATOR.is_valid(content)


def _plausible(name: str) -> Any:
    return 514 if name in {"port", "capacity"} else "text"


WORDS = st.sampled_from(
    [*options._UNITS, *options._MILLISECONDS, "M", "m", "month", "KiloB", "Minutes"]
)
QUANTITIES = st.builds(
    "{}{}{}".format,
    st.one_of(st.from_regex(r"[0-9][0-9_]{0,3}(\.[0-9])?(e1)?", fullmatch=True)),
    st.sampled_from(["", " "]),
    WORDS.flatmap(lambda word: st.sampled_from([word, word.upper(), word.lower()])),
)


@given(QUANTITIES)
def test_quantities(text: str) -> None:
    """
    A size and a duration are to the schema what they are to the options.
    """
    for known, reads in ((SIZE, options.size), (DURATION, options.duration)):
        try:
            reads("it", text)
            is_right = True
        except ConfigError as error:
            is_right = "too long" in str(error)
        assert is_right == part(known).is_valid(text)


VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        5,
        -1,
        0o640,
        30,
        5000,
        1.5,
        "",
        "a",
        "5",
        "5 s",
        "100 MB",
    ),
    *(
        "0640",
        "640",
        "utf-8",
        "UTF8",
        "latin-1",
        "midnight",
        "noon",
        "gzip",
        "zip",
        "auto",
    ),
    *(
        "always",
        "interval",
        "never",
        "caller",
        "thread",
        "block",
        "drop_oldest",
        "STANDARD",
    ),
    *([], ["a"], [1], {}, {"a": "b"}, {"a": 1}, {"keys": ["a"]}, {"key": ["a"]}),
)
NEEDED: dict[str, dict[str, Any]] = {
    "RotatingFileHandler": {"filename": "a.log", "backupCount": 5},
    "AuditFileHandler": {"filename": "a.log", "backupCount": 5},
}


# What is there for drop-ins only, and a stream, which is none of these.
IGNORED = {"style", "validate", "errors", "stream"}


def is_taken(kind: str, option: str, value: Any) -> bool:
    """Whether the class *kind* can be made with that *value*."""
    try:
        made = getattr(chimera_log, kind)(**{**NEEDED.get(kind, {}), option: value})
    except ConfigError:
        return False
    if kind in HANDLERS:
        made.close()
    return True


@pytest.mark.parametrize("kind", CLASSES)
def test_no_false_alarm(kind: str) -> None:
    """
    What a class takes matches the schema, option by option.
    """
    base = chimera_log.RotatingFileHandler
    alarms = [
        (option.name, value)
        for option in documented.options_of(getattr(chimera_log, kind), base)
        for value in VALUES
        if option.name not in IGNORED
        and not part(value_of(kind, option)).is_valid(value)
        and is_taken(kind, option.name, value)
    ]

    assert [] == alarms


def places_in(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that is in *content*."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    found = [path] if path else []
    for key, value in inner:
        found += places_in(value, (*path, key))
    return found


SHIPPED: dict[str, Any] = yaml.safe_load(PACKAGED.read_text())


@given(st.sampled_from(places_in(SHIPPED)), st.sampled_from(VALUES))
def test_refuses_what_check_refuses(path: tuple[Any, ...], value: Any) -> None:
    """
    Whatever one value of the shipped file is exchanged for: an editor underlines nothing
    that `check` finds right.
    """
    content = copy.deepcopy(SHIPPED)
    *outer, last = path
    around: Any = content
    for key in outer:
        around = around[key]
    around[last] = value

    if not VALIDATOR.is_valid(as_json(content)):
        assert [] != check(Document(content, "config"))


class TestDocumented:
    def test_every_option_is_described(self) -> None:
        """
        Each option has words of its own, a shared one those of the class it is from.
        """
        for kind in CLASSES:
            described = documented.options_of(
                getattr(chimera_log, kind), chimera_log.RotatingFileHandler
            )
            for option in described:
                assert option.text.endswith((".", ")")), (kind, option.name)
                assert not option.text.startswith("See there")

    def test_undescribed(self) -> None:
        """
        An option that its docstring does not name is a mistake of ours.
        """

        def function(known: int, unknown: int) -> None:  # noqa: D417  see above
            """
            Do nothing.

            Args:
                known: One of two.
            """

        with pytest.raises(LookupError):
            documented.options_of(function)
