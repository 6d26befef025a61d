"""The notebook's way without an engine: one process, Keras `predict` on all cores, batches of 256. Its argument: the folder."""

import os
import sys
import time
from pathlib import Path

from benchmarks.core import SIDE, decoded
from benchmarks.images import photos

BATCH = 256
WEIGHTS = Path(__file__).parents[2] / "fruits" / "weights" / "mobilenet_v2_1.0_224_imagenet_no_top.weights.h5"


def main() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import numpy as np
    import tensorflow as tf

    model = tf.keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(SIDE, SIDE, 3))
    model.load_weights(str(WEIGHTS))
    files = photos(Path(sys.argv[1]))

    def features(part: list[Path]) -> None:
        model.predict(np.stack([decoded(file.read_bytes()) for file in part]) / np.float32(127.5) - np.float32(1), verbose=0)

    features(files[:BATCH])
    started = time.perf_counter()
    for start in range(0, len(files), BATCH):
        features(files[start : start + BATCH])
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
