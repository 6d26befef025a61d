"""The main job on YARN: every mix of HDFS and S3, node-local and packed Python, fixed and growing numbers of workers."""

from pathlib import Path

import pytest

from cluster.driver import PHOTOS, assert_nothing_left, assert_right, fruits, newest, report, rows, upload
from cluster.places import Place
from hadoop.cluster import Cluster

FEW = PHOTOS[::12]  # 28 photos
# So large that one fits on a node, and the second must be on the other.
ONE_A_NODE = ("--workers", "2", "--container-memory", "4g")
NODES = "--environment", "venv:///mnt/environment"


@pytest.mark.parametrize(
    ("backend", "source", "target"), [("dask", "hdfs", "hdfs"), ("spark", "s3", "s3"), ("dask", "s3", "hdfs"), ("spark", "hdfs", "s3")]
)
def test_the_job(backend: str, source: str, target: str, cluster: Cluster, places: dict[str, Place], tmp_path: Path) -> None:
    name = f"out-{backend}-from-{source}"
    url = upload(places[source], f"job-{backend}", FEW)
    # All but the backend comes from a file, and that there is a YARN from HADOOP_CONF_DIR.
    (tmp_path / "fruits.toml").write_text(
        f'input = "{url}"\noutput = "{places[target].url}/{name}"\nenvironment = "{NODES[1]}"\nworkers = 2\ncontainer-memory = "4g"\n'
        "chunk-size = 4\ncomponents = 3\n"
    )
    code, said = fruits(tmp_path, "--backend", backend)
    assert code == 0, said
    assert said.startswith(f"{backend} on yarn (configured in "), said
    assert_right(places[target], name, url, FEW)
    assert len(rows(places[target], name, "pca")) == len(FEW)
    found = report(places[target], name)
    assert {worker["node"] for worker in found["workers"]} == {"10.77.0.11", "10.77.0.12"}
    assert all(worker["container"].startswith("container_") for worker in found["workers"])
    assert len({worker["container"] for worker in found["workers"]}) == 2
    assert_nothing_left(cluster, newest(cluster))
    code, said = fruits(tmp_path, "validate", f"{places[target].url}/{name}")
    assert (code, said) == (0, f"{places[target].url}/{name}: valid\n")


def test_a_packed_environment(backend: str, archive: Path, cluster: Cluster, places: dict[str, Place], tmp_path: Path) -> None:
    """The archive is uploaded by the first run that needs it, whatever its engine, and never again."""
    url = upload(places["hdfs"], f"packed-{backend}", FEW)
    before = staged(cluster, archive.name)
    code, said = fruits(
        tmp_path,
        *("--backend", backend, "--cluster", "yarn", "--environment", archive, "--workers", "2", "--features-only"),
        *("--input", url, "--output", f"{places['hdfs'].url}/packed-out-{backend}"),
    )
    assert code == 0, said
    assert_right(places["hdfs"], f"packed-out-{backend}", url, FEW)
    assert len(staged(cluster, archive.name)) == 1
    assert before in ([], staged(cluster, archive.name))
    assert_nothing_left(cluster, newest(cluster))


def staged(cluster: Cluster, name: str) -> list[tuple[str, int]]:
    """Files on HDFS that are copies of one of that name, and when they were written."""
    folders = cluster.hdfs("GET", "/user/alice", "LISTSTATUS", "alice")["FileStatuses"]["FileStatus"]
    if ".fruits" not in [folder["pathSuffix"] for folder in folders]:
        return []
    files = cluster.hdfs("GET", "/user/alice/.fruits", "LISTSTATUS", "alice")["FileStatuses"]["FileStatus"]
    return [(file["pathSuffix"], file["modificationTime"]) for file in files if file["pathSuffix"].endswith(f"-{name}")]


def test_workers_between_two_numbers(backend: str, cluster: Cluster, places: dict[str, Place], photos: str, tmp_path: Path) -> None:
    code, said = fruits(
        tmp_path,
        *("--backend", backend, "--cluster", "yarn", *NODES, "--workers", "1..3", "--chunk-size", "5", "--features-only"),
        # Work for more than so long is shared by more workers; with Dask's default of 5 s a job of this size would not be.
        *(("--set", "distributed.adaptive.target-duration=200ms") if backend == "dask" else ()),
        *("--input", photos, "--output", f"{places['hdfs'].url}/range-{backend}"),
    )
    assert code == 0, said
    assert_right(places["hdfs"], f"range-{backend}", photos, PHOTOS)
    assert len({worker["container"] for worker in report(places["hdfs"], f"range-{backend}")["workers"]}) > 1  # it has grown
    assert_nothing_left(cluster, newest(cluster))


def test_doctor(backend: str, places: dict[str, Place], tmp_path: Path) -> None:
    url = upload(places["hdfs"], f"doctor-{backend}", FEW[:2])
    arguments = (
        "doctor",
        "--backend",
        backend,
        "--cluster",
        "yarn",
        "--input",
        url,
        "--output",
        f"{places['hdfs'].url}/doctor-out-{backend}",
    )
    code, said = fruits(tmp_path, *arguments, *NODES)
    assert code == 0, said
    for line in (
        "ok   yarn: Hadoop 3.4.2 at http://10.77.0.1:8088, 2 nodes with 8 vcores and 12288 MiB",
        "ok   queue: default takes applications",
        "ok   input: 2 images",
        "can be written",
        "ok   a worker: started on yarn",
    ):
        assert line in said
    code, said = fruits(tmp_path, *arguments, "--environment", "venv:///mnt/nothing")
    assert code == 1
    assert "FAIL a worker: " in said
    assert "ok   input: 2 images" in said
