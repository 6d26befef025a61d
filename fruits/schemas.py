"""The Parquet files of a results folder: their schemas, and how vectors become columns."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fruits.storage import Folder, StoredFile

if TYPE_CHECKING:
    import numpy.typing as npt

VECTOR = pa.list_(pa.field("element", pa.float32(), nullable=False))
TEXT = pa.string()
PROVENANCE = b"fruits"  # the key of the Parquet metadata that says how the vectors were made


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


FEATURES = _schema(path=TEXT, label=TEXT, features=VECTOR)
PCA = _schema(path=TEXT, label=TEXT, pca_features=VECTOR)
REJECTED = _schema(path=TEXT, label=TEXT, reason=TEXT, detail=TEXT)


def vectors(rows: "npt.NDArray[np.float32]") -> pa.Array:
    """[n, width] as a column of n lists, without a copy."""
    n, width = rows.shape
    offsets = pa.array(np.arange(0, n * width + 1, width, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(rows.reshape(-1)), type=VECTOR)


def matrix(column: pa.ChunkedArray) -> "npt.NDArray[np.float32]":
    """A column of n lists of one length as [n, width]; raises `ValueError` where the lengths differ."""
    lists = column.combine_chunks()
    values: npt.NDArray[np.float32] = lists.flatten().to_numpy(zero_copy_only=False)
    lengths = np.unique(lists.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise ValueError(f"vectors of {lengths.min()} to {lengths.max()} numbers in one column")
    return values.reshape(len(column), -1)


def write(folder: Folder, name: str, schema: pa.Schema, columns: Sequence[Any], provenance: Mapping[str, Any]) -> StoredFile:
    """Writes one Parquet file; the same rows give the same bytes."""
    metadata = {PROVENANCE: json.dumps(provenance, sort_keys=True)}
    table = pa.table(list(columns), schema=schema.with_metadata(metadata))
    buffer = pa.BufferOutputStream()
    # Floats neither repeat nor compress: with pyarrow's defaults a row costs six times as much to write, and saves 0.3 % of the bytes.
    pq.write_table(table, buffer, compression="none", use_dictionary=["label"])
    return folder.write(name, buffer.getvalue())


def read(folder: Folder, name: str) -> pa.Table:
    with folder.open_arrow(name) as file:
        return pq.ParquetFile(file).read(use_threads=False)  # a worker has one core
