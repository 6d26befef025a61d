"""A cluster from request to end. Which are ours, their tags say."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.costs import Cost
from benchmarks.prices import Prices
from bootstrap.aws import Account, taken_once
from bootstrap.cost import Group, hourly
from bootstrap.settings import MANAGED_BY, PROJECT
from fruits.errors import BadArgument, RunFailed

if TYPE_CHECKING:
    from mypy_boto3_emr.literals import ClusterStateType

READY = ("RUNNING", "WAITING")
ENDING = "TERMINATING"
ACTIVE: "Sequence[ClusterStateType]" = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
# As EMR words it: "Invalid InstanceProfile: ...", "Invalid service role", "Failed to authorize instance profile".
_NOT_KNOWN = re.compile(r"invalid (service ?role|role|instance ?profile)|authorize instance ?profile", re.IGNORECASE)
OF_CLUSTER = "aws:elasticmapreduce:job-flow-id"  # the tag that EMR gives its machines
ROLES = {"MASTER": "primary", "CORE": "core", "TASK": "task"}


@dataclass(frozen=True)
class Cluster:
    """As EMR describes it. `begun`: when it was asked for, from when on it costs, to a minute; `ended`: up to when. `reason`: of its state,
    where EMR gives one. `host`: of the primary node, once it has one. `applications`: of EMR."""

    id: str
    name: str
    region: str
    state: str
    reason: str
    begun: datetime
    ended: datetime | None
    host: str
    bucket: str
    tags: dict[str, str]
    groups: tuple[Group, ...]
    applications: tuple[str, ...]

    def has(self, application: str) -> bool:
        return application.lower() in (name.lower() for name in self.applications)

    @property
    def gone(self) -> bool:
        return self.state.startswith("TERMINATED")

    @property
    def hours(self) -> float:
        return ((self.ended or datetime.now(UTC)) - self.begun).total_seconds() / 3600

    def an_hour(self, prices: Prices) -> Cost:
        return hourly(self.groups, self.region, prices)

    def so_far(self, prices: Prices) -> float:
        """Dollars, as if it had been as large as it is now all the time."""
        return self.hours * self.an_hour(prices).total


def describe(account: Account, cluster_id: str) -> Cluster:
    from botocore.exceptions import ClientError

    try:
        found: Any = account.emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    except ClientError as refused:
        if refused.response["Error"]["Code"] not in ("InvalidRequestException", "ValidationException"):
            raise
        raise BadArgument(f"there is no cluster {cluster_id} in {account.region}", "`ls --all-regions` shows what runs") from refused
    pages = account.emr.get_paginator("list_instance_groups").paginate(ClusterId=cluster_id)
    groups = [group for page in pages for group in page["InstanceGroups"]]
    status = found["Status"]
    return Cluster(
        id=found["Id"],
        name=found["Name"],
        region=account.region,
        state=status["State"],
        reason=status.get("StateChangeReason", {}).get("Message", ""),
        begun=status["Timeline"]["CreationDateTime"],
        ended=status["Timeline"].get("EndDateTime"),
        host=found.get("MasterPublicDnsName", ""),
        bucket=found.get("LogUri", "").partition("://")[2].partition("/")[0],
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        groups=tuple(
            Group(
                ROLES[group["InstanceGroupType"]],
                group["InstanceType"],
                group.get("RunningInstanceCount") or group["RequestedInstanceCount"],
                group.get("Market") == "SPOT",
            )
            for group in groups
        ),
        applications=tuple(one.get("Name", "") for one in found.get("Applications", [])),
    )


def ours(account: Account) -> Iterator[Cluster]:
    """All of the region that are not gone and that this package made."""
    for page in account.emr.get_paginator("list_clusters").paginate(ClusterStates=ACTIVE):
        for summary in page["Clusters"]:
            cluster = describe(account, summary["Id"])
            if _is_ours(cluster):
                yield cluster


def _is_ours(cluster: Cluster) -> bool:
    return cluster.tags.get("Project") == PROJECT and cluster.tags.get("ManagedBy") == MANAGED_BY


def find(account: Account, name: str, cluster_id: str | None = None, *, ending: bool = False) -> Cluster | None:
    """The one of that name, or None. `ending`: where there is no other, one that ends already, which costs until it has. Raises
    `BadArgument` where there are two, and for a `cluster_id` that is not ours."""
    if cluster_id is not None:
        cluster = describe(account, cluster_id)
        if not _is_ours(cluster):
            raise BadArgument(f"{cluster_id} ({cluster.name}) was not made by python -m bootstrap", "leave it to whom it belongs")
        return cluster
    named = [cluster for cluster in ours(account) if cluster.name == name]
    found = [cluster for cluster in named if cluster.state != ENDING] or (named if ending else [])
    if len(found) > 1:
        which = ", ".join(f"{cluster.id} ({cluster.state}, since {cluster.begun:%Y-%m-%d %H:%M} UTC)" for cluster in found)
        raise BadArgument(f"there are {len(found)} clusters named {name}: {which}", "say which: --cluster-id")
    return found[0] if found else None


def newest(account: Account, name: str) -> Cluster | None:
    """The last of that name that this package made, gone or not; EMR tells of the last two months."""
    pages = account.emr.get_paginator("list_clusters").paginate()
    summaries = [summary for page in pages for summary in page["Clusters"] if summary["Name"] == name]
    for summary in sorted(summaries, key=lambda one: one["Status"]["Timeline"]["CreationDateTime"], reverse=True):
        cluster = describe(account, summary["Id"])
        if _is_ours(cluster):
            return cluster
    return None


def running(account: Account, name: str, cluster_id: str | None = None) -> Cluster:
    """The same; raises `BadArgument` where there is none that runs."""
    cluster = find(account, name, cluster_id)
    if cluster is None:
        raise BadArgument(
            f"no cluster named {name} runs in {account.region}", "`up` makes one, `ls --all-regions` shows what runs elsewhere"
        )
    if cluster.state not in READY:
        raise BadArgument(f"{cluster.id} is {cluster.state}", "wait until it runs: `up` does, and shows its states")
    return cluster


def start(account: Account, request: dict[str, Any], every: float) -> str:
    """The new cluster's id. Roles that were just made are not known everywhere for some seconds: EMR is asked again then, but not where it
    may have made the cluster and its answer was lost. None of that name is there before."""

    def look() -> str | None:
        there = find(account, request["Name"])
        return there.id if there else None

    return taken_once(
        lambda: account.emr_once.run_job_flow(**request)["JobFlowId"], look, every, lambda failed: bool(_NOT_KNOWN.search(str(failed)))
    )


def changes(
    account: Account, cluster_id: str, until: Sequence[str], every: float, look: Callable[[Cluster], None] | None = None
) -> Iterator[Cluster]:
    """The cluster, each time its state is another, up to one of `until` or its end. Asks every so many seconds; `look` is shown
    each answer."""
    last = ""
    while True:
        cluster = describe(account, cluster_id)
        if cluster.state != last:
            yield cluster
            last = cluster.state
        if last in until or cluster.gone:
            return
        if look:
            look(cluster)
        time.sleep(every)


def end(account: Account, cluster: Cluster, say: Callable[[str], None], every: float) -> None:
    """Ends it, and comes back when it is gone, its machines too. Raises `RunFailed` where some are left."""
    if cluster.state != ENDING and not cluster.gone:  # EMR refuses to change what ends already
        account.emr.set_termination_protection(JobFlowIds=[cluster.id], TerminationProtected=False)
        account.emr.terminate_job_flows(JobFlowIds=[cluster.id])
    for now in changes(account, cluster.id, (), every):
        say(f"{now.id}: {now.state}")
    if left := machines(account, cluster.id):
        raise RunFailed(f"{cluster.id} has ended, but its machines {', '.join(left)} have not", "end them: aws ec2 terminate-instances")


def machines(account: Account, cluster_id: str) -> list[str]:
    """EC2 instances of that cluster that are not gone or going."""
    return [instance["InstanceId"] for instance in _machines(account, OF_CLUSTER, cluster_id)]


def _machines(account: Account, tag: str, value: str) -> Iterator[Any]:
    pages = account.ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": f"tag:{tag}", "Values": [value]},
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
        ]
    )
    yield from (instance for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"])


@dataclass(frozen=True)
class Left:
    """What costs by the hour without a cluster. `kind`: machine or endpoint."""

    kind: str
    id: str
    region: str


def left(account: Account, running: Sequence[Cluster]) -> list[Left]:
    """By our tag: machines of none of these clusters, and the interface endpoints of private foundations."""
    known = {cluster.id for cluster in running}
    found = [
        Left("machine", machine["InstanceId"], account.region)
        for machine in _machines(account, "ManagedBy", MANAGED_BY)
        if not any(tag["Key"] == OF_CLUSTER and tag["Value"] in known for tag in machine["Tags"])
    ]
    pages = account.ec2.get_paginator("describe_vpc_endpoints").paginate(
        Filters=[{"Name": "tag:ManagedBy", "Values": [MANAGED_BY]}, {"Name": "vpc-endpoint-type", "Values": ["Interface"]}]
    )
    return [*found, *(Left("endpoint", one["VpcEndpointId"], account.region) for page in pages for one in page["VpcEndpoints"])]


def regions(account: Account) -> list[str]:
    """Those that the account may use."""
    return sorted(region["RegionName"] for region in account.ec2.describe_regions()["Regions"])
