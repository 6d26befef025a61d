"""Image featurization at cluster scale, on PySpark or on Dask.

from fruits import Job, run
report = run(Job(input="Test", output="results"), session=spark_or_dask_client)
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Job", "__version__", "run"]

if TYPE_CHECKING:
    from fruits.job import Job
    from fruits.pipeline import run


def __getattr__(name: str) -> object:
    """Imports on first use: `python -m fruits --help` and a worker need neither."""
    if name == "Job":
        from fruits.job import Job

        return Job
    if name == "run":
        from fruits.pipeline import run

        return run
    raise AttributeError(f"module 'fruits' has no attribute {name!r}")
