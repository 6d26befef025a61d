"""Where a second of a worker goes, on each backend: a picture, and its figures as JSON beside it.

What the workers spend inside chunks and outside of them is the runs' own account (`report.json`: seconds of each worker in its chunks, and
of the stage). What an image takes to be read, decoded and inferred is measured by the same core in as many processes at once, and the rest
of the time inside chunks is what a chunk costs: its plan, its Parquet, its marker.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from benchmarks.checks import BACKENDS
from benchmarks.machine import machine
from benchmarks.product import run
from benchmarks.speed import Bench

BATCH = 2
PARTS = {
    "infer": "inference",
    "decode": "decode, resize",
    "read": "read",
    "chunk": "plan, Parquet, marker",
    "engine": "engine: dispatch, waiting, start of workers",
}


def profiled(bench: Bench) -> dict[str, Any]:
    """Milliseconds of a worker for an image, by part, of each backend: medians."""
    count = bench.scale.big
    folder = bench.folder(count)
    found: dict[str, dict[str, list[float]]] = {name: {part: [] for part in PARTS} for name in BACKENDS}
    for _ in range(bench.repeats):
        for name in bench.shuffled(BACKENDS):
            core = run([sys.executable, "-m", "benchmarks.core_parts", folder, str(bench.workers), str(BATCH)]).result
            done = bench.fruits(name, folder, "--features-only")
            inside = sum(worker["seconds"] for worker in done.report["workers"]) / count * 1000
            whole = done.stage("featurize") * bench.workers / count * 1000
            parts = {**core, "chunk": inside - sum(core.values()), "engine": whole - inside}
            for part, milliseconds in parts.items():
                found[name][part].append(milliseconds)
    medians = {name: {part: statistics.median(points) for part, points in parts.items()} for name, parts in found.items()}
    return {"images": count, "workers": bench.workers, "milliseconds": medians, "points": found, "machine": machine()}


def draw(content: dict[str, Any], picture: Path) -> None:
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(9, 2.8), layout="constrained")
    colours = ["#4269d0", "#6cc5b0", "#efb118", "#a463f2", "#9c9c9c"]
    narrow = 0.05 * max(sum(parts.values()) for parts in content["milliseconds"].values())  # too little for its figure
    for row, parts in enumerate(content["milliseconds"].values()):
        left = 0.0
        for (part, title), colour in zip(PARTS.items(), colours, strict=True):
            width = max(parts[part], 0.0)
            axes.barh(row, width, left=left, color=colour, label=title if row == 0 else None)
            if width > narrow:
                axes.text(left + width / 2, row, f"{width:.2f}", ha="center", va="center", color="white", fontsize=9)
            left += width
    axes.set_yticks(range(len(content["milliseconds"])), list(content["milliseconds"]))
    axes.set_xlabel(f"milliseconds of a worker for an image ({content['images']} images, {content['workers']} workers)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    figure.savefig(picture, dpi=150)
