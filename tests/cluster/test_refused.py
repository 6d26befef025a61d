"""What cannot end well says so in time, in one message, with what to do."""

import io
import re
import time
from pathlib import Path

import pytest
from PIL import Image

from cluster.driver import PHOTOS, assert_nothing_left, fruits, newest, upload
from cluster.places import Place
from hadoop.cluster import Cluster

NODES = ("--environment", "venv:///mnt/environment")
FEW = PHOTOS[:4]

# What is typed besides a job that would run; exit code, words of the message, words of the advice.
REFUSED = {
    "unknown queue": (["--queue", "nosuch"], 2, "--queue nosuch: YARN has no such queue", "choose one of: closed, default, small"),
    "stopped queue": (["--queue", "closed"], 2, "--queue closed: it is stopped", "have it started"),
    "too large": (["--container-memory", "20g"], 2, "no node has room for a container of 20480 MiB", "lower --container-memory"),
    "no right to write": (["--output", "hdfs:///Forbidden/out"], 2, "hdfs:///Forbidden/out: access denied", "HADOOP_USER_NAME"),
    "no right to read": (["--input", "hdfs:///Forbidden/in"], 2, "hdfs:///Forbidden/in: access denied", "HADOOP_USER_NAME"),
    "no folder": (["--input", "hdfs:///nosuch"], 2, "there is no folder hdfs:///nosuch", "check the path"),
    "no bucket": (["--input", "s3://no-such-bucket-here/in"], 2, "no-such-bucket-here", "check"),
    "local input": (["--input", "."], 2, "which the nodes of the YARN cluster do not see", "give hdfs:// or s3://"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_once(backend: str, case: str, job: list[str], cluster: Cluster, tmp_path: Path) -> None:
    typed, expected, words, advice = REFUSED[case]
    before = len(cluster.applications())
    started = time.monotonic()
    code, said = fruits(tmp_path, "--backend", backend, *job, *NODES, *typed)
    assert code == expected, said
    assert said.startswith("error: ")
    assert words in said
    assert advice in said
    assert "Traceback" not in said
    assert time.monotonic() - started < 30
    assert len(cluster.applications()) == before  # nothing was started


def test_no_configuration(backend: str, job: list[str], tmp_path: Path) -> None:
    code, said = fruits(tmp_path, "--backend", backend, *job, *NODES, "--input", "s3://a/b", HADOOP_CONF_DIR="", YARN_CONF_DIR="")
    assert code == 2, said
    assert "set HADOOP_CONF_DIR" in said


def test_no_resource_manager(backend: str, job: list[str], tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "core-site.xml").write_text("<configuration/>")
    (conf / "yarn-site.xml").write_text(
        "<configuration><property><name>yarn.resourcemanager.hostname</name><value>127.0.0.1</value></property></configuration>"
    )
    typed = ["--input", "hdfs://10.77.0.1:8020/user/alice/x", "--output", "hdfs://10.77.0.1:8020/user/alice/y"]
    code, said = fruits(tmp_path, "--backend", backend, *job, *NODES, *typed, HADOOP_CONF_DIR=str(conf), YARN_CONF_DIR=str(conf))
    assert code == 2, said
    assert said.startswith("error: no ResourceManager of YARN answers (http://127.0.0.1:8088: ")


def test_wrong_keys(backend: str, job: list[str], places: dict[str, Place], tmp_path: Path) -> None:
    url = upload(places["s3"], "guarded", FEW)
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIAWRONGWRONGWRONG0\naws_secret_access_key = wrongwrongwrong\n")
    code, said = fruits(
        tmp_path,
        *("--backend", backend, *job, *NODES, "--input", url),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
        AWS_ACCESS_KEY_ID="AKIAWRONGWRONGWRONG0",
        AWS_SECRET_ACCESS_KEY="wrongwrongwrong",  # noqa: S106
    )
    assert code == 2, said
    assert f"error: {url} cannot be reached: S3 refuses the credentials (InvalidAccessKeyId)" in said
    assert "wrongwrongwrong" not in said.lower()


@pytest.mark.slow
def test_a_wrong_environment(backend: str, job: list[str], cluster: Cluster, tmp_path: Path) -> None:
    code, said = fruits(tmp_path, "--backend", backend, *job, "--environment", "venv:///mnt/nothing")
    assert code == 1, said
    assert "/mnt/nothing/bin/python" in said
    assert "No such file or directory" in said  # the node's own words
    assert "check --environment" in said
    assert_nothing_left(cluster, newest(cluster))


def test_a_queue_without_room(backend: str, job: list[str], cluster: Cluster, tmp_path: Path) -> None:
    started = time.monotonic()
    code, said = fruits(tmp_path, "--backend", backend, *job, *NODES, "--queue", "small")
    assert code == 1, said
    assert "Queue does not have enough headroom" in said  # YARN's own words
    assert "use another --queue" in said
    assert time.monotonic() - started < 90
    assert_nothing_left(cluster, newest(cluster))


@pytest.mark.slow
def test_too_much_memory(backend: str, job: list[str], cluster: Cluster, places: dict[str, Place], tmp_path: Path) -> None:
    """A progressive JPEG of 120 million pixels, which the user has let through, takes more than 1 GB to decode."""
    large = io.BytesIO()
    Image.linear_gradient("L").resize((12_000, 10_000)).convert("RGB").save(large, "JPEG", progressive=True, subsampling=0, quality=50)
    for number in range(4):
        places["hdfs"].put(f"/large-{backend}/Grey/{number}.jpg", large.getvalue())
    small = {
        "dask": ("--container-memory", "330m"),
        # A Spark container with so little room for its Python is refused, unless its parts are set one by one.
        "spark": ("--set", "spark.executor.memory=512m", "--set", "spark.executor.memoryOverhead=384m"),
    }
    code, said = fruits(
        tmp_path,
        *("--backend", backend, *job, *NODES, "--input", f"{places['hdfs'].url}/large-{backend}", *small[backend]),
        *("--features-only", "--chunk-size", "1", "--max-pixels", "160000000"),
    )
    assert code == 1, said
    assert re.search(r"error: .*containers? .*exceeded (its|their) memory.* of \d+ MB physical memory used", said), said
    assert "raise --container-memory above " in said
    assert_nothing_left(cluster, newest(cluster))


@pytest.fixture
def job(places: dict[str, Place], request: pytest.FixtureRequest) -> list[str]:
    url = upload(places["hdfs"], "refused", FEW)
    output = f"{places['hdfs'].url}/{re.sub(r'[^a-z]+', '-', request.node.name)}"
    return ["--cluster", "yarn", "--workers", "2", "--input", url, "--output", output]
