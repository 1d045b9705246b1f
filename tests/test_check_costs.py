"""
What a configuration costs at worst, and what AWS would refuse or mix up.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from chimera_log.config.check import aws, costs
from chimera_log.config.reading import parse
from tests.checks import said

ROTATING = "logging.handlers.RotatingFileHandler"
OURS = "chimera_log.RotatingFileHandler"
TRAIL = "chimera_log.AuditFileHandler"
CLOUDWATCH = "chimera_log.CloudWatchHandler"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, on a disk with 10 GB left."""
    monkeypatch.chdir(tmp_path)
    disk = SimpleNamespace(f_bavail=10 * 10**6, f_frsize=1000)
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    return tmp_path


def handler(kind: str, options: str) -> str:
    """Return a configuration with one handler, called `file`."""
    return f"handlers:\n  file:\n    class: {kind}\n    {options}"


class TestUnbounded:
    @pytest.mark.parametrize("kind", [ROTATING, OURS, TRAIL])
    def test_no_count(self, kind: str) -> None:
        """
        A size alone rotates nothing, in the standard library as well.
        """
        text = handler(kind, "filename: x\n    maxBytes: 1000")

        assert [
            "logging.yaml:5:15: warning handlers.file.maxBytes: without backupCount the "
            "file never rotates and grows without end; set backupCount to the full files "
            "to keep"
        ] == said(costs.findings, text)

    @pytest.mark.parametrize("kind", [ROTATING, OURS, TRAIL])
    def test_no_size(self, kind: str) -> None:
        """
        Nor does a count alone.
        """
        text = handler(kind, "filename: x\n    backupCount: 5")

        assert [
            "logging.yaml:5:18: warning handlers.file.backupCount: without maxBytes the "
            "file never rotates and grows without end; set maxBytes to the size of a "
            "full file"
        ] == said(costs.findings, text)

    @pytest.mark.parametrize("kind", [ROTATING, OURS, TRAIL])
    def test_neither(self, kind: str) -> None:
        """
        A class that is named for rotating does not rotate by itself.
        """
        assert [
            "logging.yaml:2:3: warning handlers.file: without maxBytes and backupCount "
            "the file never rotates and grows without end; set both"
        ] == said(costs.findings, handler(kind, "filename: x"))

    def test_timed(self) -> None:
        """
        One file a day, for ever, is told of.
        """
        text = handler("logging.handlers.TimedRotatingFileHandler", "filename: x")

        assert [
            "logging.yaml:2:3: warning handlers.file.backupCount: is 0, so that files "
            "are kept for ever; write how many to keep"
        ] == said(costs.findings, text)

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            (OURS, "maxBytes: 1 MB, backupCount: 3"),
            (OURS, "rotate_at: midnight, backupCount: 30"),
            (OURS, "maxBytes: nonsense"),
            (TRAIL, "maxBytes: 100 MB, backupCount: 0"),
            (ROTATING, "maxBytes: 1 MB"),
            ("logging.FileHandler", "delay: true"),
            ("logging.handlers.TimedRotatingFileHandler", "backupCount: 7"),
            ("bot.RotatingFileHandler", "maxBytes: 1000"),
        ],
    )
    def test_fine(self, kind: str, options: str) -> None:
        """
        What is bounded, is not said to rotate, or is no valid option, is not told of.
        """
        text = f"handlers: {{file: {{class: {kind}, filename: x, {options}}}}}"

        assert [] == said(costs.findings, text)

    def test_device(self) -> None:
        """
        A device does not grow.
        """
        assert [] == said(costs.findings, handler(OURS, "filename: /dev/stdout"))


class TestDiskUse:
    @pytest.mark.parametrize(
        ("kind", "options", "expected"),
        [
            (ROTATING, "maxBytes: 1000, backupCount: 9", 10_000),
            (OURS, "maxBytes: 1 kB, backupCount: 9", 10_000),
            (OURS, "maxBytes: 1 kB, backupCount: 8, compression: gzip", 4_000),
            (OURS, "maxBytes: 1 kB, backupCount: 9, total_bytes: 5 kB", 5_000),
            (OURS, "maxBytes: 1 kB, backupCount: 2, total_bytes: 5 kB", 3_000),
            (OURS, "rotate_at: midnight, backupCount: 9, total_bytes: 5 kB", 5_000),
            (OURS, "rotate_at: midnight, backupCount: 9", None),
            (OURS, "maxBytes: 1 kB", None),
            (TRAIL, "maxBytes: 1 kB, backupCount: 9", 10_000),
            ("logging.FileHandler", "delay: true", None),
        ],
    )
    def test_files(self, kind: str, options: str, expected: int | None) -> None:
        """
        Full files and the one that is written, compressed ones a quarter of that.
        """
        text = f"handlers: {{file: {{class: {kind}, filename: /logs/x, {options}}}}}"

        assert [costs.Use("file", "/logs/x", expected, "filename")] == costs.disk_use(
            parse(text, "logging.yaml")
        )

    def test_spool(self) -> None:
        """
        A spool has a bound of its own; other handlers take no disk.
        """
        text = f"""
handlers:
  cloud: {{class: {CLOUDWATCH}, spool_dir: /spool}}
  large: {{class: {CLOUDWATCH}, spool_dir: /spool, max_spool_bytes: 2 GB}}
  none: {{class: {CLOUDWATCH}}}
  console: {{class: logging.StreamHandler}}
  device: {{class: logging.FileHandler, filename: /dev/stdout}}
  foreign: {{class: bot.Handler, filename: x}}
"""

        assert [
            costs.Use("cloud", "/spool", 256_000_000, "spool_dir"),
            costs.Use("large", "/spool", 2_000_000_000, "spool_dir"),
        ] == costs.disk_use(parse(text, "logging.yaml"))


class TestBeyondDisk:
    def test_together(self) -> None:
        """
        What the files of all handlers may take is compared with what is left.
        """
        text = f"""
handlers:
  small: {{class: {ROTATING}, filename: a, maxBytes: 1000000000, backupCount: 1}}
  large:
    class: {OURS}
    filename: b
    maxBytes: 1 GB
    backupCount: 8
  again: {{class: {OURS}, filename: b, maxBytes: 1 GB, backupCount: 8}}
"""

        assert [
            "logging.yaml:5:15: warning handlers.large.filename: the files of 'small' and "
            "'large' may take 11 GB, and their disk has 10 GB for them; keep fewer or "
            "smaller ones"
        ] == said(costs.findings, text)

    def test_taken_counts(self) -> None:
        """
        What the files take already is theirs, and not what others left.
        """
        text = handler(OURS, "filename: x.log\n    maxBytes: 5 GB\n    backupCount: 1")
        spool = f"  s: {{class: {CLOUDWATCH}, spool_dir: spool, max_spool_bytes: 9 kB}}"
        assert [
            "logging.yaml:4:15: warning handlers.file.filename: the files of 'file' and "
            "'s' may take 10 GB, and their disk has 10 GB for them; keep fewer or "
            "smaller ones"
        ] == said(costs.findings, f"{text}\n{spool}")

        Path("x.log.1").write_bytes(b"x" * 5_000)
        Path("spool").mkdir()
        Path("spool/1").write_bytes(b"x" * 4_000)

        assert [] == said(costs.findings, f"{text}\n{spool}")

    def test_link_to_nowhere(self) -> None:
        """
        Of what is on no disk, nothing can be said.
        """
        Path("logs").symlink_to("elsewhere")
        text = handler(
            OURS, "filename: logs/x\n    maxBytes: 1 TB\n    backupCount: 99"
        )

        assert [] == said(costs.findings, text)


class TestSingleCalls:
    @pytest.mark.parametrize(
        ("option", "column"), [("max_batch_count: 1", 22), ("flush_interval: 0 s", 21)]
    )
    def test_each(self, option: str, column: int) -> None:
        """
        A call for each record is slow, and AWS does not take many.
        """
        name = option.partition(":")[0]

        assert [
            f"logging.yaml:4:{column}: warning handlers.file.{name}: sends each record by "
            "a call of its own, which AWS throttles; leave it out for 100 records or 5 "
            "seconds, whichever comes first"
        ] == said(costs.findings, handler(CLOUDWATCH, option))

    @pytest.mark.parametrize(
        "option", ["max_batch_count: 10", "flush_interval: 1 s", "flush_interval: soon"]
    )
    def test_fine(self, option: str) -> None:
        """
        Batches are none of that, and nonsense is said elsewhere.
        """
        assert [] == said(costs.findings, handler(CLOUDWATCH, option))


class TestRegion:
    @pytest.mark.parametrize(
        ("region", "hint"),
        [
            ("us-east1", "did you mean 'us-east-1'?"),
            ("eu-central-1a", "did you mean 'eu-central-1'?"),
            ("EU-WEST-1", "did you mean 'eu-west-1'?"),
            ("Frankfurt", "write it as AWS does, such as 'eu-central-1'"),
        ],
    )
    def test_misspelt(self, region: str, hint: str) -> None:
        """
        What looks like no region is none, and the likeliest is named.
        """
        assert [
            f"logging.yaml:4:18: error handlers.file.region_name: '{region}' is no "
            f"region; {hint}"
        ] == said(aws.findings, handler(CLOUDWATCH, f"region_name: {region}"))

    def test_of_an_archive(self) -> None:
        """
        So it is with the region of an archive.
        """
        options = "archive: {bucket: evidence, region_name: us-east1}"

        assert [
            "logging.yaml:4:46: error handlers.file.archive.region_name: 'us-east1' is "
            "no region; did you mean 'us-east-1'?"
        ] == said(aws.findings, handler("chimera_log.AuditFileHandler", options))
        assert [] == said(
            aws.findings, handler("chimera_log.AuditFileHandler", "archive: evidence")
        )

    @pytest.mark.parametrize(
        "options",
        [
            "region_name: us-east-1",
            "region_name: us-gov-west-1",
            "region_name: ap-southeast-7",
            "region_name: cn-northwest-1",
            "region_name: eu-isoe-west-1",
            "region_name: us-isob-east-1",
            "region_name: eusc-de-east-1",
            "region_name: ${NO_REGION:-}",
            "region_name: ${NO_REGION}",
            "region_name: local\n    endpoint_url: http://localhost:4566",
        ],
    )
    def test_fine(self, options: str) -> None:
        """
        Regions of all partitions, none at all, and any name at another address.
        """
        assert [] == said(aws.findings, handler(CLOUDWATCH, options))


class TestAddress:
    def test_unencrypted(self) -> None:
        """
        AWS's own addresses are for encrypted calls.
        """
        address = "http://logs.eu-west-1.amazonaws.com"

        assert [
            f"logging.yaml:4:19: warning handlers.file.endpoint_url: '{address}' sends "
            "records unencrypted; begin it with https://"
        ] == said(aws.findings, handler(CLOUDWATCH, f"endpoint_url: {address}"))

    def test_broken(self) -> None:
        """
        What cannot be read as an address is none.
        """
        assert [
            "logging.yaml:4:19: error handlers.file.endpoint_url: 'https://[' is no "
            "address; write it as in 'https://host:port'"
        ] == said(aws.findings, handler(CLOUDWATCH, "endpoint_url: 'https://['"))


class TestSameStream:
    def test_twice(self) -> None:
        """
        Two handlers with one group and one stream mix their records.
        """
        text = f"""
handlers:
  a: {{class: {CLOUDWATCH}, log_group_name: bot, log_stream_name: main}}
  b: {{class: {CLOUDWATCH}, log_group_name: bot, log_stream_name: main}}
  c: {{class: {CLOUDWATCH}, log_group_name: web, log_stream_name: main}}
  d: {{class: {CLOUDWATCH}, log_group_name: bot}}
"""

        assert [
            "logging.yaml:3:83: warning handlers.b.log_stream_name: handler 'a' writes "
            "this stream of this group too, so that nobody can tell their records "
            "apart; name another"
        ] == said(aws.findings, text)


class TestWatchtower:
    def test_refused(self) -> None:
        """
        What AWS refuses is said of watchtower's handler, too.
        """
        text = handler(
            "watchtower.CloudWatchLogHandler",
            "log_group_name: bot logs\n    log_group_retention_days: 31",
        )

        group, days = said(aws.findings, text)

        assert (
            "logging.yaml:4:21: error handlers.file.log_group_name: 'bot logs' contains "
            "' '; use letters from A to Z, digits and . - _ / # only" == group
        )
        assert days.startswith(
            "logging.yaml:5:31: error handlers.file.log_group_retention_days: 31 is not "
            "accepted by CloudWatch; use 60, or another of 1, 3, 5,"
        )

    def test_fine(self) -> None:
        """
        What AWS takes, or what is not known yet, is not told of.
        """
        text = handler(
            "watchtower.CloudWatchLogHandler",
            "log_group_name: ${NOT_SET}\n    log_group_retention_days: 30",
        )

        assert [] == said(aws.findings, text)
