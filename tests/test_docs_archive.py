"""
What the page on the archive has operators write is of the form that AWS takes.

Nothing here talks to AWS: policies are read, scripts and Terraform are parsed, and
the cost is computed again.
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import textwrap
from typing import TYPE_CHECKING, Any

import botocore.session
import hcl2
import pytest
import yaml
from botocore import xform_name
from botocore.validate import ParamValidator

from tests.test_docs import ROOT, blocks, shell

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "archive.md").read_text()
NAMED = dict(
    re.findall(r"^<!-- (.+?) -->\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
POLICIES = ("bot-policy.json", "auditor-policy.json", "bucket-policy.json")
BUCKET = "arn:aws:s3:::my-audit-bucket"
TIMES = "\N{MULTIPLICATION SIGN}"
FLOOR = 1096  # days; the handler's default


def section(title: str) -> str:
    """Return the page's section of that *title*, whatever its level."""
    mark, rest = re.split(rf"^(#+) {title}\n", PAGE, flags=re.MULTILINE)[1:]
    return re.split(rf"^#{{1,{len(mark)}}} ", rest, flags=re.MULTILINE)[0]


def statements(name: str) -> dict[str, dict[str, Any]]:
    """Return the statements of the policy called *name* by their names."""
    return {each["Sid"]: each for each in json.loads(NAMED[name])["Statement"]}


def listed(value: Any) -> list[str]:
    """Return what a policy may also write without a list."""
    return value if isinstance(value, list) else [value]


def test_options(tmp_path: Path) -> None:
    """
    With the lines shown, the shipped configuration has no mistake.
    """
    (tmp_path / "logging.yaml").write_text((ROOT / "logging.yaml").read_text())
    (tmp_path / "logging.production.yaml").write_text(NAMED["options"])
    script = "CHIMERA_LOG_ENV=production chimera-log check logging.yaml"
    done = shell(script, tmp_path)

    assert (0, "") == (done.returncode, done.stderr), done.stdout


def test_options_lie_over_shipped() -> None:
    """
    The lines shown are for the trail's handler of the shipped configuration.
    """
    shipped = yaml.safe_load((ROOT / "logging.yaml").read_text())
    (name,) = yaml.safe_load(NAMED["options"])["handlers"]

    assert "chimera_log.AuditFileHandler" == shipped["handlers"][name]["class"]


class TestPolicies:
    @pytest.mark.parametrize("name", POLICIES)
    def test_form(self, name: str) -> None:
        """
        Each is a policy: of the version that knows all, with named statements.
        """
        content = json.loads(NAMED[name])

        assert {"Version", "Statement"} == set(content)
        assert "2012-10-17" == content["Version"]
        for each in content["Statement"]:
            needed = {"Sid", "Effect", "Action", "Resource"}
            if name == "bucket-policy.json":
                needed.add("Principal")
            assert needed == set(each) - {"Condition"}
            assert each["Effect"] in {"Allow", "Deny"}

    @pytest.mark.parametrize("name", POLICIES)
    def test_resources(self, name: str) -> None:
        """
        An action on objects is said of objects, one on the bucket of the bucket.
        """
        of_bucket = re.compile(r"s3:(\w*Bucket\w*|PutLifecycleConfiguration)")
        for each in statements(name).values():
            kinds = {"/" in resource for resource in listed(each["Resource"])}
            for action in listed(each["Action"]):
                if action != "s3:*":
                    assert {not of_bucket.fullmatch(action)} == kinds, action

    def test_bot_may_only_put(self) -> None:
        """
        The least policy allows to put to two prefixes, and nothing else.
        """
        (only,) = statements("bot-policy.json").values()

        assert ("Allow", "s3:PutObject") == (only["Effect"], only["Action"])
        assert [f"{BUCKET}/data/*", f"{BUCKET}/manifests/*"] == only["Resource"]

    def test_a_role_for_each_host(self) -> None:
        """
        What is said to confine a host fits its keys, and those of no other.
        """
        mine = [
            each
            for each in re.findall(r"`(\w+/dt=\*/host=[^`]+)`", PAGE)
            if each.endswith("/host=bot-1/*")
        ]
        keys = re.findall(r"`<prefix>(\w+/dt=.*?)`", section("What goes where"))

        assert 2 == len(mine) == len(keys)
        for pattern, key in zip(mine, keys, strict=True):
            assert fnmatch.fnmatchcase(key, pattern)
            other = key.replace("host=bot-1/", "host=bot-11/")
            assert not fnmatch.fnmatchcase(other, pattern)

    def test_what_needs_more(self) -> None:
        """
        Each option that needs more rights is in the table, with its actions.
        """
        rows = section("What the bot may do").split("\n| for |")[1].split("\n\n")[0]
        found = {
            row.split("|")[1].strip(): set(re.findall(r"`(\w+:\w+)`", row))
            for row in rows.splitlines()[2:]
        }
        read = {"s3:GetObject", "s3:GetObjectVersion"}

        assert {"s3:PutObjectRetention"} == found["`object_lock`"]
        assert {*read, "s3:GetObjectRetention"} == found["`verify: version`"]
        assert {*read, "s3:ListBucket"} == found["`--restore`"]
        (lost,) = (found[name] for name in found if "412" in name)
        assert {*read, "s3:ListBucketVersions"} == lost

    def test_auditor_may_restore_and_not_write(self) -> None:
        """
        Who restores may read and list, and neither put nor delete.
        """
        actions = {
            action
            for each in statements("auditor-policy.json").values()
            for action in listed(each["Action"])
        }

        assert {"s3:GetObjectVersion", "s3:RestoreObject", "s3:ListBucket"} <= actions
        assert all(re.match(r"s3:(Get|List|Restore)", each) for each in actions)

    def test_bucket_only_denies(self) -> None:
        """
        The bucket's policy allows nothing, and denies everybody.
        """
        found = statements("bucket-policy.json")

        assert {("Deny", "*")} == {
            (each["Effect"], each["Principal"]) for each in found.values()
        }
        assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} <= set(
            found["NobodyDeletes"]["Action"]
        )
        assert "Condition" not in found["NobodyDeletes"]
        assert {"Null": {"s3:if-none-match": "true"}} == (
            found["NobodyOverwrites"]["Condition"]
        )
        assert "s3:PutObject" == found["NobodyOverwrites"]["Action"]
        assert (
            "s3:PutLifecycleConfiguration" in found["OnlyOneChangesTheRules"]["Action"]
        )

    def test_locks_are_allowed(self) -> None:
        """
        What the archiver locks is not denied: at most the floor and a day.
        """
        condition = statements("bucket-policy.json")["NobodyLocksForever"]["Condition"]
        (days,) = condition["NumericGreaterThan"].values()

        assert int(days) > FLOOR + 1


RULES = {each["ID"]: each for each in json.loads(NAMED["lifecycle.json"])["Rules"]}


class TestLifecycle:
    def test_two_years_at_hand(self) -> None:
        """
        Records go to Deep Archive after two years, manifests never.
        """
        assert [{"Days": 730, "StorageClass": "DEEP_ARCHIVE"}] == (
            RULES["records"]["Transitions"]
        )
        assert "Transitions" not in RULES["manifests"]
        assert {"data/", "manifests/", ""} == {
            each["Filter"]["Prefix"] for each in RULES.values()
        }

    @pytest.mark.parametrize("name", ["records", "manifests"])
    def test_floor(self, name: str) -> None:
        """
        Nothing goes before the floor and a margin, no noncurrent version either.
        """
        rule = RULES[name]

        assert rule["Expiration"]["Days"] > FLOOR + 7
        assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] > FLOOR + 7

    def test_deep_archive_is_not_paid_twice(self) -> None:
        """
        What goes to Deep Archive stays for the 180 days that are paid at least.
        """
        rule = RULES["records"]

        assert rule["Expiration"]["Days"] - rule["Transitions"][0]["Days"] > 180

    def test_terraform_says_the_same(self) -> None:
        """
        The Terraform shown has the same rules, and the files that the page shows.
        """
        found = _terraform()
        rules = found["aws_s3_bucket_lifecycle_configuration", "audit"]["rule"]

        assert list(RULES.values()) == [_as_json(rule) for rule in rules]
        policies = [
            re.findall(r"file\(\W*([\w.-]+\.json)", str(body["policy"]))[0]
            for body in found.values()
            if "policy" in body
        ]
        assert sorted(POLICIES) == sorted(policies)
        assert found["aws_s3_bucket", "audit"]["object_lock_enabled"] is True


def _plain(value: Any) -> Any:
    """Return what the parser of Terraform found, without its marks."""
    if isinstance(value, dict):
        return {
            _plain(name): _plain(inner)
            for name, inner in value.items()
            if not str(name).startswith("__")
        }
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.strip('"') if isinstance(value, str) else value


def _terraform() -> dict[tuple[str, str], dict[str, Any]]:
    (text,) = blocks(section("With Terraform"), "hcl")
    return {
        (kind, name): body
        for resource in _plain(hcl2.loads(text))["resource"]
        for kind, named in resource.items()
        for name, body in named.items()
    }


def _as_json(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a lifecycle's rule in Terraform as the API takes it."""
    one = {name: found[0] for name, found in rule.items() if isinstance(found, list)}
    names = {
        "days": "Days",
        "expired_object_delete_marker": "ExpiredObjectDeleteMarker",
        "noncurrent_days": "NoncurrentDays",
        "days_after_initiation": "DaysAfterInitiation",
        "storage_class": "StorageClass",
        "prefix": "Prefix",
    }
    parts = {
        "filter": "Filter",
        "transition": "Transitions",
        "expiration": "Expiration",
        "noncurrent_version_expiration": "NoncurrentVersionExpiration",
        "abort_incomplete_multipart_upload": "AbortIncompleteMultipartUpload",
    }
    made: dict[str, Any] = {"ID": rule["id"], "Status": rule["status"]}
    for name, body in one.items():
        content = {names[inner]: value for inner, value in body.items()}
        made[parts[name]] = [content] if name == "transition" else content
    return made


@pytest.fixture(scope="module")
def aws() -> dict[str, Any]:
    """The models of the APIs that the page's scripts use, as ``aws`` names them."""
    session = botocore.session.Session()
    names = {"s3api": "s3", "iam": "iam"}
    return {said: session.get_service_model(name) for said, name in names.items()}


def operation(aws: dict[str, Any], service: str, said: str) -> Any:
    """Return the model of an operation that ``aws`` calls as it is *said*."""
    (found,) = (
        each for each in aws[service].operation_names if xform_name(each, "-") == said
    )
    return aws[service].operation_model(found)


SCRIPTS = [
    textwrap.dedent(each)
    for each in re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
]


class TestScripts:
    def test_parse(self) -> None:
        """
        The shell understands each of them.
        """
        assert 6 == len(SCRIPTS)
        for script in SCRIPTS:
            done = subprocess.run(
                ["bash", "-n"],
                input=script,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (0, "") == (done.returncode, done.stderr), script

    def test_files_are_on_the_page(self) -> None:
        """
        The files that they read are shown.
        """
        used = re.findall(r"file://([\w.-]+)", "".join(SCRIPTS))

        assert set(NAMED) - {"options"} == set(used)

    def test_aws_knows_what_is_asked(self, aws: dict[str, Any]) -> None:
        """
        Each call of ``aws`` is one of the API's, with all that it needs and no more.
        """
        calls = re.findall(
            r"^ *aws (\w+) ([\w-]+) (.*)$",
            "".join(SCRIPTS).replace("\\\n", ""),
            re.MULTILINE,
        )

        assert 10 == len(calls)
        for service, name, rest in calls:
            model = operation(aws, service, name).input_shape
            known = {xform_name(each, "-") for each in model.members}
            needed = {xform_name(each, "-") for each in model.required_members}
            given = set(re.findall(r"--([\w-]+)", rest)) - {"query", "output"}
            assert needed <= given <= known, name

    @pytest.mark.parametrize(
        ("name", "member"),
        [
            ("put-bucket-lifecycle-configuration", "LifecycleConfiguration"),
            ("restore-object", "RestoreRequest"),
        ],
    )
    def test_json_arguments(self, aws: dict[str, Any], name: str, member: str) -> None:
        """
        What they hand over as JSON has the form that the API takes.
        """
        option = xform_name(member, "-")
        (said,) = re.findall(rf"--{option} ('.*?'|\S+)", "".join(SCRIPTS))
        content = NAMED.get(said.removeprefix("file://"), said.strip("'"))
        shape = operation(aws, "s3api", name).input_shape.members[member]
        report = ParamValidator().validate(json.loads(content), shape)

        assert "" == report.generate_report()


class TestCost:
    TEXT = section("What it costs")

    def test_arithmetic(self) -> None:
        """
        Each row is quantity times price, and the sum is the sum, to the cent.
        """
        computed = []
        for cells in self._rows():
            quantity, price, said = (_product(cell) for cell in cells[1:])
            assert abs(quantity * price - said) <= 0.005 + 1e-9, cells
            computed.append(said)
        (total,) = re.findall(r"^\| in all \| \| \| (\S+) \|$", self.TEXT, re.MULTILINE)

        assert 10 == len(computed)
        assert f"{sum(computed[:5]):.2f}" == total

    def test_quantities(self) -> None:
        """
        The quantities follow from a record a second, and its size.
        """
        raw, packed = map(int, re.findall(r"some (\d+) bytes, (\d+) of", self.TEXT)[0])
        day = 24 * 60 * 60
        days = FLOOR
        kept = RULES["records"]["Expiration"]["Days"]

        assert raw * day < 100e6  # a file of the shipped maxBytes holds a day
        assert f"A day has {raw * day / 1e6:.0f} MB" in self.TEXT
        assert f"{days:,} objects of {packed * day / 1e6:.0f} MB" in self.TEXT
        assert f"{days * day * packed / 1e9:.1f} GB in all" in self.TEXT
        assert f"730 days ({730 / 30.4:.0f} months)" in self.TEXT
        assert f"and {kept - 730} ({(kept - 730) / 30.4:.0f} months)" in self.TEXT
        assert f"| {730 * day * packed / 1e9:.1f} GB |" in self.TEXT
        assert f"| {365 * day * packed / 1e9:.1f} GB |" in self.TEXT
        assert f"| {2 * days:,} requests |" in self.TEXT
        assert (
            f"| {days * 128 * 1024 / 1e9:.2f} GB {TIMES} {kept / 30.4:.0f} months"
            in self.TEXT
        )

    def test_steady_state(self) -> None:
        """
        A month costs the six cents that are said.
        """
        instant, deep = 12.4, 18.7 - 12.4
        monthly = instant * 0.004 + deep * 0.00099 + 30.4 * (2 * 0.02 + 0.05) / 1_000

        assert "some six cents a month" in self.TEXT
        assert 6 == round(monthly * 100)

    def test_prices_have_a_date(self) -> None:
        """
        Whoever reads it knows how old the prices are.
        """
        assert re.search(r"us-east-1 .*\b20\d\d-\d\d-\d\d; they change", self.TEXT)

    def _rows(self) -> list[list[str]]:
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in self.TEXT.splitlines()
            if line.startswith("| ")
            and not line.startswith(("| what", "| in all", "| ---"))
        ]
        assert {4} == {len(cells) for cells in rows}
        return rows


def _product(cell: str) -> float:
    """Return what the numbers in *cell* make, multiplied and divided."""
    above, _, below = cell.replace(",", "").partition("/")
    product = 1.0
    for number in re.findall(r"\d[\d.]*", above):
        product *= float(number)
    return product / float(below or 1)
