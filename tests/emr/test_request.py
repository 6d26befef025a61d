"""What EMR is asked for, field by field, against what was typed into its console and what is safe; and that boto3 takes it."""

import copy
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
EXPECTED: dict[str, Any] = {
    "Name": "fruits",
    "ReleaseLabel": "emr-7.13.0",
    "LogUri": "s3://fruits-1/logs/",
    "Applications": [{"Name": "Hadoop"}, {"Name": "Spark"}, {"Name": "JupyterHub"}],
    "Instances": {
        "InstanceGroups": [
            {"Name": "master", "InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1, "Market": "ON_DEMAND"},
            {"Name": "core", "InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 1, "Market": "ON_DEMAND"},
            {"Name": "task", "InstanceRole": "TASK", "InstanceType": "m5.xlarge", "InstanceCount": 2, "Market": "SPOT"},
        ],
        "Ec2SubnetId": "subnet-1",
        "EmrManagedMasterSecurityGroup": "sg-1",
        "EmrManagedSlaveSecurityGroup": "sg-2",
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
    },
    "BootstrapActions": [
        {
            "Name": "the nodes' Python",
            "ScriptBootstrapAction": {
                "Path": "s3://fruits-1/bundles/abc/install.sh",
                "Args": [
                    *("--bundle", "s3://fruits-1/bundles/abc", "--sums", "abc", "--prefix", "/opt/fruits"),
                    *("--input", "s3://fruits-1/Test", "--output", "s3://fruits-1/Results"),
                ],
            },
        }
    ],
    "Configurations": [
        {
            "Classification": "capacity-scheduler",
            "Properties": {
                "yarn.scheduler.capacity.resource-calculator": "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator"
            },
        },
        {
            "Classification": "yarn-site",
            "Properties": {"yarn.node-labels.enabled": "true", "yarn.node-labels.am.default-node-label-expression": "CORE"},
        },
        {"Classification": "jupyter-s3-conf", "Properties": {"s3.persistence.enabled": "true", "s3.persistence.bucket": "fruits-1"}},
        {
            "Classification": "spark-defaults",
            "Properties": {
                "spark.pyspark.python": "/opt/fruits/bin/python",
                "spark.yarn.appMasterEnv.PYSPARK_PYTHON": "/opt/fruits/bin/python",
                "spark.executorEnv.PYSPARK_PYTHON": "/opt/fruits/bin/python",
            },
        },
        {
            "Classification": "spark-env",
            "Properties": {},
            "Configurations": [{"Classification": "export", "Properties": {"PYSPARK_PYTHON": "/opt/fruits/bin/python"}}],
        },
    ],
    "ServiceRole": "arn:aws:iam::123456789012:role/service",
    "JobFlowRole": "nodes",
    "SecurityConfiguration": "fruits-security",
    "AutoTerminationPolicy": {"IdleTimeout": 3600},
    "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
    "StepConcurrencyLevel": 1,
    "VisibleToAllUsers": True,
    "Tags": [
        {"Key": "Project", "Value": "fruits"},
        {"Key": "ManagedBy", "Value": "fruits-bootstrap"},
        {"Key": "Name", "Value": "fruits"},
        {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"},
    ],
}


def request(made: Resources = MADE, profile: str | None = None, **given: Any) -> dict[str, Any]:
    return run_job_flow(read_settings(None, profile, given), made, BUNDLE)


def faults(of: dict[str, Any]) -> str:
    """What boto3's own model of RunJobFlow finds wrong."""
    shape = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow").input_shape
    assert shape
    return ParamValidator().validate(of, shape).generate_report()


def test_the_request_of_the_defaults_field_by_field() -> None:
    assert request() == EXPECTED
    assert not faults(request())


def test_all_that_can_be_asked_for_is_in_the_request() -> None:
    private = Resources(**{**vars(MADE), "service_group": "sg-3"})
    of = request(
        private,
        name="large",
        idle_minutes=10,
        tensorflow=True,
        core={"type": "m7i.xlarge", "count": 2},
        task={"count": 4, "spot": True},
        scaling={"min": 2, "max": 20},
        access={"way": "ssh", "key_pair": "mine"},
        tags={"team": "data"},
    )
    expected = copy.deepcopy(EXPECTED)
    expected["Name"] = "large"
    expected["Instances"]["InstanceGroups"][1] |= {"InstanceType": "m7i.xlarge", "InstanceCount": 2}
    expected["Instances"]["InstanceGroups"][2]["InstanceCount"] = 4
    expected["Instances"] |= {"Ec2KeyName": "mine", "ServiceAccessSecurityGroup": "sg-3"}
    expected["BootstrapActions"][0]["ScriptBootstrapAction"]["Args"].append("--tensorflow")
    expected["AutoTerminationPolicy"] = {"IdleTimeout": 600}
    expected["ManagedScalingPolicy"] = {
        "ComputeLimits": {
            "UnitType": "Instances",
            "MinimumCapacityUnits": 2,
            "MaximumCapacityUnits": 20,
            "MaximumCoreCapacityUnits": 2,
            "MaximumOnDemandCapacityUnits": 2,
        }
    }
    expected["Tags"] = [{"Key": "team", "Value": "data"}, *expected["Tags"]]
    expected["Tags"][3]["Value"] = "large"
    assert of == expected
    assert not faults(of)


def test_without_jupyterhub_there_is_nothing_to_configure_of_it() -> None:
    classifications = {one["Classification"] for one in request(applications=["Hadoop", "Spark"])["Configurations"]}
    assert classifications == {one["Classification"] for one in EXPECTED["Configurations"]} - {"jupyter-s3-conf"}


SPARK_8 = ["emr-spark-8.0.0", "emr-spark-8.1.0"]
NEW = ["emr-7.0.0", "emr-7.13.0", "emr-8.0.0", *SPARK_8, "emr-spark-8.10.0"]


@pytest.mark.parametrize("release", SPARK_8)
def test_with_spark_4_the_request_has_what_the_release_has(release: str) -> None:
    """As for emr-7.x, without JupyterHub and its settings; Hadoop comes with Spark."""
    expected = copy.deepcopy(EXPECTED)
    expected |= {"ReleaseLabel": release, "Applications": [{"Name": "Spark"}]}
    of_jupyterhub = expected["Configurations"].pop(2)
    assert of_jupyterhub["Classification"] == "jupyter-s3-conf"
    assert request(release=release) == expected
    assert not faults(expected)


def test_the_starters_cluster_has_no_task_group() -> None:
    groups = request(profile="starter")["Instances"]["InstanceGroups"]
    assert [(group["InstanceRole"], group["InstanceCount"]) for group in groups] == [("MASTER", 1), ("CORE", 1)]


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
