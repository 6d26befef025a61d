"""What goes to the bucket and comes from it: images, results, logs."""

from collections.abc import Mapping

import rich_click as click
from rich.filesize import decimal

from bootstrap import backup as backups
from bootstrap import cluster as clusters
from bootstrap import logs as written
from bootstrap import upload as uploads
from bootstrap.context import UNCHANGED, Context, cluster_id_option, command
from bootstrap.request import IMAGES, LOGS, RESULTS
from fruits.errors import BadArgument, RunFailed
from fruits.job import DEFAULT_PATTERNS
from fruits.packages import WORKER

GOES_ON = "the same command goes on where this one stopped"


@command(costs=True, interrupted=GOES_ON, needs=[WORKER])
@click.argument("folder")
@click.option("--to", default=IMAGES, show_default=True, metavar="FOLDER", help="Folder of the bucket.")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    default=DEFAULT_PATTERNS,
    metavar="GLOB",
    help="Names that are images, in any case; again for more. [default: *.jpg *.jpeg]",
)
def upload(context: Context, folder: str, to: str, patterns: tuple[str, ...]) -> int:
    """Copy the images below FOLDER to the bucket, with the folders that are their labels.

    What is there with the same content is left as it is: the same command again goes on where it stopped. Exit code 1 where an image cannot
    be read; the others are copied.
    """
    prepared = uploads.prepared(context.account, context.bucket, folder, to, patterns)
    place = f"s3://{prepared.bucket}/{prepared.to}"
    for link in prepared.linked_folders:
        context.say(f"not followed: {link}, a link to a folder")
    _left_out(context, "no images", prepared.ignored)
    context.say(
        f"{len(prepared.photos):,} images of {decimal(uploads.size(prepared.photos))} to {place}; {len(prepared.there):,} are there already"
    )
    before = len(prepared.failed)
    if prepared.photos:
        cost = prepared.cost(context.settings.region, context.prices)
        context.say_cost(str(cost), cost)
        context.confirm("Copy them?")
        uploads.send(context.account, prepared)
    copied = len(prepared.photos) - (len(prepared.failed) - before)
    context.say(f"{copied:,} images copied, {len(prepared.there):,} were there, {len(prepared.failed):,} failed: {place}")
    return _failed(prepared.failed)


@command(costs=True, interrupted=GOES_ON)
@click.argument("folder")
@click.option("--from", "prefix", metavar="FOLDER", help=f"Folder of the bucket. [default: {RESULTS}]")
@click.option("--all", "everything", is_flag=True, help="The whole bucket, images too, but for the logs and what nodes install.")
def backup(context: Context, folder: str, prefix: str | None, everything: bool) -> int:
    """Copy the results from the bucket to FOLDER on this machine, each file under its name in the bucket.

    What is there with the same content is left as it is, and nothing is removed: what vanished from the bucket stays. Exit code 1 where a
    file cannot be copied; the others are.
    """
    if everything and prefix is not None:
        raise BadArgument("--all and --from", "give one of them")
    prepared = backups.prepared(context.account, context.bucket, folder, "" if everything else prefix or RESULTS)
    _left_out(context, "left out", prepared.ignored)
    context.say(
        f"{len(prepared.objects):,} files of {decimal(backups.size(prepared.objects))} to {prepared.folder}; "
        f"{len(prepared.there):,} are there already"
    )
    before = len(prepared.failed)
    if prepared.objects:
        cost = prepared.cost(context.settings.region, context.prices)
        context.say_cost(str(cost), cost)
        context.confirm("Copy them?")
        backups.fetch(context.account, prepared)
    copied = len(prepared.objects) - (len(prepared.failed) - before)
    context.say(
        f"{copied:,} files copied, {len(prepared.there):,} were there, {len(prepared.failed):,} failed: {prepared.folder}; nothing is "
        "removed that is no longer in the bucket"
    )
    return _failed(prepared.failed)


def _left_out(context: Context, what: str, ignored: Mapping[str, int]) -> None:
    if ignored:
        context.say(f"{what}: {', '.join(f'{count:,} {why}' for why, count in sorted(ignored.items()))}")


def _failed(failed: Mapping[str, str]) -> int:
    for name, why in sorted(failed.items()):
        click.echo(f"failed: {name}: {why}", err=True)
    return 1 if failed else 0


@command(interrupted=UNCHANGED)
@cluster_id_option
@click.option("--step", metavar="ID", help="All that a step said.")
@click.option("--node", metavar="ID", help="The daemons and bootstrap actions of a node, by its EC2 id.")
@click.option("--application", metavar="ID", help="The containers of a YARN application: Dask's workers, Spark's executors.")
@click.option("--list", "as_list", is_flag=True, help="Names and sizes only.")
@click.option("--lines", type=click.IntRange(0), help="Of each log, the last; 0 for all. [default: 30, with --step all]")
def logs(
    context: Context,
    cluster_id: str | None,
    step: str | None,
    node: str | None,
    application: str | None,
    as_list: bool,
    lines: int | None,
) -> int:
    """Print what EMR wrote into the bucket: without an option the ends of the bootstrap actions' and the steps' logs.

    Also of a cluster that has ended: the newest of that name, or --cluster-id. Logs come some minutes late. Exit code 1
    where there is none.
    """
    chosen = {"steps": step, "node": node, "containers": application}
    given = [f"{folder}/{one}/" for folder, one in chosen.items() if one]
    if len(given) > 1:
        raise BadArgument("--step, --node and --application", "give one of them")
    if as_list and lines is not None:
        raise BadArgument("--list prints no lines: --lines has no effect", "leave one of them out")
    account = context.account
    cluster = clusters.find(account, context.settings.name, cluster_id) if cluster_id else clusters.newest(account, context.settings.name)
    if cluster is None:
        raise BadArgument(
            f"EMR knows no cluster named {context.settings.name} in {context.settings.region}, of the last two months",
            "give --name and --region, or --cluster-id",
        )
    click.echo(f"{cluster.id} {cluster.name}: {cluster.state}", err=True)
    if given or as_list:
        found = list(written.logs(account, cluster, given[0] if given else ""))
    else:
        found = [*written.of_bootstrap(account, cluster), *written.logs(account, cluster, "steps/")]
    if not found:
        raise RunFailed(
            f"nothing yet in s3://{cluster.bucket}/{LOGS}/{cluster.id}/{given[0] if given else ''}",
            "EMR writes logs every 5 minutes while a cluster runs, and what is left when it ends; `logs --list` shows what there is",
        )
    last = lines if lines is not None else 0 if step else 30
    for log in found:
        if as_list:
            click.echo(f"{log.size:>12,} {log.name}")
            continue
        text = log.text(account).splitlines()
        click.echo(f"== {log.name}{'' if text else ': empty'}")
        for line in text[-last:]:
            click.echo(line)
    return 0


COMMANDS = (upload, backup, logs)
