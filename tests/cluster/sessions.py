"""Sessions on the test cluster, as the product itself opens them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster.places import Place
from fruits import Job
from fruits.backend import Settings, Workers, YarnSettings, load
from fruits.cluster import worker_environment

ENVIRONMENT = "venv:///mnt/environment"  # where every node has the archive that `python -m fruits pack` made, unpacked


@contextmanager
def session(backend: str, place: Place) -> Iterator[Any]:
    """A Client or a SparkSession whose two workers, in containers, reach the place."""
    job = Job(input=f"{place.url}/input", output=f"{place.url}/output", cluster="yarn")
    settings = Settings("yarn", Workers(2, 2), yarn=YarnSettings(environment=ENVIRONMENT, worker_environment=worker_environment(job)))
    with load(backend)(settings) as opened:
        yield opened.client if backend == "dask" else opened.spark  # type: ignore[attr-defined]
