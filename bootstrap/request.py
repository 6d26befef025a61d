"""The request that makes the cluster: what `run_job_flow` is given, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bootstrap.releases import JUPYTERHUB
from bootstrap.settings import MANAGED_POLICY_TAG, Settings

PREFIX = "/opt/fruits"  # where bootstrap/node/install.sh makes the nodes' Python
PYTHON = f"{PREFIX}/bin/python"
IMAGES, RESULTS, LOGS, BUNDLES = "Test", "Results", "logs", "bundles"  # folders of the bucket; the first two are the notebook's


@dataclass(frozen=True)
class Resources:
    """What the foundation made. `service_group`: in a private subnet, through which EMR itself reaches the nodes."""

    bucket: str
    service_role: str
    instance_profile: str
    primary_group: str
    worker_group: str
    service_group: str | None
    subnet: str
    security_configuration: str


@dataclass(frozen=True)
class Bundle:
    """What the nodes install: `url` of its folder in the bucket, `sums` the SHA-256 of its SHA256SUMS."""

    url: str
    sums: str


def run_job_flow(settings: Settings, made: Resources, bundle: Bundle) -> dict[str, Any]:
    """All arguments of EMR's RunJobFlow."""
    request: dict[str, Any] = {
        "Name": settings.name,
        "ReleaseLabel": settings.release,
        "LogUri": f"s3://{made.bucket}/{LOGS}/",
        "Applications": [{"Name": name} for name in settings.applications],
        "Instances": _instances(settings, made),
        "BootstrapActions": [
            {
                "Name": "the nodes' Python",
                "ScriptBootstrapAction": {"Path": f"{bundle.url}/install.sh", "Args": _install(settings, made, bundle)},
            }
        ],
        "Configurations": configurations(settings, made.bucket),
        "ServiceRole": made.service_role,
        "JobFlowRole": made.instance_profile,
        "SecurityConfiguration": made.security_configuration,
        "AutoTerminationPolicy": {"IdleTimeout": 60 * settings.idle_minutes},
        "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
        "StepConcurrencyLevel": 1,
        "VisibleToAllUsers": True,
        "Tags": [{"Key": key, "Value": value} for key, value in (settings.all_tags | MANAGED_POLICY_TAG).items()],
    }
    if settings.scaling:
        core = settings.core.count
        request["ManagedScalingPolicy"] = {
            "ComputeLimits": {
                "UnitType": "Instances",
                "MinimumCapacityUnits": settings.scaling.min,
                "MaximumCapacityUnits": settings.scaling.max,
                # HDFS and the application masters stay where they are; what comes and goes are task nodes.
                "MaximumCoreCapacityUnits": core,
                "MaximumOnDemandCapacityUnits": core if settings.task.spot else settings.scaling.max,
            }
        }
    return request


def _instances(settings: Settings, made: Resources) -> dict[str, Any]:
    def group(role: str, kind: str, count: int, spot: bool = False) -> dict[str, Any]:
        return {
            "Name": role.lower(),
            "InstanceRole": role,
            "InstanceType": kind,
            "InstanceCount": count,
            "Market": "SPOT" if spot else "ON_DEMAND",
        }

    groups = [group("MASTER", settings.primary.type, 1), group("CORE", settings.core.type, settings.core.count)]
    if settings.task.count:
        groups.append(group("TASK", settings.task.type, settings.task.count, settings.task.spot))
    instances: dict[str, Any] = {
        "InstanceGroups": groups,
        "Ec2SubnetId": made.subnet,
        "EmrManagedMasterSecurityGroup": made.primary_group,
        "EmrManagedSlaveSecurityGroup": made.worker_group,
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
    }
    if made.service_group:
        instances["ServiceAccessSecurityGroup"] = made.service_group
    if settings.access.way == "ssh":
        instances["Ec2KeyName"] = settings.access.key_pair
    return instances


def _install(settings: Settings, made: Resources, bundle: Bundle) -> list[str]:
    arguments = ["--bundle", bundle.url, "--sums", bundle.sums, "--prefix", PREFIX]
    arguments += ["--input", f"s3://{made.bucket}/{IMAGES}", "--output", f"s3://{made.bucket}/{RESULTS}"]
    return [*arguments, "--tensorflow"] if settings.tensorflow else arguments


def configurations(settings: Settings, bucket: str) -> list[Mapping[str, Any]]:
    """Each with its reason; https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-configure-apps.html has the classifications."""
    python = {"PYSPARK_PYTHON": PYTHON}
    # The notebook's keys were misspelt (persistance), so that nothing was kept.
    notebooks = {"Classification": "jupyter-s3-conf", "Properties": {"s3.persistence.enabled": "true", "s3.persistence.bucket": bucket}}
    return [
        # By cores and memory, not by memory alone: else YARN puts more workers on a node than it has cores.
        {
            "Classification": "capacity-scheduler",
            "Properties": {
                "yarn.scheduler.capacity.resource-calculator": "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator"
            },
        },
        # Application masters on core nodes: task nodes are Spot, and go.
        {
            "Classification": "yarn-site",
            "Properties": {"yarn.node-labels.enabled": "true", "yarn.node-labels.am.default-node-label-expression": "CORE"},
        },
        *([notebooks] if JUPYTERHUB in settings.applications else []),
        # Livy's drivers run in containers: they and their executors take the nodes' Python too.
        {
            "Classification": "spark-defaults",
            "Properties": {
                "spark.pyspark.python": PYTHON,
                "spark.yarn.appMasterEnv.PYSPARK_PYTHON": PYTHON,
                "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
            },
        },
        {"Classification": "spark-env", "Properties": {}, "Configurations": [{"Classification": "export", "Properties": python}]},
    ]
