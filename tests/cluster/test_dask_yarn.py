"""`--launcher dask-yarn`: run by the environment made from requirements/dask-yarn.lock, judged by this one.

FRUITS_TEST_DASK_YARN is the path of that environment's Python, FRUITS_TEST_DASK_YARN_ARCHIVE that of the archive that it packed of itself.
"""

import io
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cluster.places import Hdfs
from conftest import expected_features
from hadoop.cluster import Cluster

CHECKOUT = Path(__file__).parents[2]  # the working folder of what runs, so that it is this fruits that runs
ARCHIVE = "FRUITS_TEST_DASK_YARN_ARCHIVE"
PATIENCE = 90
# So much of a node's 6144 MiB that no second container fits beside it: each node gets one.
MEMORY = "3584m"
ENDED = ("FINISHED", "FAILED", "KILLED")


@pytest.fixture
def place(cluster: Cluster, images: Path) -> Hdfs:
    """A folder of its own, with 14 photos in `images`."""
    there = Hdfs(cluster)
    for file in images.rglob("*.jpg"):
        there.put(f"/images/{file.relative_to(images)}", file.read_bytes())
    return there


def _fruits() -> list[str]:
    return [os.environ["FRUITS_TEST_DASK_YARN"], "-m", "fruits"]


def _started(place: Hdfs, log: Path) -> "subprocess.Popen[bytes]":
    options = ["--backend", "dask", "--launcher", "dask-yarn", "--cluster", "yarn", "--workers", "2", "--container-memory", MEMORY]
    folders = ["--input", f"{place.url}/images", "--output", f"{place.url}/results", "--environment", os.environ[ARCHIVE]]
    with log.open("wb") as file:
        return subprocess.Popen([*_fruits(), *options, *folders, "--components", "5"], cwd=CHECKOUT, stdout=file, stderr=file)


def test_the_main_job_gives_the_same_features(cluster: Cluster, place: Hdfs, images: Path, tmp_path: Path) -> None:
    before = len(cluster.applications())
    nodes = set()
    log = tmp_path / "log"
    with _started(place, log) as driver:
        while driver.poll() is None:
            nodes |= {process.node for process in cluster.processes() if "dask_yarn.cli" in process.command}
            time.sleep(0.5)
    said = log.read_text()
    assert driver.returncode == 0, said
    assert nodes == {node.name for node in cluster.nodes}

    parts = [key for key in place.listing("/results/features").files if key.endswith(".parquet")]
    tables = [pq.read_table(io.BytesIO(place.get(f"/results/features/{key}"))) for key in parts]
    rows = {path: row for table in tables for path, row in zip(table["path"].to_pylist(), table["features"].to_pylist(), strict=True)}
    assert len(rows) == 14
    paths = sorted(rows)
    local = [str(images / Path(path).parent.name / Path(path).name) for path in paths]
    assert np.array_equal(np.array([rows[path] for path in paths], np.float32), expected_features(local))

    (application,) = cluster.applications()[before:]
    assert (application["state"], application["finalStatus"]) == ("FINISHED", "SUCCEEDED")
    assert "Traceback" not in said
    assert "Warning" not in said


@pytest.mark.slow
def test_nothing_is_left_of_a_driver_that_was_killed(cluster: Cluster, place: Hdfs, tmp_path: Path) -> None:
    """Before its workers have come: dask-yarn alone would leave an application that starts them again for ever."""
    before = len(cluster.applications())
    log = tmp_path / "log"
    with _started(place, log) as driver:
        try:
            _wait_for_state(cluster, before, ("RUNNING",), log)
        finally:
            driver.kill()
    _wait_for_state(cluster, before, ENDED, log)
    end = time.monotonic() + PATIENCE
    while cluster.processes():
        assert time.monotonic() < end, cluster.processes()
        time.sleep(0.5)


def _wait_for_state(cluster: Cluster, before: int, states: tuple[str, ...], log: Path) -> None:
    """Of the one application that is new."""
    end = time.monotonic() + PATIENCE
    while not any(application["state"] in states for application in cluster.applications()[before:]):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.5)
