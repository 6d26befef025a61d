"""The command line: `python -m benchmarks` and its commands.

What measures is imported by the command that needs it, once its packages are known to be there.
"""

import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from benchmarks import checks, images
from benchmarks.checks import BACKENDS, CASES, MEASURING, check_backends, check_file, check_peers
from benchmarks.prices import TABLE, read_prices
from benchmarks.product import RESULTS, ROOT
from benchmarks.report.question import Count, Counts, Duration, Names, Question
from benchmarks.table import COLUMNS, rows
from fruits.errors import BadArgument
from fruits.guard import guarded
from fruits.job import DEFAULT_COMPONENTS
from fruits.packages import WORKER, check_packages

if TYPE_CHECKING:
    from benchmarks.speed import Bench, Scale

LOST = "what was not written yet is lost; the same command measures again"
CASES_LOST = "the cases that ended are in the output; the same command measures them again too"
# Two, three and four times the bundled sample; the first is half of the last, for weak scaling.
SIZES, QUICK_SIZES = (670, 1005, 1340), (64, 128, 256)
WORKERS, SLEEPERS = (1, 2), (1, 2, 4, 8, 16, 32, 64)
WITH_PEERS = ("features", "job", "notebook")  # cases of `speed`
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _commas(of: Sequence[object]) -> str:
    return ",".join(map(str, of))


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a question to the report."""
    for option in reversed(
        (
            click.option("--volume", type=Count(), default=1_000_000, show_default="1e6", help="Images to decide for."),
            click.option(
                "--deadline", type=Duration(), help="Within which they are to be done, the cluster's start included: 30m, 1.5h, 2d."
            ),
            click.option("--budget", type=click.FloatRange(min=0, min_open=True), help="Dollars."),
            click.option("--region", default="eu-west-3", show_default=True, help="Of AWS, as the table of prices has it."),
            click.option("--spot", is_flag=True, help="Workers on Spot instances."),
            click.option(
                "--core-ratio",
                type=click.FloatRange(min=0, min_open=True),
                default=1.0,
                show_default=True,
                help="How fast a vCPU of the cluster is against a core of this machine.",
            ),
            click.option(
                "--prices", type=click.Path(path_type=Path), default=TABLE, help="A table of your own. [default: benchmarks/prices.tsv]"
            ),
        )
    ):
        command = option(command)
    return command


def question(
    volume: int, deadline: float | None, budget: float | None, region: str, spot: bool, core_ratio: float, prices: Path
) -> Question:
    """Raises `BadArgument`."""
    table = read_prices(prices)
    if region not in table.regions:
        raise BadArgument(f"--region {region}: {table.source.name} has no prices of it", f"choose one of {', '.join(table.regions)}")
    return Question(volume, deadline, budget, region, spot, core_ratio, table)


@click.group(invoke_without_command=True)
@click.option("--images", "folder", type=FOLDER, help="[default: the bundled sample]")
@click.option("--sizes", type=Counts(), help=f"Images of a run. Three give a model. [default: {_commas(SIZES)}]")
@click.option(
    "--workers", type=Counts(), help=f"Single-threaded processes. [default: {_commas(WORKERS)}; with --core sleep {_commas(SLEEPERS)}]"
)
@click.option("--backends", type=Names(BACKENDS), default=BACKENDS, show_default=_commas(BACKENDS))
@click.option("--pca", type=click.Choice(("native", "moments")), default="native", show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--core",
    type=click.Choice(("compute", "sleep")),
    default="compute",
    show_default=True,
    help="sleep: workers wait as long as an image takes, so that many more of them than cores show what the engine itself can do.",
)
@click.option("--peers", is_flag=True, help="Also the loop without an engine, the notebook's way, Ray Data and Daft: an hour more.")
@click.option("--cluster", type=click.Choice(("local", "yarn")), default="local", show_default=True)
@click.option("--environment", help="The Python of YARN's nodes, as python -m fruits takes it.")
@click.option("--quick", is_flag=True, help="A few images and one repeat: shows that it runs, its figures mean nothing.")
@click.option("--seed", type=int, help="Of the order. [default: another each time]")
@click.option("--scratch", help="Folder for images and results, which are removed in the end; with --cluster yarn hdfs:// or s3://.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder. [default: benchmarks/results/DATE]")
@click.option("--no-page", is_flag=True, help="Measure only, as where matplotlib is missing; `report` makes the page.")
@asking
@click.pass_context
def main(
    context: click.RichContext,
    /,
    folder: Path | None,
    sizes: tuple[int, ...] | None,
    workers: tuple[int, ...] | None,
    backends: tuple[str, ...],
    pca: str,
    repeats: int,
    core: str,
    peers: bool,
    cluster: str,
    environment: str | None,
    quick: bool,
    seed: int | None,
    scratch: str | None,
    output: Path | None,
    no_page: bool,
    **asked: Any,
) -> None:
    """Measure fruits, on this machine or on a cluster.

    Without a command: both backends at several sizes and numbers of workers, and a report of what follows, in about ten minutes.
    """
    if context.invoked_subcommand is not None:
        return
    console = Console(stderr=True, highlight=False)
    output = output or _dated(quick)
    repeats = 1 if quick else repeats
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    sleep = core == "sleep"
    name = "plane.json" if sleep else "study.json"
    # A page is about a study; the sleepers join one that is there.
    with_page = not no_page and (not sleep or (output / "study.json").exists())
    page = output / "report.html" if with_page else None

    def write(content: dict[str, Any]) -> None:
        output.mkdir(parents=True, exist_ok=True)
        (output / name).write_text(json.dumps(content, indent=1) + "\n")
        console.print(f"written to {output / name}", markup=False, soft_wrap=True)

    def work() -> int:
        if page:
            check_packages(f"{context.command_path} without --no-page", checks.PAGE)
        originals = _originals(folder)
        wanted = question(**asked)
        _check_options(core, cluster, peers, sizes)
        peers_python = _peers_python() if peers else None
        source = folder.name if folder else "the bundled sample"
        photos = f"copies of {len(originals)} photos of {source}"
        _check_output(output, name, {"images": photos, "cluster": cluster}, peers, page)

        from benchmarks import plane
        from benchmarks.place import opened
        from benchmarks.speed import FULL, QUICK, measure
        from benchmarks.study import Plan, measured

        with opened(cluster, scratch, environment, BACKENDS if peers else backends) as place:
            say = _saying(console)
            if sleep:
                sleepers = plane.Plan(
                    backends=backends,
                    workers=workers or (SLEEPERS[:2] if quick else SLEEPERS),
                    repeats=repeats,
                    seed=seed,
                    image_seconds=0.01 if quick else _image_seconds(console, originals),
                    chunk_size=16 if quick else 1024,
                    tasks=50 if quick else 1000,
                )
                write(plane.measured(sleepers, place, say))
            else:
                plan = Plan(
                    backends=backends,
                    sizes=sizes or (QUICK_SIZES if quick else SIZES),
                    workers=workers or WORKERS,
                    repeats=repeats,
                    seed=seed,
                    pca=pca,
                    components=DEFAULT_COMPONENTS,
                    images=photos,
                )
                write(measured(plan, originals, place, say))
            if peers_python:
                scale, most = QUICK if quick else FULL, max(workers or WORKERS)
                with _bench(
                    console,
                    scale,
                    originals,
                    repeats,
                    most,
                    seed,
                    Path(place.url),
                    peers_python,
                ) as bench:
                    measure(bench, list(WITH_PEERS), output / "speed.json", _settings(bench, seed))
            if page:
                _write_page([output], wanted, page)
                console.print(f"written to {page}", markup=False, soft_wrap=True)
        return 0

    guarded(work, LOST, needs=MEASURING)


def _dated(quick: bool) -> Path:
    return RESULTS / f"{datetime.now().astimezone():%Y-%m-%d}{'-quick' if quick else ''}"


def _check_options(core: str, cluster: str, peers: bool, sizes: Sequence[int] | None) -> None:
    if core == "sleep" and sizes:
        raise BadArgument("--sizes has no effect with --core sleep: each worker has as many images", "leave it out")
    if peers and (core == "sleep" or cluster != "local"):
        raise BadArgument("--peers computes, on this machine", "leave out --core and --cluster")


def _peers_python() -> Path:
    """Raises `BadArgument` where their environment, or what is compared beside them, is missing."""
    python = ROOT / ".peers" / "bin" / "python"
    if not python.exists():
        raise BadArgument("--peers needs the environment of Ray Data and Daft", checks.MAKE_PEERS)
    check_peers(python)
    for name in WITH_PEERS:
        check_packages("--peers", *CASES[name].needs)
    return python


def _check_output(
    output: Path,
    name: str,
    plan: dict[str, Any],
    peers: bool,
    page: Path | None,
) -> None:
    """Raises `BadArgument` where a file cannot be written, and for a file that is in the folder
    already and does not fit on the page.

    `name`: of the result to come. `plan`: what is known of it.
    """
    from benchmarks.machine import machine
    from benchmarks.report.results import check_beside, read_cases

    to_come = {name: {"kind": name.removesuffix(".json"), "plan": plan, "machine": machine()}}
    if peers:
        to_come["speed.json"] = read_cases(output / "speed.json")
    for file in to_come:
        check_file(output / file, ".json")
    if page:
        check_file(page, ".html")
        check_beside(output, to_come)


@main.command()
@click.argument("results", type=click.Path(path_type=Path), nargs=-1)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="[default: report.html beside the first result]")
@asking
def report(results: tuple[Path, ...], output: Path | None, **asked: Any) -> None:
    """The page again, from RESULTS: files, or folders of them. What is asked may be another question."""

    def work() -> int:
        if not results:
            raise BadArgument("no result was named", "measure first: python -m benchmarks; then give its folder")
        first = results[0] if results[0].is_dir() else results[0].parent
        page = output or first / "report.html"
        check_file(page, ".html")
        _write_page(results, question(**asked), page)
        click.echo(f"written to {page}")
        return 0

    guarded(work, needs=[checks.PAGE])


def _write_page(results: Sequence[Path], asked: Question, to: Path) -> None:
    from benchmarks.report.results import read_results

    measurements = read_results(results)
    from benchmarks.report.page import page  # after them: it takes seconds

    content = page(measurements, asked)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(content)


@main.command()
@click.option("--quick", is_flag=True, help="A few images and one repeat: shows that it runs, its figures mean nothing.")
@click.option("--only", "cases", type=click.Choice(list(CASES)), multiple=True, help="This case; again for more. [default: all]")
@click.option("--repeats", type=click.IntRange(1), help="[default: 3, with --quick 1]")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes that infer, on either side of a ratio.")
@click.option("--images", "folder", type=FOLDER, help="[default: the bundled sample]")
@click.option(
    "--peers-python", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of the environment with Ray Data and Daft."
)
@click.option("--seed", type=int, help="Of the order. [default: another each time]")
@click.option("--scratch", type=FOLDER, help="Disk for images and results.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON. [default: benchmarks/results/DATE/speed.json]")
def speed(
    quick: bool,
    cases: tuple[str, ...],
    repeats: int | None,
    workers: int,
    folder: Path | None,
    peers_python: Path | None,
    seed: int | None,
    scratch: Path | None,
    output: Path | None,
) -> None:
    """Ratios against other ways to the same features, and against what each is to reach.

    An hour with all cases, on a machine that does nothing else. Exit code 0 when everything ran, whatever the ratios.
    """
    console = Console(stderr=True, highlight=False)
    chosen = cases or tuple(CASES)
    # Not resolved: the link is what makes it an environment.
    python = peers_python.absolute() if peers_python else None
    output = output or _dated(quick) / "speed.json"
    repeats = repeats or (1 if quick else 3)
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed

    def work() -> int:
        for name in chosen:
            check_packages(f"the case {name}", *CASES[name].needs)
        if python and "features" in chosen:
            check_peers(python)
        originals = _originals(folder)
        check_file(output, ".json")

        from benchmarks.place import check_scratch
        from benchmarks.report.results import read_cases
        from benchmarks.speed import FULL, QUICK, measure

        read_cases(output)
        if scratch:
            check_scratch(scratch)
        check_backends({name for case in chosen for name in CASES[case].backends}, cluster="local")
        scale = QUICK if quick else FULL
        with _bench(console, scale, originals, repeats, workers, seed, scratch, python) as bench:
            settings = _settings(bench, seed)
            console.print(f"{settings}")
            content = measure(bench, chosen, output, settings)
        Console(width=max(150, console.width)).print(_printed(content, chosen))
        if quick:
            console.print("--quick shows that it runs: these figures mean nothing")
        console.print(f"written to {output}", markup=False, soft_wrap=True)
        return 0

    guarded(work, CASES_LOST, needs=MEASURING)


@main.command()
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--images", "folder", type=FOLDER, help="[default: the bundled sample]")
@click.option("--quick", is_flag=True, help="A few images: shows that it runs.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Picture. [default: benchmarks/profile.png]")
def profile(repeats: int, workers: int, folder: Path | None, quick: bool, output: Path | None) -> None:
    """Where a second of a worker goes on each backend, as a picture and, beside it, as JSON."""
    console = Console(stderr=True, highlight=False)
    picture = output or RESULTS.parent / "profile.png"
    figures = picture.with_suffix(".json")

    def work() -> int:
        originals = _originals(folder)
        check_file(picture, ".png")
        check_file(figures, ".json")
        check_backends(BACKENDS, cluster="local")

        from benchmarks.profile import draw, profiled
        from benchmarks.speed import FULL, QUICK

        with _bench(console, QUICK if quick else FULL, originals, repeats, workers) as bench:
            content = profiled(bench)
        picture.parent.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(content, indent=1) + "\n")
        draw(content, picture)
        console.print(f"drawn: {picture}", markup=False, soft_wrap=True)
        return 0

    guarded(work, LOST, needs=[*MEASURING, checks.PICTURE])


@main.command()
@click.argument("folder", type=FOLDER)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The figures as JSON.",
)
def identify(folder: Path, output: Path | None) -> None:
    """How often `python -m fruits identify` is right about photos that were held out.

    FOLDER has a folder of images for each label, and names that tell the series of frames, as
    Fruits-360's Test has. Whole series are held out, then whole labels too.
    """

    def work() -> int:
        if output:
            check_file(output, ".json")
        check_backends(["dask"], cluster="local")

        from benchmarks.identify import measured

        figures = measured(folder.absolute(), Console(highlight=False))
        if output:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(figures, indent=1) + "\n")
        return 0

    guarded(work, LOST, needs=[*MEASURING, checks.CLASSIFIERS])


@main.command()
@click.argument("results")
@click.argument(
    "photos",
    nargs=-1,
    type=click.Path(exists=True, dir_okay=False),
    metavar="[PHOTO]...",
)
def resizing(results: str, photos: tuple[str, ...]) -> None:
    """What another resize than Pillow's bicubic one costs an application.

    How far pca_features move and how many nearest labels change, for the images of RESULTS and for
    other photos, such as larger ones, which are made smaller.
    """

    def work() -> int:
        from benchmarks.resizing import compared

        compared(results, photos, Console(highlight=False))
        return 0

    guarded(work, needs=[WORKER])


def _originals(folder: Path | None) -> list[Path]:
    """Raises `BadArgument` where there are none."""
    if not (found := images.photos(folder or images.SAMPLE)):
        raise BadArgument(f"there is no JPEG below {folder}", "give a folder of *.jpg as --images")
    return found


def _saying(console: Console) -> Callable[[str], None]:
    """Prints with the seconds since now."""
    began = monotonic()
    return lambda text: console.print(f"[{monotonic() - began:6.0f} s] {text}", markup=False, soft_wrap=True)


def _image_seconds(console: Console, originals: list[Path]) -> float:
    """That one process of the loop without an engine takes for an image."""
    from benchmarks.speed import QUICK

    with _bench(console, QUICK, originals, repeats=1, workers=1) as bench:
        return 1 / bench.loop(1024, 2)


def _settings(bench: "Bench", seed: int) -> dict[str, Any]:
    """What a result file says of how its cases were measured."""
    from benchmarks.speed import QUICK

    return {
        "quick": bench.scale is QUICK,
        "repeats": bench.repeats,
        "workers": bench.workers,
        "seed": seed,
        "originals": len(bench.originals),
        "peers": bench.peers_python is not None,
    }


@contextmanager
def _bench(
    console: Console,
    scale: "Scale",
    originals: list[Path],
    repeats: int,
    workers: int,
    seed: int | None = None,
    scratch: Path | None = None,
    peers_python: Path | None = None,
) -> Iterator["Bench"]:
    """With a folder that goes in the end."""
    from benchmarks.speed import Bench

    with tempfile.TemporaryDirectory(prefix="fruits-benchmark-", dir=scratch) as name:
        order = random.Random(seed)  # noqa: S311
        folder, say = Path(name), _saying(console)
        yield Bench(scale, originals, repeats, workers, order, folder, peers_python, say)


def _printed(content: dict[str, Any], cases: Sequence[str]) -> Table:
    table = Table(*COLUMNS)
    for row in rows({"cases": {name: content["cases"][name] for name in cases}}):
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
