"""The notebook that `fruits` replaces, by its description, on Spark: `python -m benchmarks.peers.notebook FOLDER OUTPUT WORKERS WAY`.

`as-it-was`: the PCA is fitted on the lazy frame of the features, so that Spark computes them again for each of its passes. `repaired`:
features are written once and read back for the PCA; everything else is the same. `features`: they are written, and no more.
"""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from pyspark.ml.feature import PCA
from pyspark.ml.linalg import DenseVector, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, element_at, pandas_udf, split, udf  # type: ignore[attr-defined]
from pyspark.sql.types import ArrayType, FloatType

from benchmarks.peers.session import spark_session

WEIGHTS = Path(__file__).parents[2] / "fruits" / "weights" / "mobilenet_v2_1.0_224_imagenet_no_top.weights.h5"
PARTITIONS = 24
COMPONENTS = 200


def featurized(spark: SparkSession, folder: str) -> DataFrame:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    from tensorflow.keras.applications.mobilenet_v2 import MobileNetV2, preprocess_input
    from tensorflow.keras.preprocessing.image import img_to_array

    # The same network as the notebook's, cut at its penultimate layer.
    model = MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    model.load_weights(str(WEIGHTS))
    weights = spark.sparkContext.broadcast(model.get_weights())

    def loaded() -> "MobileNetV2":
        copy = MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
        for layer in copy.layers:
            layer.trainable = False
        copy.set_weights(weights.value)
        return copy

    def preprocess(content: bytes) -> "np.ndarray":
        pixels: np.ndarray = preprocess_input(img_to_array(Image.open(io.BytesIO(content)).resize([224, 224])))
        return pixels

    def features(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = loaded()
        for contents in batches:
            predicted = model.predict(np.stack(list(contents.map(preprocess))), verbose=0)
            yield pd.Series([vector.flatten() for vector in predicted])

    images = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg").option("recursiveFileLookup", "true").load(folder)
    images = images.withColumn("label", element_at(split(images["path"], "/"), -2))
    features_udf = pandas_udf(features, ArrayType(FloatType()))  # type: ignore[call-overload]
    return images.repartition(PARTITIONS).select(col("path"), col("label"), features_udf("content").alias("features"))


def main() -> None:
    folder, output, workers, way = sys.argv[1:]
    spark = spark_session(workers)
    frame = featurized(spark, folder)
    frame.write.mode("overwrite").parquet(f"{output}/features")
    if way == "features":
        spark.stop()
        return
    if way == "repaired":
        frame = spark.read.parquet(f"{output}/features")
    as_vector = udf(DenseVector, VectorUDT())
    vectors = frame.withColumn("vectors", as_vector("features"))
    model = PCA(k=COMPONENTS, inputCol="vectors", outputCol="pca_vectors").fit(vectors)
    as_list = udf(lambda vector: [float(number) for number in vector], ArrayType(FloatType()))
    projected = model.transform(vectors).withColumn("pca_features", as_list("pca_vectors"))
    projected.select("path", "label", "pca_features").write.mode("overwrite").parquet(f"{output}/pca")
    # What was done by hand after that.
    table = pd.read_parquet(f"{output}/pca")
    wide = pd.DataFrame(table["pca_features"].tolist(), columns=[f"pca_feature_{i}" for i in range(1, COMPONENTS + 1)])
    table = pd.concat([table[["path", "label"]], wide], axis=1)
    table.to_csv(f"{output}/P9.csv", index=False)
    assert pd.read_csv(f"{output}/P9.csv").shape == (len(table), COMPONENTS + 2)
    print(len(table), float(np.sum(model.explainedVariance.toArray())))
    spark.stop()


if __name__ == "__main__":
    main()
