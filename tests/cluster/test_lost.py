"""What clusters do in the middle of a run: a container, a node or the driver is gone."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.driver import PHOTOS, Driver, assert_nothing_left, assert_right, fruits, newest, report, until
from cluster.places import Place
from hadoop.cluster import Cluster, Process

NODES = ("--environment", "venv:///mnt/environment")


@pytest.fixture
def run(
    backend: str, places: dict[str, Place], photos: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Driver, str, list[object]]]:
    """A run that featurizes, the name of its output, and what was typed."""
    name = re.sub(r"\W+", "-", request.node.name)
    typed = [
        *("--backend", backend, "--cluster", "yarn", *NODES, "--workers", "2", "--container-memory", "4g"),
        *("--input", photos, "--output", f"{places['hdfs'].url}/{name}", "--chunk-size", "4", "--features-only"),
    ]
    with Driver(tmp_path, *typed) as driver:
        driver.wait_until_featurizing()
        yield driver, name, typed


def workers(cluster: Cluster) -> list[Process]:
    """The processes that do the work: Dask's workers, Spark's executors."""
    kinds = ("distributed.cli.dask_worker", "YarnCoarseGrainedExecutorBackend")
    return [p for p in cluster.processes() if any(kind in part for part in p.command for kind in kinds) and "bash" not in p.command[0]]


def test_a_container_is_killed(run: tuple[Driver, str, list[object]], cluster: Cluster, places: dict[str, Place], photos: str) -> None:
    driver, name, _ = run
    victim = workers(cluster)[-1].container
    cluster.kill_container(victim)
    assert driver.process.poll() is None, driver.said
    until(lambda: victim not in {p.container for p in workers(cluster)}, f"{victim} lives", 10)
    assert driver.wait() == 0, driver.said
    assert_right(places["hdfs"], name, photos, PHOTOS)
    assert_nothing_left(cluster, newest(cluster))


@pytest.mark.parametrize("node", [pytest.param("of the master", marks=pytest.mark.slow), "without the master"])
def test_a_node_is_lost(node: str, run: tuple[Driver, str, list[object]], cluster: Cluster, places: dict[str, Place], photos: str) -> None:
    driver, name, _ = run
    master = cluster.applications()[-1]["amHostHttpAddress"].partition(":")[0]
    victim = next(n.name for n in cluster.nodes if (n.address == master) == (node == "of the master"))
    cluster.kill_node(victim)
    try:
        assert driver.process.poll() is None, driver.said
        assert not cluster.processes(victim)
        assert driver.wait() == 0, driver.said
        assert_right(places["hdfs"], name, photos, PHOTOS)
        assert_nothing_left(cluster, newest(cluster))
    finally:
        cluster.start_node(victim)


def test_the_driver_is_killed(
    run: tuple[Driver, str, list[object]], cluster: Cluster, places: dict[str, Place], photos: str, tmp_path: Path
) -> None:
    driver, name, typed = run
    application = newest(cluster)
    assert workers(cluster)
    driver.process.kill()
    assert driver.wait() == -signal.SIGKILL
    assert_nothing_left(cluster, application)
    code, said = fruits(tmp_path, *typed)
    assert code == 0, said
    assert "an earlier run has done " in said
    assert report(places["hdfs"], name)["images"]["reused"] > 0
    assert_right(places["hdfs"], name, photos, PHOTOS)


@pytest.mark.slow
def test_the_application_is_killed(run: tuple[Driver, str, list[object]], cluster: Cluster) -> None:
    """By somebody who wants it to end: no other one takes its place."""
    driver, _, _ = run
    application = newest(cluster)
    subprocess.run(["yarn", "application", "-kill", application], check=True, capture_output=True)
    assert driver.wait() == 1, driver.said
    assert f"error: the YARN application {application} has ended (KILLED): " in driver.said
    assert "killed by user alice" in driver.said  # YARN's own words
    assert f"`yarn logs -applicationId {application}` shows" in driver.said
    assert "Traceback" not in driver.said
    assert newest(cluster) == application
    assert_nothing_left(cluster, application)


@pytest.mark.slow
def test_an_executor_that_is_lost_with_every_try(cluster: Cluster, places: dict[str, Place], photos: str, tmp_path: Path) -> None:
    """Spark's message has what YARN said and what the container wrote. (Dask's: `test_a_wrong_environment`.)"""
    typed = ("--backend", "spark", "--cluster", "yarn", *NODES, "--workers", "1", "--input", photos, "--chunk-size", "100")
    with Driver(tmp_path, *typed, "--output", f"{places['hdfs'].url}/lost-executors", "--features-only") as driver:
        until(lambda: "featurize: " in driver.said or driver.process.poll() is not None, "it does not featurize")
        killed: set[str] = set()
        while driver.process.poll() is None:
            at_work = {process.container for process in cluster.processes() if "pyspark.daemon" in process.command}
            for victim in at_work - killed:
                killed.add(victim)
                with suppress(LookupError):
                    cluster.kill_container(victim)
            time.sleep(0.2)
        assert driver.process.returncode == 1, driver.said
    assert len(killed) >= 4  # Spark's attempts at a task
    assert "Exit status: 137" in driver.said, driver.said
    assert any(container in driver.said for container in killed)
    assert "Traceback" not in driver.said
    assert "`yarn logs -applicationId " in driver.said
    assert_nothing_left(cluster, newest(cluster))


@pytest.mark.slow
def test_ctrl_c(run: tuple[Driver, str, list[object]], cluster: Cluster) -> None:
    driver, _, _ = run
    application = newest(cluster)
    driver.interrupt()
    assert driver.wait() == 130, driver.said
    assert driver.said.endswith("interrupted: the same command goes on where this run stopped\n")
    assert "Traceback" not in driver.said
    assert_nothing_left(cluster, application)
    until(lambda: not _group(driver.process.pid), "processes of the driver are left", 20)


def _group(leader: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == leader and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(entry.name))
        except (ProcessLookupError, FileNotFoundError):
            continue
    return found
