"""What differs between the versions of Spark that the backend runs on: nothing else asks."""

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fruits.errors import BadArgument


@dataclass(frozen=True)
class SparkVersion:
    """A line of releases with the same demands."""

    name: str
    """As in messages and in `make run SPARK=`."""
    java: tuple[int, ...]
    """Major versions of Java that its documentation names, 8 aside."""
    python: tuple[int, int]
    """The newest Python that its workers are known to run on."""


# "Spark runs on Java 8/11/17"; the metadata of pyspark 3.5 name no Python after 3.11.
SPARK_3_5 = SparkVersion("3.5", java=(11, 17), python=(3, 11))
# "Spark runs on Java 17/21".
SPARK_4 = SparkVersion("4", java=(17, 21), python=(3, 13))


def spark_version(pyspark: str) -> SparkVersion:
    """Of `pyspark.__version__`, which distributions extend (3.5.6-amzn-2).

    Raises `BadArgument` for one that this backend does not run on, or that does not run on this Python.
    """
    match = re.match(r"(\d+)\.(\d+)", pyspark)
    release = (int(match[1]), int(match[2])) if match else (0, 0)
    if release != (3, 5) and release[0] != 4:
        message = f"pyspark {pyspark} is installed, and fruits runs on Spark 3.5 and 4"
        raise BadArgument(message, "install one of these")
    version = SPARK_4 if release[0] == 4 else SPARK_3_5
    if sys.version_info[:2] > version.python:
        raise BadArgument(
            f"Spark {version.name} runs on Python {version.python[0]}.{version.python[1]} at most, "
            f"and this is {sys.version_info[0]}.{sys.version_info[1]}",
            "use Spark 4, or an older Python",
        )
    return version


@contextmanager
def without_pandas_warning() -> Iterator[None]:
    """PySpark 4 warns of pandas 3 three times a run; here it only gets Series of integers and bytes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield
