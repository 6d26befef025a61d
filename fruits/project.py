"""What a worker does with a file of features once the projection is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fruits import schemas
from fruits.pca import Projection, Spread
from fruits.storage import Folder, StoredFile

PCA_FOLDER = "pca"


@dataclass(frozen=True)
class ProjectTask:
    """`projection`: name of the projection's file in the output folder; `tag`: what tells its results from another's. `measured`: whether
    to find out how well the projection fits.
    """

    output: str
    projection: str
    tag: str
    uncentred: bool
    provenance: Mapping[str, Any]
    measured: bool = False


@dataclass(frozen=True)
class Projected:
    """What came of a file of features. `spread`: None unless measured."""

    stored: StoredFile
    spread: Spread | None


def project_chunk(task: ProjectTask, features: StoredFile) -> Projected:
    """Writes the pca_features of one file of features."""
    output = Folder(task.output)
    rows = schemas.read(output, features.name)
    projection, vectors = _projection(task.output, task.projection), schemas.matrix(rows["features"])
    chunk = features.name.rpartition("/")[2].removesuffix(".parquet")
    columns = (rows["path"], rows["label"], schemas.vectors(projection.apply(vectors, task.uncentred)))
    stored = schemas.write(output, f"{PCA_FOLDER}/{chunk}-{task.tag}.parquet", schemas.PCA, columns, task.provenance)
    return Projected(stored, projection.spread(vectors) if task.measured else None)


@cache
def _projection(output: str, name: str) -> Projection:
    """Read once a process: the name holds the content's digest."""
    return Projection.from_npz(Folder(output).read(name), name)
