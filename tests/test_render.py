"""
A configuration as one plain file, with its secrets or without.
"""

from __future__ import annotations

import datetime
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chimera_log.cli import main
from chimera_log.config.document import Document
from chimera_log.config.effective import asked_for, effective
from chimera_log.config.reading import parse, parse_json
from chimera_log.config.render import as_json, as_yaml, masked, plain
from chimera_log.config.sources import PACKAGED
from chimera_log.options import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MISREAD = (
    *(
        "off",
        "NO",
        "y",
        "N",
        "on",
        "true",
        "null",
        "~",
        "",
        " x",
        "x ",
        "- x",
        "#",
        "a: b",
    ),
    *(
        "1e8",
        "0o640",
        "0640",
        "640",
        "1_000",
        "12:30",
        ".5",
        "+1.",
        "0x1F",
        ".inf",
        "=",
        "<<",
    ),
    *(
        "2020-01-01",
        "%m",
        "{a}",
        "[",
        "a\nb",
        "\t",
        "\x1b[2J",
        "\u2028",
        "ä",
        "\U0001f600",
    ),
)
TEXT = st.one_of(st.sampled_from(MISREAD), st.text(max_size=8))
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
CONTENTS = st.dictionaries(TEXT, VALUES, max_size=4)


@given(CONTENTS)
def test_round_trip(content: dict[str, Any]) -> None:
    """
    What is written is read as it was, type by type, in both forms.
    """
    assert repr(content) == repr(parse(as_yaml(content), "it").content)
    assert repr(content) == repr(parse_json(as_json(content), "it").content)


@given(CONTENTS)
def test_ascii(content: dict[str, Any]) -> None:
    """
    Any terminal shows it, and obeys nothing in it.
    """
    for text in (as_yaml(content), as_json(content)):
        assert text.isascii()
        assert text.replace("\n", "").isprintable()


class TestYaml:
    @pytest.mark.parametrize("value", ["1e8", "0o640", "y", "N", "1.", "+.5e3", "7"])
    def test_quoted_for_others(self, value: str) -> None:
        """
        What only other readers than PyYAML take for no text is quoted as well.
        """
        assert f'a: "{value}"\n' == as_yaml({"a": value})

    def test_written_twice(self) -> None:
        """
        There are no anchors, which JSON has none of.
        """
        part = {"level": "INFO"}

        assert "a: *" not in as_yaml({"a": part, "b": part})
        assert "&" not in as_yaml({"a": part, "b": part})

    def test_order(self) -> None:
        """
        Keys stay in the order in which they were written.
        """
        assert "b: 1\na: 2\n" == as_yaml({"b": 1, "a": 2})


class TestPlain:
    def test_shipped(self) -> None:
        """
        The shipped file is rendered as what it says.
        """
        document = effective(asked_for(PACKAGED))

        assert document.content == parse(as_yaml(plain(document)), "it").content

    def test_tuple(self) -> None:
        """
        A tuple becomes a list.
        """
        assert {"a": [1]} == plain(Document({"a": (1,)}, "config"))

    @pytest.mark.parametrize(
        "value", [datetime.date(2020, 1, 1), float("nan"), float("inf"), io.StringIO()]
    )
    def test_no_form(self, value: Any) -> None:
        """
        What JSON has no form for is refused, with its place.
        """
        with pytest.raises(
            ConfigError, match=r"^config: a\[0\]: .* has no form in JSON; "
        ):
            plain(Document({"a": [value]}, "config"))

    def test_key(self) -> None:
        """
        A key that is no text is refused.
        """
        with pytest.raises(ConfigError) as caught:
            plain(parse("a:\n  off: 1", "it"))

        expected = "it:2:3: a.False: YAML reads the key as False; quote it"
        assert expected == str(caught.value)


def shown(
    value: Any, path: tuple[str, ...] = ("handlers", "it", "option"), **environ: str
) -> Any:
    """Return what is shown of *value*, which stands at *path*."""
    content: Any = value
    for key in reversed(path):
        content = {key: content}
    found: Any = masked(content, environ)[0]
    for key in path:
        found = found[key]
    return found


class TestMasked:
    @pytest.mark.parametrize(
        "path",
        [
            ("handlers", "it", "password"),
            ("handlers", "it", "api_key"),
            ("handlers", "it", "kwargs", "X-Auth-Token"),
        ],
    )
    def test_name_of_key(self, path: tuple[str, ...]) -> None:
        """
        What stands under a secret's name is secret, whatever it is.
        """
        assert "***" == shown("x", path)
        assert "***" == shown(1234, path)
        assert ["***", "***"] == shown(["user", "word"], path)
        assert {"a": "***"} == shown({"a": "x"}, path)

    def test_nothing_to_hide(self) -> None:
        """
        That there is no secret, or whether there is one, is none.
        """
        assert shown(None, ("handlers", "it", "password")) is None
        assert shown(True, ("handlers", "it", "password")) is True

    def test_name_of_part(self) -> None:
        """
        A logger or handler may be called like a secret; its options are shown.
        """
        assert "INFO" == shown("INFO", ("loggers", "vault_secret", "level"))

    def test_variable(self) -> None:
        """
        What comes from a variable with a secret's name is hidden, the rest is shown.
        """
        assert "a-***-b" == shown("a-tiger-b", RELAY_PASSWORD="tiger")
        assert "***" == shown(123456, RELAY_PASSWORD="123456")
        assert 123 == shown(123, RELAY_PASSWORD="123456")
        assert "a-tiger-b" == shown("a-tiger-b", RELAY_NAME="tiger")

    def test_variable_with_few_letters(self) -> None:
        """
        Three letters are found in any word, and are no secret.
        """
        assert "INFO" == shown("INFO", RELAY_PASSWORD="INF")

    def test_form(self) -> None:
        """
        User info in a URL is secret, wherever it stands.
        """
        assert "https://***@h/x" == shown("https://bot:hunter2@h/x")

    def test_shipped(self) -> None:
        """
        Nothing in the shipped file is secret, and nothing is changed.
        """
        content = plain(effective(asked_for(PACKAGED)))

        assert (content, 0) == masked(content, {})


FILE = """
version: 1
handlers:
  relay: {class: example.Relay, password: hunter2, level: "off"}
root: {level: INFO}
"""


class TestCommand:
    @pytest.fixture
    def file(self, tmp_path: Path) -> str:
        """A configuration with a secret in it."""
        (tmp_path / "logging.yaml").write_text(FILE)
        return str(tmp_path / "logging.yaml")

    @pytest.mark.parametrize("form", ["yaml", "json"])
    def test_masked(
        self, file: str, form: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Secrets are masked, which is said on stderr, beside the output.
        """
        assert 0 == main(["render", "--config", file, "--format", form])
        said = capsys.readouterr()

        expected = yaml.safe_load(FILE.replace("hunter2", '"***"'))
        assert expected == (json if form == "json" else yaml_reader).loads(said.out)
        assert (
            "chimera-log render: 1 value is masked; for a file that is used, say "
            "--unmask\n"
        ) == said.err

    def test_two(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """
        How many there are is said.
        """
        file = tmp_path / "logging.json"
        file.write_text('{"handlers": {"it": {"password": ["a", "b"]}}}')
        main(["render", "--config", str(file)])

        assert ": 2 values are masked; " in capsys.readouterr().err

    @pytest.mark.parametrize("form", ["yaml", "json"])
    def test_unmasked(
        self, file: str, form: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        With --unmask the output is complete, and nothing is said.
        """
        assert 0 == main(["render", "--config", file, "--format", form, "--unmask"])
        said = capsys.readouterr()

        reader = json if form == "json" else yaml_reader
        assert (yaml.safe_load(FILE), "") == (reader.loads(said.out), said.err)

    def test_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        Without --config it is the file that `init_logging` would find.
        """
        assert 0 == main(["render"])
        assert effective(asked_for()).content == yaml.safe_load(capsys.readouterr().out)


class yaml_reader:  # noqa: N801  stands beside json
    """YAML with json's name for reading."""

    loads = staticmethod(yaml.safe_load)
