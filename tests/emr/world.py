"""What moto leaves out of AWS: that something happens there while it is asked. A happening comes before the answer to a question.

Also a cluster as `up` makes it, and the logs that EMR writes of a step.
"""

import gzip
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.endpoint import Endpoint
from botocore.exceptions import ReadTimeoutError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.emr.models import ElasticMapReduceBackend, emr_backends
from moto.s3.models import S3Backend

REGION, BUCKET = "eu-west-3", "fruits-123456789012-eu-west-3"
ASKED = {
    "describe_cluster": ElasticMapReduceBackend,
    "describe_step": ElasticMapReduceBackend,
    "list_instance_groups": ElasticMapReduceBackend,
    "list_objects": S3Backend,
}


class World:
    """`on("describe_step", ...)`: so many answers each have one happening before them; None is nothing. The last goes on for ever.

    `report`: of the run whose results the jobs of the cluster write.
    """

    report: dict[str, Any]

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._todo: dict[str, deque[Callable[[], None] | None]] = defaultdict(deque)
        self.asked: list[str] = []
        for question, backend in ASKED.items():
            patch.setattr(backend, question, self._happening(question, getattr(backend, question)))

    def _happening(self, question: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def answered(*arguments: Any, **named: Any) -> Any:
            self.asked.append(question)
            todo = self._todo[question]
            happening = todo.popleft() if len(todo) > 1 else next(iter(todo), None)
            if happening:
                happening()
            return answer(*arguments, **named)

        return answered

    def lose(self, operation: str) -> list[str]:
        """AWS does what it is asked, once, and its answer does not arrive; from botocore's retries on, all is as it is. What is returned
        has the requests of that name that went out."""
        sent: list[str] = []
        answered = Endpoint._do_get_response  # type: ignore[attr-defined]

        def lost(endpoint: Endpoint, request: Any, model: Any, context: Any) -> Any:
            answer = answered(endpoint, request, model, context)
            if model.name != operation:
                return answer
            sent.append(operation)
            return (None, ReadTimeoutError(endpoint_url=endpoint.host)) if len(sent) == 1 else answer

        self._patch.setattr(Endpoint, "_do_get_response", lost)
        return sent

    def on(self, question: str, *happenings: Callable[[], None] | None) -> None:
        self._todo[question] = deque(happenings)

    @property
    def clusters(self) -> list[Any]:
        """moto's own objects."""
        return [*emr_backends[DEFAULT_ACCOUNT_ID][REGION].clusters.values()]

    @property
    def steps(self) -> list[Any]:
        return [step for cluster in self.clusters for step in cluster.steps]

    def step(self, state: str, reason: str = "") -> Callable[[], None]:
        """The last step gets that state."""

        def happens() -> None:
            self.steps[-1].state = state
            self.steps[-1].last_state_change_reason = reason or None

        return happens

    def cluster(self, state: str, reason: str = "") -> Callable[[], None]:
        def happens() -> None:
            self.clusters[-1].state = state
            self.clusters[-1].last_state_change_reason = reason or None

        return happens

    def log(self, out: str, err: str = "") -> Callable[[], None]:
        """EMR writes what the last step said."""

        def happens() -> None:
            folder = f"logs/{self.clusters[-1].id}/steps/{self.steps[-1].id}"
            s3 = boto3.client("s3", region_name=REGION)
            for name, text in (("controller", "INFO startExec 'hadoop jar ...'\n"), ("stdout", out), ("stderr", err)):
                s3.put_object(Bucket=BUCKET, Key=f"{folder}/{name}.gz", Body=gzip.compress(text.encode()))

        return happens


def bucket() -> None:
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})


def images(folder: str, count: int) -> None:
    for number in range(count):
        boto3.client("s3", region_name=REGION).put_object(Bucket=BUCKET, Key=f"{folder}/Apple/{number}.jpg", Body=b"x")


def cluster(name: str = "fruits", owner: str = "fruits-bootstrap") -> str:
    """Of 1 + 1 + 2 nodes, that runs; its id."""
    groups = [
        {"Name": role, "InstanceRole": role, "InstanceType": "m5.xlarge", "InstanceCount": count, "Market": market}
        for role, count, market in (("MASTER", 1, "ON_DEMAND"), ("CORE", 1, "ON_DEMAND"), ("TASK", 2, "SPOT"))
    ]
    emr = boto3.client("emr", region_name=REGION)
    return str(
        emr.run_job_flow(
            Name=name,
            ReleaseLabel="emr-7.13.0",
            Applications=[{"Name": name} for name in ("Hadoop", "Spark", "JupyterHub")],
            LogUri=f"s3://{BUCKET}/logs/",
            Instances={"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True},  # type: ignore[typeddict-item]
            JobFlowRole="nodes",
            ServiceRole="service",
            Tags=[{"Key": "Project", "Value": "fruits"}, {"Key": "ManagedBy", "Value": owner}],
        )["JobFlowId"]
    )
