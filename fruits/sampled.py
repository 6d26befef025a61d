"""The pca_features of a result, or of a sample of them that fits a page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fruits import schemas
from fruits.completed import read_pca
from fruits.project import PCA_FOLDER
from fruits.report import RunReport
from fruits.storage import Folder, StoredFile

if TYPE_CHECKING:
    import numpy.typing as npt

SEED = 0
MOST_BYTES = 500_000_000  # to be read: of more, files that are evenly spaced over the results


@dataclass(frozen=True)
class Sampled:
    """Rows in the order of the results. `vectors` [n, k]; `of`: images in all; `read`: so many of `files` files were read."""

    paths: list[str]
    labels: list[str]
    vectors: "npt.NDArray[np.float32]"
    of: int
    read: int
    files: int

    def __len__(self) -> int:
        return len(self.paths)


def sampled(folder: Folder, report: RunReport, most: int) -> Sampled:
    """All rows of pca_features, or at most so many: of each file that is read an equal share of its rows, drawn with `SEED`.

    Files hold rows in the order of their paths, so that every label has its share, as far as its files are read. Raises `BadArgument` for a
    file that is missing or damaged.
    """
    files, total = list(report.files_in(PCA_FOLDER)), report.images.featurized
    chosen = files if total <= most else _spaced(files)
    share = min(1.0, most / total * sum(file.bytes for file in files) / max(1, sum(file.bytes for file in chosen)))
    random, seen, taken, parts = np.random.default_rng(SEED), 0, 0, []
    for file in chosen:
        rows, _ = read_pca(folder, file.name, len(report.explained_variance))
        seen += rows.num_rows
        count = min(int(seen * share) if share < 1 else seen, most) - taken
        if count < rows.num_rows:
            rows = rows.take(pa.array(np.sort(random.choice(rows.num_rows, count, replace=False))))
        taken += count
        parts.append(rows.replace_schema_metadata())
    table = pa.concat_tables(parts)
    return Sampled(
        table["path"].to_pylist(), table["label"].to_pylist(), schemas.matrix(table["pca_features"]), total, len(chosen), len(files)
    )


def _spaced(files: list[StoredFile]) -> list[StoredFile]:
    size = sum(file.bytes for file in files)
    count = len(files) if size <= MOST_BYTES else max(1, len(files) * MOST_BYTES // size)
    return [files[number * len(files) // count] for number in range(count)]
