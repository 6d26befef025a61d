"""How long this machine would take without any cluster: asked before one is paid for."""

import tempfile

from benchmarks.product import Failed, fruits
from fruits.errors import RunFailed
from fruits.job import SAMPLE

GROWING = ("featurize", "fit", "project", "export")  # with the number of images


def seconds_alone(images: int) -> float:
    """From a run of the bundled sample on all cores, whose start does not grow with the images. Raises `RunFailed`."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            run = fruits("dask", SAMPLE, folder, "--pca", "moments", "--cluster", "local")
        except Failed as failed:
            raise RunFailed(f"a run of the bundled sample failed: {failed}", "make it run here first: python -m fruits doctor") from failed
    growing = sum(stage["seconds"] for stage in run.report["stages"] if stage["name"] in GROWING)
    seconds: float = run.seconds - growing + growing * images / run.report["images"]["found"]
    return seconds
