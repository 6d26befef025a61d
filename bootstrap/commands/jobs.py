"""`submit`, `benchmark` and `smoke`: work for a cluster."""

import shlex
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click

from benchmarks.checks import PAGE
from benchmarks.costs import Cost
from benchmarks.report.question import in_words
from bootstrap import cluster as clusters
from bootstrap import foundation, measuring, steps
from bootstrap.address import with_address
from bootstrap.arguments import asked
from bootstrap.cluster import Cluster
from bootstrap.context import MAKING, PROJECTION, Context, cluster_id_option, command
from bootstrap.cost import MEASURED, UNPRICED, jobs_on
from bootstrap.counting import MOST, counted
from bootstrap.launch import check, say_more_costs
from bootstrap.releases import check_release
from bootstrap.request import LOGS, PYTHON
from bootstrap.smoke import EXPECTED_SECONDS, Smoke
from bootstrap.steps import Step
from fruits.backend import DEFAULT
from fruits.errors import BadArgument, RunFailed
from fruits.job import Job
from fruits.storage import check_writable, normalized

LOG_MINUTES = 10.0
_LOG_MINUTES = click.option(
    "--log-minutes",
    type=click.FloatRange(0),
    help=f"To wait for the end of the log, which EMR writes some minutes after the step. [default: {LOG_MINUTES:g}]",
)


@command(costs=True, waits=True, needs=[PROJECTION])
@cluster_id_option
@click.option("--no-wait", is_flag=True, help="Do not follow it.")
@_LOG_MINUTES
@click.option("--cancel", "cancelled", metavar="STEP", help="End that step, and nothing else.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- [FRUITS OPTIONS]")
def submit(
    context: Context, cluster_id: str | None, no_wait: bool, log_minutes: float | None, cancelled: str | None, arguments: tuple[str, ...]
) -> int:
    """Run `python -m fruits` on the cluster, follow it, print what it said, and end with its exit code.

    All after -- goes to it, and is checked here first: submit -- --backend dask --input s3://bucket/Test --output s3://bucket/Results.
    Without any, the images of the cluster's bucket.
    """
    account = context.account
    if no_wait and log_minutes is not None:
        raise BadArgument("--no-wait waits for no log: --log-minutes has no effect", "leave one of them out")
    if cancelled:
        if arguments or no_wait or log_minutes is not None:
            raise BadArgument("--cancel starts nothing: --no-wait, --log-minutes and what follows -- have no effect", "leave them out")
        cluster = clusters.running(account, context.settings.name, cluster_id)
        steps.cancel(account, cluster.id, cancelled)
        context.say(f"{cancelled}: asked to end; `status` shows whether it has")
        return 0
    cluster = clusters.running(account, context.settings.name, cluster_id)
    job = asked(arguments, cluster.bucket)
    _cost(context, cluster, job)
    context.confirm(f"Run it on {cluster.id}?")
    line = shlex.join([PYTHON, "-m", "fruits", *arguments])
    step_id = steps.add(account, cluster.id, shlex.join(["fruits", *arguments]), line, context.every)
    context.say(f"{step_id}: {line}")
    return 0 if no_wait else _followed(context, cluster, step_id, log_minutes)


def _cost(context: Context, cluster: Cluster, job: Job | None) -> None:
    """Says what the cluster costs, and what the job is expected to."""
    by_hour = _cost_by_hour(context, cluster)
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


def _cost_by_hour(context: Context, cluster: Cluster) -> Cost:
    by_hour = cluster.an_hour(context.prices)
    context.say_cost(f"{cluster.id} costs {by_hour} an hour, whether it works or not", by_hour)
    return by_hour


def _followed(context: Context, cluster: Cluster, step_id: str, log_minutes: float | None) -> int:
    """Shows a step's states and, when it has ended, what it said. Its exit code; raises `RunFailed` where it did not come to one."""
    try:
        for step in steps.changes(context.account, cluster.id, step_id, context.every):
            context.say(f"{datetime.now(UTC):%H:%M:%S} UTC {step.id}: {step.state}{f': {step.reason}' if step.reason else ''}")
    except KeyboardInterrupt:
        context.err(f"{step_id} goes on: `status` shows it, `logs` what it said, `submit --cancel {step_id}` ends it")
        raise
    return _ended(context, cluster, step, LOG_MINUTES if log_minutes is None else log_minutes)


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


@command(costs=True, waits=True, needs=[PROJECTION, PAGE])
@cluster_id_option
@_LOG_MINUTES
@click.option("--images", metavar="FOLDER", help="Of the bucket, such as Test. [default: the bundled sample]")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder. [default: benchmarks/results/DATE-emr]")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- [BENCHMARKS OPTIONS]")
def benchmark(
    context: Context, cluster_id: str | None, log_minutes: float | None, images: str | None, output: Path | None, arguments: tuple[str, ...]
) -> int:
    """Measure both backends on the cluster, bring the results here, and make one page of them and of this machine's.

    All after -- goes to `python -m benchmarks`: benchmark -- --sizes 1000,2000,4000 --workers 2,4.
    """
    output = output or MEASURED / f"{datetime.now(UTC):%Y-%m-%d}-emr"
    if output.is_dir() and any(output.iterdir()):
        raise BadArgument(f"{output} holds results already", "give another --output")
    check_writable(normalized(str(output)), "give another --output")
    cluster = clusters.running(context.account, context.settings.name, cluster_id)
    measuring.check_options(arguments, cluster)
    if images is not None:
        images = images.strip("/")
        if not counted(context.account, f"s3://{cluster.bucket}/{images}"):
            raise BadArgument(f"there is nothing in s3://{cluster.bucket}/{images}", "bring the images there: `upload FOLDER`")
    _cost_by_hour(context, cluster)
    context.say("a study takes ten minutes to an hour, by its sizes and repeats")
    context.confirm(f"Measure on {cluster.id}?")
    results = f"{measuring.FOLDER}/{datetime.now(UTC):%Y-%m-%dT%H%M%S}/"
    brought = measuring.staged(context.account, cluster.bucket)
    line = measuring.command(brought, cluster.bucket, images, results, arguments)
    step_id = steps.add(context.account, cluster.id, shlex.join(["benchmarks", *arguments]), line, context.every)
    context.say(f"{step_id}: python -m benchmarks, with its results in s3://{cluster.bucket}/{results}")
    if code := _followed(context, cluster, step_id, log_minutes):
        return code
    found = measuring.fetch(context.account, cluster.bucket, results, output)
    page, together = output / "report.html", measuring.joined(found)
    measuring.write_page(together, page)
    context.say(f"written to {output}: {', '.join(path.name for path in [*found, page])}")
    if together == found:
        context.say("the page has the cluster's study alone: there is none of this machine with the same images")
    return 0


@command(costs=True, waits=True, release=True, interrupted="nothing had been started", needs=MAKING)
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    help="Dollars. Nothing is begun that is expected to cost more, and what comes to cost more is ended.",
)
def smoke(context: Context, max_cost: float) -> int:
    """Prove it all on your account: up, the bundled sample uploaded, both backends, validate, down. Half an hour.

    Always takes the cluster down, also after failures and Ctrl-C. Shows line by line what was proven, and what was not: exit code 1 then.
    """
    settings = with_address(context.settings)
    check_release(settings.release)
    if there := clusters.find(context.account, settings.name):
        raise BadArgument(f"{there.id} is named {settings.name} and {there.state}: smoke makes its own", "`down` first, or another --name")
    by_hour = context.an_hour
    if unpriced := set(by_hour.unknown) - set(UNPRICED):
        raise BadArgument(f"{', '.join(sorted(unpriced))} has no price: no limit can be kept", "give --prices with it")
    expected = by_hour.total * EXPECTED_SECONDS / 3600
    context.say(
        f"about ${expected:,.2f} for {in_words(EXPECTED_SECONDS)} of {by_hour} an hour; without a price: {', '.join(by_hour.unknown)}"
    )
    made = foundation.find(context.account, settings)
    say_more_costs(context, made)
    if expected > max_cost:
        raise BadArgument(f"that is more than --max-cost {max_cost:g}", "allow more, or take fewer nodes: --profile starter")
    check(context, made)
    context.confirm(f"Make a cluster in {settings.region}, use it, and end it, for ${max_cost:,.2f} at most?")
    return Smoke(context, settings, max_cost).run()


COMMANDS = (submit, benchmark, smoke)
