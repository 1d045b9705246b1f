"""
Sizes, durations, modes, lists and variables, as people write them in YAML.
"""

from __future__ import annotations

import logging.config
import string
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chimera_log import options
from chimera_log.options import ConfigError

FACTORS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


class TestSize:
    @pytest.mark.parametrize(
        ("expected", "written"),
        [
            (0, 0),
            (100, 100),
            (100_000_000, "100 MB"),
            (104_857_600, "100 MiB"),
            (100_000_000, "1e8"),
            (100_000_000, 1e8),
            (1_000_000, "1_000_000"),
            (1_500, "1.5 kB"),
            (7, "  7b "),
        ],
    )
    def test_forms(self, expected: int, written: Any) -> None:
        """
        Bytes as a number, and text with or without a unit, decimal or binary.
        """
        assert expected == options.size("maxBytes", written)

    @given(st.integers(0, 10**6), st.sampled_from(sorted(FACTORS)))
    def test_units(self, number: int, unit: str) -> None:
        """
        A unit multiplies exactly, in any case, with or without a space.
        """
        expected = number * FACTORS[unit]

        assert expected == options.size("maxBytes", f"{number} {unit}")
        assert expected == options.size("maxBytes", f"{number}{unit.lower()}")

    @pytest.mark.parametrize(
        "written",
        [True, None, "100 XB", "-1", "MB", "", "1 2", 1.5, float("nan"), [], "1e999"],
    )
    def test_no_size(self, written: Any) -> None:
        """
        Anything else is refused, with the value and two forms that work.
        """
        with pytest.raises(ConfigError) as caught:
            options.size("maxBytes", written)

        assert (
            f"maxBytes: {written!r} is not a size; write bytes, or a number with a "
            "unit such as '100 MB' or '100 MiB'"
        ) == str(caught.value)

    def test_minimum(self) -> None:
        """
        The minimum itself is accepted, one byte less is not.
        """
        assert 4_096 == options.size("max_line_bytes", 4_096, minimum=4_096)
        with pytest.raises(
            ConfigError,
            match=r"^max_line_bytes: 4095 is too small; use at least 4096 bytes$",
        ):
            options.size("max_line_bytes", 4_095, minimum=4_096)

    def test_negative(self) -> None:
        """
        A negative number of bytes is too small for every option.
        """
        with pytest.raises(ConfigError, match="use at least 0 bytes"):
            options.size("maxBytes", -1)

    @given(
        st.one_of(
            st.text(),
            st.from_regex(r"[0-9_.eE]{1,12} ?[kKMGTiB]{0,3}", fullmatch=True),
            st.integers(),
            st.floats(),
        )
    )
    @example("9" * 5_000)  # more digits than CPython converts
    def test_anything(self, written: Any) -> None:
        """
        Whatever is written is a size of at least 0, or a `ConfigError`.
        """
        try:
            size = options.size("maxBytes", written)
        except ConfigError:
            return
        assert size >= 0


DAY = 86_400.0
SECONDS = {
    "": 1,
    "s": 1,
    "second": 1,
    "seconds": 1,
    "min": 60,
    "minute": 60,
    "minutes": 60,
    "h": 3_600,
    "hour": 3_600,
    "hours": 3_600,
    "d": DAY,
    "day": DAY,
    "days": DAY,
    "week": 7 * DAY,
    "weeks": 7 * DAY,
    "year": 366 * DAY,
    "years": 366 * DAY,
}


class TestDuration:
    @pytest.mark.parametrize(
        ("expected", "written"),
        [
            (0.0, 0),
            (5.0, 5),
            (0.25, 0.25),
            (5.0, "5"),
            (5.0, "5 s"),
            (0.1, "100 ms"),
            (0.001, "1 millisecond"),
            (0.3, "300 milliseconds"),
            (90.0, "1.5 min"),
            (43_200.0, "12 h"),
            (30 * DAY, "30 days"),
            (7 * DAY, "1 week"),
            (1_000.0, "1_000 s"),
            (1_000.0, "1e3"),
            (60.0, "  1Min "),
        ],
    )
    def test_forms(self, expected: float, written: Any) -> None:
        """
        Seconds as a number, and text with or without a unit.
        """
        duration = options.duration("flush_interval", written)

        assert expected == duration
        assert type(duration) is float

    @given(st.integers(0, 100), st.sampled_from(sorted(SECONDS)))
    def test_units(self, number: int, unit: str) -> None:
        """
        A unit multiplies exactly, in any case, with or without a space.
        """
        expected = number * SECONDS[unit]

        assert expected == options.duration("max_age", f"{number} {unit}")
        assert expected == options.duration("max_age", f"{number}{unit.upper()}")

    def test_years_are_never_short(self) -> None:
        """
        Three years are at least 1,096 days, as many as any three years have.
        """
        assert options.duration("max_age", "3 years") >= 1_096 * DAY

    @pytest.mark.parametrize(
        "written",
        [
            True,
            None,
            [],
            "",
            "s",
            "-1 s",
            "1 s 2",
            "1 fortnight",
            "soon",
            "nan",
            "inf",
            float("nan"),
            float("inf"),
            float("-inf"),
            "2 m",
            "2 months",
        ],
    )
    def test_no_duration(self, written: Any) -> None:
        """
        Anything else is refused, with the value and forms that work.
        """
        with pytest.raises(ConfigError) as caught:
            options.duration("max_age", written)

        assert (
            f"max_age: {written!r} is not a duration; write seconds, or a number with "
            "a unit such as '100 ms', '5 s', '2 min', '12 h', '30 days' or '3 years' "
            "(no months; 'm' might be minutes)"
        ) == str(caught.value)

    def test_minimum(self) -> None:
        """
        The minimum itself is accepted, a shorter duration is not.
        """
        assert 0.01 == options.duration("sync_interval", "10 ms", minimum=0.01)
        with pytest.raises(
            ConfigError,
            match=r"^sync_interval: '9 ms' is too short; use at least 0\.01 seconds$",
        ):
            options.duration("sync_interval", "9 ms", minimum=0.01)

    @pytest.mark.parametrize("written", [-1, -0.001, -(10**400)])
    def test_negative(self, written: float) -> None:
        """
        A negative number of seconds is too short for every option.
        """
        with pytest.raises(ConfigError, match="too short; use at least 0 seconds"):
            options.duration("max_age", written)

    @pytest.mark.parametrize("written", ["100.1 years", "1e99 ms", 10**400, 1e300])
    def test_too_long(self, written: Any) -> None:
        """
        A hundred years are the longest that can be meant.
        """
        assert 100 * 366 * DAY == options.duration("max_age", "100 years")
        with pytest.raises(ConfigError) as caught:
            options.duration("max_age", written)

        assert f"max_age: {written!r} is too long; use at most 100 years" == str(
            caught.value
        )

    @given(
        st.one_of(
            st.text(),
            st.from_regex(r"[0-9_.eE]{1,12} ?[a-zA-Z]{0,7}", fullmatch=True),
            st.integers(),
            st.floats(),
        )
    )
    @example("9" * 5_000)  # more digits than CPython converts
    def test_anything(self, written: Any) -> None:
        """
        Whatever is written is at least 0 and at most 100 years, or a `ConfigError`.
        """
        try:
            duration = options.duration("max_age", written)
        except ConfigError:
            return
        assert 0 <= duration <= 100 * 366 * DAY


class TestCount:
    def test_whole_number(self) -> None:
        """
        A whole number of at least the minimum is returned.
        """
        assert 0 == options.count("backupCount", 0)
        assert 3 == options.count("backupCount", 3, minimum=3)

    @pytest.mark.parametrize("written", [-1, True, "10", 1.0, None])
    def test_no_count(self, written: Any) -> None:
        """
        Text, booleans, fractions and too small numbers are refused.
        """
        with pytest.raises(ConfigError) as caught:
            options.count("backupCount", written)

        assert (
            f"backupCount: {written!r} is not a count; write a whole number of at least 0"
        ) == str(caught.value)


class TestFlag:
    @pytest.mark.parametrize("written", [True, False])
    def test_boolean(self, written: bool) -> None:
        """
        A boolean is returned.
        """
        assert written is options.flag("delay", written)

    @pytest.mark.parametrize("written", ["no", 0, 1, None])
    def test_no_boolean(self, written: Any) -> None:
        """
        What Python would take as true or false is not guessed at.
        """
        with pytest.raises(ConfigError, match="write true or false, unquoted"):
            options.flag("delay", written)


class TestNames:
    @pytest.mark.parametrize("written", [["a", "b"], ("a", "b")])
    def test_list(self, written: Any) -> None:
        """
        A list or tuple of text becomes a tuple, in order.
        """
        assert ("a", "b") == options.names("events", written)

    @pytest.mark.parametrize("written", [{"a"}, frozenset({"a"})])
    def test_set(self, written: Any) -> None:
        """
        A set will do, for programs that configure from Python.
        """
        assert ("a",) == options.names("events", written)

    def test_lone_text(self) -> None:
        """
        A text is not read letter by letter; the error shows the list meant.
        """
        with pytest.raises(
            ConfigError, match=r"^events: 'fill' must be a list; write \[fill\]$"
        ):
            options.names("events", "fill")

    @pytest.mark.parametrize("written", [None, 5, {"a": "b"}, ["a", 1]])
    def test_no_names(self, written: Any) -> None:
        """
        Anything but a list, and anything but text in it, is refused.
        """
        with pytest.raises(ConfigError, match="must be a list of text"):
            options.names("events", written)


class TestMapping:
    def test_plain(self) -> None:
        """
        What dictConfig hands over as its converting dict becomes a plain one.
        """
        configurator = logging.config.BaseConfigurator(
            {"fields": {"out": "ext://sys.stdout"}}
        )

        mapping = options.mapping("fields", configurator.config["fields"])

        assert type(mapping) is dict
        assert {"out": sys.stdout} == mapping

    @pytest.mark.parametrize("written", [None, [], "a: b", {1: "a"}])
    def test_no_mapping(self, written: Any) -> None:
        """
        Anything but a mapping with text keys is refused.
        """
        with pytest.raises(ConfigError) as caught:
            options.mapping("fields", written)

        assert f"fields: {written!r} must be a mapping with text keys" == str(
            caught.value
        )


class TestPermissions:
    @pytest.mark.parametrize(
        ("expected", "written"),
        [
            (0o640, "0640"),
            (0o640, "640"),
            (0o640, "0o640"),
            (0o640, 0o640),
            (0o777, 0o777),
            (0, "000"),
            (0, 0),
        ],
    )
    def test_forms(self, expected: int, written: Any) -> None:
        """
        Octal digits as text, or the number that YAML 1.1 makes of 0640.
        """
        assert expected == options.permissions("mode", written)

    @pytest.mark.parametrize(
        "written",
        [640, 0o1000, -1, True, None, "0888", "64", "06400", "w", "rw-r-----", 416.0],
    )
    def test_no_permissions(self, written: Any) -> None:
        """
        The 640 of YAML 1.2, and all that is no octal mode, is refused.
        """
        with pytest.raises(ConfigError) as caught:
            options.permissions("mode", written)

        assert f'mode: {written!r} is no file mode; write "0640", in quotes' == str(
            caught.value
        )

    @given(st.integers(0, 0o777))
    def test_every_mode(self, bits: int) -> None:
        """
        Every mode can be written as text and as a number.
        """
        assert bits == options.permissions("mode", f"{bits:04o}")
        assert bits == options.permissions("mode", bits)


class TestExpand:
    @pytest.mark.parametrize(
        ("expected", "written"),
        [
            ("bot.log", "bot.log"),
            ("/var/bot.log", "${DIR}/bot.log"),
            ("/var/bot.log", "${DIR:-logs}/bot.log"),
            ("/var/bot.log", "${DIR:?say where}/bot.log"),
            ("logs/bot.log", "${UNSET:-logs}/bot.log"),
            ("logs/bot.log", "${EMPTY:-logs}/bot.log"),
            ("/bot.log", "${UNSET:-}/bot.log"),
            ("/bot.log", "${EMPTY}/bot.log"),
            ("/var//var", "${DIR}/${DIR}"),
            ("$DIR ${ ${1} $", "$DIR ${ ${1} $"),
            ("", "${EMPTY-logs}"),
            ("logs", "${UNSET-logs}"),
            ("/var", "${DIR-logs}"),
            ("", "${EMPTY?say where}"),
            ("on", "${DIR:+on}"),
            ("", "${EMPTY:+on}${UNSET:+on}${UNSET+on}"),
            ("on", "${EMPTY+on}"),
            ("/var/logs", "${UNSET:-${EMPTY:-${DIR}/logs}}"),
            ("/var", "${DIR:-${UNSET:?not read}}"),
            ("/var!", "${DIR:+${DIR}!}"),
            ("a}b", "a}b"),
            ("${DIR}", "$${DIR}"),
            ("$$/var", "$${DIR}"[:2] + "/var"),
            ("${DIR:-/var", "${DIR:-${DIR}"),
            ("${A:-x${B:-y/var", "${A:-x${B:-y${DIR}"),
            ("{a}", "${UNSET:-{a}}"),
            ("a\nb", "${UNSET:-a\nb}"),
        ],
    )
    def test_forms(self, expected: str, written: str) -> None:
        """
        Variables and defaults as in Compose files; any other ``$`` stays.
        """
        environ = {"DIR": "/var", "EMPTY": ""}

        assert expected == options.expand("filename", written, environ)

    def test_value_is_not_expanded_again(self) -> None:
        """
        What a variable holds is text, whatever it looks like.
        """
        assert "${B}" == options.expand("filename", "${A}", {"A": "${B}", "B": "x"})

    def test_unset(self) -> None:
        """
        A variable without default must be set; the error shows how to give one.
        """
        with pytest.raises(ConfigError) as caught:
            options.expand("filename", "${DIR}/bot.log", {})

        assert (
            "filename: '${DIR}/bot.log': DIR is not set; set it, or write ${DIR:-default}"
        ) == str(caught.value)

    @pytest.mark.parametrize("environ", [{}, {"DIR": ""}])
    def test_message(self, environ: dict[str, str]) -> None:
        """
        ``:?`` fails for an unset and for an empty variable, in the file's words.
        """
        with pytest.raises(
            ConfigError, match=r"^filename: .*: DIR is not set: say where$"
        ):
            options.expand("filename", "${DIR:?say where}", environ)

    def test_message_with_variable(self) -> None:
        """
        A message may say what another variable holds.
        """
        with pytest.raises(ConfigError, match=r"is not set: in eu$"):
            options.expand("filename", "${DIR?in ${REGION}}", {"REGION": "eu"})

    def test_nested_without_end(self) -> None:
        """
        Defaults inside defaults are read as deep as anybody writes, and no deeper.
        """
        deep = "${A:-" * 5_000 + "x" + "}" * 5_000
        assert "y" == options.expand("filename", deep, {"A": "y"})
        with pytest.raises(ConfigError, match=r"^filename: .* nest fewer$"):
            options.expand("filename", deep, {})

    @pytest.mark.parametrize(
        ("expected", "written"),
        [
            (True, "${A}"),
            (True, "${A:-${B}}"),
            (False, "${A}${B}"),
            (False, "a${A}"),
            (False, "$${A}"),
            (False, "${A:-x"),
            (False, ""),
        ],
    )
    def test_is_variable(self, expected: bool, written: str) -> None:
        """
        One variable and nothing else; its value may be a number, then.
        """
        assert expected == options.is_variable(written)

    def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without a mapping the process's environment is asked.
        """
        monkeypatch.setenv("BOT_DIR", "/srv")

        assert "/srv/bot.log" == options.expand("filename", "${BOT_DIR}/bot.log")

    @given(st.text(string.ascii_letters + "${}:-?_1/", max_size=30))
    def test_anything(self, written: str) -> None:
        """
        Whatever is written is expanded, or a `ConfigError`.
        """
        try:
            expanded = options.expand("filename", written, {})
        except ConfigError:
            return
        assert isinstance(expanded, str)


class TestDidYouMean:
    def test_likeliest(self) -> None:
        """
        A near miss names the one word meant.
        """
        assert "did you mean 'INFO'?" == options.did_you_mean("INOF", ["DEBUG", "INFO"])

    def test_no_idea(self) -> None:
        """
        A word like none of them gets them all, sorted.
        """
        assert "use one of a, b" == options.did_you_mean("xyz", ["b", "a"])


def test_config_error_is_a_value_error() -> None:
    """
    Programs that catch what dictConfig raises catch ours too.
    """
    assert issubclass(ConfigError, ValueError)
