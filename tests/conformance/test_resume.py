"""Work that is done stays done: the same job again, another projection, other images, other features, and a kill."""

import functools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typed import Type

from conftest import SAMPLE, Engine, asked, expected_features, rejected, report, table, vectors
from fruits.errors import OutputInUse


def times(results: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (results / "features").iterdir()}


def test_the_same_job_again_has_nothing_to_do(engine: Engine, images: Path, tmp_path: Path) -> None:
    first = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "r").rglob("*")}
    assert engine.run(input=images, output=tmp_path / "r", components=3, pca="moments") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "r").rglob("*")} == written


def test_another_projection_reuses_the_features(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=5)
    before, old = times(tmp_path / "r"), {path.name for path in (tmp_path / "r" / "pca").iterdir()}
    for job, k in (({"components": 4}, 4), ({"components": 4, "uncentred": True}, 4), ({"components": 2, "standardize": True}, 2)):
        done = engine.run(input=images, output=tmp_path / "r", chunk_size=9, batch_size=7, pca="moments", **job)
        assert done.images.reused == 14
        assert times(tmp_path / "r") == before
        assert vectors(tmp_path / "r", "pca").shape == (14, k)
        assert not old & {path.name for path in (tmp_path / "r" / "pca").iterdir()}
        old = {path.name for path in (tmp_path / "r" / "pca").iterdir()}
    engine.run(input=images, output=tmp_path / "r", features_only=True)
    names = sorted(path.name for path in (tmp_path / "r").iterdir())
    assert names == ["_fruits", "features", "pca", "rejected.parquet", "report.html", "report.json"]
    assert not list((tmp_path / "r" / "pca").iterdir())


def test_other_features_are_refused_with_what_differs(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    before = {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    for job, words in (
        ({"input": SAMPLE}, "input: "),
        ({"max_pixels": 1_000_000}, "max_pixels: 40000000 there, 1000000 asked"),
        ({"engine": "keras"}, "engine: 'litert' there, 'keras' asked"),
        ({"engine": "openvino", "precision": "bfloat16"}, "precision: 'float32' there, 'bfloat16' asked"),
        ({"patterns": ("*.jpg",)}, "patterns: "),
    ):
        with pytest.raises(OutputInUse, match="holds other features") as refused:
            engine.run(**{"input": images, "output": tmp_path / "r", "components": 3, "pca": "moments", **job})
        assert words in refused.value.message
        assert {path: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()} == before
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", patterns=("*.jpg",), fresh=True)
    assert done.images.reused == 0
    assert asked("validate", tmp_path / "r").returncode == 0


def test_a_folder_of_other_files_is_refused(engine: Engine, images: Path, tmp_path: Path) -> None:
    (tmp_path / "full" / "features").mkdir(parents=True)
    (tmp_path / "full" / "features" / "part-00000.parquet").write_text("of someone else")
    for fresh in (False, True):
        with pytest.raises(OutputInUse, match="is not a result of fruits"):
            engine.run(input=images, output=tmp_path / "full", components=3, pca="moments", fresh=fresh)
    assert [path.name for path in (tmp_path / "full").rglob("*")] == ["features", "part-00000.parquet"]


@pytest.mark.short
def test_only_what_is_new_is_featurized(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=4)
    before = times(tmp_path / "r")
    (images / "new").mkdir()
    for photo in sorted((SAMPLE / "Tomato 1").iterdir())[:3]:
        shutil.copy(photo, images / "new")
    (images / "new" / "empty.jpg").touch()
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    assert (done.images.found, done.images.reused, done.images.rejected) == (18, 14, 1)
    assert before.items() <= times(tmp_path / "r").items()
    fresh = engine.run(input=images, output=tmp_path / "fresh", components=3, pca="moments")
    assert np.allclose(fresh.explained_variance, done.explained_variance, atol=1e-9)
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "fresh", "features"))


def test_a_rejected_image_that_vanishes_is_noticed(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "zz.jpg").touch()
    engine.run(input=images, output=tmp_path / "r", features_only=True, chunk_size=7)  # the third chunk has no features
    assert len(rejected(tmp_path / "r")) == 1
    (images / "zz.jpg").unlink()
    assert engine.run(input=images, output=tmp_path / "r", features_only=True).images.found == 14
    assert len(rejected(tmp_path / "r")) == 0


def test_vanished_and_changed_images_leave_every_output(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "empty.jpg").touch()
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=4)
    photos = sorted(images.glob("*/*.jpg"))
    (images / "empty.jpg").unlink()
    photos[0].unlink()
    shutil.copy(next((SAMPLE / "Tomato 1").iterdir()), photos[9])
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    assert 0 < done.images.reused < 13
    engine.run(input=images, output=tmp_path / "fresh", components=3, pca="moments")
    for part in ("features", "pca"):
        assert table(tmp_path / "r", part)["path"].tolist() == list(map(engine.url, photos[1:]))
    assert np.array_equal(vectors(tmp_path / "r", "features"), vectors(tmp_path / "fresh", "features"))
    assert len(rejected(tmp_path / "r")) == 0
    assert asked("validate", tmp_path / "r").returncode == 0
    listed = {file["name"] for file in report(tmp_path / "r")["files"]}
    for part in ("features", "pca"):
        assert {f"{part}/{path.name}" for path in (tmp_path / "r" / part).iterdir()} <= listed
    assert not list((tmp_path / "r" / "_fruits" / "rejects").iterdir())
    markers = [json.loads(path.read_bytes()) for path in (tmp_path / "r" / "_fruits" / "markers").iterdir()]
    keys = [key for marker in markers for key, _, _ in marker["files"]]
    assert sorted(keys) == [photo.relative_to(images).as_posix() for photo in photos[1:]]


@pytest.mark.local("sets times of files, which no engine sees")
@pytest.mark.parametrize("differs", ["time", "size"])
def test_a_file_is_the_same_by_size_and_time(inprocess: object, images: Path, tmp_path: Path, differs: str) -> None:
    """Either alone tells that another took its place."""
    photo = sorted(images.glob("*/*.jpg"))[4]
    before = photo.stat()
    job = {"input": images, "output": tmp_path / "r", "features_only": True}
    Engine("inprocess", inprocess).run(**job)
    other = min(SAMPLE.glob("Tomato*/*.jpg"), key=lambda path: path.stat().st_size).read_bytes()
    assert len(other) < before.st_size
    if differs == "time":
        photo.write_bytes(other.ljust(before.st_size, b"\0"))
    else:
        photo.write_bytes(other)
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = photo.stat()
    same = (after.st_size == before.st_size, after.st_mtime_ns == before.st_mtime_ns)
    assert same == (differs == "time", differs == "size")
    assert Engine("inprocess", inprocess).run(**job).images.to_do == {"changed": 1}
    photos = sorted(map(str, images.glob("*/*.jpg")))
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected_features(photos))


@pytest.mark.parametrize("damage", ["altered", "short", "missing", "marker", "draft"])
def test_a_marker_is_believed_only_when_its_data_is_whole(engine: Engine, images: Path, tmp_path: Path, damage: str) -> None:
    engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=7)
    undisturbed = vectors(tmp_path / "r", "features")
    file = sorted((tmp_path / "r" / "features").iterdir())[0]
    data = file.read_bytes()
    if damage == "altered":
        file.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    elif damage == "short":
        file.write_bytes(data[:-100])
    elif damage == "missing":
        file.unlink()
    else:
        marker = sorted((tmp_path / "r" / "_fruits" / "markers").iterdir())[0]
        if damage == "draft":  # as a worker leaves it that is killed when all is written and not yet renamed
            marker.rename(marker.with_name(f".{marker.name}.0123abcd.tmp"))
        else:
            marker.write_bytes(marker.read_bytes()[:-40])
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments", chunk_size=7)
    assert done.images.reused == 7
    assert done.images.to_do == {"new" if damage in ("marker", "draft") else "results damaged": 7}
    assert np.array_equal(vectors(tmp_path / "r", "features"), undisturbed)
    assert not list((tmp_path / "r").rglob("*.tmp"))
    assert asked("validate", tmp_path / "r").returncode == 0


@pytest.mark.local("a driver of its own, which opens a session of its own")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_run_that_was_ended_is_gone_on_with(typed: Type, backend: str, sent: signal.Signals, code: int, tmp_path: Path) -> None:
    photos = sorted(SAMPLE.glob("[AB]*/*.jpg"))
    for photo in photos:
        (tmp_path / "images" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "images" / photo.parent.name)
    chunks = math.ceil(len(photos) / 8)
    assert chunks > 12
    arguments = [
        "--backend",
        backend,
        "--input",
        str(tmp_path / "images"),
        "--chunk-size",
        "8",
        "--features-only",
    ]
    command = [sys.executable, "-m", "fruits", *arguments, "--output", str(tmp_path / "ended")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as process:
        markers = tmp_path / "ended" / "_fruits" / "markers"
        patience = time.monotonic() + 150
        while not (markers.exists() and any(markers.glob("*.json"))):
            assert process.poll() is None, "the run ended before the signal was sent"
            assert time.monotonic() < patience
            time.sleep(0.01)
        os.killpg(process.pid, sent)  # the whole group, as Ctrl-C in a terminal does
        said, _ = process.communicate(timeout=60)
    # As a driver that was killed while it wrote would leave it.
    (tmp_path / "ended" / ".results.csv.0123abcd.tmp").touch()
    committed = len(list(markers.glob("*.json")))
    print(f"{backend}: {sent.name} after {committed} of {chunks} chunks")
    assert process.returncode == code, said
    if sent == signal.SIGINT:
        assert "interrupted: the same command goes on where this run stopped" in said
        assert "Traceback" not in said
    assert 0 < committed < chunks
    assert not (tmp_path / "ended" / "report.json").exists()
    again = typed(*arguments, "--output", tmp_path / "ended", "--json")
    assert again.returncode == 0, again.stderr
    assert "an earlier run has done" in again.stderr
    assert (f"(process {process.pid}, {backend})" in again.stderr) == (sent == signal.SIGKILL)  # who was killed has left its lease
    assert json.loads(again.stdout)["images"]["reused"] >= 8 * committed - 8
    features = table(tmp_path / "ended", "features")
    assert [path.removeprefix(f"{tmp_path}/images/") for path in features["path"]] == [
        photo.relative_to(SAMPLE).as_posix() for photo in photos
    ]
    assert np.array_equal(vectors(tmp_path / "ended", "features"), undisturbed(tuple(map(str, photos))))
    assert not list((tmp_path / "ended").rglob("*.tmp"))


@functools.cache
def undisturbed(photos: tuple[str, ...]) -> np.ndarray:
    """Their features, made without the core."""
    return expected_features([*photos])
