"""The results of a run that was completed, for what looks at them: report, projection, and the rows of pca_features in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from fruits import schemas
from fruits.ahead import ahead
from fruits.errors import BadArgument
from fruits.listing import Entry
from fruits.pca import Projection
from fruits.project import PCA_FOLDER
from fruits.report import RunReport, read_report
from fruits.results import PROJECTION
from fruits.storage import Folder, normalized

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Block = tuple[pa.Table, npt.NDArray[np.float32]]

MEND = "`python -m fruits validate` names all that is missing; the same run as before makes it again"


@dataclass(frozen=True)
class Completed:
    folder: Folder
    report: RunReport
    projection: Projection

    @staticmethod
    def at(results: str) -> "Completed":
        """Raises `BadArgument` where there is no report, no PCA, or no projection that can be read."""
        folder = Folder(normalized(results))
        report = read_report(folder.url)
        if report.job["features_only"]:
            raise BadArgument(
                f"{folder.url} holds features only: its run was told to compute no PCA",
                "run the same command without --features-only: the features are reused",
            )
        try:
            data = folder.read(PROJECTION)
        except OSError as fault:
            raise BadArgument(f"{folder.path(PROJECTION)} cannot be read: {fault.strerror or fault}", MEND) from fault
        return Completed(folder, report, Projection.from_npz(data, folder.path(PROJECTION)))

    @property
    def uncentred(self) -> bool:
        return bool(self.report.job["uncentred"])

    def blocks(self) -> "Iterator[Block]":
        """Tables of `schemas.PCA` and their pca_features [n, k], a file at a time, in the report's order.

        Raises `BadArgument` for a file that is missing or damaged.
        """
        files = [(file.name, file.bytes, "", "") for file in self.report.files_in(PCA_FOLDER)]
        if self.folder.local:
            yield from map(self._block, files)
        else:
            for waiting in ahead(self._block, files):
                yield waiting()

    def _block(self, file: Entry) -> "Block":
        return read_pca(self.folder, file[0], len(self.projection.explained))


def read_pca(folder: Folder, name: str, k: int) -> "Block":
    """A file of pca_features of so many components; raises `BadArgument` where it is missing or damaged."""
    try:
        rows = schemas.read(folder, name)
        if not rows.schema.equals(schemas.PCA):
            raise ValueError("it has other columns than pca_features have")
        vectors = schemas.matrix(rows["pca_features"])
        if vectors.shape[1] != k:
            raise ValueError(f"vectors of {vectors.shape[1]} numbers, the projection makes {k}")
    except (OSError, ValueError) as fault:  # pyarrow's own are ValueErrors
        raise BadArgument(f"{folder.path(name)} cannot be used: {fault}", MEND) from fault
    return rows, vectors
