"""
CloudWatch from a real process: odd records, reconfiguration, and nothing to go by.
"""

from __future__ import annotations

import json
import signal
import statistics
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.integration.cloudwatch_server import REGION
from tests.integration.cloudwatch_stage import (
    MEMORY,
    SPOOL,
    Promises,
    Scenarios,
    Stage,
)
from tests.integration.support import wait_until

if TYPE_CHECKING:
    from tests.integration.cloudwatch_server import Server

SCENARIOS = Scenarios()
LARGE = 600_000  # bytes; AWS took a fourth of that until 2025
TOO_LARGE = 2_000_000
HOURS = 30
SLACK = 1.0  # seconds for a machine that is shared
ACTIONS = "CreateLogGroup", "CreateLogStream", "PutLogEvents", "PutRetentionPolicy"


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def odd_records(stage: Stage) -> None:
    """Records that AWS, or somebody's handler, would stumble over."""
    stage.expect("a", 100)
    stage.run(f"""
configure()
log = logging.getLogger('bot')
write('a', 50)
log.info('large', extra={{'context': {{'text': 'x' * {LARGE}}}}})
log.info('too large', extra={{'context': {{'text': 'x' * {TOO_LARGE}}}}})
log.info('')
log.info('%d', 'x')
logging.getLogger('a:b*c').info('colon')
log.info('lone \\ud800 surrogate')
old = log.makeRecord('bot', logging.INFO, '', 0, 'old', (), None)
old.created -= {HOURS} * 3600
log.handle(old)
also(7)
write('a', 50)
mark()
""")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def plain_text(stage: Stage) -> None:
    """Somebody's formatter, and messages that are empty, or too long."""
    stage.run(f"""
configure()
handlers()[0].setFormatter(logging.Formatter('%(message)s'))
for message in ['first', '', 'two\\nlines', 'x' * {TOO_LARGE}, 'last']:
    logging.info(message)
also(5)
mark()
""")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def everything_logged(stage: Stage) -> None:
    """The root logger at DEBUG, with all that boto3 has to say."""
    stage.expect("a", 100)
    stage.run("""
configure()
logging.getLogger().setLevel(logging.DEBUG)
write('a', 50)
delivered()
logging.getLogger('botocore').debug("somebody's own")
also(1)
write('a', 50)
mark()
""")


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def configured_twenty_times(stage: Stage) -> None:
    """dictConfig replaces the handler twenty times, amid deliveries."""
    stage.expect("a", 2_000)
    stage.run("""
times = []
for _ in range(20):
    begun = time.perf_counter()
    configure()
    times.append(time.perf_counter() - begun)
    write('a', 100, 0.0005)
print(json.dumps(times[1:]))
mark()
""")


@SCENARIOS.add(MEMORY, long=(SPOOL,))
def configured_by_a_stranger(stage: Stage) -> None:
    """Somebody's dictConfig closes the handler, which stays attached."""
    stage.expect("a", 200)
    stage.run("""
configure()
write('a', 100)
begun = time.perf_counter()
logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})
print(json.dumps([time.perf_counter() - begun]))
write('a', 100)
mark()
""")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def closed_and_revived(stage: Stage) -> None:
    """The handler is closed, and goes on when another record comes."""
    stage.expect("a", 300)
    stage.run("""
configure()
for _ in range(3):
    write('a', 100)
    handlers()[0].close()
mark()
""")


@SCENARIOS.add(long=(MEMORY, SPOOL))
def two_groups(stage: Stage) -> None:
    """Two handlers, of which one leads to a group that cannot be made."""
    stage.expect("a", 100)
    stage.says = ("elsewhere: ",)
    stage.run("""
configure(close_timeout=3)
from chimera_log import CloudWatchHandler
other = CloudWatchHandler(**options(log_group_name='elsewhere', close_timeout=3,
    endpoint_url='http://127.0.0.1:1'))
logging.getLogger('other').addHandler(other)
write('a', 50)
logging.getLogger('other').info('x')
write('a', 50)
also(1)
mark()
""")


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def frozen(stage: Stage) -> None:
    """A Lambda function: after each invocation, all of the process stands still."""
    stage.expect("a", 30)
    script = """
import signal
configure()
for turn in range(3):
    write('a', 10)
    delivered()
    with open('turns', 'a') as file:
        file.write(str(turn))
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    with stage.child(script, flush_interval=60) as process:
        status = Path(f"/proc/{process.pid}/stat")
        turns = stage.directory / "turns"
        for done in ("0", "01", "012"):
            # The turns as well: between two looks it may go on and stop again.
            wait_until(partial(_reads, turns, done), "a turn")
            wait_until(lambda: ") T " in status.read_text(encoding="utf-8"), "a freeze")
            stage.seen.append(len(stage.server.events(stage.group)))
            process.send_signal(signal.SIGCONT)
        stage.end(process)


def _reads(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def without(stage: Stage, prelude: str, why: str, **options: Any) -> None:
    """Play that a service lacks what it takes to deliver, and logs all the same."""
    stage.says = (
        why,
        "records wait in the spool",
        "records not delivered",
        "records dropped",
    )
    script = f"{prelude}\nconfigure()\nwrite('a', 300, 0.002)\nmark()"
    stage.run(script, close_timeout=1, **options)


@SCENARIOS.add(long=(MEMORY, SPOOL))
def no_credentials(stage: Stage) -> None:
    """Nobody says who we are."""
    nobody = dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HOME"], "")
    without(stage, "", "Unable to locate credentials", variables=nobody)


@SCENARIOS.add(long=(MEMORY, SPOOL))
def no_region(stage: Stage) -> None:
    """Nobody says where."""
    without(stage, "", "You must specify a region", region_name=None)


@SCENARIOS.add(SPOOL, long=(MEMORY,))
def no_boto3(stage: Stage) -> None:
    """The package is installed without its extra."""
    missing = "sys.modules['boto3'] = None"
    without(stage, missing, "boto3 is not installed; install chimera_log[aws]")


stages, stage = SCENARIOS.fixtures()


class TestEveryService(Promises):
    """What holds in all of these."""


@SCENARIOS.only("odd_records")
class TestOddRecords:
    """Records that AWS, or somebody's handler, would stumble over."""

    def test_large(self, stage: Stage) -> None:
        """
        An event of 600 KB arrives whole.
        """
        assert LARGE * "x" == stage.line("large")["context"]["text"]

    def test_too_large(self, stage: Stage) -> None:
        """
        One of 2 MB is shortened, stays JSON, and says so.
        """
        found = stage.line("too large")
        assert found["truncated"] is True
        assert found["context"]["text"].startswith("xxx")

    def test_wrong_arguments(self, stage: Stage) -> None:
        """
        One whose arguments do not fit arrives all the same.
        """
        assert any("%d" in line["event"] for line in stage.lines)

    def test_old(self, stage: Stage) -> None:
        """
        One of yesterday arrives with its own time in its line, and spoils no batch.
        """
        true, now = (
            datetime.fromisoformat(stage.line(event)["timestamp"].rstrip("Z"))
            for event in ("old", "colon")
        )
        assert timedelta(hours=HOURS) <= now - true + timedelta(minutes=1)

    def test_names(self, stage: Stage) -> None:
        """
        A logger's name may hold what no stream's may.
        """
        assert "a:b*c" == stage.line("colon")["module"]
        assert 1 == len({event.stream for event in stage.events})


@SCENARIOS.only("plain_text")
def test_plain_text(stage: Stage) -> None:
    """
    Any formatter will do; an empty message arrives as a blank, one of 2 MB shortened.
    """
    *messages, large, last = [event.message for event in stage.events]
    assert ["first", " ", "two\nlines", "last"] == [*messages, last]
    assert LARGE < len(large) <= 1_000_000


@SCENARIOS.only("everything_logged")
def test_own_records(stage: Stage) -> None:
    """
    What boto3 says while it sends is not sent; what others say in its name is.
    """
    others = [each for each in stage.lines if each["module"] != "bot"]
    assert ["somebody's own"] == [each["event"] for each in others]


@SCENARIOS.only("configured_twenty_times", "configured_by_a_stranger")
def test_reconfiguration(stage: Stage) -> None:
    """
    dictConfig takes under 50 ms, though it closes a handler that is delivering.
    """
    (ended,) = stage.ended
    assert statistics.median(json.loads(ended.stdout)) < 0.05


@SCENARIOS.only("configured_twenty_times")
def test_one_stream(stage: Stage) -> None:
    """
    A process has one stream, however often it is configured.
    """
    assert 1 == len({event.stream for event in stage.events})


@SCENARIOS.only("frozen")
def test_invocations(stage: Stage) -> None:
    """
    After `flush` all is delivered, before the invocation ends.
    """
    assert [10, 20, 30] == stage.seen


@SCENARIOS.only("no_credentials", "no_region", "no_boto3")
class TestNothingToGoBy:
    """What is missing is no reason for a service not to run."""

    def test_told_why(self, stage: Stage) -> None:
        """
        One line says why CloudWatch stays silent.
        """
        (ended,) = stage.ended
        assert 1 == ended.stderr.count(stage.says[0])

    def test_exit(self, stage: Stage) -> None:
        """
        The process ends within `close_timeout` (here 1 second) and half a second.
        """
        (ended,) = stage.ended
        assert ended.seconds < 1.5 + SLACK


@pytest.mark.parametrize("waits", [MEMORY, SPOOL])
def test_four_actions(cloudwatch: Server, tmp_path: Path, waits: str) -> None:
    """
    The four actions of the documented policy are all that a service needs.
    """
    stage = Stage(cloudwatch, "allowed", waits, tmp_path)
    stage.run("configure()\nwrite('a', 300)", variables=_user(cloudwatch))
    stage.events = cloudwatch.events(stage.group)

    assert {"a": list(range(300))} == stage.numbers
    assert {*ACTIONS} == cloudwatch.calls().keys()
    assert 30 == cloudwatch.groups()[stage.group].retention


def _user(server: Server) -> dict[str, str]:
    """Return the variables of a user who may do the four things, and no other."""
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    session = boto3.session.Session(region_name=REGION, **keys)
    allowed = {
        "Effect": "Allow",
        "Action": [f"logs:{action}" for action in ACTIONS],
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    with closing(session.client("iam", endpoint_url=server.url)) as iam:
        iam.create_user(UserName="service")
        iam.put_user_policy(
            UserName="service", PolicyName="logs", PolicyDocument=policy
        )
        key = iam.create_access_key(UserName="service")["AccessKey"]
    server.enforce_iam()
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
