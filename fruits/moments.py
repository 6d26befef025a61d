"""The PCA by moments: one pass over the features that were written, on the workers, and an eigendecomposition on the driver.

Count, mean and centred products of the features are summed file by file, then in groups, in an order that only the files decide: any
number of workers, and either engine, give the same bits. Linear in the images, with a few tens of MB a worker however many there are.

The merging of two parts is that of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
(1979), eq. 2.1, for products in place of squares. It does not subtract large sums from one another, as sums of x x' would.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from fruits import schemas
from fruits.backend import Backend
from fruits.failures import completed
from fruits.features import grouped
from fruits.model import FEATURES
from fruits.pca import FittedAxes, unit_scale
from fruits.storage import WORK, Folder

if TYPE_CHECKING:
    import numpy.typing as npt

    from fruits.observer import Advance
    from fruits.pca import Vector

MOMENTS = f"{WORK}/moments"
BLOCK_ROWS = 2048  # in float64 at a time: 21 MB
# A group's moments are 13 MB, its features 5 kB a row: with fewer rows more would be written than is read, with more a worker waits long.
MIN_ROWS, MAX_ROWS = 4096, 65_536
MOST_GROUPS = 64  # until groups have MAX_ROWS
MERGED_AT_A_TIME = 16


@dataclass(frozen=True)
class Moments:
    """Of `rows` vectors the `mean` [1280] and the sum of (x - mean)(x - mean)' [1280, 1280], in float64."""

    rows: int
    mean: "Vector"
    products: "Vector"

    @staticmethod
    def of(features: "npt.NDArray[np.float32]") -> "Moments":
        """Of features [n, 1280], n above 0."""
        block = features.astype(np.float64)
        mean = block.mean(axis=0)
        block -= mean
        return Moments(len(block), mean, block.T @ block)

    def __add__(self, other: "Moments") -> "Moments":
        rows = self.rows + other.rows
        apart = other.mean - self.mean
        products = self.products + other.products
        products += np.outer(apart, apart * (self.rows * other.rows / rows))
        return Moments(rows, self.mean + apart * (other.rows / rows), products)

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, np.vstack([np.full(FEATURES, self.rows, np.float64), self.mean, self.products]))
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "Moments":
        stored = np.load(io.BytesIO(data), allow_pickle=False)
        return Moments(int(stored[0, 0]), stored[1], stored[2:])

    def axes(self, k: int, standardize: bool) -> FittedAxes:
        """The first k principal axes."""
        scale = np.ones(len(self.mean))
        if standardize:
            scale = unit_scale(self.mean, np.sqrt(np.diag(self.products) / (self.rows - 1)))
        scaled = self.products * np.outer(scale, scale)
        variances, vectors = np.linalg.eigh(scaled)
        # Where there are fewer images than features some are 0, but for roundings to either side.
        largest = np.maximum(variances[::-1][:k], 0.0)
        # Images that are all alike vary along nothing.
        explained = largest / total if (total := np.trace(scaled)) > 0 else np.zeros(len(largest))
        return FittedAxes(self.mean, scale, np.ascontiguousarray(vectors.T[::-1][:k]), explained)


def fit(
    backend: Backend,
    output: str,
    features: Sequence[tuple[str, int]],
    k: int,
    standardize: bool,
    advance: "Advance",
    note: Callable[[str], None],
) -> FittedAxes:
    """The first k principal axes of the features in these files of the folder `output` (name and rows of each).

    Raises `RunFailed` where some could not be read. `advance` is told of the images, `note` of what took more than one attempt.
    """
    rows = dict(features)
    enough = min(max(sum(rows.values()) // MOST_GROUPS, MIN_ROWS), MAX_ROWS)
    groups = [tuple(name for name, _ in group) for group in grouped(features, enough)]
    written: dict[tuple[str, ...], str] = {}
    for group, name in completed(backend, partial(sum_features, output), groups, lambda group: group[0], note):
        written[group] = name
        advance(sum(rows[file] for file in group), 0)
    level = [written[group] for group in groups]
    while len(level) > MERGED_AT_A_TIME:
        groups = [tuple(level[i : i + MERGED_AT_A_TIME]) for i in range(0, len(level), MERGED_AT_A_TIME)]
        written = dict(completed(backend, partial(sum_moments, output), groups, lambda group: group[0], note))
        level = [written[group] for group in groups]
    return _merged(Folder(output), level).axes(k, standardize)


def sum_features(output: str, names: Sequence[str]) -> str:
    """Writes the moments of some files of features; returns under which name."""
    with threadpool_limits(1, "blas"):  # a worker has one core, and the number of threads decides the roundings
        return _write(output, names, reduce(Moments.__add__, _blocks(Folder(output), names)))


def sum_moments(output: str, names: Sequence[str]) -> str:
    """Writes the sum of some files of moments; returns under which name."""
    return _write(output, names, _merged(Folder(output), names))


def _merged(folder: Folder, names: Sequence[str]) -> Moments:
    return reduce(Moments.__add__, (Moments.from_bytes(folder.read(name)) for name in names))


def _blocks(folder: Folder, names: Sequence[str]) -> Iterator[Moments]:
    for name in names:
        rows = schemas.matrix(schemas.read(folder, name)["features"])
        for start in range(0, len(rows), BLOCK_ROWS):
            yield Moments.of(rows[start : start + BLOCK_ROWS])


def _write(output: str, names: Sequence[str], moments: Moments) -> str:
    """Under a name made from what is summed: who does it again, and a worker that was given up, writes the same."""
    name = hashlib.sha256("\n".join(names).encode()).hexdigest()[:20]
    return Folder(output).write(f"{MOMENTS}/{name}.npy", moments.to_bytes()).name
