"""ml.PCA on a covariance that is singular, of which Spark's own LAPACK returns wrong axes without an error."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pyspark.sql import SparkSession
from sklearn.decomposition import PCA

from backends.spark import SparkBackend
from conftest import SAMPLE
from fruits.backend import Settings

COMPONENTS = 5


def pixels() -> np.ndarray:
    """[335, 1280] whole numbers, the same on every machine, in one of the orders of which the axes come out wrong."""
    photos = [Image.open(path).convert("L").resize((40, 32)) for path in sorted(SAMPLE.glob("*/*.jpg"))]
    vectors = np.stack([np.asarray(photo, np.float32).ravel() for photo in photos])
    return vectors[np.random.default_rng(0).permutation(len(vectors))]


def test_wrong_axes_are_found_and_fitted_again(spark: SparkSession, tmp_path: Path) -> None:
    vectors = pixels()
    pq.write_table(pa.table({"features": vectors.tolist()}, pa.schema({"features": pa.list_(pa.float32())})), tmp_path / "features.parquet")
    with SparkBackend(Settings(session=spark)) as backend:
        axes = backend.fit([(f"{tmp_path}/features.parquet", len(vectors))], COMPONENTS, standardize=False)
        described = backend.describe()
    assert described["pca_attempts"] > 1  # it was wrong at first
    expected = PCA(COMPONENTS, svd_solver="full").fit(vectors.astype(np.float64))
    assert np.abs(axes.explained - expected.explained_variance_ratio_).max() < 1e-12
    assert np.abs(np.abs((axes.components * expected.components_).sum(axis=1)) - 1).max() < 1e-9
