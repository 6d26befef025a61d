"""Run at the start of a kernel of IPython: makes it as sparkmagic's PySpark kernel, with a Spark of this machine for the cluster.

As sparkmagic's help has it: a cell runs on the cluster, in names of its own, and only what it prints comes back; `%%spark -o NAME` brings a
DataFrame of there here, as rows of JSON, at most 2,500; a cell that begins with %%local runs here.
"""

import ast
import json
import os
import sys

import pandas as pd
import pyspark
from IPython.core.getipython import get_ipython
from pyspark.sql import SparkSession

from backends.java import java_environment
from backends.spark_versions import spark_version

java = java_environment(spark_version(pyspark.__version__).java)
os.environ.update({"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", **java})
settings = {"spark.ui.enabled": "false", "spark.driver.memory": "1g", "spark.ui.showConsoleProgress": "false"}
session = SparkSession.builder.master("local[2,4]").config(map=settings).getOrCreate()
there = {"spark": session, "sc": session.sparkContext, "__name__": "__main__"}
ip = get_ipython()


def spark(line: str, cell: str) -> None:
    """Like Livy, which runs the last statement as an interpreter does: what it is, is printed."""
    body = ast.parse(cell).body
    exec(compile(ast.Module(body[:-1], []), "<stdin>", "exec"), there)  # noqa: S102
    exec(compile(ast.Interactive(body[-1:]), "<stdin>", "single"), there)  # noqa: S102
    if line:
        option, name = line.split()
        assert option == "-o"
        ip.user_ns[name] = pd.DataFrame([json.loads(row) for row in there[name].toJSON().take(2500)])


def where(lines: list[str]) -> list[str]:
    if lines[0].startswith("%%local"):
        return lines[1:]
    return lines if lines[0].startswith("%%spark") else ["%%spark\n", *lines]


ip.register_magic_function(spark, "cell")
ip.input_transformers_cleanup.append(where)
