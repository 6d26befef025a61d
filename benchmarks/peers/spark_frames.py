"""Spark by its own reader and writer, with the same core: `python -m benchmarks.peers.spark_frames FOLDER OUTPUT WORKERS BATCH`.

What `binaryFile` and `df.write` cost: contents go from the JVM to a pandas UDF and features back, in the partitions that Spark makes of the
files (by `spark.sql.files.openCostInBytes`).
"""

import os
import sys
from collections.abc import Iterator

import pandas as pd
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]
from pyspark.sql.types import ArrayType, FloatType

from benchmarks.core import network
from benchmarks.peers.session import spark_session


def main() -> None:
    folder, output, workers, batch_size = sys.argv[1:]
    batch = int(batch_size)
    os.environ["PYTHONPATH"] = os.getcwd()  # Spark's Python workers import the core from there

    def features(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for contents in batches:
            yield pd.Series(list(network(batch).features(contents.tolist())))

    spark = spark_session(workers)
    images = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg").option("recursiveFileLookup", "true").load(folder)
    features_udf = pandas_udf(features, ArrayType(FloatType()))  # type: ignore[call-overload]
    images.select("path", features_udf("content").alias("features")).write.parquet(output)
    spark.stop()


if __name__ == "__main__":
    main()
