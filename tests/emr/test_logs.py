"""What EMR wrote into the bucket, printed: of a cluster that runs, and of one that has ended."""

import gzip
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from bootstrap.commands.data import logs

from .world import BUCKET, REGION, bucket, cluster

NODE, STEP, APPLICATION = "i-0123456789abcdef0", "s-0123456789ABC", "application_1700000000000_0001"
WRITTEN = {
    f"node/{NODE}/bootstrap-actions/1/controller.gz": "EMR's own of the action",
    f"node/{NODE}/bootstrap-actions/1/stderr.gz": "pip: no space left on device",
    f"node/{NODE}/bootstrap-actions/1/stdout.gz": "",
    f"node/{NODE}/applications/hadoop-yarn/yarn.log.gz": "NodeManager began",
    f"steps/{STEP}/controller.gz": "INFO startExec",
    f"steps/{STEP}/stderr.gz": "\n".join(f"line {number}" for number in range(100)),
    f"containers/{APPLICATION}/container_1/stderr.gz": "a worker began",
}


@pytest.fixture
def s3(aws: None) -> Any:  # noqa: ARG001
    bucket()
    return boto3.client("s3", region_name=REGION)


def written(s3: Any, cluster_id: str, content: dict[str, str] = WRITTEN) -> None:
    for name, text in content.items():
        s3.put_object(Bucket=BUCKET, Key=f"logs/{cluster_id}/{name}", Body=gzip.compress(text.encode()))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(logs, arguments)


def test_the_ends_of_the_bootstrap_actions_and_steps(s3: Any) -> None:
    written(s3, cluster())
    ended = run()
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines() == [
        f"== node/{NODE}/bootstrap-actions/1/stderr.gz",
        "pip: no space left on device",
        f"== node/{NODE}/bootstrap-actions/1/stdout.gz: empty",
        f"== steps/{STEP}/controller.gz",
        "INFO startExec",
        f"== steps/{STEP}/stderr.gz",
        *(f"line {number}" for number in range(70, 100)),
    ]


def test_one_step_node_or_application(s3: Any) -> None:
    written(s3, cluster())
    assert run("--step", STEP).stdout.splitlines()[3:] == [f"line {number}" for number in range(100)]
    assert run("--step", STEP, "--lines", "2").stdout.splitlines()[3:] == ["line 98", "line 99"]
    assert "NodeManager began" in run("--node", NODE).stdout
    assert run("--application", APPLICATION).stdout.splitlines() == [f"== containers/{APPLICATION}/container_1/stderr.gz", "a worker began"]
    listed = run("--list").stdout
    assert [line.split()[1] for line in listed.splitlines()] == sorted(WRITTEN)
    assert run("--list", "--step", STEP).stdout.count("\n") == 2


def test_of_a_cluster_that_has_ended_the_newest_of_the_name_or_the_one_that_is_named(s3: Any) -> None:
    emr = boto3.client("emr", region_name=REGION)
    first, second, other = cluster(), cluster(), cluster("other")
    foreign = cluster("fruits", "another")
    for number, one in enumerate((first, second, other, foreign)):
        written(s3, one, {f"steps/{STEP}/stdout.gz": f"of number {number}"})
    emr.terminate_job_flows(JobFlowIds=[first, second, other, foreign])
    assert emr.describe_cluster(ClusterId=second)["Cluster"]["Status"]["State"] == "TERMINATED"
    assert run().stdout.splitlines()[-1] == "of number 1"
    assert run("--cluster-id", first).stdout.splitlines()[-1] == "of number 0"
    assert run("--name", "other").stdout.splitlines()[-1] == "of number 2"
    refused = run("--cluster-id", foreign)
    assert (refused.exit_code, "was not made by python -m bootstrap" in refused.stderr) == (2, True)


def test_nothing_yet_and_nothing_at_all_are_told_apart(s3: Any) -> None:
    none = run()
    assert (none.exit_code, "EMR knows no cluster named fruits in eu-west-3" in none.stderr) == (2, True)
    cluster_id = cluster()
    early = run()
    assert (early.exit_code, f"nothing yet in s3://{BUCKET}/logs/{cluster_id}/" in early.stderr) == (1, True)
    assert "every 5 minutes" in early.stderr
    written(s3, cluster_id)
    unknown = run("--step", "s-NONE")
    assert (unknown.exit_code, f"nothing yet in s3://{BUCKET}/logs/{cluster_id}/steps/s-NONE/" in unknown.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [("--step", STEP, "--node", NODE), ("--list", "--lines", "3")])
def test_options_that_exclude_each_other_are_refused(arguments: tuple[str, ...], s3: Any) -> None:  # noqa: ARG001
    assert run(*arguments).exit_code == 2
