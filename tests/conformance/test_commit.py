"""What a kill can lose: a chunk is committed after 20 s of work, whatever is left of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import Engine, asked, expected_features, rejected, table, vectors
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
