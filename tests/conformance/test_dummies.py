"""Engines without a network, by which what is around it can be measured."""

from pathlib import Path

import numpy as np
import pytest

from conftest import Engine, rejected, report, vectors
from fruits import Job
from fruits.errors import BadArgument


def test_reading_alone_rejects_what_is_no_image(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "bad.jpg").write_text("no image")
    engine.run(input=images, output=tmp_path / "r", engine="read", features_only=True)
    features = vectors(tmp_path / "r", "features")
    assert features.shape == (14, 1280)
    assert not features.any()
    assert [path.rpartition("/")[2] for path in rejected(tmp_path / "r")["path"]] == ["bad.jpg"]


def test_sleeping_opens_no_image_and_takes_its_time(engine: Engine, images: Path, tmp_path: Path) -> None:
    """What is no image is one here, and 15 of them take 15 times as long, within the 30 % by which sleepers vary."""
    (images / "bad.jpg").write_text("no image")
    engine.run(input=images, output=tmp_path / "r", engine="sleep:0.05", features_only=True, chunk_size=15)
    features = vectors(tmp_path / "r", "features")
    assert features.shape == (15, 1280)
    assert 0.9 < features.std() < 1.1
    assert len(np.unique(features)) > 1000
    done = report(tmp_path / "r")
    assert done["model"]["weights_sha256"] is None
    assert sum(worker["seconds"] for worker in done["workers"]) > 15 * 0.05 * 0.7


def test_a_projection_of_them_is_refused_for_others(engine: Engine, images: Path, tmp_path: Path) -> None:
    engine.run(input=images, output=tmp_path / "r", engine="sleep:0", components=2, pca="moments")
    with pytest.raises(BadArgument, match="was fitted on features of another weights"):
        engine.run(input=images, output=tmp_path / "other", projection=tmp_path / "r" / "projection.npz")


@pytest.mark.local("it starts no engine")
@pytest.mark.parametrize("name", ["sleep", "sleep:", "sleep:-1", "sleep:soon", "sleep:61", "reads"])
def test_what_is_no_such_engine(name: str) -> None:
    with pytest.raises(BadArgument, match="there is no engine"):
        Job(engine=name)
