"""A new cluster: whether it can be made, asked for with all that it stands on, and waited for."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bootstrap import cluster as clusters
from bootstrap import foundation, jupyter, logs
from bootstrap.cluster import Cluster
from bootstrap.context import Context
from bootstrap.cost import hourly, largest
from bootstrap.preflight import Check, preflight
from bootstrap.releases import JUPYTERHUB
from bootstrap.request import LOGS, Resources, run_job_flow
from bootstrap.settings import Settings
from bootstrap.staging import staged
from fruits.errors import BadArgument, RunFailed

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


def check(context: Context, made: Resources | None) -> None:
    """The same before a cluster is made; raises `BadArgument` where something stands in its way."""
    if any(found.advice for found in shown_checks(context, made)):
        raise BadArgument("the cluster cannot be made as it is asked", "do what the lines above say; nothing was made or changed")


def say_more_costs(context: Context, made: Resources | None) -> None:
    """What the cluster that is started does not cost by the hour, and may."""
    settings = context.settings
    if settings.scaling:
        most = hourly(largest(settings), settings.region, context.prices, settings.network.private)
        context.say(f"scaled to its {settings.scaling.max} core and task nodes, {most} an hour")
    if made is None:
        context.say("the disks' key, 1 USD a month until `destroy`")


def prepared(context: Context, settings: Settings) -> dict[str, Any]:
    """The request, when all that it names is there: the foundation and what the nodes install are made where they are not. Raises
    `BadArgument` where somebody else's `up` was faster."""
    made = foundation.deploy(context.account, settings, context.bucket, context.say)
    if JUPYTERHUB in settings.applications:
        notebook = f"s3://{made.bucket}/{jupyter.KEY}"
        placed = jupyter.place(context.account, made.bucket)
        context.say(f"the notebook for JupyterHub: {notebook}" if placed else f"{notebook} is left as it is")
    with tempfile.TemporaryDirectory() as folder:
        bundle = staged(context.account, settings, made.bucket, Path(folder), context.say)
    if there := clusters.find(context.account, settings.name):
        raise BadArgument(f"{there.id} is named {settings.name}, and was begun meanwhile: no second one was made", "`status` shows it")
    return run_job_flow(settings, made, bundle)


def launched(context: Context, request: dict[str, Any]) -> str:
    """The id of the cluster that is asked for."""
    started = clusters.start(context.account, request, context.every)
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
