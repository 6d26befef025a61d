"""What EMR is asked for: the cluster that was typed into its console, and what a user asks for; boto3 takes it.

What must never be in a request, and what must be in each, is in test_request_rules.py.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from bootstrap.releases import check_release
from bootstrap.request import Bundle, Resources, run_job_flow
from bootstrap.settings import read_settings
from fruits.errors import BadArgument

MADE = Resources(
    bucket="fruits-1",
    service_role="arn:aws:iam::123456789012:role/service",
    instance_profile="nodes",
    primary_group="sg-1",
    worker_group="sg-2",
    service_group=None,
    subnet="subnet-1",
    security_configuration="fruits-security",
)
BUNDLE = Bundle("s3://fruits-1/bundles/abc", "abc")


def request(made: Resources = MADE, profile: str | None = None, **given: Any) -> dict[str, Any]:
    return run_job_flow(read_settings(None, profile, given), made, BUNDLE)


def faults(of: dict[str, Any]) -> str:
    """What boto3's own model of RunJobFlow finds wrong."""
    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    assert shape
    return ParamValidator().validate(of, shape).generate_report()


def properties(of: dict[str, Any], classification: str) -> dict[str, str]:
    """What the cluster's software is configured with, or nothing."""
    for configuration in of["Configurations"]:
        if configuration["Classification"] == classification:
            return dict(configuration["Properties"])
    return {}


def groups(of: dict[str, Any]) -> list[tuple[str, str, int, str]]:
    return [
        (group["InstanceRole"], group["InstanceType"], group["InstanceCount"], group["Market"])
        for group in of["Instances"]["InstanceGroups"]
    ]


def values(of: object) -> Iterator[object]:
    """Everything in it that is neither a list nor a dictionary."""
    if isinstance(of, dict | list):
        for value in of.values() if isinstance(of, dict) else of:
            yield from values(value)
    else:
        yield of


def test_the_defaults_are_the_machines_and_programs_that_were_clicked_together() -> None:
    """As the notebook describes its cluster: 1 primary, 1 core and 2 task m5.xlarge, JupyterHub with its
    notebooks in the bucket, logs in a bucket, and no end when there is nothing to do.

    What has changed since: the task nodes are on Spot.
    """
    of = request()
    assert groups(of) == [
        ("MASTER", "m5.xlarge", 1, "ON_DEMAND"),
        ("CORE", "m5.xlarge", 1, "ON_DEMAND"),
        ("TASK", "m5.xlarge", 2, "SPOT"),
    ]
    assert {one["Name"] for one in of["Applications"]} == {"Hadoop", "Spark", "JupyterHub"}
    kept = properties(of, "jupyter-s3-conf")
    assert kept == {"s3.persistence.enabled": "true", "s3.persistence.bucket": "fruits-1"}
    assert of["LogUri"] == "s3://fruits-1/logs/"
    assert of["Instances"]["KeepJobFlowAliveWhenNoSteps"] is True
    assert not faults(of)


def test_all_that_was_made_for_it_is_used() -> None:
    """Roles, groups, subnet and encryption: EMR would replace one that is left out by its default, or fail
    after minutes."""
    private = replace(MADE, service_group="sg-3")
    text = json.dumps(request(private))
    assert [value for value in vars(private).values() if value not in text] == []
    assert None not in values(request())


def test_the_nodes_get_the_python_of_the_bundle() -> None:
    """The same path where it is installed as where Spark looks for it, on the primary node and in containers."""
    of = request()
    (action,) = of["BootstrapActions"]
    arguments = action["ScriptBootstrapAction"]["Args"]
    assert action["ScriptBootstrapAction"]["Path"] == f"{BUNDLE.url}/install.sh"
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert (given["--bundle"], given["--sums"]) == (BUNDLE.url, BUNDLE.sums)
    python = f"{given['--prefix']}/bin/python"
    spark = properties(of, "spark-defaults")
    assert spark["spark.pyspark.python"] == python
    assert spark["spark.yarn.appMasterEnv.PYSPARK_PYTHON"] == python
    assert spark["spark.executorEnv.PYSPARK_PYTHON"] == python
    (with_tensorflow,) = request(tensorflow=True)["BootstrapActions"]
    assert with_tensorflow["ScriptBootstrapAction"]["Args"][-1] == "--tensorflow"


def test_containers_are_given_by_cores_too_and_masters_not_on_spot() -> None:
    """EMR's default scheduler counts memory alone, and an application ends with the Spot node of its master."""
    of = request()
    calculator = properties(of, "capacity-scheduler")["yarn.scheduler.capacity.resource-calculator"]
    assert calculator.endswith(".DominantResourceCalculator")
    labels = properties(of, "yarn-site")
    assert labels["yarn.node-labels.am.default-node-label-expression"] == "CORE"


def test_what_a_user_asks_for_is_in_the_request() -> None:
    of = request(
        name="large",
        idle_minutes=10,
        core={"type": "m7i.xlarge", "count": 2},
        task={"count": 4, "spot": True},
        scaling={"min": 2, "max": 20},
        access={"way": "ssh", "key_pair": "mine"},
        tags={"team": "data"},
    )
    assert groups(of)[1:] == [
        ("CORE", "m7i.xlarge", 2, "ON_DEMAND"),
        ("TASK", "m5.xlarge", 4, "SPOT"),
    ]
    assert of["Instances"]["Ec2KeyName"] == "mine"
    assert of["AutoTerminationPolicy"] == {"IdleTimeout": 10 * 60}
    limits = of["ManagedScalingPolicy"]["ComputeLimits"]
    assert (limits["MinimumCapacityUnits"], limits["MaximumCapacityUnits"]) == (2, 20)
    assert limits["MaximumOnDemandCapacityUnits"] == 2  # what is added is on Spot
    tags = {tag["Key"]: tag["Value"] for tag in of["Tags"]}
    assert (tags["team"], tags["Name"], of["Name"]) == ("data", "large", "large")
    assert not faults(of)
    assert "ManagedScalingPolicy" not in request()


def test_without_jupyterhub_there_is_nothing_to_configure_of_it() -> None:
    without, default = request(applications=["Hadoop", "Spark"]), request()
    left_out = [one for one in default["Configurations"] if one not in without["Configurations"]]
    assert [one["Classification"] for one in left_out] == ["jupyter-s3-conf"]


SPARK_8 = ["emr-spark-8.0.0", "emr-spark-8.1.0"]
NEW = ["emr-7.0.0", "emr-7.13.0", "emr-8.0.0", *SPARK_8, "emr-spark-8.10.0"]


@pytest.mark.parametrize("release", SPARK_8)
def test_with_spark_4_the_request_has_what_the_release_has(release: str) -> None:
    """As for emr-7.x, without JupyterHub and its settings; Hadoop comes with Spark."""
    of = request(release=release)
    differing = {key for key, value in request().items() if of[key] != value}
    assert differing == {"ReleaseLabel", "Applications", "Configurations"}
    assert (of["ReleaseLabel"], of["Applications"]) == (release, [{"Name": "Spark"}])
    assert of["Configurations"] == request(applications=["Hadoop", "Spark"])["Configurations"]
    assert not faults(of)


def test_the_starters_cluster_has_no_task_group() -> None:
    assert [(role, count) for role, _, count, _ in groups(request(profile="starter"))] == [
        ("MASTER", 1),
        ("CORE", 1),
    ]


def test_the_notebooks_cluster_is_on_demand_and_over_ssh() -> None:
    of = request(profile="notebook", release="emr-6.13.0", access={"key_pair": "mine"})
    assert of["ReleaseLabel"] == "emr-6.13.0"
    assert {group["Market"] for group in of["Instances"]["InstanceGroups"]} == {"ON_DEMAND"}
    assert of["Instances"]["Ec2KeyName"] == "mine"


def test_boto3s_model_finds_a_fault_where_there_is_one() -> None:
    assert "SecurityConfigurations" in faults({**request(), "SecurityConfigurations": "x"})


@pytest.mark.parametrize("release", ["emr-6.13.0", "emr-5.36.0"])
def test_a_release_on_which_the_nodes_python_cannot_run_is_refused(release: str) -> None:
    with pytest.raises(BadArgument) as refused:
        check_release(release)
    assert release in refused.value.message
    assert "emr-7.13.0" in refused.value.advice


@pytest.mark.parametrize("release", NEW)
def test_a_release_on_which_it_can_run_is_not(release: str) -> None:
    check_release(release)
