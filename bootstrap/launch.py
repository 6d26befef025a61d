"""A new cluster: whether it can be made, asked for with all that it stands on, and waited for."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bootstrap import cluster as clusters
from bootstrap import foundation, jupyter, logs
from bootstrap.cluster import Cluster
from bootstrap.context import Context
from bootstrap.preflight import Check, preflight
from bootstrap.request import LOGS, Resources, run_job_flow
from bootstrap.settings import Settings
from bootstrap.staging import staged
from fruits.errors import RunFailed

LAST_LINES = 30


def shown_checks(context: Context, made: Resources | None) -> list[Check]:
    """What stands in the way of a cluster, said line by line. `made`: the foundation, where it is there."""
    found = []
    for check in preflight(context.account, context.settings, context.bucket, made):
        context.say(f"{'ok  ' if check.advice is None else 'FAIL'} {check.name}: {check.found}")
        if check.advice:
            context.say(f"     {check.advice}")
        found.append(check)
    return found


def launched(context: Context, settings: Settings) -> str:
    """Its id. The foundation and what the nodes install are made first where they are not there."""
    made = foundation.deploy(context.account, settings, context.bucket, context.say)
    if "JupyterHub" in settings.applications:
        there = f"s3://{made.bucket}/{jupyter.KEY}"
        context.say(f"the notebook for JupyterHub: {there}" if jupyter.place(context.account, made.bucket) else f"{there} is left as it is")
    with tempfile.TemporaryDirectory() as folder:
        bundle = staged(context.account, settings, made.bucket, Path(folder), context.say)
    started = clusters.start(context.account, run_job_flow(settings, made, bundle), context.every)
    context.say(f"{started}: asked for")
    return started


def awaited(context: Context, cluster_id: str, look: Callable[[Cluster], None] | None = None) -> Cluster:
    """Says each of its states until it runs; `look` is shown each answer of EMR. Raises `RunFailed` with the reason where it ends."""
    for now in clusters.changes(context.account, cluster_id, clusters.READY, context.every, look):
        context.say(f"{datetime.now(UTC):%H:%M:%S} UTC {now.id}: {now.state}{f': {now.reason}' if now.reason else ''}")
    if now.state not in clusters.READY:
        why = now.reason or "EMR gives no reason"
        raise RunFailed(f"{now.id} is {now.state}: {why}{_last_words(context, now)}", "mend that, and run the same command again")
    return now


def _last_words(context: Context, cluster: Cluster) -> str:
    """The ends of the bootstrap actions' logs, or where they will be."""
    found = {log.name: log.text(context.account).strip().splitlines()[-LAST_LINES:] for log in logs.of_bootstrap(context.account, cluster)}
    if not any(found.values()):
        where = f"s3://{cluster.bucket}/{LOGS}/{cluster.id}/"
        return f"\nEMR writes the nodes' logs to {where} some minutes later: `logs --cluster-id {cluster.id}`"
    return "".join(f"\n{name}:\n" + "\n".join(f"  {line}" for line in lines) for name, lines in found.items() if lines)
