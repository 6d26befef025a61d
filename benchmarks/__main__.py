"""The command line: `python -m benchmarks speed` and `profile`."""

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic

import rich_click as click
from rich.console import Console
from rich.table import Table

from benchmarks import images
from benchmarks.product import ROOT, Failed
from benchmarks.speed import CASES, FULL, QUICK, Bench, Row, Scale, measure


@click.group()
def main() -> None:
    """Measure fruits on this machine."""


@main.command()
@click.option("--quick", is_flag=True, help="A few images and one repeat: shows that it runs, its figures mean nothing.")
@click.option("--only", "cases", type=click.Choice(list(CASES)), multiple=True, help="This case; again for more. [default: all]")
@click.option("--repeats", type=click.IntRange(1), help="[default: 3, with --quick 1]")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes that infer, on either side of a ratio.")
@click.option("--images", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="[default: the bundled sample]")
@click.option(
    "--peers-python", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Of the environment with Ray Data and Daft."
)
@click.option("--seed", type=int, help="Of the order. [default: another each time]")
@click.option("--scratch", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Disk for images and results.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON. [default: benchmarks/results/DATE-speed.json]")
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
    originals = _originals(folder)
    if peers_python is not None:
        peers_python = peers_python.absolute()  # not resolved: the link is what makes it an environment
    if output is None:
        output = ROOT / "benchmarks" / "results" / f"{datetime.now().astimezone():%Y-%m-%d}-speed{'-quick' if quick else ''}.json"
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    repeats = repeats or (1 if quick else 3)
    settings = {
        "quick": quick,
        "repeats": repeats,
        "workers": workers,
        "seed": seed,
        "originals": len(originals),
        "peers": peers_python is not None,
    }
    console.print(f"{settings}")

    with _bench(console, QUICK if quick else FULL, originals, repeats, workers, seed, scratch, peers_python) as bench:
        rows = measure(bench, cases or list(CASES), output, settings)
    Console(width=max(150, console.width)).print(_table(rows))
    if quick:
        console.print("--quick shows that it runs: these figures mean nothing")
    console.print(f"written to {output}", markup=False, soft_wrap=True)


@main.command()
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--images", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="[default: the bundled sample]")
@click.option("--quick", is_flag=True, help="A few images: shows that it runs.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Picture. [default: benchmarks/profile.png]")
def profile(repeats: int, workers: int, folder: Path | None, quick: bool, output: Path | None) -> None:
    """Where a second of a worker goes on each backend, as a picture and, beside it, as JSON."""
    from benchmarks.profile import draw, profiled

    console = Console(stderr=True, highlight=False)
    picture = output or ROOT / "benchmarks" / "profile.png"
    picture.parent.mkdir(parents=True, exist_ok=True)

    with _bench(console, QUICK if quick else FULL, _originals(folder), repeats, workers) as bench:
        content = profiled(bench)
    picture.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    draw(content, picture)
    console.print(f"drawn: {picture}", markup=False, soft_wrap=True)


def _originals(folder: Path | None) -> list[Path]:
    if not (found := images.photos(folder or images.SAMPLE)):
        raise click.UsageError(f"there is no JPEG below {folder}")
    return found


@contextmanager
def _bench(
    console: Console,
    scale: Scale,
    originals: list[Path],
    repeats: int,
    workers: int,
    seed: int | None = None,
    scratch: Path | None = None,
    peers_python: Path | None = None,
) -> Iterator[Bench]:
    """With a folder that goes in the end. A process that fails in the block ends this one, with exit code 1 and its words."""
    began = monotonic()

    def say(text: str) -> None:
        console.print(f"[{monotonic() - began:6.0f} s] {text}", markup=False, soft_wrap=True)

    with tempfile.TemporaryDirectory(prefix="fruits-benchmark-", dir=scratch) as name:
        order = random.Random(seed)  # noqa: S311
        try:
            yield Bench(scale, originals, repeats, workers, order, Path(name), peers_python, say)
        except Failed as failed:
            console.print(f"error: {failed}", markup=False, soft_wrap=True)
            sys.exit(1)


def _table(rows: list[Row]) -> Table:
    table = Table("what", "median", "of", "to reach", "reached")
    for row in rows:
        bound = "" if row.target is None else f"{'<' if row.most else '>'} {row.target:g} {row.unit}".strip()
        reached = {None: "", True: "yes", False: "NO"}[row.reached]
        table.add_row(row.what, f"{row.median:.4g} {row.unit}".strip(), " ".join(f"{point:.4g}" for point in row.points), bound, reached)
    return table


if __name__ == "__main__":
    main()
