"""`preflight`, `plan`, `up`, `status`, `down`, `ls` and `destroy`: a cluster from nothing to gone."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import rich_click as click

from benchmarks.costs import Cost
from benchmarks.report.question import in_words
from bootstrap import cluster as clusters
from bootstrap import foundation
from bootstrap.address import with_address
from bootstrap.alone import seconds_alone
from bootstrap.aws import Account, is_unseen, translated
from bootstrap.cluster import Cluster, Left
from bootstrap.context import MAKING, PROJECTION, UNCHANGED, Context, cluster_id_option, command
from bootstrap.cost import jobs
from bootstrap.counting import MOST, counted
from bootstrap.launch import awaited, check, launched, prepared, say_more_costs, shown_checks
from bootstrap.releases import check_release
from bootstrap.request import IMAGES, Bundle, Resources, run_job_flow
from bootstrap.settings import Settings
from bootstrap.uis import show_uis
from fruits.errors import BadArgument, FruitsError
from fruits.packages import Needs

DATA_SET = 22_688  # images of the customer's folder, where the bucket has none yet
MADE_BY_UP = "(made by up)"
ALONE = Needs("bootstrap", ("dask", "dask_ml", "distributed"))  # the run on this machine
LEFT = {
    "machine": "a machine whose cluster is gone: aws ec2 terminate-instances ends it",
    "endpoint": "an interface endpoint of a private foundation: `destroy` removes it",
}


@command(release=True, interrupted=UNCHANGED)
def preflight(context: Context) -> int:
    """Look whether the cluster can be made: credentials, quota, release, types, bucket, roles, network. Makes and changes nothing.

    Exit code 1 where something is missing, with what to do.
    """
    found = shown_checks(context, foundation.find(context.account, context.settings))
    return 1 if any(check.advice for check in found) else 0


@command(release=True, interrupted=UNCHANGED, needs=[PROJECTION])
@click.option("--images", type=click.IntRange(1), help=f"Of the job. [default: what is in the bucket, or {DATA_SET}]")
@click.option("--json", "as_json", is_flag=True, help="All as one JSON object.")
def plan(context: Context, images: int | None, as_json: bool) -> int:
    """Show the exact request and what it costs; does nothing.

    Works without credentials too: what the foundation makes has no names then.
    """
    settings = context.settings
    try:
        with translated():
            made, bucket = foundation.find(context.account, settings), context.bucket
    except FruitsError as unknown:
        if not is_unseen(unknown):
            raise
        context.err(f"not asked of AWS: {unknown.message}")
        made, bucket = None, settings.bucket_of("ACCOUNT")
    request = run_job_flow(settings, made or _not_made(settings, bucket), Bundle(f"s3://{bucket}/bundles/{MADE_BY_UP}", MADE_BY_UP))
    images = images or (counted(context.account, f"s3://{context.bucket}/{IMAGES}") if made else 0) or DATA_SET
    if as_json:
        of, source = jobs(settings, images, context.prices)
        cost = {"usd_an_hour": context.an_hour.total, **asdict(context.an_hour)}
        click.echo(
            json.dumps(
                {"request": request, "cost": cost, "images": images, "jobs": [asdict(job) for job in of], "source": source}, indent=2
            )
        )
    else:
        click.echo(json.dumps(request, indent=2))
        _costs(context, images, made)
    try:
        check_release(settings.release)
    except BadArgument as refused:
        context.err(f"up refuses this: {refused}")
    return 0


def _not_made(settings: Settings, bucket: str) -> Resources:
    service_group = MADE_BY_UP if settings.network.private else None
    return Resources(bucket, MADE_BY_UP, MADE_BY_UP, MADE_BY_UP, MADE_BY_UP, service_group, MADE_BY_UP, MADE_BY_UP)


def _costs(context: Context, images: int, made: Resources | None) -> None:
    settings, by_hour = context.settings, context.an_hour
    context.say_cost(f"{by_hour} an hour", by_hour)
    say_more_costs(context, made)
    of, source = jobs(settings, images, context.prices)
    for job in of:
        run, start = in_words(job.run_seconds), in_words(job.start_seconds)
        context.say(f"{job.backend}: {images:,} images in {run}, and {start} before until the cluster is ready: ${job.usd:,.2f} in all")
    context.say(source)
    idle = settings.idle_minutes
    context.say(f"left alone it ends {idle} minutes after its last work, for ${by_hour.total * idle / 60:,.2f} more")


@command(costs=True, waits=True, release=True, needs=[PROJECTION, *MAKING, ALONE])
@click.option("--images", type=click.IntRange(1), help=f"Of the job that it is for. [default: what is in the bucket, or {DATA_SET}]")
def up(context: Context, images: int | None) -> int:
    """Make the cluster, or go on waiting for it, and show its states and its pages.

    Says what it costs, and how long this machine alone would take, and asks. One that runs already is left as it is.
    """
    settings, account = with_address(context.settings), context.account
    check_release(settings.release)
    there = clusters.find(account, settings.name)
    if there is None:
        made = foundation.find(account, settings)
        check(context, made)
        images = images or counted(context.account, f"s3://{context.bucket}/{IMAGES}") or DATA_SET
        _costs(context, images, made)
        context.say(f"this machine alone would take {in_words(seconds_alone(images))} for {images:,} images, and cost nothing more")
        context.confirm(f"Make the cluster {settings.name} in {settings.region}?")
        started = launched(context, prepared(context, settings))
    else:
        started = there.id
        context.say(f"{there.id} is there already, {there.state} since {there.begun:%Y-%m-%d %H:%M} UTC: left as it is")
    now = awaited(context, started)
    context.say(f"{now.an_hour(context.prices)} an hour, from {now.begun:%H:%M} UTC on; `down` ends it")
    show_uis(context, now)
    return 0


@command(interrupted=UNCHANGED)
@cluster_id_option
@click.option("--json", "as_json", is_flag=True)
def status(context: Context, cluster_id: str | None, as_json: bool) -> int:
    """State, cost so far, nodes, steps and pages of the cluster. Exit code 1 where there is none."""
    cluster = clusters.find(context.account, context.settings.name, cluster_id, ending=True)
    if cluster is None:
        click.echo(
            "null"
            if as_json
            else f"no cluster named {context.settings.name} in {context.settings.region}: nothing costs anything by the hour"
        )
        return 1
    steps: Any = context.account.emr.list_steps(ClusterId=cluster.id)["Steps"]
    by_hour = cluster.an_hour(context.prices)
    if as_json:
        described = {
            "id": cluster.id,
            "state": cluster.state,
            "reason": cluster.reason,
            "begun": cluster.begun.isoformat(),
            "host": cluster.host,
            "nodes": [asdict(group) for group in cluster.groups],
            "usd_an_hour": by_hour.total,
            "usd_so_far": cluster.so_far(context.prices),
            "without_a_price": by_hour.unknown,
            "steps": [{"id": step["Id"], "name": step["Name"], "state": step["Status"]["State"]} for step in steps],
        }
        click.echo(json.dumps(described, indent=2))
        return 0
    context.say(f"{cluster.id} {cluster.name}: {cluster.state}{f': {cluster.reason}' if cluster.reason else ''}")
    context.say(", ".join(f"{group.count} {group.role} {group.type}{' on Spot' if group.spot else ''}" for group in cluster.groups))
    context.say(_so_far(context, cluster))
    for step in steps:
        context.say(f"step {step['Id']} {step['Name']}: {step['Status']['State']}")
    if cluster.state in clusters.READY:
        show_uis(context, cluster)
    return 0


def _so_far(context: Context, cluster: Cluster) -> str:
    by_hour = cluster.an_hour(context.prices)
    cost = Cost({"so far": cluster.so_far(context.prices)}, by_hour.unknown)
    return f"{cost} in {timedelta(seconds=round(cluster.hours * 3600))} hours, {by_hour} an hour"


@command(waits=True)
@cluster_id_option
def down(context: Context, cluster_id: str | None) -> int:
    """End the cluster, and see that its machines are gone. The bucket and the foundation stay.

    By the hour they cost nothing, but for the endpoints of a private network.
    """
    cluster = clusters.find(context.account, context.settings.name, cluster_id, ending=True)
    if cluster is None:
        context.say(f"no cluster named {context.settings.name} runs in {context.settings.region}")
        return 0
    cost = _so_far(context, cluster)
    clusters.end(context.account, cluster, context.say, context.every)
    context.say(f"{cluster.id} is gone: {cost}")
    return 0


@command(interrupted=UNCHANGED)
@click.option("--all-regions", is_flag=True, help="Not in this region alone.")
@click.option("--json", "as_json", is_flag=True)
def ls(context: Context, all_regions: bool, as_json: bool) -> int:
    """Everything of ours that costs by the hour, whatever its name: clusters, machines that have lost theirs, interface endpoints.

    Exit code 1 where a region could not be looked at; the others are shown.
    """
    names = clusters.regions(context.account) if all_regions else [context.settings.region]
    found: list[Cluster] = []
    left: list[Left] = []
    unseen: dict[str, str] = {}
    for name in names:
        try:
            with translated():
                account = Account(name, beside=context.account)
                here = [*clusters.ours(account)]
                found += here
                left += clusters.left(account, here)
        except FruitsError as failed:
            if not all_regions:
                raise
            unseen[name] = failed.message
    if as_json:
        described = [
            {
                "kind": "cluster",
                "id": one.id,
                "name": one.name,
                "region": one.region,
                "state": one.state,
                "usd_so_far": one.so_far(context.prices),
            }
            for one in found
        ]
        click.echo(json.dumps([*described, *(asdict(one) for one in left)]))
    else:
        for one in found:
            context.say(f"{one.region} {one.id} {one.name}: {one.state}, {_so_far(context, one)}")
        for other in left:
            context.say(f"{other.region} {other.id}: {LEFT[other.kind]}")
        context.say(f"{len(found)} clusters in {len(names) - len(unseen)} region{'s' if len(names) > 1 else ''}")
    for name, why in unseen.items():
        context.err(f"{name}: not looked at: {why}")
    return 1 if unseen else 0


@command(costs=True)
@click.option("--with-data", is_flag=True, help="The bucket too, and all images and results in it.")
def destroy(context: Context, with_data: bool) -> int:
    """Remove the foundation, after asking: roles, security groups, an empty bucket, and with --with-data one that is not."""
    if cluster := clusters.find(context.account, context.settings.name, ending=True):
        raise BadArgument(f"{cluster.id} is {cluster.state} and uses it", "end it first, and wait until it has ended: `down` does both")
    what = "but for a bucket that holds something"
    if with_data:
        bucket = foundation.bucket_of(context.account, context.settings)
        if using := [cluster.id for cluster in clusters.ours(context.account) if cluster.bucket == bucket]:
            raise BadArgument(f"{', '.join(using)} uses s3://{bucket}", "end it first: `down --cluster-id`")
        count = counted(context.account, f"s3://{bucket}")
        objects = "objects that you may not list" if count is None else f"{'at least ' if count == MOST else ''}{count:,} objects"
        what = f"with the bucket s3://{bucket} and ALL DATA in it, {objects}"
    context.confirm(f"Remove the foundation {context.settings.name} of {context.settings.region}, {what}?")
    foundation.destroy(context.account, context.settings, with_data, context.say)
    return 0


COMMANDS = (preflight, plan, up, status, down, ls, destroy)
