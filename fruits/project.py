"""What a worker does with a file of features once the projection is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fruits import schemas
from fruits.pca import Projection
from fruits.storage import Folder, StoredFile

PCA_FOLDER = "pca"


@dataclass(frozen=True)
class ProjectTask:
    """`projection`: name of the projection's file in the output folder; `tag`: what tells its results from another's."""

    output: str
    projection: str
    tag: str
    uncentred: bool
    provenance: Mapping[str, Any]


def project_chunk(task: ProjectTask, features: StoredFile) -> StoredFile:
    """Writes the pca_features of one file of features; returns the new file."""
    output = Folder(task.output)
    rows = schemas.read(output, features.name)
    projected = _projection(task.output, task.projection).apply(schemas.matrix(rows["features"]), task.uncentred)
    chunk = features.name.rpartition("/")[2].removesuffix(".parquet")
    columns = (rows["path"], rows["label"], schemas.vectors(projected))
    return schemas.write(output, f"{PCA_FOLDER}/{chunk}-{task.tag}.parquet", schemas.PCA, columns, task.provenance)


@cache
def _projection(output: str, name: str) -> Projection:
    """Read once a process: the name holds the content's digest."""
    return Projection.from_npz(Folder(output).read(name), name)
