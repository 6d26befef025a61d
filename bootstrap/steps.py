"""Steps of EMR: what a cluster's primary node is told to run, followed to its end, with what it said."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bootstrap import cluster as clusters
from bootstrap.aws import Account, taken_once
from bootstrap.cluster import Cluster
from bootstrap.logs import logs
from fruits.errors import BadArgument, RunFailed

DONE, FAILED = "COMPLETED", "FAILED"
ENDED = (DONE, FAILED, "CANCELLED", "INTERRUPTED")
LONGEST_NAME, LONGEST_ARGUMENT = 256, 10_280  # https://docs.aws.amazon.com/emr/latest/APIReference/API_HadoopJarStepConfig.html
# Where EMR has them. Its own shells set both; a step may find neither.
_PLACES = 'export HADOOP_CONF_DIR="${HADOOP_CONF_DIR:-/etc/hadoop/conf}" SPARK_HOME="${SPARK_HOME:-/usr/lib/spark}"'
_EXIT_CODE = re.compile(r"^exit code (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """`reason`: of its state, where EMR gives one."""

    id: str
    name: str
    state: str
    reason: str


def arguments(command: str) -> list[str]:
    """For command-runner.jar: those lines of Bash, and a last line that says how they ended. EMR's API has no exit code."""
    return ["bash", "-c", f'{_PLACES}\n(\n{command}\n)\ncode=$?\necho "exit code $code"\nexit $code']


def add(account: Account, cluster_id: str, name: str, command: str, every: float) -> str:
    """The new step's id. The cluster goes on whatever becomes of it. Raises `BadArgument` for more than EMR takes."""
    given = arguments(command)
    if len(given[-1]) > LONGEST_ARGUMENT:
        raise BadArgument(f"EMR takes {LONGEST_ARGUMENT:,} characters of a step, these are {len(given[-1]):,}", "give fewer arguments")
    step: Any = {
        "Name": name[:LONGEST_NAME],
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": given},
    }
    before = _named(account, cluster_id, step["Name"])
    return taken_once(
        lambda: account.emr_once.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step])["StepIds"][0],
        lambda: next(iter(_named(account, cluster_id, step["Name"]) - before), None),
        every,
    )


def _named(account: Account, cluster_id: str, name: str) -> set[str]:
    """Ids of the cluster's steps of that name."""
    pages = account.emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    return {step["Id"] for page in pages for step in page["Steps"] if step["Name"] == name}


def describe(account: Account, cluster_id: str, step_id: str) -> Step:
    found: Any = account.emr.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
    status = found["Status"]
    reasons = [status.get("StateChangeReason", {}).get("Message"), status.get("FailureDetails", {}).get("Message")]
    return Step(found["Id"], found["Name"], status["State"], "; ".join(reason for reason in reasons if reason))


def changes(account: Account, cluster_id: str, step_id: str, every: float, look: Callable[[Cluster], None] | None = None) -> Iterator[Step]:
    """The step, each time its state is another, up to its end. Asks every so many seconds, and shows `look` the cluster then.

    Raises `RunFailed` where the cluster ends before the step does.
    """
    last = ""
    while True:
        step = describe(account, cluster_id, step_id)
        if step.state != last:
            yield step
            last = step.state
        if last in ENDED:
            return
        cluster = clusters.describe(account, cluster_id)
        if cluster.state == clusters.ENDING or cluster.gone:
            raise RunFailed(
                f"{cluster.id} is {cluster.state} ({cluster.reason or 'EMR gives no reason'}), and {step_id} was {last}",
                f"`logs --cluster-id {cluster.id}` shows what there is; the same command on a new cluster goes on where it stopped",
            )
        if look:
            look(cluster)
        time.sleep(every)


@dataclass(frozen=True)
class Said:
    """What a step wrote. `code`: the exit code that it said in the end, or None where it did not come to that."""

    out: str
    err: str

    @property
    def code(self) -> int | None:
        codes = _EXIT_CODE.findall(self.out)
        return int(codes[-1]) if codes else None


def folder(step_id: str) -> str:
    """Of its logs, below the cluster's."""
    return f"steps/{step_id}/"


def said(account: Account, cluster: Cluster, step_id: str) -> Said:
    """So far: EMR writes it to the bucket every five minutes, and some minutes after the end."""
    texts = {log.name.removesuffix(".gz").rpartition("/")[2]: log.text(account) for log in logs(account, cluster, folder(step_id))}
    return Said(texts.get("stdout", ""), texts.get("stderr", ""))


def said_to_the_end(account: Account, cluster: Cluster, step_id: str, seconds: float, every: float) -> Said | None:
    """All of a step that has ended, which is waited for so long; None where it is not there by then."""
    until = time.monotonic() + seconds
    while (found := said(account, cluster, step_id)).code is None:
        if time.monotonic() >= until:
            return None
        time.sleep(every)
    return found


def cancel(account: Account, cluster_id: str, step_id: str) -> None:
    """Raises `BadArgument` where EMR does not: it has ended, or there is none."""
    answers: Any = account.emr.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])["CancelStepsInfoList"]
    for answer in answers:
        if answer["Status"] != "SUBMITTED":
            raise BadArgument(f"{step_id} is not cancelled: {answer.get('Reason', 'EMR gives no reason')}", "`status` shows the steps")
