"""A cluster from nothing to gone, by the commands as they are typed, in an account of moto's."""

import functools
import gzip
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import click
import click.testing
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto.core.exceptions import JsonRESTError
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.emr.exceptions import ValidationException
from moto.emr.models import ElasticMapReduceBackend

from bootstrap.alone import seconds_alone
from bootstrap.aws import Account
from bootstrap.cli import main
from bootstrap.cluster import start

from . import stacks as stacks_of
from .accounts import completed
from .safety import request_findings
from .world import BUCKET, REGION, World, bucket, cluster, images

alone = functools.cache(seconds_alone)
WRITING = ("Create", "Run", "Put", "Delete", "Terminate", "Update", "Authorize", "Revoke", "Set", "Add", "Tag", "Upload")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What AWS was asked, by the names of the operations."""
    asked: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(self: Any, operation: str, parameters: Any) -> Any:
        asked.append(operation)
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return asked


@pytest.fixture(autouse=True)
def world(aws: None, bundle_made_once: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:  # noqa: ARG001
    """An empty account, and a working folder without settings.

    How long this machine alone would take is measured once for all tests.
    """
    monkeypatch.setattr("bootstrap.commands.lifecycle.seconds_alone", alone)
    completed(monkeypatch)
    stacks_of.completed(monkeypatch, tmp_path, Account(REGION))
    monkeypatch.chdir(tmp_path)
    return World(monkeypatch)


def run(*arguments: str) -> click.testing.Result:
    return CliRunner().invoke(main, [*arguments])


def changed(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith(WRITING)]


def stacks() -> list[str]:
    found = boto3.client("cloudformation", region_name=REGION).describe_stacks()["Stacks"]
    return [stack["StackName"] for stack in found]


def test_from_nothing_to_gone(world: World) -> None:
    up = run("up", "--yes", "--poll", "0", "--images", "22688")
    assert up.exit_code == 0, up.output
    (made,) = world.clusters
    assert f"{made.id}: WAITING" in up.stdout
    # 2 x 0.224 on demand, 2 x (0.0629 + 0.0642) / 2 on Spot, 4 x 0.048 of EMR.
    assert f"at least ${2 * 0.224 + 0.0629 + 0.0642 + 4 * 0.048:.2f} an hour: " in up.stdout
    assert "this machine alone would take" in up.stdout
    assert up.stdout.index("this machine alone") < up.stdout.index("asked for")
    assert "JupyterHub: https://" in up.stdout
    action = made.bootstrap_actions[0]
    folder = action.script_path.removesuffix("/install.sh").removeprefix(f"s3://{BUCKET}/")
    there = {found["Key"] for found in boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert {f"{folder}/{name}" for name in ("install.sh", "node.lock", "SHA256SUMS", "models.sha256")} <= there
    assert any(name.startswith(f"{folder}/fruits-") and name.endswith(".whl") for name in there)

    again = run("up", "--yes", "--poll", "0")
    assert again.exit_code == 0
    assert f"{made.id} is there already" in again.stdout
    assert len(world.clusters) == 1

    status = json.loads(run("status", "--json").stdout)
    assert (status["id"], status["state"]) == (made.id, "WAITING")
    nodes = {(group["role"], group["count"], group["spot"]) for group in status["nodes"]}
    assert nodes == {("primary", 1, False), ("core", 1, False), ("task", 2, True)}
    assert 0 <= status["usd_so_far"] < 0.1
    assert made.id in run("ls", "--all-regions").stdout
    refused = run("destroy", "--yes")
    assert refused.exit_code == 2
    assert f"{made.id} is WAITING and uses it" in refused.stderr

    down = run("down", "--poll", "0")
    assert down.exit_code == 0, down.output
    assert f"{made.id} is gone" in down.stdout
    assert made.state == "TERMINATED"
    twice = run("down")
    assert twice.exit_code == 0
    assert "no cluster named fruits runs" in twice.stdout
    assert run("status").exit_code == 1
    assert "0 clusters in" in run("ls", "--all-regions").stdout

    destroyed = run("destroy", "--yes")
    assert destroyed.exit_code == 0, destroyed.output
    assert not stacks()
    assert boto3.client("s3", region_name=REGION).head_bucket(Bucket=BUCKET)  # with what is in it


def test_up_is_not_done_where_nobody_can_be_asked(calls: list[str]) -> None:
    up = run("up", "--images", "22688")
    assert up.exit_code == 2
    assert "say --yes" in up.stderr
    assert "an hour" in up.stdout  # what it would have cost
    assert not changed(calls)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "idle_minutes=0"), "no cluster without an end"),
        (("--set", "access.cidr=0.0.0.0/0"), "open to the world"),
        (("--set", "access.cidr=::/0"), "no IPv4 network"),
        (("--set", "core=3", "--set", "core.count=3"), "core is given as 3 too"),
        (("--set", "core.count=3", "--set", "core=3"), "--set core is given twice"),
        (("--release", "emr-6.13.0"), "glibc 2.26"),
        (("--release", "8.1.0"), "'8.1.0' is no label of a release"),
        (
            ("--release", "emr-spark-8.1.0", "--set", 'applications=["Spark", "JupyterHub"]'),
            "emr-spark-8.1.0 has no JupyterHub",
        ),
        (("--region", "eu-west-33"), "no region eu-west-33"),
        (("--profile", "huge"), "no profile 'huge'"),
        (("--prices", "nowhere.tsv"), "nowhere.tsv cannot be read"),
    ],
    ids=lambda of: " ".join(of) if isinstance(of, tuple) else "",
)
def test_what_is_unsafe_or_wrong_is_refused_before_any_call(arguments: tuple[str, ...], said: str, calls: list[str]) -> None:
    up = run("up", "--yes", *arguments)
    assert up.exit_code == 2
    assert said in up.stderr
    assert not calls


def test_what_preflight_finds_stops_up(calls: list[str]) -> None:
    up = run("up", "--yes", "--set", "core.type=m5.huge")
    assert up.exit_code == 2
    assert "FAIL core type: emr-7.13.0 does not run on m5.huge" in up.stdout
    assert not changed(calls)
    checked = run("preflight", "--set", "core.type=m5.huge")
    assert checked.exit_code == 1
    assert run("preflight").exit_code == 0
    assert not changed(calls)


def test_plan_shows_the_request_and_does_nothing(calls: list[str]) -> None:
    plan = run("plan", "--json", "--images", "1000000")
    assert plan.exit_code == 0, plan.output
    shown = json.loads(plan.stdout)
    assert shown["request"]["ReleaseLabel"] == "emr-7.13.0"
    assert shown["request"]["AutoTerminationPolicy"] == {"IdleTimeout": 3600}
    assert shown["cost"]["usd_an_hour"] == pytest.approx(2 * 0.224 + 0.0629 + 0.0642 + 4 * 0.048)
    assert {job["backend"] for job in shown["jobs"]} == {"dask", "spark"}
    assert not changed(calls)


def test_plan_shows_the_notebooks_request_and_that_up_refuses_it() -> None:
    plan = run("plan", "--release", "emr-6.13.0", "--profile", "notebook", "--set", "access.key_pair=mine")
    assert plan.exit_code == 0
    request = json.loads(plan.stdout[: plan.stdout.index("\n}\n") + 2])
    assert request["ReleaseLabel"] == "emr-6.13.0"
    assert {
        "Classification": "jupyter-s3-conf",
        "Properties": {"s3.persistence.enabled": "true", "s3.persistence.bucket": BUCKET},
    } in request["Configurations"]
    assert "up refuses this" in plan.stderr
    assert "glibc 2.26" in plan.stderr


@pytest.mark.parametrize("release", ["emr-spark-8.0.0", "emr-spark-8.1.0"])
def test_plan_shows_a_request_with_spark_4(release: str) -> None:
    plan = run("plan", "--release", release, "--json")
    assert (plan.exit_code, plan.stderr) == (0, ""), plan.output
    request = json.loads(plan.stdout)["request"]
    assert (request["ReleaseLabel"], request["Applications"]) == (release, [{"Name": "Spark"}])
    assert request_findings(request) == []


def test_with_spark_4_nothing_of_jupyterhub_is_made_or_shown(world: World) -> None:
    up = run("up", "--yes", "--poll", "0", "--images", "22688", "--release", "emr-spark-8.1.0")
    assert up.exit_code == 0, up.output
    (made,) = world.clusters
    assert made.release_label == "emr-spark-8.1.0"
    assert [application.name for application in made.applications] == ["Spark"]
    shown = {line.partition(":")[0] for line in up.stdout.splitlines()}
    assert {"ResourceManager", "HDFS", "Spark history", "Dask dashboard"} <= shown
    assert "JupyterHub" not in up.stdout
    assert "JupyterHub" not in run("status").stdout
    s3 = boto3.client("s3", region_name=REGION)
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="bundles/")["KeyCount"]
    assert not s3.list_objects_v2(Bucket=BUCKET, Prefix="jupyter/")["KeyCount"]


def test_plan_needs_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable)
    plan = run("plan")
    assert plan.exit_code == 0
    assert "not asked of AWS: there are no credentials" in plan.stderr
    assert '"Name": "fruits"' in plan.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--region", "eu-west-33"), "no region eu-west-33"), ((), "was not made by python -m bootstrap")],
    ids=["an unknown region", "a foreign stack"],
)
def test_plan_refuses_what_up_would(arguments: tuple[str, ...], said: str) -> None:
    boto3.client("cloudformation", region_name=REGION).create_stack(
        StackName="fruits-foundation", TemplateBody=json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    )
    plan = run("plan", *arguments)
    assert plan.exit_code == 2, plan.output
    assert said in plan.stderr
    assert not plan.stdout


def test_plan_says_what_is_paid_for_besides() -> None:
    given = ("--images", "22688", "--set", "network.private=true", "--set", "scaling.min=1", "--set", "scaling.max=11")
    plan = run("plan", *given)
    assert plan.exit_code == 0, plan.output
    assert "interface endpoints, by the hour until `destroy`" in plan.stdout
    assert "public IPv4" not in plan.stdout
    assert "the disks' key, 1 USD a month" in plan.stdout
    # 1 + 1 on demand and 10 on Spot at most.
    most = 2 * 0.224 + 10 * (0.0629 + 0.0642) / 2 + 12 * 0.048
    assert f"scaled to its 11 core and task nodes, at least ${most:.2f} an hour" in plan.stdout
    request = json.loads(plan.stdout[: plan.stdout.index("\n}\n") + 2])
    assert request["Instances"]["ServiceAccessSecurityGroup"] == "(made by up)"


def test_a_bucket_that_another_cluster_uses_is_not_removed() -> None:
    bucket()
    images("Test", 3)
    other = cluster(name="other")
    refused = run("destroy", "--with-data", "--yes")
    assert refused.exit_code == 2
    assert f"{other} uses s3://{BUCKET}" in refused.stderr
    assert run("down", "--name", "other", "--poll", "0").exit_code == 0
    asked = run("destroy", "--with-data")
    assert asked.exit_code == 2
    assert f"with the bucket s3://{BUCKET} and ALL DATA in it, 3 objects?" in asked.stderr
    assert boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 3


def test_ctrl_c_at_the_question_is_an_interruption(monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    def interrupted(_: str) -> bool:
        raise click.Abort

    monkeypatch.setattr("bootstrap.context.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr("bootstrap.context.click.confirm", interrupted)
    asked = run("destroy")
    assert asked.exit_code == 130
    assert "interrupted" in asked.stderr
    assert not changed(calls)


def test_a_cluster_that_fails_while_up_waits_says_why_with_the_nodes_own_words(world: World) -> None:
    bucket()
    cluster()

    def fails() -> None:
        world.cluster("TERMINATED_WITH_ERRORS", "On the master instance (i-1), bootstrap action 1 returned a non-zero return code")()
        key = f"logs/{world.clusters[-1].id}/node/i-1/bootstrap-actions/1/stderr.gz"
        said = gzip.compress(b"2026-11-26T12:00:00Z FAILED: the model is not what was shipped; upload the bundle again\n")
        boto3.client("s3", region_name=REGION).put_object(Bucket=BUCKET, Key=key, Body=said)

    world.on("list_instance_groups", world.cluster("BOOTSTRAPPING"), None, fails)
    up = run("up", "--yes", "--poll", "0")
    assert up.exit_code == 1, up.output
    assert "BOOTSTRAPPING" in up.stdout
    assert "bootstrap action 1 returned a non-zero return code" in up.stderr
    assert "FAILED: the model is not what was shipped" in up.stderr


def test_roles_that_were_just_made_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """IAM's answers differ from place to place for some seconds."""
    refusals = iter(["Invalid InstanceProfile: fruits-1.", "Failed to authorize instance profile arn:aws:iam::1:instance-profile/x"])
    run_job_flow = ElasticMapReduceBackend.run_job_flow

    def not_known_yet(self: Any, **request: Any) -> Any:
        if said := next(refusals, None):
            raise ValidationException(said)
        return run_job_flow(self, **request)

    monkeypatch.setattr(ElasticMapReduceBackend, "run_job_flow", not_known_yet)
    account = Account(REGION)
    request: Any = {"Name": "x", "Instances": {"KeepJobFlowAliveWhenNoSteps": True}, "JobFlowRole": "nodes", "ServiceRole": "service"}
    assert start(account, request, every=0) == world.clusters[0].id
    assert next(refusals, None) is None
    monkeypatch.setattr(ElasticMapReduceBackend, "run_job_flow", lambda *_, **__: refused())
    with pytest.raises(ClientError, match="Invalid instance count"):
        start(account, request, every=0)


def test_an_answer_that_was_lost_makes_no_second_cluster(world: World) -> None:
    sent = world.lose("RunJobFlow")
    up = run("up", "--yes", "--poll", "0", "--images", "22688")
    assert up.exit_code == 0, up.output
    assert sent == ["RunJobFlow"]
    (made,) = world.clusters
    assert f"{made.id}: asked for" in up.stdout


def test_an_up_that_another_one_was_faster_than_makes_no_second_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(*_: Any) -> bool:
        cluster()
        return True

    monkeypatch.setattr("bootstrap.jupyter.place", another)
    up = run("up", "--yes", "--poll", "0", "--images", "22688")
    assert up.exit_code == 2, up.output
    assert "was begun meanwhile" in up.stderr
    assert [made.state for made in world.clusters] == ["WAITING"]


def test_a_cluster_that_ends_is_seen_until_it_has_ended(world: World) -> None:
    bucket()
    ending = cluster()
    world.cluster("TERMINATING")()
    assert f"{ending} fruits: TERMINATING" in run("status").stdout
    refused = run("destroy", "--yes")
    assert refused.exit_code == 2
    assert f"{ending} is TERMINATING and uses it" in refused.stderr
    world.on("describe_cluster", None, None, world.cluster("TERMINATED"))
    down = run("down", "--poll", "0")
    assert down.exit_code == 0, down.output
    assert [line for line in down.stdout.splitlines() if ": TERMINAT" in line] == [f"{ending}: TERMINATING", f"{ending}: TERMINATED"]
    assert f"{ending} is gone" in down.stdout


def test_beside_one_that_ends_the_one_that_runs_is_meant(world: World) -> None:
    bucket()
    cluster()
    world.cluster("TERMINATING")()
    runs = cluster()
    assert json.loads(run("status", "--json").stdout)["id"] == runs


def test_a_cluster_that_has_ended_costs_no_more(world: World) -> None:
    bucket()
    ended = cluster()
    assert run("down", "--poll", "0").exit_code == 0
    world.clusters[0].creation_datetime -= timedelta(hours=3)
    world.clusters[0].end_datetime -= timedelta(hours=2)
    status = json.loads(run("status", "--cluster-id", ended, "--json").stdout)
    # An hour: 2 x 0.224 on demand, 2 x (0.0629 + 0.0642) / 2 on Spot, 4 x 0.048 of EMR.
    assert status["usd_so_far"] == pytest.approx(2 * 0.224 + 0.0629 + 0.0642 + 4 * 0.048, rel=0.01)


def test_a_request_that_was_throttled_is_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [JsonRESTError("ThrottlingException", "Rate exceeded")]
    run_job_flow = ElasticMapReduceBackend.run_job_flow

    def throttled(self: Any, **request: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return run_job_flow(self, **request)

    monkeypatch.setattr(ElasticMapReduceBackend, "run_job_flow", throttled)
    request: Any = {"Name": "x", "Instances": {"KeepJobFlowAliveWhenNoSteps": True}, "JobFlowRole": "nodes", "ServiceRole": "service"}
    assert start(Account(REGION), request, every=0) == world.clusters[0].id
    assert not refusals


def refused() -> None:
    raise ValidationException("Invalid instance count")


def test_two_clusters_of_one_name_are_told_apart(world: World) -> None:
    bucket()
    first, second = cluster(), cluster()
    for command in (("status",), ("down",), ("up", "--yes")):
        refused = run(*command)
        assert refused.exit_code == 2
        assert first in refused.stderr
        assert second in refused.stderr
        assert "--cluster-id" in refused.stderr
    assert run("down", "--cluster-id", first, "--poll", "0").exit_code == 0
    assert {made.id: made.state for made in world.clusters} == {first: "TERMINATED", second: "WAITING"}


def test_the_cluster_of_somebody_else_is_left_alone(world: World) -> None:
    bucket()
    foreign = cluster(owner="somebody")
    refused = run("down", "--cluster-id", foreign)
    assert refused.exit_code == 2
    assert "was not made by python -m bootstrap" in refused.stderr
    assert "no cluster named fruits runs" in run("down").stdout
    assert foreign not in run("ls").stdout
    assert world.clusters[0].state == "WAITING"


def test_a_machine_that_outlives_its_cluster_is_told() -> None:
    bucket()
    cluster_id = cluster()
    ec2 = boto3.client("ec2", region_name=REGION)
    image = ec2.register_image(Name="of a test")["ImageId"]
    tags: Any = [{"ResourceType": "instance", "Tags": [{"Key": "aws:elasticmapreduce:job-flow-id", "Value": cluster_id}]}]
    left = ec2.run_instances(ImageId=image, InstanceType="m5.xlarge", MinCount=1, MaxCount=1, TagSpecifications=tags)
    down = run("down", "--poll", "0")
    assert down.exit_code == 1
    assert left["Instances"][0]["InstanceId"] in down.stderr


@pytest.fixture
def two_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = [region for region in RegionsAndZonesBackend.regions if region.name in (REGION, "eu-west-1")]
    assert len(regions) == 2
    monkeypatch.setattr(RegionsAndZonesBackend, "regions", regions)


@pytest.mark.usefixtures("two_regions")
def test_ls_shows_what_costs_without_a_cluster_too() -> None:
    bucket()
    runs = cluster()
    ec2 = boto3.client("ec2", region_name=REGION)
    image = ec2.register_image(Name="of a test")["ImageId"]
    machines = []
    for of in (runs, "j-GONE"):
        tags: Any = [{"Key": "ManagedBy", "Value": "fruits-bootstrap"}, {"Key": "aws:elasticmapreduce:job-flow-id", "Value": of}]
        made = ec2.run_instances(
            ImageId=image,
            InstanceType="m5.xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        machines.append(made["Instances"][0]["InstanceId"])
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc,
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{REGION}.kms",
        TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": [{"Key": "ManagedBy", "Value": "fruits-bootstrap"}]}],
    )["VpcEndpoint"]["VpcEndpointId"]
    ls = run("ls", "--all-regions")
    assert ls.exit_code == 0, ls.output
    assert f"{REGION} {machines[1]}: a machine whose cluster is gone" in ls.stdout
    assert machines[0] not in ls.stdout
    assert f"{REGION} {endpoint}: an interface endpoint" in ls.stdout
    assert "1 clusters in 2 regions" in ls.stdout
    shown = json.loads(run("ls", "--json").stdout)
    assert {(one["kind"], one["id"]) for one in shown} == {("cluster", runs), ("machine", machines[1]), ("endpoint", endpoint)}


@pytest.mark.usefixtures("two_regions")
def test_a_region_that_cannot_be_looked_at_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket()
    runs = cluster()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def denied(self: Any, operation: str, parameters: Any) -> Any:
        if operation == "ListClusters" and self.meta.region_name == "eu-west-1":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "by a policy"}}, operation)
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", denied)
    ls = run("ls", "--all-regions")
    assert ls.exit_code == 1
    assert runs in ls.stdout
    assert "1 clusters in 1 region" in ls.stdout
    assert "eu-west-1: not looked at: ListClusters: access denied: by a policy" in ls.stderr


def test_the_images_of_the_bucket_are_those_of_the_job() -> None:
    bucket()
    images("Test", 3)
    up = run("up")
    assert "3 images" in up.stdout
