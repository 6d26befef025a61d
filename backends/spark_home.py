"""The pyspark of SPARK_HOME, which wins over pip's: its launcher starts that JVM, and on EMR it is the cluster's own Spark."""

import os
import sys
from pathlib import Path


def prefer() -> None:
    """Puts the Python part of SPARK_HOME in front on the path; to be called before pyspark is imported. Does nothing without SPARK_HOME."""
    home = os.environ.get("SPARK_HOME")
    if not home or "pyspark" in sys.modules:
        return
    python = Path(home, "python")
    if (python / "pyspark" / "version.py").is_file():
        sys.path[:0] = [str(python), *map(str, sorted((python / "lib").glob("py4j-*-src.zip")))]
