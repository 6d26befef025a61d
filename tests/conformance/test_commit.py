"""What a kill can lose: no more than 20 s of a chunk, and no old result before the new one is whole."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from conftest import Engine, asked, expected_features, rejected, report, table, vectors
from fruits import featurize


@pytest.mark.local("a process of its own, in which time can be made short")
def test_a_chunk_that_takes_long_is_committed_in_parts(
    inprocess: object, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time at all each image is a part: the slowest chunk that there can be."""
    monkeypatch.setattr(featurize, "COMMIT_SECONDS", 0.0)
    (images / "empty.jpg").touch()
    done = Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", features_only=True, chunk_size=15)
    markers = [json.loads(path.read_bytes())["files"] for path in (tmp_path / "r" / "_fruits" / "markers").iterdir()]
    assert [len(files) for files in markers] == [1] * 15
    photos = sorted(images.glob("*/*.jpg"))
    assert table(tmp_path / "r", "features")["path"].tolist() == list(map(str, photos))
    assert np.array_equal(vectors(tmp_path / "r", "features"), expected_features(list(map(str, photos))))
    assert len(rejected(tmp_path / "r")) == 1
    assert (done.images.found, done.images.featurized) == (15, 14)
    assert asked("validate", tmp_path / "r").returncode == 0


@pytest.mark.local("a process of its own, which can be watched as it renames")
def test_until_the_report_is_replaced_the_old_result_is_whole(
    inprocess: object, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For who reads the old report's files while a run ends: all but the four of fixed names."""
    results = tmp_path / "r"
    job = {"input": images, "output": results, "pca": "moments", "chunk_size": 5}
    Engine("inprocess", inprocess).run(**job, components=3)
    listed = {file["name"]: file["sha256"] for file in report(results)["files"] if file["name"].startswith(("features/", "pca/"))}
    assert len(listed) == 6
    replace = os.replace
    looks = []

    def look_and_replace(draft: Path, target: Path) -> None:
        if Path(target) == results / "report.json":
            looks.append({name: hashlib.sha256((results / name).read_bytes()).hexdigest() for name in listed})
        replace(draft, target)

    monkeypatch.setattr(os, "replace", look_and_replace)
    Engine("inprocess", inprocess).run(**job, components=4)
    assert looks == [listed]
    assert not [name for name in listed if name.startswith("pca/") and (results / name).exists()]
