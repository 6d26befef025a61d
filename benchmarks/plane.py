"""The engines far past this machine's cores: workers that sleep as long as an image takes, and do everything else.

A sleeping worker needs no core. Planning, distributing, serialising, Parquet and commits are real, so what an engine loses with more
workers shows, until the machine's own processor is what limits: each point has the share of it that was idle.

A point is two runs, of which one has twice the images: by what more images cost, as all marginal rates here. The first chunks all begin,
and the last all wait, at once: on a few cores that takes seconds which a cluster does not have.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.machine import machine
from benchmarks.place import Place
from benchmarks.product import Failed
from benchmarks.report.results import VERSIONS
from benchmarks.session import Session

CHUNKS = (2, 4)  # for each worker, in the two runs: an even number, see `fruits.dummies`


@dataclass(frozen=True)
class Plan:
    """`workers` ascend. `image_seconds`: that a worker sleeps for an image. Every worker has as many chunks of `chunk_size` images, so that
    every point takes as long. `tasks`: so many that do nothing, in the end."""

    backends: Sequence[str]
    workers: Sequence[int]
    repeats: int
    seed: int
    image_seconds: float
    chunk_size: int
    tasks: int


def measured(plan: Plan, place: Place, say: Callable[[str], None]) -> dict[str, Any]:
    """The content of a result file: `plan`, `machine`, `points` and `tasks`. A session that does not open is a point that says why."""
    order = random.Random(plan.seed)  # noqa: S311
    of_machine = machine()
    cells = [*product(plan.backends, plan.workers)]
    order.shuffle(cells)  # one at a time: sessions of so many workers leave no memory for others
    points: list[dict[str, Any]] = []
    tasks: list[dict[str, Any]] = []
    for backend, workers in cells:
        cell = {"backend": backend, "workers": workers}
        try:
            with Session(backend, workers, place) as session:

                def run(chunks: int, seconds: float) -> dict[str, Any]:
                    return session.featurize(
                        input=place.blank(chunks * workers * plan.chunk_size),  # noqa: B023, called in the loop
                        output=f"{place.url}/results-{backend}",  # noqa: B023
                        engine=f"sleep:{seconds:.5f}",
                        chunk_size=plan.chunk_size,
                        fresh=True,
                    )

                run(1, 0.00001)  # imports what a worker needs
                for repeat in range(plan.repeats):
                    answers = [run(chunks, plan.image_seconds) for chunks in CHUNKS]
                    points.append({**cell, "repeat": repeat, "order": len(points), **_point(*answers)})
                    say(f"{backend}, {workers} workers: {_told(points[-1])}")
                tasks.append({**cell, "tasks": plan.tasks, **session.tasks(plan.tasks)})
        except Failed as failed:
            points.append({**cell, "repeat": 0, "order": len(points), "failed": str(failed)})
            say(f"{backend}, {workers} workers: {failed}")
    return {
        "schema_version": VERSIONS["plane"],
        "kind": "plane",
        "plan": {**vars(plan), "chunks_a_worker": CHUNKS, "cluster": place.cluster},
        "machine": of_machine,
        "points": points,
        "tasks": tasks,
    }


def _point(few: dict[str, Any], many: dict[str, Any]) -> dict[str, Any]:
    """`images` and `seconds` of few and of many, images a second by the difference, and the least share of the processor that was idle."""
    for answer in (few, many):
        if "failed" in answer:
            return {"failed": answer["failed"]}
    images, seconds = [few["images"], many["images"]], [few["seconds"], many["seconds"]]
    rate = (images[1] - images[0]) / (seconds[1] - seconds[0])
    return {"images": images, "seconds": seconds, "rate": rate, "idle": min(few["idle"], many["idle"])}


def _told(point: dict[str, Any]) -> str:
    return str(point["failed"]) if "failed" in point else f"{point['rate']:.0f} images/s, {point['idle']:.0%} of the processor idle"
