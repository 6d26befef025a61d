"""Reading the features back, for the engines' PCA."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fruits import schemas
from fruits.storage import Folder

if TYPE_CHECKING:
    import numpy.typing as npt


def read_features(urls: Sequence[str]) -> "npt.NDArray[np.float64]":
    """The features in these files, [rows of all, 1280], in float64: a covariance needs more digits than its data."""
    blocks = []
    for url in urls:
        folder, name = url.rsplit("/", 1)
        blocks.append(schemas.matrix(schemas.read(Folder(folder), name)["features"]))
    return np.concatenate(blocks).astype(np.float64)


def grouped(files: Sequence[tuple[str, int]], least: int) -> Iterator[tuple[tuple[str, int], ...]]:
    """The files (name and rows of each) one after another, in groups of at least so many rows; the last has what is left."""
    group: list[tuple[str, int]] = []
    for file in files:
        group.append(file)
        if sum(rows for _, rows in group) >= least:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)
