"""The one run of everything on a real account: a cluster made, used by both backends, checked, and gone whatever happens."""

import json
import shlex
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from benchmarks.report.question import in_words
from bootstrap import cluster as clusters
from bootstrap import steps, upload
from bootstrap.aws import translated
from bootstrap.cluster import Cluster
from bootstrap.context import Context
from bootstrap.cost import groups
from bootstrap.launch import LAST_LINES, awaited, launched, prepared
from bootstrap.request import PYTHON, RESULTS
from bootstrap.settings import LEAST_IDLE_MINUTES, Settings
from bootstrap.signals import as_ctrl_c
from bootstrap.steps import Step
from bootstrap.tunnel import primary_of
from fruits.errors import FruitsError, RunFailed
from fruits.guard import INTERRUPTED
from fruits.job import DEFAULT_PATTERNS, SAMPLE

# Twenty minutes until the cluster runs (others report 8 to 20, benchmarks.projection), two for each of four steps, five to its end.
EXPECTED_SECONDS, STEP_SECONDS, END_SECONDS = 2000.0, 120.0, 300.0
BACKENDS = ("dask", "spark")
PARITY = 1e-5  # of explained variance, between backends: the conformance suite's
INPUTS, OUTPUTS = "smoke", f"{RESULTS}-smoke"  # folders of the bucket; the nodes may write where the name begins like that of the results
# What nobody has seen until this has run, by what it shows.
RIGHTS = "IAM: the rights of the foundation's roles, and their conditions on tags, are enough to make the cluster"
SCRIPT = "the node script runs on Amazon Linux 2023"
SPOT = "task nodes are given on Spot"
SSM = "the primary node is reached by SSM"
PARITY_OF = "both backends give the same result"
GONE = "the cluster is gone, and its machines"
NOT_LOOKED_AT = (
    "the notebook in JupyterHub (sparkmagic, Livy)",
    "pages through a tunnel, in a browser",
    "a private subnet",
    "managed scaling",
    "arm64",
    "TensorFlow on the nodes",
    "the alarm of the budget",
)


def runs(backend: str) -> str:
    return f"{backend} runs on YARN, and its results are valid"


@dataclass
class Smoke:
    """A run of it. `proven`: what has been shown, with how. `asked`: whether a cluster was asked for, before which none had its name."""

    context: Context
    settings: Settings
    max_cost: float
    proven: dict[str, str] = field(default_factory=dict)
    failure: FruitsError | None = None
    asked: bool = False
    cluster_id: str | None = None
    failed_step: str | None = None

    @property
    def claims(self) -> list[str]:
        """What is to be shown."""
        spot = any(group.spot for group in groups(self.settings))
        ssm = self.settings.access.way == "ssm"
        return [RIGHTS, SCRIPT, *([SSM] if ssm else []), *map(runs, BACKENDS), PARITY_OF, *([SPOT] if spot else []), GONE]

    def prove(self, claim: str, by: str) -> None:
        self.proven[claim] = by
        self.context.say(f"proven: {claim}: {by}")

    def run(self) -> int:
        """The exit code. Whatever happens, the cluster is ended; interrupted once more while that is waited for, it is left."""
        interrupted = False
        try:
            with as_ctrl_c():
                try:
                    with translated():
                        self._work()
                except FruitsError as failed:
                    self.failure = failed
                    self.context.err(f"error: {failed}")
                except KeyboardInterrupt:
                    interrupted = True
                    self.context.err("interrupted: the cluster is ended first; once more, and it is left to end by itself")
                finally:
                    self._down()
        except KeyboardInterrupt:
            interrupted = True
            self.context.err(
                f"left: EMR ends the cluster {LEAST_IDLE_MINUTES} minutes after its last work; `down` ends it now, `ls` shows it"
            )
        if self.cluster_id and (interrupted or self.failure):
            kept = [f"s3://{self.context.bucket}/{folder}/{self.cluster_id}" for folder in (INPUTS, OUTPUTS)]
            self.context.err(f"what there is of the sample and of results stays in {' and '.join(kept)}")
        self._tell()
        if interrupted:
            return INTERRUPTED
        return 0 if self.failure is None and not set(self.claims) - set(self.proven) else 1

    def _work(self) -> None:
        context, began = self.context, datetime.now(UTC)
        # The shortest idle termination that there is: what ends the cluster if this machine goes off meanwhile.
        request = prepared(context, replace(self.settings, idle_minutes=LEAST_IDLE_MINUTES))
        self.asked = True
        self.cluster_id = launched(context, request)
        self._send(folder := f"{INPUTS}/{self.cluster_id}")
        cluster = awaited(context, self.cluster_id, self._within)
        self._within(cluster)
        nodes = sum(group.count for group in cluster.groups if group.role != "task")  # the others may come later
        took = in_words((datetime.now(UTC) - began).total_seconds())
        self.prove(RIGHTS, f"{cluster.id} runs in {cluster.region}")
        self.prove(SCRIPT, f"the bootstrap action of {nodes} nodes (primary and core) has ended well, {took} after they were asked for")
        if SSM in self.claims:
            self._reach(cluster)
        reports = {backend: self._job(cluster, backend, folder) for backend in BACKENDS}
        self._compare(list(reports.values()))
        if SPOT in self.claims:
            self._look_for_spot(cluster)
        self._remove(folder, f"{OUTPUTS}/{cluster.id}")

    def _within(self, cluster: Cluster) -> None:
        """Raises `RunFailed` where the cluster, with its end, costs more than it may."""
        spent = cluster.so_far(self.context.prices) + cluster.an_hour(self.context.prices).total * END_SECONDS / 3600
        if spent > self.max_cost:
            raise RunFailed(f"{cluster.id} costs ${spent:,.2f} with its end, more than --max-cost {self.max_cost:g}", "it is ended")

    def _send(self, folder: str) -> None:
        sample = upload.prepared(self.context.account, self.context.bucket, SAMPLE, folder, DEFAULT_PATTERNS)
        upload.send(self.context.account, sample)
        if sample.failed:
            raise RunFailed(f"the sample was not uploaded: {sample.failed}", "mend that, and try again")

    def _reach(self, cluster: Cluster) -> None:
        """By what SSM says itself: a session needs a program of AWS's on this machine, which `tunnel` uses."""
        primary = primary_of(self.context.account, cluster)
        filters = [{"Key": "InstanceIds", "Values": [primary.instance]}]
        known = self.context.account.client("ssm").describe_instance_information(Filters=filters)["InstanceInformationList"]
        if [one["PingStatus"] for one in known] == ["Online"]:
            self.prove(SSM, f"SSM's agent answers on {primary.instance}")

    def _job(self, cluster: Cluster, backend: str, folder: str) -> dict[str, Any]:
        """Its report, when it is proven to be right."""
        bucket, output = self.context.bucket, f"{OUTPUTS}/{cluster.id}/{backend}"
        to = f"s3://{bucket}/{output}"
        self._step(cluster, ["--backend", backend, "--cluster", "yarn", "--input", f"s3://{bucket}/{folder}", "--output", to])
        self._step(cluster, ["validate", to])
        content = self.context.account.s3.get_object(Bucket=bucket, Key=f"{output}/report.json")["Body"].read()
        report: dict[str, Any] = json.loads(content)
        images, nodes = report["images"], {worker["node"] for worker in report["workers"]}
        if (report["backend"]["name"], report["backend"]["cluster"]) != (backend, "yarn") or images["featurized"] != images["found"]:
            raise RunFailed(f"{to}/report.json is not that of {backend} on YARN with all images: {images}", "please report it")
        self.prove(runs(backend), f"{images['featurized']} images on {len(nodes)} nodes, validated there")
        return report

    def _step(self, cluster: Cluster, arguments: list[str]) -> None:
        line = shlex.join([PYTHON, "-m", "fruits", *arguments])
        step_id = steps.add(self.context.account, cluster.id, shlex.join(["fruits", *arguments]), line, self.context.every)
        for step in steps.changes(self.context.account, cluster.id, step_id, self.context.every, self._within):
            self.context.say(f"{datetime.now(UTC):%H:%M:%S} UTC {step.id} ({step.name}): {step.state}")
        if step.state != steps.DONE:
            self.failed_step = step_id
            raise _failed(step)

    def _compare(self, reports: list[dict[str, Any]]) -> None:
        one, other = (report["explained_variance"] for report in reports)
        if len(one) != len(other) or reports[0]["labels"] != reports[1]["labels"]:
            raise RunFailed("the backends' reports have other labels, or other numbers of components", "please report it")
        apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
        if apart > PARITY:
            raise RunFailed(f"the backends' explained variances are {apart:.2g} apart", "please report it")
        self.prove(PARITY_OF, f"what {len(one)} components explain of the variance is {apart:.1g} apart at most")

    def _look_for_spot(self, cluster: Cluster) -> None:
        """At the end: a cluster runs before its task nodes are there."""
        now: Any = self.context.account.emr.list_instance_groups(ClusterId=cluster.id)["InstanceGroups"]
        if running := sum(group["RunningInstanceCount"] for group in now if group.get("Market") == "SPOT"):
            self.prove(SPOT, f"{running} run")

    def _remove(self, *folders: str) -> None:
        """Of the bucket, in which all else stays."""
        s3, bucket = self.context.account.s3, self.context.bucket
        for folder in folders:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/"):
                if found := page.get("Contents"):
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": one["Key"]} for one in found], "Quiet": True})

    def _down(self) -> None:
        """Ends every cluster that came of it, also one whose id did not come back. Says what goes wrong."""
        account, context = self.context.account, self.context
        try:
            with translated():
                made = self._made()
                if not made:
                    context.say("no cluster was made")
                    return
                left: RunFailed | None = None
                for cluster in made:
                    try:
                        clusters.end(account, cluster, context.say, context.every)
                    except RunFailed as failed:
                        left = failed  # and the others are ended all the same
                if left:
                    raise left
                ended = [f"{cluster.id} has ended, and cost ${cluster.so_far(context.prices):,.2f}" for cluster in made]
                self.prove(GONE, f"{'; '.join(ended)} or what your bill says")
                if self.failed_step:
                    self._last_words(made[0], self.failed_step)
        except FruitsError as failed:
            self.failure = failed
            self.context.err(f"error: {failed}\nNOT GONE: `ls --all-regions` shows what runs, `down` ends it")

    def _made(self) -> list[Cluster]:
        """All of the name that it asked for, the one that it worked on first."""
        if not self.asked:
            return []
        account, name, own = self.context.account, self.settings.name, self.cluster_id
        others = [cluster for cluster in clusters.ours(account) if cluster.name == name and cluster.id != own]
        return [clusters.describe(account, own), *others] if own else others

    def _last_words(self, cluster: Cluster, step_id: str) -> None:
        """EMR writes what a step said when the cluster ends."""
        said = steps.said(self.context.account, cluster, step_id)
        lines = [*said.err.splitlines(), *said.out.splitlines()][-LAST_LINES:]
        self.context.err("\n".join(lines) or f"what {step_id} said is not there yet: `logs --cluster-id {cluster.id}`")

    def _tell(self) -> None:
        for claim in self.claims:
            by = self.proven.get(claim)
            self.context.say(f"proven   {claim}: {by}" if by else f"UNPROVEN {claim}")
        for what in NOT_LOOKED_AT:
            self.context.say(f"not looked at: {what}")


def _failed(step: Step) -> RunFailed:
    return RunFailed(
        f"{step.id} ({step.name}) is {step.state}: {step.reason or 'EMR gives no reason'}", "its last words follow the cluster's end"
    )
