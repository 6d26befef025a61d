"""Which label an image has: the nearest label centroid, measured by how images spread within labels, and how sure that is.

Linear discriminant analysis with one covariance for all labels (Fisher 1936; Hastie, Tibshirani and Friedman, The Elements of Statistical
Learning, 4.3, without priors): S is the covariance within labels, made less extreme by `SHRINKAGE` of its mean variance, and

    d2(x, label) = (x - centroid)' S^-1 (x - centroid)
    confidence(label) = exp(-d2 / 2T) / (sum over labels of exp(-d2 / 2T) + exp(-limit / 2T))

T and limit are found on images that were held out, with all frames of their series where names tell series (`quality.series`). T is the
temperature of Guo et al. 2017 (arXiv:1706.04599), that makes the truth most likely. The last term stands for none of the labels: 95 % of
the images that were held out are nearer to a label than `limit`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fruits.completed import Completed
from fruits.errors import BadArgument
from fruits.quality import series
from fruits.sampled import sampled

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

# Both measured by `python -m benchmarks identify`: docs/looking.md.
SHRINKAGE = 0.3
NEARER = 0.95
SAMPLE = 20_000  # images that the held-out ones are taken from
_FOLDS = 3
_NEAR = 64  # labels: what is further has no part in a confidence
_DISTANCES = 4_000_000  # at a time, 8 bytes each
_TEMPERATURES = np.geomspace(1e-3, 10.0, 200)  # as a share of the median distance of an image to its nearest label


@dataclass(frozen=True)
class HeldOut:
    """What became of the images that were held out, for the docs and for the user: `confidence` of the label that was named, and whether
    it was `right`. `by_series`: held out with their whole series; else image by image, which near-duplicates flatter."""

    confidence: "Floats"
    right: "npt.NDArray[np.bool_]"
    by_series: bool

    def named(self, threshold: float) -> tuple[float, float | None]:
        """The share of images with at least that confidence, and the share of these that is right; None where there are none."""
        chosen = self.confidence >= threshold
        return float(chosen.mean()), float(self.right[chosen].mean()) if chosen.any() else None

    @property
    def accuracy(self) -> float:
        """The share of images whose nearest label is right, whatever the confidence."""
        return float(self.right.mean())


@dataclass(frozen=True)
class Identifier:
    """`origin` [k] of pca_features; `whitening` [k, k], after which S is the identity; `centroids` [labels, k], whitened."""

    labels: list[str]
    origin: "Floats"
    whitening: "Floats"
    centroids: "Floats"
    temperature: float
    limit: float
    held_out: HeldOut

    def confidences(self, pca_features: "npt.NDArray[np.floating]") -> "Floats":
        """[n, k] to [n, labels]: each from 0 to 1, in all of an image at most 1."""
        return _confidences(_squares((pca_features - self.origin) @ self.whitening, self.centroids), self.temperature, self.limit)


def identifier(results: Completed) -> Identifier:
    """From all rows of the results. Raises `BadArgument` where they cannot tell labels apart: one label, or no label with two images."""
    origin = results.projection.offset if results.uncentred else np.zeros(len(results.projection.explained))
    names, counts, sums, squares = _summed(results, origin)
    if len(names) < 2:
        raise BadArgument(
            f"{results.folder.url} has one label alone, {names[0]!r}: there is nothing to tell apart",
            "run on a folder with a folder of images for each label",
        )
    centroids = sums / counts[:, None]
    whitening = _whitening(squares - (centroids.T * counts) @ centroids, int(counts.sum()) - len(names))
    sample = sampled(results.folder, results.report, SAMPLE)
    order = {name: row for row, name in enumerate(names)}
    own = np.array([order[label] for label in sample.labels])
    groups, named = series(sample.paths, sample.labels)
    folds = _folds(own, groups)
    by_series = named and bool((folds >= 0).any())
    if not by_series:
        folds = _folds(own, np.arange(len(own)))
    if whitening is None or (folds < 0).all():
        raise BadArgument(
            f"{results.folder.url} does not show how images of one label differ: too few labels have two different ones",
            "give more images of a label; `python -m fruits similar` needs no more",
        )
    near, right = _held_out(sample.vectors - origin, own, folds, whitening)
    temperature, limit = _calibrated(near)
    confidence = _confidences(near[:, :-1], temperature, limit).max(axis=1)
    return Identifier(names, origin, whitening, centroids @ whitening, temperature, limit, HeldOut(confidence, right, by_series))


def _summed(results: Completed, origin: "Floats") -> tuple[list[str], "Integers", "Floats", "Floats"]:
    """Labels, sorted, with the number and the sum of their images, and X'X of all, from the origin."""
    order: dict[str, int] = {}
    counts: list[int] = []
    sums: list[Floats] = []
    squares = np.zeros((len(origin), len(origin)))
    for rows, vectors in results.blocks():
        x = vectors - origin
        squares += x.T @ x
        labels = np.asarray(rows["label"].to_pylist(), object)
        for label in dict.fromkeys(labels):
            mine = x[labels == label]
            at = order.setdefault(label, len(order))
            if at == len(counts):
                counts.append(0)
                sums.append(np.zeros(len(origin)))
            counts[at] += len(mine)
            sums[at] += mine.sum(axis=0)
    names = sorted(order)
    by_name = [order[name] for name in names]
    return names, np.array(counts)[by_name], np.array(sums)[by_name], squares


def _whitening(scatter: "Floats", freedom: int) -> "Floats | None":
    """W with W W' = S^-1, S from the scatter within labels and its degrees of freedom; None where nothing varies."""
    if freedom < 1 or np.trace(scatter) <= 0:
        return None
    covariance = scatter / freedom
    mean = np.trace(covariance) / len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * mean * np.eye(len(covariance))
    whitening: Floats = np.linalg.inv(np.linalg.cholesky(shrunk)).T
    return whitening


def _folds(own: "Integers", groups: "Integers") -> "Integers":
    """In which fold each image is held out: a group as a whole, and never all groups of a label; -1 where its label has no other group."""
    distinct, first, of = np.unique(groups, return_index=True, return_inverse=True)
    label = own[first]
    order = np.argsort(label, kind="stable")
    place = np.empty(len(distinct), np.int64)
    place[order] = np.arange(len(distinct)) - np.searchsorted(label[order], label[order])  # of a group among those of its label
    folds: Integers = np.where(np.bincount(label)[label] > 1, place % _FOLDS, -1)[of]
    return folds


def _held_out(x: "Floats", own: "Integers", folds: "Integers", whitening: "Floats") -> tuple["Floats", "npt.NDArray[np.bool_]"]:
    """Of each image that is held out the squared distances to the nearest labels and, last, to its own, as the other images have them; and
    whether its own was the nearest. `whitening`: for where too few others are left to have one."""
    present, at = np.unique(own, return_inverse=True)
    kept, step = min(_NEAR, len(present)), max(1, _DISTANCES // len(present))
    near, right = [np.empty((0, kept + 1))], [np.empty(0, bool)]
    for fold in range(_FOLDS):
        others = folds != fold
        counts = np.bincount(at[others])
        sums = np.zeros((len(present), x.shape[1]))
        np.add.at(sums, at[others], x[others])
        centroids = sums / counts[:, None]
        within = x[others] - centroids[at[others]]
        white = _whitening(within.T @ within, len(within) - len(present))
        white = whitening if white is None else white
        held = np.flatnonzero(~others)
        for start in range(0, len(held), step):
            rows = held[start : start + step]
            squares = _squares(x[rows] @ white, centroids @ white)
            right.append(squares.argmin(axis=1) == at[rows])
            near.append(np.column_stack([np.partition(squares, kept - 1, axis=1)[:, :kept], squares[np.arange(len(rows)), at[rows]]]))
    return np.concatenate(near), np.concatenate(right)


def _calibrated(near: "Floats") -> tuple[float, float]:
    """Temperature and limit, from what `_held_out` found."""
    nearest, own = near[:, :-1].min(axis=1), near[:, -1]
    limit = float(np.quantile(nearest, NEARER))
    scale = float(np.median(nearest)) or 1.0  # where images are copies of one another

    def surprise(temperature: float) -> float:
        """The mean of -log(confidence of the truth)."""
        logits = np.column_stack([near[:, :-1], np.full(len(near), limit)]) / (-2 * temperature)
        return float((np.logaddexp.reduce(logits, axis=1) + own / (2 * temperature)).mean())

    return min((scale * share for share in _TEMPERATURES), key=surprise), limit


def _squares(x: "Floats", centroids: "Floats") -> "Floats":
    """[n, labels] squared Euclidean distances of x [n, k] from centroids [labels, k]."""
    squares: Floats = np.square(x).sum(axis=1)[:, None] - 2 * (x @ centroids.T) + np.square(centroids).sum(axis=1)
    return np.maximum(squares, 0.0)


def _confidences(squares: "Floats", temperature: float, limit: float) -> "Floats":
    logits = np.column_stack([squares, np.full(len(squares), limit)]) / (-2 * temperature)
    likelihoods = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidences: Floats = (likelihoods / likelihoods.sum(axis=1, keepdims=True))[:, :-1]
    return confidences
