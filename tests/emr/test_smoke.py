"""`smoke` against moto: the order of what it does, what it refuses, and that the cluster is gone after every fault.

moto's clusters run at once and its steps never end: here each question to a step is what happens next at EMR. A job's report is that of a
run of the product on the same sample, as if two nodes of a YARN had done it; that they do, tests/cluster shows.
"""

import copy
import json
import os
import re
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import click.testing
import pytest
from botocore.client import BaseClient
from click.testing import CliRunner
from moto.ec2.models.instances import Instance
from moto.s3.models import S3Backend

from benchmarks.prices import TABLE
from bootstrap.aws import Account
from bootstrap.commands.jobs import smoke
from bootstrap.launch import awaited
from bootstrap.smoke import NOT_LOOKED_AT

from . import accounts, stacks
from .world import BUCKET, REGION, World, cluster

IMAGES = 335


@pytest.fixture
def world(
    aws: None,  # noqa: ARG001
    bundle_made_once: None,  # noqa: ARG001
    sample_results: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> World:
    monkeypatch.chdir(tmp_path)
    accounts.completed(monkeypatch)
    stacks.completed(monkeypatch, tmp_path, Account(REGION))
    reachable(monkeypatch, "Online")
    world = World(monkeypatch)
    world.report = json.loads((sample_results / "report.json").read_text())
    world.on("describe_step", lambda: emr_goes_on(world))
    return world


def reachable(patch: pytest.MonkeyPatch, status: str) -> None:
    """moto does not know whether SSM reaches an instance: SSM's answer, in its place."""
    call = BaseClient._make_api_call

    def answered(self: BaseClient, name: str, parameters: dict[str, Any]) -> object:
        if name != "DescribeInstanceInformation":
            return call(self, name, parameters)
        (instance,) = parameters["Filters"][0]["Values"]
        return {"InstanceInformationList": [{"InstanceId": instance, "PingStatus": status}]}

    patch.setattr(BaseClient, "_make_api_call", answered)


def emr_goes_on(world: World, off: float = 0.0) -> None:
    """A step that waits runs, and one that runs ends: a job with its report. `off`: how far Spark's last share is from Dask's."""
    step = world.steps[-1]
    step.state = {"PENDING": "RUNNING", "RUNNING": "COMPLETED"}.get(step.state, step.state)
    if step.state == "COMPLETED" and (job := re.search(r"--backend (\w+) .*--output s3://([^/]+)/(\S+)", step.args[-1])):
        backend, bucket, output = job.groups()
        report = copy.deepcopy(world.report)
        report["backend"] |= {"name": backend, "cluster": "yarn"}
        report["workers"] = [{**report["workers"][0], "node": node} for node in ("ip-1", "ip-2", "ip-1")]
        if backend == "spark":
            report["explained_variance"][-1] += off
        boto3.client("s3", region_name=REGION).put_object(Bucket=bucket, Key=f"{output}/report.json", Body=json.dumps(report).encode())


def run(*arguments: str) -> click.testing.Result:
    return CliRunner().invoke(smoke, ["--yes", "--poll", "0", *arguments])


def is_gone(world: World) -> bool:
    """By moto's own objects: every cluster that was ever made."""
    return [one.state for one in world.clusters] == ["TERMINATED"]


def proven(output: str) -> list[str]:
    return [line.removeprefix("proven   ") for line in output.splitlines() if line.startswith("proven   ")]


def test_all_is_proven_in_this_order(world: World) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    assert is_gone(world)
    commands = [step.args[-1].partition("-m fruits ")[2].partition("\n")[0] for step in world.steps]
    folder = f"s3://{BUCKET}/smoke/{world.clusters[0].id}"
    results = f"s3://{BUCKET}/Results-smoke/{world.clusters[0].id}"
    assert commands == [
        f"--backend dask --cluster yarn --input {folder} --output {results}/dask",
        f"validate {results}/dask",
        f"--backend spark --cluster yarn --input {folder} --output {results}/spark",
        f"validate {results}/spark",
    ]
    assert "UNPROVEN" not in done.stdout
    assert [line.split(":")[0] for line in proven(done.stdout)] == [
        "IAM",
        "the node script runs on Amazon Linux 2023",
        "the primary node is reached by SSM",
        "dask runs on YARN, and its results are valid",
        "spark runs on YARN, and its results are valid",
        "both backends give the same result",
        "task nodes are given on Spot",
        "the cluster is gone, and its machines",
    ]
    assert f"{IMAGES} images on 2 nodes" in done.stdout
    assert [line.removeprefix("not looked at: ") for line in done.stdout.splitlines() if line.startswith("not looked at")] == [
        *NOT_LOOKED_AT
    ]
    left = boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET).get("Contents", [])
    assert {one["Key"].partition("/")[0] for one in left} == {"bundles", "jupyter"}, "the sample and the results stay"


def test_the_sample_was_uploaded_before_it_is_read(world: World) -> None:
    seen: list[int] = []

    def look() -> None:
        keys = boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET, Prefix=f"smoke/{world.clusters[0].id}/")
        seen.append(keys["KeyCount"])
        emr_goes_on(world)

    world.on("describe_step", look)
    assert run().exit_code == 0
    assert seen[0] == IMAGES


def test_the_cluster_that_it_makes_ends_itself_after_ten_minutes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto drops it: what EMR was asked for."""
    asked: list[dict[str, Any]] = []
    call = BaseClient._make_api_call

    def told(self: BaseClient, name: str, parameters: dict[str, Any]) -> object:
        if name == "RunJobFlow":
            asked.append(parameters)
        return call(self, name, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", told)
    assert run("--set", "idle_minutes=600").exit_code == 0
    assert [request["AutoTerminationPolicy"] for request in asked] == [{"IdleTimeout": 600}]  # seconds
    assert is_gone(world)


def test_a_step_that_fails_ends_the_cluster_and_its_words_are_shown(world: World) -> None:
    def fails() -> None:
        emr_goes_on(world)
        if "spark" in world.steps[-1].name:
            world.step("FAILED", "exitCode 1")()
            world.log("exit code 1\n", "error: no worker came\n")()

    world.on("describe_step", fails)
    done = run()
    assert done.exit_code == 1
    assert is_gone(world)
    assert "is FAILED: exitCode 1" in done.stderr
    assert "error: no worker came" in done.stderr
    assert "UNPROVEN spark runs on YARN" in done.stdout
    assert f"stays in s3://{BUCKET}/smoke/{world.clusters[0].id} and s3://{BUCKET}/Results-smoke/{world.clusters[0].id}" in done.stderr
    assert any(line.startswith("dask runs on YARN") for line in proven(done.stdout))
    assert len(world.steps) == 3


def test_backends_that_differ_are_no_proof(world: World) -> None:
    world.on("describe_step", lambda: emr_goes_on(world, off=0.01))
    done = run()
    assert done.exit_code == 1
    assert is_gone(world)
    assert "explained variances are 0.01 apart" in done.stderr
    assert "UNPROVEN both backends give the same result" in done.stdout


def test_what_was_not_given_is_unproven(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job ran, but no Spot node came, and SSM does not answer."""
    reachable(monkeypatch, "ConnectionLost")

    def without_spot() -> None:
        emr_goes_on(world)
        for group in world.clusters[-1].instance_groups:
            if group.market == "SPOT":
                group.num_instances = 0

    world.on("describe_step", without_spot)
    done = run()
    assert done.exit_code == 1
    assert is_gone(world)
    assert "UNPROVEN task nodes are given on Spot" in done.stdout
    assert "UNPROVEN the primary node is reached by SSM" in done.stdout
    assert len(proven(done.stdout)) == 6


def test_a_cluster_that_terminates_with_errors_while_it_starts(world: World) -> None:
    starts = world.cluster("BOOTSTRAPPING")
    world.on("describe_cluster", starts, starts, starts, world.cluster("TERMINATED_WITH_ERRORS", "bootstrap action 1 failed"))
    done = run()
    assert done.exit_code == 1
    assert "TERMINATED_WITH_ERRORS: bootstrap action 1 failed" in done.stderr
    assert not world.steps
    assert ": BOOTSTRAPPING" in done.stdout
    assert "UNPROVEN the node script runs" in done.stdout


def test_an_upload_that_fails_ends_the_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    put = S3Backend.put_object

    def refuses(self: S3Backend, bucket_name: str, key_name: str, *arguments: Any, **named: Any) -> Any:
        if key_name.startswith("smoke/"):
            from moto.s3.exceptions import AccessDeniedByLock

            raise AccessDeniedByLock
        return put(self, bucket_name, key_name, *arguments, **named)

    monkeypatch.setattr(S3Backend, "put_object", refuses)
    done = run()
    assert done.exit_code != 0
    assert "access denied" in done.stderr
    assert is_gone(world)
    assert not world.steps


def test_a_cluster_that_comes_to_cost_more_is_ended(world: World) -> None:
    def begun_long_ago() -> None:
        emr_goes_on(world)
        world.clusters[-1].creation_datetime -= timedelta(hours=3)

    world.on("describe_step", world.step("PENDING"), begun_long_ago)
    done = run("--max-cost", "1.5")
    assert done.exit_code == 1
    # 3 hours at 0.767, and 5 minutes to its end.
    assert "costs $2.3" in done.stderr
    assert "more than --max-cost 1.5" in done.stderr
    assert is_gone(world)
    assert world.steps[-1].state == "RUNNING"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_ends_the_cluster_first(world: World, number: signal.Signals) -> None:
    world.on("describe_step", None, lambda: os.kill(os.getpid(), number))
    done = run()
    assert done.exit_code == 130
    assert is_gone(world)
    assert "interrupted: the cluster is ended first" in done.stderr
    assert "the cluster is gone, and its machines" in proven(done.stdout)[-1]


def test_interrupted_while_the_cluster_is_asked_for_it_is_found_and_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request has gone out, and the id has not come back."""
    call = BaseClient._make_api_call

    def interrupted(self: BaseClient, name: str, parameters: dict[str, Any]) -> object:
        answer = call(self, name, parameters)
        if name == "RunJobFlow":
            os.kill(os.getpid(), signal.SIGINT)
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", interrupted)
    done = run()
    assert done.exit_code == 130
    assert is_gone(world)


def test_interrupted_twice_it_says_what_ends_the_cluster(world: World) -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    world.on("describe_step", None, interrupt)
    # The next look at the cluster is that of the end.
    asked: list[None] = []

    def once_more() -> None:
        if world.steps and "describe_step" in world.asked[-3:] and not asked and world.asked.count("describe_step") == 2:
            asked.append(None)
            interrupt()

    world.on("list_instance_groups", once_more)
    done = run()
    assert asked, "it was not interrupted twice"
    assert done.exit_code == 130
    assert "EMR ends the cluster 10 minutes after its last work" in done.stderr
    assert "UNPROVEN the cluster is gone" in done.stdout


def test_all_that_came_of_it_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second cluster of the name, which nobody knows of."""
    monkeypatch.setattr("bootstrap.smoke.awaited", lambda context, made, look: cluster() and awaited(context, made, look))
    done = run()
    assert done.exit_code == 0, done.output
    assert [one.state for one in world.clusters] == ["TERMINATED"] * 2


def test_a_cluster_that_somebody_else_began_meanwhile_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.jupyter.place", lambda *_: bool(cluster()))
    done = run()
    assert done.exit_code == 1
    assert "was begun meanwhile" in done.stderr
    assert "no cluster was made" in done.stdout
    assert [one.state for one in world.clusters] == ["WAITING"]


def test_a_machine_that_is_left_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2 = boto3.client("ec2", region_name=REGION)

    def leave_one() -> None:
        emr_goes_on(world)
        instance = world.clusters[-1].ec2_instances[0].ec2_instance
        ec2.create_tags(Resources=[instance.id], Tags=[{"Key": "aws:elasticmapreduce:job-flow-id", "Value": world.clusters[-1].id}])

    monkeypatch.setattr(Instance, "terminate", lambda *_, **__: None)
    world.on("describe_step", leave_one)
    done = run()
    assert done.exit_code == 1
    assert "but its machines i-" in done.stderr
    assert "NOT GONE" in done.stderr
    assert "UNPROVEN the cluster is gone" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-cost", "0.3"], "that is more than --max-cost 0.3"),
        (["--set", "core.type=m5.24xlarge"], "m5.24xlarge has no price"),
        (["--prices", "without-spot.tsv"], "m5.xlarge on Spot has no price"),
        (["--prices", "without-fee.tsv"], "emr fee m5.xlarge has no price"),
        (["--release", "emr-6.13.0"], "runs Amazon Linux 2"),
        (["--set", "core.count=9"], "the cluster cannot be made as it is asked"),
        (["--set", "idle_minutes=0"], "there is no cluster without an end"),
    ],
)
def test_what_is_refused_before_anything_starts(world: World, arguments: list[str], said: str) -> None:
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    without_spot = [[*row[:4], "", "", *row[6:]] if row[1] == "m5.xlarge" else row for row in rows]
    for name, table in (("spot", without_spot), ("fee", [row for row in rows if row[1] != "emr fee m5.xlarge"])):
        Path(f"without-{name}.tsv").write_text("\n".join("\t".join(row) for row in table) + "\n")
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert not world.clusters
    assert not boto3.client("s3", region_name=REGION).list_buckets()["Buckets"]
    assert not boto3.client("cloudformation", region_name=REGION).list_stacks()["StackSummaries"]


def test_a_cluster_of_ours_that_runs_is_left_alone(world: World) -> None:
    cluster()
    done = run()
    assert done.exit_code == 2
    assert "smoke makes its own" in done.stderr
    assert [one.state for one in world.clusters] == ["WAITING"]


def test_nobody_to_ask_is_no_yes(world: World) -> None:
    done = CliRunner().invoke(smoke, ["--poll", "0"])
    assert done.exit_code == 2
    assert "say --yes" in done.stderr
    assert not world.clusters
