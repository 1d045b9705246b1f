"""
Which files make a configuration, and how they are put together.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import ConfigError
from chimera_log.config import reading, sources
from chimera_log.config.document import Document
from chimera_log.config.effective import Request, effective
from chimera_log.config.findings import Finding, Place, Refusal, dotted
from chimera_log.config.interpolate import interpolate
from chimera_log.config.overlay import merge

if TYPE_CHECKING:
    from pathlib import Path


def folder(path: Path, *names: str) -> Path:
    """Make files of *names* in *path*; return the first."""
    for name in names:
        (path / name).write_text("version: 1\n")
    return path / names[0]


class TestOverlay:
    def test_chosen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        CHIMERA_LOG_ENV names the file that is laid over the other.
        """
        base = folder(tmp_path, "logging.yaml", "logging.test.yaml", "logging.a.b.yaml")
        monkeypatch.setenv("CHIMERA_LOG_ENV", "test")

        assert tmp_path / "logging.test.yaml" == sources.overlay(base)

    def test_argument(self, tmp_path: Path) -> None:
        """
        An argument names it as well.
        """
        base = folder(tmp_path, "bot.json", "bot.test.json", "bot.dev.yaml")

        assert tmp_path / "bot.test.json" == sources.overlay(base, "test")

    @pytest.mark.parametrize("name", ["", None])
    def test_no_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
    ) -> None:
        """
        Without an environment the file is alone, whatever lies beside it.
        """
        base = folder(tmp_path, "logging.yaml", "logging.test.yaml")
        if name is not None:
            monkeypatch.setenv("CHIMERA_LOG_ENV", name)

        assert sources.overlay(base) is None

    def test_no_overlays(self, tmp_path: Path) -> None:
        """
        Where no environment has a file, none is missed.
        """
        base = folder(tmp_path, "logging.yaml", "logging.yaml.bak", "logging..yaml")

        assert sources.overlay(base, "test") is None

    def test_misspelt(self, tmp_path: Path) -> None:
        """
        Where others have one, a missing one is an error that names the likeliest.
        """
        base = folder(tmp_path, "logging.yaml", "logging.production.yaml")
        with pytest.raises(ConfigError) as caught:
            sources.overlay(base, "prodution")

        assert (
            f"{base}: CHIMERA_LOG_ENV: 'prodution' has no file beside it; "
            "did you mean 'production'?"
        ) == str(caught.value)

    def test_no_folder(self, tmp_path: Path) -> None:
        """
        A folder that cannot be listed holds none; reading the file will tell.
        """
        assert {} == sources.overlays(tmp_path / "nowhere" / "logging.yaml")

    def test_of_overlay(self, tmp_path: Path) -> None:
        """
        A file tells what it is laid over, if that is there.
        """
        base = folder(tmp_path, "logging.yaml", "logging.test.yaml", "bot.test.yaml")
        over = tmp_path / "logging.test.yaml"

        assert (base, "test") == sources.of_overlay(over)
        assert sources.of_overlay(base) is None
        assert sources.of_overlay(tmp_path / "bot.test.yaml") is None


BASE = """version: 1
handlers:
  file: {class: chimera_log.RotatingFileHandler, filename: a.log, backupCount: 3}
  console:
    class: logging.StreamHandler
root:
  level: INFO
  handlers: [file, console]
"""
OVER = """handlers:
  file:
    backupCount: 5
  console: null
  other: null
root:
  handlers: [file]
loggers:
  rpc: {level: DEBUG}
"""


class TestMerge:
    def test_rules(self) -> None:
        """
        Mappings are merged, lists replaced, null takes away.
        """
        base, over = reading.parse(BASE, "a.yaml"), reading.parse(OVER, "b.yaml")
        before = yaml.safe_load(BASE), yaml.safe_load(OVER)
        merged = merge(base, over)

        assert {
            "version": 1,
            "handlers": {
                "file": {
                    "class": "chimera_log.RotatingFileHandler",
                    "filename": "a.log",
                    "backupCount": 5,
                }
            },
            "root": {"level": "INFO", "handlers": ["file"]},
            "loggers": {"rpc": {"level": "DEBUG"}},
        } == merged.content
        assert before == (base.content, over.content)

    def test_places(self) -> None:
        """
        Each key and value is where it was written, whichever file that is.
        """
        merged = merge(reading.parse(BASE, "a.yaml"), reading.parse(OVER, "b.yaml"))

        places = {
            "handlers.file": "a.yaml:3:3",
            "handlers.file.filename": "a.yaml:3:60",
            "handlers.file.backupCount": "b.yaml:3:18",
            "handlers.console.class": "b.yaml:4:3",
            "root.level": "a.yaml:7:10",
            "root.handlers": "b.yaml:7:13",
            "loggers.rpc.level": "b.yaml:9:16",
        }
        assert places == {
            path: str(merged.finding(tuple(path.split(".")), "", at_key=False).place)
            if path != "handlers.file"
            else str(merged.key_place(tuple(path.split("."))))
            for path in places
        }
        assert "b.yaml:7:14" == str(merged.value_place(("root", "handlers", 0)))
        assert {"a.yaml": BASE, "b.yaml": OVER} == merged.texts

    @given(st.data())
    def test_associative_enough(self, data: st.DataObject) -> None:
        """
        Nothing laid over a configuration, or the same again, changes nothing; what was
        laid over it last holds.
        """
        trees = st.recursive(
            st.integers() | st.text(max_size=2),
            lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            max_leaves=8,
        )
        some = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)
        one, two = (Document(data.draw(some), name) for name in "12")

        assert one.content == merge(one, Document({}, "3")).content
        assert one.content == merge(one, one).content
        both = merge(one, two)
        assert both.content == merge(both, two).content


class TestInterpolate:
    def test_types(self) -> None:
        """
        A value that is one variable, unquoted, is what it looks like; others are text.
        """
        text = (
            "version: 1\na: ${N}\nb: '${N}'\nc: x${N}\nd: ${T}\ne: ${S}\nf: ${D}\n"
            "g: [$N, '${F}', '${E}', '$${N}']\nh: ${F}\ni: ${E}\n"
        )
        environ = {"N": "5", "T": "true", "S": "a: b", "D": "2026-01-01", "F": "1.5"}
        found = interpolate(reading.parse(text, "a.yaml"), {**environ, "E": ""})

        assert {
            "version": 1,
            "a": 5,
            "b": "5",
            "c": "x5",
            "d": True,
            "e": "a: b",
            "f": "2026-01-01",
            "g": ["$N", "1.5", "", "${N}"],
            "h": 1.5,
            "i": None,
        } == found.content

    def test_keys_and_templates(self) -> None:
        """
        Keys are left alone, and so is a format whose fields look like variables.
        """
        content = {
            "${N}": "${N}",
            "formatters": {
                "a": {"style": "$", "format": "${message}", "fmt": "${message}"},
                "b": {"style": "%", "format": "${N}"},
            },
        }
        found = interpolate(Document(content, "config"), {"N": "5"})

        assert {
            "${N}": "5",
            "formatters": {
                "a": {"style": "$", "format": "${message}", "fmt": "${message}"},
                "b": {"style": "%", "format": "5"},
            },
        } == found.content

    def test_all_that_are_unset(self) -> None:
        """
        Each variable that is missing is told, with its place.
        """
        text = "version: 1\na: ${A}\nb:\n  - x\n  - ${B:?say where}\n"
        with pytest.raises(Refusal) as caught:
            interpolate(reading.parse(text, "a.yaml"), {})

        assert (
            "a.yaml:2:4: a: '${A}': A is not set; set it, or write ${A:-default}\n"
            "a.yaml:5:5: b[1]: '${B:?say where}': B is not set: say where"
        ) == str(caught.value)
        assert "a.yaml:5:5: error b[1]: " in str(caught.value.findings[1])


class TestJson:
    def test_read(self, tmp_path: Path) -> None:
        """
        A file that is named so is JSON, with tabs and all.
        """
        path = tmp_path / "logging.json"
        path.write_text('{\n\t"version": 1,\n\t"root": {"level":\t"INFO"}\n}\n')
        found = reading.read(path)

        assert {"version": 1, "root": {"level": "INFO"}} == found.content
        assert f"{path}:3:20" == str(found.value_place(("root", "level")))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"version": 1,}', ":1:1"),
            ("[1]", ": must be a mapping that begins with `version: 1`, not list"),
            ("[" * 100_000, ": is no JSON: it is nested too deeply; correct it"),
        ],
    )
    def test_bad(self, tmp_path: Path, text: str, said: str) -> None:
        """
        What is no JSON is told with its place.
        """
        path = tmp_path / "logging.json"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            reading.read(path)

        assert str(caught.value).startswith(f"{path}{said}")

    def test_duplicates(self) -> None:
        """
        A key that is given twice is known, as in YAML.
        """
        text = json.dumps({"version": 1, "a": {"b": 1, "c": 2}}).replace("c", "b")
        found = reading.parse_json(text, "a.json")

        path = ("a", "b")
        places = Place("a.json", 1, 30), Place("a.json", 1, 22)
        assert {path: places} == found.duplicates


class TestDuplicates:
    def test_yaml(self) -> None:
        """
        YAML lets the last one win, and we remember where both are.
        """
        text = "version: 1\na: {b: 1}\nc: &c {d: 1}\ne: {<<: *c, d: 2}\na: {b: 2}\n"
        found = reading.parse(text, "a.yaml")

        assert [("a",), ("a", "b")] == list(found.duplicates)
        assert (Place("a.yaml", 5, 1), Place("a.yaml", 2, 1)) == found.duplicates["a",]


class TestEffective:
    def test_everything(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Variables are put in first, then the overlay, then the keywords.
        """
        (tmp_path / "logging.yaml").write_text(BASE.replace("INFO", "${LEVEL:-INFO}"))
        (tmp_path / "logging.test.yaml").write_text("root: {handlers: ['${WHICH}']}\n")
        monkeypatch.setenv("CHIMERA_LOG_ENV", "test")
        monkeypatch.setenv("WHICH", "console")
        found = effective(Request(tmp_path / "logging.yaml", log_dir="/x"))

        assert {"level": "INFO", "handlers": ["console"]} == found.content["root"]
        assert "/x/a.log" == found.content["handlers"]["file"]["filename"]
        assert str(tmp_path / "logging.yaml") == found.source


class TestFinding:
    @pytest.mark.parametrize(
        ("expected", "path"),
        [("", ()), ("a.b", ("a", "b")), ("a[0].b", ("a", 0, "b")), ("[1]", (1,))],
    )
    def test_dotted(self, expected: str, path: Any) -> None:
        """
        A path is written as people write it.
        """
        assert expected == dotted(path)

    def test_text(self) -> None:
        """
        A finding is one line: where, how bad, what.
        """
        place = Place("a.yaml", 3, 5)

        assert "a.yaml:3:5: error a.b: wrong; mend it" == str(
            Finding(place, "error", ("a", "b"), "wrong; mend it")
        )
        assert "a.yaml: warning: odd" == str(
            Finding(Place("a.yaml"), "warning", (), "odd")
        )
