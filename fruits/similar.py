"""The images of a results folder that are nearest to one, which may come from anywhere."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from fruits.completed import Completed
from fruits.decode import Rejected
from fruits.errors import BadArgument
from fruits.neighbours import NONE, nearest
from fruits.query import Photos, network_of
from fruits.storage import normalized

if TYPE_CHECKING:
    from fruits.model import Pixels


@dataclass(frozen=True)
class Neighbour:
    """`distance`: Euclidean, between pca_features."""

    distance: float
    label: str
    path: str


@dataclass(frozen=True)
class Similar:
    """The nearest first. `itself`: the row of the image where it is one of the results; it is not among the neighbours, and its distance
    is 0 unless the file has changed since. `compared`: images, without itself."""

    results: str
    image: str
    itself: Neighbour | None
    neighbours: list[Neighbour]
    compared: int


def similar(results: str, image: str, count: int) -> tuple[Similar, "Pixels", Photos]:
    """The `count` nearest to the image at a path or URL, its pixels, and what reads the others' as it read these.

    The rows are read file by file, and no more than the nearest are kept. Raises `BadArgument` for an image that a run would reject, with
    the reason, and as `Completed.at` and `network_of` do.
    """
    completed = Completed.at(results)
    infer, photos, image = network_of(completed.report), Photos(completed.report), normalized(image)
    try:
        pixels = photos.pixels(image)
    except Rejected as rejected:
        raise BadArgument(
            f"{image}: {rejected.reason}: {rejected.detail}", "give another image; a run would reject this one too"
        ) from rejected
    query = completed.projection.apply(infer(pixels[None]), completed.uncentred)
    itself, found, compared = None, list[Neighbour](), 0
    for rows, vectors in completed.blocks():
        same = pc.index(rows["path"], image).as_py()
        if same >= 0:
            itself = Neighbour(float(np.linalg.norm(vectors[same].astype(np.float64) - query[0])), rows["label"][same].as_py(), image)
        near = nearest(query, vectors, count, (np.array([same]), np.arange(len(vectors))))
        kept = [(row, distance) for row, distance in zip(near.indices[0].tolist(), near.distances[0].tolist(), strict=True) if row != NONE]
        found += [Neighbour(distance, rows["label"][row].as_py(), rows["path"][row].as_py()) for row, distance in kept]
        found = sorted(found, key=lambda neighbour: neighbour.distance)[:count]  # stable: of those equally far the first comes first
        compared += len(vectors) - (same >= 0)
    return Similar(completed.folder.url, image, itself, found, compared), pixels, photos
