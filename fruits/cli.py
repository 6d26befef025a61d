"""The command line: `python -m fruits [OPTIONS]` runs a job, `python -m fruits COMMAND` looks at results."""

import json
import logging
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

import fruits
from fruits import defaults, guard
from fruits.backend import DEFAULT, REGISTRY
from fruits.errors import BadArgument
from fruits.job import DEFAULT_COMPONENTS, LAUNCHERS, PCA_METHODS, SAMPLE, Job
from fruits.model import ENGINES, PRECISIONS
from fruits.packages import WORKER

if TYPE_CHECKING:
    from fruits.model import Engine
    from fruits.pipeline import Prepared
    from fruits.report import RunReport

guarded = partial(guard.guarded, needs=[WORKER])  # all commands read images or results
GOES_ON = "the same command goes on where this run stopped"
THRESHOLD = 0.5  # as likely right as not

DESCRIPTION = """
Turns a folder of images into features and principal components, on Dask or on Spark.

Reads every image below INPUT, computes MobileNetV2's penultimate layer (1280 numbers an image) and a PCA of these, and writes Parquet, CSV
and a report to OUTPUT. Without any option: the bundled sample, on this machine, into ./results. The same command again goes on where the
last one stopped.
"""
EPILOG = (
    "Exit codes: 0 done, 1 the run or the validation failed or a photo could not be read, 2 an argument was refused before anything "
    "started, 130 interrupted. "
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


class Memory(click.ParamType[int]):
    """In MiB: `2048`, `2048m` or `2g`."""

    name = "SIZE"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        text = str(value).lower()
        number, unit = (text[:-1], text[-1]) if text[-1:] in ("m", "g") else (text, "m")
        if not number.isdecimal():
            self.fail(f"{value!r} is no size such as 2g or 2048m", param, ctx)
        return int(number) * (1024 if unit == "g" else 1)


@click.group(invoke_without_command=True, help=DESCRIPTION, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option_panel("What", options=["--input", "--pattern", "--manifest", "--output", "--fresh", "--retry-rejected"])
@click.option_panel("Where", options=["--backend", "--cluster", "--workers", "--set"])
@click.option_panel("YARN", options=["--queue", "--environment", "--container-cores", "--container-memory", "--launcher"])
@click.option_panel(
    "Principal components", options=["--pca", "--components", "--standardize", "--uncentred", "--projection", "--features-only"]
)
@click.option_panel(
    "Reading images",
    options=[
        "--engine",
        "--precision",
        "--batch-size",
        "--chunk-size",
        "--chunk-timeout",
        "--max-pixels",
        "--max-file-bytes",
        "--max-rejected",
    ],
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
@click.option(
    "--manifest",
    metavar="FILE",
    help="The images to take, in place of a listing: one path a line, below INPUT or relative to it, or an S3 Inventory (its manifest.json "
    "or a .csv). May be on HDFS or S3, and end in .gz.",
)
@click.option("--output", metavar="URL", help="Folder of the results. [default: results]")
@click.option("--fresh", is_flag=True, help="Start over, and replace what an earlier run left in the output.")
@click.option(
    "--retry-rejected",
    is_flag=True,
    help="Do what an earlier run rejected again, and nothing else that it did: for images that were mended in place, or rights given.",
)
@click.option("--backend", type=click.Choice(list(REGISTRY)), help=f"The engine that distributes the work. [default: {DEFAULT}]")
@click.option(
    "--cluster",
    metavar="WHERE",
    help="local, yarn, the address of a Dask scheduler or a Spark master, or auto: yarn where HADOOP_CONF_DIR or YARN_CONF_DIR has a "
    "yarn-site.xml and the nodes see the folders. [default: auto]",
)
@click.option(
    "--workers", metavar="N", help="Single-threaded model processes in all; on YARN also a range such as 2..20. [default: one a core]"
)
@click.option("--queue", metavar="NAME", help="[default: default]")
@click.option(
    "--environment",
    metavar="URL",
    help="The nodes' Python: venv:///path, python:///path, or an archive.tar.gz that `pack` made. [default: this one, at the same path]",
)
@click.option("--container-cores", type=int, metavar="N", help="Of a Spark executor: so many workers. [default: up to 2]")
@click.option(
    "--container-memory",
    type=Memory(),
    metavar="SIZE",
    help="All that YARN counts, such as 2g. [default: 2g for Dask, 1.4g and 640m a worker for Spark]",
)
@click.option("--launcher", type=click.Choice(LAUNCHERS), help=f"What starts Dask's workers. [default: {LAUNCHERS[0]}]")
@click.option("--set", "options", type=KeyValue(), multiple=True, help="Passed raw to the configuration of Spark or Dask; again for more.")
@click.option(
    "--pca",
    type=click.Choice(PCA_METHODS),
    help="native: the engine's own, ml.PCA or dask-ml's. moments: one pass over the features, faster, in bounded memory. [default: native]",
)
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
    "--precision",
    type=click.Choice(PRECISIONS),
    help="What it computes in. bfloat16, with openvino where the processor has it, gives other features, and is faster on some "
    "processors. [default: float32]",
)
@click.option(
    "--batch-size",
    type=int,
    metavar="N",
    help=f"Images a call of the network. [default: {', '.join(f'{needs.batch_size} for {name}' for name, needs in ENGINES.items())}]",
)
@click.option(
    "--chunk-size",
    type=int,
    metavar="N",
    help="Images that are committed at a time, or what is done in 20 s. [default: 64 to 2048, by images and workers]",
)
@click.option(
    "--chunk-timeout",
    type=float,
    metavar="SECONDS",
    help="A chunk that takes longer is done again file by file, and a file that hangs is rejected. [default: 300]",
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
    os.umask(0o077)  # for what the engines write: features that are spilled to disk, and their own files; ours are private anyway
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if ctx.invoked_subcommand is not None:
        if given:
            raise click.UsageError(f"{_names(ctx, given)}: options of a run have no effect on the command {ctx.invoked_subcommand}")
        return
    _log(log_level.upper())

    def work() -> int:
        parameters = _with_defaults(ctx, {name: value for name, value in typed.items() if name in given})
        if "options" in parameters:
            parameters["options"] = dict(parameters["options"])
        return _run(Job(**parameters), dry_run, as_json)

    guarded(work, GOES_ON)


def _with_defaults(ctx: click.RichContext, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that were typed, and the others from `fruits.toml` where it has them."""
    fields = {p.opts[0].removeprefix("--"): p for p in main.params if p.name in Job.__dataclass_fields__}
    for option, value in defaults.read(fields).items():
        parameter = fields[option]
        name = str(parameter.name)
        if name in given:
            continue
        if isinstance(value, dict):
            value = [f"{key}={setting}" for key, setting in value.items()]
        try:
            given[name] = parameter.type_cast_value(ctx, value)
        except (click.UsageError, TypeError) as fault:
            raise BadArgument(f"{defaults.NAME}: {option} = {value!r}: {fault}", "mend the file") from fault
    return given


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

    guarded(check)


@main.command()
@click.argument("results")
@click.option("--reason", "reasons", multiple=True, metavar="REASON", help="Of this reason only; again for more.")
@click.option("--paths", is_flag=True, help="All paths and nothing else, one a line: a --manifest of what was rejected.")
@click.option("--json", "as_json", is_flag=True, help="All as a JSON list of path, label, reason and detail.")
def rejected(results: str, reasons: tuple[str, ...], paths: bool, as_json: bool) -> None:
    """List the images that a run rejected, by reason.

    To have them tried again, mend them, or the right to read them, and run the same command with --retry-rejected: all else that was done
    is reused. A file whose size, modification time or ETag has changed is done again without it.
    """

    def work() -> int:
        from rich.console import Console

        from fruits import summary
        from fruits.rejected import rejected as rejected_in

        found = rejected_in(results, reasons)
        if as_json:
            click.echo(json.dumps(found.to_pylist(), indent=2, ensure_ascii=False))
        elif paths:
            for path in found["path"].to_pylist():
                click.echo(path)
        else:
            summary.show_rejected(results, found, Console(highlight=False))
        return 0

    guarded(work)


@main.command()
@click.argument("results")
def report(results: str) -> None:
    """Make the page of a results folder, report.html, again: from its files, with nothing featurized.

    For results of an earlier version, which have none, and where the images were out of reach, so that it has no thumbnails.
    """

    def work() -> int:
        from fruits.page.make import write_again

        page = write_again(results, lambda text: click.echo(f"note: {text}", err=True))
        click.echo(f"{results}/{page.name}: {page.bytes / 1e6:.1f} MB")
        return 0

    guarded(work, "the same command makes the page again")


@main.command()
@click.argument("archive", default="environment.tar.gz")
@click.option(
    "--engine", type=click.Choice(list(ENGINES)), default="litert", show_default=True, help="keras adds TensorFlow, openvino OpenVINO."
)
@click.option(
    "--backend", "names", type=click.Choice(list(REGISTRY)), multiple=True, help="For the workers of this one only. [default: of all]"
)
def pack(archive: str, engine: "Engine", names: tuple[str, ...]) -> None:
    """Make an archive of this Python for the nodes of a YARN cluster.

    It holds fruits and what its workers import, at the versions that are installed here; give it as --environment. The nodes need the same
    base Python at the same path.
    """

    def work() -> int:
        from backends.pack import pack as packed

        made = packed(Path(archive), engine, names or tuple(REGISTRY))
        click.echo(f"{made.path}: {made.size / 1e6:.0f} MB, {len(made.packages)} packages; every node must have {made.base_python}")
        return 0

    guarded(work)


@main.command()
@click.option("--input", metavar="URL", help="[default: the bundled sample]")
@click.option("--output", metavar="URL", help="[default: results]")
@click.option("--backend", type=click.Choice(list(REGISTRY)), help=f"[default: {DEFAULT}]")
@click.option("--cluster", metavar="WHERE", help="local, yarn, an address, or auto. [default: auto]")
@click.option("--workers", metavar="N")
@click.option("--queue", metavar="NAME")
@click.option("--environment", metavar="URL")
@click.option("--container-cores", type=int, metavar="N")
@click.option("--container-memory", type=Memory(), metavar="SIZE")
@click.option("--launcher", type=click.Choice(LAUNCHERS))
@click.option("--json", "as_json", is_flag=True, help="The checks as a JSON list.")
@click.pass_context
def doctor(ctx: click.RichContext, /, as_json: bool, **typed: Any) -> None:
    """Look whether a job could run: Python, Java, engines, memory, queue, folders, and whether a worker starts.

    Says of each what was found, or what to do. The options mean what they mean in a run, with the same defaults. Exit code 1 where
    something is missing.
    """
    _log("ERROR")

    def work() -> int:
        from backends.doctor import examine

        given = {name: value for name, value in typed.items() if value is not None}
        checks = []
        for check in examine(Job(**_with_defaults(ctx, given))):
            checks.append(check)
            if not as_json:
                click.echo(f"{'ok  ' if check.advice is None else 'FAIL'} {check.name}: {check.found}")
                if check.advice:
                    click.echo(f"     {check.advice}")
        if as_json:
            click.echo(json.dumps([asdict(check) for check in checks]))
        return 1 if any(check.advice for check in checks) else 0

    guarded(work)


@main.command()
@click.argument("results")
@click.argument("image")
@click.option("--count", type=click.IntRange(1, 1000), default=12, show_default=True, metavar="N", help="So many, or as many as there are.")
@click.option("--page", metavar="FILE.html", help="Write a page with the pictures too: self-contained, up to some 10 kB a picture.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def similar(results: str, image: str, count: int, page: str | None, as_json: bool) -> None:
    """Find the images in RESULTS that are nearest to IMAGE.

    IMAGE is a path or an hdfs:// or s3:// URL, of the results or from anywhere. It goes through the engine, the limits and the projection
    of the run that made RESULTS; distances are Euclidean, between pca_features. An image of the results is not its own neighbour.
    """

    def work() -> int:
        from rich.console import Console

        from fruits import summary
        from fruits.similar import similar as nearest_to
        from fruits.target import Target

        target = Target.at(page, ".html") if page is not None else None
        found, pixels, photos = nearest_to(results, image, count)
        if target:
            from fruits.similar_page import page as page_of

            target.write(page_of(found, pixels, photos).encode())
        if as_json:
            click.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        else:
            summary.show_similar(found, Console(highlight=False))
        if target:
            click.echo(f"page in {target.url}", err=True)
        return 0

    guarded(work)


@main.command()
@click.argument("results")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=THRESHOLD,
    show_default=True,
    help="Below this confidence a photo is `unknown`.",
)
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def identify(results: str, photos: tuple[str, ...], threshold: float, as_json: bool) -> None:
    """Say which label of RESULTS each PHOTO has, and how sure that is.

    Photos are paths or hdfs:// or s3:// URLs. The label is the nearest in the pca_features of the run that made RESULTS. Its confidence is
    how many of the images that were held out from these labels, and looked as clear, were right; `unknown` is what is less sure than the
    threshold. Exit code 1 where a photo cannot be read.
    """

    def work() -> int:
        from rich.console import Console

        from fruits import summary
        from fruits.identify import identify as answer_of

        answer = answer_of(results, photos, threshold)
        if as_json:
            click.echo(json.dumps([asdict(photo) for photo in answer.photos], indent=2, ensure_ascii=False))
        else:
            summary.show_identified(answer, Console(highlight=False))
        return 1 if any(photo.reason for photo in answer.photos) else 0

    guarded(work)


@main.command()
@click.argument("results")
@click.argument("file", metavar="APP.tflite")
def export(results: str, file: str) -> None:
    """Make one LiteRT file of RESULTS for an application: network, projection, labels.

    A picture of 224 x 224 RGB bytes in; pca_features, the nearest labels and their confidences out, as `identify` has them. The labels'
    names are inside. Needs TensorFlow, the extra keras. How an application uses it: docs/app.md.
    """

    def work() -> int:
        from fruits.target import Target

        target = Target.at(file, ".tflite")
        from fruits.app import app

        made = app(results, THRESHOLD, lambda text: click.echo(text, err=True))
        target.write(made.data)
        click.echo(f"{target.url}: {len(made.data) / 1e6:.1f} MB, {made.labels} labels; {made.check}")
        return 0

    guarded(work)


def _log(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # of the handler too: libraries set levels of their own on their loggers
    if level in ("WARNING", "ERROR"):
        # What fails in Dask comes back as an exception and is told once; its own words on top, and those of its event loop, are for
        # --log-level info.
        handler.addFilter(lambda record: not record.name.startswith(("distributed", "tornado")))
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
    """The first line: who does what, what is reused, what is left and why."""
    job, images, left = prepared.job, len(prepared.listing), prepared.reuse
    where = "the bundled sample" if job.input == SAMPLE else job.input
    where += f" that {job.manifest} names" if job.manifest else ""
    backend = f"{prepared.backend.name} on {prepared.where}, {prepared.backend.workers} workers"
    line = f"{backend}: {images} images of {where} to {job.output}"
    reused = images - prepared.pending.num_rows
    if reused or left.vanished or left.unreadable:
        why = ", ".join(f"{count} {reason}" for reason, count in left.why.items())
        line += f": an earlier run has done {reused} of them, {images - reused} are left{f' ({why})' if why else ''}"
        line += f", {left.vanished} have vanished" if left.vanished else ""
        line += f", {left.unreadable} damaged markers" if left.unreadable else ""
    lines = [f"{line}; {prepared.pca()}"]
    if files := defaults.files():
        lines.append(f"defaults from {', '.join(map(str, files))}")
    return lines


def _show_complete(report: "RunReport") -> None:
    output = report.job["output"]
    line = f"nothing to do: {report.backend['name']} completed {output} on {report.finished} (--fresh starts over)"
    click.echo(line if report.page else f"{line}; no page yet: python -m fruits report {output}")


def _names(ctx: click.RichContext, parameters: list[str]) -> str:
    return ", ".join(p.opts[0] for p in ctx.command.params if p.name in parameters)
