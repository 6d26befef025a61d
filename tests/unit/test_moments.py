"""The PCA by moments over more groups of files than are merged at a time, which no sample is large enough for."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruits import moments
from fruits.backend import Settings
from inprocess import InProcessBackend

ROWS, FILES = 4096, 20


def written(folder: Path, rows: np.ndarray, name: str) -> Path:
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False))
    offsets = np.arange(0, rows.size + 1, 1280, dtype=np.int32)
    columns = pa.ListArray.from_arrays(offsets, rows.reshape(-1), type=kind)
    pq.write_table(pa.table({"features": columns}), folder / name)
    return folder / name


@pytest.mark.parametrize("standardize", [False, True])
def test_many_files(tmp_path: Path, standardize: bool) -> None:
    """Two files of different distributions, each under many names: the covariance has a closed form in those of the two."""
    (tmp_path / "features").mkdir()
    random = np.random.default_rng(5)
    shape = random.normal(size=(1280, 1280)) / 36
    parts = [(random.normal(size=(ROWS, 1280)) @ shape + shift).astype(np.float32) for shift in (1000.0, 1003.0)]
    originals = [written(tmp_path, part, f"{number}.parquet") for number, part in enumerate(parts)]
    names = [f"features/{number:02}.parquet" for number in range(FILES)]
    for number, name in enumerate(names):
        os.link(originals[number % 2], tmp_path / name)

    both = np.concatenate(parts).astype(np.float64)
    mean, n = both.mean(axis=0), ROWS * FILES
    covariance = (both - mean).T @ (both - mean) * (FILES / 2) / (n - 1)
    scale = 1 / np.sqrt(np.diag(covariance)) if standardize else np.ones(1280)
    variances, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))

    backend, told = InProcessBackend(Settings()), [0]
    with backend:
        axes = moments.fit(
            backend, str(tmp_path), [(name, ROWS) for name in names], 30, standardize, lambda done, _: told.append(done), print
        )
    assert sum(told) == n
    assert len(list(tmp_path.glob("_fruits/moments/*"))) == FILES + 2  # a group a file, then 16 and 4 of them
    assert np.allclose(axes.mean, mean, rtol=1e-12)
    assert np.allclose(axes.scale, scale, rtol=1e-9)
    assert np.allclose(axes.explained, variances[::-1][:30] / variances.sum(), rtol=1e-9)
    assert np.abs((axes.components * vectors.T[::-1][:30]).sum(axis=1)).min() > 1 - 1e-6
