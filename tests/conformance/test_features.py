"""The same features from every engine, and those that an independent run on EMR stored."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import DATA, EMR, SAMPLE, Engine, expected_features, report, table, vectors

# The measured distance to the EMR run is 3.3e-5 for LiteRT and 1.4e-5 for Keras; 2.0e-5 for OpenVINO.
ENGINE_TOLERANCES = {"litert": 1e-4, "keras": 2e-5, "openvino": 4e-5}


KERAS = pytest.param("keras", marks=pytest.mark.local("the nodes have no TensorFlow"))
OPENVINO = pytest.param("openvino", marks=pytest.mark.local("the nodes have no OpenVINO"))


@pytest.mark.parametrize("network", ["litert", KERAS, OPENVINO])
def test_features_are_those_of_the_emr_run(engine: Engine, network: str, tmp_path: Path) -> None:
    engine.run(input=EMR, output=tmp_path / "r", engine=network, features_only=True)
    with np.load(DATA / "emr" / "features.npz") as stored:
        expected = dict(zip(stored["paths"], stored["features"], strict=True))
    found = {"/".join(row.path.split("/")[-2:]): row.features for row in table(tmp_path / "r", "features").itertuples()}
    assert found.keys() == expected.keys()
    deviation = max(np.abs(found[path] - expected[path]).max() for path in expected)
    print(f"{network}: off by {deviation:.1e}")
    assert deviation < ENGINE_TOLERANCES[network]


@pytest.mark.short
def test_features_do_not_depend_on_the_engine_the_batch_or_the_chunk(engine: Engine, images: Path, tmp_path: Path) -> None:
    paths = sorted(str(path) for path in images.glob("*/*.jpg"))
    expected = expected_features(paths)
    for chunk_size, batch_size, chunks in ((14, 1, 1), (7, 3, 2), (2, 32, 7)):
        results = tmp_path / f"{chunk_size}"
        engine.run(input=images, output=results, features_only=True, chunk_size=chunk_size, batch_size=batch_size)
        assert len(list((results / "features").iterdir())) == chunks
        assert table(results, "features")["path"].tolist() == list(map(engine.url, paths))
        assert np.array_equal(vectors(results, "features"), expected)  # bit for bit


@pytest.mark.short
def test_awkward_photos_are_featurized_as_pillow_reads_them(engine: Engine, tmp_path: Path) -> None:
    engine.run(input=DATA / "awkward", output=tmp_path / "r", features_only=True)
    good = sorted(str(path) for path in (DATA / "awkward").glob("*.jpg") if path.name != "truncated_jpeg.jpg")
    assert len(good) == 8
    assert table(tmp_path / "r", "features")["path"].tolist() == list(map(engine.url, good))
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected_features(good))
    assert report(tmp_path / "r")["rejected_by_reason"] == {"truncated": 1}


def test_every_mode_of_pillow_becomes_rgb(engine: Engine, tmp_path: Path) -> None:
    photo = Image.open(next(SAMPLE.glob("*/*.jpg")))
    (tmp_path / "modes").mkdir()
    for mode in ("L", "LA", "P", "RGB", "RGBA", "1", "I;16"):
        (photo.convert("L") if mode == "I;16" else photo).convert(mode).save(tmp_path / "modes" / f"{mode.replace(';', '')}.png")
    photo.convert("CMYK").save(tmp_path / "modes" / "CMYK.jpg")
    photo.save(tmp_path / "modes" / "progressive.jpeg", progressive=True)
    engine.run(input=tmp_path / "modes", output=tmp_path / "r", patterns=("*.png", "*.jpg", "*.jpeg"), features_only=True)
    paths = sorted(str(path) for path in (tmp_path / "modes").iterdir())
    assert len(paths) == 9
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected_features(paths))


ODD_NAMES = (
    "with space.jpg",
    "comma,comma.jpg",
    "per%20cent%.jpg",
    "hash#tag.jpg",
    "quote'and\"quote.jpg",
    "accents é à ü.jpg",
    "emoji 🍎.JPG",
    "[1].jpg",
    "a*.jpg",
    "question?.jpeg",
    "_underscore.jpg",
    ".hidden.jpg",
    "-dash.jpg",
    "=formula.jpg",
    "back\\slash.jpg",
    "new\nline.jpg",
    "UPPER.JPEG",
)


def test_paths_come_out_as_they_went_in(engine: Engine, tmp_path: Path) -> None:
    photo = next(SAMPLE.glob("*/*.jpg")).read_bytes()
    # The S3 server of these tests finds no path with a line break in it.
    names = [name for name in ODD_NAMES if engine.place != "s3" or "\n" not in name]
    folder = tmp_path / "in put #1"
    for label in ("plain", "Äpfel, rot & 'süß' 🍏", "_label", "100%"):
        (folder / label).mkdir(parents=True)
        for name in names:
            (folder / label / name).write_bytes(photo)
    (folder / "at the root.jpg").write_bytes(photo)
    engine.run(input=folder, output=tmp_path / "r", components=2, chunk_size=20, pca="moments")
    rows = table(tmp_path / "r", "features")
    on_disk = sorted(path for path in folder.rglob("*") if path.is_file())
    assert sorted(rows["path"]) == sorted(map(engine.url, on_disk))
    assert len(rows) == 4 * len(names) + 1
    assert dict(zip(rows["path"], rows["label"], strict=True)) == {engine.url(path): path.parent.name for path in on_disk}
    # pandas' C parser takes "\n" in quotes; an empty or "NA" field would be a name here, not a missing value.
    import pandas as pd

    csv = pd.read_csv(tmp_path / "r" / "results.csv", keep_default_na=False)
    assert sorted(csv["path"]) == sorted(map(engine.url, on_disk))


def test_schemas_and_provenance(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    for part, column in (("features", "features"), ("pca", "pca_features")):
        for file in (tmp_path / "r" / part).iterdir():
            schema = pq.read_schema(file)
            element = pa.field("element", pa.float32(), nullable=False)
            text = pa.string()
            assert schema.remove_metadata() == pa.schema(
                [pa.field("path", text, False), pa.field("label", text, False), pa.field(column, pa.list_(element), False)]
            )
            assert schema.field(column).type.value_field == element
            provenance = schema.metadata[b"fruits"].decode()
            assert "0c0d972b00b604c6f6e4fb0ddee624807aa53d09918808757092ba78fb689cdf" in provenance  # sha256sum of the weights
            assert "MobileNetV2" in provenance
            assert "bicubic" in provenance
    rejects = pq.read_schema(tmp_path / "r" / "rejected.parquet")
    assert rejects.names == ["path", "label", "reason", "detail"]
