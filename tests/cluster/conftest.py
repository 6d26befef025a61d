"""A real YARN with HDFS in network namespaces of its own (`tests/real/hadoop/run.py` starts it), seen from its head."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.driver import PHOTOS, upload
from cluster.places import Place, place
from hadoop.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.from_environment()


@pytest.fixture(scope="session")
def places(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    with place("hdfs", cluster, tmp_path_factory.mktemp("hdfs")) as hdfs, place("s3", cluster, tmp_path_factory.mktemp("s3")) as s3:
        yield {"hdfs": hdfs, "s3": s3}


@pytest.fixture(scope="session")
def photos(places: dict[str, Place]) -> str:
    """The URL of the whole sample on HDFS."""
    return upload(places["hdfs"], "photos", PHOTOS)


@pytest.fixture(scope="session")
def archive() -> Path:
    """The archive that the nodes have unpacked."""
    return Path(os.environ["FRUITS_TEST_ARCHIVE"])
