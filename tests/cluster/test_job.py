"""The main job on YARN: every mix of HDFS and S3, node-local and packed Python, fixed and growing numbers of workers."""

import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from cluster.driver import PHOTOS, Driver, assert_nothing_left, assert_right, fruits, newest, report, rows, until, upload
from cluster.places import Place
from hadoop.cluster import Cluster
from hadoop.network import HEAD

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
    # The engine's own PCA of a singular covariance takes Spark a minute: once.
    pca = "native" if source == "s3" else "moments"
    # All but the backend comes from a file, and that there is a YARN from HADOOP_CONF_DIR.
    (tmp_path / "fruits.toml").write_text(
        f'input = "{url}"\noutput = "{places[target].url}/{name}"\nenvironment = "{NODES[1]}"\nworkers = 2\ncontainer-memory = "4g"\n'
        f'chunk-size = 4\ncomponents = 3\npca = "{pca}"\n'
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.fixture
def label(cluster: Cluster) -> Iterator[str]:
    """The address of a node with the label that EMR gives to nodes that are not Spot; until the test has ended."""
    node = cluster.nodes[0]
    cluster.set_label(node.name, "CORE")
    until(lambda: cluster.labels(node.name) == ["CORE"], "YARN does not show the label", 30)
    yield node.address
    cluster.set_label(node.name, None)
    until(lambda: cluster.labels(node.name) == [], "the label stays", 30)


@pytest.mark.slow
def test_the_master_is_on_a_stable_node(label: str, cluster: Cluster, places: dict[str, Place], tmp_path: Path) -> None:
    """Spark's, by our asking: YARN puts no container there that asks for no label while other nodes have room."""
    url, name = upload(places["hdfs"], "stable", FEW), "stable-out"
    code, said = fruits(
        tmp_path,
        *("--backend", "spark", "--cluster", "yarn", *NODES, *ONE_A_NODE, "--chunk-size", "4", "--features-only"),
        *("--input", url, "--output", f"{places['hdfs'].url}/{name}"),
    )
    assert code == 0, said
    assert cluster.applications()[-1]["amHostHttpAddress"] == f"{label}:8042"
    assert_right(places["hdfs"], name, url, FEW)
    assert_nothing_left(cluster, newest(cluster))


@pytest.mark.slow
def test_the_dashboard_answers(backend: str, cluster: Cluster, places: dict[str, Place], photos: str, tmp_path: Path) -> None:
    typed = ("--backend", backend, "--cluster", "yarn", *NODES, "--workers", "2", "--chunk-size", "4", "--features-only")
    with Driver(tmp_path, *typed, "--input", photos, "--output", f"{places['hdfs'].url}/dashboard-{backend}") as driver:
        driver.wait_until_featurizing()
        (url,) = re.findall(r"dashboard at (http://\S+)", driver.said)
        # YARN's proxy fetches Spark's. Dask's is for this machine alone.
        assert url.startswith({"dask": "http://127.0.0.1:", "spark": f"http://{HEAD}:"}[backend])
        page = requests.get(url, timeout=30)
        assert page.ok
        assert {"dask": "bokeh.min.js", "spark": "Spark Jobs"}[backend] in page.text
        driver.interrupt()
        driver.wait()
    assert_nothing_left(cluster, newest(cluster))


def test_dasks_scheduler_asks_for_the_key_of_the_run(cluster: Cluster, places: dict[str, Place], photos: str, tmp_path: Path) -> None:
    typed = ("--backend", "dask", "--cluster", "yarn", *NODES, "--workers", "2", "--chunk-size", "4", "--features-only")
    with Driver(tmp_path, *typed, "--input", photos, "--output", f"{places['hdfs'].url}/asks") as driver:
        driver.wait_until_featurizing()
        (address,) = {part for p in cluster.processes() for part in p.command if part.startswith("tls://")}
        host, port = address.removeprefix("tls://").split(":")
        assert host == HEAD
        stranger = ssl.create_default_context()
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((host, int(port)), 10) as plain, pytest.raises(ssl.SSLError, match="certificate required"):
            with stranger.wrap_socket(plain) as connection:
                connection.recv(1)
        driver.interrupt()
        driver.wait()
    assert_nothing_left(cluster, newest(cluster))


@pytest.mark.slow
def test_a_python_that_differs_on_the_nodes(backend: str, cluster: Cluster, places: dict[str, Place], tmp_path: Path) -> None:
    """It is found before work starts, and named."""
    for node in cluster.nodes:
        subprocess.run(cluster.enter(node.name, "sh", "-c", OLDER), check=True)
    path = {"dask": "yarn.worker.env={PYTHONPATH: /home/older}", "spark": "spark.executorEnv.PYTHONPATH=/home/older"}
    url = upload(places["hdfs"], f"older-{backend}", FEW[:2])
    code, said = fruits(
        tmp_path,
        *("--backend", backend, "--cluster", "yarn", *NODES, "--workers", "2", "--set", path[backend]),
        *("--input", url, "--output", f"{places['hdfs'].url}/older-out-{backend}"),
    )
    assert code == 1, said
    assert re.search(r"error: the Python of node 10\.77\.0\.1[12] is another than this one: fruits is 0\.0\.1 there, \S+ here\n", said), (
        said
    )
    assert "check --environment" in said
    assert not places["hdfs"].listing(f"/older-out-{backend}").files  # no work was done
    assert_nothing_left(cluster, newest(cluster))


# What fruits was once, for containers: its folder /home is their own.
OLDER = """
mountpoint -q /home || mount -t tmpfs tmpfs /home
mkdir -p /home/older && cp -r /mnt/environment/lib/python3.11/site-packages/fruits /home/older/
sed -i 's/^__version__ = .*/__version__ = "0.0.1"/' /home/older/fruits/__init__.py
chmod -R a+rX /home/older
"""


def test_the_spark_of_the_nodes(cluster: Cluster, places: dict[str, Place], tmp_path: Path) -> None:
    """As on EMR: SPARK_HOME is the same on every node, and no jar is uploaded."""
    url, name = upload(places["hdfs"], "home", FEW), "home-out"
    typed = ("--backend", "spark", "--cluster", "yarn", *NODES, *ONE_A_NODE, "--chunk-size", "4", "--components", "3")
    opened = set()
    with Driver(tmp_path, *typed, "--input", url, "--output", f"{places['hdfs'].url}/{name}", SPARK_HOME="/srv/spark") as driver:
        while driver.process.poll() is None:
            executors = [process for process in cluster.processes() if "YarnCoarseGrainedExecutorBackend" in " ".join(process.command)]
            opened |= {(process.node, jar) for process in executors for jar in jars(process.pid)}
            time.sleep(0.5)
        assert driver.process.returncode == 0, driver.said
    assert {node for node, jar in opened if jar.startswith("/srv/spark/jars/spark-core_")} == {"node1", "node2"}
    assert all(jar.startswith(("/srv/spark/jars/", "/mnt/hadoop/java/")) for _, jar in opened), opened
    assert_right(places["hdfs"], name, url, FEW)
    assert report(places["hdfs"], name)["backend"]["configuration"]["spark.yarn.jars"] == "local:/srv/spark/jars/*"
    assert_nothing_left(cluster, newest(cluster))


def jars(pid: int) -> set[str]:
    """Those that a process has open, by their paths on its node."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):  # it has ended, or closed it
            found.add(os.readlink(entry))
    return {path for path in found if path.endswith(".jar")}


@pytest.mark.slow
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
