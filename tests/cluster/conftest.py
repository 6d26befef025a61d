"""A real YARN with HDFS in network namespaces of its own (`tests/real/hadoop/run.py` starts it), seen from its head."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "real")]

from conftest import SAMPLE
from hadoop.cluster import Cluster

ENVIRONMENT = "venv:///mnt/environment"  # where every node has the archive that `python -m fruits pack` made, unpacked


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.from_environment()
