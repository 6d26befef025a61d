"""Sessions on the test cluster, as the product itself opens them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster.places import Place
from fruits import Job
from fruits.backend import Settings, Workers, YarnSettings, load
from fruits.cluster import worker_environment

ENVIRONMENT = "venv:///mnt/environment"  # where every node has the archive that `python -m fruits pack` made, unpacked


@contextmanager
def session(backend: str, place: Place, launcher: str) -> Iterator[Any]:
    """A Client or a SparkSession whose two workers, in containers, reach the place. dask-yarn's get an archive of its own Python."""
    job = Job(input=f"{place.url}/input", output=f"{place.url}/output", cluster="yarn")
    environment = ENVIRONMENT if launcher == "fruits" else os.environ["FRUITS_TEST_DASK_YARN_ARCHIVE"]
    yarn = YarnSettings(environment=environment, launcher=launcher, worker_environment=worker_environment(job))
    with load(backend)(Settings("yarn", Workers(2, 2), yarn=yarn)) as opened:
        yield opened.client if backend == "dask" else opened.spark  # type: ignore[attr-defined]
