"""The files of a result that a person opens: results.csv and rejected.parquet."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from fruits import schemas
from fruits.results import CSV, REJECTED
from fruits.storage import Folder, StoredFile

# What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection): at the beginning, and after a semicolon, at which the
# spreadsheets of some languages cut a line.
_FORMULA = r"(^|;)([=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}])"


def harmless(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """Names of files and folders as results.csv has them: an apostrophe before what a spreadsheet would run."""
    return pc.replace_substring_regex(names, _FORMULA, r"\1'\2")


def csv_schema(k: int) -> pa.Schema:
    columns = [pa.field("path", pa.string()), pa.field("label", pa.string())]
    return pa.schema(columns + [pa.field(f"pca_feature_{i}", pa.float32()) for i in range(1, k + 1)])


def write_csv(folder: Folder, pca: Iterable[StoredFile], k: int) -> StoredFile:
    """One row an image, one column a component; floats with as many digits as it takes to read the same float32 back."""
    schema = csv_schema(k)
    with folder.create(CSV) as file:
        with pyarrow.csv.CSVWriter(file, schema, write_options=pyarrow.csv.WriteOptions(quoting_style="needed")) as writer:
            for part in pca:
                rows = schemas.read(folder, part.name)
                components = np.ascontiguousarray(schemas.matrix(rows["pca_features"]).T)
                columns = [harmless(rows["path"]), harmless(rows["label"]), *(pa.array(component) for component in components)]
                writer.write_table(pa.table(columns, schema=schema))
    return file.stored


def write_rejected(folder: Folder, rejects: Iterable[StoredFile]) -> StoredFile:
    """All rejected images in one file, which is there, with no row, when there are none."""
    with folder.create(REJECTED) as file, pq.ParquetWriter(file, schemas.REJECTED) as writer:
        for part in rejects:
            writer.write_table(schemas.read(folder, part.name).replace_schema_metadata())
    return file.stored
