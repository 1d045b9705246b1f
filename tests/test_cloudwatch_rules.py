"""
What AWS would refuse is refused at once, by a message that says what to write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimera_log import ConfigError
from chimera_log.cloudwatch import rules
from tests.test_values import ANY_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef"
# As the API's model writes it, and without what would spoil a terminal.
STREAM = re.compile("[^:*\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,512}")


def refusal(check: Callable[[Any], object], value: Any) -> str:
    """Return what *check* has against *value*."""
    with pytest.raises(ConfigError) as caught:
        check(value)
    return str(caught.value)


def stream(template: str, hostname: str = "web-1") -> str:
    """Return the name of a stream of one particular process."""
    return rules.stream_name(
        template, hostname=hostname, time="2026-11-23T18-30-00Z", pid=7, random="a1b2c3"
    )


def test_event_fits_batch() -> None:
    """
    The longest event fills a batch of its own.
    """
    size = rules.MAX_EVENT_BYTES + rules.EVENT_OVERHEAD_BYTES

    assert (1_048_550, rules.MAX_BATCH_BYTES) == (rules.MAX_EVENT_BYTES, size)


@pytest.mark.parametrize(
    ("check", "option"),
    [
        (rules.log_group_name, "log_group_name"),
        (rules.log_stream_name, "log_stream_name"),
        (rules.kms_key_id, "kms_key_id"),
    ],
)
class TestTexts:
    @pytest.mark.parametrize("value", [7, True, ["a"], b"a"])
    def test_no_text(
        self, check: Callable[[Any], object], option: str, value: object
    ) -> None:
        """
        What YAML read as something else is refused.
        """
        expected = f"{option}: {value!r} is no text; write it in quotes"

        assert expected == refusal(check, value)

    def test_unset_variable(self, check: Callable[[Any], object], option: str) -> None:
        """
        A variable must be set, or have a default.
        """
        assert refusal(check, "${UNSET}").startswith(f"{option}: '${{UNSET}}': UNSET")


class TestLogGroupName:
    @pytest.mark.parametrize(
        "value", ["Chimera", "/aws/lambda/bot", "a.b-c_d/e#9", "aws", "x", "x" * 512]
    )
    def test_legal(self, value: str) -> None:
        """
        Names that AWS takes are returned as they are.
        """
        assert value == rules.log_group_name(value)

    def test_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Variables are expanded.
        """
        monkeypatch.setenv("STAGE", "prod")

        assert "bot/prod/x" == rules.log_group_name("bot/${STAGE}/${PART:-x}")

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (None, "None is no text; write it in quotes"),
            ("", "'' is empty; write a name, or remove it"),
            ("${PART:-}", "'${PART:-}' is empty; write a name, or remove it"),
            ("aws/bot", "'aws/bot': AWS keeps names that begin with 'aws/'"),
            ("my bot", "'my bot' contains ' '; use letters from A to Z, digits and"),
            ("bot\n", r"'bot\n' contains '\n'; use"),
            ("bär", "'bär' contains 'ä'; use"),
            ("bot:1", "'bot:1' contains ':'; use"),
            ("x" * 513, f"'{'x' * 513}' has 513 characters; use at most 512"),
        ],
    )
    def test_illegal(self, value: object, problem: str) -> None:
        """
        Others are refused, with what is wrong about them.
        """
        found = refusal(rules.log_group_name, value)

        assert found.startswith(f"log_group_name: {problem}")

    @given(ANY_TEXT | st.text(".-_/#Aaws9:"))
    def test_anything(self, value: str) -> None:
        """
        What is returned is what the API's model says; all else is a `ConfigError`.
        """
        legal = re.fullmatch(r"[.\-_/#A-Za-z0-9]{1,512}", value)
        if legal and not value.startswith("aws/"):
            assert value == rules.log_group_name(value)
        else:
            assert refusal(rules.log_group_name, value)


class TestLogStreamName:
    @pytest.mark.parametrize(
        "value",
        [
            "{hostname}/{time}-{pid}-{random}",
            "fixed",
            "{hostname}{hostname}",
            "ü {{{pid}}}",
            "x" * 512,
        ],
    )
    def test_legal(self, value: str) -> None:
        """
        Templates of known fields and of what a name may contain are returned.
        """
        assert value == rules.log_stream_name(value)

    def test_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Variables are expanded before fields are looked for.
        """
        monkeypatch.setenv("STAGE", "prod")

        assert "prod/{pid}" == rules.log_stream_name("${STAGE}/{pid}")

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            ("", "'' is empty; write a name, or remove it"),
            ("{host}", "'{host}': {host} is no field; did you mean 'hostname'?"),
            ("{}", "'{}': {} is no field; use one of hostname, pid, random, time"),
            ("{0}", "'{0}': {0} is no field; use one of hostname"),
            ("{pid.real}", "'{pid.real}': {pid.real} is no field; "),
            ("{time[0]}", "'{time[0]}': {time[0]} is no field; did you mean 'time'?"),
            ("{pid:08}", "'{pid:08}': write fields plainly; use {pid}"),
            ("{pid:{random}}", "'{pid:{random}}': write fields plainly; use"),
            ("{pid!r}", "'{pid!r}': write fields plainly; use {pid}"),
            ("a{pid", "'a{pid': expected '}' before end of string; double a brace"),
            ("a}", "'a}': Single '}' encountered in format string; double a brace"),
            ("{pid}:{time}", "'{pid}:{time}' contains ':', which no stream's name may"),
            ("bot*", "'bot*' contains '*', which"),
            ("bot\x1b", r"'bot\x1b' contains '\x1b', which"),
            ("bot\udc80", r"'bot\udc80' contains '\udc80', which"),
            ("x" * 513, f"'{'x' * 513}' has 513 characters; use at most 512"),
        ],
    )
    def test_illegal(self, value: str, problem: str) -> None:
        """
        Others are refused, with what is wrong about them.
        """
        found = refusal(rules.log_stream_name, value)

        assert found.startswith(f"log_stream_name: {problem}")


class TestStreamName:
    def test_fields(self) -> None:
        """
        Fields are filled in, and doubled braces become single ones.
        """
        expected = "web-1/2026-11-23T18-30-00Z-7-a1b2c3{}"

        assert expected == stream("{hostname}/{time}-{pid}-{random}{{}}")

    def test_hostname(self) -> None:
        """
        What a host's name has and a stream's may not becomes a hyphen.
        """
        assert "a-b-c-d-e.f/7" == stream("{hostname}/{pid}", "a:b*c\nd\udc80e.f")

    def test_nameless_host(self) -> None:
        """
        A stream has a name even if its host has none.
        """
        assert "-" == stream("{hostname}", "")

    def test_too_long(self) -> None:
        """
        The end, which tells one process from another, is kept.
        """
        name = stream("{hostname}-{pid}-{random}", "h" * 600)

        assert ("h" * 503 + "-7-a1b2c3"[-9:]) == name
        assert 512 == len(name)

    @given(st.text("{}hostnamepid:*!a./0[] ") | ANY_TEXT, ANY_TEXT)
    def test_anything(self, template: str, hostname: str) -> None:
        """
        Each template that is not refused makes legal names, on any host.
        """
        try:
            checked = rules.log_stream_name(template)
        except ConfigError:
            return
        assert STREAM.fullmatch(stream(checked, hostname))


class TestRetentionInDays:
    @pytest.mark.parametrize("value", [None, *rules.RETENTION_DAYS])
    def test_legal(self, value: int | None) -> None:
        """
        AWS's own values, and none, are returned.
        """
        assert value == rules.retention_in_days(value)

    @pytest.mark.parametrize(
        ("value", "advice"),
        [
            (1095, "use 1096, or another of 1, 3, 5"),
            (31, "use 60, or another of 1"),
            (0, "use 1, or another of 1"),
            (-1, "use 1, or another of 1"),
            (4000, "use 3653, or another of 1"),
            ("30", "use one of 1, 3, 5"),
            (30.0, "use one of 1"),
            (True, "use one of 1"),
        ],
    )
    def test_illegal(self, value: object, advice: str) -> None:
        """
        Of other numbers the next larger one is named, then all there are.
        """
        found = refusal(rules.retention_in_days, value)

        assert found.startswith(
            f"retention_in_days: {value!r} is not accepted by CloudWatch; {advice}"
        )
        assert found.endswith(
            "3288, 3653; or null, which leaves the group's policy alone"
        )


class TestTags:
    @pytest.mark.parametrize("value", [None, {}])
    def test_none(self, value: object) -> None:
        """
        Without tags there is nothing to send; AWS refuses an empty mapping.
        """
        assert None is rules.tags(value)

    @pytest.mark.parametrize(
        "value",
        [
            {"team": "trading", "Kosten stelle": ""},
            {"k" * 128: "v" * 256},
            {"ключ_.:/=+-@": "値 ٣½"},
            {str(number): "x" for number in range(50)},
        ],
    )
    def test_legal(self, value: dict[str, str]) -> None:
        """
        Letters, digits and spaces of any script, and some signs, are returned.
        """
        assert value == rules.tags(value)

    def test_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Variables are expanded, in values.
        """
        monkeypatch.setenv("STAGE", "prod")

        assert {"stage": "prod"} == rules.tags({"stage": "${STAGE}"})

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (["a"], "tags: ['a'] must be a mapping with text keys"),
            ({7: "x"}, "tags: {7: 'x'} must be a mapping with text keys"),
            (
                {str(number): "x" for number in range(51)},
                "tags: 51 are more than AWS takes; use at most 50",
            ),
            ({"": "x"}, "tags: '' is no name of a tag; name it"),
            ({"Aws:x": "x"}, "tags: 'Aws:x': AWS keeps names that begin with 'aws:'"),
            ({"cost": 42}, "tags.cost: 42 is no text; write it in quotes"),
            ({"a": "${UNSET}"}, "tags.a: '${UNSET}': UNSET is not set"),
            ({"a!": "x"}, "tags: 'a!' contains '!', which no tag may; use letters,"),
            ({"a": "x\n"}, r"tags.a: 'x\n' contains '\n', which no tag may"),
            (
                {"k" * 129: "x"},
                f"tags: '{'k' * 129}' has 129 characters; use at most 128",
            ),
            (
                {"a": "v" * 257},
                f"tags.a: '{'v' * 257}' has 257 characters; use at most 256",
            ),
        ],
    )
    def test_illegal(self, value: object, problem: str) -> None:
        """
        Others are refused, with what is wrong about them.
        """
        assert refusal(rules.tags, value).startswith(problem)


class TestKmsKeyId:
    @pytest.mark.parametrize("value", [None, "", "${KEY:-}"])
    def test_none(self, value: object) -> None:
        """
        A group need not have a key.
        """
        assert None is rules.kms_key_id(value)

    def test_legal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        The ARN of a key is returned, its variables expanded.
        """
        monkeypatch.setenv("KEY", ARN)

        assert [ARN, ARN] == [rules.kms_key_id(value) for value in (ARN, "${KEY}")]

    @pytest.mark.parametrize(
        "value",
        ["alias/bot", "1234abcd-12ab", "arn:aws:s3:::bot", f"{ARN} ", ARN + "x" * 256],
    )
    def test_illegal(self, value: str) -> None:
        """
        What CreateLogGroup would not find is refused, with an example.
        """
        expected = f"kms_key_id: {value!r} is not the ARN of a key; write it in full"

        assert refusal(rules.kms_key_id, value).startswith(expected)


class TestLogGroupClass:
    @pytest.mark.parametrize("value", [None, *rules.CLASSES])
    def test_legal(self, value: str | None) -> None:
        """
        AWS's own classes, and none, are returned.
        """
        assert value == rules.log_group_class(value)

    def test_illegal(self) -> None:
        """
        Others are refused, and the likeliest is named.
        """
        expected = "log_group_class: 'STANDART': did you mean 'STANDARD'?"

        assert expected == refusal(rules.log_group_class, "STANDART")
