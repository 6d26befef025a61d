"""The results folder: the report, and a validation that notices what is not right."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from conftest import Engine, asked, report, table

STAGES = ["start", "list", "featurize", "fit", "project", "export", "page"]


@pytest.mark.short
def test_the_report_says_what_was_done(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "bad.jpg").write_text("no image")
    before = time.time()
    returned = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    after = time.time()
    found = report(tmp_path / "r")
    assert found == json.loads(returned.to_json())
    assert found["schema_version"] == 1
    assert found["job"]["input"] == engine.url(images)
    assert found["job"]["components"] == 3
    assert set(found["fingerprint"]) == {"features", "projection", "images"}
    model = {"engine": "litert", "weights_sha256": "0c0d972b00b604c6f6e4fb0ddee624807aa53d09918808757092ba78fb689cdf"}
    assert model.items() <= found["model"].items()
    assert found["backend"]["name"] == engine.name
    assert [stage["name"] for stage in found["stages"]] == STAGES
    assert [stage["images"] for stage in found["stages"]] == [0, 15, 15, 14, 14, 14, 14]
    assert 0 <= sum(stage["seconds"] for stage in found["stages"]) <= after - before
    assert {key: found["images"][key] for key in ("found", "featurized", "rejected")} == {"found": 15, "featurized": 14, "rejected": 1}
    assert found["rejected_by_reason"] == {"not-an-image": 1}
    assert found["labels"] == {folder.name: 2 for folder in images.iterdir() if folder.is_dir()}
    assert len(found["explained_variance"]) == 3
    assert found["explained_variance"] == sorted(found["explained_variance"])
    assert found["started"] < found["finished"]
    assert {"fruits", "python", "numpy", "pillow", "pyarrow"} <= set(found["versions"])
    on_disk = [path for path in (tmp_path / "r").rglob("*") if path.is_file() and "_fruits" not in path.parts]
    listed = {file["name"]: (file["bytes"], file["sha256"]) for file in found["files"]}
    assert listed == {
        str(path.relative_to(tmp_path / "r")): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in on_disk
        if path.name != "report.json"
    }


def test_features_only(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", features_only=True)
    assert [stage["name"] for stage in report(tmp_path / "r")["stages"]] == ["start", "list", "featurize", "export", "page"]
    visible = {path.name for path in (tmp_path / "r").iterdir() if not path.name.startswith("_")}
    assert visible == {"features", "rejected.parquet", "report.html", "report.json"}
    assert asked("validate", tmp_path / "r").returncode == 0


def signed(results: Path, name: str) -> None:
    """Makes the report agree with an altered file, so that only a look into it can tell."""
    content = report(results)
    for file in content["files"]:
        if file["name"] == name:
            data = (results / name).read_bytes()
            file.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (results / "report.json").write_text(json.dumps(content))


def altered_parquet(part: str, change: Callable[[dict[str, list]], None]) -> Callable[[Path], None]:
    def alter(results: Path) -> None:
        file = sorted((results / part).glob("*.parquet"))[0]
        rows = pq.read_table(file, partitioning=None)
        columns = rows.to_pydict()
        change(columns)
        pq.write_table(rows.from_pydict(columns, schema=rows.schema), file)
        signed(results, f"{part}/{file.name}")

    return alter


def cut_vector(columns: dict[str, list]) -> None:
    columns["features"] = [vector[:-1] for vector in columns["features"]]


def nan(columns: dict[str, list]) -> None:
    columns["features"][0][5] = float("nan")


def lost_row(columns: dict[str, list]) -> None:
    for column in columns.values():
        del column[0]


def other_label(columns: dict[str, list]) -> None:
    columns["label"][0] = "Banana"


def other_number(columns: dict[str, list]) -> None:
    columns["pca_features"][0][0] += 1e-2


def other_csv(results: Path) -> None:
    lines = (results / "results.csv").read_text().splitlines()
    first = lines[1].split(",")
    first[3] = repr(float(np.nextafter(np.float32(first[3]), np.float32(9))))
    (results / "results.csv").write_text("\n".join([lines[0], ",".join(first), *lines[2:]]) + "\n")
    signed(results, "results.csv")


def short_csv(results: Path) -> None:
    lines = (results / "results.csv").read_text().splitlines()
    (results / "results.csv").write_text("\n".join(lines[:-1]) + "\n")
    signed(results, "results.csv")


def unsigned_byte(results: Path) -> None:
    file = results / "results.csv"
    file.write_bytes(file.read_bytes()[:-1] + b" ")


def foreign_file(results: Path) -> None:
    (results / "features" / "part-00000.parquet").write_bytes(b"")


def no_projection(results: Path) -> None:
    (results / "projection.npz").unlink()


def other_variance(results: Path) -> None:
    content = report(results)
    content["explained_variance"][0] += 1e-3
    (results / "report.json").write_text(json.dumps(content))


ALTERATIONS = {
    "expected 1280": altered_parquet("features", cut_vector),
    "not finite": altered_parquet("features", nan),
    "do not add up to 14": altered_parquet("features", lost_row),
    "Banana 1 for 0": altered_parquet("features", other_label),
    "not the projection of": altered_parquet("pca", other_number),
    "results.csv: rows from 1 on": other_csv,
    "results.csv: 13 rows for 14 images": short_csv,
    "results.csv: missing, or not what was written": unsigned_byte,
    "projection.npz: missing": no_projection,
    "part-00000.parquet: not in the report": foreign_file,
    "explained variance: off by up to 0.001": other_variance,
}


@pytest.mark.local("validate reads a folder, whoever wrote it")
def test_validate_names_each_failure(images: Path, tmp_path: Path, inprocess: object) -> None:
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=3, chunk_size=7)
    ended = asked("validate", tmp_path / "r")
    assert (ended.returncode, ended.stdout) == (0, f"{tmp_path / 'r'}: valid\n")
    import shutil

    for words, alter in ALTERATIONS.items():
        copy = tmp_path / "altered"
        shutil.copytree(tmp_path / "r", copy)
        alter(copy)
        ended = asked("validate", copy)
        assert ended.returncode == 1, words
        assert words in ended.stderr
        assert "Traceback" not in ended.stderr
        shutil.rmtree(copy)


@pytest.mark.local("needs no engine")
@pytest.mark.parametrize("name", ["pca", "results.csv", "projection.npz"])
def test_a_damaged_result_is_made_again(inprocess: object, images: Path, tmp_path: Path, name: str) -> None:
    job = {"input": images, "output": tmp_path / "r", "components": 3, "pca": "moments"}
    Engine("inprocess", inprocess).run(**job)
    damaged = tmp_path / "r" / name
    if name == "pca":
        (damaged,) = damaged.iterdir()
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert asked("validate", tmp_path / "r").returncode == 1
    done = Engine("inprocess", inprocess).run(**job)
    assert done.images.reused == 14
    assert asked("validate", tmp_path / "r").returncode == 0
    assert damaged.read_bytes() == content


@pytest.mark.local("needs no engine")
def test_validate_of_what_is_no_result(tmp_path: Path) -> None:
    ended = asked("validate", tmp_path)
    assert ended.returncode == 2
    assert "has no report.json" in ended.stderr
    (tmp_path / "report.json").write_text("{}")
    assert asked("validate", tmp_path).returncode == 2


def test_every_engine_writes_what_validate_accepts(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "empty.jpg").touch()
    for number, job in enumerate(({}, {"standardize": True}, {"uncentred": True}, {"components": 0.9})):
        engine.run(input=images, output=tmp_path / str(number), **{"components": 3, "pca": "moments", **job})
        ended = asked("validate", tmp_path / str(number), "--json")
        assert (ended.returncode, json.loads(ended.stdout)) == (0, [])
    assert len(table(tmp_path / "0", "pca")) == 14


@pytest.mark.short
@pytest.mark.local("Spark's own reader needs the jars of S3A", place="s3")
@pytest.mark.parametrize("name", ["features", "pca"])
def test_other_readers_read_the_parquet(spark: object, engine: Engine, images: Path, tmp_path: Path, name: str) -> None:
    """Spark's own reader, which is not pyarrow, sees the same rows."""
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    rows = spark.read.parquet(engine.url(tmp_path / "r" / name)).orderBy("path").collect()  # type: ignore[attr-defined]
    assert [row.path for row in rows] == table(tmp_path / "r", name)["path"].tolist()
    assert [row.label for row in rows] == table(tmp_path / "r", name)["label"].tolist()
