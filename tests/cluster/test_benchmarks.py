"""`python -m benchmarks --cluster yarn`: the same study, with images and results where the nodes see them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.places import Place

ROOT = Path(__file__).parents[2]
NODES = "venv:///mnt/environment"


def measured(place: Place, output: Path, *options: str) -> None:
    where = ["--cluster", "yarn", "--environment", NODES, "--scratch", place.url, "--output", str(output)]
    command = [sys.executable, "-m", "benchmarks", "--quick", *where, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert not [key for key in place.listing("").files if "fruits-benchmark" in key]


def content(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    assert found["plan"]["cluster"] == "yarn"
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study(places: dict[str, Place], tmp_path: Path) -> None:
    measured(places["hdfs"], tmp_path / "r", "--workers", "1", "--sizes", "4,8", "--pca", "moments")
    found = content(tmp_path / "r" / "study.json")
    assert [run["failed"] for run in found["runs"] if "failed" in run] == []
    assert sorted((run["backend"], run["images"]) for run in found["runs"]) == [(b, n) for b in ("dask", "spark") for n in (4, 8)]
    assert (found["parity"]["images"], found["parity"]["features"]) == (8, 0.0)
    assert {start["backend"] for start in found["starts"]} == {"dask", "spark"}
    assert "a YARN cluster" in (tmp_path / "r" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_that_sleep(places: dict[str, Place], tmp_path: Path) -> None:
    measured(places["hdfs"], tmp_path / "r", "--core", "sleep", "--workers", "1,2")
    points = content(tmp_path / "r" / "plane.json")["points"]
    assert [point["failed"] for point in points if "failed" in point] == []
    assert sorted((p["backend"], p["workers"], p["images"]) for p in points) == [
        (backend, workers, [32 * workers, 64 * workers]) for backend in ("dask", "spark") for workers in (1, 2)
    ]
