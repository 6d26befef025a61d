"""The command line: `python -m fruits [OPTIONS]` runs a job, `python -m fruits COMMAND` looks at results."""

import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

import fruits
from fruits.backend import DEFAULT, REGISTRY
from fruits.errors import FruitsError
from fruits.job import DEFAULT_COMPONENTS, SAMPLE, Job
from fruits.model import ENGINES

if TYPE_CHECKING:
    from fruits.pipeline import Prepared
    from fruits.report import RunReport

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

DESCRIPTION = """
Turns a folder of images into features and principal components, on Dask or on Spark.

Reads every image below INPUT, computes MobileNetV2's penultimate layer (1280 numbers an image) and a PCA of these, and writes Parquet, CSV
and a report to OUTPUT. Without any option: the bundled sample, on this machine, into ./results. The same command again goes on where the
last one stopped.
"""
EPILOG = (
    "Exit codes: 0 done, 1 the run or the validation failed, 2 an argument was refused before anything started, 130 interrupted. "
    "`python -m fruits COMMAND --help` tells of a command."
)


class Components(click.ParamType[int | float]):
    """A count such as 200, or with a point a share such as 0.95."""

    name = "K"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | float:
        text = str(value)
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            self.fail(f"{text!r} is neither a count such as 200 nor a share such as 0.95", param, ctx)


class KeyValue(click.ParamType[tuple[str, str]]):
    name = "KEY=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        key, equals, setting = str(value).partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, setting


@click.group(invoke_without_command=True, help=DESCRIPTION, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option_panel("What", options=["--input", "--pattern", "--output", "--fresh"])
@click.option_panel("Where", options=["--backend", "--cluster", "--workers", "--set"])
@click.option_panel("Principal components", options=["--components", "--standardize", "--uncentred", "--projection", "--features-only"])
@click.option_panel(
    "Reading images",
    options=["--engine", "--batch-size", "--chunk-size", "--max-pixels", "--max-file-bytes", "--max-rejected"],
)
@click.option_panel("Talking", options=["--dry-run", "--json", "--log-level", "--version", "--help"])
@click.option("--input", metavar="URL", help="Folder of images, searched recursively. [default: the bundled sample]")
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="GLOB",
    help="Names that are images, in any case; again for more. [default: *.jpg *.jpeg]",
)
@click.option("--output", metavar="URL", help="Folder of the results. [default: results]")
@click.option("--fresh", is_flag=True, help="Start over, and replace what an earlier run left in the output.")
@click.option("--backend", type=click.Choice(list(REGISTRY)), help=f"The engine that distributes the work. [default: {DEFAULT}]")
@click.option("--cluster", metavar="WHERE", help="local, or the address of a Dask scheduler or a Spark master. [default: local]")
@click.option("--workers", type=int, metavar="N", help="Single-threaded model processes in all. [default: one a core]")
@click.option("--set", "options", type=KeyValue(), multiple=True, help="Passed raw to the configuration of Spark or Dask; again for more.")
@click.option(
    "--components",
    type=Components(),
    help=f"A count, or with a point the share of variance to explain (0.95). [default: {DEFAULT_COMPONENTS}, or what the images allow]",
)
@click.option("--standardize", is_flag=True, help="Unit variance of each feature before the PCA.")
@click.option("--uncentred", is_flag=True, help="Project without subtracting the mean, as Spark's PCAModel.transform does.")
@click.option("--projection", metavar="FILE", help="Project with the projection.npz of an earlier run, instead of fitting.")
@click.option("--features-only", is_flag=True, help="No PCA.")
@click.option(
    "--engine", type=click.Choice(list(ENGINES)), help="What runs the network; keras is the reference, and slower. [default: litert]"
)
@click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help=f"Images a call of the network. [default: {', '.join(f'{needs.batch_size} for {name}' for name, needs in ENGINES.items())}]",
)
@click.option(
    "--chunk-size", type=int, metavar="N", help="Images that are committed at a time. [default: 64 to 4096, by images and workers]"
)
@click.option(
    "--max-pixels",
    type=int,
    metavar="N",
    help="Larger pictures are rejected undecoded. [default: 40 million]",
)
@click.option("--max-file-bytes", type=int, metavar="N", help="Larger files are rejected unread. [default: 64 million]")
@click.option("--max-rejected", type=float, metavar="SHARE", help="Fail when more than this share of the images is rejected. [default: 1]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="Of fruits and of the engine, on standard error.",
)
@click.version_option(fruits.__version__, prog_name="fruits")
@click.pass_context
def main(ctx: click.RichContext, /, dry_run: bool, as_json: bool, log_level: str, **typed: Any) -> None:
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if ctx.invoked_subcommand is not None:
        if given:
            raise click.UsageError(f"{_names(ctx, given)}: options of a run have no effect on the command {ctx.invoked_subcommand}")
        return
    _log(log_level.upper())
    parameters = {name: value for name, value in typed.items() if name in given}
    if "options" in parameters:
        parameters["options"] = dict(parameters["options"])
    _guarded(lambda: _run(Job(**parameters), dry_run, as_json))


@main.command()
@click.argument("results")
@click.option("--json", "as_json", is_flag=True, help="The failures as a JSON list.")
def validate(results: str, as_json: bool) -> None:
    """Check that a results folder is whole and right.

    Rows add up, vectors have their length, no number is missing, labels are counted right, the CSV equals the Parquet, and the projection
    applied to the features gives pca_features. Exit code 1, with each failure named, where something is not.
    """

    def check() -> int:
        from fruits.validate import validate as failures_of

        failures = failures_of(results)
        if as_json:
            click.echo(json.dumps(failures))
        else:
            for failure in failures:
                click.echo(f"failed: {failure}", err=True)
            click.echo(f"{results}: {len(failures)} failures" if failures else f"{results}: valid")
        return 1 if failures else 0

    _guarded(check)


def _log(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # of the handler too: libraries set levels of their own on their loggers
    if level in ("WARNING", "ERROR"):
        # What fails in Dask comes back as an exception and is told once; its own words on top are for --log-level info.
        handler.addFilter(lambda record: not record.name.startswith("distributed"))
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", handlers=[handler])


def _run(job: Job, dry_run: bool, as_json: bool) -> int:
    from rich.console import Console

    from fruits import summary
    from fruits.pipeline import execute, prepare
    from fruits.progress import ProgressLines

    console = Console(highlight=False)
    prepared = prepare(job)
    if dry_run:
        plan = prepared.summary()
        click.echo(json.dumps(plan, indent=2)) if as_json else summary.show_plan(plan, console)
        return 0
    for line in _opening(prepared):
        click.echo(line, err=True)
    report = execute(prepared, ProgressLines())
    if as_json:
        click.echo(report.to_json())
    elif prepared.complete is None:
        summary.show(report, console)
    else:
        _show_complete(report)
    return 0


def _opening(prepared: "Prepared") -> list[str]:
    job, images = prepared.job, len(prepared.listing)
    where = "the bundled sample" if job.input == SAMPLE else job.input
    backend = f"{prepared.backend.name} on {job.cluster or 'local'}, {prepared.backend.workers} workers"
    lines = [f"{backend}: {images} images of {where} to {job.output}"]
    if reused := images - prepared.pending.num_rows:
        lines.append(f"an earlier run has done {reused} of them, {images - reused} are left")
    return lines


def _show_complete(report: "RunReport") -> None:
    click.echo(f"nothing to do: {report.backend['name']} completed {report.job['output']} on {report.finished} (--fresh starts over)")


def _guarded(work: Callable[[], int]) -> None:
    """Ends the process with the work's exit code; what `fruits` raises on purpose becomes a message without a traceback."""
    try:
        code = work()
    except FruitsError as failed:
        click.echo(f"error: {failed.message}", err=True)
        if failed.advice:
            click.echo(f"       {failed.advice}", err=True)
        code = failed.exit_code
    except KeyboardInterrupt:
        click.echo("interrupted: the same command goes on where this run stopped", err=True)
        code = INTERRUPTED
    raise SystemExit(code)


def _names(ctx: click.RichContext, parameters: list[str]) -> str:
    return ", ".join(p.opts[0] for p in ctx.command.params if p.name in parameters)
