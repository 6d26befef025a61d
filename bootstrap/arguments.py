"""The arguments of `python -m fruits` for a cluster, checked by its own parser before anything is started there."""

from collections.abc import Sequence
from typing import Any

import rich_click as click
from click.core import ParameterSource

from bootstrap.request import IMAGES, RESULTS
from fruits import cli, storage
from fruits.errors import BadArgument
from fruits.job import Job

ADVICE = "`python -m fruits --help` has its options; all after -- goes there"
FOLDERS = ("input", "output", "manifest", "projection", "results")


def check(program: str, command: click.RichGroup, arguments: Sequence[str], advice: str) -> tuple[click.Context, list[str]]:
    """What the arguments say to that program, and its command with what belongs to it, if there is one. Raises `BadArgument`."""
    try:
        with command.make_context(program, [*arguments]) as ctx:
            _, rest, _ = command.make_parser(ctx).parse_args([*arguments])
            return ctx, rest
    except click.UsageError as refused:
        raise BadArgument(f"{program}: {refused.format_message()}", advice) from refused


def given(ctx: click.Context) -> dict[str, Any]:
    """The parameters that were typed."""
    return {name: value for name, value in ctx.params.items() if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def asked(arguments: Sequence[str], bucket: str) -> Job | None:
    """The job, or None where the arguments are of a command such as validate.

    Raises `BadArgument` for what the product would refuse, and for folders that the cluster's nodes do not see.

    `bucket`: whose folders the cluster takes where none are named.
    """
    ctx, rest = check("python -m fruits", cli.main, arguments, ADVICE)
    if not rest:
        typed = {name: value for name, value in given(ctx).items() if name in Job.__dataclass_fields__}
        _check_seen(typed)
        if "options" in typed:
            typed["options"] = dict(typed["options"])
        _check_writable(typed.get("output"), bucket)
        folders = {"input": f"s3://{bucket}/{IMAGES}", "output": f"s3://{bucket}/{RESULTS}"}
        return Job(**(folders | {name: _elsewhere(value) for name, value in typed.items()}))
    command = cli.main.get_command(ctx, rest[0])
    if command is None:
        raise BadArgument(f"python -m fruits: there is no command {rest[0]!r}", ADVICE)
    try:
        with command.make_context(rest[0], rest[1:], parent=ctx) as of_command:
            _check_seen(given(of_command))
    except click.UsageError as refused:
        raise BadArgument(f"python -m fruits {rest[0]}: {refused.format_message()}", ADVICE) from refused
    return None


def _check_seen(typed: dict[str, Any]) -> None:
    for name in FOLDERS:
        if (url := typed.get(name)) and storage.is_local(str(url)):
            raise BadArgument(
                f"{'' if name == 'results' else f'--{name} '}{url} is of this machine, which the nodes do not see",
                "give s3:// or hdfs://; `upload FOLDER` brings images to the bucket",
            )


def _check_writable(output: str | None, bucket: str) -> None:
    """The foundation's template has the folders of the bucket into which the nodes may write. Of other buckets only AWS knows."""
    if output is None:
        return
    url, own = storage.normalized(_elsewhere(output)), f"s3://{bucket}/"
    if f"{url}/".startswith(own) and not url.removeprefix(own).startswith(RESULTS):
        raise BadArgument(f"--output {output}: the nodes may not write there", f"give {own}{RESULTS}, or a name that begins like it")


def _elsewhere(value: Any) -> Any:
    """`hdfs:///Test` names the cluster's own NameNode, which is configured there and not here."""
    return value.replace("hdfs:///", "hdfs://cluster/", 1) if isinstance(value, str) else value
