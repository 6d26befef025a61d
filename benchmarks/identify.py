"""How well `python -m fruits identify` names photos of series that the results do not have, and of labels that they do not have.

The photos are Fruits-360's Test or like it: a folder of images for each label, whose names tell
the series of frames (`quality.series`).
Three times one series of each label that has several is held out, and the product is run on the others; once with all labels, once
without a third of them. The photos that were left out are projected with that run's projection. Beside `fruits.identifier` stand
scikit-learn's classifiers on the same pca_features.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from benchmarks.machine import machine
from benchmarks.product import fruits
from fruits.completed import Completed
from fruits.errors import BadArgument
from fruits.identifier import SHRINKAGE, identifier
from fruits.quality import series

FOLDS = 3
FOREIGN = Path(__file__).parents[1] / "tests/data/awkward"  # photos and drawings of none of the labels
THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
BINS = np.linspace(0, 1, 6)
Floats = npt.NDArray[np.float64]


class Photos(NamedTuple):
    """Of a results folder: labels [n] and pca_features [n, k]."""

    labels: npt.NDArray[np.object_]
    vectors: Floats


def left_out(paths: Sequence[str], labels: npt.NDArray[np.object_], fold: int) -> npt.NDArray[np.bool_]:
    """One series of each label that has several."""
    numbers, _ = series(paths, labels.tolist())
    out = np.zeros(len(paths), bool)
    for label in np.unique(labels):
        own = np.unique(numbers[labels == label])
        if len(own) > 1:
            out |= numbers == own[fold % len(own)]
    return out


def ran(images: Path, chosen: Iterable[str] | None, results: Path, *options: str) -> Photos:
    """A run of the product on these paths, or on all there are."""
    if chosen is not None:
        manifest = results.with_suffix(".txt")
        manifest.write_text("".join(f"{path}\n" for path in chosen))
        options = ("--manifest", str(manifest), *options)
    fruits("dask", images, results, *options)
    rows = [pq.read_table(file, partitioning=None) for file in sorted((results / "pca").glob("*.parquet"))]
    return Photos(
        np.concatenate([np.asarray(one["label"].to_pylist(), object) for one in rows]),
        np.concatenate([np.stack(one["pca_features"].to_numpy()) for one in rows]).astype(float),
    )


class Case(NamedTuple):
    """What became of photos: `known` have labels that the results have, `strange` have not, `foreign` are no fruit at all."""

    known: int
    accuracy: dict[str, float]
    promised: float  # accuracy by the images that `identifier` holds out itself
    confidences: Floats
    right: npt.NDArray[np.bool_]
    strange: Floats
    foreign: Floats


def case(images: Path, paths: Sequence[str], labels: npt.NDArray[np.object_], out: npt.NDArray[np.bool_], unknown: Sequence[str]) -> Case:
    strange = np.isin(labels, unknown)
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch, "known")
        known = ran(images, [p for p, no in zip(paths, out | strange, strict=True) if not no], results)
        projection = ("--projection", str(results / "projection.npz"))
        asked = ran(images, [p for p, yes in zip(paths, out | strange, strict=True) if yes], Path(scratch, "asked"), *projection)
        foreign = ran(FOREIGN, None, Path(scratch, "foreign"), *projection)
        ours = identifier(Completed.at(str(results)))
    others = {
        "nearest centroid": NearestCentroid(),
        "5 nearest neighbours": KNeighborsClassifier(5, algorithm="brute"),
        f"discriminant analysis, shrinkage {SHRINKAGE}": LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage=SHRINKAGE, priors=np.full(len(ours.labels), 1 / len(ours.labels))
        ),
    }
    is_known = ~np.isin(asked.labels, unknown)
    truth, vectors = asked.labels[is_known], asked.vectors[is_known]
    confidences = ours.confidences(vectors)
    right = np.asarray(ours.labels, object)[confidences.argmax(axis=1)] == truth
    accuracy = {"fruits": float(right.mean())}
    for name, classifier in others.items():
        accuracy[name] = float((classifier.fit(known.vectors, known.labels.astype(str)).predict(vectors) == truth.astype(str)).mean())
    surest = [ours.confidences(one).max(axis=1, initial=0.0) for one in (asked.vectors[~is_known], foreign.vectors)]
    return Case(len(truth), accuracy, ours.held_out.accuracy, confidences.max(axis=1), right, *surest)


def figures(cases: Sequence[Case]) -> dict[str, Any]:
    """Over the folds, each photo as often as it was asked: twice in the first of two series, which the third fold asks again."""
    photos = np.array([one.known for one in cases])
    sure, right = np.concatenate([one.confidences for one in cases]), np.concatenate([one.right for one in cases])
    strange, foreign = (np.concatenate([getattr(one, what) for one in cases]) for what in ("strange", "foreign"))
    inside = np.digitize(sure, BINS[1:-1])
    return {
        "photos": int(photos.sum()),
        "accuracy": {name: float(np.average([one.accuracy[name] for one in cases], weights=photos)) for name in cases[0].accuracy},
        "accuracy_by_fold": [one.accuracy["fruits"] for one in cases],
        "promised_by_fold": [one.promised for one in cases],
        "thresholds": {
            str(at): {
                "named": float((sure >= at).mean()),
                "named_right": float(right[sure >= at].mean()),
                "strange_unknown": float((strange < at).mean()) if len(strange) else None,
                "foreign_unknown": float((foreign < at).mean()),
            }
            for at in THRESHOLDS
        },
        "reliability": [
            {
                "confidence": [float(BINS[at]), float(BINS[at + 1])],
                "photos": int((inside == at).sum()),
                "mean": float(sure[inside == at].mean()),
                "right": float(right[inside == at].mean()),
            }
            for at in range(len(BINS) - 1)
            if (inside == at).any()
        ],
        "strange": len(strange),
        "foreign": len(foreign),
    }


def show(title: str, of: Mapping[str, Any], console: Console) -> None:
    console.print(f"\n{title}: {of['photos']} photos; {of['strange']} of labels that were left out, {of['foreign']} foreign ones")
    console.print("nearest label right: " + ", ".join(f"{name} {share:.3f}" for name, share in of["accuracy"].items()))
    table = Table("threshold", "named", "of these right", "unknown, of labels left out", "unknown, foreign", box=None)
    for at, shares in of["thresholds"].items():
        table.add_row(at, *("-" if share is None else f"{share:.3f}" for share in shares.values()))
    console.print(table)
    table = Table("confidence", "photos", "mean", "right", box=None)
    for one in of["reliability"]:
        table.add_row("{:.1f} to {:.1f}".format(*one["confidence"]), str(one["photos"]), f"{one['mean']:.3f}", f"{one['right']:.3f}")
    console.print(table)


def measured(folder: Path, console: Console) -> dict[str, Any]:
    """The figures of both cases, which are shown too.

    Raises `BadArgument` for a folder whose labels and series are too few.
    """
    paths = sorted(str(path) for path in folder.glob("*/*.jpg"))
    labels = np.array([Path(path).parent.name for path in paths], object)
    names = np.unique(labels).tolist()
    if len(names) < FOLDS:  # without a third of them two must be left to tell apart
        raise BadArgument(
            f"{folder} has photos of {len(names)} labels, and {FOLDS} are needed",
            "give a folder with a folder of *.jpg for each label",
        )
    folds = [left_out(paths, labels, fold) for fold in range(FOLDS)]
    if not folds[0].any():
        raise BadArgument(
            f"no label in {folder} has photos of several series, of which one could be held out",
            "give photos named by series, as in Fruits-360: r_0_100.jpg, r2_0_100.jpg",
        )
    if not any(FOREIGN.glob("*.jpg")):
        raise BadArgument(f"there are no photos in {FOREIGN}", "run it from a whole checkout")
    found: dict[str, Any] = {"machine": machine(), "images": len(paths), "labels": len(names)}
    for title, unknown in (("all labels", 0), ("without a third of the labels", FOLDS)):
        cases = []
        for fold, out in enumerate(folds):
            cases.append(case(folder, paths, labels, out, names[fold::FOLDS] if unknown else []))
        found[title] = figures(cases)
        show(title, found[title], console)
    return found
