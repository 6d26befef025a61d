"""One PCA, whichever engine computes it: compared with scikit-learn on the features that were written."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from conftest import SAMPLE, Engine, asked, report, table, vectors
from fruits.errors import BadArgument, RunFailed


def reference(features: np.ndarray, k: int) -> tuple[PCA, np.ndarray]:
    """Scikit-learn's PCA, and its components with the largest entry of each positive."""
    pca = PCA(n_components=k, svd_solver="full").fit(features.astype(np.float64))
    signs = np.sign(pca.components_[np.arange(k), np.abs(pca.components_).argmax(axis=1)])
    return pca, pca.components_ * signs[:, None]


def stored(results: Path) -> dict[str, np.ndarray]:
    # All of it at once: numpy opens a file of a place that is not this machine's again for each array, and by then it may be another run's.
    with np.load(results / "projection.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.short
@pytest.mark.parametrize("method", ["native", "moments"])
def test_pca_of_the_sample_is_that_of_scikit_learn(engine: Engine, tmp_path: Path, method: str) -> None:
    engine.run(output=tmp_path / "r", pca=method)
    features, projected = vectors(tmp_path / "r", "features"), vectors(tmp_path / "r", "pca")
    assert features.shape == (335, 1280)
    assert projected.shape == (335, 200)
    pca, components = reference(features, 200)
    cumulative = np.cumsum(pca.explained_variance_ratio_)
    assert np.abs(cumulative - report(tmp_path / "r")["explained_variance"]).max() < 1e-6
    gaps = np.diff(pca.explained_variance_) / pca.explained_variance_[:-1]
    distinct = np.flatnonzero((np.abs(gaps[:-1]) > 1e-3) & (np.abs(gaps[1:]) > 1e-3)) + 1
    assert len(distinct) > 150
    assert np.abs(stored(tmp_path / "r")["components"] - components)[distinct].max() < 1e-6
    expected = (features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)) @ components.T
    assert np.abs(projected - expected)[:, distinct].max() < 1e-3
    csv = pd.read_csv(tmp_path / "r" / "results.csv").sort_values("path", ignore_index=True)
    assert csv.columns.tolist() == ["path", "label", *(f"pca_feature_{i}" for i in range(1, 201))]
    assert csv["path"].tolist() == table(tmp_path / "r", "pca")["path"].tolist()
    assert csv["label"].tolist() == table(tmp_path / "r", "pca")["label"].tolist()
    assert np.array_equal(csv.iloc[:, 2:].to_numpy(np.float32), projected)
    assert len(list((SAMPLE).glob("*/*.jpg"))) == 335


def test_a_share_of_the_variance(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=0.8, pca="moments")
    pca, _ = reference(vectors(tmp_path / "r", "features"), 14)
    cumulative = np.cumsum(pca.explained_variance_ratio_)
    k = int((cumulative < 0.8).sum()) + 1
    assert vectors(tmp_path / "r", "pca").shape == (14, k)
    assert np.allclose(report(tmp_path / "r")["explained_variance"], cumulative[:k], atol=1e-6)


def test_standardized(engine: Engine, images: Path, tmp_path: Path) -> None:
    """By the engine's own PCA, and by moments of the same features, which are reused."""
    for method, reused in (("native", 0), ("moments", 14)):
        done = engine.run(input=images, output=tmp_path / "r", components=5, standardize=True, pca=method)
        assert (done.job["pca"], done.images.reused) == (method, reused)
        assert_standardized(tmp_path / "r")
    assert not list((tmp_path / "r" / "_fruits").glob("moments/*"))


def assert_standardized(results: Path) -> None:
    features = vectors(results, "features").astype(np.float64)
    constant = features.std(axis=0) == 0
    assert constant.any()  # 14 images leave some features at 0 throughout
    # scikit-learn divides by n, Spark by n - 1
    scaled = StandardScaler().fit_transform(features) * np.sqrt(13 / 14)
    scaled[:, constant] = 0
    pca, components = reference(scaled, 5)
    shares = np.cumsum(pca.explained_variance_ratio_)
    assert np.allclose(report(results)["explained_variance"], shares, atol=1e-6)
    assert np.isfinite(vectors(results, "pca")).all()
    assert np.abs(vectors(results, "pca") - scaled @ components.T).max() < 1e-3
    assert (stored(results)["scale"][constant] == 0).all()


@cache
def transformed_by_spark(spark: Any, features: bytes) -> np.ndarray:
    """By its PCA with 4 components; the features are the same bits on every engine."""
    from pyspark.ml import feature
    from pyspark.ml.linalg import Vectors

    rows = np.frombuffer(features, np.float32).reshape(-1, 1280).astype(float)
    frame = spark.createDataFrame([(Vectors.dense(row),) for row in rows], ["x"]).coalesce(1)
    model = feature.PCA(k=4, inputCol="x", outputCol="y").fit(frame)
    return np.stack([row.y.toArray() for row in model.transform(frame).select("y").collect()])


def test_uncentred_is_what_spark_transforms(engine: Engine, spark: Any, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=4, uncentred=True, pca="moments")
    projected = vectors(tmp_path / "r", "pca")
    by_spark = transformed_by_spark(spark, vectors(tmp_path / "r", "features").tobytes())
    signs = np.sign((by_spark * projected).sum(axis=0))  # Spark has no rule for signs
    assert np.abs(projected - by_spark * signs).max() < 1e-3
    assert np.abs(projected.mean(axis=0)).max() > 1  # not centred
    centred = projected - stored(tmp_path / "r")["offset"]
    assert np.abs(centred.mean(axis=0)).max() < 1e-4


def test_as_many_components_as_the_images_allow(engine: Engine, images: Path, tmp_path: Path) -> None:
    done = engine.run(input=images, output=tmp_path / "r")
    assert vectors(tmp_path / "r", "pca").shape == (14, 14)
    assert done.notes == ["14 components instead of 200: as many as 14 images allow"]
    assert abs(done.explained_variance[-1] - 1) < 1e-6


def test_more_components_than_images(engine: Engine, images: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="--components 15: 14 images were found"):
        engine.run(input=images, output=tmp_path / "r", components=15, pca="moments")
    assert not (tmp_path / "r").exists()
    # Fewer than were found can be featurized: that shows later, and the features are kept.
    next(images.glob("*/*.jpg")).write_bytes(b"")
    with pytest.raises(RunFailed, match="--components 14: 13 images were featurized"):
        engine.run(input=images, output=tmp_path / "r", components=14, pca="moments")
    assert engine.run(input=images, output=tmp_path / "r", components=13, pca="moments").images.reused == 14


@pytest.mark.parametrize("method", ["native", "moments"])
def test_images_that_are_all_alike_have_no_variance(engine: Engine, images: Path, tmp_path: Path, method: str) -> None:
    photos = list(images.glob("*/*.jpg"))
    for photo in photos[1:]:
        photo.write_bytes(photos[0].read_bytes())
    done = engine.run(input=images, output=tmp_path / "r", components=2, pca=method)
    assert np.allclose(done.explained_variance, 0)
    assert np.abs(vectors(tmp_path / "r", "pca")).max() < 1e-5


def test_projection_of_another_run(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "fitted", components=6, pca="moments")
    done = engine.run(input=SAMPLE / "Tomato 1", output=tmp_path / "projected", projection=tmp_path / "fitted" / "projection.npz")
    assert [stage.name for stage in done.stages] == ["start", "list", "featurize", "project", "export", "page"]
    fitted = stored(tmp_path / "fitted")
    expected = (vectors(tmp_path / "projected", "features") - fitted["mean"]) @ fitted["components"].T
    assert np.abs(vectors(tmp_path / "projected", "pca") - expected).max() < 1e-4
    assert (tmp_path / "projected" / "projection.npz").read_bytes() == (tmp_path / "fitted" / "projection.npz").read_bytes()


def captured(features: np.ndarray, npz: dict[str, np.ndarray]) -> float:
    """1 - |x - mean - reconstruction|^2 / |x - mean|^2 of scaled features, by the book."""
    centred = (features.astype(np.float64) - npz["mean"]) * npz["scale"]
    rest = centred - centred @ npz["components"].T @ npz["components"]
    return float(1 - (rest**2).sum() / (centred**2).sum())


@pytest.mark.parametrize("standardize", [False, True])
def test_how_much_of_another_folder_a_projection_captures(engine: Engine, images: Path, tmp_path: Path, standardize: bool) -> None:
    first = engine.run(input=images, output=tmp_path / "fitted", components=6, standardize=standardize, pca="moments")
    assert first.captured is None
    npz = tmp_path / "fitted" / "projection.npz"
    engine.run(input=SAMPLE / "Tomato 1", output=tmp_path / "projected", projection=npz, chunk_size=2, uncentred=True)
    found = report(tmp_path / "projected")["captured"]
    expected = captured(vectors(tmp_path / "projected", "features"), stored(tmp_path / "fitted"))
    print(f"{engine.name}: {found}")
    assert 0 < expected < 0.9 * first.explained_variance[-1]
    assert abs(found["share"] - expected) < 1e-9
    assert (found["images"], found["new"], found["refit_advised"]) == (5, True, True)
    assert abs(found["when_fitted"] - first.explained_variance[-1]) < 1e-12
    assert [note for note in report(tmp_path / "projected")["notes"] if "fit a new one, this is below 95% of it" in note]
    # Of the images on which it was fitted it captures what it explains of them.
    same = engine.run(input=images, output=tmp_path / "same", projection=npz).captured
    assert same is not None
    assert abs(same.share - first.explained_variance[-1]) < 1e-6
    assert not same.refit_advised


def test_the_projection_of_the_first_run_is_kept(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=6, chunk_size=7, pca="moments")
    before, fitted = table(tmp_path / "r", "pca"), stored(tmp_path / "r")
    (images / "new").mkdir()
    for photo in sorted((SAMPLE / "Tomato 1").iterdir())[:3]:
        shutil.copy(photo, images / "new")
    sorted(images.glob("*/*.jpg"))[0].unlink()  # so that a chunk that was fitted is carried over, and is not new for that
    job = {"input": images, "output": tmp_path / "r", "projection": tmp_path / "r" / "projection.npz"}
    done = engine.run(**job)
    after = table(tmp_path / "r", "pca")
    new = after["path"].str.contains("/new/")
    assert (done.images.reused, new.sum()) == (13, 3)
    # The last digit depends on how many rows are multiplied at a time.
    assert np.allclose(np.stack(after["pca_features"][~new]), np.stack(before["pca_features"][1:]), atol=1e-5)
    assert done.captured is not None
    assert (done.captured.images, done.captured.new) == (3, True)
    assert abs(done.captured.share - captured(vectors(tmp_path / "r", "features")[new], fitted)) < 1e-9
    assert asked("validate", tmp_path / "r").returncode == 0
    assert engine.run(**job) == done  # nothing to do
    refitted = engine.run(input=images, output=tmp_path / "r", components=6, pca="moments")
    assert refitted.captured is None
    assert not [note for note in refitted.notes if "anew" in note]  # of the same images: another projection was asked for
    sorted(images.glob("*/*.jpg"))[0].unlink()
    notes = engine.run(input=images, output=tmp_path / "r", components=6, pca="moments").notes
    assert [note for note in notes if note.startswith("the PCA is fitted anew over all 15 images: its vectors cannot be compared")]


def test_a_projection_must_be_one_and_fit(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "fitted", components=2, pca="moments")
    npz = tmp_path / "fitted" / "projection.npz"
    for refused, words in (
        (images, "there is no file"),
        (next(images.glob("*/*.jpg")), "is no projection"),
        (tmp_path / "missing.npz", "there is no file"),
    ):
        with pytest.raises(BadArgument, match=words):
            engine.run(input=images, output=tmp_path / "r", projection=refused)
    content = dict(np.load(npz))
    content["fitted_on"] = np.array(str(content["fitted_on"]).replace("bicubic", "bilinear"))
    np.savez(tmp_path / "other.npz", **content)
    with pytest.raises(BadArgument, match="was fitted on features of another preprocessing"):
        engine.run(input=images, output=tmp_path / "r", projection=tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", **{**content, "mean": np.array([object()])})
    with pytest.raises(BadArgument, match="is no projection"):
        engine.run(input=images, output=tmp_path / "r", projection=tmp_path / "pickled.npz")
    assert not (tmp_path / "r").exists()
