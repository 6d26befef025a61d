"""`submit`, `benchmark` and `smoke`: work for a cluster."""

import shlex
from datetime import UTC, datetime
from typing import Any

import rich_click as click

from benchmarks.report.question import in_words
from bootstrap import cluster as clusters
from bootstrap import steps
from bootstrap.arguments import asked
from bootstrap.cluster import Cluster
from bootstrap.context import Context, command
from bootstrap.cost import jobs_on
from bootstrap.counting import MOST, counted
from bootstrap.request import LOGS, PYTHON
from bootstrap.steps import Step
from fruits.backend import DEFAULT
from fruits.errors import BadArgument, RunFailed
from fruits.job import Job


def _following(function: Any) -> Any:
    for option in (
        click.option(
            "--log-minutes",
            type=click.FloatRange(0),
            default=10.0,
            show_default=True,
            help="To wait for the log of the step's end, which EMR writes some minutes later.",
        ),
        click.option("--no-wait", is_flag=True, help="Do not follow it."),
        click.option("--cluster-id", metavar="ID", help="Where there are several of one name."),
    ):
        function = option(function)
    return function


@command(costs=True, waits=True)
@_following
@click.option("--cancel", "cancelled", metavar="STEP", help="End that step, and nothing else.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- [FRUITS OPTIONS]")
def submit(
    context: Context, cluster_id: str | None, no_wait: bool, log_minutes: float, cancelled: str | None, arguments: tuple[str, ...]
) -> int:
    """Run `python -m fruits` on the cluster, follow it, print what it said, and end with its exit code.

    All after -- goes to it, and is checked here first: submit -- --backend dask --input s3://bucket/Test --output s3://bucket/Results.
    Without any, the images of the cluster's bucket.
    """
    account = context.account
    if cancelled:
        if arguments:
            raise BadArgument("--cancel starts nothing: what follows -- has no effect", "leave one of them out")
        cluster = clusters.running(account, context.settings.name, cluster_id)
        steps.cancel(account, cluster.id, cancelled)
        context.say(f"{cancelled}: asked to end; `status` shows whether it has")
        return 0
    cluster = clusters.running(account, context.settings.name, cluster_id)
    job = asked(arguments, cluster.bucket)
    _cost(context, cluster, job)
    context.confirm(f"Run it on {cluster.id}?")
    line = shlex.join([PYTHON, "-m", "fruits", *arguments])
    step_id = steps.add(account, cluster.id, shlex.join(["fruits", *arguments]), line)
    context.say(f"{step_id}: {line}")
    return 0 if no_wait else _followed(context, cluster, step_id, log_minutes)


def _cost(context: Context, cluster: Cluster, job: Job | None) -> None:
    """Says what the cluster costs, and what the job is expected to."""
    by_hour = cluster.an_hour(context.prices)
    context.say(f"{cluster.id} costs {by_hour} an hour, whether it works or not")
    if by_hour.unknown:
        context.say(f"without a price, and in no sum: {', '.join(by_hour.unknown)}")
    if job is None:
        return
    images = counted(context.account, job.input)
    if images is None:
        context.say(f"the images of {job.input} are not counted: no projection")
        return
    if not images:
        raise BadArgument(f"there is nothing in {job.input}", "bring the images there: `upload FOLDER`")
    of, source = jobs_on(cluster.groups, cluster.region, images, context.prices)
    least = "at least " if images == MOST or by_hour.unknown else ""
    for one in of:
        if one.backend == (job.backend or DEFAULT):
            usd = by_hour.total * one.run_seconds / 3600
            context.say(f"{one.backend}: {images:,} files of {job.input} in {in_words(one.run_seconds)}, {least}${usd:,.2f} of it")
    context.say(source)


def _followed(context: Context, cluster: Cluster, step_id: str, log_minutes: float) -> int:
    """Shows a step's states and, when it has ended, what it said. Its exit code; raises `RunFailed` where it did not come to one."""
    try:
        for step in steps.changes(context.account, cluster.id, step_id, context.every):
            context.say(f"{datetime.now(UTC):%H:%M:%S} UTC {step.id}: {step.state}{f': {step.reason}' if step.reason else ''}")
        return _ended(context, cluster, step, log_minutes)
    except KeyboardInterrupt:
        context.err(f"{step_id} goes on: `status` shows it, `logs` what it said, `submit --cancel {step_id}` ends it")
        raise


def _ended(context: Context, cluster: Cluster, step: Step, log_minutes: float) -> int:
    if step.state not in (steps.DONE, steps.FAILED):
        now = clusters.describe(context.account, cluster.id)
        of_cluster = "" if now.state in clusters.READY else f"; {now.id} is {now.state}: {now.reason or 'EMR gives no reason'}"
        raise RunFailed(
            f"{step.id} is {step.state}: {step.reason or 'EMR gives no reason'}{of_cluster}", "the same command goes on where it stopped"
        )
    where = f"s3://{cluster.bucket}/{LOGS}/{cluster.id}/{steps.folder(step.id)}"
    if log_minutes:
        context.say(f"what it said is awaited in {where}, {log_minutes:g} minutes at most")
    said = steps.said_to_the_end(context.account, cluster, step.id, 60 * log_minutes, context.every)
    if said is None:
        there = f"EMR has not written all that it said: look into {where} later, by `logs`"
        if step.state == steps.FAILED:
            raise RunFailed(f"{step.id} failed: {step.reason or 'EMR gives no reason'}", there)
        context.say(there)
        return 0
    click.echo(said.err, err=True, nl=False)
    click.echo(said.out, nl=False)
    assert said.code is not None
    return said.code


COMMANDS = (submit,)
