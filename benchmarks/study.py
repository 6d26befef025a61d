"""Both backends at several numbers of images and workers, stage by stage: the raw measurements of the report.

The sessions of all cells are open from the beginning and wait for their turn, so that the order of all runs is random and none pays for a
start. Each runs the smallest job once before, which is not counted: it loads the network into the workers. Starts are measured apart, as
whole processes with a few images.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from benchmarks.machine import machine
from benchmarks.place import Place
from benchmarks.product import fruits
from benchmarks.report.results import VERSIONS
from benchmarks.session import Session
from fruits import schemas
from fruits.dummies import NOTHING, READ
from fruits.pca import Projection
from fruits.storage import Folder, normalized

Item = TypeVar("Item")

FEW = 8  # images of a start: 0.03 s of a worker
# Engines of `fruits.dummies`: the features stage without the network, and without the images too.
ISOLATING = (READ, NOTHING)


@dataclass(frozen=True)
class Plan:
    """What is measured: every backend at every number of images with most workers, and at the largest with fewer, so many times.

    `sizes` and `workers` ascend. `images`: which, in words.
    """

    backends: Sequence[str]
    sizes: Sequence[int]
    workers: Sequence[int]
    repeats: int
    seed: int
    pca: str
    components: int
    images: str

    def sizes_of(self, workers: int) -> list[int]:
        """Fewer workers are there for the speed-up alone: of the largest size (strong scaling), and where it is one of the sizes, of as
        many images a worker as most workers have of the largest (weak scaling)."""
        if workers == max(self.workers):
            return [*self.sizes]
        weak = max(self.sizes) * workers / max(self.workers)
        return [size for size in self.sizes if size in (weak, max(self.sizes))]


def measured(plan: Plan, originals: Sequence[Path], place: Place, say: Callable[[str], None]) -> dict[str, Any]:
    """The content of a result file: `plan`, `machine`, `runs`, `starts`, `isolated`, and `parity`, or None where there are not two results
    to compare.

    Raises `Failed` where a session does not open.
    """
    order = random.Random(plan.seed)  # noqa: S311
    folders = {size: place.images(originals, size) for size in {FEW, *plan.sizes}}
    of_machine = machine()
    starts = _starts(plan, folders[FEW], place, order, say)
    cells = [*product(plan.backends, plan.workers)]
    results = {cell: f"{place.url}/results-{cell[0]}-{cell[1]}" for cell in cells}
    runs = []
    with ExitStack() as stack:
        sessions = {cell: stack.enter_context(Session(*cell, place)) for cell in cells}

        def run(cell: tuple[str, int], size: int) -> dict[str, Any]:
            job = {"input": folders[size], "output": results[cell], "pca": plan.pca, "components": min(plan.components, size)}
            return sessions[cell].run(fresh=True, **job)

        for cell in cells:
            run(cell, min(plan.sizes))
        sized = [(cell, size) for cell in cells for size in plan.sizes_of(cell[1])]
        todo = in_rounds(sized, plan.repeats, order)
        for number, ((cell, size), repeat) in enumerate(todo):
            answer = run(cell, size)
            runs.append({"backend": cell[0], "workers": cell[1], "asked": size, "repeat": repeat, "order": number, **answer})
            say(f"{number + 1}/{len(todo)} {cell[0]}, {size} images, {cell[1]} workers: {answer.get('failed') or _told(answer)}")
        most = {name: sessions[name, max(plan.workers)] for name in plan.backends}
        isolated = _isolated(plan, most, folders[max(plan.sizes)], f"{place.url}/results-isolated", order, say)
        largest = {name: results[name, max(plan.workers)] for name in plan.backends}
        # The last run in a folder may have been of another size.
        last = [run((name, max(plan.workers)), max(plan.sizes)) for name in plan.backends]
        found = parity(largest) if len(largest) > 1 and not any("failed" in answer for answer in last) else None
    return {
        "schema_version": VERSIONS["study"],
        "kind": "study",
        "plan": {**vars(plan), "originals": len(originals), "warm_up": min(plan.sizes), "cluster": place.cluster},
        "machine": of_machine,
        "starts": starts,
        "runs": runs,
        "isolated": isolated,
        "parity": found,
    }


def in_rounds(items: Sequence[Item], repeats: int, order: random.Random) -> list[tuple[Item, int]]:
    """Each item once a round, with the number of the round, and in random order within it.

    What the machine does meanwhile then hits all items alike.
    """
    return [(item, repeat) for repeat in range(repeats) for item in order.sample(items, len(items))]


def _told(answer: dict[str, Any]) -> str:
    return f"{answer['seconds']:.1f} s"


def _starts(plan: Plan, folder: str, place: Place, order: random.Random, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Seconds of a process that are in none of its stages but the start: Python, the engine, and their end."""
    found = []
    workers = max(plan.workers)
    for backend, repeat in in_rounds(plan.backends, plan.repeats + 1, order):
        options = ["--features-only", "--fresh", "--workers", str(workers), *place.options]
        done = fruits(backend, folder, f"{place.url}/results-start", *options)
        work = sum(stage["seconds"] for stage in done.report["stages"] if stage["name"] != "start")
        if repeat:  # the first warms the disk
            found.append({"backend": backend, "workers": workers, "repeat": repeat - 1, "seconds": done.seconds - work})
            say(f"start of {backend}: {done.seconds - work:.1f} s")
    return found


def _isolated(
    plan: Plan, sessions: Mapping[str, Session], images: str, results: str, order: random.Random, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Seconds of the features stage at the largest size by engines that leave out a part of it."""
    found = []
    todo = in_rounds([*product(plan.backends, ISOLATING)], plan.repeats, order)
    for (backend, engine), repeat in todo:
        job = {"input": images, "output": f"{results}-{backend}", "engine": engine, "fresh": True}
        answer = sessions[backend].featurize(**job)
        found.append({"backend": backend, "workers": max(plan.workers), "engine": engine, "repeat": repeat, **answer})
        say(f"{backend} with the engine {engine}: {answer.get('failed') or _told(answer)}")
    return found


def parity(results: dict[str, str]) -> dict[str, Any]:
    """How far the backends' results are apart, at most, over all pairs with the first: features, explained variance, pca_features, rows."""
    first, *others = [Folder(normalized(url)) for url in results.values()]
    rows = [_compared(first, other) for other in others]
    return {
        "images": rows[0]["images"],
        "backends": [*results],
        **{what: max(row[what] for row in rows) for what in ("features", "explained_variance", "pca_features")},
        **{what: all(row[what] for row in rows) for what in ("same_images", "same_rejects")},
    }


def _compared(one: Folder, other: Folder) -> dict[str, Any]:
    tables = [{name: _vectors(results, name) for name in ("features", "pca")} for results in (one, other)]
    same = [table["features"][0] for table in tables]
    shares = [Projection.from_npz(results.read("projection.npz"), results.url).explained for results in (one, other)]
    rejects = [schemas.read(results, "rejected.parquet").select(["path", "reason"]).sort_by("path") for results in (one, other)]
    same_images = same[0] == same[1]
    return {
        "images": len(same[0]),
        "same_images": same_images,
        "same_rejects": rejects[0].equals(rejects[1]),
        "features": _apart([table["features"][1] for table in tables]) if same_images else None,
        "explained_variance": _apart(shares),
        "pca_features": _apart([table["pca"][1] for table in tables]) if same_images else None,
    }


def _vectors(results: Folder, part: str) -> tuple[list[str], "np.ndarray"]:
    """Paths in order, and their vectors [n, k]."""
    table = pa.concat_tables([schemas.read(results, name) for name in results.names(part)]).sort_by("path")
    return table["path"].to_pylist(), schemas.matrix(table.column(table.column_names[-1]))


def _apart(of: Sequence["np.ndarray"]) -> float:
    return float(np.abs(of[0].astype(np.float64) - of[1]).max())
